#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <atls/ear.h>

#include "core/base64.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "verifier/result.h"
#include "wire/jws.h"

#define NOW 1700000000

static struct atls_result *make_result(void)
{
    /* The smallest SubjectPublicKeyInfo: an OID, and a key of one byte. */
    static const struct atls_bytes spki = HEX("\x30\x0a\x30\x04\x06\x02\x2a\x03\x03\x02\x00\x42");
    static const uint8_t binder[32] = {1};
    static struct atls_claims claims;
    struct atls_outcome o;
    struct atls_result *r = NULL;

    memset(&o, 0, sizeof o);
    memset(&claims, 0, sizeof claims);
    claims.technology = "tpm";
    claims.submod = "TPM";
    claims.key_spki = spki;
    o.policy_id = "policy:test";
    o.status = ATLS_TIER_AFFIRMING;
    o.trust[ATLS_TRUST_EXECUTABLES] = 3;
    assert_int_equal(atls_result_new(&claims, &o, atls_bytes_of(binder, 32), NOW, &r, NULL),
                     ATLS_OK);
    return r;
}

struct pair {
    struct atls_private_key *key;
    struct atls_buf private_pem, public_pem;
};

static struct pair make_pair(enum atls_key_type type)
{
    struct pair p = {NULL, ATLS_BUF_INIT, ATLS_BUF_INIT};

    assert_int_equal(atls_private_key_generate(type, &p.key, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_to_pem(p.key, &p.private_pem, NULL), ATLS_OK);
    assert_int_equal(atls_key_to_pem(atls_private_key_public(p.key), &p.public_pem, NULL), ATLS_OK);
    return p;
}

static void clear_pair(struct pair *p)
{
    atls_private_key_free(p->key);
    atls_buf_clear(&p->private_pem);
    atls_buf_clear(&p->public_pem);
}

/* As of NOW, whatever the age. */
static enum atls_code verify(const struct atls_buf *token, const struct atls_buf *key,
                             struct atls_buf *out, struct atls_err *err)
{
    struct atls_ear_check check;

    atls_ear_check_init(&check);
    check.public_key_pem = atls_buf_bytes(key);
    check.time_s = NOW;
    check.max_age_s = ATLS_EAR_ANY_AGE;
    return atls_ear_verify(atls_buf_bytes(token), &check, out, err);
}

static void what_is_signed_verifies(void **state)
{
    static const struct {
        enum atls_key_type type;
        const char *alg;
        enum atls_code want;
    } rows[] = {
        {ATLS_KEY_P256, "ES256", ATLS_OK},
        {ATLS_KEY_P384, "ES384", ATLS_OK},
        {ATLS_KEY_ED25519, "EdDSA", ATLS_OK},
        {ATLS_KEY_P521, NULL, ATLS_E_UNSUPPORTED},
    };
    struct atls_result *r = make_result();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair p = make_pair(rows[i].type), other = make_pair(ATLS_KEY_P256);
        struct atls_buf token = ATLS_BUF_INIT, shown = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_ear_sign(r, atls_buf_bytes(&p.private_pem), "k1", &token, &err),
                         rows[i].want, &err);
        if (rows[i].want == ATLS_OK) {
            char alg[32];

            test_assert_code(verify(&token, &p.public_pem, &shown, &err), ATLS_OK, &err);
            snprintf(alg, sizeof alg, "\"alg\": \"%s\"", rows[i].alg);
            assert_non_null(strstr((char *)shown.ptr, alg));
            assert_non_null(strstr((char *)shown.ptr, "\"kid\": \"k1\""));
            assert_memory_equal(shown.ptr, "{\n  \"verified\": true,", 20);
            assert_non_null(strstr((char *)shown.ptr, "\"ear_status\": \"affirming\""));
            atls_buf_clear(&shown);
            /* Another key: of another type it is no match, of the same type it does not verify. */
            test_assert_code(verify(&token, &other.public_pem, &shown, &err),
                             rows[i].type == ATLS_KEY_P256 ? ATLS_E_VERIFY : ATLS_E_UNSUPPORTED,
                             &err);
            assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
            assert_null(shown.ptr);
        }
        atls_buf_clear(&token);
        clear_pair(&p);
        clear_pair(&other);
    }
    atls_result_unref(r);
}

