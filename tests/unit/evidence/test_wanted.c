/* Which documents are to be fetched for evidence, of each form that has any. */
#include "testlib.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "evidence/wanted.h"
#include "wire/hcl.h"
#include "wire/kat.h"
#include "wire/ra_tls.h"
#include "wire/snp.h"
#include "wire/tdx.h"
#include "wire/tsm.h"

/* Of the report, whose bytes stand in its file. */
#define CHIP                                                                                       \
    "c38427a30d4c7af9d96f7a15b97269825a64cb76a2352ffd5d18115d89ad473f"                             \
    "8e8c0bcd9a5d9286612bad4aadfb4426205a3b9e4fea82301135a170e477524e"

/* What was asked for, "name/subject" a line. */
struct heard {
    char text[4096];
    size_t len, count;
    size_t fail_at; /* one of them fails, plus one */
};

static enum atls_code hear(void *arg, const struct atls_collateral_query *query,
                           struct atls_err *err)
{
    struct heard *h = arg;

    assert_true(atls_collateral_subject_valid(query->subject));
    h->len += (size_t)snprintf(h->text + h->len, sizeof h->text - h->len, "%s/%s\n",
                               atls_collateral_row_of(query->kind)->name, query->subject);
    return ++h->count == h->fail_at ? atls_fail(err, ATLS_E_IO, "no more") : ATLS_OK;
}

static struct atls_buf encode(const struct atls_cmw *cmw)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_cmw_encode(cmw, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

/* One record of this type. */
static struct atls_buf record_of(const char *type, const struct atls_buf *value)
{
    const struct atls_cmw cmw = atls_cmw_record(type, atls_buf_bytes(value), 0);

    return encode(&cmw);
}

static struct atls_buf tsm_of(const char *provider, const struct atls_buf *outblob)
{
    const struct atls_tsm_report report = {.provider = atls_bytes_of(provider, strlen(provider)),
                                           .outblob = atls_buf_bytes(outblob)};
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf map = ATLS_BUF_INIT, out;

    atls_tsm_report_put(&w, &report);
    test_assert_code(atls_writer_finish(&w, &map, NULL), ATLS_OK, NULL);
    out = record_of(ATLS_TYPE_TSM_REPORT, &map);
    atls_buf_clear(&map);
    return out;
}

/* TPM evidence with these endorsements; its halves are not looked into. */
static struct atls_buf azure_of(const struct atls_buf *hcl, const struct atls_buf *quote)
{
    const struct atls_cmw half = atls_cmw_record(ATLS_TYPE_TPM_CERTIFY, atls_bytes_of("x", 1), 0),
                          pat = atls_cmw_record(ATLS_TYPE_TPM_QUOTE, atls_bytes_of("x", 1), 0);
    struct atls_cmw_entry entries[2] = {
        {.label = {.is_text = true, .text = atls_bytes_of(ATLS_LABEL_HCL_REPORT, 10)},
         .value = atls_cmw_record(ATLS_TYPE_HCL_REPORT, atls_buf_bytes(hcl), 0)},
        {.label = {.is_text = true, .text = atls_bytes_of(ATLS_LABEL_TDX_QUOTE, 9)}},
    };
    const struct atls_cmw endorsements = {
        .kind = ATLS_CMW_COLLECTION, .entries = entries, .count = quote != NULL ? 2 : 1};
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    if (quote != NULL)
        entries[1].value = atls_cmw_record(ATLS_TYPE_TDX_QUOTE, atls_buf_bytes(quote), 0);
    test_assert_code(atls_bundle_encode(&half, &pat, &endorsements, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

static void expect(struct atls_buf evidence, const char *want)
{
    struct heard h = {.len = 0};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, &err), ATLS_OK,
                     &err);
    assert_string_equal(h.text, want);
    atls_buf_clear(&evidence);
}

static void refuse(struct atls_buf evidence, enum atls_code code)
{
    struct heard h = {.len = 0};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, &err), code, &err);
    atls_buf_clear(&evidence);
}

#define TDX_WANTS(fmspc)                                                                           \
    "tdx-tcb-info/" fmspc "\n"                                                                     \
    "tdx-qe-identity/td\n"                                                                         \
    "tdx-tcb-chain/tcb\n"                                                                          \
    "tdx-pck-crl/platform\n"                                                                       \
    "tdx-pck-crl-chain/platform\n"                                                                 \
    "tdx-root-crl/root\n"

