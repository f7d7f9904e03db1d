/* Attestation of the peer that is asked for and not insisted on, in handshakes of OpenSSL: with
 * peers that know nothing of it, and with such as attest. */
#include "tls/openssl/flavour.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "testlib.h"

#include <openssl/err.h>

#include "tls_pair.h"

#define ROOM 200000

/* Certificates hold CMWs. */
static void make_cmws(struct tls_pair *t)
{
    static const char record[] = "application/vnd.example.fake";

    t->p.client.attester.media_type = t->p.server.attester.media_type = record;
}

static const enum atls_flavour inside[] = {ATLS_FLAVOUR_INTRA, ATLS_FLAVOUR_PRE};

static struct atls_buf pem_of(const struct test_identity *identity)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    test_assert_code(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&identity->certificate), &pem, NULL), ATLS_OK,
        NULL);
    return pem;
}

/* ---- peers that know nothing of attestation ---- */

struct pki {
    struct test_identity ca, other, good, elsewhere, stranger;
    struct atls_buf ca_pem;
};

static void make_pki(struct pki *p)
{
    p->ca = test_ca("ca");
    p->other = test_ca("other");
    p->good = test_leaf(&p->ca, TLS_PAIR_NAME, ATLS_KEY_P256);
    p->elsewhere = test_leaf(&p->ca, "elsewhere.example", ATLS_KEY_P256);
    p->stranger = test_leaf(&p->other, TLS_PAIR_NAME, ATLS_KEY_P256);
    p->ca_pem = pem_of(&p->ca);
}

static void clear_pki(struct pki *p)
{
    test_identity_clear(&p->ca);
    test_identity_clear(&p->other);
    test_identity_clear(&p->good);
    test_identity_clear(&p->elsewhere);
    test_identity_clear(&p->stranger);
    atls_buf_clear(&p->ca_pem);
}

enum shown { NOTHING, GOOD, ELSEWHERE, STRANGER };

struct plain_row {
    const char *name;
    bool plain_server; /* otherwise the client is */
    enum atls_identity identity;
    enum shown shown;
    bool trusts;  /* TLS trusts ca */
    bool insists; /* the program on a certificate (of a client) */
    bool passes;
    enum atls_reason reason;
};

static const struct plain_row plain_rows[] = {
    {"server, pkix", true, ATLS_IDENTITY_PKIX, GOOD, false, false, true, ATLS_REASON_NONE},
    {"server of another name, pkix", true, ATLS_IDENTITY_PKIX, ELSEWHERE, true, false, false,
     ATLS_REASON_CERTIFICATE_NAME},
    {"server of another authority, pkix", true, ATLS_IDENTITY_PKIX, STRANGER, false, false, false,
     ATLS_REASON_UNTRUSTED_ROOT},
    {"server that TLS trusts", true, ATLS_IDENTITY_ATTESTED, GOOD, true, false, true,
     ATLS_REASON_NONE},
    {"server that TLS trusts by another name", true, ATLS_IDENTITY_ATTESTED, ELSEWHERE, true, false,
     false, ATLS_REASON_IDENTITY_MISMATCH},
    {"server that TLS does not trust", true, ATLS_IDENTITY_ATTESTED, GOOD, false, false, false,
     ATLS_REASON_IDENTITY_MISMATCH},
    {"server that TLS trusts, same-key", true, ATLS_IDENTITY_SAME_KEY, GOOD, true, false, true,
     ATLS_REASON_NONE},
    {"server that TLS does not trust, same-key", true, ATLS_IDENTITY_SAME_KEY, STRANGER, true,
     false, false, ATLS_REASON_IDENTITY_MISMATCH},
    {"client without a certificate", false, ATLS_IDENTITY_PKIX, NOTHING, false, false, true,
     ATLS_REASON_NONE},
    {"client without a certificate, on which the program insists", false, ATLS_IDENTITY_PKIX,
     NOTHING, false, true, false, ATLS_REASON_NONE},
    {"client, pkix", false, ATLS_IDENTITY_PKIX, GOOD, false, true, true, ATLS_REASON_NONE},
    {"client of another authority, pkix", false, ATLS_IDENTITY_PKIX, STRANGER, false, false, false,
     ATLS_REASON_UNTRUSTED_ROOT},
    {"client that TLS trusts", false, ATLS_IDENTITY_SAME_KEY, GOOD, true, false, true,
     ATLS_REASON_NONE},
    {"client that TLS does not trust", false, ATLS_IDENTITY_ATTESTED, GOOD, false, false, false,
     ATLS_REASON_IDENTITY_MISMATCH},
};

