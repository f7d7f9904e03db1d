/* Bundles of Parsec: both forms, and the KAT of the CCA one. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/parsec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void kat(struct atls_bytes in, struct atls_arena *arena)
{
    struct atls_parsec_cca_kat k;

    if (atls_parsec_cca_kat_decode(in, arena, &k, NULL) == ATLS_OK)
        REQUIRE(k.nonce.len >= 8 && k.nonce.len <= 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_parsec_cca cca;
    struct atls_parsec_tpm tpm;

    kat(in, &arena);
    if (atls_parsec_cca_decode(in, &arena, &cca, NULL) == ATLS_OK) {
        REQUIRE(cca.kat.len + cca.token.len < size);
        kat(cca.kat, &arena);
    }
    if (atls_parsec_tpm_decode(in, &tpm, NULL) == ATLS_OK)
        REQUIRE(tpm.kat.kid.len == 33 && tpm.pat.kid.len == 33);
    atls_arena_clear(&arena);
    return 0;
}
