/* The queue before an attester's device: one quote at a time, and one quote for everybody who waits
 * and takes the profile BATCH (docs/batch.md).
 *
 * While a quote is made the next batch gathers. Those that take no batches wait for a quote of
 * their own; batches and single quotes take turns, so that neither starves. One thread, made when a
 * caller first has to wait, makes the quotes; evidence is put together on its caller's thread.
 *
 *     atls_batch_start(queue, challenge, notice, &call, err);
 *     ... notice.ready(notice.arg), on the queue's thread ...
 *     atls_batch_finish(call, &cmw, err);
 *
 * Any thread; one thread at a time for each call. */
#ifndef ATLS_ATTESTER_BATCH_H
#define ATLS_ATTESTER_BATCH_H

#include "attester/bundle.h"
#include "bind/batch.h"

/* Whose evidence it is. */
struct atls_batch_source {
    void *owner; /* for atls_batch_owner */
    void *self;
    /* Of any profile but BATCH; slow. */
    enum atls_code (*evidence)(void *self, const struct atls_challenge *challenge,
                               struct atls_buf *out_cmw, struct atls_err *err);
    unsigned int profiles; /* that evidence makes */
    bool batches;          /* quoter is there, and may serve many at once */
    struct atls_quoter quoter;
};

struct atls_batch_queue;
/* source lives as long as the queue. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_batch_queue_new(const struct atls_batch_source *source,
                                                    struct atls_batch_queue **out,
                                                    struct atls_err *err);
/* Waits for a quote under way that nobody waits for any more. No call may be left; not from a
 * notice. NULL is fine. */
void atls_batch_queue_free(struct atls_batch_queue *queue);

/* Who is told that a call no longer has to wait: at most once, and never after finish or cancel
 * returned. */
struct atls_batch_notice {
    void (*ready)(void *arg); /* or NULL */
    void *arg;
    int64_t asked_us; /* for atls_batch_asked_us */
};

/* Nothing of challenge is kept. The caller sees to it that the queue is there until this returns,
 * which may be after the call has ended. Errors: ATLS_E_USAGE, ATLS_E_NOMEM (also: no thread to be
 * had), of atls_bundle_kat. */
ATLS_MUST_CHECK enum atls_code atls_batch_start(struct atls_batch_queue *queue,
                                                const struct atls_challenge *challenge,
                                                struct atls_batch_notice notice,
                                                struct atls_attester_call **out,
                                                struct atls_err *err);
void *atls_batch_owner(const struct atls_attester_call *call);
int64_t atls_batch_asked_us(const struct atls_attester_call *call);
/* Waits if it must, and ends the call whatever comes. Errors: those of the quote, ATLS_E_TIMEOUT.
 */
ATLS_MUST_CHECK enum atls_code atls_batch_finish(struct atls_attester_call *call,
                                                 struct atls_buf *out_cmw, struct atls_err *err);
void atls_batch_cancel(struct atls_attester_call *call);

/* start and finish in one; on the caller's thread when the device is free. Errors: as both. */
ATLS_MUST_CHECK enum atls_code atls_batch_evidence(struct atls_batch_queue *queue,
                                                   const struct atls_challenge *challenge,
                                                   struct atls_buf *out_cmw, struct atls_err *err);

#endif
