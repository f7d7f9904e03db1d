#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "store/lookup.h"
#include "wire/cbor.h"
#include "wire/corim.h"

/* Enrolled instances that are kept in memory; then the cache starts again. */
#define CACHE_KEYS 16384
/* Classes without anything on file are kept up to this length. */
#define EMPTY_CLASS_MAX 64
/* Decoded reference values of one class. */
#define SET_MEMORY ((size_t)256 << 20)

/* What is on file for one class: reference values, or endorsements. */
struct class_set {
    atomic_size_t references;
    struct atls_bytes class_id;
    struct window window; /* while this is the answer */
    void *items;
    size_t count, room;
    struct atls_arena arena;
};
struct atls_reference_set {
    struct class_set set;
};
struct atls_endorsement_set {
    struct class_set set;
};

/* ---- the cache ---- */

enum atls_code store_cache_new(struct store_cache **out, struct atls_err *err)
{
    struct store_cache *c = calloc(1, sizeof *c);

    if (c == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return ATLS_OK;
}

static void key_entry_free(struct key_entry *e)
{
    struct atls_arena arena = e->arena; /* holds the entry too */

    atls_arena_clear(&arena);
}

static void set_unref(struct class_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_arena_clear(&set->arena);
    free(set->items);
    free(set);
}

static struct class_set *set_ref(struct class_set *set)
{
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

static void drop_sets(struct set_cache *sets)
{
    for (size_t i = 0; i < sets->full_count; i++)
        set_unref(sets->full[i]);
    for (size_t i = 0; i < sets->empty_count; i++)
        set_unref(sets->empty[i]);
    memset(sets, 0, sizeof *sets);
}

static void free_signing_keys(struct signing_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        atls_private_key_free(keys[i].key);
    free(keys);
}

static void drop_keys(struct store_cache *c)
{
    for (size_t i = 0; i < CACHE_BUCKETS && c->key_count > 0; i++) {
        while (c->keys[i] != NULL) {
            struct key_entry *next = c->keys[i]->next;

            key_entry_free(c->keys[i]);
            c->keys[i] = next;
            c->key_count--;
        }
    }
}

void store_cache_drop(struct store_cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->generation++;
    drop_keys(c);
    drop_sets(&c->references);
    drop_sets(&c->endorsements);
    for (size_t i = 0; i < sizeof c->anchors / sizeof c->anchors[0]; i++) {
        atls_anchors_unref(c->anchors[i]);
        c->anchors[i] = NULL;
        c->has_anchors[i] = false;
    }
    atls_certificate_set_unref(c->tee.set);
    memset(&c->tee, 0, sizeof c->tee);
    free_signing_keys(c->signing_keys, c->signing_key_count);
    c->signing_keys = NULL;
    c->signing_key_count = 0;
    c->has_signing_keys = false;
    pthread_mutex_unlock(&c->lock);
}

void store_cache_free(struct store_cache *c)
{
    if (c == NULL)
        return;
    store_cache_drop(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void store_changed(struct atls_store *s)
{
    store_cache_drop(s->cache);
    atomic_fetch_add(&s->generation, 1);
}

enum atls_code store_refresh(struct atls_store *s, bool ask, struct atls_err *err)
{
    return s->backend->refresh(s, ask, err);
}

/* Locks the cache once nothing stale is in it; the caller unlocks after ATLS_OK. */
static enum atls_code lock_fresh(struct atls_store *s, struct atls_err *err)
{
    enum atls_code code = store_refresh(s, false, err);

    if (code == ATLS_OK)
        pthread_mutex_lock(&s->cache->lock);
    return code;
}

/* The same for a view: it asks once. The one that all callers share asks always. */
enum atls_code store_lock_view(struct atls_store_view *view, struct atls_err *err)
{
    enum atls_code code;

    if (view->asked) {
        pthread_mutex_lock(&view->store->cache->lock);
        return ATLS_OK;
    }
    if ((code = lock_fresh(view->store, err)) == ATLS_OK && view != &view->store->now)
        view->asked = true;
    return code;
}

/* Leaves the cache to ask the database; *out_generation for store_lock_again. */
enum atls_code store_unlock_and_borrow(struct atls_store *s, uint64_t *out_generation,
                                       struct store_connection **out, struct atls_err *err)
{
    *out_generation = s->cache->generation;
    pthread_mutex_unlock(&s->cache->lock);
    return store_borrow(s, out, err);
}

/* Back with an answer: true when nothing has changed meanwhile, so that it may be kept. */
bool store_lock_again(struct atls_store *s, uint64_t generation)
{
    pthread_mutex_lock(&s->cache->lock);
    return s->cache->generation == generation;
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
        drop_keys(c);
    e->next = c->keys[bucket];
    c->keys[bucket] = e;
    c->key_count++;
}

/* ---- keys ---- */

enum atls_code store_no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
}

/* Window of a manifest from two nullable columns. */
struct window store_column_window(const struct store_query *q, int not_before, int not_after)
{
    struct window w = {INT64_MIN, INT64_MAX};

    if (!store_column_is_null(q, not_before))
        w.from_s = store_column_int(q, not_before);
    if (!store_column_is_null(q, not_after))
        w.until_s = store_column_int(q, not_after);
    return w;
}

bool store_window_covers(const struct window *w, int64_t time_s)
{
    return w->from_s <= time_s && time_s <= w->until_s;
}

struct key_row *store_add_row(struct key_builder *b)
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
    memset(&b->rows[b->count], 0, sizeof *b->rows);
    return &b->rows[b->count++];
}

bool store_copy_column(struct key_builder *b, const struct store_query *q, int at,
                       struct atls_bytes *out)
{
    return atls_arena_copy(&b->arena, store_column(q, at), out);
}

static bool read_key_row(struct key_builder *b, const struct store_query *q)
{
    struct key_row *row = store_add_row(b);

    if (row == NULL)
        return false;
    row->window = store_column_window(q, 5, 6);
    row->technology = atls_technology_name(store_column(q, 7));
    return store_copy_column(b, q, 0, &row->spki) &&
           store_copy_column(b, q, 1, &row->public_area) &&
           store_copy_column(b, q, 2, &row->class_id) && store_copy_column(b, q, 3, &row->vendor) &&
           store_copy_column(b, q, 4, &row->model);
}

static void bind_instance(struct store_query *q, struct atls_bytes instance)
{
    store_bind_bytes(q, 1, instance);
}

static const struct entry_kind instance_kind = {'i', SQL_KEY_FIND, bind_instance, read_key_row};

/* Turns what was built into an entry; *out stays NULL when there is no row. */
static enum atls_code make_entry(char kind, struct atls_bytes name, struct key_builder *b,
                                 struct key_entry **out, struct atls_err *err)
{
    struct key_entry *e;
    uint8_t *copy;

