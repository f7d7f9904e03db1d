#include "fake_tsm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#define FD_BASE 1000

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int fault(struct test_tsm *t, const char *call, const char *path)
{
    for (size_t i = 0; i < TEST_TSM_FAULTS; i++) {
        struct test_tsm_fault *f = &t->faults[i];

        if (f->call == NULL || strcmp(f->call, call) != 0 || !ends_with(path, f->path))
            continue;
        if (f->skip > 0) {
            f->skip--;
        } else if (f->times > 0) {
            f->times--;
            return -f->sys_errno;
        }
    }
    return 0;
}

static void copy(struct atls_buf *out, const void *data, size_t len)
{
    out->ptr = malloc(len + 1);
    assert_non_null(out->ptr);
    if (len > 0)
        memcpy(out->ptr, data, len);
    out->len = len;
}

/* The published token of a realm has its challenge in one place only. */
static void put_realm_challenge(struct atls_buf *token, const uint8_t *challenge)
{
    static const uint8_t head[] = {0x0a, 0x58, 0x40}; /* 10: bytes of 64 */
    size_t found = 0;

    for (size_t i = 0; i + sizeof head + 64 <= token->len; i++) {
        if (memcmp(token->ptr + i, head, sizeof head) == 0) {
            found++;
            memcpy(token->ptr + i + sizeof head, challenge, 64);
        }
    }
    assert_true(found >= 1);
}

struct atls_buf test_tsm_evidence(const struct test_tsm *t, const uint8_t *challenge)
{
    struct atls_buf out = ATLS_BUF_INIT;
    const bool tdx = strncmp(t->provider, "tdx", 3) == 0;
    size_t at = tdx ? 48 + 520 : 0x50;

    if (strncmp(t->provider, "arm", 3) == 0) {
        out = test_vector("eat/cca-good.cbor");
        put_realm_challenge(&out, challenge);
        return out;
    }
    if (t->evidence.ptr != NULL) {
        copy(&out, t->evidence.ptr, t->evidence.len);
        at += tdx && out.ptr[0] == 5 ? 6 : 0;
    } else {
        out.len = (tdx ? 48 + 584 + 4 : 1184) + t->padding;
        out.ptr = calloc(1, out.len);
        assert_non_null(out.ptr);
        out.ptr[0] = tdx ? 4 : 3;
    }
    assert_true(out.len >= at + 64);
    memcpy(out.ptr + at, challenge, 64);
    return out;
}

static struct atls_buf make_evidence(struct test_tsm *t, const uint8_t *challenge)
{
    uint8_t other[64];

    t->reports++;
    memcpy(other, challenge, sizeof other);
    if (t->mixed_up > 0) {
        t->mixed_up--;
        other[40] ^= 1;
    }
    return test_tsm_evidence(t, other);
}

static struct test_tsm_entry *find_entry(struct test_tsm *t, const char *path,
                                         const char **out_name)
{
    for (size_t i = 0; i < TEST_TSM_ENTRIES; i++) {
        const size_t len = strlen(t->entries[i].path);

        if (t->entries[i].used && strncmp(path, t->entries[i].path, len) == 0 && path[len] == '/') {
            *out_name = path + len + 1;
            return &t->entries[i];
        }
    }
    return NULL;
}

static bool has_attribute(const struct test_tsm *t, const char *name)
{
    static const char *const always[] = {"inblob", "outblob", "provider", "generation"};

    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (strcmp(name, always[i]) == 0)
            return true;
    if (strcmp(name, "auxblob") == 0)
        return t->aux.ptr != NULL;
    if (strncmp(name, "privlevel", 9) == 0)
        return t->floor != NULL;
    return t->services && (strncmp(name, "service_", 8) == 0 || strcmp(name, "manifestblob") == 0);
}

static bool has_device(const struct test_tsm *t, const char *path)
{
    for (size_t i = 0; i < sizeof t->devices / sizeof t->devices[0]; i++)
        if (t->devices[i] != NULL && strcmp(t->devices[i], path) == 0)
            return true;
    return false;
}

/* What an attribute holds at the moment it is opened; minus an errno. */
static int load(struct test_tsm *t, struct test_tsm_entry *e, const char *name,
                struct atls_buf *out)
{
    char number[32];

    if (strcmp(name, "outblob") == 0) {
        if (e->inblob_len != 64)
            return -EINVAL;
        if (t->strangers > 0) {
            t->strangers--;
            e->generation++;
        }
        *out = make_evidence(t, e->inblob);
    } else if (strcmp(name, "generation") == 0) {
        snprintf(number, sizeof number, "%" PRIu64 "\n", e->generation);
        copy(out, t->generation != NULL ? t->generation : number,
             strlen(t->generation != NULL ? t->generation : number));
    } else if (strcmp(name, "provider") == 0) {
        copy(out, t->provider, strlen(t->provider));
    } else if (strcmp(name, "auxblob") == 0) {
        copy(out, t->aux.ptr, t->aux.len);
    } else if (strcmp(name, "privlevel_floor") == 0) {
        copy(out, t->floor, strlen(t->floor));
    } else if (strcmp(name, "manifestblob") == 0) {
        copy(out, "manifest", 8);
    }
    return 0;
}

