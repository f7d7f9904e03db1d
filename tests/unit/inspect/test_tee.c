/* Views of evidence and collateral of confidential computing, and of keys and logs: values. */
#include "inspected.h"

#include "failing_alloc.h"

#include "core/json_writer.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "crypto/der.h"
#include "evidence/collateral.h"
#include "wire/cbor.h"
#include "wire/jwk.h"
#include "wire/ra_tls.h"
#include "wire/snp.h"
#include "wire/tsm.h"

/* As HEX, where no initializer stands. */
#define BYTES(literal) atls_bytes_of(literal, sizeof(literal) - 1)

static void published_files(void **state)
{
    static const struct {
        const char *file, *kind, *path, *want;
    } rows[] = {
        {"sev-snp/aws-vlek/report.bin", "snp-report", "signing-key", "vlek"},
        {"sev-snp/aws-vlek/report.bin", "snp-report", "version", "3"},
        {"sev-snp/aws-vlek/report.bin", "snp-report", "platform/product-line", "Milan"},
        {"sev-snp/aws-vlek/report.bin", "snp-report", "platform/states/3", "alias-check-complete"},
        {"sev-snp/aws-vlek/report.bin", "snp-report", "current-tcb/snp", "24"},
        {"sev-snp/aws-vlek/report.bin", "snp-report", "current-tcb/microcode", "220"},
        {"sev-snp/milan-debug/report.bin", "snp-report", "policy/allowed-or-required/1", "debug"},
        {"sev-snp/milan-debug/report.bin", "snp-report", "policy/value", "0xb0000"},
        {"sev-snp/milan-debug/report.bin", "snp-report", "current-tcb/boot-loader", "2"},
        {"sev-snp/milan-debug/report.bin", "snp-report", "measurement",
         "b07af9620f3b839b47996422ddec6058338951d984e312115131ea82705eaf5b6bdf8a9ece31a5a608eb0cf2e"
         "4872b01"},
        {"sev-snp/azure-milan-v2/hcl_report.bin", "hcl-report", "tee", "SNP"},
        {"sev-snp/azure-milan-v2/hcl_report.bin", "hcl-report", "hardware-report/policy/least-abi",
         "0.31"},
        {"sev-snp/azure-milan-v2/hcl_report.bin", "hcl-report", "variables/keys/0/kid", "HCLAkPub"},
        {"sev-snp/azure-milan-v2/hcl_report.bin", "hcl-report", "variables-hash", "sha256"},
        {"tdx/azure-tdx-vtpm/hcl_report.bin", "hcl-report", "tee", "TDX"},
        {"tdx/azure-tdx-vtpm/hcl_report.bin", "hcl-report", "variables/keys/0/kty", "RSA"},
        {"sev-snp/turin-vcek-only/vcek.der", "certificate", "extensions/1/text", "Turin"},
        {"sev-snp/turin-vcek-only/vcek.der", "certificate", "extensions/2/name", "fmcSPL"},
        {"sev-snp/turin-vcek-only/vcek.der", "certificate", "extensions/9/number", "9"},
        {"sev-snp/turin-vcek-only/vcek.der", "certificate", "extensions/10/value",
         "1e550a8ee5cf9f4d"},
        {"sev-snp/roots/ask_ark_milan.pem", "certificate", "chain/1/subject",
         "OU=Engineering, C=US, L=Santa Clara, ST=CA, O=Advanced Micro Devices, CN=ARK-Milan"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote", "version", "5"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote", "td-report/type", "TD 1.5"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote", "td-report/td-attributes",
         "0x0000000010000000"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote", "td-report/sept-ve-disable", "true"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote", "qe-report/isv-svn", "6"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote",
         "certification-data/chain/0/extensions/5/facts/fmspc", "90c06f000000"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote",
         "certification-data/chain/0/extensions/5/facts/pce-svn", "13"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote",
         "certification-data/chain/0/extensions/5/facts/platform-instance-id",
         "6a9ea3b8d9e734495dc40b70f595f961"},
        {"tdx/v5-alibaba-servtd/quote.bin", "tdx-quote", "certification-data/chain/2/subject",
         "CN=Intel SGX Root CA, O=Intel Corporation, L=Santa Clara, ST=CA, C=US"},
        {"tdx/v4-debug-td/quote.bin", "tdx-quote", "td-report/debug", "true"},
        {"tdx/v4-debug-td/quote.bin", "tdx-quote", "td-report/type", "TD 1.0"},
        {"tdx/v4-gcp-cos113-uptodate/quote.bin", "tdx-quote", "tee", "TDX"},
        {"tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote", "tee", "SGX"},
        {"tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote", "version", "3"},
        {"tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote", "certification-data-type", "5"},
        {"tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote", "certification-data/chain/0/subject",
         "CN=Intel SGX PCK Certificate, O=Intel Corporation, L=Santa Clara, ST=CA, C=US"},
        {"tdx/v4-uptodate/tcb_info.json", "intel-collateral", "document", "tcbInfo"},
        {"tdx/v4-uptodate/tcb_info.json", "intel-collateral", "technology", "TDX"},
        {"tdx/v4-uptodate/tcb_info.json", "intel-collateral", "next-update",
         "2025-07-19T10:16:03Z"},
        {"tdx/v4-uptodate/tcb_info.json", "intel-collateral", "statuses/1", "OutOfDate"},
        {"tdx/v4-uptodate/tcb_info.json", "intel-collateral", "content/tcbEvaluationDataNumber",
         "17"},
        {"tdx/v4-uptodate/qe_identity.json", "intel-collateral", "technology", "TD_QE"},
        {"tdx/collateral-misc/tcb_info_v2_sgx_2025-06.json", "intel-collateral", "content/version",
         "2"},
        {"tdx/collateral-misc/tdx_tcb_evaluation_data_numbers_2025-10.json", "intel-collateral",
         "document", "tcbEvaluationDataNumbers"},
        {"tdx/v4-uptodate/pck_crl.der", "crl", "next-update", "2025-07-19T10:00:35Z"},
        {"tdx/v4-uptodate/pck_crl.der", "crl", "revoked/0/serial",
         "6fc34e5023e728923435d61aa4b83c618166ad35"},
        {"tdx/v4-uptodate/pck_crl.der", "crl", "revoked/0/extensions/0/name", "reasonCode"},
        {"tdx/v4-uptodate/root_ca_crl.der", "crl", "issuer",
         "CN=Intel SGX Root CA, O=Intel Corporation, L=Santa Clara, ST=CA, C=US"},
        {"tdx/v4-gcp-cos113-uptodate/ccel.bin", "event-log", "crypto-agile", "true"},
        {"tdx/v4-gcp-cos113-uptodate/ccel_acpi_table.bin", "ccel-table", "technology", "TDX"},
        {"tdx/v4-gcp-cos113-uptodate/ccel_acpi_table.bin", "ccel-table", "log-length", "262144"},
        {"cca/tf-rmm/cpak_pub.pem", "public-key", "type", "EC P-384"},
        {"tpm/keylime-quote/akpub.pem", "public-key", "type", "RSA"},
        {"ear/veraison-pkey.json", "jwk", "keys/0/x",
         "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"},
        {"eat/psa-good-pub.jwk", "jwk", "jwk/use", "enc"},
        {"eat/psa-good-pub.jwk", "jwk", "problem",
         "JWK \"use\": \"enc\" is none that we verify with"},
        {"ear/c-ear.jwt", "ear", "problem", "EAR \"iat\": is no integer of at least 0"},
        {"ear/c-ear.jwt", "ear", "complete", "false"},
        {"ear/c-ear.jwt", "ear", "header/alg", "ES256"},
        {"ear/c-ear.jwt", "ear", "claims/submods/PARSEC_TPM/ear.status", "affirming"},
        {"ear/c-ear.jwt", "ear", "claims/iat", "1.666529184e+09"},
        {"eat/psa-test-token-valid-full.json", "json-claims", "psa-security-lifecycle", "12288"},
        {"eat/measured-component-ex1.json", "json", "id/1/1", "16384"},
        {"psa/rfc9783-mac0/token.cbor", "psa", "envelope", "cose-mac0"},
        {"psa/rfc9783-mac0/token.cbor", "psa", "mac",
         "cf88d330e7a5366a95cf744a4dbf0d50304d405edd8b2530e243eddbd3177820"},
        {"psa/rfc9783-sign1/token.cbor", "psa", "envelope", "cose-sign1"},
        {"cca/parsec-cca/evidence.cbor", "parsec-cca", "token/realm/hash-algorithm", "sha-256"},
        {"cca/parsec-cca/evidence.cbor", "parsec-cca", "kat/key/kty", "2"},
        {"tpm/parsec-tpm/evidence.cbor", "parsec-tpm", "kat/certify-info/type", "certify"},
        {"tpm/parsec-tpm/evidence.cbor", "parsec-tpm", "pat/attest-info/type", "quote"},
        {"tpm/parsec-tpm/evidence.cbor", "parsec-tpm", "kat/public-area/curve", "nist-p256"},
        {"tpm/ima/ima-log-sha1", "ima-log", "entries/0/violation", "true"},
        {"tpm/ima/ima-log-sha1", "ima-log", "entries/1/path", "/data"},
        {"tpm/ima/ima-log-sha256", "ima-log", "entries/1/algorithm", "sha256"},
        {"tpm/gce-cos-85-nonce9009/pcrs_sha1.txt", "pcrs", "2/pcr", "2"},
        {"tpm/gce-cos-85-nonce9009/pcrs_sha1.txt", "pcrs", "0/digest",
         "c032c3b51dbb6f96b047421512fd4b4dfde496f3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].file);
        json_t *root;

        print_message("%s %s\n", rows[i].file, rows[i].path);
        root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, rows[i].kind);
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        json_decref(inspect(atls_buf_bytes(&in), rows[i].kind, ATLS_OK, rows[i].kind));
        atls_buf_clear(&in);
    }
}

