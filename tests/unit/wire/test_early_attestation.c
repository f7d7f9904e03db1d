#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "wire/early_attestation.h"

#define CF        "00000107"         /* content-format 263 */
#define IDENTITY  "01000576722e6578" /* "vr.ex" */
#define MEDIA_ONE "00010003612f62"   /* "a/b" */

struct row {
    const char *name, *hex;
    enum atls_code want;
};

static void malformed_if_not_ok(const struct row *row, enum atls_code code,
                                const struct atls_err *err)
{
    if (code != row->want)
        fail_msg("%s: code %d, %s", row->name, (int)code, err->message);
    if (row->want == ATLS_OK)
        return;
    if (err->reason != ATLS_REASON_MALFORMED || err->alert != ATLS_ALERT_DECODE_ERROR)
        fail_msg("%s: reason %s, alert %d", row->name, atls_reason_name(err->reason),
                 (int)err->alert);
}

static void offers(void **state)
{
    static const struct row rows[] = {
        {"smallest: both empty", "00000000", ATLS_OK},
        {"server alone", "0004" CF "0000", ATLS_OK},
        {"client alone", "00000004" CF, ATLS_OK},
        {"every kind on both sides", "0013" CF MEDIA_ONE IDENTITY "0013" IDENTITY MEDIA_ONE CF,
         ATLS_OK},
        {"the same twice", "0008" CF CF "0000", ATLS_OK},
        {"nothing", "", ATLS_E_DECODE},
        {"half a length", "00", ATLS_E_DECODE},
        {"one vector", "0000", ATLS_E_DECODE},
        {"byte behind", "0000000000", ATLS_E_DECODE},
        {"first vector cut", "0005" CF, ATLS_E_DECODE},
        {"second vector cut", "00000005" CF, ATLS_E_DECODE},
        {"scheme cut by its vector",
         "0003000001"
         "0000",
         ATLS_E_DECODE},
        {"byte after a scheme",
         "0005" CF "00"
         "0000",
         ATLS_E_DECODE},
        {"third kind of shown",
         "0004"
         "02000107"
         "0000",
         ATLS_E_DECODE},
        {"third kind of name",
         "0004"
         "00020107"
         "0000",
         ATLS_E_DECODE},
        {"media type of no bytes",
         "0004"
         "00010000"
         "0000",
         ATLS_E_DECODE},
        {"media type that is none",
         "0007"
         "00010003616262"
         "0000",
         ATLS_E_DECODE},
        {"media type that is no UTF-8",
         "000c"
         "00010008612f623b633d22ff"
         "0000",
         ATLS_E_DECODE},
        {"identity of no bytes",
         "0003"
         "010000"
         "0000",
         ATLS_E_DECODE},
        {"malformed client scheme",
         "0000"
         "0003"
         "010000",
         ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_early_offer offer = {{NULL, 7}, {NULL, 7}};
        struct atls_err err = ATLS_ERR_INIT;

        malformed_if_not_ok(&rows[i], atls_early_offer_decode(atls_buf_bytes(&in), &offer, &err),
                            &err);
        if (rows[i].want != ATLS_OK) {
            assert_int_equal(offer.server.len, 7);
        } else {
            struct atls_writer w = atls_writer_init(in.len);

            atls_early_offer_put(&w, &offer);
            test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
            atls_writer_clear(&w);
        }
        atls_buf_clear(&in);
    }
}

static void every_truncation_of_an_offer(void **state)
{
    struct atls_buf in = test_unhex("0013" CF MEDIA_ONE IDENTITY "0013" IDENTITY MEDIA_ONE CF);
    struct atls_early_offer offer;

    (void)state;
    for (size_t len = 0; len < in.len; len++)
        assert_int_equal(atls_early_offer_decode(atls_bytes_of(in.ptr, len), &offer, NULL),
                         ATLS_E_DECODE);
    atls_buf_clear(&in);
}

static void schemes_of_a_vector(void **state)
{
    struct atls_buf in = test_unhex(CF MEDIA_ONE IDENTITY);
    struct atls_bytes rest = atls_buf_bytes(&in), all = rest;
    struct atls_early_scheme s;

    (void)state;
    assert_true(atls_early_next(&rest, &s));
    assert_int_equal(s.kind, ATLS_EARLY_CONTENT_FORMAT);
    assert_int_equal(s.content_format, 263);
    assert_true(atls_early_next(&rest, &s));
    assert_int_equal(s.kind, ATLS_EARLY_MEDIA_TYPE);
    assert_true(atls_bytes_equal_text(s.text, "a/b"));
    assert_true(atls_early_contains(all, s.whole));
    assert_false(atls_early_contains(all, atls_bytes_of(s.whole.ptr, s.whole.len - 1)));
    assert_true(atls_early_next(&rest, &s));
    assert_int_equal(s.kind, ATLS_EARLY_RESULT);
    assert_true(atls_bytes_equal_text(s.text, "vr.ex"));
    assert_int_equal(rest.len, 0);
    assert_false(atls_early_next(&rest, &s));
    assert_false(atls_early_contains(rest, s.whole));
    atls_buf_clear(&in);
}

static void number_of_schemes(void **state)
{
    uint8_t in[2 + 4 * (ATLS_EARLY_SCHEMES_MAX + 1) + 2] = {0};
    struct atls_early_offer offer;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    in[0] = 4 * ATLS_EARLY_SCHEMES_MAX >> 8;
    in[1] = (4 * ATLS_EARLY_SCHEMES_MAX) & 0xff;
    test_assert_code(atls_early_offer_decode(atls_bytes_of(in, sizeof in - 4), &offer, &err),
                     ATLS_OK, &err);
    assert_int_equal(offer.server.len, 4 * ATLS_EARLY_SCHEMES_MAX);
    in[0] = 4 * (ATLS_EARLY_SCHEMES_MAX + 1) >> 8;
    in[1] = (4 * (ATLS_EARLY_SCHEMES_MAX + 1)) & 0xff;
    test_assert_code(atls_early_offer_decode(atls_bytes_of(in, sizeof in), &offer, &err),
                     ATLS_E_LIMIT, &err);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    assert_int_equal(err.alert, ATLS_ALERT_DECODE_ERROR);
}

static void choices(void **state)
{
    static const struct row rows[] = {
        {"content-format", CF, ATLS_OK},
        {"media type", MEDIA_ONE, ATLS_OK},
        {"identity", IDENTITY, ATLS_OK},
        {"none", "", ATLS_E_DECODE},
        {"kind alone", "00", ATLS_E_DECODE},
        {"content-format cut", "000001", ATLS_E_DECODE},
        {"media type cut", "00010003612f", ATLS_E_DECODE},
        {"identity cut", "01000576722e65", ATLS_E_DECODE},
        {"two schemes", CF CF, ATLS_E_DECODE},
        {"byte behind", CF "00", ATLS_E_DECODE},
        {"with a vector's length", "0004" CF, ATLS_E_DECODE},
        {"media type that is none", "0001000361622f", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_early_scheme s = {.content_format = 7};
        struct atls_err err = ATLS_ERR_INIT;

        malformed_if_not_ok(&rows[i], atls_early_choice_decode(atls_buf_bytes(&in), &s, &err),
                            &err);
        if (rows[i].want != ATLS_OK) {
            assert_int_equal(s.content_format, 7);
        } else {
            struct atls_writer w = atls_writer_init(64);

            test_assert_bytes(s.whole, atls_buf_bytes(&in));
            atls_early_scheme_put(&w, &s);
            test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
            atls_writer_clear(&w);
        }
        atls_buf_clear(&in);
    }
}

static void the_longest_scheme(void **state)
{
    struct atls_early_scheme s = {.kind = ATLS_EARLY_RESULT}, got;
    uint8_t *text = malloc(0x10000);
    struct atls_writer w = atls_writer_init(0x20000);

    (void)state;
    if (text == NULL)
        abort();
    memset(text, 'v', 0x10000);
    s.text = atls_bytes_of(text, 0xffff);
    atls_early_scheme_put(&w, &s);
    assert_int_equal(w.failed, ATLS_OK);
    assert_int_equal(atls_early_choice_decode(atls_writer_bytes(&w), &got, NULL), ATLS_OK);
    test_assert_bytes(got.text, s.text);
    s.text.len++;
    atls_early_scheme_put(&w, &s);
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
    free(text);
}

static void schemes_that_no_decoder_gives(void **state)
{
    static const struct atls_early_scheme rows[] = {
        {.kind = ATLS_EARLY_RESULT},
        {.kind = ATLS_EARLY_MEDIA_TYPE},
        {.kind = ATLS_EARLY_MEDIA_TYPE, .text = HEX("text")},
        {.kind = ATLS_EARLY_MEDIA_TYPE, .text = HEX("a/b;c=\"\xff\"")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(64);

        atls_early_scheme_put(&w, &rows[i]);
        assert_int_equal(w.failed, ATLS_E_LIMIT);
        atls_early_scheme_put(&w, &rows[i]); /* the first failure stays */
        assert_int_equal(w.failed, ATLS_E_LIMIT);
        atls_writer_clear(&w);
    }
}

static void cmws(void **state)
{
    static const struct row rows[] = {
        {"smallest", "000001aa", ATLS_OK},
        {"two bytes", "000002aabb", ATLS_OK},
        {"nothing", "", ATLS_E_DECODE},
        {"length cut", "0000", ATLS_E_DECODE},
        {"empty", "000000", ATLS_E_DECODE},
        {"cut", "000002aa", ATLS_E_DECODE},
        {"byte behind", "000001aabb", ATLS_E_DECODE},
        {"two-byte length", "0001aa", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_bytes cmw = {NULL, 7};
        struct atls_err err = ATLS_ERR_INIT;

        malformed_if_not_ok(&rows[i], atls_early_cmw_decode(atls_buf_bytes(&in), &cmw, &err), &err);
        assert_int_equal(cmw.len, rows[i].want == ATLS_OK ? in.len - 3 : 7);
        atls_buf_clear(&in);
    }
}

static void the_largest_cmw(void **state)
{
    uint8_t *in = calloc(1, 3 + ATLS_EARLY_CMW_MAX + 1);
    struct atls_writer w = atls_writer_init(0x20000);
    struct atls_bytes cmw;

    (void)state;
    if (in == NULL)
        abort();
    for (size_t more = 0; more < 2; more++) {
        const size_t len = ATLS_EARLY_CMW_MAX + more;
        const enum atls_code want = more == 0 ? ATLS_OK : ATLS_E_DECODE;

        in[1] = (uint8_t)(len >> 8);
        in[2] = (uint8_t)len;
        assert_int_equal(atls_early_cmw_decode(atls_bytes_of(in, 3 + len), &cmw, NULL), want);
        atls_early_cmw_put(&w, atls_bytes_of(in, len));
        assert_int_equal(w.failed, more == 0 ? ATLS_OK : ATLS_E_LIMIT);
        if (more == 0)
            assert_int_equal(w.len, 65535 - 4);
    }
    atls_writer_clear(&w);
    w = atls_writer_init(64);
    atls_early_cmw_put(&w, atls_bytes_of(NULL, 0));
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_early_cmw_put(&w, atls_bytes_of(NULL, 0));
    assert_int_equal(w.failed, ATLS_E_LIMIT);
    atls_writer_clear(&w);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers),
        cmocka_unit_test(every_truncation_of_an_offer),
        cmocka_unit_test(schemes_of_a_vector),
        cmocka_unit_test(number_of_schemes),
        cmocka_unit_test(choices),
        cmocka_unit_test(the_longest_scheme),
        cmocka_unit_test(schemes_that_no_decoder_gives),
        cmocka_unit_test(cmws),
        cmocka_unit_test(the_largest_cmw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
