/* Rules of an operator: each has a place, one form and one default; what is no value is refused and
 * changes nothing. */
#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/rules.h"

#define DOCUMENT ATLS_TEST_VECTORS "/../../docs/tee-rules.md"

static const struct atls_rules strict;
static const char td[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e"
    "2F";

static struct atls_rules set_rule(const char *name, const char *value)
{
    struct atls_rules rules = strict;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_rules_set(&rules, name, value, &err), ATLS_OK, &err);
    return rules;
}

/* A flag of each word that is not the default. */
static const struct {
    const char *name, *normal, *other;
    size_t offset;
} words[] = {
    {"snp.debug", "refuse", "allow", offsetof(struct atls_rules, snp.allow_debug)},
    {"snp.migration", "refuse", "allow", offsetof(struct atls_rules, snp.allow_migration)},
    {"snp.masked-chip-id", "refuse", "allow",
     offsetof(struct atls_rules, snp.allow_masked_chip_id)},
    {"snp.crl", "required", "optional", offsetof(struct atls_rules, snp.crl_optional)},
    {"snp.provisional-firmware", "allow", "refuse",
     offsetof(struct atls_rules, snp.refuse_provisional)},
    {"snp.smt", "allow", "refuse", offsetof(struct atls_rules, snp.refuse_smt)},
    {"snp.unknown-policy-bits", "refuse", "allow",
     offsetof(struct atls_rules, snp.unknown_policy_bits)},
    {"tdx.crl", "required", "optional", offsetof(struct atls_rules, tdx.dcap.crl_optional)},
    {"tdx.debug", "refuse", "allow", offsetof(struct atls_rules, tdx.allow_debug)},
    {"tdx.sept-ve-disable", "required", "optional", offsetof(struct atls_rules, tdx.allow_ve)},
    {"tdx.trailing-data", "refuse", "allow", offsetof(struct atls_rules, tdx.dcap.allow_trailing)},
    {"sgx.crl", "required", "optional", offsetof(struct atls_rules, sgx.dcap.crl_optional)},
    {"sgx.identity", "enclave", "signer", offsetof(struct atls_rules, sgx.by_signer)},
    {"sgx.debug", "refuse", "allow", offsetof(struct atls_rules, sgx.allow_debug)},
    {"sgx.trailing-data", "refuse", "allow", offsetof(struct atls_rules, sgx.dcap.allow_trailing)},
    {"cca.lifecycle", "secured", "debug", offsetof(struct atls_rules, arm.cca_allow_debug)},
    {"cca.realm-key", "p384", "p256", offsetof(struct atls_rules, arm.cca_allow_p256)},
    {"psa.lifecycle", "secured", "debug", offsetof(struct atls_rules, arm.psa_allow_debug)},
    {"psa.legacy", "refuse", "allow", offsetof(struct atls_rules, arm.psa_allow_legacy)},
    {"psa.no-measurements", "refuse", "allow",
     offsetof(struct atls_rules, arm.psa_allow_unmeasured)},
    {"psa.instance", "any", "key", offsetof(struct atls_rules, arm.psa_instance_from_key)},
    {"psa.callers", "all", "secure", offsetof(struct atls_rules, arm.psa_secure_callers)},
};

static void words_set_their_flag_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct atls_rules want = strict, rules = set_rule(words[i].name, words[i].other);
        struct atls_err err = ATLS_ERR_INIT;

        *(bool *)((unsigned char *)&want + words[i].offset) = true;
        assert_memory_equal(&rules, &want, sizeof want);
        test_assert_code(atls_rules_set(&rules, words[i].name, words[i].normal, &err), ATLS_OK,
                         &err);
        assert_memory_equal(&rules, &strict, sizeof strict);
    }
}

