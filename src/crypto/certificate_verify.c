#include "crypto/certificate.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/certificate_parts.h"
#include "crypto/der.h"
#include "crypto/libcrypto.h"

#define SALT_LEN 48

static const uint8_t oid_ecdsa_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t oid_rsa_pss[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a};
static const uint8_t oid_mgf1[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08};
static const uint8_t oid_sha384[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02};

#define OID(a) atls_bytes_of(a, sizeof(a))

static bool get_oid(struct atls_reader *r, struct atls_bytes oid)
{
    struct atls_bytes found;

    return atls_der_get(r, ATLS_DER_OID, &found) && atls_bytes_equal(found, oid);
}

/* AlgorithmIdentifier of SHA-384, whose parameters are NULL or absent (RFC 4055 section 2.1). */
static bool get_sha384(struct atls_reader *r)
{
    struct atls_bytes content, null;
    struct atls_reader fields;

    if (!atls_der_get(r, ATLS_DER_SEQUENCE, &content))
        return false;
    fields = atls_reader_init(content);
    return get_oid(&fields, OID(oid_sha384)) &&
           (atls_reader_done(&fields) || (atls_der_get(&fields, ATLS_DER_NULL, &null) &&
                                          null.len == 0 && atls_reader_done(&fields)));
}

/* [n] that holds one small INTEGER. */
static bool get_number(struct atls_reader *r, int n, uint8_t want)
{
    struct atls_bytes wrapped, number;
    struct atls_reader inner;

    if (!atls_der_get(r, (uint8_t)ATLS_DER_CONTEXT_CONSTRUCTED(n), &wrapped))
        return false;
    inner = atls_reader_init(wrapped);
    return atls_der_get_unsigned(&inner, &number) && atls_reader_done(&inner) && number.len == 1 &&
           number.ptr[0] == want;
}

/* RSASSA-PSS-params (RFC 4055 section 3.1) with SHA-384 twice and a salt of 48; the trailer field
 * may be written although it is the default, as AMD does. */
static bool is_pss_sha384(struct atls_bytes params)
{
    struct atls_reader r = atls_reader_init(params), inner;
    struct atls_bytes wrapped, mask;

    if (!atls_der_get(&r, ATLS_DER_CONTEXT_CONSTRUCTED(0), &wrapped))
        return false;
    inner = atls_reader_init(wrapped);
    if (!get_sha384(&inner) || !atls_reader_done(&inner) ||
        !atls_der_get(&r, ATLS_DER_CONTEXT_CONSTRUCTED(1), &wrapped))
        return false;
    inner = atls_reader_init(wrapped);
    if (!atls_der_get(&inner, ATLS_DER_SEQUENCE, &mask) || !atls_reader_done(&inner))
        return false;
    inner = atls_reader_init(mask);
    if (!get_oid(&inner, OID(oid_mgf1)) || !get_sha384(&inner) || !atls_reader_done(&inner))
        return false;
    return get_number(&r, 2, SALT_LEN) && (atls_reader_done(&r) || get_number(&r, 3, 1)) &&
           atls_reader_done(&r);
}

static bool is_algorithm(struct atls_bytes whole, enum atls_certificate_signature algorithm)
{
    struct atls_reader r = atls_reader_init(whole), fields;
    struct atls_bytes content, params;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &content))
        return false;
    fields = atls_reader_init(content);
    if (algorithm == ATLS_SIGNED_ECDSA_P256_SHA256)
        return get_oid(&fields, OID(oid_ecdsa_sha256)) && atls_reader_done(&fields);
    return get_oid(&fields, OID(oid_rsa_pss)) &&
           atls_der_get(&fields, ATLS_DER_SEQUENCE, &params) && atls_reader_done(&fields) &&
           is_pss_sha384(params);
}

/* Whose words are refused, and with which reason. */
struct signed_thing {
    const char *name;
    enum atls_reason reason;
    const struct atls_signed_parts *parts;
};

static enum atls_code check_signature(const struct signed_thing *thing,
                                      const struct atls_certificate *issuer,
                                      enum atls_certificate_signature algorithm,
                                      struct atls_err *err)
{
    const bool ecdsa = algorithm == ATLS_SIGNED_ECDSA_P256_SHA256;
    const struct atls_signed_parts *p = thing->parts;
    enum atls_code code;

