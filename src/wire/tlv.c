#include "wire/tlv.h"

/* X.690 section 10.1: the shortest form of length. */
static bool get_len(struct atls_reader *r, size_t *out)
{
    uint8_t len8;
    uint16_t len16;
    uint32_t len24;

    if (!atls_get_u8(r, &len8))
        return false;
    switch (len8) {
    case 0x81:
        if (!atls_get_u8(r, &len8) || len8 < 0x80)
            return false;
        *out = len8;
        return true;
    case 0x82:
        if (!atls_get_u16(r, &len16) || len16 <= 0xff)
            return false;
        *out = len16;
        return true;
    case 0x83:
        if (!atls_get_u24(r, &len24) || len24 <= 0xffff)
            return false;
        *out = len24;
        return true;
    default:
        *out = len8;
        return len8 < 0x80;
    }
}

bool atls_tlv_get(struct atls_reader *r, uint8_t tag, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    uint8_t first;
    size_t len;

    if (!atls_get_u8(&ahead, &first) || first != tag || !get_len(&ahead, &len) ||
        !atls_get_bytes(&ahead, len, out))
        return false;
    *r = ahead;
    return true;
}

bool atls_tlv_get_positive(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes v;

    if (!atls_tlv_get(&ahead, ATLS_TLV_INTEGER, &v) || v.len == 0 || v.ptr[0] >= 0x80)
        return false;
    if (v.ptr[0] == 0) {
        if (v.len == 1 || v.ptr[1] < 0x80)
            return false;
        v = atls_bytes_of(v.ptr + 1, v.len - 1);
    }
    *r = ahead;
    *out = v;
    return true;
}

/* OID and parameters, which are one element of any tag. */
static bool is_algorithm(struct atls_bytes content)
{
    struct atls_reader r = atls_reader_init(content);
    struct atls_bytes oid, parameters;

    if (!atls_tlv_get(&r, ATLS_TLV_OID, &oid) || oid.len == 0)
        return false;
    return atls_reader_done(&r) ||
           (atls_tlv_get(&r, content.ptr[r.pos], &parameters) && atls_reader_done(&r));
}

const char *atls_tlv_split_spki(struct atls_bytes in, struct atls_bytes *out_algorithm,
                                struct atls_bytes *out_key)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes sequence, algorithm, bits;

    if (!atls_tlv_get(&r, ATLS_TLV_SEQUENCE, &sequence) || !atls_reader_done(&r))
        return "not one SEQUENCE";
    r = atls_reader_init(sequence);
    if (!atls_tlv_get(&r, ATLS_TLV_SEQUENCE, &algorithm) ||
        !atls_tlv_get(&r, ATLS_TLV_BIT_STRING, &bits) || !atls_reader_done(&r))
        return "not algorithm and BIT STRING";
    if (!is_algorithm(algorithm))
        return "algorithm is not an OID with or without parameters";
    if (bits.len == 0 || bits.ptr[0] != 0)
        return "BIT STRING is not of whole bytes";
    if (bits.len == 1)
        return "key is empty";
    *out_algorithm = algorithm;
    *out_key = atls_bytes_of(bits.ptr + 1, bits.len - 1);
    return NULL;
}

void atls_tlv_put_head(struct atls_writer *w, uint8_t tag, size_t len)
{
    atls_put_u8(w, tag);
    if (len > 0xffff) {
        atls_put_u8(w, 0x83);
        atls_put_u24(w, len > 0xffffff ? UINT32_MAX : (uint32_t)len);
        return;
    }
    if (len > 0xff) {
        atls_put_u8(w, 0x82);
        atls_put_u16(w, (uint16_t)len);
        return;
    }
    if (len > 0x7f)
        atls_put_u8(w, 0x81);
    atls_put_u8(w, (uint8_t)len);
}

/* A set top bit needs a zero before it. */
static bool needs_zero(struct atls_bytes number)
{
    return number.len != 0 && number.ptr[0] >= 0x80;
}

void atls_tlv_put_positive(struct atls_writer *w, struct atls_bytes number)
{
    bool zero = needs_zero(number);

    atls_tlv_put_head(w, ATLS_TLV_INTEGER, number.len + (zero ? 1 : 0));
    if (zero)
        atls_put_u8(w, 0);
    atls_put_bytes(w, number);
}

size_t atls_tlv_size(size_t len)
{
    return len + (len > 0xffff ? 5u : len > 0xff ? 4u : len > 0x7f ? 3u : 2u);
}

size_t atls_tlv_positive_size(struct atls_bytes number)
{
    return atls_tlv_size(number.len + (needs_zero(number) ? 1 : 0));
}
