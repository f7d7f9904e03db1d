#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/reader.h"
#include "verifier/remote/session.h"

static const struct {
    const char *name, *json;
    enum atls_code code;
    enum atls_session_status status;
    size_t nonce_len, accept_count;
    const char *result;
} rows[] = {
    {"waiting",
     "{\"status\":\"waiting\",\"nonce\":\"MTIzNDU2Nzg=\",\"expiry\":\"2030-01-01T00:00:00Z\","
     "\"accept\":[\"a/b\",\"a/c; x=\\\"y\\\"\"]}",
     ATLS_OK, ATLS_SESSION_WAITING, 8, 2, NULL},
    {"smallest", "{\"status\":\"processing\"}", ATLS_OK, ATLS_SESSION_PROCESSING, 0, 0, NULL},
    {"complete", "{\"status\":\"complete\",\"result\":\"a.b.c\"}", ATLS_OK, ATLS_SESSION_COMPLETE,
     0, 0, "a.b.c"},
    {"complete with a CWT in base64", "{\"status\":\"complete\",\"result\":\"0oRA9g==\"}", ATLS_OK,
     ATLS_SESSION_COMPLETE, 0, 0, "\xd2\x84\x40\xf6"},
    {"complete with neither", "{\"status\":\"complete\",\"result\":\"0oRA9g\"}", ATLS_OK,
     ATLS_SESSION_COMPLETE, 0, 0, "0oRA9g"},
    {"failed", "{\"status\":\"failed\"}", ATLS_OK, ATLS_SESSION_FAILED, 0, 0, NULL},
    {"members that nobody asked for", "{\"status\":\"failed\",\"x\":{\"y\":[1]}}", ATLS_OK,
     ATLS_SESSION_FAILED, 0, 0, NULL},
    {"accept is null, as an empty list of Go", "{\"status\":\"waiting\",\"accept\":null}", ATLS_OK,
     ATLS_SESSION_WAITING, 0, 0, NULL},
    {"white space behind it", "{\"status\":\"failed\"}\n", ATLS_OK, ATLS_SESSION_FAILED, 0, 0,
     NULL},
    {.name = "empty", .json = "", .code = ATLS_E_PROTOCOL},
    {.name = "no JSON", .json = "<html>", .code = ATLS_E_PROTOCOL},
    {.name = "array", .json = "[]", .code = ATLS_E_PROTOCOL},
    {.name = "trailing bytes", .json = "{\"status\":\"failed\"}x", .code = ATLS_E_PROTOCOL},
    {.name = "no status", .json = "{}", .code = ATLS_E_PROTOCOL},
    {.name = "status is a number", .json = "{\"status\":1}", .code = ATLS_E_PROTOCOL},
    {.name = "unknown status", .json = "{\"status\":\"done\"}", .code = ATLS_E_PROTOCOL},
    {.name = "status in upper case", .json = "{\"status\":\"WAITING\"}", .code = ATLS_E_PROTOCOL},
    {.name = "status twice",
     .json = "{\"status\":\"waiting\",\"status\":\"failed\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "status with a NUL",
     .json = "{\"status\":\"failed\\u0000\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "complete without result",
     .json = "{\"status\":\"complete\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "complete with an empty result",
     .json = "{\"status\":\"complete\",\"result\":\"\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "complete with an object",
     .json = "{\"status\":\"complete\",\"result\":{}}",
     .code = ATLS_E_PROTOCOL},
    {.name = "result before the end",
     .json = "{\"status\":\"processing\",\"result\":\"a.b.c\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "failed with a result",
     .json = "{\"status\":\"failed\",\"result\":\"a.b.c\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "nonce of 7 octets",
     .json = "{\"status\":\"waiting\",\"nonce\":\"MTIzNDU2Nw==\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "nonce is empty",
     .json = "{\"status\":\"waiting\",\"nonce\":\"\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "nonce is a number",
     .json = "{\"status\":\"waiting\",\"nonce\":12345678}",
     .code = ATLS_E_PROTOCOL},
    {.name = "accept is text",
     .json = "{\"status\":\"waiting\",\"accept\":\"a/b\"}",
     .code = ATLS_E_PROTOCOL},
    {.name = "accept holds a number",
     .json = "{\"status\":\"waiting\",\"accept\":[1]}",
     .code = ATLS_E_PROTOCOL},
    {.name = "accept holds no media type",
     .json = "{\"status\":\"waiting\",\"accept\":[\"a/b\",\"a b\"]}",
     .code = ATLS_E_PROTOCOL},
    {.name = "accept holds a line break",
     .json = "{\"status\":\"waiting\",\"accept\":[\"a/b\\r\\nX: y\"]}",
     .code = ATLS_E_PROTOCOL},
};

