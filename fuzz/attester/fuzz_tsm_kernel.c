/* What hosts and services hand to the attester "tsm": responses of a quote generation service,
 * certificate tables, evidence. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attester/tsm/needs.h"
#include "attester/tsm/report.h"
#include "attester/tsm/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void evidence(struct atls_bytes in)
{
    static const struct atls_tsm_provider *const all[] = {&atls_tsm_snp, &atls_tsm_tdx,
                                                          &atls_tsm_cca};
    static const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN] = {1};
    struct atls_tsm_needs needs;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        (void)atls_tsm_carries(all[i], in, atls_bytes_of(challenge, sizeof challenge));
    if (atls_tsm_tdx_needs(in, &needs))
        REQUIRE(needs.count <= ATLS_TSM_NEEDS_MAX);
    if (in.len > 1184 &&
        atls_tsm_snp_needs(atls_bytes_of(in.ptr, 1184), atls_bytes_of(in.ptr + 1184, in.len - 1184),
                           "milan", &needs))
        for (size_t i = 0; i < needs.count; i++)
            REQUIRE(atls_collateral_subject_valid(needs.items[i].subject));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = {data, size};
    struct atls_bytes part, again;

    if (atls_tsm_qgs_response(in, &part, NULL) == ATLS_OK)
        REQUIRE(part.len > 0 && part.ptr + part.len == in.ptr + in.len);
    if (atls_tsm_table_trim(in, &part)) {
        REQUIRE(part.len <= in.len);
        if (part.len > 0)
            REQUIRE(atls_tsm_table_trim(part, &again) && again.len == part.len);
    }
    evidence(in);
    return 0;
}
