/* COSE_Sign1 and COSE_Mac0 as far as they are shown. Not for others. */
#ifndef ATLS_VERIFIER_INSPECT_COSE_H
#define ATLS_VERIFIER_INSPECT_COSE_H

#include "core/reader.h"
#include "verifier/inspect/view.h"

#define ATLS_TAG_COSE_MAC0  17
#define ATLS_TAG_COSE_SIGN1 18

struct atls_cose_shown {
    uint64_t tag;
    struct atls_bytes protected_header; /* content of the byte string */
    struct atls_bytes unprotected;      /* the item */
    struct atls_bytes payload;          /* .ptr NULL: detached */
    struct atls_bytes signature;        /* or authentication tag */
    bool has_alg;
    int64_t alg;
    struct atls_bytes content_type; /* the item; .ptr NULL: absent */
    struct atls_bytes kid;          /* protected only; .ptr NULL: absent */
};
/* Shortest heads only. *out borrows from in and is written on success only. Errors: ATLS_E_DECODE
 * (malformed), ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code
atls_cose_shown_decode(struct atls_bytes in, struct atls_cose_shown *out, struct atls_err *err);

#endif
