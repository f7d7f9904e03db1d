#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "verifier/local/corroborate.h"
#include "verifier/local/endorse.h"
#include "verifier/local/match.h"
#include "wire/corim.h"

/* Authorities need not be keys that parse where only they themselves are compared. */
static const struct atls_bytes signer = HEX("attester"), maker = HEX("maker"),
                               certifier = HEX("certifier"), nobody = {NULL, 0};
/* Manifests name them by their SHA-256, filled in by set_up. */
static struct atls_corim_key by_signer[] = {{ATLS_TAG_KEY_THUMB, HEX("")}},
                             by_maker[] = {{ATLS_TAG_KEY_THUMB, HEX("")}};
static uint8_t thumbprint_of_signer[36], thumbprint_of_maker[36];

static const struct atls_environment class_c = {.class_id = HEX("\xd8\x6f\x41\x2a")},
                                     class_d = {.class_id = HEX("\xd8\x6f\x41\x2b")},
                                     class_e = {.class_id = HEX("\xd8\x6f\x41\x2c")},
                                     device = {.class_id = HEX("\xd8\x6f\x41\x2a"),
                                               .vendor = HEX("ACME"),
                                               .instance = HEX("\xd8\x26\x41\x01")};

/* ---- building blocks ---- */

#define ONE(m) &(m), 1

static struct atls_measurement svn_of(uint64_t key, uint64_t svn)
{
    struct atls_measurement m = {.mkey = {ATLS_MKEY_UINT, key, {NULL, 0}},
                                 .mval = {.present = ATLS_MVAL_SVN, .svn = svn}};

    return m;
}

static struct atls_measurement name_of(uint64_t key, const char *name)
{
    struct atls_measurement m = {
        .mkey = {ATLS_MKEY_UINT, key, {NULL, 0}},
        .mval = {.present = ATLS_MVAL_NAME, .name = atls_bytes_of(name, strlen(name))}};

    return m;
}

static struct atls_corim_ect ect_of(const struct atls_environment *e, struct atls_measurement *m,
                                    size_t count)
{
    struct atls_corim_ect ect = {.environment = *e, .measurements = m, .count = count};

    return ect;
}

static struct atls_endorsement endorsed_by(struct atls_bytes authority,
                                           const struct atls_corim_endorsed *e)
{
    struct atls_endorsement out = {.manifest = "endorsed",
                                   .authority = authority,
                                   .kind = ATLS_TRIPLE_ENDORSED,
                                   .endorsed = e};

    return out;
}

static struct atls_endorsement conditional_by(struct atls_bytes authority,
                                              const struct atls_corim_conditional *c)
{
    struct atls_endorsement out = {.manifest = "conditional",
                                   .authority = authority,
                                   .kind = ATLS_TRIPLE_CONDITIONAL,
                                   .conditional = c};

    return out;
}

static struct atls_endorsement series_by(struct atls_bytes authority,
                                         const struct atls_corim_series *s)
{
    struct atls_endorsement out = {.manifest = "series",
                                   .authority = authority,
                                   .kind = ATLS_TRIPLE_CONDITIONAL_SERIES,
                                   .series = s};

    return out;
}

/* Evidence of one device: measurement 1 has svn 1, measurement 2 is called "two". */
struct fixture {
    struct atls_measurement evidence[2];
    struct atls_claims claims;
    struct atls_accepted_claims acs;
    struct atls_corroboration corroboration;
};

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->evidence[0] = svn_of(1, 1);
    f->evidence[1] = name_of(2, "two");
    f->claims.technology = "tpm";
    f->claims.environment = device;
    f->claims.measurements = f->evidence;
    f->claims.measurement_count = 2;
    f->claims.signer_spki = signer;
    assert_int_equal(atls_accepted_claims_init(&f->acs, &f->claims, NULL), ATLS_OK);
}

static void end(struct fixture *f)
{
    atls_corroboration_clear(&f->corroboration);
    atls_accepted_claims_clear(&f->acs);
}

static void corroborate(struct fixture *f, const struct atls_reference *references, size_t count)
{
    const struct atls_corroboration_input in = {
        .claims = &f->claims, .references = references, .count = count};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_corroborate(&in, &f->acs, &f->corroboration, &err), ATLS_OK, &err);
}

static void endorse(struct fixture *f, const struct atls_endorsement *items, size_t count)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_endorse(&f->acs, items, count, &err), ATLS_OK, &err);
}

static size_t elements_of(const struct atls_accepted_claims *acs, enum atls_accepted_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < acs->entry_count; i++)
        for (size_t k = acs->entries[i].first; acs->entries[i].kind == kind && k != 0;
             k = acs->elements[k - 1].next)
            count++;
    return count;
}

/* An entry of this kind, environment and authority has an element that says so. */
static bool says(const struct fixture *f, enum atls_accepted_kind kind,
                 const struct atls_environment *environment, struct atls_bytes authority,
                 const struct atls_measurement *m)
{
    for (size_t i = 0; i < f->acs.entry_count; i++) {
        const struct atls_accepted_entry *e = &f->acs.entries[i];

        if (e->kind != kind || !atls_environment_equal(e->environment, environment) ||
            !atls_bytes_equal(e->authority.spki, authority))
            continue;
        for (size_t k = e->first; k != 0; k = f->acs.elements[k - 1].next)
            if (atls_mkey_equal(&f->acs.elements[k - 1].measurement->mkey, &m->mkey) &&
                atls_mval_holds(&m->mval, &f->acs.elements[k - 1].measurement->mval))
                return true;
    }
    return false;
}

static size_t endorsed_elements(const struct fixture *f)
{
    return elements_of(&f->acs, ATLS_ACCEPTED_ENDORSEMENT);
}

/* ---- evidence and reference values ---- */

static void evidence_enters_under_its_signer(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(f.acs.entry_count, 1);
    assert_int_equal(elements_of(&f.acs, ATLS_ACCEPTED_EVIDENCE), 2);
    assert_true(says(&f, ATLS_ACCEPTED_EVIDENCE, &device, signer, &f.evidence[0]));
    assert_true(says(&f, ATLS_ACCEPTED_EVIDENCE, &device, signer, &f.evidence[1]));
    end(&f);
}

static void a_reference_value_that_matches_adds_its_provider(void **state)
{
    struct fixture f;
    struct atls_measurement values[2] = {svn_of(1, 1), name_of(2, "three")};
    const struct atls_reference r = {"m", class_c, values, 2, maker};

    (void)state;
    begin(&f);
    corroborate(&f, &r, 1);
    assert_int_equal(f.acs.entry_count, 2);
    assert_int_equal(elements_of(&f.acs, ATLS_ACCEPTED_REFERENCE), 1);
    assert_true(says(&f, ATLS_ACCEPTED_REFERENCE, &class_c, maker, &f.evidence[0]));
    assert_false(says(&f, ATLS_ACCEPTED_REFERENCE, &class_c, maker, &f.evidence[1]));
    assert_true(f.corroboration.findings[0].covered);
    assert_false(f.corroboration.findings[1].covered);
    end(&f);
}

