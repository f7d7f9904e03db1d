#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testlib.h"

#include "loop.h"

static struct loop *new_loop(void)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct loop *loop = NULL;

    test_assert_code(loop_new(&loop, &err), ATLS_OK, &err);
    return loop;
}

/* ---- timers ---- */

#define TIMERS 1000

struct timed {
    struct loop_timer timer;
    struct loop *loop;
    struct timed *other; /* cleared when this one is due */
    bool again;
};
static int64_t latest_ms;
static size_t due_count;

static void due(struct loop_timer *timer)
{
    struct timed *t = (struct timed *)timer;

    assert_true(timer->at_ms >= latest_ms);
    assert_true(timer->at_ms <= loop_now_ms(t->loop));
    assert_false(timer->set);
    latest_ms = timer->at_ms;
    due_count++;
    if (t->other != NULL)
        loop_timer_clear(t->loop, &t->other->timer);
    if (t->again)
        loop_timer_set(t->loop, timer, loop_now_ms(t->loop) + 1);
    t->again = false;
}

static void timers_are_due_in_order(void **state)
{
    static struct timed timers[TIMERS];
    struct loop *loop = new_loop();
    const int64_t now = loop_now_ms(loop);
    uint32_t seed = 7;
    size_t set = 0;

    (void)state;
    latest_ms = 0;
    due_count = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        seed = seed * 1664525u + 1013904223u;
        timers[i] = (struct timed){.timer.due = due, .loop = loop};
        loop_timer_set(loop, &timers[i].timer, now - (int64_t)(seed >> 16) % 500);
    }
    /* Some are set anew, some are cleared, of these some twice. */
    for (size_t i = 0; i < TIMERS; i++) {
        seed = seed * 1664525u + 1013904223u;
        if (seed >> 30 == 0)
            loop_timer_set(loop, &timers[i].timer, now - (int64_t)(seed >> 16) % 500);
        if (seed >> 30 == 1)
            loop_timer_clear(loop, &timers[i].timer);
        if (seed >> 29 == 2)
            loop_timer_clear(loop, &timers[i].timer);
    }
    for (size_t i = 0; i < TIMERS; i++)
        set += timers[i].timer.set;
    assert_true(set > TIMERS / 2 && set < TIMERS);
    loop_turn(loop, 0);
    assert_int_equal(due_count, set);
    loop_free(loop);
}

static void timers_act_on_timers(void **state)
{
    struct loop *loop = new_loop();
    const int64_t now = loop_now_ms(loop);
    struct timed first = {.timer.due = due, .loop = loop, .again = true},
                 second = {.timer.due = due, .loop = loop};

    (void)state;
    latest_ms = 0;
    due_count = 0;
    first.other = &second;
    loop_timer_set(loop, &second.timer, now);
    loop_timer_set(loop, &first.timer, now - 1);
    loop_turn(loop, 0);
    assert_int_equal(due_count, 1);
    assert_false(second.timer.set);
    assert_true(first.timer.set);
    while (due_count < 2) /* waits for it by itself */
        loop_turn(loop, -1);
    assert_false(first.timer.set);
    loop_free(loop);
}

/* ---- tasks ---- */

struct counted {
    struct loop_task task;
    struct loop *loop;
    struct counted *other;
    size_t count;
    bool again;
};

static void count(struct loop_task *task)
{
    struct counted *c = (struct counted *)task;

    c->count++;
    if (c->again)
        loop_soon(c->loop, task);
    if (c->other != NULL)
        loop_not_soon(c->loop, &c->other->task);
}

static void tasks_run_once_a_turn(void **state)
{
    struct loop *loop = new_loop();
    struct counted a = {.task.run = count, .loop = loop, .again = true},
                   b = {.task.run = count, .loop = loop}, c = b;

    (void)state;
    loop_soon(loop, &a.task);
    loop_soon(loop, &a.task);
    loop_soon(loop, &b.task);
    loop_soon(loop, &c.task);
    a.other = &b;
    loop_turn(loop, -1); /* does not wait */
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 0);
    assert_int_equal(c.count, 1);
    a.again = false;
    loop_turn(loop, -1);
    assert_int_equal(a.count, 2);
    loop_not_soon(loop, &a.task);
    loop_turn(loop, 0);
    assert_int_equal(a.count, 2);
    loop_free(loop);
}

/* ---- descriptors ---- */

struct watched {
    struct loop_watch watch;
    struct loop *loop;
    struct watched *other;
    size_t count;
    uint32_t events;
};

static void note_events(struct loop_watch *watch, uint32_t events)
{
    struct watched *w = (struct watched *)watch;

    w->count++;
    w->events |= events;
    if (w->other != NULL)
        loop_unwatch(w->loop, &w->other->watch);
}

