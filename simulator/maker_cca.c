/* Machines with Arm CCA: a platform, whose key relying parties know by its instance, and a realm.
 */
#include "simulator/maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "simulator/arm.h"
#include "simulator/folder.h"
#include "simulator/manifest.h"
#include "wire/measurement.h"

#define PLATFORM_KEY "keys/cpak.pem"
#define REALM_KEY    "keys/rak.pem"

#define PLATFORM_PROFILE "tag:arm.com,2025:cca_platform#1.0.0"
#define REALM_PROFILE    "tag:arm.com,2025:cca_realm#1.0.0"

/* SHA-256 everywhere. */
#define MEASUREMENT_LEN 32

struct cca {
    struct atls_private_key *platform, *realm;
};

static enum atls_code make_key(const char *folder, const char *name, struct atls_err *err)
{
    struct atls_private_key *key = NULL;
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_private_key_generate(ATLS_KEY_P384, &key, err)) != ATLS_OK)
        return code;
    if ((code = atls_private_key_to_pem(key, &pem, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, name, atls_buf_bytes(&pem), ATLS_SIM_SECRET, err);
    atls_buf_clear(&pem);
    atls_private_key_free(key);
    return code;
}

static enum atls_code open_key(const char *folder, const char *name, struct atls_private_key **out,
                               struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_folder_read(folder, name, &pem, err)) != ATLS_OK)
        return code;
    code = atls_private_key_from_pem(atls_buf_bytes(&pem), out, err);
    atls_buf_clear(&pem);
    return atls_err_prefix(err, code, name);
}

static enum atls_code cca_make(const char *folder, const struct atls_sim_setup *setup,
                               struct atls_err *err)
{
    enum atls_code code = make_key(folder, PLATFORM_KEY, err);

    (void)setup;
    return code != ATLS_OK ? code : make_key(folder, REALM_KEY, err);
}

static void cca_close(void *self)
{
    struct cca *cca = self;

    if (cca == NULL)
        return;
    atls_private_key_free(cca->platform);
    atls_private_key_free(cca->realm);
    free(cca);
}

static enum atls_code cca_open(const char *folder, const struct atls_sim_setup *setup,
                               void **out_self, struct atls_err *err)
{
    struct cca *cca = calloc(1, sizeof *cca);
    enum atls_code code;

    (void)setup;
    if (cca == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "out of memory");
    if ((code = open_key(folder, PLATFORM_KEY, &cca->platform, err)) != ATLS_OK ||
        (code = open_key(folder, REALM_KEY, &cca->realm, err)) != ATLS_OK) {
        cca_close(cca);
        return code;
    }
    *out_self = cca;
    return ATLS_OK;
}

/* ---- evidence ---- */

/* A token and what it borrows from. */
struct guest {
    struct atls_sim_cca token;
    struct atls_sim_component component;
    uint8_t firmware[MEASUREMENT_LEN];
};

static void realm_of(struct atls_sim_cca *token, const struct atls_sim_state *state)
{
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RIM, token->initial_measurement);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM0, token->extensible[0]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM1, token->extensible[1]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM2, token->extensible[2]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM3, token->extensible[3]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RPV, token->personalization_value);
}

/* Platform and realm as state has them; *out stays where it is. */
static enum atls_code guest_of(const struct cca *cca, const struct atls_sim_state *state,
                               struct guest *out, struct atls_err *err)
{
    static const uint8_t signer[32] = "simulated firmware signer's hash";
    enum atls_code code;

    if ((code = atls_sim_cca_init(&out->token, cca->platform, cca->realm, err)) != ATLS_OK)
        return code;
    atls_sim_state_hex(state, ATLS_SIM_ORDER_FIRMWARE, out->firmware);
    out->component = (struct atls_sim_component){
        .type = "BL2",
        .version = "1.0.0",
        .value = atls_bytes_of(out->firmware, sizeof out->firmware),
        .signer_id = atls_bytes_of(signer, sizeof signer),
    };
    out->token.components = &out->component;
    out->token.component_count = 1;
    out->token.lifecycle = atls_sim_state_number(state, ATLS_SIM_ORDER_LIFECYCLE);
    realm_of(&out->token, state);
    return ATLS_OK;
}

static enum atls_code cca_evidence(void *self, const struct atls_sim_state *state,
                                   const struct atls_sim_request *request,
                                   struct atls_sim_blobs *out, struct atls_err *err)
{
    uint8_t challenge[ATLS_SIM_INBLOB_MAX] = {0};
    struct guest guest;
    enum atls_code code;

    if (request->service_provider[0] != '\0')
        return atls_fail(err, ATLS_E_USAGE, "there is no service \"%s\"",
                         request->service_provider);
    if ((code = guest_of(self, state, &guest, err)) != ATLS_OK)
        return code;
    memcpy(challenge, request->inblob.ptr,
           request->inblob.len); /* zeros follow, as the RMM wants */
    guest.token.challenge = atls_bytes_of(challenge, sizeof challenge);
    return atls_sim_cca_token(&guest.token, &out->outblob, err);
}

/* ---- what a relying party would have to know ---- */

/* The manifest that makes a store trust this platform's key. */
static enum atls_code key_manifest(const struct atls_sim_cca *platform, struct atls_bytes class_id,
                                   struct atls_bytes key_pem, struct atls_buf *out,
                                   struct atls_err *err)
{
    char id[64] = "libatls TEST platform ";
    const struct atls_sim_manifest manifest = {
        .id = id,
        .profile = PLATFORM_PROFILE,
        .class_id = class_id,
        .instance = atls_bytes_of(platform->instance_id, sizeof platform->instance_id),
        .key_pem = key_pem,
    };
    size_t at = strlen(id);

