/* JSON Web Keys (RFC 7517), public ones: codec only, no cryptography. */
#ifndef ATLS_WIRE_JWK_H
#define ATLS_WIRE_JWK_H

#include "core/arena.h"
#include "core/json_writer.h"
#include "wire/cose.h"
#include "wire/jws.h"

/* Limits of a text: those of a key set. */
#define ATLS_JWK_SET_MAX  (64 * 1024)
#define ATLS_JWK_KEYS_MAX 32

struct atls_jwk {
    struct atls_cose_key key;   /* kty, crv, x, y, n, e; borrows from the set */
    char kid[ATLS_JWS_KID_MAX]; /* "" when absent */
    char alg[ATLS_JWS_ALG_MAX]; /* "" when absent; else one that this type of key is for */
};

struct atls_jwks {
    struct atls_arena arena; /* all that is pointed at */
    struct atls_jwk *keys;
    size_t count; /* 1 to ATLS_JWK_KEYS_MAX */
};

/* Decodes a JWK, or a JWK set (RFC 7517 section 5) with at least one key: objects with unique
 * members; EC on P-256, P-384, P-521, OKP Ed25519, RSA of 2048 bits or more; coordinates exactly as
 * long as the field, numbers without leading zero bytes, base64url without padding; "use" is "sig"
 * and "key_ops" has "verify" where they are there; "alg" is a signature algorithm for that key. No
 * private member of any type, and no two keys of one kid. Members beyond these are ignored. Whether
 * a point is on its curve is the crypto layer's to say. *out is written on success only and is the
 * caller's to clear. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (key type, curve, use, algorithm),
 * ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_jwk_decode(struct atls_bytes json, struct atls_jwks *out,
                                               struct atls_err *err);
/* The same for the JWK that is the member name of an object. Errors: also ATLS_E_NOT_FOUND. */
ATLS_MUST_CHECK enum atls_code atls_jwk_decode_member(struct atls_bytes json, const char *name,
                                                      struct atls_jwks *out, struct atls_err *err);
void atls_jwks_clear(struct atls_jwks *jwks);

/* Writes the members that identify a key, in the order of RFC 7638 section 3.2; within an object.
 * Errors: ATLS_E_UNSUPPORTED for a compressed point or another type. */
ATLS_MUST_CHECK enum atls_code
atls_jwk_put_members(struct atls_json *j, const struct atls_cose_key *key, struct atls_err *err);

#endif
