/* Members of measurement values that profiles define: equal, or an expression that the entry's
 * value satisfies (draft-cds-rats-intel-corim-profile). Pure: any thread. */
#ifndef ATLS_VERIFIER_LOCAL_EXPRESSION_H
#define ATLS_VERIFIER_LOCAL_EXPRESSION_H

#include <stdbool.h>

#include <atls/bytes.h>

/* Does the encoded item condition hold for the encoded item actual, which stands on the left?
 *
 *     60010 [operator, integer]         actual is an integer: equal, more, less
 *     60020 [operator, [+ digest]]      actual is a digest: in the set, or not in it
 *     60021 [operator, [+ text]]        actual is text: likewise
 *     anything else                     equal bytes
 *
 * An expression that is malformed or that has another operator holds for nothing; nor does "not in
 * the set" for a digest of an algorithm that the set does not know. */
bool atls_extension_holds(struct atls_bytes condition, struct atls_bytes actual);

#endif
