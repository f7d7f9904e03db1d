/* Slow work of a connection, taken out of it: making evidence, appraising evidence. A job owns or
 * references everything that it needs, so that it may run on any thread and outlive whoever gave
 * it out. */
#ifndef ATLS_FLAVOUR_BASE_JOB_H
#define ATLS_FLAVOUR_BASE_JOB_H

#include <atls/session.h>

#include "flavour/base/judge.h"

struct atls_job_kind {
    /* Does the work. A failure needs no reason; one is made up. */
    enum atls_code (*run)(struct atls_job *job, struct atls_err *err);
    /* As atls_job_start; NULL: never anything to wait for. */
    bool (*start)(struct atls_job *job, atls_attester_ready *ready, void *arg);
    void (*free)(struct atls_job *job); /* what the kind added, and the job's memory */
};

/* First member of every kind of job. */
struct atls_job {
    const struct atls_job_kind *kind;
    struct atls_job *next;      /* in its owner's queue */
    const void *owner;          /* compared, never looked into */
    struct atls_config *config; /* referenced */
    /* Outcome; a job that never ran has failed. */
    enum atls_code code;
    struct atls_err err;
};

/* Fills the first member of zeroed memory; gets a reference of its own to config. */
void atls_job_init(struct atls_job *job, const struct atls_job_kind *kind,
                   struct atls_config *config);

/* ---- jobs of handshakes ---- */

/* A job that makes the CMW of a proof. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_prove_job_new(const struct atls_proof *proof,
                                                  struct atls_job **out, struct atls_err *err);
/* What a job of atls_prove_job_new made; the caller's. Empty unless job->code is ATLS_OK. */
struct atls_buf atls_prove_job_take(struct atls_job *job);

/* A job that judges a peer; everything is copied. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_judge_job_new(const struct atls_judgement *judgement,
                                                  struct atls_job **out, struct atls_err *err);
/* The result that it found (new reference), NULL when there is none; also of a refused peer. */
struct atls_result *atls_judge_job_result(struct atls_job *job);
/* Which check failed, when job->code is not ATLS_OK. */
enum atls_judge_step atls_judge_job_step(const struct atls_job *job);

#endif
