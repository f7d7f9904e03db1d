#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "claims.h"
#include "wire/psa.h"

#define A32   "1111111111111111111111111111111111111111111111111111111111111111"
#define H31   "581f11111111111111111111111111111111111111111111111111111111111111"
#define H32   "5820" A32
#define H48   "583011111111111111111111111111111111" A32
#define H64   "5840" A32 A32
#define UEID  "582101" A32
#define PART  "a202" H32 "05" H32
#define PARTS "81" PART
#define URL   "6b68747470733a2f2f612f62" /* 11 characters */
#define RFC                                                                                        \
    "7821"                                                                                         \
    "7461673a7073616365727469666965642e6f72672c323032333a7073612374666d"
#define V200                                                                                       \
    "7818"                                                                                         \
    "687474703a2f2f61726d2e636f6d2f7073612f322e302e30"
#define FIRST                                                                                      \
    "71"                                                                                           \
    "5053415f494f545f50524f46494c455f31"
#define EAN "6d31323334353637383930313233"
#define EAN_5                                                                                      \
    "7331323334353637383930313233"                                                                 \
    "2d3132333435"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct test_claim rfc9783[] = {
    {265, RFC},       {10, H32},   {256, UEID},   {2394, "1a7fffffff"},
    {2395, "193000"}, {2396, H32}, {2399, PARTS},
};
static const struct test_claim v2_0_0[] = {
    {265, V200}, {10, H32},   {256, UEID},   {2394, "20"},  {2395, "1930ff"},
    {2396, H32}, {2397, H32}, {2398, EAN_5}, {2399, PARTS}, {2400, URL},
};
static const struct test_claim profile_1[] = {
    {-75001, "01"},  {-75002, "193000"}, {-75003, H32},  {-75004, H32},
    {-75006, PARTS}, {-75008, H32},      {-75009, UEID},
};

struct row {
    const char *name;
    int64_t key;
    const char *hex; /* NULL: the claim is left out */
    enum atls_code want;
    const char *message;
};

