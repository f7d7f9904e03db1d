/* The files of state.c among themselves: what a generation is opened from, in their order. */
#ifndef PROXY_STATE_PARTS_H
#define PROXY_STATE_PARTS_H

#include "state.h"

/* Says it with "FILE:LINE: WHAT: " before the library's message, inner; returns its code. */
enum atls_code state_at_line(const struct config *config, size_t line, const char *what,
                             const struct atls_err *inner, struct atls_err *err);
/* A log whose lines name what they are about: key (static) and name. It stays for the process, as
 * many as there are names. One thread at a time. */
struct atls_log state_log_about(const char *key, const char *name);

/* ---- state_files.c ---- */

/* Lists the configuration's files as they are now, before they are read: what changes meanwhile is
 * seen as changed. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code state_list_files(struct generation *g, struct atls_err *err);
/* Whether a file is the same for both; NULL, one that neither names, is. */
bool state_kept_file(const struct generation *a, const struct generation *b, const char *path);
/* The store or the keys that a verifier's URI names as a file, or NULL. */
const char *state_file_of(const struct config_verifier *v);

/* ---- state_opened.c: attesters, verifiers, policies ---- */

/* Each takes over from before (or NULL) what is the same. Errors: those of the library, at their
 * line. */
ATLS_MUST_CHECK enum atls_code
state_open_attesters(struct generation *g, const struct generation *before, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code
state_open_verifiers(struct generation *g, const struct generation *before, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code
state_open_policies(struct generation *g, const struct generation *before, struct atls_err *err);
/* Of a generation that was opened in part, too. */
void state_close_opened(struct generation *g);

/* ---- state_routes.c: routes, their sides, listeners ---- */

/* After what they are made of. Errors as above. */
ATLS_MUST_CHECK enum atls_code
state_open_routes(struct generation *g, const struct generation *before, struct atls_err *err);
void state_set_doors(struct generation *g);
/* Of a generation that was opened in part, too. */
void state_close_routes(struct generation *g);

#endif
