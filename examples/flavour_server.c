/* A server that echoes one message a connection, and attests itself in the handshake (intra) or by
 * its certificate (pre). It needs no TLS certificate of its own: the attester's key is the TLS key.
 * What attestation adds to the plain program is marked with "atls". */
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

    if (argc != 5)
        return usage("flavour_server intra|pre PORT tpm2:TCTI AIK-CERT.pem");
    signal(SIGPIPE, SIG_IGN);
    if ((listener = listen_on(argv[2])) == NULL)
        return tls_failed(argv[2]);

    /* atls: who proves what runs here, the certificate of its key, and which flavour. */
    atls_attester_options_init(&attester);
    attester.certificate = argv[4];
    atls_config_options_init(&options);
    options.flavour = strcmp(argv[1], "pre") == 0 ? ATLS_FLAVOUR_PRE : ATLS_FLAVOUR_INTRA;
    options.freshness = strcmp(argv[1], "pre") == 0 ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_UNSAID;
    options.require_self = true;
    if (atls_attester_open(argv[3], backends, &attester, &options.attester, &err) != ATLS_OK ||
        atls_config_new(&options, &config, &err) != ATLS_OK ||
        atls_openssl_prepare_for(ctx, config, &err) != ATLS_OK)
        return atls_failed(&err);

    for (;;) {
        SSL *ssl = accept_from(listener, ctx);
        char line[1024];
        int len;

        if (ssl == NULL)
            return tls_failed(argv[2]);
        SSL_set_accept_state(ssl);
        /* atls, around SSL_accept. */
        if (atls_openssl_attach(ssl, config, NULL, &err) != ATLS_OK)
            return atls_failed(&err);
        (void)SSL_accept(ssl);
        if (atls_openssl_attested(ssl, NULL, &err) != ATLS_OK)
            fprintf(stderr, "%s: %s\n", atls_code_name(err.code), err.message);
        else if ((len = SSL_read(ssl, line, sizeof line)) > 0)
            (void)SSL_write(ssl, line, len);
        SSL_shutdown(ssl);
        SSL_free(ssl);
    }
}
