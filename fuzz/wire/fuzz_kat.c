/* Key attestations and bundles: what is decoded is encoded to the same claims. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/kat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void kat(struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(in.len);
    struct atls_kat first, again;

    if (atls_kat_decode(in, &first, NULL) == ATLS_OK) {
        REQUIRE(atls_kat_encode(first.nonce, &first.key, &w, NULL) == ATLS_OK);
        REQUIRE(atls_kat_decode(atls_writer_bytes(&w), &again, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(first.nonce, again.nonce));
        REQUIRE(first.key.kty == again.key.kty && atls_bytes_equal(first.key.x, again.key.x) &&
                atls_bytes_equal(first.key.n, again.key.n));
    }
    atls_writer_clear(&w);
}

static void bundle(struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_writer w = atls_writer_init(in.len);
    struct atls_bundle first, again;
    struct atls_cmw cmw;

    if (atls_cmw_decode(in, &arena, &cmw, NULL) == ATLS_OK &&
        atls_bundle_open(&cmw, &first, NULL) == ATLS_OK) {
        REQUIRE(atls_bundle_encode(&first.kat, &first.pat, first.endorsements, &w, NULL) ==
                ATLS_OK);
        REQUIRE(atls_cmw_decode(atls_writer_bytes(&w), &arena, &cmw, NULL) == ATLS_OK);
        REQUIRE(atls_bundle_open(&cmw, &again, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(first.pat.value, again.pat.value));
        kat(first.kat.value);
    }
    atls_writer_clear(&w);
    atls_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};

    kat(in);
    bundle(in);
    return 0;
}
