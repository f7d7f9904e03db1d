#include "verifier/collateral/source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "store/collateral_document.h"

/* Documents in memory: those of one bucket push out each other. */
#define BUCKETS 128
#define WAYS    8
/* A document that still counts is looked for anew after a day: its maker may have issued another.
 */
#define REFRESH_MS INT64_C(86400000)
/* Nobody asks again for so long: for what the service has not, and for what failed. */
#define ABSENT_MS      300000
#define FAILED_MS      30000
#define RENEWAL_MS     INT64_C(3600000) /* for a newer one of what is at hand */
#define AGAIN_AFTER_MS INT64_C(3600000) /* the most that a service may ask for */
/* Who sends evidence chooses what is asked for: chips that no service knows. */
#define FETCHES_PER_MINUTE 120
/* Of these for what has few names: lists of revoked keys, signed by few. */
#define FETCHES_RESERVED 20
#define MINUTE_MS        60000
/* How long somebody waits for what another one fetches. */
#define WAIT_MS 15000

struct entry {
    enum atls_collateral_kind kind; /* NONE: free */
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    bool is_under_way;
    struct atls_buf document; /* empty: none */
    struct store_collateral_dates dates;
    int64_t again_ms;        /* not to be fetched before */
    int64_t used_ms;         /* asked for last */
    struct atls_err failure; /* of the last attempt; code ATLS_OK: none */
};

struct collateral_cache {
    struct atls_collateral_fetcher *fetcher;
    struct atls_store *trust; /* whose anchors sign lists; NULL: none */
    struct atls_store *store; /* the same, when it may be written to; or NULL */
    struct atls_clock clock;
    pthread_mutex_t lock;
    pthread_cond_t done; /* something under way has ended */
    int64_t away_until_ms[COLLATERAL_MAKERS];
    int64_t no_renewal_until_ms[COLLATERAL_MAKERS]; /* a service was away when it was not needed */
    int64_t minute_ms;                              /* when this one began */
    size_t fetches;                                 /* in it */
    struct entry entries[BUCKETS][WAYS];
};

static bool start_locks(struct collateral_cache *c)
{
    pthread_condattr_t monotonic;
    bool ok;

    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    ok = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&c->done, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    if (ok && pthread_mutex_init(&c->lock, NULL) != 0) {
        pthread_cond_destroy(&c->done);
        ok = false;
    }
    return ok;
}

enum atls_code collateral_cache_new(struct atls_collateral_fetcher *fetcher,
                                    struct atls_store *store, const struct atls_clock *clock,
                                    struct collateral_cache **out, struct atls_err *err)
{
    struct collateral_cache *c = calloc(1, sizeof *c);

    if (c == NULL || !start_locks(c)) {
        free(c);
        return atls_fail(err, ATLS_E_NOMEM, "collateral: out of memory");
    }
    c->fetcher = fetcher;
    c->trust = store;
    c->store = store != NULL && atls_store_is_writable(store) ? store : NULL;
    c->clock = *clock;
    c->minute_ms = atls_clock_monotonic_ms(clock);
    *out = c;
    return ATLS_OK;
}

enum atls_code collateral_cache_open(const struct collateral_services *services,
                                     struct atls_store *store, const struct atls_clock *clock,
                                     struct collateral_cache **out, struct atls_err *err)
{
    struct atls_collateral_fetcher *fetcher;
    struct atls_collateral_options options;
    enum atls_code code = ATLS_OK;

    if (services->list == NULL || services->list[0] == NULL) {
        *out = NULL;
        return ATLS_OK;
    }
    atls_collateral_options_init(&options);
    options.ca_file = services->ca_file;
    for (size_t i = 0; services->list[i] != NULL && code == ATLS_OK; i++)
        code = atls_collateral_options_add(&options, services->list[i], err);
    if (code != ATLS_OK || (code = atls_collateral_open(&options, &fetcher, err)) != ATLS_OK)
        return code;
    if ((code = collateral_cache_new(fetcher, store, clock, out, err)) != ATLS_OK)
        atls_collateral_close(fetcher);
    return code;
}

void collateral_cache_free(struct collateral_cache *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (size_t k = 0; k < WAYS; k++)
            atls_buf_clear(&c->entries[i][k].document);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    atls_collateral_close(c->fetcher);
    free(c);
}

/* ---- entries; the cache is locked ---- */

