#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "crypto/der.h"
#include "verifier/inspect/view.h"
#include "wire/cmw.h"

/* Where the parts of a certificate lie (RFC 5280 section 4.1). */
struct certificate {
    struct atls_bytes serial, issuer, not_before, not_after, subject, spki;
    struct atls_bytes extensions; /* content of the list; .ptr NULL when there is none */
};

/* id-pe-cmw, 1.3.6.1.5.5.7.1.35. */
static const uint8_t oid_cmw[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x23};

static enum atls_code malformed(struct atls_err *err, const char *field)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "certificate: %s is missing or malformed", field);
}

/* UTCTime or GeneralizedTime, as RFC 5280 section 4.1.2.5 allows them: "2026-01-02T03:04:05Z". */
static bool time_text(struct atls_bytes content, uint8_t tag, char out[static 24])
{
    size_t years = tag == ATLS_DER_UTC_TIME ? 2 : 4;
    const char *d = (const char *)content.ptr;
    bool is_last_century;

    if ((tag != ATLS_DER_UTC_TIME && tag != ATLS_DER_GENERALIZED_TIME) ||
        content.len != years + 11 || d[years + 10] != 'Z')
        return false;
    for (size_t i = 0; i < years + 10; i++)
        if (d[i] < '0' || d[i] > '9')
            return false;
    is_last_century = years == 2 && d[0] >= '5';
    snprintf(out, 24, "%s%.*s-%.2s-%.2sT%.2s:%.2s:%.2sZ",
             years == 4        ? ""
             : is_last_century ? "19"
                               : "20",
             (int)years, d, d + years, d + years + 2, d + years + 4, d + years + 6, d + years + 8);
    return true;
}

static bool get_time(struct atls_reader *r)
{
    struct atls_der e;
    char text[24];

    return atls_der_get_any(r, &e) && time_text(e.content, e.tag, text);
}

static bool get_validity(struct atls_reader *r, struct certificate *c)
{
    struct atls_bytes validity;
    struct atls_reader times;
    size_t middle;

    if (!atls_der_get(r, ATLS_DER_SEQUENCE, &validity))
        return false;
    times = atls_reader_init(validity);
    if (!get_time(&times))
        return false;
    middle = times.pos;
    c->not_before = atls_bytes_of(validity.ptr, middle);
    c->not_after = atls_bytes_of(validity.ptr + middle, validity.len - middle);
    return get_time(&times) && atls_reader_done(&times);
}

/* The list inside [3], if that is what is left of the to-be-signed part. */
static bool get_extensions(struct atls_reader *r, struct certificate *c)
{
    struct atls_reader wrapper;
    struct atls_der e;

    while (!atls_reader_done(r)) {
        if (!atls_der_get_any(r, &e))
            return false;
        if (e.tag != ATLS_DER_CONTEXT_CONSTRUCTED(3))
            continue; /* unique identifiers */
        wrapper = atls_reader_init(e.content);
        if (!atls_der_get(&wrapper, ATLS_DER_SEQUENCE, &c->extensions) ||
            !atls_reader_done(&wrapper))
            return false;
    }
    return true;
}

static enum atls_code walk_signed_part(struct atls_bytes part, struct certificate *c,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(part);
    struct atls_bytes skipped;
    struct atls_der e;

    if (!atls_der_get_any(&r, &e))
        return malformed(err, "tbsCertificate");
    if (e.tag == ATLS_DER_CONTEXT_CONSTRUCTED(0) && !atls_der_get_any(&r, &e))
        return malformed(err, "version");
    if (e.tag != ATLS_DER_INTEGER)
        return malformed(err, "serialNumber");
    c->serial = e.content;
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &skipped))
        return malformed(err, "signature");
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &c->issuer))
        return malformed(err, "issuer");
    if (!get_validity(&r, c))
        return malformed(err, "validity");
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &c->subject))
        return malformed(err, "subject");
    if (!atls_der_get_any(&r, &e) || e.tag != ATLS_DER_SEQUENCE)
        return malformed(err, "subjectPublicKeyInfo");
    c->spki = e.whole;
    return get_extensions(&r, c) ? ATLS_OK : malformed(err, "extensions");
}

