#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "verifier/result.h"

static const uint8_t binder[65] = {1, 2, 3};
static const char *const checks[] = {"signature", "nonce", NULL};

/* Claims of a TPM with one PCR, built by hand. */
static void make_claims(struct atls_claims *claims)
{
    struct atls_measurement *m;
    struct atls_digest *d;

    memset(claims, 0, sizeof *claims);
    claims->arena = atls_arena_init(4096);
    claims->technology = "tpm";
    claims->submod = "TPM";
    claims->key_trust = ATLS_KEY_TRUST_ENROLLED;
    assert_true(atls_arena_copy(&claims->arena, atls_bytes_of("spki", 4), &claims->key_spki));
    assert_true(atls_arena_copy(&claims->arena, atls_bytes_of("\x01\x02", 2), &claims->instance));
    assert_non_null(m = atls_arena_alloc(&claims->arena, 3, sizeof *m));
    assert_non_null(d = atls_arena_alloc(&claims->arena, 2, sizeof *d));
    d[0] = (struct atls_digest){ATLS_HASH_SHA256, 1, atls_bytes_of("\xaa\xbb", 2)};
    d[1] = (struct atls_digest){ATLS_HASH_NONE, 12, atls_bytes_of("\xcc", 1)};
    m[0].mkey.kind = ATLS_MKEY_UINT;
    m[0].mkey.number = 7;
    m[0].mval = (struct atls_mval){.present = ATLS_MVAL_DIGESTS, .digests = d, .digest_count = 2};
    m[1].mkey = (struct atls_mkey){ATLS_MKEY_TEXT, 0, atls_bytes_of("app", 3)};
    m[1].mval = (struct atls_mval){
        .present = ATLS_MVAL_VERSION | ATLS_MVAL_SVN | ATLS_MVAL_NAME | ATLS_MVAL_RAW,
        .version = atls_bytes_of("1.0", 3),
        .svn = 4,
        .name = atls_bytes_of("n", 1),
        .raw = atls_bytes_of("\x10", 1),
    };
    m[2].mkey = (struct atls_mkey){ATLS_MKEY_UUID, 0, atls_bytes_of("\x0f", 1)};
    claims->measurements = m;
    claims->measurement_count = 3;
    claims->environment.vendor = atls_bytes_of("ACME", 4);
    claims->environment.model = atls_bytes_of("R2", 2);
    claims->details[0] = (struct atls_detail){"reset-count", ATLS_DETAIL_UINT, 5, {NULL, 0}};
    claims->details[1] = (struct atls_detail){"safe", ATLS_DETAIL_BOOL, 1, {NULL, 0}};
    claims->details[2] = (struct atls_detail){"log", ATLS_DETAIL_BYTES, 0, {NULL, 0}};
    claims->details[3] = (struct atls_detail){"who", ATLS_DETAIL_TEXT, 0, atls_bytes_of("a\"", 2)};
    claims->details[4] = (struct atls_detail){"bank", ATLS_DETAIL_TEXT, 0, atls_bytes_of("a", 1)};
    claims->details[5] = (struct atls_detail){"other", ATLS_DETAIL_UINT, 1, {NULL, 0}};
    claims->details[6] = (struct atls_detail){"bank", ATLS_DETAIL_TEXT, 0, atls_bytes_of("b", 1)};
    claims->detail_count = 7;
}

static struct atls_outcome good_outcome(void)
{
    struct atls_outcome o;

    memset(&o, 0, sizeof o);
    o.status = ATLS_TIER_AFFIRMING;
    o.policy_id = "policy:test";
    o.checks = checks;
    o.trust[ATLS_TRUST_EXECUTABLES] = 2;
    o.trust[ATLS_TRUST_HARDWARE] = 2;
    return o;
}

static struct atls_result *make(const struct atls_outcome *o, size_t binder_len)
{
    static struct atls_claims claims;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    make_claims(&claims);
    test_assert_code(
        atls_result_new(&claims, o, atls_bytes_of(binder, binder_len), 1700000000, &r, &err),
        ATLS_OK, &err);
    assert_null(claims.arena.blocks);
    return r;
}

