#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "core/base64.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "verifier/ear/accept.h"
#include "verifier/ear/keys.h"
#include "wire/cbor.h"
#include "wire/cose.h"

#define NOW INT64_C(1700000000)

static struct atls_private_key *p256, *other, *p384, *p521, *ed25519, *rsa;

static int make_keys(void **state)
{
    const struct {
        enum atls_key_type type;
        struct atls_private_key **key;
    } rows[] = {{ATLS_KEY_P256, &p256}, {ATLS_KEY_P256, &other},      {ATLS_KEY_P384, &p384},
                {ATLS_KEY_P521, &p521}, {ATLS_KEY_ED25519, &ed25519}, {ATLS_KEY_RSA, &rsa}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_private_key_generate(rows[i].type, rows[i].key, NULL) != ATLS_OK)
            return -1;
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    atls_private_key_free(p256);
    atls_private_key_free(other);
    atls_private_key_free(p384);
    atls_private_key_free(p521);
    atls_private_key_free(ed25519);
    atls_private_key_free(rsa);
    return 0;
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;

    assert_int_equal(atls_writer_finish(w, &out, NULL), ATLS_OK);
    return out;
}

/* A compact JWS with any header over any payload, signed by key. */
static struct atls_buf jwt_with(const struct atls_private_key *key, enum atls_signature scheme,
                                const char *header, const char *payload)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf signature = ATLS_BUF_INIT;

    atls_base64url_put(&w, atls_bytes_of(header, strlen(header)));
    atls_put_u8(&w, '.');
    atls_base64url_put(&w, atls_bytes_of(payload, strlen(payload)));
    assert_int_equal(
        atls_private_key_sign_raw(key, scheme, atls_writer_bytes(&w), &signature, NULL), ATLS_OK);
    atls_put_u8(&w, '.');
    atls_base64url_put(&w, atls_buf_bytes(&signature));
    atls_buf_clear(&signature);
    return finish(&w);
}

static struct atls_buf jwt(const char *header, const char *payload)
{
    return jwt_with(p256, ATLS_ECDSA_P256_SHA256, header, payload);
}

/* A CWT with any headers over any payload: tag 61, tag 18. */
static struct atls_buf cwt_with(const struct atls_private_key *key, enum atls_signature scheme,
                                struct atls_bytes prot, struct atls_bytes unprot,
                                struct atls_bytes payload)
{
    struct atls_writer tbs = atls_writer_init(65536), w = atls_writer_init(65536);
    struct atls_buf signature = ATLS_BUF_INIT;

    atls_cose_put_to_be_signed(&tbs, prot, atls_bytes_of(NULL, 0), payload);
    assert_int_equal(
        atls_private_key_sign_raw(key, scheme, atls_writer_bytes(&tbs), &signature, NULL), ATLS_OK);
    atls_cbor_put_tag(&w, 61);
    atls_cose_put_sign1(&w, prot, unprot, payload, atls_buf_bytes(&signature));
    atls_buf_clear(&signature);
    atls_writer_clear(&tbs);
    return finish(&w);
}

static struct atls_buf cwt(struct atls_bytes prot, struct atls_bytes unprot,
                           struct atls_bytes payload)
{
    return cwt_with(p256, ATLS_ECDSA_P256_SHA256, prot, unprot, payload);
}

static struct atls_ear_check check_with(struct atls_ear_keys *keys)
{
    struct atls_ear_check check;

    atls_ear_check_init(&check);
    check.keys = keys;
    check.time_s = NOW;
    check.max_age_s = 3600;
    return check;
}

static struct atls_ear_keys *keys_of(const struct atls_private_key *key, const char *kid)
{
    struct atls_ear_keys *keys = NULL;

    assert_int_equal(atls_ear_keys_from_key(atls_private_key_public(key), kid, &keys, NULL),
                     ATLS_OK);
    return keys;
}

