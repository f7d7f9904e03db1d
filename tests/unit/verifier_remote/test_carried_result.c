#include "testlib.h"

#include <string.h>

#include "signed_result.h"
#include "verifier/remote/accept_token.h"
#include "verifier/remote/carried_result.h"

#define NOW 1700000000

static struct test_signer signer;

static int make_signer(void **state)
{
    (void)state;
    test_signer_init(&signer, NULL);
    return 0;
}

static int clear_signer(void **state)
{
    (void)state;
    test_signer_clear(&signer);
    return 0;
}

/* A token of this form and profile, and what it says. */
static struct atls_buf make(enum atls_ear_form form, const char *profile, struct atls_ear *out)
{
    const struct test_result r = {.signer = &signer,
                                  .key = atls_key_spki(atls_private_key_public(signer.key)),
                                  .issued_s = NOW,
                                  .form = form,
                                  .profile = profile};
    struct atls_buf token = test_token(&r), pem = ATLS_BUF_INIT;
    struct atls_ear_check check;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_key_to_pem(atls_private_key_public(signer.key), &pem, &err), ATLS_OK,
                     &err);
    atls_ear_check_init(&check);
    check.public_key_pem = atls_buf_bytes(&pem);
    check.time_s = NOW;
    check.max_age_s = 60;
    test_assert_code(atls_ear_accept(atls_buf_bytes(&token), &check, out, &err), ATLS_OK, &err);
    atls_buf_clear(&pem);
    return token;
}

