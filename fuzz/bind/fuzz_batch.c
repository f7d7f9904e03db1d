/* The "kat" member of a batch: what is decoded is what would be written, byte for byte. */
#include <stdint.h>
#include <stdlib.h>

#include "bind/batch.h"
#include "wire/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = {data, size};
    struct atls_writer w = atls_writer_init(size);
    struct atls_batch_path path;
    uint8_t challenge[ATLS_BATCH_HASH_LEN];

    if (atls_batch_path_decode(in, &path, NULL) == ATLS_OK) {
        REQUIRE(path.kat.len != 0 && path.depth <= ATLS_BATCH_DEPTH_MAX);
        REQUIRE(path.index < 1U << path.depth);
        REQUIRE(atls_batch_challenge(&path, challenge, NULL) == ATLS_OK);
        atls_cbor_put_array(&w, 3);
        atls_cbor_put_bytes(&w, path.kat);
        atls_cbor_put_uint(&w, path.index);
        atls_cbor_put_array(&w, path.depth);
        for (size_t i = 0; i < path.depth; i++)
            atls_cbor_put_bytes(&w, path.siblings[i]);
        REQUIRE(w.failed == ATLS_OK && atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    atls_writer_clear(&w);
    return 0;
}
