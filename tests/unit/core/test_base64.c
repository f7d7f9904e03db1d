#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/base64.h"

/* RFC 4648 section 10, and the two characters in which the alphabets differ. */
static const struct {
    struct atls_bytes plain;
    const char *url, *padded;
} rows[] = {
    {HEX(""), "", ""},
    {HEX("f"), "Zg", "Zg=="},
    {HEX("fo"), "Zm8", "Zm8="},
    {HEX("foo"), "Zm9v", "Zm9v"},
    {HEX("foob"), "Zm9vYg", "Zm9vYg=="},
    {HEX("fooba"), "Zm9vYmE", "Zm9vYmE="},
    {HEX("foobar"), "Zm9vYmFy", "Zm9vYmFy"},
    {HEX("\xfb\xff\xbf"), "-_-_", "+/+/"},
};

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(64);

        atls_base64url_put(&w, rows[i].plain);
        test_assert_bytes(atls_writer_bytes(&w), text_of(rows[i].url));
        atls_writer_clear(&w);
        atls_base64_put(&w, rows[i].plain);
        test_assert_bytes(atls_writer_bytes(&w), text_of(rows[i].padded));
        atls_writer_clear(&w);
        assert_true(atls_base64url_get(text_of(rows[i].url), &w));
        test_assert_bytes(atls_writer_bytes(&w), rows[i].plain);
        atls_writer_clear(&w);
        assert_true(atls_base64_get(text_of(rows[i].padded), &w));
        test_assert_bytes(atls_writer_bytes(&w), rows[i].plain);
        atls_writer_clear(&w);
    }
}

static void test_every_byte(void **state)
{
    uint8_t plain[300];

    (void)state;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len < sizeof plain; len++) {
        struct atls_writer text = atls_writer_init(1024), back = atls_writer_init(1024);

        atls_base64_put(&text, atls_bytes_of(plain, len));
        assert_true(atls_base64_get(atls_writer_bytes(&text), &back));
        test_assert_bytes(atls_writer_bytes(&back), atls_bytes_of(plain, len));
        atls_writer_clear(&text);
        atls_writer_clear(&back);
        atls_base64url_put(&text, atls_bytes_of(plain, len));
        assert_true(atls_base64url_get(atls_writer_bytes(&text), &back));
        test_assert_bytes(atls_writer_bytes(&back), atls_bytes_of(plain, len));
        atls_writer_clear(&text);
        atls_writer_clear(&back);
    }
}

/* Takes text, and then only as the encoder writes its value: one text for one value. */
static size_t take(const uint8_t *text, size_t len)
{
    struct atls_writer w = atls_writer_init(8), again = atls_writer_init(8);
    bool taken = atls_base64url_get(atls_bytes_of(text, len), &w);

    if (taken) {
        atls_base64url_put(&again, atls_writer_bytes(&w));
        test_assert_bytes(atls_writer_bytes(&again), atls_bytes_of(text, len));
    }
    atls_writer_clear(&w);
    atls_writer_clear(&again);
    return taken ? 1 : 0;
}

static void test_unique(void **state)
{
    static const char first[] = {'A', '_', '='};
    size_t of_two = 0, of_three = 0;

    (void)state;
    for (size_t i = 0; i < sizeof first; i++) {
        for (unsigned int second = 0; second < 256; second++) {
            uint8_t text[3] = {(uint8_t)first[i], (uint8_t)second, 0};

            of_two += take(text, 2);
            for (unsigned int third = 0; third < 256; third++) {
                text[2] = (uint8_t)third;
                of_three += take(text, 3);
            }
        }
    }
    assert_int_equal(of_two, 2 * 4);         /* 8 bits in 12, the first 6 given */
    assert_int_equal(of_three, 2 * 64 * 16); /* 16 bits in 18 */
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes url, padded;
    } cases[] = {
        {"length 1 mod 4", HEX("Z"), HEX("Z")},
        {"length 5", HEX("Zm9vY"), HEX("Zm9vY")},
        {"padding where it must not, or must, be", HEX("Zg=="), HEX("Zg")},
        {"padding of 1, not 2", HEX("Zg="), HEX("Zg=")},
        {"padding alone", HEX("===="), HEX("====")},
        {"padding of 3", HEX("Z==="), HEX("Z===")},
        {"padding inside", HEX("Zg==Zg"), HEX("Zg==Zg==")},
        {"the other alphabet, 62", HEX("+AAA"), HEX("-AAA")},
        {"the other alphabet, 63", HEX("/AAA"), HEX("_AAA")},
        {"blank", HEX("Zm 9v"), HEX("Zm 9vYm=")},
        {"line break", HEX("Zm9v\n"), HEX("Zm9v\n")},
        {"line break of four", HEX("Zm\r\n"), HEX("Zm\r\n")},
        {"NUL", HEX("Zm9\0"), HEX("Zm9\0")},
        {"high byte", HEX("Zm9\xff"), HEX("Zm9\xff")},
        {"spare bits of one byte", HEX("Zh"), HEX("Zh==")},
        {"spare bits of two bytes", HEX("Zm9"), HEX("Zm9=")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct atls_writer w = atls_writer_init(64);

        print_message("  %s\n", cases[i].name);
        atls_put_u8(&w, 7);
        assert_false(atls_base64url_get(cases[i].url, &w));
        assert_false(atls_base64_get(cases[i].padded, &w));
        assert_int_equal(w.len, 1);
        atls_writer_clear(&w);
    }
}

static void test_no_room(void **state)
{
    struct atls_writer w = atls_writer_init(2);

    (void)state;
    assert_true(atls_base64_get(text_of("Zm9v"), &w));
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),   cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_unique),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
