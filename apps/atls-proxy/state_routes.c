#include "state_parts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "context.h"
#include "file.h"
#include "text.h"

#define PEM_MAX (1024 * 1024)

static const char about_route[] = "route";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct state_tally *tallies; /* under the lock */

/* ---- sides ---- */

static struct state_route *find_route(const struct generation *g, const char *name)
{
    for (size_t i = 0; i < g->config->route_count; i++)
        if (strcmp(g->routes[i].config->name, name) == 0)
            return &g->routes[i];
    return NULL;
}

/* That of the same side before, so that open connections are judged by what is new. */
static enum atls_code take_judge(struct state_side *side, const char *route,
                                 const struct state_side *old, struct atls_err *err)
{
    if (old != NULL && old->judge != NULL && judge_suits(old->judge, side->verifier->verifier)) {
        side->judge = judge_ref(old->judge);
        return ATLS_OK;
    }
    return judge_new(route, atls_verifier_input(side->verifier->verifier),
                     atls_verifier_wants_binder(side->verifier->verifier), &side->judge, err);
}

static enum atls_code read_pem(const char *path, struct atls_buf *out, struct atls_err *err)
{
    return path != NULL ? file_read(path, FILE_PUBLIC, PEM_MAX, out, err) : ATLS_OK;
}

static void set_flavour(const struct config_side *c, struct atls_config_options *o)
{
    o->flavour = c->flavour;
    o->freshness = c->freshness;
    o->secret_binder = c->secret_binder;
    o->extension_type = (uint16_t)c->extension_type;
    o->certificate_lifetime_s = (uint32_t)c->certificate_lifetime_s;
    o->certificate_max_age_s = (uint32_t)c->certificate_max_age_s;
    if (c->flavour != ATLS_FLAVOUR_INTRA)
        return;
    if (c->require.line > 0 && c->require.verifier->accepted[0] != '\0')
        o->accepted_verifier = c->require.verifier->accepted;
    if (c->attester != NULL && c->attester->passport.verifier[0] != '\0')
        o->passport_verifier = c->attester->passport.verifier;
}

static void set_peer(const struct config_side *c, const struct context_pem *pem,
                     struct atls_config_options *o)
{
    o->require_peer = true;
    o->peer_optional = c->require.presence == CONFIG_PRESENCE_OPTIONAL;
    o->identity = c->require.identity;
    if (c->require.evidence_types.count > 0)
        o->evidence_types = c->require.evidence_types.at;
    if (c->require.profiles.count > 0)
        o->profiles = c->require.profiles.at;
    if (c->require.identity == ATLS_IDENTITY_PKIX) {
        o->anchors = atls_buf_bytes(&pem->ca);
        o->system_anchors = c->tls.ca == NULL;
        o->crls = atls_buf_bytes(&pem->crl);
    }
}

static enum atls_code make_config(const struct state_route *r, struct state_side *side,
                                  const struct context_pem *pem, struct atls_err *err)
{
    const struct config_side *c = side->config;
    const struct opened_attester *own = NULL;
    struct atls_config_options o;
    enum atls_code code = ATLS_OK;

    atls_config_options_init(&o);
    if (c->attester != NULL) {
        own = &r->generation->attesters[c->attester - r->generation->config->attesters];
        o.attester = own->attester;
        o.passport = own->passport;
        o.passport_only = own->passport != NULL && c->attester->passport.only;
    }
    o.require_self = c->require_self;
    o.raw = c->raw;
    o.inner_protocols = c->alpn.count > 0 ? c->alpn.at : NULL;
    o.gate_timeout_ms = o.answer_timeout_ms = (uint32_t)r->config->deadlines.gate_timeout_s * 1000;
    o.bytes_before_gate = (uint32_t)r->config->deadlines.bytes_before_gate;
    o.reattest_interval_s = (uint32_t)c->reattest_interval_s;
    o.on_failure = c->on_failure;
    o.log = state_log_about(about_route, r->config->name);
    set_flavour(c, &o);
    if (side->judge != NULL) {
        set_peer(c, pem, &o);
        if ((code = judge_verifier(side->judge, &o.verifier, err)) == ATLS_OK)
            code = judge_policy(side->judge, &o.policy, err);
    }
    if (code == ATLS_OK)
        code = atls_config_new(&o, &side->attested, err);
    atls_verifier_unref(o.verifier);
    atls_policy_unref(o.policy);
    return code;
}

static enum atls_code open_side(struct state_route *r, enum link_side_number number,
                                const struct state_side *old, struct atls_err *err)
{
    struct state_side *side = &r->side[number];
    const struct config_side *c = side->config;
    const struct config *all = r->generation->config;
    struct context_pem pem = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    enum atls_code code = ATLS_OK;

    if (c->require.line > 0) {
        side->verifier = &r->generation->verifiers[c->require.verifier - all->verifiers];
        side->policy =
            &r->generation
                 ->policies[c->require.policy != NULL ? (size_t)(c->require.policy - all->policies)
                                                      : all->policy_count];
        code = take_judge(side, r->config->name, old, err);
    }
    if (code == ATLS_OK && (code = read_pem(c->tls.ca, &pem.ca, err)) == ATLS_OK &&
        (code = read_pem(c->tls.crl, &pem.crl, err)) == ATLS_OK &&
        (code = make_config(r, side, &pem, err)) == ATLS_OK)
        code =
            context_new(&(struct context_for){c, number == LINK_DOWNSTREAM, side->attested, &pem},
                        &side->tls, err);
    atls_buf_clear(&pem.ca);
    atls_buf_clear(&pem.crl);
    return code;
}

