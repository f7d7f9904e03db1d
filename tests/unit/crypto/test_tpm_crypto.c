#include "testlib.h"

#include <string.h>

#include "pki.h"

#include "core/err.h"
#include "crypto/tpm_crypto.h"

static const struct atls_key *public_of(const struct atls_private_key *key)
{
    return atls_private_key_public(key);
}

static struct atls_private_key *generate(enum atls_key_type type)
{
    struct atls_private_key *key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_private_key_generate(type, &key, &err), ATLS_OK, &err);
    return key;
}

/* With a zero IV the first block is the plain text xor AES(zero block), which the known-answer
 * tests of NIST give for zero keys. */
static void cfb_of_zeros_is_aes_of_zeros(void **state)
{
    static const uint8_t zeros[32];
    static const struct {
        size_t key_len;
        const char *want;
    } rows[] = {
        {16, "66e94bd4ef8a2c3b884cfa59ca342b2e"},
        {32, "dc95c078a2408989ad48a21492842087"},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_buf want = test_unhex(rows[i].want);
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t out[16];

        test_assert_code(atls_aes_cfb_encrypt(atls_bytes_of(zeros, rows[i].key_len),
                                              atls_bytes_of(zeros, 16), out, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_bytes_of(out, 16), atls_buf_bytes(&want));
        atls_buf_clear(&want);
        test_assert_code(
            atls_aes_cfb_encrypt(atls_bytes_of(zeros, 15), atls_bytes_of(zeros, 16), out, &err),
            ATLS_E_USAGE, &err);
    }
}

static void oaep_wants_an_rsa_key_and_room(void **state)
{
    static const uint8_t long_plain[256];
    struct atls_private_key *rsa = generate(ATLS_KEY_RSA), *ec = generate(ATLS_KEY_P256);
    struct atls_bytes label = atls_bytes_of("L", 2), plain = atls_bytes_of("plain", 5);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(
        atls_rsa_oaep_encrypt(public_of(rsa), ATLS_HASH_SHA256, label, plain, &out, &err), ATLS_OK,
        &err);
    assert_int_equal(out.len, 256);
    atls_buf_clear(&out);
    test_assert_code(
        atls_rsa_oaep_encrypt(public_of(ec), ATLS_HASH_SHA256, label, plain, &out, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(
        atls_rsa_oaep_encrypt(public_of(rsa), ATLS_HASH_NONE, label, plain, &out, &err),
        ATLS_E_USAGE, &err);
    test_assert_code(atls_rsa_oaep_encrypt(public_of(rsa), ATLS_HASH_SHA256, label,
                                           atls_bytes_of(long_plain, sizeof long_plain), &out,
                                           &err),
                     ATLS_E_CRYPTO, &err);
    assert_null(out.ptr);
    atls_private_key_free(rsa);
    atls_private_key_free(ec);
}

static void ephemeral_keys_are_fresh_and_padded(void **state)
{
    static const struct {
        enum atls_key_type type;
        size_t len;
    } rows[] = {{ATLS_KEY_P256, 32}, {ATLS_KEY_P384, 48}, {ATLS_KEY_P521, 66}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_private_key *key = generate(rows[i].type);
        struct atls_bytes spki = atls_key_spki(public_of(key));
        struct atls_ecdh a, b;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_ecdh_ephemeral(public_of(key), &a, &err), ATLS_OK, &err);
        test_assert_code(atls_ecdh_ephemeral(public_of(key), &b, &err), ATLS_OK, &err);
        assert_int_equal(a.len, rows[i].len);
        assert_memory_not_equal(a.x, b.x, a.len);
        assert_memory_not_equal(a.shared, b.shared, a.len);
        /* x of the peer, as it stands in its SubjectPublicKeyInfo before y */
        assert_memory_equal(a.peer_x, spki.ptr + spki.len - 2 * a.len, a.len);
        atls_private_key_free(key);
    }
}

static void agreement_wants_a_curve(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_ED25519};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_private_key *key = generate(types[i]);
        struct atls_ecdh out;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_ecdh_ephemeral(public_of(key), &out, &err), ATLS_E_USAGE, &err);
        atls_private_key_free(key);
    }
}

static void extended_key_usages(void **state)
{
    static const struct test_extension both[] = {{"extendedKeyUsage", "serverAuth,2.23.133.8.3"},
                                                 {NULL, NULL}};
    static const struct test_extension one[] = {{"extendedKeyUsage", "2.23.133.8.1"}, {NULL, NULL}};
    static const struct test_extension none[] = {{"keyUsage", "digitalSignature"}, {NULL, NULL}};
    static const struct {
        const struct test_extension *extensions;
        bool want;
    } rows[] = {{both, true}, {one, false}, {none, false}};
    struct test_identity ca = test_ca("maker");
    struct atls_err err = ATLS_ERR_INIT;
    bool found;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_certificate spec = {.extensions = rows[i].extensions};
        struct test_identity leaf = test_issue(&ca, &spec);

        test_assert_code(atls_certificate_has_usage(atls_buf_bytes(&leaf.certificate),
                                                    "2.23.133.8.3", &found, &err),
                         ATLS_OK, &err);
        assert_int_equal(found, rows[i].want);
        test_identity_clear(&leaf);
    }
    test_assert_code(
        atls_certificate_has_usage(atls_bytes_of("x", 1), "2.23.133.8.3", &found, &err),
        ATLS_E_DECODE, &err);
    test_assert_code(
        atls_certificate_has_usage(atls_buf_bytes(&ca.certificate), "no oid", &found, &err),
        ATLS_E_CRYPTO, &err);
    test_identity_clear(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cfb_of_zeros_is_aes_of_zeros),
        cmocka_unit_test(oaep_wants_an_rsa_key_and_room),
        cmocka_unit_test(ephemeral_keys_are_fresh_and_padded),
        cmocka_unit_test(agreement_wants_a_curve),
        cmocka_unit_test(extended_key_usages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
