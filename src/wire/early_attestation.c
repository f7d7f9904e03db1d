#include "wire/early_attestation.h"

#include "core/err.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/cmw.h"

/* First bytes of a scheme: what is shown, and for Evidence how its type is named. */
enum { SHOWN_EVIDENCE = 0, SHOWN_RESULT = 1 };
enum { NAMED_BY_CONTENT_FORMAT = 0, NAMED_BY_MEDIA_TYPE = 1 };

static enum atls_code malformed(struct atls_err *err, const char *what, size_t pos)
{
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                           "remoteAttestation: %s malformed near byte %zu", what, pos);
}

static bool is_media_type(struct atls_bytes text)
{
    return atls_utf8_valid(text) && atls_content_type_valid(text);
}

static bool get_evidence(struct atls_reader *r, struct atls_early_scheme *out)
{
    uint8_t named;

    if (!atls_get_u8(r, &named))
        return false;
    switch (named) {
    case NAMED_BY_CONTENT_FORMAT:
        out->kind = ATLS_EARLY_CONTENT_FORMAT;
        return atls_get_u16(r, &out->content_format);
    case NAMED_BY_MEDIA_TYPE:
        out->kind = ATLS_EARLY_MEDIA_TYPE;
        return atls_get_vec(r, 1, 0xffff, &out->text) && is_media_type(out->text);
    default:
        return false;
    }
}

static bool get_scheme(struct atls_reader *r, struct atls_early_scheme *out)
{
    struct atls_early_scheme scheme = {.content_format = 0};
    struct atls_reader ahead = *r;
    uint8_t shown;

    if (!atls_get_u8(&ahead, &shown))
        return false;
    if (shown == SHOWN_EVIDENCE) {
        if (!get_evidence(&ahead, &scheme))
            return false;
    } else {
        scheme.kind = ATLS_EARLY_RESULT;
        if (shown != SHOWN_RESULT || !atls_get_vec(&ahead, 1, 0xffff, &scheme.text))
            return false;
    }
    if (!atls_get_bytes(r, ahead.pos - r->pos, &scheme.whole))
        return false;
    *out = scheme;
    return true;
}

bool atls_early_next(struct atls_bytes *list, struct atls_early_scheme *out)
{
    struct atls_reader r = atls_reader_init(*list);

    return get_scheme(&r, out) && atls_get_bytes(&r, atls_reader_left(&r), list);
}

bool atls_early_contains(struct atls_bytes list, struct atls_bytes whole)
{
    struct atls_early_scheme scheme;

    while (atls_early_next(&list, &scheme))
        if (atls_bytes_equal(scheme.whole, whole))
            return true;
    return false;
}

static enum atls_code check_vector(struct atls_bytes list, const char *what, struct atls_err *err)
{
    struct atls_early_scheme scheme;
    struct atls_bytes rest = list;
    size_t count = 0;

    while (atls_early_next(&rest, &scheme))
        if (++count > ATLS_EARLY_SCHEMES_MAX)
            return atls_fail_alert(
                err, ATLS_E_LIMIT, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                "remoteAttestation: more than %d %s schemes", ATLS_EARLY_SCHEMES_MAX, what);
    return rest.len == 0 ? ATLS_OK : malformed(err, what, list.len - rest.len);
}

enum atls_code atls_early_offer_decode(struct atls_bytes in, struct atls_early_offer *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_early_offer offer;
    enum atls_code code;

    if (!atls_get_vec(&r, 0, 0xffff, &offer.server) ||
        !atls_get_vec(&r, 0, 0xffff, &offer.client) || !atls_reader_done(&r))
        return malformed(err, "vectors of schemes", r.pos);
    if ((code = check_vector(offer.server, "server", err)) != ATLS_OK ||
        (code = check_vector(offer.client, "client", err)) != ATLS_OK)
        return code;
    *out = offer;
    return ATLS_OK;
}

static void put_vector(struct atls_writer *w, struct atls_bytes list)
{
    struct atls_mark mark = atls_open_vec(w, 0xffff);

    atls_put_bytes(w, list);
    atls_close_vec(w, mark);
}

void atls_early_offer_put(struct atls_writer *w, const struct atls_early_offer *offer)
{
    put_vector(w, offer->server);
    put_vector(w, offer->client);
}

enum atls_code atls_early_choice_decode(struct atls_bytes in, struct atls_early_scheme *out,
                                        struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_early_scheme scheme;

    if (!get_scheme(&r, &scheme) || !atls_reader_done(&r))
        return malformed(err, "the chosen scheme", r.pos);
    *out = scheme;
    return ATLS_OK;
}

enum atls_code atls_early_cmw_decode(struct atls_bytes in, struct atls_bytes *out,
                                     struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes cmw;

    if (!atls_get_vec(&r, 1, 0xffffff, &cmw) || !atls_reader_done(&r) ||
        cmw.len > ATLS_EARLY_CMW_MAX)
        return malformed(err, "the CMW", r.pos);
    *out = cmw;
    return ATLS_OK;
}

void atls_early_cmw_put(struct atls_writer *w, struct atls_bytes cmw)
{
    struct atls_mark mark = atls_open_vec(w, 0xffffff);

    if ((cmw.len == 0 || cmw.len > ATLS_EARLY_CMW_MAX) && w->failed == ATLS_OK)
        w->failed = ATLS_E_LIMIT;
    atls_put_bytes(w, cmw);
    atls_close_vec(w, mark);
}

static void put_text(struct atls_writer *w, struct atls_bytes text)
{
    struct atls_mark mark = atls_open_vec(w, 0xffff);

    if (text.len == 0 && w->failed == ATLS_OK)
        w->failed = ATLS_E_LIMIT;
    atls_put_bytes(w, text);
    atls_close_vec(w, mark);
}

void atls_early_scheme_put(struct atls_writer *w, const struct atls_early_scheme *scheme)
{
    switch (scheme->kind) {
    case ATLS_EARLY_CONTENT_FORMAT:
        atls_put_u8(w, SHOWN_EVIDENCE);
        atls_put_u8(w, NAMED_BY_CONTENT_FORMAT);
        atls_put_u16(w, scheme->content_format);
        return;
    case ATLS_EARLY_MEDIA_TYPE:
        if (!is_media_type(scheme->text) && w->failed == ATLS_OK)
            w->failed = ATLS_E_LIMIT;
        atls_put_u8(w, SHOWN_EVIDENCE);
        atls_put_u8(w, NAMED_BY_MEDIA_TYPE);
        put_text(w, scheme->text);
        return;
    case ATLS_EARLY_RESULT:
        atls_put_u8(w, SHOWN_RESULT);
        put_text(w, scheme->text);
        return;
    }
}
