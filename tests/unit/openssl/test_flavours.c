/* Programs that drive the SSL themselves, and what stays shut when they forget something. */
#include "tls/openssl/flavour.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/async.h>
#include <openssl/err.h>

#include "core/err.h"
#include "tls/openssl/error.h"
#include "tls_pair.h"

#define ROOM 200000

/* What a program calls to get through the handshake. */
enum drive { DRIVE_HANDSHAKE = 0, DRIVE_READ = 1, DRIVE_WRITE = 2 };

static void drive(SSL *ssl, enum drive how)
{
    uint8_t buf[16] = "forgotten data";
    size_t n;

    ERR_clear_error();
    if (how == DRIVE_HANDSHAKE)
        (void)SSL_do_handshake(ssl);
    else if (how == DRIVE_READ)
        (void)SSL_read_ex(ssl, buf, sizeof buf, &n);
    else
        (void)SSL_write_ex(ssl, buf, sizeof buf, &n);
}

static void drive_both(const struct tls_pair *t, enum drive client, enum drive server)
{
    for (int i = 0; i < 20; i++) {
        drive(t->client.ssl, client);
        drive(t->server.ssl, server);
    }
}

static void attach_both(struct tls_pair *t)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_openssl_attach(t->client.ssl, t->p.client.config, TLS_PAIR_NAME, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_openssl_attach(t->server.ssl, t->p.server.config, NULL, &err), ATLS_OK,
                     &err);
}

static void start(struct tls_pair *t)
{
    if (t->p.client.config == NULL)
        tls_pair_prepare(t);
    tls_pair_ssl(t);
    tls_join(t->client.ssl, t->server.ssl, ROOM);
    SSL_set_mode(t->client.ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_mode(t->server.ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* Application data from one end to the other; 0 or 1. */
static int passes(SSL *from, SSL *to)
{
    uint8_t byte = 7, got = 0;
    size_t n = 0;

    if (SSL_write_ex(from, &byte, 1, &n) != 1)
        return 0;
    return SSL_read_ex(to, &got, 1, &n) == 1 && got == 7;
}

/* What SSL_write had begun goes out once that is allowed, when it is repeated as OpenSSL wants. */
static void finish_write(SSL *from, SSL *to, enum drive how)
{
    uint8_t buf[64];
    size_t n = 0;

    if (how != DRIVE_WRITE)
        return;
    drive(from, how);
    assert_int_equal(SSL_read_ex(to, buf, sizeof buf, &n), 1);
    assert_int_equal(n, 16);
}

/* Nothing goes in or out, whatever is called however often. */
static void assert_shut(const char *row, SSL *ssl)
{
    const uint64_t written = BIO_number_written(SSL_get_wbio(ssl));
    uint8_t buf[16] = {0};
    size_t n = 0;

    for (int i = 0; i < 3; i++)
        if (SSL_write_ex(ssl, buf, sizeof buf, &n) == 1 ||
            SSL_read_ex(ssl, buf, sizeof buf, &n) == 1)
            fail_msg("%s: data moves", row);
    if (BIO_number_written(SSL_get_wbio(ssl)) != written)
        fail_msg("%s: bytes went out", row);
}

static void passes_once_it_was_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_peer peer;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        start(&t);
        attach_both(&t);
        drive_both(&t, (enum drive)(i % 3), (enum drive)(i / 3));
        assert_true(SSL_is_init_finished(t.client.ssl));
        assert_true(SSL_is_init_finished(t.server.ssl));
        assert_shut("client", t.client.ssl);
        assert_shut("server", t.server.ssl);
        test_assert_code(atls_openssl_attested(t.client.ssl, &peer, &err), ATLS_OK, &err);
        assert_true(peer.attested);
        assert_string_equal(peer.binding, "connection");
        assert_int_equal(peer.flavour, ATLS_FLAVOUR_INTRA);
        assert_shut("server", t.server.ssl);
        test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_OK, &err);
        test_assert_code(atls_openssl_attested(t.server.ssl, &peer, &err), ATLS_OK, &err);
        assert_true(peer.self_attested);
        finish_write(t.client.ssl, t.server.ssl, (enum drive)(i % 3));
        finish_write(t.server.ssl, t.client.ssl, (enum drive)(i / 3));
        assert_int_equal(passes(t.client.ssl, t.server.ssl), 1);
        assert_int_equal(passes(t.server.ssl, t.client.ssl), 1);
        tls_pair_clear(&t);
    }
}

