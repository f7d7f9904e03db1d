#include "evidence/wanted.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/log.h"
#include "crypto/certificate.h"
#include "evidence/tdx_pck.h"
#include "wire/cmw.h"
#include "wire/hcl.h"
#include "wire/kat.h"
#include "wire/ra_tls.h"
#include "wire/ra_tls_forms.h"
#include "wire/snp.h"
#include "wire/tdx.h"
#include "wire/tsm.h"

#define TREE_MAX         (64 * 1024)
#define CERTIFICATES_MAX 8
/* 1.2.840.113741.1.13.1 */
static const uint8_t pck_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

struct wanting {
    atls_collateral_wanted *want;
    void *arg;
};

static enum atls_code tell(const struct wanting *w, enum atls_collateral_kind kind,
                           const char *subject, struct atls_err *err)
{
    const struct atls_collateral_query query = {kind, subject};

    return w->want(w->arg, &query, err);
}

/* ---- SNP ---- */

static enum atls_code tell_line(const struct wanting *w, const struct atls_snp_report *report,
                                enum atls_snp_line line, struct atls_err *err)
{
    const bool vlek = report->signer == ATLS_SNP_VLEK;
    char name[16], vek[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    enum atls_code code;

    snprintf(name, sizeof name, "%s", atls_snp_line_name(line));
    name[0] = (char)(name[0] | 0x20); /* the one capital letter */
    if (!atls_collateral_vek_subject(name, vlek ? atls_bytes_of(NULL, 0) : report->chip_id,
                                     report->reported_tcb, vek))
        return atls_fail(err, ATLS_E_INTERNAL, "no name for the key of a report");
    if ((code = tell(w, ATLS_COLLATERAL_SNP_VEK, vek, err)) != ATLS_OK ||
        (code = tell(w, ATLS_COLLATERAL_SNP_CA, name, err)) != ATLS_OK)
        return code;
    return tell(w, ATLS_COLLATERAL_SNP_CRL, name, err);
}

/* Reports of version 2 do not say their line: it is one of these. */
static enum atls_code want_snp(const struct wanting *w, struct atls_bytes in, struct atls_err *err)
{
    static const enum atls_snp_line lines[] = {ATLS_SNP_MILAN, ATLS_SNP_GENOA};
    struct atls_snp_report report;
    enum atls_snp_line line;
    enum atls_code code = ATLS_OK;

    if ((code = atls_snp_report_decode(in, &report, err)) != ATLS_OK)
        return code;
    if (report.has_cpuid) {
        line = atls_snp_line_of_cpuid(report.cpuid_family, report.cpuid_model);
        if (line == ATLS_SNP_LINE_UNKNOWN)
            return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNSUPPORTED_PRODUCT,
                                    "report: family %u, model %u are of no line that is known",
                                    report.cpuid_family, report.cpuid_model);
        return tell_line(w, &report, line, err);
    }
    for (size_t i = 0; i < sizeof lines / sizeof lines[0] && code == ATLS_OK; i++)
        code = tell_line(w, &report, lines[i], err);
    return code;
}

/* ---- TDX and SGX ---- */

static enum atls_code read_leaf(const struct atls_certificate *leaf, struct atls_pck_facts *out,
                                struct atls_err *err)
{
    size_t count;
    struct atls_bytes value =
        atls_certificate_extension(leaf, atls_bytes_of(pck_oid, sizeof pck_oid), &count);

    if (count != 1)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "quote: the first certificate is not that of a platform");
    return atls_pck_facts_read(value, out, err);
}

/* What each technology has of its own. */
static const struct {
    enum atls_collateral_kind tcb_info, qe_identity;
    const char *enclave;
} tees[] = {
    [ATLS_DCAP_TDX] = {ATLS_COLLATERAL_TDX_TCB_INFO, ATLS_COLLATERAL_TDX_QE_IDENTITY, "td"},
    [ATLS_DCAP_SGX] = {ATLS_COLLATERAL_SGX_TCB_INFO, ATLS_COLLATERAL_SGX_QE_IDENTITY, "qe"},
};

static enum atls_code tell_platform(const struct wanting *w, enum atls_dcap_tee tee,
                                    const struct atls_certificate *leaf, struct atls_err *err)
{
    const char *authority = atls_pck_authority_of(leaf);
    struct atls_pck_facts facts;
    char fmspc[2 * ATLS_FMSPC_LEN + 1];
    enum atls_code code;

    if ((code = read_leaf(leaf, &facts, err)) != ATLS_OK)
        return code;
    if (authority[0] == '\0')
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                                "quote: the platform's certificate is of no authority that is "
                                "known");
    atls_hex(atls_bytes_of(facts.fmspc, sizeof facts.fmspc), fmspc, sizeof fmspc);
    if ((code = tell(w, tees[tee].tcb_info, fmspc, err)) != ATLS_OK ||
        (code = tell(w, tees[tee].qe_identity, tees[tee].enclave, err)) != ATLS_OK ||
        (code = tell(w, ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", err)) != ATLS_OK ||
        (code = tell(w, ATLS_COLLATERAL_TDX_PCK_CRL, authority, err)) != ATLS_OK ||
        (code = tell(w, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, authority, err)) != ATLS_OK)
        return code;
    return tell(w, ATLS_COLLATERAL_TDX_ROOT_CRL, "root", err);
}

static enum atls_code want_quote(const struct wanting *w, enum atls_dcap_tee tee,
                                 struct atls_bytes in, struct atls_err *err)
{
    struct atls_certificate *certificates[CERTIFICATES_MAX];
    struct atls_dcap_quote quote;
    size_t count = 0;
    enum atls_code code;

    if ((code = atls_dcap_quote_decode(in, tee, &quote, err)) != ATLS_OK)
        return code;
    if (quote.certification_type != ATLS_DCAP_CERTIFICATION_PCK_CHAIN &&
        quote.certification_type != ATLS_DCAP_CERTIFICATION_PCK_LEAF)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "quote: has no certificate of its platform");
    if ((code = atls_certificates_parse(quote.certification, certificates, CERTIFICATES_MAX, &count,
                                        err)) != ATLS_OK)
        return code;
    code = tell_platform(w, tee, certificates[0], err);
    for (size_t i = 0; i < count; i++)
        atls_certificate_unref(certificates[i]);
    return code;
}

