#include "attester/tsm/needs.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "crypto/certificate.h"
#include "evidence/tdx_pck.h"
#include "wire/snp.h"
#include "wire/tdx.h"

#define PCK_CHAIN_MAX 4

static void add(struct atls_tsm_needs *needs, enum atls_collateral_kind kind, const char *subject,
                bool optional)
{
    struct atls_tsm_need *need = &needs->items[needs->count++];

    need->kind = kind;
    need->optional = optional;
    snprintf(need->subject, sizeof need->subject, "%s", subject);
}

/* "SEV-Milan" and "SEV-VLEK-Milan" name the line of the VEKs that they issue. */
static enum atls_snp_line line_of_vek(struct atls_bytes vek)
{
    enum atls_snp_line line = ATLS_SNP_LINE_UNKNOWN;
    struct atls_certificate *c = NULL;
    struct atls_bytes cn;
    size_t at;

    if (vek.len == 0 || atls_certificate_parse(vek, &c, NULL) != ATLS_OK)
        return line;
    cn = atls_certificate_issuer_cn(c);
    for (at = cn.len; at > 0 && cn.ptr[at - 1] != '-'; at--)
        continue;
    line = atls_snp_line_by_name(atls_bytes_of(cn.ptr + at, cn.len - at));
    atls_certificate_unref(c);
    return line;
}

/* The name of a line as subjects have it. */
static const char *subject_of_line(enum atls_snp_line line)
{
    static const char *const subjects[ATLS_SNP_LINES] = {
        NULL,
        [ATLS_SNP_MILAN] = "milan",
        [ATLS_SNP_GENOA] = "genoa",
        [ATLS_SNP_TURIN] = "turin",
        [ATLS_SNP_VENICE] = "venice",
    };

    return subjects[line];
}

bool atls_tsm_snp_needs(struct atls_bytes evidence, struct atls_bytes table, const char *guess,
                        struct atls_tsm_needs *out)
{
    struct atls_snp_certificates certificates = {.ask = {NULL, 0}};
    struct atls_tsm_needs needs = {.count = 0};
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    struct atls_snp_report report;
    struct atls_bytes vek;
    const char *line;

    if (atls_snp_report_decode(evidence, &report, NULL) != ATLS_OK)
        return false;
    if (atls_snp_certificates_decode(table, &certificates, NULL) != ATLS_OK)
        certificates = (struct atls_snp_certificates){.ask = {NULL, 0}};
    vek = report.signer == ATLS_SNP_VLEK ? certificates.vlek : certificates.vcek;
    line = subject_of_line(report.has_cpuid
                               ? atls_snp_line_of_cpuid(report.cpuid_family, report.cpuid_model)
                               : line_of_vek(vek));
    if (line == NULL && !report.has_cpuid)
        line = guess;
    if (report.signer == ATLS_SNP_VLEK)
        report.chip_id = atls_bytes_of(NULL, 0);
    if (line == NULL ||
        !atls_collateral_vek_subject(line, report.chip_id, report.reported_tcb, subject))
        return false;
    if (vek.len == 0)
        add(&needs, ATLS_COLLATERAL_SNP_VEK, subject, false);
    add(&needs, ATLS_COLLATERAL_SNP_CA, line, certificates.ask.len > 0);
    add(&needs, ATLS_COLLATERAL_SNP_CRL, line, false);
    *out = needs;
    return true;
}

/* Intel's extension of a PCK certificate, 1.2.840.113741.1.13.1. */
static struct atls_bytes sgx_extension(const struct atls_certificate *pck)
{
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    size_t count = 0;

    return atls_certificate_extension(pck, atls_bytes_of(oid, sizeof oid), &count);
}

static bool needs_of_pck(const struct atls_certificate *pck, struct atls_tsm_needs *out)
{
    const char *authority = atls_pck_authority_of(pck);
    char fmspc[2 * ATLS_FMSPC_LEN + 1];
    struct atls_pck_facts facts;

    if (authority[0] == '\0' || atls_pck_facts_read(sgx_extension(pck), &facts, NULL) != ATLS_OK)
        return false;
    atls_hex(atls_bytes_of(facts.fmspc, sizeof facts.fmspc), fmspc, sizeof fmspc);
    out->count = 0;
    add(out, ATLS_COLLATERAL_TDX_TCB_INFO, fmspc, false);
    add(out, ATLS_COLLATERAL_TDX_QE_IDENTITY, "td", false);
    add(out, ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", false);
    add(out, ATLS_COLLATERAL_TDX_PCK_CRL, authority, false);
    add(out, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, authority, true); /* the quote has that CA */
    add(out, ATLS_COLLATERAL_TDX_ROOT_CRL, "root", false);
    add(out, ATLS_COLLATERAL_TDX_EVALUATION, "tdx", true);
    return true;
}

bool atls_tsm_tdx_needs(struct atls_bytes quote, struct atls_tsm_needs *out)
{
    struct atls_certificate *chain[PCK_CHAIN_MAX];
    struct atls_dcap_quote parts;
    struct atls_bytes pem;
    size_t count = 0;
    bool ok;

    if (atls_dcap_quote_decode(quote, ATLS_DCAP_TDX, &parts, NULL) != ATLS_OK ||
        (parts.certification_type != ATLS_DCAP_CERTIFICATION_PCK_LEAF &&
         parts.certification_type != ATLS_DCAP_CERTIFICATION_PCK_CHAIN))
        return false;
    pem = parts.certification;
    if (pem.len > 0 && pem.ptr[pem.len - 1] == '\0')
        pem.len--;
    if (atls_certificates_parse(pem, chain, PCK_CHAIN_MAX, &count, NULL) != ATLS_OK)
        return false;
    ok = count > 0 && needs_of_pck(chain[0], out);
    for (size_t i = 0; i < count; i++)
        atls_certificate_unref(chain[i]);
    return ok;
}
