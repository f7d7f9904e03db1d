#include <stdio.h>
#include <string.h>

#include "testlib.h"

#include "verifier/local/appraise.h"
#include "verifier/local/endorsed.h"

#define PCRS     24
#define CLASS_ID "\xd8\x25\x50\x31\xfb\x5a\xbf\x02\x3e\x49\x92\xaa\x4e\x95\xf9\xc1\x50\x3b\xfa"

static const struct atls_environment class_of_tests = {
    .class_id = HEX(CLASS_ID), .vendor = HEX("ACME"), .instance = HEX("instance-1")};

/* Digest n is 32 times the letter 'a' + n. */
static struct atls_bytes digest(unsigned int n)
{
    static uint8_t values[26][32];

    memset(values[n], 'a' + (int)n, 32);
    return atls_bytes_of(values[n], 32);
}

/* A list of measurements under construction. */
struct list {
    struct atls_measurement items[PCRS];
    struct atls_digest digests[PCRS];
    size_t count;
};

static void put(struct list *l, struct atls_mkey key, enum atls_hash hash, unsigned int value)
{
    struct atls_measurement *m = &l->items[l->count];

    memset(m, 0, sizeof *m);
    l->digests[l->count] = (struct atls_digest){hash, 1, digest(value)};
    m->mkey = key;
    m->mval.present = ATLS_MVAL_DIGESTS;
    m->mval.digests = &l->digests[l->count++];
    m->mval.digest_count = 1;
}

static struct atls_mkey pcr(uint64_t index)
{
    return (struct atls_mkey){ATLS_MKEY_UINT, index, {NULL, 0}};
}

static void put_pcr(struct list *l, uint64_t index, unsigned int value)
{
    put(l, pcr(index), ATLS_HASH_SHA256, value);
}

static struct atls_claims *claims_of(struct list *evidence)
{
    static struct atls_claims claims;

    memset(&claims, 0, sizeof claims);
    claims.technology = "tpm";
    claims.submod = "TPM";
    claims.key_trust = ATLS_KEY_TRUST_ENROLLED;
    claims.environment = class_of_tests;
    claims.measurements = evidence->items;
    claims.measurement_count = evidence->count;
    return &claims;
}

static struct atls_reference reference_of(const char *manifest, const struct list *l)
{
    struct atls_reference r = {
        manifest, {.class_id = class_of_tests.class_id}, l->items, l->count, {NULL, 0}};

    return r;
}

static struct atls_outcome appraise(struct atls_claims *claims,
                                    const struct atls_reference *references, size_t count)
{
    struct atls_outcome o;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(
        atls_appraise(claims, &(struct atls_known_values){references, count, NULL, 0}, &o, &err),
        ATLS_OK, &err);
    for (size_t i = 0; i < o.problem_count && i < ATLS_PROBLEMS_MAX; i++)
        print_message("    %s\n", o.problems[i]);
    return o;
}

static void assert_outcome(const struct atls_outcome *o, int executables, enum atls_tier status,
                           enum atls_reason reason)
{
    assert_int_equal(o->trust[ATLS_TRUST_EXECUTABLES], executables);
    assert_int_equal(o->status, status);
    assert_int_equal(o->reason, reason);
    assert_non_null(o->policy_id);
    assert_non_null(o->checks[0]);
}

static void every_pcr_covered_is_affirming(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    for (unsigned int i = 0; i < 8; i++) {
        put_pcr(&evidence, i, i);
        put_pcr(&expected, 7 - i, 7 - i);
    }
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
    assert_int_equal(o.trust[ATLS_TRUST_INSTANCE_IDENTITY], 2);
    assert_int_equal(o.trust[ATLS_TRUST_HARDWARE], 0);
    assert_int_equal(o.problem_count, 0);
    assert_int_equal(o.manifest_count, 1);
    assert_string_equal(o.manifests[0], "rack-7");
}

static void the_kernels_measurements_cover_what_runs_after_boot(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 4, 4);
    put_pcr(&evidence, 10, 10);
    put_pcr(&expected, 4, 4);
    put_pcr(&expected, 10, 10);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 2, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
    expected.count = 1; /* PCR 10 quoted, but nobody knows its value */
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
}

static void values_may_come_from_several_manifests(void **state)
{
    static struct list evidence, first, second;
    struct atls_reference r[4];
    struct atls_outcome o;

    (void)state;
    evidence.count = first.count = second.count = 0;
    put_pcr(&evidence, 0, 1);
    put_pcr(&evidence, 7, 2);
    put_pcr(&first, 0, 9); /* another firmware version */
    put_pcr(&first, 0, 1); /* ours: alternatives of one PCR */
    put_pcr(&second, 7, 2);
    r[0] = reference_of("firmware", &first);
    r[1] = reference_of("secure-boot", &second);
    o = appraise(claims_of(&evidence), r, 2);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
    assert_int_equal(o.manifest_count, 2);
    assert_string_equal(o.manifests[1], "secure-boot");
    /* A third is counted and not named. */
    static struct list third;

    third.count = 0;
    put_pcr(&evidence, 8, 3);
    put_pcr(&third, 8, 3);
    r[2] = reference_of("kernel", &third);
    r[3] = reference_of("kernel-copy", &third);
    o = appraise(claims_of(&evidence), r, 4);
    assert_int_equal(o.manifest_count, 3);
}

