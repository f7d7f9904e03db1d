#include "testlib.h"

#include <string.h>

#include "crypto/crypto.h"

static void tls_numbers_find_their_rows(void **state)
{
    static const struct {
        const char *name;
        uint16_t number;
        enum atls_key_type key;
        enum atls_hash hash;
        bool certificate_verify;
    } rows[] = {
        {"rsa_pkcs1_sha256", 0x0401, ATLS_KEY_RSA, ATLS_HASH_SHA256, false},
        {"rsa_pkcs1_sha384", 0x0501, ATLS_KEY_RSA, ATLS_HASH_SHA384, false},
        {"rsa_pkcs1_sha512", 0x0601, ATLS_KEY_RSA, ATLS_HASH_SHA512, false},
        {"ecdsa_secp256r1_sha256", 0x0403, ATLS_KEY_P256, ATLS_HASH_SHA256, true},
        {"ecdsa_secp384r1_sha384", 0x0503, ATLS_KEY_P384, ATLS_HASH_SHA384, true},
        {"ecdsa_secp521r1_sha512", 0x0603, ATLS_KEY_P521, ATLS_HASH_SHA512, true},
        {"rsa_pss_rsae_sha256", 0x0804, ATLS_KEY_RSA, ATLS_HASH_SHA256, true},
        {"rsa_pss_rsae_sha384", 0x0805, ATLS_KEY_RSA, ATLS_HASH_SHA384, true},
        {"rsa_pss_rsae_sha512", 0x0806, ATLS_KEY_RSA, ATLS_HASH_SHA512, true},
        {"ed25519", 0x0807, ATLS_KEY_ED25519, ATLS_HASH_NONE, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_signature_algorithm *a =
            atls_signature_find((enum atls_signature)rows[i].number);

        assert_non_null(a);
        assert_string_equal(a->name, rows[i].name);
        assert_int_equal(a->key_type, rows[i].key);
        assert_int_equal(a->hash, rows[i].hash);
        assert_int_equal(a->certificate_verify, rows[i].certificate_verify);
    }
    assert_null(atls_signature_find(ATLS_SIGNATURE_NONE));
    assert_null(atls_signature_find((enum atls_signature)0x0201)); /* rsa_pkcs1_sha1 */
    assert_null(atls_signature_find((enum atls_signature)0x0808)); /* ed448 */
}

static void cose_numbers_fit_the_key(void **state)
{
    static const struct {
        const char *name;
        int64_t alg;
        enum atls_key_type key;
        enum atls_signature want;
    } rows[] = {
        {"ES256 over P-256", -7, ATLS_KEY_P256, ATLS_ECDSA_P256_SHA256},
        {"ES384 over P-384", -35, ATLS_KEY_P384, ATLS_ECDSA_P384_SHA384},
        {"ES512 over P-521", -36, ATLS_KEY_P521, ATLS_ECDSA_P521_SHA512},
        {"EdDSA over Ed25519", -8, ATLS_KEY_ED25519, ATLS_ED25519},
        {"PS384 over RSA", -38, ATLS_KEY_RSA, ATLS_RSA_PSS_SHA384},
        {"RS256 over RSA", -257, ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA256},
        {"ES256 over P-384", -7, ATLS_KEY_P384, ATLS_SIGNATURE_NONE},
        {"EdDSA over P-256", -8, ATLS_KEY_P256, ATLS_SIGNATURE_NONE},
        {"none", 0, ATLS_KEY_P256, ATLS_SIGNATURE_NONE},
        {"ES256 plus 2^32", -7 + 0x100000000, ATLS_KEY_P256, ATLS_SIGNATURE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_signature_algorithm *a = atls_signature_by_cose(rows[i].alg, rows[i].key);

        if (rows[i].want != (a == NULL ? ATLS_SIGNATURE_NONE : a->scheme))
            fail_msg("%s", rows[i].name);
    }
}

static void jose_names_are_exact(void **state)
{
    static const struct {
        const char *alg;
        enum atls_signature want;
    } rows[] = {
        {"ES256", ATLS_ECDSA_P256_SHA256}, {"ES384", ATLS_ECDSA_P384_SHA384},
        {"EdDSA", ATLS_ED25519},           {"PS256", ATLS_RSA_PSS_SHA256},
        {"none", ATLS_SIGNATURE_NONE},     {"HS256", ATLS_SIGNATURE_NONE},
        {"es256", ATLS_SIGNATURE_NONE},    {"ES256 ", ATLS_SIGNATURE_NONE},
        {"", ATLS_SIGNATURE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_signature_algorithm *a =
            atls_signature_by_jose(atls_bytes_of(rows[i].alg, strlen(rows[i].alg)));

        if (rows[i].want != (a == NULL ? ATLS_SIGNATURE_NONE : a->scheme))
            fail_msg("%s", rows[i].alg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_numbers_find_their_rows),
        cmocka_unit_test(cose_numbers_fit_the_key),
        cmocka_unit_test(jose_names_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
