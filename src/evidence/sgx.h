/* Evidence of Intel SGX: quotes of enclaves in the forms that certificates carry (docs/sgx.md lists
 * the checks in their order). Private to src/evidence. */
#ifndef ATLS_EVIDENCE_SGX_H
#define ATLS_EVIDENCE_SGX_H

#include "evidence/dcap.h"
#include "evidence/evidence.h"
#include "wire/sgx.h"

struct atls_sgx_check {
    struct atls_bytes quote;
    struct atls_bytes report_data;      /* expected, 64 bytes */
    bool report_data_is_key;            /* as struct atls_dcap_check has it */
    const struct atls_sgx_rules *rules; /* NULL: strict */
    struct atls_dcap_sources sources;
};

struct atls_sgx_result {
    struct atls_sgx_quote quote; /* borrows from check.quote */
    struct atls_dcap_platform platform;
};
void atls_sgx_result_clear(struct atls_sgx_result *result); /* NULL is fine */

/* Every check of docs/sgx.md but reference values. *out is written on success only and is the
 * caller's to clear. Errors: as atls_tdx_verify; ATLS_E_EVIDENCE with reason enclave-debug,
 * enclave-attributes, measurement (sgx.isv-svn), key-binding-mismatch. */
ATLS_MUST_CHECK enum atls_code atls_sgx_verify(const struct atls_sgx_check *check,
                                               struct atls_sgx_result *out, struct atls_err *err);

/* Claims of a verified quote: who speaks (platform, class), measurements, details. spki is the
 * attested key. *out is the caller's to clear. Errors: ATLS_E_NOMEM; those of the source's
 * anchor_class. */
ATLS_MUST_CHECK enum atls_code atls_sgx_make_claims(const struct atls_sgx_check *check,
                                                    const struct atls_sgx_result *result,
                                                    struct atls_bytes spki, struct atls_claims *out,
                                                    struct atls_err *err);

#endif
