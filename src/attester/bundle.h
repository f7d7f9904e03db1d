/* What backends have in common whose platform token carries 64 bytes of the caller's choice: the
 * key attestation token (KAT) beside it, or in the bare profile nothing (docs/binding.md).
 *
 *     static enum atls_code quote(void *self, const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
 *                                 struct atls_quote *out, struct atls_err *err);
 *
 *     const struct atls_quoter quoter = {"tsm", self, quote, spki};
 *     return atls_bundle_evidence(&quoter, challenge, out_cmw, err);
 *
 * Quoting is the slow step and knows no key; everything else is cheap. No state: any thread. */
#ifndef ATLS_ATTESTER_BUNDLE_H
#define ATLS_ATTESTER_BUNDLE_H

#include <atls/attester.h>

#include "wire/cmw.h"

#define ATLS_QUOTE_CHALLENGE_LEN    64
#define ATLS_QUOTE_ENDORSEMENTS_MAX 12

/* One record of the bundle's "endorsements". */
struct atls_quote_endorsement {
    const char *label, *media_type; /* static */
    struct atls_buf value;
};

/* A platform token and what vouches for it, without anything of one connection but the challenge
 * inside. Owned: cleared by atls_quote_clear. */
struct atls_quote {
    const char *type; /* media type of the token; static */
    struct atls_buf token;
    /* The part of the token that grows with the machine's configuration, for messages; static name,
     * NULL: none. */
    const char *bulk;
    size_t bulk_len;
    struct atls_quote_endorsement endorsements[ATLS_QUOTE_ENDORSEMENTS_MAX];
    size_t endorsement_count;
};
void atls_quote_clear(struct atls_quote *quote); /* zeroed ones are fine */

/* A platform token over challenge. *out is the caller's to clear, written on success only. */
typedef enum atls_code atls_quote_function(void *self,
                                           const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
                                           struct atls_quote *out, struct atls_err *err);

struct atls_quoter {
    const char *scheme; /* for messages */
    void *self;
    atls_quote_function *quote;
    struct atls_bytes spki; /* of the AIK */
};

/* Evidence of profile KAT, or BARE when challenge takes nothing else: one CMW of at most
 * ATLS_CMW_DATA_MAX bytes. Errors: those of quote, ATLS_E_USAGE (no such profile), ATLS_E_LIMIT
 * naming what is too large, ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_bundle_evidence(const struct atls_quoter *quoter,
                                                    const struct atls_challenge *challenge,
                                                    struct atls_buf *out_cmw, struct atls_err *err);

/* The steps of it. The KAT over binder and key, as encoded. Errors: those of
 * atls_cose_key_from_spki and atls_kat_encode. */
ATLS_MUST_CHECK enum atls_code atls_bundle_kat(struct atls_bytes spki, struct atls_bytes binder,
                                               struct atls_buf *out, struct atls_err *err);
/* kat ("kat" member with its type; NULL: bare, the token is the whole CMW, its endorsements are
 * left out) and quote as one CMW. Errors: ATLS_E_LIMIT naming what is too large, those of
 * atls_cmw_encode. */
ATLS_MUST_CHECK enum atls_code atls_bundle_assemble(const struct atls_quoter *quoter,
                                                    const struct atls_cmw *kat,
                                                    const struct atls_quote *quote,
                                                    struct atls_buf *out_cmw, struct atls_err *err);

#endif
