#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspected.h"

#include "core/writer.h"
#include "crypto/crypto.h"
#include "flavour/post/carrier.h"
#include "wire/cbor.h"
#include "wire/cmw.h"
#include "wire/cose.h"
#include "wire/kat.h"
#include "wire/soft.h"
#include "wire/tls_msg.h"
#include "wire/tpm.h"

static void published_files(void **state)
{
    static const struct {
        const char *file, *kind, *path, *want;
    } rows[] = {
        {"cmw/cmw-example-1.cbor", "cmw", "shape", "record"},
        {"cmw/cmw-example-1.json", "cmw", "shape", "record"},
        {"cmw/cmw-example-tag-1.cbor", "cmw", "shape", "tag"},
        {"cmw/collection-example-1.cbor", "cmw", "entries/2/type", "application/eat+jwt"},
        {"cmw/collection-example-1.json", "cmw", "shape", "collection"},
        {"cmw/signed-neg-bad-signature.cbor", "cmw", "alg", "-7"},
        {"cmw/signed-neg-bad-signature.cbor", "cmw", "payload/shape", "collection"},
        {"cmw/x509-cert-cbor-cmw.der", "certificate", "subject",
         "C=US, L=San Francisco, O=Acme\\, Inc."},
        {"ear/arc-testJWT.jwt", "ear", "header/alg", "ES256"},
        {"ear/arc-testJWT.jwt", "ear", "verified", "false"},
        {"ear/ear-claims.json", "ear", "claims/submods/test/ear.status", "affirming"},
        {"ear/ear-cbor-1.cbor", "ear", "claims/submods/PSA/ear_status", "contraindicated"},
        {"corim/unsigned-good-corim.cbor", "corim", "", ""},
        {"corim/signed-good-corim.cbor", "corim", "", ""},
        {"corim/signed-good-corim.cbor", "corim", "signed/signer", "ACME Ltd signing key"},
        {"corim/comid-cond-endorse-series.cbor", "comid",
         "conditional-endorsement-series-triples/0/series/2/selection/0/svn", "3"},
        {"corim/comid-7.cbor", "comid", "reference-triples/0/measurements/1/int-range/min", "-1"},
        {"corim/draft-comid-psa-endval.cbor", "comid",
         "conditional-endorsement-triples/0/additions/0/measurements/0/extensions/0/key", "100"},
        {"corim/draft-cotl-1.cbor", "cotl", "tags-list/1/version", "5"},
        {"corim/ce-evidence.cbor", "concise-evidence", "", ""},
        {"key-attestation/kat-kat-ex-1.cbor", "cbor", "", ""},
        {"tpm/gce-cos-85-nonce9009/ak_cert.der", "certificate", "not-before",
         "2021-08-31T23:11:05Z"},
        {"tpm/gce-certs/uca_tpm_ecc_sign_cert.pem", "certificate", "extensions/0/critical", "true"},
        {"tpm/gce-cos-85-nonce9009/ak_public_tpmt.bin", "tpm-public", "key-bits", "2048"},
        {"tpm/gce-cos-85-nonce9009/quote_sha256_msg.bin", "tpm-attest", "extra-data", "9009"},
        {"tpm/gce-cos-85-nonce9009/quote_sha256_sig_tpmt.bin", "tpm-signature", "algorithm",
         "rsassa"},
        {"eat/eat-valid_cwt.cbor", "eat", "claims/dbgstat", "disabled-permanently"},
        {"eat/eat-valid_results.json", "eat", "claims/measres/0/results/0/result", "success"},
        {"eat/psa.good.cose", "psa", "claims/software-components/2/type", "ARoT"},
        {"eat/psa-iot-1_sign1.bin", "psa", "claims/lifecycle/state", "secured"},
        {"eat/cca-good.cbor", "cca", "realm/profile", "tag:arm.com,2023:realm#1.0.0"},
        {"eat/cca-good.cbor", "cca", "platform/instance-id",
         "010202020202020202020202020202020202020202020202020202020202020202"},
        {"tpm/eventlogs/crypto_agile_eventlog", "event-log", "crypto-agile", "true"},
        {"tpm/eventlogs/option_rom_eventlog", "event-log", "events/0/pcr", "0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].file);
        json_t *root;

        print_message("%s\n", rows[i].file);
        root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, rows[i].kind);
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        json_decref(inspect(atls_buf_bytes(&in), rows[i].kind, ATLS_OK, rows[i].kind));
        atls_buf_clear(&in);
    }
}

/* The same wrapper in a JWS, compact and flattened. */
static void signed_wrappers_of_jose(void **state)
{
#define PROTECTED "eyJhbGciOiJFUzI1NiIsImN0eSI6ImFwcGxpY2F0aW9uL2Ntdytqc29uIiwia2lkIjoiayJ9"
#define PAYLOAD   "WyJhL2IiLCJBQSJd"
#define SIGNATURE                                                                                  \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    static const struct atls_bytes rows[] = {
        HEX(PROTECTED "." PAYLOAD "." SIGNATURE),
        HEX("{\"payload\":\"" PAYLOAD "\",\"protected\":\"" PROTECTED
            "\",\"signature\":\"" SIGNATURE "\"}"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *root = inspect(rows[i], NULL, ATLS_OK, "cmw");

        assert_string_equal(at(root, "alg"), "ES256");
        assert_string_equal(at(root, "kid"), "k");
        assert_string_equal(at(root, "payload/type"), "a/b");
        json_decref(root);
    }
}