static void records_of_one_authority_and_environment_are_one_entry(void **state)
{
    struct fixture f;
    struct atls_measurement one = svn_of(1, 1), two = name_of(2, "two");
    const struct atls_reference rows[] = {
        {"a", class_c, ONE(one), maker},     {"b", class_c, ONE(two), maker},
        {"c", class_c, ONE(one), maker},     {"d", class_c, ONE(one), certifier},
        {"e", device, ONE(one), maker},      {"f", class_d, ONE(one), maker},
        {"g", class_c, ONE(one), {NULL, 0}},
    };

    (void)state;
    begin(&f);
    corroborate(&f, rows, sizeof rows / sizeof rows[0]);
    /* evidence; maker of the class; certifier; maker of the device; nobody */
    assert_int_equal(f.acs.entry_count, 5);
    assert_int_equal(elements_of(&f.acs, ATLS_ACCEPTED_REFERENCE), 5);
    assert_true(says(&f, ATLS_ACCEPTED_REFERENCE, &class_c, nobody, &one));
    assert_true(says(&f, ATLS_ACCEPTED_REFERENCE, &device, maker, &one));
    assert_string_equal(f.acs.entries[1].manifest, "a");
    end(&f);
}

static void more_providers_than_have_a_bit_are_told_apart(void **state)
{
    enum { PROVIDERS = ATLS_PROVIDERS_MAX + 20 };
    static uint8_t names[PROVIDERS];
    static struct atls_reference rows[2 * PROVIDERS];
    struct fixture f;
    struct atls_measurement one = svn_of(1, 1);

    (void)state;
    for (size_t i = 0; i < 2 * PROVIDERS; i++) {
        names[i % PROVIDERS] = (uint8_t)(i % PROVIDERS);
        rows[i] = (struct atls_reference){"m", class_c, ONE(one), {&names[i % PROVIDERS], 1}};
    }
    begin(&f);
    corroborate(&f, rows, 2 * PROVIDERS);
    assert_int_equal(f.acs.entry_count, 1 + PROVIDERS);
    assert_int_equal(elements_of(&f.acs, ATLS_ACCEPTED_REFERENCE), PROVIDERS);
    end(&f);
}

static void a_value_that_names_a_key_holds_for_evidence_of_that_key_only(void **state)
{
    struct fixture f;
    struct atls_measurement mine = svn_of(1, 1), theirs = svn_of(1, 1);
    const struct atls_reference a = {"a", class_c, ONE(mine), maker},
                                b = {"b", class_c, ONE(theirs), maker};

    (void)state;
    mine.authorized_by = by_signer;
    mine.authorized_by_count = 1;
    theirs.authorized_by = by_maker;
    theirs.authorized_by_count = 1;
    begin(&f);
    corroborate(&f, &b, 1);
    assert_false(f.corroboration.findings[0].covered);
    assert_int_equal(f.acs.entry_count, 1);
    end(&f);
    begin(&f);
    corroborate(&f, &a, 1);
    assert_true(f.corroboration.findings[0].covered);
    end(&f);
    begin(&f);
    f.claims.signer_spki = nobody;
    corroborate(&f, &a, 1);
    assert_false(f.corroboration.findings[0].covered);
    end(&f);
}

/* Numbers that share a place of the table, and names; every third has no reference value. */
static void measurements_are_found_among_many(void **state)
{
    enum { MANY = 300 };
    static struct atls_measurement evidence[MANY], values[MANY];
    static char names[MANY][8];
    const struct atls_reference r = {"m", class_c, values, MANY, maker};
    struct fixture f;

    (void)state;
    memset(&f, 0, sizeof f);
    for (size_t i = 0; i < MANY; i++) {
        evidence[i] = svn_of(i / 2 * 1024, i);
        if (i % 2 == 0) {
            snprintf(names[i], sizeof names[i], "n%zu", i);
            evidence[i].mkey =
                (struct atls_mkey){ATLS_MKEY_TEXT, 0, atls_bytes_of(names[i], strlen(names[i]))};
        }
        values[i] = evidence[i];
        if (i % 3 == 0)
            values[i].mkey = (struct atls_mkey){ATLS_MKEY_UINT, 1 + i, {NULL, 0}};
    }
    f.claims.technology = "tpm";
    f.claims.environment = device;
    f.claims.measurements = evidence;
    f.claims.measurement_count = MANY;
    assert_int_equal(atls_accepted_claims_init(&f.acs, &f.claims, NULL), ATLS_OK);
    corroborate(&f, &r, 1);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(f.corroboration.findings[i].covered, i % 3 != 0);
    assert_int_equal(f.corroboration.absent_count, ATLS_ABSENT_MAX);
    end(&f);
}

/* ---- endorsed values ---- */

static void endorsed_values_need_their_environment(void **state)
{
    static const struct {
        const char *name;
        const struct atls_environment *environment;
        bool want;
    } rows[] = {
        {"the class", &class_c, true},
        {"the device", &device, true},
        {"another class", &class_d, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement claim = svn_of(9, 4);
        const struct atls_corim_endorsed e = {.ect = ect_of(rows[i].environment, ONE(claim))};
        const struct atls_endorsement item = endorsed_by(maker, &e);

        print_message("%s\n", rows[i].name);
        begin(&f);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 1 : 0);
        assert_int_equal(says(&f, ATLS_ACCEPTED_ENDORSEMENT, rows[i].environment, maker, &claim),
                         rows[i].want);
        end(&f);
    }
}

static void endorsed_values_wait_for_the_keys_that_they_name(void **state)
{
    static const struct {
        const char *name;
        bool of_record;
        struct atls_corim_key *keys;
        bool want;
    } rows[] = {
        {"the record names the signer", true, by_signer, true},
        {"the record names another", true, by_maker, false},
        {"the measurement names the signer", false, by_signer, true},
        {"the measurement names another", false, by_maker, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement claim = svn_of(9, 4);
        struct atls_corim_endorsed e;
        struct atls_endorsement item;

        print_message("%s\n", rows[i].name);
        claim.authorized_by = rows[i].of_record ? NULL : rows[i].keys;
        claim.authorized_by_count = rows[i].of_record ? 0 : 1;
        e = (struct atls_corim_endorsed){.ect = ect_of(&class_c, ONE(claim))};
        e.ect.authorized_by = rows[i].of_record ? rows[i].keys : NULL;
        e.ect.authorized_by_count = rows[i].of_record ? 1 : 0;
        item = endorsed_by(maker, &e);
        begin(&f);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 1 : 0);
        end(&f);
    }
}

/* ---- conditional endorsements ---- */

