#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Parses a block of the exact size, so that a read past its end is seen; out borrows from it. */
static enum atls_code parse(struct atls_bytes text, uint8_t **out_copy, struct atls_json_value *out)
{
    *out_copy = malloc(text.len + (text.len == 0));
    assert_non_null(*out_copy);
    if (text.len != 0)
        memcpy(*out_copy, text.ptr, text.len);
    return atls_json_parse(atls_bytes_of(*out_copy, text.len), out, NULL);
}

static const struct {
    const char *name;
    struct atls_bytes text;
    enum atls_code want;
} texts[] = {
    {"number alone", HEX("0"), ATLS_OK},
    {"white space around", HEX(" \t\r\n[ 1 , 2 ] \n"), ATLS_OK},
    {"all kinds", HEX("{\"a\":[null,true,false,-0.5e+7,\"x\",{},[]]}"), ATLS_OK},
    {"empty object", HEX("{ }"), ATLS_OK},
    {"one name in two objects", HEX("[{\"a\":1},{\"a\":2}]"), ATLS_OK},
    {"one name in an object and in one inside it", HEX("{\"a\":{\"a\":{\"a\":1}}}"), ATLS_OK},
    {"every escape", HEX("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud834\\udd1e\""), ATLS_OK},
    {"UTF-8 of every length", HEX("\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\""), ATLS_OK},
    {"nothing", HEX(""), ATLS_E_DECODE},
    {"white space only", HEX("  "), ATLS_E_DECODE},
    {"byte order mark", HEX("\xef\xbb\xbf{}"), ATLS_E_DECODE},
    {"text after the value", HEX("{} x"), ATLS_E_DECODE},
    {"second value", HEX("1 2"), ATLS_E_DECODE},
    {"NUL after the value", HEX("{}\0"), ATLS_E_DECODE},
    {"comment", HEX("{/**/}"), ATLS_E_DECODE},
    {"name twice", HEX("{\"a\":1,\"b\":2,\"a\":1}"), ATLS_E_DECODE},
    {"name twice, spelled in two ways", HEX("{\"a\":1,\"\\u0061\":2}"), ATLS_E_DECODE},
    {"name twice, deep inside", HEX("[[{\"x\":[{\"a\":1,\"a\":1}]}]]"), ATLS_E_DECODE},
    {"name twice, around an object", HEX("{\"a\":{\"b\":1},\"a\":2}"), ATLS_E_DECODE},
    {"comma before the end of an array", HEX("[1,]"), ATLS_E_DECODE},
    {"comma before the end of an object", HEX("{\"a\":1,}"), ATLS_E_DECODE},
    {"comma first", HEX("[,1]"), ATLS_E_DECODE},
    {"no comma", HEX("[1 2]"), ATLS_E_DECODE},
    {"no colon", HEX("{\"a\" 1}"), ATLS_E_DECODE},
    {"no value", HEX("{\"a\":}"), ATLS_E_DECODE},
    {"name that is no string", HEX("{1:1}"), ATLS_E_DECODE},
    {"name alone", HEX("{\"a\"}"), ATLS_E_DECODE},
    {"array closed as an object", HEX("[1}"), ATLS_E_DECODE},
    {"object closed as an array", HEX("{\"a\":1]"), ATLS_E_DECODE},
    {"array without end", HEX("[1"), ATLS_E_DECODE},
    {"string without end", HEX("\"a"), ATLS_E_DECODE},
    {"string that ends in an escape", HEX("\"\\"), ATLS_E_DECODE},
    {"apostrophes", HEX("'a'"), ATLS_E_DECODE},
    {"control character in a string", HEX("\"\x1f\""), ATLS_E_DECODE},
    {"line feed in a string", HEX("\"\n\""), ATLS_E_DECODE},
    {"unknown escape", HEX("\"\\x41\""), ATLS_E_DECODE},
    {"escape of a NUL byte", HEX("\"\\\0\""), ATLS_E_DECODE},
    {"escape of three digits", HEX("\"\\u12\""), ATLS_E_DECODE},
    {"escape with a letter above F", HEX("\"\\u12g4\""), ATLS_E_DECODE},
    {"high surrogate alone", HEX("\"\\ud834\""), ATLS_E_DECODE},
    {"high surrogate before another escape", HEX("\"\\ud834\\n1234\""), ATLS_E_DECODE},
    {"two high surrogates", HEX("\"\\ud834\\ud834\""), ATLS_E_DECODE},
    {"high surrogate before a letter", HEX("\"\\ud834\\u0041\""), ATLS_E_DECODE},
    {"low surrogate alone", HEX("\"\\udd1e\""), ATLS_E_DECODE},
    {"UTF-8 longer than needed, 2", HEX("\"\xc0\xaf\""), ATLS_E_DECODE},
    {"UTF-8 longer than needed, 3", HEX("\"\xe0\x80\xaf\""), ATLS_E_DECODE},
    {"UTF-8 longer than needed, 4", HEX("\"\xf0\x80\x80\xaf\""), ATLS_E_DECODE},
    {"surrogate as UTF-8", HEX("\"\xed\xa0\x80\""), ATLS_E_DECODE},
    {"above U+10FFFF", HEX("\"\xf4\x90\x80\x80\""), ATLS_E_DECODE},
    {"byte that starts no UTF-8", HEX("\"\xff\""), ATLS_E_DECODE},
    {"continuation alone", HEX("\"\x80\""), ATLS_E_DECODE},
    {"UTF-8 cut", HEX("\"\xe2\x82\""), ATLS_E_DECODE},
    {"leading zero", HEX("01"), ATLS_E_DECODE},
    {"minus alone", HEX("-"), ATLS_E_DECODE},
    {"plus", HEX("+1"), ATLS_E_DECODE},
    {"point first", HEX(".5"), ATLS_E_DECODE},
    {"point last", HEX("[1.]"), ATLS_E_DECODE},
    {"exponent without digits", HEX("[1e+]"), ATLS_E_DECODE},
    {"hexadecimal", HEX("0x1"), ATLS_E_DECODE},
    {"NaN", HEX("NaN"), ATLS_E_DECODE},
    {"word in capitals", HEX("True"), ATLS_E_DECODE},
    {"word cut", HEX("nul"), ATLS_E_DECODE},
    {"word too long", HEX("nulls"), ATLS_E_DECODE},
};

