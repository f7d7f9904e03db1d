/* A digest over PCRs, and the values that it may be of. */
#include <string.h>

#include "testlib.h"

#include "verifier/local/appraise.h"
#include "verifier/local/compose.h"

#define CLASS_ID "\xd8\x25\x50\x31\xfb\x5a\xbf\x02\x3e\x49\x92\xaa\x4e\x95\xf9\xc1\x50\x3b\xfa"

enum { VALUES = 600 };

/* Value n is n, 32 times; beyond 255 the first bytes differ. */
static struct atls_bytes value(unsigned int n)
{
    static uint8_t values[VALUES][32];

    memset(values[n], (int)(n & 0xff), 32);
    values[n][0] = (uint8_t)(n >> 8);
    return atls_bytes_of(values[n], 32);
}

/* Reference values under construction. */
struct list {
    struct atls_measurement items[VALUES];
    struct atls_digest digests[VALUES];
    size_t count;
};

static void put(struct list *l, uint64_t pcr, unsigned int n)
{
    struct atls_measurement *m = &l->items[l->count];

    memset(m, 0, sizeof *m);
    l->digests[l->count] = (struct atls_digest){ATLS_HASH_SHA256, 1, value(n)};
    m->mkey = (struct atls_mkey){ATLS_MKEY_UINT, pcr, {NULL, 0}};
    m->mval.present = ATLS_MVAL_DIGESTS;
    m->mval.digests = &l->digests[l->count++];
    m->mval.digest_count = 1;
}

static struct atls_reference reference_of(const struct list *l)
{
    return (struct atls_reference){
        "rack", {.class_id = HEX(CLASS_ID)}, l->items, l->count, {NULL, 0}};
}

struct machine {
    struct atls_claims claims;
    struct atls_pcr_composite composite;
    struct atls_measurement measurement;
    struct atls_digest digest;
    uint8_t bytes[ATLS_HASH_MAX];
};

/* Evidence of PCRs with these values, in the order of the bitmap. */
static void make(struct machine *m, uint32_t bitmap, const unsigned int *numbers, size_t count)
{
    struct atls_bytes parts[32];

    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < count; i++)
        parts[i] = value(numbers[i]);
    assert_int_equal(atls_hash_parts(ATLS_HASH_SHA256, parts, count, m->bytes, NULL), ATLS_OK);
    m->composite =
        (struct atls_pcr_composite){ATLS_HASH_SHA256, bitmap, atls_bytes_of(m->bytes, 32)};
    m->digest = (struct atls_digest){ATLS_HASH_SHA256, 1, m->composite.digest};
    m->measurement.mkey =
        (struct atls_mkey){ATLS_MKEY_TEXT, 0, (struct atls_bytes)HEX("pcr-digest")};
    m->measurement.mval.present = ATLS_MVAL_DIGESTS;
    m->measurement.mval.digests = &m->digest;
    m->measurement.mval.digest_count = 1;
    m->claims.arena = atls_arena_init(64 * 1024);
    m->claims.technology = "tpm";
    m->claims.submod = "TPM";
    m->claims.key_trust = ATLS_KEY_TRUST_ENROLLED;
    m->claims.environment.class_id = (struct atls_bytes)HEX(CLASS_ID);
    m->claims.measurements = &m->measurement;
    m->claims.measurement_count = 1;
    m->claims.composite = &m->composite;
}

static void compose(struct machine *m, const struct atls_reference *references, size_t count)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_compose(&m->claims, references, count, &err), ATLS_OK, &err);
}

static void values_that_hash_to_the_digest_are_the_machines(void **state)
{
    static const unsigned int numbers[] = {3, 1, 4};
    static struct list first, second;
    struct atls_reference r[2];
    struct machine m;

    (void)state;
    first.count = second.count = 0;
    put(&first, 7, 9); /* an older value of PCR 7 */
    put(&first, 4, 1);
    put(&first, 1, 4); /* not selected */
    put(&second, 7, 4);
    put(&second, 0, 3);
    put(&second, 0, 3); /* twice the same */
    r[0] = reference_of(&first);
    r[1] = reference_of(&second);
    make(&m, 1U << 0 | 1U << 4 | 1U << 7, numbers, 3);
    compose(&m, r, 2);
    assert_null(m.claims.composite);
    assert_int_equal(m.claims.measurement_count, 3);
    assert_int_equal(m.claims.measurements[0].mkey.number, 0);
    assert_int_equal(m.claims.measurements[1].mkey.number, 4);
    assert_int_equal(m.claims.measurements[2].mkey.number, 7);
    test_assert_bytes(m.claims.measurements[2].mval.digests[0].value, value(4));
    atls_claims_clear(&m.claims);
}

