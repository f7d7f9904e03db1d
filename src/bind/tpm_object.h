/* TPM objects by their public areas: Names, and what the attributes of each kind of key must be.
 * Pure functions; any thread. */
#ifndef ATLS_BIND_TPM_OBJECT_H
#define ATLS_BIND_TPM_OBJECT_H

#include "wire/tpm.h"

/* nameAlg || digest of the TPMT_PUBLIC as received (TPM 2.0 Library Part 1, 16). A value type. */
struct atls_tpm_name {
    size_t len;
    uint8_t data[ATLS_TPM_NAME_MAX];
};

static inline struct atls_bytes atls_tpm_name_bytes(const struct atls_tpm_name *name)
{
    return atls_bytes_of(name->data, name->len);
}

/* Name of an object. Errors: ATLS_E_EVIDENCE with reason weak-hash for a nameAlg other than
 * SHA-256, SHA-384, SHA-512; ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_tpm_name_of(const struct atls_tpmt_public *area,
                                                struct atls_tpm_name *out, struct atls_err *err);

/* How evidence names the instance of an attestation key: a UEID, 01 || digest of a SHA-256 Name.
 * Errors: ATLS_E_EVIDENCE with reason kid-mismatch for a Name with another hash. */
ATLS_MUST_CHECK enum atls_code atls_tpm_ueid_of(const struct atls_tpm_name *name,
                                                uint8_t out[ATLS_TPM_KID_LEN],
                                                struct atls_err *err);

enum atls_tpm_role {
    ATLS_TPM_ROLE_AK = 1, /* attests: fixed, made in the TPM, restricted, signs, never decrypts */
    ATLS_TPM_ROLE_SUBJECT = 2, /* signs for TLS: as the AK, but unrestricted */
    ATLS_TPM_ROLE_EK = 3,      /* decrypts credentials: the default templates L-1 (RSA 2048) and L-2
                                  (P-256) of the TCG EK Credential Profile, whole */
};
/* Checks attributes, and for the EK policy and parameters too. Errors: ATLS_E_EVIDENCE with reason
 * key-attributes, naming what is wrong; ATLS_E_UNSUPPORTED (an EK of another template). */
ATLS_MUST_CHECK enum atls_code atls_tpm_check_role(const struct atls_tpmt_public *area,
                                                   enum atls_tpm_role role, struct atls_err *err);

#endif
