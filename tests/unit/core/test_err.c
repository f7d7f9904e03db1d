#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/err.h"

static void test_set(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_fail(&err, ATLS_E_DECODE, "field %d", 7), ATLS_E_DECODE);
    assert_int_equal(err.code, ATLS_E_DECODE);
    assert_int_equal(err.reason, ATLS_REASON_NONE);
    assert_int_equal(err.alert, ATLS_ALERT_NONE);
    assert_string_equal(err.message, "field 7");

    assert_int_equal(atls_fail_alert(&err, ATLS_E_PROTOCOL, ATLS_REASON_CONTEXT_USED,
                                     ATLS_ALERT_ILLEGAL_PARAMETER, "x"),
                     ATLS_E_PROTOCOL);
    assert_int_equal(err.reason, ATLS_REASON_CONTEXT_USED);
    assert_int_equal(err.alert, ATLS_ALERT_ILLEGAL_PARAMETER);

    /* What was there is forgotten. */
    assert_int_equal(atls_fail_reason(&err, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE, "y"),
                     ATLS_E_EVIDENCE);
    assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
    assert_int_equal(err.alert, ATLS_ALERT_NONE);
    assert_string_equal(err.message, "y");

    assert_int_equal(atls_fail_errno(&err, ENOENT, "%s", "store.db"), ATLS_E_IO);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(err.reason, ATLS_REASON_NONE);
    assert_string_equal(err.message, "store.db: No such file or directory");
    atls_fail(&err, ATLS_E_DECODE, "z");
    assert_int_equal(err.sys_errno, 0);

    atls_err_clear(&err);
    assert_int_equal(err.code, ATLS_OK);
    assert_string_equal(err.message, "");
}

static void test_null(void **state)
{
    (void)state;
    assert_int_equal(atls_fail(NULL, ATLS_E_LIMIT, "x"), ATLS_E_LIMIT);
    assert_int_equal(atls_fail_reason(NULL, ATLS_E_LIMIT, ATLS_REASON_FLOOD, "x"), ATLS_E_LIMIT);
    assert_int_equal(
        atls_fail_alert(NULL, ATLS_E_LIMIT, ATLS_REASON_FLOOD, ATLS_ALERT_DECODE_ERROR, "x"),
        ATLS_E_LIMIT);
    assert_int_equal(atls_fail_errno(NULL, ENOENT, "x"), ATLS_E_IO);
    assert_int_equal(atls_err_prefix(NULL, ATLS_E_LIMIT, "x"), ATLS_E_LIMIT);
    atls_err_clear(NULL);
}

static void test_long_messages(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    atls_fail(&err, ATLS_E_DECODE, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    atls_fail_errno(&err, ENOENT, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    atls_err_prefix(&err, ATLS_E_IO, text);
    assert_true(strlen(err.message) < sizeof err.message);
    assert_non_null(strchr(err.message, ':'));
    atls_fail_errno(&err, 99999, "x");
    assert_int_equal(strncmp(err.message, "x: ", 3), 0);
    assert_true(strlen(err.message) > 3);
}

/* The message may be an argument of the one that replaces it. */
static void test_message_of_itself(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_fail(&err, ATLS_E_DECODE, "inner");
    atls_fail(&err, ATLS_E_EVIDENCE, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
    assert_int_equal(atls_err_prefix(&err, ATLS_E_EVIDENCE, "peer"), ATLS_E_EVIDENCE);
    assert_string_equal(err.message, "peer: outer: inner");
    /* A failure whose cause nobody recorded does not become success. */
    atls_err_clear(&err);
    assert_int_equal(atls_err_prefix(&err, ATLS_E_IO, "peer"), ATLS_E_IO);
}

static void test_names(void **state)
{
    (void)state;
    for (int code = ATLS_OK; code <= ATLS_E_UNAVAILABLE; code++) {
        assert_non_null(atls_code_name((enum atls_code)code));
        for (int other = ATLS_OK; other < code; other++)
            assert_string_not_equal(atls_code_name((enum atls_code)code),
                                    atls_code_name((enum atls_code)other));
    }
    assert_string_equal(atls_code_name((enum atls_code)(ATLS_E_UNAVAILABLE + 1)), "unknown error");
    assert_string_equal(atls_code_name((enum atls_code) - 1), "unknown error");

    for (int reason = ATLS_REASON_NONE; reason <= ATLS_REASON_PEER_REFUSED; reason++) {
        const char *slug = atls_reason_name((enum atls_reason)reason);

        assert_int_equal(strspn(slug, "abcdefghijklmnopqrstuvwxyz-"), strlen(slug));
        for (int other = ATLS_REASON_NONE; other < reason; other++)
            assert_string_not_equal(slug, atls_reason_name((enum atls_reason)other));
    }
    assert_string_equal(atls_reason_name(ATLS_REASON_PCR_DIGEST_MISMATCH), "pcr-digest-mismatch");
    assert_string_equal(atls_reason_name((enum atls_reason)9999), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),           cmocka_unit_test(test_null),
        cmocka_unit_test(test_long_messages), cmocka_unit_test(test_message_of_itself),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