    if (b->count == 0)
        return ATLS_OK;
    e = atls_arena_alloc(&b->arena, 1, sizeof *e);
    copy = atls_arena_alloc(&b->arena, name.len + 1, 1);
    if (e == NULL || copy == NULL)
        return store_no_memory(err);
    copy[0] = (uint8_t)kind;
    memcpy(copy + 1, name.ptr, name.len);
    e->name = atls_bytes_of(copy, name.len + 1);
    e->rows = b->rows;
    e->count = b->count;
    e->arena = b->arena;
    b->arena = atls_arena_init(0);
    *out = e;
    return ATLS_OK;
}

/* What is on file for a name; *out NULL: nothing. */
static enum atls_code load_entry(struct store_connection *c, const struct entry_search *search,
                                 struct key_entry **out, struct atls_err *err)
{
    struct key_builder b = {atls_arena_init((size_t)1 << 24), NULL, 0, 0};
    struct store_query q = store_query(c, search->kind->find);
    enum atls_code code;
    bool row, ok = true;

    search->kind->bind(&q, search->name);
    while ((code = store_step(&q, &row, err)) == ATLS_OK && row && ok)
        ok = search->kind->read(&b, &q);
    store_end(&q);
    if (code == ATLS_OK)
        code = ok ? make_entry(search->kind->letter, search->name, &b, out, err)
                  : store_no_memory(err);
    atls_arena_clear(&b.arena);
    return code;
}

enum atls_code store_find_entry(struct atls_store_view *view, const struct entry_search *search,
                                struct atls_err *err)
{
    struct atls_store *s = view->store;
    const struct key_entry *known;
    struct key_entry *e = NULL;
    struct store_connection *c;
    uint64_t generation;
    enum atls_code code;

