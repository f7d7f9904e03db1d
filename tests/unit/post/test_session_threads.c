/* Jobs of many sessions on a pool of threads while the sessions go on: for the thread sanitizer. */
#include <pthread.h>
#include <stdlib.h>

#include "testlib.h"

#include "session_pair.h"

enum { THREADS = 4, PAIRS = 8, ROUNDS = 3, QUEUE = 128 };

struct work {
    struct atls_job *job;
    size_t pair;
    bool server;
};

/* Jobs to do, and jobs done. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct work todo[QUEUE], done[QUEUE];
    size_t todo_count, done_count, out;
    bool stop;
};

static void *run_jobs(void *arg)
{
    struct pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct work work;

        while (pool->todo_count == 0 && !pool->stop)
            pthread_cond_wait(&pool->changed, &pool->lock);
        if (pool->todo_count == 0)
            break;
        work = pool->todo[--pool->todo_count];
        pthread_mutex_unlock(&pool->lock);
        atls_job_run(work.job);
        pthread_mutex_lock(&pool->lock);
        pool->done[pool->done_count++] = work;
        pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void hand_out(struct pool *pool, struct pair_end *end, size_t pair, bool server)
{
    struct atls_job *job;

    while ((job = atls_session_job(end->session)) != NULL) {
        pthread_mutex_lock(&pool->lock);
        assert_true(pool->todo_count < QUEUE);
        pool->todo[pool->todo_count++] = (struct work){job, pair, server};
        pool->out++;
        pthread_cond_broadcast(&pool->changed);
        pthread_mutex_unlock(&pool->lock);
    }
}

/* Takes one job back; false when none is out. */
static bool take_back(struct pool *pool, struct pair *pairs)
{
    struct work work;
    struct pair_end *end;

    if (pool->out == 0)
        return false;
    pthread_mutex_lock(&pool->lock);
    while (pool->done_count == 0)
        pthread_cond_wait(&pool->changed, &pool->lock);
    work = pool->done[--pool->done_count];
    pool->out--;
    pthread_mutex_unlock(&pool->lock);
    end = work.server ? &pairs[work.pair].server : &pairs[work.pair].client;
    test_assert_code(atls_session_complete(end->session, work.job, &end->err), ATLS_OK, &end->err);
    return true;
}

static void move(struct pool *pool, struct pair *pairs)
{
    do {
        for (size_t i = 0; i < PAIRS; i++) {
            pair_run(&pairs[i]);
            hand_out(pool, &pairs[i].client, i, false);
            hand_out(pool, &pairs[i].server, i, true);
        }
    } while (take_back(pool, pairs));
}

static void runs_jobs_of_many_sessions_at_once(void **state)
{
    static struct pair pairs[PAIRS];
    static struct pool pool;
    pthread_t threads[THREADS];

    (void)state;
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.changed, NULL);
    /* One configuration for all: what they share is what could race. */
    for (size_t i = 0; i < PAIRS; i++) {
        pair_init(&pairs[i]);
        pairs[i].hold_jobs = true;
        if (i == 0) {
            pair_configure(&pairs[0]);
        } else {
            pairs[i].client.config = atls_config_ref(pairs[0].client.config);
            pairs[i].server.config = atls_config_ref(pairs[0].server.config);
        }
        pairs[i].client.tls.hash = pairs[i].server.tls.hash = ATLS_HASH_SHA256;
        pairs[i].client.secret[1] = pairs[i].server.secret[1] = (uint8_t)i;
        test_assert_code(atls_session_new(pairs[i].client.config, &pairs[i].client.tls, NULL,
                                          &pairs[i].client.session, NULL),
                         ATLS_OK, NULL);
        test_assert_code(atls_session_new(pairs[i].server.config, &pairs[i].server.tls, NULL,
                                          &pairs[i].server.session, NULL),
                         ATLS_OK, NULL);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_jobs, &pool), 0);
    move(&pool, pairs);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PAIRS; i++) {
            assert_true(atls_session_is_open(pairs[i].client.session));
            assert_int_equal(atls_session_reattest(pairs[i].client.session, NULL), ATLS_OK);
            assert_int_equal(atls_session_reattest(pairs[i].server.session, NULL), ATLS_OK);
        }
        for (size_t i = 0; i < PAIRS; i++) {
            pair_run(&pairs[i]);
            hand_out(&pool, &pairs[i].server, i, true);
            pair_transfer(&pairs[i], &pairs[i].client, &pairs[i].server, 20000);
        }
        move(&pool, pairs);
    }
    /* Sessions may go while their jobs run. */
    for (size_t i = 0; i < PAIRS; i++) {
        assert_int_equal(atls_session_reattest(pairs[i].client.session, NULL), ATLS_OK);
        pair_run(&pairs[i]);
        hand_out(&pool, &pairs[i].server, i, true);
    }
    for (size_t i = 0; i < PAIRS; i++)
        pair_clear(&pairs[i]);
    pthread_mutex_lock(&pool.lock);
    pool.stop = true;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(pool.done_count, PAIRS);
    while (pool.done_count != 0)
        atls_job_free(pool.done[--pool.done_count].job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_jobs_of_many_sessions_at_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
