#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/der.h"
#include "pki.h"

static void elements_that_are_not_der(void **state)
{
    static const struct {
        const char *name, *hex;
        bool want;
    } rows[] = {
        {"smallest", "0500", true},
        {"short form", "040141", true},
        {"cut in the content", "0402ff", false},
        {"no length", "04", false},
        {"nothing", "", false},
        {"tag number in more bytes", "1f810000", false},
        {"indefinite length", "30800000", false},
        {"reserved length", "04ff00", false},
        {"length in five bytes", "04850000000000", false},
        {"long form of a short length", "04810141", false},
        {"long form with a leading zero", "0482008041", false},
        {"length above the input by far", "0484ffffffff00", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
        struct atls_der e;

        if (atls_der_get_any(&r, &e) != rows[i].want)
            fail_msg("%s", rows[i].name);
        assert_int_equal(r.pos, rows[i].want ? in.len : 0);
        atls_buf_clear(&in);
    }
}

static void integers(void **state)
{
    static const struct {
        const char *name, *hex, *want; /* want NULL: refused */
    } rows[] = {
        {"zero", "020100", ""},
        {"one", "020101", "01"},
        {"top bit behind a zero", "02020080", "80"},
        {"negative", "020180", NULL},
        {"zero too many", "02020001", NULL},
        {"two zeros", "02020000", NULL},
        {"empty", "0200", NULL},
        {"other tag", "030100", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_buf want = test_unhex(rows[i].want == NULL ? "" : rows[i].want);
        struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
        struct atls_bytes v;

        if (atls_der_get_unsigned(&r, &v) != (rows[i].want != NULL))
            fail_msg("%s", rows[i].name);
        if (rows[i].want != NULL) {
            struct atls_writer w = atls_writer_init(64);

            test_assert_bytes(v, atls_buf_bytes(&want));
            atls_der_put_unsigned(&w, v);
            test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
            atls_writer_clear(&w);
        } else {
            assert_int_equal(r.pos, 0);
        }
        atls_buf_clear(&in);
        atls_buf_clear(&want);
    }
}

static void bit_strings_of_whole_bytes(void **state)
{
    static const struct {
        const char *hex;
        bool want;
    } rows[] = {{"030100", true}, {"030200ff", true}, {"030101", false}, {"0300", false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_reader r = atls_reader_init(atls_buf_bytes(&in));
        struct atls_bytes v;

        assert_int_equal(atls_der_get_bit_string(&r, &v), rows[i].want);
        atls_buf_clear(&in);
    }
}

/* Contents on both sides of each width of the length come back. */
static void written_lengths_are_read_back(void **state)
{
    static const size_t lens[] = {0, 1, 127, 128, 255, 256, 65535, 65536};
    uint8_t *content = calloc(1, 65536);

    (void)state;
    assert_non_null(content);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct atls_writer w = atls_writer_init(70000);
        size_t outer = atls_der_open(&w, ATLS_DER_SEQUENCE);
        struct atls_bytes sequence, v;
        struct atls_reader r, inner;

        content[0] = 0xaa;
        atls_der_put(&w, ATLS_DER_OCTET_STRING, atls_bytes_of(content, lens[i]));
        atls_der_close(&w, outer);
        assert_int_equal(w.failed, ATLS_OK);
        r = atls_reader_init(atls_writer_bytes(&w));
        assert_true(atls_der_get(&r, ATLS_DER_SEQUENCE, &sequence));
        assert_true(atls_reader_done(&r));
        inner = atls_reader_init(sequence);
        assert_true(atls_der_get(&inner, ATLS_DER_OCTET_STRING, &v));
        assert_true(atls_reader_done(&inner));
        test_assert_bytes(v, atls_bytes_of(content, lens[i]));
        atls_writer_clear(&w);
    }
    free(content);
}

static void a_full_writer_stays_failed(void **state)
{
    static const uint8_t content[200];
    struct atls_writer w = atls_writer_init(202); /* the long form needs one more */
    size_t mark = atls_der_open(&w, ATLS_DER_OCTET_STRING);
    struct atls_buf out = ATLS_BUF_INIT;

    (void)state;
    atls_put_bytes(&w, atls_bytes_of(content, sizeof content));
    atls_der_close(&w, mark);
    atls_der_close(&w, mark);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_E_LIMIT);
}

static void key_of_a_certificate(void **state)
{
    struct test_identity ca = test_ca("root");
    struct atls_bytes der = atls_buf_bytes(&ca.certificate), spki;
    struct atls_certificate_parts parts;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t longer[4096];

    (void)state;
    test_assert_code(atls_certificate_spki(der, &spki, &err), ATLS_OK, &err);
    test_assert_bytes(spki, atls_key_spki(atls_private_key_public(ca.key)));
    test_assert_code(atls_certificate_walk(der, &parts, &err), ATLS_OK, &err);
    test_assert_bytes(parts.subject, parts.issuer);
    for (size_t len = 0; len < der.len; len++) {
        uint8_t *cut = malloc(len == 0 ? 1 : len);

        assert_non_null(cut);
        memcpy(cut, der.ptr, len);
        test_assert_code(atls_certificate_spki(atls_bytes_of(cut, len), &spki, &err), ATLS_E_DECODE,
                         &err);
        assert_int_equal(err.alert, ATLS_ALERT_BAD_CERTIFICATE);
        free(cut);
    }
    memcpy(longer, der.ptr, der.len);
    longer[der.len] = 0;
    test_assert_code(atls_certificate_spki(atls_bytes_of(longer, der.len + 1), &spki, &err),
                     ATLS_E_DECODE, &err);
    test_identity_clear(&ca);
}

static void certificates_with_a_broken_frame(void **state)
{
    static const struct {
        const char *name, *hex;
        bool want;
    } rows[] = {
        {"smallest frame, version 1",
         "301b"
         "300f"
         "020101"
         "3000"
         "3000"
         "3000"
         "3000"
         "3000"
         "3000"
         "0301"
         "00"
         "0000000000",
         false},
        {"version 1",
         "3015"
         "300d"
         "020101"
         "3000"
         "3000"
         "3000"
         "3000"
         "3000"
         "3000"
         "030100"
         "",
         false},
        {"exact, version 1",
         "3014"
         "300d"
         "020101"
         "30003000300030003000"
         "3000"
         "030100",
         true},
        {"exact, version 3",
         "3019"
         "3012"
         "a003020102"
         "020101"
         "30003000300030003000"
         "3000"
         "030100",
         true},
        {"no signature value",
         "3011"
         "300d"
         "020101"
         "30003000300030003000"
         "3000",
         false},
        {"element behind the signature value",
         "3016"
         "300d"
         "020101"
         "30003000300030003000"
         "3000"
         "030100"
         "0500",
         false},
        {"key is no SEQUENCE",
         "3014"
         "300d"
         "020101"
         "30003000300030000500"
         "3000"
         "030100",
         false},
        {"nothing inside the tbs",
         "3007"
         "3000"
         "3000"
         "030100",
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_bytes spki;

        if ((atls_certificate_spki(atls_buf_bytes(&in), &spki, NULL) == ATLS_OK) != rows[i].want)
            fail_msg("%s", rows[i].name);
        atls_buf_clear(&in);
    }
}

static void padding_of_zeros_is_trimmed(void **state)
{
    static const struct {
        const char *name, *hex;
        size_t want; /* 0: refused */
    } rows[] = {
        {"none",
         "3002"
         "0500",
         4},
        {"two zeros",
         "3002"
         "0500"
         "0000",
         4},
        {"a byte behind the zeros",
         "3002"
         "0500"
         "000001",
         0},
        {"no certificate", "0000", 0},
        {"cut",
         "3003"
         "0500",
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_bytes out = {NULL, 0};
        enum atls_code code = atls_certificate_trim(atls_buf_bytes(&in), &out, NULL);

        if (code != (rows[i].want == 0 ? ATLS_E_DECODE : ATLS_OK) || out.len != rows[i].want)
            fail_msg("%s", rows[i].name);
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_that_are_not_der),
        cmocka_unit_test(integers),
        cmocka_unit_test(bit_strings_of_whole_bytes),
        cmocka_unit_test(written_lengths_are_read_back),
        cmocka_unit_test(a_full_writer_stays_failed),
        cmocka_unit_test(key_of_a_certificate),
        cmocka_unit_test(certificates_with_a_broken_frame),
        cmocka_unit_test(padding_of_zeros_is_trimmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
