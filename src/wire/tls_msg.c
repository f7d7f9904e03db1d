#include "wire/tls_msg.h"

#include <atls/ea.h>

#include "core/err.h"

/* clang-format off */
static const struct placement {
    uint16_t type;
    unsigned int places;
} placements[] = {
    /* type                                places */
    {ATLS_TLS_SERVER_NAME,                  ATLS_TLS_IN_CLIENT_REQUEST},
    {ATLS_TLS_STATUS_REQUEST,               ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST | ATLS_TLS_IN_ENTRY},
    {ATLS_TLS_SIGNATURE_ALGORITHMS,         ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST},
    {ATLS_TLS_SIGNED_CERTIFICATE_TIMESTAMP, ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST | ATLS_TLS_IN_ENTRY},
    {ATLS_TLS_CERTIFICATE_AUTHORITIES,      ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST},
    {ATLS_TLS_OID_FILTERS,                  ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST},
    {ATLS_TLS_SIGNATURE_ALGORITHMS_CERT,    ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST},
    {ATLS_EA_CMW_ATTESTATION,               ATLS_TLS_IN_CLIENT_REQUEST | ATLS_TLS_IN_REQUEST | ATLS_TLS_IN_ENTRY},
};
/* clang-format on */

bool atls_tls_extension_misplaced(uint16_t type, enum atls_tls_place place)
{
    for (size_t i = 0; i < sizeof placements / sizeof placements[0]; i++)
        if (placements[i].type == type)
            return (placements[i].places & place) == 0;
    return false;
}

static enum atls_code malformed(struct atls_err *err, const char *what, size_t pos)
{
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                           "%s: malformed near byte %zu", what, pos);
}

bool atls_tls_get_message(struct atls_reader *r, struct atls_tls_message *out)
{
    struct atls_reader ahead = *r;
    struct atls_tls_message m;

    if (!atls_get_u8(&ahead, &m.type) || !atls_get_vec(&ahead, 0, 0xffffff, &m.body))
        return false;
    m.whole = atls_bytes_of(r->in.ptr + r->pos, ahead.pos - r->pos);
    *r = ahead;
    *out = m;
    return true;
}

bool atls_tls_get_extension(struct atls_reader *r, uint16_t *type, struct atls_bytes *data)
{
    struct atls_reader ahead = *r;
    struct atls_bytes d;
    uint16_t t;

    if (!atls_get_u16(&ahead, &t) || !atls_get_vec(&ahead, 0, 0xffff, &d))
        return false;
    *r = ahead;
    *type = t;
    *data = d;
    return true;
}

enum atls_code atls_tls_check_extensions(struct atls_bytes block, const char *where,
                                         struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(block);
    uint16_t seen[ATLS_TLS_EXTENSIONS_MAX];
    struct atls_bytes data;
    size_t count = 0;

    while (!atls_reader_done(&r)) {
        if (count == ATLS_TLS_EXTENSIONS_MAX)
            return atls_fail_alert(err, ATLS_E_LIMIT, ATLS_REASON_NONE, ATLS_ALERT_DECODE_ERROR,
                                   "%s: more than %d extensions", where, ATLS_TLS_EXTENSIONS_MAX);
        if (!atls_tls_get_extension(&r, &seen[count], &data))
            return malformed(err, where, r.pos);
        for (size_t i = 0; i < count; i++)
            if (seen[i] == seen[count])
                return atls_fail_alert(
                    err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER,
                    "%s: extension 0x%04x is there twice", where, (unsigned int)seen[i]);
        count++;
    }
    return ATLS_OK;
}

bool atls_tls_find_extension(struct atls_bytes block, uint16_t type, struct atls_bytes *data)
{
    struct atls_reader r = atls_reader_init(block);
    struct atls_bytes d;
    uint16_t t;

    while (atls_tls_get_extension(&r, &t, &d))
        if (t == type) {
            *data = d;
            return true;
        }
    return false;
}

