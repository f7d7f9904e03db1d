#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "wire/tdx_collateral.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ARENA    ((size_t)1024 * 1024)

static void tcb_info_of_a_platform(void **state)
{
    struct atls_buf text = test_vector("tdx/collateral-00806f050000-2025-07/tcb_info.json");
    struct atls_arena arena = atls_arena_init(ARENA);
    struct atls_tdx_signed s;
    struct atls_tdx_tcb_info info;
    struct atls_err err = ATLS_ERR_INIT;
    bool is_tdx;

    (void)state;
    test_assert_code(atls_tdx_signed_open(atls_buf_bytes(&text), ATLS_TDX_TCB_INFO, &s, &err),
                     ATLS_OK, &err);
    assert_ptr_equal(s.content.raw.ptr, text.ptr + sizeof "{\"tcbInfo\":" - 1);
    test_assert_code(atls_tdx_tcb_info_read(&s.content, &arena, &is_tdx, &info, &err), ATLS_OK,
                     &err);
    assert_true(is_tdx);
    assert_int_equal(info.evaluation_number, 17);
    assert_memory_equal(info.fmspc, "\x00\x80\x6f\x05\x00\x00", 6);
    assert_memory_equal(info.pce_id, "\0\0", 2);
    assert_true(info.window.issue_s > 1751700000 &&
                info.window.next_update_s > info.window.issue_s);
    assert_int_equal(info.module_count, 2);
    assert_true(atls_bytes_equal_text(info.modules[1].id, "TDX_01"));
    assert_int_equal(info.modules[1].level_count, 2);
    assert_int_equal(info.modules[1].levels[0].isv_svn, 4);
    assert_int_equal(info.modules[1].levels[1].isv_svn, 2);
    assert_true(info.modules[1].attributes_mask == UINT64_MAX);
    assert_int_equal(info.level_count, 4);
    assert_int_equal(info.levels[1].level.advisory_count, 3);
    assert_true(atls_bytes_equal_text(info.levels[1].level.advisories[0], "INTEL-SA-00960"));
    assert_true(atls_bytes_equal_text(info.levels[1].level.status, "OutOfDate"));
    assert_true(info.levels[1].level.date_s == 1691539200);
    assert_true(info.levels[0].tdx[2] > 0 && info.levels[0].pce_svn == 11);
    atls_arena_clear(&arena);
    atls_buf_clear(&text);
}

