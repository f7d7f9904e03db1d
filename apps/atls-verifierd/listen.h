/* Listening sockets. They outlive generations: a reload opens what is new and keeps what stays. */
#ifndef VERIFIERD_LISTEN_H
#define VERIFIERD_LISTEN_H

#include "config.h"

/* A descriptor of the caller's to close, a duplicate of the socket that is kept; out_text (128
 * bytes) gets where it listens, a port of 0 resolved. Errors: ATLS_E_CONFIG (address in use, no
 * socket of that name from systemd). */
ATLS_MUST_CHECK enum atls_code listen_get(const struct config_listener *l, int *out_fd,
                                          char out_text[128], struct atls_err *err);
/* Has new connections refused from now on, so that clients go elsewhere at once: on all sockets of
 * config but those for operation, and those of systemd, which another process may serve next. */
void listen_shut(const struct config *config);
/* Closes those that no listener of config needs; NULL: all. */
void listen_keep(const struct config *config);

#endif
