#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/limits.h>

#include "wire/cmw_json.h"

#define ARENA_MAX (1 << 20)

/* Decodes from a block of the exact size that is gone when the tree is written again. */
static enum atls_code round_trip(struct atls_bytes in, struct atls_buf *out, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_json j = atls_json_init(ARENA_MAX);
    struct atls_buf copy;
    struct atls_cmw cmw;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_cmw_json_decode(atls_buf_bytes(&copy), &arena, &cmw, err);
    atls_buf_clear(&copy);
    if (code == ATLS_OK) {
        test_assert_code(atls_cmw_json_put(&j, NULL, &cmw, err), ATLS_OK, err);
        test_assert_code(atls_json_finish(&j, out, err), ATLS_OK, err);
    }
    atls_json_clear(&j);
    atls_arena_clear(&arena);
    return code;
}

static const struct {
    const char *name;
    struct atls_bytes in;
    enum atls_code want;
    const char *message;
} rows[] = {
    {"smallest record", HEX("[\"a/b\",\"AA\"]"), ATLS_OK, NULL},
    {"record with ind", HEX("[\"a/b\",\"AA\",31]"), ATLS_OK, NULL},
    {"smallest collection", HEX("{\"x\":[\"a/b\",\"AA\"]}"), ATLS_OK, NULL},
    {"collection with type",
     HEX("{\"__cmwc_t\":\"2.5\",\"x\":[\"a/b\",\"AA\"],\"yy\":{\"z\":[\"a/b\",\"_-8\",1]}}"),
     ATLS_OK, NULL},

    {"nothing", HEX(""), ATLS_E_DECODE, "first byte"},
    {"blank first", HEX(" [\"a/b\",\"AA\"]"), ATLS_E_DECODE, "first byte"},
    {"byte order mark", HEX("\xef\xbb\xbf[\"a/b\",\"AA\"]"), ATLS_E_DECODE, "first byte"},
    {"text", HEX("\"a\""), ATLS_E_DECODE, "first byte"},
    {"number", HEX("1"), ATLS_E_DECODE, "first byte"},
    {"CBOR", HEX("\x82\x00\x41\x00"), ATLS_E_DECODE, "first byte"},
    {"trailing byte", HEX("[\"a/b\",\"AA\"]x"), ATLS_E_DECODE, "end of file"},
    {"trailing NUL", HEX("[\"a/b\",\"AA\"]\0"), ATLS_E_DECODE, "JSON CMW"},
    {"two texts", HEX("[\"a/b\",\"AA\"][\"a/b\",\"AA\"]"), ATLS_E_DECODE, "end of file"},
    {"comment", HEX("[\"a/b\",/**/\"AA\"]"), ATLS_E_DECODE, "JSON CMW"},
    {"trailing comma", HEX("[\"a/b\",\"AA\",]"), ATLS_E_DECODE, "JSON CMW"},

    {"array of 0", HEX("[]"), ATLS_E_DECODE, "not of 2 or 3"},
    {"array of 1", HEX("[\"a/b\"]"), ATLS_E_DECODE, "not of 2 or 3"},
    {"array of 4", HEX("[\"a/b\",\"AA\",1,1]"), ATLS_E_DECODE, "not of 2 or 3"},
    {"type a number", HEX("[60,\"AA\"]"), ATLS_E_DECODE, "type is not text"},
    {"type null", HEX("[null,\"AA\"]"), ATLS_E_DECODE, "type is not text"},
    {"type empty", HEX("[\"\",\"AA\"]"), ATLS_E_DECODE, "not a Content-Type"},
    {"type without slash", HEX("[\"ab\",\"AA\"]"), ATLS_E_DECODE, "not a Content-Type"},
    {"type with NUL", HEX("[\"a/b\\u0000\",\"AA\"]"), ATLS_E_DECODE, "JSON CMW"},
    {"type with escaped line break", HEX("[\"a/b;c=\\\"\\n\\\"\",\"AA\"]"), ATLS_E_DECODE,
     "control character"},
    {"type with escaped tab", HEX("[\"a/b;\\tc=d\",\"AA\"]"), ATLS_E_DECODE, "control character"},
    {"type with a control character", HEX("[\"a/\x01\",\"AA\"]"), ATLS_E_DECODE, "JSON CMW"},
    {"type not UTF-8", HEX("[\"a/b;c=\\\"\xff\\\"\",\"AA\"]"), ATLS_E_DECODE, "unable to decode"},
    {"type with half a surrogate pair", HEX("[\"a/b;c=\\\"\\ud800\\\"\",\"AA\"]"), ATLS_E_DECODE,
     "JSON CMW"},
    {"value a number", HEX("[\"a/b\",1]"), ATLS_E_DECODE, "base64url"},
    {"value null", HEX("[\"a/b\",null]"), ATLS_E_DECODE, "base64url"},
    {"value empty", HEX("[\"a/b\",\"\"]"), ATLS_E_DECODE, "value is empty"},
    {"value padded", HEX("[\"a/b\",\"AA==\"]"), ATLS_E_DECODE, "base64url"},
    {"value with +", HEX("[\"a/b\",\"+-AA\"]"), ATLS_E_DECODE, "base64url"},
    {"value with /", HEX("[\"a/b\",\"/-AA\"]"), ATLS_E_DECODE, "base64url"},
    {"value with a blank", HEX("[\"a/b\",\"AA \"]"), ATLS_E_DECODE, "base64url"},
    {"value with a line break", HEX("[\"a/b\",\"AA\\nAA\"]"), ATLS_E_DECODE, "base64url"},
    {"value of length 1 mod 4", HEX("[\"a/b\",\"AAAAA\"]"), ATLS_E_DECODE, "base64url"},
    {"value with spare bits", HEX("[\"a/b\",\"AB\"]"), ATLS_E_DECODE, "base64url"},
    {"value with 2 spare bits", HEX("[\"a/b\",\"AAB\"]"), ATLS_E_DECODE, "base64url"},
    {"ind 0", HEX("[\"a/b\",\"AA\",0]"), ATLS_E_DECODE, "ind is not"},
    {"ind -0", HEX("[\"a/b\",\"AA\",-0]"), ATLS_E_DECODE, "ind is not"},
    {"ind negative", HEX("[\"a/b\",\"AA\",-1]"), ATLS_E_DECODE, "ind is not"},
    {"ind null", HEX("[\"a/b\",\"AA\",null]"), ATLS_E_DECODE, "ind is not"},
    {"ind text", HEX("[\"a/b\",\"AA\",\"1\"]"), ATLS_E_DECODE, "ind is not"},
    {"ind true", HEX("[\"a/b\",\"AA\",true]"), ATLS_E_DECODE, "ind is not"},
    {"ind 1.0", HEX("[\"a/b\",\"AA\",1.0]"), ATLS_E_DECODE, "ind is not"},
    {"ind 1e0", HEX("[\"a/b\",\"AA\",1e0]"), ATLS_E_DECODE, "ind is not"},
    {"ind 01", HEX("[\"a/b\",\"AA\",01]"), ATLS_E_DECODE, "JSON CMW"},
    {"ind 32", HEX("[\"a/b\",\"AA\",32]"), ATLS_E_DECODE, "not assigned"},
    {"ind 2^32", HEX("[\"a/b\",\"AA\",4294967296]"), ATLS_E_DECODE, "ind is not"},
    {"ind 2^32 and 1", HEX("[\"a/b\",\"AA\",4294967297]"), ATLS_E_DECODE, "ind is not"},
    {"ind 2^64", HEX("[\"a/b\",\"AA\",18446744073709551616]"), ATLS_E_DECODE, "JSON CMW"},

    {"empty collection", HEX("{}"), ATLS_E_DECODE, "collection is empty"},
    {"empty inner collection", HEX("{\"x\":{}}"), ATLS_E_DECODE, "collection is empty"},
    {"only the type", HEX("{\"__cmwc_t\":\"2.5\"}"), ATLS_E_DECODE, "collection is empty"},
    {"label twice", HEX("{\"x\":[\"a/b\",\"AA\"],\"x\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE,
     "duplicate"},
    {"label twice, once escaped", HEX("{\"x\":[\"a/b\",\"AA\"],\"\\u0078\":[\"a/b\",\"AA\"]}"),
     ATLS_E_DECODE, "duplicate"},
    {"type twice", HEX("{\"__cmwc_t\":\"2.5\",\"__cmwc_t\":\"2.5\",\"x\":[\"a/b\",\"AA\"]}"),
     ATLS_E_DECODE, "duplicate"},
    {"label empty", HEX("{\"\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE, "label is empty"},
    {"label with NUL", HEX("{\"x\\u0000\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE, "JSON CMW"},
    {"label with escaped line break", HEX("{\"x\\n\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE,
     "control character"},
    {"label with the first control character", HEX("{\"\\u0001x\":[\"a/b\",\"AA\"]}"),
     ATLS_E_DECODE, "control character"},
    {"label with the last control character", HEX("{\"x\\u001fx\":[\"a/b\",\"AA\"]}"),
     ATLS_E_DECODE, "control character"},
    {"inner label with a control character", HEX("{\"x\":{\"\\u001b\":[\"a/b\",\"AA\"]}}"),
     ATLS_E_DECODE, "control character"},
    {"label with a blank", HEX("{\"x y\":[\"a/b\",\"AA\"]}"), ATLS_OK, NULL},
    {"collection type with a control character",
     HEX("{\"__cmwc_t\":\"urn:a\\u0007\",\"x\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE,
     "control character"},
    {"collection type a number", HEX("{\"__cmwc_t\":1,\"x\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE,
     "__cmwc_t is not text"},
    {"collection type a record", HEX("{\"__cmwc_t\":[\"a/b\",\"AA\"],\"x\":[\"a/b\",\"AA\"]}"),
     ATLS_E_DECODE, "__cmwc_t is not text"},
    {"collection type relative", HEX("{\"__cmwc_t\":\"a/b\",\"x\":[\"a/b\",\"AA\"]}"),
     ATLS_E_DECODE, "absolute URI"},
    {"collection type empty", HEX("{\"__cmwc_t\":\"\",\"x\":[\"a/b\",\"AA\"]}"), ATLS_E_DECODE,
     "absolute URI"},
    {"member text", HEX("{\"x\":\"ggBBAA\"}"), ATLS_E_DECODE, "neither record nor collection"},
    {"member null", HEX("{\"x\":null}"), ATLS_E_DECODE, "neither record nor collection"},
    {"member refused", HEX("{\"x\":[\"a/b\",\"\"]}"), ATLS_E_DECODE, "value is empty"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(round_trip(rows[i].in, &out, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            test_assert_bytes(atls_buf_bytes(&out), rows[i].in);
        else if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("%s, want %s", err.message, rows[i].message);
        else
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        for (size_t len = 0; rows[i].want == ATLS_OK && len < rows[i].in.len; len++)
            test_assert_code(round_trip(atls_bytes_of(rows[i].in.ptr, len), &out, &err),
                             ATLS_E_DECODE, &err);
        atls_buf_clear(&out);
    }
}

static void test_vectors(void **state)
{
    static const char *const files[] = {"cmw/cmw-example-1.json", "cmw/cmw-example-2.json",
                                        "cmw/collection-example-1.json", "cmw/collection-ok.json"};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i]), out = ATLS_BUF_INIT, again = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", files[i]);
        test_assert_code(round_trip(atls_buf_bytes(&in), &out, &err), ATLS_OK, &err);
        test_assert_code(round_trip(atls_buf_bytes(&out), &again, &err), ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&again), atls_buf_bytes(&out));
        atls_buf_clear(&in);
        atls_buf_clear(&out);
        atls_buf_clear(&again);
    }
}

/* The claim "cmw" inside a claims set. */
static void test_claim(void **state)
{
    struct atls_buf in = test_vector("cmw/eat-example-1.json");
    json_t *claims = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, NULL);
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_cmw *member;
    struct atls_cmw cmw;

    (void)state;
    assert_non_null(claims);
    test_assert_code(atls_cmw_json_decode_value(json_object_get(claims, "cmw"), &arena, &cmw, &err),
                     ATLS_OK, &err);
    assert_true(atls_bytes_equal_text(cmw.collection_type,
                                      "tag:example.com,2024:another-composite-attester"));
    member = atls_cmw_find(&cmw, "attester A");
    assert_non_null(member);
    assert_true(atls_cmw_type_is(&member->type, "application/eat-ucs+json"));
    assert_true(atls_bytes_equal_text(member->value, "{}\n"));
    assert_int_equal(member->ind, ATLS_CMW_EVIDENCE);
    test_assert_code(atls_cmw_json_decode_value(json_object_get(claims, "exp"), &arena, &cmw, &err),
                     ATLS_E_DECODE, &err);
    json_decref(claims);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

static void test_limits(void **state)
{
    static const struct {
        const char *name;
        int levels, entries;
        enum atls_code want;
    } cases[] = {
        {"all the levels", ATLS_CMW_DEPTH_MAX, 1, ATLS_OK},
        {"one level more", ATLS_CMW_DEPTH_MAX + 1, 1, ATLS_E_LIMIT},
        {"all the entries", 1, ATLS_CMW_ENTRIES_MAX, ATLS_OK},
        {"one entry more", 1, ATLS_CMW_ENTRIES_MAX + 1, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct atls_json j = atls_json_init(1 << 16);
        struct atls_buf in, out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        char key[8] = "x";

        print_message("  %s\n", cases[i].name);
        atls_json_open_object(&j, NULL);
        atls_json_put_string(&j, "__cmwc_t", "2.5");
        for (int level = 1; level < cases[i].levels; level++)
            atls_json_open_object(&j, "x");
        for (int entry = 0; entry < cases[i].entries; entry++) {
            key[0] = (char)('0' + entry);
            atls_json_open_array(&j, key);
            atls_json_put_string(&j, NULL, "a/b");
            atls_json_put_string(&j, NULL, "AA");
            atls_json_close(&j);
        }
        for (int level = 0; level < cases[i].levels; level++)
            atls_json_close(&j);
        test_assert_code(atls_json_finish(&j, &in, &err), ATLS_OK, &err);
        test_assert_code(round_trip(atls_buf_bytes(&in), &out, &err), cases[i].want, &err);
        atls_buf_clear(&in);
        atls_buf_clear(&out);
    }
}

/* Arrays nested far deeper than any wrapper stay an error, not a stack overflow. */
static void test_nesting_bomb(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in = {malloc(1 << 20), 1 << 20}, out = ATLS_BUF_INIT;

    (void)state;
    assert_non_null(in.ptr);
    memset(in.ptr, '[', in.len);
    test_assert_code(round_trip(atls_buf_bytes(&in), &out, &err), ATLS_E_DECODE, &err);
    atls_buf_clear(&in);
}

static void test_arena_too_small(void **state)
{
    static const struct atls_bytes in =
        HEX("{\"__cmwc_t\":\"2.5\",\"x\":[\"a/b\",\"AA\"],\"y\":{\"z\":[\"a/b\",\"AA\"]}}");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cmw cmw;
    size_t limit = 0;
    enum atls_code code;

    (void)state;
    do {
        struct atls_arena arena = atls_arena_init(limit);

        code = atls_cmw_json_decode(in, &arena, &cmw, &err);
        if (code != ATLS_OK)
            test_assert_code(code, ATLS_E_NOMEM, &err);
        atls_arena_clear(&arena);
        limit += 16;
    } while (code != ATLS_OK && limit < 4096);
    test_assert_code(code, ATLS_OK, &err);
    assert_true(limit > 256);
}

static void test_put(void **state)
{
    static const struct atls_bytes value = HEX("\x00"), chain = HEX("c");
    struct atls_cmw record = atls_cmw_record_cf(263, value, 4);
    struct atls_cmw unknown = atls_cmw_record_cf(64999, value, 0);
    struct atls_cmw tag = record, empty = atls_cmw_record("a/b", atls_bytes_of(NULL, 0), 0);
    struct atls_cmw tabbed = atls_cmw_record("a/b;\tc=d", value, 0);
    struct atls_cmw_entry entry = {.value = record};
    struct atls_cmw numbered = {.kind = ATLS_CMW_COLLECTION, .entries = &entry, .count = 1};
    struct atls_json j = atls_json_init(256);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out;

    (void)state;
    tag.kind = ATLS_CMW_TAG;
    tag.ind = 0;
    test_assert_code(atls_cmw_json_put(&j, NULL, &tag, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "no tags"));
    test_assert_code(atls_cmw_json_put(&j, NULL, &unknown, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "no media type"));
    test_assert_code(atls_cmw_json_put(&j, NULL, &numbered, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "labels are text"));
    test_assert_code(atls_cmw_json_put(&j, NULL, &empty, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "value is empty"));
    entry.label.is_text = true;
    entry.label.text = chain;
    entry.value = tag;
    test_assert_code(atls_cmw_json_put(&j, NULL, &numbered, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "no tags"));
    /* What CBOR may hold and JSON would have to escape. */
    entry.label.text = atls_bytes_of("x\n", 2);
    entry.value = record;
    test_assert_code(atls_cmw_json_put(&j, NULL, &numbered, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "label with a control character"));
    test_assert_code(atls_cmw_json_put(&j, NULL, &tabbed, &err), ATLS_E_USAGE, &err);
    assert_non_null(strstr(err.message, "type with a control character"));
    entry.label.text = chain;

    atls_json_open_object(&j, NULL);
    test_assert_code(atls_cmw_json_put(&j, "cmw", &record, &err), ATLS_OK, &err);
    entry.value = record;
    test_assert_code(atls_cmw_json_put(&j, "more", &numbered, &err), ATLS_OK, &err);
    atls_json_close(&j);
    test_assert_code(atls_json_finish(&j, &out, &err), ATLS_OK, &err);
    assert_string_equal((const char *)out.ptr,
                        "{\"cmw\":[\"application/eat+cwt\",\"AA\",4],"
                        "\"more\":{\"c\":[\"application/eat+cwt\",\"AA\",4]}}");
    atls_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_claim),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nesting_bomb), cmocka_unit_test(test_arena_too_small),
        cmocka_unit_test(test_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
