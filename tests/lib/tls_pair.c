#include "tls_pair.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "testlib.h"

#define STEPS_MAX 2000000

static int end_index(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

/* A state callback of the program, which prepare_for has to go on calling. */
static void note_alert(const SSL *ssl, int where, int ret)
{
    struct tls_end *e = SSL_get_ex_data(ssl, end_index());

    if (e == NULL)
        return;
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        e->alert_received = ret & 0xff;
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT)
        e->alert_sent = ret & 0xff;
}

static X509 *x509_of(struct atls_bytes der)
{
    const unsigned char *at = der.ptr;
    X509 *x = d2i_X509(NULL, &at, (long)der.len);

    assert_non_null(x);
    return x;
}

void tls_use_identity(SSL_CTX *ctx, const struct test_identity *identity,
                      const struct test_identity *issuer)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    X509 *x = x509_of(atls_buf_bytes(&identity->certificate));
    EVP_PKEY *key;
    BIO *bio;

    test_assert_code(atls_private_key_to_pem(identity->key, &pem, NULL), ATLS_OK, NULL);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(key);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    if (issuer != NULL)
        assert_int_equal(
            SSL_CTX_add_extra_chain_cert(ctx, x509_of(atls_buf_bytes(&issuer->certificate))), 1);
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(x);
    atls_buf_clear(&pem);
}

void tls_trust(SSL_CTX *ctx, struct atls_bytes certificate)
{
    X509 *x = x509_of(certificate);

    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x), 1);
    X509_free(x);
}

void tls_join(SSL *client, SSL *server, size_t room)
{
    BIO *a = NULL, *b = NULL;

    assert_int_equal(BIO_new_bio_pair(&a, room, &b, room), 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
}

void tls_pair_init(struct tls_pair *t, enum atls_flavour flavour)
{
    memset(t, 0, sizeof *t);
    pair_init(&t->p);
    t->client.end = &t->p.client;
    t->server.end = &t->p.server;
    for (int i = 0; i < 2; i++) {
        struct atls_config_options *o = i == 0 ? &t->p.client.options : &t->p.server.options;

        o->flavour = flavour;
        o->clock = (struct atls_clock){0};
        if (flavour == ATLS_FLAVOUR_PRE)
            o->freshness = ATLS_FRESHNESS_NONE;
    }
    t->client.ctx = SSL_CTX_new(TLS_client_method());
    t->server.ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(t->client.ctx);
    assert_non_null(t->server.ctx);
    SSL_CTX_set_info_callback(t->client.ctx, note_alert);
    SSL_CTX_set_info_callback(t->server.ctx, note_alert);
}

void tls_pair_prepare(struct tls_pair *t)
{
    char both[] = "P-256:P-384", other[] = "P-384"; /* OpenSSL's macro casts const away */
    struct atls_err err = ATLS_ERR_INIT;

    pair_configure(&t->p);
    test_assert_code(atls_openssl_prepare_for(t->client.ctx, t->p.client.config, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_openssl_prepare_for(t->server.ctx, t->p.server.config, &err), ATLS_OK,
                     &err);
    assert_int_equal(SSL_CTX_set_ciphersuites(t->server.ctx, t->sha384 ? "TLS_AES_256_GCM_SHA384"
                                                                       : "TLS_AES_128_GCM_SHA256"),
                     1);
    assert_int_equal(SSL_CTX_set1_groups_list(t->client.ctx, both), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(t->server.ctx, t->hrr ? other : both), 1);
}

/* ---- a BIO that moves one byte at a time ---- */

static int piece_write(BIO *bio, const char *data, size_t len, size_t *out_len)
{
    const bool waits = BIO_get_data(bio) == NULL;
    int ok = 0;

    BIO_clear_retry_flags(bio);
    BIO_set_data(bio, waits ? bio : NULL);
    if (!waits && len != 0)
        ok = BIO_write_ex(BIO_next(bio), data, 1, out_len);
    if (ok != 1)
        BIO_set_retry_write(bio);
    return ok;
}

static int piece_read(BIO *bio, char *data, size_t len, size_t *out_len)
{
    int ok = len == 0 ? 0 : BIO_read_ex(BIO_next(bio), data, 1, out_len);

    BIO_clear_retry_flags(bio);
    if (ok != 1)
        BIO_set_retry_read(bio);
    return ok;
}

static long piece_ctrl(BIO *bio, int command, long number, void *ptr)
{
    return BIO_ctrl(BIO_next(bio), command, number, ptr);
}

static BIO *piecemeal(BIO *below)
{
    static BIO_METHOD *method;
    BIO *bio;

    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_FILTER, "piecemeal");
        assert_non_null(method);
        BIO_meth_set_write_ex(method, piece_write);
        BIO_meth_set_read_ex(method, piece_read);
        BIO_meth_set_ctrl(method, piece_ctrl);
    }
    bio = BIO_new(method);
    assert_non_null(bio);
    BIO_set_init(bio, 1);
    return BIO_push(bio, below);
}

