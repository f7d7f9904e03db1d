#include "link_parts.h"

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
    link_through(link);
    if (hooks->opened != NULL)
        hooks->opened(link->route, link);
    return true;
}

enum link_end link_closed_by_receiver(int side)
{
    return side == LINK_DOWNSTREAM ? LINK_UPSTREAM_CLOSED : LINK_DOWNSTREAM_CLOSED;
}

/* Everything has moved that ever will: was it all? */
static void conclude(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        const struct flow *flow = &link->flow[i];

        if (flow->lost && (flow->dropped || flow->to->reset)) {
            link_finish(link, link_closed_by_receiver(i), NULL);
            return;
        }
    }
    link_finish(link, LINK_CLOSED, NULL);
}

/* The client learns why its data are refused, if nothing else is on the way to it. */
static void answer(struct link *link)
{
    struct link_filter *filter = link->flow[LINK_DOWNSTREAM].filter;

    if (filter->answer != NULL && link->flow[LINK_UPSTREAM].out.buffer == NULL)
        link_say(link, filter->answer(filter));
}

static void refuse_data(struct link *link)
{
    answer(link);
    link_finish(link, LINK_DATA_REFUSED, &link->flow[LINK_DOWNSTREAM].err);
}

/* An end failed, or a filter did. */
static bool look_failed(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        const struct flow *flow = &link->flow[i];
        const struct end *end = &link->end[i];

        if (end->state == END_FAILED)
            link_finish(link, link_why(end, (enum link_side_number)i), &end->err);
        else if (flow->failed)
            refuse_data(link);
        else if (flow->starved)
            link_finish_starved(link);
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

void link_pump(struct link *link)
{
    struct flow *down = &link->flow[LINK_DOWNSTREAM], *up = &link->flow[LINK_UPSTREAM];
    bool moved[2] = {false, false}, more = false;

    if (!link->opened && !open_both(link)) {
        link_finish_starved(link);
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
    if (!link_step(link, LINK_DOWNSTREAM) || !link_step(link, LINK_UPSTREAM))
        return;
    if (flow_done(down) && flow_done(up))
        conclude(link);
    else if (more)
        loop_soon(link->links->options.loop, &link->task);
    else
        rest(link);
}
