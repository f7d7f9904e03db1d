/* Sessions of the challenge-response API, in memory and in the database. */
#include <pthread.h>

#include "place.h"

#define NOW 1800000000

static const uint8_t nonce[64] = {1, 2, 3};

static struct atls_bytes nonce_of(size_t len)
{
    return atls_bytes_of(nonce, len);
}

static void open_one(struct atls_store *s, int64_t expires_s, char id[ATLS_SESSION_ID_TEXT])
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_session_open(s, nonce_of(32), NOW, expires_s, id, &err), ATLS_OK,
                     &err);
}

static struct atls_buf text_buf(const char *text)
{
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_buf_copy(&out, atls_bytes_of(text, strlen(text)), NULL), ATLS_OK, NULL);
    return out;
}

static void a_session_from_its_opening_to_its_end(void **state)
{
    struct place *p = *state;
    struct atls_store_session s = {.state = 0}, taken = {.state = 0};
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT], other[ATLS_SESSION_ID_TEXT];

    open_one(p->store, NOW + 60, id);
    open_one(p->store, NOW + 60, other);
    assert_string_not_equal(id, other);
    assert_int_equal(id[14], '4');
    test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_OK, &err);
    assert_string_equal(s.id, id);
    assert_int_equal(s.state, ATLS_SESSION_WAITING);
    assert_int_equal(s.expires_s, NOW + 60);
    test_assert_bytes(atls_bytes_of(s.nonce, s.nonce_len), nonce_of(32));
    assert_int_equal(s.media_type.len + s.evidence.len + s.result.len, 0);

    test_assert_code(atls_store_session_take(p->store, id, NOW, &taken, &err), ATLS_OK, &err);
    assert_int_equal(taken.state, ATLS_SESSION_PROCESSING);
    test_assert_bytes(atls_bytes_of(taken.nonce, taken.nonce_len), nonce_of(32));
    test_assert_code(atls_store_session_take(p->store, id, NOW, &s, &err), ATLS_E_PROTOCOL, &err);

    taken.state = ATLS_SESSION_COMPLETE;
    taken.media_type = text_buf("application/eat+cwt");
    taken.evidence = text_buf("evidence");
    taken.result = text_buf("result");
    test_assert_code(atls_store_session_finish(p->store, &taken, &err), ATLS_OK, &err);
    test_assert_code(atls_store_session_finish(p->store, &taken, &err), ATLS_E_PROTOCOL, &err);
    test_assert_code(atls_store_session_get(p->store, id, NOW + 60, &s, &err), ATLS_OK, &err);
    assert_int_equal(s.state, ATLS_SESSION_COMPLETE);
    assert_string_equal((const char *)s.media_type.ptr, "application/eat+cwt");
    assert_string_equal((const char *)s.evidence.ptr, "evidence");
    assert_string_equal((const char *)s.result.ptr, "result");
    assert_int_equal(s.result.len, 6);
    atls_store_session_clear(&s);
    atls_store_session_clear(&taken);
    test_assert_code(atls_store_session_take(p->store, id, NOW, &s, &err), ATLS_E_PROTOCOL, &err);

    test_assert_code(atls_store_session_remove(p->store, id, &err), ATLS_OK, &err);
    test_assert_code(atls_store_session_remove(p->store, id, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_store_session_get(p->store, other, NOW, &s, &err), ATLS_OK, &err);
    atls_store_session_clear(&s);
}

