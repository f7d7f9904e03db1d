/* Names of algorithms that other headers share. */
#ifndef ATLS_CRYPTO_H
#define ATLS_CRYPTO_H

#include <atls/err.h>

#ifdef __cplusplus
extern "C" {
#endif

enum atls_hash {
    ATLS_HASH_NONE = 0,
    ATLS_HASH_SHA1 = 1, /* TPM PCR banks and old event logs only; never for trust */
    ATLS_HASH_SHA256 = 2,
    ATLS_HASH_SHA384 = 3,
    ATLS_HASH_SHA512 = 4,
};

enum atls_key_type {
    ATLS_KEY_NONE = 0,
    ATLS_KEY_P256 = 1,
    ATLS_KEY_P384 = 2,
    ATLS_KEY_P521 = 3,
    ATLS_KEY_ED25519 = 4,
    ATLS_KEY_RSA = 5,
};

/* TLS SignatureScheme numbers (RFC 8446 section 4.2.3). */
enum atls_signature {
    ATLS_SIGNATURE_NONE = 0,
    ATLS_RSA_PKCS1_SHA256 = 0x0401, /* TPM RSASSA and certificates; not in CertificateVerify */
    ATLS_RSA_PKCS1_SHA384 = 0x0501,
    ATLS_RSA_PKCS1_SHA512 = 0x0601,
    ATLS_ECDSA_P256_SHA256 = 0x0403,
    ATLS_ECDSA_P384_SHA384 = 0x0503,
    ATLS_ECDSA_P521_SHA512 = 0x0603,
    ATLS_RSA_PSS_SHA256 = 0x0804,
    ATLS_RSA_PSS_SHA384 = 0x0805,
    ATLS_RSA_PSS_SHA512 = 0x0806,
    ATLS_ED25519 = 0x0807,
};

#ifdef __cplusplus
}
#endif
#endif