/* Every truncation of the smallest file of each kind that has an end of its own. */
static void truncations_are_refused(void **state)
{
    static const struct {
        const char *file, *kind;
        size_t step;
    } rows[] = {
        {"sev-snp/milan-debug/report.bin", "snp-report", 1},
        {"tdx/v4-debug-td/quote.bin", "tdx-quote", 7},
        {"tdx/sgx-v3-not-tdx/quote.bin", "sgx-quote", 7},
        {"sev-snp/azure-wrong-vcek/hcl_report.bin", "hcl-report", 500},
        {"tdx/v4-gcp-cos113-uptodate/ccel_acpi_table.bin", "ccel-table", 1},
        {"tdx/sgx-v3-not-tdx/pck_crl.der", "crl", 1},
        {"sev-snp/turin-vcek-only/vcek.der", "certificate", 1},
        {"cca/tf-rmm/cpak_pub.pem", "public-key", 30},
        {"ear/veraison-pkey.json", "jwk", 1},
        {"tdx/v4-uptodate/qe_identity.json", "intel-collateral", 3},
        {"eat/measured-component-ex1.json", "json", 10},
        {"psa/rfc9783-mac0/token.cbor", "psa", 1},
        {"psa/rfc9783-mac0/token.cbor", "cose", 1},
        {"cca/parsec-cca/evidence.cbor", "parsec-cca", 5},
        {"tpm/parsec-tpm/evidence.cbor", "parsec-tpm", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_vector(rows[i].file);
        size_t end = in.len;

        print_message("%s\n", rows[i].kind);
        while (end > 0 && (in.ptr[end - 1] == '\n' || in.ptr[end - 1] == '\0'))
            end--; /* may be missing */
        for (size_t len = 0; len < end - (rows[i].step > 9 ? rows[i].step : 0);
             len += rows[i].step) {
            struct atls_buf text = ATLS_BUF_INIT;
            struct atls_err err = ATLS_ERR_INIT;

            assert_int_not_equal(
                atls_inspect(atls_bytes_of(in.ptr, len), rows[i].kind, &text, &err), ATLS_OK);
            assert_null(text.ptr);
            assert_true(err.message[0] != '\0');
        }
        atls_buf_clear(&in);
    }
}

struct snp_parts {
    struct atls_buf report, vcek, table;
};

static struct snp_parts snp_parts(void)
{
    struct snp_parts p = {test_vector("sev-snp/milan-debug/report.bin"),
                          test_vector("sev-snp/milan-debug/vcek.der"), ATLS_BUF_INIT};
    struct atls_snp_certificates c = {.vcek = atls_buf_bytes(&p.vcek)};
    struct atls_err err = ATLS_ERR_INIT;

    c.ark = atls_bytes_of("no certificate", 14);
    test_assert_code(atls_snp_certificates_encode(&c, &p.table, &err), ATLS_OK, &err);
    return p;
}

static void snp_parts_clear(struct snp_parts *p)
{
    atls_buf_clear(&p->report);
    atls_buf_clear(&p->vcek);
    atls_buf_clear(&p->table);
}

static void snp_certificate_tables(void **state)
{
    struct snp_parts p = snp_parts();
    struct atls_writer w = atls_writer_init(1 << 16);
    json_t *root;

    (void)state;
    root = inspect(atls_buf_bytes(&p.table), NULL, ATLS_OK, "snp-certificates");
    assert_string_equal(at(root, "vcek/extensions/1/name"), "productName");
    assert_string_equal(at(root, "ark"), "6e6f206365727469666963617465");
    assert_string_equal(at(root, "ask"), "");
    json_decref(root);

    atls_put_bytes(&w, atls_buf_bytes(&p.report));
    atls_put_bytes(&w, atls_buf_bytes(&p.table));
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "snp-report");
    assert_string_equal(at(root, "certificates/vcek/extensions/0/name"), "structVersion");
    assert_string_equal(at(root, "signing-key"), "vcek");
    json_decref(root);
    /* A table that has no end, and one that names nothing known. */
    assert_null(
        inspect(atls_bytes_of(w.ptr, p.report.len + 24), "snp-report", ATLS_E_DECODE, NULL));
    assert_null(inspect(BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                        "snp-certificates", ATLS_E_DECODE, NULL));
    atls_writer_clear(&w);
    snp_parts_clear(&p);
}

