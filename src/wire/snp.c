#include "wire/snp.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"

/* Offsets within the report. */
enum {
    AT_VERSION = 0x000,
    AT_GUEST_SVN = 0x004,
    AT_POLICY = 0x008,
    AT_FAMILY_ID = 0x010,
    AT_IMAGE_ID = 0x020,
    AT_VMPL = 0x030,
    AT_ALGORITHM = 0x034,
    AT_CURRENT_TCB = 0x038,
    AT_PLATFORM_INFO = 0x040,
    AT_KEY_INFO = 0x048,
    AT_RESERVED_1 = 0x04c,
    AT_REPORT_DATA = 0x050,
    AT_MEASUREMENT = 0x090,
    AT_HOST_DATA = 0x0c0,
    AT_ID_KEY = 0x0e0,
    AT_AUTHOR_KEY = 0x110,
    AT_REPORT_ID = 0x140,
    AT_REPORT_ID_MA = 0x160,
    AT_REPORTED_TCB = 0x180,
    AT_CPUID = 0x188,
    AT_RESERVED_2 = 0x18b,
    AT_CHIP_ID = 0x1a0,
    AT_COMMITTED_TCB = 0x1e0,
    AT_CURRENT_FIRMWARE = 0x1e8,
    AT_COMMITTED_FIRMWARE = 0x1ec,
    AT_LAUNCH_TCB = 0x1f0,
    AT_LAUNCH_MITIGATIONS = 0x1f8,
    AT_CURRENT_MITIGATIONS = 0x200,
    AT_RESERVED_3 = 0x208,
    AT_SIGNATURE = 0x2a0,
    AT_SIGNATURE_TAIL = 0x330,
};

#define VERSION_FIRST       2
#define VERSION_CPUID       3
#define VERSION_MITIGATIONS 5
#define VERSION_LAST        5
#define ECDSA_P384_SHA384   1
#define KEY_INFO_KNOWN      0x1fu
#define NUMBER_LEN          72 /* of r and of s */
#define NUMBER_USED         48

#define GUID_LEN    16
#define ENTRY_LEN   24
#define ENTRIES_MAX 64 /* the end is one of them */
#define TABLE_MAX   (1024 * 1024)

static const char *const line_names[ATLS_SNP_LINES] = {"", "Milan", "Genoa", "Turin", "Venice"};

const char *atls_snp_line_name(enum atls_snp_line line)
{
    return (unsigned int)line < ATLS_SNP_LINES ? line_names[line] : "";
}

enum atls_snp_line atls_snp_line_by_name(struct atls_bytes name)
{
    for (int line = ATLS_SNP_MILAN; line < ATLS_SNP_LINES; line++)
        if (atls_bytes_equal_text(name, line_names[line]))
            return (enum atls_snp_line)line;
    return ATLS_SNP_LINE_UNKNOWN;
}

