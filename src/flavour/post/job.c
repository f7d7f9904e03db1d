#include "flavour/post/job.h"

#include <stdlib.h>
#include <string.h>

#include "bind/binder.h"
#include "core/err.h"
#include "core/secret.h"
#include "flavour/post/carrier.h"

/* ---- our own evidence ---- */

static enum atls_code sign(void *arg, enum atls_signature scheme, struct atls_bytes tbs,
                           struct atls_buf *out, struct atls_err *err)
{
    return atls_attester_sign(arg, scheme, tbs, out, err);
}

/* What an authenticator holds beside certificates and evidence: headers, lengths, the context, one
 * signature (RSA-8192: 1024 bytes), one MAC. */
#define AUTHENTICATOR_REST 2048

/* Before signing, because a signed answer cannot become a refusal any more. */
static enum atls_code check_size(const struct atls_post_job *job,
                                 const struct atls_ea_credential *credential, struct atls_err *err)
{
    size_t len = credential->cmw.len + AUTHENTICATOR_REST;

    for (size_t i = 0; i < credential->chain_len; i++)
        len += credential->chain[i].len;
    if (len > job->frame_max)
        return atls_fail(err, ATLS_E_LIMIT,
                         "authenticator with %zu bytes of evidence does not fit the peer's largest "
                         "frame of %u bytes",
                         credential->cmw.len, job->frame_max);
    return ATLS_OK;
}

/* The binder over the key that the attester has now. */
static enum atls_code fill_proof(struct atls_post_job *job, struct atls_err *err)
{
    struct atls_attester *attester = job->base.config->options.attester;

    job->proof.config = job->base.config;
    return atls_binder_make(job->hash, atls_attester_aik_spki(attester), job->exported,
                            &job->proof.binder, err);
}

static enum atls_code attest(struct atls_post_job *job, struct atls_err *err)
{
    struct atls_attester *attester = job->base.config->options.attester;
    struct atls_attester_call *call = job->call;
    struct atls_buf cmw = ATLS_BUF_INIT;
    enum atls_code code = fill_proof(job, err);

    if (code == ATLS_OK) {
        job->call = NULL;
        code = atls_proof_make(&job->proof, call, &cmw, err);
    }
    if (code == ATLS_OK) {
        struct atls_ea_credential credential = {
            .cmw = atls_buf_bytes(&cmw), .scheme = job->scheme, .sign = sign, .sign_arg = attester};

        credential.chain = atls_attester_chain(attester, &credential.chain_len);
        if ((code = check_size(job, &credential, err)) == ATLS_OK)
            code = atls_ea_sign(job->answer, &credential, &job->authenticator, err);
    }
    atls_buf_clear(&cmw);
    return code;
}

static bool start(struct atls_job *base, atls_attester_ready *ready, void *arg)
{
    struct atls_post_job *job = (struct atls_post_job *)base;

    return job->type == ATLS_JOB_ATTEST && job->call == NULL && fill_proof(job, NULL) == ATLS_OK &&
           atls_proof_start(&job->proof, ready, arg, &job->call);
}

/* ---- the peer's evidence ---- */

static enum atls_code find_key(void *arg, struct atls_bytes spki, struct atls_key **out,
                               struct atls_err *err)
{
    return atls_chain_cache_key(arg, spki, out, err);
}

static enum atls_code check_authenticator(struct atls_post_job *job, struct atls_ea_peer *out,
                                          struct atls_err *err)
{
    struct atls_ea_peer peer;
    enum atls_code code =
        atls_ea_validate_finish(job->validation, atls_buf_bytes(&job->authenticator), find_key,
                                job->base.config->cache, &peer, err);

