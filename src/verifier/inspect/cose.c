#include "verifier/inspect/cose.h"

#include "core/err.h"
#include "wire/cbor.h"

#define LABEL_ALG          1
#define LABEL_CONTENT_TYPE 3
#define LABEL_KID          4

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "COSE: %s", what);
}

/* Labels that are read here are integers; others are passed over. */
static bool read_protected(struct atls_bytes header, struct atls_cose_shown *out)
{
    struct atls_reader r = atls_reader_init(header), value;
    struct atls_cbor_iter it;
    struct atls_bytes item;
    int64_t label;
    bool is_number;

    if (!atls_cbor_enter_map(&r, &it))
        return false;
    while (atls_cbor_more(&r, &it)) {
        is_number = atls_cbor_get_int(&r, &label);
        if ((!is_number && !atls_cbor_skip(&r)) || !atls_cbor_get_item(&r, &item))
            return false;
        if (!is_number)
            continue;
        value = atls_reader_init(item);
        if (label == LABEL_ALG)
            out->has_alg = atls_cbor_get_int(&value, &out->alg);
        else if (label == LABEL_CONTENT_TYPE)
            out->content_type = item;
        else if (label == LABEL_KID && !atls_cbor_get_bytes(&value, &out->kid))
            return false;
    }
    return atls_reader_done(&r);
}

enum atls_code atls_cose_shown_decode(struct atls_bytes in, struct atls_cose_shown *out,
                                      struct atls_err *err)
{
    struct atls_cose_shown s = {.tag = 0};
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter it;
    enum atls_code code = atls_cbor_check(in, 0, err);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_get_tag(&r, &s.tag) ||
        (s.tag != ATLS_TAG_COSE_SIGN1 && s.tag != ATLS_TAG_COSE_MAC0))
        return malformed(err, "tag is neither 18 (COSE_Sign1) nor 17 (COSE_Mac0)");
    if (!atls_cbor_enter_array(&r, &it) || it.left != 4 ||
        !atls_cbor_get_bytes(&r, &s.protected_header) || !atls_cbor_get_item(&r, &s.unprotected) ||
        (!atls_cbor_get_bytes(&r, &s.payload) && !atls_cbor_get_null(&r)) ||
        !atls_cbor_get_bytes(&r, &s.signature))
        return malformed(err, "not four members: header, header, payload, signature or tag");
    if (s.protected_header.len != 0 && !read_protected(s.protected_header, &s))
        return malformed(err, "protected header is malformed");
    if (!s.has_alg)
        return malformed(err, "protected header names no algorithm");
    *out = s;
    return ATLS_OK;
}

enum atls_code atls_view_cose(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_cose_shown s;
    enum atls_code code = atls_cose_shown_decode(in, &s, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "envelope",
                         s.tag == ATLS_TAG_COSE_MAC0 ? "cose-mac0" : "cose-sign1");
    atls_json_put_int(v->j, "alg", s.alg);
    atls_view_put_hex(v->j, "kid", s.kid);
    if (s.content_type.ptr != NULL)
        atls_view_or_hex(v, "content-type", s.content_type, atls_view_cbor);
    atls_view_or_hex(v, "protected-header", s.protected_header, atls_view_cbor);
    atls_view_or_hex(v, "unprotected-header", s.unprotected, atls_view_cbor);
    if (s.payload.ptr != NULL)
        atls_view_or_hex(v, "payload", s.payload, atls_view_cbor);
    else
        atls_json_put_bool(v->j, "detached", true);
    atls_json_put_hex(v->j, s.tag == ATLS_TAG_COSE_MAC0 ? "mac" : "signature", s.signature);
    atls_json_close(v->j);
    return ATLS_OK;
}
