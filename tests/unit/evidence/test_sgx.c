/* Simulated platforms of SGX: each check fails alone, and evidence in all forms that certificates
 * carry. */
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>

#include "testlib.h"

#include "core/reader.h"
#include "evidence/sgx.h"
#include "failing_alloc.h"
#include "simulator/intel.h"
#include "simulator/x509.h"
#include "tee_source.h"
#include "wire/cbor.h"
#include "wire/ra_tls.h"
#include "wire/ra_tls_forms.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIME_S   INT64_C(1760000000)
#define DAY_S    INT64_C(86400)

static struct atls_sim_intel intel;
static EVP_PKEY *p384;

struct scene {
    struct atls_sim_tdx order;
    struct atls_sim_tdx_evidence made;
    struct test_tee_source store;
    struct atls_endorsement_source source;
    struct atls_sgx_rules rules;
    struct atls_sgx_check check;
};

static void scene_order(struct scene *s)
{
    memset(s, 0, sizeof *s);
    atls_sim_sgx_init(&s->order, TIME_S);
    memset(s->order.quote.report_data, 0xab, 32);
}

static const struct {
    enum atls_collateral_kind kind;
    size_t offset;
} documents[] = {
    {ATLS_COLLATERAL_SGX_TCB_INFO, offsetof(struct atls_sim_tdx_evidence, tcb_info)},
    {ATLS_COLLATERAL_SGX_QE_IDENTITY, offsetof(struct atls_sim_tdx_evidence, qe_identity)},
    {ATLS_COLLATERAL_SGX_EVALUATION, offsetof(struct atls_sim_tdx_evidence, evaluation)},
    {ATLS_COLLATERAL_TDX_TCB_CHAIN, offsetof(struct atls_sim_tdx_evidence, tcb_chain)},
    {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, offsetof(struct atls_sim_tdx_evidence, pck_crl_chain)},
    {ATLS_COLLATERAL_TDX_ROOT_CRL, offsetof(struct atls_sim_tdx_evidence, root_crl)},
    {ATLS_COLLATERAL_TDX_PCK_CRL, offsetof(struct atls_sim_tdx_evidence, pck_crl)},
};

static void scene_make(struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_tdx_make(&intel, &s->order, &s->made, &err), ATLS_OK, &err);
    for (size_t i = 0; i < COUNT(documents); i++)
        test_tee_source_put(
            &s->store, documents[i].kind,
            atls_buf_bytes((const void *)((const uint8_t *)&s->made + documents[i].offset)));
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
ORDER(version_4, q->version = 4;)
ORDER(version_5, q->version = 5;)
ORDER(version_2, q->version = 2;)
ORDER(key_type_3, q->key_type = 3;)
ORDER(a_td, atls_sim_tdx_init(o, TIME_S); memset(q->report_data, 0xab, 32);)
ORDER(leaf_alone, q->certification = 4;)
ORDER(ppid_alone, q->certification = 3;)
ORDER(processor, o->processor = true;)
ORDER(leaf_expired, o->leaf.not_after_s = TIME_S - 1;)
ORDER(leaf_renamed, o->leaf.name = "Another";)
ORDER(leaf_forged, o->leaf.break_signature = true;)
ORDER(leaf_of_p384, o->leaf_key = p384;)
ORDER(leaf_revoked, o->revoke_leaf = true;)
ORDER(signer_revoked, o->revoke_signing = true;)
ORDER(info_of_tdx, o->tcb_info.id = "TDX";)
ORDER(info_version_2, o->tcb_info.version = 2;)
ORDER(info_forged, o->tcb_info.break_signature = true;)
ORDER(info_expired, o->tcb_info.next_update_s = TIME_S - 1;)
ORDER(info_early, o->tcb_info.issue_s = TIME_S + 1;)
ORDER(identity_of_td, o->qe_identity.id = "TD_QE";)
ORDER(identity_forged, o->qe_identity.break_signature = true;)
ORDER(numbers_of_tdx, o->evaluation.id = "TDX";)
ORDER(numbers_higher, o->evaluation_least = 19;)
ORDER(numbers_differ, o->qe_identity.evaluation_number = 17;)
ORDER(other_fmspc, o->info_fmspc[5] ^= 1;)
ORDER(other_pce_id, o->info_pce_id[1] ^= 1;)
ORDER(qe_forged, q->break_qe_signature = true;)
ORDER(qe_of_other_key, q->wrong_attestation_key = true;)
ORDER(qe_dirty, q->dirty_qe_report_data = true;)
ORDER(qe_other_signer, q->qe_mr_signer[31] ^= 1;)
ORDER(qe_other_product, q->qe_prod_id = 2;)
ORDER(qe_debug, o->attributes[0] |= 2; q->qe_attributes[0] |= 2;)
ORDER(qe_old, q->qe_isv_svn = 4;)
ORDER(qe_too_old, q->qe_isv_svn = 3;)
ORDER(quote_forged, q->break_signature = true;)
ORDER(platform_old, o->components[0] = 4;)
ORDER(platform_too_old, o->components[0] = 3;)
ORDER(pce_old, o->pce_svn = 11;)
ORDER(no_level, o->pce_svn = 10;)
ORDER(status_hardening, o->levels[0].status.status = "SWHardeningNeeded";)
ORDER(status_configuration, o->levels[0].status.status = "ConfigurationAndSWHardeningNeeded";)
ORDER(status_revoked, o->levels[0].status.status = "Revoked";)
ORDER(status_unknown, o->levels[0].status.status = "Fine";)
ORDER(padded, q->padding = 70;)
ORDER(trailing, q->padding = 70; q->padding_byte = 1;)
ORDER(debug, q->enclave.attributes[0] |= 2;)
ORDER(not_initialised, q->enclave.attributes[0] &= 0xfe;)
ORDER(provisioning, q->enclave.attributes[0] |= 0x10;)
ORDER(misc, q->enclave.misc_select[0] = 1;)

