/* The pre-handshake flavour over OpenSSL. */
#include "tls/openssl/flavour.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "bind/binder.h"
#include "flavour/base/config.h"
#include "flavour/pre/pre.h"
#include "pki.h"
#include "tls_pair.h"
#include "wire/cmw.h"

#define TYPE "application/vnd.example.fake"

enum who { SERVER = 1, CLIENT = 2, MUTUAL = 3 };

static void attest(struct tls_pair *t, enum who who)
{
    t->p.server.attests = true; /* a server has a certificate all the same */
    t->p.client.attests = (who & CLIENT) != 0;
    t->p.client.requires = (who & SERVER) != 0;
    t->p.server.requires = (who & CLIENT) != 0;
}

static void init(struct tls_pair *t, enum who who, enum atls_freshness freshness)
{
    tls_pair_init(t, ATLS_FLAVOUR_PRE);
    t->p.client.attester.media_type = t->p.server.attester.media_type = TYPE;
    t->p.client.options.freshness = t->p.server.options.freshness = freshness;
    attest(t, who);
}

static void take_passports(struct tls_pair *t)
{
    struct pair_end *const ends[] = {&t->p.client, &t->p.server};

    for (int i = 0; i < 2; i++) {
        ends[i]->has_passport = ends[i]->attests;
        ends[i]->verifier.takes_results = true;
        ends[i]->verifier.wants_binder = ends[i]->options.freshness == ATLS_FRESHNESS_NONCE;
    }
}

static void assert_peer(const char *row, const struct tls_end *e, bool attested)
{
    const bool nonce = e->end->options.freshness == ATLS_FRESHNESS_NONCE;
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(e->conn), &peer);
    if (peer.attested != attested || peer.flavour != ATLS_FLAVOUR_PRE ||
        (attested && (strcmp(peer.binding, "key") != 0 ||
                      strcmp(peer.freshness, nonce ? "nonce" : "none") != 0)))
        fail_msg("%s: peer attested %d, binding %s, freshness %s", row, (int)peer.attested,
                 peer.binding, peer.freshness);
}

/* Fails the test unless the end refused. */
static void assert_refused(const char *row, const struct tls_end *e, enum atls_code code,
                           enum atls_reason reason)
{
    if (e->open || e->code != code || e->err.reason != reason)
        fail_msg("%s: open %d, code %d, %s: %s", row, (int)e->open, (int)e->code,
                 atls_reason_name(e->err.reason), e->err.message);
}

static void attests_every_way_round(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * 2 * 2 * 2 * 2; i++) {
        const enum who who = (enum who)(i % 3 + 1);
        const bool nonce = i / 3 % 2 == 1, passport = i / 6 % 2 == 1, async = i / 24 % 2 == 1;
        struct tls_pair t;
        char row[80];

#if defined(__SANITIZE_THREAD__)
        if (async)
            continue;
#endif
        init(&t, who, nonce ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_NONE);
        t.hrr = i / 12 % 2 == 1;
        t.async = async;
        if (passport)
            take_passports(&t);
        snprintf(row, sizeof row, "who %d, nonce %d, passport %d, hrr %d, async %d", (int)who,
                 (int)nonce, (int)passport, (int)t.hrr, (int)async);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open(row, &t, 50000);
        assert_peer(row, &t.client, (who & SERVER) != 0);
        assert_peer(row, &t.server, (who & CLIENT) != 0);
        /* Whoever attests with a nonce makes a certificate now; the others did in prepare_for. */
        assert_int_equal(t.client.jobs, ((who & SERVER) != 0) + (nonce && (who & CLIENT) != 0));
        /* It does not outlive the handshake; the one of the others is shared. */
        for (int k = 0; k < 2 && nonce; k++)
            assert_null(SSL_get_certificate(k == 0 ? t.client.ssl : t.server.ssl));
        tls_pair_clear(&t);
    }
}

/* The server's certificate as its peer saw it. */
static struct atls_buf shown_to(const struct tls_end *e)
{
    struct atls_buf copy = ATLS_BUF_INIT;
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(e->conn), &peer);
    test_assert_code(atls_buf_copy(&copy, peer.certificate, NULL), ATLS_OK, NULL);
    return copy;
}

