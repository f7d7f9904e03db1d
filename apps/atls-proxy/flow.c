#include "flow.h"

#include <string.h>

/* How often a flow fills and empties its buffer before others have their turn. */
#define ROUNDS 4

/* ---- spans ---- */

static bool is_empty(const struct flow_span *span)
{
    return span->start == span->end;
}

/* An empty span gets a whole buffer to fill. */
static bool prepare(struct flow *flow, struct flow_span *span)
{
    if (span->buffer == NULL)
        span->buffer = loop_buffer(flow->loop);
    flow->starved = span->buffer == NULL;
    return span->buffer != NULL;
}

static void give_back(struct flow *flow, struct flow_span *span)
{
    if (!is_empty(span))
        return;
    loop_buffer_back(flow->loop, span->buffer);
    *span = (struct flow_span){0};
}

/* ---- moving ---- */

/* Nobody takes what is there, but its sender must get rid of it: else it waits for us, and we wait
 * for what it would read before. */
static void spill(struct flow *flow)
{
    if (!flow->lost)
        return;
    flow->dropped |= !is_empty(&flow->in) || !is_empty(&flow->out);
    flow->in.start = flow->in.end;
    flow->out.start = flow->out.end;
    give_back(flow, &flow->in);
    give_back(flow, &flow->out);
}

/* Reads until the span is full or there is no more now. */
static bool fill(struct flow *flow, struct flow_span *span)
{
    bool moved = false;

    if (flow->from->read_ended || !is_empty(span) || !prepare(flow, span))
        return false;
    span->start = span->end = 0;
    while (span->end < END_BATCH) {
        size_t len = 0;

        if (end_read(flow->from, span->buffer + span->end, END_BATCH - span->end, &len) !=
            END_MOVED)
            break;
        if (flow->back != NULL && flow->back->back != NULL)
            flow->back->back(flow->back, atls_bytes_of(span->buffer + span->end, len));
        span->end += len;
        moved = true;
    }
    give_back(flow, span);
    return moved;
}

static bool filter(struct flow *flow)
{
    struct flow_span *in = &flow->in, *out = &flow->out;
    size_t taken = 0, made = 0;

    if (flow->ended || flow->failed || !is_empty(out) ||
        (is_empty(in) && !flow->from->read_ended) || !prepare(flow, out))
        return false;
    out->start = out->end = 0;
    if (!flow->filter->run(
            flow->filter,
            is_empty(in) ? (struct atls_bytes){0}
                         : atls_bytes_of(in->buffer + in->start, in->end - in->start),
            flow->from->read_ended, &taken, out->buffer, END_BATCH, &made, &flow->err)) {
        flow->failed = true;
    } else {
        in->start += taken;
        out->end = made;
        flow->ended = flow->from->read_ended && is_empty(in) && taken == 0 && made == 0;
    }
    give_back(flow, in);
    give_back(flow, out);
    return taken != 0 || made != 0;
}

static bool empty(struct flow *flow)
{
    struct flow_span *span = &flow->out;
    bool moved = false;

    while (!is_empty(span) && !flow->lost) {
        size_t len = 0;
        const enum end_moved came =
            end_write(flow->to, span->buffer + span->start, span->end - span->start, &len);

        if (came == END_ENDED)
            flow->lost = true;
        if (came != END_MOVED)
            break;
        span->start += len;
        moved = true;
    }
    give_back(flow, span);
    return moved;
}

static bool move_once(struct flow *flow)
{
    bool moved;

    if (flow->filter == NULL) {
        moved = fill(flow, &flow->out);
        flow->ended = flow->from->read_ended;
    } else {
        moved = fill(flow, &flow->in);
        moved |= !flow->lost && filter(flow);
    }
    moved |= empty(flow);
    spill(flow);
    return moved;
}

bool flow_run(struct flow *flow, bool *out_moved)
{
    bool moved = true;
    int round;

    for (round = 0; round < ROUNDS && moved; round++) {
        moved = move_once(flow);
        *out_moved |= moved;
    }
    if (flow->to->state == END_OPEN)
        (void)end_flush(flow->to);
    return moved;
}

void flow_lose(struct flow *flow)
{
    flow->lost = true;
    spill(flow);
}

bool flow_shut(struct flow *flow, const struct flow *other)
{
    if (flow->to->conn != NULL && atls_openssl_ended(flow->to->conn))
        flow_lose(flow);
    if (flow->shut || flow->lost || !flow->ended || !is_empty(&flow->out))
        return false;
    /* A raw end knows but one end for both directions. The client's waits for what the target still
     * has to say; once the target has said all, there is nothing to wait for. */
    if (flow->to->raw && flow->waits && !other->lost && !(other->ended && is_empty(&other->out)))
        return false;
    flow->shut = true;
    end_shut(flow->to);
    return true;
}

bool flow_done(const struct flow *flow)
{
    return flow->lost || (flow->shut && end_flushed(flow->to));
}

bool flow_waits(const struct flow *flow)
{
    return !is_empty(&flow->in) || !is_empty(&flow->out) || !end_flushed(flow->to);
}

void flow_clear(struct flow *flow)
{
    if (flow->filter != NULL)
        flow->filter->free(flow->filter);
    flow->filter = NULL;
    if (flow->loop == NULL)
        return;
    loop_buffer_back(flow->loop, flow->in.buffer);
    loop_buffer_back(flow->loop, flow->out.buffer);
    flow->in = flow->out = (struct flow_span){0};
}
