#include <string.h>

#include "bind/tpm_object.h"
#include "core/err.h"
#include "core/secret.h"
#include "evidence/tpm.h"

#define SPKI_MAX 2048
/* PCR 24 and above exist in no profile; a selection that names one cannot be supplied. */
#define PCRS_MASK (((uint32_t)1 << ATLS_TPM_PCRS_MAX) - 1)

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "%s", what);
}

/* ---- what both kinds of attestation share ---- */

/* Structure, magic, type. */
static enum atls_code open_attest(struct atls_bytes in, enum atls_tpm_attest_type type,
                                  struct atls_tpms_attest *out, struct atls_err *err)
{
    enum atls_code code = atls_tpms_attest_decode(in, out, err);

    if (code != ATLS_OK)
        return code;
    if (out->magic != ATLS_TPM_GENERATED)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_TPM_GENERATED,
                                "TPMS_ATTEST.magic is 0x%08x, want 0x%08x", (unsigned)out->magic,
                                ATLS_TPM_GENERATED);
    if (out->type != type)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_WRONG_ATTEST_TYPE,
                                "TPMS_ATTEST.type is 0x%04x, want 0x%04x", out->type,
                                (unsigned)type);
    return ATLS_OK;
}

static const struct {
    uint16_t algorithm;
    enum atls_hash hash;
    enum atls_key_type key_type;
    enum atls_signature scheme;
} schemes[] = {
    {ATLS_TPM_ALG_RSASSA, ATLS_HASH_SHA256, ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA256},
    {ATLS_TPM_ALG_RSASSA, ATLS_HASH_SHA384, ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA384},
    {ATLS_TPM_ALG_RSASSA, ATLS_HASH_SHA512, ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA512},
    {ATLS_TPM_ALG_RSAPSS, ATLS_HASH_SHA256, ATLS_KEY_RSA, ATLS_RSA_PSS_SHA256},
    {ATLS_TPM_ALG_RSAPSS, ATLS_HASH_SHA384, ATLS_KEY_RSA, ATLS_RSA_PSS_SHA384},
    {ATLS_TPM_ALG_RSAPSS, ATLS_HASH_SHA512, ATLS_KEY_RSA, ATLS_RSA_PSS_SHA512},
    {ATLS_TPM_ALG_ECDSA, ATLS_HASH_SHA256, ATLS_KEY_P256, ATLS_ECDSA_P256_SHA256},
    {ATLS_TPM_ALG_ECDSA, ATLS_HASH_SHA384, ATLS_KEY_P384, ATLS_ECDSA_P384_SHA384},
    {ATLS_TPM_ALG_ECDSA, ATLS_HASH_SHA512, ATLS_KEY_P521, ATLS_ECDSA_P521_SHA512},
};

static enum atls_signature find_scheme(const struct atls_tpmt_signature *s, enum atls_key_type type)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (schemes[i].algorithm == s->algorithm && schemes[i].hash == atls_tpm_hash(s->hash) &&
            schemes[i].key_type == type)
            return schemes[i].scheme;
    return ATLS_SIGNATURE_NONE;
}

static enum atls_code verify_bytes(const struct atls_key *key, enum atls_signature scheme,
                                   const struct atls_tpmt_signature *s, struct atls_bytes attest,
                                   struct atls_err *err)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_bytes bytes = s->rsa;
    enum atls_code code = ATLS_OK;

    if (s->algorithm == ATLS_TPM_ALG_ECDSA) {
        code = atls_ecdsa_der_from_rs(s->r, s->s, &der, err);
        bytes = atls_buf_bytes(&der);
    }
    if (code == ATLS_OK)
        code = atls_key_verify(key, scheme, &attest, 1, bytes, err);
    atls_buf_clear(&der);
    /* A failed signature is the evidence's fault, whatever libcrypto calls it. */
    if (code == ATLS_E_VERIFY || code == ATLS_E_DECODE)
        return refuse(err, ATLS_REASON_SIGNATURE,
                      "TPMT_SIGNATURE: does not verify with the attestation key");
    return code;
}

/* Signature over the exact attest bytes, by the AK's own scheme and hash; out_hash receives it. */
static enum atls_code verify_signature(const struct atls_tpm_signer *signer,
                                       struct atls_bytes attest, struct atls_bytes signature,
                                       enum atls_hash *out_hash, struct atls_err *err)
{
    const struct atls_tpmt_public *area = signer->area;
    struct atls_tpmt_signature s;
    enum atls_signature scheme;
    enum atls_code code = atls_tpmt_signature_decode(signature, &s, err);

