/* Results of other Verifiers, from their claims sets as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "verifier/result.h"
#include "wire/ear_json.h"

#define P23       "{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":100,"
#define P04       "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",\"iat\":100,"
#define V23       "\"ear.verifier-id\":{\"developer\":\"Veraison Project\",\"build\":\"v1\"},"
#define V04       "\"ear_verifier_id\":{\"developer\":\"Veraison Project\",\"build\":\"v1\"},"
#define OUR       "\"ear_verifier_id\":{\"developer\":\"libatls\",\"build\":\"libatls 9\"},"
#define NEW       P04 V04 "\"submods\":"
#define OWN       P04 OUR "\"submods\":"
#define OLD       P23 V23 "\"submods\":"
#define S(status) "{\"ear_status\":\"" status "\"}"
/* Two keys, the smallest there are. */
#define KEY1     "MAowBAYCKgMDAgBC"
#define KEY2     "MAowBAYCKgMDAgBD"
#define AK(k)    ",\"ear_veraison_key_attestation\":{\"akpub\":\"" k "\"}"
#define SK(s, k) "{\"ear_status\":\"" s "\"" AK(k) "}"

static const struct atls_bytes key1 = HEX("\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42");
static const struct atls_bytes no_key = {NULL, 0};
static const struct atls_bytes key2 = HEX("\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x43");

static void decode(const char *json, struct atls_ear *ear)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_ear_json_decode(atls_bytes_of(json, strlen(json)), 0, ear, &err), ATLS_OK,
                     &err);
}

static struct atls_result *receive(const char *json)
{
    struct atls_ear ear;
    const struct atls_result_source source = {.ear = &ear};
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    decode(json, &ear);
    test_assert_code(atls_result_from_ear(&source, &r, &err), ATLS_OK, &err);
    assert_null(ear.arena.blocks); /* moved */
    return r;
}

static void the_whole_is_as_good_as_the_worst(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_tier want;
    } rows[] = {
        {"one affirming", NEW "{\"a\":" S("affirming") "}}", ATLS_TIER_AFFIRMING},
        {"all affirming", NEW "{\"a\":" S("affirming") ",\"b\":" S("affirming") "}}",
         ATLS_TIER_AFFIRMING},
        {"one says nothing", NEW "{\"a\":" S("affirming") ",\"b\":" S("none") "}}", ATLS_TIER_NONE},
        {"a warning is worse than nothing", NEW "{\"a\":" S("none") ",\"b\":" S("warning") "}}",
         ATLS_TIER_WARNING},
        {"one contraindicated",
         NEW "{\"a\":" S("affirming") ",\"b\":" S("contraindicated") ",\"c\":" S("warning") "}}",
         ATLS_TIER_CONTRAINDICATED},
        {"the overall status is worse",
         P04 V04 "\"ear_status\":\"warning\",\"submods\":{\"a\":" S("affirming") "}}",
         ATLS_TIER_WARNING},
        {"no overall statement",
         P04 V04 "\"ear_status\":\"none\",\"submods\":{\"a\":" S("affirming") "}}",
         ATLS_TIER_AFFIRMING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = receive(rows[i].json);

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_result_status(r), rows[i].want);
        assert_int_equal(atls_result_explanation(r)[0] == '\0',
                         rows[i].want == ATLS_TIER_AFFIRMING);
        assert_int_equal(atls_result_reason(r), rows[i].want == ATLS_TIER_AFFIRMING
                                                    ? ATLS_REASON_NONE
                                                    : ATLS_REASON_POLICY);
        atls_result_unref(r);
    }
}

