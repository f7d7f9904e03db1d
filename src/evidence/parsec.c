#include "evidence/parsec.h"

#include <stdlib.h>
#include <string.h>

#include "bind/tpm_object.h"
#include "core/err.h"
#include "core/secret.h"
#include "evidence/arm.h"
#include "evidence/tpm.h"

#define SPKI_MAX 2048
/* PCR 24 and above exist in no profile. */
#define PCRS_MASK (((uint32_t)1 << 24) - 1)

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "Parsec bundle: %s", rule);
}

/* ---- CCA ---- */

static enum atls_code check_cnf(const struct atls_evidence_request *request,
                                const struct atls_cose_key *key, struct atls_buf *out_spki,
                                struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    struct atls_key *parsed = NULL;
    enum atls_code code = atls_cose_put_spki(&w, key, err);

    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "Parsec bundle: out of memory");
    if (code == ATLS_OK) /* the point must be on its curve */
        code = atls_chain_cache_key(request->cache, atls_writer_bytes(&w), &parsed, err);
    atls_key_unref(parsed);
    if (code == ATLS_OK && request->scope != ATLS_EVIDENCE_KEY_UNKNOWN &&
        !atls_bytes_equal(atls_writer_bytes(&w), request->aik_spki))
        code = refuse(err, ATLS_REASON_KEY_BINDING_MISMATCH,
                      "cnf of the KAT is not the key of this TLS identity");
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out_spki, err);
}

enum atls_code atls_parsec_cca_accept(const struct atls_parsec_cca *parsec,
                                      const struct atls_evidence_request *request,
                                      struct atls_arena *arena, struct atls_buf *out_spki,
                                      struct atls_err *err)
{
    struct atls_parsec_cca_kat kat;
    enum atls_code code = atls_parsec_cca_kat_decode(parsec->kat, arena, &kat, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_secret_equal(kat.nonce, request->binder))
        return refuse(err, ATLS_REASON_NONCE_MISMATCH, "nonce of the KAT is not the binder");
    return check_cnf(request, &kat.key, out_spki, err);
}

/* ---- TPM ---- */

struct appraisal {
    const struct atls_evidence_request *request;
    struct atls_parsec_tpm bundle;
    struct atls_attest_key trusted; /* with trust elsewhere empty */
    struct atls_tpmt_public area;   /* of it, where it is on file */
    struct atls_tpm_signer signer;
    struct atls_key *key;
    struct atls_buf subject_spki;
    struct atls_tpms_attest certified, quoted;
    enum atls_hash hash; /* of the quote's signature */
};

/* The halves name no key, only whose it is. */
static enum atls_code find_signer(struct appraisal *a, struct atls_err *err)
{
    enum atls_code code;

    if (!atls_bytes_equal(a->bundle.kat.kid, a->bundle.pat.kid))
        return refuse(err, ATLS_REASON_KID_MISMATCH, "kat and pat have different kids");
    if (a->request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE) {
        a->signer.elsewhere = true;
        return ATLS_OK;
    }
    code = atls_evidence_attest_key(a->request, a->bundle.pat.kid, &a->trusted, err);
    if (code == ATLS_E_NOT_FOUND)
        return refuse(err, ATLS_REASON_UNTRUSTED_AK, "no attestation key is on file for its kid");
    if (code != ATLS_OK || (code = atls_attest_key_check(&a->trusted, &atls_technology_tpm,
                                                         ATLS_REASON_UNTRUSTED_AK, err)) != ATLS_OK)
        return code;
    if (a->trusted.public_area.len != 0) {
        code = atls_tpmt_public_decode(atls_buf_bytes(&a->trusted.public_area), &a->area, err);
        if (code != ATLS_OK ||
            (code = atls_tpm_check_role(&a->area, ATLS_TPM_ROLE_AK, err)) != ATLS_OK)
            return code;
        a->signer.area = &a->area;
    }
    code = atls_chain_cache_key(a->request->cache, atls_buf_bytes(&a->trusted.spki), &a->key, err);
    a->signer.key = a->key;
    return code;
}

/* The key that the evidence is to name: the peer's, or for a Verifier that does not see the
 * connection the one that it does name. */
