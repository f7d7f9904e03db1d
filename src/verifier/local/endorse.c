#include "verifier/local/endorse.h"

#include <stdlib.h>

#include "core/err.h"
#include "verifier/local/match.h"

/* Makes the additions of one endorsement if its conditions hold. *out_done: they were made, or
 * dropped for good; *out_added: something is new. */
typedef enum atls_code try_endorsement(struct atls_accepted_claims *acs,
                                       const struct atls_endorsement *e, bool *out_done,
                                       bool *out_added, struct atls_err *err);

static struct atls_addition addition_of(const struct atls_endorsement *e,
                                        const struct atls_environment *environment)
{
    const struct atls_addition addition = {.entry = {.kind = ATLS_ACCEPTED_ENDORSEMENT,
                                                     .environment = environment,
                                                     .authority = {.spki = e->authority},
                                                     .manifest = e->manifest}};

    return addition;
}

static enum atls_code add(struct atls_accepted_claims *acs, const struct atls_endorsement *e,
                          const struct atls_corim_ect *ect, bool *out_added, struct atls_err *err)
{
    struct atls_addition addition = addition_of(e, &ect->environment);

    addition.measurements = ect->measurements;
    addition.count = ect->count;
    return atls_accepted_claims_add(acs, &addition, out_added, err);
}

/* Somebody of the environment speaks, with the keys that the addition names. */
static enum atls_code environment_holds(struct atls_accepted_claims *acs,
                                        const struct atls_corim_ect *ect, bool *out,
                                        struct atls_err *err)
{
    const struct atls_condition condition = {
        .environment = &ect->environment,
        .authorized_by = ect->authorized_by,
        .authorized_by_count = ect->authorized_by_count,
        .addition = ect->measurements,
        .addition_count = ect->count,
    };

    return atls_accepted_claims_match(acs, &condition, out, err);
}

static enum atls_code try_endorsed(struct atls_accepted_claims *acs,
                                   const struct atls_endorsement *e, bool *out_done,
                                   bool *out_added, struct atls_err *err)
{
    enum atls_code code = environment_holds(acs, &e->endorsed->ect, out_done, err);

    return code != ATLS_OK || !*out_done ? code : add(acs, e, &e->endorsed->ect, out_added, err);
}

static enum atls_code condition_holds(struct atls_accepted_claims *acs,
                                      const struct atls_corim_ect *ect, bool *out,
                                      struct atls_err *err)
{
    const struct atls_condition condition = {
        .environment = &ect->environment,
        .authorized_by = ect->authorized_by,
        .authorized_by_count = ect->authorized_by_count,
        .elements = {ect->measurements, NULL},
        .element_count = {ect->count, 0},
    };

    return atls_accepted_claims_match(acs, &condition, out, err);
}

static bool names_keys(const struct atls_corim_ect *ect)
{
    bool names = ect->authorized_by_count != 0;

    for (size_t i = 0; i < ect->count && !names; i++)
        names = ect->measurements[i].authorized_by_count != 0;
    return names;
}

static enum atls_code try_conditional(struct atls_accepted_claims *acs,
                                      const struct atls_endorsement *e, bool *out_done,
                                      bool *out_added, struct atls_err *err)
{
    const struct atls_corim_conditional *c = e->conditional;
    enum atls_code code = ATLS_OK;
    bool holds = c->condition_count != 0, one;

    for (size_t i = 0; i < c->condition_count && holds && code == ATLS_OK; i++)
        code = condition_holds(acs, &c->conditions[i], &holds, err);
    /* The environment of an addition need not be known, unless keys for it are named. */
    for (size_t i = 0; i < c->addition_count && holds && code == ATLS_OK; i++)
        if (names_keys(&c->additions[i]))
            code = environment_holds(acs, &c->additions[i], &holds, err);
    *out_done = holds;
    for (size_t i = 0; i < c->addition_count && holds && code == ATLS_OK; i++) {
        one = false;
        code = add(acs, e, &c->additions[i], &one, err);
        *out_added = *out_added || one;
    }
    return code;
}

