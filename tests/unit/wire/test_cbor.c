#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "testlib.h"

#include <atls/limits.h>

#include "wire/cbor.h"

/* RFC 8949 appendix A, in its order. Indefinite lengths: refused, or wanted by name. */
static const struct {
    const char *hex;
    enum { FINE, INDEFINITE_ONLY, NEVER } want;
} appendix_a[] = {
    {"00", FINE},
    {"01", FINE},
    {"0a", FINE},
    {"17", FINE},
    {"1818", FINE},
    {"1819", FINE},
    {"1864", FINE},
    {"1903e8", FINE},
    {"1a000f4240", FINE},
    {"1b000000e8d4a51000", FINE},
    {"1bffffffffffffffff", FINE},
    {"c249010000000000000000", FINE},
    {"3bffffffffffffffff", FINE},
    {"c349010000000000000000", FINE},
    {"20", FINE},
    {"29", FINE},
    {"3863", FINE},
    {"3903e7", FINE},
    {"f90000", FINE},
    {"f98000", FINE},
    {"f93c00", FINE},
    {"fb3ff199999999999a", FINE},
    {"f93e00", FINE},
    {"f97bff", FINE},
    {"fa47c35000", FINE},
    {"fa7f7fffff", FINE},
    {"fb7e37e43c8800759c", FINE},
    {"f90001", FINE},
    {"f90400", FINE},
    {"f9c400", FINE},
    {"fbc010666666666666", FINE},
    {"f97c00", FINE},
    {"f97e00", FINE},
    {"f9fc00", FINE},
    {"fa7f800000", FINE},
    {"fa7fc00000", FINE},
    {"faff800000", FINE},
    {"fb7ff0000000000000", FINE},
    {"fb7ff8000000000000", FINE},
    {"fbfff0000000000000", FINE},
    {"f4", FINE},
    {"f5", FINE},
    {"f6", FINE},
    {"f7", FINE},
    {"f0", FINE},
    {"f8ff", FINE},
    {"c074323031332d30332d32315432303a30343a30305a", FINE},
    {"c11a514b67b0", FINE},
    {"c1fb41d452d9ec200000", FINE},
    {"d74401020304", FINE},
    {"d818456449455446", FINE},
    {"d82076687474703a2f2f7777772e6578616d706c652e636f6d", FINE},
    {"40", FINE},
    {"4401020304", FINE},
    {"60", FINE},
    {"6161", FINE},
    {"6449455446", FINE},
    {"62225c", FINE},
    {"62c3bc", FINE},
    {"63e6b0b4", FINE},
    {"64f0908591", FINE},
    {"80", FINE},
    {"83010203", FINE},
    {"8301820203820405", FINE},
    {"98190102030405060708090a0b0c0d0e0f101112131415161718181819", FINE},
    {"a0", FINE},
    {"a201020304", FINE},
    {"a26161016162820203", FINE},
    {"826161a161626163", FINE},
    {"a56161614161626142616361436164614461656145", FINE},
    {"5f42010243030405ff", NEVER},
    {"7f657374726561646d696e67ff", NEVER},
    {"9fff", INDEFINITE_ONLY},
    {"9f018202039f0405ffff", INDEFINITE_ONLY},
    {"9f01820203820405ff", INDEFINITE_ONLY},
    {"83018202039f0405ff", INDEFINITE_ONLY},
    {"83019f0203ff820405", INDEFINITE_ONLY},
    {"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", INDEFINITE_ONLY},
    {"bf61610161629f0203ffff", INDEFINITE_ONLY},
    {"826161bf61626163ff", INDEFINITE_ONLY},
    {"bf6346756ef563416d7421ff", INDEFINITE_ONLY},
};

static void test_appendix_a(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof appendix_a / sizeof appendix_a[0]; i++) {
        struct atls_buf in = test_unhex(appendix_a[i].hex);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", appendix_a[i].hex);
        test_assert_code(atls_cbor_check(atls_buf_bytes(&in), 0, &err),
                         appendix_a[i].want == FINE ? ATLS_OK : ATLS_E_DECODE, &err);
        test_assert_code(atls_cbor_check(atls_buf_bytes(&in), ATLS_CBOR_INDEFINITE, &err),
                         appendix_a[i].want == NEVER ? ATLS_E_DECODE : ATLS_OK, &err);
        atls_buf_clear(&in);
    }
}

