#include "proxy_header.h"

#include <string.h>
#include <sys/un.h>

#include <netinet/in.h>

#include "text.h"

#define TYPE_ALPN      0x01
#define TYPE_AUTHORITY 0x02
#define TYPE_CRC32C    0x03
#define TYPE_UNIQUE_ID 0x05
#define TYPE_SSL       0x20

#define UNIX_PATH     108
#define UNIQUE_ID_MAX 128
#define NAME_MAX_LEN  255 /* of an ALPN protocol, of an authority */

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    set_error(err, ATLS_E_DECODE, "PROXY header: %s", what);
    if (err != NULL)
        err->reason = ATLS_REASON_MALFORMED;
    return ATLS_E_DECODE;
}

static size_t get_u16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* CRC-32C (Castagnoli), reflected, as iSCSI has it (RFC 3720 appendix B.4); headers are short
 * enough to go without a table. */
static uint32_t crc_add(uint32_t crc, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return crc;
}

/* Of the whole header, in which the four bytes at `at` count as zero. */
static uint32_t crc_of(const uint8_t *header, size_t len, size_t at)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc_add(0xffffffffu, header, at);

    crc = crc_add(crc, zeros, sizeof zeros);
    return ~crc_add(crc, header + at + 4, len - at - 4);
}

/* ---- reading ---- */

/* Whether in is made of TLVs to its last byte. */
static bool are_tlvs(struct atls_bytes in)
{
    size_t pos = 0;

    while (in.len - pos >= 3) {
        size_t len = get_u16(in.ptr + pos + 1);

        pos += 3;
        if (len > in.len - pos)
            return false;
        pos += len;
    }
    return pos == in.len;
}

static bool is_visible(struct atls_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

static enum atls_code read_name(struct atls_bytes value, struct atls_bytes *out, const char *what,
                                struct atls_err *err)
{
    if (out->len != 0 || value.len == 0 || value.len > NAME_MAX_LEN)
        return malformed(err, what);
    *out = value;
    return ATLS_OK;
}

struct reading {
    struct atls_bytes in; /* the whole header */
    struct proxy_header *out;
    bool has_crc;
};

static enum atls_code read_crc(struct reading *r, struct atls_bytes value, struct atls_err *err)
{
    if (r->has_crc || value.len != 4)
        return malformed(err, "CRC-32C: is there twice, or has not 4 bytes");
    r->has_crc = true;
    if (crc_of(r->in.ptr, r->in.len, (size_t)(value.ptr - r->in.ptr)) != get_u32(value.ptr))
        return malformed(err, "CRC-32C: is not that of the header");
    return ATLS_OK;
}

static enum atls_code read_tlv(struct reading *r, uint8_t type, struct atls_bytes value,
                               struct atls_err *err)
{
    switch (type) {
    case TYPE_ALPN:
        return read_name(value, &r->out->alpn, "ALPN: is there twice, empty or too long", err);
    case TYPE_AUTHORITY:
        if (!is_visible(value))
            return malformed(err, "authority: has other than visible ASCII characters");
        return read_name(value, &r->out->authority, "authority: is there twice, empty or too long",
                         err);
    case TYPE_CRC32C:
        return read_crc(r, value, err);
    case TYPE_UNIQUE_ID:
        return value.len > UNIQUE_ID_MAX ? malformed(err, "unique ID: over 128 bytes") : ATLS_OK;
    case TYPE_SSL: /* one byte of flags, four of the result of verification */
        if (value.len < 5 || !are_tlvs(atls_bytes_of(value.ptr + 5, value.len - 5)))
            return malformed(err, "SSL: is no five bytes and TLVs");
        return ATLS_OK;
    default:
        return ATLS_OK;
    }
}

static enum atls_code read_tlvs(struct reading *r, size_t pos, struct atls_err *err)
{
    struct atls_bytes tlvs = atls_bytes_of(r->in.ptr + pos, r->in.len - pos);
    enum atls_code code = ATLS_OK;

    if (!are_tlvs(tlvs))
        return malformed(err, "TLVs: do not end where the header does");
    for (pos = 0; pos < tlvs.len && code == ATLS_OK;) {
        size_t len = get_u16(tlvs.ptr + pos + 1);

        code = read_tlv(r, tlvs.ptr[pos], atls_bytes_of(tlvs.ptr + pos + 3, len), err);
        pos += 3 + len;
    }
    return code;
}

static void set_inet(struct sockaddr_storage *out, const uint8_t *address, const uint8_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    memcpy(&in.sin_addr, address, 4);
    memcpy(&in.sin_port, port, 2);
    memset(out, 0, sizeof *out);
    memcpy(out, &in, sizeof in);
}

static void set_inet6(struct sockaddr_storage *out, const uint8_t *address, const uint8_t *port)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6};

    memcpy(&in.sin6_addr, address, 16);
    memcpy(&in.sin6_port, port, 2);
    memset(out, 0, sizeof *out);
    memcpy(out, &in, sizeof in);
}