/* What a client chose may be old: whoever issues a result has to know. */
static void the_id_says_who_made_the_nonce(void **state)
{
    struct place *p = *state;
    struct atls_store_session s = {.state = 0};
    struct atls_err err = ATLS_ERR_INIT;
    char own[ATLS_SESSION_ID_TEXT], given[ATLS_SESSION_ID_TEXT];

    open_one(p->store, NOW + 60, own);
    test_assert_code(
        atls_store_session_open_given(p->store, nonce_of(32), NOW, NOW + 60, given, &err), ATLS_OK,
        &err);
    assert_false(atls_store_session_is_given(own));
    assert_true(atls_store_session_is_given(given));
    assert_int_equal(given[14], '8');
    /* The other one's version does not make it the other. */
    given[14] = '4';
    test_assert_code(atls_store_session_get(p->store, given, NOW, &s, &err), ATLS_E_NOT_FOUND,
                     &err);
    assert_true(atls_store_session_is_given(""));
    assert_true(atls_store_session_is_given("3d8a6b7e-0000-1000-8000-000000000000"));
    test_assert_code(
        atls_store_session_open_given(p->store, nonce_of(7), NOW, NOW + 60, given, &err),
        ATLS_E_USAGE, &err);
}

static void what_is_refused(void **state)
{
    static const char *const ids[] = {"", "x", "3d8a6b7e-0000-4000-8000-000000000000",
                                      "' OR 1=1 --                          "};
    struct place *p = *state;
    struct atls_store_session s = {.state = ATLS_SESSION_COMPLETE};
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];

    test_assert_code(atls_store_session_open(p->store, nonce_of(7), NOW, NOW, id, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(
        atls_store_session_open(p->store, atls_bytes_of(nonce, 65), NOW, NOW, id, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(atls_store_session_open(p->store, nonce_of(8), NOW, NOW - 1, id, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_store_session_open(p->store, nonce_of(8), NOW, NOW, id, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_store_session_open(p->store, nonce_of(64), NOW, NOW, id, &err), ATLS_OK,
                     &err);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        test_assert_code(atls_store_session_get(p->store, ids[i], NOW, &s, &err), ATLS_E_NOT_FOUND,
                         &err);
        test_assert_code(atls_store_session_take(p->store, ids[i], NOW, &s, &err), ATLS_E_NOT_FOUND,
                         &err);
        test_assert_code(atls_store_session_remove(p->store, ids[i], &err), ATLS_E_NOT_FOUND, &err);
        snprintf(s.id, sizeof s.id, "%s", ids[i]);
        test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_E_NOT_FOUND, &err);
    }
    test_assert_code(atls_store_session_get(p->store, NULL, NOW, &s, &err), ATLS_E_NOT_FOUND, &err);
    memset(s.id, 'a', sizeof s.id);
    test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_E_NOT_FOUND, &err);
    memcpy(s.id, id, sizeof id);
    s.state = ATLS_SESSION_PROCESSING;
    test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_E_USAGE, &err);
}

static void a_session_ends_in_one_step(void **state)
{
    struct place *p = *state;
    struct atls_store_session s = {.state = 0}, later = {.state = ATLS_SESSION_FAILED};
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];

    open_one(p->store, NOW + 60, id);
    test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_OK, &err);
    s.state = ATLS_SESSION_COMPLETE;
    s.result = text_buf("first");
    test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_OK, &err);
    atls_store_session_clear(&s);
    memcpy(later.id, id, sizeof id);
    later.result = text_buf("later");
    test_assert_code(atls_store_session_finish(p->store, &later, &err), ATLS_E_PROTOCOL, &err);
    test_assert_code(atls_store_session_take(p->store, id, NOW, &s, &err), ATLS_E_PROTOCOL, &err);
    test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_OK, &err);
    assert_int_equal(s.state, ATLS_SESSION_COMPLETE);
    assert_string_equal((const char *)s.result.ptr, "first");
    atls_store_session_clear(&s);
    atls_store_session_clear(&later);
}

static void content_has_a_limit(void **state)
{
    struct place *p = *state;
    struct atls_store_session s = {.state = 0};
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];
    char *large = calloc(1, 256 * 1024 + 1);

    assert_non_null(large);
    memset(large, 'x', 256 * 1024);
    open_one(p->store, NOW + 60, id);
    test_assert_code(atls_store_session_take(p->store, id, NOW, &s, &err), ATLS_OK, &err);
    s.state = ATLS_SESSION_FAILED;
    s.evidence = text_buf(large);
    s.media_type = text_buf("x");
    test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_E_LIMIT, &err);
    atls_buf_clear(&s.media_type);
    test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_OK, &err);
    atls_store_session_clear(&s);
    test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_OK, &err);
    assert_int_equal(s.state, ATLS_SESSION_FAILED);
    assert_int_equal(s.evidence.len, 256 * 1024);
    atls_store_session_clear(&s);
    free(large);
}

