/* For those who operate the daemon: is it alive, may it get work, what has it done. */
#include <stdio.h>

#include "metrics.h"
#include "request.h"

/* A clock before this was never set: 2026-01-01. Validity and freshness would mean nothing. */
#define CLOCK_SANE_S INT64_C(1767225600)
/* Upkeep asks every store each second; this long without an answer is a database that hangs. */
#define UPKEEP_LATE_MS 20000

void operation_healthz(struct request *r, struct reply *reply)
{
    (void)r;
    reply_start(reply, 200, "application/json");
    reply_header(reply, "Cache-Control", "no-store");
    text_puts(&reply->body, "{\"status\":\"alive\"}");
}

static bool write_check(struct text *out, const char *name, const char *problem)
{
    text_open(out, '{');
    text_member(out, "check", name);
    text_member(out, "status", problem[0] == '\0' ? "ok" : "failed");
    if (problem[0] != '\0')
        text_member(out, "detail", problem);
    text_close(out, '}');
    return problem[0] == '\0';
}

/* Texts are for the operator, and operation listeners may be open to others: no location of a store
 * and no error of a database goes out here; those are in the log. */
static bool write_checks(struct request *r, struct text *out)
{
    long long upkeep_ms = atomic_load(&r->service->upkeep_ms);
    bool ok = write_check(out, "draining",
                          atomic_load(&r->service->draining) ? "the daemon is going down" : "");

    ok = write_check(out, "clock", now_wall_s() < CLOCK_SANE_S ? "the clock is before 2026" : "") &&
         ok;
    ok = write_check(out, "upkeep",
                     upkeep_ms == 0                          ? "the stores were not asked yet"
                     : now_ms() - upkeep_ms > UPKEEP_LATE_MS ? "a store does not answer"
                                                             : "") &&
         ok;
    for (size_t i = 0; i < r->generation->config->tenant_count; i++) {
        struct tenant *t = &r->generation->tenants[i];
        char name[80], why[200];

        snprintf(name, sizeof name, "tenant:%s", t->config->name);
        tenant_why(t, why, sizeof why);
        ok = write_check(out, name, why) && ok;
    }
    return ok;
}

void operation_readyz(struct request *r, struct reply *reply)
{
    bool ok;

    reply_start(reply, 200, "application/json");
    reply_header(reply, "Cache-Control", "no-store");
    text_open(&reply->body, '{');
    text_key(&reply->body, "checks");
    text_open(&reply->body, '[');
    ok = write_checks(r, &reply->body);
    text_close(&reply->body, ']');
    text_member(&reply->body, "status", ok ? "ready" : "not ready");
    text_close(&reply->body, '}');
    if (!ok) {
        reply->status = 503;
        reply_header(reply, "Retry-After", "2");
    }
}

void operation_metrics(struct request *r, struct reply *reply)
{
    struct metric_gauges gauges = {
        .connections = atomic_load(&r->service->connections),
        .bodies_bytes = atomic_load(&r->service->bodies_bytes),
    };

    reply_start(reply, 200, "text/plain; version=0.0.4");
    reply_header(reply, "Cache-Control", "no-store");
    metrics_write(&reply->body, &gauges);
}
