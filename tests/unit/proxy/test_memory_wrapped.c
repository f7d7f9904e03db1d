/* Every allocation in turn fails: an error, nothing that counts as read, and (address sanitizer) no
 * leak. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "failing_malloc.h"
#include "http.h"
#include "testlib.h"

#define EXAMPLE ATLS_TEST_VECTORS "/../../dist/atls-proxy.yaml"
#define LARGE                                                                                      \
    "verifiers: {far: {uri: 'veraison:https://v', ca: /c, result-keys: /k}}\n"                     \
    "policies: {strict: /p.jq}\n"                                                                  \
    "attesters: {tpm: {uri: 'tpm2:device', certificate: /a.pem}}\n"                                \
    "routes:\n"                                                                                    \
    "  - {name: a, listen: ['127.0.0.1:1', 'unix:/run/a', 'systemd:web'], mode: both,\n"           \
    "     target: 'a:1',\n"                                                                        \
    "     downstream: {attester: tpm, require: {verifier: far, identity: attested},\n"             \
    "       alpn: [x, y], tls: {certificate: c, key: k}},\n"                                       \
    "     upstream: {require: {verifier: far, policy: strict, identity: pkix},\n"                  \
    "       tls: {ca: /c, name: n}}}\n"

static enum atls_code load(struct config **out, struct atls_err *err)
{
    return config_load(EXAMPLE, out, err);
}

static enum atls_code parse(struct config **out, struct atls_err *err)
{
    return config_parse("f", atls_bytes_of(LARGE, strlen(LARGE)), out, err);
}

static void every_allocation_fails(enum atls_code (*read)(struct config **, struct atls_err *),
                                   size_t routes, size_t least)
{
    size_t failed = 0;

    for (size_t n = 0;; n++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct config *c = NULL;
        enum atls_code code;

        test_failing_malloc_arm(n);
        code = read(&c, &err);
        if (!test_failing_malloc_disarm()) {
            test_assert_code(code, ATLS_OK, &err);
            assert_true(failed >= least);
            config_free(c);
            return;
        }
        if (code == ATLS_OK) { /* for a message that was not needed */
            assert_true(c != NULL && c->route_count == routes);
            config_free(c);
            continue;
        }
        failed++;
        test_assert_code(code, ATLS_E_NOMEM, &err);
        assert_null(c);
        assert_non_null(strstr(err.message, "memory"));
    }
}

static void a_configuration_without_memory_is_none(void **state)
{
    (void)state;
    every_allocation_fails(load, 2, 50);
    every_allocation_fails(parse, 1, 50);
}

/* A request with a long head, so that room has to grow. */
static size_t long_request(char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: ");

    memset(text + len, 'x', 20000);
    len += 20000;
    return len + (size_t)snprintf(text + len, size - len, "\r\nATLS-Verdict: mine\r\n\r\n");
}

static void a_request_without_memory_is_refused(void **state)
{
    static const char *const names[] = {"ATLS-Verdict"}, *const values[] = {"affirming"};
    const struct http_options options = {names, 1, false};
    static char in[32768], out[65536];
    const size_t in_len = long_request(in, sizeof in);
    size_t refused = 0;

    (void)state;
    for (size_t n = 0;; n++) {
        struct http_io io = {(const uint8_t *)in, in_len, 0, (uint8_t *)out, sizeof out, 0};
        struct atls_err err = ATLS_ERR_INIT;
        enum http_state filtered = HTTP_ON;
        struct http *h = NULL;
        enum atls_code code;

        test_failing_malloc_arm(n);
        if ((code = http_new(&options, &h, &err)) == ATLS_OK &&
            (code = http_set(h, values, &err)) == ATLS_OK)
            filtered = http_filter(h, &io, &err);
        if (!test_failing_malloc_disarm()) {
            test_assert_code(code, ATLS_OK, &err);
            assert_int_equal(filtered, HTTP_ON);
            assert_true(refused > 0);
            http_free(h);
            return;
        }
        assert_int_equal(err.code, ATLS_E_NOMEM);
        assert_int_equal(io.len, 0); /* nothing of it went on */
        if (code == ATLS_OK) {
            assert_int_equal(filtered, HTTP_REFUSED);
            assert_int_equal(http_status(h), 500);
            refused++;
        }
        http_free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_without_memory_is_none),
        cmocka_unit_test(a_request_without_memory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
