/* CCA tokens: wrapper, platform and realm claims. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/cca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void claims_set(struct atls_bytes in, struct atls_arena *arena)
{
    struct atls_cca_platform platform;
    struct atls_cca_realm realm;

    if (atls_cca_platform_decode(in, arena, &platform, NULL) == ATLS_OK) {
        REQUIRE(platform.component_count > 0 && platform.instance_id.ptr[0] == 1);
        REQUIRE(atls_cca_platform_profile_name(platform.profile) != NULL);
    }
    if (atls_cca_realm_decode(in, arena, &realm, NULL) == ATLS_OK) {
        REQUIRE(realm.challenge.len == ATLS_CCA_CHALLENGE_LEN);
        REQUIRE(realm.key.kty == ATLS_COSE_EC2 && realm.key.y.ptr != NULL);
        REQUIRE(atls_cca_realm_profile_name(realm.profile) != NULL);
        for (size_t i = 0; i < ATLS_CCA_EXTENSIBLE; i++)
            REQUIRE(realm.extensible[i].len == realm.initial_measurement.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_cca_token token;

    claims_set(in, &arena);
    if (atls_cca_token_open(in, &arena, &token, NULL) == ATLS_OK) {
        claims_set(token.platform.payload, &arena);
        claims_set(token.realm.payload, &arena);
    }
    atls_arena_clear(&arena);
    return 0;
}
