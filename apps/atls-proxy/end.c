#include "end.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <linux/sockios.h>

#include "text.h"

/* How long an end that closes waits for its peer to read why. */
#define LINGER_MS 500
/* How long one that is to be reset may take for data of ours that had ended in order. */
#define CUT_MS 10000
/* What is kept free in the output for CLOSE and close_notify, or an alert. */
#define RESERVE 512
/* Records of which a system call each costs less than a copy. */
#define THROUGH_MIN 8192
/* What a full record has beside data: header, type, tag and the header of a frame. */
#define RECORD_OVERHEAD 26
#define RECORD_DATA     16380
/* How much of a peer that is told of the end is thrown away at a time. */
#define SINK_TURNS 16

static bool would_block(int number)
{
    return number == EAGAIN || number == EINTR;
}

/* ---- the socket ---- */

/* As recv(2); what it tells of the socket is remembered. */
static ssize_t take(struct end *end, void *buf, size_t len)
{
    ssize_t got;

    if (!end->readable) {
        errno = EAGAIN;
        return -1;
    }
    got = recv(end->watch.fd, buf, len, 0);
    if (got < 0 && would_block(errno))
        end->readable = errno == EINTR;
    else if (got < 0)
        end->broke = errno;
    else if (got > 0 && (size_t)got < len)
        /* It was emptied, and the next event is a new one; or this is the mark of urgent data. */
        end->readable = end->half_closed || end->urgent;
    return got;
}

/* As send(2); with more, what does not fill a segment may wait for what follows. */
static ssize_t give(struct end *end, const void *buf, size_t len, bool more)
{
    ssize_t put;

    if (!end->writable) {
        errno = EAGAIN;
        return -1;
    }
    put = send(end->watch.fd, buf, len, more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL);
    if (put > 0)
        end->out.held = more;
    else if (put < 0 && !would_block(errno))
        end->broke = errno;
    if (put < 0 ? would_block(errno) : (size_t)put < len)
        end->writable = put < 0 && errno == EINTR;
    return put;
}

