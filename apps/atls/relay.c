#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "io.h"

/* What a blocking pipe takes at once after poll said that it is writable (POSIX, PIPE_BUF is at
 * least 512; Linux: 4096). */
#define PIPE_CHUNK 4096
/* How long the end of a connection may take. */
#define LINGER_MS 500

/* ---- buffers ---- */

static size_t buffered(const struct relay_buffer *buffer)
{
    return buffer->end - buffer->start;
}

static size_t room(const struct relay_buffer *buffer)
{
    return sizeof(buffer->data) - buffer->end;
}

static void consumed(struct relay_buffer *buffer, size_t len)
{
    buffer->start += len;
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
}

/* ---- the application's side ---- */

static enum atls_code app_error(struct relay *relay, struct atls_err *err, const char *what)
{
    int number = errno;
    enum atls_code code = io_error(err, ATLS_E_IO, "%s: %s", what, strerror(number));

    relay->app_failed = true;
    err->sys_errno = number;
    return code;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Who has not attested himself costs the application nothing. */
static enum atls_code connect_app(struct relay *relay, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (relay->connect_app == NULL || relay->to_app >= 0)
        return ATLS_OK;
    if ((code = relay->connect_app(relay->arg, relay, err)) != ATLS_OK)
        relay->app_failed = true;
    return code;
}

/* Reads once from the application, when poll said so. */
static enum atls_code read_app(struct relay *relay, struct atls_err *err)
{
    struct relay_buffer *buffer = &relay->to_peer;
    ssize_t got = read(relay->from_app, buffer->data + buffer->end, room(buffer));

    if (got < 0 && !would_block())
        return app_error(relay, err, "reading application data");
    if (got == 0)
        relay->from_app = -1;
    if (got > 0)
        buffer->end += (size_t)got;
    return ATLS_OK;
}

/* Writes once to the application, when poll said so. */
static enum atls_code write_app(struct relay *relay, struct atls_err *err)
{
    struct relay_buffer *buffer = &relay->from_peer;
    size_t len = buffered(buffer);
    ssize_t put;

    if (!relay->app_is_socket && len > PIPE_CHUNK)
        len = PIPE_CHUNK;
    put = write(relay->to_app, buffer->data + buffer->start, len);
    if (put < 0 && !would_block())
        return app_error(relay, err, "writing application data");
    if (put > 0)
        consumed(buffer, (size_t)put);
    return ATLS_OK;
}

/* Data for nobody is dropped, data to be echoed changes sides. */
static void hand_over(struct relay *relay)
{
    struct relay_buffer *in = &relay->from_peer, *out = &relay->to_peer;
    size_t len = buffered(in);

    if (relay->echo) {
        if (len > room(out))
            len = room(out);
        memcpy(out->data + out->end, in->data + in->start, len);
        out->end += len;
    } else if (relay->to_app >= 0) {
        return;
    }
    consumed(in, len);
}

/* ---- the peer's side ---- */

static enum atls_code receive(struct relay *relay, bool *out_moved, struct atls_err *err)
{
    struct relay_buffer *buffer = &relay->from_peer;
    enum atls_want want = ATLS_WANT_NOTHING;
    size_t len = 0;
    enum atls_code code;

    *out_moved = false;
    if (room(buffer) == 0)
        return ATLS_OK;
    code =
        atls_openssl_read(relay->conn, buffer->data + buffer->end, room(buffer), &len, &want, err);
    if (code != ATLS_OK)
        return code;
    buffer->end += len;
    relay->received += len;
    *out_moved = len > 0;
    return ATLS_OK;
}

static enum atls_code send_data(struct relay *relay, bool *out_moved, struct atls_err *err)
{
    struct relay_buffer *buffer = &relay->to_peer;
    enum atls_want want = ATLS_WANT_NOTHING;
    size_t len = 0;
    enum atls_code code;

