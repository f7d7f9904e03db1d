#include "http_server.h"
#include "testlib.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/reader.h"
#include "core/writer.h"
#include "verifier/remote/http.h"

#define LONG_MS 20000 /* never reached */

static struct atls_http *new_http(const struct atls_http_options *options)
{
    struct atls_http *http = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_http_new(options, &http, &err), ATLS_OK, &err);
    return http;
}

static enum atls_code get(struct atls_http *http, const char *url, int64_t ms,
                          struct atls_http_response *response, struct atls_err *err)
{
    const struct atls_http_request request = {
        .method = "GET", .url = url, .deadline_ms = atls_http_now_ms() + ms};

    atls_err_clear(err);
    return atls_http_exchange(http, &request, response, err);
}

/* ---- what is sent ---- */

static struct test_http_request seen;
static char seen_body[65536];

static void remember(void *arg, const struct test_http_request *request,
                     struct test_http_response *response)
{
    (void)arg;
    seen = *request;
    memcpy(seen_body, request->body.ptr, request->body.len);
    seen.body = atls_bytes_of(seen_body, request->body.len);
    test_http_reply_text(response, 200, "Content-Type: text/plain\r\n", "hello");
}

static void sends_what_it_is_told(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    char url[128], value[128];
    bool sent = false;
    struct atls_http_request request = {.method = "POST",
                                        .url = url,
                                        .accept = "a/b",
                                        .content_type = "c/d; x=\"y\"",
                                        .body = atls_bytes_of("\0\1\2", 3),
                                        .deadline_ms = atls_http_now_ms() + LONG_MS,
                                        .out_sent = &sent};

    (void)state;
    snprintf(url, sizeof url, "%s/path?nonce=abc-_%%3D", test_http_url(server));
    test_assert_code(atls_http_exchange(http, &request, &response, &err), ATLS_OK, &err);
    assert_true(sent);
    assert_int_equal(response.status, 200);
    assert_true(atls_bytes_equal_text(atls_buf_bytes(&response.body), "hello"));
    assert_true(atls_http_is(&response, "text/plain"));
    atls_http_response_clear(&response);
    assert_string_equal(seen.method, "POST");
    assert_string_equal(seen.target, "/path?nonce=abc-_%3D");
    test_assert_bytes(seen.body, atls_bytes_of("\0\1\2", 3));
    assert_true(test_http_header(&seen, "Accept", value, sizeof value));
    assert_string_equal(value, "a/b");
    assert_true(test_http_header(&seen, "Content-Type", value, sizeof value));
    assert_string_equal(value, "c/d; x=\"y\"");
    assert_false(test_http_header(&seen, "Expect", value, sizeof value));
    assert_false(test_http_header(&seen, "Cookie", value, sizeof value));
    assert_false(test_http_header(&seen, "Accept-Encoding", value, sizeof value));
    /* A body of nothing has no type. */
    request.body = atls_bytes_of(NULL, 0);
    request.content_type = NULL;
    test_assert_code(atls_http_exchange(http, &request, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    assert_int_equal(seen.body.len, 0);
    assert_false(test_http_header(&seen, "Content-Type", value, sizeof value));
    request.method = "DELETE";
    test_assert_code(atls_http_exchange(http, &request, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    assert_string_equal(seen.method, "DELETE");
    assert_int_equal(test_http_connections(server), 1);
    atls_http_free(http);
    test_http_stop(server);
}

/* A proxy of the environment is for whoever asks for it. */
static void takes_no_proxy_of_the_environment(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct atls_http *asking = new_http(&(struct atls_http_options){.use_environment_proxy = true});
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    test_assert_code(get(asking, test_http_url(server), LONG_MS, &response, &err),
                     ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(unsetenv("http_proxy"), 0);
    atls_http_free(http);
    atls_http_free(asking);
    test_http_stop(server);
}

/* Programs that are started get none of the connections, which are kept for later. */
static void connections_end_with_exec(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    size_t kept = 0;

    (void)state;
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer = {.sin_family = AF_UNSPEC};
        socklen_t len = sizeof peer;

        if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0 || peer.sin_family != AF_INET ||
            ntohs(peer.sin_port) != test_http_port(server))
            continue;
        kept++;
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    assert_int_equal(kept, 1);
    atls_http_free(http);
    test_http_stop(server);
}

/* What the program does about SIGPIPE stays as it was: its mask, and a signal that was waiting. */
static void leaves_signals_alone(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    const struct timespec now = {0, 0};
    sigset_t pipe_alone, old, found;
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &found), 0);
    assert_int_equal(sigismember(&found, SIGPIPE), 0);
    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &pipe_alone, &old), 0);
    assert_int_equal(raise(SIGPIPE), 0);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    assert_int_equal(sigtimedwait(&pipe_alone, NULL, &now), SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    atls_http_free(http);
    test_http_stop(server);
}

/* ---- what comes back ---- */

static void reply_raw(void *arg, const struct test_http_request *request,
                      struct test_http_response *response)
{
    const char *raw = arg;

    (void)request;
    response->len = strlen(raw);
    memcpy(response->raw, raw, response->len);
    response->close_after = true;
}

static const struct {
    const char *name, *raw;
    enum atls_code code;
    long status;
    const char *location;
    int64_t max_age_s, retry_after_s;
} answers[] = {
    {"no header at all", "HTTP/1.1 200 OK\r\n\r\n", ATLS_OK, 200, "", -1, -1},
    {"location", "HTTP/1.1 201 C\r\nLocation: session/1\r\nContent-Length: 0\r\n\r\n", ATLS_OK, 201,
     "session/1", -1, -1},
    {"a redirect is not followed",
     "HTTP/1.1 302 F\r\nlocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n", ATLS_OK, 302,
     "http://127.0.0.1:1/x", -1, -1},
    {"max-age", "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\n\r\n", ATLS_OK, 200, "",
     60, -1},
    {"the smaller max-age",
     "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nCache-Control: "
     "Max-Age=30\r\n\r\n",
     ATLS_OK, 200, "", 30, -1},
    {"no-store", "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\r\n", ATLS_OK, 200, "", 0, -1},
    {"no-cache", "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\n\r\n", ATLS_OK, 200, "", 0, -1},
    {"a max-age beyond all bounds",
     "HTTP/1.1 200 OK\r\nCache-Control: max-age=99999999999999999999\r\n\r\n", ATLS_OK, 200, "",
     31536000, -1},
    {"a max-age that is none", "HTTP/1.1 200 OK\r\nCache-Control: max-age=-1\r\n\r\n", ATLS_OK, 200,
     "", -1, -1},
    {"retry-after", "HTTP/1.1 503 U\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", ATLS_OK, 503,
     "", -1, 7},
    {"retry-after as a date",
     "HTTP/1.1 503 U\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n", ATLS_OK, 503, "", -1,
     -1},
    {"interim answers do not count",
     "HTTP/1.1 103 Early\r\nLocation: a\r\nCache-Control: max-age=9\r\n\r\nHTTP/1.1 201 "
     "C\r\nLocation: b\r\n\r\n",
     ATLS_OK, 201, "b", -1, -1},
    {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", ATLS_OK,
     200, "", -1, -1},
    {"two locations", "HTTP/1.1 201 C\r\nLocation: a\r\nLocation: b\r\n\r\n", ATLS_E_PROTOCOL, 0,
     NULL, 0, 0},
    {"two content types", "HTTP/1.1 200 C\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
     ATLS_E_PROTOCOL, 0, NULL, 0, 0},
    {"a content coding", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", ATLS_E_PROTOCOL, 0,
     NULL, 0, 0},
    {"no coding, said aloud", "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\nx", ATLS_OK,
     200, "", -1, -1},
    {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", ATLS_E_PROTOCOL, 0, NULL, 0, 0},
    {"status 999", "HTTP/1.1 999 X\r\n\r\n", ATLS_E_PROTOCOL, 0, NULL, 0, 0},
    {"nothing", "", ATLS_E_UNAVAILABLE, 0, NULL, 0, 0},
    {"cut in the headers", "HTTP/1.1 200 OK\r\nContent-Len", ATLS_E_UNAVAILABLE, 0, NULL, 0, 0},
    {"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ATLS_E_UNAVAILABLE, 0,
     NULL, 0, 0},
    {"cut in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
     ATLS_E_UNAVAILABLE, 0, NULL, 0, 0},
};

static void reads_answers(void **state)
{
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        char raw[512];
        struct test_http_server *server = test_http_start(reply_raw, raw, NULL);
        struct atls_http_response response;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", answers[i].name);
        snprintf(raw, sizeof raw, "%s", answers[i].raw);
        test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err),
                         answers[i].code, &err);
        if (answers[i].code == ATLS_OK) {
            assert_int_equal(response.status, answers[i].status);
            assert_string_equal(response.location, answers[i].location);
            assert_int_equal(response.max_age_s, answers[i].max_age_s);
            assert_int_equal(response.retry_after_s, answers[i].retry_after_s);
            atls_http_response_clear(&response);
        }
        test_http_stop(server);
    }
    atls_http_free(http);
}

