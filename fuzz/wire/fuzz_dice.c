/* Tagged evidence and its claims: what is decoded lies inside the input and has the length that its
 * algorithm says. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/ra_tls_forms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void claims(struct atls_bytes in)
{
    struct atls_dice_claims c;

    if (atls_dice_claims_decode(in, &c, NULL) != ATLS_OK)
        return;
    REQUIRE(c.pubkey_hash.len == (c.hash == ATLS_DICE_SHA256   ? 32u
                                  : c.hash == ATLS_DICE_SHA384 ? 48u
                                                               : 64u));
    REQUIRE(c.pubkey_hash.ptr >= in.ptr && c.pubkey_hash.ptr < in.ptr + in.len);
    REQUIRE(c.has_nonce || c.nonce.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_dice_evidence e;

    claims(in);
    if (atls_dice_evidence_decode(in, &e, NULL) == ATLS_OK) {
        REQUIRE(e.quote.len != 0 && e.claims.len != 0 && e.quote.ptr > in.ptr);
        REQUIRE(e.claims.ptr > e.quote.ptr && e.claims.ptr + e.claims.len == in.ptr + in.len);
        claims(e.claims);
    }
    return 0;
}
