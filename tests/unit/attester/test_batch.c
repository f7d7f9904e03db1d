/* The queue before the device: who shares a quote with whom, in which order, and what happens to
 * those who go away. The device is gated: a quote ends when the test says so, never after a time.
 */
#include "testlib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <atls/attester.h>

#include "attester/batch.h"
#include "core/err.h"
#include "crypto/crypto.h"
#include "failing_alloc.h"
#include "wire/kat.h"

#define TYPE "application/x-device"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SANITIZED
#endif

#ifndef SANITIZED
static atomic_size_t memory_left; /* allocations until one fails; 0: none does */

static void memory_arm(size_t n)
{
    atomic_store(&memory_left, n);
}

static bool fails(void)
{
    size_t left = atomic_load(&memory_left);

    while (left != 0 && !atomic_compare_exchange_weak(&memory_left, &left, left - 1))
        continue;
    return left == 1;
}

/* glibc lets a program bring its own; a sanitizer does that already. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __libc_realloc(ptr, size);
}
#endif

/* A device that makes one quote at a time: the token is the challenge. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gated;
    size_t started, allowed; /* quotes, since reset */
    size_t inside;
    size_t fails; /* number of the quote that fails, from 1; 0: none */
    int closed;
    struct atls_private_key *key;
} device = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static enum atls_code quote(void *self, const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
                            struct atls_quote *out, struct atls_err *err)
{
    struct atls_quote made = {.type = TYPE};
    size_t number;
    bool fails;

    (void)self;
    pthread_mutex_lock(&device.lock);
    number = ++device.started;
    fails = number == device.fails;
    device.inside++;
    pthread_cond_broadcast(&device.changed);
    while (device.gated && device.allowed < number)
        pthread_cond_wait(&device.changed, &device.lock);
    if (device.inside != 1)
        fails = true; /* two at a time */
    device.inside--;
    pthread_mutex_unlock(&device.lock);
    if (fails)
        return atls_fail(err, ATLS_E_DEVICE, "device: quote %zu failed", number);
    if (atls_buf_copy(&made.token, atls_bytes_of(challenge, ATLS_QUOTE_CHALLENGE_LEN), err) !=
        ATLS_OK)
        return ATLS_E_NOMEM;
    *out = made;
    return ATLS_OK;
}

static struct atls_bytes device_spki(void *self)
{
    (void)self;
    return atls_key_spki(atls_private_key_public(device.key));
}

static enum atls_signature device_scheme(void *self)
{
    (void)self;
    return atls_private_key_scheme(device.key);
}

static enum atls_code device_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                  struct atls_buf *out, struct atls_err *err)
{
    (void)self;
    return atls_private_key_sign(device.key, scheme, tbs, out, err);
}

static void device_quoter(void *self, struct atls_quoter *out)
{
    *out = (struct atls_quoter){"device", self, quote, device_spki(self)};
}

static enum atls_code device_evidence(void *self, const struct atls_challenge *challenge,
                                      struct atls_buf *out, struct atls_err *err)
{
    struct atls_quoter quoter;

    device_quoter(self, &quoter);
    return atls_bundle_evidence(&quoter, challenge, out, err);
}

static char device_rest[64];

static enum atls_code device_open(const char *rest, const struct atls_attester_options *options,
                                  void **out, struct atls_err *err)
{
    (void)options, (void)err;
    strncpy(device_rest, rest, sizeof device_rest - 1);
    *out = &device;
    return ATLS_OK;
}

static void device_close(void *self)
{
    (void)self;
    device.closed++;
}

#define DEVICE_OPS(scheme_name, quoter_function)                                                   \
    {                                                                                              \
        .scheme = (scheme_name), .evidence_type = "device", .open = device_open,                   \
        .close = device_close, .aik_spki = device_spki, .aik_scheme = device_scheme,               \
        .aik_sign = device_sign, .evidence = device_evidence,                                      \
        .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BARE, .quoter = (quoter_function)              \
    }
