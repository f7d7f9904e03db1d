/* Cryptography, thin over libcrypto: hashes, key derivation, signature schemes, keys, chains.
 *
 * Nothing above this folder includes an OpenSSL header (the TLS adapter apart). Algorithms are
 * fetched once per process and immutable after; everything here may be called from any thread. */
#ifndef ATLS_CRYPTO_CRYPTO_H
#define ATLS_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/crypto.h>

#define ATLS_HASH_MAX 64

/* Length of a digest in bytes; 0 for ATLS_HASH_NONE and unknown values. */
size_t atls_hash_len(enum atls_hash hash);

/* out receives atls_hash_len(hash) bytes: digest of the concatenation of parts. Errors:
 * ATLS_E_USAGE (hash), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_hash_parts(enum atls_hash hash, const struct atls_bytes *parts,
                                               size_t count, uint8_t out[ATLS_HASH_MAX],
                                               struct atls_err *err);
/* The same over one piece. */
ATLS_MUST_CHECK enum atls_code atls_hash_one(enum atls_hash hash, struct atls_bytes data,
                                             uint8_t out[ATLS_HASH_MAX], struct atls_err *err);
/* A digest in the making, of which intermediate values are needed (the transcript of an
 * authenticator). One thread at a time. Errors: ATLS_E_USAGE (hash), ATLS_E_NOMEM, ATLS_E_CRYPTO.
 */
struct atls_digest;
ATLS_MUST_CHECK enum atls_code atls_digest_new(enum atls_hash hash, struct atls_digest **out,
                                               struct atls_err *err);
/* Appends data. */
ATLS_MUST_CHECK enum atls_code atls_digest_add(struct atls_digest *d, struct atls_bytes data,
                                               struct atls_err *err);
/* The digest of what was added so far; more may follow. */
ATLS_MUST_CHECK enum atls_code atls_digest_peek(const struct atls_digest *d,
                                                uint8_t out[ATLS_HASH_MAX], struct atls_err *err);
void atls_digest_free(struct atls_digest *d); /* NULL is fine */

/* HMAC (RFC 2104). out receives atls_hash_len(hash) bytes, the caller's to wipe. Errors:
 * ATLS_E_USAGE (hash), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_hmac(enum atls_hash hash, struct atls_bytes key,
                                         struct atls_bytes data, uint8_t out[ATLS_HASH_MAX],
                                         struct atls_err *err);

/* HKDF-Expand-Label (RFC 8446 section 7.1) with the prefix given whole ("tls13 " or "dtls13"). out
 * receives out_len bytes, at most 255 times the hash's length, the caller's to wipe; it is wiped on
 * failure. Errors: ATLS_E_USAGE (hash, out_len), ATLS_E_LIMIT (label or context above 255 bytes),
 * ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_hkdf_expand_label(enum atls_hash hash, struct atls_bytes secret,
                                                      const char *prefix, const char *label,
                                                      struct atls_bytes context, uint8_t *out,
                                                      size_t out_len, struct atls_err *err);
/* TLS-Exporter (RFC 8446 section 7.5) from an exporter secret: for tests and for TLS stacks that
 * hand out the secret only. Errors: those of atls_hkdf_expand_label. */
ATLS_MUST_CHECK enum atls_code atls_tls13_exporter(enum atls_hash hash, struct atls_bytes secret,
                                                   const char *prefix, const char *label,
                                                   struct atls_bytes context, uint8_t *out,
                                                   size_t out_len, struct atls_err *err);

/* len bytes fit for nonces and contexts. Errors: ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_random(void *out, size_t len, struct atls_err *err);

/* One row a signature algorithm, with its names in every format. */
struct atls_signature_algorithm {
    enum atls_signature scheme; /* TLS SignatureScheme number */
    const char *name;           /* "ecdsa_secp256r1_sha256" */
    enum atls_key_type key_type;
    enum atls_hash hash;     /* NONE for Ed25519 */
    bool certificate_verify; /* allowed in a TLS 1.3 CertificateVerify */
    int cose_alg;            /* 0 when COSE has none */
    const char *jose_alg;    /* NULL when JOSE has none */
};
/* Rows by their name in TLS, in COSE (which leaves the curve to the key), in JOSE (exact spelling);
 * NULL when there is none. Static storage. */
