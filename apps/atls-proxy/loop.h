/* Worker threads: each has an epoll, timers, work put off, posts of other threads and spare
 * buffers. Everything of a loop but loop_post, loop_start and loop_stop is for its own thread (or
 * for one thread while it does not run). Callbacks must not block. */
#ifndef PROXY_LOOP_H
#define PROXY_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/err.h>

/* What a buffer of the loop holds, behind LOOP_BUFFER_HEADROOM bytes which are its owner's, too:
 * four TLS records and what tells of an end. */
#define LOOP_BUFFER_LEN      ((size_t)66560)
#define LOOP_BUFFER_HEADROOM ((size_t)64)

struct loop;

/* A descriptor that is watched. The structs below are embedded in what they belong to, which must
 * stay until they were taken back. */
struct loop_watch {
    void (*ready)(struct loop_watch *watch, uint32_t events); /* EPOLLIN, ... */
    int fd;                                                   /* -1: none */
};

/* Due once, at a time of loop_now_ms. Zeroed: not set. */
struct loop_timer {
    void (*due)(struct loop_timer *timer);
    int64_t at_ms;
    bool set;
    struct loop_timer *child, *next, *before; /* pairing heap */
};

/* Called once, soon: after the descriptors that are ready now had their turn. Zeroed: not put off.
 */
struct loop_task {
    void (*run)(struct loop_task *task);
    bool queued;
    uint64_t round;
    struct loop_task *next, *before;
};

/* Called once on the loop's thread, when any thread has posted it. */
struct loop_post {
    void (*run)(struct loop_post *post);
    struct loop_post *next;
};

/* Errors: ATLS_E_IO (no descriptors left), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code loop_new(struct loop **out, struct atls_err *err);
/* The loop does not run any more; what was posted is run first. NULL is fine. */
void loop_free(struct loop *loop);

/* Runs until loop_stop, and then what was posted before it. */
void loop_run(struct loop *loop);
/* One turn: waits at most so long (-1: until something happens). For tests and for programs with a
 * loop in their main thread. */
void loop_turn(struct loop *loop, int timeout_ms);
/* Any thread. */
void loop_stop(struct loop *loop);
/* A thread that runs the loop; signals are blocked in it. Errors: ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code loop_start(struct loop *loop, struct atls_err *err);
/* Stops the thread and waits for it. */
void loop_join(struct loop *loop);

/* Milliseconds of the monotonic clock, as of this turn. */
int64_t loop_now_ms(const struct loop *loop);
/* How many turns it has made; any thread (a watchdog's). */
uint64_t loop_turns(const struct loop *loop);

/* Has watch->ready called for events (EPOLLET among them, if wanted). Errors: ATLS_E_IO. */
ATLS_MUST_CHECK enum atls_code loop_watch(struct loop *loop, struct loop_watch *watch, int fd,
                                          uint32_t events, struct atls_err *err);
/* ready is not called any more, not even for events of this turn. The descriptor stays the
 * caller's, who closes it afterwards. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* Sets it anew, if it was set. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ms);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

void loop_soon(struct loop *loop, struct loop_task *task);
void loop_not_soon(struct loop *loop, struct loop_task *task);

/* Any thread. A post that is on its way must not be posted again. */
void loop_post(struct loop *loop, struct loop_post *post);

/* A buffer of LOOP_BUFFER_LEN bytes, from a store of spare ones; NULL: out of memory. Contents are
 * what they are: buffers that held data of one connection go to the next. */
uint8_t *loop_buffer(struct loop *loop);
void loop_buffer_back(struct loop *loop, uint8_t *buffer); /* NULL is fine */
/* How many are out; any thread. */
size_t loop_buffers_out(const struct loop *loop);

#endif