/* Whoever can reach the service must not fill its memory: 64 MiB of evidence, and room again when
 * sessions end. */
static void evidence_of_all_sessions_has_a_limit(void **state)
{
    enum { EACH = 128 * 1024, FIT = 64 * 1024 * 1024 / EACH };
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    char first[ATLS_SESSION_ID_TEXT], id[ATLS_SESSION_ID_TEXT];
    char *large = calloc(1, EACH + 1);

    assert_non_null(large);
    memset(large, 'x', EACH);
    for (int i = 0; i < FIT + 2; i++) {
        struct atls_store_session s = {.state = 0};

        if (i == FIT + 1) /* the place of the first */
            test_assert_code(atls_store_session_remove(p->store, first, &err), ATLS_OK, &err);
        open_one(p->store, NOW + 60, id);
        if (i == 0)
            memcpy(first, id, sizeof id);
        test_assert_code(atls_store_session_take(p->store, id, NOW, &s, &err), ATLS_OK, &err);
        s.state = ATLS_SESSION_COMPLETE;
        s.evidence = text_buf(large);
        s.result = text_buf("result");
        test_assert_code(atls_store_session_finish(p->store, &s, &err), ATLS_OK, &err);
        atls_store_session_clear(&s);
        test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_OK, &err);
        assert_int_equal(s.state, ATLS_SESSION_COMPLETE);
        assert_string_equal((const char *)s.result.ptr, "result");
        assert_int_equal(s.evidence.len, i == FIT ? 0 : EACH);
        atls_store_session_clear(&s);
    }
    free(large);
}

