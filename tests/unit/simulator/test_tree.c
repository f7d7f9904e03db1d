/* simulator/tree.c: what the kernel's document and its source say of each operation. */
#include "simulator/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "testlib.h"

/* A provider that answers with the request in text. */
struct machine {
    unsigned int floor;
    bool hide_auxblob;
    unsigned int races;
    int fails;
    unsigned int reports;
};

static unsigned int machine_floor(void *context)
{
    return ((struct machine *)context)->floor;
}

static bool machine_visible(void *context, enum atls_sim_tree_attribute attribute)
{
    return attribute != ATLS_SIM_ATTRIBUTE_AUXBLOB || !((struct machine *)context)->hide_auxblob;
}

static bool machine_raced(void *context)
{
    struct machine *m = context;

    return m->races > 0 && m->races-- > 0;
}

static int machine_report(void *context, const struct atls_sim_request *request,
                          struct atls_sim_blobs *out)
{
    struct machine *m = context;
    char text[128];
    int len;

    m->reports++;
    if (m->fails != 0)
        return m->fails;
    len = snprintf(text, sizeof text, "%zu %02x %u %s %d", request->inblob.len,
                   request->inblob.ptr[0], request->privlevel, request->service_provider,
                   request->service_guid);
    assert_int_equal(atls_buf_copy(&out->outblob, atls_bytes_of(text, (size_t)len), NULL), ATLS_OK);
    assert_int_equal(atls_buf_copy(&out->auxblob, atls_bytes_of("table", 5), NULL), ATLS_OK);
    return 0;
}

struct fixture {
    struct machine machine;
    struct atls_sim_tree *tree;
};

static struct atls_sim_tree *tree_of(struct machine *machine, uint64_t first)
{
    const struct atls_sim_provider provider = {.context = machine,
                                               .name = "sev_guest",
                                               .floor = machine_floor,
                                               .visible = machine_visible,
                                               .raced = machine_raced,
                                               .report = machine_report};
    struct atls_sim_tree *tree = NULL;

    assert_int_equal(atls_sim_tree_new(&provider, first, &tree, NULL), ATLS_OK);
    return tree;
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.machine = {0}};
    f.tree = tree_of(&f.machine, 0);
    assert_int_equal(atls_sim_tree_mkdir(f.tree, "/a"), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    atls_sim_tree_free(((struct fixture *)*state)->tree);
    return 0;
}

static ssize_t put(struct atls_sim_tree *tree, const char *path, const void *data, size_t len)
{
    struct atls_sim_file *file = NULL;
    ssize_t answer = atls_sim_file_open(tree, path, O_WRONLY, &file);

    if (answer == 0) {
        answer = atls_sim_file_write(file, data, len, 0);
        atls_sim_file_close(file);
    }
    return answer;
}

static ssize_t get(struct atls_sim_tree *tree, const char *path, char out[128])
{
    struct atls_sim_file *file = NULL;
    ssize_t answer = atls_sim_file_open(tree, path, O_RDONLY, &file);

    memset(out, 0, 128);
    if (answer == 0) {
        answer = atls_sim_file_read(file, out, 127, 0);
        atls_sim_file_close(file);
    }
    return answer;
}

static void assert_text(struct atls_sim_tree *tree, const char *path, const char *want)
{
    char text[128];

    assert_int_equal(get(tree, path, text), (ssize_t)strlen(want));
    assert_string_equal(text, want);
}

static void put_challenge(struct atls_sim_tree *tree, const char *path, uint8_t first)
{
    uint8_t challenge[64] = {first};

    assert_int_equal(put(tree, path, challenge, sizeof challenge), 64);
}

/* ---- names ---- */

static void names_are_made_and_removed(void **state)
{
    static const struct {
        const char *says;
        int (*call)(struct atls_sim_tree *tree, const char *path);
        const char *path;
        int want;
    } rows[] = {
        {"an entry of a new name", atls_sim_tree_mkdir, "/b", 0},
        {"an entry of a name that exists", atls_sim_tree_mkdir, "/b", -EEXIST},
        {"an entry in an entry", atls_sim_tree_mkdir, "/b/c", -EPERM},
        {"the directory itself", atls_sim_tree_mkdir, "/", -EEXIST},
        {"an attribute is no directory", atls_sim_tree_rmdir, "/b/inblob", -ENOTDIR},
        {"an entry goes with its attributes", atls_sim_tree_rmdir, "/b", 0},
        {"an entry that is gone", atls_sim_tree_rmdir, "/b", -ENOENT},
        {"the directory stays", atls_sim_tree_rmdir, "/", -EBUSY},
        {"its name may come again", atls_sim_tree_mkdir, "/b", 0},
    };
    struct fixture *f = *state;
    char name[300] = "/";

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = rows[i].call(f->tree, rows[i].path);

        if (got != rows[i].want)
            fail_msg("%s: %d, want %d", rows[i].says, got, rows[i].want);
    }
    memset(name + 1, 'x', 256);
    assert_int_equal(atls_sim_tree_mkdir(f->tree, name), -ENAMETOOLONG);
    name[256] = '\0';
    assert_int_equal(atls_sim_tree_mkdir(f->tree, name), 0);
}

