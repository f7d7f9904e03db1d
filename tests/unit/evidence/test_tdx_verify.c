/* Quotes of real platforms, with the collateral of their time: tests/vectors/tdx/README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "testlib.h"

#include "core/reader.h"
#include "evidence/tdx.h"
#include "tee_source.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Files of one case. */
static const struct {
    const char *name;
    enum atls_collateral_kind kind;
} kinds[] = {
    {"tcb_info", ATLS_COLLATERAL_TDX_TCB_INFO},
    {"qe_identity", ATLS_COLLATERAL_TDX_QE_IDENTITY},
    {"root_crl", ATLS_COLLATERAL_TDX_ROOT_CRL},
    {"pck_crl", ATLS_COLLATERAL_TDX_PCK_CRL},
    {"tcb_chain", ATLS_COLLATERAL_TDX_TCB_CHAIN},
    {"pck_crl_chain", ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN},
};
#define KINDS COUNT(kinds)

struct scene {
    struct test_tee_source store;
    struct atls_endorsement_source source;
    struct atls_buf quote, root, report_data, files[KINDS];
    struct atls_tdx_check check;
};

static struct atls_buf read_file(const json_t *files, const char *name)
{
    const char *path = json_string_value(json_object_get(files, name));
    char full[256];

    assert_non_null(path);
    snprintf(full, sizeof full, "tdx/%s", path);
    return test_vector(full);
}

static int64_t time_of(const char *text)
{
    struct atls_json value;
    char quoted[64];
    int64_t time_s;

    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    assert_int_equal(atls_json_parse(atls_bytes_of(quoted, strlen(quoted)), &value, NULL), ATLS_OK);
    assert_true(atls_json_get_time(&value, &time_s));
    return time_s;
}

static void open_scene(const json_t *row, struct scene *s)
{
    const json_t *files = json_object_get(row, "files");
    const char *report_data = json_string_value(json_object_get(row, "report_data"));

    memset(s, 0, sizeof *s);
    s->quote = read_file(files, "quote");
    s->root = read_file(files, "root");
    for (size_t i = 0; i < KINDS; i++) {
        s->files[i] = read_file(files, kinds[i].name);
        test_tee_source_put(&s->store, kinds[i].kind, atls_buf_bytes(&s->files[i]));
    }
    if (report_data != NULL) {
        s->report_data = test_unhex(report_data);
    } else {
        s->report_data.ptr = calloc(1, ATLS_TDX_REPORT_DATA_LEN);
        s->report_data.len = ATLS_TDX_REPORT_DATA_LEN;
    }
    test_tee_source_trust(&s->store, atls_buf_bytes(&s->root));
    s->source = test_tee_source_over(&s->store);
    s->check.quote = atls_buf_bytes(&s->quote);
    s->check.report_data = atls_buf_bytes(&s->report_data);
    s->check.sources.source = &s->source;
    s->check.sources.time_s = time_of(json_string_value(json_object_get(row, "verify_time")));
}

static void close_scene(struct scene *s)
{
    for (size_t i = 0; i < KINDS; i++)
        atls_buf_clear(&s->files[i]);
    atls_buf_clear(&s->quote);
    atls_buf_clear(&s->root);
    atls_buf_clear(&s->report_data);
    test_tee_source_clear(&s->store);
}

static json_t *load_cases(void)
{
    struct atls_buf text = test_vector("tdx/cases.json");
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);

    atls_buf_clear(&text);
    assert_non_null(root);
    return root;
}

static void open_case(const char *id, struct scene *s)
{
    json_t *root = load_cases(), *row;
    size_t i;
    bool found = false;

    json_array_foreach(json_object_get(root, "cases"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "id")), id) == 0) {
            open_scene(row, s);
            found = true;
        }
    }
    json_decref(root);
    assert_true(found);
}

/* ---- cases.json ---- */

/* A case of an event log is one more file beside a quote that is a case of its own. */
static bool is_of_log(const json_t *row)
{
    return json_object_get(json_object_get(row, "files"), "log") != NULL;
}

