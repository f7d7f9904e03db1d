#include "simulator/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

/* A text attribute takes and gives at most a page. */
#define TEXT_MAX 4096

static const struct attribute {
    const char *name;
    mode_t mode;
    bool binary;
    size_t limit; /* of a binary attribute that is written */
} attributes[ATLS_SIM_ATTRIBUTE_COUNT] = {
    [ATLS_SIM_ATTRIBUTE_INBLOB] = {"inblob", 0200, true, ATLS_SIM_INBLOB_MAX},
    [ATLS_SIM_ATTRIBUTE_OUTBLOB] = {"outblob", 0444, true, 0},
    [ATLS_SIM_ATTRIBUTE_AUXBLOB] = {"auxblob", 0444, true, 0},
    [ATLS_SIM_ATTRIBUTE_MANIFESTBLOB] = {"manifestblob", 0444, true, 0},
    [ATLS_SIM_ATTRIBUTE_PROVIDER] = {"provider", 0444, false, 0},
    [ATLS_SIM_ATTRIBUTE_GENERATION] = {"generation", 0444, false, 0},
    [ATLS_SIM_ATTRIBUTE_PRIVLEVEL] = {"privlevel", 0200, false, 0},
    [ATLS_SIM_ATTRIBUTE_PRIVLEVEL_FLOOR] = {"privlevel_floor", 0444, false, 0},
    [ATLS_SIM_ATTRIBUTE_SERVICE_PROVIDER] = {"service_provider", 0200, false, 0},
    [ATLS_SIM_ATTRIBUTE_SERVICE_GUID] = {"service_guid", 0200, false, 0},
    [ATLS_SIM_ATTRIBUTE_SERVICE_MANIFEST_VERSION] = {"service_manifest_version", 0200, false, 0},
};

struct entry {
    struct entry *next;
    char name[NAME_MAX + 1];
    unsigned int refs; /* the tree's one, and open files */
    bool dead;         /* removed */
    /* Under the lock of reports from here on. */
    uint8_t inblob[ATLS_SIM_INBLOB_MAX];
    size_t inblob_len;
    unsigned int privlevel;
    char service_provider[ATLS_SIM_SERVICE_MAX];
    bool service_guid;
    uint64_t write_generation, read_generation;
    bool made; /* blobs are those of read_generation */
    struct atls_sim_blobs blobs;
};

struct atls_sim_tree {
    struct atls_sim_provider provider;
    uint64_t first_generation;
    pthread_mutex_t names; /* entries, their refs and dead, and files; taken after reports */
    pthread_mutex_t reports;
    struct entry *entries;
    struct atls_sim_file *files; /* that are open */
};

struct atls_sim_file {
    struct atls_sim_file *next, **link; /* of the tree's files */
    struct atls_sim_tree *tree;
    struct entry *entry;
    enum atls_sim_tree_attribute attribute;
    bool filled, writing; /* reading began; writing began: of a binary file one of them */
    uint8_t *data;
    size_t len;
};

void atls_sim_blobs_clear(struct atls_sim_blobs *blobs)
{
    atls_buf_clear(&blobs->outblob);
    atls_buf_clear(&blobs->auxblob);
    atls_buf_clear(&blobs->manifestblob);
}

enum atls_code atls_sim_tree_new(const struct atls_sim_provider *provider,
                                 uint64_t first_generation, struct atls_sim_tree **out,
                                 struct atls_err *err)
{
    struct atls_sim_tree *tree = calloc(1, sizeof *tree);

    if (tree == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "out of memory");
    tree->provider = *provider;
    tree->first_generation = first_generation;
    pthread_mutex_init(&tree->names, NULL);
    pthread_mutex_init(&tree->reports, NULL);
    *out = tree;
    return ATLS_OK;
}

static void entry_free(struct entry *entry)
{
    atls_sim_blobs_clear(&entry->blobs);
    free(entry);
}

