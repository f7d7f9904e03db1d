#include "evidence/answer.h"

#include <string.h>

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/err.h"
#include "core/secret.h"
#include "evidence/claims.h"

#define SPKI_MAX 2048

_Static_assert(ATLS_ANSWER_MAX == ATLS_HASH_MAX && ATLS_ANSWER_MAX == ATLS_BATCH_HASH_LEN,
               "a challenge is SHA-512");

/* The nonce itself where nobody knows a key. */
static enum atls_code expect_bare(const struct atls_evidence_request *request,
                                  struct atls_answer *out, struct atls_err *err)
{
    const enum atls_hash hash = request->binder.len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;

    if (request->scope != ATLS_EVIDENCE_KEY_UNKNOWN)
        return atls_binder_bare_challenge(hash, request->binder, request->aik_spki, out->challenge,
                                          err);
    memcpy(out->challenge, request->binder.ptr, request->binder.len);
    out->len = request->binder.len;
    return ATLS_OK;
}

/* Where the path leads; the KAT at its start is read later, like any other. */
static enum atls_code expect_batch(struct atls_bytes member, struct atls_answer *out,
                                   struct atls_err *err)
{
    struct atls_batch_path path;
    enum atls_code code = atls_batch_path_decode(member, &path, err);

    if (code != ATLS_OK)
        return code;
    out->kat = path.kat;
    return atls_batch_challenge(&path, out->challenge, err);
}

enum atls_code atls_answer_expect(const struct atls_bundle *bundle,
                                  const struct atls_evidence_request *request,
                                  struct atls_answer *out, struct atls_err *err)
{
    struct atls_answer answer = {.len = ATLS_ANSWER_MAX};
    enum atls_code code;

    if (bundle->kat.value.ptr == NULL) {
        answer.profile = ATLS_PROFILE_BARE;
        code = expect_bare(request, &answer, err);
    } else if (atls_cmw_type_is(&bundle->kat.type, ATLS_TYPE_KAT_BATCH)) {
        answer.profile = ATLS_PROFILE_BATCH;
        code = expect_batch(bundle->kat.value, &answer, err);
    } else {
        answer.profile = ATLS_PROFILE_KAT;
        answer.kat = bundle->kat.value;
        code = atls_hash_one(ATLS_HASH_SHA512, answer.kat, answer.challenge, err);
    }
    if (code == ATLS_OK)
        *out = answer;
    return code;
}

bool atls_answer_matches(const struct atls_answer *answer, struct atls_bytes found)
{
    /* Behind a shorter one the challenge is zeros. */
    if (found.len == ATLS_ANSWER_MAX)
        return atls_secret_equal(found, atls_bytes_of(answer->challenge, ATLS_ANSWER_MAX));
    return atls_secret_equal(found, atls_bytes_of(answer->challenge, answer->len));
}

static enum atls_code check_key(const struct atls_evidence_request *request,
                                const struct atls_kat *kat, struct atls_buf *out_spki,
                                struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    enum atls_code code = atls_cose_put_spki(&w, &kat->key, err);

    if (code == ATLS_OK && w.failed == ATLS_OK && request->scope != ATLS_EVIDENCE_KEY_UNKNOWN &&
        !atls_bytes_equal(atls_writer_bytes(&w), request->aik_spki))
        code = atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                                "cnf of the KAT is not the key of this TLS identity");
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out_spki, err);
}

enum atls_code atls_answer_accept(const struct atls_answer *answer,
                                  const struct atls_evidence_request *request,
                                  struct atls_buf *out_spki, struct atls_err *err)
{
    struct atls_kat kat;
    enum atls_code code;

    if (answer->profile == ATLS_PROFILE_BARE)
        return atls_buf_copy(out_spki, request->aik_spki, err);
    if ((code = atls_kat_decode(answer->kat, &kat, err)) != ATLS_OK)
        return code;
    if (!atls_secret_equal(kat.nonce, request->binder))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                                "nonce of the KAT is not the binder");
    return check_key(request, &kat, out_spki, err);
}
