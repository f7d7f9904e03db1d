#include "tls/openssl/key.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "tls/openssl/error.h"
#include "tls/openssl/provider.h"

/* ---- key ---- */

static const char *type_name(enum atls_key_type type)
{
    return type == ATLS_KEY_RSA ? "RSA" : type == ATLS_KEY_ED25519 ? "ED25519" : "EC";
}

/* The row of the attester's scheme, which must be one of TLS 1.3 and of the attester's key. */
static enum atls_code find_algorithm(struct atls_attester *attester,
                                     const struct atls_signature_algorithm **out,
                                     struct atls_err *err)
{
    const enum atls_signature scheme = atls_attester_aik_scheme(attester);
    const struct atls_signature_algorithm *found = atls_signature_find(scheme);
    enum atls_key_type type;
    enum atls_code code;

    if (found == NULL || !found->certificate_verify)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "attester \"%s\": signature scheme 0x%04x is not for TLS 1.3",
                                atls_attester_scheme(attester), (unsigned int)scheme);
    code = atls_key_type_of_spki(atls_attester_aik_spki(attester), &type, err);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, "attester's key");
    if (type != found->key_type)
        return atls_fail(err, ATLS_E_CONFIG,
                         "attester \"%s\": signature scheme %s does not fit its key",
                         atls_attester_scheme(attester), found->name);
    *out = found;
    return ATLS_OK;
}

static EVP_PKEY *parse_public(struct atls_bytes spki)
{
    const unsigned char *der = spki.ptr;

    return d2i_PUBKEY(NULL, &der, (long)spki.len);
}

/* The provider takes what key points to. */
static EVP_PKEY *make_key(struct atls_provided *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(ATLS_PROVIDER_KEY, &key, sizeof key),
        OSSL_PARAM_construct_end(),
    };
    OSSL_LIB_CTX *library = atls_provider_library();
    EVP_PKEY_CTX *ctx = library == NULL
                            ? NULL
                            : EVP_PKEY_CTX_new_from_name(library, key->type, ATLS_PROVIDER_QUERY);
    EVP_PKEY *made = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_KEYPAIR, params) != 1)
        made = NULL;
    EVP_PKEY_CTX_free(ctx);
    return made;
}

enum atls_code atls_openssl_key_new(struct atls_attester *attester, EVP_PKEY **out,
                                    struct atls_err *err)
{
    struct atls_provided key = {.attester = attester};
    EVP_PKEY *made;
    enum atls_code code;

    if ((code = find_algorithm(attester, &key.algorithm, err)) != ATLS_OK)
        return code;
    ERR_clear_error();
    key.type = type_name(key.algorithm->key_type);
    if ((key.public = parse_public(atls_attester_aik_spki(attester))) == NULL)
        return atls_openssl_fail(err, NULL, "attester's key cannot be read");
    made = make_key(&key);
    EVP_PKEY_free(key.public);
    if (made == NULL)
        return atls_openssl_fail(err, NULL, "attester's key cannot be a key of OpenSSL");
    *out = made;
    return ATLS_OK;
}

/* ---- certificates ---- */

static X509 *parse_certificate(struct atls_bytes der)
{
    const unsigned char *at = der.ptr;

    return d2i_X509(NULL, &at, (long)der.len);
}

/* The certificates behind the end entity's. */
static STACK_OF(X509) * parse_rest(const struct atls_bytes *chain, size_t count)
{
    STACK_OF(X509) *rest = sk_X509_new_null();

    for (size_t i = 1; rest != NULL && i < count; i++) {
        X509 *x = parse_certificate(chain[i]);

        if (x == NULL || sk_X509_push(rest, x) <= 0) {
            X509_free(x);
            sk_X509_pop_free(rest, X509_free);
            rest = NULL;
        }
    }
    return rest;
}

struct atls_openssl_chain {
    atomic_uint references;
    X509 *leaf;
    STACK_OF(X509) * rest;
};

enum atls_code atls_openssl_chain_new(const struct atls_bytes *certificates, size_t count,
                                      struct atls_openssl_chain **out, struct atls_err *err)
{
    struct atls_openssl_chain *chain = calloc(1, sizeof *chain);

    if (chain == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate: out of memory");
    atomic_init(&chain->references, 1);
    ERR_clear_error();
    if ((chain->leaf = parse_certificate(certificates[0])) == NULL ||
        (chain->rest = parse_rest(certificates, count)) == NULL) {
        atls_openssl_chain_unref(chain);
        return atls_openssl_fail(err, NULL, "OpenSSL cannot read the attester's certificate");
    }
    *out = chain;
    return ATLS_OK;
}

struct atls_openssl_chain *atls_openssl_chain_ref(struct atls_openssl_chain *chain)
{
    atomic_fetch_add_explicit(&chain->references, 1, memory_order_relaxed);
    return chain;
}

void atls_openssl_chain_unref(struct atls_openssl_chain *chain)
{
    if (chain == NULL ||
        atomic_fetch_sub_explicit(&chain->references, 1, memory_order_acq_rel) != 1)
        return;
    X509_free(chain->leaf);
    sk_X509_pop_free(chain->rest, X509_free);
    free(chain);
}

static enum atls_code refused(const SSL *ssl, struct atls_err *err)
{
    return atls_openssl_fail(err, ssl, "OpenSSL refuses the attester's certificate");
}

enum atls_code atls_openssl_use_key(SSL *ssl, EVP_PKEY *key, const struct atls_openssl_chain *chain,
                                    struct atls_err *err)
{
    ERR_clear_error();
    return SSL_use_cert_and_key(ssl, chain->leaf, key, chain->rest, 1) == 1 ? ATLS_OK
                                                                            : refused(ssl, err);
}

static enum atls_code use_in_context(SSL_CTX *ctx, EVP_PKEY *key,
                                     const struct atls_openssl_chain *chain, struct atls_err *err)
{
    ERR_clear_error();
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_use_cert_and_key(ctx, chain->leaf, key, chain->rest, 1) != 1)
        return refused(NULL, err);
    return ATLS_OK;
}

enum atls_code atls_openssl_use_attester(SSL_CTX *ctx, struct atls_attester *attester,
                                         struct atls_err *err)
{
    size_t count;
    const struct atls_bytes *certificates = atls_attester_chain(attester, &count);
    struct atls_openssl_chain *chain = NULL;
    EVP_PKEY *key = NULL;
    enum atls_code code = atls_openssl_key_new(attester, &key, err);

    if (code == ATLS_OK)
        code = atls_openssl_chain_new(certificates, count, &chain, err);
    if (code == ATLS_OK)
        code = use_in_context(ctx, key, chain, err);
    atls_openssl_chain_unref(chain);
    EVP_PKEY_free(key);
    return code;
}