const struct atls_signature_algorithm *atls_signature_find(enum atls_signature scheme);
const struct atls_signature_algorithm *atls_signature_by_cose(int64_t alg, enum atls_key_type type);
const struct atls_signature_algorithm *atls_signature_by_jose(struct atls_bytes alg);

/* A public key, parsed once. Immutable once built, reference counted, share freely. */
struct atls_key;
/* DER SubjectPublicKeyInfo, exactly consumed; P-256, P-384, P-521, Ed25519, RSA 2048..8192. P-256
 * and P-384 take a fast path that checks the point without the generic decoder. Errors:
 * ATLS_E_DECODE, ATLS_E_UNSUPPORTED, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_key_from_spki(struct atls_bytes spki, struct atls_key **out,
                                                  struct atls_err *err);
/* The type of a key of our own, told by its encoding alone where that suffices: its point is not
 * checked. Errors: as atls_key_from_spki. */
ATLS_MUST_CHECK enum atls_code atls_key_type_of_spki(struct atls_bytes spki,
                                                     enum atls_key_type *out, struct atls_err *err);
/* First block of PEM text, a "PUBLIC KEY" or a "CERTIFICATE"; private keys are refused. Errors:
 * those of atls_key_from_spki, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_key_from_pem(struct atls_bytes pem, struct atls_key **out,
                                                 struct atls_err *err);
/* Another reference, and its end; NULL is fine. Any thread. */
struct atls_key *atls_key_ref(struct atls_key *key);
void atls_key_unref(struct atls_key *key);
struct atls_bytes atls_key_spki(const struct atls_key *key); /* borrows from key */
enum atls_key_type atls_key_type(const struct atls_key *key);
/* PEM "PUBLIC KEY" text, NUL terminated inside out (not counted in len). */
ATLS_MUST_CHECK enum atls_code atls_key_to_pem(const struct atls_key *key, struct atls_buf *out,
                                               struct atls_err *err);

/* Verifies signature over the concatenation of parts. ECDSA signatures are DER SEQUENCE (strict).
 * RSA-PSS: salt length equals digest length. Errors: ATLS_E_VERIFY (reason signature, alert
 * decrypt_error), ATLS_E_UNSUPPORTED when scheme and key type disagree (illegal_parameter). */
ATLS_MUST_CHECK enum atls_code atls_key_verify(const struct atls_key *key,
                                               enum atls_signature scheme,
                                               const struct atls_bytes *parts, size_t count,
                                               struct atls_bytes signature, struct atls_err *err);
/* As atls_key_verify where ECDSA signatures are r || s of fixed width (RFC 9053 section 2.1, RFC
 * 7518 section 3.4). */
ATLS_MUST_CHECK enum atls_code
atls_key_verify_raw(const struct atls_key *key, enum atls_signature scheme, struct atls_bytes tbs,
                    struct atls_bytes signature, struct atls_err *err);
/* r and s as unsigned big-endian integers (leading zeros optional, at most 66 bytes) -> DER.
 * Errors: ATLS_E_DECODE (longer), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_ecdsa_der_from_rs(struct atls_bytes r, struct atls_bytes s,
                                                      struct atls_buf *out, struct atls_err *err);

/* A private key in memory, for the software attester, result signing and tests. Immutable,
 * reference counted; signing may run on several threads at once. */
struct atls_private_key;
/* Another reference; atls_private_key_free ends one. */
struct atls_private_key *atls_private_key_ref(struct atls_private_key *key);
/* A fresh key; RSA has 2048 bits. Errors: ATLS_E_USAGE (type), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_private_key_generate(enum atls_key_type type,
                                                         struct atls_private_key **out,
                                                         struct atls_err *err);
/* PEM text of at most 64 KiB, unencrypted PKCS#8 or traditional; nobody is asked for a password.
 * Errors: ATLS_E_DECODE, ATLS_E_LIMIT, ATLS_E_UNSUPPORTED (type of key). */
