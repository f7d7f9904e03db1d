#include "evidence/ra_tls.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "evidence/claims.h"
#include "wire/ra_tls.h"
#include "wire/ra_tls_forms.h"

#define KEY_HASH_LEN 32

_Static_assert(KEY_HASH_LEN <= ATLS_HASH_MAX, "report data begins with SHA-256");

static const struct row {
    const char *type, *name;
} rows[] = {
    [ATLS_RA_TLS_KIND_DICE] = {ATLS_TYPE_RA_TLS_DICE, "dice"},
    [ATLS_RA_TLS_KIND_QUOTE] = {ATLS_TYPE_RA_TLS_SGX_QUOTE, "sgx-quote"},
    [ATLS_RA_TLS_KIND_OE_REPORT] = {ATLS_TYPE_RA_TLS_OE_REPORT, "oe-report"},
    [ATLS_RA_TLS_KIND_OE_EVIDENCE] = {ATLS_TYPE_RA_TLS_OE_EVIDENCE, "oe-evidence"},
};
#define KINDS (sizeof rows / sizeof rows[0])

bool atls_ra_tls_dice_is(struct atls_bytes pat, enum atls_dcap_tee tee)
{
    struct atls_dice_evidence e;

    return atls_dice_evidence_decode(pat, &e, NULL) == ATLS_OK && atls_dcap_quote_is(e.quote, tee);
}

/* ---- what must have been signed ---- */

/* SHA-256 of bytes into the first half of the expected report data. */
static enum atls_code expect_hash(struct atls_bytes bytes, struct atls_ra_tls_answer *a,
                                  struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(ATLS_HASH_SHA256, bytes, digest, err);

    if (code == ATLS_OK)
        memcpy(a->report_data, digest, KEY_HASH_LEN);
    return code;
}

static enum atls_code expect_dice(struct atls_bytes in, struct atls_ra_tls_answer *a,
                                  struct atls_err *err)
{
    struct atls_dice_evidence e;
    enum atls_code code = atls_dice_evidence_decode(in, &e, err);

    if (code != ATLS_OK)
        return code;
    a->quote = e.quote;
    a->claims = e.claims;
    return expect_hash(a->claims, a, err);
}

/* Open Enclave writes keys with Mbed TLS and counts the NUL that ends the text. */
static enum atls_code key_as_pem(struct atls_bytes spki, struct atls_buf *out,
                                 struct atls_bytes *out_text, struct atls_err *err)
{
    enum atls_code code = atls_pem_encode("PUBLIC KEY", spki, out, err);

    if (code == ATLS_OK)
        *out_text = atls_bytes_of(out->ptr, out->len + 1);
    return code;
}

static enum atls_code expect_oe_report(struct atls_bytes in,
                                       const struct atls_evidence_request *request,
                                       struct atls_ra_tls_answer *a, struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_bytes text;
    enum atls_code code;

    if ((code = atls_oe_report_decode(in, &a->quote, err)) != ATLS_OK ||
        (code = key_as_pem(request->aik_spki, &pem, &text, err)) != ATLS_OK)
        return code;
    a->report_data_is_key = true;
    code = expect_hash(text, a, err);
    atls_buf_clear(&pem);
    return code;
}

/* The quote says where it ends, and the claims begin. */
static enum atls_code expect_oe_evidence(struct atls_bytes in, struct atls_ra_tls_answer *a,
                                         struct atls_err *err)
{
    struct atls_dcap_quote q;
    struct atls_bytes data;
    enum atls_code code;

    if ((code = atls_oe_evidence_decode(in, &data, err)) != ATLS_OK ||
        (code = atls_dcap_quote_decode(data, ATLS_DCAP_SGX, &q, err)) != ATLS_OK)
        return code;
    a->quote = atls_bytes_of(data.ptr, data.len - q.trailing.len);
    a->claims = q.trailing;
    return expect_hash(a->claims, a, err);
}

static enum atls_code kind_of(const struct atls_cmw *pat, enum atls_ra_tls_kind *out,
                              struct atls_err *err)
{
    for (size_t i = 0; i < KINDS; i++)
        if (atls_cmw_type_is(&pat->type, rows[i].type)) {
            *out = (enum atls_ra_tls_kind)i;
            return ATLS_OK;
        }
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                            "evidence of a certificate: no form that we know");
}

