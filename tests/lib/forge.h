/* Authenticators made by hand, with the true keys where wanted: what an honest sender would never
 * send, broken in one place and right everywhere else. */
#ifndef ATLS_TEST_FORGE_H
#define ATLS_TEST_FORGE_H

#include <atls/ea.h>

#include "crypto/crypto.h"

/* A TLS connection as its exporter shows it. */
struct test_connection {
    enum atls_hash hash;
    uint8_t secret[64]; /* exporter secret, as long as the hash */
    const char *prefix; /* NULL: "tls13 " */
};

/* A connection whose secret is this byte over and over. */
struct test_connection test_connection(enum atls_hash hash, uint8_t fill);

/* atls_exporter over a struct test_connection *. */
enum atls_code test_exporter(void *arg, const char *label, struct atls_bytes context, uint8_t *out,
                             size_t out_len, struct atls_err *err);

struct test_entry {
    struct atls_bytes certificate;
    struct atls_bytes extensions; /* the block's content */
};

/* Certificate message with header. */
struct atls_buf test_certificate_message(struct atls_bytes context,
                                         const struct test_entry *entries, size_t count);
/* One extension: type, length, data. */
struct atls_buf test_extension_bytes(uint16_t type, struct atls_bytes data);
/* cmw_attestation around cmw_data. */
struct atls_buf test_cmw_extension(struct atls_bytes cmw);

struct test_forgery {
    const struct test_connection *connection;
    enum atls_role sender;
    struct atls_bytes request;     /* with header, or empty */
    struct atls_bytes certificate; /* message with header */
    const struct atls_private_key *key;
    enum atls_signature scheme;
    /* Departures from the rules, each from its zero value: */
    uint16_t named_scheme;      /* number in CertificateVerify instead of scheme */
    const char *context_string; /* instead of "Exported Authenticator" */
    bool break_signature, break_mac;
    struct atls_bytes verify;        /* CertificateVerify message instead of a true one */
    struct atls_bytes finished_tail; /* further bytes of the Finished body */
};
/* Certificate || CertificateVerify || Finished, signed and MACed over what is in it. */
struct atls_buf test_forge(const struct test_forgery *f);

#endif