TUNE(untrusted, test_tee_source_clear(&s->store); s->store.anchors = NULL; s->store.count = 0;)
TUNE(no_source, s->check.sources.source = NULL;)
TUNE(no_root_crl, forget(s, ATLS_COLLATERAL_TDX_ROOT_CRL);)
TUNE(no_pck_crl, forget(s, ATLS_COLLATERAL_TDX_PCK_CRL);)
TUNE(no_crl_allowed, forget(s, ATLS_COLLATERAL_TDX_PCK_CRL); s->rules.dcap.crl_optional = true;)
TUNE(no_info, forget(s, ATLS_COLLATERAL_SGX_TCB_INFO);)
TUNE(info_of_tdx_alone, forget(s, ATLS_COLLATERAL_SGX_TCB_INFO); test_tee_source_put(&s->store, ATLS_COLLATERAL_TDX_TCB_INFO, atls_buf_bytes(&s->made.tcb_info));)
TUNE(no_identity, forget(s, ATLS_COLLATERAL_SGX_QE_IDENTITY);)
TUNE(no_numbers, forget(s, ATLS_COLLATERAL_SGX_EVALUATION);)
TUNE(no_chain, forget(s, ATLS_COLLATERAL_TDX_TCB_CHAIN);)
TUNE(floor_19, s->rules.dcap.evaluation.set = true; s->rules.dcap.evaluation.value = 19;)
TUNE(hardening_allowed, s->rules.dcap.statuses = ATLS_TDX_SW_HARDENING_NEEDED;)
TUNE(old_allowed, s->rules.dcap.statuses = ATLS_TDX_OUT_OF_DATE; s->rules.dcap.tcb_date_s = 1;)
TUNE(all_statuses, s->rules.dcap.statuses = 0xffff; s->rules.dcap.tcb_date_s = 1;)
TUNE(trailing_allowed, s->rules.dcap.allow_trailing = true;)
TUNE(debug_allowed, s->rules.allow_debug = true;)
TUNE(provisioning_refused, s->rules.attributes_clear = 0x10;)
TUNE(provisioning_wanted, s->rules.attributes_set = 0x10;)
TUNE(xfrm_narrow, s->rules.xfrm.set = true; s->rules.xfrm.value = 0x67;)
TUNE(xfrm_wide, s->rules.xfrm.set = true; s->rules.xfrm.value = 0x2e7;)
TUNE(misc_none, s->rules.misc_select.set = true;)
TUNE(misc_one, s->rules.misc_select.set = true; s->rules.misc_select.value = 1;)
TUNE(svn_3, s->rules.isv_svn.set = true; s->rules.isv_svn.value = 3;)
TUNE(svn_4, s->rules.isv_svn.set = true; s->rules.isv_svn.value = 4;)
TUNE(other_challenge, static uint8_t other[64]; memcpy(other, s->order.quote.report_data, 64); other[31] ^= 1; s->check.report_data = atls_bytes_of(other, 64);)
TUNE(other_key, other_challenge(s); s->check.report_data_is_key = true;)
TUNE(dirty_half, static uint8_t dirty[64]; memcpy(dirty, s->order.quote.report_data, 64); dirty[63] ^= 1; s->check.report_data = atls_bytes_of(dirty, 64); s->check.report_data_is_key = true;)
TUNE(short_challenge, s->check.report_data.len = 32;)
TUNE(no_rules, s->check.rules = NULL;)

#define GOOD ATLS_OK, ATLS_REASON_NONE
#define EVIDENCE(slug) ATLS_E_EVIDENCE, ATLS_REASON_##slug
#define CERTIFICATE(slug) ATLS_E_CERTIFICATE, ATLS_REASON_##slug

