/* Claims of the software platform token: what decodes encodes to the same bytes. */
#include <stdlib.h>

#include "wire/soft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_writer w = atls_writer_init(size + 1);
    struct atls_soft_token token;

    if (atls_soft_token_decode(in, &token, NULL) == ATLS_OK &&
        (atls_soft_token_put(&w, &token, NULL) != ATLS_OK ||
         !atls_bytes_equal(atls_writer_bytes(&w), in)))
        abort();
    atls_writer_clear(&w);
    return 0;
}
