/* The halves of TPM evidence inside a bundle: CBOR maps whose members stand in one order. Walking
 * that order is the whole check: a member out of place, missing or there twice does not match. */
#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/tpm.h"

static bool enter_map(struct atls_reader *r, struct atls_cbor_iter *map)
{
    return atls_cbor_enter_map(r, map) && !map->indefinite;
}

/* The next pair is there and has this name. */
static bool get_name(struct atls_reader *r, struct atls_cbor_iter *map, const char *name)
{
    struct atls_reader ahead = *r;
    struct atls_cbor_iter left = *map;
    struct atls_bytes text;

    if (!atls_cbor_more(&ahead, &left) || !atls_cbor_get_text(&ahead, &text) ||
        !atls_bytes_equal_text(text, name))
        return false;
    *r = ahead;
    *map = left;
    return true;
}

static bool get_member(struct atls_reader *r, struct atls_cbor_iter *map, const char *name,
                       struct atls_bytes *out)
{
    return get_name(r, map, name) && atls_cbor_get_bytes(r, out);
}

/* Absent is fine and leaves out as it was; present but not bytes is not. */
static bool get_optional(struct atls_reader *r, struct atls_cbor_iter *map, const char *name,
                         struct atls_bytes *out)
{
    return !get_name(r, map, name) || atls_cbor_get_bytes(r, out);
}

/* tpmVer, kid, sig: what both halves begin with. */
static bool get_head(struct atls_reader *r, struct atls_cbor_iter *map, struct atls_bytes *kid,
                     struct atls_bytes *signature)
{
    struct atls_bytes version;

    return enter_map(r, map) && get_name(r, map, "tpmVer") && atls_cbor_get_text(r, &version) &&
           atls_bytes_equal_text(version, ATLS_TPM_VERSION) && get_member(r, map, "kid", kid) &&
           kid->len == ATLS_TPM_KID_LEN && kid->ptr[0] == 1 && get_member(r, map, "sig", signature);
}

static enum atls_code malformed(struct atls_err *err, const char *half, const struct atls_reader *r)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "%s: malformed near byte %zu of %zu", half, r->pos, r->in.len);
}

enum atls_code atls_tpm_certify_half_decode(struct atls_bytes in, struct atls_tpm_certify_half *out,
                                            struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tpm_certify_half half;
    struct atls_cbor_iter map;

    memset(&half, 0, sizeof half);
    if (!get_head(&r, &map, &half.kid, &half.signature) ||
        !get_member(&r, &map, "certInfo", &half.cert_info) ||
        !get_member(&r, &map, "pubArea", &half.pub_area) || map.left != 0 || !atls_reader_done(&r))
        return malformed(err, "TPM certify half", &r);
    *out = half;
    return ATLS_OK;
}

/* One bank: {index => value}, indices ascending. */
static enum atls_code get_bank(struct atls_reader *r, struct atls_tpm_pcr_values *bank,
                               struct atls_err *err)
{
    struct atls_cbor_iter map;
    struct atls_bytes value;
    uint64_t index, next = 0;

    if (!enter_map(r, &map) || map.left == 0)
        return malformed(err, "TPM quote half: pcrs", r);
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_uint(r, &index))
            return malformed(err, "TPM quote half: pcrs", r);
        if (index >= ATLS_TPM_PCRS_MAX || index < next)
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_PCR_SELECTION,
                                    "TPM quote half: PCR index %llu of bank 0x%04x, want ascending "
                                    "indices below %d",
                                    (unsigned long long)index, bank->hash, ATLS_TPM_PCRS_MAX);
        if (!atls_cbor_get_bytes(r, &value))
            return malformed(err, "TPM quote half: pcrs", r);
        bank->present |= (uint32_t)1 << index;
        bank->values[index] = value;
        next = index + 1;
    }
    /* At the end of input atls_cbor_more says no as well. */
    return map.left == 0 ? ATLS_OK : malformed(err, "TPM quote half: pcrs", r);
}

static bool has_bank(const struct atls_tpm_quote_half *half, uint16_t hash)
{
    for (size_t i = 0; i < half->bank_count; i++)
        if (half->banks[i].hash == hash)
            return true;
    return false;
}