static void modes_are_the_kernels(void **state)
{
    static const struct {
        const char *path;
        mode_t mode;
        off_t size;
    } rows[] = {
        {"/", S_IFDIR | 0755, 0},
        {"/a", S_IFDIR | 0755, 0},
        {"/a/inblob", S_IFREG | 0200, 0},
        {"/a/outblob", S_IFREG | 0444, 0},
        {"/a/auxblob", S_IFREG | 0444, 0},
        {"/a/manifestblob", S_IFREG | 0444, 0},
        {"/a/provider", S_IFREG | 0444, 4096},
        {"/a/generation", S_IFREG | 0444, 4096},
        {"/a/privlevel", S_IFREG | 0200, 4096},
        {"/a/privlevel_floor", S_IFREG | 0444, 4096},
        {"/a/service_provider", S_IFREG | 0200, 4096},
        {"/a/service_guid", S_IFREG | 0200, 4096},
        {"/a/service_manifest_version", S_IFREG | 0200, 4096},
    };
    struct fixture *f = *state;
    struct stat status;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(atls_sim_tree_stat(f->tree, rows[i].path, &status), 0);
        if (status.st_mode != rows[i].mode || status.st_size != rows[i].size)
            fail_msg("%s: mode %o, size %ld", rows[i].path, status.st_mode, (long)status.st_size);
    }
    assert_int_equal(atls_sim_tree_stat(f->tree, "/b", &status), -ENOENT);
    assert_int_equal(atls_sim_tree_stat(f->tree, "/b/inblob", &status), -ENOENT);
    assert_int_equal(atls_sim_tree_stat(f->tree, "/a/nothing", &status), -ENOENT);
    assert_int_equal(atls_sim_tree_stat(f->tree, "/a/inblob/x", &status), -ENOENT);
}

struct listed {
    size_t count, stop_at;
    char names[ATLS_SIM_ATTRIBUTE_COUNT][40];
};

static bool list_one(void *context, const char *name, bool directory)
{
    struct listed *l = context;

    (void)directory;
    snprintf(l->names[l->count++], sizeof l->names[0], "%s", name);
    return l->count != l->stop_at;
}

static void directories_list_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct listed l = {0};

    assert_int_equal(atls_sim_tree_mkdir(f->tree, "/b"), 0);
    assert_int_equal(atls_sim_tree_list(f->tree, "/", list_one, &l), 0);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.names[0], "a");
    assert_string_equal(l.names[1], "b");
    l = (struct listed){0};
    assert_int_equal(atls_sim_tree_list(f->tree, "/a", list_one, &l), 0);
    assert_int_equal(l.count, ATLS_SIM_ATTRIBUTE_COUNT);
    f->machine.hide_auxblob = true;
    l = (struct listed){0};
    assert_int_equal(atls_sim_tree_list(f->tree, "/a", list_one, &l), 0);
    assert_int_equal(l.count, ATLS_SIM_ATTRIBUTE_COUNT - 1);
    l = (struct listed){.stop_at = 1};
    assert_int_equal(atls_sim_tree_list(f->tree, "/a", list_one, &l), 0);
    assert_int_equal(l.count, 1);
    l = (struct listed){.stop_at = 1};
    assert_int_equal(atls_sim_tree_list(f->tree, "/", list_one, &l), 0);
    assert_int_equal(l.count, 1);
    assert_int_equal(atls_sim_tree_list(f->tree, "/a/inblob", list_one, &l), -ENOTDIR);
    assert_int_equal(atls_sim_tree_list(f->tree, "/c", list_one, &l), -ENOENT);
}

/* ---- opening ---- */

