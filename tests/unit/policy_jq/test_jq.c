#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#include <atls/limits.h>

#include "policy/jq.h"
#include "verifier/result.h"

static const char *const policies = ATLS_TEST_VECTORS "/../../docs/policies/";

struct want {
    const char *technology;
    int8_t executables, instance, hardware;
    uint32_t pcrs; /* bit n: PCR n is quoted */
    enum atls_hash bank;
    const char *problem;
};

static struct atls_result *make_result(const struct want *want)
{
    static const uint8_t binder[32];
    struct atls_outcome o;
    static struct atls_claims claims;
    struct atls_result *r = NULL;

    memset(&o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.arena = atls_arena_init(65536);
    claims.technology = want->technology;
    claims.insecure = strcmp(want->technology, "soft") == 0;
    claims.submod = claims.insecure ? "SOFT" : "TPM";
    claims.key_spki = atls_bytes_of("spki", 4);
    claims.measurements = atls_arena_alloc(&claims.arena, 24, sizeof *claims.measurements);
    assert_non_null(claims.measurements);
    for (unsigned int pcr = 0; pcr < 24; pcr++) {
        struct atls_digest *d = atls_arena_alloc(&claims.arena, 1, sizeof *d);
        struct atls_measurement *m = &claims.measurements[claims.measurement_count];

        assert_non_null(d);
        if ((want->pcrs >> pcr & 1) == 0)
            continue;
        claims.measurement_count++;
        d->hash = want->bank;
        d->value = atls_bytes_of("\x01\x02\x03", 3);
        m->mkey = (struct atls_mkey){ATLS_MKEY_UINT, pcr, {NULL, 0}};
        m->mval.present = ATLS_MVAL_DIGESTS;
        m->mval.digests = d;
        m->mval.digest_count = 1;
    }
    claims.details[0] = (struct atls_detail){"clock", ATLS_DETAIL_UINT, UINT64_MAX, {NULL, 0}};
    claims.details[1] = (struct atls_detail){"boot-count", ATLS_DETAIL_UINT, 12, {NULL, 0}};
    claims.details[2] = (struct atls_detail){"safe", ATLS_DETAIL_BOOL, 1, {NULL, 0}};
    claims.detail_count = 3;
    o.policy_id = "policy:test";
    o.status = ATLS_TIER_AFFIRMING;
    o.trust[ATLS_TRUST_EXECUTABLES] = want->executables;
    o.trust[ATLS_TRUST_INSTANCE_IDENTITY] = want->instance;
    o.trust[ATLS_TRUST_HARDWARE] = want->hardware;
    if (want->problem != NULL)
        atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "%s", want->problem);
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(binder, 32), 1700000000, &r, NULL),
                     ATLS_OK);
    return r;
}

static const struct want good = {"tpm", 2, 2, 0, 0xff, ATLS_HASH_SHA256, NULL};

static struct atls_policy *compile(const char *text)
{
    struct atls_policy *p = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_policy_compile("test.jq", atls_bytes_of(text, strlen(text)), &p, &err),
                     ATLS_OK, &err);
    return p;
}

