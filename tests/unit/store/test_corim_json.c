#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "diag.h"
#include "testlib.h"

#include <atls/corim.h>

#include "store/corim_json.h"

#define ENV "{0: {0: 37(h(16)), 1: 'v', 2: 'm', 3: 1, 4: 2}, 1: 550(h(33)), 2: 560(h'55')}"
#define V   "{0: {1: 'v'}}"
#define SVN "[{1: {1: 7}}]"
#define ALL                                                                                        \
    "{0: 111(h'55'), 1: {0: {0: '1', 1: 2}, 1: 553(3), 2: [[1, h(32)], [99, h'01'], ['x', "        \
    "h'02']], "                                                                                    \
    "3: {3: false}, 4: 563([h'01', h'ff']), 6: h(6), 7: h(4), 8: 's', 9: h(7), 10: h(16), "        \
    "11: 'n', 13: [554('k'), 560(h'01')], 14: {0: [[1, h(32)]], 'r': [[1, h(32)]]}, "              \
    "15: 564([null, 4]), -73: 1, 'x': 1}, 2: [560(h'02')]}"
#define TRIPLES                                                                                    \
    "{0: [[" ENV ", [" ALL                                                                         \
    ", {0: 37(h(16)), 1: {1: 1, 15: 5}}, {0: 'k', 1: {15: 564([1, null])}}]]], "                   \
    "1: [[" V ", " SVN "]], 2: [[" V ", [554('k')], {0: 3, 1: [560(h'03')]}]], "                   \
    "3: [[" V ", [562(h'30')]]], 4: [[" V ", [" V "]]], 5: [[" V ", [" V ", " V "]]], "            \
    "6: [[" V ", ['c']]], 8: [[[" V ", " SVN ", [554('k')]], [[" SVN ", " SVN "]]]], "             \
    "10: [[[[" V ", " SVN "]], [[" V ", " SVN "], [" V ", " SVN "]]]], 99: [0]}"
#define COMID                                                                                      \
    "{1: {0: 't', 1: 4}, 2: [{0: 'e', 1: 32('u'), 2: [0, 2]}], 3: [{0: 'o', 1: 1}, {0: 'p', 1: "   \
    "0}], 4: " TRIPLES "}"
#define COTS                                                                                       \
    "{0: 'en', 1: {0: 'c', 1: 3}, 2: [{1: {0: {1: 'v'}}, 2: {1: 'n'}, 3: 's'}], 3: ['eat'], "      \
    "4: [{2: 1}], 5: [{3: 1}], 6: {0: [[0, h'30'], [1, h'31'], [2, h'32']], 1: [h'33']}}"
#define COTL "{0: {0: 'l', 1: 1}, 1: [{0: 't', 1: 4}, {0: h(16)}], 2: {0: 1(1), 1: 1(2)}}"
#define CORIM                                                                                      \
    "501({0: h(16), 1: [505(<<{}>>), 506(<<" COMID ">>), 507(<<" COTS ">>), 508(<<" COTL ">>)], "  \
    "2: [{0: [32('a'), 32('b')], 1: [[1, h(32)]]}, {0: 32('c')}], "                                \
    "3: 111(h'6086480186f84d011001'), 4: {0: 1(1), 1: 1(2)}, 5: [{0: 'e', 2: [1]}]})"

static json_t *show(const char *text, enum store_corim_part part)
{
    struct atls_buf in = test_diag(text), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    json_t *root;

    test_assert_code(store_corim_part_json(atls_buf_bytes(&in), part, 0, &out, &err), ATLS_OK,
                     &err);
    root = json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_true(json_is_false(json_object_get(root, "verified")));
    atls_buf_clear(&out);
    atls_buf_clear(&in);
    return root;
}

/* Value at "a/0/b" as compact JSON text. */
static void assert_at(const json_t *root, const char *path, const char *want)
{
    char copy[256], *part, *rest = copy, *text;

    snprintf(copy, sizeof copy, "%s", path);
    while ((part = strtok_r(rest, "/", &rest)) != NULL)
        root = json_is_array(root) ? json_array_get(root, (size_t)strtoul(part, NULL, 10))
                                   : json_object_get(root, part);
    if (root == NULL)
        fail_msg("nothing at %s", path);
    text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert_non_null(text);
    if (strcmp(text, want) != 0)
        fail_msg("at %s: %s, want %s", path, text, want);
    free(text);
}

#define AA16 "\"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa\""
#define AA32 "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""

