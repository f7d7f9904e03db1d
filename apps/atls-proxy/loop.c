#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

/* Events of one turn. */
#define EVENTS_MAX 128
/* Spare buffers that are kept: 4 MiB. */
#define SPARE_MAX 64

/* Lies in spare buffers. */
struct spare {
    struct spare *next;
};

struct loop {
    int epoll, wake;
    struct epoll_event events[EVENTS_MAX]; /* of this turn */
    int event_count, event_at;
    struct loop_timer *timers; /* root of the heap: what is due next */
    struct loop_task *first_task, *last_task;
    uint64_t round;                  /* of tasks */
    struct loop_post *_Atomic posts; /* latest first */
    _Atomic bool stop;
    int64_t now_ms;
    _Atomic uint64_t turns;
    struct spare *spare;
    size_t spare_count;
    _Atomic size_t buffers_out;
    pthread_t thread;
    bool started;
};

static int64_t clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- life ---- */

enum atls_code loop_new(struct loop **out, struct atls_err *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL)
        return set_error(err, ATLS_E_NOMEM, "event loop: out of memory");
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll < 0 || loop->wake < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) != 0) {
        const int number = errno;

        loop_free(loop);
        return set_error(err, ATLS_E_IO, "event loop: %s", strerror(number));
    }
    loop->now_ms = clock_ms();
    *out = loop;
    return ATLS_OK;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_turns(const struct loop *loop)
{
    return atomic_load_explicit(&loop->turns, memory_order_relaxed);
}

/* ---- descriptors ---- */

enum atls_code loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                          struct atls_err *err)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return set_error(err, ATLS_E_IO, "watching a socket: %s", strerror(errno));
    watch->fd = fd;
    return ATLS_OK;
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].events = 0;
}

/* ---- timers: a pairing heap ---- */

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (b->at_ms < a->at_ms) {
        struct loop_timer *first = b;

        b = a;
        a = first;
    }
    b->before = a;
    b->next = a->child;
    if (b->next != NULL)
        b->next->before = b;
    a->child = b;
    return a;
}

/* One heap of the children of a timer that leaves: in pairs, then from the last to the first. */
static struct loop_timer *gather(struct loop_timer *child)
{
    struct loop_timer *pairs = NULL, *all = NULL;

    while (child != NULL) {
        struct loop_timer *a = child, *b = a->next, *pair;

        child = b == NULL ? NULL : b->next;
        a->next = a->before = NULL;
        if (b != NULL)
            b->next = b->before = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL) {
        struct loop_timer *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        all = meld(all, pair);
    }
    return all;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    struct loop_timer *children = gather(timer->child);

    if (!timer->set)
        return;
    if (timer->before == NULL) {
        loop->timers = children;
    } else {
        if (timer->before->child == timer)
            timer->before->child = timer->next;
        else
            timer->before->next = timer->next;
        if (timer->next != NULL)
            timer->next->before = timer->before;
        loop->timers = meld(loop->timers, children);
    }
    timer->set = false;
    timer->child = timer->next = timer->before = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ms)
{
    loop_timer_clear(loop, timer);
    timer->at_ms = at_ms;
    timer->set = true;
    loop->timers = meld(loop->timers, timer);
}

static void run_timers(struct loop *loop)
{
    while (loop->timers != NULL && loop->timers->at_ms <= loop->now_ms) {
        struct loop_timer *timer = loop->timers;

        loop_timer_clear(loop, timer);
        timer->due(timer);
    }
}

/* ---- tasks ---- */

void loop_soon(struct loop *loop, struct loop_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    task->round = loop->round;
    task->next = NULL;
    task->before = loop->last_task;
    if (task->before != NULL)
        task->before->next = task;
    else
        loop->first_task = task;
    loop->last_task = task;
}

void loop_not_soon(struct loop *loop, struct loop_task *task)
{
    if (!task->queued)
        return;
    if (task->before != NULL)
        task->before->next = task->next;
    else
        loop->first_task = task->next;
    if (task->next != NULL)
        task->next->before = task->before;
    else
        loop->last_task = task->before;
    task->queued = false;
    task->next = task->before = NULL;
}

/* Those that are put off while this runs wait for the next turn. */
static void run_tasks(struct loop *loop)
{
    const uint64_t round = loop->round++;

    while (loop->first_task != NULL && loop->first_task->round <= round) {
        struct loop_task *task = loop->first_task;

        loop_not_soon(loop, task);
        task->run(task);
    }
}

/* ---- posts ---- */

