/* What a parsed certificate holds, and the pieces that certificates and revocation lists have in
 * common (RFC 5280). Private to src/crypto. */
#ifndef ATLS_CRYPTO_CERTIFICATE_PARTS_H
#define ATLS_CRYPTO_CERTIFICATE_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/reader.h"
#include "crypto/certificate.h"

/* First octet of KeyUsage (RFC 5280 section 4.2.1.3). */
#define ATLS_USAGE_CERT_SIGN 0x04
#define ATLS_USAGE_CRL_SIGN  0x02

/* SIGNED{} of X.509: everything borrows. */
struct atls_signed_parts {
    struct atls_bytes tbs;             /* whole */
    struct atls_bytes inner_algorithm; /* whole; the reader of tbs fills it in */
    struct atls_bytes algorithm;       /* whole */
    struct atls_bytes signature;
};

struct atls_certificate {
    atomic_uint references;
    struct atls_buf der; /* what all the rest borrows from */
    struct atls_signed_parts parts;
    struct atls_bytes serial, issuer, subject, issuer_cn, subject_cn;
    struct atls_bytes extensions; /* content of the SEQUENCE OF Extension */
    int64_t not_before_s, not_after_s;
    bool is_ca;
    bool unknown_critical; /* an extension that must be understood is not, here */
    int path_length;       /* -1: none */
    int usage;             /* first octet of keyUsage; -1: none */
    struct atls_key *key;  /* NULL: of a kind that is not supported */
};

struct atls_extension {
    struct atls_bytes oid, value;
    bool critical;
};

/* Splits one SIGNED{}, exactly consumed. */
ATLS_MUST_CHECK bool atls_signed_parts_read(struct atls_bytes der, struct atls_signed_parts *out);
/* The next Extension. */
ATLS_MUST_CHECK bool atls_extension_get(struct atls_reader *r, struct atls_extension *out);
/* UTCTime or GeneralizedTime in the one form of RFC 5280, as seconds since 1970. */
ATLS_MUST_CHECK bool atls_der_get_time(struct atls_reader *r, int64_t *out);

#endif
