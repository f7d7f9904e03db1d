/* The TCB status algorithm at its corners, over levels built by hand. */
#include <string.h>

#include "testlib.h"

#include "evidence/tdx_status.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define UP     "UpToDate"
#define HARD   "SWHardeningNeeded"
#define CONF   "ConfigurationNeeded"
#define CHARD  "ConfigurationAndSWHardeningNeeded"
#define OUT    "OutOfDate"
#define CONFO  "OutOfDateConfigurationNeeded"
#define RE     "TDRelaunchAdvised"
#define RECONF "TDRelaunchAdvisedConfigurationNeeded"
#define GONE   "Revoked"

/* A platform of two levels: high (5), low (3); a module of versions 1 and 2 with two levels each
 * (5, 3); an enclave with two (5, 3). SVNs are what the platform has. */
struct row {
    const char *name;
    const char *high, *low;               /* of the platform */
    const char *module_high, *module_low; /* of both versions */
    const char *qe_high, *qe_low;
    uint8_t sgx, tdx, module, version, qe;
    bool is_15;
    uint8_t module2, version2, tdx2;
    const char *want; /* a status, or a reason */
};

static const struct row rows[] = {
    /* levels */
    {"all is current", UP, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0, 0, 0, UP},
    {"more than current", UP, OUT, UP, OUT, UP, OUT, 9, 9, 9, 1, 9, false, 0, 0, 0, UP},
    {"SGX part low", UP, OUT, UP, OUT, UP, OUT, 4, 5, 5, 1, 5, false, 0, 0, 0, OUT},
    {"TDX part low", UP, OUT, UP, OUT, UP, OUT, 5, 4, 5, 1, 5, false, 0, 0, 0, OUT},
    {"SGX part below all", UP, OUT, UP, OUT, UP, OUT, 2, 5, 5, 1, 5, false, 0, 0, 0,
     "tcb-not-supported"},
    {"TDX part below all", UP, OUT, UP, OUT, UP, OUT, 5, 2, 5, 1, 5, false, 0, 0, 0,
     "tcb-not-supported"},
    {"module below all", UP, OUT, UP, OUT, UP, OUT, 5, 5, 2, 1, 5, false, 0, 0, 0,
     "tcb-not-supported"},
    {"enclave below all", UP, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 2, false, 0, 0, 0,
     "tcb-not-supported"},
    {"version 0: module SVN counts as a component", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 0, 5, false,
     0, 0, 0, OUT},
    {"version 0: module has no level", UP, OUT, GONE, GONE, UP, OUT, 5, 5, 5, 0, 5, false, 0, 0, 0,
     UP},
    {"version 3: no such module", UP, OUT, UP, OUT, UP, OUT, 5, 5, 5, 3, 5, false, 0, 0, 0,
     "tdx-module-mismatch"},
    /* merging with the module */
    {"module old, platform current", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0, OUT},
    {"module old, hardening", HARD, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0, OUT},
    {"module old, configuration", CONF, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0,
     CONFO},
    {"module old, both", CHARD, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0, CONFO},
    {"module old, platform old", OUT, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0, OUT},
    {"module old, platform old and to configure", CONFO, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5,
     false, 0, 0, 0, CONFO},
    {"module old, platform revoked", GONE, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0,
     GONE},
    {"module current, platform old: that one stands", OUT, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 5,
     false, 0, 0, 0, OUT},
    {"module current, hardening", HARD, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0, 0, 0, HARD},
    {"module current, both", CHARD, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0, 0, 0, CHARD},
    {"module revoked", UP, OUT, GONE, OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0, 0, 0, GONE},
    {"module revoked below", UP, OUT, UP, GONE, UP, OUT, 5, 5, 4, 1, 5, false, 0, 0, 0, GONE},
    /* merging with the enclave */
    {"enclave old", UP, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 4, false, 0, 0, 0, OUT},
    {"enclave old, hardening", HARD, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 4, false, 0, 0, 0, OUT},
    {"enclave old, configuration", CONF, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 4, false, 0, 0, 0,
     CONFO},
    {"enclave old, both", CHARD, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 4, false, 0, 0, 0, CONFO},
    {"enclave revoked", UP, OUT, UP, OUT, GONE, OUT, 5, 5, 5, 1, 5, false, 0, 0, 0, GONE},
    {"enclave revoked, platform old", OUT, OUT, UP, OUT, GONE, OUT, 5, 5, 5, 1, 5, false, 0, 0, 0,
     GONE},
    /* relaunch */
    {"relaunch", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 1, 5, RE},
    {"relaunch, newer version of the module", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 2,
     5, RE},
    {"relaunch, version 0 now", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 0, 5, RE},
    {"relaunch, hardening", HARD, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 1, 5, RE},
    {"relaunch, configuration", CONF, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 1, 5, RECONF},
    {"relaunch, both", CHARD, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 1, 5, RECONF},
    {"relaunch, TDX part old as well", UP, OUT, UP, OUT, UP, OUT, 5, 4, 4, 1, 5, true, 5, 1, 5, RE},
    {"relaunch, TDX part old and to configure", UP, CONFO, UP, OUT, UP, OUT, 5, 4, 4, 1, 5, true, 5,
     1, 5, RECONF},
    {"no relaunch: body of TD 1.0", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, false, 5, 1, 5, OUT},
    {"no relaunch: module is still old", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 4, 1, 5,
     OUT},
    {"no relaunch: version 0 and SVN low", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 4, 0, 5,
     OUT},
    {"no relaunch: microcode is still old", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 1, 4,
     OUT},
    {"no relaunch: version 0 and microcode low", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5,
     0, 4, OUT},
    {"no relaunch: enclave old", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 4, true, 5, 1, 5, OUT},
    {"no relaunch: SGX part old", UP, OUT, UP, OUT, UP, OUT, 4, 5, 4, 1, 5, true, 5, 1, 5, OUT},
    {"no relaunch: module current, TDX part old", UP, OUT, UP, OUT, UP, OUT, 5, 4, 5, 1, 5, true, 5,
     1, 5, OUT},
    {"no relaunch: module revoked", UP, OUT, UP, GONE, UP, OUT, 5, 5, 4, 1, 5, true, 5, 1, 5, GONE},
    {"no relaunch: nothing is old", UP, OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 5, true, 9, 1, 9, UP},
    {"relaunch, module now of no identity", UP, OUT, UP, OUT, UP, OUT, 5, 5, 4, 1, 5, true, 5, 7, 5,
     "tdx-module-mismatch"},
    /* statuses */
    {"unknown status of the level", "Splendid", OUT, UP, OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0, 0,
     0, "tcb-not-supported"},
    {"unknown status of another level", UP, "Splendid", UP, OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0,
     0, 0, UP},
    {"unknown status of the module", UP, OUT, "uptodate", OUT, UP, OUT, 5, 5, 5, 1, 5, false, 0, 0,
     0, "tcb-not-supported"},
    {"unknown status of the enclave", UP, OUT, UP, OUT, "UpToDate2", OUT, 5, 5, 5, 1, 5, false, 0,
     0, 0, "tcb-not-supported"},
    {"unknown status of the SGX level", "Splendid", OUT, UP, OUT, UP, OUT, 5, 4, 5, 1, 5, false, 0,
     0, 0, "tcb-not-supported"},
};

