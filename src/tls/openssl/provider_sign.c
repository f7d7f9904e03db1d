#include "tls/openssl/provider.h"
#include "tls/openssl/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "core/err.h"
#include "core/writer.h"

/* What a program may have signed in pieces; TLS signs less than 200 bytes. */
#define TBS_LEN_MAX (1024 * 1024)

/* One signature in the making. The attester takes the text and not its digest, so that it is
 * gathered here. One thread at a time. */
struct signer {
    struct atls_provided *key; /* referenced; NULL until it is set up */
    struct atls_writer tbs;
    bool pss; /* RSA: the padding was asked for */
};

static const EVP_MD *md_of(enum atls_hash hash)
{
    return hash == ATLS_HASH_SHA256   ? EVP_sha256()
           : hash == ATLS_HASH_SHA384 ? EVP_sha384()
                                      : EVP_sha512();
}

static void *new_signer(void *provider, const char *query)
{
    struct signer *s = calloc(1, sizeof *s);

    (void)provider;
    (void)query;
    if (s == NULL) {
        ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
        return NULL;
    }
    s->tbs = atls_writer_init(TBS_LEN_MAX);
    return s;
}

static void free_signer(void *arg)
{
    struct signer *s = arg;

    if (s == NULL)
        return;
    atls_writer_clear(&s->tbs);
    atls_provided_unref(s->key);
    free(s);
}

/* OpenSSL finishes a copy, so that the original can go on. */
static void *copy_signer(void *arg)
{
    const struct signer *from = arg;
    struct signer *s = new_signer(NULL, NULL);

    if (s == NULL)
        return NULL;
    if (from->tbs.len != 0)
        atls_put_bytes(&s->tbs, atls_writer_bytes(&from->tbs));
    if (s->tbs.failed != ATLS_OK) {
        ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
        free_signer(s);
        return NULL;
    }
    s->tbs.failed = from->tbs.failed;
    s->key = from->key == NULL ? NULL : atls_provided_ref(from->key);
    s->pss = from->pss;
    return s;
}

static int refuse(const struct signer *s, const char *what, const char *found)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)atls_fail(&err, ATLS_E_UNSUPPORTED,
                    "key of the attester: asked to sign with %s %s, it signs with %s", what, found,
                    s->key->algorithm->name);
    return atls_provider_fail(&err);
}

/* Ed25519 has no digest, and libssl says so in three ways. */
static int check_digest(const struct signer *s, const char *name)
{
    enum atls_hash hash = s->key->algorithm->hash;
    bool fits;

    if (hash == ATLS_HASH_NONE)
        fits = name == NULL || name[0] == '\0' || strcmp(name, "UNDEF") == 0;
    else
        fits = name == NULL || EVP_MD_is_a(md_of(hash), name);
    return fits ? 1 : refuse(s, "digest", name);
}

/* Padding and salt come as text or as a number; *out_text is NULL for a number. */
static int get_choice(const OSSL_PARAM *param, const char **out_text, int *out_number)
{
    *out_text = NULL;
    if (param->data_type == OSSL_PARAM_UTF8_STRING
            ? OSSL_PARAM_get_utf8_string_ptr(param, out_text) == 1
            : OSSL_PARAM_get_int(param, out_number) == 1)
        return 1;
    ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL,
                   "key of the attester: %s is neither text nor number", param->key);
    return 0;
}

static int check_padding(struct signer *s, const OSSL_PARAM *param)
{
    const char *text;
    int number;

    if (!get_choice(param, &text, &number))
        return 0;
    s->pss = text != NULL ? strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0
                          : number == RSA_PKCS1_PSS_PADDING;
    return s->pss ? 1 : refuse(s, "padding", text != NULL ? text : "other than PSS");
}

