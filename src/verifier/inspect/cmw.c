#include <string.h>

#include <atls/limits.h>

#include "bind/batch.h"
#include "core/err.h"
#include "verifier/inspect/view.h"
#include "wire/cca.h"
#include "wire/cmw_json.h"
#include "wire/cose.h"
#include "wire/hcl.h"
#include "wire/kat.h"
#include "wire/parsec.h"
#include "wire/ra_tls.h"
#include "wire/snp.h"
#include "wire/soft.h"
#include "wire/tdx.h"
#include "wire/tsm.h"

void atls_view_or_hex(struct atls_view *v, const char *key, struct atls_bytes in,
                      atls_view_function *view)
{
    struct atls_view inner = {v->j, v->nesting + 1, NULL};

    if (view == NULL || inner.nesting > ATLS_VIEW_NESTING_MAX || view(&inner, key, in) != ATLS_OK)
        atls_json_put_hex(v->j, key, in);
}

/* A token of a type that does not say which profile it has. */
static enum atls_code view_token(struct atls_view *v, const char *key, struct atls_bytes in)
{
    static atls_view_function *const views[] = {atls_view_kat, atls_view_ear, atls_view_psa,
                                                atls_view_eat};

    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        if (views[i](v, key, in) == ATLS_OK)
            return ATLS_OK;
    return atls_view_cbor(v, key, in);
}

