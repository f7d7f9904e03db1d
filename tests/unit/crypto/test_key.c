#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/der.h"

static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                           ATLS_KEY_ED25519, ATLS_KEY_RSA};
#define TYPE_COUNT (sizeof types / sizeof types[0])

static struct atls_private_key *keys[TYPE_COUNT];

static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (atls_private_key_generate(types[i], &keys[i], NULL) != ATLS_OK)
            return -1;
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++)
        atls_private_key_free(keys[i]);
    return 0;
}

/* A copy of a key's encoding on the heap, so that reads past its end are seen. */
static struct atls_buf spki_of(size_t i)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_bytes spki = atls_key_spki(atls_private_key_public(keys[i]));

    out.ptr = malloc(spki.len);
    assert_non_null(out.ptr);
    memcpy(out.ptr, spki.ptr, spki.len);
    out.len = spki.len;
    return out;
}

static void every_type_parses_to_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct atls_buf spki = spki_of(i);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_key *key = NULL;

        test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_OK, &err);
        assert_int_equal(atls_key_type(key), types[i]);
        test_assert_bytes(atls_key_spki(key), atls_buf_bytes(&spki));
        atls_key_unref(atls_key_ref(key));
        test_assert_bytes(atls_key_spki(key), atls_buf_bytes(&spki));
        atls_key_unref(key);
        atls_buf_clear(&spki);
    }
    atls_key_unref(atls_key_ref(NULL));
}

static void every_truncation_and_trailing_byte_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct atls_buf spki = spki_of(i);
        struct atls_key *key = NULL;

        for (size_t len = 0; len < spki.len; len++) {
            struct atls_err err = ATLS_ERR_INIT;
            uint8_t *cut = malloc(len == 0 ? 1 : len);

            assert_non_null(cut);
            memcpy(cut, spki.ptr, len);
            test_assert_code(atls_key_from_spki(atls_bytes_of(cut, len), &key, &err), ATLS_E_DECODE,
                             &err);
            assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
            free(cut);
        }
        spki.ptr = realloc(spki.ptr, spki.len + 1);
        assert_non_null(spki.ptr);
        spki.ptr[spki.len++] = 0;
        assert_int_equal(atls_key_from_spki(atls_buf_bytes(&spki), &key, NULL), ATLS_E_DECODE);
        assert_null(key);
        atls_buf_clear(&spki);
    }
}

static void points_must_be_uncompressed_and_on_the_curve(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct atls_buf spki = spki_of(i);
        size_t field = types[i] == ATLS_KEY_P256 ? 32 : types[i] == ATLS_KEY_P384 ? 48 : 66;
        uint8_t *point = spki.ptr + spki.len - (2 * field + 1);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_key *key = NULL;

        point[2 * field] ^= 1;
        test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE,
                         &err);
        assert_non_null(strstr(err.message, "not on its curve"));
        point[2 * field] ^= 1;
        point[0] = 0x06; /* the hybrid form of X9.62 */
        test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE,
                         &err);
        assert_non_null(strstr(err.message, "uncompressed"));
        point[0] = 0x04;
        memset(point + 1, 0, 2 * field);
        test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE,
                         &err);
        memset(point + 1, 0xff, 2 * field); /* coordinates above the prime */
        test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE,
                         &err);
        assert_null(key);
        atls_buf_clear(&spki);
    }
}

