#include "fake_veraison.h"
#include "soft_evidence.h"
#include "testlib.h"
#include "tpm_forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/reader.h"
#include "verifier/remote/client.h"
#include "verifier/remote/pack.h"

#define LONG_MS 20000
#define PARSEC  "[\"application/vnd.parallaxsecond.key-attestation.tpm\"]"
#define NEW     TEST_VERAISON_NEW
#define SESSION TEST_VERAISON_SESSION
#define JSON    TEST_VERAISON_SESSION_HEADER
#define PROBLEM "Content-Type: application/problem+json\r\n"

/* Nonces whose base64 shows in which alphabet it is. */
static uint8_t binder[48];

struct world {
    struct test_veraison v;
    struct test_tpm_evidence e;
    struct atls_buf evidence;
    struct atls_veraison_client *client;
    char dir[64], keys[96];
};

static void setup(struct world *w, size_t binder_len, bool unpadded_only)
{
    struct atls_veraison_options options;
    struct atls_err err = ATLS_ERR_INIT;
    FILE *file;

    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < sizeof binder; i++)
        binder[i] = (uint8_t)(0xfb + 4 * i);
    test_tpm_evidence_init(&w->e, atls_bytes_of(binder, binder_len));
    w->evidence = test_tpm_evidence_encode(&w->e);
    test_veraison_init(&w->v, NULL);
    snprintf(w->dir, sizeof w->dir, "/tmp/atls-client-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->keys, sizeof w->keys, "%s/keys", w->dir);
    assert_non_null(file = fopen(w->keys, "w"));
    assert_true(fputs((const char *)w->v.jwk.ptr, file) >= 0);
    assert_int_equal(fclose(file), 0);
    memset(&options, 0, sizeof options);
    options.url = test_http_url(w->v.server);
    options.result_keys = w->keys;
    options.unpadded_only = unpadded_only;
    test_assert_code(atls_veraison_client_new(&options, &w->client, &err), ATLS_OK, &err);
}

static void teardown(struct world *w)
{
    atls_veraison_client_unref(w->client);
    test_veraison_clear(&w->v);
    test_tpm_evidence_clear(&w->e);
    atls_buf_clear(&w->evidence);
    assert_int_equal(unlink(w->keys), 0);
    assert_int_equal(rmdir(w->dir), 0);
}

static enum atls_code submit(struct world *w, size_t binder_len, int64_t ms, struct atls_err *err)
{
    const struct atls_veraison_submission s = {.binder = atls_bytes_of(binder, binder_len),
                                               .evidence = atls_buf_bytes(&w->evidence)};
    struct atls_veraison_answer answer = {.nonce_len = 0};
    enum atls_code code;

    atls_err_clear(err);
    test_http_sync(w->v.server);
    code = atls_veraison_submit(w->client, &s, atls_http_now_ms() + ms, &answer, err);
    test_http_sync(w->v.server);
    if (code == ATLS_OK) {
        test_assert_bytes(atls_bytes_of(answer.nonce, answer.nonce_len),
                          atls_bytes_of(w->v.sent_nonce, w->v.sent_nonce_len));
        assert_true(answer.token.len > 0);
    } else {
        assert_int_equal(err->code, code);
    }
    atls_veraison_answer_clear(&answer);
    return code;
}

