#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "double.h"
#include "log.h"
#include "testlib.h"

#define TOKEN "abcdefghijklmnopqrstuv0123456789-._~+/=="
#define SPKI  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct service service;
static struct generation *generation;
static char token_file[] = "/tmp/atls-verifierd-token.XXXXXX";

/* ---- a request and its answer ---- */

struct ask {
    const char *method, *target, *type, *accept, *authorization, *body;
    bool insecure;
    int serve;
    const struct peer *peer;
    long long length; /* 0: that of body */
};

struct answer {
    unsigned status;
    char type[128];
    char headers[8][256];
    json_t *json;
    char text[16384];
};

static void give_peer(void *arg, struct peer *out)
{
    memcpy(out, arg, sizeof *out);
}

static const char *header(const struct answer *a, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < 8; i++)
        if (strncmp(a->headers[i], name, len) == 0 && a->headers[i][len] == ':')
            return a->headers[i] + len + 2;
    return NULL;
}

static void keep_answer(const struct reply *reply, struct answer *out)
{
    memset(out, 0, sizeof *out);
    out->status = reply->status;
    assert_false(reply->body.failed);
    if (reply->content_type != NULL)
        snprintf(out->type, sizeof out->type, "%s", reply->content_type);
    for (size_t i = 0; i < reply->header_count; i++)
        snprintf(out->headers[i], sizeof out->headers[i], "%s: %.200s", reply->headers[i].name,
                 reply->headers[i].value);
    snprintf(out->text, sizeof out->text, "%s", reply->body.ptr != NULL ? reply->body.ptr : "");
    if (strstr(out->type, "json") != NULL)
        assert_non_null(out->json = json_loads(out->text, JSON_REJECT_DUPLICATES, NULL));
}

static struct answer ask(const struct ask *q)
{
    struct peer peer = {.present = false};
    struct reply reply = {.status = 0};
    struct answer answer;
    struct request r = {
        .service = &service,
        .generation = generation,
        .serve = q->serve,
        .insecure = q->insecure,
        .method_text = q->method,
        .content_type = q->type,
        .accept = q->accept,
        .authorization = q->authorization,
        .client = "192.0.2.1",
        .start_us = now_us(),
        .get_peer = give_peer,
    };

    if (q->peer != NULL)
        peer = *q->peer;
    r.peer_arg = &peer;
    r.method = strcmp(q->method, "GET") == 0      ? METHOD_GET
               : strcmp(q->method, "POST") == 0   ? METHOD_POST
               : strcmp(q->method, "DELETE") == 0 ? METHOD_DELETE
                                                  : METHOD_OTHER;
    assert_true(uuid_new(r.id));
    r.target_status = uri_parse(q->target, &r.uri, &r.target_rule);
    r.content_length = q->length != 0 ? q->length : q->body != NULL ? (int64_t)strlen(q->body) : 0;
    if (request_begin(&r, &reply)) {
        r.body = atls_bytes_of(q->body, q->body != NULL ? strlen(q->body) : 0);
        request_finish(&r, &reply);
    }
    request_end(&r, &reply);
    keep_answer(&reply, &answer);
    reply_clear(&reply);
    if (answer.status >= 400 && strcmp(answer.type, "application/json") != 0) {
        assert_string_equal(answer.type, "application/problem+json");
        assert_string_equal(json_string_value(json_object_get(answer.json, "type")), "about:blank");
        assert_string_equal(json_string_value(json_object_get(answer.json, "title")),
                            status_title(answer.status));
        assert_int_equal(json_integer_value(json_object_get(answer.json, "status")), answer.status);
        assert_true(strlen(json_string_value(json_object_get(answer.json, "detail"))) > 0);
        assert_int_equal(
            strncmp(json_string_value(json_object_get(answer.json, "instance")), "urn:uuid:", 9),
            0);
    }
    return answer;
}

static unsigned status_of(const struct ask *q)
{
    struct answer a = ask(q);

    json_decref(a.json);
    return a.status;
}

#define NEW     "/challenge-response/v1/newSession"
#define SESSION "/challenge-response/v1/"
#define SUBMIT  "/endorsement-provisioning/v1/submit"
#define UUID    "12345678-1234-4123-8123-123456789abc"
#define RIM     "application/rim+cose; profile=\"tag:example.com,2026:p\""

/* Opens a session and gives its path. */
static void open_session_as(const char *prefix, const char *query, char path[128])
{
    char target[128];
    struct ask q = {.method = "POST", .target = target};
    struct answer a;

    snprintf(target, sizeof target, "%s" NEW "%s", prefix, query);
    a = ask(&q);
    assert_int_equal(a.status, 201);
    snprintf(path, 128, "%s" SESSION "%s", prefix, header(&a, "Location"));
    json_decref(a.json);
}

static void open_session(const char *prefix, char path[128])
{
    open_session_as(prefix, "", path);
}

/* ---- the tables of the API ---- */

