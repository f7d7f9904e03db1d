/* Configuration of attested connections: build it once, share it between connections and threads.
 *
 *     struct atls_config_options options;
 *     atls_config_options_init(&options);
 *     options.require_peer = true;
 *     options.verifier = verifier;
 *     options.policy = policy;
 *     options.identity = ATLS_IDENTITY_PKIX;
 *     options.anchors = anchors_pem;
 *     atls_config_new(&options, &config, &err);
 *
 * Everything that is missing for what is asked is an error here, never a warning later. */
#ifndef ATLS_CONFIG_H
#define ATLS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/attester.h>
#include <atls/bytes.h>
#include <atls/clock.h>
#include <atls/log.h>
#include <atls/passport.h>
#include <atls/policy.h>
#include <atls/verifier.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the certificate of the peer's AIK is judged (docs/identity.md). There is no default: who asks
 * for a peer's attestation says which. */
enum atls_identity {
    ATLS_IDENTITY_NONE = 0,
    ATLS_IDENTITY_PKIX = 1,     /* chain and name validated against anchors */
    ATLS_IDENTITY_SAME_KEY = 2, /* AIK equals the TLS leaf key, whose chain TLS validated */
    ATLS_IDENTITY_ATTESTED = 3, /* self-signed: trusted through evidence alone; must be asked for */
};

/* How attestation is carried (docs/flavours.md). */
enum atls_flavour {
    /* "post": in exported authenticators after the handshake (RFC 9261, draft-fossati-seat-expat).
     * The default, and the safest. */
    ATLS_FLAVOUR_POST = 0,
    /* "intra": in the handshake, by a TLS extension (draft-fossati-seat-early-attestation). */
    ATLS_FLAVOUR_INTRA = 1,
    /* "pre": in the certificate, made before the connection (RA-TLS). Bound to the key only, not to
     * the connection. */
    ATLS_FLAVOUR_PRE = 2,
};
/* "post", "intra", "pre"; "" for another number. Static. */
ATLS_API const char *atls_flavour_name(enum atls_flavour flavour);

/* How new the evidence of certificates must be (ATLS_FLAVOUR_PRE). There is no default. */
enum atls_freshness {
    ATLS_FRESHNESS_UNSAID = 0,
    ATLS_FRESHNESS_NONE = 1,  /* as old as the certificate: replays pass, until it expires */
    ATLS_FRESHNESS_NONCE = 2, /* answers a nonce of this handshake (docs/flavours.md) */
};

/* What follows a re-attestation that fails or is late. */
enum atls_on_failure { ATLS_ON_FAILURE_CLOSE = 0, ATLS_ON_FAILURE_GATE = 1 };

/* Of certificate_max_age_s: 50 years of 365 days. There is no age without end. */
#define ATLS_CERTIFICATE_MAX_AGE_S 1576800000

struct atls_config_options {
    size_t size; /* of this struct, set by init */

    /* Our own attestation: with an attester we answer requests; require_self says that a connection
     * on which the peer does not ask for it is refused. */
    struct atls_attester *attester; /* referenced, or NULL */
    bool require_self;

    /* The peer's attestation. require_peer needs verifier, policy and identity. */
    bool require_peer;
    struct atls_verifier *verifier; /* referenced */
    struct atls_policy *policy;     /* referenced */
    enum atls_identity identity;
    struct atls_bytes anchors; /* PEM for pkix, copied; or empty */
    bool system_anchors;       /* pkix: what the system trusts, too */
    /* Evidence technologies accepted, NULL-terminated; NULL: every secure one that the build knows,
     * and of results every secure one that their Verifier knows. */
    const char *const *evidence_types;

    const char *const
        *inner_protocols; /* ALPN names spoken behind the gate, NULL-terminated, or NULL */
    bool raw; /* framing ends when the gate opens; needs both sides; no re-attestation */

