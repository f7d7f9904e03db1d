#include "wire/corim.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/corim_items.h"

#define TAG_OLD_CORIM        500
#define TAG_OLD_SIGNED_CORIM 502
#define TAG_COSE_SIGN1       18

/* What corim-meta or CWT claims say about a signature. */
struct signed_by {
    bool present;
    struct atls_bytes name;
    struct atls_bytes uri;
    struct atls_corim_validity validity;
};

/* {0: name, ? 1: URI} */
static bool get_signer(struct atls_reader *r, struct signed_by *out)
{
    struct atls_cbor_iter map;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return false;
    while (atls_cbor_more(r, &map))
        if (!atls_cbor_get_int(r, &key) || !(key == 0   ? atls_cbor_get_text(r, &out->name)
                                             : key == 1 ? atls_corim_get_uri(r, &out->uri)
                                                        : false))
            return false;
    return out->name.len != 0;
}

/* bstr of {0: signer, ? 1: validity} */
static enum atls_code get_meta(struct atls_reader *r, struct signed_by *out, struct atls_err *err)
{
    struct atls_cbor_iter map;
    struct atls_reader inner;
    struct atls_bytes content;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_get_bytes(r, &content))
        return atls_corim_malformed(err, "corim-meta", "not a byte string");
    if ((code = atls_cbor_check(content, 0, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "corim-meta");
    inner = atls_reader_init(content);
    if (!atls_cbor_enter_map(&inner, &map))
        return atls_corim_malformed(err, "corim-meta", "not a map");
    while (atls_cbor_more(&inner, &map)) {
        if (!atls_cbor_get_int(&inner, &key) || key < 0 || key > 1)
            return atls_corim_malformed(err, "corim-meta", "unknown member");
        if (key == 0 && !get_signer(&inner, out))
            return atls_corim_malformed(err, "corim-meta", "signer is not {0: name, ? 1: URI}");
        if (key == 1 && (code = atls_corim_get_validity(&inner, &out->validity, err)) != ATLS_OK)
            return code;
    }
    out->present = true;
    return out->name.ptr != NULL ? ATLS_OK
                                 : atls_corim_malformed(err, "corim-meta", "has no signer");
}

/* RFC 8392 claims {1: iss, ? 2: sub, ? 4: exp, ? 5: nbf}; others are skipped. */
static enum atls_code get_cwt_claims(struct atls_reader *r, struct signed_by *out,
                                     struct atls_err *err)
{
    struct atls_corim_validity *v = &out->validity;
    struct atls_cbor_iter map;
    bool ok;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "CWT claims", "not a map");
    while (atls_cbor_more(r, &map)) {
        int64_t key = 0;

        ok = atls_cbor_get_int(r, &key) || atls_cbor_skip(r);
        switch (key) {
        case 1:
            ok = ok && atls_cbor_get_text(r, &out->name);
            break;
        case 4:
            ok = ok && (v->has_not_after = atls_cbor_get_int(r, &v->not_after_s));
            break;
        case 5:
            ok = ok && (v->has_not_before = atls_cbor_get_int(r, &v->not_before_s));
            break;
        default:
            ok = ok && atls_cbor_skip(r);
            break;
        }
        if (!ok)
            return atls_corim_malformed(err, "CWT claims", "claim of the wrong type");
    }
    if (out->name.len == 0)
        return atls_corim_malformed(err, "CWT claims", "has no iss");
    out->present = true;
    return atls_corim_check_window(v, "CWT claims", err);
}

