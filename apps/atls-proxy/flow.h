/* What moves from one end of a link to the other. */
#ifndef PROXY_FLOW_H
#define PROXY_FLOW_H

#include <stdbool.h>

#include "end.h"
#include "link.h"

/* Bytes that wait, in a buffer of the loop; none when there are none. */
struct flow_span {
    uint8_t *buffer;
    size_t start, end;
};

struct flow {
    struct loop *loop;
    struct end *from, *to;
    struct link_filter *filter; /* owned; or NULL */
    struct link_filter *back;   /* of the other direction, sees what moves here; or NULL */
    struct flow_span in;        /* before the filter */
    struct flow_span out;
    bool waits;   /* from the client: a raw target is told late */
    bool ended;   /* all is in out that will ever come */
    bool shut;    /* to was told */
    bool lost;    /* to takes no more: what still comes is thrown away */
    bool dropped; /* some was */
    bool failed;  /* the filter refused; err says why */
    bool starved;
    struct atls_err err;
};

/* Moves what can be moved, but not more than a fair share in one call: true when there is more.
 * Both ends are OPEN. *out_moved is set when anything moved. */
bool flow_run(struct flow *flow, bool *out_moved);
/* Tells to of the end once it is there, and says whether it did so just now; other is the flow of
 * the other direction. */
bool flow_shut(struct flow *flow, const struct flow *other);
/* to takes no more. */
void flow_lose(struct flow *flow);
/* Nothing will move any more. */
bool flow_done(const struct flow *flow);
/* There is something that to has not taken yet. */
bool flow_waits(const struct flow *flow);
void flow_clear(struct flow *flow);

#endif
