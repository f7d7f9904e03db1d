/* An HTTP server on the loopback that answers what a test wants, byte by byte if need be, and
 * remembers what it was asked.
 *
 *     struct test_http_server *server = test_http_start(answer, &world, NULL);
 *     ... test_http_url(server) ...
 *     test_http_stop(server);
 *
 * answer is called on threads of the server, one call at a time. Everything fails the test rather
 * than returning an error. */
#ifndef ATLS_TEST_HTTP_SERVER_H
#define ATLS_TEST_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "pki.h"

#define TEST_HTTP_REQUEST_MAX  (512 * 1024)
#define TEST_HTTP_RESPONSE_MAX (512 * 1024)

struct test_http_request {
    char method[16];
    char target[512];
    char headers[4096]; /* as received, from the request line on; NUL terminated */
    struct atls_bytes body;
    size_t connection; /* number of the connection that it came by, from 0 */
};
/* The value of a header, or NULL; in a static buffer of the calling thread's answer. */
bool test_http_header(const struct test_http_request *request, const char *name, char *out,
                      size_t size);

struct test_http_response {
    char *raw; /* room for TEST_HTTP_RESPONSE_MAX bytes, where the answer goes */
    size_t len;
    bool close_after;  /* end the connection behind it */
    bool never_end;    /* send it, then nothing until the client goes away or the server stops */
    size_t slow_after; /* not 0: so many bytes at once, then one byte each 20 ms */
};
typedef void test_http_answer(void *arg, const struct test_http_request *request,
                              struct test_http_response *response);

/* Writes a whole answer with Content-Length; headers are whole lines with CRLF, or "". */
void test_http_reply(struct test_http_response *response, int status, const char *headers,
                     struct atls_bytes body);
void test_http_reply_text(struct test_http_response *response, int status, const char *headers,
                          const char *body);

struct test_http_server;
/* identity: https with this certificate and key; NULL: http. */
struct test_http_server *test_http_start(test_http_answer *answer, void *arg,
                                         const struct test_identity *identity);
/* "http://127.0.0.1:PORT", "https://localhost:PORT" */
const char *test_http_url(const struct test_http_server *server);
unsigned int test_http_port(const struct test_http_server *server);
size_t test_http_connections(struct test_http_server *server);
size_t test_http_requests(struct test_http_server *server);
/* Before the connection that it is to hold for: ask clients for a certificate below ca; offer this
 * version of TLS and none above. */
void test_http_require_client(struct test_http_server *server, const struct test_identity *ca);
enum test_http_tls { TEST_HTTP_TLS_1_1 = 0x0302, TEST_HTTP_TLS_1_2 = 0x0303 };
void test_http_limit_tls(struct test_http_server *server, enum test_http_tls version);
/* Nobody can connect from now on; connections that are open stay. Also from answer. */
void test_http_refuse(struct test_http_server *server);
/* What the calling thread shares with answer is in order across this call: make it before and after
 * touching that. */
void test_http_sync(struct test_http_server *server);
void test_http_stop(struct test_http_server *server);

#endif