static const struct {
    const char *name;
    struct ask ask;
    unsigned status;
    const char *detail;
} rows[] = {
    {"a new session", {.method = "POST", .target = NEW}, 201, NULL},
    {"a new session with anything accepted",
     {.method = "POST", .target = NEW, .accept = "*/*"},
     201,
     NULL},
    {"a new session with its type accepted",
     {.method = "POST", .target = NEW, .accept = MEDIA_SESSION},
     201,
     NULL},
    {"a nonce of 8 bytes", {.method = "POST", .target = NEW "?nonce=AAAAAAAAAAA"}, 201, NULL},
    {"a nonce of 8 bytes, padded",
     {.method = "POST", .target = NEW "?nonce=AAAAAAAAAAA="},
     201,
     NULL},
    {"a nonce of 8 bytes, padding encoded",
     {.method = "POST", .target = NEW "?nonce=AAAAAAAAAAA%3D"},
     201,
     NULL},
    {"a nonce of 64 bytes",
     {.method = "POST",
      .target = NEW
      "?nonce=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAAAAA"},
     201,
     NULL},
    {"a nonce of 65 bytes",
     {.method = "POST",
      .target = NEW
      "?nonce=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAAAAAA"},
     400,
     "nonce is not"},
    {"a nonce of 7 bytes",
     {.method = "POST", .target = NEW "?nonce=AAAAAAAAAA"},
     400,
     "nonce is not"},
    {"a nonce of nothing", {.method = "POST", .target = NEW "?nonce="}, 400, "nonce is not"},
    {"a nonce of standard base64",
     {.method = "POST", .target = NEW "?nonce=AAAA+AAAAAA/"},
     400,
     "nonce is not"},
    {"a nonce size of 8", {.method = "POST", .target = NEW "?nonceSize=8"}, 201, NULL},
    {"a nonce size of 64", {.method = "POST", .target = NEW "?nonceSize=64"}, 201, NULL},
    {"a nonce size of 7",
     {.method = "POST", .target = NEW "?nonceSize=7"},
     400,
     "nonceSize is not"},
    {"a nonce size of 65",
     {.method = "POST", .target = NEW "?nonceSize=65"},
     400,
     "nonceSize is not"},
    {"a nonce size of 032",
     {.method = "POST", .target = NEW "?nonceSize=032"},
     400,
     "nonceSize is not"},
    {"a nonce size of -32",
     {.method = "POST", .target = NEW "?nonceSize=-32"},
     400,
     "nonceSize is not"},
    {"a nonce size of 1e1",
     {.method = "POST", .target = NEW "?nonceSize=1e1"},
     400,
     "nonceSize is not"},
    {"both nonce and size",
     {.method = "POST", .target = NEW "?nonce=AAAAAAAAAAA&nonceSize=8"},
     400,
     "exclude"},
    {"an unknown parameter",
     {.method = "POST", .target = NEW "?nonce_size=8"},
     400,
     "unknown parameter"},
    {"a new session of JSON",
     {.method = "POST", .target = NEW, .accept = "application/json"},
     406,
     MEDIA_SESSION},
    {"a malformed Accept", {.method = "POST", .target = NEW, .accept = "json"}, 400, "Accept"},
    {"a new session with a body",
     {.method = "POST", .target = NEW, .body = "x"},
     400,
     "none is wanted"},
    {"getting a new session", {.method = "GET", .target = NEW}, 405, "GET is none of POST"},
    {"the head of a new session", {.method = "HEAD", .target = NEW}, 405, NULL},
    {"the options of a new session", {.method = "OPTIONS", .target = NEW}, 405, NULL},
    {"an unknown method", {.method = "BREW", .target = NEW}, 405, NULL},

    {"a session that is unknown",
     {.method = "GET", .target = SESSION "session/" UUID},
     404,
     "unknown or expired"},
    {"a session that is no UUID", {.method = "GET", .target = SESSION "session/1"}, 400, "no UUID"},
    {"a session in capitals",
     {.method = "GET", .target = SESSION "session/12345678-1234-4123-8123-123456789ABC"},
     400,
     "no UUID"},
    {"a session with a parameter",
     {.method = "GET", .target = SESSION "session/" UUID "?a=b"},
     400,
     "unknown parameter"},
    {"a session of JSON",
     {.method = "GET", .target = SESSION "session/" UUID, .accept = "application/json"},
     406,
     NULL},
    {"a session with a body",
     {.method = "GET", .target = SESSION "session/" UUID, .body = "x"},
     400,
     "none is wanted"},
    {"removing a session that is unknown",
     {.method = "DELETE", .target = SESSION "session/" UUID},
     404,
     "unknown"},
    {"putting a session",
     {.method = "PUT", .target = SESSION "session/" UUID},
     405,
     "GET, POST, DELETE"},
    {"evidence for a session that is unknown",
     {.method = "POST", .target = SESSION "session/" UUID, .type = DOUBLE_EVIDENCE, .body = "good"},
     404,
     "unknown"},
    {"evidence for a session that is no UUID",
     {.method = "POST", .target = SESSION "session/x", .type = DOUBLE_EVIDENCE, .body = "good"},
     400,
     "no UUID"},
    {"evidence of no type",
     {.method = "POST", .target = SESSION "session/" UUID, .body = "good"},
     415,
     "missing"},
    {"evidence of an unknown type",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = "application/json",
      .body = "good"},
     415,
     NULL},
    {"evidence of a malformed type",
     {.method = "POST", .target = SESSION "session/" UUID, .type = "evidence", .body = "good"},
     415,
     "type/subtype"},
    {"evidence with another profile",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = "application/eat+cwt; eat_profile=\"tag:example.com,2026:two\"",
      .body = "good"},
     415,
     NULL},
    {"evidence of a known profile, spelt otherwise",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = "Application/EAT+CWT;eat_profile=\"tag:example.com,2026:one\"",
      .body = "good"},
     404,
     "session"},
    {"a wrapper",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = "application/cmw+cbor",
      .body = "good"},
     404,
     "session"},
    {"a wrapper of Veraison",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = "application/vnd.veraison.cmw+json",
      .body = "good"},
     404,
     "session"},
    {"a wrapper with a parameter",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = "application/cmw; a=b",
      .body = "good"},
     415,
     NULL},
    {"evidence without bytes",
     {.method = "POST", .target = SESSION "session/" UUID, .type = DOUBLE_EVIDENCE, .body = ""},
     400,
     "empty"},
    {"evidence that is too long",
     {.method = "POST",
      .target = SESSION "session/" UUID,
      .type = DOUBLE_EVIDENCE,
      .body = "",
      .length = 65530},
     413,
     "65530 bytes, at most 65529"},

    {"no such resource", {.method = "GET", .target = "/"}, 404, "no such resource"},
    {"a resource of a tenant that is none",
     {.method = "POST", .target = "/nobody" NEW},
     404,
     "no such resource"},
    {"a path that goes on", {.method = "POST", .target = NEW "/x"}, 404, NULL},
    {"a target that is refused", {.method = "GET", .target = "/a//b"}, 400, "empty or dot segment"},
    {"the other tenant", {.method = "POST", .target = "/two" NEW}, 201, NULL},
    {"operation", {.method = "GET", .target = "/healthz"}, 200, NULL},
    {"operation of a tenant", {.method = "GET", .target = "/two/healthz"}, 404, NULL},
    {"posting to operation", {.method = "POST", .target = "/healthz"}, 405, NULL},
    {"operation on a listener of the API",
     {.method = "GET", .target = "/healthz", .serve = SERVE_API},
     404,
     NULL},
    {"the API on a listener of operation",
     {.method = "POST", .target = NEW, .serve = SERVE_OPERATION},
     404,
     NULL},
    {"metrics on a listener of operation",
     {.method = "GET", .target = "/metrics", .serve = SERVE_OPERATION},
     200,
     NULL},

    {"discovery", {.method = "GET", .target = "/.well-known/veraison/verification"}, 200, NULL},
    {"discovery of JSON",
     {.method = "GET",
      .target = "/.well-known/veraison/verification",
      .accept = "application/json"},
     406,
     NULL},
    {"discovery of provisioning",
     {.method = "GET", .target = "/.well-known/veraison/provisioning"},
     200,
     NULL},
    {"discovery of provisioning that is off",
     {.method = "GET", .target = "/two/.well-known/veraison/provisioning"},
     404,
     "off"},
    {"discovery of management",
     {.method = "GET", .target = "/.well-known/veraison/management"},
     404,
     NULL},
    {"keys", {.method = "GET", .target = "/.well-known/jwks.json"}, 200, NULL},

    {"a manifest of nobody",
     {.method = "POST", .target = SUBMIT, .type = RIM, .body = "x"},
     401,
     "needs a bearer"},
    {"a manifest with an unknown token",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "x",
      .authorization = "Bearer " TOKEN "="},
     401,
     "unknown token"},
    {"a manifest with another scheme",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "x",
      .authorization = "Basic " TOKEN},
     401,
     "want a bearer"},
    {"a manifest with an empty token",
     {.method = "POST", .target = SUBMIT, .type = RIM, .body = "x", .authorization = "Bearer "},
     401,
     "unknown token"},
    {"a manifest with a token that is none",
     {.method = "POST", .target = SUBMIT, .type = RIM, .body = "x", .authorization = "Bearer a b"},
     401,
     "unknown token"},
    {"a manifest with the scheme alone",
     {.method = "POST", .target = SUBMIT, .type = RIM, .body = "x", .authorization = "Bearer"},
     401,
     "want a bearer"},
    {"a manifest for a tenant that takes none",
     {.method = "POST",
      .target = "/two" SUBMIT,
      .type = RIM,
      .body = "x",
      .authorization = "Bearer " TOKEN},
     403,
     "off"},
    {"a manifest on an insecure listener",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "x",
      .authorization = "Bearer " TOKEN,
      .insecure = true},
     403,
     "insecure"},
    {"a manifest",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "x",
      .authorization = "Bearer " TOKEN},
     200,
     NULL},
    {"a manifest with the scheme in capitals",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "x",
      .authorization = "BEARER  " TOKEN},
     200,
     NULL},
    {"a manifest of no type",
     {.method = "POST", .target = SUBMIT, .body = "x", .authorization = "Bearer " TOKEN},
     415,
     "missing"},
    {"a manifest of another type",
     {.method = "POST",
      .target = SUBMIT,
      .type = "application/cbor",
      .body = "x",
      .authorization = "Bearer " TOKEN},
     415,
     "neither"},
    {"a manifest of a malformed type",
     {.method = "POST",
      .target = SUBMIT,
      .type = "application/rim+cose;",
      .body = "x",
      .authorization = "Bearer " TOKEN},
     415,
     "malformed"},
    {"a manifest without profile",
     {.method = "POST",
      .target = SUBMIT,
      .type = "application/rim+cose",
      .body = "x",
      .authorization = "Bearer " TOKEN},
     400,
     "profile"},
    {"a manifest with another parameter",
     {.method = "POST",
      .target = SUBMIT,
      .type = "application/rim+cose; a=b",
      .body = "x",
      .authorization = "Bearer " TOKEN},
     400,
     "one parameter"},
    {"a manifest with two parameters",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM "; a=b",
      .body = "x",
      .authorization = "Bearer " TOKEN},
     400,
     "one parameter"},
    {"a manifest that is unsigned",
     {.method = "POST",
      .target = SUBMIT,
      .type = "application/rim+cbor; profile=p",
      .body = "x",
      .authorization = "Bearer " TOKEN},
     403,
     "unsigned"},
    {"a manifest without bytes",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "",
      .authorization = "Bearer " TOKEN},
     400,
     "empty"},
    {"a manifest that is too long",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "",
      .length = 1024 * 1024 + 1,
      .authorization = "Bearer " TOKEN},
     413,
     "at most 1048576"},
    {"a manifest's answer of JSON",
     {.method = "POST",
      .target = SUBMIT,
      .type = RIM,
      .body = "x",
      .accept = "application/json",
      .authorization = "Bearer " TOKEN},
     406,
     NULL},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct answer a = ask(&rows[i].ask);

        if (a.status != rows[i].status ||
            (rows[i].detail != NULL && strstr(a.text, rows[i].detail) == NULL))
            fail_msg("%s: %u %s", rows[i].name, a.status, a.text);
        if (a.status == 405)
            assert_non_null(header(&a, "Allow"));
        if (a.status == 415)
            assert_non_null(header(&a, "Accept"));
        if (a.status == 401)
            assert_int_equal(strncmp(header(&a, "WWW-Authenticate"), "Bearer realm=\"one\"", 18),
                             0);
        json_decref(a.json);
    }
}

