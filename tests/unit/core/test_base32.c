#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/base32.h"

/* RFC 4648 section 10, in lower case and without padding. */
static const struct {
    struct atls_bytes plain;
    const char *text;
} rows[] = {
    {HEX(""), ""},
    {HEX("f"), "my"},
    {HEX("fo"), "mzxq"},
    {HEX("foo"), "mzxw6"},
    {HEX("foob"), "mzxw6yq"},
    {HEX("fooba"), "mzxw6ytb"},
    {HEX("foobar"), "mzxw6ytboi"},
    {HEX("\xff\x00\x42\x10\x84\x3e"), "74aeeeeehy"},
};

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static void known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(64);
        uint8_t back[8];

        atls_base32_put(&w, rows[i].plain);
        test_assert_bytes(atls_writer_bytes(&w), text_of(rows[i].text));
        assert_int_equal(strlen(rows[i].text), ATLS_BASE32_LEN(rows[i].plain.len));
        assert_true(atls_base32_get(text_of(rows[i].text), back, rows[i].plain.len));
        test_assert_bytes(atls_bytes_of(back, rows[i].plain.len), rows[i].plain);
        atls_writer_clear(&w);
    }
}

static void every_length_comes_back(void **state)
{
    uint8_t plain[70], back[70];

    (void)state;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 37 + 11);
    for (size_t len = 0; len <= sizeof plain; len++) {
        struct atls_writer w = atls_writer_init(256);
        struct atls_bytes text;

        atls_base32_put(&w, atls_bytes_of(plain, len));
        text = atls_writer_bytes(&w);
        assert_true(atls_base32_get(text, back, len));
        test_assert_bytes(atls_bytes_of(back, len), atls_bytes_of(plain, len));
        for (size_t cut = 0; cut < text.len; cut++)
            assert_false(atls_base32_get(atls_bytes_of(text.ptr, cut), back, len));
        atls_put_u8(&w, 'a');
        assert_false(atls_base32_get(atls_writer_bytes(&w), back, len));
        atls_writer_clear(&w);
    }
}

/* Exactly 32 characters stand for something, and of the last one only those without spare bits. */
static void one_text_for_one_value(void **state)
{
    char text[] = "mzxw6yq"; /* three spare bits */
    uint8_t out[4] = {1, 2, 3, 4};
    size_t accepted = 0;

    (void)state;
    for (int c = 0; c < 256; c++) {
        text[2] = (char)c;
        if (atls_base32_get(text_of(text), out, 4))
            accepted++;
    }
    assert_int_equal(accepted, 32);
    text[2] = 'x';
    accepted = 0;
    for (int c = 1; c < 256; c++) {
        text[6] = (char)c;
        if (atls_base32_get(text_of(text), out, 4))
            accepted++;
    }
    assert_int_equal(accepted, 4);
    memset(out, 9, sizeof out);
    assert_false(atls_base32_get(text_of("mzxw6y!"), out, 4));
    assert_int_equal(out[0], 9);
    assert_false(atls_base32_get(text_of("MZXW6YQ"), out, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(one_text_for_one_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
