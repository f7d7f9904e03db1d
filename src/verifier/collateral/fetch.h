/* Fetching documents of makers; the public part is atls/collateral.h. */
#ifndef ATLS_VERIFIER_COLLATERAL_FETCH_H
#define ATLS_VERIFIER_COLLATERAL_FETCH_H

#include <atls/collateral.h>

#include "verifier/collateral/request.h"

/* A document, and the chain that came with it. */
#define COLLATERAL_FETCHED_MAX 2
struct collateral_fetched {
    struct atls_collateral_query query; /* subject: that of the query that was asked, or static */
    struct atls_buf document;
};
struct collateral_answer {
    struct collateral_fetched documents[COLLATERAL_FETCHED_MAX];
    size_t count;
    int64_t retry_after_s; /* after a failure: when the service wants to be asked again; -1 */
};
void collateral_answer_clear(struct collateral_answer *answer);

/* One attempt. out is the caller's to clear after ATLS_OK; retry_after_s is set in any case.
 * Errors: as atls_collateral_fetch. */
ATLS_MUST_CHECK enum atls_code collateral_fetch(struct atls_collateral_fetcher *fetcher,
                                                const struct atls_collateral_query *query,
                                                struct collateral_answer *out,
                                                struct atls_err *err);

/* True when there is a service to ask for documents of this maker. */
bool collateral_can_fetch(const struct atls_collateral_fetcher *fetcher,
                          enum collateral_maker maker);

#endif
