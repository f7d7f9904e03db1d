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
 * attestation key and the judgement on measurements are the service's. Opening reads files and asks
 * nobody; plain http only with result_keys. Errors of an appraisal: ATLS_E_EVIDENCE,
 * ATLS_E_CERTIFICATE and ATLS_E_DECODE with their reasons (the own checks; ATLS_E_EVIDENCE also
 * when the service found the evidence not genuine); ATLS_E_UNSUPPORTED (the service takes no such
 * evidence); ATLS_E_UNAVAILABLE (no connection, 5xx, 429, a certificate, an answer or a result that
 * does not count: whatever the service did wrong, nothing is known of the peer then, and the reason
 * says what it was), ATLS_E_TIMEOUT (timeout_ms passed), ATLS_E_CONFIG (a file that changed for the
 * worse), ATLS_E_NOMEM. */
ATLS_API extern const struct atls_verifier_ops atls_veraison_verifier;

/* "passport:FILE" with the keys of the Verifier that issues the results, or
 * "passport:https://HOST[:PORT][/PREFIX]" to discover them there. Takes results (EAR as JWT or CWT)
 * that the peer carries; each is checked for signature, profile, times and age, and must name the
 * AIK of this connection in a submodule that is affirming or a warning. Errors of an appraisal:
 * ATLS_E_DECODE, ATLS_E_UNSUPPORTED (no result; evidence is none), ATLS_E_VERIFY (signature),
 * ATLS_E_CERTIFICATE (expired, too old, not yet valid), ATLS_E_EVIDENCE (key-binding-mismatch,
 * binder-mismatch), ATLS_E_CONFIG, ATLS_E_UNAVAILABLE and ATLS_E_TIMEOUT (there are no keys now:
 * nothing is known of the peer). */
ATLS_API extern const struct atls_verifier_ops atls_passport_verifier;

#ifdef __cplusplus
}
#endif
#endif
