#include "crypto/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/cached_things.h"
#include "crypto/libcrypto.h"

#define ENTRIES_MAX 16384
#define ID_LEN      32

/* Whole chains and single keys live in one table: their ids are hashed over different prefixes. */
struct entry {
    uint8_t id[ID_LEN];
    struct atls_key *key; /* NULL: free */
    /* Chains only. anchors is held, so that its address cannot come to mean another set. */
    struct atls_anchors *anchors;
    struct atls_buf anchor;
    int64_t first_s, not_after_s;
};

struct atls_chain_cache {
    pthread_mutex_t lock; /* guards everything below */
    size_t count;
    uint64_t now;        /* counts uses */
    uint64_t *tags;      /* first bytes of the ids, packed: one short scan finds an entry */
    uint64_t *last_used; /* 0: free */
    struct entry *entries;
    struct atls_cached_things *things; /* with a lock of its own */
};

static void clear_entry(struct entry *e)
{
    atls_key_unref(e->key);
    atls_anchors_unref(e->anchors);
    atls_buf_clear(&e->anchor);
    memset(e, 0, sizeof *e);
}

enum atls_code atls_chain_cache_new(size_t entries, struct atls_chain_cache **out,
                                    struct atls_err *err)
{
    struct atls_chain_cache *c;

    if (entries == 0 || entries > ENTRIES_MAX)
        return atls_fail(err, ATLS_E_USAGE, "chain cache: %zu entries, want 1..%d", entries,
                         ENTRIES_MAX);
    if ((c = calloc(1, sizeof *c)) == NULL)
        return atls_fail_memory(err, "chain cache");
    c->tags = calloc(entries, sizeof *c->tags);
    c->last_used = calloc(entries, sizeof *c->last_used);
    c->entries = calloc(entries, sizeof *c->entries);
    c->things = atls_cached_things_new(entries);
    if (c->tags == NULL || c->last_used == NULL || c->entries == NULL || c->things == NULL ||
        pthread_mutex_init(&c->lock, NULL) != 0) {
        atls_cached_things_free(c->things);
        free(c->tags);
        free(c->last_used);
        free(c->entries);
        free(c);
        return atls_fail_memory(err, "chain cache");
    }
    c->count = entries;
    *out = c;
    return ATLS_OK;
}

void atls_chain_cache_free(struct atls_chain_cache *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        clear_entry(&c->entries[i]);
    atls_cached_things_free(c->things);
    pthread_mutex_destroy(&c->lock);
    free(c->tags);
    free(c->last_used);
    free(c->entries);
    free(c);
}

struct atls_cached_things *atls_chain_cache_things(struct atls_chain_cache *c)
{
    return c->things;
}

static uint64_t tag_of(const uint8_t id[ID_LEN])
{
    uint64_t tag;

    memcpy(&tag, id, sizeof tag);
    return tag;
}

/* Under the lock. */
static struct entry *find(struct atls_chain_cache *c, const uint8_t id[ID_LEN])
{
    uint64_t tag = tag_of(id);

    for (size_t i = 0; i < c->count; i++)
        if (c->tags[i] == tag && c->last_used[i] != 0 &&
            memcmp(c->entries[i].id, id, ID_LEN) == 0) {
            c->last_used[i] = ++c->now;
            return &c->entries[i];
        }
    return NULL;
}

/* Under the lock: the entry of this id, emptied, else a free one, else the one unused for longest.
 */
static struct entry *claim(struct atls_chain_cache *c, const uint8_t id[ID_LEN])
{
    struct entry *e = find(c, id);
    size_t oldest = 0;

    if (e != NULL)
        oldest = (size_t)(e - c->entries);
    else
        for (size_t i = 1; i < c->count; i++)
            if (c->last_used[i] < c->last_used[oldest])
                oldest = i;
    e = &c->entries[oldest];
    clear_entry(e);
    memcpy(e->id, id, ID_LEN);
    c->tags[oldest] = tag_of(id);
    c->last_used[oldest] = ++c->now;
    return e;
}

/* Everything that decides the outcome, except time: each part behind its length. */
static enum atls_code chain_id(const struct atls_bytes *chain, size_t count,
                               const struct atls_chain_check *check, uint8_t out[ATLS_HASH_MAX],
                               struct atls_err *err)
{
    struct atls_bytes parts[1 + ATLS_CHAIN_MAX];
    struct {
        char kind[8];
        const void *anchors;
        uint64_t purpose, has_name, count, lens[ATLS_CHAIN_MAX];
        char name_hash[ATLS_HASH_MAX];
    } head;
    enum atls_code code;

