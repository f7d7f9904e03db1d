/* Appraisal of TPM evidence: who signed, whether to trust that key, then what it signed
 * (evidence/tpm.h), then how both halves belong together. */
#include "evidence/tpm.h"
#include "evidence/parsec.h"

#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "bind/binder.h"
#include "bind/tpm_object.h"
#include "core/err.h"
#include "crypto/tpm_crypto.h"
#include "evidence/claims.h"
#include "evidence/hcl.h"

#define SPKI_MAX 2048
/* tcg-kp-AIKCertificate (TCG Credential Profile EK, "Extended Key Usage"). */
#define AK_USAGE "2.23.133.8.3"

/* What one appraisal works on: everything borrows from the evidence, but for key and trusted. */
struct appraisal {
    const struct atls_evidence_request *request;
    const struct atls_evidence_options *options;
    const struct atls_cmw *endorsements; /* or NULL */
    struct atls_tpm_certify_half certify;
    struct atls_tpm_quote_half quote;
    struct atls_tpmt_public ak;
    struct atls_buf ak_spki;
    struct atls_buf subject_spki; /* of the certified key, where nothing else says it */
    struct atls_key *ak_key;
    struct atls_attest_key trusted; /* class, vendor and model of the instance */
    enum atls_key_trust trust;
    struct atls_tpms_attest certified;
    struct atls_tpm_quote_result quoted;
    struct atls_claims *hardware; /* that vouches for the key of a virtual TPM, or NULL */
};

static void appraisal_free(struct appraisal *a)
{
    atls_buf_clear(&a->ak_spki);
    atls_buf_clear(&a->subject_spki);
    atls_key_unref(a->ak_key);
    atls_attest_key_clear(&a->trusted);
    atls_claims_clear(a->hardware);
    free(a->hardware);
    free(a);
}

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "TPM: %s", what);
}

/* ---- who signed ---- */

static enum atls_code decode_halves(const struct atls_bundle *bundle, struct appraisal *a,
                                    struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_tpm_certify_half_decode(bundle->kat.value, &a->certify, err)) != ATLS_OK ||
        (code = atls_tpm_quote_half_decode(bundle->pat.value, &a->quote, err)) != ATLS_OK)
        return code;
    return atls_tpmt_public_decode(a->quote.ak_pub, &a->ak, err);
}

/* Both halves name one key, and akPub is that key. */
static enum atls_code check_kid(const struct appraisal *a, struct atls_err *err)
{
    struct atls_tpm_name name;
    uint8_t ueid[ATLS_TPM_KID_LEN];
    enum atls_code code;

    if (!atls_bytes_equal(a->certify.kid, a->quote.kid))
        return refuse(err, ATLS_REASON_KID_MISMATCH, "kat and pat have different kids");
    if ((code = atls_tpm_name_of(&a->ak, &name, err)) != ATLS_OK ||
        (code = atls_tpm_ueid_of(&name, ueid, err)) != ATLS_OK)
        return code;
    if (!atls_bytes_equal(a->quote.kid, atls_bytes_of(ueid, sizeof ueid)))
        return refuse(err, ATLS_REASON_KID_MISMATCH, "kid is not the Name of akPub");
    return ATLS_OK;
}

