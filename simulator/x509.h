/* Certificates and revocation lists of a simulated maker: every field is to order, raw extension
 * content included, because makers follow no common profile and tests need what is wrong, too.
 *
 *     struct atls_sim_certificate ark = {.subject = name, .issuer = name, .key = key,
 *                                        .signer = key, .algorithm = ATLS_SIM_PSS_SHA384, ...};
 *     code = atls_sim_certificate_make(&ark, &der, err);
 *
 * One thread at a time per key. */
#ifndef ATLS_SIMULATOR_X509_H
#define ATLS_SIMULATOR_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include <atls/bytes.h>

enum atls_sim_algorithm {
    ATLS_SIM_PSS_SHA384 = 1, /* MGF1 with SHA-384, salt 48, trailer field written (AMD) */
    ATLS_SIM_ECDSA_SHA256,   /* Intel, with P-256 */
    ATLS_SIM_ECDSA_SHA384,
    ATLS_SIM_PSS_SHA256,   /* wrong for both makers */
    ATLS_SIM_PKCS1_SHA384, /* likewise */
};

/* Keys: EVP_PKEYs, the caller's to free. Errors: ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_sim_key_rsa(unsigned int bits, EVP_PKEY **out,
                                                struct atls_err *err);
/* curve is "P-256" or "P-384". */
ATLS_MUST_CHECK enum atls_code atls_sim_key_ec(const char *curve, EVP_PKEY **out,
                                               struct atls_err *err);
/* PKCS#8 PEM text (secret, NUL behind it) and back: keys that outlive a process. Errors:
 * ATLS_E_CRYPTO, ATLS_E_DECODE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_key_to_pem(EVP_PKEY *key, struct atls_buf *out,
                                                   struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_sim_key_from_pem(struct atls_bytes pem, EVP_PKEY **out,
                                                     struct atls_err *err);
/* ECDSA is DER, the caller's to clear. Errors: ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_sign(EVP_PKEY *key, enum atls_sim_algorithm algorithm,
                                             struct atls_bytes tbs, struct atls_buf *out,
                                             struct atls_err *err);
/* SubjectPublicKeyInfo, DER. */
ATLS_MUST_CHECK enum atls_code atls_sim_spki(EVP_PKEY *key, struct atls_buf *out,
                                             struct atls_err *err);

/* One attribute of a Name, each in an RDN of its own: a list ends with oid NULL. */
struct atls_sim_attribute {
    const char *oid; /* "2.5.4.3" */
    uint8_t tag;     /* 0: UTF8String */
    const char *text;
};
struct atls_sim_extension {
    const char *oid;
    bool critical;
    struct atls_bytes value; /* inside the OCTET STRING */
};

struct atls_sim_certificate {
    const struct atls_sim_attribute *subject, *issuer;
    struct atls_bytes serial; /* content octets of the INTEGER; empty: 0 */
    int64_t not_before_s, not_after_s;
    EVP_PKEY *key;         /* certified */
    EVP_PKEY *signer;      /* of the issuer */
    struct atls_bytes tbs; /* empty, or what is signed in place of all above */
    enum atls_sim_algorithm algorithm;
    bool is_ca;                       /* critical basicConstraints */
    int path_length;                  /* with is_ca; negative: none */
    uint8_t key_usage;                /* first octet, critical; 0: no extension */
    const char *crl_url;              /* distribution point; NULL: none */
    bool not_critical_ca;             /* basicConstraints without the critical flag */
    struct atls_bytes subject_key_id; /* empty: none; authority_key_id likewise */
    struct atls_bytes authority_key_id;
    const struct atls_sim_extension *extensions; /* behind those above */
    size_t extension_count;
    bool break_signature; /* its last bit is wrong */
};
/* DER, the caller's to clear. Errors: ATLS_E_USAGE (an OID, a date outside 1950..9999),
 * ATLS_E_CRYPTO, ATLS_E_NOMEM, ATLS_E_LIMIT (64 KiB). */
ATLS_MUST_CHECK enum atls_code atls_sim_certificate_make(const struct atls_sim_certificate *spec,
                                                         struct atls_buf *out,
                                                         struct atls_err *err);

struct atls_sim_crl {
    const struct atls_sim_attribute *issuer;
    EVP_PKEY *signer;
    enum atls_sim_algorithm algorithm;
    int64_t this_update_s, next_update_s;
    bool no_next_update;
    const struct atls_bytes *serials; /* content octets, revoked at this_update_s */
    size_t serial_count;
    struct atls_bytes number; /* of the list, content octets; empty: none */
    struct atls_bytes authority_key_id;
    const struct atls_sim_extension *extensions;
    size_t extension_count;
    bool break_signature;
};
/* DER, the caller's to clear. Errors: as atls_sim_certificate_make. */
ATLS_MUST_CHECK enum atls_code atls_sim_crl_make(const struct atls_sim_crl *spec,
                                                 struct atls_buf *out, struct atls_err *err);

/* Helpers for extension content, appended to out (a struct atls_writer of core/writer.h). */
struct atls_writer;
void atls_sim_put_oid(struct atls_writer *w, const char *oid);
/* INTEGER of 0..2^63-1. */
void atls_sim_put_integer(struct atls_writer *w, uint64_t value);

#endif
