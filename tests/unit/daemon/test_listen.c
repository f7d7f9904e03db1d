#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "testlib.h"

static struct listen_at at(const char *text)
{
    struct listen_at l = {.mode = -1};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(address_parse(text, ADDRESS_LISTEN, &l.address, &err), ATLS_OK, &err);
    return l;
}

static int get(const struct listen_at *l, char text[128])
{
    struct atls_err err = ATLS_ERR_INIT;
    int fd = -1;

    test_assert_code(listen_get(l, &fd, text, &err), ATLS_OK, &err);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    return fd;
}

/* Whether somebody listens where text says. */
static bool answers(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool yes;

    assert_true(fd >= 0);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
    yes = connect(fd, (struct sockaddr *)&in, sizeof in) == 0;
    close(fd);
    return yes;
}

static bool is(const void *arg, const char *address, unsigned nth)
{
    (void)nth;
    return strcmp(arg, address) == 0;
}

static void test_kept(void **state)
{
    struct listen_at l = at("127.0.0.1:0"), six = at("[::1]:0");
    char first[128], again[128], other[128];
    int fd = get(&l, first), fd2 = get(&l, again), fd3 = get(&six, other);

    (void)state;
    assert_string_equal(first, again); /* one socket */
    assert_int_equal(strncmp(other, "[::1]:", 6), 0);
    close(fd);
    close(fd2);
    close(fd3);
    assert_true(answers(first));
    listen_keep(is, "127.0.0.1:0");
    assert_true(answers(first));
    fd = get(&l, again);
    assert_string_equal(first, again);
    close(fd);
    listen_keep(is, "[::1]:0");
    assert_false(answers(first));
    listen_keep(NULL, NULL);
}

static bool is_second(const void *arg, const char *address, unsigned nth)
{
    return strcmp(arg, address) == 0 && nth == 1;
}

/* Of one address, but not one socket. */
static void test_several(void **state)
{
    struct listen_at l = at("127.0.0.1:0"), second = l;
    char text[128], other[128], again[128];
    int fd = get(&l, text), fd2;

    (void)state;
    second.nth = 1;
    fd2 = get(&second, other);
    assert_string_not_equal(text, other);
    close(fd);
    close(fd2);
    listen_keep(is_second, "127.0.0.1:0");
    assert_false(answers(text));
    fd = get(&second, again);
    assert_string_equal(other, again);
    listen_shut(&l);
    assert_true(answers(other));
    listen_shut(&second);
    assert_false(answers(other));
    close(fd);
    listen_keep(NULL, NULL);
}

static void test_shut(void **state)
{
    struct listen_at l = at("127.0.0.1:0"), other = at("127.0.0.1:00");
    char text[128], stays[128];
    int fd = get(&l, text), fd2 = get(&other, stays);

    (void)state;
    listen_shut(&l);
    assert_false(answers(text));
    assert_true(answers(stays));
    close(fd);
    close(fd2);
    listen_keep(NULL, NULL);
}

static void test_in_use(void **state)
{
    struct listen_at l = at("127.0.0.1:0"), same;
    struct atls_err err = ATLS_ERR_INIT;
    char text[128], twice[160], out[128];
    int fd = get(&l, text), fd2 = -1;

    (void)state;
    snprintf(twice, sizeof twice, "%s", text);
    same = at(twice);
    test_assert_code(listen_get(&same, &fd2, out, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, strerror(EADDRINUSE)));
    assert_int_equal(fd2, -1);
    close(fd);
    listen_keep(NULL, NULL);
}

/* Slots share a port but no queue: connections reach each of them. */
static void test_slots(void **state)
{
    struct listen_at l = at("127.0.0.1:0");
    char text[128], other[128];
    int fds[2];
    bool reached[2] = {false, false};

    (void)state;
    l.reuse_port = true;
    fds[0] = get(&l, text);
    l.slot = 1;
    fds[1] = get(&l, other);
    assert_string_equal(text, other);
    for (int i = 0; i < 1000 && (!reached[0] || !reached[1]); i++) {
        assert_true(answers(text));
        for (int k = 0; k < 2; k++) {
            int fd = accept(fds[k], NULL, NULL);

            if (fd >= 0) {
                reached[k] = true;
                close(fd);
            }
        }
    }
    assert_true(reached[0] && reached[1]);
    listen_shut(&l);
    assert_false(answers(text));
    close(fds[0]);
    close(fds[1]);
    listen_keep(NULL, NULL);
}