static void numbers_and_bits(void **state)
{
    (void)state;
    assert_true(set_rule("snp.vmpl", "0").snp.vmpl.set);
    assert_int_equal(set_rule("snp.vmpl", "3").snp.vmpl.value, 3);
    assert_int_equal(set_rule("snp.guest-svn", "4294967295").snp.guest_svn.value, UINT32_MAX);
    assert_int_equal(set_rule("snp.abi", "1.55").snp.abi.value, 0x137);
    assert_int_equal(set_rule("snp.policy-set", "0x1f").snp.policy_set, 0x1f);
    assert_int_equal(set_rule("snp.policy-clear", "31").snp.policy_clear, 31);
    assert_int_equal(set_rule("snp.platform-set", "0xFFFFFFFFFFFFFFFF").snp.platform_set,
                     UINT64_MAX);
    assert_int_equal(set_rule("snp.platform-clear", "18446744073709551615").snp.platform_clear,
                     UINT64_MAX);
    assert_int_equal(set_rule("snp.mitigations", "0x8").snp.mitigations, 8);
    assert_int_equal(set_rule("tdx.evaluation-number", "17").tdx.dcap.evaluation.value, 17);
    assert_int_equal(set_rule("sgx.evaluation-number", "17").sgx.dcap.evaluation.value, 17);
    assert_int_equal(set_rule("sgx.isv-svn", "65535").sgx.isv_svn.value, 65535);
    assert_int_equal(set_rule("sgx.attributes-set", "0x80").sgx.attributes_set, 0x80);
    assert_int_equal(set_rule("sgx.attributes-clear", "2").sgx.attributes_clear, 2);
    assert_int_equal(set_rule("sgx.xfrm", "0xe7").sgx.xfrm.value, 0xe7);
    assert_true(set_rule("sgx.misc-select", "0").sgx.misc_select.set);
    assert_int_equal(set_rule("sgx.misc-select", "1").sgx.misc_select.value, 1);
    assert_int_equal(set_rule("tdx.attributes-set", "0x10000000").tdx.attributes_set, 1 << 28);
    assert_int_equal(set_rule("tdx.attributes-clear", "1").tdx.attributes_clear, 1);
    assert_true(set_rule("tdx.xfam", "0").tdx.xfam.set);
    assert_int_equal(set_rule("tdx.xfam", "0x61ae7").tdx.xfam.value, 0x61ae7);
    assert_true((int64_t)set_rule("psa.client-id", "-1").arm.psa_client.value == -1);
    assert_true((int64_t)set_rule("psa.client-id", "-2147483648").arm.psa_client.value ==
                INT32_MIN);
    assert_int_equal(set_rule("psa.client-id", "2147483647").arm.psa_client.value, INT32_MAX);
}

static void minimum_tcbs(void **state)
{
    struct atls_rules rules = set_rule("snp.minimum-tcb.genoa", "9.0.127.255");

    (void)state;
    assert_true(rules.snp.minimum_tcb_set[ATLS_SNP_GENOA]);
    assert_false(rules.snp.minimum_tcb_set[ATLS_SNP_MILAN]);
    assert_false(rules.snp.launch_tcb_set[ATLS_SNP_GENOA]);
    assert_int_equal(rules.snp.minimum_tcb[ATLS_SNP_GENOA].fmc, 0);
    assert_int_equal(rules.snp.minimum_tcb[ATLS_SNP_GENOA].boot_loader, 9);
    assert_int_equal(rules.snp.minimum_tcb[ATLS_SNP_GENOA].tee, 0);
    assert_int_equal(rules.snp.minimum_tcb[ATLS_SNP_GENOA].snp, 127);
    assert_int_equal(rules.snp.minimum_tcb[ATLS_SNP_GENOA].microcode, 255);
    rules = set_rule("snp.launch-tcb.turin", "1.2.3.4.5");
    assert_true(rules.snp.launch_tcb_set[ATLS_SNP_TURIN]);
    assert_false(rules.snp.minimum_tcb_set[ATLS_SNP_TURIN]);
    assert_int_equal(rules.snp.launch_tcb[ATLS_SNP_TURIN].fmc, 1);
    assert_int_equal(rules.snp.launch_tcb[ATLS_SNP_TURIN].boot_loader, 2);
    assert_int_equal(rules.snp.launch_tcb[ATLS_SNP_TURIN].microcode, 5);
    assert_true(set_rule("snp.minimum-tcb.milan", "1.2.3.4").snp.minimum_tcb_set[ATLS_SNP_MILAN]);
    assert_true(set_rule("snp.launch-tcb.milan", "1.2.3.4").snp.launch_tcb_set[ATLS_SNP_MILAN]);
    assert_true(
        set_rule("snp.minimum-tcb.venice", "1.2.3.4.5").snp.minimum_tcb_set[ATLS_SNP_VENICE]);
}

static void lists_replace_what_was_there(void **state)
{
    struct atls_rules rules = set_rule("snp.refuse-lines", "milan,venice");
    struct atls_err err = ATLS_ERR_INIT;
    char two[200];

    (void)state;
    assert_int_equal(rules.snp.refused_lines, 1 << ATLS_SNP_MILAN | 1 << ATLS_SNP_VENICE);
    test_assert_code(atls_rules_set(&rules, "snp.refuse-lines", "genoa", &err), ATLS_OK, &err);
    assert_int_equal(rules.snp.refused_lines, 1 << ATLS_SNP_GENOA);
    rules = set_rule("tdx.statuses", "UpToDate,OutOfDate,TDRelaunchAdvised");
    assert_int_equal(rules.tdx.dcap.statuses,
                     ATLS_TDX_UP_TO_DATE | ATLS_TDX_OUT_OF_DATE | ATLS_TDX_RELAUNCH_ADVISED);
    snprintf(two, sizeof two, "%s,%s", td, td);
    rules = set_rule("sgx.statuses", "SWHardeningNeeded");
    assert_int_equal(rules.sgx.dcap.statuses, ATLS_TDX_SW_HARDENING_NEEDED);
    assert_int_equal(rules.tdx.dcap.statuses, 0);
    rules = set_rule("tdx.service-td", two);
    assert_int_equal(rules.tdx.service_td_count, 2);
    assert_int_equal(rules.tdx.service_td[1][47], 0x2f);
    test_assert_code(atls_rules_set(&rules, "tdx.service-td", td, &err), ATLS_OK, &err);
    assert_int_equal(rules.tdx.service_td_count, 1);
    rules = set_rule("snp.id-keys", two);
    assert_int_equal(rules.snp.id_keys.count, 2);
    assert_int_equal(rules.snp.id_keys.list[1][47], 0x2f);
    rules = set_rule("snp.author-keys", td);
    assert_int_equal(rules.snp.author_keys.count, 1);
    assert_int_equal(rules.snp.author_keys.list[0][47], 0x2f);
}