static const struct row rows[] = {
    {"all is well", NULL, NULL, GOOD},
    {"no rules", NULL, no_rules, GOOD},
    {"version 4", version_4, NULL, GOOD},
    {"version 5", version_5, NULL, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
    {"version 2", version_2, NULL, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION},
    {"attestation key of type 3", key_type_3, NULL, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"a trust domain", a_td, NULL, EVIDENCE(TEE_TYPE)},
    {"leaf alone", leaf_alone, NULL, GOOD},
    {"PPID alone", ppid_alone, NULL, ATLS_E_UNSUPPORTED, ATLS_REASON_COLLATERAL_UNAVAILABLE},
    {"Processor CA", processor, NULL, GOOD},
    {"root not on file", NULL, untrusted, CERTIFICATE(UNTRUSTED_ROOT)},
    {"nothing on file", NULL, no_source, CERTIFICATE(UNTRUSTED_ROOT)},
    {"leaf expired", leaf_expired, NULL, CERTIFICATE(CERTIFICATE_EXPIRED)},
    {"leaf of another name", leaf_renamed, NULL, CERTIFICATE(CHAIN_ISSUER)},
    {"signature of the leaf", leaf_forged, NULL, CERTIFICATE(CHAIN_SIGNATURE)},
    {"leaf of P-384", leaf_of_p384, NULL, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM},
    {"leaf revoked", leaf_revoked, NULL, CERTIFICATE(CERTIFICATE_REVOKED)},
    {"signer of documents revoked", signer_revoked, NULL, CERTIFICATE(CERTIFICATE_REVOKED)},
    {"no list of the root", NULL, no_root_crl, EVIDENCE(CRL_UNAVAILABLE)},
    {"no list of the authority", NULL, no_pck_crl, EVIDENCE(CRL_UNAVAILABLE)},
    {"no list, which a rule allows", NULL, no_crl_allowed, GOOD},
    {"no TCB info", NULL, no_info, EVIDENCE(COLLATERAL_UNAVAILABLE)},
    {"TCB info under the name of TDX", NULL, info_of_tdx_alone, EVIDENCE(COLLATERAL_UNAVAILABLE)},
    {"TCB info of TDX", info_of_tdx, NULL, EVIDENCE(TCB_INFO_MISMATCH)},
    {"TCB info of version 2", info_version_2, NULL, EVIDENCE(TCB_INFO_MISMATCH)},
    {"signature of TCB info", info_forged, NULL, EVIDENCE(COLLATERAL_SIGNATURE)},
    {"TCB info expired", info_expired, NULL, EVIDENCE(COLLATERAL_EXPIRED)},
    {"TCB info not yet valid", info_early, NULL, EVIDENCE(COLLATERAL_NOT_YET_VALID)},
    {"no QE identity", NULL, no_identity, EVIDENCE(COLLATERAL_UNAVAILABLE)},
    {"QE identity of TDX", identity_of_td, NULL, EVIDENCE(QE_IDENTITY_MISMATCH)},
    {"signature of QE identity", identity_forged, NULL, EVIDENCE(COLLATERAL_SIGNATURE)},
    {"no signing chain", NULL, no_chain, EVIDENCE(COLLATERAL_UNAVAILABLE)},
    {"no evaluation numbers", NULL, no_numbers, GOOD},
    {"evaluation numbers of TDX", numbers_of_tdx, NULL, EVIDENCE(TCB_EVAL_NUMBER)},
    {"evaluation numbers are higher", numbers_higher, NULL, EVIDENCE(TCB_EVAL_NUMBER)},
    {"documents of different numbers", numbers_differ, NULL, EVIDENCE(TCB_EVAL_NUMBER)},
    {"a floor above the documents", NULL, floor_19, EVIDENCE(TCB_EVAL_NUMBER)},
    {"another FMSPC", other_fmspc, NULL, EVIDENCE(FMSPC_MISMATCH)},
    {"another PCE-ID", other_pce_id, NULL, EVIDENCE(PCEID_MISMATCH)},
    {"signature of the QE report", qe_forged, NULL, EVIDENCE(QE_REPORT_SIGNATURE)},
    {"another attestation key", qe_of_other_key, NULL, EVIDENCE(QE_REPORT_DATA)},
    {"QE report data beyond the hash", qe_dirty, NULL, EVIDENCE(QE_REPORT_DATA)},
    {"another signer of the QE", qe_other_signer, NULL, EVIDENCE(QE_IDENTITY_MISMATCH)},
    {"the QE of TDX", qe_other_product, NULL, EVIDENCE(QE_IDENTITY_MISMATCH)},
    {"a QE for debugging", qe_debug, NULL, EVIDENCE(QE_IDENTITY_MISMATCH)},
    {"a QE out of date", qe_old, NULL, EVIDENCE(TCB_OUT_OF_DATE)},
    {"a QE below every level", qe_too_old, NULL, EVIDENCE(TCB_NOT_SUPPORTED)},
    {"signature of the quote", quote_forged, NULL, EVIDENCE(QUOTE_SIGNATURE)},
    {"platform out of date", platform_old, NULL, EVIDENCE(TCB_OUT_OF_DATE)},
    {"platform out of date, allowed", platform_old, old_allowed, GOOD},
    {"platform below every level", platform_too_old, NULL, EVIDENCE(TCB_NOT_SUPPORTED)},
    {"PCE out of date", pce_old, NULL, EVIDENCE(TCB_OUT_OF_DATE)},
    {"PCE below every level", no_level, NULL, EVIDENCE(TCB_NOT_SUPPORTED)},
    {"hardening needed", status_hardening, NULL, EVIDENCE(TCB_CONFIGURATION)},
    {"hardening needed, allowed", status_hardening, hardening_allowed, GOOD},
    {"configuration needed", status_configuration, hardening_allowed, EVIDENCE(TCB_CONFIGURATION)},
    {"revoked, all statuses allowed", status_revoked, all_statuses, EVIDENCE(TCB_REVOKED)},
    {"unknown status, all allowed", status_unknown, all_statuses, EVIDENCE(TCB_NOT_SUPPORTED)},
    {"zeros behind it", padded, NULL, GOOD},
    {"bytes behind it", trailing, NULL, EVIDENCE(TRAILING_DATA)},
    {"bytes behind it, allowed", trailing, trailing_allowed, GOOD},
    {"another challenge", NULL, other_challenge, EVIDENCE(REPORT_DATA_MISMATCH)},
    {"another key", NULL, other_key, EVIDENCE(KEY_BINDING_MISMATCH)},
    {"report data beyond the key", NULL, dirty_half, EVIDENCE(REPORT_DATA_MISMATCH)},
    {"a challenge of 32 bytes", NULL, short_challenge, ATLS_E_USAGE, ATLS_REASON_NONE},
    {"debug", debug, NULL, EVIDENCE(ENCLAVE_DEBUG)},
    {"debug, allowed", debug, debug_allowed, GOOD},
    {"not initialised", not_initialised, NULL, EVIDENCE(ENCLAVE_ATTRIBUTES)},
    {"a flag that is refused", provisioning, provisioning_refused, EVIDENCE(ENCLAVE_ATTRIBUTES)},
    {"a flag that is wanted, not set", NULL, provisioning_wanted, EVIDENCE(ENCLAVE_ATTRIBUTES)},
    {"a flag that is wanted, set", provisioning, provisioning_wanted, GOOD},
    {"a feature that is not named", NULL, xfrm_narrow, EVIDENCE(ENCLAVE_ATTRIBUTES)},
    {"all features are named", NULL, xfrm_wide, GOOD},
    {"a bit of MISCSELECT not named", misc, misc_none, EVIDENCE(ENCLAVE_ATTRIBUTES)},
    {"the bit of MISCSELECT named", misc, misc_one, GOOD},
    {"ISVSVN at the floor", NULL, svn_3, GOOD},
    {"ISVSVN below the floor", NULL, svn_4, EVIDENCE(MEASUREMENT)},
};
/* clang-format on */

static void each_check_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_sgx_result result;
        enum atls_code code;
        struct scene s;

        scene_order(&s);
        if (rows[i].order != NULL)
            rows[i].order(&s);
        scene_make(&s);
        if (rows[i].tune != NULL)
            rows[i].tune(&s);
        code = atls_sgx_verify(&s.check, &result, &err);
        if (code != rows[i].code || (code != ATLS_OK && err.reason != rows[i].reason))
            fail_msg("%s: got %s (%s: %s), want %s (%s)", rows[i].name, atls_code_name(code),
                     atls_reason_name(err.reason), err.message, atls_code_name(rows[i].code),
                     atls_reason_name(rows[i].reason));
        if (code == ATLS_OK)
            atls_sgx_result_clear(&result);
        scene_close(&s);
    }
    atls_sgx_result_clear(NULL);
}

