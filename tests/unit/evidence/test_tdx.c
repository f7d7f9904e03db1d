/* Simulated platforms: each check fails alone, and TDX evidence in all its forms. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/reader.h"
#include "evidence/tdx.h"
#include "simulator/intel.h"
#include "tee_source.h"
#include "wire/cbor.h"
#include "wire/tsm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIME_S   INT64_C(1760000000)
#define DAY_S    INT64_C(86400)

static struct atls_sim_intel intel, other_intel;

/* What a Verifier has and wants, besides what the simulator makes. */
struct scene {
    struct atls_sim_tdx order;
    struct atls_sim_tdx_evidence made;
    struct test_tee_source store;
    struct atls_endorsement_source source;
    struct atls_tdx_rules rules;
    struct atls_tdx_check check;
    bool other_root; /* is the one on file */
    bool no_source;
};

static void scene_order(struct scene *s)
{
    memset(s, 0, sizeof *s);
    atls_sim_tdx_init(&s->order, TIME_S);
    memset(s->order.quote.report_data, 0xab, sizeof s->order.quote.report_data);
}

static const struct {
    enum atls_collateral_kind kind;
    size_t offset;
} documents[] = {
    {ATLS_COLLATERAL_TDX_TCB_INFO, offsetof(struct atls_sim_tdx_evidence, tcb_info)},
    {ATLS_COLLATERAL_TDX_QE_IDENTITY, offsetof(struct atls_sim_tdx_evidence, qe_identity)},
    {ATLS_COLLATERAL_TDX_EVALUATION, offsetof(struct atls_sim_tdx_evidence, evaluation)},
    {ATLS_COLLATERAL_TDX_TCB_CHAIN, offsetof(struct atls_sim_tdx_evidence, tcb_chain)},
    {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, offsetof(struct atls_sim_tdx_evidence, pck_crl_chain)},
    {ATLS_COLLATERAL_TDX_ROOT_CRL, offsetof(struct atls_sim_tdx_evidence, root_crl)},
    {ATLS_COLLATERAL_TDX_PCK_CRL, offsetof(struct atls_sim_tdx_evidence, pck_crl)},
};

static struct atls_bytes document_of(const struct atls_sim_tdx_evidence *made, size_t i)
{
    const struct atls_buf *buf = (const void *)((const uint8_t *)made + documents[i].offset);

    return atls_buf_bytes(buf);
}

static void store_documents(struct test_tee_source *store, const struct atls_sim_tdx_evidence *made)
{
    for (size_t i = 0; i < COUNT(documents); i++)
        test_tee_source_put(store, documents[i].kind, document_of(made, i));
}

static void scene_make(struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_tdx_make(&intel, &s->order, &s->made, &err), ATLS_OK, &err);
    store_documents(&s->store, &s->made);
    test_tee_source_trust(&s->store, atls_buf_bytes(&s->made.root));
    s->source = test_tee_source_over(&s->store);
    s->check.quote = atls_buf_bytes(&s->made.quote);
    s->check.report_data =
        atls_bytes_of(s->order.quote.report_data, sizeof s->order.quote.report_data);
    s->check.rules = &s->rules;
    s->check.sources.source = &s->source;
    s->check.sources.time_s = TIME_S;
}

static void scene_close(struct scene *s)
{
    atls_sim_tdx_evidence_clear(&s->made);
    test_tee_source_clear(&s->store);
}

static void forget(struct scene *s, enum atls_collateral_kind kind)
{
    static const struct atls_bytes nothing;

    test_tee_source_put(&s->store, kind, nothing);
}

/* ---- each check alone ---- */

struct row {
    const char *name;
    void (*order)(struct scene *s); /* before it is made */
    void (*tune)(struct scene *s);  /* after */
    enum atls_code code;
    enum atls_reason reason;
};

#define ORDER(name, ...)                                                                           \
    static void name(struct scene *s)                                                              \
    {                                                                                              \
        struct atls_sim_tdx *o = &s->order;                                                        \
        struct atls_sim_tdx_quote *q = &o->quote;                                                  \
                                                                                                   \
        (void)q;                                                                                   \
        __VA_ARGS__                                                                                \
    }
#define TUNE(name, ...)                                                                            \
    static void name(struct scene *s)                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* clang-format off */
