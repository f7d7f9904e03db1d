#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/log.h"

struct seen {
    unsigned int count;
    enum atls_log_level level;
    char module[16];
    char message[2048];
};

static void handler(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    struct seen *seen = arg;

    seen->count++;
    seen->level = level;
    snprintf(seen->module, sizeof seen->module, "%s", module);
    snprintf(seen->message, sizeof seen->message, "%s", message);
}

static void test_levels(void **state)
{
    struct seen seen = {.count = 0};
    struct atls_log log = {&seen, ATLS_LOG_WARNING, handler};
    const struct atls_log deaf = {&seen, ATLS_LOG_DEBUG, NULL};

    (void)state;
    atls_log(&log, ATLS_LOG_ERROR, "ea", "request %d", 1);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.level, ATLS_LOG_ERROR);
    assert_string_equal(seen.module, "ea");
    assert_string_equal(seen.message, "request 1");
    atls_log(&log, ATLS_LOG_WARNING, "ea", "x");
    assert_int_equal(seen.count, 2);
    atls_log(&log, ATLS_LOG_INFO, "ea", "x");
    atls_log(&log, ATLS_LOG_DEBUG, "ea", "x");
    atls_log(&deaf, ATLS_LOG_ERROR, "ea", "x");
    atls_log(NULL, ATLS_LOG_ERROR, "ea", "x");
    assert_int_equal(seen.count, 2);
    log.level = ATLS_LOG_DEBUG;
    atls_log(&log, ATLS_LOG_DEBUG, "ea", "x");
    assert_int_equal(seen.count, 3);
}

static void test_long_line(void **state)
{
    static struct seen seen;
    static const struct atls_log log = {&seen, ATLS_LOG_DEBUG, handler};
    static char text[3000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    atls_log(&log, ATLS_LOG_INFO, "ea", "%s", text);
    assert_int_equal(strlen(seen.message), 1023);
}

static void test_escape(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        size_t size;
        const char *want;
    } rows[] = {
        {"plain", HEX("plain text~"), 32, "plain text~"},
        {"empty", HEX(""), 32, ""},
        {"line break, NUL, DEL, high byte", HEX("a\n\0\x7f\xff"), 32, "a\\x0a\\x00\\x7f\\xff"},
        {"escape sequence of a terminal", HEX("\x1b[31m"), 32, "\\x1b[31m"},
        {"backslash", HEX("\\x41"), 32, "\\x5cx41"},
        {"fits exactly", HEX("abcdefg"), 8, "abcdefg"},
        {"cut", HEX("abcdefgh"), 8, "abcd..."},
        {"escape fits exactly", HEX("abc\n"), 8, "abc\\x0a"},
        {"cut before an escape", HEX("abcd\n"), 8, "abcd..."},
        {"no half of an escape", HEX("ab\ncd"), 8, "ab..."},
        {"room for nothing", HEX("a"), 1, ""},
        {"room for one", HEX("a"), 2, "a"},
        {"no room for dots", HEX("abc"), 3, ""},
        {"dots alone", HEX("abcdef"), 4, "..."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *out = malloc(rows[i].size); /* of the exact size: one byte more is seen */

        assert_non_null(out);
        print_message("  %s\n", rows[i].name);
        assert_ptr_equal(atls_escape(rows[i].in, out, rows[i].size), out);
        assert_string_equal(out, rows[i].want);
        free(out);
    }
}

static void test_hex(void **state)
{
    static const struct atls_bytes in = HEX("\x00\x9a\xff");
    char out[8], small[6];

    (void)state;
    assert_string_equal(atls_hex(in, out, sizeof out), "009aff");
    assert_string_equal(atls_hex(in, out, 7), "009aff");
    assert_string_equal(atls_hex(in, small, sizeof small), "00...");
    assert_string_equal(atls_hex(atls_bytes_of(NULL, 0), out, sizeof out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