/* ---- forgotten ---- */

/* The other end has asked, and would take what came. */
static void moves_nothing_when_it_was_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        const enum drive how = (enum drive)(i % 3);
        const bool server = i / 3 == 1;
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        struct tls_end *forgets = server ? &t.server : &t.client;
        struct tls_end *other = server ? &t.client : &t.server;
        uint8_t byte;
        size_t n;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        start(&t);
        attach_both(&t);
        drive_both(&t, server ? DRIVE_HANDSHAKE : how, server ? how : DRIVE_HANDSHAKE);
        test_assert_code(atls_openssl_attested(other->ssl, NULL, &err), ATLS_OK, &err);
        assert_int_equal(SSL_write_ex(other->ssl, "secret", 6, &n), 1);
        assert_shut("forgotten", forgets->ssl);
        drive(forgets->ssl, how);
        ERR_clear_error();
        assert_int_equal(SSL_read_ex(other->ssl, &byte, 1, &n), 0);
        assert_int_equal(SSL_get_error(other->ssl, 0), SSL_ERROR_WANT_READ);
        tls_pair_clear(&t);
    }
}

static void fails_when_nothing_was_attached(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        struct tls_pair t;
        struct tls_end *forgets = server ? &t.server : &t.client;
        struct tls_end *other = server ? &t.client : &t.server;
        struct atls_err err = ATLS_ERR_INIT;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        start(&t);
        test_assert_code(atls_openssl_attach(other->ssl, other->end->config,
                                             server ? TLS_PAIR_NAME : NULL, &err),
                         ATLS_OK, &err);
        drive(t.client.ssl, DRIVE_HANDSHAKE);
        if (server)
            drive(t.server.ssl, DRIVE_HANDSHAKE);
        test_assert_code(atls_openssl_fail(&err, NULL, "test"), ATLS_E_TLS, &err);
        assert_non_null(strstr(err.message, "atls_openssl_attach was not called"));
        assert_int_equal(forgets->alert_sent, SSL_AD_INTERNAL_ERROR);
        assert_false(SSL_is_init_finished(forgets->ssl));
        test_assert_code(atls_openssl_attested(forgets->ssl, NULL, &err), ATLS_E_USAGE, &err);
        tls_pair_clear(&t);
    }
}

static void tells_a_program_why(void **state)
{
    struct tls_pair t;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.p.server.attester.wrong_binder = true;
    start(&t);
    attach_both(&t);
    test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_E_TLS, &err);
    assert_non_null(strstr(err.message, "not finished"));
    drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
    test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
    test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_E_TLS, &err);
    tls_pair_clear(&t);
}

/* ---- peers that know nothing of it ---- */

/* A context of a program without this library; identity for a server. */
static void make_plain(struct tls_pair *t, struct tls_end *e, const struct test_identity *identity)
{
    const bool server = e == &t->server;

    SSL_CTX_free(e->ctx);
    e->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    assert_non_null(e->ctx);
    tls_use_identity(e->ctx, identity, NULL);
}

struct plain_row {
    const char *name;
    bool plain_server; /* otherwise the client is */
    bool required;
    enum atls_code code;
    enum atls_reason reason;
    int alert; /* 0: the handshake ends without one */
};

