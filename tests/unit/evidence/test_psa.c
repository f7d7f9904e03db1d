/* PSA evidence: honest tokens of three profiles give claims, and of each check there is a token for
 * which that check alone fails. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "arm_world.h"
#include "failing_alloc.h"

#include "core/err.h"
#include "evidence/psa.h"
#include "simulator/arm.h"

#define TYPE_2_0_0        "application/eat+cwt; eat_profile=\"http://arm.com/psa/2.0.0\""
#define TYPE_OLD_2_0_0    "application/eat-cwt; profile=\"http://arm.com/psa/2.0.0\""
#define TYPE_LEGACY       "application/eat+cwt; eat_profile=\"tag:psacertified.org,2019:psa#legacy\""
#define TYPE_UNREGISTERED "application/psa-attestation-token"
#define COUNT(a)          (sizeof(a) / sizeof((a)[0]))

struct fixture {
    struct test_arm_world *world;
    struct atls_sim_psa psa;
    struct atls_sim_claim changes[4];
    enum test_arm_form form;
    enum atls_evidence_scope scope;
    const char *type;
    bool not_enrolled;
    struct atls_bytes attested;
    unsigned int profiles; /* 0: all */
    struct test_arm_challenge answer;
    struct atls_buf made;
    uint8_t bytes[128];
    void (*last)(struct fixture *f); /* after the challenge is known */
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(f);
    f->world = test_arm_world_new();
    f->world->technology = "psa";
    test_assert_code(atls_sim_psa_init(&f->psa, f->world->p256, &err), ATLS_OK, &err);
    f->psa.changes = f->changes;
    f->type = TEST_ARM_PSA_TYPE;
    f->attested = test_arm_spki(f->world->aik);
    return f;
}

static void fixture_free(struct fixture *f)
{
    atls_buf_clear(&f->made);
    atls_buf_clear(&f->answer.member);
    test_arm_world_free(f->world);
    free(f);
}

static struct atls_buf make_evidence(struct fixture *f)
{
    const bool no_key = f->scope == ATLS_EVIDENCE_KEY_UNKNOWN && f->form == TEST_ARM_BARE;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf token = ATLS_BUF_INIT, evidence;

    f->answer =
        test_arm_challenge(f->world, f->form, no_key ? atls_bytes_of(NULL, 0) : f->attested);
    f->psa.nonce = atls_bytes_of(f->answer.challenge, f->answer.len);
    if (f->last != NULL)
        f->last(f);
    test_assert_code(atls_sim_psa_token(&f->psa, &token, &err), ATLS_OK, &err);
    evidence = test_arm_evidence(&f->answer, f->type, atls_buf_bytes(&token));
    atls_buf_clear(&token);
    return evidence;
}

static void enrol(struct fixture *f)
{
    if (!f->not_enrolled && f->world->entry_count == 0)
        test_arm_enrol(f->world, f->psa.implementation_id, f->psa.instance_id,
                       test_arm_spki(f->psa.envelope.key));
}

static enum atls_code judge(struct fixture *f, struct atls_claims *claims, struct atls_err *err)
{
    struct atls_buf evidence = make_evidence(f);
    struct atls_evidence_request request =
        test_arm_request(f->world, f->scope, atls_buf_bytes(&evidence));
    enum atls_code code;

    enrol(f);
    if (f->profiles != 0)
        request.profiles = f->profiles;
    code = atls_evidence_verify(&request, claims, err);
    atls_buf_clear(&evidence);
    return code;
}

/* ---- changes ---- */

static void change(struct fixture *f, int64_t key, const char *hex)
{
    f->made = test_unhex(hex);
    f->changes[0].key = key;
    f->changes[0].item = atls_buf_bytes(&f->made);
}

#define A32 "1111111111111111111111111111111111111111111111111111111111111111"
#define H32 "5820" A32

#define CLAIM(name, key, hex)                                                                      \
    static void name(struct fixture *f)                                                            \
    {                                                                                              \
        change(f, key, hex);                                                                       \
    }

