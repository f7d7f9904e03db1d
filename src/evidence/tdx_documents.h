/* Collateral of a platform of SGX or TDX: where each document comes from, its signature and its
 * time. Private to src/evidence. */
#ifndef ATLS_EVIDENCE_TDX_DOCUMENTS_H
#define ATLS_EVIDENCE_TDX_DOCUMENTS_H

#include "evidence/evidence.h"
#include "evidence/tdx_pck.h"

/* Who may have documents: the Verifier's own come first, where one holds at the time. */
struct atls_dcap_sources {
    const struct atls_endorsement_source *source; /* or NULL */
    const struct atls_cmw *endorsements;          /* of the bundle, or NULL */
    struct atls_chain_cache *cache;               /* or NULL */
    int64_t time_s;
    enum atls_dcap_tee tee; /* whose documents */
};

/* What there is of one kind. */
struct atls_dcap_offer {
    struct atls_buf own;
    struct atls_bytes bundled;
    enum atls_code failure; /* of the place that own would come from; ATLS_OK: none */
    enum atls_reason stale; /* why one that is on file does not count; NONE: there is none */
};
void atls_dcap_offer_clear(struct atls_dcap_offer *offer);
/* Errors: ATLS_E_NOMEM, ATLS_E_CONFIG and the like from the source; that it has none, or none now,
 * is no error. */
ATLS_MUST_CHECK enum atls_code atls_dcap_offer_get(const struct atls_dcap_sources *sources,
                                                   enum atls_collateral_kind kind,
                                                   const char *subject, struct atls_dcap_offer *out,
                                                   struct atls_err *err);
/* The one that is preferred; empty when there is none. */
struct atls_bytes atls_dcap_offer_first(const struct atls_dcap_offer *offer);

/* A signed document that was verified. Immutable, reference counted. */
struct atls_dcap_document;

/* Documents that go together; evaluation is NULL where nobody has it. */
struct atls_dcap_documents {
    struct atls_dcap_document *tcb_info, *qe_identity, *evaluation;
};
void atls_dcap_documents_clear(struct atls_dcap_documents *documents);
/* These borrow. */
const struct atls_tdx_tcb_info *atls_tdx_tcb_info_of(const struct atls_dcap_documents *documents);
const struct atls_tdx_qe_identity *
atls_tdx_qe_identity_of(const struct atls_dcap_documents *documents);
/* NULL where there is none. */
const struct atls_tdx_evaluation *
atls_tdx_evaluation_of(const struct atls_dcap_documents *documents);

/* Finds and verifies the documents for a platform: signing chain below the root of its PCK chain,
 * signature over the exact text, id and version, time. *out is the caller's to clear. Errors:
 * ATLS_E_EVIDENCE with reason collateral-unavailable, collateral-signature, tcb-info-mismatch,
 * qe-identity-mismatch, tcb-eval-number (id of the evaluation data numbers), collateral-expired,
 * collateral-not-yet-valid; ATLS_E_CERTIFICATE as atls_pck_verify; ATLS_E_UNAVAILABLE, ATLS_E_IO
 * (collateral-unavailable) when the place to fetch from failed; ATLS_E_DECODE (malformed),
 * ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_dcap_documents_get(const struct atls_dcap_sources *sources,
                                                       const struct atls_pck *pck,
                                                       struct atls_dcap_documents *out,
                                                       struct atls_err *err);

/* Neither the intermediate nor the signers of documents are on the root's revocation list, nor the
 * leaf on its issuer's. optional: none at hand is no refusal. Errors: ATLS_E_EVIDENCE with reason
 * crl-unavailable (ATLS_E_UNAVAILABLE, ATLS_E_IO as above); ATLS_E_CERTIFICATE with reason
 * crl-signature, crl-expired, certificate-revoked; ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code
atls_dcap_check_revocation(const struct atls_dcap_sources *sources, const struct atls_pck *pck,
                           const struct atls_dcap_documents *documents, bool optional,
                           struct atls_err *err);

#endif