static void a_changed_pcr_is_named(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put_pcr(&evidence, 7, 1);
    put_pcr(&expected, 0, 0);
    put_pcr(&expected, 7, 7);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_int_equal(o.problem_count, 1);
    assert_string_equal(o.problems[0],
                        "PCR 7 (sha256) is 6262626262626262..., no reference value of "
                        "\"rack-7\" matches, want 6868686868686868...");
    put_pcr(&expected, 7, 8);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_non_null(strstr(o.problems[0], "want 6868686868686868... or another"));
}

static void a_pcr_without_reference_value_is_named(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put_pcr(&evidence, 9, 1);
    put_pcr(&expected, 0, 0);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_string_equal(o.problems[0], "PCR 9 (sha256) is 6262626262626262..., its class has no "
                                       "reference value for it");
    /* A value of another bank says nothing about this one. */
    put(&expected, pcr(9), ATLS_HASH_SHA384, 1);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_non_null(strstr(o.problems[0], "has no reference value"));
}

static void a_pcr_that_was_left_out_of_the_quote_is_named(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put_pcr(&expected, 0, 0);
    put_pcr(&expected, 4, 4); /* what the attester would rather not show */
    put_pcr(&expected, 4, 5);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_int_equal(o.problem_count, 1);
    assert_string_equal(o.problems[0],
                        "PCR 4 is not in the evidence, \"rack-7\" has a reference value for it");
    for (unsigned int i = 5; i < 20; i++)
        put_pcr(&expected, i, i);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_int_equal(o.problem_count, 8);
    evidence.count = 0; /* nothing quoted at all */
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    expected.count = 0; /* and nothing expected: still nothing approved */
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_string_equal(o.problems[0], "the evidence measures nothing");
}

static void both_banks_must_be_covered(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put(&evidence, pcr(0), ATLS_HASH_SHA384, 1);
    put_pcr(&expected, 0, 0);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_non_null(strstr(o.problems[0], "PCR 0 (sha384)"));
    put(&expected, pcr(0), ATLS_HASH_SHA384, 1);
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
}

static void the_bank_that_differs_is_named(void **state)
{
    static struct list evidence, expected;
    static struct atls_digest actual_digests[2], expected_digests[2];
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put_pcr(&expected, 0, 0);
    actual_digests[0] = expected_digests[1] = evidence.digests[0];
    actual_digests[1] = (struct atls_digest){ATLS_HASH_SHA384, 7, digest(1)};
    expected_digests[0] = (struct atls_digest){ATLS_HASH_SHA384, 7, digest(2)};
    evidence.items[0].mval.digests = actual_digests;
    evidence.items[0].mval.digest_count = 2;
    r = reference_of("rack-7", &expected);
    o = appraise(claims_of(&evidence), &r, 1); /* one bank known is enough */
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
    expected.items[0].mval.digests = expected_digests;
    expected.items[0].mval.digest_count = 2;
    o = appraise(claims_of(&evidence), &r, 1); /* but not where another known one differs */
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_string_equal(o.problems[0],
                        "PCR 0 (sha384) is 6262626262626262..., no reference value of "
                        "\"rack-7\" matches, want 6363636363636363...");
}

static void without_reference_values_nothing_is_affirming(void **state)
{
    static struct list evidence, expected;
    struct atls_claims *claims;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put_pcr(&expected, 0, 0);
    o = appraise(claims_of(&evidence), NULL, 0);
    assert_outcome(&o, 0, ATLS_TIER_WARNING, ATLS_REASON_NO_REFERENCE_VALUES);
    assert_string_equal(o.problems[0],
                        "no-reference-values: class "
                        "31fb5abf-023e-4992-aa4e-95f9c1503bfa has none in the store");
    claims = claims_of(&evidence);
    claims->environment.class_id = atls_bytes_of(NULL, 0);
    o = appraise(claims, NULL, 0);
    assert_outcome(&o, 0, ATLS_TIER_WARNING, ATLS_REASON_NO_REFERENCE_VALUES);
    assert_string_equal(o.problems[0],
                        "no-reference-values: the attestation key belongs to no class");
    r = reference_of("rack-7", &expected);
    r.environment.vendor = atls_bytes_of("OTHER", 5);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 0, ATLS_TIER_WARNING, ATLS_REASON_NO_REFERENCE_VALUES);
    assert_non_null(strstr(o.problems[0], "for another vendor, model or instance"));
    r.environment.vendor = atls_bytes_of("ACME", 4);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
    r.environment.instance = atls_bytes_of("instance-2", 10);
    o = appraise(claims_of(&evidence), &r, 1);
    assert_outcome(&o, 0, ATLS_TIER_WARNING, ATLS_REASON_NO_REFERENCE_VALUES);
    claims = claims_of(&evidence);
    claims->environment.class_id = atls_bytes_of("\xd8\x6f\x41\x2a", 4);
    o = appraise(claims, NULL, 0);
    assert_non_null(strstr(o.problems[0], "class d86f412a has none"));
}

