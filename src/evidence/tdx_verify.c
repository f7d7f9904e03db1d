/* Verification of a TDX quote: the order of docs/tdx.md. Nothing of the body is used before the
 * signatures that cover it. */
#include "evidence/tdx.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "evidence/event_log.h"
#include "wire/tpm_event_log.h"

#define ATTRIBUTES_KNOWN                                                                           \
    (ATLS_TDX_ATTRIBUTE_DEBUG | UINT64_C(1) << 27 | ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE |           \
     UINT64_C(1) << 29 | UINT64_C(1) << 30 | UINT64_C(1) << 31 | UINT64_C(1) << 63)
#define SGX_ATTRIBUTE_DEBUG 0x02
#define MODULE_VERSION      1
#define POINT_LEN           64

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "TDX: %s", what);
}

/* A signature that fails is the evidence's fault, whatever libcrypto calls it. */
static enum atls_code verify_signature(const struct atls_key *key, struct atls_bytes signed_part,
                                       struct atls_bytes signature, enum atls_reason reason,
                                       struct atls_err *err)
{
    enum atls_code code =
        atls_key_verify_raw(key, ATLS_ECDSA_P256_SHA256, signed_part, signature, err);

    if (code == ATLS_E_VERIFY || code == ATLS_E_DECODE)
        return refuse(err, reason,
                      reason == ATLS_REASON_QUOTE_SIGNATURE
                          ? "the quote does not verify with the attestation key"
                          : "the report of the quoting enclave does not verify with the PCK");
    return code;
}

/* ---- the platform ---- */

/* Whoever publishes the revocation list of the leaf's issuer has its chain, too. */
static enum atls_code find_issuers(const struct atls_tdx_check *check, struct atls_bytes leaf_text,
                                   struct atls_tdx_offer *out, struct atls_err *err)
{
    struct atls_certificate *leaf = NULL;
    const char *authority;
    size_t count;
    enum atls_code code = atls_certificates_parse(leaf_text, &leaf, 1, &count, err);

    if (code != ATLS_OK)
        return code;
    authority = atls_pck_authority_of(leaf);
    code = *authority == '\0'
               ? atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                                  "TDX: the PCK certificate names no issuer of such")
               : atls_tdx_offer_get(&check->sources, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, authority,
                                    out, err);
    atls_certificate_unref(leaf);
    return code;
}

/* The leaf came alone. */
static enum atls_code verify_leaf(const struct atls_tdx_check *check, struct atls_pck_check *pck,
                                  struct atls_pck **out, struct atls_err *err)
{
    struct atls_tdx_offer offer;
    enum atls_code code = find_issuers(check, pck->certificates, &offer, err);

    if (code != ATLS_OK)
        return code;
    pck->issuers = atls_tdx_offer_first(&offer);
    if (pck->issuers.len == 0)
        code = refuse(err, ATLS_REASON_COLLATERAL_UNAVAILABLE,
                      "the PCK certificate came without its chain");
    else
        code = atls_pck_verify(pck, out, err);
    if (code != ATLS_OK && offer.own.len != 0 && offer.bundled.len != 0) {
        pck->issuers = offer.bundled;
        code = atls_pck_verify(pck, out, err);
    }
    atls_tdx_offer_clear(&offer);
    return code;
}

static enum atls_code find_pck(const struct atls_tdx_check *check, const struct atls_tdx_quote *q,
                               const struct atls_certificate_set *anchors, struct atls_pck **out,
                               struct atls_err *err)
{
    struct atls_pck_check pck = {.certificates = q->certification,
                                 .anchors = anchors,
                                 .cache = check->sources.cache,
                                 .time_s = check->sources.time_s};

    if (q->certification_type == ATLS_TDX_CERTIFICATION_PCK_CHAIN)
        return atls_pck_verify(&pck, out, err);
    if (q->certification_type == ATLS_TDX_CERTIFICATION_PCK_LEAF)
        return verify_leaf(check, &pck, out, err);
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_COLLATERAL_UNAVAILABLE,
                            "TDX: certification data of type %u names a PCK certificate and holds "
                            "none",
                            q->certification_type);
}

