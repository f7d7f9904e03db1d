#include "wire/tdx.h"

#include "core/err.h"
#include "core/reader.h"
#include "wire/tpm_event_log.h"

#define VERSION_SGX    3
#define VENDOR_ID_LEN  16
#define USER_DATA_LEN  20
#define SIGNATURE_LEN  64
#define CCEL_TABLE_MIN 56
#define ACPI_HEAD_LEN  36

/* Intel's quoting enclaves: 939a7233-f79c-4ca9-940a-0db3957f0607 */
static const uint8_t VENDOR_ID[VENDOR_ID_LEN] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                                 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

static enum atls_code malformed(const struct atls_reader *r, const char *what, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "TDX quote: %s malformed near byte %zu of %zu", what, r->pos,
                            r->in.len);
}

/* ---- header ---- */

struct header {
    uint16_t version, key_type;
    uint32_t tee_type, reserved;
    struct atls_bytes vendor_id, user_data;
};

static bool get_header(struct atls_reader *r, struct header *h)
{
    return atls_get_u16le(r, &h->version) && atls_get_u16le(r, &h->key_type) &&
           atls_get_u32le(r, &h->tee_type) && atls_get_u32le(r, &h->reserved) &&
           atls_get_bytes(r, VENDOR_ID_LEN, &h->vendor_id) &&
           atls_get_bytes(r, USER_DATA_LEN, &h->user_data);
}

static enum atls_code wrong_version(const struct header *h, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                            "TDX quote: version %u, want 4 or 5", h->version);
}

/* A quote of version 3 has the same header: that it is one of SGX says more than its number. */
static enum atls_code check_header(const struct atls_reader *r, const struct header *h,
                                   struct atls_err *err)
{
    if (h->version < VERSION_SGX || h->version > 5)
        return wrong_version(h, err);
    if (h->key_type != ATLS_TDX_KEY_ECDSA_P256)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "TDX quote: attestation key type %u, want 2 (P-256)", h->key_type);
    if (!atls_bytes_equal(h->vendor_id, atls_bytes_of(VENDOR_ID, sizeof VENDOR_ID)))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_VENDOR_ID,
                                "TDX quote: vendor of the quoting enclave is not Intel");
    if (h->tee_type != ATLS_TDX_TEE_TYPE)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TEE_TYPE,
                                "TDX quote: TEE type 0x%x, want 0x81 (TDX)", (unsigned)h->tee_type);
    if (h->version == VERSION_SGX)
        return wrong_version(h, err);
    return h->reserved == 0 ? ATLS_OK : malformed(r, "reserved field", err);
}

/* ---- body ---- */

static bool get_measurements(struct atls_reader *r, struct atls_tdx_body *b)
{
    struct atls_bytes *const fields[] = {
        &b->mr_td,   &b->mr_config_id, &b->mr_owner, &b->mr_owner_config,
        &b->rtmr[0], &b->rtmr[1],      &b->rtmr[2],  &b->rtmr[3],
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!atls_get_bytes(r, ATLS_TDX_MR_LEN, fields[i]))
            return false;
    return atls_get_bytes(r, ATLS_TDX_REPORT_DATA_LEN, &b->report_data);
}

static bool get_body(struct atls_reader *r, bool is_15, struct atls_tdx_body *b)
{
    b->is_15 = is_15;
    return atls_get_bytes(r, ATLS_TDX_SVN_LEN, &b->tcb_svn) &&
           atls_get_bytes(r, ATLS_TDX_MR_LEN, &b->mr_seam) &&
           atls_get_bytes(r, ATLS_TDX_MR_LEN, &b->mr_signer_seam) &&
           atls_get_u64le(r, &b->seam_attributes) && atls_get_u64le(r, &b->td_attributes) &&
           atls_get_u64le(r, &b->xfam) && get_measurements(r, b) &&
           (!is_15 || (atls_get_bytes(r, ATLS_TDX_SVN_LEN, &b->tcb_svn2) &&
                       atls_get_bytes(r, ATLS_TDX_MR_LEN, &b->mr_service_td)));
}

/* Version 5 says which body comes, and how long it is; both must agree. */
static bool get_descriptor(struct atls_reader *r, bool *out_is_15)
{
    uint16_t type;
    uint32_t size;

    if (!atls_get_u16le(r, &type) || !atls_get_u32le(r, &size) ||
        (type != ATLS_TDX_BODY_TYPE_10 && type != ATLS_TDX_BODY_TYPE_15))
        return false;
    *out_is_15 = type == ATLS_TDX_BODY_TYPE_15;
    return size == (*out_is_15 ? ATLS_TDX_BODY_15_LEN : ATLS_TDX_BODY_10_LEN);
}

/* ---- signature data ---- */

static bool get_sgx_report(struct atls_reader *r, struct atls_sgx_report *out)
{
    struct atls_reader b;
    struct atls_bytes skipped;

    if (!atls_get_bytes(r, ATLS_SGX_REPORT_LEN, &out->raw))
        return false;
    b = atls_reader_init(out->raw);
    return atls_get_bytes(&b, 16, &out->cpu_svn) && atls_get_bytes(&b, 4, &out->misc_select) &&
           atls_get_bytes(&b, 28, &skipped) && atls_get_bytes(&b, 16, &out->attributes) &&
           atls_get_bytes(&b, 32, &out->mr_enclave) && atls_get_bytes(&b, 32, &skipped) &&
           atls_get_bytes(&b, 32, &out->mr_signer) && atls_get_bytes(&b, 96, &skipped) &&
           atls_get_u16le(&b, &out->isv_prod_id) && atls_get_u16le(&b, &out->isv_svn) &&
           atls_get_bytes(&b, 60, &skipped) && atls_get_bytes(&b, 64, &out->report_data) &&
           atls_reader_done(&b);
}

