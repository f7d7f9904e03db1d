/* SGX quotes: what is decoded lies inside the input and leaves no gap. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/sgx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_sgx_quote q;
    size_t rest;

    if (atls_sgx_quote_decode(in, &q, NULL) != ATLS_OK)
        return 0;
    REQUIRE(atls_dcap_quote_is(in, ATLS_DCAP_SGX) && !atls_dcap_quote_is(in, ATLS_DCAP_TDX));
    rest = 4 + 64 + 64 + ATLS_SGX_REPORT_LEN + 64 + 2 + q.dcap.qe_auth.len + 6 +
           (q.dcap.version == 3 ? 0 : 6);
    REQUIRE(q.dcap.signed_part.ptr == in.ptr);
    REQUIRE(q.dcap.signed_part.len == ATLS_DCAP_HEADER_LEN + ATLS_SGX_REPORT_LEN);
    REQUIRE(q.dcap.certification.ptr == in.ptr + q.dcap.signed_part.len + rest);
    REQUIRE(q.dcap.trailing.ptr == q.dcap.certification.ptr + q.dcap.certification.len);
    REQUIRE(q.dcap.trailing.ptr + q.dcap.trailing.len == in.ptr + in.len);
    in.len -= q.dcap.trailing.len;
    REQUIRE(atls_sgx_quote_decode(in, &q, NULL) == ATLS_OK && q.dcap.trailing.len == 0);
    return 0;
}
