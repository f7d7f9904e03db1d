/* The key-attestation bundle (docs/binding.md): what ties platform evidence to one key and one
 * connection.
 *
 *     KAT      = 601({10: binder, 8: {1: COSE_Key of the AIK}})      (unsigned claims set)
 *     challenge of the platform token (PAT) = SHA-512(KAT as encoded) (64 bytes)
 *     bundle   = CMW collection {"kat": record, "pat": record, ? "endorsements": collection}
 *
 * A TPM signs natively, so its halves are TPM2_Certify and TPM2_Quote structures instead (see
 * struct atls_tpm_half). The KAT is authenticated only by the hash in the PAT: read it after the
 * PAT's signature and that equality have been checked. */
#ifndef ATLS_WIRE_KAT_H
#define ATLS_WIRE_KAT_H

#include "core/arena.h"
#include "wire/cmw.h"
#include "wire/cose.h"

/* __cmwc_t of our bundle: an OID-free, registration-free absolute URI. */
#define ATLS_BUNDLE_TYPE "urn:uuid:7d3c1c52-31a5-4a0e-9b1e-6f0f0c0a71b5"

/* Media types of the halves. */
#define ATLS_TYPE_KAT         "application/eat-ucs+cbor" /* content-format 267 */
#define ATLS_TYPE_TPM_CERTIFY "application/vnd.libatls.tpm-certify+cbor"
#define ATLS_TYPE_TPM_QUOTE   "application/vnd.libatls.tpm-quote+cbor"
#define ATLS_SOFT_PROFILE     "urn:uuid:0c1d9a86-5a59-4ed7-8a14-1c3f0a6f3a11"
#define ATLS_TYPE_SOFT        "application/eat+cwt; eat_profile=\"" ATLS_SOFT_PROFILE "\""

struct atls_kat {
    struct atls_bytes nonce; /* binder: 32 or 48 bytes */
    struct atls_bytes cose_key_encoded;
    struct atls_cose_key key;
};

/* Exactly tag 601, a map of exactly the keys 8 and 10, cnf with exactly the COSE_Key method.
 * Borrows from in. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (key type), ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_kat_decode(struct atls_bytes in, struct atls_kat *out,
                                               struct atls_err *err);
/* Writes the claims set with its tag, cnf before eat_nonce (RFC 8949 section 4.2.1). Errors:
 * ATLS_E_USAGE for a nonce or key that the decoder would refuse, else as the writer. */
ATLS_MUST_CHECK enum atls_code atls_kat_encode(struct atls_bytes nonce,
                                               const struct atls_cose_key *key,
                                               struct atls_writer *w, struct atls_err *err);

struct atls_bundle {
    struct atls_cmw kat;
    struct atls_cmw pat;
    const struct atls_cmw *endorsements; /* NULL when absent; a collection */
};

/* A CMW collection of type ATLS_BUNDLE_TYPE with exactly "kat", "pat" (records) and, if any,
 * "endorsements" (a collection). A record that has an indicator has the bit of its use in it (RFC
 * 9999): evidence for the halves, endorsements for whatever stands below "endorsements". The bundle
 * borrows from cmw. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_bundle_open(const struct atls_cmw *cmw, struct atls_bundle *out,
                                                struct atls_err *err);

/* Writes the CMW of a bundle; endorsements may be NULL. Errors: as atls_cmw_encode, ATLS_E_USAGE
 * for indicators that atls_bundle_open refuses too. */
ATLS_MUST_CHECK enum atls_code atls_bundle_encode(const struct atls_cmw *kat,
                                                  const struct atls_cmw *pat,
                                                  const struct atls_cmw *endorsements,
                                                  struct atls_writer *w, struct atls_err *err);

#endif