static void output_is_checked(void **state)
{
    static const struct {
        const char *name, *program;
        enum atls_code want;
        bool accept;
        const char *text; /* in the first reason, or in the error */
    } rows[] = {
        {"accept", "{decision:\"accept\"}", ATLS_OK, true, NULL},
        {"refuse", "{decision:\"refuse\"}", ATLS_OK, false, "gave no reason"},
        {"refuse with a reason", "{decision:\"refuse\",reasons:[\"too old\"]}", ATLS_OK, false,
         "too old"},
        {"reasons are escaped", "{decision:\"refuse\",reasons:[\"a\\u001b[31m\\nb\"]}", ATLS_OK,
         false, "a\\x1b[31m\\x0ab"},
        {"accept with reasons and insecure",
         "{decision:\"accept\",reasons:[\"because\"],insecure:[\"soft\",\"x\"]}", ATLS_OK, true,
         "because"},
        {"decides on the result",
         "if .submods.TPM.ear_status==\"affirming\" then {decision:\"accept\"} else 1 end", ATLS_OK,
         true, NULL},
        {"no output", "empty", ATLS_E_REFUSED, false, "gave none"},
        {"two outputs", "{decision:\"accept\"},{decision:\"accept\"}", ATLS_E_REFUSED, false,
         "more than one"},
        {"error behind the output", "{decision:\"accept\"},error(\"late\")", ATLS_E_REFUSED, false,
         "late"},
        {"no object", "\"accept\"", ATLS_E_REFUSED, false, "is no object"},
        {"true", "true", ATLS_E_REFUSED, false, "is no object"},
        {"null", "null", ATLS_E_REFUSED, false, "is no object"},
        {"array", "[{decision:\"accept\"}]", ATLS_E_REFUSED, false, "is no object"},
        {"empty object", "{}", ATLS_E_REFUSED, false, "no \"decision\""},
        {"decision true", "{decision:true}", ATLS_E_REFUSED, false, "is no text"},
        {"decision in capitals", "{decision:\"ACCEPT\"}", ATLS_E_REFUSED, false, "neither"},
        {"decision with a NUL", "{decision:\"accept\\u0000\"}", ATLS_E_REFUSED, false, "neither"},
        {"unknown member", "{decision:\"accept\",reason:[]}", ATLS_E_REFUSED, false,
         "a member other than"},
        {"member with a NUL in its name", "{decision:\"accept\",\"reasons\\u0000\":[]}",
         ATLS_E_REFUSED, false, "a member other than"},
        {"reasons as text", "{decision:\"refuse\",reasons:\"x\"}", ATLS_E_REFUSED, false,
         "\"reasons\" is no array"},
        {"reason as number", "{decision:\"refuse\",reasons:[1]}", ATLS_E_REFUSED, false,
         "\"reasons\" is no array"},
        {"insecure as text", "{decision:\"accept\",insecure:\"soft\"}", ATLS_E_REFUSED, false,
         "\"insecure\" is no array"},
        {"insecure true", "{decision:\"accept\",insecure:true}", ATLS_E_REFUSED, false,
         "\"insecure\" is no array"},
        {"insecure with null", "{decision:\"accept\",insecure:[null]}", ATLS_E_REFUSED, false,
         "\"insecure\" is no array"},
        {"program fails", ".submods.TPM.ear_status.x", ATLS_E_REFUSED, false, "Cannot index"},
        {"program fails with an object", "error({a:1})", ATLS_E_REFUSED, false, "is no text"},
        {"program fails with null", "error(null)", ATLS_E_REFUSED, false, "policy"},
    };
    struct atls_result *r = make_result(&good);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_policy *p = compile(rows[i].program);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_decision d;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_policy_decide(p, r, &d, &err), rows[i].want, &err);
        assert_int_equal(d.accept, rows[i].accept);
        if (rows[i].want != ATLS_OK) {
            assert_int_equal(err.reason, ATLS_REASON_POLICY_OUTPUT);
            assert_non_null(strstr(err.message, rows[i].text));
        } else if (rows[i].text != NULL) {
            assert_non_null(strstr(d.reasons[0], rows[i].text));
        }
        /* The state goes back to work after every kind of end. */
        test_assert_code(atls_policy_decide(p, r, &d, &err), rows[i].want, &err);
        atls_policy_unref(p);
    }
    atls_result_unref(r);
}

static void reasons_are_bounded(void **state)
{
    struct atls_policy *p =
        compile("([range(400) | \"x\"] | join(\"\")) as $long | "
                "{decision: \"refuse\", reasons: [range(50) | tostring + $long]}");
    struct atls_result *r = make_result(&good);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_decision d;

    (void)state;
    test_assert_code(atls_policy_decide(p, r, &d, &err), ATLS_OK, &err);
    assert_int_equal(d.reason_count, ATLS_DECISION_REASONS_MAX);
    for (size_t i = 0; i < d.reason_count; i++) {
        assert_true(strlen(d.reasons[i]) < sizeof d.reasons[i]);
        assert_string_equal(d.reasons[i] + strlen(d.reasons[i]) - 3, "...");
    }
    atls_policy_unref(p);
    atls_result_unref(r);
}

