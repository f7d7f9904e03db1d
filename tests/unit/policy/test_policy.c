#include <string.h>

#include "testlib.h"

#include <atls/policy.h>

#include "verifier/result.h"

static struct atls_result *make_result(enum atls_tier status, bool insecure, const char *problem)
{
    static const uint8_t binder[32];
    struct atls_outcome o;
    static struct atls_claims claims;
    struct atls_result *r = NULL;

    memset(&o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.technology = insecure ? "soft" : "tpm";
    claims.submod = insecure ? "SOFT" : "TPM";
    claims.insecure = insecure;
    claims.key_spki = atls_bytes_of("spki", 4);
    o.policy_id = "policy:test";
    o.status = status;
    if (problem != NULL)
        atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "%s", problem);
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(binder, 32), 0, &r, NULL), ATLS_OK);
    return r;
}

/* A backend that answers as the test says. */
struct answer {
    struct atls_decision decision;
    enum atls_code code;
    int freed;
};

static void answer_free(void *self)
{
    ((struct answer *)self)->freed++;
}

static enum atls_code answer_decide(void *self, struct atls_result *result,
                                    struct atls_decision *out, struct atls_err *err)
{
    const struct answer *a = self;

    (void)result;
    (void)err;
    *out = a->decision; /* also on failure: nobody may see it */
    return a->code;
}

static const struct atls_policy_ops answer_ops = {answer_free, answer_decide};

static void default_wants_every_submodule_affirming(void **state)
{
    static const struct {
        const char *name;
        enum atls_tier status;
        bool insecure, accept;
        const char *reason;
    } rows[] = {
        {"affirming", ATLS_TIER_AFFIRMING, false, true, NULL},
        {"none", ATLS_TIER_NONE, false, false, "TPM is none: PCR 7 differs"},
        {"warning", ATLS_TIER_WARNING, false, false, "TPM is warning: PCR 7 differs"},
        {"contraindicated", ATLS_TIER_CONTRAINDICATED, false, false,
         "TPM is contraindicated: PCR 7 differs"},
        {"insecure and contraindicated", ATLS_TIER_CONTRAINDICATED, true, false,
         "SOFT is contraindicated: PCR 7 differs"},
        {"insecure, whatever its status", ATLS_TIER_AFFIRMING, true, false,
         "the policy gave no reason"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = make_result(rows[i].status, rows[i].insecure, "PCR 7 differs");
        struct atls_policy *p = NULL;
        static struct atls_decision d;

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_policy_default(&p, NULL), ATLS_OK);
        assert_int_equal(atls_policy_decide(p, r, &d, NULL), ATLS_OK);
        assert_int_equal(d.accept, rows[i].accept);
        assert_int_equal(d.reason_count, rows[i].accept ? 0 : 1);
        if (!rows[i].accept)
            assert_string_equal(d.reasons[0], rows[i].reason);
        atls_policy_unref(p);
        atls_result_unref(r);
    }
}

static void insecure_technology_must_be_named(void **state)
{
    static const struct {
        const char *name;
        bool insecure, names, want;
    } rows[] = {
        {"secure, not named", false, false, true},
        {"secure, named", false, true, true},
        {"insecure, named", true, true, true},
        {"insecure, not named", true, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r =
            make_result(ATLS_TIER_CONTRAINDICATED, rows[i].insecure, "anyone can make it");
        struct answer a = {.decision = {.accept = true, .names_insecure = rows[i].names}};
        struct atls_policy *p = NULL;
        static struct atls_decision d;

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_policy_new(&answer_ops, &a, &p, NULL), ATLS_OK);
        assert_int_equal(atls_policy_decide(p, r, &d, NULL), ATLS_OK);
        assert_int_equal(d.accept, rows[i].want);
        if (!rows[i].want)
            assert_non_null(strstr(d.reasons[0], "\"soft\" is insecure"));
        atls_policy_unref(p);
        assert_int_equal(a.freed, 1);
        atls_result_unref(r);
    }
}

static void refusals_have_a_reason(void **state)
{
    struct atls_result *bad = make_result(ATLS_TIER_WARNING, false, "PCR 7 differs");
    struct atls_result *good = make_result(ATLS_TIER_AFFIRMING, false, NULL);
    struct answer a = {.decision = {.accept = false}};
    struct atls_policy *p = NULL;
    static struct atls_decision d;

    (void)state;
    assert_int_equal(atls_policy_new(&answer_ops, &a, &p, NULL), ATLS_OK);
    assert_int_equal(atls_policy_decide(p, bad, &d, NULL), ATLS_OK);
    assert_string_equal(d.reasons[0], "PCR 7 differs");
    assert_int_equal(atls_policy_decide(p, good, &d, NULL), ATLS_OK);
    assert_string_equal(d.reasons[0], "the policy gave no reason");
    atls_policy_unref(p);
    atls_result_unref(bad);
    atls_result_unref(good);
}

static void an_error_accepts_nobody(void **state)
{
    struct atls_result *r = make_result(ATLS_TIER_AFFIRMING, false, NULL);
    struct answer a = {.decision = {.accept = true}, .code = ATLS_E_REFUSED};
    struct atls_policy *p = NULL;
    static struct atls_decision d, zero;

    (void)state;
    memset(&zero, 0, sizeof zero);
    memset(&d, 0xff, sizeof d);
    assert_int_equal(atls_policy_new(&answer_ops, &a, &p, NULL), ATLS_OK);
    assert_int_equal(atls_policy_decide(p, r, &d, NULL), ATLS_E_REFUSED);
    assert_memory_equal(&d, &zero, sizeof d);
    assert_ptr_equal(atls_policy_ref(p), p);
    atls_policy_unref(p);
    assert_int_equal(a.freed, 0);
    atls_policy_unref(p);
    assert_int_equal(a.freed, 1);
    atls_policy_unref(NULL);
    atls_result_unref(r);
}

static void full_list_of_reasons_takes_no_more(void **state)
{
    struct atls_result *r = make_result(ATLS_TIER_CONTRAINDICATED, true, "x");
    struct answer a = {.decision = {.accept = true, .reason_count = ATLS_DECISION_REASONS_MAX}};
    struct atls_policy *p = NULL;
    static struct atls_decision d;

    (void)state;
    assert_int_equal(atls_policy_new(&answer_ops, &a, &p, NULL), ATLS_OK);
    assert_int_equal(atls_policy_decide(p, r, &d, NULL), ATLS_OK);
    assert_false(d.accept);
    assert_int_equal(d.reason_count, ATLS_DECISION_REASONS_MAX);
    atls_policy_unref(p);
    atls_result_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_wants_every_submodule_affirming),
        cmocka_unit_test(insecure_technology_must_be_named),
        cmocka_unit_test(refusals_have_a_reason),
        cmocka_unit_test(an_error_accepts_nobody),
        cmocka_unit_test(full_list_of_reasons_takes_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
