/* Enrolment of a TPM's attestation key, the verifier's half: what may be challenged, what a
 * challenge is, and when its answer counts. The cryptography is bind/credential.h. */
#include <atls/enrol.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/credential.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "store/store.h"

#define LIFETIME_DEFAULT_S 300
/* As long as the digest of the templates' nameAlg, SHA-256: the most that TPM2_MakeCredential
 * takes. */
#define SECRET_LEN   32
#define KEEP_VERSION 2
/* EK certificates are 1 to 3 KiB, public areas a few hundred bytes. */
#define EK_CERTIFICATE_MAX (16 * 1024)
#define KEEP_MAX           (EK_CERTIFICATE_MAX + 16 * 1024)
#define MAC_LEN            32
/* "ek-sha256:" and a fingerprint: fits the label of an enrolled key. */
#define EK_LABEL_PREFIX "ek-sha256:"
#define EK_LABEL_MAX    (sizeof(EK_LABEL_PREFIX) + 2 * 32)

void atls_enrol_options_init(struct atls_enrol_options *options)
{
    *options =
        (struct atls_enrol_options){.size = sizeof(*options), .lifetime_s = LIFETIME_DEFAULT_S};
}

void atls_enrol_challenge_clear(struct atls_enrol_challenge *challenge)
{
    if (challenge == NULL)
        return;
    atls_buf_clear(&challenge->credential_blob);
    atls_buf_clear(&challenge->encrypted_secret);
    atls_buf_clear(&challenge->keep);
    *challenge = (struct atls_enrol_challenge){.ek_trusted = false};
}

static int64_t now_s(int64_t time_s)
{
    return time_s != 0 ? time_s : atls_clock_wall_s(NULL);
}

static void put_hex(struct atls_bytes bytes, char *out)
{
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes.ptr[i]);
}

/* What an enrolled key remembers of its EK: the fingerprint of the public area. */
static enum atls_code ek_label(struct atls_bytes ek_public, char out[EK_LABEL_MAX],
                               struct atls_err *err)
{
    uint8_t digest[ATLS_HASH_MAX];
    enum atls_code code = atls_hash_one(ATLS_HASH_SHA256, ek_public, digest, err);

    if (code != ATLS_OK)
        return code;
    strcpy(out, EK_LABEL_PREFIX);
    put_hex(atls_bytes_of(digest, 32), out + strlen(EK_LABEL_PREFIX));
    return ATLS_OK;
}

/* ---- the request ---- */

/* A request whose parts were decoded and checked; views borrow from the request. */
struct candidate {
    struct atls_bytes ek_certificate; /* as shown, not judged */
    bool allow_untrusted_ek;
    struct atls_tpmt_public ek, ak;
    struct atls_tpm_name ak_name;
    uint8_t instance[ATLS_TPM_KID_LEN];
    char ek_label[EK_LABEL_MAX];
};

static enum atls_code decode_candidate(struct atls_bytes ek_public, struct atls_bytes ak_public,
                                       struct candidate *out, struct atls_err *err)
{
    enum atls_code code;