static const struct row rows_rfc9783[] = {
    {"all that must be", 2394, "01", ATLS_OK, NULL},
    {"nonce of 48", 10, H48, ATLS_OK, NULL},
    {"nonce of 64", 10, H64, ATLS_OK, NULL},
    {"no nonce", 10, NULL, ATLS_E_DECODE, "nonce"},
    {"nonce of 31", 10, H31, ATLS_E_DECODE, "nonce"},
    {"two nonces", 10, "82" H32 H32, ATLS_E_DECODE, "nonce"},
    {"one nonce in an array", 10, "81" H32, ATLS_E_DECODE, "nonce"},
    {"nonce as text", 10, "7820" A32, ATLS_E_DECODE, "nonce"},
    {"no instance id", 256, NULL, ATLS_E_DECODE, "instance id"},
    {"instance id of 32", 256, H32, ATLS_E_DECODE, "instance id"},
    {"instance id of type 02", 256, "582102" A32, ATLS_E_DECODE, "does not begin with 01"},
    {"profile in the wrong type", 265, H32, ATLS_E_DECODE, "profile (265)"},
    {"profile empty", 265, "60", ATLS_E_DECODE, "profile (265)"},
    {"profile unknown", 265, "6161", ATLS_E_UNSUPPORTED, "\"a\" is not known"},
    {"profile of the media type of profile 1", 265,
     "78247461673a7073616365727469666965642e6f72672c323031393a707361236c6567616379",
     ATLS_E_UNSUPPORTED, "is not known"},
    {"client id least", 2394, "3a7fffffff", ATLS_OK, NULL},
    {"client id 0", 2394, "00", ATLS_E_DECODE, "client id"},
    {"client id of 33 bits", 2394, "1a80000000", ATLS_E_DECODE, "client id"},
    {"client id of 33 bits, negative", 2394, "3a80000000", ATLS_E_DECODE, "client id"},
    {"no client id", 2394, NULL, ATLS_E_DECODE, "client id"},
    {"no lifecycle", 2395, NULL, ATLS_E_DECODE, "lifecycle"},
    {"lifecycle between ranges", 2395, "193100", ATLS_E_DECODE, "lifecycle"},
    {"lifecycle above the ranges", 2395, "197000", ATLS_E_DECODE, "lifecycle"},
    {"lifecycle of 17 bits", 2395, "1a00013000", ATLS_E_DECODE, "lifecycle"},
    {"lifecycle negative", 2395, "20", ATLS_E_DECODE, "lifecycle"},
    {"no implementation id", 2396, NULL, ATLS_E_DECODE, "implementation id"},
    {"implementation id of 31", 2396, H31, ATLS_E_DECODE, "implementation id"},
    {"boot seed of 8", 268, "480000000000000000", ATLS_OK, NULL},
    {"boot seed of 32", 268, H32, ATLS_OK, NULL},
    {"boot seed of 7", 268, "4700000000000000", ATLS_E_DECODE, "boot seed"},
    {"boot seed of 33", 268, UEID, ATLS_E_DECODE, "boot seed"},
    {"boot seed under the key of 2.0.0", 2397, H32, ATLS_E_DECODE, "two profiles"},
    {"a claim of profile 1", -75010, URL, ATLS_E_DECODE, "two profiles"},
    {"profile of profile 1 beside", -75000, FIRST, ATLS_E_DECODE, "two profiles"},
    {"certification reference", 2398, EAN_5, ATLS_OK, NULL},
    {"certification reference of profile 1", 2398, EAN, ATLS_E_DECODE, "certification"},
    {"certification reference with a letter", 2398,
     "7361323334353637383930313233"
     "2d3132333435",
     ATLS_E_DECODE, "certification"},
    {"certification reference with a letter behind", 2398,
     "7331323334353637383930313233"
     "2d3132333461",
     ATLS_E_DECODE, "certification"},
    {"certification reference with a dot", 2398,
     "7331323334353637383930313233"
     "2e3132333435",
     ATLS_E_DECODE, "certification"},
    {"no components", 2399, NULL, ATLS_E_DECODE, "software components"},
    {"components of none", 2399, "80", ATLS_E_DECODE, "software components"},
    {"components no array", 2399, PART, ATLS_E_DECODE, "software components"},
    {"component no map", 2399, "8101", ATLS_E_DECODE, "no map"},
    {"two components", 2399, "82" PART PART, ATLS_OK, NULL},
    {"component with all", 2399, "81a60162424c02" H64 "0463312e3005" H48 "06675348412d32353607f6",
     ATLS_OK, NULL},
    {"component with a text key", 2399, "81a302" H32 "05" H32 "616101", ATLS_OK, NULL},
    {"component with a key of bytes", 2399, "81a302" H32 "05" H32 "416101", ATLS_E_DECODE,
     "key is neither"},
    {"component without value", 2399, "81a105" H32, ATLS_E_DECODE, "measurement"},
    {"component without signer", 2399, "81a102" H32, ATLS_E_DECODE, "signer id"},
    {"component value of 31", 2399, "81a202" H31 "05" H32, ATLS_E_DECODE, "measurement"},
    {"component signer of 31", 2399, "81a202" H32 "05" H31, ATLS_E_DECODE, "signer id"},
    {"component type no text", 2399, "81a3010102" H32 "05" H32, ATLS_E_DECODE, "type, version"},
    {"component version empty", 2399,
     "81a304"
     "6002" H32 "05" H32,
     ATLS_E_DECODE, "type, version"},
    {"component algorithm no text", 2399,
     "81a306"
     "0102" H32 "05" H32,
     ATLS_E_DECODE, "type, version"},
    {"component member twice", 2399, "81a302" H32 "02" H32 "05" H32, ATLS_E_DECODE, "duplicate"},
    {"no measurements is not of this profile", 0, "01", ATLS_OK, NULL},
    {"verification service", 2400, URL, ATLS_OK, NULL},
    {"verification service empty", 2400, "60", ATLS_E_DECODE, "verification service"},
    {"verification service no text", 2400, "01", ATLS_E_DECODE, "verification service"},
    {"unknown claim", 99999, "f97e00", ATLS_OK, NULL},
    {"indefinite length in an unknown claim", 99999, "9fff", ATLS_E_DECODE, "indefinite"},
};

