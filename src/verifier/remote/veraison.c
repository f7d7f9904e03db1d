/* "veraison:URL": the background check. What is checked here, whatever the service says, and what
 * is the service's, is in docs/veraison.md. */
#include <atls/remote.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "evidence/evidence.h"
#include "verifier/remote/accept_token.h"
#include "verifier/remote/client.h"
#include "verifier/remote/json.h"
#include "verifier/result.h"

#define MAX_AGE_S INT64_C(300)

struct veraison {
    struct atls_veraison_client *client;
    struct atls_evidence_options evidence_options;
    struct atls_rules rules; /* that evidence_options point at */
    uint32_t timeout_ms;
    int64_t max_age_s;
    struct atls_log log;
};

static void veraison_close(void *self)
{
    struct veraison *v = self;

    atls_veraison_client_unref(v->client);
    free(v);
}

static enum atls_code check_options(const struct atls_verifier_options *options,
                                    struct atls_err *err)
{
    if (options->result_max_age_s < 0)
        return atls_fail(err, ATLS_E_CONFIG, "verifier: results of at most %" PRId64 " s of age",
                         options->result_max_age_s);
    return ATLS_OK;
}

static enum atls_code take_options(struct veraison *v, const struct atls_verifier_options *options,
                                   struct atls_err *err)
{
    v->evidence_options.rules = &v->rules;
    v->evidence_options.allow_sha1_pcr_bank = options->allow_sha1_pcr_bank;
    v->evidence_options.allow_unsafe_clock = options->allow_unsafe_clock;
    v->evidence_options.require_ak_eku = options->require_ak_eku;
    v->evidence_options.allow_insecure_technology = options->allow_insecure_technology;
    v->evidence_options.allow_ima_violations = options->allow_ima_violations;
    v->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : ATLS_VERAISON_TIMEOUT_MS;
    v->max_age_s = options->result_max_age_s != 0 ? options->result_max_age_s : MAX_AGE_S;
    v->log = options->log;
    return atls_rules_set_all(&v->rules, options->rules, err);
}

