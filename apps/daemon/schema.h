/* What may stand in a mapping of a configuration: a table of its keys, which are read into a
 * structure.
 *
 *     static const struct schema_field fields[] = {
 *         SCHEMA_NEEDED("name", struct thing, name),
 *         SCHEMA_AMOUNT("wait", SCHEMA_KIND_TIME, struct thing, wait_s, 1, 3600),
 *         SCHEMA_OTHER("parts", false, read_parts),
 *         SCHEMA_END,
 *     };
 *
 *     return schema_map(s, node, fields, thing);
 *
 * Errors are ATLS_E_CONFIG with "FILE:LINE: rule". */
#ifndef DAEMON_SCHEMA_H
#define DAEMON_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "tree.h"

enum schema_kind {
    SCHEMA_KIND_TEXT,      /* const char *, not empty */
    SCHEMA_KIND_EMPTIABLE, /* const char * */
    SCHEMA_KIND_FLAG,      /* bool: true or false */
    SCHEMA_KIND_NUMBER,    /* int64_t */
    SCHEMA_KIND_OCTAL,     /* int64_t */
    SCHEMA_KIND_SIZE,      /* int64_t bytes: 65536, 64KiB, 1MiB */
    SCHEMA_KIND_TIME,      /* int64_t seconds: 150, 150s, 5m, 1h */
    SCHEMA_KIND_CHOICE,    /* int, or an enum: min plus the index into words */
    SCHEMA_KIND_TEXTS,     /* struct schema_texts: a list of different texts, none empty */
    SCHEMA_KIND_OTHER,     /* read by a function */
};

#define SCHEMA_TEXTS_MAX 32

struct schema_texts {
    const char *at[SCHEMA_TEXTS_MAX + 1]; /* NULL-terminated */
    size_t count;
};

/* One reading of a configuration. */
struct schema {
    const char *file; /* for messages */
    void *config;     /* the reader's own: what the whole is read into */
    struct atls_err *err;
};

struct schema_field {
    const char *key; /* NULL ends the table */
    enum schema_kind kind;
    size_t offset;
    bool required;
    int64_t min, max;
    const char *const *words; /* NULL-terminated */
    enum atls_code (*read)(struct schema *s, const struct tree_node *node, void *into);
};

#define SCHEMA_END                                                                                 \
    {                                                                                              \
        NULL, SCHEMA_KIND_OTHER, 0, false, 0, 0, NULL, NULL                                        \
    }
#define SCHEMA_TEXT(key, type, member)                                                             \
    {                                                                                              \
        key, SCHEMA_KIND_TEXT, offsetof(type, member), false, 0, 0, NULL, NULL                     \
    }
#define SCHEMA_NEEDED(key, type, member)                                                           \
    {                                                                                              \
        key, SCHEMA_KIND_TEXT, offsetof(type, member), true, 0, 0, NULL, NULL                      \
    }
#define SCHEMA_EMPTIABLE(key, type, member)                                                        \
    {                                                                                              \
        key, SCHEMA_KIND_EMPTIABLE, offsetof(type, member), false, 0, 0, NULL, NULL                \
    }
#define SCHEMA_FLAG(key, type, member)                                                             \
    {                                                                                              \
        key, SCHEMA_KIND_FLAG, offsetof(type, member), false, 0, 0, NULL, NULL                     \
    }
/* kind: NUMBER, OCTAL, SIZE, TIME; from min to max. */
#define SCHEMA_AMOUNT(key, kind, type, member, min, max)                                           \
    {                                                                                              \
        key, kind, offsetof(type, member), false, min, max, NULL, NULL                             \
    }
#define SCHEMA_CHOICE(key, type, member, words)                                                    \
    {                                                                                              \
        key, SCHEMA_KIND_CHOICE, offsetof(type, member), false, 0, 0, words, NULL                  \
    }
/* The first word means the value first. */
#define SCHEMA_CHOICE_FROM(key, type, member, words, first)                                        \
    {                                                                                              \
        key, SCHEMA_KIND_CHOICE, offsetof(type, member), false, first, 0, words, NULL              \
    }
/* Each of 1 to longest bytes. */
#define SCHEMA_TEXTS(key, type, member, longest)                                                   \
    {                                                                                              \
        key, SCHEMA_KIND_TEXTS, offsetof(type, member), false, 0, longest, NULL, NULL              \
    }
/* The function gets the value's node, and the structure that the mapping is read into. */
#define SCHEMA_OTHER(key, required, function)                                                      \
    {                                                                                              \
        key, SCHEMA_KIND_OTHER, 0, required, 0, 0, NULL, function                                  \
    }

/* Sets "FILE:LINE: ..." and returns ATLS_E_CONFIG. */
enum atls_code schema_at(struct schema *s, size_t line, const char *format, ...) ATLS_PRINTF(3, 4);

/* Reads map into the structure that the table's offsets are of. Texts are borrowed from the tree.
 * What is not there is left as it was. */
ATLS_MUST_CHECK enum atls_code schema_map(struct schema *s, const struct tree_node *map,
                                          const struct schema_field *fields, void *into);
/* Whether node is a list of 1 to max entries. */
ATLS_MUST_CHECK enum atls_code schema_list(struct schema *s, const struct tree_node *node,
                                           size_t max);
/* "KEY=VALUE" of an entry of a mapping, to be freed. Errors also: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code schema_pair(struct schema *s, const struct tree_node *node,
                                           char **out);
/* The value of a key, or NULL. */
const struct tree_node *schema_find(const struct tree_node *map, const char *key);
/* a-z, 0-9, - and _, at most 63. */
bool schema_is_name(const char *text);

#endif