static void decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_session_object o;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(
            atls_session_object_decode(atls_bytes_of(rows[i].json, strlen(rows[i].json)), &o, &err),
            rows[i].code, &err);
        if (rows[i].code != ATLS_OK)
            continue;
        assert_int_equal(o.status, rows[i].status);
        assert_int_equal(o.nonce_len, rows[i].nonce_len);
        assert_int_equal(o.accept_count, rows[i].accept_count);
        for (size_t k = 0; k < o.accept_count; k++)
            assert_int_equal(strlen((const char *)o.accept[k].ptr), o.accept[k].len);
        if (rows[i].result != NULL)
            assert_true(atls_bytes_equal_text(o.result, rows[i].result));
        else
            assert_int_equal(o.result.len, 0);
        atls_session_object_clear(&o);
    }
}

static void refuses_every_truncation(void **state)
{
    const char *json = rows[0].json;
    struct atls_session_object o;

    (void)state;
    for (size_t len = 0; len < strlen(json); len++)
        assert_int_equal(atls_session_object_decode(atls_bytes_of(json, len), &o, NULL),
                         ATLS_E_PROTOCOL);
}

static void refuses_too_many_types(void **state)
{
    struct atls_session_object o;

    (void)state;
    for (size_t n = ATLS_SESSION_ACCEPT_MAX; n <= ATLS_SESSION_ACCEPT_MAX + 1; n++) {
        json_t *root = json_pack("{ss s[]}", "status", "waiting", "accept");
        char *text;

        for (size_t i = 0; i < n; i++)
            assert_int_equal(
                json_array_append_new(json_object_get(root, "accept"), json_string("a/b")), 0);
        text = json_dumps(root, 0);
        assert_non_null(text);
        assert_int_equal(atls_session_object_decode(atls_bytes_of(text, strlen(text)), &o, NULL),
                         n <= ATLS_SESSION_ACCEPT_MAX ? ATLS_OK : ATLS_E_PROTOCOL);
        if (n <= ATLS_SESSION_ACCEPT_MAX)
            atls_session_object_clear(&o);
        free(text);
        json_decref(root);
    }
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
    struct atls_session_object o;
    enum atls_code code;
    size_t n = 0;

    (void)state;
    json_set_alloc_funcs(failing_malloc, free);
    do {
        allocations_left = n++;
        code =
            atls_session_object_decode(atls_bytes_of(rows[0].json, strlen(rows[0].json)), &o, NULL);
        assert_true(code == ATLS_OK || code == ATLS_E_NOMEM || code == ATLS_E_PROTOCOL);
    } while (code != ATLS_OK);
    json_set_alloc_funcs(malloc, free);
    assert_true(n > 10);
    atls_session_object_clear(&o);
}

/* fb ff fe: "+//+" and "-__-". */
static const struct {
    const char *name, *text, *hex; /* NULL: refused */
} nonces[] = {
    {"standard, padded", "+//+AAECAwQFBg==", "fbfffe00010203040506"},
    {"standard, unpadded", "+//+AAECAwQFBg", "fbfffe00010203040506"},
    {"url, padded", "-__-AAECAwQFBg==", "fbfffe00010203040506"},
    {"url, unpadded", "-__-AAECAwQFBg", "fbfffe00010203040506"},
    {"nothing to pad", "AAECAwQFBgcI", "000102030405060708"},
    {"no character that tells", "AAECAwQFBgcICQo=", "000102030405060708090a"},
    {"both alphabets", "+/_-AAECAwQFBg", NULL},
    {"half of the padding", "+//+AAECAwQFBg=", NULL},
    {"too much padding", "+//+AAECAwQFBg===", NULL},
    {"padding where nothing is to pad", "AAECAwQFBgcI====", NULL},
    {"padding inside", "+//=AAECAwQFBg", NULL},
    {"seven octets", "AAECAwQFBg", NULL},
    {"spare bits", "+//+AAECAwQFBh", NULL},
    {"white space", "+//+ AAECAwQFBg", NULL},
    {"a length that cannot be", "+//+AAECAwQFB", NULL},
    {"empty", "", NULL},
    {"padding alone", "==", NULL},
};

