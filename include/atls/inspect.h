/* Decoding for people (library libatls-verifier): anything that this project knows, as JSON.
 * Nothing is verified, and the output says so. */
#ifndef ATLS_INSPECT_H
#define ATLS_INSPECT_H

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* kind: NULL to guess, or "certificate", "tpm-attest", "ear", "corim", "soft", "kat", "eat"
 * (CWT, UCCS, bundle, JWT, or a claims set alone), "psa", "cca", "tpm-certify", "tpm-quote" (the
 * halves of TPM evidence), "comid", "cots", "cotl" (tags of a CoRIM alone), "concise-evidence"
 * (tags 570 and 571, as diagnostic notation), "cmw", "authenticator", "request", "frame" (whole,
 * or its header alone), "tpm-public", "tpm-signature", "event-log", "cbor". *out: JSON text
 * {"verified": false, "kind": ..., "content": ...}, NUL terminated (not counted), text of the
 * input escaped; the caller's to clear. Errors: ATLS_E_DECODE (place and rule),
 * ATLS_E_UNSUPPORTED (cannot guess, unknown kind, algorithm or version), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_inspect(struct atls_bytes in, const char *kind,
                                                     struct atls_buf *out, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
