#include "verifier/ear/envelope.h"

#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/cmw.h"
#include "wire/ear_cbor.h"
#include "wire/ear_json.h"

#define TAG_CWT 61 /* RFC 8392 section 6 */

/* A COSE_Sign1 and its tags are CBOR of major types 4 and 6; a compact JWS is ASCII. */
enum atls_ear_form atls_ear_form_of(struct atls_bytes token)
{
    return token.len != 0 && token.ptr[0] >= 0x80 ? ATLS_EAR_FORM_CWT : ATLS_EAR_FORM_JWT;
}

/* Files of tokens end in a line feed as often as not. */
static struct atls_bytes without_line_end(struct atls_bytes in)
{
    while (in.len > 0 && (in.ptr[in.len - 1] == '\n' || in.ptr[in.len - 1] == '\r'))
        in.len--;
    return in;
}

static enum atls_code open_jwt(struct atls_bytes token, struct atls_envelope *e,
                               struct atls_err *err)
{
    enum atls_code code = atls_jws_decode(without_line_end(token), &e->jws, err);

    if (code != ATLS_OK)
        return code;
    e->payload = atls_buf_bytes(&e->jws.payload);
    e->signature = (struct atls_ear_signature){
        .jose_alg = atls_bytes_of(e->jws.alg, strlen(e->jws.alg)),
        .kid = atls_bytes_of(e->jws.kid, strlen(e->jws.kid)),
        .signed_bytes = e->jws.signed_part,
        .signature = atls_buf_bytes(&e->jws.signature),
    };
    return ATLS_OK;
}

/* The content type as a CMW would have it; false when there is none. */
static bool content_type_of(const struct atls_cose_sign1 *s, struct atls_cmw_type *out)
{
    *out = (struct atls_cmw_type){
        .is_text = s->has_content_type_text,
        .content_format =
            (uint16_t)(s->content_type_uint <= UINT16_MAX ? s->content_type_uint : UINT16_MAX),
        .text = s->content_type_text,
    };
    return s->has_content_type_text || s->has_content_type_uint;
}

static enum atls_code check_content_type(const struct atls_cose_sign1 *s, struct atls_err *err)
{
    struct atls_cmw_type type;
    char shown[96];

    if (!content_type_of(s, &type))
        return ATLS_OK;
    /* A content-format with a profile is that of some evidence. */
    if (type.is_text ? atls_cmw_type_is(&type, "application/eat+cwt") ||
                           atls_cmw_type_is(&type, "application/cwt")
                     : type.content_format == 263 || type.content_format == 61)
        return ATLS_OK;
    if (!type.is_text)
        snprintf(shown, sizeof shown, "%u", (unsigned int)type.content_format);
    else
        atls_escape(type.text, shown, sizeof shown);
    return atls_fail(err, ATLS_E_UNSUPPORTED,
                     "EAR: content type \"%s\", want application/eat+cwt or application/cwt",
                     shown);
}

static enum atls_code open_cwt(struct atls_bytes token, struct atls_envelope *e,
                               struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(token);
    struct atls_writer w = atls_writer_init(2 * ATLS_EAR_MAX);
    enum atls_code code;
    uint64_t tag;

    if (!atls_cbor_get_tag(&r, &tag) || tag != TAG_CWT)
        r.pos = 0;
    code = atls_cose_sign1_decode(atls_bytes_of(token.ptr + r.pos, token.len - r.pos),
                                  ATLS_COSE_TAG_REQUIRED, &e->sign1, err);
    if (code != ATLS_OK || (code = check_content_type(&e->sign1, err)) != ATLS_OK)
        return code;
    if (e->sign1.detached)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "EAR: COSE_Sign1 without its payload");
    atls_cose_put_to_be_signed(&w, e->sign1.protected_header, atls_bytes_of(NULL, 0),
                               e->sign1.payload);
    if ((code = atls_writer_finish(&w, &e->signed_bytes, err)) != ATLS_OK)
        return code;
    e->payload = e->sign1.payload;
    e->signature = (struct atls_ear_signature){
        .cose_alg = e->sign1.alg,
        .kid = e->sign1.kid,
        .signed_bytes = atls_buf_bytes(&e->signed_bytes),
        .signature = e->sign1.signature,
    };
    return ATLS_OK;
}

enum atls_code atls_envelope_open(struct atls_bytes token, struct atls_envelope *out,
                                  struct atls_err *err)
{
    struct atls_envelope e;
    enum atls_code code;

    memset(&e, 0, sizeof e);
    if (token.len > ATLS_EAR_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "EAR: token of %zu bytes, want at most %d", token.len,
                         ATLS_EAR_MAX);
    e.form = atls_ear_form_of(token);
    code = e.form == ATLS_EAR_FORM_JWT ? open_jwt(token, &e, err) : open_cwt(token, &e, err);
    if (code != ATLS_OK) {
        atls_envelope_clear(&e);
        return code;
    }
    *out = e;
    if (e.form == ATLS_EAR_FORM_JWT) { /* these stand in the envelope itself */
        out->signature.jose_alg.ptr = (const uint8_t *)out->jws.alg;
        out->signature.kid.ptr = (const uint8_t *)out->jws.kid;
    }
    return ATLS_OK;
}

void atls_envelope_clear(struct atls_envelope *e)
{
    atls_jws_clear(&e->jws);
    atls_buf_clear(&e->signed_bytes);
    memset(e, 0, sizeof *e);
}

/* RFC 9782 section 5: the parameter eat_profile and the claim say the same. */
static enum atls_code check_profile(const struct atls_envelope *e, const struct atls_ear *ear,
                                    struct atls_err *err)
{
    static const char name[] = "eat_profile";
    struct atls_cmw_type type;
    char want[160];

    if (!content_type_of(&e->sign1, &type) || !type.is_text)
        return ATLS_OK;
    for (size_t i = 0; i + sizeof name - 1 <= type.text.len; i++) {
        if (!atls_bytes_equal_without_case(atls_bytes_of(type.text.ptr + i, sizeof name - 1),
                                           atls_bytes_of(name, sizeof name - 1)))
            continue;
        snprintf(want, sizeof want, "application/eat+cwt; eat_profile=\"%.*s\"",
                 (int)ear->profile.len, (const char *)ear->profile.ptr);
        if (atls_cmw_type_is(&type, want))
            return ATLS_OK;
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "EAR: eat_profile is not that of the content type");
    }
    return ATLS_OK;
}

enum atls_code atls_envelope_claims(const struct atls_envelope *e, unsigned int flags,
                                    struct atls_ear *out, struct atls_err *err)
{
    struct atls_ear ear;
    enum atls_code code;

    if (e->form == ATLS_EAR_FORM_JWT)
        return atls_ear_json_decode(e->payload, flags, out, err);
    if ((code = atls_ear_cbor_decode(e->payload, &ear, err)) != ATLS_OK)
        return code;
    if ((code = check_profile(e, &ear, err)) != ATLS_OK) {
        atls_ear_clear(&ear);
        return code;
    }
    *out = ear;
    return ATLS_OK;
}
