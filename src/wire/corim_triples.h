/* Triples of a CoMID beyond reference values and attestation keys (draft-ietf-rats-corim section
 * 5.1.4). Each is an environment-claims tuple (ECT) or relates several of them. Views borrow from
 * the decoded document, arrays live in its arena; immutable once decoded. */
#ifndef ATLS_WIRE_CORIM_TRIPLES_H
#define ATLS_WIRE_CORIM_TRIPLES_H

#include "wire/measurement.h"

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

/* Triple 2 (identity) and 3 (attest-key) share struct atls_corim_attest_key of wire/corim.h. */

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
    struct atls_environment environment;
    struct atls_environment *members;
    size_t member_count;
};

#endif