/* Reports of configfs-tsm are looked into by their provider. */
static void tsm_reports(void **state)
{
    struct snp_parts p = snp_parts();
    struct atls_buf quote = test_vector("tdx/v4-debug-td/quote.bin"),
                    token = test_vector("cca/tf-rmm/token.cbor");
    const struct {
        const char *provider, *path, *want;
        struct atls_bytes outblob, auxblob;
    } rows[] = {
        {"sev_guest", "auxblob/vcek/extensions/1/text", "Milan-B0", atls_buf_bytes(&p.report),
         atls_buf_bytes(&p.table)},
        {"sev_guest", "outblob/signing-key", "vcek", atls_buf_bytes(&p.report), {NULL, 0}},
        {"sev_guest", "auxblob", "00", atls_buf_bytes(&p.report), HEX("\0")},
        {"tdx_guest", "outblob/td-report/debug", "true", atls_buf_bytes(&quote), {NULL, 0}},
        {"arm_cca_guest", "outblob/tag", "399", atls_buf_bytes(&token), {NULL, 0}},
        {"sev_guest", "outblob", "0102", HEX("\1\2"), {NULL, 0}},
        {"another", "outblob", "0102", HEX("\1\2"), {NULL, 0}},
        {"another", "service-provider", "svsm", HEX("\1\2"), HEX("\3")},
        {"another", "manifest", "04", HEX("\1\2"), HEX("\3")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_tsm_report r = {.outblob = rows[i].outblob, .auxblob = rows[i].auxblob};
        struct atls_writer w = atls_writer_init(1 << 16);
        json_t *root;

        r.provider = atls_bytes_of(rows[i].provider, strlen(rows[i].provider));
        if (i >= 7) {
            r.service_provider = atls_bytes_of("svsm", 4);
            r.manifest = BYTES("\4");
        }
        atls_tsm_report_put(&w, &r);
        root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "tsm-report");
        print_message("%s %s\n", rows[i].provider, rows[i].path);
        assert_string_equal(at(root, "provider"), rows[i].provider);
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_writer_clear(&w);
    }
    atls_buf_clear(&token);
    atls_buf_clear(&quote);
    snp_parts_clear(&p);
}

/* Text in CBOR: below 24 bytes. */
static void put_record(struct atls_writer *w, const char *label, const char *type,
                       struct atls_bytes value)
{
    atls_cbor_put_text(w, label);
    atls_cbor_put_array(w, 2);
    atls_cbor_put_text(w, type);
    atls_cbor_put_bytes(w, value);
}

/* The member of a batch, and collateral by its media types. */
static void records_of_bundles(void **state)
{
    struct atls_buf crl = test_vector("tdx/sgx-v3-not-tdx/pck_crl.der"),
                    chain = test_vector("tdx/v4-uptodate/tcb_signing_chain.pem"),
                    identity = test_vector("tdx/v4-uptodate/qe_identity.json"),
                    quote = test_vector("tdx/v4-debug-td/quote.bin");
    struct atls_writer w = atls_writer_init(1 << 17);
    static const char *const wants[][2] = {
        {"entries/0/value/issuer",
         "CN=Intel SGX PCK Processor CA, O=Intel Corporation, L=Santa Clara, ST=CA, C=US"},
        {"entries/1/value/chain/0/subject",
         "CN=Intel SGX TCB Signing, O=Intel Corporation, L=Santa Clara, ST=CA, C=US"},
        {"entries/2/value/technology", "TD_QE"},
        {"entries/3/value/x", "1"},
        {"entries/4/value/tee", "TDX"},
        {"entries/5/value", "626164"},
    };
    json_t *root;

    (void)state;
    atls_cbor_put_map(&w, 6);
    put_record(&w, "tdx-pck-crl", atls_collateral_row_of(ATLS_COLLATERAL_TDX_PCK_CRL)->media_type,
               atls_buf_bytes(&crl));
    put_record(&w, "tdx-tcb-chain",
               atls_collateral_row_of(ATLS_COLLATERAL_TDX_TCB_CHAIN)->media_type,
               atls_buf_bytes(&chain));
    put_record(&w, "tdx-qe-identity",
               atls_collateral_row_of(ATLS_COLLATERAL_TDX_QE_IDENTITY)->media_type,
               atls_buf_bytes(&identity));
    put_record(&w, "json", "application/json", BYTES("{\"x\":1}"));
    put_record(&w, "tdx-quote", "application/tdx-quote", atls_buf_bytes(&quote));
    put_record(&w, "bad", "application/json", BYTES("bad"));
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "cmw");
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        print_message("%s\n", wants[i][0]);
        assert_string_equal(at(root, wants[i][0]), wants[i][1]);
    }
    json_decref(root);
    atls_writer_clear(&w);
    atls_buf_clear(&crl);
    atls_buf_clear(&chain);
    atls_buf_clear(&identity);
    atls_buf_clear(&quote);
}

static void members_of_batches(void **state)
{
    struct atls_buf kat = test_vector("eat/kat-kat-ex-1.cbor");
    struct atls_writer w = atls_writer_init(4096);
    static const uint8_t sibling[64] = {7};
    json_t *root;

    (void)state;
    atls_cbor_put_array(&w, 3);
    atls_cbor_put_bytes(&w, atls_buf_bytes(&kat));
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_bytes(&w, atls_bytes_of(sibling, sizeof sibling));
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "kat-batch");
    assert_string_equal(at(root, "index"), "1");
    assert_memory_equal(at(root, "siblings/0"), "0700", 4);
    json_decref(root);
    atls_writer_clear(&w);
    atls_buf_clear(&kat);
}

static void padded_logs(void **state)
{
    static const uint8_t bytes[] = {0x00, 0xff};
    struct atls_buf log = test_vector("tpm/eventlogs/crypto_agile_eventlog");

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        struct atls_writer w = atls_writer_init(1 << 16);
        json_t *root;

        atls_put_bytes(&w, atls_buf_bytes(&log));
        for (int n = 0; n < 40; n++)
            atls_put_u8(&w, bytes[i]);
        root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "event-log");
        assert_string_equal(at(root, "padding"), "40");
        json_decref(root);
        atls_put_u8(&w, 1); /* padding does not end in anything else */
        assert_null(inspect(atls_writer_bytes(&w), "event-log", ATLS_E_DECODE, NULL));
        atls_writer_clear(&w);
    }
    atls_buf_clear(&log);
}

