/* Tables of what happened, as Markdown: the generated part of a document, which is rewritten or
 * compared with what stands there. */
#ifndef ATLS_ATTACK_TABLE_H
#define ATLS_ATTACK_TABLE_H

#include <stdbool.h>
#include <stdio.h>

/* Text that grows; out is a stream in memory. */
struct table {
    FILE *out;
    char *text; /* after table_close */
    size_t len;
};

void table_open(struct table *t);
/* The text stays until table_clear. */
void table_close(struct table *t);
void table_clear(struct table *t);

/* A heading of a table and the line below it. Columns are NULL-terminated. */
void table_head(struct table *t, const char *const *columns);

/* The document with what stands between its markers replaced by text: rewritten when it may be,
 * otherwise compared, with the lines that differ shown on stderr. False when it differs, has no
 * markers or cannot be read or written. */
bool table_settle(const char *path, const char *text, bool rewrite);

#endif
