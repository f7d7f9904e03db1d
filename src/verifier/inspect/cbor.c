#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "verifier/inspect/view.h"
#include "wire/cbor.h"

/* Hexadecimal doubles the input, and every item takes a comma. */
#define DIAGNOSTIC_MAX (8u * 1024 * 1024)

/* A container that is open: how many items are left, and of what. */
struct level {
    enum atls_cbor_type type;
    struct atls_cbor_iter iter;
    bool first;
    bool value_next; /* map: the key was written */
};

static void put_hex(struct atls_writer *w, struct atls_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    atls_put_text(w, "h'");
    for (size_t i = 0; i < bytes.len; i++) {
        atls_put_u8(w, (uint8_t)digits[bytes.ptr[i] >> 4]);
        atls_put_u8(w, (uint8_t)digits[bytes.ptr[i] & 15]);
    }
    atls_put_u8(w, '\'');
}

/* Text in double quotes; what else needs escaping is the JSON writer's to escape. */
static void put_text(struct atls_writer *w, struct atls_bytes text)
{
    atls_put_u8(w, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            atls_put_u8(w, '\\');
        atls_put_u8(w, text.ptr[i]);
    }
    atls_put_u8(w, '"');
}

/* Simple values and floats (RFC 8949 section 3.3); floats by their bits, so that none is rounded.
 */
static bool put_simple(struct atls_writer *w, struct atls_reader *r)
{
    static const char *const names[] = {
        [20] = "false", [21] = "true", [22] = "null", [23] = "undefined"};
    struct atls_bytes item;
    char text[40];
    uint8_t low;

    if (!atls_cbor_get_item(r, &item))
        return false;
    low = item.ptr[0] & 31;
    if (low >= 20 && low <= 23) {
        atls_put_text(w, names[low]);
    } else if (low <= 24) {
        snprintf(text, sizeof text, "simple(%u)", low < 24 ? low : item.ptr[1]);
        atls_put_text(w, text);
    } else {
        atls_put_text(w, "float(");
        put_hex(w, atls_bytes_of(item.ptr + 1, item.len - 1));
        atls_put_u8(w, ')');
    }
    return true;
}

static bool put_scalar(struct atls_writer *w, struct atls_reader *r, enum atls_cbor_type type)
{
    struct atls_bytes bytes;
    uint64_t number;
    int64_t negative;
    char text[32];

    switch (type) {
    case ATLS_CBOR_UINT:
        if (!atls_cbor_get_uint(r, &number))
            return false;
        snprintf(text, sizeof text, "%" PRIu64, number);
        break;
    case ATLS_CBOR_NINT:
        /* Those below -2^63 have no type in C: shown as encoded. */
        if (!atls_cbor_get_int(r, &negative)) {
            if (!atls_cbor_get_item(r, &bytes))
                return false;
            put_hex(w, bytes);
            return true;
        }
        snprintf(text, sizeof text, "%" PRId64, negative);
        break;
    case ATLS_CBOR_BYTES:
        if (!atls_cbor_get_bytes(r, &bytes))
            return false;
        put_hex(w, bytes);
        return true;
    case ATLS_CBOR_TEXT:
        if (!atls_cbor_get_text(r, &bytes))
            return false;
        put_text(w, bytes);
        return true;
    case ATLS_CBOR_ARRAY:
    case ATLS_CBOR_MAP:
    case ATLS_CBOR_TAG:
    case ATLS_CBOR_SIMPLE:
    default:
        return put_simple(w, r);
    }
    atls_put_text(w, text);
    return true;
}

struct walk {
    struct atls_reader r;
    struct atls_writer w;
    struct level levels[ATLS_CBOR_DEPTH_MAX + 1];
    size_t depth;
};

/* Enters a container or a tag, or writes a scalar. */
static bool put_item(struct walk *k)
{
    struct level *next = &k->levels[k->depth];
    enum atls_cbor_type type;
    uint64_t tag;
    char text[32];

    if (!atls_cbor_peek(&k->r, &type))
        return false;
    memset(next, 0, sizeof *next);
    next->type = type;
    next->first = true;
    switch (type) {
    case ATLS_CBOR_ARRAY:
        if (k->depth == ATLS_CBOR_DEPTH_MAX || !atls_cbor_enter_array(&k->r, &next->iter))
            return false;
        atls_put_u8(&k->w, '[');
        k->depth++;
        return true;
    case ATLS_CBOR_MAP:
        if (k->depth == ATLS_CBOR_DEPTH_MAX || !atls_cbor_enter_map(&k->r, &next->iter))
            return false;
        atls_put_u8(&k->w, '{');
        k->depth++;
        return true;
    case ATLS_CBOR_TAG:
        if (k->depth == ATLS_CBOR_DEPTH_MAX || !atls_cbor_get_tag(&k->r, &tag))
            return false;
        snprintf(text, sizeof text, "%" PRIu64 "(", tag);
        atls_put_text(&k->w, text);
        k->depth++;
        return true;
    case ATLS_CBOR_UINT:
    case ATLS_CBOR_NINT:
    case ATLS_CBOR_BYTES:
    case ATLS_CBOR_TEXT:
    case ATLS_CBOR_SIMPLE:
    default:
        return put_scalar(&k->w, &k->r, type);
    }
}

/* What stands before the next item of the innermost container; false when there is none. */
static bool begin_item(struct walk *k)
{
    struct level *l = &k->levels[k->depth - 1];
    bool more;

    if (l->type == ATLS_CBOR_TAG) {
        more = l->first;
        l->first = false;
        return more;
    }
    if (l->value_next) {
        atls_put_text(&k->w, ": ");
        l->value_next = false;
        return true;
    }
    if (!atls_cbor_more(&k->r, &l->iter))
        return false;
    if (!l->first)
        atls_put_text(&k->w, ", ");
    l->first = false;
    l->value_next = l->type == ATLS_CBOR_MAP;
    return true;
}

/* Iterative: the levels are the stack. */
static bool put_document(struct walk *k)
{
    if (!put_item(k))
        return false;
    while (k->depth > 0) {
        if (begin_item(k)) {
            if (!put_item(k))
                return false;
            continue;
        }
        k->depth--;
        atls_put_u8(&k->w, k->levels[k->depth].type == ATLS_CBOR_ARRAY ? ']'
                           : k->levels[k->depth].type == ATLS_CBOR_MAP ? '}'
                                                                       : ')');
    }
    return atls_reader_done(&k->r);
}

enum atls_code atls_view_cbor(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct walk k = {.r = atls_reader_init(in), .w = atls_writer_init(DIAGNOSTIC_MAX)};
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, v->err)) != ATLS_OK)
        return code;
    if (!put_document(&k)) {
        atls_writer_clear(&k.w);
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "CBOR: not to be read near byte %zu", k.r.pos);
    }
    if ((code = atls_writer_finish(&k.w, &text, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_text(v->j, "diagnostic", atls_buf_bytes(&text));
    atls_json_close(v->j);
    atls_buf_clear(&text);
    return ATLS_OK;
}