/* ---- sessions ---- */

static const char *member(const struct answer *a, const char *name)
{
    return json_string_value(json_object_get(a->json, name));
}

/* A result about evidence over a nonce that the client chose is no new one, and the issuer is told.
 */
static void test_whose_nonce_it_is(void **state)
{
    static const struct {
        const char *query;
        bool own;
    } queries[] = {{"", true}, {"?nonceSize=32", true}, {"?nonce=AAAAAAAAAAAAAAAAAAAAAA", false}};
    char path[128];
    struct ask post = {.method = "POST", .target = path, .type = DOUBLE_EVIDENCE, .body = "good"};

    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct answer a;

        open_session_as("", queries[i].query, path);
        double_calls = (struct double_calls){.own_nonce = !queries[i].own};
        a = ask(&post);
        assert_int_equal(a.status, 200);
        assert_true(double_calls.own_nonce == queries[i].own);
        json_decref(a.json);
    }
}

static void test_life_of_a_session(void **state)
{
    char path[128];
    struct ask get = {.method = "GET", .target = path},
               post = {.method = "POST", .target = path, .type = DOUBLE_EVIDENCE, .body = "good"},
               delete = {.method = "DELETE", .target = path};
    struct answer a;

    (void)state;
    open_session("", path);
    a = ask(&get);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, MEDIA_SESSION);
    assert_string_equal(member(&a, "status"), "waiting");
    assert_int_equal(strlen(member(&a, "nonce")), 64);
    assert_null(json_object_get(a.json, "evidence"));
    assert_null(json_object_get(a.json, "result"));
    assert_int_equal(json_array_size(json_object_get(a.json, "accept")), 2);
    json_decref(a.json);

    double_calls = (struct double_calls){0};
    a = ask(&post);
    assert_int_equal(a.status, 200);
    assert_string_equal(member(&a, "status"), "complete");
    assert_string_equal(member(&a, "result"), DOUBLE_RESULT);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(a.json, "evidence"), "value")),
        "Z29vZA==");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(a.json, "evidence"), "type")),
        DOUBLE_EVIDENCE);
    json_decref(a.json);
    assert_int_equal(double_calls.issues, 1);
    assert_int_equal(strlen(double_calls.nonce), 96);

    /* Once, and that is that: it is not even appraised again. */
    a = ask(&post);
    assert_int_equal(a.status, 409);
    json_decref(a.json);
    assert_int_equal(double_calls.issues, 1);
    a = ask(&get);
    assert_string_equal(member(&a, "status"), "complete");
    assert_string_equal(member(&a, "result"), DOUBLE_RESULT);
    json_decref(a.json);

    a = ask(&delete);
    assert_int_equal(a.status, 204);
    assert_string_equal(a.text, "");
    assert_string_equal(a.type, "");
    assert_int_equal(status_of(&get), 404);
    assert_int_equal(status_of(&delete), 404);
}

