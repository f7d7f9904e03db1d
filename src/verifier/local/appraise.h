/* Appraisal: verified claims x what manifests say -> what the result says (docs/appraisal.md).
 * Pure: no store, no clock; any thread. */
#ifndef ATLS_VERIFIER_LOCAL_APPRAISE_H
#define ATLS_VERIFIER_LOCAL_APPRAISE_H

#include "evidence/evidence.h"
#include "store/store.h"
#include "verifier/result.h"

/* What the store holds for the class of the claims. */
struct atls_known_values {
    const struct atls_reference *references;
    size_t reference_count;
    const struct atls_endorsement *endorsements;
    size_t endorsement_count;
};

/* *out is written on success only; endorsed claims that it points at live in the arena of claims,
 * as long as these do. Errors: ATLS_E_NOMEM; ATLS_E_LIMIT (endorsements that add without end, or
 * more than a result can show); ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_appraise(struct atls_claims *claims,
                                             const struct atls_known_values *known,
                                             struct atls_outcome *out, struct atls_err *err);

#endif
