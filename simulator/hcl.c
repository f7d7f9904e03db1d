#include "simulator/hcl.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/writer.h"
#include "wire/cose.h"

#define HEADER_LEN    32
#define DATA_HEAD_LEN 20
#define VERSION       2

enum atls_code atls_sim_hcl_variables(struct atls_bytes ak_spki, const char *machine,
                                      struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_cose_key key;
    enum atls_code code;

    if ((code = atls_cose_key_from_spki(ak_spki, &key, err)) != ATLS_OK)
        return code;
    if (key.kty != ATLS_COSE_RSA)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "HCLAkPub: want an RSA key");
    atls_put_text(
        &w, "{\"keys\":[{\"kid\":\"HCLAkPub\",\"key_ops\":[\"sign\"],\"kty\":\"RSA\",\"e\":\"");
    atls_base64url_put(&w, key.e);
    atls_put_text(&w, "\",\"n\":\"");
    atls_base64url_put(&w, key.n);
    atls_put_text(&w, "\"}],\"vm-configuration\":{\"secure-boot\":true");
    if (machine != NULL) {
        atls_put_text(&w, ",\"vmUniqueId\":\"");
        atls_put_text(&w, machine);
        atls_put_text(&w, "\"");
    }
    atls_put_text(&w, "}}");
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_sim_hcl_report_data(enum atls_hash hash, struct atls_bytes variables,
                                        uint8_t out[64], struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(hash, variables, digest, err);

    if (code != ATLS_OK)
        return code;
    memset(out, 0, 64);
    memcpy(out, digest, atls_hash_len(hash));
    return ATLS_OK;
}

static void put_zeros_to(struct atls_writer *w, size_t len)
{
    while (w->failed == ATLS_OK && w->len < len)
        atls_put_u8(w, 0);
}

static uint32_t hash_number(enum atls_hash hash)
{
    return hash == ATLS_HASH_SHA256 ? 1 : hash == ATLS_HASH_SHA384 ? 2 : 3;
}

enum atls_code atls_sim_hcl_report(const struct atls_sim_hcl *hcl, struct atls_buf *out,
                                   struct atls_err *err)
{
    const uint32_t variables = (uint32_t)hcl->variables.len;
    struct atls_writer w = atls_writer_init(ATLS_HCL_MAX);

    if (hcl->hardware.len > ATLS_HCL_SLOT_LEN || hcl->variables.len > ATLS_HCL_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "HCL report: its parts do not fit");
    atls_put_text(&w, "HCLA");
    atls_put_u32le(&w, VERSION);
    atls_put_u32le(&w, HEADER_LEN + ATLS_HCL_SLOT_LEN + DATA_HEAD_LEN + variables);
    atls_put_u32le(&w, 2); /* request: a report */
    put_zeros_to(&w, HEADER_LEN);
    atls_put_bytes(&w, hcl->hardware);
    put_zeros_to(&w, HEADER_LEN + ATLS_HCL_SLOT_LEN);
    atls_put_u32le(&w, DATA_HEAD_LEN + variables);
    atls_put_u32le(&w, 1);
    atls_put_u32le(&w, hcl->type);
    atls_put_u32le(&w, hash_number(hcl->hash));
    atls_put_u32le(&w, variables);
    atls_put_bytes(&w, hcl->variables);
    put_zeros_to(&w, ATLS_SIM_HCL_LEN);
    return atls_writer_finish(&w, out, err);
}
