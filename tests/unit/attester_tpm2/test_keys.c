/* Keys and certificates that others put into the TPM: a cloud's RSA attestation key, a P-384
 * identity key, a maker's certificate, and what is unfit. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <atls/tpm2.h>

#include "attester/tpm2/device.h"
#include "core/arena.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "swtpm.h"
#include "wire/kat.h"
#include "wire/tpm.h"

#define HANDLE 0x81010020u
#define FIXED                                                                                      \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |            \
     TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SIGN_ENCRYPT)

static const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};

static struct test_swtpm *tpm;
static struct atls_tpm2_config config;

static int start_tpm(void **state)
{
    (void)state;
    tpm = test_swtpm_start(0);
    config = (struct atls_tpm2_config){.tcti = test_swtpm_tcti(tpm)};
    return 0;
}

static int stop_tpm(void **state)
{
    (void)state;
    test_swtpm_stop(tpm);
    return 0;
}

static struct atls_tpm2_device connect_tpm(void)
{
    struct atls_tpm2_device device = {.config = &config};
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_tpm2_connect(&device, &err), ATLS_OK, &err);
    return device;
}

static TPMT_PUBLIC ecc_key(TPM2_ECC_CURVE curve, TPM2_ALG_ID scheme, TPM2_ALG_ID hash,
                           TPMA_OBJECT attributes)
{
    return (TPMT_PUBLIC){
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = attributes,
        .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                 .scheme = {.scheme = scheme, .details.ecdsa.hashAlg = hash},
                                 .curveID = curve,
                                 .kdf.scheme = TPM2_ALG_NULL},
    };
}

static TPMT_PUBLIC rsa_key(TPM2_ALG_ID scheme, TPMA_OBJECT attributes)
{
    return (TPMT_PUBLIC){
        .type = TPM2_ALG_RSA,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = attributes,
        .parameters.rsaDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                 .scheme = {.scheme = scheme,
                                            .details.rsassa.hashAlg = TPM2_ALG_SHA256},
                                 .keyBits = 2048},
    };
}

/* A primary key of this template, persistent at HANDLE in place of what is there. */
static void put_key(TPMT_PUBLIC area)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcrs = {0};
    const TPM2B_PUBLIC template = {.publicArea = area};
    struct atls_tpm2_device device = connect_tpm();
    ESYS_TR key = ESYS_TR_NONE, persistent = ESYS_TR_NONE;
    bool exists = false;

    assert_int_equal(atls_tpm2_handle_exists(&device, HANDLE, &exists, NULL), ATLS_OK);
    if (exists) {
        assert_int_equal(Esys_TR_FromTPMPublic(device.esys, HANDLE, ESYS_TR_NONE, ESYS_TR_NONE,
                                               ESYS_TR_NONE, &key),
                         0);
        assert_int_equal(Esys_EvictControl(device.esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD,
                                           ESYS_TR_NONE, ESYS_TR_NONE, HANDLE, &persistent),
                         0);
    }
    assert_int_equal(Esys_CreatePrimary(device.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside,
                                        &pcrs, &key, NULL, NULL, NULL, NULL),
                     0);
    assert_int_equal(Esys_EvictControl(device.esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, HANDLE, &persistent),
                     0);
    atls_tpm2_flush(&device, &key);
    atls_tpm2_disconnect(&device);
}

static enum atls_code try_open(const char *options, struct atls_attester **out,
                               struct atls_err *err)
{
    char uri[512];

    return atls_attester_open(test_swtpm_uri(tpm, options, uri, sizeof uri), backends, NULL, out,
                              err);
}

