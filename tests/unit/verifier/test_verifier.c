#include <string.h>

#include "testlib.h"

#include <atls/verifier.h>

#include "core/err.h"
#include "verifier/result.h"

/* A verifier of the test: makes the result that its rest of the URI names. */
struct fake {
    char what[32];
    struct atls_verifier_options options;
};

static struct fake fake;
static int closed;
static int64_t seen_time;

static enum atls_code fake_open(const char *rest, const struct atls_verifier_options *options,
                                void **out_self, struct atls_err *err)
{
    (void)err;
    if (strcmp(rest, "broken") == 0)
        return ATLS_E_IO;
    strncpy(fake.what, rest, sizeof fake.what - 1);
    fake.options = *options;
    *out_self = &fake;
    return ATLS_OK;
}

static void fake_close(void *self)
{
    assert_ptr_equal(self, &fake);
    closed++;
}

static enum atls_code fake_appraise(void *self, const struct atls_appraisal *a,
                                    struct atls_result **out, struct atls_err *err)
{
    static const uint8_t other[48] = {0xff};
    const struct fake *f = self;
    struct atls_outcome o;
    static struct atls_claims claims;
    struct atls_bytes b = a->binder;

    seen_time = a->time_s;
    if (strcmp(f->what, "refuse") == 0)
        return ATLS_E_EVIDENCE;
    memset(&o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.technology = "tpm";
    claims.submod = "TPM";
    claims.key_spki = a->aik_spki;
    o.policy_id = "policy:test";
    o.status = ATLS_TIER_AFFIRMING;
    if (strcmp(f->what, "other-key") == 0)
        claims.key_spki = atls_bytes_of("another", 7);
    if (strcmp(f->what, "other-binder") == 0)
        b = atls_bytes_of(other, b.len);
    if (strcmp(f->what, "longer-binder") == 0)
        b = atls_bytes_of(other, 48);
    return atls_result_new(&claims, &o, b, a->time_s, out, err);
}

static const struct atls_verifier_ops fake_ops = {
    .scheme = "fake", .open = fake_open, .close = fake_close, .appraise = fake_appraise};
static const struct atls_verifier_ops fake_passport_ops = {.scheme = "fake-passport",
                                                           .input = ATLS_VERIFIER_TAKES_RESULTS,
                                                           .open = fake_open,
                                                           .close = fake_close,
                                                           .appraise = fake_appraise};
static enum atls_code fake_generation(void *self, uint64_t *out, struct atls_err *err)
{
    (void)self;
    (void)err;
    *out = 7;
    return ATLS_OK;
}

static enum atls_code fake_ping(void *self, struct atls_err *err)
{
    (void)self;
    return atls_fail(err, ATLS_E_UNAVAILABLE, "away");
}

static const struct atls_verifier_ops fake_asked_ops = {.scheme = "fake-asked",
                                                        .open = fake_open,
                                                        .close = fake_close,
                                                        .appraise = fake_appraise,
                                                        .generation = fake_generation,
                                                        .ping = fake_ping};
static const struct atls_verifier_ops *const backends[] = {&fake_ops, &fake_passport_ops,
                                                           &fake_asked_ops, NULL};

static int64_t wall(void *arg)
{
    (void)arg;
    return 1234;
}

static struct atls_verifier *open_fake(const char *uri)
{
    struct atls_verifier_options options;
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    atls_verifier_options_init(&options);
    options.clock.wall_s = wall;
    options.require_ak_eku = true;
    test_assert_code(atls_verifier_open(uri, backends, &options, &v, &err), ATLS_OK, &err);
    return v;
}

static struct atls_appraisal good_appraisal(void)
{
    static const uint8_t binder[32] = {7};
    struct atls_appraisal a = {atls_bytes_of("evidence", 8),
                               atls_bytes_of(binder, 32),
                               atls_bytes_of("spki", 4),
                               0,
                               0,
                               {NULL, 0}};

