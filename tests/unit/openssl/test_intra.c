/* The intra-handshake flavour over OpenSSL. */
#include "tls/openssl/flavour.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testlib.h"

#include <openssl/async.h>
#include <openssl/err.h>

#include "flavour/intra/intra.h"
#include "tls_pair.h"

/* ---- who attests, over what, driven how ---- */

enum who { SERVER = 1, CLIENT = 2, MUTUAL = 3 };

static void attest(struct tls_pair *t, enum who who)
{
    t->p.server.attests = true; /* a server has a certificate all the same */
    t->p.client.attests = (who & CLIENT) != 0;
    t->p.client.requires = (who & SERVER) != 0;
    t->p.server.requires = (who & CLIENT) != 0;
}

static void assert_peer(const char *row, const struct tls_end *e, bool attested)
{
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(e->conn), &peer);
    if (peer.attested != attested || (attested && strcmp(peer.binding, "connection") != 0) ||
        (attested && strcmp(peer.freshness, "connection") != 0) ||
        peer.flavour != ATLS_FLAVOUR_INTRA)
        fail_msg("%s: peer attested %d, binding %s, freshness %s", row, (int)peer.attested,
                 peer.binding, peer.freshness);
}

static void attests_every_way_round(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * 2 * 2 * 2; i++) {
        const enum who who = (enum who)(i % 3 + 1);
        const bool async = i / 12 % 2 == 1;
        struct tls_pair t;
        char row[80];

#if defined(__SANITIZE_THREAD__)
        if (async)
            continue;
#endif
        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        attest(&t, who);
        t.hrr = i / 3 % 2 == 1;
        t.sha384 = i / 6 % 2 == 1;
        t.async = async;
        snprintf(row, sizeof row, "who %d, hrr %d, sha384 %d, async %d", (int)who, (int)t.hrr,
                 (int)t.sha384, (int)async);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open(row, &t, 50000);
        assert_peer(row, &t.client, (who & SERVER) != 0);
        assert_peer(row, &t.server, (who & CLIENT) != 0);
        tls_pair_clear(&t);
    }
}

/* ---- blocking, one thread an end ---- */

struct blocking {
    SSL *ssl;
    struct atls_config *config;
    const char *name; /* NULL: server */
    enum atls_code code;
    struct atls_err err;
    size_t got;
    uint8_t first;
};

static void *run_blocking(void *arg)
{
    struct blocking *b = arg;
    struct atls_openssl *conn = NULL;
    static const uint8_t data[30000] = {42};
    uint8_t buf[30000];
    size_t n = 0;

    b->code = b->name != NULL ? atls_openssl_connect(b->ssl, b->config, b->name, &conn, &b->err)
                              : atls_openssl_accept(b->ssl, b->config, &conn, &b->err);
    if (b->code == ATLS_OK)
        b->code = atls_openssl_write(conn, data, sizeof data, &n, NULL, &b->err);
    while (b->code == ATLS_OK && b->got < sizeof data) {
        b->code = atls_openssl_read(conn, buf, sizeof buf, &n, NULL, &b->err);
        if (b->code == ATLS_OK && n == 0)
            break;
        if (b->code == ATLS_OK && b->got == 0)
            b->first = buf[0];
        b->got += n;
    }
    atls_openssl_close(conn);
    return NULL;
}

