#include "crypto/crypto.h"

#include <string.h>
#include <time.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/der.h"
#include "crypto/libcrypto.h"

/* Evidence of full size fits; OpenSSL takes chains of 100 KiB. */
#define CERTIFICATE_LIMIT (96 * 1024)
#define SERIAL_LEN        16
#define KEY_ID_LEN        20
#define NAMES_MAX         64
#define COMMON_NAME_MAX   64 /* ub-common-name, RFC 5280 appendix A.1 */

/* Signature AlgorithmIdentifiers, whole (RFC 5758, RFC 8410, RFC 4055; the RSASSA-PSS ones with the
 * digest for MGF1 too and its length as salt). */
static const struct identifier {
    enum atls_signature scheme;
    size_t len;
    uint8_t der[67];
} identifiers[] = {
    {ATLS_ECDSA_P256_SHA256,
     12,
     {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}},
    {ATLS_ECDSA_P384_SHA384,
     12,
     {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}},
    {ATLS_ECDSA_P521_SHA512,
     12,
     {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}},
    {ATLS_ED25519, 7, {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70}},
    {ATLS_RSA_PKCS1_SHA256,
     15,
     {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00}},
    {ATLS_RSA_PKCS1_SHA384,
     15,
     {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00}},
    {ATLS_RSA_PKCS1_SHA512,
     15,
     {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00}},
#define PSS(oid_end, salt_len)                                                                     \
    {                                                                                              \
        0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34,  \
            0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,    \
            oid_end, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, \
            0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,    \
            0x04, 0x02, oid_end, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, salt_len                      \
    }
    {ATLS_RSA_PSS_SHA256, 67, PSS(0x01, 32)},
    {ATLS_RSA_PSS_SHA384, 67, PSS(0x02, 48)},
    {ATLS_RSA_PSS_SHA512, 67, PSS(0x03, 64)},
#undef PSS
};

static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};
static const uint8_t oid_subject_key_id[] = {0x55, 0x1d, 0x0e};
static const uint8_t oid_key_usage[] = {0x55, 0x1d, 0x0f};
static const uint8_t oid_subject_alt_name[] = {0x55, 0x1d, 0x11};
static const uint8_t oid_basic_constraints[] = {0x55, 0x1d, 0x13};
static const uint8_t oid_authority_key_id[] = {0x55, 0x1d, 0x23};
static const uint8_t oid_extended_key_usage[] = {0x55, 0x1d, 0x25};
static const uint8_t oid_server_auth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
static const uint8_t oid_client_auth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
static const uint8_t oid_extension_request[] = {0x2a, 0x86, 0x48, 0x86, 0xf7,
                                                0x0d, 0x01, 0x09, 0x0e};

#define ARRAY(a) atls_bytes_of((a), sizeof(a))

static void put_oid(struct atls_writer *w, struct atls_bytes oid)
{
    atls_der_put(w, ATLS_DER_OID, oid);
}

static enum atls_code find_identifier(enum atls_signature scheme, struct atls_bytes *out,
                                      struct atls_err *err)
{
    for (size_t i = 0; i < sizeof identifiers / sizeof identifiers[0]; i++)
        if (identifiers[i].scheme == scheme) {
            *out = atls_bytes_of(identifiers[i].der, identifiers[i].len);
            return ATLS_OK;
        }
    return atls_fail(err, ATLS_E_UNSUPPORTED, "certificate: no signature scheme 0x%04x",
                     (unsigned int)scheme);
}

/* Name of one commonName; an empty one when there is none. */
static void put_name(struct atls_writer *w, const char *common_name)
{
    size_t name = atls_der_open(w, ATLS_DER_SEQUENCE), set, pair;

    if (common_name != NULL && common_name[0] != '\0') {
        set = atls_der_open(w, ATLS_DER_SET);
        pair = atls_der_open(w, ATLS_DER_SEQUENCE);
        put_oid(w, ARRAY(oid_common_name));
        atls_der_put(w, ATLS_DER_UTF8_STRING, atls_bytes_of(common_name, strlen(common_name)));
        atls_der_close(w, pair);
        atls_der_close(w, set);
    }
    atls_der_close(w, name);
}

static bool is_nameless(const struct atls_certificate_spec *spec)
{
    static const uint8_t empty[] = {0x30, 0x00};

    if (spec->subject.len != 0)
        return atls_bytes_equal(spec->subject, ARRAY(empty));
    return spec->common_name == NULL || spec->common_name[0] == '\0';
}

