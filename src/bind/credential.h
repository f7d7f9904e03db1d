/* Credential activation, the verifier's side (TPM 2.0 Library Part 1, 24; Part 3,
 * TPM2_MakeCredential): a secret that only the TPM of one endorsement key (EK) can open, and only
 * while it holds the object of one Name, the attestation key (AK).
 *
 * A credential is single use: whoever makes one keeps the secret for a short time, bound to exactly
 * this EK and AK, and compares the answer in constant time (atls/enrol.h does). Any thread. */
#ifndef ATLS_BIND_CREDENTIAL_H
#define ATLS_BIND_CREDENTIAL_H

#include "bind/tpm_object.h"

struct atls_credential {
    struct atls_buf id_object;        /* TPM2B_ID_OBJECT */
    struct atls_buf encrypted_secret; /* TPM2B_ENCRYPTED_SECRET */
};
void atls_credential_clear(struct atls_credential *credential); /* NULL is fine */

/* Makes the credential of secret (1..32 bytes) for the TPM of ek, which must follow a default
 * template (ATLS_TPM_ROLE_EK, checked here), and the object of ak_name. *out is the caller's to
 * clear. Errors: ATLS_E_USAGE (secret or Name of a wrong length), those of atls_tpm_check_role,
 * ATLS_E_DECODE (the EK is no point of its curve), ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_credential_make(const struct atls_tpmt_public *ek, const struct atls_tpm_name *ak_name,
                     struct atls_bytes secret, struct atls_credential *out, struct atls_err *err);

/* Does this EK certificate speak of this EK? certificate is DER, its chain verified by the caller
 * (ATLS_CHAIN_TPM_EK). Errors: ATLS_E_CERTIFICATE with reason name-mismatch for another key,
 * ATLS_E_DECODE, ATLS_E_UNSUPPORTED (curve). */
ATLS_MUST_CHECK enum atls_code atls_credential_match_certificate(const struct atls_tpmt_public *ek,
                                                                 struct atls_bytes certificate,
                                                                 struct atls_err *err);

struct atls_tpm_kdf {
    enum atls_hash hash;
    struct atls_bytes key;  /* KDFa: HMAC key; KDFe: x of the shared point */
    const char *label;      /* its NUL enters as well */
    struct atls_bytes u, v; /* contextU and contextV, or PartyUInfo and PartyVInfo */
};
/* The key derivation functions of TPM 2.0 Library Part 1, 11.4.10: KDFa is SP 800-108 in counter
 * mode with HMAC, KDFe the one-step function of SP 800-56A. len is at most 64; out is the caller's
 * to wipe. Errors: ATLS_E_USAGE (hash, len), ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm_kdfa(const struct atls_tpm_kdf *kdf, uint8_t *out,
                                             size_t len, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_tpm_kdfe(const struct atls_tpm_kdf *kdf, uint8_t *out,
                                             size_t len, struct atls_err *err);

#endif
