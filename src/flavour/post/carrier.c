#include "flavour/post/carrier.h"

#include "core/err.h"
#include "core/reader.h"

/* docs/carrier.md, "Frames": bounds of every body. */
static const struct {
    const char *name;
    uint32_t min, max;
} frames[] = {
    [ATLS_FRAME_HELLO] = {"HELLO", 4, 4 + 0xffff},
    [ATLS_FRAME_REQUEST] = {"REQUEST", 5, 4 + ATLS_AUTHENTICATOR_REQUEST_MAX},
    [ATLS_FRAME_AUTHENTICATOR] = {"AUTHENTICATOR", 5, 4 + ATLS_AUTHENTICATOR_MAX},
    [ATLS_FRAME_DECLINE] = {"DECLINE", 4 + 2 + 1 + 1 + ATLS_EMPTY_AUTHENTICATOR_MIN,
                            4 + 2 + 1 + ATLS_FRAME_TEXT_MAX + 1 + ATLS_EMPTY_AUTHENTICATOR_MAX},
    [ATLS_FRAME_VERDICT] = {"VERDICT", 4 + 2 + 1, 4 + 2 + 1 + ATLS_FRAME_TEXT_MAX},
    [ATLS_FRAME_DATA] = {"DATA", 1, ATLS_FRAME_BODY_MAX},
    [ATLS_FRAME_CLOSE] = {"CLOSE", 2 + 1, 2 + 1 + ATLS_FRAME_TEXT_MAX},
    [ATLS_FRAME_RAW] = {"RAW", 0, 0},
    [ATLS_FRAME_END] = {"END", 0, 0},
};

/* docs/carrier.md, table of codes. What a peer says of us is never one of our own findings, hence
 * few codes: a rule broken, a refusal, or an end. */
static const struct atls_carrier_code_row codes[] = {
    [ATLS_CARRIER_OK] = {"ok", "accepted", ATLS_OK},
    [ATLS_CARRIER_PROTOCOL] = {"protocol", "a rule of the protocol was broken", ATLS_E_PROTOCOL},
    [ATLS_CARRIER_MALFORMED] = {"malformed", "a message does not decode", ATLS_E_PROTOCOL},
    [ATLS_CARRIER_NOT_ATTESTED] = {"not-attested", "attestation is required and absent",
                                   ATLS_E_REFUSED},
    [ATLS_CARRIER_EVIDENCE] = {"evidence", "the evidence was refused", ATLS_E_REFUSED},
    [ATLS_CARRIER_IDENTITY] = {"identity",
                               "the certificate of the attestation identity key was refused",
                               ATLS_E_REFUSED},
    [ATLS_CARRIER_POLICY] = {"policy", "the policy refused", ATLS_E_REFUSED},
    [ATLS_CARRIER_NO_COMMON_PARAMETERS] = {"no-common-parameters", "the negotiation failed",
                                           ATLS_E_PROTOCOL},
    [ATLS_CARRIER_DEADLINE] = {"deadline", "a deadline passed", ATLS_E_TIMEOUT},
    [ATLS_CARRIER_FLOOD] = {"flood", "a limit was reached", ATLS_E_LIMIT},
    [ATLS_CARRIER_UNAVAILABLE] = {"unavailable", "the attester or verifier cannot work now",
                                  ATLS_E_CLOSED},
    [ATLS_CARRIER_GATE_CLOSED] = {"gate-closed", "data came while the gate was closed",
                                  ATLS_E_PROTOCOL},
    [ATLS_CARRIER_INTERNAL] = {"internal", "a fault on this side", ATLS_E_CLOSED},
};

const struct atls_carrier_code_row *atls_carrier_code_row(uint16_t code)
{
    static const struct atls_carrier_code_row unknown = {"an unknown code", "", ATLS_E_CLOSED};

    return code < sizeof codes / sizeof codes[0] ? &codes[code] : &unknown;
}

