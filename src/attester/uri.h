/* What follows the scheme of an attester's URI: "base?name=value&name=value".
 *
 * Backends read their options through here, so that a misspelt or repeated option is refused in one
 * way everywhere. %XX in a value stands for one byte (a path may hold '&'); base is taken as it is,
 * since "swtpm:path=..." belongs to another library's grammar. */
#ifndef ATLS_ATTESTER_URI_H
#define ATLS_ATTESTER_URI_H

#include <stddef.h>

#include <atls/err.h>

#define ATLS_URI_MAX         4096
#define ATLS_URI_OPTIONS_MAX 64

struct atls_uri_option {
    const char *name;
    const char *value; /* decoded, NUL terminated, holds no other NUL; may be empty */
};

/* Owned: cleared by atls_uri_clear. */
struct atls_uri {
    char *storage;
    const char *base;
    struct atls_uri_option options[ATLS_URI_OPTIONS_MAX];
    size_t count;
};

/* Splits rest; names may repeat (the caller decides). scheme is for messages. Errors: ATLS_E_CONFIG
 * (option without '=' or name, bad %XX, too long, too many options), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_uri_parse(const char *scheme, const char *rest,
                                              struct atls_uri *out, struct atls_err *err);
void atls_uri_clear(struct atls_uri *uri);

/* One option that a backend knows; its value goes to *out, which borrows from the uri. */
struct atls_uri_known {
    const char *name;
    const char **out; /* NULL before; set when the option is there */
};

/* Sorts the options of uri into known (count rows); an option that starts with prefix (NULL: none)
 * is left to the caller. Errors: ATLS_E_CONFIG (unknown option, option given twice). */
ATLS_MUST_CHECK enum atls_code atls_uri_options(const char *scheme, const struct atls_uri *uri,
                                                const struct atls_uri_known *known, size_t count,
                                                const char *prefix, struct atls_err *err);

#endif