static void refuses_who_knows_nothing_of_it(void **state)
{
    static const struct plain_row rows[] = {
        {"server, required", true, true, ATLS_E_PROTOCOL, ATLS_REASON_ATTESTATION_REQUIRED,
         SSL_AD_HANDSHAKE_FAILURE},
        {"client, required", false, true, ATLS_E_PROTOCOL, ATLS_REASON_ATTESTATION_REQUIRED,
         SSL_AD_ACCESS_DENIED},
    };
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int how = 0; how < 3; how++) {
            struct tls_pair t;
            struct tls_end *ours = rows[i].plain_server ? &t.client : &t.server;
            struct tls_end *plain = rows[i].plain_server ? &t.server : &t.client;
            struct atls_err err = ATLS_ERR_INIT;
            enum atls_code code;

            tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
            tls_pair_prepare(&t);
            make_plain(&t, plain, &leaf);
            start(&t);
            test_assert_code(atls_openssl_attach(ours->ssl, ours->end->config, TLS_PAIR_NAME, &err),
                             ATLS_OK, &err);
            drive_both(&t, (enum drive)how, (enum drive)how);
            code = atls_openssl_attested(ours->ssl, NULL, &err);
            if (code != rows[i].code || err.reason != rows[i].reason ||
                ours->alert_sent != rows[i].alert)
                fail_msg("%s: %s, alert %d: %s", rows[i].name, atls_code_name(code),
                         ours->alert_sent, err.message);
            assert_shut(rows[i].name, ours->ssl);
            tls_pair_clear(&t);
        }
    }
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

/* ---- resumption by force ---- */

/* A program that undoes what was prepared: our server accepts a ticket. Nothing is required of the
 * client, which does not even know the extension. */
static void shuts_a_server_that_resumed(void **state)
{
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);

    (void)state;
    for (int how = 0; how < 3; how++) {
        struct tls_pair t;
        SSL_SESSION *session = tls_plain_session(&leaf);
        struct atls_err err = ATLS_ERR_INIT;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.p.server.requires = false;
        tls_pair_prepare(&t);
        make_plain(&t, &t.client, &leaf);
        tls_take_tickets(t.server.ctx);
        start(&t);
        assert_int_equal(SSL_set_session(t.client.ssl, session), 1);
        test_assert_code(atls_openssl_attach(t.server.ssl, t.p.server.config, NULL, &err), ATLS_OK,
                         &err);
        drive_both(&t, DRIVE_HANDSHAKE, (enum drive)how);
        assert_int_equal(SSL_session_reused(t.server.ssl), 1);
        assert_shut("resumed", t.server.ssl);
        test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_E_TLS, &err);
        assert_int_equal(err.reason, ATLS_REASON_TLS_RESUMED);
        assert_shut("resumed", t.server.ssl);
        assert_int_equal(passes(t.client.ssl, t.server.ssl), 0);
        SSL_SESSION_free(session);
        tls_pair_clear(&t);
    }
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

static void refuses_to_resume(void **state)
{
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);
    SSL_SESSION *session = tls_plain_session(&leaf);
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    start(&t);
    attach_both(&t);
    assert_int_equal(SSL_set_session(t.client.ssl, session), 1);
    drive(t.client.ssl, DRIVE_HANDSHAKE);
    test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_E_TLS, &err);
    assert_int_equal(err.reason, ATLS_REASON_TLS_RESUMED);
    assert_false(SSL_is_init_finished(t.client.ssl));
    SSL_SESSION_free(session);
    tls_pair_clear(&t);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

/* ---- TLS 1.2 by force ---- */