    for (size_t i = 1; i < 9; i++)
        at += (size_t)snprintf(id + at, sizeof id - at, "%02x", platform->instance_id[i]);
    return atls_sim_manifest_make(&manifest, out, err);
}

static enum atls_code publish_key(const struct cca *cca, const char *folder,
                                  const struct atls_sim_cca *platform, struct atls_bytes class_id,
                                  struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT, corim = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_key_to_pem(atls_private_key_public(cca->platform), &pem, err)) == ATLS_OK &&
        (code = key_manifest(platform, class_id, atls_buf_bytes(&pem), &corim, err)) == ATLS_OK &&
        (code = atls_sim_folder_write(folder, "roots/platform.pem", atls_buf_bytes(&pem),
                                      ATLS_SIM_PUBLIC, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, "roots/platform.corim", atls_buf_bytes(&corim),
                                     ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&pem);
    atls_buf_clear(&corim);
    return code;
}

static enum atls_code publish_manifest(const char *folder, const char *file,
                                       const struct atls_sim_manifest *manifest,
                                       struct atls_err *err)
{
    struct atls_buf corim = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_manifest_make(manifest, &corim, err)) != ATLS_OK)
        return code;
    code = atls_sim_folder_write(folder, file, atls_buf_bytes(&corim), ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&corim);
    return code;
}

static enum atls_code publish_platform(const char *folder, const struct atls_sim_cca *token,
                                       struct atls_bytes class_id, struct atls_err *err)
{
    const struct atls_sim_component *c = &token->components[0];
    const struct atls_sim_reference references[] = {
        {.name = "cca.software-component",
         .digest = c->value,
         .component = c->type,
         .version = c->version,
         .signer_id = c->signer_id},
        {.name = "cca.platform-config", .raw = token->config},
    };
    const struct atls_sim_manifest manifest = {
        .id = "libatls TEST cca platform",
        .profile = PLATFORM_PROFILE,
        .class_id = class_id,
        .references = references,
        .reference_count = sizeof references / sizeof references[0],
    };

    return publish_manifest(folder, "reference/platform.corim", &manifest, err);
}

static enum atls_code publish_realm(const char *folder, const struct atls_sim_cca *token,
                                    struct atls_err *err)
{
    const struct atls_bytes rim = atls_bytes_of(token->initial_measurement, MEASUREMENT_LEN);
    const struct atls_sim_reference references[] = {
        {.name = "cca.rim", .digest = rim},
        {.name = "cca.rem0", .digest = atls_bytes_of(token->extensible[0], MEASUREMENT_LEN)},
        {.name = "cca.rem1", .digest = atls_bytes_of(token->extensible[1], MEASUREMENT_LEN)},
        {.name = "cca.rem2", .digest = atls_bytes_of(token->extensible[2], MEASUREMENT_LEN)},
        {.name = "cca.rem3", .digest = atls_bytes_of(token->extensible[3], MEASUREMENT_LEN)},
        {.name = "cca.rpv", .raw = atls_bytes_of(token->personalization_value, 64)},
    };
    struct atls_sim_manifest manifest = {
        .id = "libatls TEST cca realm",
        .profile = REALM_PROFILE,
        .references = references,
        .reference_count = sizeof references / sizeof references[0],
    };
    struct atls_buf class_id = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_class_id(ATLS_TAG_BYTES, rim, &class_id, err)) != ATLS_OK)
        return code;
    manifest.class_id = atls_buf_bytes(&class_id);
    code = publish_manifest(folder, "reference/realm.corim", &manifest, err);
    atls_buf_clear(&class_id);
    return code;
}

static enum atls_code cca_publish(void *self, const char *folder,
                                  const struct atls_sim_state *state, int64_t time_s,
                                  struct atls_err *err)
{
    const struct cca *cca = self;
    struct atls_buf class_id = ATLS_BUF_INIT;
    struct atls_sim_state made;
    struct guest guest;
    enum atls_code code;

    (void)state;
    (void)time_s; /* a key has no dates */
    atls_sim_state_init(&made, ATLS_SIM_CCA);
    if ((code = guest_of(cca, &made, &guest, err)) != ATLS_OK ||
        (code = atls_sim_class_id(ATLS_TAG_BYTES, atls_bytes_of(guest.token.implementation_id, 32),
                                  &class_id, err)) != ATLS_OK)
        return code;
    if ((code = publish_key(cca, folder, &guest.token, atls_buf_bytes(&class_id), err)) ==
            ATLS_OK &&
        (code = publish_platform(folder, &guest.token, atls_buf_bytes(&class_id), err)) == ATLS_OK)
        code = publish_realm(folder, &guest.token, err);
    atls_buf_clear(&class_id);
    return code;
}

/* The driver says nothing of attributes, so that all are there. */
const struct atls_sim_maker atls_sim_cca_maker = {
    .tee = ATLS_SIM_CCA,
    .provider = "arm_cca_guest",
    .inblob_least = 32,
    .attributes = (1u << ATLS_SIM_ATTRIBUTE_COUNT) - 1,
    .make = cca_make,
    .open = cca_open,
    .close = cca_close,
    .evidence = cca_evidence,
    .publish = cca_publish,
};
