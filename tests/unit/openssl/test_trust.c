/* Whom a context trusts, asked as TLS asks: a path to a leaf, with the context's store. */
#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/x509.h>

#include <atls/openssl.h>

#include "core/writer.h"
#include "pki.h"

struct world {
    struct test_identity ca, other_ca, leaf, revoked, stranger;
    struct atls_buf anchors; /* ca, PEM */
    SSL_CTX *ctx;
};

static struct atls_buf pem_of(const char *label, struct atls_bytes der)
{
    struct atls_buf out = ATLS_BUF_INIT;

    assert_int_equal(atls_pem_encode(label, der, &out, NULL), ATLS_OK);
    return out;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    if (w == NULL)
        abort();
    w->ca = test_ca("trust");
    w->other_ca = test_ca("others");
    w->leaf = test_leaf(&w->ca, "leaf.example", ATLS_KEY_P256);
    w->revoked = test_leaf(&w->ca, "revoked.example", ATLS_KEY_P256);
    w->stranger = test_leaf(&w->other_ca, "leaf.example", ATLS_KEY_P256);
    w->anchors = pem_of("CERTIFICATE", atls_buf_bytes(&w->ca.certificate));
    if ((w->ctx = SSL_CTX_new(TLS_client_method())) == NULL)
        abort();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    SSL_CTX_free(w->ctx);
    atls_buf_clear(&w->anchors);
    test_identity_clear(&w->ca);
    test_identity_clear(&w->other_ca);
    test_identity_clear(&w->leaf);
    test_identity_clear(&w->revoked);
    test_identity_clear(&w->stranger);
    free(w);
    return 0;
}

/* X509_V_OK, or why not. */
static int judge(const struct world *w, const struct test_identity *leaf)
{
    const unsigned char *der = leaf->certificate.ptr;
    X509 *x = d2i_X509(NULL, &der, (long)leaf->certificate.len);
    X509_STORE_CTX *path = X509_STORE_CTX_new();
    int error;

    if (x == NULL || path == NULL ||
        X509_STORE_CTX_init(path, SSL_CTX_get_cert_store(w->ctx), x, NULL) != 1)
        abort();
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(path), TEST_TIME_S);
    error = X509_verify_cert(path) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(path);
    X509_STORE_CTX_free(path);
    X509_free(x);
    return error;
}

static enum atls_code trust(struct world *w, struct atls_bytes crls, struct atls_err *err)
{
    return atls_openssl_trust(w->ctx, atls_buf_bytes(&w->anchors), crls, err);
}

static void test_anchors_decide(void **state)
{
    struct world *w = *state;
    const struct atls_bytes none = {NULL, 0};
    struct atls_buf others = pem_of("CERTIFICATE", atls_buf_bytes(&w->other_ca.certificate));

    assert_int_equal(judge(w, &w->leaf), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    test_assert_code(trust(w, none, NULL), ATLS_OK, NULL);
    assert_int_equal(judge(w, &w->leaf), X509_V_OK);
    assert_int_equal(judge(w, &w->revoked), X509_V_OK);
    assert_int_equal(judge(w, &w->stranger), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    /* In place of, not beside. */
    assert_int_equal(atls_openssl_trust(w->ctx, atls_buf_bytes(&others), none, NULL), ATLS_OK);
    assert_int_equal(judge(w, &w->stranger), X509_V_OK);
    assert_int_equal(judge(w, &w->leaf), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    atls_buf_clear(&others);
}

static void test_the_system_does_not_know_ours(void **state)
{
    struct world *w = *state;
    const struct atls_bytes none = {NULL, 0};

    assert_int_equal(trust(w, none, NULL), ATLS_OK);
    assert_int_equal(atls_openssl_trust_system(w->ctx, none, NULL), ATLS_OK);
    assert_int_equal(judge(w, &w->leaf), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

static void test_revocation_lists_decide(void **state)
{
    struct world *w = *state;
    const int64_t before = TEST_TIME_S - 1000, after = TEST_TIME_S + 1000;
    struct atls_buf list = test_crl(&w->ca, &w->revoked, before, after);
    struct atls_buf expired = test_crl(&w->ca, NULL, before, TEST_TIME_S - 1);
    struct atls_buf of_others = test_crl(&w->other_ca, NULL, before, after);
    struct atls_buf pem = pem_of("X509 CRL", atls_buf_bytes(&list));
    struct atls_buf broken = ATLS_BUF_INIT;

    test_assert_code(trust(w, atls_buf_bytes(&pem), NULL), ATLS_OK, NULL);
    assert_int_equal(judge(w, &w->leaf), X509_V_OK);
    assert_int_equal(judge(w, &w->revoked), X509_V_ERR_CERT_REVOKED);
    test_assert_code(trust(w, atls_buf_bytes(&expired), NULL), ATLS_OK, NULL);
    assert_int_equal(judge(w, &w->leaf), X509_V_ERR_CRL_HAS_EXPIRED);
    /* No list of this issuer. */
    test_assert_code(trust(w, atls_buf_bytes(&of_others), NULL), ATLS_OK, NULL);
    assert_int_equal(judge(w, &w->revoked), X509_V_OK);
    /* A list in the issuer's name that it did not sign. */
    assert_int_equal(atls_buf_copy(&broken, atls_buf_bytes(&list), NULL), ATLS_OK);
    broken.ptr[broken.len - 1] ^= 1;
    test_assert_code(trust(w, atls_buf_bytes(&broken), NULL), ATLS_OK, NULL);
    assert_int_equal(judge(w, &w->leaf), X509_V_ERR_CRL_SIGNATURE_FAILURE);
    atls_buf_clear(&broken);
    atls_buf_clear(&pem);
    atls_buf_clear(&of_others);
    atls_buf_clear(&expired);
    atls_buf_clear(&list);
}

static void test_what_cannot_be_read_changes_nothing(void **state)
{
    struct world *w = *state;
    const struct atls_bytes none = {NULL, 0}, text = atls_bytes_of("no PEM", 6);
    uint8_t two[4096];
    const struct atls_bytes cut = {two, 2 * w->anchors.len - 40}; /* the second ends early */
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(trust(w, none, NULL), ATLS_OK);
    test_assert_code(atls_openssl_trust(w->ctx, none, none, &err), ATLS_E_DECODE, &err);
    test_assert_code(atls_openssl_trust(w->ctx, text, none, &err), ATLS_E_DECODE, &err);
    test_assert_code(trust(w, text, &err), ATLS_E_DECODE, &err);
    assert_in_range(2 * w->anchors.len, 1, sizeof two);
    memcpy(two, w->anchors.ptr, w->anchors.len);
    memcpy(two + w->anchors.len, w->anchors.ptr, w->anchors.len);
    test_assert_code(atls_openssl_trust(w->ctx, cut, none, &err), ATLS_E_DECODE, &err);
    assert_int_equal(judge(w, &w->leaf), X509_V_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_anchors_decide, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_system_does_not_know_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revocation_lists_decide, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read_changes_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
