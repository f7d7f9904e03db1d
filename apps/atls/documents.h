/* Directories of published documents: KIND-SUBJECT.EXTENSION (atls-collateral(1)). */
#ifndef ATLS_APP_DOCUMENTS_H
#define ATLS_APP_DOCUMENTS_H

#include "io.h"

typedef enum atls_code documents_visit(void *arg, const char *path, const char *name,
                                       struct atls_bytes document, struct atls_err *err);
/* Calls visit for the file at path, or for every file in the directory there that does not begin
 * with a dot, in the order of their names. What visit returns beside ATLS_OK ends it. */
ATLS_MUST_CHECK enum atls_code documents_each(const char *path, documents_visit *visit, void *arg,
                                              struct atls_err *err);
/* Writes a document into a directory, which is made when it is not there; a file of the name is
 * replaced whole or not at all. */
ATLS_MUST_CHECK enum atls_code documents_write(const char *directory, const char *name,
                                               struct atls_bytes document, struct atls_err *err);

#endif