static void shuts_connections_of_tls_1_2(void **state)
{
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);

    (void)state;
    for (int i = 0; i < 6; i++) {
        const enum drive how = (enum drive)(i % 3);
        const bool server = i / 3 == 1;
        struct tls_pair t;
        struct tls_end *ours = server ? &t.server : &t.client;
        struct tls_end *plain = server ? &t.client : &t.server;
        struct atls_err err = ATLS_ERR_INIT;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        ours->end->requires = false;
        tls_pair_prepare(&t);
        make_plain(&t, plain, &leaf);
        if (server) /* the attester's key is one of TLS 1.3 alone */
            tls_use_identity(ours->ctx, &leaf, NULL);
        assert_int_equal(SSL_CTX_set_max_proto_version(plain->ctx, TLS1_2_VERSION), 1);
        start(&t);
        SSL_set_verify(t.client.ssl, SSL_VERIFY_NONE, NULL);
        assert_int_equal(SSL_set_min_proto_version(ours->ssl, TLS1_2_VERSION), 1);
        assert_int_equal(SSL_set_max_proto_version(ours->ssl, TLS1_2_VERSION), 1);
        test_assert_code(atls_openssl_attach(ours->ssl, ours->end->config, TLS_PAIR_NAME, &err),
                         ATLS_OK, &err);
        drive_both(&t, server ? DRIVE_HANDSHAKE : how, server ? how : DRIVE_HANDSHAKE);
        assert_shut("TLS 1.2", ours->ssl);
        test_assert_code(atls_openssl_attested(ours->ssl, NULL, &err), ATLS_E_TLS, &err);
        assert_int_equal(err.reason, ATLS_REASON_TLS_VERSION);
        assert_shut("TLS 1.2", ours->ssl);
        assert_int_equal(passes(plain->ssl, ours->ssl), 0);
        tls_pair_clear(&t);
    }
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

/* ---- ALPN ---- */

static const char *const h2[] = {"h2", NULL};
static const char *const http[] = {"http/1.1", NULL};
static const char *const both[] = {"h2", "http/1.1", NULL};
static const char *const both_turned[] = {"http/1.1", "h2", NULL};

static void negotiates_the_inner_protocol(void **state)
{
    static const struct {
        const char *name;
        const char *const *client, *const *server;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"nobody", NULL, NULL, ""},
        {"client alone", h2, NULL, ""},
        {"server alone", NULL, h2, ""},
        {"one in common", both, http, "http/1.1"},
        {"the server's order counts", both, both_turned, "http/1.1"},
        {"none in common", h2, http, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_pair t;
        struct atls_peer peer;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.p.client.options.inner_protocols = rows[i].client;
        t.p.server.options.inner_protocols = rows[i].server;
        tls_pair_start(&t);
        tls_pair_run(&t);
        if (rows[i].want == NULL) {
            test_assert_code(t.server.code, ATLS_E_TLS, &t.server.err);
            assert_int_equal(t.server.alert_sent, SSL_AD_NO_APPLICATION_PROTOCOL);
            test_assert_code(t.client.code, ATLS_E_TLS, &t.client.err);
            assert_int_equal(t.client.err.reason, ATLS_REASON_PEER_REFUSED);
            assert_non_null(strstr(t.client.err.message, "no application protocol"));
        } else {
            tls_pair_assert_open(rows[i].name, &t, 10);
            atls_session_peer(atls_openssl_session(t.client.conn), &peer);
            assert_string_equal(peer.inner_protocol, rows[i].want);
            atls_session_peer(atls_openssl_session(t.server.conn), &peer);
            assert_string_equal(peer.inner_protocol, rows[i].want);
        }
        tls_pair_clear(&t);
    }
}

/* A program that took the ALPN callback back. */
static int choose_another(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                          const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char name[] = "other";

    (void)ssl;
    (void)in;
    (void)in_len;
    (void)arg;
    *out = name;
    *out_len = 5;
    return SSL_TLSEXT_ERR_OK;
}

static void refuses_a_protocol_that_is_none_of_ours(void **state)
{
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.p.server.options.inner_protocols = h2;
    t.p.server.requires = false;
    tls_pair_prepare(&t);
    make_plain(&t, &t.client, &leaf);
    assert_int_equal(SSL_CTX_set_alpn_protos(t.client.ctx, (const unsigned char *)"\05other", 6),
                     0);
    SSL_CTX_set_alpn_select_cb(t.server.ctx, choose_another, NULL);
    start(&t);
    test_assert_code(atls_openssl_attach(t.server.ssl, t.p.server.config, NULL, &err), ATLS_OK,
                     &err);
    drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
    assert_true(SSL_is_init_finished(t.server.ssl));
    test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_E_TLS, &err);
    assert_int_equal(err.reason, ATLS_REASON_NO_COMMON_PARAMETERS);
    assert_shut("another protocol", t.server.ssl);
    tls_pair_clear(&t);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

