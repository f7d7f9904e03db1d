/* The little DER (X.690) that wrappers need: one element of a known tag. Certificates are the
 * crypto layer's. */
#ifndef ATLS_WIRE_TLV_H
#define ATLS_WIRE_TLV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/reader.h"
#include "core/writer.h"

enum {
    ATLS_TLV_INTEGER = 0x02,
    ATLS_TLV_BIT_STRING = 0x03,
    ATLS_TLV_OCTET_STRING = 0x04,
    ATLS_TLV_OID = 0x06,
    ATLS_TLV_UTF8_STRING = 0x0c,
    ATLS_TLV_SEQUENCE = 0x30,
};

/* The content of the next element, whose tag must be tag: definite length of the shortest form,
 * below 2^24. Borrows from the input. */
ATLS_MUST_CHECK bool atls_tlv_get(struct atls_reader *r, uint8_t tag, struct atls_bytes *out);

/* A positive INTEGER (X.690 section 8.3), without the zero byte that may stand for its sign. */
ATLS_MUST_CHECK bool atls_tlv_get_positive(struct atls_reader *r, struct atls_bytes *out);

/* A SubjectPublicKeyInfo (RFC 5280 section 4.1) that fills in exactly: the content of its
 * AlgorithmIdentifier, which is an OID and at most one element more, and the bytes of the key.
 * Returns the rule that it breaks, in static text, or NULL. Both borrow from in. */
ATLS_MUST_CHECK const char *atls_tlv_split_spki(struct atls_bytes in,
                                                struct atls_bytes *out_algorithm,
                                                struct atls_bytes *out_key);

/* Tag and length of an element with len < 2^24 bytes of content; longer fails the writer. */
void atls_tlv_put_head(struct atls_writer *w, uint8_t tag, size_t len);
/* An INTEGER from an unsigned big-endian number that does not start with a zero byte. */
void atls_tlv_put_positive(struct atls_writer *w, struct atls_bytes number);

/* Size of an element with len bytes of content. */
size_t atls_tlv_size(size_t len);
/* Size of the INTEGER that atls_tlv_put_positive writes. */
size_t atls_tlv_positive_size(struct atls_bytes number);

#endif
