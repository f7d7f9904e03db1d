/* The key of an attester as a key of OpenSSL: the private operation is atls_attester_sign, wherever
 * the key itself is (a TPM, a file, memory).
 *
 *     if ((code = atls_openssl_key_new(attester, &key, err)) == ATLS_OK &&
 *         (code = atls_openssl_use_key(ssl, key, chain, err)) == ATLS_OK) ...
 *
 * Programs use atls_openssl_use_attester (atls/openssl.h). */
#ifndef ATLS_TLS_OPENSSL_KEY_H
#define ATLS_TLS_OPENSSL_KEY_H

#include <openssl/ssl.h>

#include <atls/attester.h>

/* A key that signs with the attester's own scheme (EVP_DigestSign, one shot or streaming, with RSA
 * only PSS with a salt as long as the digest) and nothing else: another digest is refused when the
 * operation is set up, so that TLS 1.3 chooses the scheme that fits. Its public half is as that of
 * any key: EVP_PKEY_eq, X509_check_private_key, i2d_PUBKEY, EVP_PKEY_get_bits. Where the attester
 * fails, OpenSSL's error queue holds its message (atls_openssl_fail shows it). It holds a reference
 * to the attester; the caller frees it with EVP_PKEY_free. Any thread, several at once. Its
 * implementation stands in a library context of its own, so that nothing else in the program ever
 * finds it; an SSL_CTX with a property query that this context cannot answer ("fips=yes") cannot
 * use the key. Errors: ATLS_E_UNSUPPORTED (scheme or type of key not of TLS 1.3), ATLS_E_CONFIG
 * (key and scheme disagree), ATLS_E_NOMEM, ATLS_E_TLS. */
ATLS_MUST_CHECK enum atls_code atls_openssl_key_new(struct atls_attester *attester, EVP_PKEY **out,
                                                    struct atls_err *err);

/* A certificate chain as OpenSSL has it, parsed once for many connections. Immutable, reference
 * counted, share freely. */
struct atls_openssl_chain;
/* DER, end entity first; count >= 1. Errors: ATLS_E_TLS, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_openssl_chain_new(const struct atls_bytes *certificates,
                                                      size_t count, struct atls_openssl_chain **out,
                                                      struct atls_err *err);
struct atls_openssl_chain *atls_openssl_chain_ref(struct atls_openssl_chain *chain);
void atls_openssl_chain_unref(struct atls_openssl_chain *chain); /* NULL is fine */

/* Has this connection alone show the chain and sign with the key, which must be of its end entity;
 * it takes references of its own. Errors: ATLS_E_TLS (not of that key; below the security level of
 * ssl). */
ATLS_MUST_CHECK enum atls_code atls_openssl_use_key(SSL *ssl, EVP_PKEY *key,
                                                    const struct atls_openssl_chain *chain,
                                                    struct atls_err *err);

#endif
