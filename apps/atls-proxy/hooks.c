#include "hooks.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <netdb.h>
#include <openssl/sha.h>

#include <atls/result.h>

#include "log.h"
#include "prelude.h"
#include "tell.h"
#include "text.h"

/* ---- texts ---- */

static void address_text(const struct sockaddr_storage *address, char out[128])
{
    socklen_t len = address->ss_family == AF_INET    ? sizeof(struct sockaddr_in)
                    : address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                     : 0;
    char host[80], port[16];

    out[0] = '\0';
    if (address->ss_family == AF_UNIX)
        snprintf(out, 128, "unix");
    else if (len > 0 && getnameinfo((const struct sockaddr *)address, len, host, sizeof host, port,
                                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(out, 128, address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void key_text(struct atls_bytes spki, char out[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    out[0] = '\0';
    if (spki.len == 0 || SHA256(spki.ptr, spki.len, digest) == NULL)
        return;
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void log_peer(struct log_line *line, struct link *link, enum link_side_number side)
{
    static const char *const keys[2][7] = {
        {"client-verdict", "client-evidence", "client-binding", "client-flavour",
         "client-freshness", "client-key", "client-why"},
        {"target-verdict", "target-evidence", "target-binding", "target-flavour",
         "target-freshness", "target-key", "target-why"}};
    struct atls_peer peer;
    char key[65];

    if (!line->on || !link_peer(link, side, &peer))
        return;
    if (peer.unattested) {
        log_field(line, keys[side][0], "none");
        log_field(line, keys[side][6], "not attested (optional)");
    }
    if (peer.binding[0] == '\0')
        return; /* not appraised */
    key_text(peer.spki, key);
    log_field(line, keys[side][0], atls_tier_name(peer.status));
    log_field(line, keys[side][1], peer.evidence_type);
    log_field(line, keys[side][2], peer.binding);
    log_field(line, keys[side][3], atls_flavour_name(peer.flavour));
    log_field(line, keys[side][4], peer.freshness);
    log_field(line, keys[side][5], key);
    if (!peer.attested && peer.result != NULL)
        log_field(line, keys[side][6], atls_result_explanation(peer.result));
}

static void begin(struct log_line *line, enum atls_log_level level, const char *event,
                  struct link *link, const struct link_route *route)
{
    char client[128];

    log_begin(line, level, event);
    if (!line->on)
        return;
    log_number(line, "connection", (int64_t)link_number(link));
    if (route != NULL)
        log_field(line, "route", route->name);
    address_text(link_client(link), client);
    log_field(line, "client", client);
}

/* ---- of routes ---- */

static bool hold(const struct link_route *route)
{
    struct state_route *r = route->arg;

    if (atomic_fetch_add(&r->tally->open, 1) >= r->config->connections) {
        atomic_fetch_sub(&r->tally->open, 1);
        return false;
    }
    generation_ref(r->generation);
    metrics_links(r->metrics, METRICS_OPENING, 1);
    return true;
}

static void drop(const struct link_route *route)
{
    struct state_route *r = route->arg;

    atomic_fetch_sub(&r->tally->open, 1);
    generation_unref(r->generation);
}

static void opened(const struct link_route *route, struct link *link)
{
    const struct state_route *r = route->arg;
    struct log_line line;

    metrics_links(r->metrics, METRICS_OPENING, -1);
    metrics_links(r->metrics, METRICS_OPEN, 1);
    metrics_opened(r->metrics, link_age_ms(link));
    begin(&line, ATLS_LOG_INFO, "open", link, route);
    log_peer(&line, link, LINK_DOWNSTREAM);
    log_peer(&line, link, LINK_UPSTREAM);
    log_end(&line);
}

static const char *name_of(enum link_side_number side)
{
    return side == LINK_DOWNSTREAM ? "downstream" : "upstream";
}

static void attested(const struct link_route *route, struct link *link, enum link_side_number side)
{
    const struct state_route *r = route->arg;
    struct atls_peer peer;
    struct log_line line;

    if (!link_peer(link, side, &peer))
        return;
    metrics_attested(r->metrics, side, peer.evidence_type,
                     peer.unattested ? METRICS_ABSENT : METRICS_ACCEPTED);
    begin(&line, ATLS_LOG_INFO, peer.unattested ? "not-attested" : "attested", link, route);
    log_field(&line, "side", name_of(side));
    log_peer(&line, link, side);
    if (!peer.unattested)
        log_number(&line, "attestations", peer.attestations);
    log_end(&line);
}

static void withdrawn(const struct link_route *route, struct link *link, enum link_side_number side)
{
    const struct state_route *r = route->arg;
    struct atls_peer peer;
    struct log_line line;

    if (link_peer(link, side, &peer)) {
        metrics_attested(r->metrics, side, peer.evidence_type, METRICS_REFUSED);
        if (peer.result != NULL && atls_result_reason(peer.result) != ATLS_REASON_NONE)
            metrics_reason(r->metrics, atls_result_reason(peer.result));
    }
    begin(&line, ATLS_LOG_WARNING, "withdrawn", link, route);
    log_field(&line, "side", name_of(side));
    log_peer(&line, link, side);
    log_end(&line);
}

static enum atls_log_level level_of(enum link_end end)
{
    switch (end) {
    case LINK_CLOSED:
    case LINK_DOWNSTREAM_CLOSED:
    case LINK_UPSTREAM_CLOSED:
    case LINK_IDLE_TIMEOUT:
    case LINK_DRAINED:
    case LINK_STOPPED:
        return ATLS_LOG_INFO;
    case LINK_INTERNAL:
        return ATLS_LOG_ERROR;
    case LINK_LIMIT_SOURCE: /* as those that are refused before there is a link */
        return ATLS_LOG_DEBUG;
    default:
        return ATLS_LOG_WARNING;
    }
}

static const char *event_of(enum link_end end)
{
    switch (end) {
    case LINK_BAD_PRELUDE:
    case LINK_DOWNSTREAM_REFUSED:
    case LINK_UPSTREAM_REFUSED:
    case LINK_REFUSED_DOWNSTREAM:
    case LINK_REFUSED_UPSTREAM:
    case LINK_WITHDRAWN:
    case LINK_DATA_REFUSED:
    case LINK_LIMIT_ROUTE:
    case LINK_LIMIT_SOURCE:
        return "refused";
    default:
        return "closed";
    }
}

static void log_ended(struct link *link, const struct link_route *route,
                      const struct link_report *report)
{
    struct log_line line;
    char seconds[32];

    begin(&line, level_of(report->end), event_of(report->end), link, route);
    log_field(&line, "end", link_end_name(report->end));
    if (report->err != NULL && report->err->code != ATLS_OK) {
        if (report->err->reason != ATLS_REASON_NONE)
            log_field(&line, "reason", atls_reason_name(report->err->reason));
        log_field(&line, "message", report->err->message);
    }
    snprintf(seconds, sizeof seconds, "%lld.%03d", (long long)(report->lasted_ms / 1000),
             (int)(report->lasted_ms % 1000));
    log_field(&line, "seconds", seconds);
    log_number(&line, "from-client", (int64_t)report->from_client);
    log_number(&line, "to-client", (int64_t)report->to_client);
    if (route != NULL) {
        log_peer(&line, link, LINK_DOWNSTREAM);
        log_peer(&line, link, LINK_UPSTREAM);
    }
    log_end(&line);
}

static void count_refusal(const struct state_route *r, struct link *link,
                          enum link_side_number side, const struct link_report *report)
{
    struct atls_peer peer;

    metrics_attested(r->metrics, side, link_peer(link, side, &peer) ? peer.evidence_type : "",
                     METRICS_REFUSED);
    if (report->err != NULL && report->err->reason != ATLS_REASON_NONE)
        metrics_reason(r->metrics, report->err->reason);
}

static void ended(const struct link_route *route, struct link *link,
                  const struct link_report *report)
{
    const struct state_route *r = route->arg;

    metrics_links(r->metrics, report->opened ? METRICS_OPEN : METRICS_OPENING, -1);
    metrics_ended(r->metrics, report);
    if (report->end == LINK_DOWNSTREAM_REFUSED)
        count_refusal(r, link, LINK_DOWNSTREAM, report);
    if (report->end == LINK_UPSTREAM_REFUSED)
        count_refusal(r, link, LINK_UPSTREAM, report);
    log_ended(link, route, report);
}

/* ---- of listeners ---- */

static void source_hold(const struct link_source *source)
{
    const struct state_door *door = source->arg;

    generation_ref(door->generation);
    metrics_links(metrics_route(NULL), METRICS_PRELUDE, 1);
}

static void source_drop(const struct link_source *source)
{
    const struct state_door *door = source->arg;

    generation_unref(door->generation);
    metrics_links(metrics_route(NULL), METRICS_PRELUDE, -1);
}

static void source_ended(const struct link_source *source, struct link *link,
                         const struct link_report *report)
{
    (void)source;
    metrics_ended(metrics_route(NULL), report);
    log_ended(link, NULL, report);
}

void hooks_refused(const struct link_source *source, enum link_end why,
                   const struct sockaddr_storage *client)
{
    const struct state_door *door = source->arg;
    struct log_line line;
    char text[128];

    metrics_refused(door->config->route_count == 1 ? door->routes[0]->metrics : metrics_route(NULL),
                    why);
    log_begin(&line, ATLS_LOG_DEBUG, "refused");
    log_field(&line, "listener", door->config->at.address.text);
    address_text(client, text);
    log_field(&line, "client", text);
    log_field(&line, "end", link_end_name(why));
    log_end(&line);
}

void hooks_starved(const struct link_source *source, int error)
{
    const struct state_door *door = source->arg;

    log_say(ATLS_LOG_ERROR, "starved", "%s: %s", door->config->at.address.text, strerror(error));
}

void hooks_listening(const struct state_door *door, const char *address)
{
    struct log_line line;
    struct text names = {0};

    for (size_t i = 0; i < door->config->route_count; i++) {
        text_puts(&names, i > 0 ? " " : "");
        text_puts(&names, door->config->routes[i]->name);
    }
    log_begin(&line, ATLS_LOG_INFO, "listening");
    log_field(&line, "address", address);
    log_field(&line, "route", names.failed || names.ptr == NULL ? "" : names.ptr);
    log_end(&line);
    text_clear(&names);
}

void hooks_operation(const char *address)
{
    struct log_line line;

    log_begin(&line, ATLS_LOG_INFO, "operation");
    log_field(&line, "address", address);
    log_end(&line);
}

void hooks_set(struct generation *g)
{
    static const struct link_hooks hooks = {.hold = hold,
                                            .drop = drop,
                                            .opened = opened,
                                            .attested = attested,
                                            .withdrawn = withdrawn,
                                            .ended = ended};

    for (size_t i = 0; i < g->config->route_count; i++) {
        struct state_route *r = &g->routes[i];

        r->hooks = hooks;
        r->hooks.head = r->config->proxy.out ? tell_head : NULL;
        r->hooks.filter = r->config->has_headers ? tell_filter : NULL;
        r->hooks.undialled = r->config->has_headers ? tell_undialled : NULL;
        r->link.hooks = &r->hooks;
    }
    for (size_t i = 0; i < g->config->listener_count; i++) {
        struct state_door *d = &g->doors[i];

        d->source.ended = source_ended;
        d->source.hold = source_hold;
        d->source.drop = source_drop;
        d->source.route = &d->routes[0]->link;
        d->source.prelude = prelude_is_wanted(d) ? prelude_run : NULL;
        d->source.announces = prelude_announces;
    }
}
