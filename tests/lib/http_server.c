#include "http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "testlib.h"

#define CONNECTIONS_MAX 128

struct connection {
    struct test_http_server *server;
    pthread_t thread;
    int fd;
    SSL *ssl; /* or NULL */
    size_t number;
};

struct test_http_server {
    test_http_answer *answer;
    void *arg;
    SSL_CTX *tls;
    int listener, stop[2]; /* a byte in the pipe ends everything */
    unsigned int port;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock; /* around answer and what follows */
    struct connection connections[CONNECTIONS_MAX];
    size_t connection_count, request_count;
};

bool test_http_header(const struct test_http_request *request, const char *name, char *out,
                      size_t size)
{
    const char *line = strstr(request->headers, "\r\n");
    size_t len = strlen(name);

    for (; line != NULL; line = strstr(line + 2, "\r\n")) {
        const char *start = line + 2, *end = strstr(start, "\r\n");

        if (end == NULL || strncasecmp(start, name, len) != 0 || start[len] != ':')
            continue;
        start += len + 1;
        while (*start == ' ')
            start++;
        snprintf(out, size, "%.*s", (int)(end - start), start);
        return true;
    }
    return false;
}

void test_http_reply(struct test_http_response *response, int status, const char *headers,
                     struct atls_bytes body)
{
    int n =
        snprintf(response->raw, TEST_HTTP_RESPONSE_MAX,
                 "HTTP/1.1 %d Text\r\nContent-Length: %zu\r\n%s\r\n", status, body.len, headers);

    assert_true(n > 0 && (size_t)n + body.len <= TEST_HTTP_RESPONSE_MAX);
    if (body.len > 0)
        memcpy(response->raw + n, body.ptr, body.len);
    response->len = (size_t)n + body.len;
}

void test_http_reply_text(struct test_http_response *response, int status, const char *headers,
                          const char *body)
{
    test_http_reply(response, status, headers, atls_bytes_of(body, strlen(body)));
}

