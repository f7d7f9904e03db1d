#include "verifier/result_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"

void atls_outcome_problem(struct atls_outcome *outcome, enum atls_reason reason, const char *format,
                          ...)
{
    va_list args;

    if (outcome->problem_count == 0)
        outcome->reason = reason;
    if (outcome->problem_count < ATLS_PROBLEMS_MAX) {
        va_start(args, format);
        vsnprintf(outcome->problems[outcome->problem_count], ATLS_PROBLEM_LEN, format, args);
        va_end(args);
    }
    outcome->problem_count++;
}

static enum atls_tier bounded_status(const struct atls_outcome *outcome)
{
    enum atls_tier status = outcome->status;

    for (size_t i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        enum atls_tier tier = atls_tier_of(outcome->trust[i]);

        if (!atls_tier_allows(tier, status))
            status = tier;
    }
    return status;
}

/* The named problems in one sentence, cut at a whole problem where there are more. */
static void explain(const struct atls_outcome *outcome, char out[static ATLS_EXPLANATION_LEN])
{
    static const size_t room_for_count = 32; /* "; and 18446744073709551615 more" */
    size_t named = outcome->problem_count, used = 0, shown = 0;

    if (named > ATLS_PROBLEMS_MAX)
        named = ATLS_PROBLEMS_MAX;
    out[0] = '\0';
    for (; shown < named; shown++) {
        size_t len = strlen(outcome->problems[shown]);

        if (shown > 0 && len + 2 > ATLS_EXPLANATION_LEN - room_for_count - used)
            break;
        used += (size_t)snprintf(out + used, ATLS_EXPLANATION_LEN - used, "%s%s",
                                 shown > 0 ? "; " : "", outcome->problems[shown]);
    }
    if (shown < outcome->problem_count)
        snprintf(out + used, ATLS_EXPLANATION_LEN - used, "; and %zu more",
                 outcome->problem_count - shown);
}

static enum atls_code check_nonce(struct atls_bytes nonce, struct atls_err *err)
{
    if (nonce.len >= ATLS_RESULT_NONCE_MIN && nonce.len <= ATLS_RESULT_NONCE_MAX)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                            "result: nonce of %zu bytes, want %d..%d", nonce.len,
                            ATLS_RESULT_NONCE_MIN, ATLS_RESULT_NONCE_MAX);
}

enum atls_code atls_result_make(struct atls_bytes nonce, int64_t issued_at,
                                struct atls_result **out, struct atls_err *err)
{
    struct atls_result *r;

    if ((r = calloc(1, sizeof *r)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "result: out of memory");
    atomic_init(&r->references, 1);
    atomic_init(&r->json, NULL);
    r->issued_at = issued_at;
    r->nonce_len = nonce.len;
    if (nonce.len != 0)
        memcpy(r->nonce, nonce.ptr, nonce.len);
    snprintf(r->verifier, sizeof r->verifier, "%s", ATLS_RESULT_BUILD);
    r->claims.technology = "";
    *out = r;
    return ATLS_OK;
}

/* Status, reason and explanation that the outcome leads to. */
static void conclude(struct atls_result *r)
{
    r->status = bounded_status(&r->outcome);
    if (r->status == ATLS_TIER_AFFIRMING)
        return;
    r->reason = r->outcome.reason;
    explain(&r->outcome, r->explanation);
}

enum atls_code atls_result_new(struct atls_claims *claims, const struct atls_outcome *outcome,
                               struct atls_bytes nonce, int64_t issued_at, struct atls_result **out,
                               struct atls_err *err)
{
    struct atls_result *r = NULL;
    enum atls_code code;

    if (claims->submod == NULL || claims->technology == NULL || claims->key_spki.len == 0 ||
        outcome->policy_id == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "result: technology, submodule, attested key or policy id is missing");
    if ((code = check_nonce(nonce, err)) != ATLS_OK ||
        (code = atls_result_make(nonce, issued_at, &r, err)) != ATLS_OK)
        return code;
    r->outcome = *outcome;
    conclude(r);
    r->claims = *claims;
    memset(claims, 0, sizeof *claims);
    *out = r;
    return ATLS_OK;
}

enum atls_code atls_result_contraindicated(const struct atls_refusal *refusal,
                                           struct atls_bytes nonce, int64_t issued_at,
                                           struct atls_result **out, struct atls_err *err)
{
    struct atls_result *r = NULL;
    enum atls_code code;

