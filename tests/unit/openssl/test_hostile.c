/* Peers that use the extension of flavour intra against its rules, over real handshakes. */
#include "tls/openssl/flavour.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/err.h>

#include "hostile_tls.h"
#include "tls_pair.h"

#define ROOM 200000

/* One of ours against one that is not; the pair's configurations serve both. */
struct scene {
    struct tls_pair t;
    struct hostile_tls h;
    struct tls_end *ours;
    bool hostile_server;
    SSL_SESSION *session;           /* to be resumed, or NULL */
    struct test_identity ca, other; /* for a chain of two certificates */
};

static void scene_init(struct scene *s, bool hostile_server, bool hrr)
{
    static char groups[] = "P-256:P-384";
    struct tls_end *e;

    memset(s, 0, sizeof *s);
    tls_pair_init(&s->t, ATLS_FLAVOUR_INTRA);
    s->t.hrr = hrr;
    tls_pair_prepare(&s->t);
    s->hostile_server = hostile_server;
    s->ours = hostile_server ? &s->t.client : &s->t.server;
    e = hostile_server ? &s->t.server : &s->t.client;
    SSL_CTX_free(e->ctx);
    e->ctx = SSL_CTX_new(hostile_server ? TLS_server_method() : TLS_client_method());
    assert_non_null(e->ctx);
    assert_int_equal(SSL_CTX_set1_groups_list(e->ctx, groups), 1);
    test_assert_code(atls_openssl_use_attester(e->ctx, e->end->config->options.attester, NULL),
                     ATLS_OK, NULL);
    s->ca = test_ca("other");
    s->other = test_leaf(&s->ca, "other.example", ATLS_KEY_P256);
    assert_true(hostile_tls_init(&s->h, e->ctx, e->end->config));
    if (hostile_server) /* which asks for a certificate, and takes any */
        SSL_CTX_set_verify(e->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(e->ctx, NULL, NULL);
}

static int take_any(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static void add_certificate(struct scene *s)
{
    const unsigned char *der = s->ca.certificate.ptr;
    X509 *x = d2i_X509(NULL, &der, (long)s->ca.certificate.len);

    assert_non_null(x);
    assert_int_equal(SSL_CTX_add1_chain_cert(s->h.ctx, x), 1);
    X509_free(x);
}

static void scene_run(struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;

    SSL_CTX_set_cert_verify_callback(s->h.ctx, take_any, NULL);
    assert_true(hostile_tls_start(&s->h));
    if (s->session != NULL)
        assert_int_equal(SSL_set_session(s->h.ssl, s->session), 1);
    tls_pair_ssl(&s->t);
    tls_join(s->hostile_server ? s->ours->ssl : s->h.ssl,
             s->hostile_server ? s->h.ssl : s->ours->ssl, ROOM);
    test_assert_code(
        atls_openssl_new(s->ours->ssl, s->ours->end->config, TLS_PAIR_NAME, &s->ours->conn, &err),
        ATLS_OK, &err);
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(s->h.ssl);
        ERR_clear_error();
        tls_end_step(&s->t, s->ours);
    }
}

static void scene_clear(struct scene *s)
{
    hostile_tls_clear(&s->h);
    tls_pair_clear(&s->t);
    test_identity_clear(&s->other);
    test_identity_clear(&s->ca);
}

/* ---- rows ---- */

static const uint8_t garbage[] = "\xff\xff\xff\xff\xff\xff";
static const uint8_t no_schemes[] = {0, 0, 0, 0};
static const uint8_t unknown_kind[] = {0, 1, 9, 0, 0};
static const uint8_t not_offered[] = {1, 0, 3, 'f', 'o', 'o'};
static const uint8_t empty_cmw[] = {0, 0, 0};
static const uint8_t short_cmw[] = {0, 0, 9, 1};
static const uint8_t some_cmw[] = {0, 0, 1, 7};
#define BYTES(array)                                                                               \
    {                                                                                              \
        array, sizeof array                                                                        \
    }

struct row {
    const char *name;
    bool server; /* the hostile end */
    bool hrr;
    enum atls_intra_place place;
    struct atls_bytes instead;
    struct atls_bytes second_hello, second_entry;
    enum atls_code code;
    enum atls_reason reason;
    int alert;
};

#define ROW_CODE(code, reason, alert) ATLS_E_##code, ATLS_REASON_##reason, SSL_AD_##alert

static const struct row rows[] = {
    {"honest client", false, true, 0, {0}, {0}, {0}, ATLS_OK, ATLS_REASON_NONE, 0},
    {"honest server", true, true, 0, {0}, {0}, {0}, ATLS_OK, ATLS_REASON_NONE, 0},
    {"ClientHello: garbage",
     false,
     false,
     ATLS_INTRA_CH,
     BYTES(garbage),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, DECODE_ERROR)},
    {"ClientHello: no schemes",
     false,
     false,
     ATLS_INTRA_CH,
     BYTES(no_schemes),
     {0},
     {0},
     ROW_CODE(PROTOCOL, UNSUPPORTED_ATTESTATION_SCHEMES, HANDSHAKE_FAILURE)},
    {"ClientHello: another after HelloRetryRequest",
     false,
     true,
     0,
     {0},
     BYTES(no_schemes),
     {0},
     ROW_CODE(PROTOCOL, EXTENSION_MISPLACED, ILLEGAL_PARAMETER)},
    {"client Certificate: nothing",
     false,
     false,
     ATLS_INTRA_CT,
     {NULL, 1},
     {0},
     {0},
     ROW_CODE(EVIDENCE, NOT_ATTESTED, HANDSHAKE_FAILURE)},
    {"client Certificate: no CMW",
     false,
     false,
     ATLS_INTRA_CT,
     BYTES(empty_cmw),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, DECODE_ERROR)},
    {"client Certificate: CMW that is cut off",
     false,
     false,
     ATLS_INTRA_CT,
     BYTES(short_cmw),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, DECODE_ERROR)},
    {"client Certificate: something else",
     false,
     false,
     ATLS_INTRA_CT,
     BYTES(some_cmw),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, BAD_CERTIFICATE)},
    {"client Certificate: in the second entry",
     false,
     false,
     0,
     {0},
     {0},
     BYTES(some_cmw),
     ROW_CODE(PROTOCOL, EXTENSION_MISPLACED, ILLEGAL_PARAMETER)},
    {"EncryptedExtensions: garbage",
     true,
     false,
     ATLS_INTRA_EE,
     BYTES(garbage),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, DECODE_ERROR)},
    {"EncryptedExtensions: unknown kind",
     true,
     false,
     ATLS_INTRA_EE,
     BYTES(unknown_kind),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, DECODE_ERROR)},
    {"EncryptedExtensions: not offered",
     true,
     false,
     ATLS_INTRA_EE,
     BYTES(not_offered),
     {0},
     {0},
     ROW_CODE(PROTOCOL, SCHEME_NOT_OFFERED, ILLEGAL_PARAMETER)},
    {"CertificateRequest: not offered",
     true,
     false,
     ATLS_INTRA_CR,
     BYTES(not_offered),
     {0},
     {0},
     ROW_CODE(PROTOCOL, SCHEME_NOT_OFFERED, ILLEGAL_PARAMETER)},
    {"EncryptedExtensions: nothing, but Certificate has it",
     true,
     false,
     ATLS_INTRA_EE,
     {NULL, 1},
     {0},
     {0},
     ROW_CODE(PROTOCOL, EXTENSION_NOT_OFFERED, UNSUPPORTED_EXTENSION)},
    {"server Certificate: nothing",
     true,
     false,
     ATLS_INTRA_CT,
     {NULL, 1},
     {0},
     {0},
     ROW_CODE(EVIDENCE, NOT_ATTESTED, HANDSHAKE_FAILURE)},
    {"server Certificate: something else",
     true,
     false,
     ATLS_INTRA_CT,
     BYTES(some_cmw),
     {0},
     {0},
     ROW_CODE(DECODE, MALFORMED, BAD_CERTIFICATE)},
    {"server Certificate: in the second entry",
     true,
     false,
     0,
     {0},
     {0},
     BYTES(some_cmw),
     ROW_CODE(PROTOCOL, EXTENSION_MISPLACED, ILLEGAL_PARAMETER)},
};

