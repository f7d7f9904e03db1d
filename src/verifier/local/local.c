#include <atls/local.h>

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "evidence/evidence.h"
#include "store/store.h"
#include "verifier/local/appraise.h"
#include "verifier/result.h"

/* Machines that reconnect: their certificates and keys stay parsed. An entry is a few KiB. */
#define CACHE_ENTRIES 1024

struct local {
    struct atls_store *store;
    struct atls_evidence_options evidence_options;
    struct atls_chain_cache *cache; /* thread safe */
    struct atls_log log;
};

static void local_close(void *self)
{
    struct local *l = self;

    atls_chain_cache_free(l->cache);
    atls_store_close(l->store);
    free(l);
}

/* A store that vouches for nobody refuses everybody: say so at the start, not to the first peer. */
static enum atls_code open_store(struct local *l, const char *path, struct atls_err *err)
{
    enum atls_code code;
    bool trust = false;

    if ((code = atls_store_open(path, ATLS_STORE_READ, &l->store, err)) != ATLS_OK ||
        (code = atls_store_has_trust(l->store, &trust, err)) != ATLS_OK)
        return code;
    if (!trust)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store %s: no trust anchor for attestation keys and no attestation key",
                         path);
    return atls_chain_cache_new(CACHE_ENTRIES, &l->cache, err);
}

static enum atls_code local_open(const char *rest, const struct atls_verifier_options *options,
                                 void **out_self, struct atls_err *err)
{
    struct local *l;
    enum atls_code code;

    if (*rest == '\0')
        return atls_fail(err, ATLS_E_CONFIG,
                         "verifier \"local:\": want the path of a store behind it");
    if ((l = calloc(1, sizeof *l)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "verifier: out of memory");
    l->evidence_options.allow_sha1_pcr_bank = options->allow_sha1_pcr_bank;
    l->evidence_options.allow_unsafe_clock = options->allow_unsafe_clock;
    l->evidence_options.require_ak_eku = options->require_ak_eku;
    l->evidence_options.allow_insecure_technology = options->allow_insecure_technology;
    l->evidence_options.allow_ima_violations = options->allow_ima_violations;
    l->log = options->log;
    if ((code = open_store(l, rest, err)) != ATLS_OK) {
        local_close(l);
        return code;
    }
    *out_self = l;
    return ATLS_OK;
}

/* Compares verified claims with what the store holds for their class. */
static enum atls_code compare(const struct local *l, const struct atls_claims *claims,
                              int64_t time_s, struct atls_outcome *out, struct atls_err *err)
{
    struct atls_reference_set *set = NULL;
    const struct atls_reference *references = NULL;
    enum atls_code code;
    size_t count = 0;

    if (claims->environment.class_id.len != 0) {
        code = atls_store_references(l->store, claims->environment.class_id, time_s, &set, err);
        if (code != ATLS_OK)
            return code;
        references = atls_reference_set_items(set, &count);
    }
    code = atls_appraise(claims, references, count, out, err);
    atls_reference_set_unref(set);
    return code;
}

static enum atls_code local_appraise(void *self, const struct atls_appraisal *a,
                                     struct atls_result **out, struct atls_err *err)
{
    const struct local *l = self;
    struct atls_store_view view = {l->store, a->time_s};
    struct atls_endorsement_source source;
    const struct atls_evidence_request request = {
        .evidence = a->evidence,
        .binder = a->binder,
        .aik_spki = a->aik_spki,
        .time_s = a->time_s,
        .source = &source,
        .cache = l->cache,
        .options = &l->evidence_options,
    };
    struct atls_outcome outcome;
    struct atls_claims claims;
    enum atls_code code;

    atls_store_view_source(&view, &source);
    if ((code = atls_evidence_verify(&request, &claims, err)) != ATLS_OK)
        return code;
    code = compare(l, &claims, a->time_s, &outcome, err);
    if (code == ATLS_OK)
        code = atls_result_new(&claims, &outcome, a->binder, a->time_s, out, err);
    atls_claims_clear(&claims); /* empty when the result has them */
    if (code == ATLS_OK)
        atls_log(&l->log, ATLS_LOG_DEBUG, "verifier", "%s evidence is %s%s%s",
                 atls_result_evidence_type(*out), atls_tier_name(atls_result_status(*out)),
                 *atls_result_explanation(*out) != '\0' ? ": " : "", atls_result_explanation(*out));
    return code;
}

const struct atls_verifier_ops atls_local_verifier = {
    .scheme = "local",
    .open = local_open,
    .close = local_close,
    .appraise = local_appraise,
};
