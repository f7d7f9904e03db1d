#include "evidence/snp_vek.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"

#define CHAIN_MAX 8 /* certificates that may stand in one text */

/* 1.3.6.1.4.1.3704.1, below which AMD's extensions stand. */
#define ARC 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01

#define SPL_FIRST 1
#define SPL_LAST  9

enum { SPL_BOOT_LOADER = 1, SPL_TEE = 2, SPL_SNP = 3, SPL_MICROCODE = 8, SPL_FMC = 9 };

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "SNP endorsement key certificate: malformed %s", what);
}

struct atls_snp_vek *atls_snp_vek_ref(struct atls_snp_vek *vek)
{
    if (vek != NULL)
        atomic_fetch_add_explicit(&vek->references, 1, memory_order_relaxed);
    return vek;
}

void atls_snp_vek_unref(struct atls_snp_vek *vek)
{
    if (vek == NULL || atomic_fetch_sub_explicit(&vek->references, 1, memory_order_acq_rel) != 1)
        return;
    atls_certificate_unref(vek->leaf);
    atls_attest_key_clear(&vek->class);
    free(vek);
}

/* One DER element of content below 128 bytes that fills in whole. */
static bool only_element(struct atls_bytes in, uint8_t tag, struct atls_bytes *out)
{
    if (in.len < 2 || in.ptr[0] != tag || in.ptr[1] > 127 || in.len - 2 != in.ptr[1])
        return false;
    *out = atls_bytes_of(in.ptr + 2, in.len - 2);
    return true;
}

/* INTEGER of 0..255, minimal. */
static bool small_integer(struct atls_bytes in, uint8_t *out)
{
    struct atls_bytes v;

    if (!only_element(in, 0x02, &v) || v.len == 0 || v.len > 2 || (v.ptr[0] & 0x80) != 0 ||
        (v.len == 2 && (v.ptr[0] != 0 || (v.ptr[1] & 0x80) == 0)))
        return false;
    *out = v.ptr[v.len - 1];
    return true;
}

/* The extension .a or .a.b (b 0: none). Absent leaves *out empty; false when it is there twice. */
static bool find(const struct atls_certificate *leaf, uint8_t a, uint8_t b, struct atls_bytes *out)
{
    const uint8_t oid[] = {ARC, a, b};
    size_t count;

    *out = atls_certificate_extension(leaf, atls_bytes_of(oid, sizeof oid - (b == 0)), &count);
    return count <= 1;
}

static bool read_text(const struct atls_certificate *leaf, uint8_t a, struct atls_bytes *out)
{
    struct atls_bytes value;

    if (!find(leaf, a, 0, &value))
        return false;
    if (value.ptr == NULL)
        return true;
    return only_element(value, 0x16, out) && out->len != 0; /* IA5String */
}

/* Issued parts hold the bare bytes; told by the length, since an id may begin like a DER header. */
static bool read_hw_id(const struct atls_certificate *leaf, struct atls_bytes *out)
{
    struct atls_bytes value, content;

    if (!find(leaf, 4, 0, &value))
        return false;
    if (value.ptr == NULL)
        return true;
    if (value.len != 8 && value.len != ATLS_SNP_CHIP_ID_LEN) {
        if (!only_element(value, 0x04, &content) ||
            (content.len != 8 && content.len != ATLS_SNP_CHIP_ID_LEN))
            return false;
        value = content;
    }
    *out = value;
    return true;
}

static bool read_spls(const struct atls_certificate *leaf, enum atls_snp_line line,
                      struct atls_snp_vek_tcb *out)
{
    const bool has_fmc = line == ATLS_SNP_TURIN || line == ATLS_SNP_VENICE;
    uint8_t values[SPL_LAST + 1] = {0};
    struct atls_bytes value;
    bool present[SPL_LAST + 1] = {false};

    for (uint8_t i = SPL_FIRST; i <= SPL_LAST; i++) {
        if (!find(leaf, 3, i, &value) || (value.ptr != NULL && !small_integer(value, &values[i])))
            return false;
        present[i] = value.ptr != NULL;
    }
    out->tcb = (struct atls_snp_tcb){values[SPL_FMC], values[SPL_BOOT_LOADER], values[SPL_TEE],
                                     values[SPL_SNP], values[SPL_MICROCODE]};
    out->complete = present[SPL_BOOT_LOADER] && present[SPL_TEE] && present[SPL_SNP] &&
                    present[SPL_MICROCODE] && (!has_fmc || present[SPL_FMC]);
    for (int i = SPL_SNP + 1; i < SPL_MICROCODE; i++)
        out->unused_set = out->unused_set || values[i] != 0;
    if (!has_fmc)
        out->unused_set = out->unused_set || values[SPL_FMC] != 0;
    return true;
}

