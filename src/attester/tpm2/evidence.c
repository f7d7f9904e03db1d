#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include <atls/limits.h>

#include "attester/file.h"
#include "attester/tpm2/tpm.h"
#include "bind/binder.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/kat.h"
#include "wire/tpm.h"

/* A PCR extended between quote and read makes them disagree; a machine that measures so often that
 * this happens every time is broken. */
#define QUOTES_MAX               3
#define CONTENT_FORMAT_PKIX_CERT 287
/* TPMT_SIGNATURE: two 16-bit fields and an RSA signature, or two coordinates. */
#define SIGNATURE_MAX 1024

static const TPMT_SIG_SCHEME key_scheme = {.scheme = TPM2_ALG_NULL}; /* the AK's own */

/* What one TPM2_Certify or TPM2_Quote gives. */
struct statement {
    struct atls_buf attest;    /* TPMS_ATTEST */
    struct atls_buf signature; /* TPMT_SIGNATURE */
};

/* Everything that goes into one bundle. On the heap: PCR values are 6 kB. */
struct collected {
    struct statement certify, quote;
    struct atls_tpm2_pcrs pcrs;
    struct atls_buf event_log, ima_log;
    struct atls_quote machine; /* endorsements of the machine around the TPM, and nothing else */
};

static void statement_clear(struct statement *s)
{
    atls_buf_clear(&s->attest);
    atls_buf_clear(&s->signature);
}

static void collected_free(struct collected *c)
{
    statement_clear(&c->certify);
    statement_clear(&c->quote);
    atls_buf_clear(&c->event_log);
    atls_buf_clear(&c->ima_log);
    atls_quote_clear(&c->machine);
    free(c);
}

static enum atls_code take_statement(struct atls_tpm2 *tpm, const TPM2B_ATTEST *attest,
                                     const TPMT_SIGNATURE *signature, struct statement *out,
                                     struct atls_err *err)
{
    uint8_t bytes[SIGNATURE_MAX];
    size_t len = 0;
    enum atls_code code;
    TSS2_RC rc = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, bytes, sizeof bytes, &len);

    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(&tpm->device, "TPMT_SIGNATURE", rc, err);
    code = atls_buf_copy(&out->attest, atls_bytes_of(attest->attestationData, attest->size), err);
    if (code == ATLS_OK)
        code = atls_buf_copy(&out->signature, atls_bytes_of(bytes, len), err);
    return code;
}

static enum atls_code certify(struct atls_tpm2 *tpm, const TPM2B_DATA *qualifying,
                              struct statement *out, struct atls_err *err)
{
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *signature = NULL;
    unsigned int tries = 0;
    enum atls_code code;
    TSS2_RC rc;

    do
        rc = Esys_Certify(tpm->device.esys, tpm->aik.handle, tpm->ak.handle, ESYS_TR_PASSWORD,
                          ESYS_TR_PASSWORD, ESYS_TR_NONE, qualifying, &key_scheme, &attest,
                          &signature);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(&tpm->device, "TPM2_Certify", rc, err);
    code = take_statement(tpm, attest, signature, out, err);
    Esys_Free(attest);
    Esys_Free(signature);
    return code;
}

static enum atls_code quote(struct atls_tpm2 *tpm, const TPM2B_DATA *qualifying,
                            struct statement *out, struct atls_err *err)
{
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *signature = NULL;
    unsigned int tries = 0;
    enum atls_code code;
    TSS2_RC rc;

    do
        rc = Esys_Quote(tpm->device.esys, tpm->ak.handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                        ESYS_TR_NONE, qualifying, &key_scheme, &tpm->config.pcrs, &attest,
                        &signature);
    while (atls_tpm2_again(rc, &tries));
    if (rc != TSS2_RC_SUCCESS)
        return atls_tpm2_fail(&tpm->device, "TPM2_Quote", rc, err);
    code = take_statement(tpm, attest, signature, out, err);
    Esys_Free(attest);
    Esys_Free(signature);
    return code;
}

/* pcrDigest is the hash, by the signing scheme's algorithm, of the values in the order of the
 * selection (Part 2, 10.12.4). */