/* ---- wrong use ---- */

static void refuses_wrong_use(void **state)
{
    struct tls_pair t;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_openssl *conn = NULL;
    SSL_CTX *plain = SSL_CTX_new(TLS_client_method());
    SSL *ssl;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.p.client.options.identity = ATLS_IDENTITY_PKIX;
    t.p.client.options.system_anchors = true;
    tls_pair_prepare(&t);
    assert_int_equal(atls_openssl_prepare_for(t.client.ctx, t.p.client.config, &err), ATLS_E_USAGE);
    tls_pair_ssl(&t);
    assert_int_equal(atls_openssl_attach(t.client.ssl, t.p.server.config, TLS_PAIR_NAME, &err),
                     ATLS_E_USAGE); /* another configuration */
    assert_int_equal(atls_openssl_attach(t.client.ssl, t.p.client.config, NULL, &err),
                     ATLS_E_CONFIG); /* pkix wants a name */
    test_assert_code(atls_openssl_attach(t.client.ssl, t.p.client.config, TLS_PAIR_NAME, &err),
                     ATLS_OK, &err);
    assert_int_equal(atls_openssl_attach(t.client.ssl, t.p.client.config, TLS_PAIR_NAME, &err),
                     ATLS_E_USAGE); /* twice */
    assert_int_equal(atls_openssl_new(t.client.ssl, t.p.server.config, TLS_PAIR_NAME, &conn, &err),
                     ATLS_E_USAGE); /* attached with another */
    ssl = SSL_new(plain);
    assert_int_equal(atls_openssl_new(ssl, t.p.client.config, TLS_PAIR_NAME, &conn, &err),
                     ATLS_E_USAGE); /* of a context that was not prepared */
    assert_null(conn);
    SSL_free(ssl);
    SSL_CTX_free(plain);
    /* A role that changes afterwards is none that was attached. */
    SSL_set_accept_state(t.client.ssl);
    assert_null(atls_handshake_of(t.client.ssl));
    tls_pair_clear(&t);
}

static void attaches_before_the_handshake_only(void **state)
{
    struct tls_pair t;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    start(&t);
    drive(t.client.ssl, DRIVE_HANDSHAKE);
    assert_int_equal(atls_openssl_attach(t.client.ssl, t.p.client.config, TLS_PAIR_NAME, &err),
                     ATLS_E_USAGE);
    tls_pair_clear(&t);
}

/* A copy of an SSL is no attested connection. */
static void copies_nothing(void **state)
{
    struct tls_pair t;
    SSL *copy;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    start(&t);
    attach_both(&t);
    copy = SSL_dup(t.client.ssl);
    assert_non_null(copy);
    assert_null(atls_handshake_of(copy));
    SSL_free(copy);
    tls_pair_clear(&t);
}

static void makes_connections_of_attached_ssls(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) { /* before the handshake, and after it */
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_openssl *again = NULL;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        start(&t);
        attach_both(&t);
        if (late)
            drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
        test_assert_code(
            atls_openssl_new(t.client.ssl, t.p.client.config, TLS_PAIR_NAME, &t.client.conn, &err),
            ATLS_OK, &err);
        test_assert_code(
            atls_openssl_new(t.server.ssl, t.p.server.config, NULL, &t.server.conn, &err), ATLS_OK,
            &err);
        tls_pair_run(&t);
        tls_pair_assert_open("attached before", &t, 1000);
        assert_int_equal(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_E_USAGE);
        test_assert_code(
            atls_openssl_new(t.client.ssl, t.p.client.config, TLS_PAIR_NAME, &again, &err), ATLS_OK,
            &err);
        assert_int_equal(atls_openssl_step(again, &t.client.want, &err), ATLS_E_USAGE);
        atls_openssl_free(again);
        tls_pair_clear(&t);
    }
}

