#include "http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "accept.h"
#include "file.h"
#include "listen.h"
#include "log.h"
#include "rate.h"

/* Refuse what only a lenient server would take. */
#if MHD_VERSION >= 0x00097701
#define STRICT_OPTION MHD_OPTION_CLIENT_DISCIPLINE_LVL
#else
#define STRICT_OPTION MHD_OPTION_STRICT_FOR_CLIENT
#endif
/* A refused body is read and dropped up to here, so that the client gets to read why. */
#define DISCARD_MAX     (16u * 1024 * 1024)
#define GONE_MS         1000 /* without progress, before we look whether somebody is still there */
#define CERTIFICATE_MAX (256u * 1024)
/* Memory of a connection beside our own limit on headers, which answers by a problem document. */
#define POOL_MIN   32768u
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct listener {
    struct server *server;
    const struct config_listener *config;
    struct door door;          /* daemon NULL, fd -1: none */
    struct acceptor *acceptor; /* NULL: takes no more connections */
    char text[128];            /* its address */
    struct atls_buf client_ca;
};

struct server {
    struct service *service;
    struct generation *generation;
    size_t count;
    struct listener listeners[CONFIG_LISTENERS_MAX];
};

/* ---- connections, so that a slow client cannot keep one for ever ---- */

struct connection {
    struct connection *next, **link;
    int fd;
    const struct config_limits *limits;
    struct service *service;
    atomic_llong since_ms; /* begin of the request, or of waiting for one */
    atomic_bool in_request;
    atomic_bool whole;     /* the request has come, its answer has not gone */
    atomic_bool answering; /* our own code is at work: that is not the client's fault */
};

static pthread_mutex_t connections_lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *connections;

static void connection_open(struct listener *l, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL || info == NULL) {
        free(connection);
        return; /* requests on it are refused, for want of a context */
    }
    connection->fd = info->connect_fd;
    connection->limits = &l->server->generation->config->limits;
    connection->service = l->server->service;
    atomic_init(&connection->since_ms, now_ms());
    atomic_fetch_add(&connection->service->connections, 1);
    pthread_mutex_lock(&connections_lock);
    connection->next = connections;
    connection->link = &connections;
    if (connections != NULL)
        connections->link = &connection->next;
    connections = connection;
    pthread_mutex_unlock(&connections_lock);
    *context = connection;
}

static void connection_close(struct connection *connection)
{
    if (connection == NULL)
        return;
    pthread_mutex_lock(&connections_lock);
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    pthread_mutex_unlock(&connections_lock);
    atomic_fetch_sub(&connection->service->connections, 1);
    free(connection);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct listener *l = cls;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_open(l, c, context);
    } else {
        connection_close(*context);
        *context = NULL;
        atomic_fetch_sub(&l->door.open, 1);
    }
}

/* The library may miss an end that arrives together with the last bytes before it (it waits for
 * edges, and there was one only). A client that has gone before its request was whole wants no
 * answer. */
static bool is_gone(const struct connection *c)
{
    char byte;

    return !atomic_load(&c->whole) && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void server_expire(void)
{
    int64_t now = now_ms();

    /* A descriptor that is in the list is open: it is taken out before it is closed. */
    pthread_mutex_lock(&connections_lock);
    for (struct connection *c = connections; c != NULL; c = c->next) {
        int64_t limit_ms = c->limits->request_timeout_s * 1000;
        int64_t passed_ms = now - atomic_load(&c->since_ms);

        if (!atomic_load(&c->in_request))
            limit_ms += c->limits->idle_timeout_s * 1000;
        if (!atomic_load(&c->answering) &&
            (passed_ms > limit_ms || (passed_ms > GONE_MS && is_gone(c))))
            shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&connections_lock);
}

/* ---- one request ---- */

struct exchange {
    struct request request;
    struct reply reply;
    struct listener *listener;
    struct connection *connection;
    struct MHD_Connection *http;
    char target[URI_MAX + 2];
    char accept[2048];
    bool begun, expects;
    bool unframed; /* where the request ends is in doubt: nothing behind it is read */
    uint8_t *body;
    size_t body_len, body_size, discarded;
};

static const struct sockaddr *address_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info != NULL ? info->client_addr : NULL;
}

