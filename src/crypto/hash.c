#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "core/err.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/libcrypto.h"

#define HKDF_BLOCKS_MAX 255 /* RFC 5869 section 2.3 */

size_t atls_hash_len(enum atls_hash hash)
{
    static const size_t lens[ATLS_HASH_COUNT] = {
        [ATLS_HASH_SHA1] = 20,
        [ATLS_HASH_SHA256] = 32,
        [ATLS_HASH_SHA384] = 48,
        [ATLS_HASH_SHA512] = 64,
    };

    return (unsigned int)hash < ATLS_HASH_COUNT ? lens[hash] : 0;
}

enum atls_code atls_hash_parts(enum atls_hash hash, const struct atls_bytes *parts, size_t count,
                               uint8_t out[ATLS_HASH_MAX], struct atls_err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx;
    bool ok;

    if (atls_hash_len(hash) == 0)
        return atls_fail(err, ATLS_E_USAGE, "hash: no algorithm has number %d", (int)hash);
    if (atls_libcrypto()->md[hash] == NULL)
        return atls_fail_libcrypto(err, "hash: fetching the algorithm");
    if ((ctx = EVP_MD_CTX_new()) == NULL)
        return atls_fail_memory(err, "hash");
    ok = EVP_DigestInit_ex2(ctx, atls_libcrypto()->md[hash], NULL) == 1;
    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return atls_fail_libcrypto(err, "hash");
    memcpy(out, digest, atls_hash_len(hash));
    return ATLS_OK;
}

enum atls_code atls_hash_one(enum atls_hash hash, struct atls_bytes data,
                             uint8_t out[ATLS_HASH_MAX], struct atls_err *err)
{
    return atls_hash_parts(hash, &data, 1, out, err);
}

struct atls_digest {
    enum atls_hash hash;
    EVP_MD_CTX *ctx;
};

enum atls_code atls_digest_new(enum atls_hash hash, struct atls_digest **out, struct atls_err *err)
{
    struct atls_digest *d;

    if (atls_hash_len(hash) == 0)
        return atls_fail(err, ATLS_E_USAGE, "hash: no algorithm has number %d", (int)hash);
    if ((d = calloc(1, sizeof *d)) == NULL || (d->ctx = EVP_MD_CTX_new()) == NULL) {
        free(d);
        return atls_fail_memory(err, "hash");
    }
    d->hash = hash;
    if (atls_libcrypto()->md[hash] == NULL ||
        EVP_DigestInit_ex2(d->ctx, atls_libcrypto()->md[hash], NULL) != 1) {
        atls_digest_free(d);
        return atls_fail_libcrypto(err, "hash: fetching the algorithm");
    }
    *out = d;
    return ATLS_OK;
}

enum atls_code atls_digest_add(struct atls_digest *d, struct atls_bytes data, struct atls_err *err)
{
    if (EVP_DigestUpdate(d->ctx, data.ptr, data.len) != 1)
        return atls_fail_libcrypto(err, "hash");
    return ATLS_OK;
}

enum atls_code atls_digest_peek(const struct atls_digest *d, uint8_t out[ATLS_HASH_MAX],
                                struct atls_err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool ok;

    if (copy == NULL)
        return atls_fail_memory(err, "hash");
    ok = EVP_MD_CTX_copy_ex(copy, d->ctx) == 1 && EVP_DigestFinal_ex(copy, digest, NULL) == 1;
    EVP_MD_CTX_free(copy);
    if (!ok)
        return atls_fail_libcrypto(err, "hash");
    memcpy(out, digest, atls_hash_len(d->hash));
    return ATLS_OK;
}