    if ((code = store_lock_view(view, err)) != ATLS_OK)
        return code;
    if ((known = cache_find(s->cache, search->kind->letter, search->name)) != NULL) {
        code = search->take(known, search->arg, err);
        pthread_mutex_unlock(&s->cache->lock);
        return code;
    }
    if ((code = store_unlock_and_borrow(s, &generation, &c, err)) != ATLS_OK)
        return code;
    code = load_entry(c, search, &e, err);
    store_give_back(c);
    if (code != ATLS_OK)
        return code;
    code = search->take(e, search->arg, err);
    if (e == NULL)
        return code;
    if (store_lock_again(s, generation) &&
        cache_find(s->cache, search->kind->letter, search->name) == NULL)
        cache_put(s->cache, search->kind->letter, search->name, e);
    else
        key_entry_free(e);
    pthread_mutex_unlock(&s->cache->lock);
    return code;
}

enum atls_code store_copy_row(const struct key_row *row, struct atls_attest_key *out,
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
    key.technology = row->technology;
    *out = key;
    return ATLS_OK;
}

struct key_request {
    struct atls_bytes class_id; /* empty: any */
    struct atls_bytes instance;
    int64_t time_s;
    struct atls_attest_key *out;
};

/* The row that counts at a time. Imports keep two keys for one instance out; a file that was
 * written by other means may hold them all the same. */
static enum atls_code choose_row(const struct key_entry *e, const struct key_request *request,
                                 const struct key_row **out, struct atls_err *err)
{
    const struct key_row *chosen = NULL;

    for (size_t i = 0; i < e->count; i++) {
        if (!store_window_covers(&e->rows[i].window, request->time_s) ||
            (request->class_id.len != 0 &&
             !atls_bytes_equal(request->class_id, e->rows[i].class_id)))
            continue;
        if (chosen == NULL)
            chosen = &e->rows[i];
        else if (!atls_bytes_equal(chosen->spki, e->rows[i].spki) ||
                 !atls_bytes_equal(chosen->class_id, e->rows[i].class_id))
            return atls_fail(err, ATLS_E_CONFIG,
                             "store: two different attestation keys for one instance");
        else if (chosen->technology != e->rows[i].technology)
            return atls_fail(err, ATLS_E_CONFIG,
                             "store: the attestation key of one instance has two technologies");
    }
    *out = chosen;
    return ATLS_OK;
}

static enum atls_code take_key(const struct key_entry *entry, void *arg, struct atls_err *err)
{
    const struct key_request *request = arg;
    const struct key_row *row = NULL;
    char hex[72];
    enum atls_code code;

    if (entry != NULL && (code = choose_row(entry, request, &row, err)) != ATLS_OK)
        return code;
    if (row != NULL)
        return store_copy_row(row, request->out, err);
    return atls_fail(err, ATLS_E_NOT_FOUND, "store: no attestation key for instance %s%s",
                     atls_hex(request->instance, hex, sizeof hex),
                     entry != NULL ? " is valid at this time" : "");
}

int64_t store_view_time(const struct atls_store_view *view)
{
    return view == &view->store->now ? atls_clock_wall_s(NULL) : view->time_s;
}

static enum atls_code source_attest_key(void *arg, struct atls_bytes instance,
                                        struct atls_attest_key *out, struct atls_err *err)
{
    struct atls_store_view *view = arg;
    struct key_request request = {{NULL, 0}, instance, store_view_time(view), out};
    const struct entry_search search = {&instance_kind, instance, take_key, &request};

    return store_find_entry(view, &search, err);
}

enum atls_code atls_store_attest_key(struct atls_store_view *view, struct atls_bytes class_id,
                                     struct atls_bytes instance, struct atls_attest_key *out,
                                     struct atls_err *err)
{
    struct key_request request = {class_id, instance, store_view_time(view), out};
    const struct entry_search search = {&instance_kind, instance, take_key, &request};

