#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/libcrypto.h"

#define PEM_CERTIFICATES_MAX 1024

struct atls_anchors {
    atomic_uint references;
    X509_STORE *store;
    size_t count;
    STACK_OF(X509_CRL) * crls;
};

enum atls_code atls_x509_parse(struct atls_bytes der, X509 **out, struct atls_err *err)
{
    const unsigned char *p = der.ptr;
    X509 *x = NULL;

    if (der.len != 0 && der.len <= LONG_MAX)
        x = d2i_X509(NULL, &p, (long)der.len);
    ERR_clear_error();
    if (x == NULL || p != der.ptr + der.len) {
        X509_free(x);
        return atls_fail_alert(
            err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_BAD_CERTIFICATE,
            "Certificate: %zu bytes are not exactly one DER certificate", der.len);
    }
    *out = x;
    return ATLS_OK;
}

enum atls_code atls_asn1_time(const ASN1_TIME *time, int64_t *out, struct atls_err *err)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days, seconds, ok;

    if (epoch == NULL)
        return atls_fail_memory(err, "time");
    ok = ASN1_TIME_diff(&days, &seconds, epoch, time);
    ASN1_TIME_free(epoch);
    if (ok != 1) {
        ERR_clear_error();
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "Certificate: time is malformed");
    }
    *out = (int64_t)days * 86400 + seconds;
    return ATLS_OK;
}

enum atls_code atls_anchors_new(struct atls_anchors **out, struct atls_err *err)
{
    struct atls_anchors *a = calloc(1, sizeof *a);

    if (a == NULL)
        return atls_fail_memory(err, "trust anchors");
    atomic_init(&a->references, 1);
    a->store = X509_STORE_new();
    a->crls = sk_X509_CRL_new_null();
    if (a->store == NULL || a->crls == NULL) {
        atls_anchors_unref(a);
        return atls_fail_memory(err, "trust anchors");
    }
    *out = a;
    return ATLS_OK;
}

struct atls_anchors *atls_anchors_ref(struct atls_anchors *a)
{
    if (a != NULL)
        atomic_fetch_add_explicit(&a->references, 1, memory_order_relaxed);
    return a;
}

void atls_anchors_unref(struct atls_anchors *a)
{
    if (a == NULL || atomic_fetch_sub_explicit(&a->references, 1, memory_order_acq_rel) != 1)
        return;
    X509_STORE_free(a->store);
    sk_X509_CRL_pop_free(a->crls, X509_CRL_free);
    free(a);
}

size_t atls_anchors_count(const struct atls_anchors *a)
{
    return a->count;
}

enum atls_code atls_anchors_add_der(struct atls_anchors *a, struct atls_bytes certificate,
                                    struct atls_err *err)
{
    enum atls_code code;
    X509 *x;
    int ok;

    if ((code = atls_x509_parse(certificate, &x, err)) != ATLS_OK)
        return code;
    ok = X509_STORE_add_cert(a->store, x);
    X509_free(x);
    if (ok != 1)
        return atls_fail_libcrypto(err, "adding a trust anchor");
    a->count++;
    return ATLS_OK;
}

enum atls_code atls_anchors_add_pem(struct atls_anchors *a, struct atls_bytes pem,
                                    size_t *out_count, struct atls_err *err)
{
    struct atls_buf *certificates = calloc(PEM_CERTIFICATES_MAX, sizeof *certificates);
    size_t count = 0;
    enum atls_code code;

    if (certificates == NULL)
        return atls_fail_memory(err, "trust anchors");
    code = atls_certificates_from_pem(pem, certificates, PEM_CERTIFICATES_MAX, &count, err);
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = atls_anchors_add_der(a, atls_buf_bytes(&certificates[i]), err);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&certificates[i]);
    free(certificates);
    if (code == ATLS_OK && out_count != NULL)
        *out_count = count;
    return code;
}

static enum atls_code add_crl(struct atls_anchors *a, struct atls_bytes der, struct atls_err *err)
{
    struct atls_crl crl;
    X509_CRL *x = NULL;
    enum atls_code code;

    if ((code = atls_crl_read(der, &crl, err)) != ATLS_OK)
        return code;
    atls_crl_clear(&crl);
    if ((code = atls_crl_parse(der, &x, err)) != ATLS_OK)
        return code;
    if (X509_STORE_add_crl(a->store, x) != 1 || sk_X509_CRL_push(a->crls, x) <= 0) {
        X509_CRL_free(x);
        return atls_fail_libcrypto(err, "adding a revocation list");
    }
    return ATLS_OK;
}

enum atls_code atls_anchors_add_crls(struct atls_anchors *a, struct atls_bytes crls,
                                     struct atls_err *err)
{
    struct atls_buf *lists = calloc(ATLS_CRLS_MAX, sizeof *lists);
    size_t count = 0;
    enum atls_code code;

    if (lists == NULL)
        return atls_fail_memory(err, "revocation lists");
    code = atls_crls_split(crls, lists, ATLS_CRLS_MAX, &count, err);
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        code = add_crl(a, atls_buf_bytes(&lists[i]), err);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&lists[i]);
    free(lists);
    return code;
}

enum atls_code atls_anchors_add_system(struct atls_anchors *a, struct atls_err *err)
{
    if (X509_STORE_set_default_paths(a->store) != 1)
        return atls_fail_libcrypto(err, "opening the system's trust anchors");
    a->count++; /* the system's store, whatever it holds */
    return ATLS_OK;
}

X509_STORE *atls_anchors_store(const struct atls_anchors *a)
{
    return a->store;
}

bool atls_anchors_have_crls(const struct atls_anchors *a)
{
    return sk_X509_CRL_num(a->crls) > 0;
}

bool atls_anchors_have_crl_of(const struct atls_anchors *a, const X509_NAME *issuer)
{
    for (int i = 0; i < sk_X509_CRL_num(a->crls); i++)
        if (X509_NAME_cmp(X509_CRL_get_issuer(sk_X509_CRL_value(a->crls, i)), issuer) == 0)
            return true;
    return false;
}

int64_t atls_anchors_crl_next_update_s(const struct atls_anchors *a, const X509_NAME *issuer)
{
    int64_t earliest = INT64_MAX, next;

    for (int i = 0; i < sk_X509_CRL_num(a->crls); i++) {
        const X509_CRL *x = sk_X509_CRL_value(a->crls, i);

        if (X509_NAME_cmp(X509_CRL_get_issuer(x), issuer) == 0 &&
            atls_asn1_time(X509_CRL_get0_nextUpdate(x), &next, NULL) == ATLS_OK && next < earliest)
            earliest = next;
    }
    return earliest;
}
