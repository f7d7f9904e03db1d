/* What comes in front of TLS or data on a listener: the PROXY header of a balancer, and the
 * ClientHello that picks one of several routes. */
#ifndef PROXY_PRELUDE_H
#define PROXY_PRELUDE_H

#include "state.h"

/* Whether links of this door have one. */
bool prelude_is_wanted(const struct state_door *door);
/* Of struct link_source, whose arg is the door. */
bool prelude_announces(const struct link_source *source, const struct sockaddr_storage *client);
enum link_prelude prelude_run(const struct link_source *source, struct link *link,
                              struct atls_bytes seen, bool ended, size_t *out_used,
                              const struct link_route **out_route, struct atls_err *err);

#endif