static enum atls_code veraison_open(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    const struct atls_veraison_options client = {
        .url = rest,
        .http = {.ca_file = options->ca_file},
        .result_keys = options->result_keys,
        .log = options->log,
    };
    struct veraison *v;
    enum atls_code code;

    if ((code = check_options(options, err)) != ATLS_OK)
        return code;
    if ((v = calloc(1, sizeof *v)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "verifier: out of memory");
    if ((code = take_options(v, options, err)) != ATLS_OK ||
        (code = atls_veraison_client_new(&client, &v->client, err)) != ATLS_OK) {
        veraison_close(v);
        return code;
    }
    *out_self = v;
    return ATLS_OK;
}

/* What the service did wrong is not the peer's fault: codes that a session would hold against the
 * peer become the one that says that nothing is known. Evidence of a type that the service does not
 * take is the peer's, who chose it. */
static enum atls_code blame_service(const struct veraison *v, enum atls_code code,
                                    struct atls_err *err)
{
    switch (code) {
    case ATLS_E_DECODE:
    case ATLS_E_VERIFY:
    case ATLS_E_CERTIFICATE:
    case ATLS_E_PROTOCOL:
    case ATLS_E_LIMIT:
    case ATLS_E_IO:
        code = ATLS_E_UNAVAILABLE;
        break;
    default:
        break;
    }
    return atls_remote_recode(err, code, atls_veraison_client_url(v->client));
}

/* ---- the result ---- */

/* Everything of one appraisal. */
struct appraisal {
    struct veraison *v;
    const struct atls_appraisal *asked;
    int64_t deadline_ms;
    struct atls_claims claims; /* of our own check */
    struct atls_veraison_answer answer;
    struct atls_ear ear;
    bool has_ear;
};

/* Signature, profile, times and nonce of the token. */
static enum atls_code accept_ear(struct appraisal *a, struct atls_err *err)
{
    const struct atls_token_check check = {
        .keys = atls_veraison_client_keys(a->v->client),
        .deadline_ms = a->deadline_ms,
        .time_s = a->asked->time_s,
        .max_age_s = a->v->max_age_s,
        .nonce = atls_bytes_of(a->answer.nonce, a->answer.nonce_len),
    };
    enum atls_code code =
        atls_remote_accept(atls_buf_bytes(&a->answer.token), &check, &a->ear, err);

    a->has_ear = code == ATLS_OK;
    /* An algorithm or a profile that is not known is no word about the evidence. */
    return code == ATLS_E_UNSUPPORTED ? ATLS_E_PROTOCOL : code;
}

static bool has_trust(const struct atls_ear_appraisal *submod, int8_t value)
{
    for (size_t i = 0; i < ATLS_TRUST_CLAIMS; i++)
        if (submod->has_vector && submod->trust[i] == value)
            return true;
    return false;
}

/* The check that a Verifier of ours names, else what the vector says. */
static enum atls_reason reason_of(const struct atls_ear *ear,
                                  const struct atls_ear_appraisal *submod)
{
    enum atls_reason named = atls_received_reason(ear);

    if (named != ATLS_REASON_POLICY)
        return named;
    return has_trust(submod, 97) ? ATLS_REASON_UNTRUSTED_AK : ATLS_REASON_SIGNATURE;
}

/* What a result means that does not attest the key (draft-ietf-rats-ar4si section 2.3.4). */
static enum atls_code explain_no_key(const struct atls_ear *ear,
                                     const struct atls_ear_appraisal *submod, struct atls_err *err)
{
    struct atls_bytes said = atls_received_problem(submod);
    char name[40], problem[160];

    if (said.len == 0)
        said = atls_bytes_of("no reason given", 15);
    atls_escape(submod->name, name, sizeof name);
    atls_escape(said, problem, sizeof problem);
    if (has_trust(submod, -1))
        return atls_fail(err, ATLS_E_UNAVAILABLE, "%s: the service could not appraise: %s", name,
                         problem);
    if (has_trust(submod, 1))
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "%s: the service did not expect this evidence: %s", name, problem);
    if (submod->status == ATLS_TIER_CONTRAINDICATED)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, reason_of(ear, submod),
                                "%s: the service finds the evidence not genuine: %s", name,
                                problem);
    if (submod->status == ATLS_TIER_NONE)
        return ATLS_OK; /* no statement: a policy refuses it, and may say why */
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                            "%s: the result attests no key", name);
}

static bool is_acceptable(const struct atls_ear_appraisal *submod)
{
    return submod->status == ATLS_TIER_AFFIRMING || submod->status == ATLS_TIER_WARNING;
}

/* Of a platform token alone the service attests no key: what ties key and token was checked here.
 * It has to be genuine, and one that a policy can look at. */
static enum atls_code check_token(const struct atls_ear *ear, bool acceptable, struct atls_err *err)
{
    enum atls_code code;