static void opening_looks_at_the_mode(void **state)
{
    static const struct {
        const char *says, *path;
        int flags, want;
    } rows[] = {
        {"what is write-only is not read", "/a/inblob", O_RDONLY, -EACCES},
        {"nor read and written", "/a/inblob", O_RDWR, -EACCES},
        {"what is read-only is not written", "/a/outblob", O_WRONLY, -EACCES},
        {"nor written and read", "/a/outblob", O_RDWR, -EACCES},
        {"a directory is no attribute", "/a", O_RDONLY, -EISDIR},
        {"an attribute of no entry", "/b/inblob", O_WRONLY, -ENOENT},
        {"an attribute that is unknown", "/a/nothing", O_RDONLY, -ENOENT},
        {"an attribute that the provider lacks", "/a/auxblob", O_RDONLY, -ENOENT},
    };
    struct fixture *f = *state;
    struct atls_sim_file *file = NULL;

    f->machine.hide_auxblob = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = atls_sim_file_open(f->tree, rows[i].path, rows[i].flags, &file);

        if (got != rows[i].want)
            fail_msg("%s: %d, want %d", rows[i].says, got, rows[i].want);
    }
    assert_null(file);
}

/* ---- reports ---- */

static void a_report_answers_what_was_written(void **state)
{
    struct fixture *f = *state;

    assert_text(f->tree, "/a/provider", "sev_guest\n");
    assert_text(f->tree, "/a/generation", "0\n");
    put_challenge(f->tree, "/a/inblob", 0x11);
    assert_text(f->tree, "/a/generation", "1\n");
    assert_text(f->tree, "/a/outblob", "64 11 0  0");
    assert_text(f->tree, "/a/auxblob", "table");
    assert_text(f->tree, "/a/manifestblob", "");
    assert_text(f->tree, "/a/outblob", "64 11 0  0");
    assert_int_equal(f->machine.reports, 1); /* one report for all reads of one generation */
    put_challenge(f->tree, "/a/inblob", 0x22);
    assert_text(f->tree, "/a/auxblob", "table");
    assert_text(f->tree, "/a/outblob", "64 22 0  0");
    assert_int_equal(f->machine.reports, 2);
    assert_text(f->tree, "/a/generation", "2\n");
}

static void entries_do_not_mix(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(atls_sim_tree_mkdir(f->tree, "/b"), 0);
    put_challenge(f->tree, "/a/inblob", 0x11);
    put_challenge(f->tree, "/b/inblob", 0x22);
    assert_text(f->tree, "/b/outblob", "64 22 0  0");
    assert_text(f->tree, "/a/outblob", "64 11 0  0");
    assert_text(f->tree, "/b/generation", "1\n");
}

static void without_an_inblob_there_is_no_report(void **state)
{
    struct fixture *f = *state;
    char text[128];

    assert_int_equal(get(f->tree, "/a/outblob", text), -EINVAL);
    assert_int_equal(get(f->tree, "/a/auxblob", text), -EINVAL);
    assert_int_equal(f->machine.reports, 0);
}

static void a_provider_that_fails_is_asked_again(void **state)
{
    struct fixture *f = *state;
    char text[128];

    put_challenge(f->tree, "/a/inblob", 0x11);
    f->machine.fails = -EBUSY;
    assert_int_equal(get(f->tree, "/a/outblob", text), -EBUSY);
    f->machine.fails = 0;
    assert_text(f->tree, "/a/outblob", "64 11 0  0");
    put_challenge(f->tree, "/a/inblob", 0x22);
    f->machine.fails = -EIO;
    assert_int_equal(get(f->tree, "/a/outblob", text), -EIO); /* and not the last report */
    assert_text(f->tree, "/a/generation", "2\n");
}

static void a_stranger_moves_the_generation(void **state)
{
    struct fixture *f = *state;

    put_challenge(f->tree, "/a/inblob", 0x11);
    f->machine.races = 1;
    assert_text(f->tree, "/a/outblob", "64 ee 0  0");
    assert_text(f->tree, "/a/generation", "2\n");
    put_challenge(f->tree, "/a/inblob", 0x11);
    assert_text(f->tree, "/a/outblob", "64 11 0  0");
    assert_text(f->tree, "/a/generation", "3\n");
}

static void writes_that_nobody_reads_end(void **state)
{
    struct machine machine = {0};
    struct atls_sim_tree *tree = tree_of(&machine, UINT64_MAX - 1);

    (void)state;
    assert_int_equal(atls_sim_tree_mkdir(tree, "/a"), 0);
    put_challenge(tree, "/a/inblob", 0x11);
    assert_text(tree, "/a/generation", "18446744073709551615\n");
    assert_int_equal(put(tree, "/a/privlevel", "1\n", 2), -EBUSY);
    assert_int_equal(put(tree, "/a/service_provider", "svsm", 4), -EBUSY);
    assert_int_equal(put(tree, "/a/service_manifest_version", "1", 1), -EBUSY);
    assert_int_equal(put(tree, "/a/service_guid", "00000000-0000-0000-0000-000000000000", 36),
                     -EBUSY);
    put_challenge(tree, "/a/inblob", 0x22); /* which close(2) does not tell */
    assert_text(tree, "/a/generation", "18446744073709551615\n");
    assert_text(tree, "/a/outblob", "64 11 0  0");
    assert_int_equal(put(tree, "/a/privlevel", "1\n", 2), 2);
    assert_text(tree, "/a/generation", "0\n");
    assert_text(tree, "/a/outblob", "64 11 1  0");
    atls_sim_tree_free(tree);
}

