#include "verifier/local/corroborate.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "verifier/local/match.h"

/* One reference value at work. */
struct value {
    const struct atls_reference *reference;
    const struct atls_measurement *expected;
    size_t *entry; /* of its provider, ENTRY_UNKNOWN before the first that holds */
};
#define ENTRY_UNKNOWN SIZE_MAX

struct work {
    const struct atls_corroboration_input *in;
    const struct atls_measurement *measurements; /* of the evidence */
    struct atls_finding *findings;
    struct atls_accepted_claims *acs;
    struct atls_corroboration *c;
    const char *noted; /* the last manifest */
};

static void note_absent(struct atls_corroboration *c, const struct value *v)
{
    if (c->absent_count == ATLS_ABSENT_MAX)
        return;
    for (size_t i = 0; i < c->absent_count; i++)
        if (atls_mkey_equal(&c->absent[i]->mkey, &v->expected->mkey) &&
            atls_bytes_equal(c->absent[i]->mval.name, v->expected->mval.name))
            return;
    c->absent[c->absent_count] = v->expected;
    c->absent_reference[c->absent_count++] = v->reference;
}

/* Digests of other algorithms than the evidence has say nothing about it, neither good nor bad. */
static bool is_comparable(const struct atls_mval *expected, const struct atls_mval *actual)
{
    if ((expected->present & actual->present & ATLS_MVAL_DIGESTS) == 0)
        return true;
    for (size_t i = 0; i < expected->digest_count; i++)
        if (atls_digest_alike(actual, &expected->digests[i]) != NULL)
            return true;
    return false;
}

/* Which members an environment has. One that applies has those of the evidence, so that members and
 * authority tell entries apart. */
static unsigned int members_of(const struct atls_environment *e)
{
    return (unsigned int)(e->class_id.ptr != NULL) | (unsigned int)(e->vendor.ptr != NULL) << 1 |
           (unsigned int)(e->model.ptr != NULL) << 2 | (unsigned int)e->has_layer << 3 |
           (unsigned int)e->has_index << 4 | (unsigned int)(e->instance.ptr != NULL) << 5 |
           (unsigned int)(e->group.ptr != NULL) << 6;
}

/* Where the entry of a reference is remembered; NULL when there are too many providers. */
static size_t *find_provider(struct atls_corroboration *c, const struct atls_reference *r)
{
    unsigned int members = members_of(&r->environment);
    struct atls_provider *p;

    for (size_t i = 0; i < c->provider_count; i++) {
        p = &c->providers[i];
        if (p->members == members && atls_bytes_equal(p->authority, r->authority))
            return &p->entry;
    }
    if (c->provider_count == ATLS_PROVIDERS_MAX)
        return NULL;
    p = &c->providers[c->provider_count++];
    p->authority = r->authority;
    p->members = members;
    p->entry = ENTRY_UNKNOWN;
    return &p->entry;
}

static enum atls_code entry_of(struct work *w, const struct value *v, size_t *out,
                               struct atls_err *err)
{
    const struct atls_accepted_entry like = {
        .kind = ATLS_ACCEPTED_REFERENCE,
        .environment = &v->reference->environment,
        .authority = {.spki = v->reference->authority},
        .manifest = v->reference->manifest,
    };
    enum atls_code code;

    if (v->entry != NULL && *v->entry != ENTRY_UNKNOWN) {
        *out = *v->entry;
        return ATLS_OK;
    }
    if ((code = atls_accepted_claims_entry(w->acs, &like, out, err)) == ATLS_OK && v->entry != NULL)
        *v->entry = *out;
    return code;
}

/* Does the entry vouch for all that the value names of the measurement already? */
static enum atls_code is_vouched(struct work *w, size_t entry,
                                 const struct atls_accepted_element *element, bool *out,
                                 struct atls_err *err)
{
    const struct atls_accepted_claims *acs = w->acs;

    *out = false;
    for (size_t i = acs->entries[entry].first; i != 0 && !*out; i = acs->elements[i - 1].next) {
        const struct atls_accepted_element *known = &acs->elements[i - 1];
        enum atls_code code = atls_accepted_claims_spend(w->acs, 1, err);

        if (code != ATLS_OK)
            return code;
        *out = known->measurement == element->measurement &&
               atls_mval_within(element->vouched, known->vouched);
    }
    return ATLS_OK;
}

/* The provider says what the evidence says. */
static enum atls_code accept(struct work *w, size_t index, const struct value *v,
                             struct atls_err *err)
{
    const struct atls_accepted_element element = {
        .measurement = &w->measurements[index],
        .vouched = &v->expected->mval,
        .manifest = v->reference->manifest,
    };
    enum atls_code code;
    bool vouched = false;
    size_t entry;

    if ((code = entry_of(w, v, &entry, err)) != ATLS_OK ||
        (code = is_vouched(w, entry, &element, &vouched, err)) != ATLS_OK)
        return code;
    return vouched ? ATLS_OK : atls_accepted_claims_append(w->acs, entry, &element, err);
}

static void note_manifest(struct work *w, const char *manifest)
{
    if (w->in->noted != NULL && manifest != w->noted)
        w->in->noted(w->in->arg, manifest);
    w->noted = manifest;
}

/* The evidence is signed by every key that the value names. */
static enum atls_code speaker_holds(const struct work *w, const struct atls_measurement *expected,
                                    bool *out, struct atls_err *err)
{
    const struct atls_authority speaker = {.spki = w->in->claims->signer_spki};

    return atls_authority_holds(&speaker, expected->authorized_by, expected->authorized_by_count,
                                out, err);
}

