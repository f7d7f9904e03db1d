#include "verifier/local/compose.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "verifier/local/match.h"

#define PCRS_MAX 32

_Static_assert(PCRS_MAX == 8 * sizeof(((struct atls_pcr_composite *)0)->bitmap),
               "one bit of the bitmap for each PCR");

struct pcr {
    uint64_t index;
    size_t count, at;                                          /* values, and the one at hand */
    const struct atls_digest *values[ATLS_COMPOSE_VALUES_MAX]; /* of the bank's hash */
};

/* A search under way. */
struct search {
    enum atls_hash hash;
    struct atls_bytes wanted;
    size_t count;
    struct pcr pcrs[PCRS_MAX]; /* of the selection, ascending */
};

static const struct atls_digest *digest_of(const struct atls_measurement *m, enum atls_hash hash)
{
    for (size_t i = 0; i < m->mval.digest_count; i++)
        if (m->mval.digests[i].hash == hash)
            return &m->mval.digests[i];
    return NULL;
}

static void add_value(struct search *s, struct pcr *p, const struct atls_measurement *m)
{
    const struct atls_digest *value = digest_of(m, s->hash);

    if (value == NULL || p->count == ATLS_COMPOSE_VALUES_MAX)
        return;
    for (size_t i = 0; i < p->count; i++)
        if (atls_bytes_equal(p->values[i]->value, value->value))
            return;
    p->values[p->count++] = value;
}

static void gather(struct search *s, const struct atls_reference *r)
{
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < s->count; k++)
            if (r->measurements[i].mkey.kind == ATLS_MKEY_UINT &&
                r->measurements[i].mkey.number == s->pcrs[k].index)
                add_value(s, &s->pcrs[k], &r->measurements[i]);
}

/* The next choice of values, the last PCR first; false behind the last choice. */
static bool advance(struct search *s)
{
    for (size_t k = s->count; k-- > 0;) {
        if (++s->pcrs[k].at < s->pcrs[k].count)
            return true;
        s->pcrs[k].at = 0;
    }
    return false;
}

static enum atls_code fits(const struct search *s, bool *out, struct atls_err *err)
{
    struct atls_bytes parts[PCRS_MAX];
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    for (size_t k = 0; k < s->count; k++)
        parts[k] = s->pcrs[k].values[s->pcrs[k].at]->value;
    if ((code = atls_hash_parts(s->hash, parts, s->count, digest, err)) == ATLS_OK)
        *out = atls_bytes_equal(atls_bytes_of(digest, atls_hash_len(s->hash)), s->wanted);
    return code;
}

static enum atls_code find(struct search *s, bool *out, struct atls_err *err)
{
    enum atls_code code;

    *out = false;
    for (size_t k = 0; k < s->count; k++)
        if (s->pcrs[k].count == 0)
            return ATLS_OK;
    for (size_t n = 0; n < ATLS_COMPOSE_TRIES_MAX; n++)
        if ((code = fits(s, out, err)) != ATLS_OK || *out || !advance(s))
            return code;
    return ATLS_OK;
}

/* Copies of the values that were found: references live no longer than the appraisal. */
static bool put_values(const struct search *s, struct atls_claims *claims)
{
    struct atls_measurement *list = atls_arena_alloc(&claims->arena, s->count, sizeof *list);
    struct atls_digest *digests = atls_arena_alloc(&claims->arena, s->count, sizeof *digests);

    if (list == NULL || digests == NULL)
        return false;
    for (size_t k = 0; k < s->count; k++) {
        digests[k] = *s->pcrs[k].values[s->pcrs[k].at];
        if (!atls_arena_copy(&claims->arena, digests[k].value, &digests[k].value))
            return false;
        list[k].mkey = (struct atls_mkey){ATLS_MKEY_UINT, s->pcrs[k].index, {NULL, 0}};
        list[k].mval.present = ATLS_MVAL_DIGESTS;
        list[k].mval.digests = &digests[k];
        list[k].mval.digest_count = 1;
    }
    claims->measurements = list;
    claims->measurement_count = s->count;
    return true;
}

static void search_init(struct search *s, const struct atls_pcr_composite *composite)
{
    s->hash = composite->hash;
    s->wanted = composite->digest;
    for (uint64_t i = 0; i < PCRS_MAX; i++)
        if (composite->bitmap >> i & 1)
            s->pcrs[s->count++].index = i;
}

enum atls_code atls_compose(struct atls_claims *claims, const struct atls_reference *references,
                            size_t count, struct atls_err *err)
{
    struct search *s;
    enum atls_code code;
    bool found;

    if (claims->composite == NULL)
        return ATLS_OK;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    search_init(s, claims->composite);
    for (size_t i = 0; i < count; i++)
        if (atls_environment_matches(&references[i].environment, &claims->environment))
            gather(s, &references[i]);
    if ((code = find(s, &found, err)) == ATLS_OK && found) {
        if (put_values(s, claims))
            claims->composite = NULL;
        else
            code = atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    }
    free(s);
    return code;
}
