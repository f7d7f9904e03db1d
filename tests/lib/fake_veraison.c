#include "fake_veraison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "core/base64.h"
#include "testlib.h"
#include "verifier/ear/keys.h"
#include "wire/jws.h"
#include "wire/kat.h"

#define BOTH_FORMS                                                                                 \
    "[\"application/psa-attestation-token\","                                                      \
    "\"application/vnd.parallaxsecond.key-attestation.tpm\","                                      \
    "\"application/cmw+cbor; cmwc_t=\\\"" ATLS_BUNDLE_TYPE "\\\"\"]"
#define GOOD_VECTOR "{\"instance-identity\":2,\"executables\":2,\"hardware\":2}"

static char *text_of(json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    assert_non_null(text);
    json_decref(value);
    return text;
}

static json_t *json_of(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

/* base64 in one of the forms, NUL terminated. */
static void encode(struct atls_bytes bytes, enum test_nonce_form form, char *out, size_t size)
{
    bool standard = form == TEST_NONCE_STANDARD || form == TEST_NONCE_STANDARD_UNPADDED;
    bool padded = form == TEST_NONCE_STANDARD || form == TEST_NONCE_URL_PADDED;
    struct atls_writer w = atls_writer_init(8192);

    atls_base64_put(&w, bytes);
    assert_true(w.failed == ATLS_OK && w.len < size);
    memcpy(out, w.ptr, w.len);
    out[w.len] = '\0';
    atls_writer_clear(&w);
    for (char *c = out; *c != '\0'; c++) {
        if (!standard)
            *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
        if (*c == '=' && !padded)
            *c = '\0';
        if (*c == '\0')
            break;
    }
}

/* ---- the result ---- */

static json_t *submodule(const struct test_veraison *v)
{
    json_t *submod = json_object();
    char key[512];

    json_object_set_new(submod, "ear.status",
                        json_string(v->status != NULL ? v->status : "affirming"));
    json_object_set_new(submod, "ear.trustworthiness-vector",
                        json_of(v->vector != NULL ? v->vector : GOOD_VECTOR));
    json_object_set_new(submod, "ear.appraisal-policy-id", json_string("policy:PARSEC_TPM"));
    if (v->own_reason != NULL)
        json_object_set_new(submod, "ear.veraison.policy-claims",
                            json_pack("{ss s[ss]}", "reason", v->own_reason, "problems", v->problem,
                                      "another problem"));
    else if (v->problem != NULL)
        json_object_set_new(submod, "ear.veraison.policy-claims",
                            json_pack("{ss}", "problem", v->problem));
    if (v->akpub.len > 0) {
        encode(v->akpub, TEST_NONCE_URL, key, sizeof key);
        json_object_set_new(submod, "ear.veraison.key-attestation",
                            json_pack("{ss}", "akpub", key));
    }
    return submod;
}

static json_t *claims_of(const struct test_veraison *v)
{
    struct atls_bytes nonce =
        v->nonce.ptr != NULL ? v->nonce : atls_bytes_of(v->sent_nonce, v->sent_nonce_len);
    int64_t issued_at = v->issued_at_s != 0 ? v->issued_at_s : (int64_t)time(NULL);
    json_t *claims;
    char text[128];

    encode(nonce, TEST_NONCE_URL_PADDED, text, sizeof text);
    claims = json_pack("{ss sI s{ss ss} ss s{so}}", "eat_profile",
                       v->profile != NULL ? v->profile : "tag:github.com,2023:veraison/ear", "iat",
                       (json_int_t)issued_at, "ear.verifier-id", "build", "fake", "developer",
                       v->own_reason != NULL ? "libatls" : "tests", "eat_nonce", text, "submods",
                       "PARSEC_TPM", submodule(v));
    if (v->lifetime_s != 0)
        json_object_set_new(claims, "exp", json_integer((json_int_t)(issued_at + v->lifetime_s)));
    if (v->other != NULL)
        json_object_set_new(json_object_get(claims, "submods"), "OTHER", json_of(v->other));
    return claims;
}

char *test_veraison_token(const struct test_veraison *v)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf signature = ATLS_BUF_INIT;
    char *claims = text_of(claims_of(v)), *token;

    atls_jws_put_signed_part(&w, "ES256", v->kid, atls_bytes_of(claims, strlen(claims)));
    assert_int_equal(atls_private_key_sign_raw(v->key, ATLS_ECDSA_P256_SHA256,
                                               atls_writer_bytes(&w), &signature, NULL),
                     ATLS_OK);
    atls_jws_put_signature(&w, atls_buf_bytes(&signature));
    atls_put_u8(&w, 0);
    assert_int_equal(w.failed, ATLS_OK);
    token = strdup((const char *)w.ptr);
    assert_non_null(token);
    atls_writer_clear(&w);
    atls_buf_clear(&signature);
    free(claims);
    return token;
}