static void every_condition_must_hold(void **state)
{
    static const struct {
        const char *name;
        uint64_t svn;
        const char *called;
        const struct atls_environment *environment;
        bool want;
    } rows[] = {
        {"both hold", 1, "two", &class_c, true},
        {"the first does not", 2, "two", &class_c, false},
        {"the second does not", 1, "three", &class_c, false},
        {"the second is of another environment", 1, "two", &class_d, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement one = svn_of(1, rows[i].svn), two = name_of(2, rows[i].called),
                                claims[2] = {svn_of(9, 4), name_of(8, "eight")};
        struct atls_corim_ect conditions[] = {ect_of(&class_c, ONE(one)),
                                              ect_of(rows[i].environment, ONE(two))},
                              additions[] = {ect_of(&class_c, ONE(claims[0])),
                                             ect_of(&class_e, ONE(claims[1]))};
        const struct atls_corim_conditional c = {{NULL, 0}, conditions, additions, 2, 2};
        const struct atls_endorsement item = conditional_by(certifier, &c);

        print_message("%s\n", rows[i].name);
        begin(&f);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 2 : 0);
        assert_int_equal(says(&f, ATLS_ACCEPTED_ENDORSEMENT, &class_e, certifier, &claims[1]),
                         rows[i].want);
        end(&f);
    }
}

/* The values of one record are one condition: this is how a maker says that they belong together.
 */
static void elements_of_one_condition_must_hold_for_one_entry(void **state)
{
    static const struct {
        const char *name;
        uint64_t svn;
        const char *called;
        uint64_t key;
        bool want;
    } rows[] = {
        {"all hold", 1, "two", 2, true},
        {"one does not", 1, "three", 2, false},
        {"one has another mkey", 1, "two", 3, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement both[2] = {svn_of(1, rows[i].svn),
                                           name_of(rows[i].key, rows[i].called)},
                                claim = svn_of(9, 4);
        struct atls_corim_ect condition = ect_of(&class_c, both, 2),
                              addition = ect_of(&class_c, ONE(claim));
        const struct atls_corim_conditional c = {{NULL, 0}, &condition, &addition, 1, 1};
        const struct atls_endorsement item = conditional_by(certifier, &c);

        print_message("%s\n", rows[i].name);
        begin(&f);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 1 : 0);
        end(&f);
    }
}

static void without_condition_nothing_is_added(void **state)
{
    struct fixture f;
    struct atls_measurement claim = svn_of(9, 4);
    struct atls_corim_ect addition = ect_of(&class_c, ONE(claim));
    const struct atls_corim_conditional c = {{NULL, 0}, NULL, &addition, 0, 1};
    const struct atls_endorsement items[] = {conditional_by(maker, &c),
                                             {.manifest = "m", .kind = ATLS_TRIPLE_REFERENCE}};

    (void)state;
    begin(&f);
    endorse(&f, items, 2);
    assert_int_equal(endorsed_elements(&f), 0);
    end(&f);
}

/* Who must have said it: the attester, or a maker whose reference value covers it. */
static void a_condition_may_name_who_says_it(void **state)
{
    static const struct {
        const char *name;
        struct atls_corim_key *keys;
        bool of_element, with_reference;
        bool want;
    } rows[] = {
        {"the attester, by the record", by_signer, false, false, true},
        {"the attester, by the element", by_signer, true, false, true},
        {"the maker, by the record, who is silent", by_maker, false, false, false},
        {"the maker, by the element, who is silent", by_maker, true, false, false},
        {"the maker, by the record, who has a reference value", by_maker, false, true, true},
        {"the maker, by the element, who has a reference value", by_maker, true, true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement one = svn_of(1, 1), claim = svn_of(9, 4), value = svn_of(1, 1);
        struct atls_corim_ect condition, addition = ect_of(&class_c, ONE(claim));
        const struct atls_corim_conditional c = {{NULL, 0}, &condition, &addition, 1, 1};
        const struct atls_endorsement item = conditional_by(certifier, &c);
        const struct atls_reference r = {"m", class_c, ONE(value), maker};

        print_message("%s\n", rows[i].name);
        if (rows[i].of_element) {
            one.authorized_by = rows[i].keys;
            one.authorized_by_count = 1;
        }
        condition = ect_of(&class_c, ONE(one));
        if (!rows[i].of_element) {
            condition.authorized_by = rows[i].keys;
            condition.authorized_by_count = 1;
        }
        begin(&f);
        corroborate(&f, &r, rows[i].with_reference);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 1 : 0);
        end(&f);
    }
}

/* A reference value vouches for the members that it names. */
static void a_maker_does_not_vouch_for_what_he_did_not_name(void **state)
{
    static const struct {
        const char *name;
        unsigned int vouched; /* members that the reference value names */
        bool want;
    } rows[] = {
        {"both members", ATLS_MVAL_SVN | ATLS_MVAL_NAME, true},
        {"one of them", ATLS_MVAL_SVN, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement one = svn_of(1, 1), claim = svn_of(9, 4), value = svn_of(1, 1);
        struct atls_corim_ect condition, addition = ect_of(&class_c, ONE(claim));
        const struct atls_corim_conditional c = {{NULL, 0}, &condition, &addition, 1, 1};
        const struct atls_endorsement item = conditional_by(certifier, &c);
        const struct atls_reference r = {"m", class_c, ONE(value), maker};

        print_message("%s\n", rows[i].name);
        one.mval.present |= ATLS_MVAL_NAME;
        one.mval.name = atls_bytes_of("one", 3);
        value.mval = one.mval;
        value.mval.present = rows[i].vouched;
        condition = ect_of(&class_c, ONE(one));
        condition.authorized_by = by_maker;
        condition.authorized_by_count = 1;
        begin(&f);
        f.evidence[0].mval = one.mval;
        corroborate(&f, &r, 1);
        assert_true(f.corroboration.findings[0].covered);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 1 : 0);
        end(&f);
    }
}

static void additions_of_a_conditional_may_name_keys(void **state)
{
    static const struct {
        const char *name;
        const struct atls_environment *environment;
        struct atls_corim_key *keys;
        bool want;
    } rows[] = {
        {"the signer, of this class", &class_c, by_signer, true},
        {"another, of this class", &class_c, by_maker, false},
        {"the signer, of another class", &class_d, by_signer, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement one = svn_of(1, 1), claim = svn_of(9, 4);
        struct atls_corim_ect condition = ect_of(&class_c, ONE(one)), addition;
        const struct atls_corim_conditional c = {{NULL, 0}, &condition, &addition, 1, 1};
        const struct atls_endorsement item = conditional_by(certifier, &c);

        print_message("%s\n", rows[i].name);
        claim.authorized_by = rows[i].keys;
        claim.authorized_by_count = 1;
        addition = ect_of(rows[i].environment, ONE(claim));
        begin(&f);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want ? 1 : 0);
        end(&f);
    }
}