static struct atls_tdx_level level_of(const char *status, int64_t date_s)
{
    struct atls_tdx_level level = {.status = {(const uint8_t *)status, strlen(status)},
                                   .date_s = date_s};

    return level;
}

struct platform {
    struct atls_tdx_platform_level levels[2];
    struct atls_tdx_svn_level module_levels[2], qe_levels[2];
    struct atls_tdx_module modules[2];
    struct atls_tdx_tcb_info info;
    struct atls_tdx_qe_identity qe;
    struct atls_tdx_body body;
    uint8_t sgx[16], svn[16], svn2[16];
    struct atls_tdx_tcb tcb;
};

static void fill(uint8_t svn[16], uint8_t module, uint8_t version, uint8_t rest)
{
    memset(svn, rest, 16);
    svn[0] = module;
    svn[1] = version;
}

static void build(const struct row *row, struct platform *p)
{
    memset(p, 0, sizeof *p);
    memset(p->levels[0].sgx, 5, 16);
    memset(p->levels[1].sgx, 3, 16);
    fill(p->levels[0].tdx, 5, 0, 5);
    fill(p->levels[1].tdx, 3, 0, 3);
    p->levels[0].pce_svn = p->levels[1].pce_svn = 7;
    p->levels[0].level = level_of(row->high, 500);
    p->levels[1].level = level_of(row->low, 300);
    p->module_levels[0].isv_svn = p->qe_levels[0].isv_svn = 5;
    p->module_levels[1].isv_svn = p->qe_levels[1].isv_svn = 3;
    p->module_levels[0].level = level_of(row->module_high, 501);
    p->module_levels[1].level = level_of(row->module_low, 301);
    p->qe_levels[0].level = level_of(row->qe_high, 502);
    p->qe_levels[1].level = level_of(row->qe_low, 302);
    for (size_t i = 0; i < 2; i++) {
        p->modules[i].id = atls_bytes_of(i == 0 ? "TDX_01" : "TDX_02", 6);
        p->modules[i].levels = p->module_levels;
        p->modules[i].level_count = 2;
    }
    p->info.modules = p->modules;
    p->info.module_count = 2;
    p->info.levels = p->levels;
    p->info.level_count = 2;
    p->qe.levels = p->qe_levels;
    p->qe.level_count = 2;
    memset(p->sgx, row->sgx, 16);
    fill(p->svn, row->module, row->version, row->tdx);
    fill(p->svn2, row->module2, row->version2, row->tdx2);
    p->body.is_15 = row->is_15;
    p->body.tcb_svn = atls_bytes_of(p->svn, 16);
    p->body.tcb_svn2 = atls_bytes_of(p->svn2, row->is_15 ? 16 : 0);
    p->tcb = (struct atls_tdx_tcb){p->sgx, 7, &p->body, row->qe};
}

