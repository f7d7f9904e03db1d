/* Appraisal: verified claims x reference values -> what the result says (docs/appraisal.md). Pure:
 * no store, no clock; any thread. */
#ifndef ATLS_VERIFIER_LOCAL_APPRAISE_H
#define ATLS_VERIFIER_LOCAL_APPRAISE_H

#include "evidence/evidence.h"
#include "store/store.h"
#include "verifier/result.h"

/* references: what the store holds for the class of claims, count of them. *out is written on
 * success only. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_appraise(const struct atls_claims *claims,
                                             const struct atls_reference *references, size_t count,
                                             struct atls_outcome *out, struct atls_err *err);

#endif
