#include "bind/tpm_object.h"

#include <string.h>

#include "core/err.h"
#include "crypto/crypto.h"

enum atls_code atls_tpm_name_of(const struct atls_tpmt_public *area, struct atls_tpm_name *out,
                                struct atls_err *err)
{
    enum atls_hash hash = atls_tpm_hash(area->name_alg);
    struct atls_tpm_name name = {0};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if (hash == ATLS_HASH_NONE || hash == ATLS_HASH_SHA1)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_WEAK_HASH,
                                "TPMT_PUBLIC.nameAlg is 0x%04x, want SHA-256, SHA-384 or SHA-512",
                                area->name_alg);
    if ((code = atls_hash_one(hash, area->raw, digest, err)) != ATLS_OK)
        return code;
    name.len = 2 + atls_hash_len(hash);
    name.data[0] = (uint8_t)(area->name_alg >> 8);
    name.data[1] = (uint8_t)area->name_alg;
    memcpy(name.data + 2, digest, atls_hash_len(hash));
    *out = name;
    return ATLS_OK;
}

enum atls_code atls_tpm_ueid_of(const struct atls_tpm_name *name, uint8_t out[ATLS_TPM_KID_LEN],
                                struct atls_err *err)
{
    if (name->len != 2 + 32)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KID_MISMATCH,
                                "AK Name of %zu bytes, want the 34 of a SHA-256 Name", name->len);
    out[0] = 1; /* RAND: RFC 9711 section 4.2.1 */
    memcpy(out + 1, name->data + 2, 32);
    return ATLS_OK;
}

/* PolicySecret(TPM_RH_ENDORSEMENT): the default EK policy for SHA-256 (PolicyA). */
static const uint8_t ek_policy[32] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

static const struct role {
    const char *name;
    uint32_t set, clear;
} roles[] = {
    [ATLS_TPM_ROLE_AK] = {"AK",
                          ATLS_TPMA_FIXED_TPM | ATLS_TPMA_FIXED_PARENT |
                              ATLS_TPMA_SENSITIVE_DATA_ORIGIN | ATLS_TPMA_RESTRICTED |
                              ATLS_TPMA_SIGN,
                          ATLS_TPMA_DECRYPT},
    [ATLS_TPM_ROLE_SUBJECT] = {"attested key",
                               ATLS_TPMA_FIXED_TPM | ATLS_TPMA_FIXED_PARENT |
                                   ATLS_TPMA_SENSITIVE_DATA_ORIGIN | ATLS_TPMA_SIGN,
                               ATLS_TPMA_RESTRICTED | ATLS_TPMA_DECRYPT},
    [ATLS_TPM_ROLE_EK] = {"EK",
                          ATLS_TPMA_FIXED_TPM | ATLS_TPMA_FIXED_PARENT |
                              ATLS_TPMA_SENSITIVE_DATA_ORIGIN | ATLS_TPMA_ADMIN_WITH_POLICY |
                              ATLS_TPMA_RESTRICTED | ATLS_TPMA_DECRYPT,
                          ATLS_TPMA_USER_WITH_AUTH | ATLS_TPMA_SIGN},
};

static bool is_default_ek(const struct atls_tpmt_public *area)
{
    if (area->name_alg != ATLS_TPM_ALG_SHA256 || area->symmetric != ATLS_TPM_ALG_AES ||
        area->symmetric_bits != 128 || area->symmetric_mode != ATLS_TPM_ALG_CFB ||
        area->scheme != ATLS_TPM_ALG_NULL)
        return false;
    if (area->type == ATLS_TPM_ALG_RSA)
        return area->key_bits == 2048 && area->exponent == 65537;
    return area->curve == ATLS_TPM_ECC_NIST_P256 && area->kdf == ATLS_TPM_ALG_NULL;
}

enum atls_code atls_tpm_check_role(const struct atls_tpmt_public *area, enum atls_tpm_role role,
                                   struct atls_err *err)
{
    const struct role *want;

    if (role < ATLS_TPM_ROLE_AK || role > ATLS_TPM_ROLE_EK)
        return atls_fail(err, ATLS_E_USAGE, "TPM key: no role has number %d", (int)role);
    want = &roles[role];
    if ((area->attributes & want->set) != want->set || (area->attributes & want->clear) != 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES,
                                "%s: objectAttributes are 0x%08x, want 0x%08x set, 0x%08x clear",
                                want->name, (unsigned)area->attributes, (unsigned)want->set,
                                (unsigned)want->clear);
    if (role != ATLS_TPM_ROLE_EK)
        return ATLS_OK;
    if (!is_default_ek(area))
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_KEY_ATTRIBUTES,
                                "EK: parameters are not those of the default template for RSA "
                                "2048 or P-256");
    if (!atls_bytes_equal(area->auth_policy, atls_bytes_of(ek_policy, sizeof ek_policy)))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES,
                                "EK: authPolicy is not PolicySecret(endorsement)");
    return ATLS_OK;
}