static struct test_tsm_file *new_file(struct test_tsm *t, const char *path, int *out_fd)
{
    for (int i = 0; i < TEST_TSM_FILES; i++) {
        struct test_tsm_file *f = &t->files[i];

        if (f->used)
            continue;
        memset(f, 0, sizeof *f);
        f->used = true;
        snprintf(f->path, sizeof f->path, "%s", path);
        t->opened++;
        *out_fd = FD_BASE + i;
        return f;
    }
    fail_msg("too many open files");
    return NULL;
}

static int open_locked(struct test_tsm *t, const char *path)
{
    const char *name = NULL;
    struct test_tsm_entry *e = find_entry(t, path, &name);
    struct test_tsm_file *f;
    int fd = 0, result = fault(t, "open", path);

    if (result < 0)
        return result;
    if (e == NULL ? !has_device(t, path) : !has_attribute(t, name))
        return -ENOENT;
    f = new_file(t, path, &fd);
    f->entry = e;
    return fd;
}

static struct test_tsm_file *file_of(struct test_tsm *t, int fd)
{
    assert_true(fd >= FD_BASE && fd < FD_BASE + TEST_TSM_FILES && t->files[fd - FD_BASE].used);
    return &t->files[fd - FD_BASE];
}

/* The attribute's name behind the entry's path. */
static const char *name_of(const struct test_tsm_file *f)
{
    return f->path + strlen(f->entry->path) + 1;
}

static bool starve(struct test_tsm *t, struct test_tsm_file *f)
{
    if (!t->starve || f->entry != NULL)
        return false;
    f->starved = !f->starved;
    return f->starved;
}

static ssize_t read_locked(struct test_tsm *t, struct test_tsm_file *f, void *out, size_t len)
{
    int result = fault(t, "read", f->path);

    if (result < 0)
        return result;
    if (starve(t, f))
        return -EAGAIN;
    if (f->entry != NULL && f->content.ptr == NULL &&
        (result = load(t, f->entry, name_of(f), &f->content)) < 0)
        return result;
    if (len > f->content.len - f->pos)
        len = f->content.len - f->pos;
    if (t->chunk != 0 && len > t->chunk)
        len = t->chunk;
    memcpy(out, f->content.ptr + f->pos, len);
    f->pos += len;
    return (ssize_t)len;
}

static void keep(char *out, size_t size, const void *in, size_t len)
{
    assert_true(len < size);
    memcpy(out, in, len);
    out[len] = '\0';
}

static void store(struct test_tsm *t, struct test_tsm_entry *e, const char *name, const void *in,
                  size_t len)
{
    if (strcmp(name, "inblob") == 0) {
        assert_int_equal(len, 64);
        memcpy(e->inblob, in, len);
        e->inblob_len = len;
    } else if (strcmp(name, "privlevel") == 0) {
        keep(t->privlevel, sizeof t->privlevel, in, len);
    } else if (strcmp(name, "service_provider") == 0) {
        keep(t->service, sizeof t->service, in, len);
    } else if (strcmp(name, "service_guid") == 0) {
        keep(t->service_guid, sizeof t->service_guid, in, len);
    } else {
        keep(t->service_version, sizeof t->service_version, in, len);
    }
    e->generation++;
}

