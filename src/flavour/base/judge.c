#include "flavour/base/judge.h"

#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/reader.h"
#include "flavour/base/names.h"

/* ---- our side ---- */

/* Nobody waits longer than for the gate. */
static struct atls_challenge challenge_of(const struct atls_proof *proof)
{
    return (struct atls_challenge){.binder = atls_binder_bytes(&proof->binder),
                                   .profiles = proof->profiles,
                                   .timeout_ms = proof->config->options.gate_timeout_ms};
}

bool atls_proof_start(const struct atls_proof *proof, atls_attester_ready *ready, void *arg,
                      struct atls_attester_call **out_call)
{
    const struct atls_challenge challenge = challenge_of(proof);

    return !proof->shows_result &&
           atls_attester_evidence_start(proof->config->options.attester, &challenge, ready, arg,
                                        out_call, NULL) == ATLS_OK;
}

enum atls_code atls_proof_make(const struct atls_proof *proof, struct atls_attester_call *call,
                               struct atls_buf *out_cmw, struct atls_err *err)
{
    const struct atls_config_options *o = &proof->config->options;
    const struct atls_challenge challenge = challenge_of(proof);

    if (call != NULL)
        return atls_attester_evidence_finish(call, out_cmw, err);
    if (!proof->shows_result)
        return atls_attester_evidence_for(o->attester, &challenge, out_cmw, err);
    return atls_passport_result(o->passport,
                                proof->echoes_binder ? challenge.binder : atls_bytes_of(NULL, 0),
                                out_cmw, err);
}

/* ---- the peer ---- */

static enum atls_code check_chain(const struct atls_judgement *j, struct atls_err *err)
{
    const struct atls_chain_check check = {
        .purpose = j->role == ATLS_ROLE_CLIENT ? ATLS_CHAIN_TLS_SERVER : ATLS_CHAIN_TLS_CLIENT,
        .time_s = atls_clock_wall_s(&j->config->options.clock),
        .name = j->peer_name,
        .anchors = j->config->anchors,
    };
    struct atls_chain_result result = {0};
    enum atls_code code =
        atls_chain_cache_verify(j->config->cache, j->chain, j->chain_len, &check, &result, err);

    if (code == ATLS_OK)
        atls_chain_result_clear(&result);
    return code;
}

/* docs/identity.md. A peer with our own key would make our binder its own. */
static enum atls_code check_identity(const struct atls_judgement *j, struct atls_err *err)
{
    const struct atls_config_options *o = &j->config->options;
    enum atls_code code = ATLS_OK;

    if (o->attester != NULL && atls_bytes_equal(j->spki, atls_attester_aik_spki(o->attester)))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_EQUAL_KEYS,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "attestation identity key equals our own, want two keys");
    if (j->known.len != 0 && !atls_bytes_equal(j->spki, j->known))
        return atls_fail_alert(err, ATLS_E_CERTIFICATE, ATLS_REASON_IDENTITY_MISMATCH,
                               ATLS_ALERT_BAD_CERTIFICATE,
                               "attestation identity key is another than when this connection "
                               "was attested first");
    switch (o->identity) {
    case ATLS_IDENTITY_PKIX:
        return check_chain(j, err);
    case ATLS_IDENTITY_SAME_KEY:
        if (!atls_bytes_equal(j->spki, j->tls_spki))
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
static enum atls_code check_type(const struct atls_config *config, const struct atls_result *result,
                                 struct atls_err *err)
{
    const char *type = atls_result_evidence_type(result);
    struct atls_bytes accepted = atls_buf_bytes(&config->technologies);

    if (accepted.len == 0) {
        if (!atls_result_insecure(result))
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

static enum atls_code check_evidence(const struct atls_judgement *j, struct atls_result **out,
                                     struct atls_err *err)
{
    const struct atls_config_options *o = &j->config->options;
    const struct atls_appraisal appraisal = {
        .evidence = j->cmw,
        .binder = j->binder,
        .aik_spki = j->spki,
        .time_s = atls_clock_wall_s(&o->clock),
        .profiles = j->config->profiles,
        .nonce = j->nonce,
    };
    enum atls_code code = atls_verifier_appraise(o->verifier, &appraisal, out, err);

    return code == ATLS_OK ? check_type(j->config, *out, err) : code;
}

static enum atls_code check_policy(const struct atls_config *config, struct atls_result *result,
                                   struct atls_err *err)
{
    struct atls_decision decision;
    enum atls_code code = atls_policy_decide(config->options.policy, result, &decision, err);

    if (code != ATLS_OK)
        return code;
    if (!decision.accept)
        return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_POLICY, "policy refused: %s",
                                decision.reason_count == 0 ? "no reason given"
                                                           : decision.reasons[0]);
    return ATLS_OK;
}

enum atls_code atls_judge(const struct atls_judgement *judgement, struct atls_result **out_result,
                          enum atls_judge_step *out_step, struct atls_err *err)
{
    enum atls_code code;

    *out_result = NULL;
    *out_step = ATLS_JUDGE_IDENTITY;
    if ((code = check_identity(judgement, err)) != ATLS_OK)
        return code;
    *out_step = ATLS_JUDGE_EVIDENCE;
    if ((code = check_evidence(judgement, out_result, err)) != ATLS_OK)
        return code;
    *out_step = ATLS_JUDGE_POLICY;
    return check_policy(judgement->config, *out_result, err);
}

enum atls_code atls_judge_unattested(const struct atls_judgement *judgement, struct atls_err *err)
{
    const struct atls_config_options *o = &judgement->config->options;

    if (!o->require_peer || !o->peer_optional)
        return atls_fail(err, ATLS_E_USAGE, "judgement: attestation of the peer is not optional");
    return o->identity == ATLS_IDENTITY_PKIX ? check_chain(judgement, err) : ATLS_OK;
}

bool atls_is_peers_fault(enum atls_code code)
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