/* The document in a block of its own size, so that a read past its end is seen. */
static enum atls_code check_copy(struct atls_bytes in, unsigned int flags, struct atls_err *err)
{
    struct atls_buf copy;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_cbor_check(atls_buf_bytes(&copy), flags, err);
    atls_buf_clear(&copy);
    return code;
}

static void test_truncated_and_trailing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof appendix_a / sizeof appendix_a[0]; i++) {
        struct atls_buf in = test_unhex(appendix_a[i].hex);
        struct atls_buf longer = {calloc(1, in.len + 1), in.len + 1};
        struct atls_err err = ATLS_ERR_INIT;

        assert_non_null(longer.ptr);
        memcpy(longer.ptr, in.ptr, in.len);
        for (size_t len = 0; len < in.len; len++)
            test_assert_code(check_copy(atls_bytes_of(in.ptr, len), ATLS_CBOR_INDEFINITE, &err),
                             ATLS_E_DECODE, &err);
        test_assert_code(check_copy(atls_buf_bytes(&longer), ATLS_CBOR_INDEFINITE, &err),
                         ATLS_E_DECODE, &err);
        if (appendix_a[i].want != NEVER) {
            assert_non_null(strstr(err.message, "trailing bytes"));
            test_assert_code(check_copy(atls_buf_bytes(&longer),
                                        ATLS_CBOR_INDEFINITE | ATLS_CBOR_SEQUENCE, &err),
                             ATLS_OK, &err);
        }
        atls_buf_clear(&in);
        atls_buf_clear(&longer);
    }
}

