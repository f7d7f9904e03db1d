#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

enum atls_code set_error(struct atls_err *err, enum atls_code code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    atls_err_clear(err);
    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

void text_clear(struct text *t)
{
    free(t->ptr);
    *t = (struct text){0};
}

/* Room for len more bytes and a NUL. */
static bool reserve(struct text *t, size_t len)
{
    size_t size = t->size == 0 ? 256 : t->size;
    char *p;

    if (t->failed)
        return false;
    if (t->size > 0 && len < t->size - t->len)
        return true;
    while (len >= size - t->len) {
        if (size > SIZE_MAX / 2) {
            t->failed = true;
            return false;
        }
        size *= 2;
    }
    if ((p = realloc(t->ptr, size)) == NULL) {
        t->failed = true;
        return false;
    }
    t->ptr = p;
    t->size = size;
    return true;
}

void text_add(struct text *t, const char *bytes, size_t len)
{
    if (!reserve(t, len))
        return;
    if (len > 0)
        memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
    t->ptr[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *format, ...)
{
    char line[1024];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line)
        t->failed = true;
    else
        text_add(t, line, (size_t)len);
}

static void separate(struct text *t)
{
    char last = t->len > 0 ? t->ptr[t->len - 1] : '[';

    if (last != '{' && last != '[' && last != ':')
        text_add(t, ",", 1);
}

void text_open(struct text *t, char bracket)
{
    separate(t);
    text_add(t, &bracket, 1);
}

void text_close(struct text *t, char bracket)
{
    text_add(t, &bracket, 1);
}

/* Length of the UTF-8 sequence that starts at s (RFC 3629 section 4); 0 when there is none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max;
        size_t len;
    } rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (s[0] < rows[i].first_min || s[0] > rows[i].first_max)
            continue;
        if (left < rows[i].len || s[1] < rows[i].second_min || s[1] > rows[i].second_max)
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].len;
    }
    return 0;
}

static void add_character(struct text *t, const unsigned char *s, size_t left, size_t *used)
{
    char escape[8];
    size_t len;

    *used = 1;
    if (s[0] == '"' || s[0] == '\\') {
        snprintf(escape, sizeof escape, "\\%c", s[0]);
        text_puts(t, escape);
    } else if (s[0] < 0x20 || s[0] == 0x7f) {
        snprintf(escape, sizeof escape, "\\u%04x", s[0]);
        text_puts(t, escape);
    } else if ((len = utf8_len(s, left)) > 0) {
        text_add(t, (const char *)s, len);
        *used = len;
    } else {
        text_puts(t, "\\ufffd");
    }
}

#define EACH_BYTE(v) (UINT64_MAX / 255 * (v))

/* Whether none of eight bytes needs a look of its own: printable ASCII, but for quote and
 * backslash. A byte of v is zero where the high bit of it in (v - 1 & ~v) is set; a borrow from a
 * byte below can only say "look" once too often. */
static bool are_plain(const unsigned char *at)
{
    uint64_t v, quote, backslash, del;

    memcpy(&v, at, sizeof v);
    quote = v ^ EACH_BYTE('"');
    backslash = v ^ EACH_BYTE('\\');
    del = v ^ EACH_BYTE(0x7f);
    return ((v | (v - EACH_BYTE(0x20)) | ((quote - EACH_BYTE(1)) & ~quote) |
             ((backslash - EACH_BYTE(1)) & ~backslash) | ((del - EACH_BYTE(1)) & ~del)) &
            EACH_BYTE(0x80)) == 0;
}

void text_string_of(struct text *t, const char *s, size_t len)
{
    const unsigned char *at = (const unsigned char *)s, *end = at + len;

    separate(t);
    text_add(t, "\"", 1);
    while (at < end) {
        const unsigned char *plain = at;
        size_t used;

        while (end - at >= 8 && are_plain(at))
            at += 8;
        while (at < end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
            at++;
        if (at > plain)
            text_add(t, (const char *)plain, (size_t)(at - plain));
        if (at < end) {
            add_character(t, at, (size_t)(end - at), &used);
            at += used;
        }
    }
    text_add(t, "\"", 1);
}

void text_string(struct text *t, const char *s)
{
    text_string_of(t, s, strlen(s));
}

void text_key(struct text *t, const char *key)
{
    text_string(t, key);
    text_add(t, ":", 1);
}

void text_raw(struct text *t, const char *json)
{
    separate(t);
    text_puts(t, json);
}

void text_int(struct text *t, int64_t value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRId64, value);
    text_raw(t, digits);
}

void text_member(struct text *t, const char *key, const char *value)
{
    text_key(t, key);
    text_string(t, value);
}

void text_member_int(struct text *t, const char *key, int64_t value)
{
    text_key(t, key);
    text_int(t, value);
}

/* ---- base64 (RFC 4648), hexadecimal ---- */

static const char alphabet[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void text_base64(struct text *t, struct atls_bytes bytes, enum base64_form form)
{
    const char *digits = alphabet[form];
    size_t rest = bytes.len % 3, last = rest == 0 ? 0 : form == BASE64_STD ? 4 : rest + 1;
    size_t len = bytes.len / 3 * 4 + last;
    const uint8_t *in = bytes.ptr, *end = in + (bytes.len - rest);
    char *out;

    separate(t);
    text_add(t, "\"", 1);
    if (!reserve(t, len))
        return;
    out = t->ptr + t->len;
    for (; in < end; in += 3, out += 4) {
        uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

        out[0] = digits[v >> 18];
        out[1] = digits[v >> 12 & 63];
        out[2] = digits[v >> 6 & 63];
        out[3] = digits[v & 63];
    }
    for (size_t k = 0; k < last; k++) {
        uint32_t v = (uint32_t)in[0] << 16 | (rest == 2 ? (uint32_t)in[1] << 8 : 0);

        out[k] = k <= rest ? digits[v >> (18 - 6 * k) & 63] : '=';
    }
    t->len += len;
    text_add(t, "\"", 1);
}

bool base64url_decode(const char *text, uint8_t *out, size_t size, size_t *out_len)
{
    size_t len = strlen(text), pad = 0, n = 0;
    uint32_t v = 0;

    while (pad < 2 && len > pad && text[len - 1 - pad] == '=')
        pad++;
    if (pad > 0 && len % 4 != 0)
        return false;
    len -= pad;
    if (len % 4 == 1 || (pad > 0 && len % 4 != 4 - pad) || len / 4 * 3 + len % 4 * 3 / 4 > size)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *digit = memchr(alphabet[BASE64_URL], text[i], 64);

        if (digit == NULL)
            return false;
        v = v << 6 | (uint32_t)(digit - alphabet[BASE64_URL]);
        if (i % 4 != 0)
            out[n++] = (uint8_t)(v >> (6 - 2 * (i % 4)));
    }
    /* Bits that belong to no byte are zero (RFC 4648 section 3.5). */
    if ((len % 4 == 2 && (v & 15) != 0) || (len % 4 == 3 && (v & 3) != 0))
        return false;
    *out_len = n;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t len)
{
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void time_text(int64_t time_s, char out[24])
{
    time_t t = (time_t)time_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "1970-01-01T00:00:00Z", 21);
}

/* Sixteen bytes of this thread's supply: the generator costs as much for one as for many. */
static bool take_random(uint8_t out[16])
{
    static _Thread_local uint8_t supply[64][16];
    static _Thread_local size_t left;

    if (left == 0) {
        if (RAND_bytes(supply[0], sizeof supply) != 1)
            return false;
        left = sizeof supply / sizeof supply[0];
    }
    memcpy(out, supply[--left], 16);
    return true;
}

bool uuid_new(char out[37])
{
    uint8_t r[16];

    if (!take_random(r))
        return false;
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof r; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = "0123456789abcdef"[r[i] >> 4];
        out[at++] = "0123456789abcdef"[r[i] & 15];
    }
    out[36] = '\0';
    return true;
}

bool uuid_is(const char *text)
{
    if (strlen(text) != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
        } else if (hex_digit(text[i]) < 0 || (text[i] >= 'A' && text[i] <= 'F')) {
            return false;
        }
    }
    return true;
}
