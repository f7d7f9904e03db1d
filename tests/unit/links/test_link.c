/* Links over real sockets: clients and targets are threads of the test, the loops have their own.
 *
 *     client -> [originate] -> [both] -> [terminate] -> target
 *
 * Each of the three is a route with a listener, so that a client may come in at any of them. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "testlib.h"

#include <openssl/evp.h>

#include <atls/openssl.h>

#include "fake_attester.h"
#include "link_parts.h"
#include "listener.h"
#include "session_pair.h"
#include "text.h"
#include "tls_pair.h"

#define LOOPS   2
#define REPORTS 256

enum { ORIGINATE, BOTH, TERMINATE, ROUTES };

struct told {
    int route;
    enum link_end end;
    struct atls_err err;
    uint64_t from_client, to_client;
    bool opened;
};

struct world {
    struct pair p;
    struct test_identity ca, leaf;
    SSL_CTX *client_ctx, *server_ctx;
    struct loop *loop[LOOPS];
    struct links *links[LOOPS];
    struct listener *listener[LOOPS][ROUTES];
    struct jobs *jobs;
    struct limits *limits;
    struct link_route route[ROUTES];
    struct link_source source[ROUTES];
    struct link_hooks hooks;
    struct sockaddr_storage address[ROUTES], target;
    socklen_t address_len[ROUTES], target_len;
    int target_fd;
    bool tcp;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct told told[REPORTS];
    size_t told_count, seen, opened, attested, withdrawn;
    _Atomic size_t held[ROUTES], through, gone;
    size_t learned, kept; /* filters that were asked; links that ended with a result */
    bool full;            /* hold refuses */
    _Atomic bool headless;
    bool direct;      /* the first route goes to the third */
    int64_t gone_ms;  /* of struct links_options */
    int client, peer; /* ends of one link, from one step of a test to the next */
    char answer[64];  /* of the filter */
};

/* ---- hooks ---- */

static int number_of(const struct link_route *route)
{
    const struct world *w = route->arg;

    return (int)(route - w->route);
}

static bool hold(const struct link_route *route)
{
    struct world *w = route->arg;

    if (w->full)
        return false;
    atomic_fetch_add(&w->held[number_of(route)], 1);
    return true;
}

static void drop(const struct link_route *route)
{
    struct world *w = route->arg;

    atomic_fetch_sub(&w->held[number_of(route)], 1);
}

