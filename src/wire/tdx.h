/* Intel TDX: bodies of quotes (DCAP, version 4 and 5) and event logs, byte by byte. Fields are
 * little-endian. Pure codec: nothing is verified. */
#ifndef ATLS_WIRE_TDX_H
#define ATLS_WIRE_TDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "wire/dcap.h"

#define ATLS_TYPE_TDX_QUOTE "application/tdx-quote"

#define ATLS_TDX_SVN_LEN         16
#define ATLS_TDX_MR_LEN          48
#define ATLS_TDX_RTMRS           4
#define ATLS_TDX_REPORT_DATA_LEN 64

/* Bits of TDATTRIBUTES. */
#define ATLS_TDX_ATTRIBUTE_DEBUG           (UINT64_C(1) << 0)
#define ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE (UINT64_C(1) << 28)

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

struct atls_tdx_quote {
    struct atls_dcap_quote dcap; /* version 4 or 5 */
    struct atls_tdx_body body;
};

/* Reads a quote. *out borrows from in and is written on success only. Errors: those of
 * atls_dcap_quote_decode. */
ATLS_MUST_CHECK enum atls_code
atls_tdx_quote_decode(struct atls_bytes in, struct atls_tdx_quote *out, struct atls_err *err);

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
