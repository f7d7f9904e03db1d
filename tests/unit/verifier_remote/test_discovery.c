#include "fake_veraison.h"
#include "testlib.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/reader.h"
#include "verifier/remote/discovery.h"

#define LONG_MS 20000

#define ENDPOINTS "\"api-endpoints\":{\"newChallengeResponseSession\":\"/c/v1/newSession\"}"
#define TYPES     "\"media-types\":[\"a/b\",\"c/d; x=\\\"y\\\"\"]"
#define JWK                                                                                        \
    "{\"alg\":\"ES256\",\"kty\":\"EC\",\"crv\":\"P-256\","                                         \
    "\"x\":\"_ZWezbMeWLMlRSMaoV-ssY2y3hXPoHuU8ywU31vtWPg\","                                       \
    "\"y\":\"X5M-b0lgVbXtP-GpnSXYd8HU0XugeUmNVZy1AV3WpO8\"}"

static const struct {
    const char *name, *base, *json;
    enum atls_code code;
    const char *new_session;
    size_t keys;
} rows[] = {
    {"smallest", "https://h", "{" ENDPOINTS "," TYPES "}", ATLS_OK, "https://h/c/v1/newSession", 0},
    {"ready, with a key", "https://h",
     "{\"service-state\":\"READY\",\"version\":\"v1\"," ENDPOINTS "," TYPES
     ",\"ear-verification-key\":" JWK "}",
     ATLS_OK, "https://h/c/v1/newSession", 1},
    {"a set of keys goes before one", "https://h",
     "{" ENDPOINTS "," TYPES ",\"ear-verification-key\":{\"kty\":\"oct\"},"
     "\"ear-verification-keys\":{\"keys\":[" JWK "]}}",
     ATLS_OK, "https://h/c/v1/newSession", 1},
    {"keys over http are not looked at", "http://h",
     "{" ENDPOINTS "," TYPES ",\"ear-verification-key\":" JWK "}", ATLS_OK,
     "http://h/c/v1/newSession", 0},
    {"prefix that the service does not know", "https://h/p", "{" ENDPOINTS "," TYPES "}", ATLS_OK,
     "https://h/p/c/v1/newSession", 0},
    {"prefix that it knows", "https://h/c", "{" ENDPOINTS "," TYPES "}", ATLS_OK,
     "https://h/c/v1/newSession", 0},
    {"prefix that begins alike", "https://h/c/v", "{" ENDPOINTS "," TYPES "}", ATLS_OK,
     "https://h/c/v/c/v1/newSession", 0},
    {"no media types", "https://h", "{" ENDPOINTS ",\"media-types\":[]}", ATLS_OK,
     "https://h/c/v1/newSession", 0},
    {.name = "starting",
     .base = "https://h",
     .json = "{\"service-state\":\"INITIALIZING\"," ENDPOINTS "," TYPES "}",
     .code = ATLS_E_UNAVAILABLE},
    {.name = "in no known state",
     .base = "https://h",
     .json = "{\"service-state\":\"ready\"," ENDPOINTS "," TYPES "}",
     .code = ATLS_E_UNAVAILABLE},
    {.name = "state is a number",
     .base = "https://h",
     .json = "{\"service-state\":1," ENDPOINTS "," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "no JSON", .base = "https://h", .json = "<html>", .code = ATLS_E_PROTOCOL},
    {.name = "list", .base = "https://h", .json = "[]", .code = ATLS_E_PROTOCOL},
    {.name = "empty", .base = "https://h", .json = "", .code = ATLS_E_PROTOCOL},
    {.name = "no endpoints", .base = "https://h", .json = "{" TYPES "}", .code = ATLS_E_PROTOCOL},
    {.name = "endpoints are a list",
     .base = "https://h",
     .json = "{\"api-endpoints\":[]," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "another endpoint alone",
     .base = "https://h",
     .json = "{\"api-endpoints\":{\"provisioningSubmit\":\"/x\"}," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "endpoint elsewhere",
     .base = "https://h",
     .json = "{\"api-endpoints\":{\"newChallengeResponseSession\":\"https://evil/x\"}," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "endpoint of another authority",
     .base = "https://h",
     .json = "{\"api-endpoints\":{\"newChallengeResponseSession\":\"//evil/x\"}," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "endpoint is empty",
     .base = "https://h",
     .json = "{\"api-endpoints\":{\"newChallengeResponseSession\":\"\"}," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "endpoint twice",
     .base = "https://h",
     .json = "{\"api-endpoints\":{\"newChallengeResponseSession\":\"/a\","
             "\"newChallengeResponseSession\":\"/b\"}," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "media types are missing",
     .base = "https://h",
     .json = "{" ENDPOINTS "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "a media type that is none",
     .base = "https://h",
     .json = "{" ENDPOINTS ",\"media-types\":[\"a/b\",\"x\"]}",
     .code = ATLS_E_PROTOCOL},
    {.name = "a media type with a line break",
     .base = "https://h",
     .json = "{" ENDPOINTS ",\"media-types\":[\"a/b\\r\\nX: y\"]}",
     .code = ATLS_E_PROTOCOL},
    {.name = "a media type that is a number",
     .base = "https://h",
     .json = "{" ENDPOINTS ",\"media-types\":[1]}",
     .code = ATLS_E_PROTOCOL},
    {.name = "member twice",
     .base = "https://h",
     .json = "{" ENDPOINTS "," TYPES "," TYPES "}",
     .code = ATLS_E_PROTOCOL},
    {.name = "key is text",
     .base = "https://h",
     .json = "{" ENDPOINTS "," TYPES ",\"ear-verification-key\":\"x\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "key is secret",
     .base = "https://h",
     .json = "{" ENDPOINTS "," TYPES ",\"ear-verification-key\":{\"kty\":\"oct\",\"k\":\"AA\"}}",
     .code = ATLS_E_PROTOCOL},
    {.name = "version is a number",
     .base = "https://h",
     .json = "{\"version\":1," ENDPOINTS "," TYPES "}",
     .code = ATLS_E_PROTOCOL},
};