static void tiers_of_values(void **state)
{
    /* draft-ietf-rats-ar4si section 2.3.2: the edges of every range. */
    static const struct {
        int value;
        enum atls_tier want;
        const char *name;
    } rows[] = {
        {0, ATLS_TIER_NONE, "none"},
        {1, ATLS_TIER_NONE, "none"},
        {-1, ATLS_TIER_NONE, "none"},
        {2, ATLS_TIER_AFFIRMING, "affirming"},
        {31, ATLS_TIER_AFFIRMING, "affirming"},
        {-2, ATLS_TIER_AFFIRMING, "affirming"},
        {-32, ATLS_TIER_AFFIRMING, "affirming"},
        {32, ATLS_TIER_WARNING, "warning"},
        {95, ATLS_TIER_WARNING, "warning"},
        {-33, ATLS_TIER_WARNING, "warning"},
        {-96, ATLS_TIER_WARNING, "warning"},
        {96, ATLS_TIER_CONTRAINDICATED, "contraindicated"},
        {127, ATLS_TIER_CONTRAINDICATED, "contraindicated"},
        {-97, ATLS_TIER_CONTRAINDICATED, "contraindicated"},
        {-128, ATLS_TIER_CONTRAINDICATED, "contraindicated"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(atls_tier_of(rows[i].value), rows[i].want);
        assert_string_equal(atls_tier_name(atls_tier_of(rows[i].value)), rows[i].name);
    }
    assert_string_equal(atls_tier_name((enum atls_tier)33), "none");
    assert_string_equal(atls_trust_claim_name(ATLS_TRUST_SOURCED_DATA), "sourced-data");
    assert_string_equal(atls_trust_claim_name(ATLS_TRUST_CLAIMS), "unknown");
}

static void status_is_never_better_than_the_vector(void **state)
{
    static const struct {
        const char *name;
        enum atls_tier given;
        int8_t hardware;
        enum atls_tier want;
    } rows[] = {
        {"affirming throughout", ATLS_TIER_AFFIRMING, 2, ATLS_TIER_AFFIRMING},
        {"a claim that says nothing does not count", ATLS_TIER_AFFIRMING, 0, ATLS_TIER_AFFIRMING},
        {"a warning claim warns", ATLS_TIER_AFFIRMING, 32, ATLS_TIER_WARNING},
        {"a private warning warns", ATLS_TIER_AFFIRMING, -33, ATLS_TIER_WARNING},
        {"a bad claim contraindicates", ATLS_TIER_AFFIRMING, 96, ATLS_TIER_CONTRAINDICATED},
        {"a given status may be worse", ATLS_TIER_CONTRAINDICATED, 2, ATLS_TIER_CONTRAINDICATED},
        {"no statement stays none", ATLS_TIER_NONE, 2, ATLS_TIER_NONE},
        {"no statement does not hide a bad claim", ATLS_TIER_NONE, 97, ATLS_TIER_CONTRAINDICATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_outcome o = good_outcome();
        struct atls_result *r;

        print_message("%s\n", rows[i].name);
        o.status = rows[i].given;
        o.trust[ATLS_TRUST_HARDWARE] = rows[i].hardware;
        r = make(&o, 32);
        assert_int_equal(atls_result_status(r), rows[i].want);
        assert_int_equal(atls_result_submod_status(r, 0), rows[i].want);
        assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_HARDWARE), rows[i].hardware);
        atls_result_unref(r);
    }
}

