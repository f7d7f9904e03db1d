#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_MAX 64

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How many iterations fill a slice. */
static unsigned long calibrate(const struct bench *b, unsigned int slice_ms)
{
    unsigned long count = 1;

    for (;;) {
        double start = now_ns(), took;

        b->run(b->arg, count);
        took = now_ns() - start;
        if (took * 4 > slice_ms * 1e6 || count > 1u << 30)
            return took < 1 ? count : (unsigned long)((double)count * slice_ms * 1e6 / took) + 1;
        count *= 4;
    }
}

void bench_run(struct bench *benches, size_t count, unsigned int rounds, unsigned int slice_ms)
{
    double(*samples)[ROUNDS_MAX] = calloc(count, sizeof *samples);
    unsigned long *iterations = calloc(count, sizeof *iterations);

    if (samples == NULL || iterations == NULL || rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "bench: cannot start\n");
        exit(2);
    }
    for (size_t i = 0; i < count; i++)
        iterations[i] = calibrate(&benches[i], slice_ms);
    for (unsigned int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            double start = now_ns();

            benches[i].run(benches[i].arg, iterations[i]);
            samples[i][round] = (now_ns() - start) / (double)iterations[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        qsort(samples[i], rounds, sizeof samples[i][0], ascending);
        benches[i].best_ns = samples[i][0];
        benches[i].median_ns = samples[i][rounds / 2];
    }
    free(samples);
    free(iterations);
}