/* RFC 8949 appendix F, and what section 3 forbids besides; want is part of the message. */
static const struct {
    const char *name;
    const char *hex;
    const char *want;
} ill_formed[] = {
    {"empty input", "", "truncated"},
    {"head of 1 byte missing, uint", "18", "truncated"},
    {"head of 2 bytes missing", "19", "truncated"},
    {"head of 4 bytes missing", "1a", "truncated"},
    {"head of 8 bytes missing", "1b", "truncated"},
    {"head of 2 bytes cut", "1901", "truncated"},
    {"head of 4 bytes cut", "1a0102", "truncated"},
    {"head of 8 bytes cut", "1b01020304050607", "truncated"},
    {"negative head missing", "38", "truncated"},
    {"bytes head missing", "58", "truncated"},
    {"text head missing", "78", "truncated"},
    {"array head missing", "98", "truncated"},
    {"array head of 4 bytes cut", "9a01ff00", "truncated"},
    {"map head missing", "b8", "truncated"},
    {"tag head missing", "d8", "truncated"},
    {"simple head missing", "f8", "truncated"},
    {"half float missing", "f900", "truncated"},
    {"float missing", "fa0000", "truncated"},
    {"double missing", "fb000000", "truncated"},
    {"bytes shorter than said", "41", "truncated"},
    {"text shorter than said", "61", "truncated"},
    {"bytes of 4 GiB", "5affffffff00", "truncated"},
    {"bytes of 2^64-1", "5bffffffffffffffff010203", "truncated"},
    {"text of 4 GiB", "7affffffff00", "truncated"},
    {"text of 2^63-1", "7b7fffffffffffffff010203", "truncated"},
    {"array of one without it", "81", "truncated"},
    {"nested arrays of one without it", "818181818181818181", "truncated"},
    {"array of two with one", "8200", "truncated"},
    {"array of 2^64-1", "9bffffffffffffffff00", "truncated"},
    {"map of one without it", "a1", "truncated"},
    {"map of two with one and a half", "a20102", "truncated"},
    {"map without value", "a100", "truncated"},
    {"map of three halves", "a2000000", "truncated"},
    {"map of 2^64-1", "bbffffffffffffffff0000", "truncated"},
    {"map of 2^63, whose items wrap to 0", "bb800000000000000000", "truncated"},
    {"tag without content", "c0", "truncated"},
    {"reserved 28, uint", "1c", "reserved"},
    {"reserved 29, uint", "1d", "reserved"},
    {"reserved 30, uint", "1e", "reserved"},
    {"reserved 28, negative", "3c", "reserved"},
    {"reserved 29, negative", "3d", "reserved"},
    {"reserved 30, negative", "3e", "reserved"},
    {"reserved 28, bytes", "5c", "reserved"},
    {"reserved 29, bytes", "5d", "reserved"},
    {"reserved 30, bytes", "5e", "reserved"},
    {"reserved 28, text", "7c", "reserved"},
    {"reserved 29, text", "7d", "reserved"},
    {"reserved 30, text", "7e", "reserved"},
    {"reserved 28, array", "9c", "reserved"},
    {"reserved 29, array", "9d", "reserved"},
    {"reserved 30, array", "9e", "reserved"},
    {"reserved 28, map", "bc", "reserved"},
    {"reserved 29, map", "bd", "reserved"},
    {"reserved 30, map", "be", "reserved"},
    {"reserved 28, tag", "dc", "reserved"},
    {"reserved 29, tag", "dd", "reserved"},
    {"reserved 30, tag", "de", "reserved"},
    {"reserved 28, simple", "fc", "reserved"},
    {"reserved 29, simple", "fd", "reserved"},
    {"reserved 30, simple", "fe", "reserved"},
    {"indefinite uint", "1f", "reserved"},
    {"indefinite negative", "3f", "reserved"},
    {"indefinite tag", "df", "reserved"},
    {"simple 0 in two bytes", "f800", "simple value below 32"},
    {"simple 1 in two bytes", "f801", "simple value below 32"},
    {"simple 24 in two bytes", "f818", "simple value below 32"},
    {"simple 31 in two bytes", "f81f", "simple value below 32"},
    {"break alone", "ff", "stray break"},
    {"break in definite array", "81ff", "stray break"},
    {"break as second of two", "8200ff", "stray break"},
    {"break as map key", "a1ff00", "stray break"},
    {"break as map value", "a100ff", "stray break"},
    {"break as tag content", "9fc0ffff", "stray break"},
    {"break after two levels of definite arrays", "9f81ff", "stray break"},
    {"break in definite map in indefinite array", "9f829f819f9fffffffff", "stray break"},
    {"indefinite array without break", "9f", "truncated"},
    {"indefinite array with items without break", "9f0102", "truncated"},
    {"indefinite map without break", "bf", "truncated"},
    {"indefinite map with a pair without break", "bf01020304", "truncated"},
    {"indefinite arrays nested without a break", "819f", "truncated"},
    {"indefinite map with key only", "bf00ff", "break in place of a map value"},
    {"indefinite map with three halves", "bf000001ff", "break in place of a map value"},
    {"indefinite bytes", "5f4100ff", "indefinite length"},
    {"indefinite bytes of text", "5f6100ff", "indefinite length"},
    {"indefinite text", "7f6100ff", "indefinite length"},
    {"indefinite text of bytes", "7f4100ff", "indefinite length"},
    {"indefinite bytes of integers", "5f00ff", "indefinite length"},
    {"indefinite bytes in indefinite bytes", "5f5f4100ffff", "indefinite length"},
    {"1-byte head for 0", "1800", "shortest"},
    {"1-byte head for 23", "1817", "shortest"},
    {"2-byte head for 255", "1900ff", "shortest"},
    {"4-byte head for 65535", "1a0000ffff", "shortest"},
    {"8-byte head for 2^32-1", "1b00000000ffffffff", "shortest"},
    {"1-byte head for -1", "3800", "shortest"},
    {"1-byte length of bytes", "580100", "shortest"},
    {"2-byte length of text", "79000161", "shortest"},
    {"1-byte count of array", "980100", "shortest"},
    {"1-byte count of map", "b8010000", "shortest"},
    {"1-byte tag 0", "d80000", "shortest"},
    {"4-byte tag 1", "da0000000100", "shortest"},
    {"duplicate key, neighbours", "a201000100", "duplicate map key"},
    {"duplicate key, apart and out of order", "a3020001000200", "duplicate map key"},
    {"duplicate key, in order elsewhere", "a401000200030001f6", "duplicate map key"},
    {"duplicate key in an inner map", "a101a262616100626161f6", "duplicate map key"},
    {"duplicate key in indefinite map", "bf01000100ff", "duplicate map key"},
    {"duplicate key, out of order, indefinite", "bf0200010002f6ff", "duplicate map key"},
    {"duplicate key that is an array", "a2820102008201020f", "duplicate map key"},
    {"duplicate key inside a map that is a key", "a1a20100010000", "duplicate map key"},
    {"UTF-8 continuation alone", "6180", "not UTF-8"},
    {"UTF-8 cut", "61c3", "not UTF-8"},
    {"UTF-8 cut, three bytes", "62e6b0", "not UTF-8"},
    {"UTF-8 cut, four bytes", "63f09085", "not UTF-8"},
    {"UTF-8 overlong NUL", "62c080", "not UTF-8"},
    {"UTF-8 overlong, three bytes", "63e09f80", "not UTF-8"},
    {"UTF-8 overlong, four bytes", "64f08f8080", "not UTF-8"},
    {"UTF-8 surrogate", "63eda080", "not UTF-8"},
    {"UTF-8 above U+10FFFF", "64f4908080", "not UTF-8"},
    {"UTF-8 lead f5", "64f5808080", "not UTF-8"},
    {"UTF-8 second byte no continuation", "62c341", "not UTF-8"},
    {"UTF-8 third byte no continuation", "63e6b041", "not UTF-8"},
    {"UTF-8 lead ff after eight fine bytes", "696162636465666768ff", "not UTF-8"},
    {"UTF-8 broken in a map key", "a161ff00", "not UTF-8"},
};