void atls_sim_tree_free(struct atls_sim_tree *tree)
{
    if (tree == NULL)
        return;
    while (tree->files != NULL)
        atls_sim_file_close(tree->files);
    while (tree->entries != NULL) {
        struct entry *next = tree->entries->next;

        entry_free(tree->entries);
        tree->entries = next;
    }
    pthread_mutex_destroy(&tree->names);
    pthread_mutex_destroy(&tree->reports);
    free(tree);
}

/* ---- names ---- */

struct path {
    char entry[NAME_MAX + 1]; /* "" for the root */
    const char *attribute;    /* NULL for an entry */
};

static int path_split(const char *path, struct path *out)
{
    size_t len;

    path += *path == '/';
    len = strcspn(path, "/");
    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(out->entry, path, len);
    out->entry[len] = '\0';
    out->attribute = path[len] == '/' ? path + len + 1 : NULL;
    return 0;
}

/* The link to an entry; under the lock of names. */
static struct entry **entry_find(struct atls_sim_tree *tree, const char *name)
{
    struct entry **at = &tree->entries;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static int attribute_find(const struct atls_sim_tree *tree, const char *name)
{
    for (int i = 0; i < ATLS_SIM_ATTRIBUTE_COUNT; i++)
        if (strcmp(attributes[i].name, name) == 0)
            return tree->provider.visible(tree->provider.context, (enum atls_sim_tree_attribute)i)
                       ? i
                       : -ENOENT;
    return -ENOENT;
}

static void stat_directory(struct stat *out, unsigned int links)
{
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFDIR | 0755;
    out->st_nlink = links;
}

static void stat_attribute(struct stat *out, int attribute)
{
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFREG | attributes[attribute].mode;
    out->st_nlink = 1;
    out->st_size = attributes[attribute].binary ? 0 : TEXT_MAX;
}

int atls_sim_tree_stat(struct atls_sim_tree *tree, const char *path, struct stat *out)
{
    unsigned int links = 2;
    bool found = true;
    struct path p;
    int answer;

    if ((answer = path_split(path, &p)) != 0)
        return answer;
    pthread_mutex_lock(&tree->names);
    if (p.entry[0] != '\0')
        found = *entry_find(tree, p.entry) != NULL;
    else
        for (const struct entry *e = tree->entries; e != NULL; e = e->next)
            links++;
    pthread_mutex_unlock(&tree->names);
    if (!found)
        return -ENOENT;
    if (p.attribute == NULL) {
        stat_directory(out, links);
        return 0;
    }
    if ((answer = attribute_find(tree, p.attribute)) < 0)
        return answer;
    stat_attribute(out, answer);
    return 0;
}

int atls_sim_tree_mkdir(struct atls_sim_tree *tree, const char *path)
{
    struct entry *entry, **at;
    struct path p;
    int answer;

    if ((answer = path_split(path, &p)) != 0)
        return answer;
    if (p.attribute != NULL)
        return -EPERM; /* an entry is no group of entries */
    if ((entry = calloc(1, sizeof *entry)) == NULL)
        return -ENOMEM;
    memcpy(entry->name, p.entry, sizeof entry->name);
    entry->refs = 1;
    entry->write_generation = tree->first_generation;
    pthread_mutex_lock(&tree->names);
    at = entry_find(tree, entry->name);
    answer = *at != NULL || entry->name[0] == '\0' ? -EEXIST : 0;
    if (answer == 0)
        *at = entry;
    pthread_mutex_unlock(&tree->names);
    if (answer != 0)
        entry_free(entry);
    return answer;
}

/* Ends a reference; true when it was the last. Under the lock of names. */
static bool entry_unref(struct entry *entry)
{
    return --entry->refs == 0;
}

int atls_sim_tree_rmdir(struct atls_sim_tree *tree, const char *path)
{
    struct entry *entry, **at;
    bool last = false;
    struct path p;
    int answer;

    if ((answer = path_split(path, &p)) != 0)
        return answer;
    if (p.attribute != NULL)
        return -ENOTDIR;
    if (p.entry[0] == '\0')
        return -EBUSY;
    pthread_mutex_lock(&tree->names);
    at = entry_find(tree, p.entry);
    entry = *at;
    if (entry != NULL) {
        *at = entry->next;
        entry->dead = true;
        last = entry_unref(entry);
    }
    pthread_mutex_unlock(&tree->names);
    if (last)
        entry_free(entry);
    return entry == NULL ? -ENOENT : 0;
}

int atls_sim_tree_list(struct atls_sim_tree *tree, const char *path,
                       bool (*each)(void *context, const char *name, bool directory), void *context)
{
    struct stat status;
    struct path p;
    int answer;

    if ((answer = atls_sim_tree_stat(tree, path, &status)) != 0 ||
        (answer = path_split(path, &p)) != 0)
        return answer;
    if (!S_ISDIR(status.st_mode))
        return -ENOTDIR;
    if (p.entry[0] != '\0') {
        for (int i = 0; i < ATLS_SIM_ATTRIBUTE_COUNT; i++)
            if (tree->provider.visible(tree->provider.context, (enum atls_sim_tree_attribute)i) &&
                !each(context, attributes[i].name, false))
                break;
        return 0;
    }
    pthread_mutex_lock(&tree->names);
    for (const struct entry *e = tree->entries; e != NULL; e = e->next)
        if (!each(context, e->name, true))
            break;
    pthread_mutex_unlock(&tree->names);
    return 0;
}

/* ---- reports ---- */

/* A write counts, unless so many were never read that the count would meet itself. */
static int advance(struct entry *entry)
{
    if (entry->write_generation == entry->read_generation - 1)
        return -EBUSY;
    entry->write_generation++;
    return 0;
}

/* Under the lock of reports: blobs that belong to what was written last. */
static int report_make(struct atls_sim_tree *tree, struct entry *entry)
{
    const struct atls_sim_provider *provider = &tree->provider;
    struct atls_sim_request request;
    struct atls_sim_blobs blobs = {0};
    int answer;

    if (entry->inblob_len == 0)
        return -EINVAL;
    if (entry->made && entry->read_generation == entry->write_generation)
        return 0;
    atls_sim_blobs_clear(&entry->blobs);
    entry->made = false;
    if (provider->raced(provider->context) && advance(entry) == 0)
        for (size_t i = 0; i < entry->inblob_len; i++)
            entry->inblob[i] ^= 0xff;
    request = (struct atls_sim_request){.inblob = atls_bytes_of(entry->inblob, entry->inblob_len),
                                        .privlevel = entry->privlevel,
                                        .service_provider = entry->service_provider,
                                        .service_guid = entry->service_guid};
    if ((answer = provider->report(provider->context, &request, &blobs)) != 0)
        return answer;
    entry->blobs = blobs;
    entry->made = true;
    entry->read_generation = entry->write_generation;
    return 0;
}

/* Sets a file's content to a copy. */
static int fill(struct atls_sim_file *file, struct atls_bytes content)
{
    if (content.len > 0) {
        if ((file->data = malloc(content.len)) == NULL)
            return -ENOMEM;
        memcpy(file->data, content.ptr, content.len);
    }
    file->len = content.len;
    file->filled = true;
    return 0;
}

static int fill_binary(struct atls_sim_file *file)
{
    struct entry *entry = file->entry;
    const struct atls_buf *blob = &entry->blobs.outblob;
    int answer;

    if ((answer = report_make(file->tree, entry)) != 0)
        return answer;
    if (file->attribute == ATLS_SIM_ATTRIBUTE_AUXBLOB)
        blob = &entry->blobs.auxblob;
    if (file->attribute == ATLS_SIM_ATTRIBUTE_MANIFESTBLOB)
        blob = &entry->blobs.manifestblob;
    return fill(file, atls_buf_bytes(blob));
}

static int fill_text(struct atls_sim_file *file)
{
    const struct atls_sim_provider *provider = &file->tree->provider;
    char text[TEXT_MAX];
    int len;

    if (file->attribute == ATLS_SIM_ATTRIBUTE_PROVIDER)
        len = snprintf(text, sizeof text, "%s\n", provider->name);
    else if (file->attribute == ATLS_SIM_ATTRIBUTE_GENERATION)
        len = snprintf(text, sizeof text, "%" PRIu64 "\n", file->entry->write_generation);
    else
        len = snprintf(text, sizeof text, "%u\n", provider->floor(provider->context));
    return fill(file, atls_bytes_of(text, (size_t)len));
}

/* ---- files ---- */

static bool entry_dead(struct atls_sim_file *file)
{
    bool dead;

    pthread_mutex_lock(&file->tree->names);
    dead = file->entry->dead;
    pthread_mutex_unlock(&file->tree->names);
    return dead;
}

/* The kernel looks at the mode itself, so that not even root reads what is write-only. */
static bool mode_allows(mode_t mode, int flags)
{
    int access = flags & O_ACCMODE;

    return !((access != O_WRONLY && (mode & 0444) == 0) ||
             (access != O_RDONLY && (mode & 0222) == 0));
}

/* Under the lock of names. */
static void file_link(struct atls_sim_tree *tree, struct atls_sim_file *file)
{
    file->next = tree->files;
    file->link = &tree->files;
    if (file->next != NULL)
        file->next->link = &file->next;
    tree->files = file;
}

int atls_sim_file_open(struct atls_sim_tree *tree, const char *path, int flags,
                       struct atls_sim_file **out)
{
    struct atls_sim_file *file;
    struct path p;
    int answer;

