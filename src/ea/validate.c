#include "ea/ea.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"

struct atls_ea_validation {
    struct atls_ea_keys keys;
    struct atls_buf request; /* empty: spontaneous */
    struct atls_buf context;
    struct atls_ea_offer offer;
    bool used;
};

/* The three messages of an authenticator, or one Finished alone. */
struct messages {
    struct atls_tls_message certificate, verify, finished;
    bool empty;
};

static enum atls_code malformed(struct atls_err *err, const char *what, size_t pos)
{
    return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                           "authenticator: %s near byte %zu", what, pos);
}

static enum atls_code out_of_order(struct atls_err *err, unsigned int type)
{
    return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_UNEXPECTED_MESSAGE,
                           "authenticator: message of type %u is out of order", type);
}

static enum atls_code read_messages(struct atls_bytes in, struct messages *out,
                                    struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct messages m = {.empty = false};
    struct atls_tls_message first;

    if (in.len > ATLS_AUTHENTICATOR_MAX)
        return atls_fail_alert(err, ATLS_E_LIMIT, ATLS_REASON_NONE, ATLS_ALERT_DECODE_ERROR,
                               "authenticator: %zu bytes, at most %d", in.len,
                               ATLS_AUTHENTICATOR_MAX);
    if (!atls_tls_get_message(&r, &first))
        return malformed(err, "cut", r.pos);
    if (first.type == ATLS_TLS_CERTIFICATE_VERIFY)
        return out_of_order(err, first.type);
    if (first.type == ATLS_TLS_FINISHED) {
        m.empty = true;
        m.finished = first;
    } else if (first.type == ATLS_TLS_CERTIFICATE) {
        m.certificate = first;
        if (!atls_tls_get_message(&r, &m.verify))
            return malformed(err, "cut", r.pos);
        if (m.verify.type != ATLS_TLS_CERTIFICATE_VERIFY)
            return out_of_order(err, m.verify.type);
        if (!atls_tls_get_message(&r, &m.finished))
            return malformed(err, "cut", r.pos);
        if (m.finished.type != ATLS_TLS_FINISHED)
            return out_of_order(err, m.finished.type);
    } else {
        return malformed(err, "unknown first message", 0);
    }
    if (!atls_reader_done(&r))
        return malformed(err, "more than its messages", r.pos);
    *out = m;
    return ATLS_OK;
}

enum atls_code atls_ea_get_context(struct atls_bytes in, struct atls_bytes *out,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in), body;
    struct atls_tls_message first;
    struct atls_bytes context;

    if (!atls_tls_get_message(&r, &first))
        return malformed(err, "cut", r.pos);
    if (first.type == ATLS_TLS_FINISHED)
        return atls_fail(err, ATLS_E_NOT_FOUND, "authenticator: an empty one carries no context");
    if (first.type != ATLS_TLS_CERTIFICATE && first.type != ATLS_TLS_CERTIFICATE_REQUEST &&
        first.type != ATLS_TLS_CLIENT_CERTIFICATE_REQUEST)
        return malformed(err, "unknown first message", 0);
    body = atls_reader_init(first.body);
    if (!atls_get_vec(&body, 0, ATLS_EA_CONTEXT_MAX, &context))
        return malformed(err, "cut context", body.pos);
    *out = context;
    return ATLS_OK;
}

/* An extension is there because it was asked for, and where it belongs. */
static enum atls_code check_extension(const struct atls_ea_offer *offer, uint16_t type,
                                      size_t entry, struct atls_err *err)
{
    bool offered = false;

    for (size_t i = 0; i < offer->extension_count; i++)
        offered = offered || offer->extensions[i] == type;
    if (!offered)
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
                               ATLS_ALERT_UNSUPPORTED_EXTENSION,
                               "Certificate: entry %zu has extension %u, which was not offered",
                               entry, (unsigned int)type);
    if (atls_tls_extension_misplaced(type, ATLS_TLS_IN_ENTRY))
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER,
                               "Certificate: extension %u may not stand in an entry",
                               (unsigned int)type);
    if (type == ATLS_EA_CMW_ATTESTATION && entry != 0)
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER,
                               "Certificate: cmw_attestation in entry %zu, want entry 0", entry);
    return ATLS_OK;
}

