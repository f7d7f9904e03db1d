#include "verifier/remote/http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include <curl/curl.h>
#include <jansson.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "verifier/remote/file.h"
#include "wire/cmw.h"

#define CA_FILE_MAX  (4 * 1024 * 1024)
#define AGE_MAX_S    INT64_C(31536000) /* of Cache-Control and Retry-After: a year */
#define TOKEN_MAX    4096
#define URL_IN_ERROR 80
/* libcurl's timers and our clock need not agree to the millisecond. */
#define TIMER_SLACK_MS 50

struct atls_http {
    char *ca_file, *client_certificate, *client_key;
    char *authorization; /* header line, secret, or NULL */
    bool use_environment_proxy;
    atomic_bool stopped;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    /* Sharing a connection cache between threads is unsafe in libcurl (curl_share_setopt(3)), so
     * each handle has its own; the one used last comes first, its connection is the warmest. */
    CURL *idle[ATLS_HTTP_IDLE_MAX];
    size_t idle_count, busy_count;
};

int64_t atls_http_now_ms(void)
{
    return atls_clock_monotonic_ms(NULL);
}

/* ---- SIGPIPE ---- */

/* Kept from killing the program while libcurl works: a TLS library may write to a connection that
 * the service has closed, and what to do about signals is the program's to say. */
struct pipe_guard {
    bool was_pending;
    sigset_t old;
};

static void guard_pipe(struct pipe_guard *guard)
{
    sigset_t pipe_alone, pending;

    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    guard->was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe_alone, &guard->old);
}

static void unguard_pipe(const struct pipe_guard *guard)
{
    const struct timespec now = {0, 0};
    sigset_t pipe_alone;

    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    if (!guard->was_pending)
        while (sigtimedwait(&pipe_alone, NULL, &now) < 0 && errno == EINTR)
            ;
    (void)pthread_sigmask(SIG_SETMASK, &guard->old, NULL);
}

static void end_handle(CURL *curl)
{
    struct pipe_guard guard;

    if (curl == NULL)
        return;
    guard_pipe(&guard);
    curl_easy_cleanup(curl);
    unguard_pipe(&guard);
}

/* ---- making ---- */

static CURLcode library_state;

static void start_library(void)
{
    library_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* libcurl wants one call before any thread uses it, and libraries cannot know who else did. */
static enum atls_code need_library(struct atls_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (pthread_once(&once, start_library) != 0 || library_state != CURLE_OK)
        return atls_fail(err, ATLS_E_INTERNAL, "HTTP: libcurl did not start");
    if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SSL) == 0)
        return atls_fail(err, ATLS_E_INTERNAL, "HTTP: libcurl was built without TLS");
    return ATLS_OK;
}

static bool copy_text(const char *text, char **out)
{
    if (text == NULL)
        return true;
    *out = strdup(text);
    return *out != NULL;
}

/* libcurl would say so at the first peer. */
static enum atls_code check_certificates(const char *path, struct atls_err *err)
{
    struct atls_anchors *anchors = NULL;
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;
    size_t count = 0;
    char shown[128];

    if (path == NULL)
        return ATLS_OK;
    if ((code = atls_remote_read_file(path, CA_FILE_MAX, &pem, err)) != ATLS_OK)
        return code;
    if ((code = atls_anchors_new(&anchors, err)) == ATLS_OK) {
        code = atls_anchors_add_pem(anchors, atls_buf_bytes(&pem), &count, NULL);
        atls_anchors_unref(anchors);
        if (code != ATLS_OK || count == 0)
            code = atls_fail(err, ATLS_E_CONFIG, "%s: no certificates in PEM form",
                             atls_escape(atls_bytes_of(path, strlen(path)), shown, sizeof shown));
    }
    atls_buf_clear(&pem);
    return code;
}

/* RFC 6750 section 2.1: what a token is made of; nothing that could end the header. */
static enum atls_code take_token(struct atls_http *http, const char *token, struct atls_err *err)
{
    static const char head[] = "Authorization: Bearer ";
    size_t len;

