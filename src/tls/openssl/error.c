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

/* OpenSSL's reason for a fatal alert of the peer is this plus the alert's number, which it may not
 * know. */
#define ALERT_REASONS SSL_AD_REASON_OFFSET

/* The alert that the peer sent; 0: the reason is another. */
static int alert_of(unsigned long code)
{
    const int alert = ERR_GET_REASON(code) - ALERT_REASONS;

    return ERR_GET_LIB(code) == ERR_LIB_SSL && alert > 0 && alert <= 255 ? alert : 0;
}

/* One entry of the queue. */
static void describe(unsigned long code, const char *data, int flags, char *text, size_t size)
{
    const int alert = alert_of(code);
    const char *reason = ERR_reason_error_string(code);
    char line[80];

    if (ERR_GET_LIB(code) == ERR_LIB_USER && (flags & ERR_TXT_STRING) != 0)
        reason = data; /* a sentence of ours (provider.h, flavour.h) */
    if (alert != 0) {
        snprintf(line, sizeof line, "the peer refused with alert %d (%s)", alert,
                 SSL_alert_desc_string_long(alert));
        reason = line;
    }
    append(text, size, reason == NULL ? "unknown reason" : reason);
}

enum atls_code atls_openssl_fail(struct atls_err *err, const SSL *ssl, const char *what)
{
    char text[sizeof err->message] = "";
    const char *data;
    int flags, alert = 0;
    long verify = ssl == NULL ? X509_V_OK : SSL_get_verify_result(ssl);
    unsigned long code;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        if (alert == 0)
            alert = alert_of(code);
        describe(code, data, flags, text, sizeof text);
    }
    if (verify != X509_V_OK)
        append(text, sizeof text, X509_verify_cert_error_string(verify));
    if (alert == 0)
        return atls_fail(err, ATLS_E_TLS, "%s%s", what, text);
    return atls_fail_alert(err, ATLS_E_TLS, ATLS_REASON_PEER_REFUSED, (enum atls_alert)alert,
                           "%s%s", what, text);
}
