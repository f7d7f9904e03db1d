/* An attestation result as a CMW: how a passport rides in an authenticator. Codec only. */
#ifndef ATLS_VERIFIER_REMOTE_CARRIED_RESULT_H
#define ATLS_VERIFIER_REMOTE_CARRIED_RESULT_H

#include <atls/ear.h>

#include "wire/cmw.h"
#include "wire/ear.h"

struct atls_carried_result {
    struct atls_bytes token; /* borrows from the CMW */
    enum atls_ear_form form; /* that the type says */
    struct atls_cmw_type type;
};

/* A record or tag of type application/eat+jwt or application/eat+cwt (or eat-jwt, eat-cwt, as
 * drafts of EAR spelled it), whose indicator, where there is one, says that it is a result. *out
 * borrows from cmw. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (unknown-evidence-type). */
ATLS_MUST_CHECK enum atls_code atls_carried_result_open(struct atls_bytes cmw,
                                                        struct atls_carried_result *out,
                                                        struct atls_err *err);
/* The form and, where the type names one, the profile are those of the token (RFC 9782 section 5).
 * Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_carried_result_check(const struct atls_carried_result *carried,
                                                         const struct atls_ear *ear,
                                                         struct atls_err *err);
/* Makes the record for a token of form whose claims are ear. Errors: ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_carried_result_encode(struct atls_bytes token,
                                                          const struct atls_ear *ear,
                                                          struct atls_buf *out,
                                                          struct atls_err *err);

#endif
