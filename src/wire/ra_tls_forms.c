#include "wire/ra_tls_forms.h"

#include "core/err.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/dcap.h"

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s malformed", what);
}

static enum atls_code unknown(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE, "%s", what);
}

/* ---- tagged evidence of DICE ---- */

static enum atls_code check_tag(uint64_t tag, struct atls_err *err)
{
    switch (tag) {
    case ATLS_TAG_DICE_QUOTE:
        return ATLS_OK;
    case ATLS_TAG_DICE_TEE_REPORT:
        return unknown(err, "tagged evidence: tag 60001, a TEE report, want 60000, a quote");
    case ATLS_TAG_DICE_SGX_REPORT:
        return unknown(err, "tagged evidence: tag 60002, a report of SGX, want 60000, a quote");
    default:
        return unknown(err, "tagged evidence: another tag than 60000, a quote");
    }
}

static bool enter_array(struct atls_reader *r, uint64_t count)
{
    struct atls_cbor_iter it;

    return atls_cbor_enter_array(r, &it) && !it.indefinite && it.left == count;
}

enum atls_code atls_dice_evidence_decode(struct atls_bytes in, struct atls_dice_evidence *out,
                                         struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_dice_evidence e;
    uint64_t tag;
    enum atls_code code;

    if (!atls_cbor_get_tag(&r, &tag))
        return malformed(err, "tagged evidence: tag");
    if ((code = check_tag(tag, err)) != ATLS_OK)
        return code;
    if (!enter_array(&r, 2) || !atls_cbor_get_bytes(&r, &e.quote) ||
        !atls_cbor_get_bytes(&r, &e.claims) || !atls_reader_done(&r) || e.quote.len == 0 ||
        e.claims.len == 0)
        return malformed(err, "tagged evidence: array of quote and claims-buffer");
    if (e.quote.len > ATLS_DCAP_QUOTE_MAX || e.claims.len > ATLS_DICE_CLAIMS_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "tagged evidence: quote of %zu bytes, claims-buffer of %zu",
                                e.quote.len, e.claims.len);
    *out = e;
    return ATLS_OK;
}

static size_t hash_len(uint64_t algorithm)
{
    switch (algorithm) {
    case ATLS_DICE_SHA256:
        return 32;
    case ATLS_DICE_SHA384:
        return 48;
    case ATLS_DICE_SHA512:
        return 64;
    default:
        return 0;
    }
}

/* A byte string that holds [algorithm, hash]. */
static enum atls_code read_pubkey_hash(struct atls_bytes in, struct atls_dice_claims *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    uint64_t algorithm;

    if (!enter_array(&r, 2) || !atls_cbor_get_uint(&r, &algorithm) ||
        !atls_cbor_get_bytes(&r, &out->pubkey_hash) || !atls_reader_done(&r))
        return malformed(err, "claims-buffer: pubkey-hash");
    if (hash_len(algorithm) == 0)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "claims-buffer: hash algorithm %llu, want 1, 7 or 8",
                                (unsigned long long)algorithm);
    if (out->pubkey_hash.len != hash_len(algorithm))
        return malformed(err, "claims-buffer: hash of another length than its algorithm's is");
    out->hash = (enum atls_dice_hash)algorithm;
    return ATLS_OK;
}

static enum atls_code read_claim(struct atls_bytes name, struct atls_bytes value,
                                 struct atls_dice_claims *out, struct atls_err *err)
{
    if (atls_bytes_equal_text(name, "pubkey-hash"))
        return read_pubkey_hash(value, out, err);
    if (atls_bytes_equal_text(name, "nonce")) {
        out->has_nonce = true;
        out->nonce = value;
    } else {
        out->others++;
    }
    return ATLS_OK;
}