ATLS_MUST_CHECK enum atls_code atls_private_key_from_pem(struct atls_bytes pem,
                                                         struct atls_private_key **out,
                                                         struct atls_err *err);
/* PKCS#8 PEM text, NUL terminated inside out (not counted in len): secret, wiped by atls_buf_clear.
 */
ATLS_MUST_CHECK enum atls_code atls_private_key_to_pem(const struct atls_private_key *key,
                                                       struct atls_buf *out, struct atls_err *err);
void atls_private_key_free(struct atls_private_key *key); /* wiped; NULL is fine */
const struct atls_key *atls_private_key_public(const struct atls_private_key *key); /* borrows */
/* Default scheme of the key's type: what it signs CertificateVerify with. */
enum atls_signature atls_private_key_scheme(const struct atls_private_key *key);
/* Signs tbs; ECDSA signatures are DER. Errors: ATLS_E_UNSUPPORTED (scheme unknown or not of this
 * key), ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_private_key_sign(const struct atls_private_key *key,
                                                     enum atls_signature scheme,
                                                     struct atls_bytes tbs, struct atls_buf *out,
                                                     struct atls_err *err);
/* The same with ECDSA as r || s. */
ATLS_MUST_CHECK enum atls_code
atls_private_key_sign_raw(const struct atls_private_key *key, enum atls_signature scheme,
                          struct atls_bytes tbs, struct atls_buf *out, struct atls_err *err);

/* ---- certificates ---- */

/* SubjectPublicKeyInfo inside a DER certificate, found by a bounded walk of the DER without parsing
 * the rest; borrows from certificate. Nothing is verified. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_certificate_spki(struct atls_bytes certificate,
                                                     struct atls_bytes *out, struct atls_err *err);
/* Exact DER length of a certificate that is followed by padding (TPM NV); rest must be zeros. */
ATLS_MUST_CHECK enum atls_code atls_certificate_trim(struct atls_bytes padded,
                                                     struct atls_bytes *out, struct atls_err *err);

/* A set of trust anchors. Build it, then share it: immutable and reference counted afterwards. */
struct atls_anchors;
/* An empty set, which trusts nobody. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_anchors_new(struct atls_anchors **out, struct atls_err *err);
/* Adds one DER certificate, or every certificate of PEM text (out_count may be NULL). Errors:
 * ATLS_E_DECODE, ATLS_E_LIMIT (1024 in one text). */
