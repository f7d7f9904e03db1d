/* Documents fetched for appraisals: once, kept, not asked for again at once when there are none. */
#include <pthread.h>
#include <unistd.h>

#include "service.h"

#include "core/err.h"
#include "core/writer.h"
#include "verifier/collateral/source.h"

#define FROM_S  INT64_C(1798761600) /* 2027-01-01 */
#define UNTIL_S (FROM_S + 30 * INT64_C(86400))
#define FROM    "2027-01-01T00:00:00Z"
#define UNTIL   "2027-01-31T00:00:00Z"
#define NOW     (FROM_S + 100)

struct world {
    struct service *service;
    struct collateral_cache *cache;
    _Atomic int64_t ms; /* of the clock */
};

static int64_t wall(void *arg)
{
    (void)arg;
    return NOW;
}

static int64_t monotonic(void *arg)
{
    struct world *w = arg;

    return atomic_load(&w->ms);
}

static struct collateral_cache *new_cache(struct world *w, struct atls_store *store)
{
    const struct atls_clock clock = {w, wall, monotonic};
    struct collateral_cache *cache = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(
        collateral_cache_new(service_fetcher(w->service, 0), store, &clock, &cache, &err), ATLS_OK,
        &err);
    return cache;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->service = service_start(FROM_S, UNTIL_S, FROM, UNTIL);
    w->ms = 1000000;
    w->cache = new_cache(w, NULL);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    collateral_cache_free(w->cache);
    service_stop(w->service);
    free(w);
    return 0;
}

static enum atls_code get(struct world *w, enum atls_collateral_kind kind, const char *subject,
                          int64_t time_s, struct atls_err *err)
{
    const struct atls_collateral_query query = {kind, subject};
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code;

    *err = (struct atls_err)ATLS_ERR_INIT;
    code = collateral_cache_get(w->cache, &query, time_s, &out, err);
    if (code == ATLS_OK)
        assert_true(out.len > 0);
    else
        assert_null(out.ptr);
    atls_buf_clear(&out);
    return code;
}

#define CRL ATLS_COLLATERAL_SNP_CRL, "milan"

static void fetched_once(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    for (int i = 0; i < 3; i++)
        test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 1);
    /* What came with a document need not be asked for. */
    test_assert_code(get(w, ATLS_COLLATERAL_TDX_PCK_CRL, "platform", NOW, &err), ATLS_OK, &err);
    test_assert_code(get(w, ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "platform", TEST_TIME_S, &err),
                     ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 2);
}

static void fetched_again_after_a_day(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    w->ms += 86399999;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 1);
    w->ms += 1;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 2);
    /* A service that is away then changes nothing while the document counts. */
    w->ms += 86400000;
    w->service->status = 503;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 3);
    w->ms += 86400000;
    test_assert_code(get(w, CRL, UNTIL_S + 1, &err), ATLS_E_UNAVAILABLE, &err);
}

/* Whoever answers in the service's place brings nothing back that was withdrawn meanwhile. */
static void an_older_one_is_left_aside(void **state)
{
    struct world *w = *state;
    const struct atls_collateral_query query = {CRL};
    struct atls_buf newer = test_crl(&w->service->root, NULL, FROM_S + 50, UNTIL_S), out, older;
    struct atls_err err = ATLS_ERR_INIT;

    older = w->service->crl;
    w->service->crl = newer;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    w->service->crl = older;
    w->ms += 86400000;
    test_assert_code(collateral_cache_get(w->cache, &query, NOW, &out, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 2);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&newer));
    atls_buf_clear(&out);
    atls_buf_clear(&newer);
    /* It is fresh for another day. */
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 2);
}