static void an_rsa_attestation_key_attests(void **state)
{
    static const struct {
        TPM2_ALG_ID scheme;
        enum atls_signature want;
    } rows[] = {
        {TPM2_ALG_RSASSA, ATLS_RSA_PKCS1_SHA256},
        {TPM2_ALG_RSAPSS, ATLS_RSA_PSS_SHA256},
    };
    static const uint8_t binder[32] = {3};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_writer spki = atls_writer_init(1024);
        struct atls_buf evidence = ATLS_BUF_INIT;
        static struct atls_tpm_quote_half pat;
        static struct atls_tpms_attest quote;
        struct atls_tpmt_signature signature;
        struct atls_tpmt_public ak;
        struct atls_attester *a = NULL;
        struct atls_bundle bundle;
        struct atls_key *key = NULL;
        struct atls_cmw cmw;
        struct atls_err err = ATLS_ERR_INIT;

        put_key(rsa_key(rows[i].scheme, FIXED | TPMA_OBJECT_RESTRICTED));
        test_assert_code(try_open("ak=0x81010020", &a, &err), ATLS_OK, &err);
        test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, 32), &evidence, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_cmw_decode(atls_buf_bytes(&evidence), &arena, &cmw, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_bundle_open(&cmw, &bundle, &err), ATLS_OK, &err);
        test_assert_code(atls_tpm_quote_half_decode(bundle.pat.value, &pat, &err), ATLS_OK, &err);
        test_assert_code(atls_tpms_attest_decode(pat.attest_info, &quote, &err), ATLS_OK, &err);
        test_assert_code(atls_tpmt_signature_decode(pat.signature, &signature, &err), ATLS_OK,
                         &err);
        test_assert_code(atls_tpmt_public_decode(pat.ak_pub, &ak, &err), ATLS_OK, &err);
        assert_int_equal(signature.algorithm, rows[i].scheme);
        test_assert_code(atls_tpmt_public_put_spki(&ak, &spki, &err), ATLS_OK, &err);
        test_assert_code(atls_key_from_spki(atls_writer_bytes(&spki), &key, &err), ATLS_OK, &err);
        test_assert_code(
            atls_key_verify(key, rows[i].want, &pat.attest_info, 1, signature.rsa, &err), ATLS_OK,
            &err);
        atls_key_unref(key);
        atls_writer_clear(&spki);
        atls_buf_clear(&evidence);
        atls_arena_clear(&arena);
        atls_attester_unref(a);
    }
}

static void identity_keys_of_both_curves_sign(void **state)
{
    static const struct {
        const char *name;
        TPM2_ECC_CURVE curve;
        TPM2_ALG_ID scheme, hash;
        enum atls_signature want;
    } rows[] = {
        {"P-256, scheme left open", TPM2_ECC_NIST_P256, TPM2_ALG_NULL, 0, ATLS_ECDSA_P256_SHA256},
        {"P-384, scheme left open", TPM2_ECC_NIST_P384, TPM2_ALG_NULL, 0, ATLS_ECDSA_P384_SHA384},
        {"P-384 with SHA-384", TPM2_ECC_NIST_P384, TPM2_ALG_ECDSA, TPM2_ALG_SHA384,
         ATLS_ECDSA_P384_SHA384},
    };
    static const uint8_t text[] = "to be signed", binder[32] = {4};
    const struct atls_bytes tbs = {text, sizeof text};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf signature = ATLS_BUF_INIT, evidence = ATLS_BUF_INIT;
        struct atls_attester *a = NULL;
        struct atls_key *key = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        put_key(ecc_key(rows[i].curve, rows[i].scheme, rows[i].hash, FIXED));
        test_assert_code(try_open("aik=0x81010020", &a, &err), ATLS_OK, &err);
        assert_int_equal(atls_attester_aik_scheme(a), rows[i].want);
        test_assert_code(atls_attester_sign(a, rows[i].want, tbs, &signature, &err), ATLS_OK, &err);
        test_assert_code(atls_key_from_spki(atls_attester_aik_spki(a), &key, &err), ATLS_OK, &err);
        test_assert_code(
            atls_key_verify(key, rows[i].want, &tbs, 1, atls_buf_bytes(&signature), &err), ATLS_OK,
            &err);
        test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, 32), &evidence, &err),
                         ATLS_OK, &err);
        atls_key_unref(key);
        atls_buf_clear(&signature);
        atls_buf_clear(&evidence);
        atls_attester_unref(a);
    }
}

