/* Intel SGX: quotes of enclaves (DCAP, version 3 and 4 of TEE type 0). Pure codec: nothing is
 * verified. */
#ifndef ATLS_WIRE_SGX_H
#define ATLS_WIRE_SGX_H

#include "wire/dcap.h"

/* Bits of ATTRIBUTES, whose first 8 bytes are little-endian flags and whose others are XFRM. */
#define ATLS_SGX_ATTRIBUTE_INIT  (UINT64_C(1) << 0)
#define ATLS_SGX_ATTRIBUTE_DEBUG (UINT64_C(1) << 1)

struct atls_sgx_quote {
    struct atls_dcap_quote dcap; /* version 3 or 4 */
    struct atls_sgx_report report;
    uint64_t flags, xfrm; /* of report.attributes */
    uint32_t misc_select; /* of report.misc_select */
};

/* Reads a quote. *out borrows from in and is written on success only. Errors: those of
 * atls_dcap_quote_decode. */
ATLS_MUST_CHECK enum atls_code
atls_sgx_quote_decode(struct atls_bytes in, struct atls_sgx_quote *out, struct atls_err *err);

#endif