    *out_moved = false;
    if (buffered(buffer) == 0 || atls_openssl_ended(relay->conn))
        return ATLS_OK;
    code = atls_openssl_write(relay->conn, buffer->data + buffer->start, buffered(buffer), &len,
                              &want, err);
    if (code != ATLS_OK)
        return code;
    consumed(buffer, len);
    relay->sent += len;
    *out_moved = len > 0;
    return ATLS_OK;
}

/* True when the peer sends no more data and all of it was handed on. */
static bool peer_is_done(const struct relay *relay)
{
    struct atls_session *session = atls_openssl_session(relay->conn);

    return buffered(&relay->from_peer) == 0 &&
           (atls_openssl_ended(relay->conn) ||
            (session != NULL && atls_session_peer_ended(session)));
}

/* What the peer sent has ended: a forwarded-to program sees that as the end of its input. */
static void end_app(struct relay *relay)
{
    if (!relay->app_is_socket || relay->told_app || !peer_is_done(relay))
        return;
    relay->told_app = true;
    (void)shutdown(relay->to_app, SHUT_WR);
}

/* True when everything that was to be sent is on its way. */
static bool nothing_left(const struct relay *relay)
{
    return buffered(&relay->to_peer) == 0 && relay->from_app < 0 &&
           (!relay->echo || peer_is_done(relay));
}

/* Tells of an acceptance that is new. */
static void notice_attestation(struct relay *relay)
{
    struct atls_session *session = atls_openssl_session(relay->conn);
    struct atls_peer peer;

    if (session == NULL || !atls_session_is_open(session))
        return;
    atls_session_peer(session, &peer);
    if (relay->opened && peer.attestations == relay->attestations)
        return;
    relay->opened = true;
    relay->attestations = peer.attestations;
    if (relay->attested != NULL)
        relay->attested(relay->arg, relay);
}

static void drain_wake(int fd)
{
    uint8_t bytes[64];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
}

/* Does what another thread asked for. */
static enum atls_code obey(struct relay *relay, struct atls_err *err)
{
    if (atomic_exchange(&relay->reattest_now, false) && relay->opened &&
        !relay_peer_is_unattested(relay)) /* which nobody asks again */
        return atls_session_reattest(atls_openssl_session(relay->conn), err);
    return ATLS_OK;
}

/* Runs the connection's own work: handshake, frames, deadlines, jobs. */
static enum atls_code drive(struct relay *relay, enum atls_want *out_want, struct atls_err *err)
{
    enum atls_code code;