static void note_opened(const struct link_route *route, struct link *link)
{
    struct world *w = route->arg;

    (void)link;
    pthread_mutex_lock(&w->lock);
    w->opened++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static void note_attested(const struct link_route *route, struct link *link,
                          enum link_side_number side)
{
    struct world *w = route->arg;
    struct atls_peer peer;

    if (!link_peer(link, side, &peer) || peer.attestations == 0 || peer.result == NULL ||
        link_route(link) != route)
        abort();
    pthread_mutex_lock(&w->lock);
    w->attested++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static void note(struct world *w, int route, const struct link_report *report)
{
    pthread_mutex_lock(&w->lock);
    if (w->told_count < REPORTS)
        w->told[w->told_count] = (struct told){
            route,         report->end, *report->err, report->from_client, report->to_client,
            report->opened};
    w->told_count++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static void note_ended(const struct link_route *route, struct link *link,
                       const struct link_report *report)
{
    (void)link;
    note(route->arg, number_of(route), report);
}

static void note_source_ended(const struct link_source *source, struct link *link,
                              const struct link_report *report)
{
    (void)link;
    note(source->arg, -1, report);
}

/* Waits until so many links of all have ended; fails the test after a minute. */
static void wait_for_count(struct world *w, const size_t *counter, size_t count, const char *what)
{
    struct timespec end;
    int late = 0;
    size_t got;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&w->lock);
    while (*counter < count && late == 0)
        late = pthread_cond_timedwait(&w->more, &w->lock, &end);
    got = *counter;
    pthread_mutex_unlock(&w->lock);
    if (got < count)
        fail_msg("%s: %zu of %zu", what, got, count);
}

/* The report of the next link of a route that ends. */
static struct told next_told(struct world *w, int route)
{
    struct told told;

    do {
        wait_for_count(w, &w->told_count, w->seen + 1, "links that ended");
        assert_true(w->seen < REPORTS);
        pthread_mutex_lock(&w->lock);
        told = w->told[w->seen++];
        pthread_mutex_unlock(&w->lock);
    } while (told.route != route);
    return told;
}

static void assert_told(const char *row, const struct told *told, enum link_end want)
{
    if (told->end != want)
        fail_msg("%s: route %d ended %s, want %s: %s", row, told->route, link_end_name(told->end),
                 link_end_name(want), told->err.message);
}

static void assert_end(struct world *w, int route, enum link_end want)
{
    const struct told told = next_told(w, route);

    assert_told("link", &told, want);
}

static void note_log(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    struct world *w = arg;

    (void)level;
    (void)module;
    if (strstr(message, "gate closed") == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->withdrawn++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

/* ---- sockets ---- */

static int listening(struct world *w, struct sockaddr_storage *out, socklen_t *out_len)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    const int fd = socket(w->tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    /* A unix socket without a name gets one that no file has (unix(7), autobind). */
    assert_int_equal(w->tcp ? bind(fd, (struct sockaddr *)&four, sizeof four)
                            : bind(fd, (struct sockaddr *)&local, sizeof(sa_family_t)),
                     0);
    assert_int_equal(listen(fd, 128), 0);
    *out_len = sizeof *out;
    assert_int_equal(getsockname(fd, (struct sockaddr *)out, out_len), 0);
    return fd;
}

static int dial_to(const struct sockaddr_storage *address, socklen_t len)
{
    const struct timeval limit = {.tv_sec = 60};
    const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, len), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    return fd;
}

/* Has the peers of a route (-1: of all) attest again, one at a time. */
static bool ask(struct world *w, int loop, int route, bool end_others)
{
    const struct links_reattest what = {.route = route >= 0 ? &w->route[route] : NULL,
                                        .sides = 1u << LINK_DOWNSTREAM | 1u << LINK_UPSTREAM,
                                        .at_once = 1,
                                        .end_others = end_others};

    return links_reattest(w->links[loop], &what);
}

static int enter(struct world *w, int route)
{
    return dial_to(&w->address[route], w->address_len[route]);
}

static int take_target(struct world *w)
{
    const struct timeval limit = {.tv_sec = 60};
    struct pollfd p = {.fd = w->target_fd, .events = POLLIN};
    int fd;

    assert_int_equal(poll(&p, 1, 60000), 1);
    fd = accept(w->target_fd, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    return fd;
}

static void put(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static void get(int fd, const char *want)
{
    char got[64];

    assert_int_equal(recv(fd, got, strlen(want), MSG_WAITALL), strlen(want));
    assert_memory_equal(got, want, strlen(want));
}

static void assert_ended(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Ended, or reset. */
static void assert_gone(int fd)
{
    char byte;

    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

/* ---- life ---- */

static void world_init(struct world *w, enum atls_flavour flavour)
{
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    pair_init(&w->p);
    for (int i = 0; i < 2; i++) {
        struct atls_config_options *o = i == 0 ? &w->p.client.options : &w->p.server.options;

        o->clock = (struct atls_clock){0};
        o->flavour = flavour;
        if (flavour == ATLS_FLAVOUR_PRE)
            o->freshness = ATLS_FRESHNESS_NONE;
    }
    if (flavour == ATLS_FLAVOUR_PRE) /* a certificate holds CMW alone */
        w->p.client.attester.media_type = w->p.server.attester.media_type = "application/eat+cwt";
    w->hooks = (struct link_hooks){.hold = hold,
                                   .drop = drop,
                                   .opened = note_opened,
                                   .attested = note_attested,
                                   .ended = note_ended};
    for (int i = 0; i < ROUTES; i++) {
        w->route[i] = (struct link_route){.name = "route",
                                          .handshake_timeout_ms = 60000,
                                          .dial_timeout_ms = 60000,
                                          .idle_timeout_ms = 60000,
                                          .hooks = &w->hooks,
                                          .arg = w};
        w->source[i] = (struct link_source){.route = &w->route[i],
                                            .handshake_timeout_ms = 60000,
                                            .ended = note_source_ended,
                                            .arg = w};
    }
}

static void make_contexts(struct world *w)
{
    struct atls_err err = ATLS_ERR_INIT;

    pair_configure(&w->p);
    w->client_ctx = SSL_CTX_new(TLS_client_method());
    w->server_ctx = SSL_CTX_new(TLS_server_method());
    test_assert_code(atls_openssl_prepare_for(w->client_ctx, w->p.client.config, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_openssl_prepare_for(w->server_ctx, w->p.server.config, &err), ATLS_OK,
                     &err);
    if (w->p.server.options.flavour != ATLS_FLAVOUR_POST)
        return;
    w->ca = test_ca("tls");
    w->leaf = test_leaf(&w->ca, TLS_PAIR_NAME, ATLS_KEY_P256);
    tls_use_identity(w->server_ctx, &w->leaf, NULL);
    tls_trust(w->client_ctx, atls_buf_bytes(&w->ca.certificate));
    SSL_CTX_set_verify(w->client_ctx, SSL_VERIFY_PEER, NULL);
}

static void use_target(struct link_route *route, const struct sockaddr_storage *address,
                       socklen_t len)
{
    route->target.address = *address;
    route->target.address_len = len;
}

static void make_routes(struct world *w)
{
    const struct link_side client = {w->client_ctx, w->p.client.config, w->p.client.options.flavour,
                                     w->p.client.options.raw, TLS_PAIR_NAME};
    const struct link_side server = {w->server_ctx, w->p.server.config, w->p.server.options.flavour,
                                     w->p.server.options.raw, NULL};

    w->route[ORIGINATE].side[LINK_UPSTREAM] = client;
    w->route[BOTH].side[LINK_DOWNSTREAM] = server;
    w->route[BOTH].side[LINK_UPSTREAM] = client;
    w->route[TERMINATE].side[LINK_DOWNSTREAM] = server;
    if (w->route[ORIGINATE].target.address_len == 0 && w->route[ORIGINATE].target.host == NULL)
        use_target(&w->route[ORIGINATE], &w->address[w->direct ? TERMINATE : BOTH],
                   w->address_len[w->direct ? TERMINATE : BOTH]);
    use_target(&w->route[BOTH], &w->address[TERMINATE], w->address_len[TERMINATE]);
    if (w->route[TERMINATE].target.address_len == 0 && w->route[TERMINATE].target.host == NULL)
        use_target(&w->route[TERMINATE], &w->target, w->target_len);
}

static void count_through(void *arg, const struct sockaddr_storage *client)
{
    struct world *w = arg;

    atomic_fetch_add(&w->through, 1);
    limits_links_through(w->limits, client);
}

static void count_gone(void *arg, const struct sockaddr_storage *client)
{
    struct world *w = arg;

    atomic_fetch_add(&w->gone, 1);
    limits_links_gone(w->limits, client);
}

static void start_loop(struct world *w, int i, const int fds[ROUTES])
{
    struct atls_err err = ATLS_ERR_INIT;
    struct links_options options = {.jobs = w->jobs,
                                    .through = count_through,
                                    .gone = count_gone,
                                    .arg = w,
                                    .gone_ms = w->gone_ms};

    test_assert_code(loop_new(&w->loop[i], &err), ATLS_OK, &err);
    options.loop = w->loop[i];
    test_assert_code(links_new(&options, &w->links[i], &err), ATLS_OK, &err);
    for (int r = 0; r < ROUTES; r++) {
        const struct listener_options listener = {
            .links = w->links[i], .loop = w->loop[i], .limits = w->limits, .source = &w->source[r]};

        test_assert_code(listener_open(&listener, dup(fds[r]), &w->listener[i][r], &err), ATLS_OK,
                         &err);
    }
    test_assert_code(loop_start(w->loop[i], &err), ATLS_OK, &err);
}

static void world_start(struct world *w)
{
    const struct limits_options limits = {1000, 1000, 1000, NULL, NULL};
    struct atls_err err = ATLS_ERR_INIT;
    int fds[ROUTES];

    make_contexts(w);
    for (int i = 0; i < ROUTES; i++)
        fds[i] = listening(w, &w->address[i], &w->address_len[i]);
    w->target_fd = listening(w, &w->target, &w->target_len);
    make_routes(w);
    test_assert_code(jobs_new(4, &w->jobs, &err), ATLS_OK, &err);
    test_assert_code(limits_new(&limits, &w->limits, &err), ATLS_OK, &err);
    for (int i = 0; i < LOOPS; i++)
        start_loop(w, i, fds);
    for (int i = 0; i < ROUTES; i++)
        close(fds[i]);
}

static void wait_for_none(struct world *w)
{
    for (int i = 0; i < LOOPS; i++)
        for (int turn = 0; links_count(w->links[i]) != 0; turn++) {
            const struct timespec moment = {.tv_nsec = 5000000};

            if (turn > 12000)
                fail_msg("a link stays");
            nanosleep(&moment, NULL);
        }
}

static void end_links(struct world *w)
{
    for (int i = 0; i < LOOPS; i++)
        assert_true(links_end(w->links[i], NULL, LINK_STOPPED));
}

static void world_clear(struct world *w)
{
    size_t connections, handshakes;

    end_links(w);
    wait_for_none(w);
    for (int i = 0; i < LOOPS; i++) {
        loop_join(w->loop[i]);
        for (int r = 0; r < ROUTES; r++)
            listener_close(w->listener[i][r]);
        links_free(w->links[i]);
        assert_int_equal(loop_buffers_out(w->loop[i]), 0);
    }
    jobs_free(w->jobs);
    for (int i = 0; i < LOOPS; i++)
        loop_free(w->loop[i]);
    limits_count(w->limits, &connections, &handshakes);
    assert_int_equal(connections, 0);
    assert_int_equal(handshakes, 0);
    assert_int_equal(w->through, w->gone);
    for (int i = 0; i < ROUTES; i++)
        assert_int_equal(w->held[i], 0);
    limits_free(w->limits);
    if (w->target_fd >= 0)
        close(w->target_fd);
    SSL_CTX_free(w->client_ctx);
    SSL_CTX_free(w->server_ctx);
    test_identity_clear(&w->ca);
    test_identity_clear(&w->leaf);
    pair_clear(&w->p);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
}

/* Links that end wait for their peers to read why: those of many worlds at the same time. */
static void worlds_clear(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        end_links(&w[i]);
    for (size_t i = 0; i < count; i++)
        world_clear(&w[i]);
}

/* ---- traffic ---- */

/* One side of a conversation: sends so many bytes in pieces, then ends; reads until the end. */
struct talk {
    int fd;
    uint32_t seed;
    size_t len;
    unsigned char sent[32], got[32]; /* SHA-256 */
    size_t got_len;
    bool slow;
    _Atomic bool failed;
    size_t quits_after; /* ends when it got so many bytes, and reads no more; 0: never */
    pthread_t sender, receiver;
};

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void *send_all(void *arg)
{
    struct talk *t = arg;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t *piece = malloc(100000);
    uint32_t seed = t->seed;
    size_t left = t->len;

    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    while (left > 0 && !t->failed) {
        const uint32_t kind = next(&seed);
        size_t len = (kind & 7) == 0 ? 1 + kind % 7 : kind % 100000 + 1;

        len = len < left ? len : left;
        for (size_t i = 0; i < len; i++)
            piece[i] = (uint8_t)(next(&seed) >> 3);
        EVP_DigestUpdate(md, piece, len);
        for (size_t done = 0; done < len && !t->failed;) {
            const ssize_t put_now = send(t->fd, piece + done, len - done, MSG_NOSIGNAL);

            if (put_now <= 0)
                t->failed = true;
            else
                done += (size_t)put_now;
        }
        left -= len;
    }
    EVP_DigestFinal_ex(md, t->sent, NULL);
    EVP_MD_CTX_free(md);
    free(piece);
    if (t->quits_after == 0)
        shutdown(t->fd, SHUT_WR);
    return NULL;
}

static void *receive_all(void *arg)
{
    struct talk *t = arg;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t *piece = malloc(100000);
    uint32_t seed = t->seed + 7;
    ssize_t got;

    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    while ((got = recv(t->fd, piece, t->slow ? 1 + next(&seed) % 5000 : 100000, 0)) > 0) {
        EVP_DigestUpdate(md, piece, (size_t)got);
        t->got_len += (size_t)got;
        if (t->got_len == t->quits_after)
            break;
    }
    if (got < 0)
        t->failed = true;
    EVP_DigestFinal_ex(md, t->got, NULL);
    EVP_MD_CTX_free(md);
    free(piece);
    return NULL;
}

static void talk_start(struct talk *t)
{
    assert_int_equal(pthread_create(&t->sender, NULL, send_all, t), 0);
    assert_int_equal(pthread_create(&t->receiver, NULL, receive_all, t), 0);
}

static void talk_end(struct talk *t)
{
    pthread_join(t->sender, NULL);
    pthread_join(t->receiver, NULL);
    close(t->fd);
}

/* Moves data both ways at once between a client of a route and the target. */
static void converse(const char *row, struct world *w, int route, size_t up, size_t down)
{
    const bool raw = w->p.server.options.raw;

    struct talk client = {.fd = enter(w, route), .seed = 1, .len = up},
                target = {.fd = take_target(w),
                          .seed = 2,
                          .len = down,
                          .slow = true,
                          /* Raw streams have one end, which is the target's to say. */
                          .quits_after = raw ? up : 0};

    talk_start(&client);
    talk_start(&target);
    talk_end(&target);
    talk_end(&client);
    if (client.failed || target.failed || target.got_len != up || client.got_len != down)
        fail_msg("%s: %zu of %zu up, %zu of %zu down", row, target.got_len, up, client.got_len,
                 down);
    assert_memory_equal(client.sent, target.got, 32);
    assert_memory_equal(target.sent, client.got, 32);
}

/* ---- good cases ---- */

static void moves_data_both_ways(void **state)
{
    static const struct {
        const char *name;
        enum atls_flavour flavour;
        bool raw, tcp;
        size_t up, down;
    } rows[] = {
        {"post, TCP", ATLS_FLAVOUR_POST, false, true, 3000000, 5000000},
        {"post, unix", ATLS_FLAVOUR_POST, false, false, 3000000, 2000000},
        {"post, nothing up", ATLS_FLAVOUR_POST, false, true, 0, 100000},
        {"post, nothing down", ATLS_FLAVOUR_POST, false, false, 100000, 0},
        {"post, nothing", ATLS_FLAVOUR_POST, false, true, 0, 0},
        {"post, raw", ATLS_FLAVOUR_POST, true, true, 3000000, 5000000},
        {"intra", ATLS_FLAVOUR_INTRA, false, true, 3000000, 5000000},
        {"intra, unix", ATLS_FLAVOUR_INTRA, false, false, 200000, 1},
        {"pre", ATLS_FLAVOUR_PRE, false, true, 3000000, 5000000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;

        world_init(&w, rows[i].flavour);
        w.p.client.options.raw = w.p.server.options.raw = rows[i].raw;
        w.tcp = rows[i].tcp;
        world_start(&w);
        converse(rows[i].name, &w, ORIGINATE, rows[i].up, rows[i].down);
        wait_for_count(&w, &w.told_count, ROUTES, "links that ended");
        for (int r = 0; r < ROUTES; r++) {
            const struct told *told = &w.told[r];

            if (told->end != LINK_CLOSED)
                fail_msg("%s: route %d ended %s: %s", rows[i].name, told->route,
                         link_end_name(told->end), told->err.message);
            assert_int_equal(told->from_client, rows[i].up);
            assert_int_equal(told->to_client, rows[i].down);
        }
        world_clear(&w);
    }
}

/* The same for many links at once, on all routes; attested again meanwhile. */
static void moves_data_of_many_links(void **state)
{
    enum { LINKS = 24 };
    static struct talk client[LINKS], target[LINKS];
    struct world w;

    (void)state;
    memset(client, 0, sizeof client);
    memset(target, 0, sizeof target);
    world_init(&w, ATLS_FLAVOUR_POST);
    w.tcp = true;
    world_start(&w);
    for (int i = 0; i < LINKS; i++) {
        client[i].fd = enter(&w, ORIGINATE);
        target[i].fd = take_target(&w);
        client[i].seed = (uint32_t)i;
        target[i].seed = 1000; /* which link goes to which target is not known */
        client[i].len = 100000 + 1000 * (size_t)i;
        target[i].len = 300000;
        target[i].slow = (i & 1) != 0;
        talk_start(&client[i]);
        talk_start(&target[i]);
        for (int l = 0; l < LOOPS && i % 8 == 0; l++)
            assert_true(ask(&w, l, i == 0 ? BOTH : -1, false));
    }
    for (int i = 0; i < LINKS; i++) {
        talk_end(&client[i]);
        talk_end(&target[i]);
    }
    for (int i = 0; i < LINKS; i++) {
        int same = 0;

        assert_false(client[i].failed || target[i].failed);
        assert_memory_equal(client[i].got, target[0].sent, 32);
        for (int j = 0; j < LINKS; j++)
            same += memcmp(client[i].sent, target[j].got, 32) == 0;
        assert_int_equal(same, 1);
    }
    wait_for_count(&w, &w.told_count, (size_t)ROUTES * LINKS, "links that ended");
    for (size_t i = 0; i < w.told_count; i++)
        assert_int_equal(w.told[i].end, LINK_CLOSED);
    world_clear(&w);
}

/* Reads stop short at the mark of urgent data, and nothing tells that there is more behind it. */
static void urgent_data_hold_up_nothing(void **state)
{
    struct world w;
    int client, target;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.tcp = true;
    w.direct = true;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    put(client, "before", 6); /* waits for the attestation, and so it comes in one piece */
    assert_int_equal(send(client, "!", 1, MSG_OOB), 1);
    put(client, "behind", 6);
    target = take_target(&w);
    get(target, "before!behind");
    assert_int_equal(send(target, "!", 1, MSG_OOB), 1);
    put(target, "back", 4);
    get(client, "!back");
    close(client);
    assert_ended(target);
    close(target);
    assert_end(&w, TERMINATE, LINK_CLOSED);
    world_clear(&w);
}

/* ---- half-closes ---- */

static void passes_on_the_end_of_one_direction(void **state)
{
    static const enum atls_flavour flavours[] = {ATLS_FLAVOUR_POST, ATLS_FLAVOUR_INTRA};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        int client, target;

        world_init(&w, flavours[i]);
        w.tcp = i == 0;
        world_start(&w);
        client = enter(&w, ORIGINATE);
        target = take_target(&w);
        put(client, "question", 8);
        shutdown(client, SHUT_WR);
        get(target, "question");
        assert_ended(target);
        put(target, "answer", 6);
        get(client, "answer");
        put(target, "more", 4);
        close(target);
        get(client, "more");
        assert_ended(client);
        close(client);

        client = enter(&w, ORIGINATE);
        target = take_target(&w);
        put(target, "greeting", 8);
        shutdown(target, SHUT_WR);
        get(client, "greeting");
        assert_ended(client);
        put(client, "thanks", 6);
        get(target, "thanks");
        close(client);
        assert_ended(target);
        close(target);
        wait_for_count(&w, &w.told_count, 2 * (size_t)ROUTES, "links that ended");
        for (size_t t = 0; t < w.told_count; t++)
            assert_int_equal(w.told[t].end, LINK_CLOSED);
        world_clear(&w);
    }
}

/* ---- refusals ---- */

/* Nobody has come to the target, and nobody will: the links are over. */
static void assert_target_untouched(struct world *w)
{
    struct pollfd p = {.fd = w->target_fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, 0), 0);
}

static void no_byte_passes_before_the_verdicts(void **state)
{
    static const struct {
        const char *name;
        enum atls_flavour flavour;
        bool client_refuses, server_refuses, client_fails, server_fails;
        enum link_end originate, terminate;
    } rows[] = {
        {"post: client refuses", ATLS_FLAVOUR_POST, true, false, false, false,
         LINK_UPSTREAM_REFUSED, LINK_REFUSED_DOWNSTREAM},
        {"post: server refuses", ATLS_FLAVOUR_POST, false, true, false, false,
         LINK_REFUSED_UPSTREAM, LINK_DOWNSTREAM_REFUSED},
        {"post: client has no evidence", ATLS_FLAVOUR_POST, false, false, true, false,
         LINK_ATTESTER_FAILED, LINK_DOWNSTREAM_REFUSED},
        {"post: server has no evidence", ATLS_FLAVOUR_POST, false, false, false, true,
         LINK_UPSTREAM_REFUSED, LINK_ATTESTER_FAILED},
        {"intra: client refuses", ATLS_FLAVOUR_INTRA, true, false, false, false,
         LINK_UPSTREAM_REFUSED, LINK_REFUSED_DOWNSTREAM},
        {"intra: server refuses", ATLS_FLAVOUR_INTRA, false, true, false, false,
         LINK_REFUSED_UPSTREAM, LINK_DOWNSTREAM_REFUSED},
        {"pre: client refuses", ATLS_FLAVOUR_PRE, true, false, false, false, LINK_UPSTREAM_REFUSED,
         LINK_REFUSED_DOWNSTREAM},
        {"pre: server refuses", ATLS_FLAVOUR_PRE, false, true, false, false, LINK_REFUSED_UPSTREAM,
         LINK_DOWNSTREAM_REFUSED},
    };
    static struct world worlds[sizeof rows / sizeof rows[0]];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = &worlds[i];

        world_init(w, rows[i].flavour);
        w->direct = true;
        w->tcp = (i & 1) != 0;
        w->p.client.verifier.contraindicated = rows[i].client_refuses;
        w->p.server.verifier.contraindicated = rows[i].server_refuses;
        w->p.client.attester.fail_evidence = rows[i].client_fails ? ATLS_E_DEVICE : ATLS_OK;
        w->p.server.attester.fail_evidence = rows[i].server_fails ? ATLS_E_DEVICE : ATLS_OK;
        world_start(w);
        w->client = enter(w, ORIGINATE);
        put(w->client, "secret", 6);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = &worlds[i];

        wait_for_count(w, &w->told_count, 2, rows[i].name);
        for (size_t t = 0; t < 2; t++) {
            assert_told(rows[i].name, &w->told[t],
                        w->told[t].route == ORIGINATE ? rows[i].originate : rows[i].terminate);
            if (w->told[t].route == TERMINATE) {
                assert_int_equal(w->told[t].from_client, 0);
                assert_false(w->told[t].opened);
            }
            assert_int_equal(w->told[t].to_client, 0);
        }
        assert_target_untouched(w);
        assert_gone(w->client);
        close(w->client);
    }
    worlds_clear(worlds, sizeof worlds / sizeof worlds[0]);
}

/* ---- stalls ---- */

/* Comes in and says nothing more than this. */
static void stall(struct world *w, int route, const char *says, enum link_end want)
{
    const int client = enter(w, route);

    if (says[0] != '\0')
        put(client, says, strlen(says));
    assert_end(w, route, want);
    assert_gone(client);
    close(client);
    assert_target_untouched(w);
}

enum { SILENT, NOT_ATTESTING, IDLE, TARGET_SILENT, TARGET_SPEAKS, STALLS };

/* Each has but the one deadline that is to end it. */
static void init_stalls(struct world *w)
{
    for (int i = 0; i < STALLS; i++) {
        world_init(&w[i], ATLS_FLAVOUR_POST);
        w[i].direct = true;
    }
    w[SILENT].route[TERMINATE].handshake_timeout_ms = 300;
    w[NOT_ATTESTING].p.server.options.gate_timeout_ms = 300;
    w[IDLE].route[TERMINATE].idle_timeout_ms = 500;
    w[TARGET_SILENT].route[ORIGINATE].dial_timeout_ms = 500;
    for (int i = 0; i < STALLS; i++)
        world_start(&w[i]);
    for (int i = TARGET_SILENT; i <= TARGET_SPEAKS; i++)
        use_target(&w[i].route[ORIGINATE], &w[i].target, w[i].target_len);
}

/* TLS, and then no attestation. */
static void stall_in_the_gate(struct world *w)
{
    const int client = enter(w, TERMINATE);
    SSL *ssl = SSL_new(w->client_ctx);

    assert_int_equal(SSL_set_fd(ssl, client), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_end(w, TERMINATE, LINK_GATE_TIMEOUT);
    SSL_free(ssl);
    close(client);
    assert_target_untouched(w);
}

static void peers_that_stall_are_given_up(void **state)
{
    static struct world worlds[STALLS];
    int client, target;

    (void)state;
    init_stalls(worlds);
    stall(&worlds[SILENT], TERMINATE, "", LINK_HANDSHAKE_TIMEOUT);
    stall(&worlds[SILENT], TERMINATE, "\x16\x03\x01", LINK_HANDSHAKE_TIMEOUT);
    stall(&worlds[NOT_ATTESTING], TERMINATE, "GET / HTTP/1.1\r\n\r\n", LINK_DOWNSTREAM_TLS);
    stall_in_the_gate(&worlds[NOT_ATTESTING]);

    /* Both attested, and then nothing. */
    client = enter(&worlds[IDLE], ORIGINATE);
    target = take_target(&worlds[IDLE]);
    assert_end(&worlds[IDLE], TERMINATE, LINK_IDLE_TIMEOUT);
    assert_gone(target);
    assert_gone(client);
    close(client);
    close(target);

    client = enter(&worlds[TARGET_SILENT], ORIGINATE);
    target = take_target(&worlds[TARGET_SILENT]);
    assert_end(&worlds[TARGET_SILENT], ORIGINATE, LINK_DIAL_TIMEOUT);
    close(client);
    close(target);

    client = enter(&worlds[TARGET_SPEAKS], ORIGINATE);
    target = take_target(&worlds[TARGET_SPEAKS]);
    put(target, "no TLS here, sorry", 18);
    assert_end(&worlds[TARGET_SPEAKS], ORIGINATE, LINK_UPSTREAM_TLS);
    close(client);
    close(target);
    worlds_clear(worlds, STALLS);
}

/* What a peer said before it closed in the handshake counts, if it said anything: an alert, or what
 * is no TLS. Otherwise it closed. */
static void who_closes_in_the_handshake_is_named_by_one_rule(void **state)
{
    static const char alert[] = "\x15\x03\x03\x00\x02\x02\x28", half[] = "\x16\x03\x03\x01";
    static const struct {
        const char *name, *says;
        size_t len;
        enum link_end up, down;
    } rows[] = {
        {"nothing", "", 0, LINK_UPSTREAM_CLOSED, LINK_DOWNSTREAM_CLOSED},
        {"half a record", half, 4, LINK_UPSTREAM_CLOSED, LINK_DOWNSTREAM_CLOSED},
        {"an alert", alert, 7, LINK_REFUSED_UPSTREAM, LINK_DOWNSTREAM_TLS},
        {"no TLS", "HTTP/1.0 400 Bad Request\r\n\r\n", 28, LINK_UPSTREAM_TLS, LINK_DOWNSTREAM_TLS},
    };

    (void)state;
    for (size_t i = 0; i < 4 * sizeof rows / sizeof rows[0]; i++) {
        char row[64];
        struct world w;
        int client, target;
        struct told told;

        world_init(&w, ATLS_FLAVOUR_POST);
        w.tcp = (i & 1) != 0;
        w.route[ORIGINATE].target.address_len = 1; /* set below */
        world_start(&w);
        use_target(&w.route[ORIGINATE], &w.target, w.target_len);
        client = enter(&w, ORIGINATE);
        target = take_target(&w);
        put(target, rows[i / 4].says, rows[i / 4].len);
        if ((i & 2) != 0)
            shutdown(target, SHUT_WR);
        else
            close(target); /* a reset where the ClientHello was not read */
        snprintf(row, sizeof row, "target says %s (%zu)", rows[i / 4].name, i % 4);
        told = next_told(&w, ORIGINATE);
        if (told.end != rows[i / 4].up)
            fail_msg("%s: %s: %s", row, link_end_name(told.end), told.err.message);
        if ((i & 2) != 0)
            close(target);
        close(client);

        client = enter(&w, TERMINATE);
        put(client, rows[i / 4].says, rows[i / 4].len);
        if ((i & 2) != 0)
            shutdown(client, SHUT_WR);
        else
            close(client);
        snprintf(row, sizeof row, "client says %s (%zu)", rows[i / 4].name, i % 4);
        told = next_told(&w, TERMINATE);
        if (told.end != rows[i / 4].down)
            fail_msg("%s: %s: %s", row, link_end_name(told.end), told.err.message);
        if ((i & 2) != 0)
            close(client);
        world_clear(&w);
    }
}

static void ready_never(struct end *end)
{
    (void)end;
}

/* It counts, too, when a write found the peer gone before what it had said was read. */
static void what_a_peer_said_counts_behind_a_write_that_failed(void **state)
{
    struct end end = {.ready = ready_never, .closed = ready_never};
    struct atls_err err = ATLS_ERR_INIT;
    struct loop *loop = NULL;
    struct world w;
    int fds[2];

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    world_start(&w);
    test_assert_code(loop_new(&loop, &err), ATLS_OK, &err);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    put(fds[1], "no TLS here, sorry", 18);
    close(fds[1]);
    test_assert_code(end_open(&end, loop, fds[0], false, &err), ATLS_OK, &err);
    test_assert_code(end_secure(&end,
                                &(struct end_security){.ctx = w.client_ctx,
                                                       .config = w.p.client.config,
                                                       .peer_name = TLS_PAIR_NAME},
                                &err),
                     ATLS_OK, &err);
    end.readable = false; /* it was not there yet */
    (void)end_step(&end);
    assert_int_equal(end.state, END_SHAKING);
    assert_int_equal(end.broke, EPIPE);
    end.readable = true;
    (void)end_step(&end);
    assert_int_equal(end.state, END_FAILED);
    assert_int_equal(link_why(&end, LINK_UPSTREAM), LINK_UPSTREAM_TLS);
    end_free(&end);
    loop_free(loop);
    world_clear(&w);
}

/* ---- targets ---- */

static void dials_by_name_and_tells_when_it_cannot(void **state)
{
    char port[8];
    struct world w;
    int client, target;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.tcp = true;
    w.direct = true;
    world_start(&w);
    snprintf(port, sizeof port, "%u", ntohs(((const struct sockaddr_in *)&w.target)->sin_port));
    w.route[TERMINATE].target = (struct link_target){.host = "localhost", .port = port};
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(client, "by name", 7);
    get(target, "by name");
    close(client);
    assert_ended(target);
    close(target);
    assert_end(&w, TERMINATE, LINK_CLOSED);

    w.route[TERMINATE].target.host = "no..name";
    client = enter(&w, ORIGINATE);
    assert_end(&w, TERMINATE, LINK_DIAL_FAILED);
    assert_gone(client);
    close(client);

    close(w.target_fd); /* nobody listens any more */
    w.target_fd = -1;
    w.route[TERMINATE].target.host = "localhost";
    client = enter(&w, ORIGINATE);
    assert_end(&w, TERMINATE, LINK_DIAL_FAILED);
    assert_gone(client);
    close(client);
    use_target(&w.route[TERMINATE], &w.target, w.target_len);
    client = enter(&w, ORIGINATE);
    assert_end(&w, TERMINATE, LINK_DIAL_FAILED);
    assert_gone(client);
    close(client);
    world_clear(&w);
}

/* ---- resets ---- */

static void a_reset_ends_one_link(void **state)
{
    struct world w;
    int client, target, other, other_target;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.tcp = true;
    w.direct = true;
    world_start(&w);
    other = enter(&w, ORIGINATE);
    other_target = take_target(&w);
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(client, "half a sen", 10);
    get(target, "half a sen");
    reset(client);
    assert_end(&w, ORIGINATE, LINK_DOWNSTREAM_CLOSED);
    assert_gone(target);
    close(target);

    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(target, "half an ans", 11);
    get(client, "half an ans");
    reset(target);
    /* The link behind that of the client that was reset: its stream was not whole. */
    assert_end(&w, TERMINATE, LINK_DOWNSTREAM_CLOSED);
    assert_end(&w, TERMINATE, LINK_UPSTREAM_CLOSED);
    assert_gone(client);
    close(client);

    put(other, "still here", 10);
    get(other_target, "still here");
    close(other);
    assert_ended(other_target);
    close(other_target);
    world_clear(&w);
}

/* Both (b -1: one) send and neither reads, until nothing moves any more. */
static void fill_up(int a, int b)
{
    static const char piece[65536];
    struct pollfd p[2] = {{.fd = a, .events = POLLOUT}, {.fd = b, .events = POLLOUT}};

    while (poll(p, 2, 300) > 0)
        for (int i = 0; i < 2; i++)
            if ((p[i].revents & POLLOUT) != 0)
                assert_true(send(p[i].fd, piece, sizeof piece, MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
}

/* ---- streams that break off ---- */

/* A socket without a reset behind it says nothing more than that the data have ended. */
static void assert_reset(const char *row, int fd)
{
    struct pollfd p = {.fd = fd};
    char byte;

    if (poll(&p, 1, 60000) != 1 || (p.revents & POLLERR) == 0)
        fail_msg("%s: not reset", row);
    (void)recv(fd, &byte, 1, 0);
    close(fd);
}

enum breaks { CLIENT_RESETS, TARGET_RESETS, PROXY_STOPS };

/* One direction ends in order; in the middle of the other, somebody goes. */
static void break_off(struct world *w, bool client_ended, enum breaks breaks)
{
    int ended, open;

    w->tcp = true;
    w->direct = true;
    world_start(w);
    w->client = enter(w, ORIGINATE);
    w->peer = take_target(w);
    ended = client_ended ? w->client : w->peer;
    open = client_ended ? w->peer : w->client;
    put(ended, "all of it", 9);
    shutdown(ended, SHUT_WR);
    get(open, "all of it");
    assert_ended(open);
    put(open, "half of", 7);
    get(ended, "half of");
    if (breaks == PROXY_STOPS)
        for (int i = 0; i < LOOPS; i++)
            assert_true(links_end(w->links[i], &w->route[TERMINATE], LINK_STOPPED));
    else
        reset(breaks == CLIENT_RESETS ? w->client : w->peer);
}

/* Whoever is left must not take that for an orderly end, in whatever direction. */
static void assert_broken_off(const char *row, struct world *w, enum breaks breaks)
{
    wait_for_count(w, &w->told_count, 2, row);
    for (size_t t = 0; t < 2; t++)
        assert_told(row, &w->told[t],
                    breaks == PROXY_STOPS && w->told[t].route == TERMINATE ? LINK_STOPPED
                    : breaks == CLIENT_RESETS                              ? LINK_DOWNSTREAM_CLOSED
                                                                           : LINK_UPSTREAM_CLOSED);
    if (breaks != CLIENT_RESETS)
        assert_reset(row, w->client);
    if (breaks != TARGET_RESETS)
        assert_reset(row, w->peer);
}

static void what_breaks_off_behind_an_end_is_told(void **state)
{
    static const struct {
        const char *name;
        bool client_ended;
        enum breaks breaks;
    } rows[] = {
        {"client ended, client resets", true, CLIENT_RESETS},
        {"client ended, target resets", true, TARGET_RESETS},
        {"client ended, proxy stops", true, PROXY_STOPS},
        {"target ended, client resets", false, CLIENT_RESETS},
        {"target ended, target resets", false, TARGET_RESETS},
        {"target ended, proxy stops", false, PROXY_STOPS},
    };
    static struct world worlds[2 * sizeof rows / sizeof rows[0]];

    (void)state;
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++) {
        world_init(&worlds[i], i % 2 == 0 ? ATLS_FLAVOUR_POST : ATLS_FLAVOUR_INTRA);
        break_off(&worlds[i], rows[i / 2].client_ended, rows[i / 2].breaks);
    }
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++)
        assert_broken_off(rows[i / 2].name, &worlds[i], rows[i / 2].breaks);
    worlds_clear(worlds, sizeof worlds / sizeof worlds[0]);
}

/* A reset that a write meets first, which reads do not tell of any more. */
static void half_an_answer_is_not_whole_for_who_still_asks(void **state)
{
    static struct world worlds[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world *w = &worlds[i];

        world_init(w, ATLS_FLAVOUR_POST);
        w->tcp = true;
        w->direct = i == 1;
        world_start(w);
        w->client = enter(w, ORIGINATE);
        w->peer = take_target(w);
        fill_up(w->client, -1);
        put(w->peer, "half", 4);
        get(w->client, "half");
        reset(w->peer);
    }
    for (int i = 0; i < 2; i++) {
        char byte;

        if (recv(worlds[i].client, &byte, 1, 0) != -1)
            fail_msg("half an answer looked whole");
        close(worlds[i].client);
    }
    worlds_clear(worlds, 2);
}

/* ---- ends that take no more ---- */

/* Two links between which both directions are full: each must go on to read what the other sends,
 * though nobody is there to take it, or both stay for ever. */
static void links_with_full_buffers_end_with_their_programs(void **state)
{
    static struct world worlds[4];

    (void)state;
    for (int row = 0; row < 4; row++) {
        struct world *w = &worlds[row];
        int client, target;

        world_init(w, row == 3 ? ATLS_FLAVOUR_INTRA : ATLS_FLAVOUR_POST);
        w->tcp = row != 0;
        w->direct = true;
        w->p.client.options.raw = w->p.server.options.raw = row == 2;
        w->route[ORIGINATE].idle_timeout_ms = w->route[TERMINATE].idle_timeout_ms = 600000;
        world_start(w);
        client = enter(w, ORIGINATE);
        target = take_target(w);
        fill_up(client, target);
        reset(client);
        reset(target);
    }
    for (int row = 0; row < 4; row++) {
        struct world *w = &worlds[row];

        wait_for_count(w, &w->told_count, 2, "links that ended");
        for (size_t t = 0; t < 2; t++)
            assert_int_not_equal(w->told[t].end, LINK_CLOSED);
        wait_for_none(w);
    }
    worlds_clear(worlds, 4);
}

/* A client that does not read is told that its target went, though what the target had said before
 * is still on its way to it. */
static void who_does_not_read_is_told_that_the_other_went(void **state)
{
    struct world w;
    int client, target;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    w.gone_ms = 100; /* from when nothing moves */
    world_start(&w);
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    fill_up(client, target);
    reset(target);
    assert_end(&w, TERMINATE, LINK_UPSTREAM_CLOSED);
    close(client);
    world_clear(&w);
}

/* ---- rights ---- */

static void reattest(struct world *w, int route)
{
    for (int i = 0; i < LOOPS; i++)
        assert_true(ask(w, i, route, false));
}

static void nothing_moves_while_rights_are_withdrawn(void **state)
{
    struct pollfd p = {.events = POLLIN};
    struct world w;
    int client, target;
    size_t attested;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    w.p.server.options.on_failure = ATLS_ON_FAILURE_GATE;
    w.p.server.options.log = (struct atls_log){&w, ATLS_LOG_DEBUG, note_log};
    w.route[TERMINATE].idle_timeout_ms = 2000;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(client, "before", 6);
    get(target, "before");
    wait_for_count(&w, &w.attested, 2, "verdicts");
    w.p.server.verifier.contraindicated = true;
    reattest(&w, TERMINATE);
    wait_for_count(&w, &w.withdrawn, 1, "withdrawals");
    put(client, "held", 4);
    put(target, "back", 4);
    p.fd = target;
    assert_int_equal(poll(&p, 1, 100), 0);
    p.fd = client;
    assert_int_equal(poll(&p, 1, 100), 0);
    w.p.server.verifier.contraindicated = false;
    attested = w.attested;
    reattest(&w, TERMINATE);
    wait_for_count(&w, &w.attested, attested + 1, "verdicts");
    get(target, "held");
    get(client, "back");

    /* And when they do not come back. */
    w.p.server.verifier.contraindicated = true;
    reattest(&w, TERMINATE);
    assert_end(&w, TERMINATE, LINK_WITHDRAWN);
    assert_gone(target);
    assert_gone(client);
    close(target);
    close(client);

    /* The other policy: the link ends. */
    w.p.server.verifier.contraindicated = false;
    world_clear(&w);
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    w.p.server.verifier.contraindicated = true;
    reattest(&w, TERMINATE);
    assert_end(&w, TERMINATE, LINK_DOWNSTREAM_REFUSED);
    assert_gone(target);
    assert_gone(client);
    close(target);
    close(client);
    world_clear(&w);
}

/* Lets the first pass, once it may decide at all, and nobody else. */
static struct {
    pthread_mutex_t gate;
    _Atomic unsigned begun;
} first_only = {.gate = PTHREAD_MUTEX_INITIALIZER};

static enum atls_code accept_first(void *self, struct atls_result *result,
                                   struct atls_decision *out, struct atls_err *err)
{
    (void)self;
    (void)result;
    (void)err;
    out->accept = ++first_only.begun == 1;
    pthread_mutex_lock(&first_only.gate);
    pthread_mutex_unlock(&first_only.gate);
    return ATLS_OK;
}

/* Who is judged while the order comes is judged by what counted before it. */
static void an_order_counts_for_who_is_in_the_gate(void **state)
{
    static const struct atls_policy_ops ops = {NULL, accept_first};
    struct atls_policy *policy = NULL;
    struct world w;
    int client;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    first_only.begun = 0;
    assert_int_equal(atls_policy_new(&ops, &first_only, &policy, NULL), ATLS_OK);
    w.p.server.options.policy = policy;
    world_start(&w);
    pthread_mutex_lock(&first_only.gate);
    client = enter(&w, ORIGINATE);
    while (first_only.begun == 0)
        ;
    reattest(&w, TERMINATE); /* is on the loop before the verdict can be */
    pthread_mutex_unlock(&first_only.gate);
    assert_end(&w, TERMINATE, LINK_DOWNSTREAM_REFUSED);
    assert_int_equal(first_only.begun, 2);
    assert_true(w.told[0].opened || w.told[1].opened);
    assert_gone(client);
    close(client);
    world_clear(&w);
    atls_policy_unref(policy);
}

/* However many there are, each loop asks one at a time, and all are asked. */
static void peers_are_asked_one_after_the_other(void **state)
{
    enum { LINKS = 12 };
    int client[LINKS], target[LINKS];
    struct world w;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    world_start(&w);
    for (int i = 0; i < LINKS; i++) {
        client[i] = enter(&w, ORIGINATE);
        target[i] = take_target(&w);
    }
    wait_for_count(&w, &w.attested, 2 * LINKS, "verdicts");
    atomic_store(&w.p.server.verifier.most, 0);
    w.p.server.verifier.delay_ms = 20;
    reattest(&w, TERMINATE);
    wait_for_count(&w, &w.attested, 3 * LINKS, "verdicts");
    assert_in_range(atomic_load(&w.p.server.verifier.most), 1, LOOPS);

    /* Those that end while they wait leave their place to the others. */
    reattest(&w, TERMINATE);
    for (int i = 0; i < LINKS / 2; i++)
        reset(client[i]);
    wait_for_count(&w, &w.attested, 3 * LINKS + LINKS / 2, "verdicts");
    for (int i = 0; i < LINKS; i++)
        close(target[i]);
    for (int i = LINKS / 2; i < LINKS; i++)
        close(client[i]);
    world_clear(&w);
}

/* ---- orders ---- */

static void orders_end_links(void **state)
{
    struct world w;
    int client, target, drained = 0;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_INTRA);
    w.direct = true;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    reattest(&w, TERMINATE); /* this flavour cannot, and the link may stay */
    put(client, "stays", 5);
    get(target, "stays");
    for (int i = 0; i < LOOPS; i++)
        assert_true(ask(&w, i, TERMINATE, true));
    assert_end(&w, TERMINATE, LINK_STOPPED);
    assert_gone(target);
    assert_gone(client);
    close(target);
    close(client);
    wait_for_none(&w);
    w.seen = w.told_count;

    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    for (int i = 0; i < LOOPS; i++)
        assert_true(links_drain(w.links[i], 0));
    /* Whichever comes first cuts the other off. */
    wait_for_count(&w, &w.told_count, w.seen + 2, "links that ended");
    for (size_t t = w.told_count - 2; t < w.told_count; t++) {
        assert_int_not_equal(w.told[t].end, LINK_CLOSED);
        drained += w.told[t].end == LINK_DRAINED;
    }
    assert_true(drained >= 1);
    assert_gone(target);
    assert_gone(client);
    close(target);
    close(client);
    world_clear(&w);
}

static void a_full_route_refuses(void **state)
{
    struct world w;
    int client;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.full = true;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    assert_end(&w, -1, LINK_LIMIT_ROUTE);
    assert_gone(client);
    close(client);
    world_clear(&w);
}

/* ---- prelude, head, filter ---- */

/* "1\n" and "2\n" are taken, one after the other; then comes what has no digit. */
static enum link_prelude digits(const struct link_source *source, struct link *link,
                                struct atls_bytes seen, bool ended, size_t *out_used,
                                const struct link_route **out_route, struct atls_err *err)
{
    (void)ended;
    (void)link;
    if (seen.len > 0 && seen.ptr[0] == 'x')
        return (void)set_error(err, ATLS_E_PROTOCOL, "an x"), LINK_PRELUDE_REFUSED;
    if (seen.len > 0 && seen.ptr[0] != '1' && seen.ptr[0] != '2' && seen.ptr[0] != '+') {
        *out_route = source->route;
        return LINK_PRELUDE_DONE;
    }
    if (seen.len < 2 || seen.ptr[0] == '+')
        return LINK_PRELUDE_MORE;
    *out_used = 2;
    return LINK_PRELUDE_USED;
}

static void a_prelude_comes_first(void **state)
{
    char *plus = malloc(LINK_PRELUDE_MAX + 1);
    struct world w;
    int client, target;

    (void)state;
    assert_non_null(plus);
    memset(plus, '+', LINK_PRELUDE_MAX + 1);
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    w.source[ORIGINATE].prelude = digits;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    put(client, "1\n2", 3);
    put(client, "\n", 1);
    put(client, "data", 4);
    target = take_target(&w);
    get(target, "data");
    close(client);
    assert_ended(target);
    close(target);
    assert_end(&w, ORIGINATE, LINK_CLOSED);

    client = enter(&w, ORIGINATE);
    put(client, "1\nx", 3);
    assert_end(&w, -1, LINK_BAD_PRELUDE);
    assert_gone(client);
    close(client);

    client = enter(&w, ORIGINATE);
    put(client, plus, LINK_PRELUDE_MAX);
    assert_end(&w, -1, LINK_BAD_PRELUDE);
    assert_gone(client);
    close(client);

    client = enter(&w, ORIGINATE);
    put(client, "2", 1);
    close(client);
    assert_end(&w, -1, LINK_DOWNSTREAM_CLOSED);
    world_clear(&w);

    world_init(&w, ATLS_FLAVOUR_POST);
    w.source[ORIGINATE].prelude = digits;
    w.source[ORIGINATE].handshake_timeout_ms = 100;
    world_start(&w);
    client = enter(&w, ORIGINATE);
    put(client, "1", 1);
    assert_end(&w, -1, LINK_HANDSHAKE_TIMEOUT);
    assert_gone(client);
    close(client);
    world_clear(&w);
    free(plus);
}

static size_t write_head(const struct link_route *route, struct link *link, uint8_t *out,
                         size_t room)
{
    const struct world *w = route->arg;

    if (w->headless)
        return 0;
    assert_true(room >= 6);
    assert_true(link_number(link) != 0);
    assert_int_equal(link_client(link)->ss_family, AF_UNIX);
    assert_int_equal(link_local(link)->ss_family, AF_UNIX);
    memcpy(out, "HEAD: ", 6);
    return 6;
}

/* Doubles every letter; refuses a '!'. */
struct doubler {
    struct link_filter base;
    struct world *world;
    bool ended;
};

static bool double_letters(struct link_filter *filter, struct atls_bytes in, bool in_ended,
                           size_t *out_taken, uint8_t *out, size_t room, size_t *out_made,
                           struct atls_err *err)
{
    struct doubler *d = (struct doubler *)filter;

    while (*out_taken < in.len && room - *out_made >= 2) {
        const uint8_t letter = in.ptr[(*out_taken)++];

        if (letter == '!') {
            (void)set_error(err, ATLS_E_PROTOCOL, "an exclamation mark");
            return false;
        }
        out[(*out_made)++] = letter;
        out[(*out_made)++] = letter;
    }
    if (in_ended && in.len == 0 && !d->ended) {
        d->ended = true;
        out[(*out_made)++] = '.';
    }
    return true;
}

static void see_answer(struct link_filter *filter, struct atls_bytes bytes)
{
    struct world *w = ((struct doubler *)filter)->world;
    const size_t len = strlen(w->answer);

    assert_true(len + bytes.len < sizeof w->answer);
    memcpy(w->answer + len, bytes.ptr, bytes.len);
}

static struct atls_bytes refuse_politely(struct link_filter *filter)
{
    (void)filter;
    return atls_bytes_of("no shouting", 11);
}

static void free_doubler(struct link_filter *filter)
{
    free(filter);
}

static struct link_filter *make_doubler(const struct link_route *route, struct link *link)
{
    struct doubler *d = calloc(1, sizeof *d);

    (void)link;
    if (d == NULL)
        return NULL;
    d->base = (struct link_filter){
        .run = double_letters, .back = see_answer, .answer = refuse_politely, .free = free_doubler};
    d->world = route->arg;
    return &d->base;
}

/* ---- what is known of peers ---- */

static bool pass_on(struct link_filter *filter, struct atls_bytes in, bool in_ended,
                    size_t *out_taken, uint8_t *out, size_t room, size_t *out_made,
                    struct atls_err *err)
{
    (void)filter;
    (void)in_ended;
    (void)err;
    *out_taken = *out_made = in.len < room ? in.len : room;
    memcpy(out, in.len == 0 ? (const uint8_t *)"" : in.ptr, *out_made);
    return true;
}

static void count(struct world *w, size_t *counter)
{
    pthread_mutex_lock(&w->lock);
    (*counter)++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static size_t count_of(struct world *w, const size_t *counter)
{
    size_t now;

    pthread_mutex_lock(&w->lock);
    now = *counter;
    pthread_mutex_unlock(&w->lock);
    return now;
}

static bool learn(struct link_filter *filter)
{
    struct world *w = ((struct doubler *)filter)->world;

    count(w, &w->learned);
    return true;
}

static bool learn_later(struct link_filter *filter)
{
    (void)learn(filter);
    return false;
}

static struct link_filter *make_learner(const struct link_route *route, struct link *link)
{
    struct world *w = route->arg;
    struct link_filter *made = make_doubler(route, link);

    if (made == NULL)
        return NULL;
    made->run = pass_on;
    made->learn = w->headless ? learn_later : learn;
    return made;
}

static void note_kept(const struct link_route *route, struct link *link,
                      const struct link_report *report)
{
    struct world *w = route->arg;
    struct atls_peer peer;

    if (!link_peer(link, LINK_DOWNSTREAM, &peer) || peer.status != ATLS_TIER_AFFIRMING)
        abort();
    if (peer.result != NULL)
        count(w, &w->kept);
    note_ended(route, link, report);
}

static void results_go_when_links_rest(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct world w;
        int client, target;

        world_init(&w, ATLS_FLAVOUR_POST);
        w.direct = true;
        w.headless = later != 0;
        world_start(&w);
        w.route[TERMINATE].hooks = &(struct link_hooks){.hold = hold,
                                                        .drop = drop,
                                                        .attested = note_attested,
                                                        .ended = note_kept,
                                                        .filter = make_learner};
        client = enter(&w, ORIGINATE);
        target = take_target(&w);
        put(client, "data", 4);
        get(target, "data");
        wait_for_count(&w, &w.learned, 1, "results that may go");
        for (size_t i = 0; i < 3; i++) { /* of a link that rests */
            const size_t attested = count_of(&w, &w.attested), learned = count_of(&w, &w.learned);

            reattest(&w, TERMINATE);
            wait_for_count(&w, &w.attested, attested + 1, "verdicts");
            wait_for_count(&w, &w.learned, learned + 1, "results that may go");
        }
        put(target, "more", 4);
        get(client, "more");
        close(client);
        close(target);
        assert_end(&w, TERMINATE, LINK_CLOSED);
        assert_int_equal(w.kept, later);
        world_clear(&w);
    }
}

static void heads_and_filters_do_their_work(void **state)
{
    struct world w;
    int client, target;

    (void)state;
    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    world_start(&w);
    w.route[TERMINATE].hooks =
        &(struct link_hooks){.hold = hold, .drop = drop, .ended = note_ended, .head = write_head};
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(client, "data", 4);
    get(target, "HEAD: data");
    close(client);
    close(target);
    assert_end(&w, TERMINATE, LINK_CLOSED);
    w.headless = true;
    client = enter(&w, ORIGINATE);
    assert_end(&w, TERMINATE, LINK_INTERNAL);
    assert_gone(client);
    close(client);
    world_clear(&w);

    world_init(&w, ATLS_FLAVOUR_POST);
    w.direct = true;
    world_start(&w);
    w.route[TERMINATE].hooks = &(struct link_hooks){
        .hold = hold, .drop = drop, .ended = note_ended, .filter = make_doubler};
    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(client, "abc", 3);
    get(target, "aabbcc");
    put(target, "fine", 4);
    get(client, "fine");
    assert_string_equal(w.answer, "fine");
    shutdown(client, SHUT_WR);
    get(target, ".");
    assert_ended(target);
    close(target);
    assert_ended(client);
    close(client);
    assert_end(&w, TERMINATE, LINK_CLOSED);

    client = enter(&w, ORIGINATE);
    target = take_target(&w);
    put(client, "a!", 2);
    get(client, "no shouting");
    assert_gone(client);
    assert_gone(target);
    close(client);
    close(target);
    assert_end(&w, TERMINATE, LINK_DATA_REFUSED);
    world_clear(&w);
}

static struct atls_bytes say_sorry(const struct link_route *route)
{
    (void)route;
    return atls_bytes_of("sorry", 5);
}

/* Only where the route has words for it; else the client is cut off. */
static void a_client_is_told_that_its_target_cannot_be_dialled(void **state)
{
    (void)state;
    for (int row = 0; row < 3; row++) {
        struct world w;
        char byte;
        int client;

        world_init(&w, ATLS_FLAVOUR_POST);
        w.tcp = true;
        w.direct = true;
        world_start(&w);
        w.route[TERMINATE].hooks = &(struct link_hooks){.hold = hold,
                                                        .drop = drop,
                                                        .ended = note_ended,
                                                        .undialled = row == 0 ? NULL : say_sorry};
        close(w.target_fd);
        w.target_fd = -1;
        client = enter(&w, ORIGINATE);
        if (row == 2) /* what it said does not make it a reset */
            put(client, "GET / HTTP/1.1\r\n\r\n", 18);
        if (row != 0) {
            get(client, "sorry");
            assert_ended(client);
        } else {
            assert_int_equal(recv(client, &byte, 1, 0), -1);
        }
        assert_end(&w, TERMINATE, LINK_DIAL_FAILED);
        close(client);
        world_clear(&w);
    }
}

static void every_end_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < LINK_ENDS; i++) {
        assert_true(strlen(link_end_name((enum link_end)i)) > 3);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(link_end_name((enum link_end)i),
                                    link_end_name((enum link_end)j));
    }
    assert_string_equal(link_end_name(LINK_ENDS), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_data_both_ways),
        cmocka_unit_test(moves_data_of_many_links),
        cmocka_unit_test(urgent_data_hold_up_nothing),
        cmocka_unit_test(passes_on_the_end_of_one_direction),
        cmocka_unit_test(no_byte_passes_before_the_verdicts),
        cmocka_unit_test(peers_that_stall_are_given_up),
        cmocka_unit_test(who_closes_in_the_handshake_is_named_by_one_rule),
        cmocka_unit_test(what_a_peer_said_counts_behind_a_write_that_failed),
        cmocka_unit_test(dials_by_name_and_tells_when_it_cannot),
        cmocka_unit_test(a_reset_ends_one_link),
        cmocka_unit_test(what_breaks_off_behind_an_end_is_told),
        cmocka_unit_test(half_an_answer_is_not_whole_for_who_still_asks),
        cmocka_unit_test(links_with_full_buffers_end_with_their_programs),
        cmocka_unit_test(who_does_not_read_is_told_that_the_other_went),
        cmocka_unit_test(nothing_moves_while_rights_are_withdrawn),
        cmocka_unit_test(an_order_counts_for_who_is_in_the_gate),
        cmocka_unit_test(peers_are_asked_one_after_the_other),
        cmocka_unit_test(orders_end_links),
        cmocka_unit_test(a_full_route_refuses),
        cmocka_unit_test(a_prelude_comes_first),
        cmocka_unit_test(heads_and_filters_do_their_work),
        cmocka_unit_test(results_go_when_links_rest),
        cmocka_unit_test(a_client_is_told_that_its_target_cannot_be_dialled),
        cmocka_unit_test(every_end_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
