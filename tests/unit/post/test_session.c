#define _GNU_SOURCE /* memmem, mallinfo2 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testlib.h"

#include <atls/limits.h>

#include "core/clock.h"
#include "core/writer.h"
#include "flavour/post/hello.h"
#include "pki.h"
#include "session_pair.h"

static const char none[] = "none";

static void assert_peer(const struct pair_end *end, bool attested, bool self_attested)
{
    struct atls_peer peer;

    atls_session_peer(end->session, &peer);
    assert_int_equal(peer.attested, attested);
    assert_int_equal(peer.self_attested, self_attested);
    assert_true((peer.result != NULL) == attested);
    assert_string_equal(peer.evidence_type, attested ? "fake" : "");
    assert_string_equal(peer.binding, attested ? "connection" : "");
    assert_int_equal(peer.attestations, attested);
    assert_int_equal(peer.attested_at_s, attested ? 1735689600 : 0);
    assert_true((peer.spki.len != 0) == attested);
    assert_true((peer.certificate.len != 0) == attested);
    assert_false(peer.insecure);
}

/* ---- the good cases ---- */

static void opens_every_way_round(void **state)
{
    static const struct {
        bool client_requires, server_requires;
    } ways[] = {{true, false}, {false, true}, {true, true}};
    static const enum atls_hash hashes[] = {ATLS_HASH_SHA256, ATLS_HASH_SHA384};
    static const size_t pieces[] = {0, 1, 7};

    (void)state;
    for (size_t i = 0; i < 18; i++) {
        bool client = ways[i / 6].client_requires, server = ways[i / 6].server_requires;
        struct pair p;

        pair_init(&p);
        p.client.requires = p.server.attests = client;
        p.server.requires = p.client.attests = server;
        p.hash = hashes[i / 3 % 2];
        p.piece = pieces[i % 3];
        pair_open(&p);
        assert_peer(&p.client, client, server);
        assert_peer(&p.server, server, client);
        assert_int_equal(atls_session_next(p.client.session), ATLS_NEXT_OPEN);
        assert_int_equal(atls_session_deadline_ms(p.client.session), INT64_MAX);
        pair_transfer(&p, &p.client, &p.server, 40000);
        pair_transfer(&p, &p.server, &p.client, 1);
        atls_session_close(p.client.session);
        atls_session_close(p.client.session); /* once more changes nothing */
        pair_run(&p);
        pair_assert_closed("orderly", &p.client, ATLS_OK, ATLS_REASON_NONE);
        pair_assert_closed("orderly", &p.server, ATLS_OK, ATLS_REASON_NONE);
        pair_clear(&p);
    }
}

static void opens_with_keys_of_every_type(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                               ATLS_KEY_ED25519, ATLS_KEY_RSA};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct pair p;

        pair_init(&p);
        p.server.attester.key_type = types[i];
        pair_open(&p);
        pair_clear(&p);
    }
}

/* docs/carrier.md, "The gate": one extra round trip for one-way, none more for mutual. */
static void needs_one_round_trip(void **state)
{
    struct pair p;
    size_t accepted;

    (void)state;
    pair_init(&p);
    p.server.requires = p.client.attests = false;
    pair_start(&p);
    pair_deliver(&p, &p.client, &p.server); /* HELLO, REQUEST: rides behind the client's Finished */
    pair_work(&p.server);
    pair_deliver(&p, &p.server, &p.client); /* HELLO, AUTHENTICATOR */
    assert_false(atls_session_is_open(p.server.session));
    pair_work(&p.client);
    assert_true(atls_session_is_open(p.client.session));
    test_assert_code(atls_session_write(p.client.session, atls_bytes_of("x", 1), &accepted, NULL),
                     ATLS_OK, NULL);
    assert_int_equal(accepted, 1);
    pair_deliver(&p, &p.client, &p.server); /* VERDICT, DATA in one flight */
    assert_true(atls_session_is_open(p.server.session));
    assert_int_equal(p.flights, 3);
    pair_clear(&p);

    pair_init(&p);
    pair_open(&p);
    assert_true(p.flights <= 4);
    pair_clear(&p);
}

static void carries_large_evidence_both_ways(void **state)
{
    static const size_t lengths[] = {60 * 1024, ATLS_CMW_DATA_MAX};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pair p;

        pair_init(&p);
        p.client.attester.evidence_len = p.server.attester.evidence_len = lengths[i];
        p.piece = i == 0 ? 1000 : 0;
        pair_open(&p);
        pair_clear(&p);
    }
}