static bool same(const struct atls_buf *a, const struct atls_buf *b)
{
    return a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0;
}

/* Connections share a certificate without nonces; with them each has its own. */
static void certificates_of_two_connections(void **state)
{
    (void)state;
    for (int nonce = 0; nonce < 2; nonce++) {
        struct atls_buf first, second;
        struct tls_pair t;

        init(&t, SERVER, nonce ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_NONE);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("first", &t, 10);
        first = shown_to(&t.client);
        tls_pair_disconnect(&t);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("second", &t, 10);
        second = shown_to(&t.client);
        assert_int_equal(same(&first, &second), nonce == 0);
        atls_buf_clear(&first);
        atls_buf_clear(&second);
        tls_pair_clear(&t);
    }
}

/* ---- a peer that does TLS by itself ---- */

static X509 *parse(const struct atls_buf *der)
{
    const unsigned char *at = der->ptr;
    X509 *x = d2i_X509(NULL, &at, (long)der->len);

    if (x == NULL)
        abort();
    return x;
}

static void use(SSL_CTX *ctx, const struct atls_buf *certificate, struct atls_private_key *key)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    X509 *x = parse(certificate);
    EVP_PKEY *pkey;
    BIO *bio;

    test_assert_code(atls_private_key_to_pem(key, &pem, NULL), ATLS_OK, NULL);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_int_equal(SSL_CTX_use_cert_and_key(ctx, x, pkey, NULL, 1), 1);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    X509_free(x);
    atls_buf_clear(&pem);
}

/* OpenSSL's macro takes text that is not const. */
static void set_host(SSL *ssl, const char *host)
{
    char text[256];

    assert_true(snprintf(text, sizeof text, "%s", host) < (int)sizeof text);
    assert_int_equal(SSL_set_tlsext_host_name(ssl, text), 1);
}

/* Replaces the context of one end by one that knows nothing of attestation, and connects. */
static void run_plain(struct tls_pair *t, struct tls_end *plain, SSL_CTX *ctx, const char *host)
{
    struct tls_end *other = plain == &t->client ? &t->server : &t->client;
    struct atls_err err = ATLS_ERR_INIT;

    SSL_CTX_free(plain->ctx);
    plain->ctx = ctx;
    tls_pair_ssl(t);
    if (host != NULL)
        set_host(plain->ssl, host);
    test_assert_code(atls_openssl_new(other->ssl, other->end->config,
                                      other == &t->client ? TLS_PAIR_NAME : NULL, &other->conn,
                                      &err),
                     ATLS_OK, &err);
    for (int i = 0; i < 100; i++) {
        (void)SSL_do_handshake(plain->ssl);
        tls_end_step(t, other);
    }
    ERR_clear_error();
}

/* A certificate of the attester's key with evidence over binder, made by hand. */
static struct atls_buf certificate_over(struct tls_end *e, const struct atls_binder *binder)
{
    const struct atls_challenge challenge = {.binder = atls_binder_bytes(binder),
                                             .profiles = ATLS_PROFILE_KAT};
    struct atls_attester *attester = e->end->config->options.attester;
    struct atls_pre_template template = {.attester = attester, .lifetime_s = 100};
    struct atls_buf cmw = ATLS_BUF_INIT, der = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    template.now_s = (int64_t)time(NULL);
    test_assert_code(atls_attester_evidence_for(attester, &challenge, &cmw, &err), ATLS_OK, &err);
    test_assert_code(atls_pre_wrap(&template, atls_buf_bytes(&cmw), &der, &err), ATLS_OK, &err);
    atls_buf_clear(&cmw);
    return der;
}

/* What a thief of the server's key can show. */
enum stolen { EARLIER_NONCE, NO_NONCE, NOTHING, OTHER_FLAVOUR, STOLEN_COUNT };

static struct atls_buf steal(struct tls_pair *t, enum stolen what)
{
    const uint8_t transcript[32] = {1};
    struct atls_binder_handshake handshake = {
        ATLS_HASH_SHA256, atls_bytes_of(transcript, sizeof transcript), {NULL, 0}};
    struct atls_bytes spki;
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_binder binder;