    if (token == NULL)
        return ATLS_OK;
    len = strlen(token);
    if (len == 0 || len > TOKEN_MAX ||
        strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") !=
            len)
        return atls_fail(err, ATLS_E_CONFIG,
                         "bearer token: want 1 to %d letters, digits and -._~+/=", TOKEN_MAX);
    if ((http->authorization = malloc(sizeof head + len)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory");
    memcpy(http->authorization, head, sizeof head - 1);
    memcpy(http->authorization + sizeof head - 1, token, len + 1);
    return ATLS_OK;
}

static enum atls_code take_options(struct atls_http *http, const struct atls_http_options *options,
                                   struct atls_err *err)
{
    enum atls_code code;

    if ((options->client_certificate == NULL) != (options->client_key == NULL))
        return atls_fail(err, ATLS_E_CONFIG, "HTTP: client certificate and key go together");
    if (!copy_text(options->ca_file, &http->ca_file) ||
        !copy_text(options->client_certificate, &http->client_certificate) ||
        !copy_text(options->client_key, &http->client_key))
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory");
    http->use_environment_proxy = options->use_environment_proxy;
    if ((code = check_certificates(http->ca_file, err)) != ATLS_OK ||
        (code = check_certificates(http->client_certificate, err)) != ATLS_OK)
        return code;
    return take_token(http, options->bearer_token, err);
}

static bool start_locks(struct atls_http *http)
{
    pthread_condattr_t attributes;
    bool ok;

    if (pthread_condattr_init(&attributes) != 0)
        return false;
    ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&http->returned, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (ok && pthread_mutex_init(&http->lock, NULL) != 0) {
        pthread_cond_destroy(&http->returned);
        ok = false;
    }
    return ok;
}

enum atls_code atls_http_new(const struct atls_http_options *options, struct atls_http **out,
                             struct atls_err *err)
{
    struct atls_http *http;
    enum atls_code code;

    if ((code = need_library(err)) != ATLS_OK)
        return code;
    if ((http = calloc(1, sizeof *http)) == NULL || !start_locks(http)) {
        free(http);
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory");
    }
    atomic_init(&http->stopped, false);
    if ((code = take_options(http, options, err)) != ATLS_OK) {
        atls_http_free(http);
        return code;
    }
    *out = http;
    return ATLS_OK;
}

void atls_http_free(struct atls_http *http)
{
    if (http == NULL)
        return;
    for (size_t i = 0; i < http->idle_count; i++)
        end_handle(http->idle[i]);
    if (http->authorization != NULL)
        atls_wipe(http->authorization, strlen(http->authorization));
    free(http->authorization);
    free(http->ca_file);
    free(http->client_certificate);
    free(http->client_key);
    pthread_mutex_destroy(&http->lock);
    pthread_cond_destroy(&http->returned);
    free(http);
}

/* ---- handles ---- */

static enum atls_code too_late(struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                            "HTTP: the deadline passed before the service was asked");
}

static enum atls_code take_handle(struct atls_http *http, int64_t deadline_ms, CURL **out,
                                  struct atls_err *err)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int waited = 0;
    CURL *curl = NULL;

    pthread_mutex_lock(&http->lock);
    while (http->busy_count == ATLS_HTTP_HANDLES && waited == 0)
        waited = pthread_cond_timedwait(&http->returned, &http->lock, &until);
    if (http->busy_count == ATLS_HTTP_HANDLES) {
        pthread_mutex_unlock(&http->lock);
        return too_late(err);
    }
    http->busy_count++;
    if (http->idle_count > 0)
        curl = http->idle[--http->idle_count];
    pthread_mutex_unlock(&http->lock);
    if (curl == NULL && (curl = curl_easy_init()) == NULL) {
        pthread_mutex_lock(&http->lock);
        http->busy_count--;
        pthread_mutex_unlock(&http->lock);
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory");
    }
    *out = curl;
    return ATLS_OK;
}

static void return_handle(struct atls_http *http, CURL *curl)
{
    curl_easy_reset(curl); /* keeps its connections */
    pthread_mutex_lock(&http->lock);
    http->busy_count--;
    if (http->idle_count < ATLS_HTTP_IDLE_MAX) {
        http->idle[http->idle_count++] = curl;
        curl = NULL;
    }
    pthread_cond_signal(&http->returned);
    pthread_mutex_unlock(&http->lock);
    end_handle(curl);
}

