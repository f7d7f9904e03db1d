/* Building results. A result comes from verified claims and what appraisal found of them, from
 * evidence that failed a check, or from the verified result of another Verifier. */
#ifndef ATLS_VERIFIER_RESULT_H
#define ATLS_VERIFIER_RESULT_H

#include <atls/result.h>

#include "evidence/evidence.h"
#include "wire/ear.h"

/* Newest profile of draft-ietf-rats-ear (-04). */
#define ATLS_EAR_PROFILE ATLS_EAR_PROFILE_04

/* Problems and manifests that a result names one by one; the rest is counted. */
#define ATLS_PROBLEMS_MAX    4
#define ATLS_PROBLEM_LEN     160
#define ATLS_MANIFESTS_MAX   2
#define ATLS_MANIFEST_ID_LEN 128
#define ATLS_EXPLANATION_LEN 512
/* A result as JSON: measurements and details of one submodule (evidence is at most 64 KiB). */
#define ATLS_RESULT_JSON_MAX (512 * 1024)
/* Levels of a claims set: itself, submodules, appraisal, and what a claim of those holds. */
#define ATLS_RESULT_DEPTH_MAX (3 + ATLS_EAR_VALUE_DEPTH_MAX)
/* Nonces of EATs (RFC 9711 section 4.1). */
#define ATLS_RESULT_NONCE_MIN 8
#define ATLS_RESULT_NONCE_MAX 64

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
    bool nonce_given; /* by who gave the evidence, see atls_result_set_nonce_given */
};

/* Appends a problem; keeps the reason of the first. Text over ATLS_PROBLEM_LEN is cut. */
void atls_outcome_problem(struct atls_outcome *outcome, enum atls_reason reason, const char *format,
                          ...) ATLS_PRINTF(3, 4);

/* Submodules of a result of ours: parts of a machine that the same evidence speaks of. */
#define ATLS_RESULT_SUBMODS_MAX 4

/* Makes a result with one submodule for claims and one for each that hangs on claims->next.
 * claims is moved: on ATLS_OK it is left empty and the result owns what it held. outcomes: as many,
 * in the same order; copied. nonce: the 8..64 bytes that the evidence answered; that it is the
 * binder of a connection is the caller's to see to. A submodule's status becomes that of its
 * outcome, or worse when a claim of the vector is (draft-ietf-rats-ear section 3.2: never better
 * than the worst claim); the whole is as bad as the worst. The attested key may be absent, of
 * evidence that answers a nonce and nothing else: whoever compares keys refuses such a result.
 * Errors: ATLS_E_USAGE (nonce, submodule or policy id missing; a submodule twice, too many of them;
 * two attested keys), ATLS_E_NOMEM; claims is then untouched. */
ATLS_MUST_CHECK enum atls_code atls_result_new(struct atls_claims *claims,
                                               const struct atls_outcome *outcomes,
                                               struct atls_bytes nonce, int64_t issued_at,
                                               struct atls_result **out, struct atls_err *err);

/* Evidence that failed a check. */
struct atls_refusal {
    const char *technology;  /* static, as that of struct atls_claims; "" when it is not known */
    const char *submod;      /* label of the submodule; static */
    bool insecure;           /* of the technology */
    const char *policy_id;   /* static; may be NULL */
    enum atls_reason reason; /* the check */
    const char *problem;     /* one sentence; copied, cut at ATLS_PROBLEM_LEN */
};
/* The result that says so (draft-ietf-rats-ar4si section 2.3.4): every claim of the vector 99,
 * contraindicated, no attested key and no instance, since nothing in the evidence counts. It can be
 * signed and shown; nothing that compares keys accepts it. Errors: ATLS_E_USAGE (nonce, submodule),
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_result_contraindicated(const struct atls_refusal *refusal, struct atls_bytes nonce,
                            int64_t issued_at, struct atls_result **out, struct atls_err *err);

/* Whoever gave the evidence chose the nonce, too: the result says so, and of its time only that it
 * was issued then. r has no reference but the caller's, and was not shown yet. */
void atls_result_set_nonce_given(struct atls_result *r);
/* Whether a token of ours says so. */
bool atls_ear_nonce_given(const struct atls_ear *ear);