/* A quote of SGX that is not of the layout of version 3: its signature data is not looked into. */
static void quotes_of_other_layouts(void **state)
{
    struct atls_buf quote = test_vector("tdx/sgx-v3-not-tdx/quote.bin");
    struct atls_writer w = atls_writer_init(1 << 16);
    const size_t data = 48 + 384 + 4;
    json_t *root;

    (void)state;
    quote.ptr[0] = 4;
    root = inspect(atls_buf_bytes(&quote), NULL, ATLS_OK, "sgx-quote");
    assert_string_equal(at(root, "version"), "4");
    assert_true(strlen(at(root, "signature-data")) > 4000);
    assert_string_equal(at(root, "signature"), "");
    json_decref(root);

    quote.ptr[0] = 3;
    quote.ptr[data + 64 + 64 + 384 + 64] ^= 1; /* length of the authentication data */
    root = inspect(atls_buf_bytes(&quote), NULL, ATLS_OK, "sgx-quote");
    assert_true(strlen(at(root, "signature-data")) > 4000);
    json_decref(root);
    quote.ptr[data + 64 + 64 + 384 + 64] ^= 1;

    atls_put_bytes(&w, atls_buf_bytes(&quote));
    atls_put_u16(&w, 0);
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "sgx-quote");
    assert_true(atoi(at(root, "zero-padding")) >= 2);
    json_decref(root);
    atls_put_u16(&w, 0xabcd);
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "sgx-quote");
    assert_non_null(strstr(at(root, "trailing"), "0000abcd"));
    json_decref(root);

    quote.ptr[0] = 5;
    assert_null(inspect(atls_buf_bytes(&quote), "sgx-quote", ATLS_E_UNSUPPORTED, NULL));
    assert_null(inspect(atls_buf_bytes(&quote), "tdx-quote", ATLS_E_EVIDENCE, NULL));
    atls_writer_clear(&w);
    atls_buf_clear(&quote);
}

static void put_pem(struct atls_writer *w, const char *label, const char *file)
{
    struct atls_buf der = test_vector(file), pem = ATLS_BUF_INIT;

    assert_int_equal(atls_pem_encode(label, atls_buf_bytes(&der), &pem, NULL), ATLS_OK);
    atls_put_bytes(w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    atls_buf_clear(&der);
}

static void lists_in_pem(void **state)
{
    struct atls_writer w = atls_writer_init(1 << 16);
    json_t *root;

    (void)state;
    put_pem(&w, "X509 CRL", "tdx/sgx-v3-not-tdx/pck_crl.der");
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "crl");
    assert_memory_equal(at(root, "issuer"), "CN=Intel SGX PCK Processor", 26);
    json_decref(root);
    put_pem(&w, "X509 CRL", "tdx/sgx-v3-not-tdx/root_ca_crl.der");
    root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "crl");
    assert_memory_equal(at(root, "lists/0/issuer"), "CN=Intel SGX PCK Processor", 26);
    assert_memory_equal(at(root, "lists/1/issuer"), "CN=Intel SGX Root CA", 20);
    json_decref(root);
    /* One that is none: the whole text is refused, whatever its name. */
    put_pem(&w, "X509 CRL", "tdx/roots/intel_sgx_root_ca.der");
    assert_null(inspect(atls_writer_bytes(&w), NULL, ATLS_E_DECODE, NULL));
    atls_writer_clear(&w);

    w = atls_writer_init(1 << 16);
    put_pem(&w, "CERTIFICATE", "tdx/roots/intel_sgx_root_ca.der");
    put_pem(&w, "CERTIFICATE", "tdx/sgx-v3-not-tdx/pck_crl.der");
    assert_null(inspect(atls_writer_bytes(&w), NULL, ATLS_E_DECODE, NULL));
    atls_writer_clear(&w);
}

