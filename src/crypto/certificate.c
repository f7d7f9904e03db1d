#include "crypto/certificate.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/certificate_parts.h"
#include "crypto/der.h"

#define CERTIFICATE_LEN_MAX (256 * 1024) /* those with evidence are the largest */
#define EXTENSIONS_MAX      64

/* id-at-commonName, id-ce-keyUsage, id-ce-basicConstraints */
static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};
static const uint8_t oid_key_usage[] = {0x55, 0x1d, 0x0f};
static const uint8_t oid_basic_constraints[] = {0x55, 0x1d, 0x13};

#define OID(a) atls_bytes_of(a, sizeof(a))

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_BAD_CERTIFICATE,
                           "Certificate: malformed %s", what);
}

/* Two decimal digits; false, changing nothing, when they are none or stand for more than max. */
static bool get_two(struct atls_reader *r, int max, int *out)
{
    struct atls_bytes d;
    int value;

    if (!atls_get_bytes(r, 2, &d) || d.ptr[0] < '0' || d.ptr[0] > '9' || d.ptr[1] < '0' ||
        d.ptr[1] > '9')
        return false;
    value = (d.ptr[0] - '0') * 10 + (d.ptr[1] - '0');
    if (value > max)
        return false;
    *out = value;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01 to the first day of year. */
static int64_t days_to_year(int year)
{
    int64_t y = year - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

bool atls_der_get_time(struct atls_reader *r, int64_t *out)
{
    struct atls_reader ahead = *r, text;
    int century = 0, year, month, day, hour, minute, second;
    struct atls_bytes z;
    struct atls_der e;
    int64_t days;

    if (!atls_der_get_any(&ahead, &e))
        return false;
    text = atls_reader_init(e.content);
    if (e.tag == ATLS_DER_GENERALIZED_TIME ? !get_two(&text, 99, &century)
                                           : e.tag != ATLS_DER_UTC_TIME)
        return false;
    if (!get_two(&text, 99, &year) || !get_two(&text, 12, &month) || month == 0 ||
        !get_two(&text, 31, &day) || day == 0 || !get_two(&text, 23, &hour) ||
        !get_two(&text, 59, &minute) || !get_two(&text, 59, &second) ||
        !atls_get_bytes(&text, 1, &z) || z.ptr[0] != 'Z' || !atls_reader_done(&text))
        return false;
    if (e.tag == ATLS_DER_UTC_TIME) /* RFC 5280 section 4.1.2.5.1 */
        century = year >= 50 ? 19 : 20;
    year += century * 100;
    if (year == 0 || day > days_of_month(year, month))
        return false;
    days = days_to_year(year) + day - 1;
    for (int m = 1; m < month; m++)
        days += days_of_month(year, m);
    *r = ahead;
    *out = ((days * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

/* The one commonName in a Name; empty when there is none, or several. */
static bool read_common_name(struct atls_bytes name, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(name), names, set, pair;
    struct atls_bytes content, oid, found = {NULL, 0};
    struct atls_der e, value;
    size_t count = 0;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &content))
        return false;
    for (names = atls_reader_init(content); !atls_reader_done(&names);) {
        if (!atls_der_get_any(&names, &e) || e.tag != ATLS_DER_SET || e.content.len == 0)
            return false;
        for (set = atls_reader_init(e.content); !atls_reader_done(&set);) {
            if (!atls_der_get(&set, ATLS_DER_SEQUENCE, &content))
                return false;
            pair = atls_reader_init(content);
            if (!atls_der_get(&pair, ATLS_DER_OID, &oid) || !atls_der_get_any(&pair, &value) ||
                !atls_reader_done(&pair))
                return false;
            if (!atls_bytes_equal(oid, OID(oid_common_name)))
                continue;
            count++;
            if (value.tag == ATLS_DER_UTF8_STRING || value.tag == ATLS_DER_PRINTABLE_STRING ||
                value.tag == ATLS_DER_IA5_STRING)
                found = value.content;
        }
    }
    *out = count == 1 ? found : atls_bytes_of(NULL, 0);
    return true;
}

bool atls_extension_get(struct atls_reader *r, struct atls_extension *out)
{
    struct atls_reader ahead = *r, fields;
    struct atls_bytes content;
    struct atls_extension e = {.critical = false};
    struct atls_der next;

    if (!atls_der_get(&ahead, ATLS_DER_SEQUENCE, &content))
        return false;
    fields = atls_reader_init(content);
    if (!atls_der_get(&fields, ATLS_DER_OID, &e.oid) || !atls_der_get_any(&fields, &next))
        return false;
    if (next.tag == ATLS_DER_BOOLEAN) {
        /* Makers write the default, too. */
        if (next.content.len != 1 || (next.content.ptr[0] != 0 && next.content.ptr[0] != 0xff))
            return false;
        e.critical = next.content.ptr[0] != 0;
        if (!atls_der_get_any(&fields, &next))
            return false;
    }
    if (next.tag != ATLS_DER_OCTET_STRING || !atls_reader_done(&fields))
        return false;
    e.value = next.content;
    *r = ahead;
    *out = e;
    return true;
}

struct atls_bytes atls_certificate_extension(const struct atls_certificate *c,
                                             struct atls_bytes oid, size_t *out_count)
{
    struct atls_reader r = atls_reader_init(c->extensions);
    struct atls_bytes found = {NULL, 0};
    struct atls_extension e;
    size_t count = 0;

    while (atls_extension_get(&r, &e))
        if (atls_bytes_equal(e.oid, oid) && count++ == 0)
            found = e.value;
    *out_count = count;
    return found;
}

/* id-ce-extKeyUsage, id-ce-subjectAltName: read by others, but known. */
static const uint8_t oid_extended_key_usage[] = {0x55, 0x1d, 0x25};
static const uint8_t oid_subject_alt_name[] = {0x55, 0x1d, 0x11};

static bool is_one_of(struct atls_bytes oid, const struct atls_bytes *oids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (atls_bytes_equal(oid, oids[i]))
            return true;
    return false;
}

bool atls_certificate_understood(const struct atls_certificate *c, const struct atls_bytes *oids,
                                 size_t count)
{
    const struct atls_bytes usual[] = {OID(oid_basic_constraints), OID(oid_key_usage),
                                       OID(oid_extended_key_usage), OID(oid_subject_alt_name)};
    struct atls_reader r = atls_reader_init(c->extensions);
    struct atls_extension e;

    while (atls_extension_get(&r, &e))
        if (e.critical && !is_one_of(e.oid, usual, sizeof usual / sizeof usual[0]) &&
            !is_one_of(e.oid, oids, count))
            return false;
    return true;
}

/* BasicConstraints { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
static bool read_constraints(struct atls_bytes value, struct atls_certificate *c)
{
    struct atls_reader r = atls_reader_init(value), fields;
    struct atls_bytes content, flag, length;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &content) || !atls_reader_done(&r))
        return false;
    fields = atls_reader_init(content);
    if (atls_der_get(&fields, ATLS_DER_BOOLEAN, &flag)) {
        if (flag.len != 1 || (flag.ptr[0] != 0 && flag.ptr[0] != 0xff))
            return false;
        c->is_ca = flag.ptr[0] != 0;
    }
    if (atls_reader_done(&fields))
        return true;
    if (!atls_der_get_unsigned(&fields, &length) || !atls_reader_done(&fields) || length.len > 1 ||
        (length.len == 1 && length.ptr[0] > 127))
        return false;
    c->path_length = length.len == 0 ? 0 : length.ptr[0];
    return true;
}

/* KeyUsage: first octet of the bits, digitalSignature highest. */
static bool read_usage(struct atls_bytes value, struct atls_certificate *c)
{
    struct atls_reader r = atls_reader_init(value);
    struct atls_bytes bits;

    if (!atls_der_get(&r, ATLS_DER_BIT_STRING, &bits) || !atls_reader_done(&r) || bits.len < 2 ||
        bits.ptr[0] > 7)
        return false;
    c->usage = bits.ptr[1];
    return true;
}

static enum atls_code read_extensions(struct atls_certificate *c, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(c->extensions);
    bool constraints = false, usage = false;
    struct atls_extension e;
    size_t count = 0;

    while (!atls_reader_done(&r)) {
        if (!atls_extension_get(&r, &e))
            return malformed(err, "Extension");
        if (++count > EXTENSIONS_MAX)
            return atls_fail(err, ATLS_E_LIMIT, "Certificate: more than %d extensions",
                             EXTENSIONS_MAX);
        if (atls_bytes_equal(e.oid, OID(oid_basic_constraints))) {
            if (constraints || !read_constraints(e.value, c))
                return malformed(err, "basicConstraints");
            constraints = true;
        } else if (atls_bytes_equal(e.oid, OID(oid_key_usage))) {
            if (usage || !read_usage(e.value, c))
                return malformed(err, "keyUsage");
            usage = true;
        } else if (e.critical) {
            c->unknown_critical = true;
        }
    }
    return ATLS_OK;
}

/* What stands behind subjectPublicKeyInfo: issuerUniqueID [1], subjectUniqueID [2], extensions [3]
 * (RFC 5280 section 4.1). */
static bool read_tail(struct atls_reader *tbs, struct atls_certificate *c)
{
    struct atls_bytes ignored, wrapped;
    struct atls_reader r;

    if (atls_der_get(tbs, ATLS_DER_CONTEXT(1), &ignored) && ignored.len == 0)
        return false;
    if (atls_der_get(tbs, ATLS_DER_CONTEXT(2), &ignored) && ignored.len == 0)
        return false;
    if (atls_reader_done(tbs))
        return true;
    if (!atls_der_get(tbs, ATLS_DER_CONTEXT_CONSTRUCTED(3), &wrapped) || !atls_reader_done(tbs))
        return false;
    r = atls_reader_init(wrapped);
    return atls_der_get(&r, ATLS_DER_SEQUENCE, &c->extensions) && atls_reader_done(&r) &&
           c->extensions.len != 0;
}

static bool read_validity(struct atls_bytes content, struct atls_certificate *c)
{
    struct atls_reader r = atls_reader_init(content);

    return atls_der_get_time(&r, &c->not_before_s) && atls_der_get_time(&r, &c->not_after_s) &&
           atls_reader_done(&r);
}

/* Version 3, the only one whose extensions say what a certificate is for. */
static bool read_version(struct atls_reader *tbs)
{
    struct atls_bytes wrapped, version;
    struct atls_reader r;

    if (!atls_der_get(tbs, ATLS_DER_CONTEXT_CONSTRUCTED(0), &wrapped))
        return false;
    r = atls_reader_init(wrapped);
    return atls_der_get_unsigned(&r, &version) && atls_reader_done(&r) && version.len == 1 &&
           version.ptr[0] == 2;
}

static bool get_tagged(struct atls_reader *r, uint8_t tag, struct atls_bytes *out)
{
    struct atls_der e;

    if (!atls_der_get_any(r, &e) || e.tag != tag)
        return false;
    *out = e.whole;
    return true;
}

static enum atls_code read_tbs(struct atls_certificate *c, struct atls_bytes *out_spki,
                               struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(c->parts.tbs), tbs;
    struct atls_bytes content, validity;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &content))
        return malformed(err, "TBSCertificate");
    tbs = atls_reader_init(content);
    if (!read_version(&tbs))
        return malformed(err, "version, want 3");
    if (!atls_der_get(&tbs, ATLS_DER_INTEGER, &c->serial) || c->serial.len == 0)
        return malformed(err, "serialNumber");
    if (!get_tagged(&tbs, ATLS_DER_SEQUENCE, &c->parts.inner_algorithm))
        return malformed(err, "signature");
    if (!get_tagged(&tbs, ATLS_DER_SEQUENCE, &c->issuer) ||
        !read_common_name(c->issuer, &c->issuer_cn))
        return malformed(err, "issuer");
    if (!atls_der_get(&tbs, ATLS_DER_SEQUENCE, &validity) || !read_validity(validity, c))
        return malformed(err, "validity");
    if (!get_tagged(&tbs, ATLS_DER_SEQUENCE, &c->subject) ||
        !read_common_name(c->subject, &c->subject_cn))
        return malformed(err, "subject");
    if (!get_tagged(&tbs, ATLS_DER_SEQUENCE, out_spki))
        return malformed(err, "subjectPublicKeyInfo");
    if (!read_tail(&tbs, c))
        return malformed(err, "extensions");
    return read_extensions(c, err);
}

bool atls_signed_parts_read(struct atls_bytes der, struct atls_signed_parts *out)
{
    struct atls_reader r = atls_reader_init(der), body;
    struct atls_signed_parts parts;
    struct atls_bytes content;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &content) || !atls_reader_done(&r))
        return false;
    body = atls_reader_init(content);
    if (!get_tagged(&body, ATLS_DER_SEQUENCE, &parts.tbs) ||
        !get_tagged(&body, ATLS_DER_SEQUENCE, &parts.algorithm) ||
        !atls_der_get_bit_string(&body, &parts.signature) || !atls_reader_done(&body))
        return false;
    parts.inner_algorithm = atls_bytes_of(NULL, 0);
    *out = parts;
    return true;
}

