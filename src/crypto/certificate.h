/* Certificates and revocation lists of makers that follow no common profile: parsed once, then
 * asked piece by piece. What RFC 5280 path validation can do, crypto.h does; this is for chains
 * whose order, names, extensions and pins a specification lists one by one (AMD's and Intel's).
 *
 * Immutable once built, reference counted, any thread. */
#ifndef ATLS_CRYPTO_CERTIFICATE_H
#define ATLS_CRYPTO_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"

struct atls_certificate;

/* One DER certificate of version 3 (RFC 5280 section 4.1), copied, exactly consumed. Errors:
 * ATLS_E_DECODE (malformed), ATLS_E_LIMIT (256 KiB, 64 extensions), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_certificate_parse(struct atls_bytes der, struct atls_certificate **out, struct atls_err *err);
struct atls_certificate *atls_certificate_ref(struct atls_certificate *c);
void atls_certificate_unref(struct atls_certificate *c); /* NULL is fine */

/* These borrow from c. */
struct atls_bytes atls_certificate_der(const struct atls_certificate *c);
struct atls_bytes
atls_certificate_serial(const struct atls_certificate *c); /* content of the INTEGER */
struct atls_bytes atls_certificate_subject(const struct atls_certificate *c); /* Name, DER */
struct atls_bytes atls_certificate_issuer(const struct atls_certificate *c);
/* The bytes of the only commonName as they stand (UTF8String, PrintableString, IA5String); empty
 * when there is none or more than one. */
struct atls_bytes atls_certificate_subject_cn(const struct atls_certificate *c);
struct atls_bytes atls_certificate_issuer_cn(const struct atls_certificate *c);
int64_t atls_certificate_not_before_s(const struct atls_certificate *c);
int64_t atls_certificate_not_after_s(const struct atls_certificate *c);
/* basicConstraints say so, critical or not, and keyUsage, where there is one, allows it. */
bool atls_certificate_is_ca(const struct atls_certificate *c);
int atls_certificate_path_length(const struct atls_certificate *c);     /* -1: not limited */
bool atls_certificate_is_self_issued(const struct atls_certificate *c); /* subject equals issuer */
/* The public key; NULL when it is of a type that atls_key_from_spki refuses. */
const struct atls_key *atls_certificate_key(const struct atls_certificate *c);
struct atls_key *atls_certificate_key_ref(const struct atls_certificate *c);

/* Content of the extension's extnValue (inside its OCTET STRING) by the content octets of its OID.
 * *out_count is how often it stands there: 0 leaves *out empty. */
struct atls_bytes atls_certificate_extension(const struct atls_certificate *c,
                                             struct atls_bytes oid, size_t *out_count);

/* True when each critical extension is known: basicConstraints, keyUsage, extKeyUsage and
 * subjectAltName (RFC 5280), or one of the count OIDs (content octets). */
bool atls_certificate_understood(const struct atls_certificate *c, const struct atls_bytes *oids,
                                 size_t count);
/* A certificate that names itself as its issuer is signed with its own key, by any algorithm of
 * libcrypto that is worth 112 bits. Errors: ATLS_E_CERTIFICATE with reason chain-issuer (another
 * issuer), chain-signature; ATLS_E_UNSUPPORTED with reason unsupported-algorithm (algorithm or
 * key), ATLS_E_DECODE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_certificate_verify_self(const struct atls_certificate *c,
                                                            struct atls_err *err);

/* How a maker signs: the one algorithm that certificates and lists may have. */
enum atls_certificate_signature {
    ATLS_SIGNED_ECDSA_P256_SHA256 = 1, /* Intel */
    ATLS_SIGNED_RSA_PSS_SHA384 = 2,    /* AMD: MGF1 with SHA-384, salt of 48 */
};

/* child names issuer as its issuer (byte for byte), has no critical extension but basicConstraints
 * and keyUsage, and verifies under the issuer's key with just that algorithm. Errors:
 * ATLS_E_CERTIFICATE with reason chain-issuer (name), none (extension), chain-signature (algorithm,
 * signature); ATLS_E_CRYPTO, ATLS_E_NOMEM. Time, CA flags and names are the caller's. */
