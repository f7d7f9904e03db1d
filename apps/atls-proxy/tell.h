/* What the target is told of the client and its attestation: a PROXY header in front of the stream,
 * headers in HTTP requests. */
#ifndef PROXY_TELL_H
#define PROXY_TELL_H

#include "link.h"

/* Of struct link_hooks; the route's arg is a struct state_route. */
size_t tell_head(const struct link_route *route, struct link *link, uint8_t *out, size_t room);
struct atls_bytes tell_undialled(const struct link_route *route);
struct link_filter *tell_filter(const struct link_route *route, struct link *link);

#endif
