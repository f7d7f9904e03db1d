/* Attestation that is asked for and not insisted on (peer_optional): who passes, who does not, and
 * what is said of whom. */
#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "session_pair.h"

static const uint8_t tls_key[] = {0x30, 0x01, 0x02};

/* The client asks the server; TLS has validated the server's certificate. */
static void init(struct pair *p)
{
    pair_init(p);
    p->client.attests = p->server.requires = false;
    p->client.options.peer_optional = true;
    p->client.tls.peer_spki = atls_bytes_of(tls_key, sizeof tls_key);
}

static void assert_unattested(const char *row, const struct pair_end *end)
{
    struct atls_peer peer;

    atls_session_peer(end->session, &peer);
    if (!peer.unattested || peer.attested || peer.result != NULL || peer.attestations != 0 ||
        peer.attested_at_s != 0 || peer.spki.len != 0 || peer.certificate.len != 0 ||
        strcmp(peer.evidence_type, "") != 0 || strcmp(peer.binding, "") != 0 ||
        strcmp(peer.freshness, "") != 0)
        fail_msg("%s: peer unattested %d, attested %d, of type \"%s\"", row, (int)peer.unattested,
                 (int)peer.attested, peer.evidence_type);
}

static void assert_attested(const char *row, const struct pair_end *end)
{
    struct atls_peer peer;

    atls_session_peer(end->session, &peer);
    if (peer.unattested || !peer.attested || peer.result == NULL)
        fail_msg("%s: peer unattested %d, attested %d", row, (int)peer.unattested,
                 (int)peer.attested);
}

/* ---- who passes without ---- */

static void no_attester(struct pair *p)
{
    p->server.attests = false;
    p->server.requires = true; /* else it had nothing to do */
    p->server.options.peer_optional = true;
}

static void attester_fails(struct pair *p)
{
    p->server.attester.fail_evidence = ATLS_E_DEVICE;
}

static void key_cannot_sign(struct pair *p)
{
    p->server.attester.fail_sign = ATLS_E_DEVICE;
}

static void does_not_fit(struct pair *p)
{
    p->server.attester.evidence_len = ATLS_CMW_DATA_MAX + 1;
}

static void other_technology(struct pair *p)
{
    p->server.attester.other_type = true;
}

static void other_profile(struct pair *p)
{
    p->server.attester.profiles = ATLS_PROFILE_BARE;
}

static void no_result(struct pair *p)
{
    p->client.verifier.takes_results = true;
}

static const struct {
    const char *name;
    void (*change)(struct pair *p);
    const char *why; /* of the server's */
} without[] = {
    {"no attester", no_attester, "no attester"},
    {"attester that fails", attester_fails, ""},
    {"key that cannot sign", key_cannot_sign, ""},
    {"evidence that does not fit", does_not_fit, ""},
    {"another technology", other_technology, "other"},
    {"another profile", other_profile, "profile"},
    {"results wanted, and no passport", no_result, "passport"},
};

static void lets_who_declines_pass_as_not_attested(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        struct pair p;
        struct atls_peer peer;

        init(&p);
        without[i].change(&p);
        pair_open(&p);
        assert_unattested(without[i].name, &p.client);
        atls_session_peer(p.server.session, &peer);
        if (peer.self_attested || peer.shown)
            fail_msg("%s: the server counts as attested", without[i].name);
        pair_transfer(&p, &p.client, &p.server, 40000);
        pair_transfer(&p, &p.server, &p.client, 40000);
        atls_session_close(p.client.session);
        pair_run(&p);
        pair_assert_closed("orderly", &p.client, ATLS_OK, ATLS_REASON_NONE);
        pair_assert_closed("orderly", &p.server, ATLS_OK, ATLS_REASON_NONE);
        assert_unattested("closed", &p.client);
        pair_clear(&p);
    }
}

static void refuses_the_same_where_attestation_is_required(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        struct pair p;

        init(&p);
        p.client.options.peer_optional = false;
        without[i].change(&p);
        pair_start(&p);
        pair_run(&p);
        if (atls_session_next(p.client.session) != ATLS_NEXT_CLOSED ||
            atls_session_error(p.client.session)->code == ATLS_OK)
            fail_msg("%s: passed", without[i].name);
        pair_clear(&p);
    }
}

static void lets_clients_pass_as_not_attested(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p);
    p.client.attests = false;
    p.server.options.peer_optional = true; /* TLS need not know a client */
    pair_open(&p);
    assert_unattested("client", &p.server);
    assert_attested("server", &p.client);
    pair_transfer(&p, &p.client, &p.server, 100);
    pair_clear(&p);
}

/* Nobody attests, and both know it. */
static void opens_without_any_attestation(void **state)
{
    struct pair p;

    (void)state;
    init(&p);
    no_attester(&p);
    p.client.options.raw = p.server.options.raw = true;
    pair_open(&p);
    assert_unattested("server", &p.client);
    assert_unattested("client", &p.server);
    pair_transfer(&p, &p.client, &p.server, 100);
    pair_clear(&p);
}

