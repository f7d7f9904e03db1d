#include "testlib.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/writer.h"
#include "evidence/collateral.h"

static struct atls_bytes text(const char *s)
{
    return atls_bytes_of(s, strlen(s));
}

static void rows_are_found_by_kind_and_by_name(void **state)
{
    size_t count = 0;

    (void)state;
    for (const struct atls_collateral_row *row = atls_collateral_rows; row->name != NULL; row++) {
        count++;
        assert_ptr_equal(atls_collateral_row_of(row->kind), row);
        assert_ptr_equal(atls_collateral_row_by_name(text(row->name)), row);
        assert_true(atls_content_type_valid(text(row->media_type)));
        assert_true(atls_collateral_subject_valid(row->name));
    }
    assert_int_equal(count, ATLS_COLLATERAL_LAST);
    assert_null(atls_collateral_row_of(ATLS_COLLATERAL_NONE));
    assert_null(atls_collateral_row_of((enum atls_collateral_kind)(ATLS_COLLATERAL_LAST + 1)));
    assert_null(atls_collateral_row_by_name(text("snp-cr")));
    assert_null(atls_collateral_row_by_name(text("snp-crls")));
    assert_null(atls_collateral_row_by_name(text("")));
}

static void subjects_are_plain(void **state)
{
    char longest[ATLS_COLLATERAL_SUBJECT_MAX + 2];
    static const struct {
        const char *subject;
        bool valid;
    } rows[] = {
        {"milan", true},
        {"50806f000000", true},
        {"a-1", true},
        {"", false},
        {"Milan", false},
        {"mi.lan", false},
        {"../x", false},
        {"a b", false},
        {"m\xc3\xa4"
         "x",
         false},
        {"a_b", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("  \"%s\"\n", rows[i].subject);
        assert_int_equal(atls_collateral_subject_valid(rows[i].subject), rows[i].valid);
    }
    memset(longest, 'a', sizeof longest);
    longest[ATLS_COLLATERAL_SUBJECT_MAX] = '\0';
    assert_true(atls_collateral_subject_valid(longest));
    longest[ATLS_COLLATERAL_SUBJECT_MAX] = 'a';
    longest[ATLS_COLLATERAL_SUBJECT_MAX + 1] = '\0';
    assert_false(atls_collateral_subject_valid(longest));
}

static void keys_of_machines_have_names(void **state)
{
    uint8_t chip[64];
    static const uint8_t tcb[8] = {3, 0, 0, 0, 0, 0, 0x14, 0xd1};
    const struct atls_bytes level = {tcb, 8}, none = {NULL, 0};
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1] = "untouched",
                                               want[ATLS_COLLATERAL_SUBJECT_MAX + 1];

    (void)state;
    memset(chip, 0xab, sizeof chip);
    assert_false(atls_collateral_vek_subject("Milan", none, level, subject));
    assert_false(atls_collateral_vek_subject("", none, level, subject));
    assert_false(
        atls_collateral_vek_subject("a-line-whose-name-is-far-too-long", none, level, subject));
    assert_false(atls_collateral_vek_subject("milan", none, atls_bytes_of(tcb, 7), subject));
    assert_false(atls_collateral_vek_subject("milan", atls_bytes_of(chip, 63), level, subject));
    assert_string_equal(subject, "untouched");

    assert_true(atls_collateral_vek_subject("milan", none, level, subject));
    assert_string_equal(subject, "milan-vlek-03000000000014d1");
    assert_true(atls_collateral_vek_subject("turin", atls_bytes_of(chip, 64), level, subject));
    strcpy(want, "turin-");
    for (int i = 0; i < 64; i++)
        strcat(want, "ab");
    strcat(want, "-03000000000014d1");
    assert_string_equal(subject, want);
    assert_true(atls_collateral_subject_valid(subject));
}

