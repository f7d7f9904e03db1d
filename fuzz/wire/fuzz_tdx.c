/* TDX quotes and the framing of their event logs: what is decoded lies inside the input and leaves
 * no gap. */
#include <stdint.h>
#include <stdlib.h>

#include "core/reader.h"
#include "wire/tdx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* Lengths of all parts, which stand one behind the other. */
static void quote(struct atls_bytes in)
{
    struct atls_sgx_report again;
    struct atls_tdx_quote q;
    size_t rest;

    if (atls_tdx_quote_decode(in, &q, NULL) != ATLS_OK)
        return;
    rest = 4 + 64 + 64 + 6 + ATLS_SGX_REPORT_LEN + 64 + 2 + q.dcap.qe_auth.len + 6;
    REQUIRE(q.dcap.signed_part.ptr == in.ptr);
    REQUIRE(q.dcap.signed_part.len + rest + q.dcap.certification.len + q.dcap.trailing.len ==
            in.len);
    REQUIRE(q.dcap.certification.ptr == in.ptr + q.dcap.signed_part.len + rest);
    REQUIRE(q.dcap.trailing.ptr == q.dcap.certification.ptr + q.dcap.certification.len);
    REQUIRE(q.body.report_data.len == 64 && q.body.tcb_svn.len == 16);
    REQUIRE(q.body.mr_service_td.len == (q.body.is_15 ? 48 : 0));
    REQUIRE(atls_sgx_report_decode(q.dcap.qe_report.raw, &again, NULL) == ATLS_OK);
    in.len -= q.dcap.trailing.len;
    REQUIRE(atls_tdx_quote_decode(in, &q, NULL) == ATLS_OK && q.dcap.trailing.len == 0);
}

static void event_log(struct atls_bytes in)
{
    struct atls_ccel_table table;
    struct atls_bytes trimmed, again;

    (void)!atls_ccel_table_decode(in, &table, NULL);
    if (atls_ccel_trim(in, &trimmed, NULL) != ATLS_OK)
        return;
    REQUIRE(trimmed.ptr == in.ptr && trimmed.len <= in.len);
    REQUIRE(atls_ccel_trim(trimmed, &again, NULL) == ATLS_OK && again.len <= trimmed.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    quote(atls_bytes_of(data, size));
    event_log(atls_bytes_of(data, size));
    return 0;
}
