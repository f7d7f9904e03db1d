/* EAT in CBOR: envelopes, claims sets and measured components; what comes out keeps the bounds that
 * wire/eat.h promises, and lies within the input. */
#include <stdint.h>
#include <stdlib.h>

#include "core/reader.h"
#include "wire/eat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void within(struct atls_bytes in, struct atls_bytes part)
{
    if (part.ptr != NULL)
        REQUIRE(part.ptr >= in.ptr && part.len <= in.len &&
                (size_t)(part.ptr - in.ptr) <= in.len - part.len);
}

static void check_claims(struct atls_bytes in, const struct atls_eat_claims *c, unsigned int depth)
{
    REQUIRE(depth < ATLS_EAT_DEPTH_MAX);
    REQUIRE(c->nonce_count <= ATLS_EAT_LIST_MAX && c->submod_count <= ATLS_EAT_SUBMODS_MAX);
    for (size_t i = 0; i < c->nonce_count; i++) {
        within(in, c->nonces[i]);
        REQUIRE(c->nonces[i].len >= 8 && c->nonces[i].len <= 64);
    }
    if (c->ueid.ptr != NULL)
        REQUIRE(c->ueid.len >= 7 && c->ueid.len <= 33 && atls_eat_ueid_form(c->ueid) <= 3);
    if (c->dbgstat.present)
        REQUIRE(atls_eat_dbgstat_name(c->dbgstat.value) != NULL);
    if (c->intuse.present)
        REQUIRE(atls_eat_intuse_name(c->intuse.value) != NULL);
    within(in, c->ueid);
    within(in, c->profile.value);
    within(in, c->cnf.key_encoded);
    for (size_t i = 0; i < c->other_count; i++) {
        within(in, c->others[i].value);
        REQUIRE(c->others[i].value.len > 0);
    }
    for (size_t i = 0; i < c->submod_count; i++) {
        within(in, c->submods[i].name);
        within(in, c->submods[i].token);
        within(in, c->submods[i].digest.digest);
        REQUIRE((c->submods[i].kind == ATLS_EAT_SUBMOD_CLAIMS) == (c->submods[i].claims != NULL));
        if (c->submods[i].claims != NULL)
            check_claims(in, c->submods[i].claims, depth + 1);
    }
}

static void claims_set(struct atls_bytes in, struct atls_arena *arena)
{
    struct atls_eat_claims claims;

    if (atls_eat_claims_decode(in, 0, arena, &claims, NULL) == ATLS_OK)
        check_claims(in, &claims, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = {data, size};
    struct atls_arena arena = atls_arena_init(1 << 24);
    struct atls_eat_component component;
    struct atls_eat_token token;

    claims_set(in, &arena);
    if (atls_eat_token_open(in, &arena, &token, NULL) == ATLS_OK) {
        within(in, token.claims);
        if (token.kind != ATLS_EAT_BUNDLE)
            claims_set(token.claims, &arena);
        for (size_t i = 0; i < token.bundle.set_count; i++) {
            within(in, token.bundle.sets[i].bytes);
            claims_set(token.bundle.sets[i].bytes, &arena);
        }
    }
    if (atls_eat_component_decode(in, &arena, &component, NULL) == ATLS_OK)
        REQUIRE(component.has_digest == (component.raw.ptr == NULL));
    atls_arena_clear(&arena);
    return 0;
}
