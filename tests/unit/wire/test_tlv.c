#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/tlv.h"

/* Every length where the form of the length changes, and one to each side. */
static void test_round_trip(void **state)
{
    static const size_t lens[] = {0, 1, 127, 128, 129, 255, 256, 257, 65535, 65536, 65537};

    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct atls_writer w = atls_writer_init(1 << 20);
        struct atls_bytes content = {calloc(lens[i] + 1, 1), lens[i]}, got;
        struct atls_reader r;

        assert_non_null(content.ptr);
        atls_tlv_put_head(&w, ATLS_TLV_OCTET_STRING, content.len);
        atls_put_bytes(&w, content);
        assert_int_equal(w.len, atls_tlv_size(content.len));
        r = atls_reader_init(atls_writer_bytes(&w));
        assert_true(atls_tlv_get(&r, ATLS_TLV_OCTET_STRING, &got));
        assert_true(atls_reader_done(&r));
        test_assert_bytes(got, content);
        r = atls_reader_init(atls_bytes_of(w.ptr, w.len - 1));
        assert_int_equal(atls_tlv_get(&r, ATLS_TLV_OCTET_STRING, &got), false);
        assert_int_equal(r.pos, 0);
        free((void *)(uintptr_t)content.ptr);
        atls_writer_clear(&w);
    }
}

static void test_too_long_to_write(void **state)
{
    struct atls_writer w = atls_writer_init(64);

    (void)state;
    atls_tlv_put_head(&w, ATLS_TLV_OCTET_STRING, 0x1000000);
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
    } rows[] = {
        {"nothing", HEX("")},
        {"tag alone", HEX("\x04")},
        {"another tag", HEX("\x0c\x00")},
        {"content missing", HEX("\x04\x01")},
        {"indefinite", HEX("\x04\x80\x00\x00")},
        {"127 in long form", HEX("\x04\x81\x7f")},
        {"length of 1 byte cut", HEX("\x04\x81")},
        {"255 in two bytes", HEX("\x04\x82\x00\xff")},
        {"length of 2 bytes cut", HEX("\x04\x82\x01")},
        {"65535 in three bytes", HEX("\x04\x83\x00\xff\xff")},
        {"length of 3 bytes cut", HEX("\x04\x83\x01\x00")},
        {"length of 4 bytes", HEX("\x04\x84\x01\x00\x00\x00")},
        {"length of 127 bytes", HEX("\x04\xff\x00")},
        {"16 MiB without them", HEX("\x04\x83\xff\xff\xff\x00")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_reader r = atls_reader_init(rows[i].in);
        struct atls_bytes out = {NULL, 7};

        print_message("  %s\n", rows[i].name);
        assert_false(atls_tlv_get(&r, ATLS_TLV_OCTET_STRING, &out));
        assert_int_equal(r.pos, 0);
        assert_int_equal(out.len, 7);
    }
}

static void test_positive(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        size_t len; /* of the number; 0: refused */
    } rows[] = {
        {"1", HEX("\x02\x01\x01"), 1},
        {"127", HEX("\x02\x01\x7f"), 1},
        {"128", HEX("\x02\x02\x00\x80"), 1},
        {"256", HEX("\x02\x02\x01\x00"), 2},
        {"0", HEX("\x02\x01\x00"), 0},
        {"no bytes", HEX("\x02\x00"), 0},
        {"-1", HEX("\x02\x01\xff"), 0},
        {"idle zero", HEX("\x02\x02\x00\x7f"), 0},
        {"two zeros", HEX("\x02\x03\x00\x00\x80"), 0},
        {"not an INTEGER", HEX("\x04\x01\x01"), 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_reader r = atls_reader_init(rows[i].in);
        struct atls_bytes out = {NULL, 0};
        struct atls_writer w = atls_writer_init(64);

        print_message("  %s\n", rows[i].name);
        assert_int_equal(atls_tlv_get_positive(&r, &out), rows[i].len != 0);
        assert_int_equal(out.len, rows[i].len);
        assert_int_equal(r.pos, rows[i].len == 0 ? 0 : rows[i].in.len);
        if (rows[i].len != 0) {
            atls_tlv_put_positive(&w, out);
            test_assert_bytes(atls_writer_bytes(&w), rows[i].in);
            assert_int_equal(w.len, atls_tlv_positive_size(out));
        }
        atls_writer_clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_too_long_to_write),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_positive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
