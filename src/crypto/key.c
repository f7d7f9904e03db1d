#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/der.h"
#include "crypto/libcrypto.h"

#define RSA_BITS_MIN          2048
#define RSA_BITS_MAX          8192
#define RSA_EXPONENT_LEN_MAX  8 /* 65537 is the rule; longer ones only slow verification down */
#define ECDSA_INTEGER_LEN_MAX 66

/* Everything of a SubjectPublicKeyInfo before the point: DER leaves one way to write it (RFC 5480
 * section 2, RFC 8410 section 4). */
static const struct prefix {
    enum atls_key_type type;
    size_t point_len;
    size_t len;
    uint8_t bytes[26];
} prefixes[] = {
    {ATLS_KEY_P256, 65, 26, {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                             0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                             0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00}},
    {ATLS_KEY_P384, 97, 23, {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                             0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00}},
    {ATLS_KEY_P521, 133, 25, {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                              0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                              0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00}},
    {ATLS_KEY_ED25519,
     32,
     12,
     {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}},
};

/* AlgorithmIdentifier { rsaEncryption, NULL } (RFC 3279 section 2.3.1). */
static const uint8_t rsa_algorithm[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                        0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

static const struct prefix *find_prefix(struct atls_bytes spki)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (spki.len == prefixes[i].len + prefixes[i].point_len &&
            memcmp(spki.ptr, prefixes[i].bytes, prefixes[i].len) == 0)
            return &prefixes[i];
    return NULL;
}

size_t atls_key_field_len(enum atls_key_type type)
{
    static const size_t lens[ATLS_KEY_TYPE_COUNT] = {
        [ATLS_KEY_P256] = 32,
        [ATLS_KEY_P384] = 48,
        [ATLS_KEY_P521] = ECDSA_INTEGER_LEN_MAX,
    };

    return (unsigned int)type < ATLS_KEY_TYPE_COUNT ? lens[type] : 0;
}

enum atls_code atls_key_wrap(enum atls_key_type type, EVP_PKEY *pkey, struct atls_bytes spki,
                             struct atls_key **out, struct atls_err *err)
{
    struct {
        struct atls_key key; /* first: freed by its address */
        struct atls_operation verifying;
    } *whole = calloc(1, sizeof *whole);
    struct atls_key *key;
    enum atls_code code;

    if (whole == NULL)
        return atls_fail_memory(err, "public key");
    key = &whole->key;
    if ((code = atls_buf_copy(&key->spki, spki, err)) != ATLS_OK) {
        free(key);
        return code;
    }
    atomic_init(&key->references, 1);
    key->type = type;
    key->pkey = pkey;
    key->verifying = &whole->verifying;
    *out = key;
    return ATLS_OK;
}

static enum atls_code malformed_key(struct atls_err *err, const char *what)
{
    ERR_clear_error();
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_BAD_CERTIFICATE,
                           "SubjectPublicKeyInfo: %s", what);
}

/* Setting a point on a copy of the curve checks that it is on it, which for these curves of
 * cofactor 1 is full validation (SP 800-56A section 5.6.2.3.4), at a twentieth of the generic
 * decoder. */
static enum atls_code curve_key(const struct prefix *prefix, struct atls_bytes point,
                                EVP_PKEY **out, struct atls_err *err)
{
    EVP_PKEY *curve = atls_libcrypto()->curve[prefix->type], *pkey;

    if (point.ptr[0] != 0x04)
        return malformed_key(err, "point is not in uncompressed form");
    if (curve == NULL)
        return atls_fail_libcrypto(err, "elliptic curve");
    if ((pkey = EVP_PKEY_dup(curve)) == NULL)
        return atls_fail_memory(err, "public key");
    if (EVP_PKEY_set1_encoded_public_key(pkey, point.ptr, point.len) != 1) {
        EVP_PKEY_free(pkey);
        if (atls_libcrypto_lacks_memory())
            return atls_fail_memory(err, "public key");
        return malformed_key(err, "point is not on its curve");
    }
    *out = pkey;
    return ATLS_OK;
}

