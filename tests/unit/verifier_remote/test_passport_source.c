/* Results kept in stock, against a verifier service that does what a test says. */
#include "testlib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include <atls/passport.h>

#include "core/base64.h"
#include "fake_attester.h"
#include "http_server.h"
#include "signed_result.h"
#include "verifier/remote/carried_result.h"
#include "verifier/remote/http.h"
#include "verifier/remote/pack.h"
#include "verifier/remote/session.h"
#include "wire/ear.h"
#include "wire/jws.h"

#define DEADLINE_S   60
#define SESSION_TYPE "Content-Type: " ATLS_SESSION_TYPE "\r\n"
#define THREADS      8

/* What the next answers to evidence are. */
enum mood {
    GOOD,
    FAILS,   /* 503 */
    HANGS,   /* the answer never ends */
    HELD,    /* no answer until the test says so */
    REFUSES, /* contraindicated */
    WARNS,
    OTHER_KEY,   /* a result about another machine */
    OTHER_NONCE, /* a result that answers another challenge */
    FOREIGN,     /* signed by somebody else */
};

/* The service; lock guards all of it. */
struct service {
    struct test_http_server *server;
    struct test_signer signer, foreign;
    struct atls_bytes aik, other_aik;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    enum mood mood;
    enum atls_ear_form form;
    const char *profile;
    int64_t now_s, age_s, lifetime_s; /* of the results: issued age_s before now */
    uint8_t nonce[48];
    size_t nonce_len;
    size_t sessions, submissions; /* seen */
};

struct world {
    struct service service;
    struct fake_attester fake;
    struct atls_attester *attester;
    struct atls_private_key *other;
    struct atls_passport_options options;
    struct atls_passport *passport;
    char folder[64], keys[96];
    atomic_int_least64_t now_s;
};

/* ---- the service ---- */

static void base64url(struct atls_bytes bytes, char *out, size_t size)
{
    struct atls_writer w = atls_writer_init(size - 1);

    atls_base64url_put(&w, bytes);
    assert_int_equal(w.failed, ATLS_OK);
    memcpy(out, w.ptr, w.len);
    out[w.len] = '\0';
    atls_writer_clear(&w);
}

static void reply_session(const struct service *s, struct test_http_response *response, int status,
                          const char *state, const char *token)
{
    char nonce[80], text[16384];

    base64url(atls_bytes_of(s->nonce, s->nonce_len), nonce, sizeof nonce);
    snprintf(text, sizeof text,
             "{\"status\":\"%s\",\"nonce\":\"%s\",\"expiry\":\"2099-01-01T00:00:00Z\","
             "\"accept\":[\"application/cmw+cbor; cmwc_t=\\\"" ATLS_BUNDLE_TYPE "\\\"\"]%s%s%s}",
             state, nonce, token != NULL ? ",\"result\":\"" : "", token != NULL ? token : "",
             token != NULL ? "\"" : "");
    test_http_reply_text(response, status,
                         status == 201 ? SESSION_TYPE "Location: session/1\r\n" : SESSION_TYPE,
                         text);
}

static void new_session(struct service *s, const char *target, struct test_http_response *response)
{
    const char *nonce = strstr(target, "?nonce=");
    struct atls_writer w = atls_writer_init(48);

    s->sessions++;
    if (nonce != NULL) {
        assert_true(atls_base64url_get(atls_bytes_of(nonce + 7, strlen(nonce + 7)), &w));
        s->nonce_len = w.len;
        memcpy(s->nonce, w.ptr, w.len);
        atls_writer_clear(&w);
    } else {
        s->nonce_len = 32;
        memset(s->nonce, (int)s->sessions, sizeof s->nonce);
    }
    reply_session(s, response, 201, "waiting", NULL);
}

static void take_evidence(struct service *s, struct test_http_response *response)
{
    struct test_result result = {.signer = s->mood == FOREIGN ? &s->foreign : &s->signer,
                                 .key = s->mood == OTHER_KEY ? s->other_aik : s->aik,
                                 .nonce = atls_bytes_of(s->nonce, s->nonce_len),
                                 .issued_s = s->now_s - s->age_s,
                                 .lifetime_s = s->lifetime_s,
                                 .form = s->form,
                                 .profile = s->profile};
    struct atls_buf token;
    char text[8192];

    if (s->mood == REFUSES || s->mood == WARNS)
        result.status = s->mood == REFUSES ? ATLS_TIER_CONTRAINDICATED : ATLS_TIER_WARNING;
    if (s->mood == OTHER_NONCE)
        s->nonce[0] ^= 1;
    result.nonce = atls_bytes_of(s->nonce, s->nonce_len);
    token = test_token(&result);
    if (s->mood == OTHER_NONCE)
        s->nonce[0] ^= 1;
    snprintf(text, sizeof text, "%.*s", (int)token.len, (const char *)token.ptr);
    reply_session(s, response, 200, "complete", text);
    atls_buf_clear(&token);
}