static void test_bad_evidence_has_a_result(void **state)
{
    char path[128];
    struct ask post = {.method = "POST", .target = path, .type = DOUBLE_EVIDENCE, .body = "forged"};
    struct answer a;

    (void)state;
    open_session("", path);
    a = ask(&post);
    assert_int_equal(a.status, 200);
    assert_string_equal(member(&a, "status"), "complete");
    json_decref(a.json);
}

static void test_tenants_are_apart(void **state)
{
    char path[128], other[160];
    struct ask get = {.method = "GET", .target = other},
               post = {.method = "POST", .target = other, .type = DOUBLE_EVIDENCE, .body = "good"},
               delete = {.method = "DELETE", .target = other};

    (void)state;
    open_session("", path);
    snprintf(other, sizeof other, "/two%s", path);
    assert_int_equal(status_of(&get), 404);
    assert_int_equal(status_of(&post), 404);
    assert_int_equal(status_of(&delete), 404);
    get.target = path;
    assert_int_equal(status_of(&get), 200);
}

/* Server-made nonces read the same in both alphabets; the encodings of given ones are as asked. */
static void test_nonces(void **state)
{
    static const char given[] = NEW "?nonce=-_-_-_-_-_8";
    struct ask q = {.method = "POST", .target = NEW};
    struct answer a;

    (void)state;
    for (int i = 0; i < 50; i++) {
        a = ask(&q);
        if (a.status != 201)
            break; /* no more room in the store */
        assert_null(strpbrk(member(&a, "nonce"), "+/-_="));
        json_decref(a.json);
        a.json = NULL;
    }
    json_decref(a.json);
    q.target = given;
    for (int two = 0; two < 2; two++) {
        char target[128];
        char path[160];

        snprintf(target, sizeof target, "%s%s", two ? "/two" : "", given);
        q.target = target;
        a = ask(&q);
        if (a.status == 503) {
            json_decref(a.json);
            continue;
        }
        assert_int_equal(a.status, 201);
        assert_string_equal(member(&a, "nonce"), two ? "-_-_-_-_-_8" : "+/+/+/+/+/8=");
        snprintf(path, sizeof path, "%s" SESSION "%s", two ? "/two" : "", header(&a, "Location"));
        json_decref(a.json);
    }
}