static void name_client(const struct sockaddr *address, char *out, size_t size)
{
    snprintf(out, size, "unix");
    if (address != NULL && address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, out, (socklen_t)size);
    } else if (address != NULL && address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, out, (socklen_t)size);
    }
}

/* First sign of a request: its target as it came. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct listener *l = cls;
    struct exchange *x = calloc(1, sizeof *x);

    if (x == NULL || info == NULL || info->socket_context == NULL) {
        free(x);
        return NULL;
    }
    x->listener = l;
    x->connection = info->socket_context;
    x->http = c;
    x->request.service = l->server->service;
    x->request.generation = l->server->generation;
    x->request.start_us = now_us();
    snprintf(x->target, sizeof x->target, "%s", target);
    atomic_store(&x->connection->since_ms, now_ms());
    atomic_store(&x->connection->in_request, true);
    return x;
}

static void body_release(struct exchange *x)
{
    atomic_fetch_sub(&x->request.service->bodies_bytes, (long long)x->body_size);
    free(x->body);
    x->body = NULL;
    x->body_size = x->body_len = 0;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *context;

    (void)cls;
    (void)c;
    (void)code;
    if (x == NULL)
        return;
    *context = NULL;
    if (x->begun) {
        request_end(&x->request, &x->reply);
        atomic_fetch_sub(&x->request.service->active, 1);
    }
    atomic_store(&x->connection->since_ms, now_ms());
    atomic_store(&x->connection->in_request, false);
    atomic_store(&x->connection->whole, false);
    body_release(x);
    reply_clear(&x->reply);
    free(x);
}

/* ---- headers ---- */

static void refuse_header(struct request *r, unsigned status, const char *rule)
{
    if (r->header_rule == NULL) {
        r->header_status = status;
        r->header_rule = rule;
    }
}

/* Whoever stands before us may have read another request than we did (RFC 9112 section 6.3). */
static void refuse_framing(struct exchange *x, unsigned status, const char *rule)
{
    x->unframed = true;
    refuse_header(&x->request, status, rule);
}

struct headers {
    struct exchange *x;
    size_t total;
    const char *content_length, *transfer_encoding, *host;
};

static void take_once(struct request *r, const char **field, const char *value, const char *rule)
{
    if (*field != NULL)
        refuse_header(r, 400, rule);
    *field = value;
}

static void take_accept(struct exchange *x, const char *value)
{
    size_t len = strlen(x->accept);

    if (strlen(value) + 2 >= sizeof x->accept - len) {
        refuse_header(&x->request, 431, "Accept: longer than 2047 bytes");
        return;
    }
    snprintf(x->accept + len, sizeof x->accept - len, "%s%s", len > 0 ? "," : "", value);
    x->request.accept = x->accept;
}

/* A field that says where the request ends. */
static void take_framing(struct headers *h, const char **field, const char *value, const char *rule)
{
    if (*field != NULL)
        refuse_framing(h->x, 400, rule);
    *field = value;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    struct headers *h = cls;
    struct request *r = &h->x->request;

    (void)kind;
    h->total += name_len + value_len + 4;
    if (value == NULL)
        value = "";
    if (strlen(name) != name_len || strlen(value) != value_len)
        refuse_framing(h->x, 400, "header: has a NUL");
    else if (!media_is_token(name)) /* also "Content-Length :" */
        refuse_framing(h->x, 400, "header: its name is no token");
    else if (strcasecmp(name, "Host") == 0)
        take_once(r, &h->host, value, "Host: given twice");
    else if (strcasecmp(name, "Content-Type") == 0)
        take_once(r, &r->content_type, value, "Content-Type: given twice");
    else if (strcasecmp(name, "Authorization") == 0)
        take_once(r, &r->authorization, value, "Authorization: given twice");
    else if (strcasecmp(name, "Content-Length") == 0)
        take_framing(h, &h->content_length, value, "Content-Length: given twice");
    else if (strcasecmp(name, "Transfer-Encoding") == 0)
        take_framing(h, &h->transfer_encoding, value, "Transfer-Encoding: given twice");
    else if (strcasecmp(name, "Expect") == 0)
        h->x->expects = true;
    else if (strcasecmp(name, "Accept") == 0)
        take_accept(h->x, value);
    return MHD_YES;
}

