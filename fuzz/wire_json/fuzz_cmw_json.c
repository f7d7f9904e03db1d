/* CMW in JSON: what is decoded is written, decoded and written again to the same text; and signed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/cmw_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* Text of a tree; its escapes may be six times as long as what they stand for. */
static struct atls_buf text_of(const struct atls_cmw *cmw, size_t size)
{
    struct atls_json j = atls_json_init(6 * size + 64);
    struct atls_buf out = ATLS_BUF_INIT;

    REQUIRE(atls_cmw_json_put(&j, NULL, cmw, NULL) == ATLS_OK);
    REQUIRE(atls_json_finish(&j, &out, NULL) == ATLS_OK);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_cmw_jws signed_cmw;
    struct atls_cmw cmw;

    if (atls_cmw_jws_open(atls_bytes_of(data, size), &signed_cmw, NULL) == ATLS_OK) {
        REQUIRE(signed_cmw.jws.signed_part.ptr == signed_cmw.compact.ptr);
        REQUIRE(signed_cmw.jws.signed_part.len < signed_cmw.compact.len);
        atls_cmw_jws_clear(&signed_cmw);
    }
    if (atls_cmw_json_decode(atls_bytes_of(data, size), &arena, &cmw, NULL) == ATLS_OK) {
        struct atls_buf first = text_of(&cmw, size), again;

        REQUIRE(atls_cmw_json_decode(atls_buf_bytes(&first), &arena, &cmw, NULL) == ATLS_OK);
        again = text_of(&cmw, size);
        REQUIRE(atls_bytes_equal(atls_buf_bytes(&first), atls_buf_bytes(&again)));
        atls_buf_clear(&first);
        atls_buf_clear(&again);
    }
    atls_arena_clear(&arena);
    return 0;
}
