#include <string.h>

#include "evidence/tdx_pck.h"
#include "verifier/inspect/x509.h"

/* How the value of an extension is shown beside its bytes. */
typedef void put_content(struct atls_view *v, struct atls_bytes value);

static void put_cmw(struct atls_view *v, struct atls_bytes value)
{
    struct atls_cmw_x509 x;

    if (atls_cmw_x509_decode(value, &x, NULL) == ATLS_OK)
        atls_view_or_hex(v, "cmw", x.cmw, atls_view_cmw);
    else
        atls_json_put_hex(v->j, "value", value);
}

/* A value that is one element: a small number, or text. */
static void put_element(struct atls_view *v, struct atls_bytes value)
{
    struct atls_reader r = atls_reader_init(value);
    struct atls_bytes magnitude;
    uint64_t number = 0;
    struct atls_der e;

    atls_json_put_hex(v->j, "value", value);
    if (!atls_der_get_any(&r, &e) || !atls_reader_done(&r))
        return;
    r = atls_reader_init(value);
    if (e.tag == ATLS_DER_INTEGER && atls_der_get_unsigned(&r, &magnitude) && magnitude.len <= 8) {
        for (size_t i = 0; i < magnitude.len; i++)
            number = number << 8 | magnitude.ptr[i];
        atls_json_put_uint(v->j, "number", number);
    } else if (e.tag == ATLS_DER_IA5_STRING || e.tag == ATLS_DER_UTF8_STRING) {
        atls_json_put_text(v->j, "text", e.content);
    }
}

/* A quote, or whatever else it is. */
static void put_quote(struct atls_view *v, struct atls_bytes value)
{
    struct atls_view inner = {v->j, v->nesting + 1, NULL};

    if (inner.nesting > ATLS_VIEW_NESTING_MAX || atls_view_quote(&inner, "quote", value) != ATLS_OK)
        atls_json_put_hex(v->j, "value", value);
}

static void put_tagged_evidence(struct atls_view *v, struct atls_bytes value)
{
    if (!atls_put_tagged_evidence(v, value))
        atls_json_put_hex(v->j, "value", value);
}

static void put_oe_report(struct atls_view *v, struct atls_bytes value)
{
    if (!atls_put_oe_report(v, value))
        atls_json_put_hex(v->j, "value", value);
}

static void put_oe_evidence(struct atls_view *v, struct atls_bytes value)
{
    if (!atls_put_oe_evidence(v, value))
        atls_json_put_hex(v->j, "value", value);
}

/* What Intel says of the platform that a PCK is of; certificates of older RA-TLS have their quote
 * under its name. */
static void put_pck_facts(struct atls_view *v, struct atls_bytes value)
{
    struct atls_pck_facts f;

    if (atls_pck_facts_read(value, &f, NULL) != ATLS_OK) {
        put_quote(v, value);
        return;
    }
    atls_json_open_object(v->j, "facts");
    atls_json_put_hex(v->j, "ppid", atls_bytes_of(f.ppid, sizeof f.ppid));
    atls_json_put_hex(v->j, "fmspc", atls_bytes_of(f.fmspc, sizeof f.fmspc));
    atls_json_put_hex(v->j, "pce-id", atls_bytes_of(f.pce_id, sizeof f.pce_id));
    atls_json_put_uint(v->j, "pce-svn", f.pce_svn);
    atls_json_open_array(v->j, "tcb-components");
    for (size_t i = 0; i < ATLS_TDX_COMPONENTS; i++)
        atls_json_put_uint(v->j, NULL, f.components[i]);
    atls_json_close(v->j);
    atls_json_put_uint(v->j, "sgx-type", f.sgx_type);
    if (f.has_instance)
        atls_json_put_hex(v->j, "platform-instance-id",
                          atls_bytes_of(f.instance, sizeof f.instance));
    atls_json_close(v->j);
}