    return a;
}

static void open_finds_the_backend(void **state)
{
    static const struct {
        const char *name, *uri;
        const struct atls_verifier_ops *const *backends;
        enum atls_code want;
    } rows[] = {
        {"known scheme", "fake:x", backends, ATLS_OK},
        {"empty rest", "fake:", backends, ATLS_OK},
        {"unknown scheme", "fak:x", backends, ATLS_E_CONFIG},
        {"longer scheme", "fakee:x", backends, ATLS_E_CONFIG},
        {"no scheme", "fake", backends, ATLS_E_CONFIG},
        {"empty URI", "", backends, ATLS_E_CONFIG},
        {"no backends", "fake:x", NULL, ATLS_E_CONFIG},
        {"backend fails", "fake:broken", backends, ATLS_E_IO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_verifier *v = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_verifier_open(rows[i].uri, rows[i].backends, NULL, &v, &err),
                         rows[i].want, &err);
        assert_int_equal(v != NULL, rows[i].want == ATLS_OK);
        atls_verifier_unref(v);
    }
}

static void options_reach_the_backend(void **state)
{
    struct atls_verifier_options options;
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_verifier_unref(open_fake("fake:x"));
    assert_true(fake.options.require_ak_eku);
    assert_false(fake.options.allow_insecure_technology);
    memset(&options, 0xff, sizeof options);
    options.size = 0;
    test_assert_code(atls_verifier_open("fake:x", backends, &options, &v, &err), ATLS_E_USAGE,
                     &err);
    options.size = sizeof options + 1;
    test_assert_code(atls_verifier_open("fake:x", backends, &options, &v, &err), ATLS_E_USAGE,
                     &err);
    /* A caller of an older header: what it did not know stays strict. */
    options.size = offsetof(struct atls_verifier_options, allow_insecure_technology);
    test_assert_code(atls_verifier_open("fake:x", backends, &options, &v, &err), ATLS_OK, &err);
    assert_false(fake.options.allow_insecure_technology);
    assert_int_equal(fake.options.size, sizeof options);
    atls_verifier_unref(v);
}

static void a_backend_need_not_be_asked(void **state)
{
    struct atls_verifier *v = open_fake("fake:x"), *asked = open_fake("fake-asked:x");
    struct atls_err err = ATLS_ERR_INIT;
    uint64_t generation = 3;

    (void)state;
    test_assert_code(atls_verifier_generation(v, &generation, &err), ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(generation, 3);
    test_assert_code(atls_verifier_ping(v, &err), ATLS_OK, &err);
    test_assert_code(atls_verifier_generation(asked, &generation, &err), ATLS_OK, &err);
    assert_int_equal(generation, 7);
    test_assert_code(atls_verifier_ping(asked, &err), ATLS_E_UNAVAILABLE, &err);
    atls_verifier_unref(v);
    atls_verifier_unref(asked);
}

static void references_keep_it_open(void **state)
{
    struct atls_verifier *v = open_fake("fake:x");
    int before = closed;

    (void)state;
    assert_ptr_equal(atls_verifier_ref(v), v);
    atls_verifier_unref(v);
    assert_int_equal(closed, before);
    atls_verifier_unref(v);
    assert_int_equal(closed, before + 1);
    atls_verifier_unref(NULL);
}

static void appraisal_takes_everything_together(void **state)
{
    enum { NONE, BINDER, BINDER_33, AIK, EVIDENCE };
    static const struct {
        const char *name, *uri;
        int missing;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"complete", "fake:ok", NONE, ATLS_OK, ATLS_REASON_NONE},
        {"no binder", "fake:ok", BINDER, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING},
        {"binder of 33 bytes", "fake:ok", BINDER_33, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING},
        {"no AIK", "fake:ok", AIK, ATLS_E_USAGE, ATLS_REASON_NONE},
        {"no evidence", "fake:ok", EVIDENCE, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED},
        {"backend refuses", "fake:refuse", NONE, ATLS_E_EVIDENCE, ATLS_REASON_NONE},
        {"result about another key", "fake:other-key", NONE, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"result about another connection", "fake:other-binder", NONE, ATLS_E_EVIDENCE,
         ATLS_REASON_BINDER_MISMATCH},
        {"result with a longer binder", "fake:longer-binder", NONE, ATLS_E_EVIDENCE,
         ATLS_REASON_BINDER_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_verifier *v = open_fake(rows[i].uri);
        struct atls_appraisal a = good_appraisal();
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        static const uint8_t long_binder[33];

        print_message("%s\n", rows[i].name);
        if (rows[i].missing == BINDER)
            a.binder = atls_bytes_of(NULL, 0);
        if (rows[i].missing == BINDER_33)
            a.binder = atls_bytes_of(long_binder, 33);
        if (rows[i].missing == AIK)
            a.aik_spki = atls_bytes_of(NULL, 0);
        if (rows[i].missing == EVIDENCE)
            a.evidence.len = 0;
        test_assert_code(atls_verifier_appraise(v, &a, &r, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        assert_int_equal(r != NULL, rows[i].want == ATLS_OK);
        atls_result_unref(r);
        atls_verifier_unref(v);
    }
}

static void time_comes_from_the_caller_or_the_clock(void **state)
{
    struct atls_verifier *v = open_fake("fake:ok");
    struct atls_appraisal a = good_appraisal();
    struct atls_result *r = NULL;

    (void)state;
    assert_int_equal(atls_verifier_appraise(v, &a, &r, NULL), ATLS_OK);
    assert_int_equal(seen_time, 1234);
    assert_int_equal(atls_result_issued_at(r), 1234);
    atls_result_unref(r);
    a.time_s = 99;
    assert_int_equal(atls_verifier_appraise(v, &a, &r, NULL), ATLS_OK);
    assert_int_equal(seen_time, 99);
    atls_result_unref(r);
    atls_verifier_unref(v);
}

/* A passport was made before this connection; its key ties it to the peer, and its nonce where the
 * Relying Party asks for that. */
static void passports_are_tied_by_their_key(void **state)
{
    static const struct {
        const char *name, *uri;
        bool echoes;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"made before", "fake-passport:other-binder", false, ATLS_OK, ATLS_REASON_NONE},
        {"made for this connection", "fake-passport:ok", true, ATLS_OK, ATLS_REASON_NONE},
        {"made before, one for this connection is due", "fake-passport:other-binder", true,
         ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH},
        {"of another suite, one for this connection is due", "fake-passport:longer-binder", true,
         ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH},
        {"about another key", "fake-passport:other-key", false, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"evidence is never a passport", "fake:other-binder", false, ATLS_E_EVIDENCE,
         ATLS_REASON_BINDER_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_appraisal a = good_appraisal();
        struct atls_verifier_options options;
        struct atls_verifier *v = NULL;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        atls_verifier_options_init(&options);
        options.result_echoes_binder = rows[i].echoes;
        test_assert_code(atls_verifier_open(rows[i].uri, backends, &options, &v, &err), ATLS_OK,
                         &err);
        assert_int_equal(atls_verifier_wants_binder(v), rows[i].echoes);
        test_assert_code(atls_verifier_appraise(v, &a, &r, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_result_unref(r);
        atls_verifier_unref(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_finds_the_backend),
        cmocka_unit_test(options_reach_the_backend),
        cmocka_unit_test(a_backend_need_not_be_asked),
        cmocka_unit_test(references_keep_it_open),
        cmocka_unit_test(passports_are_tied_by_their_key),
        cmocka_unit_test(appraisal_takes_everything_together),
        cmocka_unit_test(time_comes_from_the_caller_or_the_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
