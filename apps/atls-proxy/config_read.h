/* Parts of the reader of configurations. */
#ifndef PROXY_CONFIG_READ_H
#define PROXY_CONFIG_READ_H

#include "config.h"
#include "schema.h"

#define CONFIG_TIME_MAX (366 * 86400) /* s */

/* config of struct schema is a struct config. */

ATLS_MUST_CHECK enum atls_code config_read_attesters(struct schema *s, const struct tree_node *node,
                                                     void *into);
ATLS_MUST_CHECK enum atls_code config_read_verifiers(struct schema *s, const struct tree_node *node,
                                                     void *into);
ATLS_MUST_CHECK enum atls_code config_read_policies(struct schema *s, const struct tree_node *node,
                                                    void *into);
/* NULL when there is none of this name. */
const struct config_attester *config_find_attester(const struct config *c, const char *name);
const struct config_verifier *config_find_verifier(const struct config *c, const char *name);
const struct config_policy *config_find_policy(const struct config *c, const char *name);

/* One attested end; upstream: we are the client of target. */
ATLS_MUST_CHECK enum atls_code config_read_side(struct schema *s, const struct tree_node *node,
                                                struct config_side *side,
                                                const struct address *target);
/* All routes, and their listeners; last, since they name what others say. */
ATLS_MUST_CHECK enum atls_code config_read_routes(struct schema *s, const struct tree_node *node);
ATLS_MUST_CHECK enum atls_code config_read_operation(struct schema *s, const struct tree_node *node,
                                                     void *into);

#endif
