#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "core/writer.h"
#include "wire/tsm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* Items in hex. */
#define OUT      "676f7574626c6f62"                   /* "outblob" */
#define AUX      "67617578626c6f62"                   /* "auxblob" */
#define PROVIDER "6870726f7669646572"                 /* "provider" */
#define SERVICE  "6773657276696365"                   /* "service" */
#define MANIFEST "6c6d616e6966657374626c6f62"         /* "manifestblob" */
#define SERVANT  "70736572766963655f70726f7669646572" /* "service_provider" */
#define SEV      "697365765f6775657374"               /* "sev_guest" */
#define SVSM     "647376736d"                         /* "svsm" */

static struct atls_bytes text(const char *s)
{
    return atls_bytes_of(s, strlen(s));
}

static struct atls_buf encode(const struct atls_tsm_report *report)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;

    atls_tsm_report_put(&w, report);
    test_assert_code(atls_writer_finish(&w, &out, NULL), ATLS_OK, NULL);
    return out;
}

/* Smallest, everything, and members that are empty. */
static const struct atls_tsm_report reports[] = {
    {.provider = {(const uint8_t *)"x", 1}, .outblob = {(const uint8_t *)"o", 1}},
    {.provider = {(const uint8_t *)"sev_guest", 9},
     .outblob = {(const uint8_t *)"out", 3},
     .auxblob = {(const uint8_t *)"aux", 3},
     .manifest = {(const uint8_t *)"manifest", 8},
     .service_provider = {(const uint8_t *)"svsm", 4}},
    {.provider = {(const uint8_t *)"tdx_guest", 9},
     .outblob = {(const uint8_t *)"out", 3},
     .auxblob = {(const uint8_t *)"", 0},
     .manifest = {(const uint8_t *)"", 0},
     .service_provider = {(const uint8_t *)"", 0}},
};

static void reports_go_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(reports); i++) {
        struct atls_buf in = encode(&reports[i]);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_report out;

        test_assert_code(atls_tsm_report_decode(atls_buf_bytes(&in), &out, &err), ATLS_OK, &err);
        test_assert_bytes(out.provider, reports[i].provider);
        test_assert_bytes(out.outblob, reports[i].outblob);
        test_assert_bytes(out.auxblob, reports[i].auxblob);
        test_assert_bytes(out.manifest, reports[i].manifest);
        test_assert_bytes(out.service_provider, reports[i].service_provider);
        assert_int_equal(out.auxblob.ptr != NULL, reports[i].auxblob.ptr != NULL);
        assert_int_equal(out.manifest.ptr != NULL, reports[i].manifest.ptr != NULL);
        atls_buf_clear(&in);
    }
}

static void large_blobs_go_through(void **state)
{
    struct atls_buf blob = {calloc(1, 1 << 19), 1 << 19}, in;
    struct atls_tsm_report report = reports[1], out;

    (void)state;
    assert_non_null(blob.ptr);
    report.outblob = report.auxblob = atls_bytes_of(blob.ptr, (1 << 19) - 100);
    in = encode(&report);
    test_assert_code(atls_tsm_report_decode(atls_buf_bytes(&in), &out, NULL), ATLS_OK, NULL);
    test_assert_bytes(out.auxblob, report.auxblob);
    atls_buf_clear(&in);
    atls_buf_clear(&blob);
}

static void members_stand_in_deterministic_order(void **state)
{
    struct atls_buf got = encode(&reports[1]);
    struct atls_buf want = test_unhex("a4" AUX "43617578" OUT "436f7574" SERVICE "a2" MANIFEST
                                      "486d616e6966657374" SERVANT SVSM PROVIDER SEV);

    (void)state;
    test_assert_bytes(atls_buf_bytes(&got), atls_buf_bytes(&want));
    atls_buf_clear(&got);
    atls_buf_clear(&want);
}

static void truncations_and_trailing_bytes_are_refused(void **state)
{
    struct atls_buf in = encode(&reports[1]);
    struct atls_buf longer = {calloc(1, in.len + 1), in.len + 1};
    struct atls_tsm_report out = {.provider = text("untouched")};

    (void)state;
    assert_non_null(longer.ptr);
    memcpy(longer.ptr, in.ptr, in.len);
    for (size_t len = 0; len <= longer.len; len++) {
        if (len != in.len)
            test_assert_code(atls_tsm_report_decode(atls_bytes_of(longer.ptr, len), &out, NULL),
                             ATLS_E_DECODE, NULL);
    }
    test_assert_bytes(out.provider, text("untouched"));
    atls_buf_clear(&in);
    atls_buf_clear(&longer);
}