static void put_subject(struct atls_writer *w, const struct atls_certificate_spec *spec)
{
    if (spec->subject.len != 0)
        atls_put_bytes(w, spec->subject);
    else
        put_name(w, spec->common_name);
}

/* Time (RFC 5280 section 4.1.2.5): UTCTime through 2049, GeneralizedTime from 2050. */
static bool put_time(struct atls_writer *w, int64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm tm;
    const char *digits;
    char text[32];
    bool utc;

    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 50 || tm.tm_year > 9999 - 1900)
        return false;
    utc = tm.tm_year < 150;
    strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm);
    digits = utc ? text + 2 : text; /* two digits of the year */
    atls_der_put(w, utc ? ATLS_DER_UTC_TIME : ATLS_DER_GENERALIZED_TIME,
                 atls_bytes_of(digits, strlen(digits)));
    return true;
}

/* Opens one Extension up to its extnValue. */
struct extension {
    size_t outer, value;
};

static struct extension open_extension(struct atls_writer *w, struct atls_bytes oid, bool critical)
{
    static const uint8_t yes[] = {0xff};
    struct extension e;

    e.outer = atls_der_open(w, ATLS_DER_SEQUENCE);
    put_oid(w, oid);
    if (critical)
        atls_der_put(w, ATLS_DER_BOOLEAN, ARRAY(yes));
    e.value = atls_der_open(w, ATLS_DER_OCTET_STRING);
    return e;
}

static void close_extension(struct atls_writer *w, struct extension e)
{
    atls_der_close(w, e.value);
    atls_der_close(w, e.outer);
}

static size_t count_names(const struct atls_certificate_spec *spec)
{
    size_t n = 0;

    while (spec->dns_names != NULL && n <= NAMES_MAX && spec->dns_names[n] != NULL)
        n++;
    return n;
}

/* subjectAltName: dNSName [2], iPAddress [7]. Critical when the subject is empty (RFC 5280 section
 * 4.2.1.6). */
static void put_alternative_names(struct atls_writer *w, const struct atls_certificate_spec *spec)
{
    size_t count = count_names(spec), names;
    struct extension e;

    if (count == 0)
        return;
    e = open_extension(w, ARRAY(oid_subject_alt_name), is_nameless(spec));
    names = atls_der_open(w, ATLS_DER_SEQUENCE);
    for (size_t i = 0; i < count; i++) {
        const char *name = spec->dns_names[i];
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

        if (ip != NULL)
            atls_der_put(w, ATLS_DER_CONTEXT(7),
                         atls_bytes_of(ASN1_STRING_get0_data(ip), (size_t)ASN1_STRING_length(ip)));
        else
            atls_der_put(w, ATLS_DER_CONTEXT(2), atls_bytes_of(name, strlen(name)));
        ASN1_OCTET_STRING_free(ip);
    }
    atls_der_close(w, names);
    close_extension(w, e);
}

static void put_extra(struct atls_writer *w, const struct atls_certificate_spec *spec)
{
    for (size_t i = 0; i < spec->extra_count; i++) {
        struct extension e = open_extension(w, spec->extra[i].oid, spec->extra[i].critical);

        atls_put_bytes(w, spec->extra[i].value);
        close_extension(w, e);
    }
}

static void put_usage(struct atls_writer *w, bool is_ca)
{
    static const uint8_t authority[] = {0x01, 0x06};  /* keyCertSign, cRLSign; one unused bit */
    static const uint8_t end_entity[] = {0x07, 0x80}; /* digitalSignature */
    static const uint8_t yes[] = {0xff};
    struct extension e = open_extension(w, ARRAY(oid_basic_constraints), true);
    size_t sequence = atls_der_open(w, ATLS_DER_SEQUENCE);

    if (is_ca)
        atls_der_put(w, ATLS_DER_BOOLEAN, ARRAY(yes));
    atls_der_close(w, sequence);
    close_extension(w, e);

    e = open_extension(w, ARRAY(oid_key_usage), true);
    atls_der_put(w, ATLS_DER_BIT_STRING, is_ca ? ARRAY(authority) : ARRAY(end_entity));
    close_extension(w, e);
    if (is_ca)
        return;
    e = open_extension(w, ARRAY(oid_extended_key_usage), false);
    sequence = atls_der_open(w, ATLS_DER_SEQUENCE);
    put_oid(w, ARRAY(oid_server_auth));
    put_oid(w, ARRAY(oid_client_auth));
    atls_der_close(w, sequence);
    close_extension(w, e);
}

