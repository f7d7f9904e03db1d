#include "core/reader.h"

#include <string.h>

/* Big-endian integer of width 1..8. */
static bool get_be(struct atls_reader *r, size_t width, uint64_t *out)
{
    const uint8_t *p;
    uint64_t v = 0;

    if (width > atls_reader_left(r))
        return false;
    p = r->in.ptr + r->pos;
    for (size_t i = 0; i < width; i++)
        v = v << 8 | p[i];
    r->pos += width;
    *out = v;
    return true;
}

static bool get_le(struct atls_reader *r, size_t width, uint64_t *out)
{
    const uint8_t *p;
    uint64_t v = 0;

    if (width > atls_reader_left(r))
        return false;
    p = r->in.ptr + r->pos;
    for (size_t i = width; i-- > 0;)
        v = v << 8 | p[i];
    r->pos += width;
    *out = v;
    return true;
}

bool atls_get_u8(struct atls_reader *r, uint8_t *out)
{
    uint64_t v;

    if (!get_be(r, 1, &v))
        return false;
    *out = (uint8_t)v;
    return true;
}

bool atls_get_u16(struct atls_reader *r, uint16_t *out)
{
    uint64_t v;

    if (!get_be(r, 2, &v))
        return false;
    *out = (uint16_t)v;
    return true;
}

bool atls_get_u24(struct atls_reader *r, uint32_t *out)
{
    uint64_t v;

    if (!get_be(r, 3, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool atls_get_u32(struct atls_reader *r, uint32_t *out)
{
    uint64_t v;

    if (!get_be(r, 4, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool atls_get_u64(struct atls_reader *r, uint64_t *out)
{
    return get_be(r, 8, out);
}

bool atls_get_u16le(struct atls_reader *r, uint16_t *out)
{
    uint64_t v;

    if (!get_le(r, 2, &v))
        return false;
    *out = (uint16_t)v;
    return true;
}

bool atls_get_u32le(struct atls_reader *r, uint32_t *out)
{
    uint64_t v;

    if (!get_le(r, 4, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool atls_get_u64le(struct atls_reader *r, uint64_t *out)
{
    return get_le(r, 8, out);
}

bool atls_get_bytes(struct atls_reader *r, size_t len, struct atls_bytes *out)
{
    if (len > atls_reader_left(r))
        return false;
    /* An empty input may have no address to add to. Elsewhere the address stays, so that a field of
     * no bytes differs from a field that is absent. */
    *out = atls_bytes_of(r->in.ptr == NULL ? NULL : r->in.ptr + r->pos, len);
    r->pos += len;
    return true;
}

bool atls_get_vec(struct atls_reader *r, size_t floor, size_t ceiling, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes body;
    uint64_t len;

    if (!get_be(&ahead,
                ceiling > 0xffff ? 3
                : ceiling > 0xff ? 2
                                 : 1,
                &len) ||
        len < floor || len > ceiling || !atls_get_bytes(&ahead, (size_t)len, &body))
        return false;
    *r = ahead;
    *out = body;
    return true;
}

bool atls_bytes_equal(struct atls_bytes a, struct atls_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool atls_bytes_equal_text(struct atls_bytes a, const char *text)
{
    return atls_bytes_equal(a, atls_bytes_of(text, strlen(text)));
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

bool atls_bytes_equal_without_case(struct atls_bytes a, struct atls_bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool atls_bytes_are_zero(struct atls_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] != 0)
            return false;
    return true;
}

int atls_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
