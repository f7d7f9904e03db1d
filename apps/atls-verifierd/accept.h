/* Accepts connections and hands them to the threads of an HTTP daemon in turn. Left to themselves
 * the threads all wait on one socket, and who is awake takes a burst of connections whole, while
 * the others have none for as long as these are kept alive. */
#ifndef VERIFIERD_ACCEPT_H
#define VERIFIERD_ACCEPT_H

#include <stddef.h>

#include <atls/err.h>

struct MHD_Daemon;
struct acceptor;

/* A thread for daemon, which was started without a socket and ends later than it. fd: a listening
 * socket that does not block, the caller's to close after the stop. most: connections that may be
 * open at once; more wait in the socket's queue. Errors: ATLS_E_NOMEM (also threads). */
ATLS_MUST_CHECK enum atls_code acceptor_start(struct MHD_Daemon *daemon, int fd, size_t most,
                                              struct acceptor **out, struct atls_err *err);
/* Returns when it has ended; NULL is fine. */
void acceptor_stop(struct acceptor *a);

#endif
