#include "attester/batch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/limits.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/writer.h"
#include "wire/kat.h"

#define MODULE     "attester"
#define BINDER_MAX 48
#define NEVER      INT64_MAX

/* One quote over many KATs. Immutable once its calls are done; counted under the queue's lock. */
struct batch {
    size_t references;
    struct atls_batch_tree *tree;
    struct atls_quote quote;
    enum atls_code code;
    struct atls_err err;
    size_t count;
    struct atls_buf kats[];
};

struct list {
    struct atls_attester_call *first, *last;
};

/* Everything here is guarded by the queue's lock until the call is done. */
struct atls_attester_call {
    struct atls_batch_queue *queue;
    struct list *list; /* that it is in, or NULL */
    struct atls_attester_call *previous, *next;

    uint8_t binder[BINDER_MAX];
    struct atls_challenge challenge; /* of binder */
    int64_t deadline_ms;
    struct atls_buf kat; /* for a batch, until it runs; empty: a quote of its own */
    struct atls_batch_notice notice;

    pthread_cond_t changed;
    bool done;
    enum atls_code code;
    struct atls_err err;
    struct atls_buf cmw; /* of a quote of its own */
    struct batch *batch; /* shared; or NULL */
    size_t index;        /* in batch */
};

struct atls_batch_queue {
    const struct atls_batch_source *source;
    pthread_mutex_t lock;
    pthread_cond_t work;     /* for the worker: calls wait and the device is free, or stop */
    pthread_cond_t notified; /* a notice has returned */
    pthread_t worker;
    bool has_worker, stop;
    bool busy;        /* the device makes a quote */
    bool batch_turn;  /* where both wait */
    struct list many; /* wait for the next batch */
    struct list own;  /* wait for a quote of their own */
    struct list running, ready;
    const struct atls_attester_call *notifying; /* compared, never looked into */
};

/* ---- lists ---- */

static void append(struct list *list, struct atls_attester_call *call)
{
    call->list = list;
    call->next = NULL;
    call->previous = list->last;
    if (list->last != NULL)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
}

static void take_off(struct atls_attester_call *call)
{
    struct list *list = call->list;

    if (list == NULL)
        return;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        list->first = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    else
        list->last = call->previous;
    call->list = NULL;
}

/* ---- batches ---- */

static struct batch *batch_new(size_t count)
{
    struct batch *batch = calloc(1, sizeof *batch + count * sizeof batch->kats[0]);

    if (batch == NULL)
        return NULL;
    batch->references = 1;
    batch->count = count;
    return batch;
}

/* With the lock held. */
static void batch_unref(struct batch *batch)
{
    if (batch == NULL || --batch->references != 0)
        return;
    for (size_t i = 0; i < batch->count; i++)
        atls_buf_clear(&batch->kats[i]);
    atls_batch_tree_free(batch->tree);
    atls_quote_clear(&batch->quote);
    free(batch);
}

static void batch_quote(struct batch *batch, const struct atls_quoter *quoter)
{
    struct atls_bytes *kats = calloc(batch->count, sizeof *kats);

    if (kats == NULL) {
        batch->code = atls_fail(&batch->err, ATLS_E_NOMEM, MODULE ": out of memory");
        return;
    }
    for (size_t i = 0; i < batch->count; i++)
        kats[i] = atls_buf_bytes(&batch->kats[i]);
    batch->code = atls_batch_tree_new(kats, batch->count, &batch->tree, &batch->err);
    free(kats);
    if (batch->code == ATLS_OK)
        batch->code = quoter->quote(quoter->self, atls_batch_tree_challenge(batch->tree).ptr,
                                    &batch->quote, &batch->err);
}

/* The evidence of one KAT of a batch; the batch is shared, and only read. */
static enum atls_code batch_evidence(const struct batch *batch, size_t index,
                                     const struct atls_quoter *quoter, struct atls_buf *out,
                                     struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    enum atls_code code;

    if (batch->code != ATLS_OK) {
        if (err != NULL)
            *err = batch->err;
        return batch->code;
    }
    atls_batch_tree_put(batch->tree, index, atls_buf_bytes(&batch->kats[index]), &w);
    if (w.failed != ATLS_OK) {
        code = atls_fail(err, w.failed, MODULE ": the path of a batch cannot be kept");
    } else {
        const struct atls_cmw kat =
            atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_writer_bytes(&w), ATLS_CMW_EVIDENCE);

        code = atls_bundle_assemble(quoter, &kat, &batch->quote, out, err);
    }
    atls_writer_clear(&w);
    return code;
}