static void getters_answer_from_the_claims(void **state)
{
    struct atls_outcome o = good_outcome();
    struct atls_result *r = make(&o, 48);

    (void)state;
    assert_int_equal(atls_result_submods(r), 1);
    assert_string_equal(atls_result_submod_name(r, 0), "TPM");
    assert_string_equal(atls_result_submod_name(r, 1), "");
    assert_int_equal(atls_result_submod_status(r, 1), ATLS_TIER_NONE);
    assert_int_equal(atls_result_submod_trust(r, 1, ATLS_TRUST_HARDWARE), 0);
    assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_CLAIMS), 0);
    assert_string_equal(atls_result_evidence_type(r), "tpm");
    assert_false(atls_result_insecure(r));
    assert_int_equal(atls_result_issued_at(r), 1700000000);
    test_assert_bytes(atls_result_key(r), atls_bytes_of("spki", 4));
    test_assert_bytes(atls_result_instance(r), atls_bytes_of("\x01\x02", 2));
    test_assert_bytes(atls_result_nonce(r), atls_bytes_of(binder, 48));
    assert_string_equal(atls_result_explanation(r), "");
    assert_int_equal(atls_result_reason(r), ATLS_REASON_NONE);
    assert_ptr_equal(atls_result_ref(r), r);
    atls_result_unref(r);
    atls_result_unref(r);
    atls_result_unref(NULL);
}

static void problems_are_explained(void **state)
{
    struct atls_outcome o = good_outcome();
    struct atls_result *r;
    char longest[400];

    (void)state;
    o.trust[ATLS_TRUST_EXECUTABLES] = 33;
    atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "PCR %d is wrong", 7);
    r = make(&o, 32);
    assert_string_equal(atls_result_explanation(r), "PCR 7 is wrong");
    assert_int_equal(atls_result_reason(r), ATLS_REASON_MEASUREMENT);
    atls_result_unref(r);

    atls_outcome_problem(&o, ATLS_REASON_NO_REFERENCE_VALUES, "PCR 8 is unknown");
    r = make(&o, 32);
    assert_string_equal(atls_result_explanation(r), "PCR 7 is wrong; PCR 8 is unknown");
    assert_int_equal(atls_result_reason(r), ATLS_REASON_MEASUREMENT);
    atls_result_unref(r);

    /* More problems than are kept, each longer than is kept: counted, and nothing is cut in half.
     */
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    for (int i = 0; i < 20; i++)
        atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "%s", longest);
    assert_int_equal(o.problem_count, 22);
    r = make(&o, 32);
    assert_non_null(strstr(atls_result_explanation(r), "; and 18 more"));
    assert_true(strlen(atls_result_explanation(r)) < ATLS_EXPLANATION_LEN);
    atls_result_unref(r);
}