    if (refusal->submod == NULL || refusal->technology == NULL || refusal->problem == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "result: technology, submodule or problem of a refusal is missing");
    if ((code = check_nonce(nonce, err)) != ATLS_OK ||
        (code = atls_result_make(nonce, issued_at, &r, err)) != ATLS_OK)
        return code;
    /* draft-ietf-rats-ar4si section 2.3.2: 99, cryptographic validation failed. */
    memset(r->outcome.trust, 99, sizeof r->outcome.trust);
    r->outcome.status = ATLS_TIER_CONTRAINDICATED;
    r->outcome.policy_id = refusal->policy_id;
    atls_outcome_problem(&r->outcome, refusal->reason, "%s", refusal->problem);
    conclude(r);
    r->claims.technology = refusal->technology;
    r->claims.submod = refusal->submod;
    r->claims.insecure = refusal->insecure;
    *out = r;
    return ATLS_OK;
}

void atls_result_set_nonce_given(struct atls_result *r)
{
    r->outcome.nonce_given = true;
}

enum atls_code atls_result_lower(struct atls_result *r, enum atls_tier worst,
                                 enum atls_reason reason, const char *problem, struct atls_err *err)
{
    if (r->received || atomic_load(&r->references) != 1)
        return atls_fail(err, ATLS_E_USAGE,
                         "result: of another Verifier, or shared: it is not to be changed");
    if (!atls_tier_allows(worst, r->outcome.status))
        r->outcome.status = worst;
    atls_outcome_problem(&r->outcome, reason, "%s", problem);
    free(atomic_exchange(&r->json, NULL));
    conclude(r);
    return ATLS_OK;
}

struct atls_result *atls_result_ref(struct atls_result *r)
{
    atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    return r;
}

void atls_result_unref(struct atls_result *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_claims_clear(&r->claims);
    atls_ear_clear(&r->ear);
    free(atomic_load(&r->json));
    free(r);
}

enum atls_tier atls_result_status(const struct atls_result *r)
{
    return r->status;
}

size_t atls_result_submods(const struct atls_result *r)
{
    return r->received ? r->ear.submod_count : 1;
}

const char *atls_result_submod_name(const struct atls_result *r, size_t index)
{
    if (index >= atls_result_submods(r))
        return "";
    return r->received ? (const char *)r->ear.submods[index].name.ptr : r->claims.submod;
}

enum atls_tier atls_result_submod_status(const struct atls_result *r, size_t index)
{
    if (index >= atls_result_submods(r))
        return ATLS_TIER_NONE;
    return r->received ? r->ear.submods[index].status : r->status;
}

int atls_result_submod_trust(const struct atls_result *r, size_t index, enum atls_trust_claim claim)
{
    if (index >= atls_result_submods(r) || (unsigned int)claim >= ATLS_TRUST_CLAIMS)
        return 0;
    return r->received ? r->ear.submods[index].trust[claim] : r->outcome.trust[claim];
}

const char *atls_result_evidence_type(const struct atls_result *r)
{
    return r->claims.technology;
}

bool atls_result_insecure(const struct atls_result *r)
{
    return r->claims.insecure;
}

int64_t atls_result_issued_at(const struct atls_result *r)
{
    return r->issued_at;
}

int64_t atls_result_expires_at(const struct atls_result *r)
{
    return r->expires_at;
}

const char *atls_result_verifier(const struct atls_result *r)
{
    return r->verifier;
}

bool atls_result_is_received(const struct atls_result *r)
{
    return r->received;
}

struct atls_bytes atls_result_key(const struct atls_result *r)
{
    return r->claims.key_spki;
}

struct atls_bytes atls_result_instance(const struct atls_result *r)
{
    return r->claims.instance;
}

struct atls_bytes atls_result_nonce(const struct atls_result *r)
{
    return atls_bytes_of(r->nonce, r->nonce_len);
}

const char *atls_result_explanation(const struct atls_result *r)
{
    return r->explanation;
}

enum atls_reason atls_result_reason(const struct atls_result *r)
{
    return r->reason;
}
