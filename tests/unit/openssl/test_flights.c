/* What attestation costs in flights, which on a network are half round trips: inside of the
 * handshake none, beside plain TLS of the same OpenSSL on the same wire. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "pki.h"
#include "tls_pair.h"
#include "wire.h"

struct flights {
    unsigned int client, server;
};

enum sides { SERVER_ATTESTS = 1, CLIENT_ATTESTS = 2, BOTH_ATTEST = 3 };

/* ---- plain TLS ---- */

static void use_certificate(SSL_CTX *ctx)
{
    struct test_identity identity = test_issue(NULL, &(struct test_certificate){0});
    const unsigned char *der = identity.certificate.ptr;
    X509 *x = d2i_X509(NULL, &der, (long)identity.certificate.len);
    struct atls_buf pem = ATLS_BUF_INIT;
    EVP_PKEY *key;
    BIO *bio;

    test_assert_code(atls_private_key_to_pem(identity.key, &pem, NULL), ATLS_OK, NULL);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_int_equal(SSL_CTX_use_cert_and_key(ctx, x, key, NULL, 1), 1);
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(x);
    atls_buf_clear(&pem);
    test_identity_clear(&identity);
}

/* True when the call is done; it has sent what it could and read what there was. */
static bool shake(SSL *ssl)
{
    int done;

    ERR_clear_error();
    if ((done = SSL_do_handshake(ssl)) != 1)
        assert_int_equal(SSL_get_error(ssl, done), SSL_ERROR_WANT_READ);
    return done == 1;
}

static int take_any(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static struct flights plain(bool client_certificate)
{
    SSL_CTX *contexts[2] = {SSL_CTX_new(TLS_client_method()), SSL_CTX_new(TLS_server_method())};
    struct flights out;
    bool done = false;
    struct wire wire;
    SSL *ends[2];

    wire_init(&wire);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(SSL_CTX_set_min_proto_version(contexts[i], TLS1_3_VERSION), 1);
        assert_int_equal(SSL_CTX_set_num_tickets(contexts[i], 0), 1);
        SSL_CTX_set_cert_verify_callback(contexts[i], take_any, NULL);
        if (i == WIRE_SERVER || client_certificate)
            use_certificate(contexts[i]);
    }
    SSL_CTX_set_verify(contexts[WIRE_CLIENT], SSL_VERIFY_PEER, NULL);
    if (client_certificate)
        SSL_CTX_set_verify(contexts[WIRE_SERVER], SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           NULL);
    for (int i = 0; i < 2; i++) {
        BIO *bio = wire_bio(&wire, (enum wire_side)i);

        ends[i] = SSL_new(contexts[i]);
        SSL_set_bio(ends[i], bio, bio);
    }
    SSL_set_connect_state(ends[WIRE_CLIENT]);
    SSL_set_accept_state(ends[WIRE_SERVER]);
    for (int i = 0; i < 8 && !done; i++) {
        const bool client = shake(ends[WIRE_CLIENT]);

        done = shake(ends[WIRE_SERVER]) && client;
    }
    assert_true(done);
    out = (struct flights){wire.ends[WIRE_CLIENT].flights, wire.ends[WIRE_SERVER].flights};
    for (size_t i = 0; i < 2; i++) {
        SSL_free(ends[i]);
        SSL_CTX_free(contexts[i]);
    }
    wire_clear(&wire);
    return out;
}

/* ---- attested ---- */

static void one_sided(struct tls_end *relying, struct tls_end *attesting)
{
    relying->end->attests = false;
    attesting->end->requires = false;
    attesting->end->options.identity = ATLS_IDENTITY_NONE;
    attesting->end->options.evidence_types = NULL;
}