/* The smallest lists by hand: RFC 5280 section 5.1. */
static void odd_lists(void **state)
{
#define ALG "\x30\x03\x06\x01\x2a"
#define TIME                                                                                       \
    "\x17\x0d"                                                                                     \
    "260101000000Z"
    static const struct {
        struct atls_bytes in;
        enum atls_code want;
    } rows[] = {
        {HEX("\x30\x21\x30\x16" ALG "\x30\x00" TIME ALG "\x03\x02\x00\x00"), ATLS_OK},
        {HEX("\x30\x24\x30\x19\x02\x01\x01" ALG "\x30\x00" TIME ALG "\x03\x02\x00\x00"), ATLS_OK},
        {HEX("\x30\x0d\x30\x02\x05\x00" ALG "\x03\x02\x00\x00"), ATLS_E_DECODE},
        {HEX("\x30\x0b\x30\x00" ALG "\x03\x02\x00\x00"), ATLS_E_DECODE},
        {HEX("\x30\x0e\x30\x03\x02\x01\x01" ALG "\x03\x02\x00\x00"), ATLS_E_DECODE},
        {HEX("\x30\x10\x30\x05" ALG ALG "\x03\x02\x00\x00"), ATLS_E_DECODE},
        {HEX("\x30\x12\x30\x07" ALG "\x30\x00" ALG "\x03\x02\x00\x00"), ATLS_E_DECODE},
        {HEX("\x30\x05\x30\x03\x02\x01\x01"), ATLS_E_DECODE},
        /* An entry without its date, an entry that is empty, an extension field that is none. */
        {HEX("\x30\x28\x30\x1d" ALG "\x30\x00" TIME "\x30\x05\x30\x03\x02\x01\x07" ALG
             "\x03\x02\x00\x00"),
         ATLS_E_DECODE},
        {HEX("\x30\x25\x30\x1a" ALG "\x30\x00" TIME "\x30\x02\x30\x00" ALG "\x03\x02\x00\x00"),
         ATLS_E_DECODE},
        {HEX("\x30\x23\x30\x18" ALG "\x30\x00" TIME "\xa0\x00" ALG "\x03\x02\x00\x00"),
         ATLS_E_DECODE},
        {HEX("\x30\x23\x30\x18" ALG "\x30\x00" TIME "\x05\x00" ALG "\x03\x02\x00\x00"),
         ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("row %zu\n", i);
        json_decref(inspect(rows[i].in, "crl", rows[i].want, "crl"));
    }
#undef ALG
#undef TIME
}

static void keys(void **state)
{
#define X    "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define Y    "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define P256 "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""
    static const struct {
        struct atls_bytes in;
        enum atls_code want;
        const char *path, *value;
    } rows[] = {
        {HEX("{" P256 ",\"kid\":\"k\",\"alg\":\"ES256\"}"), ATLS_OK, "keys/0/kid", "k"},
        {HEX("{" P256 ",\"kid\":\"k\",\"alg\":\"ES256\"}"), ATLS_OK, "keys/0/alg", "ES256"},
        {HEX("{\"keys\":[{" P256 "},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X "\"}]}"),
         ATLS_OK, "keys/1/crv", "Ed25519"},
        {HEX("{\"keys\":[{" P256 "},{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X "\"}]}"),
         ATLS_OK, "jwk/keys/1/crv", "X25519"},
        /* Secrets, in keys that are known and in others. */
        {HEX("{" P256 ",\"d\":\"" X "\"}"), ATLS_E_DECODE, NULL, NULL},
        {HEX("{\"kty\":\"oct\",\"k\":\"" X "\"}"), ATLS_E_DECODE, NULL, NULL},
        {HEX("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X "\"},{" P256 ",\"d\":\"" X
             "\"}]}"),
         ATLS_E_UNSUPPORTED, NULL, NULL},
        {HEX("{\"kty\":\"EC\",\"crv\":\"P-256\"}"), ATLS_E_DECODE, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *root;

        print_message("row %zu\n", i);
        root = inspect(rows[i].in, NULL, rows[i].want, "jwk");
        if (rows[i].want == ATLS_OK)
            assert_string_equal(at(root, rows[i].path), rows[i].value);
        json_decref(root);
    }
    /* A key within something else does not make a key of it. */
    json_decref(inspect(BYTES("{\"eat_profile\":\"urn:x\",\"cnf\":{\"jwk\":{" P256 "}}}"), NULL,
                        ATLS_OK, "eat"));
    json_decref(inspect(BYTES("{\"x\":{" P256 "}}"), NULL, ATLS_OK, "json"));
    /* Private keys in PEM are named as such, and not shown. */
    assert_null(inspect(BYTES("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"),
                        NULL, ATLS_E_DECODE, NULL));
}

static void json_of_all_kinds(void **state)
{
    static const struct {
        struct atls_bytes in;
        const char *path, *want;
    } rows[] = {
        {HEX(" {\"a\":[true,false,null,{\"b\":\"\\u00e9\\n\"}]}"), "a/0", "true"},
        {HEX(" {\"a\":[true,false,null,{\"b\":\"\\u00e9\\n\"}]}"), "a/3/b", "\xc3\xa9\n"},
        {HEX("[1e400, -12, 1234567890123456, 0.5, -0]"), "0", "1e400"},
        {HEX("[1e400, -12, 1234567890123456, 0.5, -0]"), "1", "-12"},
        {HEX("[1e400, -12, 1234567890123456, 0.5, -0]"), "2", "1234567890123456"},
        {HEX("[1e400, -12, 1234567890123456, 0.5, -0]"), "3", "0.5"},
        {HEX("{\"x\\u001b[2J\":{\"\\u0001\":1}}"), "x\x1b[2J", ""},
        {HEX("[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]"), "0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0", "7"},
        {HEX("{\"a\":{},\"b\":[]}"), "a", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf text = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        json_t *root;

        print_message("row %zu\n", i);
        test_assert_code(atls_inspect(rows[i].in, NULL, &text, &err), ATLS_OK, &err);
        assert_null(memchr(text.ptr, 0x1b, text.len));
        root = json_loads((char *)text.ptr, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert_non_null(root);
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_buf_clear(&text);
    }
    /* Programs keep text with a NUL for shorter than it is. */
    assert_null(inspect(BYTES("{\"\\u0000\":1}"), NULL, ATLS_E_UNSUPPORTED, NULL));
    assert_null(inspect(BYTES("[\"\\\\\\u0000\"]"), NULL, ATLS_E_UNSUPPORTED, NULL));
    json_decref(inspect(BYTES("[\"\\\\u0000\"]"), NULL, ATLS_OK, "json"));
    json_decref(inspect(BYTES("12"), "json", ATLS_OK, "json"));
    json_decref(inspect(BYTES("\"text\""), "json", ATLS_OK, "json"));
    assert_null(inspect(BYTES("{\"a\":1,\"a\":2}"), NULL, ATLS_E_DECODE, NULL));
    assert_null(inspect(BYTES("[[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]]"), NULL, ATLS_E_LIMIT, NULL));
    assert_null(inspect(BYTES("{\"x\":1}"), "json-claims", ATLS_E_DECODE, NULL));
    assert_null(inspect(BYTES("{\"x\":\"psa-\"}"), "json-claims", ATLS_E_DECODE, NULL));
    assert_null(inspect(BYTES("{"), "json-claims", ATLS_E_DECODE, NULL));
}

static void collateral_without_what_is_customary(void **state)
{
#define ZEROS                                                                                      \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "000000000000000000000000000000000000"
    static const struct atls_bytes bare =
        HEX("{\"tcbInfo\":{\"x\":1},\"signature\":\"" ZEROS "\"}");
    static const struct atls_bytes levels =
        HEX("{\"tcbInfo\":{\"tcbLevels\":[{\"tcbStatus\":\"B\"},{\"tcbStatus\":1},{},"
            "{\"tcbStatus\":\"A\\u0042\"},{\"tcbStatus\":\"B\"}]},\"signature\":\"" ZEROS "\"}");
    json_t *root;

    (void)state;
    root = inspect(bare, NULL, ATLS_OK, "intel-collateral");
    assert_string_equal(at(root, "content/x"), "1");
    assert_string_equal(at(root, "issued"), "");
    json_decref(root);
    root = inspect(levels, NULL, ATLS_OK, "intel-collateral");
    assert_string_equal(at(root, "statuses/0"), "B");
    assert_string_equal(at(root, "statuses/1"), "AB");
    assert_string_equal(at(root, "statuses/2"), "");
    json_decref(root);
    assert_null(inspect(BYTES("{\"tcbInfo\":{},\"signature\":\"00\"}"), "intel-collateral",
                        ATLS_E_DECODE, NULL));
}

static void pcr_values(void **state)
{
#define DIGEST "c032c3b51dbb6f96b047421512fd4b4dfde496f3"
    static const struct {
        struct atls_bytes in;
        enum atls_code want;
    } rows[] = {
        {HEX("0 " DIGEST), ATLS_OK},
        {HEX("10: " DIGEST "\n23 " DIGEST "\n"), ATLS_OK},
        {HEX("24 " DIGEST), ATLS_E_DECODE},
        {HEX("100 " DIGEST), ATLS_E_DECODE},
        {HEX("0" DIGEST), ATLS_E_DECODE},
        {HEX("0 " DIGEST "x"), ATLS_E_DECODE},
        {HEX("0 " DIGEST "0"), ATLS_E_DECODE},
        {HEX("0 " DIGEST "\n\n"), ATLS_E_DECODE},
        {{(const uint8_t *)"", 0}, ATLS_E_DECODE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("row %zu\n", i);
        json_decref(inspect(rows[i].in, "pcrs", rows[i].want, "pcrs"));
    }
}

static void cose_of_any_content(void **state)
{
    static const struct {
        struct atls_bytes in;
        const char *path, *want;
    } shown[] = {
        {HEX("\xd2\x84\x43\xa1\x01\x26\xa0\x41\x01\x41\x02"), "alg", "-7"},
        {HEX("\xd2\x84\x43\xa1\x01\x26\xa0\x41\x01\x41\x02"), "payload/diagnostic", "1"},
        {HEX("\xd2\x84\x43\xa1\x01\x26\xa0\x41\xff\x41\x02"), "payload", "ff"},
        {HEX("\xd2\x84\x43\xa1\x01\x26\xa0\xf6\x41\x02"), "detached", "true"},
        {HEX("\xd1\x84\x43\xa1\x01\x05\xa0\x41\x01\x41\x02"), "envelope", "cose-mac0"},
        {HEX("\xd1\x84\x43\xa1\x01\x05\xa0\x41\x01\x41\x02"), "mac", "02"},
        {HEX("\xd2\x84\x46\xa2\x01\x26\x04\x41k\xa0\x41\x01\x41\x02"), "kid", "6b"},
        {HEX("\xd2\x84\x46\xa2\x01\x26\x03\x61t\xa0\x41\x01\x41\x02"), "content-type/diagnostic",
         "\"t\""},
        {HEX("\xd2\x84\x46\xa2\x01\x26\x61x\x01\xa0\x41\x01\x41\x02"),
         "protected-header/diagnostic", "{1: -7, \"x\": 1}"},
    };
    static const struct atls_bytes refused[] = {
        HEX("\xd2\x84\x40\xa0\x41\x01\x41\x02"),                     /* no header */
        HEX("\xd2\x84\x41\xa0\xa0\x41\x01\x41\x02"),                 /* an empty one */
        HEX("\xd2\x84\x41\x01\xa0\x41\x01\x41\x02"),                 /* no map */
        HEX("\xd2\x84\x42\xa1\x01\xa0\x41\x01\x41\x02"),             /* cut */
        HEX("\xd2\x84\x44\xa1\x01\x26\x00\xa0\x41\x01\x41\x02"),     /* followed */
        HEX("\xd2\x84\x45\xa2\x01\x26\x04\x01\xa0\x41\x01\x41\x02"), /* kid that is a number */
        HEX("\xd2\x83\x43\xa1\x01\x26\xa0\x41\x01"),                 /* three members */
        HEX("\xd2\x84\x43\xa1\x01\x26\xa0\x01\x41\x02"),             /* payload that is a number */
        HEX("\xd2\x84\x43\xa1\x01\x26\xa0\x41\x01\x02"),             /* signature likewise */
    };

    (void)state;
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        json_t *root = inspect(shown[i].in, NULL, ATLS_OK, "cose");

        print_message("%s\n", shown[i].path);
        assert_string_equal(at(root, shown[i].path), shown[i].want);
        json_decref(root);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        print_message("row %zu\n", i);
        assert_null(inspect(refused[i], NULL, ATLS_E_DECODE, NULL));
    }
    assert_null(inspect(BYTES("\x01"), "cose", ATLS_E_DECODE, NULL));
    assert_null(inspect(BYTES("\xc1\x01"), "cose", ATLS_E_DECODE, NULL));
}

/* Results that break a rule: only what says that it is a result is shown as one. */
static void results_that_break_a_rule(void **state)
{
    json_t *root;

    (void)state;
    root = inspect(BYTES("{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#03\",\"iat\":-1}\n"), NULL,
                   ATLS_OK, "ear");
    assert_string_equal(at(root, "complete"), "false");
    assert_string_equal(at(root, "claims/iat"), "-1");
    assert_string_equal(at(root, "header"), "");
    json_decref(root);
    json_decref(inspect(BYTES("{\"eat_profile\":\"urn:x\",\"iat\":1}"), NULL, ATLS_OK, "eat"));
    assert_null(
        inspect(BYTES("{\"eat_profile\":\"urn:x\",\"iat\":-1}"), "ear", ATLS_E_UNSUPPORTED, NULL));
    assert_null(inspect(BYTES("{\"eat_profile\":1}"), "ear", ATLS_E_DECODE, NULL));
    assert_null(inspect(BYTES("eyJ.x"), "ear", ATLS_E_DECODE, NULL));
}

/* A certificate that has just this extension, by the content octets of its OID. */
static struct atls_buf certificate_with(struct atls_bytes oid, struct atls_bytes value)
{
    static const char algorithm[] = "\x30\x03\x06\x01\x2a", time[] = "\x17\x0d"
                                                                     "260101000000Z";
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_buf out = ATLS_BUF_INIT;
    size_t whole = atls_der_open(&w, ATLS_DER_SEQUENCE),
           part = atls_der_open(&w, ATLS_DER_SEQUENCE);
    size_t validity, tagged, list, extension;

    atls_put_bytes(&w, BYTES("\x02\x01\x01"));
    atls_put_bytes(&w, BYTES(algorithm));
    atls_put_bytes(&w, BYTES("\x30\x00"));
    validity = atls_der_open(&w, ATLS_DER_SEQUENCE);
    atls_put_bytes(&w, BYTES(time));
    atls_put_bytes(&w, BYTES(time));
    atls_der_close(&w, validity);
    atls_put_bytes(&w, BYTES("\x30\x00\x30\x00"));
    tagged = atls_der_open(&w, ATLS_DER_CONTEXT_CONSTRUCTED(3));
    list = atls_der_open(&w, ATLS_DER_SEQUENCE);
    extension = atls_der_open(&w, ATLS_DER_SEQUENCE);
    atls_der_put(&w, ATLS_DER_OID, oid);
    atls_der_put(&w, ATLS_DER_OCTET_STRING, value);
    atls_der_close(&w, extension);
    atls_der_close(&w, list);
    atls_der_close(&w, tagged);
    atls_der_close(&w, part);
    atls_put_bytes(&w, BYTES(algorithm));
    atls_put_bytes(&w, BYTES("\x03\x02\x00\x00"));
    atls_der_close(&w, whole);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}

/* Published certificates, and what Open Enclave puts around a quote. */
static void certificates_that_carry_evidence(void **state)
{
    static const char *const files[] = {"ra-tls/gramine-cert.pem", "ra-tls/intel-sgxsdk-cert.pem",
                                        "ra-tls/rats-tls-cert.pem"};
    static const char legacy[] = "\x06\x09\x2a\x86\x48\x86\xf8\x4d\x8a\x39\x06",
                      report[] = "\x2b\x06\x01\x04\x01\x82\x37\x69\x01",
                      evidence[] = "\x2a\x86\x48\x86\xf7\x14\x0a\x01\x02";
    static const char report_head[] = "\1\0\0\0\2\0\0\0\xf8\x11\0\0\0\0\0\0",
                      evidence_head[] = "\3\0\0\0\xa3\xa2\x1e\x87\x1b\x4d\x40\x14\xb7\x0a\xa1\x25"
                                        "\xd2\xfb\xcd\x8c\0\0\0\0\xfb\x11\0\0\0\0\0\0";
    struct atls_buf quote = test_vector("tdx/sgx-v3-not-tdx/quote.bin");
    const struct {
        struct atls_bytes oid, head, tail;
        bool with_quote;
        const char *path, *want;
    } rows[] = {
        {BYTES(legacy), BYTES(""), BYTES(""), true, "extensions/0/quote/tee", "SGX"},
        {BYTES(report), BYTES(report_head), BYTES(""), true, "extensions/0/quote/version", "3"},
        {BYTES(report), BYTES("\1"), BYTES(""), false, "extensions/0/value", "01"},
        {BYTES(evidence), BYTES(evidence_head), BYTES("key"), true, "extensions/0/quote/tee",
         "SGX"},
        {BYTES(evidence), BYTES(evidence_head), BYTES("key"), true, "extensions/0/custom-claims",
         "key"},
        {BYTES(evidence), BYTES("\3"), BYTES(""), false, "extensions/0/value", "03"},
    };
    json_t *root;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i]);
        char *text;

        root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "certificate");
        text = json_dumps(root, JSON_COMPACT);
        assert_non_null(text);
        assert_non_null(strstr(text, "\"taggedEvidence\""));
        assert_non_null(strstr(text, "pubkey-hash"));
        assert_non_null(strstr(text, "\"mrenclave\""));
        free(text);
        json_decref(root);
        atls_buf_clear(&in);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init(1 << 16);
        struct atls_buf in;

        print_message("row %zu\n", i);
        atls_put_bytes(&w, rows[i].head);
        if (rows[i].with_quote)
            atls_put_bytes(&w, atls_buf_bytes(&quote));
        atls_put_bytes(&w, rows[i].tail);
        in = certificate_with(rows[i].oid, atls_writer_bytes(&w));
        root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "certificate");
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_buf_clear(&in);
        atls_writer_clear(&w);
    }
    atls_buf_clear(&quote);
}

