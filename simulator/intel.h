/* Intel, simulated: TEST root, PCK authorities, TCB signing, a platform with its PCK certificate
 * and quoting enclave, the documents that are published of it, and quotes of its trust domains, or
 * of its enclaves (SGX).
 * Everything is to order, because tests need each thing that can be wrong.
 *
 *     struct atls_sim_tdx order;
 *     atls_sim_tdx_init(&order, time_s);      all is well
 *     order.quote.attributes |= 1;            but for DEBUG
 *     code = atls_sim_tdx_make(intel, &order, &evidence, err);
 *
 * Names are Intel's, because roles go by them; the organisation says that this is a test. */
#ifndef ATLS_SIMULATOR_INTEL_H
#define ATLS_SIMULATOR_INTEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include <atls/bytes.h>

enum atls_sim_intel_key {
    ATLS_SIM_INTEL_ROOT,
    ATLS_SIM_INTEL_PLATFORM,    /* PCK Platform CA */
    ATLS_SIM_INTEL_PROCESSOR,   /* PCK Processor CA */
    ATLS_SIM_INTEL_SIGNING,     /* TCB Signing */
    ATLS_SIM_INTEL_PCK,         /* of the platform */
    ATLS_SIM_INTEL_ATTESTATION, /* of its quoting enclave */
    ATLS_SIM_INTEL_KEYS,
};
/* P-256 keys, and the root certificate (DER), for whoever keeps them. An empty root is made anew by
 * each order, and is another one each time. */
struct atls_sim_intel {
    EVP_PKEY *keys[ATLS_SIM_INTEL_KEYS];
    struct atls_buf root;
    /* Certificates that were made before, DER, borrowed: an order takes them as they are. Empty:
     * made anew by each order. */
    struct atls_bytes kept[ATLS_SIM_INTEL_KEYS];
};
/* Fresh keys, no root. Errors: ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_sim_intel_make(struct atls_sim_intel *out,
                                                   struct atls_err *err);
void atls_sim_intel_clear(struct atls_sim_intel *intel);
/* "root", "platform", ...: names of files. Static. */
const char *atls_sim_intel_key_name(enum atls_sim_intel_key key);

/* ---- orders ---- */

#define ATLS_SIM_TDX_LEVELS  8
#define ATLS_SIM_TDX_MODULES 4

/* Status, date ("2025-01-01"), advisories ("INTEL-SA-00001,INTEL-SA-00002" or NULL). */
struct atls_sim_tdx_status {
    const char *status, *date, *advisories;
};
struct atls_sim_tdx_svn_level {
    uint32_t isv_svn;
    struct atls_sim_tdx_status status;
};
struct atls_sim_tdx_level {
    uint8_t sgx[16], tdx[16];
    uint16_t pce_svn;
    struct atls_sim_tdx_status status;
};
struct atls_sim_tdx_module {
    const char *id; /* "TDX_01" */
    uint8_t mr_signer[48];
    uint64_t attributes, mask;
    struct atls_sim_tdx_svn_level levels[ATLS_SIM_TDX_LEVELS];
    size_t level_count;
};

/* A certificate's deviations from what it should be. */
struct atls_sim_tdx_certificate {
    const char *name; /* common name; NULL: the right one */
    int64_t not_before_s, not_after_s;
    bool wrong_ca; /* CA flag the other way round */
    bool break_signature;
};

struct atls_sim_tdx_document {
    const char *id; /* "TDX", "TD_QE"; of SGX "SGX", "QE" */
    unsigned int version;
    int64_t issue_s, next_update_s;
    uint32_t evaluation_number;
    bool break_signature;
    bool absent;
};

/* The report of an enclave, in place of that of a trust domain. */
struct atls_sim_sgx_report {
    uint8_t misc_select[4], attributes[16], mr_enclave[32], mr_signer[32];
    uint16_t prod_id, isv_svn;
};