static void bundle_in_every_encoding_of_nonces(void **state)
{
    (void)state;
    for (size_t len = 32; len <= 48; len += 16)
        for (int form = TEST_NONCE_STANDARD; form <= TEST_NONCE_STANDARD_UNPADDED; form++) {
            struct atls_err err = ATLS_ERR_INIT;
            struct world w;

            setup(&w, len, false);
            w.v.form = (enum test_nonce_form)form;
            test_assert_code(submit(&w, len, LONG_MS, &err), ATLS_OK, &err);
            test_assert_bytes(atls_bytes_of(w.v.sent_nonce, w.v.sent_nonce_len),
                              atls_bytes_of(binder, len));
            test_assert_bytes(atls_buf_bytes(&w.v.sent_body), atls_buf_bytes(&w.evidence));
            assert_string_equal(w.v.sent_type, ATLS_BUNDLE_MEDIA_TYPE);
            assert_int_equal(w.v.sessions, 1);
            assert_int_equal(w.v.submissions, 1);
            assert_int_equal(w.v.looks, 0);
            assert_int_equal(w.v.goodbyes, 1);
            assert_int_equal(test_http_connections(w.v.server), 1);
            teardown(&w);
        }
}

static void parsec_where_nothing_else_is_taken(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    for (size_t len = 32; len <= 48; len += 16) {
        setup(&w, len, false);
        w.v.media_types = PARSEC;
        test_assert_code(submit(&w, len, LONG_MS, &err), ATLS_OK, &err);
        assert_string_equal(w.v.sent_type, ATLS_PARSEC_TPM_MEDIA_TYPE);
        test_assert_bytes(atls_bytes_of(w.v.sent_nonce, w.v.sent_nonce_len),
                          atls_bytes_of(w.e.nonce, 32));
        teardown(&w);
    }
}

/* The spelling of the session is what is sent. */
static void media_types_are_copied(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.media_types = PARSEC;
    w.v.accept = "[\"a/b\",\"Application/vnd.parallaxsecond.Key-Attestation.tpm\"]";
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_string_equal(w.v.sent_type, "Application/vnd.parallaxsecond.Key-Attestation.tpm");
    w.v.accept = "[\"a/b\"]";
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    assert_int_equal(w.v.goodbyes, 2);
    w.v.accept = "[]"; /* then discovery's list counts */
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_string_equal(w.v.sent_type, ATLS_PARSEC_TPM_MEDIA_TYPE);
    teardown(&w);
}

static void padding_is_found_out_once(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.wants_padding = true;
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_int_equal(w.v.sessions, 2);
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_int_equal(w.v.sessions, 3);
    /* 48 bytes need none. */
    teardown(&w);
    setup(&w, 48, false);
    w.v.wants_padding = true;
    test_assert_code(submit(&w, 48, LONG_MS, &err), ATLS_E_PROTOCOL, &err);
    assert_int_equal(w.v.sessions, 1);
    teardown(&w);
    setup(&w, 32, true);
    w.v.wants_padding = true;
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_E_PROTOCOL, &err);
    assert_non_null(strstr(err.message, "nonce must be valid base64"));
    assert_int_equal(w.v.sessions, 1);
    teardown(&w);
}

static void polls_until_it_is_complete(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.polls = 3;
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_int_equal(w.v.looks, 3);
    assert_int_equal(w.v.submissions, 1);
    teardown(&w);
    /* A look that fails is no answer; after three the exchange is over. */
    setup(&w, 32, false);
    w.v.polls = 2;
    w.v.overrides[0] =
        (struct test_override){.method = "GET", .target = SESSION, .status = 503, .times = 2};
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    teardown(&w);
    setup(&w, 32, false);
    w.v.polls = 2;
    w.v.overrides[0] = (struct test_override){.method = "GET", .target = SESSION, .status = 503};
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_E_UNAVAILABLE, &err);
    teardown(&w);
    setup(&w, 32, false);
    w.v.polls = 1000000;
    test_assert_code(submit(&w, 32, 600, &err), ATLS_E_TIMEOUT, &err);
    assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
    teardown(&w);
}