/* True unless the evidence failed a check: then its signature and its freshness were found good.
 * Always true of another Verifier's result. */
bool atls_result_is_genuine(const struct atls_result *r);

/* A policy of this Verifier refuses what appraisal found: the status of each submodule becomes
 * worst, if it is not worse already, and problem (copied, cut at ATLS_PROBLEM_LEN) says why.
 * Nothing of a result gets better. r must be of this Verifier, and have no reference but the
 * caller's. Errors: ATLS_E_USAGE. */
ATLS_MUST_CHECK enum atls_code atls_result_lower(struct atls_result *r, enum atls_tier worst,
                                                 enum atls_reason reason, const char *problem,
                                                 struct atls_err *err);

/* The result of another Verifier, and what is known besides. */
struct atls_result_source {
    struct atls_ear *ear;   /* decoded and VERIFIED; moved: left empty on success */
    const char *technology; /* static; of the evidence that was sent. NULL: as the EAR says */
    bool insecure;          /* of that technology */
    /* Attested by evidence that was checked here; copied. Empty: as the EAR says. A key of the EAR
     * must be the same then. */
    struct atls_bytes key;
    struct atls_bytes instance;
};
/* Makes a result of it, as received: several submodules, none better than its claims, and overall
 * the worst of them, where "none" is worse than affirming. The attested key is the one of the
 * submodules that are affirming or a warning; a key of another does not count. Our own claims name
 * technology, instance and reason; else the label of a submodule does (docs/ear.md). It has at most
 * one nonce. It cannot be signed again. Errors: ATLS_E_DECODE (several nonces), ATLS_E_EVIDENCE
 * with key-binding-mismatch (two keys), ATLS_E_NOMEM; ear is then untouched. */
ATLS_MUST_CHECK enum atls_code atls_result_from_ear(const struct atls_result_source *source,
                                                    struct atls_result **out, struct atls_err *err);

/* What a Verifier says is wrong with a submodule: the first problem of ours, or the one text of
 * Veraison's; borrows, and is empty when it says nothing. */
struct atls_bytes atls_received_problem(const struct atls_ear_appraisal *submod);
/* The reason that a Verifier of ours gave; ATLS_REASON_POLICY for another's. */
enum atls_reason atls_received_reason(const struct atls_ear *ear);

/* The claims that we know of an EAR as JSON text in the names of its version, for showing. Errors:
 * ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_put_json(const struct atls_ear *ear, struct atls_buf *out,
                                                 struct atls_err *err);

/* What the evidence answered: the binder, where a connection was at hand; borrows from r. Empty in
 * a result of another Verifier that echoes none. */
struct atls_bytes atls_result_nonce(const struct atls_result *r);
/* True for the result of another Verifier. */
bool atls_result_is_received(const struct atls_result *r);

/* Receives the claims set of a result member by member. key is NULL inside an array and at the top,
 * and lives until its container is closed. At most ATLS_RESULT_DEPTH_MAX containers are open. */
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
    void (*put_null)(void *arg, const char *key);
    /* Comes before a member whose key in CBOR is this number. NULL: of no interest, as to JSON;
     * else tiers come as numbers too. */
    void (*label)(void *arg, int64_t number);
};

/* How a claims set is to be written. */
struct atls_result_form {
    const char *profile;           /* eat_profile */
    enum atls_ear_version version; /* that the profile selects */
    int64_t lifetime_s;            /* exp is as much behind iat; 0: none */
    bool as_received;              /* nothing that the other Verifier did not say */
};

/* Hands the claims set of the EAR (docs/ear.md) to sink, in the names of the newest version;
 * failures are the sink's to keep. */
void atls_result_walk(const struct atls_result *r, const struct atls_result_sink *sink);
/* The same in another form. */
void atls_result_walk_as(const struct atls_result *r, const struct atls_result_form *form,
                         const struct atls_result_sink *sink);
/* The claims set as JSON text in that form, NUL terminated inside out (not counted). Errors:
 * ATLS_E_LIMIT (ATLS_RESULT_JSON_MAX), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_result_put_json(const struct atls_result *r,
                                                    const struct atls_result_form *form,
                                                    struct atls_buf *out, struct atls_err *err);

#endif