    if ((answer = path_split(path, &p)) != 0)
        return answer;
    if (p.attribute == NULL)
        return -EISDIR;
    if ((answer = attribute_find(tree, p.attribute)) < 0)
        return answer;
    if (!mode_allows(attributes[answer].mode, flags))
        return -EACCES;
    if ((file = calloc(1, sizeof *file)) == NULL)
        return -ENOMEM;
    file->tree = tree;
    file->attribute = (enum atls_sim_tree_attribute)answer;
    pthread_mutex_lock(&tree->names);
    if ((file->entry = *entry_find(tree, p.entry)) != NULL) {
        file->entry->refs++;
        file_link(tree, file);
    }
    pthread_mutex_unlock(&tree->names);
    if (file->entry == NULL) {
        free(file);
        return -ENOENT;
    }
    *out = file;
    return 0;
}

ssize_t atls_sim_file_read(struct atls_sim_file *file, void *out, size_t len, off_t offset)
{
    int answer = 0;

    if (offset < 0)
        return -EINVAL;
    if (!file->filled) {
        pthread_mutex_lock(&file->tree->reports);
        if (entry_dead(file))
            answer = -ENOENT;
        else
            answer = attributes[file->attribute].binary ? fill_binary(file) : fill_text(file);
        pthread_mutex_unlock(&file->tree->reports);
    }
    if (answer != 0)
        return answer;
    if ((uint64_t)offset >= file->len)
        return 0;
    if (len > file->len - (size_t)offset)
        len = file->len - (size_t)offset;
    memcpy(out, file->data + offset, len);
    return (ssize_t)len;
}

/* An unsigned number as the kernel's kstrtouint reads it: base by prefix, one newline after it. */
static int read_uint(const char *text, unsigned int *out)
{
    unsigned long long value;
    char *end;

    text += *text == '+';
    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, 0);
    if (*end == '\n')
        end++;
    if (*end != '\0')
        return -EINVAL;
    if (errno != 0 || value > UINT_MAX)
        return -ERANGE;
    *out = (unsigned int)value;
    return 0;
}