/* A server that another context took over (server_name) has lost what was prepared. */
/* ---- ends ---- */

/* Reads what has come; false once the other side has ended its data. */
static bool receive(struct tls_end *e, size_t *total)
{
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t buf[4096];
    size_t n = 1;

    while (n != 0) {
        test_assert_code(atls_openssl_read(e->conn, buf, sizeof buf, &n, &e->want, &err), ATLS_OK,
                         &err);
        *total += n;
    }
    return !atls_session_peer_ended(atls_openssl_session(e->conn));
}

/* Writes until the other side's buffer is full. */
static size_t fill(struct tls_end *e)
{
    static const uint8_t data[4096];
    struct atls_err err = ATLS_ERR_INIT;
    size_t total = 0, n = 1;

    e->want = ATLS_WANT_NOTHING;
    while (e->want != ATLS_WANT_WRITE && total < 1000000) {
        test_assert_code(atls_openssl_write(e->conn, data, sizeof data, &n, &e->want, &err),
                         ATLS_OK, &err);
        total += n;
    }
    assert_int_equal(e->want, ATLS_WANT_WRITE);
    return total;
}

/* The end of one direction waits behind what was written, and leaves the other one open. */
static void ends_one_direction_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tls_pair t;
        struct tls_end *first = i == 0 ? &t.client : &t.server;
        struct tls_end *last = i == 0 ? &t.server : &t.client;
        struct atls_err err = ATLS_ERR_INIT;
        size_t sent, got = 0, n = 0;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("ends", &t, 1000);
        sent = fill(first);
        test_assert_code(atls_openssl_end(first->conn, &err), ATLS_OK, &err);
        assert_int_equal(SSL_get_shutdown(first->ssl) & SSL_SENT_SHUTDOWN, 0);
        for (int step = 0; step < 20 && receive(last, &got); step++)
            test_assert_code(atls_openssl_step(first->conn, &first->want, &err), ATLS_OK, &err);
        assert_int_equal(got, sent);
        assert_int_equal(SSL_get_shutdown(first->ssl) & SSL_SENT_SHUTDOWN, SSL_SENT_SHUTDOWN);
        assert_false(atls_openssl_ended(last->conn));
        test_assert_code(atls_openssl_write(first->conn, "x", 1, &n, &first->want, &err),
                         ATLS_E_USAGE, &err);
        got = 0;
        sent = fill(last);
        for (int step = 0; step < 20 && got < sent; step++) {
            assert_true(receive(first, &got));
            test_assert_code(atls_openssl_step(last->conn, &last->want, &err), ATLS_OK, &err);
        }
        assert_int_equal(got, sent);
        test_assert_code(atls_openssl_end(last->conn, &err), ATLS_OK, &err);
        assert_false(receive(first, &got));
        assert_true(atls_openssl_ended(first->conn));
        assert_true(atls_openssl_ended(last->conn));
        tls_pair_clear(&t);
    }
}

static SSL_CTX *other_ctx;

static int take_over(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    return SSL_set_SSL_CTX(ssl, other_ctx) == NULL ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

static void shuts_a_server_whose_context_was_exchanged(void **state)
{
    static char name[] = TLS_PAIR_NAME;
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;

    (void)state;
    other_ctx = SSL_CTX_new(TLS_server_method());
    tls_use_identity(other_ctx, &leaf, NULL);
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.p.server.attests = false;
    t.p.client.requires = false;
    tls_pair_prepare(&t);
    make_plain(&t, &t.client, &leaf);
    tls_use_identity(t.server.ctx, &leaf, NULL);
    SSL_CTX_set_tlsext_servername_callback(t.server.ctx, take_over);
    start(&t);
    test_assert_code(atls_openssl_attach(t.server.ssl, t.p.server.config, NULL, &err), ATLS_OK,
                     &err);
    SSL_set_tlsext_host_name(t.client.ssl, name);
    drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
    assert_shut("exchanged", t.server.ssl);
    assert_true(atls_openssl_attested(t.server.ssl, NULL, &err) != ATLS_OK);
    assert_int_equal(passes(t.client.ssl, t.server.ssl), 0);
    tls_pair_clear(&t);
    SSL_CTX_free(other_ctx);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

#if !defined(__SANITIZE_THREAD__)
/* The stack of an ASYNC job is too small for attesters; only who takes jobs may have it. */
static void refuses_async_without_jobs(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    t.async = true;
    start(&t);
    attach_both(&t);
    drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
    test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "SSL_MODE_ASYNC"));
    assert_int_equal(t.server.alert_sent, SSL_AD_INTERNAL_ERROR);
    tls_pair_clear(&t);
}
#endif

