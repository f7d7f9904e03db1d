/* JSON of a service: one object with unique members, read member by member. Members that nobody
 * asks for are ignored: services add some. */
#ifndef ATLS_VERIFIER_REMOTE_JSON_H
#define ATLS_VERIFIER_REMOTE_JSON_H

#include <jansson.h>

#include <atls/bytes.h>

#include "core/err.h"

/* Gives a recorded error another code, and says where it is from. */
static inline enum atls_code atls_remote_recode(struct atls_err *err, enum atls_code code,
                                                const char *prefix)
{
    if (err != NULL)
        err->code = code;
    return atls_err_prefix(err, code, prefix);
}

/* Loads one object; what names the document in messages. The caller decrefs. Errors:
 * ATLS_E_PROTOCOL (also for a member that is there twice), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_remote_json_load(struct atls_bytes in, const char *what,
                                                     json_t **out, struct atls_err *err);

enum atls_json_presence { ATLS_JSON_OPTIONAL, ATLS_JSON_REQUIRED };

/* A text member of 1 to max bytes without NUL; borrows from object, NUL terminated. *out is empty
 * when an optional one is absent. Errors: ATLS_E_PROTOCOL. */
ATLS_MUST_CHECK enum atls_code atls_remote_json_text(const json_t *object, const char *name,
                                                     enum atls_json_presence presence, size_t max,
                                                     struct atls_bytes *out, struct atls_err *err);

#endif