static void sessions_expire(void **state)
{
    struct place *p = *state;
    struct atls_store_session s = {.state = 0};
    struct atls_err err = ATLS_ERR_INIT;
    char first[ATLS_SESSION_ID_TEXT], second[ATLS_SESSION_ID_TEXT];
    size_t open = 99;

    open_one(p->store, NOW + 10, first);
    open_one(p->store, NOW + 20, second);
    test_assert_code(atls_store_session_sweep(p->store, NOW + 10, &open, &err), ATLS_OK, &err);
    assert_int_equal(open, 2);
    test_assert_code(atls_store_session_get(p->store, first, NOW + 10, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_session_take(p->store, first, NOW + 11, &s, &err), ATLS_E_NOT_FOUND,
                     &err);
    test_assert_code(atls_store_session_get(p->store, first, NOW + 11, &s, &err), ATLS_E_NOT_FOUND,
                     &err);
    test_assert_code(atls_store_session_sweep(p->store, NOW + 11, &open, &err), ATLS_OK, &err);
    assert_int_equal(open, 1);
    test_assert_code(atls_store_session_sweep(p->store, NOW + 21, NULL, &err), ATLS_OK, &err);
    test_assert_code(atls_store_session_get(p->store, second, NOW, &s, &err), ATLS_E_NOT_FOUND,
                     &err);
}

/* The second of two stores on the same place; on SQLite the first, whose sessions are its own. */
static struct atls_store *limited(struct place *p, uint32_t max)
{
    struct atls_store_options options;
    struct atls_store *s;
    struct atls_err err = ATLS_ERR_INIT;

    place_options(p, 0, ATLS_STORE_WRITE, &options);
    options.sessions_max = max;
    test_assert_code(atls_store_open_with(p->path, &options, &s, &err), ATLS_OK, &err);
    return s;
}

static void only_so_many_are_open(void **state)
{
    struct place *p = *state;
    struct atls_store *s = limited(p, 3);
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];
    size_t open;

    for (int round = 0; round < 2; round++) {
        open_one(s, NOW + 10, id);
        open_one(s, NOW + 10, id);
        open_one(s, NOW + 99, id);
        test_assert_code(atls_store_session_open(s, nonce_of(32), NOW, NOW + 10, id, &err),
                         ATLS_E_LIMIT, &err);
        assert_non_null(strstr(err.message, "3 are open"));
        /* What has expired makes room. */
        test_assert_code(atls_store_session_open(s, nonce_of(32), NOW + 11, NOW + 99, id, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_store_session_remove(s, id, &err), ATLS_OK, &err);
        test_assert_code(atls_store_session_sweep(s, NOW + 100, &open, &err), ATLS_OK, &err);
        assert_int_equal(open, 0);
    }
    atls_store_close(s);
}

/* As when the configuration changes while sessions are open. */
static void sessions_of_different_lifetimes_expire_in_any_order(void **state)
{
    static const int64_t lifetimes_s[] = {50, 10, 90, 20, 10, 70, 30};
    enum { COUNT = sizeof lifetimes_s / sizeof lifetimes_s[0] };
    struct place *p = *state;
    struct atls_store_session s = {.state = 0};
    struct atls_err err = ATLS_ERR_INIT;
    char ids[COUNT][ATLS_SESSION_ID_TEXT];
    size_t open;

    for (size_t i = 0; i < COUNT; i++)
        open_one(p->store, NOW + lifetimes_s[i], ids[i]);
    test_assert_code(atls_store_session_remove(p->store, ids[5], &err), ATLS_OK, &err);
    for (int64_t later_s = 0; later_s <= 100; later_s += 5) {
        size_t want = 0;

        test_assert_code(atls_store_session_sweep(p->store, NOW + later_s, &open, &err), ATLS_OK,
                         &err);
        for (size_t i = 0; i < COUNT; i++) {
            bool there = i != 5 && lifetimes_s[i] >= later_s;

            want += there;
            test_assert_code(atls_store_session_get(p->store, ids[i], NOW, &s, &err),
                             there ? ATLS_OK : ATLS_E_NOT_FOUND, &err);
            atls_store_session_clear(&s);
        }
        assert_int_equal(open, want);
    }
}

static void many_expire_at_once(void **state)
{
    struct place *p = *state;
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];
    size_t open;

    for (size_t i = 0; i < 300; i++)
        open_one(p->store, NOW + 10, id);
    open_one(p->store, NOW + 20, id);
    test_assert_code(atls_store_session_sweep(p->store, NOW + 11, &open, &err), ATLS_OK, &err);
    assert_int_equal(open, 1);
}

/* ---- at the same time ---- */

#define THREADS  8
#define SESSIONS 40

struct taker {
    struct atls_store *store;
    char (*ids)[ATLS_SESSION_ID_TEXT];
    size_t taken, failed;
};

static void *take_all(void *arg)
{
    struct taker *t = arg;
    struct atls_store_session s;

    for (size_t i = 0; i < SESSIONS; i++) {
        enum atls_code code = atls_store_session_take(t->store, t->ids[i], NOW, &s, NULL);

        t->taken += code == ATLS_OK;
        t->failed += code != ATLS_OK && code != ATLS_E_PROTOCOL;
        if (code != ATLS_OK)
            continue;
        s.state = ATLS_SESSION_COMPLETE;
        t->failed += atls_store_session_finish(t->store, &s, NULL) != ATLS_OK;
    }
    return NULL;
}

static void *end_all(void *arg)
{
    struct taker *t = arg;
    struct atls_store_session s = {.state = ATLS_SESSION_COMPLETE};

    for (size_t i = 0; i < SESSIONS; i++) {
        enum atls_code code;

        memcpy(s.id, t->ids[i], sizeof s.id);
        code = atls_store_session_finish(t->store, &s, NULL);
        t->taken += code == ATLS_OK;
        t->failed += code != ATLS_OK && code != ATLS_E_PROTOCOL;
    }
    return NULL;
}

