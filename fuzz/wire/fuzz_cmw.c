/* CMW in CBOR: what is decoded is encoded, decoded and encoded again to the same bytes; the
 * carriers and the grammar of Content-Type beside. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/cmw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void tree(struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_writer w = atls_writer_init(in.len), again = atls_writer_init(in.len);
    struct atls_cmw cmw;

    if (atls_cmw_decode(in, &arena, &cmw, NULL) == ATLS_OK) {
        REQUIRE(atls_cmw_encode(&cmw, &w, NULL) == ATLS_OK);
        REQUIRE(atls_cmw_decode(atls_writer_bytes(&w), &arena, &cmw, NULL) == ATLS_OK);
        REQUIRE(atls_cmw_encode(&cmw, &again, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(atls_writer_bytes(&w), atls_writer_bytes(&again)));
    }
    atls_writer_clear(&w);
    atls_writer_clear(&again);
    atls_arena_clear(&arena);
}

static void carriers(struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(in.len);
    struct atls_cose_sign1 s;
    struct atls_cmw_x509 v;

    if (atls_cmw_x509_decode(in, &v, NULL) == ATLS_OK) {
        REQUIRE(atls_cmw_x509_encode(&v, &w, NULL) == ATLS_OK);
        REQUIRE(atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    if (atls_cmw_signed_open(in, &s, NULL) == ATLS_OK)
        REQUIRE(!s.detached);
    atls_writer_clear(&w);
}

static void content_type(struct atls_bytes in)
{
    struct atls_cmw_type type = {.is_text = true, .text = in};

    if (atls_cmw_type_is(&type, "application/eat+cwt; eat_profile=\"tag:example.com,2025:x\"")) {
        REQUIRE(atls_content_type_valid(in));
        REQUIRE(atls_cmw_type_is(&type, "application/eat+cwt"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};

    tree(in);
    carriers(in);
    content_type(in);
    return 0;
}
