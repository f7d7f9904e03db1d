/* Threads for what may block: evidence, appraisal, names. What a job found is told on the loop that
 * asked. Each lane (a route) has its turn, and none has all threads: one whose verifier does not
 * answer leaves some to the others. */
#ifndef PROXY_JOBS_H
#define PROXY_JOBS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <atls/session.h>

#include "loop.h"

struct jobs;

/* Embedded in what it belongs to, which stays until done was called or jobs_cancel said true. */
struct job {
    void (*run)(struct job *job);  /* on a thread of the pool */
    void (*done)(struct job *job); /* on the loop afterwards */
    struct loop *loop;
    unsigned lane; /* any number; those that are equal modulo JOBS_LANES are one */
    struct loop_post post;
    struct job *next, *before;
    bool queued; /* under the pool's lock */
};
#define JOBS_LANES 64
/* Of the threads, at least one in so many is left by a lane; not of one thread alone. */
#define JOBS_LEFT 4

/* Errors: ATLS_E_LIMIT (no threads), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code jobs_new(unsigned threads, struct jobs **out, struct atls_err *err);
/* Waits for jobs that run; those that wait never run, nor are they told. All work is abandoned or
 * done before. The loops still take posts. NULL is fine. */
void jobs_free(struct jobs *jobs);

/* Any thread; never fails. */
void jobs_submit(struct jobs *jobs, struct job *job);
/* On the job's loop: true when it had not begun, and then done is never called. */
ATLS_MUST_CHECK bool jobs_cancel(struct jobs *jobs, struct job *job);

/* How many wait for a thread, and how many run. */
void jobs_count(struct jobs *jobs, size_t *out_waiting, size_t *out_running);

/* ---- work of the library ---- */

/* An atls_job on its way: waited for without a thread where its attester can be, then run in the
 * pool. done gets it back on the loop, and frees work with jobs_work_free. */
struct jobs_work {
    struct job job;
    struct jobs *jobs;
    struct atls_job *work; /* NULL once it was taken */
    void (*done)(struct jobs_work *work);
    void *arg;              /* NULL once it was abandoned */
    struct jobs_work *next; /* these two are for whoever has it */
    int tag;
    _Atomic int state;
};

/* Where work is done and told. */
struct jobs_for {
    struct jobs *jobs;
    struct loop *loop;
    unsigned lane;
};
/* Takes work over and starts it; NULL: out of memory, work is freed. */
struct jobs_work *jobs_work(const struct jobs_for *where, struct atls_job *work,
                            void (*done)(struct jobs_work *work), void *arg);
/* On its loop: nobody wants to know any more. done is not called; work frees itself. */
void jobs_work_abandon(struct jobs_work *work);
/* In done. The atls_job, too, unless it was taken (work->work = NULL). */
void jobs_work_free(struct jobs_work *work);

#endif
