#include <openssl/err.h>
#include <openssl/x509.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "crypto/libcrypto.h"
#include "tls/openssl/error.h"

/* Without an allocation: X509_STORE_CTX_get1_crls gives NULL both for none and for no memory. */
static bool has_crl_of(X509_STORE *store, const X509_NAME *issuer)
{
    const STACK_OF(X509_OBJECT) * objects;
    bool found = false;

    if (X509_STORE_lock(store) != 1)
        return true; /* refuses */
    objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects) && !found; i++) {
        const X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));

        found = crl != NULL && X509_NAME_cmp(X509_CRL_get_issuer(crl), issuer) == 0;
    }
    X509_STORE_unlock(store);
    return found;
}

/* Lets a path pass for whose issuer there is no revocation list: OpenSSL knows only lists for all
 * issuers or for none. */
static int skip_without_crl(int ok, X509_STORE_CTX *path)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(path);

    if (ok == 1 || X509_STORE_CTX_get_error(path) != X509_V_ERR_UNABLE_TO_GET_CRL ||
        certificate == NULL ||
        has_crl_of(X509_STORE_CTX_get0_store(path), X509_get_issuer_name(certificate)))
        return ok;
    X509_STORE_CTX_set_error(path, X509_V_OK);
    return 1;
}

/* ctx trusts what was added to a, and the lists decide where there is one. */
static enum atls_code use(SSL_CTX *ctx, struct atls_anchors *a, struct atls_bytes crls,
                          struct atls_err *err)
{
    X509_STORE *store = atls_anchors_store(a);
    enum atls_code code;

    if (crls.len > 0) {
        if ((code = atls_anchors_add_crls(a, crls, err)) != ATLS_OK)
            return code;
        X509_STORE_set_verify_cb(store, skip_without_crl);
        if (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
            return atls_openssl_fail(err, NULL, "revocation lists");
    }
    SSL_CTX_set1_cert_store(ctx, store);
    return ATLS_OK;
}

/* pem NULL: the anchors of the system. */
static enum atls_code trust(SSL_CTX *ctx, const struct atls_bytes *pem, struct atls_bytes crls,
                            struct atls_err *err)
{
    struct atls_anchors *a;
    enum atls_code code = atls_anchors_new(&a, err);

    if (code != ATLS_OK)
        return code;
    code = pem != NULL ? atls_anchors_add_pem(a, *pem, NULL, err) : atls_anchors_add_system(a, err);
    if (code == ATLS_OK)
        code = use(ctx, a, crls, err);
    atls_anchors_unref(a);
    return code;
}

enum atls_code atls_openssl_trust(SSL_CTX *ctx, struct atls_bytes anchors, struct atls_bytes crls,
                                  struct atls_err *err)
{
    return trust(ctx, &anchors, crls, err);
}

enum atls_code atls_openssl_trust_system(SSL_CTX *ctx, struct atls_bytes crls, struct atls_err *err)
{
    return trust(ctx, NULL, crls, err);
}
