#include "wire/json.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"

/* Positions fit 32 bits: a text has at most ATLS_JSON_TEXT_MAX bytes. */
struct span {
    uint32_t pos, len;
};

struct level {
    bool is_object;
    uint32_t first_name; /* its names are those from here to name_count */
};

struct parser {
    const uint8_t *in;
    size_t len, pos;
    struct level levels[ATLS_JSON_NESTING_MAX];
    size_t depth;
    struct span names[ATLS_JSON_NAMES_MAX];
    uint32_t name_count;
};

/* ---- characters ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Four hexadecimal digits. */
static bool get_unit(struct atls_reader *r, uint32_t *out)
{
    struct atls_bytes digits;
    uint32_t unit = 0;

    if (!atls_get_bytes(r, 4, &digits))
        return false;
    for (size_t i = 0; i < 4; i++) {
        int digit = atls_hex_digit(digits.ptr[i]);

        if (digit < 0)
            return false;
        unit = unit << 4 | (uint32_t)digit;
    }
    *out = unit;
    return true;
}

/* After "\u": one code point, of one unit or of a surrogate pair (RFC 8259 section 7). */
static bool get_unicode_escape(struct atls_reader *r, uint32_t *out)
{
    uint32_t high, low;
    struct atls_bytes prefix;

    if (!get_unit(r, &high) || (high >= 0xdc00 && high <= 0xdfff))
        return false;
    if (high < 0xd800 || high > 0xdfff) {
        *out = high;
        return true;
    }
    if (!atls_get_bytes(r, 2, &prefix) || memcmp(prefix.ptr, "\\u", 2) != 0 || !get_unit(r, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return false;
    *out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static bool get_escape(struct atls_reader *r, uint32_t *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *found;
    uint8_t c;

    if (!atls_get_u8(r, &c))
        return false;
    if (c == 'u')
        return get_unicode_escape(r, out);
    if (c == 0 || (found = strchr(names, c)) == NULL)
        return false;
    *out = (uint32_t)(unsigned char)values[found - names];
    return true;
}

/* Continuation bytes of a UTF-8 sequence that first starts: shortest form, no surrogates, at most
 * U+10FFFF (RFC 3629). */
static bool get_utf8(struct atls_reader *r, uint8_t first, uint32_t *out)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t code = first & (0x3fu >> more);
    uint8_t c;

    if (first < 0xc2 || first > 0xf4)
        return false;
    for (size_t i = 0; i < more; i++) {
        if (!atls_get_u8(r, &c) || (c & 0xc0) != 0x80)
            return false;
        code = code << 6 | (c & 0x3fu);
    }
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return false;
    *out = code;
    return true;
}

/* The next character of a string's content, however it is spelled. */
static bool get_character(struct atls_reader *r, uint32_t *out)
{
    uint8_t c;

    if (!atls_get_u8(r, &c) || c < 0x20 || c == '"')
        return false;
    if (c == '\\')
        return get_escape(r, out);
    if (c >= 0x80)
        return get_utf8(r, c, out);
    *out = c;
    return true;
}

/* Both are content of strings that were checked. */
static bool strings_equal(struct atls_bytes a, struct atls_bytes b)
{
    struct atls_reader ra = atls_reader_init(a), rb = atls_reader_init(b);
    uint32_t ca, cb;

    while (!atls_reader_done(&ra) && !atls_reader_done(&rb))
        if (!get_character(&ra, &ca) || !get_character(&rb, &cb) || ca != cb)
            return false;
    return atls_reader_done(&ra) && atls_reader_done(&rb);
}

/* ---- checking ---- */

static enum atls_code malformed(const struct parser *p, const char *what, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "JSON: %s near byte %zu",
                            what, p->pos);
}

static void skip_space(struct parser *p)
{
    while (p->pos < p->len && is_space(p->in[p->pos]))
        p->pos++;
}

/* The next byte, or 0 at the end; a NUL fits nowhere either. */
static uint8_t peek(const struct parser *p)
{
    return p->pos < p->len ? p->in[p->pos] : 0;
}

/* At the opening quote; *out is the content. */
static enum atls_code check_string(struct parser *p, struct span *out, struct atls_err *err)
{
    const size_t first = p->pos + 1;
    struct atls_reader r = atls_reader_init(atls_bytes_of(p->in, p->len));
    uint32_t ignored;

    r.pos = first;
    while (r.pos < p->len && p->in[r.pos] != '"') {
        p->pos = r.pos;
        if (!get_character(&r, &ignored))
            return malformed(p, "character that a string must not have,", err);
    }
    if (r.pos == p->len)
        return malformed(p, "string without end,", err);
    out->pos = (uint32_t)first;
    out->len = (uint32_t)(r.pos - first);
    p->pos = r.pos + 1;
    return ATLS_OK;
}

static bool skip_digits(struct parser *p)
{
    const size_t first = p->pos;

    while (is_digit(peek(p)))
        p->pos++;
    return p->pos != first;
}

static enum atls_code check_number(struct parser *p, struct atls_err *err)
{
    if (peek(p) == '-')
        p->pos++;
    if (peek(p) == '0')
        p->pos++;
    else if (!skip_digits(p))
        return malformed(p, "no value", err);
    if (peek(p) == '.') {
        p->pos++;
        if (!skip_digits(p))
            return malformed(p, "number without digits after its point,", err);
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->pos++;
        if (peek(p) == '+' || peek(p) == '-')
            p->pos++;
        if (!skip_digits(p))
            return malformed(p, "number without digits in its exponent,", err);
    }
    return ATLS_OK;
}

static enum atls_code check_scalar(struct parser *p, struct atls_err *err)
{
    static const char *const words[] = {"null", "true", "false"};
    struct span ignored;

    if (peek(p) == '"')
        return check_string(p, &ignored, err);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t len = strlen(words[i]);

        if (p->len - p->pos >= len && memcmp(p->in + p->pos, words[i], len) == 0) {
            p->pos += len;
            return ATLS_OK;
        }
    }
    return check_number(p, err);
}