static enum atls_code want_tdx(const struct wanting *w, struct atls_bytes in, struct atls_err *err)
{
    return want_quote(w, ATLS_DCAP_TDX, in, err);
}

static enum atls_code want_sgx(const struct wanting *w, struct atls_bytes in, struct atls_err *err)
{
    return want_quote(w, ATLS_DCAP_SGX, in, err);
}

/* ---- forms of certificates ---- */

static enum atls_code want_dice(const struct wanting *w, struct atls_bytes in, struct atls_err *err)
{
    struct atls_dice_evidence e;
    enum atls_code code = atls_dice_evidence_decode(in, &e, err);

    if (code != ATLS_OK)
        return code;
    return atls_dcap_quote_is(e.quote, ATLS_DCAP_TDX) ? want_tdx(w, e.quote, err)
                                                      : want_sgx(w, e.quote, err);
}

static enum atls_code want_oe_report(const struct wanting *w, struct atls_bytes in,
                                     struct atls_err *err)
{
    struct atls_bytes quote;
    enum atls_code code = atls_oe_report_decode(in, &quote, err);

    return code == ATLS_OK ? want_sgx(w, quote, err) : code;
}

/* What follows the quote makes no difference. */
static enum atls_code want_oe_evidence(const struct wanting *w, struct atls_bytes in,
                                       struct atls_err *err)
{
    struct atls_bytes data;
    enum atls_code code = atls_oe_evidence_decode(in, &data, err);

    return code == ATLS_OK ? want_sgx(w, data, err) : code;
}

/* ---- the evidence ---- */

static enum atls_code want_tsm(const struct wanting *w, struct atls_bytes in, struct atls_err *err)
{
    struct atls_tsm_report report;
    enum atls_code code;

    if ((code = atls_tsm_report_decode(in, &report, err)) != ATLS_OK)
        return code;
    if (atls_tsm_report_is(in, ATLS_TSM_PROVIDER_SNP))
        return want_snp(w, report.outblob, err);
    return atls_tsm_report_is(in, ATLS_TSM_PROVIDER_TDX) ? want_tdx(w, report.outblob, err)
                                                         : ATLS_OK;
}

static enum atls_code want_record(const struct wanting *w, const struct atls_cmw *record,
                                  struct atls_err *err)
{
    static const struct {
        const char *type;
        enum atls_code (*want)(const struct wanting *, struct atls_bytes, struct atls_err *);
    } rows[] = {{ATLS_TYPE_TSM_REPORT, want_tsm},
                {ATLS_TYPE_SNP_REPORT, want_snp},
                {ATLS_TYPE_TDX_QUOTE, want_tdx},
                {ATLS_TYPE_RA_TLS_DICE, want_dice},
                {ATLS_TYPE_RA_TLS_SGX_QUOTE, want_sgx},
                {ATLS_TYPE_RA_TLS_OE_REPORT, want_oe_report},
                {ATLS_TYPE_RA_TLS_OE_EVIDENCE, want_oe_evidence}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_cmw_type_is(&record->type, rows[i].type))
            return rows[i].want(w, record->value, err);
    return ATLS_OK;
}

/* Hardware that vouches for a virtual TPM stands among the endorsements (docs/azure.md). */
static enum atls_code want_hcl(const struct wanting *w, const struct atls_cmw *endorsements,
                               struct atls_err *err)
{
    const struct atls_cmw *report = atls_cmw_find(endorsements, ATLS_LABEL_HCL_REPORT),
                          *quote = atls_cmw_find(endorsements, ATLS_LABEL_TDX_QUOTE);
    struct atls_hcl_report hcl;
    enum atls_code code;

    if (report == NULL || report->kind != ATLS_CMW_RECORD)
        return ATLS_OK;
    if ((code = atls_hcl_report_decode(report->value, &hcl, err)) != ATLS_OK)
        return code;
    if (hcl.type == ATLS_HCL_SNP)
        return want_snp(w, hcl.hardware_report, err);
    return quote == NULL || quote->kind != ATLS_CMW_RECORD ? ATLS_OK
                                                           : want_tdx(w, quote->value, err);
}

enum atls_code atls_evidence_wanted(struct atls_bytes evidence, atls_collateral_wanted *want,
                                    void *arg, struct atls_err *err)
{
    const struct wanting wanting = {want, arg};
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct atls_bundle bundle = {.endorsements = NULL};
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_decode(evidence, &arena, &cmw, err)) == ATLS_OK) {
        if (cmw.kind == ATLS_CMW_RECORD)
            bundle.pat = cmw;
        else
            code = atls_bundle_open(&cmw, &bundle, err);
    }
    if (code == ATLS_OK)
        code = want_record(&wanting, &bundle.pat, err);
    if (code == ATLS_OK && bundle.endorsements != NULL)
        code = want_hcl(&wanting, bundle.endorsements, err);
    atls_arena_clear(&arena);
    return code;
}