/* ---- faults ---- */

static void test_faults_of_the_store(void **state)
{
    char path[128];
    struct ask new = {.method = "POST", .target = NEW}, get = {.method = "GET", .target = path},
               delete = {.method = "DELETE", .target = path},
               post = {.method = "POST", .target = path, .type = DOUBLE_EVIDENCE, .body = "good"},
               keys = {.method = "GET", .target = "/.well-known/jwks.json"},
               discovery = {.method = "GET", .target = "/.well-known/veraison/verification"};
    struct {
        enum atls_code *fault;
        const struct ask *ask;
    } cases[] = {
        {&double_faults.session_open, &new},
        {&double_faults.session_get, &get},
        {&double_faults.session_get, &post},
        {&double_faults.session_finish, &post},
        {&double_faults.session_remove, &delete},
        {&double_faults.issue, &post},
        {&double_faults.keys, &keys},
        {&double_faults.keys, &discovery},
    };

    (void)state;
    open_session("", path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a;

        *cases[i].fault = ATLS_E_UNAVAILABLE;
        a = ask(cases[i].ask);
        assert_int_equal(a.status, 503);
        assert_non_null(header(&a, "Retry-After"));
        /* What happened inside stays inside. */
        assert_null(strstr(a.text, "fault of the test"));
        json_decref(a.json);
        *cases[i].fault = ATLS_E_INTERNAL;
        assert_int_equal(status_of(cases[i].ask), 500);
        *cases[i].fault = ATLS_OK;
    }
    /* All of that left the session waiting: the very same request is good now. */
    assert_int_equal(status_of(&post), 200);
    /* Somebody else was faster while this one was appraised. */
    open_session("", path);
    double_faults.session_finish = ATLS_E_PROTOCOL;
    assert_int_equal(status_of(&post), 409);
    double_faults.session_finish = ATLS_E_NOT_FOUND;
    assert_int_equal(status_of(&post), 404);
    double_faults.session_finish = ATLS_OK;
    double_faults.session_open = ATLS_E_LIMIT;
    assert_int_equal(status_of(&new), 503);
    double_faults.session_open = ATLS_OK;
}