    return store_find_entry(view, &search, err);
}

static enum atls_code find_anchors(struct atls_store_view *view, enum atls_anchor_purpose purpose,
                                   struct atls_anchors **out, struct atls_err *err);

static enum atls_code source_ak_anchors(void *arg, struct atls_anchors **out, struct atls_err *err)
{
    return find_anchors(arg, ATLS_ANCHOR_AK, out, err);
}

static enum atls_code source_attest_key_of(void *arg, struct atls_bytes class_id,
                                           struct atls_bytes instance, struct atls_attest_key *out,
                                           struct atls_err *err)
{
    return atls_store_attest_key(arg, class_id, instance, out, err);
}

void atls_store_view_source(struct atls_store_view *view, struct atls_endorsement_source *out)
{
    out->arg = view;
    out->attest_key = source_attest_key;
    out->ak_anchors = source_ak_anchors;
    out->anchor_class = store_find_anchor_class;
    out->attest_key_of = source_attest_key_of;
    out->tee_anchors = store_find_tee_anchors;
    out->collateral = store_find_collateral;
}

void atls_store_source(struct atls_store *s, struct atls_endorsement_source *out)
{
    atls_store_view_source(&s->now, out);
}

/* ---- what is on file for a class ---- */

void store_window_narrow(struct window *answer, const struct window *w, int64_t time_s)
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

/* Reads the first two columns of a row into an item; the others are of the manifest. */
typedef enum atls_code read_item(struct class_set *set, const struct store_query *q, void *out,
                                 struct atls_err *err);

struct set_kind {
    enum store_sql find;
    size_t item_size;
    read_item *read;
    size_t cache; /* offset in struct store_cache */
};

/* Name and authority of the manifest. */
static bool copy_origin(struct class_set *set, const struct store_query *q, const char **out_name,
                        struct atls_bytes *out_authority)
{
    struct atls_bytes name = store_column(q, 2);
    char *copy = atls_arena_alloc(&set->arena, name.len + 1, 1);

    if (copy == NULL || !atls_arena_copy(&set->arena, store_column(q, 5), out_authority))
        return false;
    memcpy(copy, name.ptr, name.len);
    *out_name = copy;
    return true;
}

static enum atls_code read_reference(struct class_set *set, const struct store_query *q, void *out,
                                     struct atls_err *err)
{
    struct atls_reference *reference = out;
    struct atls_bytes environment, list;
    struct atls_measurement *measurements;
    enum atls_code code;

