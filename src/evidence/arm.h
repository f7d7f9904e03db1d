/* What the tokens of PSA (RFC 9783) and Arm CCA have in common when they are verified: keys by
 * implementation and instance, COSE signatures, lifecycle, and how their claims compare with
 * reference values (docs/arm.md). Private to src/evidence. */
#ifndef ATLS_EVIDENCE_ARM_H
#define ATLS_EVIDENCE_ARM_H

#include "evidence/claims.h"
#include "wire/arm_claims.h"

/* Memory for the decoded token: the token itself is at most as long as a CMW. */
#define ATLS_ARM_ARENA_MAX ((size_t)4 * 1024 * 1024)

/* The operator's rules, or the strict defaults. */
const struct atls_arm_rules *atls_arm_rules_of(const struct atls_evidence_request *request);

/* Who says that a token is his. */
struct atls_arm_speaker {
    const struct atls_technology *technology;
    struct atls_bytes implementation_id; /* 32 bytes */
    struct atls_bytes instance_id;       /* 33 bytes */
};

/* The attestation key that is on file for the speaker: of his technology and the class that is its
 * implementation id (tag 560), since instances mean nothing without it, and whose keys are on file
 * for something else could claim to be any implementation. *out is the caller's to clear. Errors:
 * ATLS_E_EVIDENCE (untrusted-key), those of the source. */
ATLS_MUST_CHECK enum atls_code atls_arm_find_key(const struct atls_evidence_request *request,
                                                 const struct atls_arm_speaker *speaker,
                                                 struct atls_attest_key *out, struct atls_err *err);

/* The class-id of an implementation id, or of a realm's initial measurement: tag 560. */
ATLS_MUST_CHECK bool atls_arm_class_id(struct atls_arena *arena, struct atls_bytes id,
                                       struct atls_bytes *out);

/* Signature of an envelope: ES256, ES384 or ES512, the one of the key's curve (else
 * unsupported-algorithm); reason is what a wrong one is called, what the token. Errors also:
 * ATLS_E_EVIDENCE (reason), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
struct atls_arm_signature {
    const struct atls_cose_sign1 *sign1;
    const struct atls_key *key;
    enum atls_reason reason;
    const char *what;
};
ATLS_MUST_CHECK enum atls_code atls_arm_verify_signature(const struct atls_arm_signature *signature,
                                                         struct atls_err *err);

/* Secured, or with allow_debug also debugging of what is not the root of trust: in these states
 * alone a platform's word counts (lifecycle). */
ATLS_MUST_CHECK enum atls_code atls_arm_check_lifecycle(enum atls_arm_lifecycle lifecycle,
                                                        bool allow_debug, const char *what,
                                                        struct atls_err *err);

/* Instance ids that many devices derive: 01 || SHA-256 of the point, 04 || x || y (untrusted-key).
 */
ATLS_MUST_CHECK enum atls_code atls_arm_check_instance(const struct atls_key *key,
                                                       struct atls_bytes instance_id,
                                                       struct atls_err *err);

/* One measurement a software component, as reference values of PSA and CCA platforms have them:
 * digest, signer id (cryptokey of tag 560), name (type), version. */
struct atls_arm_components {
    const struct atls_arm_component *list;
    size_t count;
    const char *mkey;         /* "psa.software-component" */
    const char *default_hash; /* of components that name none; NULL: none */
    size_t further;           /* measurements that the caller adds */
};
ATLS_MUST_CHECK bool atls_arm_add_components(struct atls_claims *claims,
                                             const struct atls_arm_components *components);
/* A measurement at the end of the list, for which there is room; mkey is static. Values are copied.
 * A digest is of the named hash when its length fits, else of the hash of its length: published
 * tokens have measurements that are not as long as the hash that they name. */
ATLS_MUST_CHECK bool atls_arm_add_raw(struct atls_claims *claims, const char *mkey,
                                      struct atls_bytes value);
ATLS_MUST_CHECK bool atls_arm_add_digest(struct atls_claims *claims, const char *mkey,
                                         struct atls_bytes named_hash, struct atls_bytes value);

/* The detail "client-id". */
ATLS_MUST_CHECK bool atls_arm_add_client_id(struct atls_claims *claims, int32_t client_id);

#endif
