/* Public keys that verify tokens. */
#ifndef ATLS_VERIFIER_EAR_KEYS_H
#define ATLS_VERIFIER_EAR_KEYS_H

#include <atls/ear.h>

#include "crypto/crypto.h"

/* RFC 7638 thumbprint by SHA-256, base64url, NUL terminated. */
#define ATLS_THUMBPRINT_LEN 44

/* The key of a discovery document (application/vnd.veraison.discovery+json), member
 * "ear-verification-key": one JWK. Errors: as atls_ear_keys_parse; ATLS_E_NOT_FOUND when there is
 * no such member. */
ATLS_MUST_CHECK enum atls_code atls_ear_keys_from_discovery(struct atls_bytes text,
                                                            struct atls_ear_keys **out,
                                                            struct atls_err *err);
/* A set of one key; kid may be NULL. Errors: ATLS_E_USAGE (kid too long), ATLS_E_CRYPTO,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_keys_from_key(const struct atls_key *key, const char *kid,
                                                      struct atls_ear_keys **out,
                                                      struct atls_err *err);
/* The JWK (RFC 7517) of a key, with "use", "alg" if it signs with one alone, and kid unless NULL;
 * NUL terminated inside out (not counted). Errors: ATLS_E_UNSUPPORTED, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ear_jwk_encode(const struct atls_key *key, const char *kid,
                                                   struct atls_buf *out, struct atls_err *err);
/* A kid that every holder of the key finds alike. Errors: ATLS_E_UNSUPPORTED, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_ear_thumbprint(const struct atls_key *key,
                                                   char out[static ATLS_THUMBPRINT_LEN],
                                                   struct atls_err *err);

/* What a token says of its key and algorithm. */
struct atls_ear_signature {
    struct atls_bytes jose_alg; /* .ptr NULL: COSE, which leaves the curve to the key */
    int64_t cose_alg;
    struct atls_bytes kid; /* .ptr NULL: none */
    struct atls_bytes signed_bytes, signature;
};
/* Verifies with the keys that the kid selects: those that bear it, else those that bear none;
 * without a kid, all. The algorithm must be one for the type of the key, and the key's own if it
 * names one. Errors: ATLS_E_VERIFY (signature, kid-mismatch), ATLS_E_UNSUPPORTED (algorithm). */
ATLS_MUST_CHECK enum atls_code atls_ear_keys_verify(const struct atls_ear_keys *keys,
                                                    const struct atls_ear_signature *s,
                                                    struct atls_err *err);

#endif
