#include "crypto/der.h"

#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"

bool atls_der_get_any(struct atls_reader *r, struct atls_der *out)
{
    struct atls_reader ahead = *r;
    struct atls_der e;
    uint8_t first, octet;
    size_t len;

    if (!atls_get_u8(&ahead, &e.tag) || (e.tag & 0x1f) == 0x1f || !atls_get_u8(&ahead, &first))
        return false;
    len = first;
    if (first >= 0x80) { /* long form, X.690 section 8.1.3.5; 0x80 alone is the indefinite one */
        if (first == 0x80 || first > 0x84)
            return false;
        len = 0;
        for (int i = 0; i < (first & 0x7f); i++) {
            if (!atls_get_u8(&ahead, &octet) || (i == 0 && octet == 0))
                return false;
            len = len << 8 | octet;
        }
        if (len < 0x80)
            return false;
    }
    if (!atls_get_bytes(&ahead, len, &e.content))
        return false;
    e.whole = atls_bytes_of(r->in.ptr + r->pos, ahead.pos - r->pos);
    *r = ahead;
    *out = e;
    return true;
}

bool atls_der_get(struct atls_reader *r, uint8_t tag, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_der e;

    if (!atls_der_get_any(&ahead, &e) || e.tag != tag)
        return false;
    *r = ahead;
    *out = e.content;
    return true;
}

bool atls_der_get_unsigned(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes v;

    if (!atls_der_get(&ahead, ATLS_DER_INTEGER, &v) || v.len == 0 || (v.ptr[0] & 0x80) != 0)
        return false;
    if (v.len > 1 && v.ptr[0] == 0 && (v.ptr[1] & 0x80) == 0)
        return false; /* X.690 section 8.3.2: not the shortest */
    if (v.ptr[0] == 0)
        v = atls_bytes_of(v.ptr + 1, v.len - 1);
    *r = ahead;
    *out = v;
    return true;
}

bool atls_der_get_bit_string(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes v;

    if (!atls_der_get(&ahead, ATLS_DER_BIT_STRING, &v) || v.len == 0 || v.ptr[0] != 0)
        return false;
    *r = ahead;
    *out = atls_bytes_of(v.ptr + 1, v.len - 1);
    return true;
}

size_t atls_der_open(struct atls_writer *w, uint8_t tag)
{
    atls_put_u8(w, tag);
    atls_put_u8(w, 0);
    return w->len;
}

void atls_der_close(struct atls_writer *w, size_t mark)
{
    size_t len = w->len - mark, width = 0;

    if (w->failed != ATLS_OK)
        return;
    if (len < 0x80) {
        w->ptr[mark - 1] = (uint8_t)len;
        return;
    }
    for (size_t rest = len; rest != 0; rest >>= 8, width++)
        atls_put_u8(w, 0); /* room for the long form: the content moves up */
    if (w->failed != ATLS_OK)
        return;
    memmove(w->ptr + mark + width, w->ptr + mark, len);
    w->ptr[mark - 1] = (uint8_t)(0x80 | width);
    for (size_t i = width; i-- > 0; len >>= 8)
        w->ptr[mark + i] = (uint8_t)len;
}

void atls_der_put(struct atls_writer *w, uint8_t tag, struct atls_bytes content)
{
    size_t mark = atls_der_open(w, tag);

    atls_put_bytes(w, content);
    atls_der_close(w, mark);
}

void atls_der_put_unsigned(struct atls_writer *w, struct atls_bytes magnitude)
{
    size_t mark = atls_der_open(w, ATLS_DER_INTEGER);

    while (magnitude.len != 0 && magnitude.ptr[0] == 0)
        magnitude = atls_bytes_of(magnitude.ptr + 1, magnitude.len - 1);
    if (magnitude.len == 0 || (magnitude.ptr[0] & 0x80) != 0)
        atls_put_u8(w, 0);
    atls_put_bytes(w, magnitude);
    atls_der_close(w, mark);
}

void atls_der_put_bit_string(struct atls_writer *w, struct atls_bytes content)
{
    size_t mark = atls_der_open(w, ATLS_DER_BIT_STRING);

    atls_put_u8(w, 0); /* no unused bits */
    atls_put_bytes(w, content);
    atls_der_close(w, mark);
}

/* Steps over an element that may be absent; false when what stands there is no DER at all. */
static bool skip_optional(struct atls_reader *r, uint8_t tag)
{
    struct atls_reader ahead = *r;
    struct atls_der e;

    if (!atls_der_get_any(&ahead, &e))
        return false;
    if (e.tag == tag)
        *r = ahead;
    return true;
}

enum atls_code atls_certificate_walk(struct atls_bytes certificate,
                                     struct atls_certificate_parts *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(certificate), signed_part, tbs;
    struct atls_bytes body, tbs_body, skipped;
    struct atls_der algorithm, subject, issuer, spki;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &body) || !atls_reader_done(&r))
        return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "Certificate: not one DER SEQUENCE of %zu bytes", certificate.len);
    signed_part = atls_reader_init(body);
    if (!atls_der_get(&signed_part, ATLS_DER_SEQUENCE, &tbs_body) ||
        !atls_der_get_any(&signed_part, &algorithm) || algorithm.tag != ATLS_DER_SEQUENCE ||
        !atls_der_get_bit_string(&signed_part, &skipped) || !atls_reader_done(&signed_part))
        return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                               ATLS_ALERT_BAD_CERTIFICATE, "Certificate: malformed near byte %zu",
                               signed_part.pos);
    tbs = atls_reader_init(tbs_body);
    if (!skip_optional(&tbs, ATLS_DER_CONTEXT_CONSTRUCTED(0)) || /* version, absent in version 1 */
        !atls_der_get(&tbs, ATLS_DER_INTEGER, &skipped) ||       /* serialNumber */
        !atls_der_get(&tbs, ATLS_DER_SEQUENCE, &skipped) ||      /* signature */
        !atls_der_get_any(&tbs, &issuer) || issuer.tag != ATLS_DER_SEQUENCE ||
        !atls_der_get(&tbs, ATLS_DER_SEQUENCE, &skipped) || /* validity */
        !atls_der_get_any(&tbs, &subject) || subject.tag != ATLS_DER_SEQUENCE ||
        !atls_der_get_any(&tbs, &spki) || spki.tag != ATLS_DER_SEQUENCE)
        return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "TBSCertificate: malformed near byte %zu", tbs.pos);
    out->issuer = issuer.whole;
    out->subject = subject.whole;
    out->spki = spki.whole;
    return ATLS_OK;
}

enum atls_code atls_certificate_spki(struct atls_bytes certificate, struct atls_bytes *out,
                                     struct atls_err *err)
{
    struct atls_certificate_parts parts;
    enum atls_code code;

    if ((code = atls_certificate_walk(certificate, &parts, err)) == ATLS_OK)
        *out = parts.spki;
    return code;
}

enum atls_code atls_certificate_trim(struct atls_bytes padded, struct atls_bytes *out,
                                     struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(padded);
    struct atls_der e;

    if (!atls_der_get_any(&r, &e) || e.tag != ATLS_DER_SEQUENCE)
        return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "Certificate: no DER SEQUENCE within %zu bytes", padded.len);
    for (size_t i = r.pos; i < padded.len; i++)
        if (padded.ptr[i] != 0)
            return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                   ATLS_ALERT_BAD_CERTIFICATE,
                                   "Certificate: byte %zu behind its end is 0x%02x, want padding "
                                   "of zeros",
                                   i, padded.ptr[i]);
    *out = e.whole;
    return ATLS_OK;
}