static void run_takers(struct place *p, void *(*run)(void *))
{
    static char ids[SESSIONS][ATLS_SESSION_ID_TEXT];
    struct atls_store *second = on_postgres() ? limited(p, 0) : NULL;
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    size_t taken = 0;

    for (size_t i = 0; i < SESSIONS; i++)
        open_one(p->store, NOW + 60, ids[i]);
    for (size_t i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){i % 2 == 1 && second != NULL ? second : p->store, ids, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &takers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(takers[i].failed, 0);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, SESSIONS);
    atls_store_close(second);
}

static void each_is_taken_exactly_once(void **state)
{
    run_takers(*state, take_all);
}

static void each_ends_exactly_once(void **state)
{
    run_takers(*state, end_all);
}

struct opener {
    struct atls_store *store;
    size_t opened, failed;
};

static void *open_many(void *arg)
{
    struct opener *o = arg;
    char id[ATLS_SESSION_ID_TEXT];

    for (size_t i = 0; i < SESSIONS; i++) {
        enum atls_code code =
            atls_store_session_open(o->store, nonce_of(32), NOW, NOW + 60, id, NULL);

        o->opened += code == ATLS_OK;
        o->failed += code != ATLS_OK && code != ATLS_E_LIMIT;
    }
    return NULL;
}

static void the_limit_holds_for_all_together(void **state)
{
    enum { LIMIT = 50 };
    struct place *p = *state;
    struct atls_store *one = limited(p, LIMIT), *two = on_postgres() ? limited(p, LIMIT) : NULL;
    struct opener openers[THREADS];
    pthread_t threads[THREADS];
    size_t opened = 0, left;

    for (size_t i = 0; i < THREADS; i++) {
        openers[i] = (struct opener){i % 2 == 1 && two != NULL ? two : one, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, open_many, &openers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(openers[i].failed, 0);
        opened += openers[i].opened;
    }
    assert_int_equal(opened, LIMIT);
    test_assert_code(atls_store_session_sweep(one, NOW + 61, &left, NULL), ATLS_OK, NULL);
    assert_int_equal(left, 0);
    atls_store_close(one);
    atls_store_close(two);
}

/* Another replica answers for a session that this one opened. */
static void any_replica_answers(void **state)
{
    struct place *p = *state;
    struct atls_store *second = limited(p, 0);
    struct atls_store_session s;
    struct atls_err err = ATLS_ERR_INIT;
    char id[ATLS_SESSION_ID_TEXT];

    open_one(p->store, NOW + 60, id);
    test_assert_code(atls_store_session_take(second, id, NOW, &s, &err), ATLS_OK, &err);
    test_assert_code(atls_store_session_get(p->store, id, NOW, &s, &err), ATLS_OK, &err);
    assert_int_equal(s.state, ATLS_SESSION_PROCESSING);
    atls_store_close(second);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)
#define ON_BOTH                                                                                    \
    WITH_STORE(a_session_from_its_opening_to_its_end), WITH_STORE(what_is_refused),                \
        WITH_STORE(the_id_says_who_made_the_nonce), WITH_STORE(content_has_a_limit),               \
        WITH_STORE(sessions_expire), WITH_STORE(only_so_many_are_open),                            \
        WITH_STORE(sessions_of_different_lifetimes_expire_in_any_order),                           \
        WITH_STORE(many_expire_at_once), WITH_STORE(each_is_taken_exactly_once),                   \
        WITH_STORE(each_ends_exactly_once), WITH_STORE(the_limit_holds_for_all_together),          \
        WITH_STORE(a_session_ends_in_one_step)

int main(void)
{
    const struct CMUnitTest files[] = {ON_BOTH, WITH_STORE(evidence_of_all_sessions_has_a_limit)};
    const struct CMUnitTest servers[] = {ON_BOTH, WITH_STORE(any_replica_answers)};

    return PLACE_RUN_BOTH("sessions", files, servers);
}
