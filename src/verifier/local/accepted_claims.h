/* The accepted claims set (ACS) of draft-ietf-rats-corim: what is known of an attester, who says
 * so, and what of it a condition may rely on. An entry is an environment-claims tuple (ECT).
 *
 *     atls_accepted_claims_init(&acs, claims, err);              evidence, the attester's word
 *     atls_corroborate(...)                                      verifier/local/corroborate.h
 *     atls_endorse(...)                                          verifier/local/endorse.h
 *     atls_accepted_claims_clear(&acs);
 *
 * Nothing else enters without a match. Entries of one kind, environment, authority and profile are
 * one. Everything borrows from the claims, references and endorsements that it was made of. One
 * thread at a time. */
#ifndef ATLS_VERIFIER_LOCAL_ACCEPTED_CLAIMS_H
#define ATLS_VERIFIER_LOCAL_ACCEPTED_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

#include "evidence/evidence.h"
#include "verifier/local/authority.h"
#include "verifier/local/match.h"
#include "wire/measurement.h"

/* Far above what attesters and their makers have to say. */
#define ATLS_ACCEPTED_ENTRIES_MAX  4096
#define ATLS_ACCEPTED_ELEMENTS_MAX 16384
/* Comparisons of one appraisal, so that manifests cannot buy minutes: some tenths of a second. */
#define ATLS_ACCEPTED_WORK_MAX 4000000
/* Conflicts that are named; the rest is counted. */
#define ATLS_CONFLICTS_MAX 4

/* Kinds of entries: the conceptual message that they come from. */
enum atls_accepted_kind {
    ATLS_ACCEPTED_REFERENCE = 0,
    ATLS_ACCEPTED_ENDORSEMENT = 1,
    ATLS_ACCEPTED_EVIDENCE = 2,
    ATLS_ACCEPTED_MEMBERSHIP = 3, /* a domain and its members */
    ATLS_ACCEPTED_DEPENDENCY = 4, /* a domain and its trustees */
};

struct atls_accepted_element {
    const struct atls_measurement *measurement;
    /* Of a measurement of the evidence that a reference value covers: that value. It vouches for
     * the members that it names and for no other. NULL: all of it. */
    const struct atls_mval *vouched;
    const char *manifest; /* NULL: evidence */
    size_t next;          /* 1 + index of the next element of the entry; 0: none */
};

struct atls_accepted_entry {
    enum atls_accepted_kind kind;
    const struct atls_environment *environment;
    struct atls_authority authority;        /* who says so */
    struct atls_bytes profile;              /* as encoded; .ptr NULL when there is none */
    const char *manifest;                   /* of the first element; NULL: evidence */
    size_t first, last;                     /* 1 + index of an element; 0: none */
    const struct atls_environment *members; /* of a domain; NULL otherwise */
    size_t member_count;
};

/* An addition that was not made. */
struct atls_conflict {
    const char *manifest;
    const struct atls_mkey *mkey; /* of the first element in conflict */
};

struct atls_accepted_claims {
    enum atls_svn_form svn_form; /* of the attester */
    struct atls_accepted_entry *entries;
    size_t entry_count, entry_capacity;
    struct atls_accepted_element *elements;
    size_t element_count, element_capacity;
    size_t work;
    size_t conflict_count; /* may be more than ATLS_CONFLICTS_MAX */
    struct atls_conflict conflicts[ATLS_CONFLICTS_MAX];
};

/* The set with one entry, number 0: what the evidence says, under the authority of the key that
 * signed it. *acs is the caller's to clear, whatever the answer. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT
 * (too many measurements). */
ATLS_MUST_CHECK enum atls_code atls_accepted_claims_init(struct atls_accepted_claims *acs,
                                                         const struct atls_claims *claims,
                                                         struct atls_err *err);
void atls_accepted_claims_clear(struct atls_accepted_claims *acs);

/* Index of the entry that has the kind, environment, authority and profile of like, which is added
 * without elements when there is none. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_accepted_claims_entry(struct atls_accepted_claims *acs,
                                                          const struct atls_accepted_entry *like,
                                                          size_t *out_index, struct atls_err *err);

/* Adds an entry without elements, also where there is one like it: domains. Errors: ATLS_E_NOMEM,
 * ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_accepted_claims_put(struct atls_accepted_claims *acs,
                                                        const struct atls_accepted_entry *entry,
                                                        struct atls_err *err);

/* Appends an element to an entry, unchecked. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code
atls_accepted_claims_append(struct atls_accepted_claims *acs, size_t entry,
                            const struct atls_accepted_element *element, struct atls_err *err);

/* What an endorsement adds. */
struct atls_addition {
    struct atls_accepted_entry entry; /* without elements */
    const struct atls_measurement *measurements;
    size_t count;
};

/* Adds an endorsement, all or nothing. What the set already has is not added twice. When the same
 * authority already says something else of the same environment and element, the addition is
 * dropped and counted in conflicts. *out_added: something is new. Errors: ATLS_E_NOMEM,
 * ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_accepted_claims_add(struct atls_accepted_claims *acs,
                                                        const struct atls_addition *addition,
                                                        bool *out_added, struct atls_err *err);

/* What an entry has to be. Elements come in one or two lists. */
struct atls_condition {
    const struct atls_environment *environment;
    struct atls_bytes profile; /* .ptr NULL: any */
    const struct atls_corim_key *authorized_by;
    size_t authorized_by_count;
    const struct atls_measurement *elements[2];
    size_t element_count[2];
    /* What is to be added: keys that these name must have spoken, too. */
    const struct atls_measurement *addition;
    size_t addition_count;
};

/* *out: an entry other than a domain matches, that is: its environment has all that the condition's
 * has; its authority is every key that the condition and the addition name; its profile is equal
 * when the condition has one; for each element of the condition it has one of equal mkey whose
 * claims contain those of the condition. Errors: ATLS_E_LIMIT (ATLS_ACCEPTED_WORK_MAX),
 * ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_accepted_claims_match(struct atls_accepted_claims *acs,
                                                          const struct atls_condition *condition,
                                                          bool *out, struct atls_err *err);

/* Counts n comparisons. Errors: ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_accepted_claims_spend(struct atls_accepted_claims *acs,
                                                          size_t n, struct atls_err *err);

#endif