    if (code != ATLS_OK)
        return code;
    if (atls_tpm_hash(s.hash) == ATLS_HASH_SHA1)
        return refuse(err, ATLS_REASON_WEAK_HASH, "TPMT_SIGNATURE.hash is SHA-1");
    if (area != NULL && (s.algorithm != area->scheme || s.hash != area->scheme_hash))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE,
                                "TPMT_SIGNATURE: scheme 0x%04x, hash 0x%04x, the AK's are 0x%04x, "
                                "0x%04x",
                                s.algorithm, s.hash, area->scheme, area->scheme_hash);
    if (signer->elsewhere && atls_tpm_hash(s.hash) != ATLS_HASH_NONE) {
        *out_hash = atls_tpm_hash(s.hash);
        return ATLS_OK;
    }
    scheme = signer->elsewhere ? ATLS_SIGNATURE_NONE : find_scheme(&s, atls_key_type(signer->key));
    if (scheme == ATLS_SIGNATURE_NONE)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE,
                                "TPMT_SIGNATURE: scheme 0x%04x with hash 0x%04x does not fit this "
                                "type of AK",
                                s.algorithm, s.hash);
    if ((code = verify_bytes(signer->key, scheme, &s, attest, err)) != ATLS_OK)
        return code;
    *out_hash = atls_tpm_hash(s.hash);
    return ATLS_OK;
}

static enum atls_code check_nonce(const struct atls_tpms_attest *a, struct atls_bytes nonce,
                                  struct atls_err *err)
{
    if (nonce.len == 0 || !atls_secret_equal(a->extra_data, nonce))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                                "TPMS_ATTEST.extraData (%zu bytes) is not the expected nonce (%zu)",
                                a->extra_data.len, nonce.len);
    return ATLS_OK;
}

static enum atls_code check_qualified_signer(const struct atls_tpms_attest *a, struct atls_err *err)
{
    if (a->qualified_signer.len == 0)
        return refuse(err, ATLS_REASON_QUALIFIED_SIGNER_EMPTY,
                      "TPMS_ATTEST.qualifiedSigner is empty");
    return ATLS_OK;
}

static enum atls_code check_clock(const struct atls_tpms_attest *a, bool allow_unsafe,
                                  struct atls_err *err)
{
    if (!a->safe && !allow_unsafe)
        return refuse(err, ATLS_REASON_CLOCK_UNSAFE,
                      "TPMS_ATTEST.clockInfo.safe is NO: the clock may have gone back");
    return ATLS_OK;
}

/* ---- TPM2_Certify ---- */

static enum atls_code check_name(const struct atls_tpmt_public *subject, struct atls_bytes name,
                                 struct atls_err *err)
{
    struct atls_tpm_name want;
    enum atls_code code = atls_tpm_name_of(subject, &want, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_bytes_equal(name, atls_tpm_name_bytes(&want)))
        return refuse(err, ATLS_REASON_NAME_MISMATCH,
                      "TPMS_CERTIFY_INFO.name is not the Name of the attested key's public area");
    return ATLS_OK;
}

/* Both sides are DER, in which a key of given parameters has one encoding. */
static enum atls_code check_binding(const struct atls_tpmt_public *subject, struct atls_bytes spki,
                                    struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    enum atls_code code = atls_tpmt_public_put_spki(subject, &w, err);

    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, w.failed, "attested key: SubjectPublicKeyInfo cannot be kept");
    if (code == ATLS_OK && (spki.len == 0 || !atls_bytes_equal(atls_writer_bytes(&w), spki)))
        code = refuse(err, ATLS_REASON_KEY_BINDING_MISMATCH,
                      "the attested key is not the key of this TLS identity");
    atls_writer_clear(&w);
    return code;
}

static enum atls_code check_subject(const struct atls_tpm_certify_check *check,
                                    const struct atls_tpms_attest *a, struct atls_err *err)
{
    struct atls_tpmt_public subject;
    enum atls_code code;

    if ((code = atls_tpmt_public_decode(check->subject, &subject, err)) != ATLS_OK ||
        (code = check_name(&subject, a->name, err)) != ATLS_OK ||
        (code = atls_tpm_check_role(&subject, ATLS_TPM_ROLE_SUBJECT, err)) != ATLS_OK)
        return code;
    return check_binding(&subject, check->spki, err);
}

enum atls_code atls_tpm_certify_verify(const struct atls_tpm_certify_check *check,
                                       struct atls_tpms_attest *out, struct atls_err *err)
{
    struct atls_tpms_attest a;
    enum atls_hash hash;
    enum atls_code code;

    if ((code = open_attest(check->attest, ATLS_TPM_ST_ATTEST_CERTIFY, &a, err)) != ATLS_OK ||
        (code = verify_signature(&check->signer, check->attest, check->signature, &hash, err)) !=
            ATLS_OK ||
        (code = check_nonce(&a, check->nonce, err)) != ATLS_OK ||
        (code = check_subject(check, &a, err)) != ATLS_OK ||
        (code = check_qualified_signer(&a, err)) != ATLS_OK ||
        (code = check_clock(&a, check->allow_unsafe_clock, err)) != ATLS_OK)
        return code;
    *out = a;
    return ATLS_OK;
}

