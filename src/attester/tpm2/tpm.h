/* An open TPM with its two keys: what the attester and enrolment share. */
#ifndef ATLS_ATTESTER_TPM2_TPM_H
#define ATLS_ATTESTER_TPM2_TPM_H

#include <pthread.h>

#include <atls/tpm2.h>

#include "attester/tpm2/config.h"
#include "attester/tpm2/device.h"
#include "attester/tpm2/hcl.h"
#include "wire/tpm.h"

/* The public members are immutable once open; the device is used between begin and end only. */
struct atls_tpm2 {
    pthread_mutex_t mutex;
    struct atls_tpm2_config config;
    struct atls_tpm2_device device;
    struct atls_tpm2_key ak, aik;
    struct atls_buf ak_public, aik_public; /* TPMT_PUBLIC */
    struct atls_buf aik_spki;              /* DER */
    enum atls_signature aik_scheme;
    TPM2_ALG_ID aik_hash;
    uint8_t kid[ATLS_TPM_KID_LEN]; /* UEID: 01 || SHA-256 part of the AK's Name */
    struct atls_buf *ak_chain;     /* DER certificates that vouch for the AK, or NULL */
    size_t ak_chain_count;
    struct atls_tpm2_hcl *hcl; /* the confidential machine around the TPM; NULL: none */
};

/* rest: what follows "tpm2:". enrolling: handles of the URI may be empty as yet. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_open(const char *rest, bool enrolling,
                                              struct atls_tpm2 **out, struct atls_err *err);
void atls_tpm2_close(struct atls_tpm2 *tpm); /* NULL is fine */

/* Takes the device for one operation, connected; end gives it back whatever happened between. When
 * begin fails there is nothing to end. Any thread. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_begin(struct atls_tpm2 *tpm, struct atls_err *err);
void atls_tpm2_end(struct atls_tpm2 *tpm);

/* Evidence over binder: the bundle of wire/kat.h with the halves of wire/tpm.h. Any thread. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_evidence(struct atls_tpm2 *tpm, struct atls_bytes binder,
                                                  struct atls_buf *out_cmw, struct atls_err *err);

#endif
