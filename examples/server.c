/* An OpenSSL server that echoes one message a connection, and attests itself to its clients. What
 * attestation adds to the plain program is marked with "atls". */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <atls/openssl.h>
#include <atls/tpm2.h>

#include "common.h"

int main(int argc, char **argv)
{
    const struct atls_attester_ops *const backends[] = {&atls_tpm2_attester, NULL}; /* atls */
    struct atls_attester_options attester;
    struct atls_config_options options;
    struct atls_config *config;
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *listener;

    if (argc != 6)
        return usage("server PORT CERT.pem KEY.pem tpm2:TCTI AIK-CERT.pem");
    signal(SIGPIPE, SIG_IGN);
    if (SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) != 1 ||
        (listener = listen_on(argv[1])) == NULL)
        return tls_failed(argv[1]);

    /* atls: who proves what runs here, and the certificate of its key. */
    atls_attester_options_init(&attester);
    attester.certificate = argv[5];
    atls_config_options_init(&options);
    options.require_self = true;
    if (atls_openssl_prepare(ctx, &err) != ATLS_OK ||
        atls_attester_open(argv[4], backends, &attester, &options.attester, &err) != ATLS_OK ||
        atls_config_new(&options, &config, &err) != ATLS_OK)
        return atls_failed(&err);

    for (;;) {
        SSL *ssl = accept_from(listener, ctx);
        struct atls_openssl *conn = NULL;
        char line[1024];
        size_t len;

        if (ssl == NULL)
            return tls_failed(argv[1]);
        /* atls, in place of SSL_accept, SSL_read, SSL_write. */
        if (atls_openssl_accept(ssl, config, &conn, &err) != ATLS_OK ||
            atls_openssl_read(conn, line, sizeof line, &len, NULL, &err) != ATLS_OK ||
            atls_openssl_write(conn, line, len, &len, NULL, &err) != ATLS_OK)
            fprintf(stderr, "%s: %s\n", atls_code_name(err.code), err.message);
        atls_openssl_close(conn);
        SSL_free(ssl);
    }
}
