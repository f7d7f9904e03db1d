/* What a policy program answered; for tests and fuzzing beside policy/jq.c. */
#ifndef ATLS_POLICY_JQ_H
#define ATLS_POLICY_JQ_H

#include <jv.h>

#include <atls/policy.h>

/* Reads the one output of a program: an object of "decision" ("accept" or "refuse") and, if it
 * likes, "reasons" and "insecure" (arrays of texts). Anything else is refused. Consumes output.
 * technology is what the result came from; out->names_insecure becomes true when "insecure" has it.
 * Reasons are escaped and cut, those over ATLS_DECISION_REASONS_MAX are left out. *out is written
 * on success only. Errors: ATLS_E_REFUSED, policy-output. */
ATLS_MUST_CHECK enum atls_code atls_policy_read_output(jv output, const char *technology,
                                                       struct atls_decision *out,
                                                       struct atls_err *err);

#endif
