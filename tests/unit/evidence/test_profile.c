#include "testlib.h"

#include <atls/attester.h>

static void names_and_numbers(void **state)
{
    static const struct {
        enum atls_evidence_profile profile;
        const char *name;
    } rows[] = {
        {ATLS_PROFILE_KAT, "kat-bundle"}, {ATLS_PROFILE_BATCH, "kat-batch"},
        {ATLS_PROFILE_BARE, "bare"},      {ATLS_PROFILE_PARSEC, "parsec"},
        {ATLS_PROFILE_RATLS, "ra-tls"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(atls_evidence_profile_name(rows[i].profile), rows[i].name);
        assert_int_equal(atls_evidence_profile_find(rows[i].name), rows[i].profile);
    }
    assert_string_equal(atls_evidence_profile_name((enum atls_evidence_profile)3), "");
    assert_int_equal(atls_evidence_profile_find(""), 0);
    assert_int_equal(atls_evidence_profile_find("kat"), 0);
    assert_int_equal(atls_evidence_profile_find("kat-bundles"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_numbers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