enum atls_snp_line atls_snp_line_of_cpuid(uint8_t family, uint8_t model)
{
    static const struct {
        uint8_t family, first, last, line;
    } rows[] = {
        {0x19, 0x00, 0x0f, ATLS_SNP_MILAN},  {0x19, 0x10, 0x1f, ATLS_SNP_GENOA},
        {0x19, 0xa0, 0xaf, ATLS_SNP_GENOA},  {0x1a, 0x00, 0x11, ATLS_SNP_TURIN},
        {0x1a, 0x50, 0x57, ATLS_SNP_VENICE}, {0x1a, 0x90, 0xaf, ATLS_SNP_VENICE},
        {0x1a, 0xc0, 0xc7, ATLS_SNP_VENICE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (family == rows[i].family && model >= rows[i].first && model <= rows[i].last)
            return (enum atls_snp_line)rows[i].line;
    return ATLS_SNP_LINE_UNKNOWN;
}

static bool is_new_layout(enum atls_snp_line line)
{
    return line == ATLS_SNP_TURIN || line == ATLS_SNP_VENICE;
}

size_t atls_snp_chip_id_len(enum atls_snp_line line)
{
    return is_new_layout(line) ? 8 : ATLS_SNP_CHIP_ID_LEN;
}

bool atls_snp_tcb_read(enum atls_snp_line line, struct atls_bytes in, struct atls_snp_tcb *out)
{
    const uint8_t *b = in.ptr;
    struct atls_snp_tcb tcb = {0};

    if (in.len != 8 || (b[4] | b[5]) != 0)
        return false;
    if (is_new_layout(line)) {
        if (b[6] != 0)
            return false;
        tcb = (struct atls_snp_tcb){b[0], b[1], b[2], b[3], b[7]};
    } else {
        if ((b[2] | b[3]) != 0)
            return false;
        tcb = (struct atls_snp_tcb){0, b[0], b[1], b[6], b[7]};
    }
    if (((tcb.fmc | tcb.boot_loader | tcb.tee | tcb.snp) & 0x80) != 0)
        return false;
    *out = tcb;
    return true;
}

void atls_snp_tcb_write(enum atls_snp_line line, const struct atls_snp_tcb *tcb, uint8_t out[8])
{
    memset(out, 0, 8);
    if (is_new_layout(line)) {
        out[0] = tcb->fmc;
        out[1] = tcb->boot_loader;
        out[2] = tcb->tee;
        out[3] = tcb->snp;
    } else {
        out[0] = tcb->boot_loader;
        out[1] = tcb->tee;
        out[6] = tcb->snp;
    }
    out[7] = tcb->microcode;
}

bool atls_snp_tcb_covers(const struct atls_snp_tcb *a, const struct atls_snp_tcb *b)
{
    return a->fmc >= b->fmc && a->boot_loader >= b->boot_loader && a->tee >= b->tee &&
           a->snp >= b->snp && a->microcode >= b->microcode;
}

static uint32_t u32_at(struct atls_bytes in, size_t at)
{
    const uint8_t *b = in.ptr + at;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint64_t u64_at(struct atls_bytes in, size_t at)
{
    return u32_at(in, at) | (uint64_t)u32_at(in, at + 4) << 32;
}

static struct atls_bytes part(struct atls_bytes in, size_t at, size_t len)
{
    return atls_bytes_of(in.ptr + at, len);
}

static bool is_zero(struct atls_bytes in, size_t from, size_t to)
{
    return atls_bytes_are_zero(part(in, from, to - from));
}

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "SNP report: %s", what);
}

static enum atls_code check_reserved(struct atls_bytes in, uint32_t version, struct atls_err *err)
{
    const size_t unused_2 = version >= VERSION_CPUID ? AT_RESERVED_2 : AT_CPUID;
    const size_t unused_3 = version >= VERSION_MITIGATIONS ? AT_RESERVED_3 : AT_LAUNCH_MITIGATIONS;

    if ((u64_at(in, AT_POLICY) & ATLS_SNP_POLICY_ONE) == 0)
        return malformed(err, "bit 17 of the policy is not set");
    if ((u32_at(in, AT_KEY_INFO) & ~KEY_INFO_KNOWN) != 0)
        return malformed(err, "reserved bits of KEY_INFO are not zero");
    if (!is_zero(in, AT_RESERVED_1, AT_REPORT_DATA) || !is_zero(in, unused_2, AT_CHIP_ID) ||
        !is_zero(in, AT_CURRENT_FIRMWARE + 3, AT_COMMITTED_FIRMWARE) ||
        !is_zero(in, AT_COMMITTED_FIRMWARE + 3, AT_LAUNCH_TCB) ||
        !is_zero(in, unused_3, AT_SIGNATURE))
        return malformed(err, "reserved bytes are not zero");
    if (!is_zero(in, AT_SIGNATURE + NUMBER_USED, AT_SIGNATURE + NUMBER_LEN) ||
        !is_zero(in, AT_SIGNATURE + NUMBER_LEN + NUMBER_USED, AT_SIGNATURE_TAIL) ||
        !is_zero(in, AT_SIGNATURE_TAIL, ATLS_SNP_REPORT_LEN))
        return malformed(err, "bytes of the signature beyond 384 bits of r and s are not zero");
    return ATLS_OK;
}

static enum atls_code check_head(struct atls_bytes in, struct atls_err *err)
{
    uint32_t version, algorithm;

