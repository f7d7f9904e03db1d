/* Clients of the challenge-response API: keep-alive HTTP/1.1 over sockets that do not block, in one
 * thread. An appraisal is POST newSession with a nonce of the client's own, then POST of evidence
 * over it. Exits the program on failure. */
#ifndef ATLS_BENCH_LOAD_H
#define ATLS_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

/* What one kind of appraisal sends; whole requests but for the session's path in the second. */
struct load_material {
    char *open; /* head of POST newSession */
    size_t open_len;
    char *head; /* of POST evidence, after its path */
    size_t head_len;
    const uint8_t *body; /* borrowed */
    size_t body_len;
};
/* media_type: of body. */
struct load_material load_material_make(const uint8_t nonce[32], const char *media_type,
                                        const uint8_t *body, size_t body_len);
void load_material_clear(struct load_material *m);

struct load;

struct load *load_new(uint16_t port, size_t connections, const struct load_material *materials,
                      size_t material_count);
void load_free(struct load *l);

/* Latencies of appraisals in nanoseconds, sorted; the caller frees items. */
struct load_result {
    size_t count;
    double seconds;
    double *latencies_ns;
};
/* Every connection asks again as soon as it is answered. */
struct load_result load_saturate(struct load *l, double seconds);
/* Appraisals arrive at rate (per second), at random (Poisson), whether or not earlier ones are
 * answered; latency counts from arrival. */
struct load_result load_pace(struct load *l, double rate, double seconds);
double load_percentile(const struct load_result *r, double percent);
/* count times POST newSession without evidence; *refused: answered 503. */
void load_open_sessions(struct load *l, size_t count, size_t *opened, size_t *refused);

/* Bodies of size bytes on count connections of their own, each but for its last byte, so that all
 * are being received at once; returns when the server has read, or refused, them all. *out_refused:
 * how many. load_drop_bodies ends them. */
struct load_bodies;
struct load_bodies *load_hold_bodies(uint16_t port, size_t count, size_t size, size_t *out_refused);
void load_drop_bodies(struct load_bodies *b);

/* The monotonic clock. */
double load_now_ns(void);

#endif
