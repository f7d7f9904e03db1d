/* Evidence of Intel TDX: a quote, what its maker says of the platform, and what a trust domain
 * answered. docs/tdx.md lists the checks in their order.
 *
 *     struct atls_tdx_check check = {.quote = quote, .report_data = challenge, ...};
 *     struct atls_tdx_result result;
 *     if ((code = atls_tdx_verify(&check, &result, err)) != ATLS_OK)
 *         return code;
 *     ... atls_tdx_make_claims(...), or read result.quote.body ...
 *     atls_tdx_result_clear(&result);
 *
 * The quote is verified here and nowhere else, also where another technology carries one. Private
 * to src/evidence. */
#ifndef ATLS_EVIDENCE_TDX_H
#define ATLS_EVIDENCE_TDX_H

#include "evidence/dcap.h"
#include "evidence/evidence.h"
#include "wire/tdx.h"

struct atls_tdx_check {
    struct atls_bytes quote;
    struct atls_bytes report_data;      /* expected, 64 bytes */
    struct atls_bytes event_log;        /* empty: none */
    const struct atls_tdx_rules *rules; /* NULL: strict */
    /* Anchors and collateral; nothing of it is asked with trust_elsewhere. */
    struct atls_dcap_sources sources;
    /* Whether to trust the PCK certificate is another Verifier's to say: structure, the quote's own
     * signature and report data are checked. */
    bool trust_elsewhere;
};

struct atls_tdx_result {
    struct atls_tdx_quote quote;        /* borrows from check.quote */
    struct atls_dcap_platform platform; /* nothing in it with trust_elsewhere */
    bool has_event_log;
    size_t events;
};
void atls_tdx_result_clear(struct atls_tdx_result *result); /* NULL is fine */

/* Every check of docs/tdx.md but reference values. *out is written on success only and is the
 * caller's to clear. Errors: ATLS_E_EVIDENCE with the reason of the failed check,
 * ATLS_E_CERTIFICATE, ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED (unsupported-version,
 * unsupported-algorithm), ATLS_E_LIMIT; ATLS_E_UNAVAILABLE, ATLS_E_IO, ATLS_E_CONFIG of the source;
 * ATLS_E_USAGE (report_data), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_tdx_verify(const struct atls_tdx_check *check,
                                               struct atls_tdx_result *out, struct atls_err *err);

/* Claims of a verified quote for technology: who speaks (platform, class), measurements, details.
 * spki is the attested key, may be empty. *out is the caller's to clear. Errors: ATLS_E_NOMEM;
 * those of the source's anchor_class. */
ATLS_MUST_CHECK enum atls_code atls_tdx_make_claims(const struct atls_technology *technology,
                                                    const struct atls_tdx_check *check,
                                                    const struct atls_tdx_result *result,
                                                    struct atls_bytes spki, struct atls_claims *out,
                                                    struct atls_err *err);

#endif
