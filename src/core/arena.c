#include "core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

#define BLOCK_BYTES ((size_t)4096)

struct atls_arena_block {
    struct atls_arena_block *next;
    size_t len;
    size_t cap;
    alignas(max_align_t) uint8_t data[];
};

void *atls_arena_alloc(struct atls_arena *a, size_t count, size_t size)
{
    struct atls_arena_block *b = a->blocks;
    const size_t align = alignof(max_align_t);
    size_t need;
    void *p;

    if (__builtin_mul_overflow(count, size, &need) || need > SIZE_MAX / 2)
        return NULL;
    need = (need + align - 1) / align * align;
    if (need == 0)
        need = align;
    if (need > a->limit - a->used)
        return NULL;
    if (b == NULL || need > b->cap - b->len) {
        size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;

        if ((b = calloc(1, sizeof *b + cap)) == NULL)
            return NULL;
        b->cap = cap;
        b->next = a->blocks;
        a->blocks = b;
    }
    p = b->data + b->len;
    b->len += need;
    a->used += need;
    return p;
}

bool atls_arena_copy(struct atls_arena *a, struct atls_bytes bytes, struct atls_bytes *out)
{
    uint8_t *p = atls_arena_alloc(a, bytes.len, 1);

    if (p == NULL)
        return false;
    if (bytes.len != 0)
        memcpy(p, bytes.ptr, bytes.len);
    *out = atls_bytes_of(p, bytes.len);
    return true;
}

void atls_arena_clear(struct atls_arena *a)
{
    while (a->blocks != NULL) {
        struct atls_arena_block *next = a->blocks->next;

        atls_wipe(a->blocks->data, a->blocks->len);
        free(a->blocks);
        a->blocks = next;
    }
    a->used = 0;
}
