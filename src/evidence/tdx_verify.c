/* Verification of a TDX quote: the order of docs/tdx.md. Nothing of the body is used before the
 * signatures that cover it. */
#include "evidence/tdx.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/event_log.h"
#include "wire/tpm_event_log.h"

#define ATTRIBUTES_KNOWN                                                                           \
    (ATLS_TDX_ATTRIBUTE_DEBUG | UINT64_C(1) << 27 | ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE |           \
     UINT64_C(1) << 29 | UINT64_C(1) << 30 | UINT64_C(1) << 31 | UINT64_C(1) << 63)
#define MODULE_VERSION 1

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "TDX: %s", what);
}

/* ---- the module ---- */

static enum atls_code check_module(const struct atls_tdx_result *r, struct atls_err *err)
{
    const struct atls_tdx_tcb_info *info = atls_tdx_tcb_info_of(&r->platform.documents);
    const struct atls_tdx_body *body = &r->quote.body;
    const uint8_t version = body->tcb_svn.ptr[MODULE_VERSION];
    const struct atls_tdx_module *module =
        version > 0 ? atls_tdx_module_of(info, version) : &info->module;

    if (module == NULL)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TDX_MODULE_MISMATCH,
                                "TCB info: no identity of a TDX module of version %u", version);
    if (memcmp(body->mr_signer_seam.ptr, module->mr_signer, sizeof module->mr_signer) != 0)
        return refuse(err, ATLS_REASON_TDX_MODULE_MISMATCH, "MRSIGNERSEAM is not the module's");
    if ((body->seam_attributes & module->attributes_mask) != module->attributes ||
        (body->seam_attributes & ~module->attributes_mask) != 0)
        return refuse(err, ATLS_REASON_TDX_MODULE_MISMATCH, "SEAMATTRIBUTES are not the module's");
    return ATLS_OK;
}

/* ---- what the trust domain is ---- */

static enum atls_code check_attributes(const struct atls_tdx_body *body,
                                       const struct atls_tdx_rules *rules, struct atls_err *err)
{
    const uint64_t a = body->td_attributes;

    if ((a & ATLS_TDX_ATTRIBUTE_DEBUG) != 0 && !rules->allow_debug)
        return refuse(err, ATLS_REASON_TD_DEBUG, "the trust domain is open to debugging");
    if ((a & ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE) == 0 && !rules->allow_ve)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "TDATTRIBUTES: SEPT_VE_DISABLE is not set");
    if ((a & ~ATTRIBUTES_KNOWN) != 0)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "TDATTRIBUTES: a reserved bit is set");
    if ((a & rules->attributes_set) != rules->attributes_set || (a & rules->attributes_clear) != 0)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "TDATTRIBUTES: not what the rules demand");
    if (rules->xfam.set && (body->xfam & ~rules->xfam.value) != 0)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "XFAM: a feature that the rules do not name");
    return ATLS_OK;
}

static enum atls_code check_service_td(const struct atls_tdx_body *body,
                                       const struct atls_tdx_rules *rules, struct atls_err *err)
{
    if (!body->is_15 || atls_bytes_are_zero(body->mr_service_td))
        return ATLS_OK;
    for (size_t i = 0; i < rules->service_td_count; i++)
        if (memcmp(body->mr_service_td.ptr, rules->service_td[i], ATLS_TDX_MR_LEN) == 0)
            return ATLS_OK;
    return refuse(err, ATLS_REASON_MR_SERVICE_TD_NOT_ALLOWED,
                  "a service trust domain is bound that the rules do not name");
}

/* ---- event log ---- */

static enum atls_code log_mismatch(struct atls_err *err, const char *what)
{
    return refuse(err, ATLS_REASON_EVENT_LOG_MISMATCH, what);
}

/* Index 0 is MRTD, which no event extends after launch; 1 to 4 are the RTMRs. */
static enum atls_code count_events(struct atls_bytes text, size_t *out, struct atls_err *err)
{
    struct atls_event_log log;
    struct atls_event event;
    size_t count = 0;
    enum atls_code code = atls_event_log_open(text, &log, err);

    if (code != ATLS_OK)
        return code;
    for (; !atls_event_log_done(&log); count++) {
        if ((code = atls_event_log_next(&log, &event, err)) != ATLS_OK)
            return code;
        if (event.type != ATLS_EV_NO_ACTION && (event.pcr < 1 || event.pcr > ATLS_TDX_RTMRS))
            return log_mismatch(err, "event log: an event of a register that is no RTMR");
    }
    *out = count;
    return ATLS_OK;
}