static void what_does_not_fit_changes_nothing(void **state)
{
    static const unsigned int numbers[] = {3, 1};
    enum { SWAPPED, MISSING, OTHER_HASH, OTHER_CLASS, TOO_MANY };
    static const struct {
        const char *name;
        int fault;
    } rows[] = {
        {"values of each other's PCR", SWAPPED},  {"no value of one PCR", MISSING},
        {"a value of another bank", OTHER_HASH},  {"values of another class", OTHER_CLASS},
        {"more values than are tried", TOO_MANY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int fault = rows[i].fault;
        static struct list l;
        struct atls_reference r;
        struct machine m;

        print_message("%s\n", rows[i].name);
        l.count = 0;
        for (unsigned int n = 0; fault == TOO_MANY && n < ATLS_COMPOSE_VALUES_MAX; n++)
            put(&l, 0, 100 + n);
        put(&l, 0, fault == SWAPPED ? 1 : 3);
        if (fault != MISSING)
            put(&l, 1, fault == SWAPPED ? 3 : 1);
        if (fault == OTHER_HASH)
            l.digests[1].hash = ATLS_HASH_SHA384;
        r = reference_of(&l);
        if (fault == OTHER_CLASS)
            r.environment.class_id = (struct atls_bytes)HEX("another");
        make(&m, 3, numbers, 2);
        compose(&m, &r, 1);
        assert_ptr_equal(m.claims.composite, &m.composite);
        assert_ptr_equal(m.claims.measurements, &m.measurement);
        atls_claims_clear(&m.claims);
    }
}

/* Manifests cannot buy minutes. */
static void choices_are_bounded(void **state)
{
    static const unsigned int numbers[] = {0, 1, 2, 3}, last[] = {31, 131, 231, 331};
    static struct list l;
    struct atls_reference r;
    struct machine m;

    (void)state;
    l.count = 0;
    for (unsigned int pcr = 0; pcr < 4; pcr++)
        for (unsigned int n = 0; n < 32; n++)
            put(&l, pcr, 100 * pcr + n);
    r = reference_of(&l);
    make(&m, 15, last, 4); /* the last of a million choices */
    compose(&m, &r, 1);
    assert_non_null(m.claims.composite);
    atls_claims_clear(&m.claims);
    make(&m, 15, numbers, 4);
    m.composite.bitmap = 0; /* nothing is selected: a digest of nothing, and no such digest */
    compose(&m, &r, 1);
    assert_non_null(m.claims.composite);
    atls_claims_clear(&m.claims);
}

static void no_room_for_the_values(void **state)
{
    static const unsigned int numbers[] = {3};
    static struct list l;
    struct atls_reference r;
    struct atls_err err = ATLS_ERR_INIT;
    struct machine m;

    (void)state;
    l.count = 0;
    put(&l, 0, 3);
    r = reference_of(&l);
    make(&m, 1, numbers, 1);
    m.claims.arena = atls_arena_init(16);
    test_assert_code(atls_compose(&m.claims, &r, 1, &err), ATLS_E_NOMEM, &err);
    assert_non_null(m.claims.composite);
    atls_claims_clear(&m.claims);
}

static void claims_without_composite(void **state)
{
    static const unsigned int numbers[] = {1};
    struct machine m;

    (void)state;
    make(&m, 1, numbers, 1);
    m.claims.composite = NULL;
    compose(&m, NULL, 0);
    assert_ptr_equal(m.claims.measurements, &m.measurement);
    atls_claims_clear(&m.claims);
}

/* The whole appraisal: as if the evidence had named the values. */
static void composites_are_appraised(void **state)
{
    static const unsigned int numbers[] = {3, 1};
    static struct list l;
    struct atls_reference r;
    struct atls_outcome o;
    struct atls_err err = ATLS_ERR_INIT;
    struct machine m;

    (void)state;
    l.count = 0;
    put(&l, 0, 3);
    put(&l, 1, 1);
    r = reference_of(&l);
    make(&m, 3, numbers, 2);
    test_assert_code(
        atls_appraise(&m.claims, &(struct atls_known_values){&r, 1, NULL, 0}, &o, &err), ATLS_OK,
        &err);
    assert_int_equal(o.status, ATLS_TIER_AFFIRMING);
    assert_int_equal(o.trust[ATLS_TRUST_EXECUTABLES], 3);
    atls_claims_clear(&m.claims);

    l.digests[1].value = value(2);
    make(&m, 3, numbers, 2);
    test_assert_code(
        atls_appraise(&m.claims, &(struct atls_known_values){&r, 1, NULL, 0}, &o, &err), ATLS_OK,
        &err);
    assert_int_equal(o.trust[ATLS_TRUST_EXECUTABLES], 33);
    assert_int_equal(o.reason, ATLS_REASON_MEASUREMENT);
    assert_int_equal(o.problem_count, 1);
    assert_non_null(strstr(o.problems[0], "digest of PCRs (sha256) is "));
    assert_non_null(strstr(o.problems[0], "no reference values of its class hash to it"));
    atls_claims_clear(&m.claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_hash_to_the_digest_are_the_machines),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(choices_are_bounded),
        cmocka_unit_test(no_room_for_the_values),
        cmocka_unit_test(claims_without_composite),
        cmocka_unit_test(composites_are_appraised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