static void test_ill_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ill_formed / sizeof ill_formed[0]; i++) {
        struct atls_buf in = test_unhex(ill_formed[i].hex);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", ill_formed[i].name);
        test_assert_code(check_copy(atls_buf_bytes(&in), ATLS_CBOR_INDEFINITE, &err), ATLS_E_DECODE,
                         &err);
        if (strstr(err.message, ill_formed[i].want) == NULL)
            fail_msg("%s, want %s", err.message, ill_formed[i].want);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        atls_buf_clear(&in);
    }
}

static void test_utf8(void **state)
{
    static const struct atls_bytes fine[] = {
        HEX(""),
        HEX("plain text that is longer than eight bytes"),
        HEX("\xc2\x80\xdf\xbf"),
        HEX("\xe0\xa0\x80\xec\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"),
        HEX("\xf0\x90\x80\x80\xf1\x80\x80\x80\xf3\xbf\xbf\xbf\xf4\x8f\xbf\xbf"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_true(atls_utf8_valid(fine[i]));
}

static void test_error_position(void **state)
{
    static const struct atls_bytes in = HEX("\x82\x01\x18\x00");
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_cbor_check(in, 0, &err), ATLS_E_DECODE, &err);
    assert_string_equal(err.message, "CBOR: head is not of the shortest form at byte 2 of 4");
    test_assert_code(atls_cbor_check(in, 0, NULL), ATLS_E_DECODE, NULL);
}

static void test_depth(void **state)
{
    static const uint8_t openers[] = {0x81, 0xc1, 0x9f, 0xa1};

    (void)state;
    for (size_t k = 0; k < sizeof openers; k++) {
        for (size_t levels = ATLS_CBOR_DEPTH_MAX; levels <= ATLS_CBOR_DEPTH_MAX + 1; levels++) {
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_writer w = atls_writer_init(1024);
            struct atls_reader r;
            struct atls_buf in;
            bool fits = levels == ATLS_CBOR_DEPTH_MAX;

            for (size_t i = 0; i < levels; i++) {
                atls_put_u8(&w, openers[k]);
                if (openers[k] == 0xa1)
                    atls_put_u8(&w, 0x00);
            }
            atls_put_u8(&w, 0x00);
            for (size_t i = 0; i < levels && openers[k] == 0x9f; i++)
                atls_put_u8(&w, 0xff);
            test_assert_code(atls_writer_finish(&w, &in, &err), ATLS_OK, &err);
            test_assert_code(atls_cbor_check(atls_buf_bytes(&in), ATLS_CBOR_INDEFINITE, &err),
                             fits ? ATLS_OK : ATLS_E_LIMIT, &err);
            r = atls_reader_init(atls_buf_bytes(&in));
            assert_int_equal(atls_cbor_skip(&r), fits);
            assert_int_equal(r.pos, fits ? in.len : 0);
            atls_buf_clear(&in);
        }
    }
}

static void test_item_limit(void **state)
{
    (void)state;
    /* The array itself counts. */
    for (size_t count = ATLS_CBOR_ITEMS_MAX - 1; count <= ATLS_CBOR_ITEMS_MAX; count++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_writer w = atls_writer_init(ATLS_CBOR_ITEMS_MAX + 16);

        atls_cbor_put_array(&w, count);
        for (size_t i = 0; i < count; i++)
            atls_cbor_put_null(&w);
        test_assert_code(atls_cbor_check(atls_writer_bytes(&w), 0, &err),
                         count < ATLS_CBOR_ITEMS_MAX ? ATLS_OK : ATLS_E_LIMIT, &err);
        atls_writer_clear(&w);
    }
}

/* Maps out of order, as many keys as the item limit lets through. */
static void put_descending_map(struct atls_writer *w, uint64_t pairs, bool duplicate)
{
    atls_cbor_put_map(w, pairs);
    for (uint64_t i = 0; i < pairs; i++) {
        atls_cbor_put_uint(w, duplicate && i + 1 == pairs ? pairs : pairs - i);
        atls_cbor_put_null(w);
    }
}

static void test_unsorted_maps(void **state)
{
    static const uint64_t sizes[] = {2, 3, 31, 32, 33, 1000, 32767};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int duplicate = 0; duplicate < 2; duplicate++) {
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_writer w = atls_writer_init(1 << 20);
            clock_t start;

            put_descending_map(&w, sizes[i], duplicate != 0);
            start = clock();
            test_assert_code(atls_cbor_check(atls_writer_bytes(&w), 0, &err),
                             duplicate ? ATLS_E_DECODE : ATLS_OK, &err);
            /* Comparing all pairs of 32767 keys takes seconds; sorting takes milliseconds. */
            assert_true(clock() - start < CLOCKS_PER_SEC / 2);
            atls_writer_clear(&w);
        }
    }
}

