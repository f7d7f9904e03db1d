/* Reading an NV index. */
#include "attester/tpm2/device.h"
#include "core/err.h"
#include "core/writer.h"

#define NV_CHUNK_DEFAULT 512

/* How much one TPM2_NV_Read may return. */
static enum atls_code nv_chunk(struct atls_tpm2_device *device, UINT16 *out, struct atls_err *err)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    const TPML_TAGGED_TPM_PROPERTY *list;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_GetCapability(device->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                TPM2_CAP_TPM_PROPERTIES, TPM2_PT_NV_BUFFER_MAX, 1, NULL, &data);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_GetCapability", rc, err);
    list = &data->data.tpmProperties;
    *out = NV_CHUNK_DEFAULT;
    if (list->count > 0 && list->tpmProperty[0].property == TPM2_PT_NV_BUFFER_MAX &&
        list->tpmProperty[0].value > 0 && list->tpmProperty[0].value <= TPM2_MAX_NV_BUFFER_SIZE)
        *out = (UINT16)list->tpmProperty[0].value;
    Esys_Free(data);
    return ATLS_OK;
}

struct nv_index {
    ESYS_TR handle;
    ESYS_TR auth; /* the index itself, or the owner, as its attributes allow */
    UINT16 size;
};

/* The preferred one, if the index lets that read. */
static enum atls_tpm2_nv_reader read_by(TPMA_NV attributes, enum atls_tpm2_nv_reader preferred)
{
    const bool by_index = (attributes & TPMA_NV_AUTHREAD) != 0,
               by_owner = (attributes & TPMA_NV_OWNERREAD) != 0;

    if (preferred == ATLS_TPM2_NV_BY_INDEX)
        return by_index ? ATLS_TPM2_NV_BY_INDEX : ATLS_TPM2_NV_BY_OWNER;
    return by_owner || !by_index ? ATLS_TPM2_NV_BY_OWNER : ATLS_TPM2_NV_BY_INDEX;
}

static void nv_close(struct atls_tpm2_device *device, struct nv_index *nv)
{
    if (nv->handle != ESYS_TR_NONE && device->esys != NULL)
        (void)Esys_TR_Close(device->esys, &nv->handle);
    nv->handle = ESYS_TR_NONE;
}

static enum atls_code nv_open(struct atls_tpm2_device *device, TPM2_HANDLE index,
                              enum atls_tpm2_nv_reader reader, struct nv_index *out,
                              struct atls_err *err)
{
    struct nv_index nv = {.handle = ESYS_TR_NONE};
    TPM2B_NV_PUBLIC *area = NULL;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_TR_FromTPMPublic(device->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   &nv.handle);
    while (atls_tpm2_again(rc, &tries));
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_NV_ReadPublic(device->esys, nv.handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                &area, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        nv_close(device, &nv);
        return atls_tpm2_fail(device, "TPM2_NV_ReadPublic", rc, err);
    }
    nv.auth = read_by(area->nvPublic.attributes, reader) == ATLS_TPM2_NV_BY_INDEX
                  ? nv.handle
                  : ESYS_TR_RH_OWNER;
    nv.size = area->nvPublic.dataSize;
    Esys_Free(area);
    *out = nv;
    return ATLS_OK;
}

/* Appends size bytes at offset of the index. */
static enum atls_code nv_append(struct atls_tpm2_device *device, const struct nv_index *nv,
                                UINT16 offset, UINT16 size, struct atls_writer *w,
                                struct atls_err *err)
{
    TPM2B_MAX_NV_BUFFER *data = NULL;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_NV_Read(device->esys, nv->auth, nv->handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                          ESYS_TR_NONE, size, offset, &data);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_NV_Read", rc, err);
    atls_put_bytes(w, atls_bytes_of(data->buffer, data->size));
    Esys_Free(data);
    return ATLS_OK;
}

enum atls_code atls_tpm2_nv_read(struct atls_tpm2_device *device, TPM2_HANDLE index,
                                 enum atls_tpm2_nv_reader reader, size_t limit,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(limit);
    struct nv_index nv;
    UINT16 chunk = 0, size;
    enum atls_code code;

    if ((code = nv_chunk(device, &chunk, err)) != ATLS_OK ||
        (code = nv_open(device, index, reader, &nv, err)) != ATLS_OK)
        return code;
    for (UINT16 offset = 0; code == ATLS_OK && offset < nv.size; offset = (UINT16)(offset + size)) {
        size = nv.size - offset < chunk ? (UINT16)(nv.size - offset) : chunk;
        code = nv_append(device, &nv, offset, size, &w, err);
    }
    nv_close(device, &nv);
    if (code == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}
