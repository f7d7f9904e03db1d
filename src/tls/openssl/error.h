/* OpenSSL's errors as ours. */
#ifndef ATLS_TLS_OPENSSL_ERROR_H
#define ATLS_TLS_OPENSSL_ERROR_H

#include <openssl/ssl.h>

#include <atls/err.h>

/* Records ATLS_E_TLS: what failed, the reasons that OpenSSL's queue of this thread holds (drained),
 * and why the peer's certificate was refused, if it was. A fatal alert of the peer gives reason
 * peer-refused and its number (which may be none of enum atls_alert). ssl may be NULL. */
enum atls_code atls_openssl_fail(struct atls_err *err, const SSL *ssl, const char *what);

#endif
