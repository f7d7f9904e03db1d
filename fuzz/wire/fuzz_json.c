/* JSON: what is accepted can be walked to its end, and each value in it is accepted alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void scalar(const struct atls_json_value *v)
{
    uint8_t digits[32];
    char text[64];
    struct atls_bytes plain;
    uint64_t number;
    int64_t time_s;
    size_t len;
    bool flag;

    REQUIRE(atls_json_get_bool(v, &flag) == (v->kind == ATLS_JSON_BOOL));
    if (atls_json_get_uint(v, UINT64_MAX, &number))
        REQUIRE(v->kind == ATLS_JSON_NUMBER);
    if (atls_json_get_hex(v, digits, sizeof digits) || atls_json_get_time(v, &time_s))
        REQUIRE(atls_json_get_plain(v, &plain));
    if (atls_json_get_plain(v, &plain) && plain.len <= sizeof text)
        REQUIRE(atls_json_get_text(v, text, sizeof text, &len) &&
                atls_bytes_equal(plain, atls_bytes_of(text, len)));
}

static void walk(const struct atls_json_value *value, unsigned int depth)
{
    struct atls_json_walk w = atls_json_walk(value);
    struct atls_json_value name, inner, again;
    char text[64];
    size_t len;

    REQUIRE(depth <= ATLS_JSON_NESTING_MAX + 1);
    REQUIRE(atls_json_parse(value->raw, &again, NULL) == ATLS_OK);
    REQUIRE(again.kind == value->kind && atls_bytes_equal(again.raw, value->raw));
    scalar(value);
    while (atls_json_next(&w, &name, &inner)) {
        if (value->kind == ATLS_JSON_OBJECT &&
            atls_json_get_text(&name, text, sizeof text - 1, &len) &&
            memchr(text, 0, len) == NULL) {
            text[len] = 0;
            REQUIRE(atls_json_member(value, text, &again) && again.raw.ptr == inner.raw.ptr);
        }
        walk(&inner, depth + 1);
    }
    if (value->kind == ATLS_JSON_OBJECT || value->kind == ATLS_JSON_ARRAY)
        for (; w.next < w.end; w.next++)
            REQUIRE(strchr(" \t\r\n", *w.next) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_json_value root;

    if (size <= 4096 && atls_json_parse(atls_bytes_of(data, size), &root, NULL) == ATLS_OK)
        walk(&root, 0);
    return 0;
}