uint16_t atls_carrier_code_of(const struct atls_err *err)
{
    static const struct {
        enum atls_reason reason;
        enum atls_carrier_code code;
    } by_reason[] = {
        {ATLS_REASON_NOT_ATTESTED, ATLS_CARRIER_NOT_ATTESTED},
        {ATLS_REASON_EMPTY_AUTHENTICATOR, ATLS_CARRIER_NOT_ATTESTED},
        {ATLS_REASON_EQUAL_KEYS, ATLS_CARRIER_IDENTITY},
        {ATLS_REASON_IDENTITY_MISMATCH, ATLS_CARRIER_IDENTITY},
        {ATLS_REASON_NO_COMMON_PARAMETERS, ATLS_CARRIER_NO_COMMON_PARAMETERS},
        {ATLS_REASON_GATE_CLOSED, ATLS_CARRIER_GATE_CLOSED},
        {ATLS_REASON_DEADLINE, ATLS_CARRIER_DEADLINE},
        {ATLS_REASON_FLOOD, ATLS_CARRIER_FLOOD},
    };
    static const enum atls_carrier_code by_code[] = {
        [ATLS_OK] = ATLS_CARRIER_OK,
        [ATLS_E_USAGE] = ATLS_CARRIER_INTERNAL,
        [ATLS_E_CONFIG] = ATLS_CARRIER_UNAVAILABLE,
        [ATLS_E_NOMEM] = ATLS_CARRIER_INTERNAL,
        [ATLS_E_IO] = ATLS_CARRIER_UNAVAILABLE,
        [ATLS_E_DECODE] = ATLS_CARRIER_MALFORMED,
        [ATLS_E_UNSUPPORTED] = ATLS_CARRIER_PROTOCOL,
        [ATLS_E_CRYPTO] = ATLS_CARRIER_INTERNAL,
        [ATLS_E_VERIFY] = ATLS_CARRIER_PROTOCOL,
        [ATLS_E_CERTIFICATE] = ATLS_CARRIER_IDENTITY,
        [ATLS_E_PROTOCOL] = ATLS_CARRIER_PROTOCOL,
        [ATLS_E_EVIDENCE] = ATLS_CARRIER_EVIDENCE,
        [ATLS_E_REFUSED] = ATLS_CARRIER_POLICY,
        [ATLS_E_DECLINED] = ATLS_CARRIER_NOT_ATTESTED,
        [ATLS_E_LIMIT] = ATLS_CARRIER_FLOOD,
        [ATLS_E_TIMEOUT] = ATLS_CARRIER_DEADLINE,
        [ATLS_E_DEVICE] = ATLS_CARRIER_UNAVAILABLE,
        [ATLS_E_TLS] = ATLS_CARRIER_INTERNAL,
        [ATLS_E_CLOSED] = ATLS_CARRIER_INTERNAL,
        [ATLS_E_NOT_FOUND] = ATLS_CARRIER_UNAVAILABLE,
        [ATLS_E_INTERNAL] = ATLS_CARRIER_INTERNAL,
        [ATLS_E_UNAVAILABLE] = ATLS_CARRIER_UNAVAILABLE,
    };

    for (size_t i = 0; i < sizeof by_reason / sizeof by_reason[0]; i++)
        if (by_reason[i].reason == err->reason)
            return (uint16_t)by_reason[i].code;
    if ((unsigned int)err->code >= sizeof by_code / sizeof by_code[0])
        return ATLS_CARRIER_INTERNAL;
    return (uint16_t)by_code[err->code];
}

const char *atls_frame_name(uint8_t type)
{
    return type == 0 || type >= sizeof frames / sizeof frames[0] ? "unknown frame"
                                                                 : frames[type].name;
}

enum atls_code atls_frame_header_decode(const uint8_t in[ATLS_FRAME_HEADER_LEN],
                                        struct atls_frame_header *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(atls_bytes_of(in, ATLS_FRAME_HEADER_LEN));
    uint8_t type;
    uint32_t len;

    if (!atls_get_u8(&r, &type) || !atls_get_u24(&r, &len))
        return atls_fail(err, ATLS_E_INTERNAL, "frame: header is short");
    if (type == 0 || type >= sizeof frames / sizeof frames[0])
        return atls_fail(err, ATLS_E_PROTOCOL, "frame: type is %u, want 1 to %u", type,
                         (unsigned int)(sizeof frames / sizeof frames[0] - 1));
    if (len < frames[type].min || len > frames[type].max)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "%s: length is %u, want %u to %u", frames[type].name, len,
                                frames[type].min, frames[type].max);
    out->type = (enum atls_frame_type)type;
    out->len = len;
    return ATLS_OK;
}