static void test_integers(void **state)
{
    static const int64_t values[] = {
        0,      1,          23,         24,          255,         256,       65535,
        65536,  -1,         -24,        -25,         -256,        -257,      -65536,
        -65537, 4294967295, 4294967296, -4294967296, -4294967297, INT64_MAX, INT64_MIN,
    };
    static const struct atls_bytes outside = HEX("\x3b\x80\x00\x00\x00\x00\x00\x00\x00");
    struct atls_reader r = atls_reader_init(outside);
    int64_t v = 7;
    uint64_t u = 7;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct atls_writer w = atls_writer_init(16);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_reader in;
        int64_t got;

        atls_cbor_put_int(&w, values[i]);
        test_assert_code(atls_cbor_check(atls_writer_bytes(&w), 0, &err), ATLS_OK, &err);
        in = atls_reader_init(atls_writer_bytes(&w));
        assert_true(atls_cbor_get_int(&in, &got));
        assert_true(atls_reader_done(&in));
        assert_true(got == values[i]);
        in.pos = 0;
        assert_int_equal(atls_cbor_get_uint(&in, &u), values[i] >= 0);
        atls_writer_clear(&w);
    }
    assert_false(atls_cbor_get_int(&r, &v));
    assert_int_equal(v, 7);
    assert_int_equal(r.pos, 0);
}