static const struct atls_tdx_rules any_status = {
    .statuses = 0xff,
    .tcb_date_s = 1,
    .allow_debug = true,
    .allow_ve = true,
    .allow_trailing = true,
};

/* With rules that let every status pass, the status shows. */
static void check_status(const json_t *row, struct scene *s)
{
    const char *want = json_string_value(json_object_get(row, "tcb_status"));
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *error = json_string_value(json_object_get(row, "error"));
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_rules rules = any_status;
    struct atls_tdx_result result;
    struct atls_tdx_quote quote;

    if (want == NULL || strcmp(want, "none") == 0 ||
        (error != NULL && strcmp(error, "tee-type") == 0))
        return;
    assert_int_equal(atls_tdx_quote_decode(s->check.quote, &quote, NULL), ATLS_OK);
    if (quote.body.is_15) {
        memcpy(rules.service_td[0], quote.body.mr_service_td.ptr, ATLS_TDX_MR_LEN);
        rules.service_td_count = 1;
    }
    s->check.rules = &rules;
    if (atls_tdx_verify(&s->check, &result, &err) != ATLS_OK)
        fail_msg("%s: %s", id, err.message);
    assert_string_equal(atls_tdx_status_name(result.tcb.status), want);
    atls_tdx_result_clear(&result);
}

static void check_log(const json_t *row)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct atls_buf log = read_file(json_object_get(row, "files"), "log");
    struct scene s;

    open_case("v4-gcp-cos113-uptodate", &s);
    s.check.event_log = atls_buf_bytes(&log);
    assert_int_not_equal(atls_tdx_verify(&s.check, &result, &err), ATLS_OK);
    print_message("%-45s %s\n", json_string_value(json_object_get(row, "id")), err.message);
    assert_string_equal(atls_reason_name(err.reason),
                        json_string_value(json_object_get(row, "error")));
    close_scene(&s);
    atls_buf_clear(&log);
}

static void every_case_as_published(void **state)
{
    json_t *root = load_cases(), *row;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(root, "cases"), i, row)
    {
        const char *id = json_string_value(json_object_get(row, "id"));
        const char *verdict = json_string_value(json_object_get(row, "verdict"));
        const char *want = json_string_value(json_object_get(row, "error"));
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tdx_result result;
        struct scene s;
        enum atls_code code;

        if (is_of_log(row)) {
            check_log(row);
            continue;
        }
        open_scene(row, &s);
        code = atls_tdx_verify(&s.check, &result, &err);
        print_message("%-45s %s\n", id, code == ATLS_OK ? "accepted" : err.message);
        if ((code == ATLS_OK) != (strcmp(verdict, "accept") == 0))
            fail_msg("%s: code %d, %s", id, (int)code, err.message);
        if (code == ATLS_OK)
            atls_tdx_result_clear(&result);
        else
            assert_string_equal(atls_reason_name(err.reason), want);
        check_status(row, &s);
        close_scene(&s);
    }
    assert_int_equal(i, 14);
    json_decref(root);
}

/* ---- the event log ---- */

static void a_log_replays_to_the_quote(void **state)
{
    struct atls_buf log = test_vector("tdx/v4-gcp-cos113-uptodate/ccel.bin");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct atls_bytes trimmed;
    struct scene s;

    (void)state;
    open_case("v4-gcp-cos113-uptodate", &s);
    s.check.event_log = atls_buf_bytes(&log);
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_OK, &err);
    assert_true(result.has_event_log && result.events > 10);
    atls_tdx_result_clear(&result);
    test_assert_code(atls_ccel_trim(s.check.event_log, &trimmed, &err), ATLS_OK, &err);
    assert_true(trimmed.len < log.len / 4);
    s.check.event_log = trimmed;
    test_assert_code(atls_tdx_verify(&s.check, &result, &err), ATLS_OK, &err);
    atls_tdx_result_clear(&result);
    close_scene(&s);
    atls_buf_clear(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_as_published),
        cmocka_unit_test(a_log_replays_to_the_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
