#define _DEFAULT_SOURCE /* syscall */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testlib.h"

#include "listener.h"

/* ---- limits ---- */

static struct sockaddr_storage four(uint32_t address)
{
    struct sockaddr_storage s = {.ss_family = AF_INET};

    ((struct sockaddr_in *)&s)->sin_addr.s_addr = htonl(address);
    return s;
}

static struct sockaddr_storage six(const uint8_t address[16])
{
    struct sockaddr_storage s = {.ss_family = AF_INET6};

    memcpy(&((struct sockaddr_in6 *)&s)->sin6_addr, address, 16);
    return s;
}

static struct limits *new_limits(size_t connections, size_t handshakes, size_t per_source)
{
    const struct limits_options options = {connections, handshakes, per_source, NULL, NULL};
    struct atls_err err = ATLS_ERR_INIT;
    struct limits *limits = NULL;

    test_assert_code(limits_new(&options, &limits, &err), ATLS_OK, &err);
    return limits;
}

static void each_limit_holds(void **state)
{
    const struct sockaddr_storage a = four(1), b = four(2), local = {.ss_family = AF_UNIX};
    struct limits *limits = new_limits(4, 3, 2);
    size_t connections, handshakes;

    (void)state;
    assert_int_equal(limits_take(limits, &a, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &a, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &a, 0), LINK_LIMIT_SOURCE);
    assert_int_equal(limits_take(limits, &b, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &b, 0), LINK_LIMIT_HANDSHAKES);
    limits_through(limits, &a);
    limits_through(limits, &b);
    assert_int_equal(limits_take(limits, &local, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &local, 0), LINK_LIMIT_CONNECTIONS);
    limits_count(limits, &connections, &handshakes);
    assert_int_equal(connections, 4);
    assert_int_equal(handshakes, 2);
    limits_gone(limits, &a);
    assert_int_equal(limits_take(limits, &a, 0), LINK_CLOSED);
    limits_gone(limits, &local);
    assert_int_equal(limits_take(limits, &a, 0), LINK_LIMIT_HANDSHAKES);
    limits_through(limits, &a);
    assert_int_equal(limits_take(limits, &a, 0), LINK_LIMIT_SOURCE);
    limits_free(limits);
    limits_free(NULL);
}

static bool never(void *arg, const struct sockaddr *source, int64_t now_ms)
{
    (void)arg;
    (void)source;
    (void)now_ms;
    return false;
}

/* Behind a balancer connections count at once, and their sources when they are announced. */
static void sources_may_be_announced_later(void **state)
{
    const struct sockaddr_storage nobody = {.ss_family = AF_UNSPEC}, a = four(1), b = four(2);
    struct limits_options options = {3, 3, 1, never, NULL};
    struct limits *limits = new_limits(3, 3, 1);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(limits_take(limits, &nobody, 0), LINK_CLOSED);
    assert_int_equal(limits_take_source(limits, &a, 0), LINK_CLOSED);
    assert_int_equal(limits_take_source(limits, &a, 0), LINK_LIMIT_SOURCE);
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    assert_int_equal(limits_take_source(limits, &b, 0), LINK_LIMIT_SOURCE); /* the rate */
    options.rate = NULL;
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    assert_int_equal(limits_take_source(limits, &b, 0), LINK_CLOSED); /* which left nothing */
    limits_gone(limits, &a);
    assert_int_equal(limits_take_source(limits, &a, 0), LINK_CLOSED);
    limits_gone(limits, &a);
    limits_gone(limits, &b);
    limits_free(limits);
}

/* Who begins connections and goes no further does not shut out who has begun few. */
static void no_source_takes_all_handshakes(void **state)
{
    const struct sockaddr_storage greedy = four(1), other = four(2), local = {.ss_family = AF_UNIX};
    const struct sockaddr_storage nobody = {.ss_family = AF_UNSPEC};
    struct limits *limits = new_limits(100, 16, 100);

    (void)state;
    for (int i = 0; i < 12; i++)
        assert_int_equal(limits_take(limits, &greedy, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &greedy, 0), LINK_LIMIT_SOURCE);
    assert_int_equal(limits_take(limits, &other, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &other, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &other, 0), LINK_LIMIT_SOURCE);
    limits_through(limits, &other); /* what is through counts no more */
    assert_int_equal(limits_take(limits, &other, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &local, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &nobody, 0), LINK_CLOSED);
    assert_int_equal(limits_take_source(limits, &greedy, 0), LINK_LIMIT_SOURCE); /* announced */
    assert_int_equal(limits_take(limits, &local, 0), LINK_LIMIT_HANDSHAKES);
    for (int i = 0; i < 4; i++)
        limits_through(limits, &greedy);
    assert_int_equal(limits_take_source(limits, &greedy, 0), LINK_CLOSED);
    limits_free(limits);
}

