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
    for (size_t i = 0; i < c->absent_count; i++)
        if (atls_mkey_equal(&c->absent[i]->mkey, &v->expected->mkey))
            return;
    if (c->absent_count == ATLS_ABSENT_MAX)
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
    holds = atls_mval_holds(&v->expected->mval, actual);
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

/* Compares one reference value with every measurement of its mkey. */
static enum atls_code use_value(struct work *w, const struct value *v, struct atls_err *err)
{
    const struct atls_mkey *mkey = &v->expected->mkey;
    enum atls_code code = ATLS_OK;
    bool present = false;

    if (mkey->kind == ATLS_MKEY_UINT && mkey->number < ATLS_SMALL_KEYS) {
        for (size_t i = w->c->small[mkey->number]; i != 0 && code == ATLS_OK;
             i = w->findings[i - 1].next) {
            code = compare(w, i - 1, v, err);
            present = true;
        }
    } else {
        for (size_t i = 0; i < w->in->claims->measurement_count && code == ATLS_OK; i++) {
            if (!atls_mkey_equal(&w->measurements[i].mkey, mkey))
                continue;
            code = compare(w, i, v, err);
            present = true;
        }
    }
    if (!present)
        note_absent(w->c, v);
    return code;
}

static void index_small_keys(struct atls_corroboration *c)
{
    for (size_t i = c->claims->measurement_count; i-- > 0;) {
        const struct atls_mkey *key = &c->claims->measurements[i].mkey;

        if (key->kind != ATLS_MKEY_UINT || key->number >= ATLS_SMALL_KEYS)
            continue;
        c->findings[i].next = c->small[key->number];
        c->small[key->number] = i + 1;
    }
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
    c->findings = calloc(in->claims->measurement_count + 1, sizeof *c->findings);
    if (acs != NULL)
        c->providers = calloc(ATLS_PROVIDERS_MAX, sizeof *c->providers);
    if (c->findings == NULL || (acs != NULL && c->providers == NULL))
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    w.findings = c->findings;
    index_small_keys(c);
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
    c->findings = NULL;
    c->providers = NULL;
}