static enum atls_code verify_pck(const struct atls_tdx_check *check, struct atls_tdx_result *r,
                                 struct atls_err *err)
{
    const struct atls_endorsement_source *source = check->sources.source;
    struct atls_certificate_set *anchors = NULL;
    enum atls_code code = ATLS_OK;

    if (source != NULL && source->tee_anchors != NULL)
        code = source->tee_anchors(source->arg, &anchors, err);
    if (code != ATLS_OK)
        return code;
    code = find_pck(check, &r->quote, anchors, &r->pck, err);
    atls_certificate_set_unref(anchors);
    return code;
}

/* The documents are of this platform, belong together, and are recent enough. */
static enum atls_code check_documents(const struct atls_tdx_result *r,
                                      const struct atls_tdx_rules *rules, struct atls_err *err)
{
    const struct atls_tdx_evaluation *evaluation = atls_tdx_evaluation_of(&r->documents);
    const struct atls_tdx_qe_identity *qe = atls_tdx_qe_identity_of(&r->documents);
    const struct atls_tdx_tcb_info *info = atls_tdx_tcb_info_of(&r->documents);
    const struct atls_pck_facts *facts = atls_pck_facts_of(r->pck);
    const uint32_t number = info->evaluation_number;

    if (memcmp(facts->fmspc, info->fmspc, sizeof facts->fmspc) != 0)
        return refuse(err, ATLS_REASON_FMSPC_MISMATCH, "TCB info is of another FMSPC");
    if (memcmp(facts->pce_id, info->pce_id, sizeof facts->pce_id) != 0)
        return refuse(err, ATLS_REASON_PCEID_MISMATCH, "TCB info is of another PCE-ID");
    if (qe->evaluation_number != number)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_EVAL_NUMBER,
                                "TDX: TCB info of evaluation number %u, QE identity of %u",
                                (unsigned)number, (unsigned)qe->evaluation_number);
    if (rules->evaluation.set && number < rules->evaluation.value)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_EVAL_NUMBER,
                                "TDX: TCB info of evaluation number %u, want at least %llu",
                                (unsigned)number, (unsigned long long)rules->evaluation.value);
    if (evaluation != NULL && number < evaluation->least)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_EVAL_NUMBER,
                                "TDX: TCB info of evaluation number %u, the oldest in use is %u",
                                (unsigned)number, (unsigned)evaluation->least);
    return ATLS_OK;
}

static enum atls_code check_module(const struct atls_tdx_result *r, struct atls_err *err)
{
    const struct atls_tdx_tcb_info *info = atls_tdx_tcb_info_of(&r->documents);
    const struct atls_tdx_body *body = &r->quote.body;
    const uint8_t version = body->tcb_svn.ptr[MODULE_VERSION];
    const struct atls_tdx_module *module =
        version > 0 ? atls_tdx_module_of(info, version) : &info->module;

    if (module == NULL)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TDX_MODULE_MISMATCH,
                                "TCB info: no identity of a TDX module of version %u", version);
    if (memcmp(body->mr_signer_seam.ptr, module->mr_signer, sizeof module->mr_signer) != 0)
        return refuse(err, ATLS_REASON_TDX_MODULE_MISMATCH, "MRSIGNERSEAM is not the module's");
    if ((body->seam_attributes & module->attributes_mask) != module->attributes ||
        (body->seam_attributes & ~module->attributes_mask) != 0)
        return refuse(err, ATLS_REASON_TDX_MODULE_MISMATCH, "SEAMATTRIBUTES are not the module's");
    return ATLS_OK;
}

/* Steps 2 to 6. */
static enum atls_code verify_platform(const struct atls_tdx_check *check,
                                      const struct atls_tdx_rules *rules, struct atls_tdx_result *r,
                                      struct atls_err *err)
{
    enum atls_code code;

    if ((code = verify_pck(check, r, err)) != ATLS_OK ||
        (code = atls_tdx_documents_get(&check->sources, r->pck, &r->documents, err)) != ATLS_OK ||
        (code = atls_tdx_check_revocation(&check->sources, r->pck, &r->documents,
                                          rules->crl_optional, err)) != ATLS_OK ||
        (code = check_documents(r, rules, err)) != ATLS_OK)
        return code;
    return check_module(r, err);
}

/* ---- the quoting enclave ---- */