struct atls_sim_tdx_quote {
    unsigned int version;   /* 4 or 5; of SGX 3 or 4 */
    unsigned int body_type; /* of version 5: 2 or 3 */
    unsigned int key_type;  /* 2 */
    uint32_t tee_type;      /* 0x81; 0: SGX */
    struct atls_sim_sgx_report enclave;
    uint8_t tcb_svn[16], mr_seam[48], mr_signer_seam[48];
    uint64_t seam_attributes, attributes, xfam;
    uint8_t mr_td[48], mr_config_id[48], mr_owner[48], mr_owner_config[48], rtmr[4][48];
    uint8_t report_data[64];
    uint8_t tcb_svn2[16], mr_service_td[48];
    uint8_t qe_misc_select[4], qe_attributes[16], qe_mr_signer[32];
    uint16_t qe_prod_id, qe_isv_svn;
    size_t qe_auth_len;         /* at most 65535 */
    unsigned int certification; /* 5: the chain; 4: the leaf; others: 16 bytes */
    bool terminated;            /* a NUL ends the chain */
    bool wrong_attestation_key; /* not that of the QE's report data */
    bool dirty_qe_report_data;  /* a bit in its second half */
    bool break_signature, break_qe_signature;
    size_t padding; /* bytes behind it */
    uint8_t padding_byte;
};

struct atls_sim_tdx {
    bool sgx;       /* TCB info has no part of TDX */
    bool processor; /* the Processor CA issued the PCK certificate */
    /* PCK certificate */
    uint8_t ppid[16], instance[16], fmspc[6], pce_id[2], components[16];
    uint16_t pce_svn;
    bool omit_fmspc, fmspc_twice, omit_extension;
    EVP_PKEY *leaf_key; /* certified in place of the platform's; borrowed, NULL: none */
    struct atls_sim_tdx_certificate root, intermediate, leaf, signing;
    struct atls_sim_tdx_document tcb_info, qe_identity, evaluation;
    /* TCB info */
    uint8_t info_fmspc[6], info_pce_id[2];
    bool upper_case_fmspc;
    struct atls_sim_tdx_module module; /* tdxModule: no levels */
    struct atls_sim_tdx_module modules[ATLS_SIM_TDX_MODULES];
    size_t module_count;
    struct atls_sim_tdx_level levels[ATLS_SIM_TDX_LEVELS];
    size_t level_count;
    /* QE identity */
    uint8_t misc_select[4], misc_mask[4], attributes[16], attributes_mask[16], mr_signer[32];
    uint16_t prod_id;
    struct atls_sim_tdx_svn_level qe_levels[ATLS_SIM_TDX_LEVELS];
    size_t qe_level_count;
    /* evaluation data numbers: from, to */
    uint32_t evaluation_least, evaluation_greatest;
    /* revocation lists */
    int64_t crl_this_s, crl_next_s;
    bool revoke_leaf, revoke_intermediate, revoke_signing;
    bool break_root_crl, break_pck_crl;
    struct atls_sim_tdx_quote quote;
};
/* A platform of which nothing is wrong at time_s: all up to date, module 1.5, quote version 4. */
void atls_sim_tdx_init(struct atls_sim_tdx *order, int64_t time_s);

/* The same of SGX: an enclave, quote version 3, what is published of SGX. */
void atls_sim_sgx_init(struct atls_sim_tdx *order, int64_t time_s);

/* ---- what is made ---- */

struct atls_sim_tdx_evidence {
    struct atls_buf root; /* DER */
    struct atls_buf quote;
    struct atls_buf tcb_info, qe_identity, evaluation; /* JSON; empty: absent */
    struct atls_buf tcb_chain, pck_crl_chain;          /* PEM */
    struct atls_buf root_crl, pck_crl;                 /* DER */
};
void atls_sim_tdx_evidence_clear(struct atls_sim_tdx_evidence *evidence);
/* *out is the caller's to clear. Errors: ATLS_E_USAGE, ATLS_E_CRYPTO, ATLS_E_NOMEM,
 * ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_sim_tdx_make(const struct atls_sim_intel *intel,
                                                 const struct atls_sim_tdx *order,
                                                 struct atls_sim_tdx_evidence *out,
                                                 struct atls_err *err);
/* {"member":CONTENT,"signature":"..."} over any text, for documents that are wrong in themselves.
 */
ATLS_MUST_CHECK enum atls_code atls_sim_intel_sign_document(const struct atls_sim_intel *intel,
                                                            const char *member, const char *content,
                                                            bool break_signature,
                                                            struct atls_buf *out,
                                                            struct atls_err *err);

#endif
