/* The attestation binder: what ties evidence to one connection and one key
 * (draft-fossati-seat-expat-03, "Attestation Binder"; docs/binding.md).
 *
 *     exported = TLS-Exporter("Attestation", certificate_request_context, 32)
 *     binder   = Hash(SubjectPublicKeyInfo of the AIK || exported)        32 or 48 bytes
 */
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