/* A client that was made to speak TLS 1.2 alone never gets to the extension. */
static void fails_in_tls_1_2_when_nothing_was_attached(void **state)
{
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);

    (void)state;
    for (int verify = 0; verify < 2; verify++) {
        struct tls_pair t;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        tls_pair_prepare(&t);
        make_plain(&t, &t.server, &leaf);
        start(&t);
        assert_int_equal(SSL_set_min_proto_version(t.client.ssl, TLS1_2_VERSION), 1);
        assert_int_equal(SSL_set_max_proto_version(t.client.ssl, TLS1_2_VERSION), 1);
        SSL_set_verify(t.client.ssl, verify == 1 ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        drive_both(&t, DRIVE_WRITE, DRIVE_HANDSHAKE);
        assert_int_equal(SSL_is_init_finished(t.client.ssl), verify == 0);
        assert_shut("TLS 1.2, not attached", t.client.ssl);
        assert_int_equal(passes(t.server.ssl, t.client.ssl), 0);
        tls_pair_clear(&t);
    }
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

#if !defined(__SANITIZE_THREAD__)
/* An attester's key, SSL_MODE_ASYNC, and nobody who would take jobs. */
static void signs_in_a_thread(void **state)
{
    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;

        tls_pair_init(&t, ATLS_FLAVOUR_POST);
        if (fails == 1)
            t.p.server.attester.fail_sign = ATLS_E_DEVICE;
        tls_pair_prepare(&t);
        test_assert_code(
            atls_openssl_use_attester(t.server.ctx, t.p.server.config->options.attester, &err),
            ATLS_OK, &err);
        t.async = true;
        start(&t);
        SSL_set_verify(t.client.ssl, SSL_VERIFY_NONE, NULL);
        drive(t.client.ssl, DRIVE_HANDSHAKE);
        drive(t.server.ssl, DRIVE_HANDSHAKE);
        (void)atls_openssl_fail(&err, NULL, "test");
        assert_int_equal(strstr(err.message, "signing fails") != NULL, fails);
        drive(t.client.ssl, DRIVE_HANDSHAKE);
        assert_int_equal(SSL_is_init_finished(t.client.ssl), !fails);
        tls_pair_clear(&t);
    }
}

static void says_that_async_jobs_ran_out(void **state)
{
    struct tls_pair t[2];
    enum atls_code code[2];

    (void)state;
    ASYNC_cleanup_thread(); /* of jobs without limit */
    assert_int_equal(ASYNC_init_thread(1, 0), 1);
    for (int i = 0; i < 2; i++) {
        tls_pair_init(&t[i], ATLS_FLAVOUR_INTRA);
        t[i].async = t[i].hold_jobs = true;
        tls_pair_start(&t[i]);
        tls_pair_run(&t[i]);
        code[i] = t[i].server.code;
    }
    assert_int_equal(code[0], ATLS_OK);
    assert_non_null(t[0].server.job);
    assert_int_equal(code[1], ATLS_E_LIMIT);
    assert_non_null(strstr(t[1].server.err.message, "ASYNC_init_thread"));
    tls_pair_clear(&t[0]);
    tls_pair_clear(&t[1]);
    ASYNC_cleanup_thread();
}
#endif

/* A certificate callback of the program, in flavour post, that waits for what libatls cannot know.
 */
