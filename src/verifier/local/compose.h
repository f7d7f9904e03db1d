/* PCRs of which evidence has nothing but a digest over all of them: values that reference manifests
 * name are tried until some hash to it. Hashing is one-way, so these are the machine's values, and
 * appraisal goes on as if the evidence had named them. */
#ifndef ATLS_VERIFIER_LOCAL_COMPOSE_H
#define ATLS_VERIFIER_LOCAL_COMPOSE_H

#include "evidence/evidence.h"
#include "store/store.h"

/* Different values of one PCR that are tried; of more, the first. */
#define ATLS_COMPOSE_VALUES_MAX 32
/* Digests of one appraisal: some tens of milliseconds. */
#define ATLS_COMPOSE_TRIES_MAX 16384

/* Values of references (count of them) that apply to the environment of claims take the place of
 * the measurement "pcr-digest" when they hash to it, ordered by PCR; claims->composite is NULL
 * then. Claims without composite, and such as no values fit, stay as they are. Errors:
 * ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_compose(struct atls_claims *claims,
                                            const struct atls_reference *references, size_t count,
                                            struct atls_err *err);

#endif
