#include "verifier/local/accepted_claims.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "verifier/local/match.h"

/* What comparing with a named key costs beside comparing claims: a digest, and text to decode. */
#define KEY_WORK           64
#define KEY_BYTES_PER_WORK 16

static enum atls_code no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
}

enum atls_code atls_accepted_claims_spend(struct atls_accepted_claims *acs, size_t n,
                                          struct atls_err *err)
{
    if (n > ATLS_ACCEPTED_WORK_MAX - acs->work)
        return atls_fail(err, ATLS_E_LIMIT, "appraisal: endorsements take more than %d comparisons",
                         ATLS_ACCEPTED_WORK_MAX);
    acs->work += n;
    return ATLS_OK;
}

/* Room for one more of size bytes at *list; no more than max of them. */
static enum atls_code grow(void **list, size_t count, size_t *capacity, size_t size, size_t max,
                           struct atls_err *err)
{
    size_t want = *capacity == 0 ? 8 : *capacity * 2;
    void *grown;

    if (count < *capacity)
        return ATLS_OK;
    if (count >= max)
        return atls_fail(err, ATLS_E_LIMIT, "appraisal: more than %zu accepted claims", max);
    if (want > max)
        want = max;
    if ((grown = realloc(*list, want * size)) == NULL)
        return no_memory(err);
    *list = grown;
    *capacity = want;
    return ATLS_OK;
}

enum atls_code atls_accepted_claims_put(struct atls_accepted_claims *acs,
                                        const struct atls_accepted_entry *like,
                                        struct atls_err *err)
{
    void *list = acs->entries;
    enum atls_code code = grow(&list, acs->entry_count, &acs->entry_capacity, sizeof *acs->entries,
                               ATLS_ACCEPTED_ENTRIES_MAX, err);

    acs->entries = list;
    if (code != ATLS_OK)
        return code;
    acs->entries[acs->entry_count] = *like;
    acs->entries[acs->entry_count].first = acs->entries[acs->entry_count].last = 0;
    acs->entry_count++;
    return ATLS_OK;
}

enum atls_code atls_accepted_claims_append(struct atls_accepted_claims *acs, size_t entry,
                                           const struct atls_accepted_element *element,
                                           struct atls_err *err)
{
    struct atls_accepted_entry *e = &acs->entries[entry];
    void *list = acs->elements;
    enum atls_code code = grow(&list, acs->element_count, &acs->element_capacity,
                               sizeof *acs->elements, ATLS_ACCEPTED_ELEMENTS_MAX, err);

    acs->elements = list;
    if (code != ATLS_OK)
        return code;
    acs->elements[acs->element_count] = *element;
    acs->elements[acs->element_count].next = 0;
    acs->element_count++;
    if (e->last != 0)
        acs->elements[e->last - 1].next = acs->element_count;
    else
        e->first = acs->element_count;
    e->last = acs->element_count;
    return ATLS_OK;
}

