/* Simulated platforms: each check fails alone, and TDX evidence in all its forms. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/reader.h"
#include "evidence/tdx.h"
#include "simulator/intel.h"
#include "simulator/x509.h"
#include "tee_source.h"
#include "wire/cbor.h"
#include "wire/tsm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIME_S   INT64_C(1760000000)
#define DAY_S    INT64_C(86400)

static struct atls_sim_intel intel, other_intel;
static EVP_PKEY *p384;

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
TUNE(no_crls_allowed, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL); forget(s, ATLS_COLLATERAL_TDX_PCK_CRL); s->rules.dcap.crl_optional = true;)
TUNE(crl_optional, s->rules.dcap.crl_optional = true;)
TUNE(no_chain, forget(s, ATLS_COLLATERAL_TDX_TCB_CHAIN);)
TUNE(no_issuers, forget(s, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN);)
TUNE(crls_exchanged, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_ROOT_CRL, atls_buf_bytes(&s->made.pck_crl)); test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_PCK_CRL, atls_buf_bytes(&s->made.root_crl));)
TUNE(pck_chain_for_signing, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_TCB_CHAIN, atls_buf_bytes(&s->made.pck_crl_chain));)
TUNE(one_certificate_signs, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_TCB_CHAIN, atls_buf_bytes(&s->made.root));)
TUNE(place_is_down, forget(s, ATLS_COLLATERAL_TDX_TCB_INFO); s->store.failure = ATLS_E_UNAVAILABLE;)
TUNE(list_is_down, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL); s->store.failure = ATLS_E_UNAVAILABLE;)
TUNE(info_is_stale, forget(s, ATLS_COLLATERAL_TDX_TCB_INFO); s->store.stale = ATLS_REASON_COLLATERAL_EXPIRED;)
TUNE(list_is_stale, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL); s->store.stale = ATLS_REASON_CRL_EXPIRED;)
TUNE(source_is_broken, forget(s, ATLS_COLLATERAL_TDX_TCB_INFO); s->store.failure = ATLS_E_CONFIG;)
ORDER(no_extension, o->omit_extension = true;)
ORDER(leaf_alone_of_nobody, q->certification = 4; o->intermediate.name = "Intel SGX PCK Other CA";)
ORDER(leaf_signature_and_time, o->leaf.break_signature = true; o->leaf.not_after_s = TIME_S - 1; o->leaf.wrong_ca = true;)
ORDER(leaf_of_p384, o->leaf_key = p384;)
TUNE(leaf_is_no_pem, uint8_t *at = s->made.quote.ptr; while (memcmp(at, "-----BEGIN", 10) != 0) at++; *at = '+';)
TUNE(wrong_issuers, test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, atls_buf_bytes(&s->made.tcb_chain));)
TUNE(chain_is_broken, forget(s, ATLS_COLLATERAL_TDX_TCB_CHAIN); s->store.failure = ATLS_E_CONFIG;)
TUNE(issuers_are_broken, forget(s, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN); s->store.failure = ATLS_E_CONFIG;)
TUNE(list_is_broken, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL); s->store.failure = ATLS_E_CONFIG;)
TUNE(anchors_are_broken, s->store.anchors_failure = ATLS_E_IO;)
TUNE(floor_18, s->rules.dcap.evaluation.set = true; s->rules.dcap.evaluation.value = 18;)
TUNE(floor_19, s->rules.dcap.evaluation.set = true; s->rules.dcap.evaluation.value = 19;)
TUNE(out_of_date_since_2024, s->rules.dcap.statuses = ATLS_TDX_OUT_OF_DATE; s->rules.dcap.tcb_date_s = 1704067200;)
TUNE(out_of_date_since_2025, s->rules.dcap.statuses = ATLS_TDX_OUT_OF_DATE; s->rules.dcap.tcb_date_s = 1735689600;)
TUNE(out_of_date_without_floor, s->rules.dcap.statuses = ATLS_TDX_OUT_OF_DATE;)
TUNE(not_up_to_date, s->rules.dcap.statuses = ATLS_TDX_OUT_OF_DATE;)
TUNE(all_statuses, s->rules.dcap.statuses = 0xffff; s->rules.dcap.tcb_date_s = 1;)
TUNE(hardening_allowed, s->rules.dcap.statuses = ATLS_TDX_SW_HARDENING_NEEDED;)
TUNE(relaunch_allowed, s->rules.dcap.statuses = ATLS_TDX_RELAUNCH_ADVISED;)
TUNE(trailing_allowed, s->rules.dcap.allow_trailing = true;)
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
    {"no extension", no_extension, NULL, MALFORMED},
    {"key of P-384", leaf_of_p384, NULL, U(UNSUPPORTED_ALGORITHM)},
    {"leaf alone that is no PEM", leaf_alone, leaf_is_no_pem, MALFORMED},
    {"leaf alone with another's issuers", leaf_alone, wrong_issuers, C(CHAIN_ISSUER)},
    {"leaf alone of another issuer", leaf_alone_of_nobody, NULL, C(CHAIN_ISSUER)},
    {"signature of the leaf before its time", leaf_signature_and_time, NULL, C(CHAIN_SIGNATURE)},
    {"anchors cannot be had", NULL, anchors_are_broken, ATLS_E_IO, ATLS_REASON_NONE},
    {"issuers: store is broken", leaf_alone, issuers_are_broken, ATLS_E_CONFIG, ATLS_REASON_NONE},
    {"signing chain: store is broken", NULL, chain_is_broken, ATLS_E_CONFIG, ATLS_REASON_NONE},
    {"list: store is broken", NULL, list_is_broken, ATLS_E_CONFIG, ATLS_REASON_NONE},
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
    {"TCB info on file is past its time", NULL, info_is_stale, E(COLLATERAL_EXPIRED)},
    {"list of the root on file is past its time", NULL, list_is_stale, C(CRL_EXPIRED)},
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

/* ---- where collateral comes from ---- */

