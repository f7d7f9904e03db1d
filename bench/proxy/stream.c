#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

/* ---- how a side speaks ---- */

static SSL_CTX *context(const struct speech *speech, const char *dir)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    char cert[300], key[300];

    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1)
        bench_die("TLS context", NULL);
    if (speech->server && (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
                           SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1))
        bench_die(cert, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, 1 << 16);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

/* ---- attestation ---- */

static const struct carried {
    const char *kind;
    enum atls_flavour flavour;
    enum atls_freshness freshness;
    bool raw;
} ways[] = {
    {"post", ATLS_FLAVOUR_POST, ATLS_FRESHNESS_UNSAID, false},
    {"raw", ATLS_FLAVOUR_POST, ATLS_FRESHNESS_UNSAID, true},
    {"intra", ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, false},
    {"pre-none", ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE, false},
    {"pre-nonce", ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE, false},
};

static const struct carried *find_way(const char *kind)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(kind, ways[i].kind) == 0)
            return &ways[i];
    bench_die(kind, NULL);
}

static struct atls_config *configure(const struct carried *way, const char *dir, bool server)
{
    static const char *const soft[] = {"soft", NULL};
    struct atls_config_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_config *config;
    struct ends_parts parts;

    ends_parts_load(&parts, dir, "");
    atls_config_options_init(&options);
    options.gate_timeout_ms = 120000; /* the machine may be busy */
    options.flavour = way->flavour;
    options.freshness = way->freshness;
    options.raw = way->raw;
    if (server) {
        options.attester = parts.attester;
    } else {
        options.require_peer = true;
        options.verifier = parts.verifier;
        options.policy = parts.policy;
        options.identity = ATLS_IDENTITY_ATTESTED;
        options.evidence_types = soft;
    }
    if (atls_config_new(&options, &config, &err) != ATLS_OK)
        bench_die("configuration", &err);
    return config;
}

void speech_open(struct speech *speech, const char *kind, const char *dir, bool server)
{
    struct atls_err err = ATLS_ERR_INIT;

    *speech = (struct speech){.server = server};
    if (strcmp(kind, "plain") == 0)
        return;
    speech->kind = strcmp(kind, "tls") == 0 ? KIND_TLS : KIND_ATTESTED;
    speech->ctx = context(speech, dir);
    if (speech->kind == KIND_TLS)
        return;
    speech->config = configure(find_way(kind), dir, server);
    if (atls_openssl_prepare_for(speech->ctx, speech->config, &err) != ATLS_OK)
        bench_die("attested TLS", &err);
}

/* ---- a stream ---- */

void stream_open(struct stream *stream, const struct speech *speech, int fd)
{
    struct atls_err err = ATLS_ERR_INIT;

    *stream = (struct stream){.fd = fd};
    if (speech->kind == KIND_PLAIN)
        return;
    if ((stream->ssl = SSL_new(speech->ctx)) == NULL || SSL_set_fd(stream->ssl, fd) != 1)
        bench_die("TLS", NULL);
    if (speech->server)
        SSL_set_accept_state(stream->ssl);
    else
        SSL_set_connect_state(stream->ssl);
    if (speech->kind == KIND_ATTESTED &&
        atls_openssl_new(stream->ssl, speech->config, speech->server ? NULL : "localhost",
                         &stream->conn, &err) != ATLS_OK)
        bench_die("attested TLS", &err);
}

static enum moved attest(struct stream *stream)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;
    enum atls_want want = ATLS_WANT_NOTHING;
    struct atls_job *job;

    while ((code = atls_openssl_step(stream->conn, &want, &err)) == ATLS_OK &&
           want == ATLS_WANT_JOB) {
        if ((job = atls_openssl_job(stream->conn)) == NULL)
            return BLOCKED;
        atls_job_run(job);
        if ((code = atls_openssl_complete(stream->conn, job, &err)) != ATLS_OK)
            break;
    }
    if (code == ATLS_OK)
        return want == ATLS_WANT_NOTHING ? MOVED : BLOCKED;
    fprintf(stderr, "load: %s\n", err.message);
    return END_OF_STREAM;
}

static enum moved tls(struct stream *stream, int result)
{
    switch (result > 0 ? SSL_ERROR_NONE : SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_NONE:
        return MOVED;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return BLOCKED;
    default:
        return END_OF_STREAM;
    }
}

static enum moved plain(ssize_t result, size_t *n)
{
    if (result > 0) {
        *n = (size_t)result;
        return MOVED;
    }
    return result < 0 && (errno == EAGAIN || errno == EINTR) ? BLOCKED : END_OF_STREAM;
}

enum moved stream_ready(struct stream *stream)
{
    if (stream->ssl == NULL)
        return MOVED;
    if (stream->conn != NULL)
        return attest(stream);
    ERR_clear_error();
    return tls(stream, SSL_do_handshake(stream->ssl));
}

enum moved stream_read(struct stream *stream, void *buf, size_t len, size_t *n)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_want want;
    enum atls_code code;

    if (stream->ssl == NULL)
        return plain(recv(stream->fd, buf, len, 0), n);
    if (stream->conn == NULL) {
        ERR_clear_error();
        return tls(stream, SSL_read_ex(stream->ssl, buf, len, n));
    }
    code = atls_openssl_read(stream->conn, buf, len, n, &want, &err);
    if (code == ATLS_OK && *n == 0 && want != ATLS_WANT_NOTHING)
        return BLOCKED;
    return code != ATLS_OK || *n == 0 ? END_OF_STREAM : MOVED;
}

enum moved stream_write(struct stream *stream, uint8_t *buf, size_t len, size_t *n)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_want want = ATLS_WANT_NOTHING;
    enum atls_code code;

    *n = 0;
    if (stream->conn != NULL) {
        code = atls_openssl_write_in_place(stream->conn, buf, len, n, &want, &err);
        if (code != ATLS_OK)
            return END_OF_STREAM;
        return want == ATLS_WANT_NOTHING ? MOVED : BLOCKED;
    }
    if (len == 0)
        return MOVED;
    if (stream->ssl == NULL)
        return plain(send(stream->fd, buf, len, MSG_NOSIGNAL), n);
    ERR_clear_error();
    return tls(stream, SSL_write_ex(stream->ssl, buf, len, n));
}

void stream_close(struct stream *stream)
{
    if (stream->conn != NULL)
        atls_openssl_close(stream->conn);
    else if (stream->ssl != NULL && SSL_is_init_finished(stream->ssl))
        (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
    SSL_free(stream->ssl);
    if (stream->fd >= 0)
        (void)close(stream->fd);
    stream->fd = -1;
}
