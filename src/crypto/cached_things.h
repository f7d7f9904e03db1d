/* The half of a chain cache that keeps things of other modules (certificate.h). Private to
 * src/crypto. */
#ifndef ATLS_CRYPTO_CACHED_THINGS_H
#define ATLS_CRYPTO_CACHED_THINGS_H

#include "crypto/certificate.h"

struct atls_cached_things;

/* NULL when memory is short. */
struct atls_cached_things *atls_cached_things_new(size_t entries);
void atls_cached_things_free(struct atls_cached_things *t); /* NULL is fine */
/* The one of a cache, which was made with it. */
struct atls_cached_things *atls_chain_cache_things(struct atls_chain_cache *c);

#endif