static void what_does_not_count_now(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    test_assert_code(get(w, CRL, UNTIL_S + 1, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(err.reason, ATLS_REASON_CRL_EXPIRED);
    test_assert_code(get(w, CRL, FROM_S - 1, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(err.reason, ATLS_REASON_COLLATERAL_NOT_YET_VALID);
    test_assert_code(get(w, ATLS_COLLATERAL_TDX_QE_IDENTITY, "td", UNTIL_S + 1, &err),
                     ATLS_E_NOT_FOUND, &err);
    assert_int_equal(err.reason, ATLS_REASON_COLLATERAL_EXPIRED);
    assert_int_equal(service_asked(w->service), 2);
    w->ms += 299999;
    test_assert_code(get(w, CRL, UNTIL_S + 1, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(service_asked(w->service), 2);
    w->ms += 1;
    test_assert_code(get(w, CRL, UNTIL_S + 1, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(service_asked(w->service), 3);
}

static void what_the_service_has_not(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CRL, "genoa", NOW, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CRL, "genoa", NOW, &err), ATLS_E_NOT_FOUND, &err);
    assert_non_null(strstr(err.message, "has none"));
    assert_int_equal(service_asked(w->service), 1);
    w->ms += 300000;
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CRL, "genoa", NOW, &err), ATLS_E_NOT_FOUND, &err);
    assert_int_equal(service_asked(w->service), 2);
}

static void what_failed_is_tried_again_soon(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    w->service->status = 503;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_E_UNAVAILABLE, &err);
    w->ms += 29999;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(service_asked(w->service), 1);
    w->ms += 1;
    w->service->status = 0;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 2);
}

/* It is left alone with everything of this maker, and the other one is not. */
static void a_service_that_is_asked_too_often(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    w->service->status = 429;
    w->service->headers = "Retry-After: 60\r\n";
    test_assert_code(get(w, CRL, NOW, &err), ATLS_E_UNAVAILABLE, &err);
    w->service->status = 0;
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CA, "milan", NOW, &err), ATLS_E_UNAVAILABLE, &err);
    assert_non_null(strstr(err.message, "60 seconds"));
    assert_int_equal(service_asked(w->service), 1);
    test_assert_code(get(w, ATLS_COLLATERAL_TDX_ROOT_CRL, "root", NOW, &err), ATLS_OK, &err);
    w->ms += 60000;
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CA, "milan", NOW, &err), ATLS_OK, &err);
    /* Not for ever, whatever it says. */
    w->service->status = 429;
    w->service->headers = "Retry-After: 99999999\r\n";
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CRL, "turin", NOW, &err), ATLS_E_UNAVAILABLE, &err);
    w->service->status = 0;
    w->ms += 3600000;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
}

/* Chips that evidence names may be invented. */
static void fetches_are_bounded(void **state)
{
    struct world *w = *state;
    char subject[192];
    struct atls_err err;
    size_t refused = 0;

    w->service->status = 404;
    for (unsigned int i = 0; i < 110; i++) {
        snprintf(subject, sizeof subject, "turin-%016x%0112d-0102030400000048", i, 0);
        if (get(w, ATLS_COLLATERAL_SNP_VEK, subject, NOW, &err) == ATLS_E_UNAVAILABLE)
            refused++;
    }
    assert_int_equal(refused, 10);
    assert_int_equal(service_asked(w->service), 100);
    test_assert_code(get(w, ATLS_COLLATERAL_TDX_TCB_INFO, "00806f050000", NOW, &err),
                     ATLS_E_UNAVAILABLE, &err);
    /* Whoever asks for chips that nobody has keeps no list of revoked keys from coming. */
    w->service->status = 0;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    w->ms += 60000;
    w->service->status = 404;
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_VEK, SERVICE_VEK, NOW, &err), ATLS_E_NOT_FOUND,
                     &err);
}

/* Documents push out what holds none, and one another when there are many. */
static void many_documents(void **state)
{
    struct world *w = *state;
    char subject[192];
    struct atls_err err;

    for (unsigned int i = 0; i < 1500; i++) {
        w->ms += 1000;
        snprintf(subject, sizeof subject, "milan-%016x%.112s-03000000000008d9", i, SERVICE_CHIP);
        test_assert_code(get(w, ATLS_COLLATERAL_SNP_VEK, subject, TEST_TIME_S, &err), ATLS_OK,
                         &err);
    }
    assert_int_equal(service_asked(w->service), 1500);
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_VEK, subject, TEST_TIME_S, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 1500);
}

