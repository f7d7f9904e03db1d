/* Reports of AMD SEV-SNP (ATTESTATION_REPORT) and the certificate table that hosts hand out with
 * them. Pure codec: the one place that knows where a field stands.
 *
 *     struct atls_snp_report report;
 *
 *     if ((code = atls_snp_report_decode(in, &report, err)) == ATLS_OK)
 *         ... verify report.signature over report.signed_part, then believe the rest ...
 *
 * Integers in the report are little-endian. */
#ifndef ATLS_WIRE_SNP_H
#define ATLS_WIRE_SNP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#define ATLS_TYPE_SNP_REPORT "application/vnd.amd.sev-snp.attestation-report"

#define ATLS_SNP_REPORT_LEN      1184
#define ATLS_SNP_SIGNED_LEN      672
#define ATLS_SNP_SIGNATURE_LEN   96 /* r || s, big-endian */
#define ATLS_SNP_REPORT_DATA_LEN 64
#define ATLS_SNP_DIGEST_LEN      48
#define ATLS_SNP_CHIP_ID_LEN     64

/* Lines of processors. Siena and Bergamo are of the line Genoa. */
enum atls_snp_line {
    ATLS_SNP_LINE_UNKNOWN = 0,
    ATLS_SNP_MILAN = 1,
    ATLS_SNP_GENOA = 2,
    ATLS_SNP_TURIN = 3,
    ATLS_SNP_VENICE = 4,
};
#define ATLS_SNP_LINES 5

/* "Milan", as AMD's certificates have it; "" for UNKNOWN. Static. */
const char *atls_snp_line_name(enum atls_snp_line line);
/* The line with this name, upper and lower case as AMD has it, or UNKNOWN. */
enum atls_snp_line atls_snp_line_by_name(struct atls_bytes name);
/* By combined family and model of CPUID, or UNKNOWN. */
enum atls_snp_line atls_snp_line_of_cpuid(uint8_t family, uint8_t model);
/* Bytes of a chip's id: 64, from Turin on 8. */
size_t atls_snp_chip_id_len(enum atls_snp_line line);

/* Components of a TCB_VERSION; what a line has not is 0. */
struct atls_snp_tcb {
    uint8_t fmc, boot_loader, tee, snp, microcode;
};
/* The 8 bytes of a TCB_VERSION in the layout of line, which is known. False when reserved bytes are
 * not zero, or a component but microcode is above 127. */
ATLS_MUST_CHECK bool atls_snp_tcb_read(enum atls_snp_line line, struct atls_bytes in,
                                       struct atls_snp_tcb *out);
/* The other way. */
void atls_snp_tcb_write(enum atls_snp_line line, const struct atls_snp_tcb *tcb, uint8_t out[8]);
/* No component of a is below that of b. */
bool atls_snp_tcb_covers(const struct atls_snp_tcb *a, const struct atls_snp_tcb *b);

/* POLICY */
#define ATLS_SNP_POLICY_ABI       UINT64_C(0xffff) /* least ABI of the firmware: major << 8, minor */
#define ATLS_SNP_POLICY_SMT       (UINT64_C(1) << 16)
#define ATLS_SNP_POLICY_ONE       (UINT64_C(1) << 17) /* always set */
#define ATLS_SNP_POLICY_MIGRATION (UINT64_C(1) << 18)
#define ATLS_SNP_POLICY_DEBUG     (UINT64_C(1) << 19)
#define ATLS_SNP_POLICY_KNOWN     UINT64_C(0x3ffffff) /* all that is defined */
/* PLATFORM_INFO */
#define ATLS_SNP_PLATFORM_SMT UINT64_C(1)
/* KEY_INFO */
#define ATLS_SNP_AUTHOR_KEY  1u
#define ATLS_SNP_MASKED_CHIP 2u
/* VMPL of a report that the host asked for. */
#define ATLS_SNP_VMPL_HOST UINT32_C(0xffffffff)

enum atls_snp_signer {
    ATLS_SNP_VCEK = 0, /* of the chip */
    ATLS_SNP_VLEK = 1, /* of the cloud's operator */
    ATLS_SNP_UNSIGNED = 7,
};

/* Firmware as it counts itself. */
struct atls_snp_firmware {
    uint8_t major, minor, build;
};

/* Everything borrows from the report. */
struct atls_snp_report {
    uint32_t version; /* 2..5 */
    uint32_t guest_svn;
    uint64_t policy;
    uint32_t vmpl;
    uint64_t platform_info;
    uint32_t key_info;
    enum atls_snp_signer signer;
    struct atls_bytes family_id, image_id;       /* 16 */
    struct atls_bytes report_data;               /* 64 */
    struct atls_bytes measurement;               /* 48 */
    struct atls_bytes host_data;                 /* 32 */
    struct atls_bytes id_key_digest;             /* 48 */
    struct atls_bytes author_key_digest;         /* 48 */
    struct atls_bytes report_id, report_id_ma;   /* 32 */
    struct atls_bytes chip_id;                   /* 64 */
    struct atls_bytes current_tcb, reported_tcb; /* 8: atls_snp_tcb_read */
    struct atls_bytes committed_tcb, launch_tcb; /* 8 */
    bool has_cpuid;                              /* from version 3 on */
    uint8_t cpuid_family, cpuid_model, cpuid_stepping;
    struct atls_snp_firmware current, committed;
    bool has_mitigations; /* from version 5 on */
    uint64_t launch_mitigations, current_mitigations;
    struct atls_bytes signed_part; /* 672 */
    uint8_t signature[ATLS_SNP_SIGNATURE_LEN];
};

/* Exactly ATLS_SNP_REPORT_LEN bytes. Bits of the policy that are not defined yet are the caller's
 * to judge (ATLS_SNP_POLICY_KNOWN). Errors: ATLS_E_DECODE (malformed: length, reserved bytes and
 * bits, signer), ATLS_E_UNSUPPORTED (unsupported-version, unsupported-algorithm), ATLS_E_EVIDENCE
 * (unsigned-report). */
ATLS_MUST_CHECK enum atls_code
atls_snp_report_decode(struct atls_bytes in, struct atls_snp_report *out, struct atls_err *err);

/* Certificates of a table, each absent (.ptr NULL) or not empty; they borrow. Nobody vouches for
 * them. */
struct atls_snp_certificates {
    struct atls_bytes vcek, vlek, ask, ark; /* ask: an ASVK as well */
};

/* {GUID 16 bytes, offset u32, length u32}s up to one of zeros, then the certificates in any order,
 * with anything between and behind them; GUIDs that are not known are passed over. Errors:
 * ATLS_E_DECODE (malformed: no end, a GUID twice, a certificate that is empty or not behind the
 * entries and within the table). */
ATLS_MUST_CHECK enum atls_code atls_snp_certificates_decode(struct atls_bytes in,
                                                            struct atls_snp_certificates *out,
                                                            struct atls_err *err);
/* Such a table of what is there. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT (1 MiB). */
ATLS_MUST_CHECK enum atls_code
atls_snp_certificates_encode(const struct atls_snp_certificates *certificates, struct atls_buf *out,
                             struct atls_err *err);

#endif