static void trust_in_the_key_decides_identity_and_hardware(void **state)
{
    static const struct {
        const char *name;
        enum atls_key_trust trust;
        bool insecure;
        int instance, hardware;
        enum atls_reason reason;
    } rows[] = {
        {"enrolled", ATLS_KEY_TRUST_ENROLLED, false, 2, 0, ATLS_REASON_NONE},
        {"certified", ATLS_KEY_TRUST_CERTIFIED, false, 0, 2, ATLS_REASON_NONE},
        {"trusted by nobody", ATLS_KEY_TRUST_NONE, false, 97, 0, ATLS_REASON_UNTRUSTED_AK},
        {"insecure", ATLS_KEY_TRUST_NONE, true, 0, 96, ATLS_REASON_INSECURE_TECHNOLOGY},
        {"insecure, enrolled", ATLS_KEY_TRUST_ENROLLED, true, 2, 96,
         ATLS_REASON_INSECURE_TECHNOLOGY},
        {"insecure, certified", ATLS_KEY_TRUST_CERTIFIED, true, 0, 96,
         ATLS_REASON_INSECURE_TECHNOLOGY},
    };
    static struct list evidence, expected;
    struct atls_reference r;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 0, 0);
    put_pcr(&expected, 0, 0);
    r = reference_of("rack-7", &expected);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_claims *claims = claims_of(&evidence);
        struct atls_outcome o;

        print_message("%s\n", rows[i].name);
        claims->key_trust = rows[i].trust;
        claims->insecure = rows[i].insecure;
        if (rows[i].insecure)
            claims->technology = "soft";
        o = appraise(claims, &r, 1);
        assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, rows[i].reason); /* before the vector's bound */
        assert_int_equal(o.trust[ATLS_TRUST_INSTANCE_IDENTITY], rows[i].instance);
        assert_int_equal(o.trust[ATLS_TRUST_HARDWARE], rows[i].hardware);
    }
}

