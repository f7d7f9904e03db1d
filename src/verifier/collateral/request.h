/* Where makers publish a document, and what comes back: paths of AMD's Key Distribution System, and
 * of Intel's Provisioning Certification Service version 4 and its caches (PCCS). Pure functions. */
#ifndef ATLS_VERIFIER_COLLATERAL_REQUEST_H
#define ATLS_VERIFIER_COLLATERAL_REQUEST_H

#include <stdbool.h>

#include "evidence/collateral.h"

/* Whose service. */
enum collateral_maker { COLLATERAL_AMD = 0, COLLATERAL_INTEL = 1 };
#define COLLATERAL_MAKERS 2
enum collateral_maker collateral_maker_of(enum atls_collateral_kind kind);

#define COLLATERAL_PATH_MAX 320

/* One exchange for a document. */
struct collateral_request {
    enum collateral_maker maker;
    char path[COLLATERAL_PATH_MAX]; /* from "/" on, with its query */
    char
        second_path[COLLATERAL_PATH_MAX]; /* more of the same document, where there is one; or "" */
    const char *chain_header; /* of the answer, that has the chain which signs it; or NULL */
    struct atls_collateral_query chain; /* what that chain is called; subject is static */
};

/* Errors: ATLS_E_NOT_FOUND: no maker publishes it (a VLEK, which a cloud hands out), or the subject
 * is not one of its kind. */
ATLS_MUST_CHECK enum atls_code collateral_request_of(const struct atls_collateral_query *query,
                                                     struct collateral_request *out,
                                                     struct atls_err *err);

/* A document out of the body of an answer, in the form that it is kept in: revocation lists that
 * come as PEM or hexadecimal text become DER, certificates that come as PEM keep their order, and
 * roots are left out of candidates, for a root counts when it is on file alone. The body of a
 * second path comes behind the first. *out is the caller's to clear. Errors: ATLS_E_PROTOCOL (not
 * in any form of its kind), ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code collateral_document_of(enum atls_collateral_kind kind,
                                                      struct atls_bytes body, struct atls_buf *out,
                                                      struct atls_err *err);
/* The chain out of a header's value, percent-encoded PEM. Errors: as above. */
ATLS_MUST_CHECK enum atls_code collateral_chain_of(struct atls_bytes value, struct atls_buf *out,
                                                   struct atls_err *err);

#endif
