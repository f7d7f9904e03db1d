/* Quotes of versions 3, 4 and 5. */
#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "simulator/intel_parts.h"

#define QUOTE_MAX (256 * 1024)
#define PCE_SVN   13 /* in the header of version 3, where nobody relies on it */

static void put_le(struct atls_writer *w, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        atls_put_u8(w, (uint8_t)(value >> 8 * i));
}

static void put_fill(struct atls_writer *w, uint8_t byte, size_t len)
{
    for (size_t i = 0; i < len; i++)
        atls_put_u8(w, byte);
}

#define PUT(w, array) atls_put_bytes((w), atls_bytes_of((array), sizeof(array)))

static void put_header(struct atls_writer *w, const struct atls_sim_tdx_quote *q)
{
    static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

    put_le(w, q->version, 2);
    put_le(w, q->key_type, 2);
    put_le(w, q->tee_type, 4);
    put_le(w, q->version == 3 ? q->qe_isv_svn : 0, 2);
    put_le(w, q->version == 3 ? PCE_SVN : 0, 2);
    PUT(w, vendor);
    put_fill(w, 0x33, 20);
}

#define TEE_TYPE_SGX 0

static void put_enclave(struct atls_writer *w, const struct atls_sim_tdx_quote *q)
{
    const struct atls_sim_sgx_report *r = &q->enclave;

    put_fill(w, 0x0c, 16);
    PUT(w, r->misc_select);
    put_fill(w, 0, 28);
    PUT(w, r->attributes);
    PUT(w, r->mr_enclave);
    put_fill(w, 0, 32);
    PUT(w, r->mr_signer);
    put_fill(w, 0, 96);
    put_le(w, r->prod_id, 2);
    put_le(w, r->isv_svn, 2);
    put_fill(w, 0, 60);
    PUT(w, q->report_data);
}

static void put_body(struct atls_writer *w, const struct atls_sim_tdx_quote *q)
{
    const bool is_15 = q->version == 5 && q->body_type == 3;

    if (q->tee_type == TEE_TYPE_SGX) {
        put_enclave(w, q);
        return;
    }
    if (q->version == 5) {
        put_le(w, q->body_type, 2);
        put_le(w, is_15 ? 648 : 584, 4);
    }
    PUT(w, q->tcb_svn);
    PUT(w, q->mr_seam);
    PUT(w, q->mr_signer_seam);
    put_le(w, q->seam_attributes, 8);
    put_le(w, q->attributes, 8);
    put_le(w, q->xfam, 8);
    PUT(w, q->mr_td);
    PUT(w, q->mr_config_id);
    PUT(w, q->mr_owner);
    PUT(w, q->mr_owner_config);
    for (size_t i = 0; i < 4; i++)
        PUT(w, q->rtmr[i]);
    PUT(w, q->report_data);
    if (is_15) {
        PUT(w, q->tcb_svn2);
        PUT(w, q->mr_service_td);
    }
}

/* What the quoting enclave says of the attestation key. */
static enum atls_code put_qe_report(struct atls_writer *w, const struct atls_sim_tdx_quote *q,
                                    const uint8_t point[64], struct atls_bytes auth,
                                    struct atls_err *err)
{
    const struct atls_bytes parts[] = {{point, 64}, auth};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_parts(ATLS_HASH_SHA256, parts, 2, digest, err);

    if (code != ATLS_OK)
        return code;
    put_fill(w, 0x05, 16);
    PUT(w, q->qe_misc_select);
    put_fill(w, 0, 28);
    PUT(w, q->qe_attributes);
    put_fill(w, 0x4e, 32);
    put_fill(w, 0, 32);
    PUT(w, q->qe_mr_signer);
    put_fill(w, 0, 96);
    put_le(w, q->qe_prod_id, 2);
    put_le(w, q->qe_isv_svn, 2);
    put_fill(w, 0, 60);
    atls_put_bytes(w, atls_bytes_of(digest, 32));
    put_fill(w, 0, 31);
    atls_put_u8(w, q->dirty_qe_report_data);
    return ATLS_OK;
}

static enum atls_code put_certification(struct atls_writer *w, const struct atls_sim_tdx_quote *q,
                                        const struct atls_sim_intel_certificates *c,
                                        struct atls_err *err)
{
    struct atls_writer inner = atls_writer_init(QUOTE_MAX);
    enum atls_code code = ATLS_OK;