/* The enclave vouches for the attestation key. */
static enum atls_code check_qe_report_data(const struct atls_tdx_quote *q, struct atls_err *err)
{
    const struct atls_bytes parts[] = {q->attestation_key, q->qe_auth};
    const struct atls_bytes found = q->qe_report.report_data;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_parts(ATLS_HASH_SHA256, parts, 2, digest, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_secret_equal(atls_bytes_of(found.ptr, 32), atls_bytes_of(digest, 32)) ||
        !atls_bytes_are_zero(atls_bytes_of(found.ptr + 32, 32)))
        return refuse(err, ATLS_REASON_QE_REPORT_DATA,
                      "the quoting enclave vouches for another attestation key");
    return ATLS_OK;
}

static bool masked_equal(struct atls_bytes found, const uint8_t *mask, const uint8_t *want)
{
    for (size_t i = 0; i < found.len; i++)
        if ((found.ptr[i] & mask[i]) != want[i])
            return false;
    return true;
}

static enum atls_code check_qe_identity(const struct atls_sgx_report *report,
                                        const struct atls_tdx_qe_identity *qe, struct atls_err *err)
{
    const char *differs = NULL;

    if (!masked_equal(report->misc_select, qe->misc_select_mask, qe->misc_select))
        differs = "MISCSELECT of the quoting enclave is not that of its identity";
    else if (!masked_equal(report->attributes, qe->attributes_mask, qe->attributes))
        differs = "ATTRIBUTES of the quoting enclave are not those of its identity";
    else if (memcmp(report->mr_signer.ptr, qe->mr_signer, sizeof qe->mr_signer) != 0)
        differs = "MRSIGNER of the quoting enclave is not that of its identity";
    else if (report->isv_prod_id != qe->isv_prod_id)
        differs = "ISVPRODID of the quoting enclave is not that of its identity";
    else if ((report->attributes.ptr[0] & SGX_ATTRIBUTE_DEBUG) != 0)
        differs = "the quoting enclave is one for debugging";
    return differs == NULL ? ATLS_OK : refuse(err, ATLS_REASON_QE_IDENTITY_MISMATCH, differs);
}

static enum atls_code attestation_key(const struct atls_tdx_check *check,
                                      const struct atls_tdx_quote *q, struct atls_key **out,
                                      struct atls_err *err)
{
    /* SubjectPublicKeyInfo of an uncompressed point of P-256, but for its coordinates. */
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    uint8_t spki[sizeof head + POINT_LEN];
    enum atls_code code;

    memcpy(spki, head, sizeof head);
    memcpy(spki + sizeof head, q->attestation_key.ptr, POINT_LEN);
    code = atls_chain_cache_key(check->sources.cache, atls_bytes_of(spki, sizeof spki), out, err);
    if (code == ATLS_E_DECODE)
        return refuse(err, ATLS_REASON_QUOTE_SIGNATURE,
                      "the attestation key is not a point of its curve");
    return code;
}

static enum atls_code check_quote_signature(const struct atls_tdx_check *check,
                                            const struct atls_tdx_quote *q, struct atls_err *err)
{
    struct atls_key *key;
    enum atls_code code = attestation_key(check, q, &key, err);

    if (code != ATLS_OK)
        return code;
    code = verify_signature(key, q->signed_part, q->signature, ATLS_REASON_QUOTE_SIGNATURE, err);
    atls_key_unref(key);
    return code;
}

/* Steps 7 to 11. */
static enum atls_code verify_quote(const struct atls_tdx_check *check,
                                   const struct atls_tdx_result *r, struct atls_err *err)
{
    const struct atls_tdx_qe_identity *qe = atls_tdx_qe_identity_of(&r->documents);
    const struct atls_sgx_report *report = &r->quote.qe_report;
    const struct atls_tdx_level *level;
    enum atls_code code;

    if ((code = verify_signature(atls_pck_key(r->pck), report->raw, r->quote.qe_signature,
                                 ATLS_REASON_QE_REPORT_SIGNATURE, err)) != ATLS_OK ||
        (code = check_qe_report_data(&r->quote, err)) != ATLS_OK ||
        (code = check_qe_identity(report, qe, err)) != ATLS_OK ||
        (code = atls_tdx_qe_level(qe, report->isv_svn, &level, err)) != ATLS_OK)
        return code;
    return check_quote_signature(check, &r->quote, err);
}

