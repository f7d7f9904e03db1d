/* An OpenSSL client that wants the server attested before it says a word. What attestation adds to
 * the plain program is marked with "atls". */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <atls/local.h>
#include <atls/openssl.h>
#include <atls/remote.h>

#include "common.h"

int main(int argc, char **argv)
{
    const struct atls_verifier_ops *const backends[] = {
        &atls_local_verifier, &atls_veraison_verifier, &atls_passport_verifier, NULL}; /* atls */
    struct atls_config_options options;
    struct atls_config *config;
    struct atls_openssl *conn;
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char line[1024];
    size_t len;
    SSL *ssl;

    if (argc != 5)
        return usage("client HOST PORT CA.pem local:STORE|veraison:URL|passport:KEYS");
    signal(SIGPIPE, SIG_IGN);
    if (SSL_CTX_load_verify_locations(ctx, argv[3], NULL) != 1)
        return tls_failed(argv[3]);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);

    /* atls: genuine evidence, or a result about it, and a certificate of the attestation key for
     * the name of the server. */
    atls_config_options_init(&options);
    options.require_peer = true;
    options.identity = ATLS_IDENTITY_PKIX;
    options.anchors = read_file(argv[3]);
    if (atls_openssl_prepare(ctx, &err) != ATLS_OK ||
        atls_verifier_open(argv[4], backends, NULL, &options.verifier, &err) != ATLS_OK ||
        atls_policy_default(&options.policy, &err) != ATLS_OK ||
        atls_config_new(&options, &config, &err) != ATLS_OK)
        return atls_failed(&err);

    ssl = SSL_new(ctx);
    if (SSL_set1_host(ssl, argv[1]) != 1 || !connect_to(ssl, argv[1], argv[2]))
        return tls_failed(argv[1]);
    /* atls, in place of SSL_connect, SSL_write, SSL_read. */
    if (atls_openssl_connect(ssl, config, argv[1], &conn, &err) != ATLS_OK ||
        atls_openssl_write(conn, "hello\n", 6, &len, NULL, &err) != ATLS_OK ||
        atls_openssl_read(conn, line, sizeof line, &len, NULL, &err) != ATLS_OK)
        return atls_failed(&err);
    printf("%.*s", (int)len, line);
    atls_openssl_close(conn);
    atls_config_unref(config);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return 0;
}
