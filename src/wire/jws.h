/* JSON Web Signatures in their compact form (RFC 7515 section 7.1), as JWTs carry results: codec
 * only, keys and signatures are for the crypto layer. */
#ifndef ATLS_WIRE_JWS_H
#define ATLS_WIRE_JWS_H

#include <atls/limits.h>

#include "core/writer.h"

#define ATLS_JWS_ALG_MAX 16
#define ATLS_JWS_KID_MAX 128

/* A decoded JWS. Nothing in it is verified, and no header chooses a key: "kid" may select among
 * configured ones, "jwk", "jku", "x5c" and the like are left in header for those who show them. */
struct atls_jws {
    struct atls_buf header;        /* JSON text */
    struct atls_buf payload;       /* bytes */
    struct atls_buf signature;     /* bytes; ECDSA as r || s of fixed width */
    struct atls_bytes signed_part; /* "header.payload" as received; borrows from the token */
    char alg[ATLS_JWS_ALG_MAX];    /* one of ES256, ES384, ES512, EdDSA, PS256, PS384, PS512 */
    char kid[ATLS_JWS_KID_MAX];    /* "" when absent */
    char typ[ATLS_JWS_KID_MAX];    /* "" when absent */
};

/* Decodes exactly three segments of base64url without padding; the header is a JSON object with
 * unique members, a known asymmetric alg, no "crit", and no typ but JWT and eat+jwt (RFC 7515
 * section 4.1.9). The signature is as long as the algorithm says. *out is written on success only
 * and is the caller's to clear. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (alg, crit, typ),
 * ATLS_E_LIMIT (ATLS_EAR_MAX), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_jws_decode(struct atls_bytes token, struct atls_jws *out,
                                               struct atls_err *err);
void atls_jws_clear(struct atls_jws *jws);

/* Writes what is to be signed: header {alg, typ: "JWT", ? kid} and payload. kid may be NULL. Then
 * follow atls_jws_put_signature. Errors of memory and limits stick to the writer. */
void atls_jws_put_signed_part(struct atls_writer *w, const char *alg, const char *kid,
                              struct atls_bytes payload);
void atls_jws_put_signature(struct atls_writer *w, struct atls_bytes signature);

#endif