/* A second set of documents, as a bundle brings them. */
struct bundled {
    struct atls_cmw_entry entries[COUNT(documents) + 1];
    struct atls_cmw cmw;
};

static void bundle_documents(struct bundled *b, const struct atls_sim_tdx_evidence *made)
{
    memset(b, 0, sizeof *b);
    b->cmw.kind = ATLS_CMW_COLLECTION;
    b->cmw.entries = b->entries;
    for (size_t i = 0; i < COUNT(documents); i++) {
        const struct atls_collateral_row *row = atls_collateral_row_of(documents[i].kind);
        struct atls_cmw_entry *e = &b->entries[b->cmw.count];

        if (document_of(made, i).len == 0)
            continue;
        e->label.is_text = true;
        e->label.text = atls_bytes_of(row->name, strlen(row->name));
        e->value = atls_cmw_record(row->media_type, document_of(made, i), ATLS_CMW_ENDORSEMENTS);
        b->cmw.count++;
    }
}

static void drop_store(struct scene *s)
{
    s->store.count = 0;
}

/* Verifies s with what another order says in the bundle. */
static enum atls_code verify_with_bundle(struct scene *s, const struct atls_sim_tdx *bundle,
                                         enum atls_reason *reason)
{
    struct atls_sim_tdx_evidence made;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct bundled b;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&intel.root, atls_buf_bytes(&s->made.root), &err), ATLS_OK,
                     &err);
    test_assert_code(atls_sim_tdx_make(&intel, bundle, &made, &err), ATLS_OK, &err);
    atls_buf_clear(&intel.root);
    bundle_documents(&b, &made);
    s->check.sources.endorsements = &b.cmw;
    code = atls_tdx_verify(&s->check, &result, &err);
    *reason = err.reason;
    if (code == ATLS_OK)
        atls_tdx_result_clear(&result);
    s->check.sources.endorsements = NULL;
    atls_sim_tdx_evidence_clear(&made);
    return code;
}

static const struct {
    const char *name;
    void (*store)(struct scene *s); /* what the Verifier's own documents are */
    void (*bundle)(struct scene *s);
    void (*tune)(struct scene *s);
    enum atls_code code;
    enum atls_reason reason;
} origins[] = {
    {"bundle alone", NULL, NULL, drop_store, GOOD},
    {"both", NULL, NULL, NULL, GOOD},
    {"own expired, bundle good", info_expired, NULL, NULL, GOOD},
    {"own lists expired, bundle good", crls_expired, NULL, NULL, GOOD},
    {"own lists forged, bundle good", root_crl_signature, NULL, NULL, GOOD},
    {"own good, bundle expired", NULL, info_expired, NULL, GOOD},
    {"own good, bundle says revoked", NULL, leaf_revoked, NULL, GOOD},
    {"own says revoked, bundle does not", leaf_revoked, NULL, NULL, C(CERTIFICATE_REVOKED)},
    {"own says out of date, bundle does not", revoked, NULL, NULL, E(TCB_REVOKED)},
    {"both expired", info_expired, info_expired, NULL, E(COLLATERAL_EXPIRED)},
    {"both lists expired", crls_expired, crls_expired, NULL, C(CRL_EXPIRED)},
    {"own without chain, the bundle's serves", NULL, NULL, no_chain, GOOD},
    {"own leaf without issuers, the bundle's serve", leaf_alone, leaf_alone, no_issuers, GOOD},
    {"own leaf with another's issuers, the bundle's serve", leaf_alone, leaf_alone, wrong_issuers,
     GOOD},
    {"place is down, the bundle serves", NULL, NULL, place_is_down, GOOD},
    {"list is down, the bundle serves", NULL, NULL, list_is_down, GOOD},
    {"own list past its time, the bundle's serves", NULL, NULL, list_is_stale, GOOD},
    {"own signer expired, bundle good", signing_expired, NULL, NULL, GOOD},
};

