/* Links: a client that came in (downstream), its target (upstream), and what moves between them.
 * Not one byte of data moves in either direction before both ends are attested as their
 * configurations require, nor while the right to send is withdrawn. A link lives on the loop that
 * accepted it and frees itself at its end; nothing that goes wrong with it touches another.
 *
 *     prelude -> downstream handshake, attestation -> dial -> upstream handshake, attestation
 *             -> pump -> both ends are told
 */
#ifndef PROXY_LINK_H
#define PROXY_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <atls/bytes.h>
#include <atls/openssl.h>

#include "end.h"
#include "jobs.h"
#include "loop.h"

/* Why a link ended. */
enum link_end {
    LINK_CLOSED = 0,         /* in good order */
    LINK_DOWNSTREAM_CLOSED,  /* the client went away: reset, or in the middle of its data */
    LINK_UPSTREAM_CLOSED,    /* the target did */
    LINK_BAD_PRELUDE,        /* no PROXY header, no ClientHello, no route for it */
    LINK_DOWNSTREAM_REFUSED, /* the client is not attested as it must be */
    LINK_UPSTREAM_REFUSED,   /* the target is not */
    LINK_REFUSED_DOWNSTREAM, /* the client refuses us */
    LINK_REFUSED_UPSTREAM,   /* the target refuses us */
    LINK_DOWNSTREAM_TLS,     /* TLS with the client failed, or its frames are wrong */
    LINK_UPSTREAM_TLS,
    LINK_HANDSHAKE_TIMEOUT,    /* prelude and TLS handshake of the client */
    LINK_GATE_TIMEOUT,         /* attestation, of either side */
    LINK_VERIFIER_UNAVAILABLE, /* of either side; nothing is known of the peer */
    LINK_ATTESTER_FAILED,      /* ours, for either side */
    LINK_DIAL_FAILED,
    LINK_DIAL_TIMEOUT, /* names, connect, TLS handshake of the target */
    LINK_IDLE_TIMEOUT,
    LINK_WITHDRAWN,         /* the right to send was not given again in time */
    LINK_DATA_REFUSED,      /* by the filter */
    LINK_DRAINED,           /* still there at the end of the time to drain */
    LINK_STOPPED,           /* by an operator */
    LINK_INTERNAL,          /* out of memory and the like */
    LINK_LIMIT_CONNECTIONS, /* these three are of the listener: no link was made */
    LINK_LIMIT_HANDSHAKES,
    LINK_LIMIT_SOURCE,
    LINK_LIMIT_ROUTE, /* its own number of connections */
    LINK_ENDS,        /* how many there are */
};
/* "closed", "upstream-closed", ...; "" for another number. Static. */
const char *link_end_name(enum link_end end);

enum link_side_number { LINK_DOWNSTREAM = 0, LINK_UPSTREAM = 1 };

struct link_side {
    SSL_CTX *ctx;               /* prepared for config; NULL: plain */
    struct atls_config *config; /* NULL: plain */
    enum atls_flavour flavour;  /* of config, and raw, too */
    bool raw;
    const char *peer_name; /* upstream: of the server */
};

/* Where to. */
struct link_target {
    struct sockaddr_storage address; /* numeric, or of a unix socket */
    socklen_t address_len;           /* 0: host and port are resolved, by a job */
    const char *host, *port;
};

struct link;
struct link_report;
struct link_filter;

/* What a link needs of its route. Immutable, and held by hooks while links have it. Hooks are
 * called on any loop, and must not block. */
struct link_route {
    const char *name;
    struct link_side side[2]; /* by enum link_side_number */
    struct link_target target;
    unsigned lane;                /* of its jobs */
    int64_t handshake_timeout_ms; /* downstream, from accept */
    int64_t dial_timeout_ms;      /* upstream, until the TLS handshake is done */
    int64_t idle_timeout_ms;
    const struct link_hooks *hooks;
    void *arg;
};

