/* A TPM that says whatever a test wants, in software: TPMT_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE and
 * whole evidence, signed by keys of the test. Each field can be wrong on its own, before signing
 * (what a broken or lying signer would make) or after it (what somebody on the way would make).
 *
 *     struct test_tpm_evidence e;
 *     test_tpm_evidence_init(&e, binder);          good evidence of a fresh AK and AIK
 *     e.quote.reset_count++;                       one lie
 *     struct atls_buf cmw = test_tpm_evidence_encode(&e);
 *     ...
 *     test_tpm_evidence_clear(&e);
 *
 * Everything fails the test rather than returning an error. */
#ifndef ATLS_TEST_TPM_FORGE_H
#define ATLS_TEST_TPM_FORGE_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/limits.h>

#include "crypto/crypto.h"
#include "wire/cmw.h"
#include "wire/tpm.h"

#define TEST_TPM_AK_ATTRIBUTES    0x00050072u /* restricted signing key, fixed, userWithAuth */
#define TEST_TPM_AIK_ATTRIBUTES   0x00040072u /* unrestricted signing key, fixed, userWithAuth */
#define TEST_TPM_EK_ATTRIBUTES    0x000300b2u
#define TEST_TPM_ENDORSEMENTS_MAX 8

/* A key with the public area that a TPM would describe it by. */
struct test_tpm_key {
    struct atls_private_key *private_key; /* P-256, P-384, P-521 or RSA 2048 */
    uint16_t name_alg;
    uint32_t attributes;
    struct atls_bytes auth_policy;
    uint16_t symmetric, symmetric_bits, symmetric_mode;
    uint16_t scheme, scheme_hash; /* of the public area, and of what the key signs */
    uint16_t kdf;
};

/* A fresh key: attributes as given, SHA-256 Name, ECDSA or RSASSA with the hash of its curve. */
struct test_tpm_key test_tpm_key_new(enum atls_key_type type, uint32_t attributes);
/* An endorsement key of a default template (P-256 or RSA). */
struct test_tpm_key test_tpm_ek_new(enum atls_key_type type);
void test_tpm_key_clear(struct test_tpm_key *key);

/* TPMT_PUBLIC; the caller clears it. */
struct atls_buf test_tpm_public(const struct test_tpm_key *key);
/* Name: nameAlg and digest; the caller clears it. */
struct atls_buf test_tpm_name(const struct test_tpm_key *key);
/* UEID of an attestation key: 01 and the digest of its Name. */
void test_tpm_ueid(const struct test_tpm_key *key, uint8_t out[ATLS_TPM_KID_LEN]);

/* Everything that a TPMS_ATTEST holds, as numbers that nobody checks. */
struct test_tpm_attest {
    uint32_t magic;
    uint16_t type;
    struct atls_bytes qualified_signer, extra_data;
    uint64_t clock;
    uint32_t reset_count, restart_count;
    uint8_t safe;
    uint64_t firmware_version;
    struct atls_tpm_pcr_selection selections[ATLS_TPM_BANKS_MAX]; /* quote; three bitmap bytes */
    size_t selection_count;
    struct atls_bytes pcr_digest;           /* quote */
    struct atls_bytes name, qualified_name; /* certify */
    struct atls_bytes trailing;             /* after the structure */
};
struct atls_buf test_tpm_attest(const struct test_tpm_attest *attest);

/* TPMT_SIGNATURE of key over bytes, by its scheme; ECDSA numbers are cut to their shortest form, as
 * some TPMs do. */
struct atls_buf test_tpm_sign(const struct test_tpm_key *key, struct atls_bytes bytes);

/* All that goes into one bundle. Members of the second part are made by test_tpm_evidence_encode
 * where .ptr is NULL; set one to plant bytes of the test's own. */
struct test_tpm_evidence {
    struct test_tpm_key ak, aik;
    uint8_t nonce[32];
    uint8_t values[4][ATLS_TPM_PCRS_MAX][ATLS_HASH_MAX]; /* backing of banks */
    struct test_tpm_attest certify, quote;
    struct atls_tpm_pcr_values banks[ATLS_TPM_VALUE_BANKS_MAX];
    size_t bank_count;
    struct atls_bytes event_log, ima_log;
    struct atls_bytes ak_chain[ATLS_CHAIN_MAX]; /* DER, leaf first */
    size_t ak_chain_count;
    int64_t ak_chain_first;   /* label of the first certificate */
    uint16_t ak_chain_format; /* content-format; 0: application/pkix-cert */
    bool ak_chain_is_record;  /* "ak-chain" is the first certificate itself, no collection */
    struct atls_cmw_entry endorsements[TEST_TPM_ENDORSEMENTS_MAX]; /* beside the chain */
    size_t endorsement_count;

    struct atls_bytes certify_kid, quote_kid;
    struct atls_bytes ak_public, aik_public;
    struct atls_bytes cert_info, certify_signature; /* certify.name is made when .ptr is NULL */
    struct atls_bytes attest_info, quote_signature; /* quote.pcr_digest likewise */
    const char *kat_type, *pat_type;                /* NULL: the types of TPM evidence */
};
/* Good evidence for a binder of 32 or 48 bytes: P-256 AK and AIK, SHA-256 bank, PCRs 0 to 7 with
 * values of their own. */
void test_tpm_evidence_init(struct test_tpm_evidence *e, struct atls_bytes binder);
void test_tpm_evidence_clear(struct test_tpm_evidence *e);
/* Adds a bank of these PCRs, with values of their own, to values and selection. */
void test_tpm_evidence_add_bank(struct test_tpm_evidence *e, uint16_t hash, uint32_t bitmap);
/* Sets the value of one PCR in bank number at. */
void test_tpm_evidence_set(struct test_tpm_evidence *e, size_t at, unsigned int pcr,
                           struct atls_bytes value);
/* The bundle as CMW; the caller clears it. */
struct atls_buf test_tpm_evidence_encode(const struct test_tpm_evidence *e);
/* DER SubjectPublicKeyInfo of the AIK; borrows from e. */
struct atls_bytes test_tpm_evidence_aik_spki(const struct test_tpm_evidence *e);

#endif