static void a_new_session_is_asked_for_again(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.overrides[0] =
        (struct test_override){.method = "POST", .target = NEW, .status = 503, .times = 2};
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_int_equal(test_http_requests(w.v.server), 1 + 3 + 1 + 1);
    teardown(&w);
    setup(&w, 32, false);
    w.v.overrides[0] =
        (struct test_override){.method = "POST", .target = NEW, .status = 429, .times = 3};
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(test_http_requests(w.v.server), 1 + 3);
    teardown(&w);
    /* Not before the service wants it, and not at all behind the deadline. */
    setup(&w, 32, false);
    w.v.overrides[0] = (struct test_override){
        .method = "POST", .target = NEW, .status = 503, .headers = "Retry-After: 3600\r\n"};
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(test_http_requests(w.v.server), 1 + 1);
    teardown(&w);
}

static const struct {
    const char *name;
    struct test_override override;
    enum atls_code code;
    const char *says;
    size_t submissions; /* at most */
} faults[] = {
    {"new session: 400 with a reason",
     {.method = "POST",
      .target = NEW,
      .status = 400,
      .headers = PROBLEM,
      .body = "{\"detail\":\"no such thing\"}"},
     ATLS_E_PROTOCOL,
     "400 (no such thing)",
     0},
    {"new session: 200 in place of 201",
     {.method = "POST",
      .target = NEW,
      .status = 200,
      .headers = JSON "Location: session/1\r\n",
      .body = "{\"status\":\"waiting\",\"nonce\":\"-_8DBwsPExcbHyMnKy8zNzs_Q0dLT1NXW19jZ2tvc3c\"}"},
     ATLS_E_PROTOCOL,
     "200",
     0},
    {"new session: redirect",
     {.method = "POST", .target = NEW, .status = 307, .headers = "Location: /elsewhere\r\n"},
     ATLS_E_PROTOCOL,
     "307",
     0},
    {"new session: no Location",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON,
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "no Location",
     0},
    {"new session: Location at another origin",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: http://127.0.0.1:1/s\r\n",
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "another origin",
     0},
    {"new session: Location upwards",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: ../../x\r\n",
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "segments",
     0},
    {"new session: another media type",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = "Content-Type: application/json\r\nLocation: session/1\r\n",
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "the answer is not",
     0},
    {"new session: no media type",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = "Location: session/1\r\n",
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "the answer is not",
     0},
    {"new session: garbage",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: session/1\r\n",
      .body = "<html>"},
     ATLS_E_PROTOCOL,
     "no JSON",
     0},
    {"new session: a member twice",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: session/1\r\n",
      .body = "{\"status\":\"waiting\",\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "duplicate",
     0},
    {"new session: no nonce",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: session/1\r\n",
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "not the one",
     0},
    {"new session: another nonce",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: session/1\r\n",
      .body =
          "{\"status\":\"waiting\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}"},
     ATLS_E_PROTOCOL,
     "not the one",
     0},
    {"new session: complete already",
     {.method = "POST",
      .target = NEW,
      .status = 201,
      .headers = JSON "Location: session/1\r\n",
      .body = "{\"status\":\"complete\",\"result\":\"a.b.c\"}"},
     ATLS_E_PROTOCOL,
     "not waiting",
     0},
    {"evidence: 415",
     {.method = "POST", .target = SESSION, .status = 415, .headers = PROBLEM},
     ATLS_E_UNSUPPORTED,
     "415",
     0},
    {"evidence: 400",
     {.method = "POST", .target = SESSION, .status = 400},
     ATLS_E_PROTOCOL,
     "400",
     0},
    {"evidence: 404, the session is gone",
     {.method = "POST", .target = SESSION, .status = 404},
     ATLS_E_PROTOCOL,
     "404",
     0},
    {"evidence: 500 is not tried again",
     {.method = "POST", .target = SESSION, .status = 500, .times = 1},
     ATLS_E_UNAVAILABLE,
     "500",
     0},
    {"evidence: the connection ends",
     {.method = "POST", .target = SESSION, .close = true, .status = 0, .times = 99},
     ATLS_E_UNAVAILABLE,
     "",
     0},
    {"evidence: still waiting",
     {.method = "POST",
      .target = SESSION,
      .status = 200,
      .headers = JSON,
      .body = "{\"status\":\"waiting\"}"},
     ATLS_E_PROTOCOL,
     "still waiting",
     0},
    {"evidence: failed",
     {.method = "POST",
      .target = SESSION,
      .status = 200,
      .headers = JSON,
      .body = "{\"status\":\"failed\"}"},
     ATLS_E_UNAVAILABLE,
     "could not appraise",
     0},
    {"evidence: complete without a result",
     {.method = "POST",
      .target = SESSION,
      .status = 200,
      .headers = JSON,
      .body = "{\"status\":\"complete\"}"},
     ATLS_E_PROTOCOL,
     "result",
     0},
    {"evidence: redirect",
     {.method = "POST", .target = SESSION, .status = 308, .headers = "Location: /x\r\n"},
     ATLS_E_PROTOCOL,
     "308",
     0},
    {"evidence: html",
     {.method = "POST",
      .target = SESSION,
      .status = 200,
      .headers = "Content-Type: text/html\r\n",
      .body = "<html>"},
     ATLS_E_PROTOCOL,
     "the answer is not",
     0},
    {"discovery: 500",
     {.method = "GET", .target = "/.well-known", .status = 500},
     ATLS_E_UNAVAILABLE,
     "discovery",
     0},
    {"the session does not end: nobody cares",
     {.method = "DELETE", .target = SESSION, .status = 500},
     ATLS_OK,
     "",
     1},
};