    if (code != ATLS_OK)
        return code;
    if (!peer.attested)
        return atls_fail_alert(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                               ATLS_ALERT_CERTIFICATE_REQUIRED,
                               "authenticator carries no attestation, want cmw_attestation");
    if ((code = atls_buf_copy(&job->spki, peer.spki, err)) != ATLS_OK ||
        (code = atls_buf_copy(&job->certificate, peer.chain[0], err)) != ATLS_OK)
        return code;
    *out = peer;
    return ATLS_OK;
}

/* A failed check stays failed, even when a backend gave a code and no reason. */
static enum atls_code refuse(struct atls_post_job *job, enum atls_code code, uint16_t refusal,
                             struct atls_err *err)
{
    if (err->code != code)
        (void)atls_fail(err, code, "%s, no reason given", atls_code_name(code));
    job->refusal = refusal != ATLS_CARRIER_OK ? refusal : atls_carrier_code_of(err);
    (void)atls_err_prefix(err, code, "peer");
    return code;
}

static enum atls_code judge(struct atls_post_job *job, const struct atls_ea_peer *peer,
                            enum atls_judge_step *out_step, struct atls_err *err)
{
    struct atls_judgement judgement = {
        .config = job->base.config,
        .role = job->role,
        .peer_name = job->peer_name,
        .tls_spki = atls_buf_bytes(&job->tls_spki),
        .known = atls_buf_bytes(&job->known),
        .chain = peer->chain,
        .chain_len = peer->chain_len,
        .spki = peer->spki,
        .cmw = peer->cmw,
    };
    struct atls_binder binder;
    enum atls_code code = atls_binder_make(job->hash, peer->spki, job->exported, &binder, err);

    *out_step = ATLS_JUDGE_EVIDENCE;
    if (code != ATLS_OK)
        return code;
    judgement.binder = atls_binder_bytes(&binder);
    return atls_judge(&judgement, &job->result, out_step, err);
}

/* Each check says for the peer what failed. */
static enum atls_code appraise(struct atls_post_job *job, struct atls_err *err)
{
    static const uint16_t refusals[] = {[ATLS_JUDGE_IDENTITY] = ATLS_CARRIER_IDENTITY,
                                        [ATLS_JUDGE_EVIDENCE] = ATLS_CARRIER_EVIDENCE,
                                        [ATLS_JUDGE_POLICY] = ATLS_CARRIER_POLICY};
    enum atls_judge_step step;
    struct atls_ea_peer peer;
    enum atls_code code = check_authenticator(job, &peer, err);

    if (code != ATLS_OK)
        return refuse(job, code, ATLS_CARRIER_OK, err);
    if ((code = judge(job, &peer, &step, err)) != ATLS_OK)
        return refuse(job, code, atls_is_peers_fault(code) ? refusals[step] : ATLS_CARRIER_OK, err);
    return ATLS_OK;
}

/* ---- life ---- */

static enum atls_code run(struct atls_job *base, struct atls_err *err)
{
    struct atls_post_job *job = (struct atls_post_job *)base;

    return job->type == ATLS_JOB_ATTEST ? attest(job, err) : appraise(job, err);
}

static void free_job(struct atls_job *base)
{
    struct atls_post_job *job = (struct atls_post_job *)base;

    atls_attester_evidence_cancel(job->call);
    atls_ea_answer_free(job->answer);
    atls_ea_validation_free(job->validation);
    free(job->peer_name);
    atls_buf_clear(&job->tls_spki);
    atls_buf_clear(&job->known);
    atls_buf_clear(&job->authenticator);
    atls_result_unref(job->result);
    atls_buf_clear(&job->spki);
    atls_buf_clear(&job->certificate);
    atls_wipe(job, sizeof *job);
    free(job);
}

struct atls_post_job *atls_post_job_new(enum atls_post_job_type type, struct atls_config *config)
{
    static const struct atls_job_kind kind = {run, start, free_job};
    struct atls_post_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return NULL;
    atls_job_init(&job->base, &kind, config);
    job->type = type;
    job->refusal = ATLS_CARRIER_INTERNAL;
    return job;
}