/* ---- what comes back ---- */

struct exchange {
    struct atls_http_response response;
    const char *keep_header;
    struct atls_writer header, body;
    size_t headers_len;
    bool headers_end;   /* their empty line came: a lost connection looks like an end to libcurl */
    const char *broken; /* the rule that the answer broke, or NULL */
};

static size_t receive_body(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;

    atls_put_bytes(&x->body, atls_bytes_of(data, size * count));
    if (x->body.failed == ATLS_OK)
        return size * count;
    if (x->body.failed == ATLS_E_LIMIT)
        x->broken = "the body is over 256 KiB";
    return 0;
}

/* Decimal digits and nothing else, bounded. */
static bool get_number(struct atls_bytes text, int64_t *out)
{
    int64_t n = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n < AGE_MAX_S ? 10 * n + (text.ptr[i] - '0') : n;
    }
    *out = n < AGE_MAX_S ? n : AGE_MAX_S;
    return true;
}

static struct atls_bytes trim(struct atls_bytes text)
{
    while (text.len > 0 && memchr(" \t\r\n", text.ptr[text.len - 1], 4) != NULL)
        text.len--;
    while (text.len > 0 && memchr(" \t", text.ptr[0], 2) != NULL) {
        text.ptr++;
        text.len--;
    }
    return text;
}

/* Directives between commas (RFC 9111 section 5.2). */
static void read_cache_control(struct atls_bytes value, struct atls_http_response *response)
{
    while (value.len > 0) {
        const uint8_t *comma = memchr(value.ptr, ',', value.len);
        size_t len = comma != NULL ? (size_t)(comma - value.ptr) : value.len;
        struct atls_bytes directive = trim(atls_bytes_of(value.ptr, len));
        int64_t age;

        if (atls_bytes_equal_without_case(directive, atls_bytes_of("no-store", 8)) ||
            atls_bytes_equal_without_case(directive, atls_bytes_of("no-cache", 8)))
            response->max_age_s = 0;
        else if (directive.len > 8 &&
                 strncasecmp((const char *)directive.ptr, "max-age=", 8) == 0 &&
                 get_number(atls_bytes_of(directive.ptr + 8, directive.len - 8), &age) &&
                 (response->max_age_s < 0 || age < response->max_age_s))
            response->max_age_s = age;
        value.ptr += comma != NULL ? len + 1 : len;
        value.len -= comma != NULL ? len + 1 : len;
    }
}

/* A value that has to fit and be there once; "" counts as absent. */
static const char *keep(struct atls_bytes value, char *out, size_t size)
{
    if (out[0] != '\0')
        return "a header that names one thing is there twice";
    if (value.len >= size || memchr(value.ptr, 0, value.len) != NULL)
        return "a header is too long";
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return NULL;
}

static const char *keep_wanted(struct exchange *x, struct atls_bytes value)
{
    if (x->header.len != 0)
        return "a header that names one thing is there twice";
    atls_put_bytes(&x->header, value);
    return NULL;
}

static const char *read_header(struct exchange *x, struct atls_bytes name, struct atls_bytes value)
{
    struct atls_http_response *r = &x->response;

    if (x->keep_header != NULL &&
        atls_bytes_equal_without_case(name, atls_bytes_of(x->keep_header, strlen(x->keep_header))))
        return keep_wanted(x, value);
    if (atls_bytes_equal_without_case(name, atls_bytes_of("content-type", 12)))
        return keep(value, r->content_type, sizeof r->content_type);
    if (atls_bytes_equal_without_case(name, atls_bytes_of("location", 8)))
        return keep(value, r->location, sizeof r->location);
    if (atls_bytes_equal_without_case(name, atls_bytes_of("cache-control", 13)))
        read_cache_control(value, r);
    else if (atls_bytes_equal_without_case(name, atls_bytes_of("retry-after", 11))) {
        if (!get_number(value, &r->retry_after_s))
            r->retry_after_s = -1;
    } else if (atls_bytes_equal_without_case(name, atls_bytes_of("content-encoding", 16)) &&
               value.len > 0 && !atls_bytes_equal_without_case(value, atls_bytes_of("identity", 8)))
        return "the body has a content coding that was not asked for";
    return NULL;
}

