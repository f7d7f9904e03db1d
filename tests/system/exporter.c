/* Prints what our OpenSSL adapter exports on a connection to an ordinary TLS server, so that a test
 * can compare it with what that server exports: exporter HOST PORT LABEL LENGTH. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atls/openssl.h>

#define EXPORT_MAX 64

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -1;
    for (struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

/* Through the table of struct atls_tls, as atls/session.h uses it. */
static int print_exported(SSL *ssl, const char *label, size_t len)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_tls tls;
    uint8_t out[EXPORT_MAX];

    if (atls_openssl_tls(ssl, &tls, &spki, &err) != ATLS_OK ||
        tls.exporter(tls.arg, label, atls_bytes_of(NULL, 0), out, len, &err) != ATLS_OK) {
        fprintf(stderr, "exporter: %s\n", err.message);
        return 2;
    }
    atls_buf_clear(&spki);
    printf("hash %s\n", tls.hash == ATLS_HASH_SHA384 ? "sha384" : "sha256");
    for (size_t i = 0; i < len; i++)
        printf("%02X", out[i]);
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl;
    int fd, status = 2;
    long len = argc == 5 ? strtol(argv[4], NULL, 10) : 0;

    if (context == NULL || len < 1 || len > EXPORT_MAX) {
        fputs("usage: exporter HOST PORT LABEL LENGTH\n", stderr);
        return 1;
    }
    fd = dial(argv[1], argv[2]);
    if (fd >= 0 && atls_openssl_prepare(context, &err) == ATLS_OK &&
        (ssl = SSL_new(context)) != NULL) {
        if (SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1)
            status = print_exported(ssl, argv[3], (size_t)len);
        (void)SSL_shutdown(ssl);
        SSL_free(ssl);
    }
    if (fd >= 0)
        close(fd);
    SSL_CTX_free(context);
    return status;
}