/* ---- the worker; all with the lock held, but where said ---- */

static bool has_work(const struct atls_batch_queue *q)
{
    return !q->busy && (q->many.first != NULL || q->own.first != NULL);
}

static void finish_call(struct atls_attester_call *call)
{
    take_off(call);
    call->done = true;
    if (call->notice.ready != NULL)
        append(&call->queue->ready, call);
    pthread_cond_signal(&call->changed);
}

static void fail_call(struct atls_attester_call *call, enum atls_code code, const char *why)
{
    call->code = atls_fail(&call->err, code, MODULE ": %s", why);
    finish_call(call);
}

/* Nobody makes a quote for those whose deadline has passed. */
static void expire(struct list *list)
{
    const int64_t now = atls_clock_monotonic_ms(NULL);
    struct atls_attester_call *next;

    for (struct atls_attester_call *call = list->first; call != NULL; call = next) {
        next = call->next;
        if (call->deadline_ms <= now)
            fail_call(call, ATLS_E_TIMEOUT, "the deadline passed before the quote began");
    }
}

static void start_quote(struct atls_batch_queue *q)
{
    q->busy = true;
    pthread_mutex_unlock(&q->lock);
}

static void end_quote(struct atls_batch_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->busy = false;
}

/* Works on copies: the call may be cancelled meanwhile, and is then no longer in running. */
static void serve_own(struct atls_batch_queue *q, struct atls_attester_call *call)
{
    const struct atls_batch_source *source = q->source;
    struct atls_challenge challenge = call->challenge;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t binder[BINDER_MAX];
    enum atls_code code;

    memcpy(binder, call->binder, sizeof binder);
    challenge.binder.ptr = binder;
    challenge.profiles &= source->profiles;
    take_off(call);
    append(&q->running, call);
    start_quote(q);
    code = source->evidence(source->self, &challenge, &cmw, &err);
    end_quote(q);
    if ((call = q->running.first) == NULL) {
        atls_buf_clear(&cmw);
        return;
    }
    call->code = code;
    call->err = err;
    call->cmw = cmw;
    finish_call(call);
}

/* The first count of many leave it; their KATs go to batch. Each is found from the one before it:
 * gcc 12 at -O3 moves a look at q->many.first out of this loop, as if take_off, which writes to it
 * through call->list, could not. */
static void move_to_batch(struct atls_batch_queue *q, struct batch *batch)
{
    struct atls_attester_call *call = q->many.first, *next;

    for (size_t i = 0; i < batch->count; i++, call = next) {
        next = call->next;
        take_off(call);
        batch->kats[i] = call->kat;
        call->kat = (struct atls_buf)ATLS_BUF_INIT;
        call->index = i;
        append(&q->running, call);
    }
}

static void serve_batch(struct atls_batch_queue *q, size_t count)
{
    struct atls_attester_call *call;
    struct batch *batch = batch_new(count);

    if (batch == NULL) {
        while (count-- > 0)
            fail_call(q->many.first, ATLS_E_NOMEM, "out of memory");
        return;
    }
    move_to_batch(q, batch);
    start_quote(q);
    batch_quote(batch, &q->source->quoter);
    end_quote(q);
    while ((call = q->running.first) != NULL) {
        call->batch = batch;
        batch->references++;
        finish_call(call);
    }
    batch_unref(batch);
}

/* One alone needs no tree, unless its relying party takes nothing else. */
static void serve_many(struct atls_batch_queue *q)
{
    const struct atls_attester_call *call = q->many.first;
    size_t count = 0;

    for (; call != NULL && count < ATLS_BATCH_MAX; call = call->next)
        count++;
    if (count == 1 && (q->many.first->challenge.profiles & q->source->profiles) != 0)
        serve_own(q, q->many.first);
    else
        serve_batch(q, count);
}

static void serve(struct atls_batch_queue *q)
{
    expire(&q->many);
    expire(&q->own);
    if (q->many.first != NULL && (q->batch_turn || q->own.first == NULL)) {
        q->batch_turn = false;
        serve_many(q);
    } else if (q->own.first != NULL) {
        q->batch_turn = true;
        serve_own(q, q->own.first);
    }
}

/* The lock is open during a notice, so that it may start other calls. */
static void notify(struct atls_batch_queue *q)
{
    struct atls_attester_call *call;

    while ((call = q->ready.first) != NULL) {
        const struct atls_batch_notice notice = call->notice;

        take_off(call);
        q->notifying = call;
        pthread_mutex_unlock(&q->lock);
        notice.ready(notice.arg);
        pthread_mutex_lock(&q->lock);
        q->notifying = NULL;
        pthread_cond_broadcast(&q->notified);
    }
}

