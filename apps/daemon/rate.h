/* A token bucket per client address, in a table of fixed size. Any thread. */
#ifndef DAEMON_RATE_H
#define DAEMON_RATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Requests a second, how many at once; rate 0 switches it off. May be called again. */
void rate_setup(int64_t rate, int64_t burst);
/* Takes one; 0 when it was there, else after how many seconds there is one again. now_ms is
 * monotonic. Addresses of IPv6 count by their /64; a unix socket is not limited. */
unsigned rate_take(const struct sockaddr *address, int64_t now_ms);

#endif
