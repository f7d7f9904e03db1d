/* Accepts connections and hands them to the threads of an HTTP daemon in turn. Left to themselves
 * the threads all wait on one socket, and who is awake takes a burst of connections whole, while
 * the others have none for as long as these are kept alive. */
#ifndef VERIFIERD_ACCEPT_H
#define VERIFIERD_ACCEPT_H

#include <stdatomic.h>
#include <stddef.h>

#include <atls/err.h>

struct MHD_Daemon;
struct acceptor;

/* What connections go through; the caller's, until the HTTP daemon has ended. */
struct door {
    struct MHD_Daemon *daemon; /* was started without a socket */
    int fd;                    /* a listening socket that does not block */
    size_t most;               /* connections at once; more wait in the socket's queue */
    /* Connections from before the daemon gets them until it says that they are closed. Its own
     * count leaves out those that wait for a thread of it. Too high, for good, when the daemon
     * drops one that waits (for want of memory, or as one too many of a thread), and says nothing.
     */
    atomic_size_t open;
};

/* A thread for the door, which the caller keeps open until the stop. Errors: ATLS_E_NOMEM (also
 * threads). */
ATLS_MUST_CHECK enum atls_code acceptor_start(struct door *door, struct acceptor **out,
                                              struct atls_err *err);
/* Returns when it has ended; NULL is fine. */
void acceptor_stop(struct acceptor *a);

#endif