static void accessors_answer_for_every_submodule(void **state)
{
    struct atls_result *r = receive(
        P04 V04 "\"exp\":200,\"eat_nonce\":\"MTIzNDU2Nzg\",\"submods\":{\"CCA_REALM\":"
                "{\"ear_status\":\"affirming\",\"ear_trustworthiness_vector\":{\"hardware\":2}},"
                "\"CCA_SSD_PLATFORM\":{\"ear_status\":\"warning\",\"ear_trustworthiness_vector\":"
                "{\"executables\":33}}}}");

    (void)state;
    assert_true(atls_result_is_received(r));
    assert_int_equal(atls_result_submods(r), 2);
    assert_string_equal(atls_result_submod_name(r, 0), "CCA_REALM");
    assert_string_equal(atls_result_submod_name(r, 1), "CCA_SSD_PLATFORM");
    assert_string_equal(atls_result_submod_name(r, 2), "");
    assert_int_equal(atls_result_submod_status(r, 0), ATLS_TIER_AFFIRMING);
    assert_int_equal(atls_result_submod_status(r, 1), ATLS_TIER_WARNING);
    assert_int_equal(atls_result_submod_status(r, 2), ATLS_TIER_NONE);
    assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_HARDWARE), 2);
    assert_int_equal(atls_result_submod_trust(r, 1, ATLS_TRUST_EXECUTABLES), 33);
    assert_int_equal(atls_result_submod_trust(r, 2, ATLS_TRUST_EXECUTABLES), 0);
    assert_string_equal(atls_result_evidence_type(r), "cca");
    assert_false(atls_result_insecure(r));
    assert_int_equal(atls_result_issued_at(r), 100);
    assert_int_equal(atls_result_expires_at(r), 200);
    assert_string_equal(atls_result_verifier(r), "Veraison Project v1");
    test_assert_bytes(atls_result_nonce(r), atls_bytes_of("12345678", 8));
    assert_int_equal(atls_result_key(r).len, 0);
    assert_int_equal(atls_result_instance(r).len, 0);
    assert_string_equal(atls_result_explanation(r), "CCA_SSD_PLATFORM is warning (executables 33)");
    atls_result_unref(r);
    r = receive(NEW "{\"a\":" S("none") "}}");
    assert_int_equal(atls_result_nonce(r).len, 0);
    assert_int_equal(atls_result_expires_at(r), 0);
    atls_result_unref(r);
}

static void technologies_are_named(void **state)
{
    static const struct {
        const char *name, *json, *want;
        bool insecure;
    } rows[] = {
        {"TPM of Parsec", NEW "{\"PARSEC_TPM\":" S("affirming") "}}", "tpm", false},
        {"TPM of EnactTrust", NEW "{\"TPM_ENACTTRUST\":" S("affirming") "}}", "tpm", false},
        {"SEV-SNP", NEW "{\"SEVSNP\":" S("affirming") "}}", "snp", false},
        {"PSA", NEW "{\"PSA_IOT\":" S("affirming") "}}", "psa", false},
        {"CCA", NEW "{\"CCA_REALM\":" S("affirming") "}}", "cca", false},
        {"CCA by Parsec", NEW "{\"PARSEC_CCA\":" S("affirming") "}}", "cca", false},
        {"prefix alone", NEW "{\"CCA_\":" S("affirming") "}}", "", false},
        {"unknown label", NEW "{\"RIOT\":" S("affirming") "}}", "", false},
        {"label in small letters", NEW "{\"psa_iot\":" S("affirming") "}}", "", false},
        {"software", NEW "{\"SOFT\":" S("affirming") "}}", "soft", true},
        {"two of one", NEW "{\"CCA_REALM\":" S("none") ",\"CCA_X\":" S("none") "}}", "cca", false},
        {"two technologies", NEW "{\"SEVSNP\":" S("none") ",\"PSA_IOT\":" S("none") "}}", "",
         false},
        {"one known, one not", NEW "{\"PSA_IOT\":" S("none") ",\"x\":" S("none") "}}", "", false},
        {"software among others", NEW "{\"SEVSNP\":" S("none") ",\"SOFT\":" S("none") "}}", "",
         true},
        {"our claims before the label",
         OWN "{\"x\":{\"ear_status\":\"none\",\"ear_attester_claims\":{\"technology\":\"tpm\"}}}}",
         "tpm", false},
        {"our claims say that it is insecure",
         OWN "{\"x\":{\"ear_status\":\"none\",\"ear_verifier_claims\":{\"insecure\":true}}}}", "",
         true},
        {"our claims say that it is not",
         OWN "{\"x\":{\"ear_status\":\"none\",\"ear_verifier_claims\":{\"insecure\":false}}}}", "",
         false},
        {"insecure by its technology",
         OWN "{\"x\":{\"ear_status\":\"none\",\"ear_attester_claims\":{\"technology\":\"soft\"}}}}",
         "soft", true},
        {"a technology that we do not know",
         OWN "{\"x\":{\"ear_status\":\"none\",\"ear_attester_claims\":{\"technology\":\"z\"}}}}",
         "", false},
        {"claims of another verifier do not count",
         NEW "{\"x\":{\"ear_status\":\"none\",\"ear_attester_claims\":{\"technology\":\"tpm\"}}}}",
         "", false},
        {"technology that is no text",
         OWN "{\"TPM\":{\"ear_status\":\"none\",\"ear_attester_claims\":{\"technology\":1}}}}",
         "tpm", false},
    };
    const struct atls_result_source named = {.technology = "tdx", .insecure = true};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = receive(rows[i].json);

        print_message("%s\n", rows[i].name);
        assert_string_equal(atls_result_evidence_type(r), rows[i].want);
        assert_int_equal(atls_result_insecure(r), rows[i].insecure);
        atls_result_unref(r);
    }
    {
        struct atls_result_source source = named;
        struct atls_result *r = NULL;
        struct atls_ear ear;

        decode(NEW "{\"PSA_IOT\":" S("affirming") "}}", &ear);
        source.ear = &ear;
        assert_int_equal(atls_result_from_ear(&source, &r, NULL), ATLS_OK);
        assert_string_equal(atls_result_evidence_type(r), "tdx");
        assert_true(atls_result_insecure(r));
        atls_result_unref(r);
    }
}

