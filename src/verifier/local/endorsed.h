/* Endorsed claims for the result: copies of what endorsers added, which outlive the store's. */
#ifndef ATLS_VERIFIER_LOCAL_ENDORSED_H
#define ATLS_VERIFIER_LOCAL_ENDORSED_H

#include "core/arena.h"
#include "verifier/local/accepted_claims.h"
#include "verifier/result.h"

/* A result shows all endorsed claims or there is none: a policy that looks for a bad one must not
 * be talked past it by many good ones. */
#define ATLS_ENDORSED_MAX       256
#define ATLS_ENDORSED_BYTES_MAX (64 * 1024)

/* Copies every endorsement of the set, and the conflicts that it names, into arena, whose limit
 * grows by what they need; outcome points at them. Errors: ATLS_E_LIMIT (more than
 * ATLS_ENDORSED_MAX, or than ATLS_ENDORSED_BYTES_MAX of content), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_endorsed_keep(const struct atls_accepted_claims *acs,
                                                  struct atls_arena *arena,
                                                  struct atls_outcome *outcome,
                                                  struct atls_err *err);

#endif
