#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "claims.h"
#include "wire/cca.h"

#define A32      "1111111111111111111111111111111111111111111111111111111111111111"
#define A48      "11111111111111111111111111111111" A32
#define H31      "581f11111111111111111111111111111111111111111111111111111111111111"
#define H32      "5820" A32
#define H48      "5830" A48
#define H64      "5840" A32 A32
#define UEID     "582101" A32
#define PART     "a202" H32 "05" H32
#define SHA256   "677368612d323536"
#define SHA384   "677368612d333834"
#define SHA512   "677368612d353132"
#define LEGACY   "781c687474703a2f2f61726d2e636f6d2f4343412d5353442f312e302e30"
#define P2023    "78237461673a61726d2e636f6d2c323032333a6363615f706c6174666f726d23312e302e30"
#define P2024    "78237461673a61726d2e636f6d2c323032343a6363615f706c6174666f726d23322e302e30"
#define R2023    "781c7461673a61726d2e636f6d2c323032333a7265616c6d23312e302e30"
#define R2024    "781c7461673a61726d2e636f6d2c323032343a7265616c6d23322e302e30"
#define KEY384   "586ba401022002215830" A48 "225830" A48
#define POINT    "586104" A48 A48
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct test_claim platform_base[] = {
    {265, P2023},     {10, H32},   {256, UEID},       {2401, "43010203"},
    {2395, "193000"}, {2396, H32}, {2399, "81" PART}, {2402, SHA256},
};
static const struct test_claim realm_base[] = {
    {265, R2023},
    {10, H64},
    {44235, H64},
    {44236, SHA256},
    {44237, KEY384},
    {44238, H32},
    {44239, "84" H32 H32 H32 H32},
    {44240, SHA512},
};

struct row {
    const char *name;
    int64_t key;
    const char *hex; /* NULL: the claim is left out */
    enum atls_code want;
    const char *message;
};

static const struct row platform_rows[] = {
    {"all that must be", 265, P2023, ATLS_OK, NULL},
    {"legacy profile", 265, LEGACY, ATLS_OK, NULL},
    {"profile of 2024", 265, P2024, ATLS_OK, NULL},
    {"no profile", 265, NULL, ATLS_E_DECODE, "profile"},
    {"profile of a realm", 265, R2023, ATLS_E_UNSUPPORTED, "is not known"},
    {"profile no text", 265, H32, ATLS_E_DECODE, "profile"},
    {"challenge of 48", 10, H48, ATLS_OK, NULL},
    {"challenge of 64", 10, H64, ATLS_OK, NULL},
    {"no challenge", 10, NULL, ATLS_E_DECODE, "challenge"},
    {"challenge of 31", 10, H31, ATLS_E_DECODE, "challenge"},
    {"two challenges", 10, "82" H32 H32, ATLS_E_DECODE, "challenge"},
    {"no implementation id", 2396, NULL, ATLS_E_DECODE, "implementation id"},
    {"no instance id", 256, NULL, ATLS_E_DECODE, "instance id"},
    {"instance id of type 02", 256, "582102" A32, ATLS_E_DECODE, "begin with 01"},
    {"config empty", 2401, "40", ATLS_OK, NULL},
    {"no config", 2401, NULL, ATLS_E_DECODE, "config"},
    {"config as text", 2401, "60", ATLS_E_DECODE, "config"},
    {"no lifecycle", 2395, NULL, ATLS_E_DECODE, "lifecycle"},
    {"lifecycle between ranges", 2395, "193100", ATLS_E_DECODE, "lifecycle"},
    {"no components", 2399, NULL, ATLS_E_DECODE, "software components"},
    {"components of none", 2399, "80", ATLS_E_DECODE, "software components"},
    {"no hash algorithm", 2402, NULL, ATLS_E_DECODE, "hash algorithm"},
    {"hash algorithm of 384", 2402, SHA384, ATLS_OK, NULL},
    {"hash algorithm in capitals", 2402, "675348412d323536", ATLS_E_DECODE, "hash algorithm"},
    {"hash algorithm sha-224", 2402, "677368612d323234", ATLS_E_DECODE, "hash algorithm"},
    {"verification service", 2400, "6161", ATLS_OK, NULL},
    {"verification service empty", 2400, "60", ATLS_E_DECODE, "verification service"},
    {"client id of a later profile", 2394, "60", ATLS_OK, NULL},
    {"manufacturing config of a later profile", 2403, "60", ATLS_OK, NULL},
    {"unknown claim", 99999, "01", ATLS_OK, NULL},
};