static enum atls_code digest_agrees(const struct collected *c, bool *out, struct atls_err *err)
{
    struct atls_bytes values[ATLS_TPM2_BANKS_MAX * ATLS_TPM2_PCRS_MAX];
    struct atls_tpms_attest attest;
    struct atls_tpmt_signature signature;
    uint8_t digest[ATLS_HASH_MAX];
    size_t count = 0;
    enum atls_hash hash;
    enum atls_code code;

    if ((code = atls_tpms_attest_decode(atls_buf_bytes(&c->quote.attest), &attest, err)) !=
            ATLS_OK ||
        (code = atls_tpmt_signature_decode(atls_buf_bytes(&c->quote.signature), &signature, err)) !=
            ATLS_OK)
        return atls_err_prefix(err, code, "TPM2_Quote");
    for (UINT32 b = 0; b < c->pcrs.selection.count; b++) {
        for (unsigned int i = 0; i < ATLS_TPM2_PCRS_MAX; i++) {
            if (atls_tpm2_selected(&c->pcrs.selection.pcrSelections[b], i))
                values[count++] =
                    atls_bytes_of(c->pcrs.values[b][i].buffer, c->pcrs.values[b][i].size);
        }
    }
    hash = atls_tpm_hash(signature.hash);
    if ((code = atls_hash_parts(hash, values, count, digest, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "TPM2_Quote");
    *out = atls_secret_equal(atls_bytes_of(digest, atls_hash_len(hash)), attest.pcr_digest);
    return ATLS_OK;
}

/* Quotes and reads until both tell of the same moment. */
static enum atls_code quote_and_read(struct atls_tpm2 *tpm, const TPM2B_DATA *qualifying,
                                     struct collected *c, struct atls_err *err)
{
    bool agrees = false;
    enum atls_code code;

    c->pcrs.selection = tpm->config.pcrs;
    for (int i = 0; i < QUOTES_MAX; i++) {
        statement_clear(&c->quote);
        if ((code = quote(tpm, qualifying, &c->quote, err)) != ATLS_OK ||
            (code = atls_tpm2_pcr_read(&tpm->device, &c->pcrs, err)) != ATLS_OK ||
            (code = digest_agrees(c, &agrees, err)) != ATLS_OK)
            return code;
        if (agrees)
            return ATLS_OK;
    }
    return atls_fail(err, ATLS_E_DEVICE,
                     "TPM2_Quote: the PCR values read disagree with the quote's digest, %d times",
                     QUOTES_MAX);
}

/* All that needs the device, with the keys loaded once. */
static enum atls_code ask_device(struct atls_tpm2 *tpm, const TPM2B_DATA *qualifying,
                                 struct collected *c, struct atls_err *err)
{
    enum atls_code code = atls_tpm2_begin(tpm, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_tpm2_use(&tpm->device, &tpm->ak, err)) == ATLS_OK &&
        (code = atls_tpm2_use(&tpm->device, &tpm->aik, err)) == ATLS_OK &&
        (code = certify(tpm, qualifying, &c->certify, err)) == ATLS_OK)
        code = quote_and_read(tpm, qualifying, c, err);
    atls_tpm2_done(&tpm->device, &tpm->aik);
    atls_tpm2_done(&tpm->device, &tpm->ak);
    atls_tpm2_end(tpm);
    return code;
}

/* Read after the quote: a log that grew since has what the quote covers as a prefix. */
static enum atls_code read_logs(struct atls_tpm2 *tpm, struct collected *c, struct atls_err *err)
{
    const struct {
        const char *name, *path;
        struct atls_buf *out;
    } logs[] = {
        {"event log", tpm->config.event_log, &c->event_log},
        {"IMA log", tpm->config.ima_log, &c->ima_log},
    };
    enum atls_code code;

    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        if (logs[i].path == NULL)
            continue;
        code = atls_file_read(logs[i].name, logs[i].path, ATLS_EVENT_LOG_MAX, logs[i].out, err);
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

static enum atls_code put_certify(const struct atls_tpm2 *tpm, const struct collected *c,
                                  struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SIZE_MAX);
    const struct atls_tpm_certify_half half = {
        .kid = atls_bytes_of(tpm->kid, sizeof tpm->kid),
        .signature = atls_buf_bytes(&c->certify.signature),
        .cert_info = atls_buf_bytes(&c->certify.attest),
        .pub_area = atls_buf_bytes(&tpm->aik_public),
    };

