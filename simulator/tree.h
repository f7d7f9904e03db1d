/* The tree of configfs-tsm reports (Linux Documentation/ABI/testing/configfs-tsm-report), without
 * the file system: directories that callers make, their attributes, what each operation answers.
 * Whoever serves it (FUSE) passes operations on.
 *
 * Functions that return int answer as the kernel does, 0 (or a length) or a negative errno. Any
 * thread may call. As in the kernel one lock guards all reports, so that one quote at a time is
 * made and every read or write of an attribute waits for it; names alone do not. */
#ifndef ATLS_SIMULATOR_TREE_H
#define ATLS_SIMULATOR_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/stat.h>
#include <sys/types.h>

#include <atls/bytes.h>

#define ATLS_SIM_INBLOB_MAX  64
#define ATLS_SIM_SERVICE_MAX 64
/* The kernel's limit of privlevel, TSM_PRIVLEVEL_MAX. */
#define ATLS_SIM_PRIVLEVEL_MAX 3

struct atls_sim_request {
    struct atls_bytes
        inblob; /* 1..ATLS_SIM_INBLOB_MAX bytes: whether the length will do, report says */
    unsigned int privlevel;       /* 0 unless written */
    const char *service_provider; /* "" unless written */
    bool service_guid;            /* one service alone is asked for */
};

/* What a request gave; the tree clears them. */
struct atls_sim_blobs {
    struct atls_buf outblob;
    struct atls_buf auxblob;      /* may be empty */
    struct atls_buf manifestblob; /* may be empty */
};
void atls_sim_blobs_clear(struct atls_sim_blobs *blobs);

enum atls_sim_tree_attribute {
    ATLS_SIM_ATTRIBUTE_INBLOB,
    ATLS_SIM_ATTRIBUTE_OUTBLOB,
    ATLS_SIM_ATTRIBUTE_AUXBLOB,
    ATLS_SIM_ATTRIBUTE_MANIFESTBLOB,
    ATLS_SIM_ATTRIBUTE_PROVIDER,
    ATLS_SIM_ATTRIBUTE_GENERATION,
    ATLS_SIM_ATTRIBUTE_PRIVLEVEL,
    ATLS_SIM_ATTRIBUTE_PRIVLEVEL_FLOOR,
    ATLS_SIM_ATTRIBUTE_SERVICE_PROVIDER,
    ATLS_SIM_ATTRIBUTE_SERVICE_GUID,
    ATLS_SIM_ATTRIBUTE_SERVICE_MANIFEST_VERSION,
    ATLS_SIM_ATTRIBUTE_COUNT
};

/* The provider behind the tree: what drivers/virt/coco registers. */
struct atls_sim_provider {
    void *context;
    const char *name;                     /* "sev_guest" */
    unsigned int (*floor)(void *context); /* privlevel_floor */
    bool (*visible)(void *context, enum atls_sim_tree_attribute attribute);
    /* True when a stranger writes to the entry first. */
    bool (*raced)(void *context);
    /* Makes evidence; fills *out on success only. */
    int (*report)(void *context, const struct atls_sim_request *request,
                  struct atls_sim_blobs *out);
};

struct atls_sim_tree;
/* provider is copied, its context borrowed until free. first_generation: where entries begin to
 * count, 0 as in the kernel. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_tree_new(const struct atls_sim_provider *provider,
                                                 uint64_t first_generation,
                                                 struct atls_sim_tree **out, struct atls_err *err);
/* Closes what is still open: nobody uses it any more. NULL is fine. */
void atls_sim_tree_free(struct atls_sim_tree *tree);

/* path: "/", "/ENTRY" or "/ENTRY/ATTRIBUTE". */
int atls_sim_tree_stat(struct atls_sim_tree *tree, const char *path, struct stat *out);
int atls_sim_tree_mkdir(struct atls_sim_tree *tree, const char *path);
int atls_sim_tree_rmdir(struct atls_sim_tree *tree, const char *path);
/* Calls each with the names in a directory, until it returns false. each must not call the tree. */
int atls_sim_tree_list(struct atls_sim_tree *tree, const char *path,
                       bool (*each)(void *context, const char *name, bool directory),
                       void *context);

/* An attribute that somebody has open, one thread at a time. flags: of open(2). It outlives its
 * entry, and then answers -ENOENT. */
struct atls_sim_file;
int atls_sim_file_open(struct atls_sim_tree *tree, const char *path, int flags,
                       struct atls_sim_file **out);
ssize_t atls_sim_file_read(struct atls_sim_file *file, void *out, size_t len, off_t offset);
ssize_t atls_sim_file_write(struct atls_sim_file *file, const void *data, size_t len, off_t offset);
/* Takes a binary attribute that was written as complete, as the last close does in the kernel. Its
 * result is lost there, and so it is here. */
void atls_sim_file_commit(struct atls_sim_file *file);
void atls_sim_file_close(struct atls_sim_file *file); /* commits; NULL is fine */

#endif