static const struct row platform_2024_rows[] = {
    {"client id", 2394, "20", ATLS_OK, NULL},
    {"client id 0", 2394, "00", ATLS_E_DECODE, "client id"},
    {"manufacturing config", 2403, "41ff", ATLS_OK, NULL},
    {"manufacturing config as text", 2403, "60", ATLS_E_DECODE, "manufacturing config"},
};

static const struct row realm_rows[] = {
    {"all that must be", 265, R2023, ATLS_OK, NULL},
    {"profile of 2024", 265, R2024, ATLS_OK, NULL},
    {"profile of a platform", 265, P2023, ATLS_E_UNSUPPORTED, "is not known"},
    {"profile that says legacy", 265, "666c6567616379", ATLS_E_UNSUPPORTED, "is not known"},
    {"profile no text", 265, "01", ATLS_E_DECODE, "profile"},
    {"no challenge", 10, NULL, ATLS_E_DECODE, "challenge"},
    {"challenge of 32", 10, H32, ATLS_E_DECODE, "challenge"},
    {"no personalization value", 44235, NULL, ATLS_E_DECODE, "personalization"},
    {"personalization value of 32", 44235, H32, ATLS_E_DECODE, "personalization"},
    {"no hash algorithm", 44236, NULL, ATLS_E_DECODE, "hash algorithm"},
    {"hash algorithm unknown", 44236, "6161", ATLS_E_DECODE, "hash algorithm"},
    {"no public key", 44237, NULL, ATLS_E_DECODE, "public key"},
    {"public key of legacy tokens", 44237, POINT, ATLS_E_DECODE, "public key"},
    {"public key no byte string", 44237, "a401022002215830" A48 "225830" A48, ATLS_E_DECODE,
     "public key"},
    {"public key compressed", 44237, "583aa401022002215830" A48 "22f5", ATLS_E_DECODE,
     "both coordinates"},
    {"public key of Ed25519", 44237, "5828a301012006215820" A32, ATLS_E_DECODE, "both coordinates"},
    {"public key of P-256", 44237, "584ba401022001215820" A32 "225820" A32, ATLS_OK, NULL},
    {"no initial measurement", 44238, NULL, ATLS_E_DECODE, "initial measurement"},
    {"initial measurement of 31", 44238, H31, ATLS_E_DECODE, "initial measurement"},
    {"initial measurement longer than the others", 44238, H48, ATLS_E_DECODE, "as long as"},
    {"no extensible measurements", 44239, NULL, ATLS_E_DECODE, "extensible"},
    {"three extensible measurements", 44239, "83" H32 H32 H32, ATLS_E_DECODE, "four of them"},
    {"five extensible measurements", 44239, "85" H32 H32 H32 H32 H32, ATLS_E_DECODE,
     "four of them"},
    {"one extensible measurement longer", 44239, "84" H32 H32 H32 H48, ATLS_E_DECODE, "as long as"},
    {"one extensible measurement as text", 44239, "84" H32 H32 H32 "7820" A32, ATLS_E_DECODE,
     "as long as"},
    {"no hash of the public key", 44240, NULL, ATLS_E_DECODE, "public key hash"},
    {"hash of the public key unknown", 44240, "677368612d323234", ATLS_E_DECODE, "public key hash"},
    {"MEC policy of a later profile", 44243, "01", ATLS_OK, NULL},
    {"challenge with a longer head", 10, "590040" A32 A32, ATLS_OK, NULL},
    {"public key with longer heads", 44237,
     "5877b80418011900023800180238015900"
     "30" A48 "3a000000025830" A48,
     ATLS_OK, NULL},
    {"public key with kty twice, of other widths", 44237,
     "586ea5010218010220022158"
     "30" A48 "225830" A48,
     ATLS_E_DECODE, "duplicate"},
    {"unknown claim", 44241, "01", ATLS_OK, NULL},
};