/* Over a socket; both ends of b are filled in. */
static void run_blocking_pair(struct tls_pair *t, struct blocking b[2])
{
    pthread_t thread;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(SSL_set_fd(t->client.ssl, fds[0]), 1);
    assert_int_equal(SSL_set_fd(t->server.ssl, fds[1]), 1);
    b[0] = (struct blocking){
        .ssl = t->client.ssl, .config = t->p.client.config, .name = TLS_PAIR_NAME};
    b[1] = (struct blocking){.ssl = t->server.ssl, .config = t->p.server.config};
    assert_int_equal(pthread_create(&thread, NULL, run_blocking, &b[1]), 0);
    run_blocking(&b[0]);
    if (b[0].code != ATLS_OK)
        shutdown(fds[0], SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
}

static void attests_between_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * 2 * 2 * 2; i++) {
        struct tls_pair t;
        struct blocking b[2];

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        attest(&t, (enum who)(i % 3 + 1));
        t.hrr = i / 3 % 2 == 1;
        t.sha384 = i / 6 % 2 == 1;
        t.async = i / 12 % 2 == 1;
#if defined(__SANITIZE_THREAD__)
        t.async = false;
#endif
        tls_pair_prepare(&t);
        tls_pair_ssl(&t);
        run_blocking_pair(&t, b);
        for (int end = 0; end < 2; end++) {
            test_assert_code(b[end].code, ATLS_OK, &b[end].err);
            assert_int_equal(b[end].got, 30000);
            assert_int_equal(b[end].first, 42);
        }
        tls_pair_clear(&t);
    }
}

/* ---- sizes ---- */

static void carries_evidence_of_every_size(void **state)
{
    static const size_t sizes[] = {1000, 16384, 60000, 65528};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tls_pair t;
        char row[40];

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.p.client.attester.evidence_len = t.p.server.attester.evidence_len = sizes[i];
        snprintf(row, sizeof row, "%zu bytes", sizes[i]);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open(row, &t, 1000);
        tls_pair_clear(&t);
    }
}

static void says_that_evidence_is_too_large(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        struct tls_pair t;
        struct tls_end *sender = server ? &t.server : &t.client;
        struct tls_end *other = server ? &t.client : &t.server;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        sender->end->attester.evidence_len = 65529;
        tls_pair_start(&t);
        tls_pair_run(&t);
        test_assert_code(sender->code, ATLS_E_LIMIT, &sender->err);
        assert_non_null(strstr(sender->err.message, "65529"));
        assert_non_null(strstr(sender->err.message, "65528"));
        assert_int_equal(sender->alert_sent, SSL_AD_INTERNAL_ERROR);
        test_assert_code(other->code, ATLS_E_TLS, &other->err);
        assert_int_equal(other->err.reason, ATLS_REASON_PEER_REFUSED);
        assert_int_equal(other->err.alert, SSL_AD_INTERNAL_ERROR);
        tls_pair_clear(&t);
    }
}

/* ---- input and output ---- */

static void goes_on_byte_by_byte(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct tls_pair t;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.piecemeal = i < 2;
        t.room = 700; /* Certificate does not fit: WANT_WRITE in the middle */
        t.hrr = true;
        t.async = i % 2 == 1;
#if defined(__SANITIZE_THREAD__)
        t.async = false;
#endif
        t.p.client.attester.evidence_len = t.p.server.attester.evidence_len = 5000;
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("byte by byte", &t, 300);
        assert_true(t.server.steps > 10);
        tls_pair_clear(&t);
    }
}

/* ---- nobody waits in a callback ---- */

static void gives_every_slow_step_out(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct tls_pair t;
        unsigned int client_jobs = 2, server_jobs = 0; /* a client judges and shows */

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.hold_jobs = true;
        t.hrr = i % 2 == 1;
#if !defined(__SANITIZE_THREAD__)
        t.async = i / 2 == 1;
        t.async_client = i / 2 == 2;
        if (t.async)
            server_jobs = 3; /* a server so, too, and its CertificateVerify is signed */
        if (t.async_client)
            client_jobs = 3;
#endif
        tls_pair_start(&t);
        for (int turn = 0; turn < 20 && !(t.client.open && t.server.open); turn++) {
            struct tls_end *const ends[] = {&t.client, &t.server};

            tls_pair_run(&t);
            for (int e = 0; e < 2; e++) {
                if (ends[e]->job == NULL)
                    continue;
                /* The loop turns: nothing is asked again, and no other job comes. */
                for (int step = 0; step < 50; step++)
                    tls_end_step(&t, ends[e]);
                assert_int_equal(ends[e]->want, ATLS_WANT_JOB);
                assert_null(atls_openssl_job(ends[e]->conn));
                tls_end_complete(ends[e]);
                test_assert_code(ends[e]->code, ATLS_OK, &ends[e]->err);
            }
        }
        tls_pair_assert_open("jobs", &t, 100);
        assert_int_equal(t.client.jobs, client_jobs);
        assert_int_equal(t.server.jobs, server_jobs);
        tls_pair_clear(&t);
    }
}

