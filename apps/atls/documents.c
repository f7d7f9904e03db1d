#include "documents.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *directory, const char *name, const char *suffix)
{
    size_t size = strlen(directory) + strlen(name) + strlen(suffix) + 2;
    char *path = malloc(size);

    if (path != NULL)
        snprintf(path, size, "%s/%s%s", directory, name, suffix);
    return path;
}

static enum atls_code visit_file(const char *path, const char *name, documents_visit *visit,
                                 void *arg, struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = io_read_file(path, &file, err)) != ATLS_OK)
        return code;
    code = visit(arg, path, name, atls_buf_bytes(&file), err);
    atls_buf_clear(&file);
    return code;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

enum atls_code documents_each(const char *path, documents_visit *visit, void *arg,
                              struct atls_err *err)
{
    const char *slash = strrchr(path, '/');
    struct dirent **entries = NULL;
    enum atls_code code = ATLS_OK;
    struct stat st;
    int count;

    if (stat(path, &st) != 0)
        return io_error(err, ATLS_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return visit_file(path, slash != NULL ? slash + 1 : path, visit, arg, err);
    if ((count = scandir(path, &entries, is_visible, alphasort)) < 0)
        return io_error(err, ATLS_E_IO, "%s: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *file = join(path, entries[i]->d_name, "");

        if (code == ATLS_OK)
            code = file == NULL ? io_error(err, ATLS_E_NOMEM, "%s: out of memory", path)
                                : visit_file(file, entries[i]->d_name, visit, arg, err);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return code;
}

enum atls_code documents_write(const char *directory, const char *name, struct atls_bytes document,
                               struct atls_err *err)
{
    char *path = join(directory, name, ""), *temporary = join(directory, name, ".new");
    enum atls_code code = ATLS_OK;

    if (path == NULL || temporary == NULL)
        code = io_error(err, ATLS_E_NOMEM, "%s: out of memory", directory);
    else if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        code = io_error(err, ATLS_E_IO, "%s: %s", directory, strerror(errno));
    else if ((code = io_write_file(temporary, document, IO_PUBLIC, err)) == ATLS_OK &&
             rename(temporary, path) != 0)
        code = io_error(err, ATLS_E_IO, "%s: %s", path, strerror(errno));
    free(path);
    free(temporary);
    return code;
}