ORDER(version_5_body_10, q->version = 5; q->body_type = 2;)
ORDER(version_5, q->version = 5;)
ORDER(processor, o->processor = true;)
ORDER(no_terminator, q->terminated = false;)
ORDER(no_auth, q->qe_auth_len = 0;)
ORDER(auth_33, q->qe_auth_len = 33;)
ORDER(auth_65535, q->qe_auth_len = 0xffff;)
ORDER(padded, q->padding = 3000;)
ORDER(upper_case, o->upper_case_fmspc = true;)
ORDER(leaf_alone, q->certification = 4;)
ORDER(no_evaluation, o->evaluation.absent = true;)
ORDER(perfmon, q->attributes |= UINT64_C(1) << 63;)
ORDER(migratable, q->attributes |= UINT64_C(1) << 29 | UINT64_C(1) << 27;)
ORDER(module_0, q->tcb_svn[1] = 0; o->module_count = 0;)
ORDER(better_everywhere, memset(o->components, 200, 16); o->pce_svn = 999; memset(q->tcb_svn + 2, 9, 14); q->qe_isv_svn = 99;)
ORDER(lower_case_module, o->modules[0].id = "tdx_01";)
ORDER(module_by_hex, o->modules[0].id = "TDX_1A"; q->tcb_svn[1] = 0x1a;)
ORDER(levels_upside_down, struct atls_sim_tdx_level l = o->levels[0]; o->levels[0] = o->levels[1]; o->levels[1] = l;)
ORDER(qe_levels_upside_down, struct atls_sim_tdx_svn_level l = o->qe_levels[0]; o->qe_levels[0] = o->qe_levels[1]; o->qe_levels[1] = l;)

ORDER(version_3, q->version = 3;)
ORDER(version_2, q->version = 2;)
ORDER(version_6, q->version = 6;)
ORDER(key_p384, q->key_type = 3;)
ORDER(tee_sgx, q->tee_type = 0;)
ORDER(certification_0, q->certification = 0;)
ORDER(certification_1, q->certification = 1;)
ORDER(certification_7, q->certification = 7;)
ORDER(body_sgx, q->version = 5; q->body_type = 1;)

ORDER(root_name, o->root.name = "Intel SGX Root";)
ORDER(intermediate_name, o->intermediate.name = "Intel SGX PCK Other CA";)
ORDER(leaf_name, o->leaf.name = "Intel SGX PCK";)
ORDER(root_no_ca, o->root.wrong_ca = true;)
ORDER(intermediate_no_ca, o->intermediate.wrong_ca = true;)
ORDER(leaf_ca, o->leaf.wrong_ca = true;)
ORDER(intermediate_signature, o->intermediate.break_signature = true;)
ORDER(leaf_signature, o->leaf.break_signature = true;)
ORDER(root_expired, o->root.not_after_s = TIME_S - 1;)
ORDER(intermediate_expired, o->intermediate.not_after_s = TIME_S - 1;)
ORDER(leaf_expired, o->leaf.not_after_s = TIME_S - 1;)
ORDER(leaf_last_second, o->leaf.not_after_s = TIME_S;)
ORDER(leaf_early, o->leaf.not_before_s = TIME_S + 1;)
ORDER(leaf_first_second, o->leaf.not_before_s = TIME_S;)
ORDER(no_fmspc, o->omit_fmspc = true;)
ORDER(fmspc_twice, o->fmspc_twice = true;)

ORDER(leaf_revoked, o->revoke_leaf = true;)
ORDER(intermediate_revoked, o->revoke_intermediate = true;)
ORDER(signing_revoked, o->revoke_signing = true;)
ORDER(root_crl_signature, o->break_root_crl = true;)
ORDER(pck_crl_signature, o->break_pck_crl = true;)
ORDER(crls_expired, o->crl_next_s = TIME_S;)
ORDER(crls_early, o->crl_this_s = TIME_S + 1;)

