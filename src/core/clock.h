/* Time is handed in: a wall clock for certificates and results, a monotonic one for deadlines. */
#ifndef ATLS_CORE_CLOCK_H
#define ATLS_CORE_CLOCK_H

#include <stdint.h>

#include <atls/clock.h>

/* Seconds since 1970 from clock, or from the system when clock or its function is NULL. */
int64_t atls_clock_wall_s(const struct atls_clock *clock);
/* Milliseconds that never go back, likewise. */
int64_t atls_clock_monotonic_ms(const struct atls_clock *clock);

#endif