static void wake(struct loop *loop)
{
    const uint64_t one = 1;

    while (write(loop->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void loop_post(struct loop *loop, struct loop_post *post)
{
    post->next = atomic_load(&loop->posts);
    while (!atomic_compare_exchange_weak(&loop->posts, &post->next, post))
        ;
    wake(loop);
}

static void run_posts(struct loop *loop)
{
    struct loop_post *latest = atomic_exchange(&loop->posts, NULL), *first = NULL;

    while (latest != NULL) {
        struct loop_post *post = latest;

        latest = post->next;
        post->next = first;
        first = post;
    }
    while (first != NULL) {
        struct loop_post *post = first;

        first = post->next;
        post->run(post);
    }
}

static void drain_wake(struct loop *loop)
{
    uint64_t count;

    while (read(loop->wake, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

/* ---- turns ---- */

static int until_due(const struct loop *loop, int timeout_ms)
{
    int64_t left;

    if (loop->first_task != NULL || atomic_load(&loop->posts) != NULL)
        return 0;
    if (loop->timers == NULL)
        return timeout_ms;
    left = loop->timers->at_ms - clock_ms();
    if (left < 0)
        left = 0;
    if (timeout_ms >= 0 && timeout_ms < left)
        return timeout_ms;
    return left > 3600000 ? 3600000 : (int)left;
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    int count = epoll_wait(loop->epoll, loop->events, EVENTS_MAX, until_due(loop, timeout_ms));

    loop->now_ms = clock_ms();
    atomic_fetch_add_explicit(&loop->turns, 1, memory_order_relaxed);
    loop->event_count = count < 0 ? 0 : count;
    for (loop->event_at = 0; loop->event_at < loop->event_count;) {
        const struct epoll_event *event = &loop->events[loop->event_at++];
        struct loop_watch *watch = event->data.ptr;

        if (watch == NULL)
            drain_wake(loop);
        else if (event->events != 0)
            watch->ready(watch, event->events);
    }
    loop->event_count = 0;
    run_posts(loop);
    run_timers(loop);
    run_tasks(loop);
}

void loop_run(struct loop *loop)
{
    while (!atomic_load(&loop->stop))
        loop_turn(loop, -1);
    run_posts(loop);
    atomic_store(&loop->stop, false);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    wake(loop);
}

/* ---- threads ---- */

static void *thread_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

enum atls_code loop_start(struct loop *loop, struct atls_err *err)
{
    sigset_t all, before;
    int number;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    number = pthread_create(&loop->thread, NULL, thread_main, loop);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0)
        return set_error(err, ATLS_E_LIMIT, "event loop: no thread: %s", strerror(number));
    loop->started = true;
    return ATLS_OK;
}

void loop_join(struct loop *loop)
{
    if (!loop->started)
        return;
    loop_stop(loop);
    (void)pthread_join(loop->thread, NULL);
    loop->started = false;
}

/* ---- buffers ---- */

uint8_t *loop_buffer(struct loop *loop)
{
    struct spare *spare = loop->spare;
    uint8_t *buffer;

    if (spare != NULL) {
        loop->spare = spare->next;
        loop->spare_count--;
        buffer = (uint8_t *)spare;
    } else if ((buffer = malloc(LOOP_BUFFER_HEADROOM + LOOP_BUFFER_LEN)) != NULL) {
        buffer += LOOP_BUFFER_HEADROOM;
    }
    if (buffer != NULL)
        atomic_fetch_add_explicit(&loop->buffers_out, 1, memory_order_relaxed);
    return buffer;
}

void loop_buffer_back(struct loop *loop, uint8_t *buffer)
{
    if (buffer == NULL)
        return;
    atomic_fetch_sub_explicit(&loop->buffers_out, 1, memory_order_relaxed);
    if (loop->spare_count < SPARE_MAX) {
        struct spare *spare = (struct spare *)(void *)buffer;

        spare->next = loop->spare;
        loop->spare = spare;
        loop->spare_count++;
    } else {
        free(buffer - LOOP_BUFFER_HEADROOM);
    }
}

size_t loop_buffers_out(const struct loop *loop)
{
    return atomic_load_explicit(&loop->buffers_out, memory_order_relaxed);
}

/* ---- the end ---- */

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    run_posts(loop);
    while (loop->spare != NULL) {
        struct spare *spare = loop->spare;

        loop->spare = spare->next;
        free((uint8_t *)spare - LOOP_BUFFER_HEADROOM);
    }
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake >= 0)
        close(loop->wake);
    free(loop);
}
