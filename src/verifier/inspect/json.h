/* Values of a checked JSON text on their way out. Not for others. */
#ifndef ATLS_VERIFIER_INSPECT_JSON_H
#define ATLS_VERIFIER_INSPECT_JSON_H

#include "verifier/inspect/view.h"
#include "wire/json.h"

/* As atls_json_parse. Errors also: ATLS_E_UNSUPPORTED (U+0000 in some string, which readers of what
 * is shown would not bear in a member's name). */
ATLS_MUST_CHECK enum atls_code
atls_view_json_parse(struct atls_bytes in, struct atls_json_value *out, struct atls_err *err);
/* Members keep their order; numbers that are not short integers become text. */
void atls_view_put_json(struct atls_json *j, const char *key, const struct atls_json_value *value);

#endif