static void keys_of_every_kind_are_named(void **state)
{
    static const struct {
        const char *name;
        struct atls_mkey key;
        const char *want;
    } rows[] = {
        {"text", {ATLS_MKEY_TEXT, 0, HEX("ker\nnel")}, "measurement \"ker\\x0anel\" (sha256)"},
        {"OID", {ATLS_MKEY_OID, 0, HEX("\x2a\x03")}, "measurement 2a03 (sha256)"},
        {"none", {ATLS_MKEY_NONE, 0, {NULL, 0}}, "measurement (sha256)"},
        {"large number", {ATLS_MKEY_UINT, 640, {NULL, 0}}, "measurement 640 (sha256)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct list evidence, expected;
        struct atls_claims *claims;
        struct atls_reference r;
        struct atls_outcome o;

        print_message("%s\n", rows[i].name);
        evidence.count = expected.count = 0;
        put(&evidence, rows[i].key, ATLS_HASH_SHA256, 1);
        put(&expected, rows[i].key, ATLS_HASH_SHA256, 1);
        r = reference_of("app", &expected);
        claims = claims_of(&evidence);
        claims->technology = "soft";
        o = appraise(claims, &r, 1);
        assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
        expected.digests[0].value = digest(2);
        o = appraise(claims, &r, 1);
        assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
        assert_memory_equal(o.problems[0], rows[i].want, strlen(rows[i].want));
    }
}

static void values_of_every_kind_are_shown(void **state)
{
    static const struct {
        const char *name;
        struct atls_mval actual, expected;
        const char *want;
    } rows[] = {
        {"raw values",
         {.present = ATLS_MVAL_RAW, .raw = HEX("\x01")},
         {.present = ATLS_MVAL_RAW, .raw = HEX("\x02")},
         "measurement 3 is 01, no reference value of \"app\" matches, want 02"},
        {"security versions",
         {.present = ATLS_MVAL_SVN, .svn = 3},
         {.present = ATLS_MVAL_MIN_SVN, .svn = 4},
         "measurement 3 is svn 3, no reference value of \"app\" matches, want svn 4"},
        {"another kind",
         {.present = ATLS_MVAL_NAME, .name = HEX("a")},
         {.present = ATLS_MVAL_OTHER},
         "measurement 3 is of another kind, no reference value of \"app\" matches, want of another "
         "kind"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct list evidence, expected;
        struct atls_claims *claims;
        struct atls_reference r;
        struct atls_outcome o;

        print_message("%s\n", rows[i].name);
        evidence.count = expected.count = 0;
        put_pcr(&evidence, 3, 0);
        put_pcr(&expected, 3, 0);
        evidence.items[0].mval = rows[i].actual;
        expected.items[0].mval = rows[i].expected;
        claims = claims_of(&evidence);
        claims->technology = "soft";
        r = reference_of("app", &expected);
        o = appraise(claims, &r, 1);
        assert_string_equal(o.problems[0], rows[i].want);
    }
}

static void digests_of_every_bank_are_named(void **state)
{
    static const struct {
        enum atls_hash hash;
        const char *want;
    } rows[] = {
        {ATLS_HASH_SHA1, "PCR 0 (sha1)"},         {ATLS_HASH_SHA256, "PCR 0 (sha256)"},
        {ATLS_HASH_SHA384, "PCR 0 (sha384)"},     {ATLS_HASH_SHA512, "PCR 0 (sha512)"},
        {ATLS_HASH_NONE, "PCR 0 (unknown hash)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct list evidence, expected;
        struct atls_reference r;
        struct atls_outcome o;

        evidence.count = expected.count = 0;
        put(&evidence, pcr(0), rows[i].hash, 0);
        r = reference_of("app", &expected);
        o = appraise(claims_of(&evidence), &r, 1);
        assert_memory_equal(o.problems[0], rows[i].want, strlen(rows[i].want));
    }
}

/* ---- endorsements ---- */

static struct atls_measurement endorsed_svn(uint64_t key, uint64_t svn)
{
    struct atls_measurement m = {.mkey = pcr(key), .mval = {.present = ATLS_MVAL_SVN, .svn = svn}};

    return m;
}

static struct atls_endorsement endorsement_of(const char *manifest, struct atls_bytes authority,
                                              const struct atls_corim_endorsed *e)
{
    struct atls_endorsement out = {
        .manifest = manifest, .authority = authority, .kind = ATLS_TRIPLE_ENDORSED, .endorsed = e};

    return out;
}

/* Claims with an arena, for what is kept of endorsements. */
static struct atls_claims *claims_with_arena(struct list *evidence)
{
    struct atls_claims *claims = claims_of(evidence);

    claims->arena = atls_arena_init(64);
    claims->signer_spki = atls_bytes_of("signer", 6);
    return claims;
}

static void endorsed_claims_are_kept_and_change_no_judgement(void **state)
{
    static struct list evidence, expected;
    struct atls_measurement fact = endorsed_svn(40, 3), lie = endorsed_svn(0, 9);
    struct atls_corim_endorsed e = {.ect = {.environment = {.class_id = class_of_tests.class_id},
                                            .measurements = &fact,
                                            .count = 1}},
                               about_pcr = e;
    const struct atls_endorsement items[] = {
        endorsement_of("maker", atls_bytes_of("maker's key", 11), &e),
        endorsement_of("nobody", atls_bytes_of(NULL, 0), &about_pcr)};
    uint8_t thumbprint[ATLS_HASH_MAX];

    (void)state;
    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of("maker's key", 11), thumbprint, NULL),
        ATLS_OK);
    about_pcr.ect.measurements = &lie;
    for (int covered = 0; covered < 2; covered++) {
        struct atls_claims *claims;
        struct atls_reference r;
        struct atls_outcome o;
        struct atls_err err = ATLS_ERR_INIT;

        evidence.count = expected.count = 0;
        put_pcr(&evidence, 0, 0);
        put_pcr(&expected, 0, covered ? 0 : 1);
        r = reference_of("rack-7", &expected);
        claims = claims_with_arena(&evidence);
        test_assert_code(
            atls_appraise(claims, &(struct atls_known_values){&r, 1, items, 2}, &o, &err), ATLS_OK,
            &err);
        assert_outcome(&o, covered ? 3 : 33, covered ? ATLS_TIER_AFFIRMING : ATLS_TIER_WARNING,
                       covered ? ATLS_REASON_NONE : ATLS_REASON_MEASUREMENT);
        assert_int_equal(o.manifest_count, covered); /* of reference values */
        assert_int_equal(o.endorsed_count, 2);
        assert_int_equal(o.conflict_count, 0);
        assert_string_equal(o.endorsed[0].manifest, "maker");
        test_assert_bytes(o.endorsed[0].authority, atls_bytes_of(thumbprint, 32));
        assert_int_equal(o.endorsed[0].measurement.mval.svn, 3);
        test_assert_bytes(o.endorsed[0].environment.class_id, class_of_tests.class_id);
        assert_ptr_not_equal(o.endorsed[0].environment.class_id.ptr, class_of_tests.class_id.ptr);
        assert_string_equal(o.endorsed[1].manifest, "nobody");
        assert_int_equal(o.endorsed[1].authority.len, 0);
        assert_int_equal(claims->measurement_count, 1);
        assert_int_equal(claims->measurements[0].mval.present, ATLS_MVAL_DIGESTS);
        atls_arena_clear(&claims->arena);
    }
}

/* Every kind of member is copied whole: the original is gone when the result is read. */
static void endorsed_values_outlive_their_manifest(void **state)
{
    static struct list evidence;
    static char text[] = "0123456789abcdef";
    struct atls_bytes bytes = {(const uint8_t *)text, 16};
    struct atls_digest digests[] = {{ATLS_HASH_SHA256, 1, bytes}};
    struct atls_corim_key keys[] = {{ATLS_TAG_BYTES, bytes}};
    struct atls_integrity_register registers[] = {{bytes, 0, digests, 1},
                                                  {{NULL, 0}, 3, digests, 1}};
    struct atls_mval_extension extensions[] = {{100, bytes}};
    struct atls_measurement m = {
        .mkey = {ATLS_MKEY_TEXT, 0, bytes},
        .mval = {.present = ATLS_MVAL_VERSION | ATLS_MVAL_DIGESTS | ATLS_MVAL_RAW | ATLS_MVAL_NAME |
                            ATLS_MVAL_MAC | ATLS_MVAL_IP | ATLS_MVAL_SERIAL | ATLS_MVAL_UEID |
                            ATLS_MVAL_UUID | ATLS_MVAL_KEYS | ATLS_MVAL_REGISTERS |
                            ATLS_MVAL_EXTENSIONS,
                 .version = bytes,
                 .version_scheme = bytes,
                 .digests = digests,
                 .digest_count = 1,
                 .raw = bytes,
                 .mask = bytes,
                 .mac = bytes,
                 .ip = bytes,
                 .serial = bytes,
                 .ueid = bytes,
                 .uuid = bytes,
                 .name = bytes,
                 .keys = keys,
                 .key_count = 1,
                 .registers = registers,
                 .register_count = 2,
                 .extensions = extensions,
                 .extension_count = 1}};
    struct atls_corim_endorsed e = {.ect = {.environment = {.class_id = class_of_tests.class_id},
                                            .measurements = &m,
                                            .count = 1}};
    const struct atls_endorsement item = endorsement_of("maker", bytes, &e);
    const struct atls_mval *v;
    struct atls_claims *claims;
    struct atls_outcome o;

    (void)state;
    evidence.count = 0;
    put_pcr(&evidence, 0, 0);
    claims = claims_with_arena(&evidence);
    assert_int_equal(
        atls_appraise(claims, &(struct atls_known_values){NULL, 0, &item, 1}, &o, NULL), ATLS_OK);
    memset(text, 'x', 16);
    memset(digests, 0, sizeof digests);
    memset(keys, 0, sizeof keys);
    memset(registers, 0, sizeof registers);
    memset(extensions, 0, sizeof extensions);
    assert_int_equal(o.endorsed_count, 1);
    v = &o.endorsed[0].measurement.mval;
    {
        const struct atls_bytes kept[] = {
            o.endorsed[0].measurement.mkey.bytes,
            v->version,
            v->version_scheme,
            v->digests[0].value,
            v->raw,
            v->mask,
            v->mac,
            v->ip,
            v->serial,
            v->ueid,
            v->uuid,
            v->name,
            v->keys[0].content,
            v->registers[0].name,
            v->registers[0].digests[0].value,
            v->registers[1].digests[0].value,
            v->extensions[0].item,
        };

        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            test_assert_bytes(kept[i], atls_bytes_of("0123456789abcdef", 16));
    }
    assert_int_equal(v->registers[1].number, 3);
    assert_int_equal(v->extensions[0].key, 100);
    atls_arena_clear(&claims->arena);
}

static void dropped_endorsements_are_reported(void **state)
{
    static struct list evidence;
    struct atls_measurement first = endorsed_svn(40, 3), second = endorsed_svn(40, 4);
    struct atls_corim_endorsed a = {.ect = {.environment = {.class_id = class_of_tests.class_id},
                                            .measurements = &first,
                                            .count = 1}},
                               b = a;
    const struct atls_endorsement items[] = {endorsement_of("old", atls_bytes_of("key", 3), &a),
                                             endorsement_of("new", atls_bytes_of("key", 3), &b)};
    struct atls_claims *claims;
    struct atls_outcome o;

    (void)state;
    b.ect.measurements = &second;
    evidence.count = 0;
    put_pcr(&evidence, 0, 0);
    claims = claims_with_arena(&evidence);
    assert_int_equal(
        atls_appraise(claims, &(struct atls_known_values){NULL, 0, items, 2}, &o, NULL), ATLS_OK);
    assert_int_equal(o.endorsed_count, 1);
    assert_int_equal(o.endorsed[0].measurement.mval.svn, 3);
    assert_int_equal(o.conflict_count, 1);
    assert_int_equal(o.conflicts_named, 1);
    assert_string_equal(o.conflicts[0].manifest, "new");
    assert_int_equal(o.conflicts[0].mkey.number, 40);
    atls_arena_clear(&claims->arena);
}

/* A policy must not be talked past a bad claim by many good ones. */
static void a_result_shows_all_endorsed_claims_or_is_none(void **state)
{
    static struct atls_measurement many[ATLS_ENDORSED_MAX + 1];
    static uint8_t content[ATLS_ENDORSED_BYTES_MAX];
    static struct list evidence;
    static const struct {
        const char *name;
        size_t count, bytes; /* of each */
        enum atls_code want;
    } rows[] = {
        {"as many as may be", ATLS_ENDORSED_MAX, 8, ATLS_OK},
        {"one more", ATLS_ENDORSED_MAX + 1, 8, ATLS_E_LIMIT},
        {"as long as may be, nearly", 1, ATLS_ENDORSED_BYTES_MAX - 256, ATLS_OK},
        {"too long", 1, ATLS_ENDORSED_BYTES_MAX, ATLS_E_LIMIT},
        {"too long together", 2, ATLS_ENDORSED_BYTES_MAX / 2, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_corim_endorsed e = {
            .ect = {.environment = {.class_id = class_of_tests.class_id},
                    .measurements = many,
                    .count = rows[i].count}};
        const struct atls_endorsement item = endorsement_of("m", atls_bytes_of("key", 3), &e);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims *claims;
        struct atls_outcome o = {.endorsed_count = 7};

        print_message("%s\n", rows[i].name);
        for (size_t k = 0; k < rows[i].count; k++) {
            many[k] = endorsed_svn(k, 1);
            many[k].mval.present = ATLS_MVAL_NAME;
            many[k].mval.name = atls_bytes_of(content, rows[i].bytes);
        }
        evidence.count = 0;
        put_pcr(&evidence, 0, 0);
        claims = claims_with_arena(&evidence);
        test_assert_code(
            atls_appraise(claims, &(struct atls_known_values){NULL, 0, &item, 1}, &o, &err),
            rows[i].want, &err);
        assert_int_equal(o.endorsed_count, rows[i].want == ATLS_OK ? rows[i].count : 7);
        atls_arena_clear(&claims->arena);
    }
}

/* A maker who wants values together says so in one condition; the values of a reference record are
 * conditions of their own. */
static void values_that_belong_together_are_a_conditional_endorsement(void **state)
{
    static const struct {
        const char *name;
        unsigned int pcr_0, pcr_7; /* of the evidence; the releases are 1 with 1, 2 with 2 */
        size_t endorsed;
    } rows[] = {
        {"the first release", 1, 1, 1},
        {"the second release", 2, 2, 1},
        {"a mixture of both", 1, 2, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct list evidence, releases[2];
        struct atls_measurement released = endorsed_svn(40, 1);
        struct atls_corim_ect conditions[2],
            addition = {.environment = {.class_id = class_of_tests.class_id},
                        .measurements = &released,
                        .count = 1};
        struct atls_corim_conditional conditionals[2];
        struct atls_endorsement items[2];
        struct atls_reference references[2];
        struct atls_claims *claims;
        struct atls_outcome o;

        print_message("%s\n", rows[i].name);
        for (unsigned int k = 0; k < 2; k++) {
            releases[k].count = 0;
            put_pcr(&releases[k], 0, 1 + k);
            put_pcr(&releases[k], 7, 1 + k);
            references[k] = reference_of("releases", &releases[k]);
            conditions[k] =
                (struct atls_corim_ect){.environment = {.class_id = class_of_tests.class_id},
                                        .measurements = releases[k].items,
                                        .count = 2};
            conditionals[k] =
                (struct atls_corim_conditional){{NULL, 0}, &conditions[k], &addition, 1, 1};
            items[k] = (struct atls_endorsement){.manifest = "releases",
                                                 .kind = ATLS_TRIPLE_CONDITIONAL,
                                                 .conditional = &conditionals[k]};
        }
        evidence.count = 0;
        put_pcr(&evidence, 0, rows[i].pcr_0);
        put_pcr(&evidence, 7, rows[i].pcr_7);
        claims = claims_with_arena(&evidence);
        assert_int_equal(
            atls_appraise(claims, &(struct atls_known_values){references, 2, items, 2}, &o, NULL),
            ATLS_OK);
        assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
        assert_int_equal(o.endorsed_count, rows[i].endorsed);
        atls_arena_clear(&claims->arena);
    }
}

/* ---- technologies beside the TPM ---- */

static struct atls_mkey key_named(const char *name)
{
    return (struct atls_mkey){ATLS_MKEY_TEXT, 0, atls_bytes_of(name, strlen(name))};
}

static struct atls_claims *claims_by(struct list *evidence, const char *technology,
                                     const char *submod)
{
    struct atls_claims *claims = claims_of(evidence);

    claims->technology = technology;
    claims->submod = submod;
    claims->key_trust = ATLS_KEY_TRUST_CERTIFIED;
    return claims;
}

/* A component of software: mkey, name, digest. */
static void put_component(struct list *l, const char *name, unsigned int value)
{
    put(l, key_named("psa.software-component"), ATLS_HASH_SHA256, value);
    l->items[l->count - 1].mval.present |= ATLS_MVAL_NAME;
    l->items[l->count - 1].mval.name = atls_bytes_of(name, strlen(name));
}

static void numbers_of_snp_have_names(void **state)
{
    static const struct {
        uint64_t number;
        const char *want;
    } rows[] = {
        {641, "measurement (sha256) is 6161616161616161..., its class has no reference value"},
        {642, "host data (sha256) is "},
        {647, "reported TCB (sha256) is "},
        {3328, "chip id (sha256) is "},
        {4711, "measurement 4711 (sha256) is "},
    };
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        evidence.count = expected.count = 0;
        put_pcr(&evidence, rows[i].number, 0);
        put_pcr(&expected, 1, 0);
        r = reference_of("m", &expected);
        o = appraise(claims_by(&evidence, "snp", "SNP"), &r, 1);
        assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
        if (strncmp(o.problems[0], rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s, want %s", o.problems[0], rows[i].want);
        assert_string_equal(o.problems[1],
                            "guest SVN is not in the evidence, \"m\" has a reference value for it");
    }
}

/* What a key that is trusted says, of each technology. */
static void hardware_and_instance_by_technology(void **state)
{
    static const struct {
        const char *technology, *submod;
        enum atls_key_trust trust;
        int hardware, instance;
        enum atls_reason reason;
        const char *policy_id;
    } rows[] = {
        {"snp", "SNP", ATLS_KEY_TRUST_CERTIFIED, 2, 0, ATLS_REASON_NONE, "policy:libatls/snp/1"},
        {"snp", "SNP", ATLS_KEY_TRUST_NONE, 0, 97, ATLS_REASON_UNTRUSTED_KEY,
         "policy:libatls/snp/1"},
        {"tdx", "TDX", ATLS_KEY_TRUST_CERTIFIED, 2, 0, ATLS_REASON_NONE, "policy:libatls/tdx/1"},
        {"sgx", "SGX", ATLS_KEY_TRUST_CERTIFIED, 2, 0, ATLS_REASON_NONE, "policy:libatls/sgx/1"},
        {"psa", "PSA", ATLS_KEY_TRUST_ENROLLED, 2, 2, ATLS_REASON_NONE, "policy:libatls/psa/1"},
        {"cca", "CCA_SSD_PLATFORM", ATLS_KEY_TRUST_ENROLLED, 2, 2, ATLS_REASON_NONE,
         "policy:libatls/cca-platform/1"},
        {"cca", "CCA_REALM", ATLS_KEY_TRUST_ENROLLED, 0, 0, ATLS_REASON_NONE,
         "policy:libatls/cca-realm/1"},
        {"cca", "CCA_REALM", ATLS_KEY_TRUST_NONE, 0, 0, ATLS_REASON_NONE,
         "policy:libatls/cca-realm/1"},
        {"tpm", "TPM", ATLS_KEY_TRUST_ENROLLED, 0, 2, ATLS_REASON_NONE, "policy:libatls/tpm/2"},
        {"tpm", "TPM", ATLS_KEY_TRUST_NONE, 0, 97, ATLS_REASON_UNTRUSTED_AK,
         "policy:libatls/tpm/2"},
        {"other", "O", ATLS_KEY_TRUST_NONE, 0, 97, ATLS_REASON_UNTRUSTED_AK,
         "policy:libatls/other/2"},
    };
    static struct list evidence, expected;
    struct atls_reference r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_claims *claims;
        struct atls_outcome o;

        evidence.count = expected.count = 0;
        put(&evidence, key_named("m"), ATLS_HASH_SHA256, 0);
        put(&expected, key_named("m"), ATLS_HASH_SHA256, 0);
        r = reference_of("m", &expected);
        claims = claims_by(&evidence, rows[i].technology, rows[i].submod);
        claims->key_trust = rows[i].trust;
        o = appraise(claims, &r, 1);
        print_message("%s %d\n", rows[i].submod, rows[i].trust);
        assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, rows[i].reason);
        assert_int_equal(o.trust[ATLS_TRUST_HARDWARE], rows[i].hardware);
        assert_int_equal(o.trust[ATLS_TRUST_INSTANCE_IDENTITY], rows[i].instance);
        assert_string_equal(o.policy_id, rows[i].policy_id);
    }
}

static void weaknesses_that_a_rule_lets_pass_are_a_warning(void **state)
{
    static struct list evidence, expected;
    struct atls_claims *claims;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put(&evidence, key_named("mrtd"), ATLS_HASH_SHA256, 0);
    put(&expected, key_named("mrtd"), ATLS_HASH_SHA256, 0);
    r = reference_of("m", &expected);
    claims = claims_by(&evidence, "tdx", "TDX");
    claims->hardware_advisory = true;
    o = appraise(claims, &r, 1);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_TCB_OUT_OF_DATE);
    assert_int_equal(o.trust[ATLS_TRUST_HARDWARE], 32);
    assert_string_equal(o.problems[0], "the maker of the hardware knows weaknesses of it, and a "
                                       "rule lets them pass");
    assert_true(atls_claims_add(
        claims, (struct atls_detail){"tcb-status", ATLS_DETAIL_TEXT, 0, HEX("OutOfDate")}));
    o = appraise(claims, &r, 1);
    assert_non_null(strstr(o.problems[0], "weaknesses of it (OutOfDate), and"));
}

/* The last measurements need no reference value; where there is one it counts. */
static void optional_measurements(void **state)
{
    static const struct {
        const char *name;
        const char *named; /* reference value beside that of mrtd */
        enum atls_hash hash;
        unsigned int value;
        size_t optional;
        int executables;
    } rows[] = {
        {"no value of an optional one", NULL, ATLS_HASH_NONE, 0, 2, 3},
        {"no value of a mandatory one", NULL, ATLS_HASH_NONE, 0, 1, 33},
        {"a value that matches", "mrowner", ATLS_HASH_SHA256, 1, 2, 3},
        {"a value that does not match", "mrowner", ATLS_HASH_SHA256, 9, 2, 33},
        {"a value that cannot be compared", "mrowner", ATLS_HASH_SHA384, 1, 2, 33},
        {"a value of what is not there", "mrother", ATLS_HASH_SHA256, 1, 2, 33},
    };
    static struct list evidence, expected;
    struct atls_reference r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_claims *claims;
        struct atls_outcome o;

        print_message("%s\n", rows[i].name);
        evidence.count = expected.count = 0;
        put(&evidence, key_named("mrtd"), ATLS_HASH_SHA256, 0);
        put(&evidence, key_named("mrowner"), ATLS_HASH_SHA256, 1);
        put(&evidence, key_named("mrconfigid"), ATLS_HASH_SHA256, 2);
        put(&expected, key_named("mrtd"), ATLS_HASH_SHA256, 0);
        if (rows[i].named != NULL) {
            put(&expected, key_named(rows[i].named), rows[i].hash, rows[i].value);
            /* two hashes must not look alike */
            expected.digests[1].named_information = rows[i].hash == ATLS_HASH_SHA384 ? 7 : 1;
        }
        r = reference_of("m", &expected);
        claims = claims_by(&evidence, "tdx", "TDX");
        claims->optional_count = rows[i].optional;
        o = appraise(claims, &r, 1);
        assert_int_equal(o.trust[ATLS_TRUST_EXECUTABLES], rows[i].executables);
        assert_int_equal(o.problem_count, rows[i].executables == 3 ? 0 : 1);
    }
}

