/* Tokens shown as JSON text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "verifier/ear/accept.h"
#include "verifier/ear/envelope.h"
#include "verifier/result.h"
#include "wire/cbor.h"
#include "wire/ear_cbor.h"
#include "wire/ear_json.h"

/* JSON of another encoder, re-written in the one form that we show: escaped, indented. */
static enum atls_code put_pretty(struct atls_json *j, const char *key, struct atls_bytes json,
                                 struct atls_err *err)
{
    json_t *value = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    struct atls_writer w = atls_writer_init(8 * ATLS_EAR_MAX);
    enum atls_code code;

    json_decref(value);
    /* DEL is ASCII, and no character for a terminal. It stands in strings alone. */
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at == 0x7f)
            atls_put_text(&w, "\\u007f");
        else
            atls_put_u8(&w, (uint8_t)*at);
    }
    code = text == NULL || w.failed == ATLS_E_NOMEM
               ? atls_fail(err, ATLS_E_NOMEM, "EAR: out of memory")
               : ATLS_OK;
    if (code == ATLS_OK && w.failed != ATLS_OK)
        code = atls_fail(err, ATLS_E_LIMIT, "EAR: too long to be shown");
    if (code == ATLS_OK)
        atls_json_put_raw(j, key, atls_writer_bytes(&w));
    atls_writer_clear(&w);
    free(text);
    return code;
}

static void put_cose_header(struct atls_json *j, const struct atls_cose_sign1 *s)
{
    atls_json_open_object(j, "header");
    atls_json_put_int(j, "alg", s->alg);
    if (s->has_content_type_text)
        atls_json_put_text(j, "content type", s->content_type_text);
    if (s->has_content_type_uint)
        atls_json_put_uint(j, "content type", s->content_type_uint);
    if (s->kid.ptr != NULL && atls_utf8_valid(s->kid))
        atls_json_put_text(j, "kid", s->kid);
    else if (s->kid.ptr != NULL)
        atls_json_put_hex(j, "kid", s->kid);
    if (s->x5chain.ptr != NULL)
        atls_json_put_hex(j, "x5chain", s->x5chain);
    atls_json_close(j);
}

/* A claims set of CBOR in the names of its version: what the decoder kept of it. */
static enum atls_code put_claims(struct atls_json *j, const struct atls_ear *ear,
                                 struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code = atls_ear_put_json(ear, &text, err);

    if (code == ATLS_OK)
        code = put_pretty(j, "claims", atls_buf_bytes(&text), err);
    atls_buf_clear(&text);
    return code;
}

/* e NULL: a bare claims set. claims: as JSON; .ptr NULL: from CBOR. */
static enum atls_code show(bool verified, const struct atls_envelope *e, struct atls_bytes claims,
                           const struct atls_ear *ear, struct atls_buf *out, struct atls_err *err)
{
    struct atls_json j = atls_json_init(8 * ATLS_EAR_MAX); /* escapes are six times as long */
    enum atls_code code = ATLS_OK;

    j.pretty = true;
    atls_json_open_object(&j, NULL);
    atls_json_put_bool(&j, "verified", verified);
    if (e != NULL && e->form == ATLS_EAR_FORM_CWT)
        put_cose_header(&j, &e->sign1);
    if (claims.ptr == NULL) {
        code = put_claims(&j, ear, err);
    } else {
        if (e != NULL)
            code = put_pretty(&j, "header", atls_buf_bytes(&e->jws.header), err);
        if (code == ATLS_OK)
            code = put_pretty(&j, "claims", claims, err);
    }
    atls_json_close(&j);
    if (code != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    return atls_json_finish(&j, out, err);
}

static struct atls_bytes claims_of(const struct atls_envelope *e)
{
    return e->form == ATLS_EAR_FORM_JWT ? e->payload : atls_bytes_of(NULL, 0);
}

static bool looks_like_json(struct atls_bytes in)
{
    for (size_t i = 0; i < in.len; i++)
        if (memchr(" \t\r\n", in.ptr[i], 4) == NULL)
            return in.ptr[i] == '{';
    return false;
}

static bool is_cbor_map(struct atls_bytes in)
{
    return in.len != 0 && in.ptr[0] >> 5 == ATLS_CBOR_MAP;
}

static enum atls_code show_bare(struct atls_bytes in, struct atls_buf *out, struct atls_err *err)
{
    struct atls_ear ear;
    enum atls_code code;

    code = is_cbor_map(in) ? atls_ear_cbor_decode(in, &ear, err)
                           : atls_ear_json_decode(in, 0, &ear, err);
    if (code != ATLS_OK)
        return code;
    code = show(false, NULL, is_cbor_map(in) ? atls_bytes_of(NULL, 0) : in, &ear, out, err);
    atls_ear_clear(&ear);
    return code;
}

enum atls_code atls_ear_show(struct atls_bytes in, struct atls_buf *out, struct atls_err *err)
{
    struct atls_envelope e;
    struct atls_ear ear;
    enum atls_code code;

    if (looks_like_json(in) || is_cbor_map(in))
        return show_bare(in, out, err);
    if ((code = atls_envelope_open(in, &e, err)) != ATLS_OK)
        return code;
    if ((code = atls_envelope_claims(&e, 0, &ear, err)) == ATLS_OK) {
        code = show(false, &e, claims_of(&e), &ear, out, err);
        atls_ear_clear(&ear);
    }
    atls_envelope_clear(&e);
    return code;
}

enum atls_code atls_ear_verify(struct atls_bytes token, const struct atls_ear_check *check,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_envelope e;
    struct atls_ear ear;
    enum atls_code code;

    if ((code = atls_ear_check_usage(check, err)) != ATLS_OK ||
        (code = atls_envelope_open(token, &e, err)) != ATLS_OK)
        return code;
    if ((code = atls_ear_accept_envelope(&e, check, &ear, err)) == ATLS_OK) {
        code = show(true, &e, claims_of(&e), &ear, out, err);
        atls_ear_clear(&ear);
    }
    atls_envelope_clear(&e);
    return code;
}
