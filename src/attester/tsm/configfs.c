/* Reports through configfs-tsm (Linux, Documentation/ABI/testing/configfs-tsm-report). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attester/tsm/report.h"
#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"
#include "crypto/crypto.h"

#define ATTRIBUTE_MAX 128 /* of a text attribute */
#define CHUNK         2048
#define REMOVE_MAX    3

struct entry {
    struct atls_tsm_call *call;
    char path[ATLS_TSM_PATH_MAX];
    uint64_t generation; /* that we expect: as found, and one more for each of our writes */
    bool began;          /* generation was read */
};

static enum atls_code make_entry(struct entry *e, struct atls_err *err)
{
    struct atls_tsm_call *call = e->call;
    uint64_t number = 0;
    enum atls_code code = atls_random(&number, sizeof number, err);
    int result;

    if (code != ATLS_OK)
        return code;
    snprintf(e->path, sizeof e->path, "%s/atls-%ld-%016" PRIx64, call->config->directory,
             (long)getpid(), number);
    if ((result = call->kernel->make_directory(call->kernel->arg, e->path)) == 0)
        return ATLS_OK;
    code = atls_tsm_fail(call, -result, "make", e->path, err);
    if (result == -EEXIST)
        call->again = ATLS_TSM_AT_ONCE;
    return code;
}

/* An entry that stays costs the kernel memory until somebody removes it: worth a line. */
static void remove_entry(const struct entry *e)
{
    const struct atls_tsm_kernel *kernel = e->call->kernel;
    int result = -EBUSY;

    for (int i = 0; i < REMOVE_MAX && (result == -EBUSY || result == -EINTR); i++)
        result = kernel->remove_directory(kernel->arg, e->path);
    if (result != 0)
        atls_log(e->call->log, ATLS_LOG_WARNING, "attester", "tsm: %s stays, errno %d", e->path,
                 -result);
}

static void attribute_path(const struct entry *e, const char *name,
                           char out[ATLS_TSM_PATH_MAX + 64])
{
    snprintf(out, ATLS_TSM_PATH_MAX + 64, "%s/%s", e->path, name);
}

static bool has_attribute(const struct entry *e, const char *name)
{
    char path[ATLS_TSM_PATH_MAX + 64];

    attribute_path(e, name, path);
    return e->call->kernel->find(e->call->kernel->arg, path) == 0;
}

/* Reads to the end, whatever size the kernel hands out at once; minus an errno on failure. */
static int read_all(const struct atls_tsm_kernel *kernel, int fd, struct atls_writer *w)
{
    uint8_t chunk[CHUNK];
    ssize_t n = 0;

    while (w->failed == ATLS_OK && (n = kernel->read(kernel->arg, fd, chunk, sizeof chunk)) > 0)
        atls_put_bytes(w, atls_bytes_of(chunk, (size_t)n));
    return w->failed == ATLS_OK ? (int)n : 0;
}

/* One open a read: an attribute is a snapshot of the moment it was opened. */
static enum atls_code read_attribute(const struct entry *e, const char *name, size_t max,
                                     struct atls_buf *out, struct atls_err *err)
{
    const struct atls_tsm_kernel *kernel = e->call->kernel;
    struct atls_writer w = atls_writer_init(max);
    char path[ATLS_TSM_PATH_MAX + 64];
    int fd, result;

    attribute_path(e, name, path);
    if ((fd = kernel->open(kernel->arg, path, O_RDONLY)) < 0)
        return atls_tsm_fail(e->call, -fd, "open", path, err);
    result = read_all(kernel, fd, &w);
    (void)kernel->close(kernel->arg, fd);
    if (result < 0) {
        atls_writer_clear(&w);
        return atls_tsm_fail(e->call, -result, "read", path, err);
    }
    if (w.failed == ATLS_E_LIMIT) {
        atls_writer_clear(&w);
        return atls_fail(err, ATLS_E_LIMIT, "tsm: %s is larger than %zu bytes", name, max);
    }
    return atls_writer_finish(&w, out, err);
}

