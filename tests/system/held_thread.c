/* For LD_PRELOAD: a thread that epoll_wait woke goes no further while somebody has a lock on the
 * file ATLS_HOLD; that it waits is said by a file of the same name and ".held". What others do
 * before a thread is scheduled is then done for certain. */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static void hold(const char *path)
{
    char said[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC), mark;

    if (fd < 0)
        return;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        snprintf(said, sizeof said, "%s.held", path);
        mark = open(said, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (mark >= 0)
            close(mark);
        while (flock(fd, LOCK_SH) != 0 && errno == EINTR)
            ;
    }
    close(fd);
}

__attribute__((visibility("default"))) int epoll_wait(int fd, struct epoll_event *events, int most,
                                                      int timeout)
{
    const char *path = getenv("ATLS_HOLD");
    int count = (int)syscall(SYS_epoll_pwait, fd, events, most, timeout, NULL, (size_t)8);
    int before = errno;

    if (count > 0 && path != NULL)
        hold(path);
    errno = before;
    return count;
}
