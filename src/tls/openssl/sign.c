#include "tls/openssl/sign.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/async.h>

#include "core/err.h"

static _Thread_local struct atls_handshake *driven;

void atls_sign_enter(struct atls_handshake *h)
{
    driven = h;
}

/* ---- as a job ---- */

struct sign_job {
    struct atls_job base;
    struct atls_attester *attester; /* referenced */
    enum atls_signature scheme;
    struct atls_buf tbs, signature;
};

static enum atls_code run_job(struct atls_job *base, struct atls_err *err)
{
    struct sign_job *job = (struct sign_job *)base;

    atls_buf_clear(&job->signature);
    return atls_attester_sign(job->attester, job->scheme, atls_buf_bytes(&job->tbs),
                              &job->signature, err);
}

static void free_job(struct atls_job *base)
{
    struct sign_job *job = (struct sign_job *)base;

    atls_attester_unref(job->attester);
    atls_buf_clear(&job->tbs);
    atls_buf_clear(&job->signature);
    free(job);
}

static enum atls_code take(struct sign_job *job, struct atls_buf *out, struct atls_err *err)
{
    if (job->base.code != ATLS_OK) {
        if (err != NULL)
            *err = job->base.err;
        return job->base.code;
    }
    *out = job->signature;
    job->signature = (struct atls_buf)ATLS_BUF_INIT;
    return ATLS_OK;
}

static enum atls_code sign_by_job(struct atls_handshake *h, struct sign_job *job,
                                  struct atls_buf *out, struct atls_err *err)
{
    static const struct atls_job_kind kind = {run_job, NULL, free_job};
    struct atls_job *back;
    enum atls_code code;

    atls_job_init(&job->base, &kind, h->config);
    if ((code = atls_handshake_give(h, &job->base, &back, err)) != ATLS_OK)
        return code;
    code = take((struct sign_job *)back, out, err);
    atls_job_free(back);
    return code;
}

/* ---- in a thread ---- */

static void *run_thread(void *arg)
{
    struct sign_job *job = arg;

    job->base.code = run_job(&job->base, &job->base.err);
    return NULL;
}

static enum atls_code sign_by_thread(struct sign_job *job, struct atls_buf *out,
                                     struct atls_err *err)
{
    pthread_t thread;
    enum atls_code code;

    if (pthread_create(&thread, NULL, run_thread, job) != 0) {
        code = atls_fail(err, ATLS_E_NOMEM, "key of the attester: no thread to sign in");
    } else {
        (void)pthread_join(thread, NULL);
        code = take(job, out, err);
    }
    free_job(&job->base);
    return code;
}

enum atls_code atls_sign_outside(struct atls_attester *attester, enum atls_signature scheme,
                                 struct atls_bytes tbs, struct atls_buf *out, struct atls_err *err)
{
    struct atls_handshake *h = driven;
    struct sign_job *job;
    enum atls_code code;

    if (ASYNC_get_current_job() == NULL)
        return atls_attester_sign(attester, scheme, tbs, out, err);
    if ((job = calloc(1, sizeof *job)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "key of the attester: out of memory");
    if ((code = atls_buf_copy(&job->tbs, tbs, err)) != ATLS_OK) {
        free(job);
        return code;
    }
    job->attester = atls_attester_ref(attester);
    job->scheme = scheme;
    return h != NULL && h->gives_jobs ? sign_by_job(h, job, out, err)
                                      : sign_by_thread(job, out, err);
}
