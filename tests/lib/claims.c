#include "claims.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "testlib.h"

/* This library stands beside the modules under test, so it encodes for itself. One map at a time:
 * what is made is copied out. */
struct out {
    uint8_t bytes[16384];
    size_t len;
};
static struct out scratch;

static void put(struct out *o, const void *bytes, size_t len)
{
    assert_true(len <= sizeof o->bytes - o->len);
    if (len > 0)
        memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

static void put_head(struct out *o, unsigned int major, uint64_t value)
{
    size_t width = value < 24 ? 0 : value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;
    uint8_t head[5];

    assert_true(value <= UINT32_MAX);
    head[0] = (uint8_t)(major << 5 | (width == 0 ? value : width == 1 ? 24 : width == 2 ? 25 : 26));
    for (size_t i = 0; i < width; i++)
        head[1 + i] = (uint8_t)(value >> 8 * (width - 1 - i));
    put(o, head, 1 + width);
}

static void put_int(struct out *o, int64_t value)
{
    if (value >= 0)
        put_head(o, 0, (uint64_t)value);
    else
        put_head(o, 1, (uint64_t)(-1 - value));
}

static struct atls_buf finish(const struct out *o)
{
    struct atls_buf buf = ATLS_BUF_INIT;

    buf.ptr = malloc(o->len + 1);
    assert_non_null(buf.ptr);
    memcpy(buf.ptr, o->bytes, o->len);
    buf.len = o->len;
    return buf;
}

static void put_claim(struct out *o, int64_t key, const char *hex)
{
    struct atls_buf item = test_unhex(hex);

    put_int(o, key);
    put(o, item.ptr, item.len);
    atls_buf_clear(&item);
}

struct atls_buf test_claims(const struct test_claim *base, size_t count, int64_t key,
                            const char *hex)
{
    struct out *o = &scratch;
    size_t pairs = hex == NULL ? 0 : 1;

    for (size_t i = 0; i < count; i++)
        pairs += base[i].key != key;
    o->len = 0;
    put_head(o, 5, pairs);
    for (size_t i = 0; i < count; i++)
        if (base[i].key != key)
            put_claim(o, base[i].key, base[i].hex);
    if (hex != NULL)
        put_claim(o, key, hex);
    return finish(o);
}

static uint32_t sextet(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = strchr(alphabet, c);

    assert_non_null(found);
    return (uint32_t)(found - alphabet);
}

/* Not strict: the files are as they were published. */
static void put_base64(struct out *o, const json_t *value)
{
    const char *text = json_string_value(value);
    uint8_t bytes[512];
    size_t len = 0;
    uint32_t group = 0;
    unsigned int bits = 0;

    assert_non_null(text);
    for (; *text != '\0' && *text != '='; text++) {
        group = group << 6 | sextet(*text);
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        assert_true(len < sizeof bytes);
        bytes[len++] = (uint8_t)(group >> bits);
    }
    put_head(o, 2, len);
    put(o, bytes, len);
}

static void put_text(struct out *o, const char *text)
{
    put_head(o, 3, strlen(text));
    put(o, text, strlen(text));
}

static void put_component(struct out *o, json_t *component)
{
    static const struct test_claim_name names[] = {
        {"measurement-type", 1, 't'}, {"measurement-value", 2, 'b'},       {"version", 4, 't'},
        {"signer-id", 5, 'b'},        {"measurement-description", 6, 't'},
    };

    put_head(o, 5, json_object_size(component));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *value = json_object_get(component, names[i].name);

        if (value == NULL)
            continue;
        put_int(o, names[i].key);
        if (names[i].type == 't')
            put_text(o, json_string_value(value));
        else
            put_base64(o, value);
    }
}

static void put_value(struct out *o, char type, const json_t *value)
{
    if (type == 't') {
        put_text(o, json_string_value(value));
    } else if (type == 'b') {
        put_base64(o, value);
    } else if (type == 'i') {
        put_int(o, json_integer_value(value));
    } else {
        put_head(o, 4, json_array_size(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            if (type == 'c')
                put_component(o, json_array_get(value, i));
            else
                put_base64(o, json_array_get(value, i));
    }
}

struct atls_buf test_claims_of_json(struct atls_bytes json, const struct test_claim_name *names,
                                    size_t count)
{
    static const uint8_t null = 0xf6;
    struct out *o = &scratch;
    json_t *root = json_loadb((const char *)json.ptr, json.len, 0, NULL);

    assert_true(json_is_object(root));
    o->len = 0;
    put_head(o, 5, json_object_size(root));
    for (void *it = json_object_iter(root); it != NULL; it = json_object_iter_next(root, it)) {
        const char *name = json_object_iter_key(it);
        size_t i = 0;

        while (i < count && strcmp(names[i].name, name) != 0)
            i++;
        if (i == count) {
            put_text(o, name);
            put(o, &null, 1);
            continue;
        }
        put_int(o, names[i].key);
        put_value(o, names[i].type, json_object_iter_value(it));
    }
    json_decref(root);
    return finish(o);
}
