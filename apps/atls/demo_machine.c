#include "demo_machine.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "parts.h"

#define PROGRAM          "atls-tee-sim"
#define START_TIMEOUT_MS 10000
#define OPTIONS_MAX      8
#define FILE_PATH        512 /* names of documents are long */

/* ---- processes ---- */

static enum atls_code make_world(const struct lab *lab, const char *world,
                                 const char *const options[], struct atls_err *err)
{
    const char *argv[OPTIONS_MAX + 4] = {NULL, "init", world};
    char program[LAB_PROGRAM];

    lab_find_program(PROGRAM, "ATLS_TEE_SIM", program);
    argv[0] = program;
    for (size_t i = 0; i < OPTIONS_MAX && options[i] != NULL; i++)
        argv[3 + i] = options[i];
    return lab_run(lab, argv, err);
}

/* Waits for the line that says that the reports are there. */
static enum atls_code wait_for_mount(struct lab *lab, int device, int fd, struct atls_err *err)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char line[5] = "", words[LAB_PATH];
    ssize_t got = -1;

    if (poll(&ready, 1, START_TIMEOUT_MS) == 1)
        got = read(fd, line, sizeof(line));
    if (got == (ssize_t)sizeof(line) && memcmp(line, "ready", sizeof(line)) == 0)
        return ATLS_OK;
    lab_stop_device(lab, device);
    lab_last_words(lab, words);
    return io_error(err, ATLS_E_DEVICE, "simulated machines need FUSE: %s", words);
}

static enum atls_code mount_reports(struct lab *lab, int device, struct atls_err *err)
{
    struct lab_device *d = &lab->devices[device];
    char program[LAB_PROGRAM];
    const char *const argv[] = {program, "mount", d->world, d->report, NULL};
    int fd = -1;
    enum atls_code code;

    lab_find_program(PROGRAM, "ATLS_TEE_SIM", program);
    if (mkdir(d->report, 0700) != 0)
        return io_error(err, ATLS_E_IO, "mkdir %s: %s", d->report, strerror(errno));
    if ((code = lab_spawn(lab, argv, &d->pid, &fd, err)) != ATLS_OK)
        return code;
    code = wait_for_mount(lab, device, fd, err);
    close(fd);
    return code;
}

/* The key that the identity CA certifies; a confidential machine would have it in its memory. */
static enum atls_code make_key(const struct lab *lab, int device, char path[LAB_PATH],
                               struct atls_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char name[32];
    enum atls_code code;

    snprintf(name, sizeof(name), "aik%d.key", device);
    lab_path(lab, name, path);
    code = key != NULL ? lab_write_key(path, key, err) : parts_tls_error(err, "key");
    EVP_PKEY_free(key);
    return code;
}

enum atls_code machine_make(struct lab *lab, int device, const char *const options[],
                            struct atls_err *err)
{
    struct lab_device *d = &lab->devices[device];
    char name[32], key[LAB_PATH], world[LAB_PATH], report[LAB_PATH];
    enum atls_code code;

    snprintf(name, sizeof(name), "machine%d", device);
    lab_path(lab, name, world);
    snprintf(name, sizeof(name), "report%d", device);
    lab_path(lab, name, report);
    memcpy(d->world, world, sizeof(world));
    memcpy(d->report, report, sizeof(report));
    if ((code = make_key(lab, device, key, err)) != ATLS_OK ||
        (code = make_world(lab, d->world, options, err)) != ATLS_OK ||
        (code = mount_reports(lab, device, err)) != ATLS_OK)
        return code;
    if ((size_t)snprintf(d->uri, sizeof(d->uri), "tsm:%s?aik=%s&collateral=%s/collateral", report,
                         key, world) >= sizeof(d->uri))
        return io_error(err, ATLS_E_CONFIG, "%s: too long", world);
    return ATLS_OK;
}

enum atls_code machine_order(const struct lab *lab, int device, const char *order,
                             struct atls_err *err)
{
    char program[LAB_PROGRAM];
    const char *const argv[] = {program, "set", lab->devices[device].world, order, NULL};

    lab_find_program(PROGRAM, "ATLS_TEE_SIM", program);
    return lab_run(lab, argv, err);
}

/* ---- what a store takes of a machine's maker ---- */

typedef enum atls_code import(struct atls_store *store, const char *name, struct atls_bytes file,
                              struct atls_err *err);

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* A file whose name ends so, each of a folder of the machine. */
static enum atls_code import_each(const char *folder, const char *end, struct atls_store *store,
                                  import *take, struct atls_err *err)
{
    DIR *dir = opendir(folder);
    enum atls_code code = ATLS_OK;
    struct dirent *entry;

    if (dir == NULL)
        return io_error(err, ATLS_E_IO, "%s: %s", folder, strerror(errno));
    while (code == ATLS_OK && (entry = readdir(dir)) != NULL) {
        struct atls_buf file = ATLS_BUF_INIT;
        char path[FILE_PATH];

        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, end) ||
            (size_t)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= sizeof(path))
            continue;
        if ((code = io_read_file(path, &file, err)) == ATLS_OK)
            code = take(store, entry->d_name, atls_buf_bytes(&file), err);
        atls_buf_clear(&file);
    }
    closedir(dir);
    return code;
}

static enum atls_code import_root(struct atls_store *store, const char *name,
                                  struct atls_bytes file, struct atls_err *err)
{
    (void)name;
    return atls_store_import_anchors(store, ATLS_ANCHOR_TEE, file, NULL, NULL, err);
}

static enum atls_code import_manifest(struct atls_store *store, const char *name,
                                      struct atls_bytes file, struct atls_err *err)
{
    struct atls_store_import_report report;

    (void)name;
    return atls_store_import_corim(store, file, atls_bytes_of(NULL, 0), (int64_t)time(NULL),
                                   &report, err);
}

static enum atls_code import_document(struct atls_store *store, const char *name,
                                      struct atls_bytes file, struct atls_err *err)
{
    enum atls_store_collateral_import outcome;

    return atls_store_import_collateral(store, name, file, (int64_t)time(NULL), &outcome, err);
}

/* Makers of chips have roots; platforms of Arm have keys of their own, in manifests. */
enum atls_code machine_trust(const struct lab *lab, int device, struct atls_store *store,
                             struct atls_err *err)
{
    char roots[LAB_PATH + 16], manifest[LAB_PATH + 32];
    enum atls_code code;

    snprintf(roots, sizeof(roots), "%s/roots", lab->devices[device].world);
    snprintf(manifest, sizeof(manifest), "%s/platform.corim", roots);
    if ((code = import_each(roots, ".corim", store, import_manifest, err)) != ATLS_OK ||
        access(manifest, F_OK) == 0)
        return code;
    return import_each(roots, ".pem", store, import_root, err);
}

enum atls_code machine_publish(const struct lab *lab, int device, struct atls_store *store,
                               struct atls_err *err)
{
    char folder[LAB_PATH + 16];

    snprintf(folder, sizeof(folder), "%s/collateral", lab->devices[device].world);
    return import_each(folder, "", store, import_document, err);
}
