#include <stdio.h>
#include <string.h>

#include <atls/ea.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "flavour/post/carrier.h"
#include "verifier/inspect/view.h"
#include "wire/tls_msg.h"

static void put_scheme(struct atls_json *j, const char *key, uint16_t scheme)
{
    const struct atls_signature_algorithm *row = atls_signature_find((enum atls_signature)scheme);
    char text[8];

    snprintf(text, sizeof text, "0x%04x", scheme);
    atls_json_put_string(j, key, row == NULL ? text : row->name);
}

enum atls_code atls_view_request(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_ea_request r;
    enum atls_code code = atls_ea_request_decode(in, &r, v->err);

    if (code != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "from", r.from == ATLS_ROLE_SERVER ? "server" : "client");
    atls_json_put_hex(v->j, "context", r.context);
    atls_json_open_array(v->j, "schemes");
    for (size_t i = 0; i < r.scheme_count; i++)
        put_scheme(v->j, NULL, (uint16_t)r.schemes[i]);
    atls_json_close(v->j);
    atls_json_put_bool(v->j, "cmw-attestation", r.attestation);
    if (r.server_name.ptr != NULL)
        atls_json_put_text(v->j, "server-name", r.server_name);
    if (r.certificate_authorities.ptr != NULL)
        atls_json_put_hex(v->j, "certificate-authorities", r.certificate_authorities);
    atls_json_put_hex(v->j, "extensions", r.extensions);
    atls_json_close(v->j);
    return ATLS_OK;
}

/* An authenticator in its parts: three messages, or a Finished alone (RFC 9261 sections 5 and 6).
 */
struct parts {
    bool is_empty;
    struct atls_tls_certificate certificate;
    uint16_t scheme;
    struct atls_bytes signature, finished;
};

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                           "authenticator: %s", what);
}

static enum atls_code decode_parts(struct atls_bytes in, struct parts *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_tls_message m;
    enum atls_code code;

    if (!atls_tls_get_message(&r, &m))
        return malformed(err, "no whole handshake message");
    out->is_empty = m.type == ATLS_TLS_FINISHED;
    if (!out->is_empty) {
        if (m.type != ATLS_TLS_CERTIFICATE)
            return malformed(err, "begins with neither Certificate nor Finished");
        if ((code = atls_tls_certificate_decode(m.body, &out->certificate, err)) != ATLS_OK)
            return code;
        for (size_t i = 0; i < out->certificate.count; i++)
            if ((code = atls_tls_check_extensions(out->certificate.entries[i].extensions,
                                                  "Certificate", err)) != ATLS_OK)
                return code;
        if (!atls_tls_get_message(&r, &m) || m.type != ATLS_TLS_CERTIFICATE_VERIFY)
            return malformed(err, "CertificateVerify does not follow Certificate");
        if ((code = atls_tls_certificate_verify_decode(m.body, &out->scheme, &out->signature,
                                                       err)) != ATLS_OK)
            return code;
        if (!atls_tls_get_message(&r, &m) || m.type != ATLS_TLS_FINISHED)
            return malformed(err, "Finished does not follow CertificateVerify");
    }
    out->finished = m.body;
    return atls_reader_done(&r) ? ATLS_OK : malformed(err, "something follows Finished");
}

/* cmw_attestation holds one vector: cmw_data <1..2^16-1>. */
static void put_extension(struct atls_view *v, uint16_t type, struct atls_bytes data)
{
    struct atls_reader r = atls_reader_init(data);
    struct atls_bytes cmw;

    atls_json_open_object(v->j, NULL);
    atls_json_put_uint(v->j, "type", type);
    if (type == ATLS_EA_CMW_ATTESTATION && atls_get_vec(&r, 1, 0xffff, &cmw) &&
        atls_reader_done(&r))
        atls_view_or_hex(v, "cmw", cmw, atls_view_cmw);
    else
        atls_json_put_hex(v->j, "data", data);
    atls_json_close(v->j);
}

