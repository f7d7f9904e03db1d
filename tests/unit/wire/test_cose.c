#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "testlib.h"

#include "wire/cbor.h"
#include "wire/cose.h"

/* RFC 9052 appendix C.2.1 and the key "11" of appendix C.7.1. */
static const char EXAMPLE[] = "d28443a10126a10442313154546869732069732074686520636f6e74656e742e5840"
                              "8eb33e4ca31d1c465ab05aac34cc"
                              "6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a2234"
                              "44547e01f11d3b0916e5a4c345ca"
                              "cb36";
#define X11 "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
#define Y11 "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"

/* Decodes from a block of the exact size, so that a read past its end is seen. */
static enum atls_code sign1_of(struct atls_bytes in, enum atls_cose_tagging tagging,
                               struct atls_cose_sign1 *out, struct atls_err *err)
{
    struct atls_buf copy;
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, err), ATLS_OK, err);
    code = atls_cose_sign1_decode(atls_buf_bytes(&copy), tagging, out, err);
    atls_buf_clear(&copy);
    return code;
}

static EVP_PKEY *pkey_of_spki(struct atls_bytes spki)
{
    const unsigned char *p = spki.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.len);

    assert_non_null(key);
    assert_ptr_equal(p, spki.ptr + spki.len);
    return key;
}

static void test_example_verifies(void **state)
{
    struct atls_buf in = test_unhex(EXAMPLE), x = test_unhex(X11), y = test_unhex(Y11);
    struct atls_cose_key key = {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_P256};
    struct atls_writer tbs = atls_writer_init(256), spki = atls_writer_init(256);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_sign1 s;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    EVP_PKEY *pkey;
    int der_len;

    (void)state;
    test_assert_code(atls_cose_sign1_decode(atls_buf_bytes(&in), ATLS_COSE_TAG_REQUIRED, &s, &err),
                     ATLS_OK, &err);
    assert_true(s.alg == -7);
    assert_true(atls_bytes_equal_text(s.kid, "11"));
    assert_true(atls_bytes_equal_text(s.payload, "This is the content."));
    assert_false(s.detached || s.has_content_type_text || s.has_content_type_uint);
    assert_null(s.x5chain.ptr);
    assert_int_equal(s.signature.len, 64);

    key.x = atls_buf_bytes(&x);
    key.y = atls_buf_bytes(&y);
    test_assert_code(atls_cose_put_spki(&spki, &key, &err), ATLS_OK, &err);
    pkey = pkey_of_spki(atls_writer_bytes(&spki));
    atls_cose_put_to_be_signed(&tbs, s.protected_header, atls_bytes_of(NULL, 0), s.payload);
    ECDSA_SIG_set0(sig, BN_bin2bn(s.signature.ptr, 32, NULL),
                   BN_bin2bn(s.signature.ptr + 32, 32, NULL));
    der_len = i2d_ECDSA_SIG(sig, &der);
    assert_true(der_len > 0);
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestVerify(ctx, der, (size_t)der_len, atls_writer_bytes(&tbs).ptr,
                                      atls_writer_bytes(&tbs).len),
                     1);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    atls_writer_clear(&tbs);
    atls_writer_clear(&spki);
    atls_buf_clear(&in);
    atls_buf_clear(&x);
    atls_buf_clear(&y);
}

static void test_round_trip(void **state)
{
    struct atls_buf in = test_unhex(EXAMPLE);
    struct atls_writer w = atls_writer_init(256);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_sign1 s;

    (void)state;
    test_assert_code(atls_cose_sign1_decode(atls_buf_bytes(&in), ATLS_COSE_TAG_REQUIRED, &s, &err),
                     ATLS_OK, &err);
    atls_cose_put_sign1(&w, s.protected_header, s.unprotected_header, s.payload, s.signature);
    test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
    atls_writer_clear(&w);
    for (size_t len = 0; len < in.len; len++)
        test_assert_code(sign1_of(atls_bytes_of(in.ptr, len), ATLS_COSE_TAG_REQUIRED, &s, &err),
                         ATLS_E_DECODE, &err);
    atls_buf_clear(&in);
}