    atls_tpm_put_certify_half(&w, &half);
    return atls_writer_finish(&w, out, err);
}

static void fill_banks(const struct atls_tpm2_pcrs *pcrs, struct atls_tpm_quote_half *half)
{
    for (UINT32 b = 0; b < pcrs->selection.count; b++) {
        struct atls_tpm_pcr_values *bank = &half->banks[b];

        bank->hash = pcrs->selection.pcrSelections[b].hash;
        for (unsigned int i = 0; i < ATLS_TPM2_PCRS_MAX; i++) {
            if (!atls_tpm2_selected(&pcrs->selection.pcrSelections[b], i))
                continue;
            bank->present |= (uint32_t)1 << i;
            bank->values[i] = atls_bytes_of(pcrs->values[b][i].buffer, pcrs->values[b][i].size);
        }
    }
    half->bank_count = pcrs->selection.count;
}

static enum atls_code put_quote(const struct atls_tpm2 *tpm, const struct collected *c,
                                struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SIZE_MAX);
    struct atls_tpm_quote_half half = {
        .kid = atls_bytes_of(tpm->kid, sizeof tpm->kid),
        .signature = atls_buf_bytes(&c->quote.signature),
        .attest_info = atls_buf_bytes(&c->quote.attest),
        .ak_pub = atls_buf_bytes(&tpm->ak_public),
        .event_log = atls_buf_bytes(&c->event_log),
        .ima_log = atls_buf_bytes(&c->ima_log),
    };

    fill_banks(&c->pcrs, &half);
    atls_tpm_put_quote_half(&w, &half);
    return atls_writer_finish(&w, out, err);
}

static struct atls_cmw_label text_label(const char *text)
{
    return (struct atls_cmw_label){.is_text = true, .text = atls_bytes_of(text, strlen(text))};
}

/* {0: certificate, 1: its issuer, ...} */
static struct atls_cmw ak_chain(const struct atls_tpm2 *tpm,
                                struct atls_cmw_entry certificates[ATLS_CHAIN_MAX])
{
    for (size_t i = 0; i < tpm->ak_chain_count; i++) {
        certificates[i].label = (struct atls_cmw_label){.number = (int64_t)i};
        certificates[i].value = atls_cmw_record_cf(
            CONTENT_FORMAT_PKIX_CERT, atls_buf_bytes(&tpm->ak_chain[i]), ATLS_CMW_ENDORSEMENTS);
    }
    return (struct atls_cmw){
        .kind = ATLS_CMW_COLLECTION, .entries = certificates, .count = tpm->ak_chain_count};
}

/* "endorsements": {"ak-chain": {...}, "hcl-report": ..., ...}, each only when there is one. */
static enum atls_code put_bundle(const struct atls_tpm2 *tpm, const struct collected *c,
                                 const struct atls_cmw halves[2], struct atls_buf *out,
                                 struct atls_err *err)
{
    struct atls_cmw_entry certificates[ATLS_CHAIN_MAX], entries[1 + ATLS_QUOTE_ENDORSEMENTS_MAX];
    struct atls_cmw endorsements = {.kind = ATLS_CMW_COLLECTION, .entries = entries};
    struct atls_writer w = atls_writer_init(SIZE_MAX);
    enum atls_code code;