/* ---- what the trust domain is ---- */

/* Step 12. */
static enum atls_code check_tcb(struct atls_tdx_result *r, const struct atls_tdx_rules *rules,
                                struct atls_err *err)
{
    const struct atls_pck_facts *facts = atls_pck_facts_of(r->pck);
    const struct atls_tdx_tcb tcb = {.sgx = facts->components,
                                     .pce_svn = facts->pce_svn,
                                     .body = &r->quote.body,
                                     .qe_isv_svn = r->quote.qe_report.isv_svn};
    enum atls_code code =
        atls_tdx_tcb_status(atls_tdx_tcb_info_of(&r->documents),
                            atls_tdx_qe_identity_of(&r->documents), &tcb, &r->tcb, err);

    return code == ATLS_OK ? atls_tdx_check_status(&r->tcb, rules, err) : code;
}

static enum atls_code check_report_data(const struct atls_tdx_check *check,
                                        const struct atls_tdx_quote *q, struct atls_err *err)
{
    if (!atls_secret_equal(q->body.report_data, check->report_data))
        return refuse(err, ATLS_REASON_REPORT_DATA_MISMATCH,
                      "REPORTDATA is not the expected challenge");
    return ATLS_OK;
}

static enum atls_code check_attributes(const struct atls_tdx_body *body,
                                       const struct atls_tdx_rules *rules, struct atls_err *err)
{
    const uint64_t a = body->td_attributes;

    if ((a & ATLS_TDX_ATTRIBUTE_DEBUG) != 0 && !rules->allow_debug)
        return refuse(err, ATLS_REASON_TD_DEBUG, "the trust domain is open to debugging");
    if ((a & ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE) == 0 && !rules->allow_ve)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "TDATTRIBUTES: SEPT_VE_DISABLE is not set");
    if ((a & ~ATTRIBUTES_KNOWN) != 0)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "TDATTRIBUTES: a reserved bit is set");
    if ((a & rules->attributes_set) != rules->attributes_set || (a & rules->attributes_clear) != 0)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "TDATTRIBUTES: not what the rules demand");
    if (rules->xfam.set && (body->xfam & ~rules->xfam.value) != 0)
        return refuse(err, ATLS_REASON_TD_ATTRIBUTES, "XFAM: a feature that the rules do not name");
    return ATLS_OK;
}

static enum atls_code check_service_td(const struct atls_tdx_body *body,
                                       const struct atls_tdx_rules *rules, struct atls_err *err)
{
    if (!body->is_15 || atls_bytes_are_zero(body->mr_service_td))
        return ATLS_OK;
    for (size_t i = 0; i < rules->service_td_count; i++)
        if (memcmp(body->mr_service_td.ptr, rules->service_td[i], ATLS_TDX_MR_LEN) == 0)
            return ATLS_OK;
    return refuse(err, ATLS_REASON_MR_SERVICE_TD_NOT_ALLOWED,
                  "a service trust domain is bound that the rules do not name");
}

static enum atls_code check_trailing(const struct atls_tdx_quote *q,
                                     const struct atls_tdx_rules *rules, struct atls_err *err)
{
    if (rules->allow_trailing || atls_bytes_are_zero(q->trailing))
        return ATLS_OK;
    return refuse(err, ATLS_REASON_TRAILING_DATA, "bytes other than zeros follow the quote");
}

/* ---- event log ---- */

static enum atls_code log_mismatch(struct atls_err *err, const char *what)
{
    return refuse(err, ATLS_REASON_EVENT_LOG_MISMATCH, what);
}

/* Index 0 is MRTD, which no event extends after launch; 1 to 4 are the RTMRs. */
static enum atls_code count_events(struct atls_bytes text, size_t *out, struct atls_err *err)
{
    struct atls_event_log log;
    struct atls_event event;
    size_t count = 0;
    enum atls_code code = atls_event_log_open(text, &log, err);

    if (code != ATLS_OK)
        return code;
    for (; !atls_event_log_done(&log); count++) {
        if ((code = atls_event_log_next(&log, &event, err)) != ATLS_OK)
            return code;
        if (event.type != ATLS_EV_NO_ACTION && (event.pcr < 1 || event.pcr > ATLS_TDX_RTMRS))
            return log_mismatch(err, "event log: an event of a register that is no RTMR");
    }
    *out = count;
    return ATLS_OK;
}

