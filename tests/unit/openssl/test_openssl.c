/* The adapter over real TLS on a socket pair: client here, server in a thread, or both step by
 * step. */
#define _GNU_SOURCE /* memmem */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <atls/limits.h>
#include <atls/openssl.h>

#include "pki.h"
#include "session_pair.h"

#define NAME "server.example"

struct link {
    struct pair p; /* configurations */
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    int client_fd, server_fd;
    struct test_identity ca, leaf, client_leaf;
    /* Of the server's thread. */
    void (*serve)(struct link *l);
    struct atls_openssl *conn;
    enum atls_code code;
    struct atls_err err;
    size_t received, to_send;
    bool wrong;
};

static X509 *x509_of(const struct test_identity *identity)
{
    const unsigned char *der = identity->certificate.ptr;
    X509 *x = d2i_X509(NULL, &der, (long)identity->certificate.len);

    assert_non_null(x);
    return x;
}

static void use_identity(SSL_CTX *ctx, const struct test_identity *identity)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    X509 *x = x509_of(identity);
    BIO *bio;
    EVP_PKEY *key;

    test_assert_code(atls_private_key_to_pem(identity->key, &pem, NULL), ATLS_OK, NULL);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(key);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(x);
    atls_buf_clear(&pem);
}

static void trust(SSL_CTX *ctx, const struct test_identity *ca)
{
    X509 *x = x509_of(ca);

    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x), 1);
    X509_free(x);
}

/* Contexts prepared, TLS certificates on both sides, mutual attestation with fakes. */
static void link_init(struct link *l)
{
    struct atls_err err = ATLS_ERR_INIT;

    memset(l, 0, sizeof *l);
    pair_init(&l->p);
    l->p.client.options.clock = l->p.server.options.clock = (struct atls_clock){0};
    l->ca = test_ca("tls");
    l->leaf = test_leaf(&l->ca, NAME, ATLS_KEY_P256);
    l->client_leaf = test_leaf(&l->ca, "client.example", ATLS_KEY_P256);
    l->client_ctx = SSL_CTX_new(TLS_client_method());
    l->server_ctx = SSL_CTX_new(TLS_server_method());
    test_assert_code(atls_openssl_prepare(l->client_ctx, &err), ATLS_OK, &err);
    test_assert_code(atls_openssl_prepare(l->server_ctx, &err), ATLS_OK, &err);
    use_identity(l->server_ctx, &l->leaf);
    use_identity(l->client_ctx, &l->client_leaf);
    trust(l->client_ctx, &l->ca);
    trust(l->server_ctx, &l->ca);
    SSL_CTX_set_verify(l->client_ctx, SSL_VERIFY_PEER, NULL);
}

static void connect_sockets(struct link *l)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    l->client_fd = fds[0];
    l->server_fd = fds[1];
    l->client = SSL_new(l->client_ctx);
    l->server = SSL_new(l->server_ctx);
    assert_int_equal(SSL_set_fd(l->client, fds[0]), 1);
    assert_int_equal(SSL_set_fd(l->server, fds[1]), 1);
    assert_int_equal(SSL_set1_host(l->client, NAME), 1);
}

static void link_start(struct link *l)
{
    pair_configure(&l->p);
    connect_sockets(l);
}

static void disconnect(struct link *l)
{
    SSL_free(l->client);
    SSL_free(l->server);
    close(l->client_fd);
    close(l->server_fd);
    l->client = l->server = NULL;
    l->client_fd = l->server_fd = -1;
}

static void link_clear(struct link *l)
{
    if (l->client != NULL)
        disconnect(l);
    SSL_CTX_free(l->client_ctx);
    SSL_CTX_free(l->server_ctx);
    test_identity_clear(&l->ca);
    test_identity_clear(&l->leaf);
    test_identity_clear(&l->client_leaf);
    pair_clear(&l->p);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 9));
}

static enum atls_code send_all(struct atls_openssl *c, size_t len, struct atls_err *err)
{
    static const size_t sizes[] = {1, 16380, 16384, 100, 65536, 3};
    uint8_t *buf = malloc(65536);
    enum atls_code code = ATLS_OK;

    for (size_t sent = 0, i = 0; sent < len && code == ATLS_OK; i++) {
        size_t n = sizes[i % 6] < len - sent ? sizes[i % 6] : len - sent, done = 0;

        for (size_t j = 0; j < n; j++)
            buf[j] = pattern(sent + j);
        code = atls_openssl_write(c, buf, n, &done, NULL, err);
        if (code == ATLS_OK && done != n)
            code = ATLS_E_INTERNAL;
        sent += n;
    }
    free(buf);
    return code;
}

/* Reads len bytes, or until the end; *out_wrong when they are not the pattern. */
static enum atls_code receive_all(struct atls_openssl *c, size_t len, size_t *out_len,
                                  bool *out_wrong, struct atls_err *err)
{
    static const size_t sizes[] = {20000, 1, 777, 65536};
    uint8_t *buf = malloc(65536);
    enum atls_code code = ATLS_OK;

    *out_len = 0;
    for (size_t i = 0; *out_len < len; i++) {
        size_t room = sizes[i % 4] < len - *out_len ? sizes[i % 4] : len - *out_len, n = 0;

        if ((code = atls_openssl_read(c, buf, room, &n, NULL, err)) != ATLS_OK || n == 0)
            break;
        for (size_t j = 0; j < n; j++)
            if (buf[j] != pattern(*out_len + j))
                *out_wrong = true;
        *out_len += n;
    }
    free(buf);
    return code;
}