/* Puts on its way what was sent with more, when nothing followed. */
static void let_go(struct end *end)
{
    const int on = 1;

    end->out.held = false;
    (void)setsockopt(end->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* ---- output of TLS ---- */

/* Sends what was gathered; false when the socket is broken, errno says why. */
static bool send_out(struct end *end)
{
    struct end_output *out = &end->out;

    while (out->start < out->end) {
        const ssize_t put = give(end, out->buffer + out->start, out->end - out->start, false);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return would_block(errno);
        out->start += (size_t)put;
    }
    out->start = out->end = 0;
    loop_buffer_back(end->loop, out->buffer);
    out->buffer = NULL;
    return true;
}

static size_t out_room(const struct end *end)
{
    return LOOP_BUFFER_LEN - (end->out.last ? 0 : RESERVE) - end->out.end;
}

/* A long record that nothing waits before goes to the socket from where it is, and is not put on
 * its way before the last one of this call. */
static bool write_through(struct end *end, const char *data, size_t len, size_t *out_len)
{
    struct end_output *out = &end->out;
    ssize_t put;

    if (out->buffer != NULL || len < THROUGH_MIN)
        return false;
    put = give(end, data, len, out->expected > len);
    if (put <= 0)
        return false;
    out->expected -= out->expected < (size_t)put ? out->expected : (size_t)put;
    *out_len = (size_t)put;
    return true;
}

static int out_write(BIO *bio, const char *data, size_t len, size_t *out_len)
{
    struct end *end = BIO_get_data(bio);
    struct end_output *out = &end->out;

    BIO_clear_retry_flags(bio);
    if (write_through(end, data, len, out_len))
        return 1;
    if (out->buffer == NULL && (out->buffer = loop_buffer(end->loop)) == NULL) {
        errno = ENOMEM;
        return 0;
    }
    if (len > out_room(end) && !send_out(end)) {
        end->cut_off = true;
        return 0;
    }
    if (out->buffer == NULL && (out->buffer = loop_buffer(end->loop)) == NULL) {
        errno = ENOMEM;
        return 0;
    }
    if (out_room(end) == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    if (len > out_room(end))
        len = out_room(end);
    memcpy(out->buffer + out->end, data, len);
    out->end += len;
    *out_len = len;
    return 1;
}

static int in_read(BIO *bio, char *data, size_t len, size_t *out_len)
{
    struct end *end = BIO_get_data(bio);
    const ssize_t got = take(end, data, len);

    BIO_clear_retry_flags(bio);
    if (got > 0) {
        *out_len = (size_t)got;
        return 1;
    }
    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    else if (would_block(errno))
        BIO_set_retry_read(bio);
    end->cut_off |= got == 0 || !would_block(errno);
    return 0;
}

static long bio_control(BIO *bio, int command, long number, void *ptr)
{
    (void)number;
    (void)ptr;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH; /* end_flush does */
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link end");

    if (made == NULL || BIO_meth_set_write_ex(made, out_write) != 1 ||
        BIO_meth_set_read_ex(made, in_read) != 1 || BIO_meth_set_ctrl(made, bio_control) != 1) {
        BIO_meth_free(made);
        return NULL;
    }
    return made;
}

static BIO_METHOD *method;

static void init_method(void)
{
    method = make_method();
}

static BIO *bio_of(struct end *end)
{
    static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
    BIO *bio;

    if (CRYPTO_THREAD_run_once(&once, init_method) != 1 || method == NULL ||
        (bio = BIO_new(method)) == NULL)
        return NULL;
    BIO_set_data(bio, end);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- life ---- */

static void sink(struct end *end);

static void socket_ready(struct loop_watch *watch, uint32_t events)
{
    struct end *end = (struct end *)(void *)((char *)watch - offsetof(struct end, watch));

    if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        end->readable = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        end->writable = true;
    end->urgent |= (events & EPOLLPRI) != 0;
    end->half_closed |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    end->hung_up |= (events & (EPOLLHUP | EPOLLERR)) != 0;
    end->reset |= (events & EPOLLERR) != 0;
    if (end->state == END_CLOSING)
        sink(end);
    else
        end->ready(end);
}

enum atls_code end_open(struct end *end, struct loop *loop, int fd, bool dialling,
                        struct atls_err *err)
{
    const int on = 1;
    enum atls_code code;

    end->loop = loop;
    end->watch = (struct loop_watch){.ready = socket_ready, .fd = -1};
    /* Records are gathered here. Of a unix socket this fails, and does not matter. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on); /* no byte is lost */
    code = loop_watch(loop, &end->watch, fd, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                      err);
    if (code != ATLS_OK) {
        close(fd);
        return code;
    }
    end->readable = end->writable = !dialling;
    end->state = dialling ? END_DIALLING : END_OPEN;
    end->opened = !dialling;
    return ATLS_OK;
}

static bool is_address(const char *name)
{
    uint8_t address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* SNI, and the name that the certificate of TLS must carry where it is verified. */
static bool set_name(SSL *ssl, const char *name)
{
    const bool address = is_address(name);
    char text[256]; /* OpenSSL's macro takes it without const */

    if (strlen(name) >= sizeof text)
        return false;
    strcpy(text, name);
    if (!address && SSL_set_tlsext_host_name(ssl, text) != 1)
        return false;
    if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
        return true;
    return address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
                   : SSL_set1_host(ssl, name) == 1;
}

static SSL *tls_of(struct end *end, const struct end_security *s)
{
    SSL *ssl = SSL_new(s->ctx);
    BIO *bio = ssl == NULL ? NULL : bio_of(end);

    if (bio == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    if (s->server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
#if !defined(__SANITIZE_THREAD__)
    /* The attester's work in the handshake is a job, too. */
    if (s->server && s->flavour != ATLS_FLAVOUR_POST)
        SSL_set_mode(ssl, SSL_MODE_ASYNC);
#endif
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(ssl, 1); /* header and body of a record in one call */
    if (!s->server && s->peer_name != NULL && !set_name(ssl, s->peer_name)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

enum atls_code end_secure(struct end *end, const struct end_security *s, struct atls_err *err)
{
    SSL *ssl = tls_of(end, s);
    enum atls_code code;

    if (ssl == NULL) {
        ERR_clear_error();
        return set_error(err, ATLS_E_TLS, "TLS: no connection could be set up");
    }
    code = atls_openssl_new(ssl, s->config, s->server ? NULL : s->peer_name, &end->conn, err);
    if (code != ATLS_OK) {
        SSL_free(ssl);
        return code;
    }
    end->ssl = ssl;
    end->raw = s->raw && s->flavour == ATLS_FLAVOUR_POST;
    end->ends_by_tls = s->flavour != ATLS_FLAVOUR_POST;
    end->state = END_SHAKING;
    end->opened = false;
    return ATLS_OK;
}

struct atls_session *end_session(const struct end *end)
{
    return end->conn == NULL ? NULL : atls_openssl_session(end->conn);
}

/* ---- what is not data ---- */

static void broken(struct end *end, const char *what, int number)
{
    end->state = END_FAILED;
    (void)set_error(&end->err, ATLS_E_IO, "%s: %s", what, strerror(number));
    end->err.sys_errno = number;
}

static void look_connected(struct end *end)
{
    int number = 0;
    socklen_t len = sizeof number;

    if (!end->writable)
        return;
    if (getsockopt(end->watch.fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
        number = errno;
    if (number != 0) {
        broken(end, "connect", number);
        return;
    }
    end->state = END_OPEN;
    end->opened = end->readable = true;
}

static void look_session(struct end *end)
{
    const struct atls_session *session = end_session(end);

    if (session == NULL)
        return;
    if (!end->shaken)
        SSL_clear_mode(end->ssl, SSL_MODE_ASYNC);
    end->shaken = true;
    /* A peer that closed had its gate open, and what it sent can be read. */
    end->state = atls_session_is_open(session) || (end->opened && atls_openssl_ended(end->conn))
                     ? END_OPEN
                     : END_GATED;
    end->opened |= end->state == END_OPEN;
    if (!end->opened && atls_openssl_ended(end->conn)) {
        end->state = END_FAILED;
        (void)set_error(&end->err, ATLS_E_CLOSED, "the peer closed before it was attested");
    }
}

static bool step_tls(struct end *end)
{
    enum atls_want want = ATLS_WANT_NOTHING;

    if (atls_openssl_step(end->conn, &want, &end->err) != ATLS_OK) {
        end->shaken |= end_session(end) != NULL;
        end->state = END_FAILED;
        return false;
    }
    look_session(end);
    return want == ATLS_WANT_JOB;
}

bool end_step(struct end *end)
{
    bool jobs = false;

    if (end->state == END_DIALLING)
        look_connected(end);
    else if (end->conn != NULL && end->state != END_FAILED && end->state != END_CLOSING)
        jobs = step_tls(end);
    if (end->state != END_DIALLING && end->state != END_NONE)
        (void)end_flush(end);
    return jobs;
}

struct atls_job *end_job(struct end *end)
{
    return end->conn == NULL ? NULL : atls_openssl_job(end->conn);
}

void end_complete(struct end *end, struct atls_job *job)
{
    if (end->conn == NULL)
        atls_job_free(job);
    else if (atls_openssl_complete(end->conn, job, &end->err) != ATLS_OK)
        end->state = END_FAILED;
}

int64_t end_deadline_ms(const struct end *end)
{
    return end->conn == NULL ? INT64_MAX : atls_openssl_deadline_ms(end->conn);
}

void end_rest(struct end *end)
{
    struct atls_session *session = end_session(end);

    if (session == NULL)
        return;
    atls_session_trim(session);
    atls_session_peer_release(session);
}

/* ---- data ---- */

static enum end_moved read_plain(struct end *end, uint8_t *buf, size_t len, size_t *out_len)
{
    ssize_t got;

    do
        got = take(end, buf, len);
    while (got < 0 && errno == EINTR);
    if (got < 0 && would_block(errno))
        return END_BLOCKED;
    if (got < 0) {
        broken(end, "reading", errno);
        return END_BROKEN;
    }
    /* Linux tells of a reset once. When a write was told, reads say that the data have ended. EPIPE
     * it is where they had, before the reset came. */
    if (got == 0 && end->broke != 0 && end->broke != EPIPE) {
        broken(end, "reading", end->broke);
        return END_BROKEN;
    }
    if (got == 0) {
        end->read_ended = true;
        return END_ENDED;
    }
    *out_len = (size_t)got;
    return END_MOVED;
}

static enum end_moved read_tls(struct end *end, uint8_t *buf, size_t len, size_t *out_len)
{
    const struct atls_session *session = end_session(end);
    enum atls_want want = ATLS_WANT_NOTHING;
    size_t got = 0;

    if (atls_openssl_read(end->conn, buf, len, &got, &want, &end->err) != ATLS_OK) {
        end->state = END_FAILED;
        return END_BROKEN;
    }
    if (got != 0) {
        *out_len = got;
        return END_MOVED;
    }
    look_session(end);
    if (atls_openssl_ended(end->conn) || (session != NULL && atls_session_peer_ended(session))) {
        end->read_ended = true;
        return END_ENDED;
    }
    return END_BLOCKED;
}

enum end_moved end_read(struct end *end, uint8_t *buf, size_t len, size_t *out_len)
{
    enum end_moved moved;

    if (end->state == END_FAILED)
        return END_BROKEN;
    if (end->read_ended)
        return END_ENDED;
    moved =
        end->conn == NULL ? read_plain(end, buf, len, out_len) : read_tls(end, buf, len, out_len);
    if (moved == END_MOVED)
        end->received += *out_len;
    return moved;
}

static enum end_moved write_plain(struct end *end, const uint8_t *buf, size_t len, size_t *out_len)
{
    ssize_t put;

    do
        put = give(end, buf, len, false);
    while (put < 0 && errno == EINTR);
    if (put < 0 && would_block(errno))
        return END_BLOCKED;
    if (put < 0)
        return END_ENDED; /* what it sent may still be there to be read */
    *out_len = (size_t)put;
    return END_MOVED;
}

static enum end_moved write_tls(struct end *end, uint8_t *buf, size_t len, size_t *out_len)
{
    enum atls_want want = ATLS_WANT_NOTHING;
    size_t put = 0;

    if (atls_openssl_ended(end->conn))
        return END_ENDED;
    end->out.expected = len + (len + RECORD_DATA - 1) / RECORD_DATA * RECORD_OVERHEAD;
    if (atls_openssl_write_in_place(end->conn, buf, len, &put, &want, &end->err) != ATLS_OK) {
        look_session(end);
        if (atls_openssl_ended(end->conn))
            return END_ENDED;
        if (end->err.reason == ATLS_REASON_GATE_CLOSED && end->state == END_GATED)
            return END_BLOCKED;
        end->state = END_FAILED;
        return END_BROKEN;
    }
    if (put == 0)
        return END_BLOCKED;
    *out_len = put;
    return END_MOVED;
}

enum end_moved end_write(struct end *end, uint8_t *buf, size_t len, size_t *out_len)
{
    enum end_moved moved;

    if (end->state == END_FAILED)
        return END_BROKEN;
    moved =
        end->conn == NULL ? write_plain(end, buf, len, out_len) : write_tls(end, buf, len, out_len);
    if (moved == END_MOVED)
        end->sent += *out_len;
    return moved;
}

bool end_flush(struct end *end)
{
    end->out.expected = 0;
    if (end->out.held && end->out.buffer == NULL)
        let_go(end);
    if (end->out.buffer != NULL && !send_out(end)) {
        const int number = errno;

        loop_buffer_back(end->loop, end->out.buffer);
        end->out = (struct end_output){0};
        /* A peer that closed during handshake or attestation may have said why: reading tells. */
        if (end->state == END_SHAKING || (end->state == END_GATED && !end->opened))
            return true;
        if (end->state != END_FAILED)
            broken(end, "writing", number);
        return false;
    }
    if (end->shut_due && end->out.buffer == NULL) {
        end->shut_due = false;
        (void)shutdown(end->watch.fd, SHUT_WR);
    }
    return true;
}

bool end_flushed(const struct end *end)
{
    const struct atls_session *session = end_session(end);

    return end->out.buffer == NULL && (session == NULL || atls_session_output(session).len == 0);
}

void end_shut(struct end *end)
{
    struct atls_session *session = end_session(end);

    if (end->said_end)
        return;
    end->said_end = true;
    if (end->conn == NULL) {
        end->shut_due = true;
    } else if (end->raw) {
        atls_session_close(session);
    } else if (!atls_openssl_ended(end->conn) &&
               atls_openssl_end(end->conn, &end->err) != ATLS_OK) {
        end->state = END_FAILED;
        return;
    }
    (void)end_flush(end);
}

/* ---- the end ---- */

void end_free(struct end *end)
{
    if (end->loop == NULL || end->state == END_NONE)
        return;
    loop_timer_clear(end->loop, &end->timer);
    atls_openssl_free(end->conn);
    if (end->ssl != NULL)
        SSL_free(end->ssl);
    ERR_clear_error();
    loop_buffer_back(end->loop, end->out.buffer);
    if (end->watch.fd >= 0) {
        const int fd = end->watch.fd;

        loop_unwatch(end->loop, &end->watch);
        close(fd);
    }
    end->conn = NULL;
    end->ssl = NULL;
    end->out = (struct end_output){0};
    end->state = END_NONE;
}

static void gone(struct end *end)
{
    end_free(end);
    end->closed(end);
}

/* A reset would destroy data which the peer was told are whole, and has not taken yet. */
static bool must_wait(const struct end *end)
{
    int left = 0;

    return end->cutting && loop_now_ms(end->loop) < end->cut_ms &&
           (end->out.buffer != NULL || (ioctl(end->watch.fd, SIOCOUTQ, &left) == 0 && left != 0));
}

/* Throws away what the peer still sends: a socket that is closed with unread input resets the
 * connection, and the peer would not see why it ended. */
static void sink(struct end *end)
{
    uint8_t rest[2048];
    ssize_t got = 1;

    if (!end_flush(end)) {
        gone(end);
        return;
    }
    for (int i = 0; i < SINK_TURNS && got > 0; i++)
        got = take(end, rest, sizeof rest);
    if (got == 0 && must_wait(end))
        return;
    if (got == 0 || (got < 0 && !would_block(errno)))
        gone(end);
    /* Who sends without end is heard again when the next piece arrives, until the timer is due. */
}

static void linger_over(struct loop_timer *timer)
{
    struct end *end = (struct end *)(void *)((char *)timer - offsetof(struct end, timer));

    if (must_wait(end))
        loop_timer_set(end->loop, timer, loop_now_ms(end->loop) + LINGER_MS);
    else
        gone(end);
}

/* The peer has LINGER_MS to take what was sent. */
static void linger(struct end *end)
{
    end->state = END_CLOSING;
    end->timer.due = linger_over;
    loop_timer_set(end->loop, &end->timer, loop_now_ms(end->loop) + LINGER_MS);
    sink(end);
}

static bool is_over(const struct end *end)
{
    return end->state == END_NONE || end->state == END_DIALLING || end->hung_up;
}

void end_close(struct end *end)
{
    const bool readable = end->readable;

    if (is_over(end)) {
        gone(end);
        return;
    }
    end->out.last = true;
    end->readable = false; /* what the peer still sends is not waited for in there */
    atls_openssl_close(end->conn);
    if (end->ssl != NULL)
        SSL_free(end->ssl);
    end->conn = NULL;
    end->ssl = NULL;
    ERR_clear_error();
    end->readable = readable;
    end->shut_due = true;
    linger(end);
}

/* Whether a peer of TLS that has our end of data would take the end of the socket for an orderly
 * one: so it is where close_notify is that end. */
static bool has_said_all(const struct end *end)
{
    return end->conn == NULL || (end->said_end && end->ends_by_tls);
}

void end_cut(struct end *end)
{
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (is_over(end) || end->state == END_FAILED || (end->said_end && end->raw)) {
        end_close(end);
        return;
    }
    if (has_said_all(end))
        (void)setsockopt(end->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    else
        end->shut_due = true;
    end->cutting = end->said_end;
    end->cut_ms = loop_now_ms(end->loop) + CUT_MS;
    end->out.last = true;
    atls_openssl_free(end->conn);
    if (end->ssl != NULL)
        SSL_free(end->ssl);
    end->conn = NULL;
    end->ssl = NULL;
    ERR_clear_error();
    linger(end);
}