CLAIM(nonce_of_33, 10, "5821" A32 "11")
CLAIM(nonce_array, 10, "82" H32 H32)
CLAIM(client_zero, 2394, "00")
CLAIM(client_too_large, 2394, "1a80000000")
CLAIM(lifecycle_gap, 2395, "193100")
CLAIM(lifecycle_beyond, 2395, "1a00013000")
CLAIM(lifecycle_unknown, 2395, "00")
CLAIM(lifecycle_debug, 2395, "194001")
CLAIM(lifecycle_recoverable, 2395, "195000")
CLAIM(lifecycle_decommissioned, 2395, "196000")
CLAIM(no_components, 2399, "80")
CLAIM(component_without_signer, 2399, "81a102" H32)
CLAIM(instance_02, 256, "582102" A32)
CLAIM(instance_of_32, 256, H32)
CLAIM(implementation_of_33, 2396, "5821" A32 "11")
CLAIM(boot_seed_of_7, 268, "4711111111111111")
CLAIM(boot_seed_of_33, 268, "5821" A32 "11")
CLAIM(certification_short, 2398, "6d31323334353637383930313233")
CLAIM(profile_unknown, 265, "6161")
CLAIM(profile_of_2_0_0, 265, "7818687474703a2f2f61726d2e636f6d2f7073612f322e302e30")
CLAIM(key_of_profile_1, -75001, "01")
CLAIM(unknown_claim, 99999, "01")
CLAIM(deep_claim, 99999, "8181818181818181818100")

static void without_profile(struct fixture *f)
{
    f->changes[0].key = 265;
}

static void nonce_twice(struct fixture *f)
{
    change(f, 10, H32);
    f->changes[0].beside = true;
}

static void as_mac(struct fixture *f)
{
    f->psa.envelope.tag = 17;
}

static void as_cwt(struct fixture *f)
{
    f->psa.envelope.tag = 61;
}

static void without_tag(struct fixture *f)
{
    f->psa.envelope.no_tag = true;
}

static void alg_not_protected(struct fixture *f)
{
    f->psa.envelope.protected_header = atls_bytes_of("\xa0", 1);
    f->psa.envelope.unprotected_header = atls_bytes_of("\xa1\x01\x26", 3);
}

static void profile_2_0_0(struct fixture *f)
{
    f->psa.profile = ATLS_PSA_2_0_0;
    f->type = TYPE_2_0_0;
}

static void profile_1(struct fixture *f)
{
    f->psa.profile = ATLS_PSA_PROFILE_1;
    f->type = TYPE_LEGACY;
}

static void type_of_another_profile(struct fixture *f)
{
    f->type = TYPE_2_0_0;
    f->world->rules.arm.psa_allow_legacy = true;
}

static void enrolled_without_class(struct fixture *f)
{
    test_arm_enrol(f->world, NULL, f->psa.instance_id, test_arm_spki(f->world->p256));
}

static void not_enrolled(struct fixture *f)
{
    f->not_enrolled = true;
}

static void enrolled_for_another_implementation(struct fixture *f)
{
    static const uint8_t other[32] = "another implementation          ";

    test_arm_enrol(f->world, other, f->psa.instance_id, test_arm_spki(f->world->p256));
}

static void instance_not_from_the_key(struct fixture *f)
{
    f->world->rules.arm.psa_instance_from_key = true;
    f->psa.instance_id[32] ^= 1;
}

static void alg_of_another_curve(struct fixture *f)
{
    f->psa.envelope.alg = -35;
}

static void signed_by_another(struct fixture *f)
{
    test_arm_enrol(f->world, f->psa.implementation_id, f->psa.instance_id,
                   test_arm_spki(f->world->other));
}

static void r_is_zero(struct fixture *f)
{
    f->bytes[63] = 1;
    f->psa.envelope.signature = atls_bytes_of(f->bytes, 64);
}

static void last_byte_of_the_nonce(struct fixture *f)
{
    memcpy(f->bytes, f->answer.challenge, 64);
    f->bytes[f->answer.len - 1] ^= 1;
    f->psa.nonce = atls_bytes_of(f->bytes, f->answer.len);
}

static void other_nonce(struct fixture *f)
{
    f->last = last_byte_of_the_nonce;
}

static void first_half(struct fixture *f)
{
    f->psa.nonce.len = 32;
}

static void nonce_that_is_a_prefix(struct fixture *f)
{
    f->last = first_half;
}

