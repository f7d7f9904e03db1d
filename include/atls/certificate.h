/* Certificates that carry attestation (RA-TLS): made before a connection, shown in its handshake by
 * any TLS library, judged offline (docs/pre.md). For connections of this kind configure
 * ATLS_FLAVOUR_PRE (atls/config.h).
 *
 *     struct atls_ra_certificate_options o;
 *     atls_ra_certificate_options_init(&o);
 *     o.attester = attester;
 *     o.dns_names = names;
 *     atls_ra_certificate_make(&o, &der, &err);
 *
 * What it shows is bound to the key of the certificate, not to a connection: whoever holds that key
 * can show the certificate until it expires. */
#ifndef ATLS_CERTIFICATE_H
#define ATLS_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/attester.h>
#include <atls/bytes.h>
#include <atls/clock.h>
#include <atls/config.h>
#include <atls/ea.h>
#include <atls/passport.h>
#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a nonce that a certificate answers. */
#define ATLS_RA_NONCE_LEN 32

/* Where the conceptual message (RFC 9999) stands in the certificate. */
enum atls_ra_form {
    ATLS_RA_FORM_CMW = 0, /* extension id-pe-cmw, 1.3.6.1.5.5.7.1.35 (RFC 9999) */
    /* Extension 2.23.133.5.4.9 of TCG DICE, which others read, too; not for collections, as which
     * profiles kat-bundle and kat-batch come. */
    ATLS_RA_FORM_DICE = 1,
};

/* Call atls_ra_certificate_options_init first. Everything is borrowed during the call. */
struct atls_ra_certificate_options {
    size_t size;                    /* of this struct, set by init */
    struct atls_attester *attester; /* required: the certificate is for its key, and signed by it */
    struct atls_passport *passport; /* shows a result of it instead of evidence; or NULL */
    struct atls_bytes nonce;        /* to answer, ATLS_RA_NONCE_LEN bytes; empty: none was sent */
    unsigned int profiles;          /* enum atls_evidence_profile of the evidence; 0: kat-bundle and
                                       kat-batch */
    enum atls_ra_form form;
    uint32_t lifetime_s; /* 60 to 31622400 (366 days); default 86400 */
    /* Subject, and DNS names or IP addresses, NULL-terminated; NULL, both: those of the attester's
     * own certificate. */
    const char *common_name;
    const char *const *dns_names;
    uint32_t timeout_ms; /* how long evidence may wait for that of others; 0: without end */
    struct atls_clock clock;
};
ATLS_API void atls_ra_certificate_options_init(struct atls_ra_certificate_options *options);

/* A self-signed certificate, DER, that is valid from a minute before now. Errors: ATLS_E_USAGE
 * (attester, nonce, lifetime, names), ATLS_E_UNSUPPORTED (a collection in form dice), ATLS_E_LIMIT
 * (evidence too large for a certificate), those of the attester and of the passport. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ra_certificate_make(const struct atls_ra_certificate_options *options, struct atls_buf *out,
                         struct atls_err *err);
/* A request for one (PKCS#10, DER), whose extensionRequest holds the same extension: a CA that
 * copies it vouches for names and dates. It cannot answer a nonce. Errors: as
 * atls_ra_certificate_make. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ra_certificate_request(const struct atls_ra_certificate_options *options, struct atls_buf *out,
                            struct atls_err *err);

/* What a certificate says of itself. */
struct atls_ra_certificate_facts {
    const char *form; /* as in struct atls_ra_certificate_verdict */
    bool critical;    /* of the extension */
    bool self_issued; /* names itself as its issuer; the signature is not looked at */
    int64_t not_before_s, not_after_s; /* seconds since 1970 */
    struct atls_bytes spki;            /* DER key as it stands there; borrows from der */
    struct atls_buf cmw; /* what a Verifier is given: a CMW, CBOR; the caller's to clear */
};
/* Takes one certificate (DER) apart; nothing is verified. Errors: ATLS_E_DECODE, ATLS_E_LIMIT,
 * ATLS_E_EVIDENCE (not-attested), ATLS_E_UNSUPPORTED (a CMW in JSON), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ra_certificate_read(struct atls_bytes der, struct atls_ra_certificate_facts *out,
                         struct atls_err *err);

/* What to judge. Call atls_ra_certificate_check_init first; everything is borrowed. */
struct atls_ra_certificate_check {
    size_t size; /* of this struct, set by init */
    /* DER, end entity first, 1 to ATLS_CHAIN_MAX. Where the first is self-signed and the second has
     * the same key, the second and what follows say who that is (identity pkix). */
    const struct atls_bytes *chain;
    size_t chain_len;
    /* With freshness nonce: what was sent, ATLS_RA_NONCE_LEN bytes, used for this certificate alone
     * (the caller sees to that). With freshness none: empty. */
    struct atls_bytes nonce;
    enum atls_role role; /* of the judge: a client judges the certificate of a server */
    /* pkix: DNS name or IP address that it must carry; a client must give it, NULL for a server:
     * any. */
    const char *peer_name;
    bool chain_validated; /* same-key: TLS validated this chain, and so its key */
    /* Of the certificate that carries evidence, its age, too; never those of a PKIX chain. */
    bool ignore_dates;
};
ATLS_API void atls_ra_certificate_check_init(struct atls_ra_certificate_check *check);

/* What was found: as far as judging came, also when it failed. Texts are static. */
struct atls_ra_certificate_verdict {
    struct atls_result *result; /* the caller's to unref; NULL before there was one */
    const char *form;           /* "cmw", "dice"; of others "sgx-quote", "sdk-quote", "oe-evidence",
                                   "oe-report"; "" */
    const char *freshness;      /* "nonce": it answers the nonce; "none"; "" unless accepted */
    int64_t not_before_s, not_after_s; /* seconds since 1970; 0 until it was parsed */
    int64_t age_s; /* since notBefore, which the holder of the key says, or its CA */
    bool expired;  /* it was out of its dates, or too old, which ignore_dates let pass */
};
/* Clears what a verdict holds. NULL is fine. */
ATLS_API void atls_ra_certificate_verdict_clear(struct atls_ra_certificate_verdict *verdict);

/* Judges a certificate by config, which is of ATLS_FLAVOUR_PRE with require_peer: exactly one
 * extension of each kind, the preferred of them; critical extensions all known; a self-signed
 * certificate signed by its own key, which identity attested wants; dates; without a nonce its age
 * (certificate_max_age_s of config); then identity, evidence or result over the key as it stands
 * there and the nonce, technology and policy. A certificate without evidence is refused with
 * peer_optional, too. Forms of others pass only where config names profile
 * "ra-tls". *out is overwritten whatever comes. Errors: ATLS_E_USAGE (chain, nonce, config),
 * ATLS_E_DECODE (malformed), ATLS_E_LIMIT, ATLS_E_EVIDENCE (not-attested, evidence-profile, those
 * of atls_verifier_appraise), ATLS_E_CERTIFICATE (chain-issuer, chain-signature,
 * certificate-expired, certificate-not-yet-valid, certificate-too-old, those of pkix),
 * ATLS_E_UNSUPPORTED (unsupported-algorithm, unknown-evidence-type), ATLS_E_REFUSED (policy). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ra_certificate_judge(struct atls_config *config, const struct atls_ra_certificate_check *check,
                          struct atls_ra_certificate_verdict *out, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