/* arg: how many bytes of body, or of headers when negative. */
static void reply_long(void *arg, const struct test_http_request *request,
                       struct test_http_response *response)
{
    static char text[ATLS_HTTP_BODY_MAX + 1];
    long n = *(const long *)arg;
    int at;

    (void)request;
    memset(text, 'x', sizeof text);
    if (n >= 0) {
        test_http_reply(response, 200, "", atls_bytes_of(text, (size_t)n));
        return;
    }
    at = snprintf(response->raw, TEST_HTTP_RESPONSE_MAX, "HTTP/1.1 200 OK\r\n");
    for (; n < 0; n += 1000)
        at += snprintf(response->raw + at, 2000, "X-Filler: %.988s\r\n", text);
    at += snprintf(response->raw + at, 64, "Content-Length: 0\r\n\r\n");
    response->len = (size_t)at;
}

static void bounds_answers(void **state)
{
    static const struct {
        const char *name;
        long n;
        enum atls_code code;
    } rows[] = {
        {"largest body", ATLS_HTTP_BODY_MAX, ATLS_OK},
        {"a byte more", ATLS_HTTP_BODY_MAX + 1, ATLS_E_PROTOCOL},
        {"many headers", -60000, ATLS_OK},
        {"too many headers", -70000, ATLS_E_PROTOCOL},
    };
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        long n = rows[i].n;
        struct test_http_server *server = test_http_start(reply_long, &n, NULL);
        struct atls_http_response response;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), rows[i].code,
                         &err);
        if (rows[i].code == ATLS_OK)
            atls_http_response_clear(&response);
        test_http_stop(server);
    }
    atls_http_free(http);
}

