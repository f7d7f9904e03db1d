#include "crypto/crypto.h"

#include <openssl/rsa.h>

#include "core/err.h"
#include "core/reader.h"
#include "crypto/libcrypto.h"

/* RFC 8446 section 4.2.3 (schemes, and which may stand in CertificateVerify); RFC 9053 section 2
 * and RFC 8812, RFC 8230 (COSE); RFC 7518 section 3.1 and RFC 8037 (JOSE). */
/* clang-format off */
static const struct atls_signature_algorithm algorithms[] = {
    /* scheme                 name                      key               hash              CV     COSE  JOSE */
    {ATLS_ECDSA_P256_SHA256, "ecdsa_secp256r1_sha256", ATLS_KEY_P256,    ATLS_HASH_SHA256, true,  -7,   "ES256"},
    {ATLS_ECDSA_P384_SHA384, "ecdsa_secp384r1_sha384", ATLS_KEY_P384,    ATLS_HASH_SHA384, true,  -35,  "ES384"},
    {ATLS_ECDSA_P521_SHA512, "ecdsa_secp521r1_sha512", ATLS_KEY_P521,    ATLS_HASH_SHA512, true,  -36,  "ES512"},
    {ATLS_ED25519,           "ed25519",                ATLS_KEY_ED25519, ATLS_HASH_NONE,   true,  -8,   "EdDSA"},
    {ATLS_RSA_PSS_SHA256,    "rsa_pss_rsae_sha256",    ATLS_KEY_RSA,     ATLS_HASH_SHA256, true,  -37,  "PS256"},
    {ATLS_RSA_PSS_SHA384,    "rsa_pss_rsae_sha384",    ATLS_KEY_RSA,     ATLS_HASH_SHA384, true,  -38,  "PS384"},
    {ATLS_RSA_PSS_SHA512,    "rsa_pss_rsae_sha512",    ATLS_KEY_RSA,     ATLS_HASH_SHA512, true,  -39,  "PS512"},
    {ATLS_RSA_PKCS1_SHA256,  "rsa_pkcs1_sha256",       ATLS_KEY_RSA,     ATLS_HASH_SHA256, false, -257, "RS256"},
    {ATLS_RSA_PKCS1_SHA384,  "rsa_pkcs1_sha384",       ATLS_KEY_RSA,     ATLS_HASH_SHA384, false, -258, "RS384"},
    {ATLS_RSA_PKCS1_SHA512,  "rsa_pkcs1_sha512",       ATLS_KEY_RSA,     ATLS_HASH_SHA512, false, -259, "RS512"},
};
/* clang-format on */
#define ALGORITHM_COUNT (sizeof algorithms / sizeof algorithms[0])

const struct atls_signature_algorithm *atls_signature_find(enum atls_signature scheme)
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        if (algorithms[i].scheme == scheme)
            return &algorithms[i];
    return NULL;
}

const struct atls_signature_algorithm *atls_signature_by_cose(int64_t alg, enum atls_key_type type)
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        if (algorithms[i].cose_alg == alg && algorithms[i].key_type == type)
            return &algorithms[i];
    return NULL;
}

const struct atls_signature_algorithm *atls_signature_by_jose(struct atls_bytes alg)
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        if (atls_bytes_equal_text(alg, algorithms[i].jose_alg))
            return &algorithms[i];
    return NULL;
}

enum atls_code atls_signature_for_key(const struct atls_key *key, enum atls_signature scheme,
                                      const struct atls_signature_algorithm **out,
                                      struct atls_err *err)
{
    const struct atls_signature_algorithm *alg = atls_signature_find(scheme);

    if (alg == NULL)
        return atls_fail_alert(err, ATLS_E_UNSUPPORTED, ATLS_REASON_NONE,
                               ATLS_ALERT_ILLEGAL_PARAMETER, "signature scheme 0x%04x is unknown",
                               (unsigned int)scheme);
    if (alg->key_type != key->type)
        return atls_fail_alert(err, ATLS_E_UNSUPPORTED, ATLS_REASON_NONE,
                               ATLS_ALERT_ILLEGAL_PARAMETER,
                               "signature scheme %s does not fit the key", alg->name);
    *out = alg;
    return ATLS_OK;
}

enum atls_code atls_signature_configure(const struct atls_signature_algorithm *alg,
                                        EVP_PKEY_CTX *ctx, struct atls_err *err)
{
    const EVP_MD *md = atls_libcrypto()->md[alg->hash];
    int padding = alg->certificate_verify ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;

    if (alg->key_type != ATLS_KEY_RSA)
        return ATLS_OK;
    if (md == NULL || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1 ||
        EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
        return atls_fail_libcrypto(err, "RSA padding");
    if (padding == RSA_PKCS1_PSS_PADDING &&
        (EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) != 1))
        return atls_fail_libcrypto(err, "RSA-PSS parameters");
    return ATLS_OK;
}