static void queries_that_nobody_can_answer(void **state)
{
    struct world *w = *state;
    struct atls_err err;

    test_assert_code(get(w, ATLS_COLLATERAL_NONE, "milan", NOW, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_CRL, "Milan", NOW, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(get(w, ATLS_COLLATERAL_SNP_VEK, "milan-vlek-03000000000008d9", NOW, &err),
                     ATLS_E_NOT_FOUND, &err);
    assert_int_equal(service_asked(w->service), 0);
}

/* ---- many at once ---- */

struct thread {
    pthread_t id;
    struct world *w;
    enum atls_code code;
};

static void *ask(void *arg)
{
    struct thread *t = arg;
    const struct atls_collateral_query query = {CRL};
    struct atls_buf out = ATLS_BUF_INIT;

    t->code = collateral_cache_get(t->w->cache, &query, NOW, &out, NULL);
    atls_buf_clear(&out);
    return NULL;
}

static void one_fetch_for_all(void **state)
{
    struct world *w = *state;
    struct thread threads[8];

    for (size_t i = 0; i < 8; i++) {
        threads[i] = (struct thread){.w = w, .code = ATLS_E_INTERNAL};
        assert_int_equal(pthread_create(&threads[i].id, NULL, ask, &threads[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
        assert_int_equal(threads[i].code, ATLS_OK);
    }
    assert_int_equal(service_asked(w->service), 1);
}

/* ---- as a source ---- */

struct inner {
    enum atls_code collateral;
    size_t calls;
};

static enum atls_code inner_attest_key(void *arg, struct atls_bytes instance,
                                       struct atls_attest_key *out, struct atls_err *err)
{
    struct inner *i = arg;

    (void)instance;
    (void)out;
    (void)err;
    i->calls |= 1;
    return ATLS_E_CONFIG;
}

static enum atls_code inner_ak_anchors(void *arg, struct atls_anchors **out, struct atls_err *err)
{
    struct inner *i = arg;

    (void)err;
    i->calls |= 2;
    *out = NULL;
    return ATLS_OK;
}

static enum atls_code inner_anchor_class(void *arg, struct atls_bytes anchor,
                                         struct atls_attest_key *out, struct atls_err *err)
{
    struct inner *i = arg;

    (void)anchor;
    (void)out;
    (void)err;
    i->calls |= 4;
    return ATLS_E_NOT_FOUND;
}

static enum atls_code inner_attest_key_of(void *arg, struct atls_bytes class_id,
                                          struct atls_bytes instance, struct atls_attest_key *out,
                                          struct atls_err *err)
{
    struct inner *i = arg;

    (void)class_id;
    (void)instance;
    (void)out;
    (void)err;
    i->calls |= 8;
    return ATLS_E_LIMIT;
}

static enum atls_code inner_tee_anchors(void *arg, struct atls_certificate_set **out,
                                        struct atls_err *err)
{
    struct inner *i = arg;

    (void)err;
    i->calls |= 16;
    *out = NULL;
    return ATLS_OK;
}

static enum atls_code inner_collateral(void *arg, const struct atls_collateral_query *query,
                                       int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    struct inner *i = arg;

    (void)query;
    (void)time_s;
    i->calls |= 32;
    if (i->collateral != ATLS_OK)
        return atls_fail(err, i->collateral, "inner");
    return atls_buf_copy(out, atls_bytes_of("inner", 5), err);
}

static const struct atls_endorsement_source inner_source = {.attest_key = inner_attest_key,
                                                            .ak_anchors = inner_ak_anchors,
                                                            .anchor_class = inner_anchor_class,
                                                            .attest_key_of = inner_attest_key_of,
                                                            .tee_anchors = inner_tee_anchors,
                                                            .collateral = inner_collateral};

static void everything_else_is_asked_within(void **state)
{
    struct world *w = *state;
    struct inner inner = {ATLS_OK, 0};
    struct collateral_view view = {w->cache, inner_source};
    const struct atls_bytes none = {NULL, 0};
    struct atls_endorsement_source source;
    struct atls_attest_key key;
    struct atls_anchors *anchors;
    struct atls_certificate_set *set;

    view.inner.arg = &inner;
    collateral_view_source(&view, &source);
    assert_int_equal(source.attest_key(source.arg, none, &key, NULL), ATLS_E_CONFIG);
    assert_int_equal(source.ak_anchors(source.arg, &anchors, NULL), ATLS_OK);
    assert_int_equal(source.anchor_class(source.arg, none, &key, NULL), ATLS_E_NOT_FOUND);
    assert_int_equal(source.attest_key_of(source.arg, none, none, &key, NULL), ATLS_E_LIMIT);
    assert_int_equal(source.tee_anchors(source.arg, &set, NULL), ATLS_OK);
    assert_int_equal(inner.calls, 31);
}

static void what_is_within_goes_first(void **state)
{
    struct world *w = *state;
    struct inner inner = {ATLS_OK, 0};
    struct collateral_view view = {w->cache, inner_source};
    const struct atls_collateral_query query = {CRL};
    struct atls_endorsement_source source;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    view.inner.arg = &inner;
    collateral_view_source(&view, &source);
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_bytes_of("inner", 5));
    atls_buf_clear(&out);
    inner.collateral = ATLS_E_UNAVAILABLE;
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_E_UNAVAILABLE,
                     &err);
    assert_string_equal(err.message, "inner");
    assert_int_equal(service_asked(w->service), 0);
    inner.collateral = ATLS_E_NOT_FOUND;
    err = (struct atls_err)ATLS_ERR_INIT;
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
    assert_int_equal(err.code, ATLS_OK);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&w->service->crl));
    atls_buf_clear(&out);
    assert_int_equal(service_asked(w->service), 1);
}

/* What a service does wrong is no word about the evidence, nor a reason to leave aside what came
 * with that. */
static void a_service_that_answers_rubbish(void **state)
{
    struct world *w = *state;
    struct inner inner = {ATLS_E_NOT_FOUND, 0};
    struct collateral_view view = {w->cache, inner_source};
    const struct atls_collateral_query query = {CRL};
    struct atls_endorsement_source source;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    view.inner.arg = &inner;
    collateral_view_source(&view, &source);
    w->service->body = "no list";
    for (int i = 0; i < 2; i++) {
        test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_E_UNAVAILABLE,
                         &err);
        assert_int_equal(err.code, ATLS_E_UNAVAILABLE);
        assert_int_equal(err.reason, ATLS_REASON_NONE);
        assert_non_null(strstr(err.message, "snp-crl milan"));
    }
}

