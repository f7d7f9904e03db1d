#include "ea/ea.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"

struct atls_ea_answer {
    struct atls_ea_keys keys;
    struct atls_buf request; /* empty: spontaneous */
    struct atls_buf context;
    struct atls_ea_offer offer;
    bool used;
};

void atls_ea_answer_free(struct atls_ea_answer *answer)
{
    if (answer == NULL)
        return;
    atls_buf_clear(&answer->request);
    atls_buf_clear(&answer->context);
    atls_wipe(answer, sizeof *answer);
    free(answer);
}

static enum atls_code new_answer(struct atls_ea *ea, struct atls_bytes request,
                                 struct atls_bytes context, const struct atls_ea_offer *offer,
                                 struct atls_ea_answer **out, struct atls_err *err)
{
    struct atls_ea_answer *a = calloc(1, sizeof *a);
    enum atls_code code;

    if (a == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "authenticator: out of memory");
    a->offer = *offer;
    if ((code = atls_ea_keys_for(ea, ea->role, &a->keys, err)) != ATLS_OK ||
        (code = atls_buf_copy(&a->request, request, err)) != ATLS_OK ||
        (code = atls_buf_copy(&a->context, context, err)) != ATLS_OK) {
        atls_ea_answer_free(a);
        return code;
    }
    *out = a;
    return ATLS_OK;
}

enum atls_code atls_ea_prepare(struct atls_ea *ea, struct atls_bytes request_raw,
                               struct atls_ea_answer **out, struct atls_err *err)
{
    struct atls_ea_answer *answer = NULL;
    struct atls_ea_context *known;
    struct atls_ea_request request;
    struct atls_ea_offer offer;
    enum atls_code code;

    if ((code = atls_ea_request_decode(request_raw, &request, err)) != ATLS_OK ||
        (code = atls_ea_contexts_find(&ea->contexts, request.context, &known, err)) != ATLS_OK)
        return code;
    if (known == NULL && (code = atls_ea_accept_request(ea, request_raw, &request, err)) != ATLS_OK)
        return code;
    atls_ea_offer_from_request(&request, &offer);
    if ((code = new_answer(ea, request_raw, request.context, &offer, &answer, err)) != ATLS_OK)
        return code;
    if ((code = atls_ea_contexts_spend(&ea->contexts, request.context, request_raw, ATLS_EA_THEIRS,
                                       err)) != ATLS_OK) {
        atls_ea_answer_free(answer);
        return code;
    }
    *out = answer;
    return ATLS_OK;
}

static enum atls_code check_key(const struct atls_ea_credential *credential, struct atls_err *err)
{
    enum atls_key_type type;
    struct atls_bytes spki;
    enum atls_code code;

    if ((code = atls_certificate_spki(credential->chain[0], &spki, err)) != ATLS_OK ||
        (code = atls_key_type_of_spki(spki, &type, err)) != ATLS_OK)
        return code;
    if (atls_signature_find(credential->scheme)->key_type != type)
        return atls_fail(err, ATLS_E_USAGE,
                         "authenticator: scheme %s does not fit the certificate's key",
                         atls_signature_find(credential->scheme)->name);
    return ATLS_OK;
}

static enum atls_code check_credential(const struct atls_ea_offer *offer,
                                       const struct atls_ea_credential *credential,
                                       struct atls_err *err)
{
    if (credential->sign == NULL)
        return atls_fail(err, ATLS_E_USAGE, "authenticator: no function to sign it with");
    if (credential->chain_len == 0 || credential->chain_len > ATLS_CHAIN_MAX)
        return atls_fail(err, ATLS_E_USAGE, "authenticator: %zu certificates, want 1..%d",
                         credential->chain_len, ATLS_CHAIN_MAX);
    for (size_t i = 0; i < credential->chain_len; i++)
        if (credential->chain[i].len == 0)
            return atls_fail(err, ATLS_E_USAGE, "authenticator: certificate %zu is empty", i);
    if (!atls_ea_offers_scheme(offer, credential->scheme))
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_SCHEME_NOT_OFFERED,
                                "authenticator: signature scheme 0x%04x was not offered",
                                (unsigned int)credential->scheme);
    if (credential->cmw.len != 0 && !offer->attestation)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_EXTENSION_NOT_OFFERED,
                                "authenticator: cmw_attestation was not offered");
    if (credential->cmw.len > ATLS_CMW_DATA_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "cmw_attestation: cmw_data has %zu bytes, one authenticator holds at most "
                         "%d",
                         credential->cmw.len, ATLS_CMW_DATA_MAX);
    return check_key(credential, err);
}

