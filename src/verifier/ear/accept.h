/* Verifying tokens: for those who go on with what they say (clients of verifiers, passports). */
#ifndef ATLS_VERIFIER_EAR_ACCEPT_H
#define ATLS_VERIFIER_EAR_ACCEPT_H

#include <atls/ear.h>

#include "wire/ear.h"

/* Verifies an EAR, JWT or CWT by its first byte, as atls_ear_verify, and hands out its content.
 * The order is that of docs/ear.md: form, header and key, signature, claims set, times, nonce. What
 * remains is the caller's: identity of the verifier, submodules and their status, attested key
 * (atls_result_from_ear). *out is the caller's to clear. Errors: as atls_ear_verify. */
ATLS_MUST_CHECK enum atls_code atls_ear_accept(struct atls_bytes token,
                                               const struct atls_ear_check *check,
                                               struct atls_ear *out, struct atls_err *err);

/* Form of a token by its first byte. */
enum atls_ear_form atls_ear_form_of(struct atls_bytes token);

#endif
