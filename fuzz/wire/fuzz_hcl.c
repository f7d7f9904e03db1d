/* Reports in an Azure virtual TPM: sizes add up, and what is read of the variables fits its bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/hcl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void variables(struct atls_bytes in)
{
    struct atls_hcl_variables v;

    if (atls_hcl_variables_decode(in, &v, NULL) != ATLS_OK)
        return;
    REQUIRE(v.attestation_key.len > 256 && strlen(v.machine) < sizeof v.machine);
    atls_hcl_variables_clear(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = {data, size};
    struct atls_hcl_report report;

    variables(in);
    if (atls_hcl_report_decode(in, &report, NULL) == ATLS_OK) {
        REQUIRE(report.hardware_report.len == (report.type == ATLS_HCL_SNP ? 1184 : 1024));
        REQUIRE(report.variables.ptr == data + 1236 && report.variables.len <= size - 1236);
        variables(report.variables);
    }
    return 0;
}
