/* TPM 2.0 structures (TPM 2.0 Library Part 2) as they appear in evidence: pure codecs.
 * Everything borrows from the input; every decoder consumes exactly. */
#ifndef ATLS_WIRE_TPM_H
#define ATLS_WIRE_TPM_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/crypto.h>

#include "core/reader.h"
#include "core/writer.h"

#define ATLS_TPM_GENERATED 0xff544347u
enum atls_tpm_attest_type {
    ATLS_TPM_ST_ATTEST_CERTIFY = 0x8017,
    ATLS_TPM_ST_ATTEST_QUOTE = 0x8018,
};
enum atls_tpm_object_attribute {
    ATLS_TPMA_FIXED_TPM = 1u << 1,
    ATLS_TPMA_FIXED_PARENT = 1u << 4,
    ATLS_TPMA_SENSITIVE_DATA_ORIGIN = 1u << 5,
    ATLS_TPMA_USER_WITH_AUTH = 1u << 6,
    ATLS_TPMA_ADMIN_WITH_POLICY = 1u << 7,
    ATLS_TPMA_RESTRICTED = 1u << 16,
    ATLS_TPMA_DECRYPT = 1u << 17,
    ATLS_TPMA_SIGN = 1u << 18,
};

/* TPM_ALG_ID and TPM_ECC_CURVE (TCG Algorithm Registry) that this project acts on. */
enum atls_tpm_algorithm {
    ATLS_TPM_ALG_RSA = 0x0001,
    ATLS_TPM_ALG_SHA1 = 0x0004,
    ATLS_TPM_ALG_AES = 0x0006,
    ATLS_TPM_ALG_SHA256 = 0x000b,
    ATLS_TPM_ALG_SHA384 = 0x000c,
    ATLS_TPM_ALG_SHA512 = 0x000d,
    ATLS_TPM_ALG_NULL = 0x0010,
    ATLS_TPM_ALG_RSASSA = 0x0014,
    ATLS_TPM_ALG_RSAES = 0x0015,
    ATLS_TPM_ALG_RSAPSS = 0x0016,
    ATLS_TPM_ALG_OAEP = 0x0017,
    ATLS_TPM_ALG_ECDSA = 0x0018,
    ATLS_TPM_ALG_ECDH = 0x0019,
    ATLS_TPM_ALG_ECC = 0x0023,
    ATLS_TPM_ALG_CFB = 0x0043,
};
enum atls_tpm_curve {
    ATLS_TPM_ECC_NIST_P256 = 3,
    ATLS_TPM_ECC_NIST_P384 = 4,
    ATLS_TPM_ECC_NIST_P521 = 5,
};
#define ATLS_TPM_BANKS_MAX 16
/* TPM2B_NAME and TPM2B_DATA: an algorithm number and its largest digest (Part 2, 10.5.3, 10.4.3).
 */
#define ATLS_TPM_NAME_MAX 66

struct atls_tpm_pcr_selection {
    uint16_t hash;   /* TPM_ALG_ID */
    uint32_t bitmap; /* bit n: PCR n; at most 32 PCRs */
};

struct atls_tpms_attest {
    uint32_t magic; /* as found: the caller compares, so that the refusal can say it */
    uint16_t type;
    struct atls_bytes qualified_signer; /* TPM2B content */
    struct atls_bytes extra_data;
    uint64_t clock;
    uint32_t reset_count, restart_count;
    bool safe;
    uint64_t firmware_version;
    /* quote */
    struct atls_tpm_pcr_selection selections[ATLS_TPM_BANKS_MAX];
    size_t selection_count;
    struct atls_bytes pcr_digest;
    /* certify */
    struct atls_bytes name, qualified_name;
};

struct atls_tpmt_signature {
    uint16_t algorithm; /* 0x0014 RSASSA, 0x0016 RSAPSS, 0x0018 ECDSA */
    uint16_t hash;
    struct atls_bytes rsa;  /* RSA */
    struct atls_bytes r, s; /* ECDSA */
};

struct atls_tpmt_public {
    struct atls_bytes raw; /* the bytes that Name is computed over */
    uint16_t type;         /* 0x0001 RSA, 0x0023 ECC */
    uint16_t name_alg;
    uint32_t attributes;
    struct atls_bytes auth_policy;
    uint16_t symmetric, symmetric_bits, symmetric_mode; /* 0x0010: none */
    uint16_t scheme, scheme_hash;                       /* 0x0010: none */
    uint16_t key_bits;                                  /* RSA */
    uint32_t exponent;                                  /* RSA, 65537 when 0 on the wire */
    uint16_t curve;                                     /* ECC: TPM_ECC_CURVE */
    uint16_t kdf, kdf_hash;                             /* ECC; 0x0010: none */
    struct atls_bytes modulus;
    struct atls_bytes x, y;
};

