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

/* A context for connections of attested, which was made of side: certificate and key, who vouches
 * for the peer, and the peer's name. Errors: ATLS_E_CONFIG (a file), ATLS_E_TLS, those of
 * atls_openssl_prepare_for. One thread at a time. */
ATLS_MUST_CHECK enum atls_code context_new(const struct config_side *side, bool server,
                                           struct atls_config *attested,
                                           const struct context_pem *pem, SSL_CTX **out,
                                           struct atls_err *err);

#endif