static inline enum atls_code compare(struct work *w, size_t index, const struct value *v,
                                     struct atls_err *err)
{
    struct atls_finding *f = &w->findings[index];
    const struct atls_mval *actual = &w->measurements[index].mval;
    enum atls_code code;
    bool holds;

    if (f->covered && w->acs == NULL)
        return ATLS_OK;
    f->named = true;
    holds = atls_measurement_holds(w->c->svn_form, v->expected, &w->measurements[index]);
    if (!holds && !is_comparable(&v->expected->mval, actual))
        return ATLS_OK;
    if (f->compared++ == 0) {
        f->reference = v->reference;
        f->expected = v->expected;
    }
    if (holds && v->expected->authorized_by_count != 0 &&
        (code = speaker_holds(w, v->expected, &holds, err)) != ATLS_OK)
        return code;
    if (!holds)
        return ATLS_OK;
    if (!f->covered)
        note_manifest(w, v->reference->manifest);
    f->covered = true;
    return w->acs == NULL ? ATLS_OK : accept(w, index, v, err);
}

/* Numbers are their own place; of the rest FNV-1a. Evidence that is made to collide only costs what
 * looking at all of it would. */
static inline size_t *place_of(const struct atls_corroboration *c, const struct atls_mkey *key)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    if (key->kind == ATLS_MKEY_UINT)
        return &c->places[key->number & c->place_mask];
    for (size_t i = 0; i < key->bytes.len; i++)
        hash = (hash ^ key->bytes.ptr[i]) * UINT64_C(1099511628211);
    return &c->places[hash & c->place_mask];
}

static inline bool has_mkey(const struct atls_measurement *m, const struct atls_mkey *mkey)
{
    if (mkey->kind == ATLS_MKEY_UINT)
        return m->mkey.kind == ATLS_MKEY_UINT && m->mkey.number == mkey->number;
    return atls_mkey_equal(&m->mkey, mkey);
}

/* Both have a name, and not the same: two components, whatever their mkey. */
static bool is_another(const struct atls_measurement *a, const struct atls_measurement *b)
{
    return (a->mval.present & b->mval.present & ATLS_MVAL_NAME) != 0 &&
           !atls_bytes_equal(a->mval.name, b->mval.name);
}

/* Compares one reference value with every measurement of its mkey. */
static enum atls_code use_value(struct work *w, const struct value *v, struct atls_err *err)
{
    const struct atls_mkey *mkey = &v->expected->mkey;
    enum atls_code code = ATLS_OK;
    bool present = false;

    for (size_t i = *place_of(w->c, mkey); i != 0 && code == ATLS_OK; i = w->findings[i - 1].next) {
        if (!has_mkey(&w->measurements[i - 1], mkey) ||
            is_another(&w->measurements[i - 1], v->expected))
            continue;
        code = compare(w, i - 1, v, err);
        present = true;
    }
    if (!present)
        note_absent(w->c, v);
    return code;
}

static bool make_places(struct atls_corroboration *c)
{
    size_t count = ATLS_PLACES_MIN;

    c->places = c->own_places;
    while (count < c->claims->measurement_count)
        count *= 2;
    if (count > ATLS_PLACES_MIN && (c->places = calloc(count, sizeof *c->places)) == NULL)
        return false;
    c->place_mask = count - 1;
    /* From the last to the first, so that each place lists them in their order. */
    for (size_t i = c->claims->measurement_count; i-- > 0;) {
        size_t *place = place_of(c, &c->claims->measurements[i].mkey);

        c->findings[i].next = *place;
        *place = i + 1;
    }
    return true;
}

bool atls_corroboration_approves(const struct atls_corroboration *c, size_t index)
{
    const size_t count = c->claims->measurement_count;

    if (c->findings[index].covered)
        return true;
    return !c->findings[index].named && count - index <= c->claims->optional_count;
}

static enum atls_code use_reference(struct work *w, const struct atls_reference *reference,
                                    struct atls_err *err)
{
    struct value v = {reference, NULL, NULL};
    enum atls_code code = ATLS_OK;

    if (!atls_environment_matches(&reference->environment, &w->in->claims->environment))
        return ATLS_OK;
    w->c->applicable++;
    if (w->acs != NULL)
        v.entry = find_provider(w->c, reference);
    for (size_t i = 0; i < reference->count && code == ATLS_OK; i++) {
        v.expected = &reference->measurements[i];
        code = use_value(w, &v, err);
    }
    return code;
}

enum atls_code atls_corroborate(const struct atls_corroboration_input *in,
                                struct atls_accepted_claims *acs, struct atls_corroboration *c,
                                struct atls_err *err)
{
    struct work w = {in, in->claims->measurements, NULL, acs, c, NULL};
    enum atls_code code = ATLS_OK;

    memset(c, 0, sizeof *c);
    c->claims = in->claims;
    c->svn_form = atls_svn_form_of(in->claims->technology, &in->claims->environment);
    c->findings = calloc(in->claims->measurement_count + 1, sizeof *c->findings);
    if (acs != NULL)
        c->providers = calloc(ATLS_PROVIDERS_MAX, sizeof *c->providers);
    if (c->findings == NULL || (acs != NULL && c->providers == NULL) || !make_places(c))
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    w.findings = c->findings;
    for (size_t i = 0; i < in->count && code == ATLS_OK; i++)
        code = use_reference(&w, &in->references[i], err);
    return code;
}

void atls_corroboration_clear(struct atls_corroboration *c)
{
    if (c == NULL)
        return;
    free(c->findings);
    free(c->providers);
    if (c->places != c->own_places)
        free(c->places);
    c->findings = NULL;
    c->providers = NULL;
    c->places = NULL;
}
