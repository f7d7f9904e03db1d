#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "crypto/crypto.h"
#include "verifier/ear/accept.h"
#include "verifier/ear/envelope.h"
#include "verifier/ear/keys.h"
#include "verifier/ear/sign.h"
#include "verifier/result.h"

#define NOW INT64_C(1700000000)

static const struct atls_bytes spki = HEX("\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42");
static const uint8_t nonce[64] = {1, 2, 3};

static struct atls_result *make_result(void)
{
    static const char *const checks[] = {"signature", NULL};
    static struct atls_claims claims;
    struct atls_outcome o;
    struct atls_result *r = NULL;

    memset(&o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.technology = "tpm";
    claims.submod = "TPM";
    claims.key_spki = spki;
    claims.instance = atls_bytes_of("\x01\x02", 2);
    claims.details[0] = (struct atls_detail){"large", ATLS_DETAIL_UINT, UINT64_MAX, {NULL, 0}};
    claims.details[1] = (struct atls_detail){"safe", ATLS_DETAIL_BOOL, 1, {NULL, 0}};
    claims.details[2] = (struct atls_detail){"who", ATLS_DETAIL_TEXT, 0, atls_bytes_of("x", 1)};
    claims.detail_count = 3;
    o.policy_id = "policy:test";
    o.checks = checks;
    o.status = ATLS_TIER_AFFIRMING;
    o.trust[ATLS_TRUST_EXECUTABLES] = 33;
    atls_outcome_problem(&o, ATLS_REASON_MEASUREMENT, "PCR 7 is wrong");
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(nonce, 32), NOW, &r, NULL),
                     ATLS_OK);
    return r;
}

static struct atls_result *make_refused(const char *technology)
{
    const struct atls_refusal refusal = {
        .technology = technology,
        .submod = "TPM",
        .reason = ATLS_REASON_NONCE_MISMATCH,
        .problem = "the quote answers another nonce",
    };
    struct atls_result *r = NULL;

    assert_int_equal(atls_result_contraindicated(&refusal, atls_bytes_of(nonce, 64), NOW, &r, NULL),
                     ATLS_OK);
    return r;
}

static struct atls_private_key *make_key(enum atls_key_type type)
{
    struct atls_private_key *key = NULL;

    assert_int_equal(atls_private_key_generate(type, &key, NULL), ATLS_OK);
    return key;
}

static struct atls_ear_options options_of(enum atls_ear_form form, const char *profile)
{
    struct atls_ear_options options;

    atls_ear_options_init(&options);
    assert_string_equal(options.profile, "tag:ietf.org,2026:rats/ear#04");
    assert_int_equal(options.form, ATLS_EAR_FORM_JWT);
    options.form = form;
    options.profile = profile;
    options.kid = "k1";
    options.lifetime_s = 300;
    return options;
}

static const struct {
    const char *profile;
    enum atls_ear_version version;
} versions[] = {
    {"tag:github.com,2023:veraison/ear", ATLS_EAR_2023},
    {"tag:github.com,2024:confidential-containers/Trustee", ATLS_EAR_2023},
    {"tag:ietf.org,2025-07:ear", ATLS_EAR_02},
    {"tag:ietf.org,2026:rats/ear#03", ATLS_EAR_03},
    {"tag:ietf.org,2026:rats/ear#04", ATLS_EAR_04},
};
#define VERSIONS (sizeof versions / sizeof versions[0])

