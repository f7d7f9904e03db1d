#include "wire/ra_tls.h"

#include "core/err.h"
#include "core/reader.h"
#include "wire/cmw.h"
#include "wire/tlv.h"

#define FIRST_TAGGED_EVIDENCE 0xd9 /* head of a tag of two bytes: 60000 and its neighbours */

#define DER_BOOLEAN    0x01
#define DER_OID        0x06
#define DER_SEQUENCE   0x30
#define DER_EXTENSIONS 0xa3 /* [3] of TBSCertificate */

/* Content bytes of an OBJECT IDENTIFIER. */
struct oid {
    uint8_t bytes[12];
    size_t len;
    enum atls_ra_tls_form form;
};

/* The preferred first. */
static const struct oid oids[] = {
    {{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x23}, 8, ATLS_RA_TLS_CMW},
    {{0x67, 0x81, 0x05, 0x05, 0x04, 0x09}, 6, ATLS_RA_TLS_DICE},
    /* Tag and length of the OID that was meant are part of the one that is sent. */
    {{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x8a, 0x39, 0x06}, 11, ATLS_RA_TLS_SGX_QUOTE},
    {{0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01}, 9, ATLS_RA_TLS_SDK_QUOTE},
    {{0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x69, 0x02}, 9, ATLS_RA_TLS_OE_EVIDENCE},
    {{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x0a, 0x01, 0x02}, 9, ATLS_RA_TLS_OE_EVIDENCE},
    {{0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x69, 0x01}, 9, ATLS_RA_TLS_OE_REPORT},
    {{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x0a, 0x01, 0x01}, 9, ATLS_RA_TLS_OE_REPORT},
};
#define OIDS (sizeof oids / sizeof oids[0])

static const struct {
    const char *name, *media_type;
} forms[] = {
    [ATLS_RA_TLS_NONE] = {"", NULL},
    [ATLS_RA_TLS_CMW] = {"cmw", NULL},
    [ATLS_RA_TLS_DICE] = {"dice", ATLS_TYPE_RA_TLS_DICE},
    [ATLS_RA_TLS_SGX_QUOTE] = {"sgx-quote", ATLS_TYPE_RA_TLS_SGX_QUOTE},
    [ATLS_RA_TLS_SDK_QUOTE] = {"sdk-quote", ATLS_TYPE_RA_TLS_SGX_QUOTE},
    [ATLS_RA_TLS_OE_EVIDENCE] = {"oe-evidence", ATLS_TYPE_RA_TLS_OE_EVIDENCE},
    [ATLS_RA_TLS_OE_REPORT] = {"oe-report", ATLS_TYPE_RA_TLS_OE_REPORT},
};
#define FORMS (sizeof forms / sizeof forms[0])

const char *atls_ra_tls_form_name(enum atls_ra_tls_form form)
{
    return (size_t)form < FORMS ? forms[form].name : "";
}

_Static_assert(OIDS == ATLS_RA_TLS_OIDS, "one row an OID");

size_t atls_ra_tls_oids(struct atls_bytes *out, size_t count)
{
    size_t n = count < OIDS ? count : OIDS;

    for (size_t i = 0; i < n; i++)
        out[i] = atls_bytes_of(oids[i].bytes, oids[i].len);
    return n;
}

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "certificate: %s malformed",
                            what);
}

/* ---- the certificate ---- */

static bool skip(struct atls_reader *r, uint8_t tag)
{
    struct atls_bytes ignored;

    return atls_tlv_get(r, tag, &ignored);
}

static bool skip_optional(struct atls_reader *r, uint8_t tag)
{
    return atls_reader_left(r) == 0 || r->in.ptr[r->pos] != tag || skip(r, tag);
}

