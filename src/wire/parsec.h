/* Bundles of the Parsec proof of concept: key attestation and platform token as two members of one
 * CBOR map, a record of a media type of its own. Codec only.
 *
 *     CCA   {"kat": 601({10: nonce, 8: {1: COSE_Key}}), "pat": CCA token}
 *     TPM   {"kat": {"tpmVer": "2.0", "kid": bytes, "sig": TPMT_SIGNATURE,
 *                    "certInfo": TPMS_ATTEST, "pubArea": TPMT_PUBLIC},
 *            "pat": {"tpmVer": "2.0", "kid": bytes, "sig": TPMT_SIGNATURE,
 *                    "attestInfo": TPMS_ATTEST}}
 *
 * Members stand in any order, each once; nothing else may stand there. */
#ifndef ATLS_WIRE_PARSEC_H
#define ATLS_WIRE_PARSEC_H

#include "core/arena.h"
#include "core/reader.h"
#include "wire/cose.h"

#define ATLS_TYPE_PARSEC_CCA "application/vnd.parallaxsecond.key-attestation.cca"
#define ATLS_TYPE_PARSEC_TPM "application/vnd.parallaxsecond.key-attestation.tpm"

/* Both as they stand, tags included; heads may be longer than they need be (wire/arm_claims.h). */
struct atls_parsec_cca {
    struct atls_bytes kat;
    struct atls_bytes token;
};
/* *out borrows from in; arena is for the walk. Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_parsec_cca_decode(struct atls_bytes in,
                                                      struct atls_arena *arena,
                                                      struct atls_parsec_cca *out,
                                                      struct atls_err *err);

struct atls_parsec_cca_kat {
    struct atls_bytes nonce; /* 8..64 bytes */
    struct atls_cose_key key;
};
/* The KAT, which nothing but the realm's challenge authenticates: exactly the claims 8 and 10, one
 * nonce, one confirmation method. *out borrows from in and arena. Errors: ATLS_E_DECODE
 * (malformed), ATLS_E_UNSUPPORTED (type of key), ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_parsec_cca_kat_decode(struct atls_bytes in,
                                                          struct atls_arena *arena,
                                                          struct atls_parsec_cca_kat *out,
                                                          struct atls_err *err);

struct atls_parsec_tpm_half {
    struct atls_bytes kid; /* 33 bytes, first 01 */
    struct atls_bytes signature, attest;
    struct atls_bytes public_area; /* of "kat" */
};
struct atls_parsec_tpm {
    struct atls_parsec_tpm_half kat, pat;
};
/* Shortest heads only. *out borrows from in; whether the two kids are one is the caller's to say.
 * Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code
atls_parsec_tpm_decode(struct atls_bytes in, struct atls_parsec_tpm *out, struct atls_err *err);

#endif
