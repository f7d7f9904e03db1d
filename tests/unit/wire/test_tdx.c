#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "wire/tdx.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Offsets in a quote of version 4 (tests/vectors/tdx/v4-uptodate). */
#define BODY      48
#define SIG_LEN   632
#define CERT_TYPE 764
#define CERT_SIZE 766
#define AUTH_SIZE 1218
#define CHAIN     1252 /* type, size, PEM */

/* Decodes from a block of the exact size, so that a read past its end is seen. */
static enum atls_code decode(struct atls_bytes in, struct atls_err *err)
{
    uint8_t *copy = malloc(in.len + (in.len == 0));
    struct atls_tdx_quote q = {.dcap = {.version = 99}};
    enum atls_code code;

    assert_non_null(copy);
    if (in.len != 0)
        memcpy(copy, in.ptr, in.len);
    code = atls_tdx_quote_decode(atls_bytes_of(copy, in.len), &q, err);
    if (code != ATLS_OK)
        assert_int_equal(q.dcap.version, 99); /* written on success only */
    free(copy);
    return code;
}

static void fields_of_version_4(void **state)
{
    struct atls_buf in = test_vector("tdx/v4-uptodate/quote.bin");
    struct atls_tdx_quote q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tdx_quote_decode(atls_buf_bytes(&in), &q, &err), ATLS_OK, &err);
    assert_int_equal(q.dcap.version, 4);
    assert_false(q.body.is_15);
    assert_int_equal(q.dcap.signed_part.len, SIG_LEN);
    assert_ptr_equal(q.dcap.signed_part.ptr, in.ptr);
    assert_ptr_equal(q.body.tcb_svn.ptr, in.ptr + BODY);
    assert_ptr_equal(q.body.mr_seam.ptr, in.ptr + BODY + 16);
    assert_ptr_equal(q.body.mr_signer_seam.ptr, in.ptr + BODY + 64);
    assert_true(q.body.seam_attributes == 0 && q.body.td_attributes == UINT64_C(1) << 28);
    assert_true(q.body.xfam == 0x602e7);
    assert_ptr_equal(q.body.mr_td.ptr, in.ptr + BODY + 136);
    assert_ptr_equal(q.body.mr_config_id.ptr, in.ptr + BODY + 184);
    assert_ptr_equal(q.body.mr_owner.ptr, in.ptr + BODY + 232);
    assert_ptr_equal(q.body.mr_owner_config.ptr, in.ptr + BODY + 280);
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(q.body.rtmr[i].ptr, in.ptr + BODY + 328 + 48 * i);
    assert_ptr_equal(q.body.report_data.ptr, in.ptr + BODY + 520);
    assert_int_equal(q.body.report_data.len, 64);
    assert_int_equal(q.body.tcb_svn2.len + q.body.mr_service_td.len, 0);
    assert_ptr_equal(q.dcap.signature.ptr, in.ptr + SIG_LEN + 4);
    assert_ptr_equal(q.dcap.attestation_key.ptr, in.ptr + SIG_LEN + 68);
    assert_ptr_equal(q.dcap.qe_report.raw.ptr, in.ptr + 770);
    assert_int_equal(q.dcap.qe_report.isv_prod_id, 2);
    assert_ptr_equal(q.dcap.qe_report.mr_enclave.ptr, in.ptr + 770 + 64);
    assert_ptr_equal(q.dcap.qe_report.mr_signer.ptr, in.ptr + 770 + 128);
    assert_ptr_equal(q.dcap.qe_report.attributes.ptr, in.ptr + 770 + 48);
    assert_ptr_equal(q.dcap.qe_report.misc_select.ptr, in.ptr + 770 + 16);
    assert_ptr_equal(q.dcap.qe_report.report_data.ptr, in.ptr + 770 + 320);
    assert_ptr_equal(q.dcap.qe_signature.ptr, in.ptr + 770 + 384);
    assert_int_equal(q.dcap.qe_auth.len, 32);
    assert_int_equal(q.dcap.certification_type, ATLS_DCAP_CERTIFICATION_PCK_CHAIN);
    assert_ptr_equal(q.dcap.certification.ptr, in.ptr + CHAIN + 6);
    assert_int_equal(q.dcap.trailing.len, 70);
    assert_true(atls_bytes_are_zero(q.dcap.trailing));
    atls_buf_clear(&in);
}

static void fields_of_version_5(void **state)
{
    struct atls_buf in = test_vector("tdx/v5-alibaba-servtd/quote.bin");
    struct atls_tdx_quote q;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tdx_quote_decode(atls_buf_bytes(&in), &q, &err), ATLS_OK, &err);
    assert_int_equal(q.dcap.version, 5);
    assert_true(q.body.is_15);
    assert_int_equal(q.dcap.signed_part.len, 54 + 648);
    assert_ptr_equal(q.body.report_data.ptr, in.ptr + 54 + 520);
    assert_ptr_equal(q.body.tcb_svn2.ptr, in.ptr + 54 + 584);
    assert_ptr_equal(q.body.mr_service_td.ptr, in.ptr + 54 + 600);
    assert_int_equal(q.body.mr_service_td.len, 48);
    atls_buf_clear(&in);
}

