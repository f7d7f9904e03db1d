/* Recorded reports of real processors: each case of tests/vectors/sev-snp has its verdict, and what
 * is changed in a good one is refused for the reason that its README names. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/err.h"
#include "crypto/certificate.h"
#include "evidence/claims.h"
#include "evidence/snp.h"
#include "evidence/snp_vek.h"

#define HCL_REPORT_AT 32
#define HCL_JSON_AT   1236
#define HCL_JSON_LEN  1232 /* u32, little-endian */

struct vector {
    struct atls_buf report, vek;
    uint8_t report_data[64];
    struct atls_certificate_set *anchors;
    int64_t time_s;
};

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct vector *v = arg;

    (void)err;
    *out = atls_certificate_set_ref(v->anchors);
    return ATLS_OK;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static struct atls_buf file_of(const char *path)
{
    char whole[256];

    snprintf(whole, sizeof whole, "sev-snp/%s", path);
    return test_vector(whole);
}

/* "2024-06-01T00:00:00Z", from 2001 to 2099: days by the rule of March, as years end in February.
 */
static int64_t time_of(const char *text)
{
    int year, month, day;
    int64_t days;

    assert_int_equal(sscanf(text, "%4d-%2d-%2dT", &year, &month, &day), 3);
    if (month < 3) {
        year--;
        month += 12;
    }
    days = (int64_t)(year - 2000) * 365 + (year - 2000) / 4 + (153 * (month - 3) + 2) / 5 + day - 1;
    return (days + 11017) * 86400; /* 2000-03-01 */
}

static struct atls_certificate_set *anchors_of(const char *path)
{
    struct atls_certificate_set *set = NULL;
    struct atls_certificate *list[4];
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf text = file_of(path);
    size_t count = 0;

    test_assert_code(atls_certificates_parse(atls_buf_bytes(&text), list, 4, &count, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_certificate_set_new(&set, &err), ATLS_OK, &err);
    for (size_t i = 0; i < count; i++) {
        test_assert_code(atls_certificate_set_add(set, list[i], &err), ATLS_OK, &err);
        atls_certificate_unref(list[i]);
    }
    atls_buf_clear(&text);
    return set;
}

/* The hardware's report in a paravisor's file, and the digest that its report data must be. */
static void take_hcl(const char *path, struct vector *v)
{
    struct atls_buf hcl = file_of(path);
    uint8_t digest[ATLS_HASH_MAX];
    size_t len;

    assert_true(hcl.len > HCL_JSON_AT);
    len = (size_t)hcl.ptr[HCL_JSON_LEN] | (size_t)hcl.ptr[HCL_JSON_LEN + 1] << 8;
    assert_true(len <= hcl.len - HCL_JSON_AT);
    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(hcl.ptr + HCL_JSON_AT, len), digest, NULL),
        ATLS_OK);
    memcpy(v->report_data, digest, 32);
    assert_int_equal(atls_buf_copy(&v->report,
                                   atls_bytes_of(hcl.ptr + HCL_REPORT_AT, ATLS_SNP_REPORT_LEN),
                                   NULL),
                     ATLS_OK);
    atls_buf_clear(&hcl);
}

static struct vector load(const json_t *one)
{
    const json_t *files = json_object_get(one, "files");
    struct vector v = {.time_s = time_of(text_of(one, "verify_time"))};
    struct atls_buf data;

    if (text_of(files, "hcl") != NULL)
        take_hcl(text_of(files, "hcl"), &v);
    else if (text_of(files, "report") != NULL) {
        v.report = file_of(text_of(files, "report"));
        memcpy(v.report_data, v.report.ptr + 0x50, 64);
    }
    if (text_of(one, "report_data") != NULL) {
        data = test_unhex(text_of(one, "report_data"));
        assert_int_equal(data.len, 64);
        memcpy(v.report_data, data.ptr, 64);
        atls_buf_clear(&data);
    }
    v.vek = file_of(text_of(files, "vek"));
    v.anchors = anchors_of(text_of(files, "ca"));
    return v;
}

static void clear(struct vector *v)
{
    atls_buf_clear(&v->report);
    atls_buf_clear(&v->vek);
    atls_certificate_set_unref(v->anchors);
}

