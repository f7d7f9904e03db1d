#include "flavour/post/meter.h"

#define MINUTE_MS INT64_C(60000)

struct atls_meter atls_meter_init(uint32_t per_minute, int64_t now_ms)
{
    struct atls_meter meter = {per_minute, (int64_t)per_minute * MINUTE_MS, now_ms};

    return meter;
}

bool atls_meter_take(struct atls_meter *meter, int64_t now_ms)
{
    int64_t passed = now_ms - meter->at_ms;
    int64_t full = (int64_t)meter->per_minute * MINUTE_MS;

    if (passed < 0) /* a clock of the program's that goes back earns nothing */
        passed = 0;
    if (passed >= MINUTE_MS)
        meter->credit = full;
    else
        meter->credit += passed * meter->per_minute;
    if (meter->credit > full)
        meter->credit = full;
    meter->at_ms = now_ms;
    if (meter->credit < MINUTE_MS)
        return false;
    meter->credit -= MINUTE_MS;
    return true;
}
