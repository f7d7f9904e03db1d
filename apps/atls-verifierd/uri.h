/* Request targets (RFC 9112 section 3.2, RFC 3986): path and parameters, decoded once and strictly.
 */
#ifndef VERIFIERD_URI_H
#define VERIFIERD_URI_H

#include <stddef.h>

#define URI_MAX            2048 /* bytes of a target as received */
#define URI_PATH_MAX       511  /* decoded */
#define URI_PARAMETERS_MAX 4

struct uri {
    char path[URI_PATH_MAX + 1];
    size_t count;
    struct uri_parameter {
        char name[32], value[128];
    } parameters[URI_PARAMETERS_MAX];
};

/* Reads a target in origin or absolute form. Returns 0, or the HTTP status that refuses it (400,
 * 414), with *out_rule saying why. Refused: percent-encoding that is none, of NUL or of a slash;
 * bytes that are not visible ASCII; empty and dot segments; a parameter given twice. */
unsigned uri_parse(const char *target, struct uri *out, const char **out_rule);
/* Value of a parameter, NULL when it is not there. */
const char *uri_parameter(const struct uri *uri, const char *name);

#endif
