/* YAML as a tree in which every node knows its line, so that every rule that is broken can be shown
 * to its writer. A subset: no anchors, aliases, tags or second document. */
#ifndef DAEMON_TREE_H
#define DAEMON_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/bytes.h>

#define TREE_FILE_MAX  (256u * 1024)
#define TREE_DEPTH_MAX 8
#define TREE_NODES_MAX 8192

enum tree_kind { TREE_TEXT = 1, TREE_LIST, TREE_MAP };

struct tree_node {
    enum tree_kind kind;
    size_t line;             /* from 1 */
    char *text;              /* of TREE_TEXT */
    bool plain;              /* not quoted */
    struct tree_node *key;   /* in a map: the key's node, a TREE_TEXT */
    struct tree_node *child; /* first of a list or map */
    struct tree_node *next;
};

/* Errors: ATLS_E_CONFIG with "NAME:LINE: rule", ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code tree_parse(const char *name, struct atls_bytes text,
                                          struct tree_node **out, struct atls_err *err);
void tree_free(struct tree_node *node); /* NULL is fine */

#endif