static const struct atls_attester_ops device_ops = DEVICE_OPS("device", device_quoter),
                                      plain_ops = DEVICE_OPS("plain", NULL);

static struct atls_attester *open_device(const char *uri)
{
    const struct atls_attester_ops *const backends[] = {&device_ops, &plain_ops, NULL};
    struct atls_attester *a;
    struct atls_err err = ATLS_ERR_INIT;

    device.gated = false;
    device.started = device.allowed = device.fails = 0;
    device.closed = 0;
    test_assert_code(atls_attester_open(uri, backends, NULL, &a, &err), ATLS_OK, &err);
    return a;
}

static void gate(void)
{
    device.gated = true; /* before there is another thread */
}

/* So many quotes may end, counted from the beginning. */
static void allow(size_t quotes)
{
    pthread_mutex_lock(&device.lock);
    device.allowed = quotes;
    pthread_cond_broadcast(&device.changed);
    pthread_mutex_unlock(&device.lock);
}

static void await_start(size_t quotes)
{
    pthread_mutex_lock(&device.lock);
    while (device.started < quotes)
        pthread_cond_wait(&device.changed, &device.lock);
    pthread_mutex_unlock(&device.lock);
}

static size_t quotes_started(void)
{
    size_t started;

    pthread_mutex_lock(&device.lock);
    started = device.started;
    pthread_mutex_unlock(&device.lock);
    return started;
}

/* ---- callers ---- */

#define BOTH (ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH)

struct caller {
    uint8_t binder[48];
    struct atls_challenge challenge;
    struct atls_attester_call *call;
    size_t ready; /* guarded by device.lock */
};

static void on_ready(void *arg)
{
    struct caller *c = arg;

    pthread_mutex_lock(&device.lock);
    c->ready++;
    pthread_cond_broadcast(&device.changed);
    pthread_mutex_unlock(&device.lock);
}

static void await_ready(struct caller *c)
{
    pthread_mutex_lock(&device.lock);
    while (c->ready == 0)
        pthread_cond_wait(&device.changed, &device.lock);
    assert_int_equal(c->ready, 1);
    pthread_mutex_unlock(&device.lock);
}

static void set_challenge(struct caller *c, size_t number, unsigned int profiles)
{
    *c = (struct caller){.challenge = {.profiles = profiles}};
    memset(c->binder, 0x5a, sizeof c->binder);
    memcpy(c->binder, &number, sizeof number);
    c->challenge.binder = atls_bytes_of(c->binder, number % 2 == 0 ? 32 : 48);
}

static void start(struct atls_attester *a, struct caller *c, size_t number, unsigned int profiles)
{
    struct atls_err err = ATLS_ERR_INIT;

    set_challenge(c, number, profiles);
    test_assert_code(atls_attester_evidence_start(a, &c->challenge, on_ready, c, &c->call, &err),
                     ATLS_OK, &err);
}

/* What evidence came to: profile, depth, and the challenge that was quoted. */
struct seen {
    enum atls_evidence_profile profile;
    size_t depth;
    uint8_t challenge[64];
};

/* The evidence answers this caller: the token is over its KAT. */
static struct seen check(struct atls_buf *evidence, const struct caller *c)
{
    struct atls_arena arena = atls_arena_init(1 << 16);
    struct atls_err err = ATLS_ERR_INIT;
    struct seen seen = {.profile = ATLS_PROFILE_KAT};
    struct atls_batch_path path;
    struct atls_bundle bundle;
    struct atls_cmw cmw;
    struct atls_kat kat;