static enum atls_code ed25519_key(struct atls_bytes point, EVP_PKEY **out, struct atls_err *err)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, point.ptr, point.len);

    if (pkey == NULL)
        return atls_fail_libcrypto(err, "Ed25519 public key");
    *out = pkey;
    return ATLS_OK;
}

/* RSAPublicKey { modulus, publicExponent } (RFC 8017 appendix A.1.1). */
static enum atls_code rsa_key(struct atls_bytes body, EVP_PKEY **out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body), inner;
    struct atls_bytes sequence, n, e;
    EVP_PKEY_CTX *ctx = NULL;
    OSSL_PARAM_BLD *build = NULL;
    OSSL_PARAM *params = NULL;
    BIGNUM *modulus = NULL, *exponent = NULL;
    EVP_PKEY *pkey = NULL;
    size_t bits;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &sequence) || !atls_reader_done(&r))
        return malformed_key(err, "RSAPublicKey is not one SEQUENCE");
    inner = atls_reader_init(sequence);
    if (!atls_der_get_unsigned(&inner, &n) || !atls_der_get_unsigned(&inner, &e) ||
        !atls_reader_done(&inner) || n.len == 0 || e.len == 0)
        return malformed_key(err, "RSAPublicKey does not hold two positive integers");
    if (n.len > RSA_BITS_MAX / 8 || n.len < RSA_BITS_MIN / 8)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "RSA modulus has %zu bytes, want %d..%d", n.len,
                         RSA_BITS_MIN / 8, RSA_BITS_MAX / 8);
    bits = n.len * 8;
    for (uint8_t top = n.ptr[0]; (top & 0x80) == 0; top = (uint8_t)(top << 1))
        bits--;
    if (bits < RSA_BITS_MIN)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "RSA modulus has %zu bits, want %d..%d", bits,
                         RSA_BITS_MIN, RSA_BITS_MAX);
    if (e.len > RSA_EXPONENT_LEN_MAX || (e.ptr[e.len - 1] & 1) == 0 ||
        (e.len == 1 && e.ptr[0] == 1) || (n.ptr[n.len - 1] & 1) == 0)
        return malformed_key(err, "RSA exponent is even, 1 or above 64 bits, or modulus is even");
    if ((ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL)) == NULL ||
        (build = OSSL_PARAM_BLD_new()) == NULL ||
        (modulus = BN_bin2bn(n.ptr, (int)n.len, NULL)) == NULL ||
        (exponent = BN_bin2bn(e.ptr, (int)e.len, NULL)) == NULL ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) != 1 ||
        (params = OSSL_PARAM_BLD_to_param(build)) == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    OSSL_PARAM_free(params);
    BN_free(exponent);
    BN_free(modulus);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    if (pkey == NULL)
        return atls_fail_libcrypto(err, "RSA public key");
    *out = pkey;
    return ATLS_OK;
}

/* What is not in the table of prefixes: RSA, or refused. */
static enum atls_code other_key(struct atls_bytes spki, EVP_PKEY **out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(spki), inner;
    struct atls_bytes sequence, algorithm, body;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &sequence) || !atls_reader_done(&r))
        return malformed_key(err, "not one DER SEQUENCE");
    inner = atls_reader_init(sequence);
    if (!atls_der_get(&inner, ATLS_DER_SEQUENCE, &algorithm) ||
        !atls_der_get_bit_string(&inner, &body) || !atls_reader_done(&inner))
        return malformed_key(err, "malformed algorithm or key");
    if (!atls_bytes_equal(algorithm, atls_bytes_of(rsa_algorithm, sizeof rsa_algorithm)))
        return atls_fail_alert(err, ATLS_E_UNSUPPORTED, ATLS_REASON_NONE,
                               ATLS_ALERT_UNSUPPORTED_CERTIFICATE,
                               "SubjectPublicKeyInfo: neither P-256, P-384, P-521 (uncompressed, "
                               "named), Ed25519 nor RSA");
    return rsa_key(body, out, err);
}