static void decodes_nonces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nonces / sizeof nonces[0]; i++) {
        struct atls_bytes text = atls_bytes_of(nonces[i].text, strlen(nonces[i].text));
        uint8_t nonce[ATLS_SESSION_NONCE_MAX];
        struct atls_buf want;
        size_t len = 0;

        print_message("%s\n", nonces[i].name);
        assert_int_equal(atls_session_nonce_get(text, nonce, &len), nonces[i].hex != NULL);
        if (nonces[i].hex == NULL)
            continue;
        want = test_unhex(nonces[i].hex);
        test_assert_bytes(atls_bytes_of(nonce, len), atls_buf_bytes(&want));
        atls_buf_clear(&want);
    }
}

static void nonces_have_at_most_64_octets(void **state)
{
    uint8_t nonce[ATLS_SESSION_NONCE_MAX];
    char text[90];
    size_t len;

    (void)state;
    memset(text, 'A', sizeof text);
    memcpy(text + 86, "==", 2);
    assert_true(atls_session_nonce_get(atls_bytes_of(text, 88), nonce, &len));
    assert_int_equal(len, 64);
    assert_true(atls_session_nonce_get(atls_bytes_of(text, 86), nonce, &len));
    memset(text, 'A', sizeof text);
    assert_false(atls_session_nonce_get(atls_bytes_of(text, 87), nonce, &len));
    assert_false(atls_session_nonce_get(atls_bytes_of(text, 88), nonce, &len));
    assert_false(atls_session_nonce_get(atls_bytes_of(text, 90), nonce, &len));
}

/* What a service of Veraison said, in every answer that had a session in it. */
static void decodes_recorded_sessions(void **state)
{
    static const char *const files[] = {
        "veraison/v0.0.2602/session.json",        "veraison/v0.0.2602/new-session.json",
        "veraison/v0.0.2602/parsec-tpm.json",     "veraison/main-6b88102/session.json",
        "veraison/main-6b88102/new-session.json", "veraison/main-6b88102/parsec-tpm.json"};
    size_t seen = 0, complete = 0;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf file = test_vector(files[i]);
        json_t *list = json_loadb((const char *)file.ptr, file.len, 0, NULL);

        assert_true(json_is_array(list) && json_array_size(list) > 0);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *exchange = json_array_get(list, k);
            const json_t *response = json_object_get(exchange, "response");
            const char *type = json_string_value(
                json_object_get(json_object_get(response, "headers"), "Content-Type"));
            const char *body = json_string_value(json_object_get(response, "body"));
            struct atls_session_object o;
            struct atls_err err = ATLS_ERR_INIT;

            if (type == NULL || strcmp(type, ATLS_SESSION_TYPE) != 0)
                continue;
            test_assert_code(
                atls_session_object_decode(atls_bytes_of(body, strlen(body)), &o, &err), ATLS_OK,
                &err);
            assert_true(o.nonce_len >= 8 && o.accept_count > 0);
            seen++;
            complete += o.status == ATLS_SESSION_COMPLETE;
            atls_session_object_clear(&o);
        }
        json_decref(list);
        atls_buf_clear(&file);
    }
    assert_true(seen > 40 && complete > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_too_many_types),
        cmocka_unit_test(runs_out_of_memory),
        cmocka_unit_test(decodes_nonces),
        cmocka_unit_test(nonces_have_at_most_64_octets),
        cmocka_unit_test(decodes_recorded_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
