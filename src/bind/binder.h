/* The attestation binder: what ties evidence to one connection and one key
 * (draft-fossati-seat-expat-03, "Attestation Binder"; docs/binding.md).
 *
 *     exported = TLS-Exporter("Attestation", certificate_request_context, 32)
 *     binder   = Hash(SubjectPublicKeyInfo of the AIK || exported)        32 or 48 bytes
 *
 * The other flavours have binders of their own below. No two of the formulas give the same value,
 * so that evidence made for one flavour never passes in another: the first hashes a DER structure
 * (it begins 30), the others a text of ours, or expand with HKDF, whose last block is an HMAC. */
#ifndef ATLS_BIND_BINDER_H
#define ATLS_BIND_BINDER_H

#include <atls/bytes.h>
#include <atls/crypto.h>
#include <atls/ea.h>

#define ATLS_BINDER_LABEL "Attestation"
#define ATLS_BINDER_MAX   48

/* A value type: copy freely, it is no secret from the peer, but wiped where it was kept. */
struct atls_binder {
    size_t len; /* 32 or 48; 0: absent, which every consumer treats as an error */
    uint8_t data[ATLS_BINDER_MAX];
};

static inline struct atls_bytes atls_binder_bytes(const struct atls_binder *b)
{
    return atls_bytes_of(b->data, b->len);
}

/* First half, on the connection's thread: the 32 exported bytes for one request context. */
ATLS_MUST_CHECK enum atls_code atls_binder_export(atls_exporter *exporter, void *arg,
                                                  struct atls_bytes context, uint8_t out[32],
                                                  struct atls_err *err);
/* Second half, anywhere: Hash(spki || exported). Errors: ATLS_E_USAGE (hash not SHA-256 or SHA-384,
 * empty spki), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_binder_make(enum atls_hash hash, struct atls_bytes spki,
                                                const uint8_t exported[32], struct atls_binder *out,
                                                struct atls_err *err);

/* ---- intra-handshake (draft-fossati-seat-early-attestation-06; docs/intra.md) ---- */

/* Values of one handshake, and the key of the side that attests. */
struct atls_binder_handshake {
    enum atls_hash hash;               /* of the cipher suite: SHA-256 or SHA-384 */
    struct atls_bytes transcript_hash; /* ClientHello .. ServerHello, of that hash's length */
    struct atls_bytes spki;            /* DER, of the end-entity certificate */
};
/* HKDF-Expand-Label(base, "attestation", Hash(spki), L), where base is HKDF-Expand-Label(L zeros,
 * "attestation base", transcript_hash, L). Errors: ATLS_E_USAGE (hash, a transcript_hash of another
 * length, empty spki), ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_binder_intra(const struct atls_binder_handshake *handshake,
                                                 struct atls_binder *out, struct atls_err *err);
/* Not of the draft, for two sides that agreed on it: whoever computes it knows a secret of the
 * handshake. secret is SERVER_HANDSHAKE_TRAFFIC_SECRET, whichever side attests, of that hash's
 * length.
 *
 *     derived = HKDF-Expand-Label(secret, "atls intra secret binder", Hash(spki), L)
 *     binder  = Hash("atls intra secret binder 1" || 00 || binder of the draft || derived)
 *
 * Errors: as atls_binder_intra; ATLS_E_USAGE for a secret of another length. */
ATLS_MUST_CHECK enum atls_code
atls_binder_intra_secret(const struct atls_binder_handshake *handshake, struct atls_bytes secret,
                         struct atls_binder *out, struct atls_err *err);

/* ---- pre-handshake (ours) ---- */

#define ATLS_BINDER_PRE_NONCE_LEN 32

/* SHA-256("atls pre-handshake 1" || 00 || length of nonce, 1 byte || nonce || spki): bound to the
 * key, and fresh where there is a nonce. nonce has 32 bytes, or none. Errors: ATLS_E_USAGE (another
 * length, empty spki), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_binder_pre(struct atls_bytes nonce, struct atls_bytes spki,
                                               struct atls_binder *out, struct atls_err *err);

/* ---- how binders get into evidence ---- */

/* The 32 bytes a TPM signs as qualifyingData: the binder itself, or SHA-256 of a 48-byte one. */
ATLS_MUST_CHECK enum atls_code atls_binder_qualifying_data(struct atls_bytes binder,
                                                           uint8_t out[32], struct atls_err *err);

/* The 64-byte challenge of the bare profile: binder || Hash(spki) with SHA-256, binder || 16 zero
 * bytes with SHA-384. */
ATLS_MUST_CHECK enum atls_code atls_binder_bare_challenge(enum atls_hash hash,
                                                          struct atls_bytes binder,
                                                          struct atls_bytes spki, uint8_t out[64],
                                                          struct atls_err *err);
#endif