/* TPMS_ATTEST (Part 2, 10.12.12) of a quote or a certification, exactly consumed; *out borrows from
 * in. Any magic and only these two types decode fully; another type is ATLS_E_EVIDENCE,
 * wrong-attest-type, or not-tpm-generated when the magic is wrong too (that check comes first).
 * Errors: ATLS_E_DECODE, malformed. */
ATLS_MUST_CHECK enum atls_code
atls_tpms_attest_decode(struct atls_bytes in, struct atls_tpms_attest *out, struct atls_err *err);
/* TPMT_SIGNATURE (Part 2, 11.3.4), RSASSA, RSAPSS and ECDSA, exactly consumed; *out borrows from
 * in. r and s are as found: leading zeros may be missing. Errors: ATLS_E_DECODE, malformed. */
ATLS_MUST_CHECK enum atls_code atls_tpmt_signature_decode(struct atls_bytes in,
                                                          struct atls_tpmt_signature *out,
                                                          struct atls_err *err);
/* TPMT_PUBLIC (Part 2, 12.2.4), RSA and ECC with a symmetric block cipher or none, exactly
 * consumed; *out borrows from in. Errors: ATLS_E_DECODE, malformed. */
ATLS_MUST_CHECK enum atls_code
atls_tpmt_public_decode(struct atls_bytes in, struct atls_tpmt_public *out, struct atls_err *err);
/* TPM2B_PUBLIC: two size bytes in front; out->raw is what follows them. */
ATLS_MUST_CHECK enum atls_code
atls_tpm2b_public_decode(struct atls_bytes in, struct atls_tpmt_public *out, struct atls_err *err);

/* TPM_ALG_ID of a hash <-> enum; ATLS_HASH_NONE and 0 for what we do not do. */
enum atls_hash atls_tpm_hash(uint16_t algorithm);
uint16_t atls_tpm_hash_id(enum atls_hash hash);

/* DER SubjectPublicKeyInfo of a public area, coordinates padded to the field. Whether the point is
 * on its curve is the crypto layer's to say. Errors: ATLS_E_UNSUPPORTED (curve). */
ATLS_MUST_CHECK enum atls_code atls_tpmt_public_put_spki(const struct atls_tpmt_public *area,
                                                         struct atls_writer *w,
                                                         struct atls_err *err);

/* The halves of TPM evidence inside a bundle (wire/kat.h): CBOR maps with text keys.
 *
 *   kat  {"tpmVer": "2.0", "kid": bstr, "sig": TPMT_SIGNATURE, "certInfo": TPMS_ATTEST,
 *         "pubArea": TPMT_PUBLIC of the AIK}
 *   pat  {"tpmVer": "2.0", "kid": bstr, "sig": TPMT_SIGNATURE, "attestInfo": TPMS_ATTEST,
 *         "akPub": TPMT_PUBLIC of the AK, "pcrs": {uint TPM_ALG_ID => {uint index => bstr}},
 *         ? "eventLog": bstr, ? "imaLog": bstr}
 *
 * kid is a UEID: 01 || 32 bytes, SHA-256 part of the AK's Name. Members and their order are fixed
 * as listed, indices ascend, lengths are definite: one half has one encoding. */
#define ATLS_TPM_VERSION  "2.0"
#define ATLS_TPM_KID_LEN  33
#define ATLS_TPM_PCRS_MAX 24
/* Banks with values: one for each hash that we know. */
#define ATLS_TPM_VALUE_BANKS_MAX 4
struct atls_tpm_pcr_values {
    uint16_t hash;
    uint32_t present; /* bit n: values[n] is there */
    struct atls_bytes values[ATLS_TPM_PCRS_MAX];
};
struct atls_tpm_certify_half {
    struct atls_bytes kid, signature, cert_info, pub_area;
};
struct atls_tpm_quote_half {
    struct atls_bytes kid, signature, attest_info, ak_pub;
    struct atls_tpm_pcr_values banks[ATLS_TPM_VALUE_BANKS_MAX];
    size_t bank_count;
    struct atls_bytes event_log, ima_log; /* .ptr NULL when absent */
};
/* Both decode exactly and borrow from in. Errors: ATLS_E_DECODE: malformed; pcr-selection for a PCR
 * index above 23, out of order or there twice, or a bank that is there twice. */
ATLS_MUST_CHECK enum atls_code atls_tpm_certify_half_decode(struct atls_bytes in,
                                                            struct atls_tpm_certify_half *out,
                                                            struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_tpm_quote_half_decode(struct atls_bytes in,
                                                          struct atls_tpm_quote_half *out,
                                                          struct atls_err *err);
/* Write what the decoders read. A kid of another length, a bank of no PCR or more than
 * ATLS_TPM_VALUE_BANKS_MAX banks are the caller's mistake: the decoder refuses them. */
void atls_tpm_put_certify_half(struct atls_writer *w, const struct atls_tpm_certify_half *half);
void atls_tpm_put_quote_half(struct atls_writer *w, const struct atls_tpm_quote_half *half);

#endif
