#include "flavour/post/job.h"

#include <stdlib.h>
#include <string.h>

#include "bind/binder.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "flavour/post/carrier.h"

struct atls_job *atls_job_new(enum atls_job_type type, struct atls_config *config)
{
    struct atls_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return NULL;
    job->type = type;
    job->config = atls_config_ref(config);
    job->code = atls_fail(&job->err, ATLS_E_USAGE, "job: completed without having run");
    job->refusal = ATLS_CARRIER_INTERNAL;
    return job;
}

void atls_job_free(struct atls_job *job)
{
    if (job == NULL)
        return;
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
    atls_config_unref(job->config);
    atls_wipe(job->exported, sizeof job->exported);
    free(job);
}

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
static enum atls_code check_size(const struct atls_job *job,
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

/* Nobody waits longer than for the gate. */
static struct atls_challenge challenge_of(const struct atls_job *job,
                                          const struct atls_binder *binder)
{
    return (struct atls_challenge){.binder = atls_binder_bytes(binder),
                                   .profiles = job->profiles,
                                   .timeout_ms = job->config->options.gate_timeout_ms};
}

static enum atls_code make_cmw(struct atls_job *job, const struct atls_binder *binder,
                               struct atls_buf *out, struct atls_err *err)
{
    const struct atls_config_options *o = &job->config->options;
    const struct atls_challenge challenge = challenge_of(job, binder);
    struct atls_attester_call *call = job->call;

    job->call = NULL;
    if (call != NULL)
        return atls_attester_evidence_finish(call, out, err);
    if (!job->shows_result)
        return atls_attester_evidence_for(o->attester, &challenge, out, err);
    return atls_passport_result(
        o->passport, job->echoes_binder ? atls_binder_bytes(binder) : atls_bytes_of(NULL, 0), out,
        err);
}

static enum atls_code attest(struct atls_job *job, struct atls_err *err)
{
    struct atls_attester *attester = job->config->options.attester;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_binder binder;
    enum atls_code code;

    code =
        atls_binder_make(job->hash, atls_attester_aik_spki(attester), job->exported, &binder, err);
    if (code == ATLS_OK)
        code = make_cmw(job, &binder, &cmw, err);
    if (code == ATLS_OK) {
        struct atls_ea_credential credential = {
            .cmw = atls_buf_bytes(&cmw), .scheme = job->scheme, .sign = sign, .sign_arg = attester};

        credential.chain = atls_attester_chain(attester, &credential.chain_len);
        if ((code = check_size(job, &credential, err)) == ATLS_OK)
            code = atls_ea_sign(job->answer, &credential, &job->authenticator, err);
    }
    atls_buf_clear(&cmw);
    atls_wipe(&binder, sizeof binder);
    return code;
}

bool atls_job_start(struct atls_job *job, void (*ready)(void *arg), void *arg)
{
    struct atls_attester *attester = job->config->options.attester;
    struct atls_challenge challenge;
    struct atls_binder binder;
    bool waits = false;

    if (job->type != ATLS_JOB_ATTEST || job->shows_result || job->call != NULL)
        return false;
    if (atls_binder_make(job->hash, atls_attester_aik_spki(attester), job->exported, &binder,
                         NULL) == ATLS_OK) {
        challenge = challenge_of(job, &binder);
        waits = atls_attester_evidence_start(attester, &challenge, ready, arg, &job->call, NULL) ==
                ATLS_OK;
    }
    atls_wipe(&binder, sizeof binder);
    return waits;
}

/* ---- the peer's evidence ---- */

static enum atls_code find_key(void *arg, struct atls_bytes spki, struct atls_key **out,
                               struct atls_err *err)
{
    return atls_chain_cache_key(arg, spki, out, err);
}

static enum atls_code check_authenticator(struct atls_job *job, struct atls_ea_peer *out,
                                          struct atls_err *err)
{
    struct atls_ea_peer peer;
    enum atls_code code =
        atls_ea_validate_finish(job->validation, atls_buf_bytes(&job->authenticator), find_key,
                                job->config->cache, &peer, err);

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

static enum atls_code check_chain(struct atls_job *job, const struct atls_ea_peer *peer,
                                  struct atls_err *err)
{
    const struct atls_chain_check check = {
        .purpose = job->role == ATLS_ROLE_CLIENT ? ATLS_CHAIN_TLS_SERVER : ATLS_CHAIN_TLS_CLIENT,
        .time_s = atls_clock_wall_s(&job->config->options.clock),
        .name = job->peer_name,
        .anchors = job->config->anchors,
    };
    struct atls_chain_result result = {0};
    enum atls_code code = atls_chain_cache_verify(job->config->cache, peer->chain, peer->chain_len,
                                                  &check, &result, err);

    if (code == ATLS_OK)
        atls_chain_result_clear(&result);
    return code;
}

/* docs/identity.md. A peer with our own key would make our binder its own. */
static enum atls_code check_identity(struct atls_job *job, const struct atls_ea_peer *peer,
                                     struct atls_err *err)
{
    const struct atls_config_options *o = &job->config->options;
    enum atls_code code = ATLS_OK;

    if (o->attester != NULL && atls_bytes_equal(peer->spki, atls_attester_aik_spki(o->attester)))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_EQUAL_KEYS,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "attestation identity key equals our own, want two keys");
    if (job->known.len != 0 && !atls_bytes_equal(peer->spki, atls_buf_bytes(&job->known)))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_IDENTITY_MISMATCH,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "attestation identity key is another than when this connection "
                               "was attested first");
    switch (o->identity) {
    case ATLS_IDENTITY_PKIX:
        return check_chain(job, peer, err);
    case ATLS_IDENTITY_SAME_KEY:
        if (!atls_bytes_equal(peer->spki, atls_buf_bytes(&job->tls_spki)))
            return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_IDENTITY_MISMATCH,
                                   ATLS_ALERT_BAD_CERTIFICATE,
                                   "attestation identity key is not the key of the TLS "
                                   "certificate, which identity same-key wants");
        break;
    case ATLS_IDENTITY_ATTESTED: /* the evidence names this key, and nothing else vouches for it */
        break;
    case ATLS_IDENTITY_NONE:
        code = atls_fail(err, ATLS_E_INTERNAL, "identity: none, which the configuration excludes");
        break;
    }
    return code;
}

