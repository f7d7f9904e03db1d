#include "rules.h"

#include <atls/verifier.h>

static enum atls_code read_rule(struct schema *s, const struct tree_node *node, char **rules,
                                size_t *count)
{
    const char *alone[2] = {NULL, NULL};
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    if (*count == RULES_MAX)
        return schema_at(s, node->line, "more than %d rules", RULES_MAX);
    if ((code = schema_pair(s, node, &rules[*count])) != ATLS_OK)
        return code;
    alone[0] = rules[(*count)++];
    if (atls_verifier_check_rules(alone, &why) != ATLS_OK)
        return schema_at(s, node->line, "%s", why.message);
    return ATLS_OK;
}

enum atls_code rules_read(struct schema *s, const struct tree_node *node, char **rules,
                          size_t *count)
{
    enum atls_code code = ATLS_OK;

    if (node->kind != TREE_MAP)
        return schema_at(s, node->line, "rules is a %s, want a mapping",
                         node->kind == TREE_LIST ? "list" : "single value");
    for (const struct tree_node *n = node->child; code == ATLS_OK && n != NULL; n = n->next)
        code = read_rule(s, n, rules, count);
    return code;
}
