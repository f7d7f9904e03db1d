/* Building results: a result comes from verified claims and what appraisal found of them, and from
 * nothing else. */
#ifndef ATLS_VERIFIER_RESULT_H
#define ATLS_VERIFIER_RESULT_H

#include <atls/result.h>

#include "evidence/evidence.h"

/* Newest profile of draft-ietf-rats-ear (-04). */
#define ATLS_EAR_PROFILE "tag:ietf.org,2026:rats/ear#04"

/* Problems and manifests that a result names one by one; the rest is counted. */
#define ATLS_PROBLEMS_MAX    4
#define ATLS_PROBLEM_LEN     160
#define ATLS_MANIFESTS_MAX   2
#define ATLS_MANIFEST_ID_LEN 128
#define ATLS_EXPLANATION_LEN 512
/* A result as JSON: measurements and details of one submodule (evidence is at most 64 KiB). */
#define ATLS_RESULT_JSON_MAX (512 * 1024)

/* A claim that an endorser added (draft-ietf-rats-corim): shown, and nothing else. */
struct atls_endorsed_claim {
    const char *manifest; /* id of the CoRIM, NUL terminated, escaped */
    /* SHA-256 of the SubjectPublicKeyInfo that its manifest was signed under; empty: unsigned. */
    struct atls_bytes authority;
    struct atls_environment environment; /* that it speaks of; not always all of the attester's */
    struct atls_measurement measurement;
};

/* An endorsement that was dropped: its authority already said something else. */
struct atls_endorsement_conflict {
    const char *manifest;
    struct atls_mkey mkey;
};

/* What appraisal found. Zero-initialised it claims nothing. A value type; the claims of endorsers
 * live in the arena of the attester's claims. */
struct atls_outcome {
    int8_t trust[ATLS_TRUST_CLAIMS];
    enum atls_tier status;     /* at best; see atls_result_new */
    enum atls_reason reason;   /* of the first problem */
    const char *policy_id;     /* appraisal policy, a URI; static; required */
    const char *const *checks; /* what was verified: NULL-terminated slugs, static; may be NULL */
    size_t problem_count;      /* may be more than ATLS_PROBLEMS_MAX */
    char problems[ATLS_PROBLEMS_MAX][ATLS_PROBLEM_LEN]; /* for people, NUL terminated */
    size_t manifest_count; /* manifests whose values matched; may be more than the array */
    char manifests[ATLS_MANIFESTS_MAX][ATLS_MANIFEST_ID_LEN];
    const struct atls_endorsed_claim *endorsed;
    size_t endorsed_count;
    const struct atls_endorsement_conflict *conflicts; /* the first ones */
    size_t conflicts_named, conflict_count;
};

/* Appends a problem; keeps the reason of the first. Text over ATLS_PROBLEM_LEN is cut. */
void atls_outcome_problem(struct atls_outcome *outcome, enum atls_reason reason, const char *format,
                          ...) ATLS_PRINTF(3, 4);

/* Makes a result with one submodule. claims is moved: on ATLS_OK it is left empty and the result
 * owns what it held. binder: 32 or 48 bytes that the evidence answered. The status becomes
 * outcome->status, or worse when a claim of the vector is (draft-ietf-rats-ear section 3.2: never
 * better than the worst claim). Errors: ATLS_E_USAGE (binder, submodule, attested key or policy id
 * missing, a vector value that is no int8 tier), ATLS_E_NOMEM; claims is then untouched. */
ATLS_MUST_CHECK enum atls_code atls_result_new(struct atls_claims *claims,
                                               const struct atls_outcome *outcome,
                                               struct atls_bytes binder, int64_t issued_at,
                                               struct atls_result **out, struct atls_err *err);

/* The binder that the evidence answered; borrows from r. */
struct atls_bytes atls_result_nonce(const struct atls_result *r);

/* Receives the claims set of a result member by member. key is NULL inside an array and at the top.
 */
struct atls_result_sink {
    void *arg;
    void (*open_object)(void *arg, const char *key);
    void (*open_array)(void *arg, const char *key);
    void (*close)(void *arg);
    void (*put_text)(void *arg, const char *key, struct atls_bytes text);
    void (*put_hex)(void *arg, const char *key, struct atls_bytes bytes);
    void (*put_base64url)(void *arg, const char *key, struct atls_bytes bytes);
    void (*put_int)(void *arg, const char *key, int64_t v);
    void (*put_uint)(void *arg, const char *key, uint64_t v);
    void (*put_bool)(void *arg, const char *key, bool v);
};

/* Hands the claims set of the EAR (docs/appraisal.md) to sink; failures are the sink's to keep. */
void atls_result_walk(const struct atls_result *r, const struct atls_result_sink *sink);

#endif