/* A header that does not fit is refused, not cut. */
static void refuses_a_long_location(void **state)
{
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    char raw[2048];
    struct test_http_server *server = test_http_start(reply_raw, raw, NULL);
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memset(raw, 'a', sizeof raw);
    memcpy(raw, "HTTP/1.1 201 C\r\nLocation: ", 26);
    memcpy(raw + 26 + 1023, "\r\nContent-Length: 0\r\n\r\n", 24);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    assert_int_equal(strlen(response.location), 1023);
    atls_http_response_clear(&response);
    memset(raw + 26, 'a', 1100);
    memcpy(raw + 26 + 1024, "\r\nContent-Length: 0\r\n\r\n", 24);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_E_PROTOCOL,
                     &err);
    test_http_stop(server);
    atls_http_free(http);
}

/* ---- time ---- */

static void reply_never(void *arg, const struct test_http_request *request,
                        struct test_http_response *response)
{
    (void)arg;
    (void)request;
    response->never_end = true;
}

static void reply_slowly(void *arg, const struct test_http_request *request,
                         struct test_http_response *response)
{
    static char body[4096];

    (void)arg;
    (void)request;
    memset(body, 'x', sizeof body);
    test_http_reply(response, 200, "", atls_bytes_of(body, sizeof body));
    response->slow_after = 60;
}

static void deadlines_hold(void **state)
{
    test_http_answer *const kinds[] = {reply_never, reply_slowly};
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct test_http_server *server = test_http_start(kinds[i], NULL, NULL);

        test_assert_code(get(http, test_http_url(server), 300, &response, &err), ATLS_E_TIMEOUT,
                         &err);
        assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
        test_http_stop(server);
    }
    test_assert_code(get(http, "http://127.0.0.1:1", 0, &response, &err), ATLS_E_TIMEOUT, &err);
    atls_http_free(http);
}