    for (;;) {
        struct atls_job *job;

        if ((code = atls_openssl_step(relay->conn, out_want, err)) != ATLS_OK)
            return code;
        if (*out_want != ATLS_WANT_JOB || (job = atls_openssl_job(relay->conn)) == NULL)
            return ATLS_OK;
        atls_job_run(job);
        if ((code = atls_openssl_complete(relay->conn, job, err)) != ATLS_OK)
            return code;
    }
}

static int until_deadline(const struct relay *relay)
{
    int64_t deadline = atls_openssl_deadline_ms(relay->conn), now = io_now_ms();

    /* TLS may hold data that the socket no longer has. */
    if (relay->opened && SSL_pending(relay->ssl) > 0 && room(&relay->from_peer) > 0)
        return 0;
    if (deadline == INT64_MAX)
        return -1;
    if (deadline <= now)
        return 0;
    return deadline - now > 60000 ? 60000 : (int)(deadline - now);
}

enum { POLL_PEER, POLL_FROM_APP, POLL_TO_APP, POLL_WAKE, POLL_COUNT };

/* After the close_notify of a plain stream there is nothing to be read but the end of the socket,
 * which counts where only the peer could still use what we have to say. */
static bool says_no_more(const struct relay *relay)
{
    return relay->plain && peer_is_done(relay) &&
           (relay->app_is_socket || relay->echo || buffered(&relay->to_peer) > 0);
}

/* The peer of a plain stream has ended its data and closed the socket: what standard input might
 * yet bring has nobody to go to. */
static bool peer_is_gone(const struct relay *relay)
{
    char byte;

    return relay->plain && peer_is_done(relay) && !says_no_more(relay) &&
           recv(relay->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Sleeps until something can move, then moves what the application's descriptors allow. */
static enum atls_code wait_and_move(struct relay *relay, enum atls_want want, struct atls_err *err)
{
    struct pollfd fds[POLL_COUNT] = {
        [POLL_PEER] = {.fd = relay->fd},
        [POLL_FROM_APP] = {.fd = -1, .events = POLLIN},
        [POLL_TO_APP] = {.fd = -1, .events = POLLOUT},
        [POLL_WAKE] = {.fd = relay->wake_fd, .events = POLLIN},
    };
    enum atls_code code;

    if (want == ATLS_WANT_WRITE || buffered(&relay->to_peer) > 0)
        fds[POLL_PEER].events |= POLLOUT;
    /* Whoever waits to write reads meanwhile: the peer may be waiting for the same. */
    if ((relay->opened || want != ATLS_WANT_WRITE) && room(&relay->from_peer) > 0 &&
        !says_no_more(relay))
        fds[POLL_PEER].events |= POLLIN;
    if (relay->opened && room(&relay->to_peer) > 0)
        fds[POLL_FROM_APP].fd = relay->from_app;
    if (buffered(&relay->from_peer) > 0)
        fds[POLL_TO_APP].fd = relay->to_app;

    if (poll(fds, POLL_COUNT, until_deadline(relay)) < 0 && errno != EINTR)
        return app_error(relay, err, "poll");
    if (fds[POLL_WAKE].revents != 0)
        drain_wake(relay->wake_fd);
    if (fds[POLL_FROM_APP].revents != 0 && (code = read_app(relay, err)) != ATLS_OK)
        return code;
    if (fds[POLL_TO_APP].revents != 0)
        return write_app(relay, err);
    return ATLS_OK;
}

/* Moves data between connection and buffers until neither side gives or takes more. */
static enum atls_code exchange(struct relay *relay, struct atls_err *err)
{
    bool received = true, sent = true;
    enum atls_code code = ATLS_OK;

    while ((received || sent) && code == ATLS_OK) {
        if ((code = receive(relay, &received, err)) != ATLS_OK ||
            /* Who opens, sends and closes at once was never seen open. */
            (received && (code = connect_app(relay, err)) != ATLS_OK))
            return code;
        hand_over(relay);
        code = send_data(relay, &sent, err);
    }
    return code;
}

/* Our end of the data: said once, after the last byte. Without framing, TLS has but one end for
 * both directions. */
static enum atls_code announce_end(struct relay *relay, struct atls_err *err)
{
    if (relay->said_end || !relay->opened || !nothing_left(relay))
        return ATLS_OK;
    relay->said_end = true;
    if (!relay->raw)
        return atls_openssl_end(relay->conn, err);
    atls_session_close(atls_openssl_session(relay->conn));
    return ATLS_OK;
}

/* Both directions have ended and all of it is out. */
static bool both_done(const struct relay *relay)
{
    return relay->said_end && peer_is_done(relay) &&
           atls_session_output(atls_openssl_session(relay->conn)).len == 0;
}

/* The peer has closed. Whoever still had something to say must know that it was not said. */
static enum atls_code check_end(const struct relay *relay, struct atls_err *err)
{
    if (buffered(&relay->to_peer) == 0)
        return ATLS_OK;
    return io_error(err, ATLS_E_CLOSED, "the peer closed before it had received everything");
}

/* The last step read the peer's end, which the socket will not wake anybody for again, and what
 * follows from it is still to be done. */
static bool end_is_news(const struct relay *relay)
{
    return peer_is_done(relay) && ((relay->app_is_socket && !relay->told_app) ||
                                   (!relay->said_end && nothing_left(relay)));
}

enum atls_code relay_run(struct relay *relay, struct atls_err *err)
{
    enum atls_want want = ATLS_WANT_NOTHING;
    enum atls_code code;

    for (;;) {
        if ((code = drive(relay, &want, err)) != ATLS_OK)
            return code;
        notice_attestation(relay);
        if (relay->opened && (code = connect_app(relay, err)) != ATLS_OK)
            return code;
        if (relay->opened || atls_openssl_ended(relay->conn)) {
            if ((code = obey(relay, err)) != ATLS_OK || (code = exchange(relay, err)) != ATLS_OK)
                return code;
            if (atls_openssl_ended(relay->conn) && buffered(&relay->from_peer) == 0)
                return check_end(relay, err);
            end_app(relay);
            if ((code = announce_end(relay, err)) != ATLS_OK ||
                (code = drive(relay, &want, err)) != ATLS_OK)
                return code;
            if (atomic_load(&relay->stop_now) || both_done(relay) || peer_is_gone(relay))
                return ATLS_OK; /* relay_clear says CLOSE */
            notice_attestation(relay);
            if (end_is_news(relay))
                continue;
        }
        if ((code = wait_and_move(relay, want, err)) != ATLS_OK)
            return code;
    }
}

/* Takes what the peer still sends: a socket that is closed with unread input resets the connection,
 * and the peer would not see why it ended. */
static void linger(int fd)
{
    int64_t deadline = io_now_ms() + LINGER_MS, left;
    uint8_t sink[4096];

    if (shutdown(fd, SHUT_WR) != 0)
        return;
    while ((left = deadline - io_now_ms()) > 0) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (poll(&poll_fd, 1, (int)left) <= 0)
            return;
        got = read(fd, sink, sizeof(sink));
        if (got == 0 || (got < 0 && !would_block()))
            return;
    }
}

void relay_clear(struct relay *relay)
{
    if (relay->app_failed)
        atls_openssl_free(relay->conn);
    else
        atls_openssl_close(relay->conn);
    SSL_free(relay->ssl);
    if (relay->fd >= 0) {
        linger(relay->fd);
        close(relay->fd);
    }
    relay->conn = NULL;
    relay->ssl = NULL;
    relay->fd = -1;
}

/* ---- what is known of the peer ---- */

/* First DNS name, address or else common name of a certificate; "" when there is none. */
static void certificate_name(struct atls_bytes der, char *out, size_t size)
{
    const unsigned char *at = der.ptr;
    X509 *certificate = der.len > 0 ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    GENERAL_NAMES *names = NULL;

    out[0] = '\0';
    if (certificate == NULL)
        return;
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && out[0] == '\0'; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            snprintf(out, size, "%.*s", ASN1_STRING_length(name->d.dNSName),
                     (const char *)ASN1_STRING_get0_data(name->d.dNSName));
    }
    if (out[0] == '\0')
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, out,
                                        (int)size);
    /* The name crossed the network, and goes to a terminal. */
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    GENERAL_NAMES_free(names);
    X509_free(certificate);
}

