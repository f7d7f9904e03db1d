#include <inttypes.h>
#include <stdio.h>

#include "core/err.h"
#include "verifier/inspect/view.h"
#include "wire/snp.h"

static void put_hex64(struct atls_json *j, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "0x%" PRIx64, value);
    atls_json_put_string(j, key, text);
}

struct bit {
    uint64_t bit;
    const char *name;
};

static void put_bits(struct atls_json *j, const char *key, uint64_t value, const struct bit *bits,
                     size_t count)
{
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++)
        if ((value & bits[i].bit) != 0)
            atls_json_put_string(j, NULL, bits[i].name);
    atls_json_close(j);
}

static void put_policy(struct atls_json *j, uint64_t policy)
{
    static const struct bit bits[] = {
        {ATLS_SNP_POLICY_SMT, "smt"},
        {ATLS_SNP_POLICY_MIGRATION, "migration-agent"},
        {ATLS_SNP_POLICY_DEBUG, "debug"},
        {UINT64_C(1) << 20, "single-socket"},
        {UINT64_C(1) << 21, "cxl"},
        {UINT64_C(1) << 22, "memory-aes-256-xts"},
        {UINT64_C(1) << 23, "rapl-disabled"},
        {UINT64_C(1) << 24, "ciphertext-hiding"},
        {UINT64_C(1) << 25, "page-swap-disabled"},
    };
    char abi[16];

    snprintf(abi, sizeof abi, "%u.%u", (unsigned int)(policy >> 8 & 0xff),
             (unsigned int)(policy & 0xff));
    atls_json_open_object(j, "policy");
    put_hex64(j, "value", policy);
    atls_json_put_string(j, "least-abi", abi);
    put_bits(j, "allowed-or-required", policy, bits, sizeof bits / sizeof bits[0]);
    atls_json_close(j);
}

static void put_platform(struct atls_json *j, const struct atls_snp_report *r)
{
    static const struct bit bits[] = {
        {ATLS_SNP_PLATFORM_SMT, "smt"},
        {UINT64_C(1) << 1, "tsme"},
        {UINT64_C(1) << 2, "ecc"},
        {UINT64_C(1) << 3, "rapl-disabled"},
        {UINT64_C(1) << 4, "ciphertext-hiding"},
        {UINT64_C(1) << 5, "alias-check-complete"},
        {UINT64_C(1) << 7, "tio"},
    };
    enum atls_snp_line line = atls_snp_line_of_cpuid(r->cpuid_family, r->cpuid_model);

    atls_json_open_object(j, "platform");
    put_hex64(j, "value", r->platform_info);
    put_bits(j, "states", r->platform_info, bits, sizeof bits / sizeof bits[0]);
    if (r->has_cpuid) {
        atls_json_put_uint(j, "cpuid-family", r->cpuid_family);
        atls_json_put_uint(j, "cpuid-model", r->cpuid_model);
        atls_json_put_uint(j, "cpuid-stepping", r->cpuid_stepping);
        if (line != ATLS_SNP_LINE_UNKNOWN)
            atls_json_put_string(j, "product-line", atls_snp_line_name(line));
    }
    atls_json_close(j);
}

/* Its components, where the report says which layout they have: before version 3, all have that of
 * Milan and Genoa. */
static void put_tcb(struct atls_json *j, const char *key, const struct atls_snp_report *r,
                    struct atls_bytes tcb)
{
    enum atls_snp_line line =
        r->has_cpuid ? atls_snp_line_of_cpuid(r->cpuid_family, r->cpuid_model) : ATLS_SNP_MILAN;
    struct atls_snp_tcb parts;

    atls_json_open_object(j, key);
    atls_json_put_hex(j, "value", tcb);
    if (line != ATLS_SNP_LINE_UNKNOWN && atls_snp_tcb_read(line, tcb, &parts)) {
        if (line == ATLS_SNP_TURIN || line == ATLS_SNP_VENICE)
            atls_json_put_uint(j, "fmc", parts.fmc);
        atls_json_put_uint(j, "boot-loader", parts.boot_loader);
        atls_json_put_uint(j, "tee", parts.tee);
        atls_json_put_uint(j, "snp", parts.snp);
        atls_json_put_uint(j, "microcode", parts.microcode);
    }
    atls_json_close(j);
}

static void put_firmware(struct atls_json *j, const char *key, const struct atls_snp_firmware *f)
{
    char text[16];

    snprintf(text, sizeof text, "%u.%u.%u", f->major, f->minor, f->build);
    atls_json_put_string(j, key, text);
}

