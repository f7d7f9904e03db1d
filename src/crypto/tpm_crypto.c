#include "crypto/tpm_crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "core/err.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/libcrypto.h"

#define RSA_LEN_MAX 1024 /* 8192 bits */

/* The context takes over a copy of the label. */
static bool set_label(EVP_PKEY_CTX *ctx, struct atls_bytes label)
{
    unsigned char *copy = OPENSSL_memdup(label.ptr, label.len);

    if (copy == NULL)
        return false;
    if (label.len <= INT_MAX && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label.len) == 1)
        return true;
    OPENSSL_free(copy);
    return false;
}

enum atls_code atls_rsa_oaep_encrypt(const struct atls_key *key, enum atls_hash hash,
                                     struct atls_bytes label, struct atls_bytes plain,
                                     struct atls_buf *out, struct atls_err *err)
{
    uint8_t cipher[RSA_LEN_MAX];
    size_t len = sizeof cipher;
    EVP_PKEY_CTX *ctx;
    const EVP_MD *md;
    bool ok;

    if (key->type != ATLS_KEY_RSA || atls_hash_len(hash) == 0)
        return atls_fail(err, ATLS_E_USAGE, "OAEP: key type %d, hash %d; want RSA and a hash",
                         (int)key->type, (int)hash);
    if ((md = atls_libcrypto()->md[hash]) == NULL ||
        (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL)) == NULL)
        return atls_fail_libcrypto(err, "OAEP");
    ok = EVP_PKEY_encrypt_init(ctx) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
         set_label(ctx, label) && EVP_PKEY_encrypt(ctx, cipher, &len, plain.ptr, plain.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!ok)
        return atls_fail_libcrypto(err, "OAEP");
    return atls_buf_copy(out, atls_bytes_of(cipher, len), err);
}

/* One public coordinate, padded to the field. */
static bool get_coordinate(const EVP_PKEY *pkey, const char *name, size_t len, uint8_t *out)
{
    BIGNUM *n = NULL;
    bool ok = EVP_PKEY_get_bn_param(pkey, name, &n) == 1 && BN_bn2binpad(n, out, (int)len) >= 0;

    BN_free(n);
    return ok;
}

/* The shared point's x, padded: what EVP_PKEY_derive gives for ECDH. */
static bool derive(EVP_PKEY *own, EVP_PKEY *peer, size_t len, uint8_t *out)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    size_t got = len;
    bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer(ctx, peer) == 1 && EVP_PKEY_derive(ctx, out, &got) == 1 &&
              got == len;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static EVP_PKEY *generate_like(EVP_PKEY *peer)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
    EVP_PKEY *own = NULL;

    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_keygen(ctx, &own) != 1)
        own = NULL;
    EVP_PKEY_CTX_free(ctx);
    return own;
}

enum atls_code atls_ecdh_ephemeral(const struct atls_key *peer, struct atls_ecdh *out,
                                   struct atls_err *err)
{
    struct atls_ecdh half = {0};
    EVP_PKEY *own;
    bool ok;

    half.len = atls_key_field_len(peer->type);
    if (half.len == 0 || half.len > ATLS_ECDH_FIELD_MAX)
        return atls_fail(err, ATLS_E_USAGE, "ECDH: key type %d, want P-256, P-384 or P-521",
                         (int)peer->type);
    if ((own = generate_like(peer->pkey)) == NULL)
        return atls_fail_libcrypto(err, "ECDH");
    ok = get_coordinate(own, OSSL_PKEY_PARAM_EC_PUB_X, half.len, half.x) &&
         get_coordinate(own, OSSL_PKEY_PARAM_EC_PUB_Y, half.len, half.y) &&
         get_coordinate(peer->pkey, OSSL_PKEY_PARAM_EC_PUB_X, half.len, half.peer_x) &&
         derive(own, peer->pkey, half.len, half.shared);
    EVP_PKEY_free(own);
    if (ok)
        *out = half;
    atls_wipe(&half, sizeof half);
    return ok ? ATLS_OK : atls_fail_libcrypto(err, "ECDH");
}

enum atls_code atls_aes_cfb_encrypt(struct atls_bytes key, struct atls_bytes plain, uint8_t *out,
                                    struct atls_err *err)
{
    static const uint8_t iv[16];
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
    int len = 0;
    bool ok;

    if ((key.len != 16 && key.len != 32) || plain.len > INT_MAX)
        return atls_fail(err, ATLS_E_USAGE, "AES-CFB: key of %zu bytes, want 16 or 32", key.len);
    cipher = EVP_CIPHER_fetch(NULL, key.len == 16 ? "AES-128-CFB" : "AES-256-CFB", NULL);
    ctx = EVP_CIPHER_CTX_new();
    ok = cipher != NULL && ctx != NULL &&
         EVP_EncryptInit_ex2(ctx, cipher, key.ptr, iv, NULL) == 1 &&
         EVP_EncryptUpdate(ctx, out, &len, plain.ptr, (int)plain.len) == 1 &&
         (size_t)len == plain.len;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return ok ? ATLS_OK : atls_fail_libcrypto(err, "AES-CFB");
}

enum atls_code atls_certificate_has_usage(struct atls_bytes certificate, const char *oid, bool *out,
                                          struct atls_err *err)
{
    EXTENDED_KEY_USAGE *usages;
    ASN1_OBJECT *want;
    X509 *x509;
    enum atls_code code;
    bool found = false;

    if ((code = atls_x509_parse(certificate, &x509, err)) != ATLS_OK)
        return code;
    want = OBJ_txt2obj(oid, 1);
    usages = X509_get_ext_d2i(x509, NID_ext_key_usage, NULL, NULL);
    X509_free(x509);
    if (want == NULL) {
        sk_ASN1_OBJECT_pop_free(usages, ASN1_OBJECT_free);
        return atls_fail_libcrypto(err, "extended key usage");
    }
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
        found = found || OBJ_cmp(sk_ASN1_OBJECT_value(usages, i), want) == 0;
    sk_ASN1_OBJECT_pop_free(usages, ASN1_OBJECT_free);
    ASN1_OBJECT_free(want);
    *out = found;
    return ATLS_OK;
}