static void files_that_are_refused(void **state)
{
    static const struct {
        const char *file, *kind;
        enum atls_code want;
    } rows[] = {
        {"cmw/signed-neg-truncated.cbor", NULL, ATLS_E_DECODE},
        {"cmw/signed-neg-no-alg.cbor", "cmw", ATLS_E_DECODE},
        {"cmw/signed-neg-no-cty.cbor", "cmw", ATLS_E_DECODE},
        {"cmw/signed-neg-wrong-cty.cbor", "cmw", ATLS_E_DECODE},
        {"cmw/signed-neg-bad-payload.cbor", "cmw", ATLS_E_DECODE},
        {"cmw/signed-neg-no-alg.cbor", NULL, ATLS_E_DECODE},
        {"cmw/signed-neg-no-cty.cbor", NULL, ATLS_E_DECODE},
        {"cmw/signed-neg-wrong-cty.cbor", NULL, ATLS_E_DECODE},
        {"cmw/signed-neg-bad-payload.cbor", NULL, ATLS_E_DECODE},
        {"ear/jwt-neg-alg-none.jwt", NULL, ATLS_E_DECODE},
        {"ear/jwt-neg-empty-claims.jwt", NULL, ATLS_E_DECODE},
        {"ear/jwt-neg-empty-claims.jwt", "eat", ATLS_E_DECODE},
        {"ear/jwt-neg-hs256.jwt", NULL, ATLS_E_UNSUPPORTED},
        {"ear/jwt-neg-trailing.jwt", NULL, ATLS_E_DECODE},
        {"ear/README.md", NULL, ATLS_E_UNSUPPORTED},
        {"ear/arc-testJWT.jwt", "cmw", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "corim", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "certificate", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "tpm-attest", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "tpm-public", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "tpm-signature", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "tpm-certify", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "tpm-quote", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "event-log", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "kat", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "eat", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "psa", ATLS_E_UNSUPPORTED},
        {"cmw/cmw-example-1.cbor", "cca", ATLS_E_DECODE},
        {"eat/P2ClaimsMissingMandatoryNonce.cbor", "psa", ATLS_E_UNSUPPORTED},
        {"ear/README.md", "eat", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "soft", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "request", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "authenticator", ATLS_E_DECODE},
        {"cmw/cmw-example-1.cbor", "frame", ATLS_E_PROTOCOL},
        {"cmw/cmw-example-1.cbor", "\x1b[2J", ATLS_E_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].file);

        print_message("%s as %s\n", rows[i].file, rows[i].kind == NULL ? "?" : "named");
        assert_null(inspect(atls_buf_bytes(&in), rows[i].kind, rows[i].want, NULL));
        atls_buf_clear(&in);
    }
    assert_null(inspect(atls_bytes_of(NULL, 0), NULL, ATLS_E_UNSUPPORTED, NULL));
}

