#include "crypto/cached_things.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"

/* What one key may weigh: a bundle's certificates and collateral, with room to spare. */
#define CONTENT_MAX (512 * 1024)
/* Bytes of a part that decide where it is looked for: its end, since what is signed ends with its
 * signature. All of it is compared afterwards. */
#define SAMPLE 32
#define PARTS  (sizeof(((struct atls_cached_thing *)0)->parts) / sizeof(struct atls_bytes))

struct entry {
    uint64_t last_used; /* 0: free */
    const char *tag;
    uint8_t *content; /* the parts, one behind the other */
    size_t lens[PARTS];
    size_t part_count;
    const void *scope;
    uint64_t scope_serial;
    int64_t not_before_s, not_after_s;
    void *thing;
    void *(*ref)(void *thing);
    void (*unref)(void *thing);
};

struct atls_cached_things {
    pthread_mutex_t lock; /* guards everything below */
    uint64_t now;         /* counts uses */
    size_t count;
    uint64_t *prints; /* of the keys, packed: one short scan finds an entry */
    struct entry *entries;
};

struct atls_cached_things *atls_cached_things_new(size_t entries)
{
    struct atls_cached_things *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->prints = calloc(entries, sizeof *t->prints);
    t->entries = calloc(entries, sizeof *t->entries);
    if (t->prints == NULL || t->entries == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t->prints);
        free(t->entries);
        free(t);
        return NULL;
    }
    t->count = entries;
    return t;
}

/* Not under the lock: unref is another module's. */
static void drop(struct entry *e)
{
    if (e->last_used == 0)
        return;
    e->unref(e->thing);
    free(e->content);
}

void atls_cached_things_free(struct atls_cached_things *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        drop(&t->entries[i]);
    pthread_mutex_destroy(&t->lock);
    free(t->prints);
    free(t->entries);
    free(t);
}

static uint64_t mix(uint64_t state, uint64_t value)
{
    state = (state ^ value) * 0x9e3779b97f4a7c15U;
    return state ^ state >> 29;
}

static uint64_t print_of(const struct atls_cached_thing *key)
{
    uint64_t print = mix(key->scope_serial, key->part_count), word;

    for (size_t i = 0; i < key->part_count; i++) {
        struct atls_bytes p = key->parts[i];
        size_t from = p.len > SAMPLE ? p.len - SAMPLE : 0;

        print = mix(print, p.len);
        for (; p.len - from >= sizeof word; from += sizeof word) {
            memcpy(&word, p.ptr + from, sizeof word);
            print = mix(print, word);
        }
    }
    return print;
}

static bool is_key_of(const struct entry *e, const struct atls_cached_thing *key)
{
    const uint8_t *content = e->content;

    if (e->last_used == 0 || strcmp(e->tag, key->tag) != 0 || e->scope != key->scope ||
        e->scope_serial != key->scope_serial || e->part_count != key->part_count)
        return false;
    for (size_t i = 0; i < key->part_count; i++) {
        if (!atls_bytes_equal(atls_bytes_of(content, e->lens[i]), key->parts[i]))
            return false;
        content += e->lens[i];
    }
    return true;
}

/* Under the lock. */
static struct entry *find(struct atls_cached_things *t, const struct atls_cached_thing *key,
                          uint64_t print)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->prints[i] == print && is_key_of(&t->entries[i], key))
            return &t->entries[i];
    return NULL;
}

void *atls_chain_cache_get(struct atls_chain_cache *c, const struct atls_cached_thing *key,
                           int64_t time_s)
{
    struct atls_cached_things *t;
    void *thing = NULL;
    struct entry *e;
    uint64_t print;

    if (c == NULL || key->part_count > PARTS)
        return NULL;
    t = atls_chain_cache_things(c);
    print = print_of(key);
    pthread_mutex_lock(&t->lock);
    if ((e = find(t, key, print)) != NULL && time_s >= e->not_before_s &&
        time_s <= e->not_after_s) {
        e->last_used = ++t->now;
        thing = e->ref(e->thing);
    }
    pthread_mutex_unlock(&t->lock);
    return thing;
}

/* False when it is too long, or memory too short. */
static bool copy_key(const struct atls_cached_thing *key, struct entry *out)
{
    size_t total = 0, at = 0;

    if (key->part_count > PARTS)
        return false;
    for (size_t i = 0; i < key->part_count; i++) {
        if (key->parts[i].len > CONTENT_MAX - total)
            return false;
        total += out->lens[i] = key->parts[i].len;
    }
    if ((out->content = malloc(total == 0 ? 1 : total)) == NULL)
        return false;
    for (size_t i = 0; i < key->part_count; at += key->parts[i].len, i++)
        if (key->parts[i].len != 0)
            memcpy(out->content + at, key->parts[i].ptr, key->parts[i].len);
    out->tag = key->tag;
    out->part_count = key->part_count;
    out->scope = key->scope;
    out->scope_serial = key->scope_serial;
    return true;
}

void atls_chain_cache_put(struct atls_chain_cache *c, const struct atls_cached_thing *key,
                          int64_t not_before_s, int64_t not_after_s, void *thing,
                          void *(*ref)(void *thing), void (*unref)(void *thing))
{
    struct entry fresh = {.last_used = 1}, old, *e;
    struct atls_cached_things *t;
    uint64_t print;

    if (c == NULL || !copy_key(key, &fresh))
        return;
    fresh.not_before_s = not_before_s;
    fresh.not_after_s = not_after_s;
    fresh.ref = ref;
    fresh.unref = unref;
    fresh.thing = ref(thing);
    t = atls_chain_cache_things(c);
    print = print_of(key);
    pthread_mutex_lock(&t->lock);
    if ((e = find(t, key, print)) == NULL) {
        e = &t->entries[0];
        for (size_t i = 1; i < t->count; i++)
            if (t->entries[i].last_used < e->last_used)
                e = &t->entries[i];
    }
    old = *e;
    *e = fresh;
    e->last_used = ++t->now;
    t->prints[e - t->entries] = print;
    pthread_mutex_unlock(&t->lock);
    drop(&old);
}