static const struct row realm_2024_rows[] = {
    {"MEC policy private", 44243, "6770726976617465", ATLS_OK, NULL},
    {"MEC policy shared", 44243, "66736861726564", ATLS_OK, NULL},
    {"MEC policy in capitals", 44243, "66534841524544", ATLS_E_DECODE, "MEC policy"},
    {"MEC policy empty", 44243, "60", ATLS_E_DECODE, "MEC policy"},
    {"MEC policy a number", 44243, "01", ATLS_E_DECODE, "MEC policy"},
};

static const struct row realm_legacy_rows[] = {
    {"all that must be", 44237, POINT, ATLS_OK, NULL},
    {"COSE_Key without profile", 44237, KEY384, ATLS_E_DECODE, "04 with two"},
    {"point compressed", 44237, "586102" A48 A48, ATLS_E_DECODE, "04 with two"},
    {"point of 96", 44237, "586004" A48 A32 "111111111111111111111111111111", ATLS_E_DECODE,
     "04 with two"},
    {"point empty", 44237, "40", ATLS_E_DECODE, "04 with two"},
};

static void check_message(const struct row *row, enum atls_code code, const struct atls_err *err)
{
    test_assert_code(code, row->want, err);
    if (row->want != ATLS_OK && strstr(err->message, row->message) == NULL)
        fail_msg("%s: %s, want %s", row->name, err->message, row->message);
}

/* The base, with the item of key in place of what it had; the first claim is the profile. */
static void with_profile(struct test_claim *out, const struct test_claim *base, size_t count,
                         const char *profile)
{
    memcpy(out, base, count * sizeof *out);
    out[0].hex = profile;
}