static void check_content(const struct atls_ear *ear, size_t version, bool is_cwt)
{
    const struct atls_ear_appraisal *a = &ear->submods[0];
    const struct atls_ear_value *v;

    assert_int_equal(ear->version, versions[version].version);
    assert_int_equal(ear->issued_at_s, NOW);
    assert_int_equal(ear->expiry_s, NOW + 300);
    assert_int_equal(ear->nonce_count, 1);
    test_assert_bytes(ear->nonces[0], atls_bytes_of(nonce, 32));
    test_assert_bytes(ear->developer, atls_bytes_of("libatls", 7));
    assert_int_equal(ear->has_status, ear->version >= ATLS_EAR_03);
    assert_int_equal(ear->submod_count, 1);
    assert_string_equal((const char *)a->name.ptr, "TPM");
    assert_int_equal(a->status, ATLS_TIER_WARNING);
    assert_int_equal(a->trust[ATLS_TRUST_EXECUTABLES], 33);
    assert_int_equal(a->policy_count, 1);
    test_assert_bytes(a->policy_ids[0], atls_bytes_of("policy:test", 11));
    test_assert_bytes(a->key, spki);
    test_assert_bytes(atls_ear_value_get(&a->attester_claims, "technology")->bytes,
                      atls_bytes_of("tpm", 3));
    v = atls_ear_value_get(&a->attester_claims, "instance");
    if (is_cwt)
        test_assert_bytes(v->bytes, atls_bytes_of("\x01\x02", 2));
    else
        test_assert_bytes(v->bytes, atls_bytes_of("0102", 4));
    v = atls_ear_value_get(&a->attester_claims, "details");
    assert_int_equal(atls_ear_value_get(v, "large")->kind,
                     is_cwt ? ATLS_EAR_VALUE_UINT : ATLS_EAR_VALUE_TEXT);
    assert_true(atls_ear_value_get(v, "safe")->u.boolean);
    test_assert_bytes(atls_ear_value_get(&a->verifier_claims, "reason")->bytes,
                      atls_bytes_of("measurement", 11));
    v = atls_ear_value_get(&a->verifier_claims, "problem"); /* what older readers look for */
    assert_int_equal(v != NULL, ear->version < ATLS_EAR_04);
    if (v != NULL)
        test_assert_bytes(v->bytes, atls_bytes_of("PCR 7 is wrong", 14));
}

/* Every version in both forms is read again by the strict decoders, and says the same. */
static void every_form_of_every_version(void **state)
{
    struct atls_private_key *key = make_key(ATLS_KEY_P256);
    struct atls_result *r = make_result();
    struct atls_ear_keys *keys = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear_check check;

    (void)state;
    assert_int_equal(atls_ear_keys_from_key(atls_private_key_public(key), "k1", &keys, NULL),
                     ATLS_OK);
    atls_ear_check_init(&check);
    check.keys = keys;
    check.time_s = NOW;
    check.max_age_s = 1;
    check.nonce = atls_bytes_of(nonce, 32);
    for (size_t i = 0; i < 2 * VERSIONS; i++) {
        bool is_cwt = i % 2 == 1;
        struct atls_ear_options options =
            options_of(is_cwt ? ATLS_EAR_FORM_CWT : ATLS_EAR_FORM_JWT, versions[i / 2].profile);
        struct atls_buf token = ATLS_BUF_INIT, shown = ATLS_BUF_INIT;
        struct atls_ear ear;

        print_message("%s %s\n", is_cwt ? "CWT" : "JWT", versions[i / 2].profile);
        test_assert_code(atls_ear_sign_with(r, key, &options, &token, &err), ATLS_OK, &err);
        assert_int_equal(atls_ear_form_of(atls_buf_bytes(&token)), options.form);
        if (!is_cwt)
            assert_int_equal(strlen((char *)token.ptr), token.len);
        test_assert_code(atls_ear_accept(atls_buf_bytes(&token), &check, &ear, &err), ATLS_OK,
                         &err);
        check_content(&ear, i / 2, is_cwt);
        atls_ear_clear(&ear);
        test_assert_code(atls_ear_verify(atls_buf_bytes(&token), &check, &shown, &err), ATLS_OK,
                         &err);
        assert_memory_equal(shown.ptr, "{\n  \"verified\": true,", 20);
        assert_non_null(strstr((char *)shown.ptr, "\"kid\": \"k1\""));
        assert_non_null(strstr((char *)shown.ptr, versions[i / 2].profile));
        assert_non_null(strstr((char *)shown.ptr, versions[i / 2].version >= ATLS_EAR_03
                                                      ? "\"ear_status\": \"warning\""
                                                      : "\"ear.status\": \"warning\""));
        atls_buf_clear(&shown);
        test_assert_code(atls_ear_show(atls_buf_bytes(&token), &shown, &err), ATLS_OK, &err);
        assert_memory_equal(shown.ptr, "{\n  \"verified\": false,", 21);
        atls_buf_clear(&shown);
        atls_buf_clear(&token);
    }
    atls_ear_keys_unref(keys);
    atls_private_key_free(key);
    atls_result_unref(r);
}