static void test_walk(void **state)
{
    static const struct atls_bytes nonce = HEX("\x01\x02\x03");
    struct atls_writer w = atls_writer_init(256);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cbor_iter map, array;
    struct atls_reader r;
    struct atls_bytes bytes, text, item;
    enum atls_cbor_type type;
    uint64_t u, tag;
    int64_t key;
    bool yes;

    (void)state;
    atls_cbor_put_map(&w, 4);
    atls_cbor_put_int(&w, 1);
    atls_cbor_put_bytes(&w, nonce);
    atls_cbor_put_int(&w, 2);
    atls_cbor_put_array(&w, 3);
    atls_cbor_put_bool(&w, true);
    atls_cbor_put_bool(&w, false);
    atls_cbor_put_null(&w);
    atls_cbor_put_int(&w, 3);
    atls_cbor_put_tag(&w, 601);
    atls_cbor_put_text(&w, "x");
    atls_cbor_put_int(&w, -1);
    atls_cbor_put_array(&w, 0);
    test_assert_code(atls_cbor_check(atls_writer_bytes(&w), 0, &err), ATLS_OK, &err);

    r = atls_reader_init(atls_writer_bytes(&w));
    assert_true(atls_cbor_enter_map(&r, &map));
    assert_true(atls_cbor_more(&r, &map));
    assert_true(atls_cbor_get_int(&r, &key) && key == 1);
    assert_true(atls_cbor_peek(&r, &type) && type == ATLS_CBOR_BYTES);
    assert_false(atls_cbor_get_text(&r, &text));
    assert_false(atls_cbor_get_uint(&r, &u));
    assert_false(atls_cbor_enter_array(&r, &array));
    assert_false(atls_cbor_get_tag(&r, &tag));
    assert_false(atls_cbor_get_bool(&r, &yes));
    assert_true(atls_cbor_get_bytes(&r, &bytes));
    test_assert_bytes(bytes, nonce);
    assert_true(atls_cbor_more(&r, &map));
    assert_true(atls_cbor_get_uint(&r, &u) && u == 2);
    assert_true(atls_cbor_enter_array(&r, &array));
    assert_int_equal(array.left, 3);
    assert_true(atls_cbor_more(&r, &array));
    assert_true(atls_cbor_get_bool(&r, &yes) && yes);
    assert_true(atls_cbor_more(&r, &array));
    assert_false(atls_cbor_get_null(&r));
    assert_true(atls_cbor_get_bool(&r, &yes) && !yes);
    assert_true(atls_cbor_more(&r, &array));
    assert_true(atls_cbor_get_null(&r));
    assert_false(atls_cbor_more(&r, &array));
    assert_true(atls_cbor_more(&r, &map));
    assert_true(atls_cbor_skip(&r));
    assert_true(atls_cbor_get_item(&r, &item));
    assert_int_equal(item.len, 5);
    item.len = 3;
    assert_true(atls_cbor_more(&r, &map));
    assert_true(atls_cbor_get_int(&r, &key) && key == -1);
    assert_true(atls_cbor_enter_array(&r, &array));
    assert_false(atls_cbor_more(&r, &array));
    assert_false(atls_cbor_more(&r, &map));
    assert_true(atls_reader_done(&r));
    assert_false(atls_cbor_peek(&r, &type));

    r = atls_reader_init(item); /* the tag without its content */
    assert_false(atls_cbor_skip(&r));
    assert_true(atls_cbor_get_tag(&r, &tag) && tag == 601);
    assert_false(atls_cbor_get_item(&r, &item));
    atls_writer_clear(&w);
}

static void test_walk_indefinite(void **state)
{
    static const struct atls_bytes in = HEX("\xbf\x01\x9f\x05\xff\x02\xf6\xff");
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter map, array;
    enum atls_cbor_type type;
    uint64_t u;

    (void)state;
    assert_true(atls_cbor_enter_map(&r, &map) && map.indefinite);
    assert_true(atls_cbor_more(&r, &map));
    assert_true(atls_cbor_get_uint(&r, &u) && u == 1);
    assert_true(atls_cbor_enter_array(&r, &array) && array.indefinite);
    assert_true(atls_cbor_more(&r, &array));
    assert_true(atls_cbor_get_uint(&r, &u) && u == 5);
    assert_false(atls_cbor_peek(&r, &type));
    assert_false(atls_cbor_skip(&r));
    assert_false(atls_cbor_more(&r, &array));
    assert_false(atls_cbor_more(&r, &array)); /* the outer break is not its own */
    assert_true(atls_cbor_more(&r, &map));
    assert_true(atls_cbor_skip(&r) && atls_cbor_skip(&r));
    assert_false(atls_cbor_more(&r, &map));
    assert_true(atls_reader_done(&r));
    map.indefinite = true;
    assert_false(atls_cbor_more(&r, &map));
}