static void insecure_caller(struct fixture *f)
{
    f->psa.client_id = -5;
    f->world->rules.arm.psa_secure_callers = true;
}

static void another_client(struct fixture *f)
{
    f->world->rules.arm.psa_client = (struct atls_rule_number){true, (uint64_t)INT64_C(-3)};
    f->psa.client_id = 3;
}

static void nothing_measured(struct fixture *f)
{
    profile_1(f);
    f->world->rules.arm.psa_allow_legacy = true;
    f->psa.component_count = 0;
}

static void other_binder(struct fixture *f)
{
    f->world->binder[0] ^= 1;
}

static void late_other_binder(struct fixture *f)
{
    f->last = other_binder;
}

static void key_of_somebody_else(struct fixture *f)
{
    f->attested = test_arm_spki(f->world->other);
}

static void bare_is_not_taken(struct fixture *f)
{
    f->form = TEST_ARM_BARE;
    f->profiles = ATLS_PROFILE_KAT;
}

static void recoverable_with_debug_allowed(struct fixture *f)
{
    lifecycle_recoverable(f);
    f->world->rules.arm.psa_allow_debug = true;
}

/* Text of 300000 letters: more than claims have room for. */
static void huge_service(struct fixture *f)
{
    f->made = (struct atls_buf){calloc(1, 300005), 300005};
    assert_non_null(f->made.ptr);
    memset(f->made.ptr, 'a', f->made.len);
    memcpy(f->made.ptr, "\x7a\x00\x04\x93\xe0", 5);
    f->changes[0].key = 2400;
    f->changes[0].item = atls_buf_bytes(&f->made);
}

static void key_is_rsa(struct fixture *f)
{
    struct atls_private_key *key;

    assert_int_equal(atls_private_key_generate(ATLS_KEY_RSA, &key, NULL), ATLS_OK);
    assert_int_equal(atls_buf_copy(&f->made, test_arm_spki(key), NULL), ATLS_OK);
    atls_private_key_free(key);
    test_arm_enrol(f->world, f->psa.implementation_id, f->psa.instance_id,
                   atls_buf_bytes(&f->made));
}

static void key_is_rsa_and_names_the_instance(struct fixture *f)
{
    key_is_rsa(f);
    f->world->rules.arm.psa_instance_from_key = true;
}

