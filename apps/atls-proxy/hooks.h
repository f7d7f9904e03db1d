/* What links, listeners and routes have in common with the rest of the program: references,
 * limits of a route, log lines. Called on any loop. */
#ifndef PROXY_HOOKS_H
#define PROXY_HOOKS_H

#include "state.h"

/* Sets what links of the generation call. */
void hooks_set(struct generation *g);
/* A listener's door is open, at address. */
void hooks_listening(const struct state_door *door, const char *address);
/* The same of health and metrics. */
void hooks_operation(const char *address);
/* Of struct listener_options. */
void hooks_refused(const struct link_source *source, enum link_end why,
                   const struct sockaddr_storage *client);
void hooks_starved(const struct link_source *source, int error);

#endif
