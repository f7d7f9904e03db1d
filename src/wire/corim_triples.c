#include "wire/corim_triples.h"

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/corim_items.h"

static enum atls_code malformed(struct atls_err *err, const char *rule)
{
    return atls_corim_malformed(err, "triple", rule);
}

static enum atls_code get_environment(struct atls_reader *r, struct atls_bytes *out_item,
                                      struct atls_environment *out, struct atls_err *err)
{
    if (!atls_cbor_get_item(r, out_item))
        return malformed(err, "has no environment");
    return atls_environment_decode(*out_item, out, err);
}

static enum atls_code get_measurements(struct atls_reader *r, struct atls_arena *arena,
                                       struct atls_measurement **out, size_t *out_count,
                                       struct atls_err *err)
{
    struct atls_bytes item;

    if (!atls_cbor_get_item(r, &item))
        return malformed(err, "has no measurements");
    return atls_measurements_decode(item, arena, out, out_count, err);
}

static enum atls_code get_keys(struct atls_reader *r, struct atls_arena *arena,
                               struct atls_corim_key **out, size_t *out_count, struct atls_err *err)
{
    struct atls_bytes item;

    if (!atls_cbor_get_item(r, &item))
        return malformed(err, "has no keys");
    return atls_corim_keys_decode(item, arena, out, out_count, err);
}

/* [environment, [+ measurement]] */
static enum atls_code get_ect(struct atls_reader *r, struct atls_arena *arena,
                              struct atls_corim_ect *out, struct atls_err *err)
{
    struct atls_cbor_iter record;
    enum atls_code code;

    if (!atls_cbor_enter_array(r, &record) || record.left != 2)
        return malformed(err, "not [environment, measurements]");
    if ((code = get_environment(r, &out->environment_item, &out->environment, err)) != ATLS_OK)
        return code;
    return get_measurements(r, arena, &out->measurements, &out->count, err);
}

/* ---- one record of each kind; item is the whole of it ---- */

static enum atls_code get_reference(struct atls_bytes item, struct atls_comid_context *c,
                                    struct atls_err *err)
{
    struct atls_corim_reference *out = &c->comid->references[c->comid->reference_count];
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter record;
    enum atls_code code;