/* Name and colon of a member of the innermost object. */
static enum atls_code check_name(struct parser *p, struct atls_err *err)
{
    struct span name;
    enum atls_code code;

    skip_space(p);
    if (peek(p) != '"')
        return malformed(p, "no member name", err);
    if ((code = check_string(p, &name, err)) != ATLS_OK)
        return code;
    for (uint32_t i = p->levels[p->depth - 1].first_name; i < p->name_count; i++)
        if (strings_equal(atls_bytes_of(p->in + p->names[i].pos, p->names[i].len),
                          atls_bytes_of(p->in + name.pos, name.len)))
            return malformed(p, "member name twice in one object,", err);
    if (p->name_count == ATLS_JSON_NAMES_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "JSON: more than %d member names in open objects",
                                ATLS_JSON_NAMES_MAX);
    p->names[p->name_count++] = name;
    skip_space(p);
    if (peek(p) != ':')
        return malformed(p, "no colon after a member name", err);
    p->pos++;
    return ATLS_OK;
}

/* At '[' or '{'. *out_closed: it was empty, and is behind us; else its first value is next. */
static enum atls_code open_level(struct parser *p, bool *out_closed, struct atls_err *err)
{
    const bool is_object = peek(p) == '{';

    if (p->depth == ATLS_JSON_NESTING_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "JSON: deeper than %d near byte %zu", ATLS_JSON_NESTING_MAX,
                                p->pos);
    p->pos++;
    skip_space(p);
    *out_closed = peek(p) == (is_object ? '}' : ']');
    if (*out_closed) {
        p->pos++;
        return ATLS_OK;
    }
    p->levels[p->depth].is_object = is_object;
    p->levels[p->depth].first_name = p->name_count;
    p->depth++;
    return is_object ? check_name(p, err) : ATLS_OK;
}

/* After a value: closes what ends here, and stops where another value is due or nothing is open. */
static enum atls_code after_value(struct parser *p, struct atls_err *err)
{
    while (p->depth > 0) {
        const struct level *level = &p->levels[p->depth - 1];

        skip_space(p);
        if (peek(p) == ',') {
            p->pos++;
            return level->is_object ? check_name(p, err) : ATLS_OK;
        }
        if (peek(p) != (level->is_object ? '}' : ']'))
            return malformed(p, "no comma and no end of array or object", err);
        p->pos++;
        p->name_count = level->first_name;
        p->depth--;
    }
    return ATLS_OK;
}

static enum atls_code check_value(struct parser *p, struct atls_err *err)
{
    enum atls_code code;
    bool complete;

    do {
        skip_space(p);
        complete = true;
        code =
            peek(p) == '{' || peek(p) == '[' ? open_level(p, &complete, err) : check_scalar(p, err);
        if (code == ATLS_OK && complete)
            code = after_value(p, err);
    } while (code == ATLS_OK && p->depth > 0);
    return code;
}

/* ---- walking: the text was checked ---- */

