#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "jobs.h"
#include "session_pair.h"

static struct loop *new_loop(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct loop *loop = NULL;

    test_assert_code(loop_new(&loop, &err), ATLS_OK, &err);
    return loop;
}

static struct jobs *new_jobs(unsigned threads)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct jobs *jobs = NULL;

    test_assert_code(jobs_new(threads, &jobs, &err), ATLS_OK, &err);
    return jobs;
}

/* ---- jobs ---- */

struct work {
    struct job job;
    pthread_t ran_on;
    bool ran, told;
    pthread_mutex_t *gate; /* waits for it */
};
static _Atomic size_t begun;

static void run(struct job *job)
{
    struct work *w = (struct work *)job;

    begun++;
    if (w->gate != NULL) {
        pthread_mutex_lock(w->gate);
        pthread_mutex_unlock(w->gate);
    }
    w->ran_on = pthread_self();
    w->ran = true;
}

static void tell(struct job *job)
{
    ((struct work *)job)->told = true;
}

static void jobs_run_elsewhere_and_are_told_here(void **state)
{
    enum { COUNT = 100 };
    static struct work works[COUNT];
    struct loop *loop = new_loop();
    struct jobs *jobs = new_jobs(3);
    size_t told = 0;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        works[i] = (struct work){.job = {.run = run, .done = tell, .loop = loop}};
        jobs_submit(jobs, &works[i].job);
    }
    while (told < COUNT) {
        loop_turn(loop, -1);
        told = 0;
        for (size_t i = 0; i < COUNT; i++)
            told += works[i].told;
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(works[i].ran);
        assert_false(pthread_equal(works[i].ran_on, pthread_self()));
    }
    jobs_free(jobs);
    loop_free(loop);
}

static void jobs_that_wait_can_be_taken_back(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct loop *loop = new_loop();
    struct jobs *jobs = new_jobs(1);
    struct work a = {.job = {.run = run, .done = tell, .loop = loop}, .gate = &gate}, b = a, c = a;
    size_t waiting = 0, running = 0;

    (void)state;
    begun = 0;
    pthread_mutex_lock(&gate);
    jobs_submit(jobs, &a.job);
    jobs_submit(jobs, &b.job);
    jobs_submit(jobs, &c.job);
    while (begun == 0)
        ;
    jobs_count(jobs, &waiting, &running);
    assert_int_equal(waiting, 2);
    assert_int_equal(running, 1);
    assert_false(jobs_cancel(jobs, &a.job)); /* it runs */
    assert_true(jobs_cancel(jobs, &b.job));
    assert_false(jobs_cancel(jobs, &b.job));
    pthread_mutex_unlock(&gate);
    while (!c.told)
        loop_turn(loop, -1);
    assert_true(a.told);
    assert_false(b.ran || b.told);
    jobs_count(jobs, &waiting, &running);
    assert_int_equal(waiting, 0);
    jobs_free(jobs);
    loop_free(loop);
}

static void the_end_waits_for_what_runs_alone(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct loop *loop = new_loop();
    struct jobs *jobs = new_jobs(1);
    struct work a = {.job = {.run = run, .done = tell, .loop = loop}}, b = a;

    (void)state;
    a.gate = b.gate = &gate;
    begun = 0;
    pthread_mutex_lock(&gate);
    jobs_submit(jobs, &a.job);
    while (begun == 0)
        ;
    jobs_submit(jobs, &b.job);
    assert_true(jobs_cancel(jobs, &b.job));
    pthread_mutex_unlock(&gate);
    jobs_free(jobs);
    loop_turn(loop, 0);
    assert_true(a.told);
    assert_false(b.ran);
    loop_free(loop);
    jobs_free(NULL);
}