static void keys_that_are_refused(void **state)
{
    static const struct {
        const char *name, *spki;
        enum atls_code want;
    } rows[] = {
        {"P-256 named, point compressed",
         "3039301306072a8648ce3d020106082a8648ce3d030107032200"
         "02"
         "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
         ATLS_E_UNSUPPORTED},
        {"secp256k1 by name",
         "3036301006072a8648ce3d020106052b8104000a032200"
         "02"
         "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
         ATLS_E_UNSUPPORTED},
        {"Ed448",
         "3043300506032b6571033a00"
         "00000000000000000000000000000000000000000000000000000000"
         "0000000000000000000000000000000000000000000000000000000000",
         ATLS_E_UNSUPPORTED},
        {"RSA identifier without its NULL",
         "3011300b06092a864886f70d010101030200"
         "30",
         ATLS_E_UNSUPPORTED},
        {"RSA of 512 bits",
         "305a300d06092a864886f70d01010105000349003046024100"
         "c1d5a3b7e9f1ca3b5d7f90a2b4c6d8eaf00112233445566778899aabbccddeeff0112233445566778899aabbc"
         "c"
         "ddeeff00112233445566778899aabbccddeef1"
         "020103",
         ATLS_E_UNSUPPORTED},
        {"RSA key that is no SEQUENCE", "3014300d06092a864886f70d010101050003030002ff",
         ATLS_E_DECODE},
        {"RSA key without integers",
         "3013300d06092a864886f70d010101050003"
         "0200ff",
         ATLS_E_DECODE},
        {"BIT STRING with unused bits",
         "302a300506032b6570032101"
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
         ATLS_E_DECODE},
        {"length in more bytes than needed",
         "30812a300506032b6570032100"
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
         ATLS_E_DECODE},
        {"an OCTET STRING", "040100", ATLS_E_DECODE},
        {"an empty SEQUENCE", "3000", ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf spki = test_unhex(rows[i].spki);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_key *key = NULL;
        enum atls_code code = atls_key_from_spki(atls_buf_bytes(&spki), &key, &err);

        if (code != rows[i].want)
            fail_msg("%s: %s (%s)", rows[i].name, atls_code_name(code), err.message);
        assert_null(key);
        atls_buf_clear(&spki);
    }
}

/* Each field of an RSA key broken on its own. */
static void rsa_fields_are_checked(void **state)
{
    struct atls_buf spki = spki_of(4);
    size_t exponent = spki.len - 3, modulus = spki.len - 5 - 256;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_key *key = NULL;

    (void)state;
    assert_memory_equal(spki.ptr + exponent, "\x01\x00\x01", 3);
    spki.ptr[spki.len - 1] = 0x02;
    test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "exponent is even"));
    spki.ptr[spki.len - 1] = 0x01;
    spki.ptr[exponent] = 0x81; /* negative */
    test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE, &err);
    spki.ptr[exponent] = 0x01;
    spki.ptr[modulus + 255] ^= 1;
    test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE, &err);
    spki.ptr[modulus + 255] ^= 1;
    spki.ptr[modulus] &= 0x7f; /* its leading zero is one too many now */
    test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_E_DECODE, &err);
    spki.ptr[modulus] |= 0x80;
    test_assert_code(atls_key_from_spki(atls_buf_bytes(&spki), &key, &err), ATLS_OK, &err);
    atls_key_unref(key);
    atls_buf_clear(&spki);
}

/* Moduli of 256 bytes on both sides of 2048 bits, and the longest and one longer. */
static void rsa_moduli_have_bounds(void **state)
{
    static const struct {
        size_t len;
        uint8_t top;
        enum atls_code want;
    } rows[] = {
        {256, 0x80, ATLS_OK},  {256, 0x7f, ATLS_E_UNSUPPORTED},  {255, 0xff, ATLS_E_UNSUPPORTED},
        {1024, 0xff, ATLS_OK}, {1025, 0x01, ATLS_E_UNSUPPORTED},
    };
    static const uint8_t rsa[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                  0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    static const uint8_t exponent[] = {1, 0, 1};
    uint8_t modulus[1025];

    (void)state;
    memset(modulus, 0xa5, sizeof modulus); /* odd */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer inner = atls_writer_init(4096), w = atls_writer_init(4096);
        size_t sequence = atls_der_open(&inner, ATLS_DER_SEQUENCE), outer;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_key *key = NULL;

        modulus[0] = rows[i].top;
        atls_der_put_unsigned(&inner, atls_bytes_of(modulus, rows[i].len));
        atls_der_put_unsigned(&inner, atls_bytes_of(exponent, sizeof exponent));
        atls_der_close(&inner, sequence);
        outer = atls_der_open(&w, ATLS_DER_SEQUENCE);
        atls_der_put(&w, ATLS_DER_SEQUENCE, atls_bytes_of(rsa, sizeof rsa));
        atls_der_put_bit_string(&w, atls_writer_bytes(&inner));
        atls_der_close(&w, outer);
        test_assert_code(atls_key_from_spki(atls_writer_bytes(&w), &key, &err), rows[i].want, &err);
        if (rows[i].want != ATLS_OK)
            assert_non_null(strstr(err.message, "modulus"));
        atls_key_unref(key);
        atls_writer_clear(&inner);
        atls_writer_clear(&w);
    }
}

