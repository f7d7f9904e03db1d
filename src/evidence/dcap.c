/* What verification of a quote of SGX and of TDX have alike, in the order of docs/tdx.md. Nothing
 * of the body is used before the signatures that cover it. */
#include "evidence/dcap.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"

#define SGX_ATTRIBUTE_DEBUG 0x02
#define POINT_LEN           64
#define KEY_HASH_LEN        32

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "quote: %s", what);
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
static enum atls_code find_issuers(const struct atls_dcap_check *check, struct atls_bytes leaf_text,
                                   struct atls_dcap_offer *out, struct atls_err *err)
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
                                  "quote: the PCK certificate names no issuer of such")
               : atls_dcap_offer_get(&check->sources, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, authority,
                                     out, err);
    atls_certificate_unref(leaf);
    return code;
}

/* The leaf came alone. */
static enum atls_code verify_leaf(const struct atls_dcap_check *check, struct atls_pck_check *pck,
                                  struct atls_pck **out, struct atls_err *err)
{
    struct atls_dcap_offer offer;
    enum atls_code code = find_issuers(check, pck->certificates, &offer, err);

    if (code != ATLS_OK)
        return code;
    pck->issuers = atls_dcap_offer_first(&offer);
    if (pck->issuers.len == 0)
        code = refuse(err, ATLS_REASON_COLLATERAL_UNAVAILABLE,
                      "the PCK certificate came without its chain");
    else
        code = atls_pck_verify(pck, out, err);
    if (code != ATLS_OK && offer.own.len != 0 && offer.bundled.len != 0) {
        pck->issuers = offer.bundled;
        code = atls_pck_verify(pck, out, err);
    }
    atls_dcap_offer_clear(&offer);
    return code;
}

static enum atls_code find_pck(const struct atls_dcap_check *check, const struct atls_dcap_quote *q,
                               const struct atls_certificate_set *anchors, struct atls_pck **out,
                               struct atls_err *err)
{
    struct atls_pck_check pck = {.certificates = q->certification,
                                 .anchors = anchors,
                                 .cache = check->sources.cache,
                                 .time_s = check->sources.time_s};

    if (q->certification_type == ATLS_DCAP_CERTIFICATION_PCK_CHAIN)
        return atls_pck_verify(&pck, out, err);
    if (q->certification_type == ATLS_DCAP_CERTIFICATION_PCK_LEAF)
        return verify_leaf(check, &pck, out, err);
    return atls_fail_reason(
        err, ATLS_E_UNSUPPORTED, ATLS_REASON_COLLATERAL_UNAVAILABLE,
        "quote: certification data of type %u names a PCK certificate and holds "
        "none",
        q->certification_type);
}

static enum atls_code verify_pck(const struct atls_dcap_check *check,
                                 const struct atls_dcap_quote *quote, struct atls_dcap_platform *p,
                                 struct atls_err *err)
{
    const struct atls_endorsement_source *source = check->sources.source;
    struct atls_certificate_set *anchors = NULL;
    enum atls_code code = ATLS_OK;

    if (source != NULL && source->tee_anchors != NULL)
        code = source->tee_anchors(source->arg, &anchors, err);
    if (code != ATLS_OK)
        return code;
    code = find_pck(check, quote, anchors, &p->pck, err);
    atls_certificate_set_unref(anchors);
    return code;
}

/* The documents are of this platform, belong together, and are recent enough. */
static enum atls_code check_documents(const struct atls_dcap_platform *p,
                                      const struct atls_dcap_rules *rules, struct atls_err *err)
{
    const struct atls_tdx_evaluation *evaluation = atls_tdx_evaluation_of(&p->documents);
    const struct atls_tdx_qe_identity *qe = atls_tdx_qe_identity_of(&p->documents);
    const struct atls_tdx_tcb_info *info = atls_tdx_tcb_info_of(&p->documents);
    const struct atls_pck_facts *facts = atls_pck_facts_of(p->pck);
    const uint32_t number = info->evaluation_number;

    if (memcmp(facts->fmspc, info->fmspc, sizeof facts->fmspc) != 0)
        return refuse(err, ATLS_REASON_FMSPC_MISMATCH, "TCB info is of another FMSPC");
    if (memcmp(facts->pce_id, info->pce_id, sizeof facts->pce_id) != 0)
        return refuse(err, ATLS_REASON_PCEID_MISMATCH, "TCB info is of another PCE-ID");
    if (qe->evaluation_number != number)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_EVAL_NUMBER,
                                "quote: TCB info of evaluation number %u, QE identity of %u",
                                (unsigned)number, (unsigned)qe->evaluation_number);
    if (rules->evaluation.set && number < rules->evaluation.value)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_EVAL_NUMBER,
                                "quote: TCB info of evaluation number %u, want at least %llu",
                                (unsigned)number, (unsigned long long)rules->evaluation.value);
    if (evaluation != NULL && number < evaluation->least)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TCB_EVAL_NUMBER,
                                "quote: TCB info of evaluation number %u, the oldest in use is %u",
                                (unsigned)number, (unsigned)evaluation->least);
    return ATLS_OK;
}

