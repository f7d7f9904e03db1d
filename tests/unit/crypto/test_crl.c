#include "testlib.h"

#include <string.h>

#include "core/writer.h"
#include "crypto/crypto.h"
#include "pki.h"

static struct test_identity root, other_root;

static int setup(void **state)
{
    (void)state;
    root = test_ca("root");
    other_root = test_ca("other root");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_identity_clear(&root);
    test_identity_clear(&other_root);
    return 0;
}

#define DER(identity) atls_buf_bytes(&(identity).certificate)
#define THIS          (TEST_TIME_S - 10)
#define NEXT          (TEST_TIME_S + 1000)

static void what_a_list_says(void **state)
{
    struct atls_buf der = test_crl(&root, NULL, THIS, NEXT);
    struct atls_crl crl;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_crl_read(atls_buf_bytes(&der), &crl, &err), ATLS_OK, &err);
    assert_int_equal(crl.this_update_s, THIS);
    assert_int_equal(crl.next_update_s, NEXT);
    assert_true(crl.issuer.len > 2 && crl.issuer.ptr[0] == 0x30);
    assert_int_equal(crl.key_id.len, 0);
    assert_int_equal(crl.scope.len, 0);
    atls_crl_clear(&crl);
    atls_buf_clear(&der);
}

static void extensions_that_are_read_or_refused(void **state)
{
    static const struct {
        const char *name;
        struct test_extension extension;
        enum atls_code want;
        bool has_key_id, has_scope;
    } rows[] = {
        {"key of the issuer", {"authorityKeyIdentifier", "keyid:always"}, ATLS_OK, true, false},
        {"number", {"crlNumber", "DER:02012a"}, ATLS_OK, false, false},
        {"of authorities",
         {"issuingDistributionPoint", "critical,onlyCA:TRUE"},
         ATLS_OK,
         false,
         true},
        {"of end entities",
         {"issuingDistributionPoint", "critical,onlyuser:TRUE"},
         ATLS_OK,
         false,
         true},
        {"of one distribution point",
         {"issuingDistributionPoint", "critical,fullname:URI:http://crl.example/1"},
         ATLS_OK,
         false,
         true},
        {"unknown", {"1.2.3.4.5", "DER:0500"}, ATLS_OK, false, false},
        {"unknown and critical",
         {"1.2.3.4.5", "critical,DER:0500"},
         ATLS_E_UNSUPPORTED,
         false,
         false},
        {"delta", {"deltaCRL", "critical,DER:020101"}, ATLS_E_UNSUPPORTED, false, false},
        {"indirect",
         {"issuingDistributionPoint", "critical,indirectCRL:TRUE"},
         ATLS_E_UNSUPPORTED,
         false,
         false},
        {"of attribute certificates",
         {"issuingDistributionPoint", "critical,onlyAA:TRUE"},
         ATLS_E_UNSUPPORTED,
         false,
         false},
        {"of some reasons",
         {"issuingDistributionPoint", "critical,onlysomereasons:keyCompromise"},
         ATLS_E_UNSUPPORTED,
         false,
         false},
        {"distribution point malformed",
         {"2.5.29.28", "critical,DER:0500"},
         ATLS_E_DECODE,
         false,
         false},
        {"key of the issuer malformed", {"2.5.29.35", "DER:0500"}, ATLS_E_DECODE, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct test_extension extensions[] = {rows[i].extension, {NULL, NULL}};
        struct atls_buf der = test_crl_extended(&root, THIS, NEXT, extensions);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_crl crl;
        enum atls_code code = atls_crl_read(atls_buf_bytes(&der), &crl, &err);

        if (code != rows[i].want)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
        if (code == ATLS_OK) {
            if ((crl.key_id.len != 0) != rows[i].has_key_id ||
                (crl.scope.len != 0) != rows[i].has_scope)
                fail_msg("%s: %zu, %zu", rows[i].name, crl.key_id.len, crl.scope.len);
            atls_crl_clear(&crl);
        }
        atls_buf_clear(&der);
    }
}

static void lists_that_are_malformed(void **state)
{
    struct atls_buf der = test_crl(&root, NULL, THIS, NEXT);
    struct atls_buf endless = test_crl_extended(&root, THIS, 0, NULL);
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t longer[1024];
    struct atls_crl crl;

    (void)state;
    assert_true(der.len < sizeof longer);
    memcpy(longer, der.ptr, der.len);
    longer[der.len] = 0;
    for (size_t len = 0; len <= der.len + 1; len++)
        if (len != der.len)
            test_assert_code(atls_crl_read(atls_bytes_of(longer, len), &crl, &err), ATLS_E_DECODE,
                             &err);
    test_assert_code(atls_crl_read(atls_buf_bytes(&endless), &crl, &err), ATLS_E_DECODE, &err);
    assert_non_null(strstr(err.message, "nextUpdate"));
    atls_buf_clear(&der);
    atls_buf_clear(&endless);
}

static void texts_of_several_lists(void **state)
{
    struct atls_buf one = test_crl(&root, NULL, THIS, NEXT);
    struct atls_buf two = test_crl(&other_root, NULL, THIS, NEXT);
    struct atls_buf pem = ATLS_BUF_INIT, text = ATLS_BUF_INIT, out[2];
    struct atls_writer w = atls_writer_init(65536);
    struct atls_err err = ATLS_ERR_INIT;
    size_t count;

    (void)state;
    assert_int_equal(atls_pem_encode("X509 CRL", atls_buf_bytes(&one), &pem, NULL), ATLS_OK);
    atls_put_bytes(&w, atls_buf_bytes(&pem));
    atls_buf_clear(&pem);
    assert_int_equal(atls_pem_encode("CERTIFICATE", DER(root), &pem, NULL), ATLS_OK);
    atls_put_bytes(&w, atls_buf_bytes(&pem)); /* other blocks are passed over */
    test_assert_code(atls_crls_split(atls_buf_bytes(&pem), out, 2, &count, &err), ATLS_E_DECODE,
                     &err);
    atls_buf_clear(&pem);
    assert_int_equal(atls_pem_encode("X509 CRL", atls_buf_bytes(&two), &pem, NULL), ATLS_OK);
    atls_put_bytes(&w, atls_buf_bytes(&pem));
    assert_int_equal(atls_writer_finish(&w, &text, NULL), ATLS_OK);

    test_assert_code(atls_crls_split(atls_buf_bytes(&text), out, 2, &count, &err), ATLS_OK, &err);
    assert_int_equal(count, 2);
    test_assert_bytes(atls_buf_bytes(&out[0]), atls_buf_bytes(&one));
    test_assert_bytes(atls_buf_bytes(&out[1]), atls_buf_bytes(&two));
    atls_buf_clear(&out[0]);
    atls_buf_clear(&out[1]);
    test_assert_code(atls_crls_split(atls_buf_bytes(&text), out, 1, &count, &err), ATLS_E_LIMIT,
                     &err);
    test_assert_code(atls_crls_split(atls_bytes_of(NULL, 0), out, 2, &count, &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_crls_split(atls_buf_bytes(&one), out, 2, &count, &err), ATLS_OK, &err);
    assert_int_equal(count, 1);
    test_assert_bytes(atls_buf_bytes(&out[0]), atls_buf_bytes(&one));
    atls_buf_clear(&out[0]);
    atls_buf_clear(&one);
    atls_buf_clear(&two);
    atls_buf_clear(&pem);
    atls_buf_clear(&text);
}

static void who_signed_a_list(void **state)
{
    static const struct test_extension no_crl_sign[] = {{"basicConstraints", "critical,CA:TRUE"},
                                                        {"keyUsage", "critical,keyCertSign"},
                                                        {NULL, NULL}};
    struct test_identity impostor = test_ca("root");
    struct test_identity mute = test_issue(
        NULL, &(struct test_certificate){.common_name = "mute", .extensions = no_crl_sign});
    const struct {
        const char *name;
        const struct test_identity *signer, *certificate;
        bool is_issuer;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"its issuer", &root, &root, true, ATLS_OK, ATLS_REASON_NONE},
        {"another name", &root, &other_root, false, ATLS_OK, ATLS_REASON_NONE},
        {"the same name and another key", &impostor, &root, true, ATLS_E_VERIFY,
         ATLS_REASON_CHAIN_SIGNATURE},
        {"an issuer without cRLSign", &mute, &mute, true, ATLS_E_VERIFY, ATLS_REASON_KEY_USAGE},
    };
    struct atls_buf der;
    bool is_issuer;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        der = test_crl(rows[i].signer, NULL, THIS, NEXT);
        code = atls_crl_verify(atls_buf_bytes(&der), DER(*rows[i].certificate), &is_issuer, &err);
        if (code != rows[i].want || err.reason != rows[i].reason || is_issuer != rows[i].is_issuer)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(code), err.message);
        atls_buf_clear(&der);
    }
    der = test_crl(&root, NULL, THIS, NEXT);
    der.ptr[der.len - 1] ^= 1;
    assert_int_equal(atls_crl_verify(atls_buf_bytes(&der), DER(root), &is_issuer, NULL),
                     ATLS_E_VERIFY);
    assert_int_equal(atls_crl_verify(atls_buf_bytes(&der), atls_buf_bytes(&der), &is_issuer, NULL),
                     ATLS_E_DECODE);
    assert_int_equal(atls_crl_verify(DER(root), DER(root), &is_issuer, NULL), ATLS_E_DECODE);
    atls_buf_clear(&der);
    test_identity_clear(&impostor);
    test_identity_clear(&mute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_list_says),
        cmocka_unit_test(extensions_that_are_read_or_refused),
        cmocka_unit_test(lists_that_are_malformed),
        cmocka_unit_test(texts_of_several_lists),
        cmocka_unit_test(who_signed_a_list),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
