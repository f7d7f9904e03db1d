/* Quotes of real platforms, with the collateral of their time: tests/vectors/tdx/README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "testlib.h"

#include "core/reader.h"
#include "evidence/tdx.h"
#include "failing_alloc.h"
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
    struct atls_json_value value;
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
    .dcap = {.statuses = 0xff, .tcb_date_s = 1, .allow_trailing = true},
    .allow_debug = true,
    .allow_ve = true,
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
    assert_string_equal(atls_tdx_status_name(result.platform.tcb.status), want);
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

/* ---- mutations of the README ---- */

static enum atls_reason reason_of(struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;

    if (atls_tdx_verify(&s->check, &result, &err) == ATLS_OK) {
        atls_tdx_result_clear(&result);
        return ATLS_REASON_NONE;
    }
    return err.reason;
}

static struct atls_buf *file_of(struct scene *s, const char *name)
{
    size_t at = 0;

    while (at < KINDS - 1 && strcmp(kinds[at].name, name) != 0)
        at++;
    assert_string_equal(kinds[at].name, name);
    return &s->files[at];
}

/* Replaces one text by another of the same length. */
static void replace(struct atls_buf *file, const char *from, const char *to)
{
    uint8_t *at = file->ptr;

    assert_int_equal(strlen(from), strlen(to));
    while (at + strlen(from) <= file->ptr + file->len && memcmp(at, from, strlen(from)) != 0)
        at++;
    assert_true(at + strlen(from) <= file->ptr + file->len);
    memcpy(at, to, strlen(to));
}

static const struct {
    const char *name, *file, *from, *to;
    enum atls_reason want;
} edits[] = {
    {"status", "tcb_info", "OutOfDate", "OutOfdate", ATLS_REASON_COLLATERAL_SIGNATURE},
    {"svn", "tcb_info", "\"svn\":2", "\"svn\":1", ATLS_REASON_COLLATERAL_SIGNATURE},
    {"members in another order", "tcb_info", "\"id\":\"TDX\",\"version\":3",
     "\"version\":3,\"id\":\"TDX\"", ATLS_REASON_COLLATERAL_SIGNATURE},
    {"isvprodid", "qe_identity", "\"isvprodid\":2", "\"isvprodid\":3",
     ATLS_REASON_COLLATERAL_SIGNATURE},
    {"signature", "qe_identity", "fa15\"}", "fa14\"}", ATLS_REASON_COLLATERAL_SIGNATURE},
    {"digits of the signature in capitals", "qe_identity", "fa15\"}", "FA15\"}", ATLS_REASON_NONE},
    {"name twice", "tcb_info", "\"pceId\"", "\"fmspc\"", ATLS_REASON_MALFORMED},
};

static void documents_are_taken_to_the_letter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(edits); i++) {
        struct scene s;

        open_case("v4-uptodate", &s);
        replace(file_of(&s, edits[i].file), edits[i].from, edits[i].to);
        if (reason_of(&s) != edits[i].want)
            fail_msg("%s: %s", edits[i].name, atls_reason_name(reason_of(&s)));
        close_scene(&s);
    }
}

static void a_space_more_inside(void **state)
{
    struct scene s;
    struct atls_buf *file, wide;

    (void)state;
    open_case("v4-uptodate", &s);
    file = file_of(&s, "tcb_info");
    wide.len = file->len + 1;
    wide.ptr = malloc(wide.len);
    assert_non_null(wide.ptr);
    /* Outside of what is signed a space is nobody's. */
    memmove(wide.ptr + 1, file->ptr, file->len);
    wide.ptr[0] = ' ';
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_TCB_INFO, atls_buf_bytes(&wide));
    assert_int_equal(reason_of(&s), ATLS_REASON_NONE);
    /* Behind the brace that opens it, it is. */
    memcpy(wide.ptr, file->ptr, 12);
    wide.ptr[12] = ' ';
    memcpy(wide.ptr + 13, file->ptr + 12, file->len - 12);
    assert_int_equal(reason_of(&s), ATLS_REASON_COLLATERAL_SIGNATURE);
    atls_buf_clear(&wide);
    close_scene(&s);
}