static bool starts_with(struct atls_bytes text, const char *prefix, struct atls_bytes *rest)
{
    const size_t len = strlen(prefix);

    if (text.len < len || memcmp(text.ptr, prefix, len) != 0)
        return false;
    *rest = atls_bytes_of(text.ptr + len, text.len - len);
    return true;
}

/* "SEV-Milan" signs VCEKs, "SEV-VLEK-Milan" VLEKs. */
static enum atls_snp_line line_of_issuer(const struct atls_certificate *leaf,
                                         enum atls_snp_signer signer)
{
    struct atls_bytes name;

    if (!starts_with(atls_certificate_issuer_cn(leaf),
                     signer == ATLS_SNP_VLEK ? "SEV-VLEK-" : "SEV-", &name))
        return ATLS_SNP_LINE_UNKNOWN;
    return atls_snp_line_by_name(name);
}

static enum atls_code wrong_kind(struct atls_err *err, enum atls_snp_signer signer,
                                 const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SIGNING_KEY_MISMATCH,
                            "SNP report is signed by a %s, certificate is of another kind: %s",
                            signer == ATLS_SNP_VLEK ? "VLEK" : "VCEK", what);
}

static enum atls_code check_kind(const struct atls_snp_vek *vek, struct atls_err *err)
{
    const bool vlek = vek->signer == ATLS_SNP_VLEK;

    if (!atls_bytes_equal_text(atls_certificate_subject_cn(vek->leaf),
                               vlek ? "SEV-VLEK" : "SEV-VCEK"))
        return wrong_kind(err, vek->signer, "its common name");
    if (atls_certificate_is_ca(vek->leaf))
        return wrong_kind(err, vek->signer, "it is an authority");
    if ((vek->hw_id.ptr != NULL) == vlek)
        return wrong_kind(err, vek->signer, vlek ? "it has a hwID" : "it has no hwID");
    if ((vek->csp_id.ptr != NULL) != vlek)
        return wrong_kind(err, vek->signer, vlek ? "it has no cspID" : "it has a cspID");
    return ATLS_OK;
}

static enum atls_code read_leaf(struct atls_snp_vek *vek, struct atls_err *err)
{
    const struct atls_certificate *leaf = vek->leaf;
    enum atls_code code;

    if (!read_hw_id(leaf, &vek->hw_id))
        return malformed(err, "hwID");
    if (!read_text(leaf, 5, &vek->csp_id))
        return malformed(err, "cspID");
    if ((code = check_kind(vek, err)) != ATLS_OK)
        return code;
    if (!read_text(leaf, 2, &vek->product))
        return malformed(err, "product name");
    if (atls_certificate_key(leaf) == NULL ||
        atls_key_type(atls_certificate_key(leaf)) != ATLS_KEY_P384)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNSUPPORTED_ALGORITHM,
                                "SNP endorsement key certificate: no P-384 key");
    vek->line = line_of_issuer(leaf, vek->signer);
    if (vek->line == ATLS_SNP_LINE_UNKNOWN)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CHAIN_ISSUER,
                                "SNP endorsement key certificate: its issuer is none of a line "
                                "that we know");
    if (!read_spls(leaf, vek->line, &vek->tcb))
        return malformed(err, "SPL");
    return ATLS_OK;
}

enum atls_code atls_snp_vek_parse(struct atls_bytes certificate, enum atls_snp_signer signer,
                                  struct atls_snp_vek **out, struct atls_err *err)
{
    struct atls_certificate *chain[CHAIN_MAX];
    struct atls_snp_vek *vek;
    enum atls_code code;
    size_t count = 0;

    if ((code = atls_certificates_parse(certificate, chain, CHAIN_MAX, &count, err)) != ATLS_OK)
        return code;
    for (size_t i = 1; i < count; i++)
        atls_certificate_unref(chain[i]);
    if ((vek = calloc(1, sizeof *vek)) == NULL) {
        atls_certificate_unref(chain[0]);
        return atls_fail(err, ATLS_E_NOMEM, "snp: out of memory");
    }
    atomic_init(&vek->references, 1);
    vek->leaf = chain[0];
    vek->signer = signer;
    if ((code = read_leaf(vek, err)) != ATLS_OK) {
        atls_snp_vek_unref(vek);
        return code;
    }
    *out = vek;
    return ATLS_OK;
}