static void incomplete_results_are_refused(void **state)
{
    enum { SHORT_BINDER, LONG_BINDER, NO_BINDER, NO_SUBMOD, NO_TECHNOLOGY, NO_POLICY };
    static const struct {
        const char *name;
        int fault;
        enum atls_reason want;
    } rows[] = {
        {"nonce of 7 bytes", SHORT_BINDER, ATLS_REASON_BINDER_MISSING},
        {"nonce of 65 bytes", LONG_BINDER, ATLS_REASON_BINDER_MISSING},
        {"no nonce", NO_BINDER, ATLS_REASON_BINDER_MISSING},
        {"no submodule", NO_SUBMOD, ATLS_REASON_NONE},
        {"no technology", NO_TECHNOLOGY, ATLS_REASON_NONE},
        {"no policy id", NO_POLICY, ATLS_REASON_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_outcome o = good_outcome();
        struct atls_bytes b = atls_bytes_of(binder, 32);
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        static struct atls_claims claims;

        print_message("%s\n", rows[i].name);
        make_claims(&claims);
        b.len = rows[i].fault == SHORT_BINDER ? 7 : rows[i].fault == LONG_BINDER ? 65 : b.len;
        if (rows[i].fault == NO_BINDER)
            b = atls_bytes_of(NULL, 0);
        if (rows[i].fault == NO_SUBMOD)
            claims.submod = NULL;
        if (rows[i].fault == NO_TECHNOLOGY)
            claims.technology = NULL;
        if (rows[i].fault == NO_POLICY)
            o.policy_id = NULL;
        test_assert_code(atls_result_new(&claims, &o, b, 0, &r, &err), ATLS_E_USAGE, &err);
        assert_int_equal(err.reason, rows[i].want);
        assert_null(r);
        assert_non_null(claims.arena.blocks); /* still the caller's */
        atls_claims_clear(&claims);
    }
}

/* A machine and a part of it, which names the key. */
static void make_two(struct atls_claims *claims)
{
    struct atls_claims *inner = calloc(1, sizeof *inner);

    assert_non_null(inner);
    make_claims(inner);
    make_claims(claims);
    claims->technology = inner->technology = "cca";
    claims->submod = "CCA_SSD_PLATFORM";
    inner->submod = "CCA_REALM";
    claims->key_spki.len = 0;
    inner->instance.len = 0;
    claims->next = inner;
}

static struct atls_result *make_two_of(const struct atls_outcome outcomes[2])
{
    static struct atls_claims claims;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    make_two(&claims);
    test_assert_code(
        atls_result_new(&claims, outcomes, atls_bytes_of(binder, 32), 1700000000, &r, &err),
        ATLS_OK, &err);
    assert_null(claims.next);
    return r;
}

static void the_whole_is_as_bad_as_its_worst_part(void **state)
{
    struct atls_outcome o[2] = {good_outcome(), good_outcome()};
    struct atls_result *r = make_two_of(o);

    (void)state;
    assert_int_equal(atls_result_status(r), ATLS_TIER_AFFIRMING);
    assert_int_equal(atls_result_submods(r), 2);
    assert_string_equal(atls_result_submod_name(r, 0), "CCA_SSD_PLATFORM");
    assert_string_equal(atls_result_submod_name(r, 1), "CCA_REALM");
    assert_string_equal(atls_result_submod_name(r, 2), "");
    assert_int_equal(atls_result_submod_status(r, 2), ATLS_TIER_NONE);
    assert_string_equal(atls_result_evidence_type(r), "cca");
    test_assert_bytes(atls_result_key(r), atls_bytes_of("spki", 4));
    test_assert_bytes(atls_result_instance(r), atls_bytes_of("\x01\x02", 2));
    assert_non_null(strstr(atls_result_json(r), "\"CCA_SSD_PLATFORM\":{"));
    assert_non_null(strstr(atls_result_json(r), "\"CCA_REALM\":{"));
    atls_result_unref(r);

    atls_outcome_problem(&o[1], ATLS_REASON_REALM_MEASUREMENT, "of the realm");
    o[1].trust[ATLS_TRUST_EXECUTABLES] = 33;
    r = make_two_of(o);
    assert_int_equal(atls_result_status(r), ATLS_TIER_WARNING);
    assert_int_equal(atls_result_submod_status(r, 0), ATLS_TIER_AFFIRMING);
    assert_int_equal(atls_result_submod_status(r, 1), ATLS_TIER_WARNING);
    assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_EXECUTABLES), 2);
    assert_int_equal(atls_result_submod_trust(r, 1, ATLS_TRUST_EXECUTABLES), 33);
    assert_int_equal(atls_result_reason(r), ATLS_REASON_REALM_MEASUREMENT);
    assert_string_equal(atls_result_explanation(r), "CCA_REALM: of the realm");
    atls_result_unref(r);

    atls_outcome_problem(&o[0], ATLS_REASON_PLATFORM_MEASUREMENT, "of the platform");
    o[0].trust[ATLS_TRUST_HARDWARE] = 96;
    r = make_two_of(o);
    assert_int_equal(atls_result_status(r), ATLS_TIER_CONTRAINDICATED);
    assert_int_equal(atls_result_submod_status(r, 1), ATLS_TIER_WARNING);
    assert_int_equal(atls_result_reason(r), ATLS_REASON_PLATFORM_MEASUREMENT);
    assert_string_equal(atls_result_explanation(r),
                        "CCA_SSD_PLATFORM: of the platform; CCA_REALM: of the realm");
    atls_result_unref(r);
}

static void problems_of_all_parts_are_counted(void **state)
{
    struct atls_outcome o[2] = {good_outcome(), good_outcome()};
    struct atls_result *r;

    (void)state;
    o[0].status = o[1].status = ATLS_TIER_WARNING;
    for (int i = 0; i < 5; i++)
        atls_outcome_problem(&o[0], ATLS_REASON_MEASUREMENT, "p%d", i);
    atls_outcome_problem(&o[1], ATLS_REASON_MEASUREMENT, "q");
    r = make_two_of(o);
    /* What is not named of the first part ends the list: problems stand in their order. */
    assert_string_equal(atls_result_explanation(r),
                        "CCA_SSD_PLATFORM: p0; CCA_SSD_PLATFORM: p1; CCA_SSD_PLATFORM: p2; "
                        "CCA_SSD_PLATFORM: p3; and 2 more");
    atls_result_unref(r);
}