static void what_is_outside_stays_outside(void **state)
{
    static const struct {
        const char *name, *program, *text;
    } run_rows[] = {
        {"environment by function", "env", "env is out"},
        {"environment in a text", "\"\\(env.HOME)\"", "env is out"},
        {"further input", "input", "input is out"},
        {"all further input", "[inputs]", "input is out"},
        {"name of the input", "input_filename", "input is out"},
        {"line of the input", "input_line_number", "input is out"},
        {"debug", "debug", "debug is out"},
        {"debug with a message", "debug(1)", "debug is out"},
        {"standard error", "stderr", "debug is out"},
        {"halt", "halt", "halt is out"},
        {"halt with an error", "\"x\"|halt_error", "halt is out"},
        {"halt with a code", "\"x\"|halt_error(0)", "halt is out"},
        {"module metadata", "\"a\"|modulemeta", "modules are out"},
        {"module path", "get_search_list", "modules are out"},
        {"dates that abort jq 1.6", "1e999|todate", "dates are out"},
        {"dates by format", "0|strftime(\"%Y\")", "dates are out"},
        {"$ENV is null", "$ENV | if . == null then {decision:\"accept\"} else . end", NULL},
    };
    static const struct {
        const char *name, *program;
    } compile_rows[] = {
        {"import", "import \"a\" as a; {decision:\"accept\"}"},
        {"import of data", "import \"/etc/passwd\" as $a; $a"},
        {"include", "include \"a\"; {decision:\"accept\"}"},
        {"arguments of a program", "$__prog_args"},
        {"module", "module {name:\"a\"}; ."},
        {"syntax error", "{"},
        {"a parenthesis that closes nothing", ") | env"},
        {"unknown function", "trust_everybody"},
        {"comment only", "# {decision:\"accept\"}"},
    };
    struct atls_result *r = make_result(&good);

    (void)state;
    assert_int_equal(setenv("ATLS_TEST_SECRET", "1", 1), 0);
    for (size_t i = 0; i < sizeof run_rows / sizeof run_rows[0]; i++) {
        struct atls_policy *p = compile(run_rows[i].program);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_decision d;

        print_message("%s\n", run_rows[i].name);
        test_assert_code(atls_policy_decide(p, r, &d, &err),
                         run_rows[i].text == NULL ? ATLS_OK : ATLS_E_REFUSED, &err);
        if (run_rows[i].text != NULL)
            assert_non_null(strstr(err.message, run_rows[i].text));
        atls_policy_unref(p);
    }
    for (size_t i = 0; i < sizeof compile_rows / sizeof compile_rows[0]; i++) {
        struct atls_policy *p = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        const char *text = compile_rows[i].program;

        print_message("%s\n", compile_rows[i].name);
        test_assert_code(atls_policy_compile("bad.jq", atls_bytes_of(text, strlen(text)), &p, &err),
                         ATLS_E_CONFIG, &err);
        assert_null(p);
        assert_non_null(strstr(err.message, "policy bad.jq: "));
    }
    atls_result_unref(r);
}

static void input_is_the_claims_set(void **state)
{
    struct atls_result *r = make_result(&good);
    struct atls_buf program = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(65536);
    struct atls_policy *p = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_decision d;

    (void)state;
    /* The text is a jq literal: equal only when the tree built without it is the same. */
    atls_put_text(&w, "if . == (");
    atls_put_text(&w, atls_result_json(r));
    atls_put_text(&w, ") then {decision:\"accept\"} else {decision:\"refuse\"} end");
    assert_int_equal(atls_writer_finish(&w, &program, NULL), ATLS_OK);
    test_assert_code(atls_policy_compile("same.jq", atls_buf_bytes(&program), &p, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_policy_decide(p, r, &d, &err), ATLS_OK, &err);
    assert_true(d.accept);
    atls_buf_clear(&program);
    atls_policy_unref(p);
    atls_result_unref(r);
}

static void insecure_technology_must_be_named(void **state)
{
    static const struct {
        const char *name, *program;
        bool accept;
    } rows[] = {
        {"not named", "{decision:\"accept\"}", false},
        {"another named", "{decision:\"accept\",insecure:[\"softer\",\"sof\"]}", false},
        {"named", "{decision:\"accept\",insecure:[\"tpm\",\"soft\"]}", true},
        {"named and refused", "{decision:\"refuse\",insecure:[\"soft\"]}", false},
    };
    static const struct want soft = {"soft", 2, 0, 96, 1, ATLS_HASH_SHA256, "anyone can"};
    struct atls_result *r = make_result(&soft);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_policy *p = compile(rows[i].program);
        struct atls_decision d;

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_policy_decide(p, r, &d, NULL), ATLS_OK);
        assert_int_equal(d.accept, rows[i].accept);
        atls_policy_unref(p);
    }
    atls_result_unref(r);
}