/* Getters stand on their own: nothing here went through atls_cbor_check. */
static void test_getters_on_unchecked_input(void **state)
{
    static const struct atls_bytes long_bytes = HEX("\x5b\xff\xff\xff\xff\xff\xff\xff\xff");
    static const struct atls_bytes bad_text = HEX("\x61\xff");
    static const struct atls_bytes wide_int = HEX("\x18\x01");
    static const struct atls_bytes huge_array = HEX("\x9a\xff\xff\xff\xff\x00");
    static const struct atls_bytes short_map = HEX("\xa2\x00\x00\x00");
    static const struct atls_bytes indefinite_bytes = HEX("\x5f\x41\x00\xff");
    static const struct atls_bytes empty = {NULL, 0};
    struct atls_cbor_iter it = {5, false};
    struct atls_bytes out;
    struct atls_reader r;
    int64_t v;
    bool yes;

    (void)state;
    r = atls_reader_init(long_bytes);
    assert_false(atls_cbor_get_bytes(&r, &out));
    assert_false(atls_cbor_skip(&r));
    r = atls_reader_init(bad_text);
    assert_false(atls_cbor_get_text(&r, &out));
    r = atls_reader_init(wide_int);
    assert_false(atls_cbor_get_int(&r, &v));
    assert_false(atls_cbor_skip(&r));
    r = atls_reader_init(huge_array);
    assert_false(atls_cbor_enter_array(&r, &it));
    assert_false(atls_cbor_skip(&r));
    r = atls_reader_init(short_map);
    assert_false(atls_cbor_enter_map(&r, &it));
    r = atls_reader_init(indefinite_bytes);
    assert_false(atls_cbor_get_bytes(&r, &out));
    assert_false(atls_cbor_skip(&r));
    assert_int_equal(it.left, 5);
    r = atls_reader_init(empty);
    assert_false(atls_cbor_skip(&r));
    assert_false(atls_cbor_get_item(&r, &out));
    assert_false(atls_cbor_get_null(&r));
    assert_false(atls_cbor_get_bool(&r, &yes));
    assert_false(atls_cbor_more(&r, &it));
    assert_int_equal(r.pos, 0);
}

static void test_write_heads(void **state)
{
    static const struct {
        uint64_t v;
        const char *want;
    } rows[] = {
        {0, "00"},
        {23, "17"},
        {24, "1818"},
        {255, "18ff"},
        {256, "190100"},
        {65535, "19ffff"},
        {65536, "1a00010000"},
        {4294967295, "1affffffff"},
        {4294967296, "1b0000000100000000"},
        {UINT64_MAX, "1bffffffffffffffff"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(16);
        struct atls_buf want = test_unhex(rows[i].want);

        atls_cbor_put_uint(&w, rows[i].v);
        test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&want));
        atls_buf_clear(&want);
        atls_writer_clear(&w);
    }
}