static void files_of_other_kinds(void **state)
{
    static const struct {
        const char *file, *member;
        bool qe;
    } rows[] = {
        {"tdx/collateral-misc/tcb_info_v2_sgx_2025-06.json", ATLS_TDX_TCB_INFO, false},
        {"tdx/sgx-v3-not-tdx/tcb_info.json", ATLS_TDX_TCB_INFO, false},
        {"tdx/sgx-v3-not-tdx/qe_identity.json", ATLS_TDX_QE_IDENTITY, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf text = test_vector(rows[i].file);
        struct atls_arena arena = atls_arena_init(ARENA);
        struct atls_tdx_signed s;
        struct atls_tdx_tcb_info info;
        struct atls_tdx_qe_identity qe;
        bool is_tdx = true;

        assert_int_equal(atls_tdx_signed_open(atls_buf_bytes(&text), rows[i].member, &s, NULL),
                         ATLS_OK);
        if (rows[i].qe)
            assert_int_equal(atls_tdx_qe_identity_read(&s.content, &arena, &is_tdx, &qe, NULL),
                             ATLS_OK);
        else
            assert_int_equal(atls_tdx_tcb_info_read(&s.content, &arena, &is_tdx, &info, NULL),
                             ATLS_OK);
        assert_false(is_tdx);
        atls_arena_clear(&arena);
        atls_buf_clear(&text);
    }
}

static void capitals_in_fmspc(void **state)
{
    struct atls_buf text = test_vector("tdx/collateral-misc/tcb_info_uppercase_fmspc_2025-10.json");
    struct atls_arena arena = atls_arena_init(ARENA);
    struct atls_tdx_signed s;
    struct atls_tdx_tcb_info info;
    bool is_tdx;

    (void)state;
    assert_int_equal(atls_tdx_signed_open(atls_buf_bytes(&text), ATLS_TDX_TCB_INFO, &s, NULL),
                     ATLS_OK);
    assert_int_equal(atls_tdx_tcb_info_read(&s.content, &arena, &is_tdx, &info, NULL), ATLS_OK);
    assert_true(is_tdx && info.fmspc[2] == 0x6f);
    atls_arena_clear(&arena);
    atls_buf_clear(&text);
}

static void evaluation_numbers(void **state)
{
    struct atls_buf text =
        test_vector("tdx/collateral-misc/tdx_tcb_evaluation_data_numbers_2025-10.json");
    struct atls_tdx_signed s;
    struct atls_tdx_evaluation evaluation;
    bool is_tdx;

    (void)state;
    assert_int_equal(atls_tdx_signed_open(atls_buf_bytes(&text), ATLS_TDX_EVALUATION, &s, NULL),
                     ATLS_OK);
    assert_int_equal(atls_tdx_evaluation_read(&s.content, &is_tdx, &evaluation, NULL), ATLS_OK);
    assert_true(is_tdx);
    assert_int_equal(evaluation.least, 13);
    assert_int_equal(evaluation.greatest, 20);
    atls_buf_clear(&text);
}

/* ---- documents with one fault ---- */

#define H4     "00000000"
#define H8     "0000000000000000"
#define H16    H8 H8
#define H32    H16 H16
#define H48    H32 H16
#define SIG    "\"signature\":\"" H32 H32 "\""
#define TIMES  "\"issueDate\":\"2025-01-01T00:00:00Z\",\"nextUpdate\":\"2025-02-01T00:00:00Z\""
#define MODULE "\"mrsigner\":\"" H48 "\",\"attributes\":\"" H8 "\",\"attributesMask\":\"" H8 "\""
#define S4     "{\"svn\":1},{\"svn\":2},{\"svn\":3},{\"svn\":255}"
#define S16    "[" S4 "," S4 "," S4 "," S4 "]"
#define WHEN   "\"tcbDate\":\"2025-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\""
#define LEVEL                                                                                      \
    "{\"tcb\":{\"sgxtcbcomponents\":" S16 ",\"pcesvn\":65535,\"tdxtcbcomponents\":" S16 "}," WHEN  \
    "}"
#define INFO                                                                                       \
    "\"id\":\"TDX\",\"version\":3," TIMES ",\"fmspc\":\"000000000000\",\"pceId\":\"0000\","        \
    "\"tcbEvaluationDataNumber\":7,\"tdxModule\":{" MODULE "}"
#define SVN "{\"tcb\":{\"isvsvn\":4}," WHEN "}"
#define QE                                                                                         \
    "\"id\":\"TD_QE\",\"version\":2," TIMES ",\"tcbEvaluationDataNumber\":7,\"miscselect\":\"" H4  \
    "\",\"miscselectMask\":\"" H4 "\",\"attributes\":\"" H16 "\",\"attributesMask\":\"" H16        \
    "\",\"mrsigner\":\"" H32 "\",\"isvprodid\":2"

struct row {
    const char *name, *text;
    enum atls_code want;
};

static const struct row info_rows[] = {
    {"smallest", "{" INFO ",\"tcbLevels\":[]}", ATLS_OK},
    {"a level", "{" INFO ",\"tcbLevels\":[" LEVEL "]}", ATLS_OK},
    {"a module",
     "{" INFO ",\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE ",\"tcbLevels\":[" SVN
     "]}],\"tcbLevels\":[]}",
     ATLS_OK},
    {"no levels", "{" INFO "}", ATLS_E_DECODE},
    {"levels that are no array", "{" INFO ",\"tcbLevels\":{}}", ATLS_E_DECODE},
    {"a level that is no object", "{" INFO ",\"tcbLevels\":[1]}", ATLS_E_DECODE},
    {"a module that is no object", "{" INFO ",\"tdxModuleIdentities\":[null],\"tcbLevels\":[]}",
     ATLS_E_DECODE},
    {"a module without levels",
     "{" INFO ",\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE "}],\"tcbLevels\":[]}",
     ATLS_E_DECODE},
    {"a module with an empty id",
     "{" INFO ",\"tdxModuleIdentities\":[{\"id\":\"\"," MODULE
     ",\"tcbLevels\":[]}],\"tcbLevels\":[]}",
     ATLS_E_DECODE},
    {"a module level above 32 bits",
     "{" INFO ",\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE
     ",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":4294967296}," WHEN "}]}],\"tcbLevels\":[]}",
     ATLS_E_DECODE},
    {"fifteen components",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":[" S4 "," S4 "," S4
     ",{\"svn\":1},{\"svn\":1},{\"svn\":1}],\"pcesvn\":1,"
     "\"tdxtcbcomponents\":" S16 "}," WHEN "}]}",
     ATLS_E_DECODE},
    {"seventeen components",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":[" S4 "," S4 "," S4 "," S4
     ",{\"svn\":1}],\"pcesvn\":1,\"tdxtcbcomponents\":" S16 "}," WHEN "}]}",
     ATLS_E_DECODE},
    {"a component of 256",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":[" S4 "," S4 "," S4
     ",{\"svn\":1},{\"svn\":1},{\"svn\":1},{\"svn\":256}],"
     "\"pcesvn\":1,\"tdxtcbcomponents\":" S16 "}," WHEN "}]}",
     ATLS_E_DECODE},
    {"pcesvn of 65536",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" S16
     ",\"pcesvn\":65536,\"tdxtcbcomponents\":" S16 "}," WHEN "}]}",
     ATLS_E_DECODE},
    {"no TDX components",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" S16 ",\"pcesvn\":1}," WHEN "}]}",
     ATLS_E_DECODE},
    {"no status",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" S16
     ",\"pcesvn\":1,\"tdxtcbcomponents\":" S16 "},\"tcbDate\":\"2025-01-01T00:00:00Z\"}]}",
     ATLS_E_DECODE},
    {"advisories",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" S16
     ",\"pcesvn\":1,\"tdxtcbcomponents\":" S16 "}," WHEN ",\"advisoryIDs\":[\"INTEL-SA-1\"]}]}",
     ATLS_OK},
    {"advisory with a space",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" S16
     ",\"pcesvn\":1,\"tdxtcbcomponents\":" S16 "}," WHEN ",\"advisoryIDs\":[\"INTEL SA\"]}]}",
     ATLS_E_DECODE},
    {"advisories that are text",
     "{" INFO ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" S16
     ",\"pcesvn\":1,\"tdxtcbcomponents\":" S16 "}," WHEN ",\"advisoryIDs\":\"INTEL-SA-1\"}]}",
     ATLS_E_DECODE},
    {"short fmspc", "{\"id\":\"TDX\",\"version\":3," TIMES ",\"fmspc\":\"0000000000\"}",
     ATLS_E_DECODE},
    {"no pceId", "{\"id\":\"TDX\",\"version\":3," TIMES ",\"fmspc\":\"000000000000\"}",
     ATLS_E_DECODE},
    {"number as text",
     "{\"id\":\"TDX\",\"version\":3," TIMES
     ",\"fmspc\":\"000000000000\",\"pceId\":\"0000\",\"tcbEvaluationDataNumber\":\"7\"}",
     ATLS_E_DECODE},
    {"no tdxModule",
     "{\"id\":\"TDX\",\"version\":3," TIMES
     ",\"fmspc\":\"000000000000\",\"pceId\":\"0000\",\"tcbEvaluationDataNumber\":7}",
     ATLS_E_DECODE},
    {"no times", "{\"id\":\"TDX\",\"version\":3}", ATLS_E_DECODE},
};

