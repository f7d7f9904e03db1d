/* An SSL that goes through a second handshake, or is asked for a second certificate: what was
 * judged in the first is no verdict on it. */
#include "tls/openssl/flavour.h"

#include <string.h>

#include "testlib.h"

#include <openssl/err.h>

#include "tls_pair.h"

#define ROOM 200000

static const enum atls_flavour flavours[] = {ATLS_FLAVOUR_INTRA, ATLS_FLAVOUR_PRE};
#define FLAVOURS (sizeof flavours / sizeof flavours[0])

/* A server that anybody could be, with a certificate of its own making. */
struct impostor {
    struct test_identity identity;
    SSL_CTX *ctx;
    SSL *ssl;
};

static void impostor_init(struct impostor *i)
{
    *i = (struct impostor){.identity = test_ca(TLS_PAIR_NAME)};
    i->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(i->ctx);
    tls_use_identity(i->ctx, &i->identity, NULL);
    i->ssl = SSL_new(i->ctx);
    assert_non_null(i->ssl);
    SSL_set_accept_state(i->ssl);
}

static void impostor_clear(struct impostor *i)
{
    SSL_free(i->ssl);
    SSL_CTX_free(i->ctx);
    test_identity_clear(&i->identity);
}

static void shake_hands(SSL *a, SSL *b)
{
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(a);
        ERR_clear_error();
        (void)SSL_do_handshake(b);
    }
}

static void attach(struct tls_pair *t)
{
    struct atls_err err = ATLS_ERR_INIT;

    tls_pair_prepare(t);
    tls_pair_ssl(t);
    tls_join(t->client.ssl, t->server.ssl, ROOM);
    test_assert_code(atls_openssl_attach(t->client.ssl, t->p.client.config, TLS_PAIR_NAME, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_openssl_attach(t->server.ssl, t->p.server.config, NULL, &err), ATLS_OK,
                     &err);
}

static void init(struct tls_pair *t, enum atls_flavour flavour)
{
    tls_pair_init(t, flavour);
    if (flavour == ATLS_FLAVOUR_PRE) /* certificates hold a whole CMW */
        t->p.client.attester.media_type = t->p.server.attester.media_type =
            "application/vnd.example.fake";
}

static void begin(struct tls_pair *t, enum atls_flavour flavour)
{
    init(t, flavour);
    attach(t);
}

static void begin_open(struct tls_pair *t, enum atls_flavour flavour)
{
    struct atls_err err = ATLS_ERR_INIT;

    begin(t, flavour);
    shake_hands(t->client.ssl, t->server.ssl);
    test_assert_code(atls_openssl_attested(t->client.ssl, NULL, &err), ATLS_OK, &err);
    test_assert_code(atls_openssl_attested(t->server.ssl, NULL, &err), ATLS_OK, &err);
}

/* True when a byte of application data gets from one to the other. */
static bool passes(SSL *from, SSL *to)
{
    uint8_t byte = 7, got = 0;
    size_t n;

    ERR_clear_error();
    return SSL_write_ex(from, &byte, 1, &n) == 1 && SSL_read_ex(to, &got, 1, &n) == 1 && got == 7;
}

static void assert_worthless(struct tls_pair *t, SSL *peer, const char *row)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (passes(t->client.ssl, peer) || passes(peer, t->client.ssl))
        fail_msg("%s: data moves", row);
    if (atls_openssl_attested(t->client.ssl, NULL, &err) == ATLS_OK)
        fail_msg("%s: counts as attested", row);
}

/* SSL_clear, as programs do that connect again with the same SSL. */
static void is_worth_nothing_to_another_server(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct impostor other;
        struct tls_pair t;

        impostor_init(&other);
        begin_open(&t, flavours[i]);
        assert_int_equal(SSL_clear(t.client.ssl), 1);
        tls_join(t.client.ssl, other.ssl, ROOM);
        shake_hands(t.client.ssl, other.ssl);
        assert_worthless(&t, other.ssl, atls_flavour_name(flavours[i]));
        tls_pair_clear(&t);
        impostor_clear(&other);
    }
}

/* The same when the program takes no notice of certificates by itself. */
static void is_worth_nothing_without_verification(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct impostor other;
        struct tls_pair t;

        impostor_init(&other);
        begin_open(&t, flavours[i]);
        assert_int_equal(SSL_clear(t.client.ssl), 1);
        SSL_set_verify(t.client.ssl, SSL_VERIFY_NONE, NULL);
        tls_join(t.client.ssl, other.ssl, ROOM);
        shake_hands(t.client.ssl, other.ssl);
        assert_worthless(&t, other.ssl, atls_flavour_name(flavours[i]));
        tls_pair_clear(&t);
        impostor_clear(&other);
    }
}

