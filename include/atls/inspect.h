/* Decoding for people (library libatls-verifier): anything that this project knows, as JSON. Nothing is
 * verified, and the output says so. */
#ifndef ATLS_INSPECT_H
#define ATLS_INSPECT_H

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* kind: NULL to guess, or "cmw", "cbor", "corim", "ear", "authenticator", "request", "certificate",
 * "tpm-attest", "tpm-public", "tpm-signature", "event-log", "frame". *out: JSON text, NUL terminated (not
 * counted), text of the input escaped. Errors: ATLS_E_DECODE (place and rule), ATLS_E_UNSUPPORTED
 * (cannot guess). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_inspect(struct atls_bytes in, const char *kind,
                                                     struct atls_buf *out, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