ATLS_MUST_CHECK enum atls_code
atls_anchors_add_der(struct atls_anchors *a, struct atls_bytes certificate, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_anchors_add_pem(struct atls_anchors *a, struct atls_bytes pem,
                                                    size_t *out_count, struct atls_err *err);
/* Adds certificate revocation lists (DER, one; or PEM, one to ATLS_CRLS_MAX). Once one is there for
 * an issuer, every certificate of that issuer in a path is checked against it: a list out of date,
 * badly signed or not for that certificate refuses, too. Errors: those of atls_crls_split and
 * atls_crl_read. */
ATLS_MUST_CHECK enum atls_code atls_anchors_add_crls(struct atls_anchors *a, struct atls_bytes crls,
                                                     struct atls_err *err);
/* Adds the anchors that the system trusts (OpenSSL's default paths). */
ATLS_MUST_CHECK enum atls_code atls_anchors_add_system(struct atls_anchors *a,
                                                       struct atls_err *err);
/* Another reference, and its end; NULL is fine. Any thread. */
struct atls_anchors *atls_anchors_ref(struct atls_anchors *a);
void atls_anchors_unref(struct atls_anchors *a);
/* Certificates added; the system's store counts as one. */
size_t atls_anchors_count(const struct atls_anchors *a);

/* Revocation lists of one text: the makers of TPMs have some dozens. */
#define ATLS_CRLS_MAX 1024

/* What a certificate revocation list (RFC 5280 section 5) says of itself. */
struct atls_crl {
    struct atls_buf issuer; /* Name, DER */
    struct atls_buf key_id; /* keyIdentifier of the authorityKeyIdentifier; may be empty */
    struct atls_buf
        scope; /* issuingDistributionPoint, DER; empty: all certificates of the issuer */
    int64_t this_update_s, next_update_s;
};
/* Reads one list, DER. Nothing is verified. What path validation could make no use of is refused.
 * The caller clears *out. Errors: ATLS_E_DECODE (also without nextUpdate), ATLS_E_UNSUPPORTED
 * (delta, indirect, of attribute certificates, of some reasons, unknown critical extension). */
ATLS_MUST_CHECK enum atls_code atls_crl_read(struct atls_bytes der, struct atls_crl *out,
                                             struct atls_err *err);
void atls_crl_clear(struct atls_crl *crl);
/* DER of one list (DER) or of every "X509 CRL" of PEM text; out has room for max, the caller clears
 * each. Errors: ATLS_E_DECODE, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_crls_split(struct atls_bytes in, struct atls_buf *out,
                                               size_t max, size_t *out_count, struct atls_err *err);
/* *out_issuer: the certificate (DER) bears the name of the list's issuer. If it does, its key must
 * have signed the list and have cRLSign when it states a usage. Errors: ATLS_E_VERIFY
 * (chain-signature, key-usage), ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_crl_verify(struct atls_bytes der, struct atls_bytes certificate,
                                               bool *out_issuer, struct atls_err *err);

enum atls_chain_purpose {
    /* Both TLS purposes: keyUsage, when it is there, has digitalSignature (RFC 8446 section
     * 4.4.2.2). */
    ATLS_CHAIN_TLS_SERVER = 1, /* EKU serverAuth when an EKU is there; name required */
    ATLS_CHAIN_TLS_CLIENT = 2,
    /* keyUsage digitalSignature, no keyEncipherment or keyAgreement; EKU 2.23.133.8.3 or 8.1 when
     * an EKU is there (certificates in the field carry either); no CA. */
    ATLS_CHAIN_TPM_AK = 3,
    /* keyUsage keyEncipherment or keyAgreement; EKU 2.23.133.8.1 when an EKU is there; no CA. */
    ATLS_CHAIN_TPM_EK = 4,
    /* Documents: keyUsage digitalSignature when it is there; EKU codeSigning or any when an EKU is
     * there; no CA. */
    ATLS_CHAIN_SIGNING = 5,
};

struct atls_chain_check {
    enum atls_chain_purpose purpose;
    int64_t time_s;   /* seconds since 1970 at which the chain must be valid */
    const char *name; /* DNS name or IP address the leaf must carry; NULL: any (client, TPM) */
    struct atls_anchors *anchors; /* borrowed; a cache takes its own reference */
};

struct atls_chain_result {
    struct atls_key *key; /* of the leaf; the caller's to unref */
    /* Earliest notAfter on the path and nextUpdate of the anchors' lists: how long the result
     * holds. */
    int64_t not_after_s;
    struct atls_buf anchor; /* DER of the anchor that ended the path; the caller's to clear */
};

/* Builds and validates a path from chain[0] to an anchor (RFC 5280; RFC 6125 names), other chain
 * elements and count <= ATLS_CHAIN_MAX being candidates only. Partial chains: an intermediate may
 * be an anchor. Keys and signatures on the path below 112 bits (RSA under 2048, SHA-1) are refused.
 * The TCG critical SAN (directoryName) is treated as handled for TPM purposes. Errors:
 * ATLS_E_CERTIFICATE with reason chain-issuer, chain-signature, untrusted-root,
 * certificate-expired, certificate-not-yet-valid, certificate-revoked, certificate-name, key-usage
 * and alert 42..48; ATLS_E_DECODE for a certificate that does not parse. */
ATLS_MUST_CHECK enum atls_code atls_chain_verify(const struct atls_bytes *chain, size_t count,
                                                 const struct atls_chain_check *check,
                                                 struct atls_chain_result *out,
                                                 struct atls_err *err);
/* Drops what a result holds; NULL and empty ones are fine. */
void atls_chain_result_clear(struct atls_chain_result *r);

/* A cache of verified chains and parsed keys by SHA-256 of their content, with expiry: parsing a
 * certificate costs more than a signature check. Fixed number of entries, least recently used goes
 * first. Thread safe. */