static void every_truncation_is_refused(void **state)
{
    static const char *const files[] = {"tdx/v4-uptodate/quote.bin",
                                        "tdx/v5-alibaba-servtd/quote.bin"};

    (void)state;
    for (size_t f = 0; f < COUNT(files); f++) {
        struct atls_buf in = test_vector(files[f]);
        struct atls_tdx_quote q;

        assert_int_equal(atls_tdx_quote_decode(atls_buf_bytes(&in), &q, NULL), ATLS_OK);
        for (size_t len = 0; len < in.len - q.dcap.trailing.len; len++) {
            struct atls_err err = ATLS_ERR_INIT;

            assert_int_equal(decode(atls_bytes_of(in.ptr, len), &err), ATLS_E_DECODE);
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        }
        assert_int_equal(decode(atls_bytes_of(in.ptr, in.len - q.dcap.trailing.len), NULL),
                         ATLS_OK);
        atls_buf_clear(&in);
    }
}

static const struct {
    const char *name;
    const char *file;
    size_t at;
    struct atls_bytes bytes;
    enum atls_code code;
    enum atls_reason reason;
} edits[] = {
    {"version 0", NULL, 0, HEX("\0\0"), ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
    {"version 3 of TDX", NULL, 0, HEX("\3"), ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
    {"version 6", NULL, 0, HEX("\6"), ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
    {"version 0x104", NULL, 1, HEX("\1"), ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
    {"key type 1", NULL, 2, HEX("\1"), ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"key type 3", NULL, 2, HEX("\3"), ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"TEE type 0", NULL, 4, HEX("\0"), ATLS_E_EVIDENCE, ATLS_REASON_TEE_TYPE},
    {"TEE type 0x181", NULL, 5, HEX("\1"), ATLS_E_EVIDENCE, ATLS_REASON_TEE_TYPE},
    {"reserved", NULL, 11, HEX("\1"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"vendor", NULL, 27, HEX("\6"), ATLS_E_EVIDENCE, ATLS_REASON_VENDOR_ID},
    {"signature data one byte more, of the padding", NULL, SIG_LEN, HEX("\xcd"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"signature data one byte less", NULL, SIG_LEN, HEX("\xcb"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"signature data of 2^32 - 1", NULL, SIG_LEN, HEX("\xff\xff\xff\xff"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"signature data of 0", NULL, SIG_LEN, HEX("\0\0"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"certification type 5 outside", NULL, CERT_TYPE, HEX("\5"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"certification size 2^32 - 1", NULL, CERT_SIZE, HEX("\xff\xff\xff\xff"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"authentication data of 0xffff", NULL, AUTH_SIZE, HEX("\xff\xff"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"authentication data of 31", NULL, AUTH_SIZE, HEX("\x1f"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"certification type 0 inside", NULL, CHAIN, HEX("\0"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"certification type 6 inside", NULL, CHAIN, HEX("\6"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"chain one byte shorter", NULL, CHAIN + 2, HEX("\x71"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"version 5 with body type 2 of 648", "tdx/v5-alibaba-servtd/quote.bin", 48, HEX("\2"),
     ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"version 5 with body type 1", "tdx/v5-alibaba-servtd/quote.bin", 48, HEX("\1"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"version 5 with body type 4", "tdx/v5-alibaba-servtd/quote.bin", 48, HEX("\4"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"version 5 with body size 649", "tdx/v5-alibaba-servtd/quote.bin", 50, HEX("\x89"),
     ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"version 5 read as 4", "tdx/v5-alibaba-servtd/quote.bin", 0, HEX("\4"), ATLS_E_DECODE,
     ATLS_REASON_MALFORMED},
    {"version 4 read as 5", NULL, 0, HEX("\5"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    {"user data", NULL, 28, HEX("\x77"), ATLS_OK, ATLS_REASON_NONE},
};

static void one_field_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(edits); i++) {
        struct atls_buf in =
            test_vector(edits[i].file != NULL ? edits[i].file : "tdx/v4-uptodate/quote.bin");
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        memcpy(in.ptr + edits[i].at, edits[i].bytes.ptr, edits[i].bytes.len);
        code = decode(atls_buf_bytes(&in), &err);
        if (code != edits[i].code || (code != ATLS_OK && err.reason != edits[i].reason))
            fail_msg("%s: %d, %s", edits[i].name, (int)code, err.message);
        atls_buf_clear(&in);
    }
}

static void an_sgx_quote_is_of_another_tee(void **state)
{
    struct atls_buf in = test_vector("tdx/sgx-v3-not-tdx/quote.bin");
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(decode(atls_buf_bytes(&in), &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_TEE_TYPE);
    atls_buf_clear(&in);
}

static void quotes_are_bounded(void **state)
{
    struct atls_buf in = test_vector("tdx/v4-uptodate/quote.bin");
    struct atls_buf large = {calloc(1, ATLS_DCAP_QUOTE_MAX + 1), ATLS_DCAP_QUOTE_MAX + 1};

    (void)state;
    assert_non_null(large.ptr);
    memcpy(large.ptr, in.ptr, in.len);
    assert_int_equal(decode(atls_buf_bytes(&large), NULL), ATLS_E_LIMIT);
    large.len--;
    assert_int_equal(decode(atls_buf_bytes(&large), NULL), ATLS_OK);
    atls_buf_clear(&in);
    atls_buf_clear(&large);
}

static void sgx_reports_have_one_length(void **state)
{
    uint8_t in[ATLS_SGX_REPORT_LEN + 1] = {0};
    struct atls_sgx_report report;

    (void)state;
    in[256] = 0x34;
    in[257] = 0x12;
    in[258] = 7;
    assert_int_equal(atls_sgx_report_decode(atls_bytes_of(in, ATLS_SGX_REPORT_LEN), &report, NULL),
                     ATLS_OK);
    assert_int_equal(report.isv_prod_id, 0x1234);
    assert_int_equal(report.isv_svn, 7);
    assert_int_equal(
        atls_sgx_report_decode(atls_bytes_of(in, ATLS_SGX_REPORT_LEN - 1), &report, NULL),
        ATLS_E_DECODE);
    assert_int_equal(
        atls_sgx_report_decode(atls_bytes_of(in, ATLS_SGX_REPORT_LEN + 1), &report, NULL),
        ATLS_E_DECODE);
}

/* ---- CCEL ---- */

static void the_table_tells_where_the_log_is(void **state)
{
    struct atls_buf in = test_vector("tdx/v4-gcp-cos113-uptodate/ccel_acpi_table.bin");
    struct atls_ccel_table table;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ccel_table_decode(atls_buf_bytes(&in), &table, &err), ATLS_OK, &err);
    assert_int_equal(table.type, 2);
    assert_int_equal(table.subtype, 0);
    assert_true(table.area_len >= 65536 && table.area_address != 0);
    for (size_t len = 0; len < in.len; len++)
        assert_int_equal(atls_ccel_table_decode(atls_bytes_of(in.ptr, len), &table, NULL),
                         ATLS_E_DECODE);
    in.ptr[0] = 'X';
    assert_int_equal(atls_ccel_table_decode(atls_buf_bytes(&in), &table, NULL), ATLS_E_DECODE);
    atls_buf_clear(&in);
}

static void a_log_of_sha1_is_none(void **state)
{
    static const uint8_t zeros[64] = {0};
    struct atls_bytes log;

    (void)state;
    assert_int_equal(atls_ccel_trim(atls_bytes_of(zeros, sizeof zeros), &log, NULL), ATLS_E_DECODE);
}

/* The log of an area, with what follows it filled with one byte. */
static enum atls_code trim(struct atls_buf *area, size_t log_len, uint8_t fill, size_t *out_len)
{
    struct atls_bytes log = {NULL, 0};
    enum atls_code code;

    memset(area->ptr + log_len, fill, area->len - log_len);
    code = atls_ccel_trim(atls_buf_bytes(area), &log, NULL);
    *out_len = log.len;
    return code;
}

static void padding_of_the_log_is_cut(void **state)
{
    struct atls_buf area = test_vector("tdx/v4-gcp-cos113-uptodate/ccel.bin");
    struct atls_bytes log, again;
    size_t len;

    (void)state;
    assert_int_equal(atls_ccel_trim(atls_buf_bytes(&area), &log, NULL), ATLS_OK);
    assert_true(log.len > 1000 && log.len < area.len);
    assert_ptr_equal(log.ptr, area.ptr);
    assert_int_equal(trim(&area, log.len, 0x00, &len), ATLS_OK);
    assert_int_equal(len, log.len);
    assert_int_equal(trim(&area, log.len, 0xff, &len), ATLS_OK);
    assert_int_equal(len, log.len);
    assert_int_equal(trim(&area, log.len, 0x01, &len), ATLS_E_DECODE);
    memset(area.ptr + log.len, 0, area.len - log.len);
    area.ptr[area.len - 1] = 1; /* something hides behind the padding */
    assert_int_equal(atls_ccel_trim(atls_buf_bytes(&area), &again, NULL), ATLS_E_DECODE);
    assert_int_equal(atls_ccel_trim(log, &again, NULL), ATLS_OK);
    assert_int_equal(again.len, log.len);
    log.len--;
    assert_int_equal(atls_ccel_trim(log, &again, NULL), ATLS_E_DECODE);
    log.len = 0;
    assert_int_equal(atls_ccel_trim(log, &again, NULL), ATLS_E_DECODE);
    atls_buf_clear(&area);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_version_4),
        cmocka_unit_test(fields_of_version_5),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(one_field_wrong),
        cmocka_unit_test(an_sgx_quote_is_of_another_tee),
        cmocka_unit_test(quotes_are_bounded),
        cmocka_unit_test(sgx_reports_have_one_length),
        cmocka_unit_test(the_table_tells_where_the_log_is),
        cmocka_unit_test(a_log_of_sha1_is_none),
        cmocka_unit_test(padding_of_the_log_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
