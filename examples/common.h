/* What the examples share and what has nothing to do with attestation. */
#ifndef ATLS_EXAMPLES_COMMON_H
#define ATLS_EXAMPLES_COMMON_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include <atls/bytes.h>

/* Each says what is wrong and returns the exit status: 1 usage, 2 could not tell, 3 refused. */
int usage(const char *text);
int tls_failed(const char *what);
int atls_failed(const struct atls_err *err);

/* Content of a file, empty when it cannot be read; one at a time. */
struct atls_bytes read_file(const char *path);

bool connect_to(SSL *ssl, const char *host, const char *port);
BIO *listen_on(const char *port);              /* or NULL */
SSL *accept_from(BIO *listener, SSL_CTX *ctx); /* or NULL */

#endif
