/* simulator/maker_*.c: machines that come back from their directory as they were, and follow
 * orders. Whether evidence is genuine is for other tests. */
#define _XOPEN_SOURCE 700 /* mkdtemp, nftw */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator/folder.h"
#include "simulator/maker.h"
#include "testlib.h"

struct fixture {
    char folder[sizeof "/tmp/atls-sim-XXXXXX"];
    struct atls_sim_world *world;
};

static const struct {
    const char *name;
    struct atls_sim_setup setup;
    const char *marker; /* a file that is the machine's own */
} kinds[] = {
    {"milan", {.tee = ATLS_SIM_SNP, .line = "milan", .rsa_bits = 2048}, "machine/vek.der"},
    {"turin vlek",
     {.tee = ATLS_SIM_SNP, .line = "turin", .vlek = true, .rsa_bits = 2048},
     "machine/vek.der"},
    {"quotes of version 4", {.tee = ATLS_SIM_TDX, .time_s = 1790000000}, "machine/pck.der"},
    {"quotes of version 5",
     {.tee = ATLS_SIM_TDX, .quote_version = 5, .time_s = 1790000000},
     "machine/pck.der"},
    {"CCA", {.tee = ATLS_SIM_CCA}, "roots/platform.pem"},
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static struct fixture fixtures[KIND_COUNT];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static int setup(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct fixture *f = &fixtures[i];

        strcpy(f->folder, "/tmp/atls-sim-XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        test_assert_code(atls_sim_world_make(f->folder, &kinds[i].setup, &f->world, &err), ATLS_OK,
                         &err);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        atls_sim_world_free(fixtures[i].world);
        if (nftw(fixtures[i].folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
            return -1;
    }
    return 0;
}

static struct atls_sim_blobs ask(struct atls_sim_world *world, unsigned int privlevel)
{
    static const uint8_t challenge[64] = {0x77, 1, 2, 3};
    const struct atls_sim_request request = {
        .inblob = {challenge, sizeof challenge}, .privlevel = privlevel, .service_provider = ""};
    struct atls_sim_blobs blobs = {0};
    struct atls_err err = ATLS_ERR_INIT;
    int number = 0;

    test_assert_code(atls_sim_world_evidence(world, &request, &blobs, &number, &err), ATLS_OK,
                     &err);
    return blobs;
}

static void order(struct atls_sim_world *world, const char *text)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_sim_world_order(world, &text, 1, &err), ATLS_OK, &err);
}

static bool contains(struct atls_bytes in, struct atls_bytes what)
{
    for (size_t at = 0; at + what.len <= in.len; at++)
        if (memcmp(in.ptr + at, what.ptr, what.len) == 0)
            return true;
    return false;
}

static void evidence_carries_the_challenge(void **state)
{
    static const uint8_t challenge[] = {0x77, 1, 2, 3, 0};

    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct atls_sim_blobs blobs = ask(fixtures[i].world, 0);

        if (!contains(atls_buf_bytes(&blobs.outblob), atls_bytes_of(challenge, sizeof challenge)))
            fail_msg("%s", kinds[i].name);
        assert_int_equal(blobs.auxblob.len > 0, kinds[i].setup.tee == ATLS_SIM_SNP);
        atls_sim_blobs_clear(&blobs);
    }
}

static void what_a_machine_is_stays(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct atls_buf before = ATLS_BUF_INIT, after = ATLS_BUF_INIT;
        struct fixture *f = &fixtures[i];

        test_assert_code(atls_sim_folder_read(f->folder, kinds[i].marker, &before, &err), ATLS_OK,
                         &err);
        atls_sim_world_free(f->world);
        f->world = NULL;
        test_assert_code(atls_sim_world_open(f->folder, &f->world, &err), ATLS_OK, &err);
        test_assert_code(atls_sim_world_publish(f->world, 1790000000, &err), ATLS_OK, &err);
        test_assert_code(atls_sim_folder_read(f->folder, kinds[i].marker, &after, &err), ATLS_OK,
                         &err);
        test_assert_bytes(atls_buf_bytes(&after), atls_buf_bytes(&before));
        atls_buf_clear(&before);
        atls_buf_clear(&after);
    }
}