/* A log accounts for all that firmware and boot extended (RTMR 0 to 2). What runs later may extend
 * RTMR 3, which counts where the log has it. No event is believed beyond that. */
static enum atls_code check_event_log(const struct atls_tdx_check *check, struct atls_tdx_result *r,
                                      struct atls_err *err)
{
    struct atls_replay replay;
    struct atls_bytes log;
    enum atls_code code;

    if (check->event_log.len == 0)
        return ATLS_OK;
    if ((code = atls_ccel_trim(check->event_log, &log, err)) != ATLS_OK ||
        (code = count_events(log, &r->events, err)) != ATLS_OK ||
        (code = atls_event_log_replay(log, ATLS_HASH_SHA384, &replay, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < ATLS_TDX_RTMRS; i++) {
        if (i == ATLS_TDX_RTMRS - 1 && (replay.extended >> (i + 1) & 1) == 0)
            continue;
        if (!atls_bytes_equal(r->quote.body.rtmr[i],
                              atls_bytes_of(replay.values[i + 1], ATLS_TDX_MR_LEN)))
            return log_mismatch(err, "event log: replay does not lead to the quoted RTMRs");
    }
    r->has_event_log = true;
    return ATLS_OK;
}

/* Steps 12 to 16. */
static enum atls_code check_domain(const struct atls_tdx_check *check,
                                   const struct atls_tdx_rules *rules, struct atls_tdx_result *r,
                                   struct atls_err *err)
{
    const struct atls_tdx_body *body = &r->quote.body;
    enum atls_code code;

    if ((code = check_tcb(r, rules, err)) != ATLS_OK ||
        (code = check_trailing(&r->quote, rules, err)) != ATLS_OK ||
        (code = check_report_data(check, &r->quote, err)) != ATLS_OK ||
        (code = check_attributes(body, rules, err)) != ATLS_OK ||
        (code = check_service_td(body, rules, err)) != ATLS_OK)
        return code;
    return check_event_log(check, r, err);
}

static enum atls_code verify_here(const struct atls_tdx_check *check, struct atls_tdx_result *r,
                                  struct atls_err *err)
{
    static const struct atls_tdx_rules strict;
    const struct atls_tdx_rules *rules = check->rules != NULL ? check->rules : &strict;
    enum atls_code code;

    if ((code = verify_platform(check, rules, r, err)) != ATLS_OK ||
        (code = verify_quote(check, r, err)) != ATLS_OK)
        return code;
    return check_domain(check, rules, r, err);
}

/* What a quote says of itself: its own key signed it, over the challenge. */
static enum atls_code verify_alone(const struct atls_tdx_check *check,
                                   const struct atls_tdx_result *r, struct atls_err *err)
{
    enum atls_code code;

    if ((code = check_qe_report_data(&r->quote, err)) != ATLS_OK ||
        (code = check_quote_signature(check, &r->quote, err)) != ATLS_OK)
        return code;
    return check_report_data(check, &r->quote, err);
}

void atls_tdx_result_clear(struct atls_tdx_result *result)
{
    if (result == NULL)
        return;
    atls_pck_unref(result->pck);
    atls_tdx_documents_clear(&result->documents);
    memset(result, 0, sizeof *result);
}

enum atls_code atls_tdx_verify(const struct atls_tdx_check *check, struct atls_tdx_result *out,
                               struct atls_err *err)
{
    struct atls_tdx_result r;
    enum atls_code code;

    memset(&r, 0, sizeof r);
    if (check->report_data.len != ATLS_TDX_REPORT_DATA_LEN)
        return atls_fail(err, ATLS_E_USAGE, "TDX: expected report data of %zu bytes, want 64",
                         check->report_data.len);
    if ((code = atls_tdx_quote_decode(check->quote, &r.quote, err)) != ATLS_OK)
        return code;
    code = check->trust_elsewhere ? verify_alone(check, &r, err) : verify_here(check, &r, err);
    if (code != ATLS_OK) {
        atls_tdx_result_clear(&r);
        return code;
    }
    *out = r;
    return ATLS_OK;
}