/* ---- forms in certificates ---- */

static const struct atls_bytes spki = HEX("\x30\x07\x30\x03\x06\x01\x2a\x03\x00");
static const struct atls_bytes other_spki = HEX("\x30\x07\x30\x03\x06\x01\x2b\x03\x00");

/* What makes evidence, and what is asked of it. */
struct trial {
    struct scene s;
    bool of_td;
    enum atls_ra_tls_form form;
    const char *name; /* of the form in claims */
    enum atls_dice_hash hash;
    bool has_nonce;
    struct atls_bytes nonce; /* in the claims */
    struct atls_bytes key;   /* that the evidence names */
    struct atls_bytes sent;  /* nonce of the request */
    unsigned int profiles;
    enum atls_evidence_scope scope;
    struct atls_rules rules;
    struct atls_buf claims; /* claims-buffer, or custom claims */
    bool change_claims;     /* after they were signed */
    struct atls_buf cmw;
};

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_writer_finish(w, &out, &err), ATLS_OK, &err);
    return out;
}

static void digest_of(enum atls_hash hash, struct atls_bytes in, uint8_t out[ATLS_HASH_MAX])
{
    assert_int_equal(atls_hash_one(hash, in, out, NULL), ATLS_OK);
}

static struct atls_buf dice_claims(const struct trial *t)
{
    const enum atls_hash hash = t->hash == ATLS_DICE_SHA256   ? ATLS_HASH_SHA256
                                : t->hash == ATLS_DICE_SHA384 ? ATLS_HASH_SHA384
                                                              : ATLS_HASH_SHA512;
    struct atls_writer w = atls_writer_init(4096), inner = atls_writer_init(4096);
    uint8_t digest[ATLS_HASH_MAX];

