#include "ea/ea.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/writer.h"

static enum atls_code malformed(struct atls_err *err, const char *what)
{
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                           "authenticator request: %s", what);
}

/* Adds a scheme that may stand in CertificateVerify and is not there yet; others say nothing to us.
 */
static void add_scheme(enum atls_signature *schemes, size_t *count, uint16_t number)
{
    const struct atls_signature_algorithm *alg = atls_signature_find((enum atls_signature)number);

    if (alg == NULL || !alg->certificate_verify || *count == ATLS_EA_SCHEMES_MAX)
        return;
    for (size_t i = 0; i < *count; i++)
        if (schemes[i] == alg->scheme)
            return;
    schemes[(*count)++] = alg->scheme;
}

/* signature_algorithms is mandatory (RFC 9261 section 4); signature_algorithms_cert has its form.
 */
static enum atls_code read_schemes(struct atls_ea_request *q, struct atls_err *err)
{
    struct atls_bytes data, list;
    struct atls_reader r;
    uint16_t number;

    if (!atls_tls_find_extension(q->extensions, ATLS_TLS_SIGNATURE_ALGORITHMS, &data))
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_MISSING_EXTENSION,
                               "authenticator request: no signature_algorithms");
    if (!atls_tls_get_schemes(data, &list))
        return malformed(err, "signature_algorithms is no list of schemes");
    r = atls_reader_init(list);
    while (atls_get_u16(&r, &number))
        add_scheme(q->schemes, &q->scheme_count, number);
    if (atls_tls_find_extension(q->extensions, ATLS_TLS_SIGNATURE_ALGORITHMS_CERT, &data) &&
        !atls_tls_get_schemes(data, &list))
        return malformed(err, "signature_algorithms_cert is no list of schemes");
    return ATLS_OK;
}

/* ServerNameList of one host_name (RFC 6066 section 3). */
static enum atls_code read_server_name(struct atls_ea_request *q, struct atls_err *err)
{
    struct atls_bytes data, list, name;
    struct atls_reader r, inner;
    uint8_t type;

    if (!atls_tls_find_extension(q->extensions, ATLS_TLS_SERVER_NAME, &data))
        return ATLS_OK;
    r = atls_reader_init(data);
    if (!atls_get_vec(&r, 1, 0xffff, &list) || !atls_reader_done(&r))
        return malformed(err, "server_name is no list");
    inner = atls_reader_init(list);
    if (!atls_get_u8(&inner, &type) || type != 0 || !atls_get_vec(&inner, 1, 0xffff, &name) ||
        !atls_reader_done(&inner))
        return malformed(err, "server_name is not one host_name");
    q->server_name = name;
    return ATLS_OK;
}

/* CertificateAuthoritiesExtension (RFC 8446 section 4.2.4). */
static enum atls_code read_authorities(struct atls_ea_request *q, struct atls_err *err)
{
    struct atls_bytes data, list, name;
    struct atls_reader r, inner;

    if (!atls_tls_find_extension(q->extensions, ATLS_TLS_CERTIFICATE_AUTHORITIES, &data))
        return ATLS_OK;
    r = atls_reader_init(data);
    if (!atls_get_vec(&r, 3, 0xffff, &list) || !atls_reader_done(&r))
        return malformed(err, "certificate_authorities is no list");
    inner = atls_reader_init(list);
    while (!atls_reader_done(&inner))
        if (!atls_get_vec(&inner, 1, 0xffff, &name))
            return malformed(err, "certificate_authorities holds a malformed name");
    q->certificate_authorities = data;
    return ATLS_OK;
}

/* The offer is empty (draft-fossati-seat-expat-03, "cmw_attestation"). */
static enum atls_code read_attestation(struct atls_ea_request *q, struct atls_err *err)
{
    struct atls_bytes data;

    q->attestation = atls_tls_find_extension(q->extensions, ATLS_EA_CMW_ATTESTATION, &data);
    if (q->attestation && data.len != 0)
        return malformed(err, "cmw_attestation is not empty");
    return ATLS_OK;
}

/* Extensions that we know must belong where they stand (RFC 8446 section 4.2). */
static enum atls_code check_places(const struct atls_ea_request *q, struct atls_err *err)
{
    enum atls_tls_place place =
        q->from == ATLS_ROLE_CLIENT ? ATLS_TLS_IN_CLIENT_REQUEST : ATLS_TLS_IN_REQUEST;
    struct atls_reader r = atls_reader_init(q->extensions);
    struct atls_bytes data;
    uint16_t type;

    while (atls_tls_get_extension(&r, &type, &data))
        if (atls_tls_extension_misplaced(type, place))
            return atls_fail_alert(
                err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER,
                "authenticator request: extension %u may not stand in it", (unsigned int)type);
    return ATLS_OK;
}