/* The list of extensions, empty when there is none, and the key, of a TBSCertificate. */
static bool read_tbs(struct atls_bytes tbs, struct atls_bytes *spki, struct atls_bytes *extensions)
{
    struct atls_reader r = atls_reader_init(tbs), explicit_tag;
    struct atls_bytes wrapped;
    size_t start;

    if (!skip_optional(&r, 0xa0) || !skip(&r, 0x02) || !skip(&r, DER_SEQUENCE) ||
        !skip(&r, DER_SEQUENCE) || !skip(&r, DER_SEQUENCE) || !skip(&r, DER_SEQUENCE))
        return false;
    start = r.pos;
    if (!skip(&r, DER_SEQUENCE))
        return false;
    *spki = atls_bytes_of(tbs.ptr + start, r.pos - start);
    if (!skip_optional(&r, 0x81) || !skip_optional(&r, 0x82)) /* unique identifiers */
        return false;
    *extensions = atls_bytes_of(NULL, 0);
    if (atls_reader_done(&r))
        return true;
    if (!atls_tlv_get(&r, DER_EXTENSIONS, &wrapped) || !atls_reader_done(&r))
        return false;
    explicit_tag = atls_reader_init(wrapped);
    return atls_tlv_get(&explicit_tag, DER_SEQUENCE, extensions) && atls_reader_done(&explicit_tag);
}

static bool read_certificate(struct atls_bytes certificate, struct atls_bytes *spki,
                             struct atls_bytes *extensions)
{
    struct atls_reader outer = atls_reader_init(certificate), r;
    struct atls_bytes content, tbs;

    if (!atls_tlv_get(&outer, DER_SEQUENCE, &content) || !atls_reader_done(&outer))
        return false;
    r = atls_reader_init(content);
    return atls_tlv_get(&r, DER_SEQUENCE, &tbs) && skip(&r, DER_SEQUENCE) && skip(&r, 0x03) &&
           atls_reader_done(&r) && read_tbs(tbs, spki, extensions);
}

/* ---- extensions ---- */

struct extension {
    struct atls_bytes oid, value;
    bool critical;
};

/* FALSE is the default, which DER leaves out. */
static bool get_extension(struct atls_reader *r, struct extension *out)
{
    struct atls_bytes content, flag;
    struct atls_reader e;

    if (!atls_tlv_get(r, DER_SEQUENCE, &content))
        return false;
    e = atls_reader_init(content);
    if (!atls_tlv_get(&e, DER_OID, &out->oid) || out->oid.len == 0)
        return false;
    out->critical = atls_tlv_get(&e, DER_BOOLEAN, &flag);
    if (out->critical && (flag.len != 1 || flag.ptr[0] != 0xff))
        return false;
    return atls_tlv_get(&e, ATLS_TLV_OCTET_STRING, &out->value) && atls_reader_done(&e);
}

/* Its rank in the table; OIDS for one that holds no evidence. */
static size_t rank_of(struct atls_bytes oid)
{
    for (size_t i = 0; i < OIDS; i++)
        if (atls_bytes_equal(oid, atls_bytes_of(oids[i].bytes, oids[i].len)))
            return i;
    return OIDS;
}

/* RFC 5280 section 4.2: no OID occurs twice. */
static enum atls_code find_preferred(struct atls_bytes extensions, struct extension *out,
                                     size_t *out_rank, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(extensions);
    struct atls_bytes seen[ATLS_RA_TLS_EXTENSIONS_MAX];
    struct extension e;
    size_t count = 0, rank;

    *out_rank = OIDS;
    for (; !atls_reader_done(&r); seen[count++] = e.oid) {
        if (count == ATLS_RA_TLS_EXTENSIONS_MAX)
            return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                    "certificate: more than %d extensions",
                                    ATLS_RA_TLS_EXTENSIONS_MAX);
        if (!get_extension(&r, &e))
            return malformed(err, "extension");
        for (size_t i = 0; i < count; i++)
            if (atls_bytes_equal(seen[i], e.oid))
                return malformed(err, "list in which an extension occurs twice is");
        if ((rank = rank_of(e.oid)) < *out_rank) {
            *out_rank = rank;
            *out = e;
        }
    }
    return ATLS_OK;
}