/* Nobody to ask for this maker: what is within has the last word. */
static void a_maker_without_service(void **state)
{
    struct world *w = *state;
    const struct collateral_services services = {
        (const char *const[]){"amd=http://127.0.0.1:1", NULL}, NULL};
    const struct atls_clock clock = {w, wall, monotonic};
    const struct atls_collateral_query query = {ATLS_COLLATERAL_TDX_ROOT_CRL, "root"};
    struct inner inner = {ATLS_E_NOT_FOUND, 0};
    struct collateral_view view = {NULL, inner_source};
    struct atls_endorsement_source source;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(collateral_cache_open(&services, NULL, &clock, &view.cache, &err), ATLS_OK,
                     &err);
    view.inner.arg = &inner;
    collateral_view_source(&view, &source);
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_E_NOT_FOUND,
                     &err);
    assert_string_equal(err.message, "inner");
    collateral_cache_free(view.cache);
}

static void services_that_are_refused(void **state)
{
    static const char *const bad[] = {"amd", NULL},
                             *const twice[] = {"amd=http://a", "amd=http://b", NULL},
                             *const no_url[] = {"amd=a", NULL}, *const none[] = {NULL};
    struct world *w = *state;
    const struct atls_clock clock = {w, wall, monotonic};
    const char *const *const lists[] = {bad, twice, no_url};
    struct collateral_cache *cache = w->cache;
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < 3; i++) {
        const struct collateral_services services = {lists[i], NULL};

        test_assert_code(collateral_cache_open(&services, NULL, &clock, &cache, &err),
                         ATLS_E_CONFIG, &err);
    }
    assert_ptr_equal(cache, w->cache);
    test_assert_code(collateral_cache_open(&(struct collateral_services){none, NULL}, NULL, &clock,
                                           &cache, &err),
                     ATLS_OK, &err);
    assert_null(cache);
    collateral_cache_free(NULL);
}

/* ---- into the store ---- */