static int accept_any(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static void turn(struct tls_pair *t, struct tls_end *e)
{
    do
        tls_end_step(t, e);
    while (e->code == ATLS_OK && e->want == ATLS_WANT_JOB);
}

/* freshness: of flavour pre. */
struct way {
    enum atls_flavour flavour;
    enum atls_freshness freshness;
    bool async; /* SSL_MODE_ASYNC on the server */
};

static struct flights attested(struct way way, enum sides sides)
{
    struct flights out;
    struct tls_pair t;
    struct wire wire;
    BIO *bio;

    tls_pair_init(&t, way.flavour);
    t.async = way.async;
    t.client.end->options.freshness = t.server.end->options.freshness = way.freshness;
    if (way.flavour == ATLS_FLAVOUR_PRE) /* certificates hold a whole CMW */
        t.client.end->attester.media_type = t.server.end->attester.media_type =
            "application/vnd.example.fake";
    if (sides == SERVER_ATTESTS)
        one_sided(&t.client, &t.server);
    if (sides == CLIENT_ATTESTS)
        one_sided(&t.server, &t.client);
    if (sides == CLIENT_ATTESTS || way.flavour == ATLS_FLAVOUR_POST)
        use_certificate(t.server.ctx);
    SSL_CTX_set_verify(t.client.ctx, SSL_VERIFY_PEER, accept_any);
    tls_pair_start(&t);
    wire_init(&wire);
    bio = wire_bio(&wire, WIRE_CLIENT);
    SSL_set_bio(t.client.ssl, bio, bio);
    bio = wire_bio(&wire, WIRE_SERVER);
    SSL_set_bio(t.server.ssl, bio, bio);
    for (int i = 0; i < 16 && !(t.client.open && t.server.open); i++) {
        turn(&t, &t.client);
        turn(&t, &t.server);
    }
    out = (struct flights){wire.ends[WIRE_CLIENT].flights, wire.ends[WIRE_SERVER].flights};
    tls_pair_assert_open(atls_flavour_name(way.flavour), &t, 1000);
    tls_pair_clear(&t);
    wire_clear(&wire);
    return out;
}

static void assert_flights(const char *what, enum sides sides, struct flights got,
                           struct flights want)
{
    if (got.client != want.client || got.server != want.server)
        fail_msg("%s, sides %d: %u flights of the client and %u of the server, want %u and %u",
                 what, (int)sides, got.client, got.server, want.client, want.server);
}

static void plain_tls_needs_three(void **state)
{
    (void)state;
    assert_flights("plain", SERVER_ATTESTS, plain(false), (struct flights){2, 1});
    assert_flights("plain", BOTH_ATTEST, plain(true), (struct flights){2, 1});
}

static void assert_none_beside(const char *what, struct way way)
{
    for (int sides = SERVER_ATTESTS; sides <= BOTH_ATTEST; sides++)
        assert_flights(what, (enum sides)sides, attested(way, (enum sides)sides),
                       plain((sides & CLIENT_ATTESTS) != 0));
}

static void intra_needs_none_beside(void **state)
{
    (void)state;
    assert_none_beside("intra", (struct way){ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, false});
#ifndef __SANITIZE_THREAD__ /* which cannot follow ASYNC's change of stacks */
    assert_none_beside("intra, ASYNC",
                       (struct way){ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID, true});
#endif
}

static void pre_needs_none_beside(void **state)
{
    (void)state;
    assert_none_beside("pre", (struct way){ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE, false});
    assert_none_beside("pre, nonce", (struct way){ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE, false});
}

/* Request, answer, verdict: what docs/flavours.md says of it. */
static void post_needs_more(void **state)
{
    const struct way post = {ATLS_FLAVOUR_POST, ATLS_FRESHNESS_UNSAID, false};

    (void)state;
    assert_flights("post", SERVER_ATTESTS, attested(post, SERVER_ATTESTS), (struct flights){3, 2});
    assert_flights("post", CLIENT_ATTESTS, attested(post, CLIENT_ATTESTS), (struct flights){3, 3});
    assert_flights("post", BOTH_ATTEST, attested(post, BOTH_ATTEST), (struct flights){3, 3});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_tls_needs_three),
        cmocka_unit_test(intra_needs_none_beside),
        cmocka_unit_test(pre_needs_none_beside),
        cmocka_unit_test(post_needs_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
