#include "peer_claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

/* ---- results that are made up: these stand before those of the library ---- */

struct atls_result {
    enum atls_tier status;
    const char *json;
    struct atls_bytes instance;
};

enum atls_tier atls_result_status(const struct atls_result *r)
{
    return r->status;
}

const char *atls_result_json(struct atls_result *r)
{
    return r->json;
}

struct atls_bytes atls_result_instance(const struct atls_result *r)
{
    return r->instance;
}

/* ---- paths ---- */

#define LONG(c) c c c c c c c c c c c c c c c c
#define LEN128  LONG("12345678")

static const struct {
    const char *path, *wrong;
} paths[] = {
    {"a", NULL},          {"submods.TPM.ear_attester_claims.reset-count", NULL},
    {"a\\.b.0", NULL},    {"a\\b", NULL},
    {LEN128, NULL},       {LEN128 "9", "over 128"},
    {"", "is empty"},     {".", "at a dot"},
    {".a", "at a dot"},   {"a.", "at a dot"},
    {"a..b", "at a dot"}, {"a b", "visible"},
    {"a=b", "visible"},   {"\xc3\xa4", "visible"},
    {"a\x7f", "visible"},
};

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *wrong = claims_wrong_with(&paths[i].path, 1);

        print_message("%s\n", paths[i].path);
        if (paths[i].wrong == NULL)
            assert_null(wrong);
        else if (wrong == NULL)
            abort();
        else
            assert_non_null(strstr(wrong, paths[i].wrong));
    }
}

static void test_path_lists(void **state)
{
    const char *twice[] = {"a", "b", "a"}, *many[CLAIMS_MAX + 1];
    char text[CLAIMS_MAX + 1][160];
    const char *wrong;

    (void)state;
    assert_null(claims_wrong_with(twice, 0));
    assert_null(claims_wrong_with(twice, 2));
    if ((wrong = claims_wrong_with(twice, 3)) == NULL)
        abort();
    assert_non_null(strstr(wrong, "twice"));
    for (size_t i = 0; i <= CLAIMS_MAX; i++) {
        /* 60 bytes of path, 4 around it and 128 of the value: 192 of 3072. */
        snprintf(text[i], sizeof text[i], "%060zu", i);
        many[i] = text[i];
    }
    assert_null(claims_wrong_with(many, CLAIMS_MAX));
    if ((wrong = claims_wrong_with(many, CLAIMS_MAX + 1)) == NULL)
        abort();
    assert_non_null(strstr(wrong, "over 16"));
    strcat(text[3], "x");
    if ((wrong = claims_wrong_with(many, CLAIMS_MAX)) == NULL)
        abort();
    assert_non_null(strstr(wrong, "3072"));
}

/* ---- values ---- */

#define V128 LONG("abcdefgh")

static const char json[] =
    "{\"eat_profile\":\"p\",\"iat\":1700000000,\"a.b\":\"dotted\",\"list\":[\"x\",{\"y\":true}],"
    "\"submods\":{\"TPM\":{\"ear_status\":\"affirming\",\"vector\":{\"z\":-2,\"a\":null}}},"
    "\"odd\":\" 50% \\u00e4\\n=\\u0000 \",\"inner\":\"a b\",\"space\":\" \",\"empty\":\"\","
    "\"longest\":\"" V128 "\",\"long\":\"" V128 "9\",\"escaped\":\"" V128 "\\n\",\"pi\":3.5}";

static const struct {
    const char *path, *value; /* NULL: left out */
} wanted[] = {
    {"eat_profile", "p"},
    {"iat", "1700000000"},
    {"a\\.b", "dotted"},
    {"a.b", NULL},
    {"list.0", "x"},
    {"list.1.y", "true"},
    {"list.2", NULL},
    {"list.00", NULL},
    {"list.x", NULL},
    {"list.1000000", NULL},
    {"list", "[\"x\",{\"y\":true}]"},
    {"submods.TPM.ear_status", "affirming"},
    {"submods.TPM.vector", "{\"a\":null,\"z\":-2}"},
    {"submods.TPM.vector.z", "-2"},
    {"submods.TPM.vector.a", "null"},
    {"submods.TPM.ear_status.more", NULL},
    {"submods.tpm.ear_status", NULL},
    {"odd", "%2050%25 %C3%A4%0A=%00%20"},
    {"inner", "a b"},
    {"space", "%20"},
    {"empty", NULL},
    {"longest", V128},
    {"long", NULL},
    {"escaped", NULL},
    {"pi", "3.5"},
};

static void test_values(void **state)
{
    struct atls_result result = {ATLS_TIER_AFFIRMING, json, {NULL, 0}};
    struct atls_peer peer = {.attested = true, .result = &result};

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const struct claims_wanted one = {.paths = &wanted[i].path, .count = 1};
        struct atls_err err = ATLS_ERR_INIT;
        static struct claims c;

        print_message("%s\n", wanted[i].path);
        assert_null(claims_wrong_with(&wanted[i].path, 1));
        test_assert_code(claims_of(&peer, &one, &c, &err), ATLS_OK, &err);
        assert_int_equal(c.count, wanted[i].value != NULL);
        if (wanted[i].value != NULL) {
            assert_string_equal(c.at[0].name, wanted[i].path);
            assert_string_equal(c.at[0].value, wanted[i].value);
        }
    }
}

/* What is not there leaves no gap. */
static void test_several(void **state)
{
    static const char *const several[] = {"iat", "nothing", "inner"};
    const struct claims_wanted some = {.paths = several, .count = 3};
    struct atls_result result = {ATLS_TIER_AFFIRMING, json, {NULL, 0}};
    struct atls_peer peer = {.attested = true, .result = &result};
    static struct claims c;

    (void)state;
    assert_int_equal(claims_of(&peer, &some, &c, NULL), ATLS_OK);
    assert_int_equal(c.count, 2);
    assert_string_equal(c.at[0].name, "iat");
    assert_string_equal(c.at[1].name, "inner");
    assert_string_equal(c.at[1].value, "a b");
}

