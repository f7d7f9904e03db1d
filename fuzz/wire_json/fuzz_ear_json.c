/* Claims sets of attestation results: whatever decodes holds what the decoder promises. */
#include "wire/ear_json.h"

#include "../wire/ear_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;
    /* Both are tried. */
    unsigned int flags = size % 2 == 0 ? ATLS_EAR_FLOAT_TIMES : 0;
    enum atls_code code = atls_ear_json_decode(atls_bytes_of(data, size), flags, &ear, &err);

    ear_check(code, &ear, &err);
    return 0;
}
