#include "bind/binder.h"

#include <string.h>

#include "core/err.h"
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