void atls_frame_header_put(struct atls_writer *w, enum atls_frame_type type, uint32_t len)
{
    atls_put_u8(w, (uint8_t)type);
    atls_put_u24(w, len);
}

static enum atls_code malformed(const char *frame, const struct atls_reader *r,
                                struct atls_err *err)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "%s: malformed near byte %zu of %zu", frame, r->pos, r->in.len);
}

enum atls_code atls_message_frame_decode(struct atls_bytes body, struct atls_message_frame *out,
                                         struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_message_frame frame;

    if (!atls_get_u32(&r, &frame.id) || !atls_get_bytes(&r, atls_reader_left(&r), &frame.message) ||
        frame.message.len == 0)
        return malformed("message frame", &r, err);
    *out = frame;
    return ATLS_OK;
}

void atls_message_frame_put(struct atls_writer *w, enum atls_frame_type type, uint32_t id,
                            struct atls_bytes message)
{
    atls_put_u8(w, (uint8_t)type);
    struct atls_mark body = atls_open_vec(w, 0xffffff);
    atls_put_u32(w, id);
    atls_put_bytes(w, message);
    atls_close_vec(w, body);
}

enum atls_code atls_decline_decode(struct atls_bytes body, struct atls_status_frame *out,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_status_frame frame;

    if (!atls_get_u32(&r, &frame.id) || !atls_get_u16(&r, &frame.code) ||
        !atls_get_vec(&r, 0, ATLS_FRAME_TEXT_MAX, &frame.text) ||
        !atls_get_vec(&r, ATLS_EMPTY_AUTHENTICATOR_MIN, ATLS_EMPTY_AUTHENTICATOR_MAX,
                      &frame.authenticator) ||
        !atls_reader_done(&r))
        return malformed("DECLINE", &r, err);
    if (frame.code == ATLS_CARRIER_OK)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "DECLINE: code is 0, want a refusal");
    *out = frame;
    return ATLS_OK;
}

enum atls_code atls_verdict_decode(struct atls_bytes body, struct atls_status_frame *out,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_status_frame frame = {0};

    if (!atls_get_u32(&r, &frame.id) || !atls_get_u16(&r, &frame.code) ||
        !atls_get_vec(&r, 0, ATLS_FRAME_TEXT_MAX, &frame.text) || !atls_reader_done(&r))
        return malformed("VERDICT", &r, err);
    *out = frame;
    return ATLS_OK;
}

enum atls_code atls_close_decode(struct atls_bytes body, struct atls_status_frame *out,
                                 struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_status_frame frame = {0};

    if (!atls_get_u16(&r, &frame.code) || !atls_get_vec(&r, 0, ATLS_FRAME_TEXT_MAX, &frame.text) ||
        !atls_reader_done(&r))
        return malformed("CLOSE", &r, err);
    *out = frame;
    return ATLS_OK;
}

static void put_code_and_text(struct atls_writer *w, const struct atls_status_frame *frame)
{
    atls_put_u16(w, frame->code);
    struct atls_mark text = atls_open_vec(w, ATLS_FRAME_TEXT_MAX);
    atls_put_bytes(w, frame->text);
    atls_close_vec(w, text);
}

void atls_decline_put(struct atls_writer *w, const struct atls_status_frame *frame)
{
    atls_put_u8(w, ATLS_FRAME_DECLINE);
    struct atls_mark body = atls_open_vec(w, 0xffffff);
    atls_put_u32(w, frame->id);
    put_code_and_text(w, frame);
    struct atls_mark authenticator = atls_open_vec(w, ATLS_EMPTY_AUTHENTICATOR_MAX);
    atls_put_bytes(w, frame->authenticator);
    atls_close_vec(w, authenticator);
    atls_close_vec(w, body);
}

void atls_verdict_put(struct atls_writer *w, const struct atls_status_frame *frame)
{
    atls_put_u8(w, ATLS_FRAME_VERDICT);
    struct atls_mark body = atls_open_vec(w, 0xffffff);
    atls_put_u32(w, frame->id);
    put_code_and_text(w, frame);
    atls_close_vec(w, body);
}

void atls_close_put(struct atls_writer *w, const struct atls_status_frame *frame)
{
    atls_put_u8(w, ATLS_FRAME_CLOSE);
    struct atls_mark body = atls_open_vec(w, 0xffffff);
    put_code_and_text(w, frame);
    atls_close_vec(w, body);
}
