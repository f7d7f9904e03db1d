#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "verifier/inspect/view.h"
#include "wire/tdx.h"
#include "wire/tpm.h"
#include "wire/tpm_event_log.h"

/* Bytes of one event that are shown: the rest is what firmware saw, not what it decided. */
#define EVENT_DATA_SHOWN 256

/* TPM_ALG_ID and TPM_ECC_CURVE (TPM 2.0 Part 2, 6.3 and 6.4) that this project meets. */
struct name {
    uint16_t id;
    const char *name;
};
static const struct name algorithms[] = {
    {0x0001, "rsa"},    {0x0004, "sha1"},   {0x0006, "aes"},  {0x000b, "sha256"},
    {0x000c, "sha384"}, {0x000d, "sha512"}, {0x0010, "null"}, {0x0014, "rsassa"},
    {0x0016, "rsapss"}, {0x0018, "ecdsa"},  {0x0023, "ecc"},  {0x0043, "cfb"},
};
static const struct name curves[] = {
    {0x0003, "nist-p256"}, {0x0004, "nist-p384"}, {0x0005, "nist-p521"}};

static void put_name(struct atls_json *j, const char *key, const struct name *names, size_t count,
                     uint16_t id)
{
    char text[8];

    for (size_t i = 0; i < count; i++) {
        if (names[i].id == id) {
            atls_json_put_string(j, key, names[i].name);
            return;
        }
    }
    snprintf(text, sizeof text, "0x%04x", id);
    atls_json_put_string(j, key, text);
}

static void put_algorithm(struct atls_json *j, const char *key, uint16_t id)
{
    put_name(j, key, algorithms, sizeof algorithms / sizeof algorithms[0], id);
}

static void put_hex32(struct atls_json *j, const char *key, uint32_t v)
{
    char text[16];

    snprintf(text, sizeof text, "0x%08" PRIx32, v);
    atls_json_put_string(j, key, text);
}