static void every_changed_letter_is_refused(void **state)
{
    struct atls_result *r = make_result();
    struct pair p = make_pair(ATLS_KEY_P256);
    struct atls_buf token = ATLS_BUF_INIT, shown = ATLS_BUF_INIT;

    (void)state;
    assert_int_equal(atls_ear_sign(r, atls_buf_bytes(&p.private_pem), NULL, &token, NULL), ATLS_OK);
    for (size_t i = 0; i < token.len; i += 7) {
        uint8_t old = token.ptr[i];

        token.ptr[i] = old == 'A' ? 'B' : 'A';
        assert_int_not_equal(verify(&token, &p.public_pem, &shown, NULL), ATLS_OK);
        token.ptr[i] = old;
    }
    assert_int_equal(verify(&token, &p.public_pem, &shown, NULL), ATLS_OK);
    atls_buf_clear(&shown);
    atls_buf_clear(&token);
    clear_pair(&p);
    atls_result_unref(r);
}

/* A token over this claims set, signed by key with ES256. */
static struct atls_buf sign_claims(const struct pair *p, const char *claims)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf signature = ATLS_BUF_INIT, token = ATLS_BUF_INIT;

    atls_jws_put_signed_part(&w, "ES256", NULL, atls_bytes_of(claims, strlen(claims)));
    assert_int_equal(atls_private_key_sign_raw(p->key, ATLS_ECDSA_P256_SHA256,
                                               atls_writer_bytes(&w), &signature, NULL),
                     ATLS_OK);
    atls_jws_put_signature(&w, atls_buf_bytes(&signature));
    atls_put_u8(&w, '\n');
    assert_int_equal(atls_writer_finish(&w, &token, NULL), ATLS_OK);
    atls_buf_clear(&signature);
    return token;
}

static void times_and_claims_are_checked_behind_the_signature(void **state)
{
    static const struct {
        const char *name, *times;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"issued now", "\"iat\":1700000000", ATLS_OK, ATLS_REASON_NONE},
        {"issued within the skew", "\"iat\":1700000060", ATLS_OK, ATLS_REASON_NONE},
        {"issued in the future", "\"iat\":1700000061", ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"valid soon", "\"iat\":1,\"nbf\":1700000060", ATLS_OK, ATLS_REASON_NONE},
        {"not yet valid", "\"iat\":1,\"nbf\":1700000061", ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"expired within the skew", "\"iat\":1,\"exp\":1699999941", ATLS_OK, ATLS_REASON_NONE},
        {"expired", "\"iat\":1,\"exp\":1699999940", ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"malformed", "\"iat\":1.0", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };
    struct pair p = make_pair(ATLS_KEY_P256);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char claims[512];
        struct atls_buf token, shown = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        snprintf(claims, sizeof claims,
                 "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",%s,\"ear_verifier_id\":"
                 "{\"developer\":\"d\",\"build\":\"b\"},\"submods\":{\"a\":{\"ear_status\":"
                 "\"none\"}}}",
                 rows[i].times);
        token = sign_claims(&p, claims);
        test_assert_code(verify(&token, &p.public_pem, &shown, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&shown);
        atls_buf_clear(&token);
    }
    clear_pair(&p);
}

