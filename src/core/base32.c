#include "core/base32.h"

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";

void atls_base32_put(struct atls_writer *w, struct atls_bytes bytes)
{
    uint32_t bits = 0;
    unsigned int count = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        bits = (bits << 8 | bytes.ptr[i]) & 0xfff; /* at most four are left over, and eight more */
        for (count += 8; count >= 5; count -= 5)
            atls_put_u8(w, (uint8_t)ALPHABET[bits >> (count - 5) & 31]);
    }
    if (count != 0)
        atls_put_u8(w, (uint8_t)ALPHABET[bits << (5 - count) & 31]);
}

static bool value_of(uint8_t c, uint32_t *out)
{
    if (c >= 'a' && c <= 'z')
        *out = (uint32_t)(c - 'a');
    else if (c >= '2' && c <= '7')
        *out = (uint32_t)(c - '2') + 26;
    else
        return false;
    return true;
}

static bool well_formed(struct atls_bytes text, size_t len)
{
    const unsigned int spare = (unsigned int)(ATLS_BASE32_LEN(len) * 5 - len * 8);
    uint32_t value = 0;

    if (text.len != ATLS_BASE32_LEN(len))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!value_of(text.ptr[i], &value))
            return false;
    return (value & ((1u << spare) - 1)) == 0;
}

bool atls_base32_get(struct atls_bytes text, uint8_t *out, size_t len)
{
    uint32_t bits = 0, value = 0;
    unsigned int count = 0;
    size_t at = 0;

    if (!well_formed(text, len))
        return false;
    for (size_t i = 0; i < text.len && value_of(text.ptr[i], &value); i++) {
        bits = (bits << 5 | value) & 0xfff;
        if ((count += 5) < 8)
            continue;
        count -= 8;
        out[at++] = (uint8_t)(bits >> count);
    }
    return true;
}