static const struct row qe_rows[] = {
    {"smallest", "{" QE ",\"tcbLevels\":[]}", ATLS_OK},
    {"a level", "{" QE ",\"tcbLevels\":[" SVN "]}", ATLS_OK},
    {"no levels", "{" QE "}", ATLS_E_DECODE},
    {"no times", "{\"id\":\"TD_QE\",\"version\":2}", ATLS_E_DECODE},
    {"no number", "{\"id\":\"TD_QE\",\"version\":2," TIMES "}", ATLS_E_DECODE},
    {"no facts", "{\"id\":\"TD_QE\",\"version\":2," TIMES ",\"tcbEvaluationDataNumber\":7}",
     ATLS_E_DECODE},
    {"a level without isvsvn", "{" QE ",\"tcbLevels\":[{\"tcb\":{}," WHEN "}]}", ATLS_E_DECODE},
};

static const struct row evaluation_rows[] = {
    {"smallest",
     "{\"id\":\"TDX\",\"version\":1," TIMES
     ",\"tcbEvalNumbers\":[{\"tcbEvaluationDataNumber\":3}]}",
     ATLS_OK},
    {"none", "{\"id\":\"TDX\",\"version\":1," TIMES ",\"tcbEvalNumbers\":[]}", ATLS_E_DECODE},
    {"no list", "{\"id\":\"TDX\",\"version\":1," TIMES "}", ATLS_E_DECODE},
    {"no times", "{\"id\":\"TDX\",\"version\":1}", ATLS_E_DECODE},
    {"an entry without number", "{\"id\":\"TDX\",\"version\":1," TIMES ",\"tcbEvalNumbers\":[{}]}",
     ATLS_E_DECODE},
};

static enum atls_code read_row(const struct row *row, int kind, size_t limit)
{
    struct atls_arena arena = atls_arena_init(limit);
    struct atls_tdx_evaluation evaluation;
    struct atls_tdx_qe_identity qe;
    struct atls_tdx_tcb_info info;
    struct atls_json_value content;
    enum atls_code code;
    bool is_tdx;