/* Evidence of a certificate: head, quote, tail. */
static struct atls_buf form_of(const char *type, struct atls_bytes head,
                               const struct atls_buf *quote, struct atls_bytes tail)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf value = ATLS_BUF_INIT, out;

    atls_put_bytes(&w, head);
    atls_put_bytes(&w, atls_buf_bytes(quote));
    atls_put_bytes(&w, tail);
    test_assert_code(atls_writer_finish(&w, &value, NULL), ATLS_OK, NULL);
    out = record_of(type, &value);
    atls_buf_clear(&value);
    return out;
}

#define SGX_WANTS                                                                                  \
    "sgx-tcb-info/00a067110000\n"                                                                  \
    "sgx-qe-identity/qe\n"                                                                         \
    "tdx-tcb-chain/tcb\n"                                                                          \
    "tdx-pck-crl/processor\n"                                                                      \
    "tdx-pck-crl-chain/processor\n"                                                                \
    "tdx-root-crl/root\n"

static void evidence_of_certificates(void **state)
{
    struct atls_buf sgx = test_vector("tdx/sgx-v3-not-tdx/quote.bin"),
                    td = test_vector("tdx/v4-uptodate/quote.bin");
    const struct atls_bytes none = {NULL, 0}, claims = HEX("\x41\xa0"),
                            dice_sgx = HEX("\xd9\xea\x60\x82\x59\x11\xf8"),
                            oe_report = HEX("\1\0\0\0\2\0\0\0\xf8\x11\0\0\0\0\0\0"),
                            oe_evidence = HEX("\3\0\0\0\xa3\xa2\x1e\x87\x1b\x4d\x40\x14\xb7\x0a"
                                              "\xa1\x25\xd2\xfb\xcd\x8c\0\0\0\0\xfb\x11\0\0\0"
                                              "\0\0\0"),
                            pem = HEX("key");
    uint8_t dice_td[] = {0xd9, 0xea, 0x60, 0x82, 0x59, (uint8_t)(td.len >> 8), (uint8_t)td.len};

    (void)state;
    assert_int_equal(sgx.len, 0x11f8);
    expect(form_of(ATLS_TYPE_RA_TLS_DICE, dice_sgx, &sgx, claims), SGX_WANTS);
    expect(form_of(ATLS_TYPE_RA_TLS_DICE, atls_bytes_of(dice_td, sizeof dice_td), &td, claims),
           TDX_WANTS("b0c06f000000"));
    expect(form_of(ATLS_TYPE_RA_TLS_SGX_QUOTE, none, &sgx, none), SGX_WANTS);
    expect(form_of(ATLS_TYPE_RA_TLS_OE_REPORT, oe_report, &sgx, none), SGX_WANTS);
    expect(form_of(ATLS_TYPE_RA_TLS_OE_EVIDENCE, oe_evidence, &sgx, pem), SGX_WANTS);
    refuse(form_of(ATLS_TYPE_RA_TLS_DICE, none, &sgx, none), ATLS_E_DECODE);
    refuse(form_of(ATLS_TYPE_RA_TLS_OE_REPORT, none, &sgx, none), ATLS_E_UNSUPPORTED);
    refuse(form_of(ATLS_TYPE_RA_TLS_OE_EVIDENCE, none, &sgx, none), ATLS_E_UNSUPPORTED);
    atls_buf_clear(&sgx);
    atls_buf_clear(&td);
}

