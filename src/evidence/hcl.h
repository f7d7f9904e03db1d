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

/* Encoded class-ids (tag 37) of the three kinds of part. Hardware below a paravisor has a class of
 * its own, whatever its anchor stands for: whoever is root in a guest without a paravisor can have
 * the processor sign a report of his own making, and must not be taken for a paravisor because
 * reference values of that guest are on file. */
#define ATLS_HCL_CLASS_LEN 19
extern const uint8_t atls_hcl_class[ATLS_HCL_CLASS_LEN];     /* virtual TPMs */
extern const uint8_t atls_hcl_class_snp[ATLS_HCL_CLASS_LEN]; /* SEV-SNP below a paravisor */
extern const uint8_t atls_hcl_class_tdx[ATLS_HCL_CLASS_LEN]; /* TDX below a paravisor */

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