static void chooses_an_inner_protocol(void **state)
{
    static const char *const both[] = {"h2", "http/1.1", NULL};
    static const char *const h1[] = {"http/1.1", NULL};
    static const char *const other[] = {"mqtt", NULL};
    static const struct {
        const char *const *client, *const *server;
        const char *want; /* NULL: no common one */
    } rows[] = {
        {NULL, NULL, ""},       {both, NULL, ""},   {NULL, both, ""},    {both, h1, "http/1.1"},
        {h1, both, "http/1.1"}, {both, both, "h2"}, {other, both, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair p;
        struct atls_peer a, b;

        pair_init(&p);
        p.client.options.inner_protocols = rows[i].client;
        p.server.options.inner_protocols = rows[i].server;
        if (rows[i].want == NULL) {
            pair_start(&p);
            pair_run(&p);
            pair_assert_closed("inner", &p.server, ATLS_E_PROTOCOL,
                               ATLS_REASON_NO_COMMON_PARAMETERS);
            pair_assert_closed("inner", &p.client, ATLS_E_PROTOCOL, ATLS_REASON_PEER_REFUSED);
        } else {
            pair_open(&p);
            atls_session_peer(p.client.session, &a);
            atls_session_peer(p.server.session, &b);
            assert_string_equal(a.inner_protocol, rows[i].want);
            assert_string_equal(b.inner_protocol, rows[i].want);
        }
        pair_clear(&p);
    }
}

static void refuses_an_inner_protocol_that_was_not_offered(void **state)
{
    static const char *const h2[] = {"h2", NULL};
    /* HELLO of a server: attests, offers "fake", profile, and a choice. */
    static const char *const hellos[] = {"mqtt", "h2\02h3", NULL};
    struct pair p;

    (void)state;
    for (size_t i = 0; hellos[i] != NULL; i++) {
        struct atls_writer names[ATLS_NAMES_COUNT], w = atls_writer_init(500);
        struct atls_hello hello = {.flags = ATLS_HELLO_ATTESTS, .frame_max = ATLS_FRAME_BODY_MAX};
        static const char *const values[ATLS_NAMES_COUNT] = {
            "fake", "fake", "kat-bundle", none, "ear+jwt", "ear+jwt", "kat-bundle"};

        for (size_t j = 0; j < ATLS_NAMES_COUNT; j++) {
            names[j] = atls_writer_init(100);
            atls_name_put(&names[j], values[j] == none ? hellos[i] : values[j]);
            hello.names[j] = atls_writer_bytes(&names[j]);
        }
        if (i == 1)
            names[3].ptr[0] = 2; /* "h2" and a second name */
        atls_hello_put(&w, &hello);
        pair_init(&p);
        p.client.options.inner_protocols = h2;
        pair_start(&p);
        assert_int_equal(pair_inject(&p, &p.client, atls_writer_bytes(&w)), ATLS_E_PROTOCOL);
        assert_non_null(strstr(p.client.err.message, "must choose one"));
        pair_clear(&p);
        atls_writer_clear(&w);
        for (size_t j = 0; j < ATLS_NAMES_COUNT; j++)
            atls_writer_clear(&names[j]);
    }
}

/* ---- evidence, identity, policy ---- */

static enum atls_code refuse_all(void *self, struct atls_result *result, struct atls_decision *out,
                                 struct atls_err *err)
{
    (void)self;
    (void)result;
    (void)err;
    out->accept = false;
    out->reason_count = 1;
    snprintf(out->reasons[0], sizeof out->reasons[0], "not today");
    return ATLS_OK;
}

static enum atls_code name_insecure(void *self, struct atls_result *result,
                                    struct atls_decision *out, struct atls_err *err)
{
    (void)self;
    (void)result;
    (void)err;
    out->accept = out->names_insecure = true;
    return ATLS_OK;
}

static struct atls_policy *policy_of(const struct atls_policy_ops *ops)
{
    struct atls_policy *policy = NULL;

    test_assert_code(atls_policy_new(ops, NULL, &policy, NULL), ATLS_OK, NULL);
    return policy;
}

static void wrong_binder(struct pair *p)
{
    p->server.attester.wrong_binder = true;
}

static void wrong_key(struct pair *p)
{
    p->server.attester.wrong_key = true;
}

static void verifier_down(struct pair *p)
{
    p->client.verifier.fail = ATLS_E_IO;
}

static void verifier_cannot_decode(struct pair *p)
{
    p->client.verifier.fail = ATLS_E_DECODE;
    p->client.verifier.reason = ATLS_REASON_MALFORMED;
}

static void verifier_says_other_type(struct pair *p)
{
    p->client.verifier.type = "other";
}

static void contraindicated(struct pair *p)
{
    p->client.verifier.contraindicated = true;
}

static void insecure(struct pair *p)
{
    p->client.verifier.insecure = true;
}

static void policy_refuses(struct pair *p)
{
    static const struct atls_policy_ops ops = {.decide = refuse_all};

    p->client.options.policy = policy_of(&ops);
}

static enum atls_code fail_silently(void *self, struct atls_result *result,
                                    struct atls_decision *out, struct atls_err *err)
{
    (void)self;
    (void)result;
    (void)err;
    out->accept = true;
    return ATLS_E_IO;
}

static void policy_fails_silently(struct pair *p)
{
    static const struct atls_policy_ops ops = {.decide = fail_silently};

    p->client.options.policy = policy_of(&ops);
}

static void verifier_fails_silently(struct pair *p)
{
    p->client.verifier.fail = ATLS_E_EVIDENCE;
    p->client.verifier.silent = true;
}

static void attester_fails_silently(struct pair *p)
{
    p->server.attester.fail_evidence = ATLS_E_DEVICE;
    p->server.attester.silent = true;
}

static void evidence_fails(struct pair *p)
{
    p->server.attester.fail_evidence = ATLS_E_DEVICE;
}

static void signing_fails(struct pair *p)
{
    p->server.attester.fail_sign = ATLS_E_DEVICE;
}

static void evidence_too_large(struct pair *p)
{
    p->server.attester.evidence_len = ATLS_CMW_DATA_MAX + 1;
}

static void other_connection(struct pair *p)
{
    p->server.secret[0] ^= 1;
}

static void offers_other_type(struct pair *p)
{
    p->server.attester.other_type = true;
}

static void server_wants_to_be_asked(struct pair *p)
{
    p->server.options.require_self = true;
    p->client.requires = false;
}

static void client_wants_to_be_asked(struct pair *p)
{
    p->client.options.require_self = true;
    p->server.requires = false;
}

static void server_without_attester(struct pair *p)
{
    p->server.attests = false;
}

static const struct {
    const char *name;
    void (*change)(struct pair *p);
    enum atls_code client; /* who judges the server */
    enum atls_reason client_reason;
    enum atls_code server;
    enum atls_reason server_reason;
} refusals[] = {
    {"evidence of another connection or time", wrong_binder, ATLS_E_EVIDENCE,
     ATLS_REASON_NONCE_MISMATCH, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"evidence of another key", wrong_key, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
     ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"authenticator of another connection", other_connection, ATLS_E_VERIFY,
     ATLS_REASON_FINISHED_MISMATCH, ATLS_E_PROTOCOL, ATLS_REASON_PEER_REFUSED},
    {"verifier that cannot work", verifier_down, ATLS_E_IO, ATLS_REASON_NONE, ATLS_E_CLOSED,
     ATLS_REASON_PEER_REFUSED},
    {"evidence that does not decode", verifier_cannot_decode, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
     ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"result of a type that is not accepted", verifier_says_other_type, ATLS_E_EVIDENCE,
     ATLS_REASON_UNKNOWN_EVIDENCE_TYPE, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"result that is not affirming", contraindicated, ATLS_E_REFUSED, ATLS_REASON_POLICY,
     ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"insecure evidence that the policy does not name", insecure, ATLS_E_REFUSED,
     ATLS_REASON_POLICY, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"policy that refuses", policy_refuses, ATLS_E_REFUSED, ATLS_REASON_POLICY, ATLS_E_REFUSED,
     ATLS_REASON_PEER_REFUSED},
    {"policy that fails and does not say why", policy_fails_silently, ATLS_E_IO, ATLS_REASON_NONE,
     ATLS_E_CLOSED, ATLS_REASON_PEER_REFUSED},
    {"verifier that refuses and does not say why", verifier_fails_silently, ATLS_E_EVIDENCE,
     ATLS_REASON_NONE, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED},
    {"attester that fails and does not say why", attester_fails_silently, ATLS_E_DECLINED,
     ATLS_REASON_EMPTY_AUTHENTICATOR, ATLS_E_DEVICE, ATLS_REASON_NONE},
    {"attester that fails", evidence_fails, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR,
     ATLS_E_DEVICE, ATLS_REASON_NONE},
    {"key that cannot sign", signing_fails, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR,
     ATLS_E_DEVICE, ATLS_REASON_NONE},
    {"evidence that does not fit an authenticator", evidence_too_large, ATLS_E_DECLINED,
     ATLS_REASON_EMPTY_AUTHENTICATOR, ATLS_E_LIMIT, ATLS_REASON_NONE},
    {"peer that offers another type", offers_other_type, ATLS_E_PROTOCOL,
     ATLS_REASON_NO_COMMON_PARAMETERS, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"client that wants to be asked", client_wants_to_be_asked, ATLS_E_PROTOCOL,
     ATLS_REASON_NO_COMMON_PARAMETERS, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"server without attester", server_without_attester, ATLS_E_PROTOCOL,
     ATLS_REASON_NO_COMMON_PARAMETERS, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
    {"server that wants to be asked", server_wants_to_be_asked, ATLS_E_PROTOCOL,
     ATLS_REASON_NO_COMMON_PARAMETERS, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct pair p;

        pair_init(&p);
        refusals[i].change(&p);
        pair_start(&p);
        pair_run(&p);
        pair_assert_closed(refusals[i].name, &p.client, refusals[i].client,
                           refusals[i].client_reason);
        pair_assert_closed(refusals[i].name, &p.server, refusals[i].server,
                           refusals[i].server_reason);
        atls_policy_unref(p.client.options.policy);
        pair_clear(&p);
    }
}

static void explains_refusals_without_giving_away_reference_values(void **state)
{
    struct pair p;
    const struct atls_err *server;

    (void)state;
    pair_init(&p);
    p.client.verifier.contraindicated = true;
    pair_start(&p);
    pair_run(&p);
    assert_non_null(
        strstr(atls_session_error(p.client.session)->message, "fake measurement differs"));
    server = atls_session_error(p.server.session);
    assert_null(strstr(server->message, "fake measurement"));
    assert_string_equal(server->message, "peer: policy (policy: the policy refused)");
    pair_clear(&p);
}

static void keeps_the_result_of_a_refused_peer(void **state)
{
    struct pair p;
    struct atls_peer peer;

    (void)state;
    pair_init(&p);
    p.client.verifier.contraindicated = true;
    pair_start(&p);
    pair_run(&p);
    atls_session_peer(p.client.session, &peer);
    assert_false(peer.attested);
    assert_non_null(peer.result);
    assert_int_equal(atls_result_status(peer.result), ATLS_TIER_CONTRAINDICATED);
    assert_int_equal(peer.status, ATLS_TIER_CONTRAINDICATED);
    assert_int_equal(peer.attestations, 0);
    atls_session_peer_release(p.client.session); /* it says why */
    atls_session_peer(p.client.session, &peer);
    assert_non_null(peer.result);
    assert_true(peer.certificate.len != 0);
    pair_clear(&p);
}

static void gives_back_the_result_and_attests_again(void **state)
{
    struct pair p;
    struct atls_peer before, peer;
    struct atls_result *result;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    pair_start(&p);
    atls_session_peer_release(p.client.session); /* nothing yet */
    atls_session_peer(p.client.session, &peer);
    assert_int_equal(peer.status, ATLS_TIER_NONE);
    pair_run(&p);
    atls_session_peer(p.client.session, &before);
    assert_non_null(before.result);
    assert_true(before.certificate.len != 0);
    assert_int_equal(before.status, ATLS_TIER_AFFIRMING);
    result = atls_result_ref(before.result);
    for (int i = 0; i < 2; i++) {
        atls_session_peer_release(p.client.session);
        atls_session_peer(p.client.session, &peer);
        assert_null(peer.result);
        assert_int_equal(peer.certificate.len, 0);
        assert_true(peer.attested);
        assert_int_equal(peer.status, ATLS_TIER_AFFIRMING);
        assert_string_equal(peer.evidence_type, "fake");
        assert_string_equal(peer.binding, "connection");
        assert_string_equal(peer.freshness, "connection");
        assert_int_equal(peer.attestations, 1);
        assert_int_equal(peer.spki.len, before.spki.len);
        assert_memory_equal(peer.spki.ptr, before.spki.ptr, before.spki.len);
    }
    pair_transfer(&p, &p.client, &p.server, 20000);
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    atls_session_peer(p.client.session, &peer);
    assert_int_equal(peer.attestations, 2);
    assert_non_null(peer.result);
    assert_ptr_not_equal(peer.result, result);
    assert_true(peer.certificate.len != 0);
    atls_session_close(p.client.session);
    atls_session_peer(p.client.session, &peer);
    assert_non_null(peer.result);
    atls_result_unref(result);
    pair_clear(&p);
}

static void accepts_insecure_evidence_by_name_only(void **state)
{
    static const struct atls_policy_ops ops = {.decide = name_insecure};
    struct pair p;
    struct atls_peer peer;

    (void)state;
    pair_init(&p);
    p.client.verifier.insecure = true;
    p.client.options.policy = policy_of(&ops);
    pair_open(&p);
    atls_session_peer(p.client.session, &peer);
    assert_true(peer.insecure);
    atls_policy_unref(p.client.options.policy);
    pair_clear(&p);
}

static void declines_when_no_scheme_is_common(void **state)
{
    /* HELLO of a client that requires "fake", and a request for Ed25519 only. */
    static const char hex[] = "010000200102001c0002000700050466616b65"
                              "0003000d000b0a6b61742d62756e646c65"
                              "0200001800000001110000100131000c000d000400020807ff000000";
    struct atls_buf bytes = test_unhex(hex);
    struct pair p;

    (void)state;
    pair_init(&p);
    p.server.requires = false;
    pair_start(&p);
    test_assert_code(pair_inject(&p, &p.server, atls_buf_bytes(&bytes)), ATLS_OK, &p.server.err);
    assert_null(atls_session_job(p.server.session));
    /* HELLO, then DECLINE. */
    assert_int_equal(atls_session_output(p.server.session).ptr[0], 1);
    assert_non_null(memmem(atls_session_output(p.server.session).ptr,
                           atls_session_output(p.server.session).len, "scheme-not-offered", 18));
    atls_buf_clear(&bytes);
    pair_clear(&p);
}

/* ---- identity ---- */

static char *write_file(struct atls_bytes pem)
{
    static char path[] = "/tmp/atls-test-XXXXXX";
    int fd;

    memcpy(path, "/tmp/atls-test-XXXXXX", sizeof path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem.ptr, pem.len), (ssize_t)pem.len);
    close(fd);
    return path;
}

/* The server's AIK gets a certificate of ca for name; out (may be NULL) a copy that the caller
 * clears. */
static void certify_server(struct pair *p, const struct test_identity *ca, const char *name,
                           struct atls_buf *out)
{
    const char *const names[] = {name, NULL};
    struct atls_private_key *key = NULL;
    struct test_certificate spec = {.common_name = "aik", .dns_names = names};
    struct test_identity leaf;
    struct atls_buf pem = ATLS_BUF_INIT;

    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK, NULL);
    spec.key = key;
    leaf = test_issue(ca, &spec);
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&leaf.certificate), &pem, NULL),
                     ATLS_OK, NULL);
    p->server.attester.key = key;
    p->server.attester.certificate = write_file(atls_buf_bytes(&pem));
    if (out != NULL)
        assert_int_equal(atls_buf_copy(out, atls_buf_bytes(&leaf.certificate), NULL), ATLS_OK);
    atls_buf_clear(&pem);
    test_identity_clear(&leaf);
}

