#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <atls/ea.h>

#include "wire/tls_msg.h"

static void certificates(void **state)
{
    static const struct {
        const char *name, *hex; /* body */
        enum atls_code want;
        size_t count;
    } rows[] = {
        {"smallest",
         "00"
         "000006"
         "000001"
         "aa"
         "0000",
         ATLS_OK, 1},
        {"context and two entries",
         "02c0c1"
         "00000d"
         "000001"
         "aa"
         "0001"
         "ee"
         "000001"
         "bb"
         "0000",
         ATLS_OK, 2},
        {"empty list",
         "00"
         "000000",
         ATLS_E_DECODE, 0},
        {"empty certificate",
         "00"
         "000005"
         "000000"
         "0000",
         ATLS_E_DECODE, 0},
        {"entry without extensions",
         "00"
         "000004"
         "000001"
         "aa",
         ATLS_E_DECODE, 0},
        {"list longer than the body",
         "00"
         "000007"
         "000001"
         "aa"
         "0000",
         ATLS_E_DECODE, 0},
        {"byte behind the list",
         "00"
         "000006"
         "000001"
         "aa"
         "0000"
         "00",
         ATLS_E_DECODE, 0},
        {"byte behind the last entry",
         "00"
         "000007"
         "000001"
         "aa"
         "0000"
         "00",
         ATLS_E_DECODE, 0},
        {"nothing", "", ATLS_E_DECODE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_tls_certificate c = {.count = 0};
        struct atls_err err = ATLS_ERR_INIT;

        if (atls_tls_certificate_decode(atls_buf_bytes(&in), &c, &err) != rows[i].want)
            fail_msg("%s: %s", rows[i].name, err.message);
        assert_int_equal(c.count, rows[i].count);
        if (rows[i].want != ATLS_OK)
            assert_int_equal(err.alert, ATLS_ALERT_DECODE_ERROR);
        atls_buf_clear(&in);
    }
}

static void certificates_come_back_as_written(void **state)
{
    struct atls_bytes chain[ATLS_CHAIN_MAX + 1];
    const struct atls_bytes context = HEX("context"), block = HEX("\x12\x34\x00\x01\xff");

    (void)state;
    for (size_t i = 0; i < ATLS_CHAIN_MAX + 1; i++)
        chain[i] = atls_bytes_of("0123456789", i + 1);
    for (size_t count = 1; count <= ATLS_CHAIN_MAX + 1; count++) {
        struct atls_writer w = atls_writer_init(1024);
        struct atls_tls_certificate c;
        struct atls_tls_message m;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_reader r;

        atls_tls_put_certificate(&w, context, chain, count, block);
        r = atls_reader_init(atls_writer_bytes(&w));
        assert_true(atls_tls_get_message(&r, &m));
        assert_true(atls_reader_done(&r));
        assert_int_equal(m.type, ATLS_TLS_CERTIFICATE);
        test_assert_bytes(m.whole, atls_writer_bytes(&w));
        if (count > ATLS_CHAIN_MAX) {
            test_assert_code(atls_tls_certificate_decode(m.body, &c, &err), ATLS_E_LIMIT, &err);
            assert_int_equal(err.alert, ATLS_ALERT_BAD_CERTIFICATE);
        } else {
            test_assert_code(atls_tls_certificate_decode(m.body, &c, &err), ATLS_OK, &err);
            assert_int_equal(c.count, count);
            test_assert_bytes(c.context, context);
            for (size_t i = 0; i < count; i++) {
                test_assert_bytes(c.entries[i].certificate, chain[i]);
                test_assert_bytes(c.entries[i].extensions, i == 0 ? block : atls_bytes_of(NULL, 0));
            }
        }
        atls_writer_clear(&w);
    }
}

static void certificate_verify_and_finished(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
    } rows[] = {
        {"smallest",
         "0403"
         "0000",
         ATLS_OK},
        {"with a signature",
         "0403"
         "0002"
         "aabb",
         ATLS_OK},
        {"no scheme", "04", ATLS_E_DECODE},
        {"no length",
         "0403"
         "00",
         ATLS_E_DECODE},
        {"cut",
         "0403"
         "0002"
         "aa",
         ATLS_E_DECODE},
        {"byte behind",
         "0403"
         "0001"
         "aabb",
         ATLS_E_DECODE},
    };
    struct atls_writer w = atls_writer_init(64);
    const struct atls_bytes want = HEX("\x0f\x00\x00\x06\x08\x07\x00\x02\xaa\xbb"
                                       "\x14\x00\x00\x02\xcc\xdd");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_bytes signature;
        uint16_t scheme;

        if (atls_tls_certificate_verify_decode(atls_buf_bytes(&in), &scheme, &signature, NULL) !=
            rows[i].want)
            fail_msg("%s", rows[i].name);
        atls_buf_clear(&in);
    }
    atls_tls_put_certificate_verify(&w, 0x0807, atls_bytes_of("\xaa\xbb", 2));
    atls_tls_put_finished(&w, atls_bytes_of("\xcc\xdd", 2));
    test_assert_bytes(atls_writer_bytes(&w), want);
    atls_writer_clear(&w);
}

