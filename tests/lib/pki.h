/* Certificates for tests: authorities, leaves of every key type, and the broken ones that a
 * verifier must refuse. Everything fails the test rather than returning an error. */
#ifndef ATLS_TEST_PKI_H
#define ATLS_TEST_PKI_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "crypto/crypto.h"

#define TEST_TIME_S       INT64_C(1735689600) /* 2025-01-01: within the validity of everything below */
#define TEST_NOT_BEFORE_S INT64_C(1577836800) /* 2020-01-01 */
#define TEST_NOT_AFTER_S  INT64_C(2524608000) /* 2050-01-01 */

/* A certificate and the key it is for. key is NULL when the key was given from outside. */
struct test_identity {
    struct atls_private_key *key;
    struct atls_buf certificate; /* DER */
};
void test_identity_clear(struct test_identity *identity);

/* An extension in the notation of openssl-x509v3_config: {"keyUsage", "critical,keyAgreement"}. */
struct test_extension {
    const char *name, *value;
};

/* Zero everywhere gives a P-256 leaf without names, valid from 2020 to 2050, fit for TLS. */
struct test_certificate {
    const char *common_name;      /* NULL: empty subject */
    const char *const *dns_names; /* NULL-terminated, or NULL; IP addresses are recognised */
    enum atls_key_type key_type;  /* of the key to make */
    struct atls_bytes spki;       /* certify this key instead of making one */
    struct atls_private_key *key; /* certify this one; stays the caller's */
    int64_t not_before_s, not_after_s;
    bool is_ca;
    const struct test_extension *extensions; /* in place of the usual ones; ends with a NULL name */
    const char *digest; /* "SHA1" for a weak signature; NULL: what fits the key */
    bool break_signature;
};

/* Issues by ca, or self-signed when ca is NULL. */
struct test_identity test_issue(const struct test_identity *ca,
                                const struct test_certificate *spec);
/* A self-signed authority. */
struct test_identity test_ca(const char *common_name);
/* A leaf for one name. */
struct test_identity test_leaf(const struct test_identity *ca, const char *dns_name,
                               enum atls_key_type type);

/* A revocation list of ca over the serial number of revoked (NULL: empty list), DER. */
struct atls_buf test_crl(const struct test_identity *ca, const struct test_identity *revoked,
                         int64_t this_update_s, int64_t next_update_s);

/* An empty list with extensions; next_update_s 0: none. */
struct atls_buf test_crl_extended(const struct test_identity *ca, int64_t this_update_s,
                                  int64_t next_update_s, const struct test_extension *extensions);

/* Anchors holding one certificate. The caller unrefs. */
struct atls_anchors *test_anchors(struct atls_bytes certificate);

#endif