/* FNV-1a. */
static struct entry *bucket_of(struct collateral_cache *c,
                               const struct atls_collateral_query *query)
{
    uint64_t h = (UINT64_C(0xcbf29ce484222325) ^ (uint64_t)query->kind) * UINT64_C(0x100000001b3);

    for (const char *p = query->subject; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    return c->entries[(h ^ h >> 32) % BUCKETS];
}

static struct entry *find(struct collateral_cache *c, const struct atls_collateral_query *query)
{
    struct entry *bucket = bucket_of(c, query);

    for (size_t i = 0; i < WAYS; i++)
        if (bucket[i].kind == query->kind && strcmp(bucket[i].subject, query->subject) == 0)
            return &bucket[i];
    return NULL;
}

/* Whether a goes before b: what is free, then what holds no document, then what nobody asked for
 * for longest. */
static bool is_lesser(const struct entry *a, const struct entry *b)
{
    int rank_a = a->kind == ATLS_COLLATERAL_NONE ? 0 : a->document.len == 0 ? 1 : 2;
    int rank_b = b->kind == ATLS_COLLATERAL_NONE ? 0 : b->document.len == 0 ? 1 : 2;

    return rank_a != rank_b ? rank_a < rank_b : a->used_ms < b->used_ms;
}

/* A place for query; NULL when all are taken by what is under way. */
static struct entry *add(struct collateral_cache *c, const struct atls_collateral_query *query)
{
    struct entry *bucket = bucket_of(c, query), *chosen = NULL;

    for (size_t i = 0; i < WAYS; i++)
        if (!bucket[i].is_under_way && (chosen == NULL || is_lesser(&bucket[i], chosen)))
            chosen = &bucket[i];
    if (chosen == NULL)
        return NULL;
    atls_buf_clear(&chosen->document);
    memset(chosen, 0, sizeof *chosen);
    chosen->kind = query->kind;
    memcpy(chosen->subject, query->subject, strlen(query->subject) + 1);
    return chosen;
}

static bool counts_at(const struct entry *e, int64_t time_s)
{
    return e->document.len != 0 && (!e->dates.has_from || e->dates.from_s <= time_s) &&
           (!e->dates.has_until || time_s <= e->dates.until_s);
}

/* ---- fetching ---- */

/* A service that wants to be left alone is left alone altogether. */
static void note_failure(struct collateral_cache *c, struct entry *e,
                         const struct atls_err *failure, int64_t retry_after_s, int64_t now_ms)
{
    bool is_absent = failure->code == ATLS_E_NOT_FOUND || failure->code == ATLS_E_PROTOCOL;
    int64_t pause_ms = is_absent ? ABSENT_MS : FAILED_MS;
    enum collateral_maker maker = collateral_maker_of(e->kind);

    if (retry_after_s > 0)
        pause_ms = retry_after_s < AGAIN_AFTER_MS / 1000 ? retry_after_s * 1000 : AGAIN_AFTER_MS;
    e->failure = *failure;
    e->again_ms = now_ms + pause_ms;
    if (retry_after_s >= 0)
        c->away_until_ms[maker] = e->again_ms;
}

/* What was issued earlier than what is here would bring back what its maker has withdrawn. */
static bool is_older(const struct store_collateral_dates *dates, const struct entry *e)
{
    return e->document.len != 0 && dates->has_from && e->dates.has_from &&
           dates->from_s < e->dates.from_s;
}

static void take_document(struct entry *e, struct collateral_fetched *fetched, int64_t now_ms)
{
    struct store_collateral_dates dates = {false, false, 0, 0};

    /* It was read when it came. */
    if (store_collateral_read(e->kind, atls_buf_bytes(&fetched->document), &dates, NULL) != ATLS_OK)
        return;
    if (!is_older(&dates, e)) {
        atls_buf_clear(&e->document);
        e->document = fetched->document;
        fetched->document = (struct atls_buf)ATLS_BUF_INIT;
        e->dates = dates;
    }
    e->failure = (struct atls_err)ATLS_ERR_INIT;
    e->again_ms = now_ms + ABSENT_MS;
    e->used_ms = now_ms;
}

/* Documents of an answer, each into its entry. */
static void take_answer(struct collateral_cache *c, struct collateral_answer *answer,
                        int64_t now_ms)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct entry *e = find(c, &answer->documents[i].query);

        if (e == NULL)
            e = add(c, &answer->documents[i].query);
        if (e != NULL)
            take_document(e, &answer->documents[i], now_ms);
    }
}

