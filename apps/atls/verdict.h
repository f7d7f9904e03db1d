/* A result and the decision on it, as subcommands that judge offline print them. */
#ifndef ATLS_APP_VERDICT_H
#define ATLS_APP_VERDICT_H

#include <atls/policy.h>
#include <atls/result.h>

#include "cli.h"

/* Instance, status, parts, explanation, decision: the lines below what was judged. */
void verdict_print(struct atls_result *result, const struct atls_decision *decision);
/* {"decision", "reasons", "explanation", "ear"}; NULL when memory runs out. */
json_t *verdict_json(struct atls_result *result, const struct atls_decision *decision);
/* Accepted or refused; says why on standard error when refused. */
enum cli_status verdict_status(const struct cli *cli, struct atls_result *result,
                               const struct atls_decision *decision);
/* What came from a peer did not get as far as a decision; with --json that is said on standard
 * output, too. */
enum cli_status verdict_refuse(const struct cli *cli, const struct atls_err *err);

#endif
