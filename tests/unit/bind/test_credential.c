/* Credentials are opened here by the inverse, what a TPM does in TPM2_ActivateCredential, written
 * over libcrypto's own key derivation functions. */
#include "testlib.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "pki.h"
#include "tpm_forge.h"

#include "bind/credential.h"
#include "core/err.h"
#include "core/reader.h"

/* ---- an independent view of the derivations ---- */

/* KDFa is KBKDF in counter mode: label || 00 || context || bits. */
static void openssl_kdfa(struct atls_bytes key, const char *label, struct atls_bytes context,
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
static void openssl_kdfe(struct atls_bytes z, const char *label, struct atls_bytes u,
                         struct atls_bytes v, uint8_t *out, size_t len)
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

static void derivations_agree_with_libcrypto(void **state)
{
    static const size_t lens[] = {1, 16, 31, 32, 33, 64};
    static const uint8_t huge[2048];
    static const uint8_t z[32] = {1, 2, 3}, u[34] = {4, 5, 6}, v[32] = {7, 8, 9};
    struct atls_tpm_kdf kdf = {
        .hash = ATLS_HASH_SHA256,
        .key = {z, sizeof z},
        .label = "IDENTITY",
        .u = {u, sizeof u},
        .v = {v, sizeof v},
    };
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t got[64], want[64], joined[sizeof u + sizeof v];

    (void)state;
    memcpy(joined, u, sizeof u);
    memcpy(joined + sizeof u, v, sizeof v);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        test_assert_code(atls_tpm_kdfa(&kdf, got, lens[i], &err), ATLS_OK, &err);
        openssl_kdfa(kdf.key, kdf.label, atls_bytes_of(joined, sizeof joined), want, lens[i]);
        assert_memory_equal(got, want, lens[i]);
        test_assert_code(atls_tpm_kdfe(&kdf, got, lens[i], &err), ATLS_OK, &err);
        openssl_kdfe(kdf.key, kdf.label, kdf.u, kdf.v, want, lens[i]);
        assert_memory_equal(got, want, lens[i]);
    }
    test_assert_code(atls_tpm_kdfa(&kdf, got, 0, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_tpm_kdfa(&kdf, got, 65, &err), ATLS_E_USAGE, &err);
    kdf.hash = ATLS_HASH_NONE;
    test_assert_code(atls_tpm_kdfe(&kdf, got, 16, &err), ATLS_E_USAGE, &err);
    kdf.hash = ATLS_HASH_SHA256;
    /* Contexts that no TPM has do not fit. */
    kdf.v = atls_bytes_of(huge, sizeof huge);
    test_assert_code(atls_tpm_kdfa(&kdf, got, 16, &err), ATLS_E_LIMIT, &err);
}

/* ---- the TPM's side ---- */

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
    openssl_kdfe(atls_bytes_of(z, 32), "IDENTITY", x, atls_bytes_of(own, 32), seed, 32);
    BN_free(own_x);
    EVP_PKEY_free(peer);
    EVP_PKEY_CTX_free(ctx);
    return true;
}

/* TPM2_ActivateCredential for the object of name; false when the HMAC does not fit. */
static bool activate(const struct test_tpm_key *ek, struct atls_bytes name,
                     const struct atls_credential *c, uint8_t *out, size_t *out_len)
{
    struct atls_reader id = atls_reader_init(atls_buf_bytes(&c->id_object));
    struct atls_reader enc = atls_reader_init(atls_buf_bytes(&c->encrypted_secret));
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
    assert_true(ok);
    openssl_kdfa(atls_bytes_of(seed, 32), "INTEGRITY", atls_bytes_of(NULL, 0), key, 32);
    memcpy(joined, identity.ptr, identity.len);
    memcpy(joined + identity.len, name.ptr, name.len);
    assert_non_null(HMAC(EVP_sha256(), key, 32, joined, identity.len + name.len, mac, &mac_len));
    ok = memcmp(mac, outer.ptr, 32) == 0;
    if (ok) {
        openssl_kdfa(atls_bytes_of(seed, 32), "STORAGE", name, key, 16);
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

/* ---- the tests ---- */

struct pair {
    struct test_tpm_key ek, ak;
    struct atls_buf ek_public;
    struct atls_tpmt_public area;
    struct atls_tpm_name name;
};

static struct pair pair_new(enum atls_key_type type)
{
    struct pair p;
    struct atls_buf ak;
    struct atls_tpmt_public area;
    struct atls_err err = ATLS_ERR_INIT;

    p.ek = test_tpm_ek_new(type);
    p.ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    p.ek_public = test_tpm_public(&p.ek);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&p.ek_public), &p.area, &err), ATLS_OK,
                     &err);
    ak = test_tpm_public(&p.ak);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&ak), &area, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm_name_of(&area, &p.name, &err), ATLS_OK, &err);
    atls_buf_clear(&ak);
    return p;
}