static enum atls_code try_series(struct atls_accepted_claims *acs, const struct atls_endorsement *e,
                                 bool *out_done, bool *out_added, struct atls_err *err)
{
    const struct atls_corim_ect *base = &e->series->condition;

    for (size_t i = 0; i < e->series->entry_count; i++) {
        const struct atls_corim_series_entry *entry = &e->series->entries[i];
        const struct atls_condition condition = {
            .environment = &base->environment,
            .authorized_by = base->authorized_by,
            .authorized_by_count = base->authorized_by_count,
            .elements = {base->measurements, entry->selection},
            .element_count = {base->count, entry->selection_count},
            .addition = entry->addition,
            .addition_count = entry->addition_count,
        };
        struct atls_addition addition = addition_of(e, &base->environment);
        enum atls_code code = atls_accepted_claims_match(acs, &condition, out_done, err);

        if (code != ATLS_OK)
            return code;
        addition.measurements = entry->addition;
        addition.count = entry->addition_count;
        if (*out_done)
            return atls_accepted_claims_add(acs, &addition, out_added, err);
    }
    return ATLS_OK;
}

/* In the order in which they are tried. */
static const struct {
    enum atls_comid_triple kind;
    try_endorsement *try;
} steps[] = {
    {ATLS_TRIPLE_ENDORSED, try_endorsed},
    {ATLS_TRIPLE_CONDITIONAL, try_conditional},
    {ATLS_TRIPLE_CONDITIONAL_SERIES, try_series},
};

struct endorsements {
    const struct atls_endorsement *items;
    size_t count;
    bool *done;
};

static enum atls_code play_round(struct atls_accepted_claims *acs,
                                 const struct endorsements *endorsements, bool *out_added,
                                 struct atls_err *err)
{
    enum atls_code code;
    bool added;

    *out_added = false;
    for (size_t step = 0; step < sizeof steps / sizeof steps[0]; step++) {
        for (size_t i = 0; i < endorsements->count; i++) {
            const struct atls_endorsement *e = &endorsements->items[i];

            if (endorsements->done[i] || e->kind != steps[step].kind)
                continue;
            added = false;
            code = steps[step].try(acs, e, &endorsements->done[i], &added, err);
            if (code != ATLS_OK)
                return code;
            *out_added = *out_added || added;
        }
    }
    return ATLS_OK;
}

enum atls_code atls_endorse(struct atls_accepted_claims *acs,
                            const struct atls_endorsement *endorsements, size_t count,
                            struct atls_err *err)
{
    const struct endorsements all = {endorsements, count, calloc(count + 1, sizeof *all.done)};
    enum atls_code code = ATLS_OK;
    bool added = true;

    if (all.done == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    for (unsigned int round = 0; added && code == ATLS_OK; round++) {
        if (round == ATLS_ENDORSE_ROUNDS_MAX)
            code = atls_fail(err, ATLS_E_LIMIT,
                             "appraisal: endorsements that wait for each other are not done after "
                             "%d rounds",
                             ATLS_ENDORSE_ROUNDS_MAX);
        else
            code = play_round(acs, &all, &added, err);
    }
    free(all.done);
    return code;
}

/* ---- domains ---- */

static bool is_member(const struct atls_accepted_entry *domain, const struct atls_environment *e)
{
    for (size_t i = 0; i < domain->member_count; i++)
        if (atls_environment_equal(&domain->members[i], e))
            return true;
    return false;
}

static enum atls_code member_is_there(struct atls_accepted_claims *acs,
                                      const struct atls_environment *member, bool *out,
                                      struct atls_err *err)
{
    enum atls_code code;