/* A number and a newline. */
static enum atls_code read_number(const struct entry *e, const char *name, uint64_t *out,
                                  struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_bytes digits;
    enum atls_code code = read_attribute(e, name, ATTRIBUTE_MAX, &text, err);

    if (code != ATLS_OK)
        return code;
    digits = atls_buf_bytes(&text);
    if (digits.len > 0 && digits.ptr[digits.len - 1] == '\n')
        digits.len--;
    if (!atls_tsm_parse_number(digits, UINT64_MAX, out))
        code = atls_fail(err, ATLS_E_DEVICE, "tsm: %s of %s is no number", name, e->path);
    atls_buf_clear(&text);
    return code;
}

/* One write call, which is what counts as one; a configfs file acts when it is closed. */
static enum atls_code write_attribute(struct entry *e, const char *name, struct atls_bytes value,
                                      struct atls_err *err)
{
    const struct atls_tsm_kernel *kernel = e->call->kernel;
    char path[ATLS_TSM_PATH_MAX + 64];
    int fd, closed;
    ssize_t n;

    attribute_path(e, name, path);
    if ((fd = kernel->open(kernel->arg, path, O_WRONLY)) < 0)
        return atls_tsm_fail(e->call, -fd, "open", path, err);
    n = kernel->write(kernel->arg, fd, value.ptr, value.len);
    closed = kernel->close(kernel->arg, fd);
    if (n < 0 || closed < 0)
        return atls_tsm_fail(e->call, n < 0 ? (int)-n : -closed, "write", path, err);
    if ((size_t)n != value.len)
        return atls_fail(err, ATLS_E_DEVICE, "tsm: %s took %zd bytes of %zu", path, n, value.len);
    e->generation++;
    return ATLS_OK;
}

static enum atls_code write_option(struct entry *e, const char *name, const char *value,
                                   struct atls_err *err)
{
    if (value == NULL)
        return ATLS_OK;
    if (!has_attribute(e, name))
        return atls_fail(err, ATLS_E_CONFIG, "tsm: this kernel or its provider has no %s", name);
    return write_attribute(e, name, atls_bytes_of(value, strlen(value)), err);
}

/* The level asked for, which must not be below the floor; the floor where nobody asked. */
static enum atls_code write_privlevel(struct entry *e, struct atls_err *err)
{
    const char *wanted = e->call->config->privlevel;
    uint64_t floor = 0, level = 0;
    char text[24];
    enum atls_code code;

    if (has_attribute(e, "privlevel_floor") &&
        (code = read_number(e, "privlevel_floor", &floor, err)) != ATLS_OK)
        return code;
    if (wanted == NULL && floor == 0)
        return ATLS_OK;
    if (wanted != NULL &&
        atls_tsm_parse_number(atls_bytes_of(wanted, strlen(wanted)), UINT64_MAX, &level) &&
        level < floor)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tsm: privlevel=%s is below what this guest may use, at least %" PRIu64,
                         wanted, floor);
    snprintf(text, sizeof text, "%" PRIu64, wanted != NULL ? level : floor);
    return write_option(e, "privlevel", text, err);
}

static enum atls_code write_request(struct entry *e, struct atls_err *err)
{
    const struct atls_tsm_config *config = e->call->config;
    enum atls_code code;

    if ((code = read_number(e, "generation", &e->generation, err)) != ATLS_OK)
        return code;
    e->began = true;
    if ((code = write_attribute(e, "inblob",
                                atls_bytes_of(e->call->challenge, ATLS_QUOTE_CHALLENGE_LEN),
                                err)) != ATLS_OK ||
        (code = write_privlevel(e, err)) != ATLS_OK ||
        (code = write_option(e, "service_provider", config->service, err)) != ATLS_OK ||
        (code = write_option(e, "service_guid", config->service_guid, err)) != ATLS_OK)
        return code;
    return write_option(e, "service_manifest_version", config->service_version, err);
}