/* ---- TPM2_Quote ---- */

static const struct atls_tpm_pcr_values *find_values(const struct atls_tpm_quote_check *check,
                                                     uint16_t hash)
{
    for (size_t i = 0; i < check->bank_count; i++)
        if (check->banks[i].hash == hash)
            return &check->banks[i];
    return NULL;
}

/* The banks of one quote in the order of its selection. */
struct selected {
    const struct atls_tpm_pcr_values *banks[ATLS_TPM_VALUE_BANKS_MAX];
    size_t count;
};

static enum atls_code check_bank(const struct atls_tpm_quote_check *check,
                                 const struct atls_tpm_pcr_selection *s, struct selected *selected,
                                 struct atls_err *err)
{
    enum atls_hash hash = atls_tpm_hash(s->hash);
    const struct atls_tpm_pcr_values *values;

    if (hash == ATLS_HASH_NONE)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_PCR_SELECTION,
                                "quote selects bank 0x%04x, which is not known", s->hash);
    if (hash == ATLS_HASH_SHA1 && !check->allow_sha1_pcr_bank)
        return refuse(err, ATLS_REASON_WEAK_PCR_BANK, "quote selects the SHA-1 bank");
    if (s->bitmap == 0 || (s->bitmap & ~PCRS_MASK) != 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION,
                                "quote selects PCRs 0x%08x of bank 0x%04x, want some of 0..%d",
                                (unsigned)s->bitmap, s->hash, ATLS_TPM_PCRS_MAX - 1);
    values = find_values(check, s->hash);
    if (values == NULL || values->present != s->bitmap)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION,
                                "values of PCRs 0x%08x of bank 0x%04x came, the quote selects "
                                "0x%08x",
                                values == NULL ? 0U : (unsigned)values->present, s->hash,
                                (unsigned)s->bitmap);
    selected->banks[selected->count++] = values;
    return ATLS_OK;
}

/* One entry a bank, and values for exactly what is selected. */
static enum atls_code check_selection(const struct atls_tpm_quote_check *check,
                                      const struct atls_tpms_attest *a, struct selected *selected,
                                      struct atls_err *err)
{
    enum atls_code code;

