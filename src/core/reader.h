/* The one way to read bytes from outside: a position that cannot be talked past its end.
 *
 *     struct atls_reader r = atls_reader_init(in);
 *     if (!atls_get_u16(&r, &scheme) || !atls_get_vec(&r, 0, 0xffff, &signature) ||
 *         !atls_reader_done(&r))
 *         return atls_fail(err, ATLS_E_DECODE, "CertificateVerify: malformed near byte %zu",
 * r.pos);
 *
 * Every getter returns false and changes nothing when it cannot deliver. Integers are big-endian.
 * What getters hand out borrows from the input. One thread at a time per reader. */
#ifndef ATLS_CORE_READER_H
#define ATLS_CORE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

struct atls_reader {
    struct atls_bytes in;
    size_t pos; /* <= in.len always */
};

static inline struct atls_reader atls_reader_init(struct atls_bytes in)
{
    struct atls_reader r = {in, 0};
    return r;
}

static inline size_t atls_reader_left(const struct atls_reader *r)
{
    return r->in.len - r->pos;
}

/* True when everything was consumed; exact consumption is the rule, not a courtesy. */
static inline bool atls_reader_done(const struct atls_reader *r)
{
    return r->pos == r->in.len;
}

ATLS_MUST_CHECK bool atls_get_u8(struct atls_reader *r, uint8_t *out);
ATLS_MUST_CHECK bool atls_get_u16(struct atls_reader *r, uint16_t *out);
ATLS_MUST_CHECK bool atls_get_u24(struct atls_reader *r, uint32_t *out);
ATLS_MUST_CHECK bool atls_get_u32(struct atls_reader *r, uint32_t *out);
ATLS_MUST_CHECK bool atls_get_u64(struct atls_reader *r, uint64_t *out);
/* Little-endian, for TCG event logs and IMA logs only. */
ATLS_MUST_CHECK bool atls_get_u16le(struct atls_reader *r, uint16_t *out);
ATLS_MUST_CHECK bool atls_get_u32le(struct atls_reader *r, uint32_t *out);
ATLS_MUST_CHECK bool atls_get_u64le(struct atls_reader *r, uint64_t *out);

/* The next len bytes. */
ATLS_MUST_CHECK bool atls_get_bytes(struct atls_reader *r, size_t len, struct atls_bytes *out);

/* A vector of the TLS presentation language <floor..ceiling>: the ceiling fixes the width of the
 * length prefix, 1, 2 or 3 bytes (RFC 8446 section 3.4). ceiling <= 0xffffff. */
ATLS_MUST_CHECK bool atls_get_vec(struct atls_reader *r, size_t floor, size_t ceiling,
                                  struct atls_bytes *out);

/* Equality in content, not in constant time: for public data. */
bool atls_bytes_equal(struct atls_bytes a, struct atls_bytes b);
/* Equality with a literal text. */
bool atls_bytes_equal_text(struct atls_bytes a, const char *text);
/* The same but for the case of letters A to Z. */
bool atls_bytes_equal_without_case(struct atls_bytes a, struct atls_bytes b);
/* True when all bytes are zero, and for none. Not in constant time. */
bool atls_bytes_are_zero(struct atls_bytes bytes);
/* Value of a hexadecimal digit of either case; -1 for another character. */
int atls_hex_digit(int c);

#endif