static void unfit_keys_are_refused(void **state)
{
    static TPMT_PUBLIC rsa, other_hash, schnorr, restricted, decrypts, unrestricted, long_name;
    static const struct {
        const char *name;
        const TPMT_PUBLIC *area;
        const char *options;
        enum atls_code want;
        const char *message;
    } rows[] = {
        {"RSA as identity key", &rsa, "aik=0x81010020", ATLS_E_UNSUPPORTED, "is of type 0x0001"},
        {"hash that does not go with the curve", &other_hash, "aik=0x81010020", ATLS_E_UNSUPPORTED,
         "want ECC P-256"},
        {"scheme that TLS does not know", &schnorr, "aik=0x81010020", ATLS_E_UNSUPPORTED,
         "want ECC P-256"},
        {"restricted identity key", &restricted, "aik=0x81010020", ATLS_E_CONFIG,
         "is unfit as attestation identity key"},
        {"identity key that decrypts too", &decrypts, "aik=0x81010020", ATLS_E_CONFIG,
         "is unfit as attestation identity key"},
        {"unrestricted attestation key", &unrestricted, "ak=0x81010020", ATLS_E_CONFIG,
         "is unfit as attestation key: attributes 0x00040072, want 0x00050072 set"},
        {"Name of another hash", &long_name, "ak=0x81010020", ATLS_E_UNSUPPORTED,
         "has name algorithm 0x000c"},
    };

    rsa = rsa_key(TPM2_ALG_NULL, FIXED);
    other_hash = ecc_key(TPM2_ECC_NIST_P256, TPM2_ALG_ECDSA, TPM2_ALG_SHA384, FIXED);
    schnorr = ecc_key(TPM2_ECC_NIST_P256, TPM2_ALG_ECSCHNORR, TPM2_ALG_SHA256, FIXED);
    restricted = ecc_key(TPM2_ECC_NIST_P256, TPM2_ALG_ECDSA, TPM2_ALG_SHA256,
                         FIXED | TPMA_OBJECT_RESTRICTED);
    decrypts = ecc_key(TPM2_ECC_NIST_P256, TPM2_ALG_NULL, 0, FIXED | TPMA_OBJECT_DECRYPT);
    unrestricted = ecc_key(TPM2_ECC_NIST_P256, TPM2_ALG_ECDSA, TPM2_ALG_SHA256, FIXED);
    long_name = restricted;
    (void)state;
    long_name.nameAlg = TPM2_ALG_SHA384;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        put_key(*rows[i].area);
        test_assert_code(try_open(rows[i].options, &a, &err), rows[i].want, &err);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("message is \"%s\"", err.message);
        assert_null(a);
    }
}

/* Writes content to a new NV index that its own (empty) authorisation, or the owner, may read. */
static void put_nv(TPM2_HANDLE index, TPMA_NV readable, struct atls_bytes content)
{
    static const TPM2B_AUTH no_auth = {0};
    const TPM2B_NV_PUBLIC area = {
        .nvPublic = {.nvIndex = index,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_OWNERWRITE | readable | TPMA_NV_NO_DA,
                     .dataSize = (UINT16)content.len}};
    struct atls_tpm2_device device = connect_tpm();
    ESYS_TR nv = ESYS_TR_NONE;

    assert_int_equal(Esys_NV_DefineSpace(device.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                         ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &area, &nv),
                     0);
    for (size_t at = 0; at < content.len; at += 512) {
        TPM2B_MAX_NV_BUFFER data = {.size = 512};

        if (content.len - at < 512)
            data.size = (UINT16)(content.len - at);
        memcpy(data.buffer, content.ptr + at, data.size);
        assert_int_equal(Esys_NV_Write(device.esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, &data, (UINT16)at),
                         0);
    }
    atls_tpm2_disconnect(&device);
}

