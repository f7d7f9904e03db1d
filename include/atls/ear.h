/* EAR as a token (library libatls-verifier): JWT signed with ES256, ES384 or EdDSA. */
#ifndef ATLS_EAR_H
#define ATLS_EAR_H

#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signs the claims set of r as a compact JWS; private_key_pem is PEM text; kid may be NULL. *out: text,
 * NUL terminated (not counted), the caller's to clear. Errors: ATLS_E_DECODE (key), ATLS_E_CRYPTO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_sign(struct atls_result *r,
                                                      struct atls_bytes private_key_pem,
                                                      const char *kid, struct atls_buf *out,
                                                      struct atls_err *err);
/* Decodes an EAR (compact JWT, or its claims set as JSON) WITHOUT verifying a signature, for showing:
 * pretty JSON {"verified": false, "header": ..., "claims": ...}, NUL terminated (not counted). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_show(struct atls_bytes in, struct atls_buf *out,
                                                      struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