static void put_selections(struct atls_json *j, const struct atls_tpms_attest *a)
{
    atls_json_open_array(j, "pcr-selection");
    for (size_t i = 0; i < a->selection_count; i++) {
        atls_json_open_object(j, NULL);
        put_algorithm(j, "bank", a->selections[i].hash);
        atls_json_open_array(j, "pcrs");
        for (unsigned int pcr = 0; pcr < 32; pcr++)
            if (a->selections[i].bitmap >> pcr & 1)
                atls_json_put_uint(j, NULL, pcr);
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

enum atls_code atls_view_tpm_attest(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_json *j = v->j;
    struct atls_tpms_attest a;
    enum atls_code code = atls_tpms_attest_decode(in, &a, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(j, key);
    put_hex32(j, "magic", a.magic);
    atls_json_put_bool(j, "tpm-generated", a.magic == ATLS_TPM_GENERATED);
    atls_json_put_string(j, "type", a.type == ATLS_TPM_ST_ATTEST_QUOTE ? "quote" : "certify");
    atls_json_put_hex(j, "qualified-signer", a.qualified_signer);
    atls_json_put_hex(j, "extra-data", a.extra_data);
    atls_json_put_uint(j, "clock", a.clock);
    atls_json_put_uint(j, "reset-count", a.reset_count);
    atls_json_put_uint(j, "restart-count", a.restart_count);
    atls_json_put_bool(j, "safe", a.safe);
    atls_json_put_uint(j, "firmware-version", a.firmware_version);
    if (a.type == ATLS_TPM_ST_ATTEST_QUOTE) {
        put_selections(j, &a);
        atls_json_put_hex(j, "pcr-digest", a.pcr_digest);
    } else {
        atls_json_put_hex(j, "name", a.name);
        atls_json_put_hex(j, "qualified-name", a.qualified_name);
    }
    atls_json_close(j);
    return ATLS_OK;
}

enum atls_code atls_view_tpm_signature(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_tpmt_signature s;
    enum atls_code code = atls_tpmt_signature_decode(in, &s, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    put_algorithm(v->j, "algorithm", s.algorithm);
    put_algorithm(v->j, "hash", s.hash);
    if (s.rsa.ptr != NULL) {
        atls_json_put_hex(v->j, "signature", s.rsa);
    } else {
        atls_json_put_hex(v->j, "r", s.r);
        atls_json_put_hex(v->j, "s", s.s);
    }
    atls_json_close(v->j);
    return ATLS_OK;
}

static void put_attributes(struct atls_json *j, uint32_t attributes)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {ATLS_TPMA_FIXED_TPM, "fixedTPM"},
        {ATLS_TPMA_FIXED_PARENT, "fixedParent"},
        {ATLS_TPMA_SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"},
        {ATLS_TPMA_USER_WITH_AUTH, "userWithAuth"},
        {ATLS_TPMA_RESTRICTED, "restricted"},
        {ATLS_TPMA_DECRYPT, "decrypt"},
        {ATLS_TPMA_SIGN, "sign"},
    };

    put_hex32(j, "attributes", attributes);
    atls_json_open_array(j, "attribute-names");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (attributes & names[i].bit)
            atls_json_put_string(j, NULL, names[i].name);
    atls_json_close(j);
}

static void put_public(struct atls_json *j, const char *key, const struct atls_tpmt_public *p)
{
    atls_json_open_object(j, key);
    put_algorithm(j, "type", p->type);
    put_algorithm(j, "name-algorithm", p->name_alg);
    put_attributes(j, p->attributes);
    atls_json_put_hex(j, "auth-policy", p->auth_policy);
    put_algorithm(j, "symmetric", p->symmetric);
    put_algorithm(j, "scheme", p->scheme);
    if (p->modulus.ptr != NULL) {
        atls_json_put_uint(j, "key-bits", p->key_bits);
        atls_json_put_uint(j, "exponent", p->exponent);
        atls_json_put_hex(j, "modulus", p->modulus);
    } else {
        put_name(j, "curve", curves, sizeof curves / sizeof curves[0], p->curve);
        atls_json_put_hex(j, "x", p->x);
        atls_json_put_hex(j, "y", p->y);
    }
    atls_json_close(j);
}

/* TPMT_PUBLIC, or TPM2B_PUBLIC with its size in front. */
enum atls_code atls_view_tpm_public(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_tpmt_public p;
    enum atls_code code = atls_tpmt_public_decode(in, &p, v->err);

    if (code != ATLS_OK && atls_tpm2b_public_decode(in, &p, NULL) != ATLS_OK)
        return code;
    put_public(v->j, key, &p);
    return ATLS_OK;
}

enum atls_code atls_view_tpm_certify(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_tpm_certify_half half;
    enum atls_code code = atls_tpm_certify_half_decode(in, &half, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_hex(v->j, "kid", half.kid);
    atls_view_or_hex(v, "certify-info", half.cert_info, atls_view_tpm_attest);
    atls_view_or_hex(v, "public-area", half.pub_area, atls_view_tpm_public);
    atls_view_or_hex(v, "signature", half.signature, atls_view_tpm_signature);
    atls_json_close(v->j);
    return ATLS_OK;
}

static void put_pcrs(struct atls_json *j, const struct atls_tpm_quote_half *half)
{
    char index[12];

    atls_json_open_array(j, "pcrs");
    for (size_t i = 0; i < half->bank_count; i++) {
        atls_json_open_object(j, NULL);
        put_algorithm(j, "bank", half->banks[i].hash);
        atls_json_open_object(j, "values");
        for (unsigned int pcr = 0; pcr < ATLS_TPM_PCRS_MAX; pcr++) {
            if ((half->banks[i].present >> pcr & 1) == 0)
                continue;
            snprintf(index, sizeof index, "%u", pcr);
            atls_json_put_hex(j, index, half->banks[i].values[pcr]);
        }
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

enum atls_code atls_view_tpm_quote(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_tpm_quote_half half;
    enum atls_code code = atls_tpm_quote_half_decode(in, &half, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_hex(v->j, "kid", half.kid);
    atls_view_or_hex(v, "attest-info", half.attest_info, atls_view_tpm_attest);
    atls_view_or_hex(v, "attestation-key", half.ak_pub, atls_view_tpm_public);
    atls_view_or_hex(v, "signature", half.signature, atls_view_tpm_signature);
    put_pcrs(v->j, &half);
    if (half.event_log.ptr != NULL)
        atls_view_or_hex(v, "event-log", half.event_log, atls_view_event_log);
    if (half.ima_log.ptr != NULL)
        atls_view_or_hex(v, "ima-log", half.ima_log, atls_view_ima_log);
    atls_json_close(v->j);
    return ATLS_OK;
}

static void put_event(struct atls_json *j, const struct atls_event_log *log,
                      const struct atls_event *e)
{
    bool cut = e->data.len > EVENT_DATA_SHOWN;

    atls_json_open_object(j, NULL);
    atls_json_put_uint(j, "pcr", e->pcr);
    put_hex32(j, "type", e->type);
    atls_json_open_array(j, "digests");
    for (size_t i = 0; i < log->algorithm_count; i++) {
        atls_json_open_object(j, NULL);
        put_algorithm(j, "algorithm", log->algorithms[i].id);
        atls_json_put_hex(j, "digest", e->digests[i]);
        atls_json_close(j);
    }
    atls_json_close(j);
    atls_json_put_uint(j, "data-length", e->data.len);
    atls_json_put_hex(j, "data", atls_bytes_of(e->data.ptr, cut ? EVENT_DATA_SHOWN : e->data.len));
    atls_json_close(j);
}

/* Read once whole before anything is written. Areas of memory are padded behind a log, which is
 * then crypto agile; zeros behind another would be events. */
static enum atls_code find_end(struct atls_bytes in, struct atls_bytes *out, struct atls_err *err)
{
    struct atls_event_log log;
    struct atls_event e;
    enum atls_code code = atls_event_log_open(in, &log, err);

    if (code == ATLS_OK && log.crypto_agile)
        return atls_ccel_trim(in, out, err);
    while (code == ATLS_OK && !atls_event_log_done(&log))
        code = atls_event_log_next(&log, &e, err);
    if (code == ATLS_OK)
        *out = in;
    return code;
}

enum atls_code atls_view_event_log(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_bytes events;
    struct atls_event_log log;
    struct atls_event e;
    enum atls_code code;

    if ((code = find_end(in, &events, v->err)) != ATLS_OK ||
        (code = atls_event_log_open(events, &log, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_bool(v->j, "crypto-agile", log.crypto_agile);
    if (events.len < in.len)
        atls_json_put_uint(v->j, "padding", in.len - events.len);
    atls_json_open_array(v->j, "events");
    while (!atls_event_log_done(&log) && atls_event_log_next(&log, &e, v->err) == ATLS_OK)
        put_event(v->j, &log, &e);
    atls_json_close(v->j);
    atls_json_close(v->j);
    return ATLS_OK;
}
