#include "evidence/snp.h"

#include <string.h>

#include "bind/batch.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "evidence/answer.h"
#include "evidence/claims.h"
#include "evidence/snp_vek.h"
#include "wire/tsm.h"

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "SNP report: %s", what);
}

/* ---- the report under its key: steps 8 to 10 ---- */

static enum atls_code check_signature(const struct atls_snp_report *report,
                                      const struct atls_snp_vek *vek, struct atls_err *err)
{
    const enum atls_code code = atls_key_verify_raw(
        atls_certificate_key(vek->leaf), ATLS_ECDSA_P384_SHA384, report->signed_part,
        atls_bytes_of(report->signature, sizeof report->signature), err);

    if (code != ATLS_E_VERIFY)
        return code;
    return refuse(err, ATLS_REASON_REPORT_SIGNATURE,
                  "signature does not match the key of its certificate");
}

static enum atls_code check_tcb(const struct atls_snp_report *report,
                                const struct atls_snp_vek *vek, struct atls_err *err)
{
    uint8_t certified[8];

    atls_snp_tcb_write(vek->line, &vek->tcb.tcb, certified);
    if (!vek->tcb.complete || vek->tcb.unused_set ||
        !atls_bytes_equal(atls_bytes_of(certified, sizeof certified), report->reported_tcb))
        return refuse(err, ATLS_REASON_TCB_MISMATCH,
                      "reported TCB is another than its certificate was issued for");
    return ATLS_OK;
}

static bool is_masked(const struct atls_snp_report *report)
{
    return (report->key_info & ATLS_SNP_MASKED_CHIP) != 0 && atls_bytes_are_zero(report->chip_id);
}

static enum atls_code check_chip(const struct atls_snp_report *report,
                                 const struct atls_snp_vek *vek, const struct atls_snp_rules *rules,
                                 struct atls_err *err)
{
    const struct atls_bytes id = report->chip_id;
    const size_t len = atls_snp_chip_id_len(vek->line);

    /* A VCEK names no provider: it is of any machine that somebody bought. */
    if (rules->csp_id[0] != '\0' && !atls_bytes_equal_text(vek->csp_id, rules->csp_id))
        return refuse(err, ATLS_REASON_CSP_ID_MISMATCH,
                      vek->signer == ATLS_SNP_VLEK ? "VLEK is of another provider than is wanted"
                                                   : "VCEK names no provider, and one is wanted");
    if (vek->signer == ATLS_SNP_VLEK)
        return ATLS_OK;
    if (is_masked(report) && rules->allow_masked_chip_id)
        return ATLS_OK;
    if (!atls_bytes_equal(vek->hw_id, atls_bytes_of(id.ptr, len)) ||
        !atls_bytes_are_zero(atls_bytes_of(id.ptr + len, id.len - len)))
        return refuse(err, ATLS_REASON_CHIP_ID_MISMATCH,
                      "chip id is another than its certificate was issued for");
    return ATLS_OK;
}

static enum atls_code check_line(const struct atls_snp_rules *rules, enum atls_snp_line line,
                                 struct atls_err *err)
{
    if ((rules->refused_lines >> line & 1) != 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNSUPPORTED_PRODUCT,
                                "SNP report: %s processors are not accepted here",
                                atls_snp_line_name(line));
    return ATLS_OK;
}

static enum atls_code check_under_key(const struct atls_snp_check *check, struct atls_snp_result *r,
                                      struct atls_err *err)
{
    const struct atls_snp_rules *rules = atls_snp_rules_of(check->request);
    enum atls_code code;

    if ((code = atls_snp_vek_find(check, &r->report, r->line, &r->vek, err)) != ATLS_OK)
        return code;
    r->line = r->vek->line;
    if ((code = check_line(rules, r->line, err)) != ATLS_OK ||
        (code = check_signature(&r->report, r->vek, err)) != ATLS_OK ||
        (code = check_tcb(&r->report, r->vek, err)) != ATLS_OK)
        return code;
    return check_chip(&r->report, r->vek, rules, err);
}

/* ---- all of it ---- */

static enum atls_code check_product(const struct atls_snp_rules *rules, struct atls_snp_result *r,
                                    struct atls_err *err)
{
    const struct atls_snp_report *report = &r->report;

    if ((report->policy & ~ATLS_SNP_POLICY_KNOWN) != 0 && !rules->unknown_policy_bits)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP report: guest policy 0x%llx has bits that are not defined",
                                (unsigned long long)report->policy);
    if (!report->has_cpuid)
        return ATLS_OK;
    r->line = atls_snp_line_of_cpuid(report->cpuid_family, report->cpuid_model);
    if (r->line == ATLS_SNP_LINE_UNKNOWN)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNSUPPORTED_PRODUCT,
                                "SNP report: processor of family 0x%02x, model 0x%02x is not known",
                                report->cpuid_family, report->cpuid_model);
    return check_line(rules, r->line, err);
}

static enum atls_code check_all(const struct atls_snp_check *check, struct atls_snp_result *r,
                                struct atls_err *err)
{
    const struct atls_snp_rules *rules = atls_snp_rules_of(check->request);
    enum atls_code code;