    if (what == EARLIER_NONCE) {
        tls_pair_start(t);
        tls_pair_run(t);
        tls_pair_assert_open("to be recorded", t, 10);
        der = shown_to(&t->client);
        tls_pair_disconnect(t);
        return der;
    }
    tls_pair_prepare(t);
    spki = handshake.spki = atls_attester_aik_spki(t->server.end->config->options.attester);
    if (what == NOTHING) {
        struct test_certificate spec = {.key = t->server.end->attester.key};
        struct test_identity bare = test_issue(NULL, &spec);

        test_assert_code(atls_buf_copy(&der, atls_buf_bytes(&bare.certificate), NULL), ATLS_OK,
                         NULL);
        bare.key = NULL; /* the attester's */
        test_identity_clear(&bare);
        return der;
    }
    if (what == NO_NONCE)
        test_assert_code(atls_binder_pre(atls_bytes_of(NULL, 0), spki, &binder, NULL), ATLS_OK,
                         NULL);
    else
        test_assert_code(atls_binder_intra(&handshake, &binder, NULL), ATLS_OK, NULL);
    return certificate_over(&t->server, &binder);
}

static void a_stolen_key_does_not_answer_a_nonce(void **state)
{
    static const struct {
        const char *row;
        enum atls_reason reason;
    } rows[STOLEN_COUNT] = {
        [EARLIER_NONCE] = {"nonce of an earlier connection", ATLS_REASON_NONCE_MISMATCH},
        [NO_NONCE] = {"evidence without a nonce", ATLS_REASON_NONCE_MISMATCH},
        [NOTHING] = {"no evidence", ATLS_REASON_NOT_ATTESTED},
        [OTHER_FLAVOUR] = {"evidence of intra", ATLS_REASON_NONCE_MISMATCH},
    };

    (void)state;
    for (int i = 0; i < STOLEN_COUNT; i++) {
        struct atls_buf der;
        struct tls_pair t;
        SSL_CTX *ctx;

        init(&t, SERVER, ATLS_FRESHNESS_NONCE);
        der = steal(&t, (enum stolen)i);
        ctx = SSL_CTX_new(TLS_server_method());
        use(ctx, &der, t.p.server.attester.key);
        run_plain(&t, &t.server, ctx, NULL);
        assert_refused(rows[i].row, &t.client, ATLS_E_EVIDENCE, rows[i].reason);
        assert_int_equal(t.client.alert_sent, SSL_AD_BAD_CERTIFICATE);
        atls_buf_clear(&der);
        tls_pair_clear(&t);
    }
}

/* One connection of two SSLs, as far as it gets. */
static void handshake(SSL *client, SSL *server)
{
    BIO *near = NULL, *far = NULL;

    assert_int_equal(BIO_new_bio_pair(&near, 70000, &far, 70000), 1);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 20; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
}

static struct atls_buf leaf_of(const SSL *client)
{
    X509 *x = SSL_get0_peer_certificate(client);
    unsigned char *der = NULL;
    struct atls_buf copy = ATLS_BUF_INIT;
    const int len = x == NULL ? -1 : i2d_X509(x, &der);

    assert_true(len > 0);
    test_assert_code(atls_buf_copy(&copy, atls_bytes_of(der, (size_t)len), NULL), ATLS_OK, NULL);
    OPENSSL_free(der);
    return copy;
}

/* What nonces do not stop (docs/pre.md): whoever has the key has the real machine answer the
 * victim's nonce. */
static void a_stolen_key_relays_a_nonce(void **state)
{
    SSL_CTX *plain = SSL_CTX_new(TLS_client_method()), *ctx = SSL_CTX_new(TLS_server_method());
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;
    struct atls_peer peer;
    struct atls_buf der;
    SSL *victim, *real, *thief, *show;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONCE);
    tls_pair_prepare(&t);
    victim = SSL_new(t.client.ctx);
    real = SSL_new(t.server.ctx);
    thief = SSL_new(plain);
    SSL_set_connect_state(victim);
    SSL_set_accept_state(real);
    test_assert_code(atls_openssl_attach(victim, t.p.client.config, TLS_PAIR_NAME, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_openssl_attach(real, t.p.server.config, NULL, &err), ATLS_OK, &err);
    set_host(thief, SSL_get_servername(victim, TLSEXT_NAMETYPE_host_name));
    handshake(thief, real);
    der = leaf_of(thief);
    use(ctx, &der, t.p.server.attester.key);
    show = SSL_new(ctx);
    handshake(victim, show);
    test_assert_code(atls_openssl_attested(victim, &peer, &err), ATLS_OK, &err);
    assert_string_equal(peer.freshness, "nonce");
    assert_string_equal(peer.binding, "key");
    SSL_free(victim);
    SSL_free(real);
    SSL_free(thief);
    SSL_free(show);
    SSL_CTX_free(plain);
    SSL_CTX_free(ctx);
    atls_buf_clear(&der);
    tls_pair_clear(&t);
}