static void who_is_unwatched_hears_nothing_more(void **state)
{
    struct loop *loop = new_loop();
    struct watched a = {.watch = {note_events, -1}, .loop = loop}, b = a;
    struct atls_err err = ATLS_ERR_INIT;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    test_assert_code(loop_watch(loop, &a.watch, fds[0], EPOLLIN | EPOLLET, &err), ATLS_OK, &err);
    test_assert_code(loop_watch(loop, &b.watch, fds[1], EPOLLIN | EPOLLET, &err), ATLS_OK, &err);
    assert_int_equal(write(fds[0], "x", 1), 1);
    loop_turn(loop, -1);
    assert_int_equal(a.count, 0);
    assert_int_equal(b.count, 1);
    assert_true((b.events & EPOLLIN) != 0);
    loop_turn(loop, 0);
    assert_int_equal(b.count, 1);
    /* Both are ready in one turn, and the first one that hears of it takes the other away. */
    a.other = &b;
    b.other = &a;
    assert_int_equal(write(fds[0], "x", 1), 1);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_turn(loop, -1);
    assert_int_equal(a.count + b.count, 2);
    loop_unwatch(loop, &a.watch);
    loop_unwatch(loop, &b.watch);
    assert_int_equal(loop_watch(loop, &a.watch, -1, EPOLLIN, &err), ATLS_E_IO);
    close(fds[0]);
    close(fds[1]);
    loop_free(loop);
}

/* ---- posts ---- */

#define POSTERS 4
#define POSTS   2000

struct posted {
    struct loop_post post;
    size_t thread, number;
};
struct poster {
    struct loop *loop;
    struct posted posts[POSTS];
    size_t seen;
    pthread_t thread;
};
static struct poster posters[POSTERS];
static _Atomic size_t arrived;

static void arrive(struct loop_post *post)
{
    const struct posted *p = (struct posted *)post;

    assert_int_equal(posters[p->thread].seen, p->number); /* in the order of its thread */
    posters[p->thread].seen++;
    if (atomic_fetch_add(&arrived, 1) + 1 == (size_t)POSTERS * POSTS)
        loop_stop(posters[0].loop);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (size_t i = 0; i < POSTS; i++)
        loop_post(p->loop, &p->posts[i].post);
    return NULL;
}

static void posts_come_from_every_thread(void **state)
{
    struct loop *loop = new_loop();

    (void)state;
    arrived = 0;
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        posters[i].seen = 0;
        for (size_t j = 0; j < POSTS; j++)
            posters[i].posts[j] = (struct posted){{.run = arrive}, i, j};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(loop);
    for (size_t i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    assert_int_equal(arrived, POSTERS * POSTS);
    assert_true(loop_turns(loop) > 0);
    loop_free(loop);
}

static _Atomic size_t ran;

static void note_ran(struct loop_post *post)
{
    (void)post;
    ran++;
}

static void what_was_posted_before_the_end_runs(void **state)
{
    struct loop_post a = {.run = note_ran}, b = a, c = a;
    struct atls_err err = ATLS_ERR_INIT;
    struct loop *loop = new_loop();

    (void)state;
    ran = 0;
    test_assert_code(loop_start(loop, &err), ATLS_OK, &err);
    loop_post(loop, &a);
    loop_join(loop);
    assert_int_equal(ran, 1);
    loop_join(loop);                                         /* is no harm */
    test_assert_code(loop_start(loop, &err), ATLS_OK, &err); /* and it can run again */
    loop_post(loop, &b);
    loop_join(loop);
    assert_int_equal(ran, 2);
    loop_post(loop, &c);
    loop_free(loop);
    assert_int_equal(ran, 3);
    loop_free(NULL);
}

/* ---- buffers ---- */

static void buffers_come_and_go(void **state)
{
    struct loop *loop = new_loop();
    uint8_t *buffers[100];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 100; i++) {
            buffers[i] = loop_buffer(loop);
            assert_non_null(buffers[i]);
            buffers[i][-(ptrdiff_t)LOOP_BUFFER_HEADROOM] = 1;
            buffers[i][LOOP_BUFFER_LEN - 1] = 1;
        }
        assert_int_equal(loop_buffers_out(loop), 100);
        for (size_t i = 0; i < 100; i++)
            loop_buffer_back(loop, buffers[i]);
        assert_int_equal(loop_buffers_out(loop), 0);
    }
    loop_buffer_back(loop, NULL);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_are_due_in_order),
        cmocka_unit_test(timers_act_on_timers),
        cmocka_unit_test(tasks_run_once_a_turn),
        cmocka_unit_test(who_is_unwatched_hears_nothing_more),
        cmocka_unit_test(posts_come_from_every_thread),
        cmocka_unit_test(what_was_posted_before_the_end_runs),
        cmocka_unit_test(buffers_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
