#include "link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "address.h"
#include "dial.h"
#include "flow.h"
#include "text.h"

/* How long a target that has too much to do is left alone. */
#define LATER_MS 20
/* When one end takes no more, what it has sent has so long to move on. */
#define GONE_MS 5000
/* How long a peer that was asked again keeps others waiting. */
#define ASKED_MS 2000

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
    int64_t asked_ms;
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
    bool running;       /* in a call of run */
    bool opened, through, left;
    bool one_gone; /* one end takes no more */
    bool answered; /* the client has an answer of ours, whole */
};

struct links {
    struct links_options options;
    struct link *first;
    _Atomic size_t count;
    struct loop_timer drain;
    struct line due, asked; /* to attest again */
    size_t at_once;         /* in asked */
    struct loop_task ask;
    struct loop_timer overdue; /* the first in asked */
};

static void run(struct link *link);

/* ---- why ---- */

const char *link_end_name(enum link_end end)
{
    static const char *const names[LINK_ENDS] = {
        [LINK_CLOSED] = "closed",
        [LINK_DOWNSTREAM_CLOSED] = "downstream-closed",
        [LINK_UPSTREAM_CLOSED] = "upstream-closed",
        [LINK_BAD_PRELUDE] = "prelude-refused",
        [LINK_DOWNSTREAM_REFUSED] = "downstream-refused",
        [LINK_UPSTREAM_REFUSED] = "upstream-refused",
        [LINK_REFUSED_DOWNSTREAM] = "refused-by-downstream",
        [LINK_REFUSED_UPSTREAM] = "refused-by-upstream",
        [LINK_DOWNSTREAM_TLS] = "downstream-tls",
        [LINK_UPSTREAM_TLS] = "upstream-tls",
        [LINK_HANDSHAKE_TIMEOUT] = "handshake-timeout",
        [LINK_GATE_TIMEOUT] = "gate-timeout",
        [LINK_VERIFIER_UNAVAILABLE] = "verifier-unavailable",
        [LINK_ATTESTER_FAILED] = "attester-failed",
        [LINK_DIAL_FAILED] = "dial-failed",
        [LINK_DIAL_TIMEOUT] = "dial-timeout",
        [LINK_IDLE_TIMEOUT] = "idle-timeout",
        [LINK_WITHDRAWN] = "withdrawn",
        [LINK_DATA_REFUSED] = "data-refused",
        [LINK_DRAINED] = "drained",
        [LINK_STOPPED] = "stopped",
        [LINK_INTERNAL] = "internal",
        [LINK_LIMIT_CONNECTIONS] = "limit-connections",
        [LINK_LIMIT_HANDSHAKES] = "limit-handshakes",
        [LINK_LIMIT_SOURCE] = "limit-source",
        [LINK_LIMIT_ROUTE] = "limit-route",
    };

    return (unsigned)end < LINK_ENDS ? names[end] : "";
}

/* Why an end failed, from its error. */
static enum link_end end_of_side(const struct end *end, enum link_side_number side)
{
    const bool up = side == LINK_UPSTREAM;

    if (end->err.reason == ATLS_REASON_PEER_REFUSED)
        return up ? LINK_REFUSED_UPSTREAM : LINK_REFUSED_DOWNSTREAM;
    switch (end->err.code) {
    case ATLS_E_TIMEOUT:
        return end->shaken ? LINK_GATE_TIMEOUT : up ? LINK_DIAL_TIMEOUT : LINK_HANDSHAKE_TIMEOUT;
    case ATLS_E_UNAVAILABLE:
        return LINK_VERIFIER_UNAVAILABLE;
    case ATLS_E_DEVICE:
        return LINK_ATTESTER_FAILED;
    case ATLS_E_NOMEM:
    case ATLS_E_USAGE:
    case ATLS_E_INTERNAL:
        return LINK_INTERNAL;
    case ATLS_E_IO:
    case ATLS_E_CLOSED:
        return up ? LINK_UPSTREAM_CLOSED : LINK_DOWNSTREAM_CLOSED;
    case ATLS_E_TLS:
        if (end->err.reason == ATLS_REASON_NONE && end->cut_off)
            return up ? LINK_UPSTREAM_CLOSED : LINK_DOWNSTREAM_CLOSED;
        return end->err.reason == ATLS_REASON_IDENTITY_MISMATCH
                   ? (up ? LINK_UPSTREAM_REFUSED : LINK_DOWNSTREAM_REFUSED)
               : up ? LINK_UPSTREAM_TLS
                    : LINK_DOWNSTREAM_TLS;
    case ATLS_E_PROTOCOL:
    case ATLS_E_LIMIT:
        return up ? LINK_UPSTREAM_TLS : LINK_DOWNSTREAM_TLS;
    default:
        return up ? LINK_UPSTREAM_REFUSED : LINK_DOWNSTREAM_REFUSED;
    }
}

