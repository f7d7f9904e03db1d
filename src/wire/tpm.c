#include "wire/tpm.h"

#include <string.h>

#include "core/err.h"
#include "wire/cose.h"

#define DIGEST_MAX       64   /* sizeof(TPMU_HA) */
#define BUFFER_MAX       1024 /* RSA modulus and signature: 8192 bits */
#define FIELD_MAX        66   /* P-521 */
#define SELECT_MAX       4 /* bytes of a PCR bitmap: 32 PCRs, the most that our selection can hold */
#define MODULUS_BITS_MAX 8192

static enum atls_code malformed(struct atls_err *err, const char *what, const struct atls_reader *r)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "%s: malformed near byte %zu of %zu", what, r->pos, r->in.len);
}

/* TPM2B_x: a 16-bit size and that many bytes, at most max. */
static bool get_tpm2b(struct atls_reader *r, size_t max, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    struct atls_bytes bytes;

    if (!atls_get_vec(&ahead, 0, 0xffff, &bytes) || bytes.len > max)
        return false;
    *r = ahead;
    *out = bytes;
    return true;
}

/* TPMI_YES_NO: nothing but 0 and 1. */
static bool get_yes_no(struct atls_reader *r, bool *out)
{
    uint8_t v;

    if (!atls_get_u8(r, &v) || v > 1)
        return false;
    *out = v == 1;
    return true;
}

/* TPMS_PCR_SELECTION (Part 2, 10.6.2): bit i of byte j selects PCR 8j + i. */
static bool get_pcr_selection(struct atls_reader *r, struct atls_tpm_pcr_selection *out)
{
    struct atls_bytes select;

    if (!atls_get_u16(r, &out->hash) || !atls_get_vec(r, 1, 0xff, &select) ||
        select.len > SELECT_MAX)
        return false;
    out->bitmap = 0;
    for (size_t i = 0; i < select.len; i++)
        out->bitmap |= (uint32_t)select.ptr[i] << (8 * i);
    return true;
}

/* TPMS_QUOTE_INFO (Part 2, 10.12.4). */
static bool get_quote_info(struct atls_reader *r, struct atls_tpms_attest *a)
{
    uint32_t count;

    if (!atls_get_u32(r, &count) || count > ATLS_TPM_BANKS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!get_pcr_selection(r, &a->selections[i]))
            return false;
    a->selection_count = count;
    return get_tpm2b(r, DIGEST_MAX, &a->pcr_digest);
}

/* TPMS_CERTIFY_INFO (Part 2, 10.12.3). */
static bool get_certify_info(struct atls_reader *r, struct atls_tpms_attest *a)
{
    return get_tpm2b(r, ATLS_TPM_NAME_MAX, &a->name) &&
           get_tpm2b(r, ATLS_TPM_NAME_MAX, &a->qualified_name);
}

static bool get_attest_head(struct atls_reader *r, struct atls_tpms_attest *a)
{
    return atls_get_u32(r, &a->magic) && atls_get_u16(r, &a->type) &&
           get_tpm2b(r, ATLS_TPM_NAME_MAX, &a->qualified_signer) &&
           get_tpm2b(r, ATLS_TPM_NAME_MAX, &a->extra_data) && atls_get_u64(r, &a->clock) &&
           atls_get_u32(r, &a->reset_count) && atls_get_u32(r, &a->restart_count) &&
           get_yes_no(r, &a->safe) && atls_get_u64(r, &a->firmware_version);
}

enum atls_code atls_tpms_attest_decode(struct atls_bytes in, struct atls_tpms_attest *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tpms_attest a;
    bool ok;

    memset(&a, 0, sizeof a);
    if (!get_attest_head(&r, &a))
        return malformed(err, "TPMS_ATTEST", &r);
    switch (a.type) {
    case ATLS_TPM_ST_ATTEST_QUOTE:
        ok = get_quote_info(&r, &a);
        break;
    case ATLS_TPM_ST_ATTEST_CERTIFY:
        ok = get_certify_info(&r, &a);
        break;
    default:
        if (a.magic != ATLS_TPM_GENERATED)
            return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_TPM_GENERATED,
                                    "TPMS_ATTEST.magic is 0x%08x, want 0x%08x", (unsigned)a.magic,
                                    ATLS_TPM_GENERATED);
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_WRONG_ATTEST_TYPE,
                                "TPMS_ATTEST.type is 0x%04x, want 0x%04x or 0x%04x", a.type,
                                ATLS_TPM_ST_ATTEST_CERTIFY, ATLS_TPM_ST_ATTEST_QUOTE);
    }
    if (!ok || !atls_reader_done(&r))
        return malformed(err, "TPMS_ATTEST", &r);
    *out = a;
    return ATLS_OK;
}

