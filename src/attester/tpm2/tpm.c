#include "attester/tpm2/tpm.h"

#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "attester/file.h"
#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/tpm.h"

#define SPKI_MAX 1024
/* A chain of ATLS_CHAIN_MAX certificates in PEM. */
#define CHAIN_FILE_MAX (256 * 1024)

/* What an AIK may be: a TLS 1.3 CertificateVerify takes ECDSA with the curve's own hash. */
static const struct aik_kind {
    TPM2_ECC_CURVE curve;
    TPM2_ALG_ID hash;
    enum atls_signature scheme;
} aik_kinds[] = {
    {TPM2_ECC_NIST_P256, TPM2_ALG_SHA256, ATLS_ECDSA_P256_SHA256},
    {TPM2_ECC_NIST_P384, TPM2_ALG_SHA384, ATLS_ECDSA_P384_SHA384},
};

static const struct aik_kind *find_kind(const TPMT_PUBLIC *area)
{
    const TPMT_ECC_SCHEME *scheme = &area->parameters.eccDetail.scheme;

    if (area->type != TPM2_ALG_ECC)
        return NULL;
    for (size_t i = 0; i < sizeof aik_kinds / sizeof aik_kinds[0]; i++) {
        if (aik_kinds[i].curve == area->parameters.eccDetail.curveID &&
            (scheme->scheme == TPM2_ALG_NULL ||
             (scheme->scheme == TPM2_ALG_ECDSA &&
              scheme->details.ecdsa.hashAlg == aik_kinds[i].hash)))
            return &aik_kinds[i];
    }
    return NULL;
}

static enum atls_code put_spki(struct atls_tpm2 *tpm, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    struct atls_tpmt_public area;
    enum atls_code code;

    if ((code = atls_tpmt_public_decode(atls_buf_bytes(&tpm->aik_public), &area, err)) != ATLS_OK ||
        (code = atls_tpmt_public_put_spki(&area, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, &tpm->aik_spki, err);
}

/* Everything about the keys that does not change is worked out once. */
static enum atls_code describe_keys(struct atls_tpm2 *tpm, struct atls_err *err)
{
    const TPMT_PUBLIC *aik = &tpm->aik.public_part.publicArea;
    const struct aik_kind *kind = find_kind(aik);
    const TPM2B_NAME *name = &tpm->ak.name;
    enum atls_code code;

    if (kind == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "tpm2: attestation identity key is of type 0x%04x; want ECC P-256 with "
                         "ECDSA and SHA-256, or P-384 with SHA-384",
                         (unsigned int)aik->type);
    if (name->size != ATLS_TPM_KID_LEN + 1)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "tpm2: Name of the attestation key has %u bytes, want %d",
                         (unsigned int)name->size, ATLS_TPM_KID_LEN + 1);
    tpm->aik_scheme = kind->scheme;
    tpm->aik_hash = kind->hash;
    tpm->kid[0] = 0x01;
    memcpy(tpm->kid + 1, name->name + 2, sizeof tpm->kid - 1);
    if ((code = atls_tpm2_put_public(&tpm->device, &tpm->ak.public_part.publicArea, &tpm->ak_public,
                                     err)) != ATLS_OK ||
        (code = atls_tpm2_put_public(&tpm->device, aik, &tpm->aik_public, err)) != ATLS_OK)
        return code;
    return put_spki(tpm, err);
}

/* Banks and PCRs that the TPM lacks are found at the start, not when a peer asks. */
static enum atls_code try_pcrs(struct atls_tpm2 *tpm, struct atls_err *err)
{
    struct atls_tpm2_pcrs *pcrs = calloc(1, sizeof *pcrs);
    enum atls_code code;

    if (pcrs == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tpm2: out of memory");
    pcrs->selection = tpm->config.pcrs;
    code = atls_tpm2_pcr_read(&tpm->device, pcrs, err);
    free(pcrs);
    return code;
}

static enum atls_code open_keys(struct atls_tpm2 *tpm, bool enrolling, struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_tpm2_key_open(&tpm->device, ATLS_TPM2_AK, tpm->config.ak, enrolling, &tpm->ak,
                                   err)) != ATLS_OK ||
        (code = atls_tpm2_key_open(&tpm->device, ATLS_TPM2_AIK, tpm->config.aik, enrolling,
                                   &tpm->aik, err)) != ATLS_OK ||
        (code = describe_keys(tpm, err)) != ATLS_OK)
        return code;
    return try_pcrs(tpm, err);
}