static void what_was_fetched_goes_into_the_store(void **state)
{
    struct world *w = *state;
    char directory[] = "/tmp/atls-fetch-XXXXXX", path[64];
    const struct atls_collateral_query query = {CRL};
    struct atls_endorsement_source source;
    struct atls_store *store;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    static const char *const files[] = {"", "-wal", "-shm"};

    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s.db", directory);
    test_assert_code(atls_store_open(path, ATLS_STORE_CREATE, &store, &err), ATLS_OK, &err);
    collateral_cache_free(w->cache);
    w->cache = new_cache(w, store);
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    atls_store_source(store, &source);
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&w->service->crl));
    atls_buf_clear(&out);
    collateral_cache_free(w->cache);
    atls_store_close(store);
    /* One that is to be read only stays as it is. */
    test_assert_code(atls_store_open(path, ATLS_STORE_READ, &store, &err), ATLS_OK, &err);
    w->cache = new_cache(w, store);
    test_assert_code(get(w, ATLS_COLLATERAL_TDX_ROOT_CRL, "root", NOW, &err), ATLS_OK, &err);
    atls_store_source(store, &source);
    test_assert_code(
        source.collateral(source.arg,
                          &(struct atls_collateral_query){ATLS_COLLATERAL_TDX_ROOT_CRL, "root"},
                          NOW, &out, &err),
        ATLS_E_NOT_FOUND, &err);
    collateral_cache_free(w->cache);
    w->cache = NULL;
    atls_store_close(store);
    for (size_t i = 0; i < 3; i++) {
        char file[80];

        snprintf(file, sizeof file, "%s%s", path, files[i]);
        (void)unlink(file);
    }
    assert_int_equal(rmdir(directory), 0);
}

/* A store that keeps what came does not keep a verifier from what its maker has revoked since. */
static void what_is_in_the_store_is_renewed(void **state)
{
    struct world *w = *state;
    char directory[] = "/tmp/atls-renew-XXXXXX", path[64];
    const struct atls_collateral_query query = {CRL};
    const struct atls_collateral_query other = {ATLS_COLLATERAL_SNP_CRL, "genoa"};
    struct collateral_view view = {.cache = NULL};
    struct atls_endorsement_source source;
    struct atls_store *store;
    struct atls_buf out = ATLS_BUF_INIT, newer;
    struct atls_err err = ATLS_ERR_INIT;
    static const char *const files[] = {"", "-wal", "-shm"};

    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s.db", directory);
    test_assert_code(atls_store_open(path, ATLS_STORE_CREATE, &store, &err), ATLS_OK, &err);
    collateral_cache_free(w->cache);
    w->cache = new_cache(w, store);
    view.cache = w->cache;
    atls_store_source(store, &view.inner);
    collateral_view_source(&view, &source);
    test_assert_code(
        atls_store_put_collateral(store, &other, atls_buf_bytes(&w->service->crl), NOW, NULL, &err),
        ATLS_OK, &err);
    for (int i = 0; i < 2; i++) {
        test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&w->service->crl));
        atls_buf_clear(&out);
    }
    assert_int_equal(service_asked(w->service), 1);
    newer = test_crl(&w->service->root, NULL, FROM_S + 50, UNTIL_S);
    atls_buf_clear(&w->service->crl);
    w->service->crl = newer;
    w->ms += 86400000;
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&w->service->crl));
    atls_buf_clear(&out);
    assert_int_equal(service_asked(w->service), 2);
    /* What a service brings back does not take its place, and one that is away is asked rarely. */
    newer = test_crl(&w->service->root, NULL, FROM_S, UNTIL_S);
    w->service->body = "no list";
    w->ms += 86400000;
    for (int i = 0; i < 2; i++) {
        test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&w->service->crl));
        atls_buf_clear(&out);
        w->ms += 300000;
    }
    assert_int_equal(service_asked(w->service), 3);
    w->service->body = NULL;
    atls_buf_clear(&w->service->crl);
    w->service->crl = newer;
    w->ms += 3600000;
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
    assert_int_equal(service_asked(w->service), 4);
    assert_false(atls_bytes_equal(atls_buf_bytes(&out), atls_buf_bytes(&newer)));
    atls_buf_clear(&out);
    /* Nobody waits for each of its documents in turn while it is away. */
    w->service->status = 503;
    w->ms += 86400000;
    for (int i = 0; i < 2; i++) {
        test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
        atls_buf_clear(&out);
        test_assert_code(source.collateral(source.arg, &other, NOW, &out, &err), ATLS_OK, &err);
        atls_buf_clear(&out);
    }
    assert_int_equal(service_asked(w->service), 5);
    collateral_cache_free(w->cache);
    w->cache = NULL;
    atls_store_close(store);
    for (size_t i = 0; i < 3; i++) {
        char file[80];

        snprintf(file, sizeof file, "%s%s", path, files[i]);
        (void)unlink(file);
    }
    assert_int_equal(rmdir(directory), 0);
}

