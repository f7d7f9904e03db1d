/* What TPM protocols need of libcrypto and nothing else does: the three operations of credential
 * protection (TPM 2.0 Library Part 1, 24 and annexes B.10, C.6), and the extended key usages of the
 * certificates of TPM keys. Any thread. */
#ifndef ATLS_CRYPTO_TPM_CRYPTO_H
#define ATLS_CRYPTO_TPM_CRYPTO_H

#include "crypto/crypto.h"

/* RSAES-OAEP (RFC 8017 section 7.1) with one hash for label and mask. label may hold NULs. *out is
 * the caller's to clear. Errors: ATLS_E_USAGE (no RSA key), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_rsa_oaep_encrypt(const struct atls_key *key,
                                                     enum atls_hash hash, struct atls_bytes label,
                                                     struct atls_bytes plain, struct atls_buf *out,
                                                     struct atls_err *err);

#define ATLS_ECDH_FIELD_MAX 66

/* One half of an ephemeral Diffie-Hellman: every coordinate is padded to the field. shared is a
 * secret: the caller wipes the whole struct. */
struct atls_ecdh {
    size_t len; /* of each coordinate */
    uint8_t shared[ATLS_ECDH_FIELD_MAX];
    uint8_t x[ATLS_ECDH_FIELD_MAX]; /* of the ephemeral public point */
    uint8_t y[ATLS_ECDH_FIELD_MAX];
    uint8_t peer_x[ATLS_ECDH_FIELD_MAX];
};
/* Makes a fresh key on the curve of peer and agrees with it. Errors: ATLS_E_USAGE (peer is no
 * P-256, P-384 or P-521 key), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_ecdh_ephemeral(const struct atls_key *peer,
                                                   struct atls_ecdh *out, struct atls_err *err);

/* AES in cipher feedback mode with a zero IV, key of 16 or 32 bytes; out receives plain.len bytes.
 * Errors: ATLS_E_USAGE (key length), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_aes_cfb_encrypt(struct atls_bytes key, struct atls_bytes plain,
                                                    uint8_t *out, struct atls_err *err);

/* True in *out when the certificate (DER) lists the extended key usage, given in dotted form.
 * Errors: ATLS_E_DECODE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_certificate_has_usage(struct atls_bytes certificate,
                                                          const char *oid, bool *out,
                                                          struct atls_err *err);

#endif
