/* Opening a manifest: form, signature, validity. */
#ifndef ATLS_STORE_MANIFEST_H
#define ATLS_STORE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "crypto/crypto.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"

/* Whose signature counts, and when. With neither key nor anchors a manifest must be unsigned; with
 * either it must be signed. */
struct store_manifest_trust {
    struct atls_bytes signer_spki; /* DER; empty: none */
    struct atls_anchors *anchors;  /* borrowed, with their CRLs; NULL: none. Needs time_s */
    const int64_t *time_s;         /* seconds since 1970; NULL: validity is not judged */
    bool legacy;                   /* take the forms of an old tool: ATLS_CORIM_LEGACY */
};

struct store_manifest {
    struct atls_corim corim;             /* borrows from what was opened; the caller's to clear */
    struct atls_bytes signer_spki;       /* the key that verified; empty: unsigned */
    struct atls_bytes payload;           /* the unsigned CoRIM inside, borrows likewise */
    struct atls_corim_validity validity; /* of signature, manifest and its CoTLs together */
};

/* Decodes in, a signed one after its signature verified: it counts when trust->signer_spki made it,
 * or a certificate of its x5chain (label 33) that leads to an anchor; with both, either will do. An
 * unsigned one needs a trust that names neither. out->signer_spki is the key that verified, which
 * speaks for every claim inside, and borrows from in or from trust. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED, ATLS_E_LIMIT; ATLS_E_VERIFY (signature: wrong, missing, or not asked for);
 * ATLS_E_CERTIFICATE (certificate-expired, certificate-not-yet-valid, and the reasons of
 * atls_chain_verify); ATLS_E_UNSUPPORTED (a CoTL lists a tag that is not inside); ATLS_E_USAGE
 * (anchors without a time). */
ATLS_MUST_CHECK enum atls_code store_manifest_open(struct atls_bytes in,
                                                   const struct store_manifest_trust *trust,
                                                   struct store_manifest *out,
                                                   struct atls_err *err);

/* What a manifest must be beyond well formed before anything of it is used: its profile known and
 * kept (wire/corim_profile.h), every key and certificate in its triples one that parses and no
 * private one. *out_profile (may be NULL) is static. Errors: those of atls_corim_profile_check;
 * ATLS_E_DECODE naming tag, triple and key. */
ATLS_MUST_CHECK enum atls_code store_manifest_check(const struct atls_corim *corim,
                                                    const struct atls_corim_profile **out_profile,
                                                    struct atls_err *err);

#endif
