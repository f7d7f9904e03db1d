#include "testlib.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attester/tsm/report.h"
#include "fake_tsm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define URI      TEST_TSM_DIRECTORY

static const uint8_t challenge[64] = {1, 2, 3, [31] = 4, [40] = 5, [63] = 6};

/* Makes one report through configfs with the options of uri. */
static enum atls_code make(struct test_tsm *t, const char *uri, struct atls_tsm_blobs *out,
                           struct atls_err *err)
{
    struct atls_tsm_config config;
    struct atls_log log = {0};
    struct atls_tsm_call call = {
        .kernel = &t->kernel, .config = &config, .log = &log, .challenge = challenge};
    enum atls_code code;

    test_assert_code(atls_tsm_config_parse(uri, &config, err), ATLS_OK, err);
    call.provider =
        atls_tsm_provider_by_name(atls_bytes_of(t->provider, strcspn(t->provider, "\n")));
    code = atls_tsm_report_make(&call, atls_tsm_configfs, out, err);
    atls_tsm_config_clear(&config);
    return code;
}

static void reports_of_every_provider(void **state)
{
    static const char *const providers[] = {"sev_guest\n", "tdx_guest\n", "arm_cca_guest\n",
                                            "tdx_guest"};

    (void)state;
    for (size_t i = 0; i < COUNT(providers); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct atls_buf want;
        struct test_tsm t;

        test_tsm_init(&t, providers[i]);
        t.aux = atls_bytes_of(i == 0 ? "table" : NULL, i == 0 ? 5 : 0);
        t.chunk = i == 0 ? 7 : 0; /* short reads */
        test_assert_code(make(&t, URI, &blobs, &err), ATLS_OK, &err);
        want = test_tsm_evidence(&t, challenge);
        test_assert_bytes(atls_buf_bytes(&blobs.outblob), atls_buf_bytes(&want));
        test_assert_bytes(atls_buf_bytes(&blobs.auxblob), t.aux);
        assert_int_equal(blobs.manifest.len, 0);
        assert_int_equal(t.reports, 1);
        assert_int_equal(t.pauses, 0);
        atls_buf_clear(&want);
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

static void version_5_quotes_have_a_descriptor(void **state)
{
    static const struct {
        uint8_t version, type;
        bool carries;
    } rows[] = {{5, 2, true}, {5, 3, true}, {5, 1, false}, {3, 2, false}, {6, 2, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t quote[48 + 6 + 648] = {rows[i].version, 0, [48] = rows[i].type};
        const struct atls_bytes want = {challenge, sizeof challenge};

        print_message("  version %d, type %d\n", rows[i].version, rows[i].type);
        memcpy(quote + 48 + 6 + 520, challenge, sizeof challenge);
        assert_int_equal(atls_tsm_carries(&atls_tsm_tdx, atls_bytes_of(quote, sizeof quote), want),
                         rows[i].carries);
        quote[48 + 6 + 520 + 63] ^= 1;
        assert_false(atls_tsm_carries(&atls_tsm_tdx, atls_bytes_of(quote, sizeof quote), want));
    }
}

static void evidence_cut_short_carries_nothing(void **state)
{
    static const char *const providers[] = {"sev_guest", "tdx_guest", "arm_cca_guest"};

    (void)state;
    for (size_t i = 0; i < COUNT(providers); i++) {
        const struct atls_tsm_provider *provider =
            atls_tsm_provider_by_name(atls_bytes_of(providers[i], strlen(providers[i])));
        const struct atls_bytes want = {challenge, sizeof challenge};
        const size_t needed = i == 0 ? 1184 : 48 + 520 + 64;
        struct atls_buf evidence;
        struct test_tsm t;

        test_tsm_init(&t, providers[i]);
        evidence = test_tsm_evidence(&t, challenge);
        assert_true(atls_tsm_carries(provider, atls_buf_bytes(&evidence), want));
        for (size_t len = 0; len < (i == 2 ? evidence.len : needed); len++)
            assert_false(atls_tsm_carries(provider, atls_bytes_of(evidence.ptr, len), want));
        atls_buf_clear(&evidence);
        test_tsm_finish(&t);
    }
}

static void options_reach_the_kernel(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tsm_blobs blobs = {0};
    struct test_tsm t;

    (void)state;
    test_tsm_init(&t, "sev_guest\n");
    t.floor = "1\n";
    t.services = true;
    test_assert_code(make(&t,
                          URI "?privlevel=2&service=svsm&service-guid=c476f1eb-0123-45a5-9641-"
                              "b4e7dde5bfe3&service-manifest-version=0",
                          &blobs, &err),
                     ATLS_OK, &err);
    assert_string_equal(t.privlevel, "2");
    assert_string_equal(t.service, "svsm");
    assert_string_equal(t.service_guid, "c476f1eb-0123-45a5-9641-b4e7dde5bfe3");
    assert_string_equal(t.service_version, "0");
    test_assert_bytes(atls_buf_bytes(&blobs.manifest), atls_bytes_of("manifest", 8));
    atls_tsm_blobs_clear(&blobs);
    test_tsm_finish(&t);
}

static void the_floor_is_the_level_unless_one_is_given(void **state)
{
    static const struct {
        const char *name, *floor, *uri, *level;
        enum atls_code want;
    } rows[] = {
        {"no floor, no level", NULL, URI, "", ATLS_OK},
        {"floor 0, no level", "0\n", URI, "", ATLS_OK},
        {"floor 2, no level", "2\n", URI, "2", ATLS_OK},
        {"level at the floor", "2\n", URI "?privlevel=2", "2", ATLS_OK},
        {"level 0 at floor 0", "0\n", URI "?privlevel=0", "0", ATLS_OK},
        {"level below the floor", "2\n", URI "?privlevel=1", "", ATLS_E_CONFIG},
        {"a kernel without levels", NULL, URI "?privlevel=1", "", ATLS_E_CONFIG},
        {"a floor that is no number", "two\n", URI, "", ATLS_E_DEVICE},
        {"a floor that is empty", "", URI, "", ATLS_E_DEVICE},
        {"a kernel without services", "0\n", URI "?service=svsm", "", ATLS_E_CONFIG},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        test_tsm_init(&t, "sev_guest\n");
        t.floor = rows[i].floor;
        test_assert_code(make(&t, rows[i].uri, &blobs, &err), rows[i].want, &err);
        assert_string_equal(t.privlevel, rows[i].level);
        assert_int_equal(t.entries_made, 1);
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

struct fault_row {
    const char *name;
    struct test_tsm_fault fault;
    enum atls_code want;
    const char *message;  /* NULL: not looked at */
    unsigned int reports; /* that were made in the end */
};

static const struct fault_row fault_rows[] = {
    {"interrupted once", {"read", "/outblob", EINTR, 0, 1}, ATLS_OK, NULL, 1},
    {"read again", {"read", "/outblob", EAGAIN, 0, 2}, ATLS_OK, NULL, 1},
    {"provider busy", {"read", "/outblob", EBUSY, 0, 3}, ATLS_OK, NULL, 1},
    {"too many writes unread", {"write", "/inblob", EBUSY, 0, 1}, ATLS_OK, NULL, 1},
    {"what a close tells", {"close", "/inblob", EBUSY, 0, 1}, ATLS_OK, NULL, 1},
    {"quote service slow once", {"read", "/outblob", ETIMEDOUT, 0, 1}, ATLS_OK, NULL, 1},
    {"a name that is taken", {"make_directory", "", EEXIST, 0, 2}, ATLS_OK, NULL, 1},
    {"names that are all taken", {"make_directory", "", EEXIST, 0, 3}, ATLS_E_DEVICE, "make", 0},
    {"busy to the end", {"read", "/outblob", EBUSY, 0, 100000}, ATLS_E_TIMEOUT, "busy", 0},
    {"slow to the end", {"read", "/outblob", ETIMEDOUT, 0, 100000}, ATLS_E_TIMEOUT, "slow", 0},
    {"interrupted to the end",
     {"read", "/generation", EINTR, 0, 100000},
     ATLS_E_TIMEOUT,
     "interrupted",
     0},
    {"provider gone", {"read", "/outblob", ENOTTY, 0, 100}, ATLS_E_DEVICE, "driver is gone", 0},
    {"device gone", {"read", "/outblob", ENODEV, 0, 100}, ATLS_E_DEVICE, "driver is gone", 0},
    {"refused value", {"read", "/outblob", EINVAL, 0, 100}, ATLS_E_DEVICE, "refuses", 0},
    {"firmware channel broken", {"read", "/outblob", EIO, 0, 100}, ATLS_E_DEVICE, "start anew", 0},
    {"no provider any more",
     {"make_directory", "", ENXIO, 0, 100},
     ATLS_E_DEVICE,
     "no provider",
     0},
    {"not root", {"make_directory", "", EACCES, 0, 100}, ATLS_E_DEVICE, "not allowed", 0},
    {"not permitted", {"open", "/inblob", EPERM, 0, 100}, ATLS_E_DEVICE, "not allowed", 0},
    {"no attribute", {"open", "/outblob", ENOENT, 0, 100}, ATLS_E_DEVICE, "has none", 0},
    {"errno without a row", {"open", "/provider", EROFS, 0, 100}, ATLS_E_DEVICE, "Read-only", 1},
    {"kernel out of memory", {"read", "/outblob", ENOMEM, 0, 100}, ATLS_E_NOMEM, "memory", 0},
    {"evidence that outgrew the kernel",
     {"read", "/outblob", EFBIG, 0, 100},
     ATLS_E_LIMIT,
     "larger than",
     0},
    {"message too large", {"read", "/auxblob", EMSGSIZE, 0, 100}, ATLS_E_LIMIT, "auxblob", 1},
    {"auxblob fails", {"read", "/auxblob", EIO, 0, 100}, ATLS_E_DEVICE, "auxblob", 1},
    {"generation cannot be opened",
     {"open", "/generation", EIO, 0, 100},
     ATLS_E_DEVICE,
     "generation",
     0},
    {"second look at the generation fails",
     {"read", "/generation", EIO, 2, 100},
     ATLS_E_DEVICE,
     "generation",
     1},
    {"entry that stays a while", {"remove_directory", "", EBUSY, 0, 2}, ATLS_OK, NULL, 1},
};

static void faults_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fault_rows); i++) {
        const struct fault_row *row = &fault_rows[i];
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct test_tsm t;

        print_message("  %s\n", row->name);
        test_tsm_init(&t, "sev_guest\n");
        t.aux = atls_bytes_of("aux", 3);
        t.faults[0] = row->fault;
        test_assert_code(make(&t, URI "?deadline=10", &blobs, &err), row->want, &err);
        assert_int_equal(t.reports, row->reports);
        if (row->message != NULL)
            assert_non_null(strstr(err.message, row->message));
        if (row->want == ATLS_E_DEVICE)
            assert_int_equal(err.sys_errno, row->fault.sys_errno);
        if (row->want == ATLS_E_TIMEOUT)
            assert_true(t.now_ms <= 10000 && t.now_ms > 7000 && t.pauses > 5);
        assert_int_equal(blobs.outblob.len != 0, row->want == ATLS_OK);
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

static void no_system_call_is_left_untried(void **state)
{
    static const char *const calls[] = {"open", "read", "write", "close", "make_directory"};

    (void)state;
    for (size_t c = 0; c < COUNT(calls); c++) {
        for (unsigned int skip = 0;; skip++) {
            struct atls_err err = ATLS_ERR_INIT;
            struct atls_tsm_blobs blobs = {0};
            struct test_tsm t;
            enum atls_code code;

            test_tsm_init(&t, "tdx_guest\n");
            t.faults[0] = (struct test_tsm_fault){calls[c], "", EIO, skip, 1};
            code = make(&t, URI, &blobs, &err);
            if (t.faults[0].times == 1) { /* there are no more of them */
                test_assert_code(code, ATLS_OK, &err);
                atls_tsm_blobs_clear(&blobs);
                test_tsm_finish(&t);
                assert_true(skip > 0);
                break;
            }
            if (strcmp(calls[c], "close") != 0) /* of a file that was read, it says nothing */
                test_assert_code(code, ATLS_E_DEVICE, &err);
            atls_tsm_blobs_clear(&blobs);
            test_tsm_finish(&t);
        }
    }
}

static void an_entry_that_stays_is_said(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tsm_blobs blobs = {0};
    struct test_tsm t;

    (void)state;
    test_tsm_init(&t, "sev_guest\n");
    t.faults[0] = (struct test_tsm_fault){"remove_directory", "", EACCES, 0, 1};
    test_assert_code(make(&t, URI, &blobs, &err), ATLS_OK, &err);
    assert_true(t.entries[0].used);
    t.entries[0].used = false;
    atls_tsm_blobs_clear(&blobs);
    test_tsm_finish(&t);
}

static void writes_of_strangers_are_noticed(void **state)
{
    static const struct {
        const char *name;
        unsigned int strangers, mixed_up, reports;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"one stranger", 1, 0, 2, ATLS_OK, NULL},
        {"two strangers", 2, 0, 3, ATLS_OK, NULL},
        {"a stranger each time", 3, 0, 3, ATLS_E_DEVICE, "somebody else"},
        {"another's report once", 0, 1, 2, ATLS_OK, NULL},
        {"another's report each time", 0, 3, 3, ATLS_E_DEVICE, "no evidence over the 64 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        test_tsm_init(&t, "sev_guest\n");
        t.strangers = rows[i].strangers;
        t.mixed_up = rows[i].mixed_up;
        test_assert_code(make(&t, URI, &blobs, &err), rows[i].want, &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(t.reports, rows[i].reports);
        assert_int_equal(t.entries_made, rows[i].reports);
        assert_int_equal(t.pauses, 0);
        atls_tsm_blobs_clear(&blobs);
        test_tsm_finish(&t);
    }
}

/* A stranger's write can make the kernel refuse ours: another entry helps, waiting does not. */
static void a_refusal_for_a_stranger_is_not_ours(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tsm_blobs blobs = {0};
    struct test_tsm t;

    (void)state;
    test_tsm_init(&t, "sev_guest\n");
    t.aux = atls_bytes_of("aux", 3);
    t.strangers = 1;
    t.faults[0] = (struct test_tsm_fault){"read", "/auxblob", EINVAL, 0, 1};
    test_assert_code(make(&t, URI, &blobs, &err), ATLS_OK, &err);
    assert_int_equal(t.entries_made, 2);
    assert_int_equal(t.pauses, 0);
    atls_tsm_blobs_clear(&blobs);
    test_tsm_finish(&t);
}

static void what_the_kernel_says_is_checked(void **state)
{
    static const struct {
        const char *name, *provider, *generation;
        size_t padding;
        bool short_write;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"provider unknown", "x_guest\n", NULL, 0, false, ATLS_E_UNSUPPORTED, "\"x_guest\""},
        {"provider empty", "", NULL, 0, false, ATLS_E_UNSUPPORTED, "\"\""},
        {"provider with two newlines", "sev_guest\n\n", NULL, 0, false, ATLS_E_UNSUPPORTED,
         "\\x0a"},
        {"provider of another machine", "tdx_guest\n", NULL, 0, false, ATLS_E_DEVICE, "it was"},
        {"generation no number", "sev_guest\n", "1x\n", 0, false, ATLS_E_DEVICE, "no number"},
        {"generation above 64 bits", "sev_guest\n", "18446744073709551616\n", 0, false,
         ATLS_E_DEVICE, "no number"},
        {"generation of 200 digits", "sev_guest\n",
         "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "000000000000000000000000",
         0, false, ATLS_E_LIMIT, "larger than"},
        {"largest outblob", "sev_guest\n", NULL, ATLS_TSM_BLOB_MAX - 1184, false, ATLS_OK, NULL},
        {"outblob too large", "sev_guest\n", NULL, ATLS_TSM_BLOB_MAX - 1183, false, ATLS_E_LIMIT,
         "outblob is larger than"},
        {"outblob huge", "sev_guest\n", NULL, 1 << 24, false, ATLS_E_LIMIT, "outblob"},
        {"63 bytes taken", "sev_guest\n", NULL, 0, true, ATLS_E_DEVICE, "63 bytes of 64"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_blobs blobs = {0};
        struct atls_tsm_config config;
        struct atls_tsm_call call = {
            .config = &config, .challenge = challenge, .provider = &atls_tsm_snp};
        struct test_tsm t;

        print_message("  %s\n", rows[i].name);
        test_tsm_init(&t, rows[i].provider);
        t.padding = rows[i].padding;
        t.generation = rows[i].generation;
        t.short_write = rows[i].short_write;
        call.kernel = &t.kernel;
        test_assert_code(atls_tsm_config_parse(URI, &config, &err), ATLS_OK, &err);
        test_assert_code(atls_tsm_report_make(&call, atls_tsm_configfs, &blobs, &err), rows[i].want,
                         &err);
        if (rows[i].message != NULL)
            assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(blobs.outblob.len != 0, rows[i].want == ATLS_OK);
        atls_tsm_blobs_clear(&blobs);
        atls_tsm_config_clear(&config);
        test_tsm_finish(&t);
    }
}

/* Errors need no room to be told: callers may pass NULL. */
static void failures_without_an_error_object(void **state)
{
    struct atls_tsm_blobs blobs = {0};
    struct atls_tsm_config config;
    struct atls_tsm_call call = {
        .config = &config, .challenge = challenge, .provider = &atls_tsm_snp};
    struct test_tsm t;

    (void)state;
    test_tsm_init(&t, "sev_guest\n");
    call.kernel = &t.kernel;
    t.faults[0] = (struct test_tsm_fault){"open", "/inblob", EIO, 0, 1};
    test_assert_code(atls_tsm_config_parse(URI, &config, NULL), ATLS_OK, NULL);
    test_assert_code(atls_tsm_report_make(&call, atls_tsm_configfs, &blobs, NULL), ATLS_E_DEVICE,
                     NULL);
    test_assert_code(atls_tsm_fail(&call, EIO, "x", "y", NULL), ATLS_E_DEVICE, NULL);
    atls_tsm_config_clear(&config);
    test_tsm_finish(&t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_of_every_provider),
        cmocka_unit_test(version_5_quotes_have_a_descriptor),
        cmocka_unit_test(evidence_cut_short_carries_nothing),
        cmocka_unit_test(options_reach_the_kernel),
        cmocka_unit_test(the_floor_is_the_level_unless_one_is_given),
        cmocka_unit_test(faults_are_told_apart),
        cmocka_unit_test(no_system_call_is_left_untried),
        cmocka_unit_test(an_entry_that_stays_is_said),
        cmocka_unit_test(writes_of_strangers_are_noticed),
        cmocka_unit_test(a_refusal_for_a_stranger_is_not_ours),
        cmocka_unit_test(what_the_kernel_says_is_checked),
        cmocka_unit_test(failures_without_an_error_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