static void own_collateral_comes_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(origins); i++) {
        struct scene s, bundle;
        enum atls_reason reason;
        enum atls_code code;

        scene_order(&s);
        scene_order(&bundle);
        if (origins[i].store != NULL)
            origins[i].store(&s);
        if (origins[i].bundle != NULL)
            origins[i].bundle(&bundle);
        scene_make(&s);
        if (origins[i].tune != NULL)
            origins[i].tune(&s);
        code = verify_with_bundle(&s, &bundle.order, &reason);
        if (code != origins[i].code || (code != ATLS_OK && reason != origins[i].reason))
            fail_msg("%s: code %d, %s", origins[i].name, (int)code, atls_reason_name(reason));
        scene_close(&s);
    }
}

/* A second TEST maker's signer, whose root is trusted as well, does not speak for this platform. */
static void documents_of_another_trusted_root(void **state)
{
    struct atls_sim_tdx_evidence made;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct scene s;

    (void)state;
    scene_order(&s);
    scene_make(&s);
    test_assert_code(atls_sim_tdx_make(&other_intel, &s.order, &made, &err), ATLS_OK, &err);
    test_tee_source_trust(&s.store, atls_buf_bytes(&made.root));
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_TCB_INFO, atls_buf_bytes(&made.tcb_info));
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_TCB_CHAIN, atls_buf_bytes(&made.tcb_chain));
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNTRUSTED_ROOT);
    atls_sim_tdx_evidence_clear(&made);
    scene_close(&s);
}

/* ---- what is remembered ---- */

static void what_is_remembered_ends_in_time(void **state)
{
    struct atls_chain_cache *cache;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct scene s;

    (void)state;
    assert_int_equal(atls_chain_cache_new(64, &cache, NULL), ATLS_OK);
    scene_order(&s);
    s.order.evaluation.absent = true;
    s.order.tcb_info.next_update_s = TIME_S + 10;
    s.order.crl_next_s = TIME_S + 8;
    scene_make(&s);
    s.check.sources.cache = cache;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_OK, &err);
    atls_tdx_result_clear(&result);
    s.check.sources.time_s = TIME_S + 7;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_OK, &err);
    atls_tdx_result_clear(&result);
    s.check.sources.time_s = TIME_S + 8;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CRL_EXPIRED);
    s.check.sources.time_s = TIME_S + 11;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_COLLATERAL_EXPIRED);
    s.check.sources.time_s = TIME_S - 2 * DAY_S;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_COLLATERAL_NOT_YET_VALID);
    /* Anchors that no longer have the root are another set. */
    s.check.sources.time_s = TIME_S;
    trust_another_root(&s);
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNTRUSTED_ROOT);
    scene_close(&s);
    atls_chain_cache_free(cache);
}

/* ---- event logs ---- */

/* One event of a log that is made. */
struct event {
    uint32_t index, type;
    uint8_t digest; /* 48 times */
};

static void put_fill(struct atls_writer *w, uint8_t byte, size_t len)
{
    while (len-- > 0)
        atls_put_u8(w, byte);
}

/* A crypto agile log of one algorithm, 0x0c (SHA-384) or 0x0b (SHA-256). */
static void make_log(struct atls_writer *w, uint8_t algorithm, const struct event *events,
                     size_t count)
{
    const uint8_t len = algorithm == 0x0c ? 48 : 32;

    atls_put_u32le(w, 1);
    atls_put_u32le(w, 3);
    put_fill(w, 0, 20);
    atls_put_u32le(w, 33);
    atls_put_bytes(w, atls_bytes_of("Spec ID Event03\0\0\0\0\0\0\2\0\2\1\0\0\0", 28));
    atls_put_u8(w, algorithm);
    atls_put_u8(w, 0);
    atls_put_u8(w, len);
    put_fill(w, 0, 2);
    for (size_t i = 0; i < count; i++) {
        atls_put_u32le(w, events[i].index);
        atls_put_u32le(w, events[i].type);
        atls_put_u32le(w, 1);
        atls_put_u8(w, algorithm);
        atls_put_u8(w, 0);
        put_fill(w, events[i].digest, len);
        atls_put_u32le(w, 3);
        put_fill(w, 0x65, 3);
    }
}

static void extend(uint8_t rtmr[48], uint8_t digest)
{
    uint8_t in[96], out[ATLS_HASH_MAX];

    memcpy(in, rtmr, 48);
    memset(in + 48, digest, 48);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA384, atls_bytes_of(in, 96), out, NULL), ATLS_OK);
    memcpy(rtmr, out, 48);
}

#define BOOT                                                                                       \
    {1, 5, 0x11}, {2, 5, 0x22}, {1, 5, 0x33},                                                      \
    {                                                                                              \
        3, 5, 0x44                                                                                 \
    }

