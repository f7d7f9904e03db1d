#include "verifier/local/judge.h"

#include "core/err.h"
#include "verifier/local/appraise.h"
#include "verifier/result.h"

/* Machines that reconnect: their certificates and keys stay parsed. An entry is a few KiB. */
#define CACHE_ENTRIES 1024

enum atls_code atls_judge_init(struct atls_judge *judge, struct atls_store *store,
                               const struct atls_evidence_options *options, struct atls_err *err)
{
    enum atls_code code;
    bool trust = false;

    if ((code = atls_store_has_trust(store, &trust, err)) != ATLS_OK)
        return code;
    if (!trust)
        return atls_fail(err, ATLS_E_CONFIG,
                         "no trust anchor for attestation keys and no attestation key");
    *judge = (struct atls_judge){.store = store, .options = *options};
    return atls_chain_cache_new(CACHE_ENTRIES, &judge->cache, err);
}

void atls_judge_clear(struct atls_judge *judge)
{
    atls_chain_cache_free(judge->cache);
    judge->cache = NULL;
}

/* Compares verified claims with what the store holds for their class. */
static enum atls_code compare(const struct atls_judge *judge, struct atls_claims *claims,
                              int64_t time_s, struct atls_outcome *out, struct atls_err *err)
{
    struct atls_bytes class_id = claims->environment.class_id;
    struct atls_reference_set *references = NULL;
    struct atls_known_values known = {0};
    enum atls_code code;

    if (class_id.len != 0) {
        code = atls_store_references(judge->store, class_id, time_s, &references, err);
        if (code != ATLS_OK)
            return code;
        known.references = atls_reference_set_items(references, &known.reference_count);
    }
    code = atls_appraise(claims, &known, out, err);
    atls_reference_set_unref(references);
    return code;
}

enum atls_code atls_judge_evidence(const struct atls_judge *judge, enum atls_evidence_scope scope,
                                   const struct atls_appraisal *a, struct atls_result **out,
                                   struct atls_err *err)
{
    struct atls_store_view view = {judge->store, a->time_s};
    struct atls_endorsement_source source;
    const struct atls_evidence_request request = {
        .scope = scope,
        .evidence = a->evidence,
        .binder = a->binder,
        .aik_spki = a->aik_spki,
        .time_s = a->time_s,
        .source = &source,
        .cache = judge->cache,
        .options = &judge->options,
    };
    struct atls_outcome outcome;
    struct atls_claims claims;
    enum atls_code code;

    atls_store_view_source(&view, &source);
    if ((code = atls_evidence_verify(&request, &claims, err)) != ATLS_OK)
        return code;
    code = compare(judge, &claims, a->time_s, &outcome, err);
    if (code == ATLS_OK)
        code = atls_result_new(&claims, &outcome, a->binder, a->time_s, out, err);
    atls_claims_clear(&claims); /* empty when the result has them */
    return code;
}
