#include "verifier/remote/pack.h"

#include <string.h>

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/err.h"
#include "wire/cbor.h"
#include "wire/snp.h"
#include "wire/tdx.h"
#include "wire/tpm.h"
#include "wire/tsm.h"

/* The tree of a bundle: a few entries and certificates. */
#define TREE_MAX (64 * 1024)

void atls_packed_clear(struct atls_packed *packed)
{
    atls_buf_clear(&packed->body);
}

struct atls_bytes atls_pack_find(const struct atls_bytes *types, size_t count, const char *form)
{
    for (size_t i = 0; i < count; i++) {
        const struct atls_cmw_type type = {.is_text = true, .text = types[i]};

        if (atls_cmw_type_is(&type, form))
            return types[i];
    }
    return atls_bytes_of(NULL, 0);
}

/* Media types that a service takes. */
struct accepted {
    const struct atls_bytes *types;
    size_t count;
};

static bool takes(const struct accepted *a, const char *form)
{
    return atls_pack_find(a->types, a->count, form).len > 0;
}

/* ---- TPM ---- */

static bool is_tpm(const struct atls_bundle *bundle)
{
    return atls_cmw_type_is(&bundle->kat.type, ATLS_TYPE_TPM_CERTIFY) &&
           atls_cmw_type_is(&bundle->pat.type, ATLS_TYPE_TPM_QUOTE);
}

static void put_member(struct atls_writer *w, const char *name, struct atls_bytes value)
{
    atls_cbor_put_text(w, name);
    atls_cbor_put_bytes(w, value);
}

static void put_head(struct atls_writer *w, const char *half, uint64_t members,
                     struct atls_bytes kid, struct atls_bytes signature)
{
    atls_cbor_put_text(w, half);
    atls_cbor_put_map(w, members);
    atls_cbor_put_text(w, "tpmVer");
    atls_cbor_put_text(w, ATLS_TPM_VERSION);
    put_member(w, "kid", kid);
    put_member(w, "sig", signature);
}

static enum atls_code put_parsec_tpm(const struct atls_bundle *bundle, struct atls_writer *w,
                                     struct atls_err *err)
{
    struct atls_tpm_certify_half certify;
    struct atls_tpm_quote_half quote;
    enum atls_code code;

    if ((code = atls_tpm_certify_half_decode(bundle->kat.value, &certify, err)) != ATLS_OK ||
        (code = atls_tpm_quote_half_decode(bundle->pat.value, &quote, err)) != ATLS_OK)
        return code;
    atls_cbor_put_map(w, 2);
    put_head(w, "kat", 5, certify.kid, certify.signature);
    put_member(w, "certInfo", certify.cert_info);
    put_member(w, "pubArea", certify.pub_area);
    put_head(w, "pat", 4, quote.kid, quote.signature);
    put_member(w, "attestInfo", quote.attest_info);
    return ATLS_OK;
}

