#include "crypto/crypto.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/libcrypto.h"

/* Of libcrypto's levels the one of 112 bits: RSA 2048 and SHA-256 pass, SHA-1 does not. */
#define SECURITY_LEVEL 2

/* Extended key usages of TPM keys (TCG EK Credential Profile). */
#define OID_EK_CERTIFICATE "2.23.133.8.1"
#define OID_AK_CERTIFICATE "2.23.133.8.3"
/* RFC 5280 section 4.2.1.12 */
#define OID_CODE_SIGNING "1.3.6.1.5.5.7.3.3"
#define OID_ANY_USAGE    "2.5.29.37.0"

static const struct failure {
    int x509_error;
    enum atls_reason reason;
    enum atls_alert alert;
} failures[] = {
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ATLS_REASON_UNTRUSTED_ROOT,
     ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_CERT_UNTRUSTED, ATLS_REASON_UNTRUSTED_ROOT, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_INVALID_CA, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, ATLS_REASON_CHAIN_ISSUER, ATLS_ALERT_UNKNOWN_CA},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, ATLS_REASON_CHAIN_SIGNATURE, ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, ATLS_REASON_CHAIN_SIGNATURE,
     ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_CA_MD_TOO_WEAK, ATLS_REASON_WEAK_HASH, ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_CERT_HAS_EXPIRED, ATLS_REASON_CERTIFICATE_EXPIRED, ATLS_ALERT_CERTIFICATE_EXPIRED},
    {X509_V_ERR_CERT_NOT_YET_VALID, ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
     ATLS_ALERT_CERTIFICATE_EXPIRED},
    {X509_V_ERR_CERT_REVOKED, ATLS_REASON_CERTIFICATE_REVOKED, ATLS_ALERT_CERTIFICATE_REVOKED},
    /* A list that cannot be used leaves revocation open: refused as if revoked. */
    {X509_V_ERR_CRL_HAS_EXPIRED, ATLS_REASON_CERTIFICATE_REVOKED, ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_CRL_NOT_YET_VALID, ATLS_REASON_CERTIFICATE_REVOKED, ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE, ATLS_REASON_CERTIFICATE_REVOKED,
     ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_DIFFERENT_CRL_SCOPE, ATLS_REASON_CERTIFICATE_REVOKED,
     ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, ATLS_REASON_CERTIFICATE_REVOKED,
     ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, ATLS_REASON_CERTIFICATE_REVOKED,
     ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_UNABLE_TO_GET_CRL, ATLS_REASON_CERTIFICATE_REVOKED, ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, ATLS_REASON_CERTIFICATE_REVOKED,
     ATLS_ALERT_CERTIFICATE_UNKNOWN},
    {X509_V_ERR_HOSTNAME_MISMATCH, ATLS_REASON_CERTIFICATE_NAME, ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, ATLS_REASON_CERTIFICATE_NAME, ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_PERMITTED_VIOLATION, ATLS_REASON_CERTIFICATE_NAME, ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_EXCLUDED_VIOLATION, ATLS_REASON_CERTIFICATE_NAME, ATLS_ALERT_BAD_CERTIFICATE},
    {X509_V_ERR_INVALID_PURPOSE, ATLS_REASON_KEY_USAGE, ATLS_ALERT_UNSUPPORTED_CERTIFICATE},
    {X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, ATLS_REASON_NONE, ATLS_ALERT_UNSUPPORTED_CERTIFICATE},
};

/* What is said of errors that the table does not name: refused all the same. */
static const struct failure other_failure = {0, ATLS_REASON_NONE, ATLS_ALERT_BAD_CERTIFICATE};

static const struct failure *find_failure(int x509_error)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].x509_error == x509_error)
            return &failures[i];
    return &other_failure;
}

