/* What endorsers add to the accepted claims (draft-ietf-rats-corim, "Endorsed Values
 * Augmentation"): endorsed values, conditional endorsements, series of them, and then domains.
 * Additions are entries of their own, under the authority of their manifest: nothing changes what
 * others said. */
#ifndef ATLS_VERIFIER_LOCAL_ENDORSE_H
#define ATLS_VERIFIER_LOCAL_ENDORSE_H

#include <stddef.h>

#include "store/store.h"
#include "verifier/local/accepted_claims.h"
#include "wire/corim_triples.h"

/* An addition may be what another condition waits for. */
#define ATLS_ENDORSE_ROUNDS_MAX 16

/* Adds what count endorsements say of what is in the set: endorsed values when their environment is
 * there; all additions of a conditional endorsement when every condition holds; of a series those
 * of the first entry whose selection holds for what the condition holds for. Repeats until nothing
 * is new; what was added once is not tried again. A kind that is none of the three adds nothing.
 * Errors: ATLS_E_LIMIT (of verifier/local/accepted_claims.h, or not done after
 * ATLS_ENDORSE_ROUNDS_MAX rounds), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_endorse(struct atls_accepted_claims *acs,
                                            const struct atls_endorsement *endorsements,
                                            size_t count, struct atls_err *err);

/* A domain triple of a manifest. */
struct atls_domain_statement {
    const char *manifest;
    struct atls_bytes authority;
    const struct atls_corim_domain *domain;
};

/* Adds each domain (ATLS_TRIPLE_MEMBERSHIP) once all its members are there, as evidence or as
 * domains; then each dependency (ATLS_TRIPLE_DEPENDENCY) whose trustees are members of one domain
 * of its environment. Domains that contain each other are never added. Errors: ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_endorse_domains(struct atls_accepted_claims *acs,
                                                    const struct atls_domain_statement *statements,
                                                    size_t count, struct atls_err *err);

#endif