static void a_condition_of_a_profile_needs_an_entry_of_it(void **state)
{
    struct fixture f;
    const struct atls_bytes psa = HEX("\xd8\x20\x61p"), tdx = HEX("\xd8\x20\x61t");
    struct atls_measurement claim = svn_of(9, 4);
    const struct atls_addition addition = {.entry = {.kind = ATLS_ACCEPTED_ENDORSEMENT,
                                                     .environment = &class_c,
                                                     .authority = {.spki = maker},
                                                     .profile = psa,
                                                     .manifest = "m"},
                                           .measurements = &claim,
                                           .count = 1};
    struct atls_condition condition = {
        .environment = &class_c, .elements = {&claim, NULL}, .element_count = {1, 0}};
    bool added, found;

    (void)state;
    begin(&f);
    assert_int_equal(atls_accepted_claims_add(&f.acs, &addition, &added, NULL), ATLS_OK);
    assert_true(added);
    assert_int_equal(atls_accepted_claims_match(&f.acs, &condition, &found, NULL), ATLS_OK);
    assert_true(found);
    condition.profile = psa;
    assert_int_equal(atls_accepted_claims_match(&f.acs, &condition, &found, NULL), ATLS_OK);
    assert_true(found);
    condition.profile = tdx;
    assert_int_equal(atls_accepted_claims_match(&f.acs, &condition, &found, NULL), ATLS_OK);
    assert_false(found);
    end(&f);
}

/* ---- series ---- */

static void the_first_entry_that_holds_contributes(void **state)
{
    static const struct {
        const char *name;
        uint64_t base;         /* svn of measurement 1 in the condition */
        uint64_t selection[3]; /* svn of measurement 1 in the entries, 0: by name */
        size_t want;           /* 1 + entry that contributes, 0: none */
    } rows[] = {
        {"the first", 1, {1, 1, 1}, 1},
        {"the second, and not the third", 1, {2, 1, 1}, 2},
        {"none", 1, {2, 3, 4}, 0},
        {"the condition does not hold", 2, {1, 1, 1}, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement base = svn_of(1, rows[i].base), selections[3], additions[3];
        struct atls_corim_series_entry entries[3];
        const struct atls_corim_series s = {
            .condition = ect_of(&class_c, ONE(base)), .entries = entries, .entry_count = 3};
        const struct atls_endorsement item = series_by(maker, &s);

        print_message("%s\n", rows[i].name);
        for (size_t k = 0; k < 3; k++) {
            selections[k] = svn_of(1, rows[i].selection[k]);
            additions[k] = svn_of(9, 100 + k);
            entries[k] = (struct atls_corim_series_entry){&selections[k], &additions[k], 1, 1};
        }
        begin(&f);
        endorse(&f, &item, 1);
        assert_int_equal(endorsed_elements(&f), rows[i].want == 0 ? 0 : 1);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(says(&f, ATLS_ACCEPTED_ENDORSEMENT, &class_c, maker, &additions[k]),
                             rows[i].want == k + 1);
        end(&f);
    }
}

static void a_series_without_measurements_in_its_condition_asks_for_keys(void **state)
{
    struct fixture f;
    struct atls_measurement selection = name_of(2, "two"), addition = svn_of(9, 4);
    struct atls_corim_series_entry entry = {&selection, &addition, 1, 1};
    struct atls_corim_series s = {
        .condition = ect_of(&class_c, NULL, 0), .entries = &entry, .entry_count = 1};
    const struct atls_endorsement item = series_by(maker, &s);

    (void)state;
    s.condition.authorized_by = by_maker;
    s.condition.authorized_by_count = 1;
    begin(&f);
    endorse(&f, &item, 1);
    assert_int_equal(endorsed_elements(&f), 0);
    end(&f);
    s.condition.authorized_by = by_signer;
    begin(&f);
    endorse(&f, &item, 1);
    assert_int_equal(endorsed_elements(&f), 1);
    end(&f);
}

/* ---- until nothing is new ---- */

/* Number i waits for what number i - 1 adds; the first for the evidence. last comes first, so that
 * each round adds one. */
#define CHAIN_MAX 20
struct chain {
    struct atls_measurement waits[CHAIN_MAX], adds[CHAIN_MAX];
    struct atls_corim_ect conditions[CHAIN_MAX], additions[CHAIN_MAX];
    struct atls_corim_conditional conditionals[CHAIN_MAX];
    struct atls_endorsement items[CHAIN_MAX];
};

static void build_chain(struct chain *c, size_t count, bool backwards)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = backwards ? count - 1 - i : i;

        c->waits[i] = svn_of(i == 0 ? 1 : 100 + i - 1, 1);
        c->adds[i] = svn_of(100 + i, 1);
        c->conditions[i] = ect_of(&class_c, &c->waits[i], 1);
        c->additions[i] = ect_of(&class_c, &c->adds[i], 1);
        c->conditionals[i] =
            (struct atls_corim_conditional){{NULL, 0}, &c->conditions[i], &c->additions[i], 1, 1};
        c->items[at] = conditional_by(maker, &c->conditionals[i]);
    }
}

