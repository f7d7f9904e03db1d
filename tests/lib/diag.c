#include "diag.h"

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/writer.h"

#define LIMIT ((size_t)1 << 20)

enum major { UINT = 0, NINT = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6 };

static void put_head(struct atls_writer *w, enum major major, uint64_t value)
{
    uint8_t first = (uint8_t)((unsigned int)major << 5);

    if (value < 24) {
        atls_put_u8(w, (uint8_t)(first | value));
    } else if (value <= UINT8_MAX) {
        atls_put_u8(w, first | 24);
        atls_put_u8(w, (uint8_t)value);
    } else if (value <= UINT16_MAX) {
        atls_put_u8(w, first | 25);
        atls_put_u16(w, (uint16_t)value);
    } else if (value <= UINT32_MAX) {
        atls_put_u8(w, first | 26);
        atls_put_u32(w, (uint32_t)value);
    } else {
        atls_put_u8(w, first | 27);
        atls_put_u64(w, value);
    }
}

static void skip_space(const char **at)
{
    *at += strspn(*at, " \n");
}

static bool take(const char **at, const char *word)
{
    skip_space(at);
    if (strncmp(*at, word, strlen(word)) != 0)
        return false;
    *at += strlen(word);
    return true;
}

static void want(const char **at, const char *word)
{
    if (!take(at, word))
        fail_msg("diagnostic notation: no %s at: %.40s", word, *at);
}

static void put_item(struct atls_writer *w, const char **at);

static void put_string(struct atls_writer *w, enum major major, struct atls_writer *content)
{
    put_head(w, major, content->len);
    atls_put_bytes(w, atls_writer_bytes(content));
    atls_writer_clear(content);
}

/* The hexadecimal digits up to a quotation mark. */
static void put_hex(struct atls_writer *w, const char **at)
{
    struct atls_writer content = atls_writer_init(LIMIT);
    char digits[3] = {0, 0, 0};

    for (; **at != '\'' && **at != '\0' && (*at)[1] != '\0'; *at += 2) {
        memcpy(digits, *at, 2);
        atls_put_u8(&content, (uint8_t)strtoul(digits, NULL, 16));
    }
    want(at, "'");
    put_string(w, BYTES, &content);
}

static void put_filler(struct atls_writer *w, const char **at)
{
    struct atls_writer content = atls_writer_init(LIMIT);
    unsigned long count = strtoul(*at, (char **)(uintptr_t)at, 10);

    while (count-- > 0)
        atls_put_u8(&content, 0xaa);
    want(at, ")");
    put_string(w, BYTES, &content);
}

static void put_text(struct atls_writer *w, const char **at)
{
    struct atls_writer content = atls_writer_init(LIMIT);
    size_t len = strcspn(*at, "'");

    atls_put_bytes(&content, atls_bytes_of(*at, len));
    *at += len;
    want(at, "'");
    put_string(w, TEXT, &content);
}

static void put_container(struct atls_writer *w, const char **at, enum major major, const char *end)
{
    struct atls_writer content = atls_writer_init(LIMIT);
    size_t count = 0;

    while (!take(at, end)) {
        if (count++ != 0)
            want(at, ",");
        put_item(&content, at);
        if (major == MAP) {
            want(at, ":");
            put_item(&content, at);
        }
    }
    put_head(w, major, count);
    atls_put_bytes(w, atls_writer_bytes(&content));
    atls_writer_clear(&content);
}

static void put_embedded(struct atls_writer *w, const char **at)
{
    struct atls_writer content = atls_writer_init(LIMIT);

    put_item(&content, at);
    want(at, ">>");
    put_string(w, BYTES, &content);
}

static void put_number(struct atls_writer *w, const char **at)
{
    bool negative = take(at, "-");
    const char *start = *at;
    uint64_t value = strtoull(start, (char **)(uintptr_t)at, 10);

    if (*at == start)
        fail_msg("diagnostic notation: no item at: %.40s", start);
    if (!negative && **at == '(') {
        ++*at;
        put_head(w, TAG, value);
        put_item(w, at);
        want(at, ")");
    } else {
        put_head(w, negative ? NINT : UINT, negative ? value - 1 : value);
    }
}

static void put_item(struct atls_writer *w, const char **at)
{
    if (take(at, "h'"))
        put_hex(w, at);
    else if (take(at, "h("))
        put_filler(w, at);
    else if (take(at, "'"))
        put_text(w, at);
    else if (take(at, "["))
        put_container(w, at, ARRAY, "]");
    else if (take(at, "{"))
        put_container(w, at, MAP, "}");
    else if (take(at, "<<"))
        put_embedded(w, at);
    else if (take(at, "true"))
        atls_put_u8(w, 0xf5);
    else if (take(at, "false"))
        atls_put_u8(w, 0xf4);
    else if (take(at, "null"))
        atls_put_u8(w, 0xf6);
    else
        put_number(w, at);
}

struct atls_buf test_diag(const char *text)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_buf out = ATLS_BUF_INIT;
    const char *at = text;

    put_item(&w, &at);
    skip_space(&at);
    if (*at != '\0')
        fail_msg("diagnostic notation: trailing: %.40s", at);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}