    memset(&head, 0, sizeof head); /* padding is hashed too */
    memcpy(head.kind, "chain", sizeof "chain");
    head.anchors = check->anchors;
    head.purpose = (uint64_t)check->purpose;
    head.has_name = check->name != NULL;
    head.count = count;
    if (check->name != NULL &&
        (code = atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(check->name, strlen(check->name)),
                              (uint8_t *)head.name_hash, err)) != ATLS_OK)
        return code;
    parts[0] = atls_bytes_of(&head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        head.lens[i] = chain[i].len;
        parts[1 + i] = chain[i];
    }
    return atls_hash_parts(ATLS_HASH_SHA256, parts, 1 + count, out, err);
}

/* Copies a live entry out; ATLS_E_NOT_FOUND without a message when there is none. */
static enum atls_code take_chain(struct atls_chain_cache *c, const uint8_t id[ID_LEN],
                                 int64_t time_s, struct atls_chain_result *out,
                                 struct atls_err *err)
{
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    enum atls_code code = ATLS_E_NOT_FOUND;
    struct entry *e;

    pthread_mutex_lock(&c->lock);
    if ((e = find(c, id)) != NULL && time_s >= e->first_s && time_s <= e->not_after_s &&
        (code = atls_buf_copy(&result.anchor, atls_buf_bytes(&e->anchor), err)) == ATLS_OK) {
        result.key = atls_key_ref(e->key);
        result.not_after_s = e->not_after_s;
        *out = result;
    }
    pthread_mutex_unlock(&c->lock);
    return code;
}

static void keep_chain(struct atls_chain_cache *c, const uint8_t id[ID_LEN],
                       const struct atls_chain_check *check, const struct atls_chain_result *result)
{
    struct atls_buf anchor = ATLS_BUF_INIT;
    struct entry *e;

    /* A cache that cannot remember only costs time. */
    if (atls_buf_copy(&anchor, atls_buf_bytes(&result->anchor), NULL) != ATLS_OK)
        return;
    pthread_mutex_lock(&c->lock);
    e = claim(c, id);
    e->key = atls_key_ref(result->key);
    e->anchors = atls_anchors_ref(check->anchors);
    e->anchor = anchor;
    e->first_s = check->time_s;
    e->not_after_s = result->not_after_s;
    pthread_mutex_unlock(&c->lock);
}

enum atls_code atls_chain_cache_verify(struct atls_chain_cache *c, const struct atls_bytes *chain,
                                       size_t count, const struct atls_chain_check *check,
                                       struct atls_chain_result *out, struct atls_err *err)
{
    uint8_t id[ATLS_HASH_MAX];
    enum atls_code code;

    if (c == NULL || count > ATLS_CHAIN_MAX)
        return atls_chain_verify(chain, count, check, out, err);
    if ((code = chain_id(chain, count, check, id, err)) != ATLS_OK ||
        (code = take_chain(c, id, check->time_s, out, err)) != ATLS_E_NOT_FOUND)
        return code;
    if ((code = atls_chain_verify(chain, count, check, out, err)) == ATLS_OK)
        keep_chain(c, id, check, out);
    return code;
}

enum atls_code atls_chain_cache_key(struct atls_chain_cache *c, struct atls_bytes spki,
                                    struct atls_key **out, struct atls_err *err)
{
    struct atls_bytes parts[2] = {atls_bytes_of("key", 4), spki};
    struct atls_key *key = NULL;
    uint8_t id[ATLS_HASH_MAX];
    enum atls_code code;
    struct entry *e;

    if (c == NULL)
        return atls_key_from_spki(spki, out, err);
    if ((code = atls_hash_parts(ATLS_HASH_SHA256, parts, 2, id, err)) != ATLS_OK)
        return code;
    pthread_mutex_lock(&c->lock);
    if ((e = find(c, id)) != NULL)
        key = atls_key_ref(e->key);
    pthread_mutex_unlock(&c->lock);
    if (key == NULL) {
        if ((code = atls_key_from_spki(spki, &key, err)) != ATLS_OK)
            return code;
        pthread_mutex_lock(&c->lock);
        claim(c, id)->key = atls_key_ref(key);
        pthread_mutex_unlock(&c->lock);
    }
    *out = key;
    return ATLS_OK;
}
