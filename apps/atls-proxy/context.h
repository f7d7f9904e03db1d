/* TLS contexts of attested ends. */
#ifndef PROXY_CONTEXT_H
#define PROXY_CONTEXT_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include <atls/bytes.h>
#include <atls/config.h>

#include "config.h"

/* Contents of the files that both TLS and attestation trust; empty: none is named. */
struct context_pem {
    struct atls_buf ca, crl;
};

/* What a context is made of. */
struct context_for {
    const struct config_side *side;
    bool server;
    struct atls_config *attested; /* which was made of side */
    const struct context_pem *pem;
};

/* A context for connections of attested: certificate and key, who vouches for the peer, and the
 * peer's name. Errors: ATLS_E_CONFIG (a file), ATLS_E_TLS, those of atls_openssl_prepare_for. One
 * thread at a time. */
ATLS_MUST_CHECK enum atls_code context_new(const struct context_for *what, SSL_CTX **out,
                                           struct atls_err *err);

#endif