static void check_platform(const char *profile, const struct row *rows, size_t count)
{
    struct test_claim base[COUNT(platform_base)];

    with_profile(base, platform_base, COUNT(platform_base), profile);
    for (size_t i = 0; i < count; i++) {
        struct atls_buf in = test_claims(base, COUNT(base), rows[i].key, rows[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_cca_platform platform = {.client_id = 77};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        check_message(&rows[i],
                      atls_cca_platform_decode(atls_buf_bytes(&in), &arena, &platform, &err), &err);
        if (rows[i].want != ATLS_OK)
            assert_int_equal(platform.client_id, 77);
        else
            assert_int_equal(platform.component_count, 1);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void rules_of_platform_tokens(void **state)
{
    (void)state;
    check_platform(P2023, platform_rows, COUNT(platform_rows));
    check_platform(P2024, platform_2024_rows, COUNT(platform_2024_rows));
}

static void check_realm(const struct test_claim *base, size_t base_count, const struct row *rows,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct atls_buf in = test_claims(base, base_count, rows[i].key, rows[i].hex);
        struct atls_cca_realm realm = {.challenge = {NULL, 77}};
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        check_message(&rows[i], atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err),
                      &err);
        assert_int_equal(realm.challenge.len, rows[i].want == ATLS_OK ? 64 : 77);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void rules_of_realm_tokens(void **state)
{
    struct test_claim base[COUNT(realm_base)];

    (void)state;
    check_realm(realm_base, COUNT(realm_base), realm_rows, COUNT(realm_rows));
    with_profile(base, realm_base, COUNT(base), R2024);
    check_realm(base, COUNT(base), realm_2024_rows, COUNT(realm_2024_rows));
    check_realm(realm_base + 1, COUNT(realm_base) - 1, realm_legacy_rows, COUNT(realm_legacy_rows));
}

/* Keys are the same claim whatever their width. */
static void claims_twice(void **state)
{
    static const char *const rows[] = {
        "a20a" H32 "180a" H32,
        "a20a" H32 "19000a" H32,
        "a21a0001869f011b000000000001869f02",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i]);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cca_platform platform;
        struct atls_cca_realm realm;

        test_assert_code(atls_cca_platform_decode(atls_buf_bytes(&in), &arena, &platform, &err),
                         ATLS_E_DECODE, &err);
        assert_non_null(strstr(err.message, "duplicate"));
        test_assert_code(atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err),
                         ATLS_E_DECODE, &err);
        assert_non_null(strstr(err.message, "duplicate"));
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void what_realm_claims_say(void **state)
{
    struct atls_buf in = test_claims(realm_base, COUNT(realm_base), 265, R2024);
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cca_realm realm;

    (void)state;
    test_assert_code(atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err), ATLS_OK,
                     &err);
    assert_int_equal(realm.profile, ATLS_CCA_REALM_2024);
    assert_int_equal(realm.hash, ATLS_ARM_SHA256);
    assert_int_equal(realm.public_key_hash, ATLS_ARM_SHA512);
    assert_true(realm.measurements_fit_hash);
    assert_int_equal(realm.public_key.len, 107);
    assert_int_equal(realm.key.crv, ATLS_COSE_P384);
    assert_int_equal(realm.mec_policy, ATLS_CCA_MEC_NONE);
    atls_buf_clear(&in);

    in = test_claims(realm_base, COUNT(realm_base), 44236, SHA384);
    test_assert_code(atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err), ATLS_OK,
                     &err);
    assert_false(realm.measurements_fit_hash);
    atls_buf_clear(&in);

    in = test_claims(realm_base + 1, COUNT(realm_base) - 1, 44237, POINT);
    test_assert_code(atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err), ATLS_OK,
                     &err);
    assert_int_equal(realm.profile, ATLS_CCA_REALM_LEGACY);
    assert_int_equal(realm.public_key.len, 97);
    assert_ptr_equal(realm.key.x.ptr, realm.public_key.ptr + 1);
    assert_ptr_equal(realm.key.y.ptr, realm.public_key.ptr + 49);
    assert_int_equal(realm.key.y.len, 48);
    for (size_t len = 0; len < in.len; len++)
        assert_int_equal(atls_cca_realm_decode(atls_bytes_of(in.ptr, len), &arena, &realm, NULL),
                         ATLS_E_DECODE);
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
    assert_string_equal(atls_cca_realm_profile_name(ATLS_CCA_REALM_LEGACY), "legacy");
    assert_string_equal(atls_cca_platform_profile_name(ATLS_CCA_PLATFORM_LEGACY),
                        "http://arm.com/CCA-SSD/1.0.0");
    assert_string_equal(atls_arm_hash_name(ATLS_ARM_SHA256), "sha-256");
    assert_string_equal(atls_arm_hash_name(ATLS_ARM_SHA384), "sha-384");
    assert_string_equal(atls_arm_hash_name(ATLS_ARM_SHA512), "sha-512");
}

/* The smallest COSE_Sign1 with tag, in a byte string. */
#define SIGN1         "d28443a10126a041a04100"
#define TOKEN_CONTENT SIGN1
#define TOKEN         "4b" SIGN1
#define PLATFORM      "19acca"
#define REALM         "19acd1"
#define RECORD        "82190107" TOKEN