static const struct {
    const char *path, *want;
} comid_rows[] = {
    {"id", "\"t\""},
    {"version", "4"},
    {"entities/0/roles", "[0,2]"},
    {"entities/0/reg-id", "\"u\""},
    {"linked-tags",
     "[{\"id\":\"o\",\"relation\":\"replaces\"},{\"id\":\"p\",\"relation\":\"supplements\"}]"},
    {"reference-triples/0/environment/class", AA16},
    {"reference-triples/0/environment/layer", "1"},
    {"reference-triples/0/environment/index", "2"},
    {"reference-triples/0/environment/group", "\"55\""},
    {"reference-triples/0/measurements/0/mkey", "\"55\""},
    {"reference-triples/0/measurements/0/version", "\"1\""},
    {"reference-triples/0/measurements/0/version-scheme-cbor", "\"02\""},
    {"reference-triples/0/measurements/0/min-svn", "3"},
    {"reference-triples/0/measurements/0/digests/0/algorithm", "\"sha-256\""},
    {"reference-triples/0/measurements/0/digests/1/algorithm", "99"},
    {"reference-triples/0/measurements/0/digests/2/algorithm", "null"},
    {"reference-triples/0/measurements/0/flags", "{\"debug\":false}"},
    {"reference-triples/0/measurements/0/raw-value", "\"01\""},
    {"reference-triples/0/measurements/0/raw-value-mask", "\"ff\""},
    {"reference-triples/0/measurements/0/mac-addr", "\"aaaaaaaaaaaa\""},
    {"reference-triples/0/measurements/0/ip-addr", "\"aaaaaaaa\""},
    {"reference-triples/0/measurements/0/serial-number", "\"s\""},
    {"reference-triples/0/measurements/0/ueid", "\"aaaaaaaaaaaaaa\""},
    {"reference-triples/0/measurements/0/uuid", AA16},
    {"reference-triples/0/measurements/0/name", "\"n\""},
    {"reference-triples/0/measurements/0/cryptokeys",
     "[{\"tag\":554,\"text\":\"k\"},{\"content\":\"01\",\"tag\":560}]"},
    {"reference-triples/0/measurements/0/integrity-registers/0/id", "0"},
    {"reference-triples/0/measurements/0/integrity-registers/1/id", "\"r\""},
    {"reference-triples/0/measurements/0/integrity-registers/1/digests/0/value", AA32},
    {"reference-triples/0/measurements/0/int-range", "{\"max\":4}"},
    {"reference-triples/0/measurements/0/extensions", "[{\"cbor\":\"01\",\"key\":-73}]"},
    {"reference-triples/0/measurements/0/more", "true"},
    {"reference-triples/0/measurements/0/authorized-by/0/content", "\"02\""},
    {"reference-triples/0/measurements/1/mkey", AA16},
    {"reference-triples/0/measurements/1/svn", "1"},
    {"reference-triples/0/measurements/1/int-range", "5"},
    {"reference-triples/0/measurements/2/mkey", "\"k\""},
    {"reference-triples/0/measurements/2/int-range", "{\"min\":1}"},
    {"endorsed-triples/0/measurements/0/svn", "7"},
    {"endorsed-triples/0/environment/vendor", "\"v\""},
    {"identity-triples/0/keys/0/text", "\"k\""},
    {"identity-triples/0/mkey", "3"},
    {"identity-triples/0/authorized-by/0/content", "\"03\""},
    {"identity-triples/0/conditional", "true"},
    {"attest-key-triples/0/keys/0/content", "\"30\""},
    {"domain-triples/0/kind", "\"dependency\""},
    {"domain-triples/0/trustees/0/vendor", "\"v\""},
    {"domain-triples/1/kind", "\"membership\""},
    {"domain-triples/1/members/1/vendor", "\"v\""},
    {"conditional-endorsement-series-triples/0/condition/authorized-by/0/text", "\"k\""},
    {"conditional-endorsement-series-triples/0/condition/measurements/0/svn", "7"},
    {"conditional-endorsement-series-triples/0/series/0/selection/0/svn", "7"},
    {"conditional-endorsement-series-triples/0/series/0/addition/0/svn", "7"},
    {"conditional-endorsement-triples/0/conditions/0/measurements/0/svn", "7"},
    {"conditional-endorsement-triples/0/additions/1/measurements/0/svn", "7"},
    {"other-triples", "[{\"count\":1,\"kind\":6},{\"count\":1,\"kind\":99}]"},
};

static void test_comid(void **state)
{
    json_t *root = show(COMID, STORE_PART_COMID),
           *tagged = show("506(" COMID ")", STORE_PART_COMID),
           *wrapped = show("506(<<" COMID ">>)", STORE_PART_COMID);

    (void)state;
    for (size_t i = 0; i < sizeof comid_rows / sizeof comid_rows[0]; i++)
        assert_at(root, comid_rows[i].path, comid_rows[i].want);
    assert_true(json_equal(root, tagged) && json_equal(root, wrapped));
    json_decref(root);
    json_decref(tagged);
    json_decref(wrapped);
}