/* ---- the service ---- */

static void reply_json(struct test_http_response *response, int status, const char *headers,
                       json_t *value)
{
    char *text = text_of(value);

    test_http_reply_text(response, status, headers, text);
    free(text);
}

static void reply_session(const struct test_veraison *v, struct test_http_response *response,
                          int status, const char *state)
{
    const char *types = v->accept != NULL ? v->accept : v->media_types;
    char nonce[128], headers[1400];
    json_t *session;

    encode(atls_bytes_of(v->sent_nonce, v->sent_nonce_len), v->form, nonce, sizeof nonce);
    session =
        json_pack("{ss ss ss so}", "status", state, "nonce", nonce, "expiry",
                  "2099-01-01T00:00:00Z", "accept", json_of(types != NULL ? types : BOTH_FORMS));
    if (strcmp(state, "complete") == 0) {
        char *token = v->token != NULL ? strdup(v->token) : test_veraison_token(v);

        json_object_set_new(session, "result", json_string(token));
        free(token);
    }
    snprintf(headers, sizeof headers, TEST_VERAISON_SESSION_HEADER "%s%s%s",
             status == 201 ? "Location: " : "",
             status != 201         ? ""
             : v->location != NULL ? v->location
                                   : "session/1",
             status == 201 ? "\r\n" : "");
    reply_json(response, status, headers, session);
}

static void reply_discovery(struct test_veraison *v, struct test_http_response *response)
{
    json_t *d =
        json_pack("{s{ss} so ss}", "api-endpoints", "newChallengeResponseSession",
                  TEST_VERAISON_NEW, "media-types",
                  json_of(v->media_types != NULL ? v->media_types : BOTH_FORMS), "version", "v0");
    char headers[160];

    v->discoveries++;
    if (v->keys != NULL)
        json_object_set_new(d, "ear-verification-keys", json_of(v->keys));
    if (!v->no_key)
        json_object_set_new(d, "ear-verification-key", json_of((const char *)v->jwk.ptr));
    if (v->state != NULL)
        json_object_set_new(d, "service-state", json_string(v->state));
    snprintf(headers, sizeof headers,
             "Content-Type: application/vnd.veraison.discovery+json\r\n"
             "Cache-Control: max-age=%u\r\n",
             v->max_age_s);
    reply_json(response, 200, headers, d);
}

/* base64url with or without padding, as the query has it. */
static bool read_nonce(struct test_veraison *v, const char *query)
{
    struct atls_writer w = atls_writer_init(64);
    size_t len = strcspn(query, "=%");
    bool padded = query[len] != '\0', good;

    good = atls_base64url_get(atls_bytes_of(query, len), &w) && (padded || !v->wants_padding);
    if (good) {
        memcpy(v->sent_nonce, w.ptr, w.len);
        v->sent_nonce_len = w.len;
    }
    atls_writer_clear(&w);
    return good;
}

static void new_session(struct test_veraison *v, const struct test_http_request *request,
                        struct test_http_response *response)
{
    const char *nonce = strstr(request->target, "?nonce="),
               *size = strstr(request->target, "?nonceSize=");