static enum atls_code find_subject(struct appraisal *a, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    struct atls_tpmt_public subject;
    enum atls_code code;

    if (a->request->scope != ATLS_EVIDENCE_KEY_UNKNOWN)
        return atls_buf_copy(&a->subject_spki, a->request->aik_spki, err);
    if ((code = atls_tpmt_public_decode(a->bundle.kat.public_area, &subject, err)) != ATLS_OK)
        return code;
    if ((code = atls_tpmt_public_put_spki(&subject, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, &a->subject_spki, err);
}

static enum atls_code check_signed(struct appraisal *a, struct atls_err *err)
{
    const bool unsafe_clock = atls_evidence_options_of(a->request)->allow_unsafe_clock;
    const struct atls_tpm_certify_check certify = {
        .signer = a->signer,
        .attest = a->bundle.kat.attest,
        .signature = a->bundle.kat.signature,
        .nonce = a->request->binder,
        .subject = a->bundle.kat.public_area,
        .spki = atls_buf_bytes(&a->subject_spki),
        .allow_unsafe_clock = unsafe_clock,
    };
    const struct atls_tpm_quote_check quote = {
        .signer = a->signer,
        .attest = a->bundle.pat.attest,
        .signature = a->bundle.pat.signature,
        .nonce = a->request->binder,
        .allow_unsafe_clock = unsafe_clock,
    };
    enum atls_code code;

    if ((code = atls_tpm_certify_verify(&certify, &a->certified, err)) != ATLS_OK ||
        (code = atls_tpm_quote_verify_signed(&quote, &a->quoted, &a->hash, err)) != ATLS_OK)
        return code;
    return atls_tpm_check_pair(&a->certified, &a->quoted, err);
}

/* One bank, of the signature's hash: the digest is comparable with nothing else. */
static enum atls_code check_selection(const struct appraisal *a, struct atls_err *err)
{
    const struct atls_tpms_attest *q = &a->quoted;
    const struct atls_tpm_pcr_selection *s = &q->selections[0];

    if (q->selection_count != 1)
        return refuse(err, ATLS_REASON_PCR_SELECTION, "quote does not select PCRs of one bank");
    if (atls_tpm_hash(s->hash) == ATLS_HASH_SHA1)
        return refuse(err, ATLS_REASON_WEAK_PCR_BANK, "quote selects the SHA-1 bank");
    if (atls_tpm_hash(s->hash) != a->hash)
        return refuse(err, ATLS_REASON_PCR_SELECTION,
                      "quote selects a bank of another hash than its signature's");
    if (s->bitmap == 0 || (s->bitmap & ~PCRS_MASK) != 0)
        return refuse(err, ATLS_REASON_PCR_SELECTION, "quote selects no PCR, or one above 23");
    if (q->pcr_digest.len != atls_hash_len(a->hash))
        return refuse(err, ATLS_REASON_PCR_DIGEST_MISMATCH,
                      "digest of PCRs is not as long as its hash");
    return ATLS_OK;
}

/* ---- claims ---- */

static bool add_composite(const struct appraisal *a, struct atls_claims *claims)
{
    const char *bank = atls_named_hash_of(a->hash)->name;
    struct atls_pcr_composite *composite = atls_arena_alloc(&claims->arena, 1, sizeof *composite);

    claims->measurements = atls_arena_alloc(&claims->arena, 1, sizeof *claims->measurements);
    if (composite == NULL || claims->measurements == NULL ||
        !atls_arm_add_digest(claims, "pcr-digest", atls_bytes_of(bank, strlen(bank)),
                             a->quoted.pcr_digest))
        return false;
    composite->hash = a->hash;
    composite->bitmap = a->quoted.selections[0].bitmap;
    composite->digest = claims->measurements[0].mval.digests[0].value;
    claims->composite = composite;
    return true;
}

static bool add_details(const struct appraisal *a, struct atls_claims *claims)
{
    const struct atls_tpms_attest *q = &a->quoted;

    return atls_claims_add_uint(claims, "reset-count", q->reset_count) &&
           atls_claims_add_uint(claims, "restart-count", q->restart_count) &&
           atls_claims_add_uint(claims, "clock", q->clock) &&
           atls_claims_add_bool(claims, "clock-safe", q->safe && a->certified.safe) &&
           atls_claims_add_uint(claims, "firmware-version", q->firmware_version) &&
           atls_claims_add_string(claims, "pcr-bank", atls_hash_name(a->hash)) &&
           atls_claims_add_uint(claims, "pcr-selection", q->selections[0].bitmap);
}

static enum atls_code make_claims(const struct appraisal *a, struct atls_claims *out,
                                  struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(&atls_technology_tpm);
    enum atls_code code;

    claims.key_trust = a->trusted.spki.len != 0 ? ATLS_KEY_TRUST_ENROLLED : ATLS_KEY_TRUST_NONE;
    code = atls_claims_identify(&claims, a->bundle.pat.kid, &a->trusted,
                                atls_buf_bytes(&a->subject_spki), err);
    if (code == ATLS_OK &&
        (!atls_arena_copy(&claims.arena, atls_buf_bytes(&a->trusted.spki), &claims.signer_spki) ||
         !add_composite(a, &claims) || !add_details(a, &claims)))
        code = atls_fail(err, ATLS_E_NOMEM, "Parsec bundle: out of memory");
    if (code != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    *out = claims;
    return ATLS_OK;
}

static enum atls_code appraise(struct appraisal *a, struct atls_bytes in, struct atls_claims *out,
                               struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_parsec_tpm_decode(in, &a->bundle, err)) != ATLS_OK ||
        (code = find_signer(a, err)) != ATLS_OK || (code = find_subject(a, err)) != ATLS_OK ||
        (code = check_signed(a, err)) != ATLS_OK || (code = check_selection(a, err)) != ATLS_OK)
        return code;
    return make_claims(a, out, err);
}

enum atls_code atls_parsec_tpm_verify(const struct atls_bundle *bundle,
                                      const struct atls_evidence_request *request,
                                      struct atls_claims *out, struct atls_err *err)
{
    struct appraisal *a = calloc(1, sizeof *a); /* too much for a stack frame */
    enum atls_code code;

    if (a == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "Parsec bundle: out of memory");
    a->request = request;
    code = appraise(a, bundle->pat.value, out, err);
    atls_key_unref(a->key);
    atls_attest_key_clear(&a->trusted);
    atls_buf_clear(&a->subject_spki);
    free(a);
    return code;
}
