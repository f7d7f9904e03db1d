#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "link_parts.h"
#include "text.h"

#define GONE_MS 5000

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
    link_run(link);
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

void link_end_ready(struct end *end)
{
    link_run(end->arg);
}

static void tell_attestation(struct link *link, enum link_side_number side)
{
    struct atls_peer peer;

    if (!link_peer(link, side, &peer) || (peer.attestations == link->attestations[side] &&
                                          peer.unattested == link->unattested[side]))
        return;
    link->attestations[side] = peer.attestations;
    link->unattested[side] = peer.unattested;
    link_answered(link, side);
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
    link_answered(link, side);
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
        link_become_due(link, bit);
    }
}

bool link_step(struct link *link, enum link_side_number side)
{
    struct end *end = &link->end[side];

    if (end->state == END_NONE || (link->phase == CONNECT && side == LINK_UPSTREAM))
        return true;
    if (end_step(end) && !give_out_jobs(link, side)) {
        link_finish_starved(link);
        return false;
    }
    notice_attestation(link, side);
    if (end->state == END_FAILED) {
        link_finish(link, link_why(end, side), &end->err);
        return false;
    }
    return true;
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
                *out_why = link_closed_by_receiver(i);
                return link->moved_ms + least(link->links->options.gone_ms, route->idle_timeout_ms);
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
    link_finish(link, why, NULL);
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
        link_open_prelude(link);
        break;
    case ATTEST_DOWNSTREAM:
        link_open_attest(link, LINK_DOWNSTREAM);
        break;
    case DIAL:
        link_open_dial(link);
        break;
    case CONNECT:
        link_open_connect(link);
        break;
    case ATTEST_UPSTREAM:
        link_open_attest(link, LINK_UPSTREAM);
        break;
    case PUMP:
        link_pump(link);
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
    link_finish(link, LINK_DOWNSTREAM_CLOSED, NULL);
    return true;
}

void link_run(struct link *link)
{
    enum phase before;

    if (link->running || link->phase == ENDED)
        return;
    link->running = true;
    if (!client_is_gone(link) && !pass_deadline(link) && link_step(link, LINK_DOWNSTREAM) &&
        link_step(link, LINK_UPSTREAM)) {
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
    link_run((struct link *)(void *)((char *)timer - offsetof(struct link, timer)));
}

static void task_due(struct loop_task *task)
{
    struct link *link = (struct link *)(void *)((char *)task - offsetof(struct link, task));

    if (link->left)
        free(link);
    else
        link_run(link);
}

/* ---- links ---- */

static void drain_due(struct loop_timer *timer)
{
    struct links *links = (struct links *)(void *)((char *)timer - offsetof(struct links, drain));

    for (struct link *link = links->first, *next; link != NULL; link = next) {
        next = link->next;
        link_finish(link, LINK_DRAINED, NULL);
    }
}

enum atls_code links_new(const struct links_options *options, struct links **out,
                         struct atls_err *err)
{
    struct links *links = calloc(1, sizeof *links);

    if (links == NULL)
        return set_error(err, ATLS_E_NOMEM, "links: out of memory");
    links->options = *options;
    if (links->options.gone_ms == 0)
        links->options.gone_ms = GONE_MS;
    links->drain.due = drain_due;
    links->ask.run = links_ask_due;
    links->overdue.due = links_asked_overdue;
    links->rested.due = links_rested;
    *out = links;
    return ATLS_OK;
}

void links_free(struct links *links)
{
    if (links == NULL)
        return;
    for (struct link *link = links->first, *next; link != NULL; link = next) {
        next = link->next;
        link_finish(link, LINK_STOPPED, NULL);
    }
    for (struct link *link = links->first, *next; link != NULL; link = next) {
        next = link->next;
        end_free(&link->end[LINK_DOWNSTREAM]);
        end_free(&link->end[LINK_UPSTREAM]);
        link_leave(link);
    }
    loop_turn(links->options.loop, 0); /* frees them */
    loop_timer_clear(links->options.loop, &links->drain);
    loop_timer_clear(links->options.loop, &links->overdue);
    loop_timer_clear(links->options.loop, &links->rested);
    loop_not_soon(links->options.loop, &links->ask);
    free(links);
}

size_t links_count(const struct links *links)
{
    return atomic_load(&links->count);
}

bool links_accept(struct links *links, const struct link_source *source, int fd,
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
        return false;
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
    *end = (struct end){.ready = link_end_ready, .closed = link_end_closed, .arg = link};
    if (end_open(end, o->loop, fd, false, &end->err) != ATLS_OK)
        link_finish(link, LINK_INTERNAL, &end->err);
    else
        link_run(link);
    return true;
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
            link_finish(link, LINK_STOPPED, NULL);
        }
    }
    if (due != 0 && link->phase != ENDED)
        link_become_due(link, due);
}

static void stop(struct link *link, const struct order *order)
{
    link_finish(link, order->end, NULL);
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
