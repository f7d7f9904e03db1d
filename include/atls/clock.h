/* Clocks that a program or a test may hand in; NULL anywhere means the system's. */
#ifndef ATLS_CLOCK_H
#define ATLS_CLOCK_H

#include <stdint.h>

#include <atls/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Functions must be callable from any thread. */
struct atls_clock {
    void *arg;
    int64_t (*wall_s)(void *arg);       /* seconds since 1970-01-01T00:00:00Z */
    int64_t (*monotonic_ms)(void *arg); /* milliseconds, never going back */
};

#ifdef __cplusplus
}
#endif
#endif