static void signatures_verify_under_their_key_only(void **state)
{
    static const enum atls_signature schemes[] = {
        ATLS_ECDSA_P256_SHA256, ATLS_ECDSA_P384_SHA384, ATLS_ECDSA_P521_SHA512,
        ATLS_ED25519,           ATLS_RSA_PSS_SHA256,    ATLS_RSA_PSS_SHA384,
        ATLS_RSA_PSS_SHA512,    ATLS_RSA_PKCS1_SHA256,  ATLS_RSA_PKCS1_SHA384,
        ATLS_RSA_PKCS1_SHA512,
    };
    const struct atls_bytes whole = HEX("message to be signed");
    const struct atls_bytes parts[] = {HEX("message "), HEX(""), HEX("to be signed")};
    const struct atls_bytes other = HEX("message to be signet");

    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        const struct atls_signature_algorithm *alg = atls_signature_find(schemes[i]);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf signature = ATLS_BUF_INIT;
        struct atls_private_key *fresh = NULL;
        const struct atls_key *key;
        size_t k = 0;

        while (types[k] != alg->key_type)
            k++;
        key = atls_private_key_public(keys[k]);
        test_assert_code(atls_private_key_sign(keys[k], schemes[i], whole, &signature, &err),
                         ATLS_OK, &err);
        test_assert_code(
            atls_key_verify(key, schemes[i], parts, 3, atls_buf_bytes(&signature), &err), ATLS_OK,
            &err);
        test_assert_code(
            atls_key_verify(key, schemes[i], &other, 1, atls_buf_bytes(&signature), &err),
            ATLS_E_VERIFY, &err);
        assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
        assert_int_equal(err.alert, ATLS_ALERT_DECRYPT_ERROR);
        test_assert_code(atls_private_key_generate(types[k], &fresh, &err), ATLS_OK, &err);
        test_assert_code(atls_key_verify(atls_private_key_public(fresh), schemes[i], &whole, 1,
                                         atls_buf_bytes(&signature), &err),
                         ATLS_E_VERIFY, &err);
        for (size_t len = 0; len < signature.len; len += 7)
            test_assert_code(atls_key_verify(key, schemes[i], &whole, 1,
                                             atls_bytes_of(signature.ptr, len), &err),
                             ATLS_E_VERIFY, &err);
        signature.ptr[signature.len / 2] ^= 0x10;
        test_assert_code(
            atls_key_verify(key, schemes[i], &whole, 1, atls_buf_bytes(&signature), &err),
            ATLS_E_VERIFY, &err);
        atls_private_key_free(fresh);
        atls_buf_clear(&signature);
    }
}

static void schemes_must_fit_the_key(void **state)
{
    const struct atls_bytes message = HEX("m"), signature = HEX("s");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        const struct atls_key *key = atls_private_key_public(keys[i]);

        for (size_t j = 0; j < TYPE_COUNT; j++) {
            enum atls_signature scheme = atls_private_key_scheme(keys[j]);

            if (i == j)
                continue;
            test_assert_code(atls_key_verify(key, scheme, &message, 1, signature, &err),
                             ATLS_E_UNSUPPORTED, &err);
            assert_int_equal(err.alert, ATLS_ALERT_ILLEGAL_PARAMETER);
            test_assert_code(atls_key_verify_raw(key, scheme, message, signature, &err),
                             ATLS_E_UNSUPPORTED, &err);
            test_assert_code(atls_private_key_sign(keys[i], scheme, message, &out, &err),
                             ATLS_E_UNSUPPORTED, &err);
        }
        test_assert_code(
            atls_key_verify(key, (enum atls_signature)0x0203, &message, 1, signature, &err),
            ATLS_E_UNSUPPORTED, &err);
        assert_int_equal(err.alert, ATLS_ALERT_ILLEGAL_PARAMETER);
    }
    assert_null(out.ptr);
}

static void pss_and_pkcs1_do_not_stand_in_for_each_other(void **state)
{
    const struct atls_bytes message = HEX("message");
    const struct atls_key *key = atls_private_key_public(keys[4]);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf signature = ATLS_BUF_INIT;

    (void)state;
    test_assert_code(atls_private_key_sign(keys[4], ATLS_RSA_PSS_SHA256, message, &signature, &err),
                     ATLS_OK, &err);
    test_assert_code(
        atls_key_verify(key, ATLS_RSA_PKCS1_SHA256, &message, 1, atls_buf_bytes(&signature), &err),
        ATLS_E_VERIFY, &err);
    test_assert_code(
        atls_key_verify(key, ATLS_RSA_PSS_SHA384, &message, 1, atls_buf_bytes(&signature), &err),
        ATLS_E_VERIFY, &err);
    atls_buf_clear(&signature);
}