static void messages_that_are_cut(void **state)
{
    struct atls_buf in = test_unhex("0b000003"
                                    "aabbcc");
    struct atls_tls_message m;

    (void)state;
    for (size_t len = 0; len <= in.len; len++) {
        struct atls_reader r = atls_reader_init(atls_bytes_of(in.ptr, len));

        assert_int_equal(atls_tls_get_message(&r, &m), len == in.len);
        assert_int_equal(r.pos, len == in.len ? in.len : 0);
    }
    atls_buf_clear(&in);
}

static void blocks_of_extensions(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        enum atls_alert alert;
    } rows[] = {
        {"none", "", ATLS_OK, 0},
        {"two",
         "0001"
         "0000"
         "0002"
         "0001"
         "aa",
         ATLS_OK, 0},
        {"twice the same",
         "0001"
         "0000"
         "0002"
         "0000"
         "0001"
         "0001"
         "aa",
         ATLS_E_PROTOCOL, ATLS_ALERT_ILLEGAL_PARAMETER},
        {"half a type", "00", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"no length", "0001", ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
        {"cut",
         "0001"
         "0002"
         "aa",
         ATLS_E_DECODE, ATLS_ALERT_DECODE_ERROR},
    };
    uint8_t many[4 * (ATLS_TLS_EXTENSIONS_MAX + 1)] = {0};
    struct atls_bytes data;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_tls_check_extensions(atls_buf_bytes(&in), "test", &err);

        if (code != rows[i].want || err.alert != rows[i].alert)
            fail_msg("%s: %s", rows[i].name, err.message);
        if (code == ATLS_OK && in.len != 0) {
            assert_true(atls_tls_find_extension(atls_buf_bytes(&in), 2, &data));
            test_assert_bytes(data, atls_bytes_of("\xaa", 1));
            assert_false(atls_tls_find_extension(atls_buf_bytes(&in), 3, &data));
        }
        atls_buf_clear(&in);
    }
    for (size_t i = 0; i <= ATLS_TLS_EXTENSIONS_MAX; i++)
        many[4 * i + 1] = (uint8_t)i;
    assert_int_equal(
        atls_tls_check_extensions(atls_bytes_of(many, 4 * ATLS_TLS_EXTENSIONS_MAX), "test", NULL),
        ATLS_OK);
    assert_int_equal(atls_tls_check_extensions(atls_bytes_of(many, sizeof many), "test", NULL),
                     ATLS_E_LIMIT);
}

/* The column "TLS 1.3" of the registry, for what we know. */
static void places_of_extensions(void **state)
{
    static const struct {
        uint16_t type;
        bool request, client_request, entry; /* may stand there */
    } rows[] = {
        {ATLS_TLS_SERVER_NAME, false, true, false},
        {ATLS_TLS_STATUS_REQUEST, true, true, true},
        {ATLS_TLS_SIGNATURE_ALGORITHMS, true, true, false},
        {ATLS_TLS_SIGNED_CERTIFICATE_TIMESTAMP, true, true, true},
        {ATLS_TLS_CERTIFICATE_AUTHORITIES, true, true, false},
        {ATLS_TLS_OID_FILTERS, true, true, false},
        {ATLS_TLS_SIGNATURE_ALGORITHMS_CERT, true, true, false},
        {ATLS_EA_CMW_ATTESTATION, true, true, true},
        {0x1234, true, true, true}, /* unknown: not ours to judge */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(atls_tls_extension_misplaced(rows[i].type, ATLS_TLS_IN_REQUEST),
                         !rows[i].request);
        assert_int_equal(atls_tls_extension_misplaced(rows[i].type, ATLS_TLS_IN_CLIENT_REQUEST),
                         !rows[i].client_request);
        assert_int_equal(atls_tls_extension_misplaced(rows[i].type, ATLS_TLS_IN_ENTRY),
                         !rows[i].entry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates),
        cmocka_unit_test(certificates_come_back_as_written),
        cmocka_unit_test(certificate_verify_and_finished),
        cmocka_unit_test(messages_that_are_cut),
        cmocka_unit_test(blocks_of_extensions),
        cmocka_unit_test(places_of_extensions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