static const struct {
    const char *name;
    void (*spoil)(struct fixture *f);
    enum atls_code want;
    enum atls_reason reason;
} rows[] = {
    {"service without end", huge_service, ATLS_E_NOMEM, ATLS_REASON_NONE},
    {"RSA key on file", key_is_rsa, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"RSA key on file that names no instance", key_is_rsa_and_names_the_instance, ATLS_E_EVIDENCE,
     ATLS_REASON_UNTRUSTED_KEY},
    {"MAC", as_mac, ATLS_E_UNSUPPORTED, ATLS_REASON_COSE_TYPE},
    {"CWT tag", as_cwt, ATLS_E_UNSUPPORTED, ATLS_REASON_COSE_TYPE},
    {"no tag", without_tag, ATLS_E_UNSUPPORTED, ATLS_REASON_COSE_TYPE},
    {"alg not protected", alg_not_protected, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"no profile, keys of a later one", without_profile, ATLS_E_DECODE, ATLS_REASON_PROFILE},
    {"profile unknown", profile_unknown, ATLS_E_UNSUPPORTED, ATLS_REASON_PROFILE},
    {"keys of two profiles", key_of_profile_1, ATLS_E_DECODE, ATLS_REASON_PROFILE},
    {"boot seed of another profile", profile_of_2_0_0, ATLS_E_DECODE, ATLS_REASON_PROFILE},
    {"2.0.0 without a rule", profile_2_0_0, ATLS_E_EVIDENCE, ATLS_REASON_PROFILE},
    {"profile 1 without a rule", profile_1, ATLS_E_EVIDENCE, ATLS_REASON_PROFILE},
    {"media type of another profile", type_of_another_profile, ATLS_E_EVIDENCE,
     ATLS_REASON_PROFILE},
    {"nonce of 33 bytes", nonce_of_33, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"two nonces", nonce_array, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"nonce twice", nonce_twice, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"client id 0", client_zero, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"client id beyond 32 bits", client_too_large, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"lifecycle between ranges", lifecycle_gap, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"lifecycle beyond 16 bits", lifecycle_beyond, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"no components in the array", no_components, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"component without signer", component_without_signer, ATLS_E_DECODE,
     ATLS_REASON_MISSING_CLAIM},
    {"instance id of type 02", instance_02, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"instance id of 32 bytes", instance_of_32, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"implementation id of 33 bytes", implementation_of_33, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"boot seed of 7 bytes", boot_seed_of_7, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"boot seed of 33 bytes", boot_seed_of_33, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"certification without version", certification_short, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"nested too deeply", deep_claim, ATLS_E_LIMIT, ATLS_REASON_MALFORMED},
    {"not on file", not_enrolled, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_KEY},
    {"instance of another implementation", enrolled_for_another_implementation, ATLS_E_EVIDENCE,
     ATLS_REASON_UNTRUSTED_KEY},
    {"instance of no implementation", enrolled_without_class, ATLS_E_EVIDENCE,
     ATLS_REASON_UNTRUSTED_KEY},
    {"instance that is not from the key", instance_not_from_the_key, ATLS_E_EVIDENCE,
     ATLS_REASON_UNTRUSTED_KEY},
    {"ES384 with a key of P-256", alg_of_another_curve, ATLS_E_UNSUPPORTED,
     ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"signed by another key", signed_by_another, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
    {"r is 0", r_is_zero, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
    {"last byte of the nonce", other_nonce, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"nonce that is a prefix", nonce_that_is_a_prefix, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"caller that is not secure, by rule", insecure_caller, ATLS_E_EVIDENCE, ATLS_REASON_CLIENT_ID},
    {"another client than the rule's", another_client, ATLS_E_EVIDENCE, ATLS_REASON_CLIENT_ID},
    {"lifecycle unknown", lifecycle_unknown, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"lifecycle debug", lifecycle_debug, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"lifecycle recoverable debug", lifecycle_recoverable, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"lifecycle decommissioned", lifecycle_decommissioned, ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"lifecycle recoverable debug, with the rule for the other", recoverable_with_debug_allowed,
     ATLS_E_EVIDENCE, ATLS_REASON_LIFECYCLE},
    {"nothing was measured", nothing_measured, ATLS_E_EVIDENCE, ATLS_REASON_MEASUREMENT},
    {"KAT for another binder", late_other_binder, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
    {"KAT for another key", key_of_somebody_else, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH},
    {"bare where it is not taken", bare_is_not_taken, ATLS_E_EVIDENCE,
     ATLS_REASON_EVIDENCE_PROFILE},
};

static void each_check_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        rows[i].spoil(f);
        test_assert_code(judge(f, &claims, &err), rows[i].want, &err);
        if (err.reason != rows[i].reason)
            fail_msg("%s: %s", atls_reason_name(err.reason), err.message);
        assert_string_equal(claims.technology, "untouched");
        fixture_free(f);
    }
}

static void each_claim_that_must_be(void **state)
{
    static const int64_t rfc[] = {10, 256, 2394, 2395, 2396, 2399};
    static const int64_t first[] = {-75001, -75002, -75003, -75004, -75006, -75008, -75009};

    (void)state;
    for (size_t i = 0; i < COUNT(rfc) + COUNT(first); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        if (i >= COUNT(rfc))
            profile_1(f);
        f->changes[0].key = i < COUNT(rfc) ? rfc[i] : first[i - COUNT(rfc)];
        test_assert_code(judge(f, &claims, &err), ATLS_E_DECODE, &err);
        if (err.reason != ATLS_REASON_MISSING_CLAIM)
            fail_msg("%zu: %s: %s", i, atls_reason_name(err.reason), err.message);
        fixture_free(f);
    }
}

/* ---- what is taken ---- */

static void plain(struct fixture *f)
{
    (void)f;
}

static void wide(struct fixture *f)
{
    f->psa.wide = true;
}

static void without_boot_seed(struct fixture *f)
{
    f->psa.boot_seed = atls_bytes_of(NULL, 0);
}

static void legacy_2_0_0(struct fixture *f)
{
    profile_2_0_0(f);
    f->psa.certification_reference = "1234567890123-12345";
    f->world->rules.arm.psa_allow_legacy = true;
}

static void older_type_2_0_0(struct fixture *f)
{
    legacy_2_0_0(f);
    f->type = TYPE_OLD_2_0_0;
}

static void legacy_1(struct fixture *f)
{
    profile_1(f);
    f->world->rules.arm.psa_allow_legacy = true;
}

static void legacy_1_without_profile(struct fixture *f)
{
    legacy_1(f);
    f->changes[0].key = -75000;
}

static void nothing_measured_allowed(struct fixture *f)
{
    nothing_measured(f);
    f->world->rules.arm.psa_allow_unmeasured = true;
}

static void unregistered_type(struct fixture *f)
{
    f->type = TYPE_UNREGISTERED;
}

static void key_p384(struct fixture *f)
{
    f->psa.envelope.key = f->world->p384;
}

static void key_p521(struct fixture *f)
{
    f->psa.envelope.key = f->world->p521;
}

static void instance_from_the_key(struct fixture *f)
{
    f->world->rules.arm.psa_instance_from_key = true;
}

static void client_of_the_rule(struct fixture *f)
{
    f->psa.client_id = -3;
    f->world->rules.arm.psa_client = (struct atls_rule_number){true, (uint64_t)INT64_C(-3)};
}

static void insecure_caller_without_rule(struct fixture *f)
{
    f->psa.client_id = -5;
}

static void debug_allowed(struct fixture *f)
{
    lifecycle_debug(f);
    f->world->rules.arm.psa_allow_debug = true;
}

static void batch(struct fixture *f)
{
    f->form = TEST_ARM_BATCH;
}

static void bare(struct fixture *f)
{
    f->form = TEST_ARM_BARE;
}

static void nonce_of_a_client(struct fixture *f)
{
    f->form = TEST_ARM_BARE;
    f->scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f->world->binder_len = 64;
}

static void short_nonce_of_a_client(struct fixture *f)
{
    nonce_of_a_client(f);
    f->world->binder_len = 32;
}

static const struct {
    const char *name;
    void (*prepare)(struct fixture *f);
} taken[] = {
    {"RFC 9783", plain},
    {"longest heads", wide},
    {"no boot seed", without_boot_seed},
    {"2.0.0, by rule", legacy_2_0_0},
    {"2.0.0 under its older type", older_type_2_0_0},
    {"profile 1, by rule", legacy_1},
    {"profile 1 that does not say so", legacy_1_without_profile},
    {"nothing measured, by rule", nothing_measured_allowed},
    {"type that was never registered", unregistered_type},
    {"ES384", key_p384},
    {"ES512", key_p521},
    {"instance id from the key, by rule", instance_from_the_key},
    {"client of the rule", client_of_the_rule},
    {"caller that is not secure", insecure_caller_without_rule},
    {"debug, by rule", debug_allowed},
    {"unknown claim", unknown_claim},
    {"batch", batch},
    {"bare", bare},
    {"nonce of 64 bytes, no key known", nonce_of_a_client},
    {"nonce of 32 bytes, no key known", short_nonce_of_a_client},
};

static void honest_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(taken); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", taken[i].name);
        taken[i].prepare(f);
        test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
        assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_ENROLLED);
        assert_string_equal(claims.submod, "PSA_IOT");
        assert_null(claims.next);
        if (f->form == TEST_ARM_BARE && f->scope == ATLS_EVIDENCE_KEY_UNKNOWN)
            assert_int_equal(claims.key_spki.len, 0);
        else
            test_assert_bytes(claims.key_spki, f->attested);
        atls_claims_clear(&claims);
        fixture_free(f);
    }
}