static void keys_of_acceptable_submodules_count(void **state)
{
    static const struct {
        const char *name, *json;
        const struct atls_bytes *checked, *want; /* want NULL: refused */
    } rows[] = {
        {"affirming", NEW "{\"a\":" SK("affirming", KEY1) "}}", NULL, &key1},
        {"warning", NEW "{\"a\":" SK("warning", KEY1) "}}", NULL, &key1},
        {"none", NEW "{\"a\":" SK("none", KEY1) "}}", NULL, &no_key},
        {"contraindicated", NEW "{\"a\":" SK("contraindicated", KEY1) "}}", NULL, &no_key},
        {"no key", NEW "{\"a\":" S("affirming") "}}", NULL, &no_key},
        {"the same twice", NEW "{\"a\":" SK("affirming", KEY1) ",\"b\":" SK("affirming", KEY1) "}}",
         NULL, &key1},
        {"two keys", NEW "{\"a\":" SK("affirming", KEY1) ",\"b\":" SK("affirming", KEY2) "}}", NULL,
         NULL},
        {"another in a submodule that does not count",
         NEW "{\"a\":" SK("contraindicated", KEY1) ",\"b\":" SK("affirming", KEY2) "}}", NULL,
         &key2},
        {"checked here", NEW "{\"a\":" S("affirming") "}}", &key1, &key1},
        {"checked here and said", NEW "{\"a\":" SK("affirming", KEY1) "}}", &key1, &key1},
        {"checked here, and another said", NEW "{\"a\":" SK("affirming", KEY2) "}}", &key1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result_source source = {.ear = NULL};
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        print_message("%s\n", rows[i].name);
        decode(rows[i].json, &ear);
        source.ear = &ear;
        if (rows[i].checked != NULL)
            source.key = *rows[i].checked;
        test_assert_code(atls_result_from_ear(&source, &r, &err),
                         rows[i].want == NULL ? ATLS_E_EVIDENCE : ATLS_OK, &err);
        if (rows[i].want == NULL) {
            assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
            assert_null(r);
            assert_non_null(ear.arena.blocks); /* still the caller's */
            atls_ear_clear(&ear);
            continue;
        }
        test_assert_bytes(atls_result_key(r), *rows[i].want);
        atls_result_unref(r);
    }
}

static void instances_are_named_by_our_claims(void **state)
{
#define INSTANCE(verifier, status, value)                                                          \
    P04 verifier "\"submods\":{\"TPM\":{\"ear_status\":\"" status                                  \
                 "\",\"ear_attester_claims\":{\"instance\":" value "}}}}"
    static const struct {
        const char *name, *json;
        size_t want;
    } rows[] = {
        {"ours", INSTANCE(OUR, "affirming", "\"01ab\""), 2},
        {"of a submodule that does not count", INSTANCE(OUR, "contraindicated", "\"01ab\""), 0},
        {"of another verifier", INSTANCE(V04, "affirming", "\"01ab\""), 0},
        {"no hexadecimal", INSTANCE(OUR, "affirming", "\"01ag\""), 0},
        {"capitals", INSTANCE(OUR, "affirming", "\"01AB\""), 0},
        {"half a byte", INSTANCE(OUR, "affirming", "\"01a\""), 0},
        {"empty", INSTANCE(OUR, "affirming", "\"\""), 0},
        {"a number", INSTANCE(OUR, "affirming", "7"), 0},
    };
    struct atls_result_source source = {.instance = key1};
    struct atls_result *r = NULL;
    struct atls_ear ear;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        r = receive(rows[i].json);
        assert_int_equal(atls_result_instance(r).len, rows[i].want);
        if (rows[i].want != 0)
            test_assert_bytes(atls_result_instance(r), atls_bytes_of("\x01\xab", 2));
        atls_result_unref(r);
    }
    decode(rows[0].json, &ear);
    source.ear = &ear;
    assert_int_equal(atls_result_from_ear(&source, &r, NULL), ATLS_OK);
    test_assert_bytes(atls_result_instance(r), key1);
    atls_result_unref(r);
}