/* ---- lines ---- */

static void line_join(struct line *line, struct link *link)
{
    link->line = line;
    link->line_next = NULL;
    link->line_before = line->last;
    if (line->last != NULL)
        line->last->line_next = link;
    else
        line->first = link;
    line->last = link;
    line->count++;
}

static void line_leave(struct link *link)
{
    struct line *line = link->line;

    if (line == NULL)
        return;
    if (link->line_before != NULL)
        link->line_before->line_next = link->line_next;
    else
        line->first = link->line_next;
    if (link->line_next != NULL)
        link->line_next->line_before = link->line_before;
    else
        line->last = link->line_before;
    line->count--;
    link->line = NULL;
    if (line == &link->links->asked && link->links->due.first != NULL)
        loop_soon(link->links->options.loop, &link->links->ask);
}

/* ---- the end ---- */

static void no_longer_handshake(struct link *link)
{
    const struct links_options *o = &link->links->options;

    if (!link->through && o->through != NULL)
        o->through(o->arg, &link->counted);
    link->through = true;
}

/* Takes the link out of the list; it is freed by its task. */
static void leave(struct link *link)
{
    struct links *links = link->links;

    if (link->left || link->phase != ENDED || link->end[0].state != END_NONE ||
        link->end[1].state != END_NONE)
        return;
    link->left = true;
    if (link->before != NULL)
        link->before->next = link->next;
    else
        links->first = link->next;
    if (link->next != NULL)
        link->next->before = link->before;
    atomic_fetch_sub(&links->count, 1);
    if (links->options.gone != NULL)
        links->options.gone(links->options.arg, &link->counted);
    loop_soon(links->options.loop, &link->task);
}

static void end_closed(struct end *end)
{
    leave(end->arg);
}

static void tell(struct link *link, enum link_end why, const struct atls_err *err)
{
    static const struct atls_err none = ATLS_ERR_INIT;
    const struct link_report report = {
        .end = why,
        .err = err == NULL ? &none : err,
        .from_client = link->end[LINK_DOWNSTREAM].received,
        .to_client = link->end[LINK_DOWNSTREAM].sent,
        .lasted_ms = loop_now_ms(link->links->options.loop) - link->started_ms,
        .opened = link->opened,
    };

    if (link->route != NULL)
        link->route->hooks->ended(link->route, link, &report);
    else
        link->source->ended(link->source, link, &report);
}

static void let_go(struct link *link)
{
    while (link->works != NULL) {
        struct jobs_work *work = link->works;

        link->works = work->next;
        jobs_work_abandon(work);
    }
    dial_clear(&link->dial);
    flow_clear(&link->flow[LINK_DOWNSTREAM]);
    flow_clear(&link->flow[LINK_UPSTREAM]);
    loop_timer_clear(link->links->options.loop, &link->timer);
    loop_not_soon(link->links->options.loop, &link->task);
}

static void drop(struct link *link)
{
    if (link->route != NULL)
        link->route->hooks->drop(link->route);
    else if (link->source->drop != NULL)
        link->source->drop(link->source);
    link->route = NULL;
}

/* Answers the client in place of the target, with all that it will get. */
static void say(struct link *link, struct atls_bytes text)
{
    struct end *end = &link->end[LINK_DOWNSTREAM];
    struct loop *loop = link->links->options.loop;
    uint8_t *buffer;
    size_t sent = 0;

    if (end->state != END_OPEN || text.len == 0 || text.len > END_BATCH ||
        (buffer = loop_buffer(loop)) == NULL)
        return;
    memcpy(buffer, text.ptr, text.len);
    link->answered = end_write(end, buffer, text.len, &sent) == END_MOVED && sent == text.len;
    loop_buffer_back(loop, buffer);
}

static void say_undialled(struct link *link, enum link_end why)
{
    if ((why == LINK_DIAL_FAILED || why == LINK_DIAL_TIMEOUT) &&
        link->route->hooks->undialled != NULL)
        say(link, link->route->hooks->undialled(link->route));
}

/* Who was promised a stream, by the link or by a handshake that is done, is not told that it was
 * all, unless it was. */
static void close_end(const struct link *link, struct end *end, bool whole)
{
    if (end->state == END_NONE)
        return;
    if (!whole && (link->opened || end->state == END_OPEN))
        end_cut(end);
    else
        end_close(end);
}

/* Ends the link, once; err NULL: nothing to add. It is still there after the call. */
static void finish(struct link *link, enum link_end why, const struct atls_err *err)
{
    if (link->phase == ENDED)
        return;
    link->phase = ENDED;
    link->due = link->due_later = link->asked = 0;
    line_leave(link);
    say_undialled(link, why);
    tell(link, why, err);
    no_longer_handshake(link);
    let_go(link);
    close_end(link, &link->end[LINK_UPSTREAM], why == LINK_CLOSED);
    close_end(link, &link->end[LINK_DOWNSTREAM], why == LINK_CLOSED || link->answered);
    drop(link);
    leave(link);
}

