#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <atls/openssl.h>

#include "core/clock.h"
#include "core/err.h"
#include "tls/openssl/connection.h"
#include "tls/openssl/error.h"

/* Frames are read in pieces of this size; application data goes straight to its reader. */
#define PIECE_LEN 2048
/* How long a connection that ends waits for the socket, so that the peer learns why. */
#define GOODBYE_MS 500
/* While the program only writes, the peer's frames are looked for this often. */
#define LOOK_MS 100

/* ---- TLS ---- */

static enum io tls_read(struct atls_openssl *c, void *buf, size_t len, size_t *out_len,
                        struct atls_err *err)
{
    atls_io_begin();
    return atls_io_judge(c, SSL_read_ex(c->ssl, buf, len, out_len), "TLS read", err);
}

/* Ends our direction alone (RFC 8446 section 6.1). */
static enum atls_code say_end(struct atls_openssl *c, struct atls_err *err)
{
    int sent;

    atls_io_begin();
    if ((sent = SSL_shutdown(c->ssl)) < 0) {
        if (atls_io_judge(c, sent, "TLS close_notify", err) == IO_FAILED)
            return c->error.code;
        c->write_blocked = true;
        return ATLS_OK;
    }
    c->end_said = true;
    return ATLS_OK;
}

/* Writes output until it is drained or the socket is full. */
static enum atls_code flush(struct atls_openssl *c, struct atls_err *err)
{
    struct atls_bytes out;

    c->write_blocked = false;
    while ((out = atls_session_output(c->session)).len != 0) {
        size_t len = 0;
        enum io io;

        atls_io_begin();
        io = atls_io_judge(c, SSL_write_ex(c->ssl, out.ptr, out.len, &len), "TLS write", err);
        if (io == IO_FAILED || io == IO_END)
            return c->broken ? c->error.code : atls_fail(err, ATLS_E_CLOSED, "TLS write: closed");
        if (io != IO_DONE) {
            c->write_blocked = true;
            return ATLS_OK;
        }
        atls_session_output_done(c->session, len);
    }
    return c->end_due && !c->end_said ? say_end(c, err) : ATLS_OK;
}

/* ---- life ---- */

enum atls_code atls_openssl_new(SSL *ssl, struct atls_config *config, const char *peer_name,
                                struct atls_openssl **out, struct atls_err *err)
{
    struct atls_openssl *c = calloc(1, sizeof *c);
    enum atls_code code;

