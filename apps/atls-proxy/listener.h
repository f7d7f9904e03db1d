/* Accepts connections on a loop. Limits come first: who is over them costs an accept and a close,
 * and no memory. */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "link.h"
#include "loop.h"

/* ---- limits, shared by all loops; any thread ---- */

/* Of the places for handshakes the last 1/LIMITS_KEPT are for sources that have less than
 * 1/LIMITS_FEW of all; the others get LINK_LIMIT_SOURCE. */
#define LIMITS_KEPT 4
#define LIMITS_FEW  8

struct limits;
struct limits_options {
    size_t connections; /* open at a time */
    size_t handshakes;  /* of these not yet through */
    size_t per_source;  /* of these from one address; of IPv6, from one /64 */
    /* Whether this source may make one more connection now (rate); NULL: always. */
    bool (*rate)(void *arg, const struct sockaddr *source, int64_t now_ms);
    void *arg;
};
/* No number may be 0. The table of sources has a place for each connection. Errors: ATLS_E_CONFIG,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code limits_new(const struct limits_options *options, struct limits **out,
                                          struct atls_err *err);
void limits_free(struct limits *limits); /* NULL is fine */
/* Other numbers from now on. Errors: ATLS_E_NOMEM, and the old ones stay. */
ATLS_MUST_CHECK enum atls_code
limits_change(struct limits *limits, const struct limits_options *options, struct atls_err *err);

/* LINK_CLOSED: counted, to be given back by limits_through (it is no longer a handshake), then
 * limits_gone. Else why not. A client of a unix socket has no source. */
enum link_end limits_take(struct limits *limits, const struct sockaddr_storage *client,
                          int64_t now_ms);
/* The same of a source alone: a connection that counts already says for whom it comes. */
enum link_end limits_take_source(struct limits *limits, const struct sockaddr_storage *client,
                                 int64_t now_ms);
void limits_through(struct limits *limits, const struct sockaddr_storage *client);
void limits_gone(struct limits *limits, const struct sockaddr_storage *client);
void limits_count(struct limits *limits, size_t *out_connections, size_t *out_handshakes);
/* For struct links_options: arg is the limits. */
enum link_end limits_links_announced(void *limits, const struct sockaddr_storage *client,
                                     int64_t now_ms);
void limits_links_through(void *limits, const struct sockaddr_storage *client);
void limits_links_gone(void *limits, const struct sockaddr_storage *client);

/* ---- one socket on one loop ---- */

struct listener;
struct listener_options {
    struct links *links;
    struct loop *loop; /* of links */
    struct limits *limits;
    const struct link_source *source; /* of its links */
    /* A connection was refused before there was a link. */
    void (*refused)(const struct link_source *source, enum link_end why,
                    const struct sockaddr_storage *client);
    /* accept(2) failed for want of descriptors or memory; those who wait were closed, or wait on.
     * At most once a second. */
    void (*starved)(const struct link_source *source, int error);
};

/* Takes fd over, non-blocking; several loops may have one each of the same socket. The loop does
 * not run, or this is its thread. Errors: ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code listener_open(const struct listener_options *options, int fd,
                                             struct listener **out, struct atls_err *err);
/* On the loop's thread: what follows comes from another source. */
void listener_set_source(struct listener *listener, const struct link_source *source);
/* On the loop's thread, or while it does not run: takes no more. NULL is fine. */
void listener_close(struct listener *listener);

#endif