/* The server was judged and accepted, and then the line was cut: its verdict is not for the next.
 */
static void is_worth_nothing_after_half_a_handshake(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct impostor other;
        struct tls_pair t;

        impostor_init(&other);
        begin(&t, flavours[i]);
        (void)SSL_do_handshake(t.client.ssl);
        (void)SSL_do_handshake(t.server.ssl);
        assert_int_equal(SSL_do_handshake(t.client.ssl), 1);
        assert_int_equal(SSL_clear(t.client.ssl), 1);
        tls_join(t.client.ssl, other.ssl, ROOM);
        shake_hands(t.client.ssl, other.ssl);
        assert_worthless(&t, other.ssl, atls_flavour_name(flavours[i]));
        tls_pair_clear(&t);
        impostor_clear(&other);
    }
}

static void is_open_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;

        begin_open(&t, flavours[i]);
        assert_true(passes(t.client.ssl, t.server.ssl));
        assert_int_equal(SSL_clear(t.client.ssl), 1);
        assert_int_equal(SSL_clear(t.server.ssl), 1);
        tls_join(t.client.ssl, t.server.ssl, ROOM);
        shake_hands(t.client.ssl, t.server.ssl);
        assert_worthless(&t, t.server.ssl, atls_flavour_name(flavours[i]));
        assert_true(atls_openssl_attested(t.server.ssl, NULL, &err) != ATLS_OK);
        tls_pair_clear(&t);
    }
}

/* ---- a certificate after the handshake (RFC 8446 section 4.6.2) ---- */

static void takes_no_second_certificate(void **state)
{
    struct impostor other;

    (void)state;
    impostor_init(&other);
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t byte;
        size_t n;

        begin(&t, flavours[i]);
        SSL_set_post_handshake_auth(t.client.ssl, 1);
        shake_hands(t.client.ssl, t.server.ssl);
        test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_OK, &err);
        test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_OK, &err);
        /* A client that shows another certificate now, which has no evidence at all. */
        SSL_set_cert_cb(t.client.ssl, NULL, NULL);
        assert_int_equal(SSL_use_cert_and_key(t.client.ssl, SSL_CTX_get0_certificate(other.ctx),
                                              SSL_CTX_get0_privatekey(other.ctx), NULL, 1),
                         1);
        assert_int_equal(SSL_verify_client_post_handshake(t.server.ssl), 1);
        assert_int_equal(SSL_do_handshake(t.server.ssl), 1);
        ERR_clear_error();
        assert_int_equal(SSL_read_ex(t.client.ssl, &byte, 1, &n), 0);
        ERR_clear_error();
        assert_int_equal(SSL_read_ex(t.server.ssl, &byte, 1, &n), 0);
        assert_int_equal(SSL_get_error(t.server.ssl, 0), SSL_ERROR_SSL);
        assert_false(passes(t.client.ssl, t.server.ssl));
        tls_pair_clear(&t);
    }
    impostor_clear(&other);
}

/* ---- a callback that took the place of ours ---- */

static unsigned int told;

static void tell(const SSL *ssl, int where, int ret)
{
    (void)ssl;
    (void)where;
    (void)ret;
    told++;
}

/* Set after the connection was attached, it is called on, and changes nothing. */
static void stays_shut_whose_state_callback_is_late(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;

        told = 0;
        begin(&t, flavours[i]);
        SSL_set_info_callback(t.client.ssl, tell);
        SSL_set_info_callback(t.server.ssl, tell);
        shake_hands(t.client.ssl, t.server.ssl);
        assert_true(SSL_is_init_finished(t.client.ssl) && SSL_is_init_finished(t.server.ssl));
        assert_true(told > 0);
        assert_false(passes(t.client.ssl, t.server.ssl));
        assert_false(passes(t.server.ssl, t.client.ssl));
        test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_OK, &err);
        test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_OK, &err);
        assert_true(passes(t.client.ssl, t.server.ssl));
        tls_pair_clear(&t);
    }
}

/* ---- data that came with the end of the handshake ---- */

/* A client is open first, and what it says may be there when the server is still to ask what
 * attestation came to: it must not be lost, however the server drives its handshake. */
