#include <inttypes.h>
#include <stdio.h>

#include "core/err.h"
#include "core/reader.h"
#include "verifier/inspect/view.h"
#include "wire/tdx.h"

#define SGX_TEE_TYPE  0
#define VENDOR_ID_LEN 16
#define USER_DATA_LEN 20

/* Bits of ATTRIBUTES of an enclave. */
#define SGX_DEBUG 0x02

static void put_hex64(struct atls_json *j, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "0x%016" PRIx64, value);
    atls_json_put_string(j, key, text);
}

static void put_td(struct atls_json *j, const struct atls_tdx_body *b)
{
    atls_json_open_object(j, "td-report");
    atls_json_put_string(j, "type", b->is_15 ? "TD 1.5" : "TD 1.0");
    atls_json_put_hex(j, "tee-tcb-svn", b->tcb_svn);
    atls_json_put_hex(j, "mrseam", b->mr_seam);
    atls_json_put_hex(j, "mrsignerseam", b->mr_signer_seam);
    put_hex64(j, "seam-attributes", b->seam_attributes);
    put_hex64(j, "td-attributes", b->td_attributes);
    atls_json_put_bool(j, "debug", (b->td_attributes & ATLS_TDX_ATTRIBUTE_DEBUG) != 0);
    atls_json_put_bool(j, "sept-ve-disable",
                       (b->td_attributes & ATLS_TDX_ATTRIBUTE_SEPT_VE_DISABLE) != 0);
    put_hex64(j, "xfam", b->xfam);
    atls_json_put_hex(j, "mrtd", b->mr_td);
    atls_json_put_hex(j, "mrconfigid", b->mr_config_id);
    atls_json_put_hex(j, "mrowner", b->mr_owner);
    atls_json_put_hex(j, "mrownerconfig", b->mr_owner_config);
    atls_json_open_array(j, "rtmr");
    for (size_t i = 0; i < ATLS_TDX_RTMRS; i++)
        atls_json_put_hex(j, NULL, b->rtmr[i]);
    atls_json_close(j);
    atls_json_put_hex(j, "report-data", b->report_data);
    if (b->is_15) {
        atls_json_put_hex(j, "tee-tcb-svn-2", b->tcb_svn2);
        atls_json_put_hex(j, "mrservicetd", b->mr_service_td);
    }
    atls_json_close(j);
}

static void put_enclave(struct atls_json *j, const char *key, const struct atls_sgx_report *r)
{
    atls_json_open_object(j, key);
    atls_json_put_hex(j, "cpu-svn", r->cpu_svn);
    atls_json_put_hex(j, "misc-select", r->misc_select);
    atls_json_put_hex(j, "attributes", r->attributes);
    atls_json_put_bool(j, "debug", (r->attributes.ptr[0] & SGX_DEBUG) != 0);
    atls_json_put_hex(j, "mrenclave", r->mr_enclave);
    atls_json_put_hex(j, "mrsigner", r->mr_signer);
    atls_json_put_uint(j, "isv-prod-id", r->isv_prod_id);
    atls_json_put_uint(j, "isv-svn", r->isv_svn);
    atls_json_put_hex(j, "report-data", r->report_data);
    atls_json_close(j);
}

/* The part that both kinds of quote have. */
static void put_signature_data(struct atls_view *v, const struct atls_dcap_quote *q)
{
    bool is_pem = q->certification_type == ATLS_DCAP_CERTIFICATION_PCK_LEAF ||
                  q->certification_type == ATLS_DCAP_CERTIFICATION_PCK_CHAIN;

    atls_json_put_hex(v->j, "signature", q->signature);
    atls_json_put_hex(v->j, "attestation-key", q->attestation_key);
    put_enclave(v->j, "qe-report", &q->qe_report);
    atls_json_put_hex(v->j, "qe-signature", q->qe_signature);
    atls_json_put_hex(v->j, "qe-authentication-data", q->qe_auth);
    atls_json_put_uint(v->j, "certification-data-type", q->certification_type);
    atls_view_or_hex(v, "certification-data", q->certification,
                     is_pem ? atls_view_certificate : NULL);
    if (q->trailing.len != 0 && atls_bytes_are_zero(q->trailing))
        atls_json_put_uint(v->j, "zero-padding", q->trailing.len);
    else if (q->trailing.len != 0)
        atls_json_put_hex(v->j, "trailing", q->trailing);
}

