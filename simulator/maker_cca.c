/* Machines with Arm CCA: a platform, whose key relying parties know by its instance, and a realm.
 */
#include "simulator/maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "simulator/arm.h"
#include "simulator/folder.h"
#include "wire/cbor.h"
#include "wire/corim.h"

#define PLATFORM_KEY "keys/cpak.pem"
#define REALM_KEY    "keys/rak.pem"

#define CORIM_PROFILE "tag:arm.com,2025:cca_platform#1.0.0"
#define CORIM_MAX     (64 * 1024)
#define TAG_URI       32

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

static void realm_of(struct atls_sim_cca *token, const struct atls_sim_state *state)
{
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RIM, token->initial_measurement);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM0, token->extensible[0]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM1, token->extensible[1]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM2, token->extensible[2]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_REM3, token->extensible[3]);
    atls_sim_state_hex(state, ATLS_SIM_ORDER_RPV, token->personalization_value);
}

static enum atls_code cca_evidence(void *self, const struct atls_sim_state *state,
                                   const struct atls_sim_request *request,
                                   struct atls_sim_blobs *out, struct atls_err *err)
{
    static const uint8_t signer[32] = "simulated firmware signer's hash";
    const struct cca *cca = self;
    uint8_t challenge[ATLS_SIM_INBLOB_MAX] = {0}, firmware[32];
    struct atls_sim_component component = {.type = "BL2", .version = "1.0.0"};
    struct atls_sim_cca token;
    enum atls_code code;

    if (request->service_provider[0] != '\0')
        return atls_fail(err, ATLS_E_USAGE, "there is no service \"%s\"",
                         request->service_provider);
    if ((code = atls_sim_cca_init(&token, cca->platform, cca->realm, err)) != ATLS_OK)
        return code;
    memcpy(challenge, request->inblob.ptr,
           request->inblob.len); /* zeros follow, as the RMM wants */
    token.challenge = atls_bytes_of(challenge, sizeof challenge);
    token.lifecycle = atls_sim_state_number(state, ATLS_SIM_ORDER_LIFECYCLE);
    component.value =
        atls_bytes_of(firmware, atls_sim_state_hex(state, ATLS_SIM_ORDER_FIRMWARE, firmware));
    component.signer_id = atls_bytes_of(signer, sizeof signer);
    token.components = &component;
    token.component_count = 1;
    realm_of(&token, state);
    return atls_sim_cca_token(&token, &out->outblob, err);
}

/* ---- what a relying party would have to know ---- */

/* Environment of the platform: its implementation, and which instance. */
static void put_environment(struct atls_writer *w, const struct atls_sim_cca *platform)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, atls_bytes_of(platform->implementation_id, 32));
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_UEID);
    atls_cbor_put_bytes(w, atls_bytes_of(platform->instance_id, 33));
}

/* A CoMID of one attestation key. */
static void put_comid(struct atls_writer *w, const struct atls_sim_cca *platform,
                      struct atls_bytes key_pem)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_text(w, "libatls TEST platform");
    atls_cbor_put_uint(w, 4);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, (uint64_t)ATLS_TRIPLE_ATTEST_KEY);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    put_environment(w, platform);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_PKIX_KEY);
    atls_cbor_put_text_bytes(w, key_pem);
}

/* The reference manifest that makes a store trust this platform's key. */
static enum atls_code corim_make(const struct atls_sim_cca *platform, struct atls_bytes key_pem,
                                 struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer comid = atls_writer_init(CORIM_MAX), w = atls_writer_init(CORIM_MAX);
    char id[64] = "libatls TEST platform ";
    size_t at = strlen(id);

    for (size_t i = 1; i < 9; i++)
        at += (size_t)snprintf(id + at, sizeof id - at, "%02x", platform->instance_id[i]);
    put_comid(&comid, platform, key_pem);
    atls_cbor_put_tag(&w, ATLS_TAG_CORIM);
    atls_cbor_put_map(&w, 3);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, id);
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, ATLS_TAG_COMID);
    atls_cbor_put_bytes(&w, atls_writer_bytes(&comid));
    atls_cbor_put_uint(&w, 3);
    atls_cbor_put_tag(&w, TAG_URI);
    atls_cbor_put_text(&w, CORIM_PROFILE);
    if (comid.failed != ATLS_OK)
        w.failed = comid.failed;
    atls_writer_clear(&comid);
    return atls_writer_finish(&w, out, err);
}

static enum atls_code cca_publish(void *self, const char *folder,
                                  const struct atls_sim_state *state, int64_t time_s,
                                  struct atls_err *err)
{
    const struct cca *cca = self;
    struct atls_buf pem = ATLS_BUF_INIT, corim = ATLS_BUF_INIT;
    struct atls_sim_cca platform;
    enum atls_code code;

    (void)state;
    (void)time_s; /* a key has no dates */
    if ((code = atls_sim_cca_init(&platform, cca->platform, cca->realm, err)) == ATLS_OK &&
        (code = atls_key_to_pem(atls_private_key_public(cca->platform), &pem, err)) == ATLS_OK &&
        (code = corim_make(&platform, atls_buf_bytes(&pem), &corim, err)) == ATLS_OK &&
        (code = atls_sim_folder_write(folder, "roots/platform.pem", atls_buf_bytes(&pem),
                                      ATLS_SIM_PUBLIC, err)) == ATLS_OK)
        code = atls_sim_folder_write(folder, "roots/platform.corim", atls_buf_bytes(&corim),
                                     ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&pem);
    atls_buf_clear(&corim);
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