void tls_pair_ssl(struct tls_pair *t)
{
    const size_t room = t->room == 0 ? 17000 : t->room;
    BIO *client = NULL, *server = NULL;

    t->client.ssl = SSL_new(t->client.ctx);
    t->server.ssl = SSL_new(t->server.ctx);
    assert_non_null(t->client.ssl);
    assert_non_null(t->server.ssl);
    assert_int_equal(BIO_new_bio_pair(&client, room, &server, room), 1);
    if (t->piecemeal) {
        client = piecemeal(client);
        server = piecemeal(server);
    }
    SSL_set_bio(t->client.ssl, client, client);
    SSL_set_bio(t->server.ssl, server, server);
    SSL_set_connect_state(t->client.ssl);
    SSL_set_accept_state(t->server.ssl);
    if (t->p.client.options.peer_optional)
        assert_int_equal(SSL_set1_host(t->client.ssl, TLS_PAIR_NAME), 1);
    SSL_set_ex_data(t->client.ssl, end_index(), &t->client);
    SSL_set_ex_data(t->server.ssl, end_index(), &t->server);
    if (t->async || t->async_client)
        SSL_set_mode(t->async_client ? t->client.ssl : t->server.ssl, SSL_MODE_ASYNC);
}

void tls_pair_start(struct tls_pair *t)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (t->p.client.config == NULL)
        tls_pair_prepare(t);
    tls_pair_ssl(t);
    test_assert_code(
        atls_openssl_new(t->client.ssl, t->p.client.config, TLS_PAIR_NAME, &t->client.conn, &err),
        ATLS_OK, &err);
    test_assert_code(
        atls_openssl_new(t->server.ssl, t->p.server.config, NULL, &t->server.conn, &err), ATLS_OK,
        &err);
}

void tls_end_complete(struct tls_end *e)
{
    struct atls_job *job = e->job;

    e->job = NULL;
    atls_job_run(job);
    e->code = atls_openssl_complete(e->conn, job, &e->err);
}

void tls_end_step(struct tls_pair *t, struct tls_end *e)
{
    if (e->conn == NULL || e->code != ATLS_OK)
        return;
    e->steps++;
    e->code = atls_openssl_step(e->conn, &e->want, &e->err);
    if (e->code != ATLS_OK)
        return;
    e->open = atls_openssl_session(e->conn) != NULL &&
              atls_session_is_open(atls_openssl_session(e->conn));
    if (e->want != ATLS_WANT_JOB || e->job != NULL)
        return;
    e->job = atls_openssl_job(e->conn);
    assert_non_null(e->job);
    e->jobs++;
    if (!t->hold_jobs)
        tls_end_complete(e);
}

static bool settled(const struct tls_end *e)
{
    return e->conn == NULL || e->open || e->code != ATLS_OK || e->job != NULL;
}

static size_t moved(const struct tls_end *e)
{
    BIO *bio = SSL_get_rbio(e->ssl);

    return (size_t)(BIO_number_read(bio) + BIO_number_written(bio)) + e->jobs;
}

