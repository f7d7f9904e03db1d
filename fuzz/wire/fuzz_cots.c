/* Concise trust anchor stores. */
#include <stdlib.h>

#include "wire/cots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_arena arena = atls_arena_init((size_t)1 << 24);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cots cots;

    if (atls_cots_decode(atls_bytes_of(data, size), &arena, &cots, &err) != ATLS_OK) {
        must(err.code != ATLS_OK && err.message[0] != '\0');
    } else {
        must(cots.anchor_count > 0);
        for (size_t i = 0; i < cots.anchor_count; i++)
            must(cots.anchors[i].der.len > 0 && cots.anchors[i].format <= ATLS_COTS_SPKI);
        for (size_t i = 0; i < cots.purpose_count; i++)
            must(cots.purposes[i].len > 0);
        must(cots.purpose_count != 0 || atls_cots_serves(&cots, "eat"));
        must((cots.permitted.item.ptr == NULL) == (cots.permitted.count == 0));
    }
    atls_arena_clear(&arena);
    return 0;
}