static void several_nonces_are_refused(void **state)
{
    struct atls_ear ear;
    const struct atls_result_source source = {.ear = &ear};
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    decode(P04 V04
           "\"eat_nonce\":[\"MTIzNDU2Nzg\",\"MTIzNDU2Nzk\"],\"submods\":{\"a\":" S("none") "}}",
           &ear);
    test_assert_code(atls_result_from_ear(&source, &r, &err), ATLS_E_DECODE, &err);
    assert_null(r);
    assert_non_null(ear.arena.blocks);
    atls_ear_clear(&ear);
}

static void what_is_wrong_is_explained(void **state)
{
    static const struct {
        const char *name, *json, *want;
        enum atls_reason reason;
    } rows[] = {
        {"failed signature, as a service says it",
         OLD "{\"PSA_IOT\":{\"ear.status\":\"contraindicated\",\"ear.trustworthiness-vector\":"
             "{\"instance-identity\":99,\"hardware\":99},\"ear.veraison.policy-claims\":"
             "{\"problem\":\"integrity validation failed\"}}}}",
         "PSA_IOT is contraindicated (instance-identity 99, hardware 99): integrity validation "
         "failed",
         ATLS_REASON_POLICY},
        {"ours",
         OWN "{\"TPM\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"reason\":"
             "\"measurement\",\"problems\":[\"PCR 7 is wrong\",\"PCR 8\"]}}}}",
         "TPM is warning: PCR 7 is wrong", ATLS_REASON_MEASUREMENT},
        {"a reason of another verifier is not ours",
         NEW "{\"TPM\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"reason\":"
             "\"measurement\"}}}}",
         "TPM is warning", ATLS_REASON_POLICY},
        {"a slug that we do not have",
         OWN "{\"TPM\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"reason\":\"x\"}}}}",
         "TPM is warning", ATLS_REASON_POLICY},
        {"none is no reason",
         OWN
         "{\"TPM\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"reason\":\"none\"}}}}",
         "TPM is warning", ATLS_REASON_POLICY},
        {"several", NEW "{\"a\":" S("warning") ",\"b\":" S("affirming") ",\"c\":" S("none") "}}",
         "a is warning; c is none", ATLS_REASON_POLICY},
        {"only the whole",
         P04 V04 "\"ear_status\":\"warning\",\"submods\":{\"a\":" S("affirming") "}}",
         "the whole is warning", ATLS_REASON_POLICY},
        {"text of a peer is escaped",
         NEW "{\"a\\u001b\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"problem\":"
             "\"x\\n\"}}}}",
         "a\\x1b is warning: x\\x0a", ATLS_REASON_POLICY},
        {"problems that are no text",
         NEW "{\"a\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"problems\":[1]}}}}",
         "a is warning", ATLS_REASON_POLICY},
        {"problems that are none",
         NEW "{\"a\":{\"ear_status\":\"warning\",\"ear_verifier_claims\":{\"problems\":[]}}}}",
         "a is warning", ATLS_REASON_POLICY},
        {"nothing wrong", NEW "{\"a\":" S("affirming") "}}", "", ATLS_REASON_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = receive(rows[i].json);

        print_message("%s\n", rows[i].name);
        assert_string_equal(atls_result_explanation(r), rows[i].want);
        assert_int_equal(atls_result_reason(r), rows[i].reason);
        atls_result_unref(r);
    }
}

static void long_explanations_are_cut(void **state)
{
    char json[8192];
    size_t used = (size_t)snprintf(json, sizeof json, "%s", NEW "{");
    struct atls_result *r;

    (void)state;
    for (int i = 0; i < 16; i++)
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "%s\"%c%0100d\":{\"ear_status\":\"warning\","
                                 "\"ear_verifier_claims\":{\"problem\":\"%0200d\"}}",
                                 i > 0 ? "," : "", 'a' + i, 0, 0);
    snprintf(json + used, sizeof json - used, "}}");
    r = receive(json);
    assert_true(strlen(atls_result_explanation(r)) < ATLS_EXPLANATION_LEN);
    atls_result_unref(r);
}

