#include "flavour/base/job.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/secret.h"

void atls_job_init(struct atls_job *job, const struct atls_job_kind *kind,
                   struct atls_config *config)
{
    job->kind = kind;
    job->config = atls_config_ref(config);
    job->code = atls_fail(&job->err, ATLS_E_USAGE, "job: completed without having run");
}

void atls_job_free(struct atls_job *job)
{
    struct atls_config *config;

    if (job == NULL)
        return;
    config = job->config;
    job->kind->free(job);
    atls_config_unref(config);
}

bool atls_job_start(struct atls_job *job, void (*ready)(void *arg), void *arg)
{
    return job->kind->start != NULL && job->kind->start(job, ready, arg);
}

void atls_job_run(struct atls_job *job)
{
    atls_err_clear(&job->err);
    job->code = job->kind->run(job, &job->err);
    if (job->err.code != job->code) /* a backend that gives no reason */
        (void)atls_fail(&job->err, job->code, "%s, no reason given", atls_code_name(job->code));
}

/* ---- proofs ---- */

struct prove_job {
    struct atls_job base;
    struct atls_proof proof;
    struct atls_attester_call *call; /* evidence under way, or NULL */
    struct atls_buf cmw;
};

static enum atls_code prove(struct atls_job *base, struct atls_err *err)
{
    struct prove_job *job = (struct prove_job *)base;
    struct atls_attester_call *call = job->call;

    job->call = NULL;
    atls_buf_clear(&job->cmw);
    return atls_proof_make(&job->proof, call, &job->cmw, err);
}

static bool start_proving(struct atls_job *base, atls_attester_ready *ready, void *arg)
{
    struct prove_job *job = (struct prove_job *)base;

    return job->call == NULL && atls_proof_start(&job->proof, ready, arg, &job->call);
}

static void free_prove_job(struct atls_job *base)
{
    struct prove_job *job = (struct prove_job *)base;

    atls_attester_evidence_cancel(job->call);
    atls_buf_clear(&job->cmw);
    atls_wipe(&job->proof, sizeof job->proof);
    free(job);
}

enum atls_code atls_prove_job_new(const struct atls_proof *proof, struct atls_job **out,
                                  struct atls_err *err)
{
    static const struct atls_job_kind kind = {prove, start_proving, free_prove_job};
    struct prove_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "attestation: out of memory");
    atls_job_init(&job->base, &kind, proof->config);
    job->proof = *proof;
    *out = &job->base;
    return ATLS_OK;
}

struct atls_buf atls_prove_job_take(struct atls_job *base)
{
    struct prove_job *job = (struct prove_job *)base;
    struct atls_buf cmw = job->cmw;

    job->cmw = (struct atls_buf)ATLS_BUF_INIT;
    return cmw;
}

/* ---- judgements ---- */

struct judge_job {
    struct atls_job base;
    struct atls_judgement judgement; /* views of what follows */
    struct atls_buf copy; /* of everything that the judgement names, one after the other */
    struct atls_bytes chain[ATLS_CHAIN_MAX];
    enum atls_judge_step step;
    struct atls_result *result;
};

static enum atls_code judge(struct atls_job *base, struct atls_err *err)
{
    struct judge_job *job = (struct judge_job *)base;

    atls_result_unref(job->result);
    return atls_judge(&job->judgement, &job->result, &job->step, err);
}

static void free_judge_job(struct atls_job *base)
{
    struct judge_job *job = (struct judge_job *)base;

    atls_result_unref(job->result);
    atls_buf_clear(&job->copy);
    free(job);
}

static size_t size_of(const struct atls_judgement *j)
{
    size_t len = j->tls_spki.len + j->known.len + j->spki.len + j->cmw.len + j->binder.len +
                 j->nonce.len + (j->peer_name == NULL ? 0 : strlen(j->peer_name) + 1);

    for (size_t i = 0; i < j->chain_len; i++)
        len += j->chain[i].len;
    return len;
}

/* Copies bytes to *end, which moves on. */
static struct atls_bytes keep(struct atls_bytes bytes, uint8_t **end)
{
    uint8_t *start = *end;

    if (bytes.len == 0)
        return atls_bytes_of(NULL, 0);
    memcpy(start, bytes.ptr, bytes.len);
    *end += bytes.len;
    return atls_bytes_of(start, bytes.len);
}

static void keep_all(struct judge_job *job, const struct atls_judgement *j)
{
    uint8_t *end = job->copy.ptr;

    job->judgement = *j;
    job->judgement.tls_spki = keep(j->tls_spki, &end);
    job->judgement.known = keep(j->known, &end);
    job->judgement.spki = keep(j->spki, &end);
    job->judgement.cmw = keep(j->cmw, &end);
    job->judgement.binder = keep(j->binder, &end);
    job->judgement.nonce = keep(j->nonce, &end);
    if (j->peer_name != NULL)
        job->judgement.peer_name =
            (const char *)keep(atls_bytes_of(j->peer_name, strlen(j->peer_name) + 1), &end).ptr;
    for (size_t i = 0; i < j->chain_len; i++)
        job->chain[i] = keep(j->chain[i], &end);
    job->judgement.chain = job->chain;
}

enum atls_code atls_judge_job_new(const struct atls_judgement *judgement, struct atls_job **out,
                                  struct atls_err *err)
{
    static const struct atls_job_kind kind = {judge, NULL, free_judge_job};
    size_t len = size_of(judgement);
    struct judge_job *job;

    if (judgement->chain_len == 0 || judgement->chain_len > ATLS_CHAIN_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "certificate chain of %zu, want 1 to %d",
                         judgement->chain_len, ATLS_CHAIN_MAX);
    if ((job = calloc(1, sizeof *job)) == NULL || (job->copy.ptr = malloc(len)) == NULL) {
        free(job);
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    }
    job->copy.len = len;
    atls_job_init(&job->base, &kind, judgement->config);
    keep_all(job, judgement);
    *out = &job->base;
    return ATLS_OK;
}

struct atls_result *atls_judge_job_result(struct atls_job *base)
{
    struct judge_job *job = (struct judge_job *)base;

    return job->result == NULL ? NULL : atls_result_ref(job->result);
}

enum atls_judge_step atls_judge_job_step(const struct atls_job *base)
{
    return ((const struct judge_job *)base)->step;
}