static void pair_clear(struct pair *p)
{
    test_tpm_key_clear(&p->ek);
    test_tpm_key_clear(&p->ak);
    atls_buf_clear(&p->ek_public);
}

static void what_was_protected_is_opened(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_P256};
    static const size_t lens[] = {1, 9, 32};
    static const uint8_t secret[32] = "a secret of thirty-two bytes...";

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pair p = pair_new(types[t]);

        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            struct atls_credential c;
            struct atls_err err = ATLS_ERR_INIT;
            uint8_t out[64];
            size_t len;

            test_assert_code(
                atls_credential_make(&p.area, &p.name, atls_bytes_of(secret, lens[i]), &c, &err),
                ATLS_OK, &err);
            assert_true(activate(&p.ek, atls_tpm_name_bytes(&p.name), &c, out, &len));
            test_assert_bytes(atls_bytes_of(out, len), atls_bytes_of(secret, lens[i]));
            atls_credential_clear(&c);
        }
        pair_clear(&p);
    }
}

/* The same EK with another object, or a credential that somebody touched: the HMAC does not fit. */
static void what_was_changed_is_not_opened(void **state)
{
    struct pair p = pair_new(ATLS_KEY_P256);
    struct atls_tpm_name other = p.name;
    struct atls_credential c;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t out[64];
    size_t len;

    (void)state;
    test_assert_code(atls_credential_make(&p.area, &p.name, atls_bytes_of("secret", 6), &c, &err),
                     ATLS_OK, &err);
    other.data[33] ^= 1;
    assert_false(activate(&p.ek, atls_tpm_name_bytes(&other), &c, out, &len));
    for (size_t at = 4; at < c.id_object.len; at++) {
        c.id_object.ptr[at] ^= 1;
        assert_false(activate(&p.ek, atls_tpm_name_bytes(&p.name), &c, out, &len));
        c.id_object.ptr[at] ^= 1;
    }
    assert_true(activate(&p.ek, atls_tpm_name_bytes(&p.name), &c, out, &len));
    atls_credential_clear(&c);
    pair_clear(&p);
}

static void no_two_credentials_are_alike(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_P256};

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pair p = pair_new(types[t]);
        struct atls_credential a, b;
        struct atls_bytes secret = atls_bytes_of("secret", 6);
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_credential_make(&p.area, &p.name, secret, &a, &err), ATLS_OK, &err);
        test_assert_code(atls_credential_make(&p.area, &p.name, secret, &b, &err), ATLS_OK, &err);
        assert_memory_not_equal(a.id_object.ptr, b.id_object.ptr, a.id_object.len);
        assert_memory_not_equal(a.encrypted_secret.ptr, b.encrypted_secret.ptr,
                                a.encrypted_secret.len);
        atls_credential_clear(&a);
        atls_credential_clear(&b);
        pair_clear(&p);
    }
}