static void assert_accept(struct atls_bytes token, const struct atls_ear_check *check,
                          enum atls_code want, enum atls_reason reason)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear ear;

    test_assert_code(atls_ear_accept(token, check, &ear, &err), want, &err);
    if (want == ATLS_OK)
        atls_ear_clear(&ear);
    else if (reason != ATLS_REASON_NONE && err.reason != reason)
        fail_msg("reason %s in \"%s\"", atls_reason_name(err.reason), err.message);
}

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"
#define JSON(members)                                                                              \
    "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\"," members ",\"ear_verifier_id\":"          \
    "{\"developer\":\"d\",\"build\":\"b\"},\"submods\":{\"a\":{\"ear_status\":\"affirming\"}}}"
#define GOOD_JSON JSON("\"iat\":1700000000")

/* clang-format off */
#define PROFILE   "\x19\x01\x09\x78\x1d" "tag:ietf.org,2026:rats/ear#04"
#define VERIFIER  "\x19\x03\xec\xa2\x00\x61" "d" "\x01\x61" "b"
#define SUBMODS   "\x19\x01\x0a\xa1\x61" "a" "\xa1\x19\x03\xe8\x02"
#define CBOR(members) "\xbf" PROFILE members VERIFIER SUBMODS "\xff"
#define GOOD_CBOR CBOR("\x06\x1a\x65\x53\xf1\x00")
#define ES256     "\xa1\x01\x26"
/* clang-format on */

/* Section by section of what a relying party must refuse in a JWT; each token is good but for the
 * one thing. */
