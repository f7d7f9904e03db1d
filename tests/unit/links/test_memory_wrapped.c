/* Links and listeners without memory: the connection is closed and counted, limits get back what
 * they gave, and whoever comes later is served. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failing_malloc.h"
#include "testlib.h"

#include "listener.h"

struct world {
    struct loop *loop;
    struct links *links;
    struct limits *limits;
    struct listener *listener;
    struct link_source source;
    struct sockaddr_in at;
    size_t came, refused;
    enum link_end why;
};

static enum link_prelude come_and_wait(const struct link_source *source, struct link *link,
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
    w->came++;
    return LINK_PRELUDE_MORE;
}

static void note_ended(const struct link_source *source, struct link *link,
                       const struct link_report *report)
{
    struct world *w = source->arg;

    (void)link;
    if (report->end != LINK_INTERNAL)
        return; /* the test is over */
    assert_int_equal(report->err->code, ATLS_E_NOMEM);
    w->refused++;
    w->why = report->end;
}

static void note_refused(const struct link_source *source, enum link_end why,
                         const struct sockaddr_storage *client)
{
    struct world *w = source->arg;

    (void)client;
    w->refused++;
    w->why = why;
}

static int bound(struct sockaddr_in *at)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *at;

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static enum atls_code open_world(struct world *w, struct atls_err *err)
{
    const struct limits_options limits = {10, 10, 10, NULL, NULL};
    struct links_options links = {.through = limits_links_through, .gone = limits_links_gone};
    struct listener_options listener = {.refused = note_refused};
    enum atls_code code;

    *w = (struct world){.source = {.prelude = come_and_wait, .ended = note_ended, .arg = w}};
    w->source.handshake_timeout_ms = 60000;
    if ((code = loop_new(&w->loop, err)) != ATLS_OK ||
        (code = limits_new(&limits, &w->limits, err)) != ATLS_OK)
        return code;
    links.loop = w->loop;
    links.arg = w->limits;
    if ((code = links_new(&links, &w->links, err)) != ATLS_OK)
        return code;
    listener.loop = w->loop;
    listener.links = w->links;
    listener.limits = w->limits;
    listener.source = &w->source;
    return listener_open(&listener, bound(&w->at), &w->listener, err); /* closes it when it fails */
}

static void close_world(struct world *w)
{
    size_t connections = 0, handshakes = 0;

    listener_close(w->listener);
    links_free(w->links);
    if (w->limits != NULL)
        limits_count(w->limits, &connections, &handshakes);
    assert_int_equal(connections, 0);
    assert_int_equal(handshakes, 0);
    limits_free(w->limits);
    loop_free(w->loop);
}

/* The lowest descriptor that is free: the same again when none is left open. */
static int lowest(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void what_does_not_open_leaves_nothing(void **state)
{
    const int before = lowest();
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;
        struct world w;

        test_failing_malloc_arm(n);
        code = open_world(&w, &err);
        failed = test_failing_malloc_disarm();
        test_assert_code(code, failed ? ATLS_E_NOMEM : ATLS_OK, &err);
        assert_true(failed || n >= 5);
        close_world(&w);
        assert_int_equal(lowest(), before);
    }
}

static int come(const struct world *w)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&w->at, sizeof w->at), 0);
    return fd;
}

static void who_finds_no_memory_is_closed_and_counted(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    const int before = lowest();
    bool failed = true;
    struct world w;

    (void)state;
    test_assert_code(open_world(&w, &err), ATLS_OK, &err);
    for (size_t n = 0; failed; n++) {
        const size_t came = w.came, refused = w.refused;
        const int fd = come(&w);
        char byte;

        test_failing_malloc_arm(n);
        while (w.came == came && w.refused == refused)
            loop_turn(w.loop, 100);
        failed = test_failing_malloc_disarm();
        assert_true(failed || n > 0);
        assert_int_equal(w.refused - refused, failed ? 1 : 0);
        if (failed) {
            while (links_count(w.links) > 0)
                loop_turn(w.loop, 100);
            assert_int_equal(w.why, LINK_INTERNAL);
            assert_true(recv(fd, &byte, 1, 0) <= 0); /* ended, or reset */
            assert_int_equal(links_count(w.links), 0);
        }
        close(fd);
    }
    assert_int_equal(w.came, 1);
    close_world(&w);
    assert_int_equal(lowest(), before);
}

static void orders_without_memory_say_so(void **state)
{
    const struct links_reattest what = {.sides = 3, .at_once = 1};
    struct atls_err err = ATLS_ERR_INIT;
    struct world w;

    (void)state;
    test_assert_code(open_world(&w, &err), ATLS_OK, &err);
    for (int i = 0; i < 3; i++) {
        test_failing_malloc_arm(0);
        assert_false(i == 0   ? links_reattest(w.links, &what)
                     : i == 1 ? links_end(w.links, NULL, LINK_STOPPED)
                              : links_drain(w.links, 0));
        assert_true(test_failing_malloc_disarm());
    }
    assert_true(links_reattest(w.links, &what));
    loop_turn(w.loop, 0);
    close_world(&w);
}

/* What is there already counts on. */
static void limits_that_cannot_grow_stay(void **state)
{
    struct limits_options options = {2, 2, 1, NULL, NULL};
    struct sockaddr_storage client = {.ss_family = AF_INET};
    struct atls_err err = ATLS_ERR_INIT;
    struct limits *limits = NULL;

    (void)state;
    test_assert_code(limits_new(&options, &limits, &err), ATLS_OK, &err);
    assert_int_equal(limits_take(limits, &client, 0), LINK_CLOSED);
    options.connections = 1000;
    for (size_t n = 0; n < 2; n++) {
        test_failing_malloc_arm(n);
        assert_int_equal(limits_change(limits, &options, &err), ATLS_E_NOMEM);
        assert_true(test_failing_malloc_disarm());
        assert_int_equal(limits_take(limits, &client, 0), LINK_LIMIT_SOURCE);
    }
    test_assert_code(limits_change(limits, &options, &err), ATLS_OK, &err);
    assert_int_equal(limits_take(limits, &client, 0), LINK_LIMIT_SOURCE);
    limits_gone(limits, &client);
    limits_free(limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_open_leaves_nothing),
        cmocka_unit_test(who_finds_no_memory_is_closed_and_counted),
        cmocka_unit_test(orders_without_memory_say_so),
        cmocka_unit_test(limits_that_cannot_grow_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