static const struct row rows_2_0_0[] = {
    {"all claims", 2394, "01", ATLS_OK, NULL},
    {"no boot seed", 2397, NULL, ATLS_OK, NULL},
    {"boot seed of 8", 2397, "480000000000000000", ATLS_OK, NULL},
    {"boot seed of 7", 2397, "4700000000000000", ATLS_E_DECODE, "boot seed"},
    {"boot seed under the key of RFC 9783", 268, H32, ATLS_E_DECODE, "two profiles"},
    {"no components", 2399, NULL, ATLS_E_DECODE, "software components"},
    {"no measurements of profile 1", -75007, "01", ATLS_E_DECODE, "two profiles"},
};

static const struct row rows_profile_1[] = {
    {"profile not said", -75001, "01", ATLS_OK, NULL},
    {"profile said", -75000, FIRST, ATLS_OK, NULL},
    {"another profile said", -75000, RFC, ATLS_E_DECODE, "is not PSA_IOT_PROFILE_1"},
    {"profile no text", -75000, "01", ATLS_E_DECODE, "is not PSA_IOT_PROFILE_1"},
    {"no boot seed", -75004, NULL, ATLS_E_DECODE, "boot seed"},
    {"boot seed of 31", -75004, H31, ATLS_E_DECODE, "boot seed"},
    {"certification reference", -75005, EAN, ATLS_OK, NULL},
    {"certification reference with version", -75005, EAN_5, ATLS_OK, NULL},
    {"certification reference no number", -75005, "6d3132333435363738393031322d", ATLS_E_DECODE,
     "certification"},
    {"no components and nothing in their place", -75006, NULL, ATLS_E_DECODE,
     "software components"},
    {"no measurements beside components", -75007, "01", ATLS_E_DECODE, "beside components"},
    {"no measurements false", -75007, "00", ATLS_E_DECODE, "is not 1"},
    {"no nonce", -75008, NULL, ATLS_E_DECODE, "nonce"},
    {"no instance id", -75009, NULL, ATLS_E_DECODE, "instance id"},
    {"verification service", -75010, URL, ATLS_OK, NULL},
    {"nonce of another profile", 10, H32, ATLS_E_DECODE, "two profiles"},
};

/* From a block of the exact size. */
static enum atls_code decode(struct atls_bytes in, struct atls_arena *arena,
                             struct atls_psa_claims *out, struct atls_err *err)
{
    struct atls_buf copy;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_psa_claims_decode(atls_buf_bytes(&copy), arena, out, err);
    atls_buf_clear(&copy);
    return code;
}