static void submit(struct service *s, struct test_http_response *response)
{
    s->submissions++;
    pthread_cond_broadcast(&s->moved);
    while (s->mood == HELD)
        pthread_cond_wait(&s->moved, &s->lock);
    if (s->mood == FAILS)
        test_http_reply_text(response, 503, "", "");
    else
        take_evidence(s, response);
    response->never_end = s->mood == HANGS;
    if (s->mood == HANGS)
        response->len = 20;
}

static void answer(void *arg, const struct test_http_request *request,
                   struct test_http_response *response)
{
    struct service *s = arg;

    pthread_mutex_lock(&s->lock);
    if (strcmp(request->target, "/.well-known/veraison/verification") == 0)
        test_http_reply_text(response, 200,
                             "Content-Type: application/vnd.veraison.discovery+json\r\n"
                             "Cache-Control: max-age=86400\r\n",
                             "{\"api-endpoints\":{\"newChallengeResponseSession\":\"/new\"},"
                             "\"media-types\":[\"application/cmw+cbor; cmwc_t=\\\"" ATLS_BUNDLE_TYPE
                             "\\\"\"]}");
    else if (strncmp(request->target, "/new", 4) == 0)
        new_session(s, request->target, response);
    else if (strcmp(request->method, "DELETE") == 0)
        test_http_reply_text(response, 200, "", "");
    else
        submit(s, response);
    pthread_mutex_unlock(&s->lock);
}

static void set_mood(struct world *w, enum mood mood)
{
    pthread_mutex_lock(&w->service.lock);
    w->service.mood = mood;
    pthread_cond_broadcast(&w->service.moved);
    pthread_mutex_unlock(&w->service.lock);
}

/* Results from now on are issued age_s ago and live for lifetime_s from then. */
static void set_life(struct world *w, int64_t age_s, int64_t lifetime_s)
{
    pthread_mutex_lock(&w->service.lock);
    w->service.now_s = w->now_s;
    w->service.age_s = age_s;
    w->service.lifetime_s = lifetime_s;
    pthread_mutex_unlock(&w->service.lock);
}

static size_t submissions(struct world *w)
{
    size_t n;

    pthread_mutex_lock(&w->service.lock);
    n = w->service.submissions;
    pthread_mutex_unlock(&w->service.lock);
    return n;
}

/* Waits until the service has seen evidence n times. */
static void wait_for_submissions(struct world *w, size_t n)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&w->service.lock);
    while (w->service.submissions < n && rc == 0)
        rc = pthread_cond_timedwait(&w->service.moved, &w->service.lock, &until);
    pthread_mutex_unlock(&w->service.lock);
    assert_int_equal(rc, 0);
}

/* ---- the world ---- */

static int64_t now_of(void *arg)
{
    struct world *w = arg;

    return atomic_load(&w->now_s);
}

static void advance(struct world *w, int64_t seconds)
{
    atomic_fetch_add(&w->now_s, seconds);
    pthread_mutex_lock(&w->service.lock);
    w->service.now_s = w->now_s;
    pthread_mutex_unlock(&w->service.lock);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const struct test_signer *const signers[] = {&w->service.signer};
    struct service *s = &w->service;

    assert_non_null(w);
    *state = w;
    atomic_init(&w->now_s, 1700000000);
    test_signer_init(&s->signer, "a");
    test_signer_init(&s->foreign, "a");
    w->attester = fake_attester_open(&w->fake);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &w->other, NULL), ATLS_OK);
    s->aik = atls_attester_aik_spki(w->attester);
    s->other_aik = atls_key_spki(atls_private_key_public(w->other));
    assert_int_equal(pthread_mutex_init(&s->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&s->moved, NULL), 0);
    s->server = test_http_start(answer, s, NULL);
    strcpy(w->folder, "/tmp/atls-source-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->keys, sizeof w->keys, "%s/keys.jwks", w->folder);
    test_signers_write(w->keys, signers, 1);
    atls_passport_options_init(&w->options);
    w->options.attester = w->attester;
    w->options.verifier_url = test_http_url(s->server);
    w->options.result_keys = w->keys;
    w->options.clock = (struct atls_clock){w, now_of, NULL};
    w->options.timeout_ms = DEADLINE_S * 1000;
    set_life(w, 0, 3600);
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    struct service *s = &w->service;

    set_mood(w, GOOD);
    atls_passport_unref(w->passport);
    test_http_stop(s->server);
    atls_attester_unref(w->attester);
    test_signer_clear(&s->signer);
    test_signer_clear(&s->foreign);
    atls_private_key_free(w->other);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->moved);
    unlink(w->keys);
    rmdir(w->folder);
    free(w);
    return 0;
}