static enum atls_code check_extensions(const struct atls_ea_offer *offer,
                                       const struct atls_tls_certificate *c, struct atls_err *err)
{
    struct atls_bytes data;
    enum atls_code code;
    uint16_t type;

    for (size_t i = 0; i < c->count; i++) {
        struct atls_reader r = atls_reader_init(c->entries[i].extensions);

        if ((code = atls_tls_check_extensions(c->entries[i].extensions, "Certificate entry",
                                              err)) != ATLS_OK)
            return code;
        while (atls_tls_get_extension(&r, &type, &data))
            if ((code = check_extension(offer, type, i, err)) != ATLS_OK)
                return code;
    }
    return ATLS_OK;
}

/* cmw_data <1..2^16-1> of entry 0, if it is there. */
static enum atls_code read_cmw(const struct atls_tls_certificate *c, struct atls_ea_peer *peer,
                               struct atls_err *err)
{
    struct atls_bytes data;
    struct atls_reader r;

    if (!atls_tls_find_extension(c->entries[0].extensions, ATLS_EA_CMW_ATTESTATION, &data))
        return ATLS_OK;
    r = atls_reader_init(data);
    if (!atls_get_vec(&r, 1, 0xffff, &peer->cmw) || !atls_reader_done(&r))
        return malformed(err, "cmw_attestation", r.pos);
    peer->attested = true;
    return ATLS_OK;
}

static enum atls_code check_certificate(const struct atls_ea_validation *v, struct atls_bytes body,
                                        struct atls_ea_peer *peer, struct atls_err *err)
{
    struct atls_tls_certificate c;
    enum atls_code code;

    if ((code = atls_tls_certificate_decode(body, &c, err)) != ATLS_OK)
        return code;
    if (!atls_bytes_equal(c.context, atls_buf_bytes(&v->context)))
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_CONTEXT_MISMATCH,
                               ATLS_ALERT_ILLEGAL_PARAMETER,
                               "Certificate: certificate_request_context is not the request's");
    if ((code = check_extensions(&v->offer, &c, err)) != ATLS_OK ||
        (code = read_cmw(&c, peer, err)) != ATLS_OK)
        return code;
    peer->context = c.context;
    peer->chain_len = c.count;
    for (size_t i = 0; i < c.count; i++)
        peer->chain[i] = c.entries[i].certificate;
    return atls_certificate_spki(peer->chain[0], &peer->spki, err);
}

static enum atls_code check_scheme(const struct atls_ea_validation *v, uint16_t number,
                                   const struct atls_key *key, struct atls_err *err)
{
    enum atls_signature scheme = (enum atls_signature)number;

    if (!atls_ea_offers_scheme(&v->offer, scheme))
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_SCHEME_NOT_OFFERED,
                               ATLS_ALERT_ILLEGAL_PARAMETER,
                               "CertificateVerify: scheme 0x%04x was not offered or may not stand "
                               "there",
                               (unsigned int)number);
    if (atls_signature_find(scheme)->key_type != atls_key_type(key))
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONE, ATLS_ALERT_ILLEGAL_PARAMETER,
                               "CertificateVerify: scheme %s does not fit the certificate's key",
                               atls_signature_find(scheme)->name);
    return ATLS_OK;
}

static enum atls_code check_mac(const struct atls_ea_keys *keys, struct atls_bytes got,
                                const uint8_t want[ATLS_HASH_MAX], struct atls_err *err)
{
    if (!atls_secret_equal(got, atls_bytes_of(want, atls_hash_len(keys->hash))))
        return atls_fail_alert(err, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH,
                               ATLS_ALERT_DECRYPT_ERROR, "Finished: MAC does not match");
    return ATLS_OK;
}

static enum atls_code check_empty(const struct atls_ea_validation *v, struct atls_bytes got,
                                  struct atls_err *err)
{
    uint8_t mac[ATLS_HASH_MAX];
    enum atls_code code;

    if ((code = atls_ea_empty_mac(&v->keys, atls_buf_bytes(&v->request),
                                  atls_buf_bytes(&v->context), mac, err)) == ATLS_OK &&
        (code = check_mac(&v->keys, got, mac, err)) == ATLS_OK)
        code = atls_fail_reason(err, ATLS_E_DECLINED, ATLS_REASON_EMPTY_AUTHENTICATOR,
                                "peer declined to authenticate");
    atls_wipe(mac, sizeof mac);
    return code;
}

