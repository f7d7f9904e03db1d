/* IMA measurement logs, binary and ASCII. */
#include <stdlib.h>

#include "wire/tpm_ima_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_ima_log log = atls_ima_log_init(atls_bytes_of(data, size));
    struct atls_ima_entry entry;

    while (!atls_ima_log_done(&log)) {
        size_t before = log.r.pos;

        if (atls_ima_log_next(&log, &entry, NULL) != ATLS_OK)
            break;
        if (log.r.pos <= before || log.r.pos > size ||
            entry.template_data.len > ATLS_IMA_TEMPLATE_DATA_MAX)
            abort();
        /* Fields lie inside the template data. */
        if (entry.path.len + entry.digest.len + entry.signature.len + entry.buffer.len >
            entry.template_data.len)
            abort();
    }
    atls_ima_log_clear(&log);
    return 0;
}
