#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/json_writer.h"

static void assert_text(struct atls_json *j, const char *want)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_json_finish(j, &out, &err), ATLS_OK, &err);
    assert_string_equal((const char *)out.ptr, want);
    assert_int_equal(out.len, strlen(want));
    atls_buf_clear(&out);
}

static void text_is_escaped(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        const char *want;
    } rows[] = {
        {"empty", HEX(""), "\"\""},
        {"plain", HEX("abc ~"), "\"abc ~\""},
        {"quote and backslash", HEX("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {"controls with a short form", HEX("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {"controls without one", HEX("\x00\x1b\x7f"), "\"\\u0000\\u001b\\u007f\""},
        {"two bytes of UTF-8", HEX("\xc3\xa4"), "\"\\u00e4\""},
        {"three bytes of UTF-8", HEX("\xe2\x80\xae"), "\"\\u202e\""},
        {"four bytes of UTF-8", HEX("\xf0\x9f\x98\x80"), "\"\\ud83d\\ude00\""},
        {"last scalar value", HEX("\xf4\x8f\xbf\xbf"), "\"\\udbff\\udfff\""},
        {"above the last", HEX("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"overlong", HEX("\xc0\x80"), "\"\\ufffd\\ufffd\""},
        {"overlong of three bytes", HEX("\xe0\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\""},
        {"surrogate", HEX("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""},
        {"cut short", HEX("a\xe2\x80"), "\"a\\ufffd\\ufffd\""},
        {"lone continuation", HEX("\x80z"), "\"\\ufffdz\""},
        {"byte that starts nothing", HEX("\xff"), "\"\\ufffd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_json j = atls_json_init(256);

        print_message("%s\n", rows[i].name);
        atls_json_put_text(&j, NULL, rows[i].in);
        assert_text(&j, rows[i].want);
    }
}

static void put_everything(struct atls_json *j)
{
    atls_json_open_object(j, NULL);
    atls_json_put_int(j, "a", -5);
    atls_json_put_bool(j, "b", true);
    atls_json_put_bool(j, "c", false);
    atls_json_put_null(j, "d");
    atls_json_open_array(j, "e");
    atls_json_put_uint(j, NULL, 7);
    atls_json_open_object(j, NULL);
    atls_json_close(j);
    atls_json_close(j);
    atls_json_put_hex(j, "f", atls_bytes_of("\x00\xab", 2));
    atls_json_open_object_key(j, atls_bytes_of("g\"", 2));
    atls_json_put_raw(j, "h", atls_bytes_of("[1]", 3));
    atls_json_close(j);
    atls_json_open_array_key(j, atls_bytes_of("i", 1));
    atls_json_close(j);
    atls_json_put_text_key(j, atls_bytes_of("j", 1), atls_bytes_of("k", 1));
    atls_json_close(j);
}

static void containers_and_scalars(void **state)
{
    struct atls_json j = atls_json_init(4096);

    (void)state;
    put_everything(&j);
    assert_text(&j, "{\"a\":-5,\"b\":true,\"c\":false,\"d\":null,\"e\":[7,{}],\"f\":\"00ab\","
                    "\"g\\\"\":{\"h\":[1]},\"i\":[],\"j\":\"k\"}");
    j = atls_json_init(4096);
    j.pretty = true;
    atls_json_open_object(&j, NULL);
    atls_json_open_array(&j, "a");
    atls_json_put_int(&j, NULL, 1);
    atls_json_put_int(&j, NULL, 2);
    atls_json_close(&j);
    atls_json_open_object(&j, "b");
    atls_json_close(&j);
    atls_json_close(&j);
    assert_text(&j, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
}

static void integers_stay_exact(void **state)
{
    struct atls_json j = atls_json_init(4096);

    (void)state;
    atls_json_open_array(&j, NULL);
    atls_json_put_uint(&j, NULL, 9007199254740991u);
    atls_json_put_uint(&j, NULL, 9007199254740992u);
    atls_json_put_uint(&j, NULL, UINT64_MAX);
    atls_json_put_int(&j, NULL, -9007199254740991);
    atls_json_put_int(&j, NULL, -9007199254740992);
    atls_json_put_int(&j, NULL, INT64_MIN);
    atls_json_close(&j);
    assert_text(&j, "[9007199254740991,\"9007199254740992\",\"18446744073709551615\","
                    "-9007199254740991,\"-9007199254740992\",\"-9223372036854775808\"]");
}

static void base64url_of_every_remainder(void **state)
{
    /* RFC 4648 section 10, without padding, and the two letters that differ from base64. */
    static const struct {
        struct atls_bytes in;
        const char *want;
    } rows[] = {
        {HEX(""), "\"\""},
        {HEX("f"), "\"Zg\""},
        {HEX("fo"), "\"Zm8\""},
        {HEX("foo"), "\"Zm9v\""},
        {HEX("foob"), "\"Zm9vYg\""},
        {HEX("fooba"), "\"Zm9vYmE\""},
        {HEX("foobar"), "\"Zm9vYmFy\""},
        {HEX("\xfb\xff"), "\"-_8\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_json j = atls_json_init(64);

        atls_json_put_base64url(&j, NULL, rows[i].in);
        assert_text(&j, rows[i].want);
    }
}

static void nothing(struct atls_json *j)
{
    (void)j;
}

static void two_values(struct atls_json *j)
{
    atls_json_put_null(j, NULL);
    atls_json_put_null(j, NULL);
}

static void not_closed(struct atls_json *j)
{
    atls_json_open_object(j, NULL);
}

static void closed_twice(struct atls_json *j)
{
    atls_json_open_object(j, NULL);
    atls_json_close(j);
    atls_json_close(j);
}

static void key_in_array(struct atls_json *j)
{
    atls_json_open_array(j, NULL);
    atls_json_put_null(j, "a");
    atls_json_close(j);
}

static void no_key_in_object(struct atls_json *j)
{
    atls_json_open_object(j, NULL);
    atls_json_put_null(j, NULL);
    atls_json_close(j);
}

static void key_at_the_top(struct atls_json *j)
{
    atls_json_put_text(j, "a", atls_bytes_of("b", 1));
}

static void too_deep(struct atls_json *j)
{
    for (unsigned int i = 0; i <= ATLS_JSON_DEPTH_MAX; i++)
        atls_json_open_array(j, NULL);
    for (unsigned int i = 0; i <= ATLS_JSON_DEPTH_MAX; i++)
        atls_json_close(j);
}

static void over_the_limit(struct atls_json *j)
{
    for (unsigned int i = 0; i < ATLS_JSON_DEPTH_MAX; i++)
        atls_json_open_array(j, NULL);
    atls_json_put_text(j, NULL, atls_bytes_of("0123456789", 10));
    for (unsigned int i = 0; i < ATLS_JSON_DEPTH_MAX; i++)
        atls_json_close(j);
}

static void misuse_and_limits_stick(void **state)
{
    static const struct {
        const char *name;
        void (*put)(struct atls_json *j);
        enum atls_code want;
    } rows[] = {
        {"empty document", nothing, ATLS_E_INTERNAL},
        {"two documents", two_values, ATLS_E_INTERNAL},
        {"container left open", not_closed, ATLS_E_INTERNAL},
        {"close without open", closed_twice, ATLS_E_INTERNAL},
        {"key in an array", key_in_array, ATLS_E_INTERNAL},
        {"member without key", no_key_in_object, ATLS_E_INTERNAL},
        {"key at the top", key_at_the_top, ATLS_E_INTERNAL},
        {"one level too deep", too_deep, ATLS_E_INTERNAL},
        {"over the limit of bytes", over_the_limit, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_json j = atls_json_init(2 * ATLS_JSON_DEPTH_MAX + 12);
        struct atls_buf out = {(uint8_t *)&j, 3};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        rows[i].put(&j);
        test_assert_code(atls_json_finish(&j, &out, &err), rows[i].want, &err);
        assert_ptr_equal(out.ptr, &j);
        assert_int_equal(out.len, 3);
    }
}

static void the_limit_itself_fits(void **state)
{
    struct atls_json j = atls_json_init(2 * ATLS_JSON_DEPTH_MAX + 13);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    over_the_limit(&j);
    test_assert_code(atls_json_finish(&j, &out, &err), ATLS_OK, &err);
    assert_int_equal(out.len, 2 * ATLS_JSON_DEPTH_MAX + 12);
    atls_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),         cmocka_unit_test(containers_and_scalars),
        cmocka_unit_test(integers_stay_exact),     cmocka_unit_test(base64url_of_every_remainder),
        cmocka_unit_test(misuse_and_limits_stick), cmocka_unit_test(the_limit_itself_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
