/* Whole evidence against a store that trusts whatever the evidence says of itself, so that the
 * checks behind the signatures are reached: by seeds whose signatures hold, with other parts
 * changed. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/evidence.h"
#include "wire/tpm.h"

/* The binder of every seed. */
static const uint8_t binder[32] = "binder of every seed of evidence";

/* P-256 key that signed the seeds of software evidence: SubjectPublicKeyInfo. */
static const uint8_t soft_spki[91] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0xf4, 0x68, 0x22, 0x3f, 0x87,
    0x87, 0xaa, 0xd0, 0xab, 0xe2, 0x66, 0x18, 0xcb, 0xb8, 0x0f, 0x47, 0xf9, 0x9a, 0x4c, 0xca, 0x29,
    0xca, 0x75, 0x43, 0x1c, 0x77, 0x45, 0xd7, 0x4e, 0xc4, 0xf2, 0x29, 0x17, 0x75, 0x26, 0xab, 0xdc,
    0x25, 0x02, 0xcf, 0x3c, 0xc3, 0x09, 0x44, 0xbe, 0xa5, 0x22, 0xac, 0xaf, 0x89, 0x8d, 0x6b, 0x45,
    0xa2, 0x3e, 0x27, 0xc4, 0x5c, 0x7f, 0xa5, 0x25, 0x18, 0x14, 0x29,
};

struct store {
    const struct atls_technology *technology; /* of the evidence */
    struct atls_buf ak_spki;                  /* of TPM evidence: akPub */
    struct atls_buf aik_spki;                 /* pubArea, or cnf of the KAT */
    bool certified;                           /* no key on file: certificates have to do */
};

static enum atls_code attest_key(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    const struct store *s = arg;

    (void)instance;
    if (s->certified)
        return atls_fail(err, ATLS_E_NOT_FOUND, "not on file");
    out->technology = s->technology->name;
    if (s->ak_spki.ptr == NULL)
        return atls_buf_copy(&out->spki, atls_bytes_of(soft_spki, sizeof soft_spki), err);
    return atls_buf_copy(&out->spki, atls_buf_bytes(&s->ak_spki), err);
}

static void take_spki(struct atls_bytes area, struct atls_buf *out)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_tpmt_public p;

    if (atls_tpmt_public_decode(area, &p, NULL) != ATLS_OK ||
        atls_tpmt_public_put_spki(&p, &w, NULL) != ATLS_OK ||
        atls_writer_finish(&w, out, NULL) != ATLS_OK)
        atls_writer_clear(&w);
}

static void believe(const struct atls_bundle *bundle, struct store *s)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_tpm_certify_half certify;
    struct atls_tpm_quote_half quote;
    struct atls_kat kat;

    if (atls_tpm_quote_half_decode(bundle->pat.value, &quote, NULL) == ATLS_OK)
        take_spki(quote.ak_pub, &s->ak_spki);
    if (atls_tpm_certify_half_decode(bundle->kat.value, &certify, NULL) == ATLS_OK)
        take_spki(certify.pub_area, &s->aik_spki);
    else if (atls_kat_decode(bundle->kat.value, &kat, NULL) != ATLS_OK ||
             atls_cose_put_spki(&w, &kat.key, NULL) != ATLS_OK ||
             atls_writer_finish(&w, &s->aik_spki, NULL) != ATLS_OK)
        atls_writer_clear(&w);
}

static void verify(struct atls_bytes in, struct store *s)
{
    const struct atls_endorsement_source source = {.arg = s, .attest_key = attest_key};
    const struct atls_evidence_options options = {.allow_insecure_technology = true};
    struct atls_evidence_request request = {
        .evidence = in,
        .binder = {binder, sizeof binder},
        .aik_spki = atls_buf_bytes(&s->aik_spki),
        .time_s = 1735689600,
        .source = &source,
        .options = &options,
    };
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    if (request.aik_spki.len == 0)
        request.aik_spki = atls_bytes_of(soft_spki, sizeof soft_spki);
    /* Evidence that is none is refused before anybody asks for a key. */
    (void)!atls_evidence_identify(in, &s->technology, NULL, NULL);
    code = atls_evidence_verify(&request, &claims, &err);
    if (code == ATLS_OK) {
        if (!atls_bytes_equal(claims.key_spki, request.aik_spki))
            abort();
        atls_claims_clear(&claims);
    } else if (code == ATLS_E_USAGE || code == ATLS_E_INTERNAL || err.code != code) {
        abort(); /* never the caller's fault, never unexplained */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_arena arena = atls_arena_init(64 * 1024);
    struct store s = {&atls_technology_soft, ATLS_BUF_INIT, ATLS_BUF_INIT, false};
    struct atls_bundle bundle;
    struct atls_cmw cmw;

    if (atls_cmw_decode(in, &arena, &cmw, NULL) == ATLS_OK &&
        atls_bundle_open(&cmw, &bundle, NULL) == ATLS_OK) {
        believe(&bundle, &s);
        s.certified = bundle.endorsements != NULL;
    }
    verify(in, &s);
    atls_buf_clear(&s.ak_spki);
    atls_buf_clear(&s.aik_spki);
    atls_arena_clear(&arena);
    return 0;
}
