#include <string.h>

#include <atls/corim.h>
#include <atls/limits.h>

#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "store/manifest.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/jwk.h"

#define SIGNER_NAME_MAX 127
/* SubjectPublicKeyInfo: RSA of 16384 bits. */
#define SPKI_MAX 4096
/* Protected header: as many certificates as are taken, of at most 16 KiB on average. */
#define HEADER_MAX ((size_t)ATLS_CHAIN_MAX * 16 * 1024)

/* ---- verifying ---- */

static enum atls_code open_anchors(const struct atls_corim_trust *trust, struct atls_anchors **out,
                                   struct atls_err *err)
{
    struct atls_anchors *anchors;
    enum atls_code code;

    if ((code = atls_anchors_new(&anchors, err)) != ATLS_OK)
        return code;
    code = atls_anchors_add_pem(anchors, trust->anchors, NULL, err);
    if (code == ATLS_OK && trust->crls.len != 0)
        code = atls_anchors_add_crls(anchors, trust->crls, err);
    if (code != ATLS_OK) {
        atls_anchors_unref(anchors);
        return code;
    }
    *out = anchors;
    return ATLS_OK;
}

/* A JWK, told by its brace from the SEQUENCE of DER: the SubjectPublicKeyInfo that it stands for.
 */
static enum atls_code spki_of_jwk(struct atls_bytes json, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(SPKI_MAX);
    struct atls_jwks keys;
    enum atls_code code;

    if ((code = atls_jwk_decode(json, &keys, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "signer of the CoRIM");
    if (keys.count != 1)
        code = atls_fail(err, ATLS_E_USAGE, "signer of the CoRIM: %zu keys, one is wanted",
                         keys.count);
    else
        code = atls_cose_put_spki(&w, &keys.keys[0].key, err);
    atls_jwks_clear(&keys);
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

static enum atls_code verify_trusted(struct atls_bytes corim, const struct atls_corim_trust *trust,
                                     struct store_manifest_trust *by, struct atls_bytes *out,
                                     struct atls_err *err)
{
    struct store_manifest m;
    enum atls_code code;

    if (trust->anchors.len != 0 && (code = open_anchors(trust, &by->anchors, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "anchors");
    code = store_manifest_open(corim, by, &m, err);
    atls_anchors_unref(by->anchors);
    if (code != ATLS_OK)
        return code;
    if (out != NULL)
        *out = m.payload;
    atls_corim_clear(&m.corim);
    return ATLS_OK;
}

enum atls_code atls_corim_verify_trusted(struct atls_bytes corim,
                                         const struct atls_corim_trust *trust,
                                         struct atls_bytes *out_payload, struct atls_err *err)
{
    struct store_manifest_trust by = {
        .signer_spki = trust->signer_spki, .time_s = &trust->time_s, .legacy = trust->legacy};
    struct atls_buf spki = ATLS_BUF_INIT;
    enum atls_code code;

    if (trust->signer_spki.len == 0 && trust->anchors.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "CoRIM: neither a key of a signer nor an anchor");
    if (trust->crls.len != 0 && trust->anchors.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "CoRIM: revocation lists, but no anchor");
    if (trust->signer_spki.len != 0 && trust->signer_spki.ptr[0] == '{') {
        if ((code = spki_of_jwk(trust->signer_spki, &spki, err)) != ATLS_OK)
            return code;
        by.signer_spki = atls_buf_bytes(&spki);
    }
    code = verify_trusted(corim, trust, &by, out_payload, err);
    atls_buf_clear(&spki);
    return code;
}

enum atls_code atls_corim_verify(struct atls_bytes corim, struct atls_bytes signer_spki,
                                 int64_t time_s, struct atls_bytes *out_payload,
                                 struct atls_err *err)
{
    const struct atls_corim_trust trust = {.signer_spki = signer_spki, .time_s = time_s};

    return atls_corim_verify_trusted(corim, &trust, out_payload, err);
}

/* ---- signing ---- */

/* The certificates that go into a signature. */
struct certificates {
    struct atls_buf ders[ATLS_CHAIN_MAX];
    struct atls_bytes chain[ATLS_CHAIN_MAX];
    size_t count;
};

static void clear_certificates(struct certificates *c)
{
    for (size_t i = 0; i < c->count; i++)
        atls_buf_clear(&c->ders[i]);
}

/* The first certificate is the signer's own: nobody could verify with another. */
static enum atls_code get_certificates(struct atls_bytes pem, const struct atls_private_key *key,
                                       struct certificates *out, struct atls_err *err)
{
    struct atls_bytes spki;
    enum atls_code code;

    if (pem.len == 0)
        return ATLS_OK;
    code = atls_certificates_from_pem(pem, out->ders, ATLS_CHAIN_MAX, &out->count, err);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, "chain of the signer");
    for (size_t i = 0; i < out->count; i++)
        out->chain[i] = atls_buf_bytes(&out->ders[i]);
    if ((code = atls_certificate_spki(out->chain[0], &spki, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "chain of the signer");
    if (!atls_bytes_equal(spki, atls_key_spki(atls_private_key_public(key))))
        return atls_fail(err, ATLS_E_USAGE,
                         "chain of the signer: the first certificate is not of the signing key");
    return ATLS_OK;
}

/* The bytes that are signed, and the signature over them. */
static enum atls_code make_signature(struct atls_bytes protected_header, struct atls_bytes corim,
                                     const struct atls_private_key *key, struct atls_buf *out,
                                     struct atls_err *err)
{
    struct atls_writer tbs = atls_writer_init((size_t)2 * ATLS_CORIM_MAX);
    enum atls_code code;

    atls_cose_put_to_be_signed(&tbs, protected_header, atls_bytes_of(NULL, 0), corim);
    if (tbs.failed != ATLS_OK)
        code = atls_fail(err, tbs.failed, "CoRIM: out of memory");
    else
        code = atls_private_key_sign_raw(key, atls_private_key_scheme(key), atls_writer_bytes(&tbs),
                                         out, err);
    atls_writer_clear(&tbs);
    return code;
}

static enum atls_code sign_manifest(struct atls_bytes corim, const struct atls_corim_header *header,
                                    const struct atls_private_key *key, struct atls_buf *out,
                                    struct atls_err *err)
{
    struct atls_writer protected_header = atls_writer_init(HEADER_MAX),
                       w = atls_writer_init(ATLS_CORIM_MAX);
    struct atls_buf signature = ATLS_BUF_INIT;
    enum atls_code code;

    atls_corim_put_protected(&protected_header, header);
    if (protected_header.failed != ATLS_OK)
        code = atls_fail(err, protected_header.failed,
                         "CoRIM: certificates too large, or out of memory");
    else
        code = make_signature(atls_writer_bytes(&protected_header), corim, key, &signature, err);
    if (code == ATLS_OK) {
        atls_cose_put_sign1(&w, atls_writer_bytes(&protected_header), atls_bytes_of(NULL, 0), corim,
                            atls_buf_bytes(&signature));
        code = atls_writer_finish(&w, out, err);
    }
    atls_buf_clear(&signature);
    atls_writer_clear(&protected_header);
    atls_writer_clear(&w);
    return code;
}

static enum atls_code sign_with(struct atls_bytes corim,
                                const struct atls_corim_sign_options *options,
                                const struct atls_private_key *key, struct atls_buf *out,
                                struct atls_err *err)
{
    const struct atls_signature_algorithm *algorithm =
        atls_signature_find(atls_private_key_scheme(key));
    struct certificates certificates = {.count = 0};
    struct atls_corim_header header = {
        .signer = atls_bytes_of(options->signer, strlen(options->signer)),
        .validity = {options->not_before_s != 0, options->not_after_s != 0, options->not_before_s,
                     options->not_after_s}};
    enum atls_code code;

    if (algorithm == NULL || algorithm->cose_alg == 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: COSE has no algorithm for this key");
    if ((code = get_certificates(options->chain_pem, key, &certificates, err)) == ATLS_OK) {
        header.alg = algorithm->cose_alg;
        header.x5chain = certificates.chain;
        header.x5chain_count = certificates.count;
        code = sign_manifest(corim, &header, key, out, err);
    }
    clear_certificates(&certificates);
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
    code = sign_with(corim, options, key, out, err);
    atls_private_key_free(key);
    return code;
}
