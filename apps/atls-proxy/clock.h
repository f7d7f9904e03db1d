/* Time that never goes back. */
#ifndef PROXY_CLOCK_H
#define PROXY_CLOCK_H

#include <stdint.h>

int64_t now_ms(void);
int64_t now_us(void);

#endif
