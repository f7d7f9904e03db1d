#include "uri.h"

#include <string.h>

#include "testlib.h"

static const struct {
    const char *name, *target;
    unsigned status;
    const char *path, *parameter, *value;
} rows[] = {
    {"the root", "/", 0, "/", NULL, NULL},
    {"a path", "/a/b", 0, "/a/b", NULL, NULL},
    {"a path that ends with a slash", "/a/", 0, "/a/", NULL, NULL},
    {"a parameter", "/a?x=1", 0, "/a", "x", "1"},
    {"a question mark and nothing", "/a?", 0, "/a", NULL, NULL},
    {"an empty value", "/a?x=", 0, "/a", "x", ""},
    {"a value with equals signs", "/a?x=b==", 0, "/a", "x", "b=="},
    {"the last of two parameters", "/a?x=1&y=2", 0, "/a", "y", "2"},
    {"percent-encoding in the path", "/%61%2Db", 0, "/a-b", NULL, NULL},
    {"percent-encoding in a value", "/a?x=%3d%2B", 0, "/a", "x", "=+"},
    {"absolute form", "http://localhost:8443/a?x=1", 0, "/a", "x", "1"},
    {"absolute form over TLS", "https://localhost/a", 0, "/a", NULL, NULL},
    {"absolute form without a path", "http://localhost", 400, NULL, NULL, NULL},
    {"nothing", "", 400, NULL, NULL, NULL},
    {"an asterisk", "*", 400, NULL, NULL, NULL},
    {"authority form", "localhost:1", 400, NULL, NULL, NULL},
    {"no slash", "a", 400, NULL, NULL, NULL},
    {"a fragment", "/a#b", 400, NULL, NULL, NULL},
    {"a percent sign at the end", "/a%", 400, NULL, NULL, NULL},
    {"one hexadecimal digit", "/a%4", 400, NULL, NULL, NULL},
    {"no hexadecimal digits", "/a%zz", 400, NULL, NULL, NULL},
    {"an encoded NUL in the path", "/a%00b", 400, NULL, NULL, NULL},
    {"an encoded NUL in a value", "/a?x=%00", 400, NULL, NULL, NULL},
    {"an encoded slash", "/a%2fb", 400, NULL, NULL, NULL},
    {"a space", "/a b", 400, NULL, NULL, NULL},
    {"an encoded line feed", "/a%0ab", 400, NULL, NULL, NULL},
    {"a byte beyond ASCII", "/\xc3\xa9", 400, NULL, NULL, NULL},
    {"an empty segment", "/a//b", 400, NULL, NULL, NULL},
    {"a dot segment", "/a/./b", 400, NULL, NULL, NULL},
    {"two dots at the end", "/a/..", 400, NULL, NULL, NULL},
    {"encoded dots", "/a/%2e%2E/b", 400, NULL, NULL, NULL},
    {"three dots are a name", "/...", 0, "/...", NULL, NULL},
    {"a parameter given twice", "/a?x=1&x=2", 400, NULL, NULL, NULL},
    {"a parameter given twice, once encoded", "/a?x=1&%78=2", 400, NULL, NULL, NULL},
    {"a parameter without a value", "/a?x", 400, NULL, NULL, NULL},
    {"a parameter without a name", "/a?=1", 400, NULL, NULL, NULL},
    {"an ampersand at the end", "/a?x=1&", 400, NULL, NULL, NULL},
    {"four parameters", "/a?a=1&b=2&c=3&d=4", 0, "/a", "d", "4"},
    {"five parameters", "/a?a=1&b=2&c=3&d=4&e=5", 400, NULL, NULL, NULL},
    {"a name of 32 bytes", "/a?abcdefghijklmnopqrstuvwxyz012345=1", 400, NULL, NULL, NULL},
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *rule = NULL;
        struct uri uri;
        unsigned status = uri_parse(rows[i].target, &uri, &rule);

        if (status != rows[i].status)
            fail_msg("%s: status %u", rows[i].name, status);
        if (status != 0) {
            assert_non_null(rule);
            continue;
        }
        assert_string_equal(uri.path, rows[i].path);
        if (rows[i].parameter != NULL)
            assert_string_equal(uri_parameter(&uri, rows[i].parameter), rows[i].value);
        assert_null(uri_parameter(&uri, "absent"));
    }
}

static void fill(char *out, size_t len)
{
    memset(out, 'a', len);
    out[0] = '/';
    out[len] = '\0';
}

static void test_lengths(void **state)
{
    char target[4096];
    const char *rule;
    struct uri uri;

    (void)state;
    fill(target, URI_PATH_MAX);
    assert_int_equal(uri_parse(target, &uri, &rule), 0);
    assert_int_equal(strlen(uri.path), URI_PATH_MAX);
    fill(target, URI_PATH_MAX + 1);
    assert_int_equal(uri_parse(target, &uri, &rule), 414);
    fill(target, URI_MAX + 1);
    target[2] = '?';
    target[4] = '=';
    assert_int_equal(uri_parse(target, &uri, &rule), 414);
    /* A value that is too long is no fault of the resource. */
    target[4 + 128 + 1] = '\0';
    assert_int_equal(uri_parse(target, &uri, &rule), 400);
    target[4 + 127 + 1] = '\0';
    assert_int_equal(uri_parse(target, &uri, &rule), 0);
}

/* Every truncation is either whole or refused; none reads on. */
static void test_truncations(void **state)
{
    static const char whole[] = "http://h/a/%62?x=%31&yy=22";

    (void)state;
    for (size_t len = 0; len < sizeof whole; len++) {
        char cut[sizeof whole] = {0};
        const char *rule = NULL;
        struct uri uri;
        unsigned status;

        memcpy(cut, whole, len);
        status = uri_parse(cut, &uri, &rule);
        assert_true(status == 0 || status == 400);
        assert_true((status == 0) == (rule == NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_truncations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
