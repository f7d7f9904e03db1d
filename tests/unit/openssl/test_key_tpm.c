/* A key that never leaves a TPM (swtpm, a real software TPM) is the TLS key of both sides. */
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atls/openssl.h>
#include <atls/tpm2.h>

#include "swtpm.h"
#include "tls/openssl/error.h"

static struct atls_attester *open_tpm(const struct test_swtpm *tpm)
{
    const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL};
    struct atls_attester *attester = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[256];

    test_assert_code(atls_attester_open(test_swtpm_uri(tpm, NULL, uri, sizeof uri), backends, NULL,
                                        &attester, &err),
                     ATLS_OK, &err);
    return attester;
}

static SSL *end_of(const SSL_METHOD *method, struct atls_attester *attester)
{
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *ctx = SSL_CTX_new(method);
    const struct atls_bytes *chain;
    const unsigned char *der;
    size_t count;
    X509 *leaf;
    SSL *ssl;

    test_assert_code(atls_openssl_use_attester(ctx, attester, &err), ATLS_OK, &err);
    chain = atls_attester_chain(attester, &count);
    der = chain[0].ptr;
    leaf = d2i_X509(NULL, &der, (long)chain[0].len);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), leaf), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_non_null(ssl = SSL_new(ctx));
    X509_free(leaf);
    SSL_CTX_free(ctx);
    return ssl;
}

/* Both ends with the key of one TPM; 1 when both are done. */
static int shake(SSL *client, SSL *server)
{
    BIO *a = NULL, *b = NULL;
    int c = 0, s = 0;

    assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 16 && (c != 1 || s != 1); i++) {
        ERR_clear_error();
        if ((c = SSL_do_handshake(client)) != 1 && SSL_get_error(client, c) != SSL_ERROR_WANT_READ)
            return c;
        if ((s = SSL_do_handshake(server)) != 1 && SSL_get_error(server, s) != SSL_ERROR_WANT_READ)
            return s;
    }
    return c == 1 && s == 1;
}

static void a_tpm_signs_both_sides(void **state)
{
    struct test_swtpm *tpm = test_swtpm_start(0);
    struct atls_attester *attester = open_tpm(tpm);
    SSL *client = end_of(TLS_client_method(), attester),
        *server = end_of(TLS_server_method(), attester);

    (void)state;
    atls_attester_unref(attester); /* the ends keep it */
    assert_int_equal(shake(client, server), 1);
    assert_int_equal(SSL_get_verify_result(client), X509_V_OK);
    assert_int_equal(SSL_get_verify_result(server), X509_V_OK);
    SSL_free(client);
    SSL_free(server);
    test_swtpm_stop(tpm);
}

static void a_tpm_that_goes_away_is_named(void **state)
{
    struct test_swtpm *tpm = test_swtpm_start(0);
    struct atls_attester *attester = open_tpm(tpm);
    SSL *client = end_of(TLS_client_method(), attester),
        *server = end_of(TLS_server_method(), attester);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_swtpm_kill(tpm);
    assert_int_not_equal(shake(client, server), 1);
    assert_int_equal(atls_openssl_fail(&err, NULL, "TLS handshake"), ATLS_E_TLS);
    if (strstr(err.message, "TLS handshake: tpm2") == NULL &&
        strstr(err.message, "TLS handshake: TPM2_") == NULL)
        fail_msg("\"%s\"", err.message);
    SSL_free(client);
    SSL_free(server);
    atls_attester_unref(attester);
    test_swtpm_stop(tpm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tpm_signs_both_sides),
        cmocka_unit_test(a_tpm_that_goes_away_is_named),
    };

    if (!test_swtpm_available()) {
        print_message("skipped: swtpm and swtpm_setup are not installed\n");
        return TEST_SWTPM_SKIP;
    }
    setenv("TSS2_LOG", "all+none", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
