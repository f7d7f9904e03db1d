/* The confidential machine around a virtual TPM, as on Azure: what its hardware says about the
 * attestation key (wire/hcl.h, docs/azure.md). */
#ifndef ATLS_ATTESTER_TPM2_HCL_H
#define ATLS_ATTESTER_TPM2_HCL_H

#include <atls/log.h>

#include "attester/bundle.h"
#include "attester/tpm2/device.h"

#define ATLS_TPM2_HCL_INDEX 0x01400001u

/* Immutable once open: any thread. */
struct atls_tpm2_hcl;

/* Reads the report that config names (hcl_report is not NULL) and checks that it is whole, that the
 * hardware's part is over the JSON text, and that the text names the key ak_public (TPMT_PUBLIC):
 * no signature, this machine has no reason to doubt itself. device is connected; config outlives
 * *out; log is copied. Errors: ATLS_E_CONFIG (no such NV index; another key; a quote with SNP or
 * none with TDX; no directory of collateral), ATLS_E_IO, ATLS_E_LIMIT, ATLS_E_DEVICE, those of
 * atls_hcl_report_decode and atls_hcl_variables_decode, ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_hcl_open(struct atls_tpm2_device *device,
                                                  struct atls_bytes ak_public,
                                                  const struct atls_log *log,
                                                  struct atls_tpm2_hcl **out, struct atls_err *err);
void atls_tpm2_hcl_close(struct atls_tpm2_hcl *hcl); /* NULL is fine */

/* Adds report, quote and collateral to quote->endorsements, which has none. Does not touch the TPM.
 * On failure quote may hold some: clear it. Errors: ATLS_E_IO, ATLS_E_LIMIT (file of the quote),
 * ATLS_E_CONFIG (it is of another report), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_hcl_endorse(const struct atls_tpm2_hcl *hcl,
                                                     struct atls_quote *quote,
                                                     struct atls_err *err);

#endif