    if (tpm->ak_chain_count > 0)
        entries[endorsements.count++] =
            (struct atls_cmw_entry){text_label("ak-chain"), ak_chain(tpm, certificates)};
    for (size_t i = 0; i < c->machine.endorsement_count; i++) {
        const struct atls_quote_endorsement *e = &c->machine.endorsements[i];

        entries[endorsements.count++] = (struct atls_cmw_entry){
            text_label(e->label),
            atls_cmw_record(e->media_type, atls_buf_bytes(&e->value), ATLS_CMW_ENDORSEMENTS)};
    }
    code = atls_bundle_encode(&halves[0], &halves[1],
                              endorsements.count == 0 ? NULL : &endorsements, &w, err);
    if (code == ATLS_OK)
        return atls_writer_finish(&w, out, err);
    atls_writer_clear(&w);
    return code;
}

/* The largest part is what the operator can do something about. */
static enum atls_code too_large(const struct atls_tpm2 *tpm, const struct collected *c, size_t len,
                                struct atls_err *err)
{
    struct {
        const char *name;
        size_t len;
    } parts[3 + ATLS_QUOTE_ENDORSEMENTS_MAX] = {
        {"event log", c->event_log.len},
        {"IMA log", c->ima_log.len},
        {"endorsements", 0},
    };
    size_t largest = 0, count = 3;

    for (size_t i = 0; i < tpm->ak_chain_count; i++)
        parts[2].len += tpm->ak_chain[i].len;
    for (size_t i = 0; i < c->machine.endorsement_count; i++, count++) {
        parts[count].name = c->machine.endorsements[i].label;
        parts[count].len = c->machine.endorsements[i].value.len;
    }
    for (size_t i = 1; i < count; i++) {
        if (parts[i].len > parts[largest].len)
            largest = i;
    }
    return atls_fail(err, ATLS_E_LIMIT,
                     "tpm2: evidence is %zu bytes, at most %d fit in an authenticator; the %s is "
                     "too large: %zu bytes",
                     len, ATLS_CMW_DATA_MAX, parts[largest].name, parts[largest].len);
}

static enum atls_code put_evidence(const struct atls_tpm2 *tpm, const struct collected *c,
                                   struct atls_buf *out, struct atls_err *err)
{
    struct atls_buf kat = ATLS_BUF_INIT, pat = ATLS_BUF_INIT, cmw = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = put_certify(tpm, c, &kat, err)) == ATLS_OK &&
        (code = put_quote(tpm, c, &pat, err)) == ATLS_OK) {
        const struct atls_cmw halves[2] = {
            atls_cmw_record(ATLS_TYPE_TPM_CERTIFY, atls_buf_bytes(&kat), ATLS_CMW_EVIDENCE),
            atls_cmw_record(ATLS_TYPE_TPM_QUOTE, atls_buf_bytes(&pat), ATLS_CMW_EVIDENCE)};

        code = put_bundle(tpm, c, halves, &cmw, err);
    }
    atls_buf_clear(&kat);
    atls_buf_clear(&pat);
    if (code == ATLS_OK && cmw.len > ATLS_CMW_DATA_MAX) {
        code = too_large(tpm, c, cmw.len, err);
        atls_buf_clear(&cmw);
    }
    if (code == ATLS_OK)
        *out = cmw;
    return code;
}

enum atls_code atls_tpm2_evidence(struct atls_tpm2 *tpm, struct atls_bytes binder,
                                  struct atls_buf *out_cmw, struct atls_err *err)
{
    TPM2B_DATA qualifying = {.size = 32};
    enum atls_code code = atls_binder_qualifying_data(binder, qualifying.buffer, err);
    struct collected *c;

    if (code != ATLS_OK)
        return code;
    if ((c = calloc(1, sizeof *c)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tpm2: out of memory");
    if ((code = ask_device(tpm, &qualifying, c, err)) == ATLS_OK &&
        (code = read_logs(tpm, c, err)) == ATLS_OK &&
        (tpm->hcl == NULL || (code = atls_tpm2_hcl_endorse(tpm->hcl, &c->machine, err)) == ATLS_OK))
        code = put_evidence(tpm, c, out_cmw, err);
    collected_free(c);
    return code;
}

_Static_assert(ATLS_TPM2_BANKS_MAX <= ATLS_TPM_VALUE_BANKS_MAX &&
                   ATLS_TPM2_PCRS_MAX <= ATLS_TPM_PCRS_MAX,
               "a quote half holds every PCR that can be selected");