    test_assert_code(atls_cmw_decode(atls_buf_bytes(evidence), &arena, &cmw, &err), ATLS_OK, &err);
    test_assert_code(atls_bundle_open(&cmw, &bundle, &err), ATLS_OK, &err);
    path.kat = bundle.kat.value;
    if (atls_cmw_type_is(&bundle.kat.type, ATLS_TYPE_KAT_BATCH)) {
        seen.profile = ATLS_PROFILE_BATCH;
        test_assert_code(atls_batch_path_decode(bundle.kat.value, &path, &err), ATLS_OK, &err);
        test_assert_code(atls_batch_challenge(&path, seen.challenge, &err), ATLS_OK, &err);
        seen.depth = path.depth;
    } else {
        assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, path.kat, seen.challenge, NULL), ATLS_OK);
    }
    test_assert_bytes(bundle.pat.value, atls_bytes_of(seen.challenge, 64));
    test_assert_code(atls_kat_decode(path.kat, &kat, &err), ATLS_OK, &err);
    test_assert_bytes(kat.nonce, c->challenge.binder);
    atls_arena_clear(&arena);
    atls_buf_clear(evidence);
    return seen;
}

static struct seen finish(struct caller *c)
{
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_attester_evidence_finish(c->call, &evidence, &err), ATLS_OK, &err);
    return check(&evidence, c);
}

static void finish_failing(struct caller *c, enum atls_code want, const char *message)
{
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_attester_evidence_finish(c->call, &evidence, &err), want, &err);
    assert_non_null(strstr(err.message, message));
    assert_null(evidence.ptr);
}

static void assert_same_quote(const struct seen *a, const struct seen *b)
{
    assert_memory_equal(a->challenge, b->challenge, 64);
}

/* ---- tests ---- */

static void one_alone_gets_a_plain_bundle(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct caller c;
    struct seen seen;

    (void)state;
    assert_int_equal(atls_attester_profiles(a), BOTH | ATLS_PROFILE_BARE);
    set_challenge(&c, 1, BOTH);
    assert_int_equal(atls_attester_evidence_for(a, &c.challenge, &evidence, NULL), ATLS_OK);
    assert_int_equal(check(&evidence, &c).profile, ATLS_PROFILE_KAT);
    start(a, &c, 2, BOTH | ATLS_PROFILE_BARE);
    assert_int_equal(finish(&c).profile, ATLS_PROFILE_KAT);
    start(a, &c, 3, ATLS_PROFILE_BATCH); /* takes nothing else: a tree of one leaf */
    seen = finish(&c);
    assert_int_equal(seen.profile, ATLS_PROFILE_BATCH);
    assert_int_equal(seen.depth, 0);
    set_challenge(&c, 3, ATLS_PROFILE_BATCH);
    assert_int_equal(atls_attester_evidence_for(a, &c.challenge, &evidence, NULL), ATLS_OK);
    assert_int_equal(check(&evidence, &c).profile, ATLS_PROFILE_BATCH);
    assert_int_equal(quotes_started(), 4);
    atls_attester_unref(a);
    assert_int_equal(device.closed, 1);
}

/* Whoever comes while a quote is made shares the next one. */
static void the_next_batch_gathers(void **state)
{
    enum { COUNT = 11 };
    struct atls_attester *a = open_device("device:");
    struct caller first, c[COUNT];
    struct seen one;

    (void)state;
    gate();
    start(a, &first, 0, BOTH);
    await_start(1);
    for (size_t i = 0; i < COUNT; i++)
        start(a, &c[i], 1 + i, BOTH);
    allow(2);
    await_ready(&first);
    assert_int_equal(finish(&first).profile, ATLS_PROFILE_KAT);
    one = finish(&c[COUNT - 1]); /* no matter who asks first */
    assert_int_equal(one.profile, ATLS_PROFILE_BATCH);
    assert_int_equal(one.depth, 4);
    for (size_t i = 0; i < COUNT - 1; i++) {
        struct seen seen;

        await_ready(&c[i]);
        seen = finish(&c[i]);
        assert_same_quote(&seen, &one);
    }
    assert_int_equal(quotes_started(), 2);
    atls_attester_unref(a);
}

