#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include "attester/tpm2/device.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"

/* TPMT_PUBLIC is a few hundred bytes for every algorithm that a TPM does. */
#define PUBLIC_MAX 2048
/* A certificate with its padding. */
#define CERTIFICATE_MAX (16 * 1024)

#define NV_EK_RSA_2048 0x01c00002u
#define NV_EK_ECC_P256 0x01c0000au

#define SIGNING_KEY                                                                                \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |            \
     TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SIGN_ENCRYPT)

/* Without noDA, a few power cuts would lock the keys: a TPM that was not shut down in order counts
 * it as a failed authorisation (Part 1, 19.8.6). With an empty authorisation there is nothing to
 * guess. */
#define MADE_KEY (SIGNING_KEY | TPMA_OBJECT_NODA)

/* Restricted: it signs nothing that looks like an attestation unless the TPM made it. The unique
 * field sets this primary key apart from others of the same template. */
static const TPM2B_PUBLIC ak_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = MADE_KEY | TPMA_OBJECT_RESTRICTED,
            .parameters.eccDetail =
                {
                    .symmetric.algorithm = TPM2_ALG_NULL,
                    .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                    .curveID = TPM2_ECC_NIST_P256,
                    .kdf.scheme = TPM2_ALG_NULL,
                },
            .unique.ecc.x = {.size = 32, .buffer = "libatls attestation key"},
            .unique.ecc.y = {.size = 32},
        },
};

static const TPM2B_PUBLIC aik_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = MADE_KEY,
            .parameters.eccDetail =
                {
                    .symmetric.algorithm = TPM2_ALG_NULL,
                    .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                    .curveID = TPM2_ECC_NIST_P256,
                    .kdf.scheme = TPM2_ALG_NULL,
                },
        },
};

/* Storage primary key (TCG TPM v2.0 Provisioning Guidance, 7.5.1). */
static const TPM2B_PUBLIC storage_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
            .parameters.eccDetail =
                {
                    .symmetric = {.algorithm = TPM2_ALG_AES,
                                  .keyBits.aes = 128,
                                  .mode.aes = TPM2_ALG_CFB},
                    .scheme.scheme = TPM2_ALG_NULL,
                    .curveID = TPM2_ECC_NIST_P256,
                    .kdf.scheme = TPM2_ALG_NULL,
                },
        },
};

#define EK_ATTRIBUTES                                                                              \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |            \
     TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)
/* PolicySecret(TPM_RH_ENDORSEMENT), "PolicyA" of the EK Credential Profile, B.6.2. */
#define EK_POLICY                                                                                  \
    {                                                                                              \
        .size = 32, .buffer = {                                                                    \
            0x83,                                                                                  \
            0x71,                                                                                  \
            0x97,                                                                                  \
            0x67,                                                                                  \
            0x44,                                                                                  \
            0x84,                                                                                  \
            0xb3,                                                                                  \
            0xf8,                                                                                  \
            0x1a,                                                                                  \
            0x90,                                                                                  \
            0xcc,                                                                                  \
            0x8d,                                                                                  \
            0x46,                                                                                  \
            0xa5,                                                                                  \
            0xd7,                                                                                  \
            0x24,                                                                                  \
            0xfd,                                                                                  \
            0x52,                                                                                  \
            0xd7,                                                                                  \
            0x6e,                                                                                  \
            0x06,                                                                                  \
            0x52,                                                                                  \
            0x0b,                                                                                  \
            0x64,                                                                                  \
            0xf2,                                                                                  \
            0xa1,                                                                                  \
            0xda,                                                                                  \
            0x1b,                                                                                  \
            0x33,                                                                                  \
            0x14,                                                                                  \
            0x69,                                                                                  \
            0xaa                                                                                   \
        }                                                                                          \
    }

/* Template L-1. */
static const TPM2B_PUBLIC ek_rsa_template = {
    .publicArea =
        {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = EK_ATTRIBUTES,
            .authPolicy = EK_POLICY,
            .parameters.rsaDetail =
                {
                    .symmetric = {.algorithm = TPM2_ALG_AES,
                                  .keyBits.aes = 128,
                                  .mode.aes = TPM2_ALG_CFB},
                    .scheme.scheme = TPM2_ALG_NULL,
                    .keyBits = 2048,
                },
            .unique.rsa.size = 256,
        },
};

