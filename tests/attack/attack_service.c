/* Attacks by a verifier service that lies, and by who sits between it and the Relying Party
 * (docs/veraison.md), row by row, over live TLS connections: the machine and its evidence are good,
 * the answer about them is not. */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atls/remote.h>

#include "bind/binder.h"
#include "core/writer.h"
#include "fake_veraison.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"
#include "wire/cmw.h"

#define NEW     TEST_VERAISON_NEW
#define SESSION TEST_VERAISON_SESSION

/* Long enough for a service that answers, on a slow machine; and for one that never does. */
#define TIMEOUT_MS 20000
#define HURRY_MS   300

static struct lab lab;

static int open_world(void **state)
{
    (void)state;
    lab_open(&lab);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

/* ---- a Relying Party that asks a service, over plain http with the service's key in a file ----
 */

struct victim {
    struct test_veraison service;
    char keys[96], location[160];
    char *token; /* in place of the service's own */
    struct line line;
    struct atls_config *config;
    struct atls_buf request, binder;
    uint32_t id;
};

static struct atls_verifier *verifier_of(const struct victim *v, uint32_t timeout_ms)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_veraison_verifier, NULL};
    struct atls_verifier_options options;
    struct atls_verifier *verifier = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    atls_verifier_options_init(&options);
    options.result_keys = v->keys;
    options.timeout_ms = timeout_ms;
    snprintf(uri, sizeof uri, "veraison:%s", test_http_url(v->service.server));
    test_assert_code(atls_verifier_open(uri, backends, &options, &verifier, &err), ATLS_OK, &err);
    return verifier;
}