/* A log accounts for all that firmware and boot extended (RTMR 0 to 2). What runs later may extend
 * RTMR 3, which counts where the log has it. No event is believed beyond that. */
static enum atls_code check_event_log(const struct atls_tdx_check *check, struct atls_tdx_result *r,
                                      struct atls_err *err)
{
    struct atls_replay replay;
    struct atls_bytes log;
    enum atls_code code;

    if (check->event_log.len == 0)
        return ATLS_OK;
    if ((code = atls_ccel_trim(check->event_log, &log, err)) != ATLS_OK ||
        (code = count_events(log, &r->events, err)) != ATLS_OK ||
        (code = atls_event_log_replay(log, ATLS_HASH_SHA384, &replay, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < ATLS_TDX_RTMRS; i++) {
        if (i == ATLS_TDX_RTMRS - 1 && (replay.extended >> (i + 1) & 1) == 0)
            continue;
        if (!atls_bytes_equal(r->quote.body.rtmr[i],
                              atls_bytes_of(replay.values[i + 1], ATLS_TDX_MR_LEN)))
            return log_mismatch(err, "event log: replay does not lead to the quoted RTMRs");
    }
    r->has_event_log = true;
    return ATLS_OK;
}

/* Steps 12 to 16. */
static enum atls_code check_domain(const struct atls_tdx_check *check,
                                   const struct atls_dcap_check *dcap,
                                   const struct atls_tdx_rules *rules, struct atls_tdx_result *r,
                                   struct atls_err *err)
{
    const struct atls_tdx_body *body = &r->quote.body;
    enum atls_code code;

    if ((code = atls_dcap_check_tcb(dcap, &r->quote.dcap, body, &r->platform, err)) != ATLS_OK ||
        (code = atls_dcap_check_trailing(dcap, &r->quote.dcap, err)) != ATLS_OK ||
        (code = atls_dcap_check_report_data(dcap, body->report_data, err)) != ATLS_OK ||
        (code = check_attributes(body, rules, err)) != ATLS_OK ||
        (code = check_service_td(body, rules, err)) != ATLS_OK)
        return code;
    return check_event_log(check, r, err);
}

static enum atls_code verify_here(const struct atls_tdx_check *check,
                                  const struct atls_dcap_check *dcap,
                                  const struct atls_tdx_rules *rules, struct atls_tdx_result *r,
                                  struct atls_err *err)
{
    const struct atls_dcap_quote *quote = &r->quote.dcap;
    enum atls_code code;

    if ((code = atls_dcap_verify_platform(dcap, quote, &r->platform, err)) != ATLS_OK ||
        (code = check_module(r, err)) != ATLS_OK ||
        (code = atls_dcap_verify_quote(dcap, quote, &r->platform, err)) != ATLS_OK)
        return code;
    return check_domain(check, dcap, rules, r, err);
}

/* What a quote says of itself: its own key signed it, over the challenge. */
static enum atls_code verify_alone(const struct atls_dcap_check *dcap,
                                   const struct atls_tdx_result *r, struct atls_err *err)
{
    enum atls_code code = atls_dcap_verify_alone(dcap, &r->quote.dcap, err);

    return code == ATLS_OK ? atls_dcap_check_report_data(dcap, r->quote.body.report_data, err)
                           : code;
}

void atls_tdx_result_clear(struct atls_tdx_result *result)
{
    if (result == NULL)
        return;
    atls_dcap_platform_clear(&result->platform);
    memset(result, 0, sizeof *result);
}

enum atls_code atls_tdx_verify(const struct atls_tdx_check *check, struct atls_tdx_result *out,
                               struct atls_err *err)
{
    static const struct atls_tdx_rules strict;
    const struct atls_tdx_rules *rules = check->rules != NULL ? check->rules : &strict;
    const struct atls_dcap_check dcap = {
        .sources = check->sources, .rules = &rules->dcap, .report_data = check->report_data};
    struct atls_tdx_result r;
    enum atls_code code;

    memset(&r, 0, sizeof r);
    if (check->report_data.len != ATLS_TDX_REPORT_DATA_LEN)
        return atls_fail(err, ATLS_E_USAGE, "TDX: expected report data of %zu bytes, want 64",
                         check->report_data.len);
    if ((code = atls_tdx_quote_decode(check->quote, &r.quote, err)) != ATLS_OK)
        return code;
    code = check->trust_elsewhere ? verify_alone(&dcap, &r, err)
                                  : verify_here(check, &dcap, rules, &r, err);
    if (code != ATLS_OK) {
        atls_tdx_result_clear(&r);
        return code;
    }
    *out = r;
    return ATLS_OK;
}
