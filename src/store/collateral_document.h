/* What published documents say of their own time. */
#ifndef ATLS_STORE_COLLATERAL_DOCUMENT_H
#define ATLS_STORE_COLLATERAL_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "evidence/collateral.h"

/* What a document says of itself; nothing is verified. */
struct store_collateral_dates {
    bool has_from, has_until;
    int64_t from_s, until_s; /* issue date or thisUpdate, next update; of certificates their
                                validity, of a chain what is common to all */
};
/* Errors: ATLS_E_DECODE (not of the kind's format), ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code store_collateral_read(enum atls_collateral_kind kind,
                                                     struct atls_bytes document,
                                                     struct store_collateral_dates *out,
                                                     struct atls_err *err);

#endif