static void files_of_sgx_and_lists_exchanged(void **state)
{
    struct atls_buf sgx_info = test_vector("tdx/sgx-v3-not-tdx/tcb_info.json");
    struct atls_buf sgx_qe = test_vector("tdx/sgx-v3-not-tdx/qe_identity.json");
    struct atls_buf v2 = test_vector("tdx/collateral-misc/tcb_info_v2_sgx_2025-06.json");
    struct atls_bytes root, pck;
    struct scene s;

    (void)state;
    open_case("v4-uptodate", &s);
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_QE_IDENTITY, atls_buf_bytes(&sgx_qe));
    assert_int_equal(reason_of(&s), ATLS_REASON_QE_IDENTITY_MISMATCH);
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_TCB_INFO, atls_buf_bytes(&sgx_info));
    assert_int_equal(reason_of(&s), ATLS_REASON_TCB_INFO_MISMATCH);
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_TCB_INFO, atls_buf_bytes(&v2));
    assert_int_equal(reason_of(&s), ATLS_REASON_TCB_INFO_MISMATCH);
    close_scene(&s);
    open_case("v4-uptodate", &s);
    root = atls_buf_bytes(file_of(&s, "root_crl"));
    pck = atls_buf_bytes(file_of(&s, "pck_crl"));
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_ROOT_CRL, pck);
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_PCK_CRL, root);
    assert_int_equal(reason_of(&s), ATLS_REASON_CRL_SIGNATURE);
    close_scene(&s);
    atls_buf_clear(&sgx_info);
    atls_buf_clear(&sgx_qe);
    atls_buf_clear(&v2);
}

/* Evaluation data numbers as published, in October 2025: number 17 is still in use. */
static void published_evaluation_numbers(void **state)
{
    struct atls_buf text =
        test_vector("tdx/collateral-misc/tdx_tcb_evaluation_data_numbers_2025-10.json");
    struct scene s;

    (void)state;
    open_case("v4-uptodate", &s);
    test_tee_source_put(&s.store, ATLS_COLLATERAL_TDX_EVALUATION, atls_buf_bytes(&text));
    assert_int_equal(reason_of(&s), ATLS_REASON_COLLATERAL_NOT_YET_VALID);
    s.check.sources.time_s = time_of("2025-07-01T00:00:00Z");
    replace(&text, "2025-10-13T11:17:10Z", "2025-06-13T11:17:10Z");
    assert_int_equal(reason_of(&s), ATLS_REASON_COLLATERAL_SIGNATURE);
    close_scene(&s);
    atls_buf_clear(&text);
}

/* ---- every byte ---- */

/* Offsets in a quote of version 4. */
struct part {
    const char *name;
    size_t from, to;
};

/* Flips one bit of each byte, another from byte to byte; none may be accepted. */
static size_t flip_each(struct scene *s, const struct part *part)
{
    for (size_t at = part->from; at < part->to; at++) {
        s->quote.ptr[at] ^= (uint8_t)(1 << at % 8);
        if (reason_of(s) == ATLS_REASON_NONE)
            fail_msg("%s: byte %zu does not count", part->name, at);
        s->quote.ptr[at] ^= (uint8_t)(1 << at % 8);
    }
    return part->to - part->from;
}

static void every_byte_that_is_signed_or_a_length_counts(void **state)
{
    struct atls_tdx_quote q;
    struct atls_chain_cache *cache;
    struct scene s;
    size_t count = 0;

    (void)state;
    open_case("v4-uptodate", &s);
    assert_int_equal(atls_chain_cache_new(64, &cache, NULL), ATLS_OK);
    s.check.sources.cache = cache; /* the chain is the same each time */
    assert_int_equal(atls_tdx_quote_decode(s.check.quote, &q, NULL), ATLS_OK);
    {
        const size_t certification = (size_t)(q.dcap.certification.ptr - s.quote.ptr);
        const struct part parts[] = {
            {"header and body", 0, q.dcap.signed_part.len},
            {"length, signature, key, type and size", q.dcap.signed_part.len, 770},
            {"QE report, its signature, length of authentication data", 770, 770 + 384 + 64 + 2},
            {"authentication data, type and size of the chain", 770 + 384 + 64 + 2, certification},
        };

        for (size_t i = 0; i < COUNT(parts); i++)
            count += flip_each(&s, &parts[i]);
    }
    print_message("  %zu bytes of a quote flipped, none accepted\n", count);
    assert_int_equal(reason_of(&s), ATLS_REASON_NONE);
    atls_chain_cache_free(cache);
    close_scene(&s);
}