static void raw_signatures_have_fixed_width(void **state)
{
    const struct atls_bytes message = HEX("message");

    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        const struct atls_key *key = atls_private_key_public(keys[i]);
        enum atls_signature scheme = atls_private_key_scheme(keys[i]);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf raw = ATLS_BUF_INIT;
        uint8_t longer[300];

        /* Enough of them to meet integers with leading zeros. */
        for (int round = 0; round < (types[i] == ATLS_KEY_P256 ? 300 : 3); round++) {
            test_assert_code(atls_private_key_sign_raw(keys[i], scheme, message, &raw, &err),
                             ATLS_OK, &err);
            if (types[i] == ATLS_KEY_P256)
                assert_int_equal(raw.len, 64);
            test_assert_code(atls_key_verify_raw(key, scheme, message, atls_buf_bytes(&raw), &err),
                             ATLS_OK, &err);
            test_assert_code(atls_key_verify_raw(key, scheme, message,
                                                 atls_bytes_of(raw.ptr, raw.len - 1), &err),
                             ATLS_E_VERIFY, &err);
            memcpy(longer, raw.ptr, raw.len);
            longer[raw.len] = 0;
            test_assert_code(
                atls_key_verify_raw(key, scheme, message, atls_bytes_of(longer, raw.len + 1), &err),
                ATLS_E_VERIFY, &err);
            raw.ptr[3] ^= 4;
            test_assert_code(atls_key_verify_raw(key, scheme, message, atls_buf_bytes(&raw), &err),
                             ATLS_E_VERIFY, &err);
            atls_buf_clear(&raw);
        }
    }
}

static void der_of_r_and_s(void **state)
{
    static const struct {
        const char *name, *r, *s, *want;
    } rows[] = {
        {"plain", "01", "7f", "300602010102017f"},
        {"a sign byte where the top bit is set", "80", "ff",
         "3008020200800202"
         "00ff"},
        {"leading zeros dropped", "000000000001", "00000080",
         "30070201010202"
         "0080"},
        {"zero", "00", "", "3006020100020100"},
    };
    static const uint8_t long_one[67] = {1};
    struct atls_buf out = ATLS_BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf r = test_unhex(rows[i].r), s = test_unhex(rows[i].s);
        struct atls_buf want = test_unhex(rows[i].want);

        assert_int_equal(atls_ecdsa_der_from_rs(atls_buf_bytes(&r), atls_buf_bytes(&s), &out, NULL),
                         ATLS_OK);
        test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&want));
        atls_buf_clear(&out);
        atls_buf_clear(&r);
        atls_buf_clear(&s);
        atls_buf_clear(&want);
    }
    assert_int_equal(
        atls_ecdsa_der_from_rs(atls_bytes_of(long_one, 67), atls_bytes_of(long_one, 1), &out, NULL),
        ATLS_E_DECODE);
    assert_int_equal(
        atls_ecdsa_der_from_rs(atls_bytes_of(long_one, 1), atls_bytes_of(long_one, 67), &out, NULL),
        ATLS_E_DECODE);
}

/* A signature is one SEQUENCE of two shortest integers: a second way to write it would let bytes
 * differ under one signature. */
