#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "store/manifest.h"

/* A PEM text of one kind: a certificate in place of a key would be taken for one otherwise. */
static bool begins_with(struct atls_bytes pem, const char *label)
{
    size_t len = strlen(label);

    return pem.len >= len && memcmp(pem.ptr, label, len) == 0;
}

static enum atls_code check_public_key(struct atls_bytes pem, struct atls_err *err)
{
    struct atls_key *key;
    enum atls_code code;

    if (!begins_with(pem, "-----BEGIN PUBLIC KEY-----"))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "does not begin with -----BEGIN PUBLIC KEY-----");
    if ((code = atls_key_from_pem(pem, &key, err)) == ATLS_OK)
        atls_key_unref(key);
    return code;
}

/* Certificates that can become anchors: one PEM text of at most max. */
static enum atls_code check_certificates(struct atls_bytes pem, size_t max, struct atls_err *err)
{
    struct atls_anchors *anchors;
    enum atls_code code;
    size_t count;

    if (!begins_with(pem, "-----BEGIN CERTIFICATE-----"))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "does not begin with -----BEGIN CERTIFICATE-----");
    if ((code = atls_anchors_new(&anchors, err)) != ATLS_OK)
        return code;
    if ((code = atls_anchors_add_pem(anchors, pem, &count, err)) == ATLS_OK && count > max)
        code = atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "holds %zu certificates, at most %zu are wanted", count, max);
    atls_anchors_unref(anchors);
    return code;
}

static enum atls_code check_certificate_der(struct atls_bytes der, struct atls_err *err)
{
    struct atls_anchors *anchors;
    enum atls_code code = atls_anchors_new(&anchors, err);

    if (code != ATLS_OK)
        return code;
    code = atls_anchors_add_der(anchors, der, err);
    atls_anchors_unref(anchors);
    return code;
}

static enum atls_code check_key(const struct atls_corim_key *key, struct atls_err *err)
{
    switch (key->tag) {
    case ATLS_TAG_PKIX_KEY:
        return check_public_key(key->content, err);
    case ATLS_TAG_PKIX_CERT:
        return check_certificates(key->content, 1, err);
    case ATLS_TAG_PKIX_PATH:
        return check_certificates(key->content, ATLS_CHAIN_MAX, err);
    case ATLS_TAG_CERT_DER:
        return check_certificate_der(key->content, err);
    default:
        return ATLS_OK;
    }
}

static enum atls_code check_keys(const struct atls_corim_attest_key *triples, size_t count,
                                 const char *kind, struct atls_err *err)
{
    char place[64];
    enum atls_code code;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < triples[i].count; k++)
            if ((code = check_key(&triples[i].keys[k], err)) != ATLS_OK) {
                snprintf(place, sizeof place, "%s triple %zu: key %zu", kind, i, k);
                return atls_err_prefix(err, code, place);
            }
    return ATLS_OK;
}

enum atls_code store_manifest_check(const struct atls_corim *corim,
                                    const struct atls_corim_profile **out_profile,
                                    struct atls_err *err)
{
    const struct atls_corim_profile *profile;
    enum atls_code code;
    char place[32];

    if ((code = atls_corim_profile_check(corim, &profile, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < corim->tag_count; i++) {
        const struct atls_comid *m = corim->tags[i].comid;

        if (m == NULL)
            continue;
        if ((code = check_keys(m->identities, m->identity_count, "identity", err)) != ATLS_OK ||
            (code = check_keys(m->attest_keys, m->attest_key_count, "attest-key", err)) !=
                ATLS_OK) {
            snprintf(place, sizeof place, "CoRIM: tag %zu", i);
            return atls_err_prefix(err, code, place);
        }
    }
    if (out_profile != NULL)
        *out_profile = profile;
    return ATLS_OK;
}