/* The same binder twice, as a caller who asks twice would have it. */
static void the_same_challenge_twice(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct caller first, c[2];
    struct seen seen[2];

    (void)state;
    gate();
    start(a, &first, 0, BOTH);
    await_start(1);
    start(a, &c[0], 7, BOTH);
    start(a, &c[1], 7, BOTH);
    allow(2);
    finish(&first);
    seen[0] = finish(&c[0]);
    seen[1] = finish(&c[1]);
    assert_same_quote(&seen[0], &seen[1]);
    atls_attester_unref(a);
}

static void a_batch_has_a_largest_size(void **state)
{
    enum { COUNT = ATLS_BATCH_MAX + 3 };
    struct atls_attester *a = open_device("device:");
    struct caller first, *c = calloc(COUNT, sizeof *c);
    struct seen full, rest;

    (void)state;
    assert_non_null(c);
    gate();
    start(a, &first, 0, BOTH);
    await_start(1);
    for (size_t i = 0; i < COUNT; i++)
        start(a, &c[i], 1 + i, BOTH);
    allow(3);
    finish(&first);
    full = finish(&c[0]);
    assert_int_equal(full.depth, ATLS_BATCH_DEPTH_MAX);
    for (size_t i = 1; i < ATLS_BATCH_MAX; i++) {
        struct seen seen = finish(&c[i]);

        assert_same_quote(&seen, &full);
    }
    rest = finish(&c[ATLS_BATCH_MAX]);
    assert_int_equal(rest.depth, 2);
    for (size_t i = ATLS_BATCH_MAX + 1; i < COUNT; i++) {
        struct seen seen = finish(&c[i]);

        assert_same_quote(&seen, &rest);
    }
    assert_int_equal(quotes_started(), 3);
    free(c);
    atls_attester_unref(a);
}

/* Those that take no batches have every second quote, in the order in which they came. */
static void batches_and_single_quotes_take_turns(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct caller first, own[3], many[4];
    struct seen seen[2];

    (void)state;
    gate();
    start(a, &first, 0, ATLS_PROFILE_KAT);
    await_start(1);
    for (size_t i = 0; i < 3; i++)
        start(a, &own[i], 10 + i, ATLS_PROFILE_KAT);
    start(a, &many[0], 20, BOTH);
    start(a, &many[1], 21, BOTH);
    allow(2); /* first, and then the batch */
    finish(&first);
    seen[0] = finish(&many[0]);
    seen[1] = finish(&many[1]);
    assert_same_quote(&seen[0], &seen[1]);
    await_start(3); /* own[0] */
    start(a, &many[2], 22, BOTH);
    start(a, &many[3], 23, BOTH);
    allow(3);
    assert_int_equal(finish(&own[0]).profile, ATLS_PROFILE_KAT);
    allow(4); /* the batch that came while own[0] was served */
    seen[0] = finish(&many[2]);
    seen[1] = finish(&many[3]);
    assert_same_quote(&seen[0], &seen[1]);
    allow(5);
    finish(&own[1]);
    allow(6);
    finish(&own[2]);
    assert_int_equal(quotes_started(), 6);
    atls_attester_unref(a);
}

static void a_failed_quote_fails_its_waiters(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct caller first, failing[3], after[2];
    struct seen seen[2];

    (void)state;
    gate();
    device.fails = 2;
    start(a, &first, 0, BOTH);
    await_start(1);
    for (size_t i = 0; i < 3; i++)
        start(a, &failing[i], 1 + i, BOTH);
    allow(1);
    await_start(2);
    start(a, &after[0], 10, BOTH);
    start(a, &after[1], 11, BOTH);
    allow(4);
    finish(&first);
    for (size_t i = 0; i < 3; i++) {
        await_ready(&failing[i]);
        finish_failing(&failing[i], ATLS_E_DEVICE, "quote 2 failed");
    }
    seen[0] = finish(&after[0]);
    seen[1] = finish(&after[1]);
    assert_same_quote(&seen[0], &seen[1]);
    device.fails = 4;
    start(a, &first, 0, BOTH);
    finish_failing(&first, ATLS_E_DEVICE, "quote 4 failed");
    atls_attester_unref(a);
}

