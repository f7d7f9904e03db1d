#include <stdlib.h>
#include <string.h>

#include "attester/tpm2/tpm.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/tpm.h"

struct atls_tpm2_enrolment {
    struct atls_tpm2 *tpm;
};

void atls_tpm2_identity_clear(struct atls_tpm2_identity *identity)
{
    atls_buf_clear(&identity->ek_certificate);
    atls_buf_clear(&identity->ek_public);
    atls_buf_clear(&identity->ak_public);
    atls_buf_clear(&identity->aik_public);
}

enum atls_code atls_tpm2_enrolment_open(const char *uri, struct atls_tpm2_enrolment **out,
                                        struct atls_err *err)
{
    static const char scheme[] = "tpm2:";
    struct atls_tpm2_enrolment *e;
    enum atls_code code;

    if (strncmp(uri, scheme, sizeof scheme - 1) != 0)
        return atls_fail(err, ATLS_E_CONFIG, "enrolment: \"%s\" is not tpm2:...", uri);
    if ((e = calloc(1, sizeof *e)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "enrolment: out of memory");
    if ((code = atls_tpm2_open(uri + sizeof scheme - 1, true, &e->tpm, err)) != ATLS_OK) {
        free(e);
        return code;
    }
    *out = e;
    return ATLS_OK;
}

void atls_tpm2_enrolment_close(struct atls_tpm2_enrolment *e)
{
    if (e == NULL)
        return;
    atls_tpm2_close(e->tpm);
    free(e);
}

enum atls_code atls_tpm2_enrolment_identity(struct atls_tpm2_enrolment *e,
                                            struct atls_tpm2_identity *out, struct atls_err *err)
{
    struct atls_tpm2_identity identity = {ATLS_BUF_INIT, ATLS_BUF_INIT, ATLS_BUF_INIT,
                                          ATLS_BUF_INIT};
    ESYS_TR ek = ESYS_TR_NONE;
    enum atls_code code = atls_tpm2_begin(e->tpm, err);

    if (code != ATLS_OK)
        return code;
    code =
        atls_tpm2_ek_open(&e->tpm->device, &ek, &identity.ek_public, &identity.ek_certificate, err);
    atls_tpm2_flush(&e->tpm->device, &ek);
    atls_tpm2_end(e->tpm);
    if (code == ATLS_OK)
        code = atls_buf_copy(&identity.ak_public, atls_buf_bytes(&e->tpm->ak_public), err);
    if (code == ATLS_OK)
        code = atls_buf_copy(&identity.aik_public, atls_buf_bytes(&e->tpm->aik_public), err);
    if (code != ATLS_OK) {
        atls_tpm2_identity_clear(&identity);
        return code;
    }
    *out = identity;
    return ATLS_OK;
}

/* TPM2_EvictControl of a loaded key. */
static enum atls_code evict(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                            TPM2_HANDLE handle, struct atls_err *err)
{
    ESYS_TR persistent = ESYS_TR_NONE;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_EvictControl(device->esys, ESYS_TR_RH_OWNER, key->handle, ESYS_TR_PASSWORD,
                               ESYS_TR_NONE, ESYS_TR_NONE, handle, &persistent);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_EvictControl", rc, err);
    (void)Esys_TR_Close(device->esys, &persistent);
    return ATLS_OK;
}

static enum atls_code persist(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                              TPM2_HANDLE handle, struct atls_err *err)
{
    bool exists = false, same = false;
    enum atls_code code;

    if (handle == 0 || key->persistent == handle)
        return ATLS_OK;
    if ((code = atls_tpm2_handle_exists(device, handle, &exists, err)) != ATLS_OK)
        return code;
    if (exists) {
        code = atls_tpm2_key_is_at(device, key, handle, &same, err);
        if (code == ATLS_OK && !same)
            code = atls_fail(err, ATLS_E_CONFIG,
                             "enrolment: handle 0x%08x was taken by another key meanwhile",
                             (unsigned int)handle);
    } else {
        if ((code = atls_tpm2_use(device, key, err)) == ATLS_OK)
            code = evict(device, key, handle, err);
        atls_tpm2_done(device, key);
    }
    if (code == ATLS_OK)
        key->persistent = handle;
    return code;
}

enum atls_code atls_tpm2_enrolment_persist(struct atls_tpm2_enrolment *e, struct atls_err *err)
{
    struct atls_tpm2 *tpm = e->tpm;
    enum atls_code code;

    if (tpm->config.ak == 0 && tpm->config.aik == 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "enrolment: the URI names no handle; add ak=0x81010002 or aik=0x81010003");
    if ((code = atls_tpm2_begin(tpm, err)) != ATLS_OK)
        return code;
    if ((code = persist(&tpm->device, &tpm->ak, tpm->config.ak, err)) == ATLS_OK)
        code = persist(&tpm->device, &tpm->aik, tpm->config.aik, err);
    atls_tpm2_end(tpm);
    return code;
}

/* A session that satisfies the EK's policy: proof of the endorsement authorisation. */
static enum atls_code ek_session(struct atls_tpm2_device *device, ESYS_TR *out,
                                 struct atls_err *err)
{
    static const TPMT_SYM_DEF no_encryption = {.algorithm = TPM2_ALG_NULL};
    ESYS_TR session = ESYS_TR_NONE;
    unsigned int tries = 0;
    enum atls_code code;
    TSS2_RC rc;

