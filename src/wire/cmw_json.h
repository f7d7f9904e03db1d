/* Conceptual Message Wrapper (RFC 9999), JSON shapes: record and collection. Trees are those of
 * wire/cmw.h: types and labels are text, there are no tags. */
#ifndef ATLS_WIRE_CMW_JSON_H
#define ATLS_WIRE_CMW_JSON_H

#include <jansson.h>

#include "core/arena.h"
#include "core/json_writer.h"
#include "wire/cmw.h"
#include "wire/jws.h"

/* Decodes one JSON text that starts with "[" or "{"; white space may follow it. Duplicate members,
 * NUL, bytes that are not UTF-8, and control characters (below U+0020) in labels and types, escaped
 * or not, are refused, values are strict base64url. The tree lives in arena and does not borrow
 * from in. Errors: ATLS_E_DECODE, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_cmw_json_decode(struct atls_bytes in, struct atls_arena *arena,
                                                    struct atls_cmw *out, struct atls_err *err);

/* As atls_cmw_json_decode, for the claim "cmw" of a JWT: value was loaded with
 * JSON_REJECT_DUPLICATES, and is not kept. */
ATLS_MUST_CHECK enum atls_code atls_cmw_json_decode_value(const json_t *value,
                                                          struct atls_arena *arena,
                                                          struct atls_cmw *out,
                                                          struct atls_err *err);

/* A signed CMW as a JWS (RFC 9999). */
struct atls_cmw_jws {
    struct atls_buf compact; /* compact form, what the signature is over borrows from it */
    struct atls_jws jws;     /* payload: one JSON CMW, not to be decoded before it was verified */
};

/* Opens a JWS in compact form, or flattened JSON (RFC 7515 section 7.2.2) with exactly "payload",
 * "protected", "signature" and perhaps "header", whose members are others than those of the
 * protected header; white space may follow it. Protected are alg and cty application/cmw+json
 * ("application/" may be left out). *out is written on success only, and the caller's to clear.
 * Errors: those of atls_jws_decode. */
ATLS_MUST_CHECK enum atls_code atls_cmw_jws_open(struct atls_bytes in, struct atls_cmw_jws *out,
                                                 struct atls_err *err);
void atls_cmw_jws_clear(struct atls_cmw_jws *signed_cmw);

/* Writes a tree as the member key (NULL: an element, or the whole text). A content-format is
 * written as its registered media type; __cmwc_t goes first, members in the order of atls_cmw_next.
 * Errors: ATLS_E_USAGE, and nothing written, for a tree that no decoder would give or that this
 * JSON does not hold (tags, numbers for labels, content-formats without a media type, control
 * characters in labels and types); else as atls_json_finish, which reports it. */
ATLS_MUST_CHECK enum atls_code atls_cmw_json_put(struct atls_json *j, const char *key,
                                                 const struct atls_cmw *cmw, struct atls_err *err);

#endif
