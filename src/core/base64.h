/* base64 (RFC 4648), strict: one text for one value.
 *
 * Decoders refuse characters outside the alphabet, white space, a length that cannot be, and spare
 * bits that are not zero (RFC 4648 section 3.5). Not in constant time: for public data. */
#ifndef ATLS_CORE_BASE64_H
#define ATLS_CORE_BASE64_H

#include <stdbool.h>

#include "core/writer.h"

/* Without padding, alphabet of RFC 4648 section 5: JWS, JSON CMW. Appends to w. */
void atls_base64url_put(struct atls_writer *w, struct atls_bytes bytes);
/* Appends what text stands for; false, and w unchanged, when text is malformed. Padding is. */
ATLS_MUST_CHECK bool atls_base64url_get(struct atls_bytes text, struct atls_writer *w);

/* With padding, alphabet of RFC 4648 section 4: PEM bodies, JSON of TPM and vendor services. */
void atls_base64_put(struct atls_writer *w, struct atls_bytes bytes);
/* As atls_base64url_get; the padding must be there. */
ATLS_MUST_CHECK bool atls_base64_get(struct atls_bytes text, struct atls_writer *w);

#endif
