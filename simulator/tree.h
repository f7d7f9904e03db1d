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

#define SIM_INBLOB_MAX  64
#define SIM_SERVICE_MAX 64
/* The kernel's limit of privlevel, TSM_PRIVLEVEL_MAX. */
#define SIM_PRIVLEVEL_MAX 3

struct sim_request {
    struct atls_bytes inblob; /* 1..SIM_INBLOB_MAX bytes: whether the length will do, report says */
    unsigned int privlevel;   /* 0 unless written */
    const char *service_provider; /* "" unless written */
    bool service_guid;            /* one service alone is asked for */
};

/* What a request gave; the tree clears them. */
struct sim_blobs {
    struct atls_buf outblob;
    struct atls_buf auxblob;      /* may be empty */
    struct atls_buf manifestblob; /* may be empty */
};
void sim_blobs_clear(struct sim_blobs *blobs);

enum sim_attribute {
    SIM_ATTRIBUTE_INBLOB,
    SIM_ATTRIBUTE_OUTBLOB,
    SIM_ATTRIBUTE_AUXBLOB,
    SIM_ATTRIBUTE_MANIFESTBLOB,
    SIM_ATTRIBUTE_PROVIDER,
    SIM_ATTRIBUTE_GENERATION,
    SIM_ATTRIBUTE_PRIVLEVEL,
    SIM_ATTRIBUTE_PRIVLEVEL_FLOOR,
    SIM_ATTRIBUTE_SERVICE_PROVIDER,
    SIM_ATTRIBUTE_SERVICE_GUID,
    SIM_ATTRIBUTE_SERVICE_MANIFEST_VERSION,
    SIM_ATTRIBUTE_COUNT
};

/* The provider behind the tree: what drivers/virt/coco registers. */
struct sim_provider {
    void *context;
    const char *name;                     /* "sev_guest" */
    unsigned int (*floor)(void *context); /* privlevel_floor */
    bool (*visible)(void *context, enum sim_attribute attribute);
    /* True when a stranger writes to the entry first. */
    bool (*raced)(void *context);
    /* Makes evidence; fills *out on success only. */
    int (*report)(void *context, const struct sim_request *request, struct sim_blobs *out);
};

struct sim_tree;
/* provider is copied, its context borrowed until free. first_generation: where entries begin to
 * count, 0 as in the kernel. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code sim_tree_new(const struct sim_provider *provider,
                                            uint64_t first_generation, struct sim_tree **out,
                                            struct atls_err *err);
void sim_tree_free(struct sim_tree *tree); /* no file is open; NULL is fine */

/* path: "/", "/ENTRY" or "/ENTRY/ATTRIBUTE". */
int sim_tree_stat(struct sim_tree *tree, const char *path, struct stat *out);
int sim_tree_mkdir(struct sim_tree *tree, const char *path);
int sim_tree_rmdir(struct sim_tree *tree, const char *path);
/* Calls each with the names in a directory, until it returns false. each must not call the tree. */
int sim_tree_list(struct sim_tree *tree, const char *path,
                  bool (*each)(void *context, const char *name, bool directory), void *context);

/* An attribute that somebody has open, one thread at a time. flags: of open(2). It outlives its
 * entry, and then answers -ENOENT. */
struct sim_file;
int sim_file_open(struct sim_tree *tree, const char *path, int flags, struct sim_file **out);
ssize_t sim_file_read(struct sim_file *file, void *out, size_t len, off_t offset);
ssize_t sim_file_write(struct sim_file *file, const void *data, size_t len, off_t offset);
/* Takes a binary attribute that was written as complete, as the last close does in the kernel. Its
 * result is lost there, and so it is here. */
void sim_file_commit(struct sim_file *file);
void sim_file_close(struct sim_file *file); /* commits; NULL is fine */

#endif
