#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/secret.h"

static void test_wipe(void **state)
{
    uint8_t secret[64];

    (void)state;
    memset(secret, 0xa5, sizeof secret);
    atls_wipe(secret + 1, sizeof secret - 2);
    assert_int_equal(secret[0], 0xa5);
    assert_int_equal(secret[sizeof secret - 1], 0xa5);
    for (size_t i = 1; i + 1 < sizeof secret; i++)
        assert_int_equal(secret[i], 0);
    atls_wipe(NULL, 0);
    atls_wipe(secret, 0);
    assert_int_equal(secret[0], 0xa5);
}

/* Each bit of each byte counts. */
static void test_equal(void **state)
{
    uint8_t a[33], b[33];

    (void)state;
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = b[i] = (uint8_t)(i * 11);
    for (size_t len = 0; len <= sizeof a; len++)
        assert_true(atls_secret_equal(atls_bytes_of(a, len), atls_bytes_of(b, len)));
    for (size_t i = 0; i < sizeof a; i++) {
        for (unsigned int bit = 0; bit < 8; bit++) {
            b[i] = (uint8_t)(b[i] ^ 1u << bit);
            assert_false(atls_secret_equal(atls_bytes_of(a, sizeof a), atls_bytes_of(b, sizeof b)));
            b[i] = (uint8_t)(b[i] ^ 1u << bit);
        }
    }
    assert_false(atls_secret_equal(atls_bytes_of(a, 32), atls_bytes_of(b, 33)));
    assert_false(atls_secret_equal(atls_bytes_of(a, 0), atls_bytes_of(b, 1)));
    assert_true(atls_secret_equal(atls_bytes_of(NULL, 0), atls_bytes_of(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