/* Lets a path pass for whose issuer no revocation list was added; everything else stands. */
static int on_error(int ok, X509_STORE_CTX *ctx)
{
    const struct atls_anchors *anchors = X509_STORE_CTX_get_app_data(ctx);
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);

    return ok || (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL && x != NULL &&
                  !atls_anchors_have_crl_of(anchors, X509_get_issuer_name(x)));
}

static enum atls_code set_name(X509_VERIFY_PARAM *param, const char *name, struct atls_err *err)
{
    ASN1_OCTET_STRING *ip;

    /* libcrypto takes "" as "any" and ".example" as "any host below". */
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '*') != NULL)
        return atls_fail(err, ATLS_E_USAGE, "chain: \"%.64s\" is no host name or address", name);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if ((ip = a2i_IPADDRESS(name)) != NULL) {
        ASN1_OCTET_STRING_free(ip);
        if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1)
            return atls_fail_libcrypto(err, "chain: setting the address");
        return ATLS_OK;
    }
    if (X509_VERIFY_PARAM_set1_host(param, name, 0) != 1)
        return atls_fail_libcrypto(err, "chain: setting the name");
    return ATLS_OK;
}

static enum atls_code set_parameters(X509_STORE_CTX *ctx, const struct atls_chain_check *check,
                                     struct atls_err *err)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    int purpose = check->purpose == ATLS_CHAIN_TLS_SERVER   ? X509_PURPOSE_SSL_SERVER
                  : check->purpose == ATLS_CHAIN_TLS_CLIENT ? X509_PURPOSE_SSL_CLIENT
                                                            : X509_PURPOSE_ANY;

    if (atls_anchors_have_crls(check->anchors))
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    if (X509_VERIFY_PARAM_set_flags(param, flags) != 1 ||
        X509_VERIFY_PARAM_set_purpose(param, purpose) != 1)
        return atls_fail_libcrypto(err, "chain: setting its purpose");
    X509_VERIFY_PARAM_set_time(param, (time_t)check->time_s);
    X509_VERIFY_PARAM_set_depth(param, ATLS_CHAIN_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    X509_STORE_CTX_set_app_data(ctx, check->anchors);
    X509_STORE_CTX_set_verify_cb(ctx, on_error);
    return check->name == NULL ? ATLS_OK : set_name(param, check->name, err);
}

static enum atls_code refuse(const X509_STORE_CTX *ctx, size_t presented, struct atls_err *err)
{
    int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
    const struct failure *f = find_failure(error);
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
    enum atls_reason reason = f->reason;

    /* The path ends although more certificates were presented: these do not link to it. */
    if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY &&
        (size_t)(sk_X509_num(path) < 0 ? 0 : sk_X509_num(path)) < presented)
        reason = ATLS_REASON_CHAIN_ISSUER;
    ERR_clear_error();
    return atls_fail_alert(err, ATLS_E_CERTIFICATE, reason, f->alert, "certificate %d of path: %s",
                           depth, X509_verify_cert_error_string(error));
}

static enum atls_code wrong_usage(struct atls_err *err, const char *what)
{
    return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_KEY_USAGE,
                           ATLS_ALERT_UNSUPPORTED_CERTIFICATE, "certificate 0 of path: %s", what);
}

/* True when the leaf has no extended key usage, or one of the two given (either may be NULL). */
static bool has_extended_usage(X509 *leaf, const char *one, const char *other)
{
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
    bool found = usages == NULL && (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) == 0;
    char oid[64];

    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++) {
        OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(usages, i), 1);
        found = found || strcmp(oid, one) == 0 || (other != NULL && strcmp(oid, other) == 0);
    }
    EXTENDED_KEY_USAGE_free(usages);
    return found;
}

/* TCG EK Credential Profile, and the AK profile of the same group: what tells an
 * attestation key, which signs, from an endorsement key, which decrypts. Attestation certificates
 * in the field carry either extended usage, or none. */
