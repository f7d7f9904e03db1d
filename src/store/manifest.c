#include "store/manifest.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/cots.h"

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

/* ---- whose signature counts ---- */

static enum atls_code verify_by_key(const struct atls_corim_envelope *e, struct atls_bytes spki,
                                    struct atls_err *err)
{
    struct atls_key *key;
    enum atls_code code;

    if ((code = atls_key_from_spki(spki, &key, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "signer of the CoRIM");
    if ((code = verify_with(e, key, err)) == ATLS_E_VERIFY)
        code = atls_err_prefix(err, code, "CoRIM");
    atls_key_unref(key);
    return code;
}

/* The leaf of the x5chain leads to an anchor, and its key made the signature. */
static enum atls_code verify_by_chain(const struct atls_corim_envelope *e,
                                      const struct store_manifest_trust *trust,
                                      struct atls_bytes *out_spki, struct atls_err *err)
{
    const struct atls_chain_check check = {
        .purpose = ATLS_CHAIN_SIGNING, .time_s = *trust->time_s, .anchors = trust->anchors};
    struct atls_bytes chain[ATLS_CHAIN_MAX];
    struct atls_chain_result path;
    enum atls_code code;
    size_t count;

    if (e->sign1.x5chain.ptr == NULL)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
                                "CoRIM: the signature has no certificates (x5chain), and only "
                                "certificates below an anchor are trusted");
    if ((code = atls_corim_x5chain_decode(e->sign1.x5chain, chain, &count, err)) != ATLS_OK)
        return code;
    if ((code = atls_chain_verify(chain, count, &check, &path, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "signer of the CoRIM");
    if ((code = verify_with(e, path.key, err)) == ATLS_E_VERIFY)
        code = atls_err_prefix(err, code, "CoRIM");
    atls_chain_result_clear(&path);
    return code == ATLS_OK ? atls_certificate_spki(chain[0], out_spki, err) : code;
}

static enum atls_code verify_signed(const struct atls_corim_envelope *e,
                                    const struct store_manifest_trust *trust,
                                    struct atls_bytes *out_spki, struct atls_err *err)
{
    enum atls_code code = ATLS_E_VERIFY;

    if (trust->signer_spki.len != 0 &&
        (code = verify_by_key(e, trust->signer_spki, err)) == ATLS_OK)
        *out_spki = trust->signer_spki;
    /* A key that did not sign leaves it to the certificates, when there are any to ask. */
    if (code == ATLS_E_VERIFY && trust->anchors != NULL &&
        (trust->signer_spki.len == 0 || e->sign1.x5chain.ptr != NULL))
        code = verify_by_chain(e, trust, out_spki, err);
    return code;
}

/* Signed and somebody trusted, or neither. */
static enum atls_code verify(const struct atls_corim_envelope *e,
                             const struct store_manifest_trust *trust, struct atls_bytes *out_spki,
                             struct atls_err *err)
{
    bool is_wanted = trust->signer_spki.len != 0 || trust->anchors != NULL;
    char name[128];

    *out_spki = atls_bytes_of(NULL, 0);
    if (trust->anchors != NULL && trust->time_s == NULL)
        return atls_fail(err, ATLS_E_USAGE, "CoRIM: anchors, but no time to judge certificates at");
    if (e->is_signed && !is_wanted)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
                                "CoRIM: signed by \"%s\", but no key of a signer was given",
                                atls_escape(e->signer, name, sizeof name));
    if (!e->is_signed && is_wanted)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
                                "CoRIM: not signed, but a signer is wanted");
    return e->is_signed ? verify_signed(e, trust, out_spki, err) : ATLS_OK;
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

/* ---- what goes active together ---- */

static bool same_id(const struct atls_corim_id *a, const struct atls_corim_id *b)
{
    return a->uuid.ptr != NULL ? b->uuid.ptr != NULL && atls_bytes_equal(a->uuid, b->uuid)
                               : b->text.ptr != NULL && atls_bytes_equal(a->text, b->text);
}

static bool is_listed_as(const struct atls_tag_identity *listed,
                         const struct atls_tag_identity *actual)
{
    return same_id(&listed->id, &actual->id) &&
           (!listed->has_version || (actual->has_version && actual->version == listed->version));
}

/* tag-id (0) and tag-version (12) of a CoSWID (RFC 9393 section 2.3). */
static bool coswid_identity(struct atls_bytes coswid, struct atls_tag_identity *out)
{
    enum { COSWID_ID = 0, COSWID_VERSION = 12 };
    struct atls_reader r = atls_reader_init(coswid);
    struct atls_cbor_iter map;
    int64_t key;
    bool ok = atls_cbor_enter_map(&r, &map);

    memset(out, 0, sizeof *out);
    while (ok && atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            ok = atls_cbor_skip(&r) && atls_cbor_skip(&r);
        else if (key == COSWID_ID)
            ok = atls_cbor_get_text(&r, &out->id.text) || atls_cbor_get_bytes(&r, &out->id.uuid);
        else if (key == COSWID_VERSION)
            ok = out->has_version = atls_cbor_get_uint(&r, &out->version);
        else
            ok = atls_cbor_skip(&r);
    }
    return ok && (out->id.text.ptr != NULL || out->id.uuid.ptr != NULL);
}

static bool identity_of(const struct atls_corim_tag *tag, struct atls_tag_identity *out)
{
    if (tag->number == ATLS_TAG_COSWID)
        return coswid_identity(tag->content, out);
    memset(out, 0, sizeof *out);
    if (tag->comid != NULL) {
        *out = (struct atls_tag_identity){tag->comid->id, tag->comid->has_version,
                                          tag->comid->version};
        return true;
    }
    if (tag->cots == NULL || !tag->cots->has_id)
        return false;
    *out = (struct atls_tag_identity){tag->cots->id, tag->cots->has_version, tag->cots->version};
    return true;
}

static bool holds(const struct atls_corim *corim, const struct atls_tag_identity *listed)
{
    struct atls_tag_identity actual;

    for (size_t i = 0; i < corim->tag_count; i++)
        if (identity_of(&corim->tags[i], &actual) && is_listed_as(listed, &actual))
            return true;
    return false;
}

/* The tags of a list go active together or not at all, and while the list is valid: a manifest
 * comes in as a whole, so that it must hold all of them, and counts no longer than its lists. */
static enum atls_code check_lists(struct store_manifest *m, struct atls_err *err)
{
    size_t listed = 0;

    for (size_t i = 0; i < m->corim.tag_count; i++) {
        const struct atls_cotl *list = m->corim.tags[i].cotl;

        if (list == NULL)
            continue;
        /* Each is looked for among all tags. */
        if ((listed += list->tag_count) > ATLS_CORIM_TRIPLES_MAX)
            return atls_fail(err, ATLS_E_LIMIT, "CoRIM: CoTLs with more than %d tags",
                             ATLS_CORIM_TRIPLES_MAX);
        for (size_t k = 0; k < list->tag_count; k++)
            if (!holds(&m->corim, &list->tags[k]))
                return atls_fail(err, ATLS_E_UNSUPPORTED,
                                 "CoRIM: tag %zu: CoTL lists tag %zu, which is not in this "
                                 "manifest: they go active together or not at all",
                                 i, k);
        narrow(&m->validity, &list->validity);
    }
    return ATLS_OK;
}

enum atls_code store_manifest_open(struct atls_bytes in, const struct store_manifest_trust *trust,
                                   struct store_manifest *out, struct atls_err *err)
{
    const unsigned int flags = trust->legacy ? ATLS_CORIM_LEGACY : 0;
    struct atls_corim_envelope e;
    struct store_manifest m;
    enum atls_code code;

    memset(&m, 0, sizeof m);
    if ((code = atls_corim_envelope_decode_with(in, flags, &e, err)) != ATLS_OK ||
        (code = verify(&e, trust, &m.signer_spki, err)) != ATLS_OK ||
        (code = atls_corim_decode_with(e.manifest, flags, &m.corim, err)) != ATLS_OK)
        return code;
    m.payload = e.manifest;
    m.validity = m.corim.validity;
    narrow(&m.validity, &e.validity);
    code = check_lists(&m, err);
    if (code == ATLS_OK && trust->time_s != NULL)
        code = check_time(&m.validity, *trust->time_s, err);
    if (code != ATLS_OK) {
        atls_corim_clear(&m.corim);
        return code;
    }
    *out = m;
    return ATLS_OK;
}
