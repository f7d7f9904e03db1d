/* The extension in its four places: what we put there, and the rules for what the peer put there
 * (draft-fossati-seat-early-attestation-06, "Negotiation"). */
#include <string.h>

#include "core/err.h"
#include "flavour/intra/state.h"

static const char *name_of(enum atls_intra_place place)
{
    static const char *const names[] = {
        [ATLS_INTRA_CH] = "ClientHello",
        [ATLS_INTRA_EE] = "EncryptedExtensions",
        [ATLS_INTRA_CR] = "CertificateRequest",
        [ATLS_INTRA_CT] = "Certificate",
    };

    return (size_t)place < sizeof names / sizeof names[0] && names[place] != NULL ? names[place]
                                                                                  : "unknown place";
}

/* True for messages that this role sends. */
static bool is_sent_by(enum atls_role role, enum atls_intra_place place)
{
    switch (place) {
    case ATLS_INTRA_CH:
        return role == ATLS_ROLE_CLIENT;
    case ATLS_INTRA_EE:
    case ATLS_INTRA_CR:
        return role == ATLS_ROLE_SERVER;
    case ATLS_INTRA_CT:
        return true;
    }
    return false;
}

static enum atls_code misplaced(struct atls_err *err, enum atls_intra_place place, const char *what)
{
    return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_MISPLACED,
                           ATLS_ALERT_ILLEGAL_PARAMETER, "remoteAttestation in %s: %s",
                           name_of(place), what);
}

/* ---- what is negotiated ---- */

static enum atls_code required(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_ATTESTATION_REQUIRED,
                            "remoteAttestation: %s", what);
}

/* Left out, this side of the peer ends the connection. */
static bool insists(const struct atls_config_options *o)
{
    return o->require_peer && !o->peer_optional;
}

enum atls_code atls_intra_choice(const struct atls_intra *intra, struct atls_err *err)
{
    const struct atls_config_options *o = &intra->config->options;

    if (intra->hellos == 1 && atls_intra_has_hellos(intra) &&
        atls_transcript_retried(intra->transcript))
        return misplaced(err, ATLS_INTRA_CH, "was left out after HelloRetryRequest");
    if (insists(o) && intra->peer.scheme == NULL)
        return required(err, "the peer did not agree to attest, which we require");
    if (o->require_self && intra->own.scheme == NULL)
        return required(err, "the peer does not ask for our attestation, which we require");
    if (intra->role == ATLS_ROLE_CLIENT && intra->peer.scheme == NULL &&
        intra->own.scheme == NULL && !o->peer_optional)
        return required(err, "the server chose nothing of what we offered");
    return ATLS_OK;
}

enum atls_code atls_intra_check_choice(struct atls_intra *intra, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    return code != ATLS_OK ? code : atls_intra_settle(intra, atls_intra_choice(intra, e), e);
}

/* The first scheme of the peer's list that we know, too. */
static enum atls_code choose(struct atls_intra_side *side, struct atls_bytes offered,
                             struct atls_err *err)
{
    const struct atls_intra_scheme *scheme;
    struct atls_early_scheme encoded;
    enum atls_code code;

    while (atls_early_next(&offered, &encoded)) {
        if ((scheme = atls_intra_schemes_find(&side->schemes, &encoded)) == NULL)
            continue;
        if ((code = atls_buf_copy(&side->choice, encoded.whole, err)) == ATLS_OK)
            side->scheme = scheme;
        return code;
    }
    return ATLS_OK;
}

static enum atls_code take_offer(struct atls_intra *intra, struct atls_bytes data,
                                 struct atls_err *err)
{
    const struct atls_config_options *o = &intra->config->options;
    struct atls_early_offer offer;
    enum atls_code code;

    if ((code = atls_early_offer_decode(data, &offer, err)) != ATLS_OK ||
        (code = atls_buf_copy(&intra->offer, data, err)) != ATLS_OK ||
        (code = choose(&intra->own, offer.server, err)) != ATLS_OK ||
        (code = choose(&intra->peer, offer.client, err)) != ATLS_OK)
        return code;
    if ((o->require_self && intra->own.scheme == NULL) ||
        (insists(o) && intra->peer.scheme == NULL) ||
        (intra->own.scheme == NULL && intra->peer.scheme == NULL))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_UNSUPPORTED_ATTESTATION_SCHEMES,
                                "remoteAttestation: ClientHello offers %zu and %zu bytes of "
                                "schemes for server and client, none in common %s",
                                offer.server.len, offer.client.len,
                                intra->own.scheme == NULL && intra->peer.scheme == NULL
                                    ? "with ours"
                                    : "for a side that we require");
    return ATLS_OK;
}

/* ---- what the peer sent ---- */

/* RFC 8446 section 4.1.2: a second ClientHello says again what the first did. */
static enum atls_code again(struct atls_intra *intra, struct atls_bytes data, struct atls_err *err)
{
    if (!atls_transcript_retried(intra->transcript) || intra->hellos != 1)
        return misplaced(err, ATLS_INTRA_CH, "came twice");
    if (!atls_bytes_equal(atls_buf_bytes(&intra->offer), data))
        return misplaced(err, ATLS_INTRA_CH, "differs after HelloRetryRequest");
    intra->hellos++;
    return ATLS_OK;
}

static enum atls_code in_client_hello(struct atls_intra *intra, struct atls_bytes data,
                                      struct atls_err *err)
{
    if (atls_intra_has_hellos(intra))
        return misplaced(err, ATLS_INTRA_CH, "came after ServerHello");
    if (intra->hellos != 0)
        return again(intra, data, err);
    if (atls_transcript_retried(intra->transcript))
        return misplaced(err, ATLS_INTRA_CH, "only came after HelloRetryRequest");
    intra->hellos = 1;
    return take_offer(intra, data, err);
}

