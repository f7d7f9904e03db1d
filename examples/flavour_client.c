/* A client that wants the server attested in the handshake (intra) or by its certificate (pre). It
 * drives OpenSSL itself: SSL_connect, SSL_read and SSL_write are those of any program. What
 * attestation adds is marked with "atls". */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <atls/local.h>
#include <atls/openssl.h>

#include "common.h"

int main(int argc, char **argv)
{
    const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL}; /* atls */
    struct atls_config_options options;
    struct atls_config *config;
    struct atls_peer peer;
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char line[1024];
    int len;
    SSL *ssl;

    if (argc != 6)
        return usage("flavour_client intra|pre HOST PORT CA.pem local:STORE");
    signal(SIGPIPE, SIG_IGN);

    /* atls: which flavour, and of pre that evidence answers a nonce of ours. */
    atls_config_options_init(&options);
    options.flavour = strcmp(argv[1], "pre") == 0 ? ATLS_FLAVOUR_PRE : ATLS_FLAVOUR_INTRA;
    options.freshness = strcmp(argv[1], "pre") == 0 ? ATLS_FRESHNESS_NONCE : ATLS_FRESHNESS_UNSAID;
    options.require_peer = true;
    options.identity = ATLS_IDENTITY_PKIX;
    options.anchors = read_file(argv[4]);
    if (atls_verifier_open(argv[5], backends, NULL, &options.verifier, &err) != ATLS_OK ||
        atls_policy_default(&options.policy, &err) != ATLS_OK ||
        atls_config_new(&options, &config, &err) != ATLS_OK ||
        atls_openssl_prepare_for(ctx, config, &err) != ATLS_OK) /* last: ctx is ready then */
        return atls_failed(&err);

    ssl = SSL_new(ctx);
    SSL_set_connect_state(ssl);
    if (atls_openssl_attach(ssl, config, argv[2], &err) != ATLS_OK) /* atls, before the handshake */
        return atls_failed(&err);
    if (!connect_to(ssl, argv[2], argv[3]))
        return tls_failed(argv[2]);
    (void)SSL_connect(ssl);                                 /* the next line says what came of it */
    if (atls_openssl_attested(ssl, &peer, &err) != ATLS_OK) /* atls, behind it */
        return atls_failed(&err);
    fprintf(stderr, "%s: %s, bound to the %s, freshness: %s\n", atls_flavour_name(peer.flavour),
            peer.evidence_type, peer.binding, peer.freshness);
    if (SSL_write(ssl, "hello\n", 6) != 6 || (len = SSL_read(ssl, line, sizeof line)) <= 0)
        return tls_failed(argv[2]);
    printf("%.*s", len, line);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    atls_config_unref(config);
    return 0;
}
