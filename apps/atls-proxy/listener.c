#define _GNU_SOURCE /* accept4 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "address.h"
#include "text.h"

/* Connections of one event, before others have their turn. */
#define ACCEPT_MAX 32
/* How long a listener rests when the system has no memory or files left. */
#define STARVED_MS 100
/* How often it is told of at most. */
#define TELL_MS 1000

/* ---- limits ---- */

/* How many connections a source has; in a chain of its bucket, or of the free ones. */
struct source {
    uint64_t key[2];                /* address of IPv6, or the network part of one */
    size_t connections, handshakes; /* of these not yet through */
    uint32_t next;                  /* index + 1; 0: none */
};

struct limits {
    pthread_mutex_t lock;
    struct limits_options options;
    size_t places;
    size_t connections, handshakes;
    uint64_t seed[2];
    struct source *sources;
    uint32_t *buckets; /* as many, index + 1 */
    uint32_t free;
};

/* False: a source that is not counted. */
static bool key_of(const struct sockaddr_storage *client, uint64_t key[2])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)client;
    const struct sockaddr_in *four = (const struct sockaddr_in *)client;

    key[0] = key[1] = 0;
    if (client->ss_family == AF_INET) {
        key[1] = (uint64_t)0xffff << 32 | ntohl(four->sin_addr.s_addr);
        return true;
    }
    if (client->ss_family != AF_INET6)
        return false;
    for (int i = 0; i < 8; i++) {
        key[0] = key[0] << 8 | six->sin6_addr.s6_addr[i];
        key[1] = key[1] << 8 | six->sin6_addr.s6_addr[8 + i];
    }
    if (!IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        key[1] = 1; /* a network of /64; no address of IPv4 is so */
    return true;
}

static uint32_t *bucket_of(struct limits *limits, const uint64_t key[2])
{
    const uint64_t hash =
        (key[0] + limits->seed[0]) * (limits->seed[1] | 1) + key[1] * (limits->seed[0] | 1);

    return &limits->buckets[(hash >> 32) % limits->places];
}

/* The place that says where the source is, or where the chain ends. */
static uint32_t *find(struct limits *limits, const uint64_t key[2])
{
    uint32_t *at = bucket_of(limits, key);

    while (*at != 0 && memcmp(limits->sources[*at - 1].key, key, sizeof limits->sources->key) != 0)
        at = &limits->sources[*at - 1].next;
    return at;
}

/* The last places for handshakes are for sources that have few of them: one that only begins
 * connections must not shut all others out. handshakes: there are without this one. */
static bool has_its_share(const struct limits *limits, const struct source *source,
                          size_t handshakes)
{
    const size_t all = limits->options.handshakes, few = all / LIMITS_FEW;

    return handshakes >= all - all / LIMITS_KEPT && source->handshakes >= (few > 0 ? few : 1);
}

static bool take_source(struct limits *limits, const uint64_t key[2], size_t handshakes)
{
    uint32_t *at = find(limits, key);
    struct source *source;

    if (*at == 0) {
        *at = limits->free; /* there are as many as connections */
        source = &limits->sources[*at - 1];
        limits->free = source->next;
        *source = (struct source){.key = {key[0], key[1]}};
    }
    source = &limits->sources[*at - 1];
    if (source->connections >= limits->options.per_source ||
        has_its_share(limits, source, handshakes))
        return false;
    source->connections++;
    source->handshakes++;
    return true;
}

static void source_through(struct limits *limits, const uint64_t key[2])
{
    const uint32_t number = *find(limits, key);

    if (number != 0)
        limits->sources[number - 1].handshakes--;
}

static void drop_source(struct limits *limits, const uint64_t key[2])
{
    uint32_t *at = find(limits, key);
    const uint32_t number = *at;
    struct source *source = number == 0 ? NULL : &limits->sources[number - 1];

    if (source == NULL || --source->connections != 0)
        return;
    *at = source->next;
    source->next = limits->free;
    limits->free = number;
}

enum atls_code limits_new(const struct limits_options *o, struct limits **out, struct atls_err *err)
{
    struct limits *limits;