/* atls_cbor_check found no key twice. */
static enum atls_code read_claims(struct atls_bytes in, struct atls_dice_claims *out,
                                  struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes name, value;
    struct atls_cbor_iter map;
    enum atls_code code;

    if (!atls_cbor_enter_map(&r, &map) || map.indefinite)
        return malformed(err, "claims-buffer: map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_text(&r, &name) || !atls_cbor_get_bytes(&r, &value))
            return malformed(err, "claims-buffer: claim");
        if ((code = read_claim(name, value, out, err)) != ATLS_OK)
            return code;
    }
    if (out->pubkey_hash.ptr == NULL)
        return malformed(err, "claims-buffer: map without pubkey-hash is");
    return ATLS_OK;
}

enum atls_code atls_dice_claims_decode(struct atls_bytes in, struct atls_dice_claims *out,
                                       struct atls_err *err)
{
    struct atls_dice_claims claims = {.others = 0};
    enum atls_code code;

    if (in.len > ATLS_DICE_CLAIMS_MAX)
        return atls_fail_reason(err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED,
                                "claims-buffer: %zu bytes, want at most %d", in.len,
                                ATLS_DICE_CLAIMS_MAX);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK ||
        (code = read_claims(in, &claims, err)) != ATLS_OK)
        return code;
    *out = claims;
    return ATLS_OK;
}

/* ---- Open Enclave ---- */

#define OE_REPORT_VERSION     1
#define OE_REPORT_TYPE_REMOTE 2
#define OE_EVIDENCE_VERSION   3
#define OE_FORMAT_LEN         16

static const uint8_t OE_FORMAT_ECDSA[OE_FORMAT_LEN] = {
    0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14, 0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c};

static enum atls_code wrong_version(struct atls_err *err, const char *what, uint32_t version,
                                    uint32_t want)
{
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_VERSION,
                            "Open Enclave %s: version %u, want %u", what, (unsigned)version,
                            (unsigned)want);
}

enum atls_code atls_oe_report_decode(struct atls_bytes in, struct atls_bytes *out_quote,
                                     struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    uint32_t version, type;
    struct atls_bytes quote;
    uint64_t size;

    if (!atls_get_u32le(&r, &version) || !atls_get_u32le(&r, &type) || !atls_get_u64le(&r, &size))
        return malformed(err, "Open Enclave report: header");
    if (version != OE_REPORT_VERSION)
        return wrong_version(err, "report", version, OE_REPORT_VERSION);
    if (type != OE_REPORT_TYPE_REMOTE)
        return unknown(err, "Open Enclave report: not of type 2, a quote");
    if (size == 0 || size > SIZE_MAX || !atls_get_bytes(&r, (size_t)size, &quote) ||
        !atls_reader_done(&r))
        return malformed(err, "Open Enclave report: size");
    *out_quote = quote;
    return ATLS_OK;
}

enum atls_code atls_oe_evidence_decode(struct atls_bytes in, struct atls_bytes *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes format, padding, data;
    uint32_t version;
    uint64_t size;

    /* Between the format and the size the structure has 4 bytes that nobody sets. */
    if (!atls_get_u32le(&r, &version) || !atls_get_bytes(&r, OE_FORMAT_LEN, &format) ||
        !atls_get_bytes(&r, 4, &padding) || !atls_get_u64le(&r, &size))
        return malformed(err, "Open Enclave evidence: header");
    if (version != OE_EVIDENCE_VERSION)
        return wrong_version(err, "evidence", version, OE_EVIDENCE_VERSION);
    if (!atls_bytes_equal(format, atls_bytes_of(OE_FORMAT_ECDSA, sizeof OE_FORMAT_ECDSA)))
        return unknown(err, "Open Enclave evidence: its format is not that of an ECDSA quote");
    if (size == 0 || size > SIZE_MAX || !atls_get_bytes(&r, (size_t)size, &data) ||
        !atls_reader_done(&r))
        return malformed(err, "Open Enclave evidence: size");
    *out = data;
    return ATLS_OK;
}