struct waiter {
    struct atls_http *http;
    const char *url;
    enum atls_code code;
};

static void *wait_for_answer(void *arg)
{
    struct waiter *w = arg;
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    w->code = get(w->http, w->url, INT32_MAX, &response, &err);
    return NULL;
}

/* Whoever waits is let go, and nobody waits any more. */
static void stopping_ends_what_is_under_way(void **state)
{
    struct test_http_server *server = test_http_start(reply_never, NULL, NULL);
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    struct waiter w = {.http = new_http(&(struct atls_http_options){.ca_file = NULL}),
                       .url = test_http_url(server)};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_answer, &w), 0);
    while (test_http_requests(server) == 0)
        sched_yield();
    atls_http_stop(w.http);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.code, ATLS_E_TIMEOUT);
    assert_int_equal(get(w.http, w.url, INT32_MAX, &response, &err), ATLS_E_TIMEOUT);
    assert_int_equal(test_http_requests(server), 1);
    atls_http_free(w.http);
    test_http_stop(server);
}

static void nobody_listens(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    bool sent = true;
    char url[64];
    struct atls_http_request request = {.method = "POST",
                                        .url = url,
                                        .deadline_ms = atls_http_now_ms() + LONG_MS,
                                        .out_sent = &sent};

    (void)state;
    snprintf(url, sizeof url, "%s", test_http_url(server));
    test_http_stop(server);
    test_assert_code(atls_http_exchange(http, &request, &response, &err), ATLS_E_UNAVAILABLE, &err);
    assert_false(sent);
    assert_non_null(strstr(err.message, url));
    snprintf(url, sizeof url, "https://name.invalid");
    test_assert_code(atls_http_exchange(http, &request, &response, &err), ATLS_E_UNAVAILABLE, &err);
    snprintf(url, sizeof url, "file:///etc/passwd");
    test_assert_code(atls_http_exchange(http, &request, &response, &err), ATLS_E_USAGE, &err);
    atls_http_free(http);
}

/* ---- connections and threads ---- */

struct crowd {
    struct atls_http *http;
    const char *url;
    unsigned int good;
};

static void *ask_often(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 20; i++) {
        struct atls_http_response response;
        struct atls_err err = ATLS_ERR_INIT;

        if (get(crowd->http, crowd->url, LONG_MS, &response, &err) == ATLS_OK) {
            crowd->good += response.status == 200;
            atls_http_response_clear(&response);
        }
    }
    return NULL;
}

static void threads_share_a_client(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct crowd crowds[ATLS_HTTP_HANDLES + 4];
    pthread_t threads[ATLS_HTTP_HANDLES + 4];
    size_t count = sizeof threads / sizeof threads[0];

    (void)state;
    for (size_t i = 0; i < count; i++) {
        crowds[i] = (struct crowd){http, test_http_url(server), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &crowds[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(crowds[i].good, 20);
    }
    assert_int_equal(test_http_requests(server), 20 * count);
    atls_http_free(http);
    test_http_stop(server);
}

static void *ask_in_vain(void *arg)
{
    struct crowd *crowd = arg;
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    crowd->good = get(crowd->http, crowd->url, 1000, &response, &err) == ATLS_E_TIMEOUT;
    return NULL;
}

/* With every handle busy the next one waits, and its deadline holds there too. */
static void the_pool_is_bounded(void **state)
{
    struct test_http_server *server = test_http_start(reply_never, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct crowd crowds[ATLS_HTTP_HANDLES];
    pthread_t threads[ATLS_HTTP_HANDLES];
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ATLS_HTTP_HANDLES; i++) {
        crowds[i] = (struct crowd){http, test_http_url(server), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_vain, &crowds[i]), 0);
    }
    test_assert_code(get(http, test_http_url(server), 300, &response, &err), ATLS_E_TIMEOUT, &err);
    for (size_t i = 0; i < ATLS_HTTP_HANDLES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(crowds[i].good, 1);
    }
    atls_http_free(http);
    test_http_stop(server);
}

/* ---- TLS ---- */

/* Two authorities that do not know each other, and their leaves. */
struct pki {
    struct test_identity ca, other_ca, leaf, client;
    char dir[64], ca_file[96], other_file[96], client_file[96], key_file[96];
};

static void write_file(const char *path, struct atls_bytes bytes)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void write_certificate(const char *path, const struct test_identity *identity)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    assert_int_equal(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&identity->certificate), &pem, NULL),
        ATLS_OK);
    write_file(path, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
}

