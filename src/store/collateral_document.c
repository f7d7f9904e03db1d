/* What published documents say of their own time. Nothing is verified: that is evidence's part. */
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/certificate.h"
#include "store/collateral_document.h"
#include "store/db.h"
#include "store/json.h"

/* Certificates of one chain or bundle of candidates. */
#define CERTIFICATES_MAX 8

static enum atls_code read_crl(struct atls_bytes document, struct store_collateral_dates *out,
                               struct atls_err *err)
{
    struct atls_crl crl;
    enum atls_code code;

    if ((code = atls_crl_read(document, &crl, err)) != ATLS_OK)
        return code;
    *out = (struct store_collateral_dates){true, true, crl.this_update_s, crl.next_update_s};
    atls_crl_clear(&crl);
    return ATLS_OK;
}

static void narrow(struct store_collateral_dates *dates, const struct atls_certificate *c)
{
    int64_t from_s = atls_certificate_not_before_s(c), until_s = atls_certificate_not_after_s(c);

    if (!dates->has_from || from_s > dates->from_s)
        dates->from_s = from_s;
    if (!dates->has_until || until_s < dates->until_s)
        dates->until_s = until_s;
    dates->has_from = dates->has_until = true;
}

static enum atls_code read_certificates(struct atls_bytes document, size_t max,
                                        struct store_collateral_dates *out, struct atls_err *err)
{
    struct atls_certificate *certificates[CERTIFICATES_MAX];
    struct store_collateral_dates dates = {false, false, 0, 0};
    enum atls_code code;
    size_t count = 0;

    if ((code = atls_certificates_parse(document, certificates, max, &count, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < count; i++) {
        narrow(&dates, certificates[i]);
        atls_certificate_unref(certificates[i]);
    }
    *out = dates;
    return ATLS_OK;
}

/* A certificate of a bundle whose members are alternatives (the CAs of a product line): one that
 * has expired does not take the others along. */
static enum atls_code read_candidates(struct atls_bytes document,
                                      struct store_collateral_dates *out, struct atls_err *err)
{
    struct store_collateral_dates dates;
    enum atls_code code = read_certificates(document, CERTIFICATES_MAX, &dates, err);

    if (code == ATLS_OK)
        *out = (struct store_collateral_dates){false, false, 0, 0};
    return code;
}

static enum atls_code get_time(const struct store_json *body, const char *name, int64_t *out,
                               struct atls_err *err)
{
    const struct store_json at = store_json_member(body, name);
    const char *text;
    enum atls_code code;

    if ((code = store_json_text(body, name, STORE_JSON_REQUIRED, &text, err)) != ATLS_OK)
        return code;
    return store_time_parse(text, out)
               ? ATLS_OK
               : store_json_fail(&at, err, "not a time as \"2026-01-31T12:00:00Z\"");
}

/* {"tcbInfo": {"issueDate": ..., "nextUpdate": ...}, "signature": ...} */
static enum atls_code read_body(const struct store_json *root, const char *name,
                                struct store_collateral_dates *out, struct atls_err *err)
{
    const char *const names[] = {name, "signature", NULL};
    const struct store_json body = store_json_member(root, name);
    struct store_collateral_dates dates = {true, true, 0, 0};
    enum atls_code code;

    if ((code = store_json_object(root, names, err)) != ATLS_OK)
        return code;
    if (!json_is_object(body.value))
        return store_json_fail(&body, err, "not an object");
    if ((code = get_time(&body, "issueDate", &dates.from_s, err)) != ATLS_OK ||
        (code = get_time(&body, "nextUpdate", &dates.until_s, err)) != ATLS_OK)
        return code;
    *out = dates;
    return ATLS_OK;
}

static enum atls_code read_json(struct atls_bytes document, const char *name,
                                struct store_collateral_dates *out, struct atls_err *err)
{
    struct store_json root = {NULL, NULL, 0, NULL};
    enum atls_code code;
    json_t *value;

    if ((code = store_json_load(document, ATLS_COLLATERAL_DOCUMENT_MAX, &value, err)) != ATLS_OK)
        return code;
    root.value = value;
    code = read_body(&root, name, out, err);
    json_decref(value);
    return code;
}

enum atls_code store_collateral_read(enum atls_collateral_kind kind, struct atls_bytes document,
                                     struct store_collateral_dates *out, struct atls_err *err)
{
    switch (kind) {
    case ATLS_COLLATERAL_SNP_VEK:
        return read_certificates(document, 1, out, err);
    case ATLS_COLLATERAL_SNP_CA:
        return read_candidates(document, out, err);
    case ATLS_COLLATERAL_TDX_TCB_CHAIN:
    case ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN:
        return read_certificates(document, CERTIFICATES_MAX, out, err);
    case ATLS_COLLATERAL_SNP_CRL:
    case ATLS_COLLATERAL_TDX_PCK_CRL:
    case ATLS_COLLATERAL_TDX_ROOT_CRL:
        return read_crl(document, out, err);
    case ATLS_COLLATERAL_TDX_TCB_INFO:
    case ATLS_COLLATERAL_SGX_TCB_INFO:
        return read_json(document, "tcbInfo", out, err);
    case ATLS_COLLATERAL_TDX_QE_IDENTITY:
    case ATLS_COLLATERAL_SGX_QE_IDENTITY:
        return read_json(document, "enclaveIdentity", out, err);
    case ATLS_COLLATERAL_TDX_EVALUATION:
    case ATLS_COLLATERAL_SGX_EVALUATION:
        return read_json(document, "tcbEvaluationDataNumbers", out, err);
    case ATLS_COLLATERAL_NONE:
        break;
    }
    return atls_fail(err, ATLS_E_USAGE, "collateral: no such kind");
}