    if (!atls_bytes_equal(p->algorithm, p->inner_algorithm) ||
        !is_algorithm(p->algorithm, algorithm))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, thing->reason, ATLS_ALERT_BAD_CERTIFICATE,
                               "%s: signature algorithm, want %s", thing->name,
                               ecdsa ? "ECDSA with SHA-256" : "RSASSA-PSS with SHA-384, salt 48");
    if (issuer->key == NULL || atls_key_type(issuer->key) != (ecdsa ? ATLS_KEY_P256 : ATLS_KEY_RSA))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, thing->reason, ATLS_ALERT_BAD_CERTIFICATE,
                               "%s: the key of its issuer is no %s key", thing->name,
                               ecdsa ? "P-256" : "RSA");
    code = atls_key_verify(issuer->key, ecdsa ? ATLS_ECDSA_P256_SHA256 : ATLS_RSA_PSS_SHA384,
                           &p->tbs, 1, p->signature, err);
    if (code != ATLS_E_VERIFY)
        return code;
    return atls_fail_alert(err, ATLS_E_CERTIFICATE, thing->reason, ATLS_ALERT_BAD_CERTIFICATE,
                           "%s: signature does not match the key of its issuer", thing->name);
}

static int shown(struct atls_bytes text)
{
    return text.len > 64 ? 64 : (int)text.len;
}

enum atls_code atls_certificate_issued_by(const struct atls_certificate *child,
                                          const struct atls_certificate *issuer,
                                          enum atls_certificate_signature algorithm,
                                          struct atls_err *err)
{
    const struct signed_thing thing = {"Certificate", ATLS_REASON_CHAIN_SIGNATURE, &child->parts};

    if (!atls_bytes_equal(child->issuer, issuer->subject))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                               ATLS_ALERT_UNKNOWN_CA,
                               "Certificate: issuer is \"%.*s\", found a certificate of \"%.*s\"",
                               shown(child->issuer_cn), (const char *)child->issuer_cn.ptr,
                               shown(issuer->subject_cn), (const char *)issuer->subject_cn.ptr);
    if (child->unknown_critical)
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_NONE,
                               ATLS_ALERT_UNSUPPORTED_CERTIFICATE,
                               "Certificate of \"%.*s\": critical extension that is not known here",
                               shown(child->subject_cn), (const char *)child->subject_cn.ptr);
    return check_signature(&thing, issuer, algorithm, err);
}

/* Fewer bits would let others make a second certificate of the same digest. */
#define SELF_SIGNATURE_BITS 112

static enum atls_code check_self_signature(X509 *x, struct atls_err *err)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    int bits = 0;

    if (key == NULL || X509_get_signature_info(x, NULL, NULL, &bits, NULL) != 1 ||
        bits < SELF_SIGNATURE_BITS) {
        ERR_clear_error();
        return atls_fail_alert(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                               ATLS_ALERT_UNSUPPORTED_CERTIFICATE,
                               "Certificate: %s that is not accepted here",
                               key == NULL ? "key of a type" : "signature algorithm");
    }
    if (X509_verify(x, key) == 1)
        return ATLS_OK;
    if (atls_libcrypto_lacks_memory())
        return atls_fail_memory(err, "certificate");
    return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_SIGNATURE,
                           ATLS_ALERT_BAD_CERTIFICATE,
                           "Certificate: signature does not match its own key");
}

enum atls_code atls_certificate_verify_self(const struct atls_certificate *c, struct atls_err *err)
{
    const struct signed_thing thing = {"Certificate", ATLS_REASON_CHAIN_SIGNATURE, &c->parts};
    enum atls_code code;
    X509 *x;

    if (!atls_certificate_is_self_issued(c))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                               ATLS_ALERT_UNKNOWN_CA,
                               "Certificate: issuer is \"%.*s\", want the subject itself",
                               shown(c->issuer_cn), (const char *)c->issuer_cn.ptr);
    /* What most attesters make needs no second parse, which takes longer than the signature. */
    if (c->key != NULL && atls_key_type(c->key) == ATLS_KEY_P256 &&
        is_algorithm(c->parts.algorithm, ATLS_SIGNED_ECDSA_P256_SHA256))
        return check_signature(&thing, c, ATLS_SIGNED_ECDSA_P256_SHA256, err);
    if ((code = atls_x509_parse(atls_buf_bytes(&c->der), &x, err)) != ATLS_OK)
        return code;
    code = check_self_signature(x, err);
    X509_free(x);
    return code;
}

