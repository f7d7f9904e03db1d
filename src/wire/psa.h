/* PSA attestation tokens: RFC 9783, its predecessor 2.0.0 and PSA_IOT_PROFILE_1. Codec only.
 *
 *     struct atls_arena arena = atls_arena_init(limit);
 *     struct atls_cose_sign1 sign1;
 *     struct atls_psa_claims claims;
 *
 *     if ((code = atls_psa_token_open(in, &arena, &sign1, err)) == ATLS_OK &&
 *         (code = verify(&sign1)) == ATLS_OK)
 *         code = atls_psa_claims_decode(sign1.payload, &arena, &claims, err);
 *     atls_arena_clear(&arena);
 *
 * Keys of claims depend on the profile, and a token holds those of one profile only. Which profiles
 * are accepted is for the caller to say. */
#ifndef ATLS_WIRE_PSA_H
#define ATLS_WIRE_PSA_H

#include "wire/arm_claims.h"
#include "wire/cose.h"

enum atls_psa_profile {
    ATLS_PSA_PROFILE_1 = 1, /* claim 265 absent, claim -75000 absent or PSA_IOT_PROFILE_1 */
    ATLS_PSA_2_0_0 = 2,     /* http://arm.com/psa/2.0.0 */
    ATLS_PSA_RFC9783 = 3,   /* tag:psacertified.org,2023:psa#tfm */
};

struct atls_psa_claims {
    enum atls_psa_profile profile;
    struct atls_bytes nonce;             /* 32, 48 or 64 bytes */
    struct atls_bytes instance_id;       /* 33 bytes, the first 01 */
    struct atls_bytes implementation_id; /* 32 bytes */
    int32_t client_id;                   /* negative: caller outside the secure world; never 0 */
    uint16_t lifecycle_value;
    enum atls_arm_lifecycle lifecycle;
    struct atls_bytes boot_seed;               /* 8..32 bytes, 32 in profile 1; .ptr NULL: none */
    struct atls_bytes certification_reference; /* .ptr NULL: none */
    struct atls_arm_component *components;
    size_t component_count;
    bool no_measurements;                   /* profile 1 only, in place of components */
    struct atls_bytes verification_service; /* a hint, never to be followed; .ptr NULL: none */
};

/* Opens the envelope: COSE_Sign1 with tag 18 and payload, no tag 61 (RFC 9783 section 5).
 * out->payload is not to be believed before the signature was verified. Borrows from in and arena.
 * Errors: ATLS_E_UNSUPPORTED (cose-type: another tag, COSE_Mac0 among them), ATLS_E_DECODE, else as
 * atls_cose_sign1_decode_of_any_width. */
ATLS_MUST_CHECK enum atls_code atls_psa_token_open(struct atls_bytes in, struct atls_arena *arena,
                                                   struct atls_cose_sign1 *out,
                                                   struct atls_err *err);

/* Decodes the payload: presence, types, sizes and ranges of all claims of its profile; claims that
 * no profile knows are ignored. *out lives in arena, borrows from in and is written on success
 * only. Errors: ATLS_E_DECODE naming the claim (missing-claim, malformed; profile when claims have
 * keys of two), ATLS_E_UNSUPPORTED (profile), ATLS_E_LIMIT (ATLS_ARM_COMPONENTS_MAX), ATLS_E_NOMEM.
 */
ATLS_MUST_CHECK enum atls_code atls_psa_claims_decode(struct atls_bytes in,
                                                      struct atls_arena *arena,
                                                      struct atls_psa_claims *out,
                                                      struct atls_err *err);

/* The profile that a media type's eat_profile parameter names, tag:psacertified.org,2019:psa#legacy
 * for profile 1 among them; false for others. */
bool atls_psa_profile_of(struct atls_bytes parameter, enum atls_psa_profile *out);
/* Static; the names of the comments above. */
const char *atls_psa_profile_name(enum atls_psa_profile profile);

#endif
