/* What Veraison's services answered when they were recorded (tests/vectors/veraison), to our
 * client. */
#include "http_server.h"
#include "testlib.h"
#include "tpm_forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/base64.h"
#include "core/reader.h"
#include "core/writer.h"
#include "verifier/ear/accept.h"
#include "verifier/remote/client.h"

#define LONG_MS   20000
#define RECORDED  1795270921 /* about when; each folder within a minute */
#define NEW       "/challenge-response/v1/newSession"
#define FILES_MAX 3

struct recording {
    json_t *files[FILES_MAX]; /* in the order in which they are searched */
    size_t refused;           /* 400 to a nonce without padding */
    size_t unknown;
};

static json_t *load(const char *folder, const char *name)
{
    char path[128];
    struct atls_buf file;
    json_t *list;

    snprintf(path, sizeof path, "veraison/%s/%s", folder, name);
    file = test_vector(path);
    list = json_loadb((const char *)file.ptr, file.len, 0, NULL);
    assert_true(json_is_array(list));
    atls_buf_clear(&file);
    return list;
}

static const char *text_of(const json_t *exchange, const char *part, const char *member)
{
    const char *text = json_string_value(json_object_get(json_object_get(exchange, part), member));

    return text != NULL ? text : "";
}

/* "%3D" is "=". */
static bool same_target(const char *sent, const char *recorded)
{
    for (; *sent != '\0' && *recorded != '\0'; sent++, recorded++) {
        if (strncmp(sent, "%3D", 3) == 0 && *recorded == '=')
            sent += 2;
        else if (*sent != *recorded)
            return false;
    }
    return *sent == *recorded;
}

/* A session that is not in the recording stands for the one that is: what comes back does not
 * depend on it. */
static bool fits(const struct test_http_request *request, const json_t *exchange)
{
    const char *path = text_of(exchange, "request", "path");
    const char *what = json_string_value(json_object_get(exchange, "what"));

    if (strcmp(request->method, text_of(exchange, "request", "method")) != 0)
        return false;
    if (strstr(request->target, "/session/") != NULL)
        return strstr(path, "/session/") != NULL &&
               (strcmp(request->method, "POST") != 0 || strcmp(what, "POST of good evidence") == 0);
    return same_target(request->target, path);
}

static void reply(const json_t *exchange, struct test_http_response *response)
{
    const json_t *recorded = json_object_get(exchange, "response");
    const char *type = text_of(recorded, "headers", "Content-Type"),
               *location = text_of(recorded, "headers", "Location");
    char headers[512];

    snprintf(headers, sizeof headers, "%s%s%s%s%s%s", *type != '\0' ? "Content-Type: " : "", type,
             *type != '\0' ? "\r\n" : "", *location != '\0' ? "Location: " : "", location,
             *location != '\0' ? "\r\n" : "");
    test_http_reply_text(response, (int)json_integer_value(json_object_get(recorded, "status")),
                         headers, text_of(exchange, "response", "body"));
}

static void answer(void *arg, const struct test_http_request *request,
                   struct test_http_response *response)
{
    struct recording *recording = arg;

    for (size_t i = 0; i < FILES_MAX; i++)
        for (size_t k = 0; k < json_array_size(recording->files[i]); k++) {
            const json_t *exchange = json_array_get(recording->files[i], k);

            if (!fits(request, exchange))
                continue;
            reply(exchange, response);
            recording->refused += strncmp(response->raw, "HTTP/1.1 400", 12) == 0;
            return;
        }
    recording->unknown++;
    test_http_reply_text(response, 404, "", "");
}

/* The nonce of the recorded session. */
static void read_nonce(const struct recording *recording, uint8_t out[32])
{
    const char *path = text_of(json_array_get(recording->files[0], 0), "request", "path");
    const char *text = strchr(path, '=');
    struct atls_writer w = atls_writer_init(64);

    assert_non_null(text);
    assert_true(atls_base64url_get(atls_bytes_of(text + 1, strcspn(text + 1, "=")), &w));
    assert_int_equal(w.len, 32);
    memcpy(out, w.ptr, 32);
    atls_writer_clear(&w);
}

static void check_token(const char *folder, const struct atls_veraison_answer *got)
{
    struct atls_ear_keys *keys = NULL;
    struct atls_ear_check check;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf jwk;
    struct atls_ear ear;
    char path[96];

    snprintf(path, sizeof path, "veraison/%s/ear-key.jwk", folder);
    jwk = test_vector(path);
    test_assert_code(atls_ear_keys_parse(atls_buf_bytes(&jwk), &keys, &err), ATLS_OK, &err);
    atls_ear_check_init(&check);
    check.keys = keys;
    check.time_s = RECORDED;
    check.max_age_s = 300;
    check.nonce = atls_bytes_of(got->nonce, got->nonce_len);
    test_assert_code(atls_ear_accept(atls_buf_bytes(&got->token), &check, &ear, &err), ATLS_OK,
                     &err);
    assert_int_equal(ear.submod_count, 1);
    assert_int_equal(ear.submods[0].status, ATLS_TIER_AFFIRMING);
    assert_true(ear.submods[0].key.len > 0);
    atls_ear_clear(&ear);
    atls_ear_keys_unref(keys);
    atls_buf_clear(&jwk);
}

static void recorded_services(void **state)
{
    static const struct {
        const char *folder;
        size_t refused;
    } rows[] = {
        {"v0.0.2602", 1}, /* wants padding */
        {"main-6b88102", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct recording recording = {.refused = 0};
        struct atls_veraison_answer got = {.nonce_len = 0};
        struct atls_veraison_options options;
        struct atls_veraison_submission submission;
        struct atls_veraison_client *client = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct test_http_server *server;
        struct test_tpm_evidence e;
        struct atls_buf evidence;
        char keys[256];
        uint8_t nonce[32];

        recording.files[0] = load(rows[i].folder, "session.json");
        recording.files[1] = load(rows[i].folder, "new-session.json");
        recording.files[2] = load(rows[i].folder, "discovery.json");
        read_nonce(&recording, nonce);
        test_tpm_evidence_init(&e, atls_bytes_of(nonce, sizeof nonce));
        evidence = test_tpm_evidence_encode(&e);
        server = test_http_start(answer, &recording, NULL);
        memset(&options, 0, sizeof options);
        memset(&submission, 0, sizeof submission);
        snprintf(keys, sizeof keys, "%s/veraison/%s/ear-key.jwk", ATLS_TEST_VECTORS,
                 rows[i].folder);
        options.url = test_http_url(server);
        options.result_keys = keys;
        test_assert_code(atls_veraison_client_new(&options, &client, &err), ATLS_OK, &err);
        submission.binder = atls_bytes_of(nonce, sizeof nonce);
        submission.evidence = atls_buf_bytes(&evidence);
        test_http_sync(server);
        test_assert_code(
            atls_veraison_submit(client, &submission, atls_http_now_ms() + LONG_MS, &got, &err),
            ATLS_OK, &err);
        test_http_sync(server);
        assert_int_equal(recording.unknown, 0);
        assert_int_equal(recording.refused, rows[i].refused);
        check_token(rows[i].folder, &got);
        atls_veraison_answer_clear(&got);
        atls_veraison_client_unref(client);
        test_http_stop(server);
        test_tpm_evidence_clear(&e);
        atls_buf_clear(&evidence);
        for (size_t k = 0; k < FILES_MAX; k++)
            json_decref(recording.files[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