static void test_faults_of_evidence(void **state)
{
    static const struct {
        enum atls_code code;
        unsigned status;
    } cases[] = {{ATLS_E_DECODE, 400}, {ATLS_E_USAGE, 400}, {ATLS_E_UNSUPPORTED, 415},
                 {ATLS_E_LIMIT, 413},  {ATLS_E_IO, 503},    {ATLS_E_CONFIG, 503},
                 {ATLS_E_CRYPTO, 500}, {ATLS_E_NOMEM, 503}};
    char path[128];
    struct ask post = {.method = "POST", .target = path, .type = "application/cmw", .body = "good"};

    (void)state;
    open_session("", path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double_faults.issue = cases[i].code;
        assert_int_equal(status_of(&post), cases[i].status);
    }
    double_faults.issue = ATLS_OK;
    assert_int_equal(status_of(&post), 200);
    assert_string_equal(double_calls.media_type, "application/cmw");
}

static void test_faults_of_manifests(void **state)
{
    static const struct {
        enum atls_code code;
        unsigned status;
    } cases[] = {{ATLS_E_DECODE, 400},      {ATLS_E_UNSUPPORTED, 422}, {ATLS_E_VERIFY, 403},
                 {ATLS_E_CERTIFICATE, 422}, {ATLS_E_CONFIG, 409},      {ATLS_E_LIMIT, 413},
                 {ATLS_E_UNAVAILABLE, 503}, {ATLS_E_IO, 503},          {ATLS_E_INTERNAL, 500}};
    struct ask q = {.method = "POST",
                    .target = SUBMIT,
                    .type = RIM,
                    .body = "x",
                    .authorization = "Bearer " TOKEN};
    struct answer a;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double_faults.import = cases[i].code;
        assert_int_equal(status_of(&q), cases[i].status);
    }
    double_faults.import = ATLS_OK;
    double_calls = (struct double_calls){0};
    a = ask(&q);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, MEDIA_PROVISION);
    assert_string_equal(member(&a, "status"), "success");
    assert_non_null(member(&a, "expiry"));
    assert_string_equal(double_calls.profile, "tag:example.com,2026:p");
    assert_int_equal(double_calls.signer, 1);
    assert_int_equal(double_calls.allow_unsigned, 0);
    json_decref(a.json);
}

static void test_unsigned_manifests(void **state)
{
    struct ask q = {.method = "POST",
                    .target = "/three" SUBMIT,
                    .type = "application/rim+cbor; profile=p",
                    .body = "x",
                    .authorization = "Bearer " TOKEN};

    (void)state;
    double_calls = (struct double_calls){0};
    assert_int_equal(status_of(&q), 200);
    assert_int_equal(double_calls.allow_unsigned, 1);
    assert_int_equal(double_calls.anchors + double_calls.signer, 0);
    q.body = "\xd2x"; /* a signed one under the name of an unsigned one */
    assert_int_equal(status_of(&q), 400);
    q.type = RIM; /* this tenant trusts no signer */
    assert_int_equal(status_of(&q), 403);
    assert_int_equal(double_calls.imports, 1);
}

/* ---- client certificates ---- */

static void test_certificates(void **state)
{
    struct peer peer = {.present = true, .verified = true, .subject = "CN=somebody"};
    struct ask q = {.method = "POST", .target = SUBMIT, .type = RIM, .body = "x", .peer = &peer};

    (void)state;
    assert_int_equal(status_of(&q), 403); /* verified, and not one of ours */
    snprintf(peer.subject, sizeof peer.subject, "CN=ops,O=Example");
    assert_int_equal(status_of(&q), 200);
    snprintf(peer.subject, sizeof peer.subject, "CN=ops,O=Example,C=DE");
    assert_int_equal(status_of(&q), 403);
    assert_true(hex_decode(SPKI, peer.spki_sha256, 32));
    assert_int_equal(status_of(&q), 200);
    peer.verified = false;
    snprintf(peer.problem, sizeof peer.problem, "expired");
    assert_int_equal(status_of(&q), 401);
    peer.present = false;
    assert_int_equal(status_of(&q), 401);
    peer.present = peer.verified = true;
    q.authorization =
        "Bearer wrong-wrong-wrong-wrong-wrong"; /* who shows a token is judged by it */
    assert_int_equal(status_of(&q), 401);
    q.authorization = NULL;
    q.target = "/three" SUBMIT; /* takes tokens only */
    assert_int_equal(status_of(&q), 401);
}

/* ---- discovery and operation ---- */