static void *server_thread(void *arg)
{
    struct link *l = arg;

    l->code = atls_openssl_accept(l->server, l->p.server.config, &l->conn, &l->err);
    if (l->code == ATLS_OK && l->serve != NULL)
        l->serve(l);
    return NULL;
}

static pthread_t start_server(struct link *l, void (*serve)(struct link *l))
{
    pthread_t thread;

    l->serve = serve;
    assert_int_equal(pthread_create(&thread, NULL, server_thread, l), 0);
    return thread;
}

/* ---- the good cases ---- */

/* Receives what the client sends, then sends as much back, then waits for the end. */
static void echo(struct link *l)
{
    uint8_t more;
    size_t n = 1;

    l->code = receive_all(l->conn, l->to_send, &l->received, &l->wrong, &l->err);
    if (l->code == ATLS_OK)
        l->code = send_all(l->conn, l->to_send, &l->err);
    if (l->code == ATLS_OK)
        l->code = atls_openssl_read(l->conn, &more, 1, &n, NULL, &l->err);
    if (l->code == ATLS_OK && (n != 0 || !atls_openssl_ended(l->conn)))
        l->wrong = true;
}

/* Connects, moves data both ways, closes; asserts that everything was fine. */
static void exchange(const char *row, struct link *l, size_t len, bool reattest)
{
    pthread_t thread;
    struct atls_openssl *conn = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t received = 0;
    bool wrong = false;
    enum atls_code code;

    l->to_send = len;
    thread = start_server(l, echo);
    code = atls_openssl_connect(l->client, l->p.client.config, NAME, &conn, &err);
    if (code == ATLS_OK && reattest)
        code = atls_session_reattest(atls_openssl_session(conn), &err);
    if (code == ATLS_OK)
        code = send_all(conn, len, &err);
    if (code == ATLS_OK)
        code = receive_all(conn, len, &received, &wrong, &err);
    if (code == ATLS_OK && reattest) {
        struct atls_peer peer;

        atls_session_peer(atls_openssl_session(conn), &peer);
        assert_int_equal(peer.attestations, 2);
    }
    atls_openssl_close(conn);
    if (code != ATLS_OK)
        shutdown(l->client_fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    if (code != ATLS_OK || l->code != ATLS_OK)
        fail_msg("%s: client %s, server %s", row, err.message, l->err.message);
    assert_int_equal(received, len);
    assert_int_equal(l->received, len);
    assert_false(wrong || l->wrong);
    atls_openssl_close(l->conn);
    l->conn = NULL;
    assert_int_equal(fcntl(l->client_fd, F_GETFL) & O_NONBLOCK, 0); /* given back as it was */
    assert_int_equal(fcntl(l->server_fd, F_GETFL) & O_NONBLOCK, 0);
}

static void moves_data_every_way_round(void **state)
{
    static const struct {
        const char *name, *suite;
        bool client_requires, server_requires, raw, reattest;
        size_t evidence_len, len;
    } rows[] = {
        {"client requires", "TLS_AES_128_GCM_SHA256", true, false, false, false, 0, 1000},
        {"server requires", "TLS_AES_128_GCM_SHA256", false, true, false, false, 0, 1000},
        {"mutual", "TLS_AES_256_GCM_SHA384", true, true, false, false, 0, 1000},
        {"ChaCha20", "TLS_CHACHA20_POLY1305_SHA256", true, true, false, false, 0, 1000},
        {"10 MB each way", "TLS_AES_128_GCM_SHA256", true, true, false, false, 0, 10000000},
        {"10 MB each way, attested again", "TLS_AES_256_GCM_SHA384", true, true, false, true, 0,
         10000000},
        {"raw", "TLS_AES_128_GCM_SHA256", true, true, true, false, 0, 10000000},
        {"evidence of 60 KiB", "TLS_AES_128_GCM_SHA256", true, true, false, true, 60 * 1024,
         100000},
        {"largest evidence", "TLS_AES_256_GCM_SHA384", true, true, false, true, ATLS_CMW_DATA_MAX,
         100000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link l;

        link_init(&l);
        l.p.client.requires = l.p.server.attests = rows[i].client_requires;
        l.p.server.requires = l.p.client.attests = rows[i].server_requires;
        l.p.client.options.raw = l.p.server.options.raw = rows[i].raw;
        l.p.client.attester.evidence_len = l.p.server.attester.evidence_len = rows[i].evidence_len;
        assert_int_equal(SSL_CTX_set_ciphersuites(l.client_ctx, rows[i].suite), 1);
        link_start(&l);
        exchange(rows[i].name, &l, rows[i].len, rows[i].reattest);
        link_clear(&l);
    }
}

/* Several connections one after the other: whatever is shared stays sound. */
static void serves_one_connection_after_the_other(void **state)
{
    struct link l;

    (void)state;
    link_init(&l);
    link_start(&l);
    for (int i = 0; i < 3; i++) {
        exchange("again", &l, 100, false);
        disconnect(&l);
        connect_sockets(&l);
    }
    link_clear(&l);
}

/* ---- a peer that has it all and goes at once ---- */

#define LAST_WORDS 16000

static atomic_bool held_up;

/* Once a write was held up, each write waits a little for what the peer says to it: at the last one
 * that is its end. Too little proves less, and fails nothing. */
static long wait_for_answer(BIO *bio, int operation, const char *data, size_t len, int argi,
                            long argl, int result, size_t *processed)
{
    struct pollfd fd = {.events = POLLIN};

    (void)data;
    (void)len;
    (void)argi;
    (void)argl;
    (void)processed;
    if (operation != (BIO_CB_WRITE | BIO_CB_RETURN))
        return result;
    if (result <= 0 && BIO_should_retry(bio))
        atomic_store(&held_up, true);
    else if (atomic_load(&held_up) && BIO_get_fd(bio, &fd.fd) >= 0)
        (void)poll(&fd, 1, 100);
    return result;
}

static void say_last_words(struct link *l)
{
    const int little = 1;
    BIO *bio = SSL_get_wbio(l->server);
    size_t done = 0;
    uint8_t more;

    (void)setsockopt(l->server_fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    BIO_set_callback_ex(bio, wait_for_answer);
    l->code = send_all(l->conn, LAST_WORDS, &l->err);
    BIO_set_callback_ex(bio, NULL);
    if (l->code == ATLS_OK)
        l->code = atls_openssl_read(l->conn, &more, 1, &done, NULL, &l->err);
    l->received = done;
}

static void what_the_peer_has_got_is_written(void **state)
{
    struct atls_openssl *conn = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct link l;
    size_t received = 0;
    bool wrong = false;
    pthread_t thread;

    (void)state;
    link_init(&l);
    link_start(&l);
    atomic_store(&held_up, false);
    thread = start_server(&l, say_last_words);
    test_assert_code(atls_openssl_connect(l.client, l.p.client.config, NAME, &conn, &err), ATLS_OK,
                     &err);
    while (!atomic_load(&held_up))
        sched_yield();
    test_assert_code(receive_all(conn, LAST_WORDS, &received, &wrong, &err), ATLS_OK, &err);
    atls_openssl_close(conn);
    pthread_join(thread, NULL);
    test_assert_code(l.code, ATLS_OK, &l.err);
    assert_true(received == LAST_WORDS && !wrong);
    assert_true(l.received == 0 && atls_openssl_ended(l.conn));
    atls_openssl_close(l.conn);
    l.conn = NULL;
    link_clear(&l);
}

/* ---- refusals ---- */

static void quiet_server(struct link *l)
{
    (void)l;
}

/* Connects and asserts what both ends make of it. */
static void refuse(const char *row, struct link *l, enum atls_code client,
                   enum atls_reason client_reason, enum atls_code server,
                   enum atls_reason server_reason)
{
    struct atls_openssl *conn = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    pthread_t thread = start_server(l, quiet_server);
    enum atls_code code = atls_openssl_connect(l->client, l->p.client.config, NAME, &conn, &err);

    shutdown(l->client_fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    if (code != client || err.reason != client_reason)
        fail_msg("%s: client: %s, %s, %s", row, atls_code_name(code), atls_reason_name(err.reason),
                 err.message);
    if (l->code != server || l->err.reason != server_reason)
        fail_msg("%s: server: %s, %s, %s", row, atls_code_name(l->code),
                 atls_reason_name(l->err.reason), l->err.message);
    assert_null(conn);
    assert_null(l->conn);
    assert_int_equal(fcntl(l->client_fd, F_GETFL) & O_NONBLOCK, 0);
}

static void wrong_evidence(struct link *l)
{
    l->p.server.attester.wrong_binder = true;
}

static void wrong_evidence_of_client(struct link *l)
{
    l->p.client.attester.wrong_binder = true;
}

static void too_large(struct link *l)
{
    l->p.server.attester.evidence_len = ATLS_CMW_DATA_MAX + 1;
}

static void policy(struct link *l)
{
    l->p.client.verifier.contraindicated = true;
}

static void no_attester(struct link *l)
{
    l->p.server.attests = false;
}

static void tls12_client(struct link *l)
{
    SSL_CTX_set_min_proto_version(l->client_ctx, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(l->client_ctx, TLS1_2_VERSION);
}

static void tls12_server(struct link *l)
{
    SSL_CTX_set_min_proto_version(l->server_ctx, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(l->server_ctx, TLS1_2_VERSION);
}

static void tls12_both(struct link *l)
{
    tls12_client(l);
    tls12_server(l);
}

static void tickets(struct link *l)
{
    SSL_CTX_set_num_tickets(l->server_ctx, 1);
}

static void no_alpn(struct link *l)
{
    SSL_CTX_set_alpn_protos(l->client_ctx, NULL, 0);
}

static void other_alpn(struct link *l)
{
    SSL_CTX_set_alpn_protos(l->client_ctx, (const unsigned char *)"\02h2", 3);
}

static void server_without_alpn(struct link *l)
{
    SSL_CTX_set_alpn_select_cb(l->server_ctx, NULL, NULL);
}

static void other_name(struct link *l)
{
    struct test_identity leaf = test_leaf(&l->ca, "other.example", ATLS_KEY_P256);

    use_identity(l->server_ctx, &leaf);
    test_identity_clear(&leaf);
}

/* The AIK of the server is the key of its TLS certificate; whether TLS looked at it is another
 * matter. */
static void same_key(struct link *l)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    test_assert_code(atls_private_key_to_pem(l->leaf.key, &pem, NULL), ATLS_OK, NULL);
    test_assert_code(
        atls_private_key_from_pem(atls_buf_bytes(&pem), &l->p.server.attester.key, NULL), ATLS_OK,
        NULL);
    atls_buf_clear(&pem);
    l->p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static void same_key_unverified(struct link *l)
{
    same_key(l);
    SSL_CTX_set_verify(l->client_ctx, SSL_VERIFY_NONE, NULL);
}

static void another_key(struct link *l)
{
    l->p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static void same_key_of_a_client_without_certificate(struct link *l)
{
    l->p.server.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static void refuses_every_unfit_connection(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct link *l);
        enum atls_code client;
        enum atls_reason client_reason;
        enum atls_code server;
        enum atls_reason server_reason;
    } rows[] = {
        {"evidence of the server is wrong", wrong_evidence, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"evidence of the client is wrong", wrong_evidence_of_client, ATLS_E_REFUSED,
         ATLS_REASON_PEER_REFUSED, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
        {"evidence of the server is too large", too_large, ATLS_E_DECLINED,
         ATLS_REASON_EMPTY_AUTHENTICATOR, ATLS_E_LIMIT, ATLS_REASON_NONE},
        {"the policy refuses", policy, ATLS_E_REFUSED, ATLS_REASON_POLICY, ATLS_E_REFUSED,
         ATLS_REASON_PEER_REFUSED},
        {"the server does not attest", no_attester, ATLS_E_PROTOCOL,
         ATLS_REASON_NO_COMMON_PARAMETERS, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
        {"client of TLS 1.2", tls12_client, ATLS_E_TLS, ATLS_REASON_PEER_REFUSED, ATLS_E_TLS,
         ATLS_REASON_NONE},
        {"server of TLS 1.2", tls12_server, ATLS_E_TLS, ATLS_REASON_PEER_REFUSED, ATLS_E_TLS,
         ATLS_REASON_NONE},
        {"TLS 1.2 on both sides", tls12_both, ATLS_E_TLS, ATLS_REASON_TLS_VERSION, ATLS_E_TLS,
         ATLS_REASON_TLS_VERSION},
        {"tickets are on", tickets, ATLS_E_CLOSED, ATLS_REASON_NONE, ATLS_E_TLS,
         ATLS_REASON_TLS_RESUMED},
        {"client without ALPN", no_alpn, ATLS_E_TLS, ATLS_REASON_PEER_REFUSED, ATLS_E_TLS,
         ATLS_REASON_NONE},
        {"client with another ALPN", other_alpn, ATLS_E_TLS, ATLS_REASON_PEER_REFUSED, ATLS_E_TLS,
         ATLS_REASON_NONE},
        {"server without ALPN", server_without_alpn, ATLS_E_TLS, ATLS_REASON_NO_COMMON_PARAMETERS,
         ATLS_E_TLS, ATLS_REASON_NO_COMMON_PARAMETERS},
        {"certificate with another name", other_name, ATLS_E_TLS, ATLS_REASON_NONE, ATLS_E_TLS,
         ATLS_REASON_PEER_REFUSED},
        {"key that TLS did not verify", same_key_unverified, ATLS_E_TLS,
         ATLS_REASON_IDENTITY_MISMATCH, ATLS_E_CLOSED, ATLS_REASON_NONE},
        {"key of another certificate", another_key, ATLS_E_CERTIFICATE,
         ATLS_REASON_IDENTITY_MISMATCH, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
        {"client without certificate", same_key_of_a_client_without_certificate, ATLS_E_CLOSED,
         ATLS_REASON_NONE, ATLS_E_TLS, ATLS_REASON_IDENTITY_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link l;

        link_init(&l);
        rows[i].change(&l);
        link_start(&l);
        refuse(rows[i].name, &l, rows[i].client, rows[i].client_reason, rows[i].server,
               rows[i].server_reason);
        link_clear(&l);
    }
}

static void compares_with_the_verified_key_of_tls(void **state)
{
    struct link l;

    (void)state;
    link_init(&l);
    same_key(&l);
    link_start(&l);
    exchange("same key", &l, 10, false);
    link_clear(&l);
}

static void names_the_alert_and_the_reason(void **state)
{
    struct link l;
    struct atls_openssl *conn = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    pthread_t thread;

    (void)state;
    link_init(&l);
    no_alpn(&l);
    link_start(&l);
    thread = start_server(&l, quiet_server);
    assert_int_equal(atls_openssl_connect(l.client, l.p.client.config, NAME, &conn, &err),
                     ATLS_E_TLS);
    pthread_join(thread, NULL);
    assert_non_null(strstr(err.message, "no application protocol"));
    assert_int_equal(ERR_peek_error(), 0); /* drained */
    link_clear(&l);

    link_init(&l);
    other_name(&l);
    link_start(&l);
    thread = start_server(&l, quiet_server);
    assert_int_equal(atls_openssl_connect(l.client, l.p.client.config, NAME, &conn, &err),
                     ATLS_E_TLS);
    pthread_join(thread, NULL);
    assert_non_null(strstr(err.message, "certificate verify failed"));
    assert_non_null(strstr(err.message, "ostname mismatch"));
    link_clear(&l);
}

/* ---- resumption and early data, against a server that is not ours ---- */

static int take_any_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                         const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    (void)in_len;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **kept = SSL_get_app_data(ssl);

    if (kept == NULL)
        return 0;
    SSL_SESSION_free(*kept);
    *kept = session;
    return 1;
}

static void *plain_server_thread(void *arg)
{
    struct link *l = arg;
    uint8_t buf[1000];
    size_t n;

    if (SSL_get_max_early_data(l->server) != 0) {
        int more;

        do {
            more = SSL_read_early_data(l->server, buf, sizeof buf, &n);
        } while (more == SSL_READ_EARLY_DATA_SUCCESS);
    }
    if (SSL_accept(l->server) == 1)
        while (SSL_read(l->server, buf, sizeof buf) > 0)
            continue;
    ERR_clear_error();
    return NULL;
}

static void plain_server(struct link *l)
{
    SSL_CTX_free(l->server_ctx);
    l->server_ctx = SSL_CTX_new(TLS_server_method());
    use_identity(l->server_ctx, &l->leaf);
    SSL_CTX_set_alpn_select_cb(l->server_ctx, take_any_alpn, NULL);
    SSL_CTX_set_num_tickets(l->server_ctx, 2);
    SSL_CTX_set_max_early_data(l->server_ctx, 16384);
    SSL_CTX_set_options(l->server_ctx, SSL_OP_NO_ANTI_REPLAY); /* tickets that need no cache */
}

static void refuses_resumption_and_early_data(void **state)
{
    for (int early = 0; early <= 1; early++) {
        struct link l;
        SSL_CTX *prepared;
        SSL_SESSION *kept = NULL;
        struct atls_openssl *conn = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        pthread_t thread;
        uint8_t byte;
        size_t n;

        (void)state;
        link_init(&l);
        l.p.client.options.gate_timeout_ms = 2000;
        plain_server(&l);
        link_start(&l);
        /* A client that is not ours gets a ticket. */
        disconnect(&l);
        prepared = l.client_ctx;
        l.client_ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_alpn_protos(l.client_ctx, (const unsigned char *)"\06atls/1", 7);
        SSL_CTX_set_session_cache_mode(l.client_ctx,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(l.client_ctx, keep_session);
        connect_sockets(&l);
        SSL_set_app_data(l.client, &kept);
        assert_int_equal(pthread_create(&thread, NULL, plain_server_thread, &l), 0);
        assert_int_equal(SSL_connect(l.client), 1);
        fcntl(l.client_fd, F_SETFL, O_NONBLOCK);
        for (int i = 0; i < 200 && kept == NULL; i++) {
            struct pollfd p = {.fd = l.client_fd, .events = POLLIN};

            poll(&p, 1, 10);
            SSL_read(l.client, &byte, 1);
        }
        assert_non_null(kept);
        SSL_shutdown(l.client);
        shutdown(l.client_fd, SHUT_RDWR);
        pthread_join(thread, NULL);
        disconnect(&l);
        SSL_CTX_free(l.client_ctx);

        /* Our client is made to use it. */
        l.client_ctx = prepared;
        connect_sockets(&l);
        SSL_clear_options(l.client, SSL_OP_NO_TICKET);
        assert_int_equal(SSL_set_session(l.client, kept), 1);
        assert_int_equal(pthread_create(&thread, NULL, plain_server_thread, &l), 0);
        if (early)
            assert_int_equal(SSL_write_early_data(l.client, "early", 5, &n), 1);
        test_assert_code(atls_openssl_connect(l.client, l.p.client.config, NAME, &conn, &err),
                         ATLS_E_TLS, &err);
        assert_int_equal(err.reason, ATLS_REASON_TLS_RESUMED);
        {
            struct atls_tls tls;
            struct atls_buf spki = ATLS_BUF_INIT;

            test_assert_code(atls_openssl_tls(l.client, &tls, &spki, &err), ATLS_OK, &err);
            assert_int_equal(tls.resumed, ATLS_ANSWER_YES);
            assert_int_equal(tls.early_data, early ? ATLS_ANSWER_YES : ATLS_ANSWER_NO);
            atls_buf_clear(&spki);
        }
        shutdown(l.client_fd, SHUT_RDWR);
        pthread_join(thread, NULL);
        SSL_SESSION_free(kept);
        link_clear(&l);
    }
}

/* draft-fossati-seat-expat-03: a ticket that comes all the same is discarded. */
static void discards_tickets(void **state)
{
    struct link l;
    SSL_SESSION *kept = NULL;
    pthread_t thread;
    uint8_t byte;

    (void)state;
    link_init(&l);
    plain_server(&l);
    link_start(&l);
    SSL_CTX_sess_set_new_cb(l.client_ctx, keep_session);
    SSL_set_app_data(l.client, &kept);
    assert_int_equal(pthread_create(&thread, NULL, plain_server_thread, &l), 0);
    assert_int_equal(SSL_connect(l.client), 1);
    fcntl(l.client_fd, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 20; i++) {
        struct pollfd p = {.fd = l.client_fd, .events = POLLIN};

        poll(&p, 1, 5);
        SSL_read(l.client, &byte, 1);
    }
    assert_null(kept);
    assert_int_equal(SSL_CTX_sess_number(l.client_ctx), 0);
    shutdown(l.client_fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    ERR_clear_error();
    link_clear(&l);
}

static void reads_nothing_from_an_unfinished_handshake(void **state)
{
    struct link l;
    struct atls_tls tls;
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    link_init(&l);
    link_start(&l);
    assert_int_equal(atls_openssl_tls(l.client, &tls, &spki, &err), ATLS_E_TLS);
    assert_non_null(strstr(err.message, "not finished"));
    link_clear(&l);
}

/* ---- deadlines ---- */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void gives_up_on_a_peer_that_never_answers(void **state)
{
    (void)state;
    for (int tls = 0; tls <= 1; tls++) {
        struct link l;
        struct atls_openssl *conn = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        int64_t start = now_ms();
        pthread_t thread = 0;

        link_init(&l);
        l.p.client.options.gate_timeout_ms = 200;
        plain_server(&l);
        link_start(&l);
        if (tls) /* finishes the handshake, says nothing */
            assert_int_equal(pthread_create(&thread, NULL, plain_server_thread, &l), 0);
        assert_int_equal(atls_openssl_connect(l.client, l.p.client.config, NAME, &conn, &err),
                         ATLS_E_TIMEOUT);
        assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
        assert_non_null(strstr(err.message, tls ? "the peer's HELLO" : "TLS handshake"));
        assert_true(now_ms() - start >= 200);
        assert_true(now_ms() - start < 5000);
        shutdown(l.client_fd, SHUT_RDWR);
        if (tls)
            pthread_join(thread, NULL);
        link_clear(&l);
    }
}

/* ---- step by step ---- */

static enum atls_code step(struct atls_openssl *c, enum atls_want *want, struct atls_err *err)
{
    enum atls_code code;

    while ((code = atls_openssl_step(c, want, err)) == ATLS_OK && *want == ATLS_WANT_JOB) {
        struct atls_job *job = atls_openssl_job(c);

        atls_job_run(job);
        if ((code = atls_openssl_complete(c, job, err)) != ATLS_OK)
            break;
    }
    return code;
}

static void link_step_init(struct link *l, struct atls_openssl **client,
                           struct atls_openssl **server)
{
    link_start(l);
    fcntl(l->client_fd, F_SETFL, O_NONBLOCK);
    fcntl(l->server_fd, F_SETFL, O_NONBLOCK);
    SSL_set_connect_state(l->client);
    SSL_set_accept_state(l->server);
    test_assert_code(atls_openssl_new(l->client, l->p.client.config, NAME, client, NULL), ATLS_OK,
                     NULL);
    test_assert_code(atls_openssl_new(l->server, l->p.server.config, NULL, server, NULL), ATLS_OK,
                     NULL);
    assert_null(atls_openssl_session(*client));
    assert_null(atls_openssl_job(*client));
}

static void opens_step_by_step(void **state)
{
    static uint8_t buf[300000];
    struct link l;
    struct atls_openssl *client, *server;
    enum atls_want a, b;
    struct atls_err err = ATLS_ERR_INIT;
    size_t sent = 0, received = 0, n;
    int rounds = 0;

    (void)state;
    link_init(&l);
    l.p.client.options.reattest_interval_s = 1000;
    link_step_init(&l, &client, &server);
    assert_true(atls_openssl_deadline_ms(client) < INT64_MAX);
    do {
        test_assert_code(step(client, &a, &err), ATLS_OK, &err);
        test_assert_code(step(server, &b, &err), ATLS_OK, &err);
        assert_true(++rounds < 20);
    } while (a != ATLS_WANT_NOTHING || b != ATLS_WANT_NOTHING);
    assert_true(atls_session_is_open(atls_openssl_session(client)));
    assert_true(atls_openssl_deadline_ms(client) < INT64_MAX);
    assert_int_equal(atls_openssl_deadline_ms(server), INT64_MAX);

    /* Nothing to read yet. */
    test_assert_code(atls_openssl_read(server, buf, sizeof buf, &n, &b, &err), ATLS_OK, &err);
    assert_int_equal(n, 0);
    assert_int_equal(b, ATLS_WANT_READ);

    /* Until the socket is full, and all of it arrives. */
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = pattern(i);
    for (int i = 0; i < 1000 && sent < 5000000; i++) {
        size_t at = sent % 256 == 0 ? 0 : sent % 256;

        test_assert_code(atls_openssl_write(client, buf + at, sizeof buf - at, &n, &a, &err),
                         ATLS_OK, &err);
        (void)at;
        sent += n;
        if (a == ATLS_WANT_WRITE)
            break;
        assert_true(n != 0);
    }
    assert_int_equal(a, ATLS_WANT_WRITE);
    test_assert_code(atls_session_reattest(atls_openssl_session(client), &err), ATLS_OK, &err);
    for (int i = 0; i < 10000 && received < sent; i++) {
        static uint8_t got[70000];

        test_assert_code(step(client, &a, &err), ATLS_OK, &err);
        test_assert_code(atls_openssl_read(server, got, sizeof got, &n, &b, &err), ATLS_OK, &err);
        received += n;
        assert_true(n != 0 || b == ATLS_WANT_READ);
    }
    assert_int_equal(received, sent);
    for (int i = 0; i < 5; i++) {
        test_assert_code(step(client, &a, &err), ATLS_OK, &err);
        test_assert_code(step(server, &b, &err), ATLS_OK, &err);
    }
    {
        struct atls_peer peer;

        atls_session_peer(atls_openssl_session(client), &peer);
        assert_int_equal(peer.attestations, 2);
    }
    /* Jobs show up in read and write, too. */
    test_assert_code(atls_session_reattest(atls_openssl_session(client), &err), ATLS_OK, &err);
    test_assert_code(step(client, &a, &err), ATLS_OK, &err);
    test_assert_code(atls_openssl_read(server, buf, sizeof buf, &n, &b, &err), ATLS_OK, &err);
    assert_int_equal(b, ATLS_WANT_JOB);
    test_assert_code(atls_openssl_write(server, buf, 1, &n, &b, &err), ATLS_OK, &err);
    assert_int_equal(b, ATLS_WANT_JOB);
    assert_int_equal(n, 0);
    test_assert_code(step(server, &b, &err), ATLS_OK, &err);

    atls_openssl_close(client);
    test_assert_code(atls_openssl_read(server, buf, sizeof buf, &n, &b, &err), ATLS_OK, &err);
    assert_int_equal(n, 0);
    assert_true(atls_openssl_ended(server));
    assert_int_equal(b, ATLS_WANT_NOTHING);
    assert_int_equal(atls_openssl_write(server, buf, 1, &n, &b, &err), ATLS_E_CLOSED);
    test_assert_code(step(server, &b, &err), ATLS_OK, &err);
    atls_openssl_close(server);
    link_clear(&l);
}

static void open_stepwise(struct atls_openssl *client, struct atls_openssl *server)
{
    enum atls_want a, b;
    struct atls_err err = ATLS_ERR_INIT;

    do {
        test_assert_code(step(client, &a, &err), ATLS_OK, &err);
        test_assert_code(step(server, &b, &err), ATLS_OK, &err);
    } while (a != ATLS_WANT_NOTHING || b != ATLS_WANT_NOTHING);
}

/* Reads what is there and compares it with the pattern; the new position in the stream. */
static size_t read_pattern(struct atls_openssl *c, size_t at)
{
    static uint8_t got[70000];
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_want want;
    size_t n = 0;

    do {
        test_assert_code(atls_openssl_read(c, got, sizeof got, &n, &want, &err), ATLS_OK, &err);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(got[i], pattern(at + i));
        at += n;
    } while (n != 0);
    return at;
}

/* Writes in place until the socket is full and on, with a buffer that is filled anew each time, so
 * that what was taken cannot be read from it again; then everything arrives. */
static void transfer_in_place(struct atls_openssl *from, struct atls_openssl *to)
{
    static uint8_t room[ATLS_SESSION_HEAD_MAX + 40000];
    uint8_t *buf = room + ATLS_SESSION_HEAD_MAX;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_want want = ATLS_WANT_NOTHING;
    size_t sent = 0, received = 0, n, blocked = 0;

    while (sent < 8000000) {
        const size_t len = 1 + sent % 40000;

        for (size_t i = 0; i < len; i++)
            buf[i] = pattern(sent + i);
        test_assert_code(atls_openssl_write_in_place(from, buf, len, &n, &want, &err), ATLS_OK,
                         &err);
        memset(room, 0, sizeof room);
        sent += n;
        if (want == ATLS_WANT_WRITE) {
            blocked++;
            received = read_pattern(to, received);
        }
    }
    assert_true(blocked != 0);
    for (int i = 0; i < 1000 && received < sent; i++) {
        test_assert_code(step(from, &want, &err), ATLS_OK, &err);
        received = read_pattern(to, received);
    }
    assert_int_equal(received, sent);
}

static void writes_in_place(void **state)
{
    /* raw, longest record (0: TLS's) */
    static const struct {
        bool raw;
        long record;
    } rows[] = {{false, 0}, {true, 0}, {false, 512}, {true, 5000}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_openssl *client, *server;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_want want;
        uint8_t byte[ATLS_SESSION_HEAD_MAX + 1] = {0};
        struct link l;
        size_t n;

        link_init(&l);
        l.p.client.options.raw = l.p.server.options.raw = rows[i].raw;
        link_step_init(&l, &client, &server);
        if (rows[i].record != 0)
            assert_int_equal(SSL_set_max_send_fragment(l.client, rows[i].record), 1);
        test_assert_code(
            atls_openssl_write_in_place(client, byte + ATLS_SESSION_HEAD_MAX, 1, &n, &want, &err),
            ATLS_OK, &err);
        assert_int_equal(n, 0); /* the gate is closed */
        open_stepwise(client, server);
        transfer_in_place(client, server);
        transfer_in_place(server, client);
        atls_openssl_close(client);
        assert_int_equal(read_pattern(server, 0), 0);
        assert_int_equal(
            atls_openssl_write_in_place(server, byte + ATLS_SESSION_HEAD_MAX, 1, &n, &want, &err),
            ATLS_E_CLOSED);
        atls_openssl_close(server);
        link_clear(&l);
    }
}

static void gives_held_data_when_the_gate_opens_again(void **state)
{
    struct link l;
    struct atls_openssl *client, *server;
    enum atls_want want;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t buf[10];
    size_t n;

    (void)state;
    link_init(&l);
    l.p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
    link_step_init(&l, &client, &server);
    open_stepwise(client, server);
    l.p.server.attester.wrong_binder = true;
    test_assert_code(atls_session_reattest(atls_openssl_session(client), &err), ATLS_OK, &err);
    test_assert_code(step(client, &want, &err), ATLS_OK, &err);
    test_assert_code(step(server, &want, &err), ATLS_OK, &err);
    test_assert_code(atls_openssl_write(server, "abc", 3, &n, &want, &err), ATLS_OK, &err);
    assert_int_equal(n, 3);
    test_assert_code(step(client, &want, &err), ATLS_OK, &err); /* refuses */
    assert_false(atls_session_is_open(atls_openssl_session(client)));
    assert_int_equal(want, ATLS_WANT_READ);
    test_assert_code(atls_openssl_read(client, buf, sizeof buf, &n, &want, &err), ATLS_OK, &err);
    assert_int_equal(n, 0);
    test_assert_code(atls_openssl_write(client, "x", 1, &n, &want, &err), ATLS_OK, &err);
    assert_int_equal(n, 0);
    assert_int_equal(want, ATLS_WANT_READ);
    l.p.server.attester.wrong_binder = false;
    test_assert_code(atls_session_reattest(atls_openssl_session(client), &err), ATLS_OK, &err);
    open_stepwise(client, server);
    test_assert_code(atls_openssl_read(client, buf, 2, &n, &want, &err), ATLS_OK, &err);
    test_assert_bytes(atls_bytes_of(buf, n), atls_bytes_of("ab", 2));
    test_assert_code(atls_openssl_read(client, buf, 2, &n, &want, &err), ATLS_OK, &err);
    test_assert_bytes(atls_bytes_of(buf, n), atls_bytes_of("c", 1));
    atls_openssl_free(client);
    atls_openssl_free(server);
    link_clear(&l);
}

/* ---- ends ---- */

static void tells_truncation_from_an_orderly_end(void **state)
{
    static const struct {
        const char *name;
        bool raw, notify;
        enum atls_code want;
    } rows[] = {
        {"no CLOSE, no close_notify", false, false, ATLS_E_TLS},
        {"no CLOSE", false, true, ATLS_E_CLOSED},
        {"raw, no close_notify", true, false, ATLS_E_TLS},
        {"raw", true, true, ATLS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link l;
        struct atls_openssl *client, *server;
        enum atls_want want;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t buf[10];
        size_t n = 0;
        enum atls_code code;

        link_init(&l);
        l.p.client.options.raw = l.p.server.options.raw = rows[i].raw;
        link_step_init(&l, &client, &server);
        open_stepwise(client, server);
        test_assert_code(atls_openssl_write(client, "abc", 3, &n, &want, &err), ATLS_OK, &err);
        if (rows[i].notify)
            assert_int_equal(SSL_shutdown(l.client), 0);
        shutdown(l.client_fd, SHUT_WR);
        test_assert_code(atls_openssl_read(server, buf, 10, &n, &want, &err), ATLS_OK, &err);
        assert_int_equal(n, 3);
        code = atls_openssl_read(server, buf, 10, &n, &want, &err);
        if (code != rows[i].want)
            fail_msg("%s: %s %s", rows[i].name, atls_code_name(code), err.message);
        assert_int_equal(atls_openssl_ended(server), rows[i].want == ATLS_OK);
        code = atls_openssl_read(server, buf, 10, &n, &want, &err);
        assert_int_equal(code, rows[i].want); /* and again */
        assert_false(atls_session_is_open(atls_openssl_session(server)));
        atls_openssl_free(client);
        atls_openssl_close(server);
        link_clear(&l);
    }
}

static void refuses_wrong_use(void **state)
{
    struct link l;
    struct atls_openssl *c = NULL, *client, *server;
    struct atls_err err = ATLS_ERR_INIT;
    size_t n;
    uint8_t byte;

    (void)state;
    link_init(&l);
    link_step_init(&l, &client, &server);
    assert_int_equal(atls_openssl_read(client, &byte, 0, &n, NULL, &err), ATLS_E_USAGE);
    atls_openssl_close(client); /* before the handshake */
    atls_openssl_free(server);
    atls_openssl_close(NULL);
    atls_openssl_free(NULL);
    SSL_set_bio(l.client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    assert_int_equal(atls_openssl_connect(l.client, l.p.client.config, NAME, &c, &err),
                     ATLS_E_USAGE);
    assert_null(c);
    link_clear(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_data_every_way_round),
        cmocka_unit_test(serves_one_connection_after_the_other),
        cmocka_unit_test(what_the_peer_has_got_is_written),
        cmocka_unit_test(refuses_every_unfit_connection),
        cmocka_unit_test(compares_with_the_verified_key_of_tls),
        cmocka_unit_test(names_the_alert_and_the_reason),
        cmocka_unit_test(refuses_resumption_and_early_data),
        cmocka_unit_test(discards_tickets),
        cmocka_unit_test(reads_nothing_from_an_unfinished_handshake),
        cmocka_unit_test(gives_up_on_a_peer_that_never_answers),
        cmocka_unit_test(opens_step_by_step),
        cmocka_unit_test(writes_in_place),
        cmocka_unit_test(gives_held_data_when_the_gate_opens_again),
        cmocka_unit_test(tells_truncation_from_an_orderly_end),
        cmocka_unit_test(refuses_wrong_use),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
