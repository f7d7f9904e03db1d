#include "operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>

#include "metrics.h"
#include "testlib.h"

struct stand {
    int fd;
    struct sockaddr_in address;
    struct operation_source source;
    struct operation *operation;
    _Atomic(const char *) problem; /* of both */
};

static void health(void *arg, struct operation_checks *checks)
{
    struct stand *s = arg;

    operation_check(checks, "worker:0", "");
    operation_check(checks, "worker:1", s->problem);
}

static void ready(void *arg, struct operation_checks *checks)
{
    struct stand *s = arg;

    operation_check(checks, "draining", s->problem);
    operation_check(checks, "verifier:local", "");
}

static int setup(void **state)
{
    struct stand *s = calloc(1, sizeof *s);
    socklen_t len = sizeof s->address;
    struct atls_err err = ATLS_ERR_INIT;

    if (s == NULL)
        return -1;
    s->problem = "";
    s->source = (struct operation_source){health, ready, s};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->address.sin_family = AF_INET;
    s->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&s->address, sizeof s->address), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&s->address, &len), 0);
    test_assert_code(operation_start(s->fd, &s->source, &s->operation, &err), ATLS_OK, &err);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stand *s = *state;

    operation_stop(s->operation);
    operation_stop(NULL);
    /* It is still ours. */
    assert_int_equal(close(s->fd), 0);
    free(s);
    return 0;
}

/* A connection from this address of the loopback. */
static int come_from(const struct stand *s, uint32_t address)
{
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s->address, sizeof s->address), 0);
    return fd;
}

/* The whole response, in static storage. */
static const char *ask_from(const struct stand *s, uint32_t address, const char *line,
                            const char *body)
{
    static char response[65536];
    char request[512];
    size_t len = 0;
    ssize_t n;
    int fd = come_from(s, address);

    snprintf(request, sizeof request,
             "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", line,
             strlen(body), body);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((n = recv(fd, response + len, sizeof response - 1 - len, 0)) > 0)
        len += (size_t)n;
    response[len] = '\0';
    close(fd);
    return response;
}

static const char *ask(const struct stand *s, const char *line, const char *body)
{
    return ask_from(s, INADDR_LOOPBACK, line, body);
}

static json_t *body_of(const char *response)
{
    const char *at = strstr(response, "\r\n\r\n");
    json_t *json;

    if (at == NULL || (json = json_loads(at + 4, 0, NULL)) == NULL)
        abort();
    return json;
}

static void assert_text(const json_t *json, const char *key, const char *want)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (text == NULL)
        abort();
    assert_string_equal(text, want);
}

static void check_good(const struct stand *s, const char *line, const char *status)
{
    const char *response = ask(s, line, "");
    json_t *json;

    assert_memory_equal(response, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(response, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(response, "\r\nCache-Control: no-store\r\n"));
    json = body_of(response);
    assert_text(json, "status", status);
    assert_int_equal(json_array_size(json_object_get(json, "checks")), 2);
    json_decref(json);
}

static void check_problem(const struct stand *s, const char *line, const char *title, size_t failed)
{
    const char *response = ask(s, line, "");
    const json_t *check;
    json_t *json;

    assert_memory_equal(response, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(response, "\r\nContent-Type: application/problem+json\r\n"));
    assert_non_null(strstr(response, "\r\nRetry-After: 2\r\n"));
    json = body_of(response);
    assert_text(json, "type", "about:blank");
    assert_text(json, "title", title);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 503);
    check = json_array_get(json_object_get(json, "checks"), failed);
    assert_text(check, "status", "failed");
    assert_text(check, "detail", "it \"hangs\"");
    check = json_array_get(json_object_get(json, "checks"), 1 - failed);
    assert_text(check, "status", "ok");
    assert_null(json_object_get(check, "detail"));
    json_decref(json);
}

static void test_checks(void **state)
{
    struct stand *s = *state;

    check_good(s, "GET /healthz", "alive");
    check_good(s, "GET /readyz", "ready");
    s->problem = "it \"hangs\"";
    check_problem(s, "GET /healthz", "not alive", 1);
    check_problem(s, "GET /readyz", "not ready", 0);
    s->problem = "";
}

static void test_metrics(void **state)
{
    const char *response;

    metrics_refused(metrics_route("r"), LINK_LIMIT_ROUTE);
    response = ask(*state, "GET /metrics", "");
    assert_memory_equal(response, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(response, "\r\nContent-Type: text/plain; version=0.0.4\r\n"));
    assert_non_null(strstr(response, "\natls_proxy_connections_total{route=\"r\""));
}

static void test_others(void **state)
{
    const char *response = ask(*state, "GET /", "");

    assert_memory_equal(response, "HTTP/1.1 404 ", 13);
    json_decref(body_of(response));
    response = ask(*state, "POST /healthz", "body");
    assert_memory_equal(response, "HTTP/1.1 405 ", 13);
    assert_non_null(strstr(response, "\r\nAllow: GET, HEAD\r\n"));
    json_decref(body_of(response));
    response = ask(*state, "HEAD /readyz", "");
    assert_memory_equal(response, "HTTP/1.1 200 ", 13);
    assert_memory_equal(response + strlen(response) - 4, "\r\n\r\n", 4);
    response = ask(*state, "GET /healthz HTTP/1.1\r\nbroken", "");
    assert_null(strstr(response, " 200 "));
    /* A body is not of interest. */
    response = ask(*state, "GET /healthz", "body");
    assert_memory_equal(response, "HTTP/1.1 200 ", 13);
}

static void test_no_socket(void **state)
{
    struct stand *s = *state;
    struct operation *none = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(operation_start(-1, &s->source, &none, &err), ATLS_E_CONFIG, &err);
    assert_null(none);
}

/* Who opens connections and says nothing keeps nobody else away. */
static void test_one_source_does_not_take_all(void **state)
{
    struct stand *s = *state;
    int fds[16];

    for (size_t i = 0; i < 16; i++)
        fds[i] = come_from(s, INADDR_LOOPBACK);
    assert_string_equal(ask(s, "GET /healthz", ""), "");
    assert_memory_equal(ask_from(s, INADDR_LOOPBACK + 1, "GET /healthz", ""), "HTTP/1.1 200 ", 13);
    for (size_t i = 0; i < 16; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),    cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_others),    cmocka_unit_test(test_one_source_does_not_take_all),
        cmocka_unit_test(test_no_socket),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
