#include <atls/ear.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/json_writer.h"
#include "core/secret.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/ear.h"
#include "wire/jws.h"

/* Clocks of verifier and reader may differ by as much. */
#define SKEW_S 60

/* Algorithms that we sign with, by key (RFC 7518 section 3.1, RFC 8037). */
static const struct signer {
    enum atls_signature scheme;
    const char *alg;
} signers[] = {
    {ATLS_ECDSA_P256_SHA256, "ES256"},
    {ATLS_ECDSA_P384_SHA384, "ES384"},
    {ATLS_ED25519, "EdDSA"},
};

static const struct signer *find_signer(enum atls_signature scheme)
{
    for (size_t i = 0; i < sizeof signers / sizeof signers[0]; i++)
        if (signers[i].scheme == scheme)
            return &signers[i];
    return NULL;
}

static enum atls_code sign(struct atls_result *r, const struct atls_private_key *key,
                           const char *kid, struct atls_buf *out, struct atls_err *err)
{
    const struct signer *signer = find_signer(atls_private_key_scheme(key));
    const char *claims = atls_result_json(r);
    struct atls_writer w = atls_writer_init(2 * ATLS_EAR_MAX);
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code;

    if (signer == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "EAR: want a signing key on P-256 or P-384, or an Ed25519 key");
    if (claims == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "EAR: out of memory");
    atls_jws_put_signed_part(&w, signer->alg, kid, atls_bytes_of(claims, strlen(claims)));
    if (w.failed == ATLS_OK) {
        code =
            atls_private_key_sign_raw(key, signer->scheme, atls_writer_bytes(&w), &signature, err);
        if (code != ATLS_OK) {
            atls_writer_clear(&w);
            return code;
        }
        atls_jws_put_signature(&w, atls_buf_bytes(&signature));
        atls_buf_clear(&signature);
    }
    atls_put_u8(&w, 0);
    if ((code = atls_writer_finish(&w, out, err)) == ATLS_OK)
        out->len--;
    return code;
}

enum atls_code atls_ear_sign(struct atls_result *r, struct atls_bytes private_key_pem,
                             const char *kid, struct atls_buf *out, struct atls_err *err)
{
    struct atls_private_key *key = NULL;
    enum atls_code code;

    if ((code = atls_private_key_from_pem(private_key_pem, &key, err)) != ATLS_OK)
        return code;
    code = sign(r, key, kid, out, err);
    atls_private_key_free(key);
    return code;
}

/* JSON of another encoder, re-written in the one form that we show: escaped, indented. */
static enum atls_code put_pretty(struct atls_json *j, const char *key, struct atls_bytes json,
                                 struct atls_err *err)
{
    json_t *value = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII);

    json_decref(value);
    if (text == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "EAR: out of memory");
    atls_json_put_raw(j, key, atls_bytes_of(text, strlen(text)));
    free(text);
    return ATLS_OK;
}

static enum atls_code show(bool verified, const struct atls_jws *jws, struct atls_bytes claims,
                           struct atls_buf *out, struct atls_err *err)
{
    struct atls_json j = atls_json_init(8 * ATLS_EAR_MAX); /* escapes are six times as long */
    enum atls_code code = ATLS_OK;

    j.pretty = true;
    atls_json_open_object(&j, NULL);
    atls_json_put_bool(&j, "verified", verified);
    if (jws != NULL)
        code = put_pretty(&j, "header", atls_buf_bytes(&jws->header), err);
    if (code == ATLS_OK)
        code = put_pretty(&j, "claims", claims, err);
    atls_json_close(&j);
    if (code != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    return atls_json_finish(&j, out, err);
}

static bool looks_like_json(struct atls_bytes in)
{
    for (size_t i = 0; i < in.len; i++)
        if (memchr(" \t\r\n", in.ptr[i], 4) == NULL)
            return in.ptr[i] == '{';
    return false;
}

/* Files of tokens end in a line feed as often as not. */
static struct atls_bytes without_line_end(struct atls_bytes in)
{
    while (in.len > 0 && (in.ptr[in.len - 1] == '\n' || in.ptr[in.len - 1] == '\r'))
        in.len--;
    return in;
}

enum atls_code atls_ear_show(struct atls_bytes in, struct atls_buf *out, struct atls_err *err)
{
    bool is_bare = looks_like_json(in);
    struct atls_bytes claims = in;
    struct atls_jws jws;
    struct atls_ear ear;
    enum atls_code code;