/* The default policy of the vectors: any VMPL, no revocation list. */
static struct atls_rules lax_rules(const struct vector *v)
{
    struct atls_rules rules = {.snp = {.crl_optional = true}};

    rules.snp.vmpl =
        (struct atls_rule_number){true, v->report.len > 0x30 ? v->report.ptr[0x30] : 0};
    return rules;
}

static enum atls_code verify(struct vector *v, const struct atls_rules *rules,
                             struct atls_snp_result *out, struct atls_err *err)
{
    const struct atls_endorsement_source source = {.arg = v, .tee_anchors = tee_anchors};
    const struct atls_evidence_options options = {.rules = rules};
    const struct atls_evidence_request request = {
        .source = &source, .time_s = v->time_s, .options = &options};
    const struct atls_snp_check check = {
        .report = atls_buf_bytes(&v->report),
        .vek = atls_buf_bytes(&v->vek),
        .report_data = atls_bytes_of(v->report_data, 64),
        .request = &request,
    };

    return atls_snp_verify(&check, out, err);
}

static void check_case(const json_t *one)
{
    const char *verdict = text_of(one, "verdict"), *error = text_of(one, "error");
    struct vector v = load(one);
    struct atls_rules rules = lax_rules(&v);
    struct atls_snp_result result = {.vek = NULL};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = verify(&v, &rules, &result, &err);

    print_message("  %s: %s\n", text_of(one, "id"),
                  code == ATLS_OK ? "accepted" : atls_reason_name(err.reason));
    if (strcmp(verdict, "accept") == 0) {
        test_assert_code(code, ATLS_OK, &err);
    } else {
        assert_int_not_equal(code, ATLS_OK);
        assert_string_equal(atls_reason_name(err.reason), error);
    }
    atls_snp_result_clear(&result);
    clear(&v);
}

/* A certificate without report: what it says, and that its chain holds. */
static void check_certificate(const json_t *one)
{
    struct vector v = load(one);
    const struct atls_endorsement_source source = {.arg = &v};
    const struct atls_rules rules = lax_rules(&v);
    const struct atls_evidence_options options = {.rules = &rules};
    const struct atls_evidence_request request = {
        .source = &source, .time_s = v.time_s, .options = &options};
    const struct atls_snp_check check = {.request = &request};
    const struct atls_snp_offer offer = {.check = &check};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_snp_vek *vek = NULL;

    test_assert_code(atls_snp_vek_parse(atls_buf_bytes(&v.vek), ATLS_SNP_VCEK, &vek, &err), ATLS_OK,
                     &err);
    assert_int_equal(vek->line, ATLS_SNP_TURIN);
    test_assert_bytes(vek->hw_id, atls_bytes_of("\x1e\x55\x0a\x8e\xe5\xcf\x9f\x4d", 8));
    test_assert_bytes(vek->product, atls_bytes_of("Turin", 5));
    assert_true(vek->tcb.complete);
    assert_false(vek->tcb.unused_set);
    test_assert_code(atls_snp_chain_verify(&offer, v.anchors, vek, &err), ATLS_OK, &err);
    assert_false(vek->revocation_checked);
    print_message("  %s: Turin, FMC %u\n", text_of(one, "id"), vek->tcb.tcb.fmc);
    atls_snp_vek_unref(vek);
    clear(&v);
}

static json_t *cases(void)
{
    struct atls_buf text = test_vector("sev-snp/cases.json");
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);

    assert_non_null(root);
    atls_buf_clear(&text);
    return root;
}

static void every_case_has_its_verdict(void **state)
{
    json_t *root = cases(), *one;
    size_t i, seen = 0;

    (void)state;
    json_array_foreach(json_object_get(root, "cases"), i, one)
    {
        if (strcmp(text_of(one, "verdict"), "certificate-parse-only") == 0)
            check_certificate(one);
        else
            check_case(one);
        seen++;
    }
    assert_int_equal(seen, 13);
    json_decref(root);
}

static struct vector load_id(const char *id)
{
    json_t *root = cases(), *one;
    struct vector v = {.time_s = 0};
    size_t i;

    json_array_foreach(json_object_get(root, "cases"), i,
                       one) if (strcmp(text_of(one, "id"), id) == 0) v = load(one);
    assert_non_null(v.anchors);
    json_decref(root);
    return v;
}

/* ---- what the README says of changes ---- */