static bool answers_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool yes;

    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    yes = connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
    close(fd);
    return yes;
}

static void test_unix(void **state)
{
    char folder[] = "/tmp/atls-listen.XXXXXX", address[64], text[128];
    const char *path = address + 5;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct atls_err err = ATLS_ERR_INIT;
    struct listen_at l;
    struct stat st;
    int fd, old = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    /* One that somebody listens on is left alone, one that was left behind is not. */
    assert_int_equal(bind(old, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(old, 1), 0);
    l = at(address);
    test_assert_code(listen_get(&l, &fd, text, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, strerror(EADDRINUSE)));
    close(old);
    l.mode = 0600;
    fd = get(&l, text);
    assert_string_equal(text, address);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(answers_unix(path));
    close(fd);
    listen_keep(NULL, NULL);
    assert_int_equal(stat(path, &st), -1);
    l.mode = -1;
    fd = get(&l, text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    close(fd);
    listen_keep(NULL, NULL);
    assert_int_equal(rmdir(folder), 0);
    test_assert_code(listen_get(&l, &fd, text, &err), ATLS_E_CONFIG, &err);
    listen_keep(NULL, NULL);
}

/* As systemd hands them over: from descriptor 3 on, by name. */
static void test_handed_over(void **state)
{
    struct listen_at l = at("systemd:web"), other = at("systemd:api"), source = at("127.0.0.1:0");
    char pid[24], text[128], original[128];
    struct atls_err err = ATLS_ERR_INIT;
    int fd = get(&source, original), kept = fcntl(3, F_DUPFD_CLOEXEC, 100), second;

    (void)state;
    assert_int_equal(dup2(fd, 3), 3);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDNAMES", "web", 1);
    if (fd != 3)
        close(fd);
    fd = get(&l, text);
    assert_string_equal(text, original);
    listen_shut(&l); /* another process may serve it next */
    assert_true(answers(original));
    close(fd);
    test_assert_code(listen_get(&other, &fd, text, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "no socket of this name"));
    listen_keep(NULL, NULL);
    for (int i = 0; i < 2; i++) { /* one that does not listen, one without connections */
        const int wrong = socket(AF_INET, i == 0 ? SOCK_STREAM : SOCK_DGRAM, 0);

        assert_int_equal(dup2(wrong, 3), 3);
        if (wrong != 3)
            close(wrong);
        test_assert_code(listen_get(&l, &fd, text, &err), ATLS_E_CONFIG, &err);
        assert_non_null(strstr(err.message, "no stream socket that listens"));
    }
    second = fcntl(4, F_GETFD) < 0 ? dup2(3, 4) : -1; /* whatever it is, it is not looked at */
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "web:web", 1);
    test_assert_code(listen_get(&l, &fd, text, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "2 sockets of this name"));
    if (second >= 0)
        close(second);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    listen_keep(NULL, NULL);
    if (kept >= 0) {
        assert_int_equal(dup2(kept, 3), 3);
        close(kept);
    } else {
        close(3);
    }
}

static void test_too_long(void **state)
{
    struct listen_at l = at("127.0.0.1:0");
    struct atls_err err = ATLS_ERR_INIT;
    char address[400], text[128];
    int fd = -1;

    (void)state;
    memset(address, '0', sizeof address);
    memcpy(address, "127.0.0.1:", 10);
    address[sizeof address - 1] = '\0';
    l = at(address);
    test_assert_code(listen_get(&l, &fd, text, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "too long"));
    assert_int_equal(fd, -1);
}

static void test_systemd(void **state)
{
    struct listen_at l = at("systemd:web");
    struct atls_err err = ATLS_ERR_INIT;
    char text[128];
    int fd = -1;

    (void)state;
    unsetenv("LISTEN_FDS");
    test_assert_code(listen_get(&l, &fd, text, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "systemd passed no socket of this name"));
    assert_int_equal(fd, -1);
    listen_keep(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),     cmocka_unit_test(test_shut),
        cmocka_unit_test(test_several),  cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_slots),    cmocka_unit_test(test_unix),
        cmocka_unit_test(test_systemd),  cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
