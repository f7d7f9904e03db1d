/* A TLS peer of OpenSSL alone that speaks the extension of flavour intra as far as a test lets it:
 * what it sends in each place can be exchanged. Without cmocka, for fuzz targets, too. */
#ifndef ATLS_TEST_HOSTILE_TLS_H
#define ATLS_TEST_HOSTILE_TLS_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "flavour/intra/intra.h"

#define HOSTILE_PLACES 5 /* enum atls_intra_place is the index */

struct hostile_tls {
    struct atls_config *config; /* of the honest part; borrowed */
    SSL_CTX *ctx;
    SSL *ssl;
    struct atls_intra *intra;
    /* In place of what is honest: bytes, or (ptr NULL, len 1) nothing; zeros: honest. */
    struct atls_bytes instead[HOSTILE_PLACES];
    struct atls_bytes second_hello; /* in the ClientHello after a HelloRetryRequest */
    struct atls_bytes second_entry; /* in the second entry of Certificate */
    bool said_hello;
    struct atls_buf seen[HOSTILE_PLACES]; /* what came */
};

/* ctx is a context without callbacks; the caller frees it after hostile_tls_clear. False when
 * OpenSSL does not take the extension. */
bool hostile_tls_init(struct hostile_tls *h, SSL_CTX *ctx, struct atls_config *config);
/* A new connection; false when out of memory. The last one is freed. */
bool hostile_tls_start(struct hostile_tls *h);
void hostile_tls_clear(struct hostile_tls *h);

#endif
