/* The system calls behind the attester "tsm", in one table, so that tests play a kernel that fails
 * in every way. Each gives what the call of its name gives, but a failure is minus its errno. */
#ifndef ATLS_ATTESTER_TSM_KERNEL_H
#define ATLS_ATTESTER_TSM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a quote generation service listens: the Unix socket at path, or, when that is NULL, a port
 * of a vsock address. */
struct atls_tsm_qgs {
    const char *path;
    uint32_t cid, port;
};

struct atls_tsm_kernel {
    void *arg;
    int (*open)(void *arg, const char *path, int flags); /* O_CLOEXEC is added */
    int (*close)(void *arg, int fd);
    ssize_t (*read)(void *arg, int fd, void *out, size_t len);
    ssize_t (*write)(void *arg, int fd, const void *in, size_t len);
    int (*make_directory)(void *arg, const char *path);
    int (*remove_directory)(void *arg, const char *path);
    int (*find)(void *arg, const char *path); /* 0: there is something at path */
    int (*ioctl)(void *arg, int fd, unsigned long request, void *parameter);
    /* A socket that does not block, connected within timeout_ms (-ETIMEDOUT). */
    int (*connect)(void *arg, const struct atls_tsm_qgs *where, int64_t timeout_ms);
    /* Waits until fd can be read, or written; -ETIMEDOUT after timeout_ms. */
    int (*wait)(void *arg, int fd, bool writing, int64_t timeout_ms);
    int64_t (*now_ms)(void *arg); /* monotonic */
    void (*sleep_ms)(void *arg, int64_t ms);
};

/* The system's own. Immutable, any thread. */
extern const struct atls_tsm_kernel atls_tsm_system;

#endif
