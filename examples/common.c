#include "common.h"

#include <stdio.h>

#include <openssl/err.h>

int usage(const char *text)
{
    fprintf(stderr, "usage: %s\n", text);
    return 1;
}

int tls_failed(const char *what)
{
    fprintf(stderr, "%s:\n", what);
    ERR_print_errors_fp(stderr);
    return 2;
}

int atls_failed(const struct atls_err *err)
{
    bool refused = err->code == ATLS_E_EVIDENCE || err->code == ATLS_E_REFUSED ||
                   err->code == ATLS_E_CERTIFICATE || err->code == ATLS_E_DECLINED;

    fprintf(stderr, "%s (%s): %s\n", atls_code_name(err->code), atls_reason_name(err->reason),
            err->message);
    return refused ? 3 : 2;
}

struct atls_bytes read_file(const char *path)
{
    static char text[65536];
    size_t len = 0;
    FILE *f = fopen(path, "r");

    if (f != NULL) {
        len = fread(text, 1, sizeof text, f);
        fclose(f);
    }
    return atls_bytes_of(text, len);
}

bool connect_to(SSL *ssl, const char *host, const char *port)
{
    BIO *bio = BIO_new(BIO_s_connect());

    if (bio == NULL)
        return false;
    BIO_set_conn_hostname(bio, host);
    BIO_set_conn_port(bio, port);
    if (BIO_do_connect(bio) != 1) {
        BIO_free(bio);
        return false;
    }
    SSL_set_bio(ssl, bio, bio);
    return true;
}

BIO *listen_on(const char *port)
{
    BIO *bio = BIO_new_accept(port);

    if (bio == NULL)
        return NULL;
    BIO_set_bind_mode(bio, BIO_BIND_REUSEADDR);
    if (BIO_do_accept(bio) != 1) { /* the first call binds */
        BIO_free(bio);
        return NULL;
    }
    return bio;
}

SSL *accept_from(BIO *listener, SSL_CTX *ctx)
{
    SSL *ssl;
    BIO *bio;

    if (BIO_do_accept(listener) != 1 || (ssl = SSL_new(ctx)) == NULL)
        return NULL;
    bio = BIO_pop(listener);
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}