enum atls_code atls_key_from_spki(struct atls_bytes spki, struct atls_key **out,
                                  struct atls_err *err)
{
    const struct prefix *prefix = find_prefix(spki);
    enum atls_key_type type = prefix == NULL ? ATLS_KEY_RSA : prefix->type;
    EVP_PKEY *pkey = NULL;
    struct atls_bytes point;
    enum atls_code code;

    if (prefix == NULL) {
        code = other_key(spki, &pkey, err);
    } else {
        point = atls_bytes_of(spki.ptr + prefix->len, prefix->point_len);
        code = type == ATLS_KEY_ED25519 ? ed25519_key(point, &pkey, err)
                                        : curve_key(prefix, point, &pkey, err);
    }
    if (code == ATLS_OK && (code = atls_key_wrap(type, pkey, spki, out, err)) != ATLS_OK)
        EVP_PKEY_free(pkey);
    return code;
}

enum atls_code atls_key_type_of_spki(struct atls_bytes spki, enum atls_key_type *out,
                                     struct atls_err *err)
{
    const struct prefix *prefix = find_prefix(spki);
    struct atls_key *key = NULL;
    enum atls_code code;

    if (prefix != NULL) {
        *out = prefix->type;
        return ATLS_OK;
    }
    if ((code = atls_key_from_spki(spki, &key, err)) != ATLS_OK)
        return code;
    *out = key->type;
    atls_key_unref(key);
    return ATLS_OK;
}

struct atls_key *atls_key_ref(struct atls_key *key)
{
    if (key != NULL)
        atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
    return key;
}

void atls_key_unref(struct atls_key *key)
{
    if (key == NULL || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_operation_clear(key->verifying);
    EVP_PKEY_free(key->pkey);
    atls_buf_clear(&key->spki);
    free(key);
}

struct atls_bytes atls_key_spki(const struct atls_key *key)
{
    return atls_buf_bytes(&key->spki);
}

enum atls_key_type atls_key_type(const struct atls_key *key)
{
    return key->type;
}

/* SEQUENCE of two INTEGERs, as an ECDSA signature must be. */
static bool is_ecdsa_der(struct atls_bytes signature)
{
    struct atls_reader r = atls_reader_init(signature);
    struct atls_bytes sequence, number;

    if (!atls_der_get(&r, ATLS_DER_SEQUENCE, &sequence) || !atls_reader_done(&r))
        return false;
    r = atls_reader_init(sequence);
    return atls_der_get_unsigned(&r, &number) && atls_der_get_unsigned(&r, &number) &&
           atls_reader_done(&r);
}

/* What the error queue, empty afterwards, says of a failed verification. */
struct complaints {
    bool memory;
    bool rsa; /* names a fault of an RSA signature: its library's own reasons are 100 to 255 */
};

static struct complaints take_complaints(void)
{
    struct complaints c = {false, false};
    unsigned long e;

    while ((e = ERR_get_error()) != 0) {
        c.memory = c.memory || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
        c.rsa = c.rsa || (ERR_GET_LIB(e) == ERR_LIB_RSA && ERR_GET_REASON(e) >= 100 &&
                          ERR_GET_REASON(e) < 256);
    }
    return c;
}

/* libcrypto says "no" as well when it could not look: without memory, as its error queue or, where
 * that is silent, a result below 0 for an ECDSA signature of good form says. An RSA signature that
 * does not match always has a fault with a name. */
static enum atls_code not_verified(const struct atls_signature_algorithm *alg, int verified,
                                   struct atls_bytes signature, struct atls_err *err)
{
    const struct complaints c = take_complaints();

    if (c.memory)
        return atls_fail_memory(err, "signature verification");
    if (alg->key_type == ATLS_KEY_RSA
            ? !c.rsa
            : verified < 0 && atls_key_field_len(alg->key_type) != 0 && is_ecdsa_der(signature))
        return atls_fail_libcrypto(err, "signature verification");
    ERR_clear_error();
    return atls_fail_alert(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR,
                           "signature (%s) does not match", alg->name);
}

/* Ed25519 signs the message itself, which must lie in one piece. */
static enum atls_code verify_ed25519(const struct atls_key *key,
                                     const struct atls_signature_algorithm *alg,
                                     const struct atls_bytes *parts, size_t count,
                                     struct atls_bytes signature, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SIZE_MAX / 2);
    struct atls_bytes message;
    EVP_MD_CTX *ctx = NULL;
    int verified = -1;
    bool ready;

    for (size_t i = 0; i < count; i++)
        if (parts[i].len != 0)
            atls_put_bytes(&w, parts[i]);
    message = atls_writer_bytes(&w);
    ready = w.failed == ATLS_OK && (ctx = EVP_MD_CTX_new()) != NULL &&
            EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1;
    if (ready)
        verified = EVP_DigestVerify(ctx, signature.ptr, signature.len, message.ptr, message.len);
    EVP_MD_CTX_free(ctx);
    atls_writer_clear(&w);
    if (!ready)
        return atls_fail_libcrypto(err, "Ed25519 verification");
    return verified == 1 ? ATLS_OK : not_verified(alg, verified, signature, err);
}

