/* Files of an operator: configuration, certificates, keys, tokens. */
#ifndef DAEMON_FILE_H
#define DAEMON_FILE_H

#include <stddef.h>

#include <atls/bytes.h>

enum file_kind {
    FILE_PUBLIC, /* whoever may read it */
    FILE_SECRET, /* refused when others than owner and group may read it, or write it */
};
/* The whole of a file of at most max bytes, NUL terminated (not counted). Errors: ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code file_read(const char *path, enum file_kind kind, size_t max,
                                         struct atls_buf *out, struct atls_err *err);

#endif
