#include "tls/openssl/error.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "core/err.h"

static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, ": %s", more);
}

enum atls_code atls_openssl_fail(struct atls_err *err, const SSL *ssl, const char *what)
{
    char text[sizeof err->message] = "";
    const char *data;
    int flags;
    long verify = ssl == NULL ? X509_V_OK : SSL_get_verify_result(ssl);
    unsigned long code;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *reason = ERR_GET_LIB(code) == ERR_LIB_USER && (flags & ERR_TXT_STRING) != 0
                                 ? data /* a sentence of ours (provider.h) */
                                 : ERR_reason_error_string(code);

        append(text, sizeof text, reason == NULL ? "unknown reason" : reason);
    }
    if (verify != X509_V_OK)
        append(text, sizeof text, X509_verify_cert_error_string(verify));
    return atls_fail(err, ATLS_E_TLS, "%s%s", what, text);
}
