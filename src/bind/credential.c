#include "bind/credential.h"

#include <string.h>

#include "core/err.h"
#include "core/secret.h"
#include "crypto/crypto.h"
#include "crypto/tpm_crypto.h"

#define KDF_LEN_MAX 64
/* Largest sum of contexts: a Name, or two coordinates. */
#define KDF_INPUT_MAX 1024
#define SECRET_MAX    32 /* TPM2B_DIGEST of the EK's nameAlg: the default templates have SHA-256 */
#define BLOB_MAX      2048

void atls_credential_clear(struct atls_credential *credential)
{
    if (credential == NULL)
        return;
    atls_buf_clear(&credential->id_object);
    atls_buf_clear(&credential->encrypted_secret);
}

/* ---- key derivation ---- */

/* One of the two functions: what a round hashes, and how. */
struct function {
    void (*put)(struct atls_writer *w, const struct atls_tpm_kdf *kdf, uint32_t counter,
                uint32_t bits);
    enum atls_code (*hash)(const struct atls_tpm_kdf *kdf, struct atls_bytes input,
                           uint8_t out[ATLS_HASH_MAX], struct atls_err *err);
};

static enum atls_code derive(const struct function *function, const struct atls_tpm_kdf *kdf,
                             uint8_t *out, size_t len, struct atls_err *err)
{
    uint8_t result[KDF_LEN_MAX + ATLS_HASH_MAX], digest[ATLS_HASH_MAX];
    size_t step = atls_hash_len(kdf->hash);
    enum atls_code code = ATLS_OK;
    uint32_t counter = 1;

    if (step == 0 || len == 0 || len > KDF_LEN_MAX)
        return atls_fail(err, ATLS_E_USAGE, "TPM key derivation: hash %d, %zu bytes, want 1..%d",
                         (int)kdf->hash, len, KDF_LEN_MAX);
    for (size_t done = 0; code == ATLS_OK && done < len; done += step) {
        struct atls_writer w = atls_writer_init(KDF_INPUT_MAX);

        function->put(&w, kdf, counter++, (uint32_t)(len * 8));
        code = w.failed != ATLS_OK
                   ? atls_fail(err, w.failed, "TPM key derivation: input cannot be kept")
                   : function->hash(kdf, atls_writer_bytes(&w), digest, err);
        atls_writer_clear(&w);
        if (code == ATLS_OK)
            memcpy(result + done, digest, step);
    }
    if (code == ATLS_OK)
        memcpy(out, result, len);
    atls_wipe(result, sizeof result);
    atls_wipe(digest, sizeof digest);
    return code;
}

static void put_kdfa(struct atls_writer *w, const struct atls_tpm_kdf *kdf, uint32_t counter,
                     uint32_t bits)
{
    atls_put_u32(w, counter);
    atls_put_text(w, kdf->label);
    atls_put_u8(w, 0);
    atls_put_bytes(w, kdf->u);
    atls_put_bytes(w, kdf->v);
    atls_put_u32(w, bits);
}

static void put_kdfe(struct atls_writer *w, const struct atls_tpm_kdf *kdf, uint32_t counter,
                     uint32_t bits)
{
    (void)bits;
    atls_put_u32(w, counter);
    atls_put_bytes(w, kdf->key);
    atls_put_text(w, kdf->label);
    atls_put_u8(w, 0);
    atls_put_bytes(w, kdf->u);
    atls_put_bytes(w, kdf->v);
}

static enum atls_code hmac_round(const struct atls_tpm_kdf *kdf, struct atls_bytes input,
                                 uint8_t out[ATLS_HASH_MAX], struct atls_err *err)
{
    return atls_hmac(kdf->hash, kdf->key, input, out, err);
}

static enum atls_code plain_round(const struct atls_tpm_kdf *kdf, struct atls_bytes input,
                                  uint8_t out[ATLS_HASH_MAX], struct atls_err *err)
{
    return atls_hash_one(kdf->hash, input, out, err);
}

enum atls_code atls_tpm_kdfa(const struct atls_tpm_kdf *kdf, uint8_t *out, size_t len,
                             struct atls_err *err)
{
    static const struct function kdfa = {put_kdfa, hmac_round};

    return derive(&kdfa, kdf, out, len, err);
}

enum atls_code atls_tpm_kdfe(const struct atls_tpm_kdf *kdf, uint8_t *out, size_t len,
                             struct atls_err *err)
{
    static const struct function kdfe = {put_kdfe, plain_round};

    return derive(&kdfe, kdf, out, len, err);
}

/* ---- the seed and how it travels ---- */