static void *work(void *arg)
{
    struct atls_batch_queue *q = arg;

    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (!q->stop && !has_work(q))
            pthread_cond_wait(&q->work, &q->lock);
        if (q->stop)
            break;
        serve(q);
        notify(q);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/* Signals are for the program's own threads. */
static bool make_worker(struct atls_batch_queue *q)
{
    sigset_t all, before;

    if (q->has_worker)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    q->has_worker = pthread_create(&q->worker, NULL, work, q) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return q->has_worker;
}

/* ---- the queue ---- */

enum atls_code atls_batch_queue_new(const struct atls_batch_source *source,
                                    struct atls_batch_queue **out, struct atls_err *err)
{
    struct atls_batch_queue *q = calloc(1, sizeof *q);

    if (q == NULL)
        return atls_fail(err, ATLS_E_NOMEM, MODULE ": out of memory");
    q->source = source;
    q->batch_turn = true;
    if (pthread_mutex_init(&q->lock, NULL) != 0)
        goto no_lock;
    if (pthread_cond_init(&q->work, NULL) != 0)
        goto no_work;
    if (pthread_cond_init(&q->notified, NULL) != 0)
        goto no_notified;
    *out = q;
    return ATLS_OK;
no_notified:
    pthread_cond_destroy(&q->work);
no_work:
    pthread_mutex_destroy(&q->lock);
no_lock:
    free(q);
    return atls_fail(err, ATLS_E_NOMEM, MODULE ": no lock to be had");
}

void atls_batch_queue_free(struct atls_batch_queue *q)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->lock);
    if (q->has_worker)
        pthread_join(q->worker, NULL);
    pthread_cond_destroy(&q->notified);
    pthread_cond_destroy(&q->work);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* ---- calls ---- */

static bool init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t attributes;
    bool ok;

    if (pthread_condattr_init(&attributes) != 0)
        return false;
    ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return ok;
}

static void free_call(struct atls_attester_call *call)
{
    pthread_cond_destroy(&call->changed);
    atls_buf_clear(&call->kat);
    atls_buf_clear(&call->cmw);
    free(call);
}

static struct atls_attester_call *alloc_call(void)
{
    struct atls_attester_call *call = calloc(1, sizeof *call);

    if (call == NULL || init_changed(&call->changed))
        return call;
    free(call);
    return NULL;
}

static enum atls_code fill_call(struct atls_attester_call *call, struct atls_batch_queue *q,
                                const struct atls_challenge *challenge, struct atls_err *err)
{
    const struct atls_batch_source *source = q->source;

    if (challenge->binder.len > BINDER_MAX)
        return atls_fail(err, ATLS_E_USAGE, MODULE ": binder of %zu bytes", challenge->binder.len);
    call->queue = q;
    memcpy(call->binder, challenge->binder.ptr, challenge->binder.len);
    call->challenge = *challenge;
    call->challenge.binder.ptr = call->binder;
    call->deadline_ms =
        challenge->timeout_ms == 0 ? NEVER : atls_clock_monotonic_ms(NULL) + challenge->timeout_ms;
    if (!source->batches || (challenge->profiles & ATLS_PROFILE_BATCH) == 0)
        return ATLS_OK;
    return atls_bundle_kat(source->quoter.spki, call->challenge.binder, &call->kat, err);
}

enum atls_code atls_batch_start(struct atls_batch_queue *q, const struct atls_challenge *challenge,
                                struct atls_batch_notice notice, struct atls_attester_call **out,
                                struct atls_err *err)
{
    struct atls_attester_call *call = alloc_call();
    enum atls_code code;
    bool ok;

    if (call == NULL)
        return atls_fail(err, ATLS_E_NOMEM, MODULE ": out of memory");
    if ((code = fill_call(call, q, challenge, err)) != ATLS_OK) {
        free_call(call);
        return code;
    }
    call->notice = notice;
    pthread_mutex_lock(&q->lock);
    if ((ok = make_worker(q))) {
        *out = call; /* whoever is told may look at it before this returns */
        append(call->kat.len != 0 ? &q->many : &q->own, call);
    }
    pthread_mutex_unlock(&q->lock);
    if (!ok) {
        free_call(call);
        return atls_fail(err, ATLS_E_NOMEM, MODULE ": no thread to be had");
    }
    pthread_cond_signal(&q->work); /* without the lock, which is the first that it wants */
    return ATLS_OK;
}

