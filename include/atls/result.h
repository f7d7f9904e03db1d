/* Attestation results: what a Verifier says of a peer (EAR, draft-ietf-rats-ear-04).
 *
 * A result is immutable once built, reference counted, shared freely. It says what was found;
 * whether that is good enough is the policy's to decide (atls/policy.h). */
#ifndef ATLS_RESULT_H
#define ATLS_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Trust tiers (AR4SI), with their CBOR numbers. Zero claims nothing. */
enum atls_tier {
    ATLS_TIER_NONE = 0,
    ATLS_TIER_AFFIRMING = 2,
    ATLS_TIER_WARNING = 32,
    ATLS_TIER_CONTRAINDICATED = 96,
};
/* Tier of one trust-vector value (-128..127): positive and negative ranges of AR4SI. */
ATLS_API enum atls_tier atls_tier_of(int value);
ATLS_API const char *atls_tier_name(enum atls_tier tier); /* "affirming" */

/* Claims of the trust vector, in the order of their keys. */
enum atls_trust_claim {
    ATLS_TRUST_INSTANCE_IDENTITY = 0,
    ATLS_TRUST_CONFIGURATION = 1,
    ATLS_TRUST_EXECUTABLES = 2,
    ATLS_TRUST_FILE_SYSTEM = 3,
    ATLS_TRUST_HARDWARE = 4,
    ATLS_TRUST_RUNTIME_OPAQUE = 5,
    ATLS_TRUST_STORAGE_OPAQUE = 6,
    ATLS_TRUST_SOURCED_DATA = 7,
    ATLS_TRUST_CLAIMS = 8, /* how many there are */
};
ATLS_API const char *atls_trust_claim_name(enum atls_trust_claim claim); /* "instance-identity" */

struct atls_result;

ATLS_API struct atls_result *atls_result_ref(struct atls_result *r);
ATLS_API void atls_result_unref(struct atls_result *r); /* NULL is fine */

/* Not better than the worst submodule. */
ATLS_API enum atls_tier atls_result_status(const struct atls_result *r);
ATLS_API size_t atls_result_submods(const struct atls_result *r);
ATLS_API const char *atls_result_submod_name(const struct atls_result *r, size_t index);
ATLS_API enum atls_tier atls_result_submod_status(const struct atls_result *r, size_t index);
/* Value of one trust-vector claim of one submodule; 0 when it makes no statement. */
ATLS_API int atls_result_submod_trust(const struct atls_result *r, size_t index,
                                      enum atls_trust_claim claim);
/* Evidence technology that it came from ("tpm", "soft"); "" when a result of another Verifier does
 * not tell. */
ATLS_API const char *atls_result_evidence_type(const struct atls_result *r);
/* True when anyone could have made the evidence; a policy must name such a technology. */
ATLS_API bool atls_result_insecure(const struct atls_result *r);
ATLS_API int64_t atls_result_issued_at(const struct atls_result *r); /* seconds since 1970 */
/* When it stops counting, seconds since 1970; 0: it does not say. */
ATLS_API int64_t atls_result_expires_at(const struct atls_result *r);
/* Who appraised: "developer build", or the build where it names its developer; printable ASCII;
 * borrows from r. */
ATLS_API const char *atls_result_verifier(const struct atls_result *r);
/* DER SubjectPublicKeyInfo of the attested key; borrows; empty when nothing attests a key. */
ATLS_API struct atls_bytes atls_result_key(const struct atls_result *r);
/* UEID of the instance; borrows; empty when unknown. */
ATLS_API struct atls_bytes atls_result_instance(const struct atls_result *r);
/* One sentence for people: why the status is not affirming, naming measurement, found and expected
 * ("PCR 4 (sha256) is 3d45.., no reference value of "rack-7" matches"); "" when it is affirming. */
ATLS_API const char *atls_result_explanation(const struct atls_result *r);
/* Why the status is not affirming, for programs: ATLS_REASON_MEASUREMENT,
 * ATLS_REASON_NO_REFERENCE_VALUES, ATLS_REASON_INSECURE_TECHNOLOGY, that of the failed check;
 * ATLS_REASON_POLICY when another Verifier gives none; ATLS_REASON_NONE when nothing is wrong. */
ATLS_API enum atls_reason atls_result_reason(const struct atls_result *r);
/* The claims set of the EAR as JSON text with the names of profile tag:ietf.org,2026:rats/ear#04,
 * also where another Verifier used others (eat_profile then says which); NUL terminated, made at
 * the first call, borrows from r. NULL when memory or the limit of 512 KiB runs out. */
ATLS_API const char *atls_result_json(struct atls_result *r);

#ifdef __cplusplus
}
#endif
#endif
