#include "wire/dcap.h"

#include "core/err.h"
#include "core/reader.h"

#define VENDOR_ID_LEN 16
#define USER_DATA_LEN 20
#define SIGNATURE_LEN 64

#define FIRST_VERSION 3
#define LAST_VERSION  5

/* Intel's quoting enclaves: 939a7233-f79c-4ca9-940a-0db3957f0607 */
static const uint8_t VENDOR_ID[VENDOR_ID_LEN] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                                 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

struct form {
    const char *name;
    uint32_t tee_type;
    uint16_t least, greatest; /* version */
};

static const struct form forms[] = {
    [ATLS_DCAP_TDX] = {"TDX", 0x81, 4, 5},
    [ATLS_DCAP_SGX] = {"SGX", 0, 3, 4},
};

const char *atls_dcap_tee_name(enum atls_dcap_tee tee)
{
    return forms[tee].name;
}

static enum atls_code malformed(const struct form *form, const struct atls_reader *r,
                                const char *what, struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "%s quote: %s malformed near byte %zu of %zu", form->name, what, r->pos,
                            r->in.len);
}

/* ---- header ---- */

struct header {
    uint16_t version, key_type, qe_svn, pce_svn;
    uint32_t tee_type;
    struct atls_bytes vendor_id, user_data;
};

static bool get_header(struct atls_reader *r, struct header *h)
{
    return atls_get_u16le(r, &h->version) && atls_get_u16le(r, &h->key_type) &&
           atls_get_u32le(r, &h->tee_type) && atls_get_u16le(r, &h->qe_svn) &&
           atls_get_u16le(r, &h->pce_svn) && atls_get_bytes(r, VENDOR_ID_LEN, &h->vendor_id) &&
           atls_get_bytes(r, USER_DATA_LEN, &h->user_data);
}

static enum atls_code wrong_version(const struct form *form, const struct header *h,
                                    struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                            "%s quote: version %u, want %u or %u", form->name, h->version,
                            form->least, form->greatest);
}

/* All versions have this header: that a quote is of another technology says more than its version.
 */
static enum atls_code check_header(const struct form *form, const struct atls_reader *r,
                                   const struct header *h, struct atls_err *err)
{
    if (h->version < FIRST_VERSION || h->version > LAST_VERSION)
        return wrong_version(form, h, err);
    if (h->key_type != ATLS_DCAP_KEY_ECDSA_P256)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "%s quote: attestation key type %u, want 2 (P-256)", form->name,
                                h->key_type);
    if (!atls_bytes_equal(h->vendor_id, atls_bytes_of(VENDOR_ID, sizeof VENDOR_ID)))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_VENDOR_ID,
                                "%s quote: vendor of the quoting enclave is not Intel", form->name);
    if (h->tee_type != form->tee_type)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_TEE_TYPE,
                                "%s quote: TEE type 0x%x, want 0x%x (%s)", form->name,
                                (unsigned)h->tee_type, (unsigned)form->tee_type, form->name);
    if (h->version < form->least || h->version > form->greatest)
        return wrong_version(form, h, err);
    return h->version == FIRST_VERSION || (h->qe_svn == 0 && h->pce_svn == 0)
               ? ATLS_OK
               : malformed(form, r, "reserved field", err);
}

bool atls_dcap_quote_is(struct atls_bytes in, enum atls_dcap_tee tee)
{
    struct atls_reader r = atls_reader_init(in);
    struct header h;

    return get_header(&r, &h) && h.tee_type == forms[tee].tee_type &&
           h.version >= forms[tee].least && h.version <= forms[tee].greatest;
}

/* ---- body ---- */