/* ---- who attests is judged as ever ---- */

static void tells_who_attested(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pair p;

        init(&p);
        p.client.options.identity = i == 0 ? ATLS_IDENTITY_ATTESTED : ATLS_IDENTITY_SAME_KEY;
        pair_start(&p);
        pair_run(&p);
        if (i == 0) {
            assert_attested("client", &p.client);
            pair_transfer(&p, &p.client, &p.server, 100);
        } else { /* which TLS showed another one of */
            pair_assert_closed("same-key", &p.client, ATLS_E_CERTIFICATE,
                               ATLS_REASON_IDENTITY_MISMATCH);
        }
        pair_clear(&p);
    }
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

static void verifier_finds_none(struct pair *p)
{
    p->client.verifier.fail = ATLS_E_EVIDENCE;
    p->client.verifier.reason = ATLS_REASON_NOT_ATTESTED;
}

static void contraindicated(struct pair *p)
{
    p->client.verifier.contraindicated = true;
}

static void of_no_tls_certificate(struct pair *p)
{
    attester_fails(p);
    p->client.tls.peer_spki = atls_bytes_of(NULL, 0);
}

static void wants_to_attest(struct pair *p)
{
    attester_fails(p);
    p->server.options.require_self = true;
}

static void cannot_do_what_it_wants(struct pair *p)
{
    other_technology(p);
    p->server.options.require_self = true;
}

static void refuses_what_fails(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct pair *p);
        enum atls_code client;
        enum atls_reason reason;
        bool shown; /* by the server: evidence there was */
    } rows[] = {
        {"evidence for another challenge", wrong_binder, ATLS_E_EVIDENCE,
         ATLS_REASON_NONCE_MISMATCH, true},
        {"evidence of another key", wrong_key, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
         true},
        {"verifier that cannot be reached", verifier_down, ATLS_E_IO, ATLS_REASON_NONE, true},
        {"evidence that does not decode", verifier_cannot_decode, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED, true},
        {"verifier that sees no evidence", verifier_finds_none, ATLS_E_EVIDENCE,
         ATLS_REASON_NOT_ATTESTED, true},
        {"contraindicated", contraindicated, ATLS_E_REFUSED, ATLS_REASON_POLICY, true},
        {"server that TLS did not authenticate", of_no_tls_certificate, ATLS_E_CERTIFICATE,
         ATLS_REASON_NOT_ATTESTED, false},
        {"server that insists, and whose attester fails", wants_to_attest, ATLS_E_DEVICE,
         ATLS_REASON_PEER_REFUSED, false},
        {"server that insists, and has nothing for us", cannot_do_what_it_wants, ATLS_E_PROTOCOL,
         ATLS_REASON_PEER_REFUSED, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair p;
        struct atls_peer peer;

        init(&p);
        rows[i].change(&p);
        pair_start(&p);
        pair_run(&p);
        /* A server that refuses itself gives no more than the code of its CLOSE. */
        if (rows[i].reason != ATLS_REASON_PEER_REFUSED)
            pair_assert_closed(rows[i].name, &p.client, rows[i].client, rows[i].reason);
        else if (atls_session_next(p.client.session) != ATLS_NEXT_CLOSED ||
                 atls_session_error(p.client.session)->reason != ATLS_REASON_PEER_REFUSED)
            fail_msg("%s: passed", rows[i].name);
        if (atls_session_next(p.server.session) != ATLS_NEXT_CLOSED ||
            atls_session_error(p.server.session)->code == ATLS_OK)
            fail_msg("%s: the server goes on", rows[i].name);
        atls_session_peer(p.server.session, &peer);
        assert_int_equal(peer.shown, rows[i].shown);
        atls_session_peer(p.client.session, &peer);
        if (peer.attested || (rows[i].shown && peer.unattested))
            fail_msg("%s: attested %d, unattested %d", rows[i].name, (int)peer.attested,
                     (int)peer.unattested);
        pair_clear(&p);
    }
}