static void write_keys(const struct victim *v)
{
    FILE *file = fopen(v->keys, "w");

    assert_non_null(file);
    assert_true(fputs((const char *)v->service.jwk.ptr, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void say_hello(struct line *line)
{
    struct atls_writer w = atls_writer_init(4096), names = atls_writer_init(64),
                       profile = atls_writer_init(64);
    struct atls_hello hello = {.flags = ATLS_HELLO_ATTESTS, .frame_max = ATLS_FRAME_BODY_MAX};

    atls_name_put(&names, "tpm");
    atls_name_put(&profile, "kat-bundle");
    hello.names[ATLS_NAMES_EVIDENCE_OFFERED] = atls_writer_bytes(&names);
    hello.names[ATLS_NAMES_PROFILES] = atls_writer_bytes(&profile);
    atls_hello_put(&w, &hello);
    assert_int_equal(w.failed, ATLS_OK);
    hand_send(line, atls_writer_bytes(&w));
    atls_writer_clear(&names);
    atls_writer_clear(&profile);
    atls_writer_clear(&w);
}

static void victim_open(struct victim *v, uint32_t timeout_ms)
{
    struct lab with = lab;

    memset(v, 0, sizeof *v);
    test_veraison_init(&v->service, NULL);
    v->service.akpub = machine_aik(&lab.m1);
    snprintf(v->keys, sizeof v->keys, "%s/service.jwk", lab.folder);
    write_keys(v);
    with.verifier = verifier_of(v, timeout_ms);
    v->config = relying_party(&with, ATLS_IDENTITY_ATTESTED, NULL);
    atls_verifier_unref(with.verifier);
    line_open(&v->line, &lab, ATLS_ROLE_CLIENT, v->config, NULL);
    v->request = hand_take_message(&v->line, ATLS_FRAME_REQUEST, &v->id);
    v->binder = binder_of(&v->line.secret, ATLS_BINDER_LABEL, v->line.secret.hash,
                          atls_buf_bytes(&v->request), machine_aik(&lab.m1));
    say_hello(&v->line);
}

static void victim_close(struct victim *v)
{
    line_close(&v->line);
    atls_config_unref(v->config);
    atls_buf_clear(&v->request);
    atls_buf_clear(&v->binder);
    test_veraison_clear(&v->service);
    free(v->token);
    assert_int_equal(unlink(v->keys), 0);
}

/* m1 attests, truthfully; the Relying Party asks the service. */
static void attest(struct victim *v)
{
    struct atls_buf cmw = machine_evidence(&lab.m1, atls_buf_bytes(&v->binder)), authenticator;
    const struct attempt a = {
        .connection = &v->line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&v->request),
        .certificate = atls_buf_bytes(&lab.m1.certificate.certificate),
        .key = lab.m1.aik.private_key,
        .cmw = atls_buf_bytes(&cmw),
    };

    authenticator = attempt_make(&a);
    test_http_sync(v->service.server);
    hand_authenticator(&v->line, v->id, atls_buf_bytes(&authenticator));
    test_http_sync(v->service.server);
    atls_buf_clear(&authenticator);
    atls_buf_clear(&cmw);
}

/* ---- lies of the service, and of its signing key ---- */

static void of_another_nonce(struct victim *v)
{
    static const uint8_t nonce[48] = "the challenge of somebody else's connection";

    v->service.nonce = atls_bytes_of(nonce, sizeof nonce);
}

/* As long as the right one, and different in the last bit alone. */
static void of_almost_the_nonce(struct victim *v)
{
    v->service.nonce = atls_buf_bytes(&v->binder);
    v->binder.ptr[v->binder.len - 1] ^= 1;
    v->token = test_veraison_token(&v->service);
    v->binder.ptr[v->binder.len - 1] ^= 1;
    v->service.token = v->token;
}

static void of_another_key(struct victim *v)
{
    v->service.akpub = machine_aik(&lab.m2);
}

static void of_no_key(struct victim *v)
{
    v->service.akpub = atls_bytes_of(NULL, 0);
}

static void of_a_bad_machine(struct victim *v)
{
    v->service.status = "contraindicated";
    v->service.vector = "{\"executables\":96}";
}

static void of_a_bad_machine_beside_a_good_part(struct victim *v)
{
    of_a_bad_machine(v);
    v->service.other =
        "{\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":{\"hardware\":2}}";
}

static void of_a_good_machine_beside_a_bad_part(struct victim *v)
{
    v->service.other =
        "{\"ear.status\":\"contraindicated\",\"ear.trustworthiness-vector\":{\"hardware\":96}}";
}

static void of_a_vector_that_says_otherwise(struct victim *v)
{
    v->service.vector = "{\"executables\":96}";
}

static void of_nothing_said(struct victim *v)
{
    v->service.status = "none";
    v->service.vector = "{\"executables\":0}";
}

static void expired(struct victim *v)
{
    v->service.issued_at_s = (int64_t)time(NULL) - 200;
    v->service.lifetime_s = 100;
}

static void as_old_but_valid(struct victim *v)
{
    v->service.issued_at_s = (int64_t)time(NULL) - 200;
    v->service.lifetime_s = 3600;
}

static void too_old(struct victim *v)
{
    v->service.issued_at_s = (int64_t)time(NULL) - 330;
    v->service.lifetime_s = 3600;
}

static void of_tomorrow(struct victim *v)
{
    v->service.issued_at_s = (int64_t)time(NULL) + 86400;
}

static void of_another_profile(struct victim *v)
{
    v->service.profile = "tag:example.com,2026:ear";
}

static void without_signature(struct victim *v)
{
    v->service.nonce = atls_buf_bytes(&v->binder);
    v->token = test_veraison_token(&v->service);
    *(strrchr(v->token, '.') + 1) = '\0';
    v->service.token = v->token;
}

static void of_no_algorithm(struct victim *v)
{
    char *good, *payload;
    size_t size;

    v->service.nonce = atls_buf_bytes(&v->binder);
    good = test_veraison_token(&v->service);
    payload = strchr(good, '.') + 1;
    *strchr(payload, '.') = '\0';
    size = strlen(payload) + 64;
    assert_non_null(v->token = calloc(1, size));
    snprintf(v->token, size, "eyJhbGciOiJub25lIn0.%s.", payload);
    v->service.token = v->token;
    free(good);
}

/* ---- on the path between service and Relying Party ---- */

static void signed_on_the_path(struct victim *v)
{
    test_veraison_rotate(&v->service); /* the file has the key of before */
}

/* "contraindicated" was signed, "affirming" arrives. */
static void changed_on_the_path(struct victim *v)
{
    char *bad, *signature;
    size_t size;

    v->service.nonce = atls_buf_bytes(&v->binder);
    v->token = test_veraison_token(&v->service);
    of_a_bad_machine(v);
    bad = test_veraison_token(&v->service);
    signature = strrchr(bad, '.');
    size = strlen(v->token) + strlen(signature) + 1;
    *strrchr(v->token, '.') = '\0';
    assert_non_null(v->token = realloc(v->token, size));
    memcpy(v->token + strlen(v->token), signature, strlen(signature) + 1);
    v->service.token = v->token;
    free(bad);
}

/* What the service truthfully said of m1 when another connection asked. */
static void replayed_on_the_path(struct victim *v)
{
    of_another_nonce(v);
    v->token = test_veraison_token(&v->service);
    v->service.nonce = atls_bytes_of(NULL, 0);
    v->service.token = v->token;
}

static void override(struct victim *v, const char *method, const char *target, int status,
                     const char *headers, const char *body)
{
    v->service.overrides[0] = (struct test_override){
        .method = method, .target = target, .status = status, .headers = headers, .body = body};
}

static void garbage(struct victim *v)
{
    override(v, "POST", SESSION, 200, TEST_VERAISON_SESSION_HEADER, "\"}{ affirming");
}

static void a_page(struct victim *v)
{
    override(v, "POST", SESSION, 200, "Content-Type: text/html\r\n", "<p>affirming</p>");
}

static void a_good_answer_of_another_type(struct victim *v)
{
    override(v, "POST", SESSION, 200, "Content-Type: application/json\r\n",
             "{\"status\":\"complete\",\"result\":\"x\"}");
}

static void no_result(struct victim *v)
{
    override(v, "POST", SESSION, 200, TEST_VERAISON_SESSION_HEADER, "{\"status\":\"complete\"}");
}

static void nothing(struct victim *v)
{
    override(v, "POST", SESSION, 200, TEST_VERAISON_SESSION_HEADER, "");
}

static void a_failure(struct victim *v)
{
    override(v, "POST", SESSION, 200, TEST_VERAISON_SESSION_HEADER, "{\"status\":\"failed\"}");
}

static void a_redirection(struct victim *v)
{
    snprintf(v->location, sizeof v->location, "Location: http://127.0.0.1:%u/elsewhere\r\n",
             test_http_port(v->service.server));
    override(v, "POST", SESSION, 307, v->location, "");
}

static void a_session_elsewhere(struct victim *v)
{
    v->service.location = "http://192.0.2.1/challenge-response/v1/session/1";
}

static void a_session_of_another_nonce(struct victim *v)
{
    override(v, "POST", NEW, 201, TEST_VERAISON_SESSION_HEADER "Location: session/1\r\n",
             "{\"status\":\"waiting\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}");
}

static void honest(struct victim *v)
{
    (void)v;
}

static void what_a_service_says_counts_when_it_is_true(void **state)
{
    static const struct {
        const char *name;
        void (*lie)(struct victim *v);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"the truth", honest, ATLS_OK, ATLS_REASON_NONE},
        {"a result for another nonce", of_another_nonce, ATLS_E_UNAVAILABLE,
         ATLS_REASON_NONCE_MISMATCH},
        {"a result for almost the nonce", of_almost_the_nonce, ATLS_E_UNAVAILABLE,
         ATLS_REASON_NONCE_MISMATCH},
        {"a result about another key", of_another_key, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"a result about no key", of_no_key, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
        {"a contraindicated machine", of_a_bad_machine, ATLS_E_REFUSED, ATLS_REASON_POLICY},
        {"the key in the contraindicated part", of_a_bad_machine_beside_a_good_part,
         ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
        {"a contraindicated part beside the key", of_a_good_machine_beside_a_bad_part,
         ATLS_E_REFUSED, ATLS_REASON_POLICY},
        {"affirming, and a vector that is not", of_a_vector_that_says_otherwise, ATLS_E_UNAVAILABLE,
         ATLS_REASON_MALFORMED},
        {"no statement", of_nothing_said, ATLS_E_REFUSED, ATLS_REASON_POLICY},
        {"an expired result", expired, ATLS_E_UNAVAILABLE, ATLS_REASON_CERTIFICATE_EXPIRED},
        {"one as old, but valid", as_old_but_valid, ATLS_OK, ATLS_REASON_NONE},
        {"one older than five minutes", too_old, ATLS_E_UNAVAILABLE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"one of tomorrow", of_tomorrow, ATLS_E_UNAVAILABLE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"one of another profile", of_another_profile, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"a token without signature", without_signature, ATLS_E_UNAVAILABLE, ATLS_REASON_MALFORMED},
        {"a token of no algorithm", of_no_algorithm, ATLS_E_UNAVAILABLE, ATLS_REASON_MALFORMED},
        {"a token signed on the path", signed_on_the_path, ATLS_E_UNAVAILABLE,
         ATLS_REASON_SIGNATURE},
        {"a token changed on the path", changed_on_the_path, ATLS_E_UNAVAILABLE,
         ATLS_REASON_SIGNATURE},
        {"a token of another connection", replayed_on_the_path, ATLS_E_UNAVAILABLE,
         ATLS_REASON_NONCE_MISMATCH},
        {"200 and garbage", garbage, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"200 and a page", a_page, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"200 of another type", a_good_answer_of_another_type, ATLS_E_UNAVAILABLE,
         ATLS_REASON_NONE},
        {"200 and no result", no_result, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"200 and nothing", nothing, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"200 and failed", a_failure, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"a redirection", a_redirection, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"a session at another origin", a_session_elsewhere, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
        {"a session of another nonce", a_session_of_another_nonce, ATLS_E_UNAVAILABLE,
         ATLS_REASON_NONCE_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct victim v;

        victim_open(&v, TIMEOUT_MS);
        rows[i].lie(&v);
        attest(&v);
        if (rows[i].want == ATLS_OK)
            assert_accepted(rows[i].name, &v.line);
        else
            assert_refused(rows[i].name, &v.line, rows[i].want, rows[i].reason);
        victim_close(&v);
    }
}

/* ---- answers that never come ---- */

static void processing_for_ever(struct victim *v)
{
    v->service.polls = 1000000;
}

static void silent(struct victim *v)
{
    v->service.overrides[0] =
        (struct test_override){.method = "POST", .target = SESSION, .never_end = true};
}

static void in_drips(struct victim *v)
{
    override(v, "POST", SESSION, 200, TEST_VERAISON_SESSION_HEADER,
             "{\"status\":\"processing\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}");
    v->service.overrides[0].slow = true;
}

static void asking_to_wait(struct victim *v)
{
    override(v, "GET", SESSION, 503, "Retry-After: 31536000\r\n", "");
    v->service.polls = 2;
}

static void the_gate_stays_shut_when_no_answer_comes(void **state)
{
    static const struct {
        const char *name;
        void (*lie)(struct victim *v);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"processing for ever", processing_for_ever, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE},
        {"silence", silent, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE},
        {"a byte now and then", in_drips, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE},
        {"come again next year", asking_to_wait, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct victim v;

        victim_open(&v, HURRY_MS);
        rows[i].lie(&v);
        attest(&v);
        assert_refused(rows[i].name, &v.line, rows[i].want, rows[i].reason);
        victim_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_service_says_counts_when_it_is_true),
        cmocka_unit_test(the_gate_stays_shut_when_no_answer_comes),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
