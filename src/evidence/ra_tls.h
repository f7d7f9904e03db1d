/* What ties evidence in a certificate to the key of that certificate, in forms that are not ours
 * (docs/ra-tls-forms.md), for every technology whose quotes come in them.
 *
 *     atls_ra_tls_expect(&bundle->pat, request, &answer, err);     what must have been signed
 *     ... verify answer.quote, and that its report data is answer.report_data, all of it ...
 *     atls_ra_tls_accept(&answer, request, err);                   only now are claims read
 *
 * Private to src/evidence. */
#ifndef ATLS_EVIDENCE_RA_TLS_H
#define ATLS_EVIDENCE_RA_TLS_H

#include "evidence/evidence.h"
#include "wire/dcap.h"

enum atls_ra_tls_kind {
    ATLS_RA_TLS_KIND_DICE,
    ATLS_RA_TLS_KIND_QUOTE,
    ATLS_RA_TLS_KIND_OE_REPORT,
    ATLS_RA_TLS_KIND_OE_EVIDENCE
};

struct atls_ra_tls_answer {
    enum atls_ra_tls_kind kind;
    struct atls_bytes quote;  /* borrows from pat */
    struct atls_bytes claims; /* DICE: claims-buffer; OE evidence: custom claims; likewise */
    uint8_t report_data[ATLS_DCAP_REPORT_DATA_LEN];
    bool report_data_is_key; /* its first 32 bytes are the hash of the key itself */
};

/* A platform token in tagged evidence whose quote is of this technology, as far as its header. */
bool atls_ra_tls_dice_is(struct atls_bytes pat, enum atls_dcap_tee tee);

/* DICE: SHA-256 of the claims-buffer; a quote alone: SHA-256 of the key; a report of Open Enclave:
 * SHA-256 of the key as PEM text, its NUL included; evidence of Open Enclave: SHA-256 of its custom
 * claims. 32 bytes of zeros follow. Errors: ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED
 * (unknown-evidence-type, unsupported-version), ATLS_E_LIMIT; those of atls_dcap_quote_decode for
 * evidence of Open Enclave; ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ra_tls_expect(const struct atls_cmw *pat,
                                                  const struct atls_evidence_request *request,
                                                  struct atls_ra_tls_answer *out,
                                                  struct atls_err *err);

/* The claims name the key of the request (key-binding-mismatch), and hold the nonce where one was
 * sent (nonce-mismatch, also of forms that have no place for one). Errors: ATLS_E_EVIDENCE,
 * ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED (unsupported-algorithm), ATLS_E_CRYPTO,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ra_tls_accept(const struct atls_ra_tls_answer *answer,
                                                  const struct atls_evidence_request *request,
                                                  struct atls_err *err);

/* Which form it was, as a detail; false when memory is used up. */
ATLS_MUST_CHECK bool atls_ra_tls_add_details(const struct atls_ra_tls_answer *answer,
                                             const struct atls_evidence_request *request,
                                             struct atls_claims *claims);

#endif
