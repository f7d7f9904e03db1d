/* EAT claims sets in JSON (RFC 9711), the payload of a JWT: the same structure as in CBOR. The JWS
 * around it is wire/jws.h; what is a registered claim, a size or a limit is wire/eat.h.
 *
 * Bytes are base64url without padding there, names stand for the values of dbgstat, intuse and
 * results, a submodule that is a token or a digest is an array [kind, token]. A value that is
 * handed out as JSON (a claim that is not registered, numbers of a location, a JWK, a bundle) is
 * the text of that value, compact, its members in their order. */
#ifndef ATLS_WIRE_EAT_JSON_H
#define ATLS_WIRE_EAT_JSON_H

#include "wire/eat.h"

/* Decodes one JSON object with unique members. depth, *out and errors as in atls_eat_claims_decode,
 * but that nothing borrows from in: all lives in arena. Errors: ATLS_E_LIMIT for more than
 * ATLS_EAR_MAX bytes too. */
ATLS_MUST_CHECK enum atls_code atls_eat_json_decode(struct atls_bytes in, unsigned int depth,
                                                    struct atls_arena *arena,
                                                    struct atls_eat_claims *out,
                                                    struct atls_err *err);

/* Decodes the text of a JSON token within CBOR: ["JWT", text], ["CBOR", base64url] or ["BUNDLE",
 * bundle] (section 4.2.18.3); a digest is refused there. name of *out is left empty. Errors: as
 * atls_eat_json_decode. */
ATLS_MUST_CHECK enum atls_code atls_eat_json_selector_decode(struct atls_bytes in,
                                                             struct atls_arena *arena,
                                                             struct atls_eat_submod *out,
                                                             struct atls_err *err);

/* Decodes a bundle in JSON, [main token, {+ name: base64url of a claims set}] (section 5). Errors:
 * as atls_eat_json_decode. */
ATLS_MUST_CHECK enum atls_code atls_eat_json_bundle_decode(struct atls_bytes in,
                                                           struct atls_arena *arena,
                                                           struct atls_eat_bundle *out,
                                                           struct atls_err *err);

/* Measured component (RFC 10013) in JSON: id, digested-measurement or raw-measurement, authorities,
 * flags. Errors: as atls_eat_json_decode. */
ATLS_MUST_CHECK enum atls_code atls_eat_json_component_decode(struct atls_bytes in,
                                                              struct atls_arena *arena,
                                                              struct atls_eat_component *out,
                                                              struct atls_err *err);

#endif
