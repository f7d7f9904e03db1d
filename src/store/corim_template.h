/* Measurements of a manifest template: one JSON notation for endorsed values, conditions and
 * additions. */
#ifndef ATLS_STORE_CORIM_TEMPLATE_H
#define ATLS_STORE_CORIM_TEMPLATE_H

#include "core/writer.h"
#include "store/json.h"

/* Writes a JSON array of measurements as [+ measurement-map]:
 *   {"mkey"?: name or number, "version"?, "svn"? or "min-svn"?: number,
 *    "digests"?: {"sha256": hex, ...}, "flags"?: {"debug": false, ...}, "raw-value"?: hex,
 *    "name"?}
 * with at least one value in each. Errors: ATLS_E_DECODE with the path and rule. */
ATLS_MUST_CHECK enum atls_code store_template_put_measurements(struct atls_writer *w,
                                                               const struct store_json *list,
                                                               struct atls_err *err);

#endif