static void an_insecure_part_makes_the_whole_insecure(void **state)
{
    const struct atls_outcome o[2] = {good_outcome(), good_outcome()};
    static struct atls_claims claims;
    struct atls_result *r = NULL;

    (void)state;
    make_two(&claims);
    claims.next->insecure = true;
    assert_int_equal(atls_result_new(&claims, o, atls_bytes_of(binder, 32), 0, &r, NULL), ATLS_OK);
    assert_true(atls_result_insecure(r));
    atls_result_unref(r);
}

static void parts_must_agree(void **state)
{
    enum { SAME_NAME, TWO_KEYS, NO_NAME, NO_POLICY, TOO_MANY };
    static const struct {
        const char *name;
        int fault;
    } rows[] = {
        {"two parts of one name", SAME_NAME},       {"two attested keys", TWO_KEYS},
        {"a part without name", NO_NAME},           {"a part without policy id", NO_POLICY},
        {"more parts than a result has", TOO_MANY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_outcome o[5] = {good_outcome(), good_outcome(), good_outcome(), good_outcome(),
                                    good_outcome()};
        static const char *const names[] = {"a", "b", "c"};
        static struct atls_claims claims;
        struct atls_claims *last;
        struct atls_result *r = NULL;

        print_message("%s\n", rows[i].name);
        make_two(&claims);
        last = claims.next;
        if (rows[i].fault == SAME_NAME)
            last->submod = claims.submod;
        if (rows[i].fault == TWO_KEYS)
            claims.key_spki = atls_bytes_of("spkj", 4);
        if (rows[i].fault == NO_NAME)
            last->submod = NULL;
        if (rows[i].fault == NO_POLICY)
            o[1].policy_id = NULL;
        for (size_t k = 0; rows[i].fault == TOO_MANY && k < 3; k++) {
            last->next = calloc(1, sizeof *last);
            assert_non_null(last = last->next);
            make_claims(last);
            last->submod = names[k];
        }
        assert_int_equal(atls_result_new(&claims, o, atls_bytes_of(binder, 32), 0, &r, NULL),
                         ATLS_E_USAGE);
        assert_null(r);
        atls_claims_clear(&claims);
    }
}

static void a_policy_lowers_every_part(void **state)
{
    const struct atls_outcome o[2] = {good_outcome(), good_outcome()};
    struct atls_result *r = make_two_of(o);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_result_set_nonce_given(r);
    test_assert_code(
        atls_result_lower(r, ATLS_TIER_CONTRAINDICATED, ATLS_REASON_POLICY, "no", &err), ATLS_OK,
        &err);
    assert_int_equal(atls_result_submod_status(r, 0), ATLS_TIER_CONTRAINDICATED);
    assert_int_equal(atls_result_submod_status(r, 1), ATLS_TIER_CONTRAINDICATED);
    assert_int_equal(atls_result_reason(r), ATLS_REASON_POLICY);
    assert_true(atls_result_is_genuine(r));
    assert_non_null(strstr(strstr(atls_result_json(r), "nonce-given") + 1, "nonce-given"));
    atls_result_unref(r);
}

/* Evidence that answers a nonce and names no key: a result, and one that names none. */
static void a_result_may_attest_no_key(void **state)
{
    const struct atls_outcome o = good_outcome();
    static struct atls_claims claims;
    struct atls_result *r = NULL;

    (void)state;
    make_claims(&claims);
    claims.key_spki = atls_bytes_of(NULL, 0);
    claims.instance = atls_bytes_of(NULL, 0);
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(binder, 32), 0, &r, NULL), ATLS_OK);
    assert_int_equal(atls_result_key(r).len, 0);
    assert_int_equal(atls_result_instance(r).len, 0);
    assert_true(atls_result_is_genuine(r));
    assert_null(strstr(atls_result_json(r), "akpub"));
    assert_null(strstr(atls_result_json(r), "\"instance\""));
    atls_result_unref(r);
}

