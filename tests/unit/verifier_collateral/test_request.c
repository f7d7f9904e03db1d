/* Paths of services, and the forms that documents come in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pki.h"
#include "testlib.h"

#include "core/reader.h"
#include "crypto/certificate.h"
#include "verifier/collateral/request.h"

#define CHIP                                                                                       \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"                             \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Behind a chip id of Turin, as in the report. */
#define ZERO_8  "0000000000000000"
#define ZERO_56 ZERO_8 ZERO_8 ZERO_8 ZERO_8 ZERO_8 ZERO_8 ZERO_8

static void paths(void **state)
{
    static const struct {
        enum atls_collateral_kind kind;
        const char *subject, *path, *second, *header;
        enum atls_collateral_kind chain;
        const char *chain_subject;
    } rows[] = {
        {ATLS_COLLATERAL_SNP_VEK, "milan-" CHIP "-03000000000008d9",
         "/vcek/v1/Milan/" CHIP "?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=217", "", NULL, 0, NULL},
        {ATLS_COLLATERAL_SNP_VEK, "genoa-" CHIP "-0a0000000000174f",
         "/vcek/v1/Genoa/" CHIP "?blSPL=10&teeSPL=00&snpSPL=23&ucodeSPL=79", "", NULL, 0, NULL},
        {ATLS_COLLATERAL_SNP_VEK, "turin-0011223344556677" ZERO_56 "-0102030400000048",
         "/vcek/v1/Turin/0011223344556677"
         "?fmcSPL=01&blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=72",
         "", NULL, 0, NULL},
        {ATLS_COLLATERAL_SNP_CA, "milan", "/vcek/v1/Milan/cert_chain", "/vlek/v1/Milan/cert_chain",
         NULL, 0, NULL},
        {ATLS_COLLATERAL_SNP_CRL, "turin", "/vcek/v1/Turin/crl", "", NULL, 0, NULL},
        {ATLS_COLLATERAL_TDX_TCB_INFO, "00806f050000",
         "/tdx/certification/v4/tcb?fmspc=00806f050000", "", "TCB-Info-Issuer-Chain",
         ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
        {ATLS_COLLATERAL_TDX_QE_IDENTITY, "td", "/tdx/certification/v4/qe/identity", "",
         "SGX-Enclave-Identity-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
        {ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb", "/tdx/certification/v4/qe/identity", "",
         "SGX-Enclave-Identity-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
        {ATLS_COLLATERAL_TDX_PCK_CRL, "platform",
         "/sgx/certification/v4/pckcrl?ca=platform&encoding=der", "", "SGX-PCK-CRL-Issuer-Chain",
         ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "platform"},
        {ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "processor",
         "/sgx/certification/v4/pckcrl?ca=processor&encoding=der", "", "SGX-PCK-CRL-Issuer-Chain",
         ATLS_COLLATERAL_TDX_PCK_CRL_CHAIN, "processor"},
        {ATLS_COLLATERAL_TDX_ROOT_CRL, "root", "/sgx/certification/v4/rootcacrl", "", NULL, 0,
         NULL},
        {ATLS_COLLATERAL_SGX_TCB_INFO, "00906ed50000",
         "/sgx/certification/v4/tcb?fmspc=00906ed50000", "", "TCB-Info-Issuer-Chain",
         ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
        {ATLS_COLLATERAL_SGX_QE_IDENTITY, "qe", "/sgx/certification/v4/qe/identity", "",
         "SGX-Enclave-Identity-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
        {ATLS_COLLATERAL_SGX_EVALUATION, "sgx", "/sgx/certification/v4/tcbevaluationdatanumbers",
         "", "TCB-Evaluation-Data-Numbers-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
        {ATLS_COLLATERAL_TDX_EVALUATION, "tdx", "/tdx/certification/v4/tcbevaluationdatanumbers",
         "", "TCB-Evaluation-Data-Numbers-Issuer-Chain", ATLS_COLLATERAL_TDX_TCB_CHAIN, "tcb"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_collateral_query query = {rows[i].kind, rows[i].subject};
        struct collateral_request request;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(collateral_request_of(&query, &request, &err), ATLS_OK, &err);
        assert_string_equal(request.path, rows[i].path);
        assert_string_equal(request.second_path, rows[i].second);
        assert_int_equal(request.maker, i < 5 ? COLLATERAL_AMD : COLLATERAL_INTEL);
        if (rows[i].header == NULL) {
            assert_null(request.chain_header);
            continue;
        }
        assert_string_equal(request.chain_header, rows[i].header);
        assert_int_equal(request.chain.kind, rows[i].chain);
        assert_string_equal(request.chain.subject, rows[i].chain_subject);
    }
}

static void what_no_maker_publishes(void **state)
{
    static const struct {
        const char *what;
        enum atls_collateral_kind kind;
        const char *subject;
    } rows[] = {
        {"no kind", ATLS_COLLATERAL_NONE, "milan"},
        {"a kind that there is not", (enum atls_collateral_kind)99, "milan"},
        {"a VLEK", ATLS_COLLATERAL_SNP_VEK, "milan-vlek-03000000000008d9"},
        {"no line", ATLS_COLLATERAL_SNP_VEK, "rome-" CHIP "-03000000000008d9"},
        {"a chip of Turin without its zeros", ATLS_COLLATERAL_SNP_VEK,
         "turin-0011223344556677-0102030400000048"},
        {"a chip of another line", ATLS_COLLATERAL_SNP_VEK, "turin-" CHIP "-0102030400000048"},
        {"a chip that is too short", ATLS_COLLATERAL_SNP_VEK, "milan-00-03000000000008d9"},
        {"a chip that is not hexadecimal", ATLS_COLLATERAL_SNP_VEK,
         "turin-001122334455667g" ZERO_56 "-0102030400000048"},
        {"a TCB that is too short", ATLS_COLLATERAL_SNP_VEK, "milan-" CHIP "-03000000000008"},
        {"a TCB that is not hexadecimal", ATLS_COLLATERAL_SNP_VEK,
         "milan-" CHIP "-0300000000000xd9"},
        {"a TCB with something where nothing is", ATLS_COLLATERAL_SNP_VEK,
         "milan-" CHIP "-03000100000008d9"},
        {"no TCB", ATLS_COLLATERAL_SNP_VEK, "milan-" CHIP},
        {"a line that is none", ATLS_COLLATERAL_SNP_CRL, "naples"},
        {"authorities of a line that is none", ATLS_COLLATERAL_SNP_CA, "milan2"},
        {"an FMSPC that is too long", ATLS_COLLATERAL_TDX_TCB_INFO, "00806f0500000"},
        {"an FMSPC that is not hexadecimal", ATLS_COLLATERAL_TDX_TCB_INFO, "00806f05000x"},
        {"an identity of another enclave", ATLS_COLLATERAL_TDX_QE_IDENTITY, "qe"},
        {"a chain of another kind", ATLS_COLLATERAL_TDX_TCB_CHAIN, "td"},
        {"a list of no authority", ATLS_COLLATERAL_TDX_PCK_CRL, "root"},
        {"a root that is none", ATLS_COLLATERAL_TDX_ROOT_CRL, "platform"},
        {"numbers of another technology", ATLS_COLLATERAL_TDX_EVALUATION, "sgx"},
        {"numbers of yet another", ATLS_COLLATERAL_SGX_EVALUATION, "tdx"},
        {"an identity of the enclave of TDX", ATLS_COLLATERAL_SGX_QE_IDENTITY, "td"},
        {"an FMSPC of SGX that is too long", ATLS_COLLATERAL_SGX_TCB_INFO, "00906ed500000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_collateral_query query = {rows[i].kind, rows[i].subject};
        struct collateral_request request = {.path = "unchanged"};
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].what);
        test_assert_code(collateral_request_of(&query, &request, &err), ATLS_E_NOT_FOUND, &err);
        assert_string_equal(request.path, "unchanged");
    }
}

/* ---- bodies ---- */

static struct atls_buf as_hex(const struct atls_buf *der, bool upper)
{
    char *text = malloc(2 * der->len + 2);

    assert_non_null(text);
    for (size_t i = 0; i < der->len; i++)
        snprintf(text + 2 * i, 3, upper ? "%02X" : "%02x", der->ptr[i]);
    text[2 * der->len] = '\n';
    return (struct atls_buf){(uint8_t *)text, 2 * der->len + 1};
}

static void lists_become_der(void **state)
{
    struct test_identity ca = test_ca("CA");
    struct atls_buf der = test_crl(&ca, NULL, TEST_TIME_S, TEST_TIME_S + 10);
    struct atls_buf forms[4] = {{NULL, 0}, as_hex(&der, false), as_hex(&der, true), {NULL, 0}};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_pem_encode("X509 CRL", atls_buf_bytes(&der), &forms[0], NULL), ATLS_OK,
                     NULL);
    test_assert_code(atls_buf_copy(&forms[3], atls_buf_bytes(&der), NULL), ATLS_OK, NULL);
    for (size_t i = 0; i < 4; i++) {
        struct atls_buf out = ATLS_BUF_INIT;

        test_assert_code(collateral_document_of(ATLS_COLLATERAL_TDX_PCK_CRL,
                                                atls_buf_bytes(&forms[i]), &out, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_buf_bytes(&out), atls_buf_bytes(&der));
        atls_buf_clear(&out);
        atls_buf_clear(&forms[i]);
    }
    atls_buf_clear(&der);
    test_identity_clear(&ca);
}

static void lists_that_are_refused(void **state)
{
    struct test_identity ca = test_ca("CA");
    struct atls_buf der = test_crl(&ca, NULL, TEST_TIME_S, TEST_TIME_S + 10), pem = ATLS_BUF_INIT;
    char two[8192];
    const struct {
        const char *what;
        struct atls_bytes body;
    } rows[] = {
        {"nothing", {NULL, 0}},
        {"an odd number of digits", atls_bytes_of("308", 3)},
        {"no digits", atls_bytes_of("30xx", 4)},
        {"no digit in the second place", atls_bytes_of("3x80", 4)},
        {"PEM of something else", atls_bytes_of("-----BEGIN X-----\n", 18)},
        {"two lists", atls_bytes_of(two, 0)},
        {"text", atls_bytes_of("not found", 9)},
    };

    (void)state;
    test_assert_code(atls_pem_encode("X509 CRL", atls_buf_bytes(&der), &pem, NULL), ATLS_OK, NULL);
    snprintf(two, sizeof two, "%s%s", (const char *)pem.ptr, (const char *)pem.ptr);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_bytes body = rows[i].body;
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        if ((const char *)body.ptr == two)
            body.len = strlen(two);
        print_message("  %s\n", rows[i].what);
        test_assert_code(collateral_document_of(ATLS_COLLATERAL_SNP_CRL, body, &out, &err),
                         ATLS_E_PROTOCOL, &err);
        assert_null(out.ptr);
    }
    atls_buf_clear(&der);
    atls_buf_clear(&pem);
    test_identity_clear(&ca);
}

static size_t count_certificates(const struct atls_buf *pem)
{
    struct atls_buf ders[8];
    size_t count = 0;

    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(pem), ders, 8, &count, NULL),
                     ATLS_OK, NULL);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&ders[i]);
    return count;
}

/* A root counts when it is on file alone. */
static void candidates_without_their_root(void **state)
{
    struct atls_buf pem = test_vector("sev-snp/roots/ask_ark_milan.pem"), out = ATLS_BUF_INIT;
    struct test_identity ca = test_ca("CA");
    struct atls_buf root = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(
        collateral_document_of(ATLS_COLLATERAL_SNP_CA, atls_buf_bytes(&pem), &out, &err), ATLS_OK,
        &err);
    assert_int_equal(count_certificates(&pem), 2);
    assert_int_equal(count_certificates(&out), 1);
    atls_buf_clear(&out);
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &root, NULL),
                     ATLS_OK, NULL);
    test_assert_code(
        collateral_document_of(ATLS_COLLATERAL_SNP_CA, atls_buf_bytes(&root), &out, &err),
        ATLS_E_PROTOCOL, &err);
    test_assert_code(
        collateral_document_of(ATLS_COLLATERAL_SNP_CA, atls_bytes_of("text", 4), &out, &err),
        ATLS_E_PROTOCOL, &err);
    assert_null(out.ptr);
    atls_buf_clear(&pem);
    atls_buf_clear(&root);
    test_identity_clear(&ca);
}