ORDER(signing_name, o->signing.name = "Intel SGX Signing";)
ORDER(signing_ca, o->signing.wrong_ca = true;)
ORDER(signing_signature, o->signing.break_signature = true;)
ORDER(signing_expired, o->signing.not_after_s = TIME_S - 1;)
ORDER(info_signature, o->tcb_info.break_signature = true;)
ORDER(qe_signature_of_document, o->qe_identity.break_signature = true;)
ORDER(evaluation_signature, o->evaluation.break_signature = true;)
ORDER(info_expired, o->tcb_info.next_update_s = TIME_S - 1;)
ORDER(info_last_second, o->tcb_info.next_update_s = TIME_S;)
ORDER(info_early, o->tcb_info.issue_s = TIME_S + 1;)
ORDER(info_first_second, o->tcb_info.issue_s = TIME_S;)
ORDER(qe_expired, o->qe_identity.next_update_s = TIME_S - 1;)
ORDER(qe_early, o->qe_identity.issue_s = TIME_S + 1;)
ORDER(evaluation_expired, o->evaluation.next_update_s = TIME_S - 1;)
ORDER(info_sgx, o->tcb_info.id = "SGX";)
ORDER(info_version_2, o->tcb_info.version = 2;)
ORDER(qe_sgx, o->qe_identity.id = "QE";)
ORDER(qe_version_3, o->qe_identity.version = 3;)
ORDER(evaluation_sgx, o->evaluation.id = "SGX";)
ORDER(info_absent, o->tcb_info.absent = true;)
ORDER(qe_absent, o->qe_identity.absent = true;)

ORDER(other_fmspc, o->info_fmspc[5] ^= 1;)
ORDER(other_pce_id, o->info_pce_id[1] ^= 1;)
ORDER(numbers_apart, o->qe_identity.evaluation_number--;)
ORDER(number_withdrawn, o->evaluation_least = 19;)
ORDER(number_oldest, o->evaluation_least = 18;)

ORDER(module_unknown, q->tcb_svn[1] = 2;)
ORDER(no_modules, o->module_count = 0;)
ORDER(module_signer, q->mr_signer_seam[47] = 1;)
ORDER(module_attributes, q->seam_attributes = 1;)
ORDER(module_attributes_masked_out, o->modules[0].mask = ~UINT64_C(1); q->seam_attributes = 1;)
ORDER(module_0_signer, q->tcb_svn[1] = 0; q->mr_signer_seam[0] = 1;)

ORDER(qe_report_signature, q->break_qe_signature = true;)
ORDER(other_attestation_key, q->wrong_attestation_key = true;)
ORDER(qe_report_data_tail, q->dirty_qe_report_data = true;)
ORDER(qe_misc, q->qe_misc_select[3] = 1;)
ORDER(qe_attributes, q->qe_attributes[0] = 0x05;)
ORDER(qe_signer, q->qe_mr_signer[31] ^= 1;)
ORDER(qe_product, q->qe_prod_id = 1;)
ORDER(qe_debug, q->qe_attributes[0] |= 2; o->attributes_mask[0] &= 0xfd;)
ORDER(qe_too_old, q->qe_isv_svn = 3;)
ORDER(quote_signature, q->break_signature = true;)

ORDER(sgx_too_old, o->components[0] = 3;)
ORDER(pce_too_old, o->pce_svn = 10;)
ORDER(tdx_too_old, q->tcb_svn[2] = 4;)
ORDER(module_too_old, q->tcb_svn[0] = 2;)
ORDER(out_of_date, o->components[0] = 4;)
ORDER(module_out_of_date, q->tcb_svn[0] = 4;)
ORDER(qe_out_of_date, q->qe_isv_svn = 7;)
ORDER(revoked, o->levels[0].status.status = "Revoked";)
ORDER(module_revoked, o->modules[0].levels[0].status.status = "Revoked";)
ORDER(qe_revoked, o->qe_levels[0].status.status = "Revoked";)
ORDER(hardening, o->levels[0].status.status = "SWHardeningNeeded";)
ORDER(configuration, o->levels[0].status.status = "ConfigurationNeeded";)
ORDER(unknown_status, o->levels[0].status.status = "Fine";)
ORDER(unknown_module_status, o->modules[0].levels[0].status.status = "uptodate";)
ORDER(relaunch, q->version = 5; q->tcb_svn[0] = 4;)

ORDER(trailing, q->padding = 4; q->padding_byte = 1;)
ORDER(debug, q->attributes |= 1;)
ORDER(ve, q->attributes = 0;)
ORDER(reserved_1, q->attributes |= 2;)
ORDER(reserved_39, q->attributes |= UINT64_C(1) << 39;)
ORDER(pks, q->attributes |= UINT64_C(1) << 30;)
ORDER(service_td, q->version = 5; q->mr_service_td[47] = 1;)
ORDER(zero_service_td, q->version = 5;)