/* The first submodule of the result as JSON, NULL without one. */
static json_t *first_submod(struct atls_result *result)
{
    const char *text = result != NULL ? atls_result_json(result) : NULL;
    json_t *ear = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *submods = json_object_get(ear, "submods");
    json_t *first = json_incref(json_object_iter_value(json_object_iter(submods)));

    json_decref(ear);
    return first;
}

/* A text of one group of claims of a submodule; "" when there is none. */
static const char *claim(const json_t *submod, const char *group, const char *name)
{
    const char *text = json_string_value(json_object_get(json_object_get(submod, group), name));

    return text != NULL ? text : "";
}

#define ATTESTER_CLAIMS "ear_attester_claims"
#define VERIFIER_CLAIMS "ear_verifier_claims"

/* Seconds since the result was issued; clocks may differ a little. */
static int64_t age_of(const struct atls_result *result)
{
    int64_t age_s = (int64_t)time(NULL) - atls_result_issued_at(result);

    return age_s < 0 ? 0 : age_s;
}

/* Where a result comes from, and for how long it counts: 0 when it does not say. */
static json_t *result_json(const struct atls_result *result)
{
    return json_pack("{ss sI sI sI}", "verifier", atls_result_verifier(result), "issued-at",
                     (json_int_t)atls_result_issued_at(result), "expires-at",
                     (json_int_t)atls_result_expires_at(result), "age", (json_int_t)age_of(result));
}

bool relay_peer_is_unattested(const struct relay *relay)
{
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(relay->conn), &peer);
    return peer.unattested;
}

