#include "demo_link.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/sha.h>

#include "io.h"
#include "parts.h"

#define RECORD_MAX (256 * 1024)
/* Carrier frames (docs/carrier.md). */
#define FRAME_HEADER 4
#define FRAME_DATA   6

/* ---- keeping the rules ---- */

static SSL *new_tls(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);

    if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ssl = NULL;
    }
    return ssl;
}

static void describe_peer(struct atls_openssl *conn, char out[160], uint32_t *out_count)
{
    struct atls_peer peer;
    char instance[80] = "";

    atls_session_peer(atls_openssl_session(conn), &peer);
    if (peer.result != NULL)
        snprintf(out, 160, "%s %s, %s", peer.evidence_type,
                 io_hex(atls_result_instance(peer.result), instance, sizeof(instance)),
                 atls_tier_name(atls_result_status(peer.result)));
    if (out_count != NULL)
        *out_count = peer.attestations;
}

/* *out_len is len, or 0 at the orderly end. */
static enum atls_code read_all(struct atls_openssl *conn, uint8_t *data, size_t len,
                               size_t *out_len, struct atls_err *err)
{
    size_t at = 0, got;

    while (at < len) {
        enum atls_code code = atls_openssl_read(conn, data + at, len - at, &got, NULL, err);

        if (code != ATLS_OK)
            return code;
        if (got == 0)
            break;
        at += got;
    }
    *out_len = at == len ? len : 0;
    return ATLS_OK;
}

static enum atls_code write_all(struct atls_openssl *conn, const uint8_t *data, size_t len,
                                struct atls_err *err)
{
    size_t put;