/* Runs until the n-th job of one end is held. */
static void run_to_job(struct tls_pair *t, struct tls_end *e, unsigned int n)
{
    struct tls_end *other = e == &t->client ? &t->server : &t->client;

    t->hold_jobs = true;
    for (int turn = 0; turn < 20; turn++) {
        tls_pair_run(t);
        if (other->job != NULL)
            tls_end_complete(other);
        if (e->jobs == n)
            break;
        if (e->job != NULL)
            tls_end_complete(e);
    }
    if (e->job == NULL)
        abort();
}

/* Connections that end while a job is out: everything is given back. */
static void ends_while_a_job_is_out(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 10; i++) {
        struct tls_pair t;
        struct tls_end *e, *other;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_job *job;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
#if !defined(__SANITIZE_THREAD__)
        t.async = i < 6;
#endif
        tls_pair_start(&t);
        e = t.async ? &t.server : &t.client;
        other = t.async ? &t.client : &t.server;
        run_to_job(&t, e, t.async ? i / 2 % 3 + 1 : i / 2 % 2 + 1);
        job = e->job;
        e->job = NULL;
        if (i % 2 == 0) { /* the job outlives the connection */
            atls_openssl_close(e->conn);
            e->conn = NULL;
            atls_job_run(job);
            atls_job_free(job);
        } else { /* or comes to another */
            assert_int_equal(atls_openssl_complete(other->conn, job, &err), ATLS_E_USAGE);
        }
        tls_pair_clear(&t);
    }
}

static int64_t clock_of_test(void *arg)
{
    return *(const int64_t *)arg;
}

/* The deadline of the handshake counts for jobs, too. */
static void ends_when_a_job_takes_too_long(void **state)
{
    int64_t now = 1000;
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.p.client.options.clock.arg = &now;
    t.p.client.options.clock.monotonic_ms = clock_of_test;
    t.hold_jobs = true;
    tls_pair_start(&t);
    assert_int_equal(atls_openssl_deadline_ms(t.client.conn), 31000);
    tls_pair_run(&t);
    assert_non_null(t.client.job);
    now = 30999;
    test_assert_code(atls_openssl_step(t.client.conn, &t.client.want, &t.client.err), ATLS_OK,
                     &t.client.err);
    assert_int_equal(t.client.want, ATLS_WANT_JOB);
    now = 31000;
    assert_int_equal(atls_openssl_step(t.client.conn, &t.client.want, &t.client.err),
                     ATLS_E_TIMEOUT);
    assert_int_equal(t.client.err.reason, ATLS_REASON_DEADLINE);
    tls_end_complete(&t.client); /* too late */
    assert_int_equal(atls_openssl_step(t.client.conn, &t.client.want, &t.client.err),
                     ATLS_E_TIMEOUT);
    tls_pair_clear(&t);
}

/* ---- refusals ---- */

struct refusal {
    const char *name;
    void (*change)(struct tls_pair *t);
    bool client_refuses;
    enum atls_code code; /* on the end that refuses */
    enum atls_reason reason;
    int alert;
};

static void server_answers_another(struct tls_pair *t)
{
    t->p.server.attester.wrong_binder = true;
}

static void client_answers_another(struct tls_pair *t)
{
    t->p.client.attester.wrong_binder = true;
}

static void server_names_another_key(struct tls_pair *t)
{
    t->p.server.attester.wrong_key = true;
}

