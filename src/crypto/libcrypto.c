#include "crypto/libcrypto.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "core/err.h"

static struct atls_libcrypto table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *const digest_names[ATLS_HASH_COUNT] = {
    [ATLS_HASH_SHA1] = "SHA1",
    [ATLS_HASH_SHA256] = "SHA2-256",
    [ATLS_HASH_SHA384] = "SHA2-384",
    [ATLS_HASH_SHA512] = "SHA2-512",
};

static const char *const curve_names[ATLS_KEY_TYPE_COUNT] = {
    [ATLS_KEY_P256] = "P-256",
    [ATLS_KEY_P384] = "P-384",
    [ATLS_KEY_P521] = "P-521",
};

/* Strings of OSSL_PARAM are not const, although nothing writes to them. */
static OSSL_PARAM text_param(const char *key, const char *text, char *room, size_t size)
{
    OPENSSL_strlcpy(room, text, size);
    return OSSL_PARAM_construct_utf8_string(key, room, 0);
}

static EVP_MAC_CTX *fetch_hmac(EVP_MAC *mac, const char *digest)
{
    static const uint8_t zero[1];
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    OSSL_PARAM params[2];
    char name[16];

    params[0] = text_param(OSSL_MAC_PARAM_DIGEST, digest, name, sizeof name);
    params[1] = OSSL_PARAM_construct_end();
    /* Only a context with some key can be duplicated. */
    if (ctx != NULL && EVP_MAC_init(ctx, zero, sizeof zero, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static EVP_PKEY *fetch_curve(const char *curve)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM params[2];
    EVP_PKEY *out = NULL;
    char name[16];

    params[0] = text_param(OSSL_PKEY_PARAM_GROUP_NAME, curve, name, sizeof name);
    params[1] = OSSL_PARAM_construct_end();
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &out, EVP_PKEY_KEY_PARAMETERS, params) != 1)
        out = NULL;
    EVP_PKEY_CTX_free(ctx);
    return out;
}

static void fetch(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    for (size_t i = 0; i < ATLS_HASH_COUNT; i++) {
        if (digest_names[i] == NULL)
            continue;
        table.md[i] = EVP_MD_fetch(NULL, digest_names[i], NULL);
        table.hmac[i] = mac == NULL ? NULL : fetch_hmac(mac, digest_names[i]);
    }
    for (size_t i = 0; i < ATLS_KEY_TYPE_COUNT; i++)
        if (curve_names[i] != NULL)
            table.curve[i] = fetch_curve(curve_names[i]);
    EVP_MAC_free(mac); /* the contexts hold their own reference */
    ERR_clear_error();
}

const struct atls_libcrypto *atls_libcrypto(void)
{
    pthread_once(&once, fetch);
    return &table;
}

enum atls_code atls_fail_libcrypto(struct atls_err *err, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);

    ERR_clear_error();
    return atls_fail(err, ATLS_E_CRYPTO, "%s failed in libcrypto: %s", what,
                     reason == NULL ? "no reason given" : reason);
}

bool atls_libcrypto_lacks_memory(void)
{
    unsigned long e;
    bool found = false;

    while ((e = ERR_get_error()) != 0)
        found = found || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
    return found;
}

enum atls_code atls_fail_memory(struct atls_err *err, const char *what)
{
    ERR_clear_error();
    return atls_fail(err, ATLS_E_NOMEM, "%s: out of memory", what);
}