/* The document with shortest heads: everything else stays, and what is refused stays refused. */
static void test_shorten(void **state)
{
    static const struct {
        const char *name, *in, *want; /* want NULL: refused */
        size_t depth;
        enum atls_code code;
    } rows[] = {
        {"shortest already", "a1010203", NULL, 8, ATLS_E_DECODE},
        {"nothing to do", "a10102", "a10102", 8, ATLS_OK},
        {"integers of every width", "85180019000a1a000000171b00000000000000ff3900ff",
         "85000a1718ff38ff", 8, ATLS_OK},
        {"strings", "8258024142790003616263", "8242414263616263", 8, ATLS_OK},
        {"tag", "d80100", "c100", 8, ATLS_OK},
        {"wide tag", "db000000000000001200", "d200", 8, ATLS_OK},
        {"containers", "9a00000001ba00000001180102", "81a10102", 8, ATLS_OK},
        {"floats and simple values as they are", "85f90000fa47c35000fb3ff199999999999af4f8ff",
         "85f90000fa47c35000fb3ff199999999999af4f8ff", 8, ATLS_OK},
        {"keys that differ in width alone", "a20a00180a01", NULL, 8, ATLS_E_DECODE},
        {"text keys that differ in width alone", "a261610078016101", NULL, 8, ATLS_E_DECODE},
        {"composite keys that differ in width alone", "a281010081180101", NULL, 8, ATLS_E_DECODE},
        {"indefinite array", "9f01ff", NULL, 8, ATLS_E_DECODE},
        {"indefinite string", "5f4101ff", NULL, 8, ATLS_E_DECODE},
        {"indefinite map behind a wide integer", "821801bfff", NULL, 8, ATLS_E_DECODE},
        {"trailing byte", "180100", NULL, 8, ATLS_E_DECODE},
        {"truncated head", "1a000000", NULL, 8, ATLS_E_DECODE},
        {"truncated string", "5a0000000241", NULL, 8, ATLS_E_DECODE},
        {"truncated array", "980201", NULL, 8, ATLS_E_DECODE},
        {"length that is all ones", "5bffffffffffffffff", NULL, 8, ATLS_E_DECODE},
        {"text that is no UTF-8", "7801ff", NULL, 8, ATLS_E_DECODE},
        {"reserved head", "1c", NULL, 8, ATLS_E_DECODE},
        {"empty", "", NULL, 8, ATLS_E_DECODE},
        {"as deep as allowed", "81818100", "81818100", 3, ATLS_OK},
        {"deeper than allowed", "8181818100", NULL, 3, ATLS_E_LIMIT},
        {"deeper than allowed, in long heads", "980198019801980100", NULL, 3, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_bytes out = {NULL, 77};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf in = test_unhex(rows[i].in), want;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_cbor_shorten(atls_buf_bytes(&in), rows[i].depth, &arena, &out, &err),
                         rows[i].code, &err);
        if (rows[i].code == ATLS_OK) {
            want = test_unhex(rows[i].want);
            test_assert_bytes(out, atls_buf_bytes(&want));
            assert_int_equal(out.ptr == in.ptr, in.len == out.len);
            atls_buf_clear(&want);
        } else {
            assert_int_equal(out.len, 77);
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        }
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void test_shorten_short_of_memory(void **state)
{
    struct atls_buf in = test_unhex("1a00000001");
    struct atls_arena arena = atls_arena_init(0);
    struct atls_bytes out;

    (void)state;
    assert_int_equal(atls_cbor_shorten(atls_buf_bytes(&in), 8, &arena, &out, NULL), ATLS_E_NOMEM);
    atls_buf_clear(&in);
}

static void test_slices_of_any_width(void **state)
{
    static const struct {
        const char *hex;
        size_t len; /* of the first item; 0: none */
    } rows[] = {
        {"0001", 1},
        {"180001", 2},
        {"9802180119000203", 7},
        {"b80118015801ff00", 7},
        {"d81281180100", 5},
        {"fb3ff199999999999a00", 9},
        {"9f01ff", 0},
        {"8201", 0},
        {"a101", 0},
        {"c1", 0},
        {"5a0000000241", 0},
        {"9bffffffffffffffff00", 0},
        {"bb800000000000000000", 0},
        {"ff", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
        struct atls_cbor_iter it = {.left = 77};
        struct atls_bytes out = {NULL, 77};

        print_message("  %s\n", rows[i].hex);
        assert_int_equal(atls_cbor_get_item_of_any_width(&r, &out), rows[i].len != 0);
        assert_int_equal(out.len, rows[i].len != 0 ? rows[i].len : 77);
        assert_int_equal(r.pos, rows[i].len);
        r.pos = 0;
        if (rows[i].len != 0) {
            const bool is_map = in.ptr[0] >> 5 == ATLS_CBOR_MAP;

            assert_int_equal(atls_cbor_enter_map_of_any_width(&r, &it), is_map);
            assert_int_equal(it.left, is_map ? 1 : 77);
        }
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appendix_a),
        cmocka_unit_test(test_truncated_and_trailing),
        cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_error_position),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_item_limit),
        cmocka_unit_test(test_unsorted_maps),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_indefinite),
        cmocka_unit_test(test_getters_on_unchecked_input),
        cmocka_unit_test(test_write_heads),
        cmocka_unit_test(test_shorten),
        cmocka_unit_test(test_shorten_short_of_memory),
        cmocka_unit_test(test_slices_of_any_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