static void cbor_in_diagnostic_notation(void **state)
{
    static const struct {
        struct atls_bytes in;
        const char *want;
    } rows[] = {
        {HEX("\x00"), "0"},
        {HEX("\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
        {HEX("\x20"), "-1"},
        {HEX("\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), "-9223372036854775808"},
        {HEX("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"), "h'3bffffffffffffffff'"},
        {HEX("\x42\x01\xfe"), "h'01fe'"},
        {HEX("\x40"), "h''"},
        {HEX("\x64\x22\x5c\x0a\x61"), "\"\\\"\\\\\na\""},
        {HEX("\x80"), "[]"},
        {HEX("\x83\x01\x82\x02\x03\xa0"), "[1, [2, 3], {}]"},
        {HEX("\xa2\x01\x02\x61\x61\x80"), "{1: 2, \"a\": []}"},
        {HEX("\xa1\x81\x01\xa1\x02\x03"), "{[1]: {2: 3}}"},
        {HEX("\xd9\x02\x59\x81\xc1\x00"), "601([1(0)])"},
        {HEX("\x84\xf4\xf5\xf6\xf7"), "[false, true, null, undefined]"},
        {HEX("\x82\xf0\xf8\xff"), "[simple(16), simple(255)]"},
        {HEX("\xf9\x3c\x00"), "float(h'3c00')"},
        {HEX("\x9f\x01\xbf\x02\x03\xff\xff"), "[1, {2: 3}]"},
        {HEX("\x9f\xff"), "[]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *root = inspect(rows[i].in, "cbor", ATLS_OK, "cbor");

        assert_string_equal(at(root, "diagnostic"), rows[i].want);
        json_decref(root);
    }
}

static void cbor_as_deep_as_may_be(void **state)
{
    uint8_t deep[40];
    json_t *root;

    (void)state;
    memset(deep, 0x81, sizeof deep);
    deep[16] = 0;
    root = inspect(atls_bytes_of(deep, 17), "cbor", ATLS_OK, "cbor");
    assert_string_equal(at(root, "diagnostic"), "[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]");
    json_decref(root);
    deep[16] = 0x81;
    deep[17] = 0;
    assert_null(inspect(atls_bytes_of(deep, 18), "cbor", ATLS_E_LIMIT, NULL));
    assert_null(inspect(atls_bytes_of("\x81", 1), "cbor", ATLS_E_DECODE, NULL));
    assert_null(inspect(atls_bytes_of("\x00\x00", 2), "cbor", ATLS_E_DECODE, NULL));
}

/* What the software attester sends, built by the encoders; also in a certificate's place. */
static struct atls_buf soft_bundle(void)
{
    static const uint8_t challenge[64] = {1}, ueid[33] = {1}, digest[32] = {2}, x[32] = {3};
    struct atls_soft_token token = {.challenge = {challenge, 64}, .ueid = {ueid, 33}};
    struct atls_cose_key key = {.kty = ATLS_COSE_EC2, .crv = ATLS_COSE_P256, .x = {x, 32}};
    struct atls_writer protected_header = atls_writer_init(256), claims = atls_writer_init(1024),
                       pat = atls_writer_init(2048), kat = atls_writer_init(1024),
                       w = atls_writer_init(65536);
    struct atls_cmw kat_record, pat_record, leaf, endorsements;
    struct atls_cmw_entry entry;
    struct atls_buf out = ATLS_BUF_INIT, certificate = test_vector("cmw/x509-cert-cbor-cmw.der");

    key.y = key.x;
    token.measurements[0] =
        (struct atls_soft_measurement){atls_bytes_of("app", 3), 1, {digest, 32}};
    token.measurement_count = 1;
    atls_soft_put_protected(&protected_header, -7, token.ueid);
    assert_int_equal(atls_soft_token_put(&claims, &token, NULL), ATLS_OK);
    atls_cose_put_sign1(&pat, atls_writer_bytes(&protected_header), atls_bytes_of(NULL, 0),
                        atls_writer_bytes(&claims), atls_bytes_of("signature", 9));
    assert_int_equal(atls_kat_encode(token.ueid.len == 33 ? atls_bytes_of(digest, 32) : token.ueid,
                                     &key, &kat, NULL),
                     ATLS_OK);
    kat_record = atls_cmw_record(ATLS_TYPE_KAT, atls_writer_bytes(&kat), ATLS_CMW_EVIDENCE);
    pat_record = atls_cmw_record(ATLS_TYPE_SOFT, atls_writer_bytes(&pat), ATLS_CMW_EVIDENCE);
    leaf = atls_cmw_record_cf(287, atls_buf_bytes(&certificate), ATLS_CMW_ENDORSEMENTS);
    memset(&endorsements, 0, sizeof endorsements);
    memset(&entry, 0, sizeof entry);
    entry.label.number = 5;
    entry.value = leaf;
    endorsements.kind = ATLS_CMW_COLLECTION;
    endorsements.entries = &entry;
    endorsements.count = 1;
    assert_int_equal(atls_bundle_encode(&kat_record, &pat_record, &endorsements, &w, NULL),
                     ATLS_OK);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    atls_writer_clear(&protected_header);
    atls_writer_clear(&claims);
    atls_writer_clear(&pat);
    atls_writer_clear(&kat);
    atls_buf_clear(&certificate);
    return out;
}

static void a_bundle_is_looked_into(void **state)
{
    struct atls_buf bundle = soft_bundle();
    json_t *root = inspect(atls_buf_bytes(&bundle), NULL, ATLS_OK, "cmw");
    const json_t *entries = json_object_get(json_object_get(root, "content"), "entries");

    (void)state;
    assert_string_equal(at(root, "type"), ATLS_BUNDLE_TYPE);
    assert_int_equal(json_array_size(entries), 3);
    for (unsigned int i = 0; i < 3; i++) {
        char path[64];
        const char *label;

        snprintf(path, sizeof path, "entries/%u/label", i);
        label = at(root, path);
        if (strcmp(label, "kat") == 0) {
            snprintf(path, sizeof path, "entries/%u/value/key/kty", i);
            assert_string_equal(at(root, path), "2");
        } else if (strcmp(label, "pat") == 0) {
            snprintf(path, sizeof path, "entries/%u/value/measurements/0/name", i);
            assert_string_equal(at(root, path), "app");
        } else {
            assert_string_equal(label, "endorsements");
            snprintf(path, sizeof path, "entries/%u/entries/0/value/serial", i);
            assert_string_equal(at(root, path), "07e3");
        }
    }
    json_decref(root);
    atls_buf_clear(&bundle);
}

/* Certificate with cmw_attestation, CertificateVerify, Finished. */
static struct atls_buf authenticator(void)
{
    struct atls_buf bundle = soft_bundle(), certificate = test_vector("cmw/x509-cert-cbor-cmw.der");
    struct atls_bytes chain = atls_buf_bytes(&certificate);
    struct atls_writer extensions = atls_writer_init(65536), w = atls_writer_init(1 << 18);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_mark data, cmw;

    atls_put_u16(&extensions, 0xff00);
    data = atls_open_vec(&extensions, 0xffff);
    cmw = atls_open_vec(&extensions, 0xffff);
    atls_put_bytes(&extensions, atls_buf_bytes(&bundle));
    atls_close_vec(&extensions, cmw);
    atls_close_vec(&extensions, data);
    atls_put_u16(&extensions, 0xff77);
    atls_close_vec(&extensions, atls_open_vec(&extensions, 0xffff));
    atls_tls_put_certificate(&w, atls_bytes_of("context", 7), &chain, 1,
                             atls_writer_bytes(&extensions));
    atls_tls_put_certificate_verify(&w, 0x0403, atls_bytes_of("sig", 3));
    atls_tls_put_finished(&w, atls_bytes_of("0123456789abcdef0123456789abcdef", 32));
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    atls_writer_clear(&extensions);
    atls_buf_clear(&bundle);
    atls_buf_clear(&certificate);
    return out;
}

static void authenticators(void **state)
{
    struct atls_buf in = authenticator();
    struct atls_writer w = atls_writer_init(256);
    json_t *root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "authenticator");

    (void)state;
    assert_string_equal(at(root, "empty"), "false");
    assert_string_equal(at(root, "context"), "636f6e74657874");
    assert_string_equal(at(root, "scheme"), "ecdsa_secp256r1_sha256");
    assert_string_equal(at(root, "chain/0/certificate/serial"), "07e3");
    assert_string_equal(at(root, "chain/0/extensions/0/cmw/type"), ATLS_BUNDLE_TYPE);
    assert_string_equal(at(root, "chain/0/extensions/1/data"), "");
    json_decref(root);
    for (size_t len = 0; len < in.len; len += 41)
        assert_null(inspect(atls_bytes_of(in.ptr, len), "authenticator", ATLS_E_DECODE, NULL));
    atls_buf_clear(&in);

    atls_tls_put_finished(&w, atls_bytes_of("0123456789abcdef0123456789abcdef", 32));
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "authenticator");
    assert_string_equal(at(root, "empty"), "true");
    json_decref(root);
    atls_put_u8(&w, 0);
    assert_null(inspect(atls_writer_bytes(&w), "authenticator", ATLS_E_DECODE, NULL));
    atls_writer_clear(&w);
    /* Messages in another order, and of another type. */
    atls_tls_put_certificate_verify(&w, 0x0403, atls_bytes_of("sig", 3));
    assert_null(inspect(atls_writer_bytes(&w), "authenticator", ATLS_E_DECODE, NULL));
    atls_writer_clear(&w);
}

static void a_request_and_frames(void **state)
{
    static const uint8_t request[] = {
        0x0d, 0x00, 0x00, 0x13, 0x04, 'c',  't',  'x',  't',  0x00, 0x0c, 0x00,
        0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03, 0xff, 0x00, 0x00, 0x00,
    };
    struct atls_buf in = authenticator();
    struct atls_status_frame status = {7, ATLS_CARRIER_POLICY, HEX("PCR 7\x1b"), {NULL, 0}};
    struct atls_writer w = atls_writer_init(1 << 18);
    json_t *root = inspect(atls_bytes_of(request, sizeof request), NULL, ATLS_OK, "request");

    (void)state;
    assert_string_equal(at(root, "from"), "server");
    assert_string_equal(at(root, "context"), "63747874");
    assert_string_equal(at(root, "schemes/0"), "ecdsa_secp256r1_sha256");
    assert_string_equal(at(root, "cmw-attestation"), "true");
    json_decref(root);

    atls_message_frame_put(&w, ATLS_FRAME_REQUEST, 3, atls_bytes_of(request, sizeof request));
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "frame");
    assert_string_equal(at(root, "type"), "REQUEST");
    assert_string_equal(at(root, "id"), "3");
    assert_string_equal(at(root, "message/context"), "63747874");
    json_decref(root);
    root = inspect(atls_bytes_of(w.ptr, 4), "frame", ATLS_OK, "frame");
    assert_string_equal(at(root, "type"), "REQUEST");
    assert_string_equal(at(root, "id"), "");
    json_decref(root);
    assert_null(inspect(atls_bytes_of(w.ptr, 3), "frame", ATLS_E_DECODE, NULL));
    assert_null(inspect(atls_bytes_of(w.ptr, w.len - 1), "frame", ATLS_E_DECODE, NULL));
    atls_writer_clear(&w);

    atls_message_frame_put(&w, ATLS_FRAME_AUTHENTICATOR, 3, atls_buf_bytes(&in));
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "frame");
    assert_string_equal(at(root, "message/chain/0/certificate/serial"), "07e3");
    json_decref(root);
    atls_writer_clear(&w);

    atls_verdict_put(&w, &status);
    root = inspect(atls_writer_bytes(&w), "frame", ATLS_OK, "frame");
    assert_string_equal(at(root, "type"), "VERDICT");
    assert_string_equal(at(root, "id"), "7");
    assert_string_equal(at(root, "text"), "PCR 7\x1b");
    json_decref(root);
    atls_writer_clear(&w);

    atls_close_put(&w, &status);
    root = inspect(atls_writer_bytes(&w), "frame", ATLS_OK, "frame");
    assert_string_equal(at(root, "code"), "6");
    assert_string_equal(at(root, "id"), "");
    json_decref(root);
    atls_writer_clear(&w);

    status.authenticator = atls_bytes_of(in.ptr, 40);
    atls_decline_put(&w, &status);
    root = inspect(atls_writer_bytes(&w), "frame", ATLS_OK, "frame");
    assert_string_equal(at(root, "type"), "DECLINE");
    json_decref(root);
    atls_writer_clear(&w);

    atls_frame_header_put(&w, ATLS_FRAME_DATA, 3);
    atls_put_text(&w, "abc");
    root = inspect(atls_writer_bytes(&w), "frame", ATLS_OK, "frame");
    assert_string_equal(at(root, "body"), "616263");
    json_decref(root);
    atls_writer_clear(&w);
    atls_buf_clear(&in);
}

static void halves_of_tpm_evidence(void **state)
{
    static const uint8_t kid[33] = {1};
    struct atls_buf quote = test_vector("tpm/gce-cos-85-nonce9009/quote_sha256_msg.bin");
    struct atls_buf signature = test_vector("tpm/gce-cos-85-nonce9009/quote_sha256_sig_tpmt.bin");
    struct atls_buf ak = test_vector("tpm/gce-cos-85-nonce9009/ak_public_tpmt.bin");
    struct atls_buf log = test_vector("tpm/eventlogs/option_rom_eventlog");
    static struct atls_tpm_quote_half half;
    struct atls_tpm_certify_half certify = {
        {kid, 33}, atls_buf_bytes(&signature), atls_buf_bytes(&quote), atls_buf_bytes(&ak)};
    struct atls_writer w = atls_writer_init(1 << 20);
    json_t *root;

    (void)state;
    half.kid = atls_bytes_of(kid, 33);
    half.signature = atls_buf_bytes(&signature);
    half.attest_info = atls_buf_bytes(&quote);
    half.ak_pub = atls_buf_bytes(&ak);
    half.banks[0].hash = 0x000b;
    half.banks[0].present = 1u << 7;
    half.banks[0].values[7] = atls_bytes_of("0123456789abcdef0123456789abcdef", 32);
    half.bank_count = 1;
    half.event_log = atls_buf_bytes(&log);
    half.ima_log = atls_bytes_of("log", 3);
    atls_tpm_put_quote_half(&w, &half);
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "tpm-quote");
    assert_string_equal(at(root, "attest-info/extra-data"), "9009");
    assert_string_equal(at(root, "attestation-key/type"), "rsa");
    assert_string_equal(at(root, "signature/hash"), "sha256");
    assert_string_equal(at(root, "pcrs/0/bank"), "sha256");
    assert_string_equal(at(root, "pcrs/0/values/7"),
                        "3031323334353637383961626364656630313233343536373839616263646566");
    assert_string_equal(at(root, "event-log/events/0/pcr"), "0");
    assert_string_equal(at(root, "ima-log"), "6c6f67");
    json_decref(root);
    atls_writer_clear(&w);

    /* A half whose parts do not decode is shown all the same. */
    certify.cert_info = atls_bytes_of("abc", 3);
    atls_tpm_put_certify_half(&w, &certify);
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "tpm-certify");
    assert_string_equal(at(root, "certify-info"), "616263");
    assert_string_equal(at(root, "public-area/attribute-names/0"), "fixedTPM");
    json_decref(root);
    atls_writer_clear(&w);
    atls_buf_clear(&quote);
    atls_buf_clear(&signature);
    atls_buf_clear(&ak);
    atls_buf_clear(&log);
}