static void what_goes_wrong_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct world w;

        print_message("%s\n", faults[i].name);
        setup(&w, 32, false);
        w.v.overrides[0] = faults[i].override;
        test_assert_code(submit(&w, 32, LONG_MS, &err), faults[i].code, &err);
        assert_non_null(strstr(err.message, faults[i].says));
        assert_int_equal(w.v.submissions, faults[i].submissions);
        teardown(&w);
    }
}

static void polling_finds_faults(void **state)
{
    static const struct {
        const char *name, *body;
        int status;
        enum atls_code code;
    } rows[] = {
        {"failed", "{\"status\":\"failed\"}", 200, ATLS_E_UNAVAILABLE},
        {"waiting again", "{\"status\":\"waiting\"}", 200, ATLS_E_PROTOCOL},
        {"garbage", "{", 200, ATLS_E_PROTOCOL},
        {"gone", "", 404, ATLS_E_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct world w;

        print_message("%s\n", rows[i].name);
        setup(&w, 32, false);
        w.v.polls = 9;
        w.v.overrides[0] = (struct test_override){.method = "GET",
                                                  .target = SESSION,
                                                  .status = rows[i].status,
                                                  .headers = JSON,
                                                  .body = rows[i].body};
        test_assert_code(submit(&w, 32, LONG_MS, &err), rows[i].code, &err);
        teardown(&w);
    }
}

static void silence_ends_at_the_deadline(void **state)
{
    static const struct test_override rows[] = {
        {.method = "GET", .target = "/.well-known", .never_end = true},
        {.method = "POST", .target = NEW, .never_end = true},
        {.method = "POST", .target = SESSION, .never_end = true},
        {.method = "POST",
         .target = SESSION,
         .status = 200,
         .headers = JSON,
         .body = "{\"status\"",
         .slow = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct world w;

        setup(&w, 32, false);
        w.v.overrides[0] = rows[i];
        test_assert_code(submit(&w, 32, 400, &err), ATLS_E_TIMEOUT, &err);
        assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
        assert_int_equal(w.v.goodbyes, 0);
        teardown(&w);
    }
}

/* ---- the service chooses ---- */

struct maker {
    struct test_tpm_evidence e;
    size_t calls;
    enum atls_code code;
    bool soft; /* a token over a key attestation token */
};

static struct atls_buf make_soft(struct atls_bytes nonce)
{
    static const uint8_t challenge[64] = {1};
    struct atls_private_key *key;
    struct atls_buf kat, pat, evidence;

    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    kat = test_kat(nonce, atls_key_spki(atls_private_key_public(key)));
    pat = test_soft_token(key, atls_bytes_of(challenge, sizeof challenge));
    evidence =
        test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), ATLS_TYPE_SOFT, atls_buf_bytes(&pat));
    atls_buf_clear(&kat);
    atls_buf_clear(&pat);
    atls_private_key_free(key);
    return evidence;
}