static enum atls_code make_spki(const struct atls_tpmt_public *public, struct atls_buf *out,
                                struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    enum atls_code code = atls_tpmt_public_put_spki(public, &w, err);

    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

static enum atls_code parse_key(struct appraisal *a, struct atls_err *err)
{
    enum atls_code code = make_spki(&a->ak, &a->ak_spki, err);

    if (code != ATLS_OK)
        return code;
    return atls_chain_cache_key(a->request->cache, atls_buf_bytes(&a->ak_spki), &a->ak_key, err);
}

/* ---- whose key it speaks of ---- */

/* The key that the evidence is to name: the peer's, or for a Verifier that does not see the
 * connection the one that it does name. */
static struct atls_bytes subject_of(const struct appraisal *a)
{
    return a->request->scope == ATLS_EVIDENCE_KEY_UNKNOWN ? atls_buf_bytes(&a->subject_spki)
                                                          : a->request->aik_spki;
}

static enum atls_code find_subject(struct appraisal *a, struct atls_err *err)
{
    struct atls_tpmt_public subject;
    enum atls_code code;

    if (a->request->scope != ATLS_EVIDENCE_KEY_UNKNOWN)
        return ATLS_OK;
    if ((code = atls_tpmt_public_decode(a->certify.pub_area, &subject, err)) != ATLS_OK)
        return code;
    return make_spki(&subject, &a->subject_spki, err);
}

/* ---- whether to trust it: B, enrolled ---- */

/* The whole public area decides where it is on file: attributes and scheme are part of the key. */
static enum atls_code check_enrolled(struct appraisal *a, struct atls_err *err)
{
    bool same =
        a->trusted.public_area.len > 0
            ? atls_bytes_equal(atls_buf_bytes(&a->trusted.public_area), a->ak.raw)
            : atls_bytes_equal(atls_buf_bytes(&a->trusted.spki), atls_buf_bytes(&a->ak_spki));
    enum atls_code code =
        atls_attest_key_check(&a->trusted, &atls_technology_tpm, ATLS_REASON_UNTRUSTED_AK, err);

    if (code != ATLS_OK)
        return code;
    if (!same)
        return refuse(err, ATLS_REASON_UNTRUSTED_AK,
                      "another attestation key is enrolled for this instance");
    a->trust = ATLS_KEY_TRUST_ENROLLED;
    return ATLS_OK;
}

/* ---- A, certified ---- */

/* Endorsement "ak-chain": certificates under the labels 0, 1, ..., the AK's first. */
static enum atls_code collect_chain(const struct appraisal *a,
                                    struct atls_bytes chain[ATLS_CHAIN_MAX], size_t *count,
                                    struct atls_err *err)
{
    const struct atls_cmw *list =
        a->endorsements == NULL ? NULL : atls_cmw_find(a->endorsements, "ak-chain");
    const struct atls_cmw_entry *entry = NULL;
    size_t n = 0;
    enum atls_code code;

    if (list == NULL)
        return refuse(err, ATLS_REASON_UNTRUSTED_AK,
                      "the attestation key is not enrolled and has no certificate");
    if (list->kind != ATLS_CMW_COLLECTION || list->count > ATLS_CHAIN_MAX)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "TPM: ak-chain is no collection of at most %d certificates",
                                ATLS_CHAIN_MAX);
    while ((entry = atls_cmw_next(list, entry)) != NULL) {
        if (entry->label.is_text || entry->label.number != (int64_t)n ||
            entry->value.kind != ATLS_CMW_RECORD ||
            !atls_cmw_type_is(&entry->value.type, "application/pkix-cert"))
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "TPM: ak-chain: entry %zu is no certificate of that label", n);
        /* Certificates out of a TPM's NV indices are padded. */
        if ((code = atls_certificate_trim(entry->value.value, &chain[n], err)) != ATLS_OK)
            return code;
        n++;
    }
    *count = n;
    return ATLS_OK;
}

static enum atls_code check_usage(const struct appraisal *a, struct atls_bytes certificate,
                                  struct atls_err *err)
{
    enum atls_code code;
    bool found;

    if (!a->options->require_ak_eku)
        return ATLS_OK;
    if ((code = atls_certificate_has_usage(certificate, AK_USAGE, &found, err)) != ATLS_OK)
        return code;
    if (!found)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_KEY_USAGE,
                                "AK certificate: extended key usage " AK_USAGE " is required");
    return ATLS_OK;
}

static enum atls_code verify_chain(const struct appraisal *a, struct atls_chain_result *out,
                                   struct atls_err *err)
{
    const struct atls_endorsement_source *source = a->request->source;
    struct atls_bytes chain[ATLS_CHAIN_MAX];
    struct atls_chain_check check = {.purpose = ATLS_CHAIN_TPM_AK, .time_s = a->request->time_s};
    struct atls_anchors *anchors = NULL;
    size_t count = 0;
    enum atls_code code;

    if ((code = collect_chain(a, chain, &count, err)) != ATLS_OK)
        return code;
    if (source == NULL || source->ak_anchors == NULL)
        return refuse(err, ATLS_REASON_UNTRUSTED_AK, "no anchors for attestation keys");
    if ((code = source->ak_anchors(source->arg, &anchors, err)) != ATLS_OK)
        return code;
    if (anchors == NULL)
        return refuse(err, ATLS_REASON_UNTRUSTED_AK, "no anchors for attestation keys");
    check.anchors = anchors;
    code = atls_chain_cache_verify(a->request->cache, chain, count, &check, out, err);
    atls_anchors_unref(anchors);
    if (code == ATLS_OK && (code = check_usage(a, chain[0], err)) != ATLS_OK)
        atls_chain_result_clear(out);
    return code;
}

static enum atls_code check_certified(struct appraisal *a, struct atls_err *err)
{
    const struct atls_endorsement_source *source = a->request->source;
    struct atls_chain_result result;
    enum atls_code code = verify_chain(a, &result, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_bytes_equal(atls_key_spki(result.key), atls_buf_bytes(&a->ak_spki)))
        code = refuse(err, ATLS_REASON_UNTRUSTED_AK,
                      "the AK certificate is for another key than akPub");
    /* Without a class no reference value will match; that is the appraiser's to say. */
    if (code == ATLS_OK && source->anchor_class != NULL) {
        code = source->anchor_class(source->arg, atls_buf_bytes(&result.anchor), &a->trusted, err);
        if (code == ATLS_E_NOT_FOUND) {
            atls_err_clear(err);
            code = ATLS_OK;
        }
    }
    atls_chain_result_clear(&result);
    a->trust = ATLS_KEY_TRUST_CERTIFIED;
    return code;
}