/* Jobs of one lane that do not end leave threads to the others, and these take turns. */
static void fill_lane(unsigned threads, unsigned may)
{
    enum { SLOW = 12, FAST = 8 };
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct loop *loop = new_loop();
    struct jobs *jobs = new_jobs(threads);
    struct work slow[SLOW], fast[FAST];
    size_t waiting = 0, running = 0, told = 0;

    begun = 0;
    pthread_mutex_lock(&gate);
    for (size_t i = 0; i < SLOW; i++) {
        slow[i] = (struct work){.job = {.run = run, .done = tell, .loop = loop, .lane = 3},
                                .gate = &gate};
        jobs_submit(jobs, &slow[i].job);
    }
    while (begun < may)
        ;
    for (size_t i = 0; i < FAST; i++) {
        fast[i] = (struct work){
            .job = {.run = run, .done = tell, .loop = loop, .lane = 4 + (unsigned)i % 3}};
        jobs_submit(jobs, &fast[i].job);
    }
    while (told < FAST) {
        loop_turn(loop, -1);
        told = 0;
        for (size_t i = 0; i < FAST; i++)
            told += fast[i].told;
    }
    assert_int_equal(begun, may + FAST);
    jobs_count(jobs, &waiting, &running);
    assert_int_equal(waiting, SLOW - may);
    assert_true(jobs_cancel(jobs, &slow[SLOW - 1].job));
    pthread_mutex_unlock(&gate);
    while (told < SLOW - 1) {
        loop_turn(loop, -1);
        told = 0;
        for (size_t i = 0; i < SLOW; i++)
            told += slow[i].told;
    }
    jobs_free(jobs);
    loop_free(loop);
}

static void a_lane_does_not_take_all_threads(void **state)
{
    static const struct {
        unsigned threads, may;
    } rows[] = {{2, 1}, {3, 2}, {4, 3}, {5, 3}, {7, 5}, {8, 6}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fill_lane(rows[i].threads, rows[i].may);
}

static void a_pool_has_threads(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct jobs *jobs = NULL;

    (void)state;
    assert_int_equal(jobs_new(0, &jobs, &err), ATLS_E_LIMIT);
    assert_null(jobs);
}

/* ---- work of the library ---- */

struct world {
    struct pair p;
    struct loop *loop;
    struct jobs *jobs;
    size_t done;
};

static void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    pair_init(&w->p);
    w->loop = new_loop();
    w->jobs = new_jobs(2);
}

static void world_clear(struct world *w)
{
    jobs_free(w->jobs);
    loop_free(w->loop);
    pair_clear(&w->p);
}

/* A job of the server: evidence for the client that asked first. */
static struct atls_job *ask_for_evidence(struct world *w)
{
    struct atls_job *job = NULL;

    w->p.hold_jobs = true;
    w->p.client.options.reattest_interval_s = 0;
    pair_start(&w->p);
    for (int i = 0; i < 4 && job == NULL; i++) {
        pair_deliver(&w->p, &w->p.client, &w->p.server);
        job = atls_session_job(w->p.server.session);
        pair_deliver(&w->p, &w->p.server, &w->p.client);
    }
    assert_non_null(job);
    return job;
}

static void take_back(struct jobs_work *work)
{
    struct world *w = work->arg;
    struct atls_job *job = work->work;
    struct atls_err err = ATLS_ERR_INIT;

    work->work = NULL;
    jobs_work_free(work);
    test_assert_code(atls_session_complete(w->p.server.session, job, &err), ATLS_OK, &err);
    w->done++;
}

static void work_comes_back(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    assert_non_null(
        jobs_work(&(struct jobs_for){w.jobs, w.loop, 0}, ask_for_evidence(&w), take_back, &w));
    while (w.done == 0)
        loop_turn(w.loop, -1);
    assert_int_equal(atls_session_next(w.p.server.session), ATLS_NEXT_OUTPUT);
    world_clear(&w);
}

/* At once, or when its attester is ready, or while it runs: it is freed, and nobody is told. */
static void abandoned_work_is_not_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        struct jobs_work *work;
        struct world w;

        world_init(&w);
        w.p.server.attester.delay_ms = i % 3 * 5;
        work =
            jobs_work(&(struct jobs_for){w.jobs, w.loop, 0}, ask_for_evidence(&w), take_back, &w);
        assert_non_null(work);
        for (unsigned turn = 0; turn < i / 3 && w.done == 0; turn++)
            loop_turn(w.loop, 1);
        if (w.done == 0)
            jobs_work_abandon(work);
        assert_true(w.done <= 1);
        world_clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_elsewhere_and_are_told_here),
        cmocka_unit_test(jobs_that_wait_can_be_taken_back),
        cmocka_unit_test(the_end_waits_for_what_runs_alone),
        cmocka_unit_test(a_lane_does_not_take_all_threads),
        cmocka_unit_test(a_pool_has_threads),
        cmocka_unit_test(work_comes_back),
        cmocka_unit_test(abandoned_work_is_not_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
