/* Forms of evidence in certificates that are no CMW, byte by byte: tagged evidence of DICE with its
 * claims, and what Open Enclave puts around a quote. Pure codec: nothing is verified, and quotes
 * are not looked into. */
#ifndef ATLS_WIRE_RA_TLS_FORMS_H
#define ATLS_WIRE_RA_TLS_FORMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

/* ---- tagged evidence of DICE ---- */

#define ATLS_TAG_DICE_QUOTE      60000 /* ECDSA quote of SGX or TDX */
#define ATLS_TAG_DICE_TEE_REPORT 60001
#define ATLS_TAG_DICE_SGX_REPORT 60002

/* What a claims-buffer, and the whole, may have. */
#define ATLS_DICE_CLAIMS_MAX (16 * 1024)

/* 60000([quote: bstr, claims-buffer: bstr]); views borrow. */
struct atls_dice_evidence {
    struct atls_bytes quote;
    struct atls_bytes claims; /* as encoded: what the quote's report data is the hash of */
};
/* Exactly consumed, shortest heads, definite lengths, nothing empty. Errors: ATLS_E_DECODE
 * (malformed); ATLS_E_UNSUPPORTED (unknown-evidence-type: another tag, named); ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_dice_evidence_decode(struct atls_bytes in,
                                                         struct atls_dice_evidence *out,
                                                         struct atls_err *err);

/* Algorithms of pubkey-hash: numbers of IANA's registry of named information hashes. */
enum atls_dice_hash {
    ATLS_DICE_SHA256 = 1,
    ATLS_DICE_SHA384 = 7,
    ATLS_DICE_SHA512 = 8,
};

/* A map of text to byte strings. */
struct atls_dice_claims {
    enum atls_dice_hash hash;
    struct atls_bytes pubkey_hash; /* of hash's length */
    bool has_nonce;
    struct atls_bytes nonce;
    size_t others; /* claims that were passed over */
};
/* Errors: ATLS_E_DECODE (malformed: also without pubkey-hash, a claim twice, a claim that is no
 * byte string, a hash of another length than its algorithm's); ATLS_E_UNSUPPORTED
 * (unsupported-algorithm); ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_dice_claims_decode(struct atls_bytes in, struct atls_dice_claims *out, struct atls_err *err);

/* ---- Open Enclave ---- */

/* A report: header of version 1, type 2 (remote), and a quote that fills the rest, whose report
 * data is SHA-256 of the key as PEM text. Numbers are little-endian. Errors: ATLS_E_DECODE
 * (malformed), ATLS_E_UNSUPPORTED (unsupported-version; unknown-evidence-type: a local report). */
ATLS_MUST_CHECK enum atls_code
atls_oe_report_decode(struct atls_bytes in, struct atls_bytes *out_quote, struct atls_err *err);

/* Evidence: header of version 3 with the format a3a21e87-1b4d-4014-b70a-a125d2fbcd8c (ECDSA quote),
 * then a quote whose report data is SHA-256 of the custom claims, and these behind it. How long the
 * quote is, it says itself: *out is both. Errors: ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED
 * (unsupported-version; unknown-evidence-type: another format). */
ATLS_MUST_CHECK enum atls_code atls_oe_evidence_decode(struct atls_bytes in, struct atls_bytes *out,
                                                       struct atls_err *err);

#endif
