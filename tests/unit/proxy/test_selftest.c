#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "selftest.h"
#include "testlib.h"

static void expect(const char *uri, const char *wanted)
{
    char why[SELFTEST_MAX] = "";

    if (wanted == NULL) {
        assert_false(selftest_uri(uri, why));
        assert_string_equal(why, "");
        return;
    }
    assert_true(selftest_uri(uri, why));
    if (strstr(why, wanted) == NULL)
        fail_msg("\"%s\" says \"%s\", want \"%s\"", uri, why, wanted);
}

static void test_what_is_not_there_is_named_with_what_it_may_mean(void **state)
{
    (void)state;
    expect("tpm2:device:/none/tpm", "/none/tpm: not there; is there a TPM, and its driver?");
    expect("tpm2:device:/none/tpm?ak=1", "/none/tpm: not there");
    expect("tpm2:swtpm:path=/none/sock?ak=1", "/none/sock: not there; does swtpm run?");
    expect("tsm:/none", "/none: not there; is configfs mounted");
    expect("tsm:/none?collateral=/", "/none: not there");
    expect("soft:/none.pem", "/none.pem: not there");
    expect("local:/none.db", "/none.db: not there; atls store init makes one");
}

static void test_logs_of_a_tpm_are_looked_at_too(void **state)
{
    (void)state;
    expect("tpm2:device:/dev/null?event-log=/none/log", "/none/log: not there");
    expect("tpm2:device:/dev/null?pcrs=sha256:1&ima-log=/none/ima&ak=2", "/none/ima: not there");
    expect("tpm2:device:/dev/null?event-log=none", NULL);
}

static void test_what_is_there_or_is_no_file_is_not_blamed(void **state)
{
    (void)state;
    expect("tpm2:device:/dev/null", NULL);
    expect("tpm2:mssim:host=localhost", NULL);
    expect("tpm2:device:/none%20tpm", NULL); /* an escape: the library knows better */
    expect("soft:", NULL);
    expect("tsm:/tmp", NULL);
    expect("veraison:https://verifier.example", NULL);
    expect("local:postgresql:///atls", NULL);
    expect("no colon", NULL);
}

static void test_a_component_that_is_no_folder_is_said_as_it_is(void **state)
{
    (void)state;
    expect("tpm2:device:/dev/null/tpm", "/dev/null/tpm: Not a directory");
}

/* As somebody who is not root, whom modes mean nothing to. */
static void refused(const char *path, mode_t mode, const char *wanted)
{
    char uri[300];

    assert_int_equal(chown(path, (uid_t)-1, 1), 0);
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(seteuid(65534), 0);
    snprintf(uri, sizeof uri, "tpm2:device:%s", path);
    expect(uri, wanted);
    assert_int_equal(seteuid(0), 0);
}

static void test_a_permission_names_the_group_that_has_it(void **state)
{
    char path[] = "/tmp/atls-selftest.XXXXXX";
    int fd;

    (void)state;
    if (geteuid() != 0)
        skip();
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    refused(path, 0660, ": permission denied; want group daemon");
    refused(path, 0640, ": permission denied; want the right to read and write it");
    unlink(path);
}

static void test_errors_of_the_library_keep_code_and_reason(void **state)
{
    struct atls_err err = {.code = ATLS_E_DEVICE, .reason = ATLS_REASON_DEADLINE};

    (void)state;
    snprintf(err.message, sizeof err.message, "tpm2: no answer");
    selftest_explain("tpm2:device:/none/tpm", &err);
    assert_int_equal(err.code, ATLS_E_DEVICE);
    assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
    assert_non_null(strstr(err.message, "/none/tpm: not there"));
    assert_non_null(strstr(err.message, "(tpm2: no answer)"));
    selftest_explain("tpm2:mssim:", &err);
    assert_non_null(strstr(err.message, "(tpm2: no answer)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_there_is_named_with_what_it_may_mean),
        cmocka_unit_test(test_logs_of_a_tpm_are_looked_at_too),
        cmocka_unit_test(test_what_is_there_or_is_no_file_is_not_blamed),
        cmocka_unit_test(test_a_component_that_is_no_folder_is_said_as_it_is),
        cmocka_unit_test(test_a_permission_names_the_group_that_has_it),
        cmocka_unit_test(test_errors_of_the_library_keep_code_and_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
