#include "flavour/intra/intra.h"

/* draft-fossati-seat-early-attestation-06, section on alerts; the last row takes all other refusals
 * of a peer's attestation. */
const struct atls_intra_alert atls_intra_alerts[] = {
    {"unsupported_attestation_schemes", ATLS_ALERT_HANDSHAKE_FAILURE,
     ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES},
    {"attestation_required", ATLS_ALERT_ACCESS_DENIED, ATLS_REASON_ATTESTATION_REQUIRED},
    {"attestation_failed", ATLS_ALERT_BAD_CERTIFICATE, ATLS_REASON_NONE},
    {NULL, ATLS_ALERT_INTERNAL_ERROR, ATLS_REASON_NONE},
};

uint8_t atls_intra_alert(const struct atls_err *err)
{
    const struct atls_intra_alert *row = atls_intra_alerts;

    if (err->alert != ATLS_ALERT_NONE)
        return (uint8_t)err->alert;
    if (!atls_is_peers_fault(err->code) && err->code != ATLS_E_REFUSED)
        return ATLS_ALERT_INTERNAL_ERROR;
    while (row->reason != ATLS_REASON_NONE && row->reason != err->reason)
        row++;
    return (uint8_t)row->stand_in;
}