/* In TLS the salt is as long as the digest (RFC 8446 section 4.2.3). */
static int check_salt(const struct signer *s, const OSSL_PARAM *param)
{
    const size_t len = atls_hash_len(s->key->algorithm->hash);
    const char *text;
    char digits[8];
    int number;
    bool fits;

    if (!get_choice(param, &text, &number))
        return 0;
    snprintf(digits, sizeof digits, "%zu", len);
    fits = text != NULL
               ? strcmp(text, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0 || strcmp(text, digits) == 0
               : number == RSA_PSS_SALTLEN_DIGEST || (number > 0 && (size_t)number == len);
    return fits ? 1 : refuse(s, "salt length", text != NULL ? text : "other than the digest's");
}

static int check_digest_param(const struct signer *s, const OSSL_PARAM *param)
{
    const char *name = NULL;

    return OSSL_PARAM_get_utf8_string_ptr(param, &name) == 1 && check_digest(s, name);
}

static int set_params(void *arg, const OSSL_PARAM params[])
{
    struct signer *s = arg;
    int good = 1;

    if (s->key == NULL)
        return 0;
    for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL && good; p++) {
        if (strcmp(p->key, OSSL_SIGNATURE_PARAM_DIGEST) == 0)
            good = check_digest_param(s, p);
        else if (s->key->algorithm->key_type != ATLS_KEY_RSA)
            continue;
        else if (strcmp(p->key, OSSL_SIGNATURE_PARAM_PAD_MODE) == 0)
            good = check_padding(s, p);
        else if (strcmp(p->key, OSSL_SIGNATURE_PARAM_PSS_SALTLEN) == 0)
            good = check_salt(s, p);
        else if (strcmp(p->key, OSSL_SIGNATURE_PARAM_MGF1_DIGEST) == 0)
            good = check_digest_param(s, p);
    }
    return good;
}

static const OSSL_PARAM *settable(void *arg, void *provider)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)arg;
    (void)provider;
    return params;
}

static int sign_init(void *arg, const char *digest, void *provided, const OSSL_PARAM params[])
{
    struct signer *s = arg;
    struct atls_provided *key = provided;

    if (key != NULL) {
        if (key->attester == NULL) {
            ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "key has no attester to sign with");
            return 0;
        }
        atls_provided_ref(key);
        atls_provided_unref(s->key);
        s->key = key;
    }
    if (s->key == NULL)
        return 0;
    atls_writer_clear(&s->tbs);
    s->tbs = atls_writer_init(TBS_LEN_MAX);
    s->pss = false;
    return check_digest(s, digest) && set_params(s, params);
}

/* The signature over tbs, at most size bytes; how many it may be when out is NULL. */
static int sign(const struct signer *s, struct atls_bytes tbs, unsigned char *out, size_t *out_len,
                size_t size)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code;

    if (out == NULL) {
        *out_len = (size_t)EVP_PKEY_get_size(s->key->public);
        return 1;
    }
    if (s->key->algorithm->key_type == ATLS_KEY_RSA && !s->pss)
        return refuse(s, "padding", "of PKCS #1 v1.5");
    code = atls_sign_outside(s->key->attester, s->key->algorithm->scheme, tbs, &signature, &err);
    if (code == ATLS_OK && signature.len > size)
        code = atls_fail(&err, ATLS_E_USAGE,
                         "key of the attester: signature has %zu bytes, room for %zu",
                         signature.len, size);
    if (code == ATLS_OK) {
        memcpy(out, signature.ptr, signature.len);
        *out_len = signature.len;
    }
    atls_buf_clear(&signature);
    return code == ATLS_OK ? 1 : atls_provider_fail(&err);
}

static int sign_one(void *arg, unsigned char *out, size_t *out_len, size_t size,
                    const unsigned char *tbs, size_t tbs_len)
{
    const struct signer *s = arg;

    return s->key != NULL && sign(s, atls_bytes_of(tbs, tbs_len), out, out_len, size);
}

static int sign_update(void *arg, const unsigned char *data, size_t len)
{
    struct signer *s = arg;
    struct atls_err err = ATLS_ERR_INIT;

    if (s->key == NULL)
        return 0;
    if (len != 0)
        atls_put_bytes(&s->tbs, atls_bytes_of(data, len));
    if (s->tbs.failed == ATLS_OK)
        return 1;
    (void)atls_fail(&err, s->tbs.failed, "key of the attester: %s to sign %d bytes at most",
                    s->tbs.failed == ATLS_E_LIMIT ? "asked" : "no memory", TBS_LEN_MAX);
    return atls_provider_fail(&err);
}

static int sign_final(void *arg, unsigned char *out, size_t *out_len, size_t size)
{
    const struct signer *s = arg;

    return s->key != NULL && sign(s, atls_writer_bytes(&s->tbs), out, out_len, size);
}

#define F(x) (void (*)(void))(x)

const OSSL_DISPATCH atls_provider_signature[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, F(new_signer)},
    {OSSL_FUNC_SIGNATURE_FREECTX, F(free_signer)},
    {OSSL_FUNC_SIGNATURE_DUPCTX, F(copy_signer)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, F(sign_init)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, F(sign_update)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, F(sign_final)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, F(sign_one)},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, F(set_params)},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, F(settable)},
    {0, NULL},
};
