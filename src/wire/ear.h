/* EAT attestation results (draft-ietf-rats-ear) as JSON claims sets, of every version in use: the
 * profile selects the set of names, and the sets are never mixed in one token. Codec only: whether
 * a result is signed, fresh and good enough is for others to say. */
#ifndef ATLS_WIRE_EAR_H
#define ATLS_WIRE_EAR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "wire/ar4si.h"

enum atls_ear_version {
    ATLS_EAR_2023 = 1, /* individual drafts, -00, deployed services, and the alias of Trustee */
    ATLS_EAR_02 = 2,   /* -01, -02 */
    ATLS_EAR_03 = 3,
    ATLS_EAR_04 = 4,
};

#define ATLS_EAR_SUBMODS_MAX 16
#define ATLS_EAR_NONCES_MAX  4

struct atls_ear_appraisal {
    struct atls_bytes name; /* label of the submodule */
    enum atls_tier status;
    bool has_vector;
    int8_t trust[ATLS_TRUST_CLAIMS]; /* 0 where the vector says nothing */
    struct atls_bytes policy_id;     /* the first; .ptr NULL when absent */
    struct atls_bytes key; /* SubjectPublicKeyInfo, DER of that structure; .ptr NULL when absent */
};

struct atls_ear {
    struct atls_arena arena; /* all that is pointed at */
    enum atls_ear_version version;
    int64_t issued_at_s;
    bool has_expiry, has_not_before;
    int64_t expiry_s, not_before_s;
    struct atls_bytes nonces[ATLS_EAR_NONCES_MAX]; /* octets */
    size_t nonce_count;
    struct atls_bytes developer, build; /* of the verifier */
    struct atls_ear_appraisal submods[ATLS_EAR_SUBMODS_MAX];
    size_t submod_count;
};

/* Decodes one JSON object with unique members: required members and types, times as integers, tiers
 * and vectors as AR4SI has them, statuses not better than their vectors, names of one version only.
 * Members that no version defines are ignored. *out is written on success only and is the caller's
 * to clear. Errors: ATLS_E_DECODE naming the member, ATLS_E_UNSUPPORTED (profile), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_decode(struct atls_bytes json, struct atls_ear *out,
                                               struct atls_err *err);
void atls_ear_clear(struct atls_ear *ear);

#endif
