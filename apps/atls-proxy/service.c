#include "service.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "jobs.h"
#include "listener.h"
#include "log.h"
#include "operation.h"
#include "rate.h"
#include "text.h"

#define WORKERS_MAX 256

/* A socket of one worker. */
struct port {
    struct port *next;
    char *address; /* as written */
    unsigned nth;
    struct listener *listener;
    const struct state_door *door; /* of the newest generation; NULL: no longer needed */
};

/* Work for a worker's thread that the main one waits for. */
struct order {
    struct loop_post post;
    void (*run)(struct order *order);
    struct worker *worker;
    struct generation *generation;
    const int *fds; /* a socket for each listener of the generation; -1: it is open */
    struct atls_err err;
    bool done; /* under the service's lock */
};

struct worker {
    struct service *service;
    struct loop *loop;
    struct links *links;
    struct port *ports;
    uint64_t turns; /* when service_alive looked last */
    struct loop_timer beat;
};

struct service {
    struct worker *workers;
    unsigned worker_count;
    bool running;
    size_t reattestations; /* at a time */
    struct jobs *jobs;
    struct limits *limits;
    struct operation *operation; /* or NULL */
    char *operation_address;     /* as written */
    pthread_mutex_t lock;
    pthread_cond_t done;
};

#define BEAT_MS 1000

/* ---- limits ---- */

static bool may_come(void *arg, const struct sockaddr *source, int64_t at_ms)
{
    (void)arg;
    return rate_take(source, at_ms) == 0;
}

static struct limits_options limits_of(const struct config *c)
{
    return (struct limits_options){.connections = (size_t)c->limits.connections,
                                   .handshakes = (size_t)c->limits.handshakes,
                                   .per_source = (size_t)c->limits.connections_per_source,
                                   .rate = may_come};
}

/* ---- workers ---- */

/* A loop that has nothing to do turns all the same, so that the watchdog knows. */
static void beat(struct loop_timer *timer)
{
    struct worker *w = (struct worker *)(void *)((char *)timer - offsetof(struct worker, beat));

    loop_timer_set(w->loop, timer, loop_now_ms(w->loop) + BEAT_MS);
}

static enum atls_code worker_init(struct service *s, struct worker *w, struct atls_err *err)
{
    struct links_options options = {.jobs = s->jobs,
                                    .announced = limits_links_announced,
                                    .through = limits_links_through,
                                    .gone = limits_links_gone,
                                    .arg = s->limits};
    enum atls_code code;

    w->service = s;
    w->beat.due = beat;
    if ((code = loop_new(&w->loop, err)) != ATLS_OK)
        return code;
    options.loop = w->loop;
    if ((code = links_new(&options, &w->links, err)) == ATLS_OK)
        loop_timer_set(w->loop, &w->beat, loop_now_ms(w->loop) + BEAT_MS);
    return code;
}

static void close_ports(struct worker *w)
{
    struct port *p;

    while ((p = w->ports) != NULL) {
        w->ports = p->next;
        listener_close(p->listener);
        free(p->address);
        free(p);
    }
}

static unsigned workers_of(const struct config *config)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const long count = config->workers > 0 ? (long)config->workers : cores > 0 ? cores : 1;

    return count < WORKERS_MAX ? (unsigned)count : WORKERS_MAX;
}

enum atls_code service_new(const struct config *config, struct service **out, struct atls_err *err)
{
    const struct limits_options limits = limits_of(config);
    const unsigned count = workers_of(config);
    struct service *s = calloc(1, sizeof *s);
    enum atls_code code = ATLS_OK;