static void set_unix(struct sockaddr_storage *out, const uint8_t *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    memcpy(un.sun_path, path, UNIX_PATH);
    memset(out, 0, sizeof *out);
    memcpy(out, &un, sizeof un);
}

/* Bytes that the addresses of a family take; 0: no family of streams. */
static size_t address_len(uint8_t family)
{
    return family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 2 * UNIX_PATH : 0;
}

static enum atls_code read_body(struct reading *r, struct atls_err *err)
{
    uint8_t family = r->in.ptr[13];
    const uint8_t *at = r->in.ptr + PROXY_HEADER_HEAD;
    size_t len = address_len(family);

    /* The specification has all of LOCAL, and what may stand where addresses are unspecified,
     * passed over. */
    if ((r->in.ptr[12] & 0x0f) == 0 || family == 0)
        return ATLS_OK;
    if (len > r->in.len - PROXY_HEADER_HEAD)
        return malformed(err, "too short for the addresses of its family");
    if (family == 0x11) {
        set_inet(&r->out->source, at, at + 8);
        set_inet(&r->out->destination, at + 4, at + 10);
    } else if (family == 0x21) {
        set_inet6(&r->out->source, at, at + 32);
        set_inet6(&r->out->destination, at + 16, at + 34);
    } else {
        set_unix(&r->out->source, at);
        set_unix(&r->out->destination, at + UNIX_PATH);
    }
    r->out->has_addresses = true;
    return read_tlvs(r, PROXY_HEADER_HEAD + len, err);
}

static enum atls_code check_head(struct atls_bytes in, struct atls_err *err)
{
    size_t n = in.len < sizeof signature ? in.len : sizeof signature;

    if (memcmp(in.ptr, signature, n) != 0)
        return malformed(err, "the stream does not begin with one of version 2");
    if (in.len > 12 && in.ptr[12] >> 4 != 2)
        return set_error(err, ATLS_E_UNSUPPORTED, "PROXY header: version %u, wanted 2",
                         in.ptr[12] >> 4);
    if (in.len > 12 && (in.ptr[12] & 0x0f) > 1)
        return malformed(err, "command: neither LOCAL nor PROXY");
    /* Of LOCAL the family does not count. */
    if (in.len > 13 && (in.ptr[12] & 0x0f) == 1 && in.ptr[13] != 0 && address_len(in.ptr[13]) == 0)
        return set_error(err, ATLS_E_UNSUPPORTED,
                         "PROXY header: family and protocol 0x%02x, wanted a stream", in.ptr[13]);
    return ATLS_OK;
}

enum atls_code proxy_header_read(struct atls_bytes in, struct proxy_header *out, size_t *out_need,
                                 struct atls_err *err)
{
    struct proxy_header header = {0};
    struct reading r = {in, &header, false};
    enum atls_code code = in.len > 0 ? check_head(in, err) : ATLS_OK;

    if (code != ATLS_OK)
        return code;
    *out_need = PROXY_HEADER_HEAD;
    if (in.len >= PROXY_HEADER_HEAD) {
        *out_need += get_u16(in.ptr + 14);
        if (*out_need > PROXY_HEADER_MAX)
            return set_error(err, ATLS_E_LIMIT, "PROXY header: %zu bytes, at most %d", *out_need,
                             PROXY_HEADER_MAX);
    }
    if (in.len >= *out_need) {
        r.in.len = header.len = *out_need;
        if ((code = read_body(&r, err)) != ATLS_OK)
            return code;
    }
    *out = header;
    return ATLS_OK;
}

/* ---- writing ---- */

struct writing {
    uint8_t *out;
    size_t len;
    bool full;
};

static void put(struct writing *w, const void *bytes, size_t len)
{
    if (w->full || len > PROXY_HEADER_MAX - w->len) {
        w->full = true;
        return;
    }
    if (len > 0)
        memcpy(w->out + w->len, bytes, len);
    w->len += len;
}

static void put_u16(struct writing *w, size_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    put(w, bytes, sizeof bytes);
}