    memset(&jws, 0, sizeof jws);
    if (!is_bare) {
        if ((code = atls_jws_decode(without_line_end(in), &jws, err)) != ATLS_OK)
            return code;
        claims = atls_buf_bytes(&jws.payload);
    }
    if ((code = atls_ear_decode(claims, &ear, err)) == ATLS_OK) {
        atls_ear_clear(&ear);
        code = show(false, is_bare ? NULL : &jws, claims, out, err);
    }
    atls_jws_clear(&jws);
    return code;
}

/* The algorithm of the token must be the one that this key is for. */
static enum atls_code verify_signature(const struct atls_jws *jws, const struct atls_key *key,
                                       struct atls_err *err)
{
    const struct atls_signature_algorithm *row =
        atls_signature_by_jose(atls_bytes_of(jws->alg, strlen(jws->alg)));

    if (row == NULL || row->key_type != atls_key_type(key))
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_SIGNATURE,
                                "EAR: alg \"%s\" is not one for the configured key", jws->alg);
    return atls_key_verify_raw(key, row->scheme, jws->signed_part, atls_buf_bytes(&jws->signature),
                               err);
}

static enum atls_code check_times(const struct atls_ear *ear, const struct atls_ear_check *check,
                                  struct atls_err *err)
{
    int64_t now = check->time_s;

    if (ear->issued_at_s - SKEW_S > now ||
        (ear->has_not_before && ear->not_before_s - SKEW_S > now))
        return atls_fail_reason(
            err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
            "EAR: issued at %" PRId64 ", valid from %" PRId64 ", and it is %" PRId64,
            ear->issued_at_s, ear->has_not_before ? ear->not_before_s : ear->issued_at_s, now);
    if (ear->has_expiry && now - SKEW_S >= ear->expiry_s)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                                "EAR: expired at %" PRId64 ", and it is %" PRId64, ear->expiry_s,
                                now);
    /* Issued at 0 or later, and at most a little after now: the difference cannot overflow. */
    if (check->max_age_s != ATLS_EAR_ANY_AGE && now - ear->issued_at_s > check->max_age_s)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                                "EAR: issued %" PRId64 " s ago, want at most %" PRId64,
                                now - ear->issued_at_s, check->max_age_s);
    return ATLS_OK;
}

void atls_ear_check_init(struct atls_ear_check *check)
{
    *check = (struct atls_ear_check){.size = sizeof(*check)};
}

enum atls_code atls_ear_verify(struct atls_bytes token, const struct atls_ear_check *check,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_key *key = NULL;
    struct atls_jws jws;
    struct atls_ear ear;
    enum atls_code code;

    if (check == NULL || check->size != sizeof(*check) || check->public_key_pem.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "EAR: what to check, or the key, is missing");
    if (check->max_age_s < 1 && check->max_age_s != ATLS_EAR_ANY_AGE)
        return atls_fail(err, ATLS_E_USAGE,
                         "EAR: want an age of at least 1 s, or ATLS_EAR_ANY_AGE, is %" PRId64,
                         check->max_age_s);
    if ((code = atls_key_from_pem(check->public_key_pem, &key, err)) != ATLS_OK)
        return code;
    code = atls_jws_decode(without_line_end(token), &jws, err);
    if (code != ATLS_OK) {
        atls_key_unref(key);
        return code;
    }
    if ((code = verify_signature(&jws, key, err)) == ATLS_OK &&
        (code = atls_ear_decode(atls_buf_bytes(&jws.payload), &ear, err)) == ATLS_OK) {
        if ((code = check_times(&ear, check, err)) == ATLS_OK)
            code = show(true, &jws, atls_buf_bytes(&jws.payload), out, err);
        atls_ear_clear(&ear);
    }
    atls_jws_clear(&jws);
    atls_key_unref(key);
    return code;
}