static void refuses_what_is_against_the_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct scene s;

        scene_init(&s, row->server, row->hrr);
        s.h.instead[row->place] = row->instead;
        s.h.second_hello = row->second_hello;
        s.h.second_entry = row->second_entry;
        if (row->second_entry.ptr != NULL)
            add_certificate(&s);
        scene_run(&s);
        if (s.ours->code != row->code || s.ours->err.reason != row->reason ||
            s.ours->alert_sent != row->alert || s.ours->open != (row->code == ATLS_OK))
            fail_msg("%s: %s, %s, alert %d: %s", row->name, atls_code_name(s.ours->code),
                     atls_reason_name(s.ours->err.reason), s.ours->alert_sent, s.ours->err.message);
        scene_clear(&s);
    }
}

/* The extension is there, but no Certificate will follow. */
static void refuses_a_client_that_resumes(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, false, false);
    s.session = tls_plain_session(&s.other);
    tls_take_tickets(s.t.server.ctx);
    scene_run(&s);
    test_assert_code(s.ours->code, ATLS_E_TLS, &s.ours->err);
    assert_int_equal(s.ours->err.reason, ATLS_REASON_TLS_RESUMED);
    assert_false(SSL_is_init_finished(s.ours->ssl));
    SSL_SESSION_free(s.session);
    scene_clear(&s);
}

static void takes_chains_of_two_certificates(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        struct scene s;

        scene_init(&s, server, false);
        add_certificate(&s);
        scene_run(&s);
        test_assert_code(s.ours->code, ATLS_OK, &s.ours->err);
        assert_true(s.ours->open);
        scene_clear(&s);
    }
}

static void refuses_chains_that_are_too_long(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        struct scene s;

        scene_init(&s, server, false);
        for (int i = 1; i < ATLS_CHAIN_MAX + 1; i++)
            add_certificate(&s);
        scene_run(&s);
        test_assert_code(s.ours->code, ATLS_E_LIMIT, &s.ours->err);
        assert_int_equal(s.ours->alert_sent, SSL_AD_BAD_CERTIFICATE);
        scene_clear(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_against_the_rules),
        cmocka_unit_test(refuses_a_client_that_resumes),
        cmocka_unit_test(takes_chains_of_two_certificates),
        cmocka_unit_test(refuses_chains_that_are_too_long),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
