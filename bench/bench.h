/* Timing for the benchmarks: ratios of runs that are interleaved, because machines are noisy. */
#ifndef ATLS_BENCH_H
#define ATLS_BENCH_H

#include <stddef.h>

/* One thing to time: run does it count times; it exits the program on failure. */
struct bench {
    const char *name;
    void (*run)(void *arg, unsigned long count);
    void *arg;
    double best_ns;   /* per iteration, best round */
    double median_ns; /* per iteration, median round */
};

/* Times all of them in turn, rounds times, each for about slice_ms. */
void bench_run(struct bench *benches, size_t count, unsigned int rounds, unsigned int slice_ms);

#endif