static void corners(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tdx_tcb_status status;
        struct platform p;
        const char *got;
        enum atls_code code;

        build(&rows[i], &p);
        code = atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, &err);
        got = code == ATLS_OK ? atls_tdx_status_name(status.status) : atls_reason_name(err.reason);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: got %s, want %s", rows[i].name, got, rows[i].want);
    }
    print_message("  %zu rows\n", COUNT(rows));
}

/* One component of sixteen, and PCESVN, decide. */
static void each_component_counts(void **state)
{
    struct atls_tdx_tcb_status status;
    struct platform p;

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        build(&rows[0], &p);
        p.sgx[i] = 4;
        assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
        assert_int_equal(status.status, ATLS_TDX_OUT_OF_DATE);
        build(&rows[0], &p);
        p.modules[0].id = atls_bytes_of("TDX_05", 6);
        if (i == 1) /* a module of version 5 */
            p.svn[1] = 5;
        else
            p.svn[1] = 2;
        if (i >= 2)
            p.svn[i] = 4;
        assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
        assert_int_equal(status.status, i >= 2 ? ATLS_TDX_OUT_OF_DATE : ATLS_TDX_UP_TO_DATE);
    }
    build(&rows[0], &p);
    p.levels[0].pce_svn = 8;
    assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
    assert_int_equal(status.status, ATLS_TDX_OUT_OF_DATE);
}

static void levels_and_dates_are_those_used(void **state)
{
    struct atls_tdx_tcb_status status;
    struct platform p;

    (void)state;
    build(&rows[0], &p);
    assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
    assert_int_equal(status.level_count, 3);
    assert_true(status.date_s == 500);
    p.svn[0] = 4; /* the module's lower level */
    assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
    assert_true(status.date_s == 301 && status.levels[1] == &p.module_levels[1].level);
    p.svn[0] = 5;
    p.tcb.qe_isv_svn = 3;
    assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
    assert_true(status.date_s == 302 && status.levels[2] == &p.qe_levels[1].level);
    p.svn[1] = 0;
    assert_int_equal(atls_tdx_tcb_status(&p.info, &p.qe, &p.tcb, &status, NULL), ATLS_OK);
    assert_int_equal(status.level_count, 2);
}