static void trust_elsewhere(void **state)
{
    static const struct {
        const char *name;
        void (*spoil)(struct fixture *f);
        enum atls_reason reason;
    } some[] = {
        {"not on file", not_enrolled, ATLS_REASON_NONE},
        {"signature", r_is_zero, ATLS_REASON_NONE},
        {"nonce", other_nonce, ATLS_REASON_NONCE_MISMATCH},
        {"lifecycle", lifecycle_debug, ATLS_REASON_LIFECYCLE},
        {"key", key_of_somebody_else, ATLS_REASON_KEY_BINDING_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(some); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", some[i].name);
        f->scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
        some[i].spoil(f);
        if (some[i].reason != ATLS_REASON_NONE) {
            test_assert_code(judge(f, &claims, &err), ATLS_E_EVIDENCE, &err);
            assert_int_equal(err.reason, some[i].reason);
        } else {
            test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
            assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_NONE);
            assert_true(claims.environment.class_id.len != 0);
            atls_claims_clear(&claims);
        }
        fixture_free(f);
    }
}

/* ---- what it says ---- */

static const struct atls_detail *find_detail(const struct atls_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0)
            return &claims->details[i];
    fail_msg("no detail %s", name);
    abort(); /* not reached */
}

static void what_a_token_says(void **state)
{
    struct fixture *f = fixture_new();
    const struct atls_measurement *m;
    struct atls_claims c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes content;
    uint64_t tag;

    (void)state;
    legacy_2_0_0(f);
    f->psa.client_id = -2147483647 - 1;
    test_assert_code(judge(f, &c, &err), ATLS_OK, &err);
    assert_int_equal(c.measurement_count, 2);
    assert_int_equal(c.optional_count, 0);
    m = &c.measurements[1];
    assert_true(atls_bytes_equal_text(m->mkey.bytes, "psa.software-component"));
    assert_int_equal(m->mval.present,
                     ATLS_MVAL_DIGESTS | ATLS_MVAL_KEYS | ATLS_MVAL_NAME | ATLS_MVAL_VERSION);
    assert_true(atls_bytes_equal_text(m->mval.name, "RMM"));
    test_assert_bytes(m->mval.keys[0].content, f->psa.components[1].signer_id);
    assert_int_equal(m->mval.digests[0].hash, ATLS_HASH_SHA256);
    assert_true(atls_tagged_bytes(c.environment.class_id, &tag, &content));
    test_assert_bytes(content, atls_bytes_of(f->psa.implementation_id, 32));
    assert_true(atls_bytes_equal_text(find_detail(&c, "client-id")->bytes, "-2147483648"));
    assert_true(atls_bytes_equal_text(find_detail(&c, "certification-reference")->bytes,
                                      "1234567890123-12345"));
    assert_true(
        atls_bytes_equal_text(find_detail(&c, "profile")->bytes, "http://arm.com/psa/2.0.0"));
    test_assert_bytes(find_detail(&c, "boot-seed")->bytes, f->psa.boot_seed);
    assert_int_equal(find_detail(&c, "software-components")->number, 2);
    atls_claims_clear(&c);
    fixture_free(f);
}