/* Another program's context in place of ours. */
static void make_plain(struct tls_end *e, bool server, const struct test_identity *shown)
{
    SSL_CTX_free(e->ctx);
    e->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    assert_non_null(e->ctx);
    if (shown != NULL)
        tls_use_identity(e->ctx, shown, NULL);
}

static void meet_plain(struct tls_pair *t, const struct plain_row *row, const struct pki *pki,
                       bool optional)
{
    const struct test_identity *const shown[] = {
        [GOOD] = &pki->good, [ELSEWHERE] = &pki->elsewhere, [STRANGER] = &pki->stranger};
    struct tls_end *ours = row->plain_server ? &t->client : &t->server;
    struct atls_err err = ATLS_ERR_INIT;

    ours->end->options.peer_optional = optional;
    ours->end->options.identity = row->identity;
    if (row->identity == ATLS_IDENTITY_PKIX)
        ours->end->options.anchors = atls_buf_bytes(&pki->ca_pem);
    if (row->trusts)
        tls_trust(ours->ctx, atls_buf_bytes(&pki->ca.certificate));
    if (row->insists)
        SSL_CTX_set_verify(ours->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    tls_pair_prepare(t);
    make_plain(row->plain_server ? &t->server : &t->client, row->plain_server, shown[row->shown]);
    tls_pair_ssl(t);
    tls_join(t->client.ssl, t->server.ssl, ROOM);
    if (row->plain_server) /* as every program does where TLS is to check the name */
        assert_int_equal(SSL_set1_host(ours->ssl, TLS_PAIR_NAME), 1);
    test_assert_code(atls_openssl_attach(ours->ssl, ours->end->config,
                                         row->plain_server ? TLS_PAIR_NAME : NULL, &err),
                     ATLS_OK, &err);
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(t->client.ssl);
        (void)SSL_do_handshake(t->server.ssl);
    }
}

static int passes(SSL *from, SSL *to)
{
    uint8_t byte = 7, got = 0;
    size_t n = 0;

    ERR_clear_error();
    return SSL_write_ex(from, &byte, 1, &n) == 1 && SSL_read_ex(to, &got, 1, &n) == 1 && got == 7;
}

static void assert_plain(const char *name, struct tls_pair *t, const struct plain_row *row)
{
    struct tls_end *ours = row->plain_server ? &t->client : &t->server;
    struct tls_end *plain = row->plain_server ? &t->server : &t->client;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_peer peer = {0};
    enum atls_code code;

    assert_int_equal(passes(ours->ssl, plain->ssl), 0); /* shut until it was asked */
    code = atls_openssl_attested(ours->ssl, &peer, &err);
    if ((code == ATLS_OK) != row->passes || (code != ATLS_OK && err.reason != row->reason))
        fail_msg("%s: %s, %s: %s", name, atls_code_name(code), atls_reason_name(err.reason),
                 err.message);
    if (code == ATLS_OK && (!peer.unattested || peer.attested || peer.result != NULL ||
                            peer.spki.len != 0 || peer.certificate.len != 0))
        fail_msg("%s: unattested %d, attested %d", name, (int)peer.unattested, (int)peer.attested);
    if (passes(ours->ssl, plain->ssl) != (int)row->passes ||
        passes(plain->ssl, ours->ssl) != (int)row->passes)
        fail_msg("%s: data %s", name, row->passes ? "does not move" : "moves");
}