/* Whatever verifier it is: the technology is one that the configuration accepts. */
static enum atls_code check_type(const struct atls_job *job, struct atls_err *err)
{
    const char *type = atls_result_evidence_type(job->result);
    struct atls_bytes accepted = atls_buf_bytes(&job->config->technologies);

    if (accepted.len == 0) {
        if (!atls_result_insecure(job->result))
            return ATLS_OK;
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY,
                                "result about evidence of type \"%s\", which anyone can make, and "
                                "which is not accepted here",
                                type);
    }
    if (!atls_names_contain(accepted, atls_bytes_of(type, strlen(type))))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "evidence is of type \"%s\", which is not accepted here", type);
    return ATLS_OK;
}

static enum atls_code check_evidence(struct atls_job *job, const struct atls_ea_peer *peer,
                                     struct atls_err *err)
{
    const struct atls_config_options *o = &job->config->options;
    struct atls_appraisal appraisal = {
        .evidence = peer->cmw,
        .aik_spki = peer->spki,
        .time_s = atls_clock_wall_s(&o->clock),
        .profiles = job->config->profiles,
    };
    struct atls_binder binder;
    enum atls_code code = atls_binder_make(job->hash, peer->spki, job->exported, &binder, err);

    if (code != ATLS_OK)
        return code;
    appraisal.binder = atls_binder_bytes(&binder);
    code = atls_verifier_appraise(o->verifier, &appraisal, &job->result, err);
    return code == ATLS_OK ? check_type(job, err) : code;
}

static enum atls_code check_policy(struct atls_job *job, const struct atls_ea_peer *peer,
                                   struct atls_err *err)
{
    struct atls_decision decision;
    enum atls_code code =
        atls_policy_decide(job->config->options.policy, job->result, &decision, err);

    (void)peer; /* the policy sees the result only */
    if (code != ATLS_OK)
        return code;
    if (!decision.accept)
        return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_POLICY, "policy refused: %s",
                                decision.reason_count == 0 ? "no reason given"
                                                           : decision.reasons[0]);
    return ATLS_OK;
}

/* True when a failure lies in what the peer sent, not in what this side could not do. */
static bool is_peers_fault(enum atls_code code)
{
    switch (code) {
    case ATLS_E_DECODE:
    case ATLS_E_UNSUPPORTED:
    case ATLS_E_VERIFY:
    case ATLS_E_CERTIFICATE:
    case ATLS_E_PROTOCOL:
    case ATLS_E_EVIDENCE:
    case ATLS_E_LIMIT:
        return true;
    default:
        return false;
    }
}

/* A failed check stays failed, even when a backend gave a code and no reason. */
static enum atls_code refuse(struct atls_job *job, enum atls_code code, uint16_t refusal,
                             struct atls_err *err)
{
    if (err->code != code)
        (void)atls_fail(err, code, "%s, no reason given", atls_code_name(code));
    job->refusal = refusal != ATLS_CARRIER_OK ? refusal : atls_carrier_code_of(err);
    (void)atls_err_prefix(err, code, "peer");
    return code;
}

/* The order is that of cost and of what a later check needs; each says for the peer what failed. */
static enum atls_code appraise(struct atls_job *job, struct atls_err *err)
{
    static const struct {
        enum atls_code (*check)(struct atls_job *, const struct atls_ea_peer *, struct atls_err *);
        enum atls_carrier_code refusal;
    } steps[] = {
        {check_identity, ATLS_CARRIER_IDENTITY},
        {check_evidence, ATLS_CARRIER_EVIDENCE},
        {check_policy, ATLS_CARRIER_POLICY},
    };
    struct atls_ea_peer peer;
    enum atls_code code = check_authenticator(job, &peer, err);

    if (code != ATLS_OK)
        return refuse(job, code, ATLS_CARRIER_OK, err);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if ((code = steps[i].check(job, &peer, err)) != ATLS_OK)
            return refuse(job, code,
                          is_peers_fault(code) ? (uint16_t)steps[i].refusal : ATLS_CARRIER_OK, err);
    return ATLS_OK;
}

void atls_job_run(struct atls_job *job)
{
    atls_err_clear(&job->err);
    job->code = job->type == ATLS_JOB_ATTEST ? attest(job, &job->err) : appraise(job, &job->err);
    if (job->err.code != job->code) /* an attester that gives no reason */
        (void)atls_fail(&job->err, job->code, "attester: %s, no reason given",
                        atls_code_name(job->code));
}