    assert_int_equal(atls_json_parse(atls_bytes_of(row->text, strlen(row->text)), &content, NULL),
                     ATLS_OK);
    if (kind == 0)
        code = atls_tdx_tcb_info_read(&content, &arena, &is_tdx, &info, NULL);
    else if (kind == 1)
        code = atls_tdx_qe_identity_read(&content, &arena, &is_tdx, &qe, NULL);
    else
        code = atls_tdx_evaluation_read(&content, &is_tdx, &evaluation, NULL);
    assert_true(is_tdx);
    atls_arena_clear(&arena);
    return code;
}

static void documents_with_one_fault(void **state)
{
    static const struct {
        const struct row *rows;
        size_t count;
    } kinds[] = {{info_rows, COUNT(info_rows)},
                 {qe_rows, COUNT(qe_rows)},
                 {evaluation_rows, COUNT(evaluation_rows)}};

    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < kinds[kind].count; i++)
            if (read_row(&kinds[kind].rows[i], kind, ARENA) != kinds[kind].rows[i].want)
                fail_msg("kind %d: %s", kind, kinds[kind].rows[i].name);
}

static void memory_that_runs_short_is_not_malformed(void **state)
{
    (void)state;
    assert_int_equal(read_row(&info_rows[1], 0, 8), ATLS_E_NOMEM);
    assert_int_equal(read_row(&info_rows[2], 0, 8), ATLS_E_NOMEM);
    assert_int_equal(read_row(&qe_rows[1], 1, 8), ATLS_E_NOMEM);
}

static void one_level_more_than_there_may_be(void **state)
{
    char *text = malloc(64 * 1024);
    struct row row = {"levels", text, ATLS_OK};

    (void)state;
    assert_non_null(text);
    for (size_t more = 0; more < 2; more++) {
        strcpy(text, "{" QE ",\"tcbLevels\":[");
        for (size_t i = 0; i < ATLS_TDX_LEVELS_MAX + more; i++)
            strcat(text, i == 0 ? SVN : "," SVN);
        strcat(text, "]}");
        assert_int_equal(read_row(&row, 1, ARENA), more ? ATLS_E_DECODE : ATLS_OK);
    }
    free(text);
}

static const struct row frames[] = {
    {"frame", "{\"tcbInfo\":{}," SIG "}", ATLS_OK},
    {"frame the other way round", "{" SIG ",\"tcbInfo\":{}}", ATLS_OK},
    {"no content", "{" SIG "}", ATLS_E_DECODE},
    {"content that is text", "{\"tcbInfo\":\"{}\"," SIG "}", ATLS_E_DECODE},
    {"content twice", "{\"tcbInfo\":{},\"tcbInfo\":{}," SIG "}", ATLS_E_DECODE},
    {"content twice, spelled in two ways", "{\"tcbInfo\":{},\"tcb\\u0049nfo\":{}," SIG "}",
     ATLS_E_DECODE},
    {"no signature", "{\"tcbInfo\":{}}", ATLS_E_DECODE},
    {"short signature", "{\"tcbInfo\":{},\"signature\":\"00\"}", ATLS_E_DECODE},
    {"something beside them", "{\"tcbInfo\":{}," SIG ",\"x\":1}", ATLS_E_DECODE},
    {"another document", "{\"enclaveIdentity\":{}," SIG "}", ATLS_E_DECODE},
    {"text behind it", "{\"tcbInfo\":{}," SIG "}x", ATLS_E_DECODE},
    {"an array", "[]", ATLS_E_DECODE},
};

static void frames_of_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(frames); i++) {
        struct atls_tdx_signed s;

        if (atls_tdx_signed_open(atls_bytes_of(frames[i].text, strlen(frames[i].text)),
                                 ATLS_TDX_TCB_INFO, &s, NULL) != frames[i].want)
            fail_msg("%s", frames[i].name);
    }
}

static void truncated_documents(void **state)
{
    struct atls_buf text = test_vector("tdx/v4-uptodate/tcb_info.json");
    struct atls_tdx_signed s;

    (void)state;
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(
            atls_tdx_signed_open(atls_bytes_of(text.ptr, len), ATLS_TDX_TCB_INFO, &s, NULL),
            text.ptr[len] == '\n' ? ATLS_OK : ATLS_E_DECODE);
    atls_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcb_info_of_a_platform),
        cmocka_unit_test(files_of_other_kinds),
        cmocka_unit_test(capitals_in_fmspc),
        cmocka_unit_test(evaluation_numbers),
        cmocka_unit_test(documents_with_one_fault),
        cmocka_unit_test(memory_that_runs_short_is_not_malformed),
        cmocka_unit_test(one_level_more_than_there_may_be),
        cmocka_unit_test(frames_of_documents),
        cmocka_unit_test(truncated_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