    if (o->connections == 0 || o->handshakes == 0 || o->per_source == 0 ||
        o->connections >= UINT32_MAX)
        return set_error(err, ATLS_E_CONFIG, "limits: a number is 0, or too large");
    if ((limits = calloc(1, sizeof *limits)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "limits: out of memory");
    (void)pthread_mutex_init(&limits->lock, NULL);
    limits->options = *o;
    limits->places = o->connections;
    limits->sources = calloc(o->connections, sizeof *limits->sources);
    limits->buckets = calloc(o->connections, sizeof *limits->buckets);
    if (limits->sources == NULL || limits->buckets == NULL) {
        limits_free(limits);
        return set_error(err, ATLS_E_NOMEM, "limits: out of memory");
    }
    if (getrandom(limits->seed, sizeof limits->seed, 0) != (ssize_t)sizeof limits->seed)
        limits->seed[0] = (uint64_t)(uintptr_t)limits; /* only speed hangs on it */
    for (uint32_t i = 0; i < limits->places; i++)
        limits->sources[i].next = i + 1 < limits->places ? i + 2 : 0;
    limits->free = 1;
    *out = limits;
    return ATLS_OK;
}

void limits_free(struct limits *limits)
{
    if (limits == NULL)
        return;
    (void)pthread_mutex_destroy(&limits->lock);
    free(limits->sources);
    free(limits->buckets);
    free(limits);
}

/* Moves every source into the bucket that it has among so many. */
static void rehash(struct limits *limits, uint32_t *buckets, size_t places)
{
    uint32_t *old = limits->buckets;
    const size_t count = limits->places;

    limits->buckets = buckets;
    limits->places = places;
    for (size_t i = 0; i < count; i++)
        for (uint32_t number = old[i], next; number != 0; number = next) {
            struct source *source = &limits->sources[number - 1];
            uint32_t *at = bucket_of(limits, source->key);

            next = source->next;
            source->next = *at;
            *at = number;
        }
    free(old);
}

/* More places; false: there is no memory, and nothing has changed. */
static bool grow(struct limits *limits, size_t places)
{
    const size_t before = limits->places;
    uint32_t *buckets = calloc(places, sizeof *buckets);
    struct source *sources =
        buckets == NULL ? NULL : realloc(limits->sources, places * sizeof *sources);

    if (sources == NULL) {
        free(buckets);
        return false;
    }
    limits->sources = sources;
    for (size_t i = before; i < places; i++)
        sources[i] = (struct source){
            .next = i + 1 < places ? (uint32_t)(i + 2) : limits->free,
        };
    limits->free = (uint32_t)(before + 1);
    rehash(limits, buckets, places);
    return true;
}

enum atls_code limits_change(struct limits *limits, const struct limits_options *options,
                             struct atls_err *err)
{
    bool ok;

    (void)pthread_mutex_lock(&limits->lock);
    ok = options->connections <= limits->places || grow(limits, options->connections);
    if (ok)
        limits->options = *options;
    (void)pthread_mutex_unlock(&limits->lock);
    return ok ? ATLS_OK : set_error(err, ATLS_E_NOMEM, "limits: out of memory");
}

static enum link_end take(struct limits *limits, const struct sockaddr_storage *client)
{
    uint64_t key[2];