json_t *relay_peer_json(const struct relay *relay)
{
    struct atls_peer peer;
    char name[256], instance[80] = "";
    json_t *submod, *json;

    atls_session_peer(atls_openssl_session(relay->conn), &peer);
    if (peer.result == NULL)
        return json_pack("{sb sb sb sb ss}", "attested", 0, "unattested", (int)peer.unattested,
                         "self-attested", (int)peer.self_attested, "shown", (int)peer.shown,
                         "flavour", atls_flavour_name(peer.flavour));
    certificate_name(peer.certificate, name, sizeof(name));
    io_hex(atls_result_instance(peer.result), instance, sizeof(instance));
    submod = first_submod(peer.result);
    json = json_pack(
        "{sb ss ss ss ss ss ss ss ss ss ss ss si sb sb sb so}", "attested", (int)peer.attested,
        "evidence-type", peer.evidence_type, "instance", instance, "class",
        claim(submod, ATTESTER_CLAIMS, "class"), "vendor", claim(submod, ATTESTER_CLAIMS, "vendor"),
        "model", claim(submod, ATTESTER_CLAIMS, "model"), "key-trust",
        claim(submod, VERIFIER_CLAIMS, "key-trust"), "flavour", atls_flavour_name(peer.flavour),
        "binding", peer.binding, "freshness", peer.freshness, "status",
        atls_tier_name(atls_result_status(peer.result)), "name", name, "attestations",
        (int)peer.attestations, "insecure", (int)peer.insecure, "self-attested",
        (int)peer.self_attested, "shown", (int)peer.shown, "result", result_json(peer.result));
    json_decref(submod);
    return json;
}

static const json_t *result_member(const json_t *peer, const char *name)
{
    return json_object_get(json_object_get(peer, "result"), name);
}

#define KEY_ONLY "key only, not to connection; freshness: "

/* Not made for the connection: then its age matters, and who made it. */
static bool is_of_key_only(const json_t *peer)
{
    const char *binding = json_string_value(json_object_get(peer, "binding"));

    return binding != NULL && strcmp(binding, "key") == 0;
}

void relay_print_peer(const struct relay *relay, FILE *stream, const char *indent)
{
    static const struct {
        const char *member, *label;
    } rows[] = {
        {"evidence-type", "technology"},
        {"instance", "instance"},
        {"class", "class"},
        {"key-trust", "key"},
        {"flavour", "flavour"},
        {"binding", "bound to"},
        {"status", "status"},
        {"name", "name"},
    };
    json_t *json = relay_peer_json(relay);
    const bool key_only = is_of_key_only(json);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *text = json_string_value(json_object_get(json, rows[i].member));

        if (strcmp(rows[i].member, "binding") == 0 && key_only)
            fprintf(stream, "%s%-11s " KEY_ONLY "%s\n", indent, rows[i].label,
                    json_string_value(json_object_get(json, "freshness")));
        else if (text != NULL && text[0] != '\0')
            fprintf(stream, "%s%-11s %s\n", indent, rows[i].label, text);
    }
    if (key_only)
        fprintf(stream, "%s%-11s %" JSON_INTEGER_FORMAT " s old, by %s\n", indent, "result",
                json_integer_value(result_member(json, "age")),
                json_string_value(result_member(json, "verifier")));
    json_decref(json);
}

const char *relay_not_shown(const struct relay *relay)
{
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(relay->conn), &peer);
    if (!relay->attests || peer.shown)
        return "";
    return SSL_is_server(relay->ssl) ? ", the client did not ask us to attest"
                                     : ", the server did not ask us to attest";
}

void relay_peer_line(const struct relay *relay, char *out, size_t size)
{
    struct atls_peer peer;
    char name[256], instance[80] = "";
    int used;

    atls_session_peer(atls_openssl_session(relay->conn), &peer);
    if (peer.result == NULL) {
        snprintf(out, size, "%s%s%s, flavour %s",
                 peer.unattested ? RELAY_UNATTESTED : "peer not asked to attest",
                 peer.self_attested ? ", we were accepted" : "", relay_not_shown(relay),
                 atls_flavour_name(peer.flavour));
        return;
    }
    certificate_name(peer.certificate, name, sizeof(name));
    io_hex(atls_result_instance(peer.result), instance, sizeof(instance));
    used = snprintf(out, size, "%s, instance %s, %s, name %s, flavour %s", peer.evidence_type,
                    instance, atls_tier_name(atls_result_status(peer.result)), name,
                    atls_flavour_name(peer.flavour));
    if (used > 0 && (size_t)used < size)
        used += snprintf(out + used, size - (size_t)used, "%s", relay_not_shown(relay));
    if (strcmp(peer.binding, "key") == 0 && used > 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used,
                 ", bound to " KEY_ONLY "%s, result %lld s old, by %s", peer.freshness,
                 (long long)age_of(peer.result), atls_result_verifier(peer.result));
}