static void decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_discovery *d = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_url base;

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_url_parse(rows[i].base, &base, NULL), ATLS_OK);
        test_assert_code(atls_discovery_decode(atls_bytes_of(rows[i].json, strlen(rows[i].json)),
                                               &base, &d, &err),
                         rows[i].code, &err);
        if (rows[i].code != ATLS_OK) {
            assert_int_equal(err.code, rows[i].code);
            assert_null(d);
            continue;
        }
        assert_string_equal(d->new_session.text, rows[i].new_session);
        assert_int_equal(d->keys != NULL ? atls_ear_keys_count(d->keys) : 0, rows[i].keys);
        for (size_t k = 0; k < d->media_type_count; k++)
            assert_int_equal(strlen((const char *)d->media_types[k].ptr), d->media_types[k].len);
        atls_discovery_unref(d);
    }
    atls_discovery_unref(NULL);
}

static void refuses_every_truncation(void **state)
{
    struct atls_discovery *d = NULL;
    struct atls_url base;

    (void)state;
    assert_int_equal(atls_url_parse("https://h", &base, NULL), ATLS_OK);
    for (size_t len = 0; len < strlen(rows[1].json); len++)
        assert_int_equal(atls_discovery_decode(atls_bytes_of(rows[1].json, len), &base, &d, NULL),
                         ATLS_E_PROTOCOL);
}

static size_t allocations_left;

static void *failing_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(size);
}

/* Whichever allocation of the JSON library fails, nothing decodes, and nothing leaks. */
static void runs_out_of_memory(void **state)
{
    struct atls_discovery *d = NULL;
    struct atls_url base;
    enum atls_code code;
    size_t n = 0;

    (void)state;
    assert_int_equal(atls_url_parse("https://h", &base, NULL), ATLS_OK);
    json_set_alloc_funcs(failing_malloc, free);
    do {
        allocations_left = n++;
        code = atls_discovery_decode(atls_bytes_of(rows[1].json, strlen(rows[1].json)), &base, &d,
                                     NULL);
        assert_true(code == ATLS_OK || code == ATLS_E_NOMEM || code == ATLS_E_PROTOCOL);
    } while (code != ATLS_OK);
    json_set_alloc_funcs(malloc, free);
    assert_true(n > 10);
    assert_int_equal(atls_ear_keys_count(d->keys), 1);
    atls_discovery_unref(d);
}

static void bounds_the_media_types(void **state)
{
    struct atls_url base;

    (void)state;
    assert_int_equal(atls_url_parse("https://h", &base, NULL), ATLS_OK);
    for (size_t n = ATLS_DISCOVERY_TYPES_MAX; n <= ATLS_DISCOVERY_TYPES_MAX + 1; n++) {
        struct atls_discovery *d = NULL;
        json_t *root = json_loads("{" ENDPOINTS ",\"media-types\":[]}", 0, NULL);
        char type[520], *text;

        memset(type, 'a', sizeof type);
        memcpy(type, "a/", 2);
        type[512] = '\0';
        for (size_t i = 0; i < n; i++)
            json_array_append_new(json_object_get(root, "media-types"), json_string(type));
        text = json_dumps(root, 0);
        assert_int_equal(atls_discovery_decode(atls_bytes_of(text, strlen(text)), &base, &d, NULL),
                         n <= ATLS_DISCOVERY_TYPES_MAX ? ATLS_OK : ATLS_E_PROTOCOL);
        atls_discovery_unref(d);
        free(text);
        json_decref(root);
    }
}