    if ((code = atls_snp_report_decode(check->report, &r->report, err)) != ATLS_OK ||
        (code = check_product(rules, r, err)) != ATLS_OK)
        return code;
    if (check->request->scope != ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE &&
        (code = check_under_key(check, r, err)) != ATLS_OK)
        return code;
    if (check->report_data.len != ATLS_SNP_REPORT_DATA_LEN ||
        !atls_secret_equal(r->report.report_data, check->report_data))
        return refuse(err, ATLS_REASON_REPORT_DATA_MISMATCH,
                      "report data is another than was to be signed");
    return atls_snp_rules_check(rules, &r->report, r->line, err);
}

enum atls_code atls_snp_verify(const struct atls_snp_check *check, struct atls_snp_result *out,
                               struct atls_err *err)
{
    struct atls_snp_result result;
    enum atls_code code;

    memset(&result, 0, sizeof result);
    if ((code = check_all(check, &result, err)) != ATLS_OK) {
        atls_snp_result_clear(&result);
        return code;
    }
    *out = result;
    return ATLS_OK;
}

void atls_snp_result_clear(struct atls_snp_result *result)
{
    if (result == NULL)
        return;
    atls_snp_vek_unref(result->vek);
    result->vek = NULL;
}

/* ---- the technology ---- */

/* A report, behind which a certificate table may stand: step 1. */
static enum atls_code split(struct atls_bytes in, struct atls_snp_check *out, struct atls_err *err)
{
    if (in.len < ATLS_SNP_REPORT_LEN)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP report: %zu bytes, want %d or a certificate table behind",
                                in.len, ATLS_SNP_REPORT_LEN);
    out->report = atls_bytes_of(in.ptr, ATLS_SNP_REPORT_LEN);
    out->certificates = atls_bytes_of(in.ptr + ATLS_SNP_REPORT_LEN, in.len - ATLS_SNP_REPORT_LEN);
    return ATLS_OK;
}

static enum atls_code open_tsm(struct atls_bytes in, struct atls_snp_check *out,
                               struct atls_err *err)
{
    struct atls_tsm_report tsm;
    enum atls_code code;

    if ((code = atls_tsm_report_decode(in, &tsm, err)) != ATLS_OK ||
        (code = split(tsm.outblob, out, err)) != ATLS_OK || tsm.auxblob.len == 0)
        return code;
    if (out->certificates.len != 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP report: a certificate table behind it, and another beside");
    out->certificates = tsm.auxblob;
    return ATLS_OK;
}

static enum atls_code make_claims(const struct atls_snp_result *result, struct atls_bytes spki,
                                  struct atls_claims *out, struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(&atls_technology_snp);
    enum atls_code code;

    if ((code = atls_snp_claims(result, spki, &claims, err)) != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    *out = claims;
    return ATLS_OK;
}

static enum atls_code appraise(struct atls_snp_check *check, const struct atls_bundle *bundle,
                               struct atls_claims *out, struct atls_err *err)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_snp_result result;
    struct atls_answer answer;
    enum atls_code code;

    if ((code = atls_answer_expect(bundle, check->request, &answer, err)) != ATLS_OK)
        return code;
    /* A nonce that is shorter fills the field from its beginning; zeros follow. */
    check->report_data = atls_bytes_of(answer.challenge, sizeof answer.challenge);
    check->endorsements = bundle->endorsements;
    if ((code = atls_snp_verify(check, &result, err)) != ATLS_OK)
        return code;
    if ((code = atls_answer_accept(&answer, check->request, &spki, err)) == ATLS_OK)
        code = make_claims(&result, atls_buf_bytes(&spki), out, err);
    atls_buf_clear(&spki);
    atls_snp_result_clear(&result);
    return code;
}

static enum atls_code verify_tsm(const struct atls_bundle *bundle,
                                 const struct atls_evidence_request *request,
                                 struct atls_claims *out, struct atls_err *err)
{
    struct atls_snp_check check = {.request = request};
    enum atls_code code;

    if ((code = open_tsm(bundle->pat.value, &check, err)) != ATLS_OK)
        return code;
    return appraise(&check, bundle, out, err);
}

static enum atls_code verify_raw(const struct atls_bundle *bundle,
                                 const struct atls_evidence_request *request,
                                 struct atls_claims *out, struct atls_err *err)
{
    struct atls_snp_check check = {.request = request};
    enum atls_code code;

    if ((code = split(bundle->pat.value, &check, err)) != ATLS_OK)
        return code;
    return appraise(&check, bundle, out, err);
}

static bool is_snp(struct atls_bytes pat)
{
    return atls_tsm_report_is(pat, ATLS_TSM_PROVIDER_SNP);
}

#define TSM .pat_type = ATLS_TYPE_TSM_REPORT, .recognises = is_snp
#define RAW .pat_type = ATLS_TYPE_SNP_REPORT, .verify = verify_raw

static const struct atls_evidence_format formats[] = {
    {TSM, .kat_type = ATLS_TYPE_KAT, .profile = ATLS_PROFILE_KAT},
    {TSM, .kat_type = ATLS_TYPE_KAT_BATCH, .profile = ATLS_PROFILE_BATCH},
    {TSM, .kat_type = NULL, .profile = ATLS_PROFILE_BARE},
    {RAW, .kat_type = ATLS_TYPE_KAT, .profile = ATLS_PROFILE_KAT},
    {RAW, .kat_type = ATLS_TYPE_KAT_BATCH, .profile = ATLS_PROFILE_BATCH},
    {RAW, .kat_type = NULL, .profile = ATLS_PROFILE_BARE},
    {.pat_type = NULL},
};

const struct atls_technology atls_technology_snp = {
    .name = "snp",
    .submod = "SNP",
    .formats = formats,
    .verify = verify_tsm,
};