static int store_privlevel(struct atls_sim_file *file, const char *text)
{
    const struct atls_sim_provider *provider = &file->tree->provider;
    unsigned int value = 0;
    int answer;

    if ((answer = read_uint(text, &value)) != 0)
        return answer;
    if (value < provider->floor(provider->context) || value > ATLS_SIM_PRIVLEVEL_MAX)
        return -EINVAL;
    if ((answer = advance(file->entry)) == 0)
        file->entry->privlevel = value;
    return answer;
}

static int store_service(struct atls_sim_file *file, const char *text)
{
    size_t len = strcspn(text, "\n");
    int answer;

    if (len == 0 || len >= ATLS_SIM_SERVICE_MAX)
        return -EINVAL;
    if ((answer = advance(file->entry)) != 0)
        return answer;
    memcpy(file->entry->service_provider, text, len);
    file->entry->service_provider[len] = '\0';
    return 0;
}

/* xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, and what follows is not looked at. */
static bool guid_valid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
            return false;
        if (text[i] == '\0')
            return false;
    }
    return true;
}

static int store_guid(struct atls_sim_file *file, const char *text)
{
    int answer;

    if (!guid_valid(text))
        return -EINVAL;
    if ((answer = advance(file->entry)) == 0)
        file->entry->service_guid = strncmp(text, "00000000-0000-0000-0000-000000000000", 36) != 0;
    return answer;
}

