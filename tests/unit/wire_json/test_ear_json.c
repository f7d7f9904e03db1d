#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "wire/ear_json.h"
#include "wire/jws.h"

static enum atls_code decode(const char *json, struct atls_ear *out, struct atls_err *err)
{
    return atls_ear_json_decode(atls_bytes_of(json, strlen(json)), 0, out, err);
}

static void published_claims_sets(void **state)
{
    static const struct {
        const char *file;
        enum atls_ear_version version;
        const char *submod;
        enum atls_tier status;
        int executables;
        bool has_key;
        enum atls_code want;
    } rows[] = {
        {"ear-claims.json", ATLS_EAR_2023, "test", ATLS_TIER_AFFIRMING, 0, false, ATLS_OK},
        {"ear-claims-tv-ok.json", ATLS_EAR_2023, "test", ATLS_TIER_AFFIRMING, 3, false, ATLS_OK},
        {"ear-claims-key-attestation-ok.json", ATLS_EAR_2023, "PARSEC_TPM", ATLS_TIER_AFFIRMING, 2,
         true, ATLS_OK},
        {"ear-claims-extension-ok.json", ATLS_EAR_2023, "test", ATLS_TIER_AFFIRMING, 0, false,
         ATLS_OK},
        {"ear-json-1.diag", ATLS_EAR_03, "PSA", ATLS_TIER_CONTRAINDICATED, 96, false, ATLS_OK},
        /* Its key is cut short with underscores. */
        {"ext-veraison-json-2.diag", ATLS_EAR_03, "PARSEC_TPM", ATLS_TIER_AFFIRMING, 2, true,
         ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        struct atls_buf text;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        print_message("%s\n", rows[i].file);
        snprintf(path, sizeof path, "ear/%s", rows[i].file);
        text = test_vector(path);
        test_assert_code(atls_ear_json_decode(atls_buf_bytes(&text), 0, &ear, &err), rows[i].want,
                         &err);
        atls_buf_clear(&text);
        if (rows[i].want != ATLS_OK) {
            assert_non_null(strstr(err.message, "akpub"));
            continue;
        }
        assert_int_equal(ear.version, rows[i].version);
        assert_int_equal(ear.submod_count, 1);
        test_assert_bytes(ear.submods[0].name,
                          atls_bytes_of(rows[i].submod, strlen(rows[i].submod)));
        assert_int_equal(ear.submods[0].status, rows[i].status);
        assert_int_equal(ear.submods[0].trust[ATLS_TRUST_EXECUTABLES], rows[i].executables);
        assert_int_equal(ear.submods[0].has_vector, rows[i].executables != 0);
        assert_int_equal(ear.submods[0].key.ptr != NULL, rows[i].has_key);
        assert_non_null(ear.submods[0].policy_ids[0].ptr);
        assert_int_equal(ear.nonce_count, 0);
        atls_ear_clear(&ear);
    }
}

/* What services emit today comes as the submodules alone. */
static void submodules_of_services(void **state)
{
    static const struct {
        const char *file;
        size_t count;
        enum atls_tier first;
    } rows[] = {
        {"result-psa.good.json", 1, ATLS_TIER_AFFIRMING},
        {"result-cca.good.json", 2, ATLS_TIER_AFFIRMING},
        {"result-psa.badcrypto.json", 1, ATLS_TIER_CONTRAINDICATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64], text[8192];
        struct atls_buf submods;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        snprintf(path, sizeof path, "ear/%s", rows[i].file);
        submods = test_vector(path);
        snprintf(text, sizeof text,
                 "{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1,"
                 "\"ear.verifier-id\":{\"developer\":\"d\",\"build\":\"b\"},\"submods\":%.*s}",
                 (int)submods.len, (const char *)submods.ptr);
        test_assert_code(decode(text, &ear, &err), ATLS_OK, &err);
        assert_int_equal(ear.submod_count, rows[i].count);
        assert_int_equal(ear.submods[0].status, rows[i].first);
        atls_ear_clear(&ear);
        atls_buf_clear(&submods);
    }
}

static void published_tokens(void **state)
{
    static const struct {
        const char *file;
        enum atls_code jws, ear;
    } rows[] = {
        {"arc-testJWT.jwt", ATLS_OK, ATLS_OK},
        {"arc-testJWT-embedded-jwk.jwt", ATLS_OK, ATLS_OK},
        {"jwt-pass-1.jwt", ATLS_OK, ATLS_E_DECODE}, /* akpub holds the word akpub */
        {"c-ear.jwt", ATLS_OK, ATLS_E_DECODE},      /* iat is a float */
        {"draft-opa.jwt", ATLS_OK, ATLS_E_DECODE},  /* likewise */
        {"jwt-neg-empty-claims.jwt", ATLS_OK, ATLS_E_DECODE},
        {"jwt-neg-hs256.jwt", ATLS_E_UNSUPPORTED, ATLS_OK},
        {"jwt-neg-alg-none.jwt", ATLS_E_DECODE, ATLS_OK}, /* no signature either */
        {"jwt-neg-leading-dot.jwt", ATLS_E_DECODE, ATLS_OK},
        {"jwt-neg-trailing.jwt", ATLS_E_DECODE, ATLS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        struct atls_buf file;
        struct atls_bytes token;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_jws jws;
        struct atls_ear ear;

        print_message("%s\n", rows[i].file);
        snprintf(path, sizeof path, "ear/%s", rows[i].file);
        file = test_vector(path);
        token = atls_buf_bytes(&file);
        while (token.len > 0 && token.ptr[token.len - 1] == '\n')
            token.len--;
        test_assert_code(atls_jws_decode(token, &jws, &err), rows[i].jws, &err);
        if (rows[i].jws == ATLS_OK) {
            test_assert_code(atls_ear_json_decode(atls_buf_bytes(&jws.payload), 0, &ear, &err),
                             rows[i].ear, &err);
            if (rows[i].ear == ATLS_OK)
                atls_ear_clear(&ear);
            atls_jws_clear(&jws);
        }
        atls_buf_clear(&file);
    }
}

#define P23 "\"eat_profile\":\"tag:github.com,2023:veraison/ear\""
#define P02 "\"eat_profile\":\"tag:ietf.org,2025-07:ear\""
#define P03 "\"eat_profile\":\"tag:ietf.org,2026:rats/ear#03\""
#define P04 "\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\""
#define IAT ",\"iat\":100"
#define VD  ",\"ear.verifier-id\":{\"developer\":\"d\",\"build\":\"b\"}"
#define VU  ",\"ear_verifier_id\":{\"developer\":\"d\",\"build\":\"b\"}"
#define SD  ",\"submods\":{\"a\":{\"ear.status\":\"affirming\"}}"
#define SU  ",\"submods\":{\"a\":{\"ear_status\":\"affirming\"}}"
#define NEW P04 IAT VU
#define OLD P23 IAT VD
/* A -04 token of one submodule with these members beside its status. */
#define SUB(status, more)       "{" NEW ",\"submods\":{\"a\":{\"ear_status\":\"" status "\"" more "}}}"
#define VECTOR(status, members) SUB(status, ",\"ear_trustworthiness_vector\":{" members "}")
#define AKPUB(key)              ",\"ear_veraison_key_attestation\":{\"akpub\":\"" key "\"}"
/* A key on P-256, and the smallest SubjectPublicKeyInfo there can be, of an OID without parameters.
 */
#define SPKI                                                                                       \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcjSp8_MWM3gy8TugWO1TpQSj_vIksLpC-g8l5S3lpGb7PWWGoCAjEP8_" \
    "A59V"                                                                                         \
    "ZwLXgwoZzN0WxuBPjpaWiWsfCQ"
#define SMALLEST_SPKI "MAowBAYCKgMDAgBC"
#define TOP(more)     "{" NEW SU "," more "}"

static void members_are_checked(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_code want;
        const char *text; /* in the error */
    } rows[] = {
        {"smallest of 2023", "{" OLD SD "}", ATLS_OK, NULL},
        {"smallest of -02", "{" P02 IAT VD SD "}", ATLS_OK, NULL},
        {"smallest of -03", "{" P03 IAT VU SU "}", ATLS_OK, NULL},
        {"smallest of -04", "{" NEW SU "}", ATLS_OK, NULL},
        {"alias of Trustee",
         "{\"eat_profile\":\"tag:github.com,2024:confidential-containers/Trustee\"" IAT VD SD "}",
         ATLS_OK, NULL},
        {"unknown members are ignored", TOP("\"jti\":\"x\",\"example\":{}"), ATLS_OK, NULL},

        {"no profile", "{\"iat\":100" VU SU "}", ATLS_E_DECODE, "eat_profile"},
        {"unknown profile", "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#05\"" IAT VU SU "}",
         ATLS_E_UNSUPPORTED, "#05"},
        {"profile in capitals", "{\"eat_profile\":\"TAG:ietf.org,2026:rats/ear#04\"" IAT VU SU "}",
         ATLS_E_UNSUPPORTED, "TAG"},
        {"profile is no text", "{\"eat_profile\":4" IAT VU SU "}", ATLS_E_DECODE, "eat_profile"},
        {"no iat", "{" P04 VU SU "}", ATLS_E_DECODE, "iat"},
        {"iat as float", "{" P04 ",\"iat\":1.0" VU SU "}", ATLS_E_DECODE, "iat"},
        {"iat as text", "{" P04 ",\"iat\":\"1\"" VU SU "}", ATLS_E_DECODE, "iat"},
        {"iat negative", "{" P04 ",\"iat\":-1" VU SU "}", ATLS_E_DECODE, "iat"},
        {"iat 0", "{" P04 ",\"iat\":0" VU SU "}", ATLS_OK, NULL},
        {"iat beyond 64 bits", "{" P04 ",\"iat\":9223372036854775808" VU SU "}", ATLS_E_DECODE,
         "claims set"},
        {"exp before iat", TOP("\"exp\":99"), ATLS_E_DECODE, "exp"},
        {"exp at iat", TOP("\"exp\":100"), ATLS_OK, NULL},
        {"exp as float", TOP("\"exp\":100.5"), ATLS_E_DECODE, "exp"},
        {"nbf as text", TOP("\"nbf\":\"1\""), ATLS_E_DECODE, "nbf"},
        {"no verifier", "{" P04 IAT SU "}", ATLS_E_DECODE, "ear_verifier_id"},
        {"verifier without build", "{" P04 IAT ",\"ear_verifier_id\":{\"developer\":\"d\"}" SU "}",
         ATLS_E_DECODE, "build"},
        {"verifier without developer", "{" P04 IAT ",\"ear_verifier_id\":{\"build\":\"b\"}" SU "}",
         ATLS_E_DECODE, "developer"},
        {"empty developer",
         "{" P04 IAT ",\"ear_verifier_id\":{\"developer\":\"\",\"build\":\"b\"}" SU "}",
         ATLS_E_DECODE, "developer"},
        {"no submods", "{" NEW "}", ATLS_E_DECODE, "submods"},
        {"empty submods", "{" NEW ",\"submods\":{}}", ATLS_E_DECODE, "submods"},
        {"submods as array", "{" NEW ",\"submods\":[{}]}", ATLS_E_DECODE, "submods"},
        {"submodule that is no object", "{" NEW ",\"submods\":{\"a\":\"affirming\"}}",
         ATLS_E_DECODE, "\"a\""},

        {"names with dots under -04", "{" P04 IAT VD SD "}", ATLS_E_DECODE, "ear.verifier-id"},
        {"names with underscores under 2023", "{" P23 IAT VU SU "}", ATLS_E_DECODE,
         "ear_verifier_id"},
        {"mixed at the top", TOP("\"ear.raw-evidence\":\"AA\""), ATLS_E_DECODE, "ear.raw-evidence"},
        {"mixed in a submodule", SUB("affirming", ",\"ear.status\":\"affirming\""), ATLS_E_DECODE,
         "ear.status"},
        {"claim that 2023 lacks", "{" OLD SD ",\"ear_device_topology\":{\"a\":[\"b\"]}}",
         ATLS_E_DECODE, "ear_device_topology"},

        {"status none", SUB("none", ""), ATLS_OK, NULL},
        {"status in capitals", SUB("Affirming", ""), ATLS_E_DECODE, "ear_status"},
        {"status of another word", SUB("trusted", ""), ATLS_E_DECODE, "ear_status"},
        {"no status", "{" NEW ",\"submods\":{\"a\":{}}}", ATLS_E_DECODE, "ear_status"},
        {"status as number", "{" NEW ",\"submods\":{\"a\":{\"ear_status\":2}}}", ATLS_E_DECODE,
         "ear_status"},
        {"overall status as the worst", TOP("\"ear_status\":\"affirming\""), ATLS_OK, NULL},
        {"no overall statement",
         "{" NEW ",\"ear_status\":\"none\",\"submods\":{\"a\":{\"ear_status\":\"warning\"}}}",
         ATLS_OK, NULL},
        {"overall status better than the worst",
         "{" NEW ",\"ear_status\":\"affirming\",\"submods\":{\"a\":{\"ear_status\":\"affirming\"},"
         "\"b\":{\"ear_status\":\"warning\"}}}",
         ATLS_E_DECODE, "worst submodule"},
        {"overall status of another word", TOP("\"ear_status\":\"ok\""), ATLS_E_DECODE,
         "ear_status"},
        {"overall status in 2023", "{" OLD SD ",\"ear.status\":\"affirming\"}", ATLS_E_DECODE,
         "outside a submodule"},

        {"vector", VECTOR("affirming", "\"hardware\":2,\"executables\":-2,\"configuration\":0"),
         ATLS_OK, NULL},
        {"edges of the vector's values",
         VECTOR("contraindicated", "\"hardware\":127,"
                                   "\"executables\":-128"),
         ATLS_OK, NULL},
        {"empty vector", VECTOR("affirming", ""), ATLS_E_DECODE, "vector"},
        {"vector as array", SUB("affirming", ",\"ear_trustworthiness_vector\":[2]"), ATLS_E_DECODE,
         "vector"},
        {"unknown claim", VECTOR("affirming", "\"software\":2"), ATLS_E_DECODE, "software"},
        {"claim with underscore", VECTOR("affirming", "\"file_system\":2"), ATLS_E_DECODE,
         "file_system"},
        {"value too large", VECTOR("contraindicated", "\"hardware\":128"), ATLS_E_DECODE,
         "hardware"},
        {"value too small", VECTOR("contraindicated", "\"hardware\":-129"), ATLS_E_DECODE,
         "hardware"},
        {"value as float", VECTOR("affirming", "\"hardware\":2.0"), ATLS_E_DECODE, "hardware"},
        {"value as text", VECTOR("affirming", "\"hardware\":\"2\""), ATLS_E_DECODE, "hardware"},
        {"status better than a warning", VECTOR("affirming", "\"hardware\":32"), ATLS_E_DECODE,
         "better than the vector"},
        {"status better than a contraindication", VECTOR("warning", "\"hardware\":-97"),
         ATLS_E_DECODE, "better than the vector"},
        {"no statement over a contraindication", VECTOR("none", "\"hardware\":96"), ATLS_E_DECODE,
         "better than the vector"},
        {"status worse than the vector", VECTOR("contraindicated", "\"hardware\":2"), ATLS_OK,
         NULL},

        {"policies", SUB("affirming", ",\"ear_appraisal_policy_ids\":[\"p\",\"q\"]"), ATLS_OK,
         NULL},
        {"empty list of policies", SUB("affirming", ",\"ear_appraisal_policy_ids\":[]"),
         ATLS_E_DECODE, "policy"},
        {"one policy where a list is due", SUB("affirming", ",\"ear_appraisal_policy_ids\":\"p\""),
         ATLS_E_DECODE, "policy"},
        {"policy that is no text", SUB("affirming", ",\"ear_appraisal_policy_ids\":[\"p\",1]"),
         ATLS_E_DECODE, "policy"},
        {"list where one policy is due",
         "{" OLD ",\"submods\":{\"a\":{\"ear.status\":\"none\",\"ear.appraisal-policy-id\":"
         "[\"p\"]}}}",
         ATLS_E_DECODE, "policy"},

        {"claims of attester and verifier",
         SUB("affirming", ",\"ear_attester_claims\":{\"a\":1},\"ear_verifier_claims\":{\"b\":1}"),
         ATLS_OK, NULL},
        {"empty attester claims", SUB("affirming", ",\"ear_attester_claims\":{}"), ATLS_E_DECODE,
         "ear_attester_claims"},
        {"verifier claims as text", SUB("affirming", ",\"ear_verifier_claims\":\"x\""),
         ATLS_E_DECODE, "ear_verifier_claims"},

        {"key", SUB("affirming", AKPUB(SPKI)), ATLS_OK, NULL},
        {"key of an algorithm that we do not know", SUB("affirming", AKPUB(SMALLEST_SPKI)), ATLS_OK,
         NULL},
        {"key with parameters", SUB("affirming", AKPUB("MAwwBgYCKgMFAAMCAEI")), ATLS_OK, NULL},
        {"key with a byte behind it",
         SUB("affirming", AKPUB("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcjSp8_MWM3gy8TugWO1TpQSj_"
                                "vIksLpC-g8l5S3lpGb7PWWGoCAjEP8_A59VZwLXgwoZzN0WxuBPjpaWiWsfCQA")),
         ATLS_E_DECODE, "not one SEQUENCE"},
        {"key cut",
         SUB("affirming", AKPUB("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcjSp8_MWM3gy8TugWO1TpQSj_"
                                "vIksLpC-g8l5S3lpGb7PWWGoCAjEP8_A59VZwLXgwoZzN0WxuBPjpaWiWsf")),
         ATLS_E_DECODE, "not one SEQUENCE"},
        {"two keys",
         SUB("affirming",
             AKPUB("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcjSp8_MWM3gy8TugWO1TpQSj_vIksLpC-"
                   "g8l5S3lpGb7PWWGoCAjEP8_"
                   "A59VZwLXgwoZzN0WxuBPjpaWiWsfCTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHI0qfPzFjN4MvE"
                   "7oFjtU6UEo_7yJLC6QvoPJeUt5aRm-z1lhqAgIxD_PwOfVWcC14MKGczdFsbgT46WlolrHwk")),
         ATLS_E_DECODE, "not one SEQUENCE"},
        {"key that is no DER", SUB("affirming", AKPUB("AQID")), ATLS_E_DECODE, "not one SEQUENCE"},
        {"key in a length that is not the shortest", SUB("affirming", AKPUB("MIEKMAQGAioDAwIAQg")),
         ATLS_E_DECODE, "not one SEQUENCE"},
        {"key without its algorithm", SUB("affirming", AKPUB("MAQDAgBC")), ATLS_E_DECODE,
         "not algorithm and BIT STRING"},
        {"key with an empty algorithm", SUB("affirming", AKPUB("MAYwAAMCAEI")), ATLS_E_DECODE,
         "algorithm is not an OID"},
        {"key with an algorithm that is no OID", SUB("affirming", AKPUB("MAkwAwIBAQMCAEI")),
         ATLS_E_DECODE, "algorithm is not an OID"},
        {"key with two parameters", SUB("affirming", AKPUB("MA4wCAYCKgMFAAUAAwIAQg")),
         ATLS_E_DECODE, "algorithm is not an OID"},
        {"key with unused bits", SUB("affirming", AKPUB("MAowBAYCKgMDAgFC")), ATLS_E_DECODE,
         "whole bytes"},
        {"key of no bytes", SUB("affirming", AKPUB("MAkwBAYCKgMDAQA")), ATLS_E_DECODE,
         "key is empty"},
        {"certificate in place of a key", SUB("affirming", AKPUB("MA4wCjAEBgIqAwMCAEIFAA")),
         ATLS_E_DECODE, "not algorithm and BIT STRING"},
        {"key with padding",
         SUB("affirming", ",\"ear_veraison_key_attestation\":{\"akpub\":\"AQ==\"}"), ATLS_E_DECODE,
         "akpub"},
        {"empty key", SUB("affirming", ",\"ear_veraison_key_attestation\":{\"akpub\":\"\"}"),
         ATLS_E_DECODE, "akpub"},
        {"key attestation without key", SUB("affirming", ",\"ear_veraison_key_attestation\":{}"),
         ATLS_E_DECODE, "ear_veraison_key_attestation"},
        {"key that is no text", SUB("affirming", ",\"ear_veraison_key_attestation\":{\"akpub\":1}"),
         ATLS_E_DECODE, "ear_veraison_key_attestation"},

        {"raw evidence of -03", "{" P03 IAT VU SU ",\"ear_raw_evidence\":\"AQID\"}", ATLS_OK, NULL},
        {"raw evidence of -03 with padding", "{" P03 IAT VU SU ",\"ear_raw_evidence\":\"AQ==\"}",
         ATLS_E_DECODE, "ear_raw_evidence"},
        {"raw evidence of -03 as CMW",
         "{" P03 IAT VU SU ",\"ear_raw_evidence\":[\"text/plain\",\"AQID\"]}", ATLS_E_DECODE,
         "ear_raw_evidence"},
        {"raw evidence of -04", TOP("\"ear_raw_evidence\":[\"text/plain\",\"AQID\"]"), ATLS_OK,
         NULL},
        {"raw evidence of -04 as bytes", TOP("\"ear_raw_evidence\":\"AQID\""), ATLS_E_DECODE, ""},
        {"raw evidence of -04 as collection",
         TOP("\"ear_raw_evidence\":{\"a\":[\"text/plain\",\"AQID\"]}"), ATLS_E_DECODE, "no record"},

        {"topology", TOP("\"ear_device_topology\":{\"a\":[\"b\"]}"), ATLS_OK, NULL},
        {"empty topology", TOP("\"ear_device_topology\":{}"), ATLS_E_DECODE, "ear_device_topology"},
        {"empty list in the topology", TOP("\"ear_device_topology\":{\"a\":[]}"), ATLS_E_DECODE,
         "\"a\""},
        {"number in the topology", TOP("\"ear_device_topology\":{\"a\":[\"b\",1]}"), ATLS_E_DECODE,
         "\"a\""},

        {"member twice", "{" NEW SU IAT "}", ATLS_E_DECODE, "claims set"},
        {"status twice", SUB("affirming", ",\"ear_status\":\"affirming\""), ATLS_E_DECODE,
         "claims set"},
        {"array", "[]", ATLS_E_DECODE, "claims set"},
        {"NaN", "{" P04 ",\"iat\":NaN" VU SU "}", ATLS_E_DECODE, "claims set"},
        {"something behind the object", "{" NEW SU "}{}", ATLS_E_DECODE, "claims set"},
        {"NUL in a text", TOP("\"x\":\"\\u0000\""), ATLS_E_DECODE, "claims set"},
        {"no UTF-8", TOP("\"x\":\"\xff\""), ATLS_E_DECODE, "claims set"},
        {"empty", "", ATLS_E_LIMIT, "0 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct atls_ear ear;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        memset(&ear, 0, sizeof ear);
        test_assert_code(decode(rows[i].json, &ear, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            assert_int_equal(ear.submod_count, 1);
        else
            assert_int_equal(ear.submod_count, 0);
        if (rows[i].text != NULL && strstr(err.message, rows[i].text) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", rows[i].text, err.message);
        atls_ear_clear(&ear);
    }
}

static void nonces_in_every_spelling(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_code want;
        size_t count;
    } rows[] = {
        {"without padding", "\"-_8BAgMEBQY\"", ATLS_OK, 1},
        {"with padding", "\"-_8BAgMEBQY=\"", ATLS_OK, 1},
        {"of the other alphabet", "\"+/8BAgMEBQY=\"", ATLS_OK, 1},
        {"of the other alphabet without padding", "\"+/8BAgMEBQY\"", ATLS_OK, 1},
        {"two", "[\"-_8BAgMEBQY\",\"-_8BAgMEBQY\"]", ATLS_OK, 2},
        {"64 octets",
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAA==\"",
         ATLS_OK, 1},
        {"7 octets", "\"-_8BAgMEBQ==\"", ATLS_E_DECODE, 0},
        {"6 octets, 8 characters", "\"AAAAAAAA\"", ATLS_E_DECODE, 0},
        {"66 octets",
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAA\"",
         ATLS_E_DECODE, 0},
        {"89 characters",
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAA\"",
         ATLS_E_DECODE, 0},
        {"three characters of padding", "\"AAAAAAAAAAAA-===\"", ATLS_E_DECODE, 0},
        {"spare bits", "\"-_8BAgMEBQb\"", ATLS_E_DECODE, 0},
        {"space", "\"-_8BAgMEBQ Y\"", ATLS_E_DECODE, 0},
        {"number", "12345678", ATLS_E_DECODE, 0},
        {"array of one", "[\"-_8BAgMEBQY\"]", ATLS_E_DECODE, 0},
        {"empty array", "[]", ATLS_E_DECODE, 0},
        {"array of five",
         "[\"-_8BAgMEBQY\",\"-_8BAgMEBQY\",\"-_8BAgMEBQY\",\"-_8BAgMEBQY\",\"-_8BAgMEBQY\"]",
         ATLS_E_DECODE, 0},
        {"array with a number", "[\"-_8BAgMEBQY\",1]", ATLS_E_DECODE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct atls_ear ear;
        struct atls_err err = ATLS_ERR_INIT;
        char json[1024];

        print_message("%s\n", rows[i].name);
        snprintf(json, sizeof json, "{" NEW SU ",\"eat_nonce\":%s}", rows[i].json);
        test_assert_code(decode(json, &ear, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK)
            continue;
        assert_int_equal(ear.nonce_count, rows[i].count);
        if (ear.nonces[0].len == 8)
            test_assert_bytes(ear.nonces[0], atls_bytes_of("\xfb\xff\x01\x02\x03\x04\x05\x06", 8));
        else
            assert_int_equal(ear.nonces[0].len, 64);
        atls_ear_clear(&ear);
    }
}

static void values_arrive(void **state)
{
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(decode("{" NEW ",\"exp\":200,\"nbf\":90,\"submods\":{\"TPM\":{\"ear_status\":"
                            "\"warning\",\"ear_trustworthiness_vector\":{\"instance-identity\":2,"
                            "\"sourced-data\":-33},\"ear_appraisal_policy_ids\":[\"p\"],"
                            "\"ear_veraison_key_attestation\":{\"akpub\":\"" SMALLEST_SPKI "\"}}}}",
                            &ear, &err),
                     ATLS_OK, &err);
    assert_int_equal(ear.version, ATLS_EAR_04);
    assert_int_equal(ear.issued_at_s, 100);
    assert_true(ear.has_expiry && ear.has_not_before);
    assert_int_equal(ear.expiry_s, 200);
    assert_int_equal(ear.not_before_s, 90);
    test_assert_bytes(ear.developer, atls_bytes_of("d", 1));
    test_assert_bytes(ear.build, atls_bytes_of("b", 1));
    test_assert_bytes(ear.submods[0].name, atls_bytes_of("TPM", 3));
    test_assert_bytes(ear.submods[0].policy_ids[0], atls_bytes_of("p", 1));
    test_assert_bytes(ear.submods[0].key,
                      atls_bytes_of("\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42", 12));
    assert_int_equal(ear.submods[0].trust[ATLS_TRUST_INSTANCE_IDENTITY], 2);
    assert_int_equal(ear.submods[0].trust[ATLS_TRUST_SOURCED_DATA], -33);
    atls_ear_clear(&ear);
}

static void submodules_and_bytes_are_limited(void **state)
{
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;
    char json[2048];
    size_t used = 0;
    struct atls_buf big = {malloc(ATLS_EAR_MAX + 1), ATLS_EAR_MAX + 1};

    (void)state;
    for (int count = ATLS_EAR_SUBMODS_MAX; count <= ATLS_EAR_SUBMODS_MAX + 1; count++) {
        used = (size_t)snprintf(json, sizeof json, "{" NEW ",\"submods\":{");
        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(json + used, sizeof json - used,
                                     "%s\"s%d\":{\"ear_status\":\"none\"}", i > 0 ? "," : "", i);
        snprintf(json + used, sizeof json - used, "}}");
        test_assert_code(decode(json, &ear, &err),
                         count > ATLS_EAR_SUBMODS_MAX ? ATLS_E_LIMIT : ATLS_OK, &err);
        if (count <= ATLS_EAR_SUBMODS_MAX)
            atls_ear_clear(&ear);
    }
    assert_non_null(big.ptr);
    memset(big.ptr, ' ', big.len);
    memcpy(big.ptr, "{" NEW SU "}", strlen("{" NEW SU "}"));
    test_assert_code(atls_ear_json_decode(atls_buf_bytes(&big), 0, &ear, &err), ATLS_E_LIMIT, &err);
    big.len--;
    test_assert_code(atls_ear_json_decode(atls_buf_bytes(&big), 0, &ear, &err), ATLS_OK, &err);
    atls_ear_clear(&ear);
    atls_buf_clear(&big);
}

static void claims_become_a_tree(void **state)
{
    static struct atls_ear ear;
    const struct atls_ear_value *c, *v;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(
        decode("{" NEW ",\"jti\":\"id\",\"ear_status\":\"none\",\"ear_raw_evidence\":"
               "[\"application/eat+cwt\",\"AQID\"],\"submods\":{\"a\":{\"ear_status\":\"none\","
               "\"ear_appraisal_policy_ids\":[\"p\",\"q\"],"
               "\"ear_attester_claims\":{\"t\":\"x\",\"n\":-7,\"r\":1.5,\"y\":true,\"f\":false,"
               "\"z\":null,\"a\":[1,{\"b\":[]}]},\"ear_verifier_claims\":{\"k\":1}}}}",
               &ear, &err),
        ATLS_OK, &err);
    test_assert_bytes(ear.id, atls_bytes_of("id", 2));
    assert_true(ear.has_status);
    assert_int_equal(ear.status, ATLS_TIER_NONE);
    test_assert_bytes(ear.raw_evidence, atls_bytes_of("\1\2\3", 3));
    test_assert_bytes(ear.raw_evidence_type, atls_bytes_of("application/eat+cwt", 19));
    assert_int_equal(ear.submods[0].policy_count, 2);
    test_assert_bytes(ear.submods[0].policy_ids[1], atls_bytes_of("q", 1));
    c = &ear.submods[0].attester_claims;
    assert_int_equal(c->count, 7);
    test_assert_bytes(atls_ear_value_get(c, "t")->bytes, atls_bytes_of("x", 1));
    assert_int_equal(atls_ear_value_get(c, "n")->u.integer, -7);
    assert_true(atls_ear_value_get(c, "r")->u.real == 1.5);
    assert_true(atls_ear_value_get(c, "y")->u.boolean);
    assert_false(atls_ear_value_get(c, "f")->u.boolean);
    assert_int_equal(atls_ear_value_get(c, "z")->kind, ATLS_EAR_VALUE_NULL);
    v = atls_ear_value_get(c, "a");
    assert_int_equal(v->kind, ATLS_EAR_VALUE_ARRAY);
    assert_int_equal(v->items[0].u.integer, 1);
    assert_int_equal(atls_ear_value_get(&v->items[1], "b")->count, 0);
    assert_int_equal(atls_ear_value_get(&ear.submods[0].verifier_claims, "k")->u.integer, 1);
    atls_ear_clear(&ear);
}

/* Extensions of a maker before -04: annotated evidence and claims of the policy. */
static void older_versions_have_claims_too(void **state)
{
    static const struct {
        const char *name, *json;
        size_t attester, verifier;
    } rows[] = {
        {"2023",
         "{" OLD ",\"submods\":{\"a\":{\"ear.status\":\"none\",\"ear.veraison.annotated-evidence\":"
         "{\"x\":1,\"y\":2},\"ear.veraison.policy-claims\":{\"problem\":\"p\"}}}}",
         2, 1},
        {"-03",
         "{" P03 IAT VU ",\"submods\":{\"a\":{\"ear_status\":\"none\","
         "\"ear_veraison_annotated_evidence\":{\"x\":1},\"ear_attester_claims\":{\"y\":1,"
         "\"z\":1}}}}",
         1, 0},
        {"what is no object is none of ours",
         "{" OLD ",\"submods\":{\"a\":{\"ear.status\":\"none\",\"ear.veraison.annotated-evidence\":"
         "\"x\",\"ear.veraison.policy-claims\":{}}}}",
         0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct atls_ear ear;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(decode(rows[i].json, &ear, &err), ATLS_OK, &err);
        assert_int_equal(ear.submods[0].attester_claims.count, rows[i].attester);
        assert_int_equal(ear.submods[0].verifier_claims.count, rows[i].verifier);
        atls_ear_clear(&ear);
    }
}

/* Published tokens of 2023 have them; nobody else may. */
static void float_times_are_read_when_asked_for(void **state)
{
    static const struct {
        const char *name, *json;
        unsigned int flags;
        int64_t want; /* -1: refused */
    } rows[] = {
        {"integral", "{" P23 ",\"iat\":1.666529184e+09" VD SD "}", ATLS_EAR_FLOAT_TIMES,
         1666529184},
        {"not asked for", "{" P23 ",\"iat\":1.666529184e+09" VD SD "}", 0, -1},
        {"of -02", "{" P02 ",\"iat\":1.0" VD SD "}", ATLS_EAR_FLOAT_TIMES, -1},
        {"of -04", "{" P04 ",\"iat\":1.0" VU SU "}", ATLS_EAR_FLOAT_TIMES, -1},
        {"with a fraction", "{" P23 ",\"iat\":1.5" VD SD "}", ATLS_EAR_FLOAT_TIMES, -1},
        {"negative", "{" P23 ",\"iat\":-1.0" VD SD "}", ATLS_EAR_FLOAT_TIMES, -1},
        {"at 2^53 - 1", "{" P23 ",\"iat\":9007199254740991.0" VD SD "}", ATLS_EAR_FLOAT_TIMES,
         INT64_C(9007199254740991)},
        {"beyond 2^53", "{" P23 ",\"iat\":9007199254740994.0" VD SD "}", ATLS_EAR_FLOAT_TIMES, -1},
        {"as text all the same", "{" P23 ",\"iat\":\"1\"" VD SD "}", ATLS_EAR_FLOAT_TIMES, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct atls_ear ear;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_ear_json_decode(atls_bytes_of(rows[i].json, strlen(rows[i].json)),
                                              rows[i].flags, &ear, &err),
                         rows[i].want < 0 ? ATLS_E_DECODE : ATLS_OK, &err);
        if (rows[i].want < 0)
            continue;
        assert_int_equal(ear.issued_at_s, rows[i].want);
        atls_ear_clear(&ear);
    }
}

static void claims_and_policies_are_limited(void **state)
{
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;
    char json[4096];

    (void)state;
    for (int depth = ATLS_EAR_VALUE_DEPTH_MAX; depth <= ATLS_EAR_VALUE_DEPTH_MAX + 1; depth++) {
        size_t used = (size_t)snprintf(json, sizeof json,
                                       "{" NEW ",\"submods\":{\"a\":{\"ear_status\":\"none\","
                                       "\"ear_attester_claims\":{\"x\":");

        for (int i = 1; i < depth; i++)
            json[used++] = '[';
        for (int i = 1; i < depth; i++)
            json[used++] = ']';
        snprintf(json + used, sizeof json - used, "}}}}");
        test_assert_code(decode(json, &ear, &err),
                         depth > ATLS_EAR_VALUE_DEPTH_MAX ? ATLS_E_LIMIT : ATLS_OK, &err);
        if (depth <= ATLS_EAR_VALUE_DEPTH_MAX)
            atls_ear_clear(&ear);
    }
    for (int count = ATLS_EAR_POLICIES_MAX; count <= ATLS_EAR_POLICIES_MAX + 1; count++) {
        size_t used = (size_t)snprintf(json, sizeof json,
                                       "{" NEW ",\"submods\":{\"a\":{\"ear_status\":\"none\","
                                       "\"ear_appraisal_policy_ids\":[");

        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(json + used, sizeof json - used, "%s\"p\"", i > 0 ? "," : "");
        snprintf(json + used, sizeof json - used, "]}}}");
        test_assert_code(decode(json, &ear, &err),
                         count > ATLS_EAR_POLICIES_MAX ? ATLS_E_LIMIT : ATLS_OK, &err);
        if (count <= ATLS_EAR_POLICIES_MAX)
            atls_ear_clear(&ear);
    }
}

static void every_truncation_is_refused(void **state)
{
    static const char json[] = VECTOR("warning", "\"hardware\":32");
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t len = 1; len < sizeof json - 1; len++)
        test_assert_code(atls_ear_json_decode(atls_bytes_of(json, len), 0, &ear, &err),
                         ATLS_E_DECODE, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_claims_sets),
        cmocka_unit_test(submodules_of_services),
        cmocka_unit_test(published_tokens),
        cmocka_unit_test(members_are_checked),
        cmocka_unit_test(nonces_in_every_spelling),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(submodules_and_bytes_are_limited),
        cmocka_unit_test(claims_become_a_tree),
        cmocka_unit_test(older_versions_have_claims_too),
        cmocka_unit_test(float_times_are_read_when_asked_for),
        cmocka_unit_test(claims_and_policies_are_limited),
        cmocka_unit_test(every_truncation_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