enum atls_code atls_tpmt_signature_decode(struct atls_bytes in, struct atls_tpmt_signature *out,
                                          struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tpmt_signature s;
    bool ok = false;

    memset(&s, 0, sizeof s);
    if (!atls_get_u16(&r, &s.algorithm) || !atls_get_u16(&r, &s.hash))
        return malformed(err, "TPMT_SIGNATURE", &r);
    switch (s.algorithm) {
    case ATLS_TPM_ALG_RSASSA:
    case ATLS_TPM_ALG_RSAPSS:
        ok = get_tpm2b(&r, BUFFER_MAX, &s.rsa) && s.rsa.len > 0;
        break;
    case ATLS_TPM_ALG_ECDSA:
        ok = get_tpm2b(&r, FIELD_MAX, &s.r) && get_tpm2b(&r, FIELD_MAX, &s.s) && s.r.len > 0 &&
             s.s.len > 0;
        break;
    default:
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "TPMT_SIGNATURE.sigAlg is 0x%04x, want 0x0014, 0x0016 or 0x0018",
                                s.algorithm);
    }
    if (!ok || !atls_reader_done(&r))
        return malformed(err, "TPMT_SIGNATURE", &r);
    *out = s;
    return ATLS_OK;
}

/* TPMT_SYM_DEF_OBJECT (Part 2, 11.1.7): block ciphers, or none. */
static bool get_symmetric(struct atls_reader *r, struct atls_tpmt_public *p)
{
    if (!atls_get_u16(r, &p->symmetric))
        return false;
    return p->symmetric == ATLS_TPM_ALG_NULL ||
           (atls_get_u16(r, &p->symmetric_bits) && atls_get_u16(r, &p->symmetric_mode));
}

/* TPMT_RSA_SCHEME, TPMT_ECC_SCHEME, TPMT_KDF_SCHEME: what follows the algorithm. */
static bool get_scheme(struct atls_reader *r, uint16_t *scheme, uint16_t *hash)
{
    if (!atls_get_u16(r, scheme))
        return false;
    return *scheme == ATLS_TPM_ALG_NULL || *scheme == ATLS_TPM_ALG_RSAES || atls_get_u16(r, hash);
}

/* TPMS_RSA_PARMS (Part 2, 12.2.3.5) and TPM2B_PUBLIC_KEY_RSA. */
static bool get_rsa(struct atls_reader *r, struct atls_tpmt_public *p)
{
    if (!get_symmetric(r, p) || !get_scheme(r, &p->scheme, &p->scheme_hash) ||
        !atls_get_u16(r, &p->key_bits) || !atls_get_u32(r, &p->exponent) ||
        !get_tpm2b(r, BUFFER_MAX, &p->modulus))
        return false;
    if (p->exponent == 0)
        p->exponent = 65537;
    return p->key_bits % 8 == 0 && p->key_bits > 0 && p->key_bits <= MODULUS_BITS_MAX &&
           p->modulus.len == p->key_bits / 8 && p->modulus.ptr[0] >= 0x80;
}

/* TPMS_ECC_PARMS (Part 2, 12.2.3.6) and TPMS_ECC_POINT. */
static bool get_ecc(struct atls_reader *r, struct atls_tpmt_public *p)
{
    return get_symmetric(r, p) && get_scheme(r, &p->scheme, &p->scheme_hash) &&
           atls_get_u16(r, &p->curve) && get_scheme(r, &p->kdf, &p->kdf_hash) &&
           get_tpm2b(r, FIELD_MAX, &p->x) && get_tpm2b(r, FIELD_MAX, &p->y) && p->x.len > 0 &&
           p->y.len > 0;
}

enum atls_code atls_tpmt_public_decode(struct atls_bytes in, struct atls_tpmt_public *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tpmt_public p;
    bool ok = false;

    memset(&p, 0, sizeof p);
    p.raw = in;
    if (!atls_get_u16(&r, &p.type) || !atls_get_u16(&r, &p.name_alg) ||
        !atls_get_u32(&r, &p.attributes) || !get_tpm2b(&r, DIGEST_MAX, &p.auth_policy))
        return malformed(err, "TPMT_PUBLIC", &r);
    switch (p.type) {
    case ATLS_TPM_ALG_RSA:
        ok = get_rsa(&r, &p);
        break;
    case ATLS_TPM_ALG_ECC:
        ok = get_ecc(&r, &p);
        break;
    default:
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "TPMT_PUBLIC.type is 0x%04x, want 0x0001 (RSA) or 0x0023 (ECC)",
                                p.type);
    }
    if (!ok || !atls_reader_done(&r))
        return malformed(err, "TPMT_PUBLIC", &r);
    *out = p;
    return ATLS_OK;
}