    digest_of(hash, t->key, digest);
    atls_cbor_put_array(&inner, 2);
    atls_cbor_put_uint(&inner, (uint64_t)t->hash);
    atls_cbor_put_bytes(&inner, atls_bytes_of(digest, atls_hash_len(hash)));
    atls_cbor_put_map(&w, t->has_nonce ? 3 : 2);
    atls_cbor_put_text(&w, "pubkey-hash");
    atls_cbor_put_bytes(&w, atls_writer_bytes(&inner));
    if (t->has_nonce) {
        atls_cbor_put_text(&w, "nonce");
        atls_cbor_put_bytes(&w, t->nonce);
    }
    atls_cbor_put_text(&w, "more");
    atls_cbor_put_bytes(&w, t->key);
    atls_writer_clear(&inner);
    return finish(&w);
}

/* The key as PEM text, with the NUL that ends it. */
static struct atls_buf pem_claims(struct atls_bytes key)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    assert_int_equal(atls_pem_encode("PUBLIC KEY", key, &pem, NULL), ATLS_OK);
    pem.len++;
    return pem;
}

/* What the quote is over, and in which words. */
static void choose_report_data(struct trial *t)
{
    struct atls_buf text = ATLS_BUF_INIT;
    uint8_t digest[ATLS_HASH_MAX];

    if (t->form == ATLS_RA_TLS_DICE)
        text = dice_claims(t);
    else if (t->form == ATLS_RA_TLS_SGX_QUOTE)
        assert_int_equal(atls_buf_copy(&text, t->key, NULL), ATLS_OK);
    else
        text = pem_claims(t->key);
    digest_of(ATLS_HASH_SHA256, atls_buf_bytes(&text), digest);
    memset(t->s.order.quote.report_data, 0, 64);
    memcpy(t->s.order.quote.report_data, digest, 32);
    t->claims = text;
}

static void put_le(struct atls_writer *w, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        atls_put_u8(w, (uint8_t)(v >> 8 * i));
}

/* The content of the extension. */
static struct atls_buf extension_of(const struct trial *t)
{
    static const uint8_t format[16] = {0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14,
                                       0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c};
    const struct atls_bytes quote = atls_buf_bytes(&t->s.made.quote);
    struct atls_writer w = atls_writer_init(1 << 20);

    if (t->form == ATLS_RA_TLS_DICE) {
        atls_cbor_put_tag(&w, ATLS_TAG_DICE_QUOTE);
        atls_cbor_put_array(&w, 2);
        atls_cbor_put_bytes(&w, quote);
        atls_cbor_put_bytes(&w, atls_buf_bytes(&t->claims));
    } else if (t->form == ATLS_RA_TLS_SGX_QUOTE) {
        atls_put_bytes(&w, quote);
    } else if (t->form == ATLS_RA_TLS_OE_REPORT) {
        put_le(&w, 1, 4);
        put_le(&w, 2, 4);
        put_le(&w, quote.len, 8);
        atls_put_bytes(&w, quote);
    } else {
        put_le(&w, 3, 4);
        atls_put_bytes(&w, atls_bytes_of(format, sizeof format));
        put_le(&w, 0xfefefefe, 4);
        put_le(&w, quote.len + t->claims.len, 8);
        atls_put_bytes(&w, quote);
        atls_put_bytes(&w, atls_buf_bytes(&t->claims));
    }
    return finish(&w);
}

static void trial_init(struct trial *t, enum atls_ra_tls_form form)
{
    memset(t, 0, sizeof *t);
    scene_order(&t->s);
    t->form = form;
    t->name = atls_ra_tls_form_name(form);
    t->hash = ATLS_DICE_SHA256;
    t->key = spki;
    t->profiles = ATLS_PROFILE_RATLS;
}