static enum atls_code read_certificate(struct atls_certificate *c, struct atls_err *err)
{
    struct atls_bytes spki;
    enum atls_code code;

    if (!atls_signed_parts_read(atls_buf_bytes(&c->der), &c->parts))
        return malformed(err, "SEQUENCE");
    if ((code = read_tbs(c, &spki, err)) != ATLS_OK)
        return code;
    code = atls_key_from_spki(spki, &c->key, err);
    if (code == ATLS_E_UNSUPPORTED) {
        atls_err_clear(err);
        return ATLS_OK;
    }
    return code;
}

enum atls_code atls_certificate_parse(struct atls_bytes der, struct atls_certificate **out,
                                      struct atls_err *err)
{
    struct atls_certificate *c;
    enum atls_code code;

    if (der.len > CERTIFICATE_LEN_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "Certificate: %zu bytes, at most %d", der.len,
                         CERTIFICATE_LEN_MAX);
    if ((c = calloc(1, sizeof *c)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate");
    atomic_init(&c->references, 1);
    c->path_length = -1;
    c->usage = -1;
    if ((code = atls_buf_copy(&c->der, der, err)) != ATLS_OK ||
        (code = read_certificate(c, err)) != ATLS_OK) {
        atls_certificate_unref(c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

struct atls_certificate *atls_certificate_ref(struct atls_certificate *c)
{
    if (c != NULL)
        atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void atls_certificate_unref(struct atls_certificate *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_key_unref(c->key);
    atls_buf_clear(&c->der);
    free(c);
}

struct atls_bytes atls_certificate_der(const struct atls_certificate *c)
{
    return atls_buf_bytes(&c->der);
}

struct atls_bytes atls_certificate_serial(const struct atls_certificate *c)
{
    return c->serial;
}

struct atls_bytes atls_certificate_subject(const struct atls_certificate *c)
{
    return c->subject;
}

struct atls_bytes atls_certificate_issuer(const struct atls_certificate *c)
{
    return c->issuer;
}

struct atls_bytes atls_certificate_subject_cn(const struct atls_certificate *c)
{
    return c->subject_cn;
}

struct atls_bytes atls_certificate_issuer_cn(const struct atls_certificate *c)
{
    return c->issuer_cn;
}

int64_t atls_certificate_not_before_s(const struct atls_certificate *c)
{
    return c->not_before_s;
}

int64_t atls_certificate_not_after_s(const struct atls_certificate *c)
{
    return c->not_after_s;
}

bool atls_certificate_is_ca(const struct atls_certificate *c)
{
    return c->is_ca && (c->usage < 0 || (c->usage & ATLS_USAGE_CERT_SIGN) != 0);
}

int atls_certificate_path_length(const struct atls_certificate *c)
{
    return c->path_length;
}

bool atls_certificate_is_self_issued(const struct atls_certificate *c)
{
    return atls_bytes_equal(c->subject, c->issuer);
}

const struct atls_key *atls_certificate_key(const struct atls_certificate *c)
{
    return c->key;
}

struct atls_key *atls_certificate_key_ref(const struct atls_certificate *c)
{
    return atls_key_ref(c->key);
}