/* from: the role that must have sent it, 0 for either. */
static enum atls_code decode(struct atls_bytes in, enum atls_role from, struct atls_ea_request *out,
                             struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in), body;
    struct atls_ea_request q = {.raw = in};
    struct atls_tls_message m;
    enum atls_code code;

    if (in.len > ATLS_AUTHENTICATOR_REQUEST_MAX)
        return atls_fail_alert(err, ATLS_E_LIMIT, ATLS_REASON_NONE, ATLS_ALERT_DECODE_ERROR,
                               "authenticator request: %zu bytes, at most %d", in.len,
                               ATLS_AUTHENTICATOR_REQUEST_MAX);
    if (!atls_tls_get_message(&r, &m) || !atls_reader_done(&r))
        return malformed(err, "not exactly one handshake message");
    if (m.type != ATLS_TLS_CERTIFICATE_REQUEST && m.type != ATLS_TLS_CLIENT_CERTIFICATE_REQUEST)
        return malformed(err, "neither CertificateRequest nor ClientCertificateRequest");
    q.from = m.type == ATLS_TLS_CERTIFICATE_REQUEST ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    if (from != 0 && q.from != from)
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONE,
                               ATLS_ALERT_UNEXPECTED_MESSAGE,
                               "authenticator request: type %u is not what a %s sends", m.type,
                               from == ATLS_ROLE_CLIENT ? "client" : "server");
    body = atls_reader_init(m.body);
    if (!atls_get_vec(&body, 0, ATLS_EA_CONTEXT_MAX, &q.context) ||
        !atls_get_vec(&body, 2, 0xffff, &q.extensions) || !atls_reader_done(&body))
        return malformed(err, "malformed context or extensions");
    if ((code = atls_tls_check_extensions(q.extensions, "authenticator request", err)) != ATLS_OK ||
        (code = check_places(&q, err)) != ATLS_OK || (code = read_schemes(&q, err)) != ATLS_OK ||
        (code = read_server_name(&q, err)) != ATLS_OK ||
        (code = read_authorities(&q, err)) != ATLS_OK ||
        (code = read_attestation(&q, err)) != ATLS_OK)
        return code;
    *out = q;
    return ATLS_OK;
}

enum atls_code atls_ea_request_decode(struct atls_bytes in, struct atls_ea_request *out,
                                      struct atls_err *err)
{
    return decode(in, 0, out, err);
}

enum atls_code atls_ea_accept_request(struct atls_ea *ea, struct atls_bytes in,
                                      struct atls_ea_request *out, struct atls_err *err)
{
    struct atls_ea_request q;
    enum atls_code code;

    if ((code = decode(in, atls_ea_peer_role(ea), &q, err)) != ATLS_OK ||
        (code = atls_ea_contexts_add(&ea->contexts, q.context, in, ATLS_EA_THEIRS, err)) != ATLS_OK)
        return code;
    *out = q;
    return ATLS_OK;
}

static void put_extensions(struct atls_writer *w, const struct atls_ea_request_spec *spec)
{
    struct atls_mark block = atls_open_vec(w, 0xffff), data, list, name;

    if (spec->server_name != NULL) {
        atls_put_u16(w, ATLS_TLS_SERVER_NAME);
        data = atls_open_vec(w, 0xffff);
        list = atls_open_vec(w, 0xffff);
        atls_put_u8(w, 0); /* host_name */
        name = atls_open_vec(w, 0xffff);
        atls_put_text(w, spec->server_name);
        atls_close_vec(w, name);
        atls_close_vec(w, list);
        atls_close_vec(w, data);
    }
    atls_put_u16(w, ATLS_TLS_SIGNATURE_ALGORITHMS);
    data = atls_open_vec(w, 0xffff);
    list = atls_open_vec(w, 0xffff);
    for (size_t i = 0; i < spec->scheme_count; i++)
        atls_put_u16(w, (uint16_t)spec->schemes[i]);
    atls_close_vec(w, list);
    atls_close_vec(w, data);
    atls_put_bytes(w, spec->other_extensions);
    if (spec->attestation) {
        atls_put_u16(w, ATLS_EA_CMW_ATTESTATION);
        atls_put_u16(w, 0);
    }
    atls_close_vec(w, block);
}

/* What we are about to send must be what we would accept, and must mean what the caller said. */
static enum atls_code check_own(const struct atls_ea *ea, const struct atls_ea_request_spec *spec,
                                struct atls_bytes message, struct atls_err *err)
{
    struct atls_err why = ATLS_ERR_INIT;
    struct atls_ea_request q;

