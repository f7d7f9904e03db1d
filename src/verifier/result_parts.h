/* What a result is made of: for src/verifier/result*.c alone. */
#ifndef ATLS_VERIFIER_RESULT_PARTS_H
#define ATLS_VERIFIER_RESULT_PARTS_H

#include <stdatomic.h>

#include "verifier/result.h"

#define ATLS_RESULT_DEVELOPER "libatls"
#define ATLS_RESULT_BUILD     "libatls " ATLS_VERSION

#define ATLS_VERIFIER_NAME_LEN 160

struct atls_result {
    atomic_uint references;
    /* Of an own appraisal; empty in a received result, of which only arena, technology, insecure,
     * instance and key_spki are set. */
    struct atls_claims claims;
    struct atls_outcome *outcomes; /* one for claims, and one for each further part of them */
    size_t outcome_count;
    bool received;
    bool refused;        /* evidence that failed a check */
    struct atls_ear ear; /* when received */
    enum atls_tier status;
    enum atls_reason reason;
    int64_t issued_at, expires_at;
    size_t nonce_len;
    uint8_t nonce[ATLS_RESULT_NONCE_MAX];
    char verifier[ATLS_VERIFIER_NAME_LEN];
    char explanation[ATLS_EXPLANATION_LEN];
    _Atomic(char *) json; /* made by whoever asks first */
};

/* Claims of submodule index of an own appraisal. */
const struct atls_claims *atls_result_claims(const struct atls_result *r, size_t index);
/* Its status: that of its outcome, or worse when a claim of its vector is. */
enum atls_tier atls_outcome_status(const struct atls_outcome *outcome);

/* An empty result with one reference; nonce has at most ATLS_RESULT_NONCE_MAX bytes. Errors:
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_result_make(struct atls_bytes nonce, int64_t issued_at,
                                                struct atls_result **out, struct atls_err *err);

#endif