/* The hash of a measurement: the named one, else that of its length. */
static void hashes_of_components(void **state)
{
    static const uint8_t value[64] = {1};
    static const struct {
        const char *name;
        size_t len;
        enum atls_hash hash;
        int64_t number;
    } some[] = {
        {NULL, 32, ATLS_HASH_SHA256, 1},      {NULL, 48, ATLS_HASH_SHA384, 7},
        {NULL, 64, ATLS_HASH_SHA512, 8},      {"sha-384", 48, ATLS_HASH_SHA384, 7},
        {"sha-256", 64, ATLS_HASH_SHA512, 8}, {"TF-M_SHA256MemPreXIP", 32, ATLS_HASH_SHA256, 1},
        {"sha3-256", 32, ATLS_HASH_NONE, 10},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(some); i++) {
        const struct atls_sim_component component = {
            NULL, NULL, some[i].name, {value, some[i].len}, {value, 48}};
        struct fixture *f = fixture_new();
        const struct atls_mval *mval;
        struct atls_claims c;
        struct atls_err err = ATLS_ERR_INIT;

        f->psa.components = &component;
        f->psa.component_count = 1;
        test_assert_code(judge(f, &c, &err), ATLS_OK, &err);
        mval = &c.measurements[0].mval;
        assert_int_equal(mval->present, ATLS_MVAL_DIGESTS | ATLS_MVAL_KEYS);
        assert_int_equal(mval->digests[0].hash, some[i].hash);
        assert_int_equal(mval->digests[0].named_information, some[i].number);
        atls_claims_clear(&c);
        fixture_free(f);
    }
}

/* ---- every byte ---- */

