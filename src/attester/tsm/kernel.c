#include "attester/tsm/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "core/clock.h"

static int system_open(void *arg, const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    (void)arg;
    return fd < 0 ? -errno : fd;
}

static int system_close(void *arg, int fd)
{
    (void)arg;
    return close(fd) < 0 ? -errno : 0;
}

static ssize_t system_read(void *arg, int fd, void *out, size_t len)
{
    ssize_t n = read(fd, out, len);

    (void)arg;
    return n < 0 ? -errno : n;
}

/* A service that hangs up must not end the program with SIGPIPE. */
static ssize_t system_write(void *arg, int fd, const void *in, size_t len)
{
    ssize_t n = send(fd, in, len, MSG_NOSIGNAL);

    (void)arg;
    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, in, len);
    return n < 0 ? -errno : n;
}

static int system_make_directory(void *arg, const char *path)
{
    (void)arg;
    return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int system_remove_directory(void *arg, const char *path)
{
    (void)arg;
    return rmdir(path) < 0 ? -errno : 0;
}

static int system_find(void *arg, const char *path)
{
    (void)arg;
    return access(path, F_OK) < 0 ? -errno : 0;
}

static int system_ioctl(void *arg, int fd, unsigned long request, void *parameter)
{
    int result = ioctl(fd, request, parameter);

    (void)arg;
    return result < 0 ? -errno : result;
}

static int system_wait(void *arg, int fd, bool writing, int64_t timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = writing ? POLLOUT : POLLIN};
    int n = poll(&p, 1, timeout_ms < 0 ? 0 : timeout_ms > 3600000 ? 3600000 : (int)timeout_ms);

    (void)arg;
    return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

/* The address of where; false when its path is too long for one. */
static bool make_address(const struct atls_tsm_qgs *where, struct sockaddr_storage *out,
                         socklen_t *out_len)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK};

    memset(out, 0, sizeof *out);
    if (where->path == NULL) {
        vm.svm_cid = where->cid;
        vm.svm_port = where->port;
        memcpy(out, &vm, sizeof vm);
        *out_len = sizeof vm;
        return true;
    }
    if (strlen(where->path) >= sizeof local.sun_path)
        return false;
    memcpy(local.sun_path, where->path, strlen(where->path));
    memcpy(out, &local, sizeof local);
    *out_len = sizeof local;
    return true;
}

static int finish_connect(int fd, int64_t timeout_ms)
{
    int pending = 0, result = system_wait(NULL, fd, true, timeout_ms);
    socklen_t len = sizeof pending;

    if (result < 0)
        return result;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len) < 0)
        return -errno;
    return -pending;
}

static int system_connect(void *arg, const struct atls_tsm_qgs *where, int64_t timeout_ms)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int fd, result = 0;

    (void)arg;
    if (!make_address(where, &address, &len))
        return -ENAMETOOLONG;
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, len) < 0)
        result = errno == EINPROGRESS ? finish_connect(fd, timeout_ms) : -errno;
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

static int64_t system_now_ms(void *arg)
{
    (void)arg;
    return atls_clock_monotonic_ms(NULL);
}

static void system_sleep_ms(void *arg, int64_t ms)
{
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)arg;
    while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
        continue;
}

const struct atls_tsm_kernel atls_tsm_system = {
    .open = system_open,
    .close = system_close,
    .read = system_read,
    .write = system_write,
    .make_directory = system_make_directory,
    .remove_directory = system_remove_directory,
    .find = system_find,
    .ioctl = system_ioctl,
    .connect = system_connect,
    .wait = system_wait,
    .now_ms = system_now_ms,
    .sleep_ms = system_sleep_ms,
};