static const struct {
    const char *name;
    uint8_t algorithm;
    struct event events[8];
    size_t count;
    int bad_rtmr; /* that the quote has another value of; 0: none, else 1 + its index */
    enum atls_code code;
    enum atls_reason reason;
} logs[] = {
    {"boot", 0x0c, {BOOT}, 4, 0, GOOD},
    {"boot and something without action", 0x0c, {BOOT, {0, 3, 9}, {77, 3, 9}}, 6, 0, GOOD},
    {"boot and RTMR 3", 0x0c, {BOOT, {4, 5, 0x55}}, 5, 0, GOOD},
    {"RTMR 3 extended at run time", 0x0c, {BOOT}, 4, 4, GOOD},
    {"RTMR 3 not as logged", 0x0c, {BOOT, {4, 5, 0x55}}, 5, 4, E(EVENT_LOG_MISMATCH)},
    {"RTMR 0 not as logged", 0x0c, {BOOT}, 4, 1, E(EVENT_LOG_MISMATCH)},
    {"RTMR 1 not as logged", 0x0c, {BOOT}, 4, 2, E(EVENT_LOG_MISMATCH)},
    {"RTMR 2 not as logged", 0x0c, {BOOT}, 4, 3, E(EVENT_LOG_MISMATCH)},
    {"RTMR 2 extended, and not logged", 0x0c, {{1, 5, 1}, {2, 5, 2}}, 2, 3, E(EVENT_LOG_MISMATCH)},
    {"event of MRTD", 0x0c, {BOOT, {0, 5, 1}}, 5, 0, E(EVENT_LOG_MISMATCH)},
    {"event of register 5", 0x0c, {BOOT, {5, 5, 1}}, 5, 0, E(EVENT_LOG_MISMATCH)},
    {"digests of SHA-256", 0x0b, {BOOT}, 4, 0, E(EVENT_LOG_MISMATCH)},
};

static void logs_lead_to_the_quoted_registers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(logs); i++) {
        struct atls_writer w = atls_writer_init(65536);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tdx_result result;
        struct scene s;
        enum atls_code code;

        scene_order(&s);
        memset(s.order.quote.rtmr, 0, sizeof s.order.quote.rtmr);
        for (size_t k = 0; k < logs[i].count; k++)
            if (logs[i].events[k].type != 3 && logs[i].events[k].index >= 1 &&
                logs[i].events[k].index <= 4)
                extend(s.order.quote.rtmr[logs[i].events[k].index - 1], logs[i].events[k].digest);
        if (logs[i].bad_rtmr != 0)
            s.order.quote.rtmr[logs[i].bad_rtmr - 1][7] ^= 1;
        scene_make(&s);
        make_log(&w, logs[i].algorithm, logs[i].events, logs[i].count);
        put_fill(&w, 0xff, 100);
        assert_int_equal(w.failed, ATLS_OK);
        s.check.event_log = atls_writer_bytes(&w);
        code = atls_tdx_verify(&s.check, &result, &err);
        if (code != logs[i].code || (code != ATLS_OK && err.reason != logs[i].reason))
            fail_msg("%s: %d, %s", logs[i].name, (int)code, err.message);
        if (code == ATLS_OK) {
            assert_true(result.has_event_log);
            assert_int_equal(result.events, logs[i].count);
            atls_tdx_result_clear(&result);
        }
        atls_writer_clear(&w);
        scene_close(&s);
    }
}

/* ---- evidence in its forms ---- */

static const uint8_t binder[48] = "binder of the connection, as long as SHA-384 is";
static struct atls_private_key *aik, *other_aik;

static struct atls_bytes spki_of(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

/* One piece of evidence and how it is asked about. */
struct form {
    struct scene s;
    enum atls_evidence_profile profile;
    bool raw;      /* the quote itself, no report of configfs-tsm */
    bool bundled;  /* collateral comes with it, and the store is empty */
    bool bad_log;  /* an event log that is none */
    bool good_log; /* one that replays */
    bool swap_kat; /* of another key */
    size_t binder_len;
    const char *provider;
    struct atls_buf evidence, kat, log;
    struct bundled documents;
    struct atls_rules rules;
    struct atls_evidence_options options;
    struct atls_evidence_request request;
};

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_writer_finish(w, &out, &err), ATLS_OK, &err);
    return out;
}

static void put_kat(const struct form *f, struct atls_writer *w)
{
    struct atls_cose_key key;

    assert_int_equal(atls_cose_key_from_spki(spki_of(f->swap_kat ? other_aik : aik), &key, NULL),
                     ATLS_OK);
    assert_int_equal(atls_kat_encode(atls_bytes_of(binder, f->binder_len), &key, w, NULL), ATLS_OK);
}

