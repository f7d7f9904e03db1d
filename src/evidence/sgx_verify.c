/* Verification of an SGX quote: the order of docs/sgx.md. Nothing of the enclave's report is used
 * before the signatures that cover it. */
#include <string.h>

#include "core/err.h"
#include "evidence/sgx.h"

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "SGX: %s", what);
}

static enum atls_code check_attributes(const struct atls_sgx_quote *q,
                                       const struct atls_sgx_rules *rules, struct atls_err *err)
{
    if ((q->flags & ATLS_SGX_ATTRIBUTE_DEBUG) != 0 && !rules->allow_debug)
        return refuse(err, ATLS_REASON_ENCLAVE_DEBUG, "the enclave is open to debugging");
    if ((q->flags & ATLS_SGX_ATTRIBUTE_INIT) == 0)
        return refuse(err, ATLS_REASON_ENCLAVE_ATTRIBUTES, "ATTRIBUTES: INIT is not set");
    if ((q->flags & rules->attributes_set) != rules->attributes_set ||
        (q->flags & rules->attributes_clear) != 0)
        return refuse(err, ATLS_REASON_ENCLAVE_ATTRIBUTES, "ATTRIBUTES: not what the rules demand");
    if (rules->xfrm.set && (q->xfrm & ~rules->xfrm.value) != 0)
        return refuse(err, ATLS_REASON_ENCLAVE_ATTRIBUTES,
                      "XFRM: a feature that the rules do not name");
    if (rules->misc_select.set && (q->misc_select & ~rules->misc_select.value) != 0)
        return refuse(err, ATLS_REASON_ENCLAVE_ATTRIBUTES,
                      "MISCSELECT: a bit that the rules do not name");
    return ATLS_OK;
}

static enum atls_code check_svn(const struct atls_sgx_quote *q, const struct atls_sgx_rules *rules,
                                struct atls_err *err)
{
    if (!rules->isv_svn.set || q->report.isv_svn >= rules->isv_svn.value)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_MEASUREMENT,
                            "SGX: ISVSVN %u of the enclave, want at least %llu", q->report.isv_svn,
                            (unsigned long long)rules->isv_svn.value);
}

static enum atls_code verify(const struct atls_dcap_check *dcap, const struct atls_sgx_rules *rules,
                             struct atls_sgx_result *r, struct atls_err *err)
{
    const struct atls_dcap_quote *quote = &r->quote.dcap;
    enum atls_code code;

    if ((code = atls_dcap_verify_platform(dcap, quote, &r->platform, err)) != ATLS_OK ||
        (code = atls_dcap_verify_quote(dcap, quote, &r->platform, err)) != ATLS_OK ||
        (code = atls_dcap_check_tcb(dcap, quote, NULL, &r->platform, err)) != ATLS_OK ||
        (code = atls_dcap_check_trailing(dcap, quote, err)) != ATLS_OK ||
        (code = atls_dcap_check_report_data(dcap, r->quote.report.report_data, err)) != ATLS_OK ||
        (code = check_attributes(&r->quote, rules, err)) != ATLS_OK)
        return code;
    return check_svn(&r->quote, rules, err);
}

void atls_sgx_result_clear(struct atls_sgx_result *result)
{
    if (result == NULL)
        return;
    atls_dcap_platform_clear(&result->platform);
    memset(result, 0, sizeof *result);
}

enum atls_code atls_sgx_verify(const struct atls_sgx_check *check, struct atls_sgx_result *out,
                               struct atls_err *err)
{
    static const struct atls_sgx_rules strict;
    const struct atls_sgx_rules *rules = check->rules != NULL ? check->rules : &strict;
    struct atls_dcap_check dcap = {.sources = check->sources,
                                   .rules = &rules->dcap,
                                   .report_data = check->report_data,
                                   .report_data_is_key = check->report_data_is_key};
    struct atls_sgx_result r;
    enum atls_code code;

    memset(&r, 0, sizeof r);
    dcap.sources.tee = ATLS_DCAP_SGX;
    if (check->report_data.len != ATLS_DCAP_REPORT_DATA_LEN)
        return atls_fail(err, ATLS_E_USAGE, "SGX: expected report data of %zu bytes, want 64",
                         check->report_data.len);
    if ((code = atls_sgx_quote_decode(check->quote, &r.quote, err)) != ATLS_OK)
        return code;
    if ((code = verify(&dcap, rules, &r, err)) != ATLS_OK) {
        atls_sgx_result_clear(&r);
        return code;
    }
    *out = r;
    return ATLS_OK;
}