/* True when the socket can be read; false when the server is to stop. */
static bool wait_readable(const struct test_http_server *server, int fd, int timeout_ms,
                          bool *out_stopped)
{
    struct pollfd fds[2] = {{.fd = server->stop[0], .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};
    int n;

    do
        n = poll(fds, 2, timeout_ms);
    while (n < 0 && errno == EINTR);
    *out_stopped = fds[0].revents != 0;
    return fds[0].revents == 0 && fds[1].revents != 0;
}

static ssize_t receive(struct connection *c, void *out, size_t size)
{
    bool stopped;

    if (c->ssl != NULL) {
        if (SSL_pending(c->ssl) == 0 && !wait_readable(c->server, c->fd, -1, &stopped))
            return 0;
        return SSL_read(c->ssl, out, (int)size);
    }
    if (!wait_readable(c->server, c->fd, -1, &stopped))
        return 0;
    return recv(c->fd, out, size, 0);
}

static bool send_all(struct connection *c, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, bytes, (int)len)
                                   : send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads one request into buffer (of TEST_HTTP_REQUEST_MAX bytes); false at the end. */
static bool read_request(struct connection *c, char *buffer, struct test_http_request *out)
{
    size_t used = 0, head = 0, body = 0;
    char length[32];

    for (;;) {
        ssize_t n = receive(c, buffer + used, TEST_HTTP_REQUEST_MAX - 1 - used);
        char *end;

        if (n <= 0)
            return false;
        used += (size_t)n;
        buffer[used] = '\0';
        if (head == 0 && (end = strstr(buffer, "\r\n\r\n")) != NULL) {
            head = (size_t)(end - buffer) + 4;
            snprintf(out->headers, sizeof out->headers, "%.*s", (int)head, buffer);
            if (sscanf(buffer, "%15s %511s", out->method, out->target) != 2)
                return false;
            if (test_http_header(out, "Content-Length", length, sizeof length))
                body = strtoul(length, NULL, 10);
        }
        if (head != 0 && used >= head + body) {
            out->body = atls_bytes_of(buffer + head, body);
            out->connection = c->number;
            return true;
        }
        if (used == TEST_HTTP_REQUEST_MAX - 1)
            return false;
    }
}

/* False when the connection ends with this answer. */
static bool send_response(struct connection *c, const struct test_http_response *r)
{
    size_t at_once = r->slow_after != 0 && r->slow_after < r->len ? r->slow_after : r->len;
    bool stopped = false;

    if (!send_all(c, r->raw, at_once))
        return false;
    for (size_t i = at_once; i < r->len; i++)
        if (wait_readable(c->server, -1, 20, &stopped) || stopped || !send_all(c, r->raw + i, 1))
            return false;
    if (r->never_end)
        (void)wait_readable(c->server, c->fd, -1, &stopped);
    return !r->close_after && !r->never_end;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    sigset_t pipe_alone;
    struct test_http_server *server = c->server;
    char *buffer = malloc(TEST_HTTP_REQUEST_MAX);
    struct test_http_response response;
    struct test_http_request request;
    bool more;

    /* OpenSSL writes to sockets that the client has closed. */
    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_alone, NULL);
    more = buffer != NULL && (c->ssl == NULL || SSL_accept(c->ssl) == 1);
    memset(&response, 0, sizeof response);
    response.raw = malloc(TEST_HTTP_RESPONSE_MAX);
    while (more && response.raw != NULL) {
        char *raw = response.raw;

        memset(&request, 0, sizeof request);
        memset(&response, 0, sizeof response);
        response.raw = raw;
        if (!read_request(c, buffer, &request))
            break;
        pthread_mutex_lock(&server->lock);
        server->request_count++;
        server->answer(server->arg, &request, &response);
        pthread_mutex_unlock(&server->lock);
        more = send_response(c, &response);
    }
    free(response.raw);
    free(buffer);
    if (c->ssl != NULL) {
        (void)SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    ERR_clear_error();
    close(c->fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct test_http_server *server = arg;
    bool stopped = false;

    while (wait_readable(server, server->listener, -1, &stopped)) {
        struct connection *c;
        int fd = accept(server->listener, NULL, NULL);

        if (fd < 0)
            break; /* test_http_refuse */
        pthread_mutex_lock(&server->lock);
        if (server->connection_count < CONNECTIONS_MAX) {
            c = &server->connections[server->connection_count];
            c->server = server;
            c->fd = fd;
            c->number = server->connection_count;
            c->ssl = NULL;
            if (server->tls != NULL) {
                c->ssl = SSL_new(server->tls);
                (void)SSL_set_fd(c->ssl, fd);
            }
            if (pthread_create(&c->thread, NULL, serve, c) == 0)
                server->connection_count++;
        }
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

static SSL_CTX *make_tls(const struct test_identity *identity)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    const unsigned char *der = identity->certificate.ptr;
    X509 *certificate = d2i_X509(NULL, &der, (long)identity->certificate.len);
    struct atls_buf pem = ATLS_BUF_INIT;
    EVP_PKEY *key;
    BIO *bio;

    assert_int_equal(atls_private_key_to_pem(identity->key, &pem, NULL), ATLS_OK);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_true(tls != NULL && certificate != NULL && key != NULL);
    assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    BIO_free(bio);
    EVP_PKEY_free(key);
    X509_free(certificate);
    atls_buf_clear(&pem);
    return tls;
}

struct test_http_server *test_http_start(test_http_answer *answer, void *arg,
                                         const struct test_identity *identity)
{
    struct test_http_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    assert_non_null(server);
    server->answer = answer;
    server->arg = arg;
    server->tls = identity != NULL ? make_tls(identity) : NULL;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->listener, 64), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof server->url,
             identity != NULL ? "https://localhost:%u" : "http://127.0.0.1:%u", server->port);
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, accept_all, server), 0);
    return server;
}

void test_http_require_client(struct test_http_server *server, const struct test_identity *ca)
{
    const unsigned char *der = ca->certificate.ptr;
    X509 *certificate = d2i_X509(NULL, &der, (long)ca->certificate.len);

    assert_non_null(certificate);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(server->tls), certificate), 1);
    SSL_CTX_set_verify(server->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_free(certificate);
}

void test_http_limit_tls(struct test_http_server *server, enum test_http_tls version)
{
    /* Old versions need a security level that lets them be. */
    SSL_CTX_set_security_level(server->tls, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(server->tls, 0), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(server->tls, (int)version), 1);
}

const char *test_http_url(const struct test_http_server *server)
{
    return server->url;
}

unsigned int test_http_port(const struct test_http_server *server)
{
    return server->port;
}

size_t test_http_connections(struct test_http_server *server)
{
    size_t n;

    pthread_mutex_lock(&server->lock);
    n = server->connection_count;
    pthread_mutex_unlock(&server->lock);
    return n;
}

size_t test_http_requests(struct test_http_server *server)
{
    size_t n;

    pthread_mutex_lock(&server->lock);
    n = server->request_count;
    pthread_mutex_unlock(&server->lock);
    return n;
}

void test_http_refuse(struct test_http_server *server)
{
    (void)shutdown(server->listener, SHUT_RDWR);
}

void test_http_sync(struct test_http_server *server)
{
    (void)test_http_requests(server);
}

void test_http_stop(struct test_http_server *server)
{
    assert_int_equal(write(server->stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    for (size_t i = 0; i < server->connection_count; i++)
        assert_int_equal(pthread_join(server->connections[i].thread, NULL), 0);
    close(server->listener);
    close(server->stop[0]);
    close(server->stop[1]);
    pthread_mutex_destroy(&server->lock);
    SSL_CTX_free(server->tls);
    free(server);
}
