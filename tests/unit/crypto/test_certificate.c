#include "testlib.h"

#include <string.h>

#include "crypto/certificate.h"

#define TIME_S INT64_C(1717200000) /* 2024-06-01 */

static struct atls_certificate *parse_one(const char *path)
{
    struct atls_buf text = test_vector(path);
    struct atls_certificate *list[4];
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 0;

    test_assert_code(atls_certificates_parse(atls_buf_bytes(&text), list, 4, &count, &err), ATLS_OK,
                     &err);
    for (size_t i = 1; i < count; i++)
        atls_certificate_unref(list[i]);
    atls_buf_clear(&text);
    return list[0];
}

static void amds_chains_verify(void **state)
{
    static const struct {
        const char *ca, *leaf, *name;
    } rows[] = {
        {"sev-snp/roots/ask_ark_milan.pem", "sev-snp/milan-debug/vcek.der", "SEV-Milan"},
        {"sev-snp/roots/ask_ark_milan.pem", "sev-snp/milan-v2-provisional/vcek.der", "SEV-Milan"},
        {"sev-snp/roots/ask_ark_milan_vlek.pem", "sev-snp/aws-vlek/vlek.der", "SEV-VLEK-Milan"},
        {"sev-snp/roots/ask_ark_genoa.pem", "sev-snp/azure-genoa/vcek.pem", "SEV-Genoa"},
        {"sev-snp/roots/ask_ark_turin_vcek.pem", "sev-snp/turin-vcek-only/vcek.der", "SEV-Turin"},
    };
    struct atls_certificate *ca[2], *leaf;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf text;
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text = test_vector(rows[i].ca);
        test_assert_code(atls_certificates_parse(atls_buf_bytes(&text), ca, 2, &count, &err),
                         ATLS_OK, &err);
        assert_int_equal(count, 2);
        leaf = parse_one(rows[i].leaf);
        test_assert_code(atls_certificate_issued_by(leaf, ca[0], ATLS_SIGNED_RSA_PSS_SHA384, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_certificate_issued_by(ca[0], ca[1], ATLS_SIGNED_RSA_PSS_SHA384, &err),
                         ATLS_OK, &err);
        test_assert_code(atls_certificate_issued_by(ca[1], ca[1], ATLS_SIGNED_RSA_PSS_SHA384, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_certificate_issuer_cn(leaf),
                          atls_bytes_of(rows[i].name, strlen(rows[i].name)));
        assert_true(atls_certificate_is_ca(ca[0]) && atls_certificate_is_ca(ca[1]));
        assert_false(atls_certificate_is_ca(leaf));
        assert_true(atls_certificate_is_self_issued(ca[1]));
        assert_int_equal(atls_key_type(atls_certificate_key(leaf)), ATLS_KEY_P384);
        atls_certificate_unref(leaf);
        atls_certificate_unref(ca[0]);
        atls_certificate_unref(ca[1]);
        atls_buf_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amds_chains_verify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