static enum atls_code pack_parsec_tpm(const struct atls_bundle *bundle, struct atls_bytes binder,
                                      struct atls_packed *packed, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    enum atls_code code;

    if ((code = put_parsec_tpm(bundle, &w, err)) != ATLS_OK ||
        (code = atls_binder_qualifying_data(binder, packed->nonce, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    packed->form = ATLS_PARSEC_TPM_MEDIA_TYPE;
    packed->nonce_len = 32;
    return atls_writer_finish(&w, &packed->body, err);
}

/* ---- platform tokens over a key attestation token ---- */

#define EAT(profile)   "application/eat+cwt; eat_profile=\"" profile "\""
#define CCA_COLLECTION "application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\""
#define CCA_OLD        EAT("http://arm.com/CCA-SSD/1.0.0")
#define CCA_2023       EAT("tag:arm.com,2023:cca_platform#1.0.0")
#define CCA_2024       EAT("tag:arm.com,2024:cca_platform#2.0.0")
#define PSA_RFC9783    EAT("tag:psacertified.org,2023:psa#tfm")
#define PSA_LEGACY     EAT("tag:psacertified.org,2019:psa#legacy")
#define PSA_2_0_0      EAT("http://arm.com/psa/2.0.0")
#define PSA_OLD_2_0_0  "application/eat-cwt; profile=\"http://arm.com/psa/2.0.0\""
#define PSA_ANY        "application/psa-attestation-token"

/* Types of platform tokens, and another name of the same. */
static const struct token_name {
    const char *type, *other;
} token_names[] = {
    {ATLS_TYPE_TSM_REPORT, NULL}, {ATLS_TYPE_SNP_REPORT, NULL},
    {ATLS_TYPE_TDX_QUOTE, NULL},  {CCA_COLLECTION, CCA_2023},
    {CCA_OLD, CCA_COLLECTION},    {CCA_2023, CCA_COLLECTION},
    {CCA_2024, CCA_COLLECTION},   {PSA_RFC9783, PSA_ANY},
    {PSA_LEGACY, PSA_ANY},        {PSA_2_0_0, PSA_OLD_2_0_0},
    {PSA_OLD_2_0_0, PSA_ANY},     {PSA_ANY, NULL},
    {ATLS_TYPE_SOFT, NULL},       {NULL, NULL},
};

/* The row of a platform token; the last one when there is none. */
static const struct token_name *name_of(const struct atls_cmw *token)
{
    const struct token_name *n = token_names;

    while (n->type != NULL && !atls_cmw_type_is(&token->type, n->type))
        n++;
    return n;
}

static bool is_cca(const struct atls_bundle *bundle)
{
    static const char *const types[] = {CCA_COLLECTION, CCA_OLD, CCA_2023, CCA_2024};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (atls_cmw_type_is(&bundle->pat.type, types[i]))
            return true;
    return false;
}

/* Both halves as they stand. */
static enum atls_code pack_parsec_cca(const struct atls_bundle *bundle, struct atls_bytes binder,
                                      struct atls_packed *packed, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);

    atls_cbor_put_map(&w, 2);
    atls_cbor_put_text(&w, "kat");
    atls_put_bytes(&w, bundle->kat.value);
    atls_cbor_put_text(&w, "pat");
    atls_put_bytes(&w, bundle->pat.value);
    packed->form = ATLS_PARSEC_CCA_MEDIA_TYPE;
    packed->nonce_len = binder.len;
    memcpy(packed->nonce, binder.ptr, binder.len);
    return atls_writer_finish(&w, &packed->body, err);
}

/* The nonce is what the token has to sign for its key attestation token, or a batch of them. */
static enum atls_code pack_token(const struct atls_bundle *bundle, const char *form,
                                 struct atls_packed *packed, struct atls_err *err)
{
    struct atls_batch_path path;
    enum atls_code code;

    if (!atls_cmw_type_is(&bundle->kat.type, ATLS_TYPE_KAT_BATCH))
        code = atls_hash_one(ATLS_HASH_SHA512, bundle->kat.value, packed->nonce, err);
    else if ((code = atls_batch_path_decode(bundle->kat.value, &path, err)) == ATLS_OK)
        code = atls_batch_challenge(&path, packed->nonce, err);
    if (code != ATLS_OK)
        return code;
    packed->form = form;
    packed->names_no_key = true;
    packed->nonce_len = ATLS_PACKED_NONCE_MAX;
    return atls_buf_copy(&packed->body, bundle->pat.value, err);
}

/* ---- choice ---- */

/* Leaves packed alone when the service takes no form that the evidence can have. */
static enum atls_code pack_bundle(const struct atls_bundle *bundle, struct atls_bytes binder,
                                  const struct accepted *a, struct atls_packed *packed,
                                  struct atls_err *err)
{
    const bool is_kat = atls_cmw_type_is(&bundle->kat.type, ATLS_TYPE_KAT);
    const struct token_name *name = name_of(&bundle->pat);

    if (is_tpm(bundle))
        return takes(a, ATLS_PARSEC_TPM_MEDIA_TYPE) ? pack_parsec_tpm(bundle, binder, packed, err)
                                                    : ATLS_OK;
    if (is_kat && is_cca(bundle) && takes(a, ATLS_PARSEC_CCA_MEDIA_TYPE))
        return pack_parsec_cca(bundle, binder, packed, err);
    if (name->type == NULL || !(is_kat || atls_cmw_type_is(&bundle->kat.type, ATLS_TYPE_KAT_BATCH)))
        return ATLS_OK;
    if (takes(a, name->type))
        return pack_token(bundle, name->type, packed, err);
    return name->other != NULL && takes(a, name->other)
               ? pack_token(bundle, name->other, packed, err)
               : ATLS_OK;
}

/* Leaves packed alone when evidence is no token that stands alone, or the service takes none. */
static enum atls_code pack_bare(const struct atls_cmw *cmw, const struct atls_bare_token *bare,
                                const struct accepted *a, struct atls_packed *packed,
                                struct atls_err *err)
{
    const struct token_name *name = name_of(cmw);
    const char *form = name->type;

    if (cmw->kind == ATLS_CMW_COLLECTION || form == NULL)
        return ATLS_OK;
    if (!takes(a, form))
        form = name->other;
    if (form == NULL || !takes(a, form))
        return ATLS_OK;
    packed->form = form;
    packed->names_no_key = true;
    packed->nonce_len = sizeof bare->challenge;
    memcpy(packed->nonce, bare->challenge, sizeof bare->challenge);
    return atls_buf_copy(&packed->body, cmw->value, err);
}

enum atls_code atls_pack_bare(const struct atls_bare_token *bare, const struct atls_bytes *types,
                              size_t count, struct atls_packed *out, struct atls_err *err)
{
    const struct accepted a = {types, count};
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct atls_packed packed;
    struct atls_cmw cmw;
    enum atls_code code;

    memset(&packed, 0, sizeof packed);
    if ((code = atls_cmw_decode(bare->evidence, &arena, &cmw, err)) == ATLS_OK)
        code = pack_bare(&cmw, bare, &a, &packed, err);
    atls_arena_clear(&arena);
    if (code == ATLS_OK)
        *out = packed;
    return code;
}

/* Evidence of ours in a form of others. */
static enum atls_code repack(struct atls_bytes evidence, struct atls_bytes binder,
                             const struct accepted *a, struct atls_packed *packed,
                             struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct atls_bundle bundle;
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_decode(evidence, &arena, &cmw, err)) == ATLS_OK &&
        (code = atls_bundle_open(&cmw, &bundle, err)) == ATLS_OK)
        code = pack_bundle(&bundle, binder, a, packed, err);
    atls_arena_clear(&arena);
    return code;
}

enum atls_code atls_pack(struct atls_bytes evidence, struct atls_bytes binder,
                         const struct atls_bytes *types, size_t count, struct atls_packed *out,
                         struct atls_err *err)
{
    const struct accepted a = {types, count};
    struct atls_packed packed;
    enum atls_code code;

    memset(&packed, 0, sizeof packed);
    if (binder.len != 32 && binder.len != 48)
        return atls_fail(err, ATLS_E_USAGE, "evidence: binder of %zu bytes, want 32 or 48",
                         binder.len);
    if (takes(&a, ATLS_BUNDLE_MEDIA_TYPE)) {
        packed.form = ATLS_BUNDLE_MEDIA_TYPE;
        packed.nonce_len = binder.len;
        memcpy(packed.nonce, binder.ptr, binder.len);
        code = atls_buf_copy(&packed.body, evidence, err);
    } else {
        code = repack(evidence, binder, &a, &packed, err);
    }
    if (code == ATLS_OK && packed.form == NULL)
        code =
            atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                             "the service takes this evidence in no form (%zu media types)", count);
    if (code == ATLS_OK)
        *out = packed;
    return code;
}
