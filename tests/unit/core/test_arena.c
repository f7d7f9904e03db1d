#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/arena.h"

static void test_zeroed_and_aligned(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 16, 17, 4095, 4096, 4097, 100000, 1};
    struct atls_arena a = atls_arena_init(1 << 20);
    uint8_t *given[sizeof sizes / sizeof sizes[0]];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        given[i] = atls_arena_alloc(&a, sizes[i], 1);
        assert_non_null(given[i]);
        assert_int_equal((uintptr_t)given[i] % alignof(max_align_t), 0);
        for (size_t n = 0; n < sizes[i]; n++)
            assert_int_equal(given[i][n], 0);
        if (sizes[i] != 0)
            memset(given[i], (int)i + 1, sizes[i]);
    }
    /* No two of them share a byte. */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t n = 0; n < sizes[i]; n++)
            assert_int_equal(given[i][n], i + 1);
    atls_arena_clear(&a);
    assert_true(a.blocks == NULL && a.used == 0);
    assert_non_null(atls_arena_alloc(&a, 1, 1)); /* fit for another document */
    atls_arena_clear(&a);
    atls_arena_clear(&a);
}

static void test_limit(void **state)
{
    struct atls_arena a = atls_arena_init(64), none = atls_arena_init(0);

    (void)state;
    assert_null(atls_arena_alloc(&a, 65, 1));
    assert_non_null(atls_arena_alloc(&a, 2, 16));
    assert_int_equal(a.used, 32);
    assert_null(atls_arena_alloc(&a, 33, 1));
    assert_non_null(atls_arena_alloc(&a, 32, 1));
    assert_null(atls_arena_alloc(&a, 1, 1));
    assert_null(atls_arena_alloc(&a, 0, 1)); /* an address of its own costs too */
    assert_null(atls_arena_alloc(&none, 0, 0));
    atls_arena_clear(&a);
    atls_arena_clear(&none);
}

static void test_product_overflows(void **state)
{
    struct atls_arena a = atls_arena_init(SIZE_MAX);

    (void)state;
    assert_null(atls_arena_alloc(&a, SIZE_MAX, 2));
    assert_null(atls_arena_alloc(&a, SIZE_MAX / 2 + 1, 2));
    assert_null(atls_arena_alloc(&a, SIZE_MAX, 1));
    assert_int_equal(a.used, 0);
    atls_arena_clear(&a);
}

static void test_copy(void **state)
{
    struct atls_arena a = atls_arena_init(16);
    struct atls_bytes out = {NULL, 77};
    char text[] = "text";

    (void)state;
    assert_true(atls_arena_copy(&a, atls_bytes_of(text, 4), &out));
    text[0] = 'n';
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.ptr, "text", 4);
    assert_false(atls_arena_copy(&a, atls_bytes_of(text, 4), &out));
    assert_int_equal(out.len, 4);
    atls_arena_clear(&a);
    assert_true(atls_arena_copy(&a, atls_bytes_of(NULL, 0), &out));
    assert_true(out.ptr != NULL && out.len == 0);
    atls_arena_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_and_aligned),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_product_overflows),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
