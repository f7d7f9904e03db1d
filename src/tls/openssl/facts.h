/* What OpenSSL says of a finished handshake. */
#ifndef ATLS_TLS_OPENSSL_FACTS_H
#define ATLS_TLS_OPENSSL_FACTS_H

#include <openssl/ssl.h>

#include <atls/session.h>

/* As atls_openssl_tls, without the ALPN of the carrier and without the peer's key. */
ATLS_MUST_CHECK enum atls_code atls_openssl_facts(SSL *ssl, struct atls_tls *out,
                                                  struct atls_err *err);

#endif