static const struct {
    const char *path, *want;
} corim_rows[] = {
    {"id", AA16},
    {"profile-name", "\"TDX\""},
    {"profile", "\"6086480186f84d011001\""},
    {"not-before", "1"},
    {"not-after", "2"},
    {"entities/0/name", "\"e\""},
    {"dependent-rims/0/href", "[\"a\",\"b\"]"},
    {"dependent-rims/0/thumbprint/0/algorithm", "\"sha-256\""},
    {"dependent-rims/1", "{\"href\":[\"c\"]}"},
    {"tags/0", "{\"bytes\":1,\"kind\":\"coswid\"}"},
    {"tags/1/kind", "\"comid\""},
    {"tags/1/endorsed-triples/0/measurements/0/svn", "7"},
    {"tags/2/kind", "\"cots\""},
    {"tags/2/id", "\"c\""},
    {"tags/2/version", "3"},
    {"tags/2/language", "\"en\""},
    {"tags/2/environments/0/environment/vendor", "\"v\""},
    {"tags/2/environments/0/name", "\"s\""},
    {"tags/2/environments/0/coswid-cbor", "\"a101616e\""},
    {"tags/2/purposes", "[\"eat\"]"},
    {"tags/2/permitted-claims-cbor", "\"81a10201\""},
    {"tags/2/excluded-claims-cbor", "\"81a10301\""},
    {"tags/2/trust-anchors/0/format", "\"certificate\""},
    {"tags/2/trust-anchors/1/format", "\"trust-anchor-info\""},
    {"tags/2/trust-anchors/2", "{\"der\":\"32\",\"format\":\"public-key\"}"},
    {"tags/2/ca-certificates", "[\"33\"]"},
    {"tags/3/kind", "\"cotl\""},
    {"tags/3/tags-list/0", "{\"id\":\"t\",\"version\":4}"},
    {"tags/3/tags-list/1/id", AA16},
    {"tags/3/not-before", "1"},
};

static void test_corim(void **state)
{
    json_t *root = show(CORIM, STORE_PART_CORIM);

    (void)state;
    for (size_t i = 0; i < sizeof corim_rows / sizeof corim_rows[0]; i++)
        assert_at(root, corim_rows[i].path, corim_rows[i].want);
    json_decref(root);
    root = show("501({0: 'i', 1: [505(<<{}>>)], 3: 32('p')})", STORE_PART_CORIM);
    assert_at(root, "profile", "\"p\"");
    assert_at(root, "profile-name", "null");
    json_decref(root);
    root = show("501({0: 'i', 1: [505(<<{}>>)]})", STORE_PART_CORIM);
    assert_null(json_object_get(root, "profile"));
    assert_null(json_object_get(root, "profile-name"));
    json_decref(root);
}

static void test_other_tags(void **state)
{
    json_t *root = show(COTS, STORE_PART_COTS);

    (void)state;
    assert_at(root, "purposes", "[\"eat\"]");
    json_decref(root);
    root = show("507(<<{2: [], 6: {0: [[0, h'30']]}}>>)", STORE_PART_COTS);
    assert_at(root, "environments", "[]");
    assert_null(json_object_get(root, "purposes"));
    json_decref(root);
    root = show("508(" COTL ")", STORE_PART_COTL);
    assert_at(root, "version", "1");
    json_decref(root);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text;
        enum store_corim_part part;
    } rows[] = {
        {"{}", STORE_PART_CORIM},         {"501({})", STORE_PART_CORIM},
        {"506({})", STORE_PART_COMID},    {"507(<<{}>>)", STORE_PART_COTS},
        {"508({})", STORE_PART_COTL},     {"507(" COMID ")", STORE_PART_COMID},
        {"506(h'00')", STORE_PART_COMID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_diag(rows[i].text), out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(store_corim_part_json(atls_buf_bytes(&in), rows[i].part, 0, &out, &err),
                         ATLS_E_DECODE, &err);
        assert_null(out.ptr);
        atls_buf_clear(&in);
    }
}

static void test_legacy(void **state)
{
    struct atls_buf in = test_vector("corim/legacy-signed-corim-valid.cbor"), out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    json_t *root;

    (void)state;
    test_assert_code(
        store_corim_part_json(atls_buf_bytes(&in), STORE_PART_CORIM, ATLS_CORIM_LEGACY, &out, &err),
        ATLS_OK, &err);
    root = json_loadb((const char *)out.ptr, out.len, 0, NULL);
    assert_at(root, "profile", "\"http://arm.com/iot/profile/1\"");
    assert_at(root, "signed/signer", "\"ACME Ltd signing key\"");
    json_decref(root);
    atls_buf_clear(&out);
    atls_buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comid),      cmocka_unit_test(test_corim),
        cmocka_unit_test(test_other_tags), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_legacy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
