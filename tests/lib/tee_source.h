/* What a Verifier has on file of makers of confidential-computing hardware, in memory. */
#ifndef ATLS_TEST_TEE_SOURCE_H
#define ATLS_TEST_TEE_SOURCE_H

#include "evidence/evidence.h"

#define TEST_TEE_DOCUMENTS_MAX 16

struct test_tee_source {
    struct atls_certificate_set *anchors; /* NULL: none */
    struct {
        enum atls_collateral_kind kind;
        const char *subject; /* NULL: any */
        struct atls_bytes bytes;
    } documents[TEST_TEE_DOCUMENTS_MAX];
    size_t count;
    enum atls_code anchors_failure;
    enum atls_code failure;       /* of every question for a document that is not here */
    enum atls_reason stale;       /* likewise: that one is on file, and why it does not count */
    struct atls_bytes class_id;   /* of every anchor; empty: none */
    enum atls_code class_failure; /* of every question for a class */
    size_t asked;                 /* questions for documents */
};

/* A source over t, which must outlive it. */
struct atls_endorsement_source test_tee_source_over(struct test_tee_source *t);
/* Adds a root (DER), making the set where there is none. */
void test_tee_source_trust(struct test_tee_source *t, struct atls_bytes root);
/* Adds a document, which is borrowed; replaces one of its kind. */
void test_tee_source_put(struct test_tee_source *t, enum atls_collateral_kind kind,
                         struct atls_bytes bytes);
void test_tee_source_clear(struct test_tee_source *t);

#endif
