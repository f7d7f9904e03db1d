/* Verifier and policy of a side that can be changed below connections: a connection's struct
 * atls_config keeps what it was made with, and judges again after a reload, by what is configured
 * then. Reference counted; any thread. */
#ifndef PROXY_JUDGE_H
#define PROXY_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/policy.h>
#include <atls/verifier.h>

#include "metrics.h"

struct judge;

/* From now on policies are asked and what they would refuse is logged and counted, and passes. What
 * a verifier refuses, which is no result of genuine evidence, is refused still. Before there are
 * threads. */
void judge_report_only(void);

/* For verifiers with these properties, of the side of a route; it has neither verifier nor policy
 * yet and refuses everybody. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code judge_new(const char *route, enum atls_verifier_input input,
                                         bool wants_binder, struct judge **out,
                                         struct atls_err *err);
struct judge *judge_ref(struct judge *judge);
void judge_unref(struct judge *judge); /* NULL is fine */
/* Whether it is for verifiers like this one. */
bool judge_suits(const struct judge *judge, const struct atls_verifier *verifier);
/* From now on these (referenced) judge, and part counts what the verifier does; when they are
 * others than before, judge_turn grows. */
void judge_set(struct judge *judge, struct atls_verifier *verifier, struct metrics_part *part,
               struct atls_policy *policy);
/* What they judge by has changed in itself (a store): judge_turn grows. */
void judge_changed(struct judge *judge);
/* Connections that were judged at a smaller number are to be judged again. From 1. */
uint64_t judge_turn(const struct judge *judge);

/* Verifier and policy for struct atls_config_options; each keeps a reference to judge. A verifier
 * that failed by a deadline of its own, or by its files, is ATLS_E_UNAVAILABLE, with its reason:
 * both codes mean other things of a connection. A result is decided on by the policy that was set
 * with the verifier that made it on the same thread; where judge_set was called twice in between,
 * it is refused (ATLS_E_UNAVAILABLE). Errors: ATLS_E_NOMEM.
 */
ATLS_MUST_CHECK enum atls_code judge_verifier(struct judge *judge, struct atls_verifier **out,
                                              struct atls_err *err);
ATLS_MUST_CHECK enum atls_code judge_policy(struct judge *judge, struct atls_policy **out,
                                            struct atls_err *err);

#endif
