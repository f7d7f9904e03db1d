#include "bind/binder.h"

#include <string.h>

#include "core/err.h"
#include "core/secret.h"
#include "crypto/crypto.h"

#define QUALIFYING_LEN     32
#define BARE_CHALLENGE_LEN 64

enum atls_code atls_binder_export(atls_exporter *exporter, void *arg, struct atls_bytes context,
                                  uint8_t out[32], struct atls_err *err)
{
    if (exporter == NULL || context.len > ATLS_EA_CONTEXT_MAX)
        return atls_fail(err, ATLS_E_USAGE, "binder: no exporter, or context of %zu bytes",
                         context.len);
    return exporter(arg, ATLS_BINDER_LABEL, context, out, 32, err);
}

static enum atls_code check_inputs(enum atls_hash hash, struct atls_bytes spki,
                                   struct atls_err *err)
{
    if (hash != ATLS_HASH_SHA256 && hash != ATLS_HASH_SHA384)
        return atls_fail(err, ATLS_E_USAGE, "binder: hash %d is not that of a TLS 1.3 suite",
                         (int)hash);
    if (spki.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "binder: no public key given");
    return ATLS_OK;
}

enum atls_code atls_binder_make(enum atls_hash hash, struct atls_bytes spki,
                                const uint8_t exported[32], struct atls_binder *out,
                                struct atls_err *err)
{
    const struct atls_bytes parts[] = {spki, atls_bytes_of(exported, 32)};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = check_inputs(hash, spki, err)) != ATLS_OK ||
        (code = atls_hash_parts(hash, parts, 2, digest, err)) != ATLS_OK)
        return code;
    memset(out, 0, sizeof *out);
    out->len = atls_hash_len(hash);
    memcpy(out->data, digest, out->len);
    return ATLS_OK;
}

/* ---- intra-handshake ---- */

#define TLS13_PREFIX     "tls13 "
#define INTRA_BASE       "attestation base"
#define INTRA_LABEL      "attestation"
#define INTRA_SECRET     "atls intra secret binder"
#define INTRA_SECRET_TAG "atls intra secret binder 1" /* its NUL enters as well */

static enum atls_code check_handshake(const struct atls_binder_handshake *h, struct atls_err *err)
{
    enum atls_code code = check_inputs(h->hash, h->spki, err);

    if (code == ATLS_OK && h->transcript_hash.len != atls_hash_len(h->hash))
        return atls_fail(err, ATLS_E_USAGE, "binder: transcript hash of %zu bytes, want %zu",
                         h->transcript_hash.len, atls_hash_len(h->hash));
    return code;
}

/* HKDF-Expand-Label(secret, label, Hash(spki), L). */
static enum atls_code expand_key(const struct atls_binder_handshake *h, struct atls_bytes secret,
                                 const char *label, uint8_t out[ATLS_BINDER_MAX],
                                 struct atls_err *err)
{
    const size_t len = atls_hash_len(h->hash);
    uint8_t key[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(h->hash, h->spki, key, err);

    if (code != ATLS_OK)
        return code;
    return atls_hkdf_expand_label(h->hash, secret, TLS13_PREFIX, label, atls_bytes_of(key, len),
                                  out, len, err);
}

enum atls_code atls_binder_intra(const struct atls_binder_handshake *handshake,
                                 struct atls_binder *out, struct atls_err *err)
{
    static const uint8_t zeros[ATLS_BINDER_MAX];
    struct atls_binder binder = {.len = atls_hash_len(handshake->hash)};
    uint8_t base[ATLS_BINDER_MAX];
    enum atls_code code = check_handshake(handshake, err);

    if (code != ATLS_OK ||
        (code = atls_hkdf_expand_label(handshake->hash, atls_bytes_of(zeros, binder.len),
                                       TLS13_PREFIX, INTRA_BASE, handshake->transcript_hash, base,
                                       binder.len, err)) != ATLS_OK ||
        (code = expand_key(handshake, atls_bytes_of(base, binder.len), INTRA_LABEL, binder.data,
                           err)) != ATLS_OK)
        return code;
    *out = binder;
    return ATLS_OK;
}

enum atls_code atls_binder_intra_secret(const struct atls_binder_handshake *handshake,
                                        struct atls_bytes secret, struct atls_binder *out,
                                        struct atls_err *err)
{
    struct atls_binder binder;
    uint8_t derived[ATLS_BINDER_MAX], digest[ATLS_HASH_MAX];
    enum atls_code code = atls_binder_intra(handshake, &binder, err);

