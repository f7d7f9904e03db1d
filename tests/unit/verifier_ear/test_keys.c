#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "verifier/ear/keys.h"
#include "wire/jwk.h"

static struct atls_private_key *make_key(enum atls_key_type type)
{
    struct atls_private_key *key = NULL;

    assert_int_equal(atls_private_key_generate(type, &key, NULL), ATLS_OK);
    return key;
}

static struct atls_bytes text_bytes(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

/* Published with its key, in every form that the key is found in. */
static void published_keys(void **state)
{
    static const char *const files[] = {"ear/veraison-pkey.json", "ear/c-ear-pkey.pem"};
    struct atls_buf token = test_vector("ear/arc-testJWT.jwt");

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf text = test_vector(files[i]), shown = ATLS_BUF_INIT;
        struct atls_ear_keys *keys = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear_check check;

        test_assert_code(atls_ear_keys_parse(atls_buf_bytes(&text), &keys, &err), ATLS_OK, &err);
        assert_int_equal(atls_ear_keys_count(keys), 1);
        atls_ear_check_init(&check);
        check.keys = keys;
        check.time_s = 1700000000;
        check.max_age_s = ATLS_EAR_ANY_AGE;
        test_assert_code(atls_ear_verify(atls_buf_bytes(&token), &check, &shown, &err), ATLS_OK,
                         &err);
        atls_buf_clear(&shown);
        atls_ear_keys_unref(keys);
        atls_buf_clear(&text);
    }
    atls_buf_clear(&token);
}

