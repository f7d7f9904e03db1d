#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "core/writer.h"

static const struct atls_bytes count_up = HEX("\x01\x02\x03\x04\x05\x06\x07\x08\x09");

static void test_integers(void **state)
{
    struct atls_reader r = atls_reader_init(count_up);
    uint8_t u8;
    uint16_t u16;
    uint32_t u24, u32;
    uint64_t u64;

    (void)state;
    assert_true(atls_get_u8(&r, &u8) && u8 == 0x01);
    assert_true(atls_get_u64(&r, &u64) && u64 == 0x0203040506070809u);
    assert_true(atls_reader_done(&r));
    r.pos = 0;
    assert_true(atls_get_u16(&r, &u16) && u16 == 0x0102);
    assert_true(atls_get_u24(&r, &u24) && u24 == 0x030405);
    assert_true(atls_get_u32(&r, &u32) && u32 == 0x06070809);
    assert_true(atls_reader_done(&r));
    r.pos = 0;
    assert_true(atls_get_u16le(&r, &u16) && u16 == 0x0201);
    assert_true(atls_get_u32le(&r, &u32) && u32 == 0x06050403);
    assert_int_equal(atls_reader_left(&r), 3);
    r.pos = 1;
    assert_true(atls_get_u64le(&r, &u64) && u64 == 0x0908070605040302u);
}

/* Each getter with one byte too few: false, the position and the output as they were. */
static void test_too_few(void **state)
{
    uint8_t u8 = 0x5a;
    uint16_t u16 = 0x5a5a;
    uint32_t u32 = 0x5a5a5a5a;
    uint64_t u64 = 0x5a5a5a5a5a5a5a5au;
    struct atls_bytes bytes = {NULL, 77};
    struct atls_reader r = atls_reader_init(count_up);

    (void)state;
    r.pos = 9;
    assert_false(atls_get_u8(&r, &u8));
    assert_false(atls_get_bytes(&r, 1, &bytes));
    assert_false(atls_get_bytes(&r, SIZE_MAX, &bytes));
    assert_int_equal(r.pos, 9);
    r.pos = 8;
    assert_false(atls_get_u16(&r, &u16));
    assert_false(atls_get_u16le(&r, &u16));
    assert_int_equal(r.pos, 8);
    r.pos = 7;
    assert_false(atls_get_u24(&r, &u32));
    r.pos = 6;
    assert_false(atls_get_u32(&r, &u32));
    assert_false(atls_get_u32le(&r, &u32));
    r.pos = 2;
    assert_false(atls_get_u64(&r, &u64));
    assert_false(atls_get_u64le(&r, &u64));
    assert_int_equal(r.pos, 2);
    assert_int_equal(u8, 0x5a);
    assert_int_equal(u16, 0x5a5a);
    assert_int_equal(u32, 0x5a5a5a5a);
    assert_true(u64 == 0x5a5a5a5a5a5a5a5au);
    assert_int_equal(bytes.len, 77);
}

static void test_bytes(void **state)
{
    struct atls_reader r = atls_reader_init(count_up), nothing = {{NULL, 0}, 0};
    struct atls_bytes out;

    (void)state;
    assert_true(atls_get_bytes(&r, 3, &out));
    assert_ptr_equal(out.ptr, count_up.ptr);
    assert_int_equal(out.len, 3);
    /* A field of no bytes is present: it has an address. */
    assert_true(atls_get_bytes(&r, 0, &out));
    assert_ptr_equal(out.ptr, count_up.ptr + 3);
    assert_int_equal(out.len, 0);
    assert_true(atls_get_bytes(&r, 6, &out));
    assert_true(atls_reader_done(&r));
    assert_true(atls_get_bytes(&nothing, 0, &out));
    assert_null(out.ptr);
    assert_true(atls_reader_done(&nothing));
}

