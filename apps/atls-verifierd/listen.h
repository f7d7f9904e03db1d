/* Listening sockets. They outlive generations: a reload opens what is new and keeps what stays. */
#ifndef VERIFIERD_LISTEN_H
#define VERIFIERD_LISTEN_H

#include "config.h"

/* A descriptor of the caller's to close, a duplicate of the socket that is kept; out_text (128
 * bytes) gets where it listens, a port of 0 resolved. Errors: ATLS_E_CONFIG (address in use, no
 * socket of that name from systemd). */
ATLS_MUST_CHECK enum atls_code listen_get(const struct config_listener *l, int *out_fd,
                                          char out_text[128], struct atls_err *err);
/* Closes those that no listener of config needs; NULL: all. */
void listen_keep(const struct config *config);

#endif
