/* What Intel publishes of platforms of TDX and SGX, as JSON: TCB info (version 3), the identity of
 * the quoting enclave (version 2) and TCB evaluation data numbers (version 1). Each is
 * {"NAME":{...}, "signature":"128 hex digits"}, signed over the exact text of the inner object.
 *
 *     code = atls_tdx_signed_open(text, "tcbInfo", &doc, err);
 *     verify doc.signature over doc.content.raw
 *     code = atls_tdx_tcb_info_read(&doc.content, arena, &info, err);
 *
 * Pure codec: nothing is verified here. What is read borrows from the text and the arena. */
#ifndef ATLS_WIRE_TDX_COLLATERAL_H
#define ATLS_WIRE_TDX_COLLATERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "wire/json.h"

#define ATLS_TDX_COMPONENTS     16
#define ATLS_TDX_LEVELS_MAX     64 /* of a platform, a module or an enclave; some 20 today */
#define ATLS_TDX_MODULES_MAX    16
#define ATLS_TDX_ADVISORIES_MAX 128 /* of a level */
#define ATLS_TDX_ADVISORY_LEN   64  /* "INTEL-SA-00960" */
#define ATLS_FMSPC_LEN          6

/* The names that these documents have, and the label of their inner object. */
#define ATLS_TDX_TCB_INFO    "tcbInfo"
#define ATLS_TDX_QE_IDENTITY "enclaveIdentity"
#define ATLS_TDX_EVALUATION  "tcbEvaluationDataNumbers"

struct atls_tdx_signed {
    struct atls_json_value content; /* content.raw is what is signed */
    uint8_t signature[64];          /* r || s */
};
/* Reads the frame: two members, nothing else. Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_tdx_signed_open(struct atls_bytes text, const char *name,
                                                    struct atls_tdx_signed *out,
                                                    struct atls_err *err);

/* When a document holds, both ends included. */
struct atls_tdx_window {
    int64_t issue_s, next_update_s;
};

/* Status, date and advisories of one level. */
struct atls_tdx_level {
    struct atls_bytes status; /* "UpToDate": any text of plain ASCII */
    int64_t date_s;
    const struct atls_bytes *advisories; /* plain ASCII */
    size_t advisory_count;
};

struct atls_tdx_svn_level {
    uint32_t isv_svn;
    struct atls_tdx_level level;
};

struct atls_tdx_platform_level {
    uint8_t sgx[ATLS_TDX_COMPONENTS];
    uint16_t pce_svn;
    uint8_t tdx[ATLS_TDX_COMPONENTS];
    struct atls_tdx_level level;
};

struct atls_tdx_module {
    struct atls_bytes id; /* "TDX_01"; empty: of a module without an identity of its own */
    uint8_t mr_signer[48];
    uint64_t attributes, attributes_mask; /* little-endian, as SEAMATTRIBUTES */
    struct atls_tdx_svn_level *levels;    /* highest first */
    size_t level_count;
};

struct atls_tdx_tcb_info {
    struct atls_tdx_window window;
    uint8_t fmspc[ATLS_FMSPC_LEN];
    uint8_t pce_id[2];
    uint32_t evaluation_number;
    struct atls_tdx_module module;   /* tdxModule: no levels */
    struct atls_tdx_module *modules; /* tdxModuleIdentities, in their order */
    size_t module_count;
    struct atls_tdx_platform_level *levels; /* highest first */
    size_t level_count;
};
/* *out_is_tdx says whether id and version are those of TDX TCB info; when they are not, nothing
 * else is read. Errors: ATLS_E_DECODE (malformed: a member missing, of another kind, out of range),
 * ATLS_E_LIMIT (counts), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tdx_tcb_info_read(const struct atls_json_value *content,
                                                      struct atls_arena *arena, bool *out_is_tdx,
                                                      struct atls_tdx_tcb_info *out,
                                                      struct atls_err *err);

/* The same of SGX: levels without a part of TDX, which is zeros, and no modules. *out_is_sgx: id
 * SGX and version 3 (version 2 has no id, and is not read). */
ATLS_MUST_CHECK enum atls_code atls_sgx_tcb_info_read(const struct atls_json_value *content,
                                                      struct atls_arena *arena, bool *out_is_sgx,
                                                      struct atls_tdx_tcb_info *out,
                                                      struct atls_err *err);

struct atls_tdx_qe_identity {
    struct atls_tdx_window window;
    uint32_t evaluation_number;
    uint8_t misc_select[4], misc_select_mask[4]; /* in the order of memory */
    uint8_t attributes[16], attributes_mask[16];
    uint8_t mr_signer[32];
    uint16_t isv_prod_id;
    struct atls_tdx_svn_level *levels; /* highest first */
    size_t level_count;
};
/* *out_is_tdx: id TD_QE and version 2; else as atls_tdx_tcb_info_read. */
ATLS_MUST_CHECK enum atls_code atls_tdx_qe_identity_read(const struct atls_json_value *content,
                                                         struct atls_arena *arena, bool *out_is_tdx,
                                                         struct atls_tdx_qe_identity *out,
                                                         struct atls_err *err);

/* *out_is_sgx: id QE and version 2. */
ATLS_MUST_CHECK enum atls_code atls_sgx_qe_identity_read(const struct atls_json_value *content,
                                                         struct atls_arena *arena, bool *out_is_sgx,
                                                         struct atls_tdx_qe_identity *out,
                                                         struct atls_err *err);

struct atls_tdx_evaluation {
    struct atls_tdx_window window;
    uint32_t least, greatest; /* number that is published */
};
/* *out_is_tdx: id TDX and version 1; else as atls_tdx_tcb_info_read. */
ATLS_MUST_CHECK enum atls_code atls_tdx_evaluation_read(const struct atls_json_value *content,
                                                        bool *out_is_tdx,
                                                        struct atls_tdx_evaluation *out,
                                                        struct atls_err *err);
/* *out_is_sgx: id SGX and version 1. */
ATLS_MUST_CHECK enum atls_code atls_sgx_evaluation_read(const struct atls_json_value *content,
                                                        bool *out_is_sgx,
                                                        struct atls_tdx_evaluation *out,
                                                        struct atls_err *err);

#endif
