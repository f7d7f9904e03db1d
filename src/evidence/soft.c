/* Evidence of the software attester: a key in a file vouches for a key in a file. For development
 * and tests: it has the shape and the bindings of real evidence and proves nothing about a machine.
 */
#include <stdlib.h>
#include <string.h>

#include "bind/batch.h"
#include "core/err.h"
#include "evidence/answer.h"
#include "evidence/claims.h"
#include "wire/cbor.h"
#include "wire/soft.h"

#define TOKEN_MAX (64 * 1024)

static enum atls_code refuse(struct atls_err *err, enum atls_reason reason, const char *what)
{
    return atls_fail_reason(err, ATLS_E_EVIDENCE, reason, "soft: %s", what);
}

/* The signer must be on file under the UEID that the token's header names, which must be its own.
 */
static enum atls_code find_signer(const struct atls_evidence_request *request,
                                  struct atls_bytes kid, struct atls_attest_key *out,
                                  struct atls_err *err)
{
    struct atls_attest_key key = {0};
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code;

    if (kid.len != ATLS_SOFT_UEID_LEN || kid.ptr[0] != 1)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "soft: kid of %zu bytes, want a UEID of %d, first 01", kid.len,
                                ATLS_SOFT_UEID_LEN);
    if (request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE) {
        *out = key;
        return ATLS_OK;
    }
    code = atls_evidence_attest_key(request, kid, &key, err);
    if (code == ATLS_E_NOT_FOUND)
        return refuse(err, ATLS_REASON_UNTRUSTED_AK, "the signing key is not enrolled");
    if (code != ATLS_OK)
        return code;
    code = atls_attest_key_check(&key, &atls_technology_soft, ATLS_REASON_UNTRUSTED_AK, err);
    if (code == ATLS_OK)
        code = atls_hash_one(ATLS_HASH_SHA256, atls_buf_bytes(&key.spki), digest, err);
    if (code == ATLS_OK && memcmp(kid.ptr + 1, digest, ATLS_SOFT_UEID_LEN - 1) != 0)
        code = refuse(err, ATLS_REASON_KID_MISMATCH, "kid is not that of the enrolled key");
    if (code != ATLS_OK) {
        atls_attest_key_clear(&key);
        return code;
    }
    *out = key;
    return ATLS_OK;
}

static enum atls_code verify_sign1(const struct atls_cose_sign1 *sign1, const struct atls_key *key,
                                   struct atls_err *err)
{
    const struct atls_signature_algorithm *algorithm =
        atls_signature_by_cose(sign1->alg, atls_key_type(key));
    struct atls_writer w = atls_writer_init(TOKEN_MAX + 256);
    enum atls_code code;

    if (algorithm == NULL)
        return refuse(err, ATLS_REASON_SIGNATURE, "alg does not fit the enrolled key");
    atls_cose_put_to_be_signed(&w, sign1->protected_header, atls_bytes_of(NULL, 0), sign1->payload);
    code = w.failed != ATLS_OK
               ? atls_fail(err, w.failed, "soft: the signed structure cannot be kept")
               : atls_key_verify_raw(key, algorithm->scheme, atls_writer_bytes(&w),
                                     sign1->signature, err);
    atls_writer_clear(&w);
    if (code == ATLS_E_VERIFY || code == ATLS_E_DECODE)
        return refuse(err, ATLS_REASON_SIGNATURE,
                      "the token does not verify with the enrolled key");
    return code;
}

static enum atls_code verify_signature(const struct atls_evidence_request *request,
                                       const struct atls_attest_key *signer,
                                       const struct atls_cose_sign1 *sign1, struct atls_err *err)
{
    struct atls_key *key;
    enum atls_code code;

    if (request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE)
        return ATLS_OK; /* the key is where it is trusted */
    code = atls_chain_cache_key(request->cache, atls_buf_bytes(&signer->spki), &key, err);
    if (code != ATLS_OK)
        return code;
    code = verify_sign1(sign1, key, err);
    atls_key_unref(key);
    return code;
}

static enum atls_code verify_token(const struct atls_evidence_request *request,
                                   const struct atls_attest_key *signer,
                                   const struct atls_cose_sign1 *sign1, struct atls_soft_token *out,
                                   struct atls_err *err)
{
    enum atls_code code;

    if ((code = verify_signature(request, signer, sign1, err)) != ATLS_OK ||
        (code = atls_soft_token_decode(sign1->payload, out, err)) != ATLS_OK)
        return code;
    if (!atls_bytes_equal(out->ueid, sign1->kid))
        return refuse(err, ATLS_REASON_KID_MISMATCH, "ueid of the claims is not the kid");
    return ATLS_OK;
}