static void texts_and_dates(void **state)
{
    struct atls_rules rules = set_rule("snp.csp-id", "CN=a longer provider");
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_rules_set(&rules, "snp.csp-id", "CN=short", &err), ATLS_OK, &err);
    assert_string_equal(rules.snp.csp_id, "CN=short");
    assert_int_equal(set_rule("sgx.tcb-date", "2000-01-01").sgx.dcap.tcb_date_s, 946684800);
    assert_int_equal(set_rule("tdx.tcb-date", "2000-01-01").tdx.dcap.tcb_date_s, 946684800);
    assert_int_equal(set_rule("tdx.tcb-date", "2024-02-29").tdx.dcap.tcb_date_s, 1709164800);
    assert_int_equal(set_rule("tdx.tcb-date", "2025-12-31").tdx.dcap.tcb_date_s, 1767139200);
}

static const struct {
    const char *name, *value, *says;
} refused[] = {
    {"snp.nothing", "1", "rule \"snp.nothing\": there is none"},
    {"", "1", "rule \"\": there is none"},
    {"snp.debu", "allow", "there is none"},
    {"snp.debug", "yes", "rule snp.debug is \"yes\", want refuse or allow"},
    {"snp.debug", "", "rule snp.debug is \"\", want refuse or allow"},
    {"snp.debug", "Allow", "snp.debug"},
    {"snp.vmpl", "4", "want 0 to 3"},
    {"snp.vmpl", "-1", "want 0 to 3"},
    {"snp.vmpl", "1 ", "want 0 to 3"},
    {"snp.guest-svn", "4294967296", "want a number"},
    {"snp.guest-svn", "99999999999999999999999", "want a number"},
    {"snp.abi", "1", "want MAJOR.MINOR"},
    {"snp.abi", "1.256", "want MAJOR.MINOR"},
    {"snp.abi", "1.2.3", "want MAJOR.MINOR"},
    {"snp.policy-set", "0x", "want bits"},
    {"snp.policy-set", "0x10000000000000000", "want bits"},
    {"snp.policy-set", "18446744073709551616", "want bits"},
    {"snp.policy-set", "1f", "want bits"},
    {"tdx.xfam", "0xg", "want bits"},
    {"sgx.isv-svn", "65536", "want a number"},
    {"sgx.statuses", "Revoked", "want statuses"},
    {"psa.client-id", "0", "not 0"},
    {"psa.client-id", "-0", "not 0"},
    {"psa.client-id", "-", "not 0"},
    {"psa.client-id", "2147483648", "not 0"},
    {"psa.client-id", "-2147483649", "not 0"},
    {"snp.minimum-tcb.milan", "1.2.3.4.5", "want BOOTLOADER"},
    {"snp.minimum-tcb.turin", "1.2.3.4", "want FMC"},
    {"snp.minimum-tcb.milan", "128.2.3.4", "want BOOTLOADER"},
    {"snp.launch-tcb.milan", "1.2.3.256", "want BOOTLOADER"},
    {"snp.launch-tcb.genoa", "1..3.4", "want BOOTLOADER"},
    {"snp.refuse-lines", "rome", "want names"},
    {"snp.refuse-lines", "milan,milan", "want names"},
    {"snp.refuse-lines", "milan,", "want names"},
    {"tdx.statuses", "Revoked", "want statuses"},
    {"tdx.statuses", "uptodate", "want statuses"},
    {"tdx.tcb-date", "2023-02-29", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "2023-13-01", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "2023-00-01", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "2023-01-00", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "2023-1-01", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "2023-01-01Z", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "1999-12-31", "want YYYY-MM-DD"},
    {"tdx.tcb-date", "2023/01/01", "want YYYY-MM-DD"},
    {"tdx.service-td", "00", "want up to 16"},
    {"snp.id-keys", "00", "want up to 16"},
    {"snp.author-keys", "xx", "want up to 16"},
    {"tdx.service-td",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
     "2e2g",
     "want up to 16"},
};

