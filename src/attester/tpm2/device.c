#include "attester/tpm2/device.h"

#include <string.h>
#include <time.h>

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "core/err.h"

/* A TPM that tests itself after a start answers RETRY or TESTING for up to a second. */
#define TRIES_MAX 12
#define WAIT_MS   20

/* Format-one codes carry the number of a parameter, handle or session in the bits masked here
 * (Part 2, 6.6.2). */
static TSS2_RC without_position(TSS2_RC rc)
{
    return (rc & TPM2_RC_FMT1) != 0 ? rc & (TPM2_RC_FMT1 | 0x3fu) : rc & 0xfffu;
}

/* Codes of the TPM itself, whichever resource manager passes them on. */
static bool from_tpm(TSS2_RC rc)
{
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

    return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

enum atls_code atls_tpm2_fail(struct atls_tpm2_device *device, const char *command, TSS2_RC rc,
                              struct atls_err *err)
{
    TSS2_RC plain = from_tpm(rc) ? without_position(rc) : TPM2_RC_SUCCESS;

    if (!from_tpm(rc) && (rc & TSS2_RC_LAYER_MASK) != TSS2_RESMGR_RC_LAYER)
        atls_tpm2_disconnect(device);
    if (plain == TPM2_RC_BAD_AUTH || plain == TPM2_RC_AUTH_FAIL)
        return atls_fail(err, ATLS_E_CONFIG, "%s: the TPM refuses the authorisation (0x%x: %s)",
                         command, (unsigned int)rc, Tss2_RC_Decode(rc));
    if (plain == TPM2_RC_OBJECT_MEMORY || plain == TPM2_RC_SESSION_MEMORY)
        return atls_fail(err, ATLS_E_DEVICE,
                         "%s: no free slot in the TPM (0x%x: %s): another program left keys or "
                         "sessions loaded, and no resource manager is between",
                         command, (unsigned int)rc, Tss2_RC_Decode(rc));
    return atls_fail(err, ATLS_E_DEVICE, "%s: 0x%x: %s", command, (unsigned int)rc,
                     Tss2_RC_Decode(rc));
}

bool atls_tpm2_again(TSS2_RC rc, unsigned int *tries)
{
    TSS2_RC plain = from_tpm(rc) ? without_position(rc) : TPM2_RC_SUCCESS;
    long wait_ms;

    if (plain != TPM2_RC_RETRY && plain != TPM2_RC_YIELDED && plain != TPM2_RC_TESTING &&
        plain != TPM2_RC_NV_RATE)
        return false;
    if (++*tries > TRIES_MAX)
        return false;
    wait_ms = (long)*tries * WAIT_MS;
    nanosleep(&(const struct timespec){0, wait_ms * 1000000L}, NULL);
    return true;
}

static TSS2_RC start(struct atls_tpm2_device *device)
{
    unsigned int tries = 0;
    TSS2_RC rc;

    if (!device->config->simulator)
        return TSS2_RC_SUCCESS;
    do
        rc = Esys_Startup(device->esys, TPM2_SU_CLEAR);
    while (atls_tpm2_again(rc, &tries));
    return rc == TPM2_RC_INITIALIZE ? TSS2_RC_SUCCESS : rc; /* somebody started it already */
}

static TSS2_RC set_hierarchy_auth(struct atls_tpm2_device *device)
{
    const TPM2B_AUTH *auth = &device->config->hierarchy_auth;
    TSS2_RC rc = TSS2_RC_SUCCESS;

    if (auth->size == 0)
        return rc;
    rc = Esys_TR_SetAuth(device->esys, ESYS_TR_RH_OWNER, auth);
    return rc != TSS2_RC_SUCCESS ? rc : Esys_TR_SetAuth(device->esys, ESYS_TR_RH_ENDORSEMENT, auth);
}

enum atls_code atls_tpm2_connect(struct atls_tpm2_device *device, struct atls_err *err)
{
    const char *tcti = device->config->tcti;
    TSS2_RC rc;

    if (device->esys != NULL)
        return ATLS_OK;
    rc = Tss2_TctiLdr_Initialize(tcti, &device->tcti);
    if (rc != TSS2_RC_SUCCESS) {
        device->tcti = NULL;
        return atls_fail(err, ATLS_E_DEVICE, "cannot reach the TPM at \"%s\": 0x%x: %s",
                         tcti == NULL ? "(default)" : tcti, (unsigned int)rc, Tss2_RC_Decode(rc));
    }
    rc = Esys_Initialize(&device->esys, device->tcti, NULL);
    if (rc != TSS2_RC_SUCCESS)
        device->esys = NULL;
    if (rc == TSS2_RC_SUCCESS)
        rc = start(device);
    if (rc == TSS2_RC_SUCCESS)
        rc = set_hierarchy_auth(device);
    if (rc == TSS2_RC_SUCCESS)
        return ATLS_OK;
    atls_tpm2_disconnect(device);
    return atls_tpm2_fail(device, "TPM2_Startup", rc, err);
}

void atls_tpm2_disconnect(struct atls_tpm2_device *device)
{
    if (device->esys != NULL)
        Esys_Finalize(&device->esys);
    if (device->tcti != NULL)
        Tss2_TctiLdr_Finalize(&device->tcti);
    device->esys = NULL;
    device->tcti = NULL;
}

enum atls_code atls_tpm2_handle_exists(struct atls_tpm2_device *device, TPM2_HANDLE handle,
                                       bool *out, struct atls_err *err)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_GetCapability(device->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                TPM2_CAP_HANDLES, handle, 1, NULL, &data);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_GetCapability", rc, err);
    *out = data->data.handles.count > 0 && data->data.handles.handle[0] == handle;
    Esys_Free(data);
    return ATLS_OK;
}

void atls_tpm2_flush(struct atls_tpm2_device *device, ESYS_TR *handle)
{
    if (*handle != ESYS_TR_NONE && device->esys != NULL)
        (void)Esys_FlushContext(device->esys, *handle);
    *handle = ESYS_TR_NONE;
}