/* What the source writes, the verifier reads: form, type with the profile, indicator. */
static void what_is_encoded_opens_again(void **state)
{
    static const struct {
        enum atls_ear_form form;
        const char *profile, *type;
    } rows[] = {
        {ATLS_EAR_FORM_JWT, ATLS_EAR_PROFILE_04,
         "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_04 "\""},
        {ATLS_EAR_FORM_CWT, ATLS_EAR_PROFILE_04,
         "application/eat+cwt; eat_profile=\"" ATLS_EAR_PROFILE_04 "\""},
        {ATLS_EAR_FORM_JWT, ATLS_EAR_PROFILE_2023,
         "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_2023 "\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_carried_result carried;
        struct atls_buf token, cmw = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        token = make(rows[i].form, rows[i].profile, &ear);
        test_assert_code(atls_carried_result_encode(atls_buf_bytes(&token), &ear, &cmw, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_carried_result_open(atls_buf_bytes(&cmw), &carried, &err), ATLS_OK,
                         &err);
        test_assert_bytes(carried.token, atls_buf_bytes(&token));
        assert_int_equal(carried.form, rows[i].form);
        test_assert_bytes(carried.type.text, atls_bytes_of(rows[i].type, strlen(rows[i].type)));
        test_assert_code(atls_carried_result_check(&carried, &ear, &err), ATLS_OK, &err);
        atls_ear_clear(&ear);
        atls_buf_clear(&cmw);
        atls_buf_clear(&token);
    }
}

/* A profile that no quoted text of a type can hold is left out of it. */
static void a_profile_that_does_not_fit_is_left_out(void **state)
{
    static const char *const profiles[] = {"tag:a\"b", "tag:a\\b", "tag:\x7f", "tag:\x1f", NULL};
    char large[300];
    struct atls_buf token;
    struct atls_ear ear;

    (void)state;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    token = make(ATLS_EAR_FORM_JWT, ATLS_EAR_PROFILE_04, &ear);
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        const char *profile = profiles[i] != NULL ? profiles[i] : large;
        struct atls_carried_result carried;
        struct atls_buf cmw = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        ear.profile = atls_bytes_of(profile, strlen(profile));
        test_assert_code(atls_carried_result_encode(atls_buf_bytes(&token), &ear, &cmw, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_carried_result_open(atls_buf_bytes(&cmw), &carried, &err), ATLS_OK,
                         &err);
        assert_true(atls_bytes_equal_text(carried.type.text, TEST_EAT_JWT));
        test_assert_code(atls_carried_result_check(&carried, &ear, &err), ATLS_OK, &err);
        atls_buf_clear(&cmw);
    }
    atls_ear_clear(&ear);
    atls_buf_clear(&token);
}

static void a_token_that_no_authenticator_takes_is_refused(void **state)
{
    static uint8_t large[ATLS_CMW_DATA_MAX + 1];
    struct atls_buf token, cmw = ATLS_BUF_INIT;
    struct atls_ear ear;

    (void)state;
    token = make(ATLS_EAR_FORM_JWT, ATLS_EAR_PROFILE_04, &ear);
    memset(large, 'e', sizeof large);
    assert_int_equal(
        atls_carried_result_encode(atls_bytes_of(large, sizeof large), &ear, &cmw, NULL),
        ATLS_E_LIMIT);
    assert_null(cmw.ptr);
    atls_ear_clear(&ear);
    atls_buf_clear(&token);
}

/* Opens a record of this type around some token. */
static enum atls_code open_as(const char *type, uint32_t ind, struct atls_carried_result *out,
                              struct atls_buf *keep, struct atls_err *err)
{
    *keep = test_carried(type, atls_bytes_of("token", 5), ind);
    return atls_carried_result_open(atls_buf_bytes(keep), out, err);
}

static void opens_what_says_that_it_is_a_result(void **state)
{
    static const struct {
        const char *type;
        uint32_t ind;
        enum atls_ear_form form;
    } rows[] = {
        {"application/eat+jwt", 0, ATLS_EAR_FORM_JWT},
        {"application/eat+jwt", ATLS_CMW_ATTESTATION_RESULTS, ATLS_EAR_FORM_JWT},
        {"Application/EAT+JWT", 0, ATLS_EAR_FORM_JWT},
        {"application/eat+jwt; eat_profile=\"tag:x\"", 0, ATLS_EAR_FORM_JWT},
        {"application/eat+cwt", 0, ATLS_EAR_FORM_CWT},
        {"application/eat-jwt", 0, ATLS_EAR_FORM_JWT},
        {"application/eat-cwt", 0, ATLS_EAR_FORM_CWT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_carried_result carried;
        struct atls_buf cmw;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(open_as(rows[i].type, rows[i].ind, &carried, &cmw, &err), ATLS_OK, &err);
        assert_int_equal(carried.form, rows[i].form);
        assert_true(atls_bytes_equal_text(carried.token, "token"));
        atls_buf_clear(&cmw);
    }
}

static void refuses_what_says_that_it_is_something_else(void **state)
{
    static const struct {
        const char *type;
        uint32_t ind;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"application/eat+jwt", ATLS_CMW_EVIDENCE, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"application/eat+jwt", ATLS_CMW_ENDORSEMENTS, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"application/eat-ucs+cbor", 0, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"application/psa-attestation-token", 0, ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"text/plain", 0, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_carried_result carried;
        struct atls_buf cmw;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(open_as(rows[i].type, rows[i].ind, &carried, &cmw, &err), rows[i].want,
                         &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&cmw);
    }
}

/* The other shapes of a CMW, in bytes. */
static void tags_count_and_collections_do_not(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes cmw;
        enum atls_code want;
        enum atls_ear_form form;
    } rows[] = {
        {"record with content-format 263", HEX("\x82\x19\x01\x07\x41t"), ATLS_OK,
         ATLS_EAR_FORM_CWT},
        {"tag of content-format 263", HEX("\xda\x63\x74\x02\x09\x41t"), ATLS_OK, ATLS_EAR_FORM_CWT},
        {"record with content-format 60 (CBOR)", HEX("\x82\x18\x3c\x41t"), ATLS_E_UNSUPPORTED, 0},
        {"collection of one result", HEX("\xa1\x61r\x82\x19\x01\x07\x41t"), ATLS_E_UNSUPPORTED, 0},
        {"nothing", HEX(""), ATLS_E_DECODE, 0},
        {"a JSON record", HEX("[\"application/eat+jwt\",\"dA\"]"), ATLS_E_DECODE, 0},
        {"something behind it", HEX("\x82\x19\x01\x07\x41t\x00"), ATLS_E_DECODE, 0},
        {"no value", HEX("\x82\x19\x01\x07\x40"), ATLS_E_DECODE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_carried_result carried;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_carried_result_open(rows[i].cmw, &carried, &err);

        if (code != rows[i].want)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
        if (code == ATLS_OK)
            assert_int_equal(carried.form, rows[i].form);
    }
}

static void every_truncation_is_refused(void **state)
{
    struct atls_carried_result carried;
    struct atls_buf cmw;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(
        open_as("application/eat+jwt", ATLS_CMW_ATTESTATION_RESULTS, &carried, &cmw, &err), ATLS_OK,
        &err);
    for (size_t len = 0; len < cmw.len; len++)
        assert_int_not_equal(atls_carried_result_open(atls_bytes_of(cmw.ptr, len), &carried, NULL),
                             ATLS_OK);
    atls_buf_clear(&cmw);
}

/* A type is a promise about the token: form and profile. */
static void the_type_must_not_lie(void **state)
{
    static const struct {
        const char *name, *type;
        enum atls_ear_form form;
        enum atls_code want;
    } rows[] = {
        {"a JWT", "application/eat+jwt", ATLS_EAR_FORM_JWT, ATLS_OK},
        {"a CWT", "application/eat+cwt", ATLS_EAR_FORM_CWT, ATLS_OK},
        {"a JWT called CWT", "application/eat+cwt", ATLS_EAR_FORM_JWT, ATLS_E_DECODE},
        {"a CWT called JWT", "application/eat+jwt", ATLS_EAR_FORM_CWT, ATLS_E_DECODE},
        {"its profile", "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_04 "\"",
         ATLS_EAR_FORM_JWT, ATLS_OK},
        {"its profile, by the name in drafts",
         "application/eat-jwt;EAT_PROFILE=\"" ATLS_EAR_PROFILE_04 "\"", ATLS_EAR_FORM_JWT, ATLS_OK},
        {"another profile", "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_2023 "\"",
         ATLS_EAR_FORM_JWT, ATLS_E_DECODE},
        {"another profile of a CWT",
         "application/eat+cwt; eat_profile=\"" ATLS_EAR_PROFILE_2023 "\"", ATLS_EAR_FORM_CWT,
         ATLS_E_DECODE},
        {"a part of its profile", "application/eat+jwt; eat_profile=\"tag:ietf.org,2026:rats\"",
         ATLS_EAR_FORM_JWT, ATLS_E_DECODE},
        {"its profile and another one",
         "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_04
         "\"; eat_profile=\"" ATLS_EAR_PROFILE_2023 "\"",
         ATLS_EAR_FORM_JWT, ATLS_E_DECODE},
        {"something else besides", "application/eat+jwt; q=1", ATLS_EAR_FORM_JWT, ATLS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_carried_result carried;
        struct atls_buf token, cmw;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;
        enum atls_code code;

        token = make(rows[i].form, ATLS_EAR_PROFILE_04, &ear);
        cmw = test_carried(rows[i].type, atls_buf_bytes(&token), 0);
        code = atls_carried_result_open(atls_buf_bytes(&cmw), &carried, &err);
        if (code == ATLS_OK)
            code = atls_carried_result_check(&carried, &ear, &err);
        if (code != rows[i].want)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
        if (code != ATLS_OK)
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        atls_ear_clear(&ear);
        atls_buf_clear(&cmw);
        atls_buf_clear(&token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_opens_again),
        cmocka_unit_test(a_profile_that_does_not_fit_is_left_out),
        cmocka_unit_test(a_token_that_no_authenticator_takes_is_refused),
        cmocka_unit_test(opens_what_says_that_it_is_a_result),
        cmocka_unit_test(refuses_what_says_that_it_is_something_else),
        cmocka_unit_test(tags_count_and_collections_do_not),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(the_type_must_not_lie),
    };

    return cmocka_run_group_tests(tests, make_signer, clear_signer);
}
