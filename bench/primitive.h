/* What attestation cannot do without, to time: signatures, and values exported from TLS. */
#ifndef ATLS_BENCH_PRIMITIVE_H
#define ATLS_BENCH_PRIMITIVE_H

#include <stddef.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>

/* An ECDSA P-256 key, what an authenticator signs, and its signature. */
struct primitive {
    EVP_PKEY *key;
    unsigned char tbs[130], signature[80];
    size_t signature_len;
};

/* Ends the program on failure, as all here. */
void primitive_init(struct primitive *p);
void primitive_clear(struct primitive *p);
/* For struct bench; arg is a struct primitive. */
void primitive_sign(void *arg, unsigned long count);
void primitive_verify(void *arg, unsigned long count);
/* arg is an SSL after its handshake: one value as RFC 9261 and the binder ask for it. */
void primitive_export(void *arg, unsigned long count);

#endif