/* ---- jobs ---- */

static void work_done(struct jobs_work *work)
{
    struct link *link = work->arg;
    struct end *end = &link->end[work->tag];
    struct atls_job *job = work->work;

    for (struct jobs_work **at = &link->works; *at != NULL; at = &(*at)->next)
        if (*at == work) {
            *at = work->next;
            break;
        }
    work->work = NULL;
    jobs_work_free(work);
    end_complete(end, job);
    run(link);
}

static bool give_out_jobs(struct link *link, enum link_side_number side)
{
    const struct jobs_for where = {link->links->options.jobs, link->links->options.loop,
                                   link->route->lane};
    struct atls_job *job;

    while ((job = end_job(&link->end[side])) != NULL) {
        struct jobs_work *work = jobs_work(&where, job, work_done, link);

        if (work == NULL)
            return false;
        work->tag = (int)side;
        work->next = link->works;
        link->works = work;
    }
    return true;
}

/* ---- one end ---- */

static void end_ready(struct end *end)
{
    run(end->arg);
}

/* The peers of these sides are to attest again, when it is the link's turn. */
static void become_due(struct link *link, unsigned sides)
{
    struct links *links = link->links;

    link->due |= sides;
    if (link->line != &links->due) {
        line_leave(link);
        line_join(&links->due, link);
    }
    loop_soon(links->options.loop, &links->ask);
}

/* A peer that was asked again has answered, or its rights are withdrawn. */
static void answered(struct link *link, enum link_side_number side)
{
    link->asked &= ~(1u << side);
    if (link->asked == 0 && link->line == &link->links->asked)
        line_leave(link);
}

static void tell_attestation(struct link *link, enum link_side_number side)
{
    struct atls_peer peer;

    if (!link_peer(link, side, &peer) || (peer.attestations == link->attestations[side] &&
                                          peer.unattested == link->unattested[side]))
        return;
    link->attestations[side] = peer.attestations;
    link->unattested[side] = peer.unattested;
    answered(link, side);
    if (link->route->hooks->attested != NULL)
        link->route->hooks->attested(link->route, link, side);
}

/* With on-failure: gate a refusal ends nothing. */
static void notice_withdrawal(struct link *link, enum link_side_number side)
{
    const struct end *end = &link->end[side];
    const unsigned bit = 1u << side;

    if (end->state == END_OPEN)
        link->withdrawn &= ~bit;
    if (end->state != END_GATED || !end->opened || (link->withdrawn & bit) != 0)
        return;
    link->withdrawn |= bit;
    answered(link, side);
    if (link->route->hooks->withdrawn != NULL)
        link->route->hooks->withdrawn(link->route, link, side);
}

static void notice_attestation(struct link *link, enum link_side_number side)
{
    const unsigned bit = 1u << side;

    tell_attestation(link, side);
    notice_withdrawal(link, side);
    /* It was judged by what has changed since, perhaps. */
    if ((link->due_later & bit) != 0 && link->end[side].opened && link->attestations[side] != 0) {
        link->due_later &= ~bit;
        become_due(link, bit);
    }
}

/* What is not data, of one side. False: the link has ended. */
static bool step(struct link *link, enum link_side_number side)
{
    struct end *end = &link->end[side];

    if (end->state == END_NONE || (link->phase == CONNECT && side == LINK_UPSTREAM))
        return true;
    if (end_step(end) && !give_out_jobs(link, side)) {
        finish(link, LINK_INTERNAL, NULL);
        return false;
    }
    notice_attestation(link, side);
    if (end->state == END_FAILED) {
        finish(link, end_of_side(end, side), &end->err);
        return false;
    }
    return true;
}

/* ---- prelude ---- */

static void take_route(struct link *link, const struct link_route *route)
{
    const struct link_source *source = link->source;

    if (!route->hooks->hold(route)) {
        finish(link, LINK_LIMIT_ROUTE, NULL);
        return;
    }
    link->route = route;
    if (source->drop != NULL)
        source->drop(source);
    link->source = NULL;
    link->phase = ATTEST_DOWNSTREAM;
}