/* The same as records of ours. */
static void evidence_of_certificates_as_records(void **state)
{
    static const struct {
        enum atls_ra_tls_form form;
        struct atls_bytes head, tail;
        bool with_quote;
        const char *path, *want;
    } rows[] = {
        {ATLS_RA_TLS_DICE, HEX("\xd9\xea\x60\x82\x59\x11\xf8"), HEX("\x41\xa0"), true,
         "value/quote/tee", "SGX"},
        {ATLS_RA_TLS_DICE, HEX("\xd9\xea\x60\x82\x59\x11\xf8"), HEX("\x41\xa0"), true,
         "value/claims/diagnostic", "{}"},
        {ATLS_RA_TLS_DICE, HEX("\xd9\xea\x60"), HEX(""), false, "value", "d9ea60"},
        {ATLS_RA_TLS_SGX_QUOTE, HEX(""), HEX(""), true, "value/tee", "SGX"},
        {ATLS_RA_TLS_OE_REPORT, HEX("\1\0\0\0\2\0\0\0\xf8\x11\0\0\0\0\0\0"), HEX(""), true,
         "value/quote/tee", "SGX"},
        {ATLS_RA_TLS_OE_REPORT, HEX("\1"), HEX(""), false, "value", "01"},
        {ATLS_RA_TLS_OE_EVIDENCE,
         HEX("\3\0\0\0\xa3\xa2\x1e\x87\x1b\x4d\x40\x14\xb7\x0a\xa1\x25\xd2\xfb\xcd\x8c\0\0\0\0\xfb"
             "\x11\0\0\0\0\0\0"),
         HEX("key"), true, "value/custom-claims", "key"},
        {ATLS_RA_TLS_OE_EVIDENCE, HEX("\3"), HEX(""), false, "value", "03"},
    };
    struct atls_buf quote = test_vector("tdx/sgx-v3-not-tdx/quote.bin");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer value = atls_writer_init(1 << 16), w = atls_writer_init(1 << 16);
        json_t *root;

        print_message("row %zu\n", i);
        atls_put_bytes(&value, rows[i].head);
        if (rows[i].with_quote)
            atls_put_bytes(&value, atls_buf_bytes(&quote));
        atls_put_bytes(&value, rows[i].tail);
        assert_int_equal(atls_ra_tls_cmw(rows[i].form, atls_writer_bytes(&value), &w, NULL),
                         ATLS_OK);
        root = inspect(atls_writer_bytes(&w), NULL, ATLS_OK, "cmw");
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_writer_clear(&w);
        atls_writer_clear(&value);
    }
    atls_buf_clear(&quote);
}