/* The age of a result is told by who issued it, and limited by who reads it. */
static void age_is_limited(void **state)
{
    static const struct {
        const char *name;
        int64_t max_age_s, time_s;
        enum atls_code want;
    } rows[] = {
        {"any age", ATLS_EAR_ANY_AGE, INT64_MAX, ATLS_OK},
        {"as old as may be", 100, NOW + 100, ATLS_OK},
        {"a second too old", 100, NOW + 101, ATLS_E_CERTIFICATE},
        {"at once", 1, NOW, ATLS_OK},
        {"issued by a clock that is ahead", 1, NOW - 60, ATLS_OK},
        {"at the end of time", INT64_MAX, INT64_MAX, ATLS_OK},
        {"at the end of time, and too old", INT64_MAX - NOW - 1, INT64_MAX, ATLS_E_CERTIFICATE},
        {"before the beginning of time", 1, INT64_MIN, ATLS_E_CERTIFICATE},
        {"nobody said", 0, NOW, ATLS_E_USAGE},
        {"negative", -2, NOW, ATLS_E_USAGE},
        {"most negative", INT64_MIN, NOW, ATLS_E_USAGE},
    };
    struct atls_result *r = make_result();
    struct pair p = make_pair(ATLS_KEY_P256);
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear_check check;

    (void)state;
    test_assert_code(atls_ear_sign(r, atls_buf_bytes(&p.private_pem), NULL, &token, &err), ATLS_OK,
                     &err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf shown = ATLS_BUF_INIT;

        print_message("%s\n", rows[i].name);
        atls_ear_check_init(&check);
        check.public_key_pem = atls_buf_bytes(&p.public_pem);
        check.max_age_s = rows[i].max_age_s;
        check.time_s = rows[i].time_s;
        test_assert_code(atls_ear_verify(atls_buf_bytes(&token), &check, &shown, &err),
                         rows[i].want, &err);
        if (rows[i].want == ATLS_E_CERTIFICATE)
            assert_int_equal(err.reason, rows[i].time_s < NOW
                                             ? ATLS_REASON_CERTIFICATE_NOT_YET_VALID
                                             : ATLS_REASON_CERTIFICATE_EXPIRED);
        assert_int_equal(shown.ptr != NULL, rows[i].want == ATLS_OK);
        atls_buf_clear(&shown);
    }
    atls_buf_clear(&token);
    clear_pair(&p);
    atls_result_unref(r);
}

static void checks_that_are_none(void **state)
{
    struct pair p = make_pair(ATLS_KEY_P256);
    struct atls_buf shown = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear_check check;

    (void)state;
    test_assert_code(atls_ear_verify(atls_bytes_of("x", 1), NULL, &shown, &err), ATLS_E_USAGE,
                     &err);
    memset(&check, 0, sizeof check);
    check.max_age_s = ATLS_EAR_ANY_AGE;
    check.public_key_pem = atls_buf_bytes(&p.public_pem);
    test_assert_code(atls_ear_verify(atls_bytes_of("x", 1), &check, &shown, &err), ATLS_E_USAGE,
                     &err);
    /* What init leaves trusts no key, and no age. */
    atls_ear_check_init(&check);
    test_assert_code(atls_ear_verify(atls_bytes_of("x", 1), &check, &shown, &err), ATLS_E_USAGE,
                     &err);
    check.max_age_s = 1;
    test_assert_code(atls_ear_verify(atls_bytes_of("x", 1), &check, &shown, &err), ATLS_E_USAGE,
                     &err);
    check.public_key_pem = atls_bytes_of("x", 1);
    test_assert_code(atls_ear_verify(atls_bytes_of("x", 1), &check, &shown, &err), ATLS_E_DECODE,
                     &err);
    assert_null(shown.ptr);
    clear_pair(&p);
}

static void published_tokens(void **state)
{
    static const struct {
        const char *file;
        enum atls_code want;
    } rows[] = {
        {"arc-testJWT.jwt", ATLS_OK},
        {"arc-testJWT-embedded-jwk.jwt", ATLS_OK},
        {"jwt-pass-1.jwt", ATLS_E_DECODE}, /* signature is good, akpub holds the word akpub */
        {"c-ear.jwt", ATLS_E_DECODE},      /* signature is good, iat is a float */
        {"draft-opa.jwt", ATLS_E_DECODE},  /* likewise */
        {"jwt-neg-empty-claims.jwt", ATLS_E_DECODE},
        {"jwt-neg-hs256.jwt", ATLS_E_UNSUPPORTED},
        {"jwt-neg-alg-none.jwt", ATLS_E_DECODE},
        {"jwt-neg-leading-dot.jwt", ATLS_E_DECODE},
        {"jwt-neg-trailing.jwt", ATLS_E_DECODE},
    };
    struct atls_buf key = test_vector("ear/c-ear-pkey.pem");
    struct pair other = make_pair(ATLS_KEY_P256);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        struct atls_buf token, shown = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].file);
        snprintf(path, sizeof path, "ear/%s", rows[i].file);
        token = test_vector(path);
        test_assert_code(verify(&token, &key, &shown, &err), rows[i].want, &err);
        atls_buf_clear(&shown);
        if (rows[i].want == ATLS_OK) /* a key in the token's header is no key of ours */
            test_assert_code(verify(&token, &other.public_pem, &shown, &err), ATLS_E_VERIFY, &err);
        test_assert_code(atls_ear_show(atls_buf_bytes(&token), &shown, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK)
            assert_memory_equal(shown.ptr, "{\n  \"verified\": false,", 21);
        atls_buf_clear(&shown);
        atls_buf_clear(&token);
    }
    clear_pair(&other);
    atls_buf_clear(&key);
}