    for (size_t at = 0; at < len; at += put) {
        enum atls_code code = atls_openssl_write(conn, data + at, len - at, &put, NULL, err);

        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* The application of the demonstration: takes LINK_DATA_LEN bytes, answers their digest, again and
 * again until the client ends. */
static enum atls_code serve_digests(struct atls_openssl *conn, struct atls_err *err)
{
    uint8_t *data = malloc(LINK_DATA_LEN), digest[SHA256_DIGEST_LENGTH];
    enum atls_code code = data != NULL ? ATLS_OK : io_error(err, ATLS_E_NOMEM, "out of memory");

    while (code == ATLS_OK) {
        size_t len = 0;

        if ((code = read_all(conn, data, LINK_DATA_LEN, &len, err)) != ATLS_OK || len == 0)
            break;
        SHA256(data, len, digest);
        code = write_all(conn, digest, sizeof(digest), err);
    }
    free(data);
    return code;
}

static enum atls_code exchange(struct atls_openssl *conn, bool *out_same, struct atls_err *err)
{
    uint8_t *data = malloc(LINK_DATA_LEN), sent[SHA256_DIGEST_LENGTH], got[SHA256_DIGEST_LENGTH];
    size_t len = 0;
    enum atls_code code;

    *out_same = false;
    if (data == NULL || RAND_bytes(data, LINK_DATA_LEN) != 1) {
        free(data);
        return io_error(err, ATLS_E_NOMEM, "no memory or no random bytes");
    }
    SHA256(data, LINK_DATA_LEN, sent);
    if ((code = write_all(conn, data, LINK_DATA_LEN, err)) == ATLS_OK &&
        (code = read_all(conn, got, sizeof(got), &len, err)) == ATLS_OK)
        *out_same = len == sizeof(got) && memcmp(sent, got, sizeof(got)) == 0;
    free(data);
    return code;
}

static void serve_by_the_rules(struct link *link, int fd)
{
    SSL *ssl = new_tls(link->server.tls, fd);
    struct atls_openssl *conn = NULL;

    if (ssl == NULL) {
        parts_tls_error(&link->server_err, "server");
    } else if (atls_openssl_accept(ssl, link->server.config, &conn, &link->server_err) == ATLS_OK) {
        describe_peer(conn, link->server_peer, NULL);
        (void)!serve_digests(conn, &link->server_err);
        atls_openssl_close(conn);
    }
    SSL_free(ssl);
}

static enum atls_code talk(struct link *link, struct atls_openssl *conn, struct atls_err *err)
{
    bool same = false;
    enum atls_code code = exchange(conn, &same, err);

    link->data_moved = same;
    if (code != ATLS_OK || link->between == NULL)
        return code;
    if ((code = link->between(link->arg, err)) != ATLS_OK ||
        (code = atls_session_reattest(atls_openssl_session(conn), err)) != ATLS_OK)
        return code;
    link->data_moved = false;
    code = exchange(conn, &same, err);
    link->data_moved = same;
    return code;
}

static void connect_by_the_rules(struct link *link, int fd)
{
    SSL *ssl = new_tls(link->client.tls, fd);
    struct atls_openssl *conn = NULL;

    if (ssl == NULL || SSL_set1_host(ssl, LAB_SERVER) != 1 ||
        (link->ticket != NULL && SSL_set_session(ssl, link->ticket) != 1)) {
        parts_tls_error(&link->client_err, "client");
    } else if (atls_openssl_connect(ssl, link->client.config, LAB_SERVER, &conn,
                                    &link->client_err) == ATLS_OK) {
        (void)!talk(link, conn, &link->client_err);
        describe_peer(conn, link->client_peer, &link->attestations);
        atls_openssl_close(conn);
    }
    SSL_free(ssl);
}

/* ---- two ends ---- */

struct serving {
    struct link *link;
    link_server *serve;
    int fd;
};

static void *serve_thread(void *arg)
{
    const struct serving *serving = arg;

    serving->serve(serving->link, serving->fd);
    shutdown(serving->fd, SHUT_RDWR); /* whoever still reads there sees the end */
    return NULL;
}

/* Starts serve at one end of a new socket pair; *out_fd is the other. */
static bool start_server(struct serving *serving, pthread_t *out_thread, int *out_fd)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return false;
    serving->fd = fds[0];
    if (pthread_create(out_thread, NULL, serve_thread, serving) != 0) {
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    *out_fd = fds[1];
    return true;
}

static void end_server(const struct serving *serving, pthread_t thread, int fd)
{
    close(fd);
    pthread_join(thread, NULL);
    close(serving->fd);
}

void link_run(struct link *link)
{
    struct serving serving = {link, link->serve != NULL ? link->serve : serve_by_the_rules, -1};
    pthread_t thread;
    int fd;

    if (!start_server(&serving, &thread, &fd)) {
        io_error(&link->client_err, ATLS_E_IO, "no socket pair or thread");
        return;
    }
    connect_by_the_rules(link, fd);
    end_server(&serving, thread, fd);
}

/* ---- not keeping them ---- */

/* Reads until the other side has gone, so that nothing is lost in its direction. */
static void read_to_end(SSL *ssl)
{
    uint8_t sink[4096];

    while (SSL_read(ssl, sink, sizeof(sink)) > 0)
        ;
}

/* Moves what one side has to the other; false at the end. */
static bool pass_on(SSL *from, SSL *to)
{
    uint8_t data[16384];
    int got = SSL_read(from, data, sizeof(data));

    return got > 0 && SSL_write(to, data, got) == got;
}

static void pass_both_ways(SSL *a, SSL *b)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = SSL_get_fd(a), .events = POLLIN},
                                {.fd = SSL_get_fd(b), .events = POLLIN}};

        if (SSL_pending(a) == 0 && SSL_pending(b) == 0 && poll(fds, 2, -1) < 0)
            return;
        if ((SSL_pending(a) > 0 || fds[0].revents != 0) && !pass_on(a, b))
            return;
        if ((SSL_pending(b) > 0 || fds[1].revents != 0) && !pass_on(b, a))
            return;
    }
}

void link_in_the_middle(struct link *link, int fd)
{
    struct serving serving = {link, serve_by_the_rules, -1};
    pthread_t thread;
    SSL *to_client, *to_server;
    int server_fd;

    if (!start_server(&serving, &thread, &server_fd))
        return;
    to_client = new_tls(link->server.tls, fd);
    to_server = new_tls(link->client.tls, server_fd);
    /* It holds the server's TLS key, so TLS itself sees nothing wrong. */
    if (to_client != NULL && to_server != NULL && SSL_set1_host(to_server, LAB_SERVER) == 1 &&
        SSL_accept(to_client) == 1 && SSL_connect(to_server) == 1)
        pass_both_ways(to_client, to_server);
    shutdown(fd, SHUT_RDWR);
    shutdown(server_fd, SHUT_RDWR);
    SSL_free(to_client);
    SSL_free(to_server);
    end_server(&serving, thread, server_fd);
}