/* Documents and lists: each byte that their signatures cover. Flips in the frame and in the armour
 * of certificates change no meaning or no longer parse. */
static void every_byte_of_collateral_counts(void **state)
{
    static const char *const names[] = {"tcb_info", "qe_identity", "root_crl"};
    struct scene s;
    size_t count = 0;

    (void)state;
    open_case("v4-uptodate", &s);
    for (size_t i = 0; i < COUNT(names); i++) {
        struct atls_buf *file = file_of(&s, names[i]);
        const bool is_json = file->ptr[0] == '{';
        const size_t end = file->len - (is_json ? sizeof "\"}" : 0);

        for (size_t at = 0; at < end; at++, count++) {
            /* Not the bit that tells capitals from small letters: digits mean the same in both. */
            file->ptr[at] ^= (uint8_t)(is_json ? 1 : 1 << at % 8);
            if (reason_of(&s) == ATLS_REASON_NONE)
                fail_msg("%s: byte %zu does not count", names[i], at);
            file->ptr[at] ^= (uint8_t)(is_json ? 1 : 1 << at % 8);
        }
    }
    print_message("  %zu bytes of collateral flipped, none accepted\n", count);
    assert_int_equal(reason_of(&s), ATLS_REASON_NONE);
    close_scene(&s);
}

static const struct {
    size_t at;
    enum atls_reason want;
} flips[] = {
    {636, ATLS_REASON_QUOTE_SIGNATURE},          {48 + 136, ATLS_REASON_QUOTE_SIGNATURE},
    {48 + 520, ATLS_REASON_QUOTE_SIGNATURE},     {631, ATLS_REASON_QUOTE_SIGNATURE},
    {700, ATLS_REASON_QE_REPORT_DATA},           {770 + 64, ATLS_REASON_QE_REPORT_SIGNATURE},
    {48 + 1, ATLS_REASON_TDX_MODULE_MISMATCH},   {48 + 64, ATLS_REASON_TDX_MODULE_MISMATCH},
    {48 + 112, ATLS_REASON_TDX_MODULE_MISMATCH},
};

static void flips_with_their_reasons(void **state)
{
    struct scene s;

    (void)state;
    open_case("v4-uptodate", &s);
    for (size_t i = 0; i < COUNT(flips); i++) {
        s.quote.ptr[flips[i].at] ^= 0x40;
        if (reason_of(&s) != flips[i].want)
            fail_msg("byte %zu: %s", flips[i].at, atls_reason_name(reason_of(&s)));
        s.quote.ptr[flips[i].at] ^= 0x40;
    }
    close_scene(&s);
}

/* ---- memory ---- */

static void memory_that_runs_short_accepts_nobody(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_tdx_result result;
    struct scene s;
    size_t n = 0;

    (void)state;
    open_case("v4-uptodate", &s);
    for (bool failed = true; failed; n += 5) {
        enum atls_code code;

        test_failing_alloc_arm(n);
        code = atls_tdx_verify(&s.check, &result, &err);
        failed = test_failing_alloc_disarm();
        if (code == ATLS_OK)
            atls_tdx_result_clear(&result);
        else if (!failed)
            fail_msg("allocation %zu: %s", n, err.message);
    }
    assert_true(n > 100);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_as_published),
        cmocka_unit_test(a_log_replays_to_the_quote),
        cmocka_unit_test(documents_are_taken_to_the_letter),
        cmocka_unit_test(a_space_more_inside),
        cmocka_unit_test(files_of_sgx_and_lists_exchanged),
        cmocka_unit_test(published_evaluation_numbers),
        cmocka_unit_test(every_byte_that_is_signed_or_a_length_counts),
        cmocka_unit_test(every_byte_of_collateral_counts),
        cmocka_unit_test(flips_with_their_reasons),
        cmocka_unit_test(memory_that_runs_short_accepts_nobody),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
