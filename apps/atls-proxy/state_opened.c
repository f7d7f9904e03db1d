#include "state_parts.h"

#include <stdio.h>

#include <atls/local.h>
#include <atls/passport.h>
#include <atls/remote.h>
#include <atls/tpm2.h>

#include "selftest.h"

static const char about_attester[] = "attester", about_verifier[] = "verifier";

/* ---- attesters ---- */

static bool take_attester(struct generation *g, const struct generation *before,
                          struct opened_attester *a)
{
    for (size_t i = 0; before != NULL && i < before->config->attester_count; i++) {
        const struct opened_attester *old = &before->attesters[i];

        if (config_attester_same(old->config, a->config) &&
            state_kept_file(before, g, a->config->certificate) &&
            state_kept_file(before, g, a->config->endorsements) &&
            state_kept_file(before, g, a->config->passport.ca) &&
            state_kept_file(before, g, a->config->passport.result_keys)) {
            a->attester = atls_attester_ref(old->attester);
            a->passport = old->passport != NULL ? atls_passport_ref(old->passport) : NULL;
            atomic_store(&a->proven, atomic_load(&old->proven));
            return true;
        }
    }
    return false;
}

static enum atls_code open_passport(struct opened_attester *a, struct atls_err *err)
{
    const struct config_attester *c = a->config;
    struct atls_passport_options options;

    if (c->passport.line == 0)
        return ATLS_OK;
    atls_passport_options_init(&options);
    options.attester = a->attester;
    options.verifier_url = c->passport.url;
    options.ca_file = c->passport.ca;
    options.result_keys = c->passport.result_keys;
    options.timeout_ms = (uint32_t)c->passport.timeout_s * 1000;
    options.lifetime_s = c->passport.lifetime_s;
    options.log = state_log_about(about_attester, c->name);
    options.later = true; /* other routes do not wait for this service */
    return atls_passport_open(&options, &a->passport, err);
}

static void count_evidence(void *arg, enum atls_code code, int64_t duration_us)
{
    metrics_worked(arg, code == ATLS_OK, duration_us);
}

static enum atls_code open_attester(struct opened_attester *a, struct atls_err *err)
{
    static const struct atls_attester_ops *const backends[] = {
        &atls_tpm2_attester, &atls_tsm_attester, &atls_soft_attester, NULL};
    const struct config_attester *c = a->config;
    struct atls_attester_options options;
    enum atls_code code;

    atls_attester_options_init(&options);
    options.certificate = c->certificate;
    options.endorsements = c->endorsements;
    options.insecure = c->insecure;
    options.dns_names = c->dns_names.count > 0 ? c->dns_names.at : NULL;
    options.common_name = c->dns_names.count > 0 ? c->dns_names.at[0] : NULL;
    options.log = state_log_about(about_attester, c->name);
    options.made = count_evidence;
    options.made_arg = a->metrics;
    if ((code = atls_attester_open(c->uri, backends, &options, &a->attester, err)) != ATLS_OK)
        return code;
    return open_passport(a, err);
}

enum atls_code state_open_attesters(struct generation *g, const struct generation *before,
                                    struct atls_err *err)
{
    for (size_t i = 0; i < g->config->attester_count; i++) {
        struct opened_attester *a = &g->attesters[i];
        struct atls_err inner = ATLS_ERR_INIT;
        char what[80];

        a->config = &g->config->attesters[i];
        a->metrics = metrics_part(METRICS_ATTESTER, a->config->name);
        if (take_attester(g, before, a) || open_attester(a, &inner) == ATLS_OK)
            continue;
        selftest_explain(a->config->uri, &inner);
        snprintf(what, sizeof what, "attester %.63s", a->config->name);
        return state_at_line(g->config, a->config->line, what, &inner, err);
    }
    return ATLS_OK;
}

/* ---- verifiers, policies ---- */

static bool take_verifier(struct generation *g, const struct generation *before,
                          struct opened_verifier *v)
{
    for (size_t i = 0; before != NULL && i < before->config->verifier_count; i++) {
        const struct opened_verifier *old = &before->verifiers[i];

        if (config_verifier_same(old->config, v->config) &&
            state_kept_file(before, g, v->config->ca) &&
            state_kept_file(before, g, v->config->result_keys) &&
            state_kept_file(before, g, state_file_of(v->config))) {
            v->verifier = atls_verifier_ref(old->verifier);
            v->counts = old->counts;
            atomic_store(&v->generation, atomic_load(&old->generation));
            return true;
        }
    }
    return false;
}