/* Looks at what waits in the socket. False when it is too little. */
static bool look(struct link *link, uint8_t *buffer)
{
    struct end *end = &link->end[LINK_DOWNSTREAM];
    const ssize_t got = recv(end->watch.fd, buffer, LINK_PRELUDE_MAX, MSG_PEEK);
    const size_t len = got > 0 ? (size_t)got : 0;
    const struct link_route *route = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t used = 0;

    switch (link->source->prelude(link->source, link, atls_bytes_of(buffer, len), end->half_closed,
                                  &used, &route, &err)) {
    case LINK_PRELUDE_USED:
        if (used > 0 && used <= len && recv(end->watch.fd, buffer, used, 0) == (ssize_t)used) {
            link->used += used;
            return true;
        }
        finish(link, LINK_INTERNAL, NULL);
        return false;
    case LINK_PRELUDE_DONE:
        take_route(link, route);
        return false;
    case LINK_PRELUDE_MORE:
        if (!end->half_closed && len < LINK_PRELUDE_MAX)
            return false;
        (void)set_error(&err, ATLS_E_PROTOCOL,
                        end->half_closed ? "ended in what comes before TLS"
                                         : "what comes before TLS is too long");
        finish(link, end->half_closed ? LINK_DOWNSTREAM_CLOSED : LINK_BAD_PRELUDE, &err);
        return false;
    case LINK_PRELUDE_LIMITED:
        finish(link, LINK_LIMIT_SOURCE, NULL);
        return false;
    case LINK_PRELUDE_REFUSED:
        break;
    }
    finish(link, LINK_BAD_PRELUDE, &err);
    return false;
}

static void run_prelude(struct link *link)
{
    struct loop *loop = link->links->options.loop;
    uint8_t *buffer;

    if (link->source->prelude == NULL) {
        take_route(link, link->source->route);
        return;
    }
    if ((buffer = loop_buffer(loop)) == NULL) {
        finish(link, LINK_INTERNAL, NULL);
        return;
    }
    while (look(link, buffer))
        ;
    loop_buffer_back(loop, buffer);
}

/* ---- attestation ---- */

/* Starts TLS on an end, where its side wants it. */
static void secure(struct link *link, enum link_side_number side)
{
    const struct link_side *s = &link->route->side[side];
    const struct end_security security = {
        .ctx = s->ctx,
        .config = s->config,
        .flavour = s->flavour,
        .raw = s->raw,
        .server = side == LINK_DOWNSTREAM,
        .peer_name = s->peer_name,
    };
    struct end *end = &link->end[side];
    struct atls_err err = ATLS_ERR_INIT;

    if (s->ctx == NULL || end->conn != NULL)
        return;
    if (end_secure(end, &security, &err) != ATLS_OK)
        finish(link, LINK_INTERNAL, &err);
    else
        (void)step(link, side);
}

static void run_attest(struct link *link, enum link_side_number side)
{
    secure(link, side);
    if (link->phase == ENDED || link->end[side].state != END_OPEN)
        return;
    link->phase = side == LINK_DOWNSTREAM ? DIAL : PUMP;
    link->dial_ms = loop_now_ms(link->links->options.loop);
}

/* ---- dialling ---- */

static void resolved(struct dial *dial)
{
    run(dial->arg);
}

static void run_dial(struct link *link)
{
    struct end *end = &link->end[LINK_UPSTREAM];
    struct atls_err err = ATLS_ERR_INIT;
    bool dialling = false;
    int fd = -1;

    if (link->dial.names != NULL && !link->dial.names_ready)
        return;
    if (link->later_ms > loop_now_ms(link->links->options.loop))
        return;
    if (link->dial.target == NULL)
        link->dial = (struct dial){.loop = link->links->options.loop,
                                   .jobs = link->links->options.jobs,
                                   .lane = link->route->lane,
                                   .target = &link->route->target,
                                   .resolved = resolved,
                                   .arg = link};
    switch (dial_next(&link->dial, &fd, &dialling, &err)) {
    case DIAL_SOCKET:
        *end = (struct end){.ready = end_ready, .closed = end_closed, .arg = link};
        if (end_open(end, link->links->options.loop, fd, dialling, &err) != ATLS_OK)
            finish(link, LINK_DIAL_FAILED, &err);
        else
            link->phase = CONNECT;
        break;
    case DIAL_WAITS:
        break;
    case DIAL_LATER:
        link->later_ms = loop_now_ms(link->links->options.loop) + LATER_MS;
        break;
    case DIAL_FAILED:
        finish(link, LINK_DIAL_FAILED, &err);
        break;
    }
}

/* What goes to the target before everything else. LINK_CLOSED: it went. */
static enum link_end send_head(struct link *link)
{
    struct loop *loop = link->links->options.loop;
    struct end *end = &link->end[LINK_UPSTREAM];
    enum link_end why = LINK_INTERNAL;
    size_t len, sent = 0;
    uint8_t *buffer;

    if (link->route->hooks->head == NULL)
        return LINK_CLOSED;
    if ((buffer = loop_buffer(loop)) == NULL)
        return why;
    len = link->route->hooks->head(link->route, link, buffer, END_BATCH);
    if (len > 0) /* the socket is new, and takes it whole */
        why = end_write(end, buffer, len, &sent) == END_MOVED && sent == len ? LINK_CLOSED
                                                                             : LINK_UPSTREAM_CLOSED;
    end->sent = 0;
    loop_buffer_back(loop, buffer);
    return why;
}