static enum atls_code try_identity(struct atls_tpm2_identity *out, struct atls_err *err)
{
    struct atls_tpm2_enrolment *e = NULL;
    enum atls_code code;
    char uri[512];

    test_assert_code(atls_tpm2_enrolment_open(test_swtpm_uri(tpm, NULL, uri, sizeof uri), &e, err),
                     ATLS_OK, err);
    code = atls_tpm2_enrolment_identity(e, out, err);
    atls_tpm2_enrolment_close(e);
    return code;
}

/* A certificate for any key, large enough for several reads, followed by zeros. */
static size_t make_padded(uint8_t *out, size_t size)
{
    static const char *const names[] = {
        "a-long-name-that-fills-the-certificate-up-number-one.example",
        "a-long-name-that-fills-the-certificate-up-number-two.example", NULL};
    struct atls_private_key *key = NULL;
    struct atls_certificate_spec spec = {
        .common_name = "EK", .dns_names = names, .not_after_s = 4102444800};
    struct atls_buf der = ATLS_BUF_INIT;
    size_t len;

    test_assert_code(atls_private_key_generate(ATLS_KEY_RSA, &key, NULL), ATLS_OK, NULL);
    spec.sign_arg = key;
    spec.sign = atls_private_key_sign_function;
    spec.scheme = ATLS_RSA_PKCS1_SHA256;
    spec.spki = atls_key_spki(atls_private_key_public(key));
    test_assert_code(atls_certificate_make(&spec, &der, NULL), ATLS_OK, NULL);
    len = der.len;
    assert_true(len <= size);
    memset(out, 0, size);
    memcpy(out, der.ptr, len);
    atls_buf_clear(&der);
    atls_private_key_free(key);
    return len;
}

static void certificates_are_trimmed_and_choose_the_template(void **state)
{
    static const struct {
        const char *name;
        TPM2_HANDLE index;
        TPMA_NV readable;
        uint16_t type; /* of the EK */
    } rows[] = {
        {"RSA 2048, read by the owner", 0x01c00002, TPMA_NV_OWNERREAD, TPM2_ALG_RSA},
        {"P-256 goes before RSA, read by its own authorisation", 0x01c0000a, TPMA_NV_AUTHREAD,
         TPM2_ALG_ECC},
    };
    static uint8_t padded[1600];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tpm2_identity identity;
        struct atls_tpmt_public ek;
        struct atls_err err = ATLS_ERR_INIT;
        size_t len = make_padded(padded, sizeof padded);

        print_message("  %s\n", rows[i].name);
        put_nv(rows[i].index, rows[i].readable, atls_bytes_of(padded, sizeof padded));
        test_assert_code(try_identity(&identity, &err), ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&identity.ek_certificate), atls_bytes_of(padded, len));
        test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&identity.ek_public), &ek, &err),
                         ATLS_OK, &err);
        assert_int_equal(ek.type, rows[i].type);
        atls_tpm2_identity_clear(&identity);
    }
}

static void garbage_in_place_of_a_certificate_is_refused(void **state)
{
    static const uint8_t garbage[40] = {0x30, 0x82, 0xff, 0xff};
    struct atls_tpm2_identity identity;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    put_nv(0x01c0000a, TPMA_NV_AUTHREAD, atls_bytes_of(garbage, sizeof garbage));
    test_assert_code(try_identity(&identity, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "EK certificate in NV: "));
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, start_tpm, stop_tpm)
    const struct CMUnitTest tests[] = {
        ROW(an_rsa_attestation_key_attests),
        ROW(identity_keys_of_both_curves_sign),
        ROW(unfit_keys_are_refused),
        ROW(certificates_are_trimmed_and_choose_the_template),
        ROW(garbage_in_place_of_a_certificate_is_refused),
    };

    if (!test_swtpm_available()) {
        print_message("skipped: swtpm and swtpm_setup are not installed\n");
        return TEST_SWTPM_SKIP;
    }
    setenv("TSS2_LOG", "all+none",
           1); /* failures are provoked here; the library would print them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
