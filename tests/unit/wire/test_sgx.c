#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/sgx.h"

#define QUOTE "tdx/sgx-v3-not-tdx/quote.bin"
#define BODY  48

static void fields_of_version_3(void **state)
{
    struct atls_buf in = test_vector(QUOTE);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sgx_quote q;

    (void)state;
    test_assert_code(atls_sgx_quote_decode(atls_buf_bytes(&in), &q, &err), ATLS_OK, &err);
    assert_int_equal(q.dcap.version, 3);
    assert_int_equal(q.dcap.signed_part.len, BODY + ATLS_SGX_REPORT_LEN);
    assert_ptr_equal(q.report.raw.ptr, in.ptr + BODY);
    assert_ptr_equal(q.report.cpu_svn.ptr, in.ptr + BODY);
    assert_ptr_equal(q.report.misc_select.ptr, in.ptr + BODY + 16);
    assert_ptr_equal(q.report.isv_ext_prod_id.ptr, in.ptr + BODY + 32);
    assert_ptr_equal(q.report.attributes.ptr, in.ptr + BODY + 48);
    assert_ptr_equal(q.report.mr_enclave.ptr, in.ptr + BODY + 64);
    assert_ptr_equal(q.report.mr_signer.ptr, in.ptr + BODY + 128);
    assert_ptr_equal(q.report.config_id.ptr, in.ptr + BODY + 192);
    assert_int_equal(q.report.isv_prod_id, in.ptr[BODY + 256] | in.ptr[BODY + 257] << 8);
    assert_int_equal(q.report.isv_svn, in.ptr[BODY + 258] | in.ptr[BODY + 259] << 8);
    assert_int_equal(q.report.config_svn, in.ptr[BODY + 260] | in.ptr[BODY + 261] << 8);
    assert_ptr_equal(q.report.isv_family_id.ptr, in.ptr + BODY + 304);
    assert_ptr_equal(q.report.report_data.ptr, in.ptr + BODY + 320);
    assert_true(q.flags == 5 && q.misc_select == 0);
    assert_int_equal(q.xfrm, in.ptr[BODY + 56] | in.ptr[BODY + 57] << 8);
    assert_ptr_equal(q.dcap.signature.ptr, in.ptr + BODY + ATLS_SGX_REPORT_LEN + 4);
    assert_ptr_equal(q.dcap.qe_report.raw.ptr, q.dcap.attestation_key.ptr + 64);
    assert_int_equal(q.dcap.certification_type, ATLS_DCAP_CERTIFICATION_PCK_CHAIN);
    assert_true(atls_dcap_quote_is(atls_buf_bytes(&in), ATLS_DCAP_SGX));
    assert_false(atls_dcap_quote_is(atls_buf_bytes(&in), ATLS_DCAP_TDX));
    assert_false(atls_dcap_quote_is(atls_bytes_of(in.ptr, BODY - 1), ATLS_DCAP_SGX));
    atls_buf_clear(&in);
}

static void every_truncation_is_refused(void **state)
{
    struct atls_buf in = test_vector(QUOTE);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sgx_quote q;
    size_t whole;

    (void)state;
    assert_int_equal(atls_sgx_quote_decode(atls_buf_bytes(&in), &q, NULL), ATLS_OK);
    whole = in.len - q.dcap.trailing.len;
    for (size_t len = 0; len < whole; len++) {
        test_assert_code(atls_sgx_quote_decode(atls_bytes_of(in.ptr, len), &q, &err), ATLS_E_DECODE,
                         &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
    assert_int_equal(atls_sgx_quote_decode(atls_bytes_of(in.ptr, whole), &q, NULL), ATLS_OK);
    assert_int_equal(q.dcap.trailing.len, 0);
    atls_buf_clear(&in);
}

static void one_field_wrong(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        uint8_t value;
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"version 2", 0, 2, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {"version 4 of another layout", 0, 4, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"version 5", 0, 5, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {"version 6", 0, 6, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
        {"key of P-384", 2, 3, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
        {"TDX", 4, 0x81, ATLS_E_EVIDENCE, ATLS_REASON_TEE_TYPE},
        {"another vendor", 12, 0, ATLS_E_EVIDENCE, ATLS_REASON_VENDOR_ID},
        {"signature data of 2^32 - 1", BODY + ATLS_SGX_REPORT_LEN + 3, 0xff, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(QUOTE);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_sgx_quote q;

        print_message("%s\n", rows[i].name);
        in.ptr[rows[i].at] = rows[i].value;
        test_assert_code(atls_sgx_quote_decode(atls_buf_bytes(&in), &q, &err), rows[i].code, &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&in);
    }
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(atls_dcap_tee_name(ATLS_DCAP_SGX), "SGX");
    assert_string_equal(atls_dcap_tee_name(ATLS_DCAP_TDX), "TDX");
}

static void too_long(void **state)
{
    uint8_t *large = calloc(1, ATLS_DCAP_QUOTE_MAX + 1);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sgx_quote q;

    (void)state;
    assert_non_null(large);
    test_assert_code(atls_sgx_quote_decode(atls_bytes_of(large, ATLS_DCAP_QUOTE_MAX + 1), &q, &err),
                     ATLS_E_LIMIT, &err);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_version_3),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(one_field_wrong),
        cmocka_unit_test(names),
        cmocka_unit_test(too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