/* Extension block of entry 0 (draft-fossati-seat-expat-03, "cmw_attestation"). */
static enum atls_code make_extensions(struct atls_bytes cmw, struct atls_buf *out,
                                      struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(0xffff);
    struct atls_mark data, inner;

    if (cmw.len != 0) {
        atls_put_u16(&w, ATLS_EA_CMW_ATTESTATION);
        data = atls_open_vec(&w, 0xffff);
        inner = atls_open_vec(&w, 0xffff);
        atls_put_bytes(&w, cmw);
        atls_close_vec(&w, inner);
        atls_close_vec(&w, data);
    }
    return atls_writer_finish(&w, out, err);
}

/* Adds what was written since from to the transcript. */
static enum atls_code add_written(struct atls_digest *transcript, const struct atls_writer *w,
                                  size_t from, struct atls_err *err)
{
    struct atls_bytes all = atls_writer_bytes(w);

    if (w->failed != ATLS_OK)
        return atls_fail(err, w->failed, "authenticator: does not fit %d bytes, or out of memory",
                         ATLS_AUTHENTICATOR_MAX);
    return atls_digest_add(transcript, atls_bytes_of(all.ptr + from, all.len - from), err);
}

/* CertificateVerify over the transcript so far. */
static enum atls_code put_signature(const struct atls_ea_answer *answer,
                                    const struct atls_ea_credential *credential,
                                    const struct atls_digest *transcript, struct atls_writer *w,
                                    struct atls_err *err)
{
    struct atls_buf content = ATLS_BUF_INIT, signature = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_ea_signed_content(&answer->keys, transcript, &content, err)) != ATLS_OK)
        return code;
    code = credential->sign(credential->sign_arg, credential->scheme, atls_buf_bytes(&content),
                            &signature, err);
    if (code == ATLS_OK)
        atls_tls_put_certificate_verify(w, (uint16_t)credential->scheme,
                                        atls_buf_bytes(&signature));
    atls_buf_clear(&content);
    atls_buf_clear(&signature);
    return code;
}

static enum atls_code put_finished(const struct atls_ea_answer *answer,
                                   const struct atls_digest *transcript, struct atls_writer *w,
                                   struct atls_err *err)
{
    uint8_t mac[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_ea_finished_mac(&answer->keys, transcript, mac, err)) == ATLS_OK)
        atls_tls_put_finished(w, atls_bytes_of(mac, atls_hash_len(answer->keys.hash)));
    atls_wipe(mac, sizeof mac);
    return code;
}

static enum atls_code build(const struct atls_ea_answer *answer,
                            const struct atls_ea_credential *credential, struct atls_writer *w,
                            struct atls_digest *transcript, struct atls_err *err)
{
    struct atls_buf extensions = ATLS_BUF_INIT;
    enum atls_code code;
    size_t verify;

    if ((code = make_extensions(credential->cmw, &extensions, err)) != ATLS_OK)
        return code;
    atls_tls_put_certificate(w, atls_buf_bytes(&answer->context), credential->chain,
                             credential->chain_len, atls_buf_bytes(&extensions));
    atls_buf_clear(&extensions);
    verify = w->len;
    if ((code = add_written(transcript, w, 0, err)) != ATLS_OK ||
        (code = put_signature(answer, credential, transcript, w, err)) != ATLS_OK ||
        (code = add_written(transcript, w, verify, err)) != ATLS_OK)
        return code;
    return put_finished(answer, transcript, w, err);
}

