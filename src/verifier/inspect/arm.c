#include "verifier/inspect/cose.h"
#include "wire/cca.h"
#include "wire/psa.h"

#define ARM_ARENA_MAX (1u << 20)

static void put_lifecycle(struct atls_json *j, enum atls_arm_lifecycle lifecycle, uint16_t value)
{
    atls_json_open_object(j, "lifecycle");
    atls_json_put_string(j, "state", atls_arm_lifecycle_name(lifecycle));
    atls_json_put_uint(j, "value", value);
    atls_json_close(j);
}

static void put_components(struct atls_json *j, const struct atls_arm_component *components,
                           size_t count)
{
    atls_json_open_array(j, "software-components");
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        atls_view_put_text(j, "type", components[i].type);
        atls_json_put_hex(j, "value", components[i].value);
        atls_view_put_text(j, "version", components[i].version);
        atls_json_put_hex(j, "signer-id", components[i].signer_id);
        atls_view_put_text(j, "algorithm", components[i].algorithm);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_psa_claims(struct atls_json *j, const struct atls_psa_claims *c)
{
    atls_json_open_object(j, "claims");
    atls_json_put_string(j, "profile", atls_psa_profile_name(c->profile));
    atls_json_put_hex(j, "nonce", c->nonce);
    atls_json_put_hex(j, "instance-id", c->instance_id);
    atls_json_put_hex(j, "implementation-id", c->implementation_id);
    atls_json_put_int(j, "client-id", c->client_id);
    put_lifecycle(j, c->lifecycle, c->lifecycle_value);
    atls_view_put_hex(j, "boot-seed", c->boot_seed);
    atls_view_put_text(j, "certification-reference", c->certification_reference);
    if (c->no_measurements)
        atls_json_put_bool(j, "no-software-measurements", true);
    else
        put_components(j, c->components, c->component_count);
    atls_view_put_text(j, "verification-service", c->verification_service);
    atls_json_close(j);
}

/* A token that is not signed but authenticated: by whoever could have made it. */
static enum atls_code view_mac0(struct atls_view *v, const char *key, struct atls_bytes in,
                                struct atls_arena *arena)
{
    struct atls_psa_claims claims;
    struct atls_cose_shown mac0;
    enum atls_code code;

    if ((code = atls_cose_shown_decode(in, &mac0, v->err)) != ATLS_OK ||
        (code = atls_psa_claims_decode(mac0.payload, arena, &claims, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "envelope", "cose-mac0");
    atls_json_put_int(v->j, "alg", mac0.alg);
    atls_view_put_hex(v->j, "kid", mac0.kid);
    put_psa_claims(v->j, &claims);
    atls_json_put_hex(v->j, "mac", mac0.signature);
    atls_json_close(v->j);
    return ATLS_OK;
}

static enum atls_code view_sign1(struct atls_view *v, const char *key, struct atls_bytes in,
                                 struct atls_arena *arena)
{
    struct atls_psa_claims claims;
    struct atls_cose_sign1 sign1;
    enum atls_code code;

    if ((code = atls_psa_token_open(in, arena, &sign1, v->err)) != ATLS_OK ||
        (code = atls_psa_claims_decode(sign1.payload, arena, &claims, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "envelope", "cose-sign1");
    atls_json_put_int(v->j, "alg", sign1.alg);
    atls_view_put_hex(v->j, "kid", sign1.kid);
    put_psa_claims(v->j, &claims);
    atls_json_put_hex(v->j, "signature", sign1.signature);
    atls_json_close(v->j);
    return ATLS_OK;
}

enum atls_code atls_view_psa(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(ARM_ARENA_MAX);
    bool is_mac0 = in.len > 0 && in.ptr[0] == (0xc0 | ATLS_TAG_COSE_MAC0);
    enum atls_code code = is_mac0 ? view_mac0(v, key, in, &arena) : view_sign1(v, key, in, &arena);

    atls_arena_clear(&arena);
    return code;
}

static void put_platform(struct atls_json *j, const struct atls_cose_sign1 *sign1,
                         const struct atls_cca_platform *c)
{
    atls_json_open_object(j, "platform");
    atls_json_put_int(j, "alg", sign1->alg);
    atls_view_put_hex(j, "kid", sign1->kid);
    atls_json_put_string(j, "profile", atls_cca_platform_profile_name(c->profile));
    atls_json_put_hex(j, "challenge", c->challenge);
    atls_json_put_hex(j, "implementation-id", c->implementation_id);
    atls_json_put_hex(j, "instance-id", c->instance_id);
    atls_json_put_hex(j, "config", c->config);
    put_lifecycle(j, c->lifecycle, c->lifecycle_value);
    put_components(j, c->components, c->component_count);
    atls_json_put_string(j, "hash-algorithm", atls_arm_hash_name(c->hash));
    atls_view_put_text(j, "verification-service", c->verification_service);
    if (c->has_client_id)
        atls_json_put_int(j, "client-id", c->client_id);
    atls_view_put_hex(j, "manufacturing-config", c->manufacturing_config);
    atls_json_put_hex(j, "signature", sign1->signature);
    atls_json_close(j);
}

static void put_realm(struct atls_json *j, const struct atls_cose_sign1 *sign1,
                      const struct atls_cca_realm *c)
{
    atls_json_open_object(j, "realm");
    atls_json_put_int(j, "alg", sign1->alg);
    atls_view_put_hex(j, "kid", sign1->kid);
    atls_json_put_string(j, "profile", atls_cca_realm_profile_name(c->profile));
    atls_json_put_hex(j, "challenge", c->challenge);
    atls_json_put_hex(j, "personalization-value", c->personalization_value);
    atls_json_put_string(j, "hash-algorithm", atls_arm_hash_name(c->hash));
    atls_json_put_hex(j, "initial-measurement", c->initial_measurement);
    atls_json_open_array(j, "extensible-measurements");
    for (size_t i = 0; i < ATLS_CCA_EXTENSIBLE; i++)
        atls_json_put_hex(j, NULL, c->extensible[i]);
    atls_json_close(j);
    atls_json_put_hex(j, "public-key", c->public_key);
    atls_json_put_string(j, "public-key-hash-algorithm", atls_arm_hash_name(c->public_key_hash));
    if (c->mec_policy != ATLS_CCA_MEC_NONE)
        atls_json_put_string(j, "mec-policy",
                             c->mec_policy == ATLS_CCA_MEC_PRIVATE ? "private" : "shared");
    atls_json_put_hex(j, "signature", sign1->signature);
    atls_json_close(j);
}

enum atls_code atls_view_cca(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_arena arena = atls_arena_init(ARM_ARENA_MAX);
    struct atls_cca_platform platform;
    struct atls_cca_token token;
    struct atls_cca_realm realm;
    enum atls_code code;

    if ((code = atls_cca_token_open(in, &arena, &token, v->err)) == ATLS_OK &&
        (code = atls_cca_platform_decode(token.platform.payload, &arena, &platform, v->err)) ==
            ATLS_OK &&
        (code = atls_cca_realm_decode(token.realm.payload, &arena, &realm, v->err)) == ATLS_OK) {
        atls_json_open_object(v->j, key);
        atls_json_put_uint(v->j, "tag", token.wrapper);
        put_platform(v->j, &token.platform, &platform);
        put_realm(v->j, &token.realm, &realm);
        atls_json_close(v->j);
    }
    atls_arena_clear(&arena);
    return code;
}
