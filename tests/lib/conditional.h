/* Manifests of one conditional endorsement, for parts of machines: each part a class of its own. */
#ifndef ATLS_TEST_CONDITIONAL_H
#define ATLS_TEST_CONDITIONAL_H

#include <atls/bytes.h>

#include "core/writer.h"

/* An environment of a class (encoded class-id; empty: of none, but of an instance)
 * and one measurement: an svn, or a PCR's SHA-256 when digest is there. */
struct test_part {
    struct atls_bytes class_id;
    const char *mkey;
    uint64_t svn;
    uint64_t pcr;
    struct atls_bytes digest;
};

/* An unsigned CoRIM without a profile: when every condition holds, every addition is made. The
 * caller clears it. */
struct atls_buf test_conditional(const char *id, const struct test_part *conditions,
                                 size_t condition_count, const struct test_part *additions,
                                 size_t addition_count);

#endif