/* A list that nobody on file signed, issued later than any, would keep out all that the maker
 * issues from then on. */
static void a_forged_list_is_left_aside(void **state)
{
    static const struct atls_store_anchor_options as_tee = {.purpose = ATLS_ANCHOR_TEE};
    static const char *const files[] = {"", "-wal", "-shm"};
    struct world *w = *state;
    char directory[] = "/tmp/atls-forge-XXXXXX", path[64];
    struct test_identity root = test_ca("ARK-Milan"), forger = test_ca("ARK-Milan");
    struct atls_buf forged = test_crl(&forger, NULL, FROM_S + 90, UNTIL_S + 86400), before,
                    genuine = test_crl(&root, NULL, FROM_S, UNTIL_S);
    struct atls_endorsement_source source;
    const struct atls_collateral_query query = {CRL};
    struct atls_store *store;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s.db", directory);
    test_assert_code(atls_store_open(path, ATLS_STORE_CREATE, &store, &err), ATLS_OK, &err);
    test_assert_code(
        atls_store_import_anchors_as(store, atls_buf_bytes(&root.certificate), &as_tee, NULL, &err),
        ATLS_OK, &err);
    collateral_cache_free(w->cache);
    w->cache = new_cache(w, store);
    atls_store_source(store, &source);
    before = w->service->crl;
    w->service->crl = forged;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_E_PROTOCOL, &err);
    assert_non_null(strstr(err.message, "no \"ARK-Milan\" on file"));
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_E_NOT_FOUND,
                     &err);
    w->service->crl = genuine;
    w->ms += 300000;
    test_assert_code(get(w, CRL, NOW, &err), ATLS_OK, &err);
    test_assert_code(source.collateral(source.arg, &query, NOW, &out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&genuine));
    atls_buf_clear(&out);
    w->service->crl = before;
    atls_buf_clear(&forged);
    atls_buf_clear(&genuine);
    test_identity_clear(&root);
    test_identity_clear(&forger);
    collateral_cache_free(w->cache);
    w->cache = NULL;
    atls_store_close(store);
    for (size_t i = 0; i < 3; i++) {
        char file[80];

        snprintf(file, sizeof file, "%s%s", path, files[i]);
        (void)unlink(file);
    }
    assert_int_equal(rmdir(directory), 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {IN_WORLD(fetched_once),
                                       IN_WORLD(fetched_again_after_a_day),
                                       IN_WORLD(an_older_one_is_left_aside),
                                       IN_WORLD(what_does_not_count_now),
                                       IN_WORLD(what_the_service_has_not),
                                       IN_WORLD(what_failed_is_tried_again_soon),
                                       IN_WORLD(a_service_that_is_asked_too_often),
                                       IN_WORLD(fetches_are_bounded),
                                       IN_WORLD(many_documents),
                                       IN_WORLD(queries_that_nobody_can_answer),
                                       IN_WORLD(one_fetch_for_all),
                                       IN_WORLD(everything_else_is_asked_within),
                                       IN_WORLD(what_is_within_goes_first),
                                       IN_WORLD(a_service_that_answers_rubbish),
                                       IN_WORLD(a_maker_without_service),
                                       IN_WORLD(services_that_are_refused),
                                       IN_WORLD(what_was_fetched_goes_into_the_store),
                                       IN_WORLD(what_is_in_the_store_is_renewed),
                                       IN_WORLD(a_forged_list_is_left_aside)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