static enum atls_code verify_answer(const struct atls_bundle *bundle, struct atls_bytes challenge,
                                    const struct atls_evidence_request *request,
                                    struct atls_buf *out_spki, struct atls_err *err)
{
    struct atls_answer answer;
    enum atls_code code;

    if ((code = atls_answer_expect(bundle, request, &answer, err)) != ATLS_OK)
        return code;
    if (!atls_answer_matches(&answer, challenge))
        return refuse(err, ATLS_REASON_NONCE_MISMATCH,
                      "challenge of the token is another than asked for");
    return atls_answer_accept(&answer, request, out_spki, err);
}

static enum atls_code add_measurements(const struct atls_soft_token *token,
                                       struct atls_claims *claims, struct atls_err *err)
{
    struct atls_arena *arena = &claims->arena;
    struct atls_measurement *list = atls_arena_alloc(arena, token->measurement_count, sizeof *list);
    struct atls_digest *digests =
        atls_arena_alloc(arena, token->measurement_count, sizeof *digests);
    bool ok = list != NULL && digests != NULL;

    for (size_t i = 0; ok && i < token->measurement_count; i++) {
        const struct atls_soft_measurement *from = &token->measurements[i];
        const struct atls_named_hash *named = atls_named_hash_by_number(from->named_information);

        list[i].mkey.kind = ATLS_MKEY_TEXT;
        list[i].mval.digests = &digests[i];
        ok = named != NULL && atls_arena_copy(arena, from->name, &list[i].mkey.bytes) &&
             atls_claims_add_digest(claims, &list[i], named->hash, from->digest);
    }
    if (!ok)
        return atls_fail(err, ATLS_E_NOMEM, "soft: out of memory");
    claims->measurements = list;
    claims->measurement_count = token->measurement_count;
    return ATLS_OK;
}

static enum atls_code make_claims(const struct atls_soft_token *token,
                                  const struct atls_attest_key *signer, struct atls_bytes spki,
                                  struct atls_claims *out, struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(&atls_technology_soft);
    enum atls_code code;

    claims.key_trust = signer->spki.len != 0 ? ATLS_KEY_TRUST_ENROLLED : ATLS_KEY_TRUST_NONE;
    code = atls_claims_identify(&claims, token->ueid, signer, spki, err);
    if (code == ATLS_OK &&
        !atls_arena_copy(&claims.arena, atls_buf_bytes(&signer->spki), &claims.signer_spki))
        code = atls_fail(err, ATLS_E_NOMEM, "soft: out of memory");
    if (code != ATLS_OK || (code = add_measurements(token, &claims, err)) != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    *out = claims;
    return ATLS_OK;
}

static enum atls_code appraise(const struct atls_bundle *bundle,
                               const struct atls_evidence_request *request,
                               struct atls_soft_token *token, struct atls_claims *out,
                               struct atls_err *err)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_attest_key signer;
    struct atls_cose_sign1 sign1;
    enum atls_code code;

    code = atls_cose_sign1_decode(bundle->pat.value, ATLS_COSE_TAG_REQUIRED, &sign1, err);
    if (code != ATLS_OK)
        return code;
    if ((code = find_signer(request, sign1.kid, &signer, err)) != ATLS_OK)
        return code;
    code = verify_token(request, &signer, &sign1, token, err);
    if (code == ATLS_OK)
        code = verify_answer(bundle, token->challenge, request, &spki, err);
    if (code == ATLS_OK)
        code = make_claims(token, &signer, atls_buf_bytes(&spki), out, err);
    atls_buf_clear(&spki);
    atls_attest_key_clear(&signer);
    return code;
}

static enum atls_code verify(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err)
{
    struct atls_soft_token *token = calloc(1, sizeof *token); /* too much for a stack frame */
    enum atls_code code;

    if (token == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "soft: out of memory");
    code = appraise(bundle, request, token, out, err);
    free(token);
    return code;
}

static const struct atls_evidence_format formats[] = {
    {.pat_type = ATLS_TYPE_SOFT, .kat_type = ATLS_TYPE_KAT, .profile = ATLS_PROFILE_KAT},
    {.pat_type = ATLS_TYPE_SOFT, .kat_type = ATLS_TYPE_KAT_BATCH, .profile = ATLS_PROFILE_BATCH},
    {.pat_type = ATLS_TYPE_SOFT, .kat_type = NULL, .profile = ATLS_PROFILE_BARE},
    {.pat_type = NULL},
};

const struct atls_technology atls_technology_soft = {
    .name = "soft",
    .submod = "SOFT",
    .insecure = true,
    .formats = formats,
    .verify = verify,
};
