/* base32 (RFC 4648 section 6) as a DNS label carries it: lower-case letters a to z and digits 2 to
 * 7, no padding. Strict: one text for one value, as core/base64.h. Not in constant time: for public
 * data. */
#ifndef ATLS_CORE_BASE32_H
#define ATLS_CORE_BASE32_H

#include <stdbool.h>

#include "core/writer.h"

/* Letters that len bytes take. */
#define ATLS_BASE32_LEN(len) (((len)*8 + 4) / 5)

void atls_base32_put(struct atls_writer *w, struct atls_bytes bytes);
/* Fills exactly len bytes of out from a text of ATLS_BASE32_LEN(len) letters; false, and out
 * untouched, when it is another text, or spare bits are not zero. */
ATLS_MUST_CHECK bool atls_base32_get(struct atls_bytes text, uint8_t *out, size_t len);

#endif
