/* Documents of makers fetched when evidence verification asks for them: what the store has goes
 * first, then what was fetched before, then the maker's service.
 *
 * One fetch of a document at a time, whoever asks; others who want it wait for that, those who want
 * something else do not. What could not be fetched is not asked for again for a while. Any thread.
 */
#ifndef ATLS_VERIFIER_COLLATERAL_SOURCE_H
#define ATLS_VERIFIER_COLLATERAL_SOURCE_H

#include <atls/clock.h>

#include "store/store.h"
#include "verifier/collateral/fetch.h"

struct collateral_cache;

/* Takes the fetcher, on success. What was fetched is checked with the store (borrowed; may be NULL,
 * see atls_store_check_collateral) and goes into it, when it may be written to. Errors:
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code collateral_cache_new(struct atls_collateral_fetcher *fetcher,
                                                    struct atls_store *store,
                                                    const struct atls_clock *clock,
                                                    struct collateral_cache **out,
                                                    struct atls_err *err);
/* What options of a verifier say: services as atls_collateral_options_add takes them, and who may
 * vouch for them (NULL: the system's). *out NULL when list is NULL or empty. Errors: as
 * atls_collateral_open and atls_collateral_options_add. */
struct collateral_services {
    const char *const *list; /* NULL-terminated */
    const char *ca_file;
};
ATLS_MUST_CHECK enum atls_code collateral_cache_open(const struct collateral_services *services,
                                                     struct atls_store *store,
                                                     const struct atls_clock *clock,
                                                     struct collateral_cache **out,
                                                     struct atls_err *err);
void collateral_cache_free(struct collateral_cache *c); /* NULL is fine; nobody waits any more */

/* A document that counts at time_s, by its own dates. *out is the caller's to clear. Errors:
 * ATLS_E_NOT_FOUND (also: what the service has does not count at time_s, with a reason as the
 * source's), ATLS_E_CONFIG (nobody to ask), ATLS_E_UNAVAILABLE (also: too many fetches in a
 * minute), ATLS_E_TIMEOUT, ATLS_E_CERTIFICATE, ATLS_E_PROTOCOL, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code collateral_cache_get(struct collateral_cache *c,
                                                    const struct atls_collateral_query *query,
                                                    int64_t time_s, struct atls_buf *out,
                                                    struct atls_err *err);

/* A source that asks inner first, and for collateral that inner has not the cache. Where the cache
 * writes into a store, lists and JSON that inner has are renewed once a day: the one issued later
 * is given. */
struct collateral_view {
    struct collateral_cache *cache;
    struct atls_endorsement_source inner;
};
/* Borrows view, which must stay where it is as long as out is used. */
void collateral_view_source(const struct collateral_view *view,
                            struct atls_endorsement_source *out);

#endif
