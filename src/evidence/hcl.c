#include "evidence/hcl.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "evidence/claims.h"
#include "evidence/snp.h"
#include "evidence/tdx.h"

#define REPORT_DATA_LEN 64

/* 6e1a7c0e-5b0f-4d55-9a63-8f2b7a0d41c6 */
const uint8_t atls_hcl_class[ATLS_HCL_CLASS_LEN] = {0xd8, 0x25, 0x50, 0x6e, 0x1a, 0x7c, 0x0e,
                                                    0x5b, 0x0f, 0x4d, 0x55, 0x9a, 0x63, 0x8f,
                                                    0x2b, 0x7a, 0x0d, 0x41, 0xc6};

/* 5e26b0a1-7a0b-4c55-8e2c-0d6f6d6a2f11 */
const uint8_t atls_hcl_class_snp[ATLS_HCL_CLASS_LEN] = {0xd8, 0x25, 0x50, 0x5e, 0x26, 0xb0, 0xa1,
                                                        0x7a, 0x0b, 0x4c, 0x55, 0x8e, 0x2c, 0x0d,
                                                        0x6f, 0x6d, 0x6a, 0x2f, 0x11};
/* 0b9b7a54-61cf-4a7d-9f30-7a1c2d9b5e83 */
const uint8_t atls_hcl_class_tdx[ATLS_HCL_CLASS_LEN] = {0xd8, 0x25, 0x50, 0x0b, 0x9b, 0x7a, 0x54,
                                                        0x61, 0xcf, 0x4a, 0x7d, 0x9f, 0x30, 0x7a,
                                                        0x1c, 0x2d, 0x9b, 0x5e, 0x83};

bool atls_hcl_present(const struct atls_cmw *endorsements)
{
    return endorsements != NULL && atls_cmw_find(endorsements, ATLS_LABEL_HCL_REPORT) != NULL;
}

static enum atls_code open_report(const struct atls_hcl_check *check, struct atls_hcl_report *out,
                                  struct atls_err *err)
{
    const struct atls_bytes blob =
        atls_cmw_find_record(check->endorsements, ATLS_LABEL_HCL_REPORT, ATLS_TYPE_HCL_REPORT);

    if (blob.ptr == NULL)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "endorsements: " ATLS_LABEL_HCL_REPORT
                                " is no record of type " ATLS_TYPE_HCL_REPORT);
    return atls_hcl_report_decode(blob, out, err);
}

static enum atls_code verify_snp(const struct atls_hcl_check *check,
                                 const struct atls_hcl_report *report,
                                 struct atls_bytes report_data, struct atls_claims *out,
                                 struct atls_err *err)
{
    const struct atls_snp_check snp = {
        .report = report->hardware_report,
        .endorsements = check->endorsements,
        .report_data = report_data,
        .request = check->request,
    };
    struct atls_snp_result result;
    enum atls_code code = atls_snp_verify(&snp, &result, err);

    if (code != ATLS_OK)
        return code;
    *out = atls_claims_init(&atls_technology_snp);
    code = atls_snp_claims(&result, check->spki, out, err);
    atls_snp_result_clear(&result);
    return code;
}

/* The TDREPORT beside the variables is good inside its machine alone; a quote over the same report
 * data is what others can verify. */
static enum atls_code verify_tdx(const struct atls_hcl_check *check, struct atls_bytes report_data,
                                 struct atls_claims *out, struct atls_err *err)
{
    const struct atls_evidence_request *request = check->request;
    const struct atls_rules *rules = atls_evidence_options_of(request)->rules;
    const struct atls_tdx_check tdx = {
        .quote =
            atls_cmw_find_record(check->endorsements, ATLS_LABEL_TDX_QUOTE, ATLS_TYPE_TDX_QUOTE),
        .report_data = report_data,
        .rules = rules != NULL ? &rules->tdx : NULL,
        .sources = {request->source, check->endorsements, request->cache, request->time_s,
                    ATLS_DCAP_TDX},
    };
    struct atls_tdx_result result;
    enum atls_code code;

    if (tdx.quote.ptr == NULL)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "endorsements: no record " ATLS_LABEL_TDX_QUOTE
                                " of type " ATLS_TYPE_TDX_QUOTE " beside the HCL report");
    if ((code = atls_tdx_verify(&tdx, &result, err)) != ATLS_OK)
        return code;
    code = atls_tdx_make_claims(&atls_technology_tdx, &tdx, &result, check->spki, out, err);
    atls_tdx_result_clear(&result);
    return code;
}

/* What a policy may pin: the name of the machine and its setting, under the hardware's signature.
 */
static bool add_details(const struct atls_hcl_variables *variables, struct atls_claims *claims)
{
    return (variables->machine[0] == '\0' ||
            atls_claims_add_string(claims, "machine", variables->machine)) &&
           (!variables->has_secure_boot ||
            atls_claims_add_bool(claims, "vtpm-secure-boot", variables->secure_boot));
}

/* Only now that the hardware vouches for the text it is read. */
static enum atls_code check_key(const struct atls_hcl_check *check, struct atls_bytes text,
                                struct atls_claims *claims, struct atls_err *err)
{
    struct atls_hcl_variables variables;
    enum atls_code code = atls_hcl_variables_decode(text, &variables, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_bytes_equal(atls_buf_bytes(&variables.attestation_key), check->ak_spki))
        code = atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK,
                                "HCL report: HCLAkPub is not the key that signed");
    else if (!add_details(&variables, claims))
        code = atls_fail(err, ATLS_E_NOMEM, "HCL report: out of memory");
    atls_hcl_variables_clear(&variables);
    return code;
}

/* claims may hold something on failure as well. */
static enum atls_code verify_report(const struct atls_hcl_check *check,
                                    const struct atls_hcl_report *report,
                                    struct atls_claims *claims, struct atls_err *err)
{
    uint8_t expected[REPORT_DATA_LEN] = {0}, digest[ATLS_HASH_MAX];
    const struct atls_bytes report_data = atls_bytes_of(expected, sizeof expected);
    enum atls_code code = atls_hash_one(report->hash, report->variables, digest, err);

    if (code != ATLS_OK)
        return code;
    memcpy(expected, digest, atls_hash_len(report->hash));
    code = report->type == ATLS_HCL_SNP ? verify_snp(check, report, report_data, claims, err)
                                        : verify_tdx(check, report_data, claims, err);
    claims->environment.class_id = atls_bytes_of(
        report->type == ATLS_HCL_SNP ? atls_hcl_class_snp : atls_hcl_class_tdx, ATLS_HCL_CLASS_LEN);
    return code != ATLS_OK ? code : check_key(check, report->variables, claims, err);
}

enum atls_code atls_hcl_verify(const struct atls_hcl_check *check, struct atls_claims *out,
                               struct atls_err *err)
{
    struct atls_claims *claims; /* too much for a stack frame */
    struct atls_hcl_report report;
    enum atls_code code;

    if ((code = open_report(check, &report, err)) != ATLS_OK)
        return code;
    if ((claims = calloc(1, sizeof *claims)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "HCL report: out of memory");
    if ((code = verify_report(check, &report, claims, err)) == ATLS_OK)
        *out = *claims;
    else
        atls_claims_clear(claims);
    free(claims);
    return code;
}