static void sources_of_ipv6_are_networks(void **state)
{
    const uint8_t one[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, [15] = 1},
                  same[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9, [15] = 2},
                  other[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, [15] = 1},
                  mapped[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1},
                  mapped_other[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};
    const struct sockaddr_storage a = six(one), b = six(same), c = six(other), d = six(mapped),
                                  e = six(mapped_other), f = four(0x0a000001);
    struct limits *limits = new_limits(100, 100, 1);

    (void)state;
    assert_int_equal(limits_take(limits, &a, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &b, 0), LINK_LIMIT_SOURCE);
    assert_int_equal(limits_take(limits, &c, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &d, 0), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &f, 0), LINK_LIMIT_SOURCE);
    assert_int_equal(limits_take(limits, &e, 0), LINK_CLOSED);
    limits_gone(limits, &b); /* the same network */
    assert_int_equal(limits_take(limits, &a, 0), LINK_CLOSED);
    limits_free(limits);
}

/* As many sources as there are places, coming and going: every one is counted for itself. */
static void the_table_of_sources_never_fills(void **state)
{
    enum { PLACES = 50 };
    struct limits *limits = new_limits(PLACES, PLACES, 1);
    size_t connections, handshakes;

    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < PLACES; i++) {
            const struct sockaddr_storage s = four(round * 7919 + i * 104729);

            assert_int_equal(limits_take(limits, &s, 0), LINK_CLOSED);
            limits_through(limits, &s);
        }
        for (uint32_t i = 0; i < PLACES; i++) {
            const uint32_t which = (i * 17 + round) % PLACES;
            const struct sockaddr_storage s = four(round * 7919 + which * 104729);

            limits_gone(limits, &s);
        }
    }
    limits_count(limits, &connections, &handshakes);
    assert_int_equal(connections, 0);
    assert_int_equal(handshakes, 0);
    limits_free(limits);
}

static bool seldom(void *arg, const struct sockaddr *source, int64_t now_ms)
{
    size_t *calls = arg;

    assert_int_equal(source->sa_family, AF_INET);
    assert_int_equal(now_ms, 77);
    return ++*calls != 2;
}

static void limits_change_while_they_hold(void **state)
{
    const struct sockaddr_storage a = four(1);
    size_t calls = 0, connections, handshakes;
    struct limits_options options = {2, 2, 2, NULL, NULL};
    struct atls_err err = ATLS_ERR_INIT;
    struct limits *limits = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct limits_options zero = options;

        *(i == 0 ? &zero.connections : i == 1 ? &zero.handshakes : &zero.per_source) = 0;
        assert_int_equal(limits_new(&zero, &limits, &err), ATLS_E_CONFIG);
    }
    test_assert_code(limits_new(&options, &limits, &err), ATLS_OK, &err);
    options = (struct limits_options){100, 100, 100, seldom, &calls};
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    assert_int_equal(limits_take(limits, &a, 77), LINK_CLOSED);
    assert_int_equal(limits_take(limits, &a, 77), LINK_LIMIT_SOURCE); /* the rate */
    limits_count(limits, &connections, &handshakes);
    assert_int_equal(connections, 1);
    assert_int_equal(handshakes, 1);
    assert_int_equal(limits_take(limits, &a, 77), LINK_CLOSED);
    options.connections = 1;
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    assert_int_equal(limits_take(limits, &a, 77), LINK_LIMIT_CONNECTIONS);
    assert_int_equal(calls, 3);
    limits_free(limits);
}