/* A session that goes away: before its quote began, while it is made, after it was made. */
static void cancelled_calls_leave_no_trace(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct caller first, c[5];
    struct seen seen;

    (void)state;
    gate();
    start(a, &first, 0, BOTH);
    await_start(1);
    for (size_t i = 0; i < 5; i++)
        start(a, &c[i], 1 + i, BOTH);
    atls_attester_evidence_cancel(c[4].call); /* three are left beside c[0]: depth 2 */
    atls_attester_evidence_cancel(first.call);
    allow(1);
    await_start(2);
    atls_attester_evidence_cancel(c[1].call);
    allow(2);
    await_ready(&c[3]);
    await_ready(&c[2]);
    atls_attester_evidence_cancel(c[2].call);
    seen = finish(&c[0]);
    assert_int_equal(seen.depth, 2);
    finish(&c[3]);
    assert_int_equal(c[4].ready, 0);
    assert_int_equal(c[1].ready, 0);
    assert_int_equal(first.ready, 0);
    for (size_t i = 0; i < 2; i++) /* all of a batch */
        start(a, &c[i], 10 + i, BOTH);
    await_start(3);
    start(a, &c[2], 12, BOTH);
    atls_attester_evidence_cancel(c[0].call);
    atls_attester_evidence_cancel(c[1].call);
    allow(4);
    finish(&c[2]);
    atls_attester_evidence_cancel(NULL);
    atls_attester_unref(a);
    assert_int_equal(device.closed, 1);
}

/* A waiting caller comes back at its deadline, whatever the device does. */
static void deadlines_pass(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct caller first, late, waits;
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    gate();
    start(a, &first, 0, BOTH);
    await_start(1);
    set_challenge(&late, 1, BOTH);
    late.challenge.timeout_ms = 1;
    assert_int_equal(
        atls_attester_evidence_start(a, &late.challenge, on_ready, &late, &late.call, NULL),
        ATLS_OK);
    set_challenge(&waits, 2, ATLS_PROFILE_KAT);
    waits.challenge.timeout_ms = 3;
    test_assert_code(atls_attester_evidence_for(a, &waits.challenge, &evidence, &err),
                     ATLS_E_TIMEOUT, &err);
    assert_null(evidence.ptr);
    /* By now late's deadline has passed, too: no quote is made for it. */
    allow(1);
    await_ready(&late);
    finish_failing(&late, ATLS_E_TIMEOUT, "before the quote began");
    finish(&first);
    assert_int_equal(quotes_started(), 1);
    set_challenge(&waits, 3, BOTH);
    waits.challenge.timeout_ms = 600000;
    allow(2);
    assert_int_equal(atls_attester_evidence_for(a, &waits.challenge, &evidence, &err), ATLS_OK);
    check(&evidence, &waits);
    atls_attester_unref(a);
}

/* A call keeps the attester. */
static void the_last_reference_may_be_a_calls(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct caller c[2];

    (void)state;
    gate();
    start(a, &c[0], 0, BOTH);
    start(a, &c[1], 1, BOTH);
    atls_attester_unref(a);
    await_start(1);
    allow(2);
    finish(&c[0]);
    assert_int_equal(device.closed, 0);
    atls_attester_evidence_cancel(c[1].call);
    assert_int_equal(device.closed, 1);
}

struct told {
    struct atls_attester *attester;
    struct caller caller;
    struct atls_buf evidence;
    enum atls_code code;
};

static void *end_when_told(void *arg)
{
    struct told *t = arg;

    await_ready(&t->caller);
    t->code = atls_attester_evidence_finish(t->caller.call, &t->evidence, NULL);
    atls_attester_unref(t->attester);
    return NULL;
}

/* Who is told may finish the call and give back the attester before the start of it has returned;
 * what is left to do there is for a sanitizer to see. */
