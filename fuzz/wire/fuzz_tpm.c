/* TPM structures and the CBOR halves that carry them; the first byte picks the decoder. Every byte
 * of an accepted structure is accounted for; halves encode to what they were decoded from. */
#include <stdlib.h>

#include "core/reader.h"
#include "wire/tpm.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void attest(struct atls_bytes in)
{
    struct atls_tpms_attest a;
    size_t len = 4 + 2 + 2 + 2 + 8 + 4 + 4 + 1 + 8;

    if (atls_tpms_attest_decode(in, &a, NULL) != ATLS_OK)
        return;
    len += a.qualified_signer.len + a.extra_data.len;
    if (a.type == ATLS_TPM_ST_ATTEST_CERTIFY) {
        check(in.len == len + 2 + a.name.len + 2 + a.qualified_name.len);
        return;
    }
    check(a.type == ATLS_TPM_ST_ATTEST_QUOTE && a.selection_count <= ATLS_TPM_BANKS_MAX);
    len += 4 + 2 + a.pcr_digest.len;
    check(in.len >= len + 4 * a.selection_count && in.len <= len + 7 * a.selection_count);
}

static void signature(struct atls_bytes in)
{
    struct atls_tpmt_signature s;

    if (atls_tpmt_signature_decode(in, &s, NULL) != ATLS_OK)
        return;
    if (s.algorithm == ATLS_TPM_ALG_ECDSA)
        check(in.len == 8 + s.r.len + s.s.len && s.rsa.ptr == NULL);
    else
        check(in.len == 6 + s.rsa.len && s.r.ptr == NULL && s.s.ptr == NULL);
}

static void spki(const struct atls_tpmt_public *p)
{
    struct atls_writer w = atls_writer_init(4096);

    if (atls_tpmt_public_put_spki(p, &w, NULL) == ATLS_OK)
        check(w.len > 0);
    atls_writer_clear(&w);
}

static void public_area(struct atls_bytes in)
{
    struct atls_tpmt_public p;

    if (atls_tpmt_public_decode(in, &p, NULL) != ATLS_OK)
        return;
    check(p.raw.ptr == in.ptr && p.raw.len == in.len);
    check((p.modulus.len > 0) != (p.x.len > 0 && p.y.len > 0));
    spki(&p);
}

static void public_2b(struct atls_bytes in)
{
    struct atls_tpmt_public p;

    if (atls_tpm2b_public_decode(in, &p, NULL) == ATLS_OK)
        check(p.raw.len + 2 == in.len);
}

static void certify_half(struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(in.len + 1);
    struct atls_tpm_certify_half half;

    if (atls_tpm_certify_half_decode(in, &half, NULL) == ATLS_OK) {
        atls_tpm_put_certify_half(&w, &half);
        check(atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    atls_writer_clear(&w);
}

static void quote_half(struct atls_bytes in)
{
    struct atls_writer w = atls_writer_init(in.len + 1);
    struct atls_tpm_quote_half half;

    if (atls_tpm_quote_half_decode(in, &half, NULL) == ATLS_OK) {
        atls_tpm_put_quote_half(&w, &half);
        check(atls_bytes_equal(atls_writer_bytes(&w), in));
    }
    atls_writer_clear(&w);
}

static void (*const decoders[])(struct atls_bytes in) = {
    attest, signature, public_area, public_2b, certify_half, quote_half,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        decoders[data[0] % (sizeof decoders / sizeof decoders[0])](
            atls_bytes_of(data + 1, size - 1));
    return 0;
}
