#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "wire/tpm.h"

/* One decoder under a common shape. */
typedef enum atls_code decoder(struct atls_bytes in, struct atls_err *err);

static enum atls_code attest(struct atls_bytes in, struct atls_err *err)
{
    struct atls_tpms_attest out;

    return atls_tpms_attest_decode(in, &out, err);
}

static enum atls_code signature(struct atls_bytes in, struct atls_err *err)
{
    struct atls_tpmt_signature out;

    return atls_tpmt_signature_decode(in, &out, err);
}

static enum atls_code public_area(struct atls_bytes in, struct atls_err *err)
{
    struct atls_tpmt_public out;

    return atls_tpmt_public_decode(in, &out, err);
}

static enum atls_code public_2b(struct atls_bytes in, struct atls_err *err)
{
    struct atls_tpmt_public out;

    return atls_tpm2b_public_decode(in, &out, err);
}

static enum atls_code certify_half(struct atls_bytes in, struct atls_err *err)
{
    struct atls_tpm_certify_half out;

    return atls_tpm_certify_half_decode(in, &out, err);
}

static enum atls_code quote_half(struct atls_bytes in, struct atls_err *err)
{
    struct atls_tpm_quote_half out;

    return atls_tpm_quote_half_decode(in, &out, err);
}

/* Accepted as it is; refused as malformed when cut anywhere or one byte longer. Copies are of exact
 * size, so that the address sanitizer sees a read past the end. */
static void check_exact(decoder *decode, struct atls_bytes in)
{
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t *longer;

    test_assert_code(decode(in, &err), ATLS_OK, &err);
    for (size_t len = 0; len < in.len; len++) {
        uint8_t *cut = malloc(len > 0 ? len : 1);

        assert_non_null(cut);
        memcpy(cut, in.ptr, len);
        test_assert_code(decode(atls_bytes_of(cut, len), &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
        free(cut);
    }
    longer = malloc(in.len + 1);
    assert_non_null(longer);
    memcpy(longer, in.ptr, in.len);
    longer[in.len] = 0;
    test_assert_code(decode(atls_bytes_of(longer, in.len + 1), &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.reason, ATLS_REASON_MALFORMED);
    free(longer);
}

static void recorded_structures_decode_exactly(void **state)
{
    static const struct {
        const char *path;
        decoder *decode;
    } rows[] = {
        {"tpm/gce-cos-85-nonce9009/quote_sha1_msg.bin", attest},
        {"tpm/gce-cos-85-nonce9009/quote_sha256_msg.bin", attest},
        {"tpm/gce-cos-85-nonce9009/quote_sha384_msg.bin", attest},
        {"tpm/keylime-quote/quote.out", attest},
        {"tpm/gce-cos-85-nonce9009/quote_sha256_sig_tpmt.bin", signature},
        {"tpm/keylime-quote/quotesig.out", signature},
        {"tpm/gce-cos-85-nonce9009/ak_public_tpmt.bin", public_area},
        {"tpm/keylime-quote/ak.pub", public_2b},
        {"tpm/keylime-quote/ek.pub", public_2b},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].path);

        check_exact(rows[i].decode, atls_buf_bytes(&in));
        atls_buf_clear(&in);
    }
}

static void fields_of_a_quote(void **state)
{
    struct atls_buf in = test_vector("tpm/gce-cos-85-nonce9009/quote_sha256_msg.bin");
    struct atls_tpms_attest a;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tpms_attest_decode(atls_buf_bytes(&in), &a, &err), ATLS_OK, &err);
    assert_int_equal(a.magic, ATLS_TPM_GENERATED);
    assert_int_equal(a.type, ATLS_TPM_ST_ATTEST_QUOTE);
    assert_int_equal(a.qualified_signer.len, 34);
    test_assert_bytes(a.extra_data, atls_bytes_of("\x90\x09", 2));
    assert_true(a.clock == 0x1e9e66c00);
    assert_int_equal(a.reset_count, 10);
    assert_int_equal(a.restart_count, 0);
    assert_true(a.safe);
    assert_true(a.firmware_version == 0x2016051100162800);
    assert_int_equal(a.selection_count, 1);
    assert_int_equal(a.selections[0].hash, ATLS_TPM_ALG_SHA256);
    assert_int_equal(a.selections[0].bitmap, 0xffffff);
    assert_int_equal(a.pcr_digest.len, 32);
    atls_buf_clear(&in);
}