/* One line with its line end; a status line begins anew, after an interim answer (1xx). */
static size_t receive_header(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    struct atls_bytes line = atls_bytes_of(data, size * count);
    const uint8_t *colon;

    x->headers_len += line.len;
    if (x->headers_len > ATLS_HTTP_HEADERS_MAX) {
        x->broken = "the headers are over 64 KiB";
        return 0;
    }
    if (trim(line).len == 0)
        x->headers_end = true;
    if (line.len > 5 && memcmp(line.ptr, "HTTP/", 5) == 0) {
        x->response.content_type[0] = x->response.location[0] = '\0';
        x->response.max_age_s = x->response.retry_after_s = -1;
        x->header.len = 0;
        x->headers_end = false;
    } else if ((colon = memchr(line.ptr, ':', line.len)) != NULL) {
        size_t name_len = (size_t)(colon - line.ptr);

        x->broken = read_header(x, atls_bytes_of(line.ptr, name_len),
                                trim(atls_bytes_of(colon + 1, line.len - name_len - 1)));
    }
    return x->broken == NULL ? line.len : 0;
}

/* ---- the exchange ---- */

static struct curl_slist *add_header(struct curl_slist *list, bool *ok, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);

    *ok = *ok && longer != NULL;
    return longer != NULL ? longer : list;
}

static enum atls_code make_headers(const struct atls_http *http,
                                   const struct atls_http_request *request, struct curl_slist **out,
                                   struct atls_err *err)
{
    struct curl_slist *list = NULL;
    bool ok = true;
    char line[600];

    list = add_header(list, &ok, "Expect:"); /* no waiting for 100 Continue */
    if (request->accept != NULL) {
        ok = ok && snprintf(line, sizeof line, "Accept: %s", request->accept) < (int)sizeof line;
        list = add_header(list, &ok, line);
    }
    if (request->content_type != NULL) {
        ok = ok && snprintf(line, sizeof line, "Content-Type: %s", request->content_type) <
                       (int)sizeof line;
        list = add_header(list, &ok, line);
    } else if (strcmp(request->method, "POST") == 0) {
        list = add_header(list, &ok, "Content-Type:");
    }
    if (http->authorization != NULL && strncmp(request->url, "https:", 6) == 0)
        list = add_header(list, &ok, http->authorization);
    if (!ok) {
        curl_slist_free_all(list);
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory, or a media type is too long");
    }
    *out = list;
    return ATLS_OK;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(curl, (option), (value)) == CURLE_OK)