enum atls_code atls_accepted_claims_init(struct atls_accepted_claims *acs,
                                         const struct atls_claims *claims, struct atls_err *err)
{
    const struct atls_accepted_entry evidence = {
        .kind = ATLS_ACCEPTED_EVIDENCE,
        .environment = &claims->environment,
        .authority = {.spki = claims->signer_spki},
    };
    struct atls_accepted_element element = {0};
    enum atls_code code;

    memset(acs, 0, sizeof *acs);
    acs->svn_form = atls_svn_form_of(claims->technology, &claims->environment);
    if (claims->measurement_count > ATLS_ACCEPTED_ELEMENTS_MAX / 2)
        return atls_fail(err, ATLS_E_LIMIT, "appraisal: %zu measurements, at most %d are taken",
                         claims->measurement_count, ATLS_ACCEPTED_ELEMENTS_MAX / 2);
    /* Room for all of them, and for all of them once more when reference values cover them. */
    acs->element_capacity = 2 * claims->measurement_count + 1;
    if ((acs->elements = malloc(acs->element_capacity * sizeof *acs->elements)) == NULL)
        return no_memory(err);
    if ((code = atls_accepted_claims_put(acs, &evidence, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < claims->measurement_count; i++) {
        element.measurement = &claims->measurements[i];
        if ((code = atls_accepted_claims_append(acs, 0, &element, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

void atls_accepted_claims_clear(struct atls_accepted_claims *acs)
{
    if (acs == NULL)
        return;
    free(acs->entries);
    free(acs->elements);
    memset(acs, 0, sizeof *acs);
}

static bool is_like(const struct atls_accepted_entry *a, const struct atls_accepted_entry *b)
{
    return a->kind == b->kind && atls_authority_equal(&a->authority, &b->authority) &&
           atls_bytes_equal(a->profile, b->profile) &&
           atls_environment_equal(a->environment, b->environment);
}

enum atls_code atls_accepted_claims_entry(struct atls_accepted_claims *acs,
                                          const struct atls_accepted_entry *like, size_t *out_index,
                                          struct atls_err *err)
{
    enum atls_code code;

    for (size_t i = 0; i < acs->entry_count; i++) {
        if (!is_like(&acs->entries[i], like))
            continue;
        *out_index = i;
        return atls_accepted_claims_spend(acs, i + 1, err);
    }
    if ((code = atls_accepted_claims_spend(acs, acs->entry_count, err)) != ATLS_OK ||
        (code = atls_accepted_claims_put(acs, like, err)) != ATLS_OK)
        return code;
    *out_index = acs->entry_count - 1;
    return ATLS_OK;
}

/* ---- additions ---- */

/* What an entry says of the thing that m speaks of. Elements may share an mkey: one that agrees is
 * enough. */
static enum atls_code relate(struct atls_accepted_claims *acs,
                             const struct atls_accepted_entry *entry,
                             const struct atls_measurement *m, enum atls_mval_relation *out,
                             struct atls_err *err)
{
    *out = ATLS_MVAL_UNRELATED;
    for (size_t i = entry->first; i != 0; i = acs->elements[i - 1].next) {
        const struct atls_measurement *known = acs->elements[i - 1].measurement;
        enum atls_code code = atls_accepted_claims_spend(acs, 1, err);
        enum atls_mval_relation one;

        if (code != ATLS_OK)
            return code;
        if (!atls_mkey_equal(&known->mkey, &m->mkey))
            continue;
        if ((one = atls_mval_relate(&known->mval, &m->mval)) == ATLS_MVAL_UNRELATED)
            continue;
        *out = one;
        if (one == ATLS_MVAL_AGREE)
            break;
    }
    return ATLS_OK;
}

/* Whose statements like must not contradict: its own, also of another kind. Nobody is not somebody
 * whom evidence could quote. */
static bool same_speaker(const struct atls_accepted_entry *entry,
                         const struct atls_accepted_entry *like)
{
    return atls_authority_equal(&entry->authority, &like->authority) &&
           (entry->kind != ATLS_ACCEPTED_EVIDENCE || entry->authority.spki.len != 0) &&
           atls_environment_equal(entry->environment, like->environment);
}

/* The first of the measurements that contradicts what its authority already said, or NULL. */
static enum atls_code find_conflict(struct atls_accepted_claims *acs,
                                    const struct atls_addition *addition,
                                    const struct atls_measurement **out, struct atls_err *err)
{
    enum atls_mval_relation relation;
    enum atls_code code;

    *out = NULL;
    for (size_t i = 0; i < acs->entry_count; i++) {
        if ((code = atls_accepted_claims_spend(acs, 1, err)) != ATLS_OK)
            return code;
        if (!same_speaker(&acs->entries[i], &addition->entry))
            continue;
        for (size_t k = 0; k < addition->count; k++) {
            const struct atls_measurement *m = &addition->measurements[k];

            if ((code = relate(acs, &acs->entries[i], m, &relation, err)) != ATLS_OK)
                return code;
            if (relation != ATLS_MVAL_DIFFER)
                continue;
            *out = m;
            return ATLS_OK;
        }
    }
    return ATLS_OK;
}

static void note_conflict(struct atls_accepted_claims *acs, const char *manifest,
                          const struct atls_mkey *mkey)
{
    if (acs->conflict_count < ATLS_CONFLICTS_MAX)
        acs->conflicts[acs->conflict_count] = (struct atls_conflict){manifest, mkey};
    acs->conflict_count++;
}

static enum atls_code is_known(struct atls_accepted_claims *acs, size_t entry,
                               const struct atls_measurement *m, bool *out, struct atls_err *err)
{
    *out = false;
    for (size_t i = acs->entries[entry].first; i != 0 && !*out; i = acs->elements[i - 1].next) {
        const struct atls_measurement *known = acs->elements[i - 1].measurement;
        enum atls_code code = atls_accepted_claims_spend(acs, 1, err);

        if (code != ATLS_OK)
            return code;
        *out = atls_mkey_equal(&known->mkey, &m->mkey) && atls_mval_within(&m->mval, &known->mval);
    }
    return ATLS_OK;
}

enum atls_code atls_accepted_claims_add(struct atls_accepted_claims *acs,
                                        const struct atls_addition *addition, bool *out_added,
                                        struct atls_err *err)
{
    struct atls_accepted_element element = {.manifest = addition->entry.manifest};
    const struct atls_measurement *conflicting;
    size_t entry, before = acs->element_count;
    enum atls_code code;
    bool known;

    if ((code = find_conflict(acs, addition, &conflicting, err)) != ATLS_OK)
        return code;
    if (conflicting != NULL) {
        note_conflict(acs, addition->entry.manifest, &conflicting->mkey);
        *out_added = false;
        return ATLS_OK;
    }
    if ((code = atls_accepted_claims_entry(acs, &addition->entry, &entry, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < addition->count; i++) {
        element.measurement = &addition->measurements[i];
        if ((code = is_known(acs, entry, element.measurement, &known, err)) != ATLS_OK ||
            (!known && (code = atls_accepted_claims_append(acs, entry, &element, err)) != ATLS_OK))
            return code;
    }
    *out_added = acs->element_count != before;
    return ATLS_OK;
}

/* ---- conditions ---- */

struct keys {
    const struct atls_corim_key *items;
    size_t count;
};

/* Whether every key is that of the entry. */
static enum atls_code authority_holds(struct atls_accepted_claims *acs,
                                      const struct atls_accepted_entry *entry, struct keys keys,
                                      bool *out, struct atls_err *err)
{
    enum atls_code code;

    for (size_t i = 0; i < keys.count; i++) {
        code = atls_accepted_claims_spend(
            acs, KEY_WORK + keys.items[i].content.len / KEY_BYTES_PER_WORK, err);
        if (code != ATLS_OK)
            return code;
    }
    return atls_authority_holds(&entry->authority, keys.items, keys.count, out, err);
}

static struct keys keys_of(const struct atls_measurement *m)
{
    struct keys keys = {m->authorized_by, m->authorized_by_count};

    return keys;
}

static bool element_holds(const struct atls_accepted_claims *acs,
                          const struct atls_accepted_element *element,
                          const struct atls_measurement *wanted)
{
    return atls_mkey_equal(&element->measurement->mkey, &wanted->mkey) &&
           atls_measurement_holds(acs->svn_form, wanted, element->measurement) &&
           (element->vouched == NULL || atls_mval_vouched(element->vouched, &wanted->mval));
}

/* Several elements may share an mkey: search, not first hit. */
static enum atls_code find_element(struct atls_accepted_claims *acs,
                                   const struct atls_accepted_entry *entry,
                                   const struct atls_measurement *wanted, bool *out,
                                   struct atls_err *err)
{
    enum atls_code code;

    *out = false;
    for (size_t i = entry->first; i != 0 && !*out; i = acs->elements[i - 1].next) {
        if ((code = atls_accepted_claims_spend(acs, 1, err)) != ATLS_OK)
            return code;
        *out = element_holds(acs, &acs->elements[i - 1], wanted);
    }
    if (!*out || wanted->authorized_by_count == 0)
        return ATLS_OK;
    return authority_holds(acs, entry, keys_of(wanted), out, err);
}

static enum atls_code speaker_holds(struct atls_accepted_claims *acs,
                                    const struct atls_accepted_entry *entry,
                                    const struct atls_condition *condition, bool *out,
                                    struct atls_err *err)
{
    const struct keys keys = {condition->authorized_by, condition->authorized_by_count};
    enum atls_code code = authority_holds(acs, entry, keys, out, err);

    for (size_t i = 0; i < condition->addition_count && code == ATLS_OK && *out; i++)
        code = authority_holds(acs, entry, keys_of(&condition->addition[i]), out, err);
    return code;
}

static enum atls_code entry_matches(struct atls_accepted_claims *acs,
                                    const struct atls_accepted_entry *entry,
                                    const struct atls_condition *condition, bool *out,
                                    struct atls_err *err)
{
    enum atls_code code = atls_accepted_claims_spend(acs, 1, err);

    *out = false;
    if (code != ATLS_OK || entry->kind == ATLS_ACCEPTED_MEMBERSHIP ||
        entry->kind == ATLS_ACCEPTED_DEPENDENCY ||
        !atls_environment_matches(condition->environment, entry->environment) ||
        (condition->profile.ptr != NULL && !atls_bytes_equal(condition->profile, entry->profile)))
        return code;
    *out = true;
    for (size_t list = 0; list < 2; list++)
        for (size_t i = 0; i < condition->element_count[list] && *out; i++)
            if ((code = find_element(acs, entry, &condition->elements[list][i], out, err)) !=
                ATLS_OK)
                return code;
    return *out ? speaker_holds(acs, entry, condition, out, err) : ATLS_OK;
}

enum atls_code atls_accepted_claims_match(struct atls_accepted_claims *acs,
                                          const struct atls_condition *condition, bool *out,
                                          struct atls_err *err)
{
    bool found = false;

    for (size_t i = 0; i < acs->entry_count && !found; i++) {
        enum atls_code code = entry_matches(acs, &acs->entries[i], condition, &found, err);

        if (code != ATLS_OK)
            return code;
    }
    *out = found;
    return ATLS_OK;
}