enum atls_code atls_certificate_check_time(const struct atls_certificate *c, int64_t time_s,
                                           struct atls_err *err)
{
    bool early = time_s < c->not_before_s;

    if (!early && time_s <= c->not_after_s)
        return ATLS_OK;
    return atls_fail_alert(
        err, ATLS_E_CERTIFICATE,
        early ? ATLS_REASON_CERTIFICATE_NOT_YET_VALID : ATLS_REASON_CERTIFICATE_EXPIRED,
        ATLS_ALERT_CERTIFICATE_EXPIRED, "Certificate of \"%.*s\": %s %lld, time is %lld",
        shown(c->subject_cn), (const char *)c->subject_cn.ptr,
        early ? "not valid before" : "not valid after",
        (long long)(early ? c->not_before_s : c->not_after_s), (long long)time_s);
}

/* CertificateList (RFC 5280 section 5.1), borrowing. */
struct list {
    struct atls_signed_parts parts;
    struct atls_bytes issuer, revoked, extensions;
    int64_t this_update_s, next_update_s;
};

static enum atls_code malformed_list(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "CertificateList: malformed %s", what);
}

/* One entry; *out_critical when an extension says that it is not about the list's issuer, or
 * something else that is not known here. */
static bool get_entry(struct atls_reader *r, struct atls_bytes *out_serial, bool *out_critical)
{
    struct atls_bytes content, extensions;
    struct atls_reader fields, inner;
    struct atls_extension e;
    int64_t date_s;

    if (!atls_der_get(r, ATLS_DER_SEQUENCE, &content))
        return false;
    fields = atls_reader_init(content);
    if (!atls_der_get(&fields, ATLS_DER_INTEGER, out_serial) || out_serial->len == 0 ||
        !atls_der_get_time(&fields, &date_s))
        return false;
    if (atls_reader_done(&fields))
        return true;
    if (!atls_der_get(&fields, ATLS_DER_SEQUENCE, &extensions) || !atls_reader_done(&fields))
        return false;
    for (inner = atls_reader_init(extensions); !atls_reader_done(&inner);) {
        if (!atls_extension_get(&inner, &e))
            return false;
        *out_critical = *out_critical || e.critical;
    }
    return true;
}

static bool read_list_tail(struct atls_reader *tbs, struct list *out)
{
    struct atls_bytes wrapped;
    struct atls_reader inner;

    out->revoked = atls_bytes_of(NULL, 0);
    out->extensions = atls_bytes_of(NULL, 0);
    if (atls_der_get(tbs, ATLS_DER_SEQUENCE, &out->revoked) && atls_reader_done(tbs))
        return true;
    if (atls_reader_done(tbs))
        return true;
    if (!atls_der_get(tbs, ATLS_DER_CONTEXT_CONSTRUCTED(0), &wrapped) || !atls_reader_done(tbs))
        return false;
    inner = atls_reader_init(wrapped);
    return atls_der_get(&inner, ATLS_DER_SEQUENCE, &out->extensions) && atls_reader_done(&inner);
}

static enum atls_code read_list(struct atls_bytes der, struct list *out, struct atls_err *err)
{
    struct atls_reader r, tbs;
    struct atls_bytes content, version;
    struct atls_der algorithm, issuer;