static void put_head_of_tlv(struct writing *w, unsigned type, size_t len)
{
    const uint8_t byte = (uint8_t)type;

    /* Longer ones than their field can say do not fit anyway. */
    put(w, &byte, 1);
    put_u16(w, len);
}

static void put_tlv(struct writing *w, unsigned type, struct atls_bytes value)
{
    if (value.len == 0)
        return;
    put_head_of_tlv(w, type, value.len);
    put(w, value.ptr, value.len);
}

static void put_text(struct writing *w, unsigned type, const char *text)
{
    if (text != NULL)
        put_tlv(w, type, atls_bytes_of(text, strlen(text)));
}

/* Family and protocol. */
static uint8_t family_of(const struct proxy_header_said *said)
{
    if (said->source == NULL || said->destination == NULL ||
        said->source->sa_family != said->destination->sa_family)
        return 0;
    switch (said->source->sa_family) {
    case AF_INET:
        return 0x11;
    case AF_INET6:
        return 0x21;
    case AF_UNIX:
        return 0x31;
    default:
        return 0;
    }
}

static void put_addresses(struct writing *w, const struct proxy_header_said *said)
{
    const void *source = said->source, *destination = said->destination;

    switch (family_of(said)) {
    case 0x11: {
        const struct sockaddr_in *a = source, *b = destination;

        put(w, &a->sin_addr, 4);
        put(w, &b->sin_addr, 4);
        put(w, &a->sin_port, 2);
        put(w, &b->sin_port, 2);
        break;
    }
    case 0x21: {
        const struct sockaddr_in6 *a = source, *b = destination;

        put(w, &a->sin6_addr, 16);
        put(w, &b->sin6_addr, 16);
        put(w, &a->sin6_port, 2);
        put(w, &b->sin6_port, 2);
        break;
    }
    case 0x31: {
        const struct sockaddr_un *a = source, *b = destination;

        put(w, a->sun_path, UNIX_PATH);
        put(w, b->sun_path, UNIX_PATH);
        break;
    }
    default:
        break;
    }
}

static void put_attestation(struct writing *w, const struct proxy_header_attestation *a)
{
    put_text(w, PROXY_HEADER_VERDICT, a->verdict);
    put_text(w, PROXY_HEADER_EVIDENCE, a->evidence);
    put_tlv(w, PROXY_HEADER_EAR, a->ear);
    put_tlv(w, PROXY_HEADER_INSTANCE, a->instance);
    for (size_t i = 0; i < a->claim_count; i++) {
        size_t name = strlen(a->claims[i].name), value = strlen(a->claims[i].value);

        put_head_of_tlv(w, PROXY_HEADER_CLAIM, name + 1 + value);
        put(w, a->claims[i].name, name);
        put(w, "=", 1);
        put(w, a->claims[i].value, value);
    }
    put_text(w, PROXY_HEADER_BINDING, a->binding);
    put_text(w, PROXY_HEADER_FRESHNESS, a->freshness);
    put_tlv(w, PROXY_HEADER_KEY, a->key);
}

enum atls_code proxy_header_write(const struct proxy_header_said *said,
                                  uint8_t out[static PROXY_HEADER_MAX], size_t *out_len,
                                  struct atls_err *err)
{
    const uint8_t head[2] = {0x21, family_of(said)};
    static const uint8_t zeros[4];
    struct writing w = {out, 0, false};
    uint32_t crc;

    put(&w, signature, sizeof signature);
    put(&w, head, sizeof head);
    put_u16(&w, 0);
    put_addresses(&w, said);
    put_tlv(&w, TYPE_ALPN, said->alpn);
    put_tlv(&w, TYPE_AUTHORITY, said->authority);
    if (said->attestation != NULL)
        put_attestation(&w, said->attestation);
    put_tlv(&w, TYPE_CRC32C, atls_bytes_of(zeros, sizeof zeros));
    if (w.full)
        return set_error(err, ATLS_E_LIMIT, "PROXY header: over %d bytes", PROXY_HEADER_MAX);
    out[14] = (uint8_t)((w.len - PROXY_HEADER_HEAD) >> 8);
    out[15] = (uint8_t)(w.len - PROXY_HEADER_HEAD);
    crc = crc_of(out, w.len, w.len - 4);
    out[w.len - 4] = (uint8_t)(crc >> 24);
    out[w.len - 3] = (uint8_t)(crc >> 16);
    out[w.len - 2] = (uint8_t)(crc >> 8);
    out[w.len - 1] = (uint8_t)crc;
    *out_len = w.len;
    return ATLS_OK;
}