/* What freshness none admits, and says so: a replay by whoever has the key. */
static void a_stolen_key_passes_without_nonces(void **state)
{
    struct atls_buf der;
    struct tls_pair t;
    SSL_CTX *ctx;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONE);
    der = steal(&t, NO_NONCE);
    ctx = SSL_CTX_new(TLS_server_method());
    use(ctx, &der, t.p.server.attester.key);
    run_plain(&t, &t.server, ctx, NULL);
    assert_true(t.client.open);
    assert_peer("replayed", &t.client, true);
    atls_buf_clear(&der);
    tls_pair_clear(&t);
}

/* The same towards a server: the client answers the nonce of another connection. */
static void a_server_refuses_an_earlier_nonce(void **state)
{
    struct atls_buf der;
    struct tls_pair t;
    SSL_CTX *ctx;

    (void)state;
    init(&t, CLIENT, ATLS_FRESHNESS_NONCE);
    tls_pair_start(&t);
    tls_pair_run(&t);
    tls_pair_assert_open("to be recorded", &t, 10);
    der = shown_to(&t.server);
    tls_pair_disconnect(&t);
    ctx = SSL_CTX_new(TLS_client_method());
    use(ctx, &der, t.p.client.attester.key);
    run_plain(&t, &t.client, ctx,
              "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qa.atls.invalid");
    assert_refused("earlier nonce", &t.server, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
    atls_buf_clear(&der);
    tls_pair_clear(&t);
}

/* Clients without a nonce get no certificate of a server that wants one. */
static void a_server_refuses_clients_without_a_nonce(void **state)
{
    static const char *const hosts[] = {
        NULL, TLS_PAIR_NAME, "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qb.atls.invalid"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tls_pair t;

        init(&t, SERVER, ATLS_FRESHNESS_NONCE);
        tls_pair_prepare(&t);
        run_plain(&t, &t.client, SSL_CTX_new(TLS_client_method()), hosts[i]);
        assert_refused(hosts[i] == NULL ? "no name" : hosts[i], &t.server, ATLS_E_PROTOCOL,
                       ATLS_REASON_NONCE_MISMATCH);
        assert_non_null(strstr(t.server.err.message, "no nonce"));
        tls_pair_clear(&t);
    }
}

/* Others that know nothing of all this connect to a server without nonces. */
static void plain_clients_connect_without_nonces(void **state)
{
    struct tls_pair t;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONE);
    tls_pair_prepare(&t);
    run_plain(&t, &t.client, SSL_CTX_new(TLS_client_method()), TLS_PAIR_NAME);
    assert_true(t.server.open);
    tls_pair_clear(&t);
}

/* ---- two ends of ours that do not agree ---- */

static void server_without_nonces(struct tls_pair *t)
{
    t->p.server.options.freshness = ATLS_FRESHNESS_NONE;
}

static void client_without_nonces(struct tls_pair *t)
{
    t->p.client.options.freshness = ATLS_FRESHNESS_NONE;
}

static void wrong_binder(struct tls_pair *t)
{
    t->p.server.attester.wrong_binder = true;
}

static void wrong_key(struct tls_pair *t)
{
    t->p.server.attester.wrong_key = true;
}

static void refused_by_policy(struct tls_pair *t)
{
    t->p.client.verifier.contraindicated = true;
}

static void attester_fails(struct tls_pair *t)
{
    t->p.server.attester.fail_evidence = ATLS_E_DEVICE;
}

static void verifier_fails(struct tls_pair *t)
{
    t->p.client.verifier.fail = ATLS_E_UNAVAILABLE;
}

