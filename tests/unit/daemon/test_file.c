#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_modes(void **state)
{
    static const struct {
        mode_t mode;
        bool is_secret;
    } rows[] = {{0600, true},  {0640, true},  {0400, true},  {0440, true},
                {0644, false}, {0620, false}, {0601, false}, {0602, false}};
    char path[] = "/tmp/atls-daemon-file.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf out = ATLS_BUF_INIT;

        chmod(path, 0600);
        write_file(path, "secret", rows[i].mode);
        test_assert_code(file_read(path, FILE_SECRET, 4096, &out, &err),
                         rows[i].is_secret ? ATLS_OK : ATLS_E_CONFIG, &err);
        assert_true(rows[i].is_secret == (out.ptr != NULL));
        assert_true(rows[i].is_secret || strstr(err.message, "want a secret") != NULL);
        atls_buf_clear(&out);
        test_assert_code(file_read(path, FILE_PUBLIC, 4096, &out, &err), ATLS_OK, &err);
        assert_string_equal((const char *)out.ptr, "secret");
        atls_buf_clear(&out);
    }
    unlink(path);
}

static void test_lengths(void **state)
{
    static char text[20001];
    char path[] = "/tmp/atls-daemon-file.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    memset(text, 'x', sizeof text - 1);
    for (size_t len = 0; len <= 20000; len = len * 2 + 1) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf out = ATLS_BUF_INIT;

        write_file(path, text + sizeof text - 1 - len, 0600);
        test_assert_code(file_read(path, FILE_PUBLIC, len, &out, &err), ATLS_OK, &err);
        assert_int_equal(out.len, len);
        assert_int_equal(strlen((const char *)out.ptr), len);
        atls_buf_clear(&out);
        if (len == 0)
            continue;
        test_assert_code(file_read(path, FILE_PUBLIC, len - 1, &out, &err), ATLS_E_CONFIG, &err);
        assert_non_null(strstr(err.message, "longer than"));
        assert_null(out.ptr);
    }
    unlink(path);
}

static void test_no_file(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    (void)state;
    test_assert_code(file_read("/tmp", FILE_PUBLIC, 4096, &out, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "/tmp: not a file"));
    test_assert_code(file_read("/dev/zero", FILE_PUBLIC, 4096, &out, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "not a file"));
    test_assert_code(file_read("/nowhere/f", FILE_PUBLIC, 4096, &out, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "No such file"));
    assert_null(out.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
