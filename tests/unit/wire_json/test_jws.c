#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/base64.h"
#include "wire/jws.h"

/* A token with this header text, payload {} and a signature of signature_len bytes. */
static struct atls_buf token_of(const char *header, size_t signature_len)
{
    static const uint8_t signature[1100] = {1};
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf token = ATLS_BUF_INIT;

    atls_base64url_put(&w, atls_bytes_of(header, strlen(header)));
    atls_put_u8(&w, '.');
    atls_base64url_put(&w, atls_bytes_of("{}", 2));
    atls_jws_put_signature(&w, atls_bytes_of(signature, signature_len));
    assert_int_equal(atls_writer_finish(&w, &token, NULL), ATLS_OK);
    return token;
}

static void headers_and_signatures(void **state)
{
    static const struct {
        const char *name, *header;
        size_t signature;
        enum atls_code want;
    } rows[] = {
        {"ES256", "{\"alg\":\"ES256\"}", 64, ATLS_OK},
        {"ES384", "{\"alg\":\"ES384\"}", 96, ATLS_OK},
        {"ES512", "{\"alg\":\"ES512\"}", 132, ATLS_OK},
        {"EdDSA", "{\"alg\":\"EdDSA\"}", 64, ATLS_OK},
        {"PS256 of 2048 bits", "{\"alg\":\"PS256\"}", 256, ATLS_OK},
        {"PS384 of 8192 bits", "{\"alg\":\"PS384\"}", 1024, ATLS_OK},
        {"PS512 of 3072 bits", "{\"alg\":\"PS512\"}", 384, ATLS_OK},
        {"with typ and kid", "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k\"}", 64, ATLS_OK},
        {"typ in another case", "{\"alg\":\"ES256\",\"typ\":\"jwt\"}", 64, ATLS_OK},
        {"typ of EAT", "{\"alg\":\"ES256\",\"typ\":\"EAT+jwt\"}", 64, ATLS_OK},
        {"typ as whole media type", "{\"alg\":\"ES256\",\"typ\":\"application/eat+jwt\"}", 64,
         ATLS_OK},
        {"typ application/JWT", "{\"alg\":\"ES256\",\"typ\":\"application/JWT\"}", 64, ATLS_OK},
        {"typ of another use", "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", 64, ATLS_E_UNSUPPORTED},
        {"typ JOSE", "{\"alg\":\"ES256\",\"typ\":\"JOSE\"}", 64, ATLS_E_UNSUPPORTED},
        {"typ of another registry", "{\"alg\":\"ES256\",\"typ\":\"text/jwt\"}", 64,
         ATLS_E_UNSUPPORTED},
        {"typ with a parameter", "{\"alg\":\"ES256\",\"typ\":\"JWT;a=b\"}", 64, ATLS_E_UNSUPPORTED},
        {"typ with a blank", "{\"alg\":\"ES256\",\"typ\":\"JWT \"}", 64, ATLS_E_UNSUPPORTED},
        {"typ empty", "{\"alg\":\"ES256\",\"typ\":\"\"}", 64, ATLS_E_UNSUPPORTED},
        {"typ with controls", "{\"alg\":\"ES256\",\"typ\":\"\\u001b[2J\"}", 64, ATLS_E_UNSUPPORTED},
        {"with a key of its own, ignored", "{\"alg\":\"ES256\",\"jwk\":{}}", 64, ATLS_OK},
        {"ES256 signature one byte short", "{\"alg\":\"ES256\"}", 63, ATLS_E_DECODE},
        {"ES256 signature in DER", "{\"alg\":\"ES256\"}", 70, ATLS_E_DECODE},
        {"ES384 signature of another curve", "{\"alg\":\"ES384\"}", 64, ATLS_E_DECODE},
        {"PS256 of 1024 bits", "{\"alg\":\"PS256\"}", 128, ATLS_E_DECODE},
        {"PS256 too long", "{\"alg\":\"PS256\"}", 1025, ATLS_E_DECODE},
        {"no signature", "{\"alg\":\"ES256\"}", 0, ATLS_E_DECODE},
        {"alg none", "{\"alg\":\"none\"}", 64, ATLS_E_UNSUPPORTED},
        {"alg NONE", "{\"alg\":\"NONE\"}", 64, ATLS_E_UNSUPPORTED},
        {"HMAC", "{\"alg\":\"HS256\"}", 32, ATLS_E_UNSUPPORTED},
        {"RSA PKCS1", "{\"alg\":\"RS256\"}", 256, ATLS_E_UNSUPPORTED},
        {"alg in another case", "{\"alg\":\"es256\"}", 64, ATLS_E_UNSUPPORTED},
        {"alg with controls", "{\"alg\":\"\\u001b[2J\"}", 64, ATLS_E_UNSUPPORTED},
        {"no alg", "{}", 64, ATLS_E_UNSUPPORTED},
        {"alg is a number", "{\"alg\":7}", 64, ATLS_E_DECODE},
        {"alg is too long", "{\"alg\":\"ES256ES256ES256E\"}", 64, ATLS_E_DECODE},
        {"kid is no text", "{\"alg\":\"ES256\",\"kid\":1}", 64, ATLS_E_DECODE},
        {"typ is no text", "{\"alg\":\"ES256\",\"typ\":null}", 64, ATLS_E_DECODE},
        {"crit", "{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", 64, ATLS_E_UNSUPPORTED},
        {"empty crit", "{\"alg\":\"ES256\",\"crit\":[]}", 64, ATLS_E_UNSUPPORTED},
        {"alg twice", "{\"alg\":\"ES256\",\"alg\":\"ES256\"}", 64, ATLS_E_DECODE},
        {"header is an array", "[\"ES256\"]", 64, ATLS_E_DECODE},
        {"header is no JSON", "ES256", 64, ATLS_E_DECODE},
        {"header with something behind it", "{\"alg\":\"ES256\"}x", 64, ATLS_E_DECODE},
        {"alg with a NUL", "{\"alg\":\"ES256\\u0000\"}", 64, ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf token = token_of(rows[i].header, rows[i].signature);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_jws jws;

        print_message("%s\n", rows[i].name);
        memset(&jws, 0, sizeof jws);
        test_assert_code(atls_jws_decode(atls_buf_bytes(&token), &jws, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK) {
            assert_memory_equal(jws.header.ptr, rows[i].header, jws.header.len);
            assert_int_equal(jws.signature.len, rows[i].signature);
            test_assert_bytes(atls_buf_bytes(&jws.payload), atls_bytes_of("{}", 2));
        } else {
            assert_null(jws.header.ptr);
        }
        atls_jws_clear(&jws);
        atls_buf_clear(&token);
    }
}

static void segments(void **state)
{
    static const struct {
        const char *name, *before, *after;
    } rows[] = {
        {"leading dot", ".", ""},      {"trailing dot", "", "."},
        {"fourth segment", "", ".AA"}, {"leading space", " ", ""},
        {"trailing space", "", " "},   {"padding", "", "="},
        {"line feed", "", "\n"},       {"letter of another alphabet", "", "+"},
        {"NUL", "", "\x01"},
    };
    static const char *const short_tokens[] = {"",    ".",       "..",       "...",
                                               "e30", "e30.e30", "e30..e30", ".e30.e30"};
    struct atls_buf good = token_of("{\"alg\":\"ES256\"}", 64);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jws jws;

    (void)state;
    memset(&jws, 0, sizeof jws);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char token[512];
        int len = snprintf(token, sizeof token, "%s%.*s%s", rows[i].before, (int)good.len,
                           (const char *)good.ptr, rows[i].after);

        print_message("%s\n", rows[i].name);
        test_assert_code(atls_jws_decode(atls_bytes_of(token, (size_t)len), &jws, &err),
                         ATLS_E_DECODE, &err);
    }
    for (size_t i = 0; i < sizeof short_tokens / sizeof short_tokens[0]; i++)
        test_assert_code(
            atls_jws_decode(atls_bytes_of(short_tokens[i], strlen(short_tokens[i])), &jws, &err),
            ATLS_E_DECODE, &err);
    /* Every truncation: the signature has 64 bytes or it is no token. */
    for (size_t len = 0; len < good.len; len++)
        test_assert_code(atls_jws_decode(atls_bytes_of(good.ptr, len), &jws, &err), ATLS_E_DECODE,
                         &err);
    atls_buf_clear(&good);
}

static void length_is_limited(void **state)
{
    struct atls_buf big = {calloc(1, ATLS_EAR_MAX + 1), ATLS_EAR_MAX + 1};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jws jws;

    (void)state;
    assert_non_null(big.ptr);
    test_assert_code(atls_jws_decode(atls_buf_bytes(&big), &jws, &err), ATLS_E_LIMIT, &err);
    big.len--;
    test_assert_code(atls_jws_decode(atls_buf_bytes(&big), &jws, &err), ATLS_E_DECODE, &err);
    atls_buf_clear(&big);
}

static void what_is_written_is_read(void **state)
{
    static const uint8_t signature[64] = {9, 8, 7};
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_jws jws;
    size_t signed_len;

    (void)state;
    atls_jws_put_signed_part(&w, "ES256", "key \"1\"", atls_bytes_of("{\"iat\":1}", 9));
    signed_len = w.len;
    atls_jws_put_signature(&w, atls_bytes_of(signature, sizeof signature));
    assert_int_equal(atls_writer_finish(&w, &token, NULL), ATLS_OK);
    test_assert_code(atls_jws_decode(atls_buf_bytes(&token), &jws, &err), ATLS_OK, &err);
    assert_string_equal(jws.alg, "ES256");
    assert_string_equal(jws.kid, "key \"1\"");
    assert_string_equal(jws.typ, "JWT");
    test_assert_bytes(jws.signed_part, atls_bytes_of(token.ptr, signed_len));
    test_assert_bytes(atls_buf_bytes(&jws.payload), atls_bytes_of("{\"iat\":1}", 9));
    test_assert_bytes(atls_buf_bytes(&jws.signature), atls_bytes_of(signature, sizeof signature));
    atls_jws_clear(&jws);
    atls_buf_clear(&token);
}

static void a_header_that_does_not_fit_sticks(void **state)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf token = ATLS_BUF_INIT;
    char kid[2000];

    (void)state;
    memset(kid, 'k', sizeof kid);
    kid[sizeof kid - 1] = '\0';
    atls_jws_put_signed_part(&w, "ES256", kid, atls_bytes_of("{}", 2));
    assert_int_equal(atls_writer_finish(&w, &token, NULL), ATLS_E_LIMIT);
    assert_null(token.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_and_signatures),
        cmocka_unit_test(segments),
        cmocka_unit_test(length_is_limited),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_header_that_does_not_fit_sticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