/* Registers that nothing was extended into say nothing of what ran. */
static void what_ran_after_boot_by_technology(void **state)
{
    static const uint8_t zeros[32];
    static const struct {
        const char *technology, *submod, *key;
        bool used;
        int executables;
    } rows[] = {
        {"tdx", "TDX", "rtmr3", true, 2},           {"tdx", "TDX", "rtmr3", false, 3},
        {"tdx", "TDX", "rtmr2", true, 3},           {"cca", "CCA_REALM", "cca.rem0", true, 2},
        {"cca", "CCA_REALM", "cca.rem3", true, 2},  {"cca", "CCA_REALM", "cca.rim", true, 3},
        {"cca", "CCA_REALM", "cca.rem0", false, 3}, {"psa", "PSA", "cca.rem0", true, 3},
    };
    static struct list evidence, expected;
    struct atls_reference r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_outcome o;

        evidence.count = expected.count = 0;
        put(&evidence, key_named(rows[i].key), ATLS_HASH_SHA256, 0);
        put(&expected, key_named(rows[i].key), ATLS_HASH_SHA256, 0);
        if (!rows[i].used)
            evidence.digests[0].value = expected.digests[0].value = (struct atls_bytes){zeros, 32};
        r = reference_of("m", &expected);
        o = appraise(claims_by(&evidence, rows[i].technology, rows[i].submod), &r, 1);
        assert_int_equal(o.trust[ATLS_TRUST_EXECUTABLES], rows[i].executables);
    }
}

