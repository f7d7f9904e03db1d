/* A non-blocking byte stream of the load generator: TCP, TLS 1.3 or attested TLS. What fails in
 * setting up ends the program; what fails later is END_OF_STREAM. One thread. */
#ifndef ATLS_BENCH_PROXY_STREAM_H
#define ATLS_BENCH_PROXY_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/openssl.h>

#include "ends.h"

enum kind { KIND_PLAIN, KIND_TLS, KIND_ATTESTED };

/* How one side of all connections speaks. */
struct speech {
    enum kind kind;
    bool server;
    SSL_CTX *ctx;
    struct atls_config *config;
};

/* kind: "plain", "tls", or how attestation is carried: "post", "raw", "intra", "pre-none" or
 * "pre-nonce". dir has what `setup` of load.c made: certificate, platform
 * key, store. The side that serves attests, the other one appraises. */
void speech_open(struct speech *speech, const char *kind, const char *dir, bool server);

enum moved { MOVED, BLOCKED, END_OF_STREAM };

struct stream {
    int fd;
    SSL *ssl;
    struct atls_openssl *conn;
};

/* Takes the socket over. */
void stream_open(struct stream *stream, const struct speech *speech, int fd);
/* TLS handshake and attestation: MOVED when they are done. */
enum moved stream_ready(struct stream *stream);
/* MOVED: *n is not 0. */
enum moved stream_read(struct stream *stream, void *buf, size_t len, size_t *n);
/* MOVED: all that was taken is with the socket. BLOCKED: call again, if with len 0. The
 * ATLS_SESSION_HEAD_MAX bytes before buf are overwritten. */
enum moved stream_write(struct stream *stream, uint8_t *buf, size_t len, size_t *n);
void stream_close(struct stream *stream);

#endif