/* "kat" of the bundle, and the challenge that goes into the quote. */
static void make_kat(struct form *f)
{
    struct atls_writer w = atls_writer_init(4096), member = atls_writer_init(8192);
    uint8_t *challenge = f->s.order.quote.report_data;
    struct atls_batch_tree *tree;
    struct atls_bytes kats[3];

    memset(challenge, 0, 64);
    put_kat(f, &w);
    if (f->profile == ATLS_PROFILE_BARE && f->request.scope == ATLS_EVIDENCE_KEY_UNKNOWN) {
        memcpy(challenge, binder, f->binder_len);
    } else if (f->profile == ATLS_PROFILE_BARE) {
        assert_int_equal(atls_binder_bare_challenge(
                             f->binder_len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256,
                             atls_bytes_of(binder, f->binder_len), spki_of(aik), challenge, NULL),
                         ATLS_OK);
    } else if (f->profile == ATLS_PROFILE_KAT) {
        assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, atls_writer_bytes(&w), challenge, NULL),
                         ATLS_OK);
        atls_put_bytes(&member, atls_writer_bytes(&w));
    } else {
        kats[0] = kats[2] = atls_bytes_of("another", 7);
        kats[1] = atls_writer_bytes(&w);
        assert_int_equal(atls_batch_tree_new(kats, 3, &tree, NULL), ATLS_OK);
        memcpy(challenge, atls_batch_tree_challenge(tree).ptr, 64);
        atls_batch_tree_put(tree, 1, kats[1], &member);
        atls_batch_tree_free(tree);
    }
    atls_writer_clear(&w);
    f->kat = finish(&member);
}

static struct atls_buf make_token(const struct form *f)
{
    struct atls_writer w = atls_writer_init(65536);
    const struct atls_tsm_report report = {
        .provider = {(const uint8_t *)f->provider, strlen(f->provider)},
        .outblob = atls_buf_bytes(&f->s.made.quote),
    };

    if (f->raw)
        atls_put_bytes(&w, report.outblob);
    else
        atls_tsm_report_put(&w, &report);
    return finish(&w);
}

static void add_log(struct form *f)
{
    static const struct event boot[] = {BOOT};
    struct atls_writer w = atls_writer_init(65536);
    struct atls_cmw_entry *e = &f->documents.entries[f->documents.cmw.count++];

    e->label.is_text = true;
    e->label.text = atls_bytes_of(ATLS_TDX_EVENT_LOG, strlen(ATLS_TDX_EVENT_LOG));
    if (f->good_log)
        make_log(&w, 0x0c, boot, COUNT(boot));
    else
        put_fill(&w, 1, 40);
    f->log = finish(&w);
    e->value =
        atls_cmw_record(ATLS_TDX_EVENT_LOG_TYPE, atls_buf_bytes(&f->log), ATLS_CMW_ENDORSEMENTS);
}

static void encode(struct form *f)
{
    struct atls_buf token = make_token(f);
    struct atls_cmw pat = atls_cmw_record(f->raw ? ATLS_TYPE_TDX_QUOTE : ATLS_TYPE_TSM_REPORT,
                                          atls_buf_bytes(&token), ATLS_CMW_EVIDENCE);
    struct atls_cmw kat =
        atls_cmw_record(f->profile == ATLS_PROFILE_BATCH ? ATLS_TYPE_KAT_BATCH : ATLS_TYPE_KAT,
                        atls_buf_bytes(&f->kat), ATLS_CMW_EVIDENCE);
    struct atls_writer w = atls_writer_init(128 * 1024);
    struct atls_err err = ATLS_ERR_INIT;

    if (f->bundled)
        bundle_documents(&f->documents, &f->s.made);
    else
        f->documents.cmw =
            (struct atls_cmw){.kind = ATLS_CMW_COLLECTION, .entries = f->documents.entries};
    if (f->bad_log || f->good_log)
        add_log(f);
    if (f->profile == ATLS_PROFILE_BARE)
        test_assert_code(atls_cmw_encode(&pat, &w, &err), ATLS_OK, &err);
    else
        test_assert_code(atls_bundle_encode(&kat, &pat,
                                            f->documents.cmw.count > 0 ? &f->documents.cmw : NULL,
                                            &w, &err),
                         ATLS_OK, &err);
    atls_buf_clear(&token);
    f->evidence = finish(&w);
}

static struct form *form_new(void)
{
    struct form *f = calloc(1, sizeof *f);

    assert_non_null(f);
    scene_order(&f->s);
    f->profile = ATLS_PROFILE_KAT;
    f->binder_len = 32;
    f->provider = ATLS_TSM_PROVIDER_TDX;
    f->request.profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE;
    return f;
}

static enum atls_code form_verify(struct form *f, struct atls_claims *out, struct atls_err *err)
{
    make_kat(f);
    scene_make(&f->s);
    if (f->bundled)
        drop_store(&f->s);
    encode(f);
    f->options.rules = &f->rules;
    f->request.evidence = atls_buf_bytes(&f->evidence);
    f->request.binder = atls_bytes_of(binder, f->binder_len);
    if (f->request.scope != ATLS_EVIDENCE_KEY_UNKNOWN)
        f->request.aik_spki = spki_of(aik);
    f->request.time_s = TIME_S;
    if (f->request.source == NULL)
        f->request.source = &f->s.source;
    f->request.options = &f->options;
    return atls_evidence_verify(&f->request, out, err);
}