static void texts_by_the_grammar(void **state)
{
    struct atls_json_value root;
    uint8_t *copy;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (parse(texts[i].text, &copy, &root) != texts[i].want)
            fail_msg("%s", texts[i].name);
        free(copy);
    }
}

static const char document[] =
    " {\"tcbInfo\" : {\"id\":\"TDX\",\"a\":[1,\"]}\\\"\",{\"b\":[]}], \"n\":18446744073709551615},"
    "\"signature\":\"00fF\"} ";

static void every_truncation_and_a_byte_more_are_refused(void **state)
{
    const size_t len = sizeof document - 1;
    struct atls_json_value root = {ATLS_JSON_NULL, {NULL, 0}};
    uint8_t *copy;

    (void)state;
    for (size_t i = 0; i < len - 1; i++) {
        assert_int_equal(parse(atls_bytes_of(document, i), &copy, &root), ATLS_E_DECODE);
        assert_null(root.raw.ptr); /* written on success only */
        free(copy);
    }
    assert_int_equal(parse(atls_bytes_of(document, len + 1), &copy, &root), ATLS_E_DECODE);
    free(copy);
}

static void values_are_exact_text(void **state)
{
    struct atls_json_value root, info, v;
    uint64_t n = 0;
    uint8_t hex[2] = {1, 1};
    char text[8];
    size_t text_len = 0;

    (void)state;
    assert_int_equal(atls_json_parse(atls_bytes_of(document, sizeof document - 1), &root, NULL),
                     ATLS_OK);
    assert_int_equal(root.raw.len, sizeof document - 3);
    assert_true(atls_json_member(&root, "tcbInfo", &info));
    test_assert_bytes(
        info.raw,
        (struct atls_bytes)HEX(
            "{\"id\":\"TDX\",\"a\":[1,\"]}\\\"\",{\"b\":[]}], \"n\":18446744073709551615}"));
    assert_true(atls_json_member(&info, "id", &v) && atls_json_is_text(&v, "TDX"));
    assert_false(atls_json_is_text(&v, "TD") || atls_json_is_text(&v, "TDXX"));
    assert_true(atls_json_member(&info, "n", &v) && atls_json_get_uint(&v, UINT64_MAX, &n));
    assert_true(n == UINT64_MAX && !atls_json_get_uint(&v, UINT64_MAX - 1, &n));
    assert_true(atls_json_member(&root, "signature", &v) && atls_json_get_hex(&v, hex, 2));
    assert_true(hex[0] == 0x00 && hex[1] == 0xff);
    assert_false(atls_json_get_hex(&v, hex, 1));
    assert_false(atls_json_member(&root, "id", &v)); /* of an object inside */
    assert_true(atls_json_get_text(&v, text, 4, &text_len) && text_len == 4);
    assert_false(atls_json_get_text(&v, text, 3, &text_len));
}

