/* EAT attestation results (draft-ietf-rats-ear), of every version in use: what a decoded one holds,
 * and the names of its claims. The profile selects the set of names, and the sets are never mixed
 * in one token. Codecs: wire/ear_json.h for JWT, wire/ear_cbor.h for CWT. Whether a result is
 * signed, fresh and good enough is for others to say. */
#ifndef ATLS_WIRE_EAR_H
#define ATLS_WIRE_EAR_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/limits.h>

#include "core/arena.h"
#include "wire/ar4si.h"

enum atls_ear_version {
    ATLS_EAR_2023 = 1, /* individual drafts, -00, deployed services, and the alias of Trustee */
    ATLS_EAR_02 = 2,   /* -01, -02 */
    ATLS_EAR_03 = 3,
    ATLS_EAR_04 = 4,
};

#define ATLS_EAR_PROFILE_2023 "tag:github.com,2023:veraison/ear"
#define ATLS_EAR_PROFILE_04   "tag:ietf.org,2026:rats/ear#04"

/* Version that a profile selects; 0 for one that is not known. */
enum atls_ear_version atls_ear_version_of(struct atls_bytes profile);

/* Claims of EAR: their names have dots and hyphens up to -02, underscores since. */
enum atls_ear_claim {
    ATLS_EAR_STATUS,
    ATLS_EAR_VECTOR,
    ATLS_EAR_RAW_EVIDENCE,
    ATLS_EAR_POLICY,
    ATLS_EAR_VERIFIER,
    ATLS_EAR_ATTESTER_CLAIMS,
    ATLS_EAR_VERIFIER_CLAIMS,
    ATLS_EAR_TOPOLOGY,
    ATLS_EAR_TEEP,
    ATLS_EAR_ANNOTATED_EVIDENCE,
    ATLS_EAR_POLICY_CLAIMS,
    ATLS_EAR_KEY_ATTESTATION,
    ATLS_EAR_TEE_INFO,
    ATLS_EAR_CLAIMS, /* how many there are */
};
/* Keys in CBOR of the claims that EAR takes from CWT and EAT (RFC 8392, RFC 9711). */
enum {
    ATLS_EAT_EXP = 4,
    ATLS_EAT_NBF = 5,
    ATLS_EAT_IAT = 6,
    ATLS_EAT_CTI = 7,
    ATLS_EAT_NONCE = 10,
    ATLS_EAT_PROFILE = 265,
    ATLS_EAT_SUBMODS = 266,
};

/* Name of a claim in a version; NULL where that set of names has none. */
const char *atls_ear_name(enum atls_ear_claim claim, enum atls_ear_version version);
/* The name that the other set gives it, or NULL. */
const char *atls_ear_other_name(enum atls_ear_claim claim, enum atls_ear_version version);
/* Its key in CBOR; 0 for one that CBOR does not have. */
int64_t atls_ear_label(enum atls_ear_claim claim);
/* The claims in which a version says what the evidence said, and what the Verifier adds: claims of
 * their own since -04, extensions of a maker before. */
enum atls_ear_claim atls_ear_attester_claims_of(enum atls_ear_version version);
enum atls_ear_claim atls_ear_verifier_claims_of(enum atls_ear_version version);

#define ATLS_EAR_SUBMODS_MAX  16
#define ATLS_EAR_NONCES_MAX   4
#define ATLS_EAR_POLICIES_MAX 8
/* Levels of arrays and maps in the claims of an attester or verifier. */
#define ATLS_EAR_VALUE_DEPTH_MAX 16
/* What a claims set of ATLS_EAR_MAX bytes decodes to: two bytes of JSON may be one item of a tree.
 */
#define ATLS_EAR_ARENA_MAX (32 * ATLS_EAR_MAX)

enum atls_ear_value_kind {
    ATLS_EAR_VALUE_NULL,
    ATLS_EAR_VALUE_BOOL,
    ATLS_EAR_VALUE_INT,
    ATLS_EAR_VALUE_UINT, /* above INT64_MAX */
    ATLS_EAR_VALUE_REAL,
    ATLS_EAR_VALUE_TEXT,
    ATLS_EAR_VALUE_BYTES, /* CBOR alone has these */
    ATLS_EAR_VALUE_ARRAY,
    ATLS_EAR_VALUE_OBJECT,
};

/* What an attester or a verifier claims, in no format: JSON and CBOR give the same tree. An integer
 * key of CBOR is its decimal digits here. */
struct atls_ear_value {
    enum atls_ear_value_kind kind;
    const char *key; /* NUL terminated; of a member of an object, else NULL */
    union {
        bool boolean;
        int64_t integer;
        uint64_t large;
        double real;
    } u;
    struct atls_bytes bytes; /* TEXT (UTF-8), BYTES */
    struct atls_ear_value *items;
    size_t count; /* ARRAY, OBJECT */
};

/* Member of an object by its key; NULL when value is NULL, no object, or has no such member. */
const struct atls_ear_value *atls_ear_value_get(const struct atls_ear_value *value,
                                                const char *key);

struct atls_ear_appraisal {
    struct atls_bytes name; /* label of the submodule; a NUL byte follows, and none is inside */
    enum atls_tier status;
    bool has_vector;
    int8_t trust[ATLS_TRUST_CLAIMS]; /* 0 where the vector says nothing */
    struct atls_bytes policy_ids[ATLS_EAR_POLICIES_MAX];
    size_t policy_count;
    struct atls_bytes key; /* SubjectPublicKeyInfo, DER of that structure; .ptr NULL when absent */
    /* Objects with members, or of kind NULL when absent. */
    struct atls_ear_value attester_claims, verifier_claims;
};

struct atls_ear {
    struct atls_arena arena; /* all that is pointed at */
    enum atls_ear_version version;
    struct atls_bytes profile; /* as received */
    int64_t issued_at_s;
    bool has_expiry, has_not_before;
    int64_t expiry_s, not_before_s;
    struct atls_bytes id;                          /* jti, cti; .ptr NULL when absent */
    struct atls_bytes nonces[ATLS_EAR_NONCES_MAX]; /* octets */
    size_t nonce_count;
    struct atls_bytes developer, build; /* of the verifier */
    bool has_status;
    enum atls_tier status;               /* overall; since -03 */
    struct atls_bytes raw_evidence;      /* octets; .ptr NULL when absent */
    struct atls_bytes raw_evidence_type; /* media type, since -04; .ptr NULL when unknown */
    struct atls_ear_appraisal *submods;
    size_t submod_count;
};

enum atls_ear_flags {
    /* Times of the 2023 profile may be written as a float without fraction, which some published
     * tokens have (RFC 9711 section 4.3 rules it out). JSON alone. */
    ATLS_EAR_FLOAT_TIMES = 1,
};

void atls_ear_clear(struct atls_ear *ear);

#endif
