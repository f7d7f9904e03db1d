#include "store/manifest.h"

#include <string.h>

#include <atls/corim.h>
#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/cbor.h"
#include "wire/cose.h"

#define SIGNER_NAME_MAX 127

static enum atls_code verify_with(const struct atls_corim_envelope *e, const struct atls_key *key,
                                  struct atls_err *err)
{
    const struct atls_signature_algorithm *algorithm =
        atls_signature_by_cose(e->sign1.alg, atls_key_type(key));
    struct atls_writer w = atls_writer_init((size_t)2 * ATLS_CORIM_MAX);
    enum atls_code code = ATLS_E_NOMEM;

    if (algorithm == NULL)
        return atls_fail_reason(
            err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
            "CoRIM: signed with COSE algorithm %lld, which the signer's key does "
            "not do",
            (long long)e->sign1.alg);
    atls_cose_put_to_be_signed(&w, e->sign1.protected_header, atls_bytes_of(NULL, 0),
                               e->sign1.payload);
    if (w.failed == ATLS_OK)
        code = atls_key_verify_raw(key, algorithm->scheme, atls_writer_bytes(&w),
                                   e->sign1.signature, err);
    else
        atls_fail(err, code, "CoRIM: out of memory");
    atls_writer_clear(&w);
    return code;
}

/* Signed and a signer named, or neither. */
static enum atls_code verify(const struct atls_corim_envelope *e, struct atls_bytes signer_spki,
                             struct atls_err *err)
{
    char name[128];
    struct atls_key *key;
    enum atls_code code;

    if (e->is_signed && signer_spki.len == 0)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
                                "CoRIM: signed by \"%s\", but no key of a signer was given",
                                atls_escape(e->signer, name, sizeof name));
    if (!e->is_signed && signer_spki.len != 0)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
                                "CoRIM: not signed, but a signer is wanted");
    if (!e->is_signed)
        return ATLS_OK;
    if ((code = atls_key_from_spki(signer_spki, &key, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "signer of the CoRIM");
    if ((code = verify_with(e, key, err)) == ATLS_E_VERIFY)
        code = atls_err_prefix(err, code, "CoRIM");
    atls_key_unref(key);
    return code;
}

static void narrow(struct atls_corim_validity *v, const struct atls_corim_validity *by)
{
    if (by->has_not_before && (!v->has_not_before || by->not_before_s > v->not_before_s)) {
        v->has_not_before = true;
        v->not_before_s = by->not_before_s;
    }
    if (by->has_not_after && (!v->has_not_after || by->not_after_s < v->not_after_s)) {
        v->has_not_after = true;
        v->not_after_s = by->not_after_s;
    }
}

static enum atls_code check_time(const struct atls_corim_validity *v, int64_t time_s,
                                 struct atls_err *err)
{
    if (v->has_not_after && time_s > v->not_after_s)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                                "CoRIM: valid until %lld, it is %lld", (long long)v->not_after_s,
                                (long long)time_s);
    if (v->has_not_before && time_s < v->not_before_s)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
                                "CoRIM: valid from %lld, it is %lld", (long long)v->not_before_s,
                                (long long)time_s);
    return ATLS_OK;
}

enum atls_code store_manifest_open(struct atls_bytes in, struct atls_bytes signer_spki,
                                   const int64_t *time_s, struct store_manifest *out,
                                   struct atls_err *err)
{
    struct atls_corim_envelope e;
    struct store_manifest m;
    enum atls_code code;

    memset(&m, 0, sizeof m);
    if ((code = atls_corim_envelope_decode(in, &e, err)) != ATLS_OK ||
        (code = verify(&e, signer_spki, err)) != ATLS_OK ||
        (code = atls_corim_decode(e.manifest, &m.corim, err)) != ATLS_OK)
        return code;
    m.signer_spki = signer_spki;
    m.validity = m.corim.validity;
    narrow(&m.validity, &e.validity);
    if (time_s != NULL && (code = check_time(&m.validity, *time_s, err)) != ATLS_OK) {
        atls_corim_clear(&m.corim);
        return code;
    }
    *out = m;
    return ATLS_OK;
}