/* The labels of a protected header that COSE does not define. */
static enum atls_code get_corim_labels(struct atls_bytes header, struct signed_by *meta,
                                       struct signed_by *cwt, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(header);
    struct atls_cbor_iter map;
    enum atls_code code;
    struct atls_bytes item;

    if (!atls_cbor_enter_map(&r, &map))
        return atls_corim_malformed(err, "protected header", "not a map");
    while (atls_cbor_more(&r, &map)) {
        int64_t label = 0;

        if (!atls_cbor_get_int(&r, &label) && !atls_cbor_skip(&r))
            return atls_corim_malformed(err, "protected header", "truncated");
        if (label >= ATLS_CORIM_LABEL_PAYLOAD_HASH && label <= ATLS_CORIM_LABEL_PAYLOAD_LOCATION)
            return atls_corim_unsupported(err, "signature", "hash envelope (labels 258 to 260)");
        if (label == ATLS_CORIM_LABEL_META)
            code = get_meta(&r, meta, err);
        else if (label == ATLS_CORIM_LABEL_CWT_CLAIMS)
            code = get_cwt_claims(&r, cwt, err);
        else
            code = atls_cbor_get_item(&r, &item)
                       ? ATLS_OK
                       : atls_corim_malformed(err, "protected header", "truncated");
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* With corim-meta and CWT claims both there: one name, and no end of the window told twice in two
 * ways. */
static bool agree(const struct signed_by *a, const struct signed_by *b)
{
    const struct atls_corim_validity *v = &a->validity, *w = &b->validity;

    return atls_bytes_equal(a->name, b->name) &&
           (!v->has_not_before || !w->has_not_before || v->not_before_s == w->not_before_s) &&
           (!v->has_not_after || !w->has_not_after || v->not_after_s == w->not_after_s);
}

static void merge_window(struct atls_corim_validity *v, const struct atls_corim_validity *other)
{
    if (!v->has_not_before) {
        v->has_not_before = other->has_not_before;
        v->not_before_s = other->not_before_s;
    }
    if (!v->has_not_after) {
        v->has_not_after = other->has_not_after;
        v->not_after_s = other->not_after_s;
    }
}

/* Tag 501 in front, or left out by an old tool. */
static enum atls_code check_payload(struct atls_corim_envelope *e, unsigned int flags,
                                    struct atls_err *err)
{
    struct atls_reader payload = atls_reader_init(e->sign1.payload);
    enum atls_cbor_type type;
    uint64_t tag;

    if (e->sign1.detached)
        return atls_corim_unsupported(err, "signature", "detached payload");
    if (atls_cbor_get_tag(&payload, &tag) && tag == ATLS_TAG_CORIM)
        return ATLS_OK;
    if ((flags & ATLS_CORIM_LEGACY) == 0 || !atls_cbor_peek(&payload, &type) ||
        type != ATLS_CBOR_MAP)
        return atls_corim_unsupported(err, "signature",
                                      "payload is not tag 501 (old tools left the tag out)");
    e->is_untagged = true;
    return ATLS_OK;
}

static enum atls_code decode_signed(struct atls_bytes in, unsigned int flags,
                                    struct atls_corim_envelope *e, struct atls_err *err)
{
    static const int64_t labels[] = {ATLS_CORIM_LABEL_META, ATLS_CORIM_LABEL_CWT_CLAIMS};
    static const struct atls_cose_labels understood = {labels, sizeof labels / sizeof labels[0]};
    struct signed_by meta, cwt, *first;
    enum atls_code code;

    memset(&meta, 0, sizeof meta);
    memset(&cwt, 0, sizeof cwt);
    code = atls_cose_sign1_decode_with(in, ATLS_COSE_TAG_REQUIRED, &understood, &e->sign1, err);
    if (code != ATLS_OK)
        return code;
    if ((code = get_corim_labels(e->sign1.protected_header, &meta, &cwt, err)) != ATLS_OK)
        return code;
    if (!e->sign1.has_content_type_text ||
        !atls_bytes_equal_text(e->sign1.content_type_text, ATLS_CORIM_CONTENT_TYPE))
        return atls_corim_malformed(err, "signature",
                                    "content type is not " ATLS_CORIM_CONTENT_TYPE);
    if (!meta.present && !cwt.present)
        return atls_corim_malformed(err, "signature", "neither corim-meta nor CWT claims");
    if (meta.present && cwt.present && !agree(&meta, &cwt))
        return atls_corim_malformed(err, "signature", "corim-meta and CWT claims disagree");
    if ((code = check_payload(e, flags, err)) != ATLS_OK)
        return code;
    first = meta.present ? &meta : &cwt;
    e->signer = first->name;
    e->signer_uri = first->uri;
    e->validity = first->validity;
    merge_window(&e->validity, &cwt.validity);
    if ((code = atls_corim_check_window(&e->validity, "signature", err)) != ATLS_OK)
        return code;
    e->manifest = e->sign1.payload;
    e->is_signed = true;
    return ATLS_OK;
}

/* Drops the tags 500 and 502 that old tools put in front. */
static struct atls_bytes unwrap_old(struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);
    uint64_t first, second;

    if (!atls_cbor_get_tag(&r, &first) || first != TAG_OLD_CORIM ||
        !atls_cbor_get_tag(&r, &second) || second != TAG_OLD_SIGNED_CORIM)
        return in;
    return atls_bytes_of(in.ptr + r.pos, in.len - r.pos);
}

enum atls_code atls_corim_envelope_decode_with(struct atls_bytes in, unsigned int flags,
                                               struct atls_corim_envelope *out,
                                               struct atls_err *err)
{
    struct atls_corim_envelope e;
    struct atls_bytes inner;
    struct atls_reader r;
    enum atls_code code;
    uint64_t tag;

    memset(&e, 0, sizeof e);
    if (in.len > ATLS_CORIM_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: %zu bytes, at most %d are taken", in.len,
                         ATLS_CORIM_MAX);
    inner = unwrap_old(in);
    r = atls_reader_init(inner);
    if (!atls_cbor_get_tag(&r, &tag) || (tag != ATLS_TAG_CORIM && tag != TAG_COSE_SIGN1))
        return atls_corim_malformed(err, "envelope",
                                    "neither tag 501 (CoRIM) nor tag 18 (COSE_Sign1)");
    if (tag == TAG_COSE_SIGN1) {
        if ((code = decode_signed(inner, flags, &e, err)) != ATLS_OK)
            return code;
    } else {
        e.manifest = inner;
    }
    *out = e;
    return ATLS_OK;
}

enum atls_code atls_corim_envelope_decode(struct atls_bytes in, struct atls_corim_envelope *out,
                                          struct atls_err *err)
{
    return atls_corim_envelope_decode_with(in, 0, out, err);
}

enum atls_code atls_corim_x5chain_decode(struct atls_bytes item, struct atls_bytes *out,
                                         size_t *out_count, struct atls_err *err)
{
    struct atls_bytes certificates[ATLS_CHAIN_MAX];
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter list;
    size_t count = 0;

    if (atls_cbor_get_bytes(&r, &certificates[0])) {
        count = 1;
    } else {
        if (!atls_cbor_enter_array(&r, &list) || list.left == 0)
            return atls_corim_malformed(err, "x5chain", "neither a certificate nor a list of them");
        if (list.left > ATLS_CHAIN_MAX)
            return atls_fail(err, ATLS_E_LIMIT, "CoRIM x5chain: %llu certificates, at most %d",
                             (unsigned long long)list.left, ATLS_CHAIN_MAX);
        while (atls_cbor_more(&r, &list))
            if (!atls_cbor_get_bytes(&r, &certificates[count++]))
                return atls_corim_malformed(err, "x5chain", "a certificate is not a byte string");
    }
    if (!atls_reader_done(&r))
        return atls_corim_malformed(err, "x5chain", "trailing bytes");
    memcpy(out, certificates, count * sizeof *out);
    *out_count = count;
    return ATLS_OK;
}

static void put_window(struct atls_writer *w, const struct atls_corim_validity *v)
{
    atls_cbor_put_map(w, (uint64_t)v->has_not_before + 1);
    if (v->has_not_before) {
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_tag(w, ATLS_TAG_EPOCH_TIME);
        atls_cbor_put_int(w, v->not_before_s);
    }
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_EPOCH_TIME);
    atls_cbor_put_int(w, v->not_after_s);
}

