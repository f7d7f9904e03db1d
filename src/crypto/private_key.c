#include "crypto/crypto.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/der.h"
#include "crypto/libcrypto.h"

#define RSA_BITS_GENERATED 2048u
#define PEM_LEN_MAX        (64 * 1024)

struct atls_private_key {
    atomic_size_t references;
    EVP_PKEY *pkey;
    struct atls_key *public;
    struct atls_operation *signing; /* allocated with the key, which others see as const */
};

void atls_private_key_free(struct atls_private_key *key)
{
    if (key == NULL || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_operation_clear(key->signing);
    EVP_PKEY_free(key->pkey); /* wipes the secret part */
    atls_key_unref(key->public);
    free(key);
}

struct atls_private_key *atls_private_key_ref(struct atls_private_key *key)
{
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
    return key;
}

/* Takes over pkey, also on failure. */
static enum atls_code wrap(EVP_PKEY *pkey, struct atls_private_key **out, struct atls_err *err)
{
    struct {
        struct atls_private_key key; /* first: freed by its address */
        struct atls_operation signing;
    } *whole = calloc(1, sizeof *whole);
    struct atls_private_key *key;
    unsigned char *spki = NULL;
    enum atls_code code;
    int len;

    if (whole == NULL) {
        EVP_PKEY_free(pkey);
        return atls_fail_memory(err, "private key");
    }
    key = &whole->key;
    atomic_init(&key->references, 1);
    key->pkey = pkey;
    key->signing = &whole->signing;
    if ((len = i2d_PUBKEY(pkey, &spki)) <= 0)
        code = atls_fail_libcrypto(err, "private key: encoding its public half");
    else
        code = atls_key_from_spki(atls_bytes_of(spki, (size_t)len), &key->public, err);
    OPENSSL_free(spki);
    if (code != ATLS_OK) {
        atls_private_key_free(key);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

enum atls_code atls_private_key_generate(enum atls_key_type type, struct atls_private_key **out,
                                         struct atls_err *err)
{
    EVP_PKEY *pkey = NULL;

    switch (type) {
    case ATLS_KEY_P256:
        pkey = EVP_EC_gen("P-256");
        break;
    case ATLS_KEY_P384:
        pkey = EVP_EC_gen("P-384");
        break;
    case ATLS_KEY_P521:
        pkey = EVP_EC_gen("P-521");
        break;
    case ATLS_KEY_ED25519:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case ATLS_KEY_RSA:
        pkey = EVP_RSA_gen(RSA_BITS_GENERATED);
        break;
    case ATLS_KEY_NONE:
    default:
        return atls_fail(err, ATLS_E_USAGE, "private key: no key type has number %d", (int)type);
    }
    if (pkey == NULL)
        return atls_fail_libcrypto(err, "key generation");
    return wrap(pkey, out, err);
}

/* Never asks on the terminal: encrypted keys are refused. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

enum atls_code atls_private_key_from_pem(struct atls_bytes pem, struct atls_private_key **out,
                                         struct atls_err *err)
{
    EVP_PKEY *pkey;
    BIO *bio;

    if (pem.len == 0) /* libcrypto takes no buffer of no bytes */
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "private key: PEM text is empty");
    if (pem.len > PEM_LEN_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "private key: PEM text of %zu bytes, at most %d",
                         pem.len, PEM_LEN_MAX);
    if ((bio = BIO_new_mem_buf(pem.ptr, (int)pem.len)) == NULL)
        return atls_fail_memory(err, "private key");
    pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (pkey == NULL)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "private key: no unencrypted PEM \"PRIVATE KEY\" in %zu bytes",
                                pem.len);
    return wrap(pkey, out, err);
}

enum atls_code atls_private_key_to_pem(const struct atls_private_key *key, struct atls_buf *out,
                                       struct atls_err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* freed memory is wiped */
    struct atls_writer w = atls_writer_init(PEM_LEN_MAX);
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;
    char *data = NULL;
    long len;

    if (bio == NULL)
        return atls_fail_memory(err, "private key");
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
        (len = BIO_get_mem_data(bio, &data)) <= 0) {
        BIO_free(bio);
        return atls_fail_libcrypto(err, "private key: encoding");
    }
    atls_put_bytes(&w, atls_bytes_of(data, (size_t)len));
    atls_put_u8(&w, 0);
    BIO_free(bio);
    if ((code = atls_writer_finish(&w, &text, err)) != ATLS_OK)
        return code;
    text.len--; /* the NUL is there but not counted */
    *out = text;
    return ATLS_OK;
}