static void fields_of_public_areas(void **state)
{
    struct atls_buf rsa = test_vector("tpm/gce-cos-85-nonce9009/ak_public_tpmt.bin");
    struct atls_buf ek = test_vector("tpm/keylime-quote/ek.pub");
    struct atls_tpmt_public p;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&rsa), &p, &err), ATLS_OK, &err);
    assert_int_equal(p.type, ATLS_TPM_ALG_RSA);
    assert_int_equal(p.name_alg, ATLS_TPM_ALG_SHA256);
    assert_int_equal(p.attributes, 0x50072);
    assert_int_equal(p.symmetric, ATLS_TPM_ALG_NULL);
    assert_int_equal(p.scheme, ATLS_TPM_ALG_RSASSA);
    assert_int_equal(p.scheme_hash, ATLS_TPM_ALG_SHA256);
    assert_int_equal(p.key_bits, 2048);
    assert_int_equal(p.exponent, 65537);
    assert_int_equal(p.modulus.len, 256);
    test_assert_bytes(p.raw, atls_buf_bytes(&rsa));

    test_assert_code(atls_tpm2b_public_decode(atls_buf_bytes(&ek), &p, &err), ATLS_OK, &err);
    assert_int_equal(p.attributes, 0x300b2);
    assert_int_equal(p.auth_policy.len, 32);
    assert_int_equal(p.symmetric, ATLS_TPM_ALG_AES);
    assert_int_equal(p.symmetric_bits, 128);
    assert_int_equal(p.symmetric_mode, ATLS_TPM_ALG_CFB);
    assert_int_equal(p.scheme, ATLS_TPM_ALG_NULL);
    assert_int_equal(p.raw.len, ek.len - 2);
    atls_buf_clear(&rsa);
    atls_buf_clear(&ek);
}

#define ATTEST_HEAD                                                                                \
    "\xff\x54\x43\x47\x80\x18\x00\x00\x00\x00"                                                     \
    "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x01"                         \
    "\x00\x00\x00\x00\x00\x00\x00\x04"
#define ECC_HEAD "\x00\x23\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10"

