#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "store/db.h"

/* Enrolled instances that are kept in memory; then the cache starts again. */
#define CACHE_BUCKETS 1024
#define CACHE_KEYS    16384
/* Classes of machines that are appraised at the same time: a handful. */
#define CACHE_SETS 64
/* Decoded reference values of one class. */
#define SET_MEMORY ((size_t)256 << 20)

/* Validity of what one row of the database says, inclusive. */
struct window {
    int64_t from_s, until_s;
};

/* One key of one manifest, or the class of one anchor. */
struct key_row {
    struct window window;
    struct atls_bytes spki, public_area, class_id, vendor, model;
};

struct key_entry {
    struct key_entry *next;
    struct atls_bytes name; /* kind, then instance or certificate */
    const struct key_row *rows;
    size_t count;
    struct atls_arena arena; /* of all that this entry points at */
};

struct atls_reference_set {
    atomic_size_t references;
    struct atls_bytes class_id;
    struct window window; /* while this is the answer */
    struct atls_reference *items;
    size_t count;
    struct atls_arena arena;
};

struct store_cache {
    int64_t data_version;
    size_t key_count;
    struct key_entry *keys[CACHE_BUCKETS];
    struct atls_reference_set *sets[CACHE_SETS];
    size_t set_count;
    struct atls_anchors *anchors[ATLS_ANCHOR_TLS + 1];
};

enum { KIND_INSTANCE = 'i', KIND_ANCHOR = 'a' };

/* ---- the cache ---- */

enum atls_code store_cache_new(struct store_cache **out, struct atls_err *err)
{
    struct store_cache *c = calloc(1, sizeof *c);