/* Template L-2. */
static const TPM2B_PUBLIC ek_ecc_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = EK_ATTRIBUTES,
            .authPolicy = EK_POLICY,
            .parameters.eccDetail =
                {
                    .symmetric = {.algorithm = TPM2_ALG_AES,
                                  .keyBits.aes = 128,
                                  .mode.aes = TPM2_ALG_CFB},
                    .scheme.scheme = TPM2_ALG_NULL,
                    .curveID = TPM2_ECC_NIST_P256,
                    .kdf.scheme = TPM2_ALG_NULL,
                },
            .unique.ecc = {.x.size = 32, .y.size = 32},
        },
};

static const struct role {
    const char *name;   /* in messages */
    const char *option; /* of the URI */
    TPMA_OBJECT set;    /* attributes that the key must have */
    TPMA_OBJECT clear;  /* and must not have */
} roles[] = {
    [ATLS_TPM2_AK] = {"attestation key", "ak", SIGNING_KEY | TPMA_OBJECT_RESTRICTED,
                      TPMA_OBJECT_DECRYPT},
    /* Restricted, it could not sign a TLS handshake. */
    [ATLS_TPM2_AIK] = {"attestation identity key", "aik", SIGNING_KEY,
                       TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT},
};

static enum atls_code create_primary(struct atls_tpm2_device *device, ESYS_TR hierarchy,
                                     const TPM2B_PUBLIC *template, ESYS_TR *out_handle,
                                     TPM2B_PUBLIC *out_public, struct atls_err *err)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION no_pcrs = {0};
    TPM2B_PUBLIC *area = NULL;
    ESYS_TR handle = ESYS_TR_NONE;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_CreatePrimary(device->esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, &sensitive, template, &outside, &no_pcrs, &handle,
                                &area, NULL, NULL, NULL);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_CreatePrimary", rc, err);
    if (out_public != NULL)
        *out_public = *area;
    *out_handle = handle;
    Esys_Free(area);
    return ATLS_OK;
}

/* Creates the AIK below parent, unless it was before, and loads it. */
static enum atls_code create_and_load(struct atls_tpm2_device *device, ESYS_TR parent,
                                      struct atls_tpm2_key *key, struct atls_err *err)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION no_pcrs = {0};
    TPM2B_PUBLIC *area = NULL;
    TPM2B_PRIVATE *private_part = NULL;
    unsigned int tries = 0;
    TSS2_RC rc;

    if (key->private_part.size == 0) {
        do
            rc = Esys_Create(device->esys, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                             &sensitive, &aik_template, &outside, &no_pcrs, &private_part, &area,
                             NULL, NULL, NULL);
        while (atls_tpm2_again(rc, &tries));
        if (rc != TSS2_RC_SUCCESS)
            return atls_tpm2_fail(device, "TPM2_Create", rc, err);
        key->private_part = *private_part;
        key->public_part = *area;
        Esys_Free(private_part);
        Esys_Free(area);
    }
    tries = 0;
    do
        rc = Esys_Load(device->esys, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                       &key->private_part, &key->public_part, &key->handle);
    while (atls_tpm2_again(rc, &tries));
    if (rc == TSS2_RC_SUCCESS)
        return ATLS_OK;
    key->handle = ESYS_TR_NONE;
    return atls_tpm2_fail(device, "TPM2_Load", rc, err);
}

static enum atls_code make_aik(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                               struct atls_err *err)
{
    ESYS_TR parent = ESYS_TR_NONE;
    enum atls_code code =
        create_primary(device, ESYS_TR_RH_OWNER, &storage_template, &parent, NULL, err);

    if (code == ATLS_OK)
        code = create_and_load(device, parent, key, err);
    atls_tpm2_flush(device, &parent);
    return code;
}

/* Makes a transient key and keeps its context, so that the next use is cheap. */
static enum atls_code make_key(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                               struct atls_err *err)
{
    enum atls_code code;
    unsigned int tries = 0;
    TSS2_RC rc;

    code = key->role == ATLS_TPM2_AIK ? make_aik(device, key, err)
                                      : create_primary(device, ESYS_TR_RH_ENDORSEMENT, &ak_template,
                                                       &key->handle, &key->public_part, err);
    if (code != ATLS_OK)
        return code;
    do
        rc = Esys_ContextSave(device->esys, key->handle, &key->context);
    while (atls_tpm2_again(rc, &tries));
    if (rc == TSS2_RC_SUCCESS)
        return ATLS_OK;
    key->context = NULL;
    code = atls_tpm2_fail(device, "TPM2_ContextSave", rc, err);
    atls_tpm2_flush(device, &key->handle);
    return code;
}