/* What Veraison's services said. */
static void decodes_recorded_documents(void **state)
{
    static const char *const files[] = {"veraison/v0.0.2602/discovery.json",
                                        "veraison/main-6b88102/discovery.json"};
    struct atls_url base;

    (void)state;
    assert_int_equal(atls_url_parse("https://h", &base, NULL), ATLS_OK);
    for (size_t i = 0; i < 2; i++) {
        struct atls_buf file = test_vector(files[i]);
        json_t *list = json_loadb((const char *)file.ptr, file.len, 0, NULL);
        const char *body = json_string_value(
            json_object_get(json_object_get(json_array_get(list, 0), "response"), "body"));
        struct atls_discovery *d = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_discovery_decode(atls_bytes_of(body, strlen(body)), &base, &d, &err),
                         ATLS_OK, &err);
        assert_string_equal(d->new_session.text, "https://h/challenge-response/v1/newSession");
        assert_int_equal(atls_ear_keys_count(d->keys), 1);
        assert_true(d->media_type_count >= 5);
        atls_discovery_unref(d);
        json_decref(list);
        atls_buf_clear(&file);
    }
}

/* ---- the service ---- */

static struct atls_service *new_service(const char *url)
{
    const struct atls_service_options options = {.url = url};
    struct atls_service *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_service_new(&options, &s, &err), ATLS_OK, &err);
    return s;
}

static enum atls_code discover(struct atls_service *s, struct atls_err *err)
{
    struct atls_discovery *d = NULL;
    enum atls_code code;

    atls_err_clear(err);
    code = atls_service_discover(s, atls_http_now_ms() + LONG_MS, &d, err);
    atls_discovery_unref(d);
    return code;
}

static void remembers_for_a_while(void **state)
{
    struct atls_discovery *d = NULL, *again = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct test_veraison v;
    struct atls_service *s;

    (void)state;
    test_veraison_init(&v, NULL);
    s = new_service(test_http_url(v.server));
    test_http_sync(v.server);
    assert_int_equal(v.discoveries, 0);
    for (int i = 0; i < 3; i++)
        test_assert_code(discover(s, &err), ATLS_OK, &err);
    test_http_sync(v.server);
    assert_int_equal(v.discoveries, 1);
    /* Who has seen it all gets it again: not so soon anew. */
    assert_int_equal(atls_service_discover(s, atls_http_now_ms() + LONG_MS, &d, &err), ATLS_OK);
    assert_int_equal(atls_service_rediscover(s, d, atls_http_now_ms() + LONG_MS, &again, &err),
                     ATLS_OK);
    assert_ptr_equal(d, again);
    test_http_sync(v.server);
    assert_int_equal(v.discoveries, 1);
    atls_discovery_unref(d);
    atls_discovery_unref(again);
    atls_service_unref(atls_service_ref(s));
    atls_service_unref(s);
    test_veraison_clear(&v);
}

/* Nothing counts for less than a second: that bounds how often a service is asked. */
static void an_age_of_nothing_is_a_second(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct test_veraison v;
    struct atls_service *s;
    size_t asked = 1;

    (void)state;
    test_veraison_init(&v, NULL);
    v.max_age_s = 0;
    test_http_sync(v.server);
    s = new_service(test_http_url(v.server));
    test_assert_code(discover(s, &err), ATLS_OK, &err);
    for (int64_t end = atls_http_now_ms() + LONG_MS; asked == 1 && atls_http_now_ms() < end;) {
        test_assert_code(discover(s, &err), ATLS_OK, &err);
        test_http_sync(v.server);
        asked = v.discoveries;
    }
    assert_int_equal(asked, 2);
    atls_service_unref(s);
    test_veraison_clear(&v);
}

