#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "testlib.h"

/* A verifier that knows one answer. */
static enum atls_code fake_open(const char *rest, const struct atls_verifier_options *options,
                                void **out_self, struct atls_err *err)
{
    static char names[8][16];
    static size_t used;
    char *name = names[used++ % 8];

    (void)options;
    (void)err;
    snprintf(name, 16, "%s", rest);
    *out_self = name;
    return ATLS_OK;
}

static void fake_close(void *self)
{
    (void)self;
}

static enum atls_code fake_appraise(void *self, const struct atls_appraisal *appraisal,
                                    struct atls_result **out, struct atls_err *err)
{
    (void)appraisal;
    (void)out;
    err->code = strcmp(self, "late") == 0     ? ATLS_E_TIMEOUT
                : strcmp(self, "broken") == 0 ? ATLS_E_IO
                                              : ATLS_E_EVIDENCE;
    err->reason = strcmp(self, "late") == 0 ? ATLS_REASON_DEADLINE : ATLS_REASON_NONE;
    snprintf(err->message, sizeof err->message, "%s", (const char *)self);
    return err->code;
}

static struct atls_verifier *verifier(const char *name, enum atls_verifier_input input, bool binder)
{
    static const struct atls_verifier_ops evidence = {.scheme = "fake",
                                                      .input = ATLS_VERIFIER_TAKES_EVIDENCE,
                                                      .open = fake_open,
                                                      .close = fake_close,
                                                      .appraise = fake_appraise};
    static const struct atls_verifier_ops results = {.scheme = "fake",
                                                     .input = ATLS_VERIFIER_TAKES_RESULTS,
                                                     .open = fake_open,
                                                     .close = fake_close,
                                                     .appraise = fake_appraise};
    const struct atls_verifier_ops *const backends[] = {
        input == ATLS_VERIFIER_TAKES_RESULTS ? &results : &evidence, NULL};
    struct atls_verifier_options options;
    struct atls_verifier *v = NULL;
    char uri[32];

    atls_verifier_options_init(&options);
    options.result_echoes_binder = binder;
    snprintf(uri, sizeof uri, "fake:%s", name);
    if (atls_verifier_open(uri, backends, &options, &v, NULL) != ATLS_OK)
        abort();
    return v;
}

static enum atls_code refuse(void *self, struct atls_result *result, struct atls_decision *out,
                             struct atls_err *err)
{
    (void)result;
    (void)err;
    out->reason_count = 1;
    snprintf(out->reasons[0], sizeof out->reasons[0], "%s", (const char *)self);
    return ATLS_OK;
}

static struct atls_policy *policy(const char *reason)
{
    static const struct atls_policy_ops ops = {NULL, refuse};
    struct atls_policy *p = NULL;
    char *kept = NULL;

    for (size_t i = 0; i < 2; i++) {
        static char texts[2][16] = {"first", "second"};

        if (strcmp(texts[i], reason) == 0)
            kept = texts[i];
    }
    if (kept == NULL || atls_policy_new(&ops, kept, &p, NULL) != ATLS_OK)
        abort();
    return p;
}

static struct judge *new_judge(enum atls_verifier_input input, bool binder)
{
    struct judge *j = NULL;

    if (judge_new("route", input, binder, &j, NULL) != ATLS_OK)
        abort();
    return j;
}

static void appraises(struct atls_verifier *v, enum atls_code code, const char *message)
{
    const uint8_t bytes[32] = {1};
    const struct atls_appraisal appraisal = {
        .evidence = {bytes, 32}, .binder = {bytes, 32}, .aik_spki = {bytes, 32}};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *result = NULL;

    assert_int_equal(atls_verifier_appraise(v, &appraisal, &result, &err), code);
    assert_string_equal(err.message, message);
    assert_null(result);
}

static void decides(struct atls_policy *p, enum atls_code code, const char *reason)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_decision decision;

    assert_int_equal(atls_policy_decide(p, NULL, &decision, &err), code);
    assert_false(decision.accept);
    assert_string_equal(decision.reasons[0], reason);
}

static void test_nobody_passes_before_there_is_who_judges(void **state)
{
    struct judge *j = new_judge(ATLS_VERIFIER_TAKES_EVIDENCE, false);
    struct atls_verifier *v = NULL;
    struct atls_policy *p = NULL;

    (void)state;
    assert_int_equal(judge_verifier(j, &v, NULL), ATLS_OK);
    assert_int_equal(judge_policy(j, &p, NULL), ATLS_OK);
    judge_unref(j); /* both keep it */
    appraises(v, ATLS_E_CONFIG, "no verifier yet");
    decides(p, ATLS_E_CONFIG, "");
    atls_verifier_unref(v);
    atls_policy_unref(p);
}

