/* Verification of what a TPM signed: TPM2_Certify of a TLS key, TPM2_Quote of PCRs. These two
 * functions are the whole of the signature, freshness and content checks; atls_technology_tpm calls
 * them after it has established which attestation key (AK) to trust, and so does every tool that
 * holds the pieces one by one. Neither can be half-used: an expected nonce and key are not
 * optional.
 *
 * Checks run in the order of the members' comments, and the first that fails gives the reason. Any
 * thread; results borrow from the inputs. */
#ifndef ATLS_EVIDENCE_TPM_H
#define ATLS_EVIDENCE_TPM_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/crypto.h"
#include "evidence/event_log.h"
#include "evidence/ima_log.h"
#include "wire/tpm.h"

/* The AK, already trusted by the caller. */
struct atls_tpm_signer {
    const struct atls_key *key;
    /* Its public area: signatures must have its scheme and hash. NULL when only the key is on file;
     * then what the signature names is taken, if it fits the key and is not SHA-1. */
    const struct atls_tpmt_public *area;
    /* Where trust is somebody else's to say and the evidence carries no key: signatures are
     * decoded, not verified. key is NULL then, and must not be otherwise. */
    bool elsewhere;
};

struct atls_tpm_certify_check {
    struct atls_tpm_signer signer;
    struct atls_bytes attest;    /* TPMS_ATTEST: malformed, not-tpm-generated, wrong-attest-type */
    struct atls_bytes signature; /* TPMT_SIGNATURE: malformed, weak-hash, signature */
    struct atls_bytes nonce;     /* expected extraData; nonce-mismatch, also when it is empty */
    struct atls_bytes subject; /* TPMT_PUBLIC of the certified key: name-mismatch, key-attributes */
    struct atls_bytes spki;    /* DER of the TLS key: key-binding-mismatch */
    bool allow_unsafe_clock;   /* else clock-unsafe, after qualified-signer-empty */
};
/* Verifies a TPM2_Certify. *out is written on success only. Errors: ATLS_E_EVIDENCE with the
 * reasons above, ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED (algorithm), ATLS_E_CRYPTO,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm_certify_verify(const struct atls_tpm_certify_check *check,
                                                       struct atls_tpms_attest *out,
                                                       struct atls_err *err);

struct atls_tpm_quote_check {
    struct atls_tpm_signer signer;
    struct atls_bytes attest;    /* as above */
    struct atls_bytes signature; /* as above; then qualified-signer-empty */
    struct atls_bytes nonce;     /* as above */
    bool allow_unsafe_clock;     /* else clock-unsafe */
    bool allow_sha1_pcr_bank;    /* else weak-pcr-bank */
    /* Values: exactly the selected banks and PCRs (pcr-selection), whose digest is the quoted one
     * (pcr-digest-mismatch). */
    const struct atls_tpm_pcr_values *banks;
    size_t bank_count;
    struct atls_bytes event_log; /* .ptr NULL: none; event-log-mismatch */
    struct atls_bytes ima_log;   /* .ptr NULL: none; ima-log-mismatch */
    bool allow_ima_violations;   /* else measurement */
};
struct atls_tpm_quote_result {
    struct atls_tpms_attest attest;
    bool has_event_log, has_ima_log;
    struct atls_boot_summary boot;
    struct atls_ima_summary ima;
};
/* Verifies a TPM2_Quote with the values and logs that come with it. *out is written on success
 * only. Errors: as above; ATLS_E_LIMIT (a log). */
ATLS_MUST_CHECK enum atls_code atls_tpm_quote_verify(const struct atls_tpm_quote_check *check,
                                                     struct atls_tpm_quote_result *out,
                                                     struct atls_err *err);

/* The first half of it, for quotes that come without values: structure, signature, qualified
 * signer, nonce, clock. *out_hash is the hash of the signature, and so of the digest of PCRs.
 * Errors: as above. */
ATLS_MUST_CHECK enum atls_code
atls_tpm_quote_verify_signed(const struct atls_tpm_quote_check *check, struct atls_tpms_attest *out,
                             enum atls_hash *out_hash, struct atls_err *err);

/* No hash links certification and quote: one key, one nonce and one boot of one TPM do. Errors:
 * ATLS_E_EVIDENCE (qualified-signer-mismatch, reset-count-mismatch). */
ATLS_MUST_CHECK enum atls_code atls_tpm_check_pair(const struct atls_tpms_attest *certify,
                                                   const struct atls_tpms_attest *quote,
                                                   struct atls_err *err);

#endif
