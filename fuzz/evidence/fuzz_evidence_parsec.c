/* Evidence in the forms of Parsec: CCA and TPM. */
#include "arm_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    verify_in_every_scope(atls_bytes_of(data, size));
    return 0;
}
