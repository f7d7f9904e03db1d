/* Confidential machines on Azure: hardware that vouches for the attestation key of a virtual TPM.
 *
 * The machine's evidence is that of its TPM; among the endorsements stands a report in which the
 * hardware signed a hash of the text that names the TPM's attestation key (docs/azure.md). So one
 * signature of the processor stands behind what the TPM certifies and quotes. Private to
 * src/evidence. */
#ifndef ATLS_EVIDENCE_HCL_H
#define ATLS_EVIDENCE_HCL_H

#include "evidence/evidence.h"
#include "wire/hcl.h"

/* Class of such virtual TPMs:
 * 6e1a7c0e-5b0f-4d55-9a63-8f2b7a0d41c6 (tag 37). */
extern const uint8_t atls_hcl_class[19];

struct atls_hcl_check {
    const struct atls_evidence_request *request;
    const struct atls_cmw *endorsements; /* with a record ATLS_LABEL_HCL_REPORT */
    struct atls_bytes ak_spki;           /* DER: the key that signed the TPM's evidence */
    struct atls_bytes spki;              /* DER: the attested key, for the claims */
};

/* True when endorsements (may be NULL) hold such a report. */
bool atls_hcl_present(const struct atls_cmw *endorsements);

/* Verifies the hardware's evidence (evidence/snp.h, evidence/tdx.h), that its report data is the
 * hash of the variables and zeros over all 64 bytes (report-data-mismatch), and that these name
 * ak_spki (untrusted-ak). *out are the hardware's claims, the caller's to clear; written on success
 * only. Errors: those of atls_snp_verify and atls_tdx_verify; ATLS_E_DECODE, ATLS_E_UNSUPPORTED of
 * the report; ATLS_E_EVIDENCE with untrusted-ak. */
ATLS_MUST_CHECK enum atls_code atls_hcl_verify(const struct atls_hcl_check *check,
                                               struct atls_claims *out, struct atls_err *err);

#endif