static void structures_of_elliptic_curves(void **state)
{
    /* TPMT_PUBLIC of a signing key on P-256, TPMT_SIGNATURE of ECDSA, TPMS_ATTEST of a
     * certification. */
    static const char point[] = "0020"
                                "1111111111111111111111111111111111111111111111111111111111111111"
                                "0020"
                                "2222222222222222222222222222222222222222222222222222222222222222";
    char hex[512];
    struct atls_buf in;
    json_t *root;

    (void)state;
    snprintf(hex, sizeof hex,
             "0023000b00040072"
             "0000"
             "0010"
             "0018000b"
             "0003"
             "0010"
             "%s",
             point);
    in = test_unhex(hex);
    root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "tpm-public");
    assert_string_equal(at(root, "curve"), "nist-p256");
    json_decref(root);
    atls_buf_clear(&in);
    snprintf(hex, sizeof hex, "0018000b%s", point);
    in = test_unhex(hex);
    root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "tpm-signature");
    assert_string_equal(at(root, "algorithm"), "ecdsa");
    json_decref(root);
    atls_buf_clear(&in);
    in = test_unhex("ff5443478017"
                    "0002aabb"
                    "0003010203"
                    "0000000000000001"
                    "00000002"
                    "00000003"
                    "01"
                    "0000000000000004"
                    "0002000b"
                    "00020004");
    root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "tpm-attest");
    assert_string_equal(at(root, "type"), "certify");
    assert_string_equal(at(root, "name"), "000b");
    json_decref(root);
    atls_buf_clear(&in);
}

