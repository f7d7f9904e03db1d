#include "attester/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/err.h"
#include "core/secret.h"
#include "core/writer.h"

#define KEY_FILE_MAX (64 * 1024)

static enum atls_code read_all(int fd, const char *what, const char *path, struct atls_writer *w,
                               struct atls_err *err)
{
    uint8_t chunk[2048];
    enum atls_code code = ATLS_OK;
    ssize_t n;

    while (w->failed == ATLS_OK && (n = read(fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            code = atls_fail_errno(err, errno, "%s: cannot read %s", what, path);
            break;
        }
        atls_put_bytes(w, atls_bytes_of(chunk, (size_t)n));
    }
    atls_wipe(chunk, sizeof chunk);
    if (code == ATLS_OK && w->failed == ATLS_E_LIMIT)
        code =
            atls_fail(err, ATLS_E_LIMIT, "%s: %s is larger than %zu bytes", what, path, w->limit);
    return code;
}

enum atls_code atls_file_read(const char *what, const char *path, size_t limit,
                              struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(limit);
    enum atls_code code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return atls_fail_errno(err, errno, "%s: cannot open %s", what, path);
    code = read_all(fd, what, path, &w, err);
    close(fd);
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_file_private_key(const char *what, const char *path,
                                     struct atls_private_key **out, struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if (path == NULL || path[0] == '\0')
        return atls_private_key_generate(ATLS_KEY_P256, out, err);
    if ((code = atls_file_read(what, path, KEY_FILE_MAX, &pem, err)) != ATLS_OK)
        return code;
    code = atls_private_key_from_pem(atls_buf_bytes(&pem), out, err);
    atls_buf_clear(&pem);
    return code == ATLS_OK ? ATLS_OK : atls_err_prefix(err, code, path);
}