static void validates_names_and_chains(void **state)
{
    static const struct {
        const char *name, *peer_name;
        bool trusted;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"right name", "server.example", true, ATLS_OK, ATLS_REASON_NONE},
        {"wrong name", "other.example", true, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME},
        {"unknown authority", "server.example", false, ATLS_E_CERTIFICATE,
         ATLS_REASON_UNTRUSTED_ROOT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity ca = test_ca("ca"), other = test_ca("other");
        struct atls_buf pem = ATLS_BUF_INIT;
        struct pair p;

        pair_init(&p);
        certify_server(&p, &ca, "server.example", NULL);
        test_assert_code(
            atls_pem_encode("CERTIFICATE",
                            atls_buf_bytes(rows[i].trusted ? &ca.certificate : &other.certificate),
                            &pem, NULL),
            ATLS_OK, NULL);
        p.client.options.identity = ATLS_IDENTITY_PKIX;
        p.client.options.anchors = atls_buf_bytes(&pem);
        p.client.peer_name = rows[i].peer_name;
        pair_start(&p);
        pair_run(&p);
        unlink(p.server.attester.certificate);
        if (rows[i].want == ATLS_OK) {
            assert_true(atls_session_is_open(p.client.session));
        } else {
            enum atls_reason reason = atls_session_error(p.client.session)->reason;

            /* Both mean that nothing leads to an anchor. */
            if (reason == ATLS_REASON_CHAIN_ISSUER)
                reason = ATLS_REASON_UNTRUSTED_ROOT;
            assert_int_equal(atls_session_error(p.client.session)->code, rows[i].want);
            assert_int_equal(reason, rows[i].reason);
            pair_assert_closed(rows[i].name, &p.server, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED);
            assert_non_null(strstr(atls_session_error(p.server.session)->message, "identity"));
        }
        atls_buf_clear(&pem);
        test_identity_clear(&ca);
        test_identity_clear(&other);
        pair_clear(&p);
    }
}