static enum atls_code check_tpm_usage(X509 *leaf, enum atls_chain_purpose purpose,
                                      struct atls_err *err)
{
    uint32_t flags = X509_get_extension_flags(leaf), usage = X509_get_key_usage(leaf);
    bool decrypts = (usage & (KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT)) != 0;

    if ((flags & EXFLAG_KUSAGE) == 0)
        return wrong_usage(err, "TPM key without keyUsage");
    if ((flags & EXFLAG_CA) != 0)
        return wrong_usage(err, "TPM key is a certification authority");
    if (purpose == ATLS_CHAIN_TPM_EK) {
        if (!decrypts)
            return wrong_usage(err, "endorsement key without keyEncipherment or keyAgreement");
        if (!has_extended_usage(leaf, OID_EK_CERTIFICATE, NULL))
            return wrong_usage(err, "endorsement key without extended usage 2.23.133.8.1");
        return ATLS_OK;
    }
    if (decrypts)
        return wrong_usage(err, "attestation key with keyEncipherment or keyAgreement");
    if ((usage & KU_DIGITAL_SIGNATURE) == 0)
        return wrong_usage(err, "attestation key without digitalSignature");
    if (!has_extended_usage(leaf, OID_EK_CERTIFICATE, OID_AK_CERTIFICATE))
        return wrong_usage(err, "attestation key without extended usage 2.23.133.8.3 or 8.1");
    return ATLS_OK;
}

/* RFC 8446 section 4.4.2.2: the key of a TLS certificate signs. libcrypto also lets keys pass that
 * only encipher or agree, as TLS before 1.3 used them. */
static enum atls_code check_tls_usage(X509 *leaf, struct atls_err *err)
{
    /* Without the extension every bit counts as set. */
    if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0)
        return wrong_usage(err, "keyUsage without digitalSignature");
    return ATLS_OK;
}

static enum atls_code check_signing_usage(X509 *leaf, struct atls_err *err)
{
    /* Without the extension every bit counts as set. */
    if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0)
        return wrong_usage(err, "keyUsage without digitalSignature");
    if ((X509_get_extension_flags(leaf) & EXFLAG_CA) != 0)
        return wrong_usage(err, "signer is a certification authority");
    if (!has_extended_usage(leaf, OID_CODE_SIGNING, OID_ANY_USAGE))
        return wrong_usage(err, "signer without extended usage codeSigning");
    return ATLS_OK;
}

static enum atls_code check_usage(X509 *leaf, enum atls_chain_purpose purpose, struct atls_err *err)
{
    if (purpose == ATLS_CHAIN_SIGNING)
        return check_signing_usage(leaf, err);
    if (purpose == ATLS_CHAIN_TLS_SERVER || purpose == ATLS_CHAIN_TLS_CLIENT)
        return check_tls_usage(leaf, err);
    return check_tpm_usage(leaf, purpose, err);
}

static enum atls_code fill_result(STACK_OF(X509) * path, struct atls_bytes leaf,
                                  const struct atls_chain_check *check,
                                  struct atls_chain_result *out, struct atls_err *err)
{
    struct atls_chain_result result = {
        .key = NULL,
        .not_after_s = INT64_MAX,
        .anchor = ATLS_BUF_INIT,
    };
    X509 *anchor = sk_X509_value(path, sk_X509_num(path) - 1);
    unsigned char *der = NULL;
    struct atls_bytes spki;
    enum atls_code code;
    int64_t not_after, next_update;
    int len;

