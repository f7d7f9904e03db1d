/* Reference manifests (CoRIM, draft-ietf-rats-corim) for TPMs (library libatls-verifier): made from a
 * JSON template, shown as text. */
#ifndef ATLS_CORIM_H
#define ATLS_CORIM_H

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* JSON template (docs/store.md) -> unsigned CoRIM of the TPM profile:
 *   {"id": "...", "tag-id": "...", "class": "<uuid>", "vendor"?, "model"?, "not-before"?, "not-after"?,
 *    "attest-keys"?: [{"instance": "<66 hex>", "key": "<PEM>" }],
 *    "reference-values"?: {"sha256": {"0": "<hex>" or ["<hex>", ...], ...}}}
 * Errors: ATLS_E_DECODE with the JSON path and rule. *out is the caller's to clear. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_corim_create(struct atls_bytes template_json,
                                                          struct atls_buf *out,
                                                          struct atls_err *err);
/* A CoRIM (unsigned or signed) as JSON text, NUL terminated (not counted); nothing is verified. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_corim_to_json(struct atls_bytes corim,
                                                           struct atls_buf *out,
                                                           struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
