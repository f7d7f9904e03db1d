/* What the parts of a link share: link.c goes on with it, link_open.c does what comes before data,
 * link_pump.c moves them, link_again.c has peers attest again, link_end.c ends it. */
#ifndef PROXY_LINK_PARTS_H
#define PROXY_LINK_PARTS_H

#include "dial.h"
#include "flow.h"
#include "link.h"

enum phase { PRELUDE, ATTEST_DOWNSTREAM, DIAL, CONNECT, ATTEST_UPSTREAM, PUMP, ENDED };

/* Links that wait for something, in order. */
struct line {
    struct link *first, *last;
    size_t count;
};

struct link {
    struct links *links;
    struct link *next, *before;
    struct line *line; /* it is in this one, or NULL */
    struct link *line_next, *line_before;
    int64_t asked_ms, paid_ms; /* when it was asked; until when its asking is accounted for */
    /* Sides whose peers are to attest again (bits of 1 << side): when it is its turn, after the
     * first verdict; those that were asked and have not answered. */
    unsigned due, due_later, asked;
    unsigned withdrawn;               /* sides that were open and are not, likewise */
    const struct link_route *route;   /* held; NULL in prelude */
    const struct link_source *source; /* held; in prelude */
    enum phase phase;
    struct end end[2];
    struct flow flow[2]; /* by the side that it comes from */
    struct dial dial;
    struct loop_timer timer;
    struct loop_task task;
    struct jobs_work *works;
    struct sockaddr_storage client, local;
    struct sockaddr_storage counted; /* by limits of sources */
    uint64_t number, used;
    int64_t started_ms, dial_ms, later_ms, moved_ms;
    uint32_t attestations[2];
    bool unattested[2]; /* and that was noticed */
    bool running;       /* in a call of link_run */
    bool opened, through, left;
    bool one_gone; /* one end takes no more */
    bool answered; /* the client has an answer of ours, whole */
};

struct links {
    struct links_options options;
    struct link *first;
    _Atomic size_t count;
    struct loop_timer drain;
    struct line due, asked, resting; /* to attest again; resting: were asked too often to be now */
    struct loop_timer rested;
    size_t at_once; /* in asked */
    struct loop_task ask;
    struct loop_timer overdue; /* the first in asked */
};

/* ---- link.c ---- */

/* Does all that can be done now. */
void link_run(struct link *link);
/* What is not data, of one side. False: the link has ended. */
bool link_step(struct link *link, enum link_side_number side);
/* Of struct end. */
void link_end_ready(struct end *end);

/* ---- link_open.c: the phases before PUMP ---- */

void link_open_prelude(struct link *link);
void link_open_attest(struct link *link, enum link_side_number side);
void link_open_dial(struct link *link);
void link_open_connect(struct link *link);

/* ---- link_pump.c ---- */

void link_pump(struct link *link);
/* The end that what comes from this side was for, when it is gone. */
enum link_end link_closed_by_receiver(int side);

/* ---- link_again.c ---- */

void link_line_leave(struct link *link);
/* The peers of these sides are to attest again, when it is the link's turn. */
void link_become_due(struct link *link, unsigned sides);
/* A peer that was asked again has answered, or its rights are withdrawn. */
void link_answered(struct link *link, enum link_side_number side);
/* Of struct links. */
void links_ask_due(struct loop_task *task);
void links_asked_overdue(struct loop_timer *timer);
void links_rested(struct loop_timer *timer);

/* ---- link_end.c ---- */

/* Why an end failed, from its error. */
enum link_end link_why(const struct end *end, enum link_side_number side);
/* It is no longer one of the handshakes in flight. */
void link_through(struct link *link);
/* Answers the client in place of the target, with all that it will get. */
void link_say(struct link *link, struct atls_bytes text);
/* Ends the link, once; err NULL: nothing to add. It is still there after the call. */
void link_finish(struct link *link, enum link_end why, const struct atls_err *err);
/* The same, for want of memory. */
void link_finish_starved(struct link *link);
/* Takes the link out of the list; it is freed by its task. */
void link_leave(struct link *link);
/* Of struct end. */
void link_end_closed(struct end *end);

#endif
