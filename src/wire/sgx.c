#include "wire/sgx.h"

#include "core/err.h"
#include "core/reader.h"

enum atls_code atls_sgx_quote_decode(struct atls_bytes in, struct atls_sgx_quote *out,
                                     struct atls_err *err)
{
    struct atls_sgx_quote q = {.flags = 0};
    struct atls_reader attributes, misc;
    enum atls_code code;

    if ((code = atls_dcap_quote_decode(in, ATLS_DCAP_SGX, &q.dcap, err)) != ATLS_OK ||
        (code = atls_sgx_report_decode(q.dcap.body, &q.report, err)) != ATLS_OK)
        return code;
    attributes = atls_reader_init(q.report.attributes);
    misc = atls_reader_init(q.report.misc_select);
    if (!atls_get_u64le(&attributes, &q.flags) || !atls_get_u64le(&attributes, &q.xfrm) ||
        !atls_get_u32le(&misc, &q.misc_select))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "SGX quote: report malformed");
    *out = q;
    return ATLS_OK;
}