enum atls_code atls_tpm2b_public_decode(struct atls_bytes in, struct atls_tpmt_public *out,
                                        struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes area;

    if (!atls_get_vec(&r, 0, 0xffff, &area) || !atls_reader_done(&r))
        return malformed(err, "TPM2B_PUBLIC", &r);
    return atls_tpmt_public_decode(area, out, err);
}

static const struct {
    uint16_t id;
    enum atls_hash hash;
} hashes[] = {
    {ATLS_TPM_ALG_SHA1, ATLS_HASH_SHA1},
    {ATLS_TPM_ALG_SHA256, ATLS_HASH_SHA256},
    {ATLS_TPM_ALG_SHA384, ATLS_HASH_SHA384},
    {ATLS_TPM_ALG_SHA512, ATLS_HASH_SHA512},
};

/* TPM_ALG_ID -> hash; ATLS_HASH_NONE for one that we do not do. */
enum atls_hash atls_tpm_hash(uint16_t algorithm)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        if (hashes[i].id == algorithm)
            return hashes[i].hash;
    return ATLS_HASH_NONE;
}

/* Hash -> TPM_ALG_ID; 0 for ATLS_HASH_NONE and unknown values. */
uint16_t atls_tpm_hash_id(enum atls_hash hash)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        if (hashes[i].hash == hash)
            return hashes[i].id;
    return 0;
}

static const struct {
    uint16_t id;
    enum atls_cose_crv crv;
    size_t field_len;
} curves[] = {
    {ATLS_TPM_ECC_NIST_P256, ATLS_COSE_P256, 32},
    {ATLS_TPM_ECC_NIST_P384, ATLS_COSE_P384, 48},
    {ATLS_TPM_ECC_NIST_P521, ATLS_COSE_P521, 66},
};

/* An unsigned big-endian number at the width of its field: TPMs may strip leading zeros. */
static struct atls_bytes pad(struct atls_bytes number, size_t len, uint8_t buf[FIELD_MAX])
{
    memset(buf, 0, len - number.len);
    memcpy(buf + (len - number.len), number.ptr, number.len);
    return atls_bytes_of(buf, len);
}

static enum atls_code put_ecc_spki(const struct atls_tpmt_public *area, struct atls_writer *w,
                                   struct atls_err *err)
{
    struct atls_cose_key key;
    uint8_t x[FIELD_MAX], y[FIELD_MAX];

    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (curves[i].id != area->curve)
            continue;
        if (area->x.len > curves[i].field_len || area->y.len > curves[i].field_len)
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "TPMT_PUBLIC.unique: coordinates of %zu and %zu bytes, the "
                                    "field has %zu",
                                    area->x.len, area->y.len, curves[i].field_len);
        memset(&key, 0, sizeof key);
        key.kty = ATLS_COSE_EC2;
        key.crv = curves[i].crv;
        key.x = pad(area->x, curves[i].field_len, x);
        key.y = pad(area->y, curves[i].field_len, y);
        return atls_cose_put_spki(w, &key, err);
    }
    return atls_fail(err, ATLS_E_UNSUPPORTED, "TPMT_PUBLIC.curveID is 0x%04x, want 3, 4 or 5",
                     area->curve);
}

static enum atls_code put_rsa_spki(const struct atls_tpmt_public *area, struct atls_writer *w,
                                   struct atls_err *err)
{
    const uint8_t exponent[4] = {(uint8_t)(area->exponent >> 24), (uint8_t)(area->exponent >> 16),
                                 (uint8_t)(area->exponent >> 8), (uint8_t)area->exponent};
    struct atls_cose_key key;
    size_t skip = 0;

    while (skip < sizeof exponent - 1 && exponent[skip] == 0)
        skip++;
    memset(&key, 0, sizeof key);
    key.kty = ATLS_COSE_RSA;
    key.n = area->modulus;
    key.e = atls_bytes_of(exponent + skip, sizeof exponent - skip);
    return atls_cose_put_spki(w, &key, err);
}

enum atls_code atls_tpmt_public_put_spki(const struct atls_tpmt_public *area, struct atls_writer *w,
                                         struct atls_err *err)
{
    return area->type == ATLS_TPM_ALG_ECC ? put_ecc_spki(area, w, err) : put_rsa_spki(area, w, err);
}
