/* Anchors of confidential computing: who may be one. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/certificate.h"
#include "store/collateral_document.h"
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

/* ---- lists that anchors sign ---- */

#define ROOT_NAME_MAX (ATLS_COLLATERAL_SUBJECT_MAX + 8)

/* Common name of who signs lists of this kind; false for other documents, which somebody below an
 * anchor signs, or nobody. */
static bool root_of(const struct atls_collateral_query *query, char out[ROOT_NAME_MAX])
{
    if (query->kind == ATLS_COLLATERAL_TDX_ROOT_CRL) {
        snprintf(out, ROOT_NAME_MAX, "Intel SGX Root CA");
        return true;
    }
    if (query->kind != ATLS_COLLATERAL_SNP_CRL)
        return false;
    snprintf(out, ROOT_NAME_MAX, "ARK-%s", query->subject);
    if (out[4] >= 'a' && out[4] <= 'z')
        out[4] = (char)(out[4] - 'a' + 'A');
    return true;
}

static bool signs(const struct atls_certificate *root, const struct store_collateral *list,
                  const struct store_collateral_dates *dates)
{
    struct atls_revocation_check check = {
        .crl = list->document, .issuer = root, .time_s = dates->from_s};

    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        check.algorithm = signatures[i];
        if (atls_revocation_verify(&check, NULL, 0, NULL, NULL) == ATLS_OK)
            return true;
    }
    return false;
}

enum atls_code store_check_list(struct store_connection *c, const struct store_collateral *list,
                                const struct store_collateral_dates *dates, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_TEE_ANCHORS);
    bool row, named = false, is_signed = false;
    struct atls_certificate *root;
    char name[ROOT_NAME_MAX];
    enum atls_code code;

    if (!root_of(&list->query, name))
        return ATLS_OK;
    while ((code = store_step(&q, &row, err)) == ATLS_OK && row && !is_signed) {
        if ((code = atls_certificate_parse(store_column(&q, 0), &root, err)) != ATLS_OK)
            break;
        if (atls_bytes_equal_text(atls_certificate_subject_cn(root), name)) {
            named = true;
            is_signed = signs(root, list, dates);
        }
        atls_certificate_unref(root);
    }
    store_end(&q);
    if (code != ATLS_OK || is_signed || !named)
        return code;
    return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CRL_SIGNATURE,
                            "no \"%s\" on file signed this list", name);
}