static void wrappers(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"map", "d9018fa2" PLATFORM TOKEN REALM TOKEN, ATLS_OK, NULL},
        {"map with another member", "d9018fa3" PLATFORM TOKEN REALM TOKEN "01f6", ATLS_OK, NULL},
        {"collection", "d9038ba2" PLATFORM RECORD REALM RECORD, ATLS_OK, NULL},
        {"collection with media types",
         "d9038ba2" PLATFORM "82736170706c69636174696f6e2f6561742b637774" TOKEN REALM
         "82736170706c69636174696f6e2f6561742b637774" TOKEN,
         ATLS_OK, NULL},
        {"collection of evidence", "d9038ba2" PLATFORM "83190107" TOKEN "04" REALM RECORD, ATLS_OK,
         NULL},
        {"no tag", "a2" PLATFORM TOKEN REALM TOKEN, ATLS_E_DECODE, "CMW"},
        {"collection without its tag", "a2" PLATFORM RECORD REALM RECORD, ATLS_OK, NULL},
        {"longer heads than need be",
         "da0000018fbb0000000000000002"
         "1a0000acca"
         "580b" TOKEN_CONTENT "1a0000acd1"
         "59000b" TOKEN_CONTENT,
         ATLS_OK, NULL},
        {"longer heads in a collection",
         "da0000038bb802"
         "1a0000acca"
         "9802"
         "1a00000107"
         "580b" TOKEN_CONTENT REALM RECORD,
         ATLS_OK, NULL},
        {"realm token twice, of other widths",
         "d9018fa3" PLATFORM TOKEN REALM TOKEN "1a0000acd1" TOKEN, ATLS_E_DECODE, "duplicate"},
        {"neither map nor tag", "80", ATLS_E_DECODE, "neither tag"},
        {"another tag", "d90190a2" PLATFORM TOKEN REALM TOKEN, ATLS_E_DECODE, "neither tag"},
        {"two tags", "d9018fd9018fa2" PLATFORM TOKEN REALM TOKEN, ATLS_E_DECODE, "no map"},
        {"no platform token", "d9018fa1" REALM TOKEN, ATLS_E_DECODE, "platform token"},
        {"no realm token", "d9018fa1" PLATFORM TOKEN, ATLS_E_DECODE, "realm token"},
        {"realm token twice", "d9018fa3" PLATFORM TOKEN REALM TOKEN REALM TOKEN, ATLS_E_DECODE,
         "duplicate"},
        {"platform token bare", "d9018fa2" PLATFORM SIGN1 REALM TOKEN, ATLS_E_DECODE,
         "platform token (44234)"},
        {"records in a map", "d9018fa2" PLATFORM RECORD REALM RECORD, ATLS_E_DECODE,
         "platform token (44234)"},
        {"byte strings in a collection", "d9038ba2" PLATFORM TOKEN REALM TOKEN, ATLS_E_DECODE,
         "CMW"},
        {"record of another type", "d9038ba2" PLATFORM RECORD REALM "82190108" TOKEN, ATLS_E_DECODE,
         "realm token (44241)"},
        {"record of reference values", "d9038ba2" PLATFORM "83190107" TOKEN "01" REALM RECORD,
         ATLS_E_DECODE, "platform token (44234)"},
        {"collection in the place of a record", "d9038ba2" PLATFORM RECORD REALM "a101" RECORD,
         ATLS_E_DECODE, "realm token (44241)"},
        {"text label in the place of a number", "d9038ba2" PLATFORM RECORD "653434323431" RECORD,
         ATLS_E_DECODE, "realm token (44241)"},
        {"record in the place of a collection", "d9038b" RECORD, ATLS_E_DECODE,
         "no CMW collection"},
        {"platform token without tag", "d9018fa2" PLATFORM "4a8443a10126a041a04100" REALM TOKEN,
         ATLS_E_DECODE, "platform token: "},
        {"realm token with a detached payload",
         "d9018fa2" PLATFORM TOKEN REALM "4ad28443a10126a0f64100", ATLS_E_DECODE,
         "realm token: payload is detached"},
        {"indefinite length", "d9018fbf" PLATFORM TOKEN REALM TOKEN "ff", ATLS_E_DECODE,
         "indefinite"},
        {"trailing byte", "d9018fa2" PLATFORM TOKEN REALM TOKEN "00", ATLS_E_DECODE, "trailing"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_cca_token token = {.platform_encoded = {NULL, 77}};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_cca_token_open(atls_buf_bytes(&in), &arena, &token, &err),
                         rows[i].want, &err);
        assert_int_equal(token.platform_encoded.len, rows[i].want == ATLS_OK ? 11 : 77);
        if (rows[i].message != NULL && strstr(err.message, rows[i].message) == NULL)
            fail_msg("%s, want %s", err.message, rows[i].message);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

