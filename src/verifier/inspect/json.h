/* Values of a checked JSON text on their way out. Not for others. */
#ifndef ATLS_VERIFIER_INSPECT_JSON_H
#define ATLS_VERIFIER_INSPECT_JSON_H

#include "verifier/inspect/view.h"
#include "wire/json.h"

/* Members keep their order; numbers that are not short integers become text. */
void atls_view_put_json(struct atls_json *j, const char *key, const struct atls_json_value *value);

#endif