TUNE(other_root, s->other_root = true;)
TUNE(no_source, s->no_source = true;)
TUNE(no_root_crl, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL);)
TUNE(no_pck_crl, forget(s, ATLS_COLLATERAL_TDX_PCK_CRL);)
TUNE(no_crls_allowed, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL); forget(s, ATLS_COLLATERAL_TDX_PCK_CRL); s->rules.crl_optional = true;)
TUNE(crl_optional, s->rules.crl_optional = true;)
TUNE(no_chain, forget(s, ATLS_COLLATERAL_TDX_TCB_CHAIN);)
TUNE(no_issuers, forget(s, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN);)
TUNE(crls_exchanged, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_ROOT_CRL, atls_buf_bytes(&s->made.pck_crl)); test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_PCK_CRL, atls_buf_bytes(&s->made.root_crl));)
TUNE(pck_chain_for_signing, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_TCB_CHAIN, atls_buf_bytes(&s->made.pck_crl_chain));)
TUNE(one_certificate_signs, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_TCB_CHAIN, atls_buf_bytes(&s->made.root));)
TUNE(place_is_down, forget(s, ATLS_COLLATERAL_TDX_TCB_INFO); s->store.failure = ATLS_E_UNAVAILABLE;)
TUNE(list_is_down, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL); s->store.failure = ATLS_E_UNAVAILABLE;)
TUNE(source_is_broken, forget(s, ATLS_COLLATERAL_TDX_TCB_INFO); s->store.failure = ATLS_E_CONFIG;)
TUNE(floor_18, s->rules.evaluation.set = true; s->rules.evaluation.value = 18;)
TUNE(floor_19, s->rules.evaluation.set = true; s->rules.evaluation.value = 19;)
TUNE(out_of_date_since_2024, s->rules.statuses = ATLS_TDX_OUT_OF_DATE; s->rules.tcb_date_s = 1704067200;)
TUNE(out_of_date_since_2025, s->rules.statuses = ATLS_TDX_OUT_OF_DATE; s->rules.tcb_date_s = 1735689600;)
TUNE(out_of_date_without_floor, s->rules.statuses = ATLS_TDX_OUT_OF_DATE;)
TUNE(not_up_to_date, s->rules.statuses = ATLS_TDX_OUT_OF_DATE;)
TUNE(all_statuses, s->rules.statuses = 0xffff; s->rules.tcb_date_s = 1;)
TUNE(hardening_allowed, s->rules.statuses = ATLS_TDX_SW_HARDENING_NEEDED;)
TUNE(relaunch_allowed, s->rules.statuses = ATLS_TDX_RELAUNCH_ADVISED;)
TUNE(trailing_allowed, s->rules.allow_trailing = true;)
TUNE(debug_allowed, s->rules.allow_debug = true;)
TUNE(ve_allowed, s->rules.allow_ve = true;)
TUNE(pks_demanded, s->rules.attributes_set = UINT64_C(1) << 30;)
TUNE(pks_refused, s->rules.attributes_clear = UINT64_C(1) << 30;)
TUNE(xfam_narrow, s->rules.xfam.set = true; s->rules.xfam.value = 0x60ae7;)
TUNE(xfam_wide, s->rules.xfam.set = true; s->rules.xfam.value = 0x61ae7;)
TUNE(service_td_named, s->rules.service_td_count = 2; s->rules.service_td[1][47] = 1;)
TUNE(other_service_td_named, s->rules.service_td_count = 1; s->rules.service_td[0][47] = 2;)
TUNE(other_report_data, static uint8_t other[64]; memset(other, 0xab, sizeof other); other[63] ^= 1; s->check.report_data = atls_bytes_of(other, sizeof other);)
TUNE(strict_rules, s->check.rules = NULL;)
TUNE(vendor, s->made.quote.ptr[12] ^= 1;)
TUNE(reserved, s->made.quote.ptr[8] = 1;)

#define E(reason) ATLS_E_EVIDENCE, ATLS_REASON_##reason
#define C(reason) ATLS_E_CERTIFICATE, ATLS_REASON_##reason
#define U(reason) ATLS_E_UNSUPPORTED, ATLS_REASON_##reason
#define MALFORMED ATLS_E_DECODE, ATLS_REASON_MALFORMED
#define GOOD      ATLS_OK, ATLS_REASON_NONE

