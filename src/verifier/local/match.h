/* Matching of CoRIM: does what a manifest says hold for what evidence says? (draft-ietf-rats-corim,
 * "Comparing a condition ECT against an accepted claims set"). Pure: any thread. */
#ifndef ATLS_VERIFIER_LOCAL_MATCH_H
#define ATLS_VERIFIER_LOCAL_MATCH_H

#include <stdbool.h>

#include "wire/measurement.h"

/* Every member of condition is in actual, with equal bytes; actual may have more. */
bool atls_environment_matches(const struct atls_environment *condition,
                              const struct atls_environment *actual);

/* Equal kind and content; a measurement without mkey matches only another without. */
bool atls_mkey_equal(const struct atls_mkey *a, const struct atls_mkey *b);

/* The digest of a list that is of the same algorithm as d, or NULL; borrows from the list. */
const struct atls_digest *atls_digest_alike(const struct atls_mval *list,
                                            const struct atls_digest *d);

/* Every member of condition is in actual and holds: version, name equal; svn equal, or at least the
 * minimum; digests have an algorithm in common and every common one is equal; flags equal; raw
 * value equal under the mask. An empty condition and one with a member that this build does not
 * compare hold for nothing. */
bool atls_mval_holds(const struct atls_mval *condition, const struct atls_mval *actual);

#endif