    if (limits->connections >= limits->options.connections)
        return LINK_LIMIT_CONNECTIONS;
    if (limits->handshakes >= limits->options.handshakes)
        return LINK_LIMIT_HANDSHAKES;
    if (key_of(client, key) && !take_source(limits, key, limits->handshakes))
        return LINK_LIMIT_SOURCE;
    limits->connections++;
    limits->handshakes++;
    return LINK_CLOSED;
}

enum link_end limits_take(struct limits *limits, const struct sockaddr_storage *client,
                          int64_t now_ms)
{
    bool (*rate)(void *arg, const struct sockaddr *source, int64_t now_ms);
    enum link_end why;
    void *arg;

    (void)pthread_mutex_lock(&limits->lock);
    why = take(limits, client);
    rate = limits->options.rate;
    arg = limits->options.arg;
    (void)pthread_mutex_unlock(&limits->lock);
    if (why != LINK_CLOSED || rate == NULL || rate(arg, (const struct sockaddr *)client, now_ms))
        return why;
    limits_through(limits, client);
    limits_gone(limits, client);
    return LINK_LIMIT_SOURCE;
}

enum link_end limits_take_source(struct limits *limits, const struct sockaddr_storage *client,
                                 int64_t now_ms)
{
    bool (*rate)(void *arg, const struct sockaddr *source, int64_t now_ms);
    uint64_t key[2];
    void *arg;
    bool ok;

    if (!key_of(client, key))
        return LINK_CLOSED;
    (void)pthread_mutex_lock(&limits->lock);
    ok = take_source(limits, key, limits->handshakes > 0 ? limits->handshakes - 1 : 0);
    rate = limits->options.rate;
    arg = limits->options.arg;
    (void)pthread_mutex_unlock(&limits->lock);
    if (!ok)
        return LINK_LIMIT_SOURCE;
    if (rate == NULL || rate(arg, (const struct sockaddr *)client, now_ms))
        return LINK_CLOSED;
    (void)pthread_mutex_lock(&limits->lock);
    source_through(limits, key);
    drop_source(limits, key);
    (void)pthread_mutex_unlock(&limits->lock);
    return LINK_LIMIT_SOURCE;
}

void limits_through(struct limits *limits, const struct sockaddr_storage *client)
{
    uint64_t key[2];

    (void)pthread_mutex_lock(&limits->lock);
    limits->handshakes--;
    if (key_of(client, key))
        source_through(limits, key);
    (void)pthread_mutex_unlock(&limits->lock);
}

void limits_gone(struct limits *limits, const struct sockaddr_storage *client)
{
    uint64_t key[2];

    (void)pthread_mutex_lock(&limits->lock);
    limits->connections--;
    if (key_of(client, key))
        drop_source(limits, key);
    (void)pthread_mutex_unlock(&limits->lock);
}

void limits_count(struct limits *limits, size_t *out_connections, size_t *out_handshakes)
{
    (void)pthread_mutex_lock(&limits->lock);
    *out_connections = limits->connections;
    *out_handshakes = limits->handshakes;
    (void)pthread_mutex_unlock(&limits->lock);
}

enum link_end limits_links_announced(void *limits, const struct sockaddr_storage *client,
                                     int64_t now_ms)
{
    return limits_take_source(limits, client, now_ms);
}

void limits_links_through(void *limits, const struct sockaddr_storage *client)
{
    limits_through(limits, client);
}

void limits_links_gone(void *limits, const struct sockaddr_storage *client)
{
    limits_gone(limits, client);
}

/* ---- listeners ---- */

struct listener {
    struct listener_options options;
    struct loop_watch watch;
    struct loop_timer again;
    int fd;
    int64_t told_ms; /* that it is starved; 0: never */
    int spare;       /* closed so that accept(2) has a descriptor for whoever is to be told off */
};

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Whether to go on accepting: errors of the connection, not of ours. */
static bool is_passing(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case ENONET:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

static void rest(struct listener *listener)
{
    struct loop *loop = listener->options.loop;

    loop_unwatch(loop, &listener->watch);
    loop_timer_set(loop, &listener->again, loop_now_ms(loop) + STARVED_MS);
}

/* No descriptors or no memory. Whoever waits is closed, where that can be done, else waits on. */
static void starved(struct listener *listener, int error)
{
    const int64_t now_ms = loop_now_ms(listener->options.loop);
    int fd = -1;

    if (listener->options.starved != NULL &&
        (listener->told_ms == 0 || now_ms - listener->told_ms >= TELL_MS)) {
        listener->told_ms = now_ms;
        listener->options.starved(listener->options.source, error);
    }
    if (error == EMFILE && listener->spare >= 0) {
        close(listener->spare);
        fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        listener->spare = open_spare();
    }
    if (fd < 0)
        rest(listener);
}

static void welcome(struct listener *listener, int fd, const struct sockaddr_storage *client)
{
    const struct listener_options *o = &listener->options;
    const struct sockaddr_storage counted = link_counted(o->source, client);
    enum link_end why = limits_take(o->limits, &counted, loop_now_ms(o->loop));

    if (why != LINK_CLOSED)
        close(fd);
    else if (links_accept(o->links, o->source, fd, client))
        return;
    else
        why = LINK_INTERNAL;
    if (o->refused != NULL)
        o->refused(o->source, why, client);
}

static void accept_some(struct loop_watch *watch, uint32_t events)
{
    struct listener *listener =
        (struct listener *)(void *)((char *)watch - offsetof(struct listener, watch));

    (void)events;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        struct sockaddr_storage client = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof client;
        const int fd =
            accept4(listener->fd, (struct sockaddr *)&client, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            address_unmap(&client);
            welcome(listener, fd, &client);
        } else if (errno == EAGAIN) {
            return;
        } else if (!is_passing(errno)) {
            starved(listener, errno);
            return;
        }
    }
}

static enum atls_code start(struct listener *listener, struct atls_err *err)
{
    /* Level-triggered: whoever is not taken in this turn is told of again. */
    return loop_watch(listener->options.loop, &listener->watch, listener->fd,
                      EPOLLIN | EPOLLEXCLUSIVE, err);
}

static void rested(struct loop_timer *timer)
{
    struct listener *listener =
        (struct listener *)(void *)((char *)timer - offsetof(struct listener, again));

    if (listener->spare < 0)
        listener->spare = open_spare();
    if (start(listener, NULL) != ATLS_OK)
        rest(listener);
}

enum atls_code listener_open(const struct listener_options *options, int fd, struct listener **out,
                             struct atls_err *err)
{
    const int flags = fcntl(fd, F_GETFL);
    struct listener *listener = calloc(1, sizeof *listener);
    enum atls_code code;

    if (listener == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        const int error = errno;

        code = listener == NULL ? set_error(err, ATLS_E_NOMEM, "listener: out of memory")
                                : set_error(err, ATLS_E_IO, "listener: %s", strerror(error));
        close(fd);
        free(listener);
        return code;
    }
    listener->options = *options;
    listener->fd = fd;
    listener->watch = (struct loop_watch){.ready = accept_some, .fd = -1};
    listener->again.due = rested;
    listener->spare = open_spare();
    if ((code = start(listener, err)) != ATLS_OK) {
        listener_close(listener);
        return code;
    }
    *out = listener;
    return ATLS_OK;
}

void listener_set_source(struct listener *listener, const struct link_source *source)
{
    listener->options.source = source;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    loop_timer_clear(listener->options.loop, &listener->again);
    loop_unwatch(listener->options.loop, &listener->watch);
    close(listener->fd);
    if (listener->spare >= 0)
        close(listener->spare);
    free(listener);
}