static void hand_made_structures(void **state)
{
    static const struct {
        const char *name;
        decoder *decode;
        struct atls_bytes in;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"smallest quote: no selection, no digest", attest,
         HEX(ATTEST_HEAD "\x00\x00\x00\x00\x00\x00"), ATLS_OK, ATLS_REASON_NONE},
        {"four bitmap bytes", attest,
         HEX(ATTEST_HEAD "\x00\x00\x00\x01\x00\x0b\x04\x01\x00\x00\x80\x00\x00"), ATLS_OK,
         ATLS_REASON_NONE},
        {"five bitmap bytes", attest,
         HEX(ATTEST_HEAD "\x00\x00\x00\x01\x00\x0b\x05\x01\x00\x00\x80\x00\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"no bitmap byte", attest, HEX(ATTEST_HEAD "\x00\x00\x00\x01\x00\x0b\x00\x00\x00"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"more selections than there are bytes", attest,
         HEX(ATTEST_HEAD "\xff\xff\xff\xff\x00\x00"), ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"digest of 65 bytes", attest,
         HEX(ATTEST_HEAD "\x00\x00\x00\x00\x00\x41"
                         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefx"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"safe is neither yes nor no", attest,
         HEX("\xff\x54\x43\x47\x80\x18\x00\x00\x00\x00"
             "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x02"
             "\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"a foreign magic is the caller's to judge", attest,
         HEX("\x00\x00\x00\x00\x80\x18\x00\x00\x00\x00"
             "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x01"
             "\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00"),
         ATLS_OK, ATLS_REASON_NONE},
        {"an attestation of time", attest,
         HEX("\xff\x54\x43\x47\x80\x19\x00\x00\x00\x00"
             "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x01"
             "\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00"),
         ATLS_E_EVIDENCE, ATLS_REASON_WRONG_ATTEST_TYPE},
        {"a foreign magic and type", attest,
         HEX("\x00\x54\x43\x47\x80\x19\x00\x00\x00\x00"
             "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x01"
             "\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00"),
         ATLS_E_EVIDENCE, ATLS_REASON_NOT_TPM_GENERATED},
        {"qualifiedSigner of 67 bytes", attest,
         HEX("\xff\x54\x43\x47\x80\x18\x00\x43"
             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefxyz\x00\x00"
             "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x01"
             "\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"size field FFFF", attest, HEX("\xff\x54\x43\x47\x80\x18\xff\xff\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},

        {"ECDSA with one-byte r and s", signature, HEX("\x00\x18\x00\x0b\x00\x01\x05\x00\x01\x06"),
         ATLS_OK, ATLS_REASON_NONE},
        {"ECDSA without s", signature, HEX("\x00\x18\x00\x0b\x00\x01\x05\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"ECDSA without r", signature, HEX("\x00\x18\x00\x0b\x00\x00\x00\x01\x05"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"r longer than the largest field", signature,
         HEX("\x00\x18\x00\x0b\x00\x43"
             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefxyz\x00\x01\x01"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"empty RSASSA signature", signature, HEX("\x00\x14\x00\x0b\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"RSAPSS", signature, HEX("\x00\x16\x00\x0b\x00\x01\x05"), ATLS_OK, ATLS_REASON_NONE},
        {"an HMAC", signature, HEX("\x00\x05\x00\x0b\x00\x01\x05"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"no signature (TPM_ALG_NULL)", signature, HEX("\x00\x10\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},

        {"ECC key with one-byte coordinates", public_area,
         HEX(ECC_HEAD "\x00\x18\x00\x0b\x00\x03\x00\x10\x00\x01\x05\x00\x01\x06"), ATLS_OK,
         ATLS_REASON_NONE},
        {"ECC key with a key derivation scheme", public_area,
         HEX(ECC_HEAD "\x00\x19\x00\x0b\x00\x03\x00\x20\x00\x0b\x00\x01\x05\x00\x01\x06"), ATLS_OK,
         ATLS_REASON_NONE},
        {"ECC key without x", public_area,
         HEX(ECC_HEAD "\x00\x18\x00\x0b\x00\x03\x00\x10\x00\x00\x00\x01\x06"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"ECC key without y", public_area,
         HEX(ECC_HEAD "\x00\x18\x00\x0b\x00\x03\x00\x10\x00\x01\x06\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"RSA key of 8 bits", public_area,
         HEX("\x00\x01\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x10\x00\x08\x00\x00\x00\x03"
             "\x00\x01\x81"),
         ATLS_OK, ATLS_REASON_NONE},
        {"RSA encryption scheme without a hash", public_area,
         HEX("\x00\x01\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x15\x00\x08\x00\x00\x00\x03"
             "\x00\x01\x81"),
         ATLS_OK, ATLS_REASON_NONE},
        {"modulus shorter than keyBits says", public_area,
         HEX("\x00\x01\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x10\x00\x10\x00\x00\x00\x03"
             "\x00\x01\x81"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"modulus below 2^(keyBits - 1)", public_area,
         HEX("\x00\x01\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x10\x00\x08\x00\x00\x00\x03"
             "\x00\x01\x7f"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"keyBits that are no bytes", public_area,
         HEX("\x00\x01\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x10\x00\x09\x00\x00\x00\x03"
             "\x00\x01\x81"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"keyBits 0", public_area,
         HEX("\x00\x01\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x10\x00\x00\x00\x00\x00\x03"
             "\x00\x00"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"a keyed hash object", public_area,
         HEX("\x00\x08\x00\x0b\x00\x04\x00\x72\x00\x00\x00\x10\x00\x00"), ATLS_E_DECODE,
         ATLS_REASON_MALFORMED},
        {"TPM2B_PUBLIC whose size leaves a byte over", public_2b, HEX("\x00\x01\x00\x01"),
         ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(rows[i].decode(rows[i].in, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
    }
}

static void algorithm_numbers_of_hashes(void **state)
{
    static const enum atls_hash all[] = {ATLS_HASH_SHA1, ATLS_HASH_SHA256, ATLS_HASH_SHA384,
                                         ATLS_HASH_SHA512};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(atls_tpm_hash(atls_tpm_hash_id(all[i])), all[i]);
    assert_int_equal(atls_tpm_hash(ATLS_TPM_ALG_SHA256), ATLS_HASH_SHA256);
    assert_int_equal(atls_tpm_hash(0x0012), ATLS_HASH_NONE); /* SM3 */
    assert_int_equal(atls_tpm_hash(0), ATLS_HASH_NONE);
    assert_int_equal(atls_tpm_hash_id(ATLS_HASH_NONE), 0);
}

/* ---- SubjectPublicKeyInfo ---- */

static enum atls_code spki_of(const struct atls_tpmt_public *p, struct atls_buf *out,
                              struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(4096);
    enum atls_code code = atls_tpmt_public_put_spki(p, &w, err);

    if (code == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}

static void ecc_coordinates_are_padded_to_the_field(void **state)
{
    static const struct {
        const char *name;
        uint16_t curve;
        size_t field;
        const char *head;
        size_t head_len;
    } rows[] = {
        {"P-256", ATLS_TPM_ECC_NIST_P256, 32,
         "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03"
         "\x01\x07\x03\x42\x00\x04",
         27},
        {"P-384", ATLS_TPM_ECC_NIST_P384, 48,
         "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03"
         "\x62\x00\x04",
         24},
        {"P-521", ATLS_TPM_ECC_NIST_P521, 66,
         "\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23"
         "\x03\x81\x86\x00\x04",
         26},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tpmt_public p = {0};
        struct atls_buf spki = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t want[256] = {0};
        size_t len = rows[i].head_len + 2 * rows[i].field;

        print_message("  %s\n", rows[i].name);
        p.type = ATLS_TPM_ALG_ECC;
        p.curve = rows[i].curve;
        p.x = atls_bytes_of("\x01\x02", 2);
        p.y = atls_bytes_of("\x03", 1);
        memcpy(want, rows[i].head, rows[i].head_len);
        memcpy(want + rows[i].head_len + rows[i].field - 2, "\x01\x02", 2);
        want[len - 1] = 3;
        test_assert_code(spki_of(&p, &spki, &err), ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&spki), atls_bytes_of(want, len));
        atls_buf_clear(&spki);
    }
}

static void spki_of_what_cannot_be_one(void **state)
{
    static const uint8_t coordinate[66] = {1};
    struct atls_tpmt_public p = {0};
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    p.type = ATLS_TPM_ALG_ECC;
    p.curve = 0x0010; /* BN_P256 */
    p.x = p.y = atls_bytes_of(coordinate, 32);
    test_assert_code(spki_of(&p, &spki, &err), ATLS_E_UNSUPPORTED, &err);
    p.curve = ATLS_TPM_ECC_NIST_P256;
    p.x = atls_bytes_of(coordinate, 33);
    test_assert_code(spki_of(&p, &spki, &err), ATLS_E_DECODE, &err);
    p.x = atls_bytes_of(coordinate, 32);
    p.y = atls_bytes_of(coordinate, 33);
    test_assert_code(spki_of(&p, &spki, &err), ATLS_E_DECODE, &err);
    assert_null(spki.ptr);
}

static void rsa_exponent_is_the_shortest(void **state)
{
    static const uint8_t modulus[1] = {0x81};
    static const struct {
        uint32_t exponent;
        struct atls_bytes want;
    } rows[] = {
        {3, HEX("\x30\x1b\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x0a\x00"
                "\x30\x07\x02\x02\x00\x81\x02\x01\x03")},
        {65537, HEX("\x30\x1d\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x0c"
                    "\x00\x30\x09\x02\x02\x00\x81\x02\x03\x01\x00\x01")},
        {0x80000001, HEX("\x30\x1f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03"
                         "\x0e\x00\x30\x0b\x02\x02\x00\x81\x02\x05\x00\x80\x00\x00\x01")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tpmt_public p = {0};
        struct atls_buf spki = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        p.type = ATLS_TPM_ALG_RSA;
        p.modulus = atls_bytes_of(modulus, sizeof modulus);
        p.exponent = rows[i].exponent;
        test_assert_code(spki_of(&p, &spki, &err), ATLS_OK, &err);
        /* RFC 8017: what the encoder makes of a toy modulus is DER all the same. */
        test_assert_bytes(atls_buf_bytes(&spki), rows[i].want);
        atls_buf_clear(&spki);
    }
}

/* ---- halves ---- */

static const uint8_t kid[ATLS_TPM_KID_LEN] = {1, 2, 3};
static const uint8_t value[32] = {9};

static struct atls_buf encode_certify(const struct atls_tpm_certify_half *half)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_tpm_put_certify_half(&w, half);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

static struct atls_buf encode_quote(const struct atls_tpm_quote_half *half)
{
    struct atls_writer w = atls_writer_init(65536);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_tpm_put_quote_half(&w, half);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

static struct atls_tpm_certify_half sample_certify(void)
{
    struct atls_tpm_certify_half half = {
        atls_bytes_of(kid, sizeof kid),
        atls_bytes_of("s", 1),
        atls_bytes_of("c", 1),
        atls_bytes_of("p", 1),
    };

    return half;
}

static struct atls_tpm_quote_half sample_quote(void)
{
    struct atls_tpm_quote_half half = {0};

    half.kid = atls_bytes_of(kid, sizeof kid);
    half.signature = atls_bytes_of("s", 1);
    half.attest_info = atls_bytes_of("a", 1);
    half.ak_pub = atls_bytes_of("k", 1);
    half.bank_count = 1;
    half.banks[0].hash = ATLS_TPM_ALG_SHA256;
    half.banks[0].present = 1;
    half.banks[0].values[0] = atls_bytes_of(value, sizeof value);
    return half;
}

static void certify_half_round_trip(void **state)
{
    struct atls_tpm_certify_half half = sample_certify(), got;
    struct atls_buf in = encode_certify(&half);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    check_exact(certify_half, atls_buf_bytes(&in));
    test_assert_code(atls_tpm_certify_half_decode(atls_buf_bytes(&in), &got, &err), ATLS_OK, &err);
    test_assert_bytes(got.kid, half.kid);
    test_assert_bytes(got.signature, half.signature);
    test_assert_bytes(got.cert_info, half.cert_info);
    test_assert_bytes(got.pub_area, half.pub_area);
    atls_buf_clear(&in);
}

/* Every combination of the optional members, one bank to four, one PCR to all. */
static void quote_half_round_trip(void **state)
{
    static const uint16_t banks[] = {ATLS_TPM_ALG_SHA384, ATLS_TPM_ALG_SHA1, ATLS_TPM_ALG_SHA512,
                                     ATLS_TPM_ALG_SHA256};

    (void)state;
    for (unsigned int shape = 0; shape < 8; shape++) {
        struct atls_tpm_quote_half half = sample_quote(), got;
        struct atls_buf in, again;
        struct atls_err err = ATLS_ERR_INIT;

        if ((shape & 1) != 0)
            half.event_log = atls_bytes_of("log", 3);
        if ((shape & 2) != 0)
            half.ima_log = atls_bytes_of("ima", 3);
        if ((shape & 4) != 0) {
            half.bank_count = ATLS_TPM_VALUE_BANKS_MAX;
            for (size_t b = 0; b < half.bank_count; b++) {
                half.banks[b].hash = banks[b];
                half.banks[b].present = 0xffffff;
                for (size_t i = 0; i < ATLS_TPM_PCRS_MAX; i++)
                    half.banks[b].values[i] = atls_bytes_of(value, sizeof value);
            }
        }
        in = encode_quote(&half);
        check_exact(quote_half, atls_buf_bytes(&in));
        test_assert_code(atls_tpm_quote_half_decode(atls_buf_bytes(&in), &got, &err), ATLS_OK,
                         &err);
        assert_int_equal(got.bank_count, half.bank_count);
        assert_int_equal(got.banks[0].present, half.banks[0].present);
        test_assert_bytes(got.banks[0].values[0], half.banks[0].values[0]);
        assert_int_equal(got.event_log.ptr != NULL, (shape & 1) != 0);
        assert_int_equal(got.ima_log.ptr != NULL, (shape & 2) != 0);
        again = encode_quote(&got);
        test_assert_bytes(atls_buf_bytes(&again), atls_buf_bytes(&in));
        atls_buf_clear(&again);
        atls_buf_clear(&in);
    }
}

#define KID                                                                                        \
    "\x58\x21\x01"                                                                                 \
    "0123456789abcdef0123456789abcdef"
#define HALF_HEAD                                                                                  \
    "\x66tpmVer\x63"                                                                               \
    "2.0\x63kid" KID "\x63sig\x41s"
#define QUOTE_HEAD                                                                                 \
    HALF_HEAD "\x6a"                                                                               \
              "attestInfo\x41"                                                                     \
              "a\x65"                                                                              \
              "akPub\x41k\x64pcrs"

static void halves_that_are_refused(void **state)
{
    static const struct {
        const char *name;
        decoder *decode;
        struct atls_bytes in;
        enum atls_reason reason;
    } rows[] = {
        {"version 1.2", certify_half,
         HEX("\xa5\x66tpmVer\x63"
             "1.2\x63kid" KID "\x63sig\x41s\x68"
             "certInfo\x41"
             "c\x67pubArea\x41p"),
         ATLS_REASON_MALFORMED},
        {"kid of 32 bytes", certify_half,
         HEX("\xa5\x66tpmVer\x63"
             "2.0\x63kid\x58\x20\x01"
             "0123456789abcdef0123456789abcde"
             "\x63sig\x41s\x68"
             "certInfo\x41"
             "c\x67pubArea\x41p"),
         ATLS_REASON_MALFORMED},
        {"kid that is no UEID of type RAND", certify_half,
         HEX("\xa5\x66tpmVer\x63"
             "2.0\x63kid\x58\x21\x02"
             "0123456789abcdef0123456789abcdef"
             "\x63sig\x41s\x68"
             "certInfo\x41"
             "c\x67pubArea\x41p"),
         ATLS_REASON_MALFORMED},
        {"members out of order", certify_half,
         HEX("\xa5" HALF_HEAD "\x67pubArea\x41p\x68"
             "certInfo\x41"
             "c"),
         ATLS_REASON_MALFORMED},
        {"an unknown member", certify_half,
         HEX("\xa6" HALF_HEAD "\x68"
             "certInfo\x41"
             "c\x67pubArea\x41p\x61x\x41x"),
         ATLS_REASON_MALFORMED},
        {"text in place of bytes", certify_half,
         HEX("\xa5" HALF_HEAD "\x68"
             "certInfo\x61"
             "c\x67pubArea\x41p"),
         ATLS_REASON_MALFORMED},
        {"indefinite map", certify_half,
         HEX("\xbf" HALF_HEAD "\x68"
             "certInfo\x41"
             "c\x67pubArea\x41p\xff"),
         ATLS_REASON_MALFORMED},
        {"an array", certify_half, HEX("\x85\x01\x02\x03\x04\x05"), ATLS_REASON_MALFORMED},
        {"a certify half in place of a quote half", quote_half,
         HEX("\xa5" HALF_HEAD "\x68"
             "certInfo\x41"
             "c\x67pubArea\x41p"),
         ATLS_REASON_MALFORMED},
        {"PCR 24", quote_half, HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa1\x18\x18\x41v"),
         ATLS_REASON_PCR_SELECTION},
        {"PCR 2^64 - 1", quote_half,
         HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa1\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x41v"),
         ATLS_REASON_PCR_SELECTION},
        {"one PCR twice", quote_half, HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa2\x07\x41v\x07\x41v"),
         ATLS_REASON_PCR_SELECTION},
        {"PCRs out of order", quote_half, HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa2\x07\x41v\x06\x41v"),
         ATLS_REASON_PCR_SELECTION},
        {"one bank twice", quote_half,
         HEX("\xa6" QUOTE_HEAD "\xa2\x0b\xa1\x07\x41v\x0b\xa1\x08\x41v"),
         ATLS_REASON_PCR_SELECTION},
        {"a bank without a PCR", quote_half, HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa0"),
         ATLS_REASON_MALFORMED},
        {"a bank number of 17 bits", quote_half,
         HEX("\xa6" QUOTE_HEAD "\xa1\x1a\x00\x01\x00\x0b\xa1\x07\x41v"), ATLS_REASON_MALFORMED},
        {"more banks than we know hashes", quote_half,
         HEX("\xa6" QUOTE_HEAD "\xa5\x04\xa1\x07\x41v\x0b\xa1\x07\x41v\x0c\xa1\x07\x41v"
             "\x0d\xa1\x07\x41v\x12\xa1\x07\x41v"),
         ATLS_REASON_MALFORMED},
        {"an index that is no number", quote_half,
         HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa1\x61"
             "7\x41v"),
         ATLS_REASON_MALFORMED},
        {"a value that is no bytes", quote_half, HEX("\xa6" QUOTE_HEAD "\xa1\x0b\xa1\x07\x01"),
         ATLS_REASON_MALFORMED},
        {"pcrs that are no map", quote_half, HEX("\xa6" QUOTE_HEAD "\x01"), ATLS_REASON_MALFORMED},
        {"IMA log before the event log", quote_half,
         HEX("\xa8" QUOTE_HEAD "\xa1\x0b\xa1\x07\x41v\x66imaLog\x41i\x68"
             "eventLog\x41"
             "e"),
         ATLS_REASON_MALFORMED},
        {"an event log of text", quote_half,
         HEX("\xa7" QUOTE_HEAD "\xa1\x0b\xa1\x07\x41v\x68"
             "eventLog\x61"
             "e"),
         ATLS_REASON_MALFORMED},
        {"an unknown optional member", quote_half,
         HEX("\xa7" QUOTE_HEAD "\xa1\x0b\xa1\x07\x41v\x61x\x41"
             "e"),
         ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(rows[i].decode(rows[i].in, &err), ATLS_E_DECODE, &err);
        assert_int_equal(err.reason, rows[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_structures_decode_exactly),
        cmocka_unit_test(fields_of_a_quote),
        cmocka_unit_test(fields_of_public_areas),
        cmocka_unit_test(hand_made_structures),
        cmocka_unit_test(algorithm_numbers_of_hashes),
        cmocka_unit_test(ecc_coordinates_are_padded_to_the_field),
        cmocka_unit_test(spki_of_what_cannot_be_one),
        cmocka_unit_test(rsa_exponent_is_the_shortest),
        cmocka_unit_test(certify_half_round_trip),
        cmocka_unit_test(quote_half_round_trip),
        cmocka_unit_test(halves_that_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