static void test_discovery(void **state)
{
    struct ask q = {.method = "GET", .target = "/two/.well-known/veraison/verification"};
    struct answer a = ask(&q);

    (void)state;
    assert_string_equal(a.type, MEDIA_DISCOVERY);
    assert_string_equal(header(&a, "Cache-Control"), "public, max-age=60");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(a.json, "ear-verification-key"), "kid")),
        "first");
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(a.json, "ear-verification-keys"), "keys")),
        2);
    assert_string_equal(json_string_value(json_object_get(json_object_get(a.json, "api-endpoints"),
                                                          "newChallengeResponseSession")),
                        "/two" NEW);
    assert_string_equal(member(&a, "service-state"), "READY");
    json_decref(a.json);
    q.target = "/.well-known/veraison/provisioning";
    a = ask(&q);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(a.json, "media-types"), 0)),
        MEDIA_RIM_COSE);
    assert_int_equal(json_array_size(json_object_get(a.json, "media-types")), 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(a.json, "api-endpoints"),
                                                          "provisioningSubmit")),
                        SUBMIT);
    json_decref(a.json);
    atomic_store(&service.draining, true);
    a = ask(&q);
    assert_string_equal(member(&a, "service-state"), "TERMINATING");
    json_decref(a.json);
    atomic_store(&service.draining, false);
}

static void test_readiness(void **state)
{
    struct ask q = {.method = "GET", .target = "/readyz"};

    (void)state;
    assert_int_equal(status_of(&q), 200);
    double_faults.ping = ATLS_E_UNAVAILABLE;
    generation_upkeep(generation, now_wall_s());
    assert_int_equal(status_of(&q), 503);
    double_faults.ping = ATLS_OK;
    generation_upkeep(generation, now_wall_s());
    assert_int_equal(status_of(&q), 200);
    atomic_store(&service.draining, true);
    assert_int_equal(status_of(&q), 503);
    atomic_store(&service.draining, false);
    atomic_store(&service.upkeep_ms, now_ms() - 60000);
    assert_int_equal(status_of(&q), 503);
    atomic_store(&service.upkeep_ms, 0);
    assert_int_equal(status_of(&q), 503);
    atomic_store(&service.upkeep_ms, now_ms());
    assert_int_equal(status_of(&q), 200);
}

static void test_metrics(void **state)
{
    struct ask q = {.method = "GET", .target = "/metrics"};
    struct answer a = ask(&q);

    (void)state;
    assert_string_equal(a.type, "text/plain; version=0.0.4");
    assert_non_null(
        strstr(a.text, "\natls_verifierd_requests_total{endpoint=\"newSession\",code=\"201\"} "));
    assert_non_null(strstr(
        a.text,
        "\natls_verifierd_appraisals_total{tenant=\"one\",submod=\"TEST\",status=\"affirming\"} "));
    assert_non_null(
        strstr(a.text, "\natls_verifierd_refusals_total{tenant=\"one\",reason=\"signature\"} "));
    assert_non_null(
        strstr(a.text, "\natls_verifierd_provisioning_total{tenant=\"one\",outcome=\"refused\"} "));
    assert_non_null(strstr(a.text, "\natls_verifierd_sessions_open{tenant=\"two\"} "));
    assert_non_null(strstr(a.text, "_bucket{endpoint=\"newSession\",le=\"+Inf\"} "));
    assert_non_null(strstr(a.text, "atls_verifierd_build_info{version=\"" ATLS_VERSION "\"} 1\n"));
}

/* ---- before there is a store, or a key ---- */

static const char text_of_config[] =
    "listeners: [{address: '127.0.0.1:1', certificate: c, key: k, client-ca: a}]\n"
    "tenants:\n"
    "  - name: one\n"
    "    store: one\n"
    "    policy: p.jq\n"
    "    provisioning:\n"
    "      signer-key: " ATLS_TEST_VECTORS "/../unit/verifierd/signer.pem\n"
    "      bearer-tokens: [{name: ci, file: %s}]\n"
    "      client-certificates:\n"
    "        - {name: by-key, spki-sha256: " SPKI "}\n"
    "        - {name: by-name, subject: 'CN=ops,O=Example'}\n"
    "  - name: two\n"
    "    prefix: /two\n"
    "    store: two\n"
    "    sessions: {nonce-encoding: url}\n"
    "    result: {profile: p, form: cwt, lifetime: 60}\n"
    "  - name: three\n"
    "    prefix: /three\n"
    "    store: three\n"
    "    provisioning:\n"
    "      allow-unsigned: true\n"
    "      bearer-tokens: [{name: ci, file: %s}]\n";

static enum atls_code make_generation(struct generation **out, struct atls_err *err)
{
    char text[4096];
    struct config *config = NULL;
    enum atls_code code;

