/* The provider behind key.h: management of keys (provider.c) and signatures (provider_sign.c).
 * Everything public about a key is asked of the same key in OpenSSL's own implementation, so only
 * the private operation is ours. Private to key.c. */
#ifndef ATLS_TLS_OPENSSL_PROVIDER_H
#define ATLS_TLS_OPENSSL_PROVIDER_H

#include <stdatomic.h>

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include <atls/attester.h>

#include "crypto/crypto.h"

/* The name of the provider, and of the parameter by which EVP_PKEY_fromdata takes a pointer to a
 * struct atls_provided. */
#define ATLS_PROVIDER       "atls"
#define ATLS_PROVIDER_QUERY "provider=" ATLS_PROVIDER
#define ATLS_PROVIDER_KEY   "atls-attester"

/* A key of the provider. Immutable once imported; references are counted. */
struct atls_provided {
    atomic_uint references;
    const char *type;               /* "EC", "RSA", "ED25519" */
    EVP_PKEY *public;               /* the public half, of OpenSSL's own provider */
    struct atls_attester *attester; /* NULL: a public half alone, to compare with */
    const struct atls_signature_algorithm
        *algorithm; /* that it signs with; NULL without attester */
};
struct atls_provided *atls_provided_ref(struct atls_provided *key);
void atls_provided_unref(struct atls_provided *key); /* NULL is fine */

/* The library context that holds the provider, made when first asked for and there until the
 * process ends; NULL when it cannot be made (OpenSSL's error queue says why). Any thread. */
OSSL_LIB_CTX *atls_provider_library(void);

/* Puts what err says into OpenSSL's error queue; 0, for the caller to return. */
int atls_provider_fail(const struct atls_err *err);

extern const OSSL_DISPATCH atls_provider_signature[];

#endif
