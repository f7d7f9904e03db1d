#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/writer.h"

static void test_integers(void **state)
{
    static const struct atls_bytes want = HEX("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
                                              "\x0e\x0f\x10\x11\x12\x16\x15\x14\x13xyz");
    struct atls_writer w = atls_writer_init(64);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out;

    (void)state;
    atls_put_u8(&w, 0x01);
    atls_put_u16(&w, 0x0203);
    atls_put_u24(&w, 0x040506);
    atls_put_u32(&w, 0x0708090a);
    atls_put_u64(&w, 0x0b0c0d0e0f101112u);
    atls_put_u32le(&w, 0x13141516);
    atls_put_text(&w, "xy");
    atls_put_bytes(&w, atls_bytes_of("z", 1));
    atls_put_bytes(&w, atls_bytes_of(NULL, 0));
    test_assert_bytes(atls_writer_bytes(&w), want);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), want);
    assert_true(w.ptr == NULL && w.len == 0 && w.limit == 64); /* fit for another message */
    atls_buf_clear(&out);
}

/* No bytes need no memory: nothing is added to the null pointer of an empty writer, which the
 * sanitizer would see. */
static void test_no_bytes(void **state)
{
    struct atls_writer w = atls_writer_init(0);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out;

    (void)state;
    atls_put_bytes(&w, atls_bytes_of(NULL, 0));
    atls_put_text(&w, "");
    assert_int_equal(w.failed, ATLS_OK);
    assert_null(w.ptr);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    assert_null(out.ptr);
    assert_int_equal(out.len, 0);
}

static void test_vectors(void **state)
{
    static const struct atls_bytes want = HEX("\x00\x00\x08\x00\x03\x02xy\x00\x01z");
    struct atls_writer w = atls_writer_init(64);
    struct atls_mark outer, middle, inner;

    (void)state;
    outer = atls_open_vec(&w, 0xffffff);
    middle = atls_open_vec(&w, 0xffff);
    inner = atls_open_vec(&w, 0xff);
    atls_put_text(&w, "xy");
    atls_close_vec(&w, inner);
    atls_close_vec(&w, middle);
    inner = atls_open_vec(&w, 0x100); /* two bytes of prefix */
    atls_put_text(&w, "z");
    atls_close_vec(&w, inner);
    atls_close_vec(&w, outer);
    test_assert_bytes(atls_writer_bytes(&w), want);
    atls_writer_clear(&w);
}

static void test_vector_over_its_ceiling(void **state)
{
    (void)state;
    for (size_t len = 2; len <= 3; len++) {
        struct atls_writer w = atls_writer_init(64);
        struct atls_mark mark = atls_open_vec(&w, 2);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf out = {NULL, 77};

        atls_put_bytes(&w, atls_bytes_of("xyz", len));
        atls_close_vec(&w, mark);
        test_assert_code(atls_writer_finish(&w, &out, &err), len == 2 ? ATLS_OK : ATLS_E_LIMIT,
                         &err);
        assert_int_equal(out.len, len == 2 ? 3 : 77);
        if (len == 2)
            atls_buf_clear(&out);
    }
}

/* Limits around the sizes at which memory grows: all fits, one byte more does not. */
static void test_limits(void **state)
{
    static const size_t limits[] = {0, 1, 255, 256, 257, 511, 512, 513, 5000};

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct atls_writer w = atls_writer_init(limits[i]);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf out = {NULL, 77};

        for (size_t n = 0; n < limits[i]; n++)
            atls_put_u8(&w, (uint8_t)n);
        assert_int_equal(w.failed, ATLS_OK);
        for (size_t n = 0; n < limits[i]; n++)
            assert_int_equal(w.ptr[n], (uint8_t)n);
        atls_put_u8(&w, 0);
        assert_int_equal(w.failed, ATLS_E_LIMIT);
        assert_int_equal(w.len, limits[i]);
        test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_E_LIMIT, &err);
        assert_int_equal(out.len, 77);
        assert_null(w.ptr);
        assert_int_equal(w.failed, ATLS_OK);
    }
}

static void test_first_failure_sticks(void **state)
{
    struct atls_writer w = atls_writer_init(2);
    struct atls_mark mark;
    struct atls_buf out;

    (void)state;
    atls_put_u32(&w, 1);
    assert_int_equal(w.len, 0);
    atls_put_u8(&w, 1); /* would fit */
    mark = atls_open_vec(&w, 0xff);
    atls_close_vec(&w, mark);
    assert_int_equal(w.len, 0);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_E_LIMIT, NULL);
}

static void test_u24_too_large(void **state)
{
    struct atls_writer w = atls_writer_init(64);

    (void)state;
    atls_put_u24(&w, 0xffffff);
    assert_int_equal(w.failed, ATLS_OK);
    atls_put_u24(&w, 0x1000000);
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    assert_int_equal(w.len, 3);
    atls_writer_clear(&w);
}

/* Under the address sanitizer too, malloc is to fail and not to stop the program. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_out_of_memory(void **state)
{
    struct atls_writer w = atls_writer_init(SIZE_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out;
    uint8_t byte = 0;

    (void)state;
    /* More than any address space has; the source is not read before the memory is there. */
    atls_put_bytes(&w, atls_bytes_of(&byte, SIZE_MAX / 2 + 1));
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_E_NOMEM, &err);
    assert_non_null(strstr(err.message, "memory"));
}

static void test_buffers(void **state)
{
    struct atls_buf out = {NULL, 77};

    (void)state;
    test_assert_code(atls_buf_copy(&out, atls_bytes_of("xy", 2), NULL), ATLS_OK, NULL);
    test_assert_bytes(atls_buf_bytes(&out), atls_bytes_of("xy", 2));
    atls_buf_clear(&out);
    assert_true(out.ptr == NULL && out.len == 0);
    atls_buf_clear(&out);
    atls_buf_clear(NULL);
    test_assert_code(atls_buf_copy(&out, atls_bytes_of(NULL, 0), NULL), ATLS_OK, NULL);
    assert_true(out.ptr == NULL && out.len == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),      cmocka_unit_test(test_no_bytes),
        cmocka_unit_test(test_vectors),       cmocka_unit_test(test_vector_over_its_ceiling),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_first_failure_sticks),
        cmocka_unit_test(test_u24_too_large), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_buffers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
