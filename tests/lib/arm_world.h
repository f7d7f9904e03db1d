/* Keys, a store and requests for tests of evidence of Arm platforms and devices. */
#ifndef ATLS_TEST_ARM_WORLD_H
#define ATLS_TEST_ARM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "evidence/evidence.h"

#define TEST_ARM_CCA_TYPE "application/eat-collection; profile=\"http://arm.com/CCA-SSD/1.0.0\""
#define TEST_ARM_PSA_TYPE "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\""

/* A key on file. */
struct test_arm_entry {
    const char *technology;
    bool has_class;
    uint8_t implementation_id[32];
    uint8_t instance[33];
    struct atls_bytes spki;        /* borrows */
    struct atls_bytes public_area; /* of a TPM's key; borrows */
};
#define TEST_ARM_ENTRIES 4

struct test_arm_world {
    struct atls_private_key *p256, *p384, *p521, *realm, *aik,
        *other; /* realm: P-384, others P-256 */
    struct test_arm_entry entries[TEST_ARM_ENTRIES];
    size_t entry_count;
    const char
        *technology; /* of keys that are enrolled next; NULL: "cca" with a class, else "tpm" */
    bool knows_no_classes; /* the store has no attest_key_of */
    bool broken;           /* every question to the store is ATLS_E_IO */
    struct atls_rules rules;
    struct atls_evidence_options options;
    struct atls_endorsement_source source;
    uint8_t binder[64];
    size_t binder_len;
};
/* Fresh keys, an empty store, strict rules, a binder of 48 bytes. */
struct test_arm_world *test_arm_world_new(void);
void test_arm_world_free(struct test_arm_world *w);

/* implementation_id NULL: of no class. */
void test_arm_enrol(struct test_arm_world *w, const uint8_t *implementation_id,
                    const uint8_t instance[33], struct atls_bytes spki);

/* Every technology but own, then NULL: what a key may be enrolled for and own must not believe. A
 * refusal names both, which is checked with test_assert_other_technology. */
#define TEST_OTHER_TECHNOLOGIES 7
void test_other_technologies(const char *own, const char *out[TEST_OTHER_TECHNOLOGIES]);
void test_assert_other_technology(const struct atls_err *err, enum atls_reason want,
                                  const char *own, const char *other);

/* A request of this scope; the AIK is w->aik where it is known. Borrows evidence and w. */
struct atls_evidence_request test_arm_request(struct test_arm_world *w,
                                              enum atls_evidence_scope scope,
                                              struct atls_bytes evidence);

/* How a token comes. */
enum test_arm_form {
    TEST_ARM_KAT,   /* in a bundle, beside its KAT */
    TEST_ARM_BATCH, /* the same, of a tree of three */
    TEST_ARM_BARE,  /* as a record */
};
/* The other half of evidence: what the token is to answer. */
struct test_arm_challenge {
    enum test_arm_form form;
    struct atls_buf member; /* "kat" as it goes into the bundle; empty when bare */
    uint8_t challenge[64];
    size_t len; /* of challenge */
};
/* The challenge of w's binder and this key (empty: nobody knows one, the binder itself). */
struct test_arm_challenge test_arm_challenge(const struct test_arm_world *w,
                                             enum test_arm_form form, struct atls_bytes spki);
/* Evidence: a record of this type, with what it answers. Clears c. */
struct atls_buf test_arm_evidence(struct test_arm_challenge *c, const char *type,
                                  struct atls_bytes token);
struct atls_buf test_arm_record(const char *type, struct atls_bytes token);

/* Parsec's bundle of a TPM for the attested key spki, signed by a key whose kid is made as the
 * software attester makes its own: 01 || SHA-256 of its SPKI, which goes into kid. The caller
 * clears it. */
struct atls_buf test_parsec_tpm_by(const struct atls_private_key *key, struct atls_bytes spki,
                                   struct atls_bytes nonce, uint8_t kid[33]);

struct atls_bytes test_arm_spki(const struct atls_private_key *key);

#endif
