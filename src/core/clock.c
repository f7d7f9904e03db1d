#include "core/clock.h"

#include <stddef.h>
#include <time.h>

int64_t atls_clock_wall_s(const struct atls_clock *clock)
{
    if (clock != NULL && clock->wall_s != NULL)
        return clock->wall_s(clock->arg);
    return (int64_t)time(NULL);
}

int64_t atls_clock_monotonic_ms(const struct atls_clock *clock)
{
    struct timespec now = {0, 0};

    if (clock != NULL && clock->monotonic_ms != NULL)
        return clock->monotonic_ms(clock->arg);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
