/* The checker, the skipper and the getters agree, and the writers give back what the getters read.
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* Writes the next item anew; depth is limited by the check that went before. */
static void transcode(struct atls_reader *r, struct atls_writer *w)
{
    struct atls_cbor_iter it;
    struct atls_bytes bytes;
    enum atls_cbor_type type;
    uint64_t u;
    int64_t n;
    bool yes;

    REQUIRE(atls_cbor_peek(r, &type));
    if (atls_cbor_get_uint(r, &u)) {
        REQUIRE(type == ATLS_CBOR_UINT);
        atls_cbor_put_uint(w, u);
    } else if (atls_cbor_get_int(r, &n)) {
        REQUIRE(type == ATLS_CBOR_NINT && n < 0);
        atls_cbor_put_int(w, n);
    } else if (atls_cbor_get_bytes(r, &bytes)) {
        REQUIRE(type == ATLS_CBOR_BYTES);
        atls_cbor_put_bytes(w, bytes);
    } else if (atls_cbor_get_text(r, &bytes)) {
        REQUIRE(type == ATLS_CBOR_TEXT);
        atls_cbor_put_text_bytes(w, bytes);
    } else if (atls_cbor_get_tag(r, &u)) {
        REQUIRE(type == ATLS_CBOR_TAG);
        atls_cbor_put_tag(w, u);
        transcode(r, w);
    } else if (atls_cbor_enter_array(r, &it)) {
        REQUIRE(type == ATLS_CBOR_ARRAY);
        atls_cbor_put_array(w, it.left);
        while (atls_cbor_more(r, &it))
            transcode(r, w);
    } else if (atls_cbor_enter_map(r, &it)) {
        REQUIRE(type == ATLS_CBOR_MAP);
        atls_cbor_put_map(w, it.left);
        while (atls_cbor_more(r, &it)) {
            transcode(r, w);
            transcode(r, w);
        }
    } else if (atls_cbor_get_bool(r, &yes)) {
        atls_cbor_put_bool(w, yes);
    } else if (atls_cbor_get_null(r)) {
        atls_cbor_put_null(w);
    } else {
        /* Simple values, floats, and negative numbers below 64 bits with sign. */
        REQUIRE(atls_cbor_get_item(r, &bytes));
        atls_put_bytes(w, bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};
    struct atls_reader r = atls_reader_init(in);
    struct atls_writer w = atls_writer_init(size + 1);
    bool definite = atls_cbor_check(in, 0, NULL) == ATLS_OK;
    bool fine = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, NULL) == ATLS_OK;
    struct atls_bytes item;

    REQUIRE(!definite || fine);
    if (fine) {
        REQUIRE(atls_cbor_check(in, ATLS_CBOR_INDEFINITE | ATLS_CBOR_SEQUENCE, NULL) == ATLS_OK);
        REQUIRE(atls_cbor_get_item(&r, &item) && item.len == size);
    }
    if (definite) {
        r.pos = 0;
        transcode(&r, &w);
        REQUIRE(atls_reader_done(&r) && w.failed == ATLS_OK);
        REQUIRE(atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    atls_writer_clear(&w);
    /* Unchecked: as many items as there are, without reading past the end. */
    for (r.pos = 0; atls_cbor_get_item(&r, &item);)
        REQUIRE(item.len != 0);
    return 0;
}
