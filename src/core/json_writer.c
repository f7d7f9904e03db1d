#include "core/json_writer.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"

struct atls_json atls_json_init(size_t limit)
{
    struct atls_json j;

    memset(&j, 0, sizeof j);
    j.w = atls_writer_init(limit);
    return j;
}

static void newline(struct atls_json *j)
{
    if (!j->pretty)
        return;
    atls_put_u8(&j->w, '\n');
    for (unsigned int i = 0; i < j->depth; i++)
        atls_put_text(&j->w, "  ");
}

/* Length of the UTF-8 sequence at p (1..4) with its scalar value, or 0 when it is none (RFC 3629).
 */
static size_t utf8_next(const uint8_t *p, size_t left, uint32_t *out)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t n = 1; n <= 4 && n <= left; n++) {
        uint32_t v;

        if ((p[0] & forms[n - 1].mask) != forms[n - 1].lead)
            continue;
        v = p[0] & (uint8_t)~forms[n - 1].mask;
        for (size_t i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            v = v << 6 | (p[i] & 0x3f);
        }
        if (v < forms[n - 1].least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
            return 0;
        *out = v;
        return n;
    }
    return 0;
}

static void put_escape(struct atls_writer *w, uint32_t unit)
{
    char text[8];

    snprintf(text, sizeof text, "\\u%04x", (unsigned int)(unit & 0xffff));
    atls_put_text(w, text);
}

/* One scalar value that does not stand for itself (RFC 8259 section 7). */
static void put_scalar(struct atls_writer *w, uint32_t v)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if (v == (uint8_t)shorts[i]) {
            atls_put_u8(w, '\\');
            atls_put_u8(w, (uint8_t)shorts[i + 1]);
            return;
        }
    }
    if (v < 0x10000) {
        put_escape(w, v);
        return;
    }
    put_escape(w, 0xd800 + ((v - 0x10000) >> 10));
    put_escape(w, 0xdc00 + ((v - 0x10000) & 0x3ff));
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_quoted(struct atls_writer *w, struct atls_bytes text)
{
    size_t pos = 0;

    atls_put_u8(w, '"');
    while (pos < text.len) {
        size_t run = pos;
        uint32_t v = 0xfffd;
        size_t n;

        while (run < text.len && is_plain(text.ptr[run]))
            run++;
        atls_put_bytes(w, atls_bytes_of(text.ptr + pos, run - pos));
        if ((pos = run) == text.len)
            break;
        n = utf8_next(text.ptr + pos, text.len - pos, &v);
        put_scalar(w, v);
        pos += n == 0 ? 1 : n;
    }
    atls_put_u8(w, '"');
}

/* Comma, line break and key in front of a value; false when no value may stand here. */
static bool begin(struct atls_json *j, struct atls_bytes key)
{
    bool in_object = j->depth > 0 && !j->is_array[j->depth - 1];
    bool *filled = &j->filled[j->depth];

    if ((key.ptr != NULL) != in_object || (j->depth == 0 && *filled)) {
        j->misused = true;
        return false;
    }
    if (*filled)
        atls_put_u8(&j->w, ',');
    *filled = true;
    if (j->depth > 0)
        newline(j);
    if (in_object) {
        put_quoted(&j->w, key);
        atls_put_text(&j->w, j->pretty ? ": " : ":");
    }
    return true;
}

static struct atls_bytes key_bytes(const char *key)
{
    return atls_bytes_of(key, key == NULL ? 0 : strlen(key));
}

static void open_container(struct atls_json *j, struct atls_bytes key, bool is_array)
{
    if (j->depth == ATLS_JSON_DEPTH_MAX) {
        j->misused = true;
        return;
    }
    if (!begin(j, key))
        return;
    atls_put_u8(&j->w, is_array ? '[' : '{');
    j->is_array[j->depth++] = is_array;
    j->filled[j->depth] = false;
}

void atls_json_open_object(struct atls_json *j, const char *key)
{
    open_container(j, key_bytes(key), false);
}

void atls_json_open_array(struct atls_json *j, const char *key)
{
    open_container(j, key_bytes(key), true);
}

void atls_json_open_object_key(struct atls_json *j, struct atls_bytes key)
{
    open_container(j, key, false);
}