enum atls_code atls_ra_tls_expect(const struct atls_cmw *pat,
                                  const struct atls_evidence_request *request,
                                  struct atls_ra_tls_answer *out, struct atls_err *err)
{
    struct atls_ra_tls_answer a = {.report_data_is_key = false};
    enum atls_code code = kind_of(pat, &a.kind, err);

    if (code != ATLS_OK)
        return code;
    if (a.kind == ATLS_RA_TLS_KIND_DICE) {
        code = expect_dice(pat->value, &a, err);
    } else if (a.kind == ATLS_RA_TLS_KIND_QUOTE) {
        a.quote = pat->value;
        a.report_data_is_key = true;
        code = expect_hash(request->aik_spki, &a, err);
    } else if (a.kind == ATLS_RA_TLS_KIND_OE_REPORT) {
        code = expect_oe_report(pat->value, request, &a, err);
    } else {
        code = expect_oe_evidence(pat->value, &a, err);
    }
    if (code == ATLS_OK)
        *out = a;
    return code;
}

/* ---- what the claims say ---- */

static enum atls_code wrong_key(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                            "%s not the key of this TLS identity", what);
}

static enum atls_hash hash_of(enum atls_dice_hash hash)
{
    switch (hash) {
    case ATLS_DICE_SHA256:
        return ATLS_HASH_SHA256;
    case ATLS_DICE_SHA384:
        return ATLS_HASH_SHA384;
    case ATLS_DICE_SHA512:
    default:
        return ATLS_HASH_SHA512;
    }
}

static enum atls_code check_nonce(struct atls_bytes found, struct atls_bytes want,
                                  struct atls_err *err)
{
    if (want.len == 0 || atls_secret_equal(found, want))
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                            found.ptr == NULL
                                ? "evidence of a certificate: holds no nonce, and one was sent"
                                : "evidence of a certificate: its nonce is not the one sent");
}

static enum atls_code accept_dice(const struct atls_ra_tls_answer *a,
                                  const struct atls_evidence_request *request, struct atls_err *err)
{
    struct atls_dice_claims claims;
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_dice_claims_decode(a->claims, &claims, err)) != ATLS_OK ||
        (code = atls_hash_one(hash_of(claims.hash), request->aik_spki, digest, err)) != ATLS_OK)
        return code;
    if (!atls_secret_equal(claims.pubkey_hash, atls_bytes_of(digest, claims.pubkey_hash.len)))
        return wrong_key(err, "claims-buffer: pubkey-hash is");
    return check_nonce(claims.has_nonce ? claims.nonce : atls_bytes_of(NULL, 0), request->nonce,
                       err);
}

static enum atls_code accept_oe_evidence(const struct atls_ra_tls_answer *a,
                                         const struct atls_evidence_request *request,
                                         struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_bytes text;
    enum atls_code code = key_as_pem(request->aik_spki, &pem, &text, err);

    if (code == ATLS_OK && !atls_secret_equal(a->claims, text))
        code = wrong_key(err, "Open Enclave evidence: custom claims are");
    atls_buf_clear(&pem);
    return code == ATLS_OK ? check_nonce(atls_bytes_of(NULL, 0), request->nonce, err) : code;
}

enum atls_code atls_ra_tls_accept(const struct atls_ra_tls_answer *answer,
                                  const struct atls_evidence_request *request, struct atls_err *err)
{
    if (answer->kind == ATLS_RA_TLS_KIND_DICE)
        return accept_dice(answer, request, err);
    if (answer->kind == ATLS_RA_TLS_KIND_OE_EVIDENCE)
        return accept_oe_evidence(answer, request, err);
    return check_nonce(atls_bytes_of(NULL, 0), request->nonce, err);
}

bool atls_ra_tls_add_details(const struct atls_ra_tls_answer *answer,
                             const struct atls_evidence_request *request,
                             struct atls_claims *claims)
{
    return atls_claims_add_string(claims, "ra-tls-form", rows[answer->kind].name) &&
           atls_claims_add_bool(claims, "ra-tls-nonce", request->nonce.len != 0);
}