/* Others profit; whether it works is no matter of this appraisal. */
static void put_into_store(struct collateral_cache *c, const struct collateral_answer *answer)
{
    struct atls_err ignored = ATLS_ERR_INIT;

    for (size_t i = 0; i < answer->count && c->store != NULL; i++)
        (void)!atls_store_put_collateral(c->store, &answer->documents[i].query,
                                         atls_buf_bytes(&answer->documents[i].document),
                                         atls_clock_wall_s(&c->clock), NULL, &ignored);
}

/* Whoever answers in a maker's place could make a list that was issued later than any that the
 * maker has, and keep out all of these. */
static enum atls_code check_answer(const struct collateral_cache *c,
                                   const struct collateral_answer *answer, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < answer->count && code == ATLS_OK && c->trust != NULL; i++)
        code = atls_store_check_collateral(c->trust, &answer->documents[i].query,
                                           atls_buf_bytes(&answer->documents[i].document), err);
    if (code == ATLS_E_CERTIFICATE) {
        code = ATLS_E_PROTOCOL;
        err->code = code;
    }
    return code;
}

/* The cache is locked before and after, and not meanwhile; e stays where it is, being under way. */
static void fetch_into(struct collateral_cache *c, struct entry *e)
{
    const struct atls_collateral_query query = {e->kind, e->subject};
    struct collateral_answer answer = {.retry_after_s = -1};
    struct atls_err failure = ATLS_ERR_INIT;
    enum atls_code code;
    int64_t now_ms;

    e->is_under_way = true;
    c->fetches++;
    pthread_mutex_unlock(&c->lock);
    code = collateral_fetch(c->fetcher, &query, &answer, &failure);
    if (code == ATLS_OK)
        code = check_answer(c, &answer, &failure);
    if (code == ATLS_OK)
        put_into_store(c, &answer);
    pthread_mutex_lock(&c->lock);
    now_ms = atls_clock_monotonic_ms(&c->clock);
    if (code == ATLS_OK)
        take_answer(c, &answer, now_ms);
    else
        note_failure(c, e, &failure, answer.retry_after_s, now_ms);
    e->is_under_way = false;
    pthread_cond_broadcast(&c->done);
    collateral_answer_clear(&answer);
}

/* Evidence says of which chip, or of which kind of processor. */
static bool is_named_by_evidence(enum atls_collateral_kind kind)
{
    return kind == ATLS_COLLATERAL_SNP_VEK || kind == ATLS_COLLATERAL_TDX_TCB_INFO ||
           kind == ATLS_COLLATERAL_SGX_TCB_INFO;
}

/* Whether somebody may be asked now. */
static enum atls_code may_fetch(struct collateral_cache *c, enum atls_collateral_kind kind,
                                int64_t now_ms, struct atls_err *err)
{
    const enum collateral_maker maker = collateral_maker_of(kind);
    const size_t most =
        is_named_by_evidence(kind) ? FETCHES_PER_MINUTE - FETCHES_RESERVED : FETCHES_PER_MINUTE;

    if (now_ms < c->away_until_ms[maker])
        return atls_fail(err, ATLS_E_UNAVAILABLE,
                         "collateral: the service wants to be left alone for %lld seconds more",
                         (long long)((c->away_until_ms[maker] - now_ms + 999) / 1000));
    if (now_ms - c->minute_ms >= MINUTE_MS) {
        c->minute_ms = now_ms;
        c->fetches = 0;
    }
    if (c->fetches >= most)
        return atls_fail(err, ATLS_E_UNAVAILABLE, "collateral: more than %zu fetches in a minute",
                         most);
    return ATLS_OK;
}

static bool wait_for_others(struct collateral_cache *c, const struct timespec *until)
{
    return pthread_cond_timedwait(&c->done, &c->lock, until) == 0;
}

/* What there is to say of an entry that was looked at: the document, or why there is none. */
static enum atls_code conclude(struct entry *e, int64_t time_s, int64_t now_ms,
                               struct atls_buf *out, struct atls_err *err)
{
    bool is_crl = e->kind == ATLS_COLLATERAL_SNP_CRL || e->kind == ATLS_COLLATERAL_TDX_PCK_CRL ||
                  e->kind == ATLS_COLLATERAL_TDX_ROOT_CRL;

