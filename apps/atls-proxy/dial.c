#include "dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "text.h"

/* ---- names ---- */

struct dial_names {
    struct job job;
    struct dial *dial; /* NULL: nobody wants to know any more */
    struct addrinfo *found;
    int error;
    char port[16];
    char host[];
};

static void free_names(struct dial_names *names)
{
    if (names->found != NULL)
        freeaddrinfo(names->found);
    free(names);
}

/* In the pool. */
static void look_up(struct job *job)
{
    struct dial_names *names = (struct dial_names *)job;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

    names->error = getaddrinfo(names->host, names->port, &hints, &names->found);
}

static void looked_up(struct job *job)
{
    struct dial_names *names = (struct dial_names *)job;
    struct dial *dial = names->dial;

    if (dial == NULL) {
        free_names(names);
        return;
    }
    dial->names_ready = true;
    dial->resolved(dial);
}

static enum dial_came resolve(struct dial *dial, struct atls_err *err)
{
    const struct link_target *target = dial->target;
    const size_t len = strlen(target->host) + 1;
    struct dial_names *names = calloc(1, sizeof *names + len);

    if (names == NULL || strlen(target->port) >= sizeof names->port) {
        free(names);
        (void)set_error(err, ATLS_E_NOMEM, "dialling %s: out of memory", target->host);
        return DIAL_FAILED;
    }
    memcpy(names->host, target->host, len);
    strcpy(names->port, target->port);
    names->job =
        (struct job){.run = look_up, .done = looked_up, .loop = dial->loop, .lane = dial->lane};
    names->dial = dial;
    dial->names = names;
    jobs_submit(dial->jobs, &names->job);
    return DIAL_WAITS;
}

/* Takes over what the job found. */
static bool take_names(struct dial *dial, struct atls_err *err)
{
    struct dial_names *names = dial->names;
    const int error = names->error;

    dial->names = NULL;
    if (error == 0) {
        dial->list = dial->next = names->found;
        names->found = NULL;
    } else {
        (void)set_error(err, ATLS_E_IO, "no address of %s: %s", dial->target->host,
                        gai_strerror(error));
    }
    free_names(names);
    return error == 0;
}

/* ---- sockets ---- */

static enum dial_came dial_address(const struct sockaddr *address, socklen_t len, int *out_fd,
                                   bool *out_dialling, struct atls_err *err)
{
    const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int number;

    if (fd < 0) {
        (void)set_error(err, ATLS_E_IO, "socket: %s", strerror(errno));
        return DIAL_FAILED;
    }
    if (connect(fd, address, len) == 0 || errno == EINPROGRESS) {
        *out_dialling = true; /* when it is connected, that is the first event */
        *out_fd = fd;
        return DIAL_SOCKET;
    }
    number = errno;
    close(fd);
    (void)set_error(err, ATLS_E_IO, "connect: %s", strerror(number));
    return number == EAGAIN ? DIAL_LATER : DIAL_FAILED;
}

enum dial_came dial_next(struct dial *dial, int *out_fd, bool *out_dialling, struct atls_err *err)
{
    const struct link_target *target = dial->target;
    enum dial_came came = DIAL_FAILED;

    if (target->address_len != 0) {
        if (dial->begun)
            return DIAL_FAILED;
        came = dial_address((const struct sockaddr *)&target->address, target->address_len, out_fd,
                            out_dialling, err);
        dial->begun = came != DIAL_LATER;
        return came;
    }
    if (!dial->begun) {
        dial->begun = true;
        return resolve(dial, err);
    }
    if (dial->names != NULL && !take_names(dial, err))
        return DIAL_FAILED;
    while (dial->next != NULL && came == DIAL_FAILED) {
        const struct addrinfo *address = dial->next;

        dial->next = address->ai_next;
        came = dial_address(address->ai_addr, address->ai_addrlen, out_fd, out_dialling, err);
    }
    return came;
}

void dial_clear(struct dial *dial)
{
    if (dial->names != NULL) {
        if (jobs_cancel(dial->jobs, &dial->names->job))
            free_names(dial->names);
        else
            dial->names->dial = NULL;
    }
    if (dial->list != NULL)
        freeaddrinfo(dial->list);
    dial->names = NULL;
    dial->list = dial->next = NULL;
}