/* Key identifier by the first method of RFC 7093 section 2: 160 bits of SHA-256 over the key's
 * bits. */
static enum atls_code put_subject_key_id(struct atls_writer *w, struct atls_bytes spki,
                                         struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(spki), inner;
    uint8_t digest[ATLS_HASH_MAX];
    struct atls_bytes sequence, skipped, bits;
    struct extension e;
    enum atls_code code;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &sequence))
        return atls_fail(err, ATLS_E_USAGE, "certificate: subject's key is not DER");
    inner = atls_reader_init(sequence);
    if (!atls_der_get(&inner, ATLS_DER_SEQUENCE, &skipped) ||
        !atls_der_get_bit_string(&inner, &bits))
        return atls_fail(err, ATLS_E_USAGE, "certificate: subject's key is malformed");
    if ((code = atls_hash_one(ATLS_HASH_SHA256, bits, digest, err)) != ATLS_OK)
        return code;
    e = open_extension(w, ARRAY(oid_subject_key_id), false);
    atls_der_put(w, ATLS_DER_OCTET_STRING, atls_bytes_of(digest, KEY_ID_LEN));
    close_extension(w, e);
    return ATLS_OK;
}

/* authorityKeyIdentifier as the issuer's certificate states it; none when it states none. */
static enum atls_code put_authority_key_id(struct atls_writer *w, struct atls_bytes issuer,
                                           struct atls_err *err)
{
    const ASN1_OCTET_STRING *id;
    struct extension e;
    enum atls_code code;
    size_t sequence;
    X509 *x;

    if ((code = atls_x509_parse(issuer, &x, err)) != ATLS_OK)
        return code;
    if ((id = X509_get0_subject_key_id(x)) != NULL) {
        e = open_extension(w, ARRAY(oid_authority_key_id), false);
        sequence = atls_der_open(w, ATLS_DER_SEQUENCE);
        atls_der_put(w, ATLS_DER_CONTEXT(0),
                     atls_bytes_of(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)));
        atls_der_close(w, sequence);
        close_extension(w, e);
    }
    X509_free(x);
    return ATLS_OK;
}

/* RFC 5280 section 4.1.2. */
static enum atls_code put_tbs(struct atls_writer *w, const struct atls_certificate_spec *spec,
                              struct atls_bytes identifier, struct atls_err *err)
{
    static const uint8_t version3[] = {0x02, 0x01, 0x02};
    struct atls_certificate_parts issuer = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    size_t tbs = atls_der_open(w, ATLS_DER_SEQUENCE), validity, extensions, list;
    uint8_t serial[SERIAL_LEN];
    enum atls_code code;

    if (spec->issuer_certificate.len != 0 &&
        (code = atls_certificate_walk(spec->issuer_certificate, &issuer, err)) != ATLS_OK)
        return code;
    if ((code = atls_random(serial, sizeof serial, err)) != ATLS_OK)
        return code;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and of one length */

    atls_der_put(w, ATLS_DER_CONTEXT_CONSTRUCTED(0), ARRAY(version3));
    atls_der_put_unsigned(w, ARRAY(serial));
    atls_put_bytes(w, identifier);
    if (issuer.subject.len != 0)
        atls_put_bytes(w, issuer.subject);
    else
        put_subject(w, spec);
    validity = atls_der_open(w, ATLS_DER_SEQUENCE);
    if (!put_time(w, spec->not_before_s) || !put_time(w, spec->not_after_s))
        return atls_fail(err, ATLS_E_USAGE, "certificate: validity is not within 1950..9999");
    atls_der_close(w, validity);
    put_subject(w, spec);
    atls_put_bytes(w, spec->spki);
    extensions = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(3));
    list = atls_der_open(w, ATLS_DER_SEQUENCE);
    put_usage(w, spec->is_ca);
    if ((code = put_subject_key_id(w, spec->spki, err)) != ATLS_OK)
        return code;
    if (issuer.subject.len != 0 &&
        (code = put_authority_key_id(w, spec->issuer_certificate, err)) != ATLS_OK)
        return code;
    put_alternative_names(w, spec);
    put_extra(w, spec);
    atls_der_close(w, list);
    atls_der_close(w, extensions);
    atls_der_close(w, tbs);
    return ATLS_OK;
}

