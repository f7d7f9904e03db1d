/* Policies on results of other Verifiers: the names are the same, members may be missing. */
#include <stdio.h>
#include <string.h>

#include "testlib.h"

#include <atls/policy.h>

#include "core/writer.h"
#include "verifier/result.h"
#include "wire/cbor.h"
#include "wire/ear_cbor.h"

/* A claims set with one submodule; problem may be NULL. overall is not written for NONE: the 2023
 * profile has no such claim. */
static struct atls_result *receive_whole(const char *label, enum atls_tier status,
                                         const char *problem, enum atls_tier overall)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear ear;
    const struct atls_result_source source = {.ear = &ear};

    atls_cbor_put_map(&w, overall == ATLS_TIER_NONE ? 4 : 5);
    atls_cbor_put_int(&w, 265);
    atls_cbor_put_text(&w, overall == ATLS_TIER_NONE ? ATLS_EAR_PROFILE_2023 : ATLS_EAR_PROFILE_04);
    if (overall != ATLS_TIER_NONE) {
        atls_cbor_put_int(&w, 1000);
        atls_cbor_put_int(&w, overall);
    }
    atls_cbor_put_int(&w, 6);
    atls_cbor_put_int(&w, 100);
    atls_cbor_put_int(&w, 1004);
    atls_cbor_put_map(&w, 2);
    atls_cbor_put_int(&w, 0);
    atls_cbor_put_text(&w, "Veraison Project");
    atls_cbor_put_int(&w, 1);
    atls_cbor_put_text(&w, "v1");
    atls_cbor_put_int(&w, 266);
    atls_cbor_put_map(&w, 1);
    atls_cbor_put_text(&w, label);
    atls_cbor_put_map(&w, problem == NULL ? 2 : 3);
    atls_cbor_put_int(&w, 1000);
    atls_cbor_put_int(&w, status);
    atls_cbor_put_int(&w, -70000); /* nested as deep as a claims set may be */
    atls_cbor_put_map(&w, 1);
    atls_cbor_put_text(&w, "deep");
    for (int i = 0; i < 11; i++)
        atls_cbor_put_array(&w, 1);
    atls_cbor_put_null(&w);
    if (problem != NULL) {
        atls_cbor_put_int(&w, -70001);
        atls_cbor_put_map(&w, 1);
        atls_cbor_put_text(&w, "problem");
        atls_cbor_put_text(&w, problem);
    }
    test_assert_code(atls_ear_cbor_decode(atls_writer_bytes(&w), &ear, &err), ATLS_OK, &err);
    test_assert_code(atls_result_from_ear(&source, &r, &err), ATLS_OK, &err);
    atls_writer_clear(&w);
    return r;
}

static struct atls_result *receive(const char *label, enum atls_tier status, const char *problem)
{
    return receive_whole(label, status, problem, ATLS_TIER_NONE);
}