/* Components share an mkey and are told apart by their names. */
static void every_component_is_compared_with_its_own_values(void **state)
{
    static struct list evidence, first, second;
    struct atls_reference r[2];
    struct atls_outcome o;

    (void)state;
    evidence.count = first.count = second.count = 0;
    put_component(&evidence, "BL", 0);
    put_component(&evidence, "PRoT", 1);
    put_component(&first, "BL", 7); /* an older release */
    put_component(&first, "PRoT", 1);
    put_component(&second, "BL", 0);
    r[0] = reference_of("old", &first);
    r[1] = reference_of("new", &second);
    o = appraise(claims_by(&evidence, "psa", "PSA"), r, 2);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);

    /* a value of another component does not cover it */
    o = appraise(claims_by(&evidence, "psa", "PSA"), &r[0], 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_int_equal(o.problem_count, 1);
    assert_string_equal(o.problems[0], "psa.software-component \"BL\" (sha256) is "
                                       "6161616161616161..., no reference value of \"old\" "
                                       "matches, want 6868686868686868...");

    /* a component that ought to be there is not */
    evidence.count = 1;
    o = appraise(claims_by(&evidence, "psa", "PSA"), r, 2);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    assert_int_equal(o.problem_count, 1);
    assert_string_equal(o.problems[0], "psa.software-component \"PRoT\" is not in the evidence, "
                                       "\"old\" has a reference value for it");

    /* one that nobody knows */
    put_component(&evidence, "PRoT", 1);
    put_component(&evidence, "extra", 2);
    o = appraise(claims_by(&evidence, "psa", "PSA"), r, 2);
    assert_int_equal(o.problem_count, 1);
    assert_non_null(strstr(o.problems[0], "\"extra\" (sha256) is 6363"));
}

