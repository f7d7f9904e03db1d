#include "attester/tsm/needs.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "wire/snp.h"
#include "wire/tdx.h"

#define FMSPC_LEN     6
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

/* FMSPC of a PCK certificate: a member of Intel's extension, SEQUENCE OF {OID, value}. */
static bool find_fmspc(const struct atls_certificate *pck, struct atls_bytes *out)
{
    static const uint8_t sgx[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    static const uint8_t fmspc[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0x04};
    size_t count = 0;
    struct atls_reader r =
        atls_reader_init(atls_certificate_extension(pck, atls_bytes_of(sgx, sizeof sgx), &count));
    struct atls_bytes all, row, oid;

    if (count != 1 || !atls_der_get(&r, ATLS_DER_SEQUENCE, &all))
        return false;
    r = atls_reader_init(all);
    while (atls_der_get(&r, ATLS_DER_SEQUENCE, &row)) {
        struct atls_reader members = atls_reader_init(row);

        if (atls_der_get(&members, ATLS_DER_OID, &oid) &&
            atls_bytes_equal(oid, atls_bytes_of(fmspc, sizeof fmspc)))
            return atls_der_get(&members, ATLS_DER_OCTET_STRING, out) && out->len == FMSPC_LEN;
    }
    return false;
}

/* "platform" or "processor", by the authority that issued pck. */
static const char *authority_of(const struct atls_certificate *pck)
{
    const struct atls_bytes cn = atls_certificate_issuer_cn(pck);

    if (atls_bytes_equal_text(cn, "Intel SGX PCK Platform CA"))
        return "platform";
    return atls_bytes_equal_text(cn, "Intel SGX PCK Processor CA") ? "processor" : NULL;
}

static bool needs_of_pck(const struct atls_certificate *pck, struct atls_tsm_needs *out)
{
    const char *authority = authority_of(pck);
    char fmspc_hex[2 * FMSPC_LEN + 1];
    struct atls_bytes fmspc;

    if (authority == NULL || !find_fmspc(pck, &fmspc))
        return false;
    out->count = 0;
    add(out, ATLS_COLLATERAL_TDX_TCB_INFO, atls_hex(fmspc, fmspc_hex, sizeof fmspc_hex), false);
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
    struct atls_tdx_quote parts;
    struct atls_bytes pem;
    size_t count = 0;
    bool ok;

    if (atls_tdx_quote_decode(quote, &parts, NULL) != ATLS_OK ||
        (parts.certification_type != ATLS_TDX_CERTIFICATION_PCK_LEAF &&
         parts.certification_type != ATLS_TDX_CERTIFICATION_PCK_CHAIN))
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
