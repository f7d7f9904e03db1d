#include "jobs.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct lane {
    struct job *first, *last;
    unsigned running;
};

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct lane lanes[JOBS_LANES];
    unsigned turn; /* the lane that is looked at first */
    size_t waiting, running;
    _Atomic size_t starting; /* work that waits for its attester, or is just being submitted */
    bool stop;
    unsigned thread_count, lane_max; /* threads, and those that one lane may have */
    pthread_t threads[];
};

/* ---- the queues, under the lock ---- */

static struct lane *lane_of(struct jobs *jobs, const struct job *job)
{
    return &jobs->lanes[job->lane % JOBS_LANES];
}

static void enqueue(struct jobs *jobs, struct job *job)
{
    struct lane *lane = lane_of(jobs, job);

    job->queued = true;
    job->next = NULL;
    job->before = lane->last;
    if (job->before != NULL)
        job->before->next = job;
    else
        lane->first = job;
    lane->last = job;
    jobs->waiting++;
}

static void dequeue(struct jobs *jobs, struct job *job)
{
    struct lane *lane = lane_of(jobs, job);

    if (job->before != NULL)
        job->before->next = job->next;
    else
        lane->first = job->next;
    if (job->next != NULL)
        job->next->before = job->before;
    else
        lane->last = job->before;
    job->queued = false;
    jobs->waiting--;
}

/* The first of the next lane that may have a thread more; NULL: there is none. */
static struct job *next_job(struct jobs *jobs)
{
    for (unsigned i = 0; jobs->waiting > 0 && i < JOBS_LANES; i++) {
        const unsigned at = (jobs->turn + i) % JOBS_LANES;
        const struct lane *lane = &jobs->lanes[at];

        if (lane->first == NULL || lane->running >= jobs->lane_max)
            continue;
        jobs->turn = at + 1;
        return lane->first;
    }
    return NULL;
}

/* ---- threads ---- */

static void told(struct loop_post *post)
{
    struct job *job = (struct job *)(void *)((char *)post - offsetof(struct job, post));

    job->done(job);
}