static void take_length(struct exchange *x, const struct headers *h)
{
    int64_t length = 0;

    x->request.content_length = -1;
    if (h->transfer_encoding != NULL) {
        if (h->content_length != NULL)
            refuse_framing(x, 400, "Content-Length: beside Transfer-Encoding");
        else if (strcasecmp(h->transfer_encoding, "chunked") != 0)
            refuse_framing(x, 501, "Transfer-Encoding: want chunked");
        return;
    }
    for (const char *at = h->content_length; at != NULL && *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || length > INT64_MAX / 10 - 9) {
            refuse_framing(x, 400, "Content-Length: not a number");
            return;
        }
        length = length * 10 + (*at - '0');
    }
    x->request.content_length = length;
}

static void read_peer(void *arg, struct peer *out);

static void read_head(struct exchange *x, const char *method)
{
    const struct sockaddr *address = address_of(x->http);
    struct request *r = &x->request;
    struct headers h = {.x = x};

    if (!uuid_new(r->id))
        snprintf(r->id, sizeof r->id, "00000000-0000-4000-8000-000000000000");
    r->serve = x->listener->config->serve;
    r->insecure = x->listener->config->insecure;
    r->method_text = method;
    r->method = strcmp(method, "GET") == 0      ? METHOD_GET
                : strcmp(method, "POST") == 0   ? METHOD_POST
                : strcmp(method, "DELETE") == 0 ? METHOD_DELETE
                                                : METHOD_OTHER;
    r->get_peer = x->listener->client_ca.len > 0 ? read_peer : NULL;
    r->peer_arg = x->http;
    name_client(address, r->client, sizeof r->client);
    if (r->serve != SERVE_OPERATION)
        r->wait_s = rate_take(address, now_ms());
    r->target_status = uri_parse(x->target, &r->uri, &r->target_rule);
    MHD_get_connection_values_n(x->http, MHD_HEADER_KIND, on_header, &h);
    take_length(x, &h);
    if (h.total > (uint64_t)r->generation->config->limits.header)
        refuse_header(r, 431, "headers: longer than is taken here");
}

/* ---- certificates of clients ---- */

static void describe_certificate(const gnutls_datum_t *der, struct peer *out)
{
    size_t size = sizeof out->spki_sha256;
    gnutls_datum_t subject = {NULL, 0};
    gnutls_x509_crt_t crt = NULL;

    if (gnutls_x509_crt_init(&crt) != 0 ||
        gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) != 0 ||
        gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, out->spki_sha256, &size) != 0 ||
        gnutls_x509_crt_get_dn3(crt, &subject, 0) != 0 || subject.size >= sizeof out->subject) {
        out->verified = false;
        snprintf(out->problem, sizeof out->problem, "cannot be read");
    } else {
        memcpy(out->subject, subject.data, subject.size);
        out->subject[subject.size] = '\0';
    }
    gnutls_free(subject.data);
    if (crt != NULL)
        gnutls_x509_crt_deinit(crt);
}

static void read_peer(void *arg, struct peer *out)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(arg, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st want = {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0};
    gnutls_session_t session = info != NULL ? info->tls_session : NULL;
    const gnutls_datum_t *chain;
    gnutls_datum_t text = {NULL, 0};
    unsigned count = 0, status = 0;

    memset(out, 0, sizeof *out);
    if (session == NULL || (chain = gnutls_certificate_get_peers(session, &count)) == NULL ||
        count == 0)
        return;
    out->present = true;
    if (gnutls_certificate_verify_peers(session, &want, 1, &status) != 0) {
        snprintf(out->problem, sizeof out->problem, "cannot be verified");
        return;
    }
    out->verified = status == 0;
    if (status != 0 &&
        gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0)
        snprintf(out->problem, sizeof out->problem, "%.*s", (int)text.size, (char *)text.data);
    gnutls_free(text.data);
    describe_certificate(&chain[0], out);
}

/* ---- bodies ---- */

