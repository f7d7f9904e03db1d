/* What ties a platform token to one key and one connection (docs/binding.md), for every technology
 * whose token carries a challenge.
 *
 *     atls_answer_expect(bundle, format, request, &answer, err);   what must have been signed
 *     ... verify the token, and that its challenge is answer.challenge, all of it ...
 *     atls_answer_accept(&answer, request, &spki, err);            only now is the KAT read
 *
 * Private to src/evidence. */
#ifndef ATLS_EVIDENCE_ANSWER_H
#define ATLS_EVIDENCE_ANSWER_H

#include "evidence/evidence.h"

#define ATLS_ANSWER_MAX 64

struct atls_answer {
    enum atls_evidence_profile profile;
    uint8_t challenge[ATLS_ANSWER_MAX];
    size_t len;            /* 64, but for a nonce of another length in ATLS_EVIDENCE_KEY_UNKNOWN */
    struct atls_bytes kat; /* as encoded; borrows from the bundle; absent in the bare profile */
};

/* KAT: SHA-512 of it. BATCH: the challenge of the tree that kat and path lead to. BARE: binder ||
 * SHA-256 of the key, a 48-byte binder and zeros, or the nonce itself where no key is known.
 * Errors: ATLS_E_DECODE (batch-path malformed), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_answer_expect(const struct atls_bundle *bundle,
                                                  const struct atls_evidence_request *request,
                                                  struct atls_answer *out, struct atls_err *err);

/* True when found is the challenge, in constant time and over its full length. A shorter challenge
 * stands with zeros behind it in a field of 64 bytes, and all of them are compared. */
bool atls_answer_matches(const struct atls_answer *answer, struct atls_bytes found);

/* Reads the KAT: its nonce must be the binder (nonce-mismatch), its key the AIK where that is known
 * (key-binding-mismatch). out_spki is the attested key, the caller's to clear; empty in the bare
 * profile with ATLS_EVIDENCE_KEY_UNKNOWN. Call it after the challenge was found signed. */
ATLS_MUST_CHECK enum atls_code atls_answer_accept(const struct atls_answer *answer,
                                                  const struct atls_evidence_request *request,
                                                  struct atls_buf *out_spki, struct atls_err *err);

#endif
