/* The TPM 2.0 attester (library libatls-tpm2) and the enrolment of its attestation key.
 *
 * URI: tpm2:TCTI[?option=value&...], TCTI as tpm2-tss writes it ("device:/dev/tpmrm0",
 * "swtpm:path=/run/swtpm.sock", empty: the library's default search). Options:
 *   ak=0x81010002     persistent attestation key (AK); without it a primary key is derived
 *   aik=0x81010003    persistent identity key; without it one is created under the storage primary
 *   pcrs=sha256:0,1,2,3,4,5,6,7   what the quote covers (default this)
 *   event-log=PATH    TCG event log to carry; "none" is the default
 *   ima-log=PATH      IMA log to carry; "none" is the default
 *   hierarchy-auth=file:PATH      owner and endorsement authorisation; default empty
 *   connection=keep|release       release: let go of the TPM between operations, since a simulator
 *                                 serves one program at a time; default keep
 *   hcl-report=nv|FILE            report of the confidential machine around a virtual TPM, as on
 *                                 Azure, from NV index 0x01400001 or a file; "none" is the default
 *   tdx-quote=FILE    with hcl-report, TDX: the quote over it, read for each evidence
 *   collateral=DIR    with hcl-report: documents of the hardware's maker
 * pcrs takes ranges and several banks: sha256:0-7,10+sha384:0-7. Values decode %XX.
 * docs/attesters.md says what each is for. Enrolment does without the last three. */
#ifndef ATLS_TPM2_H
#define ATLS_TPM2_H

#include <atls/attester.h>

#ifdef __cplusplus
extern "C" {
#endif

ATLS_API extern const struct atls_attester_ops atls_tpm2_attester;

/* What a TPM shows to be enrolled: the attester's half of enrolment (docs/enrolment.md). */
struct atls_tpm2_identity {
    struct atls_buf ek_certificate; /* DER from NV, trimmed; empty when the TPM has none */
    struct atls_buf ek_public;      /* TPMT_PUBLIC */
    struct atls_buf ak_public;      /* TPMT_PUBLIC */
    struct atls_buf aik_public;     /* TPMT_PUBLIC */
};
ATLS_API void atls_tpm2_identity_clear(struct atls_tpm2_identity *identity);

/* An open TPM for enrolment; uri as for the attester, with the scheme. Handles that it names may be
 * empty as yet: then the keys are made, and atls_tpm2_enrolment_persist puts them there; a handle
 * that holds an unfit key is ATLS_E_CONFIG. One thread at a time. */
struct atls_tpm2_enrolment;
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_tpm2_enrolment_open(const char *uri, struct atls_tpm2_enrolment **out, struct atls_err *err);
ATLS_API void atls_tpm2_enrolment_close(struct atls_tpm2_enrolment *e);
ATLS_API ATLS_MUST_CHECK enum atls_code atls_tpm2_enrolment_identity(struct atls_tpm2_enrolment *e,
                                                                     struct atls_tpm2_identity *out,
                                                                     struct atls_err *err);
/* Makes AK and AIK persistent at the handles that the URI names (ak=, aik=), replacing nothing: a
 * key that was found at its handle stays. Errors: ATLS_E_CONFIG (handle taken by another key, none
 * named), ATLS_E_DEVICE. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_tpm2_enrolment_persist(struct atls_tpm2_enrolment *e,
                                                                    struct atls_err *err);
/* TPM2_ActivateCredential: opens the challenge made for this EK and AK (a TPM2B_ID_OBJECT and a
 * TPM2B_ENCRYPTED_SECRET, with their sizes, exactly filled); out receives the secret, the caller's
 * to clear. Errors: ATLS_E_DECODE, ATLS_E_DEVICE (made for another EK or AK: the TPM refuses it).
 */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_tpm2_enrolment_activate(struct atls_tpm2_enrolment *e, struct atls_bytes credential_blob,
                             struct atls_bytes encrypted_secret, struct atls_buf *out,
                             struct atls_err *err);
/* Current values of the PCRs that the URI selects: calls visit for each, banks in ascending order
 * of their algorithm number, PCRs ascending inside a bank; value lives only during the call. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_tpm2_enrolment_pcrs(
    struct atls_tpm2_enrolment *e,
    void (*visit)(void *arg, enum atls_hash bank, unsigned int index, struct atls_bytes value),
    void *arg, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
