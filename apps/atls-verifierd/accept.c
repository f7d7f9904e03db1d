/* accept4 */
#define _GNU_SOURCE

#include "accept.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <microhttpd.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "text.h"

/* Between two looks whether there is room again, for a connection or for a descriptor. */
#define FULL_MS 20

struct acceptor {
    struct door *door;
    int end; /* an event that says so */
    pthread_t thread;
};

static size_t open_connections(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info != NULL ? info->num_connections : 0;
}

/* False: the socket was shut, and nothing more will come. */
static bool take_one(struct door *door, bool *out_full)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd;

    *out_full = open_connections(door->daemon) >= door->most;
    if (*out_full)
        return true;
    fd = accept4(door->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        /* Refused, for want of memory or as one too many of a client, it is closed there. */
        atomic_fetch_add(&door->open, 1);
        if (MHD_add_connection(door->daemon, fd, (struct sockaddr *)&address, len) != MHD_YES)
            atomic_fetch_sub(&door->open, 1);
        return true;
    }
    *out_full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    return errno != EINVAL && errno != EBADF && errno != ENOTSOCK;
}

static void *run(void *arg)
{
    const struct acceptor *a = arg;
    struct pollfd fds[] = {{a->end, POLLIN, 0}, {a->door->fd, POLLIN, 0}};
    nfds_t count = 2;
    bool full = false;

    for (;;) {
        int n = poll(fds, full ? 1 : count, full ? FULL_MS : -1);

        if (n > 0 && fds[0].revents != 0)
            return NULL;
        if (n < 0 && errno != EINTR)
            full = true; /* for want of memory: a little later */
        else if (count == 2 && (full || (n > 0 && fds[1].revents != 0)) &&
                 !take_one(a->door, &full))
            count = 1;
    }
}

static int start_thread(struct acceptor *a)
{
    sigset_t all, before;
    int n;

    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    n = pthread_create(&a->thread, NULL, run, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

enum atls_code acceptor_start(struct door *door, struct acceptor **out, struct atls_err *err)
{
    struct acceptor *a = calloc(1, sizeof *a);

    if (a == NULL)
        return set_error(err, ATLS_E_NOMEM, "listener: out of memory");
    a->door = door;
    if ((a->end = eventfd(0, EFD_CLOEXEC)) < 0 || start_thread(a) != 0) {
        if (a->end >= 0)
            close(a->end);
        free(a);
        return set_error(err, ATLS_E_NOMEM, "listener: no descriptor or thread left");
    }
    *out = a;
    return ATLS_OK;
}

void acceptor_stop(struct acceptor *a)
{
    const uint64_t one = 1;

    if (a == NULL)
        return;
    while (write(a->end, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(a->thread, NULL);
    close(a->end);
    free(a);
}