/* The certificate of the server's AIK, of an authority with a revocation list. */
static void asks_revocation_lists(void **state)
{
    enum { EMPTY_LIST, LISTED, EXPIRED_LIST, OTHER_LIST };
    static const struct {
        const char *name;
        int list;
        enum atls_code want;
    } rows[] = {
        {"not on the list", EMPTY_LIST, ATLS_OK},
        {"on the list", LISTED, ATLS_E_CERTIFICATE},
        {"the list is out of date", EXPIRED_LIST, ATLS_E_CERTIFICATE},
        {"on the list of another authority", OTHER_LIST, ATLS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity ca = test_ca("ca"), other = test_ca("other"), listed = {.key = NULL};
        struct atls_buf pem = ATLS_BUF_INIT, crl, crl_pem = ATLS_BUF_INIT;
        int64_t now_s;
        struct pair p;

        pair_init(&p);
        now_s = atls_clock_wall_s(&p.client.options.clock);
        certify_server(&p, &ca, "server.example", &listed.certificate);
        crl = test_crl(rows[i].list == OTHER_LIST ? &other : &ca,
                       rows[i].list == LISTED || rows[i].list == OTHER_LIST ? &listed : NULL,
                       now_s - 100, rows[i].list == EXPIRED_LIST ? now_s - 1 : now_s + 100);
        assert_int_equal(
            atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &pem, NULL), ATLS_OK);
        assert_int_equal(atls_pem_encode("X509 CRL", atls_buf_bytes(&crl), &crl_pem, NULL),
                         ATLS_OK);
        p.client.options.identity = ATLS_IDENTITY_PKIX;
        p.client.options.anchors = atls_buf_bytes(&pem);
        p.client.options.crls = atls_buf_bytes(&crl_pem);
        p.client.peer_name = "server.example";
        pair_start(&p);
        pair_run(&p);
        unlink(p.server.attester.certificate);
        if (rows[i].want == ATLS_OK) {
            assert_true(atls_session_is_open(p.client.session));
        } else {
            pair_assert_closed(rows[i].name, &p.client, rows[i].want,
                               ATLS_REASON_CERTIFICATE_REVOKED);
            pair_assert_closed(rows[i].name, &p.server, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED);
        }
        atls_buf_clear(&pem);
        atls_buf_clear(&crl);
        atls_buf_clear(&crl_pem);
        test_identity_clear(&ca);
        test_identity_clear(&other);
        test_identity_clear(&listed);
        pair_clear(&p);
    }
}

static void compares_with_the_key_of_tls(void **state)
{
    for (int same = 0; same <= 1; same++) {
        struct atls_private_key *key = NULL;
        struct atls_buf spki = ATLS_BUF_INIT;
        struct pair p;

        (void)state;
        pair_init(&p);
        test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK, NULL);
        p.server.attester.key = key;
        test_assert_code(atls_buf_copy(&spki, atls_key_spki(atls_private_key_public(key)), NULL),
                         ATLS_OK, NULL);
        if (!same)
            spki.ptr[spki.len - 1] ^= 1;
        p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
        p.client.tls.peer_spki = atls_buf_bytes(&spki);
        pair_start(&p);
        pair_run(&p);
        if (same) {
            assert_true(atls_session_is_open(p.client.session));
        } else {
            pair_assert_closed("same-key", &p.client, ATLS_E_CERTIFICATE,
                               ATLS_REASON_IDENTITY_MISMATCH);
            pair_assert_closed("same-key", &p.server, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED);
        }
        atls_buf_clear(&spki);
        pair_clear(&p);
    }
}

static void refuses_a_peer_with_our_own_key(void **state)
{
    struct pair p;
    struct atls_private_key *key = NULL, *copy = NULL;
    struct atls_buf pem = ATLS_BUF_INIT;

    (void)state;
    pair_init(&p);
    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK, NULL);
    test_assert_code(atls_private_key_to_pem(key, &pem, NULL), ATLS_OK, NULL);
    test_assert_code(atls_private_key_from_pem(atls_buf_bytes(&pem), &copy, NULL), ATLS_OK, NULL);
    p.client.attester.key = key;
    p.server.attester.key = copy;
    pair_start(&p);
    pair_run(&p);
    pair_assert_closed("equal keys", &p.client, ATLS_E_CERTIFICATE, ATLS_REASON_EQUAL_KEYS);
    pair_assert_closed("equal keys", &p.server, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED);
    atls_buf_clear(&pem);
    pair_clear(&p);
}

/* ---- TLS ---- */

static void refuses_connections_that_are_unfit(void **state)
{
    static const struct {
        const char *name;
        struct atls_tls tls; /* zero: as it was */
        bool no_exporter, pkix, same_key;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"TLS 1.2", {.version = 0x0303}, false, false, false, ATLS_E_TLS, ATLS_REASON_TLS_VERSION},
        {"resumed",
         {.resumed = ATLS_ANSWER_YES},
         false,
         false,
         false,
         ATLS_E_TLS,
         ATLS_REASON_TLS_RESUMED},
        {"resumed, perhaps",
         {.resumed = ATLS_ANSWER_UNKNOWN},
         false,
         false,
         false,
         ATLS_E_TLS,
         ATLS_REASON_TLS_RESUMED},
        {"early data",
         {.early_data = ATLS_ANSWER_YES},
         false,
         false,
         false,
         ATLS_E_TLS,
         ATLS_REASON_TLS_EARLY_DATA},
        {"early data, perhaps",
         {.early_data = ATLS_ANSWER_UNKNOWN},
         false,
         false,
         false,
         ATLS_E_TLS,
         ATLS_REASON_TLS_EARLY_DATA},
        {"no exporter", {0}, true, false, false, ATLS_E_USAGE, ATLS_REASON_NONE},
        {"pkix without a name", {0}, false, true, false, ATLS_E_CONFIG, ATLS_REASON_NONE},
        {"same-key without a key",
         {0},
         false,
         false,
         true,
         ATLS_E_TLS,
         ATLS_REASON_IDENTITY_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_session *session = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tls tls;
        struct pair p;
        enum atls_code code;

        pair_init(&p);
        if (rows[i].pkix) {
            p.client.options.identity = ATLS_IDENTITY_PKIX;
            p.client.options.system_anchors = true;
        }
        if (rows[i].same_key)
            p.client.options.identity = ATLS_IDENTITY_SAME_KEY;
        pair_configure(&p);
        tls = p.client.tls;
        if (rows[i].tls.version != 0)
            tls.version = rows[i].tls.version;
        if (rows[i].reason == ATLS_REASON_TLS_RESUMED)
            tls.resumed = rows[i].tls.resumed;
        if (rows[i].reason == ATLS_REASON_TLS_EARLY_DATA)
            tls.early_data = rows[i].tls.early_data;
        if (rows[i].no_exporter)
            tls.exporter = NULL;
        code = atls_session_new(p.client.config, &tls, NULL, &session, &err);
        if (code != rows[i].want || err.reason != rows[i].reason || session != NULL)
            fail_msg("%s: %s, %s", rows[i].name, atls_code_name(code), err.message);
        pair_clear(&p);
    }
}

struct failing_exporter {
    atls_exporter *exporter;
    void *arg;
    int left; /* calls that succeed */
};

static enum atls_code export_at_first(void *arg, const char *label, struct atls_bytes context,
                                      uint8_t *out, size_t out_len, struct atls_err *err)
{
    struct failing_exporter *f = arg;

    if (f->left-- <= 0)
        return ATLS_E_TLS;
    return f->exporter(f->arg, label, context, out, out_len, err);
}

/* However many values are exported and whenever: one that fails ends the session, and is the cause.
 */
static void passes_on_failures_of_the_exporter(void **state)
{
    struct pair p;
    int calls = 0;

    (void)state;
    pair_init(&p);
    pair_configure(&p);
    for (bool open = false; !open; calls++) {
        struct failing_exporter f = {p.client.tls.exporter, p.client.tls.arg, calls};
        struct atls_tls tls = p.client.tls;

        assert_true(calls < 100);
        tls.exporter = export_at_first;
        tls.arg = &f;
        p.client.session = p.server.session = NULL;
        p.client.code =
            atls_session_new(p.client.config, &tls, NULL, &p.client.session, &p.client.err);
        if (p.client.code == ATLS_OK) {
            assert_int_equal(atls_session_new(p.server.config, &p.server.tls, NULL,
                                              &p.server.session, &p.server.err),
                             ATLS_OK);
            pair_run(&p);
            open = atls_session_is_open(p.client.session);
            p.client.code = atls_session_error(p.client.session)->code;
        }
        assert_int_equal(p.client.code, open ? ATLS_OK : ATLS_E_TLS);
        assert_int_equal(open, f.left >= 0);
        atls_session_free(p.client.session);
        atls_session_free(p.server.session);
    }
    assert_true(calls > 3);
    p.client.session = p.server.session = NULL;
    pair_clear(&p);
}

