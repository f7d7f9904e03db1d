#include "operation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "log.h"
#include "metrics.h"

#define CONNECTIONS_MAX 64
/* Of one address: nobody keeps those away who ask for health. Unix sockets have none. */
#define SOURCE_MAX 16
#define TIMEOUT_S  10
#define POOL_SIZE  16384

/* Refuse what only a lenient server would take. */
#if MHD_VERSION >= 0x00097701
#define STRICT_OPTION MHD_OPTION_CLIENT_DISCIPLINE_LVL
#else
#define STRICT_OPTION MHD_OPTION_STRICT_FOR_CLIENT
#endif

struct operation {
    const struct operation_source *source;
    struct MHD_Daemon *daemon;
};

/* ---- answers ---- */

struct answer {
    unsigned status;
    const char *type;
    struct text body;
};

void operation_check(struct operation_checks *checks, const char *name, const char *problem)
{
    text_open(checks->out, '{');
    text_member(checks->out, "check", name);
    text_member(checks->out, "status", problem[0] == '\0' ? "ok" : "failed");
    if (problem[0] != '\0')
        text_member(checks->out, "detail", problem);
    text_close(checks->out, '}');
    checks->failed = checks->failed || problem[0] != '\0';
}

static void answer_checks(struct answer *a, void (*run)(void *, struct operation_checks *),
                          void *arg, const char *good, const char *bad)
{
    struct text list = {0};
    struct operation_checks checks = {&list, false};

    text_open(&list, '[');
    run(arg, &checks);
    text_close(&list, ']');
    if (list.failed)
        checks.failed = true;
    a->status = checks.failed ? 503 : 200;
    a->type = checks.failed ? "application/problem+json" : "application/json";
    text_open(&a->body, '{');
    if (checks.failed) {
        text_member(&a->body, "type", "about:blank");
        text_member(&a->body, "title", bad);
        text_member_int(&a->body, "status", 503);
    } else {
        text_member(&a->body, "status", good);
    }
    if (!list.failed) {
        text_key(&a->body, "checks");
        text_raw(&a->body, list.ptr);
    }
    text_close(&a->body, '}');
    text_clear(&list);
}

static void answer_problem(struct answer *a, unsigned status, const char *title)
{
    a->status = status;
    a->type = "application/problem+json";
    text_open(&a->body, '{');
    text_member(&a->body, "type", "about:blank");
    text_member(&a->body, "title", title);
    text_member_int(&a->body, "status", status);
    text_close(&a->body, '}');
}

static void make_answer(const struct operation_source *source, const char *method,
                        const char *target, struct answer *a)
{
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        answer_problem(a, 405, "only GET and HEAD");
    } else if (strcmp(target, "/healthz") == 0) {
        answer_checks(a, source->health, source->arg, "alive", "not alive");
    } else if (strcmp(target, "/readyz") == 0) {
        answer_checks(a, source->ready, source->arg, "ready", "not ready");
    } else if (strcmp(target, "/metrics") == 0) {
        a->status = 200;
        a->type = "text/plain; version=0.0.4";
        metrics_write(&a->body);
    } else {
        answer_problem(a, 404, "nothing of this name");
    }
}

static enum MHD_Result send_answer(struct MHD_Connection *c, struct answer *a)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (a->body.failed || (response = MHD_create_response_from_buffer(
                               a->body.len, a->body.ptr, MHD_RESPMEM_MUST_FREE)) == NULL) {
        text_clear(&a->body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", a->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (a->status == 405)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (a->status == 503)
        MHD_add_response_header(response, "Retry-After", "2");
    result = MHD_queue_response(c, a->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- requests ---- */

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **context)
{
    const struct operation *o = cls;
    struct answer a = {0};

    (void)version;
    (void)data;
    /* The first call of a request; then its body, which nobody wants; then its end. */
    if (*context == NULL) {
        *context = cls;
        return MHD_YES;
    }
    if (*len > 0) {
        *len = 0;
        return MHD_YES;
    }
    make_answer(o->source, method, url, &a);
    return send_answer(c, &a);
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

/* The library closes what it listens on, and must not wait in accept(2). */
static int listening_copy(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), flags = copy >= 0 ? fcntl(copy, F_GETFL) : -1;

    if (flags >= 0 && fcntl(copy, F_SETFL, flags | O_NONBLOCK) == 0)
        return copy;
    if (copy >= 0)
        close(copy);
    return -1;
}

enum atls_code operation_start(int fd, const struct operation_source *source,
                               struct operation **out, struct atls_err *err)
{
    struct operation *o = calloc(1, sizeof *o);
    int copy;

    if (o == NULL)
        return set_error(err, ATLS_E_NOMEM, "operation: out of memory");
    o->source = source;
    if ((copy = listening_copy(fd)) >= 0)
        o->daemon = MHD_start_daemon(
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
            NULL, NULL, on_request, o, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
            MHD_OPTION_LISTEN_SOCKET, copy, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
            MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)SOURCE_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE,
            STRICT_OPTION, 1, MHD_OPTION_END);
    /* Whether a daemon that did not start has closed its socket depends on where it failed. The
     * program ends here, so it is left open. */
    if (o->daemon == NULL) {
        free(o);
        return set_error(err, ATLS_E_CONFIG, "operation: the HTTP library does not start");
    }
    *out = o;
    return ATLS_OK;
}

void operation_stop(struct operation *o)
{
    if (o == NULL)
        return;
    MHD_stop_daemon(o->daemon);
    free(o);
}
