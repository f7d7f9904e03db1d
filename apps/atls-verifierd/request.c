#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "metrics.h"

/* ---- answers ---- */

static const struct {
    unsigned status;
    const char *title;
} titles[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
};

const char *status_title(unsigned status)
{
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "";
}

void reply_clear(struct reply *reply)
{
    text_clear(&reply->body);
    reply->status = 0;
    reply->header_count = 0;
    reply->content_type = NULL;
}

void reply_start(struct reply *reply, unsigned status, const char *content_type)
{
    text_clear(&reply->body);
    reply->status = status;
    reply->content_type = content_type;
}

void reply_header(struct reply *reply, const char *name, const char *format, ...)
{
    struct reply_header *h;
    va_list args;

    if (reply->header_count == HEADERS_MAX)
        return;
    h = &reply->headers[reply->header_count++];
    h->name = name;
    va_start(args, format);
    vsnprintf(h->value, sizeof h->value, format, args);
    va_end(args);
}

static void write_problem(const struct request *r, struct reply *reply, unsigned status,
                          const char *detail, const char *reason)
{
    char instance[64];

    reply_start(reply, status, "application/problem+json");
    snprintf(instance, sizeof instance, "urn:uuid:%s", r->id);
    text_open(&reply->body, '{');
    text_member(&reply->body, "type", "about:blank");
    text_member(&reply->body, "title", status_title(status));
    text_member_int(&reply->body, "status", status);
    text_member(&reply->body, "detail", detail);
    text_member(&reply->body, "instance", instance);
    if (reason != NULL)
        text_member(&reply->body, "reason", reason);
    text_close(&reply->body, '}');
}

void reply_problem(struct request *r, struct reply *reply, unsigned status, const char *format, ...)
{
    char detail[512];
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    write_problem(r, reply, status, detail, NULL);
}

/* What is wrong with what the client sent, by code; everything else is our own trouble. */
static unsigned status_of(enum atls_code code)
{
    static const struct {
        enum atls_code code;
        unsigned status;
    } rows[] = {
        {ATLS_E_DECODE, 400},   {ATLS_E_USAGE, 400},       {ATLS_E_UNSUPPORTED, 422},
        {ATLS_E_VERIFY, 403},   {ATLS_E_CERTIFICATE, 422}, {ATLS_E_PROTOCOL, 409},
        {ATLS_E_EVIDENCE, 422}, {ATLS_E_LIMIT, 413},       {ATLS_E_NOT_FOUND, 404},
        {ATLS_E_CONFIG, 503},   {ATLS_E_IO, 503},          {ATLS_E_UNAVAILABLE, 503},
        {ATLS_E_NOMEM, 503},    {ATLS_E_TIMEOUT, 503},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == code)
            return rows[i].status;
    return 500;
}

void reply_error(struct request *r, struct reply *reply, const struct atls_err *err)
{
    unsigned status = status_of(err->code);
    const char *reason = err->reason != ATLS_REASON_NONE ? atls_reason_name(err->reason) : NULL;

    if (status < 500) {
        write_problem(r, reply, status, err->message, reason);
        return;
    }
    /* What happened inside is for the log; the client learns whether to come again. */
    log_say(ATLS_LOG_ERROR, "failure", "request %s: %s: %s", r->id, atls_code_name(err->code),
            err->message);
    if (r->tenant != NULL)
        metric_add(METRIC_STORE_ERRORS, r->tenant->config->name, NULL, NULL);
    if (status == 503) {
        reply_header(reply, "Retry-After", "2");
        reply_problem(r, reply, 503, "the service cannot do this now; try again");
    } else {
        reply_problem(r, reply, 500, "the service failed");
    }
}

bool need_store(struct request *r, struct reply *reply, struct atls_store **out)
{
    *out = tenant_store(r->tenant);
    if (*out != NULL)
        return true;
    metric_add(METRIC_STORE_ERRORS, r->tenant->config->name, NULL, NULL);
    reply_header(reply, "Retry-After", "2");
    reply_problem(r, reply, 503, "the store cannot be reached; try again");
    return false;
}

/* ---- routes ---- */

static const struct route routes[] = {
    {"newSession",
     "/challenge-response/v1/newSession",
     false,
     METHOD_POST,
     "POST",
     {"nonce", "nonceSize", NULL},
     MEDIA_SESSION,
     NULL,
     session_new},
    {"session",
     "/challenge-response/v1/session/*",
     false,
     METHOD_GET | METHOD_POST | METHOD_DELETE,
     "GET, POST, DELETE",
     {NULL},
     MEDIA_SESSION,
     session_begin,
     session_answer},
    {"submit",
     "/endorsement-provisioning/v1/submit",
     false,
     METHOD_POST,
     "POST",
     {NULL},
     MEDIA_PROVISION,
     provision_begin,
     provision_answer},
    {"verification",
     "/.well-known/veraison/verification",
     false,
     METHOD_GET,
     "GET",
     {NULL},
     MEDIA_DISCOVERY,
     NULL,
     discovery_verification},
    {"provisioning",
     "/.well-known/veraison/provisioning",
     false,
     METHOD_GET,
     "GET",
     {NULL},
     MEDIA_DISCOVERY,
     NULL,
     discovery_provisioning},
    {"jwks",
     "/.well-known/jwks.json",
     false,
     METHOD_GET,
     "GET",
     {NULL},
     NULL,
     NULL,
     discovery_keys},
    {"healthz", "/healthz", true, METHOD_GET, "GET", {NULL}, NULL, NULL, operation_healthz},
    {"readyz", "/readyz", true, METHOD_GET, "GET", {NULL}, NULL, NULL, operation_readyz},
    {"metrics", "/metrics", true, METHOD_GET, "GET", {NULL}, NULL, NULL, operation_metrics},
};