/* EncryptedExtensions and CertificateRequest: exactly a scheme that we offered. */
static enum atls_code in_choice(struct atls_intra *intra, enum atls_intra_place place,
                                struct atls_bytes data, struct atls_err *err)
{
    const bool of_peer = place == ATLS_INTRA_EE;
    struct atls_intra_side *side = of_peer ? &intra->peer : &intra->own;
    struct atls_early_scheme chosen;
    struct atls_early_offer offer;
    enum atls_code code;

    if ((code = atls_early_choice_decode(data, &chosen, err)) != ATLS_OK ||
        (code = atls_early_offer_decode(atls_buf_bytes(&intra->offer), &offer, err)) != ATLS_OK)
        return code;
    if (!atls_early_contains(of_peer ? offer.server : offer.client, chosen.whole))
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_SCHEME_NOT_OFFERED,
                               ATLS_ALERT_ILLEGAL_PARAMETER,
                               "remoteAttestation in %s: the server chose a scheme that was not "
                               "offered",
                               name_of(place));
    side->scheme = atls_intra_schemes_find(&side->schemes, &chosen);
    return side->scheme != NULL ? ATLS_OK
                                : atls_fail(err, ATLS_E_INTERNAL,
                                            "remoteAttestation: a scheme that we offered is not "
                                            "ours");
}

static enum atls_code in_certificate(struct atls_intra *intra, size_t entry, struct atls_bytes data,
                                     struct atls_err *err)
{
    struct atls_bytes cmw;
    enum atls_code code;

    if (entry != 0)
        return misplaced(err, ATLS_INTRA_CT, "stands in an entry after the first");
    if (intra->peer.scheme == NULL)
        return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_EXTENSION_NOT_OFFERED,
                               ATLS_ALERT_UNSUPPORTED_EXTENSION,
                               "remoteAttestation in Certificate: nothing was negotiated for the "
                               "peer");
    if ((code = atls_intra_choice(intra, err)) != ATLS_OK ||
        (code = atls_early_cmw_decode(data, &cmw, err)) != ATLS_OK ||
        (code = atls_intra_scheme_check(intra->peer.scheme, cmw, err)) != ATLS_OK)
        return code;
    return atls_buf_copy(&intra->peer.cmw, cmw, err);
}

static enum atls_code extension_in(struct atls_intra *intra, enum atls_intra_place place,
                                   size_t entry, struct atls_bytes data, struct atls_err *err)
{
    const enum atls_role sender =
        intra->role == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;

    if (!is_sent_by(sender, place))
        return misplaced(err, place, "is no message of the peer");
    if (place == ATLS_INTRA_CH)
        return in_client_hello(intra, data, err);
    if (!atls_intra_has_hellos(intra))
        return misplaced(err, place, "came before ServerHello");
    if (intra->finished)
        return misplaced(err, place, "came after the handshake");
    if (entry == 0 && place <= intra->last)
        return misplaced(err, place, "came twice, or out of order");
    intra->last = place;
    return place == ATLS_INTRA_CT ? in_certificate(intra, entry, data, err)
                                  : in_choice(intra, place, data, err);
}

enum atls_code atls_intra_extension_in(struct atls_intra *intra, enum atls_intra_place place,
                                       size_t entry, struct atls_bytes data, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    enum atls_code code = atls_intra_begin(intra, e);

    if (code != ATLS_OK)
        return code;
    return atls_intra_settle(intra, extension_in(intra, place, entry, data, e), e);
}

/* ---- what we send ---- */

static enum atls_code out_certificate(struct atls_intra *intra, size_t entry,
                                      struct atls_bytes *out, struct atls_err *err)
{
    if (entry != 0 || intra->own.scheme == NULL)
        return ATLS_OK;
    if (intra->own.cmw.len == 0)
        return atls_fail(err, ATLS_E_USAGE,
                         "remoteAttestation: Certificate goes out, and its CMW was not set");
    intra->own.done = true;
    *out = atls_buf_bytes(&intra->own.cmw);
    return ATLS_OK;
}

static enum atls_code extension_out(struct atls_intra *intra, enum atls_intra_place place,
                                    size_t entry, struct atls_bytes *out, struct atls_err *err)
{
    enum atls_code code;

    if (!is_sent_by(intra->role, place))
        return atls_fail(err, ATLS_E_USAGE, "remoteAttestation: %s is no message of ours",
                         name_of(place));
    if (place == ATLS_INTRA_CH) {
        *out = atls_buf_bytes(&intra->offer);
        return ATLS_OK;
    }
    if (!atls_intra_has_hellos(intra))
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_TRANSCRIPT,
                                "remoteAttestation: %s goes out, and no ServerHello was seen",
                                name_of(place));
    if ((code = atls_intra_choice(intra, err)) != ATLS_OK)
        return code;
    if (place == ATLS_INTRA_CT)
        return out_certificate(intra, entry, out, err);
    *out = atls_buf_bytes(place == ATLS_INTRA_EE ? &intra->own.choice : &intra->peer.choice);
    return ATLS_OK;
}

enum atls_code atls_intra_extension_out(struct atls_intra *intra, enum atls_intra_place place,
                                        size_t entry, struct atls_bytes *out, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_bytes data = {NULL, 0};
    enum atls_code code = atls_intra_begin(intra, e);

    if (code != ATLS_OK)
        return code;
    code = atls_intra_settle(intra, extension_out(intra, place, entry, &data, e), e);
    if (code == ATLS_OK)
        *out = data;
    return code;
}