static enum atls_json_kind kind_of(uint8_t first)
{
    switch (first) {
    case '{':
        return ATLS_JSON_OBJECT;
    case '[':
        return ATLS_JSON_ARRAY;
    case '"':
        return ATLS_JSON_STRING;
    case 'n':
        return ATLS_JSON_NULL;
    case 't':
    case 'f':
        return ATLS_JSON_BOOL;
    default:
        return ATLS_JSON_NUMBER;
    }
}

static const uint8_t *after_string(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

static const uint8_t *after_container(const uint8_t *at, const uint8_t *end)
{
    size_t depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = after_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
        if (depth == 0)
            break;
    }
    return at;
}

static const uint8_t *after_json(const uint8_t *at, const uint8_t *end)
{
    switch (kind_of(*at)) {
    case ATLS_JSON_OBJECT:
    case ATLS_JSON_ARRAY:
        return after_container(at, end);
    case ATLS_JSON_STRING:
        return after_string(at, end);
    case ATLS_JSON_NULL:
    case ATLS_JSON_BOOL:
    case ATLS_JSON_NUMBER:
        break;
    }
    while (at < end && !is_space(*at) && *at != ',' && *at != '}' && *at != ']')
        at++;
    return at;
}

/* To the next byte that is neither white space nor the separator that has to stand here. */
static const uint8_t *skip_to(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (is_space(*at) || *at == ',' || *at == ':'))
        at++;
    return at;
}

static bool take(const uint8_t **at, const uint8_t *end, struct atls_json_value *out)
{
    const uint8_t *first = skip_to(*at, end);

    if (first >= end)
        return false;
    *at = after_json(first, end);
    out->kind = kind_of(*first);
    out->raw = atls_bytes_of(first, (size_t)(*at - first));
    return true;
}

struct atls_json_walk atls_json_walk(const struct atls_json_value *value)
{
    struct atls_json_walk walk = {NULL, NULL, value->kind == ATLS_JSON_OBJECT};

    if (value->kind == ATLS_JSON_OBJECT || value->kind == ATLS_JSON_ARRAY) {
        walk.next = value->raw.ptr + 1;
        walk.end = value->raw.ptr + value->raw.len - 1;
    }
    return walk;
}

bool atls_json_next(struct atls_json_walk *walk, struct atls_json_value *name,
                    struct atls_json_value *out)
{
    struct atls_json_value key = {ATLS_JSON_NULL, {NULL, 0}};

    if (walk->next == NULL || (walk->members && !take(&walk->next, walk->end, &key)) ||
        !take(&walk->next, walk->end, out))
        return false;
    if (walk->members && name != NULL)
        *name = key;
    return true;
}

bool atls_json_member(const struct atls_json_value *value, const char *name,
                      struct atls_json_value *out)
{
    struct atls_json_walk walk = atls_json_walk(value);
    struct atls_json_value key = {ATLS_JSON_NULL, {NULL, 0}}, found;

    if (!walk.members)
        return false;
    while (atls_json_next(&walk, &key, &found))
        if (atls_json_is_text(&key, name)) {
            *out = found;
            return true;
        }
    return false;
}

enum atls_code atls_json_parse(struct atls_bytes text, struct atls_json_value *out,
                               struct atls_err *err)
{
    struct parser p = {.in = text.ptr, .len = text.len};
    const uint8_t *at = text.ptr;
    enum atls_code code;

    if (text.len > ATLS_JSON_TEXT_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "JSON: %zu bytes, want at most %zu", text.len, ATLS_JSON_TEXT_MAX);
    if ((code = check_value(&p, err)) != ATLS_OK)
        return code;
    skip_space(&p);
    if (p.pos != p.len)
        return malformed(&p, "text after the value,", err);
    return take(&at, text.ptr + text.len, out) ? ATLS_OK : malformed(&p, "no value", err);
}

/* ---- scalars ---- */

static struct atls_bytes content_of(const struct atls_json_value *string)
{
    return atls_bytes_of(string->raw.ptr + 1, string->raw.len - 2);
}

/* UTF-8 of one character; its length. */
static size_t encode_utf8(uint32_t c, char out[4])
{
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    const size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

    for (size_t i = more; i > 0; i--, c >>= 6)
        out[i] = (char)(unsigned char)(0x80 | (c & 0x3f));
    out[0] = (char)(unsigned char)(heads[more] | c);
    return more + 1;
}

bool atls_json_get_text(const struct atls_json_value *value, char *out, size_t room,
                        size_t *out_len)
{
    struct atls_reader r;
    size_t len = 0;

    if (value->kind != ATLS_JSON_STRING)
        return false;
    r = atls_reader_init(content_of(value));
    while (!atls_reader_done(&r)) {
        char utf8[4];
        uint32_t c;
        size_t n;

        if (!get_character(&r, &c) || (n = encode_utf8(c, utf8)) > room - len)
            return false;
        memcpy(out + len, utf8, n);
        len += n;
    }
    *out_len = len;
    return true;
}

