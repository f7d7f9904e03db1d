#include "tls/openssl/provider.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

/* ---- keys ---- */

struct atls_provided *atls_provided_ref(struct atls_provided *key)
{
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
    return key;
}

void atls_provided_unref(struct atls_provided *key)
{
    if (key == NULL || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(key->public);
    atls_attester_unref(key->attester);
    free(key);
}

static void *new_key(const char *type)
{
    struct atls_provided *key = calloc(1, sizeof *key);

    if (key == NULL) {
        ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
        return NULL;
    }
    atomic_init(&key->references, 1);
    key->type = type;
    return key;
}

static void *new_ec(void *provider)
{
    (void)provider;
    return new_key("EC");
}

static void *new_rsa(void *provider)
{
    (void)provider;
    return new_key("RSA");
}

static void *new_ed25519(void *provider)
{
    (void)provider;
    return new_key("ED25519");
}

static void free_key(void *arg)
{
    atls_provided_unref(arg);
}

static int has(const void *arg, int selection)
{
    const struct atls_provided *key = arg;

    return key != NULL && key->public != NULL &&
           ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->attester != NULL);
}

/* Of two keys the public halves say all. */
static int match(const void *a, const void *b, int selection)
{
    const struct atls_provided *one = a, *other = b;

    if (one->public == NULL || other->public == NULL)
        return 0;
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0
               ? EVP_PKEY_eq(one->public, other->public) == 1
               : EVP_PKEY_parameters_eq(one->public, other->public) == 1;
}

/* Our own key, from atls_openssl_key_new. */
static int import_attester(struct atls_provided *key, const OSSL_PARAM *param)
{
    struct atls_provided *from;

    if (param->data_type != OSSL_PARAM_OCTET_STRING || param->data_size != sizeof from)
        return 0;
    memcpy(&from, param->data, sizeof from);
    if (EVP_PKEY_up_ref(from->public) != 1)
        return 0;
    key->public = from->public;
    key->attester = atls_attester_ref(from->attester);
    key->algorithm = from->algorithm;
    return 1;
}

/* A key of another provider that ours is compared with: its public half. */
static int import_public(struct atls_provided *key, const OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
    OSSL_PARAM *copy = OSSL_PARAM_dup(params);
    EVP_PKEY *public = NULL;
    int done = ctx != NULL && copy != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
               EVP_PKEY_fromdata(ctx, &public, EVP_PKEY_PUBLIC_KEY, copy) == 1;

    OSSL_PARAM_free(copy);
    EVP_PKEY_CTX_free(ctx);
    key->public = public;
    return done;
}

static int import(void *arg, int selection, const OSSL_PARAM *params)
{
    struct atls_provided *key = arg;
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, ATLS_PROVIDER_KEY);

    (void)selection;
    if (key->public != NULL)
        return 0;
    return param != NULL ? import_attester(key, param) : import_public(key, params);
}

/* Nobody gets the private half: whoever is to sign must come here. */
static int export(void *arg, int selection, OSSL_CALLBACK *callback, void *callback_arg)
{
    const struct atls_provided *key = arg;

    if (key->public == NULL || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
        return 0;
    return EVP_PKEY_export(key->public, selection, callback, callback_arg);
}

/* clang-format off */
#define TEXT(name)    OSSL_PARAM_utf8_string(name, NULL, 0)
#define OCTETS(name)  OSSL_PARAM_octet_string(name, NULL, 0)
#define INTEGER(name) OSSL_PARAM_int(name, NULL)
#define NUMBER(name)  OSSL_PARAM_BN(name, NULL, 0)
/* clang-format on */

static const OSSL_PARAM *transfer_ec(int selection)
{
    static const OSSL_PARAM params[] = {TEXT(OSSL_PKEY_PARAM_GROUP_NAME),
                                        OCTETS(OSSL_PKEY_PARAM_PUB_KEY), OSSL_PARAM_END};

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? params : NULL;
}

static const OSSL_PARAM *transfer_rsa(int selection)
{
    static const OSSL_PARAM params[] = {NUMBER(OSSL_PKEY_PARAM_RSA_N),
                                        NUMBER(OSSL_PKEY_PARAM_RSA_E), OSSL_PARAM_END};

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? params : NULL;
}

static const OSSL_PARAM *transfer_ed25519(int selection)
{
    static const OSSL_PARAM params[] = {OCTETS(OSSL_PKEY_PARAM_PUB_KEY), OSSL_PARAM_END};

    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? params : NULL;
}

/* What every key tells; what one type alone knows is found by name as well. */
static const OSSL_PARAM *gettable(void *provider)
{
    static const OSSL_PARAM params[] = {INTEGER(OSSL_PKEY_PARAM_BITS),
                                        INTEGER(OSSL_PKEY_PARAM_SECURITY_BITS),
                                        INTEGER(OSSL_PKEY_PARAM_MAX_SIZE),
                                        TEXT(OSSL_PKEY_PARAM_DEFAULT_DIGEST),
                                        TEXT(OSSL_PKEY_PARAM_MANDATORY_DIGEST),
                                        TEXT(OSSL_PKEY_PARAM_GROUP_NAME),
                                        OCTETS(OSSL_PKEY_PARAM_PUB_KEY),
                                        OCTETS(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY),
                                        NUMBER(OSSL_PKEY_PARAM_RSA_N),
                                        NUMBER(OSSL_PKEY_PARAM_RSA_E),
                                        OSSL_PARAM_END};

    (void)provider;
    return params;
}

static int set_digest(OSSL_PARAM *params, const char *name, const char *digest)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return param == NULL || OSSL_PARAM_set_utf8_string(param, digest) == 1;
}