    if (c == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "connection: out of memory");
    if (peer_name != NULL) {
        if ((c->peer_name = malloc(strlen(peer_name) + 1)) == NULL) {
            free(c);
            return atls_fail(err, ATLS_E_NOMEM, "connection: out of memory");
        }
        strcpy(c->peer_name, peer_name);
    }
    c->ssl = ssl;
    c->config = atls_config_ref(config);
    c->fd = -1;
    c->handshake_deadline_ms = atls_connection_now_ms(c) + config->options.gate_timeout_ms;
    /* Output may move and grow between two attempts to write it. */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if ((code = atls_connection_attach(c, err)) != ATLS_OK) {
        atls_openssl_free(c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

void atls_openssl_free(struct atls_openssl *c)
{
    if (c == NULL)
        return;
    if (c->handshake != NULL)
        atls_handshake_abandon(c->handshake);
    if (c->blocking && (c->fd_flags & O_NONBLOCK) == 0)
        (void)fcntl(c->fd, F_SETFL, c->fd_flags);
    atls_session_free(c->session);
    atls_config_unref(c->config);
    free(c->peer_name);
    free(c);
}

struct atls_session *atls_openssl_session(struct atls_openssl *c)
{
    return c->session;
}

struct atls_job *atls_openssl_job(struct atls_openssl *c)
{
    if (c->session != NULL)
        return atls_session_job(c->session);
    return c->handshake == NULL ? NULL : atls_handshake_job(c->handshake);
}

enum atls_code atls_openssl_complete(struct atls_openssl *c, struct atls_job *job,
                                     struct atls_err *err)
{
    if (c->handshake != NULL && atls_handshake_complete(c->handshake, job))
        return ATLS_OK; /* the next step says what came of it */
    if (c->session != NULL)
        return atls_session_complete(c->session, job, err);
    atls_job_free(job);
    return atls_fail(err, ATLS_E_USAGE, "connection: the job is not of this connection");
}

int64_t atls_openssl_deadline_ms(const struct atls_openssl *c)
{
    return c->session == NULL ? c->handshake_deadline_ms : atls_session_deadline_ms(c->session);
}

bool atls_openssl_ended(const struct atls_openssl *c)
{
    return c->session != NULL && !c->broken && atls_session_next(c->session) == ATLS_NEXT_CLOSED &&
           atls_session_error(c->session)->code == ATLS_OK;
}

/* ---- one step ---- */

/* Reads what the session wants beside application data; *out_blocked when the socket has no more.
 */
static enum atls_code read_frames(struct atls_openssl *c, bool *out_blocked, struct atls_err *err)
{
    uint8_t piece[PIECE_LEN];
    size_t wanted = atls_session_input_wanted(c->session);
    size_t len = 0, consumed;

    *out_blocked = false;
    c->looked_ms = atls_connection_now_ms(c);
    switch (tls_read(c, piece, wanted < sizeof piece ? wanted : sizeof piece, &len, err)) {
    case IO_DONE:
        return atls_session_input(c->session, atls_bytes_of(piece, len), &consumed, err);
    case IO_WANT_READ:
    case IO_WANT_WRITE:
    case IO_WANT_JOB:
        *out_blocked = true;
        return ATLS_OK;
    case IO_END:
        return atls_session_input_end(c->session, err);
    case IO_FAILED:
        break;
    }
    return c->error.code;
}

/* The session is at its end: what is there to tell? */
static enum atls_code ended(const struct atls_openssl *c, struct atls_err *err)
{
    const struct atls_err *why = atls_session_error(c->session);

    if (why->code != ATLS_OK && err != NULL)
        *err = *why;
    return why->code;
}

static enum atls_code run_job(struct atls_openssl *c, struct atls_err *err)
{
    struct atls_job *job = atls_session_job(c->session);

    atls_job_run(job);
    return atls_session_complete(c->session, job, err);
}

/* Does everything that can be done without waiting, but reading and writing application data. With
 * look off, the socket is not asked for input (writing, nothing else to do). On ATLS_OK *want says
 * what to wait for; NOTHING: application data is next, or the gate is open, or the orderly end was
 * reached. */
static enum atls_code pump(struct atls_openssl *c, bool look, enum atls_want *want,
                           struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    bool blocked = false;

    *want = ATLS_WANT_NOTHING;
    if (c->broken) {
        if (err != NULL)
            *err = c->error;
        return c->error.code;
    }
    if (c->session == NULL &&
        ((code = atls_connection_handshake(c, want, err)) != ATLS_OK || c->session == NULL))
        return code;
    while (code == ATLS_OK && (code = atls_session_tick(c->session, err)) == ATLS_OK &&
           (code = flush(c, err)) == ATLS_OK) {
        enum atls_next next = atls_session_next(c->session);

        if (next == ATLS_NEXT_CLOSED)
            return ended(c, err);
        if (next == ATLS_NEXT_JOB && c->blocking) {
            code = run_job(c, err);
        } else if (next == ATLS_NEXT_JOB) {
            *want = ATLS_WANT_JOB;
            return ATLS_OK;
        } else if (blocked || atls_session_input_wanted(c->session) == 0 ||
                   (!look && next == ATLS_NEXT_OPEN)) {
            *want = c->write_blocked                   ? ATLS_WANT_WRITE
                    : atls_session_is_open(c->session) ? ATLS_WANT_NOTHING
                                                       : ATLS_WANT_READ;
            return ATLS_OK;
        } else {
            code = read_frames(c, &blocked, err);
        }
    }
    if (!c->broken && c->session != NULL) {
        struct atls_err ignored = ATLS_ERR_INIT;

        (void)flush(c, &ignored); /* CLOSE; what failed first is the error */
    }
    return code;
}

enum atls_code atls_openssl_step(struct atls_openssl *c, enum atls_want *out_want,
                                 struct atls_err *err)
{
    enum atls_want want;
    enum atls_code code = pump(c, true, &want, err);

    if (code == ATLS_OK)
        *out_want = want;
    return code;
}

/* ---- waiting ---- */

/* Waits for the socket until the deadline (of now's clock), at most; -1: poll failed. */
static int wait_until(const struct atls_openssl *c, short events, int64_t now, int64_t deadline_ms)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    int64_t left = deadline_ms == INT64_MAX ? -1 : deadline_ms > now ? deadline_ms - now : 0;
    int ready = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);

    return ready < 0 && errno == EINTR ? 0 : ready;
}

static enum atls_code wait_for(struct atls_openssl *c, enum atls_want want, struct atls_err *err)
{
    /* Whoever waits to write reads meanwhile, but not what only the program can take. */
    bool data = c->session != NULL && atls_session_input_wanted(c->session) == 0;
    short events = want == ATLS_WANT_WRITE ? (data ? POLLOUT : POLLOUT | POLLIN) : POLLIN;