/* RFC 7638 section 3.1, RFC 8037 appendix A.3. */
static void published_thumbprints(void **state)
{
    static const struct {
        const char *jwk, *want;
    } rows[] = {
        {"{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z"
         "wu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_"
         "RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n9"
         "1CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCu"
         "r-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\"}",
         "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
         "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer spki = atls_writer_init(4096);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_key *key = NULL;
        char thumbprint[ATLS_THUMBPRINT_LEN];
        struct atls_jwks jwks;

        test_assert_code(atls_jwk_decode(text_bytes(rows[i].jwk), &jwks, &err), ATLS_OK, &err);
        test_assert_code(atls_cose_put_spki(&spki, &jwks.keys[0].key, &err), ATLS_OK, &err);
        test_assert_code(atls_key_from_spki(atls_writer_bytes(&spki), &key, &err), ATLS_OK, &err);
        test_assert_code(atls_ear_thumbprint(key, thumbprint, &err), ATLS_OK, &err);
        assert_string_equal(thumbprint, rows[i].want);
        atls_key_unref(key);
        atls_jwks_clear(&jwks);
        atls_writer_clear(&spki);
    }
}

static void jwks_of_keys_are_read_again(void **state)
{
    static const struct {
        enum atls_key_type type;
        const char *alg; /* NULL: several */
    } rows[] = {
        {ATLS_KEY_P256, "\"alg\":\"ES256\""},
        {ATLS_KEY_P384, "\"alg\":\"ES384\""},
        {ATLS_KEY_P521, "\"alg\":\"ES512\""},
        {ATLS_KEY_ED25519, "\"alg\":\"EdDSA\""},
        {ATLS_KEY_RSA, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_private_key *private_key = make_key(rows[i].type);
        const struct atls_key *key = atls_private_key_public(private_key);
        struct atls_buf jwk = ATLS_BUF_INIT;
        struct atls_writer w = atls_writer_init(8192);
        struct atls_ear_keys *keys = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_ear_jwk_encode(key, "k", &jwk, &err), ATLS_OK, &err);
        assert_non_null(strstr((char *)jwk.ptr, "\"use\":\"sig\""));
        assert_non_null(strstr((char *)jwk.ptr, "\"kid\":\"k\""));
        assert_int_equal(strstr((char *)jwk.ptr, "\"alg\"") != NULL, rows[i].alg != NULL);
        if (rows[i].alg != NULL)
            assert_non_null(strstr((char *)jwk.ptr, rows[i].alg));
        test_assert_code(atls_ear_keys_parse(atls_buf_bytes(&jwk), &keys, &err), ATLS_OK, &err);
        atls_ear_keys_unref(keys);
        /* The same inside what a service publishes. */
        atls_put_text(&w, "{\"version\":\"1\",\"ear-verification-key\":");
        atls_put_bytes(&w, atls_buf_bytes(&jwk));
        atls_put_text(&w, "}");
        test_assert_code(atls_ear_keys_from_discovery(atls_writer_bytes(&w), &keys, &err), ATLS_OK,
                         &err);
        assert_int_equal(atls_ear_keys_count(keys), 1);
        assert_ptr_equal(atls_ear_keys_ref(keys), keys);
        atls_ear_keys_unref(keys);
        atls_ear_keys_unref(keys);
        atls_buf_clear(&jwk);
        test_assert_code(atls_ear_jwk_encode(key, NULL, &jwk, &err), ATLS_OK, &err);
        assert_null(strstr((char *)jwk.ptr, "kid"));
        atls_buf_clear(&jwk);
        atls_writer_clear(&w);
        atls_private_key_free(private_key);
    }
    atls_ear_keys_unref(NULL);
}

static void texts_that_are_no_keys(void **state)
{
    static const struct {
        const char *name, *text;
        enum atls_code want;
    } rows[] = {
        {"nothing", "", ATLS_E_DECODE},
        {"blanks", " \r\n\t", ATLS_E_DECODE},
        {"something else", "hello", ATLS_E_DECODE},
        {"array of JSON", "[]", ATLS_E_DECODE},
        {"object that is no key", "{}", ATLS_E_DECODE},
        {"point that is on no curve",
         "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\","
         "\"y\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}",
         ATLS_E_DECODE},
        {"PEM that ends early", "-----BEGIN PUBLIC KEY-----\nMFkw\n", ATLS_E_DECODE},
        {"PEM of another kind", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
         ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_ear_keys *keys = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_ear_keys_parse(text_bytes(rows[i].text), &keys, &err), rows[i].want,
                         &err);
        assert_null(keys);
    }
    {
        struct atls_ear_keys *keys = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        char *big = malloc(ATLS_JWK_SET_MAX + 1);

        assert_non_null(big);
        memset(big, ' ', ATLS_JWK_SET_MAX + 1);
        test_assert_code(atls_ear_keys_parse(atls_bytes_of(big, ATLS_JWK_SET_MAX + 1), &keys, &err),
                         ATLS_E_LIMIT, &err);
        free(big);
        test_assert_code(
            atls_ear_keys_from_discovery(text_bytes("{\"version\":\"1\"}"), &keys, &err),
            ATLS_E_NOT_FOUND, &err);
        assert_null(keys);
    }
}

static void pem_of_several_keys(void **state)
{
    struct atls_private_key *key = make_key(ATLS_KEY_P256);
    struct atls_buf pem = ATLS_BUF_INIT, secret = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(65536);
    struct atls_ear_keys *keys = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_key_to_pem(atls_private_key_public(key), &pem, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_to_pem(key, &secret, NULL), ATLS_OK);
    atls_put_text(&w, "# the old one\n");
    for (size_t i = 1; i <= ATLS_JWK_KEYS_MAX; i++) {
        atls_put_bytes(&w, atls_buf_bytes(&pem));
        test_assert_code(atls_ear_keys_parse(atls_writer_bytes(&w), &keys, &err), ATLS_OK, &err);
        assert_int_equal(atls_ear_keys_count(keys), i);
        atls_ear_keys_unref(keys);
    }
    keys = NULL;
    atls_put_bytes(&w, atls_buf_bytes(&pem));
    test_assert_code(atls_ear_keys_parse(atls_writer_bytes(&w), &keys, &err), ATLS_E_LIMIT, &err);
    w.len = 0;
    atls_put_bytes(&w, atls_buf_bytes(&pem));
    atls_put_bytes(&w, atls_buf_bytes(&secret)); /* private keys have no place here */
    assert_int_not_equal(atls_ear_keys_parse(atls_writer_bytes(&w), &keys, &err), ATLS_OK);
    assert_null(keys);
    atls_writer_clear(&w);
    atls_buf_clear(&secret);
    atls_buf_clear(&pem);
    atls_private_key_free(key);
}

/* Two keys of one type and one of another; who signed, what the token says, what comes of it. */
static void kids_select(void **state)
{
    struct atls_private_key *signers[3] = {make_key(ATLS_KEY_P256), make_key(ATLS_KEY_P256),
                                           make_key(ATLS_KEY_ED25519)};
    static const struct {
        const char *name, *kids[3];
        size_t signer;
        const char *kid;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"by kid", {"a", "b", "c"}, 1, "b", ATLS_OK, ATLS_REASON_NONE},
        {"kid of another key", {"a", "b", "c"}, 1, "a", ATLS_E_VERIFY, ATLS_REASON_SIGNATURE},
        {"kid of a key of another type",
         {"a", "b", "c"},
         1,
         "c",
         ATLS_E_UNSUPPORTED,
         ATLS_REASON_SIGNATURE},
        {"kid of none", {"a", "b", "c"}, 1, "d", ATLS_E_VERIFY, ATLS_REASON_KID_MISMATCH},
        {"no kid: each is tried", {"a", "b", "c"}, 1, "", ATLS_OK, ATLS_REASON_NONE},
        {"kid, and keys that have none", {NULL, NULL, NULL}, 1, "d", ATLS_OK, ATLS_REASON_NONE},
        {"kid of none, and a key that has none",
         {"a", NULL, "c"},
         1,
         "d",
         ATLS_OK,
         ATLS_REASON_NONE},
        {"kid of one, and a key that has none",
         {"a", NULL, "c"},
         1,
         "a",
         ATLS_E_VERIFY,
         ATLS_REASON_SIGNATURE},
        {"case counts", {"a", "b", "c"}, 1, "B", ATLS_E_VERIFY, ATLS_REASON_KID_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(8192);
        struct atls_ear_keys *keys = NULL;
        struct atls_buf signature = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear_signature s = {
            .jose_alg = text_bytes("ES256"),
            .kid = text_bytes(rows[i].kid),
            .signed_bytes = text_bytes("signed"),
        };

        print_message("%s\n", rows[i].name);
        atls_put_text(&w, "{\"keys\":[");
        for (size_t k = 0; k < 3; k++) {
            struct atls_buf jwk = ATLS_BUF_INIT;

            test_assert_code(atls_ear_jwk_encode(atls_private_key_public(signers[k]),
                                                 rows[i].kids[k], &jwk, &err),
                             ATLS_OK, &err);
            atls_put_text(&w, k > 0 ? "," : "");
            atls_put_bytes(&w, atls_buf_bytes(&jwk));
            atls_buf_clear(&jwk);
        }
        atls_put_text(&w, "]}");
        test_assert_code(atls_ear_keys_parse(atls_writer_bytes(&w), &keys, &err), ATLS_OK, &err);
        assert_int_equal(atls_ear_keys_count(keys), 3);
        assert_int_equal(atls_private_key_sign_raw(signers[rows[i].signer], ATLS_ECDSA_P256_SHA256,
                                                   s.signed_bytes, &signature, NULL),
                         ATLS_OK);
        s.signature = atls_buf_bytes(&signature);
        test_assert_code(atls_ear_keys_verify(keys, &s, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK)
            assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&signature);
        atls_ear_keys_unref(keys);
        atls_writer_clear(&w);
    }
    for (size_t k = 0; k < 3; k++)
        atls_private_key_free(signers[k]);
}

/* An RSA key could do three algorithms; its JWK may leave one. */
static void the_algorithm_of_a_jwk_binds(void **state)
{
    struct atls_private_key *rsa = make_key(ATLS_KEY_RSA);
    struct atls_buf jwk = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
    struct atls_writer w = atls_writer_init(8192);
    struct atls_ear_keys *keys = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear_signature s = {.jose_alg = text_bytes("PS256"),
                                   .signed_bytes = text_bytes("signed")};

    (void)state;
    test_assert_code(atls_ear_jwk_encode(atls_private_key_public(rsa), NULL, &jwk, &err), ATLS_OK,
                     &err);
    for (int i = 0; i < 2; i++) {
        w.len = 0;
        atls_put_text(&w, i == 0 ? "{\"alg\":\"PS256\"," : "{\"alg\":\"PS384\",");
        atls_put_bytes(&w, atls_bytes_of(jwk.ptr + 1, jwk.len - 1));
        test_assert_code(atls_ear_keys_parse(atls_writer_bytes(&w), &keys, &err), ATLS_OK, &err);
        assert_int_equal(
            atls_private_key_sign_raw(rsa, ATLS_RSA_PSS_SHA256, s.signed_bytes, &signature, NULL),
            ATLS_OK);
        s.signature = atls_buf_bytes(&signature);
        test_assert_code(atls_ear_keys_verify(keys, &s, &err),
                         i == 0 ? ATLS_OK : ATLS_E_UNSUPPORTED, &err);
        atls_buf_clear(&signature);
        atls_ear_keys_unref(keys);
    }
    atls_writer_clear(&w);
    atls_buf_clear(&jwk);
    atls_private_key_free(rsa);
}

static void sets_of_one_key(void **state)
{
    struct atls_private_key *key = make_key(ATLS_KEY_P256);
    struct atls_ear_keys *keys = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_JWS_KID_MAX + 1];

    (void)state;
    memset(kid, 'k', sizeof kid);
    kid[ATLS_JWS_KID_MAX] = '\0';
    test_assert_code(atls_ear_keys_from_key(atls_private_key_public(key), kid, &keys, &err),
                     ATLS_E_USAGE, &err);
    kid[ATLS_JWS_KID_MAX - 1] = '\0';
    test_assert_code(atls_ear_keys_from_key(atls_private_key_public(key), kid, &keys, &err),
                     ATLS_OK, &err);
    assert_int_equal(atls_ear_keys_count(keys), 1);
    atls_ear_keys_unref(keys);
    atls_private_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_keys),
        cmocka_unit_test(published_thumbprints),
        cmocka_unit_test(jwks_of_keys_are_read_again),
        cmocka_unit_test(texts_that_are_no_keys),
        cmocka_unit_test(pem_of_several_keys),
        cmocka_unit_test(kids_select),
        cmocka_unit_test(the_algorithm_of_a_jwk_binds),
        cmocka_unit_test(sets_of_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
