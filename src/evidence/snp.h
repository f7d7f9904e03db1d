/* AMD SEV-SNP: the checks of a report, in order, and the claims that it gives (docs/snp.md).
 *
 * Whoever has a report in a wrapping of its own (a virtual TPM whose keys are hashed into
 * REPORT_DATA) calls these; the technology "snp" is the same over tsm-report and bare reports.
 *
 *     struct atls_snp_check check = {.report = ..., .report_data = ..., .request = request};
 *
 *     if ((code = atls_snp_verify(&check, &result, err)) == ATLS_OK)
 *         code = atls_snp_claims(&result, spki, &claims, err);
 *     atls_snp_result_clear(&result);
 *
 * Private to src/evidence. */
#ifndef ATLS_EVIDENCE_SNP_H
#define ATLS_EVIDENCE_SNP_H

#include "evidence/evidence.h"
#include "wire/snp.h"

struct atls_snp_vek;

struct atls_snp_check {
    struct atls_bytes report;            /* ATLS_SNP_REPORT_LEN bytes */
    struct atls_bytes certificates;      /* table that came with it; empty: none */
    const struct atls_cmw *endorsements; /* of the bundle; may be NULL */
    struct atls_bytes vek;         /* DER or PEM, leaf first, where no table has it; empty: none */
    struct atls_bytes report_data; /* the 64 bytes that must have been signed */
    const struct atls_evidence_request *request;
};

struct atls_snp_result {
    struct atls_snp_report report; /* borrows from check.report */
    enum atls_snp_line line;       /* UNKNOWN: version 2 and ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE */
    /* The endorsement key and its chain; NULL with ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE. */
    struct atls_snp_vek *vek;
};

/* All checks of docs/snp.md but those of reference values. With ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE
 * those of certificates, signature, TCB of the certificate and chip are left to the Verifier.
 * Errors: ATLS_E_EVIDENCE and ATLS_E_CERTIFICATE with the reason of the failed check,
 * ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED (unsupported-version, -algorithm), those of the
 * source. */
ATLS_MUST_CHECK enum atls_code atls_snp_verify(const struct atls_snp_check *check,
                                               struct atls_snp_result *out, struct atls_err *err);
void atls_snp_result_clear(struct atls_snp_result *result);

/* Fills environment, measurements, details and keys of claims, which the caller initialised and
 * clears; spki is the attested key. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_snp_claims(const struct atls_snp_result *result,
                                               struct atls_bytes spki, struct atls_claims *claims,
                                               struct atls_err *err);

#endif