/* ---- the gate ---- */

static void sends_nothing_before_the_gate(void **state)
{
    struct pair p;
    size_t accepted = 99;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    p.hold_jobs = true;
    pair_start(&p);
    pair_run(&p);
    assert_int_equal(atls_session_write(p.client.session, atls_bytes_of("x", 1), &accepted, &err),
                     ATLS_E_USAGE);
    assert_int_equal(err.reason, ATLS_REASON_GATE_CLOSED);
    assert_int_equal(accepted, 99);
    assert_int_equal(atls_session_output(p.client.session).len, 0);
    assert_int_equal(atls_session_read(p.client.session).len, 0);
    assert_int_equal(atls_session_data_left(p.client.session), 0);
    p.hold_jobs = false; /* the session goes on */
    pair_run(&p);
    assert_true(atls_session_is_open(p.client.session));
    atls_session_close(p.client.session);
    assert_int_equal(atls_session_write(p.client.session, atls_bytes_of("x", 1), &accepted, &err),
                     ATLS_E_CLOSED);
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_E_CLOSED);
    assert_int_equal(atls_session_input(p.client.session, atls_bytes_of("x", 1), &accepted, &err),
                     ATLS_E_CLOSED);
    pair_clear(&p);
}

static void names_what_the_gate_waits_for(void **state)
{
    static const struct {
        const char *says;
        enum { HELLO, AUTHENTICATOR, VERIFIER, REQUEST, ATTESTER, VERDICT } at;
    } rows[] = {
        {"the peer's HELLO", HELLO}, {"the peer's authenticator", AUTHENTICATOR},
        {"our verifier", VERIFIER},  {"the peer's request", REQUEST},
        {"our attester", ATTESTER},  {"the peer's verdict", VERDICT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair p;
        struct pair_end *late = &p.client;
        struct atls_job *job;
        struct atls_err err = ATLS_ERR_INIT;

        pair_init(&p);
        p.server.requires = p.client.attests = rows[i].at >= REQUEST;
        if (rows[i].at >= REQUEST)
        p.client.requires = p.server.attests = false;
        pair_start(&p);
        if (rows[i].at == REQUEST) {
            /* Its HELLO without its REQUEST. */
            struct atls_bytes out;

            pair_deliver(&p, &p.client, &p.server);
            out = atls_session_output(p.server.session);
            assert_int_equal(pair_inject(&p, &p.client, atls_bytes_of(out.ptr, 4 + out.ptr[3])),
                             ATLS_OK);
        } else if (rows[i].at != HELLO) {
            pair_deliver(&p, &p.client, &p.server);
            if (rows[i].at == VERIFIER)
                pair_work(&p.server);
            pair_deliver(&p, &p.server, &p.client);
            if (rows[i].at == VERDICT)
                pair_work(&p.client);
        }
        assert_int_equal(atls_session_deadline_ms(late->session), p.now_ms + 30000);
        p.now_ms += 29999;
        assert_int_equal(atls_session_tick(late->session, &err), ATLS_OK);
        p.now_ms++;
        job = atls_session_job(late->session); /* in the hands of another thread */
        assert_int_equal(atls_session_tick(late->session, &err), ATLS_E_TIMEOUT);
        assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
        if (strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].says, err.message);
        assert_int_equal(atls_session_tick(late->session, &err), ATLS_OK);
        if (job != NULL) {
            atls_job_run(job);
            assert_int_equal(atls_session_complete(late->session, job, &err), ATLS_OK);
        }
        pair_deliver(&p, &p.client, &p.server);
        pair_assert_closed(rows[i].says, &p.client, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE);
        atls_session_output_done(p.server.session, SIZE_MAX);
        pair_assert_closed(rows[i].says, &p.server, ATLS_E_TIMEOUT, ATLS_REASON_PEER_REFUSED);
        pair_clear(&p);
    }
}

static void refuses_jobs_that_are_not_due(void **state)
{
    struct pair p, q;
    struct atls_job *job;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    pair_init(&q);
    pair_start(&p);
    pair_start(&q);
    pair_deliver(&p, &p.client, &p.server);
    job = atls_session_job(p.server.session);
    assert_non_null(job);
    assert_null(atls_session_job(p.server.session));
    assert_int_equal(atls_session_complete(q.server.session, job, &err), ATLS_E_USAGE);
    pair_clear(&p);

    /* Completed without having run: the evidence cannot be made, the appraisal has failed. */
    pair_init(&p);
    p.server.requires = p.client.attests = false;
    p.hold_jobs = true;
    pair_start(&p);
    pair_run(&p);
    job = atls_session_job(p.server.session);
    atls_job_run(job);
    assert_int_equal(atls_session_complete(p.server.session, job, &err), ATLS_OK);
    pair_run(&p);
    job = atls_session_job(p.client.session);
    assert_int_equal(atls_session_complete(p.client.session, job, &err), ATLS_E_USAGE);
    atls_session_output_done(p.client.session, SIZE_MAX);
    pair_assert_closed("not run", &p.client, ATLS_E_USAGE, ATLS_REASON_NONE);
    pair_clear(&p);
    pair_clear(&q);
    atls_job_free(NULL);
    atls_session_free(NULL);
}

static void lets_jobs_outlive_their_session(void **state)
{
    struct pair p;
    struct atls_job *attest, *appraise;

    (void)state;
    pair_init(&p);
    p.hold_jobs = true;
    pair_start(&p);
    pair_run(&p);
    pair_work(&p.server);
    pair_run(&p);
    attest = atls_session_job(p.client.session);
    appraise = atls_session_job(p.client.session);
    assert_non_null(appraise);
    pair_clear(&p);
    atls_job_run(attest);
    atls_job_run(appraise);
    atls_job_free(attest);
    atls_job_free(appraise);
}

/* ---- application data ---- */

static void moves_much_data_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {0, 1, 5, 4096};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pair p;

        pair_init(&p);
        pair_open(&p);
        p.piece = pieces[i];
        pair_transfer(&p, &p.client, &p.server, 300000);
        pair_transfer(&p, &p.server, &p.client, 300000);
        pair_clear(&p);
    }
}

static void takes_no_more_than_one_record_of_output(void **state)
{
    static uint8_t much[100000];
    struct pair p;
    size_t accepted;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    assert_int_equal(
        atls_session_write(p.client.session, atls_bytes_of(much, sizeof much), &accepted, NULL),
        ATLS_OK);
    assert_int_equal(accepted, 16380);
    assert_int_equal(atls_session_output(p.client.session).len, 16384);
    assert_int_equal(atls_session_write(p.client.session, atls_bytes_of(much, 1), &accepted, NULL),
                     ATLS_OK);
    assert_int_equal(accepted, 0);
    atls_session_output_done(p.client.session, 10);
    assert_int_equal(
        atls_session_write(p.client.session, atls_bytes_of(much, 100), &accepted, NULL), ATLS_OK);
    assert_int_equal(accepted, 6);
    assert_int_equal(atls_session_write(p.client.session, atls_bytes_of(much, 0), &accepted, NULL),
                     ATLS_OK);
    assert_int_equal(accepted, 0);
    pair_clear(&p);
}

