/* EAR as a token (library libatls-verifier): JWT or CWT, signed with ES256, ES384 or EdDSA. */
#ifndef ATLS_EAR_H
#define ATLS_EAR_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signs the claims set of r as a compact JWS; private_key_pem is PEM text; kid may be NULL. *out:
 * text, NUL terminated (not counted), the caller's to clear. Errors: ATLS_E_DECODE (key),
 * ATLS_E_CRYPTO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_sign(struct atls_result *r,
                                                      struct atls_bytes private_key_pem,
                                                      const char *kid, struct atls_buf *out,
                                                      struct atls_err *err);
/* Forms of a token. */
enum atls_ear_form { ATLS_EAR_FORM_JWT = 1, ATLS_EAR_FORM_CWT = 2 };

/* How a result becomes a token. Call atls_ear_options_init first. */
struct atls_ear_options {
    size_t size;             /* of this struct, set by init */
    enum atls_ear_form form; /* init: JWT */
    const char *profile;     /* eat_profile, which selects the names of the claims (docs/ear.md);
                                init: "tag:ietf.org,2026:rats/ear#04" */
    const char *kid;         /* or NULL */
    int64_t lifetime_s;      /* exp = iat + lifetime_s; 0: no exp, which profiles before #03 lack */
};
ATLS_API void atls_ear_options_init(struct atls_ear_options *options);
/* As atls_ear_sign, in the form and with the names that options say; a CWT is binary. Errors: those
 * of atls_ear_sign, ATLS_E_UNSUPPORTED (a profile that is not known), ATLS_E_USAGE. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_sign_as(struct atls_result *r,
                                                         struct atls_bytes private_key_pem,
                                                         const struct atls_ear_options *options,
                                                         struct atls_buf *out,
                                                         struct atls_err *err);

/* Public keys of a Verifier; immutable, reference counted, share freely. */
struct atls_ear_keys;
/* From a JWK or a JWK set (JSON, RFC 7517; at most 64 KiB, 32 keys), or PEM text with one or more
 * "PUBLIC KEY" or "CERTIFICATE" blocks. Private parts are refused, as are two keys of one kid.
 * Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (a key that no algorithm here uses), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ear_keys_parse(struct atls_bytes text, struct atls_ear_keys **out, struct atls_err *err);
ATLS_API struct atls_ear_keys *atls_ear_keys_ref(struct atls_ear_keys *keys);
ATLS_API void atls_ear_keys_unref(struct atls_ear_keys *keys); /* NULL is fine */
ATLS_API size_t atls_ear_keys_count(const struct atls_ear_keys *keys);

/* A result may be as old as it likes: many have no expiry of their own. */
#define ATLS_EAR_ANY_AGE INT64_C(-1)

/* What an EAR is held against. Call atls_ear_check_init first, then set every member. */
struct atls_ear_check {
    size_t size;                      /* of this struct, set by init */
    struct atls_bytes public_key_pem; /* of the Verifier: PEM "PUBLIC KEY" or "CERTIFICATE" */
    int64_t time_s;                   /* now, seconds since 1970 */
    int64_t max_age_s;                /* seconds since it was issued, at least 1; or
                                         ATLS_EAR_ANY_AGE, which has to be asked for */
    struct atls_ear_keys *keys;       /* instead of public_key_pem; borrowed. A kid in the token
                                         selects among them; one without kid is tried with each */
    struct atls_bytes nonce;          /* 8..64 octets that the token must echo; empty: any */
    bool allow_float_times; /* read times of the 2023 profile (JWT) that were written as floats,
                               which some published tokens have */
};
ATLS_API void atls_ear_check_init(struct atls_ear_check *check);

/* Verifies an EAR of a configured Verifier, compact JWS or CWT (docs/ear.md): signature by the keys
 * given (no header of the token ever adds one, and the algorithm is the key's), strict claims set,
 * time: issued at most 60 s in the future and not longer ago than max_age_s, not expired, valid
 * already; and the nonce if one is given. Which status is good enough, of which submodules, is the
 * caller's to judge. *out: {"verified": true, "header": ..., "claims": ...} as atls_ear_show, the
 * caller's to clear. Errors: ATLS_E_USAGE (a check that is not complete), ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED, ATLS_E_VERIFY (signature, kid-mismatch, nonce-mismatch), ATLS_E_CERTIFICATE
 * (certificate-expired, also for its age; certificate-not-yet-valid), ATLS_E_LIMIT, ATLS_E_NOMEM.
 */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_verify(struct atls_bytes token,
                                                        const struct atls_ear_check *check,
                                                        struct atls_buf *out, struct atls_err *err);
/* Decodes an EAR (JWT, CWT, or the claims set of either) WITHOUT verifying a signature, for
 * showing: pretty JSON {"verified": false, "header": ..., "claims": ...}, NUL terminated (not
 * counted); "header" is left out for a bare claims set. A JWT shows what it carries, a CWT the
 * claims that we know under their names of JSON. Strict as atls_ear_verify. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ear_show(struct atls_bytes in, struct atls_buf *out,
                                                      struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