static void old_result(struct tls_pair *t)
{
    take_passports(t);
    t->p.server.passport.wrong_binder = true;
}

static void pkix(struct tls_pair *t)
{
    t->p.client.options.identity = ATLS_IDENTITY_PKIX;
    t->p.client.options.system_anchors = true;
}

static void same_key(struct tls_pair *t)
{
    t->p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
}

static void two_ends_that_do_not_agree(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct tls_pair *t);
        bool by_server;
        enum atls_code code;
        enum atls_reason reason;
        int alert; /* 0: not looked at */
    } rows[] = {
        {"server without nonces", server_without_nonces, false, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH, 42},
        {"client without nonces", client_without_nonces, true, ATLS_E_PROTOCOL,
         ATLS_REASON_NONCE_MISMATCH, 0},
        {"evidence answers another challenge", wrong_binder, false, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH, 42},
        {"evidence names another key", wrong_key, false, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH, 42},
        {"policy", refused_by_policy, false, ATLS_E_REFUSED, ATLS_REASON_POLICY, 42},
        {"attester fails", attester_fails, true, ATLS_E_DEVICE, ATLS_REASON_NONE, 0},
        {"verifier fails", verifier_fails, false, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE, 80},
        {"result of before", old_result, false, ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH, 42},
        {"pkix, self-signed", pkix, false, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT, 48},
        {"same-key, self-signed", same_key, false, ATLS_E_CERTIFICATE,
         ATLS_REASON_IDENTITY_MISMATCH, 48},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_pair t;
        struct tls_end *refusing = rows[i].by_server ? &t.server : &t.client;

        init(&t, SERVER, ATLS_FRESHNESS_NONCE);
        rows[i].change(&t);
        tls_pair_start(&t);
        tls_pair_run(&t);
        assert_refused(rows[i].name, refusing, rows[i].code, rows[i].reason);
        assert_false(t.client.open || t.server.open);
        if (rows[i].alert != 0 && refusing->alert_sent != rows[i].alert)
            fail_msg("%s: alert %d", rows[i].name, refusing->alert_sent);
        tls_pair_clear(&t);
    }
}

/* A client shows nothing to a server that does not ask with a nonce. */
static void a_client_shows_nothing_unasked(void **state)
{
    (void)state;
    for (int require = 0; require < 2; require++) {
        struct tls_pair t;
        struct atls_peer peer;

        init(&t, SERVER, ATLS_FRESHNESS_NONCE);
        t.p.client.attests = true;
        t.p.client.options.require_self = require == 1;
        tls_pair_start(&t);
        tls_pair_run(&t);
        if (require == 1) {
            assert_refused("not asked", &t.client, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED);
        } else {
            tls_pair_assert_open("not asked", &t, 10);
            atls_session_peer(atls_openssl_session(t.client.conn), &peer);
            assert_false(peer.self_attested);
        }
        tls_pair_clear(&t);
    }
}

/* A plain server that asks for a client's certificate, but names no nonce, or two. */
static void a_client_answers_one_nonce_alone(void **state)
{
    (void)state;
    for (int nonces = 0; nonces < 3; nonces++)
        for (int require = 0; require < 2; require++) {
            struct test_identity leaf = test_leaf(NULL, TLS_PAIR_NAME, ATLS_KEY_P256);
            SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
            STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
            struct tls_pair t;

            init(&t, CLIENT, ATLS_FRESHNESS_NONCE);
            t.p.client.options.require_self = require == 1;
            tls_pair_prepare(&t);
            use(ctx, &leaf.certificate, leaf.key);
            SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
            for (int i = 0; i < nonces; i++) {
                struct atls_pre_nonce nonce = {{(uint8_t)i}};
                struct atls_buf der = ATLS_BUF_INIT;
                const unsigned char *at;

                test_assert_code(atls_pre_authority_make(&nonce, &der, NULL), ATLS_OK, NULL);
                at = der.ptr;
                assert_true(sk_X509_NAME_push(names, d2i_X509_NAME(NULL, &at, (long)der.len)) > 0);
                atls_buf_clear(&der);
            }
            SSL_CTX_set_client_CA_list(ctx, names);
            run_plain(&t, &t.server, ctx, NULL);
            assert_int_equal(t.client.open, nonces == 1 || (nonces == 0 && require == 0));
            if (!t.client.open)
                assert_refused("nonces", &t.client, ATLS_E_PROTOCOL, ATLS_REASON_NONCE_MISMATCH);
            assert_int_equal(t.client.jobs, nonces == 1);
            test_identity_clear(&leaf);
            tls_pair_clear(&t);
        }
}