static void documents_are_found_in_a_bundle(void **state)
{
    struct atls_cmw_entry entries[4];
    struct atls_cmw endorsements = {.kind = ATLS_CMW_COLLECTION,
                                    .entries = entries,
                                    .count = sizeof entries / sizeof entries[0]};
    static const char *const labels[] = {"snp-crl", "snp-ca", "tdx-tcb-info", "tdx-root-crl"};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        entries[i].label = (struct atls_cmw_label){.is_text = true, .text = text(labels[i])};
    entries[0].value = atls_cmw_record("application/pkix-crl", text("list"), ATLS_CMW_ENDORSEMENTS);
    entries[1].value = atls_cmw_record("application/json", text("other type"), 0);
    entries[2].value = atls_cmw_record("application/json", text("{}"), 0);
    entries[3].value = endorsements; /* a collection is no document */

    test_assert_bytes(atls_collateral_in(&endorsements, ATLS_COLLATERAL_SNP_CRL), text("list"));
    test_assert_bytes(atls_collateral_in(&endorsements, ATLS_COLLATERAL_TDX_TCB_INFO), text("{}"));
    assert_int_equal(atls_collateral_in(&endorsements, ATLS_COLLATERAL_SNP_CA).len, 0);
    assert_int_equal(atls_collateral_in(&endorsements, ATLS_COLLATERAL_TDX_ROOT_CRL).len, 0);
    assert_int_equal(atls_collateral_in(&endorsements, ATLS_COLLATERAL_SNP_VEK).len, 0);
    assert_int_equal(atls_collateral_in(&endorsements, ATLS_COLLATERAL_NONE).len, 0);
    assert_int_equal(atls_collateral_in(NULL, ATLS_COLLATERAL_SNP_CRL).len, 0);
}

static void files_have_names(void **state)
{
    static const struct {
        const char *file, *subject; /* subject NULL: none of ours */
        enum atls_collateral_kind kind;
    } rows[] = {
        {"snp-vek-milan-vlek-0000000000000001.der", "milan-vlek-0000000000000001",
         ATLS_COLLATERAL_SNP_VEK},
        {"snp-crl-genoa.crl", "genoa", ATLS_COLLATERAL_SNP_CRL},
        {"tdx-pck-crl-platform.crl", "platform", ATLS_COLLATERAL_TDX_PCK_CRL},
        {"tdx-pck-crl-chain-platform.pem", "platform", ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN},
        {"tdx-tcb-info-50806f000000.json", "50806f000000", ATLS_COLLATERAL_TDX_TCB_INFO},
        {"snp-crl-genoa.der", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl-genoa", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl-.crl", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl.crl", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl_genoa.crl", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl-Genoa.crl", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl-genoa.crl~", NULL, ATLS_COLLATERAL_NONE},
        {"snp-crl-genoa,crl", NULL, ATLS_COLLATERAL_NONE},
        {"", NULL, ATLS_COLLATERAL_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1] = "untouched";
        char file[ATLS_COLLATERAL_FILE_MAX];
        const struct atls_collateral_row *row = atls_collateral_row_of_file(rows[i].file, subject);

        print_message("  \"%s\"\n", rows[i].file);
        assert_ptr_equal(row, atls_collateral_row_of(rows[i].kind));
        assert_string_equal(subject, row == NULL ? "untouched" : rows[i].subject);
        if (row != NULL) {
            atls_collateral_file_name(&(const struct atls_collateral_query){rows[i].kind, subject},
                                      file);
            assert_string_equal(file, rows[i].file);
        }
    }
}

static void names_of_files_are_bounded(void **state)
{
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1] = "untouched";
    char longest[ATLS_COLLATERAL_SUBJECT_MAX + 1], file[ATLS_COLLATERAL_FILE_MAX + 1];

    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (const struct atls_collateral_row *row = atls_collateral_rows; row->name != NULL; row++) {
        const struct atls_collateral_query query = {row->kind, longest};

        atls_collateral_file_name(&query, file);
        assert_ptr_equal(atls_collateral_row_of_file(file, subject), row);
        assert_string_equal(subject, longest);
    }
    snprintf(file, sizeof file, "snp-ca-a%s.pem", longest);
    assert_null(atls_collateral_row_of_file(file, subject));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found_by_kind_and_by_name),
        cmocka_unit_test(subjects_are_plain),
        cmocka_unit_test(keys_of_machines_have_names),
        cmocka_unit_test(documents_are_found_in_a_bundle),
        cmocka_unit_test(files_have_names),
        cmocka_unit_test(names_of_files_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
