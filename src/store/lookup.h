/* The cache of look-ups, between the files that look things up. What is in it was read since the
 * store last changed; its lock is held for memory only, never for SQL. */
#ifndef ATLS_STORE_LOOKUP_H
#define ATLS_STORE_LOOKUP_H

#include "core/arena.h"
#include "crypto/certificate.h"
#include "store/db.h"

#define CACHE_BUCKETS 1024
/* Classes of machines that are appraised at the same time: a handful. */
#define CACHE_SETS 64

/* Validity of what one row of the database says, inclusive. */
struct window {
    int64_t from_s, until_s;
};

/* One key of one manifest, the class of one anchor, or a document. */
struct key_row {
    struct window window;
    bool brought; /* an anchor's: by a manifest, not by hand */
    struct atls_bytes spki, public_area, class_id, vendor, model;
    const char *technology; /* of a key; NULL: one that is not known */
    struct atls_bytes document;
};

struct key_entry {
    struct key_entry *next;
    struct atls_bytes name; /* kind, then what it is looked up by */
    const struct key_row *rows;
    size_t count;
    struct atls_arena arena; /* of all that this entry points at */
};

/* Anchors of confidential computing; known while time_s lies in window. */
struct tee_set {
    struct atls_certificate_set *set; /* NULL: there are none */
    struct window window;
    bool known;
};

struct class_set;
struct signing_key;

/* Sets with something in them, and apart from them the empty ones: a class may come from evidence,
 * and must not be able to push out what is on file. */
struct set_cache {
    struct class_set *full[CACHE_SETS], *empty[CACHE_SETS];
    size_t full_count, empty_count, next_full, next_empty;
};

struct signing_key {
    char kid[ATLS_KID_TEXT];
    int64_t use_from_s;
    struct atls_private_key *key;
};

struct store_cache {
    pthread_mutex_t lock;
    uint64_t generation; /* counts drops: what was read before one is not kept after it */
    size_t key_count;
    struct key_entry *keys[CACHE_BUCKETS];
    struct set_cache references, endorsements;
    struct atls_anchors *anchors[ATLS_ANCHOR_TLS + 1];
    bool has_anchors[ATLS_ANCHOR_TLS + 1]; /* known, be it that there are none */
    struct tee_set tee;
    struct signing_key *signing_keys;
    size_t signing_key_count;
    bool has_signing_keys;
};

/* ---- lookup.c ---- */

enum atls_code store_no_memory(struct atls_err *err);
/* Window of a manifest from two nullable columns. */
struct window store_column_window(const struct store_query *q, int not_before, int not_after);
bool store_window_covers(const struct window *w, int64_t time_s);
/* *answer: while what was found at time_s is the answer, given that a row counts during w. */
void store_window_narrow(struct window *answer, const struct window *w, int64_t time_s);
/* The time that a view judges by. */
int64_t store_view_time(const struct atls_store_view *view);

/* Locks the cache once nothing stale is in it; the caller unlocks after ATLS_OK. */
ATLS_MUST_CHECK enum atls_code store_lock_view(struct atls_store_view *view, struct atls_err *err);
/* Leaves the cache to ask the database; *out_generation for store_lock_again. */
ATLS_MUST_CHECK enum atls_code store_unlock_and_borrow(struct atls_store *s,
                                                       uint64_t *out_generation,
                                                       struct store_connection **out,
                                                       struct atls_err *err);
/* Back with an answer: true when nothing has changed meanwhile, so that it may be kept. */
bool store_lock_again(struct atls_store *s, uint64_t generation);

/* An entry inside an arena of its own; rows are appended in chunks. */
struct key_builder {
    struct atls_arena arena;
    struct key_row *rows;
    size_t count, room;
};
/* A zeroed row, or NULL without memory. */
struct key_row *store_add_row(struct key_builder *b);
ATLS_MUST_CHECK bool store_copy_column(struct key_builder *b, const struct store_query *q, int at,
                                       struct atls_bytes *out);

/* How entries of a kind are read. */
struct entry_kind {
    char letter;
    enum store_sql find;
    void (*bind)(struct store_query *q, struct atls_bytes name);
    bool (*read)(struct key_builder *b, const struct store_query *q); /* one row */
};
/* Looks for what is on file for a name and lets take read it (NULL: nothing): what take gets lives
 * as long as the call. */
typedef enum atls_code take_entry(const struct key_entry *entry, void *arg, struct atls_err *err);
struct entry_search {
    const struct entry_kind *kind;
    struct atls_bytes name;
    take_entry *take;
    void *arg;
};
ATLS_MUST_CHECK enum atls_code store_find_entry(struct atls_store_view *view,
                                                const struct entry_search *search,
                                                struct atls_err *err);
/* Members of a row as an owned key. */
ATLS_MUST_CHECK enum atls_code store_copy_row(const struct key_row *row,
                                              struct atls_attest_key *out, struct atls_err *err);

/* ---- lookup_tee.c: functions of struct atls_endorsement_source, arg is a view ---- */

ATLS_MUST_CHECK enum atls_code store_find_anchor_class(void *arg, struct atls_bytes anchor,
                                                       struct atls_attest_key *out,
                                                       struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_find_tee_anchors(void *arg, struct atls_certificate_set **out,
                                                      struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_find_collateral(void *arg,
                                                     const struct atls_collateral_query *query,
                                                     int64_t time_s, struct atls_buf *out,
                                                     struct atls_err *err);

#endif