struct seed {
    size_t len;
    uint8_t data[ATLS_HASH_MAX];
};

static void put_tpm2b(struct atls_writer *w, struct atls_bytes bytes)
{
    struct atls_mark mark = atls_open_vec(w, 0xffff);

    atls_put_bytes(w, bytes);
    atls_close_vec(w, mark);
}

/* Part 1, B.10.4: a random seed under OAEP, label "IDENTITY" with its NUL. */
static enum atls_code put_rsa_secret(const struct atls_key *ek, struct seed *seed,
                                     struct atls_writer *w, struct atls_err *err)
{
    static const char label[] = "IDENTITY";
    struct atls_buf cipher = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_random(seed->data, seed->len, err)) != ATLS_OK ||
        (code = atls_rsa_oaep_encrypt(ek, ATLS_HASH_SHA256, atls_bytes_of(label, sizeof label),
                                      atls_bytes_of(seed->data, seed->len), &cipher, err)) !=
            ATLS_OK)
        return code;
    put_tpm2b(w, atls_buf_bytes(&cipher));
    atls_buf_clear(&cipher);
    return ATLS_OK;
}

/* Part 1, C.6.4: an ephemeral point, from whose product with the EK the seed is derived. */
static enum atls_code put_ecc_secret(const struct atls_key *ek, struct seed *seed,
                                     struct atls_writer *w, struct atls_err *err)
{
    struct atls_ecdh ecdh;
    struct atls_tpm_kdf kdf = {.hash = ATLS_HASH_SHA256, .label = "IDENTITY"};
    struct atls_mark secret;
    enum atls_code code;

    if ((code = atls_ecdh_ephemeral(ek, &ecdh, err)) != ATLS_OK)
        return code;
    kdf.key = atls_bytes_of(ecdh.shared, ecdh.len);
    kdf.u = atls_bytes_of(ecdh.x, ecdh.len);
    kdf.v = atls_bytes_of(ecdh.peer_x, ecdh.len);
    code = atls_tpm_kdfe(&kdf, seed->data, seed->len, err);
    if (code == ATLS_OK) {
        secret = atls_open_vec(w, 0xffff);
        put_tpm2b(w, atls_bytes_of(ecdh.x, ecdh.len));
        put_tpm2b(w, atls_bytes_of(ecdh.y, ecdh.len));
        atls_close_vec(w, secret);
    }
    atls_wipe(&ecdh, sizeof ecdh);
    return code;
}

static enum atls_code key_of(const struct atls_tpmt_public *area, struct atls_key **out,
                             struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(BLOB_MAX);
    enum atls_code code = atls_tpmt_public_put_spki(area, &w, err);

    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "EK: public key cannot be kept");
    if (code == ATLS_OK)
        code = atls_key_from_spki(atls_writer_bytes(&w), out, err);
    atls_writer_clear(&w);
    return code;
}

static enum atls_code put_secret(const struct atls_tpmt_public *ek, struct seed *seed,
                                 struct atls_writer *w, struct atls_err *err)
{
    struct atls_key *key;
    enum atls_code code = key_of(ek, &key, err);

    if (code != ATLS_OK)
        return code;
    seed->len = atls_hash_len(ATLS_HASH_SHA256);
    code = ek->type == ATLS_TPM_ALG_RSA ? put_rsa_secret(key, seed, w, err)
                                        : put_ecc_secret(key, seed, w, err);
    atls_key_unref(key);
    return code;
}

/* ---- the protected secret ---- */

/* encIdentity (Part 1, 24.4): CFB of TPM2B(secret) under a key derived from seed and Name. out
 * receives 2 + secret.len bytes. */
static enum atls_code encrypt_identity(const struct seed *seed, struct atls_bytes name,
                                       struct atls_bytes secret, uint8_t out[2 + SECRET_MAX],
                                       struct atls_err *err)
{
    struct atls_tpm_kdf kdf = {
        .hash = ATLS_HASH_SHA256,
        .key = atls_bytes_of(seed->data, seed->len),
        .label = "STORAGE",
        .u = name,
    };
    uint8_t key[16], plain[2 + SECRET_MAX];
    enum atls_code code = atls_tpm_kdfa(&kdf, key, sizeof key, err);

    plain[0] = 0;
    plain[1] = (uint8_t)secret.len;
    memcpy(plain + 2, secret.ptr, secret.len);
    if (code == ATLS_OK)
        code = atls_aes_cfb_encrypt(atls_bytes_of(key, sizeof key),
                                    atls_bytes_of(plain, 2 + secret.len), out, err);
    atls_wipe(key, sizeof key);
    atls_wipe(plain, sizeof plain);
    return code;
}

