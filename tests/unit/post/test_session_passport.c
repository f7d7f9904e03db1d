/* Results shown instead of evidence: negotiation, and what ties them to the connection. */
#include "testlib.h"

#include <string.h>

#include "session_pair.h"

/* The client requires; the server has a passport; the client takes results. */
static void one_way(struct pair *p)
{
    pair_init(p);
    p->server.requires = p->client.attests = false;
    p->server.has_passport = true;
    p->client.verifier.takes_results = true;
}

static void assert_bound(const struct pair_end *end, const char *binding)
{
    struct atls_peer peer;

    atls_session_peer(end->session, &peer);
    assert_true(peer.attested);
    assert_string_equal(peer.binding, binding);
}

static void opens_with_a_passport(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pair p;

        one_way(&p);
        p.server.options.passport_only = i == 1;
        pair_open(&p);
        assert_bound(&p.client, "key");
        assert_int_equal(p.server.passport.shown, 1);
        assert_int_equal(p.server.passport.echoed, 0);
        pair_transfer(&p, &p.server, &p.client, 1000);
        pair_clear(&p);
    }
}

/* Both ways at once, one side by passport and the other by evidence, or both by passport. */
static void opens_mutually(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct pair p;

        pair_init(&p);
        p.server.has_passport = p.client.verifier.takes_results = i != 1;
        p.client.has_passport = p.server.verifier.takes_results = i != 0;
        pair_open(&p);
        assert_bound(&p.client, i != 1 ? "key" : "connection");
        assert_bound(&p.server, i != 0 ? "key" : "connection");
        assert_int_equal(p.server.passport.shown, i != 1);
        assert_int_equal(p.client.passport.shown, i != 0);
        pair_clear(&p);
    }
}

static void shows_evidence_to_those_who_take_it(void **state)
{
    struct pair p;

    (void)state;
    one_way(&p);
    p.client.verifier.takes_results = false;
    pair_open(&p);
    assert_bound(&p.client, "connection");
    assert_int_equal(p.server.passport.shown, 0);
    pair_clear(&p);
}

static void echoes_the_binder_on_demand(void **state)
{
    struct pair p;

    (void)state;
    one_way(&p);
    p.client.verifier.wants_binder = true;
    pair_open(&p);
    assert_bound(&p.client, "connection");
    assert_int_equal(p.server.passport.echoed, 1);
    test_assert_code(atls_session_reattest(p.client.session, NULL), ATLS_OK, NULL);
    pair_run(&p);
    assert_int_equal(p.server.passport.echoed, 2);
    assert_true(atls_session_is_open(p.client.session));
    pair_clear(&p);
}

static void no_passport(struct pair *p)
{
    p->server.has_passport = false;
}

static void passport_only_to_a_judge_of_evidence(struct pair *p)
{
    p->server.options.passport_only = true;
    p->client.verifier.takes_results = false;
}

static void wrong_key(struct pair *p)
{
    p->server.passport.wrong_key = true;
}

static void old_result_where_a_fresh_one_is_due(struct pair *p)
{
    p->client.verifier.wants_binder = true;
    p->server.passport.wrong_binder = true;
}

static void insecure_without_being_named(struct pair *p)
{
    p->client.options.evidence_types = NULL;
    p->client.verifier.insecure = true;
}

static void other_technology(struct pair *p)
{
    p->client.verifier.type = "another";
}

static void unavailable(struct pair *p)
{
    p->server.passport.fail = ATLS_E_UNAVAILABLE;
}

static void too_large(struct pair *p)
{
    p->server.passport.too_large = true;
}

static void refuses(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct pair *p);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"no passport", no_passport, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
        {"a passport, and nothing else, to who takes evidence",
         passport_only_to_a_judge_of_evidence, ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
        {"a result about another key", wrong_key, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"a result that does not echo the binder", old_result_where_a_fresh_one_is_due,
         ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH},
        {"a result about an insecure technology", insecure_without_being_named, ATLS_E_EVIDENCE,
         ATLS_REASON_INSECURE_TECHNOLOGY},
        {"a result about a technology that is not accepted", other_technology, ATLS_E_EVIDENCE,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"no result to be had", unavailable, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR},
        {"a result that no authenticator takes", too_large, ATLS_E_DECLINED,
         ATLS_REASON_EMPTY_AUTHENTICATOR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair p;

        one_way(&p);
        rows[i].change(&p);
        pair_start(&p);
        pair_run(&p);
        pair_assert_closed(rows[i].name, &p.client, rows[i].want, rows[i].reason);
        assert_false(atls_session_is_open(p.server.session));
        pair_clear(&p);
    }
}

/* A result of any secure technology does where none is named. */
static void takes_technologies_of_the_verifier(void **state)
{
    struct pair p;

    (void)state;
    one_way(&p);
    p.client.options.evidence_types = NULL;
    p.client.verifier.type = "another";
    pair_open(&p);
    pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_with_a_passport),
        cmocka_unit_test(opens_mutually),
        cmocka_unit_test(shows_evidence_to_those_who_take_it),
        cmocka_unit_test(echoes_the_binder_on_demand),
        cmocka_unit_test(refuses),
        cmocka_unit_test(takes_technologies_of_the_verifier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
