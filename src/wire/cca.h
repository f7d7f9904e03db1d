/* Arm CCA tokens: a platform token and a realm token in one wrapper. Codec only.
 *
 * The platform token's challenge is the hash of the realm's key, which signs the realm token; the
 * realm token's challenge is the caller's. Either half alone is worthless, and the order in which
 * they are to be checked is this: platform signature, binding,
 * realm signature, realm challenge, claims.
 *
 *     struct atls_cca_token token;
 *
 *     if ((code = atls_cca_token_open(in, &arena, &token, err)) == ATLS_OK &&
 *         (code = verify_platform(&token.platform)) == ATLS_OK &&
 *         (code = atls_cca_platform_decode(token.platform.payload, &arena, &platform, err)) ==
 *             ATLS_OK &&
 *         (code = atls_cca_realm_decode(token.realm.payload, &arena, &realm, err)) == ATLS_OK)
 *         code = bind(platform.challenge, realm.public_key, realm.public_key_hash); */
#ifndef ATLS_WIRE_CCA_H
#define ATLS_WIRE_CCA_H

#include "wire/arm_claims.h"
#include "wire/cose.h"

/* Media type of the wrapper, in a bundle and alone. */
#define ATLS_TYPE_CCA "application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\""

#define ATLS_CCA_CHALLENGE_LEN     64
#define ATLS_CCA_EXTENSIBLE        4
#define ATLS_CCA_LEGACY_PUBLIC_KEY 97 /* 04 || X || Y on P-384 */

enum atls_cca_wrapper {
    ATLS_CCA_UNTAGGED = 0,         /* the collection alone: what it is in says what it is */
    ATLS_CCA_TAG_MAP = 399,        /* {44234: platform, 44241: realm} */
    ATLS_CCA_TAG_COLLECTION = 907, /* the same as CMW records, content-format 263 */
};

struct atls_cca_token {
    enum atls_cca_wrapper wrapper;
    struct atls_bytes platform_encoded, realm_encoded; /* the COSE_Sign1 with their tags */
    struct atls_cose_sign1 platform, realm;            /* payloads attached */
};

/* Opens wrapper and envelopes of a token that fills in exactly; no claim is decoded. Members of the
 * wrapper beside the two are ignored. Borrows from in and arena. Errors: ATLS_E_DECODE (another
 * tag, a member not a byte string; missing-token), ATLS_E_UNSUPPORTED (cose-type: no COSE_Sign1
 * with tag 18), else as atls_cmw_decode and atls_cose_sign1_decode_of_any_width. */
ATLS_MUST_CHECK enum atls_code atls_cca_token_open(struct atls_bytes in, struct atls_arena *arena,
                                                   struct atls_cca_token *out,
                                                   struct atls_err *err);

enum atls_cca_platform_profile {
    ATLS_CCA_PLATFORM_LEGACY = 1, /* http://arm.com/CCA-SSD/1.0.0 */
    ATLS_CCA_PLATFORM_2023 = 2,   /* tag:arm.com,2023:cca_platform#1.0.0 */
    ATLS_CCA_PLATFORM_2024 = 3,   /* tag:arm.com,2024:cca_platform#2.0.0 */
};

struct atls_cca_platform {
    enum atls_cca_platform_profile profile;
    struct atls_bytes challenge;         /* 32, 48 or 64 bytes */
    struct atls_bytes implementation_id; /* 32 bytes */
    struct atls_bytes instance_id;       /* 33 bytes, the first 01 */
    struct atls_bytes config;
    uint16_t lifecycle_value;
    enum atls_arm_lifecycle lifecycle;
    struct atls_arm_component *components; /* at least one */
    size_t component_count;
    enum atls_arm_hash hash;                /* of components that name none */
    struct atls_bytes verification_service; /* a hint, never to be followed; .ptr NULL: none */
    bool has_client_id;                     /* 2024 */
    int32_t client_id;
    struct atls_bytes manufacturing_config; /* 2024; .ptr NULL: none */
};

/* Decodes the payload of the platform token. *out lives in arena, borrows from in and is written on
 * success only. Claims that the profile does not know are ignored. Errors: ATLS_E_DECODE naming
 * the claim, ATLS_E_UNSUPPORTED (profile), ATLS_E_LIMIT (ATLS_ARM_COMPONENTS_MAX), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_cca_platform_decode(struct atls_bytes in,
                                                        struct atls_arena *arena,
                                                        struct atls_cca_platform *out,
                                                        struct atls_err *err);

enum atls_cca_realm_profile {
    ATLS_CCA_REALM_LEGACY = 1, /* no claim 265 */
    ATLS_CCA_REALM_2023 = 2,   /* tag:arm.com,2023:realm#1.0.0 */
    ATLS_CCA_REALM_2024 = 3,   /* tag:arm.com,2024:realm#2.0.0 */
};

enum atls_cca_mec_policy {
    ATLS_CCA_MEC_NONE = 0,
    ATLS_CCA_MEC_PRIVATE = 1,
    ATLS_CCA_MEC_SHARED = 2,
};

struct atls_cca_realm {
    enum atls_cca_realm_profile profile;
    struct atls_bytes challenge;                       /* 64 bytes */
    struct atls_bytes personalization_value;           /* 64 bytes */
    struct atls_bytes initial_measurement;             /* 32, 48 or 64 bytes */
    struct atls_bytes extensible[ATLS_CCA_EXTENSIBLE]; /* as long as the initial one */
    enum atls_arm_hash hash;                           /* of the measurements */
    bool measurements_fit_hash; /* published tokens of sha-256 have measurements of 64 bytes */
    struct atls_bytes
        public_key;           /* claim 44237 as it stands: what the platform's challenge is of */
    struct atls_cose_key key; /* the same decoded as the profile says: EC2, y given */
    enum atls_arm_hash public_key_hash;  /* of the binding: claim 44240 */
    enum atls_cca_mec_policy mec_policy; /* 2024 */
};

/* As atls_cca_platform_decode, of the realm token; whether the key's point is on its curve is for
 * the crypto layer to say. */
ATLS_MUST_CHECK enum atls_code atls_cca_realm_decode(struct atls_bytes in, struct atls_arena *arena,
                                                     struct atls_cca_realm *out,
                                                     struct atls_err *err);

/* Static; the names of the comments above, "legacy" for a realm without one. */
const char *atls_cca_platform_profile_name(enum atls_cca_platform_profile profile);
const char *atls_cca_realm_profile_name(enum atls_cca_realm_profile profile);

#endif
