/* The Verifier as a service to others (library libatls-verifier): takes evidence that answers a
 * nonce, issues a signed attestation result.
 *
 * An issuer sees no TLS connection: it cannot know the binder nor the peer's key. So it gives out
 * nothing but signed tokens, in which nonce and attested key stand for the Relying Party to
 * compare; a Relying Party itself uses atls/verifier.h. May be used from any thread. */
#ifndef ATLS_ISSUER_H
#define ATLS_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/clock.h>
#include <atls/ear.h>
#include <atls/log.h>
#include <atls/policy.h>
#include <atls/result.h>
#include <atls/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_issuer;

/* Call atls_issuer_options_init first. */
struct atls_issuer_options {
    size_t size;                /* of this struct, set by init */
    struct atls_store *store;   /* borrowed: endorsements, reference values, signing keys */
    struct atls_policy *policy; /* referenced; NULL: results are issued as appraisal made them. A
                                   refusal lowers the status to contraindicated; no policy raises
                                   anything */
    struct atls_ear_options
        ear; /* kid is the issuer's to set; strings borrow as long as it lives */
    bool allow_insecure_technology; /* these four as in struct atls_verifier_options */
    bool allow_sha1_pcr_bank;
    bool allow_unsafe_clock;
    bool require_ak_eku;
    bool allow_ima_violations;
    struct atls_clock clock; /* zeros: the system's */
    struct atls_log log;
    const char *const *rules;           /* as in struct atls_verifier_options; borrows during new */
    const char *const *collateral_from; /* likewise */
    const char *collateral_ca_file;     /* PEM: who may vouch for these; NULL: the system's */
};
ATLS_API void atls_issuer_options_init(struct atls_issuer_options *options);

/* Errors: ATLS_E_USAGE, ATLS_E_CONFIG (rules; store without trust anchor or key, or without signing
 * key), ATLS_E_UNSUPPORTED (profile), ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_issuer_new(const struct atls_issuer_options *options,
                                                        struct atls_issuer **out,
                                                        struct atls_err *err);
ATLS_API void atls_issuer_free(struct atls_issuer *issuer); /* NULL is fine */

/* Content-Types of evidence that this issuer appraises, NULL-terminated: CMWs, and the tokens of
 * platforms that may stand alone. Borrows from issuer. */
ATLS_API const char *const *atls_issuer_media_types(const struct atls_issuer *issuer);

struct atls_submission {
    const char *media_type; /* Content-Type as received; a CMW type may wrap one of those above */
    struct atls_bytes evidence; /* at most ATLS_CMW_DATA_MAX bytes */
    /* 8..64 bytes that the evidence must answer. A bundle has it in its key attestation token; a
     * token that stands alone is asked for it itself, with zeros behind it where the platform has a
     * field of 64 bytes: then the result attests no key. */
    struct atls_bytes nonce;
    int64_t time_s; /* 0: the clock's now */
    /* The Verifier made the nonce, just now and for this Attester. Otherwise the evidence may be as
     * old as the nonce, and the result says so: it is for who knows the nonce, and no passport. */
    bool own_nonce;
};

/* What was decided and why, for a log. Texts are escaped and NUL terminated. */
struct atls_issue_record {
    enum atls_tier status;
    enum atls_reason reason; /* ATLS_REASON_NONE when affirming */
    bool genuine;            /* every check of the evidence itself passed */
    char submod[16];         /* "TPM" */
    char instance[67];       /* UEID in hexadecimal; "" when unknown */
    char key[24];            /* "sha256:" and 16 digits of the attested key; "" when none */
    char kid[72];            /* of the key that signed the result */
    char explanation[512];   /* which check, expected, got; "" when affirming */
};

/* Appraises and signs. Evidence that fails a check gets a result as well: contraindicated, every
 * claim of its vector 99, and the failed check named (draft-ietf-rats-ar4si section 2.3.4), because
 * that is what the submitter asked for. *out (JWT: text, NUL terminated, not counted) is the
 * caller's to clear; record may be NULL. Errors: ATLS_E_UNSUPPORTED with reason
 * unknown-evidence-type (media type), ATLS_E_DECODE (the CMW that wraps the evidence),
 * ATLS_E_USAGE (nonce), ATLS_E_LIMIT; ATLS_E_IO, ATLS_E_CONFIG (store; no signing key),
 * ATLS_E_CRYPTO, ATLS_E_NOMEM: these say nothing about the evidence. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_issuer_issue(struct atls_issuer *issuer, const struct atls_submission *submission,
                  struct atls_buf *out, struct atls_issue_record *record, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