static void init(struct tls_pair *t, enum atls_flavour flavour, bool plain_server)
{
    tls_pair_init(t, flavour);
    /* A server of intra has something to offer to whoever asks, and shows it to nobody else. */
    (plain_server ? &t->p.client : &t->p.server)->requires = true;
    if (flavour == ATLS_FLAVOUR_PRE)
        make_cmws(t);
    t->p.client.attests = false;
    t->p.server.attests = true;
}

static void lets_peers_without_pass_as_tls_lets_them(void **state)
{
    struct pki pki;

    (void)state;
    make_pki(&pki);
    for (size_t i = 0; i < 2 * sizeof plain_rows / sizeof plain_rows[0]; i++) {
        const struct plain_row *row = &plain_rows[i / 2];
        struct tls_pair t;
        char name[120];

        snprintf(name, sizeof name, "%s: %s", atls_flavour_name(inside[i % 2]), row->name);
        init(&t, inside[i % 2], row->plain_server);
        meet_plain(&t, row, &pki, true);
        assert_plain(name, &t, row);
        tls_pair_clear(&t);
    }
    clear_pki(&pki);
}

static void refuses_the_same_where_attestation_is_required(void **state)
{
    struct pki pki;

    (void)state;
    make_pki(&pki);
    for (size_t i = 0; i < 2 * sizeof plain_rows / sizeof plain_rows[0]; i++) {
        const struct plain_row *row = &plain_rows[i / 2];
        struct tls_pair t;
        struct tls_end *ours = row->plain_server ? &t.client : &t.server;
        struct atls_err err = ATLS_ERR_INIT;

        init(&t, inside[i % 2], row->plain_server);
        meet_plain(&t, row, &pki, false);
        if (atls_openssl_attested(ours->ssl, NULL, &err) == ATLS_OK)
            fail_msg("%s: passes", row->name);
        tls_pair_clear(&t);
    }
    clear_pki(&pki);
}

/* ---- two ends of ours ---- */

static void assert_peer(const char *row, const struct tls_end *e, bool attested)
{
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(e->conn), &peer);
    if (peer.attested != attested || peer.unattested == attested)
        fail_msg("%s: attested %d, unattested %d", row, (int)peer.attested, (int)peer.unattested);
}

static void init_both(struct tls_pair *t, size_t i)
{
    static const struct {
        enum atls_flavour flavour;
        enum atls_freshness freshness;
    } kinds[] = {{ATLS_FLAVOUR_INTRA, ATLS_FRESHNESS_UNSAID},
                 {ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONE},
                 {ATLS_FLAVOUR_PRE, ATLS_FRESHNESS_NONCE}};

    tls_pair_init(t, kinds[i].flavour);
    if (kinds[i].flavour == ATLS_FLAVOUR_PRE)
        make_cmws(t);
    t->p.client.options.freshness = t->p.server.options.freshness = kinds[i].freshness;
    t->p.client.options.peer_optional = t->p.server.options.peer_optional = true;
}

static void judges_who_attests(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tls_pair t;

        init_both(&t, i);
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("both attest", &t, 30000);
        assert_peer("server", &t.client, true);
        assert_peer("client", &t.server, true);
        tls_pair_clear(&t);

        init_both(&t, i);
        t.p.client.attests = false;
        tls_pair_start(&t);
        tls_pair_run(&t);
        tls_pair_assert_open("the server attests", &t, 30000);
        assert_peer("server", &t.client, true);
        assert_peer("client", &t.server, false);
        tls_pair_clear(&t);
    }
}