/* Policies are written against the newest names, whoever appraised. */
static void json_has_the_newest_names(void **state)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {P23 V23 "\"eat_nonce\":\"MTIzNDU2Nzg=\",\"submods\":{\"PARSEC_TPM\":{\"ear.status\":"
                 "\"warning\",\"ear.trustworthiness-vector\":{\"executables\":33},"
                 "\"ear.appraisal-policy-id\":\"p\",\"ear.veraison.annotated-evidence\":{\"kat\":"
                 "{\"x\":[1,-2,1.5,true,null,\"t\"]}},\"ear.veraison.policy-claims\":{\"problem\":"
                 "\"q\"},\"ear.veraison.key-attestation\":{\"akpub\":\"" KEY1 "\"}}}}",
         "{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":100,"
         "\"eat_nonce\":\"MTIzNDU2Nzg\",\"ear_verifier_id\":{\"developer\":\"Veraison Project\","
         "\"build\":\"v1\"},\"ear_status\":\"warning\",\"submods\":{\"PARSEC_TPM\":{\"ear_status\":"
         "\"warning\",\"ear_trustworthiness_vector\":{\"instance-identity\":0,\"configuration\":0,"
         "\"executables\":33,\"file-system\":0,\"hardware\":0,\"runtime-opaque\":0,"
         "\"storage-opaque\":0,\"sourced-data\":0},\"ear_appraisal_policy_ids\":[\"p\"],"
         "\"ear_attester_claims\":{\"kat\":{\"x\":[1,-2,\"1.5\",true,null,\"t\"]}},"
         "\"ear_verifier_claims\":{\"problem\":\"q\"},\"ear_veraison_key_attestation\":{\"akpub\":"
         "\"" KEY1 "\"}}}}"},
        {P04 V04 "\"exp\":200,\"submods\":{\"a\":{\"ear_status\":\"affirming\","
                 "\"ear_appraisal_policy_ids\":[\"p\",\"q\"]}}}",
         "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",\"iat\":100,\"exp\":200,"
         "\"ear_verifier_id\":{\"developer\":\"Veraison Project\",\"build\":\"v1\"},"
         "\"ear_status\":\"affirming\",\"submods\":{\"a\":{\"ear_status\":\"affirming\","
         "\"ear_appraisal_policy_ids\":[\"p\",\"q\"]}}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = receive(rows[i].json);

        assert_string_equal(atls_result_json(r), rows[i].want);
        atls_result_unref(r);
    }
}

/* Shown as it came: its own names, no status that it does not state, every nonce. */
static void claims_sets_are_written_as_received(void **state)
{
    static const char *const rows[] = {
        P23 "\"ear.verifier-id\":{\"developer\":\"d\",\"build\":\"b\"},\"submods\":{\"a\":"
            "{\"ear.status\":\"affirming\",\"ear.appraisal-policy-id\":\"p\"}}}",
        P04 "\"eat_nonce\":[\"MTIzNDU2Nzg\",\"MTIzNDU2Nzk\"],\"ear_verifier_id\":{\"developer\":"
            "\"d\",\"build\":\"b\"},\"submods\":{\"a\":{\"ear_status\":\"none\"}}}",
        P04 "\"ear_verifier_id\":{\"developer\":\"d\",\"build\":\"b\"},\"ear_status\":\"none\","
            "\"submods\":{\"a\":{\"ear_status\":\"affirming\"}}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf text = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        decode(rows[i], &ear);
        test_assert_code(atls_ear_put_json(&ear, &text, &err), ATLS_OK, &err);
        assert_string_equal((char *)text.ptr, rows[i]);
        atls_buf_clear(&text);
        atls_ear_clear(&ear);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_is_as_good_as_the_worst),
        cmocka_unit_test(accessors_answer_for_every_submodule),
        cmocka_unit_test(technologies_are_named),
        cmocka_unit_test(keys_of_acceptable_submodules_count),
        cmocka_unit_test(instances_are_named_by_our_claims),
        cmocka_unit_test(several_nonces_are_refused),
        cmocka_unit_test(what_is_wrong_is_explained),
        cmocka_unit_test(long_explanations_are_cut),
        cmocka_unit_test(json_has_the_newest_names),
        cmocka_unit_test(claims_sets_are_written_as_received),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