    if (c->session != NULL)
        atls_session_trim(c->session);
    if (wait_until(c, events, atls_connection_now_ms(c), atls_openssl_deadline_ms(c)) < 0)
        return atls_fail_errno(err, errno, "waiting for the socket");
    return ATLS_OK;
}

/* ---- the end ---- */

/* The handshake ended with an alert of ours. What the peer sent on meanwhile (a client that was
 * refused thinks that it is through) is thrown away, until it has read the alert and closes. */
static void hear_out(struct atls_openssl *c)
{
    int64_t now = atls_clock_monotonic_ms(NULL), deadline = now + GOODBYE_MS;
    BIO *bio = SSL_get_rbio(c->ssl);
    uint8_t rest[PIECE_LEN];

    while (now < deadline) {
        const int len = BIO_read(bio, rest, sizeof rest);

        if (len <= 0 && (!BIO_should_retry(bio) || wait_until(c, POLLIN, now, deadline) < 0))
            break;
        now = atls_clock_monotonic_ms(NULL);
    }
}

/* Sends what the output holds and close_notify, then takes what the peer still sends: a socket that
 * is closed with unread input resets the connection, and the peer would not see why. */
static void goodbye(struct atls_openssl *c, bool linger)
{
    int64_t now = atls_clock_monotonic_ms(NULL), deadline = now + GOODBYE_MS;
    struct atls_err ignored = ATLS_ERR_INIT;
    uint8_t rest[PIECE_LEN];
    size_t len;
    bool sent = false;

    if (c->broken || !SSL_is_init_finished(c->ssl) || (c->handshake != NULL && c->session == NULL))
        return;
    do {
        enum io io = IO_DONE;

        if (!sent && (c->session == NULL || flush(c, &ignored) == ATLS_OK) && !c->write_blocked) {
            atls_io_begin();
            sent = c->end_said || SSL_shutdown(c->ssl) >= 0;
        }
        while (!c->broken && io == IO_DONE)
            io = tls_read(c, rest, sizeof rest, &len, &ignored);
        if (io == IO_END || c->broken || !c->blocking || (sent && !linger))
            break;
        if (wait_until(c, c->write_blocked ? POLLOUT | POLLIN : POLLIN, now, deadline) < 0)
            break;
        now = atls_clock_monotonic_ms(NULL);
    } while (now < deadline);
    ERR_clear_error();
}

void atls_openssl_close(struct atls_openssl *c)
{
    if (c == NULL)
        return;
    if (c->session != NULL)
        atls_session_close(c->session);
    goodbye(c, false);
    atls_openssl_free(c);
}

/* ---- blocking ---- */

/* Deadlines need a socket that never blocks; the program gets it back as it was. */
static enum atls_code take_socket(struct atls_openssl *c, struct atls_err *err)
{
    c->fd = SSL_get_fd(c->ssl);
    if (c->fd < 0 || SSL_get_wfd(c->ssl) != c->fd)
        return atls_fail(err, ATLS_E_USAGE, "connection: the SSL has no socket");
    if ((c->fd_flags = fcntl(c->fd, F_GETFL)) < 0 ||
        fcntl(c->fd, F_SETFL, c->fd_flags | O_NONBLOCK) < 0)
        return atls_fail_errno(err, errno, "connection: socket");
    c->blocking = true;
    return ATLS_OK;
}

static enum atls_code open_gate(struct atls_openssl *c, struct atls_err *err)
{
    enum atls_code code = take_socket(c, err);