/* Sources that were there are found in the larger table, and there is a place for each new one. */
static void more_connections_have_places(void **state)
{
    struct limits_options options = {1000, 1000, 2, NULL, NULL};
    struct limits *limits = new_limits(10, 10, 1);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        const struct sockaddr_storage s = four(i);

        assert_int_equal(limits_take(limits, &s, 0), LINK_CLOSED);
    }
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    for (uint32_t i = 0; i < 990; i++) {
        const struct sockaddr_storage s = four(i);

        assert_int_equal(limits_take(limits, &s, 0), LINK_CLOSED);
    }
    for (uint32_t i = 0; i < 10; i++) { /* has two */
        const struct sockaddr_storage s = four(i);

        limits_through(limits, &s);
        limits_gone(limits, &s);
        assert_int_equal(limits_take(limits, &s, 0), LINK_CLOSED);
        assert_int_equal(limits_take(limits, &s, 0), LINK_LIMIT_CONNECTIONS);
    }
    options.connections = 1001;
    options.handshakes = 1001;
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    for (uint32_t i = 0; i < 10; i++) {
        const struct sockaddr_storage s = four(i);

        assert_int_equal(limits_take(limits, &s, 0), LINK_LIMIT_SOURCE);
    }
    limits_free(limits);
}

/* ---- accept4(2) ---- */

/* What fails, in place of libc's: so often with these errors, the last of them again and again. */
static struct {
    const int *errors;
    size_t count, calls;
} failing;

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    failing.calls++;
    if (failing.count > 0) {
        errno = failing.errors[0];
        if (--failing.count > 0)
            failing.errors++;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address, len, flags);
}

/* ---- listeners ---- */

struct world {
    struct loop *loop;
    struct links *links;
    struct limits *limits;
    struct listener *listener;
    struct link_source source, other;
    struct sockaddr_storage address;
    socklen_t address_len;
    size_t came, came_other, refused, starved, ended;
    enum link_end why;
    int error;
};

static enum link_prelude count_and_wait(const struct link_source *source, struct link *link,
                                        struct atls_bytes seen, bool ended, size_t *out_used,
                                        const struct link_route **out_route, struct atls_err *err)
{
    struct world *w = source->arg;

    (void)link;
    (void)seen;
    (void)ended;
    (void)out_used;
    (void)out_route;
    (void)err;
    if (source == &w->source)
        w->came++;
    else
        w->came_other++;
    return LINK_PRELUDE_MORE;
}

static void note_ended(const struct link_source *source, struct link *link,
                       const struct link_report *report)
{
    struct world *w = source->arg;

    (void)link;
    (void)report;
    w->ended++;
}

static void note_refused(const struct link_source *source, enum link_end why,
                         const struct sockaddr_storage *client)
{
    struct world *w = source->arg;

    assert_int_equal(client->ss_family, AF_INET);
    w->refused++;
    w->why = why;
}

static void note_starved(const struct link_source *source, int error)
{
    struct world *w = source->arg;

    w->starved++;
    w->error = error;
}

static void world_init(struct world *w, size_t connections)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct atls_err err = ATLS_ERR_INIT;
    struct links_options links = {.through = limits_links_through, .gone = limits_links_gone};
    struct listener_options options = {.refused = note_refused, .starved = note_starved};

    memset(w, 0, sizeof *w);
    w->source = (struct link_source){
        .prelude = count_and_wait, .handshake_timeout_ms = 60000, .ended = note_ended, .arg = w};
    w->other = w->source;
    test_assert_code(loop_new(&w->loop, &err), ATLS_OK, &err);
    w->limits = new_limits(connections, connections, connections);
    links.loop = w->loop;
    links.arg = w->limits;
    test_assert_code(links_new(&links, &w->links, &err), ATLS_OK, &err);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 128), 0);
    w->address_len = sizeof w->address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&w->address, &w->address_len), 0);
    options.loop = w->loop;
    options.links = w->links;
    options.limits = w->limits;
    options.source = &w->source;
    test_assert_code(listener_open(&options, fd, &w->listener, &err), ATLS_OK, &err);
}

static void world_clear(struct world *w)
{
    size_t connections, handshakes;

    listener_close(w->listener);
    links_free(w->links);
    limits_count(w->limits, &connections, &handshakes);
    assert_int_equal(connections, 0);
    assert_int_equal(handshakes, 0);
    limits_free(w->limits);
    loop_free(w->loop);
}

static int come(const struct world *w)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&w->address, w->address_len), 0);
    return fd;
}

static void turn_until(struct world *w, const size_t *counter, size_t count)
{
    for (int i = 0; i < 1000 && *counter < count; i++)
        loop_turn(w->loop, 100);
    assert_int_equal(*counter, count);
}

