#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "text.h"

/* Room for what was read and as much again; what it was in before is wiped, as it may be a key. */
static uint8_t *enlarge(uint8_t *p, size_t len, size_t *size)
{
    uint8_t *larger = malloc(*size *= 2);

    if (larger != NULL)
        memcpy(larger, p, len);
    OPENSSL_cleanse(p, len);
    free(p);
    return larger;
}

static enum atls_code read_all(int fd, const char *path, size_t max, struct atls_buf *out,
                               struct atls_err *err)
{
    size_t size = 4096, len = 0;
    uint8_t *p = malloc(size);

    while (p != NULL) {
        ssize_t n = read(fd, p + len, size - len - 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0) {
            p[len] = '\0';
            *out = (struct atls_buf){p, len};
            return ATLS_OK;
        }
        if (n < 0 || len + (size_t)n > max) {
            const int number = errno;

            OPENSSL_cleanse(p, size);
            free(p);
            return n < 0
                       ? set_error(err, ATLS_E_CONFIG, "%.100s: %s", path, strerror(number))
                       : set_error(err, ATLS_E_CONFIG, "%.100s: longer than %zu bytes", path, max);
        }
        len += (size_t)n;
        if (size - len < 2)
            p = enlarge(p, len, &size);
    }
    return set_error(err, ATLS_E_NOMEM, "%.100s: out of memory", path);
}

enum atls_code file_read(const char *path, enum file_kind kind, size_t max, struct atls_buf *out,
                         struct atls_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum atls_code code;
    struct stat st;

    if (fd < 0)
        return set_error(err, ATLS_E_CONFIG, "%.100s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        code = set_error(err, ATLS_E_CONFIG, "%.100s: not a file", path);
    else if (kind == FILE_SECRET && (st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        code =
            set_error(err, ATLS_E_CONFIG,
                      "%.100s: mode is %04o, want a secret that others can neither read nor write",
                      path, (unsigned)(st.st_mode & 07777));
    else
        code = read_all(fd, path, max, out, err);
    close(fd);
    return code;
}