static void who_is_told_may_end_it_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        struct told t = {.attester = open_device("device:"), .evidence = ATLS_BUF_INIT};
        struct atls_err err = ATLS_ERR_INIT;
        pthread_t thread;

        set_challenge(&t.caller, i, BOTH);
        assert_int_equal(pthread_create(&thread, NULL, end_when_told, &t), 0);
        test_assert_code(atls_attester_evidence_start(t.attester, &t.caller.challenge, on_ready,
                                                      &t.caller, &t.caller.call, &err),
                         ATLS_OK, &err);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(t.code, ATLS_OK);
        assert_int_equal(device.closed, 1);
        check(&t.evidence, &t.caller);
    }
}

struct blocking {
    struct atls_attester *attester;
    struct caller caller;
    struct atls_buf evidence;
    enum atls_code code;
};

static void *ask_and_wait(void *arg)
{
    struct blocking *b = arg;

    b->code = atls_attester_evidence_for(b->attester, &b->caller.challenge, &b->evidence, NULL);
    return NULL;
}

/* A caller who found the device free makes the quote himself, and then lets the others go on. */
static void others_wait_for_a_caller_on_his_own_thread(void **state)
{
    struct blocking b = {.attester = open_device("device:"), .evidence = ATLS_BUF_INIT};
    struct caller c[2];
    struct seen seen[2];
    pthread_t thread;

    (void)state;
    gate();
    set_challenge(&b.caller, 0, BOTH);
    assert_int_equal(pthread_create(&thread, NULL, ask_and_wait, &b), 0);
    await_start(1);
    start(b.attester, &c[0], 1, BOTH);
    start(b.attester, &c[1], 2, BOTH);
    allow(2);
    for (size_t i = 0; i < 2; i++) {
        await_ready(&c[i]);
        seen[i] = finish(&c[i]);
    }
    assert_same_quote(&seen[0], &seen[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(b.code, ATLS_OK);
    assert_int_equal(check(&b.evidence, &b.caller).profile, ATLS_PROFILE_KAT);
    atls_attester_unref(b.attester);
}

/* No batches: by option, and where a backend has no quoter. */
static void without_batches(void **state)
{
    static const struct {
        const char *uri, *rest;
    } rows[] = {
        {"device:x?batch=off", "x"},        {"device:x?a=1&batch=off&b=2", "x?a=1&b=2"},
        {"device:?batch=off&b=2", "?b=2"},  {"device:?a=1&batch=off", "?a=1"},
        {"plain:?batch=off", "?batch=off"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = open_device(rows[i].uri);
        struct caller first, c[3];

        assert_string_equal(device_rest, rows[i].rest);
        assert_int_equal(atls_attester_profiles(a), ATLS_PROFILE_KAT | ATLS_PROFILE_BARE);
        gate();
        start(a, &first, 0, BOTH);
        await_start(1);
        for (size_t j = 0; j < 3; j++)
            start(a, &c[j], 1 + j, BOTH);
        allow(4);
        finish(&first);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(finish(&c[j]).profile, ATLS_PROFILE_KAT);
        assert_int_equal(quotes_started(), 4);
        atls_attester_unref(a);
    }
    atls_attester_unref(open_device("device:?batch=on"));
    assert_string_equal(device_rest, "");
}

static void options_that_are_refused(void **state)
{
    static const char *const uris[] = {"device:?batch=", "device:?batch=of", "device:?batch=offf",
                                       "device:?batch=on&batch=on", "device:?a=b&batch=1"};
    const struct atls_attester_ops *const backends[] = {&device_ops, NULL};

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_attester_open(uris[i], backends, NULL, &a, &err), ATLS_E_CONFIG,
                         &err);
        assert_null(a);
        assert_non_null(strstr(err.message, "batch"));
    }
}

static void challenges_that_are_refused(void **state)
{
    struct atls_attester *a = open_device("device:?batch=off");
    struct atls_attester_call *call = NULL;
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct caller c;

    (void)state;
    set_challenge(&c, 0, ATLS_PROFILE_BATCH);
    assert_int_equal(atls_attester_evidence_for(a, &c.challenge, &evidence, NULL), ATLS_E_USAGE);
    assert_int_equal(atls_attester_evidence_start(a, &c.challenge, NULL, NULL, &call, NULL),
                     ATLS_E_USAGE);
    set_challenge(&c, 0, BOTH);
    c.challenge.binder.len = 33;
    assert_int_equal(atls_attester_evidence_start(a, &c.challenge, NULL, NULL, &call, NULL),
                     ATLS_E_USAGE);
    assert_null(call);
    assert_int_equal(quotes_started(), 0);
    atls_attester_unref(a);
}

/* What the attester never asks of its queue. */
static void a_binder_has_a_largest_size(void **state)
{
    static const uint8_t binder[49];
    const struct atls_batch_source source = {.profiles = ATLS_PROFILE_KAT};
    const struct atls_challenge challenge = {.binder = {binder, sizeof binder},
                                             .profiles = ATLS_PROFILE_KAT};
    struct atls_batch_queue *queue;
    struct atls_attester_call *call = NULL;

    (void)state;
    assert_int_equal(atls_batch_queue_new(&source, &queue, NULL), ATLS_OK);
    assert_int_equal(
        atls_batch_start(queue, &challenge, (struct atls_batch_notice){0}, &call, NULL),
        ATLS_E_USAGE);
    assert_null(call);
    atls_batch_queue_free(queue);
    atls_batch_queue_free(NULL);
}

/* ---- many threads ---- */

enum { THREADS = 8, ROUNDS = 40 };

struct thread {
    struct atls_attester *attester;
    pthread_t id;
    size_t number;
    bool ok;
};

static bool round_trip(struct thread *t, size_t round)
{
    struct atls_buf evidence = ATLS_BUF_INIT;
    struct atls_attester_call *call;
    struct caller c;

    set_challenge(&c, t->number * ROUNDS + round, round % 5 == 0 ? ATLS_PROFILE_KAT : BOTH);
    if (round % 3 == 0) {
        if (atls_attester_evidence_for(t->attester, &c.challenge, &evidence, NULL) != ATLS_OK)
            return false;
        check(&evidence, &c);
        return true;
    }
    if (atls_attester_evidence_start(t->attester, &c.challenge, on_ready, &c, &call, NULL) !=
        ATLS_OK)
        return false;
    if (round % 7 == 0) {
        atls_attester_evidence_cancel(call);
        return true;
    }
    if (round % 2 == 0)
        await_ready(&c);
    if (atls_attester_evidence_finish(call, &evidence, NULL) != ATLS_OK)
        return false;
    check(&evidence, &c);
    return true;
}

static void *many_rounds(void *arg)
{
    struct thread *t = arg;

    t->ok = true;
    for (size_t i = 0; i < ROUNDS; i++)
        t->ok = t->ok && round_trip(t, i);
    return NULL;
}

static void from_many_threads(void **state)
{
    struct atls_attester *a = open_device("device:");
    struct thread threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.attester = a, .number = i};
        assert_int_equal(pthread_create(&threads[i].id, NULL, many_rounds, &threads[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
        assert_true(threads[i].ok);
    }
    atls_attester_unref(a);
}

/* ---- memory ---- */

/* libcrypto runs short at every point of a batch of two: both callers are told, and the queue goes
 * on. */
static void memory_runs_out(void **state)
{
    struct atls_attester *a = open_device("device:");
    bool happened = true;
    size_t failures = 0;

    (void)state;
    for (; happened; failures += happened) {
        struct caller first, c[2];

        device.started = device.allowed = 0;
        gate();
        start(a, &first, 0, BOTH);
        await_start(1);
        start(a, &c[0], 1, BOTH);
        start(a, &c[1], 2, BOTH);
        test_failing_alloc_arm(failures);
        allow(2);
        await_ready(&c[0]);
        await_ready(&c[1]);
        happened = test_failing_alloc_disarm();
        finish(&first);
        for (size_t i = 0; i < 2; i++) {
            struct atls_buf evidence = ATLS_BUF_INIT;
            enum atls_code code = atls_attester_evidence_finish(c[i].call, &evidence, NULL);

            if (happened)
                assert_true(code == ATLS_E_NOMEM || code == ATLS_E_CRYPTO);
            else
                assert_int_equal(check(&evidence, &c[i]).profile, ATLS_PROFILE_BATCH);
        }
        assert_int_equal(quotes_started(), happened ? 1 : 2);
    }
    assert_true(failures > 2);
    atls_attester_unref(a);
}

#ifdef SANITIZED
static void every_allocation_fails_once(void **state)
{
    (void)state;
    skip(); /* a sanitizer brings its own malloc */
}
#else
/* The first quote is at the device, or its caller has heard that it will not be. */
static void await_start_or_ready(const struct caller *c)
{
    pthread_mutex_lock(&device.lock);
    while (device.started == 0 && c->ready == 0)
        pthread_cond_wait(&device.changed, &device.lock);
    pthread_mutex_unlock(&device.lock);
}

static bool try_start(struct atls_attester *a, struct caller *c, size_t number)
{
    set_challenge(c, number, BOTH);
    return atls_attester_evidence_start(a, &c->challenge, on_ready, c, &c->call, NULL) == ATLS_OK;
}

/* One alone and a batch of two while allocation n fails; true when all three got evidence. */
static bool all_succeed(size_t n)
{
    struct atls_attester *a = open_device("device:");
    struct atls_buf evidence[3] = {ATLS_BUF_INIT, ATLS_BUF_INIT, ATLS_BUF_INIT};
    struct caller c[3];
    bool started[3], good = true;

    gate();
    memory_arm(n);
    started[0] = try_start(a, &c[0], 0);
    if (started[0])
        await_start_or_ready(&c[0]);
    started[1] = try_start(a, &c[1], 1);
    started[2] = try_start(a, &c[2], 2);
    allow(3);
    for (size_t i = 0; i < 3; i++)
        if (!started[i] || atls_attester_evidence_finish(c[i].call, &evidence[i], NULL) != ATLS_OK)
            good = false;
    memory_arm(0);
    for (size_t i = 0; i < 3; i++)
        if (evidence[i].ptr != NULL)
            check(&evidence[i], &c[i]);
    atls_attester_unref(a);
    return good;
}

static void every_allocation_fails_once(void **state)
{
    size_t n = 1;

    (void)state;
    while (!all_succeed(n))
        assert_true(++n < 1000);
    assert_true(n > 20);
}
#endif

static int make_key(void **state)
{
    (void)state;
    return atls_private_key_generate(ATLS_KEY_P256, &device.key, NULL) == ATLS_OK ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    atls_private_key_free(device.key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone_gets_a_plain_bundle),
        cmocka_unit_test(the_next_batch_gathers),
        cmocka_unit_test(the_same_challenge_twice),
        cmocka_unit_test(a_batch_has_a_largest_size),
        cmocka_unit_test(batches_and_single_quotes_take_turns),
        cmocka_unit_test(a_failed_quote_fails_its_waiters),
        cmocka_unit_test(cancelled_calls_leave_no_trace),
        cmocka_unit_test(deadlines_pass),
        cmocka_unit_test(the_last_reference_may_be_a_calls),
        cmocka_unit_test(who_is_told_may_end_it_all),
        cmocka_unit_test(others_wait_for_a_caller_on_his_own_thread),
        cmocka_unit_test(without_batches),
        cmocka_unit_test(options_that_are_refused),
        cmocka_unit_test(challenges_that_are_refused),
        cmocka_unit_test(a_binder_has_a_largest_size),
        cmocka_unit_test(from_many_threads),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(every_allocation_fails_once),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, make_key, free_key);
}