static const struct row rows[] = {
    {"all is well", NULL, NULL, GOOD},
    {"no rules are the strict ones", NULL, strict_rules, GOOD},
    {"version 5 with a body of TD 1.0", version_5_body_10, NULL, GOOD},
    {"version 5 with a body of TD 1.5", version_5, NULL, GOOD},
    {"processor CA", processor, NULL, GOOD},
    {"chain without a NUL at its end", no_terminator, NULL, GOOD},
    {"no QE authentication data", no_auth, NULL, GOOD},
    {"QE authentication data of 33 bytes", auth_33, NULL, GOOD},
    {"QE authentication data of 65535 bytes", auth_65535, NULL, GOOD},
    {"zeros follow the quote", padded, NULL, GOOD},
    {"FMSPC in capitals", upper_case, NULL, GOOD},
    {"leaf alone, its issuers from the store", leaf_alone, NULL, GOOD},
    {"no evaluation data numbers", no_evaluation, NULL, GOOD},
    {"PERFMON, bit 63", perfmon, NULL, GOOD},
    {"MIGRATABLE and LASS", migratable, NULL, GOOD},
    {"module of version 0, described by tdxModule", module_0, NULL, GOOD},
    {"more than any level asks", better_everywhere, NULL, GOOD},
    {"module id in small letters", lower_case_module, NULL, GOOD},
    {"module id of two hexadecimal digits", module_by_hex, NULL, GOOD},
    {"levels in another order", levels_upside_down, NULL, GOOD},
    {"enclave levels in another order", qe_levels_upside_down, NULL, GOOD},
    {"leaf in its last second", leaf_last_second, NULL, GOOD},
    {"leaf in its first second", leaf_first_second, NULL, GOOD},
    {"TCB info in its last second", info_last_second, NULL, GOOD},
    {"TCB info in its first second", info_first_second, NULL, GOOD},
    {"evaluation number at the floor", NULL, floor_18, GOOD},
    {"evaluation number the oldest published", number_oldest, NULL, GOOD},
    {"SEAMATTRIBUTES as the rules allow", pks, pks_demanded, GOOD},
    {"XFAM within the rules", NULL, xfam_wide, GOOD},
    {"no lists, which the rules allow", NULL, no_crls_allowed, GOOD},
    {"out of date, which the rules allow", out_of_date, out_of_date_since_2024, GOOD},
    {"hardening, which the rules allow", hardening, hardening_allowed, GOOD},
    {"relaunch, which the rules allow", relaunch, relaunch_allowed, GOOD},
    {"trailing bytes, which the rules allow", trailing, trailing_allowed, GOOD},
    {"debugging, which the rules allow", debug, debug_allowed, GOOD},
    {"faults, which the rules allow", ve, ve_allowed, GOOD},
    {"service TD, which the rules name", service_td, service_td_named, GOOD},
    {"no service TD", zero_service_td, other_service_td_named, GOOD},
    /* 1 */
    {"version 2", version_2, NULL, U(UNSUPPORTED_VERSION)},
    {"version 3", version_3, NULL, U(UNSUPPORTED_VERSION)},
    {"version 6", version_6, NULL, U(UNSUPPORTED_VERSION)},
    {"attestation key of P-384", key_p384, NULL, U(UNSUPPORTED_ALGORITHM)},
    {"another vendor's enclave", NULL, vendor, E(VENDOR_ID)},
    {"TEE type of SGX", tee_sgx, NULL, E(TEE_TYPE)},
    {"reserved field of the header", NULL, reserved, MALFORMED},
    {"body of SGX", body_sgx, NULL, MALFORMED},
    {"certification data of type 0", certification_0, NULL, MALFORMED},
    {"certification data of type 7", certification_7, NULL, MALFORMED},
    {"certification data that is a PPID", certification_1, NULL, U(COLLATERAL_UNAVAILABLE)},
    /* 2 */
    {"another root is on file", NULL, other_root, C(UNTRUSTED_ROOT)},
    {"nothing is on file", NULL, no_source, C(UNTRUSTED_ROOT)},
    {"root of another name", root_name, NULL, C(CHAIN_ISSUER)},
    {"intermediate of another name", intermediate_name, NULL, C(CHAIN_ISSUER)},
    {"leaf of another name", leaf_name, NULL, C(CHAIN_ISSUER)},
    {"root that is no authority", root_no_ca, NULL, C(CHAIN_ISSUER)},
    {"intermediate that is no authority", intermediate_no_ca, NULL, C(CHAIN_ISSUER)},
    {"leaf that is an authority", leaf_ca, NULL, C(CHAIN_ISSUER)},
    {"signature of the intermediate", intermediate_signature, NULL, C(CHAIN_SIGNATURE)},
    {"signature of the leaf", leaf_signature, NULL, C(CHAIN_SIGNATURE)},
    {"root expired", root_expired, NULL, C(CERTIFICATE_EXPIRED)},
    {"intermediate expired", intermediate_expired, NULL, C(CERTIFICATE_EXPIRED)},
    {"leaf expired", leaf_expired, NULL, C(CERTIFICATE_EXPIRED)},
    {"leaf not yet valid", leaf_early, NULL, C(CERTIFICATE_NOT_YET_VALID)},
    {"extension without FMSPC", no_fmspc, NULL, MALFORMED},
    {"extension with FMSPC twice", fmspc_twice, NULL, MALFORMED},
    {"leaf alone and its issuers nowhere", leaf_alone, no_issuers, E(COLLATERAL_UNAVAILABLE)},
    /* 3 */
    {"no list of the root", NULL, no_root_crl, E(CRL_UNAVAILABLE)},
    {"no list of the intermediate", NULL, no_pck_crl, E(CRL_UNAVAILABLE)},
    {"list of the root cannot be fetched", NULL, list_is_down, ATLS_E_UNAVAILABLE, ATLS_REASON_CRL_UNAVAILABLE},
    {"signature of the root's list", root_crl_signature, NULL, C(CRL_SIGNATURE)},
    {"signature of the intermediate's list", pck_crl_signature, NULL, C(CRL_SIGNATURE)},
    {"lists exchanged", NULL, crls_exchanged, C(CRL_SIGNATURE)},
    {"lists expired", crls_expired, NULL, C(CRL_EXPIRED)},
    {"lists not yet valid", crls_early, NULL, C(CRL_EXPIRED)},
    {"leaf revoked", leaf_revoked, NULL, C(CERTIFICATE_REVOKED)},
    {"intermediate revoked", intermediate_revoked, NULL, C(CERTIFICATE_REVOKED)},
    {"signer of documents revoked", signing_revoked, NULL, C(CERTIFICATE_REVOKED)},
    {"leaf revoked where lists are optional", leaf_revoked, crl_optional, C(CERTIFICATE_REVOKED)},
    /* 4 */
    {"signer of another name", signing_name, NULL, C(CHAIN_ISSUER)},
    {"signer that is an authority", signing_ca, NULL, C(CHAIN_ISSUER)},
    {"signature of the signer's certificate", signing_signature, NULL, C(CHAIN_SIGNATURE)},
    {"signer expired", signing_expired, NULL, C(CERTIFICATE_EXPIRED)},
    {"signing chain that is another", NULL, pck_chain_for_signing, C(CHAIN_ISSUER)},
    {"signing chain of one certificate", NULL, one_certificate_signs, MALFORMED},
    {"no signing chain", NULL, no_chain, E(COLLATERAL_UNAVAILABLE)},
    {"no TCB info", info_absent, NULL, E(COLLATERAL_UNAVAILABLE)},
    {"no QE identity", qe_absent, NULL, E(COLLATERAL_UNAVAILABLE)},
    {"TCB info cannot be fetched", NULL, place_is_down, ATLS_E_UNAVAILABLE, ATLS_REASON_COLLATERAL_UNAVAILABLE},
    {"store is broken", NULL, source_is_broken, ATLS_E_CONFIG, ATLS_REASON_NONE},
    {"signature of TCB info", info_signature, NULL, E(COLLATERAL_SIGNATURE)},
    {"signature of QE identity", qe_signature_of_document, NULL, E(COLLATERAL_SIGNATURE)},
    {"signature of evaluation data numbers", evaluation_signature, NULL, E(COLLATERAL_SIGNATURE)},
    {"TCB info of SGX", info_sgx, NULL, E(TCB_INFO_MISMATCH)},
    {"TCB info of version 2", info_version_2, NULL, E(TCB_INFO_MISMATCH)},
    {"QE identity of SGX", qe_sgx, NULL, E(QE_IDENTITY_MISMATCH)},
    {"QE identity of version 3", qe_version_3, NULL, E(QE_IDENTITY_MISMATCH)},
    {"evaluation data numbers of SGX", evaluation_sgx, NULL, E(TCB_EVAL_NUMBER)},
    {"TCB info expired", info_expired, NULL, E(COLLATERAL_EXPIRED)},
    {"TCB info not yet valid", info_early, NULL, E(COLLATERAL_NOT_YET_VALID)},
    {"QE identity expired", qe_expired, NULL, E(COLLATERAL_EXPIRED)},
    {"QE identity not yet valid", qe_early, NULL, E(COLLATERAL_NOT_YET_VALID)},
    {"evaluation data numbers expired", evaluation_expired, NULL, E(COLLATERAL_EXPIRED)},
    {"evaluation number below the floor", NULL, floor_19, E(TCB_EVAL_NUMBER)},
    {"evaluation numbers of two documents", numbers_apart, NULL, E(TCB_EVAL_NUMBER)},
    {"evaluation number that is withdrawn", number_withdrawn, NULL, E(TCB_EVAL_NUMBER)},
    /* 5 */
    {"another FMSPC", other_fmspc, NULL, E(FMSPC_MISMATCH)},
    {"another PCE-ID", other_pce_id, NULL, E(PCEID_MISMATCH)},
    /* 6 */
    {"module of an unknown version", module_unknown, NULL, E(TDX_MODULE_MISMATCH)},
    {"TCB info without modules", no_modules, NULL, E(TDX_MODULE_MISMATCH)},
    {"another signer of the module", module_signer, NULL, E(TDX_MODULE_MISMATCH)},
    {"attributes of the module", module_attributes, NULL, E(TDX_MODULE_MISMATCH)},
    {"attribute outside the module's mask", module_attributes_masked_out, NULL, E(TDX_MODULE_MISMATCH)},
    {"another signer of a module of version 0", module_0_signer, NULL, E(TDX_MODULE_MISMATCH)},
    /* 7 to 11 */
    {"signature of the QE report", qe_report_signature, NULL, E(QE_REPORT_SIGNATURE)},
    {"attestation key that the QE does not know", other_attestation_key, NULL, E(QE_REPORT_DATA)},
    {"second half of the QE's report data", qe_report_data_tail, NULL, E(QE_REPORT_DATA)},
    {"MISCSELECT of the QE", qe_misc, NULL, E(QE_IDENTITY_MISMATCH)},
    {"ATTRIBUTES of the QE", qe_attributes, NULL, E(QE_IDENTITY_MISMATCH)},
    {"MRSIGNER of the QE", qe_signer, NULL, E(QE_IDENTITY_MISMATCH)},
    {"ISVPRODID of the QE", qe_product, NULL, E(QE_IDENTITY_MISMATCH)},
    {"QE for debugging, whatever the mask", qe_debug, NULL, E(QE_IDENTITY_MISMATCH)},
    {"QE below every level", qe_too_old, NULL, E(TCB_NOT_SUPPORTED)},
    {"signature of the quote", quote_signature, NULL, E(QUOTE_SIGNATURE)},
    /* 12 */
    {"SGX component below every level", sgx_too_old, NULL, E(TCB_NOT_SUPPORTED)},
    {"PCESVN below every level", pce_too_old, NULL, E(TCB_NOT_SUPPORTED)},
    {"TDX component below every level", tdx_too_old, NULL, E(TCB_NOT_SUPPORTED)},
    {"module below every level", module_too_old, NULL, E(TCB_NOT_SUPPORTED)},
    {"unknown status", unknown_status, all_statuses, E(TCB_NOT_SUPPORTED)},
    {"unknown status of the module", unknown_module_status, all_statuses, E(TCB_NOT_SUPPORTED)},
    {"platform out of date", out_of_date, NULL, E(TCB_OUT_OF_DATE)},
    {"module out of date", module_out_of_date, NULL, E(TCB_OUT_OF_DATE)},
    {"QE out of date", qe_out_of_date, NULL, E(TCB_OUT_OF_DATE)},
    {"relaunch advised", relaunch, NULL, E(TCB_OUT_OF_DATE)},
    {"out of date, below the floor", out_of_date, out_of_date_since_2025, E(TCB_OUT_OF_DATE)},
    {"out of date, and no floor", out_of_date, out_of_date_without_floor, E(TCB_OUT_OF_DATE)},
    {"up to date, which the rules do not list", NULL, not_up_to_date, E(TCB_CONFIGURATION)},
    {"hardening needed", hardening, NULL, E(TCB_CONFIGURATION)},
    {"configuration needed", configuration, NULL, E(TCB_CONFIGURATION)},
    {"revoked", revoked, all_statuses, E(TCB_REVOKED)},
    {"module revoked", module_revoked, all_statuses, E(TCB_REVOKED)},
    {"QE revoked", qe_revoked, all_statuses, E(TCB_REVOKED)},
    {"trailing bytes", trailing, NULL, E(TRAILING_DATA)},
    /* 13 to 15 */
    {"another challenge", NULL, other_report_data, E(REPORT_DATA_MISMATCH)},
    {"debugging", debug, NULL, E(TD_DEBUG)},
    {"SEPT_VE_DISABLE clear", ve, NULL, E(TD_ATTRIBUTES)},
    {"reserved bit 1", reserved_1, NULL, E(TD_ATTRIBUTES)},
    {"reserved bit 39", reserved_39, NULL, E(TD_ATTRIBUTES)},
    {"attribute that the rules demand", NULL, pks_demanded, E(TD_ATTRIBUTES)},
    {"attribute that the rules refuse", pks, pks_refused, E(TD_ATTRIBUTES)},
    {"XFAM beyond the rules", NULL, xfam_narrow, E(TD_ATTRIBUTES)},
    {"service TD", service_td, NULL, E(MR_SERVICE_TD_NOT_ALLOWED)},
    {"service TD, another is named", service_td, other_service_td_named, E(MR_SERVICE_TD_NOT_ALLOWED)},
};
/* clang-format on */

