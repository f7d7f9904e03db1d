/* For those who operate the proxy, over HTTP on a listener and a thread of its own:
 *
 *     GET /healthz  200 while every worker turns, else 503
 *     GET /readyz   200 when connections would be served, else 503
 *     GET /metrics  Prometheus text
 *
 * Both answers of 503 are problem documents (RFC 9457) that name what failed. */
#ifndef PROXY_OPERATION_H
#define PROXY_OPERATION_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/err.h>

#include "text.h"

/* Writes one check into the answer; problem "": all is well. No secret, and nothing of the inside
 * of a service: the listener may be open to others. */
struct operation_checks {
    struct text *out;
    bool failed;
};
void operation_check(struct operation_checks *checks, const char *name, const char *problem);

/* Called on the thread of the listener; both make at least one check. */
struct operation_source {
    void (*health)(void *arg, struct operation_checks *checks);
    void (*ready)(void *arg, struct operation_checks *checks);
    void *arg;
};

struct operation;
/* Serves on a listening socket, which stays the caller's; source must outlive it. Errors:
 * ATLS_E_CONFIG, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code operation_start(int fd, const struct operation_source *source,
                                               struct operation **out, struct atls_err *err);
/* Waits for the thread. NULL is fine. */
void operation_stop(struct operation *o);

#endif