static int wait_for_nothing(SSL *ssl, void *arg)
{
    (void)ssl;
    (void)arg;
    return -1;
}

static void does_not_wait_for_callbacks_of_the_program(void **state)
{
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_POST);
    tls_pair_prepare(&t);
    SSL_CTX_set_cert_cb(t.server.ctx, wait_for_nothing, NULL);
    tls_pair_start(&t);
    tls_pair_run(&t);
    test_assert_code(t.server.code, ATLS_E_USAGE, &t.server.err);
    tls_pair_clear(&t);
}

/* A state callback that the program has set on the SSL goes on being called, too. */
static unsigned int states;

static void count_states(const SSL *ssl, int where, int ret)
{
    (void)ssl;
    (void)where;
    (void)ret;
    states++;
}

static void passes_states_on(void **state)
{
    struct tls_pair t;

    (void)state;
    tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
    start(&t);
    SSL_set_info_callback(t.client.ssl, count_states);
    attach_both(&t);
    states = 0;
    drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
    assert_true(states > 3);
    assert_shut("own state callback", t.client.ssl);
    tls_pair_clear(&t);
}

/* Both ends, each with a peer that would go along. */
static void shows_and_takes_no_certificate_afterwards(void **state)
{
    struct test_identity ca = test_ca("plain"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);

    (void)state;
    for (int server = 0; server < 2; server++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t byte;
        size_t n;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        tls_pair_prepare(&t);
        SSL_CTX_set_post_handshake_auth(t.client.ctx, 1);
        start(&t);
        attach_both(&t);
        drive_both(&t, DRIVE_HANDSHAKE, DRIVE_HANDSHAKE);
        test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_OK, &err);
        test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_OK, &err);
        if (server == 1) { /* a client that shows another key */
            SSL_set_cert_cb(t.client.ssl, NULL, NULL);
            tls_use_identity(t.client.ctx, &leaf, NULL);
        }
        assert_int_equal(SSL_verify_client_post_handshake(t.server.ssl), 1);
        drive(t.server.ssl, DRIVE_HANDSHAKE);
        ERR_clear_error();
        n = 0;
        (void)SSL_read_ex(t.client.ssl, &byte, 1, &n);
        if (server == 1)
            (void)SSL_read_ex(t.server.ssl, &byte, 1, &n);
        (void)atls_openssl_fail(&err, NULL, "test");
        assert_non_null(strstr(err.message, "not for after it"));
        tls_pair_clear(&t);
    }
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_once_it_was_asked),
        cmocka_unit_test(moves_nothing_when_it_was_forgotten),
        cmocka_unit_test(fails_when_nothing_was_attached),
        cmocka_unit_test(tells_a_program_why),
        cmocka_unit_test(refuses_who_knows_nothing_of_it),
        cmocka_unit_test(shuts_a_server_that_resumed),
        cmocka_unit_test(refuses_to_resume),
        cmocka_unit_test(shuts_connections_of_tls_1_2),
        cmocka_unit_test(fails_in_tls_1_2_when_nothing_was_attached),
        cmocka_unit_test(does_not_wait_for_callbacks_of_the_program),
        cmocka_unit_test(passes_states_on),
        cmocka_unit_test(shows_and_takes_no_certificate_afterwards),
        cmocka_unit_test(negotiates_the_inner_protocol),
        cmocka_unit_test(refuses_a_protocol_that_is_none_of_ours),
        cmocka_unit_test(refuses_wrong_use),
        cmocka_unit_test(attaches_before_the_handshake_only),
        cmocka_unit_test(copies_nothing),
        cmocka_unit_test(makes_connections_of_attached_ssls),
        cmocka_unit_test(ends_one_direction_at_a_time),
        cmocka_unit_test(shuts_a_server_whose_context_was_exchanged),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(refuses_async_without_jobs),
        cmocka_unit_test(signs_in_a_thread),
        cmocka_unit_test(says_that_async_jobs_ran_out),
#endif
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