static const struct {
    const char *name;
    unsigned int status;
    int64_t date_s, floor_s;
    unsigned int accepted;
    const char *want; /* "none": accepted */
} policies[] = {
    {"default", ATLS_TDX_UP_TO_DATE, 1, 0, 0, "none"},
    {"default, hardening", ATLS_TDX_SW_HARDENING_NEEDED, 1, 0, 0, "tcb-configuration"},
    {"default, configuration", ATLS_TDX_CONFIGURATION_NEEDED, 1, 0, 0, "tcb-configuration"},
    {"default, both", ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED, 1, 0, 0, "tcb-configuration"},
    {"default, old", ATLS_TDX_OUT_OF_DATE, 1, 0, 0, "tcb-out-of-date"},
    {"default, old and to configure", ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED, 1, 0, 0,
     "tcb-out-of-date"},
    {"default, relaunch", ATLS_TDX_RELAUNCH_ADVISED, 1, 0, 0, "tcb-out-of-date"},
    {"default, relaunch and configuration", ATLS_TDX_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, 1, 0, 0,
     "tcb-out-of-date"},
    {"default, revoked", ATLS_TDX_REVOKED, 1, 0, 0, "tcb-revoked"},
    {"revoked, though listed", ATLS_TDX_REVOKED, 1, 1, 0xffff, "tcb-revoked"},
    {"listed", ATLS_TDX_SW_HARDENING_NEEDED, 1, 0, 0xff, "none"},
    {"relaunch listed, no floor needed", ATLS_TDX_RELAUNCH_ADVISED, 1, 0, 0xff, "none"},
    {"old, listed, no floor", ATLS_TDX_OUT_OF_DATE, 1, 0, 0xff, "tcb-out-of-date"},
    {"old, listed, at the floor", ATLS_TDX_OUT_OF_DATE, 100, 100, 0xff, "none"},
    {"old, listed, below the floor", ATLS_TDX_OUT_OF_DATE, 99, 100, 0xff, "tcb-out-of-date"},
    {"old and to configure, listed, below the floor", ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED, 99,
     100, 0xff, "tcb-out-of-date"},
    {"the floor is for old ones", ATLS_TDX_UP_TO_DATE, 99, 100, 0xff, "none"},
    {"current, but not listed", ATLS_TDX_UP_TO_DATE, 1, 0, ATLS_TDX_OUT_OF_DATE,
     "tcb-configuration"},
};

static void what_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(policies); i++) {
        const struct atls_tdx_tcb_status status = {.status = policies[i].status,
                                                   .date_s = policies[i].date_s};
        const struct atls_dcap_rules rules = {.statuses = policies[i].accepted,
                                              .tcb_date_s = policies[i].floor_s};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_tdx_check_status(&status, &rules, &err);

        if ((code == ATLS_OK) != (strcmp(policies[i].want, "none") == 0) ||
            strcmp(atls_reason_name(err.reason), policies[i].want) != 0)
            fail_msg("%s: %s", policies[i].name, atls_reason_name(err.reason));
    }
}

static void names_of_statuses(void **state)
{
    (void)state;
    for (unsigned int status = 1; status <= ATLS_TDX_REVOKED; status <<= 1) {
        const char *name = atls_tdx_status_name(status);

        assert_true(strlen(name) > 0);
        assert_int_equal(atls_tdx_status_of(atls_bytes_of(name, strlen(name))), status);
    }
    assert_string_equal(atls_tdx_status_name(0), "");
    assert_int_equal(atls_tdx_status_of(atls_bytes_of("UpToDat", 7)), 0);
}

static void modules_by_version(void **state)
{
    static const struct {
        const char *id;
        uint8_t version;
        bool found;
    } ids[] = {
        {"TDX_01", 1, true},   {"tdx_01", 1, true},   {"TDX_0A", 10, true}, {"TDX_0a", 10, true},
        {"TDX_FF", 255, true}, {"TDX_10", 10, false}, {"TDX_1", 1, false},  {"TDX_001", 1, false},
        {"SGX_01", 1, false},  {"TDX_0G", 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct atls_tdx_module module = {.id = {(const uint8_t *)ids[i].id, strlen(ids[i].id)}};
        const struct atls_tdx_tcb_info info = {.modules = &module, .module_count = 1};

        if ((atls_tdx_module_of(&info, ids[i].version) == &module) != ids[i].found)
            fail_msg("%s", ids[i].id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners),
        cmocka_unit_test(each_component_counts),
        cmocka_unit_test(levels_and_dates_are_those_used),
        cmocka_unit_test(what_is_accepted),
        cmocka_unit_test(names_of_statuses),
        cmocka_unit_test(modules_by_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