/* ---- attributes ---- */

static void binary_writes_are_taken_when_they_end(void **state)
{
    struct fixture *f = *state;
    struct atls_sim_file *file = NULL;
    uint8_t data[65] = {0x33};

    assert_int_equal(atls_sim_file_open(f->tree, "/a/inblob", O_WRONLY, &file), 0);
    assert_int_equal(atls_sim_file_write(file, data, 40, 0), 40);
    assert_text(f->tree, "/a/generation", "0\n");
    assert_int_equal(atls_sim_file_write(file, data + 1, 24, 40), 24);
    assert_int_equal(atls_sim_file_write(file, data, 1, 64), -EFBIG);
    assert_int_equal(atls_sim_file_write(file, data, 65, 0), -EFBIG);
    assert_int_equal(atls_sim_file_write(file, data, 1, -1), -EINVAL);
    atls_sim_file_commit(file);
    assert_text(f->tree, "/a/generation", "1\n");
    atls_sim_file_close(file); /* nothing new */
    assert_text(f->tree, "/a/generation", "1\n");
    assert_text(f->tree, "/a/outblob", "64 33 0  0");
    assert_int_equal(put(f->tree, "/a/inblob", data, 32), 32);
    assert_text(f->tree, "/a/outblob", "32 33 0  0");
}

static void opening_without_writing_counts_nothing(void **state)
{
    struct fixture *f = *state;
    struct atls_sim_file *file = NULL;

    assert_int_equal(atls_sim_file_open(f->tree, "/a/inblob", O_WRONLY, &file), 0);
    atls_sim_file_close(file);
    atls_sim_file_close(NULL);
    assert_text(f->tree, "/a/generation", "0\n");
}

static void a_reader_keeps_what_it_began_with(void **state)
{
    struct fixture *f = *state;
    struct atls_sim_file *file = NULL;
    char text[16] = {0};

    put_challenge(f->tree, "/a/inblob", 0x11);
    assert_int_equal(atls_sim_file_open(f->tree, "/a/outblob", O_RDONLY, &file), 0);
    assert_int_equal(atls_sim_file_read(file, text, 3, 0), 3);
    put_challenge(f->tree, "/a/inblob", 0x22);
    assert_int_equal(atls_sim_file_read(file, text + 3, 13, 3), 7);
    assert_string_equal(text, "64 11 0  0");
    assert_int_equal(atls_sim_file_read(file, text, 16, 10), 0);
    assert_int_equal(atls_sim_file_read(file, text, 16, 1000), 0);
    assert_int_equal(atls_sim_file_read(file, text, 16, -1), -EINVAL);
    atls_sim_file_close(file);
}

static void what_is_open_outlives_its_entry(void **state)
{
    struct fixture *f = *state;
    struct atls_sim_file *reader = NULL, *writer = NULL, *text = NULL;
    uint8_t data[64] = {0};

    assert_int_equal(atls_sim_file_open(f->tree, "/a/outblob", O_RDONLY, &reader), 0);
    assert_int_equal(atls_sim_file_open(f->tree, "/a/inblob", O_WRONLY, &writer), 0);
    assert_int_equal(atls_sim_file_open(f->tree, "/a/privlevel", O_WRONLY, &text), 0);
    assert_int_equal(atls_sim_tree_rmdir(f->tree, "/a"), 0);
    assert_int_equal(atls_sim_tree_mkdir(f->tree, "/a"), 0);
    assert_int_equal(atls_sim_file_read(reader, data, 64, 0), -ENOENT);
    assert_int_equal(atls_sim_file_write(writer, data, 64, 0),
                     64); /* told by nobody, lost at close */
    assert_int_equal(atls_sim_file_write(text, "1", 1, 0), -ENOENT);
    atls_sim_file_close(reader);
    atls_sim_file_close(writer);
    atls_sim_file_close(text);
    assert_text(f->tree, "/a/generation", "0\n");
}