static void orders_change_evidence(void **state)
{
    static const struct {
        const char *says;
        size_t kind;
        const char *order, *back;
        size_t at;
        uint8_t mask, before, after;
    } rows[] = {
        {"DEBUG of an SNP policy", 0, "debug=yes", "debug=no", 0x0a, 0x08, 0x00, 0x08},
        {"a guest's SVN", 0, "guest-svn=5", "guest-svn=0", 0x04, 0xff, 0, 5},
        {"MASK_CHIP_KEY of an SNP report", 0, "masked=yes", "masked=no", 0x48, 0x02, 0x00, 0x02},
        {"reported microcode of Milan", 0, "tcb=old", "tcb=current", 0x187, 0xff, 219, 209},
        {"reported SNP of Turin", 1, "tcb=old", "tcb=current", 0x183, 0xff, 24, 20},
        {"DEBUG of a TD, version 4", 2, "debug=yes", "debug=no", 48 + 120, 1, 0, 1},
        {"DEBUG of a TD, version 5", 3, "debug=yes", "debug=no", 54 + 120, 1, 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_sim_world *world = fixtures[rows[i].kind].world;
        struct atls_sim_blobs blobs = ask(world, 0);
        uint8_t before = blobs.outblob.ptr[rows[i].at] & rows[i].mask, after;

        atls_sim_blobs_clear(&blobs);
        order(world, rows[i].order);
        blobs = ask(world, 0);
        after = blobs.outblob.ptr[rows[i].at] & rows[i].mask;
        atls_sim_blobs_clear(&blobs);
        order(world, rows[i].back);
        if (before != rows[i].before || after != rows[i].after)
            fail_msg("%s: %u, then %u", rows[i].says, before, after);
    }
}

static void the_table_may_be_withheld(void **state)
{
    struct atls_sim_blobs blobs;

    (void)state;
    order(fixtures[0].world, "certificates=no");
    blobs = ask(fixtures[0].world, 0);
    assert_int_equal(blobs.auxblob.len, 0);
    atls_sim_blobs_clear(&blobs);
    order(fixtures[0].world, "certificates=yes");
}

static void a_level_below_the_guests_is_refused(void **state)
{
    static const uint8_t challenge[64];
    struct atls_sim_request request = {.inblob = {challenge, sizeof challenge},
                                       .service_provider = ""};
    struct atls_sim_world *world = fixtures[0].world;
    struct atls_sim_blobs blobs = {0};
    struct atls_err err = ATLS_ERR_INIT;
    int number = 0;

    (void)state;
    order(world, "vmpl-floor=2");
    test_assert_code(atls_sim_world_evidence(world, &request, &blobs, &number, &err), ATLS_E_DEVICE,
                     &err);
    blobs = ask(world, 2);
    assert_int_equal(blobs.outblob.ptr[0x30], 2);
    atls_sim_blobs_clear(&blobs);
    request.privlevel = 2;
    request.service_provider = "svsm";
    test_assert_code(atls_sim_world_evidence(world, &request, &blobs, &number, &err), ATLS_E_USAGE,
                     &err);
    order(world, "vmpl-floor=0");
}

static void quotes_are_padded_up_to_a_length(void **state)
{
    struct atls_sim_world *world = fixtures[2].world;
    struct atls_sim_blobs plain = ask(world, 0), padded;
    static const uint8_t zeros[16];

    (void)state;
    order(world, "padding=9000");
    padded = ask(world, 0);
    assert_true(plain.outblob.len < 8900);
    assert_int_equal(padded.outblob.len, 9000);
    assert_memory_equal(padded.outblob.ptr + 9000 - 16, zeros, 16);
    atls_sim_blobs_clear(&padded);
    order(world, "padding=5");
    padded = ask(world, 0);
    assert_in_range(padded.outblob.len, plain.outblob.len - 8, plain.outblob.len + 8);
    atls_sim_blobs_clear(&padded);
    atls_sim_blobs_clear(&plain);
    order(world, "padding=0");
}

/* Each file that a machine cannot do without. */
static void what_is_missing_or_changed_is_told(void **state)
{
    static const struct {
        size_t kind;
        const char *file;
        enum atls_code changed; /* what a content of one byte is */
    } rows[] = {
        {0, "keys/amd.pem", ATLS_E_DECODE},  {0, "machine/chip-id", ATLS_E_DECODE},
        {0, "machine/vek.der", ATLS_OK},     {0, "machine/vek-old.der", ATLS_OK},
        {2, "keys/root.pem", ATLS_E_DECODE}, {2, "keys/attestation.pem", ATLS_E_DECODE},
        {2, "machine/root.der", ATLS_OK},    {2, "machine/pck.der", ATLS_OK},
        {2, "machine/ppid", ATLS_E_DECODE},  {2, "machine/instance", ATLS_E_DECODE},
        {4, "keys/cpak.pem", ATLS_E_DECODE}, {4, "keys/rak.pem", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *folder = fixtures[rows[i].kind].folder;
        struct atls_sim_world *world = NULL;
        struct atls_buf good = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;
        char path[256];

        test_assert_code(atls_sim_folder_read(folder, rows[i].file, &good, &err), ATLS_OK, &err);
        snprintf(path, sizeof path, "%s/%s", folder, rows[i].file);
        assert_int_equal(unlink(path), 0);
        if ((code = atls_sim_world_open(folder, &world, &err)) != ATLS_E_IO)
            fail_msg("%s is missing: %s", rows[i].file, atls_code_name(code));
        test_assert_code(atls_sim_folder_write(folder, rows[i].file, atls_bytes_of("x", 1),
                                               ATLS_SIM_SECRET, &err),
                         ATLS_OK, &err);
        if ((code = atls_sim_world_open(folder, &world, &err)) != rows[i].changed)
            fail_msg("%s was changed: %s", rows[i].file, atls_code_name(code));
        if (code == ATLS_OK)
            atls_sim_world_free(world);
        test_assert_code(atls_sim_folder_write(folder, rows[i].file, atls_buf_bytes(&good),
                                               ATLS_SIM_SECRET, &err),
                         ATLS_OK, &err);
        atls_buf_clear(&good);
    }
}

/* A folder in the place of each file that is published. */
static void what_cannot_be_published_is_told(void **state)
{
    static const struct {
        size_t kind;
        const char *file;
    } rows[] = {
        {0, "roots/ark-milan.pem"},
        {0, "reference/guest.corim"},
        {0, "machine/vcek-chain.pem"},
        {0, "machine/vlek-chain.pem"},
        {0, "collateral/snp-ca-milan.pem"},
        {0, "collateral/snp-crl-milan.crl"},
        {2, "roots/root.pem"},
        {2, "reference/td.corim"},
        {2, "collateral/tdx-qe-identity-td.json"},
        {4, "roots/platform.pem"},
        {4, "roots/platform.corim"},
        {4, "reference/platform.corim"},
        {4, "reference/realm.corim"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = &fixtures[rows[i].kind];
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;
        char path[256];

        snprintf(path, sizeof path, "%s/%s", f->folder, rows[i].file);
        assert_int_equal(unlink(path), 0);
        test_assert_code(atls_sim_folder_make(f->folder, rows[i].file, 0700, &err), ATLS_OK, &err);
        if ((code = atls_sim_world_publish(f->world, 1790000000, &err)) != ATLS_E_IO)
            fail_msg("%s: %s", rows[i].file, atls_code_name(code));
        assert_int_equal(rmdir(path), 0);
        test_assert_code(atls_sim_world_publish(f->world, 1790000000, &err), ATLS_OK, &err);
    }
}

static const char *no_argument(void *context, const char *name)
{
    (void)context;
    (void)name;
    return NULL;
}

static void services_answer(void **state)
{
    static const struct {
        size_t kind;
        const char *path;
    } rows[] = {{0, "/vcek/v1/Milan/crl"},
                {1, "/vlek/v1/Turin/cert_chain"},
                {2, "/tdx/certification/v4/qe/identity"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_sim_question question = {rows[i].path, NULL, no_argument};
        static const struct {
            const char *order;
            unsigned int status;
        } states[] = {{"service=busy", 429}, {"service=down", 503}, {"service=up", 200}};

        for (size_t s = 0; s < 3; s++) {
            struct atls_sim_answer answer = {0};
            struct atls_err err = ATLS_ERR_INIT;

            order(fixtures[rows[i].kind].world, states[s].order);
            test_assert_code(
                atls_sim_world_answer(fixtures[rows[i].kind].world, &question, &answer, &err),
                ATLS_OK, &err);
            assert_int_equal(answer.status, states[s].status);
            atls_sim_answer_clear(&answer);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_carries_the_challenge),
        cmocka_unit_test(what_a_machine_is_stays),
        cmocka_unit_test(orders_change_evidence),
        cmocka_unit_test(the_table_may_be_withheld),
        cmocka_unit_test(a_level_below_the_guests_is_refused),
        cmocka_unit_test(quotes_are_padded_up_to_a_length),
        cmocka_unit_test(what_is_missing_or_changed_is_told),
        cmocka_unit_test(what_cannot_be_published_is_told),
        cmocka_unit_test(services_answer),
    };

    return cmocka_run_group_tests_name("makers", tests, setup, teardown);
}