static const struct row {
    const char *oid, *name;
    put_content *put; /* NULL: the bytes alone */
} rows[] = {
    {"2.5.29.14", "subjectKeyIdentifier", NULL},
    {"2.5.29.15", "keyUsage", NULL},
    {"2.5.29.17", "subjectAltName", NULL},
    {"2.5.29.18", "issuerAltName", NULL},
    {"2.5.29.19", "basicConstraints", NULL},
    {"2.5.29.20", "cRLNumber", put_element},
    {"2.5.29.21", "reasonCode", NULL},
    {"2.5.29.27", "deltaCRLIndicator", put_element},
    {"2.5.29.28", "issuingDistributionPoint", NULL},
    {"2.5.29.30", "nameConstraints", NULL},
    {"2.5.29.31", "cRLDistributionPoints", NULL},
    {"2.5.29.32", "certificatePolicies", NULL},
    {"2.5.29.35", "authorityKeyIdentifier", NULL},
    {"2.5.29.37", "extKeyUsage", NULL},
    {"1.3.6.1.5.5.7.1.1", "authorityInfoAccess", NULL},
    {"1.3.6.1.5.5.7.1.35", "cmw", put_cmw},
    /* AMD, of VCEK and VLEK */
    {"1.3.6.1.4.1.3704.1.1", "structVersion", put_element},
    {"1.3.6.1.4.1.3704.1.2", "productName", put_element},
    {"1.3.6.1.4.1.3704.1.3.1", "blSPL", put_element},
    {"1.3.6.1.4.1.3704.1.3.2", "teeSPL", put_element},
    {"1.3.6.1.4.1.3704.1.3.3", "snpSPL", put_element},
    {"1.3.6.1.4.1.3704.1.3.4", "spl4", put_element},
    {"1.3.6.1.4.1.3704.1.3.5", "spl5", put_element},
    {"1.3.6.1.4.1.3704.1.3.6", "spl6", put_element},
    {"1.3.6.1.4.1.3704.1.3.7", "spl7", put_element},
    {"1.3.6.1.4.1.3704.1.3.8", "ucodeSPL", put_element},
    {"1.3.6.1.4.1.3704.1.3.9", "fmcSPL", put_element},
    {"1.3.6.1.4.1.3704.1.4", "hwID", NULL},
    {"1.3.6.1.4.1.3704.1.5", "cspID", put_element},
    /* Intel, of PCK certificates and of self-signed ones that carry a quote */
    {"1.2.840.113741.1.13.1", "sgxExtensions", put_pck_facts},
    {"1.2.840.113741.1337.6", "quote", put_quote},
    {"0.6.9.42.840.113741.1337.6", "quote", put_quote}, /* as Gramine writes it */
    {"1.3.6.1.4.1.311.105.1", "openEnclaveReport", put_oe_report},
    {"1.2.840.113556.10.1.1", "openEnclaveReport", put_oe_report},
    {"1.3.6.1.4.1.311.105.2", "openEnclaveEvidence", put_oe_evidence},
    {"1.2.840.113556.10.1.2", "openEnclaveEvidence", put_oe_evidence},
    {"2.23.133.5.4.9", "taggedEvidence", put_tagged_evidence},
};

static const struct row *row_of(struct atls_bytes oid)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_bytes_equal_text(oid, rows[i].oid))
            return &rows[i];
    return NULL;
}

/* Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }. */
static bool put_extension(struct atls_view *v, struct atls_bytes extension)
{
    struct atls_reader r = atls_reader_init(extension);
    struct atls_bytes oid, critical = {NULL, 0}, value;
    struct atls_writer w = atls_writer_init(1024);
    const struct row *row;
    bool has_critical;

    if (!atls_der_get(&r, ATLS_DER_OID, &oid))
        return false;
    has_critical = atls_der_get(&r, ATLS_DER_BOOLEAN, &critical);
    if (!atls_der_get(&r, ATLS_DER_OCTET_STRING, &value) || !atls_reader_done(&r))
        return false;
    atls_view_put_oid(&w, oid);
    row = row_of(atls_writer_bytes(&w));
    atls_json_open_object(v->j, NULL);
    atls_json_put_text(v->j, "oid", atls_writer_bytes(&w));
    if (row != NULL)
        atls_json_put_string(v->j, "name", row->name);
    atls_json_put_bool(v->j, "critical", has_critical && critical.len == 1 && critical.ptr[0] != 0);
    if (row != NULL && row->put != NULL)
        row->put(v, value);
    else
        atls_json_put_hex(v->j, "value", value);
    atls_json_close(v->j);
    atls_writer_clear(&w);
    return true;
}

void atls_x509_put_extensions(struct atls_view *v, const char *key, struct atls_bytes extensions)
{
    struct atls_reader r = atls_reader_init(extensions);
    struct atls_bytes extension;

    atls_json_open_array(v->j, key);
    while (atls_der_get(&r, ATLS_DER_SEQUENCE, &extension))
        if (!put_extension(v, extension))
            break;
    atls_json_close(v->j);
}