    /* Deadlines and limits; 0 in none of them means unlimited. */
    uint32_t gate_timeout_ms;     /* handshake end to open gate, and how long evidence of ours may
                                     wait for that of others; default 30000 */
    uint32_t answer_timeout_ms;   /* re-attestation request to accepted answer; default 30000 */
    uint32_t reattest_interval_s; /* ask again this often; 0: only on demand */
    uint32_t peer_requests_per_minute;  /* more from the peer is a flood; default 12 */
    uint32_t peer_requests_outstanding; /* default 4 */
    uint32_t frames_before_gate;        /* default 64 */
    uint32_t bytes_before_gate;         /* default 1 MiB */
    enum atls_on_failure on_failure;

    struct atls_clock clock;
    struct atls_log log;

    /* Certificate revocation lists for pkix (PEM, one or many, copied; or empty): a certificate of
     * an issuer that has one is refused when it is listed, or once the list is out of date. */
    struct atls_bytes crls;

    /* A result to show instead of evidence to a peer that takes results (atls/passport.h); of the
     * same attester. Referenced, or NULL. */
    struct atls_passport *passport;
    bool passport_only; /* never show evidence itself */

    /* Profiles that evidence of the peer may come in, by name, NULL-terminated
     * (atls_evidence_profile_find); NULL: "kat-bundle" and "kat-batch". */
    const char *const *profiles;

    enum atls_flavour flavour;
    enum atls_freshness freshness; /* pre: required; of the peer's evidence, or without
                                      require_peer of ours */
    /* intra: number of the TLS extension, which the draft has not got yet: 65280 or 65282 to 65535
     * (private use), the same at both ends; 0: 65424. */
    uint16_t extension_type;
    /* intra: the binder also hangs on the handshake traffic secret. Not of the draft: both ends
     * must ask for it. */
    bool secret_binder;
    /* intra: name of the Verifier whose results verifier takes, and of the one that passport
     * obtains them from, as both ends call it: UTF-8, 1 to 255 bytes; copied. */
    const char *accepted_verifier, *passport_verifier;
    /* pre: how long certificates of ours are valid, 60 to 31622400 (366 days); 0: 86400. */
    uint32_t certificate_lifetime_s;
    /* pre, freshness none: a peer's certificate whose notBefore is longer ago is refused, however
     * long it says that it is valid; 1 to ATLS_CERTIFICATE_MAX_AGE_S; 0: 604800 (7 days). */
    uint32_t certificate_max_age_s;

    /* With require_peer: the peer is asked to attest, and passes without it, as struct atls_peer
     * says (unattested). INSECURE where nobody looks at that. A peer that shows anything is judged
     * by all the rules, and refused when it fails. Who shows nothing is authenticated by TLS alone:
     * a server must be, or is refused, and by name: a client has TLS check it (SSL_set1_host), or
     * its connection fails with ATLS_E_CONFIG; in intra and pre identity pkix checks peer_name. */
    bool peer_optional;
};

ATLS_API void atls_config_options_init(struct atls_config_options *options);

struct atls_config; /* immutable once built, reference counted, share freely */

/* Errors: ATLS_E_CONFIG, naming the option: nothing to do (neither attester nor require_peer),
 * peer_optional without require_peer,
 * require_peer without verifier, policy or identity, pkix without anchors, require_self without
 * attester, passport without attester, profiles without require_peer, empty or unknown,
 * passport_only without passport, raw with reattest_interval_s, a zero limit, anchors or crls
 * without pkix, an option of one flavour with another, pre without freshness, intra with results of
 * a Verifier without a name or such as
 * are to echo the binder; ATLS_E_DECODE for anchors and crls; ATLS_E_UNSUPPORTED and
 * ATLS_E_LIMIT for crls (as atls_store_import_crls); ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_config_new(const struct atls_config_options *options,
                                                        struct atls_config **out,
                                                        struct atls_err *err);
ATLS_API struct atls_config *atls_config_ref(struct atls_config *c);
ATLS_API void atls_config_unref(struct atls_config *c); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