    e->used_ms = now_ms;
    if (counts_at(e, time_s))
        return atls_buf_copy(out, atls_buf_bytes(&e->document), err);
    if (e->document.len == 0 && e->failure.code == ATLS_OK)
        return atls_fail(err, ATLS_E_NOMEM, "collateral: out of memory");
    if (e->failure.code != ATLS_OK) {
        if (err != NULL)
            *err = e->failure;
        return e->failure.code;
    }
    return atls_fail_reason(
        err, ATLS_E_NOT_FOUND,
        e->dates.has_from && time_s < e->dates.from_s ? ATLS_REASON_COLLATERAL_NOT_YET_VALID
        : is_crl                                      ? ATLS_REASON_CRL_EXPIRED
                                                      : ATLS_REASON_COLLATERAL_EXPIRED,
        "collateral: %s %.60s: what the service has does not count at this time",
        atls_collateral_row_of(e->kind)->name, e->subject);
}

/* Nothing is to be fetched: it is there and fresh, or was tried a moment ago. */
static bool is_settled(const struct entry *e, int64_t time_s, int64_t now_ms)
{
    if (now_ms < e->again_ms)
        return true;
    return counts_at(e, time_s) && now_ms < e->again_ms - ABSENT_MS + REFRESH_MS &&
           e->failure.code == ATLS_OK;
}

/* A document that is asked for. */
struct wanted {
    const struct atls_collateral_query *query;
    int64_t time_s;
    bool at_hand; /* one that counts is: nobody waits, and what failed is left alone for longer */
};

static bool is_left_alone(const struct wanted *w, const struct entry *e, int64_t now_ms)
{
    return is_settled(e, w->time_s, now_ms) ||
           (w->at_hand && e->failure.code != ATLS_OK && now_ms < e->again_ms + RENEWAL_MS);
}

/* Nobody answered, as opposed to what was answered. */
static bool is_away(enum atls_code code)
{
    return code != ATLS_OK && code != ATLS_E_NOT_FOUND && code != ATLS_E_PROTOCOL;
}

static enum atls_code get_locked(struct collateral_cache *c, const struct wanted *w,
                                 struct atls_buf *out, struct atls_err *err)
{
    const enum collateral_maker maker = collateral_maker_of(w->query->kind);
    int64_t now_ms = atls_clock_monotonic_ms(&c->clock);
    struct timespec until;
    struct entry *e;
    enum atls_code code;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    while ((e = find(c, w->query)) != NULL && e->is_under_way)
        if (w->at_hand || !wait_for_others(c, &until))
            return atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                                    "collateral: somebody else's fetch takes too long");
    if (e != NULL && is_left_alone(w, e, now_ms))
        return conclude(e, w->time_s, now_ms, out, err);
    if (w->at_hand && now_ms < c->no_renewal_until_ms[maker])
        return atls_fail(err, ATLS_E_UNAVAILABLE, "collateral: the service was away");
    if ((code = may_fetch(c, w->query->kind, now_ms, err)) != ATLS_OK)
        return e != NULL && counts_at(e, w->time_s) ? conclude(e, w->time_s, now_ms, out, err)
                                                    : code;
    if (e == NULL && (e = add(c, w->query)) == NULL)
        return atls_fail(err, ATLS_E_UNAVAILABLE, "collateral: too many fetches under way");
    fetch_into(c, e);
    if (w->at_hand && is_away(e->failure.code))
        c->no_renewal_until_ms[maker] = atls_clock_monotonic_ms(&c->clock) + RENEWAL_MS;
    return conclude(e, w->time_s, now_ms, out, err);
}

static enum atls_code get(struct collateral_cache *c, const struct wanted *w, struct atls_buf *out,
                          struct atls_err *err)
{
    struct collateral_request request;
    enum atls_code code;

    if (atls_collateral_row_of(w->query->kind) == NULL ||
        !atls_collateral_subject_valid(w->query->subject))
        return atls_fail(err, ATLS_E_NOT_FOUND, "collateral: no such kind or subject");
    if ((code = collateral_request_of(w->query, &request, err)) != ATLS_OK)
        return code;
    pthread_mutex_lock(&c->lock);
    code = get_locked(c, w, out, err);
    pthread_mutex_unlock(&c->lock);
    return code;
}

enum atls_code collateral_cache_get(struct collateral_cache *c,
                                    const struct atls_collateral_query *query, int64_t time_s,
                                    struct atls_buf *out, struct atls_err *err)
{
    const struct wanted wanted = {query, time_s, false};

    return get(c, &wanted, out, err);
}

/* ---- newer than what is on file ---- */

/* Makers issue lists and signed JSON anew, with what they have withdrawn meanwhile. */
static bool is_reissued(enum atls_collateral_kind kind)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(kind);

    return row != NULL &&
           (strcmp(row->extension, "crl") == 0 || strcmp(row->extension, "json") == 0);
}