/* ---- C, vouched for by confidential hardware ---- */

static enum atls_code check_hardware(struct appraisal *a, struct atls_err *err)
{
    const struct atls_hcl_check check = {
        .request = a->request,
        .endorsements = a->endorsements,
        .ak_spki = atls_buf_bytes(&a->ak_spki),
        .spki = subject_of(a),
    };
    enum atls_code code;

    if ((a->hardware = calloc(1, sizeof *a->hardware)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "TPM: out of memory");
    if ((code = atls_hcl_verify(&check, a->hardware, err)) != ATLS_OK)
        return code;
    if (a->trust == ATLS_KEY_TRUST_ENROLLED)
        return ATLS_OK;
    a->trust = ATLS_KEY_TRUST_CERTIFIED;
    return atls_buf_copy(&a->trusted.class_id, atls_bytes_of(atls_hcl_class, sizeof atls_hcl_class),
                         err);
}

static enum atls_code check_trust(struct appraisal *a, struct atls_err *err)
{
    enum atls_code code;

    if (a->request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE)
        return ATLS_OK; /* and a->trust stays NONE */
    code = atls_evidence_attest_key(a->request, a->quote.kid, &a->trusted, err);
    if (code == ATLS_OK)
        code = check_enrolled(a, err);
    else if (code == ATLS_E_NOT_FOUND) {
        atls_err_clear(err);
        code = atls_hcl_present(a->endorsements) ? ATLS_OK : check_certified(a, err);
    }
    if (code != ATLS_OK || !atls_hcl_present(a->endorsements))
        return code;
    return check_hardware(a, err);
}

/* ---- what it signed ---- */

static enum atls_code check_signed(struct appraisal *a, struct atls_err *err)
{
    const struct atls_tpm_signer signer = {a->ak_key, &a->ak, false};
    uint8_t nonce[32] = {0};
    struct atls_tpm_certify_check certify = {
        .signer = signer,
        .attest = a->certify.cert_info,
        .signature = a->certify.signature,
        .nonce = atls_bytes_of(nonce, sizeof nonce),
        .subject = a->certify.pub_area,
        .spki = subject_of(a),
        .allow_unsafe_clock = a->options->allow_unsafe_clock,
    };
    struct atls_tpm_quote_check quote = {
        .signer = signer,
        .attest = a->quote.attest_info,
        .signature = a->quote.signature,
        .nonce = atls_bytes_of(nonce, sizeof nonce),
        .allow_unsafe_clock = a->options->allow_unsafe_clock,
        .allow_sha1_pcr_bank = a->options->allow_sha1_pcr_bank,
        .banks = a->quote.banks,
        .bank_count = a->quote.bank_count,
        .event_log = a->quote.event_log,
        .ima_log = a->quote.ima_log,
        .allow_ima_violations = a->options->allow_ima_violations,
    };
    enum atls_code code;