static void json_is_the_claims_set(void **state)
{
    static const char want[] =
        "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",\"iat\":1700000000,"
        "\"eat_nonce\":\"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        "\"ear_verifier_id\":{\"developer\":\"libatls\",\"build\":\"libatls ";
    static const char rest[] =
        "\"},\"ear_status\":\"warning\",\"submods\":{\"TPM\":{\"ear_status\":\"warning\","
        "\"ear_trustworthiness_vector\":{\"instance-identity\":0,\"configuration\":0,"
        "\"executables\":33,\"file-system\":0,\"hardware\":2,\"runtime-opaque\":0,"
        "\"storage-opaque\":0,\"sourced-data\":0},\"ear_appraisal_policy_ids\":[\"policy:test\"],"
        "\"ear_attester_claims\":{\"technology\":\"tpm\",\"instance\":\"0102\",\"vendor\":\"ACME\","
        "\"model\":\"R2\",\"measurements\":[{\"key\":7,\"digests\":{\"sha256\":\"aabb\","
        "\"12\":\"cc\"}},{\"key\":\"app\",\"version\":\"1.0\",\"svn\":4,\"name\":\"n\","
        "\"raw-value\":\"10\"},{\"key\":\"0f\"}],\"details\":{\"reset-count\":5,\"safe\":true,"
        "\"log\":\"\",\"who\":\"a\\\"\",\"bank\":[\"a\",\"b\"],\"other\":1}},\"ear_verifier_"
        "claims\":{\"key-trust\":\"enrolled\","
        "\"insecure\":false,\"checks\":[\"signature\",\"nonce\"],\"manifests\":[\"rack-7\"],"
        "\"endorsements\":[],"
        "\"reason\":\"measurement\",\"problems\":[\"PCR 7 is wrong\"]},"
        "\"ear_veraison_key_attestation\":{\"akpub\":\"c3BraQ\"}}}}";
    struct atls_outcome o = good_outcome();
    struct atls_result *r;
    const char *text;

    (void)state;
    o.trust[ATLS_TRUST_EXECUTABLES] = 33;
    o.manifest_count = 1;
    snprintf(o.manifests[0], sizeof o.manifests[0], "rack-7");
    atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "PCR 7 is wrong");
    r = make(&o, 32);
    text = atls_result_json(r);
    assert_non_null(text);
    assert_memory_equal(text, want, sizeof want - 1);
    assert_non_null(strstr(text, rest));
    assert_ptr_equal(atls_result_json(r), text); /* made once */
    atls_result_unref(r);
}