/* A caller that writes application data to TLS itself. */
static void says_what_stands_before_data(void **state)
{
    static uint8_t much[100000];
    struct atls_session_head head = {{0}, 9, 9};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes out;
    struct pair p;
    size_t accepted;

    (void)state;
    pair_init(&p);
    p.hold_jobs = true;
    pair_start(&p);
    pair_run(&p);
    assert_int_equal(atls_session_head(p.client.session, 1, &head, &err), ATLS_E_USAGE);
    assert_int_equal(err.reason, ATLS_REASON_GATE_CLOSED);
    assert_int_equal(head.data_len, 9);
    pair_clear(&p);
    pair_init(&p);
    pair_open(&p);
    for (size_t len = 1; len < 65536; len = len * 3 + 1) {
        test_assert_code(atls_session_head(p.client.session, len, &head, &err), ATLS_OK, &err);
        test_assert_code(
            atls_session_write(p.client.session, atls_bytes_of(much, len), &accepted, &err),
            ATLS_OK, &err);
        out = atls_session_output(p.client.session);
        assert_int_equal(head.data_len, accepted);
        assert_int_equal(head.len + head.data_len, out.len);
        assert_memory_equal(head.bytes, out.ptr, head.len);
        /* Not before what is in the output. */
        test_assert_code(atls_session_head(p.client.session, 1, &head, &err), ATLS_OK, &err);
        assert_int_equal(head.data_len, 0);
        atls_session_output_done(p.client.session, out.len);
    }
    test_assert_code(atls_session_head(p.client.session, 0, &head, &err), ATLS_OK, &err);
    assert_int_equal(head.data_len, 0);
    test_assert_code(atls_session_end(p.client.session, &err), ATLS_OK, &err);
    assert_int_equal(atls_session_head(p.client.session, 1, &head, &err), ATLS_E_USAGE);
    pair_clear(&p);
}

/* A caller that reads application data from TLS itself. */
static void lets_data_pass_by(void **state)
{
    static const uint8_t frames[] = {6, 0, 0, 3, 'a', 'b', 'c', 6, 0, 0, 1, 'd'};
    struct pair p;
    size_t consumed;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    assert_int_equal(atls_session_input_wanted(p.client.session), 4);
    assert_int_equal(
        atls_session_input(p.client.session, atls_bytes_of(frames, 2), &consumed, NULL), ATLS_OK);
    assert_int_equal(atls_session_input_wanted(p.client.session), 2);
    assert_int_equal(
        atls_session_input(p.client.session, atls_bytes_of(frames + 2, 2), &consumed, NULL),
        ATLS_OK);
    assert_int_equal(atls_session_input_wanted(p.client.session), 0);
    assert_int_equal(atls_session_data_left(p.client.session), 3);
    atls_session_data_taken(p.client.session, 2);
    assert_int_equal(atls_session_data_left(p.client.session), 1);
    /* And the other way in between: both count the same bytes. */
    assert_int_equal(
        atls_session_input(p.client.session, atls_bytes_of(frames + 6, 6), &consumed, NULL),
        ATLS_OK);
    assert_int_equal(consumed, 1);
    test_assert_bytes(atls_session_read(p.client.session), atls_bytes_of("c", 1));
    assert_int_equal(atls_session_data_left(p.client.session), 0);
    assert_int_equal(
        atls_session_input(p.client.session, atls_bytes_of(frames + 7, 5), &consumed, NULL),
        ATLS_OK);
    assert_int_equal(consumed, 0); /* read first */
    atls_session_read_done(p.client.session, 99);
    assert_int_equal(
        atls_session_input(p.client.session, atls_bytes_of(frames + 7, 4), &consumed, NULL),
        ATLS_OK);
    assert_int_equal(atls_session_data_left(p.client.session), 1);
    atls_session_data_taken(p.client.session, 1);
    assert_int_equal(atls_session_input_wanted(p.client.session), 4);
    assert_int_equal(atls_session_data_left(p.client.session), 0);
    atls_session_data_taken(p.client.session, 1);
    pair_clear(&p);
}

static void ends_framing_in_raw_mode(void **state)
{
    static const uint8_t text[] = "no frames here";
    struct pair p;
    size_t n;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    p.client.options.raw = p.server.options.raw = true;
    pair_open(&p);
    test_assert_code(
        atls_session_write(p.client.session, atls_bytes_of(text, sizeof text), &n, &err), ATLS_OK,
        &err);
    test_assert_bytes(atls_session_output(p.client.session), atls_bytes_of(text, sizeof text));
    test_assert_code(
        atls_session_input(p.server.session, atls_session_output(p.client.session), &n, &err),
        ATLS_OK, &err);
    assert_int_equal(n, sizeof text);
    assert_int_equal(atls_session_data_left(p.server.session), 0);
    test_assert_bytes(atls_session_read(p.server.session), atls_bytes_of(text, sizeof text));
    atls_session_read_done(p.server.session, sizeof text);
    assert_int_equal(atls_session_data_left(p.server.session), SIZE_MAX);
    atls_session_data_taken(p.server.session, 5);
    assert_int_equal(atls_session_input_wanted(p.server.session), 0);
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_E_USAGE);
    atls_session_output_done(p.client.session, sizeof text);
    pair_transfer(&p, &p.server, &p.client, 50000);
    assert_int_equal(atls_session_input_end(p.server.session, &err), ATLS_OK);
    atls_session_close(p.client.session); /* TLS ends it, no frame */
    pair_assert_closed("raw", &p.client, ATLS_OK, ATLS_REASON_NONE);
    pair_assert_closed("raw", &p.server, ATLS_OK, ATLS_REASON_NONE);
    pair_clear(&p);
}

static void needs_both_sides_for_raw_mode(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    p.client.options.raw = true;
    pair_open(&p);
    pair_transfer(&p, &p.client, &p.server, 1000);
    assert_int_equal(atls_session_input_wanted(p.server.session), 4); /* a header */
    pair_clear(&p);
}

static void judges_frames_around_raw(void **state)
{
    static const uint8_t data[] = {6, 0, 0, 1, 'x'}, raw[] = {8, 0, 0, 0};
    struct pair p;

    (void)state;
    for (int i = 0; i < 2; i++) {
        pair_init(&p);
        p.client.options.raw = p.server.options.raw = true;
        p.hold_jobs = i == 1;
        pair_start(&p);
        if (i == 0) { /* a frame other than RAW where framing must end */
            pair_deliver(&p, &p.client, &p.server);
            pair_work(&p.server);
            pair_deliver(&p, &p.server, &p.client);
            pair_work(&p.client);
            pair_deliver(&p, &p.client, &p.server);
            pair_work(&p.server);
            assert_true(atls_session_is_open(p.server.session));
            assert_int_equal(pair_inject(&p, &p.server, atls_bytes_of(data, sizeof data)),
                             ATLS_E_PROTOCOL);
            atls_session_output_done(p.server.session, SIZE_MAX);
            pair_assert_closed("DATA for RAW", &p.server, ATLS_E_PROTOCOL, ATLS_REASON_NONE);
        } else { /* RAW at a closed gate */
            pair_run(&p);
            assert_int_equal(pair_inject(&p, &p.server, atls_bytes_of(raw, sizeof raw)),
                             ATLS_E_PROTOCOL);
            atls_session_output_done(p.server.session, SIZE_MAX);
            pair_assert_closed("RAW too early", &p.server, ATLS_E_PROTOCOL,
                               ATLS_REASON_GATE_CLOSED);
        }
        pair_clear(&p);
    }
}

/* ---- re-attestation ---- */

static uint32_t attestations(const struct pair_end *end)
{
    struct atls_peer peer;

    atls_session_peer(end->session, &peer);
    return peer.attestations;
}