struct link_hooks {
    /* References, of a link. Must not be NULL. hold may refuse (LINK_LIMIT_ROUTE). */
    bool (*hold)(const struct link_route *route);
    void (*drop)(const struct link_route *route);
    /* Both gates are open for the first time. Or NULL. */
    void (*opened)(const struct link_route *route, struct link *link);
    /* A verdict on one side is in: the first, or one more (attestations in struct atls_peer); or
     * the peer passes without one (unattested). Or NULL. */
    void (*attested)(const struct link_route *route, struct link *link, enum link_side_number side);
    /* A side that was open is not, until its peer is accepted again (on-failure: gate). Or NULL. */
    void (*withdrawn)(const struct link_route *route, struct link *link,
                      enum link_side_number side);
    /* The link is at its end, sessions of its sides are still there. Must not be NULL. */
    void (*ended)(const struct link_route *route, struct link *link,
                  const struct link_report *report);
    /* What goes to the target before everything else, at most room bytes (PROXY header); returns
     * its length; 0: it could not be made, and the link ends. Or NULL. */
    size_t (*head)(const struct link_route *route, struct link *link, uint8_t *out, size_t room);
    /* What the client is told when the target cannot be dialled, static; it is all that it gets, in
     * good order. NULL: the client is cut off. */
    struct atls_bytes (*undialled)(const struct link_route *route);
    /* What rewrites data from downstream to upstream; NULL, or returns NULL when out of memory. */
    struct link_filter *(*filter)(const struct link_route *route, struct link *link);
};

/* Rewrites a stream. */
struct link_filter {
    /* Takes from in (*out_taken), gives to out (*out_made <= room). in_ended: in is the last there
     * is. Called again while either moves. False: the data are refused, err says why. */
    bool (*run)(struct link_filter *filter, struct atls_bytes in, bool in_ended, size_t *out_taken,
                uint8_t *out, size_t room, size_t *out_made, struct atls_err *err);
    /* Takes what it needs of the results about the peers, which go after it; it is called when the
     * link is idle. False: not now, they stay. Or NULL. */
    bool (*learn)(struct link_filter *filter);
    /* Sees what comes from upstream, before it goes on; or NULL. run is called again after it. */
    void (*back)(struct link_filter *filter, struct atls_bytes bytes);
    /* What the client is told when run has said false, static or the filter's; or NULL. */
    struct atls_bytes (*answer)(struct link_filter *filter);
    void (*free)(struct link_filter *filter);
};

/* What came before TLS or data. */
enum link_prelude {
    LINK_PRELUDE_MORE = 0, /* too little was seen */
    LINK_PRELUDE_USED,     /* *out_used bytes (not 0) are taken from the stream; call again */
    LINK_PRELUDE_DONE,     /* *out_route is for it; what was seen stays in the stream */
    LINK_PRELUDE_REFUSED,  /* err says why */
    LINK_PRELUDE_LIMITED,  /* the client's source is over its limits */
};
/* How much a prelude may see at once. */
#define LINK_PRELUDE_MAX ((size_t)20480)

/* Where links come from; stays while there are such links in prelude. */
struct link_source {
    /* NULL: route is for all. seen is what waits in the socket (MSG_PEEK), from its beginning, at
     * most LINK_PRELUDE_MAX bytes; ended: nothing follows. The route is held by the link after
     * that. Routes must stay until it was. */
    enum link_prelude (*prelude)(const struct link_source *source, struct link *link,
                                 struct atls_bytes seen, bool ended, size_t *out_used,
                                 const struct link_route **out_route, struct atls_err *err);
    const struct link_route *route;
    int64_t handshake_timeout_ms;
    /* Whether this client says in its prelude for whom it comes (link_set_client): until then no
     * source is counted. NULL: none does. */
    bool (*announces)(const struct link_source *source, const struct sockaddr_storage *client);
    /* A link ended before it had a route. Must not be NULL. */
    void (*ended)(const struct link_source *source, struct link *link,
                  const struct link_report *report);
    /* References of links in prelude, as of routes; or NULL. */
    void (*hold)(const struct link_source *source);
    void (*drop)(const struct link_source *source);
    void *arg;
};

