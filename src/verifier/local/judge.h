/* Verification of evidence and comparison with what a store holds: what the local verifier and the
 * issuer share. */
#ifndef ATLS_VERIFIER_LOCAL_JUDGE_H
#define ATLS_VERIFIER_LOCAL_JUDGE_H

#include <atls/verifier.h>

#include "evidence/evidence.h"
#include "store/store.h"
#include "verifier/collateral/source.h"

/* One at a time may be set up; used from any thread. Stays where it was initialised. */
struct atls_judge {
    struct atls_store *store; /* borrowed */
    struct atls_evidence_options options;
    struct atls_rules rules;        /* that options point at */
    struct atls_chain_cache *cache; /* thread safe */
    /* Where documents of makers come from that the store has not; NULL: from nowhere. The judge's
     * to free by clear, and set by whoever initialised it. */
    struct collateral_cache *collateral;
};

/* Copies options and its rules. cache is the judge's to free by clear. Errors: ATLS_E_CONFIG for a
 * store that vouches for nobody and would refuse everybody, ATLS_E_IO, ATLS_E_UNAVAILABLE,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_judge_init(struct atls_judge *judge, struct atls_store *store,
                                               const struct atls_evidence_options *options,
                                               struct atls_err *err);
void atls_judge_clear(struct atls_judge *judge);

/* Verifies and compares. appraisal->aik_spki is empty for ATLS_EVIDENCE_KEY_UNKNOWN, and time_s is
 * not 0. Errors: those of atls_evidence_verify and of the store. */
ATLS_MUST_CHECK enum atls_code atls_judge_evidence(const struct atls_judge *judge,
                                                   enum atls_evidence_scope scope,
                                                   const struct atls_appraisal *appraisal,
                                                   struct atls_result **out, struct atls_err *err);

#endif
