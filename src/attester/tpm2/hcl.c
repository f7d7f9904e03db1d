#include "attester/tpm2/hcl.h"

#include <stdlib.h>
#include <string.h>

#include "attester/file.h"
#include "attester/tsm/collateral.h"
#include "attester/tsm/needs.h"
#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/hcl.h"
#include "wire/tdx.h"
#include "wire/tpm.h"

#define SPKI_MAX 2048
/* Report and quote, besides the collateral. */
#define OWN_ENDORSEMENTS 2

struct atls_tpm2_hcl {
    const char *quote_path; /* NULL: SNP */
    struct atls_buf report; /* without the zeros at its end */
    uint8_t report_data[ATLS_QUOTE_CHALLENGE_LEN];
    struct atls_buf hardware;               /* SNP: the report inside */
    struct atls_tsm_collateral *collateral; /* NULL: none configured */
};

void atls_tpm2_hcl_close(struct atls_tpm2_hcl *hcl)
{
    if (hcl == NULL)
        return;
    atls_buf_clear(&hcl->report);
    atls_buf_clear(&hcl->hardware);
    atls_tsm_collateral_free(hcl->collateral);
    free(hcl);
}

static enum atls_code read_report(struct atls_tpm2_device *device, struct atls_buf *out,
                                  struct atls_err *err)
{
    const char *path = device->config->hcl_report;
    bool exists = false;
    enum atls_code code;

    if (path[0] != '\0')
        return atls_file_read("hcl-report", path, ATLS_HCL_MAX, out, err);
    if ((code = atls_tpm2_handle_exists(device, ATLS_TPM2_HCL_INDEX, &exists, err)) != ATLS_OK)
        return code;
    if (!exists)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: hcl-report=nv: the TPM has no NV index 0x%08x, this is no "
                         "confidential machine of Azure",
                         ATLS_TPM2_HCL_INDEX);
    code = atls_tpm2_nv_read(device, ATLS_TPM2_HCL_INDEX, ATLS_TPM2_NV_BY_OWNER, ATLS_HCL_MAX, out,
                             err);
    return code == ATLS_OK ? ATLS_OK : atls_err_prefix(err, code, "hcl-report=nv");
}

/* The hardware signs this report data; see docs/azure.md. */
static enum atls_code check_report_data(struct atls_tpm2_hcl *hcl,
                                        const struct atls_hcl_report *report, struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(report->hash, report->variables, digest, err);

    if (code != ATLS_OK)
        return code;
    memcpy(hcl->report_data, digest, atls_hash_len(report->hash));
    if (report->type == ATLS_HCL_SNP &&
        !atls_tsm_carries(&atls_tsm_snp, report->hardware_report,
                          atls_bytes_of(hcl->report_data, sizeof hcl->report_data)))
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: hcl-report: the hardware's report is not over the text beside it");
    return ATLS_OK;
}

