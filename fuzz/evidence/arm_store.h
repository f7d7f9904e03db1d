/* Evidence of Arm and of Parsec before a store that has one key for whoever asks: the one that
 * signed every seed, so that the checks behind signatures are reached. */
#ifndef ATLS_FUZZ_ARM_STORE_H
#define ATLS_FUZZ_ARM_STORE_H

#include <stdlib.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/evidence.h"

/* The binder of every seed, and P-256 keys as SubjectPublicKeyInfo: what signed them, and the AIK.
 */
static const uint8_t binder[32] = "binder of every seed of evidence";
static const uint8_t signer[91] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x5f, 0x9e, 0xd8, 0x54, 0x6c,
    0xba, 0xd7, 0x9f, 0x35, 0x0d, 0x85, 0x6c, 0x17, 0xd3, 0xf6, 0x6f, 0xb6, 0x10, 0x7b, 0x07, 0x53,
    0xc2, 0xa5, 0x99, 0xfc, 0x1e, 0x78, 0xea, 0x29, 0x8c, 0xab, 0x61, 0x2f, 0x4f, 0x0d, 0xca, 0xcf,
    0xfe, 0xfb, 0xce, 0x10, 0x23, 0x52, 0xbc, 0x00, 0x55, 0xc6, 0x7c, 0x2d, 0x8a, 0x37, 0x7e, 0xae,
    0x2b, 0x97, 0xa8, 0x69, 0xc6, 0xb9, 0xbf, 0xd5, 0xaa, 0x9e, 0xac};
static const uint8_t aik[91] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0xe0, 0xe8, 0x71, 0xf2, 0x6a,
    0xff, 0x96, 0xc9, 0x22, 0xa4, 0xd8, 0xa1, 0x2e, 0x14, 0x33, 0x70, 0x82, 0xbe, 0xf6, 0x43, 0x2b,
    0x97, 0xf3, 0xf0, 0x5f, 0x46, 0x8e, 0x31, 0x96, 0xf2, 0xd3, 0x3b, 0x38, 0xba, 0x98, 0x18, 0xf8,
    0x48, 0xb7, 0xe2, 0x5a, 0x9b, 0xba, 0x40, 0xb5, 0xac, 0x2a, 0x73, 0x17, 0x38, 0xf7, 0x46, 0x50,
    0x43, 0x75, 0x52, 0x5a, 0xeb, 0xfc, 0x6d, 0xd7, 0x10, 0x32, 0x2a};

static enum atls_code attest_key(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    const struct atls_technology *const *technology = arg;

    (void)instance;
    out->technology = (*technology)->name;
    return atls_buf_copy(&out->spki, atls_bytes_of(signer, sizeof signer), err);
}

static void verify(struct atls_bytes in, enum atls_evidence_scope scope)
{
    static const struct atls_rules rules = {
        .arm = {.psa_allow_legacy = true, .psa_allow_unmeasured = true, .cca_allow_p256 = true}};
    const struct atls_technology *technology = &atls_technology_tpm;
    const struct atls_endorsement_source source = {.arg = &technology, .attest_key = attest_key};
    const struct atls_evidence_options options = {.rules = &rules};
    const struct atls_evidence_request request = {
        .scope = scope,
        .evidence = in,
        .binder = {binder, sizeof binder},
        .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE | ATLS_PROFILE_PARSEC,
        .aik_spki = {aik, scope == ATLS_EVIDENCE_KEY_UNKNOWN ? 0 : sizeof aik},
        .time_s = 1750000000,
        .source = &source,
        .options = &options,
    };
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    /* Evidence that is none is refused before anybody asks for a key. */
    (void)!atls_evidence_identify(in, &technology, NULL, NULL);
    code = atls_evidence_verify(&request, &claims, &err);
    if (code == ATLS_OK) {
        if (request.aik_spki.len != 0 && !atls_bytes_equal(claims.key_spki, request.aik_spki))
            abort();
        if ((claims.key_trust == ATLS_KEY_TRUST_NONE) !=
            (scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE))
            abort();
        atls_claims_clear(&claims);
    } else if (code == ATLS_E_USAGE || code == ATLS_E_INTERNAL || err.code != code) {
        abort(); /* never the caller's fault, never unexplained */
    }
}

static void verify_in_every_scope(struct atls_bytes in)
{
    verify(in, ATLS_EVIDENCE_COMPLETE);
    verify(in, ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE);
    verify(in, ATLS_EVIDENCE_KEY_UNKNOWN);
}

#endif