    if (in.len != ATLS_SNP_REPORT_LEN)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP report: %zu bytes, want %d", in.len, ATLS_SNP_REPORT_LEN);
    version = u32_at(in, AT_VERSION);
    if (version < VERSION_FIRST || version > VERSION_LAST)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                                "SNP report: version %u, want %d to %d", (unsigned)version,
                                VERSION_FIRST, VERSION_LAST);
    algorithm = u32_at(in, AT_ALGORITHM);
    if (algorithm != ECDSA_P384_SHA384)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "SNP report: signature algorithm %u, want %d", (unsigned)algorithm,
                                ECDSA_P384_SHA384);
    return check_reserved(in, version, err);
}

static enum atls_code read_signer(struct atls_snp_report *out, struct atls_err *err)
{
    const unsigned int signer = out->key_info >> 2 & 7;

    if (signer == ATLS_SNP_UNSIGNED)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNSIGNED_REPORT,
                                "SNP report: not signed by any key");
    if (signer != ATLS_SNP_VCEK && signer != ATLS_SNP_VLEK)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SNP report: signing key %u is reserved", signer);
    out->signer = (enum atls_snp_signer)signer;
    return ATLS_OK;
}

static struct atls_snp_firmware firmware_at(struct atls_bytes in, size_t at)
{
    const struct atls_snp_firmware f = {in.ptr[at + 2], in.ptr[at + 1], in.ptr[at]};

    return f;
}

static void read_fields(struct atls_bytes in, struct atls_snp_report *out)
{
    out->version = u32_at(in, AT_VERSION);
    out->guest_svn = u32_at(in, AT_GUEST_SVN);
    out->policy = u64_at(in, AT_POLICY);
    out->vmpl = u32_at(in, AT_VMPL);
    out->platform_info = u64_at(in, AT_PLATFORM_INFO);
    out->key_info = u32_at(in, AT_KEY_INFO);
    out->family_id = part(in, AT_FAMILY_ID, 16);
    out->image_id = part(in, AT_IMAGE_ID, 16);
    out->report_data = part(in, AT_REPORT_DATA, ATLS_SNP_REPORT_DATA_LEN);
    out->measurement = part(in, AT_MEASUREMENT, ATLS_SNP_DIGEST_LEN);
    out->host_data = part(in, AT_HOST_DATA, 32);
    out->id_key_digest = part(in, AT_ID_KEY, ATLS_SNP_DIGEST_LEN);
    out->author_key_digest = part(in, AT_AUTHOR_KEY, ATLS_SNP_DIGEST_LEN);
    out->report_id = part(in, AT_REPORT_ID, 32);
    out->report_id_ma = part(in, AT_REPORT_ID_MA, 32);
    out->chip_id = part(in, AT_CHIP_ID, ATLS_SNP_CHIP_ID_LEN);
    out->current_tcb = part(in, AT_CURRENT_TCB, 8);
    out->reported_tcb = part(in, AT_REPORTED_TCB, 8);
    out->committed_tcb = part(in, AT_COMMITTED_TCB, 8);
    out->launch_tcb = part(in, AT_LAUNCH_TCB, 8);
    out->has_cpuid = out->version >= VERSION_CPUID;
    out->cpuid_family = in.ptr[AT_CPUID];
    out->cpuid_model = in.ptr[AT_CPUID + 1];
    out->cpuid_stepping = in.ptr[AT_CPUID + 2];
    out->current = firmware_at(in, AT_CURRENT_FIRMWARE);
    out->committed = firmware_at(in, AT_COMMITTED_FIRMWARE);
    out->has_mitigations = out->version >= VERSION_MITIGATIONS;
    out->launch_mitigations = u64_at(in, AT_LAUNCH_MITIGATIONS);
    out->current_mitigations = u64_at(in, AT_CURRENT_MITIGATIONS);
    out->signed_part = part(in, 0, ATLS_SNP_SIGNED_LEN);
}

enum atls_code atls_snp_report_decode(struct atls_bytes in, struct atls_snp_report *out,
                                      struct atls_err *err)
{
    struct atls_snp_report report;
    enum atls_code code;