static void form_free(struct form *f)
{
    atls_buf_clear(&f->evidence);
    atls_buf_clear(&f->kat);
    atls_buf_clear(&f->log);
    scene_close(&f->s);
    free(f);
}

static void every_form_is_accepted(void **state)
{
    static const enum atls_evidence_profile profiles[] = {ATLS_PROFILE_KAT, ATLS_PROFILE_BATCH,
                                                          ATLS_PROFILE_BARE};
    static const enum atls_evidence_scope scopes[] = {
        ATLS_EVIDENCE_COMPLETE, ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE, ATLS_EVIDENCE_KEY_UNKNOWN};
    static const size_t lens[] = {32, 48};

    (void)state;
    for (size_t i = 0; i < 3 * 3 * 2 * 2; i++) {
        struct form *f = form_new();
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;

        f->profile = profiles[i % 3];
        f->request.scope = scopes[i / 3 % 3];
        f->binder_len = lens[i / 9 % 2];
        f->raw = i / 18 % 2 != 0;
        f->bundled = f->profile != ATLS_PROFILE_BARE && i % 2 == 0;
        test_assert_code(form_verify(f, &claims, &err), ATLS_OK, &err);
        assert_string_equal(claims.technology, "tdx");
        assert_string_equal(claims.submod, "TDX");
        assert_int_equal(claims.key_trust, f->request.scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE
                                               ? ATLS_KEY_TRUST_NONE
                                               : ATLS_KEY_TRUST_CERTIFIED);
        if (f->profile == ATLS_PROFILE_BARE && f->request.scope == ATLS_EVIDENCE_KEY_UNKNOWN)
            assert_int_equal(claims.key_spki.len, 0);
        else
            test_assert_bytes(claims.key_spki, spki_of(aik));
        atls_claims_clear(&claims);
        form_free(f);
    }
}

static void form_other_key(struct form *f)
{
    f->swap_kat = true;
}
static void form_bare_other_nonce(struct form *f)
{
    f->profile = ATLS_PROFILE_BARE;
    f->request.scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f->s.order.quote.break_signature = true;
}
static void form_provider(struct form *f)
{
    f->provider = "tdx_host";
}
static void form_debug(struct form *f)
{
    f->s.order.quote.attributes |= 1;
}
static void form_debug_elsewhere(struct form *f)
{
    form_debug(f);
    f->request.scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
}
static void form_debug_allowed(struct form *f)
{
    form_debug(f);
    f->rules.tdx.allow_debug = true;
}
static void form_log(struct form *f)
{
    f->bad_log = true;
}
static void form_signature_elsewhere(struct form *f)
{
    f->request.scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
    f->s.order.quote.break_signature = true;
}
static void form_key_elsewhere(struct form *f)
{
    f->request.scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
    f->s.order.quote.wrong_attestation_key = true;
}
static void form_no_store(struct form *f)
{
    static const struct atls_endorsement_source none;

    f->request.source = &none;
}
static void form_no_store_elsewhere(struct form *f)
{
    form_no_store(f);
    f->request.scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE;
}
static void form_class_fails(struct form *f)
{
    f->s.store.class_failure = ATLS_E_IO;
}

static const struct {
    const char *name;
    void (*change)(struct form *f);
    enum atls_code code;
    enum atls_reason reason;
} forms[] = {
    {"KAT of another key", form_other_key, E(KEY_BINDING_MISMATCH)},
    {"bare quote, forged", form_bare_other_nonce, E(QUOTE_SIGNATURE)},
    {"report of another provider", form_provider, U(UNKNOWN_EVIDENCE_TYPE)},
    {"debugging", form_debug, E(TD_DEBUG)},
    {"debugging, judged elsewhere", form_debug_elsewhere, GOOD},
    {"debugging, allowed by the options' rules", form_debug_allowed, GOOD},
    {"event log that is none", form_log, MALFORMED},
    {"signature, trust elsewhere", form_signature_elsewhere, E(QUOTE_SIGNATURE)},
    {"attestation key, trust elsewhere", form_key_elsewhere, E(QE_REPORT_DATA)},
    {"no anchors", form_no_store, C(UNTRUSTED_ROOT)},
    {"no anchors, trust elsewhere", form_no_store_elsewhere, GOOD},
    {"store of classes is broken", form_class_fails, ATLS_E_IO, ATLS_REASON_NONE},
};

static void forms_with_one_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct form *f = form_new();
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        enum atls_code code;

        forms[i].change(f);
        code = form_verify(f, &claims, &err);
        if (code != forms[i].code || (code != ATLS_OK && err.reason != forms[i].reason))
            fail_msg("%s: code %d, %s", forms[i].name, (int)code, err.message);
        if (code == ATLS_OK)
            atls_claims_clear(&claims);
        form_free(f);
    }
}