static void trial_make(struct trial *t)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf value;

    choose_report_data(t);
    scene_make(&t->s);
    if (t->of_td) {
        test_tee_source_put(&t->s.store, ATLS_COLLATERAL_TDX_TCB_INFO,
                            atls_buf_bytes(&t->s.made.tcb_info));
        test_tee_source_put(&t->s.store, ATLS_COLLATERAL_TDX_QE_IDENTITY,
                            atls_buf_bytes(&t->s.made.qe_identity));
    }
    if (t->change_claims)
        t->claims.ptr[t->claims.len - 1] ^= 1;
    value = extension_of(t);
    test_assert_code(atls_ra_tls_cmw(t->form, atls_buf_bytes(&value), &w, &err), ATLS_OK, &err);
    t->cmw = finish(&w);
    atls_buf_clear(&value);
}

static enum atls_code trial_run(struct trial *t, struct atls_claims *claims, struct atls_err *err)
{
    static const uint8_t binder[32];
    const struct atls_evidence_options options = {.rules = &t->rules};
    const struct atls_evidence_request request = {
        .scope = t->scope,
        .evidence = atls_buf_bytes(&t->cmw),
        .binder = atls_bytes_of(binder, sizeof binder),
        .profiles = t->profiles,
        .aik_spki = t->scope == ATLS_EVIDENCE_KEY_UNKNOWN ? atls_bytes_of(NULL, 0) : spki,
        .nonce = t->sent,
        .time_s = TIME_S,
        .source = &t->s.source,
        .options = &options,
    };

    return atls_evidence_verify(&request, claims, err);
}

static void trial_clear(struct trial *t)
{
    atls_buf_clear(&t->claims);
    atls_buf_clear(&t->cmw);
    scene_close(&t->s);
}

static const struct atls_detail *detail_of(const struct atls_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (strcmp(claims->details[i].name, name) == 0)
            return &claims->details[i];
    fail_msg("no detail \"%s\"", name);
    abort();
}

static const enum atls_ra_tls_form forms[] = {ATLS_RA_TLS_DICE, ATLS_RA_TLS_SGX_QUOTE,
                                              ATLS_RA_TLS_OE_REPORT, ATLS_RA_TLS_OE_EVIDENCE};

static void each_form_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        struct trial t;

        trial_init(&t, forms[i]);
        trial_make(&t);
        test_assert_code(trial_run(&t, &claims, &err), ATLS_OK, &err);
        assert_string_equal(claims.technology, "sgx");
        assert_string_equal(claims.submod, "SGX");
        assert_int_equal(claims.key_trust, ATLS_KEY_TRUST_CERTIFIED);
        test_assert_bytes(claims.key_spki, spki);
        assert_true(atls_bytes_equal_text(detail_of(&claims, "ra-tls-form")->bytes, t.name));
        assert_int_equal(detail_of(&claims, "ra-tls-nonce")->number, 0);
        atls_claims_clear(&claims);
        trial_clear(&t);
    }
}

static void pubkey_hashes(void **state)
{
    static const enum atls_dice_hash hashes[] = {ATLS_DICE_SHA256, ATLS_DICE_SHA384,
                                                 ATLS_DICE_SHA512};

    (void)state;
    for (size_t i = 0; i < COUNT(hashes); i++)
        for (int wrong = 0; wrong < 2; wrong++) {
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_claims claims;
            enum atls_code code;
            struct trial t;

            trial_init(&t, ATLS_RA_TLS_DICE);
            t.hash = hashes[i];
            if (wrong)
                t.key = other_spki;
            trial_make(&t);
            code = trial_run(&t, &claims, &err);
            test_assert_code(code, wrong ? ATLS_E_EVIDENCE : ATLS_OK, &err);
            if (code == ATLS_OK)
                atls_claims_clear(&claims);
            else
                assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
            trial_clear(&t);
        }
}

static void another_key_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        struct trial t;

        trial_init(&t, forms[i]);
        t.key = other_spki;
        trial_make(&t);
        test_assert_code(trial_run(&t, &claims, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
        trial_clear(&t);
    }
}