enum atls_code atls_ea_sign(struct atls_ea_answer *answer,
                            const struct atls_ea_credential *credential, struct atls_buf *out,
                            struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_AUTHENTICATOR_MAX);
    struct atls_digest *transcript = NULL;
    enum atls_code code;

    if (answer->used)
        return atls_ea_fail_context_used(err);
    if ((code = check_credential(&answer->offer, credential, err)) != ATLS_OK ||
        (code = atls_ea_transcript(&answer->keys, atls_buf_bytes(&answer->request), &transcript,
                                   err)) != ATLS_OK)
        return code;
    if ((code = build(answer, credential, &w, transcript, err)) == ATLS_OK)
        code = atls_writer_finish(&w, out, err);
    atls_digest_free(transcript);
    atls_writer_clear(&w);
    answer->used = code == ATLS_OK;
    return code;
}

enum atls_code atls_ea_answer_decline(struct atls_ea_answer *answer, struct atls_buf *out,
                                      struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(256);
    uint8_t mac[ATLS_HASH_MAX];
    enum atls_code code;

    if (answer->used)
        return atls_ea_fail_context_used(err);
    if ((code = atls_ea_empty_mac(&answer->keys, atls_buf_bytes(&answer->request),
                                  atls_buf_bytes(&answer->context), mac, err)) != ATLS_OK)
        return code;
    atls_tls_put_finished(&w, atls_bytes_of(mac, atls_hash_len(answer->keys.hash)));
    atls_wipe(mac, sizeof mac);
    code = atls_writer_finish(&w, out, err);
    answer->used = code == ATLS_OK;
    return code;
}

enum atls_code atls_ea_authenticate(struct atls_ea *ea, struct atls_bytes request_raw,
                                    const struct atls_ea_credential *credential,
                                    struct atls_buf *out, struct atls_err *err)
{
    struct atls_ea_answer *answer = NULL;
    enum atls_code code;

    if ((code = atls_ea_prepare(ea, request_raw, &answer, err)) != ATLS_OK)
        return code;
    code = atls_ea_sign(answer, credential, out, err);
    atls_ea_answer_free(answer);
    return code;
}

enum atls_code atls_ea_decline(struct atls_ea *ea, struct atls_bytes request_raw,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_ea_answer *answer = NULL;
    enum atls_code code;

    if ((code = atls_ea_prepare(ea, request_raw, &answer, err)) != ATLS_OK)
        return code;
    code = atls_ea_answer_decline(answer, out, err);
    atls_ea_answer_free(answer);
    return code;
}

enum atls_code atls_ea_authenticate_spontaneous(struct atls_ea *ea, struct atls_bytes context,
                                                const struct atls_ea_client_hello *hello,
                                                const struct atls_ea_credential *credential,
                                                struct atls_buf *out, struct atls_err *err)
{
    const struct atls_bytes no_request = {NULL, 0};
    struct atls_ea_answer *answer = NULL;
    struct atls_ea_offer offer;
    enum atls_code code;

    if (ea->role != ATLS_ROLE_SERVER)
        return atls_fail(err, ATLS_E_USAGE, "authenticator: a client sends none without request");
    if (context.len > ATLS_EA_CONTEXT_MAX)
        return atls_fail(err, ATLS_E_USAGE, "authenticator: context of %zu bytes, at most %d",
                         context.len, ATLS_EA_CONTEXT_MAX);
    if ((code = atls_ea_offer_from_hello(hello, &offer, err)) != ATLS_OK ||
        (code = atls_ea_contexts_add(&ea->contexts, context, no_request, ATLS_EA_SPENT, err)) !=
            ATLS_OK ||
        (code = new_answer(ea, no_request, context, &offer, &answer, err)) != ATLS_OK)
        return code;
    code = atls_ea_sign(answer, credential, out, err);
    atls_ea_answer_free(answer);
    return code;
}
