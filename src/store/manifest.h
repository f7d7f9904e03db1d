/* Opening a manifest: form, signature, validity. */
#ifndef ATLS_STORE_MANIFEST_H
#define ATLS_STORE_MANIFEST_H

#include <stdint.h>

#include <atls/bytes.h>

#include "wire/corim.h"

struct store_manifest {
    struct atls_corim corim;             /* borrows from what was opened; the caller's to clear */
    struct atls_bytes signer_spki;       /* as handed in; empty: unsigned */
    struct atls_corim_validity validity; /* of signature and manifest together */
};

/* Decodes in, a signed one after its signature verified under signer_spki (DER). An unsigned one
 * needs an empty signer_spki: who names a signer wants a signature. time_s NULL: validity is not
 * judged. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED, ATLS_E_LIMIT; ATLS_E_VERIFY (signature: wrong,
 * missing, or not asked for); ATLS_E_CERTIFICATE (certificate-expired, certificate-not-yet-valid).
 */
ATLS_MUST_CHECK enum atls_code
store_manifest_open(struct atls_bytes in, struct atls_bytes signer_spki, const int64_t *time_s,
                    struct store_manifest *out, struct atls_err *err);

#endif
