/* What every test needs: literal bytes, hex, files of tests/vectors. */
#ifndef ATLS_TESTLIB_H
#define ATLS_TESTLIB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <atls/bytes.h>

/* Bytes of a string literal, without its NUL: HEX("\x05\x01"). */
#define HEX(literal)                                                                               \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* Decodes hex digits; fails the test when they are not. The caller clears the result. */
struct atls_buf test_unhex(const char *hex);

/* Reads tests/vectors/<path>; fails the test when it cannot. The caller clears the result. */
struct atls_buf test_vector(const char *path);

/* Fails the test with both sides in hex when they differ. */
void test_assert_bytes(struct atls_bytes got, struct atls_bytes want);

/* Fails the test, showing err, unless code is want. */
#define test_assert_code(code, want, err)                                                          \
    test_assert_code_at((code), (want), (err), __FILE__, __LINE__)
void test_assert_code_at(enum atls_code code, enum atls_code want, const struct atls_err *err,
                         const char *file, int line);

#endif
