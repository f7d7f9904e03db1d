#include "verifier/local/judge.h"

#include <stdlib.h>
#include <string.h>

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

/* Endorsements of the class and of none as one list; *out_both, to be freed, when there are of
 * either. */
static enum atls_code list_endorsements(const struct atls_class_holdings *h,
                                        struct atls_known_values *known,
                                        struct atls_endorsement **out_both, struct atls_err *err)
{
    const struct atls_endorsement *of_class = NULL, *of_any;
    struct atls_endorsement *both;
    size_t class_count = 0, any_count;

    if (h->of_class != NULL)
        of_class = atls_endorsement_set_items(h->of_class, &class_count);
    of_any = atls_endorsement_set_items(h->of_any, &any_count);
    known->endorsements = class_count != 0 ? of_class : of_any;
    known->endorsement_count = class_count + any_count;
    if (class_count == 0 || any_count == 0)
        return ATLS_OK;
    if ((both = calloc(class_count + any_count, sizeof *both)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    memcpy(both, of_class, class_count * sizeof *both);
    memcpy(both + class_count, of_any, any_count * sizeof *both);
    known->endorsements = *out_both = both;
    return ATLS_OK;
}

/* Compares verified claims with what the store holds for their class. */
static enum atls_code compare(const struct atls_judge *judge, struct atls_claims *claims,
                              int64_t time_s, struct atls_outcome *out, struct atls_err *err)
{
    struct atls_known_values known = {0};
    struct atls_endorsement *both = NULL;
    struct atls_class_holdings h;
    enum atls_code code;

    code = atls_store_holdings(judge->store, claims->environment.class_id, time_s, &h, err);
    if (code != ATLS_OK)
        return code;
    if (h.references != NULL)
        known.references = atls_reference_set_items(h.references, &known.reference_count);
    if ((code = list_endorsements(&h, &known, &both, err)) == ATLS_OK)
        code = atls_appraise(claims, &known, out, err);
    free(both);
    atls_class_holdings_clear(&h);
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