static void arrays_are_walked(void **state)
{
    static const struct atls_bytes in = HEX("[ 1 , [2,{\"c\":3}] , \"]\\\\\" , null ]");
    static const char *const want[] = {"1", "[2,{\"c\":3}]", "\"]\\\\\"", "null"};
    struct atls_json_value root, v;
    struct atls_json_walk walk;

    (void)state;
    assert_int_equal(atls_json_parse(in, &root, NULL), ATLS_OK);
    walk = atls_json_walk(&root);
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(atls_json_next(&walk, NULL, &v));
        test_assert_bytes(v.raw, atls_bytes_of(want[i], strlen(want[i])));
    }
    assert_false(atls_json_next(&walk, NULL, &v));
    walk = atls_json_walk(&v); /* null has no elements */
    assert_false(atls_json_next(&walk, NULL, &v));
    assert_false(atls_json_member(&root, "c", &v));
}

/* The value of a text that is one. */
static struct atls_json_value value_of(const char *text)
{
    struct atls_json_value v;

    assert_int_equal(atls_json_parse(atls_bytes_of(text, strlen(text)), &v, NULL), ATLS_OK);
    return v;
}

static void strings_are_decoded(void **state)
{
    static const char want[] = "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e";
    struct atls_json_value v = value_of(
                               "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E9\\u20ac\\ud834\\udd1e\""),
                           number;
    struct atls_bytes plain = {NULL, 0};
    char out[32];
    size_t len = 0;

    (void)state;
    assert_true(atls_json_get_text(&v, out, sizeof out, &len));
    test_assert_bytes(atls_bytes_of(out, len), atls_bytes_of(want, sizeof want - 1));
    assert_true(atls_json_is_text(&v, want));
    assert_false(atls_json_get_plain(&v, &plain));
    v = value_of("\"\xc3\xa9\"");
    assert_true(atls_json_get_plain(&v, &plain) && plain.len == 2);
    v = value_of("\"\"");
    assert_true(atls_json_get_plain(&v, &plain) && plain.len == 0 && atls_json_is_text(&v, ""));
    number = value_of("1");
    assert_false(atls_json_get_plain(&number, &plain) || atls_json_is_text(&number, "1") ||
                 atls_json_get_text(&number, out, sizeof out, &len));
}

static const struct {
    const char *text;
    bool good;
    uint64_t want;
} numbers[] = {
    {"0", true, 0},
    {"7", true, 7},
    {"4294967295", true, 4294967295},
    {"4294967296", false, 0},
    {"-0", false, 0},
    {"1.0", false, 0},
    {"1e1", false, 0},
    {"\"1\"", false, 0},
    {"18446744073709551616", false, 0},
    {"true", false, 0},
    {"99999999999999999999", false, 0},
};

static void numbers_that_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct atls_json_value v = value_of(numbers[i].text);
        uint64_t n = 0;

        if (atls_json_get_uint(&v, UINT32_MAX, &n) != numbers[i].good || n != numbers[i].want)
            fail_msg("%s", numbers[i].text);
    }
}

static void truth_values(void **state)
{
    struct atls_json_value v = value_of("true");
    bool b = false;

    (void)state;
    assert_true(atls_json_get_bool(&v, &b) && b);
    v = value_of("false");
    assert_true(atls_json_get_bool(&v, &b) && !b);
    v = value_of("null");
    assert_false(atls_json_get_bool(&v, &b));
}