enum atls_code atls_sgx_report_decode(struct atls_bytes in, struct atls_sgx_report *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_sgx_report report;

    if (!get_sgx_report(&r, &report) || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SGX report body: %zu bytes, want %d", in.len, ATLS_SGX_REPORT_LEN);
    *out = report;
    return ATLS_OK;
}

/* Type, size and that many bytes. */
static bool get_certification(struct atls_reader *r, uint16_t *out_type, struct atls_bytes *out)
{
    uint32_t size;

    return atls_get_u16le(r, out_type) && atls_get_u32le(r, &size) && atls_get_bytes(r, size, out);
}

/* Certification data of type 6: how the quoting enclave is certified. Fills it exactly. */
static bool get_qe_certification(struct atls_bytes in, struct atls_tdx_quote *q)
{
    struct atls_reader r = atls_reader_init(in);
    uint16_t auth_len;

    return get_sgx_report(&r, &q->qe_report) &&
           atls_get_bytes(&r, SIGNATURE_LEN, &q->qe_signature) && atls_get_u16le(&r, &auth_len) &&
           atls_get_bytes(&r, auth_len, &q->qe_auth) &&
           get_certification(&r, &q->certification_type, &q->certification) &&
           atls_reader_done(&r) && q->certification_type >= 1 &&
           q->certification_type <= ATLS_TDX_CERTIFICATION_PCK_CHAIN;
}

static bool get_signature_data(struct atls_reader *r, struct atls_tdx_quote *q)
{
    uint32_t size;
    uint16_t type;
    struct atls_bytes data, certification;
    struct atls_reader inner;

    if (!atls_get_u32le(r, &size) || !atls_get_bytes(r, size, &data))
        return false;
    inner = atls_reader_init(data);
    return atls_get_bytes(&inner, SIGNATURE_LEN, &q->signature) &&
           atls_get_bytes(&inner, SIGNATURE_LEN, &q->attestation_key) &&
           get_certification(&inner, &type, &certification) && atls_reader_done(&inner) &&
           type == ATLS_TDX_CERTIFICATION_QE_REPORT && get_qe_certification(certification, q);
}

enum atls_code atls_tdx_quote_decode(struct atls_bytes in, struct atls_tdx_quote *out,
                                     struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tdx_quote q = {.version = 0};
    struct header h;
    bool is_15 = false;
    enum atls_code code;

    if (in.len > ATLS_TDX_QUOTE_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "TDX quote: %zu bytes, want at most %d", in.len,
                                ATLS_TDX_QUOTE_MAX);
    if (!get_header(&r, &h))
        return malformed(&r, "header", err);
    if ((code = check_header(&r, &h, err)) != ATLS_OK)
        return code;
    q.version = h.version;
    q.user_data = h.user_data;
    if (h.version == 5 && !get_descriptor(&r, &is_15))
        return malformed(&r, "type and size of the body", err);
    if (!get_body(&r, is_15, &q.body))
        return malformed(&r, "body", err);
    q.signed_part = atls_bytes_of(in.ptr, r.pos);
    if (!get_signature_data(&r, &q))
        return malformed(&r, "signature data", err);
    q.trailing = atls_bytes_of(in.ptr + r.pos, in.len - r.pos);
    *out = q;
    return ATLS_OK;
}

/* ---- event log ---- */

/* Nothing but one kind of padding is left. */
static bool is_padding(struct atls_bytes rest)
{
    if (rest.len == 0 || (rest.ptr[0] != 0 && rest.ptr[0] != 0xff))
        return rest.len == 0;
    for (size_t i = 1; i < rest.len; i++)
        if (rest.ptr[i] != rest.ptr[0])
            return false;
    return true;
}

enum atls_code atls_ccel_trim(struct atls_bytes area, struct atls_bytes *out, struct atls_err *err)
{
    struct atls_event_log log;
    struct atls_event event;
    enum atls_code code = atls_event_log_open(area, &log, err);

    if (code == ATLS_OK && !log.crypto_agile) /* which no firmware of a TD writes */
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "event log: it is not crypto agile");
    while (code == ATLS_OK &&
           !is_padding(atls_bytes_of(area.ptr + log.r.pos, atls_reader_left(&log.r))))
        code = atls_event_log_next(&log, &event, err);
    if (code == ATLS_OK)
        *out = atls_bytes_of(area.ptr, log.r.pos);
    return code;
}

enum atls_code atls_ccel_table_decode(struct atls_bytes in, struct atls_ccel_table *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_ccel_table table;
    struct atls_bytes signature, rest;
    uint32_t len;
    uint16_t reserved;

    if (!atls_get_bytes(&r, 4, &signature) || !atls_bytes_equal_text(signature, "CCEL") ||
        !atls_get_u32le(&r, &len) || len != in.len || len < CCEL_TABLE_MIN ||
        !atls_get_bytes(&r, ACPI_HEAD_LEN - 8, &rest) || !atls_get_u8(&r, &table.type) ||
        !atls_get_u8(&r, &table.subtype) || !atls_get_u16le(&r, &reserved) ||
        !atls_get_u64le(&r, &table.area_len) || !atls_get_u64le(&r, &table.area_address))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "ACPI table CCEL: malformed near byte %zu of %zu", r.pos, in.len);
    *out = table;
    return ATLS_OK;
}