    if ((code = atls_tpmt_public_decode(ek_public, &out->ek, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "EK");
    if ((code = atls_tpmt_public_decode(ak_public, &out->ak, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "AK");
    if ((code = atls_tpm_check_role(&out->ek, ATLS_TPM_ROLE_EK, err)) != ATLS_OK ||
        (code = atls_tpm_check_role(&out->ak, ATLS_TPM_ROLE_AK, err)) != ATLS_OK)
        return code;
    if ((code = atls_tpm_name_of(&out->ak, &out->ak_name, err)) != ATLS_OK ||
        (code = atls_tpm_ueid_of(&out->ak_name, out->instance, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "AK");
    return ek_label(ek_public, out->ek_label, err);
}

struct known_ek {
    const struct candidate *candidate;
    char instance[2 * ATLS_TPM_KID_LEN + 1];
};

/* A key that was enrolled before carries the label of its EK in the listing. */
static enum atls_code compare_known(void *arg, const struct atls_store_entry *entry,
                                    struct atls_err *err)
{
    const struct known_ek *known = arg;

    if (strcmp(entry->kind, "attest-key") != 0 || strstr(entry->subject, known->instance) == NULL ||
        strstr(entry->subject, EK_LABEL_PREFIX) == NULL ||
        strstr(entry->subject, known->candidate->ek_label) != NULL)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_IDENTITY_MISMATCH,
                            "instance %s is enrolled with another EK: remove attest-key:%lld first",
                            known->instance, (long long)entry->id);
}

/* An instance keeps the EK that it was first enrolled with. */
static enum atls_code check_known(struct atls_store *store, const struct candidate *candidate,
                                  struct atls_err *err)
{
    struct known_ek known = {.candidate = candidate};

    put_hex(atls_bytes_of(candidate->instance, sizeof(candidate->instance)), known.instance);
    return atls_store_list(store, compare_known, &known, err);
}

/* The maker's word for the EK: a chain from its certificate to an EK anchor. */
static enum atls_code verify_ek_chain(struct atls_anchors *anchors, struct atls_bytes certificate,
                                      int64_t time_s, struct atls_err *err)
{
    const struct atls_chain_check check = {
        .purpose = ATLS_CHAIN_TPM_EK, .time_s = time_s, .anchors = anchors};
    struct atls_chain_result result;
    enum atls_code code = atls_chain_verify(&certificate, 1, &check, &result, err);

    if (code != ATLS_OK)
        return atls_err_prefix(err, code, "EK certificate");
    atls_chain_result_clear(&result);
    return ATLS_OK;
}

/* *out_trusted false is no error: the caller's options decide what follows from it. A certificate
 * that speaks of another key is one in every case. */
static enum atls_code judge_certificate(struct atls_store *store, const struct candidate *candidate,
                                        int64_t time_s, struct atls_err *out_why,
                                        struct atls_err *err)
{
    struct atls_anchors *anchors = NULL;
    struct atls_bytes certificate = candidate->ek_certificate;
    enum atls_code code;

    if (certificate.len == 0) {
        (void)atls_fail_reason(out_why, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_ROOT,
                               "EK: the TPM shows no certificate of its maker");
        return ATLS_OK;
    }
    if (certificate.len > EK_CERTIFICATE_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "EK certificate: %zu bytes, at most %d",
                         certificate.len, EK_CERTIFICATE_MAX);
    if ((code = atls_certificate_trim(certificate, &certificate, err)) != ATLS_OK ||
        (code = atls_credential_match_certificate(&candidate->ek, certificate, err)) != ATLS_OK ||
        (code = atls_store_anchors(store, ATLS_ANCHOR_EK, &anchors, err)) != ATLS_OK)
        return code;
    if (anchors == NULL)
        (void)atls_fail_reason(out_why, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_ROOT,
                               "EK certificate: the store has no EK anchor");
    else
        (void)!verify_ek_chain(anchors, certificate, time_s, out_why);
    atls_anchors_unref(anchors);
    return ATLS_OK;
}

/* Whether this store vouches for the EK; without, whether that is allowed. It never is for a
 * certificate that was revoked: then somebody does not vouch. */
static enum atls_code judge_ek(struct atls_store *store, const struct candidate *candidate,
                               int64_t time_s, bool *out_trusted, struct atls_err *err)
{
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code = judge_certificate(store, candidate, time_s, &why, err);

    if (code != ATLS_OK)
        return code;
    if (why.code != ATLS_OK &&
        (!candidate->allow_untrusted_ek || why.reason == ATLS_REASON_CERTIFICATE_REVOKED)) {
        if (err != NULL)
            *err = why;
        return why.code;
    }
    *out_trusted = why.code == ATLS_OK;
    return ATLS_OK;
}

/* ---- what the verifier keeps ---- */

/* struct {
 *     opaque mac[32];
 *     u8 version; u8 allow_untrusted_ek; u64 expires;
 *     opaque ek<1..2^16-1>; opaque ak<1..2^16-1>; opaque ek_certificate<0..2^16-1>;
 * }
 * The secret itself is not kept. It is the key of the MAC over all that follows, so that reading
 * what is kept does not answer the challenge, and what the answer is about cannot be changed. */
static void put_kept(struct atls_writer *w, int64_t expires_s, const struct candidate *candidate)
{
    const struct atls_bytes parts[] = {candidate->ek.raw, candidate->ak.raw,
                                       candidate->ek_certificate};
    struct atls_mark mark;

    atls_put_u8(w, KEEP_VERSION);
    atls_put_u8(w, candidate->allow_untrusted_ek ? 1 : 0);
    atls_put_u64(w, (uint64_t)expires_s);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        mark = atls_open_vec(w, 0xffff);
        atls_put_bytes(w, parts[i]);
        atls_close_vec(w, mark);
    }
}

static enum atls_code encode_keep(int64_t expires_s, struct atls_bytes secret,
                                  const struct candidate *candidate, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct atls_writer kept = atls_writer_init(KEEP_MAX), w = atls_writer_init(KEEP_MAX);
    struct atls_buf content = ATLS_BUF_INIT;
    uint8_t mac[ATLS_HASH_MAX];
    enum atls_code code;

    put_kept(&kept, expires_s, candidate);
    if ((code = atls_writer_finish(&kept, &content, err)) != ATLS_OK)
        return code;
    code = atls_hmac(ATLS_HASH_SHA256, secret, atls_buf_bytes(&content), mac, err);
    if (code == ATLS_OK) {
        atls_put_bytes(&w, atls_bytes_of(mac, MAC_LEN));
        atls_put_bytes(&w, atls_buf_bytes(&content));
        code = atls_writer_finish(&w, out, err);
    }
    atls_buf_clear(&content);
    return code;
}

/* Everything borrows from the buffer. */
struct kept {
    struct atls_bytes mac, content;
    bool allow_untrusted_ek;
    int64_t expires_s;
    struct atls_bytes ek, ak, ek_certificate;
};

static enum atls_code decode_keep(struct atls_bytes in, struct kept *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    uint64_t expires;
    uint8_t version, allow;

    if (!atls_get_bytes(&r, MAC_LEN, &out->mac) || !atls_get_u8(&r, &version) ||
        version != KEEP_VERSION || !atls_get_u8(&r, &allow) || allow > 1 ||
        !atls_get_u64(&r, &expires) || expires > INT64_MAX ||
        !atls_get_vec(&r, 1, 0xffff, &out->ek) || !atls_get_vec(&r, 1, 0xffff, &out->ak) ||
        !atls_get_vec(&r, 0, 0xffff, &out->ek_certificate) || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "kept challenge: malformed near byte %zu", r.pos);
    out->content = atls_bytes_of(in.ptr + MAC_LEN, in.len - MAC_LEN);
    out->allow_untrusted_ek = allow == 1;
    out->expires_s = (int64_t)expires;
    return ATLS_OK;
}

/* The length counts: HMAC takes a key and the same key with zeros behind it for one. */
static enum atls_code check_secret(const struct kept *kept, struct atls_bytes secret,
                                   struct atls_err *err)
{
    uint8_t mac[ATLS_HASH_MAX];
    enum atls_code code = atls_hmac(ATLS_HASH_SHA256, secret, kept->content, mac, err);

    if (code != ATLS_OK)
        return code;
    if (secret.len != SECRET_LEN || !atls_secret_equal(kept->mac, atls_bytes_of(mac, MAC_LEN)))
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_NONCE_MISMATCH,
                                "answer: not the secret of this challenge, as it was kept");
    return ATLS_OK;
}

/* ---- challenge ---- */

static enum atls_code make_challenge(const struct candidate *candidate, int64_t expires_s,
                                     struct atls_enrol_challenge *out, struct atls_err *err)
{
    uint8_t secret[SECRET_LEN];
    const struct atls_bytes view = {secret, sizeof(secret)};
    struct atls_credential credential = {.id_object = ATLS_BUF_INIT};
    struct atls_buf keep = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_random(secret, sizeof(secret), err)) == ATLS_OK &&
        (code = atls_credential_make(&candidate->ek, &candidate->ak_name, view, &credential,
                                     err)) == ATLS_OK)
        code = encode_keep(expires_s, view, candidate, &keep, err);
    atls_wipe(secret, sizeof(secret));
    if (code != ATLS_OK) {
        atls_credential_clear(&credential);
        return code;
    }
    *out = (struct atls_enrol_challenge){.credential_blob = credential.id_object,
                                         .encrypted_secret = credential.encrypted_secret,
                                         .keep = keep,
                                         .expires_s = expires_s};
    put_hex(atls_bytes_of(candidate->instance, sizeof(candidate->instance)), out->instance);
    return ATLS_OK;
}

enum atls_code atls_enrol_challenge(struct atls_store *store,
                                    const struct atls_enrol_request *request,
                                    const struct atls_enrol_options *options,
                                    struct atls_enrol_challenge *out, struct atls_err *err)
{
    struct atls_enrol_options defaults;
    struct candidate candidate;
    int64_t time_s;
    enum atls_code code;
    bool trusted;