static void run_connect(struct link *link)
{
    struct end *end = &link->end[LINK_UPSTREAM];
    enum link_end why;

    (void)end_step(end);
    if (end->state == END_FAILED && (link->dial.next != NULL)) {
        end_free(end);
        link->phase = DIAL;
    } else if (end->state == END_FAILED) {
        finish(link, LINK_DIAL_FAILED, &end->err);
    } else if (end->state == END_OPEN) {
        dial_clear(&link->dial);
        link->phase = ATTEST_UPSTREAM;
        if ((why = send_head(link)) != LINK_CLOSED)
            finish(link, why, NULL);
    }
}

/* ---- data ---- */

static void open_flow(struct link *link, enum link_side_number from)
{
    link->flow[from] = (struct flow){
        .loop = link->links->options.loop,
        .from = &link->end[from],
        .to = &link->end[1 - from],
        .waits = from == LINK_DOWNSTREAM,
    };
}

/* Both gates are open for the first time. */
static bool open_both(struct link *link)
{
    const struct link_hooks *hooks = link->route->hooks;

    open_flow(link, LINK_DOWNSTREAM);
    open_flow(link, LINK_UPSTREAM);
    if (hooks->filter != NULL) {
        link->flow[LINK_DOWNSTREAM].filter = hooks->filter(link->route, link);
        if (link->flow[LINK_DOWNSTREAM].filter == NULL)
            return false;
        link->flow[LINK_UPSTREAM].back = link->flow[LINK_DOWNSTREAM].filter;
    }
    link->opened = true;
    link->moved_ms = loop_now_ms(link->links->options.loop);
    no_longer_handshake(link);
    if (hooks->opened != NULL)
        hooks->opened(link->route, link);
    return true;
}

/* The end that what comes from this side was for. */
static enum link_end closed_by_receiver(int side)
{
    return side == LINK_DOWNSTREAM ? LINK_UPSTREAM_CLOSED : LINK_DOWNSTREAM_CLOSED;
}

/* Everything has moved that ever will: was it all? */
static void conclude(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        const struct flow *flow = &link->flow[i];

        if (flow->lost && (flow->dropped || flow->to->reset)) {
            finish(link, closed_by_receiver(i), NULL);
            return;
        }
    }
    finish(link, LINK_CLOSED, NULL);
}

/* The client learns why its data are refused, if nothing else is on the way to it. */
static void answer(struct link *link)
{
    struct link_filter *filter = link->flow[LINK_DOWNSTREAM].filter;

    if (filter->answer != NULL && link->flow[LINK_UPSTREAM].out.buffer == NULL)
        say(link, filter->answer(filter));
}

static void refuse_data(struct link *link)
{
    answer(link);
    finish(link, LINK_DATA_REFUSED, &link->flow[LINK_DOWNSTREAM].err);
}

/* An end failed, or a filter did. */
static bool look_failed(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        const struct flow *flow = &link->flow[i];
        const struct end *end = &link->end[i];

        if (end->state == END_FAILED)
            finish(link, end_of_side(end, (enum link_side_number)i), &end->err);
        else if (flow->failed)
            refuse_data(link);
        else if (flow->starved)
            finish(link, LINK_INTERNAL, NULL);
    }
    return link->phase == ENDED;
}

/* Nothing moves: what was found of the peers was told, in hooks, and only takes memory. */
static void rest(struct link *link)
{
    struct link_filter *filter = link->flow[LINK_DOWNSTREAM].filter;

    if (filter != NULL && filter->learn != NULL && !filter->learn(filter))
        return;
    end_rest(&link->end[LINK_DOWNSTREAM]);
    end_rest(&link->end[LINK_UPSTREAM]);
}

/* Who was reset takes no more, which no write may ever tell. What it had sent before may go on. */
static void look_gone(struct link *link)
{
    for (int i = 0; i < 2; i++)
        if (link->flow[i].to->reset && !link->flow[i].shut)
            flow_lose(&link->flow[i]);
}

/* What is thrown away is no movement. */
static void note_moved(struct link *link, const bool moved[2])
{
    const bool gone = link->flow[0].lost || link->flow[1].lost;

    if ((moved[0] && !link->flow[0].lost) || (moved[1] && !link->flow[1].lost) ||
        gone != link->one_gone)
        link->moved_ms = loop_now_ms(link->links->options.loop);
    link->one_gone = gone;
}

