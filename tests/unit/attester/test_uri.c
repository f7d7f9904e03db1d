#include "testlib.h"

#include <string.h>

#include "attester/uri.h"

static void base_alone_has_no_options(void **state)
{
    static struct atls_uri uri;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_uri_parse("x", "swtpm:path=/run/a&b", &uri, &err), ATLS_OK, &err);
    assert_string_equal(uri.base, "swtpm:path=/run/a&b");
    assert_int_equal(uri.count, 0);
    atls_uri_clear(&uri);
}

static void options_are_split_and_decoded(void **state)
{
    static struct atls_uri uri;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_uri_parse("x", "?a=1&b=&c=%26x%3dy%2F%aA=?", &uri, &err), ATLS_OK, &err);
    assert_string_equal(uri.base, "");
    assert_int_equal(uri.count, 3);
    assert_string_equal(uri.options[0].name, "a");
    assert_string_equal(uri.options[0].value, "1");
    assert_string_equal(uri.options[1].name, "b");
    assert_string_equal(uri.options[1].value, "");
    assert_string_equal(uri.options[2].name, "c");
    assert_string_equal(uri.options[2].value, "&x=y/\xaa=?");
    atls_uri_clear(&uri);
    assert_int_equal(uri.count, 0);
}

static void malformed_options_are_refused(void **state)
{
    static const struct {
        const char *name, *rest, *message;
    } rows[] = {
        {"nothing behind the question mark", "?", "option \"\" is not name=value"},
        {"no equals sign", "?a", "option \"a\" is not name=value"},
        {"no name", "?=1", "is not name=value"},
        {"empty option at the end", "?a=1&", "option \"\" is not name=value"},
        {"percent sign at the end", "?a=%", "bad %XX"},
        {"one digit only", "?a=%4", "bad %XX"},
        {"no digits", "?a=%zz", "bad %XX"},
        {"NUL would cut the value", "?a=%00", "bad %XX"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_uri uri = {.count = 7};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_uri_parse("x", rows[i].rest, &uri, &err), ATLS_E_CONFIG, &err);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(uri.count, 7);
    }
}

static void limits_hold(void **state)
{
    static char text[ATLS_URI_MAX + 2];
    static struct atls_uri uri;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(text, 'a', ATLS_URI_MAX);
    test_assert_code(atls_uri_parse("x", text, &uri, &err), ATLS_OK, &err);
    atls_uri_clear(&uri);
    text[ATLS_URI_MAX] = 'a';
    test_assert_code(atls_uri_parse("x", text, &uri, &err), ATLS_E_CONFIG, &err);

    memset(text, 0, sizeof text);
    strcpy(text, "?a=1");
    for (int i = 1; i < ATLS_URI_OPTIONS_MAX; i++)
        strcat(text, "&a=1");
    test_assert_code(atls_uri_parse("x", text, &uri, &err), ATLS_OK, &err);
    assert_int_equal(uri.count, ATLS_URI_OPTIONS_MAX);
    atls_uri_clear(&uri);
    strcat(text, "&a=1");
    test_assert_code(atls_uri_parse("x", text, &uri, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "more than 64 options"));
}

static void options_are_sorted_into_what_is_known(void **state)
{
    static const struct {
        const char *name, *rest, *prefix, *message;
    } rows[] = {
        {"all known", "?a=1&b=2", NULL, NULL},
        {"one left to the caller", "?a=1&b=2&m.x=3&m.x=4", "m.", NULL},
        {"unknown", "?a=1&c=2", NULL, "unknown option \"c\""},
        {"unknown beside a prefix", "?c=2", "m.", "unknown option \"c\""},
        {"given twice", "?a=1&a=1", NULL, "\"a\" is given twice"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *a = NULL, *b = NULL;
        const struct atls_uri_known known[] = {{"a", &a}, {"b", &b}};
        static struct atls_uri uri;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_uri_parse("x", rows[i].rest, &uri, &err), ATLS_OK, &err);
        test_assert_code(atls_uri_options("x", &uri, known, 2, rows[i].prefix, &err),
                         rows[i].message == NULL ? ATLS_OK : ATLS_E_CONFIG, &err);
        if (rows[i].message == NULL) {
            assert_string_equal(a, "1");
            assert_string_equal(b, "2");
        } else {
            assert_non_null(strstr(err.message, rows[i].message));
        }
        atls_uri_clear(&uri);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_alone_has_no_options),
        cmocka_unit_test(options_are_split_and_decoded),
        cmocka_unit_test(malformed_options_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(options_are_sorted_into_what_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
