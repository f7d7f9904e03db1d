/* The report in the virtual TPM of a simulated confidential machine on Azure (wire/hcl.h). The
 * hardware's report comes from the makers beside this file: variables first, then a report over
 * their report data, then the whole.
 *
 *     atls_sim_hcl_variables(ak_spki, "machine-1", &variables, err);
 *     atls_sim_hcl_report_data(ATLS_HASH_SHA256, variables, report_data, err);
 *     ... a hardware report over report_data ...
 *     const struct atls_sim_hcl hcl = {ATLS_HCL_SNP, ATLS_HASH_SHA256, report, variables};
 *     atls_sim_hcl_report(&hcl, &blob, err); */
#ifndef ATLS_SIMULATOR_HCL_H
#define ATLS_SIMULATOR_HCL_H

#include "crypto/crypto.h"
#include "wire/hcl.h"

#define ATLS_SIM_HCL_LEN 2600 /* of the NV index: zeros follow the report */

/* JSON that names ak_spki (DER, RSA) as HCLAkPub; machine is plain text or NULL. *out is the
 * caller's to clear. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (not RSA), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_hcl_variables(struct atls_bytes ak_spki,
                                                      const char *machine, struct atls_buf *out,
                                                      struct atls_err *err);
/* The 64 bytes that the hardware signs for them. Errors: ATLS_E_CRYPTO, ATLS_E_USAGE (hash). */
ATLS_MUST_CHECK enum atls_code atls_sim_hcl_report_data(enum atls_hash hash,
                                                        struct atls_bytes variables,
                                                        uint8_t out[64], struct atls_err *err);
/* hardware: an SNP report, or at most 1184 bytes where a TDREPORT stands. *out is the caller's to
 * clear. Errors: ATLS_E_LIMIT, ATLS_E_NOMEM. */
struct atls_sim_hcl {
    enum atls_hcl_type type;
    enum atls_hash hash;
    struct atls_bytes hardware, variables;
};
ATLS_MUST_CHECK enum atls_code atls_sim_hcl_report(const struct atls_sim_hcl *hcl,
                                                   struct atls_buf *out, struct atls_err *err);

#endif