/* tests/vectors/eat/README.md has the verdicts; signatures and the binding are not decoded. */
static void published_claims(void **state)
{
    static const struct {
        const char *file;
        bool is_realm;
        const char *message; /* NULL: valid */
    } rows[] = {
        {"eat/CcaPlatformClaimsAll.cbor", false, NULL},
        {"eat/CcaPlatformExample.cbor", false, NULL},
        {"eat/CcaPlatformClaimsMissingMandatoryNonce.cbor", false, "challenge"},
        {"eat/CcaRealmClaimsAll.cbor", true, NULL},
        {"eat/CcaRealmLegacyClaimsAll.cbor", true, NULL},
        {"eat/CcaClaimsMissingMandPubKey.cbor", true, "public key"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_vector(rows[i].file);
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cca_platform platform;
        struct atls_cca_realm realm;
        enum atls_code code;

        print_message("  %s\n", rows[i].file);
        code = rows[i].is_realm
                   ? atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err)
                   : atls_cca_platform_decode(atls_buf_bytes(&in), &arena, &platform, &err);
        test_assert_code(code, rows[i].message == NULL ? ATLS_OK : ATLS_E_DECODE, &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static const struct test_claim_name json_names[] = {
    {"cca-platform-profile", 265, 't'},
    {"cca-platform-challenge", 10, 'b'},
    {"cca-platform-implementation-id", 2396, 'b'},
    {"cca-platform-instance-id", 256, 'b'},
    {"cca-platform-config", 2401, 'b'},
    {"cca-platform-lifecycle", 2395, 'i'},
    {"cca-platform-sw-components", 2399, 'c'},
    {"cca-platform-service-indicator", 2400, 't'},
    {"cca-platform-hash-algo-id", 2402, 't'},
    {"cca-realm-challenge", 10, 'b'},
    {"cca-realm-personalization-value", 44235, 'b'},
    {"cca-realm-initial-measurement", 44238, 'b'},
    {"cca-realm-extensible-measurements", 44239, 'a'},
    {"cca-realm-hash-algo-id", 44236, 't'},
    {"cca-realm-public-key", 44237, 'b'},
    {"cca-realm-public-key-hash-algo-id", 44240, 't'},
};

/* From the JSON notation of another library. */
static void published_claims_in_json(void **state)
{
    static const struct {
        const char *file, *message; /* NULL: valid */
    } rows[] = {
        {"platform-test-config-missing", "config"},
        {"platform-test-hash-algid-invalid", "hash algorithm"},
        {"platform-test-implementation-id-invalid-long", "implementation id"},
        {"platform-test-instance-id-missing", "instance id"},
        {"platform-test-invalid-profile", "profile"},
        {"platform-test-lifecycle-invalid", "lifecycle"},
        {"platform-test-no-sw-components", "software components"},
        {"platform-test-sw-components-invalid-missing", "software components"},
        {"platform-test-token-valid-full", NULL},
        /* Published as valid, but its key is 97 times 'X', 'Y': no point begins with 58. */
        {"realm-test-cca-claims-all-valid", "04 with two coordinates"},
        {"realm-test-invalid-extended-meas", "extensible"},
        {"realm-test-invalid-nonce", "challenge"},
        {"realm-test-invalid-public-key", "04 with two coordinates"},
        {"realm-test-missing-hash-alg-id", "hash algorithm"},
        {"realm-test-missing-initial-meas", "initial measurement"},
        {"realm-test-missing-personalization-val", "personalization"},
        {"realm-test-missing-public-key", "public key"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cca_platform platform;
        struct atls_cca_realm realm;
        struct atls_buf json, in;
        enum atls_code code;
        char path[128];

        snprintf(path, sizeof path, "eat/cca-%s.json", rows[i].file);
        print_message("  %s\n", rows[i].file);
        json = test_vector(path);
        in = test_claims_of_json(atls_buf_bytes(&json), json_names, COUNT(json_names));
        code = rows[i].file[0] == 'r'
                   ? atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err)
                   : atls_cca_platform_decode(atls_buf_bytes(&in), &arena, &platform, &err);
        if (rows[i].message == NULL)
            test_assert_code(code, ATLS_OK, &err);
        else if (code == ATLS_OK || strstr(err.message, rows[i].message) == NULL)
            fail_msg("%s: %d %s", rows[i].file, code, err.message);
        atls_arena_clear(&arena);
        atls_buf_clear(&json);
        atls_buf_clear(&in);
    }
}

/* The published realm claims with the first octet of the key mended are taken. */
static void published_realm_with_a_point(void **state)
{
    struct atls_buf json = test_vector("eat/cca-realm-test-cca-claims-all-valid.json");
    char *key = strstr((char *)json.ptr, "\"WUJZ");
    struct atls_arena arena = atls_arena_init(1 << 16);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cca_realm realm;
    struct atls_buf in;

    (void)state;
    assert_non_null(key);
    memcpy(key + 1, "BEJZ", 4);
    in = test_claims_of_json(atls_buf_bytes(&json), json_names, COUNT(json_names));
    test_assert_code(atls_cca_realm_decode(atls_buf_bytes(&in), &arena, &realm, &err), ATLS_OK,
                     &err);
    assert_int_equal(realm.profile, ATLS_CCA_REALM_LEGACY);
    assert_false(realm.measurements_fit_hash);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
    atls_buf_clear(&json);
}

static void a_published_token(void **state)
{
    struct atls_buf in = test_vector("eat/cca-good.cbor");
    struct atls_arena arena = atls_arena_init(1 << 16);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cca_platform platform;
    struct atls_cca_token token;
    struct atls_cca_realm realm;

    (void)state;
    test_assert_code(atls_cca_token_open(atls_buf_bytes(&in), &arena, &token, &err), ATLS_OK, &err);
    assert_int_equal(token.wrapper, ATLS_CCA_TAG_MAP);
    assert_true(token.platform.alg == -7 && token.realm.alg == -35);
    test_assert_code(atls_cca_platform_decode(token.platform.payload, &arena, &platform, &err),
                     ATLS_OK, &err);
    assert_int_equal(platform.profile, ATLS_CCA_PLATFORM_LEGACY);
    assert_int_equal(platform.component_count, 4);
    assert_int_equal(platform.challenge.len, 32);
    test_assert_code(atls_cca_realm_decode(token.realm.payload, &arena, &realm, &err), ATLS_OK,
                     &err);
    assert_int_equal(realm.profile, ATLS_CCA_REALM_2023);
    assert_int_equal(realm.public_key_hash, ATLS_ARM_SHA256);
    assert_int_equal(realm.public_key.len, 107);
    assert_false(realm.measurements_fit_hash);
    for (size_t len = 0; len < in.len; len++)
        assert_int_not_equal(atls_cca_token_open(atls_bytes_of(in.ptr, len), &arena, &token, NULL),
                             ATLS_OK);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_platform_tokens),
        cmocka_unit_test(rules_of_realm_tokens),
        cmocka_unit_test(claims_twice),
        cmocka_unit_test(what_realm_claims_say),
        cmocka_unit_test(wrappers),
        cmocka_unit_test(published_claims),
        cmocka_unit_test(published_claims_in_json),
        cmocka_unit_test(published_realm_with_a_point),
        cmocka_unit_test(a_published_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
