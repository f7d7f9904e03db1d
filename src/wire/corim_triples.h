/* Triples of a CoMID beyond reference values and attestation keys (draft-ietf-rats-corim section
 * 5.1.4). Each is an environment-claims tuple (ECT) or relates several of them. Views borrow from
 * the decoded document, arrays live in its arena; immutable once decoded. */
#ifndef ATLS_WIRE_CORIM_TRIPLES_H
#define ATLS_WIRE_CORIM_TRIPLES_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/measurement.h"

enum atls_comid_triple {
    ATLS_TRIPLE_REFERENCE = 0,
    ATLS_TRIPLE_ENDORSED = 1,
    ATLS_TRIPLE_IDENTITY = 2,
    ATLS_TRIPLE_ATTEST_KEY = 3,
    ATLS_TRIPLE_DEPENDENCY = 4,
    ATLS_TRIPLE_MEMBERSHIP = 5,
    ATLS_TRIPLE_COSWID = 6,
    ATLS_TRIPLE_CONDITIONAL_SERIES = 8,
    ATLS_TRIPLE_CONDITIONAL = 10,
};

/* One environment with what is said of it. */
struct atls_corim_ect {
    struct atls_bytes environment_item; /* as encoded */
    struct atls_environment environment;
    struct atls_measurement *measurements;
    size_t count;
    struct atls_corim_key *authorized_by; /* keys that must have spoken; NULL when none is named */
    size_t authorized_by_count;
};

/* Triple 1: what an endorser says of the environment, should it match. */
struct atls_corim_endorsed {
    struct atls_bytes item; /* the whole record, as encoded */
    struct atls_corim_ect ect;
};

/* Triples 2 (identity) and 3 (attest-key): the keys of an environment, with mkey or authorized_by
 * only for a part of it or for a speaker. */
struct atls_corim_attest_key {
    struct atls_bytes item; /* the whole record, as encoded */
    struct atls_bytes environment_item;
    struct atls_environment environment;
    struct atls_corim_key *keys;
    size_t count;
    bool conditional;                     /* a third member narrows it: mkey or authorized-by */
    struct atls_mkey mkey;                /* ATLS_MKEY_NONE when absent */
    struct atls_corim_key *authorized_by; /* NULL when absent */
    size_t authorized_by_count;
};

/* Triple 8: the first entry whose selection holds contributes its addition; both speak of the
 * environment of the condition. */
struct atls_corim_series_entry {
    struct atls_measurement *selection, *addition;
    size_t selection_count, addition_count;
};
struct atls_corim_series {
    struct atls_bytes item;
    struct atls_corim_ect condition; /* measurements may be none */
    struct atls_corim_series_entry *entries;
    size_t entry_count;
};

/* Triple 10: when every condition holds, every addition is made. */
struct atls_corim_conditional {
    struct atls_bytes item;
    struct atls_corim_ect *conditions, *additions;
    size_t condition_count, addition_count;
};

/* Triples 4 (dependency) and 5 (membership): a domain and its trustees or members. */
struct atls_corim_domain {
    struct atls_bytes item;
    enum atls_comid_triple kind;
    struct atls_environment environment;
    struct atls_environment *members;
    size_t member_count;
};

#endif