void atls_json_open_array_key(struct atls_json *j, struct atls_bytes key)
{
    open_container(j, key, true);
}

void atls_json_close(struct atls_json *j)
{
    bool filled = j->filled[j->depth];

    if (j->depth == 0) {
        j->misused = true;
        return;
    }
    j->depth--;
    if (filled)
        newline(j);
    atls_put_u8(&j->w, j->is_array[j->depth] ? ']' : '}');
}

void atls_json_put_text_key(struct atls_json *j, struct atls_bytes key, struct atls_bytes text)
{
    if (begin(j, key))
        put_quoted(&j->w, text);
}

void atls_json_put_text(struct atls_json *j, const char *key, struct atls_bytes text)
{
    atls_json_put_text_key(j, key_bytes(key), text);
}

void atls_json_put_string(struct atls_json *j, const char *key, const char *text)
{
    atls_json_put_text(j, key, atls_bytes_of(text, strlen(text)));
}

/* A number, or a text where some reader would round it. */
static void put_number(struct atls_json *j, const char *key, bool negative, uint64_t magnitude)
{
    uint8_t digits[24];
    size_t at = sizeof digits;
    struct atls_bytes text;
    bool exact = magnitude <= (uint64_t)ATLS_JSON_INTEGER_MAX;

    do
        digits[--at] = (uint8_t)('0' + magnitude % 10);
    while ((magnitude /= 10) != 0);
    if (negative)
        digits[--at] = '-';
    text = atls_bytes_of(digits + at, sizeof digits - at);
    if (!exact)
        atls_json_put_text(j, key, text);
    else if (begin(j, key_bytes(key)))
        atls_put_bytes(&j->w, text);
}

void atls_json_put_int(struct atls_json *j, const char *key, int64_t v)
{
    put_number(j, key, v < 0, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void atls_json_put_uint(struct atls_json *j, const char *key, uint64_t v)
{
    put_number(j, key, false, v);
}

void atls_json_put_bool(struct atls_json *j, const char *key, bool v)
{
    if (begin(j, key_bytes(key)))
        atls_put_text(&j->w, v ? "true" : "false");
}

void atls_json_put_null(struct atls_json *j, const char *key)
{
    if (begin(j, key_bytes(key)))
        atls_put_text(&j->w, "null");
}

void atls_json_put_hex(struct atls_json *j, const char *key, struct atls_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out = NULL;

    if (!begin(j, key_bytes(key)))
        return;
    atls_put_u8(&j->w, '"');
    if (bytes.len != 0)
        out = atls_put_space(&j->w, 2 * bytes.len);
    for (size_t i = 0; out != NULL && i < bytes.len; i++) {
        out[2 * i] = (uint8_t)digits[bytes.ptr[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    atls_put_u8(&j->w, '"');
}

void atls_json_put_base64url(struct atls_json *j, const char *key, struct atls_bytes bytes)
{
    if (!begin(j, key_bytes(key)))
        return;
    atls_put_u8(&j->w, '"');
    atls_base64url_put(&j->w, bytes);
    atls_put_u8(&j->w, '"');
}

void atls_json_put_raw_key(struct atls_json *j, struct atls_bytes key, struct atls_bytes json)
{
    if (begin(j, key))
        atls_put_bytes(&j->w, json);
}

void atls_json_put_raw(struct atls_json *j, const char *key, struct atls_bytes json)
{
    atls_json_put_raw_key(j, key_bytes(key), json);
}

enum atls_code atls_json_finish(struct atls_json *j, struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;

    if (j->misused || j->depth != 0 || !j->filled[0]) {
        atls_json_clear(j);
        return atls_fail(err, ATLS_E_INTERNAL,
                         "JSON document: values are not balanced, or nested "
                         "deeper than %d levels",
                         ATLS_JSON_DEPTH_MAX);
    }
    atls_put_u8(&j->w, 0);
    if ((code = atls_writer_finish(&j->w, &text, err)) != ATLS_OK)
        return code;
    text.len--;
    *out = text;
    return ATLS_OK;
}

void atls_json_clear(struct atls_json *j)
{
    atls_writer_clear(&j->w);
}
