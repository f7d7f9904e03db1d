/* simulator/world.c: a machine in a directory. Arm's is used, whose keys are made at once. */
#define _XOPEN_SOURCE 700 /* mkdtemp, nftw */
#include "simulator/world.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator/folder.h"
#include "simulator/maker.h"
#include "testlib.h"

static const struct atls_sim_setup cca = {.tee = ATLS_SIM_CCA, .time_s = 1790000000};

struct fixture {
    char folder[sizeof "/tmp/atls-sim-XXXXXX"];
    struct atls_sim_world *world;
};

static int setup(void **state)
{
    static struct fixture f;
    struct atls_err err = ATLS_ERR_INIT;

    strcpy(f.folder, "/tmp/atls-sim-XXXXXX");
    f.world = NULL;
    assert_non_null(mkdtemp(f.folder));
    test_assert_code(atls_sim_world_make(f.folder, &cca, &f.world, &err), ATLS_OK, &err);
    *state = &f;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    atls_sim_world_free(f->world);
    return nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct atls_sim_request request_of(const uint8_t *challenge, size_t len)
{
    return (struct atls_sim_request){.inblob = atls_bytes_of(challenge, len),
                                     .service_provider = ""};
}

/* Errno of evidence; the blobs are told by their length. */
static int ask(struct atls_sim_world *world, size_t challenge_len, size_t *out_len)
{
    static const uint8_t challenge[ATLS_SIM_INBLOB_MAX + 1] = {1};
    const struct atls_sim_request request = request_of(challenge, challenge_len);
    struct atls_sim_blobs blobs = {0};
    struct atls_err err = ATLS_ERR_INIT;
    int number = -1;
    enum atls_code code = atls_sim_world_evidence(world, &request, &blobs, &number, &err);

    assert_int_equal(code == ATLS_OK, number == 0);
    *out_len = blobs.outblob.len;
    atls_sim_blobs_clear(&blobs);
    return number;
}

static void setups_are_checked(void **state)
{
    static const struct {
        const char *says;
        struct atls_sim_setup setup;
    } rows[] = {
        {"no technology", {.tee = (enum atls_sim_tee)0}},
        {"two technologies", {.tee = (enum atls_sim_tee)(ATLS_SIM_SNP | ATLS_SIM_TDX)}},
        {"a line that is none", {.tee = ATLS_SIM_SNP, .line = "naples"}},
        {"a line of another technology", {.tee = ATLS_SIM_TDX, .line = "milan"}},
        {"a VLEK of another technology", {.tee = ATLS_SIM_CCA, .vlek = true}},
        {"a quote of another technology", {.tee = ATLS_SIM_SNP, .quote_version = 4}},
        {"a quote of SGX", {.tee = ATLS_SIM_TDX, .quote_version = 3}},
        {"a quote of the future", {.tee = ATLS_SIM_TDX, .quote_version = 6}},
    };
    struct atls_sim_world *world = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_sim_world_make("/nonexistent/x", &rows[i].setup, &world, &err) != ATLS_E_CONFIG)
            fail_msg("%s: %s", rows[i].says, err.message);
    test_assert_code(atls_sim_world_make("/nonexistent/x", &cca, &world, &err), ATLS_E_IO, &err);
    assert_null(world);
}

static void a_directory_is_used_once(void **state)
{
    struct fixture *f = *state;
    struct atls_sim_world *world = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_world_make(f->folder, &cca, &world, &err), ATLS_E_IO, &err);
    assert_int_equal(err.sys_errno, EEXIST);
}

static void a_world_opens_again(void **state)
{
    struct fixture *f = *state;
    struct atls_sim_world *world = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t len;

    test_assert_code(atls_sim_world_open(f->folder, &world, &err), ATLS_OK, &err);
    assert_int_equal(atls_sim_world_tee(world), ATLS_SIM_CCA);
    assert_string_equal(atls_sim_world_name(world), "cca");
    assert_string_equal(atls_sim_world_provider_name(world), "arm_cca_guest");
    assert_int_equal(ask(world, 64, &len), 0);
    assert_true(len > 500);
    atls_sim_world_free(world);
    atls_sim_world_free(NULL);
}