    if (code != ATLS_OK)
        return code;
    if (secret.len != binder.len)
        return atls_fail(err, ATLS_E_USAGE,
                         "binder: handshake traffic secret of %zu bytes, want "
                         "%zu",
                         secret.len, binder.len);
    if ((code = expand_key(handshake, secret, INTRA_SECRET, derived, err)) == ATLS_OK) {
        const struct atls_bytes parts[] = {
            atls_bytes_of(INTRA_SECRET_TAG, sizeof INTRA_SECRET_TAG),
            atls_binder_bytes(&binder),
            atls_bytes_of(derived, binder.len),
        };

        if ((code = atls_hash_parts(handshake->hash, parts, 3, digest, err)) == ATLS_OK) {
            out->len = binder.len;
            memcpy(out->data, digest, binder.len);
        }
    }
    atls_wipe(derived, sizeof derived);
    return code;
}

/* ---- pre-handshake ---- */

#define PRE_TAG "atls pre-handshake 1" /* its NUL enters as well */

enum atls_code atls_binder_pre(struct atls_bytes nonce, struct atls_bytes spki,
                               struct atls_binder *out, struct atls_err *err)
{
    const uint8_t nonce_len = (uint8_t)nonce.len;
    const struct atls_bytes parts[] = {atls_bytes_of(PRE_TAG, sizeof PRE_TAG),
                                       atls_bytes_of(&nonce_len, 1), nonce, spki};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = check_inputs(ATLS_HASH_SHA256, spki, err);

    if (code != ATLS_OK)
        return code;
    if (nonce.len != 0 && nonce.len != ATLS_BINDER_PRE_NONCE_LEN)
        return atls_fail(err, ATLS_E_USAGE, "binder: nonce of %zu bytes, want 0 or %d", nonce.len,
                         ATLS_BINDER_PRE_NONCE_LEN);
    if ((code = atls_hash_parts(ATLS_HASH_SHA256, parts, 4, digest, err)) == ATLS_OK) {
        memset(out, 0, sizeof *out);
        out->len = atls_hash_len(ATLS_HASH_SHA256);
        memcpy(out->data, digest, out->len);
    }
    return code;
}

/* ---- how binders get into evidence ---- */

enum atls_code atls_binder_qualifying_data(struct atls_bytes binder, uint8_t out[32],
                                           struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if (binder.len == QUALIFYING_LEN) {
        memcpy(out, binder.ptr, QUALIFYING_LEN);
        return ATLS_OK;
    }
    if (binder.len != ATLS_BINDER_MAX)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "binder: %zu bytes, want 32 or 48", binder.len);
    if ((code = atls_hash_one(ATLS_HASH_SHA256, binder, digest, err)) == ATLS_OK)
        memcpy(out, digest, QUALIFYING_LEN);
    return code;
}

enum atls_code atls_binder_bare_challenge(enum atls_hash hash, struct atls_bytes binder,
                                          struct atls_bytes spki, uint8_t out[64],
                                          struct atls_err *err)
{
    uint8_t challenge[BARE_CHALLENGE_LEN] = {0}, digest[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = check_inputs(hash, spki, err)) != ATLS_OK)
        return code;
    if (binder.len != atls_hash_len(hash))
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "binder: %zu bytes, want %zu", binder.len, atls_hash_len(hash));
    memcpy(challenge, binder.ptr, binder.len);
    if (hash == ATLS_HASH_SHA256) { /* 32 bytes are left for the key; SHA-384 leaves zeros */
        if ((code = atls_hash_one(hash, spki, digest, err)) != ATLS_OK)
            return code;
        memcpy(challenge + binder.len, digest, sizeof challenge - binder.len);
    }
    memcpy(out, challenge, sizeof challenge);
    return ATLS_OK;
}