/* DER of a certificate with this time, name attribute and extensions; nothing in it is signed. */
static struct atls_buf odd_certificate(const char *time_hex, const char *attribute_hex,
                                       const char *extensions_hex)
{
    struct atls_buf parts[3] = {test_unhex(time_hex), test_unhex(attribute_hex),
                                test_unhex(extensions_hex)};
    struct atls_writer name = atls_writer_init(512), tbs = atls_writer_init(2048),
                       w = atls_writer_init(4096);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_mark outer, inner;

    /* Lengths below 128 but for the two outer ones, which take two octets. */
    atls_put_u8(&name, 0x30);
    inner = atls_open_vec(&name, 0x7f);
    atls_put_u8(&name, 0x31);
    outer = atls_open_vec(&name, 0x7f);
    atls_put_bytes(&name, atls_buf_bytes(&parts[1]));
    atls_close_vec(&name, outer);
    atls_close_vec(&name, inner);

    atls_put_bytes(&tbs, atls_bytes_of("\xa0\x03\x02\x01\x02\x02\x01\x2a\x30\x00", 10));
    atls_put_bytes(&tbs, atls_writer_bytes(&name));
    atls_put_u8(&tbs, 0x30);
    inner = atls_open_vec(&tbs, 0x7f);
    atls_put_bytes(&tbs, atls_buf_bytes(&parts[0]));
    atls_put_bytes(&tbs, atls_buf_bytes(&parts[0]));
    atls_close_vec(&tbs, inner);
    atls_put_bytes(&tbs, atls_writer_bytes(&name));
    atls_put_bytes(&tbs, atls_bytes_of("\x30\x00", 2));
    atls_put_bytes(&tbs, atls_buf_bytes(&parts[2]));

    atls_put_bytes(&w, atls_bytes_of("\x30\x82", 2));
    outer = atls_open_vec(&w, 0xffff);
    atls_put_bytes(&w, atls_bytes_of("\x30\x82", 2));
    inner = atls_open_vec(&w, 0xffff);
    atls_put_bytes(&w, atls_writer_bytes(&tbs));
    for (size_t pad = tbs.len; pad < 256; pad += 2) /* so that two octets are the shortest form */
        atls_put_bytes(&w, atls_bytes_of("\x81\x00", 2));
    atls_close_vec(&w, inner);
    atls_put_bytes(&w, atls_bytes_of("\x30\x00\x03\x01\x00", 5));
    atls_close_vec(&w, outer);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    atls_writer_clear(&name);
    atls_writer_clear(&tbs);
    for (size_t i = 0; i < 3; i++)
        atls_buf_clear(&parts[i]);
    return out;
}

