/* TCB status of a TDX platform: from what Intel publishes and what the platform has. Private to
 * src/evidence. */
#ifndef ATLS_EVIDENCE_TDX_STATUS_H
#define ATLS_EVIDENCE_TDX_STATUS_H

#include "evidence/rules.h"
#include "wire/tdx.h"
#include "wire/tdx_collateral.h"

/* What the PCK certificate says of a platform, and the quote of module and quoting enclave. Without
 * a body it is a platform of SGX, whose levels have no part of TDX. */
struct atls_tdx_tcb {
    const uint8_t *sgx; /* ATLS_TDX_COMPONENTS of them */
    uint16_t pce_svn;
    const struct atls_tdx_body *body; /* NULL: SGX */
    uint16_t qe_isv_svn;
};

struct atls_tdx_tcb_status {
    unsigned int status;                    /* one of enum atls_tdx_status */
    int64_t date_s;                         /* the oldest of the levels */
    const struct atls_tdx_level *levels[3]; /* of platform, module (when it counts), enclave */
    size_t level_count;
};

/* The status that a text names; 0 for one that we do not know. */
unsigned int atls_tdx_status_of(struct atls_bytes text);
/* "UpToDate"; "" for another number. Static. */
const char *atls_tdx_status_name(unsigned int status);

/* The identity that describes the module of this version, at least 1; NULL when there is none. */
const struct atls_tdx_module *atls_tdx_module_of(const struct atls_tdx_tcb_info *info,
                                                 uint8_t version);

/* The level of the quoting enclave. Errors: ATLS_E_EVIDENCE (tcb-not-supported). */
ATLS_MUST_CHECK enum atls_code atls_tdx_qe_level(const struct atls_tdx_qe_identity *qe,
                                                 uint16_t isv_svn,
                                                 const struct atls_tdx_level **out,
                                                 struct atls_err *err);

/* Status of all together: platform, then module, advice to launch again, quoting enclave. Errors:
 * ATLS_E_EVIDENCE: tcb-not-supported (no level fits, a status that we do not know),
 * tdx-module-mismatch (no identity of the module that is loaded now). */
ATLS_MUST_CHECK enum atls_code atls_tdx_tcb_status(const struct atls_tdx_tcb_info *info,
                                                   const struct atls_tdx_qe_identity *qe,
                                                   const struct atls_tdx_tcb *tcb,
                                                   struct atls_tdx_tcb_status *out,
                                                   struct atls_err *err);

/* Whether rules accept it. Errors: ATLS_E_EVIDENCE: tcb-out-of-date (also what a relaunch would
 * mend), tcb-configuration, tcb-revoked. */
ATLS_MUST_CHECK enum atls_code atls_tdx_check_status(const struct atls_tdx_tcb_status *tcb,
                                                     const struct atls_dcap_rules *rules,
                                                     struct atls_err *err);

#endif
