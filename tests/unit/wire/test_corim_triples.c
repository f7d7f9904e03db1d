#include <stdio.h>
#include <string.h>

#include "diag.h"
#include "testlib.h"

#include "wire/corim.h"

#define ENV   "{0: {1: 'v'}}"
#define ENV2  "{0: {1: 'w'}}"
#define MEAS  "[{1: {1: 1}}]"
#define MEAS2 "[{1: {1: 1}}, {1: {1: 2}}]"
#define KEY   "554('k')"

/* Decodes a CoMID of these triples. */
static enum atls_code decode(const char *triples, struct atls_arena *arena, struct atls_buf *in,
                             struct atls_comid *out, struct atls_err *err)
{
    char text[1024];

    snprintf(text, sizeof text, "{1: {0: 't'}, 4: %s}", triples);
    *in = test_diag(text);
    return atls_comid_decode(atls_buf_bytes(in), arena, out, err);
}

static const struct {
    const char *name, *triples;
    enum atls_code want;
    const char *says;
} rows[] = {
    {"endorsed values", "{1: [[" ENV ", " MEAS "]]}", ATLS_OK, NULL},
    {"identity", "{2: [[" ENV ", [" KEY "]]]}", ATLS_OK, NULL},
    {"identity with an mkey", "{2: [[" ENV ", [" KEY "], {0: 7}]]}", ATLS_OK, NULL},
    {"attest key with both conditions", "{3: [[" ENV ", [" KEY "], {0: 'a', 1: [" KEY "]}]]}",
     ATLS_OK, NULL},
    {"dependency", "{4: [[" ENV ", [" ENV "]]]}", ATLS_OK, NULL},
    {"membership", "{5: [[" ENV ", [" ENV ", " ENV2 "]]]}", ATLS_OK, NULL},
    {"links to CoSWID tags", "{6: [[" ENV ", ['t']]]}", ATLS_OK, NULL},
    {"series", "{8: [[[" ENV ", " MEAS "], [[" MEAS ", " MEAS "]]]]}", ATLS_OK, NULL},
    {"series without a condition on values", "{8: [[[" ENV ", []], [[" MEAS ", " MEAS "]]]]}",
     ATLS_OK, NULL},
    {"series for what a key said", "{8: [[[" ENV ", [], [" KEY "]], [[" MEAS ", " MEAS "]]]]}",
     ATLS_OK, NULL},
    {"conditional endorsement",
     "{10: [[[[" ENV ", " MEAS "], [" ENV2 ", " MEAS2 "]], [[" ENV ", " MEAS "]]]]}", ATLS_OK,
     NULL},
    {"endorsed values are one record", "{1: [" ENV ", " MEAS "]}", ATLS_E_DECODE,
     "endorsed triple 0: CoRIM triple: not [environment, measurements]"},
    {"endorsed values without measurements", "{1: [[" ENV ", []]]}", ATLS_E_DECODE,
     "endorsed triple 0: CoRIM measurements: not a non-empty list"},
    {"endorsed values of no environment", "{1: [[{}, " MEAS "]]}", ATLS_E_DECODE,
     "endorsed triple 0: CoRIM environment"},
    {"endorsed values with a third member", "{1: [[" ENV ", " MEAS ", 0]]}", ATLS_E_DECODE,
     "endorsed triple 0"},
    {"no endorsed values", "{1: []}", ATLS_E_DECODE, "endorsed triples: not a non-empty list"},
    {"identity without keys", "{2: [[" ENV ", []]]}", ATLS_E_DECODE,
     "identity triple 0: CoRIM keys"},
    {"identity with empty conditions", "{2: [[" ENV ", [" KEY "], {}]]}", ATLS_E_DECODE,
     "conditions are not a non-empty map"},
    {"identity with an unknown condition", "{2: [[" ENV ", [" KEY "], {2: 0}]]}",
     ATLS_E_UNSUPPORTED, "identity triple 0: CoRIM triple: unknown member"},
    {"identity for the word of nobody", "{2: [[" ENV ", [" KEY "], {1: []}]]}", ATLS_E_DECODE,
     "identity triple 0: CoRIM keys"},
    {"identity for a negative mkey", "{2: [[" ENV ", [" KEY "], {0: -1}]]}", ATLS_E_DECODE,
     "identity triple 0: CoRIM mkey"},
    {"dependency on nothing", "{4: [[" ENV ", []]]}", ATLS_E_DECODE,
     "dependency triple 0: CoRIM members of a domain: not a non-empty list"},
    {"dependency of one member", "{4: [[" ENV "]]}", ATLS_E_DECODE,
     "dependency triple 0: CoRIM triple: not [environment, environments]"},
    {"second member without an environment", "{5: [[" ENV ", [" ENV ", {}]]]}", ATLS_E_DECODE,
     "membership triple 0: CoRIM environment"},
    {"series without entries", "{8: [[[" ENV ", []], []]]}", ATLS_E_DECODE,
     "series triple 0: CoRIM series: not a non-empty list"},
    {"series without a condition", "{8: [[[[" MEAS ", " MEAS "]]]]}", ATLS_E_DECODE,
     "series triple 0: CoRIM triple: not [condition, series]"},
    {"series with a condition of one member", "{8: [[[" ENV "], [[" MEAS ", " MEAS "]]]]}",
     ATLS_E_DECODE, "condition is not [environment, measurements"},
    {"series for the word of nobody", "{8: [[[" ENV ", [], []], [[" MEAS ", " MEAS "]]]]}",
     ATLS_E_DECODE, "series triple 0: CoRIM keys"},
    {"second entry of one member", "{8: [[[" ENV ", []], [[" MEAS ", " MEAS "], [" MEAS "]]]]}",
     ATLS_E_DECODE, "entry 1: CoRIM triple: series entry is not"},
    {"entry without an addition", "{8: [[[" ENV ", []], [[" MEAS ", []]]]]}", ATLS_E_DECODE,
     "entry 0: CoRIM measurements"},
    {"entry without a selection", "{8: [[[" ENV ", []], [[[], " MEAS "]]]]}", ATLS_E_DECODE,
     "entry 0: CoRIM measurements"},
    {"conditional endorsement without conditions", "{10: [[[], [[" ENV ", " MEAS "]]]]}",
     ATLS_E_DECODE, "conditional-endorsement triple 0: CoRIM condition: not a non-empty list"},
    {"conditional endorsement without additions", "{10: [[[[" ENV ", " MEAS "]], []]]}",
     ATLS_E_DECODE, "conditional-endorsement triple 0: CoRIM addition: not a non-empty list"},
    {"conditional endorsement of one member", "{10: [[[[" ENV ", " MEAS "]]]]}", ATLS_E_DECODE,
     "conditional-endorsement triple 0: CoRIM triple: not [conditions, additions]"},
    {"condition without measurements", "{10: [[[[" ENV ", []]], [[" ENV ", " MEAS "]]]]}",
     ATLS_E_DECODE, "condition 0: CoRIM measurements"},
    {"addition without an environment", "{10: [[[[" ENV ", " MEAS "]], [[{}, " MEAS "]]]]}",
     ATLS_E_DECODE, "addition 0: CoRIM environment"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf in;
        struct atls_comid m;
        enum atls_code code = decode(rows[i].triples, &arena, &in, &m, &err);

        if (code != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: code %d, want %d: %s", rows[i].name, code, rows[i].want, err.message);
        for (size_t n = 0; n < in.len; n++)
            assert_int_not_equal(atls_comid_decode(atls_bytes_of(in.ptr, n), &arena, &m, NULL),
                                 ATLS_OK);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && rows[i].want == ATLS_OK; i++) {
        for (size_t room = 0; room < 4096; room += 16) {
            struct atls_arena arena = atls_arena_init(room);
            struct atls_buf in;
            struct atls_comid m;
            enum atls_code code = decode(rows[i].triples, &arena, &in, &m, NULL);

            assert_true(code == ATLS_OK || code == ATLS_E_NOMEM);
            assert_true(room >= 32 || code == ATLS_E_NOMEM);
            assert_true(room < 4000 || code == ATLS_OK);
            atls_arena_clear(&arena);
            atls_buf_clear(&in);
        }
    }
}

static void test_endorsed(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    struct atls_comid m;

    (void)state;
    test_assert_code(
        decode("{1: [[" ENV ", " MEAS2 "], [" ENV2 ", " MEAS "]]}", &arena, &in, &m, &err), ATLS_OK,
        &err);
    assert_int_equal(m.endorsed_count, 2);
    assert_int_equal(m.endorsed[0].ect.count, 2);
    assert_int_equal(m.endorsed[0].ect.measurements[1].mval.svn, 2);
    test_assert_bytes(m.endorsed[1].ect.environment.vendor, atls_bytes_of("w", 1));
    assert_int_equal(m.endorsed[1].ect.environment_item.len, 6);
    assert_int_equal(m.endorsed[1].item.ptr[0], 0x82);
    assert_int_equal(m.endorsed[1].item.len, 1 + 6 + 6);
    assert_null(m.endorsed[0].ect.authorized_by);
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

static void test_keys(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    struct atls_comid m;

    (void)state;
    test_assert_code(decode("{2: [[" ENV ", [" KEY ", 560(h'01')], {0: 7, 1: [555('c')]}]], "
                            "3: [[" ENV2 ", [" KEY "]]]}",
                            &arena, &in, &m, &err),
                     ATLS_OK, &err);
    assert_int_equal(m.identity_count, 1);
    assert_int_equal(m.identities[0].count, 2);
    assert_int_equal(m.identities[0].keys[1].tag, ATLS_TAG_BYTES);
    assert_true(m.identities[0].conditional);
    assert_int_equal(m.identities[0].mkey.kind, ATLS_MKEY_UINT);
    assert_int_equal(m.identities[0].mkey.number, 7);
    assert_int_equal(m.identities[0].authorized_by_count, 1);
    test_assert_bytes(m.identities[0].authorized_by[0].content, atls_bytes_of("c", 1));
    assert_int_equal(m.attest_key_count, 1);
    assert_false(m.attest_keys[0].conditional);
    assert_int_equal(m.attest_keys[0].mkey.kind, ATLS_MKEY_NONE);
    assert_null(m.attest_keys[0].authorized_by);
    assert_int_equal(m.attest_keys[0].item.ptr[0], 0x82);
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

static void test_domains(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    struct atls_comid m;

    (void)state;
    test_assert_code(decode("{4: [[" ENV ", [" ENV2 "]]], 5: [[" ENV2 ", [" ENV ", " ENV2 "]]]}",
                            &arena, &in, &m, &err),
                     ATLS_OK, &err);
    assert_int_equal(m.domain_count, 2);
    assert_int_equal(m.domains[0].kind, ATLS_TRIPLE_DEPENDENCY);
    assert_int_equal(m.domains[0].member_count, 1);
    test_assert_bytes(m.domains[0].members[0].vendor, atls_bytes_of("w", 1));
    assert_int_equal(m.domains[1].kind, ATLS_TRIPLE_MEMBERSHIP);
    assert_int_equal(m.domains[1].member_count, 2);
    test_assert_bytes(m.domains[1].environment.vendor, atls_bytes_of("w", 1));
    test_assert_bytes(m.domains[1].members[0].vendor, atls_bytes_of("v", 1));
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

static void test_series(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    struct atls_comid m;

    (void)state;
    test_assert_code(decode("{8: [[[" ENV ", " MEAS2 ", [" KEY "]], [[" MEAS ", " MEAS2 "], "
                            "[" MEAS2 ", " MEAS "]]]]}",
                            &arena, &in, &m, &err),
                     ATLS_OK, &err);
    assert_int_equal(m.series_count, 1);
    assert_int_equal(m.series[0].condition.count, 2);
    assert_int_equal(m.series[0].condition.authorized_by_count, 1);
    assert_int_equal(m.series[0].entry_count, 2);
    assert_int_equal(m.series[0].entries[0].selection_count, 1);
    assert_int_equal(m.series[0].entries[0].addition_count, 2);
    assert_int_equal(m.series[0].entries[1].selection_count, 2);
    assert_int_equal(m.series[0].entries[1].addition[0].mval.svn, 1);
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

static void test_conditionals(void **state)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf in;
    struct atls_comid m;

    (void)state;
    test_assert_code(decode("{10: [[[[" ENV ", " MEAS "], [" ENV2 ", " MEAS2 "]], "
                            "[[" ENV2 ", " MEAS "]]]]}",
                            &arena, &in, &m, &err),
                     ATLS_OK, &err);
    assert_int_equal(m.conditional_count, 1);
    assert_int_equal(m.conditionals[0].condition_count, 2);
    assert_int_equal(m.conditionals[0].conditions[1].count, 2);
    assert_int_equal(m.conditionals[0].addition_count, 1);
    test_assert_bytes(m.conditionals[0].additions[0].environment.vendor, atls_bytes_of("w", 1));
    assert_int_equal(m.conditionals[0].item.ptr[0], 0x82);
    atls_buf_clear(&in);
    atls_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_endorsed),     cmocka_unit_test(test_keys),
        cmocka_unit_test(test_domains),      cmocka_unit_test(test_series),
        cmocka_unit_test(test_conditionals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