enum atls_code atls_corim_verify(struct atls_bytes corim, struct atls_bytes signer_spki,
                                 int64_t time_s, struct atls_bytes *out_payload,
                                 struct atls_err *err)
{
    struct atls_corim_envelope e;
    struct store_manifest m;
    enum atls_code code;

    if (signer_spki.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "CoRIM: no key of a signer");
    if ((code = store_manifest_open(corim, signer_spki, &time_s, &m, err)) != ATLS_OK)
        return code;
    atls_corim_clear(&m.corim);
    if ((code = atls_corim_envelope_decode(corim, &e, err)) != ATLS_OK)
        return code;
    if (out_payload != NULL)
        *out_payload = e.manifest;
    return ATLS_OK;
}

/* ---- signing ---- */

static enum atls_code sign_manifest(struct atls_bytes corim,
                                    const struct atls_corim_sign_options *options,
                                    const struct atls_private_key *key, struct atls_buf *out,
                                    struct atls_err *err)
{
    const struct atls_signature_algorithm *algorithm =
        atls_signature_find(atls_private_key_scheme(key));
    const struct atls_corim_validity validity = {options->not_before_s != 0,
                                                 options->not_after_s != 0, options->not_before_s,
                                                 options->not_after_s};
    struct atls_writer header = atls_writer_init(4096),
                       tbs = atls_writer_init((size_t)2 * ATLS_CORIM_MAX),
                       w = atls_writer_init(ATLS_CORIM_MAX);
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code;

    if (algorithm == NULL || algorithm->cose_alg == 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: COSE has no algorithm for this key");
    atls_corim_put_protected(&header, algorithm->cose_alg,
                             atls_bytes_of(options->signer, strlen(options->signer)), &validity);
    atls_cose_put_to_be_signed(&tbs, atls_writer_bytes(&header), atls_bytes_of(NULL, 0), corim);
    if (header.failed != ATLS_OK || tbs.failed != ATLS_OK)
        code = atls_fail(err, ATLS_E_NOMEM, "CoRIM: out of memory");
    else
        code = atls_private_key_sign_raw(key, algorithm->scheme, atls_writer_bytes(&tbs),
                                         &signature, err);
    if (code == ATLS_OK) {
        atls_cose_put_sign1(&w, atls_writer_bytes(&header), atls_bytes_of(NULL, 0), corim,
                            atls_buf_bytes(&signature));
        code = atls_writer_finish(&w, out, err);
    }
    atls_buf_clear(&signature);
    atls_writer_clear(&header);
    atls_writer_clear(&tbs);
    return code;
}

static enum atls_code check_sign_options(const struct atls_corim_sign_options *options,
                                         struct atls_err *err)
{
    size_t len = options->signer == NULL ? 0 : strlen(options->signer);

    if (len == 0 || len > SIGNER_NAME_MAX)
        return atls_fail(err, ATLS_E_USAGE,
                         "CoRIM: the signer's name has %zu bytes, 1 to %d wanted", len,
                         SIGNER_NAME_MAX);
    if (!atls_utf8_valid(atls_bytes_of(options->signer, len)))
        return atls_fail(err, ATLS_E_USAGE, "CoRIM: the signer's name is not UTF-8");
    if (options->not_before_s != 0 && options->not_after_s != 0 &&
        options->not_after_s < options->not_before_s)
        return atls_fail(err, ATLS_E_USAGE,
                         "CoRIM: the signature's validity ends before it begins");
    return ATLS_OK;
}

enum atls_code atls_corim_sign(struct atls_bytes corim,
                               const struct atls_corim_sign_options *options, struct atls_buf *out,
                               struct atls_err *err)
{
    struct atls_private_key *key;
    struct atls_corim decoded;
    enum atls_code code;

    if ((code = check_sign_options(options, err)) != ATLS_OK ||
        (code = atls_corim_decode(corim, &decoded, err)) != ATLS_OK)
        return code;
    atls_corim_clear(&decoded);
    if ((code = atls_private_key_from_pem(options->key_pem, &key, err)) != ATLS_OK)
        return code;
    code = sign_manifest(corim, options, key, out, err);
    atls_private_key_free(key);
    return code;
}
