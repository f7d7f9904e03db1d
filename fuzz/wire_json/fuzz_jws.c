/* Compact JWS: what decodes encodes to the same segments. */
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/reader.h"
#include "wire/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_writer w = atls_writer_init(2 * ATLS_EAR_MAX);
    struct atls_jws jws;

    if (atls_jws_decode(atls_bytes_of(data, size), &jws, NULL) != ATLS_OK)
        return 0;
    if (strcmp(jws.alg, "none") == 0 || jws.alg[0] == 'H')
        abort();
    atls_base64url_put(&w, atls_buf_bytes(&jws.header));
    atls_put_u8(&w, '.');
    atls_base64url_put(&w, atls_buf_bytes(&jws.payload));
    if (!atls_bytes_equal(atls_writer_bytes(&w), jws.signed_part))
        abort();
    atls_jws_put_signature(&w, atls_buf_bytes(&jws.signature));
    if (!atls_bytes_equal(atls_writer_bytes(&w), atls_bytes_of(data, size)))
        abort();
    atls_writer_clear(&w);
    atls_jws_clear(&jws);
    return 0;
}
