/* Two connections of atls/openssl.h, client and server, of a flavour that attests inside of the
 * handshake: in one thread over a pair of BIOs, step by step. */
#ifndef ATLS_TEST_TLS_PAIR_H
#define ATLS_TEST_TLS_PAIR_H

#include <atls/openssl.h>

#include "pki.h"
#include "session_pair.h"

#define TLS_PAIR_NAME "server.example"

struct tls_end {
    struct pair_end *end; /* configuration */
    SSL_CTX *ctx;
    SSL *ssl;
    struct atls_openssl *conn; /* NULL: the test drives the SSL itself */
    enum atls_want want;
    enum atls_code code; /* of the step that failed, or ATLS_OK */
    struct atls_err err;
    bool open;
    struct atls_job *job; /* held, with hold_jobs */
    unsigned int jobs;    /* given out */
    unsigned int steps;
    int alert_sent, alert_received; /* 0: none */
};

struct tls_pair {
    struct pair p;
    struct tls_end client, server;
    size_t room;       /* of each direction of the BIO pair; 0: 17000 */
    bool sha384, hrr;  /* suite; a first flight that the server answers with HelloRetryRequest */
    bool piecemeal;    /* one byte a read and a write, and every second write has to wait */
    bool async;        /* SSL_MODE_ASYNC on the server */
    bool async_client; /* on the client instead */
    bool hold_jobs;    /* the test runs end->job and calls tls_end_complete */
};

/* Mutual attestation with fakes, identity "attested"; change p.client.options and the like, then
 * prepare contexts. */
void tls_pair_init(struct tls_pair *t, enum atls_flavour flavour);
void tls_pair_prepare(struct tls_pair *t);
/* The SSLs of a connection, not attached. */
void tls_pair_ssl(struct tls_pair *t);
/* tls_pair_prepare (when it was not called), tls_pair_ssl and atls_openssl_new. */
void tls_pair_start(struct tls_pair *t);
/* Steps until both ends are open or failed, or nothing moves any more. */
void tls_pair_run(struct tls_pair *t);
/* The SSLs and connections are freed; contexts and configurations stay. */
void tls_pair_disconnect(struct tls_pair *t);
void tls_pair_clear(struct tls_pair *t);

/* One step, and the job that it gave out. */
void tls_end_step(struct tls_pair *t, struct tls_end *e);
/* Runs the job that is held, and gives it back. */
void tls_end_complete(struct tls_end *e);

/* Key and certificate of a program, and a certificate that follows it in the chain (or NULL). */
void tls_use_identity(SSL_CTX *ctx, const struct test_identity *identity,
                      const struct test_identity *issuer);
/* Adds to the trust anchors of ctx. */
void tls_trust(SSL_CTX *ctx, struct atls_bytes certificate);
/* Connects two SSLs by BIOs with so much room in each direction. */
void tls_join(SSL *client, SSL *server, size_t room);

/* Has a server take tickets of tls_plain_session, whatever was prepared. */
void tls_take_tickets(SSL_CTX *ctx);
/* A session with a server of this identity and without attestation; the caller frees it. */
SSL_SESSION *tls_plain_session(const struct test_identity *identity);

/* Fails the test unless both ends are open, then moves len bytes each way. */
void tls_pair_assert_open(const char *row, struct tls_pair *t, size_t len);

#endif
