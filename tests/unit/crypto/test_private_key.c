#include "testlib.h"

#include <string.h>

#include "crypto/crypto.h"

static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                           ATLS_KEY_ED25519, ATLS_KEY_RSA};

static void pem_round_trip_keeps_the_key(void **state)
{
    const struct atls_bytes message = HEX("message");

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct atls_private_key *made = NULL, *read = NULL;
        struct atls_buf text = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_signature scheme;

        test_assert_code(atls_private_key_generate(types[i], &made, &err), ATLS_OK, &err);
        test_assert_code(atls_private_key_to_pem(made, &text, &err), ATLS_OK, &err);
        assert_int_equal(strlen((const char *)text.ptr), text.len);
        test_assert_code(atls_private_key_from_pem(atls_buf_bytes(&text), &read, &err), ATLS_OK,
                         &err);
        test_assert_bytes(atls_key_spki(atls_private_key_public(read)),
                          atls_key_spki(atls_private_key_public(made)));
        scheme = atls_private_key_scheme(read);
        assert_true(atls_signature_find(scheme)->certificate_verify);
        test_assert_code(atls_private_key_sign_function(read, scheme, message, &signature, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_key_verify(atls_private_key_public(made), scheme, &message, 1,
                                         atls_buf_bytes(&signature), &err),
                         ATLS_OK, &err);
        atls_private_key_free(made);
        atls_private_key_free(read);
        atls_buf_clear(&text);
        atls_buf_clear(&signature);
    }
    atls_private_key_free(NULL);
}

/* RFC 8032 section 7.1, TEST 1: the key in PKCS#8 and its signature of nothing. */
static void ed25519_of_rfc_8032(void **state)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----\n";
    struct atls_buf want =
        test_unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                   "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
    struct atls_private_key *key = NULL;
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes nothing = {NULL, 0};

    (void)state;
    test_assert_code(atls_private_key_from_pem(atls_bytes_of(pem, strlen(pem)), &key, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_private_key_sign(key, ATLS_ED25519, nothing, &signature, &err), ATLS_OK,
                     &err);
    test_assert_bytes(atls_buf_bytes(&signature), atls_buf_bytes(&want));
    test_assert_code(atls_key_verify(atls_private_key_public(key), ATLS_ED25519, &nothing, 1,
                                     atls_buf_bytes(&signature), &err),
                     ATLS_OK, &err);
    atls_private_key_free(key);
    atls_buf_clear(&signature);
    atls_buf_clear(&want);
}

static void texts_that_are_no_usable_key(void **state)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"nothing", ""},
        {"no armour", "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"},
        {"public half", "-----BEGIN PUBLIC KEY-----\n"
                        "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                        "-----END PUBLIC KEY-----\n"},
        {"encrypted, and nobody is asked for a password",
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
         "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjVIJSvuOF9rgICCAAw\n"
         "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEHPmQFRAq4FPQjkeN/h3VI0EQPSf\n"
         "3ptAFmQ7xW2AfSjUuFVwQrtvxSTMnzQfYIe3AQJC0wBkv7Pn3OSI3wCqM3FSUEgl\n"
         "5ZUvvcRbWCu5qQBBzMU=\n"
         "-----END ENCRYPTED PRIVATE KEY-----\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_private_key *key = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = atls_private_key_from_pem(
            atls_bytes_of(rows[i].text, strlen(rows[i].text)), &key, &err);

        if (code != ATLS_E_DECODE)
            fail_msg("%s: %s", rows[i].name, atls_code_name(code));
        assert_null(key);
    }
}

static void limits_and_unknown_types(void **state)
{
    static const uint8_t big[65 * 1024];
    struct atls_private_key *key = NULL;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_NONE, &key, NULL), ATLS_E_USAGE);
    assert_int_equal(atls_private_key_generate((enum atls_key_type)77, &key, NULL), ATLS_E_USAGE);
    assert_int_equal(atls_private_key_from_pem(atls_bytes_of(big, sizeof big), &key, NULL),
                     ATLS_E_LIMIT);
    assert_int_equal(atls_private_key_from_pem(atls_bytes_of(NULL, 0), &key, NULL), ATLS_E_DECODE);
    assert_null(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_round_trip_keeps_the_key),
        cmocka_unit_test(ed25519_of_rfc_8032),
        cmocka_unit_test(texts_that_are_no_usable_key),
        cmocka_unit_test(limits_and_unknown_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