    *out = false;
    for (size_t i = 0; i < acs->entry_count && !*out; i++) {
        const struct atls_accepted_entry *e = &acs->entries[i];

        if ((code = atls_accepted_claims_spend(acs, 1, err)) != ATLS_OK)
            return code;
        *out = (e->kind == ATLS_ACCEPTED_EVIDENCE || e->kind == ATLS_ACCEPTED_MEMBERSHIP) &&
               atls_environment_matches(member, e->environment);
    }
    return ATLS_OK;
}

static enum atls_code members_are_there(struct atls_accepted_claims *acs,
                                        const struct atls_corim_domain *domain, bool *out,
                                        struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    *out = domain->member_count != 0;
    for (size_t i = 0; i < domain->member_count && *out && code == ATLS_OK; i++)
        code = member_is_there(acs, &domain->members[i], out, err);
    return code;
}

/* One domain of the environment has all trustees. */
static enum atls_code trustees_are_members(struct atls_accepted_claims *acs,
                                           const struct atls_corim_domain *dependency, bool *out,
                                           struct atls_err *err)
{
    enum atls_code code;

    *out = false;
    for (size_t i = 0; i < acs->entry_count && !*out; i++) {
        const struct atls_accepted_entry *e = &acs->entries[i];

        if (e->kind != ATLS_ACCEPTED_MEMBERSHIP ||
            !atls_environment_equal(&dependency->environment, e->environment))
            continue;
        *out = dependency->member_count != 0;
        for (size_t k = 0; k < dependency->member_count && *out; k++) {
            code = atls_accepted_claims_spend(acs, e->member_count, err);
            if (code != ATLS_OK)
                return code;
            *out = is_member(e, &dependency->members[k]);
        }
    }
    return ATLS_OK;
}

static enum atls_code try_domain(struct atls_accepted_claims *acs,
                                 const struct atls_domain_statement *s, bool *out_done,
                                 struct atls_err *err)
{
    bool membership = s->domain->kind == ATLS_TRIPLE_MEMBERSHIP;
    struct atls_accepted_entry entry = {
        .kind = membership ? ATLS_ACCEPTED_MEMBERSHIP : ATLS_ACCEPTED_DEPENDENCY,
        .environment = &s->domain->environment,
        .authority = {.spki = s->authority},
        .manifest = s->manifest,
        .members = s->domain->members,
        .member_count = s->domain->member_count,
    };
    enum atls_code code = membership ? members_are_there(acs, s->domain, out_done, err)
                                     : trustees_are_members(acs, s->domain, out_done, err);

    return code != ATLS_OK || !*out_done ? code : atls_accepted_claims_put(acs, &entry, err);
}

struct statements {
    const struct atls_domain_statement *items;
    size_t count;
    bool *done;
};

/* All statements of one kind, until nothing is new; each is added once, so that this ends. */
static enum atls_code add_domains(struct atls_accepted_claims *acs,
                                  const struct statements *statements, enum atls_comid_triple kind,
                                  struct atls_err *err)
{
    enum atls_code code;
    bool added = true;

    while (added) {
        added = false;
        for (size_t i = 0; i < statements->count; i++) {
            const struct atls_domain_statement *s = &statements->items[i];
            bool *done = &statements->done[i];

            if (*done || s->domain->kind != kind)
                continue;
            if ((code = try_domain(acs, s, done, err)) != ATLS_OK)
                return code;
            added = added || *done;
        }
    }
    return ATLS_OK;
}

enum atls_code atls_endorse_domains(struct atls_accepted_claims *acs,
                                    const struct atls_domain_statement *statements, size_t count,
                                    struct atls_err *err)
{
    const struct statements all = {statements, count, calloc(count + 1, sizeof *all.done)};
    enum atls_code code;

    if (all.done == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    if ((code = add_domains(acs, &all, ATLS_TRIPLE_MEMBERSHIP, err)) == ATLS_OK)
        code = add_domains(acs, &all, ATLS_TRIPLE_DEPENDENCY, err);
    free(all.done);
    return code;
}