static void shipped_policies_decide(void **state)
{
    static const struct {
        const char *policy, *name;
        struct want result;
        bool accept;
        const char *reason;
    } rows[] = {
        {"default.jq", "good", {"tpm", 3, 2, 0, 0xff, ATLS_HASH_SHA256, NULL}, true, NULL},
        {"default.jq",
         "wrong PCR",
         {"tpm", 33, 2, 0, 0xff, ATLS_HASH_SHA256, "PCR 7 is x"},
         false,
         "TPM is warning: PCR 7 is x"},
        {"default.jq",
         "soft",
         {"soft", 3, 0, 96, 1, ATLS_HASH_SHA256, "anyone"},
         false,
         "SOFT is contraindicated: anyone"},
        {"tpm-strict.jq", "enrolled", {"tpm", 3, 2, 0, 0xff, ATLS_HASH_SHA256, NULL}, true, NULL},
        {"tpm-strict.jq", "certified", {"tpm", 3, 0, 2, 0xff, ATLS_HASH_SHA384, NULL}, true, NULL},
        {"tpm-strict.jq",
         "neither",
         {"tpm", 3, 0, 0, 0xff, ATLS_HASH_SHA256, NULL},
         false,
         "neither this TPM nor its maker is known"},
        {"tpm-strict.jq",
         "boot unknown",
         {"tpm", 0, 2, 0, 0xff, ATLS_HASH_SHA256, NULL},
         false,
         "boot is not approved"},
        {"tpm-strict.jq",
         "no PCR 7",
         {"tpm", 3, 2, 0, 0x7f, ATLS_HASH_SHA256, NULL},
         false,
         "PCR 7 is not quoted"},
        {"tpm-strict.jq",
         "SHA-1 only",
         {"tpm", 3, 2, 0, 0xff, ATLS_HASH_SHA1, NULL},
         false,
         "PCR 0 is not quoted"},
        {"tpm-strict.jq",
         "warning",
         {"tpm", 33, 2, 0, 0xff, ATLS_HASH_SHA256, "PCR 7 is x"},
         false,
         "TPM is warning: PCR 7 is x"},
        {"tpm-strict.jq",
         "soft",
         {"soft", 3, 2, 96, 0xff, ATLS_HASH_SHA256, NULL},
         false,
         "want exactly the submodule TPM"},
        {"soft-development.jq", "soft", {"soft", 3, 0, 96, 1, ATLS_HASH_SHA256, "a"}, true, NULL},
        {"soft-development.jq",
         "soft, unknown measurement",
         {"soft", 33, 0, 96, 1, ATLS_HASH_SHA256, "app"},
         false,
         "SOFT is contraindicated: app"},
        {"soft-development.jq",
         "soft, no reference values",
         {"soft", 0, 0, 96, 1, ATLS_HASH_SHA256, "none"},
         false,
         "SOFT is contraindicated: none"},
        {"soft-development.jq",
         "good TPM",
         {"tpm", 3, 2, 0, 1, ATLS_HASH_SHA256, NULL},
         true,
         NULL},
        {"soft-development.jq",
         "bad TPM",
         {"tpm", 33, 2, 0, 1, ATLS_HASH_SHA256, "x"},
         false,
         "TPM is warning: x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = make_result(&rows[i].result);
        struct atls_policy *p = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_decision d;
        char path[1024];

        print_message("%s: %s\n", rows[i].policy, rows[i].name);
        snprintf(path, sizeof path, "%s%s", policies, rows[i].policy);
        test_assert_code(atls_policy_load(path, &p, &err), ATLS_OK, &err);
        test_assert_code(atls_policy_decide(p, r, &d, &err), ATLS_OK, &err);
        assert_int_equal(d.accept, rows[i].accept);
        if (!rows[i].accept)
            assert_non_null(strstr(d.reasons[0], rows[i].reason));
        atls_policy_unref(p);
        atls_result_unref(r);
    }
}

static void texts_that_are_no_program(void **state)
{
    static char big[ATLS_POLICY_MAX + 1];
    const struct {
        const char *name;
        struct atls_bytes text;
        enum atls_code want;
    } rows[] = {
        {"empty", HEX(""), ATLS_E_CONFIG},
        {"NUL inside", HEX("{decision:\"accept\"}\0|env"), ATLS_E_CONFIG},
        {"no UTF-8", HEX("\"\xff\""), ATLS_E_CONFIG},
        {"one byte too long", {(const uint8_t *)big, sizeof big}, ATLS_E_CONFIG},
        {"as long as may be", {(const uint8_t *)big, sizeof big - 1}, ATLS_OK},
    };

    (void)state;
    memset(big, ' ', sizeof big);
    big[0] = '1';
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_policy *p = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_policy_compile("x", rows[i].text, &p, &err), rows[i].want, &err);
        atls_policy_unref(p);
    }
}

