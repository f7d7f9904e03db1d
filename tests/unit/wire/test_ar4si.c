#include "testlib.h"

#include "wire/ar4si.h"

static void tiers(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        bool want;
        enum atls_tier tier;
    } rows[] = {
        {"none", HEX("none"), true, ATLS_TIER_NONE},
        {"affirming", HEX("affirming"), true, ATLS_TIER_AFFIRMING},
        {"warning", HEX("warning"), true, ATLS_TIER_WARNING},
        {"contraindicated", HEX("contraindicated"), true, ATLS_TIER_CONTRAINDICATED},
        {"in capitals", HEX("Affirming"), false, 0},
        {"cut short", HEX("affirmin"), false, 0},
        {"with a NUL", HEX("affirming\0"), false, 0},
        {"empty", HEX(""), false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum atls_tier tier = ATLS_TIER_CONTRAINDICATED;

        print_message("%s\n", rows[i].name);
        assert_int_equal(atls_tier_parse(rows[i].in, &tier), rows[i].want);
        if (rows[i].want)
            assert_int_equal(tier, rows[i].tier);
        else
            assert_int_equal(tier, ATLS_TIER_CONTRAINDICATED); /* untouched */
    }
}

static void claims(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        const char *name = atls_trust_claim_name((enum atls_trust_claim)i);
        enum atls_trust_claim claim = ATLS_TRUST_CLAIMS;
        size_t len = 0;

        while (name[len] != '\0')
            len++;
        assert_true(atls_trust_claim_parse(atls_bytes_of(name, len), &claim));
        assert_int_equal(claim, i);
        assert_false(atls_trust_claim_parse(atls_bytes_of(name, len - 1), &claim));
    }
}

static void what_a_tier_allows(void **state)
{
    static const struct {
        enum atls_tier tier, status;
        bool want;
    } rows[] = {
        {ATLS_TIER_NONE, ATLS_TIER_NONE, true},
        {ATLS_TIER_NONE, ATLS_TIER_AFFIRMING, true},
        {ATLS_TIER_AFFIRMING, ATLS_TIER_NONE, true},
        {ATLS_TIER_AFFIRMING, ATLS_TIER_CONTRAINDICATED, true},
        {ATLS_TIER_WARNING, ATLS_TIER_NONE, false},
        {ATLS_TIER_WARNING, ATLS_TIER_AFFIRMING, false},
        {ATLS_TIER_WARNING, ATLS_TIER_WARNING, true},
        {ATLS_TIER_CONTRAINDICATED, ATLS_TIER_WARNING, false},
        {ATLS_TIER_CONTRAINDICATED, ATLS_TIER_CONTRAINDICATED, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(atls_tier_allows(rows[i].tier, rows[i].status), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers),
        cmocka_unit_test(claims),
        cmocka_unit_test(what_a_tier_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
