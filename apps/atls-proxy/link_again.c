#include "link_parts.h"

/* How long a peer that was asked again keeps others waiting. */
#define ASKED_MS 2000
/* One peer is asked so often at once, and then each so many milliseconds: fewer than the 12
 * requests a minute beyond which a peer takes them for a flood and ends the connection. */
#define ASK_BURST   4
#define ASK_EACH_MS 10000
#define REST_MS     500

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

void link_line_leave(struct link *link)
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

/* ---- who is to be asked ---- */

void link_become_due(struct link *link, unsigned sides)
{
    struct links *links = link->links;

    link->due |= sides;
    if (link->line != &links->due) {
        link_line_leave(link);
        line_join(&links->due, link);
    }
    loop_soon(links->options.loop, &links->ask);
}

void link_answered(struct link *link, enum link_side_number side)
{
    link->asked &= ~(1u << side);
    if (link->asked == 0 && link->line == &link->links->asked)
        link_line_leave(link);
}

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
    link_run(link);
}

/* Whether its peer may be asked now; then that counts. */
static bool may_ask(struct link *link, int64_t now)
{
    if (link->paid_ms > now + (ASK_BURST - 1) * ASK_EACH_MS)
        return false;
    link->paid_ms = (link->paid_ms > now ? link->paid_ms : now) + ASK_EACH_MS;
    return true;
}

static void rest_link(struct link *link)
{
    struct links *links = link->links;

    line_join(&links->resting, link);
    if (!links->rested.set)
        loop_timer_set(links->options.loop, &links->rested,
                       loop_now_ms(links->options.loop) + REST_MS);
}

/* Back into the line, where those that must rest on leave it again. */
void links_rested(struct loop_timer *timer)
{
    struct links *links = (struct links *)(void *)((char *)timer - offsetof(struct links, rested));
    struct link *link;

    while ((link = links->resting.first) != NULL) {
        link_line_leave(link);
        line_join(&links->due, link);
    }
    loop_soon(links->options.loop, &links->ask);
}

void links_ask_due(struct loop_task *task)
{
    struct links *links = (struct links *)(void *)((char *)task - offsetof(struct links, ask));
    struct link *link;

    while (links->asked.count < links->at_once && (link = links->due.first) != NULL) {
        link_line_leave(link);
        if (may_ask(link, loop_now_ms(links->options.loop)))
            ask_again(link);
        else
            rest_link(link);
    }
    if (links->asked.first != NULL && !links->overdue.set)
        loop_timer_set(links->options.loop, &links->overdue,
                       links->asked.first->asked_ms + ASKED_MS);
}

void links_asked_overdue(struct loop_timer *timer)
{
    struct links *links = (struct links *)(void *)((char *)timer - offsetof(struct links, overdue));
    struct link *link;

    while ((link = links->asked.first) != NULL &&
           link->asked_ms + ASKED_MS <= loop_now_ms(links->options.loop))
        link_line_leave(link);
    links_ask_due(&links->ask);
}