static void say(struct link *link, int fd, struct atls_bytes bytes)
{
    SSL *ssl = new_tls(link->server.tls, fd);

    if (ssl != NULL && SSL_accept(ssl) == 1 &&
        SSL_write(ssl, bytes.ptr, (int)bytes.len) == (int)bytes.len)
        read_to_end(ssl);
    SSL_free(ssl);
}

void link_replay(struct link *link, int fd)
{
    say(link, fd, link->recorded);
}

void link_early_data(struct link *link, int fd)
{
    static const uint8_t data[] = {FRAME_DATA, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};
    const uint8_t *recorded = link->recorded.ptr;
    uint8_t flight[1024];
    /* The true server's HELLO, its first frame, makes the data the only fault. */
    size_t hello = FRAME_HEADER + ((size_t)recorded[2] << 8 | recorded[3]);

    if (link->recorded.len < hello || hello > sizeof(flight) - sizeof(data))
        return;
    memcpy(flight, recorded, hello);
    memcpy(flight + hello, data, sizeof(data));
    say(link, fd, atls_bytes_of(flight, hello + sizeof(data)));
}

void link_plain(struct link *link, int fd)
{
    SSL *ssl = new_tls(link->plain, fd);

    if (ssl != NULL && SSL_accept(ssl) == 1)
        read_to_end(ssl);
    SSL_free(ssl);
}

/* One byte, behind which the client knows that it has the tickets, too. */
static void give_ticket(struct link *link, int fd)
{
    SSL *ssl = new_tls(link->plain, fd);

    if (ssl != NULL && SSL_accept(ssl) == 1 && SSL_write(ssl, "", 1) == 1)
        read_to_end(ssl);
    SSL_free(ssl);
}

enum atls_code link_take_ticket(struct link *link, struct atls_err *err)
{
    struct serving serving = {link, give_ticket, -1};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    pthread_t thread;
    SSL *ssl = NULL;
    char byte;
    int fd;