static void connections_over_the_limit_are_closed(void **state)
{
    struct world w;
    int fds[4];
    char byte;

    (void)state;
    world_init(&w, 2);
    for (int i = 0; i < 3; i++)
        fds[i] = come(&w);
    turn_until(&w, &w.refused, 1);
    turn_until(&w, &w.came, 2);
    assert_int_equal(w.why, LINK_LIMIT_CONNECTIONS);
    assert_int_equal(links_count(w.links), 2);
    assert_int_equal(recv(fds[2], &byte, 1, 0), 0);
    close(fds[0]); /* makes room */
    turn_until(&w, &w.ended, 1);
    while (links_count(w.links) != 1)
        loop_turn(w.loop, 100);
    listener_set_source(w.listener, &w.other);
    fds[3] = come(&w);
    turn_until(&w, &w.came_other, 1);
    for (int i = 1; i < 4; i++)
        close(fds[i]);
    world_clear(&w);
}

/* Whoever comes while there are no descriptors is closed, and those who come later are served. */
static void descriptors_may_run_out(void **state)
{
    struct rlimit before, none;
    struct world w;
    int fds[2], highest;
    char byte;

    (void)state;
    world_init(&w, 10);
    fds[0] = come(&w);
    highest = dup(0);
    assert_true(highest >= 0);
    close(highest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)highest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn_until(&w, &w.starved, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(w.error, EMFILE);
    assert_int_equal(links_count(w.links), 0);
    assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
    fds[1] = come(&w);
    while (w.came == 0)
        loop_turn(w.loop, 100);
    close(fds[0]);
    close(fds[1]);
    world_clear(&w);
}

/* Nobody can be closed who cannot be accepted: they wait, the listener does not spin, and is told
 * of once a second. */
static void a_starved_listener_rests_and_comes_back(void **state)
{
    static const int all[] = {ENFILE, ENOMEM, ENOBUFS, EMFILE};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const int errors[] = {all[i], all[i], all[i], all[i], all[i], all[i]};
        size_t calls;
        struct world w;
        int64_t from_ms;
        int fd;

        world_init(&w, 10);
        fd = come(&w);
        from_ms = loop_now_ms(w.loop);
        failing.errors = errors;
        failing.count = sizeof errors / sizeof errors[0];
        failing.calls = 0;
        turn_until(&w, &w.starved, 1);
        assert_int_equal(w.error, all[i]);
        calls = failing.calls;
        assert_int_equal(calls, all[i] == EMFILE ? 2 : 1); /* with the spare one, too */
        for (int n = 0; n < 1000; n++)
            loop_turn(w.loop, 0);
        assert_true(failing.calls <= calls * (2 + (size_t)(loop_now_ms(w.loop) - from_ms) / 100));
        while (w.came == 0) /* was not closed */
            loop_turn(w.loop, 100);
        assert_int_equal(failing.count, 0);
        assert_true(w.starved <= 1 + (size_t)(loop_now_ms(w.loop) - from_ms) / 1000);
        assert_int_equal(w.refused, 0);
        close(fd);
        world_clear(&w);
    }
}

/* What a connection died of before it was accepted is none of the listener's. */
static void errors_of_a_connection_are_passed_over(void **state)
{
    static const int errors[] = {EINTR,     ECONNABORTED, EPROTO,      ENETDOWN, ENETUNREACH,
                                 EHOSTDOWN, EHOSTUNREACH, ENOPROTOOPT, ENONET,   EOPNOTSUPP};
    struct world w;
    int fd;

    (void)state;
    world_init(&w, 10);
    fd = come(&w);
    failing.errors = errors;
    failing.count = sizeof errors / sizeof errors[0];
    failing.calls = 0;
    turn_until(&w, &w.came, 1);
    assert_int_equal(w.starved, 0);
    assert_int_equal(failing.count, 0);
    close(fd);
    world_clear(&w);
}

static void a_listener_wants_a_socket(void **state)
{
    struct listener_options options = {0};
    struct listener *listener = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(listener_open(&options, -1, &listener, &err), ATLS_E_IO);
    assert_null(listener);
    listener_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_holds),
        cmocka_unit_test(sources_may_be_announced_later),
        cmocka_unit_test(no_source_takes_all_handshakes),
        cmocka_unit_test(sources_of_ipv6_are_networks),
        cmocka_unit_test(the_table_of_sources_never_fills),
        cmocka_unit_test(limits_change_while_they_hold),
        cmocka_unit_test(more_connections_have_places),
        cmocka_unit_test(connections_over_the_limit_are_closed),
        cmocka_unit_test(descriptors_may_run_out),
        cmocka_unit_test(a_starved_listener_rests_and_comes_back),
        cmocka_unit_test(errors_of_a_connection_are_passed_over),
        cmocka_unit_test(a_listener_wants_a_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