static void no_changed_byte_is_taken(void **state)
{
    static const uint8_t bits[] = {0x01, 0x80};
    struct fixture *f = fixture_new();
    size_t count = 0, accepted = 0;
    struct atls_evidence_request request;
    struct atls_buf token = ATLS_BUF_INIT, evidence;
    struct atls_claims claims;
    uint8_t *at;

    (void)state;
    enrol(f);
    f->answer = test_arm_challenge(f->world, TEST_ARM_BARE, f->attested);
    f->psa.nonce = atls_bytes_of(f->answer.challenge, 64);
    assert_int_equal(atls_sim_psa_token(&f->psa, &token, NULL), ATLS_OK);
    evidence = test_arm_record(TEST_ARM_PSA_TYPE, atls_buf_bytes(&token));
    at = evidence.ptr + evidence.len - token.len;
    request = test_arm_request(f->world, ATLS_EVIDENCE_COMPLETE, atls_buf_bytes(&evidence));
    assert_int_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_OK);
    atls_claims_clear(&claims);
    for (size_t i = 0; i < 2 * token.len; i++) {
        at[i / 2] ^= bits[i % 2];
        if (atls_evidence_verify(&request, &claims, NULL) == ATLS_OK) {
            print_message("  accepted: byte %zu ^ %02x\n", i / 2, bits[i % 2]);
            atls_claims_clear(&claims);
            accepted++;
        }
        at[i / 2] ^= bits[i % 2];
        count++;
    }
    print_message("  %zu changes of a token of %zu bytes, %zu accepted\n", count, token.len,
                  accepted);
    assert_int_equal(accepted, 0);
    for (size_t len = 1; len < token.len; len++) {
        struct atls_buf cut = test_arm_record(TEST_ARM_PSA_TYPE, atls_bytes_of(token.ptr, len));

        request.evidence = atls_buf_bytes(&cut);
        assert_int_not_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_OK);
        atls_buf_clear(&cut);
    }
    atls_buf_clear(&token);
    atls_buf_clear(&evidence);
    fixture_free(f);
}

/* Memory that libcrypto does not get never makes a good answer of a bad one, and nothing leaks. */
static void short_of_memory(void **state)
{
    struct fixture *f = fixture_new();
    struct atls_evidence_request request;
    struct atls_buf evidence;
    bool failed = true;

    (void)state;
    r_is_zero(f);
    evidence = make_evidence(f);
    enrol(f);
    request = test_arm_request(f->world, ATLS_EVIDENCE_COMPLETE, atls_buf_bytes(&evidence));
    for (size_t n = 0; failed; n++) {
        struct atls_claims claims;

        test_failing_alloc_arm(n);
        assert_int_not_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_OK);
        failed = test_failing_alloc_disarm();
    }
    atls_buf_clear(&evidence);
    fixture_free(f);
}

/* Only what a key is enrolled for is wrong with it. */
static void keys_of_other_technologies(void **state)
{
    const char *others[TEST_OTHER_TECHNOLOGIES];

    (void)state;
    test_other_technologies("psa", others);
    for (size_t i = 0; i < 2 * COUNT(others); i++) {
        struct fixture *f = fixture_new();
        struct atls_claims claims = {.technology = "untouched"};
        struct atls_err err = ATLS_ERR_INIT;

        f->world->knows_no_classes = i % 2 == 1;
        test_arm_enrol(f->world, f->psa.implementation_id, f->psa.instance_id,
                       test_arm_spki(f->world->p256));
        f->world->entries[0].technology = others[i / 2];
        test_assert_code(judge(f, &claims, &err), ATLS_E_EVIDENCE, &err);
        test_assert_other_technology(&err, ATLS_REASON_UNTRUSTED_KEY, "psa", others[i / 2]);
        assert_string_equal(claims.technology, "untouched");
        f->world->entries[0].technology = "psa";
        test_assert_code(judge(f, &claims, &err), ATLS_OK, &err);
        atls_claims_clear(&claims);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),
        cmocka_unit_test(each_claim_that_must_be),
        cmocka_unit_test(honest_tokens),
        cmocka_unit_test(trust_elsewhere),
        cmocka_unit_test(what_a_token_says),
        cmocka_unit_test(hashes_of_components),
        cmocka_unit_test(keys_of_other_technologies),
        cmocka_unit_test(no_changed_byte_is_taken),
        cmocka_unit_test(short_of_memory),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