/* The lengths of a credential that a tool made for a recorded EK and AK. */
static void shape_of_a_recorded_credential(void **state)
{
    struct atls_buf ek = test_vector("tpm/keylime-quote/ek.pub");
    struct atls_buf recorded = test_vector("tpm/keylime-quote/mkcred.out");
    struct atls_buf secret = test_vector("tpm/keylime-quote/secret.data");
    struct atls_buf name_bytes = test_vector("tpm/keylime-quote/ak.name");
    struct atls_tpm_name name = {.len = name_bytes.len};
    struct atls_tpmt_public area;
    struct atls_credential c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memcpy(name.data, name_bytes.ptr, name.len);
    test_assert_code(atls_tpm2b_public_decode(atls_buf_bytes(&ek), &area, &err), ATLS_OK, &err);
    test_assert_code(atls_credential_make(&area, &name, atls_buf_bytes(&secret), &c, &err), ATLS_OK,
                     &err);
    assert_int_equal(c.id_object.len + c.encrypted_secret.len, recorded.len - 8);
    assert_memory_equal(c.id_object.ptr, recorded.ptr + 8, 4);
    assert_memory_equal(c.encrypted_secret.ptr, recorded.ptr + 8 + c.id_object.len, 2);
    atls_credential_clear(&c);
    atls_credential_clear(NULL);
    atls_buf_clear(&ek);
    atls_buf_clear(&recorded);
    atls_buf_clear(&secret);
    atls_buf_clear(&name_bytes);
}

static void credentials_that_are_not_made(void **state)
{
    static const uint8_t secret[33];
    struct pair p = pair_new(ATLS_KEY_P256);
    struct atls_tpmt_public area = p.area;
    struct atls_tpm_name empty = {0}, huge = {.len = ATLS_TPM_NAME_MAX + 1};
    struct atls_credential c;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t y[32];

    (void)state;
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 0), &c, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 33), &c, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_credential_make(&area, &empty, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_credential_make(&area, &huge, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_USAGE, &err);
    area.attributes |= ATLS_TPMA_SIGN;
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_ATTRIBUTES);
    /* An invalid curve point would give the seed away. */
    area = p.area;
    memcpy(y, area.y.ptr, sizeof y);
    y[31] ^= 1;
    area.y = atls_bytes_of(y, sizeof y);
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_DECODE, &err);
    pair_clear(&p);
}

static void certificates_of_endorsement_keys(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_P256};
    struct test_identity ca = test_ca("TPM maker");

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pair p = pair_new(types[t]);
        struct test_certificate spec = {
            .spki = atls_key_spki(atls_private_key_public(p.ek.private_key))};
        struct test_certificate other = {
            .spki = atls_key_spki(atls_private_key_public(p.ak.private_key))};
        struct test_identity right = test_issue(&ca, &spec), wrong = test_issue(&ca, &other);
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(
            atls_credential_match_certificate(&p.area, atls_buf_bytes(&right.certificate), &err),
            ATLS_OK, &err);
        test_assert_code(
            atls_credential_match_certificate(&p.area, atls_buf_bytes(&wrong.certificate), &err),
            ATLS_E_CERTIFICATE, &err);
        assert_int_equal(err.reason, ATLS_REASON_NAME_MISMATCH);
        test_assert_code(atls_credential_match_certificate(&p.area, atls_bytes_of("x", 1), &err),
                         ATLS_E_DECODE, &err);
        p.area.type = ATLS_TPM_ALG_ECC;
        p.area.curve = 0x10;
        test_assert_code(
            atls_credential_match_certificate(&p.area, atls_buf_bytes(&right.certificate), &err),
            ATLS_E_UNSUPPORTED, &err);
        test_identity_clear(&right);
        test_identity_clear(&wrong);
        pair_clear(&p);
    }
    test_identity_clear(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivations_agree_with_libcrypto),
        cmocka_unit_test(what_was_protected_is_opened),
        cmocka_unit_test(what_was_changed_is_not_opened),
        cmocka_unit_test(no_two_credentials_are_alike),
        cmocka_unit_test(shape_of_a_recorded_credential),
        cmocka_unit_test(credentials_that_are_not_made),
        cmocka_unit_test(certificates_of_endorsement_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
