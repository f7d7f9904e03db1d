/* What a configuration can show and accepts, as schemes of the extension, in order of preference
 * (docs/intra.md, "Schemes").
 *
 * Evidence in a bundle is named application/vnd.libatls.evidence+cbor with its technology and
 * profile; evidence that is one record, by the media type of the record, or by the CoAP
 * content-format registered for that; a result, by its Verifier. */
#ifndef ATLS_FLAVOUR_INTRA_SCHEME_H
#define ATLS_FLAVOUR_INTRA_SCHEME_H

#include <stdbool.h>
#include <stddef.h>

#include "flavour/base/config.h"
#include "wire/early_attestation.h"

#define ATLS_TYPE_EVIDENCE "application/vnd.libatls.evidence+cbor"

/* Everything borrows from the configuration, or is static. */
struct atls_intra_scheme {
    unsigned int profile;    /* enum atls_evidence_profile; 0: a result */
    const char *record_type; /* media type of evidence that is one record; NULL otherwise */
    struct atls_bytes name;  /* technology in a bundle; a result's Verifier; else empty */
};

/* A list; one thread at a time. */
struct atls_intra_schemes {
    struct atls_intra_scheme list[ATLS_EARLY_SCHEMES_MAX];
    size_t count;
};

/* What config can show: results of its passport, then evidence of its attester. Empty without an
 * attester: nobody offers what it has no certificate for, and every attester has one. Errors:
 * ATLS_E_LIMIT (more than ATLS_EARLY_SCHEMES_MAX). */
ATLS_MUST_CHECK enum atls_code atls_intra_schemes_own(const struct atls_config *config,
                                                      struct atls_intra_schemes *out,
                                                      struct atls_err *err);
/* What config takes from a peer; empty unless require_peer. Errors: as atls_intra_schemes_own. */
ATLS_MUST_CHECK enum atls_code atls_intra_schemes_peer(const struct atls_config *config,
                                                       struct atls_intra_schemes *out,
                                                       struct atls_err *err);

/* Appends the encoded schemes, in order. The writer fails for a name that no scheme can carry. */
void atls_intra_schemes_put(struct atls_writer *w, const struct atls_intra_schemes *schemes);
/* The scheme of the list that an encoded one means; NULL for none. */
const struct atls_intra_scheme *atls_intra_schemes_find(const struct atls_intra_schemes *schemes,
                                                        const struct atls_early_scheme *encoded);

/* Is a CMW of this scheme, as far as can be told before anything is verified? Evidence of a
 * technology that this build does not know is the Verifier's to judge, and so are results, as long
 * as they are not plainly evidence. Errors: ATLS_E_EVIDENCE with reason scheme-mismatch;
 * ATLS_E_DECODE (malformed) where the scheme is of a technology that we know; ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_intra_scheme_check(const struct atls_intra_scheme *scheme,
                                                       struct atls_bytes cmw, struct atls_err *err);

#endif
