/* Evidence of an Intel SGX enclave: a quote in a form that certificates carry (docs/sgx.md). */
#include "evidence/sgx.h"

#include "core/err.h"
#include "evidence/claims.h"
#include "evidence/ra_tls.h"
#include "wire/ra_tls.h"

static enum atls_code judge(const struct atls_sgx_check *check,
                            const struct atls_ra_tls_answer *answer,
                            const struct atls_evidence_request *request, struct atls_claims *out,
                            struct atls_err *err)
{
    struct atls_sgx_result result;
    struct atls_claims claims;
    enum atls_code code = atls_sgx_verify(check, &result, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_ra_tls_accept(answer, request, err)) == ATLS_OK)
        code = atls_sgx_make_claims(check, &result, request->aik_spki, &claims, err);
    if (code == ATLS_OK && atls_ra_tls_add_details(answer, request, &claims)) {
        *out = claims;
    } else if (code == ATLS_OK) {
        atls_claims_clear(&claims);
        code = atls_fail(err, ATLS_E_NOMEM, "SGX: out of memory");
    }
    atls_sgx_result_clear(&result);
    return code;
}

static enum atls_code verify(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err)
{
    const struct atls_evidence_options *options = atls_evidence_options_of(request);
    struct atls_ra_tls_answer answer;
    enum atls_code code = atls_ra_tls_expect(&bundle->pat, request, &answer, err);

    if (code != ATLS_OK)
        return code;
    return judge(
        &(struct atls_sgx_check){.quote = answer.quote,
                                 .report_data =
                                     atls_bytes_of(answer.report_data, sizeof answer.report_data),
                                 .report_data_is_key = answer.report_data_is_key,
                                 .rules = options->rules != NULL ? &options->rules->sgx : NULL,
                                 .sources = {.source = request->source,
                                             .endorsements = bundle->endorsements,
                                             .cache = request->cache,
                                             .time_s = request->time_s}},
        &answer, request, out, err);
}

/* Whatever else it is: to say what is wrong with it. */
static bool is_not_of_tdx(struct atls_bytes pat)
{
    return !atls_ra_tls_dice_is(pat, ATLS_DCAP_TDX);
}

static const struct atls_evidence_format formats[] = {
    {.pat_type = ATLS_TYPE_RA_TLS_DICE, .profile = ATLS_PROFILE_RATLS, .recognises = is_not_of_tdx},
    {.pat_type = ATLS_TYPE_RA_TLS_SGX_QUOTE, .profile = ATLS_PROFILE_RATLS},
    {.pat_type = ATLS_TYPE_RA_TLS_OE_REPORT, .profile = ATLS_PROFILE_RATLS},
    {.pat_type = ATLS_TYPE_RA_TLS_OE_EVIDENCE, .profile = ATLS_PROFILE_RATLS},
    {.pat_type = NULL},
};

const struct atls_technology atls_technology_sgx = {
    .name = "sgx",
    .submod = "SGX",
    .formats = formats,
    .verify = verify,
};