    if (q->certification == 4 || q->certification == 5)
        code = atls_sim_intel_put_pem(&inner, &c->leaf, err);
    else
        put_fill(&inner, 0x44, 16);
    if (code == ATLS_OK && q->certification == 5 &&
        (code = atls_sim_intel_put_pem(&inner, &c->intermediate, err)) == ATLS_OK)
        code = atls_sim_intel_put_pem(&inner, &c->root, err);
    if (q->terminated)
        atls_put_u8(&inner, 0);
    if (code == ATLS_OK && inner.failed != ATLS_OK)
        code = atls_fail(err, inner.failed, "simulator: certification data");
    put_le(w, q->certification, 2);
    put_le(w, inner.len, 4);
    atls_put_bytes(w, atls_writer_bytes(&inner));
    atls_writer_clear(&inner);
    return code;
}

/* Certification data of type 6. */
static enum atls_code put_qe(struct atls_writer *w, const struct atls_sim_intel *intel,
                             const struct atls_sim_tdx_quote *q,
                             const struct atls_sim_intel_certificates *c, struct atls_err *err)
{
    uint8_t point[64], signature[64];
    struct atls_writer auth = atls_writer_init(QUOTE_MAX);
    const size_t at = w->len;
    enum atls_code code = atls_sim_intel_point(intel->keys[ATLS_SIM_INTEL_ATTESTATION], point, err);

    put_fill(&auth, 0x0a, q->qe_auth_len);
    if (code == ATLS_OK)
        code = put_qe_report(w, q, point, atls_writer_bytes(&auth), err);
    if (code == ATLS_OK && w->failed == ATLS_OK)
        code = atls_sim_intel_sign(intel->keys[ATLS_SIM_INTEL_PCK],
                                   atls_bytes_of(w->ptr + at, w->len - at), signature, err);
    if (code == ATLS_OK) {
        signature[63] ^= q->break_qe_signature;
        PUT(w, signature);
        put_le(w, q->qe_auth_len, 2);
        atls_put_bytes(w, atls_writer_bytes(&auth));
        code = put_certification(w, q, c, err);
    }
    atls_writer_clear(&auth);
    return code;
}

/* Length, signature, key, certification data. */
static enum atls_code put_signature_data(struct atls_writer *w, const struct atls_sim_intel *intel,
                                         const struct atls_sim_tdx_quote *q,
                                         struct atls_bytes certification, struct atls_err *err)
{
    EVP_PKEY *key =
        intel->keys[q->wrong_attestation_key ? ATLS_SIM_INTEL_SIGNING : ATLS_SIM_INTEL_ATTESTATION];
    uint8_t signature[64], point[64];
    enum atls_code code;

    if ((code = atls_sim_intel_sign(key, atls_writer_bytes(w), signature, err)) != ATLS_OK ||
        (code = atls_sim_intel_point(key, point, err)) != ATLS_OK)
        return code;
    signature[63] ^= q->break_signature;
    put_le(w, 64 + 64 + (q->version == 3 ? 0u : 6u) + certification.len, 4);
    PUT(w, signature);
    PUT(w, point);
    if (q->version != 3) {
        put_le(w, 6, 2);
        put_le(w, certification.len, 4);
    }
    atls_put_bytes(w, certification);
    put_fill(w, q->padding_byte, q->padding);
    return ATLS_OK;
}

enum atls_code atls_sim_intel_quote(const struct atls_sim_intel *intel,
                                    const struct atls_sim_tdx *order,
                                    const struct atls_sim_intel_certificates *certificates,
                                    struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(QUOTE_MAX), qe = atls_writer_init(QUOTE_MAX);
    enum atls_code code = put_qe(&qe, intel, &order->quote, certificates, err);

    put_header(&w, &order->quote);
    put_body(&w, &order->quote);
    if (code == ATLS_OK && (w.failed != ATLS_OK || qe.failed != ATLS_OK))
        code = atls_fail(err, ATLS_E_NOMEM, "simulator: quote");
    if (code == ATLS_OK)
        code = put_signature_data(&w, intel, &order->quote, atls_writer_bytes(&qe), err);
    atls_writer_clear(&qe);
    if (code == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}
