/* The system's own calls: what each gives, and that failures are minus an errno. */
#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attester/tsm/kernel.h"

static const struct atls_tsm_kernel *const k = &atls_tsm_system;
static char folder[] = "/tmp/atls-tsm-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(in_folder("file"));
    unlink(in_folder("socket"));
    return rmdir(folder);
}

static void files(void **state)
{
    char out[8] = "";
    int fd;

    (void)state;
    assert_int_equal(k->open(k->arg, in_folder("file"), O_RDONLY), -ENOENT);
    fd = open(in_folder("file"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    fd = k->open(k->arg, in_folder("file"), O_WRONLY);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(k->write(k->arg, fd, "text", 4), 4);
    assert_int_equal(k->read(k->arg, fd, out, sizeof out), -EBADF);
    assert_int_equal(k->ioctl(k->arg, fd, 0xc4405401ul, out), -ENOTTY);
    assert_int_equal(k->close(k->arg, fd), 0);
    fd = k->open(k->arg, in_folder("file"), O_RDONLY);
    assert_int_equal(k->read(k->arg, fd, out, sizeof out), 4);
    assert_memory_equal(out, "text", 4);
    assert_int_equal(k->read(k->arg, fd, out, sizeof out), 0);
    assert_int_equal(k->write(k->arg, fd, "text", 4), -EBADF);
    assert_int_equal(k->close(k->arg, fd), 0);
    assert_int_equal(k->close(k->arg, -1), -EBADF);
}

static void directories(void **state)
{
    (void)state;
    assert_int_equal(k->find(k->arg, in_folder("entry")), -ENOENT);
    assert_int_equal(k->make_directory(k->arg, in_folder("entry")), 0);
    assert_int_equal(k->make_directory(k->arg, in_folder("entry")), -EEXIST);
    assert_int_equal(k->find(k->arg, in_folder("entry")), 0);
    assert_int_equal(k->remove_directory(k->arg, in_folder("entry")), 0);
    assert_int_equal(k->remove_directory(k->arg, in_folder("entry")), -ENOENT);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(fd >= 0 && strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void sockets(void **state)
{
    const struct atls_tsm_qgs where = {.path = in_folder("socket")};
    int listener, fd, peer;
    char out[4];

    (void)state;
    assert_int_equal(k->connect(k->arg, &where, 1000), -ENOENT);
    listener = listen_at(where.path);
    fd = k->connect(k->arg, &where, 1000);
    assert_true(fd >= 0);
    peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(k->wait(k->arg, fd, true, 1000), 0);
    assert_int_equal(k->read(k->arg, fd, out, sizeof out), -EAGAIN);
    assert_int_equal(k->wait(k->arg, fd, false, 0), -ETIMEDOUT);
    assert_int_equal(k->wait(k->arg, fd, false, -5), -ETIMEDOUT);
    assert_int_equal(write(peer, "hi", 2), 2);
    assert_int_equal(k->wait(k->arg, fd, false, INT64_MAX), 0);
    assert_int_equal(k->read(k->arg, fd, out, sizeof out), 2);
    assert_int_equal(k->write(k->arg, fd, "yo", 2), 2);
    close(peer);
    assert_int_equal(k->write(k->arg, fd, "yo", 2), -EPIPE); /* and no signal */
    assert_int_equal(k->close(k->arg, fd), 0);
    close(listener);
    assert_int_equal(k->connect(k->arg, &where, 1000), -ECONNREFUSED);
}

static void addresses_that_lead_nowhere(void **state)
{
    static const char too_long[] =
        "/a/path/that/is/longer/than/the/one/hundred/and/eight/bytes/that/a/socket/address/has/for/"
        "the/name/of/a/socket/in/the/file/system";
    const struct atls_tsm_qgs far = {.path = too_long};
    /* CID 0 is reserved; where vsock is not known at all that is a failure, too. */
    const struct atls_tsm_qgs nobody = {.cid = 0, .port = 1};

    (void)state;
    assert_int_equal(k->connect(k->arg, &far, 1000), -ENAMETOOLONG);
    assert_true(k->connect(k->arg, &nobody, 100) < 0);
}

static void clocks(void **state)
{
    const int64_t before = k->now_ms(k->arg);

    (void)state;
    k->sleep_ms(k->arg, 2);
    assert_true(k->now_ms(k->arg) >= before + 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),   cmocka_unit_test(directories),
        cmocka_unit_test(sockets), cmocka_unit_test(addresses_that_lead_nowhere),
        cmocka_unit_test(clocks),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
