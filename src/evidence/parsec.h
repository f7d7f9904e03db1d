/* The forms of evidence of the Parsec proof of concept (wire/parsec.h): a row of the technologies
 * "cca" and "tpm" each. Private to src/evidence. */
#ifndef ATLS_EVIDENCE_PARSEC_H
#define ATLS_EVIDENCE_PARSEC_H

#include "evidence/evidence.h"
#include "wire/parsec.h"

/* Reads the KAT of a CCA bundle, once the realm has signed its hash: the nonce is the binder
 * (nonce-mismatch), the key the AIK where that is known (key-binding-mismatch). *out_spki is the
 * attested key, the caller's to clear. Errors: ATLS_E_EVIDENCE, ATLS_E_DECODE, ATLS_E_UNSUPPORTED
 * (key), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_parsec_cca_accept(const struct atls_parsec_cca *parsec,
                                                      const struct atls_evidence_request *request,
                                                      struct atls_arena *arena,
                                                      struct atls_buf *out_spki,
                                                      struct atls_err *err);

/* The whole appraisal of the TPM form: a row of atls_technology_tpm. */
ATLS_MUST_CHECK enum atls_code atls_parsec_tpm_verify(const struct atls_bundle *bundle,
                                                      const struct atls_evidence_request *request,
                                                      struct atls_claims *out,
                                                      struct atls_err *err);

#endif