bool atls_tls_get_schemes(struct atls_bytes data, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(data);
    struct atls_bytes list;

    if (!atls_get_vec(&r, 2, 0xfffe, &list) || !atls_reader_done(&r) || list.len % 2 != 0)
        return false;
    *out = list;
    return true;
}

enum atls_code atls_tls_certificate_decode(struct atls_bytes body, struct atls_tls_certificate *out,
                                           struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body), list;
    struct atls_tls_certificate c = {.count = 0};
    struct atls_bytes entries;

    if (!atls_get_vec(&r, 0, 0xff, &c.context) || !atls_get_vec(&r, 0, 0xffffff, &entries) ||
        !atls_reader_done(&r))
        return malformed(err, "Certificate", r.pos);
    if (entries.len == 0)
        return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                               "Certificate: certificate_list is empty, want at least one entry");
    list = atls_reader_init(entries);
    for (; !atls_reader_done(&list); c.count++) {
        struct atls_tls_entry e;

        if (!atls_get_vec(&list, 1, 0xffffff, &e.certificate) ||
            !atls_get_vec(&list, 0, 0xffff, &e.extensions))
            return malformed(err, "Certificate.certificate_list", list.pos);
        if (c.count == ATLS_CHAIN_MAX)
            return atls_fail_alert(err, ATLS_E_LIMIT, ATLS_REASON_NONE, ATLS_ALERT_BAD_CERTIFICATE,
                                   "Certificate: more than %d certificates", ATLS_CHAIN_MAX);
        c.entries[c.count] = e;
    }
    *out = c;
    return ATLS_OK;
}

void atls_tls_put_certificate(struct atls_writer *w, struct atls_bytes context,
                              const struct atls_bytes *chain, size_t count,
                              struct atls_bytes extensions)
{
    struct atls_mark message, list, m;

    atls_put_u8(w, ATLS_TLS_CERTIFICATE);
    message = atls_open_vec(w, 0xffffff);
    m = atls_open_vec(w, 0xff);
    atls_put_bytes(w, context);
    atls_close_vec(w, m);
    list = atls_open_vec(w, 0xffffff);
    for (size_t i = 0; i < count; i++) {
        m = atls_open_vec(w, 0xffffff);
        atls_put_bytes(w, chain[i]);
        atls_close_vec(w, m);
        m = atls_open_vec(w, 0xffff);
        if (i == 0)
            atls_put_bytes(w, extensions);
        atls_close_vec(w, m);
    }
    atls_close_vec(w, list);
    atls_close_vec(w, message);
}

enum atls_code atls_tls_certificate_verify_decode(struct atls_bytes body, uint16_t *out_scheme,
                                                  struct atls_bytes *out_signature,
                                                  struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_bytes signature;
    uint16_t scheme;

    if (!atls_get_u16(&r, &scheme) || !atls_get_vec(&r, 0, 0xffff, &signature) ||
        !atls_reader_done(&r))
        return malformed(err, "CertificateVerify", r.pos);
    *out_scheme = scheme;
    *out_signature = signature;
    return ATLS_OK;
}

void atls_tls_put_certificate_verify(struct atls_writer *w, uint16_t scheme,
                                     struct atls_bytes signature)
{
    struct atls_mark message, m;

    atls_put_u8(w, ATLS_TLS_CERTIFICATE_VERIFY);
    message = atls_open_vec(w, 0xffffff);
    atls_put_u16(w, scheme);
    m = atls_open_vec(w, 0xffff);
    atls_put_bytes(w, signature);
    atls_close_vec(w, m);
    atls_close_vec(w, message);
}

void atls_tls_put_finished(struct atls_writer *w, struct atls_bytes mac)
{
    struct atls_mark message;

    atls_put_u8(w, ATLS_TLS_FINISHED);
    message = atls_open_vec(w, 0xffffff);
    atls_put_bytes(w, mac);
    atls_close_vec(w, message);
}