static void ecdsa_signatures_are_strict_der(void **state)
{
    const struct atls_bytes message = HEX("message");
    const struct atls_key *key = atls_private_key_public(keys[0]);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf s = ATLS_BUF_INIT;
    uint8_t loose[128];

    (void)state;
    test_assert_code(atls_private_key_sign(keys[0], ATLS_ECDSA_P256_SHA256, message, &s, &err),
                     ATLS_OK, &err);
    memcpy(loose, s.ptr, s.len);
    loose[s.len] = 0; /* trailing byte */
    test_assert_code(atls_key_verify(key, ATLS_ECDSA_P256_SHA256, &message, 1,
                                     atls_bytes_of(loose, s.len + 1), &err),
                     ATLS_E_VERIFY, &err);
    loose[0] = 0x30; /* length in two bytes */
    loose[1] = 0x81;
    memcpy(loose + 2, s.ptr + 1, s.len - 1);
    test_assert_code(atls_key_verify(key, ATLS_ECDSA_P256_SHA256, &message, 1,
                                     atls_bytes_of(loose, s.len + 1), &err),
                     ATLS_E_VERIFY, &err);
    loose[1] = (uint8_t)(s.ptr[1] + 1); /* r with a zero in front */
    loose[2] = 0x02;
    loose[3] = (uint8_t)(s.ptr[3] + 1);
    loose[4] = 0;
    memcpy(loose + 5, s.ptr + 4, s.len - 4);
    test_assert_code(atls_key_verify(key, ATLS_ECDSA_P256_SHA256, &message, 1,
                                     atls_bytes_of(loose, s.len + 1), &err),
                     ATLS_E_VERIFY, &err);
    atls_buf_clear(&s);
}

static void pem_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        const struct atls_key *public = atls_private_key_public(keys[i]);
        struct atls_buf text = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_key *key = NULL;

        test_assert_code(atls_key_to_pem(public, &text, &err), ATLS_OK, &err);
        assert_int_equal(text.ptr[text.len], 0);
        assert_int_equal(strlen((const char *)text.ptr), text.len);
        test_assert_code(atls_key_from_pem(atls_buf_bytes(&text), &key, &err), ATLS_OK, &err);
        test_assert_bytes(atls_key_spki(key), atls_key_spki(public));
        atls_key_unref(key);
        atls_buf_clear(&text);
    }
}

static void pem_of_other_things_is_refused(void **state)
{
    struct atls_buf private_text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_key *key = NULL;

    (void)state;
    test_assert_code(atls_private_key_to_pem(keys[0], &private_text, &err), ATLS_OK, &err);
    test_assert_code(atls_key_from_pem(atls_buf_bytes(&private_text), &key, &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_key_from_pem(atls_bytes_of("hello", 5), &key, &err), ATLS_E_DECODE, &err);
    test_assert_code(atls_key_from_pem(atls_bytes_of("", 0), &key, &err), ATLS_E_DECODE, &err);
    test_assert_code(atls_key_from_pem(atls_bytes_of(NULL, 0), &key, &err), ATLS_E_DECODE, &err);
    assert_null(key);
    atls_buf_clear(&private_text);
}

/* Each is the signer's fault, whatever libcrypto trips over first. */
static void rsa_signatures_of_any_length_are_wrong(void **state)
{
    static const enum atls_signature schemes[] = {ATLS_RSA_PSS_SHA256, ATLS_RSA_PSS_SHA384,
                                                  ATLS_RSA_PKCS1_SHA256};
    static const uint8_t fills[] = {0x00, 0x01, 0xff};
    const struct atls_bytes message = HEX("message");
    struct atls_private_key *key = NULL;
    uint8_t signature[300];
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_RSA, &key, NULL), ATLS_OK);
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        for (size_t j = 0; j < sizeof fills; j++)
            for (size_t len = 0; len <= sizeof signature; len++) {
                memset(signature, fills[j], sizeof signature);
                test_assert_code(atls_key_verify(atls_private_key_public(key), schemes[i], &message,
                                                 1, atls_bytes_of(signature, len), &err),
                                 ATLS_E_VERIFY, &err);
            }
    atls_private_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_parses_to_itself),
        cmocka_unit_test(every_truncation_and_trailing_byte_is_refused),
        cmocka_unit_test(points_must_be_uncompressed_and_on_the_curve),
        cmocka_unit_test(keys_that_are_refused),
        cmocka_unit_test(rsa_fields_are_checked),
        cmocka_unit_test(rsa_moduli_have_bounds),
        cmocka_unit_test(signatures_verify_under_their_key_only),
        cmocka_unit_test(schemes_must_fit_the_key),
        cmocka_unit_test(pss_and_pkcs1_do_not_stand_in_for_each_other),
        cmocka_unit_test(raw_signatures_have_fixed_width),
        cmocka_unit_test(der_of_r_and_s),
        cmocka_unit_test(ecdsa_signatures_are_strict_der),
        cmocka_unit_test(pem_round_trip),
        cmocka_unit_test(pem_of_other_things_is_refused),
        cmocka_unit_test(rsa_signatures_of_any_length_are_wrong),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