/* outerHMAC (Part 1, 24.5) over encIdentity and Name. */
static enum atls_code outer_hmac(const struct seed *seed, struct atls_bytes identity,
                                 struct atls_bytes name, uint8_t out[ATLS_HASH_MAX],
                                 struct atls_err *err)
{
    struct atls_tpm_kdf kdf = {
        .hash = ATLS_HASH_SHA256,
        .key = atls_bytes_of(seed->data, seed->len),
        .label = "INTEGRITY",
    };
    uint8_t key[32], input[2 + SECRET_MAX + ATLS_TPM_NAME_MAX];
    enum atls_code code = atls_tpm_kdfa(&kdf, key, sizeof key, err);

    memcpy(input, identity.ptr, identity.len);
    memcpy(input + identity.len, name.ptr, name.len);
    if (code == ATLS_OK)
        code = atls_hmac(ATLS_HASH_SHA256, atls_bytes_of(key, sizeof key),
                         atls_bytes_of(input, identity.len + name.len), out, err);
    atls_wipe(key, sizeof key);
    return code;
}

/* TPMS_ID_OBJECT: the HMAC is counted, encIdentity is what follows. */
static enum atls_code put_id_object(const struct seed *seed, struct atls_bytes name,
                                    struct atls_bytes secret, struct atls_writer *w,
                                    struct atls_err *err)
{
    uint8_t identity[2 + SECRET_MAX], mac[ATLS_HASH_MAX];
    struct atls_bytes encrypted = {identity, 2 + secret.len};
    struct atls_mark object;
    enum atls_code code;

    if ((code = encrypt_identity(seed, name, secret, identity, err)) != ATLS_OK ||
        (code = outer_hmac(seed, encrypted, name, mac, err)) != ATLS_OK)
        return code;
    object = atls_open_vec(w, 0xffff);
    put_tpm2b(w, atls_bytes_of(mac, atls_hash_len(ATLS_HASH_SHA256)));
    atls_put_bytes(w, encrypted);
    atls_close_vec(w, object);
    return ATLS_OK;
}

enum atls_code atls_credential_make(const struct atls_tpmt_public *ek,
                                    const struct atls_tpm_name *ak_name, struct atls_bytes secret,
                                    struct atls_credential *out, struct atls_err *err)
{
    struct atls_writer object = atls_writer_init(BLOB_MAX), encrypted = atls_writer_init(BLOB_MAX);
    struct atls_credential credential = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    struct seed seed;
    enum atls_code code;

    if (secret.len == 0 || secret.len > SECRET_MAX || ak_name->len == 0 ||
        ak_name->len > ATLS_TPM_NAME_MAX)
        return atls_fail(err, ATLS_E_USAGE,
                         "credential: secret of %zu bytes, Name of %zu; want 1..%d and 1..%d",
                         secret.len, ak_name->len, SECRET_MAX, ATLS_TPM_NAME_MAX);
    if ((code = atls_tpm_check_role(ek, ATLS_TPM_ROLE_EK, err)) != ATLS_OK)
        return code;
    code = put_secret(ek, &seed, &encrypted, err);
    if (code == ATLS_OK)
        code = put_id_object(&seed, atls_tpm_name_bytes(ak_name), secret, &object, err);
    atls_wipe(&seed, sizeof seed);
    if (code == ATLS_OK)
        code = atls_writer_finish(&object, &credential.id_object, err);
    if (code == ATLS_OK)
        code = atls_writer_finish(&encrypted, &credential.encrypted_secret, err);
    atls_writer_clear(&object);
    atls_writer_clear(&encrypted);
    if (code != ATLS_OK) {
        atls_credential_clear(&credential);
        return code;
    }
    *out = credential;
    return ATLS_OK;
}

enum atls_code atls_credential_match_certificate(const struct atls_tpmt_public *ek,
                                                 struct atls_bytes certificate,
                                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(BLOB_MAX);
    struct atls_bytes certified;
    enum atls_code code;

    if ((code = atls_certificate_spki(certificate, &certified, err)) != ATLS_OK)
        return code;
    code = atls_tpmt_public_put_spki(ek, &w, err);
    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "EK: public key cannot be kept");
    /* Both are DER, in which a key has one encoding. */
    if (code == ATLS_OK && !atls_bytes_equal(atls_writer_bytes(&w), certified))
        code = atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_NAME_MISMATCH,
                                "EK certificate is for another key than the EK");
    atls_writer_clear(&w);
    return code;
}
