/* Verification of a PSA attestation token (RFC 9783 and its predecessors). Order and reasons are
 * those of the members below; the first that fails gives the reason. It cannot be half-used: key
 * and nonce are not optional. Any thread. */
#ifndef ATLS_EVIDENCE_PSA_H
#define ATLS_EVIDENCE_PSA_H

#include "core/arena.h"
#include "crypto/crypto.h"
#include "evidence/rules.h"
#include "wire/psa.h"

struct atls_psa_check {
    /* Envelope and claims: cose-type, malformed, missing-claim, profile (also of a profile that the
     * rules do not allow). */
    struct atls_bytes token;
    /* The key that is trusted to sign for this instance, a new reference: its errors,
     * untrusted-key. Then unsupported-algorithm, signature. */
    enum atls_code (*attest_key)(void *arg, const struct atls_psa_claims *claims,
                                 struct atls_key **out, struct atls_err *err);
    void *arg;
    bool trusted_elsewhere;  /* the signature, too: attest_key is not called */
    struct atls_bytes nonce; /* all of it: nonce-mismatch */
    /* Then client-id, lifecycle, measurement (none where some are due). */
    const struct atls_arm_rules *rules;
};

/* *out borrows from the token and arena and is written on success only; *out_key is the attestation
 * key, the caller's to unref, NULL with trusted_elsewhere. Errors: ATLS_E_EVIDENCE, ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED with the reasons above; ATLS_E_LIMIT (nesting, ATLS_ARM_COMPONENTS_MAX); those
 * of attest_key; ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_psa_verify(const struct atls_psa_check *check,
                                               struct atls_arena *arena,
                                               struct atls_psa_claims *out,
                                               struct atls_key **out_key, struct atls_err *err);

#endif