static void attests_again_while_data_flows(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    pair_open(&p);
    p.hold_jobs = true;
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK);
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK); /* one more later */
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK); /* the same */
    assert_int_equal(atls_session_deadline_ms(p.client.session), p.now_ms + 30000);
    pair_run(&p);
    pair_transfer(&p, &p.client, &p.server, 20000);
    pair_transfer(&p, &p.server, &p.client, 20000);
    pair_work(&p.server);
    pair_run(&p);
    pair_transfer(&p, &p.server, &p.client, 20000);
    pair_work(&p.client);
    assert_int_equal(attestations(&p.client), 2);
    assert_true(atls_session_deadline_ms(p.client.session) <= p.now_ms);
    p.hold_jobs = false;
    assert_int_equal(atls_session_tick(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    assert_int_equal(attestations(&p.client), 3);
    assert_int_equal(attestations(&p.server), 1);
    assert_int_equal(atls_session_deadline_ms(p.client.session), INT64_MAX);
    pair_transfer(&p, &p.client, &p.server, 20000);
    pair_clear(&p);
}

static void attests_again_on_an_interval(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    p.server.options.reattest_interval_s = 60;
    pair_open(&p);
    for (uint32_t i = 2; i < 20; i++) {
        assert_int_equal(atls_session_deadline_ms(p.server.session), p.now_ms + 60000);
        p.now_ms += 59999;
        assert_int_equal(atls_session_tick(p.server.session, &err), ATLS_OK);
        assert_int_equal(atls_session_output(p.server.session).len, 0);
        p.now_ms++;
        assert_int_equal(atls_session_tick(p.server.session, &err), ATLS_OK);
        pair_run(&p);
        assert_int_equal(attestations(&p.server), i);
    }
    pair_clear(&p);
}

static void refuses_to_ask_again_where_it_makes_no_sense(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    p.server.requires = false;
    pair_start(&p);
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_E_USAGE);
    pair_run(&p);
    assert_int_equal(atls_session_reattest(p.server.session, &err), ATLS_E_USAGE);
    pair_clear(&p);
}

static void ends_when_the_second_attestation_fails(void **state)
{
    struct pair p;

    (void)state;
    for (int declined = 0; declined <= 1; declined++) {
        pair_init(&p);
        pair_open(&p);
        if (declined)
            p.server.attester.fail_evidence = ATLS_E_DEVICE;
        else
            p.server.attester.wrong_binder = true;
        assert_int_equal(atls_session_reattest(p.client.session, NULL), ATLS_OK);
        pair_run(&p);
        if (declined) {
            pair_assert_closed("declined", &p.client, ATLS_E_DECLINED,
                               ATLS_REASON_EMPTY_AUTHENTICATOR);
            pair_assert_closed("declined", &p.server, ATLS_E_DEVICE, ATLS_REASON_NONE);
        } else {
            pair_assert_closed("refused", &p.client, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH);
            pair_assert_closed("refused", &p.server, ATLS_E_REFUSED, ATLS_REASON_PEER_REFUSED);
        }
        pair_clear(&p);
    }
}

static void ends_when_the_second_attestation_is_late(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (int judging = 0; judging <= 1; judging++) {
        struct atls_job *job = NULL;

        pair_init(&p);
        pair_open(&p);
        p.hold_jobs = true;
        assert_int_equal(atls_session_reattest(p.client.session, NULL), ATLS_OK);
        pair_run(&p);
        if (judging) {
            pair_work(&p.server);
            pair_run(&p);
            job = atls_session_job(p.client.session);
            assert_non_null(job);
        }
        p.now_ms += 30000;
        assert_int_equal(atls_session_tick(p.client.session, &err), ATLS_E_TIMEOUT);
        assert_non_null(strstr(err.message, judging ? "our verifier" : "the peer's authenticator"));
        pair_run(&p);
        pair_assert_closed("late", &p.client, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE);
        pair_assert_closed("late", &p.server, ATLS_E_TIMEOUT, ATLS_REASON_PEER_REFUSED);
        atls_job_free(job);
        pair_clear(&p);
    }
}

/* on_failure GATE: no data either way until the peer is attested again; nothing is lost. */
static void withdraws_the_right_to_send(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;
    size_t n;

    (void)state;
    pair_init(&p);
    p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
    pair_open(&p);
    p.server.attester.wrong_binder = true;
    p.hold_jobs = true;
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    pair_work(&p.server);
    /* In flight: one piece that was given and not read, one that arrives after. */
    assert_int_equal(atls_session_write(p.server.session, atls_bytes_of("ab", 2), &n, &err),
                     ATLS_OK);
    test_assert_code(
        atls_session_input(p.client.session, atls_session_output(p.server.session), &n, &err),
        ATLS_OK, &err);
    atls_session_output_done(p.server.session, n);
    atls_session_read_done(p.client.session, 1);
    test_assert_bytes(atls_session_read(p.client.session), atls_bytes_of("b", 1));
    pair_work(&p.client);
    assert_false(atls_session_is_open(p.client.session));
    assert_int_equal(atls_session_read(p.client.session).len, 0);
    assert_int_equal(atls_session_write(p.client.session, atls_bytes_of("x", 1), &n, &err),
                     ATLS_E_USAGE);
    assert_int_equal(atls_session_write(p.server.session, atls_bytes_of("cd", 2), &n, &err),
                     ATLS_OK);
    pair_run(&p);
    assert_false(atls_session_is_open(p.server.session));
    assert_int_equal(atls_session_write(p.server.session, atls_bytes_of("x", 1), &n, &err),
                     ATLS_E_USAGE);
    assert_int_equal(atls_session_read(p.client.session).len, 0);
    assert_int_equal(atls_session_data_left(p.client.session), 0);

    /* A good answer brings it back, with what was held. */
    p.server.attester.wrong_binder = false;
    p.hold_jobs = false;
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    assert_true(atls_session_is_open(p.client.session));
    assert_true(atls_session_is_open(p.server.session));
    test_assert_bytes(atls_session_read(p.client.session), atls_bytes_of("bcd", 3));
    assert_int_equal(atls_session_data_left(p.client.session), 0);
    atls_session_read_done(p.client.session, 1);
    atls_session_read_done(p.client.session, 2);
    pair_transfer(&p, &p.server, &p.client, 5000);
    pair_transfer(&p, &p.client, &p.server, 5000);
    pair_clear(&p);
}

