#include <sys/socket.h>

#include "link_parts.h"
#include "text.h"

/* How long a target that has too much to do is left alone. */
#define LATER_MS 20

/* ---- prelude ---- */

static void take_route(struct link *link, const struct link_route *route)
{
    const struct link_source *source = link->source;

    if (!route->hooks->hold(route)) {
        link_finish(link, LINK_LIMIT_ROUTE, NULL);
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
        link_finish(link, LINK_INTERNAL, NULL);
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
        link_finish(link, end->half_closed ? LINK_DOWNSTREAM_CLOSED : LINK_BAD_PRELUDE, &err);
        return false;
    case LINK_PRELUDE_LIMITED:
        link_finish(link, LINK_LIMIT_SOURCE, NULL);
        return false;
    case LINK_PRELUDE_REFUSED:
        break;
    }
    link_finish(link, LINK_BAD_PRELUDE, &err);
    return false;
}

void link_open_prelude(struct link *link)
{
    struct loop *loop = link->links->options.loop;
    uint8_t *buffer;

    if (link->source->prelude == NULL) {
        take_route(link, link->source->route);
        return;
    }
    if ((buffer = loop_buffer(loop)) == NULL) {
        link_finish_starved(link);
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
        link_finish(link, LINK_INTERNAL, &err);
    else
        (void)link_step(link, side);
}

void link_open_attest(struct link *link, enum link_side_number side)
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
    link_run(dial->arg);
}

void link_open_dial(struct link *link)
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
        *end = (struct end){.ready = link_end_ready, .closed = link_end_closed, .arg = link};
        if (end_open(end, link->links->options.loop, fd, dialling, &err) != ATLS_OK)
            link_finish(link, LINK_DIAL_FAILED, &err);
        else
            link->phase = CONNECT;
        break;
    case DIAL_WAITS:
        break;
    case DIAL_LATER:
        link->later_ms = loop_now_ms(link->links->options.loop) + LATER_MS;
        break;
    case DIAL_FAILED:
        link_finish(link, LINK_DIAL_FAILED, &err);
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

void link_open_connect(struct link *link)
{
    struct end *end = &link->end[LINK_UPSTREAM];
    enum link_end why;

    (void)end_step(end);
    if (end->state == END_FAILED && (link->dial.next != NULL)) {
        end_free(end);
        link->phase = DIAL;
    } else if (end->state == END_FAILED) {
        link_finish(link, LINK_DIAL_FAILED, &end->err);
    } else if (end->state == END_OPEN) {
        dial_clear(&link->dial);
        link->phase = ATTEST_UPSTREAM;
        if ((why = send_head(link)) == LINK_INTERNAL)
            link_finish_starved(link);
        else if (why != LINK_CLOSED)
            link_finish(link, why, NULL);
    }
}
