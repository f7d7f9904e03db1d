/* PSA tokens: envelope and claims. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/psa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void claims_set(struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_psa_claims c;

    if (atls_psa_claims_decode(in, &arena, &c, NULL) == ATLS_OK) {
        REQUIRE(atls_psa_profile_name(c.profile) != NULL);
        REQUIRE(c.nonce.len >= 32 && c.nonce.len <= 64);
        REQUIRE(c.implementation_id.len == ATLS_ARM_IMPLEMENTATION_ID_LEN);
        REQUIRE(c.instance_id.len == ATLS_ARM_INSTANCE_ID_LEN && c.instance_id.ptr[0] == 1);
        REQUIRE(c.client_id != 0 && c.no_measurements == (c.component_count == 0));
        REQUIRE(atls_arm_lifecycle_name(c.lifecycle) != NULL);
        for (size_t i = 0; i < c.component_count; i++)
            REQUIRE(c.components[i].value.len >= 32 && c.components[i].signer_id.len >= 32);
    }
    atls_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_cose_sign1 sign1;

    claims_set(in);
    if (atls_psa_token_open(in, &arena, &sign1, NULL) == ATLS_OK)
        claims_set(sign1.payload);
    atls_arena_clear(&arena);
    return 0;
}
