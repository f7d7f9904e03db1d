/* Workers with their loops, the listeners of the newest generation on each, and what links tell:
 * log lines and counts. All functions are for one thread, the main one. */
#ifndef PROXY_SERVICE_H
#define PROXY_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "operation.h"
#include "state.h"

struct service;

/* Workers and threads for slow work, as config says; nothing runs yet. Errors: ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code service_new(const struct config *config, struct service **out,
                                           struct atls_err *err);
/* Opens the sockets that config needs and are not there, touching nothing else; s is NULL before
 * there is one. Errors: ATLS_E_CONFIG with "FILE:LINE: ...". */
ATLS_MUST_CHECK enum atls_code service_listen(const struct service *s, const struct config *config,
                                              struct atls_err *err);
/* What comes in from now on is of g, whose sockets are open; those that it does not need are
 * closed. source: what health and readiness are asked of. Errors: a listener could not be opened
 * (its clients are refused), the rest works. */
ATLS_MUST_CHECK enum atls_code service_apply(struct service *s, struct generation *g,
                                             const struct operation_source *source,
                                             struct atls_err *err);
/* Closes sockets that this configuration, which goes on, does not need. */
void service_keep(const struct config *config);
/* Errors: ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code service_start(struct service *s, struct atls_err *err);

/* Peers of links whose verifier, policy or store changed since they were asked are asked to attest
 * again, those of other flavours are named in the log. */
void service_rejudge(struct service *s);
/* All peers that can be asked are. */
void service_reattest(struct service *s);
/* Takes no more connections at the listeners of g; those that are there end by the deadline. */
void service_drain(struct service *s, const struct generation *g, int64_t deadline_ms);
/* How many there are. */
size_t service_links(const struct service *s);
/* Whether every loop has turned since the last call. */
bool service_alive(struct service *s);
/* Ends all links and threads. NULL is fine. */
void service_free(struct service *s);

#endif
