/* EAR as a token (library libatls-verifier): JWT signed with ES256, ES384 or EdDSA. */
#ifndef ATLS_EAR_H
#define ATLS_EAR_H

#include <stdint.h>

#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signs the claims set of r as a compact JWS; private_key_pem is PEM text; kid may be NULL. *out:
 * text, NUL terminated (not counted), the caller's to clear. Errors: ATLS_E_DECODE (key),
 * ATLS_E_CRYPTO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_sign(struct atls_result *r,
                                                      struct atls_bytes private_key_pem,
                                                      const char *kid, struct atls_buf *out,
                                                      struct atls_err *err);
/* A result may be as old as it likes: many have no expiry of their own. */
#define ATLS_EAR_ANY_AGE INT64_C(-1)

/* What an EAR is held against. Call atls_ear_check_init first, then set every member. */
struct atls_ear_check {
    size_t size;                      /* of this struct, set by init */
    struct atls_bytes public_key_pem; /* of the Verifier: PEM "PUBLIC KEY" or "CERTIFICATE" */
    int64_t time_s;                   /* now, seconds since 1970 */
    int64_t max_age_s;                /* seconds since it was issued, at least 1; or
                                         ATLS_EAR_ANY_AGE, which has to be asked for */
};
ATLS_API void atls_ear_check_init(struct atls_ear_check *check);

/* Verifies an EAR of a configured Verifier: compact JWS by the one key given (no header of the
 * token ever adds one, and the algorithm is the key's), strict claims set, and time: issued at most
 * 60 s in the future and not longer ago than max_age_s, not expired, valid already. A nonce, and
 * which status is good enough, are the caller's to judge. *out: {"verified": true, "header": ...,
 * "claims": ...} as atls_ear_show, the caller's to clear. Errors: ATLS_E_USAGE (a check that is not
 * complete), ATLS_E_DECODE, ATLS_E_UNSUPPORTED, ATLS_E_VERIFY (signature), ATLS_E_CERTIFICATE
 * (certificate-expired, also for its age; certificate-not-yet-valid), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_verify(struct atls_bytes token,
                                                        const struct atls_ear_check *check,
                                                        struct atls_buf *out, struct atls_err *err);
/* Decodes an EAR (compact JWT, or its claims set as JSON) WITHOUT verifying a signature, for
 * showing: pretty JSON {"verified": false, "header": ..., "claims": ...}, NUL terminated (not
 * counted); "header" is left out for a bare claims set. Strict as atls_ear_verify. Errors:
 * ATLS_E_DECODE, ATLS_E_UNSUPPORTED, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_show(struct atls_bytes in, struct atls_buf *out,
                                                      struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