static void other_documents_stay_as_they_are(void **state)
{
    struct atls_buf out = ATLS_BUF_INIT;

    (void)state;
    test_assert_code(
        collateral_document_of(ATLS_COLLATERAL_TDX_TCB_INFO, atls_bytes_of("{ }\n", 4), &out, NULL),
        ATLS_OK, NULL);
    test_assert_bytes(atls_buf_bytes(&out), atls_bytes_of("{ }\n", 4));
    atls_buf_clear(&out);
}

/* ---- chains ---- */

static struct atls_buf percent(const struct atls_buf *text, bool upper)
{
    char *out = malloc(3 * text->len + 1);

    assert_non_null(out);
    for (size_t i = 0; i < text->len; i++)
        snprintf(out + 3 * i, 4, upper ? "%%%02X" : "%%%02x", text->ptr[i]);
    return (struct atls_buf){(uint8_t *)out, 3 * text->len};
}

static void chains_of_headers(void **state)
{
    struct atls_buf pem = test_vector("sev-snp/roots/ask_ark_milan.pem");

    (void)state;
    for (int upper = 0; upper < 2; upper++) {
        struct atls_buf encoded = percent(&pem, upper != 0), out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(collateral_chain_of(atls_buf_bytes(&encoded), &out, &err), ATLS_OK, &err);
        assert_int_equal(count_certificates(&out), 2);
        atls_buf_clear(&encoded);
        atls_buf_clear(&out);
    }
    atls_buf_clear(&pem);
}

static void chains_that_are_refused(void **state)
{
    static const char *const rows[] = {"", "text", "%", "%4", "%4x", "%x4", "%2d%2d"};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  \"%s\"\n", rows[i]);
        test_assert_code(collateral_chain_of(atls_bytes_of(rows[i], strlen(rows[i])), &out, &err),
                         ATLS_E_PROTOCOL, &err);
        assert_null(out.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths),
                                       cmocka_unit_test(what_no_maker_publishes),
                                       cmocka_unit_test(lists_become_der),
                                       cmocka_unit_test(lists_that_are_refused),
                                       cmocka_unit_test(candidates_without_their_root),
                                       cmocka_unit_test(other_documents_stay_as_they_are),
                                       cmocka_unit_test(chains_of_headers),
                                       cmocka_unit_test(chains_that_are_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