/* Finished, then CertificateVerify: the MAC is the cheaper one and proves that the signature comes
 * over this connection. */
static enum atls_code check_proofs(const struct atls_ea_validation *v, const struct messages *m,
                                   struct atls_bytes signature, enum atls_signature scheme,
                                   const struct atls_key *key, struct atls_err *err)
{
    struct atls_digest *transcript = NULL;
    struct atls_buf content = ATLS_BUF_INIT;
    uint8_t mac[ATLS_HASH_MAX];
    struct atls_bytes signed_content;
    enum atls_code code;

    if ((code = atls_ea_transcript(&v->keys, atls_buf_bytes(&v->request), &transcript, err)) !=
        ATLS_OK)
        return code;
    if ((code = atls_digest_add(transcript, m->certificate.whole, err)) == ATLS_OK &&
        (code = atls_ea_signed_content(&v->keys, transcript, &content, err)) == ATLS_OK &&
        (code = atls_digest_add(transcript, m->verify.whole, err)) == ATLS_OK &&
        (code = atls_ea_finished_mac(&v->keys, transcript, mac, err)) == ATLS_OK &&
        (code = check_mac(&v->keys, m->finished.body, mac, err)) == ATLS_OK) {
        signed_content = atls_buf_bytes(&content);
        code = atls_key_verify(key, scheme, &signed_content, 1, signature, err);
    }
    atls_wipe(mac, sizeof mac);
    atls_buf_clear(&content);
    atls_digest_free(transcript);
    return code;
}

static enum atls_code find_key_directly(void *arg, struct atls_bytes spki, struct atls_key **out,
                                        struct atls_err *err)
{
    (void)arg;
    return atls_key_from_spki(spki, out, err);
}

static enum atls_code validate_full(const struct atls_ea_validation *v, const struct messages *m,
                                    atls_ea_find_key *find_key, void *arg, struct atls_ea_peer *out,
                                    struct atls_err *err)
{
    struct atls_ea_peer peer = {.attested = false};
    struct atls_key *key = NULL;
    struct atls_bytes signature;
    enum atls_code code;
    uint16_t scheme;

    if ((code = atls_tls_certificate_verify_decode(m->verify.body, &scheme, &signature, err)) !=
            ATLS_OK ||
        (code = check_certificate(v, m->certificate.body, &peer, err)) != ATLS_OK ||
        (code = find_key(arg, peer.spki, &key, err)) != ATLS_OK)
        return code;
    if ((code = check_scheme(v, scheme, key, err)) == ATLS_OK)
        code = check_proofs(v, m, signature, (enum atls_signature)scheme, key, err);
    atls_key_unref(key);
    if (code != ATLS_OK)
        return code;
    peer.scheme = (enum atls_signature)scheme;
    *out = peer;
    return ATLS_OK;
}

enum atls_code atls_ea_validate_finish(struct atls_ea_validation *v,
                                       struct atls_bytes authenticator, atls_ea_find_key *find_key,
                                       void *arg, struct atls_ea_peer *out, struct atls_err *err)
{
    struct messages m;
    enum atls_code code;

    if (v->used)
        return atls_ea_fail_context_used(err);
    v->used = true;
    if ((code = read_messages(authenticator, &m, err)) != ATLS_OK)
        return code;
    if (m.finished.body.len != atls_hash_len(v->keys.hash))
        return atls_fail_alert(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, ATLS_ALERT_DECODE_ERROR,
                               "Finished: %zu bytes, want %zu", m.finished.body.len,
                               atls_hash_len(v->keys.hash));
    if (m.empty)
        return check_empty(v, m.finished.body, err);
    return validate_full(v, &m, find_key == NULL ? find_key_directly : find_key, arg, out, err);
}

void atls_ea_validation_free(struct atls_ea_validation *v)
{
    if (v == NULL)
        return;
    atls_buf_clear(&v->request);
    atls_buf_clear(&v->context);
    atls_wipe(v, sizeof *v);
    free(v);
}

static enum atls_code new_validation(struct atls_ea *ea, struct atls_bytes request,
                                     struct atls_bytes context, const struct atls_ea_offer *offer,
                                     struct atls_ea_validation **out, struct atls_err *err)
{
    struct atls_ea_validation *v = calloc(1, sizeof *v);
    enum atls_code code;