/* Makes room as bytes come, never by what a header promises; false when there is none. */
static bool body_reserve(struct exchange *x, size_t len)
{
    struct service *service = x->request.service;
    long long limit = x->request.generation->config->limits.bodies;
    size_t size = x->body_size == 0 ? 4096 : x->body_size, more;
    uint8_t *p;

    while (len > size - x->body_len)
        size *= 2;
    if (size == x->body_size)
        return true;
    more = size - x->body_size;
    if (atomic_fetch_add(&service->bodies_bytes, (long long)more) + (long long)more > limit ||
        (p = realloc(x->body, size)) == NULL) {
        atomic_fetch_sub(&service->bodies_bytes, (long long)more);
        return false;
    }
    x->body = p;
    x->body_size = size;
    return true;
}

static bool take_body(struct exchange *x, const char *data, size_t len)
{
    struct request *r = &x->request;

    if (x->reply.status != 0) {
        x->discarded += len;
        return x->discarded <= DISCARD_MAX;
    }
    if (len > r->body_max - x->body_len) {
        reply_problem(r, &x->reply, r->body_max == 0 ? 400 : 413,
                      r->body_max == 0 ? "body: none is wanted here"
                                       : "body: longer than the %zu bytes that are taken",
                      r->body_max);
    } else if (!body_reserve(x, len)) {
        reply_header(&x->reply, "Retry-After", "2");
        reply_problem(r, &x->reply, 503, "too much is being received at once; try again");
    } else {
        memcpy(x->body + x->body_len, data, len);
        x->body_len += len;
    }
    /* What is refused takes no room from others while the rest of it comes. */
    if (x->reply.status != 0)
        body_release(x);
    return true;
}

/* ---- answers ---- */

static enum MHD_Result send_reply(struct exchange *x)
{
    struct reply *reply = &x->reply;
    struct MHD_Response *response;
    enum MHD_Result result;

    atomic_store(&x->connection->whole, true);
    if (reply->body.failed) {
        text_clear(&reply->body);
        reply->header_count = 0;
        reply->content_type = NULL;
        reply->status = 500;
    }
    response = reply->body.ptr == NULL
                   ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                   : MHD_create_response_from_buffer(reply->body.len, reply->body.ptr,
                                                     MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        return MHD_NO;
    reply->body = (struct text){0};
    if (reply->content_type != NULL)
        MHD_add_response_header(response, "Content-Type", reply->content_type);
    MHD_add_response_header(response, "X-Request-Id", x->request.id);
    for (size_t i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (x->unframed || atomic_load(&x->request.generation->retired) ||
        atomic_load(&x->request.service->draining))
        MHD_add_response_header(response, "Connection", "close");
    result = MHD_queue_response(x->http, reply->status, response);
    MHD_destroy_response(response);
    atomic_store(&x->connection->since_ms, now_ms());
    return result;
}

static enum MHD_Result begin(struct exchange *x, const char *method)
{
    struct request *r = &x->request;

    x->begun = true;
    atomic_fetch_add(&r->service->active, 1);
    read_head(x, method);
    /* Whoever asks first is told at once, and the connection ends; others send their body anyway
     * and listen only then. */
    if (!request_begin(r, &x->reply) &&
        (x->unframed || x->expects || r->content_length > DISCARD_MAX))
        return send_reply(x);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **context)
{
    struct exchange *x = *context;
    enum MHD_Result result = MHD_YES;

    (void)cls;
    (void)c;
    (void)url;
    (void)version;
    if (x == NULL)
        return MHD_NO;
    atomic_store(&x->connection->answering, true);
    if (!x->begun) {
        result = begin(x, method);
    } else if (*len > 0) {
        result = take_body(x, data, *len) ? MHD_YES : MHD_NO;
        *len = 0;
    } else {
        x->request.body = atls_bytes_of(x->body, x->body_len);
        if (x->reply.status == 0)
            request_finish(&x->request, &x->reply);
        result = send_reply(x);
    }
    atomic_store(&x->connection->answering, false);
    return result;
}

/* ---- daemons ---- */

/* Targets are ours to decode. */
static size_t keep_escapes(void *cls, struct MHD_Connection *c, char *text)
{
    (void)cls;
    (void)c;
    return strlen(text);
}

static void on_log(void *cls, const char *format, va_list args) ATLS_PRINTF(2, 0);
static void on_log(void *cls, const char *format, va_list args)
{
    char message[512];

    (void)cls;
    vsnprintf(message, sizeof message, format, args);
    message[strcspn(message, "\n")] = '\0';
    log_library(NULL, ATLS_LOG_DEBUG, "microhttpd", message);
}

static unsigned thread_count(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->threads > 0)
        return (unsigned)config->threads;
    return cores > 0 && cores < 256 ? (unsigned)cores : 1;
}

struct credentials {
    struct atls_buf certificate, key, client_ca;
};

static void credentials_clear(struct credentials *c)
{
    atls_buf_clear(&c->certificate);
    atls_buf_clear(&c->key);
    atls_buf_clear(&c->client_ca);
}

/* Certificate and key must fit: the HTTP library would only say that something failed. */
static enum atls_code check_pair(const struct config_listener *l, const struct credentials *c,
                                 struct atls_err *err)
{
    gnutls_datum_t certificate = {c->certificate.ptr, (unsigned)c->certificate.len};
    gnutls_datum_t key = {c->key.ptr, (unsigned)c->key.len};
    gnutls_datum_t ca = {c->client_ca.ptr, (unsigned)c->client_ca.len};
    gnutls_certificate_credentials_t credentials = NULL;
    enum atls_code code = ATLS_OK;
    int n = gnutls_certificate_allocate_credentials(&credentials);