ATLS_MUST_CHECK enum atls_code atls_certificate_issued_by(const struct atls_certificate *child,
                                                          const struct atls_certificate *issuer,
                                                          enum atls_certificate_signature algorithm,
                                                          struct atls_err *err);
/* Validity at time_s, both ends included. Errors: ATLS_E_CERTIFICATE with reason
 * certificate-expired or certificate-not-yet-valid, naming the subject. */
ATLS_MUST_CHECK enum atls_code atls_certificate_check_time(const struct atls_certificate *c,
                                                           int64_t time_s, struct atls_err *err);

/* What a list must be good for. */
struct atls_revocation_check {
    struct atls_bytes crl;                 /* DER, exactly one list */
    const struct atls_certificate *issuer; /* that must have issued and signed it */
    enum atls_certificate_signature algorithm;
    int64_t time_s;
};
/* Verifies the list, its window (thisUpdate <= time < nextUpdate), and that none of certificates
 * is on it (those of another issuer are not looked up). *out_next_update_s may be NULL. Errors:
 * ATLS_E_CERTIFICATE with reason crl-signature (issuer's name and usage, algorithm, signature, a
 * list that is not of all its certificates), crl-expired (also not yet valid), certificate-revoked;
 * ATLS_E_DECODE (malformed). */
ATLS_MUST_CHECK enum atls_code
atls_revocation_verify(const struct atls_revocation_check *check,
                       const struct atls_certificate *const *certificates, size_t count,
                       int64_t *out_next_update_s, struct atls_err *err);

/* Certificates of PEM text, or one of DER, at most max, each the caller's to unref. Errors:
 * ATLS_E_DECODE, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_certificates_parse(struct atls_bytes text,
                                                       struct atls_certificate **out, size_t max,
                                                       size_t *out_count, struct atls_err *err);

/* A set of certificates that a store trusts. Build, then share: immutable and reference counted
 * afterwards. */
struct atls_certificate_set;
ATLS_MUST_CHECK enum atls_code atls_certificate_set_new(struct atls_certificate_set **out,
                                                        struct atls_err *err);
/* Adds a reference of its own. Errors: ATLS_E_LIMIT (1024), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_certificate_set_add(struct atls_certificate_set *set,
                                                        struct atls_certificate *c,
                                                        struct atls_err *err);
struct atls_certificate_set *atls_certificate_set_ref(struct atls_certificate_set *set);
void atls_certificate_set_unref(struct atls_certificate_set *set); /* NULL is fine */
size_t atls_certificate_set_count(const struct atls_certificate_set *set);
const struct atls_certificate *atls_certificate_set_at(const struct atls_certificate_set *set,
                                                       size_t index);
/* The one with these bytes, or NULL. */
const struct atls_certificate *atls_certificate_set_find(const struct atls_certificate_set *set,
                                                         struct atls_bytes der);

/* Things that were verified once and hold for a time, in an atls_chain_cache beside its chains: a
 * maker's chain with its facts, collateral parsed. tag names the kind of thing; content is all that
 * it was made from (copied, and compared whole: no digest is taken, so a hit costs a comparison);
 * scope is an object whose identity matters as well (the set of anchors), referenced by none. */
struct atls_cached_thing {
    const char *tag;            /* static */
    struct atls_bytes parts[8]; /* content */
    size_t part_count;
    const void *scope;
    uint64_t scope_serial; /* told by atls_certificate_set_serial: an address may be used again */
};
/* Of a set: another for every set that was ever made in this process. */
uint64_t atls_certificate_set_serial(const struct atls_certificate_set *set);
/* A new reference to what put stored, when time_s lies in its window; else NULL. */
void *atls_chain_cache_get(struct atls_chain_cache *c, const struct atls_cached_thing *key,
                           int64_t time_s);
/* Stores thing (ref and unref are its own); memory that is short is no error: it is not stored. */
void atls_chain_cache_put(struct atls_chain_cache *c, const struct atls_cached_thing *key,
                          int64_t not_before_s, int64_t not_after_s, void *thing,
                          void *(*ref)(void *thing), void (*unref)(void *thing));

#endif