/* As OpenSSL's own implementation has it, but for the digest: the attester's scheme has one. */
static int get_params(void *arg, OSSL_PARAM params[])
{
    static const char *const digests[] = {
        [ATLS_HASH_NONE] = "",
        [ATLS_HASH_SHA256] = "SHA256",
        [ATLS_HASH_SHA384] = "SHA384",
        [ATLS_HASH_SHA512] = "SHA512",
    };
    const struct atls_provided *key = arg;

    if (key->public == NULL || EVP_PKEY_get_params(key->public, params) != 1)
        return 0;
    return key->algorithm == NULL ||
           (set_digest(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, digests[key->algorithm->hash]) &&
            set_digest(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST, digests[key->algorithm->hash]));
}

static const char *operation_ec(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *operation_rsa(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *operation_ed25519(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ED25519" : NULL;
}

/* ---- tables ---- */

/* OSSL_DISPATCH holds functions of every type as one type. */
#define F(x) (void (*)(void))(x)

#define KEYS(type)                                                                                 \
    static const OSSL_DISPATCH type##_keys[] = {                                                   \
        {OSSL_FUNC_KEYMGMT_NEW, F(new_##type)},                                                    \
        {OSSL_FUNC_KEYMGMT_FREE, F(free_key)},                                                     \
        {OSSL_FUNC_KEYMGMT_HAS, F(has)},                                                           \
        {OSSL_FUNC_KEYMGMT_MATCH, F(match)},                                                       \
        {OSSL_FUNC_KEYMGMT_IMPORT, F(import)},                                                     \
        {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, F(transfer_##type)},                                      \
        {OSSL_FUNC_KEYMGMT_EXPORT, F(export)},                                                     \
        {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, F(transfer_##type)},                                      \
        {OSSL_FUNC_KEYMGMT_GET_PARAMS, F(get_params)},                                             \
        {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, F(gettable)},                                          \
        {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, F(operation_##type)},                             \
        {0, NULL},                                                                                 \
    }

KEYS(ec);
KEYS(rsa);
KEYS(ed25519);

static const OSSL_ALGORITHM keys[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", ATLS_PROVIDER_QUERY, ec_keys, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", ATLS_PROVIDER_QUERY, rsa_keys, NULL},
    {"ED25519:1.3.101.112", ATLS_PROVIDER_QUERY, ed25519_keys, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signatures[] = {
    {"ECDSA", ATLS_PROVIDER_QUERY, atls_provider_signature, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", ATLS_PROVIDER_QUERY, atls_provider_signature, NULL},
    {"ED25519:1.3.101.112", ATLS_PROVIDER_QUERY, atls_provider_signature, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *out_no_cache)
{
    (void)provider;
    *out_no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
                const OSSL_DISPATCH **out, void **out_provider)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, F(query)},
        {0, NULL},
    };

    (void)handle;
    (void)core;
    *out = functions;
    *out_provider = NULL;
    return 1;
}

/* ---- library context ---- */

/* Beside ours, "default" has what OpenSSL looks for where a key is: encoders of its public half
 * (i2d_PUBKEY), digests by name. */
static OSSL_LIB_CTX *make_library(void)
{
    OSSL_LIB_CTX *made = OSSL_LIB_CTX_new();

    if (made != NULL && OSSL_PROVIDER_add_builtin(made, ATLS_PROVIDER, init) == 1 &&
        OSSL_PROVIDER_load(made, ATLS_PROVIDER) != NULL &&
        OSSL_PROVIDER_load(made, "default") != NULL)
        return made;
    OSSL_LIB_CTX_free(made);
    return NULL;
}

/* A context of its own, since in the program's a search for "EC" without a property could find
 * ours. It is never freed: keys live in it, and the last of them may go after everything else. */
OSSL_LIB_CTX *atls_provider_library(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static OSSL_LIB_CTX *library;
    OSSL_LIB_CTX *out;

    pthread_mutex_lock(&lock);
    if (library == NULL)
        library = make_library();
    out = library;
    pthread_mutex_unlock(&lock);
    return out;
}

int atls_provider_fail(const struct atls_err *err)
{
    ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "%s", err->message);
    return 0;
}