static void an_addition_is_what_another_waits_for(void **state)
{
    static struct chain c;
    static const struct {
        const char *name;
        size_t count;
        bool backwards;
        enum atls_code want;
    } rows[] = {
        {"in order, one round is enough", CHAIN_MAX, false, ATLS_OK},
        {"against the order, all rounds", ATLS_ENDORSE_ROUNDS_MAX - 1, true, ATLS_OK},
        {"against the order, one too many", ATLS_ENDORSE_ROUNDS_MAX, true, ATLS_E_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        build_chain(&c, rows[i].count, rows[i].backwards);
        begin(&f);
        test_assert_code(atls_endorse(&f.acs, c.items, rows[i].count, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            assert_int_equal(endorsed_elements(&f), rows[i].count);
        end(&f);
    }
}

static void endorsements_that_wait_for_each_other_add_nothing(void **state)
{
    struct fixture f;
    struct atls_measurement a = svn_of(8, 1), b = svn_of(9, 1);
    struct atls_corim_ect ect_a = ect_of(&class_c, ONE(a)), ect_b = ect_of(&class_c, ONE(b));
    const struct atls_corim_conditional ab = {{NULL, 0}, &ect_a, &ect_b, 1, 1},
                                        ba = {{NULL, 0}, &ect_b, &ect_a, 1, 1};
    const struct atls_endorsement items[] = {conditional_by(maker, &ab),
                                             conditional_by(maker, &ba)};

    (void)state;
    begin(&f);
    endorse(&f, items, 2);
    assert_int_equal(endorsed_elements(&f), 0);
    end(&f);
}

/* ---- combining ---- */

static void conflicts_of_one_authority_are_dropped_and_reported(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes first, second;
        const struct atls_environment *of_second;
        uint64_t key, svn; /* of the second; the first says 4 of measurement 9 */
        size_t elements, conflicts;
    } rows[] = {
        {"one authority, another value", HEX("m"), HEX("m"), &class_c, 9, 5, 1, 1},
        {"one authority, the same value", HEX("m"), HEX("m"), &class_c, 9, 4, 1, 0},
        {"one authority, another element", HEX("m"), HEX("m"), &class_c, 8, 5, 2, 0},
        {"one authority, another environment", HEX("m"), HEX("m"), &device, 9, 5, 2, 0},
        {"two authorities, another value", HEX("m"), HEX("n"), &class_c, 9, 5, 2, 0},
        {"two authorities, the same value", HEX("m"), HEX("n"), &class_c, 9, 4, 2, 0},
        {"unsigned both, another value", {NULL, 0}, {NULL, 0}, &class_c, 9, 5, 1, 1},
        {"the attester's own key, against the evidence", HEX("m"), HEX("attester"), &device, 1, 2,
         1, 1},
        {"the attester's own key, as the evidence", HEX("m"), HEX("attester"), &device, 1, 1, 2, 0},
        {"unsigned, against the evidence", HEX("m"), {NULL, 0}, &device, 1, 2, 2, 0},
        {"a maker, against the evidence", HEX("m"), HEX("m"), &device, 1, 2, 2, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_measurement first = svn_of(9, 4), second = svn_of(rows[i].key, rows[i].svn);
        const struct atls_corim_endorsed a = {.ect = ect_of(&class_c, ONE(first))},
                                         b = {.ect = ect_of(rows[i].of_second, ONE(second))};
        const struct atls_endorsement items[] = {endorsed_by(rows[i].first, &a),
                                                 endorsed_by(rows[i].second, &b)};

        print_message("%s\n", rows[i].name);
        begin(&f);
        endorse(&f, items, 2);
        assert_int_equal(endorsed_elements(&f), rows[i].elements);
        assert_int_equal(f.acs.conflict_count, rows[i].conflicts);
        if (rows[i].conflicts != 0) {
            assert_string_equal(f.acs.conflicts[0].manifest, "endorsed");
            assert_int_equal(f.acs.conflicts[0].mkey->number, rows[i].key);
        }
        /* Whatever anybody adds, the evidence stays what it is. */
        assert_true(says(&f, ATLS_ACCEPTED_EVIDENCE, &device, signer, &f.evidence[0]));
        assert_int_equal(elements_of(&f.acs, ATLS_ACCEPTED_EVIDENCE), 2);
        end(&f);
    }
}

/* Unsigned evidence is nobody's, and no reason to drop what an unsigned manifest says. */
static void evidence_of_nobody_is_not_contradicted_by_nobody(void **state)
{
    struct fixture f;
    struct atls_measurement other = svn_of(1, 2);
    const struct atls_corim_endorsed e = {.ect = ect_of(&device, ONE(other))};
    const struct atls_endorsement item = endorsed_by(nobody, &e);

    (void)state;
    begin(&f);
    f.acs.entries[0].authority.spki = nobody;
    endorse(&f, &item, 1);
    assert_int_equal(endorsed_elements(&f), 1);
    assert_int_equal(f.acs.conflict_count, 0);
    end(&f);
}

static void a_maker_does_not_endorse_against_his_reference_value(void **state)
{
    struct fixture f;
    struct atls_measurement value = svn_of(1, 1), other = svn_of(1, 2);
    const struct atls_reference r = {"m", class_c, ONE(value), maker};
    const struct atls_corim_endorsed e = {.ect = ect_of(&class_c, ONE(other))};
    const struct atls_endorsement item = endorsed_by(maker, &e);

    (void)state;
    begin(&f);
    corroborate(&f, &r, 1);
    endorse(&f, &item, 1);
    assert_int_equal(endorsed_elements(&f), 0);
    assert_int_equal(f.acs.conflict_count, 1);
    end(&f);
}

static void an_addition_is_made_whole_or_not_at_all(void **state)
{
    struct fixture f;
    struct atls_measurement first = svn_of(9, 4), both[2] = {svn_of(8, 1), svn_of(9, 5)};
    const struct atls_corim_endorsed a = {.ect = ect_of(&class_c, ONE(first))},
                                     b = {.ect = ect_of(&class_c, both, 2)};
    const struct atls_endorsement items[] = {endorsed_by(maker, &a), endorsed_by(maker, &b)};

    (void)state;
    begin(&f);
    endorse(&f, items, 2);
    assert_int_equal(endorsed_elements(&f), 1);
    assert_false(says(&f, ATLS_ACCEPTED_ENDORSEMENT, &class_c, maker, &both[0]));
    end(&f);
}

/* Software components share an mkey: the value of another one is not a contradiction of this. */
static void elements_of_one_mkey_are_searched_for_one_that_agrees(void **state)
{
    struct fixture f;
    struct atls_measurement components[2] = {name_of(9, "boot"), name_of(9, "kernel")},
                            again = name_of(9, "kernel"), third = name_of(9, "third");
    const struct atls_corim_endorsed a = {.ect = ect_of(&class_c, components, 2)},
                                     b = {.ect = ect_of(&class_c, ONE(again))},
                                     c = {.ect = ect_of(&class_c, ONE(third))};
    const struct atls_endorsement items[] = {endorsed_by(maker, &a), endorsed_by(maker, &b),
                                             endorsed_by(maker, &c)};

    (void)state;
    begin(&f);
    endorse(&f, items, 3);
    assert_int_equal(endorsed_elements(&f), 2);
    assert_int_equal(f.acs.conflict_count, 1); /* the third agrees with none */
    end(&f);
}

static void conflicts_beyond_the_named_ones_are_counted(void **state)
{
    enum { MANY = ATLS_CONFLICTS_MAX + 3 };
    struct fixture f;
    struct atls_measurement first = svn_of(9, 4), others[MANY];
    const struct atls_corim_endorsed a = {.ect = ect_of(&class_c, ONE(first))};
    struct atls_corim_endorsed rest[MANY];
    struct atls_endorsement items[1 + MANY] = {endorsed_by(maker, &a)};

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        others[i] = svn_of(9, 5 + i);
        rest[i] = (struct atls_corim_endorsed){.ect = ect_of(&class_c, &others[i], 1)};
        items[1 + i] = endorsed_by(maker, &rest[i]);
    }
    begin(&f);
    endorse(&f, items, 1 + MANY);
    assert_int_equal(f.acs.conflict_count, MANY);
    end(&f);
}

/* ---- domains ---- */

static struct atls_corim_domain domain_of(enum atls_comid_triple kind,
                                          const struct atls_environment *e,
                                          struct atls_environment *members, size_t count)
{
    struct atls_corim_domain d = {
        .kind = kind, .environment = *e, .members = members, .member_count = count};

    return d;
}

static size_t entries_of(const struct fixture *f, enum atls_accepted_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < f->acs.entry_count; i++)
        count += f->acs.entries[i].kind == kind;
    return count;
}

static void domains_come_after_their_members(void **state)
{
    struct fixture f;
    struct atls_environment in_d[] = {class_c}, in_e[] = {class_d, device};
    const struct atls_corim_domain d = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_d, in_d, 1),
                                   e = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_e, in_e, 2);
    /* The outer one first. */
    const struct atls_domain_statement statements[] = {{"m", maker, &e}, {"m", maker, &d}};

    (void)state;
    begin(&f);
    assert_int_equal(atls_endorse_domains(&f.acs, statements, 1, NULL), ATLS_OK);
    assert_int_equal(entries_of(&f, ATLS_ACCEPTED_MEMBERSHIP), 0); /* a member is missing */
    assert_int_equal(atls_endorse_domains(&f.acs, statements, 2, NULL), ATLS_OK);
    assert_int_equal(entries_of(&f, ATLS_ACCEPTED_MEMBERSHIP), 2);
    assert_true(atls_environment_equal(f.acs.entries[1].environment, &class_d));
    assert_true(atls_environment_equal(f.acs.entries[2].environment, &class_e));
    end(&f);
}