    if (v == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "authenticator: out of memory");
    v->offer = *offer;
    if ((code = atls_ea_keys_for(ea, atls_ea_peer_role(ea), &v->keys, err)) != ATLS_OK ||
        (code = atls_buf_copy(&v->request, request, err)) != ATLS_OK ||
        (code = atls_buf_copy(&v->context, context, err)) != ATLS_OK) {
        atls_ea_validation_free(v);
        return code;
    }
    *out = v;
    return ATLS_OK;
}

enum atls_code atls_ea_validate_begin(struct atls_ea *ea, struct atls_bytes request_raw,
                                      struct atls_ea_validation **out, struct atls_err *err)
{
    struct atls_ea_validation *v = NULL;
    struct atls_ea_request request;
    struct atls_ea_offer offer;
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    if (atls_ea_request_decode(request_raw, &request, &why) != ATLS_OK)
        return atls_fail(err, ATLS_E_USAGE, "own request: %s", why.message);
    atls_ea_offer_from_request(&request, &offer);
    if ((code = new_validation(ea, request_raw, request.context, &offer, &v, err)) != ATLS_OK)
        return code;
    if ((code = atls_ea_contexts_spend(&ea->contexts, request.context, request_raw, ATLS_EA_OURS,
                                       err)) != ATLS_OK) {
        atls_ea_validation_free(v);
        return code;
    }
    *out = v;
    return ATLS_OK;
}

enum atls_code atls_ea_validate(struct atls_ea *ea, struct atls_bytes request_raw,
                                struct atls_bytes authenticator, struct atls_ea_peer *out,
                                struct atls_err *err)
{
    struct atls_ea_validation *v = NULL;
    enum atls_code code;

    if ((code = atls_ea_validate_begin(ea, request_raw, &v, err)) != ATLS_OK)
        return code;
    code = atls_ea_validate_finish(v, authenticator, NULL, NULL, out, err);
    atls_ea_validation_free(v);
    return code;
}

/* The context that a spontaneous authenticator brings: unused, and room for it is left. */
static enum atls_code fresh_context(const struct atls_ea *ea, struct atls_bytes authenticator,
                                    struct atls_bytes *out, struct atls_err *err)
{
    struct atls_ea_context *known;
    struct messages m;
    enum atls_code code;

    if ((code = read_messages(authenticator, &m, err)) != ATLS_OK)
        return code;
    if (m.empty) /* a refusal answers a request (RFC 9261 section 6) */
        return out_of_order(err, ATLS_TLS_FINISHED);
    if ((code = atls_ea_get_context(authenticator, out, err)) != ATLS_OK ||
        (code = atls_ea_contexts_find(&ea->contexts, *out, &known, err)) != ATLS_OK)
        return code;
    return known == NULL ? ATLS_OK : atls_ea_fail_context_used(err);
}

enum atls_code atls_ea_validate_spontaneous(struct atls_ea *ea,
                                            const struct atls_ea_client_hello *hello,
                                            struct atls_bytes authenticator,
                                            struct atls_ea_peer *out, struct atls_err *err)
{
    const struct atls_bytes no_request = {NULL, 0};
    struct atls_ea_validation *v = NULL;
    struct atls_bytes context = {NULL, 0};
    struct atls_ea_offer offer;
    struct atls_ea_peer peer;
    enum atls_code code;

    if (ea->role != ATLS_ROLE_CLIENT)
        return atls_fail(err, ATLS_E_USAGE, "authenticator: a client sends none without request");
    if ((code = atls_ea_offer_from_hello(hello, &offer, err)) != ATLS_OK ||
        (code = fresh_context(ea, authenticator, &context, err)) != ATLS_OK ||
        (code = new_validation(ea, no_request, context, &offer, &v, err)) != ATLS_OK)
        return code;
    if ((code = atls_ea_validate_finish(v, authenticator, NULL, NULL, &peer, err)) == ATLS_OK)
        code = atls_ea_contexts_add(&ea->contexts, context, no_request, ATLS_EA_SPENT, err);
    atls_ea_validation_free(v);
    if (code == ATLS_OK)
        *out = peer;
    return code;
}