    if (s == NULL)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->done, NULL);
    if ((s->workers = calloc(count, sizeof *s->workers)) == NULL)
        code = set_error(err, ATLS_E_NOMEM, "out of memory");
    if (code == ATLS_OK && (code = limits_new(&limits, &s->limits, err)) == ATLS_OK)
        code = jobs_new((unsigned)config->jobs, &s->jobs, err);
    for (unsigned i = 0; i < count && code == ATLS_OK; i++)
        if ((code = worker_init(s, &s->workers[s->worker_count++], err)) != ATLS_OK)
            break;
    if (code != ATLS_OK) {
        service_free(s);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

enum atls_code service_start(struct service *s, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    s->running = true;
    for (unsigned i = 0; i < s->worker_count && code == ATLS_OK; i++)
        code = loop_start(s->workers[i].loop, err);
    return code;
}

void service_free(struct service *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; s->running && i < s->worker_count; i++) {
        (void)links_end(s->workers[i].links, NULL, LINK_STOPPED);
        loop_join(s->workers[i].loop);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        close_ports(&s->workers[i]);
        links_free(s->workers[i].links);
    }
    operation_stop(s->operation);
    free(s->operation_address);
    jobs_free(s->jobs);
    for (unsigned i = 0; i < s->worker_count; i++)
        loop_free(s->workers[i].loop);
    limits_free(s->limits);
    free(s->workers);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- orders to all workers ---- */

static void order_run(struct loop_post *post)
{
    struct order *order = (struct order *)(void *)((char *)post - offsetof(struct order, post));
    struct service *s = order->worker->service;

    order->run(order);
    pthread_mutex_lock(&s->lock);
    order->done = true;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
}

/* Has each worker carry its order out, and waits for all. */
static void give_orders(struct service *s, struct order *orders)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        orders[i].worker = &s->workers[i];
        if (!s->running) {
            orders[i].run(&orders[i]);
            continue;
        }
        orders[i].post.run = order_run;
        loop_post(s->workers[i].loop, &orders[i].post);
    }
    if (!s->running)
        return;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->worker_count; i++)
        while (!orders[i].done)
            pthread_cond_wait(&s->done, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* ---- listeners ---- */

static struct port *find_port(const struct worker *w, const struct listen_at *at)
{
    struct port *p = w->ports;

    while (p != NULL && (p->nth != at->nth || strcmp(p->address, at->address.text) != 0))
        p = p->next;
    return p;
}

static struct listen_at place_of(const struct config_listener *c, unsigned worker)
{
    struct listen_at at = c->at;

    at.reuse_port = at.address.family == ADDRESS_TCP;
    at.slot = worker;
    return at;
}

static enum atls_code open_sockets(const struct config *config, const struct config_listener *c,
                                   unsigned count, struct atls_err *err)
{
    for (unsigned w = 0; w < count; w++) {
        struct listen_at at = place_of(c, w);
        struct atls_err inner = ATLS_ERR_INIT;
        char text[128];
        int fd;

        if (listen_get(&at, &fd, text, &inner) != ATLS_OK)
            return set_error(err, inner.code, "%.80s:%zu: %.200s", config->file, c->line,
                             inner.message);
        close(fd);
    }
    return ATLS_OK;
}

static enum atls_code operation_socket(const struct config *config, int *out_fd, char text[128],
                                       struct atls_err *err)
{
    const struct config_operation *o = &config->operation;
    struct atls_err inner = ATLS_ERR_INIT;

    if (listen_get(&o->at, out_fd, text, &inner) == ATLS_OK)
        return ATLS_OK;
    return set_error(err, inner.code, "%.80s:%zu: %.200s", config->file, o->line, inner.message);
}

enum atls_code service_listen(const struct service *s, const struct config *config,
                              struct atls_err *err)
{
    const unsigned count = s != NULL ? s->worker_count : workers_of(config);
    enum atls_code code = ATLS_OK;
    char text[128];
    int fd;

    if (config->operation.line > 0) {
        if ((code = operation_socket(config, &fd, text, err)) != ATLS_OK)
            return code;
        close(fd);
    }
    for (size_t i = 0; i < config->listener_count && code == ATLS_OK; i++)
        code = open_sockets(config, &config->listeners[i], count, err);
    return code;
}

static enum atls_code add_port(struct worker *w, const struct state_door *door, int fd,
                               struct atls_err *err)
{
    struct listener_options options = {.links = w->links,
                                       .loop = w->loop,
                                       .limits = w->service->limits,
                                       .source = &door->source,
                                       .refused = hooks_refused,
                                       .starved = hooks_starved};
    struct port *p = calloc(1, sizeof *p);
    enum atls_code code;

    if (p == NULL || (p->address = strdup(door->config->at.address.text)) == NULL) {
        free(p);
        close(fd);
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    }
    if ((code = listener_open(&options, fd, &p->listener, err)) != ATLS_OK) {
        free(p->address);
        free(p);
        return code;
    }
    p->nth = door->config->at.nth;
    p->door = door;
    p->next = w->ports;
    w->ports = p;
    return ATLS_OK;
}

/* On the worker's thread. */
static void apply(struct order *order)
{
    struct worker *w = order->worker;
    struct port **at = &w->ports;

    for (struct port *p = w->ports; p != NULL; p = p->next)
        p->door = NULL;
    for (size_t i = 0; i < order->generation->config->listener_count; i++) {
        const struct state_door *door = &order->generation->doors[i];
        struct port *p = find_port(w, &door->config->at);

        if (p != NULL) {
            listener_set_source(p->listener, &door->source);
            p->door = door;
        } else if (order->fds[i] >= 0 && add_port(w, door, order->fds[i], &order->err) != ATLS_OK) {
            listen_shut(&door->config->at);
        }
    }
    while (*at != NULL) {
        struct port *p = *at;

        if (p->door != NULL) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        listener_close(p->listener);
        free(p->address);
        free(p);
    }
}

/* Sockets for the listeners that worker has not got yet; logs where they listen. */
static enum atls_code take_sockets(const struct service *s, const struct generation *g,
                                   unsigned worker, int *fds, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < g->config->listener_count; i++) {
        const struct config_listener *c = &g->config->listeners[i];
        struct listen_at at = place_of(c, worker);
        char text[128];

        fds[i] = -1;
        if (find_port(&s->workers[worker], &c->at) != NULL)
            continue;
        if ((code = listen_get(&at, &fds[i], text, err)) != ATLS_OK)
            fds[i] = -1;
        else if (worker == 0)
            hooks_listening(&g->doors[i], text);
    }
    return code;
}