    if (n != 0)
        return set_error(err, ATLS_E_NOMEM, "%.100s: out of memory", l->certificate);
    n = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (n < 0)
        code = set_error(err, ATLS_E_CONFIG, "%.100s: certificate and key: %s", l->certificate,
                         gnutls_strerror(n));
    else if (l->client_ca != NULL &&
             gnutls_certificate_set_x509_trust_mem(credentials, &ca, GNUTLS_X509_FMT_PEM) <= 0)
        code = set_error(err, ATLS_E_CONFIG, "%.100s: no certificate in PEM", l->client_ca);
    gnutls_certificate_free_credentials(credentials);
    return code;
}

static enum atls_code credentials_load(const struct config_listener *l, struct credentials *out,
                                       struct atls_err *err)
{
    struct credentials c = {ATLS_BUF_INIT, ATLS_BUF_INIT, ATLS_BUF_INIT};
    enum atls_code code = ATLS_OK;

    if (l->certificate != NULL &&
        ((code = file_read(l->certificate, FILE_PUBLIC, CERTIFICATE_MAX, &c.certificate, err)) !=
             ATLS_OK ||
         (code = file_read(l->key, FILE_SECRET, CERTIFICATE_MAX, &c.key, err)) != ATLS_OK ||
         (l->client_ca != NULL && (code = file_read(l->client_ca, FILE_PUBLIC, CERTIFICATE_MAX,
                                                    &c.client_ca, err)) != ATLS_OK) ||
         (code = check_pair(l, &c, err)) != ATLS_OK)) {
        credentials_clear(&c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

enum atls_code server_check(const struct config *config, struct atls_err *err)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        struct credentials c;
        enum atls_code code = credentials_load(&config->listeners[i], &c, err);

        if (code != ATLS_OK)
            return code;
        credentials_clear(&c);
    }
    return ATLS_OK;
}

/* Rows of the option array; there is room for all of them. */
static void add_option(struct MHD_OptionItem *options, enum MHD_OPTION option, intptr_t value,
                       void *pointer)
{
    size_t i = 0;

    while (options[i].option != MHD_OPTION_END)
        i++;
    options[i] = (struct MHD_OptionItem){option, value, pointer};
    options[i + 1] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

/* Each thread has room for one at least. */
static size_t connection_limit(const struct config *config)
{
    int64_t threads = thread_count(config), limit = config->limits.connections;

    return (size_t)(limit > threads ? limit : threads);
}

static void add_limits(struct MHD_OptionItem *options, const struct config *config)
{
    const struct config_limits *limits = &config->limits;
    unsigned threads = thread_count(config);
    intptr_t pool = (intptr_t)limits->header * 4;

    if (threads > 1)
        add_option(options, MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL);
    add_option(options, MHD_OPTION_CONNECTION_LIMIT, (intptr_t)connection_limit(config), NULL);
    if (limits->connections_per_client > 0)
        add_option(options, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                   (intptr_t)limits->connections_per_client, NULL);
    add_option(options, MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)limits->idle_timeout_s, NULL);
    add_option(options, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
               pool > (intptr_t)POOL_MIN ? pool : (intptr_t)POOL_MIN, NULL);
}

static enum atls_code listener_start(struct listener *l, struct credentials *c,
                                     struct atls_err *err)
{
    struct MHD_OptionItem options[16] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET;
    enum atls_code code = listen_get(&l->config->listen, &l->door.fd, l->text, err);