static void put_levels(struct atls_json *j, const struct atls_snp_report *r)
{
    put_tcb(j, "current-tcb", r, r->current_tcb);
    put_tcb(j, "reported-tcb", r, r->reported_tcb);
    put_tcb(j, "committed-tcb", r, r->committed_tcb);
    put_tcb(j, "launch-tcb", r, r->launch_tcb);
    put_firmware(j, "current-firmware", &r->current);
    put_firmware(j, "committed-firmware", &r->committed);
    if (r->has_mitigations) {
        put_hex64(j, "launch-mitigations", r->launch_mitigations);
        put_hex64(j, "current-mitigations", r->current_mitigations);
    }
}

static void put_key_info(struct atls_json *j, const struct atls_snp_report *r)
{
    atls_json_put_string(j, "signing-key", r->signer == ATLS_SNP_VLEK ? "vlek" : "vcek");
    atls_json_put_bool(j, "author-key", (r->key_info & ATLS_SNP_AUTHOR_KEY) != 0);
    atls_json_put_bool(j, "chip-id-masked", (r->key_info & ATLS_SNP_MASKED_CHIP) != 0);
}

static void put_report(struct atls_json *j, const struct atls_snp_report *r)
{
    atls_json_put_uint(j, "version", r->version);
    atls_json_put_uint(j, "guest-svn", r->guest_svn);
    put_policy(j, r->policy);
    if (r->vmpl == ATLS_SNP_VMPL_HOST)
        atls_json_put_string(j, "vmpl", "host");
    else
        atls_json_put_uint(j, "vmpl", r->vmpl);
    put_platform(j, r);
    put_key_info(j, r);
    atls_json_put_hex(j, "report-data", r->report_data);
    atls_json_put_hex(j, "measurement", r->measurement);
    atls_json_put_hex(j, "host-data", r->host_data);
    atls_json_put_hex(j, "family-id", r->family_id);
    atls_json_put_hex(j, "image-id", r->image_id);
    atls_json_put_hex(j, "id-key-digest", r->id_key_digest);
    atls_json_put_hex(j, "author-key-digest", r->author_key_digest);
    atls_json_put_hex(j, "report-id", r->report_id);
    atls_json_put_hex(j, "report-id-ma", r->report_id_ma);
    atls_json_put_hex(j, "chip-id", r->chip_id);
    put_levels(j, r);
    atls_json_put_hex(j, "signature", atls_bytes_of(r->signature, sizeof r->signature));
}

static void put_certificates(struct atls_view *v, const struct atls_snp_certificates *c)
{
    const struct {
        const char *name;
        struct atls_bytes der;
    } members[] = {{"vcek", c->vcek}, {"vlek", c->vlek}, {"ask", c->ask}, {"ark", c->ark}};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (members[i].der.ptr != NULL)
            atls_view_or_hex(v, members[i].name, members[i].der, atls_view_certificate);
}

enum atls_code atls_view_snp_certificates(struct atls_view *v, const char *key,
                                          struct atls_bytes in)
{
    struct atls_snp_certificates c;
    enum atls_code code = atls_snp_certificates_decode(in, &c, v->err);

    if (code != ATLS_OK)
        return code;
    /* Most anything could be a table of which nothing is known. */
    if (c.vcek.ptr == NULL && c.vlek.ptr == NULL && c.ask.ptr == NULL && c.ark.ptr == NULL)
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP certificate table: no entry of a GUID that is known");
    atls_json_open_object(v->j, key);
    put_certificates(v, &c);
    atls_json_close(v->j);
    return ATLS_OK;
}

/* A report, and the certificate table where it follows. */
enum atls_code atls_view_snp_report(struct atls_view *v, const char *key, struct atls_bytes in)
{
    bool has_table = in.len > ATLS_SNP_REPORT_LEN;
    struct atls_snp_certificates c;
    struct atls_snp_report r;
    struct atls_bytes table = {NULL, 0};
    enum atls_code code;

    if (has_table) {
        table = atls_bytes_of(in.ptr + ATLS_SNP_REPORT_LEN, in.len - ATLS_SNP_REPORT_LEN);
        in.len = ATLS_SNP_REPORT_LEN;
    }
    if ((code = atls_snp_report_decode(in, &r, v->err)) != ATLS_OK ||
        (has_table && (code = atls_snp_certificates_decode(table, &c, v->err)) != ATLS_OK))
        return code;
    atls_json_open_object(v->j, key);
    put_report(v->j, &r);
    if (has_table) {
        atls_json_open_object(v->j, "certificates");
        put_certificates(v, &c);
        atls_json_close(v->j);
    }
    atls_json_close(v->j);
    return ATLS_OK;
}