static enum atls_code walk(struct atls_bytes der, struct certificate *out, struct atls_err *err)
{
    struct atls_reader outer = atls_reader_init(der), r;
    struct atls_bytes body, part, skipped;

    memset(out, 0, sizeof *out);
    if (!atls_der_get(&outer, ATLS_DER_SEQUENCE, &body) || !atls_reader_done(&outer))
        return malformed(err, "SEQUENCE");
    r = atls_reader_init(body);
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &part) ||
        !atls_der_get(&r, ATLS_DER_SEQUENCE, &skipped) || !atls_der_get_bit_string(&r, &skipped) ||
        !atls_reader_done(&r))
        return malformed(err, "signature");
    return walk_signed_part(part, out, err);
}

void atls_view_put_oid(struct atls_writer *w, struct atls_bytes oid)
{
    uint64_t arc = 0;
    char text[24];
    bool first = true;

    for (size_t i = 0; i < oid.len; i++) {
        if (arc > UINT64_MAX >> 8)
            break; /* nobody assigns such arcs: what was read so far has to do */
        arc = arc << 7 | (oid.ptr[i] & 0x7f);
        if (oid.ptr[i] & 0x80)
            continue;
        if (first) {
            uint64_t top = arc < 80 ? arc / 40 : 2;

            snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64, top, arc - 40 * top);
        } else {
            snprintf(text, sizeof text, ".%" PRIu64, arc);
        }
        atls_put_text(w, text);
        first = false;
        arc = 0;
    }
}

/* Short names of RFC 4514 section 3; others are written dotted. */
static void put_attribute_type(struct atls_writer *w, struct atls_bytes oid)
{
    static const struct {
        uint8_t last; /* of 2.5.4.last */
        const char *name;
    } names[] = {{3, "CN"}, {5, "serialNumber"}, {6, "C"},  {7, "L"},
                 {8, "ST"}, {10, "O"},           {11, "OU"}};

    if (oid.len == 3 && memcmp(oid.ptr, "\x55\x04", 2) == 0) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (oid.ptr[2] == names[i].last) {
                atls_put_text(w, names[i].name);
                return;
            }
        }
    }
    atls_view_put_oid(w, oid);
}

/* A value must not look like another attribute (RFC 4514 section 2.4). */
static void put_attribute_value(struct atls_writer *w, struct atls_bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != 0 && strchr(",+=\"\\<>;", value.ptr[i]) != NULL)
            atls_put_u8(w, '\\');
        atls_put_u8(w, value.ptr[i]);
    }
}

/* One SEQUENCE { type, value } of a name; false when it is malformed. */
static bool put_attribute(struct atls_writer *w, struct atls_bytes attribute)
{
    struct atls_reader r = atls_reader_init(attribute);
    struct atls_bytes oid;
    struct atls_der value;

    if (!atls_der_get(&r, ATLS_DER_OID, &oid) || !atls_der_get_any(&r, &value) ||
        !atls_reader_done(&r))
        return false;
    if (w->len > 0)
        atls_put_text(w, ", ");
    put_attribute_type(w, oid);
    atls_put_u8(w, '=');
    put_attribute_value(w, value.content);
    return true;
}

/* A name in its order, "O=ACME, CN=host"; what is malformed ends it. */
static void put_name(struct atls_json *j, const char *key, struct atls_bytes name)
{
    struct atls_writer w = atls_writer_init(name.len * 8 + 64);
    struct atls_reader sets = atls_reader_init(name), set;
    struct atls_bytes members, attribute;

    while (atls_der_get(&sets, ATLS_DER_SET, &members)) {
        set = atls_reader_init(members);
        while (atls_der_get(&set, ATLS_DER_SEQUENCE, &attribute))
            if (!put_attribute(&w, attribute))
                break;
    }
    atls_json_put_text(j, key, atls_writer_bytes(&w));
    atls_writer_clear(&w);
}