static void odd_certificates(void **state)
{
    static const struct {
        const char *name, *time, *attribute, *extensions, *path, *want; /* want NULL: refused */
    } rows[] = {
        {"this century", "170d3439303130323033303430355a", "", "", "not-after",
         "2049-01-02T03:04:05Z"},
        {"last century", "170d3530303130323033303430355a", "", "", "not-after",
         "1950-01-02T03:04:05Z"},
        {"four digits", "180f32303530303130323033303430355a", "", "", "not-after",
         "2050-01-02T03:04:05Z"},
        {"time with a letter", "170d3439303130323033303430785a", "", "", "", NULL},
        {"time without zone", "170c343930313032303330343035", "", "", "", NULL},
        {"time of another type", "0c0d3439303130323033303430355a", "", "", "", NULL},
        {"name that plays another attribute", "170d3439303130323033303430355a",
         "300f06035504030c08"
         "782c204f3d792b22",
         "", "subject", "CN=x\\, O\\=y\\+\\\""},
        {"attribute known to nobody", "170d3439303130323033303430355a", "300806032a864813017a", "",
         "subject", "1.2.840=z"},
        {"country", "170d3439303130323033303430355a", "3009060355040613024445", "", "issuer",
         "C=DE"},
        {"malformed attribute ends the name", "170d3439303130323033303430355a", "300306012a", "",
         "issuer", ""},
        {"extension that is critical", "170d3439303130323033303430355a", "",
         "a30f300d300b0603551d0f0101ff040100", "extensions/0/oid", "2.5.29.15"},
        {"flag of criticality", "170d3439303130323033303430355a", "",
         "a30f300d300b0603551d0f0101ff040100", "extensions/0/critical", "true"},
        {"extension with a CMW that is none", "170d3439303130323033303430355a", "",
         "a311300f300d06082b06010505070123040100", "extensions/0/value", "00"},
        {"malformed extension is left out", "170d3439303130323033303430355a", "",
         "a3073005300306012a", "extensions/0/oid", ""},
        {"extensions that are no list", "170d3439303130323033303430355a", "",
         "a302"
         "0400",
         "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = odd_certificate(rows[i].time, rows[i].attribute, rows[i].extensions);
        json_t *root;

        print_message("%s\n", rows[i].name);
        root = inspect(atls_buf_bytes(&in), "certificate",
                       rows[i].want == NULL ? ATLS_E_DECODE : ATLS_OK, "certificate");
        if (rows[i].want != NULL)
            assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_buf_clear(&in);
    }
}

static void every_truncation_is_refused(void **state)
{
    static const char *const files[][2] = {
        {"cmw/x509-cert-cbor-cmw.der", "certificate"},
        {"tpm/gce-cos-85-nonce9009/quote_sha256_msg.bin", "tpm-attest"},
        {"tpm/gce-cos-85-nonce9009/ak_public_tpmt.bin", "tpm-public"},
        {"tpm/gce-cos-85-nonce9009/quote_sha256_sig_tpmt.bin", "tpm-signature"},
        {"cmw/collection-example-1.cbor", "cmw"},
        {"ear/ear-cbor-1.cbor", "ear"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i][0]), out = ATLS_BUF_INIT;
        struct atls_writer longer = atls_writer_init(65536);

        for (size_t len = 0; len < in.len; len++)
            assert_int_not_equal(atls_inspect(atls_bytes_of(in.ptr, len), files[i][1], &out, NULL),
                                 ATLS_OK);
        atls_put_bytes(&longer, atls_buf_bytes(&in));
        atls_put_u8(&longer, 0);
        assert_int_not_equal(atls_inspect(atls_writer_bytes(&longer), files[i][1], &out, NULL),
                             ATLS_OK);
        atls_writer_clear(&longer);
        atls_buf_clear(&in);
    }
}