static const struct {
    const char *text;
    int64_t want; /* -1: refused */
} times[] = {
    {"\"1970-01-01T00:00:00Z\"", 0},
    {"\"2025-06-19T10:32:27Z\"", 1750329147},
    {"\"2025-06-19T10:32:27.999Z\"", 1750329147},
    {"\"2024-02-29T23:59:59Z\"", 1709251199},
    {"\"2000-03-01T00:00:00Z\"", 951868800},
    {"\"9999-12-31T23:59:59Z\"", 253402300799},
    {"\"2023-02-29T00:00:00Z\"", -1},
    {"\"2100-02-29T00:00:00Z\"", -1},
    {"\"1969-12-31T23:59:59Z\"", -1},
    {"\"2025-13-01T00:00:00Z\"", -1},
    {"\"2025-00-01T00:00:00Z\"", -1},
    {"\"2025-01-00T00:00:00Z\"", -1},
    {"\"2025-04-31T00:00:00Z\"", -1},
    {"\"2025-01-01T24:00:00Z\"", -1},
    {"\"2025-01-01T00:60:00Z\"", -1},
    {"\"2025-01-01T00:00:60Z\"", -1},
    {"\"2025-01-01T00:00:00\"", -1},
    {"\"2025-01-01T00:00:00.Z\"", -1},
    {"\"2025-01-01T00:00:00+00:00\"", -1},
    {"\"2025-01-01 00:00:00Z\"", -1},
    {"\"2025-01-01T00:00:00Zx\"", -1},
    {"\"2025-01-01T0a:00:00Z\"", -1},
    {"1735689600", -1},
};

static void times_in_one_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        struct atls_json_value v = value_of(times[i].text);
        int64_t t = -1;

        if (atls_json_get_time(&v, &t) != (times[i].want >= 0) || t != times[i].want)
            fail_msg("%s", times[i].text);
    }
}

static void hexadecimal_digits_only(void **state)
{
    struct atls_json_value v = value_of("\"0g\"");
    uint8_t out[1];

    (void)state;
    assert_false(atls_json_get_hex(&v, out, 1));
    v = value_of("\"0\"");
    assert_false(atls_json_get_hex(&v, out, 0) || atls_json_get_hex(&v, out, 1));
    v = value_of("\"\\u0030\\u0030\"");
    assert_false(atls_json_get_hex(&v, out, 1));
    v = value_of("12");
    assert_false(atls_json_get_hex(&v, out, 1));
}

/* depth arrays around a 0. */
static enum atls_code nested(size_t depth)
{
    char text[2 * ATLS_JSON_NESTING_MAX + 4];
    struct atls_json_value root;

    memset(text, '[', depth);
    text[depth] = '0';
    memset(text + depth + 1, ']', depth);
    return atls_json_parse(atls_bytes_of(text, 2 * depth + 1), &root, NULL);
}

/* An object of count names. */
static enum atls_code names(size_t count)
{
    char text[16 * (ATLS_JSON_NAMES_MAX + 2)];
    struct atls_json_value root;
    size_t len = 0;

    text[len++] = '{';
    for (size_t i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%s\"n%zu\":0", i == 0 ? "" : ",", i);
    text[len++] = '}';
    return atls_json_parse(atls_bytes_of(text, len), &root, NULL);
}

static void bounds(void **state)
{
    struct atls_buf large = {malloc(ATLS_JSON_TEXT_MAX + 1), ATLS_JSON_TEXT_MAX + 1};
    struct atls_json_value root;

    (void)state;
    assert_int_equal(nested(ATLS_JSON_NESTING_MAX), ATLS_OK);
    assert_int_equal(nested(ATLS_JSON_NESTING_MAX + 1), ATLS_E_LIMIT);
    assert_int_equal(names(ATLS_JSON_NAMES_MAX), ATLS_OK);
    assert_int_equal(names(ATLS_JSON_NAMES_MAX + 1), ATLS_E_LIMIT);
    assert_non_null(large.ptr);
    memset(large.ptr, ' ', large.len);
    large.ptr[0] = '1';
    assert_int_equal(atls_json_parse(atls_buf_bytes(&large), &root, NULL), ATLS_E_LIMIT);
    assert_int_equal(atls_json_parse(atls_bytes_of(large.ptr, ATLS_JSON_TEXT_MAX), &root, NULL),
                     ATLS_OK);
    free(large.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_by_the_grammar),
        cmocka_unit_test(every_truncation_and_a_byte_more_are_refused),
        cmocka_unit_test(values_are_exact_text),
        cmocka_unit_test(arrays_are_walked),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(numbers_that_count),
        cmocka_unit_test(truth_values),
        cmocka_unit_test(times_in_one_form),
        cmocka_unit_test(hexadecimal_digits_only),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
