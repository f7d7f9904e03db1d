/* Reading a whole file within a limit. */
#ifndef ATLS_ATTESTER_FILE_H
#define ATLS_ATTESTER_FILE_H

#include <stddef.h>

#include <atls/bytes.h>

#include "crypto/crypto.h"

/* Reads until the end of the file, whatever size it reports (kernel logs report 0). what names the
 * file's part in messages ("event log"). out is the caller's to clear; memory outgrown is wiped, so
 * that it may hold a key. Errors: ATLS_E_IO, ATLS_E_LIMIT (more than limit bytes), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_file_read(const char *what, const char *path, size_t limit,
                                              struct atls_buf *out, struct atls_err *err);

/* The private key in PEM at path, or a fresh one (P-256) when path is NULL or empty. Errors: as
 * atls_file_read and atls_private_key_from_pem. */
ATLS_MUST_CHECK enum atls_code atls_file_private_key(const char *what, const char *path,
                                                     struct atls_private_key **out,
                                                     struct atls_err *err);

#endif
