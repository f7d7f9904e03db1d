#include "verifier/ear/sign.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "verifier/ear/cbor_sink.h"
#include "verifier/result.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/jws.h"

/* RFC 8392 section 6; application/eat+cwt among the CoAP content-formats. */
#define TAG_CWT        61
#define CONTENT_FORMAT 263
#define HEADER_MAX     512
/* Results live for hours or days: thirty years are a slip of the pen. */
#define LIFETIME_MAX_S INT64_C(946080000)

/* Algorithms that we sign with, by key (RFC 7518 section 3.1, RFC 8037). */
static const struct signer {
    enum atls_signature scheme;
    enum atls_key_type type;
} signers[] = {
    {ATLS_ECDSA_P256_SHA256, ATLS_KEY_P256},
    {ATLS_ECDSA_P384_SHA384, ATLS_KEY_P384},
    {ATLS_ED25519, ATLS_KEY_ED25519},
};

static const struct atls_signature_algorithm *algorithm_of(const struct atls_key *key)
{
    for (size_t i = 0; i < sizeof signers / sizeof signers[0]; i++)
        if (signers[i].type == atls_key_type(key))
            return atls_signature_find(signers[i].scheme);
    return NULL;
}

const char *atls_ear_algorithm(const struct atls_key *key)
{
    const struct atls_signature_algorithm *row = algorithm_of(key);

    return row == NULL ? NULL : row->jose_alg;
}

void atls_ear_options_init(struct atls_ear_options *options)
{
    *options = (struct atls_ear_options){
        .size = sizeof *options,
        .form = ATLS_EAR_FORM_JWT,
        .profile = ATLS_EAR_PROFILE,
    };
}

enum atls_code atls_ear_options_check(const struct atls_ear_options *options, struct atls_err *err)
{
    struct atls_bytes profile;
    char shown[96];

    if (options == NULL || options->size != sizeof *options || options->profile == NULL ||
        (options->form != ATLS_EAR_FORM_JWT && options->form != ATLS_EAR_FORM_CWT))
        return atls_fail(err, ATLS_E_USAGE, "EAR: options were not initialised");
    if (options->lifetime_s < 0 || options->lifetime_s > LIFETIME_MAX_S)
        return atls_fail(err, ATLS_E_USAGE, "EAR: lifetime of %lld s, want 0 to %lld",
                         (long long)options->lifetime_s, (long long)LIFETIME_MAX_S);
    if (options->kid != NULL && strlen(options->kid) >= ATLS_JWS_KID_MAX)
        return atls_fail(err, ATLS_E_USAGE, "EAR: kid of %zu bytes, want at most %d",
                         strlen(options->kid), ATLS_JWS_KID_MAX - 1);
    profile = atls_bytes_of(options->profile, strlen(options->profile));
    if (atls_ear_version_of(profile) == 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "EAR: profile \"%s\" is not known",
                         atls_escape(profile, shown, sizeof shown));
    return ATLS_OK;
}

static enum atls_code no_algorithm(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_UNSUPPORTED, "EAR: no algorithm signs with a key of this type");
}