/* As it is before the first connection is judged by it. */
static enum atls_code count_changes(struct opened_verifier *v, struct atls_err *err)
{
    uint64_t generation = 0;
    enum atls_code code = atls_verifier_generation(v->verifier, &generation, err);

    v->counts = code == ATLS_OK;
    atomic_store(&v->generation, generation);
    return code == ATLS_E_UNSUPPORTED ? ATLS_OK : code;
}

static enum atls_code open_verifier(struct opened_verifier *v, struct atls_err *err)
{
    static const struct atls_verifier_ops *const backends[] = {
        &atls_local_verifier, &atls_veraison_verifier, &atls_passport_verifier, NULL};
    const struct config_verifier *c = v->config;
    const char *rules[RULES_MAX + 1] = {NULL}, *collateral[5] = {NULL};
    struct atls_verifier_options options;
    enum atls_code code;

    for (size_t i = 0; i < c->rule_count; i++)
        rules[i] = c->rules[i];
    for (size_t i = 0; i < c->collateral_count; i++)
        collateral[i] = c->collateral[i];
    atls_verifier_options_init(&options);
    options.allow_insecure_technology = c->insecure;
    options.allow_sha1_pcr_bank = c->allow_sha1_pcr_bank;
    options.allow_unsafe_clock = c->allow_unsafe_clock;
    options.allow_ima_violations = c->allow_ima_violations;
    options.require_ak_eku = c->require_ak_eku;
    options.log = state_log_about(about_verifier, c->name);
    options.ca_file = c->ca;
    options.result_keys = c->result_keys;
    options.timeout_ms = (uint32_t)c->timeout_s * 1000;
    options.result_max_age_s = c->max_age_s;
    options.result_echoes_binder = c->fresh_result;
    options.rules = rules;
    options.collateral_from = c->collateral_count > 0 ? collateral : NULL;
    code = atls_verifier_open(c->uri, backends, &options, &v->verifier, err);
    return code == ATLS_OK ? count_changes(v, err) : code;
}

enum atls_code state_open_verifiers(struct generation *g, const struct generation *before,
                                    struct atls_err *err)
{
    for (size_t i = 0; i < g->config->verifier_count; i++) {
        struct opened_verifier *v = &g->verifiers[i];
        struct atls_err inner = ATLS_ERR_INIT;
        char what[80];

        v->config = &g->config->verifiers[i];
        v->metrics = metrics_part(METRICS_VERIFIER, v->config->name);
        if (take_verifier(g, before, v) || open_verifier(v, &inner) == ATLS_OK)
            continue;
        selftest_explain(v->config->uri, &inner);
        snprintf(what, sizeof what, "verifier %.63s", v->config->name);
        return state_at_line(g->config, v->config->line, what, &inner, err);
    }
    return ATLS_OK;
}

static bool take_policy(struct generation *g, const struct generation *before,
                        struct opened_policy *p)
{
    for (size_t i = 0; before != NULL && i < before->config->policy_count; i++) {
        const struct opened_policy *old = &before->policies[i];

        if (config_policy_same(old->config, p->config) &&
            state_kept_file(before, g, p->config->file)) {
            p->policy = atls_policy_ref(old->policy);
            return true;
        }
    }
    return false;
}

enum atls_code state_open_policies(struct generation *g, const struct generation *before,
                                   struct atls_err *err)
{
    const size_t count = g->config->policy_count;

    for (size_t i = 0; i < count; i++) {
        struct opened_policy *p = &g->policies[i];
        struct atls_err inner = ATLS_ERR_INIT;
        char what[80];

        p->config = &g->config->policies[i];
        if (take_policy(g, before, p) ||
            atls_policy_load(p->config->file, &p->policy, &inner) == ATLS_OK)
            continue;
        snprintf(what, sizeof what, "policy %.63s", p->config->name);
        return state_at_line(g->config, p->config->line, what, &inner, err);
    }
    if (before != NULL) {
        g->policies[count].policy =
            atls_policy_ref(before->policies[before->config->policy_count].policy);
        return ATLS_OK;
    }
    return atls_policy_default(&g->policies[count].policy, err);
}

void state_close_opened(struct generation *g)
{
    for (size_t i = 0; g->attesters != NULL && i < g->config->attester_count; i++) {
        atls_passport_unref(g->attesters[i].passport);
        atls_attester_unref(g->attesters[i].attester);
    }
    for (size_t i = 0; g->verifiers != NULL && i < g->config->verifier_count; i++)
        atls_verifier_unref(g->verifiers[i].verifier);
    for (size_t i = 0; g->policies != NULL && i <= g->config->policy_count; i++)
        atls_policy_unref(g->policies[i].policy);
    free(g->attesters);
    free(g->verifiers);
    free(g->policies);
}