static void jwts_that_break_one_rule(void **state)
{
    static const struct {
        const char *name, *header, *payload;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"good", HEADER, GOOD_JSON, ATLS_OK, ATLS_REASON_NONE},
        {"no typ", "{\"alg\":\"ES256\"}", GOOD_JSON, ATLS_OK, ATLS_REASON_NONE},
        {"typ of an EAT", "{\"alg\":\"ES256\",\"typ\":\"eat+jwt\"}", GOOD_JSON, ATLS_OK,
         ATLS_REASON_NONE},
        {"a key of its own is passed over",
         "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"},\"jku\":\"https://"
         "example\",\"x5c\":[\"AA\"]}",
         GOOD_JSON, ATLS_OK, ATLS_REASON_NONE},
        {"alg none", "{\"alg\":\"none\"}", GOOD_JSON, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE},
        {"HMAC", "{\"alg\":\"HS256\"}", GOOD_JSON, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE},
        {"RSASSA-PKCS1-v1_5", "{\"alg\":\"RS256\"}", GOOD_JSON, ATLS_E_UNSUPPORTED,
         ATLS_REASON_SIGNATURE},
        {"no alg", "{\"typ\":\"JWT\"}", GOOD_JSON, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE},
        {"alg of the key in small letters", "{\"alg\":\"es256\"}", GOOD_JSON, ATLS_E_UNSUPPORTED,
         ATLS_REASON_SIGNATURE},
        {"algorithm of another curve with a signature that has its length", "{\"alg\":\"EdDSA\"}",
         GOOD_JSON, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE},
        {"critical header", "{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":true}", GOOD_JSON,
         ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"typ of something else", "{\"alg\":\"ES256\",\"typ\":\"cmw+jws\"}", GOOD_JSON,
         ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"header member twice", "{\"alg\":\"ES256\",\"alg\":\"ES256\"}", GOOD_JSON, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"header that is no object", "[]", GOOD_JSON, ATLS_E_DECODE, ATLS_REASON_MALFORMED},

        {"payload that is no object", HEADER, "[]", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"member twice", HEADER, JSON("\"iat\":1700000000,\"iat\":1700000000"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"something behind the object", HEADER, GOOD_JSON "{}", ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"NaN", HEADER, JSON("\"iat\":NaN"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"float", HEADER, JSON("\"iat\":1700000000.0"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"time as text", HEADER, JSON("\"iat\":\"1700000000\""), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"negative time", HEADER, JSON("\"iat\":-1"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"exp before iat", HEADER, JSON("\"iat\":1700000000,\"exp\":1699999999"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"evidence", HEADER, "{\"eat_profile\":\"tag:psacertified.org,2023:psa#tfm\"}",
         ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},

        {"issued in the future", HEADER, JSON("\"iat\":1700000061"), ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"not yet valid", HEADER, JSON("\"iat\":1700000000,\"nbf\":1700000061"), ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"expired", HEADER, JSON("\"iat\":1699999900,\"exp\":1699999940"), ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"too old", HEADER, JSON("\"iat\":1699996399"), ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
    };
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf token = jwt(rows[i].header, rows[i].payload);

        print_message("%s\n", rows[i].name);
        assert_accept(atls_buf_bytes(&token), &check, rows[i].want, rows[i].reason);
        atls_buf_clear(&token);
    }
    atls_ear_keys_unref(keys);
}

/* clang-format off */
static void cwts_that_break_one_rule(void **state)
{
    static const struct {
        const char *name;
        struct atls_bytes prot, unprot, payload;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"good", HEX(ES256), HEX("\xa0"), HEX(GOOD_CBOR), ATLS_OK, ATLS_REASON_NONE},
        {"algorithm that names the curve", HEX("\xa1\x01\x28"), HEX("\xa0"), HEX(GOOD_CBOR),
         ATLS_OK, ATLS_REASON_NONE},
        {"content format of an EAT", HEX("\xa2\x01\x26\x03\x19\x01\x07"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_OK, ATLS_REASON_NONE},
        {"content type of an EAT with this profile",
         HEX("\xa2\x01\x26\x03\x78\x40" "application/eat+cwt; eat_profile=\"tag:ietf.org,2026:"
             "rats/ear#04\""), HEX("\xa0"), HEX(GOOD_CBOR), ATLS_OK, ATLS_REASON_NONE},
        {"content type of a CWT", HEX("\xa2\x01\x26\x03\x6f" "application/cwt"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_OK, ATLS_REASON_NONE},
        {"critical header that we do", HEX("\xa3\x01\x26\x02\x81\x03\x03\x18\x3d"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_OK, ATLS_REASON_NONE},
        {"a chain of its own is passed over", HEX(ES256), HEX("\xa1\x18\x21\x42\x30\x00"),
         HEX(GOOD_CBOR), ATLS_OK, ATLS_REASON_NONE},

        {"algorithm of another curve", HEX("\xa1\x01\x38\x22"), HEX("\xa0"), HEX(GOOD_CBOR),
         ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE},
        {"algorithm that names another curve", HEX("\xa1\x01\x38\x32"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE},
        {"EdDSA", HEX("\xa1\x01\x27"), HEX("\xa0"), HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED,
         ATLS_REASON_SIGNATURE},
        {"HMAC", HEX("\xa1\x01\x05"), HEX("\xa0"), HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED,
         ATLS_REASON_SIGNATURE},
        {"algorithm of no number", HEX("\xa1\x01\x65" "ES256"), HEX("\xa0"), HEX(GOOD_CBOR),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"algorithm unprotected", HEX("\xa1\x03\x18\x3d"), HEX("\xa1\x01\x26"), HEX(GOOD_CBOR),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"no header at all", HEX(""), HEX("\xa0"), HEX(GOOD_CBOR), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"label in both headers", HEX(ES256), HEX("\xa1\x01\x26"), HEX(GOOD_CBOR), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"indefinite length in the protected header", HEX("\xbf\x01\x26\xff"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_DECODE, ATLS_REASON_NONE},
        {"critical header that we do not do", HEX("\xa3\x01\x26\x02\x81\x18\x63\x18\x63\x01"),
         HEX("\xa0"), HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"content type of something else", HEX("\xa2\x01\x26\x03\x63" "a/b"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"content format of PSA evidence", HEX("\xa2\x01\x26\x03\x19\x27\x14"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"content format beyond 16 bits", HEX("\xa2\x01\x26\x03\x1a\x00\x01\x01\x07"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"content type with another profile",
         HEX("\xa2\x01\x26\x03\x78\x1f" "application/eat+cwt;eat_profile"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
        {"content type that disagrees with the claim",
         HEX("\xa2\x01\x26\x03\x78\x24" "application/eat+cwt; eat_profile=abc"), HEX("\xa0"),
         HEX(GOOD_CBOR), ATLS_E_DECODE, ATLS_REASON_MALFORMED},

        {"payload that is no map", HEX(ES256), HEX("\xa0"), HEX("\x80"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"something behind the map", HEX(ES256), HEX("\xa0"), HEX(GOOD_CBOR "\x00"), ATLS_E_DECODE,
         ATLS_REASON_NONE},
        {"claim twice", HEX(ES256), HEX("\xa0"), HEX(CBOR("\x06\x01\x06\x01")), ATLS_E_DECODE,
         ATLS_REASON_NONE},
        {"float", HEX(ES256), HEX("\xa0"), HEX(CBOR("\x06\xfa\x4e\xca\xa7\xe2")), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"negative time", HEX(ES256), HEX("\xa0"), HEX(CBOR("\x06\x20")), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"issued in the future", HEX(ES256), HEX("\xa0"), HEX(CBOR("\x06\x1a\x65\x53\xf1\x3d")),
         ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"not yet valid", HEX(ES256), HEX("\xa0"),
         HEX(CBOR("\x06\x1a\x65\x53\xf1\x00\x05\x1a\x65\x53\xf1\x3d")), ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"expired", HEX(ES256), HEX("\xa0"),
         HEX(CBOR("\x06\x1a\x65\x53\xf0\xc0\x04\x1a\x65\x53\xf0\xc4")), ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"too old", HEX(ES256), HEX("\xa0"), HEX(CBOR("\x06\x1a\x65\x53\xe2\xef")),
         ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED},
    };
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf token = cwt(rows[i].prot, rows[i].unprot, rows[i].payload);

        print_message("%s\n", rows[i].name);
        assert_accept(atls_buf_bytes(&token), &check, rows[i].want, rows[i].reason);
        atls_buf_clear(&token);
    }
    atls_ear_keys_unref(keys);
}
/* clang-format on */

/* Around the COSE_Sign1: tag 18 always, tag 61 or not, nothing behind, no other structure. */
static void wrappings_of_a_cwt(void **state)
{
    static const struct atls_bytes prot = HEX(ES256), unprot = HEX("\xa0"),
                                   payload = HEX(GOOD_CBOR);
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);
    struct atls_buf token = cwt(prot, unprot, payload); /* d8 3d d2 84 ... */
    struct atls_writer w = atls_writer_init(65536);

    (void)state;
    assert_accept(atls_buf_bytes(&token), &check, ATLS_OK, ATLS_REASON_NONE);
    assert_accept(atls_bytes_of(token.ptr + 2, token.len - 2), &check, ATLS_OK, ATLS_REASON_NONE);
    assert_accept(atls_bytes_of(token.ptr + 3, token.len - 3), &check, ATLS_E_DECODE,
                  ATLS_REASON_MALFORMED); /* no tag at all */
    for (size_t len = 0; len < token.len; len++)
        assert_accept(atls_bytes_of(token.ptr, len), &check, ATLS_E_DECODE, ATLS_REASON_NONE);
    atls_put_bytes(&w, atls_buf_bytes(&token));
    atls_put_u8(&w, '\n'); /* a line end belongs to text */
    assert_accept(atls_writer_bytes(&w), &check, ATLS_E_DECODE, ATLS_REASON_NONE);
    w.len = 0;
    atls_cbor_put_tag(&w, 61);
    atls_put_bytes(&w, atls_buf_bytes(&token)); /* tag 61 twice */
    assert_accept(atls_writer_bytes(&w), &check, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    w.len = 0;
    atls_cbor_put_tag(&w, 17); /* COSE_Mac0 */
    atls_put_bytes(&w, atls_bytes_of(token.ptr + 3, token.len - 3));
    assert_accept(atls_writer_bytes(&w), &check, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    w.len = 0;
    atls_cbor_put_tag(&w, 601); /* claims without a signature */
    atls_put_bytes(&w, payload);
    assert_accept(atls_writer_bytes(&w), &check, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    w.len = 0;
    atls_cbor_put_tag(&w, 18); /* payload left out */
    atls_cbor_put_array(&w, 4);
    atls_cbor_put_bytes(&w, prot);
    atls_cbor_put_map(&w, 0);
    atls_cbor_put_null(&w);
    atls_cbor_put_bytes(&w, payload);
    assert_accept(atls_writer_bytes(&w), &check, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    atls_writer_clear(&w);
    atls_buf_clear(&token);
    atls_ear_keys_unref(keys);
}

/* Signatures: of the right length, in range, not DER, by the right key over these very bytes. */
static void signatures_that_are_none(void **state)
{
    static const struct atls_bytes prot = HEX(ES256), unprot = HEX("\xa0"),
                                   payload = HEX(GOOD_CBOR);
    enum { GOOD, ANOTHER_KEY, R_ZERO, S_ZERO, R_TOO_LARGE, S_TOO_LARGE, DER, SHORT, LONG, CHANGED };
    static const struct {
        const char *name;
        int fault;
        enum atls_code want;
    } rows[] = {
        {"good", GOOD, ATLS_OK},
        {"of another key", ANOTHER_KEY, ATLS_E_VERIFY},
        {"r is zero", R_ZERO, ATLS_E_VERIFY},
        {"s is zero", S_ZERO, ATLS_E_VERIFY},
        {"r beyond the order", R_TOO_LARGE, ATLS_E_VERIFY},
        {"s beyond the order", S_TOO_LARGE, ATLS_E_VERIFY},
        {"as DER", DER, ATLS_E_VERIFY},
        {"a byte too short", SHORT, ATLS_E_VERIFY},
        {"a byte too long", LONG, ATLS_E_VERIFY},
        {"a bit changed", CHANGED, ATLS_E_VERIFY},
    };
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);
    static const char text[] = GOOD_JSON;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        int fault = rows[i / 2].fault;
        const struct atls_private_key *key = fault == ANOTHER_KEY ? other : p256;
        struct atls_writer w = atls_writer_init(65536), tbs = atls_writer_init(65536);
        struct atls_buf signature = ATLS_BUF_INIT;
        bool is_cwt = i % 2 == 1;
        uint8_t sig[128];
        size_t len;

        print_message("%s, %s\n", is_cwt ? "CWT" : "JWT", rows[i / 2].name);
        if (is_cwt) {
            atls_cose_put_to_be_signed(&tbs, prot, atls_bytes_of(NULL, 0), payload);
        } else {
            atls_base64url_put(&tbs, atls_bytes_of(HEADER, strlen(HEADER)));
            atls_put_u8(&tbs, '.');
            atls_base64url_put(&tbs, atls_bytes_of(text, sizeof text - 1));
        }
        assert_int_equal(fault == DER
                             ? atls_private_key_sign(key, ATLS_ECDSA_P256_SHA256,
                                                     atls_writer_bytes(&tbs), &signature, NULL)
                             : atls_private_key_sign_raw(key, ATLS_ECDSA_P256_SHA256,
                                                         atls_writer_bytes(&tbs), &signature, NULL),
                         ATLS_OK);
        len = signature.len;
        memset(sig, 0, sizeof sig);
        memcpy(sig, signature.ptr, len);
        atls_buf_clear(&signature);
        if (fault == R_ZERO || fault == R_TOO_LARGE)
            memset(sig, fault == R_ZERO ? 0 : 0xff, 32);
        if (fault == S_ZERO || fault == S_TOO_LARGE)
            memset(sig + 32, fault == S_ZERO ? 0 : 0xff, 32);
        if (fault == CHANGED)
            sig[63] ^= 1;
        len = fault == SHORT ? len - 1 : fault == LONG ? len + 1 : len;
        if (is_cwt) {
            atls_cose_put_sign1(&w, prot, unprot, payload, atls_bytes_of(sig, len));
        } else {
            atls_put_bytes(&w, atls_writer_bytes(&tbs));
            atls_put_u8(&w, '.');
            atls_base64url_put(&w, atls_bytes_of(sig, len));
        }
        /* JWS fixes the length, so that a wrong one is a malformed token there. */
        assert_accept(atls_writer_bytes(&w), &check,
                      !is_cwt && len != 64 ? ATLS_E_DECODE : rows[i / 2].want, ATLS_REASON_NONE);
        atls_writer_clear(&w);
        atls_writer_clear(&tbs);
    }
    atls_ear_keys_unref(keys);
}

static void segments_of_a_jwt(void **state)
{
    static const struct {
        const char *name, *before, *behind;
        size_t kept; /* bytes of the token; 0: all */
    } rows[] = {
        {"dot before", ".", "", 0},
        {"dot behind", "", ".", 0},
        {"fourth segment", "", ".AA", 0},
        {"fifth segment", "", ".AA.AA", 0},
        {"padding", "", "=", 0},
        {"blank behind", "", " ", 0},
        {"blank before", " ", "", 0},
        {"line end before", "\n", "", 0},
        {"one segment", "", "", 20},
        {"two segments", "", ".AA", 20},
        {"blank inside", "", " .AA.AA", 20},
    };
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);
    struct atls_buf token = jwt(HEADER, GOOD_JSON);
    char text[2048];
    int len;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        len = snprintf(text, sizeof text, "%s%.*s%s", rows[i].before,
                       (int)(rows[i].kept == 0 ? token.len : rows[i].kept), (char *)token.ptr,
                       rows[i].behind);
        assert_accept(atls_bytes_of(text, (size_t)len), &check, ATLS_E_DECODE,
                      ATLS_REASON_MALFORMED);
    }
    len = snprintf(text, sizeof text, "%.*s\r\n", (int)token.len, (char *)token.ptr);
    assert_accept(atls_bytes_of(text, (size_t)len), &check, ATLS_OK, ATLS_REASON_NONE);
    atls_buf_clear(&token);
    atls_ear_keys_unref(keys);
}

static void nonces_are_compared(void **state)
{
    static const uint8_t nonce[] = "12345678", another[] = "12345679";
    static const struct {
        const char *name, *members;
        struct atls_bytes cbor;
        const uint8_t *sent;
        enum atls_code want;
    } rows[] = {
        /* clang-format off */
        {"equal", "\"eat_nonce\":\"MTIzNDU2Nzg\",", HEX("\x0a\x48" "12345678"), nonce, ATLS_OK},
        {"echoed with padding", "\"eat_nonce\":\"MTIzNDU2Nzg=\",", HEX("\x0a\x48" "12345678"),
         nonce, ATLS_OK},
        {"another", "\"eat_nonce\":\"MTIzNDU2Nzg\",", HEX("\x0a\x48" "12345678"), another,
         ATLS_E_VERIFY},
        {"longer", "\"eat_nonce\":\"MTIzNDU2Nzg5\",", HEX("\x0a\x49" "123456789"), nonce,
         ATLS_E_VERIFY},
        {"missing", "", HEX(""), nonce, ATLS_E_VERIFY},
        {"one among two", "\"eat_nonce\":[\"MTIzNDU2Nzg\",\"MTIzNDU2Nzk\"],",
         HEX("\x0a\x82\x48" "12345678" "\x48" "12345679"), nonce, ATLS_E_VERIFY},
        {"of 7 octets", "\"eat_nonce\":\"MTIzNDU2Nw\",", HEX("\x0a\x47" "1234567"), nonce,
         ATLS_E_DECODE},
        {"none was sent", "\"eat_nonce\":\"MTIzNDU2Nzg\",", HEX("\x0a\x48" "12345678"), NULL,
         ATLS_OK},
        /* clang-format on */
    };
    static const struct atls_bytes prot = HEX(ES256), unprot = HEX("\xa0");
    static const char head[] = "\xbf" PROFILE "\x06\x1a\x65\x53\xf1\x00" VERIFIER SUBMODS;
    struct atls_ear_keys *keys = keys_of(p256, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_ear_check check = check_with(keys);
        struct atls_writer w = atls_writer_init(1024);
        struct atls_buf token;
        char json[512];

        print_message("%s\n", rows[i].name);
        check.nonce = atls_bytes_of(rows[i].sent, rows[i].sent == NULL ? 0 : 8);
        snprintf(json, sizeof json, "{%s%s", rows[i].members, &GOOD_JSON[1]);
        token = jwt(HEADER, json);
        assert_accept(atls_buf_bytes(&token), &check, rows[i].want,
                      rows[i].want == ATLS_E_VERIFY ? ATLS_REASON_NONCE_MISMATCH
                                                    : ATLS_REASON_NONE);
        atls_buf_clear(&token);
        atls_put_bytes(&w, atls_bytes_of(head, sizeof head - 1));
        atls_put_bytes(&w, rows[i].cbor);
        atls_put_u8(&w, 0xff);
        token = cwt(prot, unprot, atls_writer_bytes(&w));
        assert_accept(atls_buf_bytes(&token), &check, rows[i].want,
                      rows[i].want == ATLS_E_VERIFY ? ATLS_REASON_NONCE_MISMATCH
                                                    : ATLS_REASON_NONE);
        atls_buf_clear(&token);
        atls_writer_clear(&w);
    }
    atls_ear_keys_unref(keys);
}

/* Every algorithm with its key, in both forms, and with no other key. */
static void algorithms_are_those_of_the_key(void **state)
{
    const struct {
        struct atls_private_key *key;
        enum atls_signature scheme;
        const char *jose;
        struct atls_bytes prot, fixed; /* COSE: as usual, and with the name that fixes the curve */
    } rows[] = {
        {p256, ATLS_ECDSA_P256_SHA256, "ES256", HEX("\xa1\x01\x26"), HEX("\xa1\x01\x28")},
        {p384, ATLS_ECDSA_P384_SHA384, "ES384", HEX("\xa1\x01\x38\x22"), HEX("\xa1\x01\x38\x32")},
        {p521, ATLS_ECDSA_P521_SHA512, "ES512", HEX("\xa1\x01\x38\x23"), HEX("\xa1\x01\x38\x33")},
        {ed25519, ATLS_ED25519, "EdDSA", HEX("\xa1\x01\x27"), HEX("\xa1\x01\x32")},
        {rsa, ATLS_RSA_PSS_SHA256, "PS256", HEX("\xa1\x01\x38\x24"), HEX("\xa1\x01\x38\x24")},
        {rsa, ATLS_RSA_PSS_SHA384, "PS384", HEX("\xa1\x01\x38\x25"), HEX("\xa1\x01\x38\x25")},
        {rsa, ATLS_RSA_PSS_SHA512, "PS512", HEX("\xa1\x01\x38\x26"), HEX("\xa1\x01\x38\x26")},
    };
    static const struct atls_bytes unprot = HEX("\xa0"), payload = HEX(GOOD_CBOR);
    const size_t count = sizeof rows / sizeof rows[0];

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct atls_buf tokens[3];
        char header[64];

        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", rows[i].jose);
        tokens[0] = jwt_with(rows[i].key, rows[i].scheme, header, GOOD_JSON);
        tokens[1] = cwt_with(rows[i].key, rows[i].scheme, rows[i].prot, unprot, payload);
        tokens[2] = cwt_with(rows[i].key, rows[i].scheme, rows[i].fixed, unprot, payload);
        for (size_t k = 0; k < count; k++) {
            struct atls_ear_keys *keys = keys_of(rows[k].key, NULL);
            struct atls_ear_check check = check_with(keys);

            for (size_t t = 0; t < 3; t++)
                assert_accept(atls_buf_bytes(&tokens[t]), &check,
                              rows[k].key == rows[i].key ? ATLS_OK : ATLS_E_UNSUPPORTED,
                              ATLS_REASON_SIGNATURE);
            atls_ear_keys_unref(keys);
        }
        for (size_t t = 0; t < 3; t++)
            atls_buf_clear(&tokens[t]);
    }
}

static void pkcs1_is_no_signature_of_a_cwt(void **state)
{
    static const struct atls_bytes prot = HEX("\xa1\x01\x39\x01\x00"), unprot = HEX("\xa0"),
                                   payload = HEX(GOOD_CBOR);
    struct atls_buf token = cwt_with(rsa, ATLS_RSA_PKCS1_SHA256, prot, unprot, payload);
    struct atls_ear_keys *keys = keys_of(rsa, NULL);
    struct atls_ear_check check = check_with(keys);

    (void)state;
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE);
    atls_ear_keys_unref(keys);
    atls_buf_clear(&token);
}

static void float_times_need_leave(void **state)
{
    static const char json[] =
        "{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1.7e9,\"ear.verifier-id\":"
        "{\"developer\":\"d\",\"build\":\"b\"},\"submods\":{\"a\":{\"ear.status\":\"none\"}}}";
    struct atls_buf token = jwt(HEADER, json);
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);

    (void)state;
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_DECODE, ATLS_REASON_MALFORMED);
    check.allow_float_times = true;
    assert_accept(atls_buf_bytes(&token), &check, ATLS_OK, ATLS_REASON_NONE);
    atls_ear_keys_unref(keys);
    atls_buf_clear(&token);
}

static void checks_that_are_incomplete(void **state)
{
    static const uint8_t nonce[65] = {1};
    struct atls_buf token = jwt(HEADER, GOOD_JSON);
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(NULL);

    (void)state;
    assert_accept(atls_buf_bytes(&token), NULL, ATLS_E_USAGE, ATLS_REASON_NONE);
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_USAGE, ATLS_REASON_NONE);
    check = check_with(keys);
    check.public_key_pem = atls_bytes_of("x", 1);
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_USAGE, ATLS_REASON_NONE);
    check = check_with(keys);
    check.size--;
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_USAGE, ATLS_REASON_NONE);
    check = check_with(keys);
    check.max_age_s = 0;
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_USAGE, ATLS_REASON_NONE);
    check = check_with(keys);
    check.nonce = atls_bytes_of(nonce, 7);
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_USAGE, ATLS_REASON_NONE);
    check.nonce = atls_bytes_of(nonce, 65);
    assert_accept(atls_buf_bytes(&token), &check, ATLS_E_USAGE, ATLS_REASON_NONE);
    check.nonce = atls_bytes_of(NULL, 0);
    assert_accept(atls_buf_bytes(&token), &check, ATLS_OK, ATLS_REASON_NONE);
    atls_ear_keys_unref(keys);
    atls_buf_clear(&token);
}

static void large_tokens_are_refused(void **state)
{
    struct atls_ear_keys *keys = keys_of(p256, NULL);
    struct atls_ear_check check = check_with(keys);
    uint8_t *big = calloc(1, 256 * 1024 + 1);

    (void)state;
    assert_non_null(big);
    assert_accept(atls_bytes_of(big, 256 * 1024 + 1), &check, ATLS_E_LIMIT, ATLS_REASON_NONE);
    big[0] = 0xd2;
    assert_accept(atls_bytes_of(big, 256 * 1024 + 1), &check, ATLS_E_LIMIT, ATLS_REASON_NONE);
    free(big);
    atls_ear_keys_unref(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jwts_that_break_one_rule),
        cmocka_unit_test(cwts_that_break_one_rule),
        cmocka_unit_test(wrappings_of_a_cwt),
        cmocka_unit_test(signatures_that_are_none),
        cmocka_unit_test(segments_of_a_jwt),
        cmocka_unit_test(nonces_are_compared),
        cmocka_unit_test(algorithms_are_those_of_the_key),
        cmocka_unit_test(pkcs1_is_no_signature_of_a_cwt),
        cmocka_unit_test(float_times_need_leave),
        cmocka_unit_test(checks_that_are_incomplete),
        cmocka_unit_test(large_tokens_are_refused),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