/* ---- identity by a CA ---- */

struct ca_files {
    struct test_identity ca, leaf;
    struct atls_buf ca_pem;
    char path[64];
};

/* A file with a certificate that the CA issued for the server's AIK; with evidence or without. */
static void issue(struct tls_pair *t, struct ca_files *f, bool with_evidence)
{
    static const char *const names[] = {TLS_PAIR_NAME, NULL};
    struct atls_certificate_extra extra = {.critical = false};
    struct atls_buf der = ATLS_BUF_INIT, pem = ATLS_BUF_INIT, value = ATLS_BUF_INIT;
    struct fake_attester copy = {.media_type = TYPE};
    struct atls_attester *attester;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_certificate_spec spec;
    int fd;

    f->ca = test_ca("pre");
    test_assert_code(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&f->ca.certificate), &f->ca_pem, &err),
        ATLS_OK, &err);
    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &t->p.server.attester.key, &err),
                     ATLS_OK, &err);
    copy.key = atls_private_key_ref(t->p.server.attester.key);
    attester = fake_attester_open(&copy);
    spec = (struct atls_certificate_spec){
        .common_name = "server",
        .dns_names = names,
        .not_before_s = (int64_t)time(NULL) - 100,
        .not_after_s = (int64_t)time(NULL) + 10000,
        .scheme = atls_private_key_scheme(f->ca.key),
        .spki = atls_attester_aik_spki(attester),
        .sign = atls_private_key_sign_function,
        .sign_arg = f->ca.key,
        .issuer_certificate = atls_buf_bytes(&f->ca.certificate),
        .extra = &extra,
        .extra_count = with_evidence ? 1 : 0,
    };
    if (with_evidence) {
        struct atls_writer w = atls_writer_init(4096);
        struct atls_bytes oid;
        struct atls_binder binder;
        struct atls_buf cmw = ATLS_BUF_INIT;
        const struct atls_challenge challenge = {.binder = atls_bytes_of(binder.data, 32),
                                                 .profiles = ATLS_PROFILE_KAT};

        test_assert_code(atls_binder_pre(atls_bytes_of(NULL, 0), spec.spki, &binder, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_attester_evidence_for(attester, &challenge, &cmw, &err), ATLS_OK,
                         &err);
        const struct atls_cmw_x509 v = {.cmw = atls_buf_bytes(&cmw)};
        test_assert_code(atls_cmw_x509_encode(&v, &w, &err), ATLS_OK, &err);
        test_assert_code(atls_writer_finish(&w, &value, &err), ATLS_OK, &err);
        assert_int_equal(atls_ra_tls_oids(&oid, 1), 1);
        extra.oid = oid;
        extra.value = atls_buf_bytes(&value);
        atls_buf_clear(&cmw);
    }
    test_assert_code(atls_certificate_make(&spec, &der, &err), ATLS_OK, &err);
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&der), &pem, &err), ATLS_OK,
                     &err);
    strcpy(f->path, "/tmp/atls-test-pre-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0 && write(fd, pem.ptr, pem.len) == (ssize_t)pem.len);
    close(fd);
    t->p.server.attester.certificate = f->path;
    t->p.client.options.identity = ATLS_IDENTITY_PKIX;
    t->p.client.options.anchors = atls_buf_bytes(&f->ca_pem);
    atls_attester_unref(attester);
    atls_buf_clear(&der);
    atls_buf_clear(&pem);
    atls_buf_clear(&value);
}

static void ca_files_clear(struct ca_files *f)
{
    unlink(f->path);
    test_identity_clear(&f->ca);
    atls_buf_clear(&f->ca_pem);
}