    snprintf(text, sizeof text, text_of_config, token_file, token_file);
    assert_int_equal(config_parse("f", atls_bytes_of(text, strlen(text)), &config, NULL), ATLS_OK);
    if ((code = generation_new(config, false, out, err)) != ATLS_OK)
        config_free(config);
    return code;
}

static void test_stores_outlive_generations(void **state)
{
    struct generation *old = generation, *next = NULL;
    unsigned opens = double_calls.opens = 0;
    char path[128];
    struct ask get = {.method = "GET", .target = path};

    (void)state;
    open_session("/three", path);
    assert_int_equal(make_generation(&next, NULL), ATLS_OK);
    assert_int_equal(double_calls.opens, opens);
    assert_true(next->number > old->number);
    generation_unref(old);
    generation = next;
    assert_int_equal(status_of(&get), 200);
}

static void test_missing_parts_come_later(void **state)
{
    struct ask new = {.method = "POST", .target = NEW},
               submit = {.method = "POST",
                         .target = SUBMIT,
                         .type = RIM,
                         .body = "x",
                         .authorization = "Bearer " TOKEN},
               discovery = {.method = "GET", .target = "/.well-known/veraison/verification"},
               ready = {.method = "GET", .target = "/readyz"};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    generation_unref(generation);
    generation = NULL;
    double_faults.open = ATLS_E_CONFIG; /* no such file: that is no weather */
    assert_int_equal(make_generation(&generation, &err), ATLS_E_CONFIG);
    assert_non_null(strstr(err.message, "tenant one: "));
    double_faults.open = ATLS_E_UNAVAILABLE;
    assert_int_equal(make_generation(&generation, &err), ATLS_OK);
    assert_int_equal(status_of(&new), 503);
    assert_int_equal(status_of(&submit), 503);
    assert_int_equal(status_of(&discovery), 503);
    generation_upkeep(generation, now_wall_s());
    assert_int_equal(status_of(&ready), 503);
    double_faults.open = ATLS_OK;
    double_faults.issuer = ATLS_E_CONFIG;
    generation_upkeep(generation, now_wall_s());
    assert_int_equal(status_of(&ready), 503);
    assert_int_equal(status_of(&new), 503);
    double_faults.issuer = ATLS_OK;
    assert_int_equal(status_of(&submit), 200); /* this brings what was missing: at once */
    assert_int_equal(status_of(&new), 201);
    generation_upkeep(generation, now_wall_s());
    assert_int_equal(status_of(&ready), 200);
}

static void test_policies_and_tokens_are_read(void **state)
{
    struct generation *none = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t digest[32];
    FILE *f;

    (void)state;
    double_faults.policy = ATLS_E_CONFIG;
    assert_int_equal(make_generation(&none, &err), ATLS_E_CONFIG);
    double_faults.policy = ATLS_OK;
    assert_non_null(f = fopen(token_file, "w"));
    fputs("short\n", f);
    fclose(f);
    assert_int_equal(make_generation(&none, &err), ATLS_E_CONFIG);
    assert_non_null(strstr(err.message, "want one token"));
    assert_int_equal(auth_load_token("/nonexistent", digest, &err), ATLS_E_CONFIG);
    assert_null(none);
}

static int set_up(void **state)
{
    int fd = mkstemp(token_file);

    (void)state;
    log_setup(true, ATLS_LOG_ERROR);
    if (fd < 0 || write(fd, TOKEN "\n", sizeof TOKEN) != (ssize_t)sizeof TOKEN)
        return -1;
    close(fd);
    if (make_generation(&generation, NULL) != ATLS_OK)
        return -1;
    generation_upkeep(generation, now_wall_s());
    atomic_store(&service.upkeep_ms, now_ms());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    generation_unref(generation);
    unlink(token_file);
    return 0;
}

/* A store with nothing in it, for each. */
static int fresh(void **state)
{
    (void)state;
    generation_unref(generation);
    if (make_generation(&generation, NULL) != ATLS_OK)
        return -1;
    generation_upkeep(generation, now_wall_s());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows, fresh),
        cmocka_unit_test_setup(test_whose_nonce_it_is, fresh),
        cmocka_unit_test_setup(test_life_of_a_session, fresh),
        cmocka_unit_test_setup(test_bad_evidence_has_a_result, fresh),
        cmocka_unit_test_setup(test_tenants_are_apart, fresh),
        cmocka_unit_test_setup(test_nonces, fresh),
        cmocka_unit_test_setup(test_faults_of_the_store, fresh),
        cmocka_unit_test_setup(test_faults_of_evidence, fresh),
        cmocka_unit_test_setup(test_faults_of_manifests, fresh),
        cmocka_unit_test_setup(test_unsigned_manifests, fresh),
        cmocka_unit_test_setup(test_certificates, fresh),
        cmocka_unit_test_setup(test_discovery, fresh),
        cmocka_unit_test_setup(test_readiness, fresh),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_stores_outlive_generations),
        cmocka_unit_test(test_missing_parts_come_later),
        cmocka_unit_test(test_policies_and_tokens_are_read),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