static int store_version(struct atls_sim_file *file, const char *text)
{
    unsigned int value;
    int answer = read_uint(text, &value);

    return answer != 0 ? answer : advance(file->entry);
}

static int store_text(struct atls_sim_file *file, const char *text)
{
    switch (file->attribute) {
    case ATLS_SIM_ATTRIBUTE_PRIVLEVEL:
        return store_privlevel(file, text);
    case ATLS_SIM_ATTRIBUTE_SERVICE_PROVIDER:
        return store_service(file, text);
    case ATLS_SIM_ATTRIBUTE_SERVICE_GUID:
        return store_guid(file, text);
    default:
        return store_version(file, text);
    }
}

/* Under the lock of reports. A write is taken at once, and whole, wherever the file stands. */
static ssize_t write_text(struct atls_sim_file *file, const void *data, size_t len)
{
    char text[TEXT_MAX];
    int answer;

    if (len >= sizeof text)
        len = sizeof text - 1;
    memcpy(text, data, len);
    text[len] = '\0';
    answer = store_text(file, text);
    return answer != 0 ? answer : (ssize_t)len;
}

static ssize_t write_binary(struct atls_sim_file *file, const void *data, size_t len, off_t offset)
{
    size_t limit = attributes[file->attribute].limit;

    if (file->filled)
        return -ETXTBSY;
    if ((uint64_t)offset > limit || len > limit - (size_t)offset)
        return -EFBIG;
    if (file->data == NULL && (file->data = calloc(1, limit)) == NULL)
        return -ENOMEM;
    file->writing = true;
    memcpy(file->data + offset, data, len);
    if ((size_t)offset + len > file->len)
        file->len = (size_t)offset + len;
    return (ssize_t)len;
}

ssize_t atls_sim_file_write(struct atls_sim_file *file, const void *data, size_t len, off_t offset)
{
    ssize_t answer = -ENOENT;

    if (offset < 0)
        return -EINVAL;
    if (attributes[file->attribute].binary)
        return write_binary(file, data, len, offset);
    pthread_mutex_lock(&file->tree->reports);
    if (!entry_dead(file))
        answer = write_text(file, data, len);
    pthread_mutex_unlock(&file->tree->reports);
    return answer;
}

void atls_sim_file_commit(struct atls_sim_file *file)
{
    struct entry *entry = file->entry;

    if (!file->writing)
        return;
    pthread_mutex_lock(&file->tree->reports);
    if (!entry_dead(file) && advance(entry) == 0) {
        memcpy(entry->inblob, file->data, file->len);
        entry->inblob_len = file->len;
    }
    pthread_mutex_unlock(&file->tree->reports);
    file->writing = false;
}

void atls_sim_file_close(struct atls_sim_file *file)
{
    struct atls_sim_tree *tree;
    bool last;

    if (file == NULL)
        return;
    tree = file->tree;
    atls_sim_file_commit(file);
    pthread_mutex_lock(&tree->names);
    *file->link = file->next;
    if (file->next != NULL)
        file->next->link = file->link;
    last = entry_unref(file->entry);
    pthread_mutex_unlock(&tree->names);
    if (last)
        entry_free(file->entry);
    free(file->data);
    free(file);
}