static void loses_nothing_that_came_early(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const bool reads = i % 2 == 1, ahead = i / 2 == 1;
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t buf[16] = {0};
        size_t n = 0;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        SSL_CTX_set_read_ahead(t.server.ctx, ahead);
        attach(&t);
        (void)SSL_do_handshake(t.client.ssl);
        (void)SSL_do_handshake(t.server.ssl);
        assert_int_equal(SSL_do_handshake(t.client.ssl), 1);
        test_assert_code(atls_openssl_attested(t.client.ssl, NULL, &err), ATLS_OK, &err);
        assert_int_equal(SSL_write_ex(t.client.ssl, "first", 5, &n), 1);
        ERR_clear_error();
        if (reads)
            assert_int_equal(SSL_read_ex(t.server.ssl, buf, sizeof buf, &n), 0);
        else
            assert_int_equal(SSL_do_handshake(t.server.ssl), 1);
        test_assert_code(atls_openssl_attested(t.server.ssl, NULL, &err), ATLS_OK, &err);
        ERR_clear_error();
        assert_int_equal(SSL_read_ex(t.server.ssl, buf, sizeof buf, &n), 1);
        assert_int_equal(n, 5);
        assert_memory_equal(buf, "first", 5);
        assert_int_equal(SSL_get_read_ahead(t.server.ssl), ahead);
        tls_pair_clear(&t);
    }
}

/* ---- a context that takes over (server_name) ---- */

static int take_over(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    return SSL_set_SSL_CTX(ssl, arg) == NULL ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

/* A server that attests to those who ask has a second name, behind which clients must attest. */
static void is_not_of_two_configurations(void **state)
{
    static char name[] = TLS_PAIR_NAME;

    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct tls_pair t, strict;
        struct atls_err err = ATLS_ERR_INIT;
        SSL_CTX *plain = SSL_CTX_new(TLS_client_method());
        SSL *client = SSL_new(plain);

        init(&strict, flavours[i]);
        tls_pair_prepare(&strict);
        init(&t, flavours[i]);
        t.p.server.requires = t.p.client.attests = false;
        tls_pair_prepare(&t);
        SSL_CTX_set_tlsext_servername_callback(t.server.ctx, take_over);
        SSL_CTX_set_tlsext_servername_arg(t.server.ctx, strict.server.ctx);
        tls_pair_ssl(&t);
        SSL_set_connect_state(client);
        SSL_set_tlsext_host_name(client, name);
        tls_join(client, t.server.ssl, ROOM);
        test_assert_code(atls_openssl_attach(t.server.ssl, t.p.server.config, NULL, &err), ATLS_OK,
                         &err);
        shake_hands(client, t.server.ssl);
        if (atls_openssl_attested(t.server.ssl, NULL, &err) == ATLS_OK)
            fail_msg("%s: attested by the configuration of another context",
                     atls_flavour_name(flavours[i]));
        assert_false(passes(client, t.server.ssl));
        assert_false(passes(t.server.ssl, client));
        SSL_free(client);
        SSL_CTX_free(plain);
        tls_pair_clear(&t);
        tls_pair_clear(&strict);
    }
}

/* ---- what a connection that lasts keeps ---- */

/* Evidence may have 64 KiB on each side, and certificates that hold it as much again. */
static void keeps_nothing_of_the_handshake(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVOURS; i++) {
        struct tls_pair t;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_peer peer;

        begin_open(&t, flavours[i]);
        for (int server = 0; server < 2; server++) {
            SSL *ssl = server ? t.server.ssl : t.client.ssl;
            const struct atls_handshake *h = atls_handshake_of(ssl);

            if (h == NULL || h->own != NULL || h->result != NULL || h->certificate.len != 0)
                fail_msg("%s: something is kept", atls_flavour_name(flavours[i]));
            test_assert_code(atls_openssl_attested(ssl, &peer, &err), ATLS_OK, &err);
            assert_true(peer.attested);
            assert_non_null(peer.result);
            assert_int_not_equal(peer.certificate.len, 0);
        }
        assert_true(passes(t.client.ssl, t.server.ssl));
        tls_pair_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_worth_nothing_to_another_server),
        cmocka_unit_test(is_worth_nothing_without_verification),
        cmocka_unit_test(is_worth_nothing_after_half_a_handshake),
        cmocka_unit_test(is_open_once),
        cmocka_unit_test(takes_no_second_certificate),
        cmocka_unit_test(stays_shut_whose_state_callback_is_late),
        cmocka_unit_test(loses_nothing_that_came_early),
        cmocka_unit_test(is_not_of_two_configurations),
        cmocka_unit_test(keeps_nothing_of_the_handshake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
