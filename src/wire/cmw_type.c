/* The type of a CMW: the grammar of Content-Type (RFC 9110 sections 5.6 and 8.3), the registry of
 * content-formats, and comparing the two. */
#include <string.h>

#include "wire/cmw.h"

/* RFC 9110 section 5.6.2; a table, because types are compared with many others in a row. */
static bool is_tchar(uint8_t c)
{
    static const bool chars[128] = {
        ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true,
        ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true,
        ['`'] = true, ['|'] = true, ['~'] = true, ['0'] = true, ['1'] = true, ['2'] = true,
        ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true,
        ['9'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,
        ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true,
        ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true,
        ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true,
        ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,
        ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true,
        ['j'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true,
        ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true,
        ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
    };

    return c < sizeof chars && chars[c];
}

static bool get_token(struct atls_reader *r, struct atls_bytes *out)
{
    size_t len = 0;

    while (len < atls_reader_left(r) && is_tchar(r->in.ptr[r->pos + len]))
        len++;
    return len != 0 && atls_get_bytes(r, len, out);
}

static bool get_char(struct atls_reader *r, char c)
{
    if (atls_reader_done(r) || r->in.ptr[r->pos] != (uint8_t)c)
        return false;
    r->pos++;
    return true;
}

static void skip_blanks(struct atls_reader *r)
{
    while (get_char(r, ' ') || get_char(r, '\t'))
        ;
}

/* With its quotes; what may be in it: HTAB, SP to 0x7e, obs-text. */
static bool get_quoted(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    bool escaped = false;
    uint8_t c;

    if (!get_char(&ahead, '"'))
        return false;
    while (atls_get_u8(&ahead, &c)) {
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
        if (c == '"' && !escaped)
            return atls_get_bytes(r, ahead.pos - r->pos, out);
        escaped = c == '\\' && !escaped;
    }
    return false;
}

struct parameter {
    struct atls_bytes name; /* empty at a semicolon with nothing after it */
    struct atls_bytes value;
};

/* The next parameter with the semicolon before it. */
static bool get_parameter(struct atls_reader *r, struct parameter *out)
{
    struct atls_reader ahead = *r;
    struct parameter p = {{NULL, 0}, {NULL, 0}};

    skip_blanks(&ahead);
    if (!get_char(&ahead, ';'))
        return false;
    skip_blanks(&ahead);
    if (get_token(&ahead, &p.name) &&
        (!get_char(&ahead, '=') || (!get_token(&ahead, &p.value) && !get_quoted(&ahead, &p.value))))
        return false;
    *r = ahead;
    *out = p;
    return true;
}

/* type/subtype; the parameters follow. */
static bool get_essence(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes part;

    return get_token(&ahead, &part) && get_char(&ahead, '/') && get_token(&ahead, &part) &&
           atls_get_bytes(r, ahead.pos - r->pos, out);
}

bool atls_content_type_valid(struct atls_bytes text)
{
    struct atls_reader r = atls_reader_init(text);
    struct atls_bytes essence;
    struct parameter p;

    if (!get_essence(&r, &essence))
        return false;
    while (get_parameter(&r, &p))
        ;
    return atls_reader_done(&r);
}

/* The next character of a token or quoted-string as it is meant; false at its end. */
static bool next_meant(struct atls_bytes value, size_t *pos, uint8_t *out)
{
    bool quoted = value.len != 0 && value.ptr[0] == '"';
    size_t end = value.len - (quoted ? 1 : 0);

    if (quoted && *pos == 0)
        *pos = 1;
    if (*pos < end && quoted && value.ptr[*pos] == '\\')
        ++*pos;
    if (*pos >= end)
        return false;
    *out = value.ptr[(*pos)++];
    return true;
}

static bool equal_meant(struct atls_bytes a, struct atls_bytes b)
{
    size_t pos_a = 0, pos_b = 0;
    uint8_t char_a, char_b;

    while (next_meant(a, &pos_a, &char_a))
        if (!next_meant(b, &pos_b, &char_b) || char_a != char_b)
            return false;
    return !next_meant(b, &pos_b, &char_b);
}

/* True when the parameters at r hold wanted once, and with its value: said twice it says nothing.
 */
static bool has_parameter(struct atls_reader r, const struct parameter *wanted)
{
    struct parameter p;
    size_t named = 0;
    bool equal = false;

    while (get_parameter(&r, &p)) {
        if (!atls_bytes_equal_without_case(p.name, wanted->name))
            continue;
        named++;
        equal = equal_meant(p.value, wanted->value);
    }
    return named == 1 && equal;
}

/* Registered content-formats of the messages that we know (IANA CoAP content-formats). */
static const struct {
    uint16_t content_format;
    const char *media_type;
} content_formats[] = {
    {18, "application/cose; cose-type=\"cose-sign1\""},
    {61, "application/cwt"},
    {258, "application/swid+cbor"},
    {263, "application/eat+cwt"},
    {264, "application/eat+jwt"},
    {265, "application/eat-bun+cbor"},
    {266, "application/eat-bun+json"},
    {267, "application/eat-ucs+cbor"},
    {268, "application/eat-ucs+json"},
    {273, "application/cmw+cbor"},
    {274, "application/cmw+json"},
    {275, "application/cmw+cose"},
    {276, "application/cmw+jws"},
    {287, "application/pkix-cert"},
    {295, "application/measured-component+cbor"},
    {296, "application/measured-component+json"},
    {601, "application/uccs+cbor"},
    {10003, "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\""},
    {10004, "application/eat+cwt; eat_profile=\"tag:psacertified.org,2019:psa#legacy\""},
    {10005, "application/eat+cwt; eat_profile=2.16.840.1.113741.1.16.1"},
    {10570, "application/toc+cbor"},
    {10571, "application/ce+cbor"},
    {10572, "application/toc+cbor; profile=2.16.840.1.113741.1.16.1"},
    {10573, "application/ce+cbor; profile=2.16.840.1.113741.1.16.1"},
};

const char *atls_cmw_media_type(uint16_t content_format)
{
    for (size_t i = 0; i < sizeof content_formats / sizeof content_formats[0]; i++)
        if (content_formats[i].content_format == content_format)
            return content_formats[i].media_type;
    return NULL;
}

/* Text of a type; empty for a content-format that is not registered. */
static struct atls_bytes text_of(const struct atls_cmw_type *type)
{
    const char *registered = type->is_text ? NULL : atls_cmw_media_type(type->content_format);

    if (type->is_text)
        return type->text;
    return registered == NULL ? atls_bytes_of(NULL, 0)
                              : atls_bytes_of(registered, strlen(registered));
}

bool atls_cmw_type_has(const struct atls_cmw_type *type, const char *name)
{
    struct atls_bytes text = text_of(type), wanted = atls_bytes_of(name, strlen(name)), essence;
    struct atls_reader r = atls_reader_init(text);
    struct parameter p;

    if (!atls_content_type_valid(text) || !get_essence(&r, &essence))
        return false;
    while (get_parameter(&r, &p))
        if (atls_bytes_equal_without_case(p.name, wanted))
            return true;
    return false;
}

/* Types are asked for many others in a row: this says no to nearly all without parsing. */
static bool may_be(struct atls_bytes text, const char *media_type)
{
    const size_t len = strcspn(media_type, "; \t"); /* of type/subtype */

    return text.len >= len && atls_bytes_equal_without_case(atls_bytes_of(text.ptr, len),
                                                            atls_bytes_of(media_type, len));
}

bool atls_cmw_type_is(const struct atls_cmw_type *type, const char *media_type)
{
    struct atls_bytes text = text_of(type);
    struct atls_reader have, want = atls_reader_init(atls_bytes_of(media_type, strlen(media_type)));
    struct atls_bytes have_essence, want_essence;
    struct parameter wanted;

    if (!may_be(text, media_type))
        return false;
    have = atls_reader_init(text);
    if (!get_essence(&have, &have_essence) || !get_essence(&want, &want_essence) ||
        !atls_bytes_equal_without_case(have_essence, want_essence))
        return false;
    while (get_parameter(&want, &wanted))
        if (wanted.name.len != 0 && !has_parameter(have, &wanted))
            return false;
    /* The whole grammar last: most have been told apart by now. */
    return atls_reader_done(&want) && atls_content_type_valid(text);
}