static const struct {
    const char *name;
    const char *hex;
    enum atls_cose_tagging tagging;
    enum atls_code want;
    const char *message; /* part of it, when refused */
} sign1_rows[] = {
    {"smallest, tagged", "d28443a10126a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"smallest, tagged, optional", "d28443a10126a041784199", ATLS_COSE_TAG_OPTIONAL, ATLS_OK, NULL},
    {"smallest, bare, optional", "8443a10126a041784199", ATLS_COSE_TAG_OPTIONAL, ATLS_OK, NULL},
    {"smallest, bare, forbidden", "8443a10126a041784199", ATLS_COSE_TAG_FORBIDDEN, ATLS_OK, NULL},
    {"empty payload", "d28443a10126a0404199", ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"detached payload", "d28443a10126a0f64199", ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"text label", "d28446a201266161f6a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"label beyond 64 bits signed", "d2844da201261bfffffffffffffffff6a041784199",
     ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"crit of content type", "d28449a30126028103031861a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_OK,
     NULL},
    {"crit of alg", "d28446a20126028101a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"x5chain of one", "d28443a10126a1182142aabb41784199", ATLS_COSE_TAG_REQUIRED, ATLS_OK, NULL},
    {"x5chain of two", "d28443a10126a118218241aa41bb41784199", ATLS_COSE_TAG_REQUIRED, ATLS_OK,
     NULL},
    {"one trailing byte", "d28443a10126a04178419900", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "trailing"},
    {"tag missing", "8443a10126a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "no tag"},
    {"tag forbidden", "d28443a10126a041784199", ATLS_COSE_TAG_FORBIDDEN, ATLS_E_DECODE, "tag 18"},
    {"tag of COSE_Mac0", "d18443a10126a041784199", ATLS_COSE_TAG_OPTIONAL, ATLS_E_DECODE, "tag 17"},
    {"two tags", "d2d28443a10126a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "not an array of 4"},
    {"not an array", "d2a0", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "not an array of 4"},
    {"array of 3", "d28343a10126a04178", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "not an array of 4"},
    {"array of 5", "d28543a10126a04178419900", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "not an array of 4"},
    {"indefinite array", "d29f43a10126a041784199ff", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "indefinite"},
    {"protected header not wrapped", "d284a10126a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "protected header: not a byte string"},
    {"protected header of no bytes", "d28440a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "no alg"},
    {"protected header an empty map", "d28441a0a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "no alg"},
    {"protected header not a map", "d2844101a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "not a map"},
    {"protected header indefinite", "d28444bf0126ffa041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "indefinite"},
    {"protected header with trailing byte", "d28444a1012600a041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "trailing"},
    {"protected label twice", "d28445a201260127a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "duplicate"},
    {"protected label a byte string", "d28446a201264161f6a041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "label is neither"},
    {"protected label a bool", "d28445a20126f5f6a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "label is neither"},
    {"alg only unprotected", "d28443a10300a1012641784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "no alg"},
    {"alg in both", "d28443a10126a1012641784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "in the protected header too"},
    {"unknown label in both", "d28446a2012618630aa118630a41784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "in the protected header too"},
    {"alg as text", "d28444a1016178a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "alg is not an integer"},
    {"unprotected header not a map", "d28443a101268041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "unprotected header: not a map"},
    {"unprotected label twice", "d28443a10126a204410104410241784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "duplicate"},
    {"unprotected label an array", "d28443a10126a1800041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "label is neither"},
    {"crit empty", "d28445a201260280a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "non-empty array"},
    {"crit not an array", "d28445a201260201a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "non-empty array"},
    {"crit of a label that is absent", "d28446a20126028104a041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "not in the protected header"},
    {"crit of an unknown label", "d28448a3012602810b0b00a041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_UNSUPPORTED, "critical"},
    {"crit of a text label", "d2844aa3012602816161616100a041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_UNSUPPORTED, "critical"},
    {"crit unprotected", "d28443a10126a102810141784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "must be protected"},
    {"content type negative", "d28445a201260320a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "content type"},
    {"content type bytes", "d28446a20126034100a041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "content type"},
    {"kid a text", "d28443a10126a104613141784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "kid"},
    {"kid protected, an integer", "d28445a201260401a041784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "kid"},
    {"x5chain an integer", "d28443a10126a118210041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "x5chain"},
    {"x5chain an array of one", "d28443a10126a118218141aa41784199", ATLS_COSE_TAG_REQUIRED,
     ATLS_E_DECODE, "x5chain"},
    {"x5chain with an empty certificate", "d28443a10126a118218241aa4041784199",
     ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "x5chain"},
    {"x5chain of no bytes", "d28443a10126a118214041784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE,
     "x5chain"},
    {"payload a text", "d28443a10126a061784199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "payload"},
    {"payload undefined", "d28443a10126a0f74199", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "payload"},
    {"signature empty", "d28443a10126a0417840", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "signature"},
    {"signature nil", "d28443a10126a04178f6", ATLS_COSE_TAG_REQUIRED, ATLS_E_DECODE, "signature"},
};

static void test_sign1_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sign1_rows / sizeof sign1_rows[0]; i++) {
        struct atls_buf in = test_unhex(sign1_rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cose_sign1 s;

        print_message("  %s\n", sign1_rows[i].name);
        memset(&s, 0x5a, sizeof s);
        test_assert_code(sign1_of(atls_buf_bytes(&in), sign1_rows[i].tagging, &s, &err),
                         sign1_rows[i].want, &err);
        if (sign1_rows[i].want != ATLS_OK) {
            struct atls_cose_sign1 untouched;

            memset(&untouched, 0x5a, sizeof untouched);
            assert_memory_equal(&s, &untouched, sizeof s);
            if (strstr(err.message, sign1_rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, sign1_rows[i].message);
        }
        atls_buf_clear(&in);
    }
}

/* crit may name what the caller understands beyond RFC 9052, and nothing else. */
static void test_critical_labels_of_the_caller(void **state)
{
    static const int64_t eleven[] = {8, 11};
    static const struct {
        const char *name;
        const char *hex;
        size_t count; /* of eleven that the caller understands */
        enum atls_code want;
    } rows[] = {
        {"understood", "d28448a3012602810b0b00a041784199", 2, ATLS_OK},
        {"another is understood", "d28448a3012602810b0b00a041784199", 1, ATLS_E_UNSUPPORTED},
        {"none is understood", "d28448a3012602810b0b00a041784199", 0, ATLS_E_UNSUPPORTED},
        {"understood, beside one that COSE defines", "d28449a301260282010b0b00a041784199", 2,
         ATLS_OK},
        {"understood, beside one that is not", "d2844ba4012602820b0c0b000c00a041784199", 2,
         ATLS_E_UNSUPPORTED},
        {"understood and absent", "d28446a2012602810ba041784199", 2, ATLS_E_DECODE},
        {"understood and not critical", "d28445a201260b00a041784199", 2, ATLS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_cose_labels understood = {eleven, rows[i].count};
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cose_sign1 s;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_cose_sign1_decode_with(atls_buf_bytes(&in), ATLS_COSE_TAG_REQUIRED,
                                                     &understood, &s, &err),
                         rows[i].want, &err);
        atls_buf_clear(&in);
    }
}

static void test_sign1_fields(void **state)
{
    /* {1: -7, 3: "a/b", 4: h'31'}, {33: h'aa', 99: 1} */
    static const struct atls_bytes text_type =
        HEX("\x84\x4b\xa3\x01\x26\x03\x63"
            "a/b\x04\x41\x31\xa2\x18\x21\x41\xaa\x18\x63\x01\x40\x41\x99");
    static const struct atls_bytes uint_type =
        HEX("\x84\x47\xa2\x01\x26\x03\x19\x01\x11\xa1\x04\x40\xf6\x41\x99");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_sign1 s;

    (void)state;
    test_assert_code(atls_cose_sign1_decode(text_type, ATLS_COSE_TAG_FORBIDDEN, &s, &err), ATLS_OK,
                     &err);
    assert_true(s.has_content_type_text && !s.has_content_type_uint);
    assert_true(atls_bytes_equal_text(s.content_type_text, "a/b"));
    assert_true(atls_bytes_equal_text(s.kid, "1"));
    assert_int_equal(s.x5chain.len, 2);
    assert_true(s.payload.ptr != NULL && s.payload.len == 0 && !s.detached);

    test_assert_code(atls_cose_sign1_decode(uint_type, ATLS_COSE_TAG_FORBIDDEN, &s, &err), ATLS_OK,
                     &err);
    assert_true(!s.has_content_type_text && s.has_content_type_uint);
    assert_true(s.content_type_uint == 273);
    assert_true(s.kid.ptr != NULL && s.kid.len == 0); /* present, of no bytes */
    assert_true(s.detached && s.payload.ptr == NULL);
}

static void test_too_many_labels(void **state)
{
    (void)state;
    for (uint64_t count = 32; count <= 33; count++) {
        struct atls_writer header = atls_writer_init(256), w = atls_writer_init(512);
        struct atls_err err = ATLS_ERR_INIT;
        static const struct atls_bytes one = HEX("x");
        struct atls_cose_sign1 s;

        atls_cbor_put_map(&header, count);
        for (uint64_t i = 0; i < count; i++) {
            atls_cbor_put_uint(&header, i == 0 ? 1 : 100 + i);
            atls_cbor_put_int(&header, -7);
        }
        atls_cose_put_sign1(&w, atls_writer_bytes(&header), atls_bytes_of(NULL, 0), one, one);
        test_assert_code(sign1_of(atls_writer_bytes(&w), ATLS_COSE_TAG_REQUIRED, &s, &err),
                         count == 32 ? ATLS_OK : ATLS_E_LIMIT, &err);
        atls_writer_clear(&header);
        atls_writer_clear(&w);
    }
}

static void test_to_be_signed(void **state)
{
    static const struct atls_bytes want_empty = HEX("\x84\x6aSignature1\x40\x41\x07\x41x");
    static const struct atls_bytes aad = HEX("\x07"), payload = HEX("x"), empty_map = HEX("\xa0");
    struct atls_writer w = atls_writer_init(64);

    (void)state;
    atls_cose_put_to_be_signed(&w, empty_map, aad, payload);
    test_assert_bytes(atls_writer_bytes(&w), want_empty);
    atls_writer_clear(&w);
    atls_cose_put_to_be_signed(&w, atls_bytes_of(NULL, 0), aad, payload);
    test_assert_bytes(atls_writer_bytes(&w), want_empty);
    atls_writer_clear(&w);
}

static const struct {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *message;
} key_rows[] = {
    {"EC2 P-256", "a401022001215820" X11 "225820" Y11, ATLS_OK, NULL},
    {"members out of order", "a4225820" Y11 "215820" X11 "20010102", ATLS_OK, NULL},
    {"EC2 compressed, even", "a401022001215820" X11 "22f4", ATLS_OK, NULL},
    {"EC2 compressed, odd", "a401022001215820" X11 "22f5", ATLS_OK, NULL},
    {"kid, alg and an unknown label", "a70102024231310326186361782001215820" X11 "225820" Y11,
     ATLS_OK, NULL},
    {"text label", "a501022001215820" X11 "225820" Y11 "616100", ATLS_OK, NULL},
    {"OKP Ed25519", "a301012006215820" X11, ATLS_OK, NULL},
    {"RSA", "a301032042ff012143010001", ATLS_OK, NULL},
    {"one trailing byte", "a301012006215820" X11 "00", ATLS_E_DECODE, "trailing"},
    {"not a map", "80", ATLS_E_DECODE, "not a map"},
    {"empty map", "a0", ATLS_E_DECODE, "kty"},
    {"label a bool", "a401012006215820" X11 "f400", ATLS_E_DECODE, "label is neither"},
    {"label a byte string", "a401012006215820" X11 "414100", ATLS_E_DECODE, "label is neither"},
    {"kty as text", "a3016345433220012100", ATLS_E_DECODE, "kty"},
    {"kty symmetric", "a201042041aa", ATLS_E_DECODE, "crv"},
    {"kty unknown", "a301052001215820" X11, ATLS_E_UNSUPPORTED, "kty 5"},
    {"crv missing", "a30102215820" X11 "225820" Y11, ATLS_E_DECODE, "crv"},
    {"crv of Ed448", "a301012007215820" X11, ATLS_E_UNSUPPORTED, "crv 7"},
    {"crv of another kty", "a401022006215820" X11 "225820" Y11, ATLS_E_UNSUPPORTED, "crv 6"},
    {"crv as text", "a30101206161215820" X11, ATLS_E_DECODE, "crv"},
    {"x missing", "a301022001225820" Y11, ATLS_E_DECODE, "x"},
    {"x one byte short",
     "a40102200121581fc5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a0"
     "9eff225820" Y11,
     ATLS_E_DECODE, "COSE_Key x"},
    {"x one byte long", "a40102200121582100" X11 "225820" Y11, ATLS_E_DECODE, "COSE_Key x"},
    {"x a text", "a301012006216161", ATLS_E_DECODE, "COSE_Key x"},
    {"y missing", "a301022001215820" X11, ATLS_E_DECODE, "COSE_Key y"},
    {"y one byte long", "a401022001215820" X11 "22582100" Y11, ATLS_E_DECODE, "COSE_Key y"},
    {"y nil", "a401022001215820" X11 "22f6", ATLS_E_DECODE, "COSE_Key y"},
    {"size of P-384 with P-256 coordinates", "a401022002215820" X11 "225820" Y11, ATLS_E_DECODE,
     "COSE_Key x"},
    {"size of P-521 with P-256 coordinates", "a401022003215820" X11 "225820" Y11, ATLS_E_DECODE,
     "COSE_Key x"},
    {"EC2 with private part", "a501022001215820" X11 "225820" Y11 "234101", ATLS_E_DECODE,
     "private"},
    {"OKP with private part", "a401012006215820" X11 "234101", ATLS_E_DECODE, "private"},
    {"RSA with d", "a401032042ff012143010001224101", ATLS_E_DECODE, "private"},
    {"RSA with other primes", "a401032042ff0121430100012a80", ATLS_E_DECODE, "private"},
    {"RSA with t_i", "a401032042ff0121430100012b4101", ATLS_E_DECODE, "private"},
    {"RSA n missing", "a201032143010001", ATLS_E_DECODE, "COSE_Key n"},
    {"RSA n with a leading zero", "a30103204300ff012143010001", ATLS_E_DECODE, "COSE_Key n"},
    {"RSA n empty", "a3010320402143010001", ATLS_E_DECODE, "COSE_Key n"},
    {"RSA e missing", "a201032042ff01", ATLS_E_DECODE, "COSE_Key e"},
    {"RSA e with a leading zero", "a301032042ff01214400010001", ATLS_E_DECODE, "COSE_Key e"},
    {"RSA e of 9 bytes", "a301032042ff012149010000000000000001", ATLS_E_DECODE, "COSE_Key e"},
    {"kid a text", "a401010261312006215820" X11, ATLS_E_DECODE, "kid"},
    {"alg a text", "a401010361312006215820" X11, ATLS_E_DECODE, "alg"},
    {"x twice", "a401012006215820" X11 "215820" X11, ATLS_E_DECODE, "duplicate"},
    {"kty in two widths", "a301021801022001", ATLS_E_DECODE, "shortest"},
};

static void test_key_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof key_rows / sizeof key_rows[0]; i++) {
        struct atls_buf in = test_unhex(key_rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cose_key key = {.alg = 77};

        print_message("  %s\n", key_rows[i].name);
        test_assert_code(atls_cose_key_decode(atls_buf_bytes(&in), &key, &err), key_rows[i].want,
                         &err);
        if (key_rows[i].want != ATLS_OK) {
            assert_true(key.alg == 77);
            if (strstr(err.message, key_rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, key_rows[i].message);
        }
        atls_buf_clear(&in);
    }
}

static void test_key_fields(void **state)
{
    struct atls_buf in = test_unhex("a601020242313103262001215820" X11 "22f5");
    struct atls_writer w = atls_writer_init(256);
    struct atls_buf want = test_unhex("a401022001215820" X11 "22f5");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_key key;

    (void)state;
    test_assert_code(atls_cose_key_decode(atls_buf_bytes(&in), &key, &err), ATLS_OK, &err);
    assert_true(atls_bytes_equal_text(key.kid, "11"));
    assert_true(key.alg == -7 && key.kty == ATLS_COSE_EC2 && key.crv == ATLS_COSE_P256);
    assert_true(key.y.ptr == NULL && key.y_is_odd && key.x.len == 32);
    test_assert_code(atls_cose_put_spki(&w, &key, &err), ATLS_E_UNSUPPORTED, &err);
    atls_cose_put_key(&w, &key);
    test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&want));
    for (size_t len = 0; len < in.len; len++)
        test_assert_code(atls_cose_key_decode(atls_bytes_of(in.ptr, len), &key, &err),
                         ATLS_E_DECODE, &err);
    atls_writer_clear(&w);
    atls_buf_clear(&in);
    atls_buf_clear(&want);
}

/* The key that libcrypto encodes, through COSE_Key and back, is the same octets. */
static void round_trip_spki(EVP_PKEY *pkey)
{
    struct atls_writer cose = atls_writer_init(4096), spki = atls_writer_init(4096);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cose_key key, again;
    unsigned char *der = NULL;
    int len;

    assert_non_null(pkey);
    len = i2d_PUBKEY(pkey, &der);
    assert_true(len > 0);
    test_assert_code(atls_cose_key_from_spki(atls_bytes_of(der, (size_t)len), &key, &err), ATLS_OK,
                     &err);
    atls_cose_put_key(&cose, &key);
    test_assert_code(atls_cose_key_decode(atls_writer_bytes(&cose), &again, &err), ATLS_OK, &err);
    test_assert_code(atls_cose_put_spki(&spki, &again, &err), ATLS_OK, &err);
    test_assert_bytes(atls_writer_bytes(&spki), atls_bytes_of(der, (size_t)len));
    /* Truncated, and with one byte after it. */
    for (size_t cut = 0; cut < (size_t)len; cut++)
        test_assert_code(atls_cose_key_from_spki(atls_bytes_of(der, cut), &key, &err),
                         ATLS_E_DECODE, &err);
    atls_put_u8(&spki, 0);
    test_assert_code(atls_cose_key_from_spki(atls_writer_bytes(&spki), &key, &err), ATLS_E_DECODE,
                     &err);
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
    atls_writer_clear(&cose);
    atls_writer_clear(&spki);
}

static void test_spki_of_libcrypto(void **state)
{
    (void)state;
    round_trip_spki(EVP_EC_gen("P-256"));
    round_trip_spki(EVP_EC_gen("P-384"));
    round_trip_spki(EVP_EC_gen("P-521"));
    round_trip_spki(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    round_trip_spki(EVP_RSA_gen(1024)); /* short lengths */
    round_trip_spki(EVP_RSA_gen(2048));
}

#define EC_HEAD "3059301306072a8648ce3d020106082a8648ce3d030107034200"
#define RSA_ALG "300d06092a864886f70d0101010500"

static const struct {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *message;
} spki_rows[] = {
    {"P-256", EC_HEAD "04" X11 Y11, ATLS_OK, NULL},
    {"Ed25519", "302a300506032b6570032100" X11, ATLS_OK, NULL},
    {"RSA, 9 bits", "301b" RSA_ALG "030a003007020201ff020103", ATLS_OK, NULL},
    {"empty", "", ATLS_E_DECODE, "not one SEQUENCE"},
    {"a SET", "3100", ATLS_E_DECODE, "not one SEQUENCE"},
    {"BER length", "30812a300506032b6570032100" X11, ATLS_E_DECODE, "not one SEQUENCE"},
    {"BER length of two bytes", "3082002a300506032b6570032100" X11, ATLS_E_DECODE,
     "not one SEQUENCE"},
    {"BER indefinite length", "3080300506032b6570032100" X11 "0000", ATLS_E_DECODE,
     "not one SEQUENCE"},
    {"length of four bytes", "30840000002a300506032b6570032100" X11, ATLS_E_DECODE,
     "not one SEQUENCE"},
    {"no algorithm", "3023032100" X11, ATLS_E_DECODE, "not algorithm and BIT STRING"},
    {"third member", "302c300506032b6570032100" X11 "0500", ATLS_E_DECODE,
     "not algorithm and BIT STRING"},
    {"BIT STRING empty", "3009300506032b65700300", ATLS_E_DECODE, "whole bytes"},
    {"BIT STRING with unused bits", "302a300506032b6570032101" X11, ATLS_E_DECODE, "whole bytes"},
    {"Ed448", "302a300506032b6571032100" X11, ATLS_E_UNSUPPORTED, "algorithm"},
    {"Ed25519 with NULL parameters", "302c300706032b65700500032100" X11, ATLS_E_UNSUPPORTED,
     "algorithm"},
    {"RSA without parameters", "3018300b06092a864886f70d0101010309003006020103020103",
     ATLS_E_UNSUPPORTED, "algorithm"},
    {"Ed25519 one byte short",
     "3029300506032b6570032000c5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff",
     ATLS_E_DECODE, "32 bytes"},
    {"P-256 compressed", "3039301306072a8648ce3d020106082a8648ce3d03010703220002" X11,
     ATLS_E_UNSUPPORTED, "compressed"},
    {"P-256 hybrid form", EC_HEAD "06" X11 Y11, ATLS_E_DECODE, "uncompressed"},
    {"P-256 point at infinity", "3019301306072a8648ce3d020106082a8648ce3d03010703020000",
     ATLS_E_DECODE, "uncompressed"},
    {"P-256 no point", "3018301306072a8648ce3d020106082a8648ce3d030107030100", ATLS_E_DECODE,
     "empty"},
    {"P-256 without y", "3039301306072a8648ce3d020106082a8648ce3d03010703220004" X11, ATLS_E_DECODE,
     "uncompressed"},
    {"P-256 with a byte after y",
     "305a301306072a8648ce3d020106082a8648ce3d03010703430004" X11 Y11 "00", ATLS_E_DECODE,
     "uncompressed"},
    {"RSA key not a SEQUENCE", "3014" RSA_ALG "0303000500", ATLS_E_DECODE,
     "RSAPublicKey: not one SEQUENCE"},
    {"RSA negative modulus", "301a" RSA_ALG "03090030060201ff020103", ATLS_E_DECODE, "modulus"},
    {"RSA modulus 0", "301a" RSA_ALG "0309003006020100020103", ATLS_E_DECODE, "modulus"},
    {"RSA modulus with idle zero", "301b" RSA_ALG "030a00300702020001020103", ATLS_E_DECODE,
     "modulus"},
    {"RSA modulus of no bytes", "3019" RSA_ALG "03080030050200020103", ATLS_E_DECODE, "modulus"},
    {"RSA exponent missing", "3017" RSA_ALG "0306003003020103", ATLS_E_DECODE, "exponent"},
    {"RSA exponent negative", "301a" RSA_ALG "03090030060201030201ff", ATLS_E_DECODE, "exponent"},
    {"RSA with a third number", "301d" RSA_ALG "030c003009020103020103020103", ATLS_E_DECODE,
     "exponent"},
    {"RSA with bytes after the SEQUENCE", "301c" RSA_ALG "030b0030060201030201030500",
     ATLS_E_DECODE, "RSAPublicKey: not one SEQUENCE"},
};

static void test_spki_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spki_rows / sizeof spki_rows[0]; i++) {
        struct atls_buf in = test_unhex(spki_rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cose_key key = {.alg = 77};

        print_message("  %s\n", spki_rows[i].name);
        test_assert_code(atls_cose_key_from_spki(atls_buf_bytes(&in), &key, &err),
                         spki_rows[i].want, &err);
        if (spki_rows[i].want == ATLS_OK) {
            struct atls_writer w = atls_writer_init(256);

            test_assert_code(atls_cose_put_spki(&w, &key, &err), ATLS_OK, &err);
            test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&in));
            atls_writer_clear(&w);
        } else {
            assert_true(key.alg == 77);
            if (strstr(err.message, spki_rows[i].message) == NULL)
                fail_msg("%s, want %s", err.message, spki_rows[i].message);
        }
        atls_buf_clear(&in);
    }
}

static void test_put_spki_refuses(void **state)
{
    static const uint8_t bytes[32] = {1};
    const struct atls_bytes x = {bytes, 32}, short_x = {bytes, 31}, zero = {bytes + 1, 1},
                            one = {bytes, 1};
    const struct {
        const char *name;
        struct atls_cose_key key;
        enum atls_code want;
    } rows[] = {
        {"zero key", {.alg = 0}, ATLS_E_UNSUPPORTED},
        {"EC2 on Ed25519",
         {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_ED25519, .x = x, .y = x},
         ATLS_E_UNSUPPORTED},
        {"compressed", {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_P256, .x = x}, ATLS_E_UNSUPPORTED},
        {"short x",
         {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_P256, .x = short_x, .y = x},
         ATLS_E_USAGE},
        {"short y",
         {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_P256, .x = x, .y = short_x},
         ATLS_E_USAGE},
        {"short Ed25519",
         {.kty = ATLS_COSE_OKP, .crv = ATLS_COSE_ED25519, .x = short_x},
         ATLS_E_USAGE},
        {"RSA without n", {.kty = ATLS_COSE_RSA, .e = one}, ATLS_E_USAGE},
        {"RSA without e", {.kty = ATLS_COSE_RSA, .n = one}, ATLS_E_USAGE},
        {"RSA n zero", {.kty = ATLS_COSE_RSA, .n = zero, .e = one}, ATLS_E_USAGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(256);
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_cose_put_spki(&w, &rows[i].key, &err), rows[i].want, &err);
        assert_int_equal(w.len, 0);
        atls_writer_clear(&w);
    }
}

/* What is signed stays as it came; labels are looked at by value. */
static void test_sign1_of_any_width(void **state)
{
    static const struct {
        const char *name, *hex;
        enum atls_code want;
        const char *header; /* as received */
    } rows[] = {
        {"shortest", "d28443a10126a041a04100", ATLS_OK, "a10126"},
        {"long structure", "d81298045803a10126b8005801a0590001ff", ATLS_OK, "a10126"},
        {"long protected header", "d28447ba000000010126a041a04100", ATLS_OK, "ba000000010126"},
        {"both", "d81298045807ba000000010126a041a04100", ATLS_OK, "ba000000010126"},
        {"no tag", "8447ba000000010126a041a04100", ATLS_E_DECODE, NULL},
        {"no protected header", "d28440a041a04100", ATLS_E_DECODE, NULL},
        {"protected header that is no map", "d2844101a041a04100", ATLS_E_DECODE, NULL},
        {"alg twice, of other widths", "d28446a20126180126a041a04100", ATLS_E_DECODE, NULL},
        {"crit that is unknown, in long heads", "d28449a201260298011863a041a04100", ATLS_E_DECODE,
         NULL},
        {"five elements", "d28543a10126a041a0410000", ATLS_E_DECODE, NULL},
        {"indefinite array", "d29f43a10126a041a04100ff", ATLS_E_DECODE, NULL},
        {"indefinite protected header", "d28444bf0126ffa041a04100", ATLS_E_DECODE, NULL},
        {"label in both headers", "d28443a10126a118010041a04100", ATLS_E_DECODE, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 16);
        struct atls_cose_sign1 out = {.alg = 77};
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf in = test_unhex(rows[i].hex), header;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_cose_sign1_decode_of_any_width(
                             atls_buf_bytes(&in), ATLS_COSE_TAG_REQUIRED, &arena, &out, &err),
                         rows[i].want, &err);
        assert_true(out.alg == (rows[i].want == ATLS_OK ? -7 : 77));
        if (rows[i].want == ATLS_OK) {
            header = test_unhex(rows[i].header);
            test_assert_bytes(out.protected_header, atls_buf_bytes(&header));
            assert_int_equal(out.signature.len, 1);
            atls_buf_clear(&header);
        }
        atls_arena_clear(&arena);
        arena = atls_arena_init(0); /* no memory */
        if (i == 2)
            assert_int_equal(atls_cose_sign1_decode_of_any_width(
                                 atls_buf_bytes(&in), ATLS_COSE_TAG_REQUIRED, &arena, &out, NULL),
                             ATLS_E_NOMEM);
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_verifies),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sign1_rows),
        cmocka_unit_test(test_sign1_fields),
        cmocka_unit_test(test_too_many_labels),
        cmocka_unit_test(test_to_be_signed),
        cmocka_unit_test(test_key_rows),
        cmocka_unit_test(test_key_fields),
        cmocka_unit_test(test_spki_of_libcrypto),
        cmocka_unit_test(test_spki_rows),
        cmocka_unit_test(test_put_spki_refuses),
        cmocka_unit_test(test_critical_labels_of_the_caller),
        cmocka_unit_test(test_sign1_of_any_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
