/* Evidence of an Intel TDX trust domain: a quote over the challenge, as configfs-tsm gave it or
 * bare (docs/tdx.md). */
#include "evidence/tdx.h"

#include <string.h>

#include "bind/batch.h"
#include "core/err.h"
#include "evidence/answer.h"
#include "evidence/claims.h"
#include "evidence/ra_tls.h"
#include "wire/ra_tls.h"
#include "wire/tsm.h"

static bool is_tdx_report(struct atls_bytes pat)
{
    return atls_tsm_report_is(pat, ATLS_TSM_PROVIDER_TDX);
}

/* The quote inside the platform token. */
static enum atls_code open_token(const struct atls_cmw *pat, struct atls_bytes *out,
                                 struct atls_err *err)
{
    struct atls_tsm_report report;
    enum atls_code code;

    if (!atls_cmw_type_is(&pat->type, ATLS_TYPE_TSM_REPORT)) {
        *out = pat->value;
        return ATLS_OK;
    }
    if ((code = atls_tsm_report_decode(pat->value, &report, err)) == ATLS_OK)
        *out = report.outblob;
    return code;
}

static enum atls_code judge(const struct atls_tdx_check *check, const struct atls_answer *answer,
                            const struct atls_evidence_request *request, struct atls_claims *out,
                            struct atls_err *err)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_tdx_result result;
    enum atls_code code = atls_tdx_verify(check, &result, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_answer_accept(answer, request, &spki, err)) == ATLS_OK)
        code = atls_tdx_make_claims(&atls_technology_tdx, check, &result, atls_buf_bytes(&spki),
                                    out, err);
    atls_buf_clear(&spki);
    atls_tdx_result_clear(&result);
    return code;
}

static enum atls_code verify(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err)
{
    const struct atls_evidence_options *options = atls_evidence_options_of(request);
    uint8_t expected[ATLS_TDX_REPORT_DATA_LEN] = {0};
    struct atls_tdx_check check = {
        .report_data = atls_bytes_of(expected, sizeof expected),
        .event_log =
            atls_cmw_find_record(bundle->endorsements, ATLS_TDX_EVENT_LOG, ATLS_TDX_EVENT_LOG_TYPE),
        .rules = options->rules != NULL ? &options->rules->tdx : NULL,
        .sources = {.source = request->source,
                    .endorsements = bundle->endorsements,
                    .cache = request->cache,
                    .time_s = request->time_s},
        .trust_elsewhere = request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE,
    };
    struct atls_answer answer;
    enum atls_code code;

    if ((code = atls_answer_expect(bundle, request, &answer, err)) != ATLS_OK ||
        (code = open_token(&bundle->pat, &check.quote, err)) != ATLS_OK)
        return code;
    memcpy(expected, answer.challenge,
           answer.len); /* REPORTDATA of a shorter nonce ends in zeros */
    return judge(&check, &answer, request, out, err);
}

/* ---- in a certificate ---- */

static bool is_dice_of_tdx(struct atls_bytes pat)
{
    return atls_ra_tls_dice_is(pat, ATLS_DCAP_TDX);
}

static enum atls_code judge_ra_tls(const struct atls_tdx_check *check,
                                   const struct atls_ra_tls_answer *answer,
                                   const struct atls_evidence_request *request,
                                   struct atls_claims *out, struct atls_err *err)
{
    struct atls_tdx_result result;
    struct atls_claims claims;
    enum atls_code code = atls_tdx_verify(check, &result, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_ra_tls_accept(answer, request, err)) == ATLS_OK)
        code = atls_tdx_make_claims(&atls_technology_tdx, check, &result, request->aik_spki,
                                    &claims, err);
    if (code == ATLS_OK && atls_ra_tls_add_details(answer, request, &claims)) {
        *out = claims;
    } else if (code == ATLS_OK) {
        atls_claims_clear(&claims);
        code = atls_fail(err, ATLS_E_NOMEM, "TDX: out of memory");
    }
    atls_tdx_result_clear(&result);
    return code;
}

static enum atls_code verify_ra_tls(const struct atls_bundle *bundle,
                                    const struct atls_evidence_request *request,
                                    struct atls_claims *out, struct atls_err *err)
{
    const struct atls_evidence_options *options = atls_evidence_options_of(request);
    struct atls_ra_tls_answer answer;
    enum atls_code code = atls_ra_tls_expect(&bundle->pat, request, &answer, err);

    if (code != ATLS_OK)
        return code;
    return judge_ra_tls(
        &(struct atls_tdx_check){.quote = answer.quote,
                                 .report_data =
                                     atls_bytes_of(answer.report_data, sizeof answer.report_data),
                                 .rules = options->rules != NULL ? &options->rules->tdx : NULL,
                                 .sources = {.source = request->source,
                                             .endorsements = bundle->endorsements,
                                             .cache = request->cache,
                                             .time_s = request->time_s}},
        &answer, request, out, err);
}

static const struct atls_evidence_format formats[] = {
    {.pat_type = ATLS_TYPE_TSM_REPORT,
     .kat_type = ATLS_TYPE_KAT,
     .profile = ATLS_PROFILE_KAT,
     .recognises = is_tdx_report},
    {.pat_type = ATLS_TYPE_TSM_REPORT,
     .kat_type = ATLS_TYPE_KAT_BATCH,
     .profile = ATLS_PROFILE_BATCH,
     .recognises = is_tdx_report},
    {.pat_type = ATLS_TYPE_TSM_REPORT, .profile = ATLS_PROFILE_BARE, .recognises = is_tdx_report},
    {.pat_type = ATLS_TYPE_TDX_QUOTE, .kat_type = ATLS_TYPE_KAT, .profile = ATLS_PROFILE_KAT},
    {.pat_type = ATLS_TYPE_TDX_QUOTE,
     .kat_type = ATLS_TYPE_KAT_BATCH,
     .profile = ATLS_PROFILE_BATCH},
    {.pat_type = ATLS_TYPE_TDX_QUOTE, .profile = ATLS_PROFILE_BARE},
    {.pat_type = ATLS_TYPE_RA_TLS_DICE,
     .profile = ATLS_PROFILE_RATLS,
     .recognises = is_dice_of_tdx,
     .verify = verify_ra_tls},
    {.pat_type = NULL},
};

const struct atls_technology atls_technology_tdx = {
    .name = "tdx",
    .submod = "TDX",
    .formats = formats,
    .verify = verify,
};