/* {the CA's certificate holds the evidence, or stands behind one that does} */
static void identity_by_a_ca(void **state)
{
    static const struct {
        const char *name;
        bool with_evidence;
        enum atls_freshness freshness;
        bool same_key;
        bool opens;
    } rows[] = {
        {"evidence in the CA's certificate", true, ATLS_FRESHNESS_NONE, false, true},
        {"evidence in the CA's certificate, same-key", true, ATLS_FRESHNESS_NONE, true, true},
        {"kept certificate, the CA's behind", false, ATLS_FRESHNESS_NONE, false, true},
        {"fresh certificate, the CA's behind", false, ATLS_FRESHNESS_NONCE, false, true},
        {"fresh certificate, same-key", false, ATLS_FRESHNESS_NONCE, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ca_files f;
        struct tls_pair t;

        memset(&f, 0, sizeof f);
        init(&t, SERVER, rows[i].freshness);
        issue(&t, &f, rows[i].with_evidence);
        if (rows[i].same_key) {
            X509 *x = parse(&f.ca.certificate);

            t.p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
            t.p.client.options.anchors = atls_bytes_of(NULL, 0);
            assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(t.client.ctx), x), 1);
            X509_free(x);
        }
        tls_pair_start(&t);
        tls_pair_run(&t);
        if (rows[i].opens)
            tls_pair_assert_open(rows[i].name, &t, 10);
        else
            assert_refused(rows[i].name, &t.client, ATLS_E_CERTIFICATE,
                           ATLS_REASON_IDENTITY_MISMATCH);
        tls_pair_clear(&t);
        ca_files_clear(&f);
    }
}

static void a_ca_issued_for_another_name(void **state)
{
    struct ca_files f;
    struct tls_pair t;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(&f, 0, sizeof f);
    init(&t, SERVER, ATLS_FRESHNESS_NONCE);
    issue(&t, &f, false);
    tls_pair_prepare(&t);
    tls_pair_ssl(&t);
    test_assert_code(
        atls_openssl_new(t.client.ssl, t.p.client.config, "else.example", &t.client.conn, &err),
        ATLS_OK, &err);
    test_assert_code(atls_openssl_new(t.server.ssl, t.p.server.config, NULL, &t.server.conn, &err),
                     ATLS_OK, &err);
    tls_pair_run(&t);
    assert_refused("another name", &t.client, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME);
    tls_pair_clear(&t);
    ca_files_clear(&f);
}

/* ---- time ---- */

static int64_t shifted(void *arg)
{
    return (int64_t)time(NULL) + *(const int64_t *)arg;
}

/* Kept certificates: used, renewed when half of their life is over, refused when out of date. */
static void renewal(void **state)
{
    int64_t shift = 0;
    struct atls_buf shown[4];
    struct tls_pair t;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONE);
    t.p.server.options.clock = t.p.client.options.clock =
        (struct atls_clock){&shift, shifted, NULL};
    t.p.server.options.certificate_lifetime_s = 1000;
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            shift = 600;
        if (i == 3) { /* the new one cannot be made, and the old one is valid yet */
            shift = 1200;
            t.p.server.attester.fail_evidence = ATLS_E_DEVICE;
        }
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("renewal", &t, 10);
        assert_int_equal(t.server.jobs, i >= 2);
        shown[i] = shown_to(&t.client);
        tls_pair_disconnect(&t);
    }
    assert_true(same(&shown[0], &shown[1]));
    assert_false(same(&shown[1], &shown[2]));
    assert_true(same(&shown[2], &shown[3]));
    shift = 2000; /* nothing to show */
    tls_pair_start(&t);
    tls_pair_run(&t);
    assert_refused("none left", &t.server, ATLS_E_DEVICE, ATLS_REASON_NONE);
    tls_pair_disconnect(&t);
    t.p.server.attester.fail_evidence = ATLS_OK;
    tls_pair_start(&t);
    tls_pair_run(&t);
    tls_pair_assert_open("made again", &t, 10);
    for (int i = 0; i < 4; i++)
        atls_buf_clear(&shown[i]);
    tls_pair_clear(&t);
}

static void a_client_that_is_ahead_of_time(void **state)
{
    int64_t shift = 86400 + 100;
    struct tls_pair t;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONE);
    t.p.client.options.clock = (struct atls_clock){&shift, shifted, NULL};
    tls_pair_start(&t);
    tls_pair_run(&t);
    assert_refused("expired", &t.client, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED);
    assert_int_equal(t.client.alert_sent, SSL_AD_CERTIFICATE_EXPIRED);
    tls_pair_clear(&t);
}