    if (c == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    *out = c;
    return ATLS_OK;
}

static void key_entry_free(struct key_entry *e)
{
    struct atls_arena arena = e->arena; /* holds the entry too */

    atls_arena_clear(&arena);
}

void store_cache_drop(struct store_cache *c)
{
    for (size_t i = 0; i < CACHE_BUCKETS && c->key_count > 0; i++) {
        while (c->keys[i] != NULL) {
            struct key_entry *next = c->keys[i]->next;

            key_entry_free(c->keys[i]);
            c->keys[i] = next;
            c->key_count--;
        }
    }
    for (size_t i = 0; i < c->set_count; i++)
        atls_reference_set_unref(c->sets[i]);
    c->set_count = 0;
    for (size_t i = 0; i < sizeof c->anchors / sizeof c->anchors[0]; i++) {
        if (c->anchors[i] != NULL)
            atls_anchors_unref(c->anchors[i]);
        c->anchors[i] = NULL;
    }
}

void store_cache_free(struct store_cache *c)
{
    if (c == NULL)
        return;
    store_cache_drop(c);
    free(c);
}

/* Drops the cache when another connection has changed the file since it was filled. */
static enum atls_code refresh(struct atls_store *s, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    int64_t version;
    bool row;

    if ((code = store_query(s, SQL_DATA_VERSION, &q, err)) != ATLS_OK ||
        (code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    version = store_column_int(&q, 0);
    store_end(&q);
    if (version != s->cache->data_version)
        store_cache_drop(s->cache);
    s->cache->data_version = version;
    return ATLS_OK;
}

/* FNV-1a. Only what is on file is kept, so that no peer can choose what collides. */
static size_t bucket_of(char kind, struct atls_bytes name)
{
    uint64_t h = (UINT64_C(0xcbf29ce484222325) ^ (uint8_t)kind) * UINT64_C(0x100000001b3);

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.ptr[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32) % CACHE_BUCKETS;
}

static const struct key_entry *cache_find(const struct store_cache *c, char kind,
                                          struct atls_bytes name)
{
    const struct key_entry *e = c->keys[bucket_of(kind, name)];

    while (e != NULL && (e->name.ptr[0] != (uint8_t)kind || e->name.len != name.len + 1 ||
                         memcmp(e->name.ptr + 1, name.ptr, name.len) != 0))
        e = e->next;
    return e;
}

static void cache_put(struct store_cache *c, char kind, struct atls_bytes name, struct key_entry *e)
{
    size_t bucket = bucket_of(kind, name);

    if (c->key_count >= CACHE_KEYS)
        store_cache_drop(c);
    e->next = c->keys[bucket];
    c->keys[bucket] = e;
    c->key_count++;
}

/* ---- keys ---- */

static enum atls_code no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
}

/* Window of a manifest from two nullable columns. */
static struct window column_window(const struct store_query *q, int not_before, int not_after)
{
    struct window w = {INT64_MIN, INT64_MAX};

    if (!store_column_is_null(q, not_before))
        w.from_s = store_column_int(q, not_before);
    if (!store_column_is_null(q, not_after))
        w.until_s = store_column_int(q, not_after);
    return w;
}

static bool covers(const struct window *w, int64_t time_s)
{
    return w->from_s <= time_s && time_s <= w->until_s;
}

/* An entry inside an arena of its own; rows are appended in chunks. */
struct key_builder {
    struct atls_arena arena;
    struct key_row *rows;
    size_t count, room;
};

static struct key_row *add_row(struct key_builder *b)
{
    if (b->count == b->room) {
        size_t room = b->room == 0 ? 1 : b->room * 2;
        struct key_row *rows = atls_arena_alloc(&b->arena, room, sizeof *rows);

        if (rows == NULL)
            return NULL;
        if (b->count != 0)
            memcpy(rows, b->rows, b->count * sizeof *rows);
        b->rows = rows;
        b->room = room;
    }
    return &b->rows[b->count++];
}

static bool copy_column(struct key_builder *b, const struct store_query *q, int at,
                        struct atls_bytes *out)
{
    return atls_arena_copy(&b->arena, store_column(q, at), out);
}

static bool read_key_row(struct key_builder *b, const struct store_query *q)
{
    struct key_row *row = add_row(b);

    if (row == NULL)
        return false;
    row->window = column_window(q, 5, 6);
    return copy_column(b, q, 0, &row->spki) && copy_column(b, q, 1, &row->public_area) &&
           copy_column(b, q, 2, &row->class_id) && copy_column(b, q, 3, &row->vendor) &&
           copy_column(b, q, 4, &row->model);
}

static bool read_anchor_row(struct key_builder *b, const struct store_query *q)
{
    struct key_row *row = add_row(b);

    if (row == NULL)
        return false;
    row->window.from_s = INT64_MIN;
    row->window.until_s = INT64_MAX;
    return copy_column(b, q, 0, &row->class_id) && copy_column(b, q, 1, &row->vendor) &&
           copy_column(b, q, 2, &row->model);
}

/* Turns what was built into an entry of the cache; *out stays NULL when there is no row. */
static enum atls_code keep_entry(struct store_cache *c, char kind, struct atls_bytes name,
                                 struct key_builder *b, const struct key_entry **out,
                                 struct atls_err *err)
{
    struct key_entry *e;
    uint8_t *copy;

    if (b->count == 0)
        return ATLS_OK;
    e = atls_arena_alloc(&b->arena, 1, sizeof *e);
    copy = atls_arena_alloc(&b->arena, name.len + 1, 1);
    if (e == NULL || copy == NULL)
        return no_memory(err);
    copy[0] = (uint8_t)kind;
    memcpy(copy + 1, name.ptr, name.len);
    e->name = atls_bytes_of(copy, name.len + 1);
    e->rows = b->rows;
    e->count = b->count;
    e->arena = b->arena;
    b->arena = atls_arena_init(0);
    cache_put(c, kind, name, e);
    *out = e;
    return ATLS_OK;
}

static enum atls_code load_entry(struct atls_store *s, struct store_query *q, char kind,
                                 struct atls_bytes name, const struct key_entry **out,
                                 struct atls_err *err)
{
    struct key_builder b = {atls_arena_init((size_t)1 << 24), NULL, 0, 0};
    enum atls_code code;
    bool row, ok = true;

    while ((code = store_step(q, &row, err)) == ATLS_OK && row && ok)
        ok = kind == KIND_INSTANCE ? read_key_row(&b, q) : read_anchor_row(&b, q);
    if (code == ATLS_OK)
        store_end(q);
    if (code == ATLS_OK)
        code = ok ? keep_entry(s->cache, kind, name, &b, out, err) : no_memory(err);
    atls_arena_clear(&b.arena);
    return code;
}

/* Finds or loads what is on file for a name; *out NULL: nothing. */
static enum atls_code find_entry(struct atls_store *s, char kind, struct atls_bytes name,
                                 const struct key_entry **out, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;

    if ((code = refresh(s, err)) != ATLS_OK)
        return code;
    if ((*out = cache_find(s->cache, kind, name)) != NULL)
        return ATLS_OK;
    if (kind == KIND_INSTANCE) {
        if ((code = store_query(s, SQL_KEY_FIND, &q, err)) != ATLS_OK)
            return code;
        store_bind_bytes(&q, 1, name);
    } else {
        if ((code = store_query(s, SQL_ANCHOR_GET_CLASS, &q, err)) != ATLS_OK)
            return code;
        store_bind_int(&q, 1, ATLS_ANCHOR_AK);
        store_bind_bytes(&q, 2, name);
    }
    return load_entry(s, &q, kind, name, out, err);
}

static enum atls_code copy_row(const struct key_row *row, struct atls_attest_key *out,
                               struct atls_err *err)
{
    struct atls_attest_key key;
    const struct {
        struct atls_bytes from;
        struct atls_buf *to;
    } members[] = {{row->spki, &key.spki},
                   {row->public_area, &key.public_area},
                   {row->class_id, &key.class_id},
                   {row->vendor, &key.vendor},
                   {row->model, &key.model}};
    enum atls_code code = ATLS_OK;

    memset(&key, 0, sizeof key);
    for (size_t i = 0; i < sizeof members / sizeof members[0] && code == ATLS_OK; i++)
        if (members[i].from.len != 0)
            code = atls_buf_copy(members[i].to, members[i].from, err);
    if (code != ATLS_OK) {
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
            atls_buf_clear(members[i].to);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

/* The row that counts at a time. Imports keep two keys for one instance out; a file that was
 * written by other means may hold them all the same. */
static enum atls_code choose_row(const struct key_entry *e, int64_t time_s,
                                 const struct key_row **out, struct atls_err *err)
{
    const struct key_row *chosen = NULL;

    for (size_t i = 0; i < e->count; i++) {
        if (!covers(&e->rows[i].window, time_s))
            continue;
        if (chosen == NULL)
            chosen = &e->rows[i];
        else if (!atls_bytes_equal(chosen->spki, e->rows[i].spki) ||
                 !atls_bytes_equal(chosen->class_id, e->rows[i].class_id))
            return atls_fail(err, ATLS_E_CONFIG,
                             "store: two different attestation keys for one instance");
    }
    *out = chosen;
    return ATLS_OK;
}

static enum atls_code find_key(struct atls_store *s, int64_t time_s, struct atls_bytes instance,
                               struct atls_attest_key *out, struct atls_err *err)
{
    const struct key_entry *entry = NULL;
    const struct key_row *row = NULL;
    char hex[72];
    enum atls_code code;

    if ((code = find_entry(s, KIND_INSTANCE, instance, &entry, err)) != ATLS_OK ||
        (entry != NULL && (code = choose_row(entry, time_s, &row, err)) != ATLS_OK))
        return code;
    if (row != NULL)
        return copy_row(row, out, err);
    return atls_fail(err, ATLS_E_NOT_FOUND, "store: no attestation key for instance %s%s",
                     atls_hex(instance, hex, sizeof hex),
                     entry != NULL ? " is valid at this time" : "");
}

static int64_t view_time(const struct atls_store_view *view)
{
    return view == &view->store->now ? atls_clock_wall_s(NULL) : view->time_s;
}

static enum atls_code source_attest_key(void *arg, struct atls_bytes instance,
                                        struct atls_attest_key *out, struct atls_err *err)
{
    const struct atls_store_view *view = arg;
    enum atls_code code;

    store_lock(view->store);
    code = find_key(view->store, view_time(view), instance, out, err);
    store_unlock(view->store);
    return code;
}

static enum atls_code source_ak_anchors(void *arg, struct atls_anchors **out, struct atls_err *err)
{
    const struct atls_store_view *view = arg;

    return atls_store_anchors(view->store, ATLS_ANCHOR_AK, out, err);
}

static enum atls_code source_anchor_class(void *arg, struct atls_bytes anchor,
                                          struct atls_attest_key *out, struct atls_err *err)
{
    const struct atls_store_view *view = arg;
    const struct key_entry *entry = NULL;
    enum atls_code code;

    store_lock(view->store);
    code = find_entry(view->store, KIND_ANCHOR, anchor, &entry, err);
    if (code == ATLS_OK && (entry == NULL || entry->rows[0].class_id.len == 0))
        code = atls_fail(err, ATLS_E_NOT_FOUND, "store: the anchor %s",
                         entry == NULL ? "is not on file" : "stands for no class");
    if (code == ATLS_OK)
        code = copy_row(&entry->rows[0], out, err);
    store_unlock(view->store);
    return code;
}

void atls_store_view_source(struct atls_store_view *view, struct atls_endorsement_source *out)
{
    out->arg = view;
    out->attest_key = source_attest_key;
    out->ak_anchors = source_ak_anchors;
    out->anchor_class = source_anchor_class;
}

void atls_store_source(struct atls_store *s, struct atls_endorsement_source *out)
{
    atls_store_view_source(&s->now, out);
}

/* ---- reference values ---- */

static void narrow_to(struct window *answer, const struct window *w, int64_t time_s)
{
    if (time_s < w->from_s) {
        if (w->from_s - 1 < answer->until_s)
            answer->until_s = w->from_s - 1;
        return;
    }
    if (time_s > w->until_s) {
        if (w->until_s + 1 > answer->from_s)
            answer->from_s = w->until_s + 1;
        return;
    }
    if (w->from_s > answer->from_s)
        answer->from_s = w->from_s;
    if (w->until_s < answer->until_s)
        answer->until_s = w->until_s;
}

/* One row of SQL_REFERENCE_FIND becomes one reference. */
static enum atls_code read_reference(struct atls_reference_set *set, const struct store_query *q,
                                     struct atls_reference *out, struct atls_err *err)
{
    struct atls_bytes environment, list, name = store_column(q, 2);
    struct atls_measurement *measurements;
    enum atls_code code;
    char *manifest;

    manifest = atls_arena_alloc(&set->arena, name.len + 1, 1);
    if (manifest == NULL || !atls_arena_copy(&set->arena, store_column(q, 0), &environment) ||
        !atls_arena_copy(&set->arena, store_column(q, 1), &list))
        return no_memory(err);
    memcpy(manifest, name.ptr, name.len);
    if ((code = atls_environment_decode(environment, &out->environment, err)) != ATLS_OK ||
        (code = atls_measurements_decode(list, &set->arena, &measurements, &out->count, err)) !=
            ATLS_OK)
        return atls_err_prefix(err, code, "store");
    out->manifest = manifest;
    out->measurements = measurements;
    return ATLS_OK;
}

static bool make_room(struct atls_reference_set *set, size_t *room)
{
    struct atls_reference *items;
    size_t more = *room == 0 ? 16 : *room * 2, size;

    if (set->count < *room)
        return true;
    if (__builtin_mul_overflow(more, sizeof *items, &size) ||
        (items = realloc(set->items, size)) == NULL)
        return false;
    set->items = items;
    *room = more;
    return true;
}

static enum atls_code read_references(struct atls_reference_set *set, struct store_query *q,
                                      int64_t time_s, struct atls_err *err)
{
    enum atls_code code;
    size_t room = 0;
    bool row;

    while ((code = store_step(q, &row, err)) == ATLS_OK && row) {
        struct window w = column_window(q, 3, 4);

        narrow_to(&set->window, &w, time_s);
        if (!covers(&w, time_s))
            continue;
        code = make_room(set, &room) ? read_reference(set, q, &set->items[set->count], err)
                                     : no_memory(err);
        if (code != ATLS_OK) {
            store_end(q);
            return code;
        }
        set->count++;
    }
    if (code == ATLS_OK)
        store_end(q);
    return code;
}

static struct atls_reference_set *set_ref(struct atls_reference_set *set)
{
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

/* A set for the same class and another time is replaced. An empty one is not kept: the class may
 * come from evidence. */
static void keep_set(struct store_cache *c, struct atls_reference_set *set)
{
    size_t at = 0;

    if (set->count == 0)
        return;
    while (at < c->set_count && !atls_bytes_equal(c->sets[at]->class_id, set->class_id))
        at++;
    if (at == CACHE_SETS)
        at = 0;
    if (at < c->set_count)
        atls_reference_set_unref(c->sets[at]);
    else
        c->set_count++;
    c->sets[at] = set_ref(set);
}

static enum atls_code load_set(struct atls_store *s, struct atls_bytes class_id, int64_t time_s,
                               struct atls_reference_set **out, struct atls_err *err)
{
    struct atls_reference_set *set;
    struct store_query q;
    enum atls_code code;

    if ((code = store_query(s, SQL_REFERENCE_FIND, &q, err)) != ATLS_OK)
        return code;
    if ((set = calloc(1, sizeof *set)) == NULL)
        return no_memory(err);
    atomic_init(&set->references, 1);
    set->arena = atls_arena_init(SET_MEMORY);
    set->window.from_s = INT64_MIN;
    set->window.until_s = INT64_MAX;
    store_bind_bytes(&q, 1, class_id);
    code = read_references(set, &q, time_s, err);
    if (code == ATLS_OK && !atls_arena_copy(&set->arena, class_id, &set->class_id))
        code = no_memory(err);
    if (code != ATLS_OK) {
        atls_reference_set_unref(set);
        return code;
    }
    keep_set(s->cache, set);
    *out = set;
    return ATLS_OK;
}

static enum atls_code find_set(struct atls_store *s, struct atls_bytes class_id, int64_t time_s,
                               struct atls_reference_set **out, struct atls_err *err)
{
    struct store_cache *c = s->cache;
    enum atls_code code;

    if ((code = refresh(s, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < c->set_count; i++) {
        if (!covers(&c->sets[i]->window, time_s) ||
            !atls_bytes_equal(c->sets[i]->class_id, class_id))
            continue;
        *out = set_ref(c->sets[i]);
        return ATLS_OK;
    }
    return load_set(s, class_id, time_s, out, err);
}

enum atls_code atls_store_references(struct atls_store *s, struct atls_bytes class_id,
                                     int64_t time_s, struct atls_reference_set **out,
                                     struct atls_err *err)
{
    enum atls_code code;

    store_lock(s);
    code = find_set(s, class_id, time_s, out, err);
    store_unlock(s);
    return code;
}

const struct atls_reference *atls_reference_set_items(const struct atls_reference_set *set,
                                                      size_t *out_count)
{
    *out_count = set->count;
    return set->items;
}

void atls_reference_set_unref(struct atls_reference_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_arena_clear(&set->arena);
    free(set->items);
    free(set);
}

/* ---- anchors ---- */

static enum atls_code load_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                                   struct atls_anchors **out, struct atls_err *err)
{
    struct atls_anchors *anchors;
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, SQL_ANCHOR_OF_PURPOSE, &q, err)) != ATLS_OK ||
        (code = atls_anchors_new(&anchors, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, purpose);
    while ((code = store_step(&q, &row, err)) == ATLS_OK && row) {
        if ((code = atls_anchors_add_der(anchors, store_column(&q, 0), err)) != ATLS_OK) {
            store_end(&q);
            break;
        }
    }
    if (code == ATLS_OK)
        store_end(&q);
    if (code == ATLS_OK && atls_anchors_count(anchors) != 0)
        code = store_add_crls(s, anchors, err);
    if (code != ATLS_OK || atls_anchors_count(anchors) == 0) {
        atls_anchors_unref(anchors);
        anchors = NULL;
    }
    if (code == ATLS_OK)
        *out = anchors;
    return code;
}

static enum atls_code find_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                                   struct atls_anchors **out, struct atls_err *err)
{
    struct atls_anchors **kept = &s->cache->anchors[purpose];
    enum atls_code code;

    if ((code = refresh(s, err)) != ATLS_OK ||
        (*kept == NULL && (code = load_anchors(s, purpose, kept, err)) != ATLS_OK))
        return code;
    *out = *kept == NULL ? NULL : atls_anchors_ref(*kept);
    return ATLS_OK;
}

enum atls_code atls_store_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                                  struct atls_anchors **out, struct atls_err *err)
{
    enum atls_code code;

    if (store_purpose_name(purpose) == NULL)
        return atls_fail(err, ATLS_E_USAGE, "anchors: no such purpose");
    store_lock(s);
    code = find_anchors(s, purpose, out, err);
    store_unlock(s);
    return code;
}

static enum atls_code has_trust(struct atls_store *s, bool *out, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, SQL_HAS_TRUST, &q, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, ATLS_ANCHOR_AK);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    *out = store_column_int(&q, 0) != 0;
    store_end(&q);
    return ATLS_OK;
}

enum atls_code atls_store_has_trust(struct atls_store *s, bool *out, struct atls_err *err)
{
    enum atls_code code;

    store_lock(s);
    code = has_trust(s, out, err);
    store_unlock(s);
    return code;
}
