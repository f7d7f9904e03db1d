/* Media types (RFC 9110 section 8.3) and what a client accepts (section 12.5.1). */
#ifndef VERIFIERD_MEDIA_H
#define VERIFIERD_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

#define MEDIA_TEXT_MAX       512 /* bytes of a Content-Type as received */
#define MEDIA_PARAMETERS_MAX 4

struct media {
    char type[128]; /* "application/eat+cwt", lower case */
    size_t count;
    struct media_parameter {
        char name[32]; /* lower case */
        char value[160];
    } parameters[MEDIA_PARAMETERS_MAX];
};

/* Reads a Content-Type. False when it is malformed, with *out_rule saying why. */
bool media_parse(const char *text, struct media *out, const char **out_rule);
/* Same type and same parameters, in whatever order. */
bool media_equal(const struct media *a, const struct media *b);
const char *media_parameter(const struct media *media, const char *name);

/* A token of RFC 9110 section 5.6.2, such as the name of a header. */
bool media_is_token(const char *text);

/* Whether an Accept header takes the type offered (without parameters). Absent (NULL) takes all.
 * *out_ok is written on success; false when the header is malformed. */
bool accept_takes(const char *header, const char *offered, bool *out_ok);

#endif
