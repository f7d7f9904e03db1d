/* What the files of the simulated Intel share. */
#ifndef ATLS_SIMULATOR_INTEL_PARTS_H
#define ATLS_SIMULATOR_INTEL_PARTS_H

#include "core/writer.h"
#include "simulator/intel.h"

/* r || s over tbs with P-256 and SHA-256. */
ATLS_MUST_CHECK enum atls_code atls_sim_intel_sign(EVP_PKEY *key, struct atls_bytes tbs,
                                                   uint8_t out[64], struct atls_err *err);
/* x || y */
ATLS_MUST_CHECK enum atls_code atls_sim_intel_point(EVP_PKEY *key, uint8_t out[64],
                                                    struct atls_err *err);
/* Appends PEM of a certificate. */
ATLS_MUST_CHECK enum atls_code
atls_sim_intel_put_pem(struct atls_writer *w, const struct atls_buf *der, struct atls_err *err);

/* Certificates of an order, DER. */
struct atls_sim_intel_certificates {
    struct atls_buf root, intermediate, leaf, signing;
};

/* *out is the caller's to clear, also on failure. */
ATLS_MUST_CHECK enum atls_code atls_sim_intel_certify(const struct atls_sim_intel *intel,
                                                      const struct atls_sim_tdx *order,
                                                      struct atls_sim_intel_certificates *out,
                                                      struct atls_err *err);
void atls_sim_intel_certificates_clear(struct atls_sim_intel_certificates *certificates);

ATLS_MUST_CHECK enum atls_code atls_sim_intel_documents(const struct atls_sim_intel *intel,
                                                        const struct atls_sim_tdx *order,
                                                        struct atls_sim_tdx_evidence *out,
                                                        struct atls_err *err);
ATLS_MUST_CHECK enum atls_code
atls_sim_intel_quote(const struct atls_sim_intel *intel, const struct atls_sim_tdx *order,
                     const struct atls_sim_intel_certificates *certificates, struct atls_buf *out,
                     struct atls_err *err);

#endif