static void put_entry(struct atls_view *v, const struct atls_tls_entry *entry)
{
    struct atls_reader r = atls_reader_init(entry->extensions);
    struct atls_bytes data;
    uint16_t type;

    atls_json_open_object(v->j, NULL);
    atls_view_or_hex(v, "certificate", entry->certificate, atls_view_certificate);
    atls_json_open_array(v->j, "extensions");
    while (atls_tls_get_extension(&r, &type, &data))
        put_extension(v, type, data);
    atls_json_close(v->j);
    atls_json_close(v->j);
}

enum atls_code atls_view_authenticator(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct parts p;
    enum atls_code code;

    memset(&p, 0, sizeof p);
    if ((code = decode_parts(in, &p, v->err)) != ATLS_OK)
        return code;
    atls_json_open_object(v->j, key);
    atls_json_put_bool(v->j, "empty", p.is_empty);
    if (!p.is_empty) {
        atls_json_put_hex(v->j, "context", p.certificate.context);
        atls_json_open_array(v->j, "chain");
        for (size_t i = 0; i < p.certificate.count; i++)
            put_entry(v, &p.certificate.entries[i]);
        atls_json_close(v->j);
        put_scheme(v->j, "scheme", p.scheme);
        atls_json_put_hex(v->j, "signature", p.signature);
    }
    atls_json_put_hex(v->j, "finished", p.finished);
    atls_json_close(v->j);
    return ATLS_OK;
}

static void put_status(struct atls_json *j, const struct atls_status_frame *s, bool has_id)
{
    if (has_id)
        atls_json_put_uint(j, "id", s->id);
    atls_json_put_uint(j, "code", s->code);
    atls_json_put_string(j, "code-name", atls_carrier_code_row(s->code)->name);
    atls_json_put_text(j, "text", s->text);
    if (s->authenticator.ptr != NULL)
        atls_json_put_hex(j, "authenticator", s->authenticator);
}

/* The members of a body: what has no decoder of its own, or does not decode, in hexadecimal. */
static void put_body(struct atls_view *v, enum atls_frame_type type, struct atls_bytes body)
{
    struct atls_message_frame message;
    struct atls_status_frame status;

    memset(&status, 0, sizeof status);
    if ((type == ATLS_FRAME_REQUEST || type == ATLS_FRAME_AUTHENTICATOR) &&
        atls_message_frame_decode(body, &message, NULL) == ATLS_OK) {
        atls_json_put_uint(v->j, "id", message.id);
        atls_view_or_hex(v, "message", message.message,
                         type == ATLS_FRAME_REQUEST ? atls_view_request : atls_view_authenticator);
    } else if (type == ATLS_FRAME_DECLINE && atls_decline_decode(body, &status, NULL) == ATLS_OK) {
        put_status(v->j, &status, true);
    } else if (type == ATLS_FRAME_VERDICT && atls_verdict_decode(body, &status, NULL) == ATLS_OK) {
        put_status(v->j, &status, true);
    } else if (type == ATLS_FRAME_CLOSE && atls_close_decode(body, &status, NULL) == ATLS_OK) {
        put_status(v->j, &status, false);
    } else {
        atls_json_put_hex(v->j, "body", body);
    }
}

enum atls_code atls_view_frame(struct atls_view *v, const char *key, struct atls_bytes in)
{
    struct atls_frame_header h;
    struct atls_bytes body;
    enum atls_code code;

    if (in.len < ATLS_FRAME_HEADER_LEN)
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "frame: %zu bytes, want a header of %d", in.len,
                                ATLS_FRAME_HEADER_LEN);
    if ((code = atls_frame_header_decode(in.ptr, &h, v->err)) != ATLS_OK)
        return code;
    body = atls_bytes_of(in.ptr + ATLS_FRAME_HEADER_LEN, in.len - ATLS_FRAME_HEADER_LEN);
    if (body.len != 0 && body.len != h.len)
        return atls_fail_reason(v->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "frame %s: body of %zu bytes, its header says %u",
                                atls_frame_name((uint8_t)h.type), body.len, (unsigned int)h.len);
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "type", atls_frame_name((uint8_t)h.type));
    atls_json_put_uint(v->j, "length", h.len);
    if (body.len != 0)
        put_body(v, h.type, body);
    atls_json_close(v->j);
    return ATLS_OK;
}
