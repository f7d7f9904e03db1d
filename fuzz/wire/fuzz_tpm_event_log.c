/* TCG event logs, and the UEFI variables inside. */
#include <stdlib.h>

#include "wire/tpm.h"
#include "wire/tpm_event_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_event_log log;
    struct atls_event event;
    struct atls_uefi_variable variable;

    if (atls_event_log_open(atls_bytes_of(data, size), &log, NULL) != ATLS_OK)
        return 0;
    while (!atls_event_log_done(&log)) {
        size_t before = log.r.pos;

        if (atls_event_log_next(&log, &event, NULL) != ATLS_OK)
            return 0;
        if (log.r.pos <= before || log.r.pos > size)
            abort();
        if (event.type != ATLS_EV_NO_ACTION && event.pcr != ATLS_EVENT_NO_PCR &&
            event.pcr >= ATLS_TPM_PCRS_MAX)
            abort();
        for (size_t i = 0; i < log.algorithm_count; i++)
            if (event.digests[i].len != log.algorithms[i].size)
                abort();
        if (atls_uefi_variable_decode(event.data, &variable) &&
            32 + variable.name.len + variable.data.len != event.data.len)
            abort();
    }
    return 0;
}
