/* Enrolment: how a verifier comes to trust the attestation key (AK) of a TPM (library
 * libatls-verifier). A TPM proves by credential activation (TPM 2.0 Library Part 1, 24) that the AK
 * lives beside an endorsement key (EK) that its maker certified.
 *
 *     device                                      verifier
 *     atls_tpm2_enrolment_identity  -- request -> atls_enrol_challenge
 *     atls_tpm2_enrolment_activate  <- challenge  (keeps "keep", short-lived)
 *                                   -- secret --> atls_enrol_accept: the AK is in the store
 *
 * Functions may be called from any thread; a store is thread safe. */
#ifndef ATLS_ENROL_H
#define ATLS_ENROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the device says of itself; nothing of it is believed. Borrows during the call. */
struct atls_enrol_request {
    struct atls_bytes ek_certificate; /* DER; empty when the TPM has none */
    struct atls_bytes ek_public;      /* TPMT_PUBLIC */
    struct atls_bytes ak_public;      /* TPMT_PUBLIC */
};

/* Call atls_enrol_options_init first. */
struct atls_enrol_options {
    size_t size;             /* of this struct, set by init */
    bool allow_untrusted_ek; /* an EK without a certificate below an EK anchor is accepted: whoever
                                answers holds some TPM, or none */
    uint32_t lifetime_s;     /* how long the challenge may be answered; default 300 */
    int64_t time_s;          /* now, seconds since 1970; 0: the system's clock */
};
ATLS_API void atls_enrol_options_init(struct atls_enrol_options *options);

/* One challenge; cleared by atls_enrol_challenge_clear. */
struct atls_enrol_challenge {
    struct atls_buf credential_blob;  /* TPM2B_ID_OBJECT, for the device */
    struct atls_buf encrypted_secret; /* TPM2B_ENCRYPTED_SECRET, for the device */
    struct atls_buf keep;             /* for atls_enrol_accept: of the verifier alone. The secret is
                                         not in it */
    int64_t expires_s;                /* seconds since 1970 */
    bool ek_trusted;                  /* the EK's certificate chains to an EK anchor */
    char instance[80];                /* UEID in hex: what the AK will be known by */
};
ATLS_API void atls_enrol_challenge_clear(struct atls_enrol_challenge *challenge); /* wiped */

/* Checks the request and makes a challenge that only the TPM of this EK can open, and only for this
 * AK: EK certificate against the EK anchors of the store, its key equal to the EK's public area,
 * attributes and policy of the EK template, attributes of the AK. Errors: ATLS_E_DECODE
 * (malformed), ATLS_E_CERTIFICATE (chain, or reason name-mismatch: a certificate of another key;
 * with reason certificate-revoked also with allow_untrusted_ek),
 * ATLS_E_EVIDENCE with reason key-attributes or untrusted-root (no certificate, or no anchor),
 * ATLS_E_UNSUPPORTED (key type), ATLS_E_REFUSED with reason identity-mismatch (the instance is on
 * file with another EK), those of the store. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_enrol_challenge(struct atls_store *store, const struct atls_enrol_request *request,
                     const struct atls_enrol_options *options, struct atls_enrol_challenge *out,
                     struct atls_err *err);

/* The device's answer and what the verifier's operator says of the machine. */
struct atls_enrol_answer {
    struct atls_bytes secret;   /* what TPM2_ActivateCredential returned */
    const char *class_uuid;     /* of the machine, for reference values; NULL: none */
    const char *vendor, *model; /* of the class; may be NULL */
    int64_t time_s;             /* now; 0: the system's clock */
};
/* Takes the answer of a challenge: compares in constant time, looks at the expiry, judges the EK
 * once more by this store, and enrols exactly the AK that was challenged. keep is wiped and emptied
 * whatever comes of it, so that nobody can guess twice. Errors: ATLS_E_VERIFY with reason
 * nonce-mismatch (wrong secret, or keep is not what was kept), ATLS_E_TIMEOUT (expired),
 * ATLS_E_DECODE (keep), those of atls_enrol_challenge on the EK and on the instance, those of
 * atls_store_add_attest_key. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_enrol_accept(struct atls_store *store,
                                                          struct atls_buf *keep,
                                                          const struct atls_enrol_answer *answer,
                                                          struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
