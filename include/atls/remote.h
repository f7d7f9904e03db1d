/* Verifiers elsewhere (library libatls-verifier). */
#ifndef ATLS_REMOTE_H
#define ATLS_REMOTE_H

#include <atls/verifier.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "veraison:https://HOST[:PORT][/PREFIX]": background check by a service that speaks Veraison's
 * challenge-response API (docs/veraison.md): atls-verifierd(8), or Veraison. Whatever the service
 * says, challenge, key binding and signatures of the evidence are checked here too; trust in the
 * attestation key and the judgement on measurements are the service's. Plain http only with
 * result_keys. Errors of an appraisal: ATLS_E_IO (unreachable, time-out, 5xx, limits: nothing is
 * known of the peer then), ATLS_E_UNSUPPORTED (the service takes no such evidence), ATLS_E_VERIFY
 * and ATLS_E_CERTIFICATE (its result), ATLS_E_EVIDENCE (the own checks; or the service found the
 * evidence not genuine). */
ATLS_API extern const struct atls_verifier_ops atls_veraison_verifier;

/* "passport:FILE" with the keys of the Verifier that issues the results, or
 * "passport:https://HOST[:PORT][/PREFIX]" to discover them there. Takes results (EAR as JWT or CWT)
 * that the peer carries; each is checked for signature, profile, times, age and status, and must
 * name the AIK of this connection. */
ATLS_API extern const struct atls_verifier_ops atls_passport_verifier;

#ifdef __cplusplus
}
#endif
#endif