static void what_is_no_world_is_refused(void **state)
{
    static const struct {
        const char *says, *file, *content;
        enum atls_code want;
    } rows[] = {
        {"another version", "world", "format=libatls-simulator-0\n", ATLS_E_CONFIG},
        {"nothing", "world", "", ATLS_E_CONFIG},
        {"an unknown technology", "world",
         "format=libatls-simulator-1\ntee=sgx\nline=none\nkey=vcek\nquote=0\ntime=1\n",
         ATLS_E_CONFIG},
        {"text behind", "world",
         "format=libatls-simulator-1\ntee=cca\nline=none\nkey=vcek\nquote=0\ntime=1\nmore\n",
         ATLS_E_CONFIG},
        {"a changed order", "state", "rim=00\n", ATLS_E_CONFIG},
        {"a changed key", "keys/rak.pem", "key", ATLS_E_DECODE},
    };
    struct fixture *f = *state;
    struct atls_sim_world *world = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf good = ATLS_BUF_INIT;

        test_assert_code(atls_sim_folder_read(f->folder, rows[i].file, &good, &err), ATLS_OK, &err);
        test_assert_code(
            atls_sim_folder_write(f->folder, rows[i].file,
                                  atls_bytes_of(rows[i].content, strlen(rows[i].content)),
                                  ATLS_SIM_SECRET, &err),
            ATLS_OK, &err);
        if (atls_sim_world_open(f->folder, &world, &err) != rows[i].want)
            fail_msg("%s: %s", rows[i].says, err.message);
        test_assert_code(atls_sim_folder_write(f->folder, rows[i].file, atls_buf_bytes(&good),
                                               ATLS_SIM_SECRET, &err),
                         ATLS_OK, &err);
        atls_buf_clear(&good);
    }
    test_assert_code(atls_sim_world_open("/nonexistent", &world, &err), ATLS_E_IO, &err);
}

static void order(struct atls_sim_world *world, const char *text)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_world_order(world, &text, 1, &err), ATLS_OK, &err);
}

static void orders_reach_every_opener(void **state)
{
    static const char *const mixed[] = {"delay=5", "debug=yes"};
    struct fixture *f = *state;
    struct atls_sim_world *other = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_state now;
    size_t len;

    test_assert_code(atls_sim_world_open(f->folder, &other, &err), ATLS_OK, &err);
    order(f->world, "fault=EBUSY:2");
    assert_int_equal(ask(other, 64, &len), EBUSY);
    assert_int_equal(ask(f->world, 64, &len), EBUSY);
    assert_int_equal(ask(other, 64, &len), 0);
    order(other, "truncate=9");
    assert_int_equal(ask(f->world, 64, &len), 0);
    assert_int_equal(len, 9);
    test_assert_code(atls_sim_world_order(other, mixed, 2, &err), ATLS_E_CONFIG, &err);
    test_assert_code(atls_sim_world_state(f->world, &now, &err), ATLS_OK, &err);
    assert_int_equal(atls_sim_state_number(&now, ATLS_SIM_ORDER_DELAY), 0);
    atls_sim_world_free(other);
}

static void lengths_are_the_drivers(void **state)
{
    struct fixture *f = *state;
    size_t len;

    assert_int_equal(ask(f->world, 31, &len), EINVAL);
    assert_int_equal(ask(f->world, 32, &len), 0);
    assert_int_equal(ask(f->world, 64, &len), 0);
    assert_int_equal(ask(f->world, 65, &len), EINVAL);
}

static char said[320];

static void say(const char *message)
{
    snprintf(said, sizeof said, "%s", message);
}

static void the_provider_passes_on(void **state)
{
    static const uint8_t challenge[64] = {1};
    struct fixture *f = *state;
    struct atls_sim_provider provider = atls_sim_world_provider(f->world, say);
    struct atls_sim_request request = request_of(challenge, sizeof challenge);
    struct atls_sim_blobs blobs = {0};
    struct atls_err err = ATLS_ERR_INIT;

    assert_string_equal(provider.name, "arm_cca_guest");
    assert_int_equal(provider.floor(provider.context), 0);
    assert_true(provider.visible(provider.context, ATLS_SIM_ATTRIBUTE_MANIFESTBLOB));
    assert_false(provider.raced(provider.context));
    order(f->world, "race=1");
    assert_true(provider.raced(provider.context));
    assert_false(provider.raced(provider.context));
    assert_int_equal(provider.report(provider.context, &request, &blobs), 0);
    atls_sim_blobs_clear(&blobs);
    request.service_provider = "svsm";
    assert_int_equal(provider.report(provider.context, &request, &blobs), -EINVAL);
    assert_non_null(strstr(said, "svsm"));
    test_assert_code(
        atls_sim_folder_write(f->folder, "state", atls_bytes_of("x=y\n", 4), ATLS_SIM_PUBLIC, &err),
        ATLS_OK, &err);
    assert_int_equal(provider.report(provider.context, &request, &blobs), -EIO);
    assert_false(provider.raced(provider.context));
    assert_int_equal(provider.floor(provider.context), 0);
    assert_non_null(strstr(said, "no such name"));
}

static const char *no_argument(void *context, const char *name)
{
    (void)context;
    (void)name;
    return NULL;
}

static void a_maker_without_a_service_has_nothing(void **state)
{
    const struct atls_sim_question question = {"/", NULL, no_argument};
    struct fixture *f = *state;
    struct atls_sim_answer answer = {0};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_world_answer(f->world, &question, &answer, &err), ATLS_OK, &err);
    assert_int_equal(answer.status, 404);
    atls_sim_answer_clear(&answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setups_are_checked),
        TEST(a_directory_is_used_once),
        TEST(a_world_opens_again),
        TEST(what_is_no_world_is_refused),
        TEST(orders_reach_every_opener),
        TEST(lengths_are_the_drivers),
        TEST(the_provider_passes_on),
        TEST(a_maker_without_a_service_has_nothing),
    };

    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