void atls_digest_free(struct atls_digest *d)
{
    if (d == NULL)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

enum atls_code atls_hmac(enum atls_hash hash, struct atls_bytes key, struct atls_bytes data,
                         uint8_t out[ATLS_HASH_MAX], struct atls_err *err)
{
    static const uint8_t empty[1];
    uint8_t mac[EVP_MAX_MD_SIZE];
    EVP_MAC_CTX *ctx;
    size_t len = 0;
    bool ok;

    if (atls_hash_len(hash) == 0)
        return atls_fail(err, ATLS_E_USAGE, "HMAC: no hash has number %d", (int)hash);
    if (atls_libcrypto()->hmac[hash] == NULL)
        return atls_fail_libcrypto(err, "HMAC: fetching the algorithm");
    if ((ctx = EVP_MAC_CTX_dup(atls_libcrypto()->hmac[hash])) == NULL)
        return atls_fail_memory(err, "HMAC");
    /* A NULL key would mean "keep the one of the template". */
    ok = EVP_MAC_init(ctx, key.len == 0 ? empty : key.ptr, key.len, NULL) == 1 &&
         EVP_MAC_update(ctx, data.ptr, data.len) == 1 &&
         EVP_MAC_final(ctx, mac, &len, sizeof mac) == 1 && len == atls_hash_len(hash);
    EVP_MAC_CTX_free(ctx);
    if (ok)
        memcpy(out, mac, len);
    atls_wipe(mac, sizeof mac);
    return ok ? ATLS_OK : atls_fail_libcrypto(err, "HMAC");
}

/* HKDF-Expand (RFC 5869 section 2.3) over atls_hmac. */
static enum atls_code hkdf_expand(enum atls_hash hash, struct atls_bytes secret,
                                  struct atls_bytes info, uint8_t *out, size_t out_len,
                                  struct atls_err *err)
{
    size_t hash_len = atls_hash_len(hash), done = 0, take;
    struct atls_writer w = atls_writer_init(1024);
    enum atls_code code = ATLS_OK;
    uint8_t t[ATLS_HASH_MAX];

    for (uint8_t counter = 1; done < out_len; counter++, done += take) {
        if (counter > 1)
            atls_put_bytes(&w, atls_bytes_of(t, hash_len));
        atls_put_bytes(&w, info);
        atls_put_u8(&w, counter);
        if (w.failed != ATLS_OK) {
            code = atls_fail(err, w.failed, "HKDF-Expand: input does not fit");
            break;
        }
        if ((code = atls_hmac(hash, secret, atls_writer_bytes(&w), t, err)) != ATLS_OK)
            break;
        take = out_len - done < hash_len ? out_len - done : hash_len;
        memcpy(out + done, t, take);
        atls_writer_clear(&w);
    }
    atls_writer_clear(&w);
    atls_wipe(t, sizeof t);
    if (code != ATLS_OK)
        atls_wipe(out, out_len);
    return code;
}

enum atls_code atls_hkdf_expand_label(enum atls_hash hash, struct atls_bytes secret,
                                      const char *prefix, const char *label,
                                      struct atls_bytes context, uint8_t *out, size_t out_len,
                                      struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(1024);
    struct atls_buf info = ATLS_BUF_INIT;
    struct atls_mark mark;
    enum atls_code code;

    if (atls_hash_len(hash) == 0)
        return atls_fail(err, ATLS_E_USAGE, "HKDF-Expand-Label: no hash has number %d", (int)hash);
    if (out_len > HKDF_BLOCKS_MAX * atls_hash_len(hash) || out_len > 0xffff)
        return atls_fail(err, ATLS_E_USAGE, "HKDF-Expand-Label: %zu bytes wanted, at most %zu",
                         out_len, HKDF_BLOCKS_MAX * atls_hash_len(hash));
    atls_put_u16(&w, (uint16_t)out_len);
    mark = atls_open_vec(&w, 0xff);
    atls_put_text(&w, prefix);
    atls_put_text(&w, label);
    atls_close_vec(&w, mark);
    mark = atls_open_vec(&w, 0xff);
    atls_put_bytes(&w, context);
    atls_close_vec(&w, mark);
    if ((code = atls_writer_finish(&w, &info, err)) != ATLS_OK)
        return code;
    code = hkdf_expand(hash, secret, atls_buf_bytes(&info), out, out_len, err);
    atls_buf_clear(&info);
    return code;
}

enum atls_code atls_tls13_exporter(enum atls_hash hash, struct atls_bytes secret,
                                   const char *prefix, const char *label, struct atls_bytes context,
                                   uint8_t *out, size_t out_len, struct atls_err *err)
{
    size_t len = atls_hash_len(hash);
    uint8_t digest[ATLS_HASH_MAX], derived[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_hash_parts(hash, NULL, 0, digest, err)) == ATLS_OK &&
        (code = atls_hkdf_expand_label(hash, secret, prefix, label, atls_bytes_of(digest, len),
                                       derived, len, err)) == ATLS_OK &&
        (code = atls_hash_one(hash, context, digest, err)) == ATLS_OK)
        code = atls_hkdf_expand_label(hash, atls_bytes_of(derived, len), prefix, "exporter",
                                      atls_bytes_of(digest, len), out, out_len, err);
    atls_wipe(derived, sizeof derived);
    return code;
}

enum atls_code atls_random(void *out, size_t len, struct atls_err *err)
{
    if (RAND_priv_bytes_ex(NULL, out, len, 0) != 1)
        return atls_fail_libcrypto(err, "random numbers");
    return ATLS_OK;
}
