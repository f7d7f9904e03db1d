/* Verifying a token under keys that may have been replaced since they were last looked at. */
#ifndef ATLS_VERIFIER_REMOTE_ACCEPT_TOKEN_H
#define ATLS_VERIFIER_REMOTE_ACCEPT_TOKEN_H

#include <stdint.h>

#include "verifier/ear/accept.h"
#include "verifier/remote/key_source.h"

struct atls_token_check {
    struct atls_key_source *keys;
    int64_t deadline_ms; /* of looking for keys; of atls_http_now_ms */
    int64_t time_s, max_age_s;
    struct atls_bytes nonce; /* empty: any */
};

/* As atls_ear_accept. When no key on hand verifies the token, the keys are looked for again (as
 * often as atls_key_source_renew does) and, if they are others, the token is tried once more. What
 * the source of the keys did wrong is not the token's fault: ATLS_E_UNAVAILABLE, ATLS_E_TIMEOUT,
 * ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code atls_remote_accept(struct atls_bytes token,
                                                  const struct atls_token_check *check,
                                                  struct atls_ear *out, struct atls_err *err);

#endif