enum atls_code atls_view_tdx_quote(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_tdx_quote q;
    enum atls_code code = atls_tdx_quote_decode(in, &q, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "tee", "TDX");
    atls_json_put_uint(v->j, "version", q.dcap.version);
    atls_json_put_hex(v->j, "user-data", q.dcap.user_data);
    put_td(v->j, &q.body);
    put_signature_data(v, &q.dcap);
    atls_json_close(v->j);
    return ATLS_OK;
}

struct sgx_quote {
    uint16_t version, key_type, qe_svn, pce_svn;
    struct atls_bytes vendor_id;
    struct atls_sgx_report enclave;
    struct atls_dcap_quote rest; /* user_data, and the signature data */
    struct atls_bytes opaque;    /* signature data that is of another layout; .ptr NULL: none */
};

static enum atls_code malformed(const struct atls_reader *r, const char *what, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "SGX quote: %s malformed near byte %zu of %zu", what, r->pos,
                            r->in.len);
}

static bool get_report(struct atls_reader *r, struct atls_sgx_report *out)
{
    struct atls_bytes raw;

    return atls_get_bytes(r, ATLS_SGX_REPORT_LEN, &raw) &&
           atls_sgx_report_decode(raw, out, NULL) == ATLS_OK;
}

/* Header of 48 bytes, report of the enclave, signature data behind its length. */
static enum atls_code decode_sgx(struct atls_bytes in, struct sgx_quote *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct sgx_quote q = {.version = 0};
    struct atls_bytes data;
    uint32_t tee_type, len;

    if (!atls_get_u16le(&r, &q.version) || !atls_get_u16le(&r, &q.key_type) ||
        !atls_get_u32le(&r, &tee_type) || !atls_get_u16le(&r, &q.qe_svn) ||
        !atls_get_u16le(&r, &q.pce_svn) || !atls_get_bytes(&r, VENDOR_ID_LEN, &q.vendor_id) ||
        !atls_get_bytes(&r, USER_DATA_LEN, &q.rest.user_data))
        return malformed(&r, "header", err);
    if (q.version < 3 || q.version > 4 || tee_type != SGX_TEE_TYPE)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                                "SGX quote: version %u, TEE type 0x%x, want 3 or 4 of type 0",
                                q.version, (unsigned int)tee_type);
    if (!get_report(&r, &q.enclave))
        return malformed(&r, "report", err);
    if (!atls_get_u32le(&r, &len) || !atls_get_bytes(&r, len, &data))
        return malformed(&r, "signature data", err);
    if (atls_dcap_quote_decode(in, ATLS_DCAP_SGX, &q.rest, NULL) != ATLS_OK)
        q.opaque = data;
    q.rest.trailing = atls_bytes_of(in.ptr + r.pos, in.len - r.pos);
    *out = q;
    return ATLS_OK;
}

enum atls_code atls_view_sgx_quote(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct sgx_quote q;
    enum atls_code code = decode_sgx(in, &q, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "tee", "SGX");
    atls_json_put_uint(v->j, "version", q.version);
    atls_json_put_uint(v->j, "attestation-key-type", q.key_type);
    atls_json_put_uint(v->j, "qe-svn", q.qe_svn);
    atls_json_put_uint(v->j, "pce-svn", q.pce_svn);
    atls_json_put_hex(v->j, "qe-vendor-id", q.vendor_id);
    atls_json_put_hex(v->j, "user-data", q.rest.user_data);
    put_enclave(v->j, "enclave-report", &q.enclave);
    if (q.opaque.ptr == NULL)
        put_signature_data(v, &q.rest);
    else
        atls_json_put_hex(v->j, "signature-data", q.opaque);
    atls_json_close(v->j);
    return ATLS_OK;
}

/* Of whichever kind. */
enum atls_code atls_view_quote(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_view quiet = {v->j, v->nesting, NULL};

    return atls_view_tdx_quote(&quiet, key, in) == ATLS_OK ? ATLS_OK
                                                           : atls_view_sgx_quote(v, key, in);
}
