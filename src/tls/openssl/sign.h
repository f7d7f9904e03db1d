/* Signing with an attester's key from inside of OpenSSL. An ASYNC job has 32 KiB of stack, too
 * little for what attesters call: there the work is done elsewhere. */
#ifndef ATLS_TLS_OPENSSL_SIGN_H
#define ATLS_TLS_OPENSSL_SIGN_H

#include "tls/openssl/flavour.h"

/* Whoever drives the handshake of h on this thread says so, before the call of OpenSSL and (NULL)
 * after it. */
void atls_sign_enter(struct atls_handshake *h);

/* As atls_attester_sign. Inside of an ASYNC job: as a job of the connection that is being driven,
 * so that nobody waits; without such a connection, in a thread of its own, which is waited for.
 * Errors: ATLS_E_CLOSED (the handshake was given up meanwhile), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sign_outside(struct atls_attester *attester,
                                                 enum atls_signature scheme, struct atls_bytes tbs,
                                                 struct atls_buf *out, struct atls_err *err);

#endif
