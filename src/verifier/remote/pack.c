#include "verifier/remote/pack.h"

#include <string.h>

#include "bind/binder.h"
#include "core/err.h"
#include "wire/cbor.h"
#include "wire/tpm.h"

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

/* The halves of TPM evidence; *is_tpm is false for another technology. */
static enum atls_code open_tpm(const struct atls_cmw *cmw, struct atls_tpm_certify_half *certify,
                               struct atls_tpm_quote_half *quote, bool *is_tpm,
                               struct atls_err *err)
{
    struct atls_bundle bundle;
    enum atls_code code;

    *is_tpm = false;
    if ((code = atls_bundle_open(cmw, &bundle, err)) != ATLS_OK ||
        !atls_cmw_type_is(&bundle.kat.type, ATLS_TYPE_TPM_CERTIFY) ||
        !atls_cmw_type_is(&bundle.pat.type, ATLS_TYPE_TPM_QUOTE))
        return code;
    *is_tpm = true;
    if ((code = atls_tpm_certify_half_decode(bundle.kat.value, certify, err)) != ATLS_OK)
        return code;
    return atls_tpm_quote_half_decode(bundle.pat.value, quote, err);
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

static enum atls_code put_parsec(const struct atls_cmw *cmw, struct atls_writer *w, bool *is_tpm,
                                 struct atls_err *err)
{
    struct atls_tpm_certify_half certify;
    struct atls_tpm_quote_half quote;
    enum atls_code code = open_tpm(cmw, &certify, &quote, is_tpm, err);

    if (code != ATLS_OK || !*is_tpm)
        return code;
    atls_cbor_put_map(w, 2);
    put_head(w, "kat", 5, certify.kid, certify.signature);
    put_member(w, "certInfo", certify.cert_info);
    put_member(w, "pubArea", certify.pub_area);
    put_head(w, "pat", 4, quote.kid, quote.signature);
    put_member(w, "attestInfo", quote.attest_info);
    return ATLS_OK;
}

/* TPM evidence of ours in the other form; any other is left alone. */
static enum atls_code pack_parsec(struct atls_bytes evidence, struct atls_bytes binder,
                                  struct atls_packed *packed, bool *is_tpm, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_decode(evidence, &arena, &cmw, err)) == ATLS_OK)
        code = put_parsec(&cmw, &w, is_tpm, err);
    if (code == ATLS_OK && *is_tpm &&
        (code = atls_binder_qualifying_data(binder, packed->nonce, err)) == ATLS_OK) {
        packed->form = ATLS_PARSEC_TPM_MEDIA_TYPE;
        packed->nonce_len = 32;
        code = atls_writer_finish(&w, &packed->body, err);
    }
    atls_writer_clear(&w);
    atls_arena_clear(&arena);
    return code;
}

enum atls_code atls_pack(struct atls_bytes evidence, struct atls_bytes binder,
                         const struct atls_bytes *types, size_t count, struct atls_packed *out,
                         struct atls_err *err)
{
    struct atls_packed packed;
    enum atls_code code;
    bool is_tpm = false;

    memset(&packed, 0, sizeof packed);
    if (binder.len != 32 && binder.len != 48)
        return atls_fail(err, ATLS_E_USAGE, "evidence: binder of %zu bytes, want 32 or 48",
                         binder.len);
    if (atls_pack_find(types, count, ATLS_BUNDLE_MEDIA_TYPE).len > 0) {
        packed.form = ATLS_BUNDLE_MEDIA_TYPE;
        packed.nonce_len = binder.len;
        memcpy(packed.nonce, binder.ptr, binder.len);
        code = atls_buf_copy(&packed.body, evidence, err);
    } else if (atls_pack_find(types, count, ATLS_PARSEC_TPM_MEDIA_TYPE).len > 0) {
        code = pack_parsec(evidence, binder, &packed, &is_tpm, err);
    } else {
        code = ATLS_OK;
    }
    if (code == ATLS_OK && packed.form == NULL)
        code =
            atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                             "the service takes this evidence in no form (%zu media types)", count);
    if (code == ATLS_OK)
        *out = packed;
    return code;
}
