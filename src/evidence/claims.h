/* Building claims: what every technology does alike. Private to src/evidence. */
#ifndef ATLS_EVIDENCE_CLAIMS_H
#define ATLS_EVIDENCE_CLAIMS_H

#include "evidence/evidence.h"

/* Empty claims of a technology, which own an arena; the caller clears them. */
struct atls_claims atls_claims_init(const struct atls_technology *technology);
/* The same in place, for claims on the heap: they are zeroed. */
void atls_claims_start(struct atls_claims *claims, const struct atls_technology *technology);

/* Copies who spoke into the claims: instance (33 bytes of UEID) also as tag 550, class, vendor and
 * model of key, the attested key. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_claims_identify(struct atls_claims *claims,
                                                    struct atls_bytes instance,
                                                    const struct atls_attest_key *key,
                                                    struct atls_bytes spki, struct atls_err *err);

/* Appends a digest to a measurement; the array has room for it. Copies value. False when memory or
 * the arena is used up. */
ATLS_MUST_CHECK bool atls_claims_add_digest(struct atls_claims *claims, struct atls_measurement *m,
                                            enum atls_hash hash, struct atls_bytes value);

/* Details by type; bytes and text are copied, and what is absent (.ptr NULL) is left out. name is
 * static. False when memory or the arena is used up, or there are too many. */
ATLS_MUST_CHECK bool atls_claims_add_uint(struct atls_claims *claims, const char *name,
                                          uint64_t number);
ATLS_MUST_CHECK bool atls_claims_add_bool(struct atls_claims *claims, const char *name, bool yes);
ATLS_MUST_CHECK bool atls_claims_add_bytes(struct atls_claims *claims, const char *name,
                                           struct atls_bytes bytes);
ATLS_MUST_CHECK bool atls_claims_add_text(struct atls_claims *claims, const char *name,
                                          struct atls_bytes text);
ATLS_MUST_CHECK bool atls_claims_add_string(struct atls_claims *claims, const char *name,
                                            const char *text);

/* The key that the source has on file for instance. *out is written and the caller's to clear on
 * success only. Errors: ATLS_E_NOT_FOUND, also without a source; those of the source. */
ATLS_MUST_CHECK enum atls_code atls_evidence_attest_key(const struct atls_evidence_request *request,
                                                        struct atls_bytes instance,
                                                        struct atls_attest_key *out,
                                                        struct atls_err *err);

/* Whether key was enrolled for evidence of this technology: else whoever holds a key of one could
 * speak for another, and a key that anyone can make for a machine. reason: what the technology
 * calls a key that it does not believe. Errors: ATLS_E_EVIDENCE (reason), naming both. */
ATLS_MUST_CHECK enum atls_code atls_attest_key_check(const struct atls_attest_key *key,
                                                     const struct atls_technology *technology,
                                                     enum atls_reason reason, struct atls_err *err);

/* The options of a request, or the strict defaults. */
const struct atls_evidence_options *
atls_evidence_options_of(const struct atls_evidence_request *request);

#endif