static const struct {
    const char *name;
    struct test_override override;
    enum atls_code code;
} faults[] = {
    {"404", {.method = "GET", .target = "/.well-known", .status = 404}, ATLS_E_PROTOCOL},
    {"503", {.method = "GET", .target = "/.well-known", .status = 503}, ATLS_E_UNAVAILABLE},
    {"redirect",
     {.method = "GET", .target = "/.well-known", .status = 301, .headers = "Location: /x\r\n"},
     ATLS_E_PROTOCOL},
    {"another media type",
     {.method = "GET",
      .target = "/.well-known",
      .status = 200,
      .headers = "Content-Type: text/html\r\n",
      .body = "{" ENDPOINTS "," TYPES "}"},
     ATLS_E_PROTOCOL},
    {"no media type",
     {.method = "GET",
      .target = "/.well-known",
      .status = 200,
      .body = "{" ENDPOINTS "," TYPES "}"},
     ATLS_E_PROTOCOL},
    {"plain JSON will do",
     {.method = "GET",
      .target = "/.well-known",
      .status = 200,
      .headers = "Content-Type: application/json\r\n",
      .body = "{" ENDPOINTS "," TYPES "}"},
     ATLS_OK},
};

static void tells_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct test_veraison v;
        struct atls_service *s;

        print_message("%s\n", faults[i].name);
        test_veraison_init(&v, NULL);
        v.overrides[0] = faults[i].override;
        v.overrides[0].times = 1;
        test_http_sync(v.server);
        s = new_service(test_http_url(v.server));
        test_assert_code(discover(s, &err), faults[i].code, &err);
        /* A failure is not remembered. */
        test_assert_code(discover(s, &err), ATLS_OK, &err);
        atls_service_unref(s);
        test_veraison_clear(&v);
    }
}

struct asker {
    struct atls_service *s;
    int64_t ms;
    enum atls_code code;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct atls_discovery *d = NULL;

    a->code = atls_service_discover(a->s, atls_http_now_ms() + a->ms, &d, NULL);
    atls_discovery_unref(d);
    return NULL;
}

static void one_thread_asks_for_all(void **state)
{
    struct asker askers[8];
    pthread_t threads[8];
    struct test_veraison v;
    struct atls_service *s;

    (void)state;
    test_veraison_init(&v, NULL);
    s = new_service(test_http_url(v.server));
    for (size_t i = 0; i < 8; i++) {
        askers[i] = (struct asker){s, LONG_MS, ATLS_E_INTERNAL};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(askers[i].code, ATLS_OK);
    }
    test_http_sync(v.server);
    assert_int_equal(v.discoveries, 1);
    atls_service_unref(s);
    test_veraison_clear(&v);
}

/* Who waits for another thread's question waits until its own deadline. */
static void waiting_has_a_deadline(void **state)
{
    struct asker askers[4];
    pthread_t threads[4];
    struct test_veraison v;
    struct atls_service *s;

    (void)state;
    test_veraison_init(&v, NULL);
    v.overrides[0] =
        (struct test_override){.method = "GET", .target = "/.well-known", .never_end = true};
    test_http_sync(v.server);
    s = new_service(test_http_url(v.server));
    for (size_t i = 0; i < 4; i++) {
        askers[i] = (struct asker){s, i == 0 ? 1500 : 300, ATLS_E_INTERNAL};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(askers[i].code, ATLS_E_TIMEOUT);
    }
    atls_service_unref(s);
    test_veraison_clear(&v);
}

static void wrong_urls_are_refused_at_once(void **state)
{
    static const char *const urls[] = {"", "h", "https://u@h", "https://h?x", "https://h#x"};
    char text[ATLS_URL_MAX];
    struct atls_service_options options;
    struct atls_service *s = NULL;

    (void)state;
    memset(&options, 0, sizeof options);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        options.url = urls[i];
        assert_int_equal(atls_service_new(&options, &s, NULL), ATLS_E_CONFIG);
    }
    /* It fits, and the path behind it does not. */
    memset(text, 'a', sizeof text);
    memcpy(text, "https://h/", 10);
    text[sizeof text - 2] = '\0';
    options.url = text;
    assert_int_equal(atls_service_new(&options, &s, NULL), ATLS_E_CONFIG);
    assert_null(s);
    atls_service_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(runs_out_of_memory),
        cmocka_unit_test(bounds_the_media_types),
        cmocka_unit_test(decodes_recorded_documents),
        cmocka_unit_test(remembers_for_a_while),
        cmocka_unit_test(an_age_of_nothing_is_a_second),
        cmocka_unit_test(tells_what_is_wrong),
        cmocka_unit_test(one_thread_asks_for_all),
        cmocka_unit_test(waiting_has_a_deadline),
        cmocka_unit_test(wrong_urls_are_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
