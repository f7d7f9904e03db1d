/* Reference values against evidence (draft-ietf-rats-corim, "Reference Values Corroboration and
 * Augmentation"): what of the evidence its maker vouches for, and what is missing. */
#ifndef ATLS_VERIFIER_LOCAL_CORROBORATE_H
#define ATLS_VERIFIER_LOCAL_CORROBORATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "verifier/local/accepted_claims.h"

/* Measurements of the evidence are found by mkey through a table, which up to this size needs no
 * memory: PCR indices fall into places of their own. A power of two. */
#define ATLS_PLACES_MIN 32
/* Absent measurements that are told apart; of more, nobody reads. */
#define ATLS_ABSENT_MAX 8
/* Providers (authority, and members of the environment that they name) that have a bit; the values
 * of further ones are looked up. */
#define ATLS_PROVIDERS_MAX 64

/* What the references say of one measurement of the evidence. */
struct atls_finding {
    bool covered;
    bool named;                              /* its class has a value of its mkey and name */
    size_t compared;                         /* references that it could be compared with */
    const struct atls_reference *reference;  /* the first of them */
    const struct atls_measurement *expected; /* and its value */
    size_t next;                             /* 1 + next finding with the same small key; 0: none */
};

struct atls_provider {
    struct atls_bytes authority;
    unsigned int members; /* of the environment, bit by bit */
    size_t entry;         /* of the set */
};

struct atls_corroboration {
    const struct atls_claims *claims;
    struct atls_finding *findings; /* one a measurement */
    size_t *places;                /* 1 + first measurement whose mkey belongs there; 0: none */
    size_t place_mask;             /* number of places less one */
    size_t own_places[ATLS_PLACES_MIN];
    enum atls_svn_form svn_form;
    size_t applicable;   /* references whose environment is that of the claims */
    size_t absent_count; /* up to ATLS_ABSENT_MAX */
    const struct atls_measurement *absent[ATLS_ABSENT_MAX];
    const struct atls_reference *absent_reference[ATLS_ABSENT_MAX];
    size_t provider_count;
    struct atls_provider *providers; /* when there is a set */
};

struct atls_corroboration_input {
    const struct atls_claims *claims;
    const struct atls_reference *references;
    size_t count;
    /* Called with the manifests of values that are the first to cover a measurement, several times
     * perhaps; may be NULL. */
    void (*noted)(void *arg, const char *manifest);
    void *arg;
};

/* Compares every reference value with the evidence. Each value is a condition of its own; one that
 * holds covers its measurement. Several measurements may have one mkey, components of software that
 * are told apart by their names: a value with a name is about the component of that name, and one
 * whose component is not in the evidence is absent. acs, of the same claims, gets an element for
 * each authority and environment that covers a measurement, because conditions may ask for them;
 * NULL when nobody asks: then the first that covers it is enough. *c is the caller's to clear,
 * whatever the answer. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_corroborate(const struct atls_corroboration_input *in,
                                                struct atls_accepted_claims *acs,
                                                struct atls_corroboration *c, struct atls_err *err);
/* Measurement index is as its class wants it: covered; or one of those that need no reference
 * value, and there is none for it. */
bool atls_corroboration_approves(const struct atls_corroboration *c, size_t index);
void atls_corroboration_clear(struct atls_corroboration *c);

#endif