/* ---- a peer ---- */

static void test_peer(void **state)
{
    static const char *const path[] = {"submods"};
    const struct claims_wanted all = {.paths = path, .count = 1, .ear = true, .key = true};
    struct atls_result result = {ATLS_TIER_WARNING, "{\"submods\":1}", HEX("\x01\xaa\x0f")};
    struct atls_peer peer = {.attested = true,
                             .result = &result,
                             .evidence_type = "tpm",
                             .binding = "connection",
                             .freshness = "nonce",
                             .flavour = ATLS_FLAVOUR_INTRA,
                             .spki = HEX("abc")};
    struct proxy_header_attestation a;
    struct atls_err err = ATLS_ERR_INIT;
    static struct claims c;
    struct atls_buf ear;

    (void)state;
    test_assert_code(claims_of(&peer, &all, &c, &err), ATLS_OK, &err);
    assert_string_equal(c.verdict, "warning");
    assert_string_equal(c.flavour, "intra");
    assert_string_equal(c.binding, "connection");
    assert_string_equal(c.freshness, "nonce");
    assert_string_equal(c.evidence, "tpm");
    assert_string_equal(c.instance, "01aa0f");
    /* FIPS 180-2 appendix B.1 */
    assert_string_equal(c.key, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ear = test_unhex(c.ear);
    a = claims_for_header(&c);
    assert_string_equal(a.verdict, "warning");
    assert_string_equal(a.evidence, "tpm");
    assert_string_equal(a.binding, "connection");
    assert_string_equal(a.freshness, "nonce");
    test_assert_bytes(a.ear, atls_buf_bytes(&ear));
    test_assert_bytes(a.instance, result.instance);
    assert_int_equal(a.key.len, 32);
    assert_int_equal(a.key.ptr[0], 0xba);
    assert_int_equal(a.claim_count, 1);
    assert_string_equal(a.claims[0].value, "1");
    atls_buf_clear(&ear);
}

/* SHA-256 of the text, as sha256sum has it. */
static void test_ear_digest(void **state)
{
    const struct claims_wanted only = {.ear = true};
    struct atls_result result = {ATLS_TIER_AFFIRMING, "abc", {NULL, 0}};
    struct atls_peer peer = {.attested = true, .result = &result};
    static struct claims c;

    (void)state;
    assert_int_equal(claims_of(&peer, &only, &c, NULL), ATLS_OK);
    assert_string_equal(c.ear, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(c.key, "");
}

static void test_verdicts(void **state)
{
    const struct claims_wanted all = {.ear = true, .key = true};
    struct atls_result result = {ATLS_TIER_AFFIRMING, "{}", {NULL, 0}};
    struct atls_peer peer = {.spki = HEX("abc")};
    static struct claims c;

    (void)state;
    /* A key without a result is nobody's. */
    assert_int_equal(claims_of(&peer, &all, &c, NULL), ATLS_OK);
    assert_string_equal(c.verdict, "none");
    assert_string_equal(c.binding, "");
    assert_string_equal(c.flavour, "post");
    assert_int_equal(claims_for_header(&c).ear.len, 0);
    assert_int_equal(claims_for_header(&c).key.len, 0);
    assert_int_equal(claims_for_header(&c).instance.len, 0);
    peer.result = &result;
    assert_int_equal(claims_of(&peer, &all, &c, NULL), ATLS_OK);
    assert_string_equal(c.verdict, "refused");
    peer.attested = true;
    peer.flavour = ATLS_FLAVOUR_PRE;
    assert_int_equal(claims_of(&peer, &all, &c, NULL), ATLS_OK);
    assert_string_equal(c.verdict, "affirming");
    assert_string_equal(c.flavour, "pre");
}

static void test_long_texts(void **state)
{
    static uint8_t ueid[65];
    const struct claims_wanted none = {.count = 0};
    struct atls_result result = {ATLS_TIER_AFFIRMING, NULL, {ueid, 64}};
    struct atls_peer peer = {.attested = true, .result = &result, .evidence_type = V128};
    static struct claims c;

    (void)state;
    assert_int_equal(claims_of(&peer, &none, &c, NULL), ATLS_OK);
    assert_string_equal(c.evidence, "");
    assert_int_equal(strlen(c.instance), 128);
    result.instance.len = 65;
    assert_int_equal(claims_of(&peer, &none, &c, NULL), ATLS_OK);
    assert_string_equal(c.instance, "");
}

static void test_no_json(void **state)
{
    static const char *const path[] = {"a"};
    const struct claims_wanted want[] = {{.ear = true}, {.paths = path, .count = 1}};
    struct atls_result result = {ATLS_TIER_AFFIRMING, NULL, {NULL, 0}};
    struct atls_peer peer = {.attested = true, .result = &result};
    struct atls_err err = ATLS_ERR_INIT;
    static struct claims c;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        test_assert_code(claims_of(&peer, &want[i], &c, &err), ATLS_E_NOMEM, &err);
    result.json = "{";
    test_assert_code(claims_of(&peer, &want[1], &c, &err), ATLS_E_NOMEM, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),    cmocka_unit_test(test_path_lists),
        cmocka_unit_test(test_values),   cmocka_unit_test(test_several),
        cmocka_unit_test(test_peer),     cmocka_unit_test(test_ear_digest),
        cmocka_unit_test(test_verdicts), cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_no_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
