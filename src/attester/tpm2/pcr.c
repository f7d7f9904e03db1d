#include "attester/tpm2/device.h"
#include "core/err.h"

bool atls_tpm2_selected(const TPMS_PCR_SELECTION *selection, unsigned int index)
{
    return index / 8 < selection->sizeofSelect &&
           (selection->pcrSelect[index / 8] & 1u << index % 8) != 0;
}

static void unselect(TPMS_PCR_SELECTION *selection, unsigned int index)
{
    selection->pcrSelect[index / 8] = (BYTE)(selection->pcrSelect[index / 8] & ~(1u << index % 8));
}

/* Takes the digests of one answer, which stand in the order of the selection that was really read,
 * out of left. Returns how many were wanted. */
static size_t take(struct atls_tpm2_pcrs *pcrs, TPML_PCR_SELECTION *left,
                   const TPML_PCR_SELECTION *read, const TPML_DIGEST *digests)
{
    UINT32 next = 0;
    size_t taken = 0;

    for (UINT32 r = 0; r < read->count; r++) {
        for (unsigned int i = 0; i < ATLS_TPM2_PCRS_MAX; i++) {
            if (!atls_tpm2_selected(&read->pcrSelections[r], i))
                continue;
            if (next == digests->count)
                return taken;
            for (UINT32 b = 0; b < left->count; b++) {
                if (left->pcrSelections[b].hash != read->pcrSelections[r].hash ||
                    !atls_tpm2_selected(&left->pcrSelections[b], i))
                    continue;
                pcrs->values[b][i] = digests->digests[next];
                unselect(&left->pcrSelections[b], i);
                taken++;
            }
            next++;
        }
    }
    return taken;
}

/* The first PCR that is still selected; false when there is none. */
static bool first_left(const TPML_PCR_SELECTION *left, UINT32 *bank, unsigned int *index)
{
    for (*bank = 0; *bank < left->count; (*bank)++) {
        for (*index = 0; *index < ATLS_TPM2_PCRS_MAX; (*index)++) {
            if (atls_tpm2_selected(&left->pcrSelections[*bank], *index))
                return true;
        }
    }
    return false;
}

enum atls_code atls_tpm2_pcr_read(struct atls_tpm2_device *device, struct atls_tpm2_pcrs *pcrs,
                                  struct atls_err *err)
{
    TPML_PCR_SELECTION left = pcrs->selection;
    unsigned int index;
    UINT32 bank;

    /* One answer holds at most eight digests (Part 2, 10.9.7). */
    while (first_left(&left, &bank, &index)) {
        TPML_PCR_SELECTION *read = NULL;
        TPML_DIGEST *digests = NULL;
        unsigned int tries = 0;
        size_t taken;
        TSS2_RC rc;

        do
            rc = Esys_PCR_Read(device->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &left, NULL,
                               &read, &digests);
        while (atls_tpm2_again(rc, &tries));
        if (rc != TSS2_RC_SUCCESS)
            return atls_tpm2_fail(device, "TPM2_PCR_Read", rc, err);
        taken = take(pcrs, &left, read, digests);
        Esys_Free(read);
        Esys_Free(digests);
        if (taken == 0)
            return atls_fail(err, ATLS_E_CONFIG,
                             "tpm2: the TPM has no PCR %u in bank 0x%04x; choose others by pcrs=",
                             index, (unsigned int)left.pcrSelections[bank].hash);
    }
    return ATLS_OK;
}