static void endorsements_are_shown(void **state)
{
    static struct atls_digest digest[] = {{ATLS_HASH_SHA256, 1, HEX("\xaa")}};
    static struct atls_corim_key keys[] = {{ATLS_TAG_PKIX_KEY, HEX("PEM")},
                                           {ATLS_TAG_BYTES, HEX("\x05")}};
    static struct atls_integrity_register registers[] = {{{NULL, 0}, 2, digest, 1},
                                                         {HEX("rtmr"), 0, digest, 1}};
    static struct atls_mval_extension extensions[] = {{-83, HEX("\x01")}};
    static const struct atls_endorsed_claim claims[] = {
        {.manifest = "maker",
         .authority = HEX("\x0a\x0b"),
         .environment = {.class_id = HEX("\xd8\x6f\x41\x2a"),
                         .vendor = HEX("ACME"),
                         .model = HEX("R2"),
                         .has_layer = true,
                         .layer = 1,
                         .has_index = true,
                         .index = 2,
                         .instance = HEX("\x01"),
                         .group = HEX("\x02")},
         .measurement = {.mkey = {ATLS_MKEY_UINT, 7, {NULL, 0}},
                         .mval = {.present = ATLS_MVAL_MIN_SVN | ATLS_MVAL_FLAGS | ATLS_MVAL_RAW |
                                             ATLS_MVAL_MAC | ATLS_MVAL_IP | ATLS_MVAL_SERIAL |
                                             ATLS_MVAL_UEID | ATLS_MVAL_UUID | ATLS_MVAL_KEYS |
                                             ATLS_MVAL_REGISTERS | ATLS_MVAL_INT_RANGE |
                                             ATLS_MVAL_EXTENSIONS,
                                  .svn = 3,
                                  .flags_known = 0x401,
                                  .flags = 0x001,
                                  .raw = HEX("\x10"),
                                  .mask = HEX("\xf0"),
                                  .mac = HEX("\x11"),
                                  .ip = HEX("\x12"),
                                  .serial = HEX("s"),
                                  .ueid = HEX("\x13"),
                                  .uuid = HEX("\x14"),
                                  .keys = keys,
                                  .key_count = 2,
                                  .registers = registers,
                                  .register_count = 2,
                                  .range = {.is_range = true, .has_least = true, .least = -1},
                                  .extensions = extensions,
                                  .extension_count = 1}}},
        {.manifest = "unsigned",
         .environment = {.class_id = HEX("\x01")},
         .measurement = {.mval = {.present = ATLS_MVAL_INT_RANGE,
                                  .range = {.least = 5, .most = 5}}}},
        {.manifest = "third",
         .environment = {.class_id = HEX("\x01")},
         .measurement = {.mval = {.present = ATLS_MVAL_INT_RANGE,
                                  .range = {.is_range = true, .has_most = true, .most = 9}}}},
    };
    static const struct atls_endorsement_conflict conflict = {"other",
                                                              {ATLS_MKEY_TEXT, 0, HEX("app")}};
    static const char want[] =
        "\"endorsements\":[{\"manifest\":\"maker\",\"authority\":\"0a0b\",\"environment\":{"
        "\"class\":\"d86f412a\",\"vendor\":\"ACME\",\"model\":\"R2\",\"layer\":1,\"index\":2,"
        "\"instance\":\"01\",\"group\":\"02\"},\"key\":7,\"value\":{\"min-svn\":3,"
        "\"flags\":{\"configured\":true,\"runtime-updatable\":false},\"raw-value\":\"10\","
        "\"raw-value-mask\":\"f0\",\"mac-address\":\"11\",\"ip-address\":\"12\","
        "\"serial-number\":\"s\",\"ueid\":\"13\",\"uuid\":\"14\",\"cryptokeys\":[{\"tag\":554,"
        "\"text\":\"PEM\"},{\"tag\":560,\"content\":\"05\"}],\"integrity-registers\":[{\"id\":2,"
        "\"digests\":{\"sha256\":\"aa\"}},{\"id\":\"rtmr\",\"digests\":{\"sha256\":\"aa\"}}],"
        "\"int-range\":{\"min\":-1},\"extensions\":[{\"key\":-83,\"item\":\"01\"}]}},"
        "{\"manifest\":\"unsigned\",\"environment\":{\"class\":\"01\"},\"value\":{"
        "\"int-range\":5}},{\"manifest\":\"third\",\"environment\":{\"class\":\"01\"},"
        "\"value\":{\"int-range\":{\"max\":9}}}],\"conflict-count\":6,\"conflicts\":[{"
        "\"manifest\":\"other\",\"key\":\"app\"}],\"problems\":[]";
    struct atls_outcome o = good_outcome();
    struct atls_result *r;
    const char *text;

    (void)state;
    o.endorsed = claims;
    o.endorsed_count = sizeof claims / sizeof claims[0];
    o.conflicts = &conflict;
    o.conflicts_named = 1;
    o.conflict_count = 6;
    r = make(&o, 32);
    assert_non_null(text = atls_result_json(r));
    assert_non_null(strstr(text, want));
    atls_result_unref(r);
}