enum atls_code atls_key_verify(const struct atls_key *key, enum atls_signature scheme,
                               const struct atls_bytes *parts, size_t count,
                               struct atls_bytes signature, struct atls_err *err)
{
    const struct atls_signature_algorithm *alg;
    uint8_t digest[ATLS_HASH_MAX];
    EVP_PKEY_CTX *ctx;
    enum atls_code code;
    int verified = -1;

    if ((code = atls_signature_for_key(key, scheme, &alg, err)) != ATLS_OK)
        return code;
    if (alg->hash == ATLS_HASH_NONE)
        return verify_ed25519(key, alg, parts, count, signature, err);
    if ((code = atls_hash_parts(alg->hash, parts, count, digest, err)) != ATLS_OK)
        return code;
    if ((code = atls_operation_begin(key->verifying, key->pkey, EVP_PKEY_verify_init, &ctx, err)) !=
        ATLS_OK)
        return code;
    if ((code = atls_signature_configure(alg, ctx, err)) == ATLS_OK)
        verified =
            EVP_PKEY_verify(ctx, signature.ptr, signature.len, digest, atls_hash_len(alg->hash));
    EVP_PKEY_CTX_free(ctx);
    if (code != ATLS_OK)
        return code;
    return verified == 1 ? ATLS_OK : not_verified(alg, verified, signature, err);
}

enum atls_code atls_key_verify_raw(const struct atls_key *key, enum atls_signature scheme,
                                   struct atls_bytes tbs, struct atls_bytes signature,
                                   struct atls_err *err)
{
    const struct atls_signature_algorithm *alg;
    size_t field = atls_key_field_len(key->type);
    struct atls_buf der = ATLS_BUF_INIT;
    enum atls_code code;

    if (field == 0)
        return atls_key_verify(key, scheme, &tbs, 1, signature, err);
    if ((code = atls_signature_for_key(key, scheme, &alg, err)) != ATLS_OK)
        return code;
    if (signature.len != 2 * field)
        return atls_fail_alert(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE, ATLS_ALERT_DECRYPT_ERROR,
                               "signature (%s) has %zu bytes, want %zu", alg->name, signature.len,
                               2 * field);
    if ((code = atls_ecdsa_der_from_rs(atls_bytes_of(signature.ptr, field),
                                       atls_bytes_of(signature.ptr + field, field), &der, err)) !=
        ATLS_OK)
        return code;
    code = atls_key_verify(key, scheme, &tbs, 1, atls_buf_bytes(&der), err);
    atls_buf_clear(&der);
    return code;
}

enum atls_code atls_ecdsa_der_from_rs(struct atls_bytes r, struct atls_bytes s,
                                      struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(256);
    size_t mark;

    if (r.len > ECDSA_INTEGER_LEN_MAX || s.len > ECDSA_INTEGER_LEN_MAX)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "ECDSA signature: r has %zu bytes and s %zu, want at most %d",
                                r.len, s.len, ECDSA_INTEGER_LEN_MAX);
    mark = atls_der_open(&w, ATLS_DER_SEQUENCE);
    atls_der_put_unsigned(&w, r);
    atls_der_put_unsigned(&w, s);
    atls_der_close(&w, mark);
    return atls_writer_finish(&w, out, err);
}
