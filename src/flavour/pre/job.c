#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"
#include "flavour/pre/keeper.h"

/* A certificate for one connection need not outlive it by much. */
#define ONE_CONNECTION_S 3600

struct make_job {
    struct atls_job base;
    struct atls_proof proof;
    bool answers_nonce;
    struct atls_attester_call *call; /* evidence under way, or NULL */
    struct atls_pre_keeper *keeper;  /* referenced, until it was told; or NULL */
    struct atls_pre_chain *chain;
};

static uint32_t lifetime_of(const struct make_job *job)
{
    const uint32_t lifetime = atls_pre_lifetime_s(job->base.config);

    return job->answers_nonce && lifetime > ONE_CONNECTION_S ? ONE_CONNECTION_S : lifetime;
}

static enum atls_code wrap(struct make_job *job, struct atls_bytes cmw, struct atls_err *err)
{
    const struct atls_config_options *o = &job->base.config->options;
    const struct atls_pre_template t = {
        .attester = o->attester,
        .form = ATLS_RA_FORM_CMW,
        .lifetime_s = lifetime_of(job),
        .now_s = atls_clock_wall_s(&o->clock),
    };
    struct atls_buf leaf = ATLS_BUF_INIT;
    enum atls_code code = atls_pre_wrap(&t, cmw, &leaf, err);

    if (code == ATLS_OK)
        code = atls_pre_chain_new(o->attester, atls_buf_bytes(&leaf), &job->chain, err);
    atls_buf_clear(&leaf);
    return code;
}

static void tell(struct make_job *job, struct atls_buf *cmw)
{
    struct atls_pre_keeper *keeper = job->keeper;

    job->keeper = NULL;
    if (keeper != NULL)
        atls_pre_keeper_settle(keeper, job->chain, cmw);
    atls_pre_keeper_unref(keeper);
}

static enum atls_code make(struct atls_job *base, struct atls_err *err)
{
    struct make_job *job = (struct make_job *)base;
    struct atls_attester_call *call = job->call;
    struct atls_buf cmw = ATLS_BUF_INIT;
    enum atls_code code;

    job->call = NULL;
    atls_pre_chain_unref(job->chain);
    job->chain = NULL;
    code = atls_proof_make(&job->proof, call, &cmw, err);
    if (code == ATLS_OK && job->keeper != NULL)
        job->chain = atls_pre_keeper_same(job->keeper, atls_buf_bytes(&cmw));
    if (code == ATLS_OK && job->chain == NULL)
        code = wrap(job, atls_buf_bytes(&cmw), err);
    tell(job, &cmw);
    atls_buf_clear(&cmw);
    return code;
}

static bool start(struct atls_job *base, atls_attester_ready *ready, void *arg)
{
    struct make_job *job = (struct make_job *)base;

    return job->call == NULL && atls_proof_start(&job->proof, ready, arg, &job->call);
}

static void free_job(struct atls_job *base)
{
    struct make_job *job = (struct make_job *)base;
    struct atls_buf nothing = ATLS_BUF_INIT;

    tell(job, &nothing);
    atls_attester_evidence_cancel(job->call);
    atls_pre_chain_unref(job->chain);
    atls_wipe(&job->proof, sizeof job->proof);
    free(job);
}

/* Nobody can say which profiles the peer takes: those that every one takes, or what there is. */
static unsigned int profiles_of(const struct atls_attester *attester)
{
    const unsigned int all = atls_attester_profiles(attester), usual = ATLS_PRE_PROFILES & all;

    return usual != 0 ? usual : all;
}

static enum atls_code new_job(struct atls_config *config, const struct atls_pre_nonce *nonce,
                              struct make_job **out, struct atls_err *err)
{
    static const struct atls_job_kind kind = {make, start, free_job};
    const struct atls_config_options *o = &config->options;
    const struct atls_bytes bytes =
        nonce != NULL ? atls_pre_nonce_bytes(nonce) : atls_bytes_of(NULL, 0);
    struct atls_proof proof = {
        .config = config,
        .profiles = profiles_of(o->attester),
        .shows_result = o->passport != NULL,
        .echoes_binder = nonce != NULL,
    };
    enum atls_code code =
        atls_binder_pre(bytes, atls_attester_aik_spki(o->attester), &proof.binder, err);
    struct make_job *job;

    if (code != ATLS_OK)
        return code;
    if ((job = calloc(1, sizeof *job)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate: out of memory");
    atls_job_init(&job->base, &kind, config);
    job->proof = proof;
    job->answers_nonce = nonce != NULL;
    *out = job;
    return ATLS_OK;
}

enum atls_code atls_pre_make_job_new(struct atls_config *config, const struct atls_pre_nonce *nonce,
                                     struct atls_job **out, struct atls_err *err)
{
    struct make_job *job = NULL;
    enum atls_code code = new_job(config, nonce, &job, err);

    if (code == ATLS_OK)
        *out = &job->base;
    return code;
}

enum atls_code atls_pre_keeper_job_new(struct atls_pre_keeper *keeper, struct atls_config *config,
                                       struct atls_job **out, struct atls_err *err)
{
    struct make_job *job = NULL;
    enum atls_code code = new_job(config, NULL, &job, err);

    if (code != ATLS_OK)
        return code;
    job->keeper = atls_pre_keeper_ref(keeper);
    *out = &job->base;
    return ATLS_OK;
}

struct atls_pre_chain *atls_pre_make_job_chain(struct atls_job *base)
{
    struct make_job *job = (struct make_job *)base;

    return base->code == ATLS_OK && job->chain != NULL ? atls_pre_chain_ref(job->chain) : NULL;
}
