/* A rate limit: so many events a minute, with a burst of one minute's worth. */
#ifndef ATLS_FLAVOUR_POST_METER_H
#define ATLS_FLAVOUR_POST_METER_H

#include <stdbool.h>
#include <stdint.h>

/* One thread at a time. */
struct atls_meter {
    uint32_t per_minute;
    int64_t credit; /* in events times milliseconds of a minute */
    int64_t at_ms;
};

/* per_minute > 0. Starts with a whole minute's worth. */
struct atls_meter atls_meter_init(uint32_t per_minute, int64_t now_ms);

/* Takes one event at now_ms (monotonic); false when it is one too many. */
bool atls_meter_take(struct atls_meter *meter, int64_t now_ms);

#endif