struct atls_chain_cache;
/* entries is 1..16384. Errors: ATLS_E_USAGE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_chain_cache_new(size_t entries, struct atls_chain_cache **out,
                                                    struct atls_err *err);
void atls_chain_cache_free(struct atls_chain_cache *c); /* NULL is fine */
/* As atls_chain_verify through the cache (NULL: no cache). A hit needs the same chain bytes,
 * purpose, name and anchors object, and check->time_s within [time of the first success,
 * not_after]. */
ATLS_MUST_CHECK enum atls_code atls_chain_cache_verify(struct atls_chain_cache *c,
                                                       const struct atls_bytes *chain, size_t count,
                                                       const struct atls_chain_check *check,
                                                       struct atls_chain_result *out,
                                                       struct atls_err *err);
/* As atls_key_from_spki through the cache. */
ATLS_MUST_CHECK enum atls_code atls_chain_cache_key(struct atls_chain_cache *c,
                                                    struct atls_bytes spki, struct atls_key **out,
                                                    struct atls_err *err);

/* Certificates and requests that a key outside this process signs (TPM). sign is called once with
 * the to-be-signed DER and returns a signature in the form of scheme. */
typedef enum atls_code atls_sign_function(void *arg, enum atls_signature scheme,
                                          struct atls_bytes tbs, struct atls_buf *out,
                                          struct atls_err *err);
/* One more extension (RFC 5280 section 4.1.2.9); everything borrows. */
struct atls_certificate_extra {
    struct atls_bytes oid;   /* content octets */
    struct atls_bytes value; /* content of extnValue */
    bool critical;
};
struct atls_certificate_spec {
    const char *common_name;      /* subject and, self-signed, issuer */
    const char *const *dns_names; /* NULL-terminated; IP addresses are recognised */
    int64_t not_before_s, not_after_s;
    enum atls_signature scheme;
    struct atls_bytes spki;
    atls_sign_function *sign;
    void *sign_arg;
    /* Issued by another key: its certificate; NULL makes it self-signed. */
    struct atls_bytes issuer_certificate;
    bool is_ca;
    /* A whole Name (DER) in place of common_name; or empty. */
    struct atls_bytes subject;
    const struct atls_certificate_extra *extra; /* of other OIDs than the names above need */
    size_t extra_count;
};
/* A DER certificate, X.509 version 3 with a random serial number, for TLS or, with is_ca, for
 * issuing. Errors: ATLS_E_USAGE (names, validity, no sign), ATLS_E_LIMIT (64 names, 96 KiB),
 * ATLS_E_UNSUPPORTED (scheme), ATLS_E_DECODE (spki, issuer), those of sign. */
ATLS_MUST_CHECK enum atls_code atls_certificate_make(const struct atls_certificate_spec *spec,
                                                     struct atls_buf *out, struct atls_err *err);
/* PKCS#10 request (RFC 2986) with the names of spec in a subjectAltName and its extra extensions;
 * validity and issuer do not count. Errors: as atls_certificate_make. */
ATLS_MUST_CHECK enum atls_code
atls_certificate_request_make(const struct atls_certificate_spec *spec, struct atls_buf *out,
                              struct atls_err *err);
/* atls_sign_function over a struct atls_private_key *. */
enum atls_code atls_private_key_sign_function(void *arg, enum atls_signature scheme,
                                              struct atls_bytes tbs, struct atls_buf *out,
                                              struct atls_err *err);
/* Splits PEM text into DER certificates, in order, the caller's to clear; blocks of other kinds are
 * passed over. Errors: ATLS_E_DECODE (malformed, or no certificate), ATLS_E_LIMIT (more than max).
 */
ATLS_MUST_CHECK enum atls_code atls_certificates_from_pem(struct atls_bytes pem,
                                                          struct atls_buf *out, size_t max,
                                                          size_t *out_count, struct atls_err *err);
/* "CERTIFICATE", "CERTIFICATE REQUEST", ... armour around DER, NUL terminated inside out (not
 * counted in len). Errors: ATLS_E_USAGE (no DER, or above 16 MiB). */
ATLS_MUST_CHECK enum atls_code atls_pem_encode(const char *label, struct atls_bytes der,
                                               struct atls_buf *out, struct atls_err *err);

#endif
