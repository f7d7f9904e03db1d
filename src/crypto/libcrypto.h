/* What this folder keeps of libcrypto: everything fetched once per process and immutable after,
 * since OpenSSL 3 takes locks and walks its providers for each fetch by name. Private to
 * src/crypto. */
#ifndef ATLS_CRYPTO_LIBCRYPTO_H
#define ATLS_CRYPTO_LIBCRYPTO_H

#include <stdatomic.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/crypto.h"

#define ATLS_HASH_COUNT     (ATLS_HASH_SHA512 + 1)
#define ATLS_KEY_TYPE_COUNT (ATLS_KEY_RSA + 1)

struct atls_libcrypto {
    EVP_MD *md[ATLS_HASH_COUNT];          /* NULL where the provider has none */
    EVP_MAC_CTX *hmac[ATLS_HASH_COUNT];   /* templates: duplicated, then given their key */
    EVP_PKEY *curve[ATLS_KEY_TYPE_COUNT]; /* templates: curve without point */
};

/* The table. Never NULL; members are NULL where libcrypto has no such algorithm. Any thread. */
const struct atls_libcrypto *atls_libcrypto(void);

/* Fails with ATLS_E_CRYPTO, naming what was tried and libcrypto's reason; empties its error queue.
 */
enum atls_code atls_fail_libcrypto(struct atls_err *err, const char *what);

/* True when an allocation is among the failures in the error queue, which is empty afterwards. */
bool atls_libcrypto_lacks_memory(void);
/* As atls_fail with ATLS_E_NOMEM and the name of what was being made. */
enum atls_code atls_fail_memory(struct atls_err *err, const char *what);

/* What one key does again and again, of one kind: verifying, or signing. Setting an operation up
 * looks algorithms up by name, through every name that libcrypto knows; a copy of one that is set
 * up does not. All zeros at first; holds the key, and nothing of what was signed. Any thread. */
struct atls_operation {
    EVP_PKEY_CTX *_Atomic kept; /* NULL until first used, the same from then on */
};
/* A context of this key after init, the caller's to free and nobody else's. Errors: ATLS_E_NOMEM,
 * ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_operation_begin(struct atls_operation *op, EVP_PKEY *pkey,
                                                    int (*init)(EVP_PKEY_CTX *ctx),
                                                    EVP_PKEY_CTX **out, struct atls_err *err);
void atls_operation_clear(struct atls_operation *op);

struct atls_key {
    atomic_uint references;
    enum atls_key_type type;
    EVP_PKEY *pkey;
    struct atls_buf spki;
    struct atls_operation *verifying; /* allocated with the key, which others see as const */
};

/* Takes over pkey on success. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_key_wrap(enum atls_key_type type, EVP_PKEY *pkey,
                                             struct atls_bytes spki, struct atls_key **out,
                                             struct atls_err *err);

/* Bytes of one coordinate of the curve; 0 for other keys. */
size_t atls_key_field_len(enum atls_key_type type);

/* Padding, salt and digest that an RSA scheme needs; nothing for other keys. */
ATLS_MUST_CHECK enum atls_code atls_signature_configure(const struct atls_signature_algorithm *alg,
                                                        EVP_PKEY_CTX *ctx, struct atls_err *err);

/* Row of scheme if key can make it, with the errors of atls_key_verify otherwise. */
ATLS_MUST_CHECK enum atls_code atls_signature_for_key(const struct atls_key *key,
                                                      enum atls_signature scheme,
                                                      const struct atls_signature_algorithm **out,
                                                      struct atls_err *err);

/* X.509 certificate, exactly consumed; the caller frees it. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_x509_parse(struct atls_bytes der, X509 **out,
                                               struct atls_err *err);

/* CertificateList, exactly consumed; the caller frees it. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_crl_parse(struct atls_bytes der, X509_CRL **out,
                                              struct atls_err *err);

/* DER of every PEM block with this label, of at least one; blocks of other labels are passed over.
 * out has room for max, the caller clears each. Errors: ATLS_E_DECODE, ATLS_E_LIMIT (max, 16 MiB),
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_pem_blocks(const char *label, struct atls_bytes pem,
                                               struct atls_buf *out, size_t max, size_t *out_count,
                                               struct atls_err *err);

/* Anchors, as chain.c needs them. */
X509_STORE *atls_anchors_store(const struct atls_anchors *a);
bool atls_anchors_have_crls(const struct atls_anchors *a);
/* True when a revocation list of this issuer was added. */
bool atls_anchors_have_crl_of(const struct atls_anchors *a, const X509_NAME *issuer);
/* Earliest nextUpdate of the lists of this issuer, INT64_MAX without. */
int64_t atls_anchors_crl_next_update_s(const struct atls_anchors *a, const X509_NAME *issuer);

/* Seconds since 1970. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_asn1_time(const ASN1_TIME *time, int64_t *out,
                                              struct atls_err *err);

#endif
