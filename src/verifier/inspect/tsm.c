#include "wire/tsm.h"

#include "core/arena.h"
#include "core/reader.h"
#include "verifier/inspect/view.h"
#include "wire/parsec.h"

#define ARENA_MAX (1u << 20)

enum atls_code atls_view_tsm_report(struct atls_view *v, const char *key, struct atls_bytes in)
{
    static const struct {
        const char *provider;
        atls_view_function *outblob, *auxblob;
    } rows[] = {
        {ATLS_TSM_PROVIDER_SNP, atls_view_snp_report, atls_view_snp_certificates},
        {ATLS_TSM_PROVIDER_TDX, atls_view_quote, NULL},
        {ATLS_TSM_PROVIDER_CCA, atls_view_cca, NULL},
    };
    atls_view_function *outblob = NULL, *auxblob = NULL;
    struct atls_tsm_report r;
    enum atls_code code = atls_tsm_report_decode(in, &r, v->err);

    if (code != ATLS_OK)
        return code;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (atls_bytes_equal_text(r.provider, rows[i].provider)) {
            outblob = rows[i].outblob;
            auxblob = rows[i].auxblob;
        }
    }
    atls_json_open_object(v->j, key);
    atls_json_put_text(v->j, "provider", r.provider);
    atls_view_or_hex(v, "outblob", r.outblob, outblob);
    if (r.auxblob.ptr != NULL)
        atls_view_or_hex(v, "auxblob", r.auxblob, auxblob);
    if (r.service_provider.ptr != NULL) {
        atls_json_put_text(v->j, "service-provider", r.service_provider);
        atls_view_put_hex(v->j, "manifest", r.manifest);
    }
    atls_json_close(v->j);
    return ATLS_OK;
}

static void put_parsec_kat(struct atls_view *v, const struct atls_parsec_cca_kat *kat)
{
    atls_json_open_object(v->j, "kat");
    atls_json_put_hex(v->j, "nonce", kat->nonce);
    atls_view_put_cose_key(v, "key", &kat->key);
    atls_json_close(v->j);
}

enum atls_code atls_view_parsec_cca(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(ARENA_MAX);
    struct atls_parsec_cca_kat kat;
    struct atls_parsec_cca bundle;
    enum atls_code code;

    if ((code = atls_parsec_cca_decode(in, &arena, &bundle, v->err)) == ATLS_OK &&
        (code = atls_parsec_cca_kat_decode(bundle.kat, &arena, &kat, v->err)) == ATLS_OK) {
        atls_json_open_object(v->j, key);
        put_parsec_kat(v, &kat);
        atls_view_or_hex(v, "token", bundle.token, atls_view_cca);
        atls_json_close(v->j);
    }
    atls_arena_clear(&arena);
    return code;
}

static void put_half(struct atls_view *v, const char *key, const char *attest,
                     const struct atls_parsec_tpm_half *half)
{
    atls_json_open_object(v->j, key);
    atls_json_put_hex(v->j, "kid", half->kid);
    atls_view_or_hex(v, attest, half->attest, atls_view_tpm_attest);
    if (half->public_area.ptr != NULL)
        atls_view_or_hex(v, "public-area", half->public_area, atls_view_tpm_public);
    atls_view_or_hex(v, "signature", half->signature, atls_view_tpm_signature);
    atls_json_close(v->j);
}

enum atls_code atls_view_parsec_tpm(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_parsec_tpm bundle;
    enum atls_code code = atls_parsec_tpm_decode(in, &bundle, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    put_half(v, "kat", "certify-info", &bundle.kat);
    put_half(v, "pat", "attest-info", &bundle.pat);
    atls_json_close(v->j);
    return ATLS_OK;
}