static void run_pump(struct link *link)
{
    struct flow *down = &link->flow[LINK_DOWNSTREAM], *up = &link->flow[LINK_UPSTREAM];
    bool moved[2] = {false, false}, more = false;

    if (!link->opened && !open_both(link)) {
        finish(link, LINK_INTERNAL, NULL);
        return;
    }
    look_gone(link);
    /* While the right to send is withdrawn on one side, nothing moves on the other. */
    if (link->end[LINK_DOWNSTREAM].state == END_OPEN &&
        link->end[LINK_UPSTREAM].state == END_OPEN) {
        more = flow_run(down, &moved[LINK_DOWNSTREAM]);
        if (link->end[LINK_DOWNSTREAM].state == END_OPEN &&
            link->end[LINK_UPSTREAM].state == END_OPEN)
            more |= flow_run(up, &moved[LINK_UPSTREAM]);
        if (look_failed(link))
            return;
        /* The filter may have waited for what came back. */
        more |= (moved[LINK_DOWNSTREAM] || moved[LINK_UPSTREAM]) && down->filter != NULL;
        more |= flow_shut(down, up);
        more |= flow_shut(up, down); /* which ends both, with a raw end */
    }
    note_moved(link, moved);
    /* What was read last may have brought requests, and verdicts. */
    if (!step(link, LINK_DOWNSTREAM) || !step(link, LINK_UPSTREAM))
        return;
    if (flow_done(down) && flow_done(up))
        conclude(link);
    else if (more)
        loop_soon(link->links->options.loop, &link->task);
    else
        rest(link);
}

/* ---- deadlines ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The deadline of the phase that the link is in; *out_why is what it ends with. */
static int64_t stage_deadline_ms(const struct link *link, enum link_end *out_why)
{
    const struct link_route *route = link->route;

    switch (link->phase) {
    case PRELUDE:
        *out_why = LINK_HANDSHAKE_TIMEOUT;
        return link->started_ms + link->source->handshake_timeout_ms;
    case ATTEST_DOWNSTREAM:
        *out_why = LINK_HANDSHAKE_TIMEOUT;
        return link->end[LINK_DOWNSTREAM].shaken ? INT64_MAX
                                                 : link->started_ms + route->handshake_timeout_ms;
    case DIAL:
    case CONNECT:
    case ATTEST_UPSTREAM:
        *out_why = LINK_DIAL_TIMEOUT;
        return link->end[LINK_UPSTREAM].shaken ? INT64_MAX : link->dial_ms + route->dial_timeout_ms;
    case PUMP:
        for (int i = 0; i < 2; i++)
            if (link->flow[i].lost && flow_waits(&link->flow[1 - i])) {
                *out_why = closed_by_receiver(i);
                return link->moved_ms + least(GONE_MS, route->idle_timeout_ms);
            }
        *out_why = link->end[LINK_DOWNSTREAM].state == END_GATED ||
                           link->end[LINK_UPSTREAM].state == END_GATED
                       ? LINK_WITHDRAWN
                       : LINK_IDLE_TIMEOUT;
        return link->moved_ms + route->idle_timeout_ms;
    case ENDED:
        break;
    }
    return INT64_MAX;
}

static bool pass_deadline(struct link *link)
{
    enum link_end why = LINK_CLOSED;

    if (loop_now_ms(link->links->options.loop) < stage_deadline_ms(link, &why))
        return false;
    finish(link, why, NULL);
    return true;
}

/* Deadlines move on with every byte, and the timer only when it is due too late. */
static void arm(struct link *link)
{
    enum link_end why;
    int64_t at = stage_deadline_ms(link, &why);

    for (int i = 0; i < 2; i++)
        if (link->end[i].conn != NULL)
            at = least(at, end_deadline_ms(&link->end[i]));
    if (link->phase == DIAL && link->later_ms != 0)
        at = least(at, link->later_ms);
    if (at != INT64_MAX && (!link->timer.set || link->timer.at_ms > at))
        loop_timer_set(link->links->options.loop, &link->timer, at);
}

/* ---- going on ---- */

static void run_phase(struct link *link)
{
    switch (link->phase) {
    case PRELUDE:
        run_prelude(link);
        break;
    case ATTEST_DOWNSTREAM:
        run_attest(link, LINK_DOWNSTREAM);
        break;
    case DIAL:
        run_dial(link);
        break;
    case CONNECT:
        run_connect(link);
        break;
    case ATTEST_UPSTREAM:
        run_attest(link, LINK_UPSTREAM);
        break;
    case PUMP:
        run_pump(link);
        break;
    case ENDED:
        break;
    }
}

/* A client that is gone need not be served. While TLS listens to it, TLS finds out, and what the
 * client had said before. */
static bool client_is_gone(struct link *link)
{
    if (link->phase >= PUMP || !link->end[LINK_DOWNSTREAM].reset ||
        (link->phase == ATTEST_DOWNSTREAM && link->works == NULL))
        return false;
    finish(link, LINK_DOWNSTREAM_CLOSED, NULL);
    return true;
}