    v->sessions++;
    if (size != NULL) {
        v->sent_nonce_len = strtoul(size + 11, NULL, 10);
        assert_true(v->sent_nonce_len >= 8 && v->sent_nonce_len <= 64);
        memset(v->sent_nonce, 0xfb, v->sent_nonce_len);
    } else if (nonce == NULL || !read_nonce(v, nonce + 7)) {
        test_http_reply_text(response, 400, "Content-Type: application/problem+json\r\n",
                             "{\"title\":\"Bad Request\",\"detail\":\"nonce must be valid "
                             "base64\"}");
        return;
    }
    reply_session(v, response, 201, "waiting");
}

static void take_evidence(struct test_veraison *v, const struct test_http_request *request,
                          struct test_http_response *response)
{
    v->submissions++;
    atls_buf_clear(&v->sent_body);
    assert_int_equal(atls_buf_copy(&v->sent_body, request->body, NULL), ATLS_OK);
    if (!test_http_header(request, "Content-Type", v->sent_type, sizeof v->sent_type))
        v->sent_type[0] = '\0';
    reply_session(v, response, v->polls > 0 ? 202 : 200, v->polls > 0 ? "processing" : "complete");
}

static void look(struct test_veraison *v, struct test_http_response *response)
{
    v->looks++;
    reply_session(v, response, 200, v->looks < v->polls ? "processing" : "complete");
}

static bool overridden(struct test_veraison *v, const struct test_http_request *request,
                       struct test_http_response *response)
{
    for (size_t i = 0; i < TEST_VERAISON_OVERRIDES; i++) {
        struct test_override *o = &v->overrides[i];

        if (o->method == NULL || strcmp(o->method, request->method) != 0 ||
            strncmp(o->target, request->target, strlen(o->target)) != 0)
            continue;
        if (o->skip > 0) {
            o->skip--;
            continue;
        }
        if (o->times > 0 && --o->times == 0)
            o->method = NULL;
        if (o->status != 0)
            test_http_reply_text(response, o->status, o->headers != NULL ? o->headers : "",
                                 o->body != NULL ? o->body : "");
        if (o->refuse)
            test_http_refuse(v->server);
        response->never_end = o->never_end;
        response->slow_after = o->slow ? 20 : 0;
        response->close_after = o->close;
        return true;
    }
    return false;
}

static void answer(void *arg, const struct test_http_request *request,
                   struct test_http_response *response)
{
    struct test_veraison *v = arg;
    bool is_session =
        strncmp(request->target, TEST_VERAISON_SESSION, strlen(TEST_VERAISON_SESSION)) == 0;

    if (overridden(v, request, response))
        return;
    if (strcmp(request->target, "/.well-known/veraison/verification") == 0)
        reply_discovery(v, response);
    else if (strncmp(request->target, TEST_VERAISON_NEW, strlen(TEST_VERAISON_NEW)) == 0)
        new_session(v, request, response);
    else if (is_session && strcmp(request->method, "POST") == 0)
        take_evidence(v, request, response);
    else if (is_session && strcmp(request->method, "GET") == 0)
        look(v, response);
    else if (is_session && strcmp(request->method, "DELETE") == 0) {
        v->goodbyes++;
        response->len = (size_t)snprintf(response->raw, TEST_HTTP_RESPONSE_MAX,
                                         "HTTP/1.1 204 No Content\r\n\r\n");
    } else {
        test_http_reply_text(response, 404, "", "");
    }
}

static void make_key(struct test_veraison *v)
{
    struct atls_buf jwk = ATLS_BUF_INIT;

    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &v->key, NULL), ATLS_OK);
    assert_int_equal(atls_ear_jwk_encode(atls_private_key_public(v->key), v->kid, &jwk, NULL),
                     ATLS_OK);
    atls_buf_clear(&v->jwk);
    v->jwk = jwk;
}

void test_veraison_init(struct test_veraison *v, const struct test_identity *identity)
{
    memset(v, 0, sizeof *v);
    v->max_age_s = 60;
    make_key(v);
    v->server = test_http_start(answer, v, identity);
}

void test_veraison_clear(struct test_veraison *v)
{
    test_http_stop(v->server);
    atls_private_key_free(v->key);
    atls_buf_clear(&v->jwk);
    atls_buf_clear(&v->sent_body);
}

void test_veraison_rotate(struct test_veraison *v)
{
    atls_private_key_free(v->key);
    make_key(v);
}
