/* EAT in JSON: claims sets, bundles, selectors and measured components. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/eat_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_claims(const struct atls_eat_claims *c, unsigned int depth)
{
    REQUIRE(depth < ATLS_EAT_DEPTH_MAX);
    REQUIRE(c->nonce_count <= ATLS_EAT_LIST_MAX && c->submod_count <= ATLS_EAT_SUBMODS_MAX);
    for (size_t i = 0; i < c->nonce_count; i++)
        REQUIRE(c->nonces[i].len >= 8 && c->nonces[i].len <= 64);
    if (c->ueid.ptr != NULL)
        REQUIRE(c->ueid.len >= 7 && c->ueid.len <= 33);
    if (c->dbgstat.present)
        REQUIRE(atls_eat_dbgstat_name(c->dbgstat.value) != NULL);
    for (size_t i = 0; i < c->submod_count; i++)
        if (c->submods[i].claims != NULL)
            check_claims(c->submods[i].claims, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_eat_component component;
    struct atls_eat_bundle bundle;
    struct atls_eat_claims claims;
    struct atls_eat_submod submod;

    if (atls_eat_json_decode(in, 0, &arena, &claims, NULL) == ATLS_OK)
        check_claims(&claims, 0);
    if (atls_eat_json_bundle_decode(in, &arena, &bundle, NULL) == ATLS_OK)
        REQUIRE(bundle.set_count > 0 && bundle.main_token.len > 0);
    if (atls_eat_json_selector_decode(in, &arena, &submod, NULL) == ATLS_OK)
        REQUIRE(submod.token.len > 0);
    if (atls_eat_json_component_decode(in, &arena, &component, NULL) == ATLS_OK)
        REQUIRE(component.has_digest == (component.raw.ptr == NULL));
    atls_arena_clear(&arena);
    return 0;
}