static void open_source(struct world *w)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_passport_open(&w->options, &w->passport, &err), ATLS_OK, &err);
}

static enum atls_code show(struct world *w, struct atls_bytes binder, struct atls_buf *out,
                           struct atls_err *err)
{
    return atls_passport_result(w->passport, binder, out, err);
}

/* Shows one and says when it was issued. */
static int64_t shown_issue(struct world *w)
{
    struct atls_carried_result carried;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jws jws;
    json_t *claims;
    int64_t issued_s;

    test_assert_code(show(w, atls_bytes_of(NULL, 0), &cmw, &err), ATLS_OK, &err);
    test_assert_code(atls_carried_result_open(atls_buf_bytes(&cmw), &carried, &err), ATLS_OK, &err);
    test_assert_code(atls_jws_decode(carried.token, &jws, &err), ATLS_OK, &err);
    claims = json_loadb((const char *)jws.payload.ptr, jws.payload.len, 0, NULL);
    assert_non_null(claims);
    issued_s = json_integer_value(json_object_get(claims, "iat"));
    json_decref(claims);
    atls_jws_clear(&jws);
    atls_buf_clear(&cmw);
    return issued_s;
}

/* ---- stock ---- */

static void the_first_result_is_there_when_open_returns(void **state)
{
    struct world *w = *state;

    open_source(w);
    assert_int_equal(submissions(w), 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(shown_issue(w), w->now_s);
    assert_int_equal(submissions(w), 1);
}

/* Forms and profiles of the services: what is shown is what they issued. */
static void a_result_without_expiry_lives_for_an_hour(void **state)
{
    struct world *w = *state;
    int64_t first = w->now_s;

    w->service.profile = ATLS_EAR_PROFILE_2023;
    set_life(w, 0, 0);
    open_source(w);
    advance(w, 3600 - 6);
    assert_int_equal(shown_issue(w), first);
    assert_int_equal(submissions(w), 1);
    advance(w, 1); /* it might not outlive the handshake */
    assert_int_equal(shown_issue(w), w->now_s);
    assert_int_equal(submissions(w), 2);
}

static void the_life_of_a_result_without_expiry_can_be_chosen(void **state)
{
    struct world *w = *state;
    int64_t first = w->now_s;

    w->options.lifetime_s = 100;
    w->service.profile = ATLS_EAR_PROFILE_2023;
    set_life(w, 0, 0);
    open_source(w);
    advance(w, 94);
    assert_int_equal(shown_issue(w), first);
    advance(w, 1);
    assert_int_equal(shown_issue(w), w->now_s);
}

/* Relying Parties would not take it: 24 hours are their limit. */
static void no_result_is_shown_for_more_than_a_day(void **state)
{
    struct world *w = *state;
    int64_t first = w->now_s;

    set_life(w, 0, 30 * 86400);
    open_source(w);
    advance(w, 86400 - 6);
    assert_int_equal(shown_issue(w), first);
    advance(w, 1);
    assert_int_equal(shown_issue(w), w->now_s);
}

/* Whatever was chosen. */
static void a_result_without_expiry_is_shown_for_a_day_at_most(void **state)
{
    struct world *w = *state;
    int64_t first = w->now_s;

    w->options.lifetime_s = INT64_MAX;
    w->service.profile = ATLS_EAR_PROFILE_2023;
    set_life(w, 0, 0);
    open_source(w);
    advance(w, 86400 - 6);
    assert_int_equal(shown_issue(w), first);
    advance(w, 1);
    assert_int_equal(shown_issue(w), w->now_s);
}

/* ---- renewal ---- */

/* The first one is in the last fifth of its life already. */
static void renews_before_expiry(void **state)
{
    struct world *w = *state;

    set_life(w, 3590, 3600 + 600);
    open_source(w);
    assert_int_equal(shown_issue(w), w->now_s - 3590);
    set_life(w, 0, 3600);
    wait_for_submissions(w, 2);
    for (int64_t end_ms = atls_http_now_ms() + 1000 * DEADLINE_S; shown_issue(w) != w->now_s;)
        assert_true(atls_http_now_ms() < end_ms);
}

static atomic_size_t warnings;

static void count_warnings(void *arg, enum atls_log_level level, const char *module,
                           const char *message)
{
    (void)arg;
    (void)module;
    if (level == ATLS_LOG_WARNING && strncmp(message, "not renewed, again in ", 22) == 0)
        atomic_fetch_add(&warnings, 1);
}

/* Failures are survived on the stock, and told. */
static void a_failing_service_is_asked_again(void **state)
{
    struct world *w = *state;
    int64_t first = w->now_s - 3590, end_ms;

    w->options.log = (struct atls_log){NULL, ATLS_LOG_DEBUG, count_warnings};
    set_life(w, 3590, 3600 + 600);
    open_source(w);
    set_mood(w, FAILS);
    set_life(w, 0, 3600);
    wait_for_submissions(w, 3);
    assert_int_equal(shown_issue(w), first);
    end_ms = atls_http_now_ms() + 1000 * DEADLINE_S;
    while (atomic_load(&warnings) == 0)
        assert_true(atls_http_now_ms() < end_ms);
    set_mood(w, GOOD);
    while (shown_issue(w) == first)
        assert_true(atls_http_now_ms() < end_ms);
    assert_int_equal(shown_issue(w), w->now_s);
}

/* A Verifier that gives out what it gave before is not asked every second; what is there counts. */
static void a_result_that_is_no_newer_changes_nothing(void **state)
{
    struct world *w = *state;

    set_life(w, 3590, 3600 + 600);
    open_source(w);
    wait_for_submissions(w, 2);
    assert_int_equal(shown_issue(w), w->now_s - 3590);
}

/* ---- no result ---- */

static void an_expired_result_is_never_shown(void **state)
{
    struct world *w = *state;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    open_source(w);
    set_mood(w, FAILS);
    advance(w, 3600 - 5);
    test_assert_code(show(w, atls_bytes_of(NULL, 0), &cmw, &err), ATLS_E_UNAVAILABLE, &err);
    assert_null(cmw.ptr);
    set_mood(w, GOOD);
    assert_int_equal(shown_issue(w), w->now_s);
}

static void results_that_end_at_once_are_none(void **state)
{
    struct world *w = *state;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    open_source(w);
    advance(w, 4000);
    set_life(w, 0, 5);
    test_assert_code(show(w, atls_bytes_of(NULL, 0), &cmw, &err), ATLS_E_UNAVAILABLE, &err);
    assert_null(cmw.ptr);
}

static void open_says_what_the_verifier_found(void **state)
{
    static const struct {
        const char *name;
        enum mood mood;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"contraindicated", REFUSES, ATLS_E_REFUSED, ATLS_REASON_MEASUREMENT},
        {"a warning", WARNS, ATLS_E_REFUSED, ATLS_REASON_MEASUREMENT},
        {"about another key", OTHER_KEY, ATLS_E_REFUSED, ATLS_REASON_KEY_BINDING_MISMATCH},
        {"about another challenge", OTHER_NONCE, ATLS_E_VERIFY, ATLS_REASON_NONCE_MISMATCH},
        {"signed by another", FOREIGN, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE},
        {"no service", FAILS, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        set_mood(w, rows[i].mood);
        if (atls_passport_open(&w->options, &w->passport, &err) != rows[i].want ||
            err.reason != rows[i].reason)
            fail_msg("%s: %s (%s): %s", rows[i].name, atls_code_name(err.code),
                     atls_reason_name(err.reason), err.message);
        assert_null(w->passport);
        if (rows[i].mood == REFUSES)
            assert_non_null(strstr(err.message, "PCR 7 differs"));
    }
    set_mood(w, GOOD);
    open_source(w);
}

static void the_first_result_may_come_later(void **state)
{
    struct world *w = *state;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    w->options.later = true;
    set_mood(w, REFUSES); /* that is an answer */
    test_assert_code(atls_passport_open(&w->options, &w->passport, &err), ATLS_E_REFUSED, &err);
    assert_null(w->passport);
    set_mood(w, FAILS);
    open_source(w);
    test_assert_code(show(w, atls_bytes_of(NULL, 0), &cmw, &err), ATLS_E_UNAVAILABLE, &err);
    assert_null(cmw.ptr);
    set_mood(w, GOOD);
    assert_int_equal(shown_issue(w), w->now_s);
}

static void open_wants_its_options(void **state)
{
    struct world *w = *state;
    const struct atls_passport_options good = w->options;

    for (int i = 0; i < 6; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        w->options = good;
        switch (i) {
        case 0:
            w->options.size = 1;
            break;
        case 1:
            w->options.attester = NULL;
            break;
        case 2:
            w->options.verifier_url = NULL;
            break;
        case 3:
            w->options.lifetime_s = -1;
            break;
        case 4: /* anybody could name keys over http */
            w->options.result_keys = NULL;
            break;
        default:
            w->options.verifier_url = "nonsense:";
            break;
        }
        test_assert_code(atls_passport_open(&w->options, &w->passport, &err),
                         i == 0 ? ATLS_E_USAGE : ATLS_E_CONFIG, &err);
        assert_null(w->passport);
    }
    assert_int_equal(submissions(w), 0);
}

/* What the attester cannot do is said as it says it, or in words of our own. */
static void failures_of_the_attester_are_told(void **state)
{
    struct world *w = *state;

    for (int silent = 0; silent < 2; silent++) {
        struct atls_err err = ATLS_ERR_INIT;

        w->fake.silent = silent != 0;
        w->fake.fail_evidence = ATLS_E_DEVICE;
        test_assert_code(atls_passport_open(&w->options, &w->passport, &err), ATLS_E_DEVICE, &err);
        assert_true(err.message[0] != '\0');
    }
    w->fake.fail_evidence = ATLS_OK;
}

/* ---- made for a connection ---- */

static void echoes_a_binder(void **state)
{
    static const uint8_t binder[48] = "the binder of a connection under SHA-384........";
    struct world *w = *state;

    w->service.form = ATLS_EAR_FORM_JWT;
    open_source(w);
    for (size_t len = 32; len <= 48; len += 16) {
        struct atls_carried_result carried;
        struct atls_buf cmw = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_jws jws;
        char want[80];
        json_t *claims;

        test_assert_code(show(w, atls_bytes_of(binder, len), &cmw, &err), ATLS_OK, &err);
        test_assert_code(atls_carried_result_open(atls_buf_bytes(&cmw), &carried, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_jws_decode(carried.token, &jws, &err), ATLS_OK, &err);
        claims = json_loadb((const char *)jws.payload.ptr, jws.payload.len, 0, NULL);
        base64url(atls_bytes_of(binder, len), want, sizeof want);
        assert_string_equal(json_string_value(json_object_get(claims, "eat_nonce")), want);
        json_decref(claims);
        atls_jws_clear(&jws);
        atls_buf_clear(&cmw);
    }
    assert_int_equal(submissions(w), 3);
    /* They are nobody else's: the stock is as it was. */
    assert_int_equal(shown_issue(w), w->now_s);
    assert_int_equal(submissions(w), 3);
}

static void no_stock_stands_in_for_a_binder(void **state)
{
    static const uint8_t binder[32] = {7};
    struct world *w = *state;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    open_source(w);
    set_mood(w, FAILS);
    test_assert_code(show(w, atls_bytes_of(binder, 32), &cmw, &err), ATLS_E_UNAVAILABLE, &err);
    set_mood(w, OTHER_NONCE);
    test_assert_code(show(w, atls_bytes_of(binder, 32), &cmw, &err), ATLS_E_VERIFY, &err);
    w->fake.fail_evidence = ATLS_E_DEVICE;
    test_assert_code(show(w, atls_bytes_of(binder, 32), &cmw, &err), ATLS_E_DEVICE, &err);
    w->fake.fail_evidence = ATLS_OK;
    test_assert_code(show(w, atls_bytes_of(binder, 31), &cmw, &err), ATLS_E_USAGE, &err);
    assert_null(cmw.ptr);
}

/* ---- keys ---- */

static void the_verifier_may_change_its_key(void **state)
{
    struct world *w = *state;
    const struct test_signer *const signers[] = {&w->service.foreign};

    open_source(w);
    set_mood(w, FOREIGN);
    test_signers_write(w->keys, signers, 1);
    advance(w, 4000);
    assert_int_equal(shown_issue(w), w->now_s);
}

/* ---- threads ---- */

struct asker {
    pthread_t thread;
    struct world *world;
    size_t times;
    enum atls_code code;
    struct atls_err err;
};

static void *keep_asking(void *arg)
{
    struct asker *a = arg;

    a->code = ATLS_OK;
    for (size_t i = 0; i < a->times && a->code == ATLS_OK; i++) {
        struct atls_buf cmw = ATLS_BUF_INIT;

        a->code = show(a->world, atls_bytes_of(NULL, 0), &cmw, &a->err);
        atls_buf_clear(&cmw);
    }
    return NULL;
}

static void start_asking(struct world *w, struct asker askers[THREADS], size_t times)
{
    for (size_t i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.world = w, .times = times};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, keep_asking, &askers[i]), 0);
    }
}