/* A Verifier may hold the whole for worse than its parts; then it is. */
static void the_whole_counts(void **state)
{
    static const char *const files[] = {"default.jq", "tpm-strict.jq", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_result *r =
            receive_whole("TPM", ATLS_TIER_AFFIRMING, NULL, ATLS_TIER_CONTRAINDICATED);
        struct atls_policy *policy = NULL;
        struct atls_decision decision;
        struct atls_err err = ATLS_ERR_INIT;
        char path[512];

        memset(&decision, 0, sizeof decision);
        snprintf(path, sizeof path, "%s/../../docs/policies/%s", ATLS_TEST_VECTORS,
                 files[i] == NULL ? "" : files[i]);
        test_assert_code(files[i] == NULL ? atls_policy_default(&policy, &err)
                                          : atls_policy_load(path, &policy, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_policy_decide(policy, r, &decision, &err), ATLS_OK, &err);
        assert_false(decision.accept);
        assert_true(decision.reason_count > 0);
        assert_non_null(strstr(decision.reasons[decision.reason_count - 1], "the whole is"));
        atls_policy_unref(policy);
        atls_result_unref(r);
    }
}

static void policies_of_the_documentation(void **state)
{
    static const struct {
        const char *file, *label;
        enum atls_tier status;
        const char *problem;
        bool accept;
        const char *reason;
    } rows[] = {
        {"default.jq", "PSA_IOT", ATLS_TIER_AFFIRMING, NULL, true, NULL},
        {"default.jq", "PSA_IOT", ATLS_TIER_CONTRAINDICATED, "bad signature", false,
         "PSA_IOT is contraindicated: bad signature"},
        {"default.jq", "PSA_IOT", ATLS_TIER_NONE, NULL, false, "PSA_IOT is none: "},
        {"soft-development.jq", "PSA_IOT", ATLS_TIER_WARNING, NULL, false, "PSA_IOT is warning: "},
        {"tpm-strict.jq", "PSA_IOT", ATLS_TIER_AFFIRMING, NULL, false,
         "want exactly the submodule TPM"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = receive(rows[i].label, rows[i].status, rows[i].problem);
        struct atls_policy *policy = NULL;
        struct atls_decision decision;
        struct atls_err err = ATLS_ERR_INIT;
        char path[512];

        print_message("%s: %s\n", rows[i].file, atls_tier_name(rows[i].status));
        snprintf(path, sizeof path, "%s/../../docs/policies/%s", ATLS_TEST_VECTORS, rows[i].file);
        memset(&decision, 0, sizeof decision);
        test_assert_code(atls_policy_load(path, &policy, &err), ATLS_OK, &err);
        test_assert_code(atls_policy_decide(policy, r, &decision, &err), ATLS_OK, &err);
        assert_int_equal(decision.accept, rows[i].accept);
        if (rows[i].reason != NULL)
            assert_string_equal(decision.reasons[0], rows[i].reason);
        atls_policy_unref(policy);
        atls_result_unref(r);
    }
}

/* The input is built member by member, nulls and the deepest claims too. */
static void the_input_is_whole(void **state)
{
    static const char text[] =
        "if .submods.X.ear_attester_claims.deep == [[[[[[[[[[[null]]]]]]]]]]]\n"
        "   and .eat_profile == \"tag:github.com,2023:veraison/ear\"\n"
        "then {decision: \"accept\"} else {decision: \"refuse\"} end";
    struct atls_result *r = receive("X", ATLS_TIER_WARNING, NULL);
    struct atls_policy *policy = NULL;
    struct atls_decision decision;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(&decision, 0, sizeof decision);
    test_assert_code(
        atls_policy_compile("test", atls_bytes_of(text, sizeof text - 1), &policy, &err), ATLS_OK,
        &err);
    test_assert_code(atls_policy_decide(policy, r, &decision, &err), ATLS_OK, &err);
    assert_true(decision.accept);
    atls_policy_unref(policy);
    atls_result_unref(r);
}

/* Every submodule counts for the built-in policy, too. */
static void the_built_in_policy(void **state)
{
    static const enum atls_tier tiers[] = {ATLS_TIER_NONE, ATLS_TIER_AFFIRMING, ATLS_TIER_WARNING,
                                           ATLS_TIER_CONTRAINDICATED};
    struct atls_policy *policy = NULL;

    (void)state;
    assert_int_equal(atls_policy_default(&policy, NULL), ATLS_OK);
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        struct atls_result *r = receive("PSA_IOT", tiers[i], NULL);
        struct atls_decision decision;

        memset(&decision, 0, sizeof decision);
        assert_int_equal(atls_policy_decide(policy, r, &decision, NULL), ATLS_OK);
        assert_int_equal(decision.accept, tiers[i] == ATLS_TIER_AFFIRMING);
        atls_result_unref(r);
    }
    atls_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_of_the_documentation),
        cmocka_unit_test(the_whole_counts),
        cmocka_unit_test(the_input_is_whole),
        cmocka_unit_test(the_built_in_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