static void extensions_with_and_without_what_is_expected(void **state)
{
    static const char sgx[] = "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01",
                      ra_tls[] = "\x2a\x86\x48\x86\xf8\x4d\x8a\x39\x06",
                      dice[] = "\x67\x81\x05\x05\x04\x09",
                      product[] = "\x2b\x06\x01\x04\x01\x9c\x78\x01\x02";
    struct atls_buf quote = test_vector("tdx/v4-debug-td/quote.bin");
    struct atls_writer tagged = atls_writer_init(1 << 14);
    const struct {
        struct atls_bytes oid, value;
        const char *path, *want;
    } rows[] = {
        {BYTES(sgx), atls_buf_bytes(&quote), "extensions/0/quote/tee", "TDX"},
        {BYTES(sgx), BYTES("\x30\x00"), "extensions/0/value", "3000"},
        {BYTES(ra_tls), atls_buf_bytes(&quote), "extensions/0/quote/td-report/debug", "true"},
        {BYTES(ra_tls), BYTES("\x01"), "extensions/0/value", "01"},
        {BYTES(dice), BYTES("\x01"), "extensions/0/value", "01"},
        {BYTES(product), BYTES("\x16\x01x"), "extensions/0/text", "x"},
        {BYTES(product), BYTES("\x16\x02x"), "extensions/0/text", ""},
        {BYTES(product), BYTES("\x16\x02x"), "extensions/0/value", "160278"},
        {BYTES(product), BYTES("\x02\x02\x01\x00"), "extensions/0/number", "256"},
        {BYTES(product), BYTES("\x02\x01\xff"), "extensions/0/number", ""},
        {BYTES("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), BYTES("\x01"),
         "extensions/0/oid", "1.2"},
    };
    struct atls_buf in;
    json_t *root;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("row %zu\n", i);
        in = certificate_with(rows[i].oid, rows[i].value);
        root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "certificate");
        assert_string_equal(at(root, rows[i].path), rows[i].want);
        json_decref(root);
        atls_buf_clear(&in);
    }
    atls_cbor_put_tag(&tagged, 60000);
    atls_cbor_put_array(&tagged, 2);
    atls_cbor_put_bytes(&tagged, atls_buf_bytes(&quote));
    atls_cbor_put_bytes(&tagged, BYTES("\xa0"));
    in = certificate_with(BYTES(dice), atls_writer_bytes(&tagged));
    root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "certificate");
    assert_string_equal(at(root, "extensions/0/quote/tee"), "TDX");
    assert_string_equal(at(root, "extensions/0/claims/diagnostic"), "{}");
    json_decref(root);
    atls_buf_clear(&in);
    atls_writer_clear(&tagged);
    atls_buf_clear(&quote);
}

