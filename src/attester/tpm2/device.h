/* One TPM behind tpm2-tss: connection, errors, retries, keys.
 *
 * A TPM without a resource manager has three transient slots for all its users, and a simulator
 * serves one connection. So nothing stays loaded between operations: transient keys are kept as
 * saved contexts (TPM 2.0 Part 1, 30.1), loaded by atls_tpm2_use and flushed by atls_tpm2_done, and
 * with "connection=release" the connection is closed too.
 *
 * Not thread safe: ops.c serialises. */
#ifndef ATLS_ATTESTER_TPM2_DEVICE_H
#define ATLS_ATTESTER_TPM2_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tss2/tss2_esys.h>

#include <atls/bytes.h>
#include <atls/crypto.h>

#include "attester/tpm2/config.h"

struct atls_tpm2_device {
    const struct atls_tpm2_config *config;
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys; /* NULL: not connected */
};

/* Connects and starts a simulator. An already connected device is left as it is. Errors:
 * ATLS_E_DEVICE. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_connect(struct atls_tpm2_device *device,
                                                 struct atls_err *err);
/* Closes the connection; nothing happens when there is none. */
void atls_tpm2_disconnect(struct atls_tpm2_device *device);

/* Records that command failed with rc, decoded: ATLS_E_CONFIG when the authorisation is wrong, else
 * ATLS_E_DEVICE. A connection that broke is closed, so that the next operation connects anew. */
enum atls_code atls_tpm2_fail(struct atls_tpm2_device *device, const char *command, TSS2_RC rc,
                              struct atls_err *err);

/* Whether a command that returned rc is to be sent again, and waits before; a bounded number of
 * times. Start with tries 0:
 *     do rc = Esys_X(...); while (atls_tpm2_again(rc, &tries)); */
bool atls_tpm2_again(TSS2_RC rc, unsigned int *tries);

/* *out: whether there is an object or NV index with this handle. Asks without provoking an error
 * that the TSS would print. Errors: ATLS_E_DEVICE. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_handle_exists(struct atls_tpm2_device *device,
                                                       TPM2_HANDLE handle, bool *out,
                                                       struct atls_err *err);

/* Whose authorisation reads an NV index that both may read. */
enum atls_tpm2_nv_reader {
    ATLS_TPM2_NV_BY_INDEX, /* the index's own, empty: what makers do with certificates */
    ATLS_TPM2_NV_BY_OWNER, /* hierarchy-auth: the index's own is a secret of who wrote it */
};

/* All of an NV index, which must exist and have been written. limit: the most to take, in bytes.
 * *out is the caller's to clear, written on success only. Errors: ATLS_E_CONFIG (authorisation
 * refused), ATLS_E_LIMIT, ATLS_E_DEVICE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_nv_read(struct atls_tpm2_device *device, TPM2_HANDLE index,
                                                 enum atls_tpm2_nv_reader reader, size_t limit,
                                                 struct atls_buf *out, struct atls_err *err);

/* Flushes a transient object or a session, and forgets it. ESYS_TR_NONE is fine. */
void atls_tpm2_flush(struct atls_tpm2_device *device, ESYS_TR *handle);

enum atls_tpm2_role { ATLS_TPM2_AK, ATLS_TPM2_AIK };

/* A key that evidence needs: persistent in the TPM, or transient and made by us. */
struct atls_tpm2_key {
    enum atls_tpm2_role role;
    TPM2_HANDLE persistent;     /* 0: transient */
    TPM2B_PRIVATE private_part; /* AIK: wrapped by the storage primary, for a TPM that was reset */
    TPM2B_PUBLIC public_part;
    TPM2B_NAME name;
    TPMS_CONTEXT *context; /* saved; NULL: none, made anew when needed */
    ESYS_TR handle;        /* loaded; ESYS_TR_NONE: not */
};

/* Finds the key at its handle, or makes it: the AK is a primary key under the endorsement hierarchy
 * from a fixed template, the same for every start of one TPM; the AIK is a fresh key under the
 * storage primary. may_be_absent: a handle that holds nothing means that the key is yet to be made
 * persistent (enrolment); else it is an error. Checks what the key may do. Nothing stays loaded.
 * Errors: ATLS_E_CONFIG (no key at the handle, unfit key), ATLS_E_UNSUPPORTED (algorithm),
 * ATLS_E_DEVICE. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_key_open(struct atls_tpm2_device *device,
                                                  enum atls_tpm2_role role, TPM2_HANDLE handle,
                                                  bool may_be_absent, struct atls_tpm2_key *out,
                                                  struct atls_err *err);
void atls_tpm2_key_clear(struct atls_tpm2_key *key);

/* *out: whether the object at a persistent handle, which must exist, is this key. Errors:
 * ATLS_E_DEVICE. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_key_is_at(struct atls_tpm2_device *device,
                                                   const struct atls_tpm2_key *key,
                                                   TPM2_HANDLE handle, bool *out,
                                                   struct atls_err *err);

/* Loads a key: key->handle is good until atls_tpm2_done. A TPM that was reset makes the key again;
 * a TPM that no longer has it is ATLS_E_DEVICE. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_use(struct atls_tpm2_device *device,
                                             struct atls_tpm2_key *key, struct atls_err *err);
void atls_tpm2_done(struct atls_tpm2_device *device, struct atls_tpm2_key *key);

/* The default EK (TCG EK Credential Profile, templates L-1 and L-2), loaded as a primary key: of
 * the algorithm whose certificate is in NV, ECC P-256 first and also when there is none. The
 * certificate is trimmed to its DER length, empty when there is none. The caller flushes
 * *out_handle. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_ek_open(struct atls_tpm2_device *device,
                                                 ESYS_TR *out_handle, struct atls_buf *out_public,
                                                 struct atls_buf *out_certificate,
                                                 struct atls_err *err);

/* TPMT_PUBLIC as Name is computed over it. Errors: ATLS_E_DEVICE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_put_public(struct atls_tpm2_device *device,
                                                    const TPMT_PUBLIC *area, struct atls_buf *out,
                                                    struct atls_err *err);

/* Reads the PCRs of a selection; values[bank of selection][index]. */
struct atls_tpm2_pcrs {
    TPML_PCR_SELECTION selection;
    TPM2B_DIGEST values[ATLS_TPM2_BANKS_MAX][ATLS_TPM2_PCRS_MAX];
};
/* Fills values for selection. Errors: ATLS_E_CONFIG (the TPM does not have one of them),
 * ATLS_E_DEVICE. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_pcr_read(struct atls_tpm2_device *device,
                                                  struct atls_tpm2_pcrs *pcrs,
                                                  struct atls_err *err);
bool atls_tpm2_selected(const TPMS_PCR_SELECTION *selection, unsigned int index);

#endif
