/* simulator/folder.c: files of a world. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "simulator/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "simulator/x509.h"
#include "testlib.h"

static int setup(void **state)
{
    static char folder[sizeof "/tmp/atls-sim-XXXXXX"];

    strcpy(folder, "/tmp/atls-sim-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static void remove_one(const char *folder, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(remove(path), 0);
}

static unsigned int mode_of(const char *folder, const char *name)
{
    struct stat status;
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static int teardown(void **state)
{
    return rmdir(*state); /* tests leave nothing */
}

static void files_come_back(void **state)
{
    static const uint8_t content[] = "whole";
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf got = ATLS_BUF_INIT;
    uint8_t *large = calloc(1, ATLS_SIM_FILE_MAX + 1);

    assert_non_null(large);
    test_assert_code(atls_sim_folder_write(*state, "a", atls_bytes_of(large, ATLS_SIM_FILE_MAX),
                                           ATLS_SIM_PUBLIC, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_sim_folder_read(*state, "a", &got, &err), ATLS_OK, &err);
    assert_int_equal(got.len, ATLS_SIM_FILE_MAX);
    atls_buf_clear(&got);
    test_assert_code(
        atls_sim_folder_write(*state, "a.new", atls_bytes_of("x", 1), ATLS_SIM_PUBLIC, &err),
        ATLS_OK, &err); /* as if a crash had left it */
    test_assert_code(
        atls_sim_folder_write(*state, "a", atls_bytes_of(content, 5), ATLS_SIM_SECRET, &err),
        ATLS_OK, &err);
    test_assert_code(atls_sim_folder_read(*state, "a", &got, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&got), atls_bytes_of(content, 5));
    atls_buf_clear(&got);
    assert_int_equal(mode_of(*state, "a"), 0600);
    test_assert_code(atls_sim_folder_write(*state, "a", atls_bytes_of(large, ATLS_SIM_FILE_MAX + 1),
                                           ATLS_SIM_PUBLIC, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_sim_folder_read(*state, "a", &got, &err), ATLS_E_LIMIT, &err);
    remove_one(*state, "a");
    free(large);
}

static void what_cannot_be_done_is_told(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf got = ATLS_BUF_INIT;
    char name[ATLS_SIM_PATH_MAX];
    EVP_PKEY *key = NULL;
    int fd;

    test_assert_code(atls_sim_folder_read(*state, "none", &got, &err), ATLS_E_IO, &err);
    assert_int_equal(err.sys_errno, ENOENT);
    test_assert_code(atls_sim_folder_read(*state, ".", &got, &err), ATLS_E_IO, &err);
    assert_int_equal(err.sys_errno, EISDIR);
    test_assert_code(
        atls_sim_folder_write(*state, "none/a", atls_bytes_of("x", 1), ATLS_SIM_PUBLIC, &err),
        ATLS_E_IO, &err);
    test_assert_code(atls_sim_folder_make(*state, "d", 0700, &err), ATLS_OK, &err);
    test_assert_code(atls_sim_folder_make(*state, "d", 0700, &err), ATLS_E_IO, &err);
    assert_int_equal(err.sys_errno, EEXIST);
    test_assert_code(
        atls_sim_folder_write(*state, "d", atls_bytes_of("x", 1), ATLS_SIM_PUBLIC, &err), ATLS_E_IO,
        &err); /* and nothing is left of it */
    remove_one(*state, "d");
    test_assert_code(atls_sim_folder_read_key(*state, "none", &key, &err), ATLS_E_IO, &err);
    test_assert_code(atls_sim_folder_lock("/nonexistent", &fd, &err), ATLS_E_IO, &err);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    test_assert_code(atls_sim_folder_read(*state, name, &got, &err), ATLS_E_LIMIT, &err);
    test_assert_code(atls_sim_folder_make(*state, name, 0700, &err), ATLS_E_LIMIT, &err);
    test_assert_code(
        atls_sim_folder_write(*state, name, atls_bytes_of("x", 1), ATLS_SIM_PUBLIC, &err),
        ATLS_E_LIMIT, &err);
    test_assert_code(atls_sim_folder_read_key(*state, name, &key, &err), ATLS_E_LIMIT, &err);
    test_assert_code(atls_sim_folder_lock(name, &fd, &err), ATLS_E_LIMIT, &err);
}

static void keys_come_back_and_are_secret(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    EVP_PKEY *key = NULL, *again = NULL;
    char name[ATLS_SIM_PATH_MAX];

    test_assert_code(atls_sim_key_ec("P-384", &key, &err), ATLS_OK, &err);
    test_assert_code(atls_sim_folder_write_key(*state, "k", key, &err), ATLS_E_IO, &err);
    test_assert_code(atls_sim_folder_make(*state, "keys", 0700, &err), ATLS_OK, &err);
    test_assert_code(atls_sim_folder_write_key(*state, "k", key, &err), ATLS_OK, &err);
    assert_int_equal(mode_of(*state, "keys/k.pem"), 0600);
    test_assert_code(atls_sim_folder_read_key(*state, "k", &again, &err), ATLS_OK, &err);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    EVP_PKEY_free(again);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    test_assert_code(atls_sim_folder_write_key(*state, name, key, &err), ATLS_E_LIMIT, &err);
    test_assert_code(
        atls_sim_folder_write(*state, "keys/k.pem", atls_bytes_of("x", 1), ATLS_SIM_SECRET, &err),
        ATLS_OK, &err);
    test_assert_code(atls_sim_folder_read_key(*state, "k", &again, &err), ATLS_E_DECODE, &err);
    remove_one(*state, "keys/k.pem");
    remove_one(*state, "keys");
    EVP_PKEY_free(key);
}

static void one_holds_the_lock(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    int fd = -1;

    for (size_t i = 0; i < 2; i++) {
        test_assert_code(atls_sim_folder_lock(*state, &fd, &err), ATLS_OK, &err);
        atls_sim_folder_unlock(fd);
    }
    remove_one(*state, "lock");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_come_back),
        TEST(what_cannot_be_done_is_told),
        TEST(keys_come_back_and_are_secret),
        TEST(one_holds_the_lock),
    };

    return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
