/* Files that a configuration names. */
#ifndef ATLS_VERIFIER_REMOTE_FILE_H
#define ATLS_VERIFIER_REMOTE_FILE_H

#include <stddef.h>

#include <sys/stat.h>

#include <atls/bytes.h>

/* Reads a regular file of 1 to max bytes; *out is the caller's to clear. Errors: ATLS_E_CONFIG
 * naming the file (not there, empty, too long), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_remote_read_file(const char *path, size_t max,
                                                     struct atls_buf *out, struct atls_err *err);

/* As atls_remote_read_file, and what fstat says of the very file that was read. */
ATLS_MUST_CHECK enum atls_code atls_remote_read_file_as(const char *path, size_t max,
                                                        struct atls_buf *out,
                                                        struct stat *out_state,
                                                        struct atls_err *err);

#endif
