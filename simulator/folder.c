#include "simulator/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/file.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/writer.h"
#include "simulator/x509.h"

static enum atls_code path_of(char out[ATLS_SIM_PATH_MAX], const char *folder, const char *name,
                              const char *suffix, struct atls_err *err)
{
    int len = snprintf(out, ATLS_SIM_PATH_MAX, "%s/%s%s", folder, name, suffix);

    if (len < 0 || len >= ATLS_SIM_PATH_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "%s: a path of at most %d bytes", name,
                         ATLS_SIM_PATH_MAX - 1);
    return ATLS_OK;
}

enum atls_code atls_sim_folder_make(const char *folder, const char *name, unsigned int mode,
                                    struct atls_err *err)
{
    char path[ATLS_SIM_PATH_MAX];
    enum atls_code code;

    if ((code = path_of(path, folder, name, "", err)) != ATLS_OK)
        return code;
    if (mkdir(path, (mode_t)mode) != 0)
        return atls_fail_errno(err, errno, "%s", path);
    return ATLS_OK;
}

static enum atls_code read_all(int fd, const char *path, struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_SIM_FILE_MAX);
    uint8_t part[1024];
    ssize_t got;

    while ((got = read(fd, part, sizeof part)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            atls_writer_clear(&w);
            return atls_fail_errno(err, errno, "%s", path);
        }
        atls_put_bytes(&w, atls_bytes_of(part, (size_t)got));
    }
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_sim_folder_read(const char *folder, const char *name, struct atls_buf *out,
                                    struct atls_err *err)
{
    char path[ATLS_SIM_PATH_MAX];
    enum atls_code code;
    int fd;

    if ((code = path_of(path, folder, name, "", err)) != ATLS_OK)
        return code;
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return atls_fail_errno(err, errno, "%s", path);
    code = read_all(fd, path, out, err);
    close(fd);
    return code;
}

static bool write_all(int fd, struct atls_bytes content)
{
    while (content.len > 0) {
        ssize_t done = write(fd, content.ptr, content.len);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        content.ptr += done;
        content.len -= (size_t)done;
    }
    return true;
}

enum atls_code atls_sim_folder_write(const char *folder, const char *name,
                                     struct atls_bytes content, enum atls_sim_access access,
                                     struct atls_err *err)
{
    char path[ATLS_SIM_PATH_MAX], fresh[ATLS_SIM_PATH_MAX];
    enum atls_code code;
    int fd, number;
    bool done;

    if ((code = path_of(path, folder, name, "", err)) != ATLS_OK ||
        (code = path_of(fresh, folder, name, ".new", err)) != ATLS_OK)
        return code;
    (void)unlink(fresh); /* what a crash left */
    if ((fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)access)) < 0)
        return atls_fail_errno(err, errno, "%s", fresh);
    done = write_all(fd, content);
    number = errno;
    if (close(fd) != 0 && done) {
        done = false;
        number = errno;
    }
    if (done && rename(fresh, path) != 0) {
        done = false;
        number = errno;
    }
    if (done)
        return ATLS_OK;
    (void)unlink(fresh);
    return atls_fail_errno(err, number, "%s", path);
}

static enum atls_code key_name(char out[64], const char *name, struct atls_err *err)
{
    int len = snprintf(out, 64, "keys/%s.pem", name);

    if (len < 0 || len >= 64)
        return atls_fail(err, ATLS_E_LIMIT, "%s: too long for the name of a key", name);
    return ATLS_OK;
}

enum atls_code atls_sim_folder_read_key(const char *folder, const char *name, EVP_PKEY **out,
                                        struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;
    char file[64];

    if ((code = key_name(file, name, err)) != ATLS_OK ||
        (code = atls_sim_folder_read(folder, file, &pem, err)) != ATLS_OK)
        return code;
    code = atls_sim_key_from_pem(atls_buf_bytes(&pem), out, err);
    atls_buf_clear(&pem);
    return atls_err_prefix(err, code, file);
}

enum atls_code atls_sim_folder_write_key(const char *folder, const char *name, EVP_PKEY *key,
                                         struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;
    char file[64];

    if ((code = key_name(file, name, err)) != ATLS_OK ||
        (code = atls_sim_key_to_pem(key, &pem, err)) != ATLS_OK)
        return code;
    code = atls_sim_folder_write(folder, file, atls_buf_bytes(&pem), ATLS_SIM_SECRET, err);
    atls_buf_clear(&pem);
    return code;
}

enum atls_code atls_sim_folder_lock(const char *folder, int *out_fd, struct atls_err *err)
{
    char path[ATLS_SIM_PATH_MAX];
    enum atls_code code;
    int fd, locked;

    if ((code = path_of(path, folder, "lock", "", err)) != ATLS_OK)
        return code;
    if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return atls_fail_errno(err, errno, "%s", path);
    while ((locked = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
        ;
    if (locked != 0) {
        code = atls_fail_errno(err, errno, "%s", path);
        close(fd);
        return code;
    }
    *out_fd = fd;
    return ATLS_OK;
}

void atls_sim_folder_unlock(int fd)
{
    close(fd);
}
