/* An arena: everything one decoded document needs, freed at once.
 *
 * Decoders of trees (CoRIM, CMW collections, claims) allocate their arrays here, so that no node
 * needs an owner of its own. Memory is zeroed. One thread at a time. */
#ifndef ATLS_CORE_ARENA_H
#define ATLS_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/bytes.h>

struct atls_arena_block;

struct atls_arena {
    struct atls_arena_block *blocks;
    size_t used;  /* bytes handed out */
    size_t limit; /* bytes that may be handed out */
};

static inline struct atls_arena atls_arena_init(size_t limit)
{
    struct atls_arena a = {NULL, 0, limit};
    return a;
}

/* count * size zeroed bytes, aligned for any type; NULL when memory or the limit is used up or the
 * product overflows. count 0 gives a valid pointer. */
void *atls_arena_alloc(struct atls_arena *a, size_t count, size_t size);

/* A copy in the arena; .ptr NULL with .len not 0 never happens: failure returns false. */
ATLS_MUST_CHECK bool atls_arena_copy(struct atls_arena *a, struct atls_bytes bytes,
                                     struct atls_bytes *out);

/* Frees everything, wiped. */
void atls_arena_clear(struct atls_arena *a);

#endif
