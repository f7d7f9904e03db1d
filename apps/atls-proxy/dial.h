/* Sockets to a target: its addresses one after the other, names resolved by a job. */
#ifndef PROXY_DIAL_H
#define PROXY_DIAL_H

#include <netdb.h>
#include <stdbool.h>

#include "jobs.h"
#include "link.h"
#include "loop.h"

struct dial_names;

struct dial {
    struct loop *loop;
    struct jobs *jobs;
    unsigned lane; /* of jobs */
    const struct link_target *target;
    void (*resolved)(struct dial *dial); /* call dial_next now */
    void *arg;
    struct dial_names *names; /* a job that is out */
    struct addrinfo *list, *next;
    bool begun, names_ready;
};

enum dial_came {
    DIAL_SOCKET = 0, /* *out_fd, connected or *out_dialling */
    DIAL_WAITS,      /* for names */
    DIAL_LATER,      /* the target has too much to do: try again in a while */
    DIAL_FAILED,     /* err says why the last address failed; there are no more */
};
/* The next address of the target; not while names are looked up (names, but not names_ready). */
enum dial_came dial_next(struct dial *dial, int *out_fd, bool *out_dialling, struct atls_err *err);
/* What is left is given up. */
void dial_clear(struct dial *dial);

#endif
