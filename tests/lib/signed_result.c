#include "signed_result.h"

#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/writer.h"
#include "testlib.h"
#include "verifier/ear/keys.h"
#include "verifier/result.h"
#include "wire/cmw.h"
#include "wire/jws.h"

#define LIMIT (1 << 20)

static void must(enum atls_code code, const struct atls_err *err)
{
    test_assert_code(code, ATLS_OK, err);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    must(atls_writer_finish(w, &out, &err), &err);
    return out;
}

void test_signer_init(struct test_signer *signer, const char *kid)
{
    struct atls_err err = ATLS_ERR_INIT;

    *signer = (struct test_signer){.kid = kid, .private_pem = ATLS_BUF_INIT};
    must(atls_private_key_generate(ATLS_KEY_P256, &signer->key, &err), &err);
    must(atls_private_key_to_pem(signer->key, &signer->private_pem, &err), &err);
}

void test_signer_clear(struct test_signer *signer)
{
    atls_private_key_free(signer->key);
    atls_buf_clear(&signer->private_pem);
}

void test_signers_write(const char *path, const struct test_signer *const *signers, size_t count)
{
    struct atls_err err = ATLS_ERR_INIT;
    char next[256];
    FILE *file;

    snprintf(next, sizeof next, "%s.next", path);
    file = fopen(next, "w");
    assert_non_null(file);
    fputs("{\"keys\":[", file);
    for (size_t i = 0; i < count; i++) {
        struct atls_buf jwk = ATLS_BUF_INIT;

        must(atls_ear_jwk_encode(atls_private_key_public(signers[i]->key), signers[i]->kid, &jwk,
                                 &err),
             &err);
        fprintf(file, "%s%s", i > 0 ? "," : "", (const char *)jwk.ptr);
        atls_buf_clear(&jwk);
    }
    fputs("]}", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, path), 0);
}

struct atls_buf test_token(const struct test_result *result)
{
    static const uint8_t zeros[32];
    struct atls_claims claims = {.arena = atls_arena_init(65536)};
    struct atls_outcome outcome = {.policy_id = "policy:test", .status = ATLS_TIER_AFFIRMING};
    struct atls_ear_options options;
    struct atls_result *r = NULL;
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    claims.technology = result->technology != NULL ? result->technology : "tpm";
    claims.submod = result->submod != NULL ? result->submod : "TPM";
    assert_true(atls_arena_copy(&claims.arena, result->key, &claims.key_spki));
    outcome.trust[ATLS_TRUST_EXECUTABLES] = 2;
    if (result->status != ATLS_TIER_NONE)
        outcome.status = result->status;
    if (outcome.status != ATLS_TIER_AFFIRMING)
        atls_outcome_problem(&outcome, ATLS_REASON_MEASUREMENT, "PCR 7 differs");
    must(atls_result_new(&claims, &outcome,
                         result->nonce.len != 0 ? result->nonce : atls_bytes_of(zeros, 32),
                         result->issued_s, &r, &err),
         &err);
    atls_ear_options_init(&options);
    options.kid = result->signer->kid;
    options.lifetime_s = result->lifetime_s;
    if (result->form != 0)
        options.form = result->form;
    if (result->profile != NULL)
        options.profile = result->profile;
    must(atls_ear_sign_as(r, atls_buf_bytes(&result->signer->private_pem), &options, &token, &err),
         &err);
    atls_result_unref(r);
    return token;
}

struct atls_buf test_sign_json(const struct test_signer *signer, const char *json)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_jws_put_signed_part(&w, "ES256", signer->kid, atls_bytes_of(json, strlen(json)));
    must(atls_private_key_sign_raw(signer->key, ATLS_ECDSA_P256_SHA256, atls_writer_bytes(&w),
                                   &signature, &err),
         &err);
    atls_jws_put_signature(&w, atls_buf_bytes(&signature));
    atls_buf_clear(&signature);
    return finish(&w);
}

struct atls_buf test_key_text(struct atls_bytes key)
{
    struct atls_writer w = atls_writer_init(LIMIT);

    atls_base64url_put(&w, key);
    atls_put_u8(&w, 0);
    return finish(&w);
}

struct atls_buf test_carried(const char *type, struct atls_bytes token, uint32_t ind)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    const struct atls_cmw record = atls_cmw_record(type, token, ind);
    struct atls_err err = ATLS_ERR_INIT;

    must(atls_cmw_encode(&record, &w, &err), &err);
    return finish(&w);
}

struct atls_buf test_carried_result(const struct test_result *result)
{
    struct atls_buf token = test_token(result);
    struct atls_buf cmw =
        test_carried(result->form == ATLS_EAR_FORM_CWT ? TEST_EAT_CWT : TEST_EAT_JWT,
                     atls_buf_bytes(&token), ATLS_CMW_ATTESTATION_RESULTS);

    atls_buf_clear(&token);
    return cmw;
}