static enum atls_code get_pcrs(struct atls_reader *r, struct atls_tpm_quote_half *half,
                               struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    uint64_t hash;

    if (!enter_map(r, &map) || map.left > ATLS_TPM_VALUE_BANKS_MAX)
        return malformed(err, "TPM quote half: pcrs", r);
    while (atls_cbor_more(r, &map)) {
        struct atls_tpm_pcr_values *bank = &half->banks[half->bank_count];

        if (!atls_cbor_get_uint(r, &hash) || hash > 0xffff)
            return malformed(err, "TPM quote half: pcrs", r);
        if (has_bank(half, (uint16_t)hash))
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_PCR_SELECTION,
                                    "TPM quote half: bank 0x%04x is there twice", (unsigned)hash);
        bank->hash = (uint16_t)hash;
        if ((code = get_bank(r, bank, err)) != ATLS_OK)
            return code;
        half->bank_count++;
    }
    return map.left == 0 ? ATLS_OK : malformed(err, "TPM quote half: pcrs", r);
}

enum atls_code atls_tpm_quote_half_decode(struct atls_bytes in, struct atls_tpm_quote_half *out,
                                          struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tpm_quote_half half;
    struct atls_cbor_iter map;
    enum atls_code code;

    memset(&half, 0, sizeof half);
    if (!get_head(&r, &map, &half.kid, &half.signature) ||
        !get_member(&r, &map, "attestInfo", &half.attest_info) ||
        !get_member(&r, &map, "akPub", &half.ak_pub) || !get_name(&r, &map, "pcrs"))
        return malformed(err, "TPM quote half", &r);
    if ((code = get_pcrs(&r, &half, err)) != ATLS_OK)
        return code;
    if (!get_optional(&r, &map, "eventLog", &half.event_log) ||
        !get_optional(&r, &map, "imaLog", &half.ima_log) || map.left != 0 || !atls_reader_done(&r))
        return malformed(err, "TPM quote half", &r);
    *out = half;
    return ATLS_OK;
}

static void put_member(struct atls_writer *w, const char *name, struct atls_bytes value)
{
    atls_cbor_put_text(w, name);
    atls_cbor_put_bytes(w, value);
}

static void put_head(struct atls_writer *w, struct atls_bytes kid, struct atls_bytes signature)
{
    atls_cbor_put_text(w, "tpmVer");
    atls_cbor_put_text(w, ATLS_TPM_VERSION);
    put_member(w, "kid", kid);
    put_member(w, "sig", signature);
}

void atls_tpm_put_certify_half(struct atls_writer *w, const struct atls_tpm_certify_half *half)
{
    atls_cbor_put_map(w, 5);
    put_head(w, half->kid, half->signature);
    put_member(w, "certInfo", half->cert_info);
    put_member(w, "pubArea", half->pub_area);
}

static uint64_t count_bits(uint32_t bitmap)
{
    uint64_t count = 0;

    for (; bitmap != 0; bitmap &= bitmap - 1)
        count++;
    return count;
}

static void put_bank(struct atls_writer *w, const struct atls_tpm_pcr_values *bank)
{
    uint32_t present = bank->present & (((uint32_t)1 << ATLS_TPM_PCRS_MAX) - 1);

    atls_cbor_put_uint(w, bank->hash);
    atls_cbor_put_map(w, count_bits(present));
    for (unsigned int i = 0; i < ATLS_TPM_PCRS_MAX; i++) {
        if ((present >> i & 1) == 0)
            continue;
        atls_cbor_put_uint(w, i);
        atls_cbor_put_bytes(w, bank->values[i]);
    }
}

void atls_tpm_put_quote_half(struct atls_writer *w, const struct atls_tpm_quote_half *half)
{
    size_t optional = (half->event_log.ptr != NULL) + (size_t)(half->ima_log.ptr != NULL);

    atls_cbor_put_map(w, 6 + optional);
    put_head(w, half->kid, half->signature);
    put_member(w, "attestInfo", half->attest_info);
    put_member(w, "akPub", half->ak_pub);
    atls_cbor_put_text(w, "pcrs");
    atls_cbor_put_map(w, half->bank_count);
    for (size_t i = 0; i < half->bank_count; i++)
        put_bank(w, &half->banks[i]);
    if (half->event_log.ptr != NULL)
        put_member(w, "eventLog", half->event_log);
    if (half->ima_log.ptr != NULL)
        put_member(w, "imaLog", half->ima_log);
}