/* ---- what a program may do wrong ---- */

static void the_first_certificate_is_made_at_once(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONE);
    t.p.server.attester.fail_evidence = ATLS_E_DEVICE;
    pair_configure(&t.p);
    test_assert_code(atls_openssl_prepare_for(t.server.ctx, t.p.server.config, &err), ATLS_E_DEVICE,
                     &err);
    tls_pair_clear(&t);
}

static void names_that_cannot_carry_a_nonce(void **state)
{
    char name[202];
    struct atls_err err = ATLS_ERR_INIT;
    struct tls_pair t;

    (void)state;
    memset(name, 'n', sizeof name);
    for (size_t i = 60; i < sizeof name; i += 61)
        name[i] = '.';
    name[sizeof name - 1] = '\0';
    init(&t, SERVER, ATLS_FRESHNESS_NONCE);
    tls_pair_prepare(&t);
    tls_pair_ssl(&t);
    test_assert_code(atls_openssl_new(t.client.ssl, t.p.client.config, name, &t.client.conn, &err),
                     ATLS_E_CONFIG, &err);
    tls_pair_clear(&t);
}

static void a_server_name_of_the_program_instead(void **state)
{
    struct tls_pair t;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONCE);
    tls_pair_start(&t);
    set_host(t.client.ssl, TLS_PAIR_NAME);
    tls_pair_run(&t);
    assert_refused("other name", &t.server, ATLS_E_PROTOCOL, ATLS_REASON_NONCE_MISMATCH);
    tls_pair_clear(&t);
}

/* A callback of the program moves the connection to a context of its own. */
static int move_to(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    return SSL_set_SSL_CTX(ssl, arg) == NULL ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

static void another_context(void **state)
{
    SSL_CTX *other = SSL_CTX_new(TLS_server_method());
    struct tls_pair t;

    (void)state;
    init(&t, SERVER, ATLS_FRESHNESS_NONCE);
    tls_pair_prepare(&t);
    SSL_CTX_set_tlsext_servername_callback(t.server.ctx, move_to);
    SSL_CTX_set_tlsext_servername_arg(t.server.ctx, other);
    tls_pair_start(&t);
    tls_pair_run(&t);
    assert_false(t.server.open);
    assert_int_not_equal(t.server.code, ATLS_OK);
    tls_pair_clear(&t);
    SSL_CTX_free(other);
}

/* Connections that end while a certificate is made, on either side. */
static void given_up_while_a_job_is_out(void **state)
{
    (void)state;
    for (int run = 0; run < 2; run++) {
        struct tls_pair t;

        init(&t, MUTUAL, ATLS_FRESHNESS_NONCE);
        t.hold_jobs = true;
        tls_pair_start(&t);
        tls_pair_run(&t);
        assert_non_null(t.server.job);
        if (run == 1)
            atls_job_run(t.server.job);
        tls_pair_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attests_every_way_round),
        cmocka_unit_test(certificates_of_two_connections),
        cmocka_unit_test(a_stolen_key_does_not_answer_a_nonce),
        cmocka_unit_test(a_stolen_key_relays_a_nonce),
        cmocka_unit_test(a_stolen_key_passes_without_nonces),
        cmocka_unit_test(a_server_refuses_an_earlier_nonce),
        cmocka_unit_test(a_server_refuses_clients_without_a_nonce),
        cmocka_unit_test(plain_clients_connect_without_nonces),
        cmocka_unit_test(two_ends_that_do_not_agree),
        cmocka_unit_test(a_client_shows_nothing_unasked),
        cmocka_unit_test(a_client_answers_one_nonce_alone),
        cmocka_unit_test(identity_by_a_ca),
        cmocka_unit_test(a_ca_issued_for_another_name),
        cmocka_unit_test(renewal),
        cmocka_unit_test(a_client_that_is_ahead_of_time),
        cmocka_unit_test(the_first_certificate_is_made_at_once),
        cmocka_unit_test(names_that_cannot_carry_a_nonce),
        cmocka_unit_test(a_server_name_of_the_program_instead),
        cmocka_unit_test(another_context),
        cmocka_unit_test(given_up_while_a_job_is_out),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
