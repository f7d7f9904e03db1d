#include "crypto/crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/libcrypto.h"

enum atls_code atls_crl_parse(struct atls_bytes der, X509_CRL **out, struct atls_err *err)
{
    const unsigned char *p = der.ptr;
    X509_CRL *x = NULL;

    if (der.len != 0 && der.len <= LONG_MAX)
        x = d2i_X509_CRL(NULL, &p, (long)der.len);
    ERR_clear_error();
    if (x == NULL || p != der.ptr + der.len) {
        X509_CRL_free(x);
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "CertificateList: %zu bytes are not exactly one DER list", der.len);
    }
    *out = x;
    return ATLS_OK;
}

enum atls_code atls_crls_split(struct atls_bytes in, struct atls_buf *out, size_t max,
                               size_t *out_count, struct atls_err *err)
{
    enum atls_code code;

    /* SEQUENCE; text that begins with "0" is not taken for PEM. */
    if (in.len == 0 || in.ptr[0] != 0x30)
        return atls_pem_blocks("X509 CRL", in, out, max, out_count, err);
    if ((code = atls_buf_copy(&out[0], in, err)) == ATLS_OK)
        *out_count = 1;
    return code;
}

/* An extension that is not there at all leaves *out NULL. */
static enum atls_code get_extension(const X509_CRL *x, int nid, const char *name, void **out,
                                    struct atls_err *err)
{
    int critical = 0;

    *out = X509_CRL_get_ext_d2i(x, nid, &critical, NULL);
    ERR_clear_error();
    if (*out == NULL && critical != -1)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "CertificateList: %s is malformed or there twice", name);
    return ATLS_OK;
}

static enum atls_code useless(struct atls_err *err, const char *rule)
{
    return atls_fail(err, ATLS_E_UNSUPPORTED, "CertificateList: %s", rule);
}

/* The part of the issuer's certificates that the list speaks for (RFC 5280 section 5.2.5): what
 * certificates say of themselves can be compared with, but not lists of somebody else's
 * certificates, nor of some reasons only. */
static enum atls_code read_scope(const X509_CRL *x, struct atls_buf *out, struct atls_err *err)
{
    const ASN1_OCTET_STRING *value;
    ISSUING_DIST_POINT *point;
    enum atls_code code;
    void *extension;
    bool whole;

    if ((code = get_extension(x, NID_issuing_distribution_point, "issuingDistributionPoint",
                              &extension, err)) != ATLS_OK ||
        extension == NULL)
        return code;
    point = extension;
    whole = point->indirectCRL <= 0 && point->onlyattr <= 0 && point->onlysomereasons == NULL;
    ISSUING_DIST_POINT_free(point);
    if (!whole)
        return useless(err, "indirect, of attribute certificates or of some reasons only");
    value = X509_EXTENSION_get_data(
        X509_CRL_get_ext(x, X509_CRL_get_ext_by_NID(x, NID_issuing_distribution_point, -1)));
    return atls_buf_copy(
        out, atls_bytes_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)), err);
}

static enum atls_code read_key_id(const X509_CRL *x, struct atls_buf *out, struct atls_err *err)
{
    AUTHORITY_KEYID *id;
    enum atls_code code;
    void *extension;

    if ((code = get_extension(x, NID_authority_key_identifier, "authorityKeyIdentifier", &extension,
                              err)) != ATLS_OK)
        return code;
    id = extension;
    if (id != NULL && id->keyid != NULL)
        code = atls_buf_copy(
            out,
            atls_bytes_of(ASN1_STRING_get0_data(id->keyid), (size_t)ASN1_STRING_length(id->keyid)),
            err);
    AUTHORITY_KEYID_free(id);
    return code;
}

static enum atls_code check_extensions(const X509_CRL *x, struct atls_err *err)
{
    if (X509_CRL_get_ext_by_NID(x, NID_delta_crl, -1) >= 0)
        return useless(err, "what changed since another list only (delta)");
    for (int i = 0; i < X509_CRL_get_ext_count(x); i++) {
        X509_EXTENSION *e = X509_CRL_get_ext(x, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));

        if (X509_EXTENSION_get_critical(e) && nid != NID_issuing_distribution_point &&
            nid != NID_authority_key_identifier)
            return useless(err, "critical extension that is not known here");
    }
    return ATLS_OK;
}

static enum atls_code read_times(const X509_CRL *x, struct atls_crl *out, struct atls_err *err)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(x);
    enum atls_code code;

    if (next == NULL)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "CertificateList: no nextUpdate (RFC 5280 section 5.1.2.5)");
    if ((code = atls_asn1_time(X509_CRL_get0_lastUpdate(x), &out->this_update_s, err)) != ATLS_OK)
        return code;
    return atls_asn1_time(next, &out->next_update_s, err);
}

static enum atls_code read_crl(const X509_CRL *x, struct atls_crl *out, struct atls_err *err)
{
    unsigned char *name = NULL;
    enum atls_code code;
    int len;

    if ((code = check_extensions(x, err)) != ATLS_OK ||
        (code = read_times(x, out, err)) != ATLS_OK ||
        (code = read_scope(x, &out->scope, err)) != ATLS_OK ||
        (code = read_key_id(x, &out->key_id, err)) != ATLS_OK)
        return code;
    if ((len = i2d_X509_NAME(X509_CRL_get_issuer(x), &name)) <= 0)
        return atls_fail_libcrypto(err, "CertificateList: encoding the issuer");
    code = atls_buf_copy(&out->issuer, atls_bytes_of(name, (size_t)len), err);
    OPENSSL_free(name);
    return code;
}

enum atls_code atls_crl_read(struct atls_bytes der, struct atls_crl *out, struct atls_err *err)
{
    struct atls_crl crl = {.issuer = ATLS_BUF_INIT};
    X509_CRL *x = NULL;
    enum atls_code code;

    if ((code = atls_crl_parse(der, &x, err)) != ATLS_OK)
        return code;
    code = read_crl(x, &crl, err);
    X509_CRL_free(x);
    if (code != ATLS_OK) {
        atls_crl_clear(&crl);
        return code;
    }
    *out = crl;
    return ATLS_OK;
}

void atls_crl_clear(struct atls_crl *crl)
{
    atls_buf_clear(&crl->issuer);
    atls_buf_clear(&crl->key_id);
    atls_buf_clear(&crl->scope);
}

static enum atls_code check_signature(X509_CRL *x, X509 *issuer, struct atls_err *err)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    int ok = key == NULL ? 0 : X509_CRL_verify(x, key);

    ERR_clear_error();
    if (ok != 1)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_CHAIN_SIGNATURE,
                                "CertificateList: not signed by the certificate of its issuer");
    /* Without the extension every bit counts as set. */
    if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_KEY_USAGE,
                                "CertificateList: the certificate of its issuer has no cRLSign");
    return ATLS_OK;
}

enum atls_code atls_crl_verify(struct atls_bytes der, struct atls_bytes certificate,
                               bool *out_issuer, struct atls_err *err)
{
    X509_CRL *x = NULL;
    X509 *issuer = NULL;
    enum atls_code code;
    bool is_issuer;

    if ((code = atls_crl_parse(der, &x, err)) == ATLS_OK &&
        (code = atls_x509_parse(certificate, &issuer, err)) == ATLS_OK) {
        is_issuer = X509_NAME_cmp(X509_get_subject_name(issuer), X509_CRL_get_issuer(x)) == 0;
        *out_issuer = is_issuer;
        if (is_issuer)
            code = check_signature(x, issuer, err);
    }
    X509_CRL_free(x);
    X509_free(issuer);
    return code;
}