/* Steps 2 to 5. */
enum atls_code atls_dcap_verify_platform(const struct atls_dcap_check *check,
                                         const struct atls_dcap_quote *quote,
                                         struct atls_dcap_platform *out, struct atls_err *err)
{
    struct atls_dcap_platform p = {.pck = NULL};
    enum atls_code code;

    if ((code = verify_pck(check, quote, &p, err)) != ATLS_OK ||
        (code = atls_dcap_documents_get(&check->sources, p.pck, &p.documents, err)) != ATLS_OK ||
        (code = atls_dcap_check_revocation(&check->sources, p.pck, &p.documents,
                                           check->rules->crl_optional, err)) != ATLS_OK ||
        (code = check_documents(&p, check->rules, err)) != ATLS_OK) {
        atls_dcap_platform_clear(&p);
        return code;
    }
    *out = p;
    return ATLS_OK;
}

/* ---- the quoting enclave ---- */

/* The enclave vouches for the attestation key. */
static enum atls_code check_qe_report_data(const struct atls_dcap_quote *q, struct atls_err *err)
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

static enum atls_code attestation_key(const struct atls_dcap_check *check,
                                      const struct atls_dcap_quote *q, struct atls_key **out,
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

static enum atls_code check_quote_signature(const struct atls_dcap_check *check,
                                            const struct atls_dcap_quote *q, struct atls_err *err)
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
enum atls_code atls_dcap_verify_quote(const struct atls_dcap_check *check,
                                      const struct atls_dcap_quote *quote,
                                      const struct atls_dcap_platform *platform,
                                      struct atls_err *err)
{
    const struct atls_tdx_qe_identity *qe = atls_tdx_qe_identity_of(&platform->documents);
    const struct atls_sgx_report *report = &quote->qe_report;
    const struct atls_tdx_level *level;
    enum atls_code code;

    if ((code = verify_signature(atls_pck_key(platform->pck), report->raw, quote->qe_signature,
                                 ATLS_REASON_QE_REPORT_SIGNATURE, err)) != ATLS_OK ||
        (code = check_qe_report_data(quote, err)) != ATLS_OK ||
        (code = check_qe_identity(report, qe, err)) != ATLS_OK ||
        (code = atls_tdx_qe_level(qe, report->isv_svn, &level, err)) != ATLS_OK)
        return code;
    return check_quote_signature(check, quote, err);
}

/* ---- what is left ---- */

enum atls_code atls_dcap_check_tcb(const struct atls_dcap_check *check,
                                   const struct atls_dcap_quote *quote,
                                   const struct atls_tdx_body *body,
                                   struct atls_dcap_platform *platform, struct atls_err *err)
{
    const struct atls_pck_facts *facts = atls_pck_facts_of(platform->pck);
    const struct atls_tdx_tcb tcb = {.sgx = facts->components,
                                     .pce_svn = facts->pce_svn,
                                     .body = body,
                                     .qe_isv_svn = quote->qe_report.isv_svn};
    enum atls_code code = atls_tdx_tcb_status(atls_tdx_tcb_info_of(&platform->documents),
                                              atls_tdx_qe_identity_of(&platform->documents), &tcb,
                                              &platform->tcb, err);

    return code == ATLS_OK ? atls_tdx_check_status(&platform->tcb, check->rules, err) : code;
}

enum atls_code atls_dcap_check_report_data(const struct atls_dcap_check *check,
                                           struct atls_bytes found, struct atls_err *err)
{
    const struct atls_bytes want = check->report_data;

    if (atls_secret_equal(found, want))
        return ATLS_OK;
    if (check->report_data_is_key && found.len == want.len &&
        !atls_secret_equal(atls_bytes_of(found.ptr, KEY_HASH_LEN),
                           atls_bytes_of(want.ptr, KEY_HASH_LEN)))
        return refuse(err, ATLS_REASON_KEY_BINDING_MISMATCH,
                      "REPORTDATA is not the hash of the key of this TLS identity");
    return refuse(err, ATLS_REASON_REPORT_DATA_MISMATCH,
                  "REPORTDATA is not the expected challenge");
}

enum atls_code atls_dcap_check_trailing(const struct atls_dcap_check *check,
                                        const struct atls_dcap_quote *q, struct atls_err *err)
{
    if (check->rules->allow_trailing || atls_bytes_are_zero(q->trailing))
        return ATLS_OK;
    return refuse(err, ATLS_REASON_TRAILING_DATA, "bytes other than zeros follow the quote");
}

enum atls_code atls_dcap_verify_alone(const struct atls_dcap_check *check,
                                      const struct atls_dcap_quote *quote, struct atls_err *err)
{
    enum atls_code code = check_qe_report_data(quote, err);

    return code == ATLS_OK ? check_quote_signature(check, quote, err) : code;
}

void atls_dcap_platform_clear(struct atls_dcap_platform *platform)
{
    atls_pck_unref(platform->pck);
    atls_dcap_documents_clear(&platform->documents);
    memset(platform, 0, sizeof *platform);
}