static void test_vectors(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        size_t floor, ceiling;
        size_t pos; /* afterwards; 0: refused */
        size_t len;
    } rows[] = {
        {"<0..255> empty", HEX("\x00"), 0, 0xff, 1, 0},
        {"<0..255> full", HEX("\x02xy"), 0, 0xff, 3, 2},
        {"<0..255> leaves what follows", HEX("\x01xy"), 0, 0xff, 2, 1},
        {"<0..256> has a prefix of 2", HEX("\x00\x01x"), 0, 0x100, 3, 1},
        {"<0..2^16-1>", HEX("\x00\x02xy"), 0, 0xffff, 4, 2},
        {"<0..2^16> has a prefix of 3", HEX("\x00\x00\x01x"), 0, 0x10000, 4, 1},
        {"<0..2^24-1>", HEX("\x00\x00\x01x"), 0, 0xffffff, 4, 1},
        {"at the floor", HEX("\x02xy"), 2, 0xff, 3, 2},
        {"at the ceiling", HEX("\x02xy"), 0, 2, 3, 2},
        {"no prefix", HEX(""), 0, 0xff, 0, 0},
        {"half a prefix", HEX("\x00"), 0, 0xffff, 0, 0},
        {"two thirds of a prefix", HEX("\x00\x00"), 0, 0xffffff, 0, 0},
        {"body one byte short", HEX("\x03xy"), 0, 0xff, 0, 0},
        {"body missing", HEX("\xff\xff"), 0, 0xffff, 0, 0},
        {"below the floor", HEX("\x01x"), 2, 0xff, 0, 0},
        {"above the ceiling", HEX("\x03xyz"), 0, 2, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_bytes out = {NULL, 77};
        struct atls_buf copy;
        struct atls_reader r;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_buf_copy(&copy, rows[i].in, NULL), ATLS_OK, NULL);
        r = atls_reader_init(atls_buf_bytes(&copy));
        assert_int_equal(atls_get_vec(&r, rows[i].floor, rows[i].ceiling, &out), rows[i].pos != 0);
        assert_int_equal(r.pos, rows[i].pos);
        assert_int_equal(out.len, rows[i].pos == 0 ? 77 : rows[i].len);
        atls_buf_clear(&copy);
    }
}

static void test_equal(void **state)
{
    static const struct atls_bytes a = HEX("ab"), b = HEX("ac"), c = HEX("abc"), none = {NULL, 0};

    (void)state;
    assert_true(atls_bytes_equal(a, a));
    assert_false(atls_bytes_equal(a, b));
    assert_false(atls_bytes_equal(a, c));
    assert_false(atls_bytes_equal(a, none));
    assert_true(atls_bytes_equal(none, none));
    assert_true(atls_bytes_equal_text(a, "ab"));
    assert_false(atls_bytes_equal_text(a, "abc"));
    assert_false(atls_bytes_equal_text(c, "ab"));
    assert_true(atls_bytes_equal_text(none, ""));
    assert_true(
        atls_bytes_equal_without_case(atls_bytes_of("Az@[`{9", 7), atls_bytes_of("aZ@[`{9", 7)));
    /* Thirty-two apart, and no letters. */
    assert_false(atls_bytes_equal_without_case(atls_bytes_of("@", 1), atls_bytes_of("`", 1)));
    assert_false(atls_bytes_equal_without_case(atls_bytes_of("[", 1), atls_bytes_of("{", 1)));
    assert_false(atls_bytes_equal_without_case(a, atls_bytes_of("AB", 1)));
    assert_true(atls_bytes_equal_without_case(none, none));
}

static void test_zeros_and_digits(void **state)
{
    static const char digits[] = "0123456789abcdef", capitals[] = "ABCDEF";
    static const uint8_t zeros[3] = {0};
    uint8_t almost[3] = {0};
    unsigned int known = 0;

    (void)state;
    assert_true(atls_bytes_are_zero(atls_bytes_of(NULL, 0)));
    assert_true(atls_bytes_are_zero(atls_bytes_of(zeros, sizeof zeros)));
    for (size_t i = 0; i < sizeof almost; i++) {
        almost[i] = 1;
        assert_false(atls_bytes_are_zero(atls_bytes_of(almost, sizeof almost)));
        almost[i] = 0;
    }
    for (int i = 0; i < 16; i++)
        assert_int_equal(atls_hex_digit(digits[i]), i);
    for (int i = 0; i < 6; i++)
        assert_int_equal(atls_hex_digit(capitals[i]), 10 + i);
    for (int c = -128; c < 256; c++)
        known += atls_hex_digit(c) >= 0;
    assert_int_equal(known, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeros_and_digits), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_too_few),          cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_vectors),          cmocka_unit_test(test_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
