#include "tpm_activate.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "testlib.h"

#include "core/reader.h"
#include "wire/tpm.h"

/* KDFa is KBKDF in counter mode: label || 00 || context || bits. */
void test_tpm_kdfa(struct atls_bytes key, const char *label, struct atls_bytes context,
                   uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, (char[]){"HMAC"}, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, (char[]){"counter"}, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key.ptr, key.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)label,
                                          strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)context.ptr,
                                          context.len),
        OSSL_PARAM_construct_end(),
    };

    if (context.len == 0)
        params[5] = OSSL_PARAM_construct_end();
    assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

/* KDFe is SSKDF over a hash: counter || Z || label NUL || U || V. */
void test_tpm_kdfe(struct atls_bytes z, const char *label, struct atls_bytes u, struct atls_bytes v,
                   uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SSKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    uint8_t info[256];
    size_t info_len = strlen(label) + 1;
    OSSL_PARAM params[4];

    memcpy(info, label, info_len);
    memcpy(info + info_len, u.ptr, u.len);
    memcpy(info + info_len + u.len, v.ptr, v.len);
    info_len += u.len + v.len;
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0);
    params[1] =
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)z.ptr, z.len);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, info_len);
    params[3] = OSSL_PARAM_construct_end();
    assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static EVP_PKEY *pkey_of(const struct atls_private_key *key)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    EVP_PKEY *pkey;
    BIO *bio;

    test_assert_code(atls_private_key_to_pem(key, &pem, &err), ATLS_OK, &err);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(pkey);
    BIO_free(bio);
    atls_buf_clear(&pem);
    return pkey;
}

static bool open_rsa_seed(EVP_PKEY *ek, struct atls_bytes secret, uint8_t seed[32])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ek, NULL);
    uint8_t plain[512];
    size_t len = sizeof plain;
    bool ok;

    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_memdup("IDENTITY", 9), 9), 1);
    ok = EVP_PKEY_decrypt(ctx, plain, &len, secret.ptr, secret.len) == 1 && len == 32;
    EVP_PKEY_CTX_free(ctx);
    if (ok)
        memcpy(seed, plain, 32);
    return ok;
}

static EVP_PKEY *point_of(struct atls_bytes x, struct atls_bytes y)
{
    struct atls_tpmt_public area = {
        .type = ATLS_TPM_ALG_ECC, .curve = ATLS_TPM_ECC_NIST_P256, .x = x, .y = y};
    struct atls_writer w = atls_writer_init(256);
    const unsigned char *p;
    EVP_PKEY *pkey;

    assert_int_equal(atls_tpmt_public_put_spki(&area, &w, NULL), ATLS_OK);
    p = w.ptr;
    pkey = d2i_PUBKEY(NULL, &p, (long)w.len);
    assert_non_null(pkey);
    atls_writer_clear(&w);
    return pkey;
}

static bool open_ecc_seed(EVP_PKEY *ek, struct atls_bytes secret, uint8_t seed[32])
{
    struct atls_reader r = atls_reader_init(secret);
    struct atls_bytes x = {NULL, 0}, y = {NULL, 0};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ek, NULL);
    EVP_PKEY *peer;
    BIGNUM *own_x = NULL;
    uint8_t z[32], own[32];
    size_t len = sizeof z;

    assert_true(atls_get_vec(&r, 32, 0xffff, &x) && atls_get_vec(&r, 32, 0xffff, &y) &&
                atls_reader_done(&r) && x.len == 32 && y.len == 32);
    peer = point_of(x, y);
    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
    assert_int_equal(EVP_PKEY_derive(ctx, z, &len), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(ek, OSSL_PKEY_PARAM_EC_PUB_X, &own_x), 1);
    assert_int_equal(BN_bn2binpad(own_x, own, 32), 32);
    test_tpm_kdfe(atls_bytes_of(z, 32), "IDENTITY", x, atls_bytes_of(own, 32), seed, 32);
    BN_free(own_x);
    EVP_PKEY_free(peer);
    EVP_PKEY_CTX_free(ctx);
    return true;
}

bool test_tpm_activate(const struct test_tpm_key *ek, struct atls_bytes name,
                       struct atls_bytes id_object, struct atls_bytes encrypted_secret,
                       uint8_t *out, size_t *out_len)
{
    struct atls_reader id = atls_reader_init(id_object);
    struct atls_reader enc = atls_reader_init(encrypted_secret);
    struct atls_bytes object, secret, outer, identity;
    EVP_PKEY *pkey = pkey_of(ek->private_key);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    uint8_t seed[32], key[32], mac[32], joined[256], plain[64];
    static const uint8_t iv[16];
    unsigned int mac_len = sizeof mac;
    int len = 0;
    bool ok;

    assert_true(atls_get_vec(&id, 0, 0xffff, &object) && atls_reader_done(&id));
    assert_true(atls_get_vec(&enc, 0, 0xffff, &secret) && atls_reader_done(&enc));
    id = atls_reader_init(object);
    assert_true(atls_get_vec(&id, 32, 0xffff, &outer) && outer.len == 32 &&
                atls_get_bytes(&id, atls_reader_left(&id), &identity));
    ok = EVP_PKEY_is_a(pkey, "RSA") ? open_rsa_seed(pkey, secret, seed)
                                    : open_ecc_seed(pkey, secret, seed);
    if (!ok) { /* RSA tells of another EK here, ECC by the HMAC */
        EVP_CIPHER_CTX_free(cipher);
        EVP_PKEY_free(pkey);
        return false;
    }
    test_tpm_kdfa(atls_bytes_of(seed, 32), "INTEGRITY", atls_bytes_of(NULL, 0), key, 32);
    memcpy(joined, identity.ptr, identity.len);
    memcpy(joined + identity.len, name.ptr, name.len);
    assert_non_null(HMAC(EVP_sha256(), key, 32, joined, identity.len + name.len, mac, &mac_len));
    ok = memcmp(mac, outer.ptr, 32) == 0;
    if (ok) {
        test_tpm_kdfa(atls_bytes_of(seed, 32), "STORAGE", name, key, 16);
        assert_int_equal(EVP_DecryptInit_ex(cipher, EVP_aes_128_cfb128(), NULL, key, iv), 1);
        assert_int_equal(EVP_DecryptUpdate(cipher, plain, &len, identity.ptr, (int)identity.len),
                         1);
        assert_int_equal(plain[0] << 8 | plain[1], len - 2);
        *out_len = (size_t)len - 2;
        memcpy(out, plain + 2, *out_len);
    }
    EVP_CIPHER_CTX_free(cipher);
    EVP_PKEY_free(pkey);
    return ok;
}
