/* What quotes of SGX and TDX have alike: the platform below the maker's root, its collateral, the
 * quoting enclave, the status of both. Each technology calls the steps in the order of docs/tdx.md,
 * its own between them. Private to src/evidence. */
#ifndef ATLS_EVIDENCE_DCAP_H
#define ATLS_EVIDENCE_DCAP_H

#include "evidence/evidence.h"
#include "evidence/tdx_documents.h"
#include "evidence/tdx_status.h"
#include "wire/dcap.h"

struct atls_dcap_check {
    struct atls_dcap_sources sources;
    const struct atls_dcap_rules *rules; /* not NULL */
    struct atls_bytes report_data;       /* expected, 64 bytes */
    /* report_data is the hash of a key and zeros: another hash is key-binding-mismatch. */
    bool report_data_is_key;
};

/* What is known of the platform that made a quote. */
struct atls_dcap_platform {
    struct atls_pck *pck;
    struct atls_dcap_documents documents;
    struct atls_tdx_tcb_status tcb; /* borrows from documents */
};
void atls_dcap_platform_clear(struct atls_dcap_platform *platform);

/* Steps 2 to 5: PCK chain below an anchor, documents, revocation lists, documents of this platform.
 * *out is the caller's to clear, its tcb empty. Errors: as atls_tdx_verify. */
ATLS_MUST_CHECK enum atls_code atls_dcap_verify_platform(const struct atls_dcap_check *check,
                                                         const struct atls_dcap_quote *quote,
                                                         struct atls_dcap_platform *out,
                                                         struct atls_err *err);
/* Steps 7 to 11: quoting enclave, attestation key, signature of the quote. */
ATLS_MUST_CHECK enum atls_code atls_dcap_verify_quote(const struct atls_dcap_check *check,
                                                      const struct atls_dcap_quote *quote,
                                                      const struct atls_dcap_platform *platform,
                                                      struct atls_err *err);
/* What a quote says of itself: its own key signed it. */
ATLS_MUST_CHECK enum atls_code atls_dcap_verify_alone(const struct atls_dcap_check *check,
                                                      const struct atls_dcap_quote *quote,
                                                      struct atls_err *err);
/* Step 12: fills in platform->tcb, and holds it against the rules. body: of TDX; NULL for SGX. */
ATLS_MUST_CHECK enum atls_code atls_dcap_check_tcb(const struct atls_dcap_check *check,
                                                   const struct atls_dcap_quote *quote,
                                                   const struct atls_tdx_body *body,
                                                   struct atls_dcap_platform *platform,
                                                   struct atls_err *err);
/* Step 13, in constant time. Errors: ATLS_E_EVIDENCE (report-data-mismatch, key-binding-mismatch).
 */
ATLS_MUST_CHECK enum atls_code atls_dcap_check_report_data(const struct atls_dcap_check *check,
                                                           struct atls_bytes found,
                                                           struct atls_err *err);
/* Errors: ATLS_E_EVIDENCE (trailing-data). */
ATLS_MUST_CHECK enum atls_code atls_dcap_check_trailing(const struct atls_dcap_check *check,
                                                        const struct atls_dcap_quote *quote,
                                                        struct atls_err *err);

/* ---- claims ---- */

/* Who speaks. platform NULL: nobody verified it; spki: the attested key, may be empty; class_uuid:
 * 16 bytes, of the class below a root that names none. Errors: ATLS_E_NOMEM; those of the source's
 * anchor_class. */
struct atls_dcap_speaker {
    const struct atls_dcap_sources *sources;
    const struct atls_dcap_platform *platform;
    struct atls_bytes spki;
    const uint8_t *class_uuid;
};
ATLS_MUST_CHECK enum atls_code atls_dcap_identify(const struct atls_dcap_speaker *speaker,
                                                  struct atls_claims *claims, struct atls_err *err);
/* Details of the platform: status, advisories, dates, ids. False when memory is used up. */
ATLS_MUST_CHECK bool atls_dcap_add_platform(const struct atls_dcap_platform *platform,
                                            struct atls_claims *claims);

#endif