/* Each field of a certificate missing in turn. */
static void certificates_without_a_field(void **state)
{
#define ALG "\x30\x03\x06\x01\x2a"
#define VALIDITY                                                                                   \
    "\x30\x1e\x17\x0d"                                                                             \
    "260101000000Z"                                                                                \
    "\x17\x0d"                                                                                     \
    "260101000000Z"
#define END ALG "\x03\x02\x00\x00"
    static const struct {
        struct atls_bytes in;
        const char *said;
    } rows[] = {
        {HEX("\x30\x0b\x30\x00" END), "tbsCertificate"},
        {HEX("\x30\x10\x30\x05\xa0\x03\x02\x01\x02" END), "version"},
        {HEX("\x30\x10\x30\x05" ALG END), "serialNumber"},
        {HEX("\x30\x0e\x30\x03\x02\x01\x01" END), "signature"},
        {HEX("\x30\x13\x30\x08\x02\x01\x01" ALG END), "issuer"},
        {HEX("\x30\x15\x30\x0a\x02\x01\x01" ALG "\x30\x00" END), "validity"},
        {HEX("\x30\x17\x30\x0c\x02\x01\x01" ALG "\x30\x00\x30\x00" END), "validity"},
        {HEX("\x30\x35\x30\x2a\x02\x01\x01" ALG "\x30\x00" VALIDITY END), "subject"},
        {HEX("\x30\x37\x30\x2c\x02\x01\x01" ALG "\x30\x00" VALIDITY "\x30\x00" END),
         "subjectPublicKeyInfo"},
        {HEX("\x30\x3b\x30\x30\x02\x01\x01" ALG "\x30\x00" VALIDITY "\x30\x00\x30\x00\x04\x05" END),
         "extensions"},
        {HEX("\x30\x05\x30\x03\x02\x01\x01"), "signature"},
        {HEX("\x30\x00"), "signature"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf text = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].said);
        test_assert_code(atls_inspect(rows[i].in, "certificate", &text, &err), ATLS_E_DECODE, &err);
        assert_non_null(strstr(err.message, rows[i].said));
    }
#undef ALG
#undef VALIDITY
#undef END
}

static void keys_of_all_types(void **state)
{
    static const struct {
        enum atls_key_type type;
        const char *want, *name; /* of the curve, in a JWK */
    } rows[] = {
        {ATLS_KEY_P256, "EC P-256", "P-256"}, {ATLS_KEY_P384, "EC P-384", "P-384"},
        {ATLS_KEY_P521, "EC P-521", "P-521"}, {ATLS_KEY_ED25519, "Ed25519", "Ed25519"},
        {ATLS_KEY_RSA, "RSA", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_private_key *key = NULL;
        struct atls_buf pem = ATLS_BUF_INIT, jwk = ATLS_BUF_INIT;
        struct atls_json j = atls_json_init(4096);
        struct atls_cose_key cose;
        json_t *root;

        assert_int_equal(atls_private_key_generate(rows[i].type, &key, NULL), ATLS_OK);
        assert_int_equal(atls_key_to_pem(atls_private_key_public(key), &pem, NULL), ATLS_OK);
        root = inspect(atls_buf_bytes(&pem), NULL, ATLS_OK, "public-key");
        assert_string_equal(at(root, "type"), rows[i].want);
        assert_int_equal(strlen(at(root, "spki-sha256")), 64);
        json_decref(root);

        assert_int_equal(
            atls_cose_key_from_spki(atls_key_spki(atls_private_key_public(key)), &cose, NULL),
            ATLS_OK);
        atls_json_open_object(&j, NULL);
        assert_int_equal(atls_jwk_put_members(&j, &cose, NULL), ATLS_OK);
        atls_json_close(&j);
        assert_int_equal(atls_json_finish(&j, &jwk, NULL), ATLS_OK);
        root = inspect(atls_buf_bytes(&jwk), NULL, ATLS_OK, "jwk");
        if (rows[i].name != NULL)
            assert_string_equal(at(root, "keys/0/crv"), rows[i].name);
        else
            assert_string_equal(at(root, "keys/0/e"), "010001");
        json_decref(root);
        atls_buf_clear(&jwk);
        atls_buf_clear(&pem);
        atls_private_key_free(key);
    }
}

/* What the newest reports have, and who may ask for one. */
static void report_of_turin(void **state)
{
    struct atls_buf in = test_vector("sev-snp/aws-vlek/report.bin");
    json_t *root;

    (void)state;
    in.ptr[0] = 5;
    memcpy(in.ptr + 0x188, "\x1a\x02\x00", 3);    /* family, model, stepping */
    memset(in.ptr + 0x30, 0xff, 4);               /* VMPL */
    memcpy(in.ptr + 0x38, "\4\3\2\1\0\0\0\7", 8); /* current TCB */
    in.ptr[0x1f8] = 9;                            /* launch mitigations */
    root = inspect(atls_buf_bytes(&in), NULL, ATLS_OK, "snp-report");
    assert_string_equal(at(root, "platform/product-line"), "Turin");
    assert_string_equal(at(root, "current-tcb/fmc"), "4");
    assert_string_equal(at(root, "current-tcb/boot-loader"), "3");
    assert_string_equal(at(root, "current-tcb/snp"), "1");
    assert_string_equal(at(root, "vmpl"), "host");
    assert_string_equal(at(root, "launch-mitigations"), "0x9");
    json_decref(root);
    /* Nobody signed it. */
    in.ptr[0x48] = 7 << 2;
    assert_null(inspect(atls_buf_bytes(&in), "snp-report", ATLS_E_EVIDENCE, NULL));
    atls_buf_clear(&in);
}

/* At every allocation of libcrypto that fails: an error and nothing shown, or what is there. */
static void without_memory(void **state)
{
    static const char *const files[] = {"tdx/v4-uptodate/tcb_signing_chain.pem",
                                        "tdx/v4-debug-td/quote.bin", "cca/tf-rmm/cpak_pub.pem"};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct atls_buf in = test_vector(files[i]);
        bool failed = true;

        print_message("%s\n", files[i]);
        for (size_t n = 0; failed; n++) {
            struct atls_buf text = ATLS_BUF_INIT;
            struct atls_err err = ATLS_ERR_INIT;
            enum atls_code code;

            test_failing_alloc_arm(n);
            code = atls_inspect(atls_buf_bytes(&in), NULL, &text, &err);
            failed = test_failing_alloc_disarm();
            assert_true((code == ATLS_OK) == (text.ptr != NULL));
            atls_buf_clear(&text);
        }
        atls_buf_clear(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_files),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(snp_certificate_tables),
        cmocka_unit_test(tsm_reports),
        cmocka_unit_test(records_of_bundles),
        cmocka_unit_test(members_of_batches),
        cmocka_unit_test(padded_logs),
        cmocka_unit_test(quotes_of_other_layouts),
        cmocka_unit_test(lists_in_pem),
        cmocka_unit_test(odd_lists),
        cmocka_unit_test(keys),
        cmocka_unit_test(json_of_all_kinds),
        cmocka_unit_test(collateral_without_what_is_customary),
        cmocka_unit_test(pcr_values),
        cmocka_unit_test(cose_of_any_content),
        cmocka_unit_test(results_that_break_a_rule),
        cmocka_unit_test(extensions_with_and_without_what_is_expected),
        cmocka_unit_test(certificates_that_carry_evidence),
        cmocka_unit_test(evidence_of_certificates_as_records),
        cmocka_unit_test(certificates_without_a_field),
        cmocka_unit_test(keys_of_all_types),
        cmocka_unit_test(report_of_turin),
        cmocka_unit_test(without_memory),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