/* Does all that can be done now. */
static void run(struct link *link)
{
    enum phase before;

    if (link->running || link->phase == ENDED)
        return;
    link->running = true;
    if (!client_is_gone(link) && !pass_deadline(link) && step(link, LINK_DOWNSTREAM) &&
        step(link, LINK_UPSTREAM)) {
        do {
            before = link->phase;
            run_phase(link);
        } while (link->phase != before && link->phase != ENDED);
    }
    link->running = false;
    if (link->phase != ENDED)
        arm(link);
}

static void timer_due(struct loop_timer *timer)
{
    run((struct link *)(void *)((char *)timer - offsetof(struct link, timer)));
}

static void task_due(struct loop_task *task)
{
    struct link *link = (struct link *)(void *)((char *)task - offsetof(struct link, task));

    if (link->left)
        free(link);
    else
        run(link);
}

/* ---- attesting again ---- */

/* Asks the peers of the sides that are due; the link may have ended then. */
static void ask_again(struct link *link)
{
    struct links *links = link->links;
    const unsigned due = link->due;

    link->due = 0;
    for (int i = 0; i < 2; i++) {
        struct atls_session *session = end_session(&link->end[i]);
        struct atls_err err = ATLS_ERR_INIT;

        /* An error shows in what follows. */
        if ((due & 1u << i) != 0 && session != NULL &&
            atls_session_reattest(session, &err) == ATLS_OK)
            link->asked |= 1u << i;
    }
    if (link->asked != 0) {
        link->asked_ms = loop_now_ms(links->options.loop);
        line_join(&links->asked, link);
    }
    run(link);
}

static void ask_due(struct loop_task *task)
{
    struct links *links = (struct links *)(void *)((char *)task - offsetof(struct links, ask));
    struct link *link;

    while (links->asked.count < links->at_once && (link = links->due.first) != NULL) {
        line_leave(link);
        ask_again(link);
    }
    if (links->asked.first != NULL && !links->overdue.set)
        loop_timer_set(links->options.loop, &links->overdue,
                       links->asked.first->asked_ms + ASKED_MS);
}

static void asked_overdue(struct loop_timer *timer)
{
    struct links *links = (struct links *)(void *)((char *)timer - offsetof(struct links, overdue));
    struct link *link;

    while ((link = links->asked.first) != NULL &&
           link->asked_ms + ASKED_MS <= loop_now_ms(links->options.loop))
        line_leave(link);
    ask_due(&links->ask);
}

/* ---- links ---- */

static void drain_due(struct loop_timer *timer)
{
    struct links *links = (struct links *)(void *)((char *)timer - offsetof(struct links, drain));

    for (struct link *link = links->first, *next; link != NULL; link = next) {
        next = link->next;
        finish(link, LINK_DRAINED, NULL);
    }
}

enum atls_code links_new(const struct links_options *options, struct links **out,
                         struct atls_err *err)
{
    struct links *links = calloc(1, sizeof *links);

    if (links == NULL)
        return set_error(err, ATLS_E_NOMEM, "links: out of memory");
    links->options = *options;
    links->drain.due = drain_due;
    links->ask.run = ask_due;
    links->overdue.due = asked_overdue;
    *out = links;
    return ATLS_OK;
}

void links_free(struct links *links)
{
    if (links == NULL)
        return;
    for (struct link *link = links->first, *next; link != NULL; link = next) {
        next = link->next;
        finish(link, LINK_STOPPED, NULL);
    }
    for (struct link *link = links->first, *next; link != NULL; link = next) {
        next = link->next;
        end_free(&link->end[LINK_DOWNSTREAM]);
        end_free(&link->end[LINK_UPSTREAM]);
        leave(link);
    }
    loop_turn(links->options.loop, 0); /* frees them */
    loop_timer_clear(links->options.loop, &links->drain);
    loop_timer_clear(links->options.loop, &links->overdue);
    loop_not_soon(links->options.loop, &links->ask);
    free(links);
}

size_t links_count(const struct links *links)
{
    return atomic_load(&links->count);
}