static void *work(void *arg)
{
    struct jobs *jobs = arg;

    (void)pthread_mutex_lock(&jobs->lock);
    for (;;) {
        struct job *job = NULL;
        struct lane *lane;

        while (!jobs->stop && (job = next_job(jobs)) == NULL)
            (void)pthread_cond_wait(&jobs->more, &jobs->lock);
        if (jobs->stop)
            break;
        lane = lane_of(jobs, job);
        dequeue(jobs, job);
        lane->running++;
        jobs->running++;
        (void)pthread_mutex_unlock(&jobs->lock);
        job->run(job);
        job->post.run = told;
        loop_post(job->loop, &job->post);
        (void)pthread_mutex_lock(&jobs->lock);
        jobs->running--;
        lane->running--;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

static void start_threads(struct jobs *jobs, unsigned threads)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (jobs->thread_count < threads &&
           pthread_create(&jobs->threads[jobs->thread_count], NULL, work, jobs) == 0)
        jobs->thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum atls_code jobs_new(unsigned threads, struct jobs **out, struct atls_err *err)
{
    struct jobs *jobs = calloc(1, sizeof *jobs + threads * sizeof(pthread_t));

    if (jobs == NULL)
        return set_error(err, ATLS_E_NOMEM, "pool of threads: out of memory");
    (void)pthread_mutex_init(&jobs->lock, NULL);
    (void)pthread_cond_init(&jobs->more, NULL);
    jobs->lane_max = threads < 2 ? 1 : threads - (threads + JOBS_LEFT - 1) / JOBS_LEFT;
    start_threads(jobs, threads);
    if (threads == 0 || jobs->thread_count != threads) {
        jobs_free(jobs);
        return set_error(err, ATLS_E_LIMIT, "pool of threads: no thread could be made");
    }
    *out = jobs;
    return ATLS_OK;
}

static void drop_abandoned(struct jobs *jobs);

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->stop = true;
    (void)pthread_cond_broadcast(&jobs->more);
    (void)pthread_mutex_unlock(&jobs->lock);
    for (unsigned i = 0; i < jobs->thread_count; i++)
        (void)pthread_join(jobs->threads[i], NULL);
    while (atomic_load(&jobs->starting) > 0) /* an attester's thread is in work_ready */
        (void)sched_yield();
    drop_abandoned(jobs);
    (void)pthread_cond_destroy(&jobs->more);
    (void)pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

void jobs_submit(struct jobs *jobs, struct job *job)
{
    (void)pthread_mutex_lock(&jobs->lock);
    enqueue(jobs, job);
    (void)pthread_mutex_unlock(&jobs->lock);
    (void)pthread_cond_signal(&jobs->more); /* without the lock, which is the first that it wants */
}

bool jobs_cancel(struct jobs *jobs, struct job *job)
{
    bool queued;

    (void)pthread_mutex_lock(&jobs->lock);
    queued = job->queued;
    if (queued)
        dequeue(jobs, job);
    (void)pthread_mutex_unlock(&jobs->lock);
    return queued;
}

void jobs_count(struct jobs *jobs, size_t *out_waiting, size_t *out_running)
{
    (void)pthread_mutex_lock(&jobs->lock);
    *out_waiting = jobs->waiting;
    *out_running = jobs->running;
    (void)pthread_mutex_unlock(&jobs->lock);
}

/* ---- work of the library ---- */

/* Whoever moves it away from WAITING may submit or free it. */
enum { WAITING = 0, SUBMITTED, ABANDONED };

static void run_work(struct job *job)
{
    struct jobs_work *work = (struct jobs_work *)job;

    atls_job_run(work->work);
}

static void work_done(struct job *job)
{
    struct jobs_work *work = (struct jobs_work *)job;

    if (work->arg != NULL)
        work->done(work);
    else
        jobs_work_free(work);
}

/* On any thread: the attester is ready. */
static void work_ready(void *arg)
{
    struct jobs_work *work = arg;
    struct jobs *jobs = work->jobs;
    int waiting = WAITING;

    if (!atomic_compare_exchange_strong(&work->state, &waiting, SUBMITTED))
        return;
    jobs_submit(jobs, &work->job);
    atomic_fetch_sub(&jobs->starting, 1); /* and then there may be no pool any more */
}

struct jobs_work *jobs_work(const struct jobs_for *where, struct atls_job *job,
                            void (*done)(struct jobs_work *work), void *arg)
{
    struct jobs_work *work = calloc(1, sizeof *work);

    if (work == NULL) {
        atls_job_free(job);
        return NULL;
    }
    work->job =
        (struct job){.run = run_work, .done = work_done, .loop = where->loop, .lane = where->lane};
    work->jobs = where->jobs;
    work->work = job;
    work->done = done;
    work->arg = arg;
    atomic_fetch_add(&work->jobs->starting, 1);
    if (!atls_job_start(job, work_ready, work))
        work_ready(work);
    return work;
}

void jobs_work_abandon(struct jobs_work *work)
{
    struct jobs *jobs = work->jobs;
    int waiting = WAITING;

    work->arg = NULL;
    if (atomic_compare_exchange_strong(&work->state, &waiting, ABANDONED)) {
        jobs_work_free(work);
        atomic_fetch_sub(&jobs->starting, 1);
    } else if (jobs_cancel(jobs, &work->job)) {
        jobs_work_free(work);
    }
}

/* Work that was abandoned while it was being submitted has nobody else to free it, when no thread
 * took it any more. */
static void drop_abandoned(struct jobs *jobs)
{
    for (unsigned i = 0; i < JOBS_LANES; i++) {
        struct job *job;

        while ((job = jobs->lanes[i].first) != NULL) {
            dequeue(jobs, job);
            if (job->run == run_work && ((struct jobs_work *)job)->arg == NULL)
                jobs_work_free((struct jobs_work *)job);
        }
    }
}

void jobs_work_free(struct jobs_work *work)
{
    atls_job_free(work->work);
    free(work);
}