/* Bytes that were put down as a DECLINE are one only when their MAC says so. */
static void takes_no_forged_decline(void **state)
{
    static const char forged[] =
        "0400002c0000000100070024"
        "14000020aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct atls_buf bytes = test_unhex(forged);
    struct pair p;

    (void)state;
    init(&p);
    p.hold_jobs = true;
    pair_start(&p);
    pair_run(&p);
    assert_int_equal(pair_inject(&p, &p.client, atls_buf_bytes(&bytes)), ATLS_E_VERIFY);
    atls_session_output_done(p.client.session, SIZE_MAX);
    pair_assert_closed("forged", &p.client, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    pair_clear(&p);
    atls_buf_clear(&bytes);
}

/* Who sent evidence is excused by no verdict, and who declined accepted by none. */
static void reads_verdicts_by_what_was_answered(void **state)
{
    static const struct {
        const char *name;
        bool declines, optional;
        const char *hex;
        enum atls_code code;
    } rows[] = {
        {"not-attested, of evidence", false, true, "0500000700000001000300", ATLS_E_REFUSED},
        {"ok, of a refusal", true, true, "0500000700000001000000", ATLS_E_PROTOCOL},
        {"policy, of a refusal", true, true, "0500000700000001000600", ATLS_E_REFUSED},
        {"not-attested, and required", true, false, "0500000700000001000300", ATLS_E_DEVICE},
        {"not-attested, and optional", true, true, "0500000700000001000300", ATLS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf bytes = test_unhex(rows[i].hex);
        struct pair p;
        enum atls_code code;

        init(&p);
        p.client.options.peer_optional = rows[i].optional;
        p.server.attester.fail_evidence = rows[i].declines ? ATLS_E_DEVICE : ATLS_OK;
        pair_start(&p);
        pair_deliver(&p, &p.client, &p.server);
        pair_work(&p.server);
        code = pair_inject(&p, &p.server, atls_buf_bytes(&bytes));
        if (code != rows[i].code || atls_session_is_open(p.server.session) != (code == ATLS_OK))
            fail_msg("%s: %s", rows[i].name, atls_code_name(code));
        pair_clear(&p);
        atls_buf_clear(&bytes);
    }
}

/* ---- later ---- */

static void refuses_who_declines_later(void **state)
{
    struct pair p;

    (void)state;
    init(&p);
    pair_open(&p);
    assert_attested("opened", &p.client);
    p.server.attester.fail_evidence = ATLS_E_DEVICE;
    assert_int_equal(atls_session_reattest(p.client.session, NULL), ATLS_OK);
    pair_run(&p);
    pair_assert_closed("declined", &p.client, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR);
    pair_assert_closed("declined", &p.server, ATLS_E_DEVICE, ATLS_REASON_NONE);
    pair_clear(&p);
}

static void withdraws_from_who_declines_later(void **state)
{
    struct pair p;
    struct atls_peer peer;

    (void)state;
    init(&p);
    p.client.options.on_failure = ATLS_ON_FAILURE_GATE;
    p.client.options.reattest_interval_s = 10;
    pair_open(&p);
    p.server.attester.fail_evidence = ATLS_E_DEVICE;
    for (int i = 0; i < 2; i++) { /* once more does not help */
        p.now_ms += 10000;
        assert_int_equal(atls_session_tick(p.client.session, NULL), ATLS_OK);
        pair_run(&p);
        assert_false(atls_session_is_open(p.client.session));
        assert_false(atls_session_is_open(p.server.session));
        atls_session_peer(p.client.session, &peer);
        assert_false(peer.attested);
        assert_false(peer.unattested);
    }
    p.server.attester.fail_evidence = ATLS_OK;
    p.now_ms += 10000;
    assert_int_equal(atls_session_tick(p.client.session, NULL), ATLS_OK);
    pair_run(&p);
    assert_true(atls_session_is_open(p.client.session));
    assert_attested("again", &p.client);
    pair_clear(&p);
}

static void asks_nobody_again_who_did_not_attest(void **state)
{
    struct pair p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    init(&p);
    p.client.options.reattest_interval_s = 10;
    attester_fails(&p);
    pair_open(&p);
    p.server.attester.fail_evidence = ATLS_OK;
    assert_int_equal(atls_session_deadline_ms(p.client.session), INT64_MAX);
    p.now_ms += 3600000;
    assert_int_equal(atls_session_tick(p.client.session, NULL), ATLS_OK);
    assert_int_equal(atls_session_output(p.client.session).len, 0);
    assert_int_equal(atls_session_reattest(p.client.session, &err), ATLS_E_USAGE);
    assert_non_null(strstr(err.message, "unattested"));
    assert_unattested("later", &p.client);
    pair_transfer(&p, &p.client, &p.server, 100);
    pair_clear(&p);
}

/* Silence is no answer. */
static void waits_no_longer_than_for_the_gate(void **state)
{
    struct pair p;

    (void)state;
    init(&p);
    p.hold_jobs = true;
    pair_start(&p);
    pair_run(&p);
    p.now_ms += 30000;
    assert_int_equal(atls_session_tick(p.client.session, &p.client.err), ATLS_E_TIMEOUT);
    atls_session_output_done(p.client.session, SIZE_MAX);
    pair_assert_closed("late", &p.client, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE);
    pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_who_declines_pass_as_not_attested),
        cmocka_unit_test(refuses_the_same_where_attestation_is_required),
        cmocka_unit_test(lets_clients_pass_as_not_attested),
        cmocka_unit_test(opens_without_any_attestation),
        cmocka_unit_test(tells_who_attested),
        cmocka_unit_test(refuses_what_fails),
        cmocka_unit_test(takes_no_forged_decline),
        cmocka_unit_test(reads_verdicts_by_what_was_answered),
        cmocka_unit_test(refuses_who_declines_later),
        cmocka_unit_test(withdraws_from_who_declines_later),
        cmocka_unit_test(asks_nobody_again_who_did_not_attest),
        cmocka_unit_test(waits_no_longer_than_for_the_gate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
