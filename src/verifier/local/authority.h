/* Authorities: the keys that speak, and conditions that name them (draft-ietf-rats-corim,
 * "Authority Comparison"). Compared by key, not by the form in which a key is named. Any thread. */
#ifndef ATLS_VERIFIER_LOCAL_AUTHORITY_H
#define ATLS_VERIFIER_LOCAL_AUTHORITY_H

#include <stdbool.h>

#include <atls/err.h>

#include "wire/measurement.h"

/* Who speaks; all empty: nobody whom a condition could name. Borrowed. */
struct atls_authority {
    struct atls_bytes spki; /* DER SubjectPublicKeyInfo of the key that signed */
    /* DER certificates, leaf first, when they are known; NULL otherwise. */
    const struct atls_bytes *chain;
    size_t chain_count;
};

/* The same key, or nobody both. */
bool atls_authority_equal(const struct atls_authority *a, const struct atls_authority *b);

/* Is authority the key that a condition names?
 *
 *     554, 555, 556, 562   key, certificate, path (its leaf): the same key
 *     558                  COSE_Key: the same key; a COSE_KeySet: every key of it
 *     557                  digest of the DER SubjectPublicKeyInfo
 *     559                  digest of the certificate in DER
 *     561                  digest of the certificates of the path in DER, leaf first
 *     560                  an identifier names no key here
 *
 * What does not parse, or has an algorithm that cannot be computed, names nobody. Errors:
 * ATLS_E_NOMEM, ATLS_E_CRYPTO: then nobody knows. */
ATLS_MUST_CHECK enum atls_code atls_authority_is_named(const struct atls_authority *authority,
                                                       const struct atls_corim_key *key, bool *out,
                                                       struct atls_err *err);

/* True when each of count keys names authority. Errors: as above. */
ATLS_MUST_CHECK enum atls_code atls_authority_holds(const struct atls_authority *authority,
                                                    const struct atls_corim_key *keys, size_t count,
                                                    bool *out, struct atls_err *err);

#endif
