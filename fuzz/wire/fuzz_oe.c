/* Reports and evidence of Open Enclave: what is inside fills the rest of the input. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/ra_tls_forms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_bytes inner;

    if (atls_oe_report_decode(in, &inner, NULL) == ATLS_OK)
        REQUIRE(inner.ptr == data + 16 && inner.len == size - 16 && inner.len != 0);
    if (atls_oe_evidence_decode(in, &inner, NULL) == ATLS_OK)
        REQUIRE(inner.ptr == data + 32 && inner.len == size - 32 && inner.len != 0);
    return 0;
}