/* A key of any kind as SubjectPublicKeyInfo. */
static enum atls_code spki_of(struct atls_bytes area, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    struct atls_tpmt_public public;
    enum atls_code code;

    if ((code = atls_tpmt_public_decode(area, &public, err)) != ATLS_OK ||
        (code = atls_tpmt_public_put_spki(&public, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return atls_err_prefix(err, code, "attestation key");
    }
    return atls_writer_finish(&w, out, err);
}

static enum atls_code check_key(const struct atls_hcl_report *report, struct atls_bytes ak_public,
                                struct atls_err *err)
{
    struct atls_hcl_variables variables;
    struct atls_buf ak = ATLS_BUF_INIT;
    enum atls_code code = atls_hcl_variables_decode(report->variables, &variables, err);

    if (code != ATLS_OK)
        return code;
    if ((code = spki_of(ak_public, &ak, err)) == ATLS_OK &&
        !atls_bytes_equal(atls_buf_bytes(&ak), atls_buf_bytes(&variables.attestation_key)))
        code = atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: hcl-report: HCLAkPub is not the attestation key; on Azure that is "
                         "ak=0x81000003");
    atls_buf_clear(&ak);
    atls_hcl_variables_clear(&variables);
    return code;
}

static enum atls_code check_quote_path(const struct atls_tpm2_config *config,
                                       enum atls_hcl_type type, struct atls_err *err)
{
    if (type == ATLS_HCL_SNP && config->tdx_quote != NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: tdx-quote is of TDX, the hardware of the HCL report is SNP");
    if (type == ATLS_HCL_TDX && config->tdx_quote == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: the hardware of the HCL report is TDX: want tdx-quote=FILE");
    return ATLS_OK;
}

static enum atls_code take_report(struct atls_tpm2_hcl *hcl, const struct atls_tpm2_config *config,
                                  struct atls_bytes blob, struct atls_bytes ak_public,
                                  struct atls_err *err)
{
    struct atls_hcl_report report;
    enum atls_code code;

    if ((code = atls_hcl_report_decode(blob, &report, err)) != ATLS_OK ||
        (code = check_quote_path(config, report.type, err)) != ATLS_OK ||
        (code = check_report_data(hcl, &report, err)) != ATLS_OK ||
        (code = check_key(&report, ak_public, err)) != ATLS_OK)
        return code;
    blob.len = (size_t)(report.variables.ptr - blob.ptr) + report.variables.len;
    if ((code = atls_buf_copy(&hcl->report, blob, err)) != ATLS_OK || report.type == ATLS_HCL_TDX)
        return code;
    return atls_buf_copy(&hcl->hardware, report.hardware_report, err);
}

enum atls_code atls_tpm2_hcl_open(struct atls_tpm2_device *device, struct atls_bytes ak_public,
                                  const struct atls_log *log, struct atls_tpm2_hcl **out,
                                  struct atls_err *err)
{
    const struct atls_tpm2_config *config = device->config;
    struct atls_buf blob = ATLS_BUF_INIT;
    struct atls_tpm2_hcl *hcl = calloc(1, sizeof *hcl);
    enum atls_code code;

    if (hcl == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tpm2: out of memory");
    hcl->quote_path = config->tdx_quote;
    if ((code = read_report(device, &blob, err)) == ATLS_OK)
        code = take_report(hcl, config, atls_buf_bytes(&blob), ak_public, err);
    atls_buf_clear(&blob);
    if (code == ATLS_OK && config->collateral != NULL)
        code = atls_tsm_collateral_new("tpm2", config->collateral, log, &hcl->collateral, err);
    if (code != ATLS_OK) {
        atls_tpm2_hcl_close(hcl);
        return code;
    }
    *out = hcl;
    return ATLS_OK;
}

static void endorse(struct atls_quote *quote, const char *label, const char *media_type,
                    struct atls_buf value)
{
    quote->endorsements[quote->endorsement_count++] =
        (struct atls_quote_endorsement){label, media_type, value};
}

/* Somebody fetches it after each boot: one of an earlier boot is found here, and not by a peer. */
static enum atls_code endorse_quote(const struct atls_tpm2_hcl *hcl, struct atls_quote *quote,
                                    struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code =
        atls_file_read("tdx-quote", hcl->quote_path, ATLS_TSM_BLOB_MAX, &file, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_tsm_carries(&atls_tsm_tdx, atls_buf_bytes(&file),
                          atls_bytes_of(hcl->report_data, sizeof hcl->report_data))) {
        atls_buf_clear(&file);
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: tdx-quote=%.200s is no TDX quote over the text of the HCL report",
                         hcl->quote_path);
    }
    endorse(quote, ATLS_LABEL_TDX_QUOTE, ATLS_TYPE_TDX_QUOTE, file);
    return ATLS_OK;
}

enum atls_code atls_tpm2_hcl_endorse(const struct atls_tpm2_hcl *hcl, struct atls_quote *quote,
                                     struct atls_err *err)
{
    /* Borrows: not to be cleared. */
    struct atls_tsm_blobs blobs = {.provider = &atls_tsm_snp, .outblob = hcl->hardware};
    struct atls_buf report = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_buf_copy(&report, atls_buf_bytes(&hcl->report), err)) != ATLS_OK)
        return code;
    endorse(quote, ATLS_LABEL_HCL_REPORT, ATLS_TYPE_HCL_REPORT, report);
    if (hcl->quote_path != NULL) {
        if ((code = endorse_quote(hcl, quote, err)) != ATLS_OK)
            return code;
        blobs.provider = &atls_tsm_tdx;
        blobs.outblob = quote->endorsements[quote->endorsement_count - 1].value;
    }
    return hcl->collateral == NULL
               ? ATLS_OK
               : atls_tsm_collateral_attach(hcl->collateral, &blobs, quote, err);
}

_Static_assert(OWN_ENDORSEMENTS + ATLS_TSM_NEEDS_MAX <= ATLS_QUOTE_ENDORSEMENTS_MAX,
               "endorsements hold all collateral beside report and quote");
