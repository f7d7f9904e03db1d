#include "verifier/remote/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"

/* With errno. */
static enum atls_code unreadable(const char *path, struct atls_err *err)
{
    char shown[160];

    atls_escape(atls_bytes_of(path, strlen(path)), shown, sizeof shown);
    (void)atls_fail_errno(err, errno, "%s", shown);
    if (err != NULL)
        err->code = ATLS_E_CONFIG;
    return ATLS_E_CONFIG;
}

static enum atls_code wrong(const char *path, const char *what, struct atls_err *err)
{
    char shown[160];

    return atls_fail(err, ATLS_E_CONFIG, "%s: %s",
                     atls_escape(atls_bytes_of(path, strlen(path)), shown, sizeof shown), what);
}

static enum atls_code read_all(int fd, const char *path, size_t max, struct atls_buf *out,
                               struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(max);
    uint8_t block[2048];
    ssize_t n;

    while ((n = read(fd, block, sizeof block)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            atls_writer_clear(&w);
            return unreadable(path, err);
        }
        atls_put_bytes(&w, atls_bytes_of(block, (size_t)n));
        if (w.failed != ATLS_OK)
            break;
    }
    if (w.failed == ATLS_E_LIMIT || (w.failed == ATLS_OK && w.len == 0)) {
        const char *what = w.failed == ATLS_OK ? "the file is empty" : "the file is too long";

        atls_writer_clear(&w);
        return wrong(path, what, err);
    }
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_remote_read_file_as(const char *path, size_t max, struct atls_buf *out,
                                        struct stat *out_state, struct atls_err *err)
{
    /* A named pipe would block. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat state;
    enum atls_code code;

    if (fd < 0)
        return unreadable(path, err);
    if (fstat(fd, &state) != 0)
        code = unreadable(path, err);
    else if (!S_ISREG(state.st_mode))
        code = wrong(path, "not a regular file", err);
    else
        code = read_all(fd, path, max, out, err);
    (void)close(fd);
    if (code == ATLS_OK)
        *out_state = state;
    return code;
}

enum atls_code atls_remote_read_file(const char *path, size_t max, struct atls_buf *out,
                                     struct atls_err *err)
{
    struct stat state;

    return atls_remote_read_file_as(path, max, out, &state, err);
}