static enum atls_code load_persistent(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                                      struct atls_err *err)
{
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_TR_FromTPMPublic(device->esys, key->persistent, ESYS_TR_NONE, ESYS_TR_NONE,
                                   ESYS_TR_NONE, &key->handle);
    while (atls_tpm2_again(rc, &tries));
    if (rc == TSS2_RC_SUCCESS)
        return ATLS_OK;
    key->handle = ESYS_TR_NONE;
    return atls_tpm2_fail(device, "TPM2_ReadPublic", rc, err);
}

static enum atls_code load_transient(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                                     struct atls_err *err)
{
    unsigned int tries = 0;
    TSS2_RC rc;

    if (key->context == NULL)
        return make_key(device, key, err);
    do
        rc = Esys_ContextLoad(device->esys, key->context, &key->handle);
    while (atls_tpm2_again(rc, &tries));
    if (rc == TSS2_RC_SUCCESS)
        return ATLS_OK;
    key->handle = ESYS_TR_NONE;
    if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER)
        return atls_tpm2_fail(device, "TPM2_ContextLoad", rc, err);
    /* A TPM that was reset forgets its contexts, but can make the same key again. */
    Esys_Free(key->context);
    key->context = NULL;
    return make_key(device, key, err);
}

static bool same_name(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
    return atls_bytes_equal(atls_bytes_of(a->name, a->size), atls_bytes_of(b->name, b->size));
}

static enum atls_code get_name(struct atls_tpm2_device *device, ESYS_TR handle, TPM2B_NAME *out,
                               struct atls_err *err)
{
    TPM2B_NAME *name = NULL;
    TSS2_RC rc = Esys_TR_GetName(device->esys, handle, &name);

    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_ReadPublic", rc, err);
    *out = *name;
    Esys_Free(name);
    return ATLS_OK;
}

/* The TPM knows a key by its Name; a mismatch means that another key, or TPM, is in its place. */
static enum atls_code check_name(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                                 struct atls_err *err)
{
    TPM2B_NAME name;
    enum atls_code code = get_name(device, key->handle, &name, err);

    if (code != ATLS_OK)
        return code;
    if (key->name.size == 0)
        key->name = name;
    if (same_name(&key->name, &name))
        return ATLS_OK;
    return atls_fail(err, ATLS_E_DEVICE,
                     "tpm2: the TPM no longer has the %s that it had at the start",
                     roles[key->role].name);
}

enum atls_code atls_tpm2_key_is_at(struct atls_tpm2_device *device, const struct atls_tpm2_key *key,
                                   TPM2_HANDLE handle, bool *out, struct atls_err *err)
{
    struct atls_tpm2_key there = {.persistent = handle, .handle = ESYS_TR_NONE};
    enum atls_code code = atls_tpm2_use(device, &there, err);

    if (code == ATLS_OK)
        *out = same_name(&there.name, &key->name);
    atls_tpm2_done(device, &there);
    return code;
}

enum atls_code atls_tpm2_use(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                             struct atls_err *err)
{
    enum atls_code code =
        key->persistent != 0 ? load_persistent(device, key, err) : load_transient(device, key, err);

    if (code != ATLS_OK)
        return code;
    if ((code = check_name(device, key, err)) != ATLS_OK)
        atls_tpm2_done(device, key);
    return code;
}

void atls_tpm2_done(struct atls_tpm2_device *device, struct atls_tpm2_key *key)
{
    if (key->persistent == 0) {
        atls_tpm2_flush(device, &key->handle);
        return;
    }
    if (key->handle != ESYS_TR_NONE && device->esys != NULL)
        (void)Esys_TR_Close(device->esys, &key->handle);
    key->handle = ESYS_TR_NONE;
}

static enum atls_code read_public(struct atls_tpm2_device *device, struct atls_tpm2_key *key,
                                  struct atls_err *err)
{
    TPM2B_PUBLIC *area = NULL;
    unsigned int tries = 0;
    TSS2_RC rc;

    do
        rc = Esys_ReadPublic(device->esys, key->handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                             &area, NULL, NULL);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPM2_ReadPublic", rc, err);
    key->public_part = *area;
    Esys_Free(area);
    return ATLS_OK;
}

static enum atls_code check_fit(const struct atls_tpm2_key *key, struct atls_err *err)
{
    const struct role *role = &roles[key->role];
    const TPMT_PUBLIC *area = &key->public_part.publicArea;
    TPMA_OBJECT set = area->objectAttributes;

