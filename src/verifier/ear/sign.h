/* Results as signed tokens, with a key that is parsed already: for services. */
#ifndef ATLS_VERIFIER_EAR_SIGN_H
#define ATLS_VERIFIER_EAR_SIGN_H

#include <atls/ear.h>

#include "crypto/crypto.h"

/* As atls_ear_sign_as. Any thread; r and key may be shared. Errors: ATLS_E_USAGE (options, or r is
 * the result of another Verifier), ATLS_E_UNSUPPORTED (profile, type of key), ATLS_E_LIMIT,
 * ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_sign_with(struct atls_result *r,
                                                  const struct atls_private_key *key,
                                                  const struct atls_ear_options *options,
                                                  struct atls_buf *out, struct atls_err *err);
/* Whether options are fit to sign with. Errors: ATLS_E_USAGE, ATLS_E_UNSUPPORTED (profile). */
ATLS_MUST_CHECK enum atls_code atls_ear_options_check(const struct atls_ear_options *options,
                                                      struct atls_err *err);
/* JOSE name of the algorithm that key signs with ("ES256"), static; NULL when it can sign none. */
const char *atls_ear_algorithm(const struct atls_key *key);

#endif