static enum atls_code sign_jwt(struct atls_bytes claims, const struct atls_private_key *key,
                               const char *kid, struct atls_buf *out, struct atls_err *err)
{
    const struct atls_signature_algorithm *row = algorithm_of(atls_private_key_public(key));
    struct atls_writer w = atls_writer_init(ATLS_EAR_MAX + 1);
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code = ATLS_OK;

    if (row == NULL)
        return no_algorithm(err);
    atls_jws_put_signed_part(&w, row->jose_alg, kid, claims);
    if (w.failed == ATLS_OK &&
        (code = atls_private_key_sign_raw(key, row->scheme, atls_writer_bytes(&w), &signature,
                                          err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    atls_jws_put_signature(&w, atls_buf_bytes(&signature));
    atls_buf_clear(&signature);
    atls_put_u8(&w, 0);
    if ((code = atls_writer_finish(&w, out, err)) == ATLS_OK)
        out->len--;
    return code;
}

/* {alg, content type} and, not needed to be protected, {kid} (RFC 9052 section 3.1). */
static void put_headers(struct atls_writer *prot, struct atls_writer *unprot, int alg,
                        const char *kid)
{
    atls_cbor_put_map(prot, 2);
    atls_cbor_put_int(prot, 1);
    atls_cbor_put_int(prot, alg);
    atls_cbor_put_int(prot, 3);
    atls_cbor_put_uint(prot, CONTENT_FORMAT);
    if (kid == NULL)
        return;
    atls_cbor_put_map(unprot, 1);
    atls_cbor_put_int(unprot, 4);
    atls_cbor_put_bytes(unprot, atls_bytes_of(kid, strlen(kid)));
}

static enum atls_code sign_cwt(struct atls_bytes claims, const struct atls_private_key *key,
                               const char *kid, struct atls_buf *out, struct atls_err *err)
{
    const struct atls_signature_algorithm *row = algorithm_of(atls_private_key_public(key));
    struct atls_writer prot = atls_writer_init(HEADER_MAX), unprot = atls_writer_init(HEADER_MAX);
    struct atls_writer tbs = atls_writer_init(2 * ATLS_EAR_MAX);
    struct atls_writer w = atls_writer_init(ATLS_EAR_MAX);
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code;

    if (row == NULL)
        return no_algorithm(err);
    put_headers(&prot, &unprot, row->cose_alg, kid);
    atls_cose_put_to_be_signed(&tbs, atls_writer_bytes(&prot), atls_bytes_of(NULL, 0), claims);
    if (prot.failed != ATLS_OK || unprot.failed != ATLS_OK || tbs.failed != ATLS_OK)
        code = atls_fail(err, ATLS_E_NOMEM, "EAR: out of memory"); /* limits are ample */
    else
        code =
            atls_private_key_sign_raw(key, row->scheme, atls_writer_bytes(&tbs), &signature, err);
    if (code == ATLS_OK) {
        atls_cbor_put_tag(&w, TAG_CWT);
        atls_cose_put_sign1(&w, atls_writer_bytes(&prot), atls_writer_bytes(&unprot), claims,
                            atls_buf_bytes(&signature));
        code = atls_writer_finish(&w, out, err);
    }
    atls_buf_clear(&signature);
    atls_writer_clear(&prot);
    atls_writer_clear(&unprot);
    atls_writer_clear(&tbs);
    return code;
}

static enum atls_code put_claims(struct atls_result *r, const struct atls_ear_options *options,
                                 struct atls_buf *out, struct atls_err *err)
{
    const struct atls_result_form form = {
        .profile = options->profile,
        .version = atls_ear_version_of(atls_bytes_of(options->profile, strlen(options->profile))),
        .lifetime_s = options->lifetime_s,
    };
    struct atls_writer w = atls_writer_init(ATLS_EAR_MAX);

    if (options->form == ATLS_EAR_FORM_JWT)
        return atls_result_put_json(r, &form, out, err);
    atls_result_put_cbor(&w, r, &form);
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_ear_sign_with(struct atls_result *r, const struct atls_private_key *key,
                                  const struct atls_ear_options *options, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct atls_buf claims = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_ear_options_check(options, err)) != ATLS_OK)
        return code;
    if (atls_result_is_received(r))
        return atls_fail(err, ATLS_E_USAGE,
                         "EAR: the result of another Verifier is not ours to sign");
    if (algorithm_of(atls_private_key_public(key)) == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "EAR: want a signing key on P-256 or P-384, or an Ed25519 key");
    if ((code = put_claims(r, options, &claims, err)) != ATLS_OK)
        return code;
    if (options->form == ATLS_EAR_FORM_JWT)
        code = sign_jwt(atls_buf_bytes(&claims), key, options->kid, out, err);
    else
        code = sign_cwt(atls_buf_bytes(&claims), key, options->kid, out, err);
    atls_buf_clear(&claims);
    return code;
}

enum atls_code atls_ear_sign_as(struct atls_result *r, struct atls_bytes private_key_pem,
                                const struct atls_ear_options *options, struct atls_buf *out,
                                struct atls_err *err)
{
    struct atls_private_key *key = NULL;
    enum atls_code code;

    if ((code = atls_private_key_from_pem(private_key_pem, &key, err)) != ATLS_OK)
        return code;
    code = atls_ear_sign_with(r, key, options, out, err);
    atls_private_key_free(key);
    return code;
}

enum atls_code atls_ear_sign(struct atls_result *r, struct atls_bytes private_key_pem,
                             const char *kid, struct atls_buf *out, struct atls_err *err)
{
    struct atls_ear_options options;

    atls_ear_options_init(&options);
    options.kid = kid;
    return atls_ear_sign_as(r, private_key_pem, &options, out, err);
}