static const struct route *match_route(const char *path, bool operation, const char **out_rest)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *route = &routes[i];
        size_t len = strlen(route->path);

        if (route->operation != operation)
            continue;
        if (route->path[len - 1] == '*' ? strncmp(path, route->path, len - 1) == 0
                                        : strcmp(path, route->path) == 0) {
            *out_rest = path + len - 1;
            return route;
        }
    }
    return NULL;
}

/* Finds tenant and route of a path. */
static bool find_route(struct request *r, const char **out_rest)
{
    const struct config *config = r->generation->config;

    if (r->serve != SERVE_API && (r->route = match_route(r->uri.path, true, out_rest)) != NULL)
        return true;
    for (size_t i = 0; i < config->tenant_count && r->serve != SERVE_OPERATION; i++) {
        const char *prefix = config->tenants[i].prefix;
        size_t len = strlen(prefix);

        if (strncmp(r->uri.path, prefix, len) != 0)
            continue;
        r->route = match_route(r->uri.path + len, false, out_rest);
        if (r->route != NULL) {
            r->tenant = &r->generation->tenants[i];
            return true;
        }
    }
    return false;
}

static bool check_parameters(struct request *r, struct reply *reply)
{
    for (size_t i = 0; i < r->uri.count; i++) {
        size_t k = 0;

        while (r->route->parameters[k] != NULL &&
               strcmp(r->route->parameters[k], r->uri.parameters[i].name) != 0)
            k++;
        if (r->route->parameters[k] == NULL) {
            reply_problem(r, reply, 400, "query: unknown parameter \"%s\"",
                          r->uri.parameters[i].name);
            return false;
        }
    }
    return true;
}

static bool check_accept(struct request *r, struct reply *reply)
{
    bool ok = false;

    if (r->route->produces == NULL)
        return true;
    if (!accept_takes(r->accept, r->route->produces, &ok)) {
        reply_problem(r, reply, 400, "Accept: malformed");
        return false;
    }
    if (!ok)
        reply_problem(r, reply, 406, "Accept: this resource is %s", r->route->produces);
    return ok;
}

static bool check_head(struct request *r, struct reply *reply)
{
    if (r->wait_s > 0) {
        reply_header(reply, "Retry-After", "%u", r->wait_s);
        reply_problem(r, reply, 429, "more requests than one client may send");
        return false;
    }
    if (r->target_status != 0) {
        reply_problem(r, reply, r->target_status, "request target: %s", r->target_rule);
        return false;
    }
    if (r->header_rule != NULL) {
        reply_problem(r, reply, r->header_status, "%s", r->header_rule);
        return false;
    }
    return true;
}

bool request_begin(struct request *r, struct reply *reply)
{
    const char *rest = "";

    if (!check_head(r, reply))
        return false;
    if (!find_route(r, &rest)) {
        reply_problem(r, reply, 404, "there is no such resource");
        return false;
    }
    if ((r->route->methods & (int)r->method) == 0) {
        reply_header(reply, "Allow", "%s", r->route->allow);
        reply_problem(r, reply, 405, "method %.20s is none of %s", r->method_text, r->route->allow);
        return false;
    }
    if (strcmp(r->route->name, "session") == 0) {
        if (!uuid_is(rest)) {
            reply_problem(r, reply, 400, "session id: no UUID in lower case");
            return false;
        }
        memcpy(r->session_id, rest, sizeof r->session_id);
    }
    if (!check_parameters(r, reply) || (r->route->begin != NULL && !r->route->begin(r, reply)) ||
        !check_accept(r, reply))
        return false;
    if (r->content_length != 0 && r->body_max == 0 && r->content_length > 0) {
        reply_problem(r, reply, 400, "body: none is wanted here");
        return false;
    }
    if (r->content_length > 0 && (uint64_t)r->content_length > r->body_max) {
        reply_problem(r, reply, 413, "body: %lld bytes, at most %zu are taken",
                      (long long)r->content_length, r->body_max);
        return false;
    }
    return true;
}

void request_finish(struct request *r, struct reply *reply)
{
    r->route->answer(r, reply);
}

void request_end(struct request *r, struct reply *reply)
{
    const char *name = r->route != NULL ? r->route->name : "none";
    int64_t duration_us = now_us() - r->start_us;
    struct log_line line;
    char code[16];

    if (reply->status == 0)
        snprintf(code, sizeof code, "gone"); /* the client, before it had an answer */
    else
        snprintf(code, sizeof code, "%u", reply->status);
    metric_add(METRIC_REQUESTS, name, code, NULL);
    metric_observe(name, duration_us);
    log_begin(&line, reply->status >= 400 ? ATLS_LOG_INFO : ATLS_LOG_DEBUG, "request");
    log_field(&line, "request", r->id);
    log_field(&line, "client", r->client);
    log_field(&line, "method", r->method_text);
    log_field(&line, "endpoint", name);
    log_field(&line, "tenant", r->tenant != NULL ? r->tenant->config->name : "");
    log_number(&line, "code", reply->status);
    log_number(&line, "duration_us", duration_us);
    log_end(&line);
}