    if (decode(message, ea->role, &q, &why) != ATLS_OK)
        return atls_fail(err, ATLS_E_USAGE, "not sent: %s", why.message);
    if (q.scheme_count == 0)
        return atls_fail(err, ATLS_E_USAGE,
                         "authenticator request: no scheme that may stand in CertificateVerify");
    if (q.attestation != spec->attestation)
        return atls_fail(err, ATLS_E_USAGE,
                         "authenticator request: cmw_attestation among the other extensions");
    return ATLS_OK;
}

enum atls_code atls_ea_request(struct atls_ea *ea, const struct atls_ea_request_spec *spec,
                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_AUTHENTICATOR_REQUEST_MAX);
    struct atls_buf message = ATLS_BUF_INIT;
    struct atls_mark body, context;
    enum atls_code code;

    if (spec->context.len > ATLS_EA_CONTEXT_MAX)
        return atls_fail(err, ATLS_E_USAGE,
                         "authenticator request: context of %zu bytes, at most %d",
                         spec->context.len, ATLS_EA_CONTEXT_MAX);
    if (spec->scheme_count == 0 || spec->scheme_count > ATLS_EA_SCHEMES_MAX)
        return atls_fail(err, ATLS_E_USAGE,
                         "authenticator request: %zu signature schemes, want 1..%d",
                         spec->scheme_count, ATLS_EA_SCHEMES_MAX);
    if (spec->server_name != NULL && ea->role != ATLS_ROLE_CLIENT)
        return atls_fail(err, ATLS_E_USAGE, "authenticator request: only a client names a server");
    atls_put_u8(&w, ea->role == ATLS_ROLE_CLIENT ? ATLS_TLS_CLIENT_CERTIFICATE_REQUEST
                                                 : ATLS_TLS_CERTIFICATE_REQUEST);
    body = atls_open_vec(&w, 0xffffff);
    context = atls_open_vec(&w, 0xff);
    atls_put_bytes(&w, spec->context);
    atls_close_vec(&w, context);
    put_extensions(&w, spec);
    atls_close_vec(&w, body);
    if ((code = atls_writer_finish(&w, &message, err)) != ATLS_OK)
        return code;
    if ((code = check_own(ea, spec, atls_buf_bytes(&message), err)) != ATLS_OK ||
        (code = atls_ea_contexts_add(&ea->contexts, spec->context, atls_buf_bytes(&message),
                                     ATLS_EA_OURS, err)) != ATLS_OK) {
        atls_buf_clear(&message);
        return code;
    }
    *out = message;
    return ATLS_OK;
}

enum atls_signature atls_ea_choose_scheme(const struct atls_ea_request *request,
                                          const enum atls_signature *ours, size_t count)
{
    for (size_t i = 0; i < request->scheme_count; i++)
        for (size_t j = 0; j < count; j++)
            if (request->schemes[i] == ours[j])
                return ours[j];
    return ATLS_SIGNATURE_NONE;
}

void atls_ea_offer_from_request(const struct atls_ea_request *request, struct atls_ea_offer *out)
{
    struct atls_reader r = atls_reader_init(request->extensions);
    struct atls_bytes data;
    uint16_t type;

    memset(out, 0, sizeof *out);
    memcpy(out->schemes, request->schemes, sizeof out->schemes);
    out->scheme_count = request->scheme_count;
    out->attestation = request->attestation;
    while (out->extension_count < ATLS_TLS_EXTENSIONS_MAX &&
           atls_tls_get_extension(&r, &type, &data))
        out->extensions[out->extension_count++] = type;
}

enum atls_code atls_ea_offer_from_hello(const struct atls_ea_client_hello *hello,
                                        struct atls_ea_offer *out, struct atls_err *err)
{
    if (hello->extension_count > ATLS_TLS_EXTENSIONS_MAX)
        return atls_fail(err, ATLS_E_USAGE, "ClientHello: %zu extension types, at most %d",
                         hello->extension_count, ATLS_TLS_EXTENSIONS_MAX);
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < hello->scheme_count; i++)
        add_scheme(out->schemes, &out->scheme_count, (uint16_t)hello->schemes[i]);
    /* cmw_attestation has no place in a ClientHello (draft-fossati-seat-expat-03, section 3.2). */
    for (size_t i = 0; i < hello->extension_count; i++)
        if (hello->extensions[i] != ATLS_EA_CMW_ATTESTATION)
            out->extensions[out->extension_count++] = hello->extensions[i];
    return ATLS_OK;
}

bool atls_ea_offers_scheme(const struct atls_ea_offer *offer, enum atls_signature scheme)
{
    for (size_t i = 0; i < offer->scheme_count; i++)
        if (offer->schemes[i] == scheme)
            return true;
    return false;
}
