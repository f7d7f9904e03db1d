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

enum atls_tier atls_outcome_status(const struct atls_outcome *outcome)
{
    enum atls_tier status = outcome->status;

    for (size_t i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        enum atls_tier tier = atls_tier_of(outcome->trust[i]);

        if (!atls_tier_allows(tier, status))
            status = tier;
    }
    return status;
}

/* The problems of a result, gathered into one sentence. */
struct sentence {
    char *out; /* ATLS_EXPLANATION_LEN */
    size_t used, shown, count;
};

/* Adds the named problems of a submodule as long as whole ones fit; label says whose they are. */
static void tell(struct sentence *s, const char *label, const struct atls_outcome *outcome)
{
    static const size_t room_for_count = 32; /* "; and 18446744073709551615 more" */
    size_t named = outcome->problem_count;

    if (named > ATLS_PROBLEMS_MAX)
        named = ATLS_PROBLEMS_MAX;
    for (size_t i = 0; i < named && s->shown == s->count + i; i++) {
        size_t len = strlen(label) + strlen(outcome->problems[i]);

        if (s->shown > 0 && len + 2 > ATLS_EXPLANATION_LEN - room_for_count - s->used)
            break;
        s->used += (size_t)snprintf(s->out + s->used, ATLS_EXPLANATION_LEN - s->used, "%s%s%s",
                                    s->shown > 0 ? "; " : "", label, outcome->problems[i]);
        s->shown++;
    }
    s->count += outcome->problem_count;
}