/* CertificationRequestInfo (RFC 2986 section 4.1) with an extensionRequest (RFC 2985
 * section 5.4.2). */
static enum atls_code put_request_info(struct atls_writer *w,
                                       const struct atls_certificate_spec *spec,
                                       struct atls_bytes identifier, struct atls_err *err)
{
    size_t info = atls_der_open(w, ATLS_DER_SEQUENCE), attributes, attribute, set, list;

    (void)identifier, (void)err; /* the info of a request does not name the signature */
    atls_der_put_unsigned(w, atls_bytes_of(NULL, 0));
    put_subject(w, spec);
    atls_put_bytes(w, spec->spki);
    attributes = atls_der_open(w, ATLS_DER_CONTEXT_CONSTRUCTED(0));
    if (count_names(spec) != 0 || spec->extra_count != 0) {
        attribute = atls_der_open(w, ATLS_DER_SEQUENCE);
        put_oid(w, ARRAY(oid_extension_request));
        set = atls_der_open(w, ATLS_DER_SET);
        list = atls_der_open(w, ATLS_DER_SEQUENCE);
        put_alternative_names(w, spec);
        put_extra(w, spec);
        atls_der_close(w, list);
        atls_der_close(w, set);
        atls_der_close(w, attribute);
    }
    atls_der_close(w, attributes);
    atls_der_close(w, info);
    return ATLS_OK;
}

static enum atls_code check_spec(const struct atls_certificate_spec *spec, struct atls_err *err)
{
    struct atls_key *key = NULL;
    enum atls_code code;

    if (spec->sign == NULL)
        return atls_fail(err, ATLS_E_USAGE, "certificate: no function to sign it with");
    if (spec->common_name != NULL && strlen(spec->common_name) > COMMON_NAME_MAX)
        return atls_fail(err, ATLS_E_USAGE, "certificate: common name of %zu bytes, at most %d",
                         strlen(spec->common_name), COMMON_NAME_MAX);
    if (count_names(spec) > NAMES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "certificate: more than %d names", NAMES_MAX);
    if (spec->not_after_s < spec->not_before_s)
        return atls_fail(err, ATLS_E_USAGE, "certificate: ends before it begins");
    if ((code = atls_key_from_spki(spec->spki, &key, err)) == ATLS_OK)
        atls_key_unref(key);
    return code;
}

typedef enum atls_code put_body(struct atls_writer *w, const struct atls_certificate_spec *spec,
                                struct atls_bytes identifier, struct atls_err *err);

/* SEQUENCE { body, AlgorithmIdentifier, BIT STRING }, as certificates and requests share it. */
static enum atls_code make_signed(const struct atls_certificate_spec *spec, put_body *put,
                                  struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(CERTIFICATE_LIMIT);
    struct atls_buf body = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
    struct atls_bytes identifier;
    enum atls_code code;
    size_t mark;

    if ((code = check_spec(spec, err)) != ATLS_OK ||
        (code = find_identifier(spec->scheme, &identifier, err)) != ATLS_OK)
        return code;
    if ((code = put(&w, spec, identifier, err)) == ATLS_OK)
        code = atls_writer_finish(&w, &body, err);
    if (code == ATLS_OK)
        code = spec->sign(spec->sign_arg, spec->scheme, atls_buf_bytes(&body), &signature, err);
    if (code == ATLS_OK) {
        mark = atls_der_open(&w, ATLS_DER_SEQUENCE);
        atls_put_bytes(&w, atls_buf_bytes(&body));
        atls_put_bytes(&w, identifier);
        atls_der_put_bit_string(&w, atls_buf_bytes(&signature));
        atls_der_close(&w, mark);
        code = atls_writer_finish(&w, out, err);
    }
    atls_writer_clear(&w);
    atls_buf_clear(&body);
    atls_buf_clear(&signature);
    return code;
}

enum atls_code atls_certificate_make(const struct atls_certificate_spec *spec, struct atls_buf *out,
                                     struct atls_err *err)
{
    return make_signed(spec, put_tbs, out, err);
}

enum atls_code atls_certificate_request_make(const struct atls_certificate_spec *spec,
                                             struct atls_buf *out, struct atls_err *err)
{
    return make_signed(spec, put_request_info, out, err);
}