static void trust_another_root(struct scene *s)
{
    struct atls_sim_tdx_evidence made;
    struct atls_err err = ATLS_ERR_INIT;

    atls_certificate_set_unref(s->store.anchors);
    s->store.anchors = NULL;
    test_assert_code(atls_sim_tdx_make(&other_intel, &s->order, &made, &err), ATLS_OK, &err);
    test_tee_source_trust(&s->store, atls_buf_bytes(&made.root));
    atls_sim_tdx_evidence_clear(&made);
}

static void run_row(const struct row *row, struct atls_chain_cache *cache)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result = {.events = 77};
    struct scene s;
    enum atls_code code;

    scene_order(&s);
    if (row->order != NULL)
        row->order(&s);
    scene_make(&s);
    if (row->tune != NULL)
        row->tune(&s);
    if (s.other_root)
        trust_another_root(&s);
    if (s.no_source)
        s.check.sources.source = NULL;
    s.check.sources.cache = cache;
    for (int again = 0; again < (cache != NULL ? 2 : 1); again++) {
        code = atls_tdx_verify(&s.check, &result, &err);
        if (code != row->code || (code != ATLS_OK && err.reason != row->reason))
            fail_msg("%s: code %d, %s: %s", row->name, (int)code, atls_reason_name(err.reason),
                     err.message);
        if (code == ATLS_OK)
            atls_tdx_result_clear(&result);
        else
            assert_int_equal(result.events, 77); /* written on success only */
    }
    scene_close(&s);
}

static void each_check_alone(void **state)
{
    struct atls_chain_cache *cache;

    (void)state;
    assert_int_equal(atls_chain_cache_new(64, &cache, NULL), ATLS_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        run_row(&rows[i], NULL);
        run_row(&rows[i], cache); /* what is remembered changes no verdict */
    }
    print_message("  %zu rows\n", COUNT(rows));
    atls_chain_cache_free(cache);
}

static int set_up(void **state)
{
    (void)state;
    return atls_sim_intel_make(&intel, NULL) != ATLS_OK ||
           atls_sim_intel_make(&other_intel, NULL) != ATLS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    atls_sim_intel_clear(&intel);
    atls_sim_intel_clear(&other_intel);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