static void test_what_is_set_judges_from_then_on(void **state)
{
    struct judge *j = new_judge(ATLS_VERIFIER_TAKES_EVIDENCE, false);
    struct atls_verifier *one = verifier("one", ATLS_VERIFIER_TAKES_EVIDENCE, false);
    struct atls_verifier *two = verifier("two", ATLS_VERIFIER_TAKES_EVIDENCE, false), *v = NULL;
    struct atls_policy *first = policy("first"), *second = policy("second"), *p = NULL;
    struct metrics_part *part = metrics_part(METRICS_VERIFIER, "one");

    (void)state;
    assert_int_equal(judge_verifier(j, &v, NULL), ATLS_OK);
    assert_int_equal(judge_policy(j, &p, NULL), ATLS_OK);
    judge_set(j, one, part, first);
    assert_int_equal(judge_turn(j), 1);
    appraises(v, ATLS_E_EVIDENCE, "one");
    decides(p, ATLS_OK, "first");
    judge_set(j, one, part, first); /* the same */
    assert_int_equal(judge_turn(j), 1);
    judge_set(j, two, part, first);
    assert_int_equal(judge_turn(j), 2);
    judge_set(j, two, part, second);
    assert_int_equal(judge_turn(j), 3);
    judge_changed(j);
    assert_int_equal(judge_turn(j), 4);
    atls_verifier_unref(one);
    atls_verifier_unref(two);
    atls_policy_unref(first);
    atls_policy_unref(second);
    appraises(v, ATLS_E_EVIDENCE, "two"); /* it keeps references */
    decides(p, ATLS_OK, "second");
    atls_verifier_unref(v);
    atls_policy_unref(p);
    judge_unref(j);
}

/* A reload between the two halves of a verdict. */
static void test_verifier_and_policy_judge_in_pairs(void **state)
{
    struct judge *j = new_judge(ATLS_VERIFIER_TAKES_EVIDENCE, false);
    struct atls_verifier *one = verifier("one", ATLS_VERIFIER_TAKES_EVIDENCE, false);
    struct atls_verifier *two = verifier("two", ATLS_VERIFIER_TAKES_EVIDENCE, false), *v = NULL;
    struct atls_policy *first = policy("first"), *second = policy("second"), *p = NULL;
    struct metrics_part *part = metrics_part(METRICS_VERIFIER, "one");

    (void)state;
    assert_int_equal(judge_verifier(j, &v, NULL), ATLS_OK);
    assert_int_equal(judge_policy(j, &p, NULL), ATLS_OK);
    judge_set(j, one, part, first);
    appraises(v, ATLS_E_EVIDENCE, "one");
    judge_set(j, two, part, second);
    decides(p, ATLS_OK, "first");  /* for what one has found */
    decides(p, ATLS_OK, "second"); /* for nobody's */
    appraises(v, ATLS_E_EVIDENCE, "two");
    judge_set(j, one, part, first);
    judge_set(j, one, part, first); /* no change */
    decides(p, ATLS_OK, "second");
    appraises(v, ATLS_E_EVIDENCE, "one");
    judge_set(j, two, part, first);
    judge_set(j, two, part, second);
    decides(p, ATLS_E_UNAVAILABLE, ""); /* too long ago */
    atls_verifier_unref(one);
    atls_verifier_unref(two);
    atls_policy_unref(first);
    atls_policy_unref(second);
    atls_verifier_unref(v);
    atls_policy_unref(p);
    judge_unref(j);
}

static void test_it_is_the_kind_of_verifier_that_it_stands_for(void **state)
{
    static const struct {
        enum atls_verifier_input input;
        bool binder;
    } kinds[] = {{ATLS_VERIFIER_TAKES_EVIDENCE, false},
                 {ATLS_VERIFIER_TAKES_RESULTS, false},
                 {ATLS_VERIFIER_TAKES_RESULTS, true}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct judge *j = new_judge(kinds[i].input, kinds[i].binder);
        struct atls_verifier *v = NULL;

        assert_int_equal(judge_verifier(j, &v, NULL), ATLS_OK);
        assert_int_equal(atls_verifier_input(v), kinds[i].input);
        assert_int_equal(atls_verifier_wants_binder(v), kinds[i].binder);
        for (size_t k = 0; k < 3; k++) {
            struct atls_verifier *other = verifier("x", kinds[k].input, kinds[k].binder);

            assert_int_equal(judge_suits(j, other), i == k);
            atls_verifier_unref(other);
        }
        atls_verifier_unref(v);
        judge_unref(j);
    }
    judge_unref(NULL);
}

static void test_what_a_verifier_lacks_is_not_the_connections(void **state)
{
    const uint8_t bytes[32] = {1};
    const struct atls_appraisal appraisal = {
        .evidence = {bytes, 32}, .binder = {bytes, 32}, .aik_spki = {bytes, 32}};
    static const struct {
        const char *name;
        enum atls_reason reason;
    } rows[] = {{"late", ATLS_REASON_DEADLINE}, {"broken", ATLS_REASON_NONE}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct judge *j = new_judge(ATLS_VERIFIER_TAKES_EVIDENCE, false);
        struct atls_verifier *v = NULL,
                             *fails = verifier(rows[i].name, ATLS_VERIFIER_TAKES_EVIDENCE, false);
        struct atls_policy *first = policy("first");
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *result = NULL;

        judge_set(j, fails, metrics_part(METRICS_VERIFIER, rows[i].name), first);
        atls_policy_unref(first);
        atls_verifier_unref(fails);
        assert_int_equal(judge_verifier(j, &v, NULL), ATLS_OK);
        assert_int_equal(atls_verifier_appraise(v, &appraisal, &result, &err), ATLS_E_UNAVAILABLE);
        assert_int_equal(err.code, ATLS_E_UNAVAILABLE);
        assert_int_equal(err.reason, rows[i].reason);
        assert_string_equal(err.message, rows[i].name);
        assert_null(result);
        atls_verifier_unref(v);
        judge_unref(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_passes_before_there_is_who_judges),
        cmocka_unit_test(test_what_is_set_judges_from_then_on),
        cmocka_unit_test(test_verifier_and_policy_judge_in_pairs),
        cmocka_unit_test(test_it_is_the_kind_of_verifier_that_it_stands_for),
        cmocka_unit_test(test_what_a_verifier_lacks_is_not_the_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
