/* Intel TDX quotes (DCAP, version 4 and 5), byte by byte. Fields are little-endian; keys and
 * signatures are raw big-endian x || y and r || s, 32 bytes each. Pure codec: nothing is verified.
 */
#ifndef ATLS_WIRE_TDX_H
#define ATLS_WIRE_TDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#define ATLS_TYPE_TDX_QUOTE "application/tdx-quote"

#define ATLS_TDX_HEADER_LEN      48
#define ATLS_TDX_BODY_10_LEN     584
#define ATLS_TDX_BODY_15_LEN     648
#define ATLS_TDX_SVN_LEN         16
#define ATLS_TDX_MR_LEN          48
#define ATLS_TDX_RTMRS           4
#define ATLS_TDX_REPORT_DATA_LEN 64
#define ATLS_SGX_REPORT_LEN      384
/* A quote is some 5 KiB, padded by clouds to 8000; its QE authentication data could be 64 KiB. */
#define ATLS_TDX_QUOTE_MAX (80 * 1024)

#define ATLS_TDX_TEE_TYPE       0x81u
#define ATLS_TDX_KEY_ECDSA_P256 2
#define ATLS_TDX_BODY_TYPE_10   2
#define ATLS_TDX_BODY_TYPE_15   3

/* Bits of TDATTRIBUTES. */
#define ATLS_TDX_ATTRIBUTE_DEBUG           (UINT64_C(1) << 0)
#define ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE (UINT64_C(1) << 28)

/* What certification data is. */
enum atls_tdx_certification {
    ATLS_TDX_CERTIFICATION_PCK_LEAF = 4,  /* PEM */
    ATLS_TDX_CERTIFICATION_PCK_CHAIN = 5, /* PEM: leaf, intermediate, root */
    ATLS_TDX_CERTIFICATION_QE_REPORT = 6,
};

/* TD report body; every view borrows and has the length of its field. */
struct atls_tdx_body {
    bool is_15;                /* TD 1.5: has the last two fields */
    struct atls_bytes tcb_svn; /* [0] module SVN, [1] module version, [2] microcode update */
    struct atls_bytes mr_seam, mr_signer_seam;
    uint64_t seam_attributes, td_attributes, xfam;
    struct atls_bytes mr_td, mr_config_id, mr_owner, mr_owner_config;
    struct atls_bytes rtmr[ATLS_TDX_RTMRS];
    struct atls_bytes report_data;   /* 64 bytes */
    struct atls_bytes tcb_svn2;      /* 1.5, else empty: of the module that is loaded now */
    struct atls_bytes mr_service_td; /* 1.5, else empty */
};

/* SGX report body, of the quoting enclave. */
struct atls_sgx_report {
    struct atls_bytes raw; /* all 384 bytes: what is signed */
    struct atls_bytes cpu_svn, misc_select, attributes, mr_enclave, mr_signer, report_data;
    uint16_t isv_prod_id, isv_svn;
};

struct atls_tdx_quote {
    uint16_t version;              /* 4 or 5 */
    struct atls_bytes user_data;   /* 20 bytes of the header */
    struct atls_bytes signed_part; /* header, descriptor, body: what the attestation key signs */
    struct atls_tdx_body body;
    struct atls_bytes signature;       /* r || s */
    struct atls_bytes attestation_key; /* x || y */
    struct atls_sgx_report qe_report;
    struct atls_bytes qe_signature; /* of qe_report, by the PCK key */
    struct atls_bytes qe_auth;      /* any length */
    uint16_t certification_type;    /* 1 to 5 */
    struct atls_bytes certification;
    struct atls_bytes trailing; /* after the signature data; usually empty or zeros */
};

/* Reads a quote. *out borrows from in and is written on success only. Errors: ATLS_E_UNSUPPORTED
 * (unsupported-version, unsupported-algorithm), ATLS_E_EVIDENCE (vendor-id, tee-type), all told
 * from the header before what follows is read; ATLS_E_DECODE (malformed), also where lengths do not
 * nest exactly; ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code
atls_tdx_quote_decode(struct atls_bytes in, struct atls_tdx_quote *out, struct atls_err *err);

/* Reads an SGX report body of exactly 384 bytes. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code
atls_sgx_report_decode(struct atls_bytes in, struct atls_sgx_report *out, struct atls_err *err);

/* The event log of the guest's firmware and boot (the area that ACPI table CCEL describes, padding
 * allowed), among a bundle's endorsements. */
#define ATLS_TDX_EVENT_LOG      "tdx-ccel"
#define ATLS_TDX_EVENT_LOG_TYPE "application/octet-stream"

/* The log without the padding of the area that ACPI table CCEL describes: it ends where everything
 * that follows an event is zeros or everything is 0xff. Errors: those of atls_event_log_open and
 * atls_event_log_next; ATLS_E_DECODE for a log that is not crypto agile. */
ATLS_MUST_CHECK enum atls_code atls_ccel_trim(struct atls_bytes area, struct atls_bytes *out,
                                              struct atls_err *err);

/* ACPI table CCEL (at least 56 bytes): where the log area is. */
struct atls_ccel_table {
    uint8_t type, subtype; /* 2: TDX */
    uint64_t area_len, area_address;
};
/* Errors: ATLS_E_DECODE (signature, length). */
ATLS_MUST_CHECK enum atls_code
atls_ccel_table_decode(struct atls_bytes in, struct atls_ccel_table *out, struct atls_err *err);

#endif
