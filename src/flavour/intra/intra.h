/* Intra-handshake attestation (draft-fossati-seat-early-attestation-06, docs/intra.md): everything
 * of one connection that knows no TLS library. Bytes of the extension in and out, whole handshake
 * messages in, binders and the evidence that they bind, post-conditions. No I/O.
 *
 *     atls_intra_new(config, ATLS_ROLE_SERVER, &intra, &err);
 *     atls_intra_message(intra, message, true, &err);                   every handshake message
 *     atls_intra_extension_in(intra, ATLS_INTRA_CH, 0, data, &err);     ClientHello
 *     atls_intra_check_choice(intra, &err);                             before ServerHello
 *     atls_intra_extension_out(intra, ATLS_INTRA_EE, 0, &out, &err);    out.ptr NULL: nothing there
 *     atls_intra_extension_out(intra, ATLS_INTRA_CR, 0, &out, &err);
 *     if (atls_intra_wants_own_cmw(intra)) {                            before Certificate
 *         atls_intra_proof(intra, own_spki, &proof, &err);
 *         ... atls_proof_make, or a job ...
 *         atls_intra_set_own_cmw(intra, cmw, &err);
 *     }
 *     atls_intra_extension_out(intra, ATLS_INTRA_CT, 0, &out, &err);
 *     atls_intra_extension_in(intra, ATLS_INTRA_CT, entry, data, &err); the peer's Certificate
 *     if (atls_intra_judges(intra)) {                                   once its chain is there
 *         atls_intra_judgement(intra, peer_spki, &judgement, &err);
 *         ... chain and name are filled in, atls_judge, or a job ...
 *         atls_intra_set_judged(intra, technology, &err);
 *     }
 *     atls_intra_finish(intra, &facts, &err);                           handshake done
 *
 * Every function that fails makes the connection unfit for good: each later call gives the same
 * error, so that a callback that cannot report one loses nothing. What to tell the peer is
 * atls_intra_alert(&err). One thread at a time. */
#ifndef ATLS_FLAVOUR_INTRA_INTRA_H
#define ATLS_FLAVOUR_INTRA_INTRA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/config.h>
#include <atls/ea.h>

#include "flavour/base/judge.h"

/* Extension type where the configuration names none: private use (RFC 8446 section 11), because
 * IANA has assigned none. */
#define ATLS_INTRA_EXTENSION_TYPE 0xff90

/* Messages that may carry the extension; elsewhere it is illegal. */
enum atls_intra_place {
    ATLS_INTRA_CH = 1, /* ClientHello */
    ATLS_INTRA_EE = 2, /* EncryptedExtensions */
    ATLS_INTRA_CR = 3, /* CertificateRequest */
    ATLS_INTRA_CT = 4, /* Certificate, first entry */
};

struct atls_intra; /* one connection */

/* State of one connection, by what config offers and requires; holds a reference of it. Errors:
 * ATLS_E_CONFIG (nothing to offer, names that no scheme can carry), ATLS_E_LIMIT (too many
 * schemes), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_intra_new(struct atls_config *config, enum atls_role role,
                                              struct atls_intra **out, struct atls_err *err);
void atls_intra_free(struct atls_intra *intra); /* wiped; NULL is fine */

/* One handshake message with its 4-byte header, in the order of the wire, of both directions and
 * from the first ClientHello on, as a message callback of the TLS library sees it. Those after
 * ServerHello may be left out. Errors: ATLS_E_PROTOCOL with reason transcript (out of order, a
 * message that cannot be), ATLS_E_LIMIT (a hello that is too large), ATLS_E_TLS with reason
 * tls-version (a suite that is not of TLS 1.3), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_intra_message(struct atls_intra *intra, struct atls_bytes whole,
                                                  bool from_client, struct atls_err *err);

/* Content of the extension of ours in this place; out->ptr is NULL where the message goes without
 * it: what was not negotiated, and entries of Certificate after the first. *out borrows from intra
 * until the next call. The ClientHello after a HelloRetryRequest carries the same bytes. A server
 * calls EE before CR. Errors: ATLS_E_USAGE (a place that is not of this role), ATLS_E_PROTOCOL as
 * atls_intra_check_choice, ATLS_E_USAGE for CT when evidence is due and was not set. */
ATLS_MUST_CHECK enum atls_code atls_intra_extension_out(struct atls_intra *intra,
                                                        enum atls_intra_place place, size_t entry,
                                                        struct atls_bytes *out,
                                                        struct atls_err *err);
/* The extension as the peer sent it in this place; entry counts the entries of Certificate from 0
 * and is 0 elsewhere. Errors: ATLS_E_DECODE (malformed), ATLS_E_PROTOCOL with reason
 * extension-misplaced (a place that is not of the peer, twice, a later entry of Certificate, a
 * second ClientHello that differs), scheme-not-offered (EE or CR chose what we did not offer),
 * extension-not-offered (Certificate carries it without EE or CR having chosen),
 * unsupported-attestation-schemes (the server finds nothing in common),
 * attestation-required (or not for a side that we require), scheme-mismatch (the CMW is not of the
 * scheme that was chosen), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_intra_extension_in(struct atls_intra *intra,
                                                       enum atls_intra_place place, size_t entry,
                                                       struct atls_bytes data,
                                                       struct atls_err *err);

/* Is what was negotiated enough? With peer_optional it is without the peer's side. A server asks
 * once it has read ClientHello, a client once it has read the server's Certificate (in the callback
 * that verifies it); extensions that come later are illegal. Errors: ATLS_E_PROTOCOL with reason
 * attestation-required: a side that the configuration requires was left out, or both were. */