static void put_u32le(uint8_t *out, size_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

/* A whole request was written: the response is there to be read. */
static void answer(struct test_tsm *t, struct test_tsm_file *f)
{
    static const uint8_t want[] = {0, 0, 0x04, 0x18, 1, 0, 0, 0, 0, 0, 0, 0, 0x18, 4,
                                   0, 0, 0,    0,    0, 0, 0, 4, 0, 0, 0, 0, 0,    0};
    struct atls_buf quote;

    if (f->written_len < 4 + 16 + 8 + 1024)
        return;
    assert_int_equal(f->written_len, 4 + 16 + 8 + 1024);
    assert_memory_equal(f->written, want, sizeof want);
    if (t->response.ptr != NULL) {
        copy(&f->content, t->response.ptr, t->response.len);
        return;
    }
    quote = make_evidence(t, f->written + 4 + 16 + 8 + 128); /* REPORTDATA of the TD report */
    f->content.len = 4 + 24 + quote.len;
    f->content.ptr = calloc(1, f->content.len);
    assert_non_null(f->content.ptr);
    f->content.ptr[2] = (uint8_t)((24 + quote.len) >> 8);
    f->content.ptr[3] = (uint8_t)(24 + quote.len);
    put_u32le(f->content.ptr + 4, 1);
    put_u32le(f->content.ptr + 8, 1);
    put_u32le(f->content.ptr + 12, 24 + quote.len);
    put_u32le(f->content.ptr + 24, quote.len);
    memcpy(f->content.ptr + 28, quote.ptr, quote.len);
    atls_buf_clear(&quote);
}

static ssize_t write_locked(struct test_tsm *t, struct test_tsm_file *f, const void *in, size_t len)
{
    int result = fault(t, "write", f->path);

    if (result < 0)
        return result;
    if (starve(t, f))
        return -EAGAIN;
    if (f->entry != NULL) {
        if (t->short_write)
            return (ssize_t)len - 1;
        store(t, f->entry, name_of(f), in, len);
        return (ssize_t)len;
    }
    if (t->chunk != 0 && len > t->chunk)
        len = t->chunk;
    assert_true(f->written_len + len <= sizeof f->written);
    memcpy(f->written + f->written_len, in, len);
    f->written_len += len;
    answer(t, f);
    return (ssize_t)len;
}

static int make_directory_locked(struct test_tsm *t, const char *path)
{
    int result = fault(t, "make_directory", path);

    if (result < 0)
        return result;
    if (t->no_directory)
        return -ENOENT;
    if (t->no_driver)
        return -ENXIO;
    for (size_t i = 0; i < TEST_TSM_ENTRIES; i++) {
        struct test_tsm_entry *e = &t->entries[i];

        if (e->used)
            continue;
        memset(e, 0, sizeof *e);
        e->used = true;
        snprintf(e->path, sizeof e->path, "%s", path);
        e->generation = 7 * t->entries_made++;
        return 0;
    }
    fail_msg("too many entries");
    return 0;
}

static int remove_directory_locked(struct test_tsm *t, const char *path)
{
    int result = fault(t, "remove_directory", path);

    if (result < 0)
        return result;
    for (size_t i = 0; i < TEST_TSM_ENTRIES; i++) {
        if (t->entries[i].used && strcmp(t->entries[i].path, path) == 0) {
            t->entries[i].used = false;
            return 0;
        }
    }
    return -ENOENT;
}

static int find_locked(struct test_tsm *t, const char *path)
{
    const char *name = NULL;
    struct test_tsm_entry *e = find_entry(t, path, &name);
    int result = fault(t, "find", path);

    if (result < 0)
        return result;
    if (strcmp(path, TEST_TSM_DIRECTORY) == 0 || strcmp(path, "/sys/kernel/config/tsm/report") == 0)
        return t->no_directory ? -ENOENT : 0;
    if (e != NULL)
        return has_attribute(t, name) ? 0 : -ENOENT;
    return has_device(t, path) ? 0 : -ENOENT;
}

/* Fields of the kernel's structures, by their offsets. */
static uint64_t u64_at(const uint8_t *p, size_t offset)
{
    uint64_t v;

    memcpy(&v, p + offset, sizeof v);
    return v;
}

static void *pointer_at(const uint8_t *p, size_t offset)
{
    return (void *)(uintptr_t)u64_at(p, offset);
}

static int sev_ioctl(struct test_tsm *t, uint8_t *guest)
{
    uint8_t *request = pointer_at(guest, 8), *response = pointer_at(guest, 16);
    uint64_t exitinfo2 = t->exitinfo2;
    uint32_t room;
    struct atls_buf report;
    int result = fault(t, "ioctl", "");

    memcpy(&t->vmpl, request + 64, sizeof t->vmpl);
    memcpy(&room, request + 104, sizeof room);
    assert_int_equal(guest[0], 1);
    assert_true(room % 4096 == 0);
    if (result == 0 && t->vmm_busy > 0) {
        t->vmm_busy--;
        exitinfo2 = UINT64_C(2) << 32;
        result = -EIO;
    } else if (result == 0 && room < t->certificates_len) {
        uint32_t said = t->certificates_said != 0 ? t->certificates_said : t->certificates_len;

        memcpy(request + 104, &said, sizeof said);
        exitinfo2 = UINT64_C(1) << 32;
        result = -ENOSPC;
    }
    if (result < 0) {
        memcpy(guest + 24, &exitinfo2, sizeof exitinfo2);
        return result;
    }
    report = make_evidence(t, request);
    put_u32le(response, t->status);
    put_u32le(response + 4, t->report_len != 0 ? t->report_len : 1184);
    memcpy(response + 32, report.ptr, report.len);
    atls_buf_clear(&report);
    assert_true(t->aux.len <= room);
    if (t->aux.len > 0)
        memcpy(pointer_at(request, 96), t->aux.ptr, t->aux.len);
    return 0;
}

static int ioctl_locked(struct test_tsm *t, unsigned long number, uint8_t *parameter)
{
    int result;

    if (number == 0xc0205302ul)
        return sev_ioctl(t, parameter);
    assert_int_equal(number, 0xc4405401ul);
    if ((result = fault(t, "ioctl", "")) < 0)
        return result;
    memset(parameter + 64, 0, 1024);
    memcpy(parameter + 64 + 128, parameter, 64);
    return 0;
}

static int connect_locked(struct test_tsm *t, const struct atls_tsm_qgs *where)
{
    int fd = 0, result = fault(t, "connect", "");

    if (result < 0)
        return result;
    t->reached = *where;
    (void)new_file(t, "socket", &fd);
    return fd;
}

/* The table's functions: one call at a time. */

static int fake_open(void *arg, const char *path, int flags)
{
    struct test_tsm *t = arg;
    int result;

    (void)flags;
    pthread_mutex_lock(&t->lock);
    result = open_locked(t, path);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_close(void *arg, int fd)
{
    struct test_tsm *t = arg;
    struct test_tsm_file *f;
    int result;

    pthread_mutex_lock(&t->lock);
    f = file_of(t, fd);
    result = fault(t, "close", f->path);
    f->used = false;
    atls_buf_clear(&f->content);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static ssize_t fake_read(void *arg, int fd, void *out, size_t len)
{
    struct test_tsm *t = arg;
    ssize_t result;

    pthread_mutex_lock(&t->lock);
    result = read_locked(t, file_of(t, fd), out, len);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static ssize_t fake_write(void *arg, int fd, const void *in, size_t len)
{
    struct test_tsm *t = arg;
    ssize_t result;

    pthread_mutex_lock(&t->lock);
    result = write_locked(t, file_of(t, fd), in, len);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_make_directory(void *arg, const char *path)
{
    struct test_tsm *t = arg;
    int result;

    pthread_mutex_lock(&t->lock);
    result = make_directory_locked(t, path);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_remove_directory(void *arg, const char *path)
{
    struct test_tsm *t = arg;
    int result;

    pthread_mutex_lock(&t->lock);
    result = remove_directory_locked(t, path);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_find(void *arg, const char *path)
{
    struct test_tsm *t = arg;
    int result;

    pthread_mutex_lock(&t->lock);
    result = find_locked(t, path);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_ioctl(void *arg, int fd, unsigned long request, void *parameter)
{
    struct test_tsm *t = arg;
    int result;

    pthread_mutex_lock(&t->lock);
    (void)file_of(t, fd);
    result = ioctl_locked(t, request, parameter);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_connect(void *arg, const struct atls_tsm_qgs *where, int64_t timeout_ms)
{
    struct test_tsm *t = arg;
    int result;

    assert_true(timeout_ms > 0);
    pthread_mutex_lock(&t->lock);
    result = connect_locked(t, where);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int fake_wait(void *arg, int fd, bool writing, int64_t timeout_ms)
{
    struct test_tsm *t = arg;
    int result;

    (void)writing;
    assert_true(timeout_ms > 0);
    pthread_mutex_lock(&t->lock);
    result = fault(t, "wait", file_of(t, fd)->path);
    pthread_mutex_unlock(&t->lock);
    return result;
}

static int64_t fake_now_ms(void *arg)
{
    struct test_tsm *t = arg;
    int64_t now_ms;

    pthread_mutex_lock(&t->lock);
    now_ms = t->now_ms;
    pthread_mutex_unlock(&t->lock);
    return now_ms;
}

static void fake_sleep_ms(void *arg, int64_t ms)
{
    struct test_tsm *t = arg;

    assert_true(ms >= 0);
    pthread_mutex_lock(&t->lock);
    t->now_ms += ms;
    t->pauses++;
    pthread_mutex_unlock(&t->lock);
}

void test_tsm_init(struct test_tsm *t, const char *provider)
{
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->provider = provider;
    t->kernel = (struct atls_tsm_kernel){
        .arg = t,
        .open = fake_open,
        .close = fake_close,
        .read = fake_read,
        .write = fake_write,
        .make_directory = fake_make_directory,
        .remove_directory = fake_remove_directory,
        .find = fake_find,
        .ioctl = fake_ioctl,
        .connect = fake_connect,
        .wait = fake_wait,
        .now_ms = fake_now_ms,
        .sleep_ms = fake_sleep_ms,
    };
}

void test_tsm_finish(struct test_tsm *t)
{
    for (size_t i = 0; i < TEST_TSM_ENTRIES; i++)
        assert_false(t->entries[i].used);
    for (size_t i = 0; i < TEST_TSM_FILES; i++)
        assert_false(t->files[i].used);
    pthread_mutex_destroy(&t->lock);
}