static void join(struct asker askers[THREADS])
{
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
}

static void threads_are_served_while_renewal_runs(void **state)
{
    struct world *w = *state;
    struct asker askers[THREADS];

    set_life(w, 3590, 3600 + 600);
    open_source(w);
    set_mood(w, HELD);
    wait_for_submissions(w, 2);
    start_asking(w, askers, 200); /* the renewal does not come before they are done */
    join(askers);
    for (size_t i = 0; i < THREADS; i++)
        test_assert_code(askers[i].code, ATLS_OK, &askers[i].err);
    assert_int_equal(submissions(w), 2);
    set_life(w, 0, 3600);
    set_mood(w, GOOD);
    start_asking(w, askers, 200);
    join(askers);
    for (size_t i = 0; i < THREADS; i++)
        test_assert_code(askers[i].code, ATLS_OK, &askers[i].err);
    assert_int_equal(submissions(w), 2);
}

/* Without anything in stock one asks, and all get what came, or learn why nothing did. */
static void one_asks_for_all(void **state)
{
    struct world *w = *state;
    struct asker askers[THREADS];

    open_source(w);
    for (int failing = 0; failing < 2; failing++) {
        size_t before = submissions(w);

        advance(w, 4000);
        set_mood(w, HELD);
        start_asking(w, askers, 1);
        wait_for_submissions(w, before + 1);
        set_mood(w, failing != 0 ? FOREIGN : GOOD);
        join(askers);
        for (size_t i = 0; i < THREADS; i++)
            test_assert_code(askers[i].code, failing != 0 ? ATLS_E_VERIFY : ATLS_OK,
                             &askers[i].err);
        /* One who comes when the failure is known already tries for itself. */
        assert_in_range(submissions(w), before + 1, before + (failing != 0 ? THREADS : 1));
    }
}

