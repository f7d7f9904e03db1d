/* The report that the paravisor of a confidential machine on Azure keeps in its virtual TPM (NV
 * index 0x01400001): a hardware report whose report data is the hash of a JSON text, and that text,
 * which names the virtual TPM's attestation key. Pure codec.
 *
 *     header    32: "HCLA" | version 1 or 2 | report size | request type | status | 12 reserved
 *     slot    1184: SNP report, or TDREPORT (1024) and zeros
 *     1216       : data size | version 1 | type 2 SNP, 4 TDX | hash 1..3 | size of the JSON
 *     1236       : JSON, then zeros to the end of the NV index
 *
 * Integers are little-endian. Report size counts header, slot, the 20 bytes at 1216 and JSON; data
 * size counts the 20 bytes and JSON. */
#ifndef ATLS_WIRE_HCL_H
#define ATLS_WIRE_HCL_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/crypto.h>

#include "core/reader.h"
#include "core/writer.h"

/* Record of a bundle's endorsements that holds one. */
#define ATLS_TYPE_HCL_REPORT  "application/vnd.libatls.hcl-report"
#define ATLS_LABEL_HCL_REPORT "hcl-report"
/* Beside one of type TDX: the quote over the same report data. */
#define ATLS_LABEL_TDX_QUOTE "tdx-quote"

#define ATLS_HCL_SLOT_LEN 1184
/* NV indices of a TPM are smaller than that. */
#define ATLS_HCL_MAX 8192

enum atls_hcl_type { ATLS_HCL_SNP = 2, ATLS_HCL_TDX = 4 };

struct atls_hcl_report {
    enum atls_hcl_type type;
    struct atls_bytes hardware_report; /* SNP: 1184 bytes; TDX: the TDREPORT, 1024 */
    enum atls_hash hash;               /* of variables, in the report data */
    struct atls_bytes variables;       /* JSON, exactly the bytes that were hashed */
};

/* *out borrows from in and is written on success only. Errors: ATLS_E_DECODE (malformed),
 * ATLS_E_UNSUPPORTED (unsupported-version, tee-type, unsupported-algorithm). */
ATLS_MUST_CHECK enum atls_code
atls_hcl_report_decode(struct atls_bytes in, struct atls_hcl_report *out, struct atls_err *err);

#define ATLS_HCL_USER_DATA_LEN 64
#define ATLS_HCL_MACHINE_MAX   64

/* What the JSON says; not to be read before its hash was found in a verified report. */
struct atls_hcl_variables {
    struct atls_buf attestation_key; /* SubjectPublicKeyInfo (DER) of "HCLAkPub", RSA */
    bool has_user_data;              /* hosts of older age leave it out */
    uint8_t user_data[ATLS_HCL_USER_DATA_LEN];
    char machine[ATLS_HCL_MACHINE_MAX]; /* vmUniqueId, NUL terminated; "" when absent */
    bool has_secure_boot, secure_boot;
};
void atls_hcl_variables_clear(struct atls_hcl_variables *variables); /* NULL is fine */

/* Exactly one key named HCLAkPub, an RSA key of 2048 to 4096 bits; other members are passed over,
 * names that stand twice are refused anywhere. *out is the caller's to clear, and written on
 * success only. Errors: ATLS_E_DECODE (malformed), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_hcl_variables_decode(struct atls_bytes json,
                                                         struct atls_hcl_variables *out,
                                                         struct atls_err *err);

#endif
