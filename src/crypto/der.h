/* DER (X.690) over core/reader.h and core/writer.h: definite, minimal lengths and tags below 31
 * only, one element at a time, no recursion. */
#ifndef ATLS_CRYPTO_DER_H
#define ATLS_CRYPTO_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reader.h"
#include "core/writer.h"

enum atls_der_tag {
    ATLS_DER_BOOLEAN = 0x01,
    ATLS_DER_INTEGER = 0x02,
    ATLS_DER_BIT_STRING = 0x03,
    ATLS_DER_OCTET_STRING = 0x04,
    ATLS_DER_NULL = 0x05,
    ATLS_DER_OID = 0x06,
    ATLS_DER_UTF8_STRING = 0x0c,
    ATLS_DER_PRINTABLE_STRING = 0x13,
    ATLS_DER_IA5_STRING = 0x16,
    ATLS_DER_UTC_TIME = 0x17,
    ATLS_DER_GENERALIZED_TIME = 0x18,
    ATLS_DER_SEQUENCE = 0x30,
    ATLS_DER_SET = 0x31,
};

/* [n] of the context class. */
#define ATLS_DER_CONTEXT(n)             (0x80 | (n))
#define ATLS_DER_CONTEXT_CONSTRUCTED(n) (0xa0 | (n))

/* One element as it stands in the input; both borrow from it. */
struct atls_der {
    uint8_t tag;
    struct atls_bytes content;
    struct atls_bytes whole; /* with tag and length */
};

/* The next element, whatever its tag. False, changing nothing, when there is none or it is not DER.
 */
ATLS_MUST_CHECK bool atls_der_get_any(struct atls_reader *r, struct atls_der *out);
/* The content of the next element, which must have this tag. */
ATLS_MUST_CHECK bool atls_der_get(struct atls_reader *r, uint8_t tag, struct atls_bytes *out);
/* An INTEGER >= 0 without leading zeros: zero gives an empty magnitude. */
ATLS_MUST_CHECK bool atls_der_get_unsigned(struct atls_reader *r, struct atls_bytes *out);
/* A BIT STRING of whole bytes. */
ATLS_MUST_CHECK bool atls_der_get_bit_string(struct atls_reader *r, struct atls_bytes *out);

/* Opens an element; returns what atls_der_close needs to fill the length in. */
size_t atls_der_open(struct atls_writer *w, uint8_t tag);
void atls_der_close(struct atls_writer *w, size_t mark);
/* A whole primitive element. */
void atls_der_put(struct atls_writer *w, uint8_t tag, struct atls_bytes content);
/* INTEGER of a magnitude: leading zeros are dropped, one is added where the sign needs it. */
void atls_der_put_unsigned(struct atls_writer *w, struct atls_bytes magnitude);
/* BIT STRING of whole bytes. */
void atls_der_put_bit_string(struct atls_writer *w, struct atls_bytes content);

/* Where the parts of a certificate lie (RFC 5280 section 4.1); everything borrows. */
struct atls_certificate_parts {
    struct atls_bytes subject; /* whole Name */
    struct atls_bytes issuer;
    struct atls_bytes spki;
};
/* Walks one certificate, exactly consumed, down to subjectPublicKeyInfo. Nothing is verified.
 * Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_certificate_walk(struct atls_bytes certificate,
                                                     struct atls_certificate_parts *out,
                                                     struct atls_err *err);

#endif
