/* Anchors of confidential computing: who may be one. */
#include <stdio.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/certificate.h"
#include "store/db.h"

/* Makers sign in one of these ways each. */
static const enum atls_certificate_signature signatures[] = {ATLS_SIGNED_ECDSA_P256_SHA256,
                                                             ATLS_SIGNED_RSA_PSS_SHA384};

/* One attempt that fails leaves no trace in err. */
static enum atls_code verify(const struct atls_certificate *child,
                             const struct atls_certificate *issuer, struct atls_err *err)
{
    struct atls_err attempt = ATLS_ERR_INIT;
    enum atls_code code = ATLS_E_INTERNAL;

    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++)
        if ((code = atls_certificate_issued_by(child, issuer, signatures[i], &attempt)) !=
            ATLS_E_CERTIFICATE)
            break;
    if (code != ATLS_OK && code != ATLS_E_CERTIFICATE && err != NULL)
        *err = attempt;
    return code;
}

static enum atls_code refuse(const struct atls_certificate *c, enum atls_reason reason,
                             const char *why, struct atls_err *err)
{
    char subject[256];

    store_name_text(atls_certificate_subject(c), subject, sizeof subject);
    return atls_fail_reason(err, ATLS_E_CERTIFICATE, reason, "anchor %s: %s", subject, why);
}

/* Whether der is a root that signed child: *out_named when it bears the issuer's name. */
static enum atls_code try_root(const struct atls_certificate *child, struct atls_bytes der,
                               bool *out_named, bool *out_signed, struct atls_err *err)
{
    struct atls_certificate *root;
    enum atls_code code;

    if ((code = atls_certificate_parse(der, &root, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "store");
    if (atls_certificate_is_self_issued(root) &&
        atls_bytes_equal(atls_certificate_subject(root), atls_certificate_issuer(child))) {
        *out_named = true;
        code = verify(child, root, err);
        *out_signed = code == ATLS_OK;
    }
    atls_certificate_unref(root);
    return code == ATLS_E_CERTIFICATE ? ATLS_OK : code;
}

static enum atls_code check_issuer(struct store_connection *c, const struct atls_certificate *child,
                                   struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_TEE_ANCHORS);
    bool row, named = false, is_signed = false;
    enum atls_code code;

    while ((code = store_step(&q, &row, err)) == ATLS_OK && row && !is_signed)
        if ((code = try_root(child, store_column(&q, 0), &named, &is_signed, err)) != ATLS_OK)
            break;
    store_end(&q);
    if (code != ATLS_OK || is_signed)
        return code;
    return named
               ? refuse(child, ATLS_REASON_CHAIN_SIGNATURE,
                        "the root of its issuer's name has not signed it", err)
               : refuse(child, ATLS_REASON_CHAIN_ISSUER,
                        "not self-signed, and its root is neither on file nor in this import", err);
}

static enum atls_code check(struct store_connection *c, const struct atls_certificate *certificate,
                            struct atls_err *err)
{
    enum atls_code code;

    if (!atls_certificate_is_ca(certificate))
        return refuse(certificate, ATLS_REASON_KEY_USAGE, "not the certificate of a CA", err);
    if (!atls_certificate_is_self_issued(certificate))
        return check_issuer(c, certificate, err);
    code = verify(certificate, certificate, err);
    return code == ATLS_E_CERTIFICATE ? refuse(certificate, ATLS_REASON_CHAIN_SIGNATURE,
                                               "its own key has not signed it as makers do "
                                               "(RSA-PSS with SHA-384, or ECDSA P-256)",
                                               err)
                                      : code;
}

enum atls_code store_check_tee_anchor(struct store_connection *c, struct atls_bytes der,
                                      struct atls_err *err)
{
    struct atls_certificate *certificate;
    enum atls_code code;

    if ((code = atls_certificate_parse(der, &certificate, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "anchor");
    code = check(c, certificate, err);
    atls_certificate_unref(certificate);
    return code;
}
