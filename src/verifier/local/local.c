#include <atls/local.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "verifier/local/judge.h"

struct local {
    struct atls_store *store;
    struct atls_judge judge;
    struct atls_log log;
};

static void local_close(void *self)
{
    struct local *l = self;

    atls_judge_clear(&l->judge);
    atls_store_close(l->store);
    free(l);
}

/* A store that vouches for nobody refuses everybody: say so at the start, not to the first peer. */
static enum atls_code open_store(struct local *l, const char *path,
                                 const struct atls_evidence_options *options, struct atls_err *err)
{
    char prefix[64];
    enum atls_code code;

    /* A database's address may hold a password. */
    snprintf(prefix, sizeof prefix, "store %.50s", strstr(path, "://") != NULL ? "" : path);
    if ((code = atls_store_open(path, ATLS_STORE_READ, &l->store, err)) != ATLS_OK)
        return code;
    code = atls_judge_init(&l->judge, l->store, options, err);
    return code == ATLS_E_CONFIG ? atls_err_prefix(err, code, prefix) : code;
}

static enum atls_code open_collateral(struct local *l, const struct atls_verifier_options *options,
                                      struct atls_err *err)
{
    const struct collateral_services services = {options->collateral_from, options->ca_file};

    return collateral_cache_open(&services, l->store, &options->clock, &l->judge.collateral, err);
}

static enum atls_code local_open(const char *rest, const struct atls_verifier_options *options,
                                 void **out_self, struct atls_err *err)
{
    struct atls_rules rules = {.snp = {0}};
    const struct atls_evidence_options evidence = {
        .allow_sha1_pcr_bank = options->allow_sha1_pcr_bank,
        .allow_unsafe_clock = options->allow_unsafe_clock,
        .require_ak_eku = options->require_ak_eku,
        .allow_insecure_technology = options->allow_insecure_technology,
        .allow_ima_violations = options->allow_ima_violations,
        .rules = &rules,
    };
    struct local *l;
    enum atls_code code;

    if (*rest == '\0')
        return atls_fail(err, ATLS_E_CONFIG,
                         "verifier \"local:\": want the path of a store behind it");
    if ((code = atls_rules_set_all(&rules, options->rules, err)) != ATLS_OK)
        return code;
    if ((l = calloc(1, sizeof *l)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "verifier: out of memory");
    l->log = options->log;
    if ((code = open_store(l, rest, &evidence, err)) != ATLS_OK ||
        (code = open_collateral(l, options, err)) != ATLS_OK) {
        local_close(l);
        return code;
    }
    *out_self = l;
    return ATLS_OK;
}

static enum atls_code local_appraise(void *self, const struct atls_appraisal *a,
                                     struct atls_result **out, struct atls_err *err)
{
    const struct local *l = self;
    enum atls_code code = atls_judge_evidence(&l->judge, ATLS_EVIDENCE_COMPLETE, a, out, err);

    if (code == ATLS_OK)
        atls_log(&l->log, ATLS_LOG_DEBUG, "verifier", "%s evidence is %s%s%s",
                 atls_result_evidence_type(*out), atls_tier_name(atls_result_status(*out)),
                 *atls_result_explanation(*out) != '\0' ? ": " : "", atls_result_explanation(*out));
    return code;
}

static enum atls_code local_generation(void *self, uint64_t *out, struct atls_err *err)
{
    const struct local *l = self;

    return atls_store_generation(l->store, out, err);
}

static enum atls_code local_ping(void *self, struct atls_err *err)
{
    const struct local *l = self;

    return atls_store_ping(l->store, err);
}

const struct atls_verifier_ops atls_local_verifier = {
    .scheme = "local",
    .open = local_open,
    .close = local_close,
    .appraise = local_appraise,
    .generation = local_generation,
    .ping = local_ping,
};