static void refused(struct vector *v, const char *reason)
{
    struct atls_rules rules = {.snp = {.crl_optional = true}};
    struct atls_snp_result result;
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_not_equal(verify(v, &rules, &result, &err), ATLS_OK);
    assert_string_equal(atls_reason_name(err.reason), reason);
}

static void changes_to_a_good_report(void **state)
{
    static const struct {
        size_t at;
        uint8_t flip, set;
        const char *reason;
    } rows[] = {
        {0x050, 1, 0, "report-signature"},
        {0x2a0, 1, 0, "report-signature"},
        {0x2d0, 0, 1, "malformed"},
        {0x330, 0, 1, "malformed"},
        {0x000, 0, 1, "unsupported-version"},
        {0x000, 0, 6, "unsupported-version"},
        {0x034, 0, 2, "unsupported-algorithm"},
        {0x048, 0, 0x1c, "unsigned-report"},
        {0x048, 0, 0x08, "malformed"},
    };
    struct vector v = load_id("milan-v2-provisional");
    const size_t whole = v.report.len;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint8_t was = v.report.ptr[rows[i].at];

        v.report.ptr[rows[i].at] = rows[i].flip != 0 ? was ^ rows[i].flip : rows[i].set;
        refused(&v, rows[i].reason);
        v.report.ptr[rows[i].at] = was;
    }
    for (v.report.len = 0; v.report.len < whole; v.report.len++)
        refused(&v, "malformed");
    v.report_data[63] ^= 1;
    refused(&v, "report-data-mismatch");
    v.report_data[63] ^= 1;
    v.time_s = time_of("2031-01-01T00:00:00Z");
    refused(&v, "certificate-expired");
    v.time_s = time_of("2023-01-01T00:00:00Z");
    refused(&v, "certificate-not-yet-valid");
    clear(&v);
}

static void another_lines_authorities(void **state)
{
    struct vector v = load_id("milan-v2-provisional");

    (void)state;
    atls_certificate_set_unref(v.anchors);
    v.anchors = anchors_of("roots/ask_ark_genoa.pem");
    refused(&v, "chain-issuer");
    clear(&v);
}

static void rules_on_recorded_reports(void **state)
{
    struct vector v = load_id("milan-v2-provisional");
    struct atls_rules rules = {.snp = {.crl_optional = true, .refuse_provisional = true}};
    struct atls_snp_result result;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_not_equal(verify(&v, &rules, &result, &err), ATLS_OK);
    assert_int_equal(err.reason, ATLS_REASON_PROVISIONAL_FIRMWARE);
    rules = (struct atls_rules){.snp = {.refuse_provisional = false}};
    assert_int_not_equal(verify(&v, &rules, &result, &err), ATLS_OK);
    assert_int_equal(err.reason, ATLS_REASON_CRL_UNAVAILABLE);
    clear(&v);
    v = load_id("aws-vlek");
    refused(&v, "vmpl");
    clear(&v);
}

/* Every byte of a recorded report, and of its certificate, changed once. */
static void no_byte_may_change(void **state)
{
    static const char *const ids[] = {"milan-v2-provisional", "azure-genoa", "aws-vlek"};
    size_t changed = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vector v = load_id(ids[i]);
        struct atls_rules rules = lax_rules(&v);
        struct atls_snp_result result;

        for (size_t at = 0; at < v.report.len; at++, changed++) {
            v.report.ptr[at] ^= (uint8_t)(1 << (at % 8));
            assert_int_not_equal(verify(&v, &rules, &result, NULL), ATLS_OK);
            v.report.ptr[at] ^= (uint8_t)(1 << (at % 8));
        }
        for (size_t at = 0; i != 1 && at < v.vek.len; at++, changed++) {
            v.vek.ptr[at] ^= (uint8_t)(1 << (at % 8));
            assert_int_not_equal(verify(&v, &rules, &result, NULL), ATLS_OK);
            v.vek.ptr[at] ^= (uint8_t)(1 << (at % 8));
        }
        clear(&v);
    }
    print_message("  %zu bytes changed, none accepted\n", changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_has_its_verdict), cmocka_unit_test(changes_to_a_good_report),
        cmocka_unit_test(another_lines_authorities),  cmocka_unit_test(rules_on_recorded_reports),
        cmocka_unit_test(no_byte_may_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
