#include "verifier/local/judge.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "verifier/local/appraise.h"
#include "verifier/result.h"

/* Machines that reconnect: their certificates and keys stay parsed. An entry is a few KiB. */
#define CACHE_ENTRIES 1024
/* Classes beside the attester's that endorsements of one appraisal may lead to: parts of a machine.
 */
#define FURTHER_CLASSES_MAX 64

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
    if (options->rules != NULL)
        judge->rules = *options->rules;
    judge->options.rules = &judge->rules;
    return atls_chain_cache_new(CACHE_ENTRIES, &judge->cache, err);
}

void atls_judge_clear(struct atls_judge *judge)
{
    collateral_cache_free(judge->collateral);
    judge->collateral = NULL;
    atls_chain_cache_free(judge->cache);
    judge->cache = NULL;
}

/* Of an addition; the class-id borrows from it. */
struct further_class {
    struct atls_bytes class_id;
    struct atls_endorsement_set *set;
};

/* Endorsements of one appraisal: of the attester's class, of none, and of the classes that
 * additions speak of, for whose conditions wait for those. */
struct gathered {
    struct atls_endorsement *items;
    size_t count, room;
    struct further_class *classes; /* FURTHER_CLASSES_MAX, once there is one */
    size_t class_count;
};

static void gathered_clear(struct gathered *g)
{
    for (size_t i = 0; i < g->class_count; i++)
        atls_endorsement_set_unref(g->classes[i].set);
    free(g->classes);
    free(g->items);
}

static enum atls_code gather_set(struct gathered *g, const struct atls_endorsement_set *set,
                                 struct atls_err *err)
{
    const struct atls_endorsement *items;
    struct atls_endorsement *grown;
    size_t count, room;

    if (set == NULL)
        return ATLS_OK;
    items = atls_endorsement_set_items(set, &count);
    if (count == 0)
        return ATLS_OK;
    if (g->room - g->count < count) {
        room = g->count + count;
        grown = room > SIZE_MAX / sizeof *grown ? NULL : realloc(g->items, room * sizeof *grown);
        if (grown == NULL)
            return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
        g->items = grown;
        g->room = room;
    }
    memcpy(g->items + g->count, items, count * sizeof *items);
    g->count += count;
    return ATLS_OK;
}

static bool is_gathered(const struct gathered *g, struct atls_bytes class_id)
{
    for (size_t i = 0; i < g->class_count; i++)
        if (atls_bytes_equal(g->classes[i].class_id, class_id))
            return true;
    return false;
}

/* Claims of one appraisal, and what the store holds for them. */
struct comparison {
    struct atls_store_view *view;
    struct atls_bytes class_id; /* of the attester; empty: none */
};

static enum atls_code gather_class(struct gathered *g, const struct comparison *c,
                                   struct atls_bytes class_id, struct atls_err *err)
{
    struct atls_endorsement_set *set;
    enum atls_code code;

    if (class_id.len == 0 || atls_bytes_equal(class_id, c->class_id) || is_gathered(g, class_id))
        return ATLS_OK;
    if (g->class_count == FURTHER_CLASSES_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "appraisal: endorsements speak of more than %d further classes",
                         FURTHER_CLASSES_MAX);
    if (g->classes == NULL &&
        (g->classes = calloc(FURTHER_CLASSES_MAX, sizeof *g->classes)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    code = atls_store_endorsements(c->view->store, class_id, c->view->time_s, &set, err);
    if (code != ATLS_OK)
        return code;
    g->classes[g->class_count++] = (struct further_class){class_id, set};
    return gather_set(g, set, err);
}

/* What is gathered on the way is gone through, too. */
static enum atls_code gather_further(struct gathered *g, const struct comparison *c,
                                     struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < g->count && code == ATLS_OK; i++) {
        const struct atls_corim_conditional *conditional = g->items[i].conditional;
        size_t count = conditional == NULL ? 0 : conditional->addition_count;

        for (size_t k = 0; k < count && code == ATLS_OK; k++)
            code = gather_class(g, c, conditional->additions[k].environment.class_id, err);
    }
    return code;
}

/* Compares verified claims with what the store holds for their class. */
static enum atls_code compare(const struct comparison *c, struct atls_claims *claims,
                              struct atls_outcome *out, struct atls_err *err)
{
    struct atls_known_values known = {0};
    struct gathered g = {.count = 0};
    struct atls_class_holdings h;
    enum atls_code code;