void tls_pair_run(struct tls_pair *t)
{
    size_t still = 0;

    for (size_t i = 0; i < STEPS_MAX && still < 5; i++) {
        const size_t before = moved(&t->client) + moved(&t->server);

        tls_end_step(t, &t->client);
        tls_end_step(t, &t->server);
        if (settled(&t->client) && settled(&t->server))
            break;
        still = moved(&t->client) + moved(&t->server) == before ? still + 1 : 0;
    }
}

static void disconnect(struct tls_end *e)
{
    atls_job_free(e->job);
    atls_openssl_free(e->conn);
    SSL_free(e->ssl);
    e->job = NULL;
    e->conn = NULL;
    e->ssl = NULL;
    e->open = false;
    e->code = ATLS_OK;
    e->jobs = e->steps = 0;
    e->alert_sent = e->alert_received = 0;
    atls_err_clear(&e->err);
    ERR_clear_error();
}

void tls_pair_disconnect(struct tls_pair *t)
{
    disconnect(&t->client);
    disconnect(&t->server);
}

void tls_pair_clear(struct tls_pair *t)
{
    tls_pair_disconnect(t);
    SSL_CTX_free(t->client.ctx);
    SSL_CTX_free(t->server.ctx);
    pair_clear(&t->p);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

static void transfer(const char *row, struct tls_end *from, struct tls_end *to, size_t len)
{
    uint8_t *data = malloc(len), *got = malloc(len);
    size_t sent = 0, received = 0;

    if (data == NULL || got == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(i);
    for (size_t i = 0; i < STEPS_MAX && received < len; i++) {
        size_t n = 0;

        if (sent < len)
            test_assert_code(atls_openssl_write(from->conn, data + sent, len - sent, &n,
                                                &from->want, &from->err),
                             ATLS_OK, &from->err);
        else
            test_assert_code(atls_openssl_step(from->conn, &from->want, &from->err), ATLS_OK,
                             &from->err);
        sent += n;
        test_assert_code(
            atls_openssl_read(to->conn, got + received, len - received, &n, &to->want, &to->err),
            ATLS_OK, &to->err);
        received += n;
    }
    if (received != len || memcmp(data, got, len) != 0)
        fail_msg("%s: %zu bytes of %zu arrived, or others", row, received, len);
    free(data);
    free(got);
}

void tls_pair_assert_open(const char *row, struct tls_pair *t, size_t len)
{
    if (!t->client.open || !t->server.open)
        fail_msg("%s: client %d: %s; server %d: %s", row, (int)t->client.open,
                 t->client.err.message, (int)t->server.open, t->server.err.message);
    transfer(row, &t->client, &t->server, len);
    transfer(row, &t->server, &t->client, len);
}

/* ---- tickets ---- */

void tls_take_tickets(SSL_CTX *ctx)
{
    unsigned char keys[80] = {1, 2, 3};

    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys), 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"x", 1);
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
}

/* What SSL_CTX_sess_set_new_cb collects. */
static SSL_SESSION *collected;

static int collect(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(collected);
    collected = session;
    return 1;
}

SSL_SESSION *tls_plain_session(const struct test_identity *identity)
{
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method()),
            *server_ctx = SSL_CTX_new(TLS_server_method());
    SSL *client, *server;
    uint8_t byte;
    SSL_SESSION *session;

    tls_use_identity(server_ctx, identity, NULL);
    assert_int_equal(SSL_CTX_set_ciphersuites(server_ctx, "TLS_AES_128_GCM_SHA256"), 1);
    tls_take_tickets(server_ctx);
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, collect);
    client = SSL_new(client_ctx);
    server = SSL_new(server_ctx);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    tls_join(client, server, 100000);
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    (void)SSL_read(client, &byte, 1);
    session = collected;
    collected = NULL;
    assert_non_null(session);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else it counts as bad */
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    ERR_clear_error();
    return session;
}