/* Their signatures are good, and only their times are not as they should be. */
static void published_tokens_with_float_times(void **state)
{
    static const char *const files[] = {"ear/c-ear.jwt", "ear/draft-opa.jwt"};
    struct atls_buf key = test_vector("ear/c-ear-pkey.pem");

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf token = test_vector(files[i]), shown = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear_check check;

        atls_ear_check_init(&check);
        check.public_key_pem = atls_buf_bytes(&key);
        check.time_s = NOW;
        check.max_age_s = ATLS_EAR_ANY_AGE;
        test_assert_code(atls_ear_verify(atls_buf_bytes(&token), &check, &shown, &err),
                         ATLS_E_DECODE, &err);
        check.allow_float_times = true;
        test_assert_code(atls_ear_verify(atls_buf_bytes(&token), &check, &shown, &err), ATLS_OK,
                         &err);
        atls_buf_clear(&shown);
        atls_buf_clear(&token);
    }
    atls_buf_clear(&key);
}

static void keys_that_are_none(void **state)
{
    struct atls_result *r = make_result();
    struct pair p = make_pair(ATLS_KEY_P256);
    struct atls_buf token = ATLS_BUF_INIT, shown = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_not_equal(atls_ear_sign(r, atls_buf_bytes(&p.public_pem), NULL, &token, &err),
                         ATLS_OK);
    assert_int_not_equal(atls_ear_sign(r, atls_bytes_of("x", 1), NULL, &token, &err), ATLS_OK);
    assert_null(token.ptr);
    assert_int_equal(atls_ear_sign(r, atls_buf_bytes(&p.private_pem), NULL, &token, &err), ATLS_OK);
    assert_int_not_equal(verify(&token, &p.private_pem, &shown, &err), ATLS_OK);
    assert_null(shown.ptr);
    atls_buf_clear(&token);
    clear_pair(&p);
    atls_result_unref(r);
}

static void claims_sets_are_shown_without_header(void **state)
{
    struct atls_result *r = make_result();
    const char *text = atls_result_json(r);
    struct atls_buf shown = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_ear_show(atls_bytes_of(text, strlen(text)), &shown, &err), ATLS_OK, &err);
    assert_memory_equal(shown.ptr, "{\n  \"verified\": false,\n  \"claims\": {", 36);
    assert_int_equal(strlen((char *)shown.ptr), shown.len);
    atls_buf_clear(&shown);
    {
        struct atls_buf cbor = test_vector("ear/ear-cbor-1.cbor");

        test_assert_code(atls_ear_show(atls_buf_bytes(&cbor), &shown, &err), ATLS_OK, &err);
        assert_memory_equal(shown.ptr, "{\n  \"verified\": false,\n  \"claims\": {", 36);
        assert_non_null(strstr((char *)shown.ptr, "\"ear_status\": \"contraindicated\""));
        atls_buf_clear(&shown);
        test_assert_code(atls_ear_show(atls_bytes_of(cbor.ptr, cbor.len - 1), &shown, &err),
                         ATLS_E_DECODE, &err);
        atls_buf_clear(&cbor);
    }
    test_assert_code(atls_ear_show(atls_bytes_of(" \n{}", 4), &shown, &err), ATLS_E_DECODE, &err);
    test_assert_code(atls_ear_show(atls_bytes_of("", 0), &shown, &err), ATLS_E_DECODE, &err);
    atls_result_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_verifies),
        cmocka_unit_test(every_changed_letter_is_refused),
        cmocka_unit_test(times_and_claims_are_checked_behind_the_signature),
        cmocka_unit_test(age_is_limited),
        cmocka_unit_test(checks_that_are_none),
        cmocka_unit_test(published_tokens),
        cmocka_unit_test(published_tokens_with_float_times),
        cmocka_unit_test(keys_that_are_none),
        cmocka_unit_test(claims_sets_are_shown_without_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