static void domains_that_contain_each_other_are_not_added(void **state)
{
    struct fixture f;
    struct atls_environment in_d[] = {class_e}, in_e[] = {class_d};
    const struct atls_corim_domain d = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_d, in_d, 1),
                                   e = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_e, in_e, 1),
                                   none = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_e, NULL, 0);
    const struct atls_domain_statement statements[] = {
        {"m", maker, &e}, {"m", maker, &d}, {"m", maker, &none}};

    (void)state;
    begin(&f);
    assert_int_equal(atls_endorse_domains(&f.acs, statements, 3, NULL), ATLS_OK);
    assert_int_equal(f.acs.entry_count, 1);
    end(&f);
}

/* What was only endorsed is not there. */
static void members_are_evidence_or_domains(void **state)
{
    struct fixture f;
    struct atls_measurement one = svn_of(1, 1), claim = svn_of(9, 4);
    struct atls_corim_ect condition = ect_of(&class_c, ONE(one)),
                          addition = ect_of(&class_d, ONE(claim));
    const struct atls_corim_conditional c = {{NULL, 0}, &condition, &addition, 1, 1};
    const struct atls_endorsement item = conditional_by(maker, &c);
    struct atls_environment members[] = {class_d};
    const struct atls_corim_domain d = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_e, members, 1);
    const struct atls_domain_statement statement = {"m", maker, &d};

    (void)state;
    begin(&f);
    endorse(&f, &item, 1);
    assert_int_equal(endorsed_elements(&f), 1);
    assert_int_equal(atls_endorse_domains(&f.acs, &statement, 1, NULL), ATLS_OK);
    assert_int_equal(entries_of(&f, ATLS_ACCEPTED_MEMBERSHIP), 0);
    end(&f);
}

static void trustees_are_members_of_the_domain(void **state)
{
    static const struct {
        const char *name;
        const struct atls_environment *trustee;
        bool with_domain;
        bool want;
    } rows[] = {
        {"a member", &class_c, true, true},
        {"no member", &class_e, true, false},
        {"no domain", &class_c, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_environment members[] = {class_c, device}, trustees[] = {*rows[i].trustee};
        const struct atls_corim_domain domain =
                                           domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_d, members, 2),
                                       dependency =
                                           domain_of(ATLS_TRIPLE_DEPENDENCY, &class_d, trustees, 1);
        const struct atls_domain_statement statements[] = {{"m", certifier, &dependency},
                                                           {"m", maker, &domain}};

        print_message("%s\n", rows[i].name);
        begin(&f);
        assert_int_equal(
            atls_endorse_domains(&f.acs, statements, rows[i].with_domain ? 2 : 1, NULL), ATLS_OK);
        assert_int_equal(entries_of(&f, ATLS_ACCEPTED_DEPENDENCY), rows[i].want ? 1 : 0);
        end(&f);
    }
}

/* Domains are no claims about their environment: conditions do not see them. */
static void a_domain_is_no_condition(void **state)
{
    struct fixture f;
    struct atls_measurement claim = svn_of(9, 4);
    const struct atls_corim_endorsed e = {.ect = ect_of(&class_d, ONE(claim))};
    const struct atls_endorsement item = endorsed_by(maker, &e);
    struct atls_environment members[] = {class_c};
    const struct atls_corim_domain d = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_d, members, 1);
    const struct atls_domain_statement statement = {"m", maker, &d};

    (void)state;
    begin(&f);
    assert_int_equal(atls_endorse_domains(&f.acs, &statement, 1, NULL), ATLS_OK);
    assert_int_equal(entries_of(&f, ATLS_ACCEPTED_MEMBERSHIP), 1);
    endorse(&f, &item, 1);
    assert_int_equal(endorsed_elements(&f), 0);
    end(&f);
}

/* ---- limits ---- */

static void entries_are_bounded(void **state)
{
    struct fixture f;
    struct atls_environment members[] = {class_c};
    const struct atls_corim_domain d = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_d, members, 1);
    struct atls_domain_statement *statements =
        calloc(ATLS_ACCEPTED_ENTRIES_MAX, sizeof *statements);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_non_null(statements);
    for (size_t i = 0; i < ATLS_ACCEPTED_ENTRIES_MAX; i++)
        statements[i] = (struct atls_domain_statement){"m", maker, &d};
    begin(&f);
    test_assert_code(atls_endorse_domains(&f.acs, statements, ATLS_ACCEPTED_ENTRIES_MAX - 1, &err),
                     ATLS_OK, &err);
    assert_int_equal(f.acs.entry_count, ATLS_ACCEPTED_ENTRIES_MAX);
    test_assert_code(atls_endorse_domains(&f.acs, statements, 1, &err), ATLS_E_LIMIT, &err);
    end(&f);
    free(statements);
}

static void elements_are_bounded(void **state)
{
    struct fixture f;
    struct atls_measurement m = svn_of(1, 1);
    const struct atls_accepted_element element = {.measurement = &m};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    begin(&f);
    for (size_t i = 2; i < ATLS_ACCEPTED_ELEMENTS_MAX; i++)
        assert_int_equal(atls_accepted_claims_append(&f.acs, 0, &element, NULL), ATLS_OK);
    test_assert_code(atls_accepted_claims_append(&f.acs, 0, &element, &err), ATLS_E_LIMIT, &err);
    atls_accepted_claims_clear(&f.acs);
    f.claims.measurement_count = ATLS_ACCEPTED_ELEMENTS_MAX / 2 + 1;
    test_assert_code(atls_accepted_claims_init(&f.acs, &f.claims, &err), ATLS_E_LIMIT, &err);
    end(&f);
}

