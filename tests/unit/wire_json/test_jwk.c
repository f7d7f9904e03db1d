#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "wire/jwk.h"

/* Coordinates of 32, 48 and 66 bytes, a modulus of 2048 bits: what a decoder without cryptography
 * looks at. */
#define B32    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
#define B31    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
#define B33    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
#define B48    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
#define B66    B48 "AQEBAQEBAQEBAQEBAQEBAQEB"
#define B240   B48 B48 B48 B48 B48
#define B255   B240 "AQEBAQEBAQEBAQEBAQEB"
#define B256   B255 "AQ"
#define EC     "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B32 "\",\"y\":\"" B32 "\""
#define OKP    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" B32 "\""
#define RSA(n) "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" n "\""

static enum atls_code decode(const char *json, struct atls_jwks *out, struct atls_err *err)
{
    return atls_jwk_decode(atls_bytes_of(json, strlen(json)), out, err);
}

static void members_are_checked(void **state)
{
    static const struct {
        const char *name, *json;
        enum atls_code want;
        const char *text; /* in the error */
    } rows[] = {
        {"P-256", "{" EC "}", ATLS_OK, NULL},
        {"P-384", "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" B48 "\",\"y\":\"" B48 "\"}", ATLS_OK,
         NULL},
        {"P-521", "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"" B66 "\",\"y\":\"" B66 "\"}", ATLS_OK,
         NULL},
        {"Ed25519", "{" OKP "}", ATLS_OK, NULL},
        {"RSA of 2048 bits", "{" RSA(B256) "}", ATLS_OK, NULL},
        {"all that is optional",
         "{" EC ",\"kid\":\"k\",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]}",
         ATLS_OK, NULL},
        {"unknown members are ignored", "{" EC ",\"x5t\":1}", ATLS_OK, NULL},
        {"set of two", "{\"keys\":[{" EC "},{" OKP "}]}", ATLS_OK, NULL},
        {"RSA for PS384", "{" RSA(B256) ",\"alg\":\"PS384\"}", ATLS_OK, NULL},
        {"one of several operations", "{" EC ",\"key_ops\":[\"sign\",\"verify\"]}", ATLS_OK, NULL},

        {"no JSON", "{" EC, ATLS_E_DECODE, "JSON object"},
        {"array", "[]", ATLS_E_DECODE, "JSON object"},
        {"member twice", "{" EC ",\"kty\":\"EC\"}", ATLS_E_DECODE, "unique"},
        {"something behind it", "{" EC "}x", ATLS_E_DECODE, "JSON object"},
        {"no kty", "{\"crv\":\"P-256\"}", ATLS_E_DECODE, "kty"},
        {"kty as number", "{\"kty\":1}", ATLS_E_DECODE, "kty"},
        {"symmetric key", "{\"kty\":\"oct\",\"x\":\"AQ\"}", ATLS_E_UNSUPPORTED, "oct"},
        {"no crv", "{\"kty\":\"EC\",\"x\":\"" B32 "\",\"y\":\"" B32 "\"}", ATLS_E_DECODE, "crv"},
        {"other curve", "{\"kty\":\"EC\",\"crv\":\"secp256k1\"}", ATLS_E_UNSUPPORTED, "secp256k1"},
        {"curve of another type", "{\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" B32 "\"}",
         ATLS_E_UNSUPPORTED, "P-256"},
        {"X25519", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" B32 "\"}", ATLS_E_UNSUPPORTED,
         "X25519"},
        {"no x", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"" B32 "\"}", ATLS_E_DECODE, "\"x\""},
        {"no y", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B32 "\"}", ATLS_E_DECODE, "\"y\""},
        {"x a byte too short",
         "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B31 "\",\"y\":\"" B32 "\"}", ATLS_E_DECODE,
         "field"},
        {"y a byte too long",
         "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" B32 "\",\"y\":\"" B33 "\"}", ATLS_E_DECODE,
         "field"},
        {"coordinate of another curve",
         "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" B32 "\",\"y\":\"" B32 "\"}", ATLS_E_DECODE,
         "field"},
        {"x with padding", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" B32 "=\"}",
         ATLS_E_DECODE, "base64url"},
        {"empty x", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\"}", ATLS_E_DECODE, "\"x\""},
        {"RSA a byte too short", "{" RSA(B255) "}", ATLS_E_DECODE, "2048"},
        {"RSA with a zero byte before it", "{" RSA("AAEB" B256) "}", ATLS_E_DECODE, "zero"},
        {"RSA far too long", "{" RSA(B240 B240 B240 B240 B240 B240 B240 B240 B240) "}",
         ATLS_E_DECODE, "too long"},
        {"RSA without e", "{\"kty\":\"RSA\",\"n\":\"" B256 "\"}", ATLS_E_DECODE, "\"e\""},
        {"exponent with a zero byte before it",
         "{\"kty\":\"RSA\",\"e\":\"AAEAAQ\",\"n\":\"" B256 "\"}", ATLS_E_DECODE, "\"e\""},
        {"exponent above 64 bits", "{\"kty\":\"RSA\",\"e\":\"AQEBAQEBAQEB\",\"n\":\"" B256 "\"}",
         ATLS_E_DECODE, "\"e\""},

        {"private EC", "{" EC ",\"d\":\"AQ\"}", ATLS_E_DECODE, "private"},
        {"private RSA by a prime", "{" RSA(B256) ",\"q\":\"AQ\"}", ATLS_E_DECODE, "private"},
        {"private RSA by more primes", "{" RSA(B256) ",\"oth\":[]}", ATLS_E_DECODE, "private"},
        {"secret", "{" EC ",\"k\":\"AQ\"}", ATLS_E_DECODE, "private"},
        {"one of a set is private", "{\"keys\":[{" OKP "},{" EC ",\"d\":\"AQ\"}]}", ATLS_E_DECODE,
         "private"},

        {"for encryption", "{" EC ",\"use\":\"enc\"}", ATLS_E_UNSUPPORTED, "use"},
        {"use as number", "{" EC ",\"use\":1}", ATLS_E_DECODE, "use"},
        {"operations without verify", "{" EC ",\"key_ops\":[\"sign\"]}", ATLS_E_UNSUPPORTED,
         "key_ops"},
        {"no operations", "{" EC ",\"key_ops\":[]}", ATLS_E_UNSUPPORTED, "key_ops"},
        {"operations as text", "{" EC ",\"key_ops\":\"verify\"}", ATLS_E_DECODE, "key_ops"},
        {"algorithm of another curve", "{" EC ",\"alg\":\"ES384\"}", ATLS_E_UNSUPPORTED, "alg"},
        {"algorithm that is not for tokens", "{" RSA(B256) ",\"alg\":\"RS256\"}",
         ATLS_E_UNSUPPORTED, "alg"},
        {"secret algorithm", "{" EC ",\"alg\":\"HS256\"}", ATLS_E_UNSUPPORTED, "alg"},
        {"alg as number", "{" EC ",\"alg\":1}", ATLS_E_DECODE, "alg"},
        {"empty kid", "{" EC ",\"kid\":\"\"}", ATLS_E_DECODE, "kid"},

        {"empty set", "{\"keys\":[]}", ATLS_E_DECODE, "keys"},
        {"set that is no array", "{\"keys\":{}}", ATLS_E_DECODE, "keys"},
        {"set with a text", "{\"keys\":[\"x\"]}", ATLS_E_DECODE, "no object"},
        {"two keys of one kid", "{\"keys\":[{" EC ",\"kid\":\"a\"},{" OKP ",\"kid\":\"a\"}]}",
         ATLS_E_DECODE, "two keys"},
        {"two keys without kid", "{\"keys\":[{" EC "},{" OKP "}]}", ATLS_OK, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_jwks jwks;

        print_message("%s\n", rows[i].name);
        test_assert_code(decode(rows[i].json, &jwks, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            atls_jwks_clear(&jwks);
        else if (strstr(err.message, rows[i].text) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.message, rows[i].text);
    }
}

static void values_arrive(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jwks jwks;

    (void)state;
    test_assert_code(decode("{\"keys\":[{" EC
                            ",\"kid\":\"one\",\"alg\":\"ES256\"},{" RSA(B256) "}]}",
                            &jwks, &err),
                     ATLS_OK, &err);
    assert_int_equal(jwks.count, 2);
    assert_string_equal(jwks.keys[0].kid, "one");
    assert_string_equal(jwks.keys[0].alg, "ES256");
    assert_int_equal(jwks.keys[0].key.kty, ATLS_COSE_EC2);
    assert_int_equal(jwks.keys[0].key.crv, ATLS_COSE_P256);
    assert_int_equal(jwks.keys[0].key.x.len, 32);
    assert_int_equal(jwks.keys[0].key.y.len, 32);
    assert_string_equal(jwks.keys[1].kid, "");
    assert_int_equal(jwks.keys[1].key.kty, ATLS_COSE_RSA);
    assert_int_equal(jwks.keys[1].key.n.len, 256);
    test_assert_bytes(jwks.keys[1].key.e, atls_bytes_of("\1\0\1", 3));
    atls_jwks_clear(&jwks);
}

static void a_member_of_a_document(void **state)
{
    static const char json[] = "{\"ear-verification-key\":{" EC "},\"version\":\"1\",\"none\":1}";
    const struct atls_bytes in = {(const uint8_t *)json, sizeof json - 1};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jwks jwks;

    (void)state;
    test_assert_code(atls_jwk_decode_member(in, "ear-verification-key", &jwks, &err), ATLS_OK,
                     &err);
    assert_int_equal(jwks.count, 1);
    atls_jwks_clear(&jwks);
    test_assert_code(atls_jwk_decode_member(in, "other", &jwks, &err), ATLS_E_NOT_FOUND, &err);
    test_assert_code(atls_jwk_decode_member(in, "none", &jwks, &err), ATLS_E_DECODE, &err);
}

static void sets_and_bytes_are_limited(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jwks jwks;
    char *json = malloc(ATLS_JWK_SET_MAX + 2);

    (void)state;
    assert_non_null(json);
    for (int count = ATLS_JWK_KEYS_MAX; count <= ATLS_JWK_KEYS_MAX + 1; count++) {
        size_t used = (size_t)snprintf(json, ATLS_JWK_SET_MAX, "{\"keys\":[");

        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(json + used, ATLS_JWK_SET_MAX - used, "%s{" OKP "}",
                                     i > 0 ? "," : "");
        snprintf(json + used, ATLS_JWK_SET_MAX - used, "]}");
        test_assert_code(decode(json, &jwks, &err),
                         count > ATLS_JWK_KEYS_MAX ? ATLS_E_LIMIT : ATLS_OK, &err);
        if (count <= ATLS_JWK_KEYS_MAX)
            atls_jwks_clear(&jwks);
    }
    memset(json, ' ', ATLS_JWK_SET_MAX + 1);
    memcpy(json, "{" OKP "}", strlen("{" OKP "}"));
    test_assert_code(atls_jwk_decode(atls_bytes_of(json, ATLS_JWK_SET_MAX + 1), &jwks, &err),
                     ATLS_E_LIMIT, &err);
    test_assert_code(atls_jwk_decode(atls_bytes_of(json, ATLS_JWK_SET_MAX), &jwks, &err), ATLS_OK,
                     &err);
    atls_jwks_clear(&jwks);
    test_assert_code(atls_jwk_decode(atls_bytes_of(json, 0), &jwks, &err), ATLS_E_LIMIT, &err);
    for (size_t len = 1; len < strlen("{" OKP "}"); len++)
        test_assert_code(atls_jwk_decode(atls_bytes_of(json, len), &jwks, &err), ATLS_E_DECODE,
                         &err);
    free(json);
}

/* RFC 7638 section 3.2: the members in this order, and no other. */
static void what_is_put_is_what_was_read(void **state)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"{" EC ",\"kid\":\"k\",\"use\":\"sig\"}",
         "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" B32 "\",\"y\":\"" B32 "\"}"},
        {"{" OKP "}", "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" B32 "\"}"},
        {"{" RSA(B256) "}", "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"" B256 "\"}"},
    };
    struct atls_cose_key compressed = {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_P256};
    struct atls_cose_key unknown = {.kty = (enum atls_cose_kty)9};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_json j;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf text = ATLS_BUF_INIT;
        struct atls_jwks jwks;

        test_assert_code(decode(rows[i].json, &jwks, &err), ATLS_OK, &err);
        j = atls_json_init(1024);
        atls_json_open_object(&j, NULL);
        test_assert_code(atls_jwk_put_members(&j, &jwks.keys[0].key, &err), ATLS_OK, &err);
        atls_json_close(&j);
        assert_int_equal(atls_json_finish(&j, &text, NULL), ATLS_OK);
        assert_string_equal((char *)text.ptr, rows[i].want);
        atls_buf_clear(&text);
        atls_jwks_clear(&jwks);
    }
    j = atls_json_init(1024);
    test_assert_code(atls_jwk_put_members(&j, &compressed, &err), ATLS_E_UNSUPPORTED, &err);
    test_assert_code(atls_jwk_put_members(&j, &unknown, &err), ATLS_E_UNSUPPORTED, &err);
    atls_json_clear(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_checked),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(a_member_of_a_document),
        cmocka_unit_test(sets_and_bytes_are_limited),
        cmocka_unit_test(what_is_put_is_what_was_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