static void check_rows(const struct test_claim *base, size_t base_count, const struct row *rows,
                       size_t count, enum atls_psa_profile profile)
{
    for (size_t i = 0; i < count; i++) {
        struct atls_buf in = test_claims(base, base_count, rows[i].key, rows[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_psa_claims claims = {.client_id = 77};

        print_message("  %s\n", rows[i].name);
        test_assert_code(decode(atls_buf_bytes(&in), &arena, &claims, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK) {
            assert_int_equal(claims.profile, profile);
            assert_int_equal(claims.lifecycle, ATLS_ARM_LIFECYCLE_SECURED);
        } else {
            assert_int_equal(claims.client_id, 77);
            if (strstr(err.message, rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, rows[i].message);
        }
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void rules_of_each_profile(void **state)
{
    (void)state;
    check_rows(rfc9783, COUNT(rfc9783), rows_rfc9783, COUNT(rows_rfc9783), ATLS_PSA_RFC9783);
    check_rows(v2_0_0, COUNT(v2_0_0), rows_2_0_0, COUNT(rows_2_0_0), ATLS_PSA_2_0_0);
    check_rows(profile_1, COUNT(profile_1), rows_profile_1, COUNT(rows_profile_1),
               ATLS_PSA_PROFILE_1);
}

static void no_measurements_in_place_of_components(void **state)
{
    struct test_claim base[COUNT(profile_1)];
    struct atls_arena arena = atls_arena_init(1 << 16);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_psa_claims claims;
    struct atls_buf in;

    (void)state;
    memcpy(base, profile_1, sizeof base);
    base[4].key = -75007;
    base[4].hex = "01";
    in = test_claims(base, COUNT(base), -75001, "01");
    test_assert_code(atls_psa_claims_decode(atls_buf_bytes(&in), &arena, &claims, &err), ATLS_OK,
                     &err);
    assert_true(claims.no_measurements);
    assert_int_equal(claims.component_count, 0);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static void every_truncation_and_trailing_byte(void **state)
{
    struct atls_buf in = test_claims(v2_0_0, COUNT(v2_0_0), 2394, "01");
    struct atls_buf longer = ATLS_BUF_INIT;
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_psa_claims claims;

    (void)state;
    for (size_t len = 0; len < in.len; len++)
        test_assert_code(decode(atls_bytes_of(in.ptr, len), &arena, &claims, &err), ATLS_E_DECODE,
                         &err);
    longer.ptr = calloc(1, in.len + 1);
    assert_non_null(longer.ptr);
    memcpy(longer.ptr, in.ptr, in.len);
    longer.len = in.len + 1;
    test_assert_code(decode(atls_buf_bytes(&longer), &arena, &claims, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "trailing"));
    atls_buf_clear(&longer);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static void components_up_to_the_limit(void **state)
{
    char *hex = malloc(8 + 65 * strlen(PART));

    (void)state;
    assert_non_null(hex);
    for (size_t count = 64; count <= 65; count++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_psa_claims claims;
        struct atls_buf in;

        strcpy(hex, count == 64 ? "9840" : "9841");
        for (size_t i = 0; i < count; i++)
            strcat(hex, PART);
        in = test_claims(rfc9783, COUNT(rfc9783), 2399, hex);
        test_assert_code(decode(atls_buf_bytes(&in), &arena, &claims, &err),
                         count == 64 ? ATLS_OK : ATLS_E_LIMIT, &err);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
    free(hex);
}

static void short_of_memory(void **state)
{
    struct atls_buf in = test_claims(rfc9783, COUNT(rfc9783), 2394, "01");
    struct atls_arena arena = atls_arena_init(8);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_psa_claims claims;

    (void)state;
    test_assert_code(atls_psa_claims_decode(atls_buf_bytes(&in), &arena, &claims, &err),
                     ATLS_E_NOMEM, &err);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static void states_of_the_lifecycle(void **state)
{
    static const struct {
        uint64_t value;
        bool known;
        enum atls_arm_lifecycle want;
        const char *name;
    } rows[] = {
        {0x0000, true, ATLS_ARM_LIFECYCLE_UNKNOWN, "unknown"},
        {0x00ff, true, ATLS_ARM_LIFECYCLE_UNKNOWN, "unknown"},
        {0x0100, false, ATLS_ARM_LIFECYCLE_UNKNOWN, NULL},
        {0x1000, true, ATLS_ARM_LIFECYCLE_ASSEMBLY_AND_TEST, "assembly-and-test"},
        {0x2001, true, ATLS_ARM_LIFECYCLE_ROT_PROVISIONING, "rot-provisioning"},
        {0x30ff, true, ATLS_ARM_LIFECYCLE_SECURED, "secured"},
        {0x3100, false, ATLS_ARM_LIFECYCLE_UNKNOWN, NULL},
        {0x4000, true, ATLS_ARM_LIFECYCLE_NON_ROT_DEBUG, "non-rot-debug"},
        {0x5000, true, ATLS_ARM_LIFECYCLE_RECOVERABLE_DEBUG, "recoverable-debug"},
        {0x60ff, true, ATLS_ARM_LIFECYCLE_DECOMMISSIONED, "decommissioned"},
        {0x6100, false, ATLS_ARM_LIFECYCLE_UNKNOWN, NULL},
        {0x7000, false, ATLS_ARM_LIFECYCLE_UNKNOWN, NULL},
        {0x13000, false, ATLS_ARM_LIFECYCLE_UNKNOWN, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum atls_arm_lifecycle got = ATLS_ARM_LIFECYCLE_UNKNOWN;

        assert_int_equal(atls_arm_lifecycle_of(rows[i].value, &got), rows[i].known);
        assert_int_equal(got, rows[i].want);
        if (rows[i].known)
            assert_string_equal(atls_arm_lifecycle_name(got), rows[i].name);
    }
}

static void profiles_of_media_types(void **state)
{
    static const struct {
        struct atls_bytes parameter;
        bool known;
        enum atls_psa_profile want;
    } rows[] = {
        {HEX("tag:psacertified.org,2023:psa#tfm"), true, ATLS_PSA_RFC9783},
        {HEX("tag:psacertified.org,2019:psa#legacy"), true, ATLS_PSA_PROFILE_1},
        {HEX("http://arm.com/psa/2.0.0"), true, ATLS_PSA_2_0_0},
        {HEX("PSA_IOT_PROFILE_1"), false, ATLS_PSA_PROFILE_1},
        {HEX(""), false, ATLS_PSA_PROFILE_1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum atls_psa_profile got = ATLS_PSA_PROFILE_1;

        assert_int_equal(atls_psa_profile_of(rows[i].parameter, &got), rows[i].known);
        assert_int_equal(got, rows[i].want);
    }
    assert_string_equal(atls_psa_profile_name(ATLS_PSA_PROFILE_1), "PSA_IOT_PROFILE_1");
}

/* Published claims sets with the verdicts of tests/vectors/eat/README.md. */
static void published_claims(void **state)
{
    static const struct {
        const char *file;
        enum atls_psa_profile want; /* 0: refused */
        const char *message;
    } rows[] = {
        {"eat/P1ClaimsAll.cbor", ATLS_PSA_PROFILE_1, NULL},
        {"eat/P1ClaimsTFM.cbor", ATLS_PSA_PROFILE_1, NULL},
        {"eat/P1ClaimsMandatoryOnly.cbor", ATLS_PSA_PROFILE_1, NULL},
        {"eat/P2ClaimsAll.cbor", ATLS_PSA_2_0_0, NULL},
        {"eat/P2ClaimsMandatoryOnly.cbor", ATLS_PSA_2_0_0, NULL},
        {"eat/psa-2_0_0_claims.cbor", ATLS_PSA_2_0_0, NULL},
        {"eat/P2ClaimsMissingMandatoryNonce.cbor", 0, "nonce"},
        {"eat/P2ClaimsInvalidMultiNonce.cbor", 0, "nonce"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_vector(rows[i].file);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_psa_claims claims;

        print_message("  %s\n", rows[i].file);
        test_assert_code(atls_psa_claims_decode(atls_buf_bytes(&in), &arena, &claims, &err),
                         rows[i].want == 0 ? ATLS_E_DECODE : ATLS_OK, &err);
        if (rows[i].want == 0)
            assert_non_null(strstr(err.message, rows[i].message));
        else
            assert_int_equal(claims.profile, rows[i].want);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

/* The same from the JSON notation of another library; its names stand for the keys of 2.0.0. */
static void published_claims_in_json(void **state)
{
    static const struct test_claim_name names[] = {
        {"eat-profile", 265, 't'},
        {"psa-client-id", 2394, 'i'},
        {"psa-security-lifecycle", 2395, 'i'},
        {"psa-implementation-id", 2396, 'b'},
        {"psa-boot-seed", 2397, 'b'},
        {"psa-certification-reference", 2398, 't'},
        {"psa-software-components", 2399, 'c'},
        {"psa-nonce", 10, 'b'},
        {"psa-instance-id", 256, 'b'},
        {"psa-verification-service-indicator", 2400, 't'},
    };
    static const struct {
        const char *file, *message; /* NULL: valid */
    } rows[] = {
        {"client-id-invalid-missing", "client id"},
        {"implementation-id-invalid-long", "implementation id"},
        {"implementation-id-invalid-missing", "implementation id"},
        {"instance-id-invalid-euid-type", "begin with 01"},
        {"instance-id-invalid-long", "instance id"},
        {"instance-id-invalid-missing", "instance id"},
        {"nonce-invalid-long", "nonce"},
        {"nonce-invalid-missing", "nonce"},
        {"profile-invalid-unknown", "profile"},
        {"security-lifecycle-invalid-missing", "lifecycle"},
        {"security-lifecycle-invalid-state", "lifecycle"},
        {"sw-component-measurement-value-invalid-missing", "measurement"},
        {"sw-component-signer-id-invalid-short", "signer id"},
        {"sw-components-empty", "software components"},
        {"token-valid-full", NULL},
        {"token-valid-minimalist-p2", NULL},
        {"vsi-invalid-empty", "verification service"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_psa_claims claims;
        struct atls_buf json, in;
        enum atls_code code;
        char path[128];

        snprintf(path, sizeof path, "eat/psa-test-%s.json", rows[i].file);
        print_message("  %s\n", rows[i].file);
        json = test_vector(path);
        in = test_claims_of_json(atls_buf_bytes(&json), names, COUNT(names));
        code = atls_psa_claims_decode(atls_buf_bytes(&in), &arena, &claims, &err);
        if (rows[i].message == NULL)
            test_assert_code(code, ATLS_OK, &err);
        else if (code == ATLS_OK || strstr(err.message, rows[i].message) == NULL)
            fail_msg("%s: %d %s", rows[i].file, code, err.message);
        atls_arena_clear(&arena);
        atls_buf_clear(&json);
        atls_buf_clear(&in);
    }
}

static void published_tokens(void **state)
{
    static const struct {
        const char *file;
        enum atls_psa_profile want;
        int32_t client_id;
        size_t components;
    } rows[] = {
        {"eat/psa-2_0_0_sign1.bin", ATLS_PSA_2_0_0, 3002, 2},
        {"eat/psa-iot-1_sign1.bin", ATLS_PSA_PROFILE_1, 3002, 2},
        {"eat/psa.good.cose", ATLS_PSA_2_0_0, 1, 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_vector(rows[i].file);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_psa_claims claims;
        struct atls_cose_sign1 sign1;

        test_assert_code(atls_psa_token_open(atls_buf_bytes(&in), &arena, &sign1, &err), ATLS_OK,
                         &err);
        assert_true(sign1.alg == -7);
        assert_int_equal(sign1.signature.len, 64);
        test_assert_code(atls_psa_claims_decode(sign1.payload, &arena, &claims, &err), ATLS_OK,
                         &err);
        assert_int_equal(claims.profile, rows[i].want);
        assert_int_equal(claims.client_id, rows[i].client_id);
        assert_int_equal(claims.component_count, rows[i].components);
        assert_int_equal(claims.lifecycle_value, 0x3000);
        assert_int_equal(claims.components[0].value.len, 32);
        assert_true(atls_bytes_equal_text(claims.components[0].type,
                                          rows[i].components == 2 ? "SPE" : "BL"));
        for (size_t len = 0; len < in.len; len++)
            assert_int_not_equal(
                atls_psa_token_open(atls_bytes_of(in.ptr, len), &arena, &sign1, NULL), ATLS_OK);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void envelopes(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"smallest", "d28443a10126a041a04100", ATLS_OK, NULL},
        {"no tag", "8443a10126a041a04100", ATLS_E_UNSUPPORTED, "want 18"},
        {"CWT tag", "d83dd28443a10126a041a04100", ATLS_E_UNSUPPORTED, "tag 61"},
        {"COSE_Mac0", "d18443a10105a041a04100", ATLS_E_UNSUPPORTED, "COSE_Mac0"},
        {"COSE_Sign",
         "d8628440a040"
         "80",
         ATLS_E_UNSUPPORTED, "tag 98"},
        {"longer heads",
         "d812"
         "9804"
         "5805"
         "b801180126"
         "b800"
         "5801"
         "a0"
         "590001"
         "00",
         ATLS_OK, NULL},
        {"trailing byte", "d28443a10126a041a0410000", ATLS_E_DECODE, "trailing"},
        {"detached", "d28443a10126a0f64100", ATLS_E_DECODE, "detached"},
        {"alg not protected", "d28440a1012641a04100", ATLS_E_DECODE, "alg"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cose_sign1 sign1;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_psa_token_open(atls_buf_bytes(&in), &arena, &sign1, &err),
                         rows[i].want, &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_each_profile),
        cmocka_unit_test(no_measurements_in_place_of_components),
        cmocka_unit_test(every_truncation_and_trailing_byte),
        cmocka_unit_test(components_up_to_the_limit),
        cmocka_unit_test(short_of_memory),
        cmocka_unit_test(states_of_the_lifecycle),
        cmocka_unit_test(profiles_of_media_types),
        cmocka_unit_test(published_claims),
        cmocka_unit_test(published_claims_in_json),
        cmocka_unit_test(published_tokens),
        cmocka_unit_test(envelopes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
