#include "media.h"

#include <string.h>

#include "testlib.h"

static const struct {
    const char *name, *text;
    const char *type, *parameter, *value; /* type NULL: refused */
} types[] = {
    {"a type", "application/json", "application/json", NULL, NULL},
    {"a type in capitals", "Application/JSON", "application/json", NULL, NULL},
    {"a parameter", "a/b; p=v", "a/b", "p", "v"},
    {"a parameter without space", "a/b;p=v", "a/b", "p", "v"},
    {"a parameter with tabs around", "a/b\t;\tp=v\t", "a/b", "p", "v"},
    {"a parameter's name in capitals", "a/b; P=V", "a/b", "p", "V"},
    {"a quoted value", "a/b; p=\"tag:x,2026:y#1.0\"", "a/b", "p", "tag:x,2026:y#1.0"},
    {"a quoted value with escapes", "a/b; p=\"a\\\"b\\\\c\"", "a/b", "p", "a\"b\\c"},
    {"an empty quoted value", "a/b; p=\"\"", "a/b", "p", ""},
    {"the last of two parameters", "a/b; p=1; q=2", "a/b", "q", "2"},
    {"spaces in front", "  a/b", "a/b", NULL, NULL},
    {"nothing", "", NULL, NULL, NULL},
    {"no slash", "application", NULL, NULL, NULL},
    {"no subtype", "application/", NULL, NULL, NULL},
    {"no type", "/json", NULL, NULL, NULL},
    {"a range", "*/*", NULL, NULL, NULL},
    {"a range of subtypes", "text/*", NULL, NULL, NULL},
    {"two slashes", "a/b/c", NULL, NULL, NULL},
    {"a space inside", "a /b", NULL, NULL, NULL},
    {"two types", "a/b, c/d", NULL, NULL, NULL},
    {"a semicolon and nothing", "a/b;", NULL, NULL, NULL},
    {"a parameter without value", "a/b; p", NULL, NULL, NULL},
    {"a parameter with an empty token", "a/b; p=", NULL, NULL, NULL},
    {"a parameter without name", "a/b; =v", NULL, NULL, NULL},
    {"a quote that does not end", "a/b; p=\"v", NULL, NULL, NULL},
    {"a quote that ends in an escape", "a/b; p=\"v\\", NULL, NULL, NULL},
    {"bytes behind a quote", "a/b; p=\"v\"x", NULL, NULL, NULL},
    {"a control character in quotes", "a/b; p=\"\x01\"", NULL, NULL, NULL},
    {"a byte beyond ASCII in quotes", "a/b; p=\"\xc3\xa9\"", NULL, NULL, NULL},
    {"a parameter given twice", "a/b; p=1; P=2", NULL, NULL, NULL},
    {"five parameters", "a/b; a=1; b=2; c=3; d=4; e=5", NULL, NULL, NULL},
    {"a space around the equals sign", "a/b; p =v", NULL, NULL, NULL},
};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const char *rule = NULL;
        struct media m;
        bool ok = media_parse(types[i].text, &m, &rule);

        if (ok != (types[i].type != NULL))
            fail_msg("%s: %d", types[i].name, ok);
        if (!ok) {
            assert_non_null(rule);
            continue;
        }
        assert_string_equal(m.type, types[i].type);
        if (types[i].parameter != NULL)
            assert_string_equal(media_parameter(&m, types[i].parameter), types[i].value);
    }
}

static void test_lengths(void **state)
{
    char text[1024];
    const char *rule;
    struct media m;

    (void)state;
    memset(text, 'a', sizeof text);
    text[1] = '/';
    text[127] = '\0';
    assert_true(media_parse(text, &m, &rule));
    text[127] = 'a';
    text[128] = '\0';
    assert_false(media_parse(text, &m, &rule));
    memset(text, ' ', sizeof text);
    text[MEDIA_TEXT_MAX - 3] = 'a';
    text[MEDIA_TEXT_MAX - 2] = '/';
    text[MEDIA_TEXT_MAX - 1] = 'b';
    text[MEDIA_TEXT_MAX] = '\0';
    assert_true(media_parse(text, &m, &rule));
    text[MEDIA_TEXT_MAX] = ' ';
    text[MEDIA_TEXT_MAX + 1] = '\0';
    assert_false(media_parse(text, &m, &rule));
}

static const struct {
    const char *a, *b;
    bool equal;
} pairs[] = {
    {"a/b", "A/B", true},
    {"a/b", "a/c", false},
    {"a/b; p=1", "a/b", false},
    {"a/b; p=1", "a/b;P=\"1\"", true},
    {"a/b; p=1", "a/b; p=2", false},
    {"a/b; p=x", "a/b; p=X", false},
    {"a/b; p=1; q=2", "a/b; q=2; p=1", true},
    {"a/b; p=1; q=2", "a/b; p=1; r=2", false},
};

static void test_equality(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct media a, b;
        const char *rule;

        assert_true(media_parse(pairs[i].a, &a, &rule) && media_parse(pairs[i].b, &b, &rule));
        if (media_equal(&a, &b) != pairs[i].equal || media_equal(&b, &a) != pairs[i].equal)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
    }
}

static const struct {
    const char *name, *header;
    int takes; /* -1: malformed */
} accepts[] = {
    {"no header", NULL, 1},
    {"an empty header", "", 1},
    {"anything", "*/*", 1},
    {"the type", "application/x+json", 1},
    {"the type in capitals", "Application/X+JSON", 1},
    {"any of the type", "application/*", 1},
    {"any of another type", "text/*", 0},
    {"another type", "application/json", 0},
    {"another beginning of the type", "app/*", 0},
    {"the second of two", "text/html, application/x+json", 1},
    {"empty elements", ", ,application/x+json,", 1},
    {"a weight", "application/x+json;q=0.5", 1},
    {"a weight of nothing", "application/x+json;q=0", 0},
    {"a weight of nothing with digits", "application/x+json;q=0.000", 0},
    {"anything, but not the type", "*/*, application/x+json;q=0", 0},
    {"not anything, but the type", "*/*;q=0, application/x+json", 1},
    {"not the group, but the type", "application/*;q=0, application/x+json;q=0.1", 1},
    {"a parameter that we do not send", "application/x+json; charset=utf-8", 1},
    {"a quoted comma", "application/json; p=\"a,b\", application/x+json", 1},
    {"a weight above one", "application/x+json;q=1.1", -1},
    {"a weight of four digits", "application/x+json;q=0.1234", -1},
    {"a weight that is none", "application/x+json;q=x", -1},
    {"a range of types with one subtype", "*/json", 0},
    {"no slash", "json", -1},
    {"a space between", "a/b c/d", -1},
    {"a semicolon and nothing", "a/b;", -1},
    {"a quote that does not end", "a/b;p=\"", -1},
};

static void test_accept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
        bool ok = false;
        int got = accept_takes(accepts[i].header, "application/x+json", &ok) ? ok : -1;

        if (got != accepts[i].takes)
            fail_msg("%s: %d", accepts[i].name, got);
    }
}

static void test_tokens(void **state)
{
    static const char *const others[] = {"",    "Host ", "Host\t",  " Host",
                                         "a:b", "a\x7f", "\xc3\xa9"};

    (void)state;
    assert_true(media_is_token("X-a!#$%&'*+.^_`|~0"));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(media_is_token(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),    cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_equality), cmocka_unit_test(test_accept),
        cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