    if (!copy_origin(set, q, &reference->manifest, &reference->authority) ||
        !atls_arena_copy(&set->arena, store_column(q, 0), &environment) ||
        !atls_arena_copy(&set->arena, store_column(q, 1), &list))
        return store_no_memory(err);
    if ((code = atls_environment_decode(environment, &reference->environment, err)) != ATLS_OK ||
        (code = atls_measurements_decode(list, &set->arena, &measurements, &reference->count,
                                         err)) != ATLS_OK)
        return atls_err_prefix(err, code, "store");
    reference->measurements = measurements;
    return ATLS_OK;
}

/* The decoder takes CoMIDs: one with this triple alone. */
static enum atls_code wrap_triple(struct class_set *set, int64_t kind, struct atls_bytes item,
                                  struct atls_bytes *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(item.len + 64);
    bool ok;

    atls_cbor_put_map(&w, 2);
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_map(&w, 1);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, "store");
    atls_cbor_put_uint(&w, 4);
    atls_cbor_put_map(&w, 1);
    atls_cbor_put_uint(&w, (uint64_t)kind);
    atls_cbor_put_array(&w, 1);
    atls_put_bytes(&w, item);
    ok = w.failed == ATLS_OK && atls_arena_copy(&set->arena, atls_writer_bytes(&w), out);
    atls_writer_clear(&w);
    return ok ? ATLS_OK : store_no_memory(err);
}

static enum atls_code read_endorsement(struct class_set *set, const struct store_query *q,
                                       void *out, struct atls_err *err)
{
    struct atls_endorsement *e = out;
    struct atls_bytes bytes;
    struct atls_comid comid;
    enum atls_code code;

    e->kind = (enum atls_comid_triple)store_column_int(q, 0);
    if (!copy_origin(set, q, &e->manifest, &e->authority))
        return store_no_memory(err);
    if ((code = wrap_triple(set, e->kind, store_column(q, 1), &bytes, err)) != ATLS_OK)
        return code;
    if ((code = atls_comid_decode(bytes, &set->arena, &comid, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "store");
    if (comid.endorsed_count + comid.series_count + comid.conditional_count != 1)
        return atls_fail(err, ATLS_E_DECODE, "store: an endorsement on file of kind %d",
                         (int)e->kind);
    e->endorsed = comid.endorsed_count != 0 ? comid.endorsed : NULL;
    e->series = comid.series_count != 0 ? comid.series : NULL;
    e->conditional = comid.conditional_count != 0 ? comid.conditionals : NULL;
    return ATLS_OK;
}

static const struct set_kind reference_kind = {SQL_REFERENCE_FIND, sizeof(struct atls_reference),
                                               read_reference,
                                               offsetof(struct store_cache, references)};
static const struct set_kind endorsement_kind = {SQL_ENDORSEMENT_FIND,
                                                 sizeof(struct atls_endorsement), read_endorsement,
                                                 offsetof(struct store_cache, endorsements)};

static bool make_room(struct class_set *set, size_t item_size)
{
    size_t more = set->room == 0 ? 16 : set->room * 2, size;
    void *items;

    if (set->count < set->room)
        return true;
    if (__builtin_mul_overflow(more, item_size, &size) ||
        (items = realloc(set->items, size)) == NULL)
        return false;
    set->items = items;
    set->room = more;
    return true;
}

static enum atls_code read_row(const struct set_kind *kind, struct class_set *set,
                               const struct store_query *q, struct atls_err *err)
{
    unsigned char *item;
    enum atls_code code;

    if (!make_room(set, kind->item_size))
        return store_no_memory(err);
    item = (unsigned char *)set->items + set->count * kind->item_size;
    memset(item, 0, kind->item_size);
    if ((code = kind->read(set, q, item, err)) == ATLS_OK)
        set->count++;
    return code;
}

static enum atls_code read_set(const struct set_kind *kind, struct class_set *set,
                               struct store_query *q, int64_t time_s, struct atls_err *err)
{
    enum atls_code code;
    bool row;

    while ((code = store_step(q, &row, err)) == ATLS_OK && row) {
        struct window w = store_column_window(q, 3, 4);

        store_window_narrow(&set->window, &w, time_s);
        if (store_window_covers(&w, time_s) && (code = read_row(kind, set, q, err)) != ATLS_OK)
            break;
    }
    store_end(q);
    return code;
}

static struct set_cache *cache_of(struct store_cache *c, const struct set_kind *kind)
{
    return (struct set_cache *)(void *)((unsigned char *)c + kind->cache);
}

/* A set for the same class and another time is replaced; when all places are taken, the next. */
static void keep_in(struct class_set **sets, size_t *count, size_t *next, struct class_set *set)
{
    size_t at = 0;

    while (at < *count && !atls_bytes_equal(sets[at]->class_id, set->class_id))
        at++;
    if (at == CACHE_SETS) {
        at = *next;
        *next = (*next + 1) % CACHE_SETS;
    }
    if (at < *count)
        set_unref(sets[at]);
    else
        (*count)++;
    sets[at] = set_ref(set);
}

static void keep_set(struct set_cache *sets, struct class_set *set)
{
    if (set->count != 0)
        keep_in(sets->full, &sets->full_count, &sets->next_full, set);
    else if (set->class_id.len <= EMPTY_CLASS_MAX)
        keep_in(sets->empty, &sets->empty_count, &sets->next_empty, set);
}

static struct class_set *find_in(struct class_set *const *sets, size_t count,
                                 struct atls_bytes class_id, int64_t time_s)
{
    for (size_t i = 0; i < count; i++)
        if (store_window_covers(&sets[i]->window, time_s) &&
            atls_bytes_equal(sets[i]->class_id, class_id))
            return set_ref(sets[i]);
    return NULL;
}

/* What a look-up asks for. */
struct set_request {
    const struct set_kind *kind;
    struct atls_bytes class_id;
    int64_t time_s;
};

static enum atls_code load_set(struct store_connection *c, const struct set_request *request,
                               struct class_set **out, struct atls_err *err)
{
    struct store_query q = store_query(c, request->kind->find);
    struct class_set *set = calloc(1, sizeof *set);
    enum atls_code code;

    if (set == NULL)
        return store_no_memory(err);
    atomic_init(&set->references, 1);
    set->arena = atls_arena_init(SET_MEMORY);
    set->window.from_s = INT64_MIN;
    set->window.until_s = INT64_MAX;
    store_bind_bytes(&q, 1, request->class_id);
    code = read_set(request->kind, set, &q, request->time_s, err);
    if (code == ATLS_OK && !atls_arena_copy(&set->arena, request->class_id, &set->class_id))
        code = store_no_memory(err);
    if (code != ATLS_OK) {
        set_unref(set);
        return code;
    }
    *out = set;
    return ATLS_OK;
}

/* A reference, or NULL; the cache is locked. */
static struct class_set *find_cached(struct atls_store *s, const struct set_request *request)
{
    const struct set_cache *sets = cache_of(s->cache, request->kind);
    struct class_set *set =
        find_in(sets->full, sets->full_count, request->class_id, request->time_s);

    return set != NULL
               ? set
               : find_in(sets->empty, sets->empty_count, request->class_id, request->time_s);
}

static enum atls_code find_set(struct atls_store *s, const struct set_request *request,
                               struct class_set **out, struct atls_err *err)
{
    struct store_connection *c;
    struct class_set *set;
    uint64_t generation;
    enum atls_code code;

    if ((code = lock_fresh(s, err)) != ATLS_OK)
        return code;
    if ((set = find_cached(s, request)) != NULL) {
        pthread_mutex_unlock(&s->cache->lock);
        *out = set;
        return ATLS_OK;
    }
    if ((code = store_unlock_and_borrow(s, &generation, &c, err)) != ATLS_OK)
        return code;
    code = load_set(c, request, &set, err);
    store_give_back(c);
    if (code != ATLS_OK)
        return code;
    if (store_lock_again(s, generation))
        keep_set(cache_of(s->cache, request->kind), set);
    pthread_mutex_unlock(&s->cache->lock);
    *out = set;
    return ATLS_OK;
}

enum atls_code atls_store_references(struct atls_store *s, struct atls_bytes class_id,
                                     int64_t time_s, struct atls_reference_set **out,
                                     struct atls_err *err)
{
    const struct set_request request = {&reference_kind, class_id, time_s};
    struct class_set *set = NULL;
    enum atls_code code = find_set(s, &request, &set, err);

    if (code == ATLS_OK)
        *out = (struct atls_reference_set *)set;
    return code;
}

const struct atls_reference *atls_reference_set_items(const struct atls_reference_set *set,
                                                      size_t *out_count)
{
    *out_count = set->set.count;
    return set->set.items;
}

void atls_reference_set_unref(struct atls_reference_set *set)
{
    if (set != NULL)
        set_unref(&set->set);
}

enum atls_code atls_store_endorsements(struct atls_store *s, struct atls_bytes class_id,
                                       int64_t time_s, struct atls_endorsement_set **out,
                                       struct atls_err *err)
{
    const struct set_request request = {&endorsement_kind, class_id, time_s};
    struct class_set *set = NULL;
    enum atls_code code = find_set(s, &request, &set, err);

    if (code == ATLS_OK)
        *out = (struct atls_endorsement_set *)set;
    return code;
}

const struct atls_endorsement *atls_endorsement_set_items(const struct atls_endorsement_set *set,
                                                          size_t *out_count)
{
    *out_count = set->set.count;
    return set->set.items;
}

void atls_endorsement_set_unref(struct atls_endorsement_set *set)
{
    if (set != NULL)
        set_unref(&set->set);
}

enum atls_code atls_store_holdings(struct atls_store_view *view, struct atls_bytes class_id,
                                   struct atls_class_holdings *out, struct atls_err *err)
{
    struct atls_store *s = view->store;
    int64_t time_s = store_view_time(view);
    enum { HOLDINGS = 3 };
    const struct set_request requests[HOLDINGS] = {
        {&endorsement_kind, {NULL, 0}, time_s},
        {&reference_kind, class_id, time_s},
        {&endorsement_kind, class_id, time_s},
    };
    size_t count = class_id.len == 0 ? 1 : HOLDINGS;
    struct class_set *sets[HOLDINGS] = {NULL, NULL, NULL};
    enum atls_code code;

    if ((code = store_lock_view(view, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < count; i++)
        sets[i] = find_cached(s, &requests[i]);
    pthread_mutex_unlock(&s->cache->lock);
    for (size_t i = 0; i < count && code == ATLS_OK; i++)
        if (sets[i] == NULL)
            code = find_set(s, &requests[i], &sets[i], err);
    if (code != ATLS_OK) {
        for (size_t i = 0; i < count; i++)
            set_unref(sets[i]);
        return code;
    }
    out->of_any = (struct atls_endorsement_set *)sets[0];
    out->references = (struct atls_reference_set *)sets[1];
    out->of_class = (struct atls_endorsement_set *)sets[2];
    return ATLS_OK;
}

void atls_class_holdings_clear(struct atls_class_holdings *holdings)
{
    atls_reference_set_unref(holdings->references);
    atls_endorsement_set_unref(holdings->of_class);
    atls_endorsement_set_unref(holdings->of_any);
    *holdings = (struct atls_class_holdings){NULL, NULL, NULL};
}

/* ---- anchors ---- */

static enum atls_code read_anchors(struct store_connection *c, enum atls_anchor_purpose purpose,
                                   struct atls_anchors *anchors, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_ANCHOR_OF_PURPOSE);
    enum atls_code code;
    bool row;

    store_bind_int(&q, 1, purpose);
    while ((code = store_step(&q, &row, err)) == ATLS_OK && row)
        if ((code = atls_anchors_add_der(anchors, store_column(&q, 0), err)) != ATLS_OK)
            break;
    store_end(&q);
    return code;
}

/* *out NULL: there are none. */
static enum atls_code load_anchors(struct store_connection *c, enum atls_anchor_purpose purpose,
                                   struct atls_anchors **out, struct atls_err *err)
{
    struct atls_anchors *anchors;
    enum atls_code code;

    if ((code = atls_anchors_new(&anchors, err)) != ATLS_OK)
        return code;
    code = read_anchors(c, purpose, anchors, err);
    if (code == ATLS_OK && atls_anchors_count(anchors) != 0)
        code = store_add_crls(c, anchors, err);
    if (code != ATLS_OK || atls_anchors_count(anchors) == 0) {
        atls_anchors_unref(anchors);
        anchors = NULL;
    }
    if (code == ATLS_OK)
        *out = anchors;
    return code;
}

static struct atls_anchors *ref_or_null(struct atls_anchors *anchors)
{
    return anchors == NULL ? NULL : atls_anchors_ref(anchors);
}

static enum atls_code find_anchors(struct atls_store_view *view, enum atls_anchor_purpose purpose,
                                   struct atls_anchors **out, struct atls_err *err)
{
    struct atls_store *s = view->store;
    struct atls_anchors *anchors = NULL;
    struct store_connection *c;
    uint64_t generation;
    enum atls_code code;

    if ((code = store_lock_view(view, err)) != ATLS_OK)
        return code;
    if (s->cache->has_anchors[purpose]) {
        *out = ref_or_null(s->cache->anchors[purpose]);
        pthread_mutex_unlock(&s->cache->lock);
        return ATLS_OK;
    }
    if ((code = store_unlock_and_borrow(s, &generation, &c, err)) != ATLS_OK)
        return code;
    code = load_anchors(c, purpose, &anchors, err);
    store_give_back(c);
    if (code != ATLS_OK)
        return code;
    if (store_lock_again(s, generation) && !s->cache->has_anchors[purpose]) {
        s->cache->has_anchors[purpose] = true;
        s->cache->anchors[purpose] = ref_or_null(anchors);
    }
    pthread_mutex_unlock(&s->cache->lock);
    *out = anchors;
    return ATLS_OK;
}

enum atls_code atls_store_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                                  struct atls_anchors **out, struct atls_err *err)
{
    if (store_purpose_name(purpose) == NULL || purpose == ATLS_ANCHOR_TEE)
        return atls_fail(err, ATLS_E_USAGE, "anchors: no such purpose, or not for paths");
    return find_anchors(&s->now, purpose, out, err);
}

enum atls_code atls_store_has_trust(struct atls_store *s, bool *out, struct atls_err *err)
{
    struct store_connection *c;
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    q = store_query(c, SQL_HAS_TRUST);
    if ((code = store_step(&q, &row, err)) == ATLS_OK) {
        *out = store_column_int(&q, 0) != 0;
        store_end(&q);
    }
    store_give_back(c);
    return code;
}

/* ---- the key that signs ---- */

struct signing_key_list {
    struct signing_key *keys;
    size_t count;
};

static enum atls_code read_signing_key(void *arg, const struct store_query *q, struct atls_err *err)
{
    struct signing_key_list *list = arg;
    struct atls_bytes kid = store_column(q, 1);
    struct signing_key *keys, *key;
    enum atls_code code;

    if (kid.len >= ATLS_KID_TEXT)
        return atls_fail(err, ATLS_E_IO, "store: a signing key with a KID of %zu bytes", kid.len);
    if ((keys = realloc(list->keys, (list->count + 1) * sizeof *keys)) == NULL)
        return store_no_memory(err);
    list->keys = keys;
    key = &keys[list->count];
    memset(key, 0, sizeof *key);
    memcpy(key->kid, kid.ptr, kid.len);
    key->use_from_s = store_column_int(q, 2);
    if ((code = atls_private_key_from_pem(store_column(q, 3), &key->key, err)) == ATLS_OK)
        list->count++;
    return code;
}

/* Of two that begin in the same second, the one that came last. */
static enum atls_code choose_signing_key(const struct signing_key_list *list, int64_t time_s,
                                         struct store_signing_key *out, struct atls_err *err)
{
    const struct signing_key *chosen = NULL;

    for (size_t i = 0; i < list->count; i++)
        if (list->keys[i].use_from_s <= time_s &&
            (chosen == NULL || list->keys[i].use_from_s >= chosen->use_from_s))
            chosen = &list->keys[i];
    if (chosen == NULL)
        return atls_fail(err, ATLS_E_NOT_FOUND, "store: %s signing key",
                         list->count == 0 ? "no" : "it is not yet time for any");
    memcpy(out->kid, chosen->kid, sizeof out->kid);
    out->key = atls_private_key_ref(chosen->key);
    return ATLS_OK;
}

enum atls_code atls_store_signing_key(struct atls_store *s, int64_t time_s,
                                      struct store_signing_key *out, struct atls_err *err)
{
    struct signing_key_list list = {NULL, 0};
    struct store_connection *c;
    uint64_t generation;
    enum atls_code code;

    if ((code = lock_fresh(s, err)) != ATLS_OK)
        return code;
    if (s->cache->has_signing_keys) {
        list = (struct signing_key_list){s->cache->signing_keys, s->cache->signing_key_count};
        code = choose_signing_key(&list, time_s, out, err);
        pthread_mutex_unlock(&s->cache->lock);
        return code;
    }
    if ((code = store_unlock_and_borrow(s, &generation, &c, err)) != ATLS_OK)
        return code;
    code = store_each(c, SQL_SIGNING_KEY_LIST, read_signing_key, &list, err);
    store_give_back(c);
    if (code == ATLS_OK)
        code = choose_signing_key(&list, time_s, out, err);
    if (code == ATLS_OK && store_lock_again(s, generation) && !s->cache->has_signing_keys) {
        s->cache->has_signing_keys = true;
        s->cache->signing_keys = list.keys;
        s->cache->signing_key_count = list.count;
        list = (struct signing_key_list){NULL, 0};
    }
    if (code == ATLS_OK)
        pthread_mutex_unlock(&s->cache->lock);
    free_signing_keys(list.keys, list.count);
    return code;
}