enum atls_code atls_tpm2_open(const char *rest, bool enrolling, struct atls_tpm2 **out,
                              struct atls_err *err)
{
    struct atls_tpm2 *tpm = calloc(1, sizeof *tpm);
    enum atls_code code;

    if (tpm == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tpm2: out of memory");
    if (pthread_mutex_init(&tpm->mutex, NULL) != 0) {
        free(tpm);
        return atls_fail(err, ATLS_E_NOMEM, "tpm2: out of memory");
    }
    tpm->device.config = &tpm->config;
    if ((code = atls_tpm2_config_read(rest, &tpm->config, err)) == ATLS_OK &&
        (code = atls_tpm2_begin(tpm, err)) == ATLS_OK) {
        code = open_keys(tpm, enrolling, err);
        atls_tpm2_end(tpm);
    }
    if (code != ATLS_OK) {
        atls_tpm2_close(tpm);
        return code;
    }
    *out = tpm;
    return ATLS_OK;
}

void atls_tpm2_close(struct atls_tpm2 *tpm)
{
    if (tpm == NULL)
        return;
    atls_tpm2_disconnect(&tpm->device);
    atls_tpm2_key_clear(&tpm->ak);
    atls_tpm2_key_clear(&tpm->aik);
    atls_tpm2_config_clear(&tpm->config);
    atls_buf_clear(&tpm->ak_public);
    atls_buf_clear(&tpm->aik_public);
    atls_buf_clear(&tpm->aik_spki);
    for (size_t i = 0; i < tpm->ak_chain_count; i++)
        atls_buf_clear(&tpm->ak_chain[i]);
    free(tpm->ak_chain);
    atls_tpm2_hcl_close(tpm->hcl);
    pthread_mutex_destroy(&tpm->mutex);
    free(tpm);
}

enum atls_code atls_tpm2_begin(struct atls_tpm2 *tpm, struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&tpm->mutex);
    if ((code = atls_tpm2_connect(&tpm->device, err)) != ATLS_OK)
        pthread_mutex_unlock(&tpm->mutex);
    return code;
}

void atls_tpm2_end(struct atls_tpm2 *tpm)
{
    if (tpm->config.release)
        atls_tpm2_disconnect(&tpm->device);
    pthread_mutex_unlock(&tpm->mutex);
}

static enum atls_code load_ak_chain(struct atls_tpm2 *tpm, const char *path, struct atls_err *err)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    enum atls_code code;

    if (path == NULL)
        return ATLS_OK;
    /* One more than allowed, to see that there are too many. */
    if ((tpm->ak_chain = calloc(ATLS_CHAIN_MAX + 1, sizeof *tpm->ak_chain)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tpm2: out of memory");
    if ((code = atls_file_read("endorsements", path, CHAIN_FILE_MAX, &pem, err)) != ATLS_OK)
        return code;
    code = atls_certificates_from_pem(atls_buf_bytes(&pem), tpm->ak_chain, ATLS_CHAIN_MAX + 1,
                                      &tpm->ak_chain_count, err);
    atls_buf_clear(&pem);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, path);
    if (tpm->ak_chain_count == 0 || tpm->ak_chain_count > ATLS_CHAIN_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "endorsements: %s holds %s, want 1 to %d certificates",
                         path, tpm->ak_chain_count == 0 ? "none" : "too many", ATLS_CHAIN_MAX);
    return ATLS_OK;
}

static enum atls_code open_hcl(struct atls_tpm2 *tpm, const struct atls_log *log,
                               struct atls_err *err)
{
    enum atls_code code;

    if (tpm->config.hcl_report == NULL)
        return ATLS_OK;
    if ((code = atls_tpm2_begin(tpm, err)) != ATLS_OK)
        return code;
    code = atls_tpm2_hcl_open(&tpm->device, atls_buf_bytes(&tpm->ak_public), log, &tpm->hcl, err);
    atls_tpm2_end(tpm);
    return code;
}

