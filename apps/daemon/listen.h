/* Listening sockets. They outlive configurations: a reload opens what is new and keeps what stays.
 * One thread at a time. */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <atls/err.h>

#include "address.h"

struct listen_at {
    struct address address;
    int64_t mode;    /* of a unix socket; -1: 0660 */
    unsigned nth;    /* tells those of one address apart: port 0 is another each time */
    bool reuse_port; /* TCP: each slot has a socket of its own, between which the kernel spreads
                        connections (SO_REUSEPORT) */
    unsigned slot;   /* with reuse_port: which socket, from 0 */
};

/* A descriptor of the caller's to close, a duplicate of the socket that is kept; out_text (128
 * bytes) gets where it listens, a port of 0 resolved: slot 0 picks it, and the others follow.
 * Errors: ATLS_E_CONFIG (address in use, not one socket of that name from systemd), ATLS_E_NOMEM.
 */
ATLS_MUST_CHECK enum atls_code listen_get(const struct listen_at *l, int *out_fd,
                                          char out_text[128], struct atls_err *err);
/* Hands the unix sockets that listen_get made to a user and a group, before this process becomes
 * them. Errors: ATLS_E_CONFIG with the path. */
ATLS_MUST_CHECK enum atls_code listen_give(uid_t user, gid_t group, struct atls_err *err);
/* Has new connections to it, in every slot, refused from now on, so that clients go elsewhere at
 * once; but for those of systemd, which another process may serve next. */
void listen_shut(const struct listen_at *l);
/* Warns in the log of each socket from systemd that listen_get was not asked for: its clients wait
 * in vain. */
void listen_say_unused(void);
/* Closes those whose address, as written, is not needed; needed NULL: all. */
void listen_keep(bool (*needed)(const void *arg, const char *address, unsigned nth),
                 const void *arg);

#endif