struct link_report {
    enum link_end end;
    const struct atls_err *err;      /* code ATLS_OK when there is nothing to add */
    uint64_t from_client, to_client; /* application data, bytes */
    int64_t lasted_ms;
    bool opened;
};

/* ---- links of one loop ---- */

struct links;
struct links_options {
    struct loop *loop;
    struct jobs *jobs;
    /* A client announced another: whether limits of that source allow it (LINK_CLOSED), which then
     * counts instead. NULL is fine. */
    enum link_end (*announced)(void *arg, const struct sockaddr_storage *client, int64_t now_ms);
    /* A link left the handshakes in flight, a link is gone: for limits, with the client that
     * counts, AF_UNSPEC when none does. Each is called once a link, the first at the latest with
     * the second. NULL is fine. */
    void (*through)(void *arg, const struct sockaddr_storage *client);
    void (*gone)(void *arg, const struct sockaddr_storage *client);
    void *arg;
    /* When one end takes no more, what it has sent has so long to move on; 0: five seconds. */
    int64_t gone_ms;
};
/* Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code links_new(const struct links_options *options, struct links **out,
                                         struct atls_err *err);
/* The loop does not run; it and the jobs are freed afterwards. Links are cut; those of flavours
 * intra and pre had better ended on their own thread. NULL is fine. */
void links_free(struct links *links);
/* How many there are; any thread. */
size_t links_count(const struct links *links);

/* On the loop's thread, or while it does not run: a link over fd, which it takes over, of a client
 * with this address. False when there is no memory: fd is closed, through and gone were called, and
 * nobody else was told. */
ATLS_MUST_CHECK bool links_accept(struct links *links, const struct link_source *source, int fd,
                                  const struct sockaddr_storage *client);

/* Whose peers are to attest again. */
struct links_reattest {
    const struct link_route *route; /* of this one; NULL: of all */
    unsigned sides;                 /* bits 1 << enum link_side_number */
    /* How many are asked at a time; the others wait for their turn. Who takes long to answer loses
     * its place to the next. From 1. */
    size_t at_once;
    bool end_others; /* those of a flavour that cannot end (LINK_STOPPED) */
};
/* Any thread; out of memory, nothing happens and it says false. */
/* Those are asked; whose first verdict is not in is asked again after it. */
bool links_reattest(struct links *links, const struct links_reattest *what);
/* Ends those of a route (NULL: all), in prelude also with NULL, with this reason. */
bool links_end(struct links *links, const struct link_route *route, enum link_end end);
/* Until deadline_ms (of the monotonic clock) links may go on, then they end (LINK_DRAINED). */
bool links_drain(struct links *links, int64_t deadline_ms);

/* ---- one link, in hooks ---- */

/* The client, as accept(2) or link_set_client says; the same of where it came to. Family AF_UNSPEC
 * when not known. */
const struct sockaddr_storage *link_client(const struct link *link);
const struct sockaddr_storage *link_local(const struct link *link);
/* The PROXY header knows better. LINK_CLOSED, or what limits say of that client, who is the link's
 * all the same, for its log line. */
enum link_end link_set_client(struct link *link, const struct sockaddr_storage *client,
                              const struct sockaddr_storage *local);
/* Whom limits count at accept: client, or with an AF_UNSPEC nobody yet. */
struct sockaddr_storage link_counted(const struct link_source *source,
                                     const struct sockaddr_storage *client);
/* Bytes that its prelude has taken so far. */
uint64_t link_used(const struct link *link);
/* Since it was accepted. */
int64_t link_age_ms(const struct link *link);
/* Number of the link in this process, for logs. */
uint64_t link_number(const struct link *link);
/* What is known of the peer of a side; false: plain, or the handshake is not done. */
bool link_peer(struct link *link, enum link_side_number side, struct atls_peer *out);
const struct link_route *link_route(const struct link *link); /* NULL in prelude */

#endif