static void withdraws_after_a_decline_and_asks_again(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    pair_init(&p);
    p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
    p.client.options.reattest_interval_s = 10;
    pair_open(&p);
    p.server.attester.fail_evidence = ATLS_E_DEVICE;
    p.now_ms += 10000;
    assert_int_equal(atls_session_tick(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    assert_false(atls_session_is_open(p.client.session));
    p.server.attester.fail_evidence = ATLS_OK;
    assert_int_equal(atls_session_deadline_ms(p.client.session), p.now_ms + 10000);
    p.now_ms += 10000;
    assert_int_equal(atls_session_tick(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    assert_true(atls_session_is_open(p.client.session));
    assert_true(atls_session_is_open(p.server.session));
    pair_clear(&p);
}

static void closes_the_gate_until_a_late_answer(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;
    size_t n;

    (void)state;
    pair_init(&p);
    p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
    pair_open(&p);
    p.hold_jobs = true;
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK);
    pair_run(&p);
    p.now_ms += 30000;
    assert_int_equal(atls_session_tick(p.client.session, &err), ATLS_OK);
    assert_false(atls_session_is_open(p.client.session));
    assert_int_equal(atls_session_deadline_ms(p.client.session), INT64_MAX);
    assert_true(atls_session_is_open(p.server.session)); /* it does not know yet */
    assert_int_equal(atls_session_write(p.server.session, atls_bytes_of("abc", 3), &n, &err),
                     ATLS_OK);
    assert_int_equal(atls_session_end(p.server.session, &err), ATLS_OK);
    pair_run(&p);
    assert_int_equal(atls_session_input_wanted(p.client.session), 4);
    assert_false(atls_session_peer_ended(p.client.session)); /* not before it was read */
    p.hold_jobs = false;
    pair_run(&p);
    assert_true(atls_session_is_open(p.client.session));
    test_assert_bytes(atls_session_read(p.client.session), atls_bytes_of("abc", 3));
    assert_false(atls_session_peer_ended(p.client.session));
    atls_session_read_done(p.client.session, 3);
    assert_true(atls_session_peer_ended(p.client.session));
    pair_clear(&p);
}

static void holds_a_limited_amount_of_data(void **state)
{
    static uint8_t much[65536 + 5];
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes frame = {much, sizeof much};

    (void)state;
    much[0] = 6;
    much[1] = 1;
    much[3] = 1; /* 65537 bytes */
    for (int over = 0; over <= 1; over++) {
        pair_init(&p);
        p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
        pair_open(&p);
        p.hold_jobs = true;
        assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_OK);
        pair_run(&p);
        p.now_ms += 30000;
        assert_int_equal(atls_session_tick(p.client.session, &err), ATLS_OK);
        frame.len = sizeof much - (over ? 0 : 1);
        assert_int_equal(pair_inject(&p, &p.client, frame), over ? ATLS_E_PROTOCOL : ATLS_OK);
        if (over)
            assert_int_equal(p.client.err.reason, ATLS_REASON_GATE_CLOSED);
        pair_clear(&p);
    }
}

/* ---- attacks ---- */

/* A proxy in the middle: two connections, frames passed on between them. */
static void stops_a_relay(void **state)
{
    struct pair left, right; /* victim client - proxy, proxy - genuine server */

    (void)state;
    pair_init(&left);
    pair_init(&right);
    left.server.requires = left.client.attests = false;
    right.server.requires = right.client.attests = false;
    right.client.secret[5] = right.server.secret[5] = 99;
    pair_start(&left);
    pair_start(&right);
    pair_deliver(&right, &left.client, &right.server);
    pair_work(&right.server);
    pair_deliver(&left, &right.server, &left.client);
    pair_work(&left.client);
    atls_session_output_done(left.client.session, SIZE_MAX);
    pair_assert_closed("relay", &left.client, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    pair_clear(&left);
    pair_clear(&right);
}

/* The peer's own request and answer, sent back. */
static void stops_reflection(void **state)
{
    struct pair p;
    struct atls_bytes flight;
    size_t hello;

    (void)state;
    pair_init(&p);
    pair_start(&p);
    flight = atls_session_output(p.client.session);
    hello = 4 + (size_t)flight.ptr[3];
    pair_deliver(&p, &p.client, &p.server);
    flight = atls_session_output(p.server.session);
    /* The server's HELLO and REQUEST go back to itself: its HELLO is the second it gets. */
    assert_int_equal(pair_inject(&p, &p.server, atls_bytes_of(flight.ptr, hello)), ATLS_E_PROTOCOL);
    pair_clear(&p);

    pair_init(&p);
    pair_start(&p);
    pair_deliver(&p, &p.client, &p.server);
    flight = atls_session_output(p.server.session);
    {
        uint8_t *request = malloc(flight.len - hello);

        assert_non_null(request);
        memcpy(request, flight.ptr + hello, flight.len - hello);
        assert_int_equal(request[0], 2);
        request[7] = 2; /* the next id */
        assert_int_equal(pair_inject(&p, &p.server, atls_bytes_of(request, flight.len - hello)),
                         ATLS_E_PROTOCOL);
        free(request);
    }
    pair_clear(&p);
}

/* ---- memory ---- */

static size_t heap(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* DESIGN: an open, idle session holds little; what judged the evidence is gone. */
static void holds_little_memory_when_open(void **state)
{
    enum { COUNT = 16 };
    struct pair p;
    struct atls_session *sessions[COUNT];
    size_t before, after;

    (void)state;
    pair_init(&p);
    p.client.attester.evidence_len = p.server.attester.evidence_len = 30000;
    pair_open(&p); /* fills caches */
    before = heap();
    for (size_t i = 0; i < COUNT; i++) {
        struct pair q = p;

        test_assert_code(
            atls_session_new(p.client.config, &p.client.tls, NULL, &q.client.session, NULL),
            ATLS_OK, NULL);
        test_assert_code(
            atls_session_new(p.server.config, &p.server.tls, NULL, &q.server.session, NULL),
            ATLS_OK, NULL);
        pair_run(&q);
        pair_transfer(&q, &q.client, &q.server, 40000);
        pair_transfer(&q, &q.server, &q.client, 40000);
        assert_true(atls_session_is_open(q.client.session));
        sessions[i] = q.client.session;
        atls_session_free(q.server.session);
        atls_session_trim(q.client.session);
    }
    after = heap();
    print_message("heap of one open session: %zu bytes\n", (after - before) / COUNT);
#ifndef SANITIZED /* their allocators do not count */
    assert_true(after > before);
    assert_true((after - before) / COUNT <= 16 * 1024);
#endif
    for (size_t i = 0; i < COUNT; i++)
        atls_session_free(sessions[i]);
    pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_every_way_round),
        cmocka_unit_test(opens_with_keys_of_every_type),
        cmocka_unit_test(needs_one_round_trip),
        cmocka_unit_test(carries_large_evidence_both_ways),
        cmocka_unit_test(chooses_an_inner_protocol),
        cmocka_unit_test(refuses_an_inner_protocol_that_was_not_offered),
        cmocka_unit_test(refuses),
        cmocka_unit_test(explains_refusals_without_giving_away_reference_values),
        cmocka_unit_test(keeps_the_result_of_a_refused_peer),
        cmocka_unit_test(gives_back_the_result_and_attests_again),
        cmocka_unit_test(accepts_insecure_evidence_by_name_only),
        cmocka_unit_test(declines_when_no_scheme_is_common),
        cmocka_unit_test(validates_names_and_chains),
        cmocka_unit_test(asks_revocation_lists),
        cmocka_unit_test(compares_with_the_key_of_tls),
        cmocka_unit_test(refuses_a_peer_with_our_own_key),
        cmocka_unit_test(refuses_connections_that_are_unfit),
        cmocka_unit_test(passes_on_failures_of_the_exporter),
        cmocka_unit_test(sends_nothing_before_the_gate),
        cmocka_unit_test(names_what_the_gate_waits_for),
        cmocka_unit_test(refuses_jobs_that_are_not_due),
        cmocka_unit_test(lets_jobs_outlive_their_session),
        cmocka_unit_test(moves_much_data_in_pieces_of_any_size),
        cmocka_unit_test(takes_no_more_than_one_record_of_output),
        cmocka_unit_test(says_what_stands_before_data),
        cmocka_unit_test(lets_data_pass_by),
        cmocka_unit_test(ends_framing_in_raw_mode),
        cmocka_unit_test(needs_both_sides_for_raw_mode),
        cmocka_unit_test(judges_frames_around_raw),
        cmocka_unit_test(attests_again_while_data_flows),
        cmocka_unit_test(attests_again_on_an_interval),
        cmocka_unit_test(refuses_to_ask_again_where_it_makes_no_sense),
        cmocka_unit_test(ends_when_the_second_attestation_fails),
        cmocka_unit_test(ends_when_the_second_attestation_is_late),
        cmocka_unit_test(withdraws_the_right_to_send),
        cmocka_unit_test(withdraws_after_a_decline_and_asks_again),
        cmocka_unit_test(closes_the_gate_until_a_late_answer),
        cmocka_unit_test(holds_a_limited_amount_of_data),
        cmocka_unit_test(stops_a_relay),
        cmocka_unit_test(stops_reflection),
        cmocka_unit_test(holds_little_memory_when_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
