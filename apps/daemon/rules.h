/* Rules for evidence of confidential computing (docs/tee-rules.md) in a configuration. */
#ifndef DAEMON_RULES_H
#define DAEMON_RULES_H

#include "schema.h"

#define RULES_MAX 128

/* Reads a mapping of names to values as "name=value" texts, each judged where it stands
 * (atls_verifier_check_rules): rules has room for RULES_MAX and a NULL, *count of them are there
 * already. The texts are the caller's to free, also after a failure. */
ATLS_MUST_CHECK enum atls_code rules_read(struct schema *s, const struct tree_node *node,
                                          char **rules, size_t *count);

#endif