    if (context == NULL || !start_server(&serving, &thread, &fd)) {
        SSL_CTX_free(context);
        return io_error(err, ATLS_E_NOMEM, "no memory, socket pair or thread for a ticket");
    }
    if ((ssl = new_tls(context, fd)) != NULL && SSL_connect(ssl) == 1 &&
        SSL_read(ssl, &byte, 1) == 1) {
        link->ticket = SSL_get1_session(ssl);
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    end_server(&serving, thread, fd);
    return link->ticket != NULL ? ATLS_OK : parts_tls_error(err, "no ticket");
}

/* Connects to the true server and asks for what the client asked for: its host name, with the nonce
 * in it. */
static SSL *connect_as(SSL *to_client, SSL_CTX *context, int fd)
{
    const char *asked = SSL_get_servername(to_client, TLSEXT_NAMETYPE_host_name);
    SSL *ssl = new_tls(context, fd);
    char name[256];

    if (ssl == NULL)
        return NULL;
    snprintf(name, sizeof(name), "%s", asked != NULL ? asked : "");
    if ((asked == NULL || SSL_set_tlsext_host_name(ssl, name) == 1) && SSL_connect(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

struct middle {
    SSL_CTX *context; /* of a client that asks for no attestation */
    int fd;           /* towards the true server */
    SSL *to_server;
};

/* Shows the client what the true server shows. */
static int copy_certificate(SSL *ssl, void *arg)
{
    struct middle *middle = arg;
    STACK_OF(X509) * chain;

    middle->to_server = connect_as(ssl, middle->context, middle->fd);
    chain = middle->to_server != NULL ? SSL_get_peer_cert_chain(middle->to_server) : NULL;
    if (sk_X509_num(chain) < 1 || SSL_clear_chain_certs(ssl) != 1 ||
        SSL_use_certificate(ssl, sk_X509_value(chain, 0)) != 1)
        return 0;
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (SSL_add1_chain_cert(ssl, sk_X509_value(chain, i)) != 1)
            return 0;
    return SSL_use_PrivateKey(ssl, SSL_CTX_get0_privatekey(SSL_get_SSL_CTX(ssl)));
}

void link_passes_on(struct link *link, int fd)
{
    struct serving serving = {link, serve_by_the_rules, -1};
    struct middle middle = {.context = SSL_CTX_new(TLS_client_method())};
    pthread_t thread;
    SSL *to_client;

    if (middle.context == NULL || !start_server(&serving, &thread, &middle.fd)) {
        SSL_CTX_free(middle.context);
        return;
    }
    to_client = new_tls(link->plain, fd);
    if (to_client != NULL) {
        SSL_set_cert_cb(to_client, copy_certificate, &middle);
        if (SSL_accept(to_client) == 1 && middle.to_server != NULL)
            pass_both_ways(to_client, middle.to_server);
    }
    shutdown(fd, SHUT_RDWR);
    shutdown(middle.fd, SHUT_RDWR);
    SSL_free(to_client);
    SSL_free(middle.to_server);
    SSL_CTX_free(middle.context);
    end_server(&serving, thread, middle.fd);
}

/* ---- recording ---- */

struct recording {
    uint8_t data[RECORD_MAX];
    size_t len;
};

static enum atls_code receive_and_record(SSL *ssl, struct atls_session *session,
                                         struct recording *recording, struct atls_err *err)
{
    uint8_t *at = recording->data + recording->len;
    int got = SSL_read(ssl, at, (int)(sizeof(recording->data) - recording->len));
    size_t consumed = 0;

    if (got <= 0)
        return parts_tls_error(err, "recording");
    recording->len += (size_t)got;
    return atls_session_input(session, atls_bytes_of(at, (size_t)got), &consumed, err);
}

static enum atls_code send_output(SSL *ssl, struct atls_session *session, struct atls_err *err)
{
    struct atls_bytes out = atls_session_output(session);

    if (SSL_write(ssl, out.ptr, (int)out.len) != (int)out.len)
        return parts_tls_error(err, "recording");
    atls_session_output_done(session, out.len);
    return ATLS_OK;
}

static enum atls_code run_job(struct atls_session *session, struct atls_err *err)
{
    struct atls_job *job = atls_session_job(session);

    atls_job_run(job);
    return atls_session_complete(session, job, err);
}

/* Drives the session by hand, as a program with another TLS library would. */
static enum atls_code record_session(SSL *ssl, struct atls_session *session,
                                     struct recording *recording, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    while (code == ATLS_OK) {
        switch (atls_session_next(session)) {
        case ATLS_NEXT_OUTPUT:
            code = send_output(ssl, session, err);
            break;
        case ATLS_NEXT_INPUT:
            code = receive_and_record(ssl, session, recording, err);
            break;
        case ATLS_NEXT_JOB:
            code = run_job(session, err);
            break;
        case ATLS_NEXT_OPEN:
            atls_session_close(session);
            return send_output(ssl, session, err);
        case ATLS_NEXT_CLOSED:
            return io_error(err, ATLS_E_CLOSED, "recording: the session closed");
        }
    }
    return code;
}

static enum atls_code record_from(struct link *link, int fd, struct recording *recording,
                                  struct atls_err *err)
{
    SSL *ssl = new_tls(link->client.tls, fd);
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_session *session = NULL;
    struct atls_tls tls;
    enum atls_code code;

    if (ssl == NULL || SSL_set1_host(ssl, LAB_SERVER) != 1 || SSL_connect(ssl) != 1)
        code = parts_tls_error(err, "recording");
    else if ((code = atls_openssl_tls(ssl, &tls, &spki, err)) == ATLS_OK &&
             (code = atls_session_new(link->client.config, &tls, LAB_SERVER, &session, err)) ==
                 ATLS_OK)
        code = record_session(ssl, session, recording, err);
    atls_session_free(session);
    atls_buf_clear(&spki);
    SSL_free(ssl);
    return code;
}

enum atls_code link_record(struct link *link, struct atls_buf *out, struct atls_err *err)
{
    struct serving serving = {link, serve_by_the_rules, -1};
    struct recording *recording = calloc(1, sizeof(*recording));
    pthread_t thread;
    int fd;
    enum atls_code code;

    if (recording == NULL || !start_server(&serving, &thread, &fd)) {
        free(recording);
        return io_error(err, ATLS_E_NOMEM, "recording: no memory, socket pair or thread");
    }
    code = record_from(link, fd, recording, err);
    end_server(&serving, thread, fd);
    if (code == ATLS_OK && (out->ptr = malloc(recording->len)) == NULL)
        code = io_error(err, ATLS_E_NOMEM, "recording: out of memory");
    if (code == ATLS_OK) {
        memcpy(out->ptr, recording->data, recording->len);
        out->len = recording->len;
    }
    free(recording);
    return code;
}