    selected->count = 0;
    if (a->selection_count == 0 || a->selection_count > ATLS_TPM_VALUE_BANKS_MAX ||
        a->selection_count != check->bank_count)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION,
                                "quote selects %zu banks, values of %zu came, want one or more and "
                                "as many",
                                a->selection_count, check->bank_count);
    for (size_t i = 0; i < a->selection_count; i++) {
        for (size_t j = 0; j < i; j++)
            if (a->selections[i].hash == a->selections[j].hash)
                return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PCR_SELECTION,
                                        "quote selects bank 0x%04x twice", a->selections[i].hash);
        if ((code = check_bank(check, &a->selections[i], selected, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* Digest of the values in the order of the selection, by the hash of the signature. */
static enum atls_code check_digest(const struct selected *selected, struct atls_bytes want,
                                   enum atls_hash hash, struct atls_err *err)
{
    struct atls_bytes parts[ATLS_TPM_VALUE_BANKS_MAX * ATLS_TPM_PCRS_MAX];
    uint8_t digest[ATLS_HASH_MAX];
    size_t count = 0;
    enum atls_code code;

    for (size_t i = 0; i < selected->count; i++) {
        const struct atls_tpm_pcr_values *bank = selected->banks[i];
        size_t len = atls_hash_len(atls_tpm_hash(bank->hash));

        for (unsigned int n = 0; n < ATLS_TPM_PCRS_MAX; n++) {
            if ((bank->present >> n & 1) == 0)
                continue;
            if (bank->values[n].len != len)
                return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PCR_DIGEST_MISMATCH,
                                        "PCR %u of bank 0x%04x has %zu bytes, want %zu", n,
                                        bank->hash, bank->values[n].len, len);
            parts[count++] = bank->values[n];
        }
    }
    if ((code = atls_hash_parts(hash, parts, count, digest, err)) != ATLS_OK)
        return code;
    if (!atls_bytes_equal(want, atls_bytes_of(digest, atls_hash_len(hash))))
        return refuse(err, ATLS_REASON_PCR_DIGEST_MISMATCH,
                      "TPMS_QUOTE_INFO.pcrDigest is not the digest of the PCR values");
    return ATLS_OK;
}

/* Every quoted bank has to agree with the log; they then agree on what it says. */
static enum atls_code check_event_log(const struct atls_tpm_quote_check *check,
                                      struct atls_tpm_quote_result *result, struct atls_err *err)
{
    enum atls_code code;

    if (check->event_log.ptr == NULL)
        return ATLS_OK;
    for (size_t i = 0; i < check->bank_count; i++) {
        struct atls_boot_summary boot;

        code = atls_event_log_verify(check->event_log, &check->banks[i], &boot, err);
        if (code != ATLS_OK)
            return code;
        if (boot.secure_boot != ATLS_SECURE_BOOT_UNKNOWN || !result->has_event_log)
            result->boot = boot;
        result->has_event_log = true;
    }
    return ATLS_OK;
}

static enum atls_code check_ima_bank(const struct atls_tpm_quote_check *check,
                                     const struct atls_tpm_pcr_values *bank,
                                     struct atls_tpm_quote_result *result, struct atls_err *err)
{
    struct atls_ima_summary ima;
    enum atls_code code = atls_ima_log_verify(check->ima_log, atls_tpm_hash(bank->hash),
                                              bank->values[ATLS_IMA_PCR], &ima, err);

    if (code != ATLS_OK)
        return code;
    if (result->has_ima_log && result->ima.entries != ima.entries)
        return refuse(err, ATLS_REASON_IMA_LOG_MISMATCH,
                      "IMA log: quoted banks stand at different entries");
    result->ima = ima;
    result->has_ima_log = true;
    return ATLS_OK;
}

static enum atls_code check_ima_log(const struct atls_tpm_quote_check *check,
                                    struct atls_tpm_quote_result *result, struct atls_err *err)
{
    enum atls_code code;

    if (check->ima_log.ptr == NULL)
        return ATLS_OK;
    for (size_t i = 0; i < check->bank_count; i++)
        if ((check->banks[i].present >> ATLS_IMA_PCR & 1) != 0 &&
            (code = check_ima_bank(check, &check->banks[i], result, err)) != ATLS_OK)
            return code;
    if (!result->has_ima_log)
        return refuse(err, ATLS_REASON_IMA_LOG_MISMATCH,
                      "IMA log came, but PCR 10 is not in the quote");
    if (result->ima.violations > 0 && !check->allow_ima_violations)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_MEASUREMENT,
                                "IMA log: %zu violations: files changed while they were measured",
                                result->ima.violations);
    return ATLS_OK;
}

enum atls_code atls_tpm_quote_verify_signed(const struct atls_tpm_quote_check *check,
                                            struct atls_tpms_attest *out, enum atls_hash *out_hash,
                                            struct atls_err *err)
{
    struct atls_tpms_attest attest;
    enum atls_hash hash;
    enum atls_code code;

    if ((code = open_attest(check->attest, ATLS_TPM_ST_ATTEST_QUOTE, &attest, err)) != ATLS_OK ||
        (code = verify_signature(&check->signer, check->attest, check->signature, &hash, err)) !=
            ATLS_OK ||
        (code = check_qualified_signer(&attest, err)) != ATLS_OK ||
        (code = check_nonce(&attest, check->nonce, err)) != ATLS_OK ||
        (code = check_clock(&attest, check->allow_unsafe_clock, err)) != ATLS_OK)
        return code;
    *out = attest;
    *out_hash = hash;
    return ATLS_OK;
}

enum atls_code atls_tpm_quote_verify(const struct atls_tpm_quote_check *check,
                                     struct atls_tpm_quote_result *out, struct atls_err *err)
{
    struct atls_tpm_quote_result result;
    struct selected selected;
    enum atls_hash hash;
    enum atls_code code;

    memset(&result, 0, sizeof result);
    if ((code = atls_tpm_quote_verify_signed(check, &result.attest, &hash, err)) != ATLS_OK ||
        (code = check_selection(check, &result.attest, &selected, err)) != ATLS_OK ||
        (code = check_digest(&selected, result.attest.pcr_digest, hash, err)) != ATLS_OK ||
        (code = check_event_log(check, &result, err)) != ATLS_OK ||
        (code = check_ima_log(check, &result, err)) != ATLS_OK)
        return code;
    *out = result;
    return ATLS_OK;
}

/* ---- both ---- */

enum atls_code atls_tpm_check_pair(const struct atls_tpms_attest *certify,
                                   const struct atls_tpms_attest *quote, struct atls_err *err)
{
    if (!atls_bytes_equal(certify->qualified_signer, quote->qualified_signer))
        return refuse(err, ATLS_REASON_QUALIFIED_SIGNER_MISMATCH,
                      "certification and quote have different qualified signers");
    if (certify->reset_count != quote->reset_count ||
        certify->restart_count != quote->restart_count)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_RESET_COUNT_MISMATCH,
                                "TPM: certification after %u resets and %u restarts, quote after "
                                "%u and %u",
                                (unsigned)certify->reset_count, (unsigned)certify->restart_count,
                                (unsigned)quote->reset_count, (unsigned)quote->restart_count);
    return ATLS_OK;
}