/* Who is asked, and how far that is trusted. */
static bool set_trust(CURL *curl, const struct atls_http *http,
                      const struct atls_http_request *request)
{
    bool ok = true;

    SET(CURLOPT_PROTOCOLS_STR, strncmp(request->url, "https:", 6) == 0 ? "https" : "http");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (http->ca_file != NULL) {
        SET(CURLOPT_CAINFO, http->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* the system's folder would count beside the file */
    }
    if (http->client_certificate != NULL) {
        SET(CURLOPT_SSLCERT, http->client_certificate);
        SET(CURLOPT_SSLKEY, http->client_key);
    }
    if (!http->use_environment_proxy)
        SET(CURLOPT_PROXY, "");
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    return ok;
}

/* A program that the caller starts gets no connection of ours. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool set_request(CURL *curl, const struct atls_http_request *request, long left_ms)
{
    bool ok = true;

    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, left_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, left_ms < ATLS_HTTP_CONNECT_MS ? left_ms : ATLS_HTTP_CONNECT_MS);
    if (strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        SET(CURLOPT_POSTFIELDS, request->body.len > 0 ? (const char *)request->body.ptr : "");
    } else if (strcmp(request->method, "GET") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
    } else {
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    }
    return ok;
}

static bool set_callbacks(CURL *curl, struct exchange *x, struct curl_slist *headers)
{
    bool ok = true;

    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_HEADERFUNCTION, receive_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, receive_body);
    SET(CURLOPT_WRITEDATA, x);
    return ok;
}

/* X509_V_ERR_... numbers, which are part of OpenSSL's interface, as reasons. libcurl compares the
 * host name itself, before it asks for the verdict on the chain: that is 1 then. */
static enum atls_reason reason_of(long verify_result)
{
    static const struct {
        long number;
        enum atls_reason reason;
    } rows[] = {
        {0, ATLS_REASON_CERTIFICATE_NAME},     {1, ATLS_REASON_CERTIFICATE_NAME},
        {7, ATLS_REASON_CHAIN_SIGNATURE},      {9, ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {10, ATLS_REASON_CERTIFICATE_EXPIRED}, {23, ATLS_REASON_CERTIFICATE_REVOKED},
        {26, ATLS_REASON_KEY_USAGE},           {62, ATLS_REASON_CERTIFICATE_NAME},
        {64, ATLS_REASON_CERTIFICATE_NAME},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].number == verify_result)
            return rows[i].reason;
    return ATLS_REASON_UNTRUSTED_ROOT;
}

static enum atls_code explain(CURL *curl, CURLcode result, const char *url, const char *text,
                              struct atls_err *err)
{
    char shown[160], where[URL_IN_ERROR];
    long verify_result = 0;

    if (text[0] == '\0')
        text = curl_easy_strerror(result);
    atls_escape(atls_bytes_of(text, strlen(text)), shown, sizeof shown);
    atls_escape(atls_bytes_of(url, strlen(url)), where, sizeof where);
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        (void)curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &verify_result);
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, reason_of(verify_result), "%s: %s", where,
                                shown);
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CRL_BADFILE:
        return atls_fail(err, ATLS_E_CONFIG, "%s: %s", where, shown);
    case CURLE_OUT_OF_MEMORY:
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory");
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return atls_fail(err, ATLS_E_USAGE, "%s: %s", where, shown);
    case CURLE_UNSUPPORTED_PROTOCOL: /* also HTTP/0.9, which any bytes are */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: no HTTP answer: %s", where, shown);
    default:
        return atls_fail(err, ATLS_E_UNAVAILABLE, "%s: %s", where, shown);
    }
}

/* A failed transfer: what we found wrong goes before what libcurl says of it. */
static enum atls_code fail(CURL *curl, CURLcode result, const struct exchange *x,
                           const struct atls_http_request *request, const char *text,
                           struct atls_err *err)
{
    char where[URL_IN_ERROR];

    atls_escape(atls_bytes_of(request->url, strlen(request->url)), where, sizeof where);
    if (x->broken != NULL)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: %s", where, x->broken);
    if (x->body.failed == ATLS_E_NOMEM)
        return atls_fail(err, ATLS_E_NOMEM, "HTTP: out of memory");
    if (result == CURLE_ABORTED_BY_CALLBACK)
        return atls_fail(err, ATLS_E_TIMEOUT, "%s: stopped", where);
    if (result == CURLE_OPERATION_TIMEDOUT &&
        atls_http_now_ms() >= request->deadline_ms - TIMER_SLACK_MS)
        return atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                                "%s: no whole answer before the deadline", where);
    return explain(curl, result, request->url, text, err);
}

void atls_http_stop(struct atls_http *http)
{
    atomic_store(&http->stopped, true);
}

/* libcurl asks at least once a second. */
static int is_stopped(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                      curl_off_t up)
{
    struct atls_http *http = arg;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return atomic_load(&http->stopped) ? 1 : 0;
}

static bool set_stop(CURL *curl, struct atls_http *http)
{
    return curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_stopped) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http) == CURLE_OK;
}

static void note_sent(CURL *curl, const struct atls_http_request *request)
{
    long sent = 0;

    if (request->out_sent != NULL)
        *request->out_sent =
            curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent) != CURLE_OK || sent > 0;
}