    do
        rc = Esys_StartAuthSession(device->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_POLICY, &no_encryption,
                                   TPM2_ALG_SHA256, &session);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_StartAuthSession", rc, err);
    tries = 0;
    do
        rc = Esys_PolicySecret(device->esys, ESYS_TR_RH_ENDORSEMENT, session, ESYS_TR_PASSWORD,
                               ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS) {
        code = atls_tpm2_fail(device, "TPM2_PolicySecret", rc, err);
        atls_tpm2_flush(device, &session);
        return code;
    }
    *out = session;
    return ATLS_OK;
}

static enum atls_code activate_loaded(struct atls_tpm2 *tpm, ESYS_TR ek,
                                      const TPM2B_ID_OBJECT *credential,
                                      const TPM2B_ENCRYPTED_SECRET *secret, struct atls_buf *out,
                                      struct atls_err *err)
{
    ESYS_TR session = ESYS_TR_NONE;
    TPM2B_DIGEST *opened = NULL;
    unsigned int tries = 0;
    enum atls_code code;
    TSS2_RC rc;

    if ((code = ek_session(&tpm->device, &session, err)) != ATLS_OK)
        return code;
    do
        rc = Esys_ActivateCredential(tpm->device.esys, tpm->ak.handle, ek, ESYS_TR_PASSWORD,
                                     session, ESYS_TR_NONE, credential, secret, &opened);
    while (atls_tpm2_again(rc, &tries));
    if (rc == TSS2_RC_SUCCESS) {
        code = atls_buf_copy(out, atls_bytes_of(opened->buffer, opened->size), err);
        atls_wipe(opened, sizeof *opened);
        Esys_Free(opened);
    } else {
        code = atls_tpm2_fail(&tpm->device, "TPM2_ActivateCredential", rc, err);
    }
    atls_tpm2_flush(&tpm->device, &session);
    return code;
}

/* A TPM2B whose content fills exactly and fits in size bytes at out. */
static enum atls_code get_tpm2b(const char *what, struct atls_bytes in, uint8_t *out, size_t size,
                                UINT16 *out_len, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes content;

    if (!atls_get_vec(&r, 1, 0xffff, &content) || !atls_reader_done(&r) || content.len > size)
        return atls_fail(err, ATLS_E_DECODE,
                         "%s: %zu bytes are no size and 1 to %zu bytes that follow", what, in.len,
                         size);
    memcpy(out, content.ptr, content.len);
    *out_len = (UINT16)content.len;
    return ATLS_OK;
}

enum atls_code atls_tpm2_enrolment_activate(struct atls_tpm2_enrolment *e,
                                            struct atls_bytes credential_blob,
                                            struct atls_bytes encrypted_secret,
                                            struct atls_buf *out, struct atls_err *err)
{
    struct atls_tpm2 *tpm = e->tpm;
    struct atls_buf ek_public = ATLS_BUF_INIT, ek_certificate = ATLS_BUF_INIT;
    TPM2B_ID_OBJECT credential = {0};
    TPM2B_ENCRYPTED_SECRET secret = {0};
    ESYS_TR ek = ESYS_TR_NONE;
    enum atls_code code;

    if ((code = get_tpm2b("TPM2B_ID_OBJECT", credential_blob, credential.credential,
                          sizeof credential.credential, &credential.size, err)) != ATLS_OK ||
        (code = get_tpm2b("TPM2B_ENCRYPTED_SECRET", encrypted_secret, secret.secret,
                          sizeof secret.secret, &secret.size, err)) != ATLS_OK ||
        (code = atls_tpm2_begin(tpm, err)) != ATLS_OK)
        return code;
    if ((code = atls_tpm2_ek_open(&tpm->device, &ek, &ek_public, &ek_certificate, err)) ==
            ATLS_OK &&
        (code = atls_tpm2_use(&tpm->device, &tpm->ak, err)) == ATLS_OK)
        code = activate_loaded(tpm, ek, &credential, &secret, out, err);
    atls_tpm2_done(&tpm->device, &tpm->ak);
    atls_tpm2_flush(&tpm->device, &ek);
    atls_tpm2_end(tpm);
    atls_buf_clear(&ek_public);
    atls_buf_clear(&ek_certificate);
    return code;
}

enum atls_code atls_tpm2_enrolment_pcrs(struct atls_tpm2_enrolment *e,
                                        void (*visit)(void *arg, enum atls_hash bank,
                                                      unsigned int index, struct atls_bytes value),
                                        void *arg, struct atls_err *err)
{
    struct atls_tpm2_pcrs *pcrs = calloc(1, sizeof *pcrs);
    enum atls_code code;

    if (pcrs == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "enrolment: out of memory");
    pcrs->selection = e->tpm->config.pcrs;
    if ((code = atls_tpm2_begin(e->tpm, err)) == ATLS_OK) {
        code = atls_tpm2_pcr_read(&e->tpm->device, pcrs, err);
        atls_tpm2_end(e->tpm);
    }
    for (UINT32 b = 0; code == ATLS_OK && b < pcrs->selection.count; b++) {
        const TPMS_PCR_SELECTION *bank = &pcrs->selection.pcrSelections[b];

        for (unsigned int i = 0; i < ATLS_TPM2_PCRS_MAX; i++) {
            if (atls_tpm2_selected(bank, i))
                visit(arg, atls_tpm_hash(bank->hash), i,
                      atls_bytes_of(pcrs->values[b][i].buffer, pcrs->values[b][i].size));
        }
    }
    free(pcrs);
    return code;
}
