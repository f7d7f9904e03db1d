/* Attestation results as CBOR claims sets, which CWTs carry. */
#ifndef ATLS_WIRE_EAR_CBOR_H
#define ATLS_WIRE_EAR_CBOR_H

#include "wire/ear.h"

/* Decodes one CBOR map as atls_ear_json_decode does an object: registered claims by their integer
 * keys (text keys that name one are refused), tiers and vectors as numbers. Indefinite lengths of
 * arrays and maps are taken, since one library writes them. The claims of attester and verifier may
 * have any keys; a tag in them is passed over. *out is written on success only and is the caller's
 * to clear. Errors: ATLS_E_DECODE naming the claim, ATLS_E_UNSUPPORTED (profile), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_cbor_decode(struct atls_bytes cbor, struct atls_ear *out,
                                                    struct atls_err *err);

#endif