void links_accept(struct links *links, const struct link_source *source, int fd,
                  const struct sockaddr_storage *client)
{
    static _Atomic uint64_t numbers;
    const struct links_options *o = &links->options;
    struct link *link = calloc(1, sizeof *link);
    socklen_t len = sizeof link->local;
    struct end *end;

    if (link == NULL) {
        const struct sockaddr_storage counted = link_counted(source, client);

        close(fd);
        if (o->through != NULL)
            o->through(o->arg, &counted);
        if (o->gone != NULL)
            o->gone(o->arg, &counted);
        return;
    }
    link->links = links;
    link->source = source;
    link->client = *client;
    link->counted = link_counted(source, client);
    if (getsockname(fd, (struct sockaddr *)&link->local, &len) != 0)
        link->local.ss_family = AF_UNSPEC;
    address_unmap(&link->local);
    link->number = atomic_fetch_add(&numbers, 1) + 1;
    link->started_ms = loop_now_ms(o->loop);
    link->timer.due = timer_due;
    link->task.run = task_due;
    if ((link->next = links->first) != NULL)
        link->next->before = link;
    links->first = link;
    atomic_fetch_add(&links->count, 1);
    if (source->hold != NULL)
        source->hold(source);
    end = &link->end[LINK_DOWNSTREAM];
    *end = (struct end){.ready = end_ready, .closed = end_closed, .arg = link};
    if (end_open(end, o->loop, fd, false, &end->err) != ATLS_OK)
        finish(link, LINK_INTERNAL, &end->err);
    else
        run(link);
}

/* ---- orders ---- */

struct order {
    struct loop_post post;
    void (*run)(struct link *link, const struct order *order); /* NULL: drain */
    struct links *links;
    const struct link_route *route; /* compared only */
    enum link_end end;
    struct links_reattest again;
    int64_t deadline_ms;
};

static void obey(struct loop_post *post)
{
    struct order *order = (struct order *)post;
    struct links *links = order->links;

    if (order->again.at_once > 0)
        links->at_once = order->again.at_once;
    if (order->run == NULL)
        loop_timer_set(links->options.loop, &links->drain, order->deadline_ms);
    else
        for (struct link *link = links->first, *next; link != NULL; link = next) {
            next = link->next;
            if (link->phase != ENDED && (order->route == NULL || link->route == order->route))
                order->run(link, order);
        }
    free(order);
}

static bool give_order(const struct order *what)
{
    struct order *order = malloc(sizeof *order);

    if (order == NULL)
        return false;
    *order = *what;
    order->post.run = obey;
    loop_post(order->links->options.loop, &order->post);
    return true;
}

static void reattest(struct link *link, const struct order *order)
{
    unsigned due = 0;

    for (int i = 0; i < 2 && link->phase != ENDED; i++) {
        const struct end *end = &link->end[i];
        const unsigned bit = order->again.sides & 1u << i;

        if (bit == 0 || end->conn == NULL)
            continue;
        if (link->route->side[i].flavour == ATLS_FLAVOUR_POST && !link->route->side[i].raw) {
            if (end->opened && link->attestations[i] != 0)
                due |= bit;
            else
                link->due_later |= bit;
        } else if (order->again.end_others && end->opened && link->attestations[i] != 0) {
            finish(link, LINK_STOPPED, NULL);
        }
    }
    if (due != 0 && link->phase != ENDED)
        become_due(link, due);
}

static void stop(struct link *link, const struct order *order)
{
    finish(link, order->end, NULL);
}

bool links_reattest(struct links *links, const struct links_reattest *what)
{
    return give_order(
        &(struct order){.run = reattest, .links = links, .route = what->route, .again = *what});
}

bool links_end(struct links *links, const struct link_route *route, enum link_end end)
{
    return give_order(&(struct order){.run = stop, .links = links, .route = route, .end = end});
}

bool links_drain(struct links *links, int64_t deadline_ms)
{
    return give_order(&(struct order){.links = links, .deadline_ms = deadline_ms});
}

/* ---- one link ---- */

const struct sockaddr_storage *link_client(const struct link *link)
{
    return &link->client;
}

const struct sockaddr_storage *link_local(const struct link *link)
{
    return &link->local;
}

enum link_end link_set_client(struct link *link, const struct sockaddr_storage *client,
                              const struct sockaddr_storage *local)
{
    const struct links_options *o = &link->links->options;
    enum link_end why;

    link->client = *client;
    link->local = *local;
    if (link->counted.ss_family != AF_UNSPEC || o->announced == NULL)
        return LINK_CLOSED;
    why = o->announced(o->arg, client, loop_now_ms(o->loop));
    if (why == LINK_CLOSED)
        link->counted = *client;
    return why;
}

struct sockaddr_storage link_counted(const struct link_source *source,
                                     const struct sockaddr_storage *client)
{
    if (source->announces != NULL && source->announces(source, client))
        return (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    return *client;
}

uint64_t link_used(const struct link *link)
{
    return link->used;
}

int64_t link_age_ms(const struct link *link)
{
    return loop_now_ms(link->links->options.loop) - link->started_ms;
}

uint64_t link_number(const struct link *link)
{
    return link->number;
}

bool link_peer(struct link *link, enum link_side_number side, struct atls_peer *out)
{
    struct atls_session *session = end_session(&link->end[side]);

    if (session == NULL)
        return false;
    atls_session_peer(session, out);
    return true;
}

const struct link_route *link_route(const struct link *link)
{
    return link->route;
}
