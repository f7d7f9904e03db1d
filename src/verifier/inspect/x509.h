/* What certificates and revocation lists have in common. Not for others. */
#ifndef ATLS_VERIFIER_INSPECT_X509_H
#define ATLS_VERIFIER_INSPECT_X509_H

#include "crypto/der.h"
#include "verifier/inspect/view.h"

/* UTCTime or GeneralizedTime, as RFC 5280 section 4.1.2.5 allows them: "2026-01-02T03:04:05Z". */
ATLS_MUST_CHECK bool atls_x509_time_text(struct atls_bytes content, uint8_t tag,
                                         char out[static 24]);
/* The content of a Name in its order: "O=ACME, CN=host". */
void atls_x509_put_name(struct atls_json *j, const char *key, struct atls_bytes name);
/* A whole time element; nothing when it is none. */
void atls_x509_put_time(struct atls_json *j, const char *key, struct atls_bytes element);
/* The content of an Extensions, by name and with what is in it where that is known; what is
 * malformed ends it. */
void atls_x509_put_extensions(struct atls_view *v, const char *key, struct atls_bytes extensions);

#endif