/* {0: {0: name}, ? 1: window}. A window needs its end: a beginning alone stays in the claims. */
static void put_meta(struct atls_writer *w, const struct atls_corim_header *h)
{
    atls_cbor_put_map(w, (uint64_t)h->validity.has_not_after + 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_text_bytes(w, h->signer);
    if (h->validity.has_not_after) {
        atls_cbor_put_uint(w, 1);
        put_window(w, &h->validity);
    }
}

static void put_claims(struct atls_writer *w, const struct atls_corim_header *h)
{
    const struct atls_corim_validity *v = &h->validity;

    atls_cbor_put_map(w, 1u + v->has_not_after + v->has_not_before);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_text_bytes(w, h->signer);
    if (v->has_not_after) {
        atls_cbor_put_uint(w, 4);
        atls_cbor_put_int(w, v->not_after_s);
    }
    if (v->has_not_before) {
        atls_cbor_put_uint(w, 5);
        atls_cbor_put_int(w, v->not_before_s);
    }
}

void atls_corim_put_protected(struct atls_writer *w, const struct atls_corim_header *header)
{
    struct atls_writer meta = atls_writer_init(w->limit);

    put_meta(&meta, header);
    atls_cbor_put_map(w, header->x5chain_count != 0 ? 5 : 4);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_int(w, header->alg);
    atls_cbor_put_uint(w, 3);
    atls_cbor_put_text(w, ATLS_CORIM_CONTENT_TYPE);
    atls_cbor_put_uint(w, ATLS_CORIM_LABEL_META);
    atls_cbor_put_bytes(w, atls_writer_bytes(&meta));
    atls_cbor_put_uint(w, ATLS_CORIM_LABEL_CWT_CLAIMS);
    put_claims(w, header);
    if (header->x5chain_count != 0) {
        atls_cbor_put_uint(w, ATLS_CORIM_LABEL_X5CHAIN);
        /* RFC 9360 section 2: one certificate stands alone. */
        if (header->x5chain_count > 1)
            atls_cbor_put_array(w, header->x5chain_count);
        for (size_t i = 0; i < header->x5chain_count; i++)
            atls_cbor_put_bytes(w, header->x5chain[i]);
    }
    if (w->failed == ATLS_OK)
        w->failed = meta.failed;
    atls_writer_clear(&meta);
}