    if (!atls_signed_parts_read(der, &out->parts))
        return malformed_list(err, "SEQUENCE");
    r = atls_reader_init(out->parts.tbs);
    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &content))
        return malformed_list(err, "TBSCertList");
    tbs = atls_reader_init(content);
    if (!atls_der_get_unsigned(&tbs, &version) || version.len != 1 || version.ptr[0] != 1)
        return malformed_list(err, "version, want 2");
    if (!atls_der_get_any(&tbs, &algorithm) || algorithm.tag != ATLS_DER_SEQUENCE ||
        !atls_der_get_any(&tbs, &issuer) || issuer.tag != ATLS_DER_SEQUENCE)
        return malformed_list(err, "signature or issuer");
    out->parts.inner_algorithm = algorithm.whole;
    out->issuer = issuer.whole;
    /* RFC 5280 section 5.1.2.5: nextUpdate must be there. */
    if (!atls_der_get_time(&tbs, &out->this_update_s) ||
        !atls_der_get_time(&tbs, &out->next_update_s))
        return malformed_list(err, "thisUpdate or nextUpdate");
    if (!read_list_tail(&tbs, out))
        return malformed_list(err, "entries or extensions");
    return ATLS_OK;
}

/* A list that speaks for a part only (delta, indirect, of some reasons) says so in a critical
 * extension. */
static enum atls_code check_whole(const struct list *list, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(list->extensions);
    struct atls_extension e;

    while (!atls_reader_done(&r)) {
        if (!atls_extension_get(&r, &e))
            return malformed_list(err, "Extension");
        if (e.critical)
            return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE,
                                    "CertificateList: critical extension that is not known here");
    }
    return ATLS_OK;
}

static enum atls_code check_entries(const struct list *list,
                                    const struct atls_certificate *const *certificates,
                                    size_t count, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(list->revoked);
    bool critical = false;
    struct atls_bytes serial;

    while (!atls_reader_done(&r)) {
        if (!get_entry(&r, &serial, &critical))
            return malformed_list(err, "entry");
        if (critical)
            return atls_fail_reason(
                err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE,
                "CertificateList: entry with a critical extension that is not known here");
        for (size_t i = 0; i < count; i++)
            if (atls_bytes_equal(certificates[i]->issuer, list->issuer) &&
                atls_bytes_equal(certificates[i]->serial, serial))
                return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_REVOKED,
                                       ATLS_ALERT_CERTIFICATE_REVOKED,
                                       "Certificate of \"%.*s\": revoked by its issuer",
                                       shown(certificates[i]->subject_cn),
                                       (const char *)certificates[i]->subject_cn.ptr);
    }
    return ATLS_OK;
}

static enum atls_code check_list_time(const struct list *list, int64_t time_s, struct atls_err *err)
{
    if (time_s >= list->this_update_s && time_s < list->next_update_s)
        return ATLS_OK;
    return atls_fail_alert(
        err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_EXPIRED, ATLS_ALERT_CERTIFICATE_UNKNOWN,
        "CertificateList: good from %lld and before %lld, time is %lld",
        (long long)list->this_update_s, (long long)list->next_update_s, (long long)time_s);
}

static enum atls_code check_list_issuer(const struct list *list,
                                        const struct atls_revocation_check *check,
                                        struct atls_err *err)
{
    const struct signed_thing thing = {"CertificateList", ATLS_REASON_CRL_SIGNATURE, &list->parts};
    const struct atls_certificate *issuer = check->issuer;

    if (!atls_bytes_equal(list->issuer, issuer->subject))
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE,
                                "CertificateList: issued by another than \"%.*s\"",
                                shown(issuer->subject_cn), (const char *)issuer->subject_cn.ptr);
    if (issuer->usage >= 0 && (issuer->usage & ATLS_USAGE_CRL_SIGN) == 0)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE,
                                "CertificateList: keyUsage of its issuer has no cRLSign");
    return check_signature(&thing, issuer, check->algorithm, err);
}

enum atls_code atls_revocation_verify(const struct atls_revocation_check *check,
                                      const struct atls_certificate *const *certificates,
                                      size_t count, int64_t *out_next_update_s,
                                      struct atls_err *err)
{
    struct list list;
    enum atls_code code;

    if ((code = read_list(check->crl, &list, err)) != ATLS_OK ||
        (code = check_list_issuer(&list, check, err)) != ATLS_OK ||
        (code = check_whole(&list, err)) != ATLS_OK ||
        (code = check_list_time(&list, check->time_s, err)) != ATLS_OK ||
        (code = check_entries(&list, certificates, count, err)) != ATLS_OK)
        return code;
    if (out_next_update_s != NULL)
        *out_next_update_s = list.next_update_s;
    return ATLS_OK;
}