static void wrappers_in_wrappers_end_somewhere(void **state)
{
    struct atls_buf inner = test_vector("cmw/cmw-example-1.cbor");
    json_t *root;

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct atls_cmw cmw = atls_cmw_record("application/cmw+cbor", atls_buf_bytes(&inner), 0);
        struct atls_writer w = atls_writer_init(65536);
        struct atls_buf outer = ATLS_BUF_INIT;

        assert_int_equal(atls_cmw_encode(&cmw, &w, NULL), ATLS_OK);
        assert_int_equal(atls_writer_finish(&w, &outer, NULL), ATLS_OK);
        atls_buf_clear(&inner);
        inner = outer;
    }
    root = inspect(atls_buf_bytes(&inner), NULL, ATLS_OK, "cmw");
    assert_string_equal(at(root, "value/value/value/value/shape"), "record");
    assert_memory_equal(at(root, "value/value/value/value/value"), "82", 2);
    json_decref(root);
    atls_buf_clear(&inner);
}

/* Every claim and every kind of submodule, under the tag of an unprotected claims set. */
static void claims_of_eat(void **state)
{
    static const char hex[] =
        "d90259b8200161690261730382616161620401050206030741aa08a10341010a48111111111111111119"
        "01004f030101010101010101010101010101190101a1616e48111111111111111119010219faf2190103"
        "41aa190104826131616d19010505190106f519010700190108a3010002200905190109432a030419010a"
        "a566636c61696d73a302617819010341cc1901024301020365746f6b656e4bd28443a10126a041a04100"
        "636a77746b5b224a5754222c2278225d66646967657374822f5820111111111111111111111111111111"
        "11111111111111111111111111111111116662756e646c65d9025a824bd28443a10126a041a04100a161"
        "6147a102646465657019010b0719010c41bb19010d818361726170616119010e616e19010f8261760119"
        "011082821832627b7d8219010241a019011182821901275845a401826178826131194000028267736861"
        "2d32353658201111111111111111111111111111111111111111111111111111111111111111038141aa"
        "0448000000000000000082183c42ffff1901128182616d82826174018241dd031901130519012b821901"
        "0741aa3a0001387f82016374776f636f776ef4";
    static const char *const paths[][2] = {
        {"envelope", "uccs"},
        {"claims/iss", "i"},
        {"claims/aud/1", "b"},
        {"claims/iat", "3"},
        {"claims/cti", "aa"},
        {"claims/cnf/kid", "01"},
        {"claims/eat_nonce/0", "1111111111111111"},
        {"claims/ueid-form", "imei"},
        {"claims/sueids/0/label", "n"},
        {"claims/oemid", "64242"},
        {"claims/hwversion/scheme", "m"},
        {"claims/oemboot", "true"},
        {"claims/dbgstat", "enabled"},
        {"claims/location/longitude/diagnostic", "-1"},
        {"claims/location/age", "5"},
        {"claims/eat_profile", "1.2.3.4"},
        {"claims/submods/0/claims/sub", "x"},
        {"claims/submods/0/claims/oemid", "010203"},
        {"claims/submods/1/token/envelope", "cwt"},
        {"claims/submods/2/token", "[\"JWT\",\"x\"]"},
        {"claims/submods/3/digest/alg", "-16"},
        {"claims/submods/4/bundle/envelope", "bundle"},
        {"claims/submods/4/bundle/claims-sets/0/name", "a"},
        {"claims/submods/4/bundle/claims-sets/0/content/claims/sub", "deep"},
        {"claims/dloas/0/application", "a"},
        {"claims/swversion/scheme", "1"},
        {"claims/manifests/0/content", "{}"},
        {"claims/manifests/1/content/diagnostic", "{}"},
        {"claims/measurements/0/component/name", "x"},
        {"claims/measurements/0/component/version/scheme", "16384"},
        {"claims/measurements/0/component/authorities/0", "aa"},
        {"claims/measurements/1/content", "ffff"},
        {"claims/measres/0/results/1/id", "dd"},
        {"claims/measres/0/results/1/result", "not-run"},
        {"claims/intuse", "pop"},
        {"claims/cmw/type", "263"},
        {"claims/other-claims/0/key", "-80000"},
        {"claims/other-claims/0/value/diagnostic", "[1, \"two\"]"},
        {"claims/other-claims/1/key", "own"},
    };
    struct atls_buf in = test_unhex(hex);
    json_t *root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "eat");

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        print_message("  %s\n", paths[i][0]);
        assert_string_equal(at(root, paths[i][0]), paths[i][1]);
    }
    json_decref(root);
    for (size_t len = 0; len < in.len; len++)
        assert_null(inspect(atls_bytes_of(in.ptr, len), "eat", ATLS_E_DECODE, NULL));
    atls_buf_clear(&in);
}