/* A bundle of another challenge: the quote is good, and answers somebody else. */
static void a_quote_over_another_kat(void **state)
{
    static const enum atls_evidence_scope scopes[] = {ATLS_EVIDENCE_COMPLETE,
                                                      ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE};

    (void)state;
    for (size_t i = 0; i < COUNT(scopes); i++) {
        struct form *f = form_new(), *g = form_new();
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;

        f->request.scope = g->request.scope = scopes[i];
        test_assert_code(form_verify(f, &claims, &err), ATLS_OK, &err);
        atls_claims_clear(&claims);
        g->swap_kat = true;
        make_kat(g);
        memcpy(g->s.order.quote.report_data, f->s.order.quote.report_data, 64);
        test_assert_code(atls_buf_copy(&intel.root, atls_buf_bytes(&f->s.made.root), &err), ATLS_OK,
                         &err);
        scene_make(&g->s);
        atls_buf_clear(&intel.root);
        encode(g);
        g->request = f->request;
        g->request.evidence = atls_buf_bytes(&g->evidence);
        test_assert_code(atls_evidence_verify(&g->request, &claims, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_REPORT_DATA_MISMATCH);
        form_free(f);
        form_free(g);
    }
}

/* ---- claims ---- */

static const struct atls_detail *detail_of(const struct atls_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0)
            return &claims->details[i];
    return NULL;
}

static const struct atls_detail *detail_wanted(const struct atls_claims *claims, const char *name)
{
    size_t at = 0;

    while (at + 1 < claims->detail_count && strcmp(claims->details[at].name, name) != 0)
        at++;
    assert_string_equal(claims->details[at].name, name);
    return &claims->details[at];
}

static void assert_detail_text(const struct atls_claims *claims, const char *name, const char *want)
{
    const struct atls_detail *d = detail_wanted(claims, name);

    assert_int_equal(d->type, ATLS_DETAIL_TEXT);
    test_assert_bytes(d->bytes, atls_bytes_of(want, strlen(want)));
}

static void assert_detail_number(const struct atls_claims *claims, const char *name, uint64_t want)
{
    const struct atls_detail *d = detail_wanted(claims, name);

    assert_true(d->number == want);
}

static void assert_detail_bytes(const struct atls_claims *claims, const char *name,
                                const void *want, size_t len)
{
    const struct atls_detail *d = detail_wanted(claims, name);

    assert_int_equal(d->type, ATLS_DETAIL_BYTES);
    test_assert_bytes(d->bytes, atls_bytes_of(want, len));
}

static void claims_of_a_current_platform(void **state)
{
    static const char *const names[] = {"mrtd",   "rtmr0",      "rtmr1",   "rtmr2",        "rtmr3",
                                        "mrseam", "mrconfigid", "mrowner", "mrownerconfig"};
    static const uint8_t class_id[] = {0xd8, 0x25, 0x50, 0xa2, 0xb0, 0x7d, 0x94, 0x54, 0xf2, 0x4a,
                                       0xb4, 0x9b, 0xdf, 0x85, 0x6e, 0x7d, 0x83, 0x2a, 0xb8};
    struct form *f = form_new();
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_claims claims;
    uint8_t ueid[ATLS_HASH_MAX];

    (void)state;
    f->s.order.quote.version = 5;
    test_assert_code(form_verify(f, &claims, &err), ATLS_OK, &err);
    assert_int_equal(claims.measurement_count, COUNT(names));
    assert_int_equal(claims.optional_count, 4);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_int_equal(claims.measurements[i].mkey.kind, ATLS_MKEY_TEXT);
        assert_true(atls_bytes_equal_text(claims.measurements[i].mkey.bytes, names[i]));
        assert_int_equal(claims.measurements[i].mval.digest_count, 1);
        assert_int_equal(claims.measurements[i].mval.digests[0].hash, ATLS_HASH_SHA384);
    }
    test_assert_bytes(claims.measurements[0].mval.digests[0].value,
                      atls_bytes_of(f->s.order.quote.mr_td, 48));
    test_assert_bytes(claims.measurements[4].mval.digests[0].value,
                      atls_bytes_of(f->s.order.quote.rtmr[3], 48));
    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(f->s.order.instance, 16), ueid, NULL),
        ATLS_OK);
    assert_int_equal(claims.instance.len, 33);
    assert_int_equal(claims.instance.ptr[0], 1);
    test_assert_bytes(atls_bytes_of(claims.instance.ptr + 1, 32), atls_bytes_of(ueid, 32));
    test_assert_bytes(claims.environment.class_id, atls_bytes_of(class_id, sizeof class_id));
    assert_true(claims.signer_spki.len > 0 && !claims.hardware_advisory && !claims.insecure);
    assert_detail_text(&claims, "tcb-status", "UpToDate");
    assert_detail_text(&claims, "tcb-date", "2025-05-14");
    assert_null(detail_of(&claims, "advisory-ids"));
    assert_null(detail_of(&claims, "event-log-events"));
    assert_detail_number(&claims, "tcb-evaluation-number", 18);
    assert_detail_number(&claims, "quote-version", 5);
    assert_detail_number(&claims, "debug", 0);
    assert_detail_number(&claims, "td-attributes", UINT64_C(1) << 28);
    assert_detail_number(&claims, "xfam", 0x61ae7);
    assert_detail_bytes(&claims, "fmspc", f->s.order.fmspc, 6);
    assert_detail_bytes(&claims, "ppid", f->s.order.ppid, 16);
    assert_detail_bytes(&claims, "platform-instance-id", f->s.order.instance, 16);
    assert_detail_bytes(&claims, "tee-tcb-svn", f->s.order.quote.tcb_svn, 16);
    assert_detail_bytes(&claims, "tee-tcb-svn2", f->s.order.quote.tcb_svn2, 16);
    assert_detail_bytes(&claims, "mr-service-td", f->s.order.quote.mr_service_td, 48);
    atls_claims_clear(&claims);
    form_free(f);
}