/* The place of one KAT among those of a batch. */
enum atls_code atls_view_kat_batch(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_batch_path path;
    uint8_t challenge[ATLS_BATCH_HASH_LEN];
    enum atls_code code;

    if ((code = atls_batch_path_decode(in, &path, v->err)) != ATLS_OK ||
        (code = atls_batch_challenge(&path, challenge, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_view_or_hex(v, "kat", path.kat, atls_view_kat);
    atls_json_put_uint(v->j, "index", path.index);
    atls_json_open_array(v->j, "siblings");
    for (size_t i = 0; i < path.depth; i++)
        atls_json_put_hex(v->j, NULL, path.siblings[i]);
    atls_json_close(v->j);
    atls_json_put_hex(v->j, "challenge", atls_bytes_of(challenge, sizeof challenge));
    atls_json_close(v->j);
    return ATLS_OK;
}

/* JSON, what is signed by Intel by its parts. */
static enum atls_code view_document(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_view quiet = {v->j, v->nesting, NULL};

    return atls_view_intel_collateral(&quiet, key, in) == ATLS_OK ? ATLS_OK
                                                                  : atls_view_json(v, key, in);
}

/* Media types whose values are looked into. */
static atls_view_function *view_of_type(const struct atls_cmw_type *type)
{
    static const struct {
        const char *media_type;
        atls_view_function *view;
    } rows[] = {
        {ATLS_TYPE_KAT, view_token},
        {ATLS_TYPE_KAT_BATCH, atls_view_kat_batch},
        {ATLS_TYPE_TPM_CERTIFY, atls_view_tpm_certify},
        {ATLS_TYPE_TPM_QUOTE, atls_view_tpm_quote},
        {ATLS_TYPE_SOFT, atls_view_soft},
        {"application/pkix-cert", atls_view_certificate},
        {"application/rim+cbor", atls_view_corim},
        {"application/rim+cose", atls_view_corim},
        {"application/eat+jwt", view_token},
        {"application/cmw+cbor", atls_view_cmw},
        {"application/cmw+json", atls_view_cmw},
        {"application/cmw+cose", atls_view_cmw},
        {"application/cmw+jws", atls_view_cmw},
        {"application/eat+cwt", view_token},
        {"application/eat-ucs+json", view_token},
        {"application/eat-bun+cbor", view_token},
        {"application/eat-bun+json", view_token},
        {"application/cbor", atls_view_cbor},
        {"application/json", view_document},
        {"application/pem-certificate-chain", atls_view_certificate},
        {"application/pkix-crl", atls_view_crl},
        {ATLS_TYPE_TSM_REPORT, atls_view_tsm_report},
        {ATLS_TYPE_SNP_REPORT, atls_view_snp_report},
        {ATLS_TYPE_TDX_QUOTE, atls_view_quote},
        {ATLS_TYPE_RA_TLS_DICE, atls_view_tagged_evidence},
        {ATLS_TYPE_RA_TLS_SGX_QUOTE, atls_view_quote},
        {ATLS_TYPE_RA_TLS_OE_REPORT, atls_view_oe_report},
        {ATLS_TYPE_RA_TLS_OE_EVIDENCE, atls_view_oe_evidence},
        {ATLS_TYPE_HCL_REPORT, atls_view_hcl},
        {ATLS_TYPE_CCA, atls_view_cca},
        {ATLS_TYPE_PARSEC_CCA, atls_view_parsec_cca},
        {ATLS_TYPE_PARSEC_TPM, atls_view_parsec_tpm},
        {"application/psa-attestation-token", atls_view_psa},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_cmw_type_is(type, rows[i].media_type))
            return rows[i].view;
    return NULL;
}

static void put_record(struct atls_view *v, const struct atls_cmw *cmw)
{
    atls_json_put_string(v->j, "shape", cmw->kind == ATLS_CMW_TAG ? "tag" : "record");
    if (cmw->type.is_text)
        atls_json_put_text(v->j, "type", cmw->type.text);
    else
        atls_json_put_uint(v->j, "type", cmw->type.content_format);
    if (cmw->ind != 0)
        atls_json_put_uint(v->j, "ind", cmw->ind);
    atls_view_or_hex(v, "value", cmw->value, view_of_type(&cmw->type));
}

static void put_label(struct atls_view *v, const struct atls_cmw_label *label)
{
    if (label->is_text)
        atls_json_put_text(v->j, "label", label->text);
    else
        atls_json_put_int(v->j, "label", label->number);
}

/* Recursion is bounded by the decoder: ATLS_CMW_DEPTH_MAX. */
static void put_cmw(struct atls_view *v, const struct atls_cmw *cmw)
{
    if (cmw->kind != ATLS_CMW_COLLECTION) {
        put_record(v, cmw);
        return;
    }
    atls_json_put_string(v->j, "shape", "collection");
    if (cmw->collection_type.ptr != NULL)
        atls_json_put_text(v->j, "type", cmw->collection_type);
    atls_json_open_array(v->j, "entries");
    for (size_t i = 0; i < cmw->count; i++) {
        atls_json_open_object(v->j, NULL);
        put_label(v, &cmw->entries[i].label);
        put_cmw(v, &cmw->entries[i].value);
        atls_json_close(v->j);
    }
    atls_json_close(v->j);
}

static enum atls_code decode_cmw(struct atls_bytes in, struct atls_arena *arena,
                                 struct atls_cmw *out, struct atls_err *err)
{
    enum atls_cmw_shape shape = atls_cmw_sniff(in);

    return shape == ATLS_CMW_SHAPE_JSON_RECORD || shape == ATLS_CMW_SHAPE_JSON_COLLECTION
               ? atls_cmw_json_decode(in, arena, out, err)
               : atls_cmw_decode(in, arena, out, err);
}

/* A wrapper within COSE_Sign1; what is signed is a wrapper in CBOR, not signed again. */
static enum atls_code view_signed(struct atls_view *v, const char *key, struct atls_bytes in,
                                  struct atls_arena *arena)
{
    struct atls_cose_sign1 sign1;
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_signed_open(in, &sign1, v->err)) != ATLS_OK ||
        (code = atls_cmw_decode(sign1.payload, arena, &cmw, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_int(v->j, "alg", sign1.alg);
    if (sign1.kid.ptr != NULL)
        atls_json_put_hex(v->j, "kid", sign1.kid);
    atls_json_open_object(v->j, "payload");
    put_cmw(v, &cmw);
    atls_json_close(v->j);
    atls_json_put_hex(v->j, "signature", sign1.signature);
    atls_json_close(v->j);
    return ATLS_OK;
}

/* The same within a JWS, compact or flattened. */
static enum atls_code view_jws(struct atls_view *v, const char *key, struct atls_bytes in,
                               struct atls_arena *arena)
{
    struct atls_cmw_jws s;
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_jws_open(in, &s, v->err)) != ATLS_OK)
        return code;
    code = atls_cmw_json_decode(atls_buf_bytes(&s.jws.payload), arena, &cmw, v->err);
    if (code == ATLS_OK) {
        atls_json_open_object(v->j, key);
        atls_json_put_string(v->j, "alg", s.jws.alg);
        if (s.jws.kid[0] != '\0')
            atls_json_put_string(v->j, "kid", s.jws.kid);
        atls_json_open_object(v->j, "payload");
        put_cmw(v, &cmw);
        atls_json_close(v->j);
        atls_json_put_hex(v->j, "signature", atls_buf_bytes(&s.jws.signature));
        atls_json_close(v->j);
    }
    atls_cmw_jws_clear(&s);
    return code;
}

/* Only the carrier tells a flattened JWS from a collection; here, that its members are no CMWs. */
static bool is_flattened(struct atls_bytes in)
{
    struct atls_cmw_jws s;

    if (atls_cmw_sniff(in) != ATLS_CMW_SHAPE_JSON_COLLECTION ||
        atls_cmw_jws_open(in, &s, NULL) != ATLS_OK)
        return false;
    atls_cmw_jws_clear(&s);
    return true;
}

enum atls_code atls_view_cmw(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(4 * 1024 * 1024);
    struct atls_cmw cmw;
    enum atls_code code;

    if (atls_cmw_sniff(in) == ATLS_CMW_SHAPE_COSE) {
        code = view_signed(v, key, in, &arena);
    } else if (atls_cmw_sniff(in) == ATLS_CMW_SHAPE_JWS || is_flattened(in)) {
        code = view_jws(v, key, in, &arena);
    } else if ((code = decode_cmw(in, &arena, &cmw, v->err)) == ATLS_OK) {
        atls_json_open_object(v->j, key);
        put_cmw(v, &cmw);
        atls_json_close(v->j);
    }
    atls_arena_clear(&arena);
    return code;
}

void atls_view_put_cose_key(struct atls_view *v, const char *key, const struct atls_cose_key *k)
{
    atls_json_open_object(v->j, key);
    atls_json_put_int(v->j, "kty", k->kty);
    if (k->kty == ATLS_COSE_RSA) {
        atls_json_put_hex(v->j, "n", k->n);
        atls_json_put_hex(v->j, "e", k->e);
    } else {
        atls_json_put_int(v->j, "crv", k->crv);
        atls_json_put_hex(v->j, "x", k->x);
        if (k->y.ptr != NULL)
            atls_json_put_hex(v->j, "y", k->y);
    }
    atls_json_close(v->j);
}

enum atls_code atls_view_kat(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_kat kat;
    enum atls_code code = atls_kat_decode(in, &kat, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_hex(v->j, "nonce", kat.nonce);
    atls_view_put_cose_key(v, "key", &kat.key);
    atls_json_close(v->j);
    return ATLS_OK;
}

enum atls_code atls_view_soft(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_cose_sign1 sign1;
    struct atls_soft_token token;
    enum atls_code code;

    if ((code = atls_cose_sign1_decode(in, ATLS_COSE_TAG_REQUIRED, &sign1, v->err)) != ATLS_OK ||
        (code = atls_soft_token_decode(sign1.payload, &token, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_int(v->j, "alg", sign1.alg);
    atls_json_put_text(v->j, "profile", token.profile);
    atls_json_put_hex(v->j, "challenge", token.challenge);
    atls_json_put_hex(v->j, "ueid", token.ueid);
    atls_json_open_array(v->j, "measurements");
    for (size_t i = 0; i < token.measurement_count; i++) {
        atls_json_open_object(v->j, NULL);
        atls_json_put_text(v->j, "name", token.measurements[i].name);
        atls_json_put_int(v->j, "hash", token.measurements[i].named_information);
        atls_json_put_hex(v->j, "digest", token.measurements[i].digest);
        atls_json_close(v->j);
    }
    atls_json_close(v->j);
    atls_json_put_hex(v->j, "signature", sign1.signature);
    atls_json_close(v->j);
    return ATLS_OK;
}