/* ---- routes ---- */

static struct state_tally *tally_get(const char *name)
{
    struct state_tally *t;

    pthread_mutex_lock(&lock);
    for (t = tallies; t != NULL && strcmp(t->name, name) != 0; t = t->next)
        ;
    if (t == NULL && (t = calloc(1, sizeof *t)) != NULL) {
        snprintf(t->name, sizeof t->name, "%s", name);
        t->next = tallies;
        tallies = t;
    }
    if (t != NULL)
        t->refs++;
    pthread_mutex_unlock(&lock);
    return t;
}

static void tally_back(struct state_tally *t)
{
    struct state_tally **at = &tallies;

    if (t == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (--t->refs == 0) {
        while (*at != t)
            at = &(*at)->next;
        *at = t->next;
        free(t);
    }
    pthread_mutex_unlock(&lock);
}

static void set_target(struct link_target *target, const struct address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&target->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&target->address;
    struct sockaddr_un *path = (struct sockaddr_un *)&target->address;

    target->host = address->host;
    target->port = address->port;
    if (address->family == ADDRESS_UNIX) {
        path->sun_family = AF_UNIX;
        snprintf(path->sun_path, sizeof path->sun_path, "%s", address->path);
        target->address_len = sizeof *path;
    } else if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)strtoul(address->port, NULL, 10));
        target->address_len = sizeof *v4;
    } else if (inet_pton(AF_INET6, address->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)strtoul(address->port, NULL, 10));
        target->address_len = sizeof *v6;
    }
}

static void set_link(struct state_route *r)
{
    const struct config_route *c = r->config;

    r->link.name = c->name;
    r->link.lane = (unsigned)(r - r->generation->routes);
    for (int n = 0; n < 2; n++) {
        const struct state_side *side = &r->side[n];

        if (side->tls == NULL)
            continue;
        r->link.side[n] = (struct link_side){.ctx = side->tls,
                                             .config = side->attested,
                                             .flavour = side->config->flavour,
                                             .raw = side->config->raw};
        if (n == LINK_UPSTREAM)
            r->link.side[n].peer_name = c->upstream.tls.name;
    }
    set_target(&r->link.target, &c->target);
    r->link.handshake_timeout_ms = 1000 * c->deadlines.handshake_timeout_s;
    r->link.dial_timeout_ms = 1000 * c->deadlines.dial_timeout_s;
    r->link.idle_timeout_ms = 1000 * c->deadlines.idle_timeout_s;
    r->link.arg = r;
}

static enum atls_code open_route(struct state_route *r, const struct generation *before,
                                 struct atls_err *err)
{
    const struct state_route *old = before != NULL ? find_route(before, r->config->name) : NULL;
    const struct config_side *const sides[] = {&r->config->downstream, &r->config->upstream};
    char what[80];

    if ((r->tally = tally_get(r->config->name)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    r->metrics = metrics_route(r->config->name);
    for (int n = 0; n < 2; n++) {
        struct atls_err inner = ATLS_ERR_INIT;

        if (sides[n]->line == 0)
            continue;
        r->side[n].config = sides[n];
        if (open_side(r, (enum link_side_number)n, old != NULL ? &old->side[n] : NULL, &inner) ==
            ATLS_OK)
            continue;
        snprintf(what, sizeof what, "route %.40s %s", r->config->name,
                 n == LINK_DOWNSTREAM ? "downstream" : "upstream");
        return state_at_line(r->generation->config, sides[n]->line, what, &inner, err);
    }
    set_link(r);
    return ATLS_OK;
}

enum atls_code state_open_routes(struct generation *g, const struct generation *before,
                                 struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < g->config->route_count && code == ATLS_OK; i++) {
        g->routes[i].generation = g;
        g->routes[i].config = &g->config->routes[i];
        code = open_route(&g->routes[i], before, err);
    }
    return code;
}

void state_set_doors(struct generation *g)
{
    for (size_t i = 0; i < g->config->listener_count; i++) {
        struct state_door *d = &g->doors[i];

        d->generation = g;
        d->config = &g->config->listeners[i];
        d->source.arg = d;
        for (size_t n = 0; n < d->config->route_count; n++) {
            const int64_t timeout_ms = 1000 * d->config->routes[n]->deadlines.handshake_timeout_s;

            d->routes[n] = &g->routes[d->config->routes[n] - g->config->routes];
            if (timeout_ms > d->source.handshake_timeout_ms)
                d->source.handshake_timeout_ms = timeout_ms;
        }
    }
}

static void side_clear(struct state_side *side)
{
    SSL_CTX_free(side->tls);
    atls_config_unref(side->attested);
    judge_unref(side->judge);
}

void state_close_routes(struct generation *g)
{
    for (size_t i = 0; g->routes != NULL && i < g->config->route_count; i++) {
        side_clear(&g->routes[i].side[LINK_DOWNSTREAM]);
        side_clear(&g->routes[i].side[LINK_UPSTREAM]);
        tally_back(g->routes[i].tally);
    }
    free(g->routes);
    free(g->doors);
}