/* A server that takes and shows nothing in common with the client. */
static void lets_a_server_leave_its_side_out(void **state)
{
    struct test_identity ca = test_ca("ca"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);
    struct atls_buf pem = pem_of(&ca);

    (void)state;
    for (int trusted = 0; trusted <= 1; trusted++) {
        struct tls_pair t;

        tls_pair_init(&t, ATLS_FLAVOUR_INTRA);
        t.p.client.options.peer_optional = true;
        t.p.client.options.identity = ATLS_IDENTITY_PKIX;
        if (trusted)
            t.p.client.options.anchors = atls_buf_bytes(&pem);
        else
            t.p.client.options.system_anchors = true;
        t.p.server.attests = false;
        tls_use_identity(t.server.ctx, &leaf, NULL);
        tls_pair_start(&t);
        tls_pair_run(&t);
        if (trusted) {
            tls_pair_assert_open("left out", &t, 30000);
            assert_peer("server", &t.client, false);
            assert_peer("client", &t.server, true);
        } else {
            assert_false(t.client.open);
            assert_int_equal(t.client.err.reason, ATLS_REASON_UNTRUSTED_ROOT);
        }
        tls_pair_clear(&t);
    }
    atls_buf_clear(&pem);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

static void wrong_binder(struct fake_attester *attester, struct fake_verifier *verifier)
{
    (void)verifier;
    attester->wrong_binder = true;
}

static void wrong_key(struct fake_attester *attester, struct fake_verifier *verifier)
{
    (void)verifier;
    attester->wrong_key = true;
}

static void attester_fails(struct fake_attester *attester, struct fake_verifier *verifier)
{
    (void)verifier;
    attester->fail_evidence = ATLS_E_DEVICE;
}

static void verifier_down(struct fake_attester *attester, struct fake_verifier *verifier)
{
    (void)attester;
    verifier->fail = ATLS_E_UNAVAILABLE;
}

static void verifier_sees_none(struct fake_attester *attester, struct fake_verifier *verifier)
{
    (void)attester;
    verifier->fail = ATLS_E_EVIDENCE;
    verifier->reason = ATLS_REASON_NOT_ATTESTED;
}

static void contraindicated(struct fake_attester *attester, struct fake_verifier *verifier)
{
    (void)attester;
    verifier->contraindicated = true;
}

static int64_t wall_s(void *arg)
{
    return (int64_t)time(NULL) + *(const int64_t *)arg;
}

/* Made so long ago that its age is refused, though it is valid yet. */
static void refuses_certificates_that_are_too_old(void **state)
{
    static int64_t ago = -8 * 86400;
    struct tls_pair t;

    (void)state;
    init_both(&t, 1);
    t.p.server.requires = false;
    t.p.server.options.peer_optional = false;
    t.p.server.options.certificate_lifetime_s = 30 * 86400;
    t.p.server.options.clock = (struct atls_clock){&ago, wall_s, NULL};
    tls_pair_start(&t);
    tls_pair_run(&t);
    assert_false(t.client.open);
    assert_int_equal(t.client.err.reason, ATLS_REASON_CERTIFICATE_TOO_OLD);
    tls_pair_clear(&t);
}

/* Who began to attest passes by good evidence alone. */
static void refuses_what_fails(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct fake_attester *attester, struct fake_verifier *verifier);
        bool unless_kept; /* what is made before the connection fails before it */
    } rows[] = {
        {"evidence for another challenge", wrong_binder, false},
        {"evidence of another key", wrong_key, false},
        {"attester that fails", attester_fails, true},
        {"verifier that cannot be reached", verifier_down, false},
        {"verifier that sees no evidence", verifier_sees_none, false},
        {"contraindicated", contraindicated, false},
    };

    (void)state;
    for (size_t i = 0; i < 6 * sizeof rows / sizeof rows[0]; i++) {
        const size_t row = i / 6, kind = i / 2 % 3;
        const bool of_server = i % 2 == 0;
        struct tls_pair t;
        struct tls_end *judge = of_server ? &t.client : &t.server;
        struct tls_end *judged = of_server ? &t.server : &t.client;

        if (rows[row].unless_kept && kind == 1)
            continue;
        init_both(&t, kind);
        judged->end->requires = false;
        judged->end->options.peer_optional = false;
        rows[row].change(&judged->end->attester, &judge->end->verifier);
        tls_pair_start(&t);
        tls_pair_run(&t);
        if (judge->open)
            fail_msg("%s: %s %zu passes", rows[row].name, of_server ? "server" : "client", kind);
        tls_pair_clear(&t);
    }
}