enum atls_code atls_ra_tls_find(struct atls_bytes certificate, struct atls_ra_tls *out,
                                struct atls_err *err)
{
    struct atls_bytes spki, extensions;
    struct extension e = {.critical = false};
    size_t rank;
    enum atls_code code;

    if (certificate.len > ATLS_RA_TLS_CERTIFICATE_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "certificate: %zu bytes, want at most %d", certificate.len,
                                ATLS_RA_TLS_CERTIFICATE_MAX);
    if (!read_certificate(certificate, &spki, &extensions))
        return malformed(err, "DER");
    if ((code = find_preferred(extensions, &e, &rank, err)) != ATLS_OK)
        return code;
    if (rank == OIDS)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                                "certificate: no extension of it holds evidence that we know");
    out->form = oids[rank].form;
    out->critical = e.critical;
    out->value = e.value;
    out->spki = spki;
    return ATLS_OK;
}

/* ---- as a CMW ---- */

static enum atls_code put_cmw(struct atls_bytes cmw, struct atls_writer *w, struct atls_err *err)
{
    atls_put_bytes(w, cmw);
    return w->failed == ATLS_OK ? ATLS_OK : atls_fail(err, w->failed, "certificate: no room");
}

static enum atls_code put_x509(struct atls_bytes value, struct atls_writer *w, struct atls_err *err)
{
    struct atls_cmw_x509 cmw;
    enum atls_code code = atls_cmw_x509_decode(value, &cmw, err);

    if (code != ATLS_OK)
        return code;
    if (cmw.is_json)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "certificate: its CMW is in JSON, want CBOR");
    return put_cmw(cmw.cmw, w, err);
}

/* The extension of DICE holds tagged evidence, a CMW as it stands, or one wrapped as X.509 has it.
 */
static bool is_tagged_evidence(struct atls_bytes value)
{
    return value.len > 0 && value.ptr[0] == FIRST_TAGGED_EVIDENCE;
}

bool atls_ra_tls_is_foreign(enum atls_ra_tls_form form, struct atls_bytes value)
{
    return form == ATLS_RA_TLS_DICE ? is_tagged_evidence(value) : form != ATLS_RA_TLS_CMW;
}

static enum atls_code put_dice(struct atls_bytes value, struct atls_writer *w, struct atls_err *err)
{
    switch (atls_cmw_sniff(value)) {
    case ATLS_CMW_SHAPE_CBOR_RECORD:
    case ATLS_CMW_SHAPE_CBOR_TAG:
        return put_cmw(value, w, err);
    case ATLS_CMW_SHAPE_JSON_RECORD:
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "certificate: its CMW is in JSON, want CBOR");
    case ATLS_CMW_SHAPE_UNKNOWN:
    case ATLS_CMW_SHAPE_JSON_COLLECTION:
    case ATLS_CMW_SHAPE_CBOR_COLLECTION:
    case ATLS_CMW_SHAPE_COSE:
    case ATLS_CMW_SHAPE_JWS:
    default:
        return put_x509(value, w, err);
    }
}

enum atls_code atls_ra_tls_cmw(enum atls_ra_tls_form form, struct atls_bytes value,
                               struct atls_writer *w, struct atls_err *err)
{
    const char *type = (size_t)form < FORMS ? forms[form].media_type : NULL;
    struct atls_cmw record;

    if (value.len == 0)
        return malformed(err, "extension without content is");
    if (form == ATLS_RA_TLS_CMW)
        return put_x509(value, w, err);
    if (type == NULL)
        return atls_fail(err, ATLS_E_USAGE, "certificate: no form of evidence");
    if (form == ATLS_RA_TLS_DICE && !is_tagged_evidence(value))
        return put_dice(value, w, err);
    record = atls_cmw_record(type, value, ATLS_CMW_EVIDENCE);
    return atls_cmw_encode(&record, w, err);
}