static void slugs_by_part(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_component(&evidence, "BL", 0);
    put_component(&expected, "BL", 1);
    r = reference_of("m", &expected);
    o = appraise(claims_by(&evidence, "cca", "CCA_SSD_PLATFORM"), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_PLATFORM_MEASUREMENT);
    o = appraise(claims_by(&evidence, "cca", "CCA_REALM"), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_REALM_MEASUREMENT);
    o = appraise(claims_by(&evidence, "psa", "PSA"), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    evidence.count = 0;
    o = appraise(claims_by(&evidence, "cca", "CCA_REALM"), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_REALM_MEASUREMENT);
}

static void checks_name_the_key_only_when_there_is_one(void **state)
{
    static struct list evidence;
    struct atls_claims *claims;
    struct atls_outcome o;

    (void)state;
    evidence.count = 0;
    claims = claims_by(&evidence, "snp", "SNP");
    o = appraise(claims, NULL, 0);
    assert_string_not_equal(o.checks[0], "key-binding");
    claims->key_spki = (struct atls_bytes)HEX("key");
    o = appraise(claims, NULL, 0);
    assert_string_equal(o.checks[0], "key-binding");
}

/* Component by component also where endorsements make a set of it. */
static void tcbs_in_reference_values(void **state)
{
    static struct list evidence, expected;
    struct atls_reference r;
    struct atls_outcome o;

    (void)state;
    evidence.count = expected.count = 0;
    put_pcr(&evidence, 647, 0);
    put_pcr(&expected, 647, 0);
    evidence.items[0].mval = (struct atls_mval){.present = ATLS_MVAL_SVN, .svn = 0x0304};
    expected.items[0].mval = (struct atls_mval){.present = ATLS_MVAL_MIN_SVN, .svn = 0x0303};
    r = reference_of("m", &expected);
    o = appraise(claims_by(&evidence, "snp", "SNP"), &r, 1);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
    evidence.items[0].mval.svn = 0x0402;
    o = appraise(claims_by(&evidence, "snp", "SNP"), &r, 1);
    assert_outcome(&o, 33, ATLS_TIER_WARNING, ATLS_REASON_MEASUREMENT);
    o = appraise(claims_by(&evidence, "other", "O"), &r, 1);
    assert_outcome(&o, 3, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pcr_covered_is_affirming),
        cmocka_unit_test(the_kernels_measurements_cover_what_runs_after_boot),
        cmocka_unit_test(values_may_come_from_several_manifests),
        cmocka_unit_test(a_changed_pcr_is_named),
        cmocka_unit_test(a_pcr_without_reference_value_is_named),
        cmocka_unit_test(a_pcr_that_was_left_out_of_the_quote_is_named),
        cmocka_unit_test(both_banks_must_be_covered),
        cmocka_unit_test(the_bank_that_differs_is_named),
        cmocka_unit_test(without_reference_values_nothing_is_affirming),
        cmocka_unit_test(trust_in_the_key_decides_identity_and_hardware),
        cmocka_unit_test(keys_of_every_kind_are_named),
        cmocka_unit_test(values_of_every_kind_are_shown),
        cmocka_unit_test(digests_of_every_bank_are_named),
        cmocka_unit_test(endorsed_claims_are_kept_and_change_no_judgement),
        cmocka_unit_test(endorsed_values_outlive_their_manifest),
        cmocka_unit_test(dropped_endorsements_are_reported),
        cmocka_unit_test(a_result_shows_all_endorsed_claims_or_is_none),
        cmocka_unit_test(values_that_belong_together_are_a_conditional_endorsement),
        cmocka_unit_test(numbers_of_snp_have_names),
        cmocka_unit_test(hardware_and_instance_by_technology),
        cmocka_unit_test(weaknesses_that_a_rule_lets_pass_are_a_warning),
        cmocka_unit_test(optional_measurements),
        cmocka_unit_test(what_ran_after_boot_by_technology),
        cmocka_unit_test(every_component_is_compared_with_its_own_values),
        cmocka_unit_test(slugs_by_part),
        cmocka_unit_test(checks_name_the_key_only_when_there_is_one),
        cmocka_unit_test(tcbs_in_reference_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