/* ---- the end ---- */

static void closes_while_it_waits(void **state)
{
    struct world *w = *state;

    open_source(w);
    atls_passport_unref(w->passport);
    w->passport = NULL;
    assert_int_equal(submissions(w), 1);
}

/* A service that hangs does not hold the end, whatever time its exchange had left. */
static void closes_during_a_renewal(void **state)
{
    struct world *w = *state;
    int64_t start_ms;

    w->options.timeout_ms = 100 * DEADLINE_S * 1000;
    set_life(w, 3590, 3600 + 600);
    open_source(w);
    set_mood(w, HANGS);
    wait_for_submissions(w, 2);
    start_ms = atls_http_now_ms();
    atls_passport_unref(w->passport);
    w->passport = NULL;
    assert_true(atls_http_now_ms() - start_ms < 1000 * DEADLINE_S);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_result_is_there_when_open_returns),
        TEST(a_result_without_expiry_lives_for_an_hour),
        TEST(the_life_of_a_result_without_expiry_can_be_chosen),
        TEST(a_result_without_expiry_is_shown_for_a_day_at_most),
        TEST(no_result_is_shown_for_more_than_a_day),
        TEST(renews_before_expiry),
        TEST(a_failing_service_is_asked_again),
        TEST(a_result_that_is_no_newer_changes_nothing),
        TEST(an_expired_result_is_never_shown),
        TEST(results_that_end_at_once_are_none),
        TEST(open_says_what_the_verifier_found),
        TEST(the_first_result_may_come_later),
        TEST(open_wants_its_options),
        TEST(failures_of_the_attester_are_told),
        TEST(echoes_a_binder),
        TEST(no_stock_stands_in_for_a_binder),
        TEST(the_verifier_may_change_its_key),
        TEST(threads_are_served_while_renewal_runs),
        TEST(one_asks_for_all),
        TEST(closes_while_it_waits),
        TEST(closes_during_a_renewal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
