#include <string.h>

#include "core/err.h"
#include "core/secret.h"
#include "evidence/arm.h"
#include "evidence/cca.h"

#define SPKI_MAX 512

static const char platform_token[] = "CCA platform token", realm_token[] = "CCA realm token";

void atls_cca_verified_clear(struct atls_cca_verified *verified)
{
    if (verified == NULL)
        return;
    atls_key_unref(verified->platform_key);
    atls_key_unref(verified->realm_key);
    verified->platform_key = NULL;
    verified->realm_key = NULL;
}

static enum atls_code verify_platform(const struct atls_cca_check *check,
                                      const struct atls_cca_token *token,
                                      struct atls_cca_verified *v, struct atls_err *err)
{
    struct atls_arm_signature signature = {
        .sign1 = &token->platform,
        .reason = ATLS_REASON_PLATFORM_SIGNATURE,
        .what = platform_token,
    };
    enum atls_code code;

    if (check->trusted_elsewhere)
        return ATLS_OK;
    code = check->platform_key(check->arg, &v->platform, &v->platform_key, err);
    if (code != ATLS_OK)
        return code;
    signature.key = v->platform_key;
    return atls_arm_verify_signature(&signature, err);
}

/* The point must be on its curve; nothing says yet whose it is. */
static enum atls_code parse_realm_key(const struct atls_cca_check *check,
                                      struct atls_cca_verified *v, struct atls_err *err)
{
    const struct atls_cose_key *key = &v->realm.key;
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    enum atls_code code;

    if (key->crv != ATLS_COSE_P384 && !(check->allow_p256 && key->crv == ATLS_COSE_P256))
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "%s: public key is of curve %d, want P-384%s", realm_token,
                                (int)key->crv, check->allow_p256 ? " or P-256" : "");
    code = atls_cose_put_spki(&w, key, err);
    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "%s: out of memory", realm_token);
    if (code == ATLS_OK)
        code = atls_key_from_spki(atls_writer_bytes(&w), &v->realm_key, err);
    atls_writer_clear(&w);
    if (code == ATLS_E_DECODE)
        return atls_fail_reason(err, code, ATLS_REASON_MALFORMED,
                                "%s: public key is no point of its curve", realm_token);
    return code;
}

static enum atls_hash hash_of(enum atls_arm_hash hash)
{
    return hash == ATLS_ARM_SHA256   ? ATLS_HASH_SHA256
           : hash == ATLS_ARM_SHA384 ? ATLS_HASH_SHA384
                                     : ATLS_HASH_SHA512;
}

/* Over the claim's content as it was carried, by the hash that claim 44240 names and no other. */
static enum atls_code check_binding(const struct atls_cca_verified *v, struct atls_err *err)
{
    const enum atls_hash hash = hash_of(v->realm.public_key_hash);
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(hash, v->realm.public_key, digest, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_secret_equal(v->platform.challenge, atls_bytes_of(digest, atls_hash_len(hash))))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_REALM_BINDING,
                                "%s: challenge (%zu bytes) is not the %s of the realm's public key",
                                platform_token, v->platform.challenge.len, atls_hash_name(hash));
    return ATLS_OK;
}

static enum atls_code check_challenge(const struct atls_cca_check *check,
                                      const struct atls_cca_verified *v, struct atls_err *err)
{
    if (check->challenge.len != ATLS_CCA_CHALLENGE_LEN ||
        !atls_secret_equal(v->realm.challenge, check->challenge))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, check->challenge_reason,
                                "%s: challenge is not the expected one", realm_token);
    return ATLS_OK;
}

static enum atls_code decode(const struct atls_cca_check *check, struct atls_arena *arena,
                             struct atls_cca_token *token, struct atls_cca_verified *v,
                             struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_cca_token_open(check->token, arena, token, err)) != ATLS_OK ||
        (code = atls_cca_platform_decode(token->platform.payload, arena, &v->platform, err)) !=
            ATLS_OK)
        return code;
    return atls_cca_realm_decode(token->realm.payload, arena, &v->realm, err);
}

/* v is the caller's to clear on failure, too. */
static enum atls_code verify(const struct atls_cca_check *check, struct atls_arena *arena,
                             struct atls_cca_verified *v, struct atls_err *err)
{
    struct atls_cca_token token;
    struct atls_arm_signature signature = {
        .sign1 = &token.realm,
        .reason = ATLS_REASON_REALM_SIGNATURE,
        .what = realm_token,
    };
    enum atls_code code;

    if ((code = decode(check, arena, &token, v, err)) != ATLS_OK ||
        (code = verify_platform(check, &token, v, err)) != ATLS_OK ||
        (code = parse_realm_key(check, v, err)) != ATLS_OK ||
        (code = check_binding(v, err)) != ATLS_OK)
        return code;
    signature.key = v->realm_key;
    if ((code = atls_arm_verify_signature(&signature, err)) != ATLS_OK ||
        (code = check_challenge(check, v, err)) != ATLS_OK)
        return code;
    return atls_arm_check_lifecycle(v->platform.lifecycle, check->allow_debug, platform_token, err);
}

enum atls_code atls_cca_verify(const struct atls_cca_check *check, struct atls_arena *arena,
                               struct atls_cca_verified *out, struct atls_err *err)
{
    struct atls_cca_verified v;
    enum atls_code code;

    memset(&v, 0, sizeof v);
    if ((code = verify(check, arena, &v, err)) != ATLS_OK) {
        atls_cca_verified_clear(&v);
        return code;
    }
    *out = v;
    return ATLS_OK;
}