/* The platform, the module and the enclave are out of date: each advisory once, the oldest date. */
static void claims_of_an_old_platform(void **state)
{
    struct form *f = form_new();
    struct atls_sim_tdx *o = &f->s.order;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_claims claims;
    uint8_t ueid[ATLS_HASH_MAX];

    (void)state;
    o->processor = true;
    f->good_log = true;
    memset(o->quote.rtmr, 0, sizeof o->quote.rtmr);
    extend(o->quote.rtmr[0], 0x11);
    extend(o->quote.rtmr[0], 0x33);
    extend(o->quote.rtmr[1], 0x22);
    extend(o->quote.rtmr[2], 0x44);
    o->quote.attributes |= 1;
    o->components[0] = 4;
    o->quote.tcb_svn[0] = 4;
    o->modules[0].levels[1].status.advisories = "INTEL-SA-00002,INTEL-SA-00003";
    o->modules[0].levels[1].status.date = "2023-08-09";
    f->rules.tdx.allow_debug = true;
    f->rules.tdx.dcap.statuses = ATLS_TDX_UP_TO_DATE | ATLS_TDX_OUT_OF_DATE;
    f->rules.tdx.dcap.tcb_date_s = 1;
    f->s.store.class_id = (struct atls_bytes)HEX("\xd8\x25\x50"
                                                 "0123456789abcdef");
    test_assert_code(form_verify(f, &claims, &err), ATLS_OK, &err);
    assert_true(claims.hardware_advisory);
    assert_detail_text(&claims, "tcb-status", "OutOfDate");
    assert_detail_text(&claims, "tcb-date", "2023-08-09");
    assert_detail_text(&claims, "advisory-ids", "INTEL-SA-00001,INTEL-SA-00002,INTEL-SA-00003");
    assert_detail_number(&claims, "debug", 1);
    assert_detail_number(&claims, "event-log-events", 4);
    assert_null(detail_of(&claims, "platform-instance-id"));
    assert_null(detail_of(&claims, "mr-service-td"));
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(o->ppid, 16), ueid, NULL),
                     ATLS_OK);
    test_assert_bytes(atls_bytes_of(claims.instance.ptr + 1, 32), atls_bytes_of(ueid, 32));
    test_assert_bytes(claims.environment.class_id, f->s.store.class_id);
    atls_claims_clear(&claims);
    form_free(f);
}

static void report_data_has_one_length(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct scene s;

    (void)state;
    scene_order(&s);
    scene_make(&s);
    s.check.report_data.len = 63;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_E_USAGE, &err);
    atls_tdx_result_clear(NULL);
    scene_close(&s);
}

static int set_up(void **state)
{
    (void)state;
    return atls_sim_intel_make(&intel, NULL) != ATLS_OK ||
           atls_sim_intel_make(&other_intel, NULL) != ATLS_OK ||
           atls_sim_key_ec("P-384", &p384, NULL) != ATLS_OK ||
           atls_private_key_generate(ATLS_KEY_P256, &aik, NULL) != ATLS_OK ||
           atls_private_key_generate(ATLS_KEY_P256, &other_aik, NULL) != ATLS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    atls_sim_intel_clear(&intel);
    atls_sim_intel_clear(&other_intel);
    EVP_PKEY_free(p384);
    atls_private_key_free(aik);
    atls_private_key_free(other_aik);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),
        cmocka_unit_test(own_collateral_comes_first),
        cmocka_unit_test(documents_of_another_trusted_root),
        cmocka_unit_test(what_is_remembered_ends_in_time),
        cmocka_unit_test(logs_lead_to_the_quoted_registers),
        cmocka_unit_test(every_form_is_accepted),
        cmocka_unit_test(forms_with_one_fault),
        cmocka_unit_test(a_quote_over_another_kat),
        cmocka_unit_test(claims_of_a_current_platform),
        cmocka_unit_test(claims_of_an_old_platform),
        cmocka_unit_test(report_data_has_one_length),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