    if (options == NULL) {
        atls_enrol_options_init(&defaults);
        options = &defaults;
    }
    if (store == NULL || request == NULL || options->size != sizeof(*options) ||
        options->lifetime_s == 0)
        return atls_fail(err, ATLS_E_USAGE, "enrolment: store, request or options are missing");
    time_s = now_s(options->time_s);
    candidate.ek_certificate = request->ek_certificate;
    candidate.allow_untrusted_ek = options->allow_untrusted_ek;
    if ((code = decode_candidate(request->ek_public, request->ak_public, &candidate, err)) !=
            ATLS_OK ||
        (code = check_known(store, &candidate, err)) != ATLS_OK ||
        (code = judge_ek(store, &candidate, time_s, &trusted, err)) != ATLS_OK ||
        (code = make_challenge(&candidate, time_s + options->lifetime_s, out, err)) != ATLS_OK)
        return code;
    out->ek_trusted = trusted;
    return ATLS_OK;
}

/* ---- answer ---- */

static enum atls_code store_key(struct atls_store *store, const struct candidate *candidate,
                                const struct atls_enrol_answer *answer, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(KEEP_MAX);
    struct atls_buf spki = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_tpmt_public_put_spki(&candidate->ak, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    if ((code = atls_writer_finish(&w, &spki, err)) == ATLS_OK) {
        const struct atls_store_attest_key key = {
            .instance = atls_bytes_of(candidate->instance, sizeof(candidate->instance)),
            .spki = atls_buf_bytes(&spki),
            .public_area = candidate->ak.raw,
            .class_uuid = answer->class_uuid,
            .vendor = answer->vendor,
            .model = answer->model,
            .label = candidate->ek_label,
            .technology = "tpm"};

        code = atls_store_add_attest_key(store, &key, err);
    }
    atls_buf_clear(&spki);
    return code;
}

static enum atls_code accept_kept(struct atls_store *store, const struct kept *kept,
                                  const struct atls_enrol_answer *answer, struct atls_err *err)
{
    struct candidate candidate = {.ek_certificate = kept->ek_certificate,
                                  .allow_untrusted_ek = kept->allow_untrusted_ek};
    int64_t time_s = now_s(answer->time_s);
    enum atls_code code;
    bool trusted;

    if ((code = check_secret(kept, answer->secret, err)) != ATLS_OK)
        return code;
    if (time_s >= kept->expires_s)
        return atls_fail_reason(err, ATLS_E_TIMEOUT, ATLS_REASON_DEADLINE,
                                "challenge: expired %lld s ago, ask for another",
                                (long long)(time_s - kept->expires_s));
    /* Judged again: this store may be another one, or have changed since. */
    if ((code = decode_candidate(kept->ek, kept->ak, &candidate, err)) != ATLS_OK ||
        (code = check_known(store, &candidate, err)) != ATLS_OK ||
        (code = judge_ek(store, &candidate, time_s, &trusted, err)) != ATLS_OK)
        return code;
    return store_key(store, &candidate, answer, err);
}

enum atls_code atls_enrol_accept(struct atls_store *store, struct atls_buf *keep,
                                 const struct atls_enrol_answer *answer, struct atls_err *err)
{
    struct kept kept;
    enum atls_code code;

    if (keep == NULL)
        return atls_fail(err, ATLS_E_USAGE, "enrolment: kept challenge is missing");
    if (store == NULL || answer == NULL)
        code = atls_fail(err, ATLS_E_USAGE, "enrolment: store or answer is missing");
    else if ((code = decode_keep(atls_buf_bytes(keep), &kept, err)) == ATLS_OK)
        code = accept_kept(store, &kept, answer, err);
    atls_buf_clear(keep);
    return code;
}
