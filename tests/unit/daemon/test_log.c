#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "testlib.h"

static int kept_stderr, file;
static char content[8192];

/* Standard error goes to a file until end_capture. */
static void begin_capture(void)
{
    char path[] = "/tmp/atls-verifierd-log.XXXXXX";

    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    file = mkstemp(path);
    assert_true(kept_stderr >= 0 && file >= 0);
    unlink(path);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
}

static const char *end_capture(void)
{
    ssize_t len;

    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    len = pread(file, content, sizeof content - 1, 0);
    close(file);
    assert_true(len >= 0);
    content[len] = '\0';
    return content;
}

static void write_line(enum atls_log_level level)
{
    struct log_line line;

    log_begin(&line, level, "test");
    log_field(&line, "plain", "abc");
    log_field(&line, "empty", "");
    log_field(&line, "nothing", NULL);
    log_field(&line, "quoted", "a \"b\"\nc=d");
    log_number(&line, "number", -7);
    log_end(&line);
}

static void test_json(void **state)
{
    json_t *json;

    (void)state;
    log_setup(true, ATLS_LOG_INFO);
    begin_capture();
    write_line(ATLS_LOG_WARNING);
    json = json_loads(end_capture(), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 6);
    assert_string_equal(json_string_value(json_object_get(json, "level")), "warning");
    assert_string_equal(json_string_value(json_object_get(json, "event")), "test");
    assert_string_equal(json_string_value(json_object_get(json, "plain")), "abc");
    assert_string_equal(json_string_value(json_object_get(json, "quoted")), "a \"b\"\nc=d");
    assert_int_equal(json_integer_value(json_object_get(json, "number")), -7);
    assert_int_equal(strlen(json_string_value(json_object_get(json, "time"))), 24);
    assert_int_equal(content[strlen(content) - 1], '\n');
    json_decref(json);
}

static void test_text(void **state)
{
    (void)state;
    log_setup(false, ATLS_LOG_INFO);
    begin_capture();
    write_line(ATLS_LOG_ERROR);
    /* One line, whatever the values hold. */
    assert_string_equal(end_capture() + 24,
                        " error test plain=abc quoted=\"a \\\"b\\\"\\u000ac=d\" number=-7\n");
}

static void test_levels(void **state)
{
    struct log_about about = {"tenant", "one"};

    (void)state;
    log_setup(true, ATLS_LOG_WARNING);
    begin_capture();
    write_line(ATLS_LOG_INFO);
    log_say(ATLS_LOG_DEBUG, "test", "x");
    log_library(NULL, ATLS_LOG_DEBUG, "m", "x");
    assert_string_equal(end_capture(), "");
    begin_capture();
    log_say(ATLS_LOG_ERROR, "test", "number %d", 5);
    log_library(NULL, ATLS_LOG_WARNING, "store", "slow");
    log_library(&about, ATLS_LOG_WARNING, "store", "slow");
    end_capture();
    assert_non_null(strstr(content, "\"message\":\"number 5\"}\n"));
    assert_non_null(
        strstr(content, "\"event\":\"library\",\"module\":\"store\",\"message\":\"slow\"}\n"));
    assert_non_null(strstr(content, "\"event\":\"library\",\"tenant\":\"one\",\"module\":"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