    if ((set & role->set) != role->set || (set & role->clear) != 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tpm2: %s=0x%08x is unfit as %s: attributes 0x%08x, want 0x%08x set and "
                         "0x%08x clear",
                         role->option, (unsigned int)key->persistent, role->name, (unsigned int)set,
                         (unsigned int)role->set, (unsigned int)role->clear);
    if (area->nameAlg != TPM2_ALG_SHA256)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "tpm2: %s has name algorithm 0x%04x, want SHA-256", role->name,
                         (unsigned int)area->nameAlg);
    return ATLS_OK;
}

enum atls_code atls_tpm2_key_open(struct atls_tpm2_device *device, enum atls_tpm2_role role,
                                  TPM2_HANDLE handle, bool may_be_absent, struct atls_tpm2_key *out,
                                  struct atls_err *err)
{
    struct atls_tpm2_key key = {.role = role, .handle = ESYS_TR_NONE};
    bool exists = false;
    enum atls_code code;

    if (handle != 0) {
        if ((code = atls_tpm2_handle_exists(device, handle, &exists, err)) != ATLS_OK)
            return code;
        if (!exists && !may_be_absent)
            return atls_fail(err, ATLS_E_CONFIG, "tpm2: no key at %s=0x%08x; enrol this TPM first",
                             roles[role].option, (unsigned int)handle);
        key.persistent = exists ? handle : 0;
    }
    code = atls_tpm2_use(device, &key, err);
    if (code == ATLS_OK && key.persistent != 0)
        code = read_public(device, &key, err);
    if (code == ATLS_OK)
        code = check_fit(&key, err);
    atls_tpm2_done(device, &key);
    if (code != ATLS_OK) {
        atls_tpm2_key_clear(&key);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

void atls_tpm2_key_clear(struct atls_tpm2_key *key)
{
    Esys_Free(key->context);
    *key = (struct atls_tpm2_key){.handle = ESYS_TR_NONE};
}

enum atls_code atls_tpm2_put_public(struct atls_tpm2_device *device, const TPMT_PUBLIC *area,
                                    struct atls_buf *out, struct atls_err *err)
{
    uint8_t bytes[PUBLIC_MAX];
    size_t len = 0;
    TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Marshal(area, bytes, sizeof bytes, &len);

    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(device, "TPMT_PUBLIC", rc, err);
    return atls_buf_copy(out, atls_bytes_of(bytes, len), err);
}

static enum atls_code read_certificate(struct atls_tpm2_device *device, TPM2_HANDLE index,
                                       struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf padded = ATLS_BUF_INIT;
    struct atls_bytes der;
    enum atls_code code =
        atls_tpm2_nv_read(device, index, ATLS_TPM2_NV_BY_INDEX, CERTIFICATE_MAX, &padded, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_certificate_trim(atls_buf_bytes(&padded), &der, err)) == ATLS_OK)
        code = atls_buf_copy(out, der, err);
    else
        code = atls_err_prefix(err, code, "EK certificate in NV");
    atls_buf_clear(&padded);
    return code;
}

enum atls_code atls_tpm2_ek_open(struct atls_tpm2_device *device, ESYS_TR *out_handle,
                                 struct atls_buf *out_public, struct atls_buf *out_certificate,
                                 struct atls_err *err)
{
    static const struct {
        TPM2_HANDLE index;
        const TPM2B_PUBLIC *template;
    } kinds[] = {{NV_EK_ECC_P256, &ek_ecc_template}, {NV_EK_RSA_2048, &ek_rsa_template}};
    const TPM2B_PUBLIC *template = &ek_ecc_template;
    struct atls_buf certificate = ATLS_BUF_INIT, area = ATLS_BUF_INIT;
    TPM2B_PUBLIC created;
    ESYS_TR handle = ESYS_TR_NONE;
    bool exists = false;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && !exists && i < sizeof kinds / sizeof kinds[0]; i++) {
        code = atls_tpm2_handle_exists(device, kinds[i].index, &exists, err);
        if (code == ATLS_OK && exists) {
            template = kinds[i].template;
            code = read_certificate(device, kinds[i].index, &certificate, err);
        }
    }
    if (code == ATLS_OK)
        code = create_primary(device, ESYS_TR_RH_ENDORSEMENT, template, &handle, &created, err);
    if (code == ATLS_OK)
        code = atls_tpm2_put_public(device, &created.publicArea, &area, err);
    if (code != ATLS_OK) {
        atls_tpm2_flush(device, &handle);
        atls_buf_clear(&certificate);
        return code;
    }
    *out_handle = handle;
    *out_public = area;
    *out_certificate = certificate;
    return ATLS_OK;
}