/* Version 5 says which body comes, and how long it is; both must agree. */
static bool get_descriptor(struct atls_reader *r, uint32_t *out_len)
{
    uint16_t type;
    uint32_t size;

    if (!atls_get_u16le(r, &type) || !atls_get_u32le(r, &size) ||
        (type != ATLS_TDX_BODY_TYPE_10 && type != ATLS_TDX_BODY_TYPE_15))
        return false;
    *out_len = size;
    return size == (type == ATLS_TDX_BODY_TYPE_15 ? ATLS_TDX_BODY_15_LEN : ATLS_TDX_BODY_10_LEN);
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
           atls_get_bytes(&b, 12, &skipped) && atls_get_bytes(&b, 16, &out->isv_ext_prod_id) &&
           atls_get_bytes(&b, 16, &out->attributes) && atls_get_bytes(&b, 32, &out->mr_enclave) &&
           atls_get_bytes(&b, 32, &skipped) && atls_get_bytes(&b, 32, &out->mr_signer) &&
           atls_get_bytes(&b, 32, &skipped) && atls_get_bytes(&b, 64, &out->config_id) &&
           atls_get_u16le(&b, &out->isv_prod_id) && atls_get_u16le(&b, &out->isv_svn) &&
           atls_get_u16le(&b, &out->config_svn) && atls_get_bytes(&b, 42, &skipped) &&
           atls_get_bytes(&b, 16, &out->isv_family_id) &&
           atls_get_bytes(&b, ATLS_DCAP_REPORT_DATA_LEN, &out->report_data) && atls_reader_done(&b);
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

/* What certifies the quoting enclave: its report, and what certifies the key that signed that. */
static bool get_qe_certification(struct atls_reader *r, struct atls_dcap_quote *q)
{
    uint16_t auth_len;

    return get_sgx_report(r, &q->qe_report) && atls_get_bytes(r, SIGNATURE_LEN, &q->qe_signature) &&
           atls_get_u16le(r, &auth_len) && atls_get_bytes(r, auth_len, &q->qe_auth) &&
           get_certification(r, &q->certification_type, &q->certification) && atls_reader_done(r) &&
           q->certification_type >= 1 && q->certification_type <= ATLS_DCAP_CERTIFICATION_PCK_CHAIN;
}

/* From version 4 on the report stands inside certification data of type 6, which it fills exactly;
 * in version 3 it stands alone. */
static bool get_signature_data(struct atls_reader *r, struct atls_dcap_quote *q)
{
    uint32_t size;
    uint16_t type;
    struct atls_bytes data, certification;
    struct atls_reader inner, nested;

    if (!atls_get_u32le(r, &size) || !atls_get_bytes(r, size, &data))
        return false;
    inner = atls_reader_init(data);
    if (!atls_get_bytes(&inner, SIGNATURE_LEN, &q->signature) ||
        !atls_get_bytes(&inner, SIGNATURE_LEN, &q->attestation_key))
        return false;
    if (q->version == FIRST_VERSION)
        return get_qe_certification(&inner, q);
    if (!get_certification(&inner, &type, &certification) || !atls_reader_done(&inner) ||
        type != ATLS_DCAP_CERTIFICATION_QE_REPORT)
        return false;
    nested = atls_reader_init(certification);
    return get_qe_certification(&nested, q);
}

/* What follows the header. */
static enum atls_code get_rest(const struct form *form, struct atls_reader *r,
                               struct atls_dcap_quote *q, struct atls_err *err)
{
    uint32_t len = form == &forms[ATLS_DCAP_SGX] ? ATLS_SGX_REPORT_LEN : ATLS_TDX_BODY_10_LEN;

    if (q->version == LAST_VERSION && !get_descriptor(r, &len))
        return malformed(form, r, "type and size of the body", err);
    if (!atls_get_bytes(r, len, &q->body))
        return malformed(form, r, "body", err);
    q->signed_part = atls_bytes_of(r->in.ptr, r->pos);
    if (!get_signature_data(r, q))
        return malformed(form, r, "signature data", err);
    q->trailing = atls_bytes_of(r->in.ptr + r->pos, r->in.len - r->pos);
    return ATLS_OK;
}

enum atls_code atls_dcap_quote_decode(struct atls_bytes in, enum atls_dcap_tee tee,
                                      struct atls_dcap_quote *out, struct atls_err *err)
{
    const struct form *form = &forms[tee];
    struct atls_reader r = atls_reader_init(in);
    struct atls_dcap_quote q = {.version = 0};
    struct header h;
    enum atls_code code;

    if (in.len > ATLS_DCAP_QUOTE_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "%s quote: %zu bytes, want at most %d", form->name, in.len,
                                ATLS_DCAP_QUOTE_MAX);
    if (!get_header(&r, &h))
        return malformed(form, &r, "header", err);
    if ((code = check_header(form, &r, &h, err)) != ATLS_OK)
        return code;
    q.version = h.version;
    q.qe_svn = h.qe_svn;
    q.pce_svn = h.pce_svn;
    q.user_data = h.user_data;
    if ((code = get_rest(form, &r, &q, err)) == ATLS_OK)
        *out = q;
    return code;
}