/* Each of the functions that compare gives up, and says why. */
static void work_is_bounded(void **state)
{
    struct atls_measurement one = svn_of(1, 1), claim = svn_of(9, 4);
    struct atls_corim_ect condition = ect_of(&class_c, ONE(one)),
                          addition = ect_of(&class_c, ONE(claim));
    struct atls_corim_series_entry entry = {&one, &claim, 1, 1};
    struct atls_environment members[] = {class_c};
    const struct atls_corim_domain domain = domain_of(ATLS_TRIPLE_MEMBERSHIP, &class_d, members, 1),
                                   dependency =
                                       domain_of(ATLS_TRIPLE_DEPENDENCY, &class_d, members, 1);
    const struct atls_domain_statement statements[] = {{"m", maker, &domain},
                                                       {"m", maker, &dependency}};
    const struct atls_corim_endorsed e = {.ect = addition};
    const struct atls_corim_conditional c = {{NULL, 0}, &condition, &addition, 1, 1};
    const struct atls_corim_series s = {
        .condition = condition, .entries = &entry, .entry_count = 1};
    const struct atls_endorsement items[] = {endorsed_by(maker, &e), conditional_by(certifier, &c),
                                             series_by(signer, &s)};
    const struct atls_reference r = {"m", class_c, ONE(one), maker};
    size_t needed = 0;

    (void)state;
    condition.authorized_by = by_signer;
    condition.authorized_by_count = 1;
    for (size_t left = 0, done = 0; !done; left++) {
        struct fixture f;
        const struct atls_corroboration_input in = {
            .claims = &f.claims, .references = &r, .count = 1};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        begin(&f);
        f.acs.work = ATLS_ACCEPTED_WORK_MAX - left;
        code = atls_corroborate(&in, &f.acs, &f.corroboration, &err);
        if (code == ATLS_OK)
            code = atls_endorse(&f.acs, items, 3, &err);
        if (code == ATLS_OK)
            code = atls_endorse_domains(&f.acs, statements, 2, &err);
        done = code == ATLS_OK;
        if (!done)
            test_assert_code(code, ATLS_E_LIMIT, &err);
        needed = left;
        assert_true(left < 1000);
        end(&f);
    }
    assert_true(needed > 50);
}

/* ---- the worked examples of the draft ---- */

/* cddl/examples/intrep-rel-ae-psa.diag of the draft, by hand. */

static const struct atls_environment psa_class = {.class_id =
                                                      HEX("\xd9\x02\x30\x58\x20"
                                                          "acme-implementation-id-000000001")};
static struct atls_digest psa_digest[] = {
    {ATLS_HASH_SHA256, 1,
     HEX("\x9a\x27\x1f\x2a\x91\x6b\x0b\x6e\xe6\xce\xcb\x24\x26\xf0\xb3\x20\x6e\xf0\x74\x57\x8b\xe5"
         "\x5d\x9b\xc9\x4f\x6f\x3f\xe3\xab\x86\xaa")}};
static struct atls_corim_key psa_signer_id[] = {
    {ATLS_TAG_BYTES, HEX("\x53\x78\x79\x63\x07\x53\x5d\xf3\xec\x8d\x8b\x15\xa2\xe2\xdc\x56\x41\x41"
                         "\x9c\x3d\x30\x60\xcf\xe3\x22\x38\xc0\xfa\x97\x3f\x7a\xa3")}};
static struct atls_mval_extension psa_certificate[] = {{100, HEX("\x75"
                                                                 "1234567890123 - 12345")}};

/* What the manufacturer and the certifier publish, and what the set then is: the draft's
 * intrep-acs-psa-1 and -2. */