ATLS_MUST_CHECK enum atls_code atls_intra_check_choice(struct atls_intra *intra,
                                                       struct atls_err *err);

/* SERVER_HANDSHAKE_TRAFFIC_SECRET of this connection, for configurations with secret_binder alone
 * (which fail without it); copied, and wiped as soon as the binders are made. Errors: ATLS_E_USAGE
 * (not asked for, length that is no digest's, called twice with different secrets). */
ATLS_MUST_CHECK enum atls_code
atls_intra_set_secret(struct atls_intra *intra, struct atls_bytes secret, struct atls_err *err);

/* True once it was negotiated that we attest; false again when the CMW was set. */
bool atls_intra_wants_own_cmw(const struct atls_intra *intra);
/* What to make our CMW of: all members are filled in; config is borrowed from intra. spki is the
 * key of our own end-entity certificate, DER. Call it when ServerHello has passed. Errors:
 * ATLS_E_USAGE (nothing negotiated, no spki), ATLS_E_PROTOCOL with reason transcript (no
 * ServerHello yet), ATLS_E_CERTIFICATE with reason equal-keys (both sides attest one key),
 * ATLS_E_CONFIG (secret_binder without the secret), ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_intra_proof(struct atls_intra *intra, struct atls_bytes spki,
                                                struct atls_proof *out, struct atls_err *err);
/* What was made of the proof, copied. Errors: ATLS_E_USAGE (no proof was asked for, or the CMW was
 * set before), ATLS_E_LIMIT (empty, or more than 65528 bytes), ATLS_E_INTERNAL with reason
 * scheme-mismatch (our own attester made something else than was negotiated), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_intra_set_own_cmw(struct atls_intra *intra,
                                                      struct atls_bytes cmw, struct atls_err *err);

/* True once it was negotiated that the peer attests; false again when it was judged. */
bool atls_intra_judges(const struct atls_intra *intra);
/* True once it was negotiated that the peer attests, whatever came of it: what a client knows once
 * it has read the server's Certificate, a server once it has read ClientHello. */
bool atls_intra_peer_attests(const struct atls_intra *intra);
/* What to judge the peer by: config, role, spki, cmw and binder are filled in, the rest is zero and
 * the caller's. spki is the key of the peer's end-entity certificate, as it stands there (DER).
 * *out borrows from intra and spki. Errors: as atls_intra_proof; ATLS_E_EVIDENCE with reason
 * not-attested when no CMW came. */
ATLS_MUST_CHECK enum atls_code atls_intra_judgement(struct atls_intra *intra,
                                                    struct atls_bytes spki,
                                                    struct atls_judgement *out,
                                                    struct atls_err *err);
/* atls_judge accepted the peer; technology is atls_result_evidence_type of its result. Errors:
 * ATLS_E_USAGE (no atls_intra_judgement before), ATLS_E_EVIDENCE with reason scheme-mismatch
 * (evidence of another technology than was negotiated). */
ATLS_MUST_CHECK enum atls_code atls_intra_set_judged(struct atls_intra *intra,
                                                     const char *technology, struct atls_err *err);

/* What the TLS library says of the finished handshake. */
struct atls_intra_facts {
    uint16_t version; /* as on the wire: 0x0304 is TLS 1.3 */
    bool resumed;     /* a pre-shared key or ticket was used */
    bool early_data;  /* sent, or accepted */
};
/* The post-conditions: nobody may use the connection before this said ATLS_OK. TLS 1.3, not
 * resumed, no early data, a whole transcript up to ServerHello, what the configuration requires was
 * negotiated, and what was negotiated came and was accepted. Errors: ATLS_E_TLS with reason
 * tls-version, tls-resumed or tls-early-data; ATLS_E_PROTOCOL with reason transcript or
 * attestation-required; ATLS_E_EVIDENCE with reason not-attested (the peer's is missing, or was not
 * judged; ours was not sent); the first failure of the connection. */
ATLS_MUST_CHECK enum atls_code atls_intra_finish(struct atls_intra *intra,
                                                 const struct atls_intra_facts *facts,
                                                 struct atls_err *err);
bool atls_intra_is_finished(const struct atls_intra *intra); /* atls_intra_finish said ATLS_OK */

/* Alerts of the draft, which has no numbers for them yet, and what goes out in their place: TLS
 * libraries send numbers that they know only. */
struct atls_intra_alert {
    const char *name; /* of the draft: "attestation_required" */
    enum atls_alert stand_in;
    enum atls_reason reason; /* that it is told for; NONE: evidence refused for any reason */
};
extern const struct atls_intra_alert atls_intra_alerts[]; /* ends with name NULL */
/* The alert (1..255) to send for a failure of this connection: its own one, or that of the table,
 * or internal_error when the failure is not the peer's. */
uint8_t atls_intra_alert(const struct atls_err *err);

#endif
