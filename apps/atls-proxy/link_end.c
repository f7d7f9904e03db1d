#include <stdlib.h>
#include <string.h>

#include "link_parts.h"
#include "text.h"

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

enum link_end link_why(const struct end *end, enum link_side_number side)
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

/* ---- the end ---- */

void link_through(struct link *link)
{
    const struct links_options *o = &link->links->options;

    if (!link->through && o->through != NULL)
        o->through(o->arg, &link->counted);
    link->through = true;
}

void link_leave(struct link *link)
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

void link_end_closed(struct end *end)
{
    link_leave(end->arg);
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

void link_say(struct link *link, struct atls_bytes text)
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
        link_say(link, link->route->hooks->undialled(link->route));
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

void link_finish(struct link *link, enum link_end why, const struct atls_err *err)
{
    if (link->phase == ENDED)
        return;
    link->phase = ENDED;
    link->due = link->due_later = link->asked = 0;
    link_line_leave(link);
    say_undialled(link, why);
    tell(link, why, err);
    link_through(link);
    let_go(link);
    close_end(link, &link->end[LINK_UPSTREAM], why == LINK_CLOSED);
    close_end(link, &link->end[LINK_DOWNSTREAM], why == LINK_CLOSED || link->answered);
    drop(link);
    link_leave(link);
}

void link_finish_starved(struct link *link)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)set_error(&err, ATLS_E_NOMEM, "link: out of memory");
    link_finish(link, LINK_INTERNAL, &err);
}
