/* The signed form around a claims set: compact JWS or COSE_Sign1. Opening verifies nothing. */
#ifndef ATLS_VERIFIER_EAR_ENVELOPE_H
#define ATLS_VERIFIER_EAR_ENVELOPE_H

#include "verifier/ear/accept.h"
#include "verifier/ear/keys.h"
#include "wire/cose.h"
#include "wire/jws.h"

struct atls_envelope {
    enum atls_ear_form form;
    struct atls_bytes payload; /* the claims set */
    struct atls_ear_signature signature;
    struct atls_jws jws;          /* JWT */
    struct atls_cose_sign1 sign1; /* CWT; borrows from the token */
    struct atls_buf signed_bytes; /* CWT */
};

/* Opens a JWT, line ends behind it passed over, or a CWT: COSE_Sign1 with tag 18, tag 61 around it
 * or not (RFC 8392 section 6). A content type, if any, is that of a CWT or EAT. Borrows from token.
 * *out is the caller's to clear. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED, ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_envelope_open(struct atls_bytes token,
                                                  struct atls_envelope *out, struct atls_err *err);
void atls_envelope_clear(struct atls_envelope *e);

/* Decodes the claims set, whose profile must be that of the content type. Errors: as the decoders.
 */
ATLS_MUST_CHECK enum atls_code atls_envelope_claims(const struct atls_envelope *e,
                                                    unsigned int flags, struct atls_ear *out,
                                                    struct atls_err *err);

/* Whether a check is complete. Errors: ATLS_E_USAGE. */
ATLS_MUST_CHECK enum atls_code atls_ear_check_usage(const struct atls_ear_check *check,
                                                    struct atls_err *err);
/* atls_ear_accept of a token that is open, with a check that is complete. */
ATLS_MUST_CHECK enum atls_code atls_ear_accept_envelope(const struct atls_envelope *e,
                                                        const struct atls_ear_check *check,
                                                        struct atls_ear *out, struct atls_err *err);

#endif