/* ---- post: TLS has authenticated the server, or nobody has ---- */

static void wants_a_server_that_tls_authenticated(void **state)
{
    struct test_identity ca = test_ca("ca"), leaf = test_leaf(&ca, TLS_PAIR_NAME, ATLS_KEY_P256);

    (void)state;
    for (int verified = 0; verified <= 1; verified++) {
        struct tls_pair t;

        tls_pair_init(&t, ATLS_FLAVOUR_POST);
        t.p.client.options.peer_optional = t.p.server.options.peer_optional = true;
        t.p.client.attests = t.p.server.attests = false;
        tls_use_identity(t.server.ctx, &leaf, NULL);
        tls_trust(t.client.ctx, atls_buf_bytes(&ca.certificate));
        SSL_CTX_set_verify(t.client.ctx, verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        tls_pair_start(&t);
        tls_pair_run(&t);
        if (verified) {
            tls_pair_assert_open("post", &t, 30000);
            assert_peer("server", &t.client, false);
            assert_peer("client", &t.server, false);
        } else {
            assert_false(t.client.open);
            assert_int_equal(t.client.err.code, ATLS_E_CERTIFICATE);
            assert_int_equal(t.client.err.reason, ATLS_REASON_NOT_ATTESTED);
        }
        tls_pair_clear(&t);
    }
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
}

/* Any name that TLS looks for will do, an address as well; required attestation needs none. */
static void wants_a_name_of_servers(void **state)
{
    static const enum atls_flavour flavours[] = {ATLS_FLAVOUR_POST, ATLS_FLAVOUR_INTRA,
                                                 ATLS_FLAVOUR_PRE};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int how = 0; how < 4; how++) {
            struct tls_pair t;
            struct atls_openssl *conn = NULL;
            struct atls_err err = ATLS_ERR_INIT;
            enum atls_code code;

            tls_pair_init(&t, flavours[i]);
            if (flavours[i] == ATLS_FLAVOUR_PRE) {
                make_cmws(&t);
                t.p.client.options.freshness = t.p.server.options.freshness = ATLS_FRESHNESS_NONE;
            }
            t.p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
            t.p.client.options.peer_optional = how != 3;
            tls_pair_prepare(&t);
            tls_pair_ssl(&t);
            assert_int_equal(SSL_set1_host(t.client.ssl, how == 1 ? TLS_PAIR_NAME : NULL), 1);
            if (how == 2)
                assert_int_equal(
                    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t.client.ssl), "192.0.2.1"), 1);
            code = atls_openssl_new(t.client.ssl, t.p.client.config, TLS_PAIR_NAME, &conn, &err);
            test_assert_code(code, how == 0 ? ATLS_E_CONFIG : ATLS_OK, &err);
            atls_openssl_free(conn);
            tls_pair_clear(&t);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_peers_without_pass_as_tls_lets_them),
        cmocka_unit_test(wants_a_name_of_servers),
        cmocka_unit_test(refuses_the_same_where_attestation_is_required),
        cmocka_unit_test(judges_who_attests),
        cmocka_unit_test(lets_a_server_leave_its_side_out),
        cmocka_unit_test(refuses_what_fails),
        cmocka_unit_test(refuses_certificates_that_are_too_old),
        cmocka_unit_test(wants_a_server_that_tls_authenticated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