    for (int i = 0; i < sk_X509_num(path); i++) {
        if ((code = atls_asn1_time(X509_get0_notAfter(sk_X509_value(path, i)), &not_after, err)) !=
            ATLS_OK)
            return code;
        if (not_after < result.not_after_s)
            result.not_after_s = not_after;
        next_update = atls_anchors_crl_next_update_s(check->anchors,
                                                     X509_get_issuer_name(sk_X509_value(path, i)));
        if (next_update < result.not_after_s)
            result.not_after_s = next_update;
    }
    if ((len = i2d_X509(anchor, &der)) <= 0)
        return atls_fail_libcrypto(err, "chain: encoding the anchor");
    code = atls_buf_copy(&result.anchor, atls_bytes_of(der, (size_t)len), err);
    OPENSSL_free(der);
    if (code == ATLS_OK && (code = atls_certificate_spki(leaf, &spki, err)) == ATLS_OK)
        code = atls_key_from_spki(spki, &result.key, err);
    if (code != ATLS_OK) {
        atls_chain_result_clear(&result);
        return code;
    }
    *out = result;
    return ATLS_OK;
}

static enum atls_code verify_path(STACK_OF(X509) * candidates, struct atls_bytes leaf_der,
                                  const struct atls_chain_check *check,
                                  struct atls_chain_result *out, struct atls_err *err)
{
    X509 *leaf = sk_X509_value(candidates, 0);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) * path;
    enum atls_code code;

    if (ctx == NULL)
        return atls_fail_memory(err, "chain");
    if (X509_STORE_CTX_init(ctx, atls_anchors_store(check->anchors), leaf, candidates) != 1) {
        X509_STORE_CTX_free(ctx);
        return atls_fail_libcrypto(err, "chain");
    }
    if ((code = set_parameters(ctx, check, err)) == ATLS_OK && X509_verify_cert(ctx) != 1)
        code = refuse(ctx, (size_t)sk_X509_num(candidates), err);
    path = X509_STORE_CTX_get0_chain(ctx);
    if (code == ATLS_OK)
        code = check_usage(leaf, check->purpose, err);
    if (code == ATLS_OK)
        code = fill_result(path, leaf_der, check, out, err);
    X509_STORE_CTX_free(ctx);
    return code;
}

static enum atls_code check_arguments(size_t count, const struct atls_chain_check *check,
                                      struct atls_err *err)
{
    if (check->anchors == NULL)
        return atls_fail(err, ATLS_E_USAGE, "chain: no trust anchors given");
    if (check->purpose < ATLS_CHAIN_TLS_SERVER || check->purpose > ATLS_CHAIN_SIGNING)
        return atls_fail(err, ATLS_E_USAGE, "chain: no purpose has number %d", (int)check->purpose);
    if (check->purpose == ATLS_CHAIN_TLS_SERVER && check->name == NULL)
        return atls_fail(err, ATLS_E_USAGE, "chain: a server's certificate needs a name to match");
    if (count == 0 || count > ATLS_CHAIN_MAX)
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_NONE,
                               ATLS_ALERT_BAD_CERTIFICATE, "chain: %zu certificates, want 1..%d",
                               count, ATLS_CHAIN_MAX);
    return ATLS_OK;
}

enum atls_code atls_chain_verify(const struct atls_bytes *chain, size_t count,
                                 const struct atls_chain_check *check,
                                 struct atls_chain_result *out, struct atls_err *err)
{
    STACK_OF(X509) * candidates;
    enum atls_code code;
    X509 *x = NULL;

    if ((code = check_arguments(count, check, err)) != ATLS_OK)
        return code;
    if ((candidates = sk_X509_new_null()) == NULL)
        return atls_fail_memory(err, "chain");
    for (size_t i = 0; i < count && code == ATLS_OK; i++) {
        if ((code = atls_x509_parse(chain[i], &x, err)) == ATLS_OK &&
            sk_X509_push(candidates, x) <= 0) {
            X509_free(x);
            code = atls_fail_memory(err, "chain");
        }
    }
    if (code == ATLS_OK)
        code = verify_path(candidates, chain[0], check, out, err);
    sk_X509_pop_free(candidates, X509_free);
    return code;
}

void atls_chain_result_clear(struct atls_chain_result *r)
{
    if (r == NULL)
        return;
    atls_key_unref(r->key);
    atls_buf_clear(&r->anchor);
    r->key = NULL;
    r->not_after_s = 0;
}
