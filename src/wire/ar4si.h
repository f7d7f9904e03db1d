/* Names of the trust vector and its tiers (draft-ietf-rats-ar4si section 2.3, draft-ietf-rats-ear
 * section 3): what atls/result.h declares, and the way back from text. */
#ifndef ATLS_WIRE_AR4SI_H
#define ATLS_WIRE_AR4SI_H

#include <stdbool.h>

#include <atls/result.h>

/* Case-sensitive; false for any other text. */
ATLS_MUST_CHECK bool atls_tier_parse(struct atls_bytes name, enum atls_tier *out);
ATLS_MUST_CHECK bool atls_trust_claim_parse(struct atls_bytes name, enum atls_trust_claim *out);

/* False when status is better than what tier, of a claim or a submodule, allows: a warning or a
 * contraindication must show (draft-ietf-rats-ear section 3.2). */
bool atls_tier_allows(enum atls_tier tier, enum atls_tier status);

#endif