static void other_envelopes_of_eat(void **state)
{
    /* {"alg":"ES256","kid":"k"}, {"swname":"n","ueid":"AQIDBAUGBw","x":[1]}, 64 zeros. */
#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define JWT                                                                                        \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ."                                                          \
    "eyJzd25hbWUiOiJuIiwidWVpZCI6IkFRSURCQVVHQnciLCJ4IjpbMV19." ZEROS                              \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    static const struct {
        struct atls_bytes in;
        const char *kind, *path, *want;
    } rows[] = {
        {HEX(JWT), NULL, "alg", "ES256"},
        {HEX(JWT), NULL, "kid", "k"},
        {HEX(JWT), NULL, "claims/swname", "n"},
        {HEX(JWT), NULL, "claims/ueid-form", "other"},
        {HEX(JWT), NULL, "claims/other-claims/0/value", "[1]"},
        {HEX("\xa1\x02\x61x"), "eat", "claims/sub", "x"},
        {HEX("\xa1\x02\x61x"), "eat", "envelope", "none"},
        {HEX("{\"jti\":\"a\",\"cnf\":{\"kid\":\"b\"},\"eat_profile\":\"urn:x\"}"), NULL,
         "claims/jti", "a"},
        {HEX("{\"cnf\":{\"kid\":\"b\"},\"eat_profile\":\"urn:x\"}"), NULL, "claims/cnf/kid", "b"},
        {HEX("{\"eat_profile\":\"2.999\"}"), NULL, "claims/eat_profile", "2.999"},
        {HEX("{\"submods\":{\"a\":[\"JWT\",\"x\"]}}"), "eat", "claims/submods/0/token", "x"},
        {HEX("[[\"JWT\",\"x\"],{\"a\":\"e30\"}]"), "eat", "envelope", "bundle"},
        {HEX("[[\"JWT\",\"x\"],{\"a\":\"e30\"}]"), "eat", "claims-sets/0/content/envelope", "none"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *root = inspect(rows[i].in, rows[i].kind, ATLS_OK, "eat");

        print_message("  %s\n", rows[i].path);
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
    }
    /* Any object may be a claims set, but is not taken for one. */
    json_decref(inspect(atls_bytes_of("{\"x\":1}", 7), NULL, ATLS_OK, "json"));
    /* A signature that is cut, a claims set that is none. */
    assert_null(inspect(atls_bytes_of(JWT, sizeof JWT - 3), "eat", ATLS_E_DECODE, NULL));
    assert_null(inspect(atls_bytes_of("\xd2\x84\x43\xa1\x01\x26\xa0\x41\x80\x41\x00", 11), "eat",
                        ATLS_E_DECODE, NULL));
}

/* Bundles in bundles: at some depth they are shown as they are. */
static void tokens_in_tokens_end_somewhere(void **state)
{
    struct atls_buf inner = test_unhex("a1190105187b");
    json_t *root;

    (void)state;
    for (int i = 0; i < 9; i++) {
        struct atls_writer w = atls_writer_init(1 << 16);
        struct atls_buf outer = ATLS_BUF_INIT;

        atls_cbor_put_tag(&w, 602);
        atls_cbor_put_array(&w, 2);
        atls_cbor_put_bytes(&w, atls_buf_bytes(&inner));
        atls_cbor_put_map(&w, 1);
        atls_cbor_put_text(&w, "a");
        atls_cbor_put_bytes(&w, atls_buf_bytes(&inner));
        assert_int_equal(atls_writer_finish(&w, &outer, NULL), ATLS_OK);
        atls_buf_clear(&inner);
        inner = outer;
    }
    root = inspect(atls_buf_bytes(&inner), NULL, ATLS_OK, "eat");
    assert_string_equal(at(root, "token/token/token/token/envelope"), "bundle");
    assert_memory_equal(at(root, "token/token/token/token/token"), "d9025a", 6);
    json_decref(root);
    atls_buf_clear(&inner);
}

/* Each way in which a claims set within a wrapper is shown. */
static void tokens_in_wrappers(void **state)
{
    static const struct {
        const char *type;
        struct atls_bytes value;
        const char *path, *want;
    } rows[] = {
        {"application/eat+cwt", HEX("\xd2\x84\x43\xa1\x01\x26\xa0\x41\xa0\x41\x00"),
         "value/envelope", "cwt"},
        {"application/eat-ucs+cbor", HEX("\xd9\x02\x59\xa0"), "value/envelope", "uccs"},
        {"application/eat-ucs+json", HEX("{}"), "value/envelope", "none"},
        {"application/eat+cwt", HEX("\x81\x01"), "value/diagnostic", "[1]"},
        {"application/vnd.libatls.kat-batch+cbor", HEX("\x83\x41\xaa\x00\x80"), "value/kat", "aa"},
        {"application/vnd.libatls.kat-batch+cbor", HEX("\x83\x41\xaa\x01\x80"), "value",
         "8341aa0180"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_cmw cmw = atls_cmw_record(rows[i].type, rows[i].value, 0);
        struct atls_writer w = atls_writer_init(4096);
        json_t *root;

        assert_int_equal(atls_cmw_encode(&cmw, &w, NULL), ATLS_OK);
        root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "cmw");
        print_message("  %s\n", rows[i].type);
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_writer_clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_files),
        cmocka_unit_test(signed_wrappers_of_jose),
        cmocka_unit_test(files_that_are_refused),
        cmocka_unit_test(cbor_in_diagnostic_notation),
        cmocka_unit_test(cbor_as_deep_as_may_be),
        cmocka_unit_test(a_bundle_is_looked_into),
        cmocka_unit_test(authenticators),
        cmocka_unit_test(a_request_and_frames),
        cmocka_unit_test(halves_of_tpm_evidence),
        cmocka_unit_test(structures_of_elliptic_curves),
        cmocka_unit_test(odd_certificates),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(wrappers_in_wrappers_end_somewhere),
        cmocka_unit_test(claims_of_eat),
        cmocka_unit_test(other_envelopes_of_eat),
        cmocka_unit_test(tokens_in_tokens_end_somewhere),
        cmocka_unit_test(tokens_in_wrappers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