const struct atls_key *atls_private_key_public(const struct atls_private_key *key)
{
    return key->public;
}

enum atls_signature atls_private_key_scheme(const struct atls_private_key *key)
{
    static const enum atls_signature schemes[ATLS_KEY_TYPE_COUNT] = {
        [ATLS_KEY_P256] = ATLS_ECDSA_P256_SHA256, [ATLS_KEY_P384] = ATLS_ECDSA_P384_SHA384,
        [ATLS_KEY_P521] = ATLS_ECDSA_P521_SHA512, [ATLS_KEY_ED25519] = ATLS_ED25519,
        [ATLS_KEY_RSA] = ATLS_RSA_PSS_SHA256,
    };

    return schemes[atls_key_type(key->public)];
}

static bool sign_message(EVP_PKEY *pkey, struct atls_bytes tbs, uint8_t *out, size_t *len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, out, len, tbs.ptr, tbs.len) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool sign_digest(const struct atls_private_key *key,
                        const struct atls_signature_algorithm *alg, const uint8_t *digest,
                        uint8_t *out, size_t *len)
{
    EVP_PKEY_CTX *ctx = NULL;
    bool ok =
        atls_operation_begin(key->signing, key->pkey, EVP_PKEY_sign_init, &ctx, NULL) == ATLS_OK &&
        atls_signature_configure(alg, ctx, NULL) == ATLS_OK &&
        EVP_PKEY_sign(ctx, out, len, digest, atls_hash_len(alg->hash)) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

enum atls_code atls_private_key_sign(const struct atls_private_key *key, enum atls_signature scheme,
                                     struct atls_bytes tbs, struct atls_buf *out,
                                     struct atls_err *err)
{
    const struct atls_signature_algorithm *alg;
    uint8_t digest[ATLS_HASH_MAX], signature[1024];
    size_t len = sizeof signature;
    enum atls_code code;
    bool ok;

    if ((code = atls_signature_for_key(key->public, scheme, &alg, err)) != ATLS_OK)
        return code;
    if (alg->hash == ATLS_HASH_NONE) {
        ok = sign_message(key->pkey, tbs, signature, &len);
    } else {
        if ((code = atls_hash_one(alg->hash, tbs, digest, err)) != ATLS_OK)
            return code;
        ok = sign_digest(key, alg, digest, signature, &len);
    }
    /* Out of memory, RSA-PSS in libcrypto 3.0 reports success and a length of -1. */
    if (!ok || len > sizeof signature)
        return atls_fail_libcrypto(err, "signing");
    return atls_buf_copy(out, atls_bytes_of(signature, len), err);
}

/* Puts an integer into a field of fixed width, zeros in front. */
static bool put_field(struct atls_reader *r, size_t field, uint8_t *out)
{
    struct atls_bytes v;

    if (!atls_der_get_unsigned(r, &v) || v.len > field)
        return false;
    memset(out, 0, field - v.len);
    memcpy(out + (field - v.len), v.ptr, v.len);
    return true;
}

static enum atls_code raw_from_der(struct atls_bytes der, size_t field, struct atls_buf *out,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(der), inner;
    struct atls_bytes sequence;
    uint8_t raw[2 * 66];

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &sequence))
        return atls_fail(err, ATLS_E_INTERNAL, "ECDSA signature: libcrypto made no SEQUENCE");
    inner = atls_reader_init(sequence);
    if (!put_field(&inner, field, raw) || !put_field(&inner, field, raw + field))
        return atls_fail(err, ATLS_E_INTERNAL, "ECDSA signature: libcrypto made no two integers");
    return atls_buf_copy(out, atls_bytes_of(raw, 2 * field), err);
}

enum atls_code atls_private_key_sign_raw(const struct atls_private_key *key,
                                         enum atls_signature scheme, struct atls_bytes tbs,
                                         struct atls_buf *out, struct atls_err *err)
{
    size_t field = atls_key_field_len(atls_key_type(key->public));
    struct atls_buf der = ATLS_BUF_INIT;
    enum atls_code code;

    if (field == 0)
        return atls_private_key_sign(key, scheme, tbs, out, err);
    if ((code = atls_private_key_sign(key, scheme, tbs, &der, err)) != ATLS_OK)
        return code;
    code = raw_from_der(atls_buf_bytes(&der), field, out, err);
    atls_buf_clear(&der);
    return code;
}

enum atls_code atls_private_key_sign_function(void *arg, enum atls_signature scheme,
                                              struct atls_bytes tbs, struct atls_buf *out,
                                              struct atls_err *err)
{
    return atls_private_key_sign(arg, scheme, tbs, out, err);
}