static bool is_at(const struct listen_at *at, const char *address, unsigned nth)
{
    return at->nth == nth && strcmp(at->address.text, address) == 0;
}

static bool is_needed(const void *arg, const char *address, unsigned nth)
{
    const struct config *config = arg;

    for (size_t i = 0; i < config->listener_count; i++)
        if (is_at(&config->listeners[i].at, address, nth))
            return true;
    return config->operation.line > 0 && is_at(&config->operation.at, address, nth);
}

/* Health, readiness and metrics, where they are wanted now. */
static enum atls_code apply_operation(struct service *s, const struct config *config,
                                      const struct operation_source *source, struct atls_err *err)
{
    const char *address = config->operation.line > 0 ? config->operation.at.address.text : NULL;
    enum atls_code code;
    char text[128];
    int fd;

    if (address != NULL && s->operation != NULL && strcmp(address, s->operation_address) == 0)
        return ATLS_OK;
    operation_stop(s->operation);
    free(s->operation_address);
    s->operation = NULL;
    s->operation_address = NULL;
    if (address == NULL)
        return ATLS_OK;
    if ((s->operation_address = strdup(address)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    if ((code = operation_socket(config, &fd, text, err)) != ATLS_OK)
        return code;
    code = operation_start(fd, source, &s->operation, err);
    close(fd);
    if (code == ATLS_OK)
        hooks_operation(text);
    return code;
}

void service_keep(const struct config *config)
{
    listen_keep(is_needed, config);
}

enum atls_code service_apply(struct service *s, struct generation *g,
                             const struct operation_source *source, struct atls_err *err)
{
    const struct limits_options limits = limits_of(g->config);
    const size_t count = g->config->listener_count;
    struct order *orders = calloc(s->worker_count, sizeof *orders);
    int *fds = calloc(s->worker_count * (count + 1), sizeof *fds);
    enum atls_code code = ATLS_OK;

    if (orders == NULL || fds == NULL) {
        free(orders);
        free(fds);
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    }
    code = limits_change(s->limits, &limits, err);
    s->reattestations = (size_t)g->config->limits.reattestations;
    rate_setup(g->config->limits.rate, g->config->limits.burst);
    for (unsigned i = 0; i < s->worker_count; i++) {
        enum atls_code one = take_sockets(s, g, i, fds + i * (count + 1), err);

        orders[i].run = apply;
        orders[i].generation = g;
        orders[i].fds = fds + i * (count + 1);
        code = code != ATLS_OK ? code : one;
    }
    give_orders(s, orders);
    for (unsigned i = 0; i < s->worker_count && code == ATLS_OK; i++)
        if ((code = orders[i].err.code) != ATLS_OK)
            (void)set_error(err, code, "%.200s", orders[i].err.message);
    free(orders);
    free(fds);
    if (code == ATLS_OK)
        code = apply_operation(s, g->config, source, err);
    service_keep(g->config);
    return code;
}

/* ---- what links are told ---- */

/* Has the peers of these sides of a route (NULL: of all) attest again. False: out of memory. */
static bool reattest(struct service *s, const struct link_route *route, unsigned sides)
{
    const struct links_reattest what = {.route = route,
                                        .sides = sides,
                                        .at_once = (s->reattestations + s->worker_count - 1) /
                                                   s->worker_count};
    bool all = true;

    for (unsigned i = 0; i < s->worker_count; i++)
        all = links_reattest(s->workers[i].links, &what) && all;
    if (!all)
        log_say(ATLS_LOG_ERROR, "reattest", "%s%sout of memory", route != NULL ? route->name : "",
                route != NULL ? ": " : "");
    return all;
}

/* Whether a connection of this side can be asked again at all. */
static bool can_ask(const struct state_side *side)
{
    return side->judge != NULL && side->config->flavour == ATLS_FLAVOUR_POST && !side->config->raw;
}

static void rejudge(void *arg, struct generation *g)
{
    struct service *s = arg;

    for (size_t i = 0; i < g->config->route_count; i++) {
        struct state_route *r = &g->routes[i];
        unsigned ask = 0;

        for (int n = 0; n < 2; n++) {
            struct state_side *side = &r->side[n];
            const uint64_t turn = side->judge != NULL ? judge_turn(side->judge) : 0;

            if (turn == 0 || atomic_exchange(&side->asked, turn) == turn)
                continue;
            if (can_ask(side))
                ask |= 1u << n;
            else if (atomic_load(&r->tally->open) > 0)
                log_say(ATLS_LOG_WARNING, "rejudge",
                        "route %s: what its peers are judged by has changed, and open connections "
                        "of flavour %s%s cannot be asked again",
                        r->config->name, atls_flavour_name(side->config->flavour),
                        side->config->raw ? ", raw," : "");
        }
        if (ask == 0 || reattest(s, &r->link, ask))
            continue;
        for (int n = 0; n < 2; n++) /* once more, the next time */
            if ((ask & 1u << n) != 0)
                atomic_store(&r->side[n].asked, 0);
    }
}

void service_rejudge(struct service *s)
{
    generation_each(rejudge, s);
}

void service_reattest(struct service *s)
{
    (void)reattest(s, NULL, 1u << LINK_DOWNSTREAM | 1u << LINK_UPSTREAM);
}

static void shut_all(struct order *order)
{
    close_ports(order->worker);
}

void service_drain(struct service *s, const struct generation *g, int64_t deadline_ms)
{
    struct order *orders = calloc(s->worker_count, sizeof *orders);

    for (unsigned i = 0; orders != NULL && i < s->worker_count; i++)
        orders[i].run = shut_all;
    if (orders != NULL)
        give_orders(s, orders);
    free(orders);
    for (size_t i = 0; i < g->config->listener_count; i++)
        listen_shut(&g->config->listeners[i].at);
    for (unsigned i = 0; i < s->worker_count; i++)
        if (!links_drain(s->workers[i].links, deadline_ms))
            log_say(ATLS_LOG_ERROR, "drain", "out of memory");
}

size_t service_links(const struct service *s)
{
    size_t count = 0;

    for (unsigned i = 0; i < s->worker_count; i++)
        count += links_count(s->workers[i].links);
    return count;
}

bool service_alive(struct service *s)
{
    bool alive = true;

    for (unsigned i = 0; i < s->worker_count; i++) {
        const uint64_t turns = loop_turns(s->workers[i].loop);

        alive = alive && turns != s->workers[i].turns;
        s->workers[i].turns = turns;
    }
    return alive;
}
