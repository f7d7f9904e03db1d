#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

static void test_json(void **state)
{
    struct text t = {0};

    (void)state;
    text_open(&t, '{');
    text_member(&t, "a", "b");
    text_member_int(&t, "n", -5);
    text_key(&t, "l");
    text_open(&t, '[');
    text_string(&t, "{");
    text_string(&t, "[");
    text_open(&t, '{');
    text_close(&t, '}');
    text_raw(&t, "null");
    text_close(&t, ']');
    text_member(&t, "z", "");
    text_close(&t, '}');
    assert_string_equal(t.ptr, "{\"a\":\"b\",\"n\":-5,\"l\":[\"{\",\"[\",{},null],\"z\":\"\"}");
    text_clear(&t);
    assert_null(t.ptr);
}

static const struct {
    const char *name, *in, *out;
} strings[] = {
    {"plain", "abc", "\"abc\""},
    {"quotes and backslashes", "a\"b\\c", "\"a\\\"b\\\\c\""},
    {"control characters", "\n\x7f", "\"\\u000a\\u007f\""},
    {"two bytes", "\xc3\xa9", "\"\xc3\xa9\""},
    {"three bytes", "\xe2\x82\xac", "\"\xe2\x82\xac\""},
    {"four bytes", "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
    {"a continuation alone", "\x80", "\"\\ufffd\""},
    {"a sequence cut off", "\xe2\x82", "\"\\ufffd\\ufffd\""},
    {"an overlong slash", "\xc0\xaf", "\"\\ufffd\\ufffd\""},
    {"a surrogate", "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
    {"beyond the last code point", "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
};

static void test_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        struct text t = {0};

        text_string(&t, strings[i].in);
        if (strcmp(t.ptr + (t.ptr[0] == ','), strings[i].out) != 0)
            fail_msg("%s: %s", strings[i].name, t.ptr);
        text_clear(&t);
    }
}

static const struct {
    const char *name, *text;
    int len; /* -1: refused */
} encodings[] = {
    {"nothing", "", 0},
    {"one byte", "AA", 1},
    {"one byte, padded", "AA==", 1},
    {"two bytes", "AAA", 2},
    {"two bytes, padded", "AAA=", 2},
    {"three bytes", "-_Az", 3},
    {"four bytes is the most", "AAAAAA", 4},
    {"five bytes are too many", "AAAAAAA", -1},
    {"one digit", "A", -1},
    {"five digits", "AAAAA", -1},
    {"one pad too few", "AA=", -1},
    {"one pad too many", "AAA==", -1},
    {"padding where none is due", "AAAA=", -1},
    {"a quad of padding", "AAAA====", -1},
    {"padding alone", "==", -1},
    {"padding inside", "AA==AA", -1},
    {"bits left over after one byte", "AB", -1},
    {"bits left over after two bytes", "AAB", -1},
    {"plus, of the other alphabet", "AA+A", -1},
    {"slash, of the other alphabet", "AA/A", -1},
    {"a space", "AA A", -1},
};

static void test_base64url(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        uint8_t out[4];
        size_t len = 0;
        int got = base64url_decode(encodings[i].text, out, sizeof out, &len) ? (int)len : -1;

        if (got != encodings[i].len)
            fail_msg("%s: %d", encodings[i].name, got);
    }
}

static void test_base64_round_trip(void **state)
{
    uint8_t in[64], out[64];

    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 37 + 251);
    for (size_t len = 0; len <= sizeof in; len++) {
        struct text t = {0};
        size_t got = 99;

        text_open(&t, '[');
        text_base64(&t, atls_bytes_of(in, len), BASE64_URL);
        t.ptr[t.len - 1] = '\0';
        assert_true(base64url_decode(t.ptr + 2, out, sizeof out, &got));
        test_assert_bytes(atls_bytes_of(out, got), atls_bytes_of(in, len));
        text_clear(&t);
        text_open(&t, '[');
        text_base64(&t, atls_bytes_of(in, len), BASE64_STD);
        assert_int_equal(t.len, 3 + (len + 2) / 3 * 4);
        text_clear(&t);
    }
}

static void test_hex_and_uuid(void **state)
{
    char a[37], b[37], when[24];
    uint8_t out[2];

    (void)state;
    assert_true(hex_decode("0aFf", out, 2) && out[0] == 0x0a && out[1] == 0xff);
    assert_false(hex_decode("0aF", out, 2));
    assert_false(hex_decode("0aFg", out, 2));
    assert_false(hex_decode("g0Ff", out, 2));
    assert_true(uuid_new(a) && uuid_new(b));
    assert_true(uuid_is(a) && uuid_is(b));
    assert_int_equal(a[14], '4');
    assert_string_not_equal(a, b);
    assert_false(uuid_is(""));
    assert_false(uuid_is("00000000-0000-4000-8000-00000000000"));
    assert_false(uuid_is("00000000-0000-4000-8000-0000000000000"));
    assert_false(uuid_is("0000000000000-4000-8000-000000000000"));
    assert_false(uuid_is("00000000-0000-4000-8000-00000000000A"));
    assert_false(uuid_is("00000000-0000-4000-8000-00000000000g"));
    time_text(1767225600, when);
    assert_string_equal(when, "2026-01-01T00:00:00Z");
    time_text(INT64_MAX, when);
    assert_string_equal(when, "1970-01-01T00:00:00Z");
}

static void test_failures_stick(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct text t = {0};
    char *large = calloc(1, 2000);

    (void)state;
    memset(large, 'x', 1999);
    text_printf(&t, "%s", large); /* longer than one line may be */
    assert_true(t.failed);
    text_puts(&t, "more");
    assert_true(t.failed);
    text_clear(&t);
    for (int i = 0; i < 100; i++)
        text_puts(&t, large);
    assert_false(t.failed);
    assert_int_equal(t.len, 199900);
    text_clear(&t);
    free(large);
    assert_int_equal(set_error(NULL, ATLS_E_IO, "x"), ATLS_E_IO);
    assert_int_equal(set_error(&err, ATLS_E_IO, "x %d", 1), ATLS_E_IO);
    assert_string_equal(err.message, "x 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),         cmocka_unit_test(test_strings),
        cmocka_unit_test(test_base64url),    cmocka_unit_test(test_base64_round_trip),
        cmocka_unit_test(test_hex_and_uuid), cmocka_unit_test(test_failures_stick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
