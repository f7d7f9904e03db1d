/* URLs of verifier services (RFC 3986), a strict subset: http or https, a host, perhaps a port and
 * a path. No userinfo, no percent-encoding, no "." or ".." segment, and, where a base is wanted, no
 * query or fragment: there is one way to write each, so that comparing origins is comparing text.
 * Pure functions; any thread. */
#ifndef ATLS_VERIFIER_REMOTE_URL_H
#define ATLS_VERIFIER_REMOTE_URL_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/bytes.h>

#define ATLS_URL_MAX 1024 /* with its NUL */

/* A value type. */
struct atls_url {
    bool is_https;
    char text[ATLS_URL_MAX]; /* the whole: host in lower case, no port that is the default */
    size_t origin_len;       /* "https://host:port" is text[0 .. origin_len) */
};

/* "https://HOST[:PORT][/PREFIX]"; a "/" at the end is dropped. HOST: a DNS name, an IPv4 address,
 * or an IPv6 address in brackets. Errors: ATLS_E_CONFIG naming the part. */
ATLS_MUST_CHECK enum atls_code atls_url_parse(const char *text, struct atls_url *out,
                                              struct atls_err *err);

/* Appends path, which starts with "/", to a base. Errors: ATLS_E_PROTOCOL when it is no such path
 * or too long. */
ATLS_MUST_CHECK enum atls_code atls_url_append(const struct atls_url *base, struct atls_bytes path,
                                               struct atls_url *out, struct atls_err *err);

/* Resolves what a service of base's origin named: an absolute URL of the same origin, an absolute
 * path, or a path relative to base's last segment (RFC 3986 section 5.2). Errors: ATLS_E_PROTOCOL:
 * another origin, or not in the subset. */
ATLS_MUST_CHECK enum atls_code atls_url_resolve(const struct atls_url *base,
                                                struct atls_bytes reference, struct atls_url *out,
                                                struct atls_err *err);

/* The path, "" when there is none; borrows from url. */
const char *atls_url_path(const struct atls_url *url);

#endif