static void client_names_another_key(struct tls_pair *t)
{
    t->p.client.attester.wrong_key = true;
}

static void client_finds_measurements(struct tls_pair *t)
{
    t->p.client.verifier.contraindicated = true;
}

static void server_finds_measurements(struct tls_pair *t)
{
    t->p.server.verifier.contraindicated = true;
}

static void client_verifier_is_away(struct tls_pair *t)
{
    t->p.client.verifier.fail = ATLS_E_UNAVAILABLE;
}

static void server_verifier_is_away(struct tls_pair *t)
{
    t->p.server.verifier.fail = ATLS_E_UNAVAILABLE;
}

static void client_attester_fails(struct tls_pair *t)
{
    t->p.client.attester.fail_evidence = ATLS_E_DEVICE;
}

static void server_attester_fails(struct tls_pair *t)
{
    t->p.server.attester.fail_evidence = ATLS_E_DEVICE;
}

static void server_attester_fails_async(struct tls_pair *t)
{
    server_attester_fails(t);
#if !defined(__SANITIZE_THREAD__)
    t->async = true;
#endif
}

static void server_finds_measurements_async(struct tls_pair *t)
{
    server_finds_measurements(t);
#if !defined(__SANITIZE_THREAD__)
    t->async = true;
#endif
}

static void client_attester_signs_nothing(struct tls_pair *t)
{
    t->p.client.attester.fail_sign = ATLS_E_DEVICE;
}

static void server_attester_signs_nothing(struct tls_pair *t)
{
    t->p.server.attester.fail_sign = ATLS_E_DEVICE;
}

static void server_attester_signs_nothing_async(struct tls_pair *t)
{
    server_attester_signs_nothing(t);
#if !defined(__SANITIZE_THREAD__)
    t->async = true;
#endif
}

static void client_shows_nothing(struct tls_pair *t)
{
    t->p.client.attests = false;
}

static void server_is_of_another_type(struct tls_pair *t)
{
    t->p.server.attester.other_type = true;
    t->p.server.requires = false;
}

static void client_wants_to_be_asked(struct tls_pair *t)
{
    t->p.client.options.require_self = true;
    t->p.server.requires = false;
}

static void server_wants_to_be_asked(struct tls_pair *t)
{
    t->p.server.options.require_self = true;
    t->p.client.requires = false;
}

static void secret_of_the_client_alone(struct tls_pair *t)
{
    t->p.client.options.secret_binder = true;
}

static void name_of_another(struct tls_pair *t)
{
    static const char *const names[] = {"other.example", NULL};

    t->p.server.attester.dns_names = names;
    t->p.client.options.identity = ATLS_IDENTITY_PKIX;
    t->p.client.options.system_anchors = true;
}