/* The claims are signed through their hash. */
static void changed_claims_are_refused(void **state)
{
    static const enum atls_ra_tls_form with_claims[] = {ATLS_RA_TLS_DICE, ATLS_RA_TLS_OE_EVIDENCE};

    (void)state;
    for (size_t i = 0; i < COUNT(with_claims); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        struct trial t;

        trial_init(&t, with_claims[i]);
        t.change_claims = true;
        trial_make(&t);
        test_assert_code(trial_run(&t, &claims, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_REPORT_DATA_MISMATCH);
        trial_clear(&t);
    }
}

static void nonces(void **state)
{
    static const struct {
        const char *name;
        enum atls_ra_tls_form form;
        bool has_nonce;
        struct atls_bytes held, sent;
        bool good;
    } cases[] = {
        {"the nonce", ATLS_RA_TLS_DICE, true, HEX("01234567"), HEX("01234567"), true},
        {"one that nobody sent", ATLS_RA_TLS_DICE, true, HEX("01234567"), HEX(""), true},
        {"another nonce", ATLS_RA_TLS_DICE, true, HEX("01234567"), HEX("01234568"), false},
        {"a part of it", ATLS_RA_TLS_DICE, true, HEX("0123456"), HEX("01234567"), false},
        {"an empty one", ATLS_RA_TLS_DICE, true, HEX(""), HEX("01234567"), false},
        {"none", ATLS_RA_TLS_DICE, false, HEX(""), HEX("01234567"), false},
        {"no place for one: quote", ATLS_RA_TLS_SGX_QUOTE, false, HEX(""), HEX("0"), false},
        {"no place for one: report", ATLS_RA_TLS_OE_REPORT, false, HEX(""), HEX("0"), false},
        {"no place for one: evidence", ATLS_RA_TLS_OE_EVIDENCE, false, HEX(""), HEX("0"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        enum atls_code code;
        struct trial t;

        print_message("%s\n", cases[i].name);
        trial_init(&t, cases[i].form);
        t.has_nonce = cases[i].has_nonce;
        t.nonce = cases[i].held;
        t.sent = cases[i].sent;
        trial_make(&t);
        code = trial_run(&t, &claims, &err);
        test_assert_code(code, cases[i].good ? ATLS_OK : ATLS_E_EVIDENCE, &err);
        if (code == ATLS_OK) {
            assert_int_equal(detail_of(&claims, "ra-tls-nonce")->number, t.sent.len != 0);
            atls_claims_clear(&claims);
        } else {
            assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
        }
        trial_clear(&t);
    }
}

/* Only where the profile is named, and only where the certificate was seen. */
static void who_may_judge(void **state)
{
    static const struct {
        const char *name;
        unsigned int profiles;
        enum atls_evidence_scope scope;
    } cases[] = {
        {"not named", 0, ATLS_EVIDENCE_COMPLETE},
        {"others are named",
         ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE | ATLS_PROFILE_PARSEC,
         ATLS_EVIDENCE_COMPLETE},
        {"the Verifier is elsewhere", ATLS_PROFILE_RATLS, ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE},
        {"it serves others", ATLS_PROFILE_RATLS, ATLS_EVIDENCE_KEY_UNKNOWN},
        {"it serves others, not named", 0, ATLS_EVIDENCE_KEY_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t k = 0; k < COUNT(forms); k++) {
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_claims claims;
            struct trial t;

            trial_init(&t, forms[k]);
            t.profiles = cases[i].profiles;
            t.scope = cases[i].scope;
            trial_make(&t);
            test_assert_code(trial_run(&t, &claims, &err), ATLS_E_EVIDENCE, &err);
            assert_int_equal(err.reason, ATLS_REASON_EVIDENCE_PROFILE);
            trial_clear(&t);
        }
}

static void a_trust_domain_in_a_certificate(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        enum atls_code code;
        struct trial t;

        trial_init(&t, ATLS_RA_TLS_DICE);
        atls_sim_tdx_init(&t.s.order, TIME_S);
        t.of_td = true;
        if (wrong == 1)
            t.key = other_spki;
        t.change_claims = wrong == 2;
        trial_make(&t);
        code = trial_run(&t, &claims, &err);
        test_assert_code(code, wrong ? ATLS_E_EVIDENCE : ATLS_OK, &err);
        if (code == ATLS_OK) {
            assert_string_equal(claims.technology, "tdx");
            assert_true(atls_bytes_equal_text(detail_of(&claims, "ra-tls-form")->bytes, "dice"));
            test_assert_bytes(claims.key_spki, spki);
            atls_claims_clear(&claims);
        } else {
            assert_int_equal(err.reason, wrong == 1 ? ATLS_REASON_KEY_BINDING_MISMATCH
                                                    : ATLS_REASON_REPORT_DATA_MISMATCH);
        }
        trial_clear(&t);
    }
}

/* ---- claims ---- */

static const struct atls_measurement *measurement_of(const struct atls_claims *claims,
                                                     const char *name, bool *out_optional)
{
    for (size_t i = 0; i < claims->measurement_count; i++) {
        const struct atls_measurement *m = &claims->measurements[i];

        if (m->mkey.kind != ATLS_MKEY_TEXT || !atls_bytes_equal_text(m->mkey.bytes, name))
            continue;
        *out_optional = claims->measurement_count - i <= claims->optional_count;
        return m;
    }
    fail_msg("no measurement \"%s\"", name);
    abort();
}

static void what_is_claimed(void **state)
{
    (void)state;
    for (int by_signer = 0; by_signer < 2; by_signer++) {
        struct atls_err err = ATLS_ERR_INIT;
        const struct atls_measurement *m;
        struct atls_claims claims;
        uint8_t bytes[32];
        bool optional;
        struct trial t;

        trial_init(&t, ATLS_RA_TLS_SGX_QUOTE);
        t.rules.sgx.by_signer = by_signer;
        t.s.order.quote.enclave.prod_id = 0x0102;
        t.s.order.levels[0].status.status = "SWHardeningNeeded";
        t.rules.sgx.dcap.statuses = ATLS_TDX_SW_HARDENING_NEEDED;
        trial_make(&t);
        test_assert_code(trial_run(&t, &claims, &err), ATLS_OK, &err);
        assert_int_equal(claims.measurement_count, 4);
        m = measurement_of(&claims, "mrenclave", &optional);
        assert_int_equal(optional, by_signer);
        memset(bytes, 0xe1, sizeof bytes);
        assert_int_equal(m->mval.digests[0].hash, ATLS_HASH_SHA256);
        test_assert_bytes(m->mval.digests[0].value, atls_bytes_of(bytes, sizeof bytes));
        m = measurement_of(&claims, "mrsigner", &optional);
        assert_int_equal(optional, !by_signer);
        memset(bytes, 0x51, sizeof bytes);
        test_assert_bytes(m->mval.digests[0].value, atls_bytes_of(bytes, sizeof bytes));
        m = measurement_of(&claims, "isvprodid", &optional);
        assert_int_equal(optional, !by_signer);
        test_assert_bytes(m->mval.raw, (struct atls_bytes)HEX("\x01\x02"));
        m = measurement_of(&claims, "isvsvn", &optional);
        assert_int_equal(optional, !by_signer);
        assert_true(m->mval.present == ATLS_MVAL_SVN && m->mval.svn == 3);
        assert_int_equal(detail_of(&claims, "attributes")->number, 5);
        assert_int_equal(detail_of(&claims, "xfrm")->number, 0xe7);
        assert_int_equal(detail_of(&claims, "isv-prod-id")->number, 0x0102);
        assert_int_equal(detail_of(&claims, "quote-version")->number, 3);
        assert_false(detail_of(&claims, "debug")->number);
        assert_true(
            atls_bytes_equal_text(detail_of(&claims, "tcb-status")->bytes, "SWHardeningNeeded"));
        assert_true(claims.hardware_advisory);
        atls_claims_clear(&claims);
        trial_clear(&t);
    }
}

/* Forms that fail before there is anything to verify say what they are. */
static void what_is_no_evidence(void **state)
{
    static const struct {
        const char *name;
        enum atls_ra_tls_form form;
        struct atls_bytes value;
        enum atls_code code;
        enum atls_reason reason;
    } cases[] = {
        {"a TEE report", ATLS_RA_TLS_DICE, HEX("\xd9\xea\x61\x82\x41\x00\x41\x00"),
         ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"a report of SGX", ATLS_RA_TLS_DICE, HEX("\xd9\xea\x62\x82\x41\x00\x41\x00"),
         ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"no quote in it", ATLS_RA_TLS_DICE, HEX("\xd9\xea\x60\x82\x41\x00\x41\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"one element", ATLS_RA_TLS_DICE, HEX("\xd9\xea\x60\x81\x41\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"no quote", ATLS_RA_TLS_SGX_QUOTE, HEX("\x03"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"no report", ATLS_RA_TLS_OE_REPORT, HEX("\x01"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"no evidence", ATLS_RA_TLS_OE_EVIDENCE, HEX("\x03"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct atls_writer w = atls_writer_init(4096);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        struct trial t;

        trial_init(&t, cases[i].form);
        test_assert_code(atls_ra_tls_cmw(t.form, cases[i].value, &w, &err), ATLS_OK, &err);
        t.cmw = finish(&w);
        test_assert_code(trial_run(&t, &claims, &err), cases[i].code, &err);
        assert_int_equal(err.reason, cases[i].reason);
        trial_clear(&t);
    }
}

/* An allocation that fails accepts nobody: not another key, in any form. */
static void memory_that_runs_short_accepts_nobody(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_claims claims;
        struct trial t;
        size_t n = 0;

        trial_init(&t, forms[i]);
        t.key = other_spki;
        trial_make(&t);
        for (bool failed = true; failed; n += 7) {
            enum atls_code code;

            test_failing_alloc_arm(n);
            code = trial_run(&t, &claims, &err);
            failed = test_failing_alloc_disarm();
            assert_int_not_equal(code, ATLS_OK);
            if (!failed)
                assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
        }
        assert_true(n > 100);
        trial_clear(&t);
    }
}

static int make_keys(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    p384 = EVP_EC_gen("P-384");
    return p384 == NULL || atls_sim_intel_make(&intel, &err) != ATLS_OK;
}

static int clear_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(p384);
    atls_sim_intel_clear(&intel);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),
        cmocka_unit_test(each_form_is_judged),
        cmocka_unit_test(pubkey_hashes),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(changed_claims_are_refused),
        cmocka_unit_test(nonces),
        cmocka_unit_test(who_may_judge),
        cmocka_unit_test(a_trust_domain_in_a_certificate),
        cmocka_unit_test(what_is_claimed),
        cmocka_unit_test(what_is_no_evidence),
        cmocka_unit_test(memory_that_runs_short_accepts_nobody),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