static void the_worked_example_of_the_draft(void **state)
{
    struct atls_buf refval = test_vector("corim/draft-comid-psa-refval.cbor"),
                    endval = test_vector("corim/draft-comid-psa-endval.cbor");
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_measurement component = {
        .mkey = {ATLS_MKEY_TEXT, 0, HEX("psa.software-component")},
        .mval = {.present = ATLS_MVAL_DIGESTS | ATLS_MVAL_NAME | ATLS_MVAL_KEYS,
                 .digests = psa_digest,
                 .digest_count = 1,
                 .name = HEX("PRoT"),
                 .keys = psa_signer_id,
                 .key_count = 1}};
    const struct atls_measurement certified = {
        .mkey = {ATLS_MKEY_TEXT, 0, HEX("psa.certification")},
        .mval = {
            .present = ATLS_MVAL_EXTENSIONS, .extensions = psa_certificate, .extension_count = 1}};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_comid made, certificate;
    struct atls_reference references[2];
    struct atls_endorsement item;
    struct fixture f;

    (void)state;
    test_assert_code(atls_comid_decode(atls_buf_bytes(&refval), &arena, &made, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_comid_decode(atls_buf_bytes(&endval), &arena, &certificate, &err),
                     ATLS_OK, &err);
    assert_int_equal(made.reference_count, 2);
    assert_int_equal(certificate.conditional_count, 1);
    for (size_t i = 0; i < 2; i++)
        references[i] = (struct atls_reference){"acme", made.references[i].environment,
                                                made.references[i].measurements,
                                                made.references[i].count, maker};
    item = conditional_by(certifier, &certificate.conditionals[0]);

    memset(&f, 0, sizeof f);
    f.claims.technology = "psa";
    f.claims.environment = psa_class;
    f.claims.environment.instance = (struct atls_bytes)HEX(
        "\xd9\x02\x26\x58\x21\x01\x4c\xa3\xe4\xf5\x0b\xf2\x48\xc3\x97\x87\x02\x0d\x68\xff\xd0\x5c"
        "\x88\x76\x77\x51\xbf\x26\x45\xca\x92\x3f\x57\xa9\x8b\xec\xd2\x96");
    f.claims.measurements = &component;
    f.claims.measurement_count = 1;
    f.claims.signer_spki = signer;
    assert_int_equal(atls_accepted_claims_init(&f.acs, &f.claims, NULL), ATLS_OK);

    corroborate(&f, references, 2);
    assert_int_equal(f.acs.entry_count, 2);
    assert_int_equal(f.acs.element_count, 2);
    assert_true(says(&f, ATLS_ACCEPTED_EVIDENCE, &f.claims.environment, signer, &component));
    assert_true(says(&f, ATLS_ACCEPTED_REFERENCE, &psa_class, maker, &component));
    assert_true(atls_mval_holds(&references[0].measurements[0].mval, &component.mval));
    assert_false(atls_mval_holds(&references[1].measurements[0].mval, &component.mval));

    endorse(&f, &item, 1);
    assert_int_equal(f.acs.entry_count, 3);
    assert_int_equal(f.acs.element_count, 3);
    assert_true(says(&f, ATLS_ACCEPTED_ENDORSEMENT, &psa_class, certifier, &certified));
    end(&f);

    /* In the other state that the manufacturer accepts nobody has certified the device. */
    component.mval.digests = references[1].measurements[0].mval.digests;
    assert_int_equal(atls_accepted_claims_init(&f.acs, &f.claims, NULL), ATLS_OK);
    corroborate(&f, references, 2);
    endorse(&f, &item, 1);
    assert_true(f.corroboration.findings[0].covered);
    assert_int_equal(endorsed_elements(&f), 0);
    end(&f);
    atls_arena_clear(&arena);
    atls_buf_clear(&refval);
    atls_buf_clear(&endval);
}

/* The other worked example, of randomly chosen content (draft-intrep-rel-rv-1): two elements
 * without mkey, each of several members. Integer ranges that cannot be are left out, as are
 * digests. */
static void two_elements_without_mkey(void **state)
{
    static const struct atls_environment begiggle = {
        .model = HEX("begiggle"), .has_layer = true, .layer = 586};
    static const struct atls_mval values[2] = {
        {.present = ATLS_MVAL_VERSION | ATLS_MVAL_MIN_SVN | ATLS_MVAL_FLAGS | ATLS_MVAL_RAW |
                    ATLS_MVAL_IP | ATLS_MVAL_SERIAL | ATLS_MVAL_INT_RANGE,
         .version = HEX("medioccipital"),
         .version_scheme = HEX("\x04"),
         .svn = 2784,
         .flags_known = 0x3ec,
         .flags = 0x224,
         .raw = HEX("effervesce"),
         .mask = HEX("noseanites"),
         .ip = HEX("\x01\xb4\x4f\x2a"),
         .serial = HEX("oviductal"),
         .range = {.is_range = true, .has_most = true, .most = 3339}},
        {.present = ATLS_MVAL_SVN | ATLS_MVAL_MAC | ATLS_MVAL_SERIAL,
         .svn = 4101,
         .mac = HEX("\xfc\xc2\x24\x11\xda\xfc"),
         .serial = HEX("vague")}};
    struct atls_measurement evidence[2] = {{.mval = values[1]}, {.mval = values[0]}},
                            expected[2] = {{.mval = values[0]}, {.mval = values[1]}};
    const struct atls_reference r = {"whitrack", begiggle, expected, 2, maker};
    struct fixture f;

    (void)state;
    memset(&f, 0, sizeof f);
    /* What the attester says is a value where the manifest has a bound. */
    evidence[1].mval.present =
        (evidence[1].mval.present & ~(unsigned int)ATLS_MVAL_MIN_SVN) | ATLS_MVAL_SVN;
    evidence[1].mval.svn = 2785;
    evidence[1].mval.mask = nobody;
    evidence[1].mval.range = (struct atls_int_range){.least = -7, .most = -7};
    f.claims.technology = "tpm";
    f.claims.environment = begiggle;
    f.claims.measurements = evidence;
    f.claims.measurement_count = 2;
    assert_int_equal(atls_accepted_claims_init(&f.acs, &f.claims, NULL), ATLS_OK);
    corroborate(&f, &r, 1);
    assert_true(f.corroboration.findings[0].covered);
    assert_true(f.corroboration.findings[1].covered);
    assert_int_equal(elements_of(&f.acs, ATLS_ACCEPTED_REFERENCE), 2);
    atls_corroboration_clear(&f.corroboration);
    atls_accepted_claims_clear(&f.acs);

    evidence[1].mval.svn = 2783;
    assert_int_equal(atls_accepted_claims_init(&f.acs, &f.claims, NULL), ATLS_OK);
    corroborate(&f, &r, 1);
    assert_true(f.corroboration.findings[0].covered);
    assert_false(f.corroboration.findings[1].covered);
    end(&f);
}

static void put_thumbprint(uint8_t out[36], struct atls_bytes spki, struct atls_corim_key *key)
{
    uint8_t digest[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, spki, digest, NULL), ATLS_OK);
    memcpy(out, "\x82\x01\x58\x20", 4);
    memcpy(out + 4, digest, 32);
    key->content = atls_bytes_of(out, 36);
}

static int set_up(void **state)
{
    (void)state;
    put_thumbprint(thumbprint_of_signer, signer, by_signer);
    put_thumbprint(thumbprint_of_maker, maker, by_maker);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_enters_under_its_signer),
        cmocka_unit_test(a_reference_value_that_matches_adds_its_provider),
        cmocka_unit_test(records_of_one_authority_and_environment_are_one_entry),
        cmocka_unit_test(more_providers_than_have_a_bit_are_told_apart),
        cmocka_unit_test(a_value_that_names_a_key_holds_for_evidence_of_that_key_only),
        cmocka_unit_test(measurements_are_found_among_many),
        cmocka_unit_test(endorsed_values_need_their_environment),
        cmocka_unit_test(endorsed_values_wait_for_the_keys_that_they_name),
        cmocka_unit_test(every_condition_must_hold),
        cmocka_unit_test(elements_of_one_condition_must_hold_for_one_entry),
        cmocka_unit_test(without_condition_nothing_is_added),
        cmocka_unit_test(a_condition_may_name_who_says_it),
        cmocka_unit_test(a_maker_does_not_vouch_for_what_he_did_not_name),
        cmocka_unit_test(additions_of_a_conditional_may_name_keys),
        cmocka_unit_test(a_condition_of_a_profile_needs_an_entry_of_it),
        cmocka_unit_test(the_first_entry_that_holds_contributes),
        cmocka_unit_test(a_series_without_measurements_in_its_condition_asks_for_keys),
        cmocka_unit_test(an_addition_is_what_another_waits_for),
        cmocka_unit_test(endorsements_that_wait_for_each_other_add_nothing),
        cmocka_unit_test(conflicts_of_one_authority_are_dropped_and_reported),
        cmocka_unit_test(evidence_of_nobody_is_not_contradicted_by_nobody),
        cmocka_unit_test(a_maker_does_not_endorse_against_his_reference_value),
        cmocka_unit_test(an_addition_is_made_whole_or_not_at_all),
        cmocka_unit_test(elements_of_one_mkey_are_searched_for_one_that_agrees),
        cmocka_unit_test(conflicts_beyond_the_named_ones_are_counted),
        cmocka_unit_test(domains_come_after_their_members),
        cmocka_unit_test(domains_that_contain_each_other_are_not_added),
        cmocka_unit_test(members_are_evidence_or_domains),
        cmocka_unit_test(trustees_are_members_of_the_domain),
        cmocka_unit_test(a_domain_is_no_condition),
        cmocka_unit_test(entries_are_bounded),
        cmocka_unit_test(elements_are_bounded),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(the_worked_example_of_the_draft),
        cmocka_unit_test(two_elements_without_mkey),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
