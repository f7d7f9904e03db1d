#include "wire/hcl.h"

#include <string.h>

#include "core/err.h"

#define HEADER_LEN    32
#define DATA_HEAD_LEN 20
#define TDREPORT_LEN  1024
#define FIXED_LEN     (HEADER_LEN + ATLS_HCL_SLOT_LEN + DATA_HEAD_LEN)
/* Two RSA keys and a handful of settings: some 1200 bytes. */
#define VARIABLES_MAX 4096

static enum atls_code malformed(struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "HCL report: %s", rule);
}

static bool all_zero(struct atls_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] != 0)
            return false;
    return true;
}

/* The parts as they stand, before anything is made of them. */
struct parts {
    struct atls_bytes magic, reserved, slot, variables, padding;
    uint32_t version, report_size, request_type, status;
    uint32_t data_size, data_version, type, hash, variables_size;
};

static bool get_parts(struct atls_reader *r, struct parts *p)
{
    return atls_get_bytes(r, 4, &p->magic) && atls_get_u32le(r, &p->version) &&
           atls_get_u32le(r, &p->report_size) && atls_get_u32le(r, &p->request_type) &&
           atls_get_u32le(r, &p->status) && atls_get_bytes(r, 12, &p->reserved) &&
           atls_get_bytes(r, ATLS_HCL_SLOT_LEN, &p->slot) && atls_get_u32le(r, &p->data_size) &&
           atls_get_u32le(r, &p->data_version) && atls_get_u32le(r, &p->type) &&
           atls_get_u32le(r, &p->hash) && atls_get_u32le(r, &p->variables_size) &&
           p->variables_size >= 2 && p->variables_size <= VARIABLES_MAX &&
           atls_get_bytes(r, p->variables_size, &p->variables) &&
           atls_get_bytes(r, atls_reader_left(r), &p->padding);
}

static enum atls_code check_sizes(const struct parts *p, struct atls_err *err)
{
    if (!atls_bytes_equal_text(p->magic, "HCLA"))
        return malformed(err, "magic is not HCLA");
    if (p->version != 1 && p->version != 2)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                                "HCL report: version %u, want 1 or 2", (unsigned)p->version);
    /* Both sums are below 8 KiB: variables_size was checked. */
    if (p->report_size != FIXED_LEN + p->variables_size)
        return malformed(err, "report size is not that of its parts");
    if (p->data_size != DATA_HEAD_LEN + p->variables_size)
        return malformed(err, "data size is not that of its parts");
    if (p->data_version != 1)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                                "HCL report: data version %u, want 1", (unsigned)p->data_version);
    if (!all_zero(p->reserved))
        return malformed(err, "reserved bytes of the header are not zero");
    if (!all_zero(p->padding))
        return malformed(err, "bytes that are not zero follow the report");
    return ATLS_OK;
}

static enum atls_code pick_hash(uint32_t number, enum atls_hash *out, struct atls_err *err)
{
    static const enum atls_hash hashes[] = {ATLS_HASH_NONE, ATLS_HASH_SHA256, ATLS_HASH_SHA384,
                                            ATLS_HASH_SHA512};

    if (number == 0 || number >= sizeof hashes / sizeof hashes[0])
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "HCL report: hash type %u, want 1 to 3", (unsigned)number);
    *out = hashes[number];
    return ATLS_OK;
}

static enum atls_code pick_report(const struct parts *p, struct atls_hcl_report *out,
                                  struct atls_err *err)
{
    if (p->type == ATLS_HCL_SNP) {
        out->type = ATLS_HCL_SNP;
        out->hardware_report = p->slot;
        return ATLS_OK;
    }
    if (p->type != ATLS_HCL_TDX)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_TEE_TYPE,
                                "HCL report: type %u, want 2 (SNP) or 4 (TDX)", (unsigned)p->type);
    if (!all_zero(
            atls_bytes_of(p->slot.ptr + TDREPORT_LEN, (size_t)ATLS_HCL_SLOT_LEN - TDREPORT_LEN)))
        return malformed(err, "bytes that are not zero follow the TDREPORT");
    out->type = ATLS_HCL_TDX;
    out->hardware_report = atls_bytes_of(p->slot.ptr, TDREPORT_LEN);
    return ATLS_OK;
}

enum atls_code atls_hcl_report_decode(struct atls_bytes in, struct atls_hcl_report *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_hcl_report report;
    struct parts p;
    enum atls_code code;

    memset(&report, 0, sizeof report);
    if (in.len > ATLS_HCL_MAX || !get_parts(&r, &p))
        return malformed(err, "shorter than its parts, or longer than any");
    if ((code = check_sizes(&p, err)) != ATLS_OK ||
        (code = pick_hash(p.hash, &report.hash, err)) != ATLS_OK ||
        (code = pick_report(&p, &report, err)) != ATLS_OK)
        return code;
    report.variables = p.variables;
    *out = report;
    return ATLS_OK;
}
