/* Claims sets of attestation results in CBOR. */
#include "wire/ear_cbor.h"

#include "ear_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct atls_ear ear;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_ear_cbor_decode(atls_bytes_of(data, size), &ear, &err);

    ear_check(code, &ear, &err);
    return 0;
}