static void same_key_without_trust(struct tls_pair *t)
{
    t->p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static void client_without_trust(struct tls_pair *t)
{
    t->p.server.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static const struct refusal refusals[] = {
    {"the server's evidence answers another challenge", server_answers_another, true,
     ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, SSL_AD_BAD_CERTIFICATE},
    {"the client's evidence answers another challenge", client_answers_another, false,
     ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, SSL_AD_BAD_CERTIFICATE},
    {"the server's evidence names another key", server_names_another_key, true, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH, SSL_AD_BAD_CERTIFICATE},
    {"the client's evidence names another key", client_names_another_key, false, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH, SSL_AD_BAD_CERTIFICATE},
    {"the client's policy refuses", client_finds_measurements, true, ATLS_E_REFUSED,
     ATLS_REASON_POLICY, SSL_AD_BAD_CERTIFICATE},
    {"the server's policy refuses", server_finds_measurements, false, ATLS_E_REFUSED,
     ATLS_REASON_POLICY, SSL_AD_BAD_CERTIFICATE},
    {"the server's policy refuses, asynchronously", server_finds_measurements_async, false,
     ATLS_E_REFUSED, ATLS_REASON_POLICY, SSL_AD_BAD_CERTIFICATE},
    {"the client's verifier is away", client_verifier_is_away, true, ATLS_E_UNAVAILABLE,
     ATLS_REASON_NONE, SSL_AD_INTERNAL_ERROR},
    {"the server's verifier is away", server_verifier_is_away, false, ATLS_E_UNAVAILABLE,
     ATLS_REASON_NONE, SSL_AD_INTERNAL_ERROR},
    {"the client's attester fails", client_attester_fails, true, ATLS_E_DEVICE, ATLS_REASON_NONE,
     SSL_AD_INTERNAL_ERROR},
    {"the server's attester fails", server_attester_fails, false, ATLS_E_DEVICE, ATLS_REASON_NONE,
     SSL_AD_INTERNAL_ERROR},
    {"the server's attester fails, asynchronously", server_attester_fails_async, false,
     ATLS_E_DEVICE, ATLS_REASON_NONE, SSL_AD_INTERNAL_ERROR},
    {"the client's attester does not sign", client_attester_signs_nothing, true, ATLS_E_TLS,
     ATLS_REASON_NONE, SSL_AD_INTERNAL_ERROR},
    {"the server's attester does not sign", server_attester_signs_nothing, false, ATLS_E_TLS,
     ATLS_REASON_NONE, SSL_AD_INTERNAL_ERROR},
    {"the server's attester does not sign, asynchronously", server_attester_signs_nothing_async,
     false, ATLS_E_TLS, ATLS_REASON_NONE, SSL_AD_INTERNAL_ERROR},
    {"the client shows nothing", client_shows_nothing, false, ATLS_E_PROTOCOL,
     ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES, SSL_AD_HANDSHAKE_FAILURE},
    {"nothing in common", server_is_of_another_type, false, ATLS_E_PROTOCOL,
     ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES, SSL_AD_HANDSHAKE_FAILURE},
    {"the client wants to be asked", client_wants_to_be_asked, true, ATLS_E_PROTOCOL,
     ATLS_REASON_ATTESTATION_REQUIRED, SSL_AD_ACCESS_DENIED},
    {"the server wants to be asked", server_wants_to_be_asked, false, ATLS_E_PROTOCOL,
     ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES, SSL_AD_HANDSHAKE_FAILURE},
    {"one end binds to the secret", secret_of_the_client_alone, true, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH, SSL_AD_BAD_CERTIFICATE},
    {"the certificate has another name", name_of_another, true, ATLS_E_CERTIFICATE,
     ATLS_REASON_UNTRUSTED_ROOT, SSL_AD_UNKNOWN_CA},
    {"same-key, and TLS trusts nobody", same_key_without_trust, true, ATLS_E_CERTIFICATE,
     ATLS_REASON_IDENTITY_MISMATCH, SSL_AD_UNKNOWN_CA},
    {"same-key on the server, and TLS trusts nobody", client_without_trust, false,
     ATLS_E_CERTIFICATE, ATLS_REASON_IDENTITY_MISMATCH, SSL_AD_UNKNOWN_CA},
};

static void assert_refused(const struct refusal *row, const struct tls_end *e)
{
    if (e->code != row->code || e->err.reason != row->reason || e->alert_sent != row->alert ||
        e->open)
        fail_msg("%s: %s, %s, sent alert %d: %s", row->name, atls_code_name(e->code),
                 atls_reason_name(e->err.reason), e->alert_sent, e->err.message);
}

/* A client that was refused has believed to be through until it reads. */
static void read_on(struct tls_end *e)
{
    uint8_t byte;
    size_t n;

    if (e->code == ATLS_OK)
        e->code = atls_openssl_read(e->conn, &byte, 1, &n, &e->want, &e->err);
}

static void assert_told(const struct refusal *row, const struct tls_end *e)
{
    if (e->code != ATLS_E_TLS || e->err.reason != ATLS_REASON_PEER_REFUSED ||
        (int)e->err.alert != row->alert || e->alert_received != row->alert ||
        strstr(e->err.message, "the peer refused with alert") == NULL)
        fail_msg("%s: %s, %s, alert %d: %s", row->name, atls_code_name(e->code),
                 atls_reason_name(e->err.reason), (int)e->err.alert, e->err.message);
}

static void refuses_with_the_right_alert(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *row = &refusals[i];
        struct tls_pair t;
        struct tls_end *refuses = row->client_refuses ? &t.client : &t.server;
        struct tls_end *other = row->client_refuses ? &t.server : &t.client;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        row->change(&t);
        tls_pair_start(&t);
        tls_pair_run(&t);
        assert_refused(row, refuses);
        read_on(other);
        assert_told(row, other);
        /* And it stays so. */
        assert_int_equal(atls_openssl_step(refuses->conn, &refuses->want, NULL), row->code);
        tls_pair_clear(&t);
    }
}

static void refuses_in_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *row = &refusals[i];
        struct blocking b[2];
        struct tls_pair t;
        const struct blocking *refuses = &b[row->client_refuses ? 0 : 1];
        const struct blocking *other = &b[row->client_refuses ? 1 : 0];

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        row->change(&t);
        tls_pair_prepare(&t);
        tls_pair_ssl(&t);
        run_blocking_pair(&t, b);
        if (refuses->code != row->code || refuses->err.reason != row->reason ||
            other->code != ATLS_E_TLS || other->err.reason != ATLS_REASON_PEER_REFUSED)
            fail_msg("%s: %s, other end: %s", row->name, refuses->err.message, other->err.message);
        tls_pair_clear(&t);
    }
}