static void explain(const struct atls_result *r, char out[static ATLS_EXPLANATION_LEN])
{
    struct sentence s = {.out = out};
    char label[64] = "";

    out[0] = '\0';
    for (size_t i = 0; i < r->outcome_count; i++) {
        if (r->outcome_count > 1)
            snprintf(label, sizeof label, "%s: ", atls_result_claims(r, i)->submod);
        tell(&s, label, &r->outcomes[i]);
    }
    if (s.shown < s.count)
        snprintf(out + s.used, ATLS_EXPLANATION_LEN - s.used, "; and %zu more", s.count - s.shown);
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

const struct atls_claims *atls_result_claims(const struct atls_result *r, size_t index)
{
    const struct atls_claims *claims = &r->claims;

    while (index-- > 0)
        claims = claims->next;
    return claims;
}

/* Status, reason and explanation that the outcomes lead to: those of the worst submodule. */
static void conclude(struct atls_result *r)
{
    const struct atls_outcome *worst = &r->outcomes[0];

    for (size_t i = 1; i < r->outcome_count; i++)
        if (!atls_tier_allows(atls_outcome_status(&r->outcomes[i]), atls_outcome_status(worst)))
            worst = &r->outcomes[i];
    r->status = atls_outcome_status(worst);
    if (r->status == ATLS_TIER_AFFIRMING)
        return;
    r->reason = worst->reason;
    explain(r, r->explanation);
}

static bool has_submod(const struct atls_claims *claims, const struct atls_claims *end,
                       const char *name)
{
    for (; claims != end; claims = claims->next)
        if (strcmp(claims->submod, name) == 0)
            return true;
    return false;
}

/* What a result is made of is complete, and its parts agree. */
static enum atls_code check_parts(const struct atls_claims *claims,
                                  const struct atls_outcome *outcomes, size_t *out_count,
                                  struct atls_err *err)
{
    struct atls_bytes key = {NULL, 0};
    size_t count = 0;

    for (const struct atls_claims *c = claims; c != NULL; c = c->next, count++) {
        if (count == ATLS_RESULT_SUBMODS_MAX)
            return atls_fail(err, ATLS_E_USAGE, "result: more than %d submodules",
                             ATLS_RESULT_SUBMODS_MAX);
        if (c->submod == NULL || c->technology == NULL || outcomes[count].policy_id == NULL ||
            has_submod(claims, c, c->submod))
            return atls_fail(err, ATLS_E_USAGE,
                             "result: technology, submodule or policy id is missing, or a "
                             "submodule is there twice");
        if (key.len != 0 && c->key_spki.len != 0 && !atls_bytes_equal(key, c->key_spki))
            return atls_fail(err, ATLS_E_USAGE, "result: two attested keys");
        if (c->key_spki.len != 0)
            key = c->key_spki;
    }
    *out_count = count;
    return ATLS_OK;
}

/* An empty result with room for the outcomes of count submodules. */
static enum atls_code make_parts(struct atls_bytes nonce, int64_t issued_at, size_t count,
                                 struct atls_result **out, struct atls_err *err)
{
    struct atls_result *r = NULL;
    enum atls_code code;

    if ((code = check_nonce(nonce, err)) != ATLS_OK ||
        (code = atls_result_make(nonce, issued_at, &r, err)) != ATLS_OK)
        return code;
    if ((r->outcomes = calloc(count, sizeof *r->outcomes)) == NULL) {
        atls_result_unref(r);
        return atls_fail(err, ATLS_E_NOMEM, "result: out of memory");
    }
    r->outcome_count = count;
    *out = r;
    return ATLS_OK;
}

enum atls_code atls_result_new(struct atls_claims *claims, const struct atls_outcome *outcomes,
                               struct atls_bytes nonce, int64_t issued_at, struct atls_result **out,
                               struct atls_err *err)
{
    struct atls_result *r = NULL;
    enum atls_code code;
    size_t count = 0;

    if ((code = check_parts(claims, outcomes, &count, err)) != ATLS_OK ||
        (code = make_parts(nonce, issued_at, count, &r, err)) != ATLS_OK)
        return code;
    memcpy(r->outcomes, outcomes, count * sizeof *outcomes);
    r->claims = *claims;
    memset(claims, 0, sizeof *claims);
    conclude(r);
    *out = r;
    return ATLS_OK;
}

enum atls_code atls_result_contraindicated(const struct atls_refusal *refusal,
                                           struct atls_bytes nonce, int64_t issued_at,
                                           struct atls_result **out, struct atls_err *err)
{
    struct atls_result *r = NULL;
    struct atls_outcome *outcome;
    enum atls_code code;

    if (refusal->submod == NULL || refusal->technology == NULL || refusal->problem == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "result: technology, submodule or problem of a refusal is missing");
    if ((code = make_parts(nonce, issued_at, 1, &r, err)) != ATLS_OK)
        return code;
    outcome = &r->outcomes[0];
    /* draft-ietf-rats-ar4si section 2.3.2: 99, cryptographic validation failed. */
    memset(outcome->trust, 99, sizeof outcome->trust);
    outcome->status = ATLS_TIER_CONTRAINDICATED;
    outcome->policy_id = refusal->policy_id;
    atls_outcome_problem(outcome, refusal->reason, "%s", refusal->problem);
    conclude(r);
    r->refused = true;
    r->claims.technology = refusal->technology;
    r->claims.submod = refusal->submod;
    r->claims.insecure = refusal->insecure;
    *out = r;
    return ATLS_OK;
}

bool atls_result_is_genuine(const struct atls_result *r)
{
    return !r->refused;
}

void atls_result_set_nonce_given(struct atls_result *r)
{
    for (size_t i = 0; i < r->outcome_count; i++)
        r->outcomes[i].nonce_given = true;
}

enum atls_code atls_result_lower(struct atls_result *r, enum atls_tier worst,
                                 enum atls_reason reason, const char *problem, struct atls_err *err)
{
    if (r->received || atomic_load(&r->references) != 1)
        return atls_fail(err, ATLS_E_USAGE,
                         "result: of another Verifier, or shared: it is not to be changed");
    for (size_t i = 0; i < r->outcome_count; i++) {
        if (!atls_tier_allows(worst, r->outcomes[i].status))
            r->outcomes[i].status = worst;
        atls_outcome_problem(&r->outcomes[i], reason, "%s", problem);
    }
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
    free(r->outcomes);
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
    return r->received ? r->ear.submod_count : r->outcome_count;
}

const char *atls_result_submod_name(const struct atls_result *r, size_t index)
{
    if (index >= atls_result_submods(r))
        return "";
    return r->received ? (const char *)r->ear.submods[index].name.ptr
                       : atls_result_claims(r, index)->submod;
}

enum atls_tier atls_result_submod_status(const struct atls_result *r, size_t index)
{
    if (index >= atls_result_submods(r))
        return ATLS_TIER_NONE;
    return r->received ? r->ear.submods[index].status : atls_outcome_status(&r->outcomes[index]);
}

int atls_result_submod_trust(const struct atls_result *r, size_t index, enum atls_trust_claim claim)
{
    if (index >= atls_result_submods(r) || (unsigned int)claim >= ATLS_TRUST_CLAIMS)
        return 0;
    return r->received ? r->ear.submods[index].trust[claim] : r->outcomes[index].trust[claim];
}

const char *atls_result_evidence_type(const struct atls_result *r)
{
    return r->claims.technology;
}

bool atls_result_insecure(const struct atls_result *r)
{
    for (const struct atls_claims *c = &r->claims; c != NULL; c = c->next)
        if (c->insecure)
            return true;
    return false;
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
    const struct atls_claims *c = &r->claims;

    while (c->key_spki.len == 0 && c->next != NULL)
        c = c->next;
    return c->key_spki;
}

struct atls_bytes atls_result_instance(const struct atls_result *r)
{
    const struct atls_claims *c = &r->claims;

    while (c->instance.len == 0 && c->next != NULL)
        c = c->next;
    return c->instance;
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