    memset(&report, 0, sizeof report);
    if ((code = check_head(in, err)) != ATLS_OK)
        return code;
    read_fields(in, &report);
    if ((code = read_signer(&report, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < NUMBER_USED; i++) {
        report.signature[i] = in.ptr[AT_SIGNATURE + NUMBER_USED - 1 - i];
        report.signature[NUMBER_USED + i] = in.ptr[AT_SIGNATURE + NUMBER_LEN + NUMBER_USED - 1 - i];
    }
    *out = report;
    return ATLS_OK;
}

/* ---- certificate table ---- */

enum { SLOT_VCEK, SLOT_VLEK, SLOT_ASK, SLOT_ARK, SLOT_COUNT };

/* In the order of their text form. */
static const uint8_t guids[SLOT_COUNT][GUID_LEN] = {
    {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
     0xcd},
    {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
     0xa1},
    {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
     0x82},
    {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
     0xae},
};

static enum atls_code bad_table(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "SNP certificate table: %s",
                            what);
}

static struct atls_bytes *slot_of(struct atls_snp_certificates *c, size_t slot)
{
    struct atls_bytes *const slots[SLOT_COUNT] = {&c->vcek, &c->vlek, &c->ask, &c->ark};

    return slots[slot];
}

/* Length of the entries with their end; 0 when there is none. */
static size_t header_len(struct atls_bytes in)
{
    for (size_t at = 0; in.len - at >= ENTRY_LEN; at += ENTRY_LEN)
        if (is_zero(in, at, at + ENTRY_LEN))
            return at + ENTRY_LEN;
    return 0;
}

static bool guid_stands_before(struct atls_bytes in, size_t at)
{
    for (size_t i = 0; i < at; i += ENTRY_LEN)
        if (memcmp(in.ptr + i, in.ptr + at, GUID_LEN) == 0)
            return true;
    return false;
}

enum atls_code atls_snp_certificates_decode(struct atls_bytes in, struct atls_snp_certificates *out,
                                            struct atls_err *err)
{
    struct atls_snp_certificates found;
    const size_t header = header_len(in);

    memset(&found, 0, sizeof found);
    if (header == 0)
        return bad_table(err, "no entry of zeros ends it");
    if (header / ENTRY_LEN > ENTRIES_MAX)
        return bad_table(err, "too many entries");
    for (size_t at = 0; at + ENTRY_LEN < header; at += ENTRY_LEN) {
        const uint64_t offset = u32_at(in, at + GUID_LEN), len = u32_at(in, at + GUID_LEN + 4);

        if (guid_stands_before(in, at))
            return bad_table(err, "a GUID stands there twice");
        if (len == 0 || offset < header || offset + len > in.len)
            return bad_table(err, "a certificate is empty, or does not lie behind the entries");
        for (size_t slot = 0; slot < SLOT_COUNT; slot++)
            if (memcmp(in.ptr + at, guids[slot], GUID_LEN) == 0)
                *slot_of(&found, slot) = part(in, (size_t)offset, (size_t)len);
    }
    *out = found;
    return ATLS_OK;
}

enum atls_code atls_snp_certificates_encode(const struct atls_snp_certificates *certificates,
                                            struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(TABLE_MAX);
    struct atls_snp_certificates copy = *certificates;
    size_t at = ENTRY_LEN;

    for (size_t slot = 0; slot < SLOT_COUNT; slot++)
        at += slot_of(&copy, slot)->len != 0 ? ENTRY_LEN : 0;
    for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
        const struct atls_bytes c = *slot_of(&copy, slot);

        if (c.len == 0)
            continue;
        atls_put_bytes(&w, atls_bytes_of(guids[slot], GUID_LEN));
        atls_put_u32le(&w, (uint32_t)at);
        atls_put_u32le(&w, (uint32_t)c.len);
        at += c.len;
    }
    for (size_t i = 0; i < ENTRY_LEN; i++)
        atls_put_u8(&w, 0);
    for (size_t slot = 0; slot < SLOT_COUNT; slot++)
        if (slot_of(&copy, slot)->len != 0)
            atls_put_bytes(&w, *slot_of(&copy, slot));
    return atls_writer_finish(&w, out, err);
}
