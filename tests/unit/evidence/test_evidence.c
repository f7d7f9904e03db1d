/* The one way in: what is refused before a technology sees it. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "tpm_forge.h"

#include "core/err.h"
#include "core/log.h"
#include "evidence/evidence.h"

static const uint8_t binder[48] = {1, 2, 3};

static void expected_binder_and_key_are_not_optional(void **state)
{
    static const size_t lens[] = {0, 1, 31, 33, 47, 49, 64};
    static const uint8_t long_binder[64] = {1};
    struct atls_evidence_request request = {.aik_spki = atls_bytes_of("key", 3)};
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        request.binder = atls_bytes_of(lens[i] == 0 ? NULL : long_binder, lens[i]);
        test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_USAGE, &err);
        assert_int_equal(err.reason, ATLS_REASON_BINDER_MISSING);
    }
    request.binder = atls_bytes_of(binder, 32);
    request.aik_spki.len = 0;
    test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_USAGE, &err);
    request.aik_spki.len = 3;
    test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    /* An error that nobody reads is an error all the same. */
    assert_int_equal(atls_evidence_verify(&request, &claims, NULL), ATLS_E_DECODE);
}

static void evidence_that_is_no_bundle(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes in;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"empty", HEX(""), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"no CBOR", HEX("\xff"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"no CMW", HEX("\x01"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"a record that is no platform token", HEX("\x82\x19\x01\x07\x41x"), ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"an empty collection", HEX("\xa0"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_evidence_request request = {
            .evidence = rows[i].in,
            .binder = atls_bytes_of(binder, 32),
            .aik_spki = atls_bytes_of("key", 3),
        };
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_evidence_verify(&request, &claims, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
    }
}

static void types_that_nobody_knows(void **state)
{
    static const struct {
        const char *name, *kat, *pat;
    } rows[] = {
        {"unknown platform token", NULL, "application/vnd.example.unknown"},
        {"unknown key token", "application/vnd.example.unknown", NULL},
        {"swapped halves", ATLS_TYPE_TPM_QUOTE, ATLS_TYPE_TPM_CERTIFY},
        {"a quote in both places", ATLS_TYPE_TPM_QUOTE, ATLS_TYPE_TPM_QUOTE},
        {"a profile of somebody else", NULL,
         "application/eat+cwt; eat_profile=\"urn:uuid:00000000-0000-0000-0000-000000000000\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_tpm_evidence e;
        struct atls_evidence_request request = {.binder = atls_bytes_of(binder, 32)};
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf cmw;

        print_message("  %s\n", rows[i].name);
        test_tpm_evidence_init(&e, atls_bytes_of(binder, 32));
        e.kat_type = rows[i].kat;
        e.pat_type = rows[i].pat;
        cmw = test_tpm_evidence_encode(&e);
        request.evidence = atls_buf_bytes(&cmw);
        request.aik_spki = test_tpm_evidence_aik_spki(&e);
        test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_UNSUPPORTED, &err);
        assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
        atls_buf_clear(&cmw);
        test_tpm_evidence_clear(&e);
    }
}

static void content_formats_that_nobody_knows(void **state)
{
    struct atls_cmw kat = atls_cmw_record_cf(267, atls_bytes_of("k", 1), 0);
    struct atls_cmw pat = atls_cmw_record_cf(60, atls_bytes_of("p", 1), 0);
    struct atls_writer w = atls_writer_init(4096);
    struct atls_evidence_request request = {
        .binder = atls_bytes_of(binder, 32),
        .aik_spki = atls_bytes_of("key", 3),
    };
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_bundle_encode(&kat, &pat, NULL, &w, &err), ATLS_OK, &err);
    request.evidence = atls_writer_bytes(&w);
    test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    atls_writer_clear(&w);
}

/* The octet behind the value of a record is its indicator; cmw was decoded from in. */
static uint8_t *indicator_of(struct atls_buf *in, const struct atls_cmw *cmw)
{
    return in->ptr + (cmw->value.ptr - in->ptr) + cmw->value.len;
}

/* Evidence of which one record says that it is something else than what it is used for. */
static void indicators_are_held_against_use(void **state)
{
    static const char *const rows[] = {"kat", "pat", "ak-chain"};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_tpm_evidence e;
        struct atls_evidence_request request = {.binder = atls_bytes_of(binder, 32)};
        struct atls_arena arena = atls_arena_init(1 << 16);
        const struct atls_cmw *record;
        struct atls_claims claims;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cmw cmw;
        struct atls_buf in;
        uint8_t *ind;

        print_message("  %s\n", rows[i]);
        test_tpm_evidence_init(&e, atls_bytes_of(binder, 32));
        e.ak_chain[0] = atls_bytes_of("certificate", 11);
        e.ak_chain_count = 1;
        in = test_tpm_evidence_encode(&e);
        test_assert_code(atls_cmw_decode(atls_buf_bytes(&in), &arena, &cmw, &err), ATLS_OK, &err);
        record = atls_cmw_find(&cmw, rows[i]);
        if (record == NULL)
            record = &atls_cmw_find(atls_cmw_find(&cmw, "endorsements"), rows[i])->entries[0].value;
        ind = indicator_of(&in, record);
        assert_int_equal(*ind, i < 2 ? ATLS_CMW_EVIDENCE : ATLS_CMW_ENDORSEMENTS);
        *ind = ATLS_CMW_ATTESTATION_RESULTS;
        request.evidence = atls_buf_bytes(&in);
        request.aik_spki = test_tpm_evidence_aik_spki(&e);
        test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        assert_non_null(strstr(err.message, "ind of"));
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
        test_tpm_evidence_clear(&e);
    }
}

/* Cut anywhere, or with any one byte more, evidence is malformed, not misread. */
static void truncations_are_refused(void **state)
{
    struct test_tpm_evidence e;
    struct atls_evidence_request request = {.binder = atls_bytes_of(binder, 32)};
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf cmw;

    (void)state;
    test_tpm_evidence_init(&e, atls_bytes_of(binder, 32));
    cmw = test_tpm_evidence_encode(&e);
    request.aik_spki = test_tpm_evidence_aik_spki(&e);
    for (size_t len = 0; len < cmw.len; len++) {
        request.evidence = atls_bytes_of(cmw.ptr, len);
        test_assert_code(atls_evidence_verify(&request, &claims, &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    }
    atls_buf_clear(&cmw);
    test_tpm_evidence_clear(&e);
}

static void details_are_bounded(void **state)
{
    struct atls_claims claims = {0};
    struct atls_detail detail = {.name = "x", .type = ATLS_DETAIL_UINT, .number = 1};

    (void)state;
    for (size_t i = 0; i < ATLS_DETAILS_MAX; i++)
        assert_true(atls_claims_add(&claims, detail));
    assert_false(atls_claims_add(&claims, detail));
    assert_int_equal(claims.detail_count, ATLS_DETAILS_MAX);
    atls_claims_clear(&claims);
    atls_claims_clear(NULL);
    atls_attest_key_clear(NULL);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* No evidence is that of two rows: a shared type has something else that tells. */
static void assert_distinct(const struct atls_evidence_format *a,
                            const struct atls_evidence_format *b)
{
    if (a != b && same_text(a->pat_type, b->pat_type) && same_text(a->kat_type, b->kat_type))
        assert_true(a->recognises != NULL && b->recognises != NULL &&
                    a->recognises != b->recognises);
}

static void each_form_is_of_one_technology(void **state)
{
    (void)state;
    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        for (const struct atls_technology *const *u = t; *u != NULL; u++)
            for (const struct atls_evidence_format *a = (*t)->formats; a->pat_type != NULL; a++)
                for (const struct atls_evidence_format *b = (*u)->formats; b->pat_type != NULL; b++)
                    assert_distinct(a, b);
}

/* Rows of the table: distinct names and types; nothing that anyone can make is not marked so. */
static void table_of_technologies(void **state)
{
    static const struct atls_technology *const some[] = {
        &atls_technology_tpm, &atls_technology_soft, &atls_technology_cca, &atls_technology_psa,
        &atls_technology_tdx, &atls_technology_snp,  &atls_technology_sgx};
    size_t count = 0, found = 0;

    (void)state;
    for (; atls_technologies[count] != NULL; count++) {
        const struct atls_technology *t = atls_technologies[count];

        assert_non_null(t->verify);
        assert_non_null(t->formats[0].pat_type);
        assert_int_equal(t->insecure, strcmp(t->name, "soft") == 0);
        for (size_t i = 0; i < count; i++) {
            assert_string_not_equal(t->name, atls_technologies[i]->name);
            assert_string_not_equal(t->submod, atls_technologies[i]->submod);
        }
    }
    for (size_t i = 0; i < count * sizeof some / sizeof some[0]; i++)
        found += some[i / count] == atls_technologies[i % count];
    assert_int_equal(found, sizeof some / sizeof some[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_binder_and_key_are_not_optional),
        cmocka_unit_test(evidence_that_is_no_bundle),
        cmocka_unit_test(types_that_nobody_knows),
        cmocka_unit_test(content_formats_that_nobody_knows),
        cmocka_unit_test(indicators_are_held_against_use),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(details_are_bounded),
        cmocka_unit_test(table_of_technologies),
        cmocka_unit_test(each_form_is_of_one_technology),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