static enum atls_code read_provider(const struct entry *e, const struct atls_tsm_provider **out,
                                    struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_bytes name;
    char shown[ATTRIBUTE_MAX];
    enum atls_code code = read_attribute(e, "provider", ATTRIBUTE_MAX, &text, err);

    if (code != ATLS_OK)
        return code;
    name = atls_buf_bytes(&text);
    if (name.len > 0 && name.ptr[name.len - 1] == '\n')
        name.len--;
    if ((*out = atls_tsm_provider_by_name(name)) == NULL)
        code = atls_fail(err, ATLS_E_UNSUPPORTED,
                         "tsm: provider \"%s\", want sev_guest, tdx_guest or arm_cca_guest",
                         atls_escape(name, shown, sizeof shown));
    atls_buf_clear(&text);
    return code;
}

/* A blob that providers may lack. */
static enum atls_code read_optional(const struct entry *e, const char *name, struct atls_buf *out,
                                    struct atls_err *err)
{
    return has_attribute(e, name) ? read_attribute(e, name, ATLS_TSM_BLOB_MAX, out, err) : ATLS_OK;
}

static enum atls_code read_blobs(const struct entry *e, struct atls_tsm_blobs *out,
                                 struct atls_err *err)
{
    enum atls_code code = read_attribute(e, "outblob", ATLS_TSM_BLOB_MAX, &out->outblob, err);

    if (code == ATLS_OK)
        code = read_optional(e, "auxblob", &out->auxblob, err);
    if (code == ATLS_OK && e->call->config->service != NULL)
        code = read_attribute(e, "manifestblob", ATLS_TSM_BLOB_MAX, &out->manifest, err);
    if (code == ATLS_OK)
        code = read_provider(e, &out->provider, err);
    return code;
}

static bool generation_moved(const struct entry *e, uint64_t found, struct atls_err *err)
{
    if (found == e->generation)
        return false;
    e->call->again = ATLS_TSM_AT_ONCE;
    atls_fail(err, ATLS_E_DEVICE,
              "tsm: %s was written by somebody else: generation %" PRIu64 ", want %" PRIu64,
              e->path, found, e->generation);
    return true;
}

/* Between the two looks at the generation nobody else wrote: then all blobs are of our request. */
static enum atls_code check_generation(const struct entry *e, struct atls_err *err)
{
    uint64_t found = 0;
    enum atls_code code = read_number(e, "generation", &found, err);

    if (code != ATLS_OK)
        return code;
    return generation_moved(e, found, err) ? ATLS_E_DEVICE : ATLS_OK;
}

/* A request may fail for what somebody else had written into it: then another entry helps. */
static void explain_failure(const struct entry *e, struct atls_err *err)
{
    const enum atls_tsm_again again = e->call->again;
    uint64_t found = 0;

    if (again == ATLS_TSM_PERMANENT && e->began &&
        (read_number(e, "generation", &found, NULL) != ATLS_OK || !generation_moved(e, found, err)))
        e->call->again = again;
}

enum atls_code atls_tsm_configfs(struct atls_tsm_call *call, struct atls_tsm_blobs *out,
                                 struct atls_err *err)
{
    struct entry e = {.call = call};
    enum atls_code code = make_entry(&e, err);

    if (code != ATLS_OK)
        return code;
    if ((code = write_request(&e, err)) == ATLS_OK && (code = read_blobs(&e, out, err)) == ATLS_OK)
        code = check_generation(&e, err);
    else
        explain_failure(&e, err);
    remove_entry(&e);
    return code;
}

enum atls_code atls_tsm_configfs_provider(struct atls_tsm_call *call,
                                          const struct atls_tsm_provider **out, bool *out_absent,
                                          struct atls_err *err)
{
    const struct atls_tsm_kernel *kernel = call->kernel;
    struct entry e = {.call = call};
    enum atls_code code;
    int found = kernel->find(kernel->arg, call->config->directory);

    *out_absent = found == -ENOENT;
    if (found < 0)
        return atls_tsm_fail(call, -found, "find", call->config->directory, err);
    call->sys_errno = 0;
    if ((code = make_entry(&e, err)) != ATLS_OK) {
        *out_absent = call->sys_errno == ENXIO; /* no driver registered */
        return code;
    }
    code = read_provider(&e, out, err);
    remove_entry(&e);
    return code;
}