/* A platform in order, and a realm on it that is not; the platform names nobody's key. */
static struct atls_result *make_two(void)
{
    static struct atls_claims claims;
    struct atls_claims *realm = calloc(1, sizeof *realm);
    struct atls_outcome o[2];
    struct atls_result *r = NULL;

    assert_non_null(realm);
    memset(o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.technology = realm->technology = "cca";
    claims.submod = "CCA_SSD_PLATFORM";
    claims.instance = atls_bytes_of("\x01\x02", 2);
    realm->submod = "CCA_REALM";
    realm->key_spki = spki;
    claims.next = realm;
    o[0].policy_id = o[1].policy_id = "policy:test";
    o[0].status = o[1].status = ATLS_TIER_AFFIRMING;
    o[0].trust[ATLS_TRUST_HARDWARE] = 2;
    o[1].trust[ATLS_TRUST_EXECUTABLES] = 33;
    atls_outcome_problem(&o[1], ATLS_REASON_REALM_MEASUREMENT, "not the one");
    assert_int_equal(atls_result_new(&claims, o, atls_bytes_of(nonce, 32), NOW, &r, NULL), ATLS_OK);
    return r;
}

static size_t index_of(const struct atls_result *r, const char *name)
{
    size_t i = 0;

    while (i < atls_result_submods(r) && strcmp(atls_result_submod_name(r, i), name) != 0)
        i++;
    return i;
}

static void check_two(struct atls_ear *ear)
{
    const struct atls_result_source source = {.ear = ear};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r = NULL;
    size_t platform, realm;

    test_assert_code(atls_result_from_ear(&source, &r, &err), ATLS_OK, &err);
    platform = index_of(r, "CCA_SSD_PLATFORM");
    realm = index_of(r, "CCA_REALM");
    assert_int_equal(atls_result_submods(r), 2);
    assert_int_equal(platform + realm, 1);
    assert_int_equal(atls_result_status(r), ATLS_TIER_WARNING);
    assert_int_equal(atls_result_submod_status(r, platform), ATLS_TIER_AFFIRMING);
    assert_int_equal(atls_result_submod_trust(r, platform, ATLS_TRUST_HARDWARE), 2);
    assert_int_equal(atls_result_submod_status(r, realm), ATLS_TIER_WARNING);
    assert_int_equal(atls_result_submod_trust(r, realm, ATLS_TRUST_EXECUTABLES), 33);
    assert_string_equal(atls_result_evidence_type(r), "cca");
    assert_int_equal(atls_result_reason(r), ATLS_REASON_REALM_MEASUREMENT);
    test_assert_bytes(atls_result_key(r), spki);
    test_assert_bytes(atls_result_instance(r), atls_bytes_of("\x01\x02", 2));
    atls_result_unref(r);
}

/* Parts of one machine come out of a token as they went in. */
static void several_parts_in_every_form(void **state)
{
    struct atls_private_key *key = make_key(ATLS_KEY_P256);
    struct atls_result *r = make_two();
    struct atls_ear_check check;

    (void)state;
    atls_ear_check_init(&check);
    assert_int_equal(atls_ear_keys_from_key(atls_private_key_public(key), "k1", &check.keys, NULL),
                     ATLS_OK);
    check.time_s = NOW;
    check.max_age_s = 1;
    for (size_t i = 0; i < 2 * VERSIONS; i++) {
        struct atls_ear_options options =
            options_of(i % 2 == 1 ? ATLS_EAR_FORM_CWT : ATLS_EAR_FORM_JWT, versions[i / 2].profile);
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        print_message("%s %s\n", i % 2 == 1 ? "CWT" : "JWT", versions[i / 2].profile);
        test_assert_code(atls_ear_sign_with(r, key, &options, &token, &err), ATLS_OK, &err);
        test_assert_code(atls_ear_accept(atls_buf_bytes(&token), &check, &ear, &err), ATLS_OK,
                         &err);
        check_two(&ear);
        atls_ear_clear(&ear);
        atls_buf_clear(&token);
    }
    atls_ear_keys_unref(check.keys);
    atls_private_key_free(key);
    atls_result_unref(r);
}

/* What clients of deployed services read. */
static void the_names_of_2023(void **state)
{
    static const char appraisal[] =
        "\"submods\":{\"TPM\":{\"ear.status\":\"contraindicated\","
        "\"ear.trustworthiness-vector\":{\"instance-identity\":99,\"configuration\":99,"
        "\"executables\":99,\"file-system\":99,\"hardware\":99,\"runtime-opaque\":99,"
        "\"storage-opaque\":99,\"sourced-data\":99},\"ear.veraison.annotated-evidence\":"
        "{\"technology\":\"tpm\",\"measurements\":[],\"details\":{}},"
        "\"ear.veraison.policy-claims\":{\"key-trust\":\"none\",\"insecure\":false,";
    static const char problem[] =
        "\"reason\":\"nonce-mismatch\",\"problems\":[\"the quote answers another nonce\"],"
        "\"problem\":\"the quote answers another nonce\"}}}}";
    struct atls_private_key *key = make_key(ATLS_KEY_ED25519);
    struct atls_result *r = make_refused("tpm");
    struct atls_ear_options options =
        options_of(ATLS_EAR_FORM_JWT, "tag:github.com,2023:veraison/ear");
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_envelope e;
    char text[4096];

    (void)state;
    options.lifetime_s = 0;
    test_assert_code(atls_ear_sign_with(r, key, &options, &token, &err), ATLS_OK, &err);
    test_assert_code(atls_envelope_open(atls_buf_bytes(&token), &e, &err), ATLS_OK, &err);
    snprintf(text, sizeof text, "%.*s", (int)e.payload.len, (const char *)e.payload.ptr);
    assert_non_null(strstr(text, appraisal));
    assert_non_null(strstr(text, problem));
    assert_non_null(strstr(text, "\"ear.verifier-id\":{\"developer\":\"libatls\""));
    assert_null(strstr(text, "\"exp\""));
    assert_null(strstr(text, "akpub"));
    assert_null(strstr(text, "policy-id"));
    atls_envelope_clear(&e);
    atls_buf_clear(&token);
    atls_result_unref(r);
    atls_private_key_free(key);
}

/* Nothing in refused evidence counts, and what is signed says so in every form. */
static void refusals_are_signed_and_accepted_as_such(void **state)
{
    static const char *const technologies[] = {"tpm", ""};
    struct atls_private_key *key = make_key(ATLS_KEY_P384);
    struct atls_ear_keys *keys = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear_check check;

    (void)state;
    assert_int_equal(atls_ear_keys_from_key(atls_private_key_public(key), NULL, &keys, NULL),
                     ATLS_OK);
    atls_ear_check_init(&check);
    check.keys = keys;
    check.time_s = NOW;
    check.max_age_s = 1;
    check.nonce = atls_bytes_of(nonce, 64);
    for (size_t i = 0; i < 4; i++) {
        struct atls_result *r = make_refused(technologies[i / 2]), *received = NULL;
        struct atls_ear_options options = options_of(
            i % 2 == 0 ? ATLS_EAR_FORM_JWT : ATLS_EAR_FORM_CWT, "tag:ietf.org,2026:rats/ear#04");
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_ear ear;
        const struct atls_result_source source = {.ear = &ear};

        test_assert_code(atls_ear_sign_with(r, key, &options, &token, &err), ATLS_OK, &err);
        test_assert_code(atls_ear_accept(atls_buf_bytes(&token), &check, &ear, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_result_from_ear(&source, &received, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_status(received), ATLS_TIER_CONTRAINDICATED);
        assert_int_equal(atls_result_submod_trust(received, 0, ATLS_TRUST_SOURCED_DATA), 99);
        assert_int_equal(atls_result_key(received).len, 0);
        assert_int_equal(atls_result_reason(received), ATLS_REASON_NONCE_MISMATCH);
        assert_non_null(strstr(atls_result_explanation(received), "answers another nonce"));
        /* Whose result it is stays plain: we do not sign for others. */
        test_assert_code(atls_ear_sign_with(received, key, &options, &token, &err), ATLS_E_USAGE,
                         &err);
        atls_result_unref(received);
        atls_result_unref(r);
        atls_buf_clear(&token);
    }
    atls_ear_keys_unref(keys);
    atls_private_key_free(key);
}

static void options_are_checked(void **state)
{
    enum { GOOD, SIZE, NO_PROFILE, PROFILE, NO_FORM, FORM, NEGATIVE, LONG, KID, LONGEST_KID };
    static const struct {
        const char *name;
        int fault;
        enum atls_code want;
    } rows[] = {
        {"good", GOOD, ATLS_OK},
        {"not initialised", SIZE, ATLS_E_USAGE},
        {"no profile", NO_PROFILE, ATLS_E_USAGE},
        {"unknown profile", PROFILE, ATLS_E_UNSUPPORTED},
        {"no form", NO_FORM, ATLS_E_USAGE},
        {"unknown form", FORM, ATLS_E_USAGE},
        {"negative lifetime", NEGATIVE, ATLS_E_USAGE},
        {"lifetime of more than thirty years", LONG, ATLS_E_USAGE},
        {"kid too long", KID, ATLS_E_USAGE},
        {"longest kid", LONGEST_KID, ATLS_OK},
    };
    struct atls_private_key *key = make_key(ATLS_KEY_P256);
    struct atls_result *r = make_result();
    char kid[129];

    (void)state;
    memset(kid, 'k', sizeof kid);
    kid[128] = '\0';
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct atls_ear_options options = options_of(
            i % 2 == 0 ? ATLS_EAR_FORM_JWT : ATLS_EAR_FORM_CWT, "tag:ietf.org,2026:rats/ear#04");
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        int fault = rows[i / 2].fault;

        print_message("%s\n", rows[i / 2].name);
        options.size -= fault == SIZE ? 1 : 0;
        if (fault == NO_PROFILE || fault == PROFILE)
            options.profile = fault == PROFILE ? "x" : NULL;
        if (fault == NO_FORM || fault == FORM)
            options.form = (enum atls_ear_form)(fault == FORM ? 3 : 0);
        if (fault == NEGATIVE || fault == LONG)
            options.lifetime_s = fault == LONG ? 946080001 : -1;
        if (fault == KID || fault == LONGEST_KID)
            options.kid = fault == KID ? kid : kid + 1;
        test_assert_code(atls_ear_sign_with(r, key, &options, &token, &err), rows[i / 2].want,
                         &err);
        assert_int_equal(token.ptr != NULL, rows[i / 2].want == ATLS_OK);
        atls_buf_clear(&token);
    }
    assert_int_equal(atls_ear_options_check(NULL, NULL), ATLS_E_USAGE);
    atls_result_unref(r);
    atls_private_key_free(key);
}

static void keys_that_do_not_sign(void **state)
{
    static const struct {
        enum atls_key_type type;
        const char *alg;
    } rows[] = {
        {ATLS_KEY_P256, "ES256"}, {ATLS_KEY_P384, "ES384"}, {ATLS_KEY_ED25519, "EdDSA"},
        {ATLS_KEY_P521, NULL},    {ATLS_KEY_RSA, NULL},
    };
    struct atls_result *r = make_result();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_private_key *key = make_key(rows[i].type);
        const char *alg = atls_ear_algorithm(atls_private_key_public(key));
        struct atls_ear_options options =
            options_of(ATLS_EAR_FORM_CWT, "tag:ietf.org,2026:rats/ear#04");
        struct atls_buf token = ATLS_BUF_INIT, pem = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        assert_int_equal(alg != NULL, rows[i].alg != NULL);
        if (alg != NULL)
            assert_string_equal(alg, rows[i].alg);
        assert_int_equal(atls_private_key_to_pem(key, &pem, NULL), ATLS_OK);
        test_assert_code(atls_ear_sign_as(r, atls_buf_bytes(&pem), &options, &token, &err),
                         alg == NULL ? ATLS_E_UNSUPPORTED : ATLS_OK, &err);
        atls_buf_clear(&token);
        atls_buf_clear(&pem);
        atls_private_key_free(key);
    }
    atls_result_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_every_version),
        cmocka_unit_test(several_parts_in_every_form),
        cmocka_unit_test(the_names_of_2023),
        cmocka_unit_test(refusals_are_signed_and_accepted_as_such),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(keys_that_do_not_sign),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