    if (code != ATLS_OK)
        return code;
    add_limits(options, l->server->generation->config);
    if (l->config->certificate != NULL) {
        /* With epoll libmicrohttpd takes all of a core, without sleeping, for a client that began a
         * record in the handshake and does not go on. */
        flags |= MHD_USE_TLS | MHD_USE_POLL;
        add_option(options, MHD_OPTION_HTTPS_MEM_CERT, 0, c->certificate.ptr);
        add_option(options, MHD_OPTION_HTTPS_MEM_KEY, 0, c->key.ptr);
        add_option(options, MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES);
    } else {
        flags |= MHD_USE_EPOLL;
    }
    if (c->client_ca.len > 0) {
        l->client_ca = c->client_ca; /* its address says to ask for certificates */
        c->client_ca = (struct atls_buf)ATLS_BUF_INIT;
        add_option(options, MHD_OPTION_HTTPS_MEM_TRUST, 0, l->client_ca.ptr);
    }
    l->door.daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, l, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, l, STRICT_OPTION, 1, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (l->door.daemon == NULL)
        return set_error(err, ATLS_E_CONFIG, "%.100s: the HTTP library does not start",
                         l->config->address);
    return ATLS_OK;
}

/* From here on connections come. */
static enum atls_code listener_open(struct listener *l, struct atls_err *err)
{
    struct log_line line;
    enum atls_code code;

    l->door.most = connection_limit(l->server->generation->config);
    if ((code = acceptor_start(&l->door, &l->acceptor, err)) != ATLS_OK)
        return code;
    log_begin(&line, ATLS_LOG_INFO, "listening");
    log_field(&line, "address", l->text);
    log_field(&line, "scheme", l->config->certificate != NULL ? "https" : "http");
    log_end(&line);
    return ATLS_OK;
}

enum atls_code server_start(struct service *service, struct generation *generation,
                            struct server **out, struct atls_err *err)
{
    const struct config *config = generation->config;
    struct server *s = calloc(1, sizeof *s);
    enum atls_code code = ATLS_OK;

    if (s == NULL)
        return set_error(err, ATLS_E_NOMEM, "server: out of memory");
    s->service = service;
    s->generation = generation_ref(generation);
    for (size_t i = 0; i < config->listener_count && code == ATLS_OK; i++) {
        struct credentials c = {ATLS_BUF_INIT, ATLS_BUF_INIT, ATLS_BUF_INIT};
        struct listener *l = &s->listeners[s->count++];

        l->server = s;
        l->config = &config->listeners[i];
        l->door.fd = -1;
        atomic_init(&l->door.open, 0);
        if ((code = credentials_load(l->config, &c, err)) == ATLS_OK)
            code = listener_start(l, &c, err);
        credentials_clear(&c);
    }
    /* Sockets are shared with the server before: nobody is let in who would be dropped because
     * another listener does not start. */
    for (size_t i = 0; i < s->count && code == ATLS_OK; i++)
        code = listener_open(&s->listeners[i], err);
    if (code != ATLS_OK) {
        server_stop(s);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

void server_retire(struct server *s, bool keep_operation)
{
    atomic_store(&s->generation->retired, true);
    for (size_t i = 0; i < s->count; i++) {
        struct listener *l = &s->listeners[i];

        if (keep_operation && l->config->serve == SERVE_OPERATION)
            continue;
        acceptor_stop(l->acceptor);
        l->acceptor = NULL;
    }
}

size_t server_connections(const struct server *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++)
        count += atomic_load(&s->listeners[i].door.open);
    return count;
}

void server_stop(struct server *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++) {
        struct listener *l = &s->listeners[i];

        acceptor_stop(l->acceptor);
        if (l->door.daemon != NULL)
            MHD_stop_daemon(l->door.daemon);
        if (l->door.fd >= 0)
            close(l->door.fd);
        atls_buf_clear(&l->client_ca);
    }
    generation_unref(s->generation);
    free(s);
}
