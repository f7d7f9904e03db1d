/* Attestation results as JSON claims sets, which JWTs carry. */
#ifndef ATLS_WIRE_EAR_JSON_H
#define ATLS_WIRE_EAR_JSON_H

#include "wire/ear.h"

/* Decodes one JSON object with unique members: required members and types, times as integers
 * (flags: ATLS_EAR_FLOAT_TIMES), tiers and vectors as AR4SI has them, statuses not better than
 * their vectors, names of one version only. Members that no version defines are ignored. *out is
 * written on success only and is the caller's to clear. Errors: ATLS_E_DECODE naming the member,
 * ATLS_E_UNSUPPORTED (profile), ATLS_E_LIMIT (ATLS_EAR_MAX, depth, submodules, policies),
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_json_decode(struct atls_bytes json, unsigned int flags,
                                                    struct atls_ear *out, struct atls_err *err);

#endif