static enum atls_code tpm2_open(const char *rest, const struct atls_attester_options *options,
                                void **out_self, struct atls_err *err)
{
    struct atls_tpm2 *tpm = NULL;
    enum atls_code code = atls_tpm2_open(rest, false, &tpm, err);
    char kid[2 * ATLS_TPM_KID_LEN + sizeof "..."];

    if (code != ATLS_OK)
        return code;
    if ((code = load_ak_chain(tpm, options->endorsements, err)) != ATLS_OK ||
        (code = open_hcl(tpm, &options->log, err)) != ATLS_OK) {
        atls_tpm2_close(tpm);
        return code;
    }
    atls_log(&options->log, ATLS_LOG_INFO, "attester", "tpm2: attestation key %s",
             atls_hex(atls_bytes_of(tpm->kid, sizeof tpm->kid), kid, sizeof kid));
    *out_self = tpm;
    return ATLS_OK;
}

static void tpm2_close(void *self)
{
    atls_tpm2_close(self);
}

static struct atls_bytes tpm2_aik_spki(void *self)
{
    const struct atls_tpm2 *tpm = self;

    return atls_buf_bytes(&tpm->aik_spki);
}

static enum atls_signature tpm2_aik_scheme(void *self)
{
    const struct atls_tpm2 *tpm = self;

    return tpm->aik_scheme;
}

/* TPM2_Sign of a digest made here: an unrestricted key needs no ticket (Part 3, 20.2). */
static enum atls_code sign_digest(struct atls_tpm2 *tpm, const TPM2B_DIGEST *digest,
                                  struct atls_buf *out, struct atls_err *err)
{
    static const TPMT_TK_HASHCHECK no_ticket = {.tag = TPM2_ST_HASHCHECK,
                                                .hierarchy = TPM2_RH_NULL};
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA,
                                    .details.ecdsa.hashAlg = tpm->aik_hash};
    TPMT_SIGNATURE *signature = NULL;
    const TPMS_SIGNATURE_ECC *ecdsa;
    unsigned int tries = 0;
    enum atls_code code;
    TSS2_RC rc;

    do
        rc = Esys_Sign(tpm->device.esys, tpm->aik.handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                       ESYS_TR_NONE, digest, &scheme, &no_ticket, &signature);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(&tpm->device, "TPM2_Sign", rc, err);
    ecdsa = &signature->signature.ecdsa;
    code =
        signature->sigAlg != TPM2_ALG_ECDSA
            ? atls_fail(err, ATLS_E_DEVICE, "TPM2_Sign: signature algorithm is 0x%04x, want ECDSA",
                        (unsigned int)signature->sigAlg)
            : atls_ecdsa_der_from_rs(
                  atls_bytes_of(ecdsa->signatureR.buffer, ecdsa->signatureR.size),
                  atls_bytes_of(ecdsa->signatureS.buffer, ecdsa->signatureS.size), out, err);
    Esys_Free(signature);
    return code;
}

static enum atls_code tpm2_aik_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                    struct atls_buf *out, struct atls_err *err)
{
    struct atls_tpm2 *tpm = self;
    const struct atls_signature_algorithm *algorithm = atls_signature_find(scheme);
    uint8_t hash[ATLS_HASH_MAX];
    TPM2B_DIGEST digest = {0};
    enum atls_code code;

    if (algorithm == NULL || scheme != tpm->aik_scheme)
        return atls_fail(err, ATLS_E_USAGE, "tpm2: asked to sign with scheme 0x%04x, want 0x%04x",
                         (unsigned int)scheme, (unsigned int)tpm->aik_scheme);
    if ((code = atls_hash_one(algorithm->hash, tbs, hash, err)) != ATLS_OK)
        return code;
    digest.size = (UINT16)atls_hash_len(algorithm->hash);
    memcpy(digest.buffer, hash, digest.size);
    if ((code = atls_tpm2_begin(tpm, err)) != ATLS_OK)
        return code;
    if ((code = atls_tpm2_use(&tpm->device, &tpm->aik, err)) == ATLS_OK)
        code = sign_digest(tpm, &digest, out, err);
    atls_tpm2_done(&tpm->device, &tpm->aik);
    atls_tpm2_end(tpm);
    return code;
}

static enum atls_code tpm2_evidence(void *self, const struct atls_challenge *challenge,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    return atls_tpm2_evidence(self, challenge->binder, out_cmw, err);
}

const struct atls_attester_ops atls_tpm2_attester = {
    .scheme = "tpm2",
    .evidence_type = "tpm",
    .open = tpm2_open,
    .close = tpm2_close,
    .aik_spki = tpm2_aik_spki,
    .aik_scheme = tpm2_aik_scheme,
    .aik_sign = tpm2_aik_sign,
    .evidence = tpm2_evidence,
};