static void what_is_open_ends_with_the_tree(void **state)
{
    struct machine machine = {0};
    struct atls_sim_tree *tree = tree_of(&machine, 0);
    struct atls_sim_file *files[3] = {NULL};

    (void)state;
    assert_int_equal(atls_sim_tree_mkdir(tree, "/a"), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(atls_sim_file_open(tree, "/a/outblob", O_RDONLY, &files[i]), 0);
    atls_sim_file_close(files[1]);
    assert_int_equal(atls_sim_tree_rmdir(tree, "/a"), 0);
    atls_sim_tree_free(tree);
    atls_sim_tree_free(NULL);
}

static void text_is_parsed_as_the_kernel_does(void **state)
{
    static const struct {
        const char *says, *path, *text;
        ssize_t want;
    } rows[] = {
        {"decimal with a newline", "/a/privlevel", "3\n", 2},
        {"hexadecimal", "/a/privlevel", "0x2", 3},
        {"octal", "/a/privlevel", "01", 2},
        {"with a plus sign", "/a/privlevel", "+2", 2},
        {"below the floor", "/a/privlevel", "0", -EINVAL},
        {"above the highest", "/a/privlevel", "4", -EINVAL},
        {"empty line", "/a/privlevel", "\n", -EINVAL},
        {"negative", "/a/privlevel", "-1", -EINVAL},
        {"two newlines", "/a/privlevel", "1\n\n", -EINVAL},
        {"text behind", "/a/privlevel", "1 ", -EINVAL},
        {"more than 32 bits", "/a/privlevel", "4294967296", -ERANGE},
        {"more than 64 bits", "/a/privlevel", "99999999999999999999", -ERANGE},
        {"a version", "/a/service_manifest_version", "1\n", 2},
        {"a version that is none", "/a/service_manifest_version", "x", -EINVAL},
        {"a service", "/a/service_provider", "svsm\n", 5},
        {"no service", "/a/service_provider", "\n", -EINVAL},
        {"a GUID", "/a/service_guid", "c476f1eb-0123-45a5-9641-b4e7dde5bfe3\n", 37},
        {"a GUID cut short", "/a/service_guid", "c476f1eb-0123-45a5-9641-b4e7dde5bfe", -EINVAL},
        {"a GUID without dashes", "/a/service_guid", "c476f1eb0123-45a5-9641-b4e7dde5bfe3aa",
         -EINVAL},
        {"a GUID of other letters", "/a/service_guid", "g476f1eb-0123-45a5-9641-b4e7dde5bfe3",
         -EINVAL},
    };
    struct fixture *f = *state;
    unsigned int taken = 0;
    char want[32];

    f->machine.floor = 1;
    assert_text(f->tree, "/a/privlevel_floor", "1\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ssize_t got = put(f->tree, rows[i].path, rows[i].text, strlen(rows[i].text));

        if (got != rows[i].want)
            fail_msg("%s: %zd, want %zd", rows[i].says, got, rows[i].want);
        taken += got > 0;
        snprintf(want, sizeof want, "%u\n", taken);
        assert_text(f->tree, "/a/generation", want); /* refused ones do not count */
    }
    put_challenge(f->tree, "/a/inblob", 0x11);
    assert_text(f->tree, "/a/outblob", "64 11 2 svsm 1");
}

static void long_text_is_cut_at_a_page(void **state)
{
    struct fixture *f = *state;
    char text[5000];

    memset(text, ' ', sizeof text);
    memcpy(text, "c476f1eb-0123-45a5-9641-b4e7dde5bfe3", 36);
    assert_int_equal(put(f->tree, "/a/service_guid", text, sizeof text), 4095);
    memset(text, 's', sizeof text);
    assert_int_equal(put(f->tree, "/a/service_provider", text, ATLS_SIM_SERVICE_MAX), -EINVAL);
    assert_int_equal(put(f->tree, "/a/service_provider", text, ATLS_SIM_SERVICE_MAX - 1),
                     ATLS_SIM_SERVICE_MAX - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_made_and_removed),
        TEST(modes_are_the_kernels),
        TEST(directories_list_what_is_there),
        TEST(opening_looks_at_the_mode),
        TEST(a_report_answers_what_was_written),
        TEST(entries_do_not_mix),
        TEST(without_an_inblob_there_is_no_report),
        TEST(a_provider_that_fails_is_asked_again),
        TEST(a_stranger_moves_the_generation),
        TEST(writes_that_nobody_reads_end),
        TEST(binary_writes_are_taken_when_they_end),
        TEST(opening_without_writing_counts_nothing),
        TEST(a_reader_keeps_what_it_began_with),
        TEST(what_is_open_outlives_its_entry),
        cmocka_unit_test(what_is_open_ends_with_the_tree),
        TEST(text_is_parsed_as_the_kernel_does),
        TEST(long_text_is_cut_at_a_page),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