    if (!atls_cbor_enter_array(&r, &record) || record.left != 2)
        return malformed(err, "not [environment, measurements]");
    if ((code = get_environment(&r, &out->environment_item, &out->environment, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_get_item(&r, &out->measurements_item))
        return malformed(err, "has no measurements");
    c->comid->reference_count++;
    return atls_measurements_decode(out->measurements_item, c->arena, &out->measurements,
                                    &out->count, err);
}

static enum atls_code get_endorsed(struct atls_bytes item, struct atls_comid_context *c,
                                   struct atls_err *err)
{
    struct atls_corim_endorsed *out = &c->comid->endorsed[c->comid->endorsed_count++];
    struct atls_reader r = atls_reader_init(item);

    out->item = item;
    return get_ect(&r, c->arena, &out->ect, err);
}

/* {? 0: mkey, ? 1: authorized-by}, not empty */
static enum atls_code get_conditions(struct atls_reader *r, struct atls_arena *arena,
                                     struct atls_corim_attest_key *out, struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return malformed(err, "conditions are not a non-empty map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return atls_corim_unsupported(err, "triple", "unknown member of the conditions");
        code = key == 0 ? atls_corim_get_mkey(r, &out->mkey, err)
                        : get_keys(r, arena, &out->authorized_by, &out->authorized_by_count, err);
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* [environment, [+ key], ? conditions] */
static enum atls_code get_key_triple(struct atls_bytes item, struct atls_arena *arena,
                                     struct atls_corim_attest_key *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter record;
    enum atls_code code;

    if (!atls_cbor_enter_array(&r, &record) || record.left < 2 || record.left > 3)
        return malformed(err, "not [environment, keys] or [environment, keys, conditions]");
    out->item = item;
    out->conditional = record.left == 3;
    if ((code = get_environment(&r, &out->environment_item, &out->environment, err)) != ATLS_OK ||
        (code = get_keys(&r, arena, &out->keys, &out->count, err)) != ATLS_OK)
        return code;
    return out->conditional ? get_conditions(&r, arena, out, err) : ATLS_OK;
}

static enum atls_code get_identity(struct atls_bytes item, struct atls_comid_context *c,
                                   struct atls_err *err)
{
    return get_key_triple(item, c->arena, &c->comid->identities[c->comid->identity_count++], err);
}

static enum atls_code get_attest_key(struct atls_bytes item, struct atls_comid_context *c,
                                     struct atls_err *err)
{
    return get_key_triple(item, c->arena, &c->comid->attest_keys[c->comid->attest_key_count++],
                          err);
}

/* [environment, [+ environment]] */
static enum atls_code get_domain(struct atls_bytes item, struct atls_comid_context *c,
                                 enum atls_comid_triple kind, struct atls_err *err)
{
    struct atls_corim_domain *out = &c->comid->domains[c->comid->domain_count++];
    struct atls_corim_list list = {.member = "members of a domain", .arena = c->arena};
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter record;
    struct atls_bytes one;
    enum atls_code code;
    void *array;

    if (!atls_cbor_enter_array(&r, &record) || record.left != 2)
        return malformed(err, "not [environment, environments]");
    out->item = item;
    out->kind = kind;
    if ((code = get_environment(&r, &one, &out->environment, err)) != ATLS_OK ||
        (code = atls_corim_open_list(&r, &list, sizeof *out->members, &array, err)) != ATLS_OK)
        return code;
    out->members = array;
    while (atls_cbor_more(&r, &list.iter))
        if ((code = get_environment(&r, &one, &out->members[out->member_count++], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code get_dependency(struct atls_bytes item, struct atls_comid_context *c,
                                     struct atls_err *err)
{
    return get_domain(item, c, ATLS_TRIPLE_DEPENDENCY, err);
}

static enum atls_code get_membership(struct atls_bytes item, struct atls_comid_context *c,
                                     struct atls_err *err)
{
    return get_domain(item, c, ATLS_TRIPLE_MEMBERSHIP, err);
}

/* [environment, [* measurement], ? [+ key]] */
static enum atls_code get_series_condition(struct atls_reader *r, struct atls_arena *arena,
                                           struct atls_corim_ect *out, struct atls_err *err)
{
    struct atls_cbor_iter record, none;
    struct atls_reader ahead;
    enum atls_code code;

    if (!atls_cbor_enter_array(r, &record) || record.left < 2 || record.left > 3)
        return malformed(err, "condition is not [environment, measurements, ? authorized-by]");
    if ((code = get_environment(r, &out->environment_item, &out->environment, err)) != ATLS_OK)
        return code;
    ahead = *r;
    if (atls_cbor_enter_array(&ahead, &none) && none.left == 0)
        *r = ahead;
    else if ((code = get_measurements(r, arena, &out->measurements, &out->count, err)) != ATLS_OK)
        return code;
    if (record.left == 2)
        return ATLS_OK;
    return get_keys(r, arena, &out->authorized_by, &out->authorized_by_count, err);
}

/* [[+ measurement], [+ measurement]] */
static enum atls_code get_series_entry(struct atls_reader *r, struct atls_arena *arena,
                                       struct atls_corim_series_entry *out, struct atls_err *err)
{
    struct atls_cbor_iter record;
    enum atls_code code;

    if (!atls_cbor_enter_array(r, &record) || record.left != 2)
        return malformed(err, "series entry is not [selection, addition]");
    code = get_measurements(r, arena, &out->selection, &out->selection_count, err);
    if (code != ATLS_OK)
        return code;
    return get_measurements(r, arena, &out->addition, &out->addition_count, err);
}

/* [condition, [+ entry]] */
static enum atls_code get_series(struct atls_bytes item, struct atls_comid_context *c,
                                 struct atls_err *err)
{
    struct atls_corim_series *out = &c->comid->series[c->comid->series_count++];
    struct atls_corim_list list = {.member = "series", .arena = c->arena};
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter record;
    enum atls_code code;
    void *array;

    if (!atls_cbor_enter_array(&r, &record) || record.left != 2)
        return malformed(err, "not [condition, series]");
    out->item = item;
    if ((code = get_series_condition(&r, c->arena, &out->condition, err)) != ATLS_OK ||
        (code = atls_corim_open_list(&r, &list, sizeof *out->entries, &array, err)) != ATLS_OK)
        return code;
    out->entries = array;
    while (atls_cbor_more(&r, &list.iter))
        if ((code = get_series_entry(&r, c->arena, &out->entries[out->entry_count++], err)) !=
            ATLS_OK)
            return atls_corim_in_record(err, code, "entry", out->entry_count - 1);
    return ATLS_OK;
}

/* [+ [environment, [+ measurement]]] */
static enum atls_code get_ects(struct atls_reader *r, struct atls_corim_list *list,
                               struct atls_corim_ect **out, size_t *out_count, struct atls_err *err)
{
    struct atls_corim_ect *ects;
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, list, sizeof *ects, &array, err)) != ATLS_OK)
        return code;
    ects = array;
    for (*out_count = 0; atls_cbor_more(r, &list->iter); ++*out_count)
        if ((code = get_ect(r, list->arena, &ects[*out_count], err)) != ATLS_OK)
            return atls_corim_in_record(err, code, list->member, *out_count);
    *out = ects;
    return ATLS_OK;
}

/* [conditions, additions] */
static enum atls_code get_conditional(struct atls_bytes item, struct atls_comid_context *c,
                                      struct atls_err *err)
{
    struct atls_corim_conditional *out = &c->comid->conditionals[c->comid->conditional_count++];
    struct atls_corim_list conditions = {.member = "condition", .arena = c->arena},
                           additions = {.member = "addition", .arena = c->arena};
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter record;
    enum atls_code code;

    if (!atls_cbor_enter_array(&r, &record) || record.left != 2)
        return malformed(err, "not [conditions, additions]");
    out->item = item;
    code = get_ects(&r, &conditions, &out->conditions, &out->condition_count, err);
    if (code != ATLS_OK)
        return code;
    return get_ects(&r, &additions, &out->additions, &out->addition_count, err);
}

/* ---- lists of records ---- */

typedef enum atls_code get_record(struct atls_bytes item, struct atls_comid_context *c,
                                  struct atls_err *err);

static const struct kind {
    enum atls_comid_triple kind;
    const char *list, *record; /* for errors */
    get_record *get;
} kinds[] = {
    {ATLS_TRIPLE_REFERENCE, "reference triples", "reference triple", get_reference},
    {ATLS_TRIPLE_ENDORSED, "endorsed triples", "endorsed triple", get_endorsed},
    {ATLS_TRIPLE_IDENTITY, "identity triples", "identity triple", get_identity},
    {ATLS_TRIPLE_ATTEST_KEY, "attest-key triples", "attest-key triple", get_attest_key},
    {ATLS_TRIPLE_DEPENDENCY, "dependency triples", "dependency triple", get_dependency},
    {ATLS_TRIPLE_MEMBERSHIP, "membership triples", "membership triple", get_membership},
    {ATLS_TRIPLE_CONDITIONAL_SERIES, "conditional-endorsement-series triples",
     "conditional-endorsement-series triple", get_series},
    {ATLS_TRIPLE_CONDITIONAL, "conditional-endorsement triples", "conditional-endorsement triple",
     get_conditional},
};

static enum atls_code count_triples(struct atls_comid_context *c, size_t count,
                                    struct atls_err *err)
{
    c->triples += count;
    if (c->triples > ATLS_CORIM_TRIPLES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM triples: more than %d in one tag",
                         ATLS_CORIM_TRIPLES_MAX);
    return ATLS_OK;
}

/* Domains of both kinds share one array: the one that is there already is taken over. */
static enum atls_code reserve_domains(struct atls_comid_context *c, size_t count,
                                      struct atls_err *err)
{
    struct atls_comid *m = c->comid;
    struct atls_corim_domain *domains =
        atls_arena_alloc(c->arena, m->domain_count + count, sizeof *domains);

    if (domains == NULL)
        return atls_corim_no_memory(err);
    for (size_t i = 0; i < m->domain_count; i++)
        domains[i] = m->domains[i];
    m->domains = domains;
    return ATLS_OK;
}

/* Room for count records of one kind. */
static enum atls_code reserve(struct atls_comid_context *c, enum atls_comid_triple kind,
                              size_t count, struct atls_err *err)
{
    struct atls_comid *m = c->comid;
    struct atls_arena *a = c->arena;
    const void *array = NULL;

    switch (kind) {
    case ATLS_TRIPLE_REFERENCE:
        array = m->references = atls_arena_alloc(a, count, sizeof *m->references);
        break;
    case ATLS_TRIPLE_ENDORSED:
        array = m->endorsed = atls_arena_alloc(a, count, sizeof *m->endorsed);
        break;
    case ATLS_TRIPLE_IDENTITY:
        array = m->identities = atls_arena_alloc(a, count, sizeof *m->identities);
        break;
    case ATLS_TRIPLE_ATTEST_KEY:
        array = m->attest_keys = atls_arena_alloc(a, count, sizeof *m->attest_keys);
        break;
    case ATLS_TRIPLE_CONDITIONAL_SERIES:
        array = m->series = atls_arena_alloc(a, count, sizeof *m->series);
        break;
    case ATLS_TRIPLE_CONDITIONAL:
        array = m->conditionals = atls_arena_alloc(a, count, sizeof *m->conditionals);
        break;
    case ATLS_TRIPLE_DEPENDENCY:
    case ATLS_TRIPLE_MEMBERSHIP:
        return reserve_domains(c, count, err);
    case ATLS_TRIPLE_COSWID:
        break;
    }
    return array != NULL ? ATLS_OK : atls_corim_no_memory(err);
}

static enum atls_code get_list(struct atls_reader *r, struct atls_comid_context *c,
                               const struct kind *kind, struct atls_err *err)
{
    struct atls_cbor_iter list;
    struct atls_bytes item;
    enum atls_code code;

    if (!atls_cbor_enter_array(r, &list) || list.left == 0)
        return atls_corim_malformed(err, kind->list, "not a non-empty list");
    if ((code = count_triples(
             c, list.left > ATLS_CORIM_TRIPLES_MAX ? ATLS_CORIM_TRIPLES_MAX + 1 : (size_t)list.left,
             err)) != ATLS_OK ||
        (code = reserve(c, kind->kind, (size_t)list.left, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; atls_cbor_more(r, &list); i++) {
        if (!atls_cbor_get_item(r, &item))
            return atls_corim_malformed(err, kind->list, "truncated");
        if ((code = kind->get(item, c, err)) != ATLS_OK)
            return atls_corim_in_record(err, code, kind->record, i);
    }
    return ATLS_OK;
}

static enum atls_code get_other(struct atls_reader *r, struct atls_comid_context *c, int64_t kind,
                                struct atls_err *err)
{
    struct atls_corim_other *other = &c->comid->others[c->comid->other_count];
    struct atls_reader inner;
    struct atls_cbor_iter list;

    if (!atls_cbor_get_item(r, &other->list))
        return atls_corim_malformed(err, "triples", "truncated");
    inner = atls_reader_init(other->list);
    if (!atls_cbor_enter_array(&inner, &list) || list.left == 0)
        return atls_corim_malformed(err, "triples", "not a non-empty list");
    other->kind = kind;
    other->count = (size_t)list.left;
    c->comid->other_count++;
    return count_triples(c, other->count, err);
}

enum atls_code atls_comid_get_triples(struct atls_reader *r, struct atls_comid_context *c,
                                      struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t number;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return atls_corim_malformed(err, "triples", "not a non-empty map");
    if (map.left > ATLS_CORIM_TRIPLES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM triples: too many kinds");
    c->comid->others = atls_arena_alloc(c->arena, (size_t)map.left, sizeof *c->comid->others);
    if (c->comid->others == NULL)
        return atls_corim_no_memory(err);
    while (atls_cbor_more(r, &map)) {
        const struct kind *kind = NULL;

        if (!atls_cbor_get_int(r, &number))
            return atls_corim_malformed(err, "triples", "kind is not an integer");
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if ((int64_t)kinds[i].kind == number)
                kind = &kinds[i];
        code = kind != NULL ? get_list(r, c, kind, err) : get_other(r, c, number, err);
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}