static void reports_of_amd(void **state)
{
    struct atls_buf old = test_vector("sev-snp/milan-v2-provisional/report.bin"),
                    vlek = test_vector("sev-snp/aws-vlek/report.bin");
    struct heard h = {.len = 0};
    struct atls_buf evidence = tsm_of(ATLS_TSM_PROVIDER_SNP, &old);

    (void)state;
    /* Which line it is of an old report does not say: both are asked for. */
    assert_int_equal(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, NULL), ATLS_OK);
    assert_int_equal(h.count, 6);
    assert_non_null(strstr(h.text, "snp-vek/milan-" CHIP "-"));
    assert_non_null(strstr(h.text, "snp-vek/genoa-" CHIP "-"));
    assert_non_null(strstr(h.text, "snp-ca/milan\nsnp-crl/milan\n"));
    assert_non_null(strstr(h.text, "snp-ca/genoa\nsnp-crl/genoa\n"));
    for (size_t at = 1; at <= 6; at++) { /* an error ends it, wherever it comes */
        h = (struct heard){.fail_at = at};
        assert_int_equal(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, NULL),
                         ATLS_E_IO);
        assert_int_equal(h.count, at);
    }
    atls_buf_clear(&evidence);

    h = (struct heard){.len = 0};
    evidence = record_of(ATLS_TYPE_SNP_REPORT, &vlek);
    assert_int_equal(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, NULL), ATLS_OK);
    assert_int_equal(h.count, 3);
    assert_non_null(strstr(h.text, "snp-vek/milan-vlek-"));
    atls_buf_clear(&evidence);

    vlek.ptr[0x188] = 0x7f; /* a family that nobody makes */
    refuse(record_of(ATLS_TYPE_SNP_REPORT, &vlek), ATLS_E_EVIDENCE);
    vlek.len--;
    refuse(record_of(ATLS_TYPE_SNP_REPORT, &vlek), ATLS_E_DECODE);
    atls_buf_clear(&old);
    atls_buf_clear(&vlek);
}

static void quotes_of_intel(void **state)
{
    struct atls_buf quote = test_vector("tdx/v4-uptodate/quote.bin");

    (void)state;
    expect(tsm_of(ATLS_TSM_PROVIDER_TDX, &quote), TDX_WANTS("b0c06f000000"));
    expect(record_of(ATLS_TYPE_TDX_QUOTE, &quote), TDX_WANTS("b0c06f000000"));
    quote.len = 600;
    refuse(record_of(ATLS_TYPE_TDX_QUOTE, &quote), ATLS_E_DECODE);
    atls_buf_clear(&quote);
}

static void virtual_tpms_of_azure(void **state)
{
    struct atls_buf genoa = test_vector("sev-snp/azure-genoa/hcl_report.bin"),
                    tdx = test_vector("tdx/azure-tdx-vtpm/hcl_report.bin"),
                    quote = test_vector("tdx/azure-tdx-vtpm/quote.bin");
    struct heard h = {.len = 0};
    struct atls_buf evidence = azure_of(&genoa, NULL);

    (void)state;
    assert_int_equal(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, NULL), ATLS_OK);
    assert_int_equal(h.count, 3);
    assert_non_null(strstr(h.text, "snp-crl/genoa\n"));
    atls_buf_clear(&evidence);
    expect(azure_of(&tdx, NULL), ""); /* without its quote nothing says which platform it is */
    h = (struct heard){.len = 0};
    evidence = azure_of(&tdx, &quote);
    assert_int_equal(atls_evidence_wanted(atls_buf_bytes(&evidence), hear, &h, NULL), ATLS_OK);
    assert_int_equal(h.count, 6);
    atls_buf_clear(&evidence);
    genoa.ptr[0] ^= 1;
    refuse(azure_of(&genoa, NULL), ATLS_E_DECODE);
    atls_buf_clear(&genoa);
    atls_buf_clear(&tdx);
    atls_buf_clear(&quote);
}

static void what_needs_nothing(void **state)
{
    struct atls_buf token = test_vector("cca/tf-rmm/token.cbor"), bytes = ATLS_BUF_INIT;

    (void)state;
    expect(record_of("application/eat-collection", &token), "");
    expect(tsm_of(ATLS_TSM_PROVIDER_CCA, &token), "");
    test_assert_code(atls_buf_copy(&bytes, atls_bytes_of("\xff", 1), NULL), ATLS_OK, NULL);
    refuse(record_of(ATLS_TYPE_TSM_REPORT, &bytes), ATLS_E_DECODE);
    refuse(bytes, ATLS_E_DECODE);
    atls_buf_clear(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_of_amd),     cmocka_unit_test(evidence_of_certificates),
        cmocka_unit_test(quotes_of_intel),    cmocka_unit_test(virtual_tpms_of_azure),
        cmocka_unit_test(what_needs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