/* draft-ietf-rats-ar4si section 2.3.2: 99 throughout, and nothing that could be taken for a key. */
static void refused_evidence_is_contraindicated(void **state)
{
    struct atls_refusal refusal = {
        .technology = "tpm",
        .submod = "TPM",
        .policy_id = "policy:test",
        .reason = ATLS_REASON_UNTRUSTED_AK,
        .problem = "nobody knows the key",
    };
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t len = 7; len <= 65; len++) {
        enum atls_code want = len == 7 || len == 65 ? ATLS_E_USAGE : ATLS_OK;

        r = NULL;
        test_assert_code(
            atls_result_contraindicated(&refusal, atls_bytes_of(binder, len), 5, &r, &err), want,
            &err);
        if (want == ATLS_OK)
            test_assert_bytes(atls_result_nonce(r), atls_bytes_of(binder, len));
        atls_result_unref(r);
    }
    assert_int_equal(atls_result_contraindicated(&refusal, atls_bytes_of(binder, 32), 5, &r, NULL),
                     ATLS_OK);
    assert_int_equal(atls_result_status(r), ATLS_TIER_CONTRAINDICATED);
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++)
        assert_int_equal(atls_result_submod_trust(r, 0, (enum atls_trust_claim)i), 99);
    assert_string_equal(atls_result_submod_name(r, 0), "TPM");
    assert_string_equal(atls_result_evidence_type(r), "tpm");
    assert_int_equal(atls_result_key(r).len, 0);
    assert_int_equal(atls_result_instance(r).len, 0);
    assert_int_equal(atls_result_reason(r), ATLS_REASON_UNTRUSTED_AK);
    assert_string_equal(atls_result_explanation(r), "nobody knows the key");
    assert_int_equal(atls_result_issued_at(r), 5);
    assert_int_equal(atls_result_expires_at(r), 0);
    assert_false(atls_result_is_received(r));
    assert_memory_equal(atls_result_verifier(r), "libatls ", 8);
    assert_null(strstr(atls_result_verifier(r) + 1, "libatls"));
    assert_non_null(strstr(atls_result_json(r), "\"problems\":[\"nobody knows the key\"]"));
    assert_null(strstr(atls_result_json(r), "akpub"));
    atls_result_unref(r);
    refusal.submod = NULL;
    r = NULL;
    test_assert_code(atls_result_contraindicated(&refusal, atls_bytes_of(binder, 32), 5, &r, &err),
                     ATLS_E_USAGE, &err);
    assert_null(r);
}

static void *ask(void *arg)
{
    return (void *)(uintptr_t)atls_result_json(arg);
}

static void json_may_be_asked_by_many_threads(void **state)
{
    struct atls_outcome o = good_outcome();
    struct atls_result *r = make(&o, 32);
    pthread_t threads[8];
    void *texts[8];

    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, r), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_join(threads[i], &texts[i]), 0);
    for (size_t i = 0; i < 8; i++)
        assert_ptr_equal(texts[i], texts[0]);
    atls_result_unref(r);
}

static void json_over_its_limit_is_none(void **state)
{
    struct atls_outcome o = good_outcome();
    static struct atls_claims claims;
    struct atls_result *r = NULL;
    uint8_t *big = calloc(1, ATLS_RESULT_JSON_MAX);

    (void)state;
    assert_non_null(big);
    make_claims(&claims);
    claims.details[2].bytes = atls_bytes_of(big, ATLS_RESULT_JSON_MAX);
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(binder, 32), 0, &r, NULL), ATLS_OK);
    assert_null(atls_result_json(r));
    atls_result_unref(r);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_of_values),
        cmocka_unit_test(status_is_never_better_than_the_vector),
        cmocka_unit_test(getters_answer_from_the_claims),
        cmocka_unit_test(problems_are_explained),
        cmocka_unit_test(incomplete_results_are_refused),
        cmocka_unit_test(the_whole_is_as_bad_as_its_worst_part),
        cmocka_unit_test(problems_of_all_parts_are_counted),
        cmocka_unit_test(an_insecure_part_makes_the_whole_insecure),
        cmocka_unit_test(parts_must_agree),
        cmocka_unit_test(a_policy_lowers_every_part),
        cmocka_unit_test(a_result_may_attest_no_key),
        cmocka_unit_test(json_is_the_claims_set),
        cmocka_unit_test(endorsements_are_shown),
        cmocka_unit_test(refused_evidence_is_contraindicated),
        cmocka_unit_test(json_may_be_asked_by_many_threads),
        cmocka_unit_test(json_over_its_limit_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