static void pki_init(struct pki *p)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    memset(p, 0, sizeof *p);
    p->ca = test_ca("CA");
    p->other_ca = test_ca("another CA");
    p->leaf = test_leaf(&p->ca, "localhost", ATLS_KEY_P256);
    p->client = test_leaf(&p->ca, "client.example", ATLS_KEY_P256);
    snprintf(p->dir, sizeof p->dir, "/tmp/atls-http-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->ca_file, sizeof p->ca_file, "%s/ca.pem", p->dir);
    snprintf(p->other_file, sizeof p->other_file, "%s/other.pem", p->dir);
    snprintf(p->client_file, sizeof p->client_file, "%s/client.pem", p->dir);
    snprintf(p->key_file, sizeof p->key_file, "%s/key.pem", p->dir);
    write_certificate(p->ca_file, &p->ca);
    write_certificate(p->other_file, &p->other_ca);
    write_certificate(p->client_file, &p->client);
    assert_int_equal(atls_private_key_to_pem(p->client.key, &pem, NULL), ATLS_OK);
    write_file(p->key_file, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
}

static void pki_clear(struct pki *p)
{
    assert_int_equal(unlink(p->ca_file), 0);
    assert_int_equal(unlink(p->other_file), 0);
    assert_int_equal(unlink(p->client_file), 0);
    assert_int_equal(unlink(p->key_file), 0);
    assert_int_equal(rmdir(p->dir), 0);
    test_identity_clear(&p->ca);
    test_identity_clear(&p->other_ca);
    test_identity_clear(&p->leaf);
    test_identity_clear(&p->client);
}

static const char *const at_home[] = {"localhost", NULL};
static const char *const not_here[] = {"verifier.example", NULL};
static const struct test_certificate good = {.dns_names = at_home},
                                     late = {.dns_names = at_home, .not_after_s = 1600000000},
                                     early = {.dns_names = at_home, .not_before_s = 2500000000},
                                     elsewhere = {.dns_names = not_here},
                                     forged = {.dns_names = at_home, .break_signature = true};

static void servers_are_checked(void **state)
{
    static const struct {
        const char *name;
        const struct test_certificate *spec;
        bool other_ca;
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"good", &good, false, ATLS_OK, ATLS_REASON_NONE},
        {"of another authority", &good, true, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT},
        {"expired", &late, false, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED},
        {"not yet valid", &early, false, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"for another name", &elsewhere, false, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NAME},
        {"forged", &forged, false, ATLS_E_UNAVAILABLE, ATLS_REASON_NONE},
    };
    struct pki pki;

    (void)state;
    pki_init(&pki);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_identity leaf = test_issue(&pki.ca, rows[i].spec);
        struct test_http_server *server = test_http_start(remember, NULL, &leaf);
        struct atls_http *http = new_http(&(struct atls_http_options){
            .ca_file = rows[i].other_ca ? pki.other_file : pki.ca_file});
        struct atls_http_response response;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), rows[i].code,
                         &err);
        assert_int_equal(err.reason, rows[i].reason);
        assert_int_equal(test_http_requests(server), rows[i].code == ATLS_OK);
        if (rows[i].code == ATLS_OK)
            atls_http_response_clear(&response);
        atls_http_free(http);
        test_http_stop(server);
        test_identity_clear(&leaf);
    }
    pki_clear(&pki);
}

/* Without a file it is the system's authorities, which do not know ours. */
static void the_system_decides_without_a_file(void **state)
{
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct test_http_server *server;
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    struct pki pki;

    (void)state;
    pki_init(&pki);
    server = test_http_start(remember, NULL, &pki.leaf);
    assert_int_not_equal(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK);
    assert_true(err.code == ATLS_E_CERTIFICATE || err.code == ATLS_E_CONFIG);
    assert_int_equal(test_http_requests(server), 0);
    test_http_stop(server);
    atls_http_free(http);
    pki_clear(&pki);
}

