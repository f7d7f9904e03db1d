#include "core/base64.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char ALPHABET_URL[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define BAD 0xff

static uint8_t value_of(uint8_t c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0' + 52);
    if (c == (uint8_t)alphabet[62])
        return 62;
    return c == (uint8_t)alphabet[63] ? 63 : BAD;
}

static void put(struct atls_writer *w, struct atls_bytes bytes, const char *alphabet, bool pad)
{
    size_t whole = bytes.len / 3, rest = bytes.len % 3, last = rest == 0 ? 0 : pad ? 4 : rest + 1;
    const uint8_t *in = bytes.ptr;
    uint8_t *out;

    /* No object has more than half of all addresses: the sum does not wrap. */
    if (bytes.len == 0 || (out = atls_put_space(w, whole * 4 + last)) == NULL)
        return;
    for (size_t i = 0; i < whole; i++, in += 3, out += 4) {
        uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

        out[0] = (uint8_t)alphabet[group >> 18];
        out[1] = (uint8_t)alphabet[group >> 12 & 63];
        out[2] = (uint8_t)alphabet[group >> 6 & 63];
        out[3] = (uint8_t)alphabet[group & 63];
    }
    for (size_t k = 0; k < last; k++) {
        uint32_t group = (uint32_t)in[0] << 16 | (rest == 2 ? (uint32_t)in[1] << 8 : 0);

        out[k] = k <= rest ? (uint8_t)alphabet[group >> (18 - 6 * k) & 63] : (uint8_t)'=';
    }
}

/* Text without its padding: each group of 2..4 characters gives 1..3 bytes. */
static bool well_formed(struct atls_bytes text, const char *alphabet)
{
    static const uint8_t spare[4] = {0, 0, 0x0f, 0x03};
    uint8_t last = 0;

    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((last = value_of(text.ptr[i], alphabet)) == BAD)
            return false;
    return (last & spare[text.len % 4]) == 0;
}

static bool get(struct atls_bytes text, const char *alphabet, struct atls_writer *w)
{
    if (!well_formed(text, alphabet))
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t count = text.len - i < 4 ? text.len - i : 4;
        uint32_t group = 0;
        uint8_t out[3];

        for (size_t k = 0; k < 4; k++)
            group = group << 6 | (k < count ? value_of(text.ptr[i + k], alphabet) : 0u);
        for (size_t k = 0; k < 3; k++)
            out[k] = (uint8_t)(group >> (16 - 8 * k));
        atls_put_bytes(w, atls_bytes_of(out, count - 1));
    }
    return true;
}

void atls_base64url_put(struct atls_writer *w, struct atls_bytes bytes)
{
    put(w, bytes, ALPHABET_URL, false);
}

bool atls_base64url_get(struct atls_bytes text, struct atls_writer *w)
{
    return get(text, ALPHABET_URL, w);
}

void atls_base64_put(struct atls_writer *w, struct atls_bytes bytes)
{
    put(w, bytes, ALPHABET, true);
}

bool atls_base64_get(struct atls_bytes text, struct atls_writer *w)
{
    size_t padding = 0;

    if (text.len % 4 != 0)
        return false;
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    return get(atls_bytes_of(text.ptr, text.len - padding), ALPHABET, w);
}