static void files(void **state)
{
    char dir[] = "/tmp/atls-policy-XXXXXX", path[64];
    struct atls_policy *p = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/p.jq", dir);
    test_assert_code(atls_policy_load(path, &p, &err), ATLS_E_IO, &err);
    test_assert_code(atls_policy_load(dir, &p, &err), ATLS_E_CONFIG, &err);
    assert_non_null(f = fopen(path, "w"));
    assert_int_equal(fclose(f), 0);
    test_assert_code(atls_policy_load(path, &p, &err), ATLS_E_CONFIG, &err); /* empty */
    assert_non_null(f = fopen(path, "w"));
    assert_true(fputs("{", f) >= 0);
    assert_int_equal(fclose(f), 0);
    test_assert_code(atls_policy_load(path, &p, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "syntax error"));
    assert_non_null(strstr(err.message, "line 1"));
    assert_null(p);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

struct shared {
    struct atls_policy *policy;
    struct atls_result *result;
};

static void *decide_often(void *arg)
{
    const struct shared *s = arg;
    uintptr_t accepted = 0;

    for (int i = 0; i < 50; i++) {
        struct atls_decision d;

        if (atls_policy_decide(s->policy, s->result, &d, NULL) == ATLS_OK && d.accept)
            accepted++;
    }
    return (void *)accepted;
}

static void many_threads_share_a_policy(void **state)
{
    /* More threads than states may exist: some have to wait for one. */
    pthread_t threads[12];
    struct shared s = {compile("{decision:(if .iat > 0 then \"accept\" else \"refuse\" end)}"),
                       make_result(&good)};

    (void)state;
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decide_often, &s), 0);
    for (size_t i = 0; i < 12; i++) {
        void *accepted = NULL;

        assert_int_equal(pthread_join(threads[i], &accepted), 0);
        assert_int_equal((uintptr_t)accepted, 50);
    }
    atls_policy_unref(s.policy);
    atls_result_unref(s.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_checked),
        cmocka_unit_test(reasons_are_bounded),
        cmocka_unit_test(what_is_outside_stays_outside),
        cmocka_unit_test(input_is_the_claims_set),
        cmocka_unit_test(insecure_technology_must_be_named),
        cmocka_unit_test(shipped_policies_decide),
        cmocka_unit_test(texts_that_are_no_program),
        cmocka_unit_test(files),
        cmocka_unit_test(many_threads_share_a_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