    if ((code = atls_store_holdings(c->view, c->class_id, &h, err)) != ATLS_OK)
        return code;
    if (h.references != NULL)
        known.references = atls_reference_set_items(h.references, &known.reference_count);
    if ((code = gather_set(&g, h.of_class, err)) == ATLS_OK &&
        (code = gather_set(&g, h.of_any, err)) == ATLS_OK &&
        (code = gather_further(&g, c, err)) == ATLS_OK) {
        known.endorsements = g.items;
        known.endorsement_count = g.count;
        code = atls_appraise(claims, &known, out, err);
    }
    gathered_clear(&g);
    atls_class_holdings_clear(&h);
    return code;
}

/* The evidence of one machine may speak of several parts of it, each of a class of its own. */
static enum atls_code compare_parts(struct atls_store_view *view, struct atls_claims *claims,
                                    struct atls_outcome *outcomes, struct atls_err *err)
{
    struct comparison comparison = {.view = view};
    enum atls_code code = ATLS_OK;

    for (; claims != NULL && code == ATLS_OK; claims = claims->next, outcomes++) {
        comparison.class_id = claims->environment.class_id;
        code = compare(&comparison, claims, outcomes, err);
    }
    return code;
}

static enum atls_code judge_claims(struct atls_store_view *view, struct atls_claims *claims,
                                   const struct atls_appraisal *a, struct atls_result **out,
                                   struct atls_err *err)
{
    struct atls_outcome *outcomes; /* too large for the stack, beside the claims */
    enum atls_code code;
    size_t count = 0;

    for (const struct atls_claims *c = claims; c != NULL; c = c->next)
        count++;
    if ((outcomes = calloc(count, sizeof *outcomes)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    code = compare_parts(view, claims, outcomes, err);
    if (code == ATLS_OK)
        code = atls_result_new(claims, outcomes, a->binder, a->time_s, out, err);
    free(outcomes);
    return code;
}

enum atls_code atls_judge_evidence(const struct atls_judge *judge, enum atls_evidence_scope scope,
                                   const struct atls_appraisal *a, struct atls_result **out,
                                   struct atls_err *err)
{
    struct atls_store_view view = {.store = judge->store, .time_s = a->time_s};
    struct collateral_view with_collateral = {.cache = judge->collateral};
    struct atls_endorsement_source source;
    const struct atls_evidence_request request = {
        .scope = scope,
        .evidence = a->evidence,
        .binder = a->binder,
        /* Others may have tools that know no bundle, and a nonce is all that they can be sent. */
        .profiles =
            scope != ATLS_EVIDENCE_KEY_UNKNOWN
                ? a->profiles
                : ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE | ATLS_PROFILE_PARSEC,
        .aik_spki = a->aik_spki,
        .nonce = a->nonce,
        .time_s = a->time_s,
        .source = &source,
        .cache = judge->cache,
        .options = &judge->options,
    };
    struct atls_claims claims;
    enum atls_code code;

    atls_store_view_source(&view, &source);
    if (judge->collateral != NULL) {
        with_collateral.inner = source;
        collateral_view_source(&with_collateral, &source);
    }
    if ((code = atls_evidence_verify(&request, &claims, err)) != ATLS_OK)
        return code;
    code = judge_claims(&view, &claims, a, out, err);
    atls_claims_clear(&claims); /* empty when the result has them */
    return code;
}