static void tls_1_1_is_refused(void **state)
{
    struct test_http_server *server;
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_http *http;
    struct pki pki;

    (void)state;
    pki_init(&pki);
    server = test_http_start(remember, NULL, &pki.leaf);
    http = new_http(&(struct atls_http_options){.ca_file = pki.ca_file});
    test_http_limit_tls(server, TEST_HTTP_TLS_1_2);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    atls_http_free(http);
    http = new_http(&(struct atls_http_options){.ca_file = pki.ca_file});
    test_http_limit_tls(server, TEST_HTTP_TLS_1_1);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_E_UNAVAILABLE,
                     &err);
    atls_http_free(http);
    test_http_stop(server);
    pki_clear(&pki);
}

static void shows_certificate_and_token(void **state)
{
    struct test_http_server *server, *plain;
    struct atls_http_options options = {.bearer_token = "abc.DEF-123="};
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_http *http;
    struct pki pki;
    char value[64];

    (void)state;
    pki_init(&pki);
    server = test_http_start(remember, NULL, &pki.leaf);
    test_http_require_client(server, &pki.ca);
    options.ca_file = pki.ca_file;
    http = new_http(&options);
    assert_int_not_equal(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK);
    assert_int_equal(test_http_requests(server), 0);
    atls_http_free(http);

    options.client_certificate = pki.client_file;
    options.client_key = pki.key_file;
    http = new_http(&options);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    assert_true(test_http_header(&seen, "Authorization", value, sizeof value));
    assert_string_equal(value, "Bearer abc.DEF-123=");
    test_http_stop(server);

    /* A token is not for anybody on the way to read. */
    plain = test_http_start(remember, NULL, NULL);
    test_assert_code(get(http, test_http_url(plain), LONG_MS, &response, &err), ATLS_OK, &err);
    atls_http_response_clear(&response);
    assert_false(test_http_header(&seen, "Authorization", value, sizeof value));
    test_http_stop(plain);
    atls_http_free(http);
    pki_clear(&pki);
}

/* The key of a client certificate is read by libcurl, at the first connection. */
static void a_key_that_is_none(void **state)
{
    struct atls_http_options options = {.ca_file = NULL};
    struct test_http_server *server;
    struct atls_http_response response;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_http *http;
    struct pki pki;

    (void)state;
    pki_init(&pki);
    server = test_http_start(remember, NULL, &pki.leaf);
    options.ca_file = pki.ca_file;
    options.client_certificate = pki.client_file;
    options.client_key = pki.ca_file;
    http = new_http(&options);
    test_assert_code(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_E_CONFIG,
                     &err);
    atls_http_free(http);
    /* Authorities that were there when they were checked. */
    options.client_certificate = options.client_key = NULL;
    http = new_http(&options);
    write_file(pki.ca_file, atls_bytes_of("nothing", 7));
    assert_int_not_equal(get(http, test_http_url(server), LONG_MS, &response, &err), ATLS_OK);
    assert_int_equal(test_http_requests(server), 0);
    atls_http_free(http);
    test_http_stop(server);
    pki_clear(&pki);
}

/* What does not fit into a header is not sent cut. */
static void refuses_a_long_media_type(void **state)
{
    struct test_http_server *server = test_http_start(remember, NULL, NULL);
    struct atls_http *http = new_http(&(struct atls_http_options){.ca_file = NULL});
    struct atls_http_response response;
    char type[800];
    struct atls_http_request request = {.method = "POST",
                                        .url = test_http_url(server),
                                        .content_type = type,
                                        .deadline_ms = atls_http_now_ms() + LONG_MS};

    (void)state;
    memset(type, 'a', sizeof type);
    type[sizeof type - 1] = '\0';
    assert_int_not_equal(atls_http_exchange(http, &request, &response, NULL), ATLS_OK);
    request.content_type = NULL;
    request.accept = type;
    assert_int_not_equal(atls_http_exchange(http, &request, &response, NULL), ATLS_OK);
    assert_int_equal(test_http_requests(server), 0);
    atls_http_free(http);
    test_http_stop(server);
}