void *atls_batch_owner(const struct atls_attester_call *call)
{
    return call->queue->source->owner;
}

int64_t atls_batch_asked_us(const struct atls_attester_call *call)
{
    return call->notice.asked_us;
}

/* Until the call is done, or its deadline. With the lock held. */
static void await(struct atls_attester_call *call)
{
    const struct timespec deadline = {.tv_sec = (time_t)(call->deadline_ms / 1000),
                                      .tv_nsec = (long)(call->deadline_ms % 1000) * 1000000};
    int waited = 0;

    while (!call->done && waited == 0)
        waited = call->deadline_ms == NEVER
                     ? pthread_cond_wait(&call->changed, &call->queue->lock)
                     : pthread_cond_timedwait(&call->changed, &call->queue->lock, &deadline);
}

/* After this nobody else knows the call. With the lock held. */
static void forget(struct atls_attester_call *call)
{
    take_off(call);
    while (call->queue->notifying == call)
        pthread_cond_wait(&call->queue->notified, &call->queue->lock);
}

enum atls_code atls_batch_finish(struct atls_attester_call *call, struct atls_buf *out_cmw,
                                 struct atls_err *err)
{
    struct atls_batch_queue *q = call->queue;
    enum atls_code code;

    pthread_mutex_lock(&q->lock);
    await(call);
    forget(call);
    pthread_mutex_unlock(&q->lock);
    if (!call->done) {
        code = atls_fail(err, ATLS_E_TIMEOUT,
                         MODULE ": the deadline passed before the quote was "
                                "made");
    } else if (call->batch != NULL) {
        code = batch_evidence(call->batch, call->index, &q->source->quoter, out_cmw, err);
    } else {
        code = call->code;
        if (code != ATLS_OK && err != NULL)
            *err = call->err;
        if (code == ATLS_OK) {
            *out_cmw = call->cmw;
            call->cmw = (struct atls_buf)ATLS_BUF_INIT;
        }
    }
    atls_batch_cancel(call);
    return code;
}

void atls_batch_cancel(struct atls_attester_call *call)
{
    pthread_mutex_lock(&call->queue->lock);
    forget(call);
    batch_unref(call->batch);
    pthread_mutex_unlock(&call->queue->lock);
    free_call(call);
}

/* Takes the device if nobody has it or waits for it. */
static bool take_device(struct atls_batch_queue *q)
{
    bool taken;

    pthread_mutex_lock(&q->lock);
    taken = !q->busy && q->many.first == NULL && q->own.first == NULL;
    q->busy = q->busy || taken;
    pthread_mutex_unlock(&q->lock);
    return taken;
}

/* Gives back what take_device took. */
static void give_device(struct atls_batch_queue *q)
{
    end_quote(q);
    if (has_work(q))
        pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->lock);
}

/* A batch of one, for a relying party that takes nothing else. The device is taken. */
static enum atls_code batch_of_one(struct atls_batch_queue *q,
                                   const struct atls_challenge *challenge, struct atls_buf *out_cmw,
                                   struct atls_err *err)
{
    const struct atls_quoter *quoter = &q->source->quoter;
    struct batch *batch = batch_new(1);
    enum atls_code code;

    if (batch == NULL)
        return atls_fail(err, ATLS_E_NOMEM, MODULE ": out of memory");
    code = atls_bundle_kat(quoter->spki, challenge->binder, &batch->kats[0], err);
    if (code == ATLS_OK) {
        batch_quote(batch, quoter);
        code = batch_evidence(batch, 0, quoter, out_cmw, err);
    }
    batch_unref(batch); /* nobody else knows it */
    return code;
}

enum atls_code atls_batch_evidence(struct atls_batch_queue *q,
                                   const struct atls_challenge *challenge, struct atls_buf *out_cmw,
                                   struct atls_err *err)
{
    const struct atls_batch_source *source = q->source;
    struct atls_challenge own = *challenge;
    struct atls_attester_call *call;
    enum atls_code code;

    own.profiles &= source->profiles;
    if ((own.profiles != 0 || source->batches) && take_device(q)) {
        code = own.profiles != 0 ? source->evidence(source->self, &own, out_cmw, err)
                                 : batch_of_one(q, challenge, out_cmw, err);
        give_device(q);
        return code;
    }
    code = atls_batch_start(q, challenge, (struct atls_batch_notice){0}, &call, err);
    return code == ATLS_OK ? atls_batch_finish(call, out_cmw, err) : code;
}
