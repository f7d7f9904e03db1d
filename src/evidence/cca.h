/* Verification of an Arm CCA token: what the platform signed, what the realm signed, and the hash
 * that ties the two. Order and reasons are those of the members below; the first that fails gives
 * the reason. It cannot be half-used: key and challenge are not optional. Any thread. */
#ifndef ATLS_EVIDENCE_CCA_H
#define ATLS_EVIDENCE_CCA_H

#include "core/arena.h"
#include "crypto/crypto.h"
#include "evidence/rules.h"
#include "wire/cca.h"

struct atls_cca_check {
    /* Wrapper, envelopes, claims: malformed, missing-token, missing-claim, profile. */
    struct atls_bytes token;
    /* The key that is trusted to sign for this platform, a new reference: its errors,
     * untrusted-key. Then unsupported-algorithm, platform-signature. */
    enum atls_code (*platform_key)(void *arg, const struct atls_cca_platform *platform,
                                   struct atls_key **out, struct atls_err *err);
    void *arg;
    /* Where trust in platform keys is somebody else's to say, and so the platform's signature, too:
     * platform_key is not called. */
    bool trusted_elsewhere;
    /* The realm's key: malformed, unsupported-algorithm, realm-binding, realm-signature. */
    bool allow_p256;
    /* What the realm must have signed, 64 bytes; challenge_reason is what a difference is called.
     */
    struct atls_bytes challenge;
    enum atls_reason challenge_reason;
    bool allow_debug; /* else lifecycle */
};

/* Borrows from the token and the arena that it was verified with. */
struct atls_cca_verified {
    struct atls_cca_platform platform;
    struct atls_cca_realm realm;
    struct atls_key *platform_key; /* NULL with trusted_elsewhere */
    struct atls_key *realm_key;
};
void atls_cca_verified_clear(struct atls_cca_verified *verified); /* NULL is fine */

/* *out is written on success only and is the caller's to clear, before the arena. Errors:
 * ATLS_E_EVIDENCE, ATLS_E_DECODE, ATLS_E_UNSUPPORTED with the reasons above; ATLS_E_LIMIT (nesting,
 * ATLS_ARM_COMPONENTS_MAX); those of platform_key; ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_cca_verify(const struct atls_cca_check *check,
                                               struct atls_arena *arena,
                                               struct atls_cca_verified *out, struct atls_err *err);

#endif