/* The transfer itself, on a handle that has nothing set. */
static enum atls_code perform(CURL *curl, struct atls_http *http,
                              const struct atls_http_request *request, struct exchange *x,
                              struct atls_err *err)
{
    int64_t left_ms = request->deadline_ms - atls_http_now_ms();
    char text[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    struct pipe_guard guard;
    enum atls_code code;
    CURLcode result;

    if (left_ms <= 0)
        return too_late(err);
    if (atomic_load(&http->stopped))
        return atls_fail(err, ATLS_E_TIMEOUT, "HTTP: stopped");
    if ((code = make_headers(http, request, &headers, err)) != ATLS_OK)
        return code;
    if (set_trust(curl, http, request) && set_request(curl, request, (long)left_ms) &&
        set_callbacks(curl, x, headers) && set_stop(curl, http) &&
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text) == CURLE_OK) {
        guard_pipe(&guard);
        result = curl_easy_perform(curl);
        unguard_pipe(&guard);
        note_sent(curl, request);
        if (result == CURLE_OK)
            result = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->response.status);
        if (result != CURLE_OK)
            code = fail(curl, result, x, request, text, err);
        else if (!x->headers_end)
            code = atls_fail(err, ATLS_E_UNAVAILABLE, "HTTP: the connection ended in the headers");
        else if (x->response.status < 200 || x->response.status > 599)
            code = atls_fail(err, ATLS_E_PROTOCOL, "HTTP: status %ld", x->response.status);
    } else {
        code = atls_fail(err, ATLS_E_INTERNAL, "HTTP: libcurl refused an option");
    }
    curl_slist_free_all(headers);
    return code;
}

enum atls_code atls_http_exchange(struct atls_http *http, const struct atls_http_request *request,
                                  struct atls_http_response *out, struct atls_err *err)
{
    struct exchange x = {.response = {.max_age_s = -1, .retry_after_s = -1},
                         .keep_header = request->keep_header,
                         .header = atls_writer_init(ATLS_HTTP_HEADERS_MAX),
                         .body = atls_writer_init(ATLS_HTTP_BODY_MAX)};
    enum atls_code code;
    CURL *curl = NULL;

    if (request->out_sent != NULL)
        *request->out_sent = false;
    if (strncmp(request->url, "https://", 8) != 0 && strncmp(request->url, "http://", 7) != 0)
        return atls_fail(err, ATLS_E_USAGE, "HTTP: the URL is neither https nor http");
    if ((code = take_handle(http, request->deadline_ms, &curl, err)) != ATLS_OK)
        return code;
    code = perform(curl, http, request, &x, err);
    return_handle(http, curl);
    if (code == ATLS_OK && (x.header.len != 0 || x.header.failed != ATLS_OK))
        code = atls_writer_finish(&x.header, &x.response.header, err);
    if (code == ATLS_OK)
        code = atls_writer_finish(&x.body, &x.response.body, err);
    atls_writer_clear(&x.header);
    atls_writer_clear(&x.body);
    if (code == ATLS_OK)
        *out = x.response;
    else
        atls_buf_clear(&x.response.header);
    return code;
}

void atls_http_response_clear(struct atls_http_response *response)
{
    atls_buf_clear(&response->header);
    atls_buf_clear(&response->body);
}

/* ---- reading answers ---- */

bool atls_http_is(const struct atls_http_response *response, const char *media_type)
{
    struct atls_bytes text = atls_bytes_of(response->content_type, strlen(response->content_type));
    const struct atls_cmw_type type = {.is_text = true, .text = text};

    return atls_content_type_valid(text) && atls_cmw_type_is(&type, media_type);
}

/* Text of one member of a problem document; "" when there is none. */
static void problem_text(const struct atls_http_response *response, char *out, size_t size)
{
    json_t *problem = NULL;
    const json_t *text;

    out[0] = '\0';
    if (response->body.len > 0 && atls_http_is(response, "application/problem+json"))
        problem = json_loadb((const char *)response->body.ptr, response->body.len,
                             JSON_REJECT_DUPLICATES, NULL);
    text = json_object_get(problem, "detail");
    if (!json_is_string(text))
        text = json_object_get(problem, "title");
    if (json_is_string(text))
        atls_escape(atls_bytes_of(json_string_value(text), json_string_length(text)), out, size);
    json_decref(problem);
}

enum atls_code atls_http_unwanted(const struct atls_http_response *response, const char *what,
                                  struct atls_err *err)
{
    bool passes = response->status >= 500 || response->status == 429;
    char detail[160];

    problem_text(response, detail, sizeof detail);
    return atls_fail(err, passes ? ATLS_E_UNAVAILABLE : ATLS_E_PROTOCOL,
                     "%s: the service answered %ld%s%s%s", what, response->status,
                     detail[0] != '\0' ? " (" : "", detail, detail[0] != '\0' ? ")" : "");
}