static bool is_issued_later(enum atls_collateral_kind kind, const struct atls_buf *a,
                            const struct atls_buf *b)
{
    struct store_collateral_dates of_a, of_b;

    return !atls_bytes_equal(atls_buf_bytes(a), atls_buf_bytes(b)) &&
           store_collateral_read(kind, atls_buf_bytes(a), &of_a, NULL) == ATLS_OK &&
           store_collateral_read(kind, atls_buf_bytes(b), &of_b, NULL) == ATLS_OK &&
           of_a.has_from && of_b.has_from && of_a.from_s > of_b.from_s;
}

/* A store that is filled from the service would otherwise hold what came first until it ends, and
 * lists of revoked keys live for months. *document stays where nothing newer is to be had. */
static void renew(struct collateral_cache *c, const struct atls_collateral_query *query,
                  int64_t time_s, struct atls_buf *document)
{
    const struct wanted wanted = {query, time_s, true};
    struct atls_buf fetched = ATLS_BUF_INIT, before;

    if (get(c, &wanted, &fetched, NULL) == ATLS_OK &&
        is_issued_later(query->kind, &fetched, document)) {
        before = *document;
        *document = fetched;
        fetched = before;
    }
    atls_buf_clear(&fetched);
}

/* ---- as a source ---- */

static enum atls_code view_attest_key(void *arg, struct atls_bytes instance,
                                      struct atls_attest_key *out, struct atls_err *err)
{
    const struct collateral_view *v = arg;

    return v->inner.attest_key(v->inner.arg, instance, out, err);
}

static enum atls_code view_ak_anchors(void *arg, struct atls_anchors **out, struct atls_err *err)
{
    const struct collateral_view *v = arg;

    return v->inner.ak_anchors(v->inner.arg, out, err);
}

static enum atls_code view_anchor_class(void *arg, struct atls_bytes anchor,
                                        struct atls_attest_key *out, struct atls_err *err)
{
    const struct collateral_view *v = arg;

    return v->inner.anchor_class(v->inner.arg, anchor, out, err);
}

static enum atls_code view_attest_key_of(void *arg, struct atls_bytes class_id,
                                         struct atls_bytes instance, struct atls_attest_key *out,
                                         struct atls_err *err)
{
    const struct collateral_view *v = arg;

    return v->inner.attest_key_of(v->inner.arg, class_id, instance, out, err);
}

static enum atls_code view_tee_anchors(void *arg, struct atls_certificate_set **out,
                                       struct atls_err *err)
{
    const struct collateral_view *v = arg;

    return v->inner.tee_anchors(v->inner.arg, out, err);
}

/* What a service does wrong, or that there is none, is neither a word about the evidence nor a
 * reason to leave aside what came with that. */
static enum atls_code blame_nobody(enum atls_code code, struct atls_err *err)
{
    if (code == ATLS_OK || code == ATLS_E_NOT_FOUND || code == ATLS_E_NOMEM)
        return code;
    if (err != NULL) {
        err->code = ATLS_E_UNAVAILABLE;
        err->reason = ATLS_REASON_NONE;
        err->alert = ATLS_ALERT_NONE;
    }
    return ATLS_E_UNAVAILABLE;
}

static enum atls_code view_collateral(void *arg, const struct atls_collateral_query *query,
                                      int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    const struct collateral_view *v = arg;
    struct atls_err attempt = ATLS_ERR_INIT;
    enum collateral_maker maker = collateral_maker_of(query->kind);
    enum atls_code code = v->inner.collateral(v->inner.arg, query, time_s, out, &attempt);

    if (code == ATLS_E_NOT_FOUND && collateral_can_fetch(v->cache->fetcher, maker))
        return blame_nobody(collateral_cache_get(v->cache, query, time_s, out, err), err);
    if (code == ATLS_OK && v->cache->store != NULL && is_reissued(query->kind) &&
        collateral_can_fetch(v->cache->fetcher, maker))
        renew(v->cache, query, time_s, out);
    if (code != ATLS_OK && err != NULL)
        *err = attempt;
    return code;
}

void collateral_view_source(const struct collateral_view *view, struct atls_endorsement_source *out)
{
    *out = (struct atls_endorsement_source){
        .arg = (void *)(uintptr_t)view,
        .attest_key = view_attest_key,
        .ak_anchors = view_ak_anchors,
        .anchor_class = view_anchor_class,
        .attest_key_of = view_attest_key_of,
        .tee_anchors = view_tee_anchors,
        .collateral = view_collateral,
    };
}