static enum atls_code make(void *arg, struct atls_bytes nonce, struct atls_buf *out_evidence,
                           struct atls_err *err)
{
    struct maker *m = arg;

    (void)err;
    m->calls++;
    if (m->code != ATLS_OK)
        return m->code;
    if (m->soft) {
        *out_evidence = make_soft(nonce);
        return ATLS_OK;
    }
    test_tpm_evidence_init(&m->e, nonce);
    *out_evidence = test_tpm_evidence_encode(&m->e);
    test_tpm_evidence_clear(&m->e);
    return ATLS_OK;
}

static enum atls_code submit_made(struct world *w, struct maker *m,
                                  struct atls_veraison_answer *answer, struct atls_err *err)
{
    const struct atls_veraison_submission s = {.make = make, .arg = m};
    enum atls_code code;

    atls_err_clear(err);
    test_http_sync(w->v.server);
    code = atls_veraison_submit(w->client, &s, atls_http_now_ms() + LONG_MS, answer, err);
    test_http_sync(w->v.server);
    return code;
}

/* The service went away between session and evidence: that has another session tried, in vain. */
static void evidence_that_nobody_saw(void **state)
{
    struct atls_veraison_answer answer = {.nonce_len = 0};
    struct atls_err err = ATLS_ERR_INIT;
    struct maker m = {.calls = 0};
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.overrides[0] =
        (struct test_override){.method = "POST",
                               .target = NEW,
                               .status = 201,
                               .headers = JSON "Location: session/1\r\nConnection: close\r\n",
                               .body = "{\"status\":\"waiting\",\"nonce\":"
                                       "\"-_8DBwsPExcbHyMnKy8zNzs_Q0dLT1NXW19jZ2tvc3c\"}",
                               .close = true,
                               .refuse = true};
    test_assert_code(submit_made(&w, &m, &answer, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(m.calls, 1);
    assert_int_equal(test_http_requests(w.v.server), 2);
    teardown(&w);
}

static void locations_may_be_absolute(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    char location[160];
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.location = SESSION "/2";
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    snprintf(location, sizeof location, "%s" SESSION "/3", test_http_url(w.v.server));
    w.v.location = location;
    test_assert_code(submit(&w, 32, LONG_MS, &err), ATLS_OK, &err);
    assert_int_equal(w.v.goodbyes, 2);
    teardown(&w);
}

static void evidence_for_a_nonce_of_the_service(void **state)
{
    static const char *const types[] = {NULL, PARSEC};
    struct atls_veraison_answer answer = {.nonce_len = 0};
    struct atls_err err = ATLS_ERR_INIT;
    struct maker m = {.calls = 0};
    uint8_t want[32];
    struct world w;

    (void)state;
    memset(want, 0xfb, sizeof want);
    for (size_t i = 0; i < 2; i++) {
        setup(&w, 32, false);
        w.v.media_types = types[i];
        test_assert_code(submit_made(&w, &m, &answer, &err), ATLS_OK, &err);
        assert_int_equal(m.calls, i + 1);
        test_assert_bytes(atls_bytes_of(answer.nonce, answer.nonce_len),
                          atls_bytes_of(want, sizeof want));
        assert_string_equal(w.v.sent_type,
                            i == 0 ? ATLS_BUNDLE_MEDIA_TYPE : ATLS_PARSEC_TPM_MEDIA_TYPE);
        atls_veraison_answer_clear(&answer);
        teardown(&w);
    }
}

/* A token over a key attestation token does not answer the service's own nonce, and one that did
 * would be about no key: nothing is sent. */
static void a_service_that_takes_tokens_alone_makes_no_result_to_carry(void **state)
{
    struct atls_veraison_answer answer = {.nonce_len = 0};
    struct atls_err err = ATLS_ERR_INIT;
    struct maker m = {.soft = true};
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.media_types = "[\"application/eat+cwt; eat_profile=\\\"" ATLS_SOFT_PROFILE "\\\"\"]";
    test_assert_code(submit_made(&w, &m, &answer, &err), ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    assert_non_null(strstr(err.message, "about no key"));
    assert_int_equal(w.v.submissions, 0);
    assert_int_equal(w.v.goodbyes, 1);
    teardown(&w);
}

static void a_nonce_of_another_length_is_refused(void **state)
{
    struct atls_veraison_answer answer = {.nonce_len = 0};
    struct atls_err err = ATLS_ERR_INIT;
    struct maker m = {.calls = 0};
    struct world w;

    (void)state;
    setup(&w, 32, false);
    w.v.overrides[0] =
        (struct test_override){.method = "POST",
                               .target = NEW,
                               .status = 201,
                               .headers = JSON "Location: session/1\r\n",
                               .body = "{\"status\":\"waiting\",\"nonce\":\"AAECAwQFBgcI\"}"};
    test_assert_code(submit_made(&w, &m, &answer, &err), ATLS_E_PROTOCOL, &err);
    assert_int_equal(m.calls, 0);
    teardown(&w);
}

static void an_attester_that_fails(void **state)
{
    struct atls_veraison_answer answer = {.nonce_len = 0};
    struct atls_err err = ATLS_ERR_INIT;
    struct maker m = {.code = ATLS_E_DEVICE};
    struct world w;

    (void)state;
    setup(&w, 32, false);
    test_assert_code(submit_made(&w, &m, &answer, &err), ATLS_E_DEVICE, &err);
    assert_int_equal(m.calls, 1);
    assert_int_equal(w.v.goodbyes, 1);
    teardown(&w);
}

static void wrong_uses(void **state)
{
    struct atls_veraison_submission rows[3];
    struct atls_veraison_answer answer;
    struct world w;

    (void)state;
    setup(&w, 32, false);
    memset(rows, 0, sizeof rows);
    rows[1].binder = atls_bytes_of(binder, 32);
    rows[2].binder = atls_bytes_of(binder, 32);
    rows[2].evidence = atls_buf_bytes(&w.evidence);
    rows[2].make = make;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            atls_veraison_submit(w.client, &rows[i], atls_http_now_ms() + LONG_MS, &answer, NULL),
            ATLS_E_USAGE);
    assert_int_equal(test_http_requests(w.v.server), 0);
    atls_veraison_client_unref(atls_veraison_client_ref(w.client));
    atls_veraison_client_unref(NULL);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundle_in_every_encoding_of_nonces),
        cmocka_unit_test(parsec_where_nothing_else_is_taken),
        cmocka_unit_test(media_types_are_copied),
        cmocka_unit_test(padding_is_found_out_once),
        cmocka_unit_test(polls_until_it_is_complete),
        cmocka_unit_test(a_new_session_is_asked_for_again),
        cmocka_unit_test(what_goes_wrong_is_told),
        cmocka_unit_test(polling_finds_faults),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(evidence_that_nobody_saw),
        cmocka_unit_test(locations_may_be_absolute),
        cmocka_unit_test(evidence_for_a_nonce_of_the_service),
        cmocka_unit_test(a_service_that_takes_tokens_alone_makes_no_result_to_carry),
        cmocka_unit_test(a_nonce_of_another_length_is_refused),
        cmocka_unit_test(an_attester_that_fails),
        cmocka_unit_test(wrong_uses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
