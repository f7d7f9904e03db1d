#include <stdio.h>
#include <string.h>

#include "diag.h"
#include "testlib.h"

#include "wire/cots.h"

#define KEYS "6: {0: [[0, h'30']]}"

static const struct {
    const char *name, *text;
    enum atls_code want;
    const char *says;
} rows[] = {
    {"smallest, for everybody", "{2: [], " KEYS "}", ATLS_OK, NULL},
    {"for everybody, by an empty selection", "{2: [{}], " KEYS "}", ATLS_OK, NULL},
    {"for an environment", "{2: [{1: {0: {1: 'v'}}}], " KEYS "}", ATLS_OK, NULL},
    {"for software", "{2: [{2: {1: 'n'}}], " KEYS "}", ATLS_OK, NULL},
    {"by name", "{2: [{3: 'store'}], " KEYS "}", ATLS_OK, NULL},
    {"every member",
     "{0: 'en', 1: {0: 'id', 1: 3}, 2: [{}], 3: ['eat', 'corim'], 4: [{2: 1}], 5: [{3: 1}, {4: 1}],"
     " 6: {0: [[0, h'30'], [1, h'31'], [2, h'32']], 1: [h'33', h'34']}}",
     ATLS_OK, NULL},
    {"not a map", "[]", ATLS_E_DECODE, "CoTS map: not a map"},
    {"key is text", "{'a': 0}", ATLS_E_DECODE, "CoTS map: key is not an integer"},
    {"unknown member", "{2: [], 7: 0, " KEYS "}", ATLS_E_UNSUPPORTED, "CoTS map: unknown member"},
    {"no environments", "{" KEYS "}", ATLS_E_DECODE, "has no environments"},
    {"no keys", "{2: []}", ATLS_E_DECODE, "has no keys"},
    {"language is a number", "{0: 1, 2: [], " KEYS "}", ATLS_E_DECODE, "CoTS language"},
    {"identity without an id", "{1: {1: 1}, 2: [], " KEYS "}", ATLS_E_DECODE, "has no id"},
    {"environments are a map", "{2: {}, " KEYS "}", ATLS_E_DECODE, "environments: not a non-empty"},
    {"environment is text", "{2: ['a'], " KEYS "}", ATLS_E_DECODE, "environment: not a map"},
    {"environment named by text", "{2: [{'a': 0}], " KEYS "}", ATLS_E_DECODE, "key is not an"},
    {"environment with an unknown member", "{2: [{4: 0}], " KEYS "}", ATLS_E_UNSUPPORTED,
     "environment: unknown member"},
    {"environment that is empty", "{2: [{1: {}}], " KEYS "}", ATLS_E_DECODE,
     "CoTS: CoRIM environment"},
    {"software that is text", "{2: [{2: 'a'}], " KEYS "}", ATLS_E_DECODE, "CoSWID is not a map"},
    {"empty name", "{2: [{3: ''}], " KEYS "}", ATLS_E_DECODE, "name is not a text"},
    {"no purposes", "{2: [], 3: [], " KEYS "}", ATLS_E_DECODE, "purposes: not a non-empty"},
    {"purpose by number", "{2: [], 3: [1], " KEYS "}", ATLS_E_DECODE, "purposes: not a text"},
    {"permitted claims are a map", "{2: [], 4: {}, " KEYS "}", ATLS_E_DECODE,
     "permitted claims: not a non-empty list"},
    {"excluded claims are none", "{2: [], 5: [], " KEYS "}", ATLS_E_DECODE,
     "excluded claims: not a non-empty list"},
    {"keys are a list", "{2: [], 6: []}", ATLS_E_DECODE, "keys: not a map"},
    {"keys with an unknown member", "{2: [], 6: {0: [[0, h'30']], 2: 0}}", ATLS_E_DECODE,
     "keys: unknown member"},
    {"keys without anchors", "{2: [], 6: {1: [h'30']}}", ATLS_E_DECODE, "has no trust anchors"},
    {"no anchors", "{2: [], 6: {0: []}}", ATLS_E_DECODE, "trust anchors: not a non-empty list"},
    {"anchor of one member", "{2: [], 6: {0: [[0]]}}", ATLS_E_DECODE, "not [format, bytes]"},
    {"anchor without bytes", "{2: [], 6: {0: [[0, h'']]}}", ATLS_E_DECODE, "not [format, bytes]"},
    {"second anchor of an unknown format", "{2: [], 6: {0: [[0, h'30'], [3, h'30']]}}",
     ATLS_E_UNSUPPORTED, "trust anchor 1: CoTS trust anchor: format"},
    {"empty certificate", "{2: [], 6: {0: [[0, h'30']], 1: [h'']}}", ATLS_E_DECODE,
     "CA certificates: not a byte string"},
    {"no certificates", "{2: [], 6: {0: [[0, h'30']], 1: []}}", ATLS_E_DECODE,
     "CA certificates: not a non-empty list"},
    {"duplicate member", "{2: [], 2: [], " KEYS "}", ATLS_E_DECODE, "duplicate map key"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_buf in = test_diag(rows[i].text);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cots cots;
        enum atls_code code = atls_cots_decode(atls_buf_bytes(&in), &arena, &cots, &err);

        if (code != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d, want %d: %s", rows[i].name, code, rows[i].want, err.message);
        for (size_t n = 0; n < in.len; n++)
            assert_int_not_equal(atls_cots_decode(atls_bytes_of(in.ptr, n), &arena, &cots, NULL),
                                 ATLS_OK);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void test_members(void **state)
{
    struct atls_buf in = test_diag(rows[5].text);
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cots cots;

    (void)state;
    test_assert_code(atls_cots_decode(atls_buf_bytes(&in), &arena, &cots, &err), ATLS_OK, &err);
    test_assert_bytes(cots.language, atls_bytes_of("en", 2));
    assert_true(cots.has_id && cots.has_version && cots.version == 3);
    test_assert_bytes(cots.id.text, atls_bytes_of("id", 2));
    assert_int_equal(cots.environment_count, 1);
    assert_false(cots.environments[0].has_environment);
    assert_int_equal(cots.purpose_count, 2);
    assert_int_equal(cots.permitted.count, 1);
    assert_int_equal(cots.excluded.count, 2);
    assert_int_equal(cots.anchor_count, 3);
    assert_int_equal(cots.anchors[0].format, ATLS_COTS_CERTIFICATE);
    assert_int_equal(cots.anchors[1].format, ATLS_COTS_TRUST_ANCHOR_INFO);
    assert_int_equal(cots.anchors[2].format, ATLS_COTS_SPKI);
    test_assert_bytes(cots.anchors[2].der, atls_bytes_of("\x32", 1));
    assert_int_equal(cots.certificate_count, 2);
    test_assert_bytes(cots.certificates[1], atls_bytes_of("\x34", 1));
    assert_true(atls_cots_serves(&cots, "eat") && atls_cots_serves(&cots, "corim"));
    assert_false(atls_cots_serves(&cots, "ea"));
    cots.purpose_count = 0;
    assert_true(atls_cots_serves(&cots, "ea"));
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static void test_selection(void **state)
{
    struct atls_buf in =
        test_diag("{2: [{1: {0: {1: 'v'}}, 2: {1: 'n'}, 3: 'store'}, {}], " KEYS "}");
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cots cots;

    (void)state;
    test_assert_code(atls_cots_decode(atls_buf_bytes(&in), &arena, &cots, &err), ATLS_OK, &err);
    assert_int_equal(cots.environment_count, 2);
    assert_true(cots.environments[0].has_environment);
    test_assert_bytes(cots.environments[0].environment.vendor, atls_bytes_of("v", 1));
    assert_int_equal(cots.environments[0].environment_item.len, 6);
    assert_int_equal(cots.environments[0].swid.len, 4);
    test_assert_bytes(cots.environments[0].name, atls_bytes_of("store", 5));
    assert_null(cots.environments[1].name.ptr);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static void test_limits(void **state)
{
    struct atls_buf in = test_diag(rows[5].text);
    char many[1024] = "{2: [], 3: ['p'";
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cots cots;

    (void)state;
    for (size_t room = 0; room < 1024; room += 16) {
        struct atls_arena arena = atls_arena_init(room);
        enum atls_code code = atls_cots_decode(atls_buf_bytes(&in), &arena, &cots, NULL);

        assert_true(code == ATLS_OK || code == ATLS_E_NOMEM);
        assert_true(room >= 64 || code == ATLS_E_NOMEM);
        assert_true(room < 1000 || code == ATLS_OK);
        atls_arena_clear(&arena);
    }
    atls_buf_clear(&in);
    for (size_t i = 0; i < 64; i++)
        strcat(many, ", 'p'");
    strcat(many, "], " KEYS "}");
    in = test_diag(many);
    {
        struct atls_arena arena = atls_arena_init(1 << 20);

        test_assert_code(atls_cots_decode(atls_buf_bytes(&in), &arena, &cots, &err), ATLS_E_LIMIT,
                         &err);
        atls_arena_clear(&arena);
    }
    atls_buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