    if ((code = atls_binder_qualifying_data(a->request->binder, nonce, err)) != ATLS_OK ||
        (code = atls_tpm_certify_verify(&certify, &a->certified, err)) != ATLS_OK)
        return code;
    return atls_tpm_quote_verify(&quote, &a->quoted, err);
}

/* ---- claims ---- */

/* Anyone can reset these at run time: no claim. */
static bool is_resettable(unsigned int pcr)
{
    return pcr == 16 || pcr == 23;
}

/* One measurement a PCR, with a digest for each quoted bank but SHA-1, which has no number that
 * reference values could use. */
static bool add_measurements(const struct appraisal *a, struct atls_claims *claims)
{
    struct atls_measurement *list =
        atls_arena_alloc(&claims->arena, ATLS_TPM_PCRS_MAX, sizeof *list);

    if (list == NULL)
        return false;
    for (unsigned int pcr = 0; pcr < ATLS_TPM_PCRS_MAX; pcr++) {
        struct atls_measurement *m = &list[claims->measurement_count];

        for (size_t i = 0; i < a->quote.bank_count; i++) {
            const struct atls_tpm_pcr_values *bank = &a->quote.banks[i];

            if ((bank->present >> pcr & 1) == 0 || is_resettable(pcr) ||
                bank->hash == ATLS_TPM_ALG_SHA1)
                continue;
            if (m->mval.digests == NULL)
                m->mval.digests = atls_arena_alloc(&claims->arena, ATLS_TPM_VALUE_BANKS_MAX,
                                                   sizeof *m->mval.digests);
            if (m->mval.digests == NULL ||
                !atls_claims_add_digest(claims, m, atls_tpm_hash(bank->hash), bank->values[pcr]))
                return false;
        }
        if (m->mval.digest_count == 0)
            continue;
        m->mkey.kind = ATLS_MKEY_UINT;
        m->mkey.number = pcr;
        claims->measurement_count++;
    }
    claims->measurements = list;
    return true;
}

static bool add_banks(const struct appraisal *a, struct atls_claims *claims)
{
    for (size_t i = 0; i < a->quote.bank_count; i++) {
        const char *name = atls_hash_name(atls_tpm_hash(a->quote.banks[i].hash));
        struct atls_detail detail = {.name = "pcr-bank", .type = ATLS_DETAIL_TEXT};

        detail.bytes = atls_bytes_of(name, strlen(name));
        if (!atls_claims_add(claims, detail))
            return false;
    }
    return true;
}

static bool add_log_details(const struct appraisal *a, struct atls_claims *claims)
{
    const struct atls_tpm_quote_result *q = &a->quoted;
    bool ok = true;

    if (q->has_event_log)
        ok = atls_claims_add_uint(claims, "event-log-events", q->boot.events);
    if (q->has_event_log && q->boot.secure_boot != ATLS_SECURE_BOOT_UNKNOWN)
        ok = ok && atls_claims_add_bool(claims, "secure-boot",
                                        q->boot.secure_boot == ATLS_SECURE_BOOT_ENABLED);
    if (q->has_ima_log)
        ok = ok && atls_claims_add_uint(claims, "ima-entries", q->ima.entries) &&
             atls_claims_add_uint(claims, "ima-violations", q->ima.violations);
    return ok;
}

static bool add_details(const struct appraisal *a, struct atls_claims *claims)
{
    const struct atls_tpms_attest *quote = &a->quoted.attest;

    return atls_claims_add_uint(claims, "reset-count", quote->reset_count) &&
           atls_claims_add_uint(claims, "restart-count", quote->restart_count) &&
           atls_claims_add_uint(claims, "clock", quote->clock) &&
           atls_claims_add_bool(claims, "clock-safe", quote->safe && a->certified.safe) &&
           atls_claims_add_uint(claims, "firmware-version", quote->firmware_version) &&
           add_banks(a, claims) && add_log_details(a, claims);
}

static enum atls_code make_claims(struct appraisal *a, struct atls_claims *out,
                                  struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(&atls_technology_tpm);
    enum atls_code code;

    claims.key_trust = a->trust;
    code = atls_claims_identify(&claims, a->quote.kid, &a->trusted, subject_of(a), err);
    if (code == ATLS_OK &&
        (!atls_arena_copy(&claims.arena, atls_buf_bytes(&a->ak_spki), &claims.signer_spki) ||
         !add_measurements(a, &claims) || !add_details(a, &claims)))
        code = atls_fail(err, ATLS_E_NOMEM, "TPM: out of memory");
    if (code != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    claims.next = a->hardware;
    a->hardware = NULL;
    *out = claims;
    return ATLS_OK;
}

static enum atls_code appraise(struct appraisal *a, const struct atls_bundle *bundle,
                               struct atls_claims *out, struct atls_err *err)
{
    enum atls_code code;

    if ((code = decode_halves(bundle, a, err)) != ATLS_OK ||
        (code = check_kid(a, err)) != ATLS_OK || (code = parse_key(a, err)) != ATLS_OK ||
        (code = find_subject(a, err)) != ATLS_OK || (code = check_trust(a, err)) != ATLS_OK ||
        (code = atls_tpm_check_role(&a->ak, ATLS_TPM_ROLE_AK, err)) != ATLS_OK ||
        (code = check_signed(a, err)) != ATLS_OK ||
        (code = atls_tpm_check_pair(&a->certified, &a->quoted.attest, err)) != ATLS_OK)
        return code;
    return make_claims(a, out, err);
}

static enum atls_code verify(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err)
{
    struct appraisal *a = calloc(1, sizeof *a); /* several kilobytes: too much for a stack frame */
    enum atls_code code;

    if (a == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "TPM: out of memory");
    a->request = request;
    a->options = atls_evidence_options_of(request);
    a->endorsements = bundle->endorsements;
    code = appraise(a, bundle, out, err);
    appraisal_free(a);
    return code;
}

static const struct atls_evidence_format formats[] = {
    {.pat_type = ATLS_TYPE_TPM_QUOTE,
     .kat_type = ATLS_TYPE_TPM_CERTIFY,
     .profile = ATLS_PROFILE_KAT},
    {.pat_type = ATLS_TYPE_PARSEC_TPM,
     .profile = ATLS_PROFILE_PARSEC,
     .verify = atls_parsec_tpm_verify},
    {.pat_type = NULL},
};

const struct atls_technology atls_technology_tpm = {
    .name = "tpm",
    .submod = "TPM",
    .insecure = false,
    .formats = formats,
    .verify = verify,
};