static void maps_broken_in_one_place(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
    } rows[] = {
        {"in another order", "a2" PROVIDER SEV OUT "4101", ATLS_OK},
        {"not a map", "82" OUT "4101", ATLS_E_DECODE},
        {"no outblob", "a1" PROVIDER SEV, ATLS_E_DECODE},
        {"no provider", "a1" OUT "4101", ATLS_E_DECODE},
        {"empty outblob", "a2" OUT "40" PROVIDER SEV, ATLS_E_DECODE},
        {"outblob as text", "a2" OUT "6101" PROVIDER SEV, ATLS_E_DECODE},
        {"empty provider", "a2" OUT "4101" PROVIDER "60", ATLS_E_DECODE},
        {"provider in bytes", "a2" OUT "4101" PROVIDER "4101", ATLS_E_DECODE},
        {"auxblob as text", "a3" AUX "6101" OUT "4101" PROVIDER SEV, ATLS_E_DECODE},
        {"a member that nobody knows",
         "a3" OUT "4101"
         "6178"
         "4101" PROVIDER SEV,
         ATLS_E_DECODE},
        {"a member with a number for a name",
         "a3"
         "01"
         "4101" OUT "4101" PROVIDER SEV,
         ATLS_E_DECODE},
        {"a member twice", "a3" OUT "4101" OUT "4102" PROVIDER SEV, ATLS_E_DECODE},
        {"service without its provider", "a3" OUT "4101" SERVICE "a1" MANIFEST "40" PROVIDER SEV,
         ATLS_E_DECODE},
        {"service without its manifest", "a3" OUT "4101" SERVICE "a1" SERVANT SVSM PROVIDER SEV,
         ATLS_E_DECODE},
        {"empty service", "a3" OUT "4101" SERVICE "a0" PROVIDER SEV, ATLS_E_DECODE},
        {"service no map", "a3" OUT "4101" SERVICE "40" PROVIDER SEV, ATLS_E_DECODE},
        {"service with a third member",
         "a3" OUT "4101" SERVICE "a3"
         "6178"
         "40" MANIFEST "40" SERVANT SVSM PROVIDER SEV,
         ATLS_E_DECODE},
        {"service with a number for a name",
         "a3" OUT "4101" SERVICE "a3"
         "01"
         "40" MANIFEST "40" SERVANT SVSM PROVIDER SEV,
         ATLS_E_DECODE},
        {"manifest as text", "a3" OUT "4101" SERVICE "a2" MANIFEST "6101" SERVANT SVSM PROVIDER SEV,
         ATLS_E_DECODE},
        {"service provider in bytes",
         "a3" OUT "4101" SERVICE "a2" MANIFEST "40" SERVANT "4101" PROVIDER SEV, ATLS_E_DECODE},
        {"map without length", "bf" OUT "4101" PROVIDER SEV "ff", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tsm_report out;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_tsm_report_decode(atls_buf_bytes(&in), &out, &err), rows[i].want,
                         &err);
        atls_buf_clear(&in);
    }
}

static void providers_tell_technologies_apart(void **state)
{
    static const struct {
        const char *name, *provider, *asked;
        bool is;
    } rows[] = {
        {"the one asked for", "sev_guest", ATLS_TSM_PROVIDER_SNP, true},
        {"as the file has it", "tdx_guest\n", ATLS_TSM_PROVIDER_TDX, true},
        {"another", "tdx_guest", ATLS_TSM_PROVIDER_SNP, false},
        {"a longer one", "sev_guest2", ATLS_TSM_PROVIDER_SNP, false},
        {"two newlines", "sev_guest\n\n", ATLS_TSM_PROVIDER_SNP, false},
        {"a newline alone", "\n", ATLS_TSM_PROVIDER_SNP, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct atls_tsm_report report = {.provider = text(rows[i].provider),
                                               .outblob = text("o")};
        struct atls_buf in = encode(&report);

        print_message("  %s\n", rows[i].name);
        assert_int_equal(atls_tsm_report_is(atls_buf_bytes(&in), rows[i].asked), rows[i].is);
        atls_buf_clear(&in);
    }
    assert_false(atls_tsm_report_is(text("no report"), ATLS_TSM_PROVIDER_SNP));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_go_there_and_back),
        cmocka_unit_test(large_blobs_go_through),
        cmocka_unit_test(members_stand_in_deterministic_order),
        cmocka_unit_test(truncations_and_trailing_bytes_are_refused),
        cmocka_unit_test(maps_broken_in_one_place),
        cmocka_unit_test(providers_tell_technologies_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