static void what_is_no_value_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct atls_rules rules = strict;
        struct atls_err err = ATLS_ERR_INIT;

        if (atls_rules_set(&rules, refused[i].name, refused[i].value, &err) != ATLS_E_CONFIG)
            fail_msg("%s=%s", refused[i].name, refused[i].value);
        if (strstr(err.message, refused[i].says) == NULL)
            fail_msg("%s, want %s", err.message, refused[i].says);
        assert_memory_equal(&rules, &strict, sizeof strict);
    }
}

static void lists_have_an_end(void **state)
{
    char text[17 * 97 + 1] = "", *at = text;
    struct atls_rules rules = strict;

    (void)state;
    for (int i = 0; i < 17; i++)
        at += sprintf(at, "%s%s", i > 0 ? "," : "", td);
    assert_int_equal(atls_rules_set(&rules, "tdx.service-td", text, NULL), ATLS_E_CONFIG);
    text[16 * 97 - 1] = '\0';
    assert_int_equal(atls_rules_set(&rules, "tdx.service-td", text, NULL), ATLS_OK);
    assert_int_equal(rules.tdx.service_td_count, ATLS_RULE_IDS_MAX);
    memset(text, 'x', 128);
    text[128] = '\0';
    assert_int_equal(atls_rules_set(&rules, "snp.csp-id", text, NULL), ATLS_E_CONFIG);
    text[127] = '\0';
    assert_int_equal(atls_rules_set(&rules, "snp.csp-id", text, NULL), ATLS_OK);
    assert_int_equal(strlen(rules.snp.csp_id), 127);
}

static const struct {
    const char *list[4];
    const char *says;
} lists[] = {
    {{"snp.vmpl=1", "snp.debug", NULL}, "rule \"snp.debug\": want NAME=VALUE"},
    {{"snp.vmpl=1", "snp.vmpl=1", NULL}, "rule snp.vmpl=1 is given twice"},
    {{"snp.vmpl=1", "=1", NULL}, "rule \"\": there is none"},
    {{"snp.vmpl=1", "snp.vmpl2=1", NULL}, "rule \"snp.vmpl2\": there is none"},
    {{"snp.vmpl=1", "snp.debug=", NULL}, "rule snp.debug is \"\""},
};

static void lists_of_rules(void **state)
{
    static const char *const good[] = {"snp.vmpl=2", "snp.csp-id=CN=x=y", NULL};
    struct atls_rules rules = strict;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        err = (struct atls_err)ATLS_ERR_INIT;
        assert_int_equal(atls_rules_set_all(&rules, lists[i].list, &err), ATLS_E_CONFIG);
        if (strstr(err.message, lists[i].says) == NULL)
            fail_msg("%s, want %s", err.message, lists[i].says);
        assert_memory_equal(&rules, &strict, sizeof strict);
    }
    test_assert_code(atls_rules_set_all(&rules, NULL, &err), ATLS_OK, &err);
    test_assert_code(atls_rules_set_all(&rules, good, &err), ATLS_OK, &err);
    assert_int_equal(rules.snp.vmpl.value, 2);
    assert_string_equal(rules.snp.csp_id, "CN=x=y");
}

/* The next row of the document that begins with a name in back quotes. */
static bool next_row(FILE *file, char *line, size_t size)
{
    while (fgets(line, (int)size, file) != NULL)
        if (strncmp(line, "| `", 3) == 0)
            return true;
    return false;
}

static void the_document_has_the_table(void **state)
{
    FILE *file = fopen(DOCUMENT, "r");
    const struct atls_rule_row *row;
    char line[2048], want[512];
    size_t i = 0;

    (void)state;
    assert_non_null(file);
    for (; (row = atls_rule_row_at(i)) != NULL; i++) {
        snprintf(want, sizeof want, "| `%s` | %s | %s | `%s` | ", row->name, row->wants,
                 row->normal, atls_reason_name(row->reason));
        assert_true(next_row(file, line, sizeof line));
        if (strncmp(line, want, strlen(want)) != 0)
            fail_msg("docs/tee-rules.md has %s, want %s", line, want);
    }
    assert_false(next_row(file, line, sizeof line));
    assert_true(i > 40);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_set_their_flag_and_no_other),
        cmocka_unit_test(numbers_and_bits),
        cmocka_unit_test(minimum_tcbs),
        cmocka_unit_test(lists_replace_what_was_there),
        cmocka_unit_test(texts_and_dates),
        cmocka_unit_test(what_is_no_value_changes_nothing),
        cmocka_unit_test(lists_have_an_end),
        cmocka_unit_test(lists_of_rules),
        cmocka_unit_test(the_document_has_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