static void put_time(struct atls_json *j, const char *key, struct atls_bytes element)
{
    struct atls_reader r = atls_reader_init(element);
    struct atls_der e;
    char text[24];

    if (atls_der_get_any(&r, &e) && time_text(e.content, e.tag, text))
        atls_json_put_string(j, key, text);
}

static void put_cmw(struct atls_view *v, struct atls_bytes value)
{
    struct atls_cmw_x509 x;

    if (atls_cmw_x509_decode(value, &x, NULL) == ATLS_OK)
        atls_view_or_hex(v, "cmw", x.cmw, atls_view_cmw);
    else
        atls_json_put_hex(v->j, "value", value);
}

/* Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }. */
static bool put_extension(struct atls_view *v, struct atls_bytes extension)
{
    struct atls_reader r = atls_reader_init(extension);
    struct atls_bytes oid, critical = {NULL, 0}, value;
    struct atls_writer w = atls_writer_init(1024);
    bool has_critical;

    if (!atls_der_get(&r, ATLS_DER_OID, &oid))
        return false;
    has_critical = atls_der_get(&r, ATLS_DER_BOOLEAN, &critical);
    if (!atls_der_get(&r, ATLS_DER_OCTET_STRING, &value) || !atls_reader_done(&r))
        return false;
    atls_view_put_oid(&w, oid);
    atls_json_open_object(v->j, NULL);
    atls_json_put_text(v->j, "oid", atls_writer_bytes(&w));
    atls_json_put_bool(v->j, "critical", has_critical && critical.len == 1 && critical.ptr[0] != 0);
    if (atls_bytes_equal(oid, atls_bytes_of(oid_cmw, sizeof oid_cmw)))
        put_cmw(v, value);
    else
        atls_json_put_hex(v->j, "value", value);
    atls_json_close(v->j);
    atls_writer_clear(&w);
    return true;
}

static void put_certificate(struct atls_view *v, const char *key, const struct certificate *c,
                            const uint8_t *spki_hash)
{
    struct atls_reader r = atls_reader_init(c->extensions);
    struct atls_bytes extension;

    atls_json_open_object(v->j, key);
    atls_json_put_hex(v->j, "serial", c->serial);
    put_name(v->j, "subject", c->subject);
    put_name(v->j, "issuer", c->issuer);
    put_time(v->j, "not-before", c->not_before);
    put_time(v->j, "not-after", c->not_after);
    atls_json_put_hex(v->j, "spki", c->spki);
    atls_json_put_hex(v->j, "spki-sha256", atls_bytes_of(spki_hash, 32));
    atls_json_open_array(v->j, "extensions");
    while (atls_der_get(&r, ATLS_DER_SEQUENCE, &extension))
        if (!put_extension(v, extension))
            break;
    atls_json_close(v->j);
    atls_json_close(v->j);
}

enum atls_code atls_view_certificate(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_bytes bytes = in;
    struct certificate c;
    uint8_t hash[ATLS_HASH_MAX];
    enum atls_code code;
    size_t count;

    if (in.len > 0 && in.ptr[0] == '-') {
        if ((code = atls_certificates_from_pem(in, &der, 1, &count, v->err)) != ATLS_OK)
            return code;
        bytes = atls_buf_bytes(&der);
    }
    if ((code = walk(bytes, &c, v->err)) == ATLS_OK &&
        (code = atls_hash_one(ATLS_HASH_SHA256, c.spki, hash, v->err)) == ATLS_OK)
        put_certificate(v, key, &c, hash);
    atls_buf_clear(&der);
    return code;
}