static void options_are_checked_at_once(void **state)
{
    struct atls_http *http = NULL;
    struct pki pki;
    struct {
        const char *name;
        struct atls_http_options options;
    } rows[] = {
        {"CA file that is not there", {.ca_file = "/nonexistent/ca.pem"}},
        {"CA file that is a folder", {.ca_file = "/tmp"}},
        {"CA file without certificates", {.ca_file = NULL}},
        {"certificate without key", {.client_certificate = "x"}},
        {"key without certificate", {.client_key = "x"}},
        {"client certificate that is not there",
         {.client_certificate = "/nonexistent/c.pem", .client_key = "x"}},
        {"empty token", {.bearer_token = ""}},
        {"token with a line break", {.bearer_token = "a\r\nX: y"}},
        {"token with a space", {.bearer_token = "a b"}},
    };

    (void)state;
    pki_init(&pki);
    rows[2].options.ca_file = pki.key_file;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_http_new(&rows[i].options, &http, &err), ATLS_E_CONFIG, &err);
        assert_null(http);
    }
    atls_http_free(NULL);
    pki_clear(&pki);
}

/* ---- what an answer says that was not wanted ---- */

static void unwanted_answers_are_told(void **state)
{
    static const struct {
        const char *name;
        long status;
        const char *type, *body;
        enum atls_code code;
        const char *message;
    } rows[] = {
        {"problem document", 400, "application/problem+json",
         "{\"title\":\"Bad Request\",\"detail\":\"nonce\\u001b[31m\"}", ATLS_E_PROTOCOL,
         "x: the service answered 400 (nonce\\x1b[31m)"},
        {"with a character set", 400, "application/problem+json; charset=utf-8",
         "{\"title\":\"Bad Request\"}", ATLS_E_PROTOCOL,
         "x: the service answered 400 (Bad Request)"},
        {"of another type", 502, "text/html", "{\"detail\":\"no\"}", ATLS_E_UNAVAILABLE,
         "x: the service answered 502"},
        {"no JSON", 500, "application/problem+json", "<html>", ATLS_E_UNAVAILABLE,
         "x: the service answered 500"},
        {"detail is no text", 503, "application/problem+json", "{\"detail\":{}}",
         ATLS_E_UNAVAILABLE, "x: the service answered 503"},
        {"too many requests", 429, "", "", ATLS_E_UNAVAILABLE, "x: the service answered 429"},
        {"redirect", 302, "", "", ATLS_E_PROTOCOL, "x: the service answered 302"},
        {"no content type that could be one", 500, "nonsense", "", ATLS_E_UNAVAILABLE,
         "x: the service answered 500"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_http_response response = {.status = rows[i].status};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        snprintf(response.content_type, sizeof response.content_type, "%s", rows[i].type);
        assert_int_equal(
            atls_buf_copy(&response.body, atls_bytes_of(rows[i].body, strlen(rows[i].body)), NULL),
            ATLS_OK);
        test_assert_code(atls_http_unwanted(&response, "x", &err), rows[i].code, &err);
        assert_string_equal(err.message, rows[i].message);
        atls_http_response_clear(&response);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_it_is_told),
        cmocka_unit_test(takes_no_proxy_of_the_environment),
        cmocka_unit_test(connections_end_with_exec),
        cmocka_unit_test(leaves_signals_alone),
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(bounds_answers),
        cmocka_unit_test(refuses_a_long_location),
        cmocka_unit_test(deadlines_hold),
        cmocka_unit_test(stopping_ends_what_is_under_way),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(threads_share_a_client),
        cmocka_unit_test(the_pool_is_bounded),
        cmocka_unit_test(servers_are_checked),
        cmocka_unit_test(the_system_decides_without_a_file),
        cmocka_unit_test(tls_1_1_is_refused),
        cmocka_unit_test(shows_certificate_and_token),
        cmocka_unit_test(a_key_that_is_none),
        cmocka_unit_test(refuses_a_long_media_type),
        cmocka_unit_test(options_are_checked_at_once),
        cmocka_unit_test(unwanted_answers_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