bool atls_json_is_text(const struct atls_json_value *value, const char *text)
{
    struct atls_reader r;
    size_t at = 0;
    const size_t len = strlen(text);

    if (value->kind != ATLS_JSON_STRING)
        return false;
    r = atls_reader_init(content_of(value));
    while (!atls_reader_done(&r)) {
        char utf8[4];
        uint32_t c;
        size_t n;

        if (!get_character(&r, &c) || (n = encode_utf8(c, utf8)) > len - at ||
            memcmp(text + at, utf8, n) != 0)
            return false;
        at += n;
    }
    return at == len;
}

bool atls_json_get_plain(const struct atls_json_value *value, struct atls_bytes *out)
{
    struct atls_bytes content;

    if (value->kind != ATLS_JSON_STRING)
        return false;
    content = content_of(value);
    if (content.len != 0 && memchr(content.ptr, '\\', content.len) != NULL)
        return false;
    *out = content;
    return true;
}

bool atls_json_get_hex(const struct atls_json_value *value, uint8_t *out, size_t len)
{
    struct atls_bytes text;

    if (!atls_json_get_plain(value, &text) || text.len % 2 != 0 || text.len / 2 != len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (atls_hex_digit(text.ptr[i]) < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        out[i] =
            (uint8_t)(atls_hex_digit(text.ptr[2 * i]) << 4 | atls_hex_digit(text.ptr[2 * i + 1]));
    return true;
}

bool atls_json_get_uint(const struct atls_json_value *value, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;

    if (value->kind != ATLS_JSON_NUMBER)
        return false;
    for (size_t i = 0; i < value->raw.len; i++) {
        const uint8_t c = value->raw.ptr[i];

        if (!is_digit(c) || number > (UINT64_MAX - (uint64_t)(c - '0')) / 10)
            return false;
        number = number * 10 + (uint64_t)(c - '0');
    }
    if (number > max)
        return false;
    *out = number;
    return true;
}

bool atls_json_get_bool(const struct atls_json_value *value, bool *out)
{
    if (value->kind != ATLS_JSON_BOOL)
        return false;
    *out = value->raw.ptr[0] == 't';
    return true;
}

/* ---- times ---- */

/* len digits at text as a number, at most 4. */
static bool get_digits(const uint8_t *text, size_t len, unsigned int *out)
{
    unsigned int number = 0;

    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return false;
        number = number * 10 + (unsigned int)(text[i] - '0');
    }
    *out = number;
    return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar, whose year begins in March here. */
static int64_t days_of(unsigned int year, unsigned int month, unsigned int day)
{
    const int64_t y = month <= 2 ? (int64_t)year - 1 : (int64_t)year;
    const int64_t m = month <= 2 ? (int64_t)month + 9 : (int64_t)month - 3;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + (int64_t)day - 1 - 719468;
}

static unsigned int days_in_month(unsigned int year, unsigned int month)
{
    static const unsigned int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* ".5", nothing: fraction and then "Z" (RFC 3339 section 5.6). */
static bool is_fraction_and_zone(struct atls_bytes text)
{
    size_t i = 0;

    if (text.len > 0 && text.ptr[0] == '.')
        for (i = 1; i < text.len && is_digit(text.ptr[i]);)
            i++;
    return i != 1 && text.len == i + 1 && text.ptr[i] == 'Z';
}

bool atls_json_get_time(const struct atls_json_value *value, int64_t *out_s)
{
    unsigned int year, month, day, hour, minute, second;
    struct atls_bytes t;

    if (!atls_json_get_plain(value, &t) || t.len < sizeof "2025-06-19T10:32:27Z" - 1 ||
        t.ptr[4] != '-' || t.ptr[7] != '-' || t.ptr[10] != 'T' || t.ptr[13] != ':' ||
        t.ptr[16] != ':' || !is_fraction_and_zone(atls_bytes_of(t.ptr + 19, t.len - 19)))
        return false;
    if (!get_digits(t.ptr, 4, &year) || !get_digits(t.ptr + 5, 2, &month) ||
        !get_digits(t.ptr + 8, 2, &day) || !get_digits(t.ptr + 11, 2, &hour) ||
        !get_digits(t.ptr + 14, 2, &minute) || !get_digits(t.ptr + 17, 2, &second))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    *out_s = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}
