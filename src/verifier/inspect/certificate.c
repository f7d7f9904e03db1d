#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "verifier/inspect/x509.h"

/* Certificates of one PEM text. */
#define CHAIN_MAX 16

/* Where the parts of a certificate lie (RFC 5280 section 4.1). */
struct certificate {
    struct atls_bytes serial, issuer, not_before, not_after, subject, spki;
    struct atls_bytes extensions; /* content of the list; .ptr NULL when there is none */
};

static enum atls_code malformed(struct atls_err *err, const char *field)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "certificate: %s is missing or malformed", field);
}

static bool get_time(struct atls_reader *r)
{
    struct atls_der e;
    char text[24];

    return atls_der_get_any(r, &e) && atls_x509_time_text(e.content, e.tag, text);
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

static void put_certificate(struct atls_view *v, const char *key, const struct certificate *c)
{
    uint8_t hash[ATLS_HASH_MAX];

    atls_json_open_object(v->j, key);
    atls_json_put_hex(v->j, "serial", c->serial);
    atls_x509_put_name(v->j, "subject", c->subject);
    atls_x509_put_name(v->j, "issuer", c->issuer);
    atls_x509_put_time(v->j, "not-before", c->not_before);
    atls_x509_put_time(v->j, "not-after", c->not_after);
    atls_json_put_hex(v->j, "spki", c->spki);
    if (atls_hash_one(ATLS_HASH_SHA256, c->spki, hash, NULL) == ATLS_OK)
        atls_json_put_hex(v->j, "spki-sha256", atls_bytes_of(hash, 32));
    atls_x509_put_extensions(v, "extensions", c->extensions);
    atls_json_close(v->j);
}

static enum atls_code view_der(struct atls_view *v, const char *key, struct atls_bytes der)
{
    struct certificate c;
    enum atls_code code = walk(der, &c, v->err);

    if (code == ATLS_OK)
        put_certificate(v, key, &c);
    return code;
}

/* All are read before the first is written. */
static enum atls_code view_chain(struct atls_view *v, const char *key, const struct atls_buf *ders,
                                 size_t count)
{
    struct certificate chain[CHAIN_MAX];
    enum atls_code code;

    for (size_t i = 0; i < count; i++)
        if ((code = walk(atls_buf_bytes(&ders[i]), &chain[i], v->err)) != ATLS_OK)
            return code;
    atls_json_open_object(v->j, key);
    atls_json_open_array(v->j, "chain");
    for (size_t i = 0; i < count; i++)
        put_certificate(v, NULL, &chain[i]);
    atls_json_close(v->j);
    atls_json_close(v->j);
    return ATLS_OK;
}

enum atls_code atls_view_certificate(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_buf ders[CHAIN_MAX] = {ATLS_BUF_INIT};
    enum atls_code code;
    size_t count = 0;

    if (in.len == 0 || in.ptr[0] == ATLS_DER_SEQUENCE)
        return view_der(v, key, in);
    while (in.len > 0 && in.ptr[in.len - 1] == 0) /* texts in quotes end in a NUL */
        in.len--;
    if ((code = atls_certificates_from_pem(in, ders, CHAIN_MAX, &count, v->err)) == ATLS_OK)
        code = count == 1 ? view_der(v, key, atls_buf_bytes(&ders[0]))
                          : view_chain(v, key, ders, count);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&ders[i]);
    return code;
}