    while (code == ATLS_OK) {
        enum atls_want want;

        if ((code = pump(c, true, &want, err)) != ATLS_OK)
            break;
        if (want == ATLS_WANT_NOTHING) /* open, or already ended in good order */
            return ATLS_OK;
        code = wait_for(c, want, err);
    }
    if (c->session == NULL && c->handshake != NULL && c->handshake->error.code != ATLS_OK)
        hear_out(c);
    else
        goodbye(c, true);
    return code;
}

static enum atls_code establish(SSL *ssl, struct atls_config *config, const char *peer_name,
                                struct atls_openssl **out, struct atls_err *err)
{
    struct atls_openssl *c;
    enum atls_code code = atls_openssl_new(ssl, config, peer_name, &c, err);

    if (code != ATLS_OK)
        return code;
    if ((code = open_gate(c, err)) != ATLS_OK) {
        atls_openssl_free(c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

enum atls_code atls_openssl_connect(SSL *ssl, struct atls_config *config, const char *peer_name,
                                    struct atls_openssl **out, struct atls_err *err)
{
    if (SSL_in_before(ssl))
        SSL_set_connect_state(ssl);
    return establish(ssl, config, peer_name, out, err);
}

enum atls_code atls_openssl_accept(SSL *ssl, struct atls_config *config, struct atls_openssl **out,
                                   struct atls_err *err)
{
    if (SSL_in_before(ssl))
        SSL_set_accept_state(ssl);
    return establish(ssl, config, NULL, out, err);
}

/* ---- application data ---- */

/* What was held while the gate was closed. */
static size_t read_held(struct atls_openssl *c, void *buf, size_t len)
{
    struct atls_bytes held = atls_session_read(c->session);

    if (held.len < len)
        len = held.len;
    if (len != 0)
        memcpy(buf, held.ptr, len);
    atls_session_read_done(c->session, len);
    return len;
}

/* Moves data from TLS to buf; *out_len 0 when the socket has none now, or at the end. */
static enum atls_code read_data(struct atls_openssl *c, void *buf, size_t len, size_t *out_len,
                                struct atls_err *err)
{
    size_t left = atls_session_data_left(c->session);

    *out_len = 0;
    if (left == 0)
        return ATLS_OK;
    switch (tls_read(c, buf, len < left ? len : left, out_len, err)) {
    case IO_DONE:
        atls_session_data_taken(c->session, *out_len);
        return ATLS_OK;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
    case IO_WANT_JOB:
        *out_len = 0;
        return ATLS_OK;
    case IO_END:
        *out_len = 0;
        return atls_session_input_end(c->session, err);
    case IO_FAILED:
        break;
    }
    return c->error.code;
}

static bool no_more_data(const struct atls_openssl *c)
{
    return atls_openssl_ended(c) || (c->session != NULL && atls_session_peer_ended(c->session));
}

enum atls_code atls_openssl_read(struct atls_openssl *c, void *buf, size_t len, size_t *out_len,
                                 enum atls_want *out_want, struct atls_err *err)
{
    enum atls_want want = ATLS_WANT_NOTHING;
    enum atls_code code;
    size_t got = 0;

    if (len == 0)
        return atls_fail(err, ATLS_E_USAGE, "connection: no room to read into");
    while ((code = pump(c, true, &want, err)) == ATLS_OK && want != ATLS_WANT_JOB) {
        if (c->session != NULL && (got = read_held(c, buf, len)) == 0)
            code = read_data(c, buf, len, &got, err);
        if (code != ATLS_OK || got != 0 || no_more_data(c))
            break;
        if (want == ATLS_WANT_NOTHING)
            want = ATLS_WANT_READ;
        if (!c->blocking || (code = wait_for(c, want, err)) != ATLS_OK)
            break;
    }
    if (code != ATLS_OK)
        return code;
    *out_len = got;
    if (out_want != NULL)
        *out_want = got != 0 || no_more_data(c) ? ATLS_WANT_NOTHING : want;
    return ATLS_OK;
}

/* Gives a record of data to TLS from where it is; what TLS cannot take now goes into the output.
 * The bytes before data.ptr may be overwritten. */
static enum atls_code write_through(struct atls_openssl *c, struct atls_bytes data,
                                    size_t *out_accepted, struct atls_err *err)
{
    struct atls_session_head head;
    struct atls_bytes record;
    uint8_t *start;
    size_t len = 0;
    enum atls_code code;

    if ((code = atls_session_head(c->session, data.len, &head, err)) != ATLS_OK)
        return code;
    *out_accepted = 0;
    if (head.data_len == 0)
        return ATLS_OK;
    start = (uint8_t *)(uintptr_t)data.ptr - head.len;
    memcpy(start, head.bytes, head.len);
    atls_io_begin();
    record = atls_bytes_of(start, head.len + head.data_len);
    switch (
        atls_io_judge(c, SSL_write_ex(c->ssl, record.ptr, record.len, &len), "TLS write", err)) {
    case IO_FAILED:
        return c->error.code;
    case IO_END:
        return atls_fail(err, ATLS_E_CLOSED, "TLS write: closed");
    case IO_DONE:
        if (len == record.len) {
            *out_accepted = head.data_len;
            return ATLS_OK;
        }
        break; /* the program made records smaller */
    default:
        len = 0; /* and OpenSSL wants to see the same bytes again */
    }
    code =
        atls_session_write(c->session, atls_bytes_of(data.ptr, head.data_len), out_accepted, err);
    if (code == ATLS_OK)
        atls_session_output_done(c->session, len);
    return code;
}

/* in_place: bytes before rest may be overwritten. */
static enum atls_code write_data(struct atls_openssl *c, struct atls_bytes rest, bool in_place,
                                 size_t *out_accepted, struct atls_err *err)
{
    *out_accepted = 0;
    if (c->session == NULL || rest.len == 0)
        return ATLS_OK;
    return in_place ? write_through(c, rest, out_accepted, err)
                    : atls_session_write(c->session, rest, out_accepted, err);
}

static enum atls_code write_all(struct atls_openssl *c, struct atls_bytes rest, bool in_place,
                                size_t *out_len, enum atls_want *out_want, struct atls_err *err)
{
    const size_t len = rest.len;
    enum atls_want want = ATLS_WANT_NOTHING;
    bool look = atls_connection_now_ms(c) - c->looked_ms >= LOOK_MS;
    enum atls_code code;

    while ((code = pump(c, look, &want, err)) == ATLS_OK && want != ATLS_WANT_JOB) {
        size_t accepted = 0;

        /* A peer that has got all of it may go: what was written does not fail for that. */
        if (len > 0 && rest.len == 0 && atls_session_output(c->session).len == 0)
            break;
        if (atls_openssl_ended(c))
            code = atls_fail(err, ATLS_E_CLOSED, "connection: the peer has closed");
        else if (want == ATLS_WANT_NOTHING)
            code = write_data(c, rest, in_place, &accepted, err);
        if (code != ATLS_OK)
            break;
        rest = atls_bytes_of(rest.ptr + accepted, rest.len - accepted);
        if (rest.len == 0 && atls_session_output(c->session).len == 0)
            break;
        look = accepted == 0 && want != ATLS_WANT_NOTHING;
        if (look && (!c->blocking || (code = wait_for(c, want, err)) != ATLS_OK))
            break;
    }
    if (code != ATLS_OK)
        return code;
    *out_len = len - rest.len;
    if (out_want != NULL)
        *out_want = want;
    return ATLS_OK;
}

enum atls_code atls_openssl_write(struct atls_openssl *c, const void *buf, size_t len,
                                  size_t *out_len, enum atls_want *out_want, struct atls_err *err)
{
    return write_all(c, atls_bytes_of(buf, len), false, out_len, out_want, err);
}

enum atls_code atls_openssl_write_in_place(struct atls_openssl *c, uint8_t *buf, size_t len,
                                           size_t *out_len, enum atls_want *out_want,
                                           struct atls_err *err)
{
    return write_all(c, atls_bytes_of(buf, len), true, out_len, out_want, err);
}

enum atls_code atls_openssl_end(struct atls_openssl *c, struct atls_err *err)
{
    enum atls_code code;

    if (c->session == NULL)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_GATE_CLOSED,
                                "connection: the gate is closed, data cannot end");
    if ((code = atls_session_end(c->session, err)) == ATLS_OK) {
        c->end_due = c->config->options.flavour != ATLS_FLAVOUR_POST;
        code = flush(c, err);
    }
    while (code == ATLS_OK && c->blocking && c->write_blocked &&
           (code = wait_for(c, ATLS_WANT_WRITE, err)) == ATLS_OK)
        code = flush(c, err);
    return code;
}