/* ---- the secret binder ---- */

static unsigned int key_lines;

static void count_keys(const SSL *ssl, const char *line)
{
    (void)ssl;
    (void)line;
    key_lines++;
}

static void binds_to_the_secret(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct tls_pair t;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.p.client.options.secret_binder = t.p.server.options.secret_binder = true;
        t.hrr = i % 2 == 1;
        t.sha384 = i / 2 == 1;
        key_lines = 0;
        SSL_CTX_set_keylog_callback(t.server.ctx, count_keys); /* the program's own goes on */
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("secret binder", &t, 100);
        assert_true(key_lines >= 4);
        tls_pair_clear(&t);
    }
}

static void misses_the_secret_when_the_callback_is_taken(void **state)
{
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.p.client.options.secret_binder = t.p.server.options.secret_binder = true;
    tls_pair_prepare(&t);
    SSL_CTX_set_keylog_callback(t.server.ctx, count_keys);
    tls_pair_start(&t);
    tls_pair_run(&t);
    test_assert_code(t.server.code, ATLS_E_CONFIG, &t.server.err);
    tls_pair_clear(&t);
}

static void misses_the_transcript_when_the_callback_is_taken(void **state)
{
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    tls_pair_prepare(&t);
    SSL_CTX_set_msg_callback(t.client.ctx, NULL);
    tls_pair_start(&t);
    tls_pair_run(&t);
    test_assert_code(t.client.code, ATLS_E_PROTOCOL, &t.client.err);
    assert_non_null(strstr(t.client.err.message, "before ServerHello"));
    tls_pair_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attests_every_way_round),
        cmocka_unit_test(attests_between_threads),
        cmocka_unit_test(carries_evidence_of_every_size),
        cmocka_unit_test(says_that_evidence_is_too_large),
        cmocka_unit_test(goes_on_byte_by_byte),
        cmocka_unit_test(gives_every_slow_step_out),
        cmocka_unit_test(ends_while_a_job_is_out),
        cmocka_unit_test(ends_when_a_job_takes_too_long),
        cmocka_unit_test(refuses_with_the_right_alert),
        cmocka_unit_test(refuses_in_threads),
        cmocka_unit_test(binds_to_the_secret),
        cmocka_unit_test(misses_the_secret_when_the_callback_is_taken),
        cmocka_unit_test(misses_the_transcript_when_the_callback_is_taken),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