    for (size_t i = 0; i < ear->submod_count; i++)
        if (!acceptable && (code = explain_no_key(ear, &ear->submods[i], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* One submodule that attests the key will do; what the others found is for the policy. But where
 * some are acceptable it is one of them: a policy may look at these alone. */
static enum atls_code check_keys(const struct atls_ear *ear, bool names_no_key,
                                 struct atls_err *err)
{
    bool acceptable = false;
    enum atls_code code;

    for (size_t i = 0; i < ear->submod_count; i++)
        acceptable = acceptable || is_acceptable(&ear->submods[i]);
    if (names_no_key)
        return check_token(ear, acceptable, err);
    for (size_t i = 0; i < ear->submod_count; i++)
        if (ear->submods[i].key.len > 0 && (!acceptable || is_acceptable(&ear->submods[i])))
            return ATLS_OK;
    for (size_t i = 0; i < ear->submod_count; i++)
        if (ear->submods[i].key.len == 0 &&
            (code = explain_no_key(ear, &ear->submods[i], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* The result in the place of one of our own. The nonce that was sent stands for the binder: it is
 * the binder, or what the TPM signs for it. */
static enum atls_code take_result(struct appraisal *a, struct atls_result **out,
                                  struct atls_err *err)
{
    const struct atls_result_source source = {
        .ear = &a->ear,
        .technology = a->claims.technology,
        .insecure = a->claims.insecure,
        .key = a->claims.key_spki,
        .instance = a->claims.instance,
    };
    enum atls_code code;

    if (!atls_arena_copy(&a->ear.arena, a->asked->binder, &a->ear.nonces[0]))
        return atls_fail(err, ATLS_E_NOMEM, "result: out of memory");
    a->ear.nonce_count = 1;
    if ((code = atls_result_from_ear(&source, out, err)) == ATLS_OK)
        a->has_ear = false;
    return code;
}

/* From the service: a token, verified, that says something of this key. */
static enum atls_code ask_service(struct appraisal *a, struct atls_err *err)
{
    const struct atls_veraison_submission submission = {
        .binder = a->asked->binder, .evidence = a->asked->evidence, .aik_spki = a->asked->aik_spki};
    enum atls_code code;

    if ((code = atls_veraison_submit(a->v->client, &submission, a->deadline_ms, &a->answer, err)) !=
            ATLS_OK ||
        (code = accept_ear(a, err)) != ATLS_OK)
        return blame_service(a->v, code, err);
    if ((code = check_keys(&a->ear, a->answer.names_no_key, err)) != ATLS_OK)
        return atls_err_prefix(err, code, atls_veraison_client_url(a->v->client));
    return ATLS_OK;
}

static enum atls_code check_evidence(struct appraisal *a, struct atls_err *err)
{
    const struct atls_evidence_request request = {
        .scope = ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE,
        .evidence = a->asked->evidence,
        .binder = a->asked->binder,
        .profiles = a->asked->profiles,
        .aik_spki = a->asked->aik_spki,
        .time_s = a->asked->time_s,
        .options = &a->v->evidence_options,
    };

    return atls_evidence_verify(&request, &a->claims, err);
}

static enum atls_code veraison_appraise(void *self, const struct atls_appraisal *asked,
                                        struct atls_result **out, struct atls_err *err)
{
    struct appraisal a = {.v = self, .asked = asked};
    enum atls_code code;

    a.deadline_ms = atls_http_now_ms() + a.v->timeout_ms;
    if ((code = check_evidence(&a, err)) != ATLS_OK)
        return code;
    if ((code = ask_service(&a, err)) == ATLS_OK)
        code = take_result(&a, out, err);
    if (code == ATLS_OK)
        atls_log(&a.v->log, ATLS_LOG_DEBUG, "verifier", "%s: %s evidence is %s%s%s",
                 atls_veraison_client_url(a.v->client), atls_result_evidence_type(*out),
                 atls_tier_name(atls_result_status(*out)),
                 *atls_result_explanation(*out) != '\0' ? ": " : "", atls_result_explanation(*out));
    if (a.has_ear)
        atls_ear_clear(&a.ear);
    atls_veraison_answer_clear(&a.answer);
    atls_claims_clear(&a.claims);
    return code;
}

static enum atls_code veraison_ping(void *self, struct atls_err *err)
{
    struct veraison *v = self;
    enum atls_code code =
        atls_veraison_client_ping(v->client, atls_http_now_ms() + v->timeout_ms, err);

    return code == ATLS_OK ? ATLS_OK : blame_service(v, code, err);
}

const struct atls_verifier_ops atls_veraison_verifier = {
    .scheme = "veraison",
    .open = veraison_open,
    .close = veraison_close,
    .appraise = veraison_appraise,
    .ping = veraison_ping,
};
